//! The order of trials: completed ones by their loss, then stopped ones by what they had reached,
//! then those without a loss, then those that still run.

use std::cmp::Ordering;

use super::{Fate, Past};

/// What a trial has come to, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sampler) enum Class {
    Completed,
    Stopped,
    Failed,
    Running,
}

impl Past {
    pub(in crate::sampler) fn class(&self) -> Class {
        self.rank().0
    }

    fn rank(&self) -> (Class, f64) {
        match self.fate {
            Some(Fate::Completed(loss)) => (Class::Completed, loss),
            Some(Fate::Judged(losses)) => (Class::Completed, losses.first()),
            Some(Fate::Stopped(Some(loss))) => (Class::Stopped, loss),
            Some(Fate::Stopped(None) | Fate::Failed) => (Class::Failed, 0.0),
            None => (Class::Running, 0.0),
        }
    }

    /// The better one is less; of two that are as good, the earlier one.
    pub(in crate::sampler) fn compare(&self, other: &Self) -> Ordering {
        let ((class, loss), (other_class, other_loss)) = (self.rank(), other.rank());
        let by_rank = class.cmp(&other_class).then(loss.total_cmp(&other_loss));
        by_rank.then(self.number.cmp(&other.number))
    }
}
