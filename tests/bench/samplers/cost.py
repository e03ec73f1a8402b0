"""What one suggestion costs: the CPU time of asking and telling, in process on both sides, with
so many random trials behind it. Ours is measured by the example's own clock, without its pipe."""

import numpy

from .runs import sampler_of
from .suite import named

SPACES = ("levy8", "mixed", "cond")
SIZES = (100, 200, 1_000, 10_000, 100_000)
N_ASKED = 20
# A sampler is not asked with more trials behind it once a suggestion takes this long.
MOST_MS = 4_000.0
# What takes longer than this to be told its trials is not measured.
MOST_TOLD = {"ax": 200, "hyperopt": 1_000, "smac": 1_000, "optuna_gp": 1_000, "optuna": 100_000}


def table(binary, samplers, sizes, say):
    for problem in SPACES:
        print(f"\n### {problem}, ms of CPU a suggestion\n")
        print("| sampler | " + " | ".join(f"{size:,}" for size in sizes) + " |")
        print("|" + " --- |" * (1 + len(sizes)), flush=True)
        for sampler in samplers:
            cells, is_slow = [], False
            for size in sizes:
                if is_slow or size > most_told(sampler):
                    cells.append("")
                    continue
                try:
                    spent = cost(binary, sampler, problem, size)
                except Exception as error:  # A peer may fail in its own ways.
                    say(f"{sampler}: {error}")
                    break
                cells.append(f"{spent:.4g}")
                is_slow = spent > MOST_MS
            else:
                print(f"| {sampler} | " + " | ".join(cells) + " |", flush=True)


def most_told(sampler):
    return MOST_TOLD.get(sampler, MOST_TOLD.get(sampler.split("_")[0], 1 << 30))


def cost(binary, sampler, problem, size):
    """The mean of so many suggestions, the first left out."""
    instance = named(problem).instance(0)
    own = sampler_of(binary, sampler, instance.space, 0, size + N_ASKED + 1)
    try:
        own.prefill(size, instance.loss)
        spent = []
        for _ in range(N_ASKED + 1):
            before = own.cpu_s
            token, values = own.ask()
            own.tell(token, instance.loss(values))
            spent.append(1e3 * (own.cpu_s - before))
            if len(spent) > 3 and sum(spent) > 5 * MOST_MS:
                break
        return float(numpy.mean(spent[1:]))
    finally:
        own.close()
