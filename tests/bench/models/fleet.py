"""One job over very many entities: how long it takes, and how much memory. And what must not
depend on the number of threads or on the order of entities in the file.

200 rows × 10 features an entity; 32 ridge and 8 gradient_boosting configurations (4 settings, each
with 50 and 100 trees) and 3 folds, winners refitted and stored.
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models import big

N_ROWS, N_FEATURES = 200, 10
CHUNK = 1_000
SPACE = {"model": [
    {"learner": "ridge", "alpha": np.logspace(-3, 3, 32).tolist()},
    {"learner": "gradient_boosting", "learning_rate": [0.05, 0.1], "max_depth": [3, 5],
     "n_estimators": [50, 100], "max_bin": 63},
]}


def table(entities):
    """Half of the entities follow lines, half of them have a step and a product besides."""
    parts = []
    for entity in entities:
        rng = np.random.default_rng(entity)
        x = rng.normal(size=(N_ROWS, N_FEATURES))
        y = x @ rng.normal(size=N_FEATURES) + rng.normal(size=N_ROWS)
        if entity % 2:
            y += 4 * (x[:, 0] > 0.3) + 2 * x[:, 1] * x[:, 2]
        parts.append(np.column_stack([x, y]))
    values = np.concatenate(parts).astype(np.float32)
    columns = {"shop": np.repeat(np.array(entities), N_ROWS)}
    columns |= {f"x{index}": values[:, index] for index in range(N_FEATURES)}
    return pa.table(columns | {"y": values[:, N_FEATURES]})


def write(path, entities):
    with pq.ParquetWriter(path, table(entities[:1]).schema) as writer:
        for first in range(0, len(entities), CHUNK):
            writer.write_table(table(entities[first:first + CHUNK]))


def job(name, file):
    return f"""type: sweep
name: {name}
training_data: {{path: {file}}}
target_column_name: y
task: regression
partition_column_names: [shop]
n_cross_validations: 3
trial: {{learner: "${{{{search_space.model}}}}"}}
search_space: {json.dumps(SPACE)}
sampling_algorithm: grid
objective: {{goal: minimize, primary_metric: root_mean_squared_error}}
limits: {{max_total_trials: 40, timeout: 360000}}
seed: 1
"""


def unchanged(bench):
    """The same winners, values and models, whoever does the work and wherever an entity stands."""
    entities = list(range(40))
    mixed = np.random.default_rng(3).permutation(entities).tolist()
    write(bench.dir / "plain.parquet", entities)
    write(bench.dir / "mixed.parquet", mixed)
    plain = found(bench, job("same", "plain.parquet"), "plain.parquet", 1)
    for what, file in [("2 slots", "plain"), ("2 slots, entities in another order", "mixed")]:
        other = found(bench, job("same", f"{file}.parquet"), "plain.parquet", 2)
        same(f"{len(entities)} entities, 1 slot and {what}", plain, other)
    # Large enough that idle slots help with one fit.
    big.write(bench.dir / "large.parquet", *big.draw(60_000, 5))
    alone = job("same", "large.parquet").replace("partition_column_names: [shop]\n", "")
    one, two = (found(bench, alone, "large.parquet", slots) for slots in (1, 2))
    same("60,000 rows, 1 slot and 2 slots", one, two)


def found(bench, text, rows, slots):
    """Each entity's winner, and what the winners predict, by a study in a home of its own."""
    home = f"home-{len(list(bench.dir.iterdir()))}"
    bench.run("same", text, "--slots", str(slots), home=home)
    best = bench.measured("best", "same", "--all", "--output", "json", home=home)[0]
    # A trial's number is its place in the grid, and `model` the digest of the model's bytes.
    winners = sorted(map(json.loads, best.splitlines()), key=lambda row: str(row["entity"]))
    return winners, bench.measured("predict", "same", "--data", rows, home=home)[0]


def same(what, one, other):
    pairs = list(zip(one[0], other[0], strict=True))
    differ = [pair for pair in pairs if pair[0] != pair[1]]
    if differ or one[1] != other[1]:
        raise SystemExit(f"{what}: {len(differ)} of {len(pairs)} winners differ: {differ[:1]}")
    print(f"{what}: winners, values, models and predictions are the same to the bit", flush=True)


def run(bench):
    unchanged(bench)
    n = bench.entities or (2_000 if bench.is_quick else 100_000)
    write(bench.dir / "fleet.parquet", list(range(n)))
    size = (bench.dir / "fleet.parquet").stat().st_size
    seconds, cpu, peak = bench.run("fleet", job("fleet", "fleet.parquet"))
    best = bench.fleetfit("best", "fleet", "--all", "--output", "json").splitlines()
    learners = [json.loads(line)["learner"] for line in best]
    print()
    bench.head("entities | file | trials | wall | CPU | CPU an entity | peak memory | won by "
               "gradient_boosting")
    print(f"| {n:,} | {size / 2**20:,.0f} MiB | {40 * n:,} | {seconds:,.0f} s | {cpu:,.0f} s | "
          f"{cpu / n * 1e3:.1f} ms | {peak / 2**20:,.0f} MiB | "
          f"{learners.count('gradient_boosting') / max(1, len(learners)):.0%} |", flush=True)
