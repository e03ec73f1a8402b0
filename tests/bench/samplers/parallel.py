"""What many trials at once cost: the regret after so many trials, beside that of one at a time."""

import numpy

from .problems import FAMILIES
from .tables import LEAST, shown


def table(runs, problems, samplers, seeds, budget, parallel):
    print(f"\n### {parallel} at once, {budget} trials\n\nMedian regrets, and the median difference "
          "to one at a time of the same seed.\n")
    print("| family | sampler | runs | one at a time | at once | difference |\n|" + " --- |" * 6)
    for name in FAMILIES:
        for sampler in samplers:
            pairs = []
            for problem in problems:
                if problem.family == name:
                    pairs += pair(runs, sampler, problem, seeds, budget, parallel)
            if pairs:
                one, many = numpy.array(pairs).T
                print(f"| {name} | {shown(sampler)} | {len(pairs)} | {numpy.median(one):.4f} | "
                      f"{numpy.median(many):.4f} | {numpy.median(many - one):+.4f} |")


def pair(runs, sampler, problem, seeds, budget, parallel):
    found = []
    for seed in seeds:
        rows = [runs.row(sampler, problem.name, seed, budget, n) for n in (1, parallel)]
        if all(row and row["regret"] for row in rows):
            found.append([max(list(row["regret"].values())[-1], LEAST) for row in rows])
    return found
