"""Methods of forecasting series by series, beside statsforecast.

Each series is fitted on all but its last steps, and forecasts these. Ours is `fleetfit run` with
the last steps as validation data, which fits every series twice: once to judge it, once as the
winner that it keeps. Theirs is the model's `forecast`, once a series. The errors are of forecasts,
ours by `fleetfit predict`: sMAPE over the horizon, and MASE by the seasonal naive error of what was
learnt, each a mean over the series; the ratios are over the series that both sides forecast.
"""

import json

import numpy as np
import pandas as pd
from statsforecast import models

METHODS = {
    "ets": ("exponential_smoothing", {}, "AutoETS"),
    "theta": ("theta", {"theta": [2.0]}, "Theta"),
    "theta-auto": ("theta", {"theta": ["auto"]}, "AutoTheta"),
    "arima": ("arima", {}, "AutoARIMA"),
}


def synthetic(n, season, horizon=14):
    """Trend, season, a wandering level and noise, 200 to 730 steps, and the horizon behind."""
    rng, found = np.random.default_rng(season), []
    for _ in range(n):
        n_steps = int(rng.integers(200, 731)) + horizon
        steps, shape = np.arange(n_steps), rng.normal(size=season)
        y = 100 + rng.uniform(-0.02, 0.05) * steps + 8 * (shape - shape.mean())[steps % season]
        y = y + 0.3 * np.cumsum(rng.normal(size=n_steps)) + 4 * rng.normal(size=n_steps)
        found.append((np.maximum(y[:-horizon], 1.0), np.maximum(y[-horizon:], 1.0)))
    return found


def short(kind, n, season):
    """Two to four seasons of random walks, half of them with drift, or of a season in noise, and one
    behind."""
    rng, found = np.random.default_rng(season), []
    for _ in range(n):
        n_steps = int(rng.integers(2 * season, 4 * season))
        steps, noise = np.arange(n_steps + season), rng.normal(size=n_steps + season)
        if kind == "walks":
            y = 100 + np.cumsum(rng.choice([0, 0.5]) + noise)
        else:
            y = 100 + 3 * rng.normal(size=season)[steps % season] + noise
        found.append((y[:n_steps], y[n_steps:]))
    return found


def of_panel(frame, ids=None):
    """What was learnt and what came then, by the official split, of some series or all."""
    found = []
    for series, rows in frame.sort_values(["series_id", "t"]).groupby("series_id", sort=False):
        if ids is None or series in ids:
            is_test = (rows["split"] == "test").to_numpy()
            y = rows["y"].to_numpy(float)
            found.append((y[~is_test], y[is_test]))
    return found


def of_sales(frame, keys, time, target, n_ahead, frequency=None):
    """Series of sales without gaps, all but the shortest and those of hardly a sale."""
    found = []
    for _, rows in frame.groupby(keys):
        y = rows.set_index(time)[target]
        index = (pd.date_range(y.index.min(), y.index.max(), freq=frequency) if frequency
                 else range(y.index.min(), y.index.max() + 1))
        y = y.reindex(index).interpolate().to_numpy(float)
        learnt = y[:-n_ahead]
        if len(learnt) > 3 * n_ahead and (learnt > 0).sum() > n_ahead:
            found.append((learnt, y[-n_ahead:]))
    return found


def sales(bench):
    """Panels that no method's constants were chosen on."""
    for name, keys, time, target, n_ahead, frequency, season in (
            ("stallion_monthly", ["agency", "sku"], "date", "volume", 12, "MS", 12),
            ("rossmann100_daily", ["Store"], "Date", "Sales", 42, "D", 7),
            ("dominicks_oj_weekly", ["store", "brand"], "week", "logmove", 8, None, 1),
            ("recruit_restaurant_daily", ["air_store_id"], "visit_date", "visitors", 39, "D", 7)):
        frame = bench.panel(f"panels/{name}.csv.gz")
        if frame is not None:
            if frequency:
                frame[time] = pd.to_datetime(frame[time])
            yield name, season, of_sales(frame, keys, time, target, n_ahead, frequency), {
                "AutoETS": 1, "Theta": 1, "AutoTheta": 5, "AutoARIMA": 50}


def sets(bench):
    """Each set's name, season and series, and one in how many theirs forecasts, by method."""
    few = 10 if bench.is_quick else 1
    n = 60 if bench.is_quick else 300
    for season in (7, 12):
        yield f"synthetic, season {season}", season, synthetic(n, season), {
            "AutoETS": 5, "Theta": 1, "AutoTheta": 5, "AutoARIMA": 20}
    for season in (4, 7, 12):
        for kind in ("walks", "seasons"):
            yield f"short {kind}, season {season}", season, short(kind, n, season), {
                "AutoETS": 1, "Theta": 1, "AutoTheta": 5, "AutoARIMA": 20}
    m3, meta = bench.panel("panels/m3.csv.gz"), bench.panel("panels/m3_meta.csv.gz")
    if m3 is not None and meta is not None:
        for period, season in (("YEARLY", 1), ("QUARTERLY", 4), ("MONTHLY", 12), ("OTHER", 1)):
            ids = set(meta.loc[meta["period"] == period, "series_id"][::few])
            yield f"m3-{period.lower()}", season, of_panel(m3, ids), {
                "AutoETS": 5, "Theta": 1, "AutoTheta": 5, "AutoARIMA": 15}
    for name, season, few_orders in (("weekly", 1, 60), ("hourly", 24, 200)):
        frame = bench.panel(f"panels/m4_{name}.csv.gz")
        if frame is not None:
            ids = set(frame["series_id"].unique()[::few])
            yield f"m4-{name}", season, of_panel(frame, ids), {
                "AutoETS": 10, "Theta": 10, "AutoTheta": 20, "AutoARIMA": few_orders}
    yield from sales(bench)


def table(series, part):
    """`part` is 0 for what was learnt and 1 for what came then, whose steps count on."""
    begins = [0 if part == 0 else len(own[0]) for own in series]
    return pd.DataFrame({
        "series": np.repeat(np.arange(len(series)), [len(own[part]) for own in series]),
        "t": np.concatenate([begin + np.arange(len(own[part]))
                             for begin, own in zip(begins, series)]),
        "y": np.concatenate([own[part] for own in series]),
    })


def ours(bench, learner, space, season, series):
    """Seconds, CPU seconds, and each series' forecasts."""
    for part, name in enumerate(("train", "valid")):
        table(series, part).to_parquet(bench.dir / f"{name}.parquet", index=False)
    name = f"study-{bench.count}"
    bench.count += 1
    seconds, cpu, _ = bench.run(name, f"""type: sweep
name: {name}
training_data: {{path: train.parquet}}
validation_data: {{path: valid.parquet}}
target_column_name: y
task: forecasting
partition_column_names: [series]
forecasting: {{time_column_name: t, forecast_horizon: {len(series[0][1])}, seasonality: {season}}}
trial: {{learner: {learner}}}
search_space: {json.dumps(space)}
objective: {{primary_metric: symmetric_mean_absolute_percentage_error}}
limits: {{max_total_trials: 1, timeout: 36000}}
seed: 1
""".replace("search_space: {}\n", ""))
    bench.fleetfit("predict", name, "--data", str(bench.dir / "valid.parquet"),
                   "--out", str(bench.dir / "said.csv"))
    said = pd.read_csv(bench.dir / "said.csv")["prediction"].to_numpy()
    return seconds, cpu, np.split(said, np.cumsum([len(own[1]) for own in series])[:-1])


def forecast(task):
    """By statsforecast."""
    name, season, y, n_ahead = task
    return getattr(models, name)(season_length=season).forecast(y=y, h=n_ahead)["mean"]


def errors(series, said, season):
    """Mean sMAPE and MASE."""
    found = []
    for (learnt, truth), own in zip(series, said):
        smape = 200 * np.mean(np.abs(truth - own) / (np.abs(truth) + np.abs(own)))
        lag = season if len(learnt) > season else 1
        naive = np.mean(np.abs(learnt[lag:] - learnt[:-lag]))
        found.append((smape, np.mean(np.abs(truth - own)) / naive if naive else np.nan))
    return np.nanmean(found, axis=0)


def run(bench):
    bench.count, below = 0, []
    try:
        compare(bench, below)
    finally:
        print()
        bench.head("sMAPE, MASE of | ours, all series | ours, theirs' series | theirs")
        print("\n".join(below), flush=True)


def compare(bench, below):
    for name, season, series, one_in in sets(bench):
        if not bench.wants(name):
            continue
        for method, (learner, space, peer) in METHODS.items():
            if bench.methods and method not in bench.methods:
                continue
            seconds, cpu, said = ours(bench, learner, space, season, series)
            chosen = range(0, len(series), 1 if bench.has_every else one_in[peer])
            tasks = [(peer, season, *series[index][:1], len(series[index][1])) for index in chosen]
            their_seconds, their_cpu, theirs = bench.theirs(forecast, tasks)
            both = [series[index] for index in chosen]
            smape, mase = errors(both, [said[index] for index in chosen], season)
            their_smape, their_mase = errors(both, theirs, season)
            bench.row(f"{name}: {learner} beside {peer}", (len(series), seconds, cpu),
                      (len(chosen), their_seconds, their_cpu),
                      f"sMAPE {smape / their_smape:.4f}, MASE {mase / their_mase:.4f}")
            all_smape, all_mase = errors(series, said, season)
            below.append(f"| {name}: {learner}{' auto' if peer == 'AutoTheta' else ''} | "
                         f"{all_smape:.2f}, {all_mase:.3f} | {smape:.2f}, {mase:.3f} | "
                         f"{their_smape:.2f}, {their_mase:.3f} |")
