//! What is tried before the sampler is asked: what the study began with, then what was asked for
//! while it ran.
//!
//! Both come one after the other, so that the number of each is known as soon as it is asked for. A
//! request that is marked counts once, however often it comes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use fleetfit_search_spaces::Configuration;

use super::{Phase, StudyState};
use crate::event::{Event, Fact, Mark, Step};
use crate::sampler::Earlier;

/// So many times the trials that measure noise have to be left for it.
const WORTH: usize = 4;

/// How many marks are remembered.
const MAX_MARKS: usize = 256;

/// What is tried before the sampler is asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What the study began with, by number.
    warm: Vec<Configuration>,
    /// What was asked for since, in order.
    queue: VecDeque<Configuration>,
    /// Numbers of all that wait, by what they are, the first first.
    waiting: HashMap<String, VecDeque<u32>>,
    marks: VecDeque<Mark>,
}

/// Why configurations are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotQueued {
    /// The search is over.
    Over,
    /// The study tries no more than so many in all, so many of which are left.
    Full {
        /// In all.
        limit: u32,
        /// Left.
        left: u32,
    },
    /// The mark came with another request before.
    OtherMark,
}

impl Asked {
    /// The configuration that has this number, unless the sampler is to be asked.
    pub(super) fn next(&self, number: u32) -> Option<&Configuration> {
        self.warm.get(number as usize).or_else(|| self.queue.front())
    }

    /// A configuration was proposed; whether it came from here.
    pub(super) fn take(&mut self, number: u32) -> bool {
        let taken = match self.warm.get(number as usize) {
            Some(warm) => Some(warm.to_json()),
            None => self.queue.pop_front().map(|queued| queued.to_json()),
        };
        let Some(text) = taken else { return false };
        if let Entry::Occupied(mut numbers) = self.waiting.entry(text) {
            numbers.get_mut().pop_front();
            if numbers.get().is_empty() {
                numbers.remove();
            }
        }
        true
    }

    /// Whether the study began with it.
    pub(super) fn is_by_hand(&self, number: u32) -> bool {
        (number as usize) < self.warm.len()
    }

    /// The number that the next one gets that is asked for.
    fn next_number(&self, n_proposed: u32) -> u32 {
        let first = n_proposed.max(self.warm.len() as u32);
        first.saturating_add(self.queue.len() as u32)
    }

    /// How many wait.
    pub(super) fn n_waiting(&self, n_proposed: u32) -> u32 {
        self.next_number(n_proposed) - n_proposed
    }
}

impl StudyState {
    /// Tries these first: those that are in the space, each once. Asked before the first fact is
    /// replayed, in every life of the study with the same ones.
    pub fn warm_start(&mut self, configurations: Vec<Configuration>) {
        for configuration in configurations {
            let number = self.asked.warm.len() as u32;
            if self.study.space.contains(&configuration)
                && let Entry::Vacant(vacant) = self.asked.waiting.entry(configuration.to_json())
            {
                vacant.insert(VecDeque::from([number]));
                self.asked.warm.push(configuration);
            }
        }
        // Before its first proposal, the sampler knows all of them.
        for configuration in &self.asked.warm {
            if let Some(sampler) = &mut self.sampler {
                sampler.avoid(configuration);
            }
        }
    }

    /// Teaches the sampler what came of earlier trials. Asked before the first fact is replayed, in
    /// every life of the study with the same ones. An earlier loss does not say how a trial stands where
    /// there are several, or bounds.
    pub fn learn_from(&mut self, trials: &[Earlier]) {
        if let (Some(sampler), true) = (&mut self.sampler, self.aims.are_plain()) {
            sampler.earlier(trials);
        }
    }

    /// The number that the next configuration gets that is asked for.
    pub fn next_asked(&self) -> u32 {
        self.asked.next_number(self.counts.proposed)
    }

    /// Whether this very point waits, was tried, or is about to be, as far as points of the space can be
    /// told apart.
    pub fn knows(&self, configuration: &Configuration) -> bool {
        self.sampler.as_ref().is_some_and(|sampler| sampler.knows(configuration))
    }

    /// Takes in configurations to try before the sampler is asked again, all or none, and tells
    /// their numbers: of one that waits or runs already the number that it has. Each is of the space.
    pub fn enqueue(
        &mut self,
        configurations: Vec<Configuration>,
        mark: Option<(u64, u64)>,
    ) -> Result<(Vec<u32>, Step), NotQueued> {
        if let Some((key, request)) = mark
            && let Some(known) = self.asked.marks.iter().find(|known| known.key == key)
        {
            let is_same = known.request == request;
            return is_same
                .then(|| (known.numbers.clone(), Step::default()))
                .ok_or(NotQueued::OtherMark);
        }
        if self.phase != Phase::Searching {
            return Err(NotQueued::Over);
        }
        let open = self.open.keys().filter_map(|&number| {
            self.configuration(number).map(|configuration| (configuration.to_json(), number))
        });
        let mut known: HashMap<String, u32> = open.collect();
        let first = self.next_asked();
        let mut fresh = Vec::new();
        let mut numbers = Vec::with_capacity(configurations.len());
        for configuration in configurations {
            let next = first.saturating_add(fresh.len() as u32);
            let text = configuration.to_json();
            let waiting = self.asked.waiting.get(&text).and_then(VecDeque::front).copied();
            let number = *known.entry(text).or_insert(waiting.unwrap_or(next));
            if number == next {
                fresh.push(configuration);
            }
            numbers.push(number);
        }
        let limit = self.study.limits.max_total_trials;
        let left = limit.saturating_sub(first);
        if fresh.len() > left as usize {
            return Err(NotQueued::Full { limit, left });
        }
        let mark = mark.map(|(key, request)| Mark { key, request, numbers: numbers.clone() });
        let step = match fresh.is_empty() && mark.is_none() {
            true => Step::default(),
            false => self.handle(Event::Queued { configurations: fresh, mark }),
        };
        Ok((numbers, step))
    }

    pub(super) fn apply_queued(&mut self, configurations: &[Configuration], mark: Option<&Mark>) {
        for configuration in configurations {
            if let Some(sampler) = &mut self.sampler {
                sampler.avoid(configuration);
            }
            let number = self.next_asked();
            self.asked.waiting.entry(configuration.to_json()).or_default().push_back(number);
            self.asked.queue.push_back(configuration.clone());
        }
        // A space that was used up has something left to try.
        self.is_exhausted &= self.asked.queue.is_empty();
        self.asked.marks.extend(mark.cloned());
        if self.asked.marks.len() > MAX_MARKS {
            self.asked.marks.pop_front();
        }
    }

    /// Tries the best again where that is to be known before the search ends, nobody does already, and
    /// enough is left that there is anything to save.
    pub(super) fn measure(&mut self, step: &mut Step) {
        let Some(converged) = &self.converged else { return };
        let Some((best, n)) = converged.repeats() else { return };
        let mut open = self.open.keys().filter_map(|&number| self.configuration(number));
        let is_waited_for = self.asked.n_waiting(self.counts.proposed) > 0;
        let is_worth_it = n > 0 && WORTH * n <= self.n_unproposed() as usize;
        if is_worth_it && !is_waited_for && !open.any(|at| converged.knows(at)) {
            let configurations = vec![best.clone(); n];
            self.queue(configurations, None, step);
        }
    }

    pub(super) fn queue(
        &mut self,
        configurations: Vec<Configuration>,
        mark: Option<Mark>,
        step: &mut Step,
    ) {
        if self.phase == Phase::Searching {
            self.record(Fact::Queued { configurations, mark }, step);
        }
    }
}
