//! Ridge, lasso and elastic net: the penalised linear models of numbers, with row weights.
//!
//! Ours rather than smartcore's, whose lasso and elastic net have wrong intercepts on columns that
//! are not centred and another scale of alpha, and whose ridge refuses fewer rows than columns.
//! Features are standardised unless `standardize: false`; the penalty then means the same for all.
//! One fit is `taught.rs`, `system.rs` and a solver (`ridge.rs`, `net.rs`, `descent.rs`); many on
//! the folds of an entity share sums and factors: `path.rs`.

mod ahead;
mod basis;
mod descent;
mod gram;
mod net;
mod panels;
mod path;
mod ridge;
mod split;
mod system;
mod taught;
mod tridiagonal;

#[cfg(test)]
pub(crate) mod tests;

use fleetfit_search_spaces::Configuration;

use self::descent::Centred;
use self::net::Ladder;
use self::system::System;
use self::taught::{Lessoned, Taught};
use super::parameters::Parameters;
use super::trials::{Hear, Trials};
use super::{Fit, FitError, Trainer};
use crate::figure::Figure;
use crate::model::linear::{Linear, Link};
use crate::model::{Answer, Body, Model};

pub(super) use self::ahead::ask;
pub(crate) use self::basis::{Columns, Source};
pub(crate) use self::descent::Penalty;
pub(super) use self::gram::{Rows, TILE};
pub(super) use self::path::Prepared;
pub(super) use self::ridge::{factorise, substitute};
pub(crate) use self::taught::Form;
pub(crate) use super::encode::Scaling;

/// A linear regression, by its penalty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The squares of the weights.
    Ridge,
    /// Their absolute values.
    Lasso,
    /// Both.
    ElasticNet,
}

/// What a configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) penalty: Penalty,
    pub(crate) form: Form,
}

impl Trainer for Line {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let settings = self.read(job.parameters)?;
        match Taught::learn(job, settings.form, self.name())? {
            Lessoned::Constant(answer) => Ok(Model::constant(answer)),
            Lessoned::Taught(taught) => self.line(taught, &settings.penalty, job),
        }
    }

    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        path::try_all(*self, trials, hear);
    }
}

impl Line {
    fn name(self) -> &'static str {
        match self {
            Self::Ridge => "ridge",
            Self::Lasso => "lasso",
            Self::ElasticNet => "elastic_net",
        }
    }

    fn read(self, configuration: &Configuration) -> Result<Settings, FitError> {
        let parameters = Parameters(configuration);
        let l1_ratio = match self {
            Self::Ridge => 0.0,
            Self::Lasso => 1.0,
            Self::ElasticNet => parameters.penalty("l1_ratio", 0.5)?,
        };
        if l1_ratio > 1.0 {
            return Err(FitError::because(format!(
                "l1_ratio is {}, but it can't be above 1",
                Figure(l1_ratio)
            )));
        }
        let alpha = parameters.penalty("alpha", 1.0)?;
        let (tolerance, max_rounds) = match self {
            Self::Ridge => (0.0, 0),
            Self::Lasso | Self::ElasticNet => {
                (parameters.penalty("tol", 1e-4)?, parameters.count("max_iter", 1, 1000)?)
            }
        };
        let penalty = Penalty { alpha, l1_ratio, tolerance, max_rounds };
        Ok(Settings { penalty, form: Form::read(&parameters)? })
    }

    fn line(self, taught: Taught, penalty: &Penalty, job: &Fit<'_>) -> Result<Model, FitError> {
        let Taught { encoder, design, y, means, y_mean, fallback, total } = taught;
        let weights = if self == Self::Ridge {
            ridge::solve(design, y, penalty.alpha, job.stop)?.ok_or_else(too_alike)?
        } else {
            match System::of(design, y, job.stop)? {
                System::Sums(sums) => {
                    Ladder::new(&sums, total, penalty.l1_ratio).solve(penalty, job.stop)?.to_vec()
                }
                System::Rows { columns, y } => {
                    let data = Centred { columns: &columns, y: &y, total };
                    descent::solve(&data, penalty, job.stop)?
                }
            }
        };
        let shift: f64 = means.iter().zip(&weights).map(|(mean, weight)| mean * weight).sum();
        let intercept = y_mean - shift;
        if !intercept.is_finite() || weights.iter().any(|weight| !weight.is_finite()) {
            return Err(FitError::because("the features are too large to fit a line through"));
        }
        let linear = Linear { weights, intercepts: vec![intercept], link: Link::Identity };
        let answer = Answer::Number { fallback };
        Ok(Model { answer, body: Body::Linear(encoder, linear) })
    }
}

fn too_alike() -> FitError {
    FitError::because("the features are too large or too alike; raise alpha")
}
