"""Trains the models that the inference bench times, and writes them to a folder.

    python3 models.py DIR

Needs numpy, scikit-learn with its scipy, lightgbm, xgboost and onnx (tests/python/requirements.txt).
The same seed gives the same rows; the libraries decide the rest.

DIR/bench.json holds the rows (15 values each, in the order of the factor set
`market`) and, for each file, the outputs that its trainer's library computes
for them. It is written last: a folder that has it is complete.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper, numpy_helper
from scipy.signal import lfilter
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

SEED = 3
TRAIN = 30_000
# A power of two, because the bench masks its row number.
ROWS = 2_048
LEAVES = 31
TREES = (100, 500)
FACTORS = [
    "spread", "mid_price", "bid_ask_ratio", "depth_imbalance", "weighted_mid",
    "trade_volume_ma", "trade_direction", "trade_intensity", "vwap", "trade_volatility",
    "ticker_spread", "ticker_volume_ratio", "ticker_momentum", "basis", "basis_pct",
]  # fmt: skip


def smooth(noise, keep):
    """An autoregression: each value keeps a part of the one before."""
    return lfilter([1.0], [1.0, -keep], noise)


def market(random, count):
    """Factor rows of a synthetic market, and what its mid price does next."""
    pressure = smooth(random.normal(0, 0.3, count), 0.9)
    mid = 100 + smooth(0.01 * pressure + random.normal(0, 0.02, count), 0.9999)
    mid = np.round(mid * 200) / 200
    spread = 0.01 * random.geometric(0.6, count)
    ratio = np.exp(pressure + random.normal(0, 0.8, count))
    imbalance = np.tanh(0.5 * pressure + random.normal(0, 0.3, count))
    volume = np.exp(smooth(random.normal(0, 0.2, count), 0.95))
    direction = np.sign(np.round(pressure + random.normal(0, 1, count), 0))
    intensity = random.poisson(5 * volume).astype(float)
    vwap = mid - 0.02 * pressure + random.normal(0, 0.01, count)
    volatility = 0.02 * np.abs(smooth(random.normal(0, 0.3, count), 0.9))
    ticker_ratio = np.exp(0.7 * pressure + random.normal(0, 1, count))
    momentum = np.diff(mid, prepend=mid[0]) / mid
    basis = smooth(random.normal(0, 0.01, count), 0.99)
    columns = [
        spread, mid, ratio, imbalance, mid + spread * (ratio / (1 + ratio) - 0.5),
        volume, direction, intensity, vwap, volatility,
        spread / mid, ticker_ratio, momentum, basis, basis / (mid - basis),
    ]  # fmt: skip
    move = (
        pressure
        + 0.5 * imbalance * direction
        + 0.2 * np.log(ratio) * (spread < 0.02)
        + 20 * volatility * np.sign(momentum)
        - 30 * basis
        + random.normal(0, 0.5, count)
    )
    # As f32 holds them, so that no library's narrowing can turn a split.
    rows = np.column_stack(columns).astype(np.float32).astype(np.float64)
    assert rows.shape == (count, len(FACTORS)) and np.isfinite(rows).all()
    return rows, move


def save_onnx(path, nodes, weights, outputs, opsets):
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("factors", TensorProto.FLOAT, [1, len(FACTORS)])],
        [helper.make_tensor_value_info("signal", TensorProto.FLOAT, [1, outputs])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid(domain, number) for domain, number in opsets]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def dense(layers):
    """Gemm and Relu nodes, named and transposed as PyTorch exports nn.Linear."""
    nodes, weights, value = [], {}, "factors"
    for i, (weight, bias) in enumerate(layers):
        weights[f"{i}.weight"], weights[f"{i}.bias"] = weight, bias
        last = i + 1 == len(layers)
        out = "signal" if last else f"gemm{i}"
        inputs = [value, f"{i}.weight", f"{i}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [out], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"relu{i}"]))
            value = f"relu{i}"
    return nodes, weights


def standardised(weight, bias, mean, scale):
    """A layer on standardised factors as one on raw factors, in f32."""
    folded = weight / scale
    return folded.astype(np.float32), (bias - folded @ mean).astype(np.float32)


def linear(folder, train, target, rows):
    mean, scale = train.mean(axis=0), train.std(axis=0)
    # Heavily regularised: prices are nearly collinear, and in f32 great weights
    # that cancel each other would not.
    fitted = Ridge(alpha=10_000).fit((train - mean) / scale, target)
    parts = {"weights": fitted.coef_, "mean": mean, "scale": scale}
    model = {name: list(map(float, part)) for name, part in parts.items()}
    model |= {"bias": float(fitted.intercept_), "factors": FACTORS}
    (folder / "linear.json").write_text(json.dumps(model))
    folded = standardised(fitted.coef_[None, :], fitted.intercept_, mean, scale)
    nodes, weights = dense([folded])
    save_onnx(folder / "linear.onnx", nodes, weights, 1, [("", 17)])
    signal = fitted.intercept_ + (fitted.coef_ * (rows - mean) / scale).sum(axis=1)
    confidence = 2 / (1 + np.exp(-np.abs(signal))) - 1
    return {"linear.json": np.column_stack([signal, confidence]), "linear.onnx": signal}


def mlp(folder, train, target, rows):
    mean, scale = train.mean(axis=0), train.std(axis=0)
    both = np.column_stack([target, np.abs(target)])
    fitted = MLPRegressor(hidden_layer_sizes=(64, 64), alpha=1.0, max_iter=12, random_state=SEED, early_stopping=True)
    with warnings.catch_warnings():
        # A few passes will do: the weights need only be those of a real network.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit((train - mean) / scale, both)
    layers = [(w.T, b) for w, b in zip(fitted.coefs_, fitted.intercepts_)]
    assert [w.shape for w, _ in layers] == [(64, 15), (64, 64), (2, 64)]
    folded = [standardised(*layers[0], mean, scale)]
    folded += [(w.astype(np.float32), b.astype(np.float32)) for w, b in layers[1:]]
    nodes, weights = dense(folded)
    save_onnx(folder / "mlp.onnx", nodes, weights, 2, [("", 17)])
    value = rows
    for i, (w, b) in enumerate(folded):
        value = value @ w.T.astype(np.float64) + b
        value = np.maximum(value, 0) if i + 1 < len(folded) else value
    return {"mlp.onnx": value}


def lightgbm_trees(folder, train, target, rows):
    parameters = {
        "objective": "regression", "num_leaves": LEAVES, "learning_rate": 0.05,
        "seed": SEED, "deterministic": True, "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    booster = lightgbm.train(parameters, lightgbm.Dataset(train, target), max(TREES))
    for trees in TREES:
        booster.save_model(folder / f"lightgbm-{trees}.txt", num_iteration=trees)
        dump = booster.dump_model(num_iteration=trees)["tree_info"]
        assert len(dump) == trees and all(tree["num_leaves"] == LEAVES for tree in dump)
        tree_ensemble(folder / f"lightgbm-{trees}.onnx", dump)
        outputs = booster.predict(rows, num_iteration=trees)
        yield from ((f"lightgbm-{trees}.{kind}", outputs) for kind in ("txt", "onnx"))


def tree_ensemble(path, trees):
    """LightGBM's dump as a TreeEnsembleRegressor."""
    nodes, leaves = [], []
    for tree, info in enumerate(trees):
        pending, used = [(info["tree_structure"], 0)], 1
        while pending:
            node, number = pending.pop()
            row = {"treeids": tree, "nodeids": number, "featureids": 0, "values": 0.0,
                   "modes": "LEAF", "truenodeids": 0, "falsenodeids": 0}  # fmt: skip
            if "leaf_value" in node:
                leaf = node["leaf_value"]
                leaves.append({"treeids": tree, "nodeids": number, "ids": 0, "weights": leaf})
            else:
                assert node["decision_type"] == "<=" and node["missing_type"] == "None"
                row |= {"featureids": node["split_feature"], "modes": "BRANCH_LEQ",
                        "values": narrow_down(node["threshold"]),
                        "truenodeids": used, "falsenodeids": used + 1}  # fmt: skip
                pending += [(node["left_child"], used), (node["right_child"], used + 1)]
                used += 2
            nodes.append(row)
    attributes = {f"nodes_{key}": [row[key] for row in nodes] for key in nodes[0]}
    attributes |= {f"target_{key}": [row[key] for row in leaves] for key in leaves[0]}
    node = helper.make_node(
        "TreeEnsembleRegressor", ["factors"], ["signal"], domain="ai.onnx.ml",
        n_targets=1, **attributes,
    )  # fmt: skip
    save_onnx(path, [node], {}, 1, [("", 17), ("ai.onnx.ml", 3)])


def narrow_down(threshold):
    """The greatest f32 that is not above: for f32 values `<=` stays the same."""
    narrow = np.float32(threshold)
    return float(np.nextafter(narrow, np.float32(-np.inf)) if float(narrow) > threshold else narrow)


def xgboost_trees(folder, train, target, rows):
    parameters = {
        "objective": "reg:squarederror", "tree_method": "hist", "grow_policy": "lossguide",
        "max_leaves": LEAVES, "max_depth": 0, "eta": 0.05, "seed": SEED,
    }  # fmt: skip
    booster = xgboost.train(parameters, xgboost.DMatrix(train, target), max(TREES))
    for trees in TREES:
        part = booster[:trees]
        leaves = [dump.count("leaf=") for dump in part.get_dump()]
        assert leaves == [LEAVES] * trees, leaves
        part.save_model(folder / f"xgboost-{trees}.json")
        yield f"xgboost-{trees}.json", part.predict(xgboost.DMatrix(rows))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").unlink(missing_ok=True)
    random = np.random.default_rng(SEED)
    rows, target = market(random, TRAIN + ROWS)
    train, target, rows = rows[:TRAIN], target[:TRAIN], rows[TRAIN:]
    # Neighbours in time are alike; apart, they are harder on branch predictors.
    rows = rows[random.permutation(ROWS)]
    outputs = {
        **linear(folder, train, target, rows),
        **mlp(folder, train, target, rows),
        **dict(lightgbm_trees(folder, train, target, rows)),
        **dict(xgboost_trees(folder, train, target, rows)),
    }
    packages = ("numpy", "scikit-learn", "lightgbm", "onnx")
    bench = {
        "made_with": {name: version(name) for name in packages}
        | {"xgboost": xgboost.__version__},
        "rows": rows.tolist(),
        "outputs": {
            name: np.asarray(value, float).reshape(ROWS, -1).tolist()
            for name, value in outputs.items()
        },
    }
    (folder / "bench.json").write_text(json.dumps(bench))


if __name__ == "__main__":
    main()
