//! Where a study starts from when others came before it: what it tries first, and what its sampler
//! is taught.
//!
//! `gather` puts together what a job names; `csv`, `json`, `optuna` and `study` read the sources;
//! `table` and `cell` say what the cells of a row mean, `value` which of them are values; `kept` is
//! what is stored with the study. A study that is run again (`pick`) starts from what the one before
//! it found: the data has changed, so the old winners are good guesses and no more, sixteen of them at
//! most, so that a small search still looks elsewhere. The best over all entities come first; then
//! those that win the most entities.

mod cell;
mod csv;
mod gather;
mod json;
mod kept;
mod optuna;
mod share;
mod study;
mod table;
mod value;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fleetfit_search_spaces::{Configuration, SearchSpace};

use crate::journal::Journal;
use crate::query::{self, QueryError};
use crate::sampler::draws;

pub use self::csv::{Spot, Table, configurations};
pub use self::gather::{Faults, MAX_FILE_BYTES, Sources, Start, gather};
pub(crate) use self::kept::forget;
pub use self::kept::{keep, kept};
pub use self::table::Fault;

/// The most that are tried first.
pub const MAX_WARM: usize = 16;

/// How many of them come from the ranking over all entities.
const MAX_SHARED: usize = 8;

/// A configuration of which a part is given, the rest drawn by the seed and a number. None where the
/// part is not of the space.
pub fn fill(
    space: &SearchSpace,
    part: &Configuration,
    seed: u64,
    number: u64,
) -> Option<Configuration> {
    space.fill(part, &mut draws(seed, number))
}

/// The configurations of a study that are worth trying first, the best first.
pub fn pick(journal: &Journal, name: &str) -> Result<Vec<Configuration>, QueryError> {
    let record = query::find(journal, name)?;
    let shared = query::best(journal, name, None, MAX_SHARED)?;
    let mut numbers: Vec<u32> = shared.iter().map(|best| best.trial).collect();
    let mut wins: BTreeMap<u32, u32> = BTreeMap::new();
    for entity in 0..record.head.entities {
        if let Some((_, winner)) = journal.best(record.id, entity)? {
            *wins.entry(winner).or_default() += 1;
        }
    }
    let mut winners: Vec<(u32, u32)> = wins.into_iter().collect();
    winners.sort_by_key(|&(number, n_wins)| (Reverse(n_wins), number));
    for (number, _) in winners {
        if numbers.len() < MAX_WARM && !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let mut picked = Vec::with_capacity(numbers.len());
    for number in numbers {
        picked.extend(journal.configuration(record.id, number)?);
    }
    Ok(picked)
}
