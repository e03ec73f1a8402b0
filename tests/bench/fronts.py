#!/usr/bin/env python3
"""Compares what our samplers find for several objectives, and within bounds, with Optuna's.

    tests/bench/fronts.py --binary target/release/examples/sample [--seeds 10] [--trials 100]

ZDT1, ZDT2 and ZDT3 in 6 dimensions and DTLZ2 with 3 objectives in 7: the mean hypervolume after so many
trials, as a share of that of the true front, up to (1.1, 6) for ZDT and 1.5 for DTLZ2. ZDT1 with whole
numbers and words, whose best ones are in the middle: a number, three axes of 21 steps, two of five words.
Branin within a disc that leaves one minimum: the median loss above the best. Ours run in a process that
reads lines (scheduler/examples/sample.rs), Optuna's in this one. Needs optuna and numpy. Prints markdown.
"""

import argparse
import json
import math
import subprocess
import time

import numpy
import optuna
from optuna._hypervolume import compute_hypervolume

OURS = ("random", "tpe", "gp", "cma_es", "auto")


def zdt(shape):
    def judge(x):
        g = 1 + 9 * sum(x[1:]) / (len(x) - 1)
        return [x[0], g * shape(x[0], g)], 0.0
    return judge


def dtlz2(x):
    g = sum((own - 0.5) ** 2 for own in x[2:])
    a, b = x[0] * math.pi / 2, x[1] * math.pi / 2
    return [(1 + g) * math.cos(a) * math.cos(b), (1 + g) * math.cos(a) * math.sin(b),
            (1 + g) * math.sin(a)], 0.0


def branin(x):
    a, b = 15 * x[0] - 5, 15 * x[1]
    bend = b - 5.1 / (4 * math.pi ** 2) * a * a + 5 / math.pi * a - 6
    loss = bend ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10
    return [loss], (a - 2.5) ** 2 + (b - 7.5) ** 2 - 50


def mixed(x):
    steps = [abs(own - 7 / 20) for own in x[1:4]]
    words = [(0.0, 0.3, 0.6, 0.2, 0.9)["abcde".index(own)] for own in x[4:]]
    return zdt(lambda x, g: 1 - math.sqrt(x / g))([x[0], *steps, *words])


STEPS, WORDS = "int", "words"
PROBLEMS = {
    "ZDT1": (zdt(lambda x, g: 1 - math.sqrt(x / g)), 6, 2, (1.1, 6.0), 6.0 + 0.6 - 1 / 3),
    "ZDT2": (zdt(lambda x, g: 1 - (x / g) ** 2), 6, 2, (1.1, 6.0), 6.6 - 2 / 3),
    "ZDT3": (zdt(lambda x, g: 1 - math.sqrt(x / g) - x / g * math.sin(10 * math.pi * x)), 6, 2,
             (1.1, 6.0), None),
    "DTLZ2": (dtlz2, 7, 3, (1.5, 1.5, 1.5), 1.5 ** 3 - math.pi / 6),
    "mixed ZDT1": (mixed, ["float", STEPS, STEPS, STEPS, WORDS, WORDS], 2, (1.1, 6.0), 6.6 - 1 / 3),
    "bounded Branin": (branin, 2, 1, None, 0.397887),
}


class Ours:
    def __init__(self, binary, algorithm, axes, n_losses, is_bounded, trials, seed):
        lines = ["type: sweep", "trial: external", f"sampling_algorithm: {algorithm}",
                 f"limits: {{max_total_trials: {trials}}}", "search_space:"]
        kinds = {"float": "{type: float, min: 0, max: 1}", STEPS: "{type: int, min: 0, max: 20}",
                 WORDS: "[a, b, c, d, e]"}
        lines += [f"  x{i}: {kinds[kind]}" for i, kind in enumerate(axes)]
        self.axes = axes
        lines += ["objective:"]
        lines += [f"  - {{goal: minimize, primary_metric: f{i}}}" for i in range(n_losses)]
        lines += ['constraints: ["c <= 0"]'] if is_bounded else []
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.cpu_s = 0.0
        self.say({"job": "\n".join(lines) + "\n", "seed": seed})

    def say(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        self.cpu_s += answer.get("cpu_s", 0.0)
        return answer

    def run(self, judge, trials, is_bounded):
        found = []
        for _ in range(trials):
            trial = self.say({"ask": 1})["trials"][0]
            values = zip(self.axes, trial["configuration"].values())
            losses, bound = judge([own / 20 if kind == STEPS else own for kind, own in values])
            found.append((losses, bound))
            values = losses + [bound] if is_bounded else losses
            told = {"number": trial["number"], "values": values}
            if len(values) == 1:
                told = {"number": trial["number"], "value": values[0]}
            self.say({"tell": [told]})
        self.process.stdin.close()
        self.process.wait()
        return found


def theirs(sampler, judge, axes, n_losses, trials):
    study = optuna.create_study(directions=["minimize"] * n_losses, sampler=sampler)
    found = []

    def objective(trial):
        def suggest(name, kind):
            if kind == WORDS:
                return trial.suggest_categorical(name, tuple("abcde"))
            if kind == STEPS:
                return trial.suggest_int(name, 0, 20) / 20
            return trial.suggest_float(name, 0, 1)

        losses, bound = judge([suggest(f"x{i}", kind) for i, kind in enumerate(axes)])
        trial.set_user_attr("bound", bound)
        found.append((losses, bound))
        return tuple(losses) if n_losses > 1 else losses[0]

    study.optimize(objective, n_trials=trials)
    return found


def peers(seed, is_bounded):
    bound = {"constraints_func": lambda trial: [trial.user_attrs["bound"]]} if is_bounded else {}
    return {
        "optuna tpe": lambda: optuna.samplers.TPESampler(seed=seed, **bound),
        "optuna gp": lambda: optuna.samplers.GPSampler(seed=seed, **bound),
        "optuna nsga2": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=20, **bound),
    }


def score(found, reference, best):
    if reference is None:
        kept = [losses[0] for losses, bound in found if bound <= 0]
        return min(kept, default=20.0) - best
    points = numpy.array([losses for losses, _ in found])
    points = points[(points < numpy.array(reference)).all(axis=1)]
    if not len(points):
        return 0.0
    volume = compute_hypervolume(points, numpy.array(reference))
    return volume / best if best else volume


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--problems", type=lambda text: text.split(","), help="by name")
    parser.add_argument("--without", type=lambda text: text.split(","), default=[])
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = [name for name in (*OURS, *peers(0, False)) if name not in arguments.without]
    print("| problem | " + " | ".join(names) + " |\n|" + " --- |" * (len(names) + 1))
    cost = {name: 0.0 for name in names}
    for problem, (judge, axes, n_losses, reference, best) in PROBLEMS.items():
        if arguments.problems and problem not in arguments.problems:
            continue
        axes = ["float"] * axes if isinstance(axes, int) else axes
        is_bounded = reference is None
        cells = []
        for name in names:
            scores = []
            for seed in range(arguments.seeds):
                if name in OURS:
                    own = Ours(arguments.binary, name, axes, n_losses, is_bounded,
                               arguments.trials, seed)
                    found = own.run(judge, arguments.trials, is_bounded)
                    cost[name] += own.cpu_s
                else:
                    begun = time.process_time()
                    sampler = peers(seed, is_bounded)[name]()
                    found = theirs(sampler, judge, axes, n_losses, arguments.trials)
                    cost[name] += time.process_time() - begun
                scores.append(score(found, reference, best))
            middle = numpy.median(scores) if is_bounded else numpy.mean(scores)
            cells.append(f"{middle:.3f}")
        print(f"| {problem} | " + " | ".join(cells) + " |", flush=True)
    n = len(PROBLEMS) * arguments.seeds * arguments.trials
    print("| ms a trial | " + " | ".join(f"{1e3 * cost[name] / n:.2f}" for name in names) + " |")


if __name__ == "__main__":
    main()
