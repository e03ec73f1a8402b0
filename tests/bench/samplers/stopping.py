"""What stopping early saves and costs on measured learning curves (LCDB, Mohr et al. 2022): the
error of 20 learners on growing samples of a data set. A study tries them all, in an order of its
own, four at once; a step is one sample size, and its work is that size. What is found is the
best trial that ran to its end, at its full size.
"""

import collections
import csv
import gzip
import heapq

import numpy

from .folder import inside
from .ours import Ours
from .space import box

N_AT_ONCE = 4
# Data sets with fewer learners, or shorter curves, tell little.
LEAST_LEARNERS, LEAST_STEPS = 12, 6

OURS = {
    "median_stopping": {"type": "median_stopping", "delay_evaluation": 4},
    "bandit 0.2": {"type": "bandit", "slack_factor": 0.2, "delay_evaluation": 4},
    "truncation 50 %": {"type": "truncation_selection", "truncation_percentage": 50,
                        "delay_evaluation": 4},
    "asha 1, 4": {"type": "asha", "min_resource": 1, "reduction_factor": 4},
    "asha 4, 2": {"type": "asha", "min_resource": 4, "reduction_factor": 2},
    "asha 4, 4": {"type": "asha", "min_resource": 4, "reduction_factor": 4},
    "hyperband 1, 3": {"type": "hyperband", "max_resource": 27},
    # With the reports of a whole trial, which are as many as the data set has sizes.
    "narrowing": {"type": "narrowing"},
}


def theirs():
    from optuna import pruners as of
    return {
        "MedianPruner": lambda: of.MedianPruner(n_warmup_steps=3),
        "SuccessiveHalvingPruner 1, 4": lambda: of.SuccessiveHalvingPruner(1, 4),
        "SuccessiveHalvingPruner 4, 2": lambda: of.SuccessiveHalvingPruner(4, 2),
        "SuccessiveHalvingPruner 4, 4": lambda: of.SuccessiveHalvingPruner(4, 4),
        "HyperbandPruner 1, 3": lambda: of.HyperbandPruner(1, 27, 3),
    }


def curves(data):
    """For each data set its learners: at each size its error where learners are compared, on rows
    that no choice has seen, and the standard error of the first.
    """
    path = inside(data, "lcdb/lcdb_accuracy_agg.csv.gz")
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            if row["valid_mean"]:
                point = (int(row["size_train"]), 1.0 - float(row["valid_mean"]),
                         1.0 - float(row["test_mean"]),
                         float(row["valid_sd"] or "nan") / float(row["n"]) ** 0.5)
                found[row["openmlid"]][row["learner"]].append(point)
    sets = []
    for name in sorted(found, key=int):
        longest = max(len(points) for points in found[name].values())
        whole = {learner: sorted(points) for learner, points in found[name].items()
                 if len(points) == longest}
        if len(whole) >= LEAST_LEARNERS and longest >= LEAST_STEPS:
            sets.append([whole[learner] for learner in sorted(whole)])
    return sets


def search(learners, order, begin, report, end):
    """The work, and what is found: its error, and that on other rows. `report` tells which trials are to end."""
    waiting, running, stopped = list(order), [], set()
    at, work, ended, seen = {}, 0, [], []
    clock = 0.0
    while waiting or running:
        while waiting and len(running) < N_AT_ONCE:
            learner = waiting.pop(0)
            number = begin()
            at[number] = (learner, 0)
            heapq.heappush(running, (clock + learners[learner][0][0], number))
        clock, number = heapq.heappop(running)
        if number in stopped:
            continue
        learner, step = at[number]
        size, error = learners[learner][step][:2]
        work += size
        seen.append((error, learners[learner][-1][1:3]))
        for other in report(number, step + 1, error):
            stopped.add(other)
            end(other, None)
        if number in stopped:
            continue
        if step + 1 == len(learners[learner]):
            ended.append(learners[learner][-1][1:3])
            end(number, error)
        else:
            at[number] = (learner, step + 1)
            heapq.heappush(running, (clock + learners[learner][step + 1][0], number))
    # Where none ran to its end, the one that looked best.
    return work, min(ended) if ended else min(seen)[1]


def ours(binary, policy, learners, order):
    if policy["type"] == "narrowing":
        policy = {**policy, "max_resource": len(learners[0])}
    own = Ours(binary, "random", box(1), 0, len(order), N_AT_ONCE, policy)
    ended = set()

    def end(number, error):
        ended.add(number)
        own.end(number, error)

    try:
        return search(learners, order, lambda: own.ask()[0],
                      lambda *report: [other for other in own.report(*report)
                                       if other not in ended], end)
    finally:
        own.close()


def optunas(pruner, learners, order):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=pruner())
    trials = {}

    def begin():
        trial = study.ask()
        trials[trial.number] = trial
        return trial.number

    def report(number, step, error):
        trials[number].report(error, step)
        return [number] if trials[number].should_prune() else []

    def end(number, error):
        pruned = optuna.trial.TrialState.PRUNED
        study.tell(trials[number], error, None if error is not None else pruned)

    return search(learners, order, begin, report, end)


def noise(sets):
    """What is known of who is best: in words."""
    off = [min(points[-1][1:] for points in learners)[2] for learners in sets]
    cost = [min(points[-1][1:3] for points in learners)[1]
            - min(points[-1][2] for points in learners) for learners in sets]
    return (f"The standard error of the best learner's own error is {numpy.nanmean(off):.4f} on "
            f"average (median {numpy.nanmedian(off):.4f}). It makes {numpy.mean(cost):.4f} more "
            "errors on other rows than the one that is best there.")


def table(binary, data, n_sets):
    sets = curves(data)
    sets = sets[::max(1, len(sets) // n_sets)]
    print(f"\n{noise(sets)}")
    print(f"\n{len(sets)} data sets; errors are shares of wrong labels above the best learner's\n")
    print("| rule | work | error, mean | within 0.005 | 95th percentile | worst | on other rows |")
    print("|" + " --- |" * 7, flush=True)
    rules = [(f"**{name}**", lambda *of, rule=rule: ours(binary, rule, *of))
             for name, rule in OURS.items()]
    rules += [(f"Optuna {name}", lambda *of, rule=rule: optunas(rule, *of))
              for name, rule in theirs().items()]
    for name, run in rules:
        shares, worse, other = [], [], []
        for index, learners in enumerate(sets):
            order = numpy.random.default_rng(index).permutation(len(learners))
            work, found = run(learners, order)
            whole = sum(point[0] for points in learners for point in points)
            best = min(points[-1][1:3] for points in learners)
            shares.append(work / whole)
            worse.append(found[0] - best[0])
            other.append(found[1] - best[1])
        worse = numpy.array(worse)
        off = numpy.std(other) / len(other) ** 0.5
        print(f"| {name} | {numpy.mean(shares):.3f} | {worse.mean():.4f} | "
              f"{(worse <= 0.005).mean():.2f} | {numpy.percentile(worse, 95):.4f} | "
              f"{worse.max():.4f} | {numpy.mean(other):+.4f} ± {off:.4f} |", flush=True)
