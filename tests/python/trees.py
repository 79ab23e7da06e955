"""Trains tree models and saves what the libraries themselves predict with them.

    trees.py FOLDER CSV

CSV has a factor vector a line under the factors' names. For each model FOLDER gets the model's
file, NAME.x (rows of little-endian f64) and NAME.y (one f64 a row), and `cases.txt` a
line `NAME FILE COLUMNS ULPS`: how far an output may be off. A line `refuse FILE WORDS`
names a model that must be refused with these words.
"""

import ctypes
import json
import os
import re
import sys
from pathlib import Path

# The machine may be busy, and threads that wait for one another spin.
os.environ["OMP_NUM_THREADS"] = "1"

import lightgbm as lgb
import numpy as np
import pandas as pd
import xgboost as xgb

FOLDER = Path(sys.argv[1])
CASES = []
ROWS = 2400
XGBOOST = tuple(int(part) for part in xgb.__version__.split(".")[:2])
random = np.random.default_rng(7)


def data():
    """Factor vectors, and what the mid price does next, in basis points."""
    table = pd.read_csv(sys.argv[2])
    mid = table["mid_price"]
    move = ((mid.shift(-50) / mid - 1) * 1e4).to_numpy()
    known = ~np.isnan(move) & (np.arange(len(move)) > 100)
    return table[known].to_numpy(np.float64), move[known], list(table.columns)


X, Y, NAMES = data()
COLUMNS = X.shape[1]
UP = Y > np.median(Y)
# Columns that change little, and holes, so that every kind of split is learned.
HOLES = X.copy()
HOLES[random.random(X.shape) < 0.15] = np.nan
ZEROS = X.copy()
ZEROS[random.random(X.shape) < 0.25] = 0.0
CATEGORIES = X.copy()
CATEGORIES[:, 3] = random.integers(0, 40, len(X))
CATEGORIES[:, 7] = random.choice([0, 1, 31, 32, 63, 64, 500, 70_000], len(X))
CATEGORIES[:, 11] = np.where(random.random(len(X)) < 0.1, np.nan, random.integers(0, 5, len(X)))
Y_CATEGORIES = Y + np.ptp(Y) * 0.3 * ((CATEGORIES[:, 3] * 7 % 11 > 5) + (CATEGORIES[:, 7] == 32) + (CATEGORIES[:, 11] == 2))
ODD = [0.0, -0.0, 1e-35, -1e-35, float(np.float32(1e-35)), -float(np.float32(1e-35)), 2e-35, 5e-324, 1e300, -1e300]
ODD += [-0.5, -1.0, 0.5, 31.9, 32.0, 63.5, 499.999, 70_000.2, 2.0**24, 2.0**31, 2.0**32, 1.0, 3.0]


def rows(x, thresholds, infinite=True):
    """Real rows, and rows with odd values and exact thresholds put in."""
    x = x[random.choice(len(x), ROWS, replace=len(x) < ROWS)].copy()
    odd = np.array(ODD + [np.nan] * 8 + ([np.inf, -np.inf] if infinite else []))
    if not infinite:
        odd = odd[~(np.abs(odd) > 1e30)]
    third = ROWS // 3
    hit = random.random((third, COLUMNS)) < 0.2
    x[:third][hit] = random.choice(odd, hit.sum())
    for row in range(third, 2 * third):
        for column, values in thresholds.items():
            if random.random() < 0.5:
                t = random.choice(values)
                x[row, column] = random.choice([t, np.nextafter(t, 1e9), np.nextafter(t, -1e9)])
    return np.ascontiguousarray(x)


def save(name, file, x, y, ulps):
    x.astype("<f8").tofile(FOLDER / f"{name}.x")
    np.asarray(y, "<f8").tofile(FOLDER / f"{name}.y")
    assert len(x) == len(y) == ROWS
    CASES.append(f"{name} {file} {x.shape[1]} {ulps}")


def lightgbm(name, x=X, y=Y, rounds=30, ulps=0, names="auto", **params):
    params = {"objective": "regression", "num_leaves": 31, "verbose": -1, "num_threads": 1, **params}
    cats = params.pop("categorical_feature", "auto")
    booster = lgb.train(params, lgb.Dataset(x, y, feature_name=names, categorical_feature=cats), rounds)
    file = f"{name}.txt"
    booster.save_model(FOLDER / file)
    booster = lgb.Booster(model_file=FOLDER / file)
    text = (FOLDER / file).read_text()
    thresholds = {}
    for tree in text.split("\nTree=")[1:]:
        keys = dict(line.split("=", 1) for line in tree.splitlines() if "=" in line)
        for column, t in zip(keys["split_feature"].split(), keys["threshold"].split()):
            thresholds.setdefault(int(column), []).append(float(t))
    x = rows(x, thresholds)
    save(name, file, x, booster.predict(x), ulps)
    if ulps:
        # The sum of the leaves, for which any other objective stands in the way.
        text = re.sub("(?m)^objective=.*$", "objective=regression", text).replace("average_output\n", "")
        (FOLDER / f"{name}_raw.txt").write_text(text)
        save(f"{name}_raw", f"{name}_raw.txt", x, booster.predict(x, raw_score=True), 0)
    return booster


def xgboost(name, x=X, y=Y, rounds=30, ulps=0, names=None, **params):
    params = {"objective": "reg:squarederror", "max_depth": 5, "nthread": 1, **params}
    booster = xgb.train(params, xgb.DMatrix(x, y, feature_names=names), rounds)
    file = f"{name}.json"
    booster.save_model(FOLDER / file)
    booster = xgb.Booster(model_file=FOLDER / file)
    thresholds = {}
    table = booster.trees_to_dataframe()
    for feature, t in zip(table["Feature"], table["Split"]):
        if feature != "Leaf":
            column = names.index(feature) if names else int(feature[1:])
            thresholds.setdefault(column, []).append(float(np.float32(t)))
    x = rows(x, thresholds, infinite=False)
    save(name, file, x, booster.predict(xgb.DMatrix(x, feature_names=names)), ulps)
    if ulps:
        # No other objective shows the sum, so this one comes with what it is alone.
        raw = booster.predict(xgb.DMatrix(x, feature_names=names), output_margin=True)
        config = (FOLDER / file).read_text()
        base = float(re.search(r'"base_score":"\[?([^]"]*)', config)[1])
        if "logistic" in params["objective"]:
            base = min(max(base, 1e-6), 1.0 - 1e-6)
        margin = xgb_margin(params["objective"], base)
        config = re.sub(r'"base_score":"[^"]*"', f'"base_score":"{margin!r}"', config)
        config = re.sub(r'"name":"(binary|reg|count):[a-z]*"', '"name":"reg:squarederror"', config)
        (FOLDER / f"{name}_raw.json").write_text(config)
        save(f"{name}_raw", f"{name}_raw.json", x, raw, 0)
    return booster


def xgb_margin(objective, base):
    """The base score as XGBoost adds it: in f32, by the C library."""
    log = ctypes.CDLL("libm.so.6").logf
    log.restype, log.argtypes = ctypes.c_float, [ctypes.c_float]
    base = np.float32(base)
    if "logistic" in objective:
        return -log(float(np.float32(1) / base - np.float32(1)))
    return log(float(base))


def refuse(file, words):
    CASES.append(f"refuse {file} {words}")


POSITIVE = np.abs(Y) + 0.1
lightgbm("lightgbm_100", rounds=100, names=NAMES)
lightgbm("lightgbm_500", rounds=500)
lightgbm("lightgbm_63_leaves", num_leaves=63)
lightgbm("lightgbm_255_leaves", num_leaves=255, min_data_in_leaf=3)
lightgbm("lightgbm_holes", x=HOLES, rounds=60)
# A threshold of infinity, which parts NaN from everything else.
lightgbm("lightgbm_only_missing", x=HOLES, y=np.isnan(HOLES[:, 0]).astype(float))
lightgbm("lightgbm_zero_as_missing", x=ZEROS, rounds=60, zero_as_missing=True)
lightgbm("lightgbm_zero_255_leaves", x=ZEROS, num_leaves=255, min_data_in_leaf=3, zero_as_missing=True)
lightgbm("lightgbm_no_missing", x=HOLES, rounds=60, use_missing=False)
CATEGORICAL = {"categorical_feature": [3, 7, 11], "max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1}
lightgbm("lightgbm_categories", x=CATEGORIES, y=Y_CATEGORIES, rounds=60, **CATEGORICAL)
lightgbm("lightgbm_categories_255_leaves", x=CATEGORIES, y=Y_CATEGORIES, num_leaves=255, min_data_in_leaf=3, **CATEGORICAL)
lightgbm("lightgbm_constant", min_data_in_leaf=10**6, rounds=3)
lightgbm("lightgbm_forest", boosting="rf", bagging_freq=1, bagging_fraction=0.6)
lightgbm("lightgbm_dart", boosting="dart", drop_rate=0.3)
lightgbm("lightgbm_sqrt", reg_sqrt=True)
for objective in ["regression_l1", "huber", "fair", "quantile", "mape"]:
    lightgbm(f"lightgbm_{objective}", objective=objective, alpha=0.7)
for objective in ["poisson", "gamma", "tweedie"]:
    lightgbm(f"lightgbm_{objective}", y=POSITIVE, objective=objective, ulps=1)
lightgbm("lightgbm_binary", y=UP, objective="binary", ulps=1, rounds=100)
lightgbm("lightgbm_binary_sigmoid", x=HOLES, y=UP, objective="binary", sigmoid=0.7, ulps=1)
lightgbm("lightgbm_binary_forest", y=UP, objective="binary", boosting="rf", bagging_freq=1, bagging_fraction=0.6, ulps=1)
for objective in ["cross_entropy", "cross_entropy_lambda"]:
    lightgbm(f"lightgbm_{objective}", y=UP, objective=objective, ulps=1)

CLASSES = np.digitize(Y, np.quantile(Y, [0.3, 0.6]))
few = {"num_threads": 1, "verbose": -1, "num_leaves": 4}
lgb.train({**few, "objective": "multiclass", "num_class": 3}, lgb.Dataset(X, CLASSES), 2).save_model(FOLDER / "r1.txt")
refuse("r1.txt", "several classes")
lgb.train({**few, "objective": "lambdarank"}, lgb.Dataset(X, CLASSES, group=[len(X) // 2, len(X) - len(X) // 2]), 2).save_model(FOLDER / "r2.txt")
refuse("r2.txt", "lambdarank")
lgb.train({**few, "objective": "regression", "linear_tree": True}, lgb.Dataset(X, Y, params={"linear_tree": True}), 2).save_model(FOLDER / "r3.txt")
refuse("r3.txt", "linear trees")

xgboost("xgboost_100", rounds=100, names=NAMES)
xgboost("xgboost_500", rounds=500, max_depth=6)
xgboost("xgboost_31_leaves", rounds=100, tree_method="hist", grow_policy="lossguide", max_depth=0, max_leaves=31)
xgboost("xgboost_deep", max_depth=12)
# 3.0 trains none of these.
if XGBOOST != (3, 0):
    xgboost("xgboost_all_positive", y=np.ones(len(Y)), objective="binary:logistic", ulps=1)
    xgboost("xgboost_all_negative", y=np.zeros(len(Y)), objective="binary:logistic", ulps=1)
xgboost("xgboost_exact", tree_method="exact")
xgboost("xgboost_holes", x=HOLES, rounds=60)
xgboost("xgboost_zeros", x=ZEROS)
xgboost("xgboost_forest", rounds=3, num_parallel_tree=20, subsample=0.5)
xgboost("xgboost_dart", booster="dart", rate_drop=0.3)
xgboost("xgboost_constant", gamma=1e12, rounds=3)
for objective in ["absoluteerror", "pseudohubererror"]:
    xgboost(f"xgboost_{objective}", objective=f"reg:{objective}")
# 1.7 has no quantiles.
if XGBOOST >= (2, 0):
    xgboost("xgboost_quantileerror", objective="reg:quantileerror", quantile_alpha=0.7)
xgboost("xgboost_squaredlogerror", y=POSITIVE, objective="reg:squaredlogerror")
xgboost("xgboost_logitraw", y=UP, objective="binary:logitraw")
for objective, y in [("binary:logistic", UP), ("reg:logistic", UP), ("reg:gamma", POSITIVE), ("reg:tweedie", POSITIVE), ("count:poisson", np.floor(POSITIVE))]:
    xgboost(f"xgboost_{objective.replace(':', '_')}", x=HOLES, y=y, objective=objective, ulps=1)

# Later versions call it gbtree and put the weights elsewhere: 3.3 beside the model, 3.4 into it.
if XGBOOST < (3, 3):
    dart = json.loads((FOLDER / "xgboost_dart.json").read_text())
    booster = dart["learner"]["gradient_booster"]
    for name, place in [("xgboost_dart_33", lambda made: made), ("xgboost_dart_34", lambda made: made["model"])]:
        made = {"name": "gbtree", "model": dict(booster["gbtree"]["model"])}
        place(made)["weight_drop"] = booster["weight_drop"]
        dart["learner"]["gradient_booster"] = made
        (FOLDER / f"{name}.json").write_text(json.dumps(dart))
        save(name, f"{name}.json", np.fromfile(FOLDER / "xgboost_dart.x").reshape(-1, COLUMNS), np.fromfile(FOLDER / "xgboost_dart.y"), 0)

# Early stopping: the wrapper obeys best_iteration in what it saved, Booster does not.
half, few = len(X) // 2, {"n_estimators": 200, "max_depth": 3, "n_jobs": 1, "learning_rate": 0.7}
stopped = xgb.XGBRegressor(early_stopping_rounds=5, **few)
stopped.fit(X[:half], Y[:half], eval_set=[(X[half:], Y[half:])], verbose=False)
rounds = stopped.get_booster().num_boosted_rounds()
assert stopped.best_iteration + 1 < rounds
stopped.save_model(FOLDER / "xgboost_stopped_wrapper.json")
stopped.get_booster().save_model(FOLDER / "xgboost_stopped_booster.json")
x = rows(X, {}, infinite=False)
wrapper = xgb.XGBRegressor()
wrapper.load_model(FOLDER / "xgboost_stopped_wrapper.json")
save("xgboost_stopped_wrapper", "xgboost_stopped_wrapper.json", x, wrapper.predict(x), 0)
whole = xgb.Booster(model_file=FOLDER / "xgboost_stopped_booster.json").predict(xgb.DMatrix(x))
save("xgboost_stopped_booster", "xgboost_stopped_booster.json", x, whole, 0)
assert (wrapper.predict(x) != whole).any()

xgb.train({"objective": "multi:softprob", "num_class": 3}, xgb.DMatrix(X, CLASSES), 2).save_model(FOLDER / "r4.json")
refuse("r4.json", "several outputs")
xgb.train({"booster": "gblinear"}, xgb.DMatrix(X, Y), 2).save_model(FOLDER / "r5.json")
refuse("r5.json", "gblinear")
xgb.train({}, xgb.DMatrix(X, np.stack([Y, Y], 1)), 2).save_model(FOLDER / "r6.json")
refuse("r6.json", "several outputs")
xgb.train({"objective": "survival:cox"}, xgb.DMatrix(X, POSITIVE), 2).save_model(FOLDER / "r7.json")
refuse("r7.json", "survival:cox")
xgb.train({}, xgb.DMatrix(X, Y), 2).save_model(FOLDER / "r8.ubj")
refuse("r8.ubj", "save it as JSON")
kinds = ["c" if i in (3, 7) else "float" for i in range(COLUMNS)]
table = CATEGORIES.copy()
table[:, 7] %= 60
xgb.train({"max_cat_to_onehot": 1, "tree_method": "hist"}, xgb.DMatrix(table, Y_CATEGORIES, feature_types=kinds, enable_categorical=True), 5).save_model(FOLDER / "r9.json")
refuse("r9.json", "categorical")

(FOLDER / "cases.txt").write_text("".join(f"{case}\n" for case in CASES))
