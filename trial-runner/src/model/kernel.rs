//! Support vectors: sums of kernels, as a number or as probabilities.

use serde::{Deserialize, Serialize};

use super::encoder::Design;
use super::products::{dot, squared_distance};

/// Machines over shared support vectors: one for numbers or two classes, else one a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KernelMachine {
    pub(crate) kernel: Kernel,
    /// Encoded training rows, row after row.
    pub(crate) vectors: Vec<f64>,
    /// How many there are.
    pub(crate) n_vectors: u32,
    pub(crate) machines: Vec<Machine>,
}

/// A weighted sum of kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// One a support vector.
    pub(crate) coefficients: Vec<f64>,
    pub(crate) intercept: f64,
    /// For classes: the sigmoid that turns the sum into a probability.
    pub(crate) sigmoid: Option<Sigmoid>,
}

/// Platt's sigmoid: 1 / (1 + exp(slope · sum + shift)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sigmoid {
    pub(crate) slope: f64,
    pub(crate) shift: f64,
}

/// How alike two rows are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Kernel {
    Linear,
    Rbf { gamma: f64 },
    Poly { gamma: f64, coef0: f64, degree: u32 },
    Sigmoid { gamma: f64, coef0: f64 },
}

impl Kernel {
    pub(crate) fn value(self, a: &[f64], b: &[f64]) -> f64 {
        match self {
            Self::Linear => dot(a, b),
            Self::Rbf { gamma } => (-gamma * squared_distance(a, b)).exp(),
            Self::Poly { gamma, coef0, degree } => (gamma * dot(a, b) + coef0).powi(degree as i32),
            Self::Sigmoid { gamma, coef0 } => (gamma * dot(a, b) + coef0).tanh(),
        }
    }
}

impl Sigmoid {
    fn probability(self, sum: f64) -> f64 {
        1.0 / (1.0 + (self.slope * sum + self.shift).exp())
    }
}

impl KernelMachine {
    pub(crate) fn predict(&self, design: &Design, out: &mut [f64], width: usize) {
        let n_columns = design.n_columns;
        let queries = design.row_major();
        let mut kernels = vec![0.0; self.n_vectors as usize];
        for (index, out) in out.chunks_mut(width).enumerate() {
            let query = &queries[index * n_columns..(index + 1) * n_columns];
            for (vector, value) in kernels.iter_mut().enumerate() {
                let vector = &self.vectors[vector * n_columns..(vector + 1) * n_columns];
                *value = self.kernel.value(query, vector);
            }
            for (out, machine) in out.iter_mut().zip(&self.machines) {
                *out = machine.answer(&kernels);
            }
            if self.machines.len() < width {
                // Two classes share a machine, which gives the second one's probability.
                out[1] = out[0];
                out[0] = 1.0 - out[1];
            } else if width > 1 {
                let total: f64 = out.iter().sum();
                out.iter_mut().for_each(|out| *out /= total);
            }
        }
    }

    pub(crate) fn is_sound(&self, n_features: usize, width: usize) -> bool {
        let n_vectors = self.n_vectors as usize;
        let n_machines = if width == 2 { 1 } else { width };
        let fits = |machine: &Machine| machine.coefficients.len() == n_vectors;
        n_vectors.checked_mul(n_features) == Some(self.vectors.len())
            && self.machines.len() == n_machines
            && self.machines.iter().all(fits)
    }
}

impl Machine {
    fn answer(&self, kernels: &[f64]) -> f64 {
        let sum = self.intercept + dot(&self.coefficients, kernels);
        match self.sigmoid {
            Some(sigmoid) => sigmoid.probability(sum),
            None => sum,
        }
    }
}
