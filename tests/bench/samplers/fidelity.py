"""Several fidelities: how good what is found is after so much work, where a trial reports as it goes
and may be ended. The learning curves of 20 learners (LCDB, Mohr et al. 2022), whose choice is the
search; and tasks of YAHPO Gym on growing shares of their rows, a 27th each step. Work is counted in
trials that run to their end; a step's work is the rows it adds, or of LCDB, which fits anew, has.

What is found is, of the trials that have got furthest, the one that looks best there; its regret is
that of its loss at the end. Trials run four at once.
"""

import heapq
import statistics
import tempfile

import numpy

from . import peers
from .ours import Ours
from .problems import Instance, Problem
from .runs import OURS
from .space import Words, suggest
from .stopping import curves
from .surrogates import N_STEPS, problems as real_problems
from .tables import Family, family_table, versus

N_AT_ONCE = 4
BUDGET, CHECKPOINTS = 25, (5, 10, 25)
# So many trials at most: what is asked of a sampler is bounded.
MOST_TRIALS = 400
RULES = {"asha": {"type": "asha", "min_resource": 1, "reduction_factor": 3},
         "hyperband": {"type": "hyperband", "max_resource": N_STEPS}}
SAMPLERS = ("auto+asha", "auto+hyperband", "tpe+asha", "random+asha", "auto+nothing",
            "optuna_tpe+hyperband", "optuna_tpe+halving", "optuna_random+hyperband",
            "optuna_tpe+nothing", "smac_forest+hyperband")


def problems(data):
    """Those that `data` has, all of the family multi-fidelity."""
    sets = [[[point[:2] for point in points] for points in own] for own in curves(data)]

    def learners(random):
        ends = []
        # Where every second learner is as good as the best, there is nothing to search.
        while not ends or min(ends) == statistics.median(ends):
            points = sets[random.integers(len(sets))]
            ends = [own[-1][1] for own in points]
        words = tuple(f"l{i}" for i in range(len(points)))
        found = Instance([Words("learner", words)], lambda v: ends[words.index(v["learner"])],
                         min(ends), statistics.median(ends))
        found.curve = lambda v: points[words.index(v["learner"])]
        return found

    return [Problem("lcdb", "multi-fidelity", learners)] + [
        Problem(f"{problem.name}_rows", "multi-fidelity", problem.make)
        for problem in real_problems(data)]


class OfOurs:
    def __init__(self, binary, name, rule, space, seed):
        self.own = Ours(binary, name, space, seed, MOST_TRIALS, N_AT_ONCE, RULES.get(rule))
        self.running = set()

    def begin(self):
        asked = self.own.ask()
        if asked:
            self.running.add(asked[0])
        return asked

    def report(self, number, step, loss):
        return [other for other in self.own.report(number, step, loss) if other in self.running]

    def end(self, number, loss):
        self.running.discard(number)
        self.own.end(number, loss)

    def close(self):
        self.own.close()


class OfOptuna:
    def __init__(self, name, rule, space, seed):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        of = optuna.pruners
        pruner = {"hyperband": lambda: of.HyperbandPruner(1, N_STEPS, 3),
                  "halving": lambda: of.SuccessiveHalvingPruner(1, 3),
                  "nothing": of.NopPruner}[rule]()
        sampler = {"optuna_tpe": optuna.samplers.TPESampler,
                   "optuna_random": optuna.samplers.RandomSampler}[name](seed=seed)
        self.study = optuna.create_study(sampler=sampler, pruner=pruner)
        self.space, self.trials, self.ended = space, {}, optuna.trial.TrialState

    def begin(self):
        trial = self.study.ask()
        self.trials[trial.number] = trial
        return trial.number, suggest(self.space, trial)

    def report(self, number, step, loss):
        self.trials[number].report(loss, step)
        return [number] if self.trials[number].should_prune() else []

    def end(self, number, loss):
        state = self.ended.PRUNED if loss is None else self.ended.COMPLETE
        self.study.tell(self.trials.pop(number), loss, state)

    def close(self):
        pass


def search(of, instance, seed):
    """Regrets by checkpoint."""
    random = numpy.random.default_rng([seed, 2])
    running, at, n_begun, clock, work, regrets = [], {}, 0, 0.0, 0.0, {}
    furthest, least, regret = 0, numpy.inf, numpy.nan
    is_full = False
    while len(regrets) < len(CHECKPOINTS):
        while len(at) < N_AT_ONCE and n_begun < MOST_TRIALS and not is_full:
            asked = of.begin()
            is_full = asked is None
            if asked:
                number, values = asked
                points = instance.curve(values)
                at[number] = (points, 0, values)
                heapq.heappush(running, (clock + points[0][0] * random.uniform(0.8, 1.2), number))
                n_begun += 1
        if not at:
            break
        clock, number = heapq.heappop(running)
        if number not in at:
            continue
        points, step, values = at[number]
        size, loss = points[step]
        work += size / sum(own for own, _ in points)
        if step + 1 > furthest or step + 1 == furthest and loss < least:
            furthest, least, regret = step + 1, loss, instance.regret(points[-1][1])
        for checkpoint in CHECKPOINTS:
            if work >= checkpoint:
                regrets.setdefault(str(checkpoint), float(regret))
        stopped = of.report(number, step + 1, float(loss))
        for other in stopped:
            if at.pop(other, None):
                of.end(other, None)
        if number not in at:
            continue
        if step + 1 == len(points):
            del at[number]
            of.end(number, float(loss))
        else:
            at[number] = (points, step + 1, values)
            time = points[step + 1][0] * random.uniform(0.8, 1.2)
            heapq.heappush(running, (clock + time, number))
    for checkpoint in CHECKPOINTS:
        regrets.setdefault(str(checkpoint), float(regret))
    return regrets, n_begun


def smac(name, instance, seed):
    """SMAC's hyperband: it asks for a configuration and a number of steps; what it has run already
    is gone on with, and costs nothing again."""
    from smac import MultiFidelityFacade, Scenario
    from smac.main.exceptions import ConfigurationSpaceExhaustedException
    from smac.runhistory.dataclasses import TrialValue

    space = peers.configuration_space(instance.space, seed)
    regrets, work, n_asked, reached = {}, 0.0, 0, {}
    furthest, least, regret = 0, numpy.inf, numpy.nan
    with tempfile.TemporaryDirectory() as folder:
        n_steps = len(instance.curve(dict(space.get_default_configuration())))
        scenario = Scenario(space, deterministic=True, n_trials=10 * MOST_TRIALS, seed=seed,
                            min_budget=1, max_budget=n_steps, output_directory=folder)
        facade = MultiFidelityFacade(scenario, lambda configuration, seed=0, budget=0: 0.0,
                                     logging_level=False, overwrite=True)
        while len(regrets) < len(CHECKPOINTS) and n_asked < 3 * MOST_TRIALS:
            try:
                trial = facade.ask()
            except ConfigurationSpaceExhaustedException:
                break
            n_asked += 1
            points = instance.curve(dict(trial.config))
            step = min(max(round(trial.budget), 1), len(points))
            begun = reached.get(trial.config, 0)
            total = sum(size for size, _ in points)
            work += sum(size for size, _ in points[begun:step]) / total
            reached[trial.config] = max(begun, step)
            loss = points[step - 1][1]
            if step > furthest or step == furthest and loss < least:
                furthest, least, regret = step, loss, instance.regret(points[-1][1])
            for checkpoint in CHECKPOINTS:
                if work >= checkpoint:
                    regrets.setdefault(str(checkpoint), float(regret))
            facade.tell(trial, TrialValue(cost=float(loss), time=0.0), save=False)
    for checkpoint in CHECKPOINTS:
        regrets.setdefault(str(checkpoint), float(regret))
    return regrets, n_asked


def run(runs, sampler, problem, seed):
    name, rule = sampler.split("+")
    instance = problem.instance(seed)
    if name.startswith("smac"):
        regrets, n_trials = smac(name, instance, seed)
    else:
        of = (OfOurs(runs.binary, name, rule, instance.space, seed) if name in OURS
              else OfOptuna(name, rule, instance.space, seed))
        try:
            regrets, n_trials = search(of, instance, seed)
        finally:
            of.close()
    runs.keep({"sampler": sampler, "version": runs.version(sampler), "problem": problem.name,
               "seed": seed, "budget": BUDGET, "parallel": N_AT_ONCE, "n_trials": n_trials,
               "regret": regrets})


def tables(runs, data, samplers, seeds, say):
    own = problems(data)
    failed = set()
    for seed in seeds:
        for problem in own:
            for sampler in samplers:
                if sampler in failed or runs.row(sampler, problem.name, seed, BUDGET, N_AT_ONCE):
                    continue
                try:
                    run(runs, sampler, problem, seed)
                except Exception as error:  # A peer may fail in its own ways.
                    failed.add(sampler)
                    say(f"{sampler} failed: {type(error).__name__}: {error}")
    samplers = [sampler for sampler in samplers if sampler not in failed]
    for at in CHECKPOINTS:
        print(f"\n### Work of {at} whole trials\n")
        family = Family(runs, samplers, own, seeds, BUDGET, at, N_AT_ONCE)
        ranks, drawn = family_table(family)
        for row in versus(family, ranks, drawn):
            print(f"\n{row[0]} beside {row[1]}: {row[2]:+.2f} ({row[3]})")
