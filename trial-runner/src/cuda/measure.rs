//! What a card does in a second, each thing by itself: the roofs under which the other kernels work.
//!
//! Each is done once unmeasured, then [`TIMES`] times; what is told is the median. Times are the
//! host's from a launch to its end, of launches long enough that its own share does not show.

use std::time::Instant;

use super::machine::{Buffer, Fault, Grid, Kernel, Machine, Word, unpack};
use crate::devices::{Card, Measured};

pub(super) const MEASURE: Kernel = Kernel { name: "measure", source: include_str!("measure.cu") };

const TIMES: usize = 5;
/// Words of a block that additions go to, in bytes.
const SHARED: usize = 4 * 4096;
const N_THREADS: usize = 512;

/// The kernel's kinds.
const COPY: i64 = 0;
const ADD: i64 = 1;
const MEET: i64 = 2;
const MULTIPLY: i64 = 3;

/// How much is done each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Bytes that are copied.
    pub(crate) n_bytes: usize,
    pub(crate) n_blocks: usize,
    /// Of everything that is done again and again within a launch.
    pub(crate) n_rounds: usize,
}

impl Amount {
    /// For a card: about a millisecond each on a large one.
    pub(crate) fn of(card: &Card) -> Self {
        let n_bytes = usize::try_from(card.memory_bytes / 32).unwrap_or(usize::MAX).min(4 << 30);
        // As many threads as are under way at once on one of today.
        Self { n_bytes, n_blocks: 4 * card.multiprocessors as usize, n_rounds: 10_000 }
    }
}

/// Measures, and tells one thing after another.
pub(crate) fn measure(
    machine: &Machine,
    amount: Amount,
    hear: &mut dyn FnMut(Measured),
) -> Result<(), Fault> {
    let Amount { n_bytes, n_blocks, n_rounds } = amount;
    let mut tell = |what: &str, per_second: f64, unit: &'static str| {
        hear(Measured { what: what.to_owned(), per_second, unit: unit.to_owned() });
    };
    let host: Vec<u8> = (0..n_bytes / 8).map(|at| (at % 251) as u8).collect();
    let to = seconds(|| machine.put(&host).map(drop))?;
    tell("bytes from the host", host.len() as f64 / to, "B/s");
    let there = machine.put(&host)?;
    let back = seconds(|| machine.take(&there).map(drop))?;
    tell("bytes to the host", host.len() as f64 / back, "B/s");
    if machine.take(&there)? != host {
        return Err(Fault::Refused("bytes come back as others".into()));
    }
    drop(there);

    let (from, into) = (machine.room(n_bytes)?, machine.room(n_bytes)?);
    let mark = machine.room(8)?;
    let run =
        |kind: i64, (n_blocks, n_threads): (usize, usize), numbers: [i64; 3], into: &Buffer| {
            let [n, n_rounds, spread] = numbers.map(Word::Int);
            let words = [Word::Buffer(&from), Word::Buffer(into), n, n_rounds, spread];
            let grid = Grid { n_blocks, n_threads, shared: SHARED };
            machine.launch(&MEASURE, &[("KIND", kind)], grid, &words)?;
            // Waits for the launch, and brings next to nothing.
            machine.take(&mark).map(drop)
        };
    let whole = (n_blocks, N_THREADS);
    let copied = seconds(|| run(COPY, whole, [n_bytes as i64 / 8, 0, 0], &into))?;
    tell("bytes read and written in its memory", 2.0 * n_bytes as f64 / copied, "B/s");
    drop(into);

    let told = machine.room(8 * n_blocks * N_THREADS)?;
    let places = ["one place", "places that look like chance", "a place of each thread"];
    for (spread, place) in places.into_iter().enumerate() {
        // To one place, the threads of a warp go after one another.
        let n_rounds = if spread == 0 { n_rounds.div_ceil(32) } else { n_rounds };
        let n_all = n_blocks * N_THREADS * n_rounds;
        let numbers = [0, n_rounds as i64, spread as i64];
        let taken = seconds(|| run(ADD, whole, numbers, &told))?;
        let sums: Vec<u64> = unpack(&machine.take(&told)?);
        if sums.iter().sum::<u64>() != n_all as u64 {
            return Err(Fault::Refused(format!("additions to {place} are lost")));
        }
        tell(&format!("additions in shared memory to {place}"), n_all as f64 / taken, "/s");
    }
    for n_threads in [N_THREADS / 2, N_THREADS] {
        let taken = seconds(|| run(MEET, (1, n_threads), [0, n_rounds as i64, 0], &told))?;
        let what = format!("meetings of {n_threads} threads, of one block");
        tell(&what, n_rounds as f64 / taken, "/s");
    }
    let taken = seconds(|| run(MULTIPLY, whole, [0, n_rounds as i64, 0], &told))?;
    let n_all = 8 * n_blocks * N_THREADS * n_rounds;
    tell("multiplications of f64, and as many additions", n_all as f64 / taken, "/s");
    Ok(())
}

/// The median of [`TIMES`], after one that nobody counts.
fn seconds(mut work: impl FnMut() -> Result<(), Fault>) -> Result<f64, Fault> {
    work()?;
    let mut all = [0.0; TIMES];
    for taken in &mut all {
        let began = Instant::now();
        work()?;
        *taken = began.elapsed().as_secs_f64().max(1e-9);
    }
    all.sort_by(f64::total_cmp);
    Ok(all[TIMES / 2])
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    [COPY, ADD, MEET, MULTIPLY].map(|kind| (MEASURE, vec![("KIND", kind)])).into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cuda::shim::Shim;

    /// What the table of schedules (`cuda/tests.rs`) runs: everything is told once, and nothing lost.
    pub(in crate::cuda) fn under(shim: Shim) {
        let amount = Amount { n_bytes: 4 << 10, n_blocks: 2, n_rounds: 40 };
        let mut all = Vec::new();
        measure(&Machine::Shim(shim), amount, &mut |own| all.push(own)).unwrap();
        assert_eq!(all.len(), 9);
        for own in all {
            assert!(own.per_second.is_finite() && own.per_second > 0.0, "{own:?}");
        }
    }
}
