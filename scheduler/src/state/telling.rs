//! What a sampler that learns is told of a configuration once all its trials have ended.
//!
//! With one entity that is its loss. With several, whose losses may be of any size, it is the mean of
//! how much better or worse than the first loss of the same entity each one is, as a share of it: 0 for
//! the same, 1 for twice the loss or worse, and for a failed trial. Sums are of whole numbers, so that
//! it does not matter in which order trials end.

use fleetfit_search_spaces::{End, Goal};

use crate::sampler::Fate;

/// The parts of one.
const ONE: f64 = (1u64 << 40) as f64;

/// The first loss of each entity.
#[derive(Debug, Default)]
pub(super) struct Yardsticks {
    first: Vec<f64>,
}

impl Yardsticks {
    pub(super) fn new(n_entities: u32) -> Self {
        Self { first: vec![f64::NAN; n_entities as usize] }
    }

    /// How much worse than the entity's first one a loss is, between -1 and 1 unless it is that much
    /// better.
    fn compare(&mut self, entity: u32, loss: f64) -> f64 {
        let Some(first) = self.first.get_mut(entity as usize) else {
            return loss;
        };
        if first.is_nan() {
            *first = loss;
        }
        let difference = loss - *first;
        match first.abs() {
            _ if difference == 0.0 => 0.0,
            0.0 => difference.signum(),
            size => (difference / size).clamp(-1.0, 1.0),
        }
    }
}

/// What is gathered for one configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Telling {
    /// The only trial's fate, where there is one entity.
    only: Option<Fate>,
    n_completed: u32,
    /// How many were stopped with a value.
    n_valued: u32,
    n_ended: u32,
    sum: i128,
}

impl Telling {
    /// A trial of it ended.
    pub(super) fn end(&mut self, entity: u32, end: &End, goal: Goal, yardsticks: &mut Yardsticks) {
        self.n_ended += 1;
        if yardsticks.first.is_empty() {
            self.only = Some(match end {
                End::Completed { value } => Fate::Completed(goal.loss(*value)),
                End::Stopped { value, .. } => Fate::Stopped(value.map(|value| goal.loss(value))),
                End::Failed { .. } => Fate::Failed,
            });
            return;
        }
        let share = match end {
            End::Completed { value } => {
                self.n_completed += 1;
                yardsticks.compare(entity, goal.loss(*value))
            }
            // It was compared with others, and its value is what it had reached.
            End::Stopped { value: Some(value), .. } => {
                self.n_valued += 1;
                yardsticks.compare(entity, goal.loss(*value))
            }
            End::Stopped { .. } | End::Failed { .. } => 1.0,
        };
        self.sum += (share * ONE) as i128;
    }

    /// What it comes to.
    pub(super) fn fate(&self) -> Fate {
        match self.only {
            Some(fate) => fate,
            None if self.n_completed + self.n_valued == 0 => Fate::Failed,
            None => {
                let share = self.sum as f64 / ONE / f64::from(self.n_ended);
                match self.n_completed {
                    0 => Fate::Stopped(Some(share)),
                    _ => Fate::Completed(share),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(value: f64) -> End {
        End::Completed { value }
    }

    #[test]
    fn entities_of_any_size_count_the_same_in_any_order() {
        let goal = Goal::Minimize;
        let mut yardsticks = Yardsticks::new(3);
        let first = [completed(1e6), completed(1e-3), End::Failed { reason: String::new() }];
        let mut telling = Telling::default();
        for (entity, end) in first.iter().enumerate() {
            telling.end(entity as u32, end, goal, &mut yardsticks);
        }
        assert_eq!(telling.fate(), Fate::Completed(1.0 / 3.0));
        let second = [completed(0.5e6), completed(1.5e-3), completed(2.0)];
        let fates = [[0, 1, 2], [2, 0, 1], [1, 2, 0]].map(|order| {
            let mut telling = Telling::default();
            for entity in order {
                telling.end(entity as u32, &second[entity], goal, &mut yardsticks);
            }
            telling.fate()
        });
        assert!(fates.iter().all(|fate| *fate == fates[0]), "{fates:?}");
        let Fate::Completed(loss) = fates[0] else { panic!("{fates:?}") };
        assert!(loss.abs() < 1e-9, "{loss}");
    }

    #[test]
    fn one_entity_is_told_as_it_is() {
        let mut yardsticks = Yardsticks::default();
        let mut telling = Telling::default();
        telling.end(0, &completed(0.9), Goal::Maximize, &mut yardsticks);
        assert_eq!(telling.fate(), Fate::Completed(-0.9));
    }
}
