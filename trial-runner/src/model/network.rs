//! A small network: layers of weighted sums, each but the last through a curve.
//!
//! In single precision, with sums in the order of the units below and an own `exp`: the same bits on
//! any machine, and on a graphics card.

use serde::{Deserialize, Serialize};

use super::encoder::Design;
use crate::boost::exp::{exp, sigmoid};

/// Rows that go through the layers together.
const BLOCK_ROWS: usize = 64;
/// No feature or target is larger: sums of such numbers are within the bounds of single precision.
const LARGEST: f32 = 1e30;

/// A network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) layers: Vec<Layer>,
    pub(crate) curve: Curve,
    pub(crate) output: Output,
}

/// Units that each read all of those below.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) n_below: u32,
    pub(crate) n_units: u32,
    /// For each unit below a weight a unit.
    pub(crate) weights: Vec<f32>,
    pub(crate) biases: Vec<f32>,
}

/// What a unit makes of its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Curve {
    /// Nothing below 0.
    Relu,
    /// Between -1 and 1.
    Tanh,
}

/// What the last layer says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Output {
    /// A number, in units of `scale` from `shift`.
    Number { shift: f64, scale: f64 },
    /// The log-odds of the second of two classes.
    TwoClasses,
    /// A score a class.
    Classes,
}

impl Curve {
    pub(crate) fn bend(self, values: &mut [f32]) {
        match self {
            Self::Relu => {
                values.iter_mut().for_each(|value| *value = if *value > 0.0 { *value } else { 0.0 })
            }
            Self::Tanh => values.iter_mut().for_each(|value| *value = tanh(*value)),
        }
    }

    /// Multiplies slopes of the values by those of the curve.
    pub(crate) fn slope(self, values: &[f32], slopes: &mut [f32]) {
        let pairs = slopes.iter_mut().zip(values);
        match self {
            Self::Relu => {
                pairs.for_each(|(slope, value)| *slope = if *value > 0.0 { *slope } else { 0.0 });
            }
            Self::Tanh => pairs.for_each(|(slope, value)| *slope *= 1.0 - value * value),
        }
    }
}

/// A number as networks read it.
pub(crate) fn single(value: f64) -> f32 {
    (value as f32).clamp(-LARGEST, LARGEST)
}

fn tanh(x: f32) -> f32 {
    let x = f64::from(x);
    let fade = exp(-2.0 * x.abs());
    let size = (1.0 - fade) / (1.0 + fade);
    (if x < 0.0 { -size } else { size }) as f32
}

impl Layer {
    /// The sums of its units for `n` rows, unit after unit.
    pub(crate) fn sums(&self, below: &[f32], n: usize, sums: &mut Vec<f32>) {
        let n_units = self.n_units as usize;
        sums.clear();
        sums.resize(n_units * n, 0.0);
        for (unit, sums) in sums.chunks_exact_mut(n.max(1)).enumerate() {
            sums.fill(self.biases[unit]);
            add_weighted(sums, below, self.of_unit(unit));
        }
    }

    /// The weights of a unit, one for each below.
    pub(crate) fn of_unit(&self, unit: usize) -> impl Iterator<Item = f32> {
        self.weights.iter().skip(unit).step_by(self.n_units as usize).copied()
    }
}

/// Adds rows of numbers times a weight each, one after another.
pub(crate) fn add_weighted(sums: &mut [f32], rows: &[f32], mut weights: impl Iterator<Item = f32>) {
    let n = sums.len();
    if n == 0 {
        return;
    }
    let mut next = || weights.next().unwrap_or_default();
    let fours = rows.chunks_exact(4 * n);
    let rest = fours.remainder();
    for four in fours {
        let (a, others) = four.split_at(n);
        let (b, others) = others.split_at(n);
        let (c, d) = others.split_at(n);
        let weights = [next(), next(), next(), next()];
        let values = a.iter().zip(b).zip(c.iter().zip(d));
        for (sum, ((a, b), (c, d))) in sums.iter_mut().zip(values) {
            let two = (*sum + weights[0] * a) + weights[1] * b;
            *sum = (two + weights[2] * c) + weights[3] * d;
        }
    }
    for row in rest.chunks_exact(n) {
        let weight = next();
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
    }
}

/// Turns the last layer's sums of one row into probabilities.
pub(crate) fn shares(scores: &mut [f64]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for score in &mut *scores {
        *score = exp(*score - top);
        total += *score;
    }
    scores.iter_mut().for_each(|score| *score /= total);
}

impl Output {
    /// What the last layer's sums of `n` rows mean: `width` numbers a row.
    pub(crate) fn tell(self, sums: &[f32], n: usize, out: &mut [f64], width: usize) {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            match self {
                Self::Number { shift, scale } => out[0] = shift + scale * f64::from(sums[row]),
                Self::TwoClasses => {
                    let share = sigmoid(f64::from(sums[row]));
                    out[0] = 1.0 - share;
                    out[1] = share;
                }
                Self::Classes => {
                    let scores = sums.iter().skip(row).step_by(n);
                    out.iter_mut().zip(scores).for_each(|(out, score)| *out = f64::from(*score));
                    shares(out);
                }
            }
        }
    }
}

impl Network {
    /// What a row is multiplied by.
    pub(crate) fn n_weights(&self) -> usize {
        let each = self.layers.iter();
        each.map(|layer| layer.n_below as usize * layer.n_units as usize).sum()
    }

    pub(crate) fn predict(&self, design: &Design, out: &mut [f64], width: usize) {
        let mut below: Vec<f32> = Vec::new();
        let mut above: Vec<f32> = Vec::new();
        for (block, out) in out.chunks_mut(BLOCK_ROWS * width).enumerate() {
            let first = block * BLOCK_ROWS;
            let n = out.len() / width;
            below.clear();
            for column in 0..design.n_columns {
                below.extend(design.column(column)[first..first + n].iter().map(|x| single(*x)));
            }
            for (index, layer) in self.layers.iter().enumerate() {
                layer.sums(&below, n, &mut above);
                std::mem::swap(&mut below, &mut above);
                if index + 1 < self.layers.len() {
                    self.curve.bend(&mut below);
                }
            }
            self.output.tell(&below, n, out, width);
        }
    }

    pub(crate) fn is_sound(&self, n_features: usize, width: usize) -> bool {
        let n_outputs = match self.output {
            Output::Number { .. } if width == 1 => 1,
            Output::TwoClasses if width == 2 => 1,
            Output::Classes if width > 2 => width,
            _ => return false,
        };
        let mut n_below = n_features;
        let fits = |layer: &Layer| {
            let n_units = layer.n_units as usize;
            let is_next = layer.n_below as usize == n_below && n_units > 0;
            n_below = n_units;
            is_next
                && (layer.n_below as usize).checked_mul(n_units) == Some(layer.weights.len())
                && layer.biases.len() == n_units
        };
        self.layers.iter().all(fits) && !self.layers.is_empty() && n_below == n_outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_one_after_another() {
        for n_rows in 0..10 {
            let rows: Vec<f32> = (0..n_rows * 3).map(|at| (at as f32).sin() * 1e3).collect();
            let weights: Vec<f32> = (0..n_rows).map(|at| 0.1 + at as f32).collect();
            let mut sums = [0.5_f32, -1.0, 1e6];
            let mut expected = sums;
            for (row, weight) in rows.chunks(3).zip(&weights) {
                expected.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
            add_weighted(&mut sums, &rows, weights.iter().copied());
            assert_eq!(sums, expected);
        }
    }

    #[test]
    fn curves_and_outputs_are_what_they_are_called() {
        let mut values = [-30.0_f32, -0.5, 0.0, 0.25, 3.0];
        let expected = values.map(f32::tanh);
        Curve::Tanh.bend(&mut values);
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-7, "{value} {expected}");
        }
        let mut out = [0.0; 6];
        Output::Classes.tell(&[1.0, 90.0, 2.0, -90.0, 3.0, 0.0], 2, &mut out, 3);
        let total = 1.0_f64.exp() + 2.0_f64.exp() + 3.0_f64.exp();
        assert!((out[1] - 2.0_f64.exp() / total).abs() < 1e-12 && out[3] > 0.999_999);
        Output::TwoClasses.tell(&[0.0, 40.0], 2, &mut out[..4], 2);
        assert_eq!(out[..3], [0.5, 0.5, 1.0 - sigmoid(40.0)]);
        Output::Number { shift: 3.0, scale: 2.0 }.tell(&[0.5], 1, &mut out[..1], 1);
        assert_eq!(out[0], 4.0);
    }
}
