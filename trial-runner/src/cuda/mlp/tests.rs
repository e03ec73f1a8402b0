//! The kernel against the CPU's training, to the bit.

use std::ops::ControlFlow;

use super::*;
use crate::cuda::company::{fit_alone, order_changes_nothing};
use crate::cuda::shim::Shim;
use crate::model::network::{Network, Output};
use crate::stop::Stop;
use crate::trainer::mlp::train::Settings;

const LIMITS: Limits = Limits {
    n_processors: 1,
    max_shared: 64 << 10,
    processor_shared: 128 << 10,
    memory: 1 << 30,
    launch_s: 1.0,
};

fn settings() -> Settings {
    Settings {
        hidden: vec![7],
        curve: Curve::Relu,
        learning_rate: 0.02,
        alpha: 0.01,
        batch_size: 20,
        n_epochs: 3,
        early_stopping: None,
    }
}

fn all_kinds() -> Vec<Settings> {
    let plain = settings();
    let tanh = Settings { curve: Curve::Tanh, hidden: vec![9, 5, 6], ..plain.clone() };
    vec![
        Settings { early_stopping: Some(2), n_epochs: 12, learning_rate: 0.3, ..plain.clone() },
        Settings { early_stopping: Some(1), batch_size: 3, ..tanh.clone() },
        Settings { batch_size: 1_000, hidden: vec![1], ..plain.clone() },
        Settings { hidden: vec![33, 2], alpha: 0.0, ..plain.clone() },
        tanh,
        plain,
    ]
}

/// Waves that look like features, a column after another.
fn design(n_rows: usize, n_columns: usize, shift: f64) -> Design {
    let value = |at: usize| ((at * at + at) as f64 * 0.37 + shift).sin() * 1.5;
    Design { n_rows, n_columns, values: (0..n_rows * n_columns).map(value).collect() }
}

fn targets(n_rows: usize) -> [Targets; 3] {
    let wave = |row: usize| (row as f64 * 0.71).sin();
    let classes = |n_classes: usize| Targets::Classes {
        codes: (0..n_rows)
            .map(|row| ((wave(row) + 1.0) * 1.499) as u32 % n_classes as u32)
            .collect(),
        n_classes,
    };
    let numbers = (0..n_rows).map(|row| wave(row) as f32).collect();
    [Targets::Numbers(numbers), classes(2), classes(3)]
}

/// The last layer's sums as the CPU has them: an output that changes nothing tells them.
fn oracle(wish: &Wish<'_>) -> Vec<u64> {
    let course = wish.course;
    let layers = course.run(&Stop::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    let n_outputs = course.ground.targets.n_outputs();
    let mut told = Vec::new();
    for unit in 0..n_outputs {
        let mut own = layers.clone();
        let last = own.last_mut().unwrap();
        last.weights = last.weights.iter().copied().skip(unit).step_by(n_outputs).collect();
        (last.biases, last.n_units) = (vec![last.biases[unit]], 1);
        let output = Output::Number { shift: 0.0, scale: 1.0 };
        let network = Network { layers: own, curve: course.settings.curve, output };
        let mut out = vec![0.0; wish.ahead.n_rows];
        network.predict(wish.ahead, &mut out, 1);
        told.extend(out.iter().map(|sum| sum.to_bits()));
    }
    told
}

#[track_caller]
fn agrees(shim: Shim, limits: &Limits, wishes: &[Wish<'_>]) {
    let mut all = vec![None; wishes.len()];
    fit_alone::<Mlp>(&Machine::Shim(shim), limits, wishes, &mut |fit, sums| {
        assert!(all[fit].replace(sums).is_none(), "told twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    for (wish, told) in wishes.iter().zip(all) {
        assert!(refusal(wish).is_none(), "{:?}", wish.course.settings);
        let told: Vec<u64> =
            told.unwrap().unwrap().iter().map(|sum| f64::from(*sum).to_bits()).collect();
        assert_eq!(told, oracle(wish), "{:?}", wish.course.settings);
    }
}

#[track_caller]
fn check(shim: Shim, limits: &Limits, n_rows: usize, kinds: &[Settings]) {
    let (here, ahead) = (design(n_rows, 5, 0.1), design(70, 5, 0.9));
    let all = targets(n_rows);
    let weights: Vec<f64> = (0..n_rows).map(|row| 0.5 * (row % 4) as f64).collect();
    let of = |targets: &Targets| {
        [None, Some(weights.as_slice())].map(|own| Ground::new(&here, targets.clone(), own))
    };
    let grounds: Vec<Ground> = all.iter().flat_map(of).collect();
    let mut wishes = Vec::new();
    for settings in kinds {
        wishes.extend(
            grounds.iter().map(|ground| Wish {
                course: Course { ground, settings, seed: 17 },
                ahead: &ahead,
            }),
        );
    }
    agrees(shim, limits, &wishes);
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    check(shim, &LIMITS, 31, &all_kinds());
    check(shim, &Limits { max_shared: 0, ..LIMITS }, 31, &[settings()]);
    // A layer is wider than a block, and there are more weights than that shares.
    let wide = Settings { hidden: vec![270, 40], n_epochs: 1, ..settings() };
    check(shim, &LIMITS, 31, &[wide]);
}

#[test]
fn company_and_memory_change_nothing() {
    let tight = Shim { max_bytes: Some(12_000), ..Shim::default() };
    check(tight, &Limits { n_processors: 2, ..LIMITS }, 40, &all_kinds());
    let (here, [numbers, ..]) = (design(40, 5, 0.1), targets(40));
    let settings = settings();
    let ground = Ground::new(&here, numbers, None);
    let course = Course { ground: &ground, settings: &settings, seed: 1 };
    let none = Machine::Shim(Shim { max_bytes: Some(100), ..Shim::default() });
    let other = Course { seed: 2, ..course };
    let wishes = [course, other].map(|course| Wish { course, ahead: &here });
    let machine = Machine::Shim(Shim::default());
    order_changes_nothing::<Mlp>((&machine, &LIMITS), &wishes, |sums| {
        sums.iter().map(|sum| u64::from(sum.to_bits())).collect()
    });
    let wishes = [Wish { course, ahead: &here }];
    let mut told = None;
    fit_alone::<Mlp>(&none, &LIMITS, &wishes, &mut |_, sums| {
        told = Some(sums);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(told, Some(Err(Fault::OutOfMemory)));
    let huge = Settings { hidden: vec![4_096, 4_096], ..settings.clone() };
    let course = Course { settings: &huge, ..course };
    assert!(refusal(&Wish { course, ahead: &here }).is_some());
}
