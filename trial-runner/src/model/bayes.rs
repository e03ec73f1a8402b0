//! Naive Bayes: a normal density for each feature in each class.

use serde::{Deserialize, Serialize};

use super::encoder::Design;
use super::softmax;

/// Means and variances, class after class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bayes {
    pub(crate) means: Vec<f64>,
    pub(crate) variances: Vec<f64>,
    pub(crate) log_priors: Vec<f64>,
}

impl Bayes {
    pub(crate) fn predict(&self, design: &Design, out: &mut [f64], width: usize) {
        for row in out.chunks_mut(width) {
            row.copy_from_slice(&self.log_priors);
        }
        for class in 0..width {
            for column in 0..design.n_columns {
                let mean = self.means[class * design.n_columns + column];
                let variance = self.variances[class * design.n_columns + column];
                let level = 0.5 * (std::f64::consts::TAU * variance).ln();
                for (row, value) in design.column(column).iter().enumerate() {
                    let distance = value - mean;
                    out[row * width + class] -= distance * distance / (2.0 * variance) + level;
                }
            }
        }
        out.chunks_mut(width).for_each(softmax);
    }

    pub(crate) fn is_sound(&self, n_features: usize, width: usize) -> bool {
        self.log_priors.len() == width
            && self.means.len() == width * n_features
            && self.variances.len() == self.means.len()
    }
}
