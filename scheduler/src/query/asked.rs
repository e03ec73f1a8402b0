//! A study that is being asked about: its record and what its job means.

use std::collections::HashMap;
use std::sync::Arc;

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::work::fill_search_space;
use fleetfit_search_spaces::{
    Aims, Configuration, End, EntityKey, Notice, Objective, Outcome, Place, Selection, Setting,
    Study, Value, Work,
};

use super::front::Held;
use super::parameters::parameters;
use super::ranking::{Shared, Top};
use super::{BestView, MetricView, QueryError, StatusView, TrialCounts, Values, entity, time};
use crate::journal::{BLOCK_ENTITIES, Journal, JournalError, StudyRecord};
use crate::state::{Ranked, Unfitted};

/// The shared best, and its value for every entity; not a number where it has none.
pub(super) type SharedValues = (Ranked, Arc<Vec<f64>>);

/// An entity's key, and where its winner's model lies or why there is none.
pub(super) type EntityModel = (Option<EntityKey>, Option<Result<ModelAddress, String>>);

/// A study that is being asked about.
pub(super) struct Asked {
    pub(super) journal: Journal,
    pub(super) record: StudyRecord,
    pub(super) study: Arc<Study>,
    pub(super) aims: Aims,
}

impl Asked {
    pub(super) fn new(journal: &Journal, record: StudyRecord) -> Result<Self, QueryError> {
        let study = journal.study(&record)?;
        let aims = Aims::of(&study);
        Ok(Self { journal: journal.clone(), record, study, aims })
    }

    pub(super) fn status(&self, notices: &[Notice]) -> Result<StatusView, QueryError> {
        let summary = &self.record.summary;
        let own = self.study.notices.iter().chain(&self.record.head.notices);
        let notices = own.chain(notices).cloned();
        let standing = match self.aims.are_plain() {
            true => None,
            false => Some(self.standing()?),
        };
        let several = standing.as_ref().filter(|_| self.aims.are_several());
        let best = self.best(None, 1)?.pop();
        let infeasible = self.without_feasible(best.is_none());
        let unfinished = self.on_unfinished(best.is_some());
        Ok(StatusView {
            study: self.record.head.name.clone(),
            status: summary.status,
            ended_by: summary.ended_by,
            elapsed_s: summary.elapsed_ms as f64 / 1e3,
            entities: self.record.head.entities,
            trials: TrialCounts {
                completed: summary.completed,
                stopped: summary.stopped,
                failed: summary.failed,
            },
            fits: summary.fits,
            metric: metric(&self.study.objective),
            objectives: match self.aims.are_several() {
                true => self.aims.objectives.iter().map(metric).collect(),
                false => Vec::new(),
            },
            constraints: self.aims.constraints.iter().map(ToString::to_string).collect(),
            metrics: match self.aims.are_plain() {
                true => Vec::new(),
                false => self.aims.metrics.clone(),
            },
            best,
            front: several.map(|standing| standing.front.len() as u64),
            hypervolume: several.and_then(|standing| standing.hypervolume(&self.aims)),
            notices: notices
                .chain(infeasible)
                .chain(unfinished)
                .chain(self.without_model()?)
                .chain(self.on_what_was_sent()?)
                .collect(),
            max_total_trials: self.study.limits.max_total_trials,
            proposed: summary.proposed,
            parameters: parameters(&self.study.space),
            created: time(self.record.head.created_ms),
        })
    }

    /// That there is no winner, although trials completed.
    fn without_feasible(&self, has_none: bool) -> Option<Notice> {
        let n_completed = self.record.summary.completed;
        if !has_none || n_completed == 0 || self.aims.constraints.is_empty() {
            return None;
        }
        let constraints: Vec<String> =
            self.aims.constraints.iter().map(ToString::to_string).collect();
        let yet = if self.record.summary.status.is_over() { "" } else { " yet" };
        let message = format!(
            "none of the {n_completed} completed trials keeps {}, so there is no winner{yet}",
            constraints.join(" and ")
        );
        Some(Notice { place: Place::default(), message })
    }

    /// That the best is one that did not complete, as none did.
    fn on_unfinished(&self, is_any: bool) -> Option<Notice> {
        let is_meant = is_any && self.record.summary.completed == 0;
        is_meant.then(|| Notice {
            place: Place::default(),
            message:
                "no trial completed; the best is the one that had come furthest, with its value \
                      there"
                    .to_owned(),
        })
    }

    /// That a rerun had the copies that were sent with the study it repeats.
    fn on_what_was_sent(&self) -> Result<Option<Notice>, QueryError> {
        let (Some(parent), Some(material)) = (&self.record.head.parent, &self.record.head.material)
        else {
            return Ok(None);
        };
        let first = self.journal.find(parent)?;
        let is_same = first.is_some_and(|first| first.head.material.as_ref() == Some(material));
        Ok(is_same.then(|| Notice {
            place: Place::default(),
            message: format!(
                "it has the data and code that were sent with {parent}; for those of today write \
                 fleetfit rerun {parent} JOB.yaml"
            ),
        }))
    }

    /// That some entities have no model, and why.
    fn without_model(&self) -> Result<Option<Notice>, QueryError> {
        let Unfitted { entities, first } = &self.record.summary.unfitted;
        let Some((_, reason)) = first.first().filter(|_| self.record.summary.status.is_over())
        else {
            return Ok(None);
        };
        if !self.record.is_partitioned() {
            let message = format!(
                "there is no model, because the fit of the best configuration on all rows failed: {reason}"
            );
            return Ok(Some(Notice { place: Place::default(), message }));
        }
        let mut each = Vec::new();
        for (entity, reason) in first {
            let key = self.key(*entity)?.map(|key| key.to_string()).unwrap_or_default();
            each.push(format!("{key}: {reason}"));
        }
        if (first.len() as u64) < u64::from(*entities) {
            each.push(format!("fleetfit best {} --all tells the others", self.record.head.name));
        }
        let (n, have) = (self.record.head.entities, if *entities == 1 { "has" } else { "have" });
        let each = each.join("; ");
        let message = format!(
            "{entities} of {n} entities {have} no model, because the fit of the winner on all rows \
             failed: {each}"
        );
        Ok(Some(Notice { place: Place::default(), message }))
    }

    pub(super) fn best(
        &self,
        entity: Option<&str>,
        top: usize,
    ) -> Result<Vec<BestView>, QueryError> {
        let entity = match entity {
            Some(text) => Some(entity::index(&self.journal, &self.record, text)?),
            None if self.record.is_partitioned() => None,
            None => Some(0),
        };
        let is_of_shared = entity.is_some() && self.selection() == Selection::Shared;
        // Whoever leads in one objective is a front, which is known without reading all trials.
        let is_front = self.aims.are_several() || !self.aims.are_plain() && top == 1;
        if is_front && !is_of_shared {
            return self.on_front(entity, top);
        }
        let Some(index) = entity else {
            let ranked = self.shared(top)?;
            return self.views(None, &ranked);
        };
        let ranked = match self.selection() {
            Selection::Raw if top == 1 => self.raw_best(index)?.into_iter().collect(),
            Selection::Raw => self.ranking_of(index, top)?,
            Selection::Shared => self.own_values(index, &self.shared(top)?)?,
        };
        self.views(Some(index), &ranked)
    }

    /// The first so many of the front.
    fn on_front(&self, index: Option<u32>, top: usize) -> Result<Vec<BestView>, QueryError> {
        let standing;
        let own;
        let front = match index {
            Some(index) if self.record.is_partitioned() => {
                own = self.front_of(index)?;
                &own
            }
            _ => {
                standing = self.standing()?;
                &standing.front
            }
        };
        let key = index.map(|index| self.key(index)).transpose()?.flatten();
        let view = |held: &Held| {
            let values = Some(held.values.clone());
            self.view(index, key.clone(), &held.ranked(), values)
        };
        if front.is_empty() && self.record.summary.completed == 0 {
            // Nobody completed: whoever came furthest stands in.
            let furthest = match index {
                Some(index) => self.raw_best(index)?,
                None => self.record.summary.shared_best,
            };
            let furthest = furthest.into_iter().take(top);
            return furthest.map(|own| self.view(index, key.clone(), &own, None)).collect();
        }
        front.iter().take(top).map(view).collect()
    }

    fn views(&self, index: Option<u32>, ranked: &[Ranked]) -> Result<Vec<BestView>, QueryError> {
        let key = index.map(|index| self.key(index)).transpose()?.flatten();
        let numbers: Vec<u32> = ranked.iter().map(|ranked| ranked.configuration).collect();
        let values = match self.aims.are_plain() {
            true => vec![None; ranked.len()],
            false => self.values_of(index, &numbers)?.into_iter().map(Some).collect(),
        };
        let pairs = ranked.iter().zip(values);
        pairs.map(|(ranked, values)| self.view(index, key.clone(), ranked, values)).collect()
    }

    /// The best of each entity from this one on, with the entity's index.
    pub(super) fn best_from(
        self,
        first: u32,
    ) -> Result<impl Iterator<Item = Result<(u32, BestView), QueryError>> + Send + use<>, QueryError>
    {
        let selection = self.selection();
        let shared = match selection {
            Selection::Raw => None,
            Selection::Shared => self.values_of_shared()?,
        };
        let entities = first..self.record.head.entities;
        let mut group = Group::default();
        Ok(entities.filter_map(move |index| {
            let ranked = match (selection, &shared) {
                (Selection::Raw, _) => self.raw_best(index),
                (Selection::Shared, None) => Ok(None),
                (Selection::Shared, Some((ranked, values))) => {
                    let value = values[index as usize];
                    Ok((!value.is_nan()).then_some(Ranked { value, ..*ranked }))
                }
            };
            let view = |ranked: Ranked| {
                let values = match self.aims.are_plain() {
                    true => None,
                    false => Some(group.values(&self, index, shared.as_ref())?),
                };
                Ok((index, self.view(Some(index), self.key(index)?, &ranked, values)?))
            };
            ranked.map(|ranked| ranked.map(view)).transpose().map(Result::flatten)
        }))
    }

    /// What one entity's winner has reached, and its configuration's number.
    pub(super) fn winner(&self, index: u32) -> Result<Option<(f64, u32)>, QueryError> {
        let ranked = match self.selection() {
            Selection::Raw => self.raw_best(index)?,
            Selection::Shared => self.values_of_shared()?.and_then(|(ranked, values)| {
                let value = values.get(index as usize).copied().filter(|value| !value.is_nan())?;
                Some(Ranked { value, ..ranked })
            }),
        };
        Ok(ranked.map(|ranked| (ranked.value, ranked.configuration)))
    }

    /// Where the model of an entity lies, by the entity's index.
    pub(super) fn models(
        self,
    ) -> Result<impl Fn(u32) -> Result<EntityModel, QueryError>, QueryError> {
        let shared = match self.selection() {
            Selection::Raw => None,
            Selection::Shared => Some(self.shared(1)?.first().map(|ranked| ranked.configuration)),
        };
        // What has no winner may have completed all the same.
        let is_bounded = !self.study.constraints.is_empty();
        let why = (is_bounded && self.record.summary.status.is_over())
            .then(|| "none of its trials completed within the constraints".to_owned());
        Ok(move |index| {
            let winner = match shared {
                None => self.raw_best(index)?.map(|ranked| ranked.configuration),
                Some(shared) => shared,
            };
            let model = match winner {
                Some(winner) => self.journal.model(self.record.id, index, winner)?,
                None => why.clone().map(Err),
            };
            Ok((self.key(index)?, model))
        })
    }

    /// How winners are chosen; one entity's own best is the shared best.
    fn selection(&self) -> Selection {
        if self.record.is_partitioned() { self.study.selection } else { Selection::Raw }
    }

    fn raw_best(&self, index: u32) -> Result<Option<Ranked>, QueryError> {
        let best = self.journal.best(self.record.id, index)?;
        Ok(best.map(|(value, configuration)| Ranked { configuration, value, completed: 1 }))
    }

    /// The best configurations of one entity.
    fn ranking_of(&self, index: u32, n: usize) -> Result<Vec<Ranked>, QueryError> {
        let mut top = Top::new(self.study.objective.goal, n);
        for block in self.journal.blocks(&self.record, Some(index), 0) {
            for outcome in block?.1.iter().filter(|outcome| outcome.entity == index) {
                if let Some(value) = self.counts(outcome) {
                    let configuration = outcome.configuration;
                    top.push(Ranked { configuration, value, completed: 1 });
                }
            }
        }
        Ok(top.into_ranked())
    }

    /// The value of a trial that may win.
    fn counts(&self, outcome: &Outcome) -> Option<f64> {
        match outcome.end {
            End::Completed { value } if self.aims.keeps(value, &outcome.further) => Some(value),
            _ => None,
        }
    }

    /// The value of a trial of a configuration that wins for all entities: where it was stopped for
    /// one of them, what it had reached.
    fn stands(&self, outcome: &Outcome) -> Option<f64> {
        self.counts(outcome).or(match outcome.end {
            End::Stopped { value, .. } if self.aims.are_plain() => value,
            _ => None,
        })
    }

    /// The best configurations over all entities.
    fn shared(&self, n: usize) -> Result<Vec<Ranked>, QueryError> {
        if n <= 1 {
            let best = self.record.summary.shared_best.filter(|_| n == 1);
            return Ok(best.into_iter().collect());
        }
        let head = &self.record.head;
        let mut shared = Shared::new(self.study.objective.goal, head.entities, n);
        for block in self.journal.blocks(&self.record, None, 0) {
            block?.1.iter().for_each(|outcome| shared.push(outcome, self.counts(outcome)));
        }
        Ok(shared.into_ranked())
    }

    /// The same configurations with the values that they have for one entity; those without are
    /// left out.
    fn own_values(&self, index: u32, ranked: &[Ranked]) -> Result<Vec<Ranked>, QueryError> {
        let mut values = vec![None; ranked.len()];
        for block in self.journal.blocks(&self.record, Some(index), 0) {
            for outcome in block?.1.iter().filter(|outcome| outcome.entity == index) {
                let at = ranked.iter().position(|r| r.configuration == outcome.configuration);
                if let (Some(at), Some(value)) = (at, self.stands(outcome)) {
                    values[at] = Some(value);
                }
            }
        }
        let pairs = ranked.iter().zip(values);
        Ok(pairs.filter_map(|(ranked, value)| Some(Ranked { value: value?, ..*ranked })).collect())
    }

    /// The shared best, if there is one, with its values.
    pub(super) fn values_of_shared(&self) -> Result<Option<SharedValues>, QueryError> {
        let Some(ranked) = self.shared(1)?.pop() else {
            return Ok(None);
        };
        // A list comes in pages, and each would read the whole journal for this.
        if let Some(values) = self.journal.column(self.record.id, &ranked) {
            return Ok(Some((ranked, values)));
        }
        let mut values = vec![f64::NAN; self.record.head.entities as usize];
        for block in self.journal.blocks(&self.record, None, 0) {
            for outcome in block?.1 {
                if let Some(value) = self.stands(&outcome)
                    && outcome.configuration == ranked.configuration
                    && let Some(slot) = values.get_mut(outcome.entity as usize)
                {
                    *slot = value;
                }
            }
        }
        let values = Arc::new(values);
        self.journal.keep_column(self.record.id, &ranked, &values);
        Ok(Some((ranked, values)))
    }

    fn view(
        &self,
        index: Option<u32>,
        key: Option<EntityKey>,
        ranked: &Ranked,
        values: Option<Vec<f64>>,
    ) -> Result<BestView, QueryError> {
        let configuration = self.configuration(ranked.configuration)?;
        let model = match index {
            Some(index) => self.journal.model(self.record.id, index, ranked.configuration)?,
            None => None,
        };
        let (model, model_reason) = or_why(model);
        Ok(BestView {
            entity: key,
            value: ranked.value,
            values: values.map(|values| Values::new(&self.aims.metrics, values)),
            learner: self.learner(&configuration),
            command: self.command(&configuration),
            configuration,
            trial: ranked.configuration,
            model: model.map(|address| address.digest),
            model_reason,
            selection: self.study.selection,
        })
    }

    pub(super) fn configuration(&self, number: u32) -> Result<Configuration, JournalError> {
        self.journal.configuration(self.record.id, number)?.ok_or_else(|| JournalError::Corrupt {
            what: format!("configuration {number} of {} is missing", self.record.head.name),
        })
    }

    /// The entity's key as users see it.
    pub(super) fn key(&self, index: u32) -> Result<Option<EntityKey>, JournalError> {
        let key = self.journal.entity(self.record.id, index)?;
        let key = key.ok_or_else(|| JournalError::Corrupt {
            what: format!("entity {index} of {} is missing", self.record.head.name),
        })?;
        Ok(entity::shown(key))
    }

    /// The learner that a configuration trains.
    pub(super) fn learner(&self, configuration: &Configuration) -> Option<String> {
        let word = |setting: Option<&Setting>| match setting {
            Some(Setting::Value(Value::Text(word))) => Some(word.clone()),
            _ => None,
        };
        match &self.study.work {
            Work::Learner(learner) => Some(learner.name().to_owned()),
            Work::ChosenLearner { parameter } => match configuration.get(parameter) {
                Some(Setting::Nested(nested)) => word(nested.get("learner")),
                plain => word(plain),
            },
            Work::AutoMl => word(configuration.get("learner")),
            Work::Command(_) | Work::External => None,
        }
    }

    fn command(&self, configuration: &Configuration) -> Option<String> {
        match &self.study.work {
            Work::Command(trial) => Some(fill_search_space(&trial.command, configuration)),
            _ => None,
        }
    }
}

/// The values of some entities' winners: those of as many as the journal keeps together.
#[derive(Default)]
struct Group {
    number: Option<u32>,
    values: HashMap<u32, Vec<f64>>,
}

impl Group {
    fn values(
        &mut self,
        asked: &Asked,
        index: u32,
        shared: Option<&SharedValues>,
    ) -> Result<Vec<f64>, QueryError> {
        let number = index / BLOCK_ENTITIES;
        if self.number != Some(number) {
            let first = number * BLOCK_ENTITIES;
            let last = first.saturating_add(BLOCK_ENTITIES).min(asked.record.head.entities);
            let mut winners = HashMap::new();
            for entity in first..last {
                let winner = match shared {
                    Some((ranked, _)) => Some(ranked.configuration),
                    None => asked.raw_best(entity)?.map(|ranked| ranked.configuration),
                };
                winners.extend(winner.map(|winner| (entity, winner)));
            }
            (self.number, self.values) = (Some(number), asked.values_of_winners(&winners)?);
        }
        Ok(self.values.remove(&index).unwrap_or_default())
    }
}

fn metric(objective: &Objective) -> MetricView {
    MetricView { name: objective.metric.clone(), goal: objective.goal }
}

/// A model that was fitted; where that failed, why.
pub(super) fn or_why(
    fitted: Option<Result<ModelAddress, String>>,
) -> (Option<ModelAddress>, Option<String>) {
    match fitted {
        Some(Ok(model)) => (Some(model), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, None),
    }
}
