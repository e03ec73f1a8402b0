//! The theta method for many series: alpha searched on a machine.
//!
//! One kernel, `theta.cu`, eight alphas of a series side by side, the CPU's arithmetic operation by
//! operation: the models are the CPU's to the bit. Seasons are taken out and put back on the CPU.
//! Left to the CPU: series of too few values to search.

#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;

use super::company::{Companies, Company, Family};
use super::fill::fill;
use super::machine::Limits;
use super::machine::{Fault, Grid, Kernel, Machine, Word, pack, unpack};
use super::queue::Launch;
use super::turns::Begun;
use crate::series::theta::batch::{End, Prepared};

pub(super) const THETA: Kernel = Kernel { name: "theta", source: include_str!("theta.cu") };

/// Searches that a block makes at once.
const PER_BLOCK: usize = 4;
/// Bytes that a block shares: four numbers a thread.
const SHARED: usize = 32 * 4 * 8;
/// Values that are read in less than a second, by the instructions of the kernel.
const MOST_VALUES: usize = 200_000_000;

/// Searches of series.
pub(crate) enum Theta {}

impl Family for Theta {
    type Wish<'a> = &'a Prepared;
    /// How many values a series has.
    type Need = usize;
    type Batch = Batch;
    /// Where the searches of a series ended.
    type Found = Vec<End>;

    fn need(series: &&Prepared, _: &Limits) -> Option<usize> {
        Some(series.values().len())
    }

    fn plan(lengths: &[usize], (_, limits): (&Machine, &Limits)) -> Vec<Launch> {
        let most_values = (MOST_VALUES as f64 * limits.launch_s) as usize;
        // What a value brings, and at most as much of what its series tells.
        let most_values = most_values.min(limits.memory / 16);
        chunks(lengths, most_values).into_iter().map(Launch::plain).collect()
    }

    fn add(batch: &mut Batch, series: &&Prepared) {
        batch.add(series);
    }

    /// The longest of each who asks come first.
    fn rank(_: &mut Batch, _: &[usize]) {}

    fn begin<'a>(
        batch: Batch,
        machine: &'a Machine,
        _: &Launch,
    ) -> Result<Begun<'a, Vec<End>>, Fault> {
        batch.begin(machine)
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.theta
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    vec![(THETA, Vec::new())]
}

/// The series of each launch, the longest first: searches of a warp wait for the longest of them.
fn chunks(lengths: &[usize], most_values: usize) -> Vec<Vec<usize>> {
    let mut lengths: Vec<(usize, usize)> = lengths.iter().copied().enumerate().collect();
    lengths.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    // As many values as are read within the time.
    fill(lengths.into_iter().map(|(index, n_values)| (index, n_values, 0.0)), (most_values, 1.0))
}

/// Series of a launch.
#[derive(Default)]
pub(crate) struct Batch {
    values: Vec<f64>,
    /// Bytes of each series among them.
    pieces: Vec<Range<usize>>,
    lines: Vec<f64>,
    searches: Vec<i64>,
    /// Searches of each series.
    n_ends: Vec<usize>,
}

impl Batch {
    fn add(&mut self, series: &Prepared) {
        let own = series.values();
        for &dynamic in series.dynamics {
            let words = [self.values.len(), own.len(), usize::from(dynamic), self.lines.len()];
            self.searches.extend(words.map(|word| word as i64));
        }
        let (intercept, slope) = series.line();
        self.lines.extend([intercept, slope, series.share.unwrap_or(-1.0), series.favour]);
        let first = 8 * self.values.len();
        self.values.extend(own);
        self.pieces.push(first..8 * self.values.len());
        self.n_ends.push(series.dynamics.len());
    }

    fn begin<'a>(self, machine: &'a Machine) -> Result<Begun<'a, Vec<End>>, Fault> {
        let n_searches = self.searches.len() / 4;
        let values = machine.put_shared(&pack(&self.values), &self.pieces)?;
        let searches = machine.put(&pack(&self.searches))?;
        let lines = machine.put(&pack(&self.lines))?;
        let ends = machine.room(8 * 4 * n_searches)?;
        let n_blocks = n_searches.div_ceil(PER_BLOCK);
        let words = [
            Word::Buffer(&values),
            Word::Buffer(&searches),
            Word::Buffer(&lines),
            Word::Buffer(&ends),
            Word::Int(n_searches as i64),
        ];
        machine.launch(&THETA, &[], Grid { n_blocks, n_threads: 32, shared: SHARED }, &words)?;
        Ok(Box::new(move || {
            let numbers: Vec<f64> = unpack(&machine.take(&ends)?);
            let mut found = numbers.chunks_exact(4).filter_map(|own| match *own {
                [alpha, share, first, cost] => Some(End { alpha, share, first, cost }),
                _ => None,
            });
            Ok(self.n_ends.iter().map(|n_ends| found.by_ref().take(*n_ends).collect()).collect())
        }))
    }
}
