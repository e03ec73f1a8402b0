//! What users ask a study: how it stands, what is best, which trials it ran.
//!
//! Read-only, computed from the journal, in the form that programs get as JSON. Memory is bounded
//! by entities and by the configurations that are still open, not by trials: lists are iterators or
//! pages.

mod asked;
mod entities;
mod entity;
pub(crate) mod front;
mod insight;
mod parameters;
mod ranking;
mod trials;
mod values;

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{
    Configuration, EntityKey, Goal, Notice, Problems, Selection, TrialState, Work,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::asked::{Asked, or_why};
use crate::event::EndedBy;
use crate::journal::{Journal, JournalError, Status, StudyRecord, Summary};

pub use self::entities::{EntityOrder, EntityView, Tallies, entities_page};
pub use self::insight::{
    ConfigurationCounts, ConvergenceView, DependenceView, DuplicatesView, ImprovementView,
    InsightOf, InsightScale, InsightView, InteractionView, ParameterView, PlaneView, PointView,
    When, insight,
};
pub use self::trials::{
    Ended, Rows, TrialFilter, beginning, ended, is_within, news, trials, trials_page,
};
pub use self::values::Values;

/// The most rows that a page holds.
pub const MAX_PAGE: usize = 1_000;

/// One page of a list. Ask again with `cursor` set to `next` for the following one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

/// How a study stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The study's name.
    pub study: String,
    /// In a word.
    pub status: Status,
    /// Why its search ended.
    pub ended_by: Option<EndedBy>,
    /// How long it ran, interruptions not counted.
    pub elapsed_s: f64,
    /// How many entities it has; 1 without partitions.
    pub entities: u32,
    /// Its ended trials.
    pub trials: TrialCounts,
    /// Models fitted for trials.
    pub fits: u64,
    /// What is measured; with several objectives, the first of them.
    pub metric: MetricView,
    /// All objectives, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<MetricView>,
    /// What has to hold of a trial for it to win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// The metrics that a trial has `values` of, where it has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// The best configuration: shared, for a study with entities. With several objectives, of the
    /// front the one that is best in the first.
    pub best: Option<BestView>,
    /// How many trials are on the front, where there are several objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<u64>,
    /// What the front beats, where there are several objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypervolume: Option<HypervolumeView>,
    /// What is worth saying about it.
    pub notices: Vec<Notice>,
    /// How many configurations it tries at most.
    pub max_total_trials: u32,
    /// How many it has proposed.
    pub proposed: u32,
    /// The parameters it searches, conditional ones with their dotted paths.
    pub parameters: Vec<String>,
    /// When it was created, in RFC 3339.
    pub created: String,
}

/// Ended trials, configurations × entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialCounts {
    /// With a value.
    pub completed: u64,
    /// Early.
    pub stopped: u64,
    /// Without a value.
    pub failed: u64,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricView {
    /// Its name.
    pub name: String,
    /// Which way is better.
    pub goal: Goal,
}

/// The volume that a front beats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HypervolumeView {
    /// The volume, in the objectives' own units.
    pub value: f64,
    /// Up to where it is measured: for each objective the worst value of the trials that keep all
    /// constraints. It moves when a worse one is seen.
    pub reference: Values,
}

/// The best trial of an entity, or the best configuration over all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestView {
    /// The entity; none for a configuration over all, and in a study without partitions.
    pub entity: Option<EntityKey>,
    /// The metric's value; over all entities the mean.
    pub value: f64,
    /// The values of all metrics, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
    /// The configuration.
    pub configuration: Configuration,
    /// The learner, where one was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learner: Option<String>,
    /// The command, where one was run, its parameters filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The configuration's number.
    pub trial: u32,
    /// The fitted model's id.
    pub model: Option<String>,
    /// Why there is no model, where fitting one on all rows failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_reason: Option<String>,
    /// How winners are chosen.
    pub selection: Selection,
}

/// Where the model of one entity lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelView {
    /// The entity; none in a study without partitions.
    pub entity: Option<EntityKey>,
    /// Its winner's model; none where nothing completed, or nothing was fitted on all rows.
    pub model: Option<ModelAddress>,
    /// Why there is none, where fitting it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_reason: Option<String>,
}

/// One ended trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// The configuration's number.
    pub trial: u32,
    /// The entity; none in a study without partitions.
    pub entity: Option<EntityKey>,
    /// How it ended.
    pub state: TrialState,
    /// The metric's value; of a stopped trial what it had reached.
    pub value: Option<f64>,
    /// The values of all metrics of a completed trial, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
    /// Whether a completed trial keeps all constraints, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feasible: Option<bool>,
    /// The configuration.
    pub configuration: Configuration,
    /// The learner, where one was trained.
    pub learner: Option<String>,
    /// Why it was stopped or failed.
    pub reason: Option<String>,
    /// When it began, in RFC 3339; none where nobody saw it, because its runners died.
    pub started: Option<String>,
    /// When it ended, in RFC 3339; none where nobody saw it.
    pub ended: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such study.
    #[error("there is no study named {name}{}", hint(nearest))]
    UnknownStudy {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        nearest: Vec<String>,
    },
    /// The study has no such entity.
    #[error(
        "{study} has no entity {text} among its {entities} ({}){}",
        some(first, *entities),
        hint(nearest)
    )]
    UnknownEntity {
        /// The study.
        study: String,
        /// What was asked for.
        text: String,
        /// Keys that look like it.
        nearest: Vec<String>,
        /// How many entities there are.
        entities: u32,
        /// The first keys.
        first: Vec<String>,
    },
    /// The entity is not written as its columns ask for.
    #[error("an entity of {study} is written {form}, not {text}")]
    EntityForm {
        /// The study.
        study: String,
        /// What was asked for.
        text: String,
        /// How it is written.
        form: String,
    },
    /// The entity's key has other columns.
    #[error("the entities of {study} are told apart by {columns}, not by {}", or_nothing(named))]
    EntityColumns {
        /// The study.
        study: String,
        /// Its partition columns.
        columns: String,
        /// Those that were named.
        named: String,
    },
    /// The entity has no model.
    #[error("{}{study} has no model{}", of_entity(entity), because(reason))]
    NoModel {
        /// The study.
        study: String,
        /// The entity, where the study has several.
        entity: Option<EntityKey>,
        /// Why its fit failed, if it did.
        reason: Option<String>,
    },
    /// The study has no such objective.
    #[error("{study} has no objective {name}; its objectives: {known}")]
    UnknownObjective {
        /// The study.
        study: String,
        /// What was asked for.
        name: String,
        /// What it has.
        known: String,
    },
    /// The study has one model and no entities.
    #[error("{study} has no partition columns, so there is no entity to ask for")]
    NoPartitions {
        /// The study.
        study: String,
    },
    /// The cursor is not from an earlier page.
    #[error("the cursor {cursor} is not one that an earlier page gave")]
    UnknownCursor {
        /// The cursor.
        cursor: String,
    },
    /// The stored job cannot be read any more.
    #[error("the stored job cannot be read: {0}")]
    Job(#[from] Problems),
    /// The journal fails.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn hint(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", nearest.join(" or "))
}

fn or_nothing(named: &str) -> &str {
    if named.is_empty() { "nothing" } else { named }
}

fn of_entity(entity: &Option<EntityKey>) -> String {
    entity.as_ref().map(|key| format!("{key} of ")).unwrap_or_default()
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

fn some(first: &[String], n: u32) -> String {
    let more = if (first.len() as u64) < u64::from(n) { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}

/// The record of the study of this name.
pub fn find(journal: &Journal, name: &str) -> Result<StudyRecord, QueryError> {
    if let Some(record) = journal.find(name)? {
        return Ok(record);
    }
    let names: Vec<String> = journal.list()?.into_iter().map(|record| record.head.name).collect();
    let nearest = entity::nearest(name, &names);
    Err(QueryError::UnknownStudy { name: name.to_owned(), nearest })
}

/// Why there is no log of a trial.
pub fn no_log(record: &StudyRecord, trial: u32) -> String {
    let name = &record.head.name;
    let Summary { status, proposed, .. } = record.summary;
    let runs_programs = record.study().is_ok_and(|study| matches!(study.work, Work::Command(_)));
    match proposed.checked_sub(1) {
        _ if !runs_programs => {
            format!("trial {trial} of {name} has no log: only trials that run a command have one")
        }
        Some(last) if trial <= last && status.is_over() => {
            format!("trial {trial} of {name} has no log: it wrote nothing")
        }
        Some(last) if trial <= last => {
            format!(
                "trial {trial} of {name} has no log yet: it has written nothing, or a runner elsewhere \
                 has it and brings its log when it ends"
            )
        }
        Some(last) => {
            format!("trial {trial} of {name} has no log: its trials so far are 0 to {last}")
        }
        None => format!("trial {trial} of {name} has no log: the study has no trials yet"),
    }
}

/// How a study stands. The notices follow those of its job.
pub fn status(journal: &Journal, name: &str, notices: &[Notice]) -> Result<StatusView, QueryError> {
    Asked::new(journal, find(journal, name)?)?.status(notices)
}

/// How every study stands, in the order of their creation. Those that cannot be read are left out:
/// whoever asks for one of them is told why.
pub fn studies(journal: &Journal) -> Result<Vec<StatusView>, QueryError> {
    let records = journal.list()?;
    Ok(records.into_iter().filter_map(|record| readable(journal, record)).collect())
}

/// How a study stands, if that can be told.
fn readable(journal: &Journal, record: StudyRecord) -> Option<StatusView> {
    Asked::new(journal, record).and_then(|asked| asked.status(&[])).ok()
}

/// A part of the studies in the order of their creation: from where an earlier part ended, or from
/// the first one.
pub fn studies_page(
    journal: &Journal,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<StatusView>, QueryError> {
    let unknown = |cursor: &str| QueryError::UnknownCursor { cursor: cursor.to_owned() };
    let first = match cursor {
        Some(cursor) => cursor.parse().map_err(|_| unknown(cursor))?,
        None => 0,
    };
    let records = journal.list()?;
    let mut records = records.into_iter().filter(|record| record.id.0 >= first).peekable();
    let mut page = Page { items: Vec::new(), next: None };
    while page.items.len() < limit.clamp(1, MAX_PAGE)
        && let Some(record) = records.next()
    {
        page.items.extend(readable(journal, record));
    }
    page.next = records.peek().map(|record| record.id.0.to_string());
    Ok(page)
}

/// The best trials of an entity as the user wrote it (`17`, `store=17,brand=3`), the best first; or
/// of the shared ranking, if there are entities and none is asked for. Fewer than `top` if fewer
/// completed. With several objectives it is the front, by the first one.
pub fn best(
    journal: &Journal,
    name: &str,
    entity: Option<&str>,
    top: usize,
) -> Result<Vec<BestView>, QueryError> {
    Asked::new(journal, find(journal, name)?)?.best(entity, top)
}

/// The same where nobody need say how many: with several objectives the front, otherwise the best.
pub fn best_or_front(
    journal: &Journal,
    name: &str,
    entity: Option<&str>,
    top: Option<usize>,
) -> Result<Vec<BestView>, QueryError> {
    let asked = Asked::new(journal, find(journal, name)?)?;
    let usual = if asked.aims.are_several() { front::MOST_HELD } else { 1 };
    asked.best(entity, top.unwrap_or(usual))
}

/// The best of every entity that has one, in the order of the entities.
pub fn best_all(
    journal: &Journal,
    name: &str,
) -> Result<impl Iterator<Item = Result<BestView, QueryError>> + Send + use<>, QueryError> {
    let bests = Asked::new(journal, find(journal, name)?)?.best_from(0)?;
    Ok(bests.map(|best| best.map(|(_, best)| best)))
}

/// A part of the entities' models, all entities included: from where an earlier part ended, or from
/// the first one; or of the one entity that is asked for.
pub fn models_page(
    journal: &Journal,
    name: &str,
    entity: Option<&str>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<ModelView>, Option<String>), QueryError> {
    let record = find(journal, name)?;
    let unknown = |cursor: &str| QueryError::UnknownCursor { cursor: cursor.to_owned() };
    let (first, limit) = match (entity, cursor) {
        (Some(entity), _) => (entity::index(journal, &record, entity)?, 1),
        (None, Some(cursor)) => (cursor.parse().map_err(|_| unknown(cursor))?, limit),
        (None, None) => (0, limit),
    };
    let entities = record.head.entities;
    let model_of = Asked::new(journal, record)?.models()?;
    let page = (first..entities).take(limit).map(|index| {
        let (entity, model) = model_of(index)?;
        let (model, model_reason) = or_why(model);
        Ok(ModelView { entity, model, model_reason })
    });
    let page: Vec<ModelView> = page.collect::<Result<_, QueryError>>()?;
    let next = u64::from(first) + page.len() as u64;
    let is_over = entity.is_some() || next >= u64::from(entities);
    Ok((page, (!is_over).then(|| next.to_string())))
}

/// Which entities' models are meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Whose {
    /// That of the study's only entity, or of the one that is written so.
    One(Option<String>),
    /// Those of the entities with these keys.
    Keys(Vec<EntityKey>),
}

/// Where the models of these entities lie, in their order. Each has one.
pub fn models_of(
    journal: &Journal,
    name: &str,
    whose: &Whose,
) -> Result<Vec<ModelAddress>, QueryError> {
    let record = find(journal, name)?;
    let entities = match whose {
        Whose::One(Some(text)) => vec![entity::index(journal, &record, text)?],
        Whose::One(None) => match record.head.partition_columns.as_slice() {
            [] => vec![0],
            columns => return Err(entity::form(name, columns, "left out")),
        },
        Whose::Keys(keys) => {
            let index = |key| entity::index_of(journal, &record, key);
            keys.iter().map(index).collect::<Result<Vec<_>, _>>()?
        }
    };
    let model_of = Asked::new(journal, record)?.models()?;
    let models = entities.into_iter().map(|index| {
        let none = |entity, reason| QueryError::NoModel { study: name.to_owned(), entity, reason };
        match model_of(index)? {
            (_, Some(Ok(address))) => Ok(address),
            (entity, Some(Err(reason))) => Err(none(entity, Some(reason))),
            (entity, None) => Err(none(entity, None)),
        }
    });
    models.collect()
}

/// A part of [`best_all`]: from where an earlier part ended, or from the first one.
pub fn bests_page(
    journal: &Journal,
    name: &str,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<BestView>, QueryError> {
    let unknown = |cursor: &str| QueryError::UnknownCursor { cursor: cursor.to_owned() };
    let first = match cursor {
        Some(cursor) => cursor.parse().map_err(|_| unknown(cursor))?,
        None => 0,
    };
    let limit = limit.clamp(1, MAX_PAGE);
    let mut page = Page { items: Vec::new(), next: None };
    for best in Asked::new(journal, find(journal, name)?)?.best_from(first)? {
        let (entity, best) = best?;
        if page.items.len() == limit {
            page.next = Some(entity.to_string());
            break;
        }
        page.items.push(best);
    }
    Ok(page)
}

/// Milliseconds since 1970 as users read them. What no calendar has becomes its end.
fn time(since_1970_ms: u64) -> String {
    let time = i64::try_from(since_1970_ms)
        .ok()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or(Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests;
