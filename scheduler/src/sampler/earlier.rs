//! What a sampler that learns makes of the trials of earlier studies.
//!
//! Those that were measured as this study's own are stands beside its own. Of all others only the
//! shape is believed: their losses are standardised, and a line through what they predict at the
//! points that were tried here gives them this study's scale, as far as these can tell; until then
//! its prior is that losses differ by the same share of their size. They become fewer as own trials
//! end; none count once two dozen have, nor where what they predict does not go along with what is
//! found (after the ranking weights of M. Feurer et al., "Practical transfer learning for Bayesian
//! optimization" (2018), with a line in the place of a ranking). All of it follows from the trials that
//! ended first by number, so that the order of their ends does not matter.

use fleetfit_search_spaces::Configuration;
use fleetfit_search_spaces::seed::mix;
use serde::{Deserialize, Serialize};

use super::axes::{Axes, Kind};
use super::history::{Fate, Past};

/// Of what was measured otherwise, so many count at first.
const MOST: usize = 256;

/// Half of them once so many own trials have ended, and fewer by the square of how many have.
const HALVED_AT: f64 = 8.0;

/// Up to so many own ends each third proposal goes without them; then all do: what they show has been
/// looked at, and what the line makes of them is wrong enough to hold back who is near a minimum.
const GUARDED: usize = 24;

/// With fewer trials of its own a study cannot tell whether they mislead.
const FEWEST: usize = 5;

/// A lower correlation than this means that they do.
const LEAST_CORRELATION: f64 = 0.2;

/// Standardised losses, and own ones as compared with them, end here.
const FARTHEST: f64 = 10.0;

/// How many earlier trials a prediction is made of.
const NEIGHBOURS: usize = 8;

/// A trial of an earlier study, as this one's space has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    /// What was tried.
    pub configuration: Configuration,
    /// Its loss there.
    pub loss: f64,
    /// Trials of one source have one number.
    pub source: u16,
    /// Whether it was measured as this study's own trials are, so that losses compare.
    pub is_same: bool,
}

/// Everything a sampler was taught before its first proposal.
#[derive(Debug, Default)]
pub(super) struct Taught {
    same: Vec<(Vec<f64>, f64)>,
    others: Vec<Source>,
    /// What own trials the last account was made of.
    key: Option<u64>,
}

/// The trials of one source, in their order.
#[derive(Debug, Default)]
struct Source {
    id: u16,
    units: Vec<Vec<f64>>,
    losses: Vec<f64>,
    /// The places of its trials, the best first.
    order: Vec<usize>,
    center: f64,
    scale: f64,
}

impl Taught {
    pub(super) fn new(axes: &Axes, trials: &[Earlier]) -> Self {
        let mut taught = Self::default();
        for trial in trials.iter().filter(|trial| trial.loss.is_finite()) {
            let Some(units) = axes.units(&trial.configuration) else { continue };
            if trial.is_same {
                taught.same.push((units, trial.loss));
                continue;
            }
            let place = taught.others.iter().position(|source| source.id == trial.source);
            let place = place.unwrap_or_else(|| {
                taught.others.push(Source { id: trial.source, ..Source::default() });
                taught.others.len() - 1
            });
            taught.others[place].units.push(units);
            taught.others[place].losses.push(trial.loss);
        }
        taught.others.iter_mut().for_each(Source::standardise);
        taught
    }

    /// How many numbers its trials take, before those of the study's own.
    pub(super) fn n_numbers(&self) -> u32 {
        let others = self.others.iter().map(|source| source.units.len());
        (self.same.len() + others.sum::<usize>()) as u32
    }

    /// Whether the proposal of this number goes without what was measured otherwise: a study that is
    /// misled is not lost, and one that is not soon knows.
    pub(super) fn is_guarded(&self, number: u32, n_own: usize) -> bool {
        number % 3 == 2 && n_own < GUARDED && !self.others.is_empty()
    }

    /// What counts after these trials of the study's own; none where that has not changed.
    pub(super) fn account(&mut self, axes: &Axes, own: &[Past]) -> Option<Vec<Past>> {
        let ended = || own.iter().filter(|past| past.fate.is_some());
        // What was measured otherwise counts no longer then, so that nothing changes any more.
        let n_ended = match self.others.is_empty() {
            true => GUARDED,
            false => milestone(ended().count()).min(GUARDED),
        };
        let n_known = if n_ended < GUARDED { n_ended } else { 0 };
        let known: Vec<(&[f64], f64)> = ended()
            .take(n_known)
            .filter_map(|past| Some((past.units.as_slice(), past.loss()?)))
            .collect();
        let parts =
            known.iter().flat_map(|(units, loss)| units.iter().chain(std::iter::once(loss)));
        let parts: Vec<u64> = parts.map(|part| part.to_bits()).collect();
        let key = mix(&[n_ended as u64, mix(&parts)]);
        if self.key == Some(key) {
            return None;
        }
        self.key = Some(key);
        let mut counted: Vec<(&[f64], f64)> =
            self.same.iter().map(|(units, loss)| (units.as_slice(), *loss)).collect();
        let most = MOST / self.others.len().max(1);
        for source in self.others.iter().filter(|_| n_ended < GUARDED) {
            if let Some(line) = source.line(axes, &known) {
                counted.extend(source.some(n_ended, most).map(|place| {
                    let loss = line.at(source.standard(source.losses[place]));
                    (source.units[place].as_slice(), loss)
                }));
            }
        }
        let numbered = (0..).zip(counted);
        let pasts = numbered.map(|(number, (units, loss))| Past {
            number,
            units: units.to_vec(),
            fate: Some(Fate::Completed(loss)),
        });
        Some(pasts.collect())
    }
}

impl Source {
    fn standardise(&mut self) {
        let mut order: Vec<usize> = (0..self.losses.len()).collect();
        order.sort_by(|&one, &other| self.losses[one].total_cmp(&self.losses[other]));
        let sorted: Vec<f64> = order.iter().map(|&place| self.losses[place]).collect();
        (self.center, self.scale) = center_and_scale(&sorted);
        self.order = order;
    }

    fn standard(&self, loss: f64) -> f64 {
        standard(loss, self.center, self.scale)
    }

    /// Which of its trials count: fewer as the study's own become more, from the best to the worst.
    fn some(&self, n_ended: usize, most: usize) -> impl Iterator<Item = usize> {
        let share = 1.0 / (1.0 + (n_ended as f64 / HALVED_AT).powi(2));
        let n = ((most as f64 * share) as usize).min(self.order.len());
        let step = self.order.len() as f64 / n.max(1) as f64;
        let mut places: Vec<usize> =
            (0..n).map(|i| self.order[(i as f64 * step) as usize]).collect();
        places.sort_unstable();
        places.into_iter()
    }

    /// How its standardised losses become those of the study; none where they mislead.
    fn line(&self, axes: &Axes, known: &[(&[f64], f64)]) -> Option<Line> {
        if known.is_empty() {
            return Some(Line { at_0: 0.0, slope: 1.0 });
        }
        let n = known.len() as f64;
        let mut sorted: Vec<f64> = known.iter().map(|(_, loss)| *loss).collect();
        sorted.sort_by(f64::total_cmp);
        let (center, scale) = center_and_scale(&sorted);
        let pairs: Vec<(f64, f64)> = known
            .iter()
            .map(|(units, loss)| {
                let own = center + scale * standard(*loss, center, scale);
                (self.predict(axes, units), own)
            })
            .collect();
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
        let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let product = |of: fn(f64, f64) -> f64| -> f64 {
            pairs.iter().map(|(x, y)| of(x - mean_x, y - mean_y)).sum()
        };
        let (xx, yy, xy) = (product(|x, _| x * x), product(|_, y| y * y), product(|x, y| x * y));
        // Near one place of the earlier losses, chance alone makes them differ.
        let has_looked_around = xx > 0.05 * n;
        let correlation = if xx * yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 };
        if known.len() >= FEWEST && has_looked_around && correlation < LEAST_CORRELATION {
            return None;
        }
        let level = self.center + self.scale * mean_x;
        let is_share = level.abs() > 2.0 * self.scale && (level > 0.0) == (mean_y > 0.0);
        let usual = if is_share { self.scale * (mean_y / level) } else { self.scale };
        let slope = (xy + usual) / (xx + 1.0);
        let line = Line { at_0: mean_y - slope * mean_x, slope };
        (line.slope > 0.0 && line.at_0.is_finite() && line.slope.is_finite()).then_some(line)
    }

    /// Its standardised loss at a point, from those nearest to it.
    fn predict(&self, axes: &Axes, units: &[f64]) -> f64 {
        let mut nearest: Vec<(f64, f64)> = self
            .units
            .iter()
            .zip(&self.losses)
            .map(|(other, loss)| (square(axes, units, other), self.standard(*loss)))
            .collect();
        let n = NEIGHBOURS.min(nearest.len());
        if n < nearest.len() {
            nearest.select_nth_unstable_by(n, |one, other| {
                one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1))
            });
        }
        nearest.truncate(n);
        nearest.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        let weight = |square: f64| 1.0 / (square + 1e-9);
        let sum: f64 = nearest.iter().map(|(square, _)| weight(*square)).sum();
        let weighed: f64 = nearest.iter().map(|(square, loss)| weight(*square) * loss).sum();
        if sum > 0.0 { weighed / sum } else { 0.0 }
    }
}

/// From standardised losses to those of the study.
struct Line {
    at_0: f64,
    slope: f64,
}

impl Line {
    fn at(&self, standard: f64) -> f64 {
        (self.at_0 + self.slope * standard).clamp(f64::MIN, f64::MAX)
    }
}

/// So many ends are looked at while there are fewer than twice as many, half as much again in
/// between: what follows from them costs time.
fn milestone(n: usize) -> usize {
    if n < 4 {
        return n;
    }
    let base = 1 << n.ilog2();
    if n >= base + base / 2 { base + base / 2 } else { base }
}

fn standard(loss: f64, center: f64, scale: f64) -> f64 {
    // Halves keep the widest difference finite.
    (2.0 * ((loss / 2.0 - center / 2.0) / scale)).clamp(-FARTHEST, FARTHEST)
}

/// The median, and half of what the middle two thirds span; 1 where all are the same.
fn center_and_scale(sorted: &[f64]) -> (f64, f64) {
    let at = |share: f64| {
        let place = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(place).copied().unwrap_or_default()
    };
    let span = |low: f64, high: f64| at(high) / 2.0 - at(low) / 2.0;
    let scale = match span(1.0 / 6.0, 5.0 / 6.0) {
        narrow if narrow > 0.0 => narrow,
        _ => span(0.0, 1.0),
    };
    (at(0.5), if scale > 0.0 && scale.is_finite() { scale } else { 1.0 })
}

/// The squared distance of two points, as a mean over the axes.
fn square(axes: &Axes, one: &[f64], other: &[f64]) -> f64 {
    let kinds = axes.kinds().iter();
    let squares = kinds.zip(one.iter().zip(other)).map(|(kind, (one, other))| {
        match (one.is_nan(), other.is_nan(), kind) {
            (true, true, _) => 0.0,
            (false, false, Kind::Category(_)) => f64::from(u8::from(one != other)),
            (false, false, _) => (one - other).powi(2),
            _ => 1.0,
        }
    });
    squares.sum::<f64>() / axes.kinds().len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Domain, Parameter, SearchSpace};

    use super::*;

    fn square_of_two() -> Axes {
        let axis = |name: &str| Parameter {
            name: name.into(),
            domain: Domain::Uniform { min: 0.0, max: 1.0, q: None },
        };
        Axes::new(SearchSpace { parameters: vec![axis("x"), axis("y")] })
    }

    fn point(i: usize) -> Vec<f64> {
        vec![(i as f64 * 0.618).fract(), (i as f64 * 0.414).fract()]
    }

    fn bowl(units: &[f64]) -> f64 {
        (units[0] - 0.3).powi(2) + (units[1] - 0.7).powi(2)
    }

    fn earlier(axes: &Axes, n: usize, loss: impl Fn(&[f64]) -> f64) -> Vec<Earlier> {
        let trial = |i| Earlier {
            configuration: axes.configuration(&point(i)),
            loss: loss(&point(i)),
            source: 0,
            is_same: false,
        };
        (0..n).map(trial).collect()
    }

    fn own(n: usize, loss: impl Fn(&[f64]) -> f64) -> Vec<Past> {
        (0..n)
            .map(|i| {
                let units = point(1_000 + i);
                let fate = Some(Fate::Completed(loss(&units)));
                Past { number: 500 + i as u32, units, fate }
            })
            .collect()
    }

    #[test]
    fn another_scale_is_found_from_a_few_trials() {
        let axes = square_of_two();
        let mut taught = Taught::new(&axes, &earlier(&axes, 200, |units| 10.0 * bowl(units)));
        for (n, most_off) in [(0, f64::INFINITY), (8, 0.25), (23, 0.15)] {
            let own = own(n, |units| 1_000.0 + bowl(units));
            let counted = taught.account(&axes, &own).unwrap();
            assert!(counted.len() >= 25, "{}", counted.len());
            let off = |past: &Past| (past.loss().unwrap() - 1_000.0 - bowl(&past.units)).abs();
            let off = counted.iter().map(off).sum::<f64>() / counted.len() as f64;
            assert!(off < most_off, "{n}: {off}");
            assert_eq!(taught.account(&axes, &own), None, "nothing has changed");
        }
    }

    #[test]
    fn they_become_fewer_and_the_best_stays() {
        let axes = square_of_two();
        let trials = earlier(&axes, 300, bowl);
        let best = trials.iter().map(|trial| trial.loss).fold(f64::INFINITY, f64::min);
        let mut last = usize::MAX;
        for (n, expected) in [(0, 256), (8, 128), (12, 78), (20, 51)] {
            let counted = Taught::new(&axes, &trials).account(&axes, &own(n, bowl)).unwrap();
            assert_eq!(counted.len(), expected, "{n}");
            assert!(counted.len() < last);
            last = counted.len();
            let leads = counted
                .iter()
                .min_by(|one, other| one.loss().unwrap().total_cmp(&other.loss().unwrap()));
            assert_eq!(bowl(&leads.unwrap().units), best);
        }
        for n in [24, 3_000] {
            let late = Taught::new(&axes, &trials).account(&axes, &own(n, bowl)).unwrap();
            assert_eq!(late, []);
        }
    }

    #[test]
    fn whoever_misleads_is_left_out() {
        let axes = square_of_two();
        for wrong in [|units: &[f64]| -bowl(units), |units: &[f64]| (units[0] * 97.0).sin()] {
            let mut taught = Taught::new(&axes, &earlier(&axes, 200, wrong));
            assert_eq!(taught.account(&axes, &own(16, bowl)).unwrap(), []);
        }
    }

    #[test]
    fn what_was_measured_alike_stays_as_it_is() {
        let axes = square_of_two();
        let mut trials = earlier(&axes, 50, bowl);
        trials.iter_mut().for_each(|trial| trial.is_same = true);
        let mut taught = Taught::new(&axes, &trials);
        let counted = taught.account(&axes, &[]).unwrap();
        assert!(counted.iter().all(|past| past.loss() == Some(bowl(&past.units))));
        assert_eq!(taught.account(&axes, &own(64, |units| -bowl(units))), None);
        assert!(!taught.is_guarded(2, 0));
    }

    #[test]
    fn hostile_losses_stay_finite() {
        let axes = square_of_two();
        let losses = [1e308, -1e308, 0.0, 1.0, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY];
        let of = |units: &[f64]| losses[(units[0] * 7.0) as usize % 7];
        let trials = earlier(&axes, 70, of);
        let n_finite = trials.iter().filter(|trial| trial.loss.is_finite()).count();
        let mut taught = Taught::new(&axes, &trials);
        assert_eq!(taught.n_numbers() as usize, n_finite);
        for n in [0, 1, 3, 9, 30] {
            for own_loss in [1e308, 0.0, -1e308] {
                let own = own(n, |units| if units[1] < 0.5 { own_loss } else { 1.0 });
                for past in taught.account(&axes, &own).unwrap_or_default() {
                    assert!(past.loss().unwrap().is_finite());
                }
            }
        }
        assert_eq!(Taught::new(&axes, &[]).account(&axes, &own(5, bowl)), Some(Vec::new()));
    }
}
