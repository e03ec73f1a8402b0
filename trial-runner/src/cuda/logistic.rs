//! Launches of `logistic/logistic.cu`: logistic regressions of two or more classes, the CPU's
//! Newton's method.
//!
//! Weights are the CPU's within rounding (predictions within 1e-9 of it); both end where the slope is
//! zero to the last digits. Nothing is told, and the CPU has to do it, where an equation is nearly
//! another and where `max_iter` ends a fit. More weights than Newton's method takes are the CPU's.

#[cfg(test)]
pub(super) mod tests;

use super::company::{Companies, Company, Family};
use super::machine::Limits;
use super::machine::{Fault, Kernel, Machine, pack};
use super::pool::{Place, Pool, alone};
use super::queue::{self, Launch, Need, Order, told};
use super::turns::Begun;
use crate::trainer::logistic::{Loss, MAX_NEWTON, rows};

pub(super) const LOGISTIC: Kernel =
    Kernel { name: "logistic", source: include_str!("logistic/logistic.cu") };

/// Threads of a block.
const N_THREADS: usize = 128;
/// Rows that stand in shared memory together.
const ROWS: usize = 32;
/// Shared memory is asked for in steps, so that few launches are different.
const SHARED_STEP: usize = 8 << 10;
/// Steps to the minimum, as they usually are.
const STEPS: f64 = 8.0;
/// Sums of products of a multiprocessor in a second, as this kernel comes to, by its instructions.
const RATE: f64 = 1e10;
/// Seconds between two meetings of a block.
const MEETING_S: f64 = 0.4e-6;

/// A fit.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) loss: &'a Loss<'a>,
    pub(crate) max_iter: usize,
}

/// The weights of each output, with its intercept last; none where the CPU has to find them.
pub(crate) type Weights = Option<Vec<f64>>;

/// Why the kernel does not take a fit; none where it does.
pub(crate) fn refusal(wish: &Wish<'_>) -> Option<&'static str> {
    let n_weights = wish.loss.n_outputs * (wish.loss.design.n_columns + 1);
    if wish.loss.design.n_rows == 0 {
        return Some("there are no rows");
    }
    (n_weights > MAX_NEWTON).then_some("there are more than 128 weights")
}

/// Fits of logistic regression, which the kernel must take.
pub(crate) enum Logistic {}

impl Family for Logistic {
    type Wish<'a> = Wish<'a>;
    type Need = Need;
    type Batch = Batch;
    type Found = Weights;

    fn need(wish: &Wish<'_>, limits: &Limits) -> Option<Need> {
        Some(need(wish, limits))
    }

    fn plan(needs: &[Need], (machine, limits): (&Machine, &Limits)) -> Vec<Launch> {
        queue::plan(needs, limits, |_, shared| {
            queue::resident(
                machine,
                (&LOGISTIC, &[("THREADS", N_THREADS as i64)]),
                (N_THREADS, shared),
            )
        })
    }

    fn add(batch: &mut Batch, wish: &Wish<'_>) {
        batch.add(wish);
    }

    fn rank(batch: &mut Batch, ranks: &[usize]) {
        queue::rank(&mut batch.tasks, ranks.len(), |fit, _| ranks[fit]);
    }

    fn begin<'a>(
        batch: Batch,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Weights>, Fault> {
        batch.begin(machine, launch)
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.logistic
    }
}

fn need(wish: &Wish<'_>, limits: &Limits) -> Need {
    let loss = wish.loss;
    let (n_rows, n_outputs) = (loss.design.n_rows, loss.n_outputs);
    let n_weights = loss.design.n_columns + 1;
    let width = n_weights.next_multiple_of(4);
    let n = n_outputs * n_weights;
    // The pieces of the kernel's `lay_out`, in its order.
    let n_shares = n_rows * n_outputs;
    let near = ROWS * (width + 1);
    let pieces = [N_THREADS, near, n, n, n, n, n, n * n, n_shares, n_shares, n_shares, n_shares];
    let cut = |most: usize, pieces: &[usize]| {
        let mut left = most;
        let mut rest = 0;
        for piece in pieces {
            if 8 * piece <= left { left -= 8 * piece } else { rest += 8 * piece }
        }
        (most - left, rest)
    };
    // Shares and residuals are read once each, and not worth a block less.
    let (used, _) = cut(limits.max_shared, &pieces[..8]);
    let shared = used.next_multiple_of(SHARED_STEP).min(limits.max_shared);
    let pairs = (n_outputs * (n_outputs + 1) / 2) as f64;
    let products = n_rows as f64 * (pairs * (n_weights * n_weights) as f64 / 2.0 + 4.0 * n as f64);
    let meetings = 6.0 * n as f64 + pairs * (2 * n_rows / ROWS) as f64 + 40.0;
    Need {
        kind: 0,
        shared,
        scratch: cut(shared, &pieces).1,
        n_bytes: 8 * n_rows * (width + 2) + 16 * n + 256,
        n_blocks: 1,
        seconds: STEPS * (products / RATE + meetings * MEETING_S),
    }
}

/// The data of a launch, each piece once, however many fits use it.
#[derive(Default)]
pub(crate) struct Batch {
    tasks: Vec<u64>,
    reals: Pool<f64>,
    codes: Pool<i32>,
    /// How many weights each fit tells.
    n_told: Vec<usize>,
}

impl Batch {
    /// Appends a fit: the fields of the kernel's `Task`, in its order.
    fn add(&mut self, wish: &Wish<'_>) {
        let loss = wish.loss;
        let n_weights = loss.design.n_columns + 1;
        let codes = &loss.classes.codes;
        let reals = &mut self.reals;
        let whole = |n: usize| n as u64;
        let rows_at = reals.share(alone(Place::one(loss.design)), || rows(loss).values);
        let weights = loss
            .weights
            .map_or(-1, |own| reals.share(alone(Place::of(own)), || own.iter().copied()));
        let codes =
            self.codes.share(alone(Place::of(codes)), || codes.iter().map(|&code| code as i32));
        let fields = [
            whole(loss.design.n_rows),
            whole(n_weights),
            whole(n_weights.next_multiple_of(4)),
            whole(loss.n_outputs),
            rows_at as u64,
            codes as u64,
            weights as u64,
            reals.push(loss.start()) as u64,
            whole(wish.max_iter.min(1 << 40)),
            loss.alpha.to_bits(),
            loss.total.to_bits(),
            whole(self.n_told.iter().sum()),
        ];
        self.tasks.extend(fields);
        self.n_told.push(loss.n_outputs * n_weights);
    }

    /// Launches it.
    fn begin<'a>(self, machine: &'a Machine, launch: &Launch) -> Result<Begun<'a, Weights>, Fault> {
        let order = Order {
            kernel: &LOGISTIC,
            defines: &[("THREADS", N_THREADS as i64)],
            n_threads: N_THREADS,
            tasks: vec![machine.put(&pack(&self.tasks))?],
            n_tasks: self.n_told.len(),
            data: vec![self.reals.put(machine)?, self.codes.put(machine)?],
            n_told: 8 * self.n_told.iter().sum::<usize>(),
        };
        let told = told::<f64>(machine, order.send(machine, launch)?, self.n_told);
        let is_found = |own: &Vec<f64>| own.iter().all(|weight| weight.is_finite());
        Ok(Box::new(move || {
            Ok(told()?.into_iter().map(|own| Some(own).filter(is_found)).collect())
        }))
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    vec![(LOGISTIC, vec![("THREADS", N_THREADS as i64)])]
}
