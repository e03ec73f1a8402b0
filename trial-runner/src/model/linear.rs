//! Weights and an intercept; for classes one of each a class, and the softmax over them.

use serde::{Deserialize, Serialize};

use super::encoder::Design;
use super::softmax;

/// A linear model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    /// One weight a feature, output after output.
    pub(crate) weights: Vec<f64>,
    /// One an output: a single one for numbers, else one a class.
    pub(crate) intercepts: Vec<f64>,
    pub(crate) link: Link,
}

/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Link {
    /// They are the prediction.
    Identity,
    /// They are the logarithms of the odds of the classes.
    Softmax,
}

impl Linear {
    pub(crate) fn predict(&self, design: &Design, out: &mut [f64], width: usize) {
        for row in out.chunks_mut(width) {
            row.copy_from_slice(&self.intercepts);
        }
        for output in 0..width {
            for column in 0..design.n_columns {
                let weight = self.weights[output * design.n_columns + column];
                if weight == 0.0 {
                    continue;
                }
                for (row, value) in design.column(column).iter().enumerate() {
                    out[row * width + output] += weight * value;
                }
            }
        }
        if self.link == Link::Softmax {
            out.chunks_mut(width).for_each(softmax);
        }
    }

    pub(crate) fn is_sound(&self, n_features: usize, width: usize) -> bool {
        self.intercepts.len() == width && self.weights.len() == width * n_features
    }
}
