#!/usr/bin/env python3
"""Measures our learners beside the libraries that people train fleets with today.

    tests/bench/models.py [--part linear] [--quick] [--binary FILE] [--python FILE]

Same data, same folds, same parameters, all cores for both sides: ours is `fleetfit run` as a whole,
with its start and the reading of the file; theirs is the loop that their users write, one process a
core and one thread a process, timed without start and reading. Prints a markdown table of ratios of
time and of error. The libraries are installed from PyPI into target/bench-models-venv unless
`--python` names an interpreter that has them. Figures of shared machines are worth their ratios.
"""

import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PACKAGES = ["numpy==2.4.6", "pyarrow==26.0.1", "scikit-learn==1.9.1", "joblib==1.6.0"]
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def python_with_libraries():
    venv = TARGET / "bench-models-venv"
    python = venv / "bin" / "python"
    stamp = venv / "-".join(PACKAGES)
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.touch()
    return python


def main():
    names = ["linear"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=names, action="append")
    parser.add_argument("--quick", action="store_true", help="a tenth of the entities")
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
    from models import linear
    from models.bench import Bench

    parts = {"linear": linear.run}
    bench = Bench(binary, arguments.quick)
    try:
        for name in arguments.part or names:
            parts[name](bench)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
