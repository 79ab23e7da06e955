#!/usr/bin/env python3
"""Trains the example models on recorded factor vectors.

    signal replay --config examples/market.json --signals factors.csv CAPTURE...
    python3 examples/models/train.py factors.csv examples/models

Writes `move.onnx`, a small network, `move.json`, a linear model, and two small
sets of trees: LightGBM's `move.txt` and XGBoost's `move.xgb.json`. All guess where
the mid price will be in 20 books, in basis points. Beside each goes a check file,
which the library evaluates when it loads the model. They show the way from
factors to a running model and are no strategy.

Needs the packages in tests/python/requirements.txt.
"""

import json
import pathlib
import sys

import lightgbm
import numpy as np
import onnxruntime
import pandas
import xgboost
from skl2onnx import to_onnx
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HORIZON = 20


def vectors(path):
    """The factors' names; vectors and, for each, the move of the mid price that
    followed: of the first 70 % of each symbol's time, then of the rest."""
    table = pandas.read_csv(path)
    factors = [name for name in table.columns if name not in ("symbol", "timestamp_ns", "model")]
    parts = [[], []], [[], []]
    for _, rows in table.groupby("symbol", sort=True):
        mid = rows["mid_price"].to_numpy()
        inputs = rows[factors].to_numpy()[:-HORIZON]
        moves = (mid[HORIZON:] / mid[:-HORIZON] - 1.0) * 1e4
        cut = len(moves) * 7 // 10
        # The moves at the end of the first part are known in the second only.
        for part, chosen in zip(parts, (slice(0, cut - HORIZON), slice(cut, None))):
            part[0].append(inputs[chosen])
            part[1].append(moves[chosen])
    return factors, *(tuple(map(np.concatenate, part)) for part in parts)


def write_check(path, inputs, outputs, tolerance):
    check = {
        "inputs": inputs.tolist(),
        "outputs": outputs.tolist(),
        "tolerance": tolerance,
    }
    pathlib.Path(f"{path}.check.json").write_text(json.dumps(check) + "\n")


def main():
    table, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    factors, (inputs, moves), (later_inputs, later_moves) = vectors(table)
    sample = inputs[:: len(inputs) // 8][:8]

    network = make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(32, 32), random_state=1, early_stopping=True, max_iter=300),
    )
    network.fit(inputs.astype(np.float32), moves)
    model = to_onnx(network, inputs[:1].astype(np.float32), target_opset=17)
    path = folder / "move.onnx"
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: sample.astype(np.float32)}
    write_check(path, sample, session.run(None, feed)[0].reshape(len(sample), -1), 1e-5)

    scaler = StandardScaler().fit(inputs)
    scale = np.where(scaler.scale_ == 0.0, 1.0, scaler.scale_)
    linear = Ridge(1.0).fit((inputs - scaler.mean_) / scale, moves)
    path = folder / "move.json"
    described = {
        "factors": factors,
        "weights": linear.coef_.tolist(),
        "bias": float(linear.intercept_),
        "mean": scaler.mean_.tolist(),
        "scale": scale.tolist(),
    }
    path.write_text(json.dumps(described, indent=1) + "\n")
    signal = linear.predict((sample - scaler.mean_) / scale)
    confidence = 2.0 / (1.0 + np.exp(-np.abs(signal))) - 1.0
    write_check(path, sample, np.column_stack([signal, confidence]), 1e-9)

    trees = lightgbm.LGBMRegressor(
        n_estimators=10, num_leaves=8, random_state=1, n_jobs=1, verbose=-1, deterministic=True
    )
    trees.fit(pandas.DataFrame(inputs, columns=factors), moves)
    path = folder / "move.txt"
    trees.booster_.save_model(path)
    write_check(path, sample, trees.booster_.predict(sample).reshape(-1, 1), 1e-12)

    boosted = xgboost.train(
        {"max_depth": 3, "seed": 1, "nthread": 1},
        xgboost.DMatrix(inputs, moves, feature_names=factors),
        num_boost_round=10,
    )
    path = folder / "move.xgb.json"
    boosted.save_model(path)
    guesses = boosted.predict(xgboost.DMatrix(sample, feature_names=factors))
    write_check(path, sample, guesses.astype(np.float64).reshape(-1, 1), 1e-6)

    later = xgboost.DMatrix(later_inputs, feature_names=factors)
    for name, guess in (
        ("move.onnx", network.predict(later_inputs.astype(np.float32))),
        ("move.json", linear.predict((later_inputs - scaler.mean_) / scale)),
        ("move.txt", trees.booster_.predict(later_inputs)),
        ("move.xgb.json", boosted.predict(later)),
    ):
        correlation = np.corrcoef(guess, later_moves)[0, 1]
        print(f"{name}: correlation with the later moves, which it never saw: {correlation:.3f}")


if __name__ == "__main__":
    main()
