//! Several searches along a front, each with a distribution of its own.
//!
//! C. Igel, N. Hansen, S. Roth, "Covariance matrix adaptation for multi-objective optimization"
//! (2007), one child at a time, where a child that stays is a success (T. Voss et al., "Improved step
//! size adaptation for the MO-CMA-ES", GECCO 2010). Who stays follows from the one order of all trials
//! (`front`): fronts, and on a front what each adds to the hypervolume; whoever breaks a bound comes
//! last. Deviation: a child's parent is the member that most likely bore it, so that the trials say
//! it all.

use rand::Rng;
use rand_pcg::Pcg64;

use super::distribution::{MANY_AXES, normal};
use crate::sampler::front::{self, Losses, dominates};
use crate::sampler::random::unit;

/// How many searches there are. More of them are slower each.
const MOST: usize = 10;

/// The first step size, as a share of the width of the cube, and what it stays between.
const FIRST_STEP: f64 = 0.2;
const STEPS: (f64, f64) = (1e-7, 0.5);

/// The share of successes at which a step stays as it is, and the one beyond which shapes do not
/// learn from single steps.
const TARGET: f64 = 1.0 / 5.5;
const TOO_MANY: f64 = 0.44;

/// One search: where it stands, and where it goes from there.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) at: Vec<f64>,
    losses: Losses,
    step: f64,
    success: f64,
    path: Vec<f64>,
    /// Rows of the lower triangle; with many axes the diagonal alone.
    covariance: Vec<Vec<f64>>,
    factor: Vec<Vec<f64>>,
}

/// All of them, the best first.
#[derive(Clone, Debug, Default)]
pub(super) struct Herd {
    members: Vec<Member>,
}

impl Member {
    fn new(at: &[f64], losses: Losses) -> Self {
        let n = at.len();
        let row = |row: usize| match n >= MANY_AXES {
            true => vec![1.0],
            false => (0..=row).map(|column| f64::from(u8::from(row == column))).collect(),
        };
        let factor: Vec<Vec<f64>> = (0..n).map(row).collect();
        Self {
            at: at.to_vec(),
            losses,
            step: FIRST_STEP,
            success: TARGET,
            path: vec![0.0; n],
            covariance: factor.clone(),
            factor,
        }
    }

    /// A child of it has stayed, or not.
    fn learn(&mut self, is_success: bool) {
        let rate = TARGET / (2.0 + TARGET);
        self.success = (1.0 - rate) * self.success + rate * f64::from(u8::from(is_success));
        let damping = 1.0 + self.at.len() as f64 / 2.0;
        let factor = ((self.success - TARGET) / (1.0 - TARGET) / damping).exp();
        self.step = (self.step * factor).clamp(STEPS.0, STEPS.1);
    }

    /// Minus the logarithm of how likely it bears a child at a point.
    fn distance(&self, at: &[f64]) -> f64 {
        let mut white: Vec<f64> = Vec::with_capacity(at.len());
        let mut log = 0.0;
        for (row, (at, own)) in self.factor.iter().zip(at.iter().zip(&self.at)) {
            let Some((diagonal, row)) = row.split_last() else { continue };
            let known: f64 = row.iter().zip(&white).map(|(factor, white)| factor * white).sum();
            white.push(((at - own) / self.step - known) / diagonal);
            log += (diagonal * self.step).ln();
        }
        0.5 * white.iter().map(|white| white * white).sum::<f64>() + log
    }

    /// What it bears at a point.
    fn child(&self, at: &[f64], losses: Losses) -> Self {
        let n = at.len() as f64;
        let mut child = self.clone();
        child.learn(true);
        let speed = if at.len() >= MANY_AXES { (n + 2.0) / 3.0 } else { 1.0 };
        let (fade, rate) = (2.0 / (n + 2.0), (2.0 * speed / (n * n + 6.0)).min(0.5));
        let is_steady = child.success < TOO_MANY;
        let gain = if is_steady { (fade * (2.0 - fade)).sqrt() } else { 0.0 };
        for (path, (at, own)) in child.path.iter_mut().zip(at.iter().zip(&self.at)) {
            *path = (1.0 - fade) * *path + gain * (at - own) / self.step;
        }
        let lost = if is_steady { 0.0 } else { rate * fade * (2.0 - fade) };
        for (row, entries) in child.covariance.iter_mut().enumerate() {
            let first = row + 1 - entries.len();
            for (column, entry) in (first..).zip(entries) {
                let path = child.path[row] * child.path[column];
                *entry = (1.0 - rate + lost) * *entry + rate * path;
            }
        }
        if !child.refactor() {
            return Self::new(at, losses);
        }
        Self { at: at.to_vec(), losses, ..child }
    }

    fn refactor(&mut self) -> bool {
        for row in 0..self.at.len() {
            let first = row + 1 - self.covariance[row].len();
            for column in first..=row {
                let (own, other) = (&self.factor[row], &self.factor[column]);
                let known: f64 = (first..column).map(|k| own[k] * other[k]).sum();
                let (at, diagonal) = (column - first, other.len() - 1);
                let rest = self.covariance[row][at] - known;
                if row == column && !(rest > 1e-20 && rest < 1e20) {
                    return false;
                }
                let entry = if row == column { rest.sqrt() } else { rest / other[diagonal] };
                self.factor[row][at] = entry;
            }
        }
        true
    }

    /// A step away from where it stands.
    pub(super) fn draw(&self, generator: &mut Pcg64) -> Vec<f64> {
        let drawn: Vec<f64> = (0..self.at.len()).map(|_| normal(generator)).collect();
        let rows = self.factor.iter().enumerate();
        let step = |(place, row): (usize, &Vec<f64>)| {
            let drawn = &drawn[place + 1 - row.len()..];
            self.step * row.iter().zip(drawn).map(|(factor, drawn)| factor * drawn).sum::<f64>()
        };
        rows.map(step).collect()
    }

    /// The standard deviation along an axis.
    pub(super) fn deviation(&self, axis: usize) -> f64 {
        let variance = self.covariance.get(axis).and_then(|row| row.last());
        self.step * variance.copied().unwrap_or(1.0).max(0.0).sqrt()
    }
}

impl Herd {
    /// A trial has ended there; without losses it came to nothing.
    pub(super) fn add(&mut self, at: &[f64], losses: Option<Losses>) {
        let nearest = self.nearest(at);
        let Some(losses) = losses else {
            if let Some(parent) = nearest {
                self.members[parent].learn(false);
            }
            return;
        };
        let child = match nearest {
            Some(parent) => self.members[parent].child(at, losses),
            None => Member::new(at, losses),
        };
        let mut all: Vec<Losses> = self.members.iter().map(|member| member.losses).collect();
        all.push(losses);
        let mut order = front::order(&all);
        order.truncate(MOST);
        if let Some(parent) = nearest {
            let stays = order.contains(&self.members.len());
            self.members[parent].learn(stays);
        }
        self.members.push(child);
        self.members = order.into_iter().map(|place| self.members[place].clone()).collect();
    }

    /// One of the first trials has ended there: nobody bore it.
    pub(super) fn begin(&mut self, at: &[f64], losses: Losses) {
        self.members.push(Member::new(at, losses));
        let all: Vec<Losses> = self.members.iter().map(|member| member.losses).collect();
        let order = front::order(&all).into_iter().take(MOST);
        self.members = order.map(|place| self.members[place].clone()).collect();
    }

    fn nearest(&self, at: &[f64]) -> Option<usize> {
        let distances = self.members.iter().map(|member| member.distance(at));
        let nearest = distances.enumerate().min_by(|one, other| one.1.total_cmp(&other.1));
        nearest.map(|(place, _)| place)
    }

    /// Who bears the next: one of those that nobody beats.
    pub(super) fn parent(&self, generator: &mut Pcg64) -> Option<&Member> {
        let is_beaten = |losses: &Losses| {
            self.members.iter().any(|other| {
                other.losses.is_feasible() && dominates(other.losses.all(), losses.all())
            })
        };
        let is_on_front =
            |member: &&Member| member.losses.is_feasible() && !is_beaten(&member.losses);
        let front: Vec<&Member> = self.members.iter().filter(is_on_front).collect();
        let place = (unit(generator.next_u64()) * front.len() as f64) as usize;
        front.get(place).copied().or(self.members.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::front::hypervolume::hypervolume;

    /// Two bowls whose best points are apart: the front is the line between them.
    fn two_bowls(x: &[f64]) -> Vec<f64> {
        let bowl = |at: f64| {
            let squares = x.iter().skip(1).map(|x| 20.0 * (x - 0.6).powi(2));
            (x[0] - at).powi(2) + squares.sum::<f64>()
        };
        vec![bowl(0.3), bowl(0.7)]
    }

    fn search(n_axes: usize, n: usize, violation: impl Fn(&[f64]) -> f64) -> Vec<Vec<f64>> {
        let mut generator = Pcg64::new(3, 4);
        let (mut herd, mut kept) = (Herd::default(), Vec::new());
        for number in 0..n {
            let at: Vec<f64> = match number < 10 {
                true => (0..n_axes).map(|_| unit(generator.next_u64())).collect(),
                false => {
                    let parent = herd.parent(&mut generator).unwrap();
                    let step = parent.draw(&mut generator);
                    let pairs = step.iter().zip(&parent.at);
                    pairs.map(|(step, at)| (at + step).clamp(0.0, 1.0)).collect()
                }
            };
            let losses = Losses::new(two_bowls(&at), violation(&at));
            match number < 10 {
                true => herd.begin(&at, losses),
                // Each ninth comes to nothing.
                false => herd.add(&at, (number % 9 != 0).then_some(losses)),
            }
            assert!(herd.members.len() <= MOST);
            assert!(herd.members.iter().all(|member| {
                member.step > 0.0 && member.factor.iter().flatten().all(|entry| entry.is_finite())
            }));
            if losses.is_feasible() {
                kept.push(two_bowls(&at));
            }
        }
        kept
    }

    #[test]
    fn a_front_is_covered_from_end_to_end() {
        // The true front is (t², (0.4 - t)²), which leaves 0.4⁴ / 6 of its square.
        for (n_axes, n, least) in [(2, 400, 0.85), (6, 1_500, 0.6)] {
            let found = hypervolume(&search(n_axes, n, |_| 0.0), &[0.16, 0.16]);
            let best = 0.16 * 0.16 - 0.4f64.powi(4) / 6.0;
            assert!(found > least * best, "{n_axes}: {}", found / best);
        }
        // Chance stays beyond 60 of either loss here.
        let found = hypervolume(&search(MANY_AXES, 4_000, |_| 0.0), &[60.0, 60.0]);
        assert!(found > 0.5 * 3_600.0, "{}", found / 3_600.0);
    }

    #[test]
    fn it_finds_its_way_within_bounds() {
        let beyond = |x: &[f64]| (x[0] - 0.5).max(0.0);
        let kept = search(3, 600, beyond);
        assert!(kept.len() > 200, "{}", kept.len());
        let nearest = kept.iter().map(|losses| losses[1]).fold(f64::INFINITY, f64::min);
        // The best that keeps the bound has lost 0.04 there.
        assert!((0.04..0.08).contains(&nearest), "{nearest}");
    }
}
