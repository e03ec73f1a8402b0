"""How good the best configuration is after so many trials: one table for each family and budget."""

from .problems import FAMILIES
from .tables import (Family, duel_row, duels, family_table, is_ours, regret_row, shown,
                     versus)


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
        print("\n### Regrets\n\nThe median over the seeds, its mean over the problems of a "
              "family, and 95 %.\n")
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
    beside_partial(runs, problems, samplers, seeds, budget, checkpoints, parallel)


def beside_partial(runs, problems, samplers, seeds, budget, checkpoints, parallel):
    """Peers that have run a part of all: ours beside each, on the problems that both have run with
    enough seeds, and on the seeds of both."""
    has_run = lambda name: sum(runs.row(name, problem.name, seed, budget, parallel) is not None
                               for problem in problems for seed in seeds)
    for peer in samplers:
        if is_ours(peer) or not 0 < has_run(peer) < len(problems) * len(seeds):
            continue
        print(f"\n### Ours beside {shown(peer)}, where both ran\n\nA difference of mean ranks "
              "below 0 is ours ahead.\n")
        print("| family | trials | ours | problems | runs | ahead | difference of mean ranks | "
              "regret | its |\n|" + " --- |" * 9)
        for name in (*FAMILIES, "all"):
            own = [problem for problem in problems if name in (problem.family, "all")]
            for at in checkpoints:
                for ours in filter(is_ours, samplers):
                    found = duels(runs, own, (ours, peer), seeds, budget, at, parallel)
                    if found:
                        print(f"| {name} | {at} | {shown(ours)} | "
                              f"{' | '.join(duel_row(found))} |")
