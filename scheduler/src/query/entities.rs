//! The entities of a study, one row each: how they stand, in the order of their keys or of what they
//! have reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fleetfit_search_spaces::{End, EntityKey, Goal};
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::{MAX_PAGE, Page, QueryError, TrialCounts, find};
use crate::journal::{Journal, JournalError, StudyId, StudyRecord};

/// How many studies' counts are remembered.
const REMEMBERED: usize = 16;

/// How one entity stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityView {
    /// The entity; none in a study without partitions.
    pub entity: Option<EntityKey>,
    /// The value of its winner, if any trial completed.
    pub value: Option<f64>,
    /// The number of its winner's configuration.
    pub trial: Option<u32>,
    /// Its ended trials.
    pub trials: TrialCounts,
}

/// What a list of entities is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntityOrder {
    /// The order in which the study has them.
    #[default]
    Key,
    /// The best value first, those without one last.
    Value,
}

/// The entities' counts of ended trials, remembered from question to question: only what ended
/// since is read.
#[derive(Clone, Debug, Default)]
pub struct Tallies(Arc<Mutex<HashMap<StudyId, Tally>>>);

#[derive(Clone, Debug, Default)]
struct Tally {
    /// The first block that has not been counted.
    next_sequence: u64,
    counts: Vec<TrialCounts>,
}

impl Tallies {
    fn of(
        &self,
        journal: &Journal,
        record: &StudyRecord,
    ) -> Result<Vec<TrialCounts>, JournalError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(&record.id) {
            known.clear();
        }
        let tally = known.entry(record.id).or_default();
        let none = TrialCounts { completed: 0, stopped: 0, failed: 0 };
        tally.counts.resize(record.head.entities as usize, none);
        for block in journal.blocks(record, None, tally.next_sequence) {
            let (sequence, outcomes) = block?;
            for outcome in outcomes {
                if let Some(counts) = tally.counts.get_mut(outcome.entity as usize) {
                    match outcome.end {
                        End::Completed { .. } => counts.completed += 1,
                        End::Stopped { .. } => counts.stopped += 1,
                        End::Failed { .. } => counts.failed += 1,
                    }
                }
            }
            tally.next_sequence = sequence + 1;
        }
        Ok(tally.counts.clone())
    }
}

/// A part of a study's entities: from where an earlier part ended, or from the first one.
pub fn entities_page(
    journal: &Journal,
    tallies: &Tallies,
    name: &str,
    order: EntityOrder,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<EntityView>, QueryError> {
    let record = find(journal, name)?;
    let counts = tallies.of(journal, &record)?;
    let asked = Asked::new(journal, record)?;
    let limit = limit.clamp(1, MAX_PAGE);
    let entities = match order {
        EntityOrder::Key => by_key(&asked, cursor)?,
        EntityOrder::Value => by_value(&asked, cursor)?,
    };
    let mut page = Page { items: Vec::new(), next: None };
    for (at, (index, winner)) in entities.iter().enumerate().take(limit) {
        let (value, trial) = match winner {
            Winner::Unread => asked.winner(*index)?.unzip(),
            Winner::Known(winner) => winner.unzip(),
        };
        let entity = asked.key(*index)?;
        page.items.push(EntityView { entity, value, trial, trials: counts[*index as usize] });
        if at + 1 == limit && entities.len() > limit {
            page.next = Some(match order {
                EntityOrder::Key => (index + 1).to_string(),
                EntityOrder::Value => after(value, *index),
            });
        }
    }
    Ok(page)
}

/// An entity's best value and the configuration that has it.
#[derive(Clone, Copy)]
enum Winner {
    /// Not looked up yet.
    Unread,
    /// Nothing where no trial completed.
    Known(Option<(f64, u32)>),
}

fn by_key(asked: &Asked, cursor: Option<&str>) -> Result<Vec<(u32, Winner)>, QueryError> {
    let first: u32 = match cursor {
        Some(cursor) => cursor.parse().map_err(|_| unknown(cursor))?,
        None => 0,
    };
    // One more than a page tells whether another one follows.
    let entities = (first..asked.record.head.entities).take(MAX_PAGE + 1);
    Ok(entities.map(|index| (index, Winner::Unread)).collect())
}

fn by_value(asked: &Asked, cursor: Option<&str>) -> Result<Vec<(u32, Winner)>, QueryError> {
    let from = cursor.map(position).transpose()?;
    let goal = asked.study.objective.goal;
    let mut entities = Vec::with_capacity(asked.record.head.entities as usize);
    for index in 0..asked.record.head.entities {
        entities.push((index, asked.winner(index)?));
    }
    let rank = |value: Option<f64>, index: u32| (value.is_none(), loss(goal, value), index);
    let sooner = |one: &(bool, f64, u32), other: &(bool, f64, u32)| {
        one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then(one.2.cmp(&other.2))
    };
    entities.retain(|(index, winner)| {
        let rank_of = rank(winner.map(|(value, _)| value), *index);
        from.is_none_or(|(value, index)| sooner(&rank_of, &rank(value, index)).is_gt())
    });
    entities.sort_by(|one, other| {
        let rank_of = |(index, winner): &(u32, Option<(f64, u32)>)| {
            rank(winner.map(|(value, _)| value), *index)
        };
        sooner(&rank_of(one), &rank_of(other))
    });
    Ok(entities.into_iter().map(|(index, winner)| (index, Winner::Known(winner))).collect())
}

fn loss(goal: Goal, value: Option<f64>) -> f64 {
    match (goal, value) {
        (_, None) => 0.0,
        (Goal::Minimize, Some(value)) => value,
        (Goal::Maximize, Some(value)) => -value,
    }
}

/// The place after an entity in the order of values. It stays a place when others overtake it.
fn after(value: Option<f64>, index: u32) -> String {
    match value {
        Some(value) => format!("{:016x}-{index}", value.to_bits()),
        None => format!("none-{index}"),
    }
}

fn position(cursor: &str) -> Result<(Option<f64>, u32), QueryError> {
    let position = cursor.split_once('-').and_then(|(value, index)| {
        let value = match value {
            "none" => None,
            bits => Some(f64::from_bits(u64::from_str_radix(bits, 16).ok()?)),
        };
        Some((value, index.parse().ok()?))
    });
    position.ok_or_else(|| unknown(cursor))
}

fn unknown(cursor: &str) -> QueryError {
    QueryError::UnknownCursor { cursor: cursor.to_owned() }
}
