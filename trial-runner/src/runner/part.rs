//! What an assignment asks of its trials: all of them, or a part of the study's ladder.

use std::ops::Range;

use fleetfit_search_spaces::early_termination::ladder::N_ESTIMATORS;
use fleetfit_search_spaces::{
    Amount, Assignment, AssignmentTask, Block, Ladder, Resource, Setting, Study, Training, Value,
};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// Whole trials.
    Whole,
    /// Up to a rung.
    Rung(Rung<'a>),
}

/// A rung, and where trials come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rung<'a> {
    pub(super) ladder: &'a Ladder,
    pub(super) after: Option<u8>,
    pub(super) rung: u8,
}

impl<'a> Part<'a> {
    /// What an assignment asks of which trials; none where the study's job knows nothing of it.
    pub(super) fn of<'b>(
        study: &'a Study,
        assignment: &'b Assignment,
    ) -> Option<(Self, &'b [Block])> {
        match &assignment.task {
            AssignmentTask::Climb { after, rung, blocks } => {
                let ladder = study.early_termination.as_ref()?.ladder.as_ref()?;
                let (after, rung) = (*after, *rung);
                Some((Self::Rung(Rung { ladder, after, rung }), blocks))
            }
            task => Some((Self::Whole, task.blocks())),
        }
    }

    /// The rung, where one is asked for.
    pub(super) fn rung(self) -> Option<u8> {
        match self {
            Self::Rung(rung) => Some(rung.rung),
            Self::Whole => None,
        }
    }

    fn rung_of(self, resource: Resource) -> Option<Rung<'a>> {
        match self {
            Self::Rung(rung) if rung.ladder.resource == resource => Some(rung),
            Self::Rung(_) | Self::Whole => None,
        }
    }

    /// The folds that are tried, of so many, where trials come by folds.
    pub(super) fn folds(self, n_folds: usize) -> Option<Range<usize>> {
        let rung = self.rung_of(Resource::Folds)?;
        let up_to = |rung: u8| rung_amount(rung, self).map_or(n_folds, |own| own.of(n_folds));
        Some(rung.after.map_or(0, up_to)..up_to(rung.rung))
    }

    /// How many of the rows are learnt from.
    pub(super) fn rows(self) -> Option<(u8, Amount)> {
        let rung = self.rung_of(Resource::Rows)?.rung;
        Some((rung, rung_amount(rung, self)?))
    }

    /// The training with no more trees than are asked for, and the rung where that is fewer than it
    /// has.
    pub(super) fn shorten(self, mut training: Training) -> (Training, Option<u8>) {
        let rung = self.rung_of(Resource::Estimators).map(|rung| rung.rung);
        let Some((rung, amount)) = rung.and_then(|rung| Some((rung, rung_amount(rung, self)?)))
        else {
            return (training, None);
        };
        let default = || training.learner.parameter(N_ESTIMATORS)?.default;
        let own = match training.parameters.get(N_ESTIMATORS) {
            Some(Setting::Value(value)) => Some(value.clone()),
            _ => default(),
        };
        let own = match own {
            Some(Value::Int(own)) => usize::try_from(own).unwrap_or_default(),
            // A conversion to whole numbers saturates.
            Some(Value::Float(own)) => own as usize,
            // The trainer will say what is wrong with it.
            _ => return (training, None),
        };
        let fewer = amount.of(usize::MAX);
        if fewer >= own {
            return (training, None);
        }
        let fewer = Setting::Value(Value::Int(i64::try_from(fewer).unwrap_or(i64::MAX)));
        training.parameters.0.retain(|(name, _)| name != N_ESTIMATORS);
        training.parameters.0.push((N_ESTIMATORS.to_owned(), fewer));
        (training, Some(rung))
    }
}

/// How much a rung has; none where that is everything.
fn rung_amount(rung: u8, part: Part<'_>) -> Option<Amount> {
    match part {
        Part::Rung(own) => own.ladder.amount(rung),
        Part::Whole => None,
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Learner, Resource};

    use super::*;

    fn ladder(resource: Resource) -> Ladder {
        Ladder { resource, rungs: vec![Amount::Count(2), Amount::Count(4)] }
    }

    #[test]
    fn folds_follow_each_other() {
        let ladder = ladder(Resource::Folds);
        let folds = |after, rung, n| {
            let part = Part::Rung(Rung { ladder: &ladder, after, rung });
            part.folds(n).unwrap()
        };
        assert_eq!(folds(None, 0, 5), 0..2);
        assert_eq!(folds(Some(0), 1, 5), 2..4);
        assert_eq!(folds(Some(1), 2, 5), 4..5);
        assert_eq!(folds(None, 1, 5), 0..4);
        assert_eq!(folds(None, 0, 1), 0..1, "an entity with fewer");
        assert_eq!(folds(Some(1), 2, 3), 3..3);
        assert_eq!(Part::Whole.folds(5), None);
    }

    #[test]
    fn trees_are_cut_and_whoever_has_no_more_is_whole() {
        let ladder = ladder(Resource::Estimators);
        let part = Part::Rung(Rung { ladder: &ladder, after: Some(0), rung: 1 });
        let training = |json: &str| Training {
            learner: Learner::GradientBoosting,
            parameters: serde_json::from_str(json).unwrap(),
        };
        let (short, rung) = part.shorten(training(r#"{"n_estimators": 50, "max_depth": 3}"#));
        assert_eq!(short, training(r#"{"max_depth": 3, "n_estimators": 4}"#));
        assert_eq!(rung, Some(1));
        assert_eq!(short.seed(), training(r#"{"max_depth": 3}"#).seed(), "the same seeds");
        let (short, rung) = part.shorten(training("{}"));
        assert_eq!((short, rung), (training(r#"{"n_estimators": 4}"#), Some(1)));
        let few = training(r#"{"n_estimators": 4}"#);
        assert_eq!(part.shorten(few.clone()), (few, None));
        assert_eq!(Part::Whole.shorten(training("{}")), (training("{}"), None));
    }
}
