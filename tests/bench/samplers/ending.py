"""What `stop_when_converged` saves and costs where our own learners are fitted to real tables: each
search is run to its end and with it, by `bayesian` and one at a time. What ended early is found
again at the beginning of the whole search, or the two were not the same.
"""

import csv
import json
import pathlib
import statistics
import tempfile

from .fits import thinned, trials
from .folder import inside


def number(low, high, scale="linear", kind="float"):
    return {"type": kind, "min": low, "max": high, "scale": scale}


BOOSTING = {"n_estimators": number(5, 150, "log", "int"), "learning_rate": number(0.01, 0.6, "log"),
            "num_leaves": number(2, 24, kind="int"), "min_child_samples": number(1, 50, kind="int"),
            "reg_lambda": number(0.01, 30.0, "log")}
FOREST = {"n_estimators": number(5, 100, kind="int"), "max_depth": number(2, 20, kind="int"),
          "min_samples_leaf": number(1, 32, kind="int"), "max_features": number(0.05, 1.0)}
NET = {"alpha": number(1e-5, 10.0, "log"), "l1_ratio": number(0.0, 1.0)}
CLASSES, NUMBERS = ("classification", "log_loss"), ("regression", "root_mean_squared_error")

# The table, of whose rows every so many is taken; its target; what is measured, fitted and searched.
SEARCHES = [
    ("blood_transfusion", 1, "Class", CLASSES, "gradient_boosting", BOOSTING),
    ("wine_quality", 5, "quality", NUMBERS, "gradient_boosting", BOOSTING),
    ("abalone", 4, "rings", NUMBERS, "gradient_boosting", BOOSTING),
    ("credit_g", 1, "class", CLASSES, "random_forest", FOREST),
    ("abalone", 2, "rings", NUMBERS, "elastic_net", NET),
]


def table(binary, data, seeds, budget, say):
    print(f"| table | learner | parameters | of {budget} trials saved | regret, mean | worst |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, each, target, (task, metric), learner, space in SEARCHES:
        rows = inside(data, f"tabular/{name}.csv.gz")
        if rows is None:
            say(f"{name} is left out: {data} has no tabular/{name}.csv.gz")
            continue
        job = {"type": "sweep", "name": "ending", "target_column_name": target, "task": task,
               "search_space": space, "trial": {"learner": learner}, "n_cross_validations": 5,
               "sampling_algorithm": "bayesian",
               "objective": {"goal": "minimize", "primary_metric": metric}}
        found = [search(binary, job | {"seed": seed}, rows, each, budget) for seed in seeds]
        saved = 1.0 - sum(n for n, _ in found) / (len(found) * budget)
        regrets = [regret for _, regret in found]
        print(f"| {name} | {learner} | {len(space)} | {100 * saved:.0f} % | "
              f"{statistics.mean(regrets):.3f} | {max(regrets):.3f} |", flush=True)


def search(binary, job, rows, each, budget):
    """How many trials it took, and how much worse its best is than that of the whole search, as a
    share of how much worse the median of the first 20 is."""
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        job |= {"training_data": {"path": thinned(rows, each, place / "rows.csv")}}
        limits = {"max_total_trials": budget, "max_concurrent_trials": 1}
        whole = losses(binary, job | {"limits": limits}, place / "whole")
        ended = losses(binary, job | {"limits": limits | {"stop_when_converged": True}},
                       place / "ended")
    if ended != whole[:len(ended)]:
        raise SystemExit(f"{job['trial']} of seed {job['seed']}: not the same search")
    best = min(whole)
    return len(ended), (min(ended) - best) / (statistics.median(whole[:20]) - best)


def losses(binary, job, home):
    made = trials(binary, job["name"], json.dumps(job), home)
    with made.open(newline="") as file:
        return [float(row["value"]) for row in csv.DictReader(file)]
