//! Rows of series: their times, their steps, and what is known of them ahead.

use fleetfit_search_spaces::data::{Aggregate, Country, ShortSeries};

use super::*;
use crate::dataset::Prediction;
use crate::frame::Timeline;

fn settings() -> Forecasting {
    Forecasting {
        time_column: "day".to_owned(),
        series_columns: vec!["shop".to_owned()],
        horizon: Some(1),
        frequency: None,
        target_lags: None,
        rolling_window: None,
        feature_lags: false,
        seasonality: None,
        stl: None,
        short_series: None,
        aggregate: None,
        holidays: None,
        cv_step: None,
        unknown_columns: vec!["sold_out".to_owned()],
        gap: 0,
        strategy: Default::default(),
    }
}

fn forecast(settings: Forecasting) -> DataSpec {
    DataSpec { task: Task::Forecasting, forecasting: Some(settings), ..regression("t.csv", "y") }
}

/// Each row's series and step, counted from the first.
fn steps(timeline: &Timeline, plan: &ForecastPlan) -> Vec<(String, i64)> {
    let indices: Vec<i64> =
        timeline.time.iter().filter_map(|&time| plan.step.index(time)).collect();
    let first = indices.iter().min().copied().unwrap_or(0);
    let names = timeline.series.iter().map(|&code| timeline.names[code as usize].clone());
    names.zip(indices.iter().map(|index| index - first)).collect()
}

#[test]
fn forecasting_knows_times_and_series() {
    let text = "day,shop,sold_out,price,y\n2024-01-02,a,1,2,5\n2024-01-01,a,0,3,6\n\
                ,a,0,1,1\n2024-01-02,b,0,2,7\n";
    let folder = Folder::with("t.csv", text);
    let spec = forecast(settings());
    let dataset = folder.load(&spec).unwrap();
    insta::assert_snapshot!(show(&dataset.frame(0)), @r"
    day.day: 1 2 2
    day.weekday: 1 2 2
    day.day_of_year: 1 2 2
    day.elapsed: 19723 19724 19724
    shop: a a b
    price: 3 2 2
    -> 6 5 7
    ");
    let marks = dataset.marks(0);
    let days: Vec<f64> = marks.time.unwrap().iter().map(|s| s / 86_400.0 - 19_722.0).collect();
    assert_eq!(days, [1.0, 2.0, 2.0]);
    assert_eq!(marks.series, Some(vec![0, 0, 1]));
    assert_eq!(dataset.schema().time_column.as_deref(), Some("day"));
    let error = Folder::with("t.csv", text.replace("2024-01-01", "Jan 1")).load(&spec).unwrap_err();
    assert_eq!(error.key, "forecasting.time_column_name");
    assert_eq!(
        error.to_string(),
        "t.csv:3: the time column \"day\" holds neither numbers nor dates in a form that is read"
    );
}

#[test]
fn rows_lie_by_series_time_and_target_in_whatever_order_the_file_has_them() {
    let mut rows = [
        "2024-01-01,a,1,4,5",
        "2024-01-02,a,1,3,6",
        "2024-01-02,a,0,9,7",
        "2024-01-01,b,0,2,8",
        "2024-01-03,b,0,1,2",
        "2024-01-04,b,1,6,3",
    ];
    let mut shown = Vec::new();
    for _ in 0..rows.len() {
        let text = format!("day,shop,sold_out,price,y\n{}\n", rows.join("\n"));
        let dataset = Folder::with("t.csv", text).load(&forecast(settings())).unwrap();
        let marks = dataset.marks(0);
        shown.push((show(&dataset.frame(0)), marks.time, marks.series));
        rows.rotate_left(1);
        rows.swap(0, 3);
    }
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1]), "{shown:?}");
    assert!(shown[0].0.contains("-> 5 6 7 8 2 3"), "{}", shown[0].0);
}

#[test]
fn rows_of_one_step_become_one_where_the_job_says_how() {
    let text = "day,shop,price,kind,sold_out,y\n2024-01-01T08:00,a,1,x,0,5\n\
                2024-01-01T18:00,a,3,z,0,7\n2024-01-02T09:00,a,4,x,0,1\n2024-01-02T09:00,b,8,x,0,2\n";
    let with = |aggregate| Forecasting { frequency: "D".parse().ok(), aggregate, ..settings() };
    let folder = Folder::with("t.csv", text);
    let dataset = folder.load(&forecast(with(Some(Aggregate::Sum)))).unwrap();
    insta::assert_snapshot!(show(&dataset.frame(0)), @r"
    day.day: 1 2 2
    day.weekday: 1 2 2
    day.day_of_year: 1 2 2
    day.hour: 8 9 9
    day.elapsed: 19723.333333333332 19724.375 19724.375
    shop: a a b
    price: 2 4 8
    kind: x x x
    -> 12 1 2
    ");
    let (frame, marks) = dataset.lay_out(0);
    let timeline = frame.timeline.unwrap();
    assert_eq!(marks.time.unwrap(), timeline.time);
    let days: Vec<f64> = timeline.time.iter().map(|time| time / 86_400.0 - 19_723.0).collect();
    assert_eq!(days, [0.0, 1.0, 1.0]);
    for (aggregate, first) in [(Aggregate::Max, 7.0), (Aggregate::Min, 5.0), (Aggregate::Mean, 6.0)]
    {
        let dataset = folder.load(&forecast(with(Some(aggregate)))).unwrap();
        let Target::Number(y) = dataset.frame(0).target else { panic!("no numbers") };
        assert_eq!(y, [first, 1.0, 2.0]);
    }
    assert_eq!(folder.load(&forecast(with(None))).unwrap().frame(0).n_rows, 4);
}

#[test]
fn short_series_are_left_out_where_the_job_says_so() {
    let mut text = String::from("day,shop,sold_out,y\n");
    for day in 1..=9 {
        text.push_str(&format!("{day},long,0,{day}\n"));
        if day < 6 {
            text.push_str(&format!("{day},short,0,{day}\n"));
        }
    }
    let n_rows = |short_series, text: &str| {
        let settings = Forecasting { horizon: Some(3), short_series, ..settings() };
        let folder = Folder::with("t.csv", text);
        let (frame, marks) = folder.load(&forecast(settings)).unwrap().lay_out(0);
        (frame.n_rows, marks.n_short)
    };
    assert_eq!(n_rows(None, &text), (14, 0));
    assert_eq!(n_rows(Some(ShortSeries::Pad), &text), (14, 0));
    assert_eq!(n_rows(Some(ShortSeries::Drop), &text), (9, 1));
    assert_eq!(n_rows(Some(ShortSeries::Auto), &text), (9, 1));
    let short: String = text.lines().take(8).map(|line| format!("{line}\n")).collect();
    assert_eq!(n_rows(Some(ShortSeries::Auto), &short), (7, 0));
    assert_eq!(n_rows(Some(ShortSeries::Drop), &short), (0, 2));
}

#[test]
fn rows_ahead_have_the_steps_and_the_holidays_of_training() {
    let text = "day,shop,sold_out,y\n2024-04-29,1,1,5\n2024-04-30,1,0,6\n2024-05-01,1.0,2,1\n";
    let own = Forecasting { feature_lags: true, holidays: Some(Country::De), ..settings() };
    let dataset = Folder::with("t.csv", text).load(&forecast(own)).unwrap();
    let (frame, _) = dataset.lay_out(0);
    let shown = show(&frame);
    assert!(shown.contains("day.holidays: 0 0 1\nday.before_holiday: 0 1 0"), "{shown}");
    let names = dataset.schema().names();
    let columns: Vec<String> = frame.columns.iter().map(|own| readable(&own.name)).collect();
    assert_eq!(names, columns);
    let timeline = frame.timeline.unwrap();
    let plan = timeline.plan.clone().unwrap();
    assert_eq!(plan.season, 7);
    let one = |step| ("1".to_owned(), step);
    assert_eq!(steps(&timeline, &plan), [one(0), one(1), one(2)]);
    assert_eq!(timeline.past.len(), 1);
    // The schema is what is kept; no row says what is not known ahead.
    let stored = serde_json::to_string(dataset.schema()).unwrap();
    let schema: FeatureSchema = serde_json::from_str(&stored).unwrap();
    assert_eq!(&schema, dataset.schema());
    let folder = Folder::with("p.csv", "shop,day\n2,2024-05-09\n1,2024-05-02\n1,\n");
    let rows =
        Prediction::load(&folder.path(), &source("p.csv"), &schema, dataset.entities()).unwrap();
    let ahead = rows.frame(0);
    let shown = show(&ahead);
    assert!(shown.contains("day.holidays: 1 0 _\nday.before_holiday: 0 0 _"), "{shown}");
    let timeline = ahead.timeline.unwrap();
    let names: Vec<&str> =
        timeline.series.iter().map(|&code| timeline.names[code as usize].as_str()).collect();
    assert_eq!(names, ["2", "1", "1"]);
    assert!(timeline.time[2].is_nan() && timeline.past.is_empty());
    assert_eq!(rows.passed_columns(), ["shop", "day"]);
    assert_eq!(rows.passed_values(0), ["2", "2024-05-09"]);
}

#[test]
fn schemas_of_before_still_open() {
    let stored = r#"{"features": [], "target": "y", "target_kind": "number", "partition": [],
        "time_column": "day"}"#;
    let schema: FeatureSchema = serde_json::from_str(stored).unwrap();
    assert_eq!(schema.time, None);
    let folder = Folder::with("p.csv", "day\n2024-05-02\n");
    let rows = Prediction::load(&folder.path(), &source("p.csv"), &schema, &[]).unwrap();
    assert!(rows.frame(0).timeline.is_none());
}
