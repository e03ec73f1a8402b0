//! Forecasting: judged on what comes after what was learnt from.

use serde_json::json;

use crate::harness::Place;

/// Forty weeks of two stores. Nothing is sold in the first 28, and ten pieces a week after that.
fn late_sales() -> String {
    let mut text = String::from("store,week,noise,units\n");
    for week in 0..40_u32 {
        for store in ["a", "b"] {
            let units = if week < 28 { 0 } else { 10 };
            let (month, day) = (1 + week / 4, 1 + 7 * (week % 4));
            let noise = week * 7 % 11;
            text.push_str(&format!("{store},2025-{month:02}-{day:02},{noise},{units}\n"));
        }
    }
    text
}

#[test]
fn folds_roll_forward_in_time() {
    let place = Place::new();
    place.write("sales.csv", &late_sales());
    // So strong a penalty leaves the mean of what was seen.
    place.write(
        "job.yaml",
        "\
type: sweep
name: late
training_data: {path: sales.csv}
target_column_name: units
task: forecasting
partition_column_names: [store]
forecasting: {time_column_name: week, forecast_horizon: 4}
n_cross_validations: 3
trial: {learner: ridge}
search_space:
  alpha: [1000000000000]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: mae}
seed: 1
",
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"], json!({"completed": 2, "stopped": 0, "failed": 0}), "{ran}");
    assert_eq!(ran["fits"], 6);
    // The last three times four weeks, each forecast from all weeks before: the mean of what was
    // sold until then is 0, 40 / 32 and 80 / 36.
    let expected =
        [0.0, 40.0 / 32.0, 80.0 / 36.0].map(|mean| 10.0 - mean).iter().sum::<f64>() / 3.0;
    let value = ran["best"]["value"].as_f64().expect("a value");
    assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");

    place.write("next.csv", "week,store,noise\n2026-01-07,b,3\n2026-01-07,a,3\n");
    let rows = place.lines(&["predict", "late", "--data", "next.csv"]);
    assert_eq!(rows[0]["store"], "b");
    assert_eq!(rows[0]["week"], "2026-01-07");
    let prediction = rows[0]["prediction"].as_f64().expect("a number");
    assert!((prediction - 3.0).abs() < 1e-6, "the mean of all 40 weeks is 3, not {prediction}");
}
