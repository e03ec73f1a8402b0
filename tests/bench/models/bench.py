"""What every part of the benchmark does: runs ours, runs theirs, prints a row of the table."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time

import joblib


class Bench:
    def __init__(self, binary, is_quick):
        self.binary = str(binary)
        self.is_quick = is_quick
        self.cores = os.cpu_count() or 1
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fleetfit-models-"))
        print(f"{self.cores} cores; milliseconds of all cores an entity, and the CPU time in them\n")
        print("| what | entities, theirs | ours, ms | theirs, ms | time ratio | CPU ratio | error ratio |")
        print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)

    def fleetfit(self, *arguments):
        said = subprocess.run(
            [self.binary, *arguments, "--data-dir", str(self.dir / "home"), "--quiet"],
            capture_output=True, text=True, check=False, cwd=self.dir,
        )
        if said.returncode != 0:
            raise SystemExit(f"fleetfit {arguments[0]}: {said.stdout}{said.stderr}")
        return said.stdout

    def ours(self, name, job):
        """Runs a job from a standing start: seconds, CPU seconds, and each entity's best value."""
        path = self.dir / f"{name}.yaml"
        path.write_text(job)
        cpu, began = cpu_of_children(), time.perf_counter()
        self.fleetfit("run", str(path), "--output", "json")
        seconds, cpu = time.perf_counter() - began, cpu_of_children() - cpu
        lines = self.fleetfit("best", name, "--all", "--output", "json").splitlines()
        best = map(json.loads, lines)
        return seconds, cpu, {next(iter(row["entity"].values())): row for row in best}

    def theirs(self, act, entities):
        """`act` for each entity, one process a core: seconds, CPU seconds, what came of each."""
        pool = joblib.Parallel(n_jobs=self.cores, backend="loky")
        pool(joblib.delayed(warm)() for _ in range(4 * self.cores))
        began = time.perf_counter()
        found = pool(joblib.delayed(timed)(act, entity) for entity in entities)
        seconds = time.perf_counter() - began
        return seconds, sum(cpu for _, cpu in found), [value for value, _ in found]

    def row(self, what, ours, theirs, errors):
        """`ours` and `theirs` are entities, seconds and CPU seconds."""
        (n, seconds, cpu), (n_theirs, their_seconds, their_cpu) = ours, theirs
        ratio = (their_seconds / n_theirs) / (seconds / n)
        cpu_ratio = (their_cpu / n_theirs) / (cpu / n)
        print(f"| {what} | {n:,}, {n_theirs:,} | {seconds / n * 1e3:.2f} ({cpu / n * 1e3:.2f}) | "
              f"{their_seconds / n_theirs * 1e3:.2f} ({their_cpu / n_theirs * 1e3:.2f}) | "
              f"{ratio:.1f} | {cpu_ratio:.1f} | {errors} |", flush=True)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def warm():
    import sklearn.linear_model  # noqa: F401, so that nobody is timed while it is loaded
    import sklearn.model_selection  # noqa: F401


def timed(act, entity):
    began = time.process_time()
    value = act(entity)
    return value, time.process_time() - began
