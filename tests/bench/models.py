#!/usr/bin/env python3
"""Measures our learners beside the libraries that people train fleets with today.

    tests/bench/models.py [--part linear] [--quick] [--data DIR] [--binary FILE] [--python FILE]

Same data, same folds, same parameters, all cores for both sides: ours is `fleetfit run` as a whole,
with its start and the reading of the file; theirs is the loop that their users write, one process a
core and one thread a process, timed without start and reading. Prints a markdown table for each
part, with ratios of time and of error. The libraries (tests/bench/models/requirements.txt) are
installed from PyPI into target/bench-models-venv unless `--python` names an interpreter that has
them. Real data is measured where `--data` names a folder that has some: panels/*.csv.gz and
tabular/*.csv.gz. Figures of shared machines are worth their ratios.
"""

import argparse
import hashlib
import importlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
REQUIREMENTS = ROOT / "tests" / "bench" / "models" / "requirements.txt"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
# Each part, and what a line of its table counts.
PARTS = {
    "linear": "entity", "boosting": "model", "big": "model", "forests": "model",
    "forecasting": "series", "fleet": "entity",
}


def python_with_libraries():
    venv = TARGET / "bench-models-venv"
    python = venv / "bin" / "python"
    stamp = venv / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)],
                       check=True)
        stamp.touch()
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true", help="about a tenth of the work")
    parser.add_argument("--data", type=pathlib.Path, help="a folder with panels and tabular")
    parser.add_argument("--sets", nargs="+", metavar="NAME",
                        help="of boosting, forests and forecasting: sets whose names begin so")
    parser.add_argument("--methods", nargs="+", metavar="NAME",
                        help="of the part forecasting: ets, theta, theta-auto, arima")
    parser.add_argument("--every", action="store_true",
                        help="of the part forecasting: the peer has every series, not a sample")
    parser.add_argument("--entities", type=int, help="of the parts boosting, forests and fleet")
    parser.add_argument("--binary", help="an executable that is built already")
    parser.add_argument("--python", help="an interpreter that has the libraries")
    arguments = parser.parse_args()
    if os.environ.get("FLEETFIT_BENCH") != "1":
        python = arguments.python or python_with_libraries()
        environment = {**os.environ, **ONE_THREAD, "FLEETFIT_BENCH": "1"}
        os.execve(str(python), [str(python), *sys.argv], environment)
    binary = arguments.binary
    if not binary:
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
        binary = TARGET / "release" / "fleetfit"

    # Only here do the libraries have to be there.
    from models.bench import Bench

    bench = Bench(pathlib.Path(binary).resolve(), arguments)
    try:
        for name in arguments.part or PARTS:
            bench.begin(name, PARTS[name])
            importlib.import_module(f"models.{name}").run(bench)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
