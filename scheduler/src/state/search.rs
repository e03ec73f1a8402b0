//! Who is tried next: what came back, then the batch that is being walked, then the next one.
//!
//! A batch of configurations goes over the entities together, so that a runner lays an entity's rows
//! out once for all of them. How many trials an assignment carries follows what trials take
//! (`pace`), what is left, and how many assignments the runners were seen to do at once: nobody has
//! to wait while somebody else holds a stack of work.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use fleetfit_search_spaces::Work;
use fleetfit_search_spaces::wire::{Assignment, AssignmentKey, Block, Numbered, Task};

use super::climb::Climb;
use super::flight::{Part, Piece, Purpose, Stage};
use super::{Phase, StudyState, tally};
use crate::event::{Command, Fact, Step};

/// Configurations that travel together, where there are many entities for each.
const MAX_BATCH: u32 = 16;

/// The same where there are few: their settings have to fit into a message.
const MAX_PACKED: u32 = 256;

/// The same where the sampler learns from each.
const MAX_UNTOLD: u32 = 4;

/// Assignments that are meant to be out at once, where fewer were seen.
const MIN_ABREAST: u64 = 8;

/// A batch on its way over the entities.
#[derive(Debug)]
struct Walk {
    configurations: Vec<u32>,
    /// Where, among the configurations, those end that are tried in one fit. Nothing is cut between
    /// them.
    ends: Vec<usize>,
    /// How many of the large entities are behind it.
    n_large: usize,
    next_entity: u32,
    /// The configuration that is next for this entity, where not all go together.
    next_configuration: usize,
}

impl Walk {
    /// So many trials, or a few less: configurations, and the entities that all of them are tried
    /// for. None at the end.
    fn advance(
        &mut self,
        n_trials: u32,
        n_entities: u32,
        large: &[u32],
    ) -> Option<(&[u32], Range<u32>)> {
        let large = large.get(self.n_large).copied();
        let entity = large.unwrap_or(self.next_entity);
        if entity >= n_entities {
            return None;
        }
        let (n_wanted, n_together) = (n_trials as usize, self.configurations.len());
        if large.is_none() && self.next_configuration == 0 && n_wanted >= n_together {
            let width = n_trials / n_together.max(1) as u32;
            self.next_entity = entity.saturating_add(width).min(n_entities);
            return Some((&self.configurations, entity..self.next_entity));
        }
        let first = self.next_configuration;
        let wanted = first + n_wanted;
        let end = self.ends.iter().copied().find(|&end| end >= wanted).unwrap_or(n_together);
        self.next_configuration = end;
        if end == n_together {
            self.next_configuration = 0;
            match large {
                Some(_) => self.n_large += 1,
                None => self.next_entity += 1,
            }
        }
        Some((&self.configurations[first..end], entity..entity + 1))
    }

    /// How many trials it has before it, ended ones included.
    fn n_left(&self, n_entities: u32) -> u64 {
        let n_entities = n_entities.saturating_sub(self.next_entity);
        u64::from(n_entities) * self.configurations.len() as u64
    }
}

/// Batches that were begun, and configurations that wait to be handed out.
#[derive(Debug, Default)]
pub(super) struct Queue {
    walks: VecDeque<Walk>,
    waiting: VecDeque<u32>,
}

impl Queue {
    /// Everything that is open waits.
    pub(super) fn of_open(open: impl Iterator<Item = u32>) -> Self {
        Self { walks: VecDeque::new(), waiting: open.collect() }
    }
}

impl StudyState {
    /// How many trials the next assignment should carry.
    fn trials_together(&self) -> u32 {
        let wanted = match self.study.work {
            Work::External => 1,
            // Whoever learns wants to hear of each before the next, where there is nothing to win by
            // trying several together.
            _ if self.learns() && self.cut.n_entities == 1 => 1,
            // Whoever may be stopped early has to be running when the others report.
            Work::Command(_) if self.watch.is_some() => 1,
            Work::Command(_) => self.pace.programs(),
            Work::Learner(_) | Work::ChosenLearner { .. } | Work::AutoMl => self.pace.trials(),
        };
        let n_entities = u64::from(self.cut.n_entities);
        // What may be in flight at once has to go round.
        let abreast = u64::from(self.limit()) * n_entities / self.n_abreast();
        let wanted = wanted.min(u32::try_from(abreast).unwrap_or(u32::MAX)).max(1);
        let walking: u64 =
            self.queue.walks.iter().map(|walk| walk.n_left(self.cut.n_entities)).sum();
        let waiting = self.queue.waiting.len() as u64 + u64::from(self.n_unproposed());
        self.fair_share(wanted, walking.saturating_add(waiting.saturating_mul(n_entities)))
    }

    /// No more than everybody's share of what is left, unless that is hardly worth an assignment.
    pub(super) fn fair_share(&self, wanted: u32, n_left: u64) -> u32 {
        let share = u32::try_from(n_left / self.n_abreast()).unwrap_or(u32::MAX);
        wanted.min(share.max(self.pace.fewest())).max(1)
    }

    /// How many assignments are meant to be out at once.
    fn n_abreast(&self) -> u64 {
        MIN_ABREAST.max(self.flight.most_out() as u64)
    }

    /// Whether the sampler makes use of what came back.
    pub(crate) fn learns(&self) -> bool {
        self.sampler.as_ref().is_some_and(|sampler| sampler.learns())
    }

    /// How many configurations may be in flight.
    fn limit(&self) -> u32 {
        let limit = self.study.limits.max_concurrent_trials.max(1);
        let Some(climb) = &self.climb else { return limit };
        let widest = climb.plan.widest();
        if self.has_one_bracket() {
            return widest;
        }
        // A bracket waits for all of it; while it does, the next begins.
        limit.max(widest.saturating_mul(2))
    }

    /// Whether a bracket ends before the next one begins: who learns hears of all of it, whatever comes
    /// first in it, and patience that runs out should not find another one under way.
    fn has_one_bracket(&self) -> bool {
        self.learns() || self.stall.is_some() || self.converged.is_some()
    }

    /// Whether what is proposed next is such a bracket.
    fn begins_alone(&self) -> bool {
        let next = self.counts.proposed;
        let begins = |climb: &Climb| climb.plan.bracket(next).members.start == next;
        self.has_one_bracket() && self.climb.as_ref().is_some_and(begins)
    }

    /// How many configurations may still be proposed.
    pub(super) fn n_unproposed(&self) -> u32 {
        let points = self.n_points.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
        let limit = self.study.limits.max_total_trials.min(points);
        limit.saturating_sub(self.counts.proposed)
    }

    /// How many configurations travel together: no more than half of those that may be in flight, so
    /// that the next ones begin while the last trials of these are out.
    fn batch_size(&self) -> u32 {
        if let Some(climb) = &self.climb {
            // Those who are compared travel together.
            let next = self.counts.proposed;
            return climb.plan.bracket(next).members.end.saturating_sub(next).max(1);
        }
        if self.learns() {
            return MAX_UNTOLD.min(self.limit() / 2).min(self.trials_together()).max(1);
        }
        if self.is_path_searched {
            // Whoever is tried in one fit should meet.
            return MAX_PACKED.min(self.limit());
        }
        let n_trials = self.trials_together();
        let packed = (n_trials / self.cut.n_entities.max(1)).min(MAX_PACKED);
        n_trials.min(MAX_BATCH.max(packed)).min(self.limit() / 2).max(1)
    }

    /// Hands out what there is; how many assignments of those wanted there were not.
    pub(super) fn hand_out(&mut self, wanted: u32, step: &mut Step) -> u32 {
        for handed_out in 0..wanted {
            let piece = match self.phase {
                Phase::Searching => self.next_try(step),
                Phase::Refitting => self.next_refit(),
                Phase::Closed => None,
            };
            let Some(piece) = piece else {
                return wanted - handed_out;
            };
            let assignment = self.assignment(&piece);
            self.flight.send(piece);
            step.commands.push(Command::Dispatch(assignment));
        }
        0
    }

    fn next_try(&mut self, step: &mut Step) -> Option<Piece> {
        while let Some(piece) = self.flight.take_back() {
            let parts = self.left(&piece);
            if !parts.is_empty() {
                return Some(Piece { parts, ..piece });
            }
        }
        loop {
            // Those who go on come first, as soon as they are worth an assignment.
            let n_trials = self.trials_together();
            let n_waiting = self.climb.as_ref().map_or(0, Climb::n_waiting);
            if n_waiting >= n_trials as usize
                && let Some(piece) = self.next_climb(n_trials)
            {
                return Some(piece);
            }
            if let Some((stage, parts)) = self.next_parts() {
                return Some(self.flight.fresh(Purpose::Try(stage), parts));
            }
            if self.begin_batch(step) {
                continue;
            }
            if self.has_proposed_all() && self.climb.as_mut().is_some_and(Climb::close) {
                self.judge(step);
            }
            let n_waiting = self.climb.as_ref().map_or(0, Climb::n_waiting) as u64;
            return self.next_climb(self.fair_share(n_trials, n_waiting));
        }
    }

    /// The next trials of the batch that is being walked that are left to do.
    fn next_parts(&mut self) -> Option<(Stage, Vec<Part>)> {
        let n_trials = self.trials_together();
        while let Some(mut walk) = self.queue.walks.pop_front() {
            let is_large = walk.n_large < self.large.len();
            let advanced = walk.advance(n_trials, self.cut.n_entities, &self.large);
            let Some((numbers, entities)) = advanced else { continue };
            // A large one had its turn.
            let is_due = |entity: &u32| is_large || !self.large.contains(entity);
            let entities = tally::ranges(entities.filter(is_due));
            let stage = numbers.first().map_or(Stage::default(), |&own| self.first_stage(own));
            let parts = numbers.iter().filter_map(|&number| {
                let open = self.to_try(stage, number, entities.iter().cloned().flatten());
                (!open.is_empty()).then_some((number, open))
            });
            let parts: Vec<Part> = parts.collect();
            self.queue.walks.push_front(walk);
            if !parts.is_empty() {
                return Some((stage, parts));
            }
        }
        None
    }

    /// What of a configuration has not ended and was not handed out in an earlier life.
    fn to_try(
        &self,
        stage: Stage,
        number: u32,
        entities: impl Iterator<Item = u32>,
    ) -> Vec<Range<u32>> {
        let is_free = |&entity: &u32| {
            self.is_to_do(stage, number, entity)
                && !self.flight.is_adopted(Purpose::Try(stage), number, entity)
        };
        tally::ranges(entities.filter(is_free))
    }

    /// Begins the next batch, proposing it if none waits. False if there is none, or no room.
    fn begin_batch(&mut self, step: &mut Step) -> bool {
        let size = self.batch_size();
        let room = match self.begins_alone() && self.n_handed_out > 0 {
            true => 0,
            false => self.limit().saturating_sub(self.n_handed_out),
        };
        let configurations = if self.queue.waiting.is_empty() {
            self.propose(size, room, step)
        } else {
            let n_waiting = self.n_kindred(size as usize);
            let is_new =
                |number: &&u32| self.open.get(number).is_some_and(|open| !open.is_handed_out);
            let n_new = self.queue.waiting.range(..n_waiting).filter(is_new).count();
            // With nothing out, no room would come.
            if n_new > room as usize && !self.flight.is_empty() {
                return false;
            }
            self.queue.waiting.drain(..n_waiting).collect()
        };
        for &number in &configurations {
            self.mark_handed_out(number);
        }
        let is_any = !configurations.is_empty();
        if is_any {
            let (configurations, ends) = self.by_kin(configurations);
            let (next_entity, next_configuration) = (0, 0);
            self.queue.walks.push_back(Walk {
                configurations,
                ends,
                n_large: 0,
                next_entity,
                next_configuration,
            });
        }
        is_any
    }

    /// How many of those that wait, the first ones, are asked for alike.
    fn n_kindred(&self, most: usize) -> usize {
        let waiting = &self.queue.waiting;
        let Some((climb, first)) = self.climb.as_ref().zip(waiting.front()) else {
            return waiting.len().min(most);
        };
        let members = climb.plan.bracket(*first).members;
        waiting.iter().take_while(|number| members.contains(number)).count()
    }

    /// The same, so that those that are tried in one fit stand side by side, and where they end.
    fn by_kin(&self, configurations: Vec<u32>) -> (Vec<u32>, Vec<usize>) {
        let kin = |number: &u32| {
            let training = self.study.work.training(self.configuration(*number)?).ok()?;
            training.learner.path().map(|_| training.kin())
        };
        let mut groups: Vec<(Option<u64>, Vec<u32>)> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        for number in configurations {
            let kin = kin(&number);
            match kin.and_then(|kin| places.get(&kin)) {
                Some(&place) => groups[place].1.push(number),
                None => {
                    places.extend(kin.map(|kin| (kin, groups.len())));
                    groups.push((kin, vec![number]));
                }
            }
        }
        let mut end = 0;
        let ends = groups.iter().map(|(_, group)| {
            end += group.len();
            end
        });
        let ends = ends.collect();
        (groups.into_iter().flat_map(|(_, group)| group).collect(), ends)
    }

    pub(super) fn mark_handed_out(&mut self, number: u32) {
        if let Some(open) = self.open.get_mut(&number) {
            self.n_handed_out += u32::from(!open.is_handed_out);
            open.is_handed_out = true;
        }
    }

    /// A fresh batch, as long as it has room as a whole.
    fn propose(&mut self, size: u32, room: u32, step: &mut Step) -> Vec<u32> {
        let limit = self.study.limits.max_total_trials;
        let remaining = limit.saturating_sub(self.counts.proposed);
        let mut size = size.min(remaining);
        if self.is_stalled() {
            // What somebody asked for is tried all the same.
            size = size.min(self.asked.n_waiting(self.counts.proposed));
        }
        if size > room || self.is_exhausted {
            return Vec::new();
        }
        let mut numbers = Vec::new();
        for _ in 0..size {
            let number = self.counts.proposed;
            let asked = self.asked.next(number).cloned();
            let sampler = self.sampler.as_mut();
            let drawn = || sampler.and_then(|sampler| sampler.propose(number));
            let Some(configuration) = asked.or_else(drawn) else {
                self.is_exhausted = true;
                break;
            };
            numbers.push(number);
            let proposed = Fact::Proposed { number, configuration };
            self.record(proposed, step);
        }
        numbers
    }

    /// The message of a piece.
    fn assignment(&self, piece: &Piece) -> Assignment {
        let blocks = piece.parts.iter().map(|(number, entities)| Block {
            tried: Numbered {
                number: *number,
                // Whoever is open or leads is known, and nobody else is handed out.
                configuration: self.configuration(*number).cloned().unwrap_or_default(),
            },
            entities: entities.clone(),
        });
        let blocks = blocks.collect();
        Assignment {
            key: AssignmentKey { study: self.id, number: piece.number, attempt: piece.attempt },
            task: match piece.purpose {
                Purpose::Try(stage) => match &self.climb {
                    Some(climb) if !climb.is_plain(stage) => {
                        Task::Climb { after: stage.after, rung: stage.rung, blocks }
                    }
                    _ => Task::Try(blocks),
                },
                Purpose::Refit => Task::Refit(blocks),
            },
        }
    }
}
