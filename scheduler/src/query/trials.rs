//! Ended trials, one row each, in the order in which they were recorded.

use std::collections::{BTreeSet, HashMap};

use fleetfit_search_spaces::{Configuration, End, EntityKey, Outcome, TrialState};
use serde::Serialize;

use super::asked::Asked;
use super::{
    MAX_PAGE, Page, QueryError, StatusView, TrialCounts, TrialRow, Values, entity, find, time,
};
use crate::journal::{Blocks, Ends, Journal, JournalError, StudyId, StudyRecord};

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
    let id = asked.record.id;
    let from = Position::of_cursor(cursor, id)?;
    let mut rows = Rows::of(asked, filter, from)?;
    let limit = limit.clamp(1, MAX_PAGE);
    let mut page = Page { items: Vec::new(), next: None };
    while let Some(found) = rows.next_outcome() {
        let (position, outcome) = found?;
        if page.items.len() == limit {
            page.next = Some(position.write(id));
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
    /// Where the list of trials goes on behind the last one that is listed here.
    pub cursor: Option<String>,
    /// Where the next ones will begin, those that are counted alone left behind as well.
    pub next: Option<String>,
    /// Whether there are more already.
    #[serde(skip)]
    pub has_more: bool,
}

/// How many ended trials are looked at in one go.
const LOOK: u64 = 200_000;

/// How a study stood when its record was read, and what ended from this position on. So many trials,
/// one at least, are told in full; the others are counted.
pub fn news(
    journal: &Journal,
    record: StudyRecord,
    cursor: Option<&str>,
    shown: usize,
) -> Result<(StatusView, Ended), QueryError> {
    let asked = Asked::new(journal, record)?;
    let (status, id) = (asked.status(&[])?, asked.record.id);
    let from = Position::of_cursor(cursor, id)?;
    let mut rows = Rows::of(asked, &TrialFilter::default(), from)?;
    let mut trials = Vec::new();
    let (mut ends, mut position, mut has_more) = (Ends::default(), None, false);
    while trials.len() < shown.max(1)
        && let Some(found) = rows.next_outcome()
    {
        let (at, outcome) = found?;
        position = Some(Position { place: at.place + 1, ..at });
        ends.add(Ends::of([&outcome]));
        trials.push(rows.row(outcome)?);
    }
    let written = |position: Option<Position>| {
        position.map(|position| position.write(id)).or_else(|| cursor.map(str::to_owned))
    };
    let listed = written(position);
    while let Some(found) = rows.next_ends() {
        if ends.n() >= LOOK {
            has_more = true;
            break;
        }
        let (after, more) = found?;
        position = Some(after);
        ends.add(more);
    }
    let next = written(position);
    let Ends { completed, stopped, failed } = ends;
    let ended = TrialCounts { completed, stopped, failed };
    Ok((status, Ended { trials, ended, cursor: listed, next, has_more }))
}

/// Whether this is a position of the study, and the journal reaches to it: another study of the same
/// name may have been deleted, and one of a journal before an older backup was restored may lie behind
/// the end.
pub fn is_within(journal: &Journal, id: StudyId, cursor: &str) -> Result<bool, QueryError> {
    let (study, position) = Position::read(cursor)?;
    let is_of_study = study.is_none_or(|study| study == id);
    let is_beginning = position == Position::default();
    let is_there = || is_beginning || journal.facts_from(id, position.sequence).next().is_some();
    Ok(is_of_study && is_there())
}

/// The position before the first trial of a study.
pub fn beginning(id: StudyId) -> String {
    Position::default().write(id)
}

/// Which of these configurations of a study without entities have ended.
pub fn ended(
    journal: &Journal,
    record: &StudyRecord,
    numbers: &[u32],
) -> Result<BTreeSet<u32>, QueryError> {
    let mut ended = BTreeSet::new();
    for block in journal.blocks(record, None, 0) {
        let (_, outcomes) = block?;
        let found = outcomes.iter().map(|outcome| outcome.configuration);
        ended.extend(found.filter(|number| numbers.contains(number)));
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
    /// With the study's number, which no other study of its name has.
    fn write(self, study: StudyId) -> String {
        format!("{}-{}-{}", study.0, self.sequence, self.place)
    }

    /// With the study's number if it has one: version 0.1.0 wrote none.
    fn read(cursor: &str) -> Result<(Option<StudyId>, Self), QueryError> {
        let number = |text: &str| text.parse::<u64>().ok();
        let read = match *cursor.split('-').collect::<Vec<_>>() {
            [sequence, place] => number(sequence).zip(number(place)).map(|at| (None, at)),
            [study, sequence, place] => {
                let study = study.parse().ok().map(|study| Some(StudyId(study)));
                study.zip(number(sequence).zip(number(place)))
            }
            _ => None,
        };
        let (study, (sequence, place)) =
            read.ok_or_else(|| QueryError::UnknownCursor { cursor: cursor.to_owned() })?;
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        Ok((study, Self { sequence, place }))
    }

    /// Where a page of this study begins.
    fn of_cursor(cursor: Option<&str>, id: StudyId) -> Result<Self, QueryError> {
        let Some(cursor) = cursor else { return Ok(Self::default()) };
        let (study, position) = Self::read(cursor)?;
        match study {
            Some(study) if study != id => {
                Err(QueryError::UnknownCursor { cursor: cursor.to_owned() })
            }
            _ => Ok(position),
        }
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

    /// How the rest of the block ended that is being read, or the whole next one, and where what
    /// follows begins. Whatever is not asked for counts too.
    fn next_ends(&mut self) -> Option<Result<(Position, Ends), JournalError>> {
        let mut place = None;
        let rest = self.block.by_ref().map(|(at, outcome)| {
            place = Some(at + 1);
            outcome
        });
        let ends = Ends::of(rest);
        if let Some(place) = place {
            return Some(Ok((Position { sequence: self.sequence, place }, ends)));
        }
        let next = self.blocks.next_ends()?;
        Some(next.map(|(sequence, ends)| {
            (Position { sequence, place: usize::try_from(ends.n()).unwrap_or(usize::MAX) }, ends)
        }))
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
        let aims = &self.asked.aims;
        let completed = match outcome.end {
            End::Completed { value } if !aims.are_plain() => Some(value),
            _ => None,
        };
        let values = completed.map(|value| {
            let all = std::iter::once(value).chain(outcome.further.iter().copied());
            Values::new(&aims.metrics, all)
        });
        let feasible = completed.filter(|_| !aims.constraints.is_empty());
        let feasible = feasible.map(|value| aims.keeps(value, &outcome.further));
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
            values,
            feasible,
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
