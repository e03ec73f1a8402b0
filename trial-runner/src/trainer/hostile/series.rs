//! Series of every kind of trouble: too short, with holes and duplicates, at odd times, of odd
//! values, for learners of series and for regressors on lags.

use fleetfit_search_spaces::data::{Forecasting, Steps, Stl, Strategy};
use fleetfit_search_spaces::{Configuration, Learner};

use super::super::series_contract::{future, of_rows, settings};
use super::super::{Fit, FitError, Hand, Spare};
use super::{Trouble, assert_kept, assert_readable, for_seeds};
use crate::frame::Frame;
use crate::model::Predictions;
use crate::stop::Stop;

const CASES: u64 = 40;

fn job(trouble: &mut Trouble) -> Forecasting {
    let steps = |trouble: &mut Trouble| {
        let these = vec![1, 1 + trouble.below(9) as u32];
        trouble.one_of(&[None, Some(Steps::Auto), Some(Steps::These(these))])
    };
    Forecasting {
        horizon: trouble.one_of(&[None, Some(1), Some(5), Some(60)]),
        target_lags: steps(trouble),
        rolling_window: steps(trouble),
        feature_lags: trouble.once_in(3),
        seasonality: steps(trouble),
        stl: trouble.one_of(&[None, None, Some(Stl::Season), Some(Stl::SeasonTrend)]),
        gap: trouble.one_of(&[0, 0, 3]),
        strategy: trouble.one_of(&[Strategy::Recursive, Strategy::Direct]),
        ..settings()
    }
}

fn frame(trouble: &mut Trouble, own: &Forecasting) -> Frame {
    let n_rows = trouble.one_of(&[0, 1, 2, 3, 8, 25, 60]);
    let mut values = trouble.numbers(n_rows);
    let (has_holes, has_twins) = (trouble.once_in(3), trouble.once_in(4));
    let n_series = 1 + trouble.below(2);
    let mut rows = Vec::new();
    for (at, value) in values.iter_mut().enumerate() {
        // As a data set hands it over: never missing, never infinite.
        *value = if value.is_finite() { *value } else { 0.0 };
        let mut time = (at / n_series) as f64;
        if has_holes {
            time *= trouble.one_of(&[1.0, 1.0, 2.0]);
        }
        if has_twins && trouble.once_in(5) {
            time -= 1.0;
        }
        rows.push(((at % n_series) as u32, time, *value));
    }
    of_rows(rows, own)
}

/// Predictions of what lies ahead, behind, far away, and of a series that nobody knows.
fn predicted(model: &crate::model::Model) -> Vec<u64> {
    let rows = future(&[("a", 61.0), ("b", 64.0), ("a", 1e12), ("a", -3.0), ("z", 5.0)]);
    let all: Vec<u32> = (0..rows.n_rows as u32).collect();
    let Ok(Predictions::Numbers(found)) = model.predict(&rows, &all) else { panic!("no numbers") };
    assert!(found.iter().all(|value| value.is_finite()), "{found:?}");
    for width in model.widths(&rows, &all, 0.8).into_iter().flatten() {
        assert!(width >= 0.0, "{width}");
    }
    found.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn any_series_is_forecast_or_refused_with_a_reason_by_every_learner() {
    let of_series = Learner::ALL.iter().copied().filter(|own| own.forecasts_series());
    let on_lags = [Learner::Ridge, Learner::GradientBoosting, Learner::DecisionTree, Learner::Knn];
    for learner in of_series.chain(on_lags) {
        let mut n_fitted = 0;
        for_seeds(learner.name(), 0..CASES, |seed| {
            let trouble = &mut Trouble::new(seed);
            let own = job(trouble);
            let frame = frame(trouble, &own);
            let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
            for parameters in [Configuration::default(), trouble.configuration(learner)] {
                let fit = |n_spare: usize| {
                    let fit = Fit {
                        frame: &frame,
                        rows: &rows,
                        parameters: &parameters,
                        seed,
                        stop: &Stop::default(),
                        spare: &Spare::of(n_spare),
                    };
                    Hand::of(learner, &frame).unwrap().trainer().fit(&fit)
                };
                let (alone, helped) = (fit(0), fit(3));
                match (alone, helped) {
                    (Ok(alone), Ok(helped)) => {
                        n_fitted += 1;
                        assert_kept(&alone, &frame);
                        assert_eq!(predicted(&alone), predicted(&helped), "helped by threads");
                    }
                    (Err(FitError::Failed(alone)), Err(FitError::Failed(helped))) => {
                        assert_readable(&alone);
                        assert_eq!(alone, helped);
                    }
                    (alone, helped) => panic!("{:?} is not {:?}", alone.err(), helped.err()),
                }
            }
        });
        assert!(n_fitted > CASES / 3, "{learner:?}: {n_fitted} fits");
    }
}
