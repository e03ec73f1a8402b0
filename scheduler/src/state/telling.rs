//! What a sampler that learns is told of a configuration once all its trials have ended.
//!
//! With one entity that is its loss. With several, whose losses may be of any size, it is the mean of
//! how much better or worse than the first loss of the same entity each one is, as a share of it: 0 for
//! the same, 1 for twice the loss or worse, and for a failed trial; what is better by more than the
//! first loss, as a metric that grows from next to nothing, is so by 1 and the logarithm of how many
//! times. Sums are of whole numbers, so that it does not matter in which order trials end.
//!
//! Where trials are stopped on rungs, an entity has such a yardstick for each rung. The first trial
//! that comes to one from the rung before is taken to stand there as it stood before, and so says what
//! the others are measured by: how far a trial is from the first one is the same measure on all rungs,
//! and a configuration that is stopped for most entities, each time behind those that go on, has a
//! mean behind theirs.
//!
//! With several objectives each has a mean of its own, and how far a configuration is from what has to
//! hold is the share of its entities for which it is known that it does not: a trial that failed broke
//! no bound.

use fleetfit_search_spaces::{Aims, End, Outcome};

use crate::sampler::{Fate, Losses};

/// The parts of one.
const ONE: f64 = (1u64 << 40) as f64;

/// Shares beyond this say nothing of what a loss without a yardstick is to be measured by.
const MOST_CARRIED: f64 = 0.9;

/// What losses are measured by where the first one is 0.
const INSTEAD_OF_ZERO: f64 = 1e-9;

/// Nothing is better by more times the first loss.
const MOST_TIMES: f64 = 1e300;

/// The first losses of each entity.
#[derive(Debug, Default)]
pub(crate) struct Yardsticks {
    first: Vec<f64>,
    n_losses: usize,
    /// Of the first objective on each rung.
    on_rungs: Vec<f64>,
    n_rungs: usize,
}

impl Yardsticks {
    pub(crate) fn new(n_entities: u32, n_losses: usize, n_rungs: usize) -> Self {
        let nothing = |n: usize| vec![f64::NAN; n_entities as usize * n];
        Self { first: nothing(n_losses), n_losses, on_rungs: nothing(n_rungs), n_rungs }
    }

    /// How much worse than the entity's first one a loss of an objective is, 1 at most; what
    /// the same trial's was on the rung before, where it has passed any.
    fn compare(&mut self, entity: u32, objective: usize, loss: f64, before: f64) -> f64 {
        let place = entity as usize * self.n_losses + objective;
        let first = self.first.get_mut(place);
        first.map_or(loss, |first| share(first, loss, before))
    }

    /// The same of the first objective where a trial was stopped, or would have been; none where it
    /// was on no rung.
    fn climb(&mut self, entity: u32, passed: &[(u32, f64)]) -> Option<f64> {
        let mut before = None;
        for &(rung, loss) in passed {
            let rung = usize::try_from(rung).ok().filter(|rung| *rung < self.n_rungs)?;
            let first = self.on_rungs.get_mut(entity as usize * self.n_rungs + rung)?;
            before = Some(share(first, loss, before.unwrap_or_default()));
        }
        before
    }
}

/// How much worse a loss is than the first one, which may have to be found: then it is what makes the
/// share what it was before. There is no least share: the better one of two losses always has less.
fn share(first: &mut f64, loss: f64, before: f64) -> f64 {
    if first.is_nan() {
        let before = before.clamp(-MOST_CARRIED, MOST_CARRIED);
        *first = loss / (1.0 + before * loss.signum());
    }
    let difference = loss - *first;
    let size = if *first == 0.0 { INSTEAD_OF_ZERO } else { first.abs() };
    match difference / size {
        better if better < -1.0 => -1.0 - (-better).min(MOST_TIMES).ln(),
        share => share.min(1.0),
    }
}

/// What is gathered for one configuration.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// The only trial's fate, where there is one entity.
    only: Option<Fate>,
    n_completed: u32,
    /// How many were stopped with a value.
    n_valued: u32,
    n_stopped: u32,
    n_ended: u32,
    /// Of the first objective.
    sum: i128,
    /// Of the others.
    further: Vec<i128>,
    n_infeasible: u32,
}

impl Telling {
    /// A trial of it ended, after it had passed these rungs.
    pub(crate) fn end(
        &mut self,
        outcome: &Outcome,
        passed: &[(u32, f64)],
        aims: &Aims,
        yardsticks: &mut Yardsticks,
    ) {
        self.n_ended += 1;
        self.n_completed += u32::from(matches!(outcome.end, End::Completed { .. }));
        self.n_stopped += u32::from(matches!(outcome.end, End::Stopped { .. }));
        let further = &outcome.further;
        if yardsticks.first.is_empty() {
            let goal = aims.objectives[0].goal;
            self.only = Some(match outcome.end {
                End::Completed { value } if aims.are_plain() => Fate::Completed(goal.loss(value)),
                End::Completed { value } => Fate::Judged(Losses::of(aims, value, further)),
                End::Stopped { value, .. } => Fate::Stopped(value.map(|value| goal.loss(value))),
                End::Failed { .. } => Fate::Failed,
            });
            return;
        }
        let before = yardsticks.climb(outcome.entity, passed);
        self.further.resize(aims.objectives.len() - 1, 0);
        let sums = std::iter::once(&mut self.sum).chain(&mut self.further);
        match outcome.end {
            End::Completed { value } => {
                self.n_infeasible += u32::from(!aims.keeps(value, further));
                for ((objective, loss), sum) in aims.losses(value, further).enumerate().zip(sums) {
                    let before = before.filter(|_| objective == 0).unwrap_or_default();
                    let share = yardsticks.compare(outcome.entity, objective, loss, before);
                    *sum += (share * ONE) as i128;
                }
            }
            // It was compared with others, and its value is what it had reached.
            End::Stopped { value: Some(value), .. } if aims.are_plain() => {
                self.n_valued += 1;
                let loss = aims.objectives[0].goal.loss(value);
                let share =
                    before.unwrap_or_else(|| yardsticks.compare(outcome.entity, 0, loss, 0.0));
                sums.take(1).for_each(|sum| *sum += (share * ONE) as i128);
            }
            // Its share of the losses is punishment enough: an entity for which every trial fails would
            // make all configurations break bounds that nobody has measured.
            End::Stopped { .. } | End::Failed { .. } => {
                sums.for_each(|sum| *sum += ONE as i128);
                let is_broken = match outcome.end {
                    End::Stopped { value: Some(value), .. } => !aims.keeps(value, further),
                    _ => false,
                };
                self.n_infeasible += u32::from(is_broken);
            }
        }
    }

    /// For how many entities it has completed.
    pub(crate) fn n_completed(&self) -> u32 {
        self.n_completed
    }

    /// What it comes to.
    pub(crate) fn fate(&self, aims: &Aims) -> Fate {
        let n_ended = f64::from(self.n_ended);
        let mean = |sum: i128| sum as f64 / ONE / n_ended;
        match self.only {
            Some(fate) => fate,
            None if self.n_completed + self.n_valued == 0 => match self.n_stopped {
                0 => Fate::Failed,
                _ => Fate::Stopped(None),
            },
            None if aims.are_plain() && self.n_completed == 0 => {
                Fate::Stopped(Some(mean(self.sum)))
            }
            None if aims.are_plain() => Fate::Completed(mean(self.sum)),
            None => {
                let sums = std::iter::once(&self.sum).chain(&self.further);
                let violation = f64::from(self.n_infeasible) / n_ended;
                Fate::Judged(Losses::new(sums.map(|&sum| mean(sum)), violation))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::Job;

    use super::*;

    fn aims(goals: &str) -> Aims {
        let text = format!(
            "type: sweep\ntrial: external\nsearch_space: {{x: [1, 2]}}\n{goals}\n\
             limits: {{max_total_trials: 2}}\n"
        );
        Aims::of(&Job::read("job.yaml", &text).unwrap().study().unwrap())
    }

    fn outcome(entity: u32, end: End, further: &[f64]) -> Outcome {
        let (fits, started_ms, ended_ms) = (1, 0, 0);
        let (reports, further) = (Vec::new(), further.to_vec());
        Outcome { configuration: 0, entity, end, fits, started_ms, ended_ms, reports, further }
    }

    fn completed(value: f64) -> End {
        End::Completed { value }
    }

    #[test]
    fn entities_of_any_size_count_the_same_in_any_order() {
        let aims = aims("objective: {goal: minimize, primary_metric: loss}");
        let mut yardsticks = Yardsticks::new(3, 1, 0);
        let first = [completed(1e6), completed(1e-3), End::Failed { reason: String::new() }];
        let mut telling = Telling::default();
        for (entity, end) in (0..).zip(first) {
            telling.end(&outcome(entity, end, &[]), &[], &aims, &mut yardsticks);
        }
        assert_eq!(telling.fate(&aims), Fate::Completed(1.0 / 3.0));
        let second = [completed(0.5e6), completed(1.5e-3), completed(2.0)];
        let fates = [[0, 1, 2], [2, 0, 1], [1, 2, 0]].map(|order| {
            let mut telling = Telling::default();
            for entity in order {
                let end = second[entity].clone();
                telling.end(&outcome(entity as u32, end, &[]), &[], &aims, &mut yardsticks);
            }
            telling.fate(&aims)
        });
        assert!(fates.iter().all(|fate| *fate == fates[0]), "{fates:?}");
        let Fate::Completed(loss) = fates[0] else { panic!("{fates:?}") };
        assert!(loss.abs() < 1e-9, "{loss}");
    }

    #[test]
    fn what_is_better_by_any_amount_is_told_as_better() {
        let aims = aims("objective: {goal: maximize, primary_metric: r2_score}");
        for first in [-0.001, 0.0, 0.001, 0.3] {
            let mut yardsticks = Yardsticks::new(2, 1, 0);
            let mut told = |value: f64| {
                let mut telling = Telling::default();
                for entity in 0..2 {
                    let end = outcome(entity, completed(value), &[]);
                    telling.end(&end, &[], &aims, &mut yardsticks);
                }
                match telling.fate(&aims) {
                    Fate::Completed(loss) => loss,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(told(first), 0.0);
            let losses = [0.301, 0.304, 0.849, 0.951, 1.0, 1e300].map(&mut told);
            assert!(losses.is_sorted_by(|worse, better| better < worse), "{first}: {losses:?}");
            assert!(told(-1e300) == 1.0 && losses[5] > -1e3);
        }
    }

    #[test]
    fn one_entity_is_told_as_it_is() {
        let plain = aims("objective: {goal: maximize, primary_metric: acc}");
        let mut yardsticks = Yardsticks::default();
        let mut telling = Telling::default();
        telling.end(&outcome(0, completed(0.9), &[]), &[], &plain, &mut yardsticks);
        assert_eq!(telling.fate(&plain), Fate::Completed(-0.9));
        let bounded =
            aims("objective: {goal: maximize, primary_metric: acc}\nconstraints: [\"ms <= 20\"]");
        let mut telling = Telling::default();
        telling.end(&outcome(0, completed(0.9), &[25.0]), &[], &bounded, &mut yardsticks);
        assert_eq!(Losses::of(&bounded, 0.9, &[25.0]), Losses::new([-0.9], 0.25));
        assert_eq!(Losses::of(&bounded, 0.9, &[15.0]).excess, -0.25);
        assert_eq!(telling.fate(&bounded), Fate::Judged(Losses::of(&bounded, 0.9, &[25.0])));
    }

    #[test]
    fn each_objective_has_its_mean_and_bounds_count_by_entities() {
        let aims = aims(
            "objective: [{goal: minimize, primary_metric: loss}, \
             {goal: maximize, primary_metric: acc}]\nconstraints: [\"ms <= 20\"]",
        );
        let mut yardsticks = Yardsticks::new(4, 2, 0);
        let mut first = Telling::default();
        for entity in 0..4 {
            let ms = if entity == 3 { 30.0 } else { 10.0 };
            let end = outcome(entity, completed(2.0), &[0.5, ms]);
            first.end(&end, &[], &aims, &mut yardsticks);
        }
        assert_eq!(first.fate(&aims), Fate::Judged(Losses::new([0.0, 0.0], 0.25)));
        let mut second = Telling::default();
        for entity in 0..3 {
            let end = outcome(entity, completed(1.0), &[0.25, 10.0]);
            second.end(&end, &[], &aims, &mut yardsticks);
        }
        let failed = End::Failed { reason: String::new() };
        second.end(&outcome(3, failed, &[]), &[], &aims, &mut yardsticks);
        let expected = Losses::new([(-0.5 * 3.0 + 1.0) / 4.0, (0.5 * 3.0 + 1.0) / 4.0], 0.0);
        assert_eq!(second.fate(&aims), Fate::Judged(expected));
    }

    #[test]
    fn who_was_stopped_for_all_entities_has_not_failed() {
        let aims = aims(
            "objective: [{goal: minimize, primary_metric: loss}, \
             {goal: minimize, primary_metric: ms}]",
        );
        let mut yardsticks = Yardsticks::new(2, 2, 0);
        let mut told = |end: End| {
            let mut telling = Telling::default();
            for (entity, end) in [(0, end), (1, End::Failed { reason: String::new() })] {
                telling.end(&outcome(entity, end, &[]), &[], &aims, &mut yardsticks);
            }
            telling.fate(&aims)
        };
        let stopped = End::Stopped { value: Some(1.0), reason: String::new() };
        assert_eq!(told(stopped), Fate::Stopped(None));
        assert_eq!(told(End::Failed { reason: String::new() }), Fate::Failed);
    }

    #[test]
    fn who_failed_or_was_stopped_broke_no_bound() {
        let aims = aims(
            "objective: {goal: minimize, primary_metric: loss}\n\
             constraints: [\"loss <= 5\", \"ms <= 20\"]",
        );
        let mut yardsticks = Yardsticks::new(2, 1, 0);
        let mut told = |end: End| {
            let mut telling = Telling::default();
            telling.end(&outcome(0, completed(2.0), &[10.0]), &[], &aims, &mut yardsticks);
            telling.end(&outcome(1, end, &[]), &[], &aims, &mut yardsticks);
            telling.fate(&aims)
        };
        let stopped = |value| End::Stopped { value, reason: String::new() };
        let kept = Fate::Judged(Losses::new([0.5], 0.0));
        assert_eq!(told(End::Failed { reason: String::new() }), kept);
        assert_eq!(told(stopped(None)), kept);
        assert_eq!(told(stopped(Some(4.0))), kept);
        assert_eq!(told(stopped(Some(6.0))), Fate::Judged(Losses::new([0.5], 0.5)));
    }

    #[test]
    fn a_configuration_that_is_stopped_for_most_entities_is_told_as_a_poor_one() {
        let aims = aims("objective: {goal: minimize, primary_metric: loss}");
        // What trials come to grows from rung to rung, and by how much differs by entity.
        let n_entities = 20;
        let value = |own: f64, entity: u32, rung: u32| {
            10f64.powi(entity as i32 % 5) * own * (1.0 + f64::from((entity % 3 + 1) * rung))
        };
        let mut yardsticks = Yardsticks::new(n_entities, 1, 2);
        let mut told = |own: f64, stops: fn(u32) -> Option<u32>| {
            let mut telling = Telling::default();
            for entity in 0..n_entities {
                let last = stops(entity).unwrap_or(1);
                let passed: Vec<(u32, f64)> =
                    (0..=last).map(|rung| (rung, value(own, entity, rung))).collect();
                let end = match stops(entity) {
                    Some(rung) => {
                        let value = Some(value(own, entity, rung));
                        End::Stopped { value, reason: String::new() }
                    }
                    None => completed(value(own, entity, 2)),
                };
                telling.end(&outcome(entity, end, &[]), &passed, &aims, &mut yardsticks);
            }
            telling.fate(&aims)
        };
        let all = |_| None;
        assert_eq!(told(1.0, |_| Some(0)), Fate::Stopped(Some(0.0)));
        let Fate::Completed(good) = told(0.8, all) else { panic!("it completed") };
        let Fate::Completed(most) = told(1.2, |entity| (entity > 1).then_some(0)) else {
            panic!("it completed for two")
        };
        let Fate::Completed(half) = told(1.1, |entity| (entity % 2 == 0).then_some(1)) else {
            panic!("it completed for half of them")
        };
        let nearly = |value: f64, wanted: f64| (value - wanted).abs() < 1e-9;
        assert!(
            nearly(good, -0.2) && nearly(half, 0.1) && nearly(most, 0.2),
            "{good} {half} {most}"
        );
    }
}
