//! What searches on a machine find is what the CPU's find.

use std::ops::ControlFlow;

use super::*;
use crate::cuda::company::fit_alone;
use crate::cuda::shim::Shim;
use crate::series::ets::batch::searched_here;
use crate::series::ets::{Settings, fit};
use crate::stop::Stop;

/// Numbers between -1 and 1 that look like chance.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Series with and without seasons, trends and values below 0.
fn series(season: usize, n_values: usize) -> Vec<Vec<f64>> {
    let one = |index: usize| {
        let mut draw = noise(index as u64 * 100 + season as u64);
        let slope = [0.0, 0.3, -0.05, 0.1][index % 4];
        let shift = if index % 3 == 2 { 0.0 } else { 60.0 };
        let n = n_values - 3 * index;
        let mut level = 0.0;
        let value = |t: usize| {
            level += 0.4 * draw();
            let swing = ((t % season) as f64 / season as f64 * std::f64::consts::TAU).sin()
                * (index % 5) as f64;
            shift + level + slope * t as f64 + swing + draw()
        };
        (0..n).map(value).collect()
    };
    (0..5).map(one).collect()
}

fn prepared(y: &[f64], season: usize) -> Option<Prepared> {
    Prepared::of(y, season, &Settings::default()).unwrap()
}

fn searched(shim: Shim, series: &[Option<Prepared>]) -> Vec<Option<Vec<[End; 2]>>> {
    let mut ends = vec![None; series.len()];
    let (places, wishes): (Vec<usize>, Vec<&Prepared>) =
        series.iter().enumerate().filter_map(|(at, own)| Some((at, own.as_ref()?))).unzip();
    fit_alone::<Ets>(&Machine::Shim(shim), &Shim::limits(1), &wishes, &mut |index, found| {
        ends[places[index]] = Some(found.unwrap());
        ControlFlow::Continue(())
    })
    .unwrap();
    ends
}

/// No form's end may be more than 0.1 % above the CPU's from the same start.
#[track_caller]
fn check(what: &str, shim: Shim, series: &[Option<Prepared>]) {
    let found = searched(shim, series);
    for (index, (series, found)) in series.iter().zip(&found).enumerate() {
        let (series, found) = (series.as_ref().unwrap(), found.as_ref().unwrap());
        let here = searched_here(series, &Stop::default());
        assert_eq!(found.len(), series.begins.len());
        for ((begin, found), here) in series.begins.iter().zip(found).zip(here) {
            let sum = found[0].sum.min(found[1].sum);
            let form = begin.form;
            assert!(sum <= here * 1.001, "{what} {index} {form:?}: {sum}, not {here}");
        }
    }
}

#[test]
fn ends_are_no_higher_than_the_cpu_s() {
    for season in [1, 4, 7] {
        let series: Vec<_> = series(season, 70).iter().map(|y| prepared(y, season)).collect();
        check("a season", Shim::default(), &series);
    }
}

#[test]
fn long_seasons_are_searched_in_wide_lanes_or_kept() {
    let of = |season, n| -> Vec<_> {
        series(season, n)[..2].iter().map(|y| prepared(y, season)).collect()
    };
    check("12", Shim::default(), &of(12, 60));
    check("24", Shim::default(), &of(24, 80));
    check("30", Shim::default(), &of(30, 80));
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    // A lane has one, two and four values of a season, and one is too long to be searched.
    for (season, n, n_series) in [(4, 40, 3), (12, 30, 1), (24, 54, 1), (30, 66, 1)] {
        let series: Vec<_> =
            series(season, n)[..n_series].iter().map(|y| prepared(y, season)).collect();
        assert_eq!(searched(shim, &series), searched(Shim::default(), &series));
    }
}

#[test]
fn a_series_is_searched_the_same_in_any_company() {
    let mut all = series(4, 60);
    all.extend(series(1, 30));
    let season_of = |index: usize| if index < 5 { 4 } else { 1 };
    let prepared_all = |order: &[usize]| -> Vec<Option<Prepared>> {
        order.iter().map(|&index| prepared(&all[index], season_of(index))).collect()
    };
    let order: Vec<usize> = (0..all.len()).collect();
    let together = searched(Shim::default(), &prepared_all(&order));
    let backwards: Vec<usize> = order.iter().rev().copied().collect();
    let found = searched(Shim::default(), &prepared_all(&backwards));
    assert!(found.iter().rev().eq(&together));
    for index in [0, 3, 7] {
        assert_eq!(searched(Shim::default(), &prepared_all(&[index]))[0], together[index]);
    }
}

#[test]
fn the_choice_is_the_cpu_s() {
    let mut n_same = 0;
    for season in [1, 7] {
        let all = series(season, 90);
        let series: Vec<_> = all.iter().map(|y| prepared(y, season)).collect();
        let found = searched(Shim::default(), &series);
        for ((y, series), found) in all.iter().zip(&series).zip(&found) {
            let stop = Stop::default();
            let own = series.as_ref().unwrap().conclude(found.as_ref().unwrap(), &stop);
            let own = own.unwrap().unwrap();
            let here = fit(y, season, &Settings::default(), &stop).unwrap();
            assert!(own.is_sound());
            n_same += usize::from(own.form == here.form);
            let (own, here) = (own.aicc.unwrap(), here.aicc.unwrap());
            assert!(own <= here + 0.1, "{own}, not {here}");
        }
    }
    assert!(n_same >= 9, "{n_same} of 10");
}

#[test]
fn searches_begin_where_a_mean_is_below_0_too() {
    let (mut one, mut other) = (noise(1), noise(2));
    let outlier = (0..150).map(|t| if t == 50 { 1e6 } else { 10.5 + 0.5 * one() });
    let jump = (0..160).map(|t| if t < 80 { 10.0 } else { 1_000.0 } + other());
    let all = [outlier.collect::<Vec<f64>>(), jump.collect()];
    let series: Vec<_> = all.iter().map(|y| prepared(y, 7)).collect();
    check("an outlier, a jump", Shim::default(), &series);
}

#[test]
fn hostile_series_have_ends() {
    let mut step = vec![0.0; 20];
    step.extend([1.0; 20]);
    let mut outlier = vec![1.0; 30];
    outlier[20] = 1e300;
    outlier[3] = 0.5;
    let line: Vec<f64> = (1..40).map(f64::from).collect();
    let cycle: Vec<f64> = (0..32).map(|t| f64::from(t % 4) + 1.0).collect();
    let explosion: Vec<f64> = (0..40).map(|t| 1e-5_f64 * 1.9_f64.powi(t)).collect();
    for y in [step, outlier, line, cycle, explosion, vec![1.0, 2.0, 3.0, 4.5, 5.0, 6.0]] {
        for season in [1, 4] {
            let Some(series) = prepared(&y, season) else { continue };
            let series = [Some(series)];
            let found = searched(Shim { is_sanitized: true, ..Shim::default() }, &series);
            let (Some(series), Some(found)) = (&series[0], &found[0]) else { panic!("{y:?}") };
            let chosen = series.conclude(found, &Stop::default()).unwrap();
            let own = chosen.unwrap_or_else(|| panic!("{y:?}: {found:?}"));
            let forecast = own.forecast(20);
            assert!(own.is_sound() && forecast.iter().all(|value| value.is_finite()), "{own:?}");
        }
    }
    for y in [vec![], vec![5.0], vec![0.0; 20], vec![3.0; 9], vec![1.0, 2.0]] {
        assert!(prepared(&y, 4).is_none(), "{y:?}");
    }
    let scaling = Settings { trend: Some(Component::Mul), ..Settings::default() };
    let y: Vec<f64> = (1..40).map(f64::from).collect();
    assert!(Prepared::of(&y, 1, &scaling).unwrap().is_none());
    assert_eq!(searched(Shim::default(), &[None]), [None]);
}
