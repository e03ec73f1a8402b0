//! Candidates that one fit answers for: they differ in their number of trees alone.

use super::{Candidate, FitError, Hear, Heard, Trials};
use crate::model::Predictions;

/// The parameter that one fit answers for at every value.
pub(super) const N_ESTIMATORS: &str = "n_estimators";

/// Takes what became of a candidate on a fold.
pub(super) type Told<'a> = dyn FnMut(usize, Result<&Predictions, &FitError>) + 'a;

/// Has each family of candidates walk each fold, as long as anybody wants to hear more of them.
pub(super) fn try_families(
    trials: &Trials<'_>,
    hear: &mut Hear<'_>,
    walk: impl Fn(usize, Vec<usize>, &mut Told<'_>),
) {
    let mut is_open = vec![true; trials.candidates.len()];
    for fold in trials.ahead() {
        let mut waiting: Vec<usize> =
            (0..trials.candidates.len()).filter(|&index| is_open[index]).collect();
        while let Some(&first) = waiting.first() {
            let is_kin = |index: &usize| kin(&trials.candidates[first], &trials.candidates[*index]);
            let (own, others) = waiting.iter().partition(|index| is_kin(index));
            waiting = others;
            walk(fold, own, &mut |candidate, answer| {
                let answer = answer.map(Predictions::lend).map_err(Clone::clone);
                is_open[candidate] &= hear(Heard { candidate, fold, answer });
            });
        }
    }
}

/// Whether one fit answers for both.
pub(super) fn kin(one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    let others = |candidate: &Candidate<'_>| {
        let all = candidate.parameters.0.iter();
        all.filter(|(name, _)| name != N_ESTIMATORS).cloned().collect::<Vec<_>>()
    };
    one.seed == other.seed && others(one) == others(other)
}
