//! How alike points are: Matérn 5/2 of a distance in which each axis has a length of its own.
//!
//! Numbers differ by their distance, alternatives without an order by whether they differ. Points
//! are settled before they come here, so that what has the same value is the same point (E. C.
//! Garrido-Merchán, D. Hernández-Lobato, "Dealing with categorical and integer-valued variables in
//! Bayesian optimization with Gaussian processes", 2020). An axis that is inactive stands in its
//! middle: what tells branches apart is the axis that they branch on, and what they share stays
//! shared (the simplest positive definite form of F. Hutter, M. Osborne, "A kernel for hierarchical
//! parameter spaces", 2013). A constant is added, which is a mean that is not known beforehand.

use super::super::axes::{Axes, Kind};
use super::arithmetic::exp_of_negative;
use super::factor::WIDTH;
use super::stretch::Stretch;
use super::whole::Lanes;

/// The variance of the mean, of that of the function.
pub(super) const CONSTANT: f64 = 1.0;

/// Points as columns, one an axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Points {
    pub(super) n: usize,
    pub(super) columns: Vec<Vec<f64>>,
}

impl Points {
    pub(super) fn new(n_axes: usize) -> Self {
        Self { n: 0, columns: vec![Vec::new(); n_axes] }
    }

    pub(super) fn push(&mut self, features: &[f64]) {
        self.n += 1;
        for (column, &feature) in self.columns.iter_mut().zip(features) {
            column.push(feature);
        }
    }

    pub(super) fn truncate(&mut self, n: usize) {
        self.n = self.n.min(n);
        for column in &mut self.columns {
            column.truncate(n);
        }
    }

    /// A coordinate of a point; 0 where there is no such point.
    pub(super) fn at(&self, i: usize, axis: usize) -> f64 {
        self.columns[axis].get(i).copied().unwrap_or_default()
    }
}

/// The kernel without its scale: covariances of a function with variance 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernel {
    /// `1 / length²` of each axis.
    pub(super) weights: Vec<f64>,
    /// Whether an axis has no order.
    pub(super) is_category: Vec<bool>,
    /// How axes are stretched; none for those that stay as they are, and for all after the last.
    pub(super) stretches: Vec<Option<Stretch>>,
}

/// The numbers that stand for a settled point.
pub(super) fn features(axes: &Axes, units: &[f64]) -> Vec<f64> {
    let feature = |(kind, &unit): (&Kind, &f64)| match kind {
        Kind::Category(_) if unit.is_nan() => -1.0,
        Kind::Category(n) => (unit * *n as f64).floor(),
        _ if unit.is_nan() => 0.5,
        _ => unit,
    };
    axes.kinds().iter().zip(units).map(feature).collect()
}

/// The covariance at a squared distance, and minus half of its derivative by that, doubled: what a
/// difference is multiplied with in the gradient.
#[inline(always)]
pub(super) fn matern(square: f64) -> (f64, f64) {
    let r = (5.0 * square.min(1e6)).sqrt();
    let power = exp_of_negative(-r);
    ((1.0 + r + r * r * (1.0 / 3.0)) * power, (5.0 / 3.0) * (1.0 + r) * power)
}

impl Kernel {
    pub(super) fn new(axes: &Axes, log_lengths: &[f64]) -> Self {
        let is_category = |kind: &Kind| matches!(kind, Kind::Category(_));
        Self {
            weights: log_lengths.iter().map(|log| (-2.0 * log).exp()).collect(),
            is_category: axes.kinds().iter().map(is_category).collect(),
            stretches: Vec::new(),
        }
    }

    /// Features where the kernel sees them.
    pub(super) fn placed(&self, features: &[f64]) -> Vec<f64> {
        let mut placed = features.to_vec();
        for (x, stretch) in placed.iter_mut().zip(&self.stretches) {
            if let Some(stretch) = stretch {
                *x = stretch.at(*x);
            }
        }
        placed
    }

    /// How fast an axis is stretched at a number.
    pub(super) fn stretched_by(&self, axis: usize, x: f64) -> f64 {
        let stretch = self.stretches.get(axis).copied().flatten();
        stretch.map_or(1.0, |stretch| stretch.with_slopes(x).by_x)
    }

    /// Squared distances of a point from the first points.
    #[inline(always)]
    pub(super) fn squares(&self, points: &Points, x: &[f64], squares: &mut [f64]) {
        squares.fill(0.0);
        let n = squares.len();
        for (axis, column) in points.columns.iter().enumerate() {
            let (weight, x) = (self.weights[axis], x[axis]);
            let column = &column[..n];
            if self.is_category[axis] {
                for (square, &other) in squares.iter_mut().zip(column) {
                    *square += if other == x { 0.0 } else { weight };
                }
            } else {
                for (square, &other) in squares.iter_mut().zip(column) {
                    let difference = other - x;
                    *square += weight * difference * difference;
                }
            }
        }
    }

    /// Covariances of a point with the first points, and what differences are multiplied with in
    /// their gradients.
    #[inline(always)]
    pub(super) fn covariances(
        &self,
        points: &Points,
        x: &[f64],
        at: &mut [f64],
        slopes: &mut [f64],
    ) {
        self.squares(points, x, at);
        for (covariance, slope) in at.iter_mut().zip(slopes) {
            (*covariance, *slope) = matern(*covariance);
            *covariance += CONSTANT;
        }
    }

    /// Covariances of several points with all of the points.
    #[inline(always)]
    pub(super) fn block(&self, points: &Points, xs: &[Vec<f64>], block: &mut [[f64; WIDTH]]) {
        let lane = |axis: usize, lane: usize| xs.get(lane).map_or(0.0, |x| x[axis]);
        self.squares_of(points, lane, block);
        for squares in block.iter_mut() {
            for square in squares.iter_mut() {
                *square = matern(*square).0 + CONSTANT;
            }
        }
    }

    /// Covariances of some points, side by side, with the first points, and what differences are
    /// multiplied with in their gradients.
    #[inline(always)]
    pub(super) fn panel(
        &self,
        points: &Points,
        first: usize,
        at: &mut [Lanes],
        slopes: &mut [Lanes],
    ) {
        self.squares_of(points, |axis, lane| points.at(first + lane, axis), at);
        for (covariances, slopes) in at.iter_mut().zip(slopes) {
            for (covariance, slope) in covariances.iter_mut().zip(slopes) {
                (*covariance, *slope) = matern(*covariance);
                *covariance += CONSTANT;
            }
        }
    }

    /// Squared distances of several points, of which each lane has the coordinate of one, from the first
    /// points.
    #[inline(always)]
    fn squares_of<const N: usize>(
        &self,
        points: &Points,
        lane: impl Fn(usize, usize) -> f64,
        squares: &mut [[f64; N]],
    ) {
        squares.fill([0.0; N]);
        for (axis, column) in points.columns.iter().enumerate() {
            let weight = self.weights[axis];
            let x: [f64; N] = std::array::from_fn(|own| lane(axis, own));
            if self.is_category[axis] {
                for (squares, &other) in squares.iter_mut().zip(column) {
                    for lane in 0..N {
                        squares[lane] += if other == x[lane] { 0.0 } else { weight };
                    }
                }
            } else {
                for (squares, &other) in squares.iter_mut().zip(column) {
                    for lane in 0..N {
                        let difference = other - x[lane];
                        squares[lane] += weight * difference * difference;
                    }
                }
            }
        }
    }
}
