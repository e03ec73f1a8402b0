"""The samplers of other libraries, asked and told in process. Each counts the CPU time of its
asking and telling; what a user's function would take is not in it."""

import importlib.metadata
import logging
import tempfile
import time
import warnings

import numpy

from .space import Real, Words, children, distributions, draw, flat, suggest, tree

warnings.filterwarnings("ignore")


class Peer:
    cpu_s = wall_s = 0.0

    def ask(self):
        return self.timed(self.ask_now)

    def tell(self, token, loss):
        self.timed(self.tell_now, token, loss)

    def fail(self, token):
        self.timed(self.fail_now, token)

    def fail_now(self, token):
        raise NotImplementedError("it takes no trials that failed")

    def timed(self, work, *arguments):
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return work(*arguments)
        finally:
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall

    def close(self):
        pass


class Optuna(Peer):
    def __init__(self, algorithm, space, seed, n_trials):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        of = optuna.samplers
        sampler = {
            "random": lambda: of.RandomSampler(seed=seed),
            "tpe": lambda: of.TPESampler(seed=seed),
            "tpe_group": lambda: of.TPESampler(seed=seed, multivariate=True, group=True),
            "gp": lambda: of.GPSampler(seed=seed),
            "cmaes": lambda: of.CmaEsSampler(seed=seed),
            "qmc": lambda: of.QMCSampler(seed=seed, scramble=True),
        }[algorithm]()
        self.space, self.random = space, numpy.random.default_rng(seed)
        self.study = optuna.create_study(sampler=sampler)

    def ask_now(self):
        trial = self.study.ask()
        return trial, suggest(self.space, trial)

    def tell_now(self, trial, loss):
        self.study.tell(trial, loss)

    def fail_now(self, trial):
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.FAIL)

    def prefill(self, n, loss):
        from optuna import distributions as module
        from optuna.trial import create_trial

        of = distributions(self.space, module)
        trials = []
        for _ in range(n):
            values = draw(self.space, self.random)
            trials.append(create_trial(params=values, distributions={name: of[name]
                                                                     for name in values},
                                       value=loss(values)))
        self.study.add_trials(trials)


class Rustuna(Peer):
    """Optuna in Rust."""

    def __init__(self, algorithm, space, seed, n_trials):
        import rustuna

        sampler = {"random": rustuna.samplers.RandomSampler, "tpe": rustuna.samplers.TPESampler,
                   "cmaes": rustuna.samplers.CmaEsSampler}[algorithm](seed=seed)
        self.of, self.space, self.random = rustuna, space, numpy.random.default_rng(seed)
        self.study = rustuna.create_study(sampler=sampler)

    def ask_now(self):
        trial = self.study.ask()
        return trial.number, suggest(self.space, trial)

    def tell_now(self, number, loss):
        self.study.tell(number, loss)

    def fail_now(self, number):
        self.study.tell(number, state=self.of.trial.TrialState.FAIL)

    def prefill(self, n, loss):
        of = distributions(self.space, self.of.distributions)
        for _ in range(n):
            values = draw(self.space, self.random)
            self.study.add_trial(self.of.create_trial(
                params=values, distributions={name: of[name] for name in values},
                value=loss(values)))


class Hyperopt(Peer):
    def __init__(self, algorithm, space, seed, n_trials):
        import hyperopt

        logging.getLogger("hyperopt").setLevel(logging.ERROR)
        self.of, self.tree = hyperopt, tree(space)
        self.algorithm = {"tpe": hyperopt.tpe.suggest, "random": hyperopt.rand.suggest}[algorithm]
        self.domain = hyperopt.base.Domain(lambda values: 0.0, self.tree)
        self.trials, self.random = hyperopt.Trials(), numpy.random.default_rng(seed)

    def ask_now(self, algorithm=None):
        ids = self.trials.new_trial_ids(1)
        seed = int(self.random.integers(2 ** 31 - 1))
        new = (algorithm or self.algorithm)(ids, self.domain, self.trials, seed)
        self.trials.insert_trial_docs(new)
        self.trials.refresh()
        trial = self.trials._dynamic_trials[-1]
        trial["state"] = self.of.JOB_STATE_RUNNING
        drawn = {name: own[0] for name, own in trial["misc"]["vals"].items() if own}
        return trial, flat(self.of.space_eval(self.tree, drawn))

    def tell_now(self, trial, loss):
        trial["state"] = self.of.JOB_STATE_DONE
        trial["result"] = {"loss": loss, "status": self.of.STATUS_OK}
        self.trials.refresh()

    def fail_now(self, trial):
        trial["state"] = self.of.JOB_STATE_DONE
        trial["result"] = {"status": self.of.STATUS_FAIL}
        self.trials.refresh()

    def prefill(self, n, loss):
        ids = self.trials.new_trial_ids(n)
        new = self.of.rand.suggest(ids, self.domain, self.trials, 0)
        self.trials.insert_trial_docs(new)
        self.trials.refresh()
        for trial in self.trials._dynamic_trials:
            drawn = {name: own[0] for name, own in trial["misc"]["vals"].items() if own}
            trial["state"] = self.of.JOB_STATE_DONE
            values = flat(self.of.space_eval(self.tree, drawn))
            trial["result"] = {"loss": loss(values), "status": self.of.STATUS_OK}
        self.trials.refresh()


def configuration_space(space, seed):
    import ConfigSpace as of

    found = of.ConfigurationSpace(seed=seed)
    for own in space:
        if isinstance(own, Words):
            parameter = of.CategoricalHyperparameter(own.name, list(map(str, own.words)))
        else:
            kind = (of.UniformFloatHyperparameter if isinstance(own, Real)
                    else of.UniformIntegerHyperparameter)
            parameter = kind(own.name, own.low, own.high, log=own.log)
        found.add(parameter)
        if own.under:
            parent, word = own.under
            found.add(of.EqualsCondition(parameter, found[parent], str(word)))
    return found


class Smac(Peer):
    def __init__(self, algorithm, space, seed, n_trials):
        import smac

        self.space = configuration_space(space, seed)
        self.folder = tempfile.TemporaryDirectory()
        facade = {"forest": smac.HyperparameterOptimizationFacade,
                  "gp": smac.BlackBoxFacade}[algorithm]
        scenario = smac.Scenario(self.space, deterministic=True, n_trials=n_trials, seed=seed,
                                 output_directory=self.folder.name)
        self.facade = facade(scenario, lambda configuration, seed=0: 0.0, logging_level=False,
                             overwrite=True)

    def ask_now(self):
        trial = self.facade.ask()
        return trial, dict(trial.config)

    def tell_now(self, trial, loss):
        from smac.runhistory.dataclasses import TrialValue

        self.facade.tell(trial, TrialValue(cost=loss, time=0.0), save=False)

    def fail_now(self, trial):
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        value = TrialValue(cost=float("inf"), time=0.0, status=StatusType.CRASHED)
        self.facade.tell(trial, value, save=False)

    def prefill(self, n, loss):
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        for configuration in self.space.sample_configuration(n):
            self.facade.tell(TrialInfo(configuration, seed=0),
                             TrialValue(cost=loss(dict(configuration)), time=0.0), save=False)

    def close(self):
        self.folder.cleanup()


class Ax(Peer):
    """BoTorch as Ax chooses its models, by Ax's own default."""

    def __init__(self, algorithm, space, seed, n_trials):
        import torch
        from ax.api.client import Client

        logging.disable(logging.WARNING)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.space, self.random = space, numpy.random.default_rng(seed)
        self.client = Client(random_seed=seed)
        self.client.configure_experiment([self.parameter(space, own) for own in space])
        self.client.configure_optimization("-loss")
        self.client.configure_generation_strategy(algorithm, initialization_random_seed=seed)

    @staticmethod
    def parameter(space, own):
        from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

        if isinstance(own, Words):
            under = {word: [child.name for child in children(space, own.name, word)]
                     for word in own.words}
            under = {word: names for word, names in under.items() if names}
            words = [str(word) for word in own.words]
            return ChoiceParameterConfig(own.name, words, "str", dependent_parameters=under or None)
        return RangeParameterConfig(own.name, (own.low, own.high),
                                    "float" if isinstance(own, Real) else "int",
                                    scaling="log" if own.log else "linear")

    def ask_now(self):
        [(index, values)] = self.client.get_next_trials(1).items()
        return index, dict(values)

    def tell_now(self, index, loss):
        self.client.complete_trial(index, {"loss": loss})

    def fail_now(self, index):
        self.client.mark_trial_failed(index)

    def prefill(self, n, loss):
        for _ in range(n):
            values = draw(self.space, self.random)
            self.tell_now(self.client.attach_trial(values), loss(values))


class Hebo(Peer):
    """HEBO as it stands. It knows no conditions: what does not count is proposed all the same."""

    def __init__(self, algorithm, space, seed, n_trials):
        import random

        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        random.seed(seed)
        numpy.random.seed(seed)
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.space = space
        self.optimizer = HEBO(DesignSpace().parse([self.parameter(own) for own in space]),
                              scramble_seed=seed)

    @staticmethod
    def parameter(own):
        if isinstance(own, Words):
            return {"name": own.name, "type": "cat", "categories": list(own.words)}
        kind = ("pow" if own.log else "num") if isinstance(own, Real) else (
            "pow_int" if own.log else "int")
        return {"name": own.name, "type": kind, "lb": own.low, "ub": own.high}

    def ask_now(self):
        row = self.optimizer.suggest(1)
        drawn = {}
        for own in self.space:
            if not own.under or drawn.get(own.under[0]) == own.under[1]:
                value = row.iloc[0][own.name]
                drawn[own.name] = (value if isinstance(own, Words) else
                                   float(value) if isinstance(own, Real) else int(value))
        return row, drawn

    def tell_now(self, row, loss):
        self.optimizer.observe(row, numpy.array([[loss]]))


LIBRARIES = {"optuna": Optuna, "rustuna": Rustuna, "hyperopt": Hyperopt, "smac": Smac, "ax": Ax,
             "hebo": Hebo}
PACKAGES = {"ax": "ax-platform", "hebo": "HEBO"}
# Those that are run where nothing is asked for, and those that are run where they are installed.
PEERS = ("optuna_random", "optuna_qmc", "optuna_tpe", "optuna_cmaes", "optuna_gp", "rustuna_random",
         "rustuna_tpe", "rustuna_cmaes", "hyperopt_tpe")
OPTIONAL = ("smac_forest", "ax_fast", "hebo_mace")
# Cheap enough for a thousand trials.
CHEAP = ("optuna_random", "optuna_qmc", "optuna_tpe", "optuna_cmaes", "hyperopt_tpe",
         "rustuna_tpe", "rustuna_cmaes", "rustuna_random")


def version(name):
    """Of the library; none where it is not installed."""
    try:
        library = name.split("_")[0]
        return importlib.metadata.version(PACKAGES.get(library, library))
    except importlib.metadata.PackageNotFoundError:
        return None


def peer(name, space, seed, n_trials):
    library, algorithm = name.split("_", 1)
    return LIBRARIES[library](algorithm, space, seed, n_trials)
