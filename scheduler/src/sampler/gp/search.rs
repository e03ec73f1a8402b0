//! Looks for the points of which most improvement is expected, over all kinds of axes.
//!
//! Many points are looked at: evenly spread ones, and ones around the best so far. The best of
//! either kind climb: along numbers by gradients, over alternatives and steps of integers from
//! neighbour to neighbour, in turns. Axes are bounded by a sine, so that an edge is a smooth
//! maximum like others.

use rand::Rng;
use rand_pcg::Pcg64;

use super::super::axes::{Axes, Kind};
use super::super::random::unit;
use super::kernel::features;
use super::minimise::{Effort, minimise};
use super::model::Posterior;
use super::normal::normal;
use super::region::Region;

/// Ordered axes with more levels than this are climbed as if they were continuous.
const MOST_LEVELS: usize = 6;

/// Of more alternatives only so many are neighbours, the same at every step; the others come among the
/// points that climbs start from.
const MOST_ALTERNATIVES: usize = 32;

/// Steps from neighbour to neighbour in one climb, and turns of the two kinds of climbing.
const MOST_STEPS: usize = 12;
const MOST_TURNS: usize = 4;

/// Points returned.
const MOST_RETURNED: usize = 64;

const CLIMB: Effort = Effort { first_step: 0.03, max_steps: 25, tolerance: 1e-5 };

/// A point and the logarithm of the improvement that is expected of it.
#[derive(Clone, Debug)]
struct Candidate {
    units: Vec<f64>,
    log: f64,
}

/// A search over a posterior.
pub(super) struct Search<'a> {
    pub(super) axes: &'a Axes,
    pub(super) posterior: &'a Posterior<'a>,
    /// How likely bounds are kept, where some trials break them: what improves counts as much.
    pub(super) bounds: Option<&'a Posterior<'a>>,
    /// Coordinates that stay as they are; the others are no numbers.
    pub(super) fixed: &'a [f64],
    /// Points to look around, the best first.
    pub(super) centers: Vec<Vec<f64>>,
    /// Where points may be.
    pub(super) region: &'a Region,
    /// How far the function reaches along each axis.
    pub(super) lengths: &'a [f64],
    /// How many points are looked at.
    pub(super) n_candidates: usize,
    /// How many of them climb.
    pub(super) n_climbs: usize,
}

impl Search<'_> {
    /// The points, the best first.
    pub(super) fn run(&self, draw: &mut Pcg64) -> Vec<Vec<f64>> {
        let n_local = match self.centers.is_empty() {
            true => 0,
            false => self.n_candidates / 2,
        };
        let spread = self.rated(self.spread(self.n_candidates - n_local, draw));
        let local = self.rated((0..n_local).map(|i| self.near(i, draw)).collect());
        let n_spread = self.n_climbs.div_ceil(2);
        let starts =
            spread.iter().take(n_spread).chain(local.iter().take(self.n_climbs - n_spread));
        let mut found: Vec<Candidate> = starts.map(|start| self.climb(start)).collect();
        // What was only looked at comes after what has climbed.
        found.sort_by(|a, b| b.log.total_cmp(&a.log));
        let mut rest: Vec<Candidate> = spread.into_iter().chain(local).collect();
        rest.sort_by(|a, b| b.log.total_cmp(&a.log));
        found.extend(rest);
        // Many settle to the same point where the best branch is a small one.
        let mut points: Vec<Vec<f64>> = Vec::with_capacity(MOST_RETURNED);
        for Candidate { mut units, .. } in found {
            self.axes.settle(&mut units);
            let is_same = |point: &Vec<f64>| {
                let mut pairs = point.iter().zip(&units);
                pairs.all(|(a, b)| a == b || a.is_nan() && b.is_nan())
            };
            if points.len() < MOST_RETURNED && !points.iter().any(is_same) {
                points.push(units);
            }
        }
        points
    }

    /// Points spread over the whole region.
    fn spread(&self, n: usize, draw: &mut Pcg64) -> Vec<Vec<f64>> {
        let (sequence, seed) = (self.axes.sequence(), draw.next_u64());
        let mut points: Vec<Vec<f64>> =
            (0..n as u64).map(|index| sequence.units(seed, index)).collect();
        for units in &mut points {
            self.region.shrink(units, || unit(draw.next_u64()));
        }
        points
    }

    /// A point around one of the centers.
    fn near(&self, number: usize, draw: &mut Pcg64) -> Vec<f64> {
        let mut units = self.centers[number % self.centers.len()].clone();
        let n_axes = units.len();
        // From the reach of the function down to a thousandth of it.
        let reach = 0.5 * (-6.9 * unit(draw.next_u64())).exp();
        let share = (unit(draw.next_u64()) * 20.0 / n_axes as f64).clamp(1.0 / n_axes as f64, 1.0);
        let always = (unit(draw.next_u64()) * n_axes as f64) as usize;
        for (axis, coordinate) in units.iter_mut().enumerate() {
            let (chance, first, second) =
                (unit(draw.next_u64()), unit(draw.next_u64()), unit(draw.next_u64()));
            if axis != always && chance > share {
                continue;
            }
            match self.axes.kinds()[axis] {
                _ if coordinate.is_nan() => *coordinate = first,
                Kind::Category(_) if axis == always || chance < 1.0 / n_axes as f64 => {
                    *coordinate = first;
                }
                Kind::Category(_) => {}
                Kind::Continuous | Kind::Ordered(_) => {
                    let step = reach * self.lengths[axis].min(1.0) * normal(first, second);
                    *coordinate = (*coordinate + step).clamp(0.0, 1.0);
                }
            }
        }
        units
    }

    /// Points settled and rated, the best first.
    fn rated(&self, mut points: Vec<Vec<f64>>) -> Vec<Candidate> {
        for units in &mut points {
            self.region.clamp(units);
            for (unit, fixed) in units.iter_mut().zip(self.fixed) {
                *unit = if fixed.is_nan() { *unit } else { *fixed };
            }
            self.axes.settle(units);
        }
        let logs = self.rate(&points);
        let candidate = |(units, log)| Candidate { units, log };
        let mut candidates: Vec<Candidate> = points.into_iter().zip(logs).map(candidate).collect();
        candidates.sort_by(|a, b| b.log.total_cmp(&a.log));
        candidates
    }

    fn rate(&self, points: &[Vec<f64>]) -> Vec<f64> {
        let features: Vec<Vec<f64>> =
            points.iter().map(|units| features(self.axes, units)).collect();
        let mut logs = self.posterior.logs(&features);
        if let Some(bounds) = self.bounds {
            logs.iter_mut().zip(bounds.logs(&features)).for_each(|(log, chance)| *log += chance);
        }
        logs
    }

    /// The logarithm at a point, and its gradient by some axes.
    fn slope(&self, x: &[f64], axes: &[usize]) -> (f64, Vec<f64>) {
        let (mut log, mut gradient) = self.posterior.slope(x, axes);
        if let Some(bounds) = self.bounds {
            let (chance, slopes) = bounds.slope(x, axes);
            log += chance;
            gradient.iter_mut().zip(slopes).for_each(|(slope, own)| *slope += own);
        }
        (log, gradient)
    }

    /// The best point around a start.
    fn climb(&self, start: &Candidate) -> Candidate {
        let mut best = start.clone();
        // No climb looks at more neighbours than there were points to start from.
        let mut n_left = self.n_candidates;
        for turn in 0..MOST_TURNS {
            let smooth = self.climb_numbers(&best);
            let is_better = smooth.log > best.log;
            if is_better {
                best = smooth;
            } else if turn > 0 {
                break;
            }
            match self.climb_steps(&best, &mut n_left) {
                Some(stepped) => best = stepped,
                None => break,
            }
        }
        best
    }

    /// Climbs along the axes that are (nearly) continuous.
    fn climb_numbers(&self, start: &Candidate) -> Candidate {
        let is_smooth = |axis: &usize| {
            !start.units[*axis].is_nan()
                && match &self.axes.kinds()[*axis] {
                    Kind::Continuous => true,
                    Kind::Ordered(levels) => levels.len() > MOST_LEVELS,
                    Kind::Category(_) => false,
                }
        };
        let smooth: Vec<usize> = (0..start.units.len()).filter(is_smooth).collect();
        let x = features(self.axes, &start.units);
        let sides: Vec<(f64, f64)> = smooth.iter().map(|&axis| self.region.sides[axis]).collect();
        // On an edge itself the slope of the sine is 0: starts keep off it.
        let angle = |(&axis, (low, high)): (&usize, &(f64, f64))| {
            let share = (start.units[axis] - low) / (high - low);
            (2.0 * share.clamp(1e-4, 1.0 - 1e-4) - 1.0).asin()
        };
        let angles: Vec<f64> = smooth.iter().zip(&sides).map(angle).collect();
        let place = |angle: &f64, (low, high): &(f64, f64)| {
            (low + (high - low) * (0.5 + 0.5 * angle.sin())).clamp(*low, *high)
        };
        let minimum = minimise(angles, CLIMB, |angles| {
            let mut x = x.clone();
            for ((&axis, angle), sides) in smooth.iter().zip(angles).zip(&sides) {
                x[axis] = place(angle, sides);
            }
            let (log, mut gradient) = self.slope(&x, &smooth);
            for ((slope, angle), (low, high)) in gradient.iter_mut().zip(angles).zip(&sides) {
                *slope *= -0.5 * (high - low) * angle.cos();
            }
            (-log, gradient)
        });
        let mut units = start.units.clone();
        for ((&axis, angle), sides) in smooth.iter().zip(&minimum.x).zip(&sides) {
            units[axis] = place(angle, sides);
        }
        self.axes.settle(&mut units);
        let log = self.rate(std::slice::from_ref(&units))[0];
        Candidate { units, log }
    }

    /// Goes to better neighbours, where there are any.
    fn climb_steps(&self, start: &Candidate, n_left: &mut usize) -> Option<Candidate> {
        let mut best = start.clone();
        let mut has_moved = false;
        for step in 0..MOST_STEPS {
            let changes = self.changes(&best.units);
            // Of very many, another part at every step.
            let n_parts = changes.len().div_ceil(self.n_candidates / 4).max(1);
            let part = changes.iter().skip(step % n_parts).step_by(n_parts);
            let neighbour = |&(axis, unit): &(usize, f64)| {
                let mut neighbour = best.units.clone();
                neighbour[axis] = unit;
                neighbour
            };
            let neighbours = self.rated(part.take(*n_left).map(neighbour).collect());
            *n_left -= neighbours.len();
            match neighbours.into_iter().next() {
                Some(next) if next.log > best.log + 1e-9 => best = next,
                _ => break,
            }
            has_moved = true;
        }
        has_moved.then_some(best)
    }

    /// Other alternatives, and integers next to those of a point and one beyond: the axis and its
    /// coordinate.
    fn changes(&self, units: &[f64]) -> Vec<(usize, f64)> {
        let mut changes = Vec::new();
        for (axis, kind) in self.axes.kinds().iter().enumerate() {
            if units[axis].is_nan() || !self.fixed[axis].is_nan() {
                continue;
            }
            let others: Vec<f64> = match kind {
                Kind::Continuous => continue,
                Kind::Category(n) => {
                    let n = (*n).min(MOST_ALTERNATIVES);
                    (0..n).map(|index| (index as f64 + 0.5) / n as f64).collect()
                }
                Kind::Ordered(levels) if levels.len() <= MOST_LEVELS => levels.clone(),
                Kind::Ordered(levels) => {
                    let place = levels.partition_point(|&level| level < units[axis] - 1e-12);
                    let near = [place.wrapping_sub(1), place + 1, place + 2];
                    near.iter().filter_map(|&place| levels.get(place).copied()).collect()
                }
            };
            let is_other = |other: &f64| (other - units[axis]).abs() > 1e-12;
            changes.extend(others.into_iter().filter(is_other).map(|other| (axis, other)));
        }
        changes
    }
}
