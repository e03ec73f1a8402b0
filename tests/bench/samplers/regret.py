"""How good the best configuration is after so many trials: one table for each family and budget."""

from .problems import FAMILIES
from .tables import Family, family_table, regret_row, shown, versus


def tasks(problems, samplers, seeds, budget, parallel=1):
    """Seeds outermost, so that what is interrupted is still balanced."""
    return [(sampler, problem, seed, budget, parallel)
            for seed in seeds for problem in problems for sampler in samplers]


def tables(runs, problems, samplers, seeds, budget, checkpoints, parallel=1):
    summary, rows = [], []
    for name in FAMILIES:
        own = [problem for problem in problems if problem.family == name]
        for at in checkpoints:
            family = Family(runs, samplers, own, seeds, budget, at, parallel)
            if len(family.samplers) < 2:
                continue
            print(f"\n### {name}, {at} trials\n")
            ranks, drawn = family_table(family)
            rows.append((name, at, dict(zip(family.samplers, regret_row(family)))))
            summary += [(name, at, *row) for row in versus(family, ranks, drawn)]
    if rows:
        print("\n### Regrets\n\nThe median over the seeds, its mean over the problems of a family, and "
              "95 %.\n")
        print(f"| family | trials | {' | '.join(map(shown, samplers))} |")
        print("|" + " --- |" * (2 + len(samplers)))
        for family, at, cells in rows:
            cells = " | ".join(cells.get(sampler, "") for sampler in samplers)
            print(f"| {family} | {at} | {cells} |")
    if summary:
        print("\n### Ours beside the best peer\n\nDifferences of mean ranks; below 0 ours is "
              "ahead.\n")
        print("| family | trials | ours | best peer | difference | 95 % |\n|" + " --- |" * 6)
        for family, at, own, peer, apart, interval in summary:
            print(f"| {family} | {at} | {own} | {peer.replace('_', ' ')} | {apart:+.2f} | "
                  f"{interval} |")
