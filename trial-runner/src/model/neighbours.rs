//! The training rows themselves, searched one by one: exact, and for the sizes of an entity faster
//! than a tree of them.

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::encoder::Design;
use super::products::{absolute_distance, squared_distance};

/// The nearest training rows answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    /// How many answer.
    pub(crate) k: u32,
    /// The power of Minkowski's distance.
    pub(crate) p: f64,
    pub(crate) voting: Voting,
    /// Encoded training rows, row after row.
    pub(crate) rows: Vec<f64>,
    /// A number a row, or the index of its class.
    pub(crate) targets: Vec<f64>,
    /// Whether the targets are classes.
    pub(crate) is_class: bool,
}

/// How much a neighbour's answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Voting {
    /// All the same.
    Uniform,
    /// By one over the distance; a neighbour at distance zero decides.
    Distance,
}

impl Neighbours {
    pub(crate) fn predict(&self, design: &Design, out: &mut [f64], width: usize) {
        let n_columns = design.n_columns;
        let queries = design.row_major();
        let mut nearest = BinaryHeap::with_capacity(self.k as usize + 1);
        for (index, out) in out.chunks_mut(width).enumerate() {
            let query = &queries[index * n_columns..(index + 1) * n_columns];
            nearest.clear();
            for row in 0..self.targets.len() {
                let distance = self.distance(query, &self.rows[row * n_columns..][..n_columns]);
                // Bits of numbers that are not negative sort as the numbers do; ties go to the
                // earlier row.
                let entry = (distance.to_bits(), row as u32);
                if nearest.len() < self.k as usize {
                    nearest.push(entry);
                } else if nearest.peek().is_some_and(|worst| entry < *worst) {
                    nearest.pop();
                    nearest.push(entry);
                }
            }
            self.vote(&nearest, out);
        }
    }

    /// The distance to the power of `p`.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        if self.p == 2.0 {
            squared_distance(a, b)
        } else if self.p == 1.0 {
            absolute_distance(a, b)
        } else {
            let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            apart.map(|apart| apart.powf(self.p)).sum()
        }
    }

    fn vote(&self, nearest: &BinaryHeap<(u64, u32)>, out: &mut [f64]) {
        let any_at_zero = nearest.iter().any(|(bits, _)| *bits == 0);
        let mut total = 0.0;
        // The heap's order depends on what was pushed when; sums must not.
        let mut nearest: Vec<(u64, u32)> = nearest.iter().copied().collect();
        nearest.sort_unstable();
        for (bits, row) in nearest {
            let vote = match self.voting {
                Voting::Uniform => 1.0,
                Voting::Distance if any_at_zero => f64::from(u8::from(bits == 0)),
                Voting::Distance => 1.0 / f64::from_bits(bits).powf(1.0 / self.p),
            };
            let target = self.targets[row as usize];
            total += vote;
            if self.is_class {
                out[target as usize] += vote;
            } else {
                out[0] += vote * target;
            }
        }
        out.iter_mut().for_each(|out| *out /= total);
    }

    pub(crate) fn is_sound(&self, n_features: usize, width: usize) -> bool {
        let is_class = |target: &f64| *target >= 0.0 && (*target as usize) < width;
        self.rows.len() == self.targets.len() * n_features
            && self.k > 0
            && self.k as usize <= self.targets.len()
            && (!self.is_class || self.targets.iter().all(is_class))
    }
}
