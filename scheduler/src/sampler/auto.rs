//! What `auto` and `bayesian` stand for where there are few axes: a Gaussian process, which needs
//! the fewest trials, and in between the Parzen estimators, which go on looking where the process is
//! sure that there is nothing to be found. Branches of a conditional space take turns then, for each
//! of both: the process alone settles on one of them too soon. So do the alternatives of all other
//! choices, one choice after the other, once nothing is gained any more: under another word the best
//! place may be another one, which no trial near the best so far shows.

use fleetfit_search_spaces::sampling::estimators_from;
use rand_pcg::Pcg64;

use super::axes::{Axes, Kind};
use super::gp::Gp;
use super::history::{Fate, History};
use super::tpe::{Tpe, choose_alternative, choose_branches};

/// Once the estimators have a say, every so manieth proposal is theirs.
const EVERY: usize = 3;

/// Nothing is gained where so many trials, the latest, make the best better by less than this share of
/// what the middle of so many first ones is above it.
const LATEST: usize = 12;
const LEAST_GAIN: f64 = 1e-3;
const FIRST: usize = 32;

/// Of more alternatives each would have too few trials.
const MOST_WORDS: usize = 32;

/// Both methods.
#[derive(Default)]
pub(super) struct Auto {
    gp: Gp,
    tpe: Tpe,
}

impl Auto {
    /// How many trials come from the sequence first.
    pub(super) fn n_first(&self, axes: &Axes) -> usize {
        self.gp.n_first(axes)
    }

    /// Points to try next, the best first.
    pub(super) fn propose(
        &mut self,
        axes: &Axes,
        history: &History,
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let next = history.trials().last().map_or(0, |past| past.number as usize + 1);
        let mut fixed = vec![f64::NAN; axes.kinds().len()];
        let is_stuck = gains_nothing(history);
        if is_stuck || history.n_ended() >= estimators_from(axes.kinds().len()) {
            if next % EVERY == EVERY - 1 {
                return self.tpe.propose(axes, history, draw);
            }
            choose_branches(axes, history, &mut fixed);
            if next.is_multiple_of(EVERY) && is_stuck {
                let words = words(axes, &fixed);
                if let Some(&word) = words.get(next / EVERY % words.len().max(1)) {
                    choose_alternative(axes, history, word, &mut fixed);
                }
            }
        }
        let points = self.gp.propose(axes, history, &fixed, draw);
        match points.is_empty() {
            true => self.tpe.propose(axes, history, draw),
            false => points,
        }
    }
}

/// The categories that are free at a point and may take turns.
fn words(axes: &Axes, fixed: &[f64]) -> Vec<usize> {
    let is_word = |&axis: &usize| {
        let is_free = fixed[axis].is_nan() && axes.is_active(axis, fixed);
        is_free && matches!(axes.kinds()[axis], Kind::Category(2..=MOST_WORDS))
    };
    (0..fixed.len()).filter(is_word).collect()
}

/// Whether the latest trials brought hardly anything. With several losses, or bounds, that is not told.
fn gains_nothing(history: &History) -> bool {
    if history.has_several() || history.is_bounded() {
        return false;
    }
    let completed = history.own().iter().filter_map(|past| match past.fate {
        Some(Fate::Completed(loss)) => Some(loss),
        _ => None,
    });
    let losses: Vec<f64> = completed.collect();
    let Some(n_before) = losses.len().checked_sub(LATEST) else { return false };
    let mut first: Vec<f64> = losses.iter().copied().take(FIRST).collect();
    first.sort_by(f64::total_cmp);
    let least = |of: &[f64]| of.iter().copied().fold(f64::INFINITY, f64::min);
    let (before, now) = (least(&losses[..n_before]), least(&losses));
    before - now <= LEAST_GAIN * (first[first.len() / 2] - now)
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::seed::mix;
    use fleetfit_search_spaces::{Alternative, Domain, Parameter, SearchSpace, Value};

    use super::super::Sampler;
    use super::super::adaptive::{Adaptive, Method};
    use super::*;

    /// How much worse what is found in 150 trials is than the best, where each of three words has a
    /// bowl at a place of its own, and the first one's ground is the lowest.
    fn found(seed: u64) -> f64 {
        let words = ["a", "b", "c"].map(|word| Alternative::Value(Value::Text(word.into())));
        let number = |i| Parameter {
            name: format!("x{i}"),
            domain: Domain::Uniform { min: 0.0, max: 1.0, q: None },
        };
        let word =
            Parameter { name: "word".into(), domain: Domain::Choice(words.into_iter().collect()) };
        let parameters = std::iter::once(word).chain((0..7).map(number)).collect();
        let space = SearchSpace { parameters };
        let axes = Axes::new(space.clone());
        let place = |word: usize, axis: usize| {
            let random = mix(&[seed, word as u64, axis as u64]) >> 40;
            0.1 + 0.8 * random as f64 / f64::from(1 << 24)
        };
        let loss = |units: &[f64]| {
            let word = (units[0] * 3.0) as usize;
            let squares = (1..8).map(|axis| (units[axis] - place(word, axis)).powi(2));
            0.05 * word as f64 + squares.sum::<f64>()
        };
        let mut sampler = Adaptive::new(space, seed, Method::Auto(Box::default()));
        let mut least = f64::INFINITY;
        for number in 0..150 {
            let configuration = sampler.propose(number).unwrap();
            let loss = loss(&axes.units(&configuration).unwrap());
            sampler.seen(number, &configuration);
            sampler.told(number, Fate::Completed(loss));
            least = least.min(loss);
        }
        least
    }

    #[test]
    fn a_word_is_left_again_that_another_one_is_better_than_at_another_place() {
        // Both end on the second word's ground, 0.05, where no word has a turn.
        let all = [1, 5].map(found);
        assert!(all.iter().all(|found| *found < 0.045), "{all:?}");
    }

    /// What 60 trials come to, and at how many places that can be told apart.
    fn searched(space: SearchSpace, seed: u64, loss: fn(&[f64]) -> f64) -> (f64, usize) {
        let axes = Axes::new(space.clone());
        let mut sampler = Adaptive::new(space, seed, Method::Auto(Box::default()));
        let mut least = f64::INFINITY;
        let mut places = std::collections::BTreeSet::new();
        for number in 0..60 {
            let configuration = sampler.propose(number).unwrap();
            let units = axes.units(&configuration).unwrap();
            let loss = loss(&units);
            sampler.seen(number, &configuration);
            sampler.told(number, Fate::Completed(loss));
            least = least.min(loss);
            places.insert(units.iter().map(|unit| (unit * 1e5) as i64).collect::<Vec<_>>());
        }
        (least, places.len())
    }

    fn number(name: &str) -> Parameter {
        let domain = Domain::Uniform { min: 0.0, max: 1.0, q: None };
        Parameter { name: name.into(), domain }
    }

    #[test]
    fn a_branch_that_begins_badly_is_not_given_up() {
        let branch = |name| Alternative::Space(SearchSpace { parameters: vec![number(name)] });
        let domain = Domain::Choice(["x", "z"].map(branch).into_iter().collect());
        let space = SearchSpace { parameters: vec![Parameter { name: "m".into(), domain }] };
        let loss = |units: &[f64]| match units[0] < 0.5 {
            true => 0.1 + (units[1] - 0.4).powi(2),
            false => 20.0 * (units[2] - 0.9).abs(),
        };
        let all = [1, 2, 3].map(|seed| searched(space.clone(), seed, loss).0);
        assert!(all.iter().all(|least| *least < 0.05), "{all:?}");
    }

    #[test]
    fn an_exact_function_that_is_rough_is_not_tried_where_it_was() {
        let space = SearchSpace { parameters: ["x", "y"].map(number).into() };
        // The best lies in a corner.
        let loss = |units: &[f64]| {
            let at = units.iter().map(|unit| (unit * 1e3).round() as u64).collect::<Vec<_>>();
            let rough = (mix(&at) >> 11) as f64 / (1u64 << 53) as f64;
            units.iter().map(|unit| (unit - 1.0).powi(2)).sum::<f64>() + 0.1 * rough
        };
        let all = [1, 2, 3].map(|seed| searched(space.clone(), seed, loss).1);
        assert!(all.iter().all(|n_places| *n_places >= 57), "{all:?}");
    }
}
