//! Support vector machines for numbers and classes; several classes are told one against the rest.
//!
//! Ours rather than smartcore's, whose classifier ends after two passes wherever it is, whose
//! regressor has a wrong diagonal for every kernel but rbf, and neither of which can be stopped.
//! Probabilities: Platt, "Probabilistic Outputs for Support Vector Machines" (1999), with the
//! Newton steps of Lin, Lin and Weng (2007), on the decision values of the training rows.

use super::encode::{Scaling, encode};
use super::lesson::{Learnt, Lesson};
use super::parameters::{Parameters, wrong};
use super::smo::Programme;
use super::{Fit, FitError, Trainer};
use crate::model::encoder::Design;
use crate::model::kernel::{Kernel, KernelMachine, Machine, Sigmoid};
use crate::model::{Body, Model};

use fleetfit_search_spaces::Value;

/// Support vectors.
pub(super) struct Svm;

impl Trainer for Svm {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let parameters = Parameters(job.parameters);
        let scaling = Scaling::from(parameters.flag("standardize", true)?);
        let settings = Settings::read(&parameters)?;
        let lesson = Lesson::read(job)?;
        lesson.refuse_weights("svm")?;
        let answer = lesson.answer();
        if lesson.is_constant() {
            return Ok(Model::constant(answer));
        }
        let (encoder, design) = encode(job, scaling)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        let machines = Machines {
            job,
            kernel: kernel(&parameters, &design)?,
            rows: design.row_major(),
            n_rows: design.n_rows,
            settings,
        };
        let fitted = match &lesson.learnt {
            Learnt::Numbers(y) => vec![machines.regress(y)?],
            Learnt::Classes(classes) if classes.present.len() == 2 => {
                vec![machines.separate(&classes.codes, 1)?]
            }
            Learnt::Classes(classes) => (0..classes.present.len() as u32)
                .map(|class| machines.separate(&classes.codes, class))
                .collect::<Result<_, _>>()?,
        };
        let machine = machines.keep_support(fitted);
        Ok(Model { answer, body: Body::Kernel(encoder, machine) })
    }
}

struct Settings {
    c: f64,
    epsilon: f64,
    tolerance: f64,
    max_rounds: Option<usize>,
}

impl Settings {
    fn read(parameters: &Parameters<'_>) -> Result<Self, FitError> {
        // scikit-learn writes "no limit" as -1.
        let max_rounds = match parameters.get("max_iter")? {
            Some(Value::Int(-1)) => None,
            _ => parameters.optional_count("max_iter", 1)?,
        };
        Ok(Self {
            c: parameters.positive("C", 1.0)?,
            epsilon: parameters.penalty("epsilon", 0.1)?,
            tolerance: parameters.positive("tol", 1e-3)?,
            max_rounds,
        })
    }
}

fn kernel(parameters: &Parameters<'_>, design: &Design) -> Result<Kernel, FitError> {
    let gamma = match parameters.get("gamma")? {
        None => scale(design),
        Some(Value::Text(word)) if word == "scale" => scale(design),
        Some(Value::Text(word)) if word == "auto" => 1.0 / design.n_columns as f64,
        Some(value @ (Value::Text(_) | Value::Bool(_))) => {
            return Err(wrong("gamma", value, "a number above 0, scale, auto"));
        }
        Some(_) => parameters.positive("gamma", 1.0)?,
    };
    let coef0 = parameters.float("coef0", 0.0)?;
    let degree = parameters.count("degree", 1, 3)?.min(100) as u32;
    let word = parameters.word("kernel", &["rbf", "linear", "poly", "sigmoid"])?;
    Ok(match word {
        "linear" => Kernel::Linear,
        "poly" => Kernel::Poly { gamma, coef0, degree },
        "sigmoid" => Kernel::Sigmoid { gamma, coef0 },
        _ => Kernel::Rbf { gamma },
    })
}

/// scikit-learn's `scale`: one over the number of features times the variance of all values.
fn scale(design: &Design) -> f64 {
    let n = design.values.len() as f64;
    let mean = design.values.iter().sum::<f64>() / n;
    let variance = design.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    let variance = if variance > 0.0 { variance } else { 1.0 };
    1.0 / (design.n_columns as f64 * variance)
}

/// One data set that machines are fitted on.
struct Machines<'a> {
    job: &'a Fit<'a>,
    kernel: Kernel,
    rows: Vec<f64>,
    n_rows: usize,
    settings: Settings,
}

impl Machines<'_> {
    fn programme<'p>(&'p self, signs: &'p [f64], linear: &'p [f64]) -> Programme<'p> {
        Programme {
            kernel: self.kernel,
            rows: &self.rows,
            n_rows: self.n_rows,
            signs,
            linear,
            c: self.settings.c,
            tolerance: self.settings.tolerance,
            // LIBSVM's bound.
            max_rounds: self.settings.max_rounds.unwrap_or((100 * self.n_rows).max(10_000_000)),
        }
    }

    /// Epsilon regression: two variables a row, above and below the tube.
    fn regress(&self, y: &[f64]) -> Result<Machine, FitError> {
        let epsilon = self.settings.epsilon;
        let above = y.iter().map(|y| epsilon - y);
        let linear: Vec<f64> = above.chain(y.iter().map(|y| epsilon + y)).collect();
        let mut signs = vec![1.0; self.n_rows];
        signs.resize(2 * self.n_rows, -1.0);
        let solution = self.programme(&signs, &linear).solve(self.job.stop)?;
        let (above, below) = solution.alphas.split_at(self.n_rows);
        Ok(Machine {
            coefficients: above.iter().zip(below).map(|(a, b)| a - b).collect(),
            intercept: -solution.rho,
            sigmoid: None,
        })
    }

    /// One class against all others.
    fn separate(&self, codes: &[u32], class: u32) -> Result<Machine, FitError> {
        let sign = |&code: &u32| if code == class { 1.0 } else { -1.0 };
        let signs: Vec<f64> = codes.iter().map(sign).collect();
        let linear = vec![-1.0; self.n_rows];
        let solution = self.programme(&signs, &linear).solve(self.job.stop)?;
        let decisions = solution.gradient.iter().zip(&signs);
        let decisions: Vec<f64> =
            decisions.map(|(gradient, sign)| sign * (gradient + 1.0) - solution.rho).collect();
        Ok(Machine {
            coefficients: solution.alphas.iter().zip(&signs).map(|(a, s)| a * s).collect(),
            intercept: -solution.rho,
            sigmoid: Some(platt(&decisions, &signs)),
        })
    }

    /// Leaves out the rows that no machine leans on.
    fn keep_support(&self, machines: Vec<Machine>) -> KernelMachine {
        let width = self.rows.len() / self.n_rows;
        let supports =
            |row: &usize| machines.iter().any(|machine| machine.coefficients[*row] != 0.0);
        let kept: Vec<usize> = (0..self.n_rows).filter(supports).collect();
        let keep = |machine: &Machine| Machine {
            coefficients: kept.iter().map(|&row| machine.coefficients[row]).collect(),
            ..machine.clone()
        };
        KernelMachine {
            kernel: self.kernel,
            vectors: kept
                .iter()
                .flat_map(|row| self.rows[row * width..(row + 1) * width].iter().copied())
                .collect(),
            n_vectors: kept.len() as u32,
            machines: machines.iter().map(keep).collect(),
        }
    }
}

/// The sigmoid that makes the training rows most likely.
fn platt(decisions: &[f64], signs: &[f64]) -> Sigmoid {
    let n_above = signs.iter().filter(|sign| **sign > 0.0).count() as f64;
    let n_below = signs.len() as f64 - n_above;
    let (high, low) = ((n_above + 1.0) / (n_above + 2.0), 1.0 / (n_below + 2.0));
    let targets: Vec<f64> = signs.iter().map(|sign| if *sign > 0.0 { high } else { low }).collect();
    let loss = |slope: f64, shift: f64| -> f64 {
        let each = decisions.iter().zip(&targets).map(|(decision, target)| {
            let z = slope * decision + shift;
            if z >= 0.0 {
                target * z + (-z).exp().ln_1p()
            } else {
                (target - 1.0) * z + z.exp().ln_1p()
            }
        });
        each.sum()
    };
    let (mut slope, mut shift) = (0.0, ((n_below + 1.0) / (n_above + 1.0)).ln());
    let mut best = loss(slope, shift);
    for _ in 0..100 {
        let (mut h11, mut h22, mut h21, mut g1, mut g2) = (1e-12, 1e-12, 0.0, 0.0, 0.0);
        for (decision, target) in decisions.iter().zip(&targets) {
            let p = 1.0 / (1.0 + (slope * decision + shift).exp());
            let (d2, d1) = (p * (1.0 - p), target - p);
            h11 += decision * decision * d2;
            h22 += d2;
            h21 += decision * d2;
            g1 += decision * d1;
            g2 += d1;
        }
        if f64::abs(g1) < 1e-5 && f64::abs(g2) < 1e-5 {
            break;
        }
        let determinant = h11 * h22 - h21 * h21;
        let d_slope = -(h22 * g1 - h21 * g2) / determinant;
        let d_shift = -(h11 * g2 - h21 * g1) / determinant;
        let descent = g1 * d_slope + g2 * d_shift;
        let mut step = 1.0;
        while step >= 1e-10 {
            let (try_slope, try_shift) = (slope + step * d_slope, shift + step * d_shift);
            let next = loss(try_slope, try_shift);
            if next < best + 1e-4 * step * descent {
                (slope, shift, best) = (try_slope, try_shift, next);
                break;
            }
            step /= 2.0;
        }
        if step < 1e-10 {
            break;
        }
    }
    Sigmoid { slope, shift }
}
