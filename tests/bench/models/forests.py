"""Random forests and extra trees beside scikit-learn's, one thread a process.

Many small entities: 4 configurations, 3 folds that are columns of the data, 100 trees grown to their
leaves; a model is one fit on one fold with its predictions, and the error each entity's best mean
RMSE (or share of wrong classes) over the folds, ours over theirs, as mean over the entities that
theirs did. Once more with 10 numbers of trees, each of which scikit-learn fits.

One table of 20,000 rows: ours is the CPU time of `fleetfit run` less that of one tree, for `run` fits
its winner once more; half of it is one fit. Tables of `--data DIR/tabular`: both sides' defaults over
3 folds; RMSE, or the share of wrong classes and one less the area under the curve. scikit-learn reads
texts as ordinal numbers.
"""

import json

import numpy as np
from sklearn.ensemble import (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier,
                              RandomForestRegressor)
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OrdinalEncoder

from .big import NUMBERS, prepare
from .boosting import N_FOLDS, draw, rmse, write

TREES, COUNTS = 100, list(range(10, 101, 10))
SPACE = {"max_features": [0.5, 1.0], "min_samples_leaf": [1, 5]}
CONFIGURATIONS = [{"max_features": share, "min_samples_leaf": leaf}
                  for share in SPACE["max_features"] for leaf in SPACE["min_samples_leaf"]]
LEARNERS = {("random_forest", True): RandomForestRegressor,
            ("random_forest", False): RandomForestClassifier,
            ("extra_trees", True): ExtraTreesRegressor,
            ("extra_trees", False): ExtraTreesClassifier}
TABULAR = ["california_housing", "diamonds", "adult", "letter", "credit_g"]


def as_classes(entities):
    """Whether the target is above its median."""
    return [(x, (y > np.median(y)).astype(int), folds) for x, y, folds in entities]


def job(name, learner, is_number, space, n_trials, folds="", metric=None, partition="shop"):
    metric = metric or ("root_mean_squared_error" if is_number else "accuracy")
    partition = f"partition_column_names: [{partition}]" if partition else ""
    return f"""type: sweep
name: {name}
training_data: {{path: {name}.parquet}}
target_column_name: y
task: {"regression" if is_number else "classification"}
{partition}
{folds or "cv_split_column_names: [fold0, fold1, fold2]"}
trial: {{learner: {learner}}}
search_space: {json.dumps(space)}
sampling_algorithm: grid
objective: {{primary_metric: {metric}}}
limits: {{max_total_trials: {n_trials}, timeout: 36000}}
seed: 1
"""


def by_sklearn(learner, is_number, counts, entity):
    x, y, folds = entity
    kind, errors = LEARNERS[learner, is_number], []
    for fold in range(N_FOLDS):
        train, valid = folds != fold, folds == fold
        own = []
        for count in counts:
            for configuration in CONFIGURATIONS:
                model = kind(count, n_jobs=1, random_state=fold, **configuration)
                said = model.fit(x[train], y[train]).predict(x[valid])
                own.append(rmse(y[valid], said) if is_number else np.mean(y[valid] != said))
        errors.append(own)
    return np.mean(errors, axis=0).min()


class BySklearn:
    """Something that a worker can be sent."""

    def __init__(self, *fixed):
        self.fixed = fixed
        self.__module__ = __name__

    def __call__(self, entity):
        return by_sklearn(*self.fixed, entity)


def small(bench, name, learner, is_number, entities, counts, n_theirs):
    if not bench.wants(name):
        return
    write(bench.dir / f"{name}.parquet", entities)
    space = SPACE | {"n_estimators": counts}
    n_trials = len(CONFIGURATIONS) * len(counts)
    seconds, cpu, best = bench.ours(name, job(name, learner, is_number, space, n_trials))
    chosen = list(range(0, len(entities), max(1, len(entities) // n_theirs)))[:n_theirs]
    their_seconds, their_cpu, values = bench.theirs(
        BySklearn(learner, is_number, counts), [entities[index] for index in chosen])
    own = [best[index]["value"] if is_number else 1 - best[index]["value"] for index in chosen]
    # Shares of wrong classes are few rows each: their means are compared.
    error = np.mean(np.array(own) / values) if is_number else np.mean(own) / np.mean(values)
    each = n_trials * N_FOLDS
    bench.row(f"{name} beside scikit-learn", (len(entities) * each, seconds, cpu),
              (len(chosen) * each, their_seconds, their_cpu), f"{error:.4f}")


def large(bench, name, learner, is_number, n_rows):
    if not bench.wants(name):
        return
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n_rows, 20))
    y = x[:, :10] @ rng.normal(size=10) + 2 * np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]
    y = y + rng.normal(size=n_rows)
    y = y if is_number else (y > 0).astype(int)
    folds = np.arange(n_rows) % N_FOLDS
    write(bench.dir / f"{name}.parquet", [(x, y, folds)])
    split = "cv_split_column_names: [fold0]"

    def run(n_trees):
        whole = bench.ours(f"{name}-{n_trees}", job(name, learner, is_number,
                           {"n_estimators": [n_trees]}, 1, split).replace(
                               f"name: {name}\n", f"name: {name}-{n_trees}\n"))
        return whole[0], whole[1], next(iter(whole[2].values()))["value"]

    (idle, idle_cpu, _), (seconds, cpu, value) = run(1), run(TREES)
    # Two fits on two thirds and on all of the rows: one on two thirds is two fifths of them.
    seconds, cpu = (seconds - idle) * 0.4, (cpu - idle_cpu) * 0.4
    their_seconds, their_cpu, (error,) = bench.theirs(One(learner, is_number), [(x, y, folds)])
    own = value if is_number else 1 - value
    bench.row(f"{name}: {n_rows:,} rows × 20", (1, seconds, cpu), (1, their_seconds, their_cpu),
              f"{own / error:.4f}")


class One:
    """One fit of scikit-learn's on two thirds of the rows: its error on the others."""

    def __init__(self, learner, is_number):
        self.learner, self.is_number = learner, is_number
        self.__module__ = __name__

    def __call__(self, table):
        x, y, folds = table
        train, valid = folds != 0, folds == 0
        model = LEARNERS[self.learner, self.is_number](TREES, n_jobs=1, random_state=0)
        said = model.fit(x[train], y[train]).predict(x[valid])
        return rmse(y[valid], said) if self.is_number else np.mean(y[valid] != said)


def tabular_ours(bench, name, learner, frame, target, folds, metric):
    # A set may have a feature of this name.
    marked = frame.rename(columns=lambda own: "y" if own == target else f"x_{own}")
    marked = marked.assign(**{f"fold{fold}": (folds == fold).astype(int)
                              for fold in range(N_FOLDS)})
    study = f"{name}-{learner}-{metric}".replace("_", "-").lower()
    marked.to_parquet(bench.dir / f"{study}.parquet", index=False)
    bench.run(study, job(study, learner, name in NUMBERS, {"n_estimators": [TREES]}, 1,
                         metric=metric, partition=None))
    trial, = bench.trials(study)
    if trial["state"] != "completed":
        raise SystemExit(f"{name}: {trial['reason']}")
    return float(trial["value"])


def tabular_theirs(name, learner, frame, target, folds):
    x = frame.drop(columns=target)
    texts = [column for column in x if not np.issubdtype(x[column].dtype, np.number)]
    if texts:
        x[texts] = OrdinalEncoder().fit_transform(x[texts])
    x, y, errors = x.to_numpy(float), frame[target].to_numpy(), []
    for fold in range(N_FOLDS):
        train, valid = folds != fold, folds == fold
        kind = LEARNERS[learner, name in NUMBERS]
        model = kind(TREES, n_jobs=1, random_state=fold).fit(x[train], y[train])
        if name in NUMBERS:
            errors.append((rmse(y[valid], model.predict(x[valid])),))
        else:
            shares = model.predict_proba(x[valid])
            wrong = np.mean(model.classes_[shares.argmax(axis=1)] != y[valid])
            if len(model.classes_) == 2:
                area = roc_auc_score(y[valid], shares[:, 1])
            else:
                area = roc_auc_score(y[valid], shares, multi_class="ovr", average="weighted")
            errors.append((wrong, 1 - area))
    return np.mean(errors, axis=0)


def tabular(bench):
    wanted = [name for name in TABULAR if bench.wants(name)]
    for name in wanted:
        prepared = prepare(bench, name)
        if prepared is None:
            return
        if name == wanted[0]:
            print()
            bench.head("tabular set | rows | error, ours | error, scikit-learn | ratio")
        if bench.is_quick and len(prepared[0]) > 30_000:
            continue
        for learner in ("random_forest", "extra_trees"):
            theirs = tabular_theirs(name, learner, *prepared)
            if name in NUMBERS:
                metrics = [("RMSE", "root_mean_squared_error")]
            else:
                metrics = [("wrong", "accuracy"), ("1 - AUC", "auc_weighted")]
            for (what, metric), other in zip(metrics, theirs):
                value = tabular_ours(bench, name, learner, *prepared, metric)
                own = value if name in NUMBERS else 1 - value
                print(f"| {name}, {learner}, {what} | {len(prepared[0]):,} | {own:.5g} | "
                      f"{other:.5g} | {own / other:.4f} |", flush=True)


def run(bench):
    n = bench.entities or (20 if bench.is_quick else 200)
    n_theirs = 4 if bench.is_quick else 12
    entities = [draw(entity) for entity in range(n)]
    classes = as_classes(entities)
    for learner in ("random_forest", "extra_trees"):
        short = learner.replace("_", "-")
        small(bench, short, learner, True, entities, [TREES], n_theirs)
        small(bench, f"{short}-classes", learner, False, classes, [TREES], n_theirs)
    small(bench, "with-n_estimators".replace("_", "-"), "random_forest", True,
          entities[:max(4, n // 4)], COUNTS, n_theirs // 4)
    for learner in ("random_forest", "extra_trees"):
        short = learner.replace("_", "-")
        large(bench, f"{short}-large", learner, True, 20_000)
        large(bench, f"{short}-large-classes", learner, False, 20_000)
    tabular(bench)
