"""Real fits: what our own learners come to on real tables, 5 folds each. A problem is a grid of
configurations, each fitted once by `fleetfit run`, and looked up from then on; its axes are whole
numbers, the places in a list of levels, and words. Each seed has a window of its own, which leaves
out a quarter of an axis's levels, so that the best and the typical configuration differ.

The tables lie beside the results, one CSV file each, as `fleetfit export` wrote it.
"""

import csv
import functools
import gzip
import hashlib
import itertools
import json
import math
import pathlib
import resource
import subprocess
import tempfile
from dataclasses import dataclass

from .folder import inside
from .problems import Instance, Problem
from .space import Whole, Words

TREES = [5, 10, 20, 30, 45, 70, 100, 150]
BOOSTING = {"n_estimators": TREES, "learning_rate": [0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6],
            "num_leaves": [2, 3, 5, 8, 14, 24], "min_child_samples": [1, 3, 8, 20, 50],
            "reg_lambda": [0.01, 0.3, 3.0, 30.0], "colsample_bytree": [0.5, 1.0]}
FOREST = {"n_estimators": TREES, "max_depth": [2, 3, 5, 8, 12, 20],
          "min_samples_leaf": [1, 2, 4, 8, 16, 32], "max_features": [0.05, 0.1, 0.2, 0.4, 0.7, 1.0],
          "max_samples": [0.3, 0.5, 0.7, 1.0], "criterion": ["gini", "entropy"]}
TREE = {"max_depth": [1, 2, 3, 4, 6, 8, 12], "min_samples_leaf": [1, 3, 8, 16, 32, 64, 96],
        "max_features": [0.25, 0.5, 0.75, 1.0]}
KNN = {"n_neighbors": [1, 2, 3, 5, 8, 12, 18, 26, 38, 55, 80, 110],
       "weights": ["uniform", "distance"], "p": [1, 2]}
SMALL_BOOSTING = BOOSTING | {"learning_rate": [0.02, 0.05, 0.12, 0.3], "num_leaves": [2, 4, 8, 16],
                             "min_child_samples": [2, 8, 20, 50], "reg_lambda": [0.1, 10.0]}
SMALL_FOREST = FOREST | {"max_depth": [3, 5, 8, 12], "min_samples_leaf": [1, 4, 12, 32],
                         "max_features": [0.25, 0.5, 1.0], "max_samples": [0.3, 0.6, 1.0]}
TENS = [10.0 ** (power / 2) for power in range(-6, 7)]
CLASSES = ("classification", "log_loss")
NUMBERS = ("regression", "root_mean_squared_error")
FAMILY = "real"


@dataclass(frozen=True, eq=False)
class Table:
    """So many of a set's rows, and what is searched: the levels of each learner's parameters."""
    name: str
    rows: str
    each: int
    target: str
    goal: tuple
    learners: dict

    def path(self, folder):
        digest = hashlib.sha256(self.job("").encode()).hexdigest()[:8]
        return pathlib.Path(folder) / f"{self.name}-{digest}.csv"

    def job(self, rows):
        """The job file of the whole grid."""
        branches = [{"learner": learner, **levels} for learner, levels in self.learners.items()]
        is_one = len(branches) == 1
        space = ({key: of for key, of in branches[0].items() if key != "learner"} if is_one
                 else {"learner": {"type": "choice", "values": branches}})
        task, metric = self.goal
        return json.dumps({
            "type": "sweep", "name": self.name, "training_data": {"path": rows},
            "target_column_name": self.target, "task": task, "search_space": space,
            "trial": {"learner": branches[0]["learner"] if is_one
                      else "${{search_space.learner}}"},
            "sampling_algorithm": "grid", "n_cross_validations": 5, "seed": 1,
            "objective": {"goal": "minimize", "primary_metric": metric}})

    def n_points(self):
        return sum(math.prod(map(len, levels.values())) for levels in self.learners.values())


TABLES = (
    Table("boosting_blood", "blood_transfusion", 1, "Class", CLASSES,
          {"gradient_boosting": BOOSTING}),
    Table("boosting_wine", "wine_quality", 5, "quality", NUMBERS,
          {"gradient_boosting": BOOSTING}),
    Table("forest_credit", "credit_g", 1, "class", CLASSES, {"random_forest": FOREST}),
    Table("learners_blood", "blood_transfusion", 1, "Class", CLASSES,
          {"logistic_regression": {"C": TENS}, "knn": KNN, "decision_tree": TREE,
           "svm": {"kernel": ["rbf", "sigmoid"], "C": TENS[2:-2], "gamma": TENS[:9]},
           "random_forest": SMALL_FOREST, "gradient_boosting": SMALL_BOOSTING}),
    Table("learners_abalone", "abalone", 4, "rings", NUMBERS,
          {"ridge": {"alpha": TENS}, "elastic_net": {"alpha": TENS[:9], "l1_ratio":
                                                     [0.1, 0.3, 0.5, 0.7, 0.9]},
           "knn": KNN, "decision_tree": TREE,
           "extra_trees": {key: of for key, of in SMALL_FOREST.items()
                           if key not in ("criterion", "max_samples")},
           "gradient_boosting": SMALL_BOOSTING | {"objective": ["squared", "huber"]}}),
)


def make(data, folder, binary, is_asked, say):
    """Fits what is asked for and no table is there of. `binary` tells where fleetfit is."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        if table.path(folder).exists() or not is_asked(table.name, FAMILY):
            continue
        rows = inside(data, f"tabular/{table.rows}.csv.gz")
        if rows is None:
            say(f"{table.name} is left out: {data} has no tabular/{table.rows}.csv.gz")
        else:
            took = fit(table, rows, folder, binary())
            say(f"{table.name}: {table.n_points():,} configurations fitted in {took:.0f} s of CPU")


def fit(table, rows, folder, binary):
    """Runs the grid, and says how long that took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        job = table.job(thinned(rows, table.each, place / "rows.csv"))
        made = trials(binary, table.name, job, place / "grid")
        rest = table.path(folder).with_suffix(".part")
        rest.write_bytes(made.read_bytes())
        rest.rename(table.path(folder))
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def thinned(rows, each, path):
    """Writes every so many of a table's rows."""
    head, *lines = gzip.open(rows, "rt").read().splitlines()
    path.write_text("\n".join([head, *lines[::each]]) + "\n")
    return str(path)


def trials(binary, name, job, home):
    """Runs a job, and returns the file that its trials are written to."""
    path, made = home.with_suffix(".json"), home.with_suffix(".csv")
    path.write_text(job)
    options = ["--quiet", "--data-dir", str(home)]
    for command in (["run", str(path), "--slots", "1"], ["export", name, "--out", str(made)]):
        subprocess.run([binary, *command, *options], check=True, stdout=subprocess.DEVNULL)
    return made


def problems(folder):
    """Those whose tables are there."""
    return [Problem(table.name, FAMILY, Windows(table, str(folder)))
            for table in TABLES if folder and table.path(folder).exists()]


@functools.cache
def losses(table, folder):
    """By learner and places on its axes."""
    found = {}
    with table.path(folder).open(newline="") as file:
        for row in csv.DictReader(file):
            chosen = json.loads(row["configuration"])
            chosen = chosen.get("learner", chosen)
            levels = table.learners[row["learner"]]
            places = (own.index(chosen[name]) for name, own in levels.items())
            found[row["learner"], *places] = float(row["value"])
    if len(found) != table.n_points():
        raise SystemExit(f"{table.path(folder)} has {len(found)} of {table.n_points()} "
                         "configurations; remove it")
    return found


class Windows:
    def __init__(self, table, folder):
        self.table, self.folder = table, folder

    def __call__(self, random):
        table, found = self.table, losses(self.table, self.folder)
        only = next(iter(table.learners)) if len(table.learners) == 1 else None
        words = tuple(random.permutation(list(table.learners)))
        space = [] if only else [Words("learner", words)]
        axes, least = {}, float("inf")
        for learner, levels in table.learners.items():
            under = None if only else ("learner", learner)
            axes[learner] = [axis(random, key if only else f"{learner}_{key}", own, under)
                             for key, own in levels.items()]
            space += axes[learner]
            least = min(least, min(found[learner, *at]
                                   for at in itertools.product(*map(places, axes[learner]))))

        def loss(values):
            learner = only or values["learner"]
            return found[learner, *(place(own, values[own.name]) for own in axes[learner])]

        return Instance(space, loss, least)


def axis(random, name, levels, under):
    if isinstance(levels[0], str) or len(levels) < 3:
        return Words(name, tuple(map(str, levels)), under)
    n_left_out = len(levels) // 4
    low = int(random.integers(n_left_out + 1))
    return Whole(name, low, low + len(levels) - 1 - n_left_out, under=under)


def places(own):
    return range(len(own.words)) if isinstance(own, Words) else range(own.low, own.high + 1)


def place(own, value):
    return own.words.index(value) if isinstance(own, Words) else int(value)
