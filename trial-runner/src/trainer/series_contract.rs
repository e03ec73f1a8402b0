//! What every learner of series promises, and every regressor on lags.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::data::{Forecasting, Steps, Stl, Strategy};
use fleetfit_search_spaces::{Configuration, Learner, Setting, Value, Work};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::laid_out::LaidOut;
use super::{Candidate, Fit, FitError, Hand, Heard, Predicted, Spare, Trials, trainer};
use crate::folds::{FoldPlan, Marks, folds};
use crate::frame::{FeatureColumn, FeatureValues, ForecastPlan, Frame, Target, TimeKind, Timeline};
use crate::model::{Model, ModelError, PredictError, Predictions};
use crate::stop::{Stop, Stopped};

pub(super) fn settings() -> Forecasting {
    Forecasting {
        time_column: "day".into(),
        series_columns: vec!["shop".into()],
        horizon: Some(4),
        frequency: None,
        target_lags: None,
        rolling_window: None,
        feature_lags: false,
        seasonality: Some(Steps::These(vec![4])),
        stl: None,
        short_series: None,
        aggregate: None,
        holidays: None,
        cv_step: None,
        unknown_columns: Vec::new(),
        gap: 0,
        strategy: Strategy::Recursive,
    }
}

/// Two series of so many steps that repeat every 4, on a line, with a hole and rows out of order.
fn frame(n_steps: usize, settings: &Forecasting) -> Frame {
    let mut rows: Vec<(u32, f64, f64)> = Vec::new();
    for series in 0..2 {
        for step in (0..n_steps).filter(|step| *step != 7) {
            let season = [0.0, 5.0, -3.0, 1.0][step % 4];
            let noise = (step as f64 * 12.9898).sin() * 0.5;
            let value = 20.0 + 10.0 * f64::from(series) + 0.3 * step as f64 + season + noise;
            rows.push((series, step as f64, value));
        }
    }
    rows.sort_by_key(|(_, step, _)| (*step as usize * 7) % 5);
    of_rows(rows, settings)
}

pub(super) fn of_rows(rows: Vec<(u32, f64, f64)>, settings: &Forecasting) -> Frame {
    let time: Vec<f64> = rows.iter().map(|row| row.1).collect();
    let series: Vec<u32> = rows.iter().map(|row| row.0).collect();
    let plan = ForecastPlan::of(settings, TimeKind::Number, &time, &series);
    let column = |name: &str, values: Vec<f64>| FeatureColumn {
        name: name.into(),
        values: FeatureValues::Number(values),
    };
    Frame {
        columns: vec![column("day", time.clone())],
        target: Target::Number(rows.iter().map(|row| row.2).collect()),
        weights: None,
        n_rows: rows.len(),
        timeline: Some(Timeline {
            past: vec![column("visits", rows.iter().map(|row| row.2 * 2.0).collect())],
            names: Arc::new(vec!["a".into(), "b".into()]),
            plan: Some(Arc::new(plan)),
            time,
            series,
        }),
    }
}

/// Rows to predict: series by name, and steps.
pub(super) fn future(rows: &[(&str, f64)]) -> Frame {
    let names: Vec<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    let time: Vec<f64> = rows.iter().map(|row| row.1).collect();
    Frame {
        columns: vec![FeatureColumn {
            name: "day".into(),
            values: FeatureValues::Number(time.clone()),
        }],
        target: Target::Unknown,
        weights: None,
        n_rows: rows.len(),
        timeline: Some(Timeline {
            series: (0_u32..).take(rows.len()).collect(),
            past: Vec::new(),
            names: Arc::new(names),
            plan: None,
            time,
        }),
    }
}

fn forecasters() -> impl Iterator<Item = Learner> {
    Learner::ALL.iter().copied().filter(|learner| learner.forecasts_series())
}

fn fit_with(
    learner: Learner,
    frame: &Frame,
    rows: &[u32],
    parameters: &Configuration,
) -> Result<Model, FitError> {
    let job =
        Fit { frame, rows, parameters, seed: 1, stop: &Stop::default(), spare: &Spare::default() };
    Hand::of(learner, frame).unwrap().trainer().fit(&job)
}

fn fit(learner: Learner, frame: &Frame) -> Model {
    let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
    fit_with(learner, frame, &rows, &Configuration::default()).unwrap()
}

fn numbers(model: &Model, frame: &Frame) -> Vec<f64> {
    let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
    match model.predict(frame, &rows).unwrap() {
        Predictions::Numbers(numbers) => numbers,
        Predictions::Classes { .. } => panic!("classes"),
    }
}

/// Models of series, and rows that they predict.
pub(super) fn fitted() -> Vec<(Model, Frame)> {
    let rows = future(&[("a", 21.0), ("b", 20.0), ("b", 3.0), ("c", 21.0)]);
    let of_series = forecasters().map(|learner| fit(learner, &frame(20, &settings())));
    let on_lags = fit(Learner::Ridge, &frame(20, &on_lags(Strategy::Recursive)));
    of_series.chain([on_lags]).map(|model| (model, rows.clone())).collect()
}

fn on_lags(strategy: Strategy) -> Forecasting {
    Forecasting {
        target_lags: Some(Steps::Auto),
        rolling_window: Some(Steps::Auto),
        feature_lags: true,
        strategy,
        ..settings()
    }
}

#[test]
fn each_goes_on_by_its_own_rule() {
    // Steps 0 to 7 of one series, and of another ten more each.
    let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    let rows = (0..8).flat_map(|step| {
        let value = values[step];
        [(0, step as f64, value), (1, step as f64, value + 10.0)]
    });
    let frame = of_rows(rows.collect(), &settings());
    let rows =
        future(&[("b", 9.0), ("a", 8.0), ("a", 7.0), ("a", 2.0), ("c", 8.0), ("a", f64::NAN)]);
    let mean = values.iter().sum::<f64>() / 8.0;
    for (learner, b_9, a_8) in [
        (Learner::Naive, 16.0, 6.0),
        (Learner::SeasonalNaive, 19.0, 5.0),
        (Learner::Drift, 16.0 + 6.0 / 7.0, 6.0 + 3.0 / 7.0),
        (Learner::Average, mean + 10.0, mean),
    ] {
        // What is not ahead has the last value, and of what is not known there is the mean.
        let expected = [b_9, a_8, 6.0, 6.0, mean + 5.0, mean + 5.0];
        let found = numbers(&fit(learner, &frame), &rows);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{learner:?}: {found}, not {expected}");
        }
    }
}

#[test]
fn holes_are_filled_on_a_line_and_rows_of_one_step_are_one() {
    let rows = vec![(0, 0.0, 2.0), (0, 4.0, 10.0), (0, 1.0, 4.0), (0, 5.0, 11.0), (0, 5.0, 13.0)];
    let frame = of_rows(rows, &settings());
    // 2, 4, 6, 8, 10, 12.
    let found = numbers(&fit(Learner::SeasonalNaive, &frame), &future(&[("a", 6.0), ("a", 7.0)]));
    assert_eq!(found, [6.0, 8.0]);
    let far =
        of_rows(vec![(0, 0.0, 1.0), (0, 1.0, 1.0), (0, 2.0, 1.0), (0, 1e9, 1.0)], &settings());
    let failed = fit_with(Learner::Naive, &far, &[0, 1, 2, 3], &Configuration::default());
    let reason = failed.unwrap_err().to_string();
    assert!(reason.contains("write forecasting.frequency"), "{reason}");
}

#[test]
fn methods_that_know_seasons_beat_those_that_do_not() {
    let frame = frame(60, &settings());
    let ahead: Vec<(&str, f64)> = (60..64).map(|step| ("b", f64::from(step))).collect();
    let expected = [0, 1, 2, 3]
        .map(|step| 30.0 + 0.3 * f64::from(60 + step) + [0.0, 5.0, -3.0, 1.0][step as usize]);
    let error = |learner| {
        let found = numbers(&fit(learner, &frame), &future(&ahead));
        found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).sum::<f64>()
    };
    let naive = error(Learner::Naive);
    for learner in [Learner::ExponentialSmoothing, Learner::Theta, Learner::Arima] {
        assert!(error(learner) < 0.4 * naive, "{learner:?}: {} and {naive}", error(learner));
    }
}

#[test]
fn seasons_may_be_taken_out_first() {
    // A season of 4 and one of 6, on a line.
    let value = |step: usize| {
        [0.0, 5.0, -3.0, 1.0][step % 4] + [4.0, 0.0, 0.0, -6.0, 2.0, 0.0][step % 6] + step as f64
    };
    let rows = |n| (0..n).map(|step| (0, step as f64, value(step))).collect::<Vec<_>>();
    let own = Forecasting {
        seasonality: Some(Steps::These(vec![4, 6])),
        stl: Some(Stl::Season),
        ..settings()
    };
    let ahead: Vec<(&str, f64)> = (60..72).map(|step| ("a", f64::from(step))).collect();
    for (own, is_good) in [(own.clone(), true), (Forecasting { stl: None, ..own }, false)] {
        let model = fit(Learner::ExponentialSmoothing, &of_rows(rows(60), &own));
        let found = numbers(&model, &future(&ahead));
        let errors = found.iter().zip(60..).map(|(found, step)| (found - value(step)).abs());
        let worst = errors.fold(0.0, f64::max);
        assert_eq!(worst < 1.0, is_good, "{worst}");
    }
}

/// What is done where a parameter without a default of its own is left out, on the frame of
/// [`settings`]; none where that is chosen from the data.
fn default_of(learner: Learner, name: &str) -> Option<Value> {
    match (learner, name) {
        (_, "season_length") => Some(Value::Int(4)),
        (Learner::Croston, "beta") => Some(Value::Float(0.1)),
        _ => None,
    }
}

#[test]
fn parameters_are_read_and_defaults_are_what_they_say() {
    let frame = frame(30, &settings());
    let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
    for learner in forecasters() {
        let training = |parameters| Work::Learner(learner).training(&parameters).unwrap();
        let fit = |name: &str, setting| {
            let training = training(Configuration(vec![(name.to_owned(), setting)]));
            fit_with(learner, &frame, &rows, &training.parameters)
        };
        let left_out = training(Configuration::default());
        let plain = fit_with(learner, &frame, &rows, &left_out.parameters).unwrap();
        for parameter in learner.parameters() {
            let name = parameter.name;
            let is_written = parameter.default.is_some();
            if let Some(default) = parameter.default.or_else(|| default_of(learner, name)) {
                let written =
                    Configuration(vec![(name.to_owned(), Setting::Value(default.clone()))]);
                let is_one_seed = training(written).seed() == left_out.seed();
                assert!(is_one_seed || !is_written, "{learner:?}: the seed with {name}");
                let explicit = fit(name, Setting::Value(default));
                assert_eq!(explicit.as_ref(), Ok(&plain), "{learner:?} {name}");
            }
            let reason = format!("{name} is a map, but one value is needed");
            let nonsense = fit(name, Setting::Nested(Configuration::default()));
            assert_eq!(nonsense, Err(FitError::Failed(reason)), "{learner:?}");
            let word = fit(name, Setting::Value(Value::Text("most".into())));
            assert!(word.unwrap_err().to_string().contains("most"), "{learner:?} {name}");
        }
    }
    let seasonless = Configuration(vec![("season_length".into(), Setting::Value(Value::Int(1)))]);
    let model = fit_with(Learner::SeasonalNaive, &frame, &rows, &seasonless).unwrap();
    let naive = numbers(&fit(Learner::Naive, &frame), &future(&[("a", 31.0)]));
    assert_eq!(numbers(&model, &future(&[("a", 31.0)])), naive);
}

/// As a line through the lags of so few values has it, they would be beyond 1e5 after 30 steps.
#[test]
fn a_few_values_do_not_explode() {
    for values in [&[1.0, 2.0, 4.0][..], &[1.0, -2.0, 4.0, -8.0, 16.0], &[0.1, 1.0, 10.0, 100.0]] {
        let own = Forecasting {
            target_lags: Some(Steps::These(vec![1, 2])),
            rolling_window: Some(Steps::These(vec![2])),
            ..settings()
        };
        let rows = values.iter().enumerate().map(|(at, &value)| (0, at as f64, value));
        let frame = of_rows(rows.collect(), &own);
        let all: Vec<u32> = (0..frame.n_rows as u32).collect();
        let ahead: Vec<(&str, f64)> =
            (0..30).map(|step| ("a", (values.len() + step) as f64)).collect();
        let largest = values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        for alpha in [0.0, 1e-3, 1.0] {
            let alpha = ("alpha".to_owned(), Setting::Value(Value::Float(alpha)));
            let model = fit_with(Learner::Ridge, &frame, &all, &Configuration(vec![alpha]));
            let found = numbers(&model.unwrap(), &future(&ahead));
            let most = found.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            assert!(most <= 30.0 * largest, "{values:?}: {found:?}");
        }
    }
}

/// A season of 300 lies further back than what is kept of the values, and comes again.
#[test]
fn what_was_seen_long_ago_may_come_again() {
    let own = Forecasting { target_lags: Some(Steps::These(vec![1, 7])), ..settings() };
    let is_open = |day: usize| (135..244).contains(&(day % 365));
    let with_open = |frame: Frame| {
        let Some(timeline) = &frame.timeline else { panic!("a timeline") };
        let open = timeline.time.iter().map(|day| f64::from(u8::from(is_open(*day as usize))));
        let values = FeatureValues::Number(open.collect());
        Frame { columns: vec![FeatureColumn { name: "open".into(), values }], ..frame }
    };
    let value = |day: usize| if is_open(day) { 300.0 } else { 1.0 };
    let n = 365 + 120;
    let rows = (0..n).map(|day| (0, day as f64, value(day) + (day as f64 * 12.9898).sin() * 0.1));
    let frame = with_open(of_rows(rows.collect(), &own));
    let all: Vec<u32> = (0..n as u32).collect();
    let ahead: Vec<(&str, f64)> = (0..30).map(|step| ("a", (n + step) as f64)).collect();
    let rows = with_open(Frame { n_rows: 30, ..future(&ahead) });
    for learner in [Learner::RandomForest, Learner::Ridge] {
        let model = fit_with(learner, &frame, &all, &Configuration::default()).unwrap();
        let model = Model::from_bytes(&model.to_bytes()).unwrap();
        let found = numbers(&model, &rows);
        for (step, found) in found.iter().enumerate() {
            let truth = value(n + step);
            assert!((found - truth).abs() < 90.0, "{learner:?} {step}: {found}, not {truth}");
        }
    }
}

#[test]
fn models_round_trip_and_refuse_damage() {
    for (model, rows) in fitted() {
        let bytes = model.to_bytes();
        let again = Model::from_bytes(&bytes).unwrap();
        assert_eq!(numbers(&again, &rows), numbers(&model, &rows));
        assert_eq!(Model::from_bytes(&bytes[..bytes.len() - 1]), Err(ModelError::Damaged));
        let timeless = Frame { timeline: None, ..rows };
        assert_eq!(model.predict(&timeless, &[0]), Err(PredictError::NoTime));
    }
}

#[test]
fn hostile_series_have_finite_forecasts_or_a_reason() {
    let wave = |n: usize| (0..n).map(|step| (step as f64).sin() * 4.0).collect::<Vec<f64>>();
    let mut heavy = wave(30);
    heavy[7] = 1e99;
    for (what, values) in [
        ("one value", vec![3.0]),
        ("two values", vec![3.0, 4.0]),
        ("constant", vec![5.0; 40]),
        ("zero", vec![0.0; 40]),
        ("one demand", [vec![0.0; 20], vec![7.0], vec![0.0; 19]].concat()),
        ("heavy", heavy),
        ("negative", wave(50)),
        ("tiny", wave(50).iter().map(|value| value * 1e-300).collect()),
    ] {
        for own in [settings(), on_lags(Strategy::Recursive), on_lags(Strategy::Direct)] {
            let rows = values.iter().enumerate().map(|(at, &value)| (0, at as f64, value));
            let frame = of_rows(rows.collect(), &own);
            let next = values.len() as f64;
            let rows = future(&[("a", next), ("a", next + 30.0), ("a", 1e12), ("z", 0.0)]);
            let on_lags = [Learner::Ridge, Learner::DecisionTree, Learner::Knn];
            for learner in forecasters().chain(on_lags) {
                let found = numbers(&fit(learner, &frame), &rows);
                let is_finite = found.iter().all(|value| value.is_finite());
                assert!(is_finite, "{learner:?} {what}: {found:?}");
            }
        }
    }
    let empty = of_rows(Vec::new(), &settings());
    for learner in forecasters() {
        let failed = fit_with(learner, &empty, &[], &Configuration::default());
        let reason = "there are no rows to learn from".to_owned();
        assert_eq!(failed, Err(FitError::Failed(reason)), "{learner:?}");
        let stop = Stop::default();
        stop.cancel();
        let frame = frame(20, &settings());
        let job = Fit {
            frame: &frame,
            rows: &[0, 1, 2],
            parameters: &Configuration::default(),
            seed: 1,
            stop: &stop,
            spare: &Spare::default(),
        };
        let stopped = trainer(learner).unwrap().fit(&job);
        assert_eq!(stopped, Err(FitError::Stopped(Stopped::Cancelled)), "{learner:?}");
    }
}

/// Searches of a long series look at the clock often enough.
#[test]
fn long_fits_of_series_end_at_the_deadline() {
    let value = |step: usize| 50.0 + (step as f64 * 0.26).sin() + (step as f64 * 12.9898).sin();
    let own = Forecasting { seasonality: Some(Steps::These(vec![24])), ..settings() };
    let frame = of_rows((0..100_000).map(|at| (0, at as f64, value(at))).collect(), &own);
    let rows: Vec<u32> = (0..100_000).collect();
    for learner in [Learner::ExponentialSmoothing, Learner::Arima] {
        let start = Instant::now();
        let job = Fit {
            frame: &frame,
            rows: &rows,
            parameters: &Configuration::default(),
            seed: 1,
            stop: &Stop::default().with_deadline(Some(start + Duration::from_millis(5))),
            spare: &Spare::default(),
        };
        let stopped = trainer(learner).unwrap().fit(&job).err();
        assert_eq!(stopped, Some(FitError::Stopped(Stopped::TimedOut)), "{learner:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{learner:?}: {:?}", start.elapsed());
    }
}

/// Everything that is heard of ridge on the folds of a frame.
fn tried(frame: &Frame, own: &Forecasting) -> Vec<Vec<f64>> {
    let timeline = frame.timeline.as_ref().unwrap();
    let marks = Marks {
        time: Some(timeline.time.clone()),
        series: Some(timeline.series.clone()),
        ..Marks::default()
    };
    let plan = FoldPlan {
        folds: fleetfit_search_spaces::data::Folds::Count(3),
        task: fleetfit_search_spaces::data::Task::Forecasting,
        horizon: own.horizon,
        cv_step: None,
        gap: own.gap,
    };
    let folds = folds(&plan, frame, &marks, 1).unwrap();
    let parameters = Configuration(vec![("alpha".into(), Setting::Value(Value::Float(0.01)))]);
    let trials = Trials {
        frame,
        folds: &folds,
        n_behind: 0,
        laid_out: &LaidOut::default(),
        candidates: &[Candidate { parameters: &parameters, seed: 1 }],
        stop: &Stop::default(),
        limit: None,
        spare: &Spare::default(),
    };
    let mut all = vec![Vec::new(); folds.len()];
    let hand = Hand::of(Learner::Ridge, frame).unwrap();
    hand.trainer().try_all(&trials, &mut |heard: Heard<'_>| {
        match heard.answer.unwrap() {
            Predicted::Numbers(numbers) => all[heard.fold] = numbers.to_vec(),
            Predicted::Classes(_) => panic!("classes"),
        }
        true
    });
    // One by one it is the same.
    trials.one_by_one(hand.trainer(), &mut |heard: Heard<'_>| {
        let Ok(Predicted::Numbers(numbers)) = heard.answer else { panic!("no numbers") };
        for (alone, together) in numbers.iter().zip(&all[heard.fold]) {
            assert!((alone - together).abs() < 1e-9, "{alone} {together}");
        }
        true
    });
    all
}

#[test]
fn lags_know_nothing_of_what_comes() {
    for strategy in [Strategy::Recursive, Strategy::Direct] {
        for gap in [0, 2] {
            let own = Forecasting { gap, ..on_lags(strategy) };
            let frame = frame(48, &own);
            let found = tried(&frame, &own);
            // The last fold predicts the last four steps. What they hold makes no difference.
            let mut other = frame.clone();
            let time = &frame.timeline.as_ref().unwrap().time;
            let Target::Number(y) = &mut other.target else { panic!("classes") };
            for (y, _) in y.iter_mut().zip(time).filter(|(_, time)| **time >= 44.0) {
                *y += 1_000.0;
            }
            if let Some(timeline) = &mut other.timeline
                && let FeatureValues::Number(values) = &mut timeline.past[0].values
            {
                for (value, _) in values.iter_mut().zip(time).filter(|(_, time)| **time >= 44.0) {
                    *value = -7.0;
                }
            }
            // Sums of a fold are those of all rows less its own, so that the last digits may differ.
            for (other, found) in tried(&other, &own)[2].iter().zip(&found[2]) {
                assert!((other - found).abs() < 1e-9, "{strategy:?}, gap {gap}: {other} {found}");
            }
            // And it is good: the season is in the lags.
            let Target::Number(y) = &frame.target else { panic!("classes") };
            let mut truth: Vec<(f64, f64)> =
                time.iter().zip(y).map(|(time, y)| (*time, *y)).collect();
            truth.retain(|(time, _)| *time >= 44.0);
            truth.sort_by(|a, b| a.0.total_cmp(&b.0));
            let spread = |values: &[f64]| {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                sorted
            };
            let truth = spread(&truth.iter().map(|pair| pair.1).collect::<Vec<_>>());
            for (found, truth) in spread(&found[2]).iter().zip(truth) {
                assert!((found - truth).abs() < 2.5, "{strategy:?}, gap {gap}: {found} {truth}");
            }
        }
    }
}

#[test]
fn forecasts_that_feed_on_each_other_stay_near_what_was_seen() {
    for strategy in [Strategy::Recursive, Strategy::Direct] {
        let grows = |step: i32| 1.3_f64.powi(step);
        let rows = (0..40).map(|step| (0, f64::from(step), grows(step)));
        let model = fit(Learner::Ridge, &of_rows(rows.collect(), &on_lags(strategy)));
        let ahead: Vec<(&str, f64)> = (40..640).map(|step| ("a", f64::from(step))).collect();
        let found = numbers(&model, &future(&ahead));
        let largest = found.iter().fold(0.0_f64, |most, own| most.max(own.abs()));
        assert!((grows(39)..30.0 * grows(39)).contains(&largest), "{strategy:?}: {largest}");
    }
}

#[test]
fn any_times_do_no_harm() {
    let mut rng = Pcg64Mcg::seed_from_u64(11);
    let edges =
        [0.0, 1.0, -1.0, 86_400.0, 1e9, -1e9, 2.5e11, -2.5e11, 4e11, 1e15, 1e300, 0.1, 1e-9];
    let frequencies = ["s", "15min", "h", "D", "3D", "B", "W", "2W", "SM", "MS", "7ME", "QE", "Y"];
    let mut n_fitted = 0;
    for round in 0..400 {
        let mut draw = |n: usize| (rng.next_u64() % n as u64) as usize;
        let is_wild = draw(2) == 0;
        let frequency = frequencies.get(draw(2 * frequencies.len()));
        let own = Forecasting {
            frequency: frequency.map(|frequency| frequency.parse().unwrap()),
            seasonality: None,
            horizon: [None, Some(1), Some(u32::MAX)][draw(3)],
            target_lags: [None, Some(Steps::Auto), Some(Steps::These(vec![1, u32::MAX]))][draw(3)]
                .clone(),
            rolling_window: [None, Some(Steps::These(vec![2, u32::MAX]))][draw(2)].clone(),
            feature_lags: draw(2) == 0,
            strategy: [Strategy::Recursive, Strategy::Direct][draw(2)],
            gap: [0, 3, u32::MAX][draw(3)],
            ..settings()
        };
        let n_rows = draw(40);
        let mut rows: Vec<(u32, f64, f64)> = Vec::new();
        for _ in 0..n_rows {
            let time = match is_wild {
                true => edges[draw(edges.len())],
                false => 1.7e9 + 86_400.0 * draw(60) as f64,
            };
            rows.push((draw(2) as u32, time, draw(9) as f64 - 3.0));
        }
        let kind = [TimeKind::Date, TimeKind::Number][draw(2)];
        let mut frame = of_rows(rows, &own);
        if let Some(timeline) = &mut frame.timeline {
            let plan = ForecastPlan::of(&own, kind, &timeline.time, &timeline.series);
            timeline.plan = Some(Arc::new(plan));
        }
        let mut ahead: Vec<(&str, f64)> = edges.iter().map(|time| ("a", *time)).collect();
        ahead.extend([("b", 1.7e9 + 86_400.0 * 70.0), ("c", 1.7e9), ("b", f64::NAN)]);
        let all: Vec<u32> = (0..frame.n_rows as u32).collect();
        for learner in
            [Learner::SeasonalNaive, Learner::Theta, Learner::Ridge, Learner::DecisionTree]
        {
            match fit_with(learner, &frame, &all, &Configuration::default()) {
                Ok(model) => {
                    n_fitted += 1;
                    let ahead = future(&ahead);
                    let found = numbers(&model, &ahead);
                    let is_finite = found.iter().all(|value| value.is_finite());
                    assert!(is_finite, "round {round}, {learner:?}: {found:?}");
                    let bytes = model.to_bytes();
                    assert_eq!(Model::from_bytes(&bytes).unwrap().to_bytes(), bytes);
                    model.widths(&ahead, &[0, 1, 2], 0.5);
                }
                Err(FitError::Failed(reason)) => {
                    let is_known = reason.contains("write forecasting.frequency")
                        || reason == "there are no rows to learn from";
                    assert!(is_known, "round {round}, {learner:?}: {reason}");
                }
                Err(stopped) => panic!("{stopped}"),
            }
        }
    }
    assert!(n_fitted > 400, "{n_fitted}");
}
