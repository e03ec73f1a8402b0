"""Gradient boosting on one table, beside LightGBM: how long a large one takes, and how good trees
of default settings are on tabular data that people know.

The large table has 30 columns and 100 trees of 31 leaves and 255 bins; a fifth as many rows judge
both. Ours is the time of the one trial as `fleetfit trials` has it (binning, fit, prediction), for
`run` fits its winner once more and reads a file; its CPU time is half of `run`'s, reading included.
LightGBM bins, fits and predicts in this process, with a thread a core and with one: where others
use the machine, its threads wait for each other by spinning.

The tables of words have one column of 50 to 5,000 levels, even or as frequent as 1, 1/2, 1/3, …,
each with an effect of its own on a number or on the odds of a class, and three columns of numbers;
the same folds and defaults as below. Words that are drawn by chance say nothing: the same table with
no effects, several draws of it.

The tables of `--data DIR/tabular` have 3 folds that are columns, and both sides' defaults, which
are the same numbers. Texts are LightGBM's categories. The error is RMSE, or log loss for classes.
"""

import datetime
import itertools
import time

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import log_loss

N_FEATURES, TREES, LEAVES, BINS, N_FOLDS = 30, 100, 31, 255, 3
N_DRAWS = 12
# The target is the last column, where nothing else is said; none of these is a feature.
TABULAR = {
    "abalone": [], "adult": ["split"], "bank_marketing": [], "bike_sharing_hourly": ["dteday"],
    "blood_transfusion": [], "california_housing": [], "credit_g": [], "diamonds": [],
    "letter": [], "phoneme": [], "telco_churn": ["customerID"], "wine_quality": [],
}
NUMBERS = {"abalone", "bike_sharing_hourly", "california_housing", "diamonds", "wine_quality"}


def draw(n_rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, N_FEATURES))
    weights = np.random.default_rng(0).normal(size=N_FEATURES) * (np.arange(N_FEATURES) < 15)
    y = x @ weights + 2 * np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 1.5 * (x[:, 3] > 0.5)
    return x, y + rng.normal(size=n_rows)


def write(path, x, y):
    columns = {f"x{index}": x[:, index] for index in range(x.shape[1])}
    pq.write_table(pa.table(columns | {"y": y}), path)


def large(bench, n_rows):
    x, y = draw(n_rows, 1)
    x_valid, y_valid = draw(n_rows // 5, 2)
    write(bench.dir / "train.parquet", x, y)
    write(bench.dir / "valid.parquet", x_valid, y_valid)
    for turn in (1, 2):
        name = f"big-{turn}"
        whole, cpu, peak = bench.run(name, f"""type: sweep
name: {name}
training_data: {{path: train.parquet}}
validation_data: {{path: valid.parquet}}
target_column_name: y
task: regression
trial: {{learner: gradient_boosting}}
search_space: {{n_estimators: [{TREES}], num_leaves: [{LEAVES}], max_bin: [{BINS}]}}
sampling_algorithm: grid
objective: {{primary_metric: root_mean_squared_error}}
limits: {{max_total_trials: 1, timeout: 36000}}
seed: 1
""")
        trial, = bench.trials(name)
        began, ended = (datetime.datetime.fromisoformat(trial[key].replace("Z", "+00:00"))
                        for key in ("started", "ended"))
        seconds = (ended - began).total_seconds()
        for n_threads in (bench.cores, 1):
            their_seconds, their_cpu, error = by_lightgbm(n_threads, (x, y), (x_valid, y_valid))
            bench.row(f"{n_rows:,} rows × {N_FEATURES}, run {turn} beside LightGBM, threads: "
                      f"{n_threads}", (1, seconds, cpu / 2), (1, their_seconds, their_cpu),
                      f"{float(trial['value']) / error:.4f}")
        print(f"| the whole of `fleetfit run`, run {turn}: {whole:.1f} s, {cpu:.1f} s of CPU, "
              f"{peak / 2**20:,.0f} MiB | | | | | | |", flush=True)


def by_lightgbm(n_threads, train, valid):
    """Seconds, CPU seconds and RMSE."""
    began, began_cpu = time.perf_counter(), time.process_time()
    settings = {"objective": "regression", "num_leaves": LEAVES, "max_bin": BINS,
                "num_threads": n_threads, "verbose": -1}
    booster = lightgbm.train(settings, lightgbm.Dataset(*train), TREES)
    said = booster.predict(valid[0], num_threads=n_threads)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return seconds, cpu, np.sqrt(np.mean((valid[1] - said) ** 2))


def prepare(bench, name):
    """A table with its folds, and its target's name."""
    frame = bench.panel(f"tabular/{name}.csv.gz")
    if frame is None:
        return None
    target = frame.columns[-1]
    frame = frame.drop(columns=TABULAR[name]).dropna(subset=[target])
    if name not in NUMBERS:
        frame[target] = frame[target].astype(str)
    folds = np.random.default_rng(7).permutation(len(frame)) % N_FOLDS
    return frame.reset_index(drop=True), target, folds


def ours(bench, name, frame, target, folds, is_number):
    marked = frame.assign(**{f"fold__{fold}": (folds == fold).astype(int)
                             for fold in range(N_FOLDS)})
    marked.to_parquet(bench.dir / "table.parquet", index=False)
    study = name.replace("_", "-")
    bench.run(study, f"""type: sweep
name: {study}
training_data: {{path: table.parquet}}
target_column_name: "{target}"
task: {"regression" if is_number else "classification"}
cv_split_column_names: [{", ".join(f"fold__{fold}" for fold in range(N_FOLDS))}]
trial: {{learner: gradient_boosting}}
objective: {{primary_metric: {"root_mean_squared_error" if is_number else "log_loss"}}}
limits: {{max_total_trials: 1, timeout: 36000}}
seed: 1
""")
    trial, = bench.trials(study)
    if trial["state"] != "completed":
        raise SystemExit(f"{name}: {trial['reason']}")
    return float(trial["value"])


def theirs(bench, name, frame, target, folds, is_number):
    x = frame.drop(columns=target)
    texts = [column for column in x if not np.issubdtype(x[column].dtype, np.number)]
    x = x.astype(dict.fromkeys(texts, "category"))
    y, errors = frame[target].to_numpy(), []
    for fold in range(N_FOLDS):
        train, valid = folds != fold, folds == fold
        kind = lightgbm.LGBMRegressor if is_number else lightgbm.LGBMClassifier
        model = kind(verbose=-1, n_jobs=1).fit(x[train], y[train])
        if is_number:
            errors.append(np.sqrt(np.mean((y[valid] - model.predict(x[valid])) ** 2)))
        else:
            errors.append(log_loss(y[valid], model.predict_proba(x[valid]), labels=model.classes_))
    return float(np.mean(errors))


def tabular(bench):
    """A table of its own: each set's errors, then mean rank and mean ratio."""
    found = []
    for name in TABULAR:
        prepared = prepare(bench, name)
        if prepared is None:
            return
        if bench.is_quick and len(prepared[0]) > 10_000:
            continue
        if not found:
            print()
            bench.head("tabular set | rows | error, ours | error, LightGBM | ratio")
        one, other = (by(bench, name, *prepared, name in NUMBERS) for by in (ours, theirs))
        found.append((one, other))
        print(f"| {name} | {len(prepared[0]):,} | {one:.5g} | {other:.5g} | {one / other:.4f} |",
              flush=True)
    ranks = [1 if one < other else 2 if one > other else 1.5 for one, other in found]
    ratio = np.exp(np.mean([np.log(one / other) for one, other in found]))
    rank = np.mean(ranks)
    print(f"| mean rank, and geometric mean of the ratios | | {rank:.2f} | {3 - rank:.2f} | "
          f"{ratio:.4f} |", flush=True)


def draw_words(n_rows, n_levels, is_even, is_number, size=2, seed=0):
    """A table with its folds, and its target's name; `size` is that of the words' effects."""
    rng = np.random.default_rng(n_rows + n_levels + 1_000_000 * seed)
    shares = 1 / np.arange(1, n_levels + 1)
    words = (rng.integers(0, n_levels, n_rows) if is_even
             else rng.choice(n_levels, n_rows, p=shares / shares.sum()))
    x, effects = rng.normal(size=(n_rows, 3)), size * rng.normal(size=n_levels)
    slopes = rng.normal(size=n_levels) if size else np.ones(n_levels)
    y = effects[words] + np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * (slopes[words] > 0)
    y += rng.normal(size=n_rows)
    if not is_number:
        odds = np.random.default_rng(n_rows + n_levels + 99 + 1_000_000 * seed)
        y = (odds.random(n_rows) < 1 / (1 + np.exp(-y))).astype(int).astype(str)
    frame = pd.DataFrame({"word": [f"w{word:05}" for word in words]})
    frame = frame.assign(**{f"x{index}": x[:, index] for index in range(3)}, y=y)
    return frame, "y", np.random.default_rng(1).permutation(n_rows) % N_FOLDS


def words(bench):
    print()
    bench.head("levels | rows | frequent | target | error, ours | error, LightGBM | ratio")
    sizes = [(50, 3_000), (300, 6_000), (1_000, 5_000), (1_000, 30_000), (5_000, 50_000)]
    for n_levels, n_rows in sizes[:3] if bench.is_quick else sizes:
        for is_even, is_number in itertools.product((True, False), repeat=2):
            how, kind = "even" if is_even else "1/n", "number" if is_number else "class"
            name = f"words-{n_levels}-{n_rows}-{'even' if is_even else 'steep'}-{kind}"
            drawn = draw_words(n_rows, n_levels, is_even, is_number)
            one, other = (by(bench, name, *drawn, is_number) for by in (ours, theirs))
            print(f"| {n_levels:,} | {n_rows:,} | {how} | {kind} | {one:.5g} | {other:.5g} | "
                  f"{one / other:.4f} |", flush=True)


def chance(bench):
    """Words that say nothing: the ratios' geometric mean, and the largest."""
    print()
    bench.head("words of chance, levels | rows | target | draws | ratio of the errors | largest")
    n_draws = 2 if bench.is_quick else N_DRAWS
    for n_rows, n_levels, is_number in itertools.product((750, 3_000), (30, 90, 200), (True, False)):
        kind, ratios = "number" if is_number else "class", []
        for seed in range(1, n_draws + 1):
            name = f"chance-{n_levels}-{n_rows}-{kind}-{seed}"
            drawn = draw_words(n_rows, n_levels, True, is_number, size=0, seed=seed)
            one, other = (by(bench, name, *drawn, is_number) for by in (ours, theirs))
            ratios.append(one / other)
        print(f"| {n_levels} | {n_rows:,} | {kind} | {n_draws} | {np.exp(np.mean(np.log(ratios))):.4f} "
              f"| {max(ratios):.4f} |", flush=True)


def run(bench):
    large(bench, 50_000 if bench.is_quick else 500_000)
    words(bench)
    chance(bench)
    tabular(bench)
