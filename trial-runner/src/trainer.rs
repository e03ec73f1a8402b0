//! The algorithms that turn an entity's rows and a configuration into a [`Model`].
//!
//! A trainer is deterministic in its seed, gives up when its [`Stop`] says so, and answers anything
//! it cannot fit with a reason instead of a panic. smartcore minimises the loss of large logistic
//! regressions (`trainer/smart.rs`; nothing else names it). Everything else is ours, and each file says
//! what was wrong with smartcore's. No struct of another crate is ever stored: see [`Model`].

pub(crate) mod ahead;
mod bayes;
mod encode;
mod forecast;
mod forest;
mod gradient_boosting;
mod kin;
mod knn;
mod lagged;
mod laid_out;
pub(crate) mod lesson;
pub(crate) mod linear;
pub(crate) mod logistic;
pub(crate) mod mlp;
mod parameters;
mod smart;
mod smo;
mod spare;
mod svm;
mod trials;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod searched;
#[cfg(test)]
mod series_contract;

use fleetfit_search_spaces::{Configuration, Learner};

use crate::frame::Frame;
use crate::model::Model;
use crate::stop::{Stop, Stopped};

pub use lagged::Lagged;
pub(crate) use lagged::Widened;
pub use laid_out::LaidOut;
pub use spare::{Loan, Spare};
pub use trials::{Candidate, Hear, Heard, Predicted, Trials};

/// The generation of the learners. It grows with a release in which the same rows, configuration and
/// seed may give another value than before: studies that began earlier say so where they go on.
pub const GENERATION: u32 = 4;

/// An algorithm that fits a model.
pub trait Trainer: Sync {
    /// Fits a model on some rows of a frame.
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError>;

    /// Tries several configurations on every fold of an entity.
    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        trials.one_by_one(self, hear);
    }
}

/// One fit: the data, the configuration, the seed, and the flag that ends it.
#[derive(Clone, Copy, Debug)]
pub struct Fit<'a> {
    /// The entity's rows.
    pub frame: &'a Frame,
    /// The rows to learn from.
    pub rows: &'a [u32],
    /// The learner's parameters by name; what is left out has the learner's default.
    pub parameters: &'a Configuration,
    /// The same seed, the same model.
    pub seed: u64,
    /// When to give up.
    pub stop: &'a Stop,
    /// Threads that have nothing else to do.
    pub spare: &'a Spare,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// It cannot be fitted, in the user's words.
    #[error("{0}")]
    Failed(String),
    /// It was told to stop.
    #[error("the fit was stopped")]
    Stopped(Stopped),
}

impl From<Stopped> for FitError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl FitError {
    fn because(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }
}

/// The trainer of a learner; none when this version has none.
pub fn trainer(learner: Learner) -> Option<&'static dyn Trainer> {
    match learner {
        Learner::Ridge => Some(&linear::Line::Ridge),
        Learner::Lasso => Some(&linear::Line::Lasso),
        Learner::ElasticNet => Some(&linear::Line::ElasticNet),
        Learner::LogisticRegression => Some(&logistic::LogisticRegression),
        Learner::NaiveBayes => Some(&bayes::NaiveBayes),
        Learner::DecisionTree => Some(&forest::Forester::DecisionTree),
        Learner::RandomForest => Some(&forest::Forester::RandomForest),
        Learner::ExtraTrees => Some(&forest::Forester::ExtraTrees),
        Learner::Knn => Some(&knn::Knn),
        Learner::Svm => Some(&svm::Svm),
        Learner::GradientBoosting => Some(&gradient_boosting::GradientBoosting),
        Learner::Naive => Some(&forecast::Naive),
        Learner::SeasonalNaive => Some(&forecast::SeasonalNaive),
        Learner::Drift => Some(&forecast::Drift),
        Learner::Average => Some(&forecast::Average),
        Learner::ExponentialSmoothing => Some(&forecast::ExponentialSmoothing),
        Learner::Arima => Some(&forecast::Arima),
        Learner::Croston => Some(&forecast::Croston),
        Learner::Theta => Some(&forecast::Theta),
        Learner::Mlp => Some(&mlp::Mlp),
    }
}

/// The rows that a learner is tried on.
pub(crate) enum View {
    /// Those of the entity's frame.
    AsIs,
    /// With their past beside them.
    Wide(Box<Widened>),
}

/// A trainer as it works on one entity.
#[derive(Clone, Copy)]
pub enum Hand {
    /// On the rows of its frame.
    Plain(&'static dyn Trainer),
    /// On rows of series.
    OnSeries(Lagged),
}

impl Hand {
    /// The trainer of a learner for a frame; none when this version has none.
    pub fn of(learner: Learner, frame: &Frame) -> Option<Self> {
        let inner = trainer(learner)?;
        let forecasts = frame.timeline.as_ref().is_some_and(|timeline| timeline.plan.is_some());
        Some(match forecasts && !learner.forecasts_series() {
            true => Self::OnSeries(Lagged { inner }),
            false => Self::Plain(inner),
        })
    }

    /// How a learner that a device knows is tried; none where the rows of a device would be others.
    pub(crate) fn view(&self, trials: &Trials<'_>) -> Option<View> {
        let wants_past = || {
            let timeline = trials.frame.timeline.as_ref();
            timeline
                .and_then(|timeline| timeline.plan.as_ref())
                .is_some_and(|plan| plan.wants_past())
        };
        match self {
            Self::OnSeries(_) if wants_past() => {
                Widened::of(trials).map(|own| View::Wide(Box::new(own)))
            }
            Self::Plain(_) | Self::OnSeries(_) => Some(View::AsIs),
        }
    }

    /// What it does.
    pub fn trainer(&self) -> &dyn Trainer {
        match self {
            Self::Plain(trainer) => *trainer,
            Self::OnSeries(lagged) => lagged,
        }
    }
}
