"""Mean ranks and regrets, with intervals.

On one problem, sampler a beats b with the share of seeds on which its regret is lower, ties
counting half; only seeds count that both have run. A rank is 1 and the sum of the shares by
which the others beat it, the mean over the problems of a family. Intervals are of 1,000 draws of
seeds, 95 %.
"""

import numpy

from .runs import OURS

N_DRAWS = 1_000
# Of two that have not run everything; fewer seeds tell nothing of a problem.
LEAST_SEEDS = 3
# Regrets below this are the same.
LEAST = 1e-9


class Family:
    """The runs of one family at one budget: regrets by problem, sampler and seed."""

    def __init__(self, runs, samplers, problems, seeds, budget, at, parallel):
        self.samplers, self.problems = samplers, problems
        self.regrets = numpy.full((len(problems), len(samplers), len(seeds)), numpy.nan)
        for p, problem in enumerate(problems):
            for s, sampler in enumerate(samplers):
                for k, seed in enumerate(seeds):
                    row = runs.row(sampler, problem.name, seed, budget, parallel)
                    if row and row["regret"]:
                        regret = row["regret"].get(str(at), list(row["regret"].values())[-1])
                        self.regrets[p, s, k] = max(regret, LEAST)
        have = ~numpy.isnan(self.regrets)
        kept = [s for s in range(len(samplers)) if problems and have[:, s].any(axis=1).all()]
        self.samplers = [samplers[s] for s in kept]
        self.regrets = self.regrets[:, kept]
        n_seeds = have[:, kept].sum(axis=2)
        self.n_seeds = list(n_seeds.min(axis=0)) if len(problems) else []

    def ranks(self, weights):
        """By draw and sampler; `weights` tells how often each draw has each seed."""
        total = numpy.zeros((len(weights), len(self.samplers)))
        for regrets in self.regrets:
            apart = regrets[:, None, :] - regrets[None, :, :]
            both = ~numpy.isnan(apart)
            loses = numpy.where(apart > 0, 1.0, numpy.where(apart == 0, 0.5, 0.0)) * both
            n_both = numpy.einsum("dk,abk->dab", weights, both.astype(float))
            n_lost = numpy.einsum("dk,abk->dab", weights, loses)
            # A draw without a seed that both have run takes the share of all seeds.
            n_all = both.sum(axis=2)
            all_shares = numpy.where(n_all > 0, loses.sum(axis=2) / numpy.maximum(n_all, 1), 0.5)
            shares = numpy.where(n_both > 0, n_lost / numpy.maximum(n_both, 1), all_shares)
            shares[:, range(len(self.samplers)), range(len(self.samplers))] = 0.0
            total += 1.0 + shares.sum(axis=2)
        return total / len(self.regrets)

    def measured(self):
        """Ranks as they are, and drawn anew."""
        n_seeds = self.regrets.shape[2]
        random = numpy.random.default_rng(0)
        drawn = random.multinomial(n_seeds, [1 / n_seeds] * n_seeds, size=N_DRAWS)
        return self.ranks(numpy.ones((1, n_seeds)))[0], self.ranks(drawn.astype(float))


def regret_row(family):
    """By sampler: the median regret over the seeds, its mean over the problems, and an interval."""
    n_seeds = family.regrets.shape[2]
    random = numpy.random.default_rng(0)
    drawn = random.integers(n_seeds, size=(N_DRAWS, n_seeds))
    cells = []
    for s in range(len(family.samplers)):
        own = family.regrets[:, s]
        found = numpy.nanmean(numpy.nanmedian(own, axis=1))
        means = [numpy.nanmean(numpy.nanmedian(own[:, seeds], axis=1)) for seeds in drawn]
        low, high = numpy.nanpercentile(means, [2.5, 97.5])
        cells.append(f"{found:.3f} ({low:.3f} to {high:.3f})")
    return cells


def is_ours(sampler):
    return sampler.replace("+", "@").split("@")[0] in OURS


def shown(sampler):
    return f"**{sampler}**" if is_ours(sampler) else sampler.replace("_", " ")


def interval(drawn):
    low, high = numpy.percentile(drawn, [2.5, 97.5])
    return f"{low:.2f} to {high:.2f}"


def short(value):
    if numpy.isnan(value):
        return ""
    return f"{value:.3f}" if value >= 0.01 else f"{value:.1e}"


def family_table(family):
    """A row for each sampler, the best first."""
    ranks, drawn = family.measured()
    names = [problem.name for problem in family.problems]
    print("| sampler | seeds | mean rank | 95 % | " + " | ".join(names) + " |")
    print("|" + " --- |" * (4 + len(names)))
    for s in numpy.argsort(ranks):
        medians = " | ".join(short(numpy.nanmedian(own[s])) for own in family.regrets)
        print(f"| {shown(family.samplers[s])} | {family.n_seeds[s]} | {ranks[s]:.2f} | "
              f"{interval(drawn[:, s])} | {medians} |")
    return ranks, drawn


def duels(runs, problems, pair, seeds, budget, at, parallel):
    """For each problem that both have run often enough: the regrets of the seeds that both have."""
    found = []
    for problem in problems:
        rows = [[runs.row(name, problem.name, seed, budget, parallel) for name in pair]
                for seed in seeds]
        both = [[max(row["regret"].get(str(at), list(row["regret"].values())[-1]), LEAST)
                 for row in own] for own in rows if all(row and row["regret"] for row in own)]
        if len(both) >= LEAST_SEEDS:
            found.append(numpy.array(both))
    return found


def duel_row(found):
    """How often the first is ahead, ties counting half; by how much its mean rank of the two is
    lower; and the regrets of both. The mean over the problems. Seeds are drawn for each problem,
    one fewer than it has, or few seeds would make the interval too narrow."""
    random = numpy.random.default_rng(0)
    drawn = [own[random.integers(len(own), size=(N_DRAWS, len(own) - 1))] for own in found]
    ahead = lambda own: (numpy.sign(own[..., 1] - own[..., 0]) / 2 + 0.5).mean(axis=-1)
    share = numpy.mean([ahead(own) for own in found])
    shares = numpy.mean([ahead(own) for own in drawn], axis=0)
    low, high = numpy.percentile(1 - 2 * shares, [2.5, 97.5])
    medians = numpy.mean([numpy.median(own, axis=0) for own in found], axis=0)
    return [str(len(found)), str(sum(map(len, found))), f"{share:.2f} ({interval(shares)})",
            f"{1 - 2 * share:+.2f} ({low:+.2f} to {high:+.2f})", *map(short, medians)]


def versus(family, ranks, drawn):
    """Ours beside the best peer, and by how much its rank is lower; below 0 ours is ahead."""
    is_own = numpy.array([is_ours(name) for name in family.samplers])
    if not is_own.any() or is_own.all():
        return []
    best_peer = min(numpy.flatnonzero(~is_own), key=lambda s: ranks[s])
    rows = []
    for s in sorted(numpy.flatnonzero(is_own), key=lambda s: ranks[s]):
        rows.append((family.samplers[s], family.samplers[best_peer], ranks[s] - ranks[best_peer],
                     interval(drawn[:, s] - drawn[:, best_peer])))
    return rows
