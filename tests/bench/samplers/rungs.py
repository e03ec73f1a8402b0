"""What rungs of built-in learners save and cost: gradient boosting on tables, the same search with
and without early termination, and a search that halving ruins.

    FLEETFIT=target/release/fleetfit python3 tests/bench/samplers/rungs.py DATA [SETS [SEEDS]]

DATA is a folder with `tabular` (`samplers.py --data` names it, too). Every search is run by one
thread; work is CPU time, refits of the winner included. What a configuration comes to is the same
with and without rungs to the last bit, so that what is found is measured in the full search's own
list: by its place there, and by how much worse it is than the best.
"""

import gzip
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

SETS = {
    "abalone": ("rings", "regression"),
    "wine_quality": ("quality", "regression"),
    "blood_transfusion": ("Class", "classification"),
    "credit_g": ("class", "classification"),
    "phoneme": ("class", "classification"),
}
OBJECTIVES = {
    "regression": ("minimize", "root_mean_squared_error"),
    "classification": ("minimize", "log_loss"),
}
SPACE = """\
  learning_rate: {type: float, min: 0.03, max: 0.3, scale: log}
  max_depth: {type: int, min: 2, max: 8}
  min_samples_leaf: {type: int, min: 1, max: 50, scale: log}
  reg_lambda: {type: float, min: 0.01, max: 100, scale: log}
  colsample_bytree: {type: float, min: 0.4, max: 1.0}
"""
# Slow learning needs all of its trees, and has the best of them at the end.
SLOW = SPACE.replace("min: 0.03", "min: 0.01").replace("max: 0.3", "max: 1.0")
N_TRIALS, N_TREES = 48, 100
RULES = {
    "asha": "{type: asha}",
    "asha, factor 8": "{type: asha, reduction_factor: 8}",
    "hyperband": "{type: hyperband}",
    "asha, estimators": "{type: asha, resource: estimators}",
    "asha, rows": "{type: asha, resource: rows}",
    "fold_racing": "{type: fold_racing}",
    "median_stopping": "{type: median_stopping}",
}


def job(name, data, target, task, space, n_trees, seed, rule):
    goal, metric = OBJECTIVES[task]
    early = f"early_termination: {rule}\n" if rule else ""
    return (f"type: sweep\nname: {name}\ntraining_data: {{path: {data}}}\n"
            f"target_column_name: {target}\ntask: {task}\ntrial: {{learner: gradient_boosting}}\n"
            f"search_space:\n{space}  n_estimators: [{n_trees}]\nsampling_algorithm: sobol\n"
            f"objective: {{goal: {goal}, primary_metric: {metric}}}\nn_cross_validations: 5\n"
            f"limits: {{max_total_trials: {N_TRIALS}}}\nseed: {seed}\n{early}")


def search(binary, folder, name, text):
    """CPU seconds, what was found, and all trials."""
    home = ["--data-dir", str(folder / name)]
    (folder / f"{name}.yaml").write_text(text)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    command = [binary, "run", str(folder / f"{name}.yaml"), "--slots", "1", "--output", "json"]
    ran = subprocess.run([*command, *home], check=True, capture_output=True, text=True)
    took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    rows = subprocess.run([binary, "trials", name, "--output", "json", *home], check=True,
                          capture_output=True, text=True).stdout.splitlines()
    return took, json.loads(ran.stdout)["best"]["value"], [json.loads(row) for row in rows]


def compare(binary, data, sets, seeds, space, n_trees, rules):
    """By rule: shares of the work, places in the full list, and how much worse."""
    found = {rule: ([], [], []) for rule in rules}
    for name in sets:
        target, task = SETS[name]
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                table = folder / f"{name}.csv"
                table.write_bytes(gzip.open(data / "tabular" / f"{name}.csv.gz").read())
                of = lambda name, rule: search(binary, folder, name, job(
                    name, table, target, task, space, n_trees, seed, rule))
                whole, best, trials = of("whole", None)
                values = sorted(trial["value"] for trial in trials)
                for number, rule in enumerate(rules):
                    took, value, _ = of(f"rungs-{number}", RULES[rule])
                    shares, places, worse = found[rule]
                    shares.append(took / whole)
                    places.append(1 + sum(other < value for other in values))
                    worse.append((value - best) / best)
                    print(f"{name} {seed} {rule}: {took:.1f} of {whole:.1f} s, place "
                          f"{places[-1]}, {100 * worse[-1]:.2f} % worse", file=sys.stderr)
    print("| rule | work | place of 48, median | worst place | worse, mean | worst |")
    print("|" + " --- |" * 6)
    for rule, (shares, places, worse) in found.items():
        print(f"| `{RULES[rule]}` | {statistics.mean(shares):.2f} | "
              f"{statistics.median(places):.0f} | {max(places)} | "
              f"{100 * statistics.mean(worse):.2f} % | {100 * max(worse):.2f} % |", flush=True)


def table(binary, data, sets=tuple(SETS), seeds=(1,)):
    print(f"\n{N_TRIALS} configurations of gradient boosting on {', '.join(sets)}; 5 folds, "
          f"{len(seeds)} seeds\n", flush=True)
    data = pathlib.Path(data)
    compare(binary, data, sets, seeds, SPACE, N_TREES, RULES)
    print("\nThe case where it hurts: rates from 0.01 to 1, rungs from 2 trees on\n", flush=True)
    RULES["asha, 2"] = "{type: asha, resource: estimators, min_resource: 2}"
    RULES["hyperband, 2"] = "{type: hyperband, resource: estimators, min_resource: 2}"
    hurt = ("asha, 2", "hyperband, 2", "asha, estimators", "asha")
    compare(binary, data, sets, seeds, SLOW, N_TREES, hurt)


if __name__ == "__main__":
    names = sys.argv[2].split(",") if len(sys.argv) > 2 else list(SETS)
    n_seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    table(os.environ.get("FLEETFIT", "target/release/fleetfit"), sys.argv[1], names,
          range(1, n_seeds + 1))
