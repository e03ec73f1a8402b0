//! Forecasting: judged on what comes after what was learnt from.

use serde_json::{Value, json};

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

/// Ten weeks of days in two shops: a week's pattern, a trend, a known promotion, and a day missing.
fn days(price: bool) -> String {
    let mut text = String::from(if price { "shop,day,promo,units\n" } else { "shop,day,units\n" });
    for shop in ["a", "b"] {
        for day in (0..70_u32).filter(|day| *day != 36) {
            let week = [0.0, 2.0, 1.0, 5.0, 9.0, 20.0, 12.0][(day % 7) as usize];
            let promo = u32::from(day * 5 % 11 == 0);
            let units = if shop == "a" { 30.0 } else { 80.0 } + week + 0.1 * f64::from(day);
            let units = if price { units + 4.0 * f64::from(promo) } else { units };
            let date = date(day);
            if price {
                text.push_str(&format!("{shop},{date},{promo},{units}\n"));
            } else {
                text.push_str(&format!("{shop},{date},{units}\n"));
            }
        }
    }
    text
}

/// A day of 2024, from the 1st of January on, which is a Monday.
fn date(day: u32) -> String {
    let mut left = day;
    for (month, length) in [(1, 31), (2, 29), (3, 31), (4, 30)] {
        if left < length {
            return format!("2024-{month:02}-{:02}", left + 1);
        }
        left -= length;
    }
    panic!("day {day} is too late");
}

/// The stamp so many steps after the end of January 2003.
fn stamp(step: &str, n: u32) -> String {
    let of_minutes = |minutes: u32| {
        let (day, minute) = (minutes / 1_440, minutes % 1_440);
        format!("{} {:02}:{:02}:00", date_2003(30 + day), minute / 60, minute % 60)
    };
    let last_of = |months: u32| {
        let (year, month) = (2003 + months / 12, months % 12);
        let is_leap = year % 4 == 0;
        let length = [31, 28 + u32::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        format!("{year}-{:02}-{} 00:00:00", month + 1, length[month as usize])
    };
    match step {
        "minute" => of_minutes(n),
        "quarter of an hour" => of_minutes(15 * n),
        "hour" => of_minutes(60 * n),
        "day" => of_minutes(1_440 * n),
        "week" => of_minutes(7 * 1_440 * n),
        "month" => last_of(n),
        "quarter" => last_of(3 * n),
        _ => last_of(12 * n),
    }
}

/// The day of 2003, or of the years after it.
fn date_2003(mut day: u32) -> String {
    for year in 2003.. {
        let is_leap = year % 4 == 0;
        let length = [31, 28 + u32::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(length) {
            if day < length {
                return format!("{year}-{month:02}-{:02}", day + 1);
            }
            day -= length;
        }
    }
    String::new()
}

/// Each series counts its steps, two of which are missing; the step is found in the data.
#[test]
fn steps_from_minutes_to_years_are_counted_on() {
    let steps = ["minute", "quarter of an hour", "hour", "day", "week", "month", "quarter", "year"];
    let (mut learnt, mut ahead) = (String::from("step,time,n\n"), String::from("step,time\n"));
    for step in steps {
        for n in (0..30).filter(|n| ![5, 17].contains(n)) {
            learnt.push_str(&format!("{step},{},{n}\n", stamp(step, n)));
        }
        for n in 30..36 {
            ahead.push_str(&format!("{step},{}\n", stamp(step, n)));
        }
    }
    let place = Place::new();
    place.write("learnt.csv", &learnt);
    place.write("ahead.csv", &ahead);
    place.write(
        "job.yaml",
        "\
type: sweep
name: steps
training_data: {path: learnt.csv}
target_column_name: n
task: forecasting
partition_column_names: [step]
forecasting: {time_column_name: time, forecast_horizon: 6}
n_cross_validations: 2
trial: {learner: drift}
objective: {primary_metric: mae}
limits: {max_total_trials: 1}
seed: 1
",
    );
    place.json(&["run", "job.yaml"]);
    let rows = place.lines(&["predict", "steps", "--data", "ahead.csv"]);
    assert_eq!(rows.len(), 6 * steps.len());
    for (at, row) in rows.iter().enumerate() {
        let found = row["prediction"].as_f64().expect("a number");
        assert!((found - (30 + at % 6) as f64).abs() < 1e-6, "{row}");
    }
}

#[test]
fn learners_of_series_go_on_from_where_each_series_ends() {
    let place = Place::new();
    place.write("sales.csv", &days(false));
    place.write(
        "job.yaml",
        "\
type: sweep
name: days
training_data: {path: sales.csv}
target_column_name: units
task: forecasting
partition_column_names: [shop]
forecasting: {time_column_name: day, forecast_horizon: 7, frequency: D, gap: 1}
n_cross_validations: 3
trial: {learner: \"${{search_space.model}}\"}
search_space:
  model:
    - naive
    - average
    - learner: drift
    - learner: seasonal_naive
      season_length: [7]
    - learner: exponential_smoothing
      trend: [add]
      seasonal: [add]
    - theta
    - learner: arima
      p: [1]
      q: [0]
    - croston
sampling_algorithm: grid
objective: {primary_metric: mase}
seed: 1
",
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"], json!({"completed": 16, "stopped": 0, "failed": 0}), "{ran}");
    let best = place.json(&["best", "days", "--entity", "a"]);
    assert!(best["value"].as_f64() < Some(0.2), "{best}");
    // Only ids and dates: what is ahead is all there is to know.
    let mut next = String::from("shop,day\n");
    for day in [71, 70, 76] {
        next.push_str(&format!("b,{}\n", date(day)));
    }
    next.push_str(&format!("a,{}\n", date(75)));
    place.write("next.csv", &next);
    let rows = place.lines(&["predict", "days", "--data", "next.csv"]);
    let expected = [80.0 + 2.0 + 7.1, 80.0 + 0.0 + 7.0, 80.0 + 12.0 + 7.6, 30.0 + 20.0 + 7.5];
    for (row, expected) in rows.iter().zip(expected) {
        let found = row["prediction"].as_f64().expect("a number");
        assert!((found - expected).abs() < 1.0, "{row}: {expected}");
    }
    let args = ["predict", "days", "--data", "next.csv", "--interval", "0.8"];
    for (row, plain) in place.lines(&args).iter().zip(&rows) {
        let number = |name: &str| row[name].as_f64().expect("a number");
        assert_eq!(row["prediction"], plain["prediction"]);
        let (lower, middle, upper) = (number("lower"), number("prediction"), number("upper"));
        assert!(lower <= middle && middle <= upper && upper - lower < 5.0, "{row}");
        assert!((upper - middle - (middle - lower)).abs() < 1e-9, "{row}");
    }
    let text = place.fleetfit(&args).ok().stdout;
    assert!(text.starts_with("shop,day,prediction,lower,upper\n"), "{text}");
}

#[test]
fn a_regressor_on_lags_and_holidays_forecasts_what_is_known_ahead() {
    for strategy in ["recursive", "direct"] {
        let place = Place::new();
        place.write("sales.csv", &days(true));
        place.write(
            "job.yaml",
            &format!(
                "\
type: sweep
name: days
training_data: {{path: sales.csv}}
target_column_name: units
task: forecasting
forecasting:
  time_column_name: day
  time_series_id_column_names: [shop]
  forecast_horizon: 7
  target_lags: [1, 7]
  target_rolling_window_size: 7
  country_or_region_for_holidays: DE
  strategy: {strategy}
n_cross_validations: 3
trial: {{learner: ridge}}
search_space:
  alpha: [0.001, 1]
sampling_algorithm: grid
objective: {{primary_metric: mae}}
seed: 1
"
            ),
        );
        let ran = place.json(&["run", "job.yaml"]);
        assert_eq!(ran["trials"], json!({"completed": 2, "stopped": 0, "failed": 0}), "{ran}");
        assert!(ran["best"]["value"].as_f64() < Some(3.0), "{strategy}: {ran}");
        let predict = |promo: u32| {
            let mut next = String::from("shop,day,promo\n");
            for day in 70..77 {
                let promo = if day == 72 { promo } else { 0 };
                next.push_str(&format!("b,{},{promo}\n", date(day)));
            }
            place.write("next.csv", &next);
            let rows = place.lines(&["predict", "days", "--data", "next.csv"]);
            let number = |row: &Value| row["prediction"].as_f64().expect("a number");
            rows.iter().map(number).collect::<Vec<f64>>()
        };
        let (with, without) = (predict(1), predict(0));
        let expected = [87.0, 89.1, 88.2, 92.3, 96.4, 107.5, 99.6];
        for (found, expected) in without.iter().zip(expected) {
            assert!((found - expected).abs() < 5.0, "{strategy}: {without:?}, not {expected}");
        }
        assert_eq!(with[..2], without[..2], "{strategy}: what comes later makes no difference");
        let gain = with[2] - without[2];
        assert!((2.0..6.0).contains(&gain), "{strategy}: a promotion sells four more, not {gain}");
    }
}

/// Thirty days of three shops; the last row of `b` lies far in the future, beyond what any
/// regular series is laid out for, and no fold trains on it.
fn strays() -> String {
    let mut text = String::from("shop,day,units\n");
    for shop in ["a", "b", "c"] {
        for day in 0..30 {
            let date = if shop == "b" && day == 29 { "2300-01-01".into() } else { date(day) };
            text.push_str(&format!("{shop},{date},{}\n", day % 7));
        }
    }
    text
}

#[test]
fn a_winner_that_cannot_be_fitted_on_all_rows_says_why() {
    let place = Place::new();
    place.write("units.csv", &strays());
    place.write(
        "job.yaml",
        "\
type: sweep
name: strays
training_data: {path: units.csv}
target_column_name: units
task: forecasting
partition_column_names: [shop]
forecasting: {time_column_name: day, forecast_horizon: 3}
n_cross_validations: 2
trial: {learner: theta}
search_space: {theta: [2.0]}
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: mae}
seed: 1
",
    );
    let ran = place.fleetfit(&["run", "job.yaml"]).ok();
    let why = "1 of 3 entities has no model, because the fit of the winner on all rows failed: b: ";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    let status = place.json(&["status", "strays"]);
    let notices = status["notices"].as_array().expect("notices");
    let says = |notice: &Value| notice["message"].as_str().is_some_and(|it| it.starts_with(why));
    assert_eq!(notices.iter().filter(|notice| says(notice)).count(), 1, "{status}");

    let bests = place.lines(&["best", "strays", "--all"]);
    assert!(bests[0]["model"].is_string() && bests[0].get("model_reason").is_none());
    assert!(bests[1]["model"].is_null(), "{}", bests[1]);
    let reason = bests[1]["model_reason"].as_str().expect("a reason");
    assert!(reason.contains("of 100808 days"), "{reason}");
    let told = place.fleetfit(&["best", "strays", "--all"]).ok();
    assert!(told.stdout.contains("has no model because") && told.stdout.contains(reason));

    let rows = "shop,day\na,2025-01-31\nb,2025-01-31\nc,2025-01-31\n";
    place.write("next.csv", rows);
    let said = place.fleetfit(&["predict", "strays", "--data", "next.csv"]).ok();
    let lines = format!("1 row is of entities without a model\n  b (1 row): {reason}\n");
    assert!(said.stderr.contains(&lines), "{}", said.stderr);
    let said = place.fleetfit(&["predict", "strays", "--data", "next.csv", "--entity", "b"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains(reason), "{}", said.stderr);
}

/// Months as people number them, and a feature that a naive forecast never reads.
#[test]
fn a_forecast_asks_for_what_it_reads_alone() {
    let place = Place::new();
    let mut text = String::from("shop,month,price,units\n");
    for month in 0..36_u32 {
        let code = (2019 + month / 12) * 100 + 1 + month % 12;
        text.push_str(&format!("a,{code},{},{}\n", month % 5, 10 + month + 2 * (month % 3)));
    }
    place.write("sales.csv", &text);
    for learner in ["naive", "ridge"] {
        place.write(
            "job.yaml",
            &format!(
                "\
type: sweep
name: {learner}
training_data: {{path: sales.csv}}
target_column_name: units
task: forecasting
partition_column_names: [shop]
forecasting:
  time_column_name: month
  forecast_horizon: 3
  target_lags: {{mode: auto}}
n_cross_validations: 3
trial: {{learner: {learner}}}
objective: {{primary_metric: mase}}
limits: {{max_total_trials: 1}}
seed: 1
"
            ),
        );
        place.json(&["run", "job.yaml"]);
    }
    place.write("next.csv", "shop,month\na,202201\na,202203\na,\n");
    let args = ["predict", "naive", "--data", "next.csv", "--interval", "0.8,0.95"];
    let rows = place.lines(&args);
    let last = 10.0 + 35.0 + 4.0;
    for (row, ahead) in rows.iter().zip([1, 3]) {
        let number = |name: &str| row[name].as_f64().expect("a number");
        assert_eq!(number("prediction"), last, "{ahead}: {row}");
        assert!(number("lower_0.95") <= number("lower_0.8"), "{row}");
        assert!(number("upper_0.8") <= number("upper_0.95"), "{row}");
    }
    let width = |row: &Value| row["upper_0.8"].as_f64().expect("a number") - last;
    // Errors of a naive forecast grow.
    assert!(width(&rows[1]) > 1.2 * width(&rows[0]), "{rows:?}");
    assert_eq!((&rows[2]["prediction"], &rows[2]["lower_0.8"]), (&Value::Null, &Value::Null));
    let said = place.fleetfit(&args).ok().stderr;
    assert!(said.contains("1 row is left empty, having no time to forecast"), "{said}");
    let asked = place.fleetfit(&["predict", "ridge", "--data", "next.csv"]);
    assert_ne!(asked.code, 0, "{}", asked.stdout);
    assert!(asked.stderr.contains("there is no column \"price\""), "{}", asked.stderr);
    for (level, says) in [("80", "0.8 for 80 %"), ("nan", "between 0 and 1"), ("1", "between 0")] {
        let refused = place.fleetfit(&["predict", "naive", "--data", "x", "--interval", level]);
        assert_eq!(refused.code, 2, "{}", refused.stdout);
        assert!(refused.stderr.contains(says), "{level}: {}", refused.stderr);
    }
}
