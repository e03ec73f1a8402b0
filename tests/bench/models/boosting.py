"""Gradient boosting on many small entities, beside LightGBM, XGBoost and scikit-learn.

16 configurations, 3 folds, 100 trees of depth 5 and 31 leaves, 63 bins; each fold is a column of
the data, so both sides have the same. LightGBM bins an entity once and takes its folds as subsets
of that, as `lightgbm.cv` does; XGBoost bins each fold once; scikit-learn bins at each fit. A model
is one fit on one fold with its predictions; ours also refits each entity's best one on all rows,
which is not counted as a model. The error is each entity's best mean RMSE over the folds, ours over
theirs, as mean over the entities.
"""

import itertools
import json

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from sklearn.ensemble import HistGradientBoostingRegressor

N_ROWS, N_FEATURES, N_FOLDS = 730, 20, 3
TREES, DEPTH, LEAVES, BINS = 100, 5, 31, 63
SPACE = {"learning_rate": [0.05, 0.1, 0.15, 0.2], "min_child_samples": [5, 20],
         "reg_lambda": [0.0, 5.0]}
CONFIGURATIONS = [dict(zip(SPACE, values)) for values in itertools.product(*SPACE.values())]
COUNTS = list(range(10, TREES + 1, 10))


def draw(entity):
    """Lines, a wave, a product and a step, and noise; each row's fold."""
    rng = np.random.default_rng(entity)
    x = rng.normal(size=(N_ROWS, N_FEATURES))
    weights = rng.normal(size=N_FEATURES) * (np.arange(N_FEATURES) < N_FEATURES // 2)
    y = x @ weights + 2 * np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 1.5 * (x[:, 3] > 0.5)
    return x, y + rng.normal(size=N_ROWS), rng.permutation(N_ROWS) % N_FOLDS


def of_panel(frame, keys, target):
    """The entities of a table of numbers, their folds drawn."""
    features = frame.drop(columns=[*keys, target]).astype(float)
    rng = np.random.default_rng(1)
    found = []
    for rows in frame.groupby(keys, sort=True).indices.values():
        folds = rng.permutation(len(rows)) % N_FOLDS
        found.append((features.to_numpy()[rows], frame[target].to_numpy(float)[rows], folds))
    return found


def dominicks(bench):
    frame = bench.panel("panels/dominicks_oj_weekly.csv.gz")
    # How much was earned is known when the week is over, and no feature.
    return None if frame is None else of_panel(frame.drop(columns="profit"), ["store", "brand"],
                                               "logmove")


def rossmann(bench):
    frame = bench.panel("panels/rossmann100_daily.csv.gz")
    if frame is None:
        return None
    import pandas as pd

    date = pd.to_datetime(frame.pop("Date")).dt
    frame["day"], frame["month"], frame["year"] = date.day, date.month, date.year
    frame["day_of_year"] = date.dayofyear
    frame["StateHoliday"] = frame["StateHoliday"].astype(str).map("0abc".index)
    return of_panel(frame.drop(columns="Customers"), ["Store"], "Sales")


def write(path, entities):
    x, y, folds = (np.concatenate(parts) for parts in zip(*entities))
    numbers = np.arange(len(entities))
    columns = {"shop": np.repeat(numbers, [len(part[1]) for part in entities])}
    columns |= {f"x{index}": x[:, index] for index in range(x.shape[1])}
    columns |= {f"fold{fold}": (folds == fold).astype(np.int64) for fold in range(N_FOLDS)}
    pq.write_table(pa.table(columns | {"y": y}), path)


def job(name, counts):
    fixed = {"n_estimators": counts, "max_depth": [DEPTH], "num_leaves": [LEAVES],
             "max_bin": [BINS]}
    return f"""type: sweep
name: {name}
training_data: {{path: {name}.parquet}}
target_column_name: y
task: regression
partition_column_names: [shop]
cv_split_column_names: [{", ".join(f"fold{fold}" for fold in range(N_FOLDS))}]
trial: {{learner: gradient_boosting}}
search_space: {json.dumps(SPACE | fixed)}
sampling_algorithm: grid
objective: {{goal: minimize, primary_metric: root_mean_squared_error}}
limits: {{max_total_trials: {len(CONFIGURATIONS) * len(counts)}, timeout: 36000}}
seed: 1
"""


def rmse(truth, said):
    return float(np.sqrt(np.mean((truth - said) ** 2)))


def of_lightgbm(entity, search):
    """The best mean RMSE, where `search(settings, data, x)` yields forecasts of each candidate."""
    x, y, folds = entity
    # With feature_pre_filter the leaves' least rows could not vary over one Dataset.
    fixed = {"objective": "regression", "max_depth": DEPTH, "num_leaves": LEAVES, "max_bin": BINS,
             "num_threads": 1, "verbose": -1, "force_col_wise": True, "feature_pre_filter": False}
    whole = lightgbm.Dataset(x, y, params=fixed, free_raw_data=False).construct()
    errors = []
    for fold in range(N_FOLDS):
        train, valid = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        data = whole.subset(train).construct()
        errors.append([rmse(y[valid], said) for configuration in CONFIGURATIONS
                       for said in search(fixed | configuration, data, x[valid])])
    return np.mean(errors, axis=0).min()


def fit(settings, data, x):
    yield lightgbm.train(settings, data, TREES).predict(x, num_threads=1)


def refit_each_count(settings, data, x):
    for count in COUNTS:
        yield lightgbm.train(settings, data, count).predict(x, num_threads=1)


def cut_at_each_count(settings, data, x):
    booster = lightgbm.train(settings, data, TREES)
    for count in COUNTS:
        yield booster.predict(x, num_iteration=count, num_threads=1)


def by_lightgbm(entity):
    return of_lightgbm(entity, fit)


def by_lightgbm_refitting(entity):
    return of_lightgbm(entity, refit_each_count)


def by_lightgbm_cutting(entity):
    return of_lightgbm(entity, cut_at_each_count)


def by_xgboost(entity):
    x, y, folds = entity
    errors = []
    for fold in range(N_FOLDS):
        train, valid = folds != fold, folds == fold
        data = xgboost.QuantileDMatrix(x[train], y[train], max_bin=BINS, nthread=1)
        for one in CONFIGURATIONS:
            # The curvature of a squared error is 1 a row.
            settings = {"tree_method": "hist", "max_depth": DEPTH, "max_leaves": LEAVES,
                        "max_bin": BINS, "nthread": 1, "eta": one["learning_rate"],
                        "min_child_weight": one["min_child_samples"], "lambda": one["reg_lambda"]}
            said = xgboost.train(settings, data, TREES).inplace_predict(x[valid])
            errors.append(rmse(y[valid], said))
    return np.reshape(errors, (N_FOLDS, -1)).mean(axis=0).min()


def by_sklearn(entity):
    x, y, folds = entity
    errors = []
    for fold in range(N_FOLDS):
        train, valid = folds != fold, folds == fold
        for one in CONFIGURATIONS:
            model = HistGradientBoostingRegressor(
                max_iter=TREES, max_depth=DEPTH, max_leaf_nodes=LEAVES, max_bins=BINS,
                learning_rate=one["learning_rate"], min_samples_leaf=one["min_child_samples"],
                l2_regularization=one["reg_lambda"], early_stopping=False,
            )
            errors.append(rmse(y[valid], model.fit(x[train], y[train]).predict(x[valid])))
    return np.reshape(errors, (N_FOLDS, -1)).mean(axis=0).min()


def compare(bench, name, entities, counts, peers):
    """`peers` are a name, what it does, and how many entities it does it for."""
    write(bench.dir / f"{name}.parquet", entities)
    seconds, cpu, best = bench.ours(name, job(name, counts))
    (bench.dir / f"{name}.parquet").unlink()
    each = len(CONFIGURATIONS) * len(counts) * N_FOLDS
    for peer, act, n in peers:
        # Spread over the whole table, so that both sides have the same mix.
        chosen = list(range(0, len(entities), max(1, len(entities) // n)))[:n]
        their_seconds, their_cpu, values = bench.theirs(act, [entities[index] for index in chosen])
        errors = np.mean([best[index]["value"] / value for index, value in zip(chosen, values)])
        bench.row(f"{name} beside {peer}", (len(entities) * each, seconds, cpu),
                  (n * each, their_seconds, their_cpu), f"{errors:.4f}")


def run(bench):
    n = bench.entities or (60 if bench.is_quick else 1_000)
    n_theirs, n_slow, n_search = (10, 4, 2) if bench.is_quick else (60, 8, 6)
    entities = [draw(entity) for entity in range(n)]
    panels = {"dominicks_oj_weekly": dominicks, "rossmann100_daily": rossmann}
    if bench.wants("synthetic"):
        compare(bench, "synthetic", entities, [TREES], [
            ("LightGBM", by_lightgbm, n_theirs), ("XGBoost", by_xgboost, n_slow),
            ("HistGradientBoosting", by_sklearn, n_slow)])
    for name, read in panels.items():
        panel = read(bench) if bench.wants(name) else None
        if panel is not None:
            panel = panel[::10] if bench.is_quick else panel
            n_panel = min(len(panel), n_theirs)
            compare(bench, name, panel, [TREES], [("LightGBM", by_lightgbm, n_panel)])
    # Each of 10 numbers of trees counts as a model.
    if not bench.wants("with-n_estimators"):
        return
    compare(bench, "with-n_estimators", entities[:max(1, n // 4)], COUNTS, [
        ("LightGBM, each number fitted", by_lightgbm_refitting, n_search),
        ("LightGBM, cut at each number", by_lightgbm_cutting, n_search)])
