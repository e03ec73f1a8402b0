//! Trials of built-in learners that are given out by rungs: where each stands, and who waits.
//!
//! A heat is a bracket's configurations for one entity. Its trials come to a rung one by one; once all
//! of them are there or have ended, those who are not among the best end, and the others wait to be
//! handed out up to the next rung. A heat is kept while any of its trials is open: memory is bounded by
//! the entities whose trials are under way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use fleetfit_search_spaces::{Aims, End, Ladder, Outcome, Reached, Resource, Study};

use super::flight::{self, Part, Piece, Purpose, Stage};
use super::standings::{Leave, Unfinished};
use super::{Phase, StudyState, tally};
use crate::event::{Fact, Step};
use crate::sampler::Losses;
use crate::stopper::{Bracket, Judge, Plan, Stand};

/// What keeps the trials of a study that are under way.
pub(super) struct Climb {
    pub(super) plan: Plan,
    ladder: Ladder,
    aims: Aims,
    judge: Judge,
    heats: BTreeMap<Place, Heat>,
    /// Who may go on, from the highest rung down, and by entity.
    waiting: BTreeSet<(Reverse<u8>, u32, u32)>,
    /// Heats that somebody came to a rung of, or left.
    touched: BTreeSet<Place>,
    /// Whether all of them were looked at since the last configuration was proposed.
    is_closed: bool,
}

/// The first configuration of a bracket, and an entity.
type Place = (u32, u32);

/// The trials of a bracket with one entity, by configuration.
#[derive(Debug, Default)]
struct Heat {
    climbers: BTreeMap<u32, Climber>,
    n_ended: usize,
}

/// A trial.
#[derive(Debug, Default)]
struct Climber {
    /// What it reached, from the bracket's first rung on.
    rungs: Vec<f64>,
    /// Of the first metric, by fold.
    folds: Vec<f64>,
    /// Of all metrics, fold by fold.
    all: Vec<f64>,
    n_folds: u32,
    whole: Option<f64>,
    /// The same in all objectives, on each rung and once it has completed, where one value does not
    /// say it all.
    losses: Vec<Losses>,
    whole_losses: Option<Losses>,
    has_ended: bool,
    /// Whether it was let on from where it stands. Not journalled: whoever is handed out again is
    /// judged again, with the same result.
    is_on: bool,
    fits: u32,
    began_ms: u64,
    ended_ms: u64,
}

impl Climb {
    /// None where trials are not given out by rungs.
    pub(super) fn of(
        study: &Study,
        aims: &Aims,
        learns: bool,
        n_points: Option<u128>,
    ) -> Option<Self> {
        let termination = study.early_termination.as_ref()?;
        let ladder = termination.ladder.as_ref()?;
        let n_points = n_points.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
        let n_total = study.limits.max_total_trials.min(n_points);
        Some(Self {
            plan: Plan::new(&termination.policy, ladder, learns, n_total),
            ladder: ladder.clone(),
            aims: aims.clone(),
            judge: Judge::new(termination, ladder, aims.objectives[0].goal),
            heats: BTreeMap::new(),
            waiting: BTreeSet::new(),
            touched: BTreeSet::new(),
            is_closed: false,
        })
    }

    /// What is first asked of a configuration's trials.
    pub(super) fn first_stage(&self, configuration: u32) -> Stage {
        Stage { after: None, rung: self.plan.bracket(configuration).first_rung }
    }

    /// Whether trials that are handed out so far come home whole, as any other.
    pub(super) fn is_plain(&self, stage: Stage) -> bool {
        stage.after.is_none() && stage.rung >= self.ladder.top()
    }

    fn climber(&self, configuration: u32, entity: u32) -> Option<(Bracket, &Climber)> {
        let bracket = self.plan.bracket(configuration);
        let heat = self.heats.get(&(bracket.members.start, entity))?;
        Some((bracket, heat.climbers.get(&configuration)?))
    }

    /// How many rungs there are before the end.
    pub(super) fn n_rungs(&self) -> usize {
        usize::from(self.ladder.top())
    }

    /// The rungs before the end that a trial was at, and its losses there.
    pub(super) fn passed(&self, configuration: u32, entity: u32) -> Vec<(u32, f64)> {
        let Some((bracket, own)) = self.climber(configuration, entity) else { return Vec::new() };
        let rungs = u32::from(bracket.first_rung)..u32::from(self.ladder.top());
        let goal = self.aims.objectives[0].goal;
        let losses = own.rungs.iter().map(|value| goal.loss(*value));
        rungs.zip(losses).collect()
    }

    /// What an open trial has come to; none where that is nothing, or breaks a bound.
    fn reached(&self, configuration: u32, entity: u32) -> Option<Unfinished> {
        let (bracket, own) = self.climber(configuration, entity)?;
        let value = own.rungs.last().copied().filter(|value| value.is_finite())?;
        let losses = match own.losses.last() {
            Some(losses) => *losses,
            None => Losses::new([self.aims.objectives[0].goal.loss(value)], 0.0),
        };
        let may_win = !own.has_ended && losses.is_feasible();
        may_win.then(|| Unfinished { rung: own.next_rung(&bracket), value, losses })
    }

    /// The same of one that is stopped there.
    pub(super) fn unfinished(&self, outcome: &Outcome) -> Option<Unfinished> {
        match outcome.end {
            End::Stopped { value: Some(_), .. } => {
                self.reached(outcome.configuration, outcome.entity)
            }
            _ => None,
        }
    }

    /// Every open trial that was at a rung, as configuration and entity.
    fn under_way(&self) -> Vec<(u32, u32)> {
        let climbers = self.heats.iter().flat_map(|((_, entity), heat)| {
            let open = heat.climbers.iter().filter(|(_, own)| !own.has_ended);
            open.map(|(number, _)| (*number, *entity))
        });
        climbers.filter(|&(number, entity)| self.reached(number, entity).is_some()).collect()
    }

    /// The end of a trial for which there is no time.
    fn out_of_time(&self, (configuration, entity): (u32, u32)) -> Option<Outcome> {
        let (bracket, own) = self.climber(configuration, entity)?;
        let rung = u8::try_from(own.next_rung(&bracket).checked_sub(1)?).ok()?;
        let after = self.judge.after(rung);
        let reason = format!("the study's timeout ran out {after}");
        let value = own.rungs.last().copied();
        Some(own.outcome(configuration, entity, End::Stopped { value, reason }))
    }

    /// How many models a trial was fitted on its way.
    pub(super) fn fits(&self, configuration: u32, entity: u32) -> u32 {
        self.climber(configuration, entity).map_or(0, |(_, own)| own.fits)
    }

    /// Whether a trial was at a rung.
    pub(super) fn was_at(&self, configuration: u32, entity: u32, rung: u8) -> bool {
        let climber = self.climber(configuration, entity);
        climber.is_some_and(|(bracket, own)| own.next_rung(&bracket) > usize::from(rung))
    }

    /// Takes in that a trial came to a rung: false if it was there, or has no business there.
    pub(super) fn take(&mut self, reached: &Reached) -> bool {
        let bracket = self.plan.bracket(reached.configuration);
        let is_of_folds = self.ladder.resource == Resource::Folds;
        let last = usize::from(self.ladder.top()) + usize::from(is_of_folds);
        let rung = usize::from(reached.rung);
        let known = self.climber(reached.configuration, reached.entity);
        let next =
            known.map_or(usize::from(bracket.first_rung), |(_, own)| own.next_rung(&bracket));
        let n_metrics = self.aims.metrics.len();
        let is_whole = !is_of_folds || reached.values.len().is_multiple_of(n_metrics);
        if rung != next || rung >= last || reached.values.is_empty() || !is_whole {
            return false;
        }
        let place = (bracket.members.start, reached.entity);
        let heat = self.heats.entry(place).or_default();
        let own = heat.climbers.entry(reached.configuration).or_default();
        let means = if is_of_folds {
            own.folds.extend(reached.values.iter().step_by(n_metrics));
            own.all.extend(&reached.values);
            means(&own.all, n_metrics)
        } else {
            reached.values.clone()
        };
        let (value, further) = (means[0], &means[1..]);
        own.losses.extend(several(&self.aims, value, further));
        if own.rungs.is_empty() {
            own.began_ms = reached.started_ms;
        }
        own.rungs.push(value);
        own.n_folds = reached.n_folds;
        own.fits = own.fits.saturating_add(reached.fits);
        own.ended_ms = reached.ended_ms;
        own.is_on = false;
        // Whoever was let on anew by a restart may have been out all the while.
        self.waiting.remove(&(Reverse(reached.rung), reached.entity, reached.configuration));
        self.touched.insert(place);
        true
    }

    /// The end of a trial that has nothing left to try.
    fn whole(&self, configuration: u32, entity: u32) -> Option<Outcome> {
        let (bracket, own) = self.climber(configuration, entity)?;
        self.end_of_whole(&bracket, (configuration, entity), own)
    }

    fn end_of_whole(
        &self,
        bracket: &Bracket,
        (configuration, entity): (u32, u32),
        own: &Climber,
    ) -> Option<Outcome> {
        let is_through = own.folds.len() >= own.n_folds as usize
            || own.next_rung(bracket) > usize::from(self.ladder.top());
        if self.ladder.resource != Resource::Folds || !is_through {
            return None;
        }
        let mut further = means(&own.all, self.aims.metrics.len());
        let value = further.remove(0);
        let reason = "the metric is not a finite number over all folds";
        let end = match value.is_finite() && further.iter().all(|value| value.is_finite()) {
            true => End::Completed { value },
            // Each fold's is finite, and yet their sum is more than a number can hold.
            false => End::Failed { reason: reason.into() },
        };
        if matches!(end, End::Failed { .. }) {
            further.clear();
        }
        Some(Outcome { further, ..own.outcome(configuration, entity, end) })
    }

    /// The ends of all trials that have nothing left to try, where they were not journalled.
    fn all_whole(&self) -> Vec<Outcome> {
        let mut ends = Vec::new();
        for ((first, entity), heat) in &self.heats {
            let bracket = self.plan.bracket(*first);
            let open = heat.climbers.iter().filter(|(_, own)| !own.has_ended);
            ends.extend(
                open.filter_map(|(number, own)| {
                    self.end_of_whole(&bracket, (*number, *entity), own)
                }),
            );
        }
        ends
    }

    /// An end as a runner tells it, with what was done before it.
    pub(super) fn with_earlier(&self, mut outcome: Outcome) -> Outcome {
        let Some((_, own)) = self.climber(outcome.configuration, outcome.entity) else {
            return outcome;
        };
        outcome.fits = outcome.fits.saturating_add(own.fits);
        if own.began_ms > 0 {
            outcome.started_ms = own.began_ms;
            outcome.ended_ms = outcome.ended_ms.max(own.ended_ms);
        }
        if let End::Stopped { value: value @ None, .. } = &mut outcome.end {
            *value = own.rungs.last().copied();
        }
        outcome
    }

    /// A trial ended.
    pub(super) fn end(&mut self, outcome: &Outcome) {
        let bracket = self.plan.bracket(outcome.configuration);
        if bracket.first_rung >= self.ladder.top() {
            return;
        }
        let place = (bracket.members.start, outcome.entity);
        let heat = self.heats.entry(place).or_default();
        let own = heat.climbers.entry(outcome.configuration).or_default();
        heat.n_ended += usize::from(!own.has_ended);
        own.has_ended = true;
        if let Ok(next) = u8::try_from(own.next_rung(&bracket)) {
            self.waiting.remove(&(Reverse(next), outcome.entity, outcome.configuration));
        }
        if let End::Completed { value } = outcome.end {
            own.whole = Some(value);
            own.whole_losses = several(&self.aims, value, &outcome.further);
        }
        if heat.n_ended >= bracket.members.len() {
            self.heats.remove(&place);
            self.touched.remove(&place);
        } else {
            self.touched.insert(place);
        }
    }

    /// Nothing is out: who was let on is let on again.
    pub(super) fn forget_flight(&mut self) {
        self.is_closed = false;
        self.waiting.clear();
        for (place, heat) in &mut self.heats {
            heat.climbers.values_mut().for_each(|own| own.is_on = false);
            self.touched.insert(*place);
        }
    }

    /// Nobody joins the last bracket any more: every heat is looked at again, once. Whether that is
    /// new.
    pub(super) fn close(&mut self) -> bool {
        if self.is_closed {
            return false;
        }
        self.is_closed = true;
        self.touched.extend(self.heats.keys());
        true
    }

    /// Somebody joins all the same.
    pub(super) fn join(&mut self) {
        self.is_closed = false;
    }

    /// How many trials wait.
    pub(super) fn n_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The first of those who wait, no more than so many, all up to one rung.
    fn take_waiting(&mut self, n: u32) -> Option<(Stage, Vec<(u32, u32)>)> {
        let rung = self.waiting.first()?.0.0;
        let together = self.waiting.iter().take(n as usize).take_while(|own| own.0.0 == rung);
        let together: Vec<(Reverse<u8>, u32, u32)> = together.copied().collect();
        for own in &together {
            self.waiting.remove(own);
        }
        let stage = Stage { after: rung.checked_sub(1), rung };
        Some((stage, together.into_iter().map(|(_, entity, own)| (own, entity)).collect()))
    }
}

impl Heat {
    /// The next rung that somebody open has not been let on from, if everybody open was there.
    fn due(&self, bracket: &Bracket, open: &[u32]) -> Option<usize> {
        let rung = |number: &u32| {
            let own = self.climbers.get(number);
            own.map_or(usize::from(bracket.first_rung), |own| own.next_rung(bracket))
        };
        let is_on = |number: &u32| self.climbers.get(number).is_some_and(|own| own.is_on);
        let lowest = open.iter().map(rung).min()?;
        let is_due = open.iter().any(|number| rung(number) == lowest && !is_on(number));
        let is_past_first = lowest > usize::from(bracket.first_rung);
        (is_due && is_past_first).then(|| lowest - 1)
    }
}

impl Climber {
    /// The rung that it has not been at.
    fn next_rung(&self, bracket: &Bracket) -> usize {
        usize::from(bracket.first_rung) + self.rungs.len()
    }

    fn outcome(&self, configuration: u32, entity: u32, end: End) -> Outcome {
        Outcome {
            configuration,
            entity,
            end,
            fits: self.fits,
            started_ms: self.began_ms,
            ended_ms: self.ended_ms,
            reports: Vec::new(),
            further: Vec::new(),
        }
    }
}

/// Of each metric, in the order of the folds, so that it is the same as that of a trial that was never
/// cut.
fn means(values: &[f64], n_metrics: usize) -> Vec<f64> {
    let n_folds = (values.len() / n_metrics) as f64;
    let own = |metric| values.iter().skip(metric).step_by(n_metrics);
    (0..n_metrics).map(|metric| own(metric).sum::<f64>() / n_folds).collect()
}

/// A trial's losses, where one does not say it all.
fn several(aims: &Aims, value: f64, further: &[f64]) -> Option<Losses> {
    let losses = || Losses::of(aims, value, further);
    (!aims.are_plain()).then(losses)
}

impl StudyState {
    /// Trials came to a rung.
    pub(super) fn reach(&mut self, assignment: u64, trials: Vec<Reached>, step: &mut Step) {
        if self.phase == Phase::Closed {
            return;
        }
        let mut first = Vec::new();
        let mut ended = Vec::new();
        for trial in trials {
            if !self.is_open(trial.configuration, trial.entity) {
                continue;
            }
            let Some(climb) = &self.climb else { return };
            if trial.values.iter().any(|value| !value.is_finite()) {
                ended.push(climb.with_earlier(not_finite(&trial)));
            } else if self.apply_reached(&trial) {
                let climb = self.climb.as_ref();
                ended.extend(climb.and_then(|own| own.whole(trial.configuration, trial.entity)));
                first.push(trial);
            }
        }
        let is_any = !(first.is_empty() && ended.is_empty());
        if !first.is_empty() {
            step.facts.push(Fact::Reached { trials: first });
        }
        self.end_here(ended, step);
        if is_any {
            self.note_elapsed(step);
        }
        self.judge(step);
        self.drop_if_done(assignment);
    }

    /// Takes in that a trial came to a rung; false if it was there.
    pub(super) fn apply_reached(&mut self, trial: &Reached) -> bool {
        let Some(climb) = &mut self.climb else { return false };
        let is_first = climb.take(trial);
        if is_first {
            self.counts.fits += u64::from(trial.fits);
        }
        if is_first && self.phase != Phase::Searching {
            self.leave_unfinished(trial.configuration, trial.entity);
        }
        is_first
    }

    fn leave_unfinished(&mut self, configuration: u32, entity: u32) {
        let climb = self.climb.as_ref();
        if let Some(reached) = climb.and_then(|climb| climb.reached(configuration, entity)) {
            self.standings.leave_unfinished(configuration, entity, (Leave::Open, reached));
        }
    }

    /// The search is over: where no trial has completed, those count that came furthest.
    pub(super) fn take_unfinished(&mut self) {
        self.standings.forget_open();
        let under_way = self.climb.as_ref().map(Climb::under_way).unwrap_or_default();
        for (configuration, entity) in under_way {
            self.leave_unfinished(configuration, entity);
        }
        self.standings.touch_unfinished();
    }

    /// There is no time for those that were at a rung and are not out: they end there.
    pub(super) fn end_under_way(&mut self, step: &mut Step) {
        let Some(climb) = &self.climb else { return };
        let tried = self.flight.pieces_out().filter(|own| matches!(own.purpose, Purpose::Try(_)));
        let out: BTreeSet<(u32, u32)> = tried.flat_map(|own| flight::trials(&own.parts)).collect();
        let under_way = climb.under_way().into_iter().filter(|trial| !out.contains(trial));
        let ended = under_way.filter_map(|trial| climb.out_of_time(trial)).collect();
        self.end_here(ended, step);
    }

    /// Ends trials of which there is nothing more to hear.
    fn end_here(&mut self, mut outcomes: Vec<Outcome>, step: &mut Step) {
        outcomes.retain(|outcome| self.apply_outcome(outcome));
        if !outcomes.is_empty() {
            self.choose_winners();
            step.facts.push(Fact::Ended { outcomes });
        }
    }

    /// What a kill left undone between who reached a rung and what follows from it.
    pub(super) fn judge_anew(&mut self, step: &mut Step) {
        if self.phase != Phase::Closed {
            let whole = self.climb.as_ref().map(Climb::all_whole).unwrap_or_default();
            self.end_here(whole, step);
            self.judge(step);
        }
    }

    /// Ends those who lost at a rung, and lets the others on, wherever everybody is there.
    pub(super) fn judge(&mut self, step: &mut Step) {
        while self.phase == Phase::Searching
            && let Some(climb) = &mut self.climb
            && let Some(place) = climb.touched.pop_first()
        {
            let lost = self.judge_heat(place);
            self.end_here(lost, step);
        }
        if let Some(climb) = &mut self.climb
            && self.phase != Phase::Searching
        {
            climb.touched.clear();
        }
    }

    /// The ends of those who lost.
    fn judge_heat(&mut self, place: Place) -> Vec<Outcome> {
        let (first, entity) = place;
        let is_whole_search = self.has_proposed_all();
        let Some(climb) = &mut self.climb else { return Vec::new() };
        let bracket = climb.plan.bracket(first);
        let is_joined = self.counts.proposed >= bracket.members.end || is_whole_search;
        let open = self.open.range(bracket.members.clone());
        let open = open.filter(|(_, open)| !open.tally.has_ended(entity));
        let open: Vec<u32> = open.map(|(number, _)| *number).collect();
        let Some(heat) = climb.heats.get_mut(&place).filter(|_| is_joined) else {
            return Vec::new();
        };
        if open.is_empty() {
            climb.heats.remove(&place);
            return Vec::new();
        }
        let Some(rung) = heat.due(&bracket, &open) else { return Vec::new() };
        let (Ok(rung), Ok(next)) = (u8::try_from(rung), u8::try_from(rung + 1)) else {
            return Vec::new();
        };
        let n_folds = heat.climbers.values().map(|own| own.n_folds).max().unwrap_or_default();
        let at = usize::from(rung - bracket.first_rung);
        let stands = heat.climbers.values().map(|own| Stand {
            rungs: &own.rungs,
            folds: &own.folds,
            whole: own.whole,
            // Whoever was stopped before counts as it was there.
            losses: own.losses.get(at).copied().or(own.whole_losses).or(own.losses.last().copied()),
        });
        let stands: Vec<Stand<'_>> = stands.collect();
        let judged = climb.judge.judge(rung, at, n_folds, &stands);
        let mut lost = Vec::new();
        for ((number, own), reason) in heat.climbers.iter_mut().zip(judged) {
            let is_here = !own.has_ended && !own.is_on && own.rungs.len() == at + 1;
            if !is_here {
                continue;
            }
            match reason {
                Some(reason) => {
                    let value = own.rungs.last().copied();
                    lost.push(own.outcome(*number, entity, End::Stopped { value, reason }));
                }
                None => {
                    own.is_on = true;
                    climb.waiting.insert((Reverse(next), entity, *number));
                }
            }
        }
        lost
    }

    /// Trials that were let on.
    pub(super) fn next_climb(&mut self, n_trials: u32) -> Option<Piece> {
        loop {
            let (stage, trials) = self.climb.as_mut()?.take_waiting(n_trials)?;
            let purpose = Purpose::Try(stage);
            let mut by_configuration: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for (number, entity) in trials {
                // One that an earlier life handed out is out, or came back.
                if self.is_open(number, entity) && !self.flight.is_adopted(purpose, number, entity)
                {
                    by_configuration.entry(number).or_default().push(entity);
                }
            }
            let parts = by_configuration.into_iter();
            let parts: Vec<Part> =
                parts.map(|(number, all)| (number, tally::ranges(all.into_iter()))).collect();
            if !parts.is_empty() {
                return Some(self.flight.fresh(purpose, parts));
            }
        }
    }

    /// What is first asked of a configuration's trials.
    pub(super) fn first_stage(&self, configuration: u32) -> Stage {
        self.climb.as_ref().map_or(Stage::default(), |climb| climb.first_stage(configuration))
    }

    /// Whether a trial has not ended, and was not at this rung.
    pub(super) fn is_to_do(&self, stage: Stage, configuration: u32, entity: u32) -> bool {
        let was_there = |climb: &Climb| climb.was_at(configuration, entity, stage.rung);
        self.is_open(configuration, entity) && !self.climb.as_ref().is_some_and(was_there)
    }
}

fn not_finite(trial: &Reached) -> Outcome {
    Outcome {
        configuration: trial.configuration,
        entity: trial.entity,
        end: End::Failed { reason: "the metric is not a finite number".into() },
        fits: trial.fits,
        started_ms: trial.started_ms,
        ended_ms: trial.ended_ms,
        reports: Vec::new(),
        further: Vec::new(),
    }
}
