"""Runs: a sampler on a problem with a seed, to a budget, so many trials at once. Each is a line of
JSON in a file, and what is there is not run again."""

import concurrent.futures
import hashlib
import heapq
import json
import math
import multiprocessing
import pathlib
import time

import numpy

from . import peers
from .ours import Ours

OURS = ("random", "sobol", "tpe", "gp", "cma_es", "bayesian", "auto")
CHECKPOINTS = (10, 25, 50, 100, 150, 200, 300, 500, 700, 1000)


class Runs:
    """What has been run, and what runs it."""

    def __init__(self, path, binary):
        self.path, self.binary = pathlib.Path(path), binary
        digest = hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest() if binary else ""
        self.build = digest[:8]
        self.rows = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                row = json.loads(line)
                self.rows[self.key(row)] = row

    @staticmethod
    def key(row):
        names = ("sampler", "version", "problem", "seed", "budget", "parallel")
        return tuple(row[name] for name in names)

    def version(self, sampler):
        """Of a library, or our build; `tpe@1a2b3c4d` is one that is only shown."""
        if "@" in sampler:
            return sampler.split("@")[1]
        own = sampler.split("+")[0]
        return self.build if own in OURS else peers.version(own)

    def row(self, sampler, problem, seed, budget, parallel):
        key = (sampler.split("@")[0], self.version(sampler), problem, seed, budget, parallel)
        return self.rows.get(key)

    def complete(self, tasks, n_jobs, deadline):
        """Runs what is missing of (sampler, problem, seed, budget, parallel), in order, until it is
        done or the time is over. Says what could not be run."""
        missing = [task for task in tasks if "@" not in task[0]
                   and not self.row(task[0], task[1].name, *task[2:])]
        failed = {}
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(n_jobs, context) as pool:
            queue, running = iter(missing), set()
            while True:
                while len(running) < n_jobs and time.time() < deadline:
                    task = next(queue, None)
                    if task is None:
                        break
                    sampler, problem, seed, budget, parallel = task
                    if sampler in failed:
                        continue
                    future = pool.submit(run, self.binary, self.version(sampler), sampler,
                                         problem.name, problem.folders, seed, budget, parallel)
                    future.sampler = sampler
                    running.add(future)
                if not running:
                    return failed
                done, running = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    try:
                        self.keep(future.result())
                    except Exception as error:  # A peer may fail in its own ways.
                        failed.setdefault(future.sampler, f"{type(error).__name__}: {error}")

    def keep(self, row):
        self.rows[self.key(row)] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def sampler_of(binary, name, space, seed, budget, parallel=1):
    if name in OURS:
        return Ours(binary, name, space, seed, budget, parallel)
    return peers.peer(name, space, seed, budget)


def run(binary, version, sampler, problem, folders, seed, budget, parallel):
    from .suite import named

    instance = named(problem, folders).instance(seed)
    own = sampler_of(binary, sampler, instance.space, seed, budget, parallel)
    try:
        regrets = search(own, instance, seed, budget, parallel)
    finally:
        own.close()
    n_done = len(regrets)
    at = {str(n): regrets[min(n, n_done) - 1] for n in CHECKPOINTS if n <= budget and n_done}
    return {"sampler": sampler, "version": version, "problem": problem, "seed": seed,
            "budget": budget, "parallel": parallel, "n_trials": n_done, "regret": at,
            "cpu_ms": round(1e3 * own.cpu_s / max(n_done, 1), 5),
            "wall_ms": round(1e3 * own.wall_s / max(n_done, 1), 5)}


def search(sampler, instance, seed, budget, parallel):
    """The regret of the trial that looked best, after each one that ended, and before any has
    completed that of a bad one. Trials take times of their own, so that they end in another order
    than they began in."""
    random = numpy.random.default_rng([seed, 1])
    noises = instance.noise * random.normal(size=budget)
    times = numpy.exp(0.5 * random.normal(size=budget))
    running, n_begun, now = [], 0, 0.0
    before = math.nan if instance.bad is None else float(instance.regret(instance.bad))
    best_seen, regret, regrets = math.inf, before, []
    while len(regrets) < budget:
        while len(running) < parallel and n_begun < budget:
            asked = sampler.ask()
            if asked is None:
                budget = n_begun
                break
            heapq.heappush(running, (now + times[n_begun], n_begun, *asked))
            n_begun += 1
        if not running:
            break
        now, number, token, values = heapq.heappop(running)
        loss = instance.loss(values)
        seen = float(loss + noises[number])
        if math.isnan(seen):
            sampler.fail(token)
        else:
            sampler.tell(token, seen)
        if seen < best_seen:
            best_seen, regret = seen, float(instance.regret(loss))
        regrets.append(regret)
    return regrets
