"""How good the best configuration is after so many trials: one table for each family and budget."""

from .problems import FAMILIES
from .tables import Family, family_table, versus


def tasks(problems, samplers, seeds, budget, parallel=1):
    """Seeds outermost, so that what is interrupted is still balanced."""
    return [(sampler, problem, seed, budget, parallel)
            for seed in seeds for problem in problems for sampler in samplers]


def tables(runs, problems, samplers, seeds, budget, checkpoints, parallel=1):
    summary = []
    for name in FAMILIES:
        own = [problem for problem in problems if problem.family == name]
        for at in checkpoints:
            family = Family(runs, samplers, own, seeds, budget, at, parallel)
            if len(family.samplers) < 2:
                continue
            print(f"\n### {name}, {at} trials\n")
            ranks, drawn = family_table(family)
            summary += [(name, at, *row) for row in versus(family, ranks, drawn)]
    if summary:
        print("\n### Ours beside the best peer\n\nDifferences of mean ranks; below 0 ours is "
              "ahead.\n")
        print("| family | trials | ours | best peer | difference | 95 % |\n|" + " --- |" * 6)
        for family, at, own, peer, apart, interval in summary:
            print(f"| {family} | {at} | {own} | {peer.replace('_', ' ')} | {apart:+.2f} | "
                  f"{interval} |")
