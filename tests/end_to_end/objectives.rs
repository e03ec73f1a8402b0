//! Several objectives and constraints, from the job to the front.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Place, eventually, panel};

/// The smaller x, the smaller the size; the nearer y is to x, the smaller the error. Size and time
/// are reported once, the error for each epoch. Wide ones take too long.
const COMMAND: &str = "\
type: sweep
name: traded
trial:
  command: >-
    awk -v x=${{search_space.x}} -v y=${{search_space.y}} 'BEGIN {
    for (epoch = 1; epoch <= 3; epoch++)
    printf \"{\\\"metric\\\": \\\"error\\\", \\\"value\\\": %.17g}\\n\", (x - y) ^ 2 + 1 / x + (3 - epoch);
    printf \"{\\\"metric\\\": \\\"size\\\", \\\"value\\\": %.17g}\\n\", x + y;
    printf \"{\\\"metric\\\": \\\"ms\\\", \\\"value\\\": %.17g}\\n\", 3 * x }'
search_space:
  x: {type: float, min: 1, max: 10}
  y: {type: float, min: 1, max: 10}
sampling_algorithm: tpe
objective:
  - {goal: minimize, primary_metric: error}
  - {goal: minimize, primary_metric: size}
constraints: [\"ms <= 20\"]
limits: {max_total_trials: 40, max_concurrent_trials: 4}
seed: 3
";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

/// The front of these rows by force: the numbers of its trials, the least first objective first.
fn front(rows: &[Value]) -> Vec<u64> {
    let losses = |row: &Value| [number(&row["values"]["error"]), number(&row["values"]["size"])];
    let kept: Vec<&Value> = rows.iter().filter(|row| row["feasible"] != false).collect();
    let is_beaten = |row: &Value| {
        kept.iter().any(|other| {
            let pairs = losses(other).into_iter().zip(losses(row));
            pairs.clone().all(|(other, own)| other <= own) && pairs.clone().any(|(o, own)| o < own)
        })
    };
    let mut on: Vec<&&Value> = kept.iter().filter(|row| !is_beaten(row)).collect();
    on.sort_by(|one, other| losses(one)[0].total_cmp(&losses(other)[0]));
    on.iter().filter_map(|row| row["trial"].as_u64()).collect()
}

#[test]
fn the_front_of_a_command_is_that_of_its_trials() {
    let place = Place::new();
    place.write("job.yaml", COMMAND);
    let ran = place.json(&["run", "job.yaml"]);
    let rows = place.lines(&["trials", "traded"]);
    assert_eq!((rows.len(), &ran["trials"]["completed"]), (40, &json!(40)), "{ran}");
    for row in &rows {
        let (x, y) = (number(&row["configuration"]["x"]), number(&row["configuration"]["y"]));
        let near = |name: &str, expected: f64| {
            let found = number(&row["values"][name]);
            assert!((found - expected).abs() < 1e-6 * expected.abs(), "{name} of {row}");
        };
        // The last of each counts.
        near("error", (x - y).powi(2) + 1.0 / x);
        near("size", x + y);
        assert_eq!(row["feasible"], json!(number(&row["values"]["ms"]) <= 20.0));
        assert_eq!(row["value"], row["values"]["error"]);
    }
    assert!(rows.iter().any(|row| row["feasible"] == false), "none broke the bound");
    let best = place.lines(&["best", "traded"]);
    let found: Vec<u64> = best.iter().filter_map(|row| row["trial"].as_u64()).collect();
    assert_eq!(found, front(&rows));
    assert_eq!(ran["front"], json!(found.len()));
    assert_eq!(ran["best"]["trial"], json!(found[0]));
    assert_eq!(ran["constraints"], json!(["ms <= 20"]));
    let volume = &ran["hypervolume"];
    assert!(number(&volume["value"]) > 0.0, "{volume}");
    let kept = rows.iter().filter(|row| row["feasible"] == true);
    let worst = kept.map(|row| number(&row["values"]["size"])).fold(0.0, f64::max);
    assert_eq!(number(&volume["reference"]["size"]), worst);
    assert_eq!(place.lines(&["best", "traded", "--top", "2"]).len(), 2.min(found.len()));
    let csv = place.fleetfit(&["trials", "traded", "--output", "csv"]).ok().stdout;
    let head = csv.lines().next().unwrap_or_default();
    assert!(head.ends_with("ended,values.error,values.size,values.ms,feasible,x,y"), "{head}");
    assert!(csv.lines().skip(1).all(|line| line.contains(",true,") || line.contains(",false,")));
    let table = place.fleetfit(&["best", "traded"]).ok().stdout;
    let head = table.lines().next().unwrap_or_default();
    assert!(["error", "size", "ms"].iter().all(|metric| head.contains(metric)), "{table}");
    place.fleetfit(&["trials", "traded", "--output", "parquet", "--out", "t.parquet"]).ok();
}

#[test]
fn a_killed_search_ends_where_it_would_have() {
    let place = Place::new();
    place.write("job.yaml", COMMAND);
    let one = ["--set", "limits.max_concurrent_trials=1"];
    let mut child = place.start(&[&["run", "job.yaml"], &one[..]].concat());
    eventually("some trials end", Duration::from_secs(60), || {
        place.fleetfit(&["trials", "traded", "--output", "json"]).stdout.lines().count() >= 12
    });
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let ran = place.json(&[&["run", "job.yaml"], &one[..]].concat());
    let rows = place.lines(&["trials", "traded"]);
    let unbroken = Place::new();
    unbroken.write("job.yaml", COMMAND);
    let expected = unbroken.json(&[&["run", "job.yaml"], &one[..]].concat());
    assert_eq!(rows.len(), 40);
    let proposed = |rows: &[Value]| -> Vec<Value> {
        let mut rows: Vec<&Value> = rows.iter().collect();
        rows.sort_by_key(|row| row["trial"].as_u64());
        rows.iter().map(|row| row["configuration"].clone()).collect()
    };
    assert_eq!(proposed(&rows), proposed(&unbroken.lines(&["trials", "traded"])));
    assert_eq!(
        (&ran["front"], &ran["hypervolume"]),
        (&expected["front"], &expected["hypervolume"])
    );
}

#[test]
fn a_trial_without_one_of_the_metrics_has_failed() {
    let place = Place::new();
    let job = COMMAND
        .replace("primary_metric: size", "primary_metric: weight")
        .replace("max_total_trials: 40", "max_total_trials: 3");
    place.write("job.yaml", &job);
    let ran = place.fleetfit(&["run", "job.yaml", "--output", "json"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let rows = place.fleetfit(&["trials", "traded", "--output", "json"]).lines();
    for row in rows {
        let reason = row["reason"].as_str().unwrap_or_default();
        let expected = "the program ended without reporting weight; it reported: size";
        assert_eq!(reason, expected);
    }
}

#[test]
fn where_nobody_keeps_the_bounds_there_is_no_winner() {
    let place = Place::new();
    let job = COMMAND
        .replace("  - {goal: minimize, primary_metric: size}\n", "")
        .replace("ms <= 20", "ms <= 2")
        .replace("max_total_trials: 40", "max_total_trials: 4");
    place.write("job.yaml", &job);
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!((&ran["status"], &ran["best"]), (&json!("completed"), &Value::Null));
    let notices = ran["notices"].to_string();
    let says = "none of the 4 completed trials keeps ms <= 2, so there is no winner";
    assert!(notices.contains(says), "{notices}");
    let best = place.fleetfit(&["best", "traded"]);
    assert_eq!(best.code, 4);
    assert!(best.stderr.contains("no completed trial that keeps ms <= 2"), "{}", best.stderr);
}

/// Both objectives are within noise of their best over much of the front.
const NOISY: &str = "\
type: sweep
name: settled
trial:
  command: >-
    awk -v x=${{search_space.x}} -v n=$FLEETFIT_TRIAL 'BEGIN {
    printf \"{\\\"metric\\\": \\\"error\\\", \\\"value\\\": %.17g}\\n\", (x - 2) ^ 2 + n * 7919 % 1009 / 200;
    printf \"{\\\"metric\\\": \\\"size\\\", \\\"value\\\": %.17g}\\n\", (x - 4) ^ 2 + n * 6007 % 997 / 200 }'
search_space:
  x: {type: float, min: 0, max: 6}
sampling_algorithm: tpe
objective:
  - {goal: minimize, primary_metric: error}
  - {goal: minimize, primary_metric: size}
limits: {max_total_trials: 60, max_concurrent_trials: 1, stop_when_converged: true}
seed: 3
";

#[test]
fn a_search_for_a_front_ends_when_no_more_is_expected_of_it() {
    let place = Place::new();
    place.write("job.yaml", NOISY);
    let ran = place.json(&["run", "job.yaml"]);
    let told = (&ran["status"], &ran["ended_by"], &ran["max_total_trials"]);
    assert_eq!(told, (&json!("completed"), &json!("improvement"), &json!(60)), "{ran}");
    let rows = place.lines(&["trials", "settled"]);
    assert_eq!(ran["trials"], json!({"completed": rows.len(), "stopped": 0, "failed": 0}));
    // It looks after 20 for the first time, and two looks have to agree.
    assert!((25..60).contains(&rows.len()), "{ran}");
    let best = place.lines(&["best", "settled"]);
    let found: Vec<u64> = best.iter().filter_map(|row| row["trial"].as_u64()).collect();
    assert_eq!((&found, &ran["front"]), (&front(&rows), &json!(found.len())));
    assert!(found.len() > 1, "{ran}");
    let status = place.fleetfit(&["status", "settled"]).ok();
    assert!(
        status.stdout.contains("  search    ended: no more improvement came"),
        "{}",
        status.stdout
    );
    // The same seed ends it at the same place.
    let again = place.json(&["run", "job.yaml", "--name", "again"]);
    for told in ["ended_by", "trials", "front", "hypervolume"] {
        assert_eq!(again[told], ran[told], "{told}");
    }
    // Nobody who did not ask for it, and no search whose trials tell that more is to come, ends early.
    let exact =
        NOISY.replace(" + n * 7919 % 1009 / 200", "").replace(" + n * 6007 % 997 / 200", "");
    for (name, job) in
        [("not-asked", NOISY.replace(", stop_when_converged: true", "")), ("exact", exact)]
    {
        place.write("job.yaml", &job);
        let ran = place.json(&["run", "job.yaml", "--name", name]);
        let completed = &ran["trials"]["completed"];
        assert_eq!((&ran["ended_by"], completed), (&json!("trials"), &json!(60)), "{name}: {ran}");
    }
}

const LEARNER: &str = "\
type: sweep
name: stores
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: decision_tree}
search_space:
  max_depth: {type: int, min: 1, max: 10}
  min_samples_leaf: {type: int, min: 1, max: 60}
sampling_algorithm: tpe
objective:
  - {primary_metric: mae}
  - {primary_metric: mape}
constraints: [\"r2 >= 0.2\"]
n_cross_validations: 3
limits: {max_total_trials: 20, max_concurrent_trials: 4}
seed: 5
";

#[test]
fn learners_have_every_metric_of_the_same_fits() {
    let place = Place::new();
    place.write("sales.csv", &panel(3, 120));
    place.write("job.yaml", LEARNER);
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!((&ran["trials"]["completed"], &ran["fits"]), (&json!(60), &json!(180)));
    let metrics = ["mean_absolute_error", "mean_absolute_percentage_error", "r2_score"];
    assert_eq!(ran["metrics"], json!(metrics));
    let rows = place.lines(&["trials", "stores"]);
    let one = |metric: &str, goal: &str| {
        // The same with one objective has the same values.
        let place = Place::new();
        place.write("sales.csv", &panel(3, 120));
        let job = LEARNER
            .replace(
                "objective:\n  - {primary_metric: mae}\n  - {primary_metric: mape}\n",
                &format!("objective: {{goal: {goal}, primary_metric: {metric}}}\n"),
            )
            .replace("constraints: [\"r2 >= 0.2\"]\n", "");
        place.write("job.yaml", &job);
        place.json(&["run", "job.yaml"]);
        place.lines(&["trials", "stores"])
    };
    for (metric, goal) in metrics.into_iter().zip(["minimize", "minimize", "maximize"]) {
        let alone = one(metric, goal);
        let mut n_same = 0;
        for row in &rows {
            let same = alone.iter().find(|other| {
                (&other["configuration"], &other["entity"])
                    == (&row["configuration"], &row["entity"])
            });
            if let Some(same) = same {
                assert_eq!(same["value"], row["values"][metric], "{row}");
                n_same += 1;
            }
        }
        // The first proposals of a sampler that learns are those of the sequence.
        assert!(n_same >= 15, "{n_same}");
    }
    for best in place.lines(&["best", "stores", "--all"]) {
        let key = best["entity"]["store"].to_string();
        let own = rows.iter().filter(|row| row["entity"] == best["entity"]);
        let kept = own.filter(|row| row["feasible"] == true);
        let least = kept.map(|row| number(&row["value"])).fold(f64::INFINITY, f64::min);
        assert_eq!(number(&best["value"]), least);
        assert!(best["model"].is_string(), "{best}");
        let front = place.lines(&["best", "stores", "--entity", &key]);
        assert_eq!(front[0]["trial"], best["trial"]);
        assert_eq!(front[0]["values"], best["values"]);
    }
    let shared = place.lines(&["best", "stores"]);
    assert_eq!(ran["front"], json!(shared.len()));
    assert_eq!(ran["best"]["trial"], shared[0]["trial"]);
}
