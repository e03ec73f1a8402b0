"""What every part of the benchmark does: runs ours, runs theirs, prints a row of the table."""

import csv
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import joblib

COLUMNS = ("what | {}, theirs | ours, ms | theirs, ms | time ratio | CPU ratio | error ratio")
MANY = {"entity": "entities", "series": "series", "model": "models"}


class Bench:
    def __init__(self, binary, arguments):
        self.binary = str(binary)
        self.is_quick = arguments.quick
        self.data = arguments.data and arguments.data.resolve()
        self.entities = arguments.entities
        self.sets, self.methods = arguments.sets, arguments.methods
        self.has_every = arguments.every
        self.cores = os.cpu_count() or 1
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fleetfit-models-"))

    def wants(self, name):
        """Whether a set was asked for: all are, where none is."""
        return not self.sets or name.startswith(tuple(self.sets))

    def begin(self, part, unit):
        """How the table came about."""
        shown = [f"--part {part}"] + ["--quick"] * self.is_quick + ["--data DIR"] * bool(self.data)
        shown += [f"--entities {self.entities}"] * bool(self.entities)
        shown += [f"--sets {' '.join(self.sets or [])}"] * bool(self.sets)
        shown += ["--every"] * self.has_every
        shown += [f"--methods {' '.join(self.methods or [])}"] * bool(self.methods)
        print(f"\n## {part}\n\n`tests/bench/models.py {' '.join(shown)}`: {self.cores} cores, load "
              f"{os.getloadavg()[0]:.1f} when it began; milliseconds of all cores for one {unit}, "
              "and the CPU time in them\n")
        self.unit, self.has_head = unit, False

    def head(self, columns=None):
        columns = columns or COLUMNS.format(MANY[self.unit])
        self.has_head = True
        print(f"| {columns} |")
        print("|" + " --- |" * (columns.count(" | ") + 1), flush=True)

    def fleetfit(self, *arguments):
        return self.measured(*arguments)[0]

    def measured(self, *arguments, home="home"):
        """What a command said, and its seconds, CPU seconds and peak of memory in bytes."""
        said, complaints = self.dir / "said", self.dir / "complaints"
        began = time.perf_counter()
        with said.open("w") as out, complaints.open("w") as err:
            child = subprocess.Popen(
                [self.binary, *arguments, "--data-dir", str(self.dir / home), "--quiet"],
                stdout=out, stderr=err, cwd=self.dir,
            )
            _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise SystemExit(f"fleetfit {' '.join(arguments)} ended with {child.returncode}: "
                             f"{said.read_text()[-2000:]}{complaints.read_text()[-2000:]}")
        cpu = used.ru_utime + used.ru_stime
        return said.read_text(), seconds, cpu, used.ru_maxrss * 1024

    def run(self, name, job, *more, home="home"):
        """Runs a job from a standing start: seconds, CPU seconds and peak of memory in bytes."""
        path = self.dir / f"{name}.yaml"
        path.write_text(job)
        return self.measured("run", str(path), "--output", "json", *more, home=home)[1:]

    def ours(self, name, job):
        """Runs a job: seconds, CPU seconds, and each entity's best value."""
        seconds, cpu, _ = self.run(name, job)
        lines = self.fleetfit("best", name, "--all", "--output", "json").splitlines()
        return seconds, cpu, {key(row["entity"]): row for row in map(json.loads, lines)}

    def elapsed(self, name):
        """The seconds of a study alone: trials, their way to the disk, winners; nothing is read."""
        return json.loads(self.fleetfit("status", name, "--output", "json"))["elapsed_s"]

    def trials(self, name):
        """Every trial that ended, as a list of maps of text."""
        self.fleetfit("trials", name, "--output", "csv", "--out", str(self.dir / "trials.csv"))
        with (self.dir / "trials.csv").open() as file:
            return list(csv.DictReader(file))

    def theirs(self, act, entities):
        """`act` for each entity, one process a core: seconds, CPU seconds, what came of each."""
        pool = joblib.Parallel(n_jobs=self.cores, backend="loky")
        pool(joblib.delayed(warm)(act.__module__) for _ in range(4 * self.cores))
        began = time.perf_counter()
        found = pool(joblib.delayed(timed)(act, entity) for entity in entities)
        seconds = time.perf_counter() - began
        return seconds, sum(cpu for _, cpu in found), [value for value, _ in found]

    def row(self, what, ours, theirs, errors):
        """`ours` and `theirs` are how many, seconds and CPU seconds."""
        if not self.has_head:
            self.head()
        (n, seconds, cpu), (n_theirs, their_seconds, their_cpu) = ours, theirs
        ratio = (their_seconds / n_theirs) / (seconds / n)
        cpu_ratio = (their_cpu / n_theirs) / (cpu / n)
        print(f"| {what} | {n:,}, {n_theirs:,} | {seconds / n * 1e3:.2f} ({cpu / n * 1e3:.2f}) | "
              f"{their_seconds / n_theirs * 1e3:.2f} ({their_cpu / n_theirs * 1e3:.2f}) | "
              f"{ratio:.1f} | {cpu_ratio:.1f} | {errors} |", flush=True)

    def panel(self, path):
        """A file of real data, or none where it is not there, which is said."""
        import pandas as pd

        file = self.data and self.data / path
        if file is None or not file.exists():
            print(f"\nskipped, for `--data DIR` names no folder with it: {path}", flush=True)
            return None
        return pd.read_csv(file, keep_default_na=False, na_values=[""])

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def key(entity):
    """An entity's value, or its values where several columns name it."""
    if entity is None:
        return None
    values = tuple(entity.values())
    return values[0] if len(values) == 1 else values


def warm(module):
    importlib.import_module(module)  # so that nobody is timed while libraries are loaded


def timed(act, entity):
    began = time.process_time()
    value = act(entity)
    return value, time.process_time() - began
