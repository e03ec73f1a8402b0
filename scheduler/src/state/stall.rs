//! Whether a search has stopped getting better.
//!
//! Counted in the order in which configurations end, over what the sampler is told: of several
//! entities the mean. Slow progress adds up, because each loss is compared with the last one that
//! counted as an improvement. Where there are several objectives, whoever is better than each of
//! those in one of them is an improvement.

use fleetfit_search_spaces::{Improvement, Least};

use crate::sampler::{Fate, Losses};

/// How long the search has not improved.
#[derive(Debug)]
pub(super) struct Stall {
    rule: Improvement,
    /// Whether losses are shares of another one already.
    is_relative: bool,
    /// The last ones that were improvements, none of which is better than another throughout.
    references: Vec<Losses>,
    n_ended: u32,
    /// How many have ended since, those before the counting left out.
    n_since: u32,
}

impl Stall {
    pub(super) fn new(rule: Improvement, n_entities: u32) -> Self {
        let is_relative = n_entities > 1;
        Self { rule, is_relative, references: Vec::new(), n_ended: 0, n_since: 0 }
    }

    /// A configuration ended. What was chosen by hand may be better than all that follow for a
    /// while, and says nothing about the search.
    pub(super) fn end(&mut self, fate: Fate, is_searched: bool) {
        self.n_ended = self.n_ended.saturating_add(1);
        let losses = match fate {
            Fate::Completed(loss) => Some(Losses::new([loss], 0.0)),
            Fate::Judged(losses) => Some(losses).filter(Losses::is_feasible),
            Fate::Stopped(_) | Fate::Failed => None,
        };
        let losses = losses.filter(|losses| losses.all().iter().all(|loss| loss.is_finite()));
        if let Some(losses) = losses.filter(|losses| self.is_improvement(losses)) {
            let is_worse = |reference: &Losses| {
                let mut pairs = reference.all().iter().zip(losses.all());
                pairs.all(|(reference, loss)| loss <= reference)
            };
            self.references.retain(|reference| !is_worse(reference));
            self.references.push(losses);
            self.n_since = 0;
        } else if is_searched && !self.references.is_empty() && self.n_ended > self.rule.after {
            self.n_since = self.n_since.saturating_add(1);
        }
    }

    fn is_improvement(&self, losses: &Losses) -> bool {
        self.references.iter().all(|reference| {
            let mut pairs = losses.all().iter().zip(reference.all());
            pairs.any(|(loss, reference)| *loss < reference - self.least(*reference))
        })
    }

    /// By how much a loss has to be below this one. Of several entities, losses are shares of those
    /// of the first configuration, and a share of these is meant.
    fn least(&self, reference: f64) -> f64 {
        match self.rule.least {
            Least::By(least) => least,
            Least::Share(share) if self.is_relative => share,
            Least::Share(share) => share * reference.abs(),
        }
    }

    /// Whether nothing more should be proposed.
    pub(super) fn is_over(&self) -> bool {
        self.n_since >= self.rule.patience
    }

    /// Somebody wants to go on all the same.
    pub(super) fn restart(&mut self) {
        self.n_since = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(rule: Improvement, n_entities: u32, fates: &[Fate]) -> Option<usize> {
        let mut stall = Stall::new(rule, n_entities);
        fates.iter().position(|&fate| {
            stall.end(fate, true);
            stall.is_over()
        })
    }

    fn completed(losses: &[f64]) -> Vec<Fate> {
        losses.iter().map(|&loss| Fate::Completed(loss)).collect()
    }

    #[test]
    fn patience_runs_out_after_the_last_improvement() {
        let rule = Improvement { patience: 3, least: Least::By(0.0), after: 0 };
        assert_eq!(ends(rule, 1, &completed(&[5.0, 6.0, 5.0, 4.0, 4.0, 7.0])), None);
        assert_eq!(ends(rule, 1, &completed(&[5.0, 6.0, 5.0, 4.0, 4.0, 7.0, 4.0])), Some(6));
        // Nothing is waited for before anything has completed; after that, failures count.
        let failed = [Fate::Failed; 9];
        assert_eq!(ends(rule, 1, &failed), None);
        let others = [Fate::Failed, Fate::Stopped(Some(0.0)), Fate::Completed(f64::NAN)];
        assert_eq!(ends(rule, 1, &[&completed(&[1.0])[..], &others].concat()), Some(3));
    }

    #[test]
    fn whatever_adds_to_the_front_counts() {
        let judged = |losses: [f64; 2], violation| Fate::Judged(Losses::new(losses, violation));
        let rule = Improvement { patience: 2, least: Least::By(0.1), after: 0 };
        let front = [[1.0, 9.0], [9.0, 1.0], [5.0, 5.0], [4.95, 5.0], [3.0, 6.0]];
        let fates = front.map(|losses| judged(losses, 0.0));
        assert_eq!(ends(rule, 1, &fates), None);
        let behind = [judged([2.0, 9.5], 0.0), judged([0.0, 0.0], 1.0)];
        assert_eq!(ends(rule, 1, &[&fates[..], &behind].concat()), Some(6));
    }

    #[test]
    fn only_what_is_better_by_enough_counts() {
        let by = |least| Improvement { patience: 2, least, after: 0 };
        let creeping = completed(&[10.0, 9.6, 9.2, 8.8, 8.4]);
        assert_eq!(ends(by(Least::By(0.5)), 1, &creeping), None);
        assert_eq!(ends(by(Least::By(1.0)), 1, &creeping), Some(2));
        assert_eq!(ends(by(Least::Share(0.05)), 1, &creeping), None);
        assert_eq!(ends(by(Least::Share(0.2)), 1, &creeping), Some(2));
        // A maximum is a loss below 0; a share of it counts all the same.
        assert_eq!(ends(by(Least::Share(0.2)), 1, &completed(&[-10.0, -11.0, -11.9])), Some(2));
        // Of several entities losses are shares already: the first one is 0.
        let shares = completed(&[0.0, -0.02, -0.03, -0.04, -0.05, -0.06]);
        assert_eq!(ends(by(Least::Share(0.01)), 9, &shares), None);
        assert_eq!(ends(by(Least::Share(0.1)), 9, &shares), Some(2));
    }

    #[test]
    fn automl_stops_at_the_31st_at_the_earliest() {
        let flat = completed(&[1.0; 60]);
        assert_eq!(ends(Improvement::OF_AUTOML, 1, &flat), Some(30));
        let mut late = flat;
        late[25] = Fate::Completed(0.5);
        assert_eq!(ends(Improvement::OF_AUTOML, 1, &late), Some(35));
    }

    #[test]
    fn what_was_given_is_not_waited_for() {
        let rule = Improvement { patience: 2, least: Least::By(0.0), after: 0 };
        let mut stall = Stall::new(rule, 1);
        stall.end(Fate::Completed(1.0), false);
        (0..9).for_each(|_| stall.end(Fate::Completed(2.0), false));
        assert!(!stall.is_over());
        (0..2).for_each(|_| stall.end(Fate::Completed(2.0), true));
        assert!(stall.is_over());
        stall.restart();
        assert!(!stall.is_over());
    }
}
