//! What was tried so far, as points of the unit cube.
//!
//! Methods see one loss a trial. Where there are several, or bounds, it is the trial's place in their
//! order (`settle`), or one that is made of them anew (`aimed`).

mod groups;
mod order;
mod rungs;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use fleetfit_search_spaces::Configuration;
use fleetfit_search_spaces::seed::mix;
use rand::Rng;
use rand_pcg::Pcg64;

use super::axes::Axes;
use super::front::{self, Losses};
use super::random::unit;
pub(super) use groups::Group;
use groups::Groups;
pub(super) use order::Class;
use rungs::Rungs;

/// More ended trials than this are not remembered: the best quarter and the latest quarter stay. They
/// are gone through by number, up to the first that runs, so that it does not matter who ended first;
/// whoever runs when so many that came later have ended is waited for no longer.
const MOST: usize = 4_096;

/// The same where there are several losses or bounds: all of them are put in order for each proposal.
const MOST_JUDGED: usize = 1_024;

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// Its loss.
    Completed(f64),
    /// Its losses, where there are several, and how far it is from what has to hold. A method does
    /// not meet these: it is told a loss that stands for them (`front`).
    Judged(Losses),
    /// It was stopped early, and what it had reached by then. Where it passed rungs, methods see what
    /// it would have come to (`rungs`).
    Stopped(Option<f64>),
    /// It has no loss.
    Failed,
}

/// A trial as a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    pub(super) number: u32,
    /// A coordinate for each axis; not a number where the axis is inactive.
    pub(super) units: Vec<f64>,
    /// None while it runs.
    pub(super) fate: Option<Fate>,
}

impl Past {
    /// The loss it completed with.
    pub(super) fn loss(&self) -> Option<f64> {
        match self.fate {
            Some(Fate::Completed(loss)) => Some(loss),
            _ => None,
        }
    }
}

/// What was tried so far, by number.
#[derive(Debug, Default)]
pub(super) struct History {
    trials: Vec<Past>,
    /// The same by branches; none until they are looked at.
    groups: Option<Groups>,
    /// Hashes of the points that were begun, so that nobody has to look for one among all.
    points: HashSet<u64>,
    n_ended: usize,
    /// How many ended trials were forgotten.
    n_forgotten: usize,
    /// How many trials were gone through to be forgotten or not, and how many of them have ended.
    n_passed: usize,
    n_passed_ended: usize,
    /// Those of lower numbers are of earlier studies.
    first_own: u32,
    /// By number, where there are several losses or bounds.
    judged: BTreeMap<u32, Losses>,
    /// Where trials stood that were, or might have been, stopped.
    rungs: Rungs,
    /// Whether places in the order of several losses, or what stopped trials would have come to,
    /// have changed.
    is_unsettled: bool,
    /// Whether losses are made of several, anew for each proposal.
    is_aimed: bool,
}

impl History {
    /// A configuration runs from now on. Those that the space does not hold are passed over.
    pub(super) fn begin(&mut self, axes: &Axes, number: u32, configuration: &Configuration) {
        let Some(units) = axes.units(configuration) else { return };
        let place = self.trials.partition_point(|past| past.number < number);
        if self.trials.get(place).is_none_or(|past| past.number != number) {
            self.points.insert(point(&units));
            let past = Past { number, units, fate: None };
            self.n_passed += usize::from(place < self.n_passed);
            match &mut self.groups {
                Some(groups) if place == self.trials.len() => groups.begin(axes, place, &past),
                groups => *groups = None,
            }
            self.trials.insert(place, past);
        }
    }

    /// A configuration passed a rung, or was stopped there. Told before it ends, rungs ascending.
    pub(super) fn pass(&mut self, number: u32, rung: u32, loss: f64) {
        self.rungs.pass(number, rung, loss);
        self.is_unsettled = true;
    }

    /// A configuration has ended.
    pub(super) fn end(&mut self, axes: &Axes, number: u32, fate: Fate) {
        let place = self.trials.partition_point(|past| past.number < number);
        if let Some(past) = self.trials.get_mut(place).filter(|past| past.number == number) {
            let is_number = |loss: f64| loss.is_finite();
            self.is_unsettled |= !self.rungs.is_empty();
            let is_new = past.fate.is_none();
            self.n_ended += usize::from(is_new);
            self.n_passed_ended += usize::from(is_new && place < self.n_passed);
            past.fate = Some(match fate {
                Fate::Completed(loss) if !is_number(loss) => Fate::Failed,
                Fate::Judged(losses) if losses.are_finite() => {
                    self.judged.insert(number, losses);
                    self.is_unsettled = true;
                    Fate::Completed(losses.first())
                }
                Fate::Judged(_) => Fate::Failed,
                Fate::Stopped(loss) => Fate::Stopped(loss.filter(|&loss| is_number(loss))),
                fate => fate,
            });
            if let Some(groups) = &mut self.groups {
                groups.end(axes, place, &self.trials);
            }
        }
        self.pass_by();
    }

    /// Brings everything up to date that a proposal looks at.
    pub(super) fn settle(&mut self, axes: &Axes) {
        self.settle_losses();
        if self.groups.is_none() {
            self.groups = Some(Groups::of(axes, &self.trials));
        }
    }

    /// Puts trials with several losses in order: each has its place as its loss. And gives those
    /// that were stopped the losses that they would have come to.
    fn settle_losses(&mut self) {
        if !std::mem::take(&mut self.is_unsettled) {
            return;
        }
        if self.judged.is_empty() {
            self.rungs.settle(&mut self.trials);
            if let Some(groups) = &mut self.groups {
                groups.rank(&self.trials);
            }
            return;
        }
        let numbers: Vec<u32> = self.judged.keys().copied().collect();
        let losses: Vec<Losses> = self.judged.values().copied().collect();
        let order = front::order(&losses);
        let mut places = vec![0.0; numbers.len()];
        for (place, at) in order.into_iter().enumerate() {
            places[at] = place as f64;
        }
        self.set_losses(&numbers, &places);
    }

    /// The same with one loss made of several, for methods to which its size matters, and not only
    /// the order. None where each trial has one. As long as no trial keeps all bounds, the loss is how
    /// far it is from it.
    pub(super) fn aimed(&self, draw: &mut Pcg64) -> Option<Self> {
        if self.judged.is_empty() {
            return None;
        }
        let numbers: Vec<u32> = self.judged.keys().copied().collect();
        let losses: Vec<Losses> = self.judged.values().copied().collect();
        let is_any_feasible = losses.iter().any(Losses::is_feasible);
        let scalars = match is_any_feasible {
            true => front::scalars(&losses, || unit(draw.next_u64())),
            false => front::distances(&losses),
        };
        let mut aimed = Self {
            trials: self.trials.clone(),
            n_ended: self.n_ended,
            n_forgotten: self.n_forgotten,
            first_own: self.first_own,
            judged: self.judged.clone(),
            // With one objective, losses are those of the trials.
            is_aimed: self.has_several(),
            ..Self::default()
        };
        aimed.set_losses(&numbers, &scalars);
        if aimed.is_aimed || !is_any_feasible {
            // What those had reached that were stopped is of the first objective alone.
            for past in &mut aimed.trials {
                if let Some(Fate::Stopped(reached)) = &mut past.fate {
                    *reached = None;
                }
            }
        }
        Some(aimed)
    }

    /// Whether losses are made of several for one proposal alone.
    pub(super) fn is_aimed(&self) -> bool {
        self.is_aimed
    }

    fn set_losses(&mut self, numbers: &[u32], losses: &[f64]) {
        self.groups = None;
        for (number, &loss) in numbers.iter().zip(losses) {
            let place = self.trials.binary_search_by_key(number, |past| past.number);
            if let Some(past) = place.ok().and_then(|place| self.trials.get_mut(place)) {
                past.fate = Some(Fate::Completed(loss));
            }
        }
    }

    /// Whether trials have several losses.
    pub(super) fn has_several(&self) -> bool {
        self.judged.values().next().is_some_and(|losses| losses.all().len() > 1)
    }

    /// Whether some trials break bounds and others keep all.
    pub(super) fn is_bounded(&self) -> bool {
        let feasible = self.judged.values().filter(|losses| losses.is_feasible()).count();
        feasible > 0 && feasible < self.judged.len()
    }

    /// Whether nothing says what is better: nothing has completed, or all came to the same, and none
    /// failed or was stopped.
    pub(super) fn tells_nothing(&self) -> bool {
        let lost = |past: &Past| match past.fate {
            Some(Fate::Completed(loss)) => Some((loss, self.losses(past.number))),
            _ => None,
        };
        let mut completed = self.trials.iter().filter_map(lost);
        let Some((first, first_judged)) = completed.next() else { return true };
        let are_alike = completed.all(|(loss, judged)| match (first_judged, judged) {
            (Some(first), Some(own)) => first == own,
            _ => first == loss,
        });
        let is_worse = |past: &Past| matches!(past.fate, Some(Fate::Failed | Fate::Stopped(_)));
        are_alike && !self.trials.iter().any(is_worse)
    }

    /// All that a trial has lost, where there are several losses or bounds.
    pub(super) fn losses(&self, number: u32) -> Option<Losses> {
        self.judged.get(&number).copied()
    }

    /// How many have ended, of those that are remembered.
    pub(super) fn n_ended(&self) -> usize {
        self.n_ended
    }

    /// The same with those that are forgotten.
    pub(super) fn n_ever_ended(&self) -> usize {
        self.n_ended + self.n_forgotten
    }

    /// Those from a number on.
    pub(super) fn from(&self, number: u32) -> &[Past] {
        &self.trials[self.trials.partition_point(|past| past.number < number)..]
    }

    /// Puts these in the place of all before a number; their own numbers ascend up to it. To be brought
    /// up to date afterwards (`settle`).
    pub(super) fn begin_with(&mut self, pasts: Vec<Past>, number: u32) {
        let own = self.trials.partition_point(|past| past.number < number);
        self.groups = None;
        // What stopped trials would have come to is judged by these as well.
        self.is_unsettled |= !self.rungs.is_empty();
        self.trials.splice(..own, pasts);
        self.first_own = number;
        self.n_ended = self.trials.iter().filter(|past| past.fate.is_some()).count();
        (self.n_passed, self.n_passed_ended) = (0, 0);
        self.pass_by();
    }

    /// The study's own trials.
    pub(super) fn own(&self) -> &[Past] {
        self.from(self.first_own)
    }

    /// Whether the very point was begun, as far as that is remembered.
    pub(super) fn holds(&self, units: &[f64]) -> bool {
        self.points.contains(&point(units))
    }

    /// All that is remembered by branches: the alternatives that trials take of each choice that other
    /// axes hang on, and the trials. To be brought up to date before (`settle`).
    pub(super) fn groups(&self) -> impl Iterator<Item = (&[u32], &Group)> {
        self.groups.iter().flat_map(Groups::iter)
    }

    /// All that is remembered, by number.
    pub(super) fn trials(&self) -> &[Past] {
        &self.trials
    }

    /// Goes on through those that have ended, and forgets whenever they are too many.
    fn pass_by(&mut self) {
        while let Some(past) = self.trials.get(self.n_passed) {
            if past.fate.is_some() {
                self.n_passed_ended += 1;
            } else if self.n_ended - self.n_passed_ended <= MOST {
                break;
            }
            let is_judged = self.judged.range(..=past.number).next().is_some();
            let most = if is_judged { MOST_JUDGED } else { MOST };
            self.n_passed += 1;
            if self.n_passed_ended > most {
                self.forget(most / 4);
            }
        }
    }

    /// Keeps so many of the best and of the latest that were gone through, and whoever runs.
    fn forget(&mut self, n_kept: usize) {
        let passed = &self.trials[..self.n_passed];
        let last = passed.last().map_or(0, |past| past.number);
        let (numbers, judged): (Vec<u32>, Vec<Losses>) = self.judged.range(..=last).unzip();
        let mut losses: Vec<(f64, u32)> = match judged.is_empty() {
            true => passed.iter().filter_map(|past| Some((past.loss()?, past.number))).collect(),
            false => (0..)
                .zip(front::order(&judged))
                .map(|(at, n)| (f64::from(at), numbers[n]))
                .collect(),
        };
        // Of those with the same loss the first.
        losses.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        losses.truncate(n_kept);
        let best: HashSet<u32> = losses.into_iter().map(|(_, number)| number).collect();
        let mut n_before_late = self.n_passed_ended - n_kept;
        let (mut place, mut n_gone) = (0, 0);
        let mut gone = HashSet::new();
        self.trials.retain(|past| {
            place += 1;
            if place > self.n_passed || past.fate.is_none() {
                return true;
            }
            let is_late = n_before_late == 0;
            n_before_late -= usize::from(!is_late);
            let is_kept = is_late || best.contains(&past.number);
            if !is_kept {
                gone.insert(point(&past.units));
                n_gone += 1;
            }
            is_kept
        });
        self.n_ended -= n_gone;
        self.n_forgotten += n_gone;
        self.n_passed -= n_gone;
        self.n_passed_ended -= n_gone;
        self.groups = None;
        self.points.retain(|point| !gone.contains(point));
        // Some came twice.
        let kept = self.trials.iter().map(|past| point(&past.units));
        self.points.extend(kept.filter(|point| gone.contains(point)));
        if !(self.judged.is_empty() && self.rungs.is_empty()) {
            let kept: BTreeSet<u32> = self.trials.iter().map(|past| past.number).collect();
            self.judged.retain(|number, _| kept.contains(number));
            self.rungs.retain(|number| kept.contains(&number));
        }
    }
}

/// A hash of a point.
fn point(units: &[f64]) -> u64 {
    units.iter().fold(units.len() as u64, |hash, &unit| {
        // Coordinates that are no numbers are the same, and so are both zeros.
        let bits = if unit.is_nan() { u64::MAX } else { (unit + 0.0).to_bits() };
        mix(&[hash, bits])
    })
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Domain, Parameter, SearchSpace};

    use super::*;

    fn line() -> Axes {
        let domain = Domain::Uniform { min: 0.0, max: 1.0, q: None };
        Axes::new(SearchSpace { parameters: vec![Parameter { name: "x".into(), domain }] })
    }

    #[test]
    fn the_best_the_latest_and_the_running_are_remembered() {
        let axes = line();
        for losses in [[0.0, 0.0], [1.0, 2.0]] {
            let mut history = History::default();
            for number in 0..20_000u32 {
                let unit = f64::from(number) / 20_000.0;
                history.begin(&axes, number, &axes.configuration(&[unit]));
                if number % 10 != 3 {
                    let loss = losses[usize::from(number != 777)] + unit * losses[1];
                    history.end(&axes, number, Fate::Completed(loss));
                }
                // Nobody that runs is waited for any longer than this.
                assert!(history.n_ended() <= 2 * MOST);
            }
            let has = |number: u32| history.trials().iter().any(|past| past.number == number);
            let n_running = history.trials().iter().filter(|past| past.fate.is_none()).count();
            assert_eq!(n_running, 2_000);
            assert!(has(19_999) && has(19_000) && has(3));
            assert!(losses[0] == losses[1] || has(777) && has(0));
            assert_eq!(history.trials().len() - n_running, history.n_ended());
            assert!(history.holds(&history.trials()[7].units) && !history.holds(&[0.2 + 1e-9]));
            let n_held = (0..20_000).filter(|n| history.holds(&[f64::from(*n) / 20_000.0])).count();
            assert_eq!(n_held, history.trials().len());
        }
    }

    #[test]
    fn several_losses_become_places_and_sizes() {
        let axes = line();
        let mut history = History::default();
        let ends = [([3.0, 3.0], 0.0), ([1.0, 2.0], 0.0), ([0.0, 0.0], 0.5), ([2.0, 1.0], 0.0)];
        for (number, (losses, violation)) in (0..).zip(ends) {
            history.begin(&axes, number, &axes.configuration(&[0.1 * f64::from(number)]));
            history.end(&axes, number, Fate::Judged(Losses::new(losses, violation)));
        }
        history.begin(&axes, 4, &axes.configuration(&[0.9]));
        history.end(&axes, 4, Fate::Judged(Losses::new([f64::NAN, 1.0], 0.0)));
        history.settle(&axes);
        let losses = |history: &History| -> Vec<Option<f64>> {
            history.trials().iter().map(Past::loss).collect()
        };
        let places = losses(&history);
        assert_eq!((places[0], places[2], places[4]), (Some(2.0), Some(3.0), None));
        let aimed = history.aimed(&mut Pcg64::new(1, 1)).unwrap();
        let sizes = losses(&aimed);
        assert!(sizes[0] > sizes[1] && sizes[0] > sizes[3] && sizes[4].is_none(), "{sizes:?}");
        assert_eq!(places, losses(&history));
        let mut plain = History::default();
        plain.begin(&axes, 0, &axes.configuration(&[0.5]));
        plain.end(&axes, 0, Fate::Completed(7.0));
        plain.settle(&axes);
        assert!(plain.aimed(&mut Pcg64::new(1, 1)).is_none());
        assert_eq!(plain.trials()[0].loss(), Some(7.0));
    }

    #[test]
    fn what_was_reached_counts_with_one_objective() {
        let axes = line();
        let stopped_of = |losses: Losses| {
            let mut history = History::default();
            for (number, fate) in [(0, Fate::Judged(losses)), (1, Fate::Stopped(Some(9.0)))] {
                history.begin(&axes, number, &axes.configuration(&[0.1 * f64::from(number)]));
                history.end(&axes, number, fate);
            }
            history.settle(&axes);
            history.aimed(&mut Pcg64::new(1, 1)).unwrap().trials()[1].fate
        };
        assert_eq!(stopped_of(Losses::new([1.0], 0.0)), Some(Fate::Stopped(Some(9.0))));
        // Losses are how far bounds are exceeded, or made of several.
        assert_eq!(stopped_of(Losses::new([1.0], 0.5)), Some(Fate::Stopped(None)));
        assert_eq!(stopped_of(Losses::new([1.0, 2.0], 0.0)), Some(Fate::Stopped(None)));
    }

    #[test]
    fn the_front_is_remembered() {
        let axes = line();
        let mut history = History::default();
        for number in 0..10_000u32 {
            let unit = f64::from(number) / 10_000.0;
            history.begin(&axes, number, &axes.configuration(&[unit]));
            let first = f64::from(number * 37 % 1_000);
            let second = if number < 50 { 1_000.0 - first } else { 2_000.0 - first };
            history.end(&axes, number, Fate::Judged(Losses::new([first, second], 0.0)));
        }
        assert!(history.n_ended() <= MOST_JUDGED && history.judged.len() == history.n_ended());
        assert!((0..50).all(|number| history.judged.contains_key(&number)));
    }

    /// A history of trials that ended in an order of their own, so many at once.
    fn ended(n: u32, n_at_once: usize, fate: fn(u32) -> Fate) -> History {
        let axes = line();
        let (mut history, mut running) = (History::default(), Vec::new());
        for number in 0..n {
            let unit = f64::from(number) / f64::from(n);
            history.begin(&axes, number, &axes.configuration(&[unit]));
            running.push(number);
            while running.len() >= n_at_once || number + 1 == n && !running.is_empty() {
                let at = mix(&[u64::from(number), running.len() as u64]) as usize % running.len();
                let number = running.swap_remove(at);
                history.pass(number, 0, f64::from(number * 31 % 1_009));
                history.end(&axes, number, fate(number));
            }
        }
        history.settle(&axes);
        history
    }

    #[test]
    fn it_does_not_matter_who_ended_first() {
        let one = |number: u32| match number % 7 {
            3 => Fate::Failed,
            5 => Fate::Stopped(Some(f64::from(number % 50))),
            _ => Fate::Completed(f64::from(number * 37 % 1_000)),
        };
        let two = |number: u32| match number % 7 {
            3 => Fate::Failed,
            _ => {
                let losses = [37, 91].map(|factor| f64::from(number * factor % 1_000));
                Fate::Judged(Losses::new(losses, f64::from(number % 5)))
            }
        };
        for fate in [one, two as fn(u32) -> Fate] {
            let in_order = ended(15_000, 1, fate);
            for n_at_once in [2, 40, 200] {
                let history = ended(15_000, n_at_once, fate);
                // By words, as coordinates may be no numbers.
                assert_eq!(format!("{:?}", history.trials), format!("{:?}", in_order.trials));
                assert!(history.judged.keys().eq(in_order.judged.keys()));
                assert_eq!(history.points, in_order.points);
                assert_eq!(history.n_ended, in_order.n_ended);
            }
        }
    }

    #[test]
    fn a_point_is_found_again() {
        let axes = line();
        let mut history = History::default();
        history.begin(&axes, 0, &axes.configuration(&[0.25]));
        assert!(history.holds(&[0.25]));
        assert!(!history.holds(&[0.5]));
    }

    #[test]
    fn what_is_no_number_is_a_failure() {
        let axes = line();
        let mut history = History::default();
        let fates = [
            (Fate::Completed(f64::NAN), Fate::Failed),
            (Fate::Completed(f64::INFINITY), Fate::Failed),
            (Fate::Stopped(Some(f64::NAN)), Fate::Stopped(None)),
            (Fate::Completed(1.0), Fate::Completed(1.0)),
        ];
        for (number, (fate, expected)) in (0..).zip(fates) {
            history.begin(&axes, number, &axes.configuration(&[0.5]));
            history.end(&axes, number, fate);
            assert_eq!(history.trials()[number as usize].fate, Some(expected));
        }
    }
}
