//! Who leads: the best of each entity, the best over all, and the settings of whoever may still
//! win.
//!
//! Memory is bounded by entities and open configurations: the settings of a configuration are kept
//! while it is open, leads an entity, or leads the shared ranking.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use fleetfit_search_spaces::{Aims, Configuration, Goal};
use serde::{Deserialize, Serialize};

use super::tally::{Bitmap, Mean};
use crate::sampler::Losses;

/// Marks an entity without a best.
const NOBODY: u32 = u32::MAX;

/// A configuration and what it reached: for one entity, or over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The configuration's number.
    pub configuration: u32,
    /// Its value; over all entities the mean over those that it completed for.
    pub value: f64,
    /// How many entities those are.
    pub completed: u32,
}

impl Ranked {
    pub(crate) fn new(configuration: u32, mean: Mean) -> Option<Self> {
        (mean.completed > 0).then(|| Self {
            configuration,
            value: mean.value(),
            completed: mean.completed,
        })
    }

    /// Less is better: most entities completed, then the lower mean loss, then the lower number.
    pub(crate) fn rank(&self, other: &Self, goal: Goal) -> Ordering {
        let by_loss = compare(goal.loss(self.value), goal.loss(other.value));
        let by_number = self.configuration.cmp(&other.configuration);
        let by_completed = other.completed.cmp(&self.completed);
        by_completed.then(by_loss).then(by_number)
    }
}

/// Losses in order; those that cannot be compared are a tie. `total_cmp` would tell 0 from -0.
fn compare(first: f64, second: f64) -> Ordering {
    first.partial_cmp(&second).unwrap_or(Ordering::Equal)
}

/// Less is better: who came further, then the lower losses, the first one first, then the lower
/// number.
fn order(one: &(u32, Unfinished), other: &(u32, Unfinished)) -> Ordering {
    let by_rung = other.1.rung.cmp(&one.1.rung);
    let losses = one.1.losses.all().iter().zip(other.1.losses.all());
    let by_losses = losses.map(|(own, other)| compare(*own, *other));
    let by_losses = by_losses.fold(Ordering::Equal, Ordering::then);
    by_rung.then(by_losses).then(one.0.cmp(&other.0))
}

#[derive(Clone, Debug)]
struct Known {
    configuration: Configuration,
    /// How many reasons there are to keep it.
    n_holds: u32,
}

/// What a trial that did not complete had come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unfinished {
    /// How far it came; nobody came less far to more.
    pub(super) rung: usize,
    pub(super) value: f64,
    /// In each objective.
    pub(super) losses: Losses,
}

/// By entity: a configuration and what it had come to.
type Furthest = BTreeMap<u32, (u32, Unfinished)>;

/// Whether a trial was stopped, or is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Stopped,
    Open,
}

/// Who leads.
#[derive(Debug)]
pub(super) struct Standings {
    goal: Goal,
    values: Vec<f64>,
    /// With several objectives, what leaders have lost in the others: of two with the same first
    /// loss one may dominate the other.
    further: Vec<f64>,
    further_goals: Vec<Goal>,
    leaders: Vec<u32>,
    touched: Vec<u32>,
    is_touched: Bitmap,
    shared: Option<Ranked>,
    /// The entities for which something has completed, whatever bounds it breaks.
    has_completed: Bitmap,
    /// Of entities for which nothing has completed, the best of those that were stopped furthest.
    stopped: Furthest,
    /// The same of those that were open when the search ended.
    open: Furthest,
    known: BTreeMap<u32, Known>,
}

impl Standings {
    pub(super) fn new(aims: &Aims, n_entities: u32) -> Self {
        let goals = aims.objectives.iter().map(|objective| objective.goal);
        let further_goals: Vec<Goal> = goals.skip(1).collect();
        Self {
            goal: aims.objectives[0].goal,
            values: vec![f64::NAN; n_entities as usize],
            further: vec![f64::NAN; n_entities as usize * further_goals.len()],
            further_goals,
            leaders: vec![NOBODY; n_entities as usize],
            touched: Vec::new(),
            is_touched: Bitmap::default(),
            shared: None,
            has_completed: Bitmap::default(),
            stopped: BTreeMap::new(),
            open: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    /// A configuration begins: its settings are kept until `close`.
    pub(super) fn open(&mut self, number: u32, configuration: Configuration) {
        let known = Known { configuration, n_holds: 1 };
        self.known.insert(number, known);
    }

    /// Every trial of a configuration has ended.
    pub(super) fn close(&mut self, number: u32, mean: Mean) {
        if let Some(candidate) = Ranked::new(number, mean) {
            let before = self.shared;
            let is_better = |held: Ranked| candidate.rank(&held, self.goal) == Ordering::Less;
            if before.is_none_or(is_better) {
                self.shared = Some(candidate);
                self.hold(number);
                if let Some(before) = before {
                    self.let_go(before.configuration);
                }
            }
        }
        self.let_go(number);
    }

    /// A trial completed, and keeps all bounds.
    pub(super) fn complete(&mut self, number: u32, entity: u32, value: f64, further: &[f64]) {
        let slot = entity as usize;
        let Some((&held, &leader)) = self.values.get(slot).zip(self.leaders.get(slot)) else {
            return;
        };
        let width = self.further_goals.len();
        let losses = self.further_goals.iter().zip(further).map(|(goal, &value)| goal.loss(value));
        let held_further = self.further.get_mut(slot * width..(slot + 1) * width);
        let held_further = held_further.unwrap_or_default();
        let by_further = losses.clone().zip(&*held_further).map(|(own, &held)| compare(own, held));
        let order = compare(self.goal.loss(value), self.goal.loss(held));
        let order = order.then(by_further.fold(Ordering::Equal, Ordering::then));
        let leads = leader == NOBODY || order.then(number.cmp(&leader)) == Ordering::Less;
        if !leads {
            return;
        }
        held_further.iter_mut().zip(losses).for_each(|(held, own)| *held = own);
        self.values[slot] = value;
        self.leaders[slot] = number;
        self.hold(number);
        if leader != NOBODY {
            self.let_go(leader);
        }
        self.touch(entity);
    }

    /// A trial completed, whether it may win or not: nobody who did not stands in any more.
    pub(super) fn forget_unfinished(&mut self, entity: u32) {
        self.has_completed.insert(entity as usize);
        for unfinished in [self.stopped.remove(&entity), self.open.remove(&entity)] {
            let Some((own, _)) = unfinished else { continue };
            self.let_go(own);
            self.touch(entity);
        }
    }

    /// A trial did not complete, or not yet.
    pub(super) fn leave_unfinished(
        &mut self,
        number: u32,
        entity: u32,
        (how, reached): (Leave, Unfinished),
    ) {
        let slot = entity as usize;
        if slot >= self.leaders.len() || self.has_completed.contains(slot) {
            return;
        }
        let furthest = match how {
            Leave::Stopped => &mut self.stopped,
            Leave::Open => &mut self.open,
        };
        let own = (number, reached);
        let is_behind = |held: &(u32, Unfinished)| order(&own, held) != Ordering::Less;
        if furthest.get(&entity).is_some_and(is_behind) {
            return;
        }
        let before = furthest.insert(entity, own);
        self.hold(number);
        before.into_iter().for_each(|(own, _)| self.let_go(own));
        if how == Leave::Open {
            self.touch(entity);
        }
    }

    /// Those that were open go on, or ended, or are looked at anew.
    pub(super) fn forget_open(&mut self) {
        for (entity, (own, _)) in std::mem::take(&mut self.open) {
            self.let_go(own);
            self.touch(entity);
        }
    }

    /// What is said of an entity's best has to be said anew.
    pub(super) fn touch(&mut self, entity: u32) {
        if self.is_touched.insert(entity as usize) {
            self.touched.push(entity);
        }
    }

    fn furthest(&self, entity: u32) -> Option<&(u32, Unfinished)> {
        let both = self.stopped.get(&entity).into_iter().chain(self.open.get(&entity));
        both.min_by(|one, other| order(one, other))
    }

    /// The entities of which something is left.
    fn left(&self) -> BTreeSet<u32> {
        self.stopped.keys().chain(self.open.keys()).copied().collect()
    }

    /// The best of those that came furthest for an entity for which nothing has completed.
    pub(super) fn unfinished(&self, entity: u32) -> Option<(f64, u32)> {
        self.furthest(entity).map(|(number, reached)| (reached.value, *number))
    }

    /// The one that is this for most entities, with the mean over those.
    pub(super) fn shared_unfinished(&self) -> Option<Ranked> {
        let mut by_number: BTreeMap<u32, (u32, f64)> = BTreeMap::new();
        let left = self.left();
        for (number, reached) in left.iter().filter_map(|entity| self.furthest(*entity)) {
            let (n, sum) = by_number.entry(*number).or_default();
            *n += 1;
            *sum += reached.value;
        }
        let most = by_number.into_iter().max_by_key(|(number, (n, _))| (*n, u32::MAX - number));
        most.map(|(configuration, (n, sum))| Ranked {
            configuration,
            value: sum / f64::from(n),
            completed: 0,
        })
    }

    /// Every entity without a best whose trials came anywhere is told anew.
    pub(super) fn touch_unfinished(&mut self) {
        for entity in self.left() {
            self.touch(entity);
        }
    }

    pub(super) fn best(&self, entity: u32) -> Option<(f64, u32)> {
        let leader = *self.leaders.get(entity as usize)?;
        (leader != NOBODY).then(|| (self.values[entity as usize], leader))
    }

    /// The best among the configurations that have ended for every entity.
    pub(super) fn shared(&self) -> Option<Ranked> {
        self.shared
    }

    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    pub(super) fn configuration(&self, number: u32) -> Option<&Configuration> {
        self.known.get(&number).map(|known| &known.configuration)
    }

    pub(super) fn take_touched(&mut self) -> Vec<u32> {
        let touched = std::mem::take(&mut self.touched);
        for &entity in &touched {
            self.is_touched.remove(entity as usize);
        }
        touched
    }

    fn hold(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(&number) {
            known.n_holds += 1;
        }
    }

    fn let_go(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(&number) {
            known.n_holds -= 1;
            if known.n_holds == 0 {
                self.known.remove(&number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Job, Objective};

    use super::*;

    fn aims(goals: &[Goal]) -> Aims {
        let text = "type: sweep\ntrial: external\nsearch_space: {x: [1, 2]}\n\
                    objective: {goal: minimize, primary_metric: a}\n\
                    limits: {max_total_trials: 2}\n";
        let mut study = Job::read("job.yaml", text).unwrap().study().unwrap();
        let objective = |(index, &goal): (usize, &Goal)| Objective {
            metric: format!("m{index}"),
            goal,
            ..study.objective.clone()
        };
        let mut objectives: Vec<Objective> = goals.iter().enumerate().map(objective).collect();
        study.objective = objectives.remove(0);
        study.further_objectives = objectives;
        Aims::of(&study)
    }

    #[test]
    fn of_equal_ones_the_leader_is_not_dominated() {
        let mut standings = Standings::new(&aims(&[Goal::Minimize, Goal::Maximize]), 2);
        for (number, (value, further)) in
            (0..).zip([(1.0, 5.0), (1.0, 7.0), (1.0, 6.0), (2.0, 99.0), (1.0, 7.0)])
        {
            standings.open(number, Configuration::default());
            standings.complete(number, 1, value, &[further]);
        }
        assert_eq!((standings.best(0), standings.best(1)), (None, Some((1.0, 1))));
    }

    fn mean(sum: f64, completed: u32) -> Mean {
        Mean { sum, completed }
    }

    #[test]
    fn only_who_may_win_is_kept() {
        let mut standings = Standings::new(&aims(&[Goal::Maximize]), 2);
        for number in 0..100 {
            standings.open(number, Configuration::default());
            let value = f64::from(number % 10);
            standings.complete(number, 0, value, &[]);
            standings.complete(number, 1, -value, &[]);
            standings.close(number, mean(0.0, 2));
        }
        assert_eq!(standings.best(0), Some((9.0, 9)));
        assert_eq!(standings.best(1), Some((0.0, 0)));
        assert_eq!(standings.shared().map(|best| best.configuration), Some(0));
        assert_eq!(standings.known.len(), 2);
        assert_eq!(standings.take_touched(), [0, 1]);
        assert!(standings.take_touched().is_empty());
    }

    #[test]
    fn who_came_furthest_stands_in_until_somebody_completes() {
        let mut standings = Standings::new(&aims(&[Goal::Minimize]), 2);
        for number in 0..6 {
            standings.open(number, Configuration::default());
        }
        let unfinished =
            |rung, value| Unfinished { rung, value, losses: Losses::new([value], 0.0) };
        let at = |rung, value| (Leave::Stopped, unfinished(rung, value));
        for (number, reached) in (0..).zip([at(0, 1.0), at(1, 5.0), at(1, 4.0), at(0, 0.5)]) {
            standings.leave_unfinished(number, 0, reached);
            standings.close(number, mean(0.0, 0));
        }
        assert_eq!(standings.unfinished(0), Some((4.0, 2)));
        let shared = Ranked { configuration: 2, value: 4.0, completed: 0 };
        assert_eq!((standings.shared_unfinished(), standings.best(0)), (Some(shared), None));
        assert_eq!(standings.known.keys().copied().collect::<Vec<_>>(), [2, 4, 5]);
        // Whoever was open when the search ended counts until it goes on.
        standings.leave_unfinished(4, 0, (Leave::Open, unfinished(2, 9.0)));
        assert_eq!(standings.unfinished(0), Some((9.0, 4)));
        standings.forget_open();
        assert_eq!(standings.unfinished(0), Some((4.0, 2)));
        standings.leave_unfinished(4, 0, (Leave::Open, unfinished(2, 9.0)));
        standings.complete(5, 0, 99.0, &[]);
        standings.forget_unfinished(0);
        assert_eq!((standings.unfinished(0), standings.best(0)), (None, Some((99.0, 5))));
        standings.leave_unfinished(4, 0, at(3, 0.0));
        assert_eq!(standings.unfinished(0), None);
    }

    #[test]
    fn completing_for_more_entities_outranks_a_better_mean() {
        let mut standings = Standings::new(&aims(&[Goal::Minimize]), 3);
        for (number, sum, completed) in [(0, 0.1, 1), (1, 30.0, 3), (2, 27.0, 3), (3, 27.0, 3)] {
            standings.open(number, Configuration::default());
            standings.close(number, mean(sum, completed));
        }
        let expected = Ranked { configuration: 2, value: 9.0, completed: 3 };
        assert_eq!(standings.shared(), Some(expected));
    }
}
