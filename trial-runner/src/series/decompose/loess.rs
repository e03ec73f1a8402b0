//! Local regression on regular steps (Cleveland 1979), as STL needs it.
//!
//! Without weights of their own for the values, the weights of a window depend on nothing but where it
//! stands, so they are computed once for a length and used on every series of it. Windows of more than
//! [`WIDE`] steps are evaluated at every tenth of their width, with straight lines between, as R does.

use crate::model::products::dot as product;

/// Windows wider than this are not evaluated at every step.
const WIDE: usize = 101;

/// What is regressed on in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Degree {
    Constant,
    Line,
}

/// Local regression of a window over series of one length.
#[derive(Debug)]
pub(super) struct Loess {
    n: usize,
    window: usize,
    degree: Degree,
    points: Vec<Point>,
    weights: Vec<f64>,
}

/// A place that is evaluated, the first value of its window and where its weights begin.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: usize,
    left: usize,
    weights: usize,
}

impl Loess {
    /// Weights for a series of `n` values.
    pub(super) fn new(n: usize, window: usize, degree: Degree) -> Self {
        let mut loess = Self { n, window, degree, points: Vec::new(), weights: Vec::new() };
        if n < 2 {
            return loess;
        }
        let width = window.min(n);
        let jump = if window > WIDE { window.div_ceil(10).min(n - 1) } else { 1 };
        let mut row = vec![0.0; width];
        let mut centred = None;
        let places = (0..n - 1).step_by(jump).chain([n - 1]);
        for at in places {
            let left = at.saturating_sub(window / 2).min(n - width);
            let known = centred.filter(|(offset, _)| *offset == at - left);
            let weights = known.map_or(loess.weights.len(), |(_, weights)| weights);
            if known.is_none() {
                loess.fill(at as f64, left, &mut row, |_| 1.0);
                loess.weights.extend_from_slice(&row);
                centred = Some((at - left, weights));
            }
            loess.points.push(Point { at, left, weights });
        }
        loess
    }

    /// The weights of the values of a window for a place, which may lie beside the series; whether
    /// there is any weight.
    fn fill(
        &self,
        at: f64,
        left: usize,
        row: &mut [f64],
        own_weight: impl Fn(usize) -> f64,
    ) -> bool {
        let right = left + row.len() - 1;
        let mut reach = (at - left as f64).max(right as f64 - at);
        if self.window > self.n {
            reach += ((self.window - self.n) / 2) as f64;
        }
        let mut sum = 0.0;
        for (index, weight) in row.iter_mut().enumerate() {
            let distance = ((left + index) as f64 - at).abs();
            *weight = if distance > 0.999 * reach {
                0.0
            } else if distance <= 0.001 * reach {
                own_weight(left + index)
            } else {
                let near = 1.0 - (distance / reach).powi(3);
                near * near * near * own_weight(left + index)
            };
            sum += *weight;
        }
        if sum <= 0.0 {
            return false;
        }
        for weight in row.iter_mut() {
            *weight /= sum;
        }
        if self.degree == Degree::Line && reach > 0.0 {
            let place = |index: usize| (left + index) as f64;
            let centre: f64 = row.iter().enumerate().map(|(index, w)| w * place(index)).sum();
            let spread: f64 =
                row.iter().enumerate().map(|(index, w)| w * (place(index) - centre).powi(2)).sum();
            if spread.sqrt() > 0.001 * (self.n - 1) as f64 {
                let slope = (at - centre) / spread;
                for (index, weight) in row.iter_mut().enumerate() {
                    *weight *= slope * (place(index) - centre) + 1.0;
                }
            }
        }
        true
    }

    /// Smooths a series of the length that the weights are for.
    pub(super) fn smooth(&self, y: &[f64], own: Option<&[f64]>, smoothed: &mut [f64]) {
        if self.n < 2 {
            smoothed.copy_from_slice(y);
            return;
        }
        let width = self.window.min(self.n);
        let mut row = vec![0.0; if own.is_some() { width } else { 0 }];
        let mut before: Option<usize> = None;
        for &Point { at, left, weights } in &self.points {
            let values = &y[left..left + width];
            smoothed[at] = match own {
                None => product(&self.weights[weights..weights + width], values),
                Some(own) if self.fill(at as f64, left, &mut row, |index| own[index]) => {
                    product(&row, values)
                }
                Some(_) => y[at],
            };
            if let Some(from) = before {
                let slope = (smoothed[at] - smoothed[from]) / (at - from) as f64;
                for between in from + 1..at {
                    smoothed[between] = smoothed[from] + slope * (between - from) as f64;
                }
            }
            before = Some(at);
        }
    }

    /// The regression one step before the series (`after` false) or one step after it.
    pub(super) fn beyond(&self, y: &[f64], own: Option<&[f64]>, after: bool) -> f64 {
        let width = self.window.min(self.n).max(1);
        let mut row = vec![0.0; width];
        let (at, left) = if after { (self.n as f64, self.n - width) } else { (-1.0, 0) };
        let own_weight = |index: usize| own.map_or(1.0, |own| own[index]);
        if self.n > 0 && self.fill(at, left, &mut row, own_weight) {
            return product(&row, &y[left..left + width]);
        }
        let end = if after { y.last() } else { y.first() };
        end.copied().unwrap_or(0.0)
    }
}
