//! Ended trials, one row each, in the order in which they were recorded.

use std::collections::HashMap;

use fleetfit_search_spaces::{Configuration, End, EntityKey, Outcome, TrialState};
use serde::Serialize;

use super::asked::Asked;
use super::{MAX_PAGE, Page, QueryError, TrialCounts, TrialRow, entity, find, time};
use crate::journal::{Blocks, Journal, JournalError, StudyRecord};

/// How many keys and configurations are remembered from row to row.
const REMEMBERED: usize = 8_192;

/// Which trials are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialFilter {
    /// Those of this entity, as the user wrote it.
    pub entity: Option<String>,
    /// Those that ended so. None are running here: a trial is recorded when it ends.
    pub state: Option<TrialState>,
}

/// The ended trials of a study.
pub fn trials(journal: &Journal, name: &str, filter: &TrialFilter) -> Result<Rows, QueryError> {
    Rows::of(Asked::new(journal, find(journal, name)?)?, filter, Position::default())
}

/// A part of the ended trials of a study: from where an earlier part ended, or from the first one.
pub fn trials_page(
    journal: &Journal,
    name: &str,
    filter: &TrialFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<TrialRow>, QueryError> {
    page_of(Asked::new(journal, find(journal, name)?)?, filter, cursor, limit)
}

pub(super) fn page_of(
    asked: Asked,
    filter: &TrialFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<TrialRow>, QueryError> {
    let from = cursor.map_or(Ok(Position::default()), Position::read)?;
    let mut rows = Rows::of(asked, filter, from)?;
    let limit = limit.clamp(1, MAX_PAGE);
    let mut page = Page { items: Vec::new(), next: None };
    while let Some(found) = rows.next_outcome() {
        let (position, outcome) = found?;
        if page.items.len() == limit {
            page.next = Some(position.write());
            break;
        }
        page.items.push(rows.row(outcome)?);
    }
    Ok(page)
}

/// Trials that ended since somebody looked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ended {
    /// The first of them.
    pub trials: Vec<TrialRow>,
    /// How many there are, those that are not listed included.
    pub ended: TrialCounts,
    /// Where they begin, as a cursor of the list of trials.
    pub cursor: Option<String>,
    /// Where the next ones will begin.
    pub next: Option<String>,
    /// Whether there are more already.
    #[serde(skip)]
    pub has_more: bool,
}

/// How many ended trials are looked at in one go.
const LOOK: u64 = 50_000;

/// What ended from this position on, so many of it in full.
pub fn ended_since(
    journal: &Journal,
    record: StudyRecord,
    cursor: Option<&str>,
    shown: usize,
) -> Result<Ended, QueryError> {
    let mut position = cursor.map_or(Ok(Position::default()), Position::read)?;
    let filter = TrialFilter::default();
    let mut rows = Rows::of(Asked::new(journal, record)?, &filter, position)?;
    let mut ended = Ended {
        trials: Vec::new(),
        ended: TrialCounts { completed: 0, stopped: 0, failed: 0 },
        cursor: cursor.map(str::to_owned),
        next: cursor.map(str::to_owned),
        has_more: false,
    };
    for n_seen in 0.. {
        let Some(found) = rows.next_outcome() else { break };
        if n_seen == LOOK {
            ended.has_more = true;
            break;
        }
        let (at, outcome) = found?;
        position = Position { place: at.place + 1, ..at };
        match outcome.end.state() {
            TrialState::Completed => ended.ended.completed += 1,
            TrialState::Stopped => ended.ended.stopped += 1,
            TrialState::Failed => ended.ended.failed += 1,
            TrialState::Running => {}
        }
        if ended.trials.len() < shown {
            ended.trials.push(rows.row(outcome)?);
        }
        ended.next = Some(position.write());
    }
    Ok(ended)
}

/// Where an outcome is: its block, and its place there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    sequence: u64,
    place: usize,
}

impl Position {
    fn write(self) -> String {
        format!("{}-{}", self.sequence, self.place)
    }

    fn read(cursor: &str) -> Result<Self, QueryError> {
        let position = cursor.split_once('-').and_then(|(sequence, place)| {
            Some(Self { sequence: sequence.parse().ok()?, place: place.parse().ok()? })
        });
        position.ok_or_else(|| QueryError::UnknownCursor { cursor: cursor.to_owned() })
    }
}

/// Ended trials in the order in which they were recorded, one block of them in memory.
pub struct Rows {
    asked: Asked,
    blocks: Blocks,
    entity: Option<u32>,
    state: Option<TrialState>,
    from: Position,
    sequence: u64,
    block: std::iter::Enumerate<std::vec::IntoIter<Outcome>>,
    entities: HashMap<u32, Option<EntityKey>>,
    configurations: HashMap<u32, Configuration>,
}

impl Rows {
    fn of(asked: Asked, filter: &TrialFilter, from: Position) -> Result<Self, QueryError> {
        let entity = filter
            .entity
            .as_ref()
            .map(|text| entity::index(&asked.journal, &asked.record, text))
            .transpose()?;
        Ok(Self {
            blocks: asked.journal.blocks(&asked.record, entity, from.sequence),
            asked,
            entity,
            state: filter.state,
            from,
            sequence: 0,
            block: Vec::new().into_iter().enumerate(),
            entities: HashMap::new(),
            configurations: HashMap::new(),
        })
    }

    #[cfg(test)]
    pub(super) fn all_of(asked: Asked, filter: &TrialFilter) -> Result<Self, QueryError> {
        Self::of(asked, filter, Position::default())
    }

    fn next_outcome(&mut self) -> Option<Result<(Position, Outcome), JournalError>> {
        loop {
            for (place, outcome) in self.block.by_ref() {
                let position = Position { sequence: self.sequence, place };
                let is_before = position.sequence == self.from.sequence && place < self.from.place;
                let is_asked_for = self.entity.is_none_or(|entity| outcome.entity == entity)
                    && self.state.is_none_or(|state| outcome.end.state() == state);
                if is_asked_for && !is_before {
                    return Some(Ok((position, outcome)));
                }
            }
            match self.blocks.next()? {
                Err(error) => return Some(Err(error)),
                Ok((sequence, outcomes)) => {
                    self.sequence = sequence;
                    self.block = outcomes.into_iter().enumerate();
                }
            }
        }
    }

    fn row(&mut self, outcome: Outcome) -> Result<TrialRow, JournalError> {
        let configuration = match self.configurations.get(&outcome.configuration) {
            Some(configuration) => configuration.clone(),
            None => {
                let configuration = self.asked.configuration(outcome.configuration)?;
                remember(&mut self.configurations, outcome.configuration, &configuration);
                configuration
            }
        };
        let entity = match self.entities.get(&outcome.entity) {
            Some(key) => key.clone(),
            None => {
                let key = self.asked.key(outcome.entity)?;
                remember(&mut self.entities, outcome.entity, &key);
                key
            }
        };
        let state = outcome.end.state();
        let (value, reason) = match outcome.end {
            End::Completed { value } => (Some(value), None),
            End::Stopped { value, reason } => (value, Some(reason)),
            End::Failed { reason } => (None, Some(reason)),
        };
        Ok(TrialRow {
            trial: outcome.configuration,
            entity,
            state,
            value,
            learner: self.asked.learner(&configuration),
            configuration,
            reason,
            started: seen(outcome.started_ms),
            ended: seen(outcome.ended_ms),
        })
    }
}

/// A time that a runner saw; 0 where none did.
pub(super) fn seen(since_1970_ms: u64) -> Option<String> {
    (since_1970_ms > 0).then(|| time(since_1970_ms))
}

/// Keeps a copy; all are dropped when there are too many.
fn remember<T: Clone>(known: &mut HashMap<u32, T>, number: u32, value: &T) {
    if known.len() >= REMEMBERED {
        known.clear();
    }
    known.insert(number, value.clone());
}

impl Iterator for Rows {
    type Item = Result<TrialRow, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_outcome()?;
        Some(found.and_then(|(_, outcome)| self.row(outcome)).map_err(QueryError::from))
    }
}
