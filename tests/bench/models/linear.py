"""Ridge, elastic net and logistic regression on many small entities, beside scikit-learn.

100 alphas and 5 folds (10 values of C for logistic regression), 730 rows × 20 features, features
standardised on the training rows of each fold. Folds are columns of the data, so both sides have
the same. The error ratio compares the best mean over the folds, ours over theirs.
"""

import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, ElasticNetCV, LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N_ROWS, N_FEATURES, N_FOLDS = 730, 20, 5
NAMES = [f"x{index}" for index in range(N_FEATURES)]
RIDGE_ALPHAS = np.logspace(-3, 4, 100).tolist()
NET_ALPHAS = np.logspace(-3, 0.5, 100).tolist()
CS = np.logspace(-3, 2, 10).tolist()


def draw(entity):
    """Correlated features of several sizes, a sparse truth, noise; and each row's fold."""
    rng = np.random.default_rng(entity)
    factors = rng.normal(size=(N_ROWS, 4))
    x = factors @ rng.normal(size=(4, N_FEATURES)) * 0.5 + rng.normal(size=(N_ROWS, N_FEATURES))
    weights = rng.normal(size=N_FEATURES) * (rng.random(N_FEATURES) < 0.5)
    y = 10 + x @ weights + rng.normal(size=N_ROWS) * 2
    x = x * 10.0 ** rng.integers(-2, 3, N_FEATURES) + rng.normal(size=N_FEATURES) * 5
    folds = rng.permutation(N_ROWS) % N_FOLDS
    return x, y, folds


def write(path, entities, target="y"):
    x, y, folds = (np.concatenate(parts) for parts in zip(*map(draw, entities)))
    columns = {"shop": np.repeat(np.array(entities), N_ROWS)}
    columns |= {name: x[:, index] for index, name in enumerate(NAMES)}
    columns |= {f"fold{fold}": (folds == fold).astype(np.int64) for fold in range(N_FOLDS)}
    columns[target] = np.where(y > 10, "yes", "no") if target == "is_high" else y
    pq.write_table(pa.table(columns), path)


def job(name, learner, space, metric="root_mean_squared_error", target="y"):
    n = max(len(values) for values in space.values())
    task = "classification" if target == "is_high" else "regression"
    return f"""type: sweep
name: {name}
training_data: {{path: fleet.parquet}}
target_column_name: {target}
task: {task}
partition_column_names: [shop]
cv_split_column_names: [{", ".join(f"fold{fold}" for fold in range(N_FOLDS))}]
trial: {{learner: {learner}}}
search_space: {json.dumps(space)}
sampling_algorithm: grid
objective: {{goal: minimize, primary_metric: {metric}}}
limits: {{max_total_trials: {n}, timeout: 36000}}
seed: 1
"""


def ridge(entity):
    x, y, folds = draw(entity)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": RIDGE_ALPHAS},
        cv=PredefinedSplit(folds), scoring="neg_root_mean_squared_error",
    )
    return -search.fit(x, y).best_score_


def ridge_leave_one_out(entity):
    x, y, _ = draw(entity)
    make_pipeline(StandardScaler(), RidgeCV(RIDGE_ALPHAS)).fit(x, y)


def elastic_net(entity):
    x, y, folds = draw(entity)
    net = ElasticNetCV(alphas=NET_ALPHAS, cv=PredefinedSplit(folds))
    net.fit(StandardScaler().fit_transform(x), y)
    return net.mse_path_.mean(axis=1).min()


def logistic(entity):
    x, y, folds = draw(entity)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": CS},
        cv=PredefinedSplit(folds), scoring="neg_log_loss",
    )
    return -search.fit(x, y > 10).best_score_


def run(bench):
    warnings.simplefilter("ignore", ConvergenceWarning)
    n, n_slow = (100, 10) if bench.is_quick else (1_000, 50)
    entities, few = list(range(n)), list(range(n_slow))
    parts = [
        ("ridge", {"alpha": RIDGE_ALPHAS}, "root_mean_squared_error", "y",
         [("GridSearchCV", ridge, few), ("RidgeCV, leave-one-out", ridge_leave_one_out, entities)]),
        ("elastic_net", {"alpha": NET_ALPHAS}, "mean_squared_error", "y",
         [("ElasticNetCV", elastic_net, few)]),
        ("logistic_regression", {"C": CS}, "log_loss", "is_high",
         [("GridSearchCV", logistic, few)]),
    ]
    alone = []
    for learner, space, metric, target, peers in parts:
        name = learner.replace("_", "-")
        write(bench.dir / "fleet.parquet", entities, target)
        seconds, cpu, best = bench.ours(name, job(name, learner, space, metric, target))
        own = bench.elapsed(name) / n
        for peer, act, chosen in peers:
            their_seconds, their_cpu, values = bench.theirs(act, chosen)
            ratios = [best[entity]["value"] / value
                      for entity, value in zip(chosen, values) if value is not None]
            errors = f"{np.mean(ratios):.6f}" if ratios else "(other folds)"
            bench.row(f"{learner} beside {peer}", (n, seconds, cpu),
                      (len(chosen), their_seconds, their_cpu), errors)
            ratio = their_seconds / len(chosen) / own
            alone.append(f"{learner} beside {peer}: {own * 1e3:.2f} ms, time ratio {ratio:.1f}")
    print("\nWithout starting and reading the file, which theirs are timed without:\n")
    print("\n".join(alone), flush=True)
    coefficients(bench, few[:10])


def coefficients(bench, entities):
    """Both at a tolerance of 1e-10: the largest difference, as a share of the largest weight."""
    write(bench.dir / "fleet.parquet", entities)
    # What a line says of no features, and of each one alone.
    probe = np.vstack([np.zeros(N_FEATURES), np.eye(N_FEATURES)])
    columns = {"shop": np.repeat(np.array(entities), len(probe))}
    columns |= {name: np.tile(probe[:, index], len(entities)) for index, name in enumerate(NAMES)}
    pq.write_table(pa.table(columns), bench.dir / "probe.parquet")
    exact = {"tol": 1e-10, "max_iter": 1_000_000}
    cases = [
        ("ridge", {"alpha": 3.0}, {}, Ridge(alpha=3.0)),
        ("lasso", {"alpha": 0.05}, exact, ElasticNet(alpha=0.05, l1_ratio=1.0, **exact)),
        ("elastic_net", {"alpha": 0.05}, exact, ElasticNet(alpha=0.05, **exact)),
    ]
    print()
    for learner, space, fixed, theirs in cases:
        name = f"exact-{learner.replace('_', '-')}"
        space = {key: [value] for key, value in (space | fixed).items()}
        bench.ours(name, job(name, learner, space))
        lines = bench.fleetfit("predict", name, "--data", str(bench.dir / "probe.parquet"),
                               "--output", "json").splitlines()
        said = np.array([json.loads(line)["prediction"] for line in lines]).reshape(len(entities), -1)
        worst = 0.0
        for entity, said in zip(entities, said):
            x, y, _ = draw(entity)
            scaler = StandardScaler().fit(x)
            expected = theirs.fit(scaler.transform(x), y).coef_
            found = (said[1:] - said[0]) * scaler.scale_
            worst = max(worst, np.abs(found - expected).max() / np.abs(expected).max())
        print(f"{learner}: coefficients differ from scikit-learn's by {worst:.1e}", flush=True)
        if worst > 1e-6:
            raise SystemExit(f"{learner}: the coefficients are not scikit-learn's")
