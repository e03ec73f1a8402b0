//! The trials of a study as insight needs them: read once, a bounded number of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{
    Aims, Configuration, Domain, End, Ladder, Outcome, Reached, Resource, SearchSpace,
};

use super::super::QueryError;
use super::super::asked::Asked;
use super::{ConfigurationCounts, DuplicatesView, InsightScale};
use crate::event::Fact;
use crate::insight::{Dimension, Ended, Kind, Tried};
use crate::journal::JournalError;
use crate::sampler::{self, Fate};
use crate::state::{Telling, Yardsticks};

/// More values are not read, so that what is held is some 50 MB: a trial has one, one for each metric
/// besides and one for each rung that it passed.
const MOST_VALUES: u64 = 1_000_000;

/// Of more configurations each so many-th is used.
const MOST_CONFIGURATIONS: u32 = 100_000;

/// What was read.
pub(super) struct Reading {
    pub(super) tried: Tried,
    /// The configurations that have ended, in the order of their ends.
    pub(super) ended: Vec<Ended>,
    pub(super) scale: InsightScale,
    pub(super) counts: ConfigurationCounts,
    pub(super) notices: Vec<String>,
    n_proposed: u64,
    n_repeated: u64,
}

/// The trials of one configuration. They are told once all are read: what they are measured by is
/// the first of them by number, and not whichever ended first.
#[derive(Default)]
struct Held {
    trials: Vec<Slim>,
    ended_ms: u64,
}

/// What is to be told of a trial, and no more: many are held.
struct Slim {
    entity: u32,
    end: SlimEnd,
    more: Option<Box<More>>,
}

#[derive(Clone, Copy)]
enum SlimEnd {
    Completed(f64),
    Reached(f64),
    Stopped,
    Failed,
}

/// What few trials have.
struct More {
    /// The values of the other metrics.
    further: Box<[f64]>,
    /// The rungs that it passed.
    passed: Box<[(u32, f64)]>,
}

/// The rungs that an open trial has come to.
#[derive(Default)]
struct Climbed {
    /// Of the first metric, on all folds so far.
    sum: f64,
    n_folds: u32,
    passed: Vec<(u32, f64)>,
}

/// A configuration all of whose trials have ended.
struct Closed {
    number: u32,
    fate: Fate,
    n_completed: u32,
}

/// Trials as they come, until they are a reading.
struct Reader<'a> {
    asked: &'a Asked,
    aims: Aims,
    entity: Option<u32>,
    /// The place of the objective whose losses count.
    objective: usize,
    n_entities: u32,
    /// Each so many-th configuration is used.
    stride: u32,
    /// Where trials are stopped on the way.
    ladder: Option<&'a Ladder>,
    climbed: HashMap<(u32, u32), Climbed>,
    open: HashMap<u32, Held>,
    /// Those that ended, in the order of their ends.
    closed: Vec<(u32, Held)>,
    first_ms: u64,
    points: BTreeMap<u32, Vec<f64>>,
    seen: HashSet<u64>,
    n_proposed: u64,
    n_trials: u64,
    n_values: u64,
}

impl Reading {
    /// Reads the trials of one entity, or of all, and what they came to in one objective.
    pub(super) fn of(
        asked: &Asked,
        entity: Option<u32>,
        objective: usize,
    ) -> Result<Self, QueryError> {
        let mut reader = Reader::new(asked, entity, objective);
        let mut notices = Vec::new();
        let is_cut = !reader.read()?;
        if is_cut {
            notices.push(format!(
                "the study has more than {} trials; what follows is from the first ones",
                reader.n_trials
            ));
        }
        if reader.stride > 1 {
            notices.push(format!(
                "the study has {} configurations; importances are from each {}th",
                asked.record.summary.proposed, reader.stride
            ));
        }
        let mut reading = reader.finish();
        reading.notices = notices;
        Ok(reading)
    }

    /// How often the search proposed what it had proposed before.
    pub(super) fn duplicates(&self, space: &SearchSpace) -> DuplicatesView {
        let size = space.cardinality().map(|size| size as f64);
        let (proposed, repeated) = (self.n_proposed, self.n_repeated);
        let avoided = size.filter(|&size| size > 0.0).map(|size| {
            // What remains unseen of so many points after even draws.
            let n = proposed as f64;
            let share_seen = if size > 1.0 { -(n * (-1.0 / size).ln_1p()).exp_m1() } else { 1.0 };
            let distinct = if n > 0.0 { size * share_seen } else { 0.0 };
            (n - distinct - repeated as f64).max(0.0)
        });
        DuplicatesView { proposed, repeated, space: size, avoided }
    }
}

impl<'a> Reader<'a> {
    fn new(asked: &'a Asked, entity: Option<u32>, objective: usize) -> Self {
        let n_entities = if entity.is_some() { 1 } else { asked.record.head.entities };
        let aims = Aims::of(&asked.study);
        let ladder = asked.study.early_termination.as_ref().and_then(|rule| rule.ladder.as_ref());
        Self {
            asked,
            aims,
            entity,
            objective,
            n_entities,
            stride: asked.record.summary.proposed.div_ceil(MOST_CONFIGURATIONS).max(1),
            ladder: ladder.filter(|_| n_entities > 1),
            climbed: HashMap::new(),
            open: HashMap::new(),
            closed: Vec::new(),
            first_ms: u64::MAX,
            points: BTreeMap::new(),
            seen: HashSet::new(),
            n_proposed: 0,
            n_trials: 0,
            n_values: 0,
        }
    }

    /// Whether everything was read.
    fn read(&mut self) -> Result<bool, JournalError> {
        let space = &self.asked.study.space;
        for fact in self.asked.journal.facts(self.asked.record.id) {
            match fact? {
                Fact::Proposed { number, configuration } => {
                    self.propose(space, number, &configuration)
                }
                Fact::Ended { outcomes } => {
                    for outcome in &outcomes {
                        if self.n_values >= MOST_VALUES {
                            return Ok(false);
                        }
                        self.end(outcome);
                    }
                }
                Fact::Reached { trials } => trials.iter().for_each(|trial| self.reach(trial)),
                _ => {}
            }
        }
        Ok(true)
    }

    /// A trial came to a rung, which the end of all folds is none of.
    fn reach(&mut self, trial: &Reached) {
        let Some(ladder) = self.ladder else { return };
        let own = self.climbed.entry((trial.configuration, trial.entity)).or_default();
        let is_of_folds = ladder.resource == Resource::Folds;
        if !is_of_folds {
            (own.sum, own.n_folds) = (0.0, 0);
        }
        for value in trial.values.iter().step_by(self.aims.metrics.len().max(1)) {
            own.sum += value;
            own.n_folds += 1;
        }
        if trial.rung < ladder.top() {
            let mean = own.sum / f64::from(own.n_folds);
            own.passed.push((trial.rung.into(), self.aims.objectives[0].goal.loss(mean)));
        }
    }

    fn propose(&mut self, space: &SearchSpace, number: u32, configuration: &Configuration) {
        self.n_proposed += 1;
        let Some(units) = space.units(configuration) else { return };
        let units: Vec<f64> = units.into_iter().map(|unit| unit.unwrap_or(f64::NAN)).collect();
        let bits: Vec<u64> = units.iter().map(|unit| unit.to_bits()).collect();
        self.seen.insert(mix(&bits));
        if number.is_multiple_of(self.stride) {
            self.points.insert(number, units);
        }
    }

    fn end(&mut self, outcome: &Outcome) {
        self.n_trials += 1;
        self.n_values += 1;
        if self.entity.is_some_and(|entity| entity != outcome.entity) {
            return;
        }
        if outcome.started_ms > 0 {
            self.first_ms = self.first_ms.min(outcome.started_ms);
        }
        let number = outcome.configuration;
        let climbed = self.climbed.remove(&(number, outcome.entity)).unwrap_or_default();
        let held = self.open.entry(number).or_default();
        held.ended_ms = held.ended_ms.max(outcome.ended_ms);
        self.n_values += (outcome.further.len() + climbed.passed.len()) as u64;
        held.trials.push(Slim::of(outcome, climbed.passed));
        if held.trials.len() >= self.n_entities as usize
            && let Some(mut held) = self.open.remove(&number)
        {
            held.trials.shrink_to_fit();
            self.closed.push((number, held));
        }
    }

    /// What all that have ended come to, by number.
    fn tell(&mut self) -> Vec<Closed> {
        let mut yardsticks = match self.n_entities > 1 {
            true => {
                let n_rungs = self.ladder.map_or(0, |ladder| usize::from(ladder.top()));
                Yardsticks::new(self.n_entities, self.aims.objectives.len(), n_rungs)
            }
            false => Yardsticks::default(),
        };
        let mut order: Vec<usize> = (0..self.closed.len()).collect();
        order.sort_by_key(|&place| self.closed[place].0);
        let told = order.into_iter().map(|place| {
            let (number, held) = &mut self.closed[place];
            let trials = std::mem::take(&mut held.trials);
            let mut telling = Telling::default();
            for trial in &trials {
                let passed = trial.more.as_ref().map(|more| &*more.passed).unwrap_or_default();
                telling.end(&trial.outcome(*number), passed, &self.aims, &mut yardsticks);
            }
            let (fate, n_completed) = (telling.fate(&self.aims), telling.n_completed());
            Closed { number: *number, fate, n_completed }
        });
        told.collect()
    }

    fn finish(mut self) -> Reading {
        let told = self.tell();
        let axes = self.asked.study.space.axes();
        let dimensions =
            axes.iter().map(|axis| Dimension { kind: kind(&axis.domain), parent: axis.parent });
        let mut tried = Tried { dimensions: dimensions.collect(), ..Tried::default() };
        let entities = self.n_entities;
        let mut counts = ConfigurationCounts { entities, ..ConfigurationCounts::default() };
        // A mean over fewer entities is nobody's best, as it is where winners are named.
        let most = told.iter().map(|own| own.n_completed).max().unwrap_or_default();
        let mut losses: HashMap<u32, f64> = HashMap::new();
        for Closed { number, fate, n_completed } in told {
            let loss = match fate {
                Fate::Completed(loss) => Some(loss).filter(|loss| loss.is_finite()),
                Fate::Judged(losses) => {
                    losses.all().get(self.objective).copied().filter(|loss| loss.is_finite())
                }
                Fate::Stopped(_) | Fate::Failed => None,
            };
            // Who breaks a bound tells what matters, but is nobody's best.
            let counts_as_best = n_completed == most
                && !matches!(fate, Fate::Judged(losses) if !losses.is_feasible());
            losses.extend(loss.filter(|_| counts_as_best).map(|loss| (number, loss)));
            if let (Some(loss), Some(units)) = (loss, self.points.get(&number)) {
                tried.push(units, loss);
            }
            counts.stopped += u64::from(matches!(fate, Fate::Stopped(_)));
            counts.failed += u64::from(fate == Fate::Failed);
        }
        let ended = self.closed.iter().map(|(number, held)| {
            let ended_ms = held.ended_ms;
            let elapsed_ms = ended_ms.checked_sub(self.first_ms).filter(|_| ended_ms > 0);
            let elapsed_s = elapsed_ms.map(|elapsed_ms| elapsed_ms as f64 / 1e3);
            Ended { number: *number, loss: losses.get(number).copied(), elapsed_s }
        });
        let ended: Vec<Ended> = ended.collect();
        counts.used = tried.n() as u64;
        counts.open = self.n_proposed.saturating_sub(ended.len() as u64);
        Reading {
            tried,
            ended,
            scale: match entities > 1 {
                true => InsightScale::Relative,
                false => InsightScale::Metric,
            },
            counts,
            notices: Vec::new(),
            n_repeated: self.n_proposed.saturating_sub(self.seen.len() as u64),
            n_proposed: self.n_proposed,
        }
    }
}

impl Slim {
    fn of(outcome: &Outcome, passed: Vec<(u32, f64)>) -> Self {
        let end = match outcome.end {
            End::Completed { value } => SlimEnd::Completed(value),
            End::Stopped { value: Some(value), .. } => SlimEnd::Reached(value),
            End::Stopped { value: None, .. } => SlimEnd::Stopped,
            End::Failed { .. } => SlimEnd::Failed,
        };
        let has_more = !(outcome.further.is_empty() && passed.is_empty());
        let further = outcome.further.as_slice().into();
        let more = has_more.then(|| Box::new(More { further, passed: passed.into() }));
        Self { entity: outcome.entity, end, more }
    }

    fn outcome(&self, configuration: u32) -> Outcome {
        let reason = String::new();
        let end = match self.end {
            SlimEnd::Completed(value) => End::Completed { value },
            SlimEnd::Reached(value) => End::Stopped { value: Some(value), reason },
            SlimEnd::Stopped => End::Stopped { value: None, reason },
            SlimEnd::Failed => End::Failed { reason },
        };
        Outcome {
            configuration,
            entity: self.entity,
            end,
            fits: 0,
            started_ms: 0,
            ended_ms: 0,
            reports: Vec::new(),
            further: self.more.as_ref().map(|more| more.further.to_vec()).unwrap_or_default(),
        }
    }
}

/// Coordinates of the values of a rounded normal distribution, where those are few that come at all:
/// it has no end.
fn likely_levels(domain: &Domain) -> Option<Vec<f64>> {
    const MOST: usize = 64;
    const LOOKS: u32 = 4_096;
    let (Domain::Normal { q: Some(_), .. } | Domain::LogNormal { q: Some(_), .. }) = domain else {
        return None;
    };
    let values = (0..LOOKS).map(|i| domain.at((f64::from(i) + 0.5) / f64::from(LOOKS)));
    let mut levels: Vec<f64> = values.filter_map(|value| domain.unit(&value)).collect();
    levels.dedup();
    (levels.len() <= MOST).then_some(levels)
}

/// How the points of a domain relate to each other, as samplers see it.
fn kind(domain: &Domain) -> Kind {
    match sampler::kind(domain) {
        sampler::Kind::Continuous => likely_levels(domain).map_or(Kind::Number, Kind::Levels),
        sampler::Kind::Ordered(levels) => Kind::Levels(levels),
        sampler::Kind::Category(n) => Kind::Category(n),
    }
}
