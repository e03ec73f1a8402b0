//! Answers that a device tells of many entities' trials, ahead of each entity's own course.
//!
//! Every fit that a kernel takes, of all entities, configurations and folds, goes into as few
//! launches as are planned; what they told answers the entity's trials afterwards. Whatever is not
//! taken, found no memory or was not told before the device was lost is the CPU's then.

use std::collections::HashMap;
use std::ops::ControlFlow;

use fleetfit_search_spaces::Learner;

use super::forest::Forester;
use super::{
    Fit, FitError, Hear, Heard, Trainer, Trials, forecast, forest, gradient_boosting, logistic, mlp,
};
use crate::cuda::boost::Limits;
use crate::cuda::machine::{Fault, Machine};
use crate::model::{Model, Predictions};
use crate::stop::{Stop, Stopped};

/// Where trials of one learner are asked for.
pub(crate) struct Ask<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) limits: &'a Limits,
    /// When nobody wants to know any more.
    pub(crate) stop: &'a Stop,
}

/// What was told of an entity, by candidate and fold.
pub(crate) type Told = HashMap<(usize, usize), Predictions>;

/// A trainer that knows some answers of an entity's trials.
pub(crate) struct Ahead<'a> {
    pub(crate) told: Told,
    /// Whether each took longer than it may, as its share of a launch.
    pub(crate) is_late: bool,
    /// For everything else.
    pub(crate) otherwise: &'a dyn Trainer,
}

impl Ask<'_> {
    /// Whether a device knows anything of a learner.
    pub(crate) fn knows(learner: Learner) -> bool {
        matches!(
            learner,
            Learner::GradientBoosting
                | Learner::RandomForest
                | Learner::ExtraTrees
                | Learner::LogisticRegression
                | Learner::Mlp
                | Learner::ExponentialSmoothing
                | Learner::Theta
        )
    }

    /// Learns from what launches tell, until told to stop; who was refused is told at the end.
    pub(in crate::trainer) fn gather<T>(
        &self,
        run: impl FnOnce(
            &mut dyn FnMut(usize, Result<T, Fault>) -> ControlFlow<()>,
        ) -> Result<(), Fault>,
        mut learn: impl FnMut(usize, T),
    ) -> Result<(), Fault> {
        let mut refused = Ok(());
        run(&mut |index, found| {
            match found {
                Ok(found) => learn(index, found),
                Err(fault) => refused = Err(fault),
            }
            match self.stop.check() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        refused
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
                    Some(told) => {
                        let answer = match self.is_late {
                            true => Err(FitError::Stopped(Stopped::TimedOut)),
                            false => Ok(told.lend()),
                        };
                        hear(Heard { candidate, fold, answer })
                    }
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
