//! The kernel against the CPU engine, to the bit; and what compilers make of it.

use std::ops::ControlFlow;

use super::*;
use crate::boost::table::Raw;
use crate::boost::{Settings, Workspace, fit};
use crate::cuda::company::{fit_alone, order_changes_nothing};
use crate::cuda::shim::Shim;
use crate::stop::Stop;
use fleetfit_search_spaces::seed::mix;

/// Numbers that look random.
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = mix(&[self.0]);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One entity's data.
struct Data {
    table: Table,
    targets: Vec<f64>,
    weights: Vec<f64>,
    train: Vec<u32>,
    watched: Vec<u32>,
}

const SETTINGS: Settings = Settings {
    loss: Loss::Squared,
    n_estimators: 6,
    learning_rate: 0.3,
    max_depth: Some(3),
    num_leaves: 31,
    min_child_samples: 3,
    min_child_weight: 1e-3,
    min_split_gain: 0.0,
    subsample: 1.0,
    colsample_bytree: 1.0,
    reg_alpha: 0.0,
    reg_lambda: 0.0,
};

/// Plain columns, a constant one, and some with missing values, one of them few.
fn data(n_rows: usize, max_bins: usize, seed: u64, target: impl Fn(f64, f64) -> f64) -> Data {
    let mut noise = Noise(seed);
    let mut columns: Vec<Vec<f64>> = Vec::new();
    for column in 0..6 {
        let value = |row: usize, noise: &mut Noise| match column {
            3 => 1.0,
            4 if row.is_multiple_of(5) => f64::NAN,
            5 if row % 40 == 7 => f64::NAN,
            5 => (noise.unit() * 3.0).floor(),
            _ => noise.unit(),
        };
        columns.push((0..n_rows).map(|row| value(row, &mut noise)).collect());
    }
    let raw: Vec<Raw<'_>> = columns.iter().map(|values| Raw::Numbers(values)).collect();
    let known = |value: f64| if value.is_nan() { 2.5 } else { value };
    let signal = |row: usize| {
        columns[0][row] * 2.0 + known(columns[4][row]) + known(columns[5][row]) * columns[1][row]
    };
    let targets = (0..n_rows).map(|row| target(signal(row), noise.unit())).collect();
    Data {
        table: Table::new(&raw, (n_rows, None), max_bins, 1),
        targets,
        weights: (0..n_rows).map(|row| (row % 4) as f64 * 0.5).collect(),
        train: (0..n_rows as u32).filter(|row| row % 4 != 1).collect(),
        watched: (0..n_rows as u32).filter(|row| row % 4 == 1).collect(),
    }
}

impl Data {
    fn job<'a>(&'a self, settings: &'a Settings, is_weighed: bool, stop: &'a Stop) -> Job<'a> {
        Job {
            table: &self.table,
            targets: &self.targets,
            weights: is_weighed.then_some(&self.weights),
            rows: &self.train,
            watched: &self.watched,
            settings,
            seed: 11,
            stop,
            n_threads: 1,
        }
    }
}

/// What the CPU engine says.
fn oracle(wish: &Wish<'_>) -> Scores {
    let (mut told, mut last) = (Vec::new(), Vec::new());
    let mut marks = wish.marks.iter().peekable();
    let job = &wish.job;
    let initial = job.initial();
    for _ in job.watched {
        last.extend_from_slice(&initial);
    }
    fit(job, &mut Workspace::default(), &mut |round| {
        last = round.scores.to_vec();
        while marks.next_if(|mark| **mark == round.n_rounds).is_some() {
            told.extend_from_slice(round.scores);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    marks.for_each(|_| told.extend_from_slice(&last));
    told
}

const LIMITS: Limits = Limits {
    n_processors: 1,
    max_shared: 64 << 10,
    processor_shared: 128 << 10,
    memory: 1 << 30,
    launch_s: 1.0,
};

fn run(shim: Shim, limits: &Limits, wishes: &[Wish<'_>]) -> Vec<Option<Result<Scores, Fault>>> {
    let mut all = vec![None; wishes.len()];
    fit_alone::<Boost>(&Machine::Shim(shim), limits, wishes, &mut |fit, scores| {
        assert!(all[fit].replace(scores).is_none(), "told twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

/// The kernel says what the CPU engine says, to the bit.
fn agrees(shim: Shim, limits: &Limits, wishes: &[Wish<'_>]) {
    for wish in wishes {
        assert_eq!(refusal(&wish.job), None, "{:?}", wish.job.settings);
    }
    let all = run(shim, limits, wishes);
    for (wish, scores) in wishes.iter().zip(all) {
        let (ours, expected) = (scores.unwrap().unwrap(), oracle(wish));
        assert_eq!(ours.len(), expected.len());
        let first = ours.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
        let difference = first.map(|at| (at, ours[at], expected[at]));
        assert_eq!(difference, None, "{:?} {:?}", wish.job.settings, wish.job.weights.is_some());
    }
}

/// Every loss that is taken, and what changes the course of a fit.
fn all_kinds() -> Vec<Settings> {
    let losses = [
        Loss::Squared,
        Loss::Huber { delta: 0.4 },
        Loss::Poisson,
        Loss::Tweedie { power: 1.3 },
        Loss::Logistic,
        Loss::Softmax { n_classes: 3 },
        Loss::Absolute,
        Loss::Quantile { level: 0.3 },
    ];
    let mut all: Vec<Settings> = losses.map(|loss| Settings { loss, ..SETTINGS }).to_vec();
    all.extend([
        Settings { reg_lambda: 2.0, ..SETTINGS },
        Settings { reg_alpha: 0.7, reg_lambda: 0.1, ..SETTINGS },
        Settings { reg_alpha: 0.7, loss: Loss::Logistic, ..SETTINGS },
        Settings { subsample: 0.6, ..SETTINGS },
        Settings { subsample: 0.6, loss: Loss::Quantile { level: 0.9 }, ..SETTINGS },
        Settings { colsample_bytree: 0.5, ..SETTINGS },
        Settings { colsample_bytree: 0.99, subsample: 0.8, loss: Loss::Logistic, ..SETTINGS },
        Settings { min_split_gain: 5.0, ..SETTINGS },
        // Growth stops before the last round.
        Settings { min_child_samples: 70, n_estimators: 9, learning_rate: 1.0, ..SETTINGS },
        Settings { min_child_samples: 1_000, ..SETTINGS },
        Settings { max_depth: Some(1), ..SETTINGS },
        // More splits than leaves: the order is best-first.
        Settings { max_depth: Some(5), num_leaves: 6, ..SETTINGS },
        Settings { max_depth: Some(5), num_leaves: 13, loss: Loss::Poisson, ..SETTINGS },
        Settings { max_depth: Some(6), num_leaves: 31, min_child_samples: 1, ..SETTINGS },
        // No depth: leaves alone bound trees.
        Settings { max_depth: None, ..SETTINGS },
        Settings { max_depth: None, min_child_samples: 1, loss: Loss::Poisson, ..SETTINGS },
        Settings { max_depth: None, num_leaves: 7, min_child_samples: 1, ..SETTINGS },
        Settings { max_depth: None, num_leaves: 2, loss: Loss::Logistic, ..SETTINGS },
        Settings { max_depth: Some(12), num_leaves: 60, min_child_samples: 1, ..SETTINGS },
        Settings { max_depth: None, num_leaves: 200, min_child_samples: 1, ..SETTINGS },
    ]);
    all
}

/// Targets that the loss can learn.
fn data_for(loss: Loss, n_rows: usize, max_bins: usize, seed: u64) -> Data {
    match loss {
        Loss::Logistic => data(n_rows, max_bins, seed, |x, u| f64::from(u8::from(x + u > 3.4))),
        Loss::Softmax { .. } => {
            data(n_rows, max_bins, seed, |x, u| (x + u - 1.0).clamp(0.0, 2.9).floor())
        }
        Loss::Poisson | Loss::Tweedie { .. } => {
            data(n_rows, max_bins, seed, |x, u| (x * 2.0 * u).floor())
        }
        _ => data(n_rows, max_bins, seed, |x, u| x * x + u),
    }
}

fn check(shim: Shim, limits: &Limits, n_rows: usize, max_bins: usize, kinds: &[Settings]) {
    let stop = Stop::default();
    let all: Vec<Data> =
        kinds.iter().map(|settings| data_for(settings.loss, n_rows, max_bins, 5)).collect();
    let mut wishes = Vec::new();
    for (settings, data) in kinds.iter().zip(&all) {
        for is_weighed in [false, true] {
            wishes.push(Wish { job: data.job(settings, is_weighed, &stop), marks: &[1, 2, 2, 6] });
        }
    }
    agrees(shim, limits, &wishes);
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    check(shim, &LIMITS, 130, 20, &all_kinds());
}

#[test]
fn without_room_in_shared_memory_the_device_s_serves() {
    let none = Limits { max_shared: 0, ..LIMITS };
    let rows_only = Limits { max_shared: 12 << 10, ..LIMITS };
    let kinds = [
        SETTINGS,
        Settings { loss: Loss::Logistic, max_depth: Some(6), ..SETTINGS },
        Settings { loss: Loss::Softmax { n_classes: 3 }, ..SETTINGS },
        Settings { loss: Loss::Poisson, max_depth: None, num_leaves: 60, ..SETTINGS },
    ];
    for limits in [none, rows_only] {
        let shim = Shim { is_sanitized: true, ..Shim::default() };
        check(shim, &limits, 200, 60, &kinds);
    }
}

/// Fits of two data sets, in whatever order and company.
fn company<'a>(all: &'a [Data], settings: &'a [Settings], stop: &'a Stop) -> Vec<Wish<'a>> {
    let of = |data: &'a Data| {
        settings.iter().map(|settings| Wish { job: data.job(settings, false, stop), marks: &[3] })
    };
    all.iter().flat_map(of).collect()
}

#[test]
fn company_order_and_memory_change_nothing() {
    let stop = Stop::default();
    let all = [data_for(Loss::Squared, 90, 12, 1), data_for(Loss::Squared, 150, 20, 2)];
    let settings = [2, 1, 3].map(|max_depth| Settings {
        max_depth: Some(max_depth),
        n_estimators: 3,
        ..SETTINGS
    });
    let wishes = company(&all, &settings, &stop);
    agrees(Shim::default(), &LIMITS, &wishes);
    let machine = Machine::Shim(Shim::default());
    order_changes_nothing::<Boost>((&machine, &LIMITS), &wishes, |scores| {
        scores.iter().map(|score| score.to_bits()).collect()
    });
    let alone: Vec<Scores> = wishes.iter().map(oracle).collect();
    let backwards: Vec<Wish<'_>> = wishes.iter().rev().copied().collect();
    let many = Limits { n_processors: 3, ..LIMITS };
    // Too little for all at once, enough for each.
    let tight = Shim { max_bytes: Some(10_000), ..Shim::default() };
    let needs: Vec<Need> = backwards.iter().filter_map(|wish| size(wish).need(&many)).collect();
    let launches = queue::plan(&needs, &many, |_, _| 2);
    assert_eq!(launches.len(), 1);
    let machine = Machine::Shim(tight);
    let mut batch = Batch::default();
    launches[0].fits.iter().for_each(|&fit| batch.add(&backwards[fit]));
    let whole = batch.begin(&machine, &launches[0]);
    assert_eq!(whole.err(), Some(Fault::OutOfMemory));
    for (shim, limits) in [(Shim::default(), many), (tight, many)] {
        let told = run(shim, &limits, &backwards);
        for (expected, own) in alone.iter().rev().zip(told) {
            assert_eq!(own.unwrap().unwrap(), *expected);
        }
    }
    let none = Shim { max_bytes: Some(1_000), ..Shim::default() };
    for own in run(none, &LIMITS, &wishes) {
        assert_eq!(own.unwrap(), Err(Fault::OutOfMemory), "it is told to whom there is no room");
    }
}

#[test]
fn whoever_has_heard_enough_hears_no_more() {
    let stop = Stop::default();
    let all = [data_for(Loss::Squared, 60, 8, 1)];
    let settings = [Settings { n_estimators: 1, ..SETTINGS }; 4];
    let wishes = company(&all, &settings, &stop);
    let mut n_heard = 0;
    fit_alone::<Boost>(&Machine::Shim(Shim::default()), &LIMITS, &wishes, &mut |_, _| {
        n_heard += 1;
        if n_heard == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(n_heard, 2);
}

#[test]
fn what_is_not_taken_is_left_to_the_cpu() {
    let stop = Stop::default();
    let data = data_for(Loss::Squared, 60, 8, 1);
    let takes = |settings: Settings| refusal(&data.job(&settings, false, &stop)).is_none();
    assert!(takes(SETTINGS));
    assert!(takes(Settings { max_depth: Some(8), num_leaves: 2, ..SETTINGS }));
    assert!(takes(Settings { max_depth: None, ..SETTINGS }));
    assert!(takes(Settings { max_depth: Some(9), ..SETTINGS }));
    for settings in [
        Settings { max_depth: None, num_leaves: 257, ..SETTINGS },
        Settings { max_depth: Some(9), num_leaves: 500, ..SETTINGS },
    ] {
        assert!(!takes(settings), "{settings:?}");
    }
    let words = Raw::Words { codes: &[0, 1, 0, 1], n_levels: 2 };
    let table = Table::new(&[words], (4, None), 8, 1);
    let words = Job { table: &table, ..data.job(&SETTINGS, false, &stop) };
    assert_eq!(refusal(&words), Some("a column is not of numbers"));
}
