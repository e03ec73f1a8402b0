//! What a study that repeats an earlier one should try first.
//!
//! The data has changed, so the old winners are good guesses and no more: sixteen of them at most, so
//! that a small search still looks elsewhere, and a second run costs little more than a first. The
//! best over all entities come first, as what is good for most is the safest guess; then those that
//! win the most entities, as the entities of a fleet differ, and a winner of many was no accident.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fleetfit_search_spaces::Configuration;

use crate::journal::Journal;
use crate::query::{self, QueryError};

/// The most that are tried first.
pub const MAX_WARM: usize = 16;

/// How many of them come from the ranking over all entities.
const MAX_SHARED: usize = 8;

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
