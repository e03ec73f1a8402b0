//! All trials in one order, the best first.
//!
//! Fronts as in K. Deb et al., "NSGA-II" (2002), found as in X. Zhang et al., "An efficient approach to
//! nondominated sorting" (2015); on a front the one first that adds most to the hypervolume of those
//! before it, as Y. Ozaki et al., "Multiobjective tree-structured Parzen estimator" (2022) and Optuna
//! choose a part of a front. Deviations: losses are on the scale of the front, and the reference is a
//! tenth beyond it; past so many the farthest from those before comes next, and at last the order is
//! that of the sum.

use super::hypervolume::hypervolume;
use super::{Losses, dominates};

/// So many of all trials come in the order of what they add; the good ones are among them.
const MOST_PLACED: usize = 128;

/// Places in the list, the best first.
pub(crate) fn order(trials: &[Losses]) -> Vec<usize> {
    let (mut feasible, mut others): (Vec<usize>, Vec<usize>) =
        (0..trials.len()).partition(|&place| trials[place].is_feasible());
    let n_losses = trials.iter().map(|losses| losses.all().len()).max().unwrap_or(0);
    let mut ordered = Vec::with_capacity(trials.len());
    if n_losses < 2 {
        feasible.sort_by(|&one, &other| trials[one].first().total_cmp(&trials[other].first()));
        ordered.append(&mut feasible);
    }
    for front in fronts(trials, feasible) {
        let left = MOST_PLACED.saturating_sub(ordered.len());
        ordered.extend(placed(trials, front, left));
    }
    others.sort_by(|&one, &other| {
        let by_violation = trials[one].violation.total_cmp(&trials[other].violation);
        by_violation.then(trials[one].first().total_cmp(&trials[other].first()))
    });
    ordered.extend(others);
    ordered
}

/// The fronts, the best first: nobody is dominated by one of his own or of a later one.
fn fronts(trials: &[Losses], mut places: Vec<usize>) -> Vec<Vec<usize>> {
    places.sort_by(|&one, &other| {
        let pairs = trials[one].all().iter().zip(trials[other].all());
        let differing = pairs.map(|(one, other)| one.total_cmp(other)).find(|order| order.is_ne());
        differing.unwrap_or(one.cmp(&other))
    });
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for place in places {
        let own = trials[place].all();
        // Whoever is dominated on a front is so on every front before it.
        let front = fronts.partition_point(|front| match own.len() {
            // Of two losses the first rise along a front, so that the second of the last is least.
            2 => front.last().is_some_and(|&last| dominates(trials[last].all(), own)),
            _ => front.iter().rev().any(|&other| dominates(trials[other].all(), own)),
        });
        match fronts.get_mut(front) {
            Some(front) => front.push(place),
            None => fronts.push(vec![place]),
        }
    }
    fronts
}

/// A front in the order of what each adds, as far as that is worth it.
fn placed(trials: &[Losses], front: Vec<usize>, n_placed: usize) -> Vec<usize> {
    if n_placed == 0 || front.len() <= 2 {
        return front;
    }
    let points = scaled(trials, &front);
    let n_losses = points[0].len();
    let n_exact = match n_losses {
        2 => n_placed,
        3 => n_placed.min(48),
        4 => n_placed.min(16),
        _ => n_placed.min(8),
    };
    let mut chosen = by_volume(&points, n_exact);
    by_distance(&points, &mut chosen, n_placed);
    let mut is_left = vec![true; front.len()];
    chosen.iter().for_each(|&at| is_left[at] = false);
    let mut rest: Vec<(f64, usize)> = (0..front.len())
        .filter(|&at| is_left[at])
        .map(|at| (points[at].iter().sum::<f64>(), at))
        .collect();
    rest.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    chosen.extend(rest.into_iter().map(|(_, at)| at));
    chosen.into_iter().map(|at| front[at]).collect()
}

/// Losses between 0 and 1 on the front.
fn scaled(trials: &[Losses], front: &[usize]) -> Vec<Vec<f64>> {
    let n_losses = front.first().map_or(0, |&place| trials[place].all().len());
    let bounds: Vec<(f64, f64)> = (0..n_losses)
        .map(|at| {
            let own = front.iter().filter_map(|&place| trials[place].all().get(at));
            own.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &loss| {
                (low.min(loss), high.max(loss))
            })
        })
        .collect();
    let scale = |&place: &usize| {
        let losses = trials[place].all().iter().zip(&bounds);
        // Halves, because the difference of the largest numbers is none.
        let share = |(loss, (low, high)): (&f64, &(f64, f64))| match 0.5 * high - 0.5 * low {
            range if range > 0.0 => (0.5 * loss - 0.5 * low) / range,
            _ => 0.0,
        };
        losses.map(share).collect()
    };
    front.iter().map(scale).collect()
}

/// The first so many, each adding most to those before it. What one adds only shrinks, so that most
/// need not be looked at again.
fn by_volume(points: &[Vec<f64>], n: usize) -> Vec<usize> {
    let reference = vec![1.1; points[0].len()];
    let alone = |point: &Vec<f64>| point.iter().map(|own| 1.1 - own).product::<f64>();
    let mut gains: Vec<f64> = points.iter().map(alone).collect();
    let mut is_fresh = vec![true; points.len()];
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < n.min(points.len()) {
        let best = (0..points.len())
            .filter(|at| gains[*at] >= 0.0)
            .max_by(|&one, &other| gains[one].total_cmp(&gains[other]).then(other.cmp(&one)));
        let Some(best) = best else { break };
        if !is_fresh[best] {
            let limited: Vec<Vec<f64>> = chosen
                .iter()
                .map(|&other| {
                    let pairs = points[best].iter().zip(&points[other]);
                    pairs.map(|(own, other)| own.max(*other)).collect()
                })
                .collect();
            // Rounding may leave a little less than nothing.
            gains[best] = (alone(&points[best]) - hypervolume(&limited, &reference)).max(0.0);
            is_fresh[best] = true;
            continue;
        }
        chosen.push(best);
        gains[best] = -1.0;
        is_fresh.fill(false);
    }
    chosen
}

/// Adds the farthest from all chosen ones until there are so many.
fn by_distance(points: &[Vec<f64>], chosen: &mut Vec<usize>, n: usize) {
    if chosen.len() >= n.min(points.len()) {
        return;
    }
    let square = |one: &Vec<f64>, other: &Vec<f64>| -> f64 {
        one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum()
    };
    let nearest = |point: &Vec<f64>| {
        let squares = chosen.iter().map(|&other| square(point, &points[other]));
        squares.fold(f64::INFINITY, f64::min)
    };
    let mut distances: Vec<f64> = points.iter().map(nearest).collect();
    chosen.iter().for_each(|&at| distances[at] = -1.0);
    while chosen.len() < n.min(points.len()) {
        let farthest = (0..points.len()).max_by(|&one, &other| {
            distances[one].total_cmp(&distances[other]).then(other.cmp(&one))
        });
        let Some(farthest) = farthest else { return };
        chosen.push(farthest);
        for (distance, point) in distances.iter_mut().zip(points) {
            *distance = distance.min(square(point, &points[farthest]));
        }
        chosen.iter().for_each(|&at| distances[at] = -1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(n: usize, n_losses: usize, seed: u64) -> Vec<Losses> {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 40) as f64 / (1u64 << 24) as f64
        };
        (0..n)
            .map(|_| {
                let losses: Vec<f64> = (0..n_losses).map(|_| (draw() * 20.0).floor()).collect();
                let violation = (draw() * 3.0 - 1.0).max(0.0);
                Losses::new(losses, violation)
            })
            .collect()
    }

    #[test]
    fn fronts_are_those_of_the_definition() {
        for n_losses in 2..=5 {
            for seed in 0..20 {
                let trials = some(60, n_losses, seed);
                let found = fronts(&trials, (0..60).collect());
                let mut left: Vec<usize> = (0..60).collect();
                for mut front in found {
                    let is_first = |&own: &usize| {
                        let mut others = left.iter();
                        !others.any(|&other| dominates(trials[other].all(), trials[own].all()))
                    };
                    let expected: Vec<usize> = left.iter().copied().filter(is_first).collect();
                    front.sort_unstable();
                    assert_eq!(front, expected);
                    left.retain(|place| !front.contains(place));
                }
                assert!(left.is_empty());
            }
        }
    }

    #[test]
    fn the_better_comes_first() {
        for n_losses in 1..=8 {
            let trials = some(300, n_losses, 5);
            let found = order(&trials);
            let mut all = found.clone();
            all.sort_unstable();
            assert_eq!(all, (0..300).collect::<Vec<_>>());
            for (at, &better) in found.iter().enumerate() {
                for &worse in &found[at + 1..] {
                    let (one, other) = (&trials[better], &trials[worse]);
                    assert!(one.violation <= other.violation);
                    assert!(!other.is_feasible() || !dominates(other.all(), one.all()));
                }
            }
        }
    }

    #[test]
    fn each_choice_adds_most() {
        let trials: Vec<Losses> =
            some(400, 2, 3).iter().map(|own| Losses::new(own.all().iter().copied(), 0.0)).collect();
        let front = fronts(&trials, (0..400).collect()).swap_remove(2);
        let points = scaled(&trials, &front);
        let chosen = by_volume(&points, points.len());
        let volume = |set: &[usize]| {
            let set: Vec<Vec<f64>> = set.iter().map(|&at| points[at].clone()).collect();
            hypervolume(&set, &[1.1, 1.1])
        };
        assert!(chosen.len() > 4);
        for n in 0..chosen.len() {
            let best = (0..points.len())
                .map(|at| volume(&[&chosen[..n], &[at]].concat()))
                .fold(0.0, f64::max);
            assert!((volume(&chosen[..=n]) - best).abs() < 1e-12, "{n}");
        }
    }

    #[test]
    fn numbers_of_any_size_have_an_order() {
        let trials = [
            Losses::new([f64::MAX, f64::MIN], 0.0),
            Losses::new([f64::MIN, f64::MAX], 0.0),
            Losses::new([0.0, 0.0], 0.0),
            Losses::new([0.0, -0.0], 1e300),
        ];
        let found = order(&trials);
        assert_eq!((found.len(), found[3]), (4, 3));
    }
}
