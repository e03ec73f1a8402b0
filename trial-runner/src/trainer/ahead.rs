//! Answers that a device tells of many entities' trials, ahead of each entity's own course.
//!
//! Every fit that a kernel takes, of all entities, configurations and folds, goes into as few
//! launches as are planned; what they told answers the entity's trials afterwards. Whatever is not
//! taken, found no memory or was not told before the device was lost is the CPU's then.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::Learner;

use super::forest::Forester;
use super::linear::{self, Line};
use super::{
    Fit, FitError, Hear, Heard, Trainer, Trials, forecast, forest, gradient_boosting, logistic, mlp,
};
use crate::cuda::company::{Companies, Family, Place, fit_all};
use crate::cuda::machine::Limits;
use crate::cuda::machine::{Fault, Machine};
use crate::model::{Model, Predictions};
use crate::stop::Stop;

/// Where trials of one learner are asked for.
pub(crate) struct Ask<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) limits: &'a Limits,
    /// When nobody wants to know any more.
    pub(crate) stop: &'a Stop,
    /// Who may be asked for in common launches: those who have this in common.
    pub(crate) company: Option<(&'a Companies, &'a str)>,
    /// How long was waited for others.
    pub(crate) beside: &'a Cell<Duration>,
}

/// What was told of an entity, by candidate and fold.
pub(crate) type Told = HashMap<(usize, usize), Predictions>;

/// What was told of an entity's lines, by candidate: the summed squared errors of each fold ahead.
pub(crate) type Missed = BTreeMap<usize, Vec<f64>>;

/// A trainer that knows some answers of an entity's trials.
pub(crate) struct Ahead<'a> {
    pub(crate) told: Told,
    /// For everything else.
    pub(crate) otherwise: &'a dyn Trainer,
}

#[cfg(test)]
impl<'a> Ask<'a> {
    /// In no company.
    pub(in crate::trainer) fn alone(
        machine: &'a Machine,
        limits: &'a Limits,
        stop: &'a Stop,
    ) -> Self {
        let beside = Box::leak(Box::default());
        Self { machine, limits, stop, company: None, beside }
    }
}

impl Ask<'_> {
    /// Learns from what launches tell, until told to stop; who was refused is told at the end.
    pub(in crate::trainer) fn gather<F: Family>(
        &self,
        wishes: &[F::Wish<'_>],
        mut learn: impl FnMut(usize, F::Found),
    ) -> Result<(), Fault> {
        let Self { machine, limits, stop, company, beside } = *self;
        let mut refused = Ok(());
        let began = Instant::now();
        let place = Place { machine, limits, stop, company };
        let took = fit_all::<F>(&place, wishes, &mut |index, found| {
            match found {
                Ok(found) => learn(index, found),
                Err(fault) => refused = Err(fault),
            }
            match stop.check() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        let own = took.saturating_mul(u32::try_from(wishes.len()).unwrap_or(u32::MAX));
        beside.set(beside.get() + began.elapsed().saturating_sub(own));
        refused
    }

    /// Tries all entities' candidates of a line, as [`Ask::of`] does others.
    pub(crate) fn squares_of(
        &self,
        learner: Learner,
        all: &[Trials<'_>],
        missed: &mut [Missed],
    ) -> Result<(), Fault> {
        line(learner).map_or(Ok(()), |line| linear::ask(self, line, all, missed))
    }

    /// Tries all entities' candidates, until told to stop. What was told before a fault counts.
    pub(crate) fn of(
        &self,
        learner: Learner,
        all: &[Trials<'_>],
        told: &mut [Told],
    ) -> Result<(), Fault> {
        match learner {
            Learner::GradientBoosting => gradient_boosting::ask(self, all, told),
            Learner::RandomForest => forest::ask(self, Forester::RandomForest, all, told),
            Learner::ExtraTrees => forest::ask(self, Forester::ExtraTrees, all, told),
            Learner::LogisticRegression => logistic::ask(self, all, told),
            Learner::Mlp => mlp::ask(self, all, told),
            Learner::ExponentialSmoothing | Learner::Theta => {
                forecast::ask(self, learner, all, told)
            }
            _ => Ok(()),
        }
    }
}

/// What is said of fits that a kernel does not take.
pub(in crate::trainer) fn left(learner: &str, why: Option<&str>) -> Result<(), Fault> {
    why.map_or(Ok(()), |why| Err(Fault::Refused(format!("{learner}, where {why}"))))
}

fn line(learner: Learner) -> Option<Line> {
    match learner {
        Learner::Ridge => Some(Line::Ridge),
        Learner::Lasso => Some(Line::Lasso),
        Learner::ElasticNet => Some(Line::ElasticNet),
        _ => None,
    }
}

impl Trainer for Ahead<'_> {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        self.otherwise.fit(job)
    }

    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        let mut is_known = vec![false; trials.candidates.len()];
        for &(candidate, _) in self.told.keys() {
            is_known[candidate] = true;
        }
        let (known, others): (Vec<usize>, Vec<usize>) =
            (0..trials.candidates.len()).partition(|&index| is_known[index]);
        for candidate in known {
            for fold in trials.ahead() {
                let goes_on = match self.told.get(&(candidate, fold)) {
                    Some(told) => hear(Heard { candidate, fold, answer: Ok(told.lend()) }),
                    None => trials.one_of(self.otherwise, (candidate, fold), hear),
                };
                if !goes_on {
                    break;
                }
            }
        }
        if others.is_empty() {
            return;
        }
        let candidates: Vec<_> = others.iter().map(|&index| trials.candidates[index]).collect();
        let rest = Trials { candidates: &candidates, ..*trials };
        self.otherwise.try_all(&rest, &mut |heard| {
            hear(Heard { candidate: others[heard.candidate], ..heard })
        });
    }
}

#[cfg(test)]
pub(in crate::trainer) mod tests;
