//! One loss of several, for methods that model one.
//!
//! The augmented Chebyshev distance from the best of each loss, with weights drawn anew for every
//! proposal, so that proposals spread along the front: J. Knowles, "ParEGO" (IEEE TEVC 2006).
//! Deviations: weights are drawn from the whole simplex, and losses are on the scale of the front
//! rather than of all trials, as long as it is not in one corner of them. Bounds count apart
//! (`gp.rs`), but where no trial keeps all: then how far it is from it comes before all losses.

use super::{Losses, front};

/// What the sum of all losses adds to the worst one.
const AUGMENTATION: f64 = 0.05;

/// The front reaches at least so far, as a share of what the median of all trials is from the best.
const LEAST_REACH: f64 = 0.1;

/// Nothing is farther from the best: the largest numbers stand for what could not be measured, and
/// are out of all proportion to a small front.
const FARTHEST: f64 = 1e290;

/// One loss for each trial. `draw` gives numbers between 0 and 1.
pub(in crate::sampler) fn scalars(trials: &[Losses], mut draw: impl FnMut() -> f64) -> Vec<f64> {
    let n_losses = trials.iter().map(|losses| losses.all().len()).max().unwrap_or(0);
    let weights: Vec<f64> = match n_losses {
        0 | 1 => vec![1.0; n_losses],
        _ => {
            let drawn: Vec<f64> = (0..n_losses).map(|_| -draw().max(1e-12).ln()).collect();
            let sum: f64 = drawn.iter().sum();
            drawn.into_iter().map(|weight| weight / sum.max(1e-12)).collect()
        }
    };
    let feasible: Vec<&Losses> = trials.iter().filter(|losses| losses.is_feasible()).collect();
    let judges: Vec<&[f64]> = match feasible.is_empty() {
        true => trials.iter().map(Losses::all).collect(),
        false => feasible.iter().map(|losses| losses.all()).collect(),
    };
    let scales = scales(&judges, n_losses);
    let scalar = |losses: &Losses| {
        let losses = losses.all().iter().zip(&scales).zip(&weights);
        let parts = losses.map(|((loss, scale), weight)| weight * scale.of(*loss));
        let (worst, sum) = parts
            .fold((f64::NEG_INFINITY, 0.0), |(worst, sum), part| (part.max(worst), sum + part));
        if n_losses > 1 { worst + AUGMENTATION * sum } else { worst }
    };
    trials.iter().map(scalar).collect()
}

/// How far each is from keeping all bounds: below 1, and a half for the usual one that breaks any.
pub(in crate::sampler) fn distances(trials: &[Losses]) -> Vec<f64> {
    let broken = trials.iter().map(|losses| losses.violation).filter(|own| *own > 0.0);
    let usual = median(&mut broken.collect::<Vec<f64>>()).unwrap_or(1.0);
    trials.iter().map(|losses| losses.violation / (losses.violation + usual)).collect()
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A loss's best, and how far the front reaches from it.
struct Scale {
    best: f64,
    reach: f64,
}

impl Scale {
    fn of(&self, loss: f64) -> f64 {
        // Halves, because the difference of the largest numbers is none.
        let of_reach = (0.5 * loss - 0.5 * self.best) / (0.5 * self.reach);
        of_reach.clamp(-FARTHEST, FARTHEST)
    }
}

fn scales(judges: &[&[f64]], n_losses: usize) -> Vec<Scale> {
    if n_losses == 1 {
        return vec![Scale { best: 0.0, reach: 1.0 }];
    }
    let on_front: Vec<&[f64]> = front(judges).into_iter().map(|place| judges[place]).collect();
    let bounds = |of: &[&[f64]], at: usize| {
        let own = of.iter().filter_map(|losses| losses.get(at));
        own.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &loss| {
            (low.min(loss), high.max(loss))
        })
    };
    let scale = |at: usize| {
        let (low, high) = bounds(&on_front, at);
        let (_, worst) = bounds(judges, at);
        // A front that ends in a corner has hardly any reach; what most trials lose counts then.
        let mut own: Vec<f64> =
            judges.iter().filter_map(|losses| losses.get(at).copied()).collect();
        let usual = median(&mut own).map_or(0.0, |usual| LEAST_REACH * usual - LEAST_REACH * low);
        let reaches = [(high - low).max(usual), worst - low, 1.0];
        let is_reach = |reach: &f64| reach.is_finite() && *reach > 1e-12 * low.abs();
        let reach = reaches.into_iter().find(is_reach).unwrap_or(f64::MAX);
        Scale { best: if low.is_finite() { low } else { 0.0 }, reach }
    };
    (0..n_losses).map(scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_weights(trials: &[Losses], weights: &[f64]) -> Vec<f64> {
        let mut weights = weights.iter();
        // Draws become weights by their logarithm.
        scalars(trials, || weights.next().map_or(0.5, |weight| (-weight).exp()))
    }

    #[test]
    fn weights_say_which_end_of_the_front_is_best() {
        let ends = [[0.0, 9.0], [4.0, 4.0], [9.0, 0.0], [9.0, 9.0]];
        let trials = ends.map(|losses| Losses::new(losses, 0.0));
        let best = |weights: &[f64]| {
            let found = with_weights(&trials, weights);
            (0..4).min_by(|&one, &other| found[one].total_cmp(&found[other]))
        };
        assert_eq!(best(&[9.0, 0.1]), Some(0));
        assert_eq!(best(&[1.0, 1.0]), Some(1));
        assert_eq!(best(&[0.1, 9.0]), Some(2));
    }

    #[test]
    fn the_largest_numbers_have_a_size_too() {
        let mut trials = vec![Losses::new([1e-3, 2e-3], 0.0), Losses::new([2e-3, 1e-3], 0.0)];
        trials.extend([Losses::new([f64::MAX, f64::MAX], 1.0); 3]);
        let found = with_weights(&trials, &[1.0, 1.0]);
        assert!(found.iter().all(|scalar| scalar.is_finite()), "{found:?}");
        assert!(found[2] > 1e280 && found[0] < 10.0);
    }

    #[test]
    fn the_farther_from_the_bounds_the_more() {
        let trials = [0.0, 0.1, 5.0, 0.1, 1e300].map(|violation| Losses::new([1.0], violation));
        let found = distances(&trials);
        assert!(found[0] == 0.0 && found[1] == found[3] && found.iter().all(|own| *own <= 1.0));
        assert!(found[1] < found[2] && found[2] < found[4], "{found:?}");
        assert!(distances(&[]).is_empty());
    }

    #[test]
    fn a_front_in_a_corner_leaves_others_in_sight() {
        let corner = [[1e-12, 8.0], [2e-12, 7.0], [0.5, 9.0], [0.7, 10.0], [0.9, 12.0]];
        let found = scalars(&corner.map(|losses| Losses::new(losses, 0.0)), || 0.5);
        assert!(found.iter().all(|scalar| scalar.abs() < 50.0), "{found:?}");
    }

    #[test]
    fn any_numbers_give_numbers() {
        let trials = [[f64::MAX, f64::MIN], [f64::MIN, f64::MAX], [0.0, 1e-300], [1.0, 1.0]];
        let trials = trials.map(|losses| Losses::new(losses, 0.0));
        assert!(scalars(&trials, || 0.3).iter().all(|scalar| scalar.is_finite()));
        assert!(scalars(&trials[..1], || 0.0).iter().all(|scalar| scalar.is_finite()));
        assert!(scalars(&[], || 0.3).is_empty());
    }
}
