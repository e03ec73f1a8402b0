//! A network's weights, from their first draw to the last step.
//!
//! Batches stand column after column, padded with rows of zeros to a multiple of [`LANES`]: rows of
//! no weight, which change no sum. Sums over a batch are in `LANES` parts, whoever computes them. The
//! CUDA kernel must find the same bits.

use std::ops::ControlFlow;

use fleetfit_search_spaces::seed::mix;

use super::shuffle::Shuffle;
use crate::boost::exp::sigmoid;
use crate::model::encoder::Design;
use crate::model::network::{Curve, Layer, add_weighted, shares, single};
use crate::stop::{Pace, Stop, Stopped};

/// Running sums over a batch.
pub(crate) const LANES: usize = 8;
/// Adam's, by its paper.
const FADE_FIRST: f32 = 0.9;
const FADE_SECOND: f32 = 0.999;
const LEAST: f32 = 1e-8;
/// One row in so many is held back for early stopping.
const HELD_BACK: usize = 10;
/// What a curve or a share costs, in sums.
const CURVE: usize = 16;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Units of each hidden layer.
    pub(crate) hidden: Vec<usize>,
    pub(crate) curve: Curve,
    pub(crate) learning_rate: f64,
    pub(crate) alpha: f64,
    pub(crate) batch_size: usize,
    pub(crate) n_epochs: usize,
    /// Epochs without gain before it is enough.
    pub(crate) early_stopping: Option<usize>,
}

/// What the last layer is to say, row by row.
#[derive(Clone, Debug)]
pub(crate) enum Targets {
    Numbers(Vec<f32>),
    Classes { codes: Vec<u32>, n_classes: usize },
}

/// What trainings learn from, as they read it.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// Feature after feature.
    pub(crate) values: Vec<f32>,
    pub(crate) targets: Targets,
    /// One on average; none when all rows weigh the same.
    pub(crate) weights: Option<Vec<f32>>,
    pub(crate) n_rows: usize,
    pub(crate) n_features: usize,
}

/// One training.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) settings: &'a Settings,
    pub(crate) seed: u64,
}

/// A layer as it learns.
struct Learning {
    layer: Layer,
    weights: Moments,
    biases: Moments,
}

/// Adam's running means of slopes and of their squares.
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

/// A step's size and the penalty, over the rows of its batch.
#[derive(Clone, Copy)]
struct Step {
    size: f32,
    alpha: f32,
    n_rows: f32,
}

/// Memory of a batch.
#[derive(Default)]
struct Batch {
    rows: Vec<u32>,
    /// Rows with those that pad.
    n: usize,
    /// The features, then what each layer says.
    values: Vec<Vec<f32>>,
    /// Slopes of the loss by a layer's sums, and by those of the one below.
    slopes: Vec<f32>,
    below: Vec<f32>,
}

impl Targets {
    /// Units of the last layer.
    pub(crate) fn n_outputs(&self) -> usize {
        match self {
            Self::Numbers(_) | Self::Classes { n_classes: 2, .. } => 1,
            Self::Classes { n_classes, .. } => *n_classes,
        }
    }
}

impl Ground {
    pub(crate) fn new(design: &Design, targets: Targets, weights: Option<&[f64]>) -> Self {
        let n_rows = design.n_rows;
        let weights = weights.map(|weights| {
            let total: f64 = weights.iter().sum();
            weights.iter().map(|weight| (weight / total * n_rows as f64) as f32).collect()
        });
        Self {
            values: design.values.iter().map(|value| single(*value)).collect(),
            targets,
            weights,
            n_rows,
            n_features: design.n_columns,
        }
    }

    /// Units of the features and of each layer.
    pub(crate) fn units(&self, settings: &Settings) -> Vec<usize> {
        let hidden = settings.hidden.iter().copied();
        let all = [self.n_features].into_iter().chain(hidden);
        all.chain([self.targets.n_outputs()]).collect()
    }
}

impl Course<'_> {
    /// Trains, and has `hear` see the layers after every epoch until it says enough.
    pub(crate) fn run(
        &self,
        stop: &Stop,
        hear: &mut dyn FnMut(&[Layer]) -> ControlFlow<()>,
    ) -> Result<Vec<Layer>, Stopped> {
        let (train, held_back) = self.parts();
        let mut layers: Vec<Learning> = self.start().into_iter().map(Learning::new).collect();
        let mut batch = Batch::default();
        let mut pace = Pace::of(stop);
        let mut best: Option<(f64, usize, Vec<Layer>)> = None;
        let mut powers = [1.0_f64; 2];
        for epoch in 0..self.settings.n_epochs {
            let shuffle = Shuffle::new(train.len(), mix(&[self.seed, epoch as u64, 1]));
            for first in (0..train.len()).step_by(self.settings.batch_size) {
                stop.check()?;
                let end = first.saturating_add(self.settings.batch_size).min(train.len());
                let places = (first..end).map(|place| train[shuffle.at(place)]);
                self.gather(&mut batch, places, &mut pace)?;
                self.ahead(&mut batch, &layers, &mut pace)?;
                powers[0] *= f64::from(FADE_FIRST);
                powers[1] *= f64::from(FADE_SECOND);
                let share = (1.0 - powers[1]).sqrt() / (1.0 - powers[0]);
                let step = Step {
                    size: (self.settings.learning_rate * share) as f32,
                    alpha: self.settings.alpha as f32,
                    n_rows: batch.rows.len() as f32,
                };
                self.back(&mut batch, &mut layers, step, &mut pace)?;
            }
            let own = || layers.iter().map(|own| own.layer.clone()).collect::<Vec<_>>();
            if let Some(n_rounds) = self.settings.early_stopping
                && !held_back.is_empty()
            {
                let missed = self.missed(&mut batch, &layers, &held_back, stop)?;
                if best.as_ref().is_none_or(|best| missed < best.0) {
                    best = Some((missed, epoch, own()));
                } else if best.as_ref().is_some_and(|best| epoch - best.1 >= n_rounds) {
                    break;
                }
            }
            if hear(&own()).is_break() {
                break;
            }
        }
        let last = layers.into_iter().map(|own| own.layer).collect();
        Ok(best.map_or(last, |(_, _, layers)| layers))
    }

    /// The rows to learn from, and those that say when it is enough.
    pub(crate) fn parts(&self) -> (Vec<u32>, Vec<u32>) {
        let n_held = match self.settings.early_stopping {
            Some(_) => self.ground.n_rows / HELD_BACK,
            None => 0,
        };
        let shuffle = Shuffle::new(self.ground.n_rows, mix(&[self.seed, 2]));
        let all =
            (0..self.ground.n_rows as u32).map(|row| (row, shuffle.at(row as usize) < n_held));
        let (held, train): (Vec<_>, Vec<_>) = all.partition(|(_, is_held)| *is_held);
        let rows = |own: Vec<(u32, bool)>| own.into_iter().map(|(row, _)| row).collect();
        (rows(train), rows(held))
    }

    /// Weights drawn evenly between bounds that keep sums as large as what they sum (Glorot and
    /// Bengio, 2010).
    pub(crate) fn start(&self) -> Vec<Layer> {
        let mut layers = Vec::new();
        for (index, pair) in self.ground.units(self.settings).windows(2).enumerate() {
            let (n_below, n_units) = (pair[0], pair[1]);
            let bound = (6.0 / (n_below + n_units) as f64).sqrt();
            let weight = |place: usize| {
                let drawn = mix(&[self.seed, index as u64, place as u64, 3]) >> 11;
                let unit = drawn as f64 / (1_u64 << 53) as f64;
                (bound * (2.0 * unit - 1.0)) as f32
            };
            layers.push(Layer {
                n_below: n_below as u32,
                n_units: n_units as u32,
                weights: (0..n_below * n_units).map(weight).collect(),
                biases: vec![0.0; n_units],
            });
        }
        layers
    }

    /// Lays out the features of some rows.
    fn gather(
        &self,
        batch: &mut Batch,
        rows: impl Iterator<Item = u32>,
        pace: &mut Pace<'_>,
    ) -> Result<(), Stopped> {
        batch.rows.clear();
        batch.rows.extend(rows);
        batch.n = batch.rows.len().next_multiple_of(LANES);
        batch.values.resize(self.settings.hidden.len() + 2, Vec::new());
        let features = &mut batch.values[0];
        features.clear();
        features.resize(self.ground.n_features * batch.n, 0.0);
        let columns = features.chunks_exact_mut(batch.n.max(1));
        for (own, column) in columns.zip(self.ground.values.chunks_exact(self.ground.n_rows)) {
            pace.go(own.len())?;
            own.iter_mut().zip(&batch.rows).for_each(|(own, row)| *own = column[*row as usize]);
        }
        Ok(())
    }

    /// What each layer says.
    fn ahead(
        &self,
        batch: &mut Batch,
        layers: &[Learning],
        pace: &mut Pace<'_>,
    ) -> Result<(), Stopped> {
        let n = batch.n;
        for (index, Learning { layer, .. }) in layers.iter().enumerate() {
            let (below, above) = batch.values.split_at_mut(index + 1);
            let sums = &mut above[0];
            sums.clear();
            sums.resize(layer.n_units as usize * n, 0.0);
            for (unit, sums) in sums.chunks_exact_mut(n.max(1)).enumerate() {
                sums.fill(layer.biases[unit]);
                add(sums, &below[index], layer.of_unit(unit), pace)?;
                if index + 1 < layers.len() {
                    pace.go(CURVE * n)?;
                    self.settings.curve.bend(sums);
                }
            }
        }
        Ok(())
    }

    /// The slopes of the loss by the last sums; none where a row only pads.
    fn slope(&self, batch: &mut Batch, pace: &mut Pace<'_>) -> Result<(), Stopped> {
        let n = batch.n;
        let sums = batch.values.last().map_or(&[][..], Vec::as_slice);
        batch.slopes.clear();
        batch.slopes.resize(sums.len(), 0.0);
        let slopes = &mut batch.slopes;
        let mut scores = vec![0.0; sums.len() / n.max(1)];
        for (place, &row) in batch.rows.iter().enumerate() {
            pace.go(CURVE * scores.len())?;
            let row = row as usize;
            let weight = self.ground.weights.as_ref().map_or(1.0, |weights| weights[row]);
            match &self.ground.targets {
                Targets::Numbers(numbers) => slopes[place] = weight * (sums[place] - numbers[row]),
                Targets::Classes { codes, n_classes: 2 } => {
                    let share = sigmoid(f64::from(sums[place])) as f32;
                    slopes[place] = weight * (share - codes[row] as f32);
                }
                Targets::Classes { codes, .. } => {
                    let own = sums.iter().skip(place).step_by(n);
                    scores.iter_mut().zip(own).for_each(|(score, own)| *score = f64::from(*own));
                    shares(&mut scores);
                    for (class, share) in scores.iter().enumerate() {
                        let truth = f32::from(u8::from(codes[row] as usize == class));
                        slopes[class * n + place] = weight * (*share as f32 - truth);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a step in every layer, the last one first.
    fn back(
        &self,
        batch: &mut Batch,
        layers: &mut [Learning],
        step: Step,
        pace: &mut Pace<'_>,
    ) -> Result<(), Stopped> {
        self.slope(batch, pace)?;
        for (index, own) in layers.iter_mut().enumerate().rev() {
            let values = &batch.values[index];
            let n_units = own.layer.n_units as usize;
            if index > 0 {
                batch.below.clear();
                batch.below.resize(values.len(), 0.0);
                let units = batch.below.chunks_exact_mut(batch.n).zip(values.chunks_exact(batch.n));
                for ((below, values), weights) in units.zip(own.layer.weights.chunks_exact(n_units))
                {
                    add(below, &batch.slopes, weights.iter().copied(), pace)?;
                    self.settings.curve.slope(values, below);
                }
            }
            own.step(values, &batch.slopes, (batch.n, step), pace)?;
            std::mem::swap(&mut batch.slopes, &mut batch.below);
        }
        Ok(())
    }

    /// The summed squared errors on rows that were held back, of probabilities where there are
    /// classes.
    fn missed(
        &self,
        batch: &mut Batch,
        layers: &[Learning],
        rows: &[u32],
        stop: &Stop,
    ) -> Result<f64, Stopped> {
        let mut missed = 0.0;
        let mut pace = Pace::of(stop);
        for rows in rows.chunks(self.settings.batch_size) {
            stop.check()?;
            self.gather(batch, rows.iter().copied(), &mut pace)?;
            self.ahead(batch, layers, &mut pace)?;
            // For numbers and for probabilities the slope is what is missed.
            self.slope(batch, &mut pace)?;
            for slopes in batch.slopes.chunks_exact(batch.n) {
                for (slope, &row) in slopes.iter().zip(rows) {
                    let weight = self.ground.weights.as_ref().map_or(1.0, |own| own[row as usize]);
                    if weight > 0.0 {
                        missed += f64::from(*slope) * f64::from(*slope) / f64::from(weight);
                    }
                }
            }
        }
        Ok(missed)
    }
}

impl Learning {
    fn new(layer: Layer) -> Self {
        let moments = |n: usize| Moments { first: vec![0.0; n], second: vec![0.0; n] };
        let (weights, biases) = (moments(layer.weights.len()), moments(layer.biases.len()));
        Self { layer, weights, biases }
    }

    /// Moves every weight against its slope over a batch of `n` rows.
    fn step(
        &mut self,
        values: &[f32],
        slopes: &[f32],
        (n, step): (usize, Step),
        pace: &mut Pace<'_>,
    ) -> Result<(), Stopped> {
        let Self { layer, weights: moments, biases } = self;
        let n_units = layer.n_units as usize;
        for (below, values) in values.chunks_exact(n).enumerate() {
            for (unit, slopes) in slopes.chunks_exact(n).enumerate() {
                pace.go(n)?;
                let at = below * n_units + unit;
                let weight = &mut layer.weights[at];
                let slope = (product(values, slopes) + step.alpha * *weight) / step.n_rows;
                moments.step(at, weight, slope, step.size);
            }
        }
        for (unit, slopes) in slopes.chunks_exact(n).enumerate() {
            biases.step(unit, &mut layer.biases[unit], sum(slopes) / step.n_rows, step.size);
        }
        Ok(())
    }
}

impl Moments {
    #[inline(always)]
    fn step(&mut self, at: usize, weight: &mut f32, slope: f32, size: f32) {
        let first = FADE_FIRST * self.first[at] + (1.0 - FADE_FIRST) * slope;
        let second = FADE_SECOND * self.second[at] + (1.0 - FADE_SECOND) * (slope * slope);
        self.first[at] = first;
        self.second[at] = second;
        *weight -= size * first / (second.sqrt() + LEAST);
    }
}

/// Adds rows of numbers times a weight each, some at a time, which changes no sum.
fn add(
    sums: &mut [f32],
    rows: &[f32],
    mut weights: impl Iterator<Item = f32>,
    pace: &mut Pace<'_>,
) -> Result<(), Stopped> {
    let n = sums.len().max(1);
    for rows in rows.chunks((Pace::LAP / n).max(1).next_multiple_of(4) * n) {
        pace.go(rows.len())?;
        add_weighted(sums, rows, weights.by_ref());
    }
    Ok(())
}

/// The sum of products, in [`LANES`] running parts.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    folded(sums)
}

fn sum(values: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for values in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[lane] += values[lane];
        }
    }
    folded(sums)
}

fn folded([a, b, c, d, e, f, g, h]: [f32; LANES]) -> f32 {
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sums_are_added_lap_by_lap_to_the_bit() {
        let (n, n_rows) = (1 << 18, 23);
        let rows: Vec<f32> = (0..n * n_rows).map(|at| (at as f32).sin()).collect();
        let weights = || (0..n_rows).map(|at| 0.1 + at as f32);
        let mut expected = vec![0.5; n];
        add_weighted(&mut expected, &rows, weights());
        let stop = Stop::default();
        let mut sums = vec![0.5; n];
        assert_eq!(add(&mut sums, &rows, weights(), &mut Pace::of(&stop)), Ok(()));
        assert_eq!(sums, expected);
        stop.cancel();
        let stopped = add(&mut sums, &rows, weights(), &mut Pace::of(&stop));
        assert_eq!(stopped, Err(Stopped::Cancelled));
    }
}
