//! The kernel against the CPU's minima.

use std::ops::ControlFlow;

use super::*;
use crate::cuda::company::{fit_alone, order_changes_nothing};
use crate::cuda::shim::Shim;
use crate::model::encoder::Design;
use crate::stop::Stop;
use crate::trainer::lesson::Classes;
use crate::trainer::logistic::minimise;

const LIMITS: Limits = Limits {
    n_processors: 1,
    max_shared: 64 << 10,
    processor_shared: 128 << 10,
    memory: 1 << 30,
    launch_s: 1.0,
};

/// Waves that look like features, and classes that follow from them and noise.
fn data(n_rows: usize, n_columns: usize, n_classes: u32) -> (Design, Classes) {
    let value = |at: usize| ((at * at + at) as f64 * 0.37).sin() * 1.5;
    let values: Vec<f64> = (0..n_rows * n_columns).map(value).collect();
    let code = |row: usize| {
        let score = values[row] - values[n_rows.min(values.len() - 1) + row - row % 2]
            + 1.5 * (row as f64 * 0.91).sin();
        ((score + 2.5) / 5.0 * f64::from(n_classes)).clamp(0.0, f64::from(n_classes) - 1.0) as u32
    };
    let classes = Classes {
        codes: (0..n_rows).map(code).collect(),
        present: (0..n_classes).collect(),
        labels: std::sync::Arc::new((0..n_classes).map(|class| format!("c{class}")).collect()),
    };
    (Design { n_rows, n_columns, values }, classes)
}

/// Probabilities of all rows, by the weights of a fit.
fn shares(loss: &Loss<'_>, weights: &[f64]) -> Vec<f64> {
    let n = loss.design.n_columns;
    let mut all = Vec::new();
    for row in 0..loss.design.n_rows {
        let mut scores: Vec<f64> = weights
            .chunks(n + 1)
            .map(|own| {
                let each = (0..n).map(|column| own[column] * loss.design.column(column)[row]);
                own[n] + each.sum::<f64>()
            })
            .collect();
        if scores.len() == 1 {
            scores.push(0.0);
        }
        crate::model::softmax(&mut scores);
        all.extend(scores);
    }
    all
}

/// At least so many must be told, all of them within 1e-9 of the CPU's.
#[track_caller]
fn agrees(shim: Shim, limits: &Limits, wishes: &[Wish<'_>], least_told: usize) {
    let mut all = vec![None; wishes.len()];
    fit_alone::<Logistic>(&Machine::Shim(shim), limits, wishes, &mut |fit, found| {
        assert!(all[fit].replace(found).is_none(), "told twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut n_told = 0;
    for (wish, found) in wishes.iter().zip(all) {
        assert!(refusal(wish).is_none());
        let Some(found) = found.unwrap().unwrap() else { continue };
        n_told += 1;
        let expected = minimise(wish.loss, wish.max_iter, &Stop::default()).unwrap();
        let (found, expected) = (shares(wish.loss, &found), shares(wish.loss, &expected));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
    }
    assert!(n_told >= least_told, "{n_told} of {}", wishes.len());
}

const STRENGTHS: [f64; 4] = [1e-3, 0.1, 1.0, 1e3];

#[track_caller]
fn check(shim: Shim, limits: &Limits, n_rows: usize, n_columns: usize, classes: &[u32]) {
    let all: Vec<(Design, Classes)> =
        classes.iter().map(|&n_classes| data(n_rows, n_columns, n_classes)).collect();
    let weights: Vec<f64> = (0..n_rows).map(|row| 0.5 * (row % 4) as f64).collect();
    let mut losses = Vec::new();
    for (design, classes) in &all {
        for weights in [None, Some(weights.as_slice())] {
            losses.extend(STRENGTHS.map(|c| Loss::new(design, classes, weights, c)));
        }
    }
    let wishes: Vec<Wish<'_>> = losses.iter().map(|loss| Wish { loss, max_iter: 100 }).collect();
    agrees(shim, limits, &wishes, wishes.len());
    let machine = Machine::Shim(Shim { max_bytes: None, ..shim });
    order_changes_nothing::<Logistic>((&machine, limits), &wishes, |found| {
        found.iter().flatten().map(|weight| weight.to_bits()).collect()
    });
}

#[test]
fn minima_are_the_cpu_s() {
    check(Shim::default(), &LIMITS, 150, 6, &[2, 3, 5]);
    check(Shim::default(), &LIMITS, 300, 41, &[2, 3]);
    // One weight more than a thread has.
    check(Shim::default(), &LIMITS, 200, 127, &[2]);
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    check(shim, &LIMITS, 70, 5, &[2, 3]);
    check(shim, &Limits { max_shared: 3_000, ..LIMITS }, 70, 5, &[2, 3]);
    check(shim, &Limits { max_shared: 0, ..LIMITS }, 70, 5, &[3]);
    // As many weights as a block has threads.
    let (design, classes) = data(90, 127, 2);
    let loss = Loss::new(&design, &classes, None, 0.1);
    agrees(shim, &LIMITS, &[Wish { loss: &loss, max_iter: 100 }], 1);
}

#[test]
fn what_is_not_found_is_left_to_the_cpu() {
    let (mut design, classes) = data(60, 4, 2);
    let found = |design: &Design, c: f64, max_iter: usize| {
        let loss = Loss::new(design, &classes, None, c);
        let mut all = Vec::new();
        let wishes = [Wish { loss: &loss, max_iter }];
        fit_alone::<Logistic>(
            &Machine::Shim(Shim::default()),
            &LIMITS,
            &wishes,
            &mut |_, found| {
                all.push(found.unwrap());
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        all.remove(0)
    };
    assert!(found(&design, 1.0, 100).is_some());
    assert!(found(&design, 1.0, 2).is_none(), "the minimum is not reached");
    // A column twice is told apart by the penalty alone.
    let first = design.column(0).to_vec();
    design.column_mut(3).copy_from_slice(&first);
    assert!(found(&design, 1.0, 100).is_some());
    assert!(found(&design, 1e9, 100).is_none(), "digits are lost");
    let (wide, classes) = data(60, 70, 3);
    let loss = Loss::new(&wide, &classes, None, 1.0);
    assert!(refusal(&Wish { loss: &loss, max_iter: 100 }).is_some());
}

#[test]
fn company_and_memory_change_nothing() {
    let tight = Shim { max_bytes: Some(9_000), ..Shim::default() };
    check(tight, &Limits { n_processors: 2, ..LIMITS }, 60, 4, &[2, 3]);
}
