#!/usr/bin/env python3
"""Compares our samplers with those of Optuna, Rustuna, hyperopt and, where installed, others.

    tests/bench/samplers.py [--part regret] [--quick] [--data DIR] [--samplers tpe,optuna_tpe]

Each problem is moved, and some are rotated, by its seed; all samplers get the same ones. Ours run
in a process of their own that reads lines (scheduler/examples/sample.rs), theirs in the process that
measures; times are those of asking and telling alone. Prints markdown. Parts:

    regret    mean ranks and normalised regret after 25, 50, 100 and 200 trials, by family
    long      the same after 1,000, for samplers that are cheap enough
    parallel  the same with 32 trials at once, beside one at a time
    cost      milliseconds of CPU a suggestion with 100 to 100,000 trials behind it
    fidelity  regret by work, where trials report as they go and may be ended (with --data)
    stopping  work saved and error added by stopping trials early on learning curves (with --data)
    ending    trials saved and regret added by ending searches of our own learners (with --data)

What was run is kept in a file (`--results`), and not run again: a run can be interrupted, and peers
are run once. Ours is run again when it is another build; `tpe@1a2b3c4d` shows what an earlier build
did. The libraries (tests/bench/samplers/requirements.txt) are installed from PyPI into
target/bench-samplers-venv unless `--python` names an interpreter that has them; SMAC3 (smac) and
BoTorch (ax-platform) are compared where they are installed there. `--data` names a folder with real
data: surrogates of real tasks are searched where it, or `hpo` in it, has `yahpo`, curves are read
where it has `lcdb`, and where it has `tabular` our own learners are fitted to its tables, once,
into `bench-fits` beside the results.
"""

import argparse
import hashlib
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
REQUIREMENTS = ROOT / "tests" / "bench" / "samplers" / "requirements.txt"
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
PARTS = ("regret", "long", "parallel", "cost", "fidelity", "stopping", "ending")
BUDGETS = (25, 50, 100, 200)


def python_with_libraries():
    venv = TARGET / "bench-samplers-venv"
    python = venv / "bin" / "python"
    stamp = venv / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)],
                       check=True)
        stamp.touch()
    return python


def built(*what):
    subprocess.run(["cargo", "build", "--release", "--quiet", *what], cwd=ROOT, check=True)
    return TARGET / "release"


def sample(arguments):
    binary = arguments.binary or (
        built("-p", "fleetfit-scheduler", "--example", "sample") / "examples" / "sample")
    return str(pathlib.Path(binary).resolve())


def fleetfit(arguments):
    binary = arguments.fleetfit or built("--bin", "fleetfit") / "fleetfit"
    return str(pathlib.Path(binary).resolve())


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = lambda text: text.split(",")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true", help="3 seeds, 50 trials")
    parser.add_argument("--samplers", type=words, help="ours and theirs: tpe,optuna_tpe,...")
    parser.add_argument("--problems", type=words, help="by name; all where not given")
    parser.add_argument("--families", type=words, help="numeric,mixed,...")
    parser.add_argument("--seeds", type=int, help="how many (20)")
    parser.add_argument("--trials", type=int, help="of a run (200)")
    parser.add_argument("--parallel", type=int, default=32, help="of the part parallel")
    parser.add_argument("--data", help="a folder with tabular, yahpo and lcdb")
    parser.add_argument("--results", help="the file that keeps what was run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at once")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many")
    parser.add_argument("--binary", help="the example `sample`, built already")
    parser.add_argument("--fleetfit", help="the program, built already; it fits tables")
    parser.add_argument("--python", help="an interpreter that has the libraries")
    return parser.parse_args()


def samplers_of(arguments, runs, binary, say):
    """Those that are asked for, or all that can run; and says which cannot."""
    from samplers import peers
    from samplers.runs import OURS, sampler_of
    from samplers.space import box

    chosen = []
    for name in arguments.samplers or [*OURS, *peers.PEERS, *peers.OPTIONAL]:
        if "@" in name:
            chosen.append(name)
        elif "+" in name:
            continue
        elif name not in OURS and name.split("_")[0] not in peers.LIBRARIES:
            raise SystemExit(f"--samplers: {name} is not known; known: "
                             f"{', '.join([*OURS, *peers.PEERS, *peers.OPTIONAL])}")
        elif name not in OURS and peers.version(name) is None:
            say(f"{name} is left out: {name.split('_')[0]} is not installed")
        else:
            try:
                own = sampler_of(binary, name, box(1), 0, 1)
                own.ask()
                own.close()
                chosen.append(name)
            except Exception as error:  # Whatever a library lacks.
                say(f"{name} is left out: {error}")
    return chosen


def main():
    arguments = read_arguments()
    if os.environ.get("FLEETFIT_BENCH") != "1":
        python = arguments.python or python_with_libraries()
        environment = {**os.environ, **ONE_THREAD, "FLEETFIT_BENCH": "1"}
        os.execve(str(python), [str(python), *sys.argv], environment)

    # Only here do the libraries have to be there.
    from samplers import cost, ending, fidelity, fits, parallel, peers, regret, stopping
    from samplers.folder import inside
    from samplers.runs import Runs
    from samplers.suite import suite

    say = lambda text: print(f"{text}\n", flush=True)
    binary = sample(arguments)
    runs = Runs(arguments.results or TARGET / "bench-samplers.jsonl", binary)
    chosen = samplers_of(arguments, runs, binary, say)

    def is_asked(name, family):
        return (name in (arguments.problems or [name])
                and family in (arguments.families or [family]))

    data, tables, parts = arguments.data, runs.path.parent / "bench-fits", arguments.part or PARTS
    if not data:
        say("real tasks, curves and fits are left out: `--data` names no folder that has them")
    elif {"regret", "long", "parallel"}.intersection(parts):
        if not inside(data, "yahpo"):
            say(f"surrogates of real tasks are left out: {data} has no yahpo")
        fits.make(data, tables, lambda: fleetfit(arguments), is_asked, say)
    problems = [problem for problem in suite(data, tables if data else None)
                if is_asked(problem.name, problem.family)]
    for name in set(arguments.problems or ()) - {problem.name for problem in problems}:
        say(f"{name} is left out: it is no problem, or real and `--data` does not have it")
    seeds = range(arguments.seeds or (3 if arguments.quick else 20))
    budget = arguments.trials or (50 if arguments.quick else BUDGETS[-1])
    deadline = time.time() + 60 * arguments.minutes

    def complete(tasks):
        for name, why in runs.complete(tasks, arguments.jobs, deadline).items():
            say(f"{name} failed: {why}")

    for part in parts:
        print(f"\n## {part}\n\n`tests/bench/samplers.py {' '.join(sys.argv[1:])}`; ours is build "
              f"{runs.build}, {len(seeds)} seeds\n", flush=True)
        if part == "regret":
            complete(regret.tasks(problems, chosen, seeds, budget))
            checkpoints = [at for at in BUDGETS if at < budget] + [budget]
            regret.tables(runs, problems, chosen, seeds, budget, checkpoints)
        elif part == "long":
            cheap = [name for name in chosen
                     if (name in peers.CHEAP or "_" not in name or name == "cma_es")
                     and name.split("@")[0] != "gp"]
            complete(regret.tasks(problems, cheap, seeds, 1000))
            regret.tables(runs, problems, cheap, seeds, 1000, [1000])
        elif part == "parallel":
            complete(regret.tasks(problems, chosen, seeds, budget, arguments.parallel))
            parallel.table(runs, problems, chosen, seeds, budget, arguments.parallel)
            regret.tables(runs, problems, chosen, seeds, budget, [budget], arguments.parallel)
        elif part == "cost":
            cost.table(binary, chosen, cost.SIZES[:2] if arguments.quick else cost.SIZES, say)
        elif part == "ending":
            if inside(data, "tabular"):
                ending.table(fleetfit(arguments), data, range(1, len(seeds) + 1), budget, say)
            else:
                say("left out: `--data` names no folder that has tabular")
        elif not inside(data, "lcdb"):
            say("left out: `--data` names no folder that has lcdb")
        elif part == "fidelity":
            names = arguments.samplers or fidelity.SAMPLERS
            fidelity.tables(runs, data, [n for n in names if "+" in n], seeds, say)
        else:
            stopping.table(binary, data, 20 if arguments.quick else 200)


if __name__ == "__main__":
    main()
