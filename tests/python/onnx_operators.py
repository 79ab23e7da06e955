"""Runs each ONNX operator that the library takes in onnxruntime and in onnx.reference.

    onnx_operators.py FOLDER

FOLDER gets a model a case, and `cases.json`: its rows of inputs, what onnxruntime makes of them,
and whether the reference makes something else or nothing. The cases are the ONNX backend tests of
these operators, in each version of the operator from opset 7 on, and rows of NaN, infinities, zeros,
ties, and numbers whose squares do not fit a float. Not told apart are the last bits of a float, the
label where they decide (a probability of 0.5), the label of scores of which some are NaN and some
are not, which takes a factor that is infinite, and rows of Normalizer L1 with a sum below 1e-30.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

warnings.filterwarnings("ignore")
np.seterr(all="ignore")
FOLDER = Path(sys.argv[1])
CASES = []
ML = "ai.onnx.ml"
NAN, INF = np.nan, np.inf
F32 = np.float32
OPERATORS = (
    "Gemm MatMul Add Sub Mul Div Relu LeakyRelu Tanh Sigmoid Softmax Identity Cast Reshape Flatten Concat Constant "
    "Scaler Normalizer LinearRegressor LinearClassifier TreeEnsembleRegressor TreeEnsembleClassifier"
).split()
NUMBERS = [0, -0.0, 1, -1, NAN, INF, -INF, 3e38, -3e38, 1e-40, 88, -88, 104, -104, 0.5, 2]
ROWS = np.array([
    [0, 0, 0], [1, 1, 0], [NAN, 1, 2], [INF, 1, 2], [-INF, 1, 2], [INF, INF, 0], [-INF, -INF, -INF], [1, 2, NAN],
    [INF, -INF, 0], [-0.0, 0, 0], [-1, -2, -3], [-1, 2, -3], [1, -3, 2], [NAN, NAN, NAN], [2, 2, 2], [-2, -2, -2],
    [1e9, 1e9, 1], [-1e9, 3, 0.25], [0.5, 0.25, 0.75],
], F32)


SQUARES = np.array([[1e20, 1e20, 1], [1e-30, 0, 0], [1e-31, 0, -1e-32]], F32)


def plain(values):
    values = np.asarray(values, float)
    values = np.where(np.isinf(values), np.copysign(1e300, values), values)
    return [[None if np.isnan(x) else float(f"{x:.9g}") for x in row] for row in values.tolist()]


def alike(a, b, floor):
    return (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= 1e-5 * np.maximum(np.abs(b), floor))


def add(name, operator, model, rows, label=None, changed=(), floor=1e-3):
    """A case. Output `label` is one of scores, which follow it; `changed` are attributes. Numbers are
    alike if they differ by 1e-5 of themselves or of `floor`; without it, of the greatest in their row."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    data = model.SerializeToString()
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:
        return False
    ports = [port.name for port in model.graph.output]
    names = [port.name for port in model.graph.input]
    widths = [port.type.tensor_type.shape.dim[1].dim_value for port in model.graph.input]

    def of(run, row):
        parts = np.split(row[None], np.cumsum(widths)[:-1], axis=1)
        try:
            return [np.asarray(y, float).ravel() for y in run(None, dict(zip(names, parts)))]
        except Exception:
            return None

    made = [(row, of(session.run, row)) for row in rows]
    made = [(row, values) for row, values in made if values is not None]
    sizes = {tuple(map(len, values)) for _, values in made}
    if len(sizes) != 1:
        return False
    try:
        reference = ReferenceEvaluator(model).run
    except Exception:
        def reference(*_):
            raise NotImplementedError
    differ = None
    for row, ours in made:
        theirs = of(reference, row)
        if theirs is None:
            differ = "the reference does not compute it"
            continue
        whole = np.concatenate(ours)
        missing = np.isnan(whole)
        least = floor or np.abs(whole[np.isfinite(whole)]).max(initial=1e-2)
        for index, (a, b) in enumerate(zip(ours, theirs)):
            if index == label and missing.any() and not missing[len(a):].all():
                continue
            if a.shape != b.shape:
                differ = f"onnxruntime makes {len(a)} numbers and the reference {len(b)}"
            elif not alike(a, b, least).all():
                at = np.argmin(alike(a, b, least))
                differ = f"onnxruntime makes {a[at]} and the reference {b[at]} at {at} of {row}"
    file = f"{len(CASES)}.onnx"
    (FOLDER / file).write_bytes(data)
    rows, values = zip(*((row, np.concatenate(y)) for row, y in made))
    CASES.append({
        "name": name, "operator": operator, "file": file, "differ": differ, "outputs": ports,
        "inputs": plain(rows), "values": plain(values), "changed": list(changed), "floor": floor,
    })
    return True


def graph(nodes, stored, outputs, width, opset=17, types=None):
    widths = [("x", width)] if isinstance(width, int) else width
    ports = [helper.make_tensor_value_info(name, 1, [None, width]) for name, width in widths]
    types = types or [1] * len(outputs)
    ends = [helper.make_tensor_value_info(name, of, None) for name, of in zip(outputs, types)]
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 3)]
    model = helper.make_model(helper.make_graph(nodes, "g", ports, ends, tensors), opset_imports=imports)
    model.ir_version = 10
    return model


def backend():
    """The backend tests of the operators: each float input in turn becomes the model's, the others are stored."""
    for case in collect_testcases():
        node, opset = case.model.graph.node[0], case.model.opset_import[0].version
        operator = node.op_type
        if len(case.model.graph.node) != 1 or operator not in OPERATORS or node.domain or not case.data_sets:
            continue
        for place, name in enumerate(node.input):
            node.input[place] = name and f"i{place}"
        node.output[0] = "made"
        for inputs, _ in case.data_sets:
            inputs = [np.asarray(x) for x in inputs]
            for turn, x in enumerate(inputs):
                if x.dtype != np.float32 or not x.size or len(node.output) != 1:
                    continue
                stored = {f"i{place}": y for place, y in enumerate(inputs) if place != turn}
                stored |= {"shape": np.array(x.shape, np.int64), "row": np.array([1, -1], np.int64)}
                nodes = [
                    helper.make_node("Reshape", ["x", "shape"], [f"i{turn}"]), node,
                    helper.make_node("Cast", [node.output[0]], ["f"], to=1), helper.make_node("Reshape", ["f", "row"], ["y"]),
                ]
                flat = x.reshape(1, -1)
                rows = [flat, -flat, np.zeros_like(flat)]
                if operator != "Cast":
                    rows += [np.where(np.arange(flat.size) == flat.size // 2, special, flat) for special in (NAN, INF, -INF)]
                rows = np.vstack(rows).astype(F32)
                if operator == "Cast":
                    versions = {max(opset, 13)}
                else:
                    versions = {max(7, onnx.defs.get_schema(operator, at).since_version) for at in range(7, opset)} | {opset}
                for version in sorted(versions):
                    model = graph(nodes, stored, ["y"], x.size, version)
                    add(f"{case.name}[{turn}], opset {version}", operator, model, rows)


def one(name, operator, rows, outputs=("y",), types=None, **attributes):
    node = helper.make_node(operator, ["x"], list(outputs), domain=ML if operator in OPERATORS[17:] else "", **attributes)
    label = 0 if types and types[0] == 7 else None
    assert add(f"{operator} {name}", operator, graph([node], {}, list(outputs), rows.shape[1], types=types), rows, label), name


def elements():
    rows = np.array([NUMBERS], F32)
    for operator, attributes in [("Relu", {}), ("LeakyRelu", {"alpha": 0.1}), ("LeakyRelu", {"alpha": -0.1}), ("Tanh", {}), ("Sigmoid", {}), ("Identity", {})]:
        one(str(attributes), operator, rows, **attributes)
    left, right = (x.astype(F32).reshape(1, -1) for x in np.meshgrid(NUMBERS, NUMBERS))
    for operator in ("Add", "Sub", "Mul", "Div"):
        node = helper.make_node(operator, ["x", "c"], ["y"])
        add(f"{operator} numbers", operator, graph([node], {"c": right}, ["y"], left.size), left)
    weights = np.array([[1, 0], [0, 1], [-2, 0.5]], F32)
    for operator in ("MatMul", "Gemm"):
        node = helper.make_node(operator, ["x", "c"], ["y"])
        add(f"{operator} rows", operator, graph([node], {"c": weights}, ["y"], 3), ROWS)
    one("rows", "Softmax", ROWS)
    whole = np.array([[0.5, -0.5, 1.5, -1.5, 2.5, 0, -0.0, 3, -7, 1e6]], F32)
    beyond = np.array([[NAN, INF, -INF, 1e20, -1e20]], F32)
    for name, rows in (("numbers", whole), ("beyond", beyond)):
        for kind in (6, 7):
            nodes = [helper.make_node("Cast", ["x"], ["i"], to=kind), helper.make_node("Cast", ["i"], ["y"], to=1)]
            add(f"Cast {kind} {name}", "Cast", graph(nodes, {}, ["y"], rows.shape[1]), rows)
    value = numpy_helper.from_array(np.array([[NAN, 1, -2]], F32), "v")
    nodes = [helper.make_node("Constant", [], ["c"], value=value), helper.make_node("Add", ["x", "c"], ["y"])]
    add("Constant", "Constant", graph(nodes, {}, ["y"], 3), ROWS)


def classical():
    for norm in ("MAX", "L1", "L2"):
        one(norm, "Normalizer", ROWS if norm == "L1" else np.vstack([ROWS, SQUARES]), norm=norm)
    one("default", "Normalizer", ROWS)
    one("", "Scaler", ROWS, offset=[1.0, 0.0, -2.0], scale=[2.0, 0.5, 0.0])
    unit = np.eye(3).ravel().tolist()
    one("no intercepts", "LinearRegressor", ROWS, coefficients=unit, targets=3)
    transforms = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")
    for transform in transforms:
        one(transform, "LinearRegressor", ROWS, coefficients=unit, intercepts=[0.0, 0.5, -1.0], targets=3, post_transform=transform)
        for count, labels in ((3, [5, 6, 7]), (1, [5, 6]), (2, [5, 6])):
            both = {"coefficients": unit[: 3 * count], "intercepts": [0.0] * count, "classlabels_ints": labels}
            one(f"{transform} {count} of {len(labels)}", "LinearClassifier", ROWS, ("l", "s"), [7, 1], post_transform=transform, **both)


def ensemble(kind, left, right, mode="BRANCH_LEQ", missing=0, trees=2):
    """Trees of one split each, and the votes of its two leaves."""
    names = "treeids nodeids featureids values modes truenodeids falsenodeids missing_value_tracks_true".split()
    nodes, votes = {f"nodes_{name}": [] for name in names}, {f"{kind}_{name}": [] for name in "treeids nodeids ids weights".split()}
    for tree in range(trees):
        for row in ((tree, 0, tree % 3, float(tree), mode, 1, 2, missing), (tree, 1, 0, 0.0, "LEAF", 0, 0, 0), (tree, 2, 0, 0.0, "LEAF", 0, 0, 0)):
            for key, value in zip(nodes, row):
                nodes[key].append(value)
        for leaf, list_ in ((1, left), (2, right)):
            for target, weight in list_:
                for key, value in zip(votes, (tree, leaf, target, weight)):
                    votes[key].append(value)
    return {**nodes, **votes}


def trees():
    for mode in ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"):
        for missing in (0, 1):
            made = ensemble("target", [(0, 1.0)], [(0, 2.0)], mode, missing)
            one(f"{mode} {missing}", "TreeEnsembleRegressor", ROWS, n_targets=1, **made)
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        for base in ({}, {"base_values": [0.25, 0.5]}):
            for name, left, right in (("all", [(0, 1.0), (1, -2.0)], [(0, 2.0), (1, 3.0)]), ("some", [(0, 1.0)], [(1, 3.0)])):
                made = ensemble("target", left, right)
                one(f"{aggregate} {base} {name}", "TreeEnsembleRegressor", ROWS, n_targets=2, aggregate_function=aggregate, **base, **made)
    few = [(2, [(0, 0.25)], [(0, 0.375)]), (2, [(0, -0.25)], [(0, 0.375)]), (2, [(1, 0.25)], [(1, 0.375)]),
           (2, [(1, -0.25)], [(1, 0.375)]), (2, [(0, 0.25), (1, 0.75)], [(0, 0.5), (1, 0.5)]),
           (2, [(0, 0.25)], [(1, 0.75)]), (3, [(0, 0.25), (1, 0.5), (2, 0.25)], [(0, 0.5), (1, 0.5), (2, 0.0)]),
           (3, [(0, -0.25), (1, 0.5), (2, 0.25)], [(0, 0.5), (1, -0.5), (2, 0.0)]), (3, [(0, 0.25), (2, 0.25)], [(1, 0.5)]),
           (3, [(0, -0.25), (2, -0.25)], [(1, -0.5)]), (3, [(0, -0.25)], [(1, -0.5)])]
    for transform in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        for index, (classes, left, right) in enumerate(few):
            for base in ({}, {"base_values": [0.125] if classes == 2 else [0.125, 0.25, 0.5]}):
                made = ensemble("class", left, right)
                labels = [5, 6, 7][:classes]
                one(f"{transform} {index} {base}", "TreeEnsembleClassifier", ROWS, ("l", "s"), [7, 1], post_transform=transform, classlabels_int64s=labels, **base, **made)


def write():
    (FOLDER / "cases.json").write_text(json.dumps(CASES, allow_nan=False))


if __name__ == "__main__":
    backend()
    elements()
    classical()
    trees()
    write()
