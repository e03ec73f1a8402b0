//! What a machine finds is what the CPU finds, to the bit.

use std::ops::ControlFlow;

use super::*;
use crate::cuda::company::fit_alone;
use crate::cuda::shim::Shim;
use crate::series::theta::{Settings, Theta, fit};
use crate::stop::Stop;

const ALL: [Settings; 6] = [
    Settings { theta: Theta::Fixed(2.0), dynamic: false },
    Settings { theta: Theta::Fixed(2.0), dynamic: true },
    Settings { theta: Theta::Fixed(1.0), dynamic: false },
    Settings { theta: Theta::Optimized, dynamic: false },
    Settings { theta: Theta::Optimized, dynamic: true },
    Settings { theta: Theta::Auto, dynamic: false },
];

fn series() -> Vec<Vec<f64>> {
    let value = |index: usize, t: usize| {
        let swing = [0.0, 4.0, 9.0][index % 3] * ((t % 4) as f64 - 1.5);
        20.0 + swing + (index as f64 - 2.0) * 0.3 * t as f64 + ((t * t + index) % 11) as f64
    };
    let mut all: Vec<Vec<f64>> =
        (0..6).map(|index| (0..24 + 9 * index).map(|t| value(index, t)).collect()).collect();
    let mut outlier = vec![1.0; 40];
    outlier[20] = 1e300;
    all.extend([
        outlier,
        vec![7.0; 30],
        vec![0.0; 20],
        vec![-3.0; 7],
        (0..30).map(|t| f64::from(t) * 1e-310).collect(),
        (0..30).map(|t| 1e300 * f64::from(t % 5 + 1)).collect(),
        vec![f64::MAX, f64::MIN, 0.0, f64::MAX, 1.0, 2.0, f64::MIN, f64::MAX],
        vec![1.0, 2.0],
        vec![5.0],
        vec![],
    ]);
    all
}

/// Where searches ended, until so many were told.
fn searched(shim: Shim, series: &[Option<Prepared>], most: usize) -> Vec<Option<Vec<End>>> {
    let mut ends = vec![None; series.len()];
    let (places, wishes): (Vec<usize>, Vec<&Prepared>) =
        series.iter().enumerate().filter_map(|(at, own)| Some((at, own.as_ref()?))).unzip();
    let mut n_told = 0;
    fit_alone::<super::Theta>(
        &Machine::Shim(shim),
        &Shim::limits(1),
        &wishes,
        &mut |index, found| {
            ends[places[index]] = Some(found.unwrap());
            n_told += 1;
            if n_told < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    )
    .unwrap();
    ends
}

#[track_caller]
fn check(shim: Shim, order: &[usize], settings: &Settings) {
    let all = series();
    let prepared: Vec<Option<Prepared>> = order
        .iter()
        .map(|&index| Prepared::of(&all[index], 4, settings, &Stop::default()).unwrap())
        .collect();
    let found = searched(shim, &prepared, usize::MAX);
    for ((&index, prepared), found) in order.iter().zip(&prepared).zip(&found) {
        assert_eq!(prepared.is_some(), all[index].len() >= 6);
        assert_eq!(prepared.is_some(), found.is_some());
        let (Some(prepared), Some(found)) = (prepared, found) else { continue };
        let here = fit(&all[index], 4, settings, &Stop::default()).unwrap();
        assert_eq!(prepared.conclude(found), here, "{index} {settings:?}");
    }
}

#[test]
fn models_are_the_cpu_s_to_the_bit() {
    let order: Vec<usize> = (0..series().len()).collect();
    for settings in ALL {
        check(Shim::default(), &order, &settings);
    }
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    let backwards: Vec<usize> = (0..series().len()).rev().collect();
    check(shim, &backwards, &ALL[5]);
}

#[test]
fn company_changes_nothing() {
    for index in [0, 4, series().len() - 1] {
        check(Shim::default(), &[index], &ALL[4]);
    }
    check(Shim::default(), &[], &ALL[0]);
}

#[test]
fn the_longest_come_first_and_a_launch_has_an_end() {
    let all = series();
    let prepared: Vec<Option<Prepared>> = [0, 15, 3, 1]
        .map(|index| Prepared::of(&all[index], 4, &ALL[0], &Stop::default()).unwrap())
        .into();
    let lengths: Vec<usize> = prepared.iter().flatten().map(|own| own.values().len()).collect();
    assert_eq!(chunks(&lengths, 90), [vec![1, 2], vec![0]]);
    assert_eq!(chunks(&lengths, 1), [vec![1], vec![2], vec![0]]);
    let found = searched(Shim::default(), &prepared, 1);
    assert_eq!(found.iter().flatten().count(), 1);
}
