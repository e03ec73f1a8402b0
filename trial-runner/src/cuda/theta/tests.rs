//! What a machine finds is what the CPU finds, to the bit.

use super::*;
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

#[track_caller]
fn check(shim: Shim, order: &[usize], settings: &Settings) {
    let all = series();
    let prepared: Vec<Option<Prepared>> =
        order.iter().map(|&index| Prepared::of(&all[index], 4, settings).unwrap()).collect();
    let found = search(&Machine::Shim(shim), &Shim::limits(1), &prepared, &mut |_| true).unwrap();
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
    let prepared: Vec<Option<Prepared>> =
        [0, 15, 3, 1].map(|index| Prepared::of(&all[index], 4, &ALL[0]).unwrap()).into();
    assert_eq!(chunks(&prepared, 90), [vec![2, 3], vec![0]]);
    assert_eq!(chunks(&prepared, 1), [vec![2], vec![3], vec![0]]);
    let mut heard = Vec::new();
    let mut hear = |n_done| {
        heard.push(n_done);
        false
    };
    let found =
        search(&Machine::Shim(Shim::default()), &Shim::limits(1), &prepared, &mut hear).unwrap();
    assert_eq!((heard, found[1].is_none()), (vec![1], true));
}
