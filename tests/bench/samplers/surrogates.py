"""Real tasks: surrogates of YAHPO Gym (Pfisterer et al. 2022), fitted to the losses of real
learners on real data sets, one of which each seed draws.

`yahpo` has a folder for each scenario, with `model.onnx`, `encoding.json`, `config_space.json`
and `io_order.json`; a task is searched at its full fidelity.
"""

import functools
import json
import pathlib
import statistics

import numpy

from .folder import inside
from .problems import Instance, N_TYPICAL, Problem
from .space import Real, Whole, Words, draw, unit

# The scenario, its metric, and whether more of it is better.
TASKS = (("rbv2_rpart", "logloss", False), ("rbv2_rpart", "auc", True),
         ("iaml_glmnet", "logloss", False), ("iaml_glmnet", "auc", True))
# What the best known loss is found by: random points, and so many around the best, in rounds.
N_RANDOM, N_AROUND, N_ROUNDS = 20_000, 2_000, 6
# A curve is on shares of the rows, each so manieth more.
N_STEPS = 27


def problems(data):
    found = []
    for scenario, metric, is_more in TASKS:
        model = inside(data, f"yahpo/{scenario}/model.onnx")
        if model:
            task = Task(str(model.parent), metric, is_more)
            found.append(Problem(f"{scenario}_{metric}", "real", task))
    return found


@functools.cache
def scenario(folder):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    read = {name: json.loads((pathlib.Path(folder) / f"{name}.json").read_text())
            for name in ("config_space", "io_order", "encoding")}
    session = onnxruntime.InferenceSession(str(pathlib.Path(folder) / "model.onnx"), options,
                                           providers=["CPUExecutionProvider"])
    return session, read["config_space"], read["io_order"], read["encoding"]


class Task:
    def __init__(self, folder, metric, is_more):
        self.folder, self.metric, self.is_more = folder, metric, is_more

    def __call__(self, random):
        session, described, order, encoding = scenario(self.folder)
        instance_name = order["instance_names"]
        full = {"trainsize": 1.0, "repl": 10.0}
        tasks, space = [], []
        for own in described["hyperparameters"]:
            if own["name"] == instance_name:
                tasks = own["choices"]
            elif own["name"] not in order["fidelity_params"]:
                space.append(parameter(own))
        task = tasks[random.integers(len(tasks))]
        column = order["y_names"].index(self.metric)
        sign = -1.0 if self.is_more else 1.0
        inputs = [given.name for given in session.get_inputs()]

        def losses(many, shares=None):
            words = [[encoding[name][task if name == instance_name else
                                     values.get(ours(name), "#na#")]
                      for name in order["cat_names"]] for values in many]
            numbers = [[values.get(ours(name), full.get(name, 0.0))
                        for name in order["cont_names"]] for values in many]
            for row, share in zip(numbers, shares or ()):
                row[order["cont_names"].index("trainsize")] = share
            given = (numpy.array(words, numpy.int32), numpy.array(numbers, numpy.float32))
            given = dict(zip(inputs, given if "cat" in inputs[0] else given[::-1]))
            return sign * session.run(None, given)[0][:, column].astype(float)

        points = [draw(space, random) for _ in range(N_RANDOM)]
        found = losses(points)
        typical = statistics.median(found[:N_TYPICAL])
        for level in range(N_ROUNDS):
            best = points[int(found.argmin())]
            around = [near(space, best, 0.2 / 2 ** level, random) for _ in range(N_AROUND)]
            points, found = points + around, numpy.append(found, losses(around))
        shares = [(step + 1) / N_STEPS for step in range(N_STEPS)]

        def curve(values):
            return [(1.0, float(loss)) for loss in losses([values] * N_STEPS, shares)]

        return Instance(space, lambda values: float(losses([values])[0]), float(found.min()),
                        float(typical), curve=curve)


def ours(name):
    """A name as job files have them."""
    return name.replace(".", "_")


def parameter(own):
    if own["type"] == "categorical":
        return Words(ours(own["name"]), tuple(own["choices"]))
    kind = Real if own["type"] == "uniform_float" else Whole
    return kind(ours(own["name"]), own["lower"], own["upper"], own["log"])


def near(space, values, distance, random):
    """A point around another one, at so many units."""
    moved = {}
    for own in space:
        if isinstance(own, Words):
            is_kept = random.random() > distance
            moved[own.name] = values[own.name] if is_kept else own.words[
                random.integers(len(own.words))]
            continue
        at = min(max(unit(own, values[own.name]) + distance * random.normal(), 0.0), 1.0)
        value = (own.low * (own.high / own.low) ** at if own.log
                 else own.low + at * (own.high - own.low))
        value = min(max(value, own.low), own.high)
        moved[own.name] = value if isinstance(own, Real) else round(value)
    return moved
