//! The theta method for many series: alpha searched on a machine.
//!
//! One kernel, `theta.cu`, eight alphas of a series side by side, the CPU's arithmetic operation by
//! operation: the models are the CPU's to the bit. Seasons are taken out and put back on the CPU.
//! Left to the CPU: series of too few values to search.

#[cfg(test)]
pub(super) mod tests;

use super::fill::fill;
use super::machine::Limits;
use super::machine::{Fault, Grid, Kernel, Machine, Word, pack, unpack};
use super::turns::{Begun, search_all};
use crate::series::theta::batch::{End, Prepared};

pub(super) const THETA: Kernel = Kernel { name: "theta", source: include_str!("theta.cu") };

/// Searches that a block makes at once.
const PER_BLOCK: usize = 4;
/// Bytes that a block shares: four numbers a thread.
const SHARED: usize = 32 * 4 * 8;
/// Values that are read in less than a second, by the instructions of the kernel.
const MOST_VALUES: usize = 200_000_000;

/// Where the searches of each series ended; none where there is nothing to search. `hear` is told
/// how many series are done, and says whether to go on.
pub(crate) fn search(
    machine: &Machine,
    limits: &Limits,
    series: &[Option<Prepared>],
    hear: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Option<Vec<End>>>, Fault> {
    let most_values = (MOST_VALUES as f64 * limits.launch_s) as usize;
    // What a value brings, and at most as much of what its series tells.
    let most_values = most_values.min(limits.memory / 16);
    let chunks = chunks(series, most_values);
    search_all(series, chunks, &|batch| begin(machine, batch), hear)
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    vec![(THETA, Vec::new())]
}

/// The series of each launch, the longest first: searches of a warp wait for the longest of them.
fn chunks(series: &[Option<Prepared>], most_values: usize) -> Vec<Vec<usize>> {
    let lengths = series.iter().enumerate();
    let lengths = lengths.filter_map(|(index, own)| Some((index, own.as_ref()?.values().len())));
    let mut lengths: Vec<(usize, usize)> = lengths.collect();
    lengths.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    // As many values as are read within the time.
    fill(lengths.into_iter().map(|(index, n_values)| (index, n_values, 0.0)), (most_values, 1.0))
}

fn begin<'a>(machine: &'a Machine, batch: &[&Prepared]) -> Result<Begun<'a, Vec<End>>, Fault> {
    let (mut values, mut lines): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let (mut searches, mut pieces) = (Vec::<i64>::new(), Vec::new());
    for series in batch {
        let own = series.values();
        for &dynamic in series.dynamics {
            let words = [values.len(), own.len(), usize::from(dynamic), lines.len()];
            searches.extend(words.map(|word| word as i64));
        }
        let (intercept, slope) = series.line();
        lines.extend([intercept, slope, series.share.unwrap_or(-1.0), series.favour]);
        let first = 8 * values.len();
        values.extend(own);
        pieces.push(first..8 * values.len());
    }
    let n_searches = searches.len() / 4;
    let values = machine.put_shared(&pack(&values), &pieces)?;
    let searches = machine.put(&pack(&searches))?;
    let lines = machine.put(&pack(&lines))?;
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
    let n_ends: Vec<usize> = batch.iter().map(|series| series.dynamics.len()).collect();
    Ok(Box::new(move || {
        let numbers: Vec<f64> = unpack(&machine.take(&ends)?);
        let mut found = numbers.chunks_exact(4).filter_map(|own| match *own {
            [alpha, share, first, cost] => Some(End { alpha, share, first, cost }),
            _ => None,
        });
        Ok(n_ends.iter().map(|n_ends| found.by_ref().take(*n_ends).collect()).collect())
    }))
}
