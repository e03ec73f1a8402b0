//! Lasso and elastic net from sums of products, for one alpha or many.
//!
//! Coordinate descent with covariance updates (Friedman, Hastie and Tibshirani, "Regularization
//! Paths for Generalized Linear Models via Coordinate Descent", 2010, §2.2), stopped by
//! scikit-learn's duality gap. Once the signs of the weights settle, the equations that they leave
//! are solved, and what meets the conditions of the minimum is the answer, more exact than any gap.
//! Where a column is a sum of others (the words of one column are), its weight stays as it was.
//! A descent starts at the next larger alpha of a fixed ladder below the least alpha that removes
//! all weights, never at another configuration's, whose company must not matter.

use super::descent::Penalty;
use super::system::Sums;
use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// Each rung is the one above times this: eight a decade.
const RUNG: f64 = 0.749_894_209_332_455_8;
/// Five decades; what lies below starts there.
const N_RUNGS: usize = 40;
/// A rung is a place to start from.
const RUNG_PENALTY: Penalty =
    Penalty { alpha: 0.0, l1_ratio: 0.0, tolerance: 1e-4, max_rounds: 1_000 };
/// More weights than this are left as the descent finds them: solving would take longer.
const MAX_SOLVED: usize = 256;
/// How far a condition of the minimum may be missed, as a share of the penalty, and of the largest
/// moment. What pulls no more than that above the penalty has no weight: where columns are sums of
/// others, ties are usual, and the rounding of sums must not decide them.
const SLACK: (f64, f64) = (1e-9, 1e-13);
/// A column of which the others leave less than this share is a sum of them.
const LEAST_LEFT: f64 = 1e-9;

/// The weights for many alphas of one share of the absolute penalty.
pub(super) struct Ladder<'a> {
    sums: &'a Sums,
    total: f64,
    l1_ratio: f64,
    /// The largest moment.
    steepest: f64,
    /// The least alpha that removes all weights.
    top: f64,
    rungs: Vec<Place>,
    found: Place,
    room: Room,
}

/// Weights, and what they leave of the moments.
#[derive(Clone)]
struct Place {
    weights: Vec<f64>,
    pulls: Vec<f64>,
}

/// A penalty, where errors are summed, and how far a condition of its minimum may be missed.
#[derive(Clone, Copy)]
struct Target {
    l1: f64,
    l2: f64,
    slack: f64,
}

/// Memory that solving needs.
#[derive(Default)]
struct Room {
    signs: Vec<i8>,
    tried: Vec<i8>,
    /// The columns that are solved for, and those whose weights stay as they are.
    free: Vec<usize>,
    held: Vec<usize>,
    /// Cholesky's factor of the free ones, each row one number longer.
    factor: Vec<f64>,
    solution: Vec<f64>,
    pulls: Vec<f64>,
}

impl<'a> Ladder<'a> {
    pub(super) fn new(sums: &'a Sums, total: f64, l1_ratio: f64) -> Self {
        let steepest = sums.moments.iter().map(|moment| moment.abs()).fold(0.0, f64::max);
        let top = if l1_ratio > 0.0 { steepest / (l1_ratio * total) } else { 0.0 };
        let start = Place { weights: vec![0.0; sums.moments.len()], pulls: sums.moments.clone() };
        Self {
            sums,
            total,
            l1_ratio,
            steepest,
            top,
            rungs: vec![start.clone()],
            found: start,
            room: Room::default(),
        }
    }

    /// The weights for a penalty, whose share of the absolute part is the ladder's.
    pub(super) fn solve(&mut self, penalty: &Penalty, stop: &Stop) -> Result<&[f64], Stopped> {
        let mut alpha = self.top;
        let mut nearest = 0;
        while nearest + 1 < N_RUNGS && alpha * RUNG >= penalty.alpha && alpha > 0.0 {
            alpha *= RUNG;
            nearest += 1;
            if self.rungs.len() <= nearest {
                let rung = Penalty { alpha, l1_ratio: self.l1_ratio, ..RUNG_PENALTY };
                self.rest(nearest - 1, &rung, stop)?;
                self.rungs.push(self.found.clone());
            }
        }
        self.rest(nearest, penalty, stop)?;
        Ok(&self.found.weights)
    }

    /// Comes to rest where a penalty has its minimum, from a rung.
    fn rest(&mut self, rung: usize, penalty: &Penalty, stop: &Stop) -> Result<(), Stopped> {
        let Self { sums, total, steepest, rungs, found, room, .. } = self;
        if let Some(start) = rungs.get(rung) {
            found.weights.clone_from(&start.weights);
            found.pulls.clone_from(&start.pulls);
        }
        let (l1, l2) = penalty.parts(*total);
        let target = Target { l1, l2, slack: SLACK.0 * l1 + SLACK.1 * *steepest };
        room.tried.clear();
        if rung > 0 && room.settle(sums, target, found, stop)? {
            return Ok(());
        }
        for round in 0..penalty.max_rounds {
            stop.check()?;
            let (largest, largest_step) = sweep(sums, target, found);
            if room.settle(sums, target, found, stop)? {
                return Ok(());
            }
            let settled = largest == 0.0 || largest_step / largest < penalty.tolerance;
            if (settled || round + 1 == penalty.max_rounds)
                && gap(sums, (l1, l2), found) <= penalty.tolerance * sums.y_squares
            {
                break;
            }
        }
        Ok(())
    }
}

/// Moves every weight once; the largest weight, and the largest move.
fn sweep(sums: &Sums, target: Target, place: &mut Place) -> (f64, f64) {
    let Target { l1, l2, slack } = target;
    let n = sums.moments.len();
    let (mut largest, mut largest_step) = (0.0_f64, 0.0_f64);
    for (index, row) in sums.gram.chunks_exact(n.max(1)).enumerate() {
        let norm = row[index];
        if norm == 0.0 {
            continue;
        }
        let old = place.weights[index];
        let pull = place.pulls[index] + old * norm;
        let above = pull.abs() - l1;
        let above = if above > slack { above } else { 0.0 };
        let weight = pull.signum() * above / (norm + l2);
        if weight != old {
            let step = weight - old;
            place.pulls.iter_mut().zip(row).for_each(|(pull, value)| *pull -= step * value);
            place.weights[index] = weight;
            largest_step = largest_step.max(step.abs());
        }
        largest = largest.max(weight.abs());
    }
    (largest, largest_step)
}

/// How far the objective can be from its least value (times the total weight).
fn gap(sums: &Sums, (l1, l2): (f64, f64), place: &Place) -> f64 {
    let Place { weights, pulls } = place;
    let pairs = weights.iter().zip(pulls);
    let dual_norm = pairs.map(|(weight, pull)| (pull - l2 * weight).abs()).fold(0.0, f64::max);
    // With residuals r = y − Xw and pulls Xᵀr: rᵀy = yᵀy − wᵀXᵀy and rᵀr = rᵀy − wᵀXᵀr.
    let with_y = sums.y_squares - dot(weights, &sums.moments);
    let squared = (with_y - dot(weights, pulls)).max(0.0);
    let (scale, mut gap) = if dual_norm > l1 {
        let scale = l1 / dual_norm;
        (scale, 0.5 * squared * (1.0 + scale * scale))
    } else {
        (1.0, squared)
    };
    let l1_norm: f64 = weights.iter().map(|weight| weight.abs()).sum();
    gap += l1 * l1_norm - scale * with_y;
    gap + 0.5 * l2 * (1.0 + scale * scale) * dot(weights, weights)
}

impl Room {
    /// Solves for the weights that have these signs; whether that is the minimum. Signs that were
    /// tried last are not tried again.
    fn settle(
        &mut self,
        sums: &Sums,
        Target { l1, l2, slack }: Target,
        place: &mut Place,
        stop: &Stop,
    ) -> Result<bool, Stopped> {
        let n = sums.moments.len();
        self.signs.clear();
        let sign = |weight: &f64| i8::from(*weight > 0.0) - i8::from(*weight < 0.0);
        self.signs.extend(place.weights.iter().map(sign));
        if self.signs == self.tried {
            return Ok(false);
        }
        self.tried.clone_from(&self.signs);
        if self.signs.iter().filter(|sign| **sign != 0).count() > MAX_SOLVED {
            return Ok(false);
        }
        stop.check()?;
        self.factorise(sums, l2);
        let row = |index: usize| &sums.gram[index * n..(index + 1) * n];
        self.solution.clear();
        for &i in &self.free {
            let held: f64 = self.held.iter().map(|&j| row(i)[j] * place.weights[j]).sum();
            self.solution.push(sums.moments[i] - l1 * f64::from(self.signs[i]) - held);
        }
        substitute(&self.factor, &mut self.solution);
        let keeps_sign = |(&i, weight): (&usize, &f64)| {
            let has_sign = l1 == 0.0 || weight * f64::from(self.signs[i]) > 0.0;
            has_sign && weight.is_finite()
        };
        if !self.free.iter().zip(&self.solution).all(keeps_sign) {
            return Ok(false);
        }
        self.pulls.clone_from(&sums.moments);
        let held = self.held.iter().map(|&j| (j, place.weights[j]));
        let free = self.free.iter().copied().zip(self.solution.iter().copied());
        for (j, weight) in free.chain(held) {
            self.pulls.iter_mut().zip(row(j)).for_each(|(pull, value)| *pull -= weight * value);
        }
        let is_idle = |index: usize| {
            let is_still = self.signs[index] != 0 || row(index)[index] == 0.0;
            is_still || self.pulls[index].abs() <= l1 + slack
        };
        let is_right = |&index: &usize| {
            let aim = l1 * f64::from(self.signs[index]) + l2 * place.weights[index];
            (self.pulls[index] - aim).abs() <= slack
        };
        if !(0..n).all(is_idle) || !self.held.iter().all(is_right) {
            return Ok(false);
        }
        for (&i, weight) in self.free.iter().zip(&self.solution) {
            place.weights[i] = *weight;
        }
        std::mem::swap(&mut place.pulls, &mut self.pulls);
        Ok(true)
    }

    /// Cholesky's factor of the columns that have a sign, without those that are sums of others.
    fn factorise(&mut self, sums: &Sums, l2: f64) {
        let n = sums.moments.len();
        let Self { signs, free, held, factor, .. } = self;
        free.clear();
        held.clear();
        factor.clear();
        for (index, row) in sums.gram.chunks_exact(n.max(1)).enumerate() {
            if signs[index] == 0 {
                continue;
            }
            let first = factor.len();
            for (k, &j) in free.iter().enumerate() {
                let (above, own) = factor.split_at(first);
                let pivot = &above[k * (k + 1) / 2..][..=k];
                let left = (row[j] - dot(own, &pivot[..k])) / pivot[k];
                factor.push(left);
            }
            let own = &factor[first..];
            let norm = row[index] + l2;
            let left = norm - dot(own, own);
            if left > LEAST_LEFT * norm {
                factor.push(left.sqrt());
                free.push(index);
            } else {
                factor.truncate(first);
                held.push(index);
            }
        }
    }
}

/// Solves with a factor whose rows are each one number longer, in place.
fn substitute(factor: &[f64], solution: &mut [f64]) {
    let n = solution.len();
    let row = |i: usize| &factor[i * (i + 1) / 2..][..=i];
    for i in 0..n {
        let row = row(i);
        solution[i] = (solution[i] - dot(&row[..i], &solution[..i])) / row[i];
    }
    for i in (0..n).rev() {
        let row = row(i);
        solution[i] /= row[i];
        let value = solution[i];
        let earlier = solution[..i].iter_mut().zip(row);
        earlier.for_each(|(earlier, cell)| *earlier -= cell * value);
    }
}
