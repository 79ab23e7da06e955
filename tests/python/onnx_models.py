"""Trains models on real factors, exports them to ONNX, and runs onnxruntime on them.

usage: onnx_models.py OUT CSV

CSV has a factor vector a line under the factors' names. OUT gets NAME.onnx for each
model, and cases.json: the input rows and, for each model, the chosen outputs and
their values row by row. NaN is null there, and an infinity 1e300 with its sign,
which is one as a float. onnxruntime runs on one thread, so that sums of trees have
one order.
"""

import json
import os
import sys
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

warnings.filterwarnings("ignore")
ort.set_default_logger_severity(3)
ROWS = 1200


def names(model):
    return [output.name for output in model.graph.output]


def plain(values):
    """Numbers as JSON has them."""
    values = np.asarray(values, dtype=float)
    values = np.where(np.isinf(values), np.copysign(1e300, values), values)
    return [[None if np.isnan(x) else x for x in row] for row in values.tolist()]


def odd_rows(row):
    """A row with each factor in turn NaN, infinite, huge and 0, and rows of one value."""
    odd = [np.full(len(row), value) for value in (np.nan, np.inf, -np.inf, 0.0, 1e9)]
    for at in range(len(row)):
        for value in (np.nan, np.inf, -np.inf, 1e12, -1e12, 0.0, -0.0):
            odd.append(row.copy())
            odd[-1][at] = value
    return np.array(odd)


class Cases:
    """The models so far and what onnxruntime makes of the rows."""

    def __init__(self, out, rows, odd):
        self.out, self.rows, self.odd, self.cases = out, rows, odd, []

    def add(self, name, model, exact=False, outputs=None, terms=None):
        onnx.checker.check_model(model)
        data = model.SerializeToString()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        rows = np.vstack([self.rows, self.odd])
        feed, at = {}, 0
        for port in session.get_inputs():
            width = port.shape[1]
            kind = np.float64 if "double" in port.type else np.float32
            feed[port.name] = rows[:, at : at + width].astype(kind)
            at += width
        values = session.run(outputs, feed)
        values = [np.asarray(value).reshape(len(rows), -1) for value in values]
        columns = []
        for end, value in zip(outputs or names(model), values):
            width = value.shape[1]
            columns += [end] if width == 1 else [f"{end}[{i}]" for i in range(width)]
        with open(os.path.join(self.out, name + ".onnx"), "wb") as file:
            file.write(data)
        self.cases.append({
            "name": name,
            "inputs": at,
            "outputs": outputs or [],
            "names": columns,
            "exact": exact,
            "terms": None if terms is None else terms.tolist(),
            "values": plain(np.hstack(values)),
        })

    def save(self):
        with open(os.path.join(self.out, "cases.json"), "w") as file:
            rows = plain(np.vstack([self.rows, self.odd]))
            json.dump({"rows": rows, "odd": len(self.odd), "cases": self.cases}, file, allow_nan=False)


def trained(cases, x, y, up, three):
    """scikit-learn models as skl2onnx exports them."""
    x32 = x.astype(np.float32)
    both = np.column_stack([y, np.abs(y)])
    mlp = lambda kind, sizes, **more: kind(hidden_layer_sizes=sizes, max_iter=15, random_state=1, **more)

    def add(name, model, target, exact=False, outputs=None, opset=None, **more):
        model.fit(x32, target)
        opset = {"": opset, "ai.onnx.ml": 3} if opset else None
        if hasattr(model, "predict_proba"):
            more["options"] = {id(model): {"zipmap": False}}
        exported = to_onnx(model, x32[:1], target_opset=opset, **more)
        terms = None
        if name.startswith("linear"):
            # Factors that say the same (two mid prices) get weights that cancel.
            terms = np.abs(model[0].transform(x32)) @ np.abs(np.atleast_2d(model[-1].coef_)).T
            terms = np.sqrt((terms**2).mean(0))
        cases.add(name, exported, exact, outputs, terms)

    scaled = lambda model: make_pipeline(StandardScaler(), model)
    add("mlp", scaled(mlp(MLPRegressor, (64, 64))), both)
    add("mlp_tanh", scaled(mlp(MLPRegressor, (20,), activation="tanh")), y, opset=11)
    add("mlp_logistic", scaled(mlp(MLPRegressor, (33, 5), activation="logistic")), y)
    proba = ["probabilities"]
    add("mlp_class", scaled(mlp(MLPClassifier, (16,))), up, outputs=proba)
    add("mlp_class3", scaled(mlp(MLPClassifier, (16, 8))), three, outputs=proba)
    add("linear", scaled(LinearRegression()), y)
    add("linear2", scaled(LinearRegression()), both)
    add("logistic", scaled(LogisticRegression()), up)
    add("logistic3", scaled(LogisticRegression()), three)
    add("logistic_text", scaled(LogisticRegression()), np.where(up, "up", "down"), outputs=proba)
    for norm in ("l1", "l2"):
        add(f"normalizer_{norm}", make_pipeline(Normalizer(norm), MinMaxScaler(), Ridge()), y)
    add("max_abs", make_pipeline(MaxAbsScaler(), Ridge()), y, opset=12)
    boost = {"n_estimators": 40, "max_depth": 4, "random_state": 1}
    add("forest", RandomForestRegressor(30, max_leaf_nodes=31, random_state=1), y, True)
    add("forest2", RandomForestRegressor(15, max_depth=5, random_state=1), both, True)
    add("forest_class", RandomForestClassifier(20, max_depth=6, random_state=1), up, True)
    add("forest_class3", RandomForestClassifier(20, max_depth=6, random_state=1), three, True)
    add("boost", GradientBoostingRegressor(**boost), y, True)
    add("boost_100", GradientBoostingRegressor(n_estimators=100, max_leaf_nodes=31, max_depth=None), y, True)
    add("boost_class", GradientBoostingClassifier(**boost), up, True)
    add("boost_class3", GradientBoostingClassifier(n_estimators=15, max_depth=3), three, True)
    add("tree", DecisionTreeRegressor(max_depth=7), y, True)
    add("tree_class", DecisionTreeClassifier(max_depth=5), up, True)
    add("tree_class3", DecisionTreeClassifier(max_depth=5), three, True)
    add("tree_text", DecisionTreeClassifier(max_depth=5), np.where(up, "up", "down"), True, ["probabilities"])


def graph(nodes, initializers, outputs, width, opset, elem=TensorProto.FLOAT, inputs=None):
    ports = inputs or [helper.make_tensor_value_info("x", elem, ["batch", width])]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in outputs]
    tensors = [numpy_helper.from_array(value, name) for name, value in initializers.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "main", ports, made, tensors),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    model.ir_version = 6 if opset < 13 else 10
    return model


def drawn(cases, x):
    """Graphs as PyTorch writes them, and others by hand."""
    rng = np.random.default_rng(5)
    mean, scale = x.mean(0).astype(np.float32), x.std(0).astype(np.float32) + 1e-6
    node = helper.make_node
    newest = min(onnx.defs.onnx_opset_version(), 23)

    def weights(*shape):
        return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

    for opset in (7, 11, 13, newest):
        sizes = [15, 64, 64, 2]
        nodes = [node("Sub", ["x", "mean"], ["c"]), node("Div", ["c", "scale"], ["h0"])]
        values = {"mean": mean, "scale": scale}
        for i, act in enumerate(["Relu", "LeakyRelu", None]):
            values[f"w{i}"], values[f"b{i}"] = weights(sizes[i + 1], sizes[i]), weights(sizes[i + 1])
            nodes.append(node("Gemm", [f"h{i}", f"w{i}", f"b{i}"], [f"g{i}"], transB=1))
            if act:
                nodes.append(node(act, [f"g{i}"], [f"h{i + 1}"]))
        nodes.append(node("Softmax", ["g2"], ["p"], axis=1))
        cases.add(f"torch_{opset}", graph(nodes, values, ["g2", "p"], 15, opset))
    # Curves over a wide range, broadcasting in both directions, renames between.
    values = {
        "mean": mean, "scale": scale, "w": weights(15, 6), "b": weights(1, 6),
        "half": np.array(0.5, np.float32), "two_three": np.array([0, 2, 3], np.int64),
        "d": np.array([3.0, 4.0]), "grow": weights(1, 18), "w6": weights(6, 3), "column": weights(3, 1),
    }
    nodes = [
        node("Sub", ["x", "mean"], ["c"]),
        node("Div", ["c", "scale"], ["z"]),
        node("MatMul", ["z", "w"], ["m"]),
        node("Identity", ["m"], ["i"]),
        node("Add", ["b", "i"], ["a"]),
        node("Reshape", ["a", "two_three"], ["r"]),
        node("Mul", ["r", "half"], ["s"]),
        node("Softmax", ["s"], ["soft"], axis=-1),
        node("Flatten", ["soft"], ["below"]),
        node("Tanh", ["r"], ["t"]),
        node("Flatten", ["t"], ["tanh"]),
        node("Sigmoid", ["a"], ["sigmoid"]),
        node("Concat", ["tanh", "sigmoid", "a"], ["all"], axis=1),
        node("Add", ["all", "grow"], ["grown"]),
        node("Gemm", ["below", "w6"], ["out"], alpha=0.5),
        node("Add", ["sigmoid", "half"], ["more"]),
        node("Div", ["half", "more"], ["over"]),
        # Constants only: computed when the model is read.
        node("Cast", ["d"], ["f"], to=TensorProto.FLOAT),
        node("Constant", [], ["k"], value=numpy_helper.from_array(weights(3, 1))),
        node("Mul", ["f", "k"], ["table"]),
        node("MatMul", ["out", "table"], ["folded"]),
        # A stack of matrices, and a column against a row.
        node("MatMul", ["r", "column"], ["stack"]),
        node("Flatten", ["stack"], ["stacked"]),
        node("Sub", ["r", "stack"], ["apart"]),
        node("Flatten", ["apart"], ["spread"]),
    ]
    ends = ["grown", "out", "over", "folded", "stacked", "spread"]
    cases.add("shapes", graph(nodes, values, ends, 15, 13))
    # A double input that is cast, and one column an input.
    nodes = [
        node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), node("Sub", ["f", "mean"], ["c"]),
        node("Div", ["c", "scale"], ["z"]), node("MatMul", ["z", "w"], ["m"]), node("Tanh", ["m"], ["y"]),
    ]
    values = {"mean": mean, "scale": scale, "w": weights(15, 9)}
    cases.add("double", graph(nodes, values, ["y"], 15, 13, TensorProto.DOUBLE))
    ports = [helper.make_tensor_value_info(f"f{i}", TensorProto.FLOAT, [None, 1]) for i in range(5)]
    nodes = [node("Concat", [port.name for port in ports], ["x"], axis=1), *nodes[1:]]
    nodes[1] = node("Sub", ["x", "mean"], ["c"])
    values = {"mean": mean[:5], "scale": scale[:5], "w": weights(5, 9)}
    cases.add("columns", graph(nodes, values, ["y"], 5, 13, inputs=ports))
    ensembles(cases, x)


def ensembles(cases, x):
    """Trees in the forms that skl2onnx does not write."""
    rng = np.random.default_rng(9)
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        for targets in (1, 3):
            case = ensemble(rng, x, targets, targets == 3)
            case.update(aggregate_function=aggregate, n_targets=targets)
            if aggregate != "AVERAGE" or targets == 3:
                case["base_values"] = [0.25 * (i + 1) for i in range(targets)]
            made = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **case)
            cases.add(f"trees_{aggregate}_{targets}".lower(), graph([made], {}, ["y"], 15, 13), True)
            # So few trees that for some rows none votes for a target.
            if targets == 3:
                case = ensemble(rng, x, targets, True, trees=4)
                case.update(aggregate_function=aggregate, n_targets=3, base_values=[0.25, 0.5, 0.75])
                made = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **case)
                cases.add(f"few_{aggregate}".lower(), graph([made], {}, ["y"], 15, 13), True)
    forms = [("one", 2, 1, "LOGISTIC", [0.125]), ("none", 2, 1, "NONE", None),
             ("soft", 4, 4, "SOFTMAX", None), ("zero", 3, 3, "SOFTMAX_ZERO", [0.5, -0.25, 0.0]),
             ("each", 3, 3, "LOGISTIC", None)]
    for name, classes, voted, transform, base in forms:
        case = ensemble(rng, x, voted, True, "class")
        case.update(post_transform=transform, classlabels_int64s=[7 * i - 3 for i in range(classes)])
        if base:
            case["base_values"] = base
        made = helper.make_node("TreeEnsembleClassifier", ["x"], ["l", "y"], domain="ai.onnx.ml", **case)
        model = graph([made], {}, ["l", "y"], 15, 13)
        label = helper.make_tensor_value_info("l", TensorProto.INT64, [None])
        model.graph.output[0].CopyFrom(label)
        cases.add(f"classes_{name}", model, True)


def ensemble(rng, x, targets, sparse, kind="target", trees=12):
    """Random trees of every mode, with votes of leaves for some of the targets."""
    modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
    out = {f"nodes_{key}": [] for key in (
        "treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
        "missing_value_tracks_true")}
    votes = {f"{kind}_{key}": [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        depth = int(rng.integers(0, 5))
        inner = 2**depth - 1
        for index in range(2 * inner + 1):
            feature = int(rng.integers(0, 15))
            leaf = index >= inner
            for key, value in (
                ("treeids", tree), ("nodeids", index), ("featureids", 0 if leaf else feature),
                ("values", 0.0 if leaf else float(np.float32(rng.choice(x[:, feature])))),
                ("modes", "LEAF" if leaf else str(rng.choice(modes))),
                ("truenodeids", 0 if leaf else 2 * index + 1), ("falsenodeids", 0 if leaf else 2 * index + 2),
                ("missing_value_tracks_true", int(rng.integers(0, 2))),
            ):
                out[f"nodes_{key}"].append(value)
            if leaf:
                count = int(rng.integers(1, targets + 1)) if sparse else targets
                for target in sorted(rng.choice(targets, count, replace=False)):
                    for key, value in (("treeids", tree), ("nodeids", index), ("ids", int(target)),
                                       ("weights", float(rng.normal()))):
                        votes[f"{kind}_{key}"].append(value)
    return {**out, **votes}


def main():
    out, path = sys.argv[1:]
    x = pd.read_csv(path).to_numpy(float)
    x = x[np.isfinite(x).all(1)]
    y = pd.Series(x[:, 1]).diff(20).shift(-20).fillna(0).to_numpy()
    y = y / (y.std() or 1)
    up, three = (y > 0).astype(int), np.digitize(y, [-0.3, 0.3])
    pick = np.linspace(0, len(x) - 1, ROWS).astype(int)
    rows = x[pick]
    few = np.linspace(0, len(x) - 1, 4000).astype(int)
    # Trees see missing values as well.
    holes = rows[: ROWS // 4].copy()
    holes[np.random.default_rng(2).random(holes.shape) < 0.2] = np.nan
    cases = Cases(out, np.vstack([rows, holes]), odd_rows(rows[ROWS // 2]))
    trained(cases, x[few], y[few], up[few], three[few])
    drawn(cases, rows)
    cases.save()


main()
