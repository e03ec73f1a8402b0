"""A search space in one form, and how ours, Optuna and hyperopt are told of it.

A space is a list of parameters; one that has `under` exists only where the parameter named there
has that value, and stands behind it.
"""

import json
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Real:
    name: str
    low: float
    high: float
    log: bool = False
    under: tuple = None


@dataclass(frozen=True)
class Whole:
    name: str
    low: int
    high: int
    log: bool = False
    under: tuple = None


@dataclass(frozen=True)
class Words:
    name: str
    words: tuple
    under: tuple = None


def box(n, low=0.0, high=1.0):
    return [Real(f"x{i}", low, high) for i in range(n)]


def children(space, name, word):
    return [own for own in space if own.under == (name, word)]


def draw(space, random):
    """A uniform random configuration; `random` is numpy's generator."""
    drawn = {}
    for own in space:
        if own.under and drawn.get(own.under[0]) != own.under[1]:
            continue
        if isinstance(own, Words):
            drawn[own.name] = own.words[random.integers(len(own.words))]
        elif not own.log:
            drawn[own.name] = (random.uniform(own.low, own.high) if isinstance(own, Real)
                               else int(random.integers(own.low, own.high + 1)))
        else:
            half = 0.0 if isinstance(own, Real) else 0.5
            value = math.exp(random.uniform(math.log(own.low - half), math.log(own.high + half)))
            drawn[own.name] = (value if isinstance(own, Real)
                               else min(max(round(value), own.low), own.high))
    return drawn


def unit(own, value):
    """Where a number lies between its bounds, from 0 to 1, on the scale it is searched on."""
    if own.log:
        return (math.log(value) - math.log(own.low)) / (math.log(own.high) - math.log(own.low))
    return (value - own.low) / (own.high - own.low)


# Ours.

def job(space, algorithm, n_trials, n_parallel=1, stopping=None):
    """A job file. Conditions are maps among the values of a choice."""
    text = {
        "type": "sweep", "name": "bench", "trial": "external",
        "search_space": {own.name: domain(space, own) for own in space if not own.under},
        "sampling_algorithm": algorithm,
        "objective": {"goal": "minimize", "primary_metric": "loss"},
        "limits": {"max_total_trials": n_trials, "max_concurrent_trials": n_parallel},
    }
    return json.dumps(text if stopping is None else {**text, "early_termination": stopping})


def domain(space, own):
    if isinstance(own, Words):
        values = []
        for word in own.words:
            under = children(space, own.name, word)
            nested = {child.name: domain(space, child) for child in under}
            values.append({"is": word, **nested} if nested else word)
        return {"type": "choice", "values": values}
    return {"type": "float" if isinstance(own, Real) else "int", "min": own.low, "max": own.high,
            "scale": "log" if own.log else "linear"}


def flat(configuration):
    """A configuration of ours as names and values."""
    values = {}
    for name, value in configuration.items():
        if isinstance(value, dict):
            values[name] = value["is"]
            values.update(flat({key: own for key, own in value.items() if key != "is"}))
        else:
            values[name] = value
    return values


# Optuna, and Rustuna, whose calls are the same.

def suggest(space, trial):
    """Asks a trial for its values, as a user's function would."""
    values = {}
    for own in space:
        if own.under and values.get(own.under[0]) != own.under[1]:
            continue
        if isinstance(own, Words):
            values[own.name] = trial.suggest_categorical(own.name, own.words)
        elif isinstance(own, Real):
            values[own.name] = trial.suggest_float(own.name, own.low, own.high, log=own.log)
        else:
            values[own.name] = trial.suggest_int(own.name, own.low, own.high, log=own.log)
    return values


def distributions(space, of):
    """`of` is the library's module of them."""
    return {own.name: of.CategoricalDistribution(own.words) if isinstance(own, Words)
            else of.FloatDistribution(own.low, own.high, log=own.log) if isinstance(own, Real)
            else of.IntDistribution(own.low, own.high, log=own.log) for own in space}


# hyperopt.

def tree(space):
    from hyperopt import hp
    from hyperopt.pyll import scope

    def node(own):
        if isinstance(own, Words):
            branches = [{"is": word, **{child.name: node(child)
                                        for child in children(space, own.name, word)}}
                        for word in own.words]
            return hp.choice(own.name, branches)
        if isinstance(own, Real):
            return (hp.loguniform(own.name, math.log(own.low), math.log(own.high)) if own.log
                    else hp.uniform(own.name, own.low, own.high))
        if own.log:
            return scope.int(hp.qloguniform(own.name, math.log(own.low), math.log(own.high), 1))
        return hp.uniformint(own.name, own.low, own.high)

    return {own.name: node(own) for own in space if not own.under}
