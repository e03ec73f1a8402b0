//! Trials as points of the unit cube with their losses: what insight is computed from.

use super::{Expected, Share};

/// How the points of a dimension relate to each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Every coordinate is a value of its own.
    Number,
    /// Values in order, each with the middle of its interval of coordinates, ascending.
    Levels(Vec<f64>),
    /// So many values without an order; the coordinate of each is `(index + 0.5) / n`.
    Category(usize),
}

/// One dimension of the cube.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// How its points relate.
    pub kind: Kind,
    /// The dimension and the alternative of it under which this one exists; the former comes earlier.
    pub parent: Option<(usize, usize)>,
}

/// Trials that completed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tried {
    /// The dimensions.
    pub dimensions: Vec<Dimension>,
    /// A coordinate for each dimension, trial after trial; not a number where it does not exist.
    pub units: Vec<f64>,
    /// The loss of each trial; less is better.
    pub losses: Vec<f64>,
}

impl Dimension {
    /// How many values it has, where they can be told apart.
    pub(super) fn n_values(&self) -> Option<usize> {
        match &self.kind {
            Kind::Number => None,
            Kind::Levels(levels) => Some(levels.len()),
            Kind::Category(n) => Some(*n),
        }
    }

    /// The number of the value at a coordinate, where values can be told apart.
    pub(super) fn value_at(&self, unit: f64) -> Option<usize> {
        let last = self.n_values()?.checked_sub(1)?;
        let index = match &self.kind {
            Kind::Number => return None,
            Kind::Levels(levels) => {
                let above = levels.partition_point(|&level| level < unit);
                let nearer = |i: usize| (levels[i] - unit).abs();
                match above {
                    0 => 0,
                    above if above > last => last,
                    above => above - usize::from(nearer(above - 1) <= nearer(above)),
                }
            }
            Kind::Category(n) => (unit * *n as f64) as usize,
        };
        Some(index.min(last))
    }
}

impl Tried {
    /// How many trials there are.
    pub fn n(&self) -> usize {
        self.losses.len()
    }

    /// The coordinates of one trial.
    pub fn row(&self, trial: usize) -> &[f64] {
        let n = self.dimensions.len();
        self.units.get(trial * n..(trial + 1) * n).unwrap_or_default()
    }

    /// The coordinates of all trials along one dimension.
    pub(super) fn column(&self, dimension: usize) -> impl Iterator<Item = f64> + Clone {
        self.units.iter().skip(dimension).step_by(self.dimensions.len().max(1)).copied()
    }

    /// Takes a trial in. Losses that are no numbers are passed over.
    pub fn push(&mut self, units: &[f64], loss: f64) {
        if units.len() == self.dimensions.len() && loss.is_finite() {
            self.units.extend_from_slice(units);
            self.losses.push(loss);
        }
    }

    /// No more than so many of the trials, from the first to the last.
    pub(super) fn thinned(&self, most: usize) -> Self {
        let dimensions = self.dimensions.clone();
        let mut thinned = Self { dimensions, ..Self::default() };
        for i in 0..self.n().min(most) {
            let trial = if self.n() <= most { i } else { i * self.n() / most };
            thinned.push(self.row(trial), self.losses[trial]);
        }
        thinned
    }

    /// The losses between -1 and 1; none where all are the same.
    pub(super) fn scaled(&self) -> Option<Scaled> {
        let n = self.n() as f64;
        let largest = self.losses.iter().fold(0.0, |largest: f64, loss| largest.max(loss.abs()));
        let first = self.losses.first()?;
        if self.losses.iter().all(|loss| loss == first) {
            return None;
        }
        let mean = self.losses.iter().map(|loss| loss / largest).sum::<f64>() / n * largest;
        let centred = self.losses.iter().map(|loss| loss - mean);
        let spread = centred.clone().fold(0.0, |spread: f64, loss| spread.max(loss.abs()));
        let is_usable = spread > largest * 1e-14 && spread.is_finite();
        is_usable.then(|| Scaled {
            losses: centred.map(|loss| loss / spread).collect(),
            mean,
            spread,
        })
    }
}

/// Losses in another unit.
#[derive(Debug)]
pub(super) struct Scaled {
    pub(super) losses: Vec<f64>,
    /// What 0 stands for.
    pub(super) mean: f64,
    /// What 1 is more than that.
    pub(super) spread: f64,
}

impl Scaled {
    /// What is expected, as a loss.
    pub(super) fn loss(&self, share: Share) -> Expected {
        Expected {
            loss: self.mean + self.spread * share.mean,
            deviation: self.spread * share.deviation,
        }
    }
}
