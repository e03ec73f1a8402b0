//! What follows a search: each entity's winner is fitted on all of its rows and kept.
//!
//! Refits are handed out once nothing of the search is out any more. An entity whose winner changes
//! afterwards (a late end, a resumed search) is refitted again; the others are not.

use std::mem;

use std::collections::BTreeMap;

use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::{Selection, Work};
use serde::{Deserialize, Serialize};

use super::flight::{Part, Piece, Purpose};
use super::{Phase, StudyState, tally};
use crate::event::{Fact, Step};

/// Marks an entity that was not refitted.
const NOBODY: u32 = u32::MAX;
/// How many entities without a model are told of by name.
const TOLD: usize = 3;
/// The longest reason that is told, in characters. The journal has all of it.
const TOLD_CHARS: usize = 300;

/// Entities whose winners could not be fitted on all rows, so that they have no model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfitted {
    /// How many there are.
    pub entities: u32,
    /// The first of them, and why.
    pub first: Vec<(u32, String)>,
}

impl Unfitted {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entities == 0
    }
}

/// Who was refitted, and with what.
#[derive(Debug)]
pub(super) struct Refits {
    done_with: Vec<u32>,
    /// Those without a model, and why.
    failed: BTreeMap<u32, String>,
    /// The entity that is looked at next.
    next_entity: u32,
    /// The winner of every entity under `selection: shared`.
    shared_winner: Option<u32>,
}

impl Refits {
    pub(super) fn new(n_entities: u32) -> Self {
        Self {
            done_with: vec![NOBODY; n_entities as usize],
            failed: BTreeMap::new(),
            next_entity: 0,
            shared_winner: None,
        }
    }

    /// The walk over the entities begins again.
    pub(super) fn rewind(&mut self) {
        self.next_entity = 0;
    }
}

impl StudyState {
    /// Fixes who wins where that is the same for all. Asked when a search ends, and when an end
    /// from before comes late.
    pub(super) fn choose_winners(&mut self) {
        if mem::take(&mut self.has_failed_late) {
            self.take_unfinished();
        }
        if self.phase != Phase::Refitting {
            return;
        }
        let shared = match self.study.selection {
            Selection::Raw => None,
            Selection::Shared => self.shared_best(),
        };
        self.refits.shared_winner = shared.map(|best| best.configuration);
    }

    /// The configuration that an entity has to be refitted with; none if it has been, or has none.
    pub(super) fn needs_refit(&self, entity: u32) -> Option<u32> {
        if !matches!(self.study.work, Work::Learner(_) | Work::ChosenLearner { .. }) {
            return None;
        }
        let winner = match self.study.selection {
            Selection::Raw => self.best(entity)?.1,
            Selection::Shared => self.refits.shared_winner?,
        };
        let done_with = *self.refits.done_with.get(entity as usize)?;
        (done_with != winner).then_some(winner)
    }

    pub(super) fn next_refit(&mut self) -> Option<Piece> {
        let is_searched = |piece: &Piece| matches!(piece.purpose, Purpose::Try(_));
        if self.flight.pieces_out().any(is_searched) {
            return None;
        }
        while let Some(piece) = self.flight.take_back() {
            let parts = self.left(&piece);
            if !parts.is_empty() {
                return Some(Piece { parts, ..piece });
            }
        }
        let parts = self.next_refits();
        (!parts.is_empty()).then(|| self.flight.fresh(Purpose::Refit, parts))
    }

    /// What the next entities have to be refitted with, by configuration.
    fn next_refits(&mut self) -> Vec<Part> {
        let n_entities = self.cut.n_entities;
        let n_wanted = self.refits_together();
        let mut by_winner: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut n_found = 0;
        while n_found < n_wanted && self.refits.next_entity < n_entities {
            let entity = self.refits.next_entity;
            self.refits.next_entity += 1;
            let winner = self.needs_refit(entity);
            let is_free = |winner: &u32| !self.flight.is_adopted(Purpose::Refit, *winner, entity);
            if let Some(winner) = winner.filter(is_free) {
                by_winner.entry(winner).or_default().push(entity);
                n_found += 1;
            }
        }
        let parts = by_winner
            .into_iter()
            .map(|(winner, entities)| (winner, tally::ranges(entities.into_iter())));
        parts.collect()
    }

    /// How many entities are refitted together. Nobody tells how long that takes; a trial, which
    /// fits several models, takes as long, unless a graphics card fitted them.
    fn refits_together(&self) -> u32 {
        let Some(n_wanted) = self.pace.winners() else { return self.cut.width };
        let n_left = self.cut.n_entities - self.refits.next_entity;
        self.fair_share(n_wanted, u64::from(n_left))
    }

    /// Whether anything is left to refit. Asked only while nothing is out, so that the walk may
    /// begin again: entities behind it are done, unless a winner has changed since.
    pub(super) fn has_refits_left(&mut self) -> bool {
        let n_entities = self.cut.n_entities;
        let is_open = |entity: &u32| self.needs_refit(*entity).is_some();
        let ahead = (self.refits.next_entity..n_entities).find(is_open);
        let found = ahead.or_else(|| (0..self.refits.next_entity).find(is_open));
        self.refits.next_entity = found.unwrap_or(n_entities);
        found.is_some()
    }

    /// Models arrived: those of current winners that have none yet are recorded.
    pub(super) fn take_models(&mut self, models: Vec<Refit>, step: &mut Step) {
        if self.phase != Phase::Refitting {
            return;
        }
        let mut first = Vec::new();
        for model in models {
            if self.needs_refit(model.entity) == Some(model.configuration) {
                self.apply_refitted(std::slice::from_ref(&model));
                first.push(model);
            }
        }
        if !first.is_empty() {
            step.facts.push(Fact::Refitted { models: first });
        }
    }

    pub(super) fn apply_refitted(&mut self, models: &[Refit]) {
        for model in models {
            if let Some(done_with) = self.refits.done_with.get_mut(model.entity as usize) {
                *done_with = model.configuration;
                match &model.model {
                    Ok(_) => self.refits.failed.remove(&model.entity),
                    Err(reason) => {
                        let reason = reason.chars().take(TOLD_CHARS).collect();
                        self.refits.failed.insert(model.entity, reason)
                    }
                };
            }
        }
    }

    /// The entities that have no model although they have a winner.
    pub fn unfitted(&self) -> Unfitted {
        let failed = &self.refits.failed;
        let first = failed.iter().take(TOLD).map(|(&entity, reason)| (entity, reason.clone()));
        Unfitted { entities: failed.len() as u32, first: first.collect() }
    }
}
