//! Who goes on where trials of built-in learners are given out by rungs: the configurations of a
//! bracket, compared for one entity once all of them have come to a rung.
//!
//! Nobody is judged by who happened to be there first, so the same job gives the same result however
//! many runners there are. Successive halving and hyperband are those of K. Jamieson and A. Talwalkar,
//! "Non-stochastic best arm identification and hyperparameter optimization" (AISTATS 2016), and
//! L. Li et al., "Hyperband" (JMLR 2018), with brackets that are bounded, so that memory is, too.
//! Races are those of O. Maron and A. Moore, "Hoeffding races" (NIPS 1993), by a paired t test against
//! the best so far, its variance corrected for folds that share rows by C. Nadeau and Y. Bengio,
//! "Inference for the generalization error" (Machine Learning 52, 2003).

use std::ops::Range;

use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{Amount, EarlyTermination, Goal, Ladder, Resource};

use super::{Curve, Schedule, for_policy, short, student};
use crate::sampler::Losses;
use crate::sampler::front;

/// The most configurations that wait for each other.
const MAX_BRACKET: u32 = 81;
/// The most configurations of a bracket of folds or rows where the sampler learns from each.
const SHORT_HEAT: u32 = 16;
/// How many race, where the rule itself says nothing.
const RACE: u32 = 32;
/// The same where the sampler learns from each, and should hear of some soon.
const SHORT_RACE: u32 = 8;

/// Differences that vary by less than this share of their size are all the same but for rounding: on few
/// rows, where losses are counts, chance makes some so, and how much they vary is not known. It counts
/// then that all are above nothing (the sign test).
const ALIKE: f64 = 1e-9;

/// Which configurations compete, and on which rung they begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Sizes of brackets and their first rungs: they follow each other, again and again.
    round: Vec<(u32, u8)>,
    /// How many configurations a round has.
    n_round: u32,
}

/// Configurations that compete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// Their numbers.
    pub members: Range<u32>,
    /// Where they begin.
    pub first_rung: u8,
}

impl Plan {
    /// The brackets of a policy on a ladder, for so many configurations at most.
    pub fn new(policy: &Policy, ladder: &Ladder, learns: bool, n_total: u32) -> Self {
        let n_rungs = u32::from(ladder.top());
        let round = match *policy {
            Policy::Asha { .. } if ladder.resource != Resource::Estimators => {
                let most = if learns { SHORT_HEAT } else { MAX_BRACKET };
                // Of one size, as near as can be: who is left over would have few to compare with.
                vec![(n_total.div_ceil(n_total.div_ceil(most).max(1)).max(1), 0)]
            }
            Policy::Asha { reduction_factor, .. } => {
                let factor = reduction_factor.max(2);
                let size = factor.saturating_pow(n_rungs).min(MAX_BRACKET.max(factor));
                vec![(size, 0)]
            }
            Policy::Hyperband { reduction_factor, .. } => {
                scaled(hyperband(n_rungs, reduction_factor.max(2)), n_total)
            }
            _ => vec![(if learns { SHORT_RACE } else { RACE }, 0)],
        };
        let n_round = round.iter().map(|(size, _)| size).sum::<u32>().max(1);
        Self { round, n_round }
    }

    /// The bracket of a configuration.
    pub fn bracket(&self, configuration: u32) -> Bracket {
        let mut start = configuration - configuration % self.n_round;
        for &(size, first_rung) in &self.round {
            let end = start.saturating_add(size);
            if configuration < end {
                return Bracket { members: start..end, first_rung };
            }
            start = end;
        }
        // Not reached: the sizes of a round add up to it.
        Bracket { members: configuration..configuration.saturating_add(1), first_rung: 0 }
    }

    /// The size of the largest bracket.
    pub fn widest(&self) -> u32 {
        self.round.iter().map(|(size, _)| *size).max().unwrap_or(1)
    }
}

/// A bracket for each rung that may be the first, the whole trial included.
fn hyperband(n_rungs: u32, factor: u32) -> Vec<(u32, u8)> {
    let brackets = (0..=n_rungs).map(|first_rung| {
        let left = n_rungs - first_rung;
        let power = factor.saturating_pow(left).min(MAX_BRACKET);
        let size = (power * (n_rungs + 1)).div_ceil(left + 1).min(MAX_BRACKET.max(factor));
        (size, u8::try_from(first_rung).unwrap_or(u8::MAX))
    });
    brackets.collect()
}

/// The same shares of fewer configurations, where there are not enough for one round.
fn scaled(round: Vec<(u32, u8)>, n_total: u32) -> Vec<(u32, u8)> {
    let n_round: u32 = round.iter().map(|(size, _)| size).sum();
    if n_total >= n_round {
        return round;
    }
    let (mut n_dealt, mut n_before) = (0, 0);
    let brackets = round.into_iter().map(|(size, first_rung)| {
        n_before += size;
        // No more than the total.
        let up_to = (u64::from(n_before) * u64::from(n_total)).div_ceil(u64::from(n_round)) as u32;
        let own = up_to - n_dealt;
        n_dealt = up_to;
        (own, first_rung)
    });
    brackets.filter(|(size, _)| *size > 0).collect()
}

/// How a configuration stands with one entity. Values are as measured.
#[derive(Clone, Copy, Debug)]
pub struct Stand<'a> {
    /// What it reached on each rung from the first of its bracket on.
    pub rungs: &'a [f64],
    /// On each fold, where rungs are of folds.
    pub folds: &'a [f64],
    /// Its value, once it has completed.
    pub whole: Option<f64>,
    /// What it lost in each objective on the rung that is looked at, where there are several, or
    /// bounds.
    pub losses: Option<Losses>,
}

impl Stand<'_> {
    /// Whether it may be what others are measured by: whoever breaks a bound does not win.
    fn may_win(&self) -> bool {
        self.losses.is_none_or(|losses| losses.is_feasible())
    }
}

/// The rule.
#[derive(Clone, Debug)]
pub struct Judge {
    termination: EarlyTermination,
    ladder: Ladder,
    goal: Goal,
}

impl Judge {
    /// The rule of a policy with a ladder.
    pub fn new(termination: &EarlyTermination, ladder: &Ladder, goal: Goal) -> Self {
        Self { termination: termination.clone(), ladder: ladder.clone(), goal }
    }

    /// Why each of those who came to a rung should end there; none for who goes on. `place` counts
    /// the rungs of the bracket, of which this is one; `n_folds` is how many the entity has.
    pub fn judge(
        &self,
        rung: u8,
        place: usize,
        n_folds: u32,
        stands: &[Stand<'_>],
    ) -> Vec<Option<String>> {
        match self.termination.policy {
            Policy::Asha { reduction_factor, .. } => {
                self.halve("asha", reduction_factor, rung, place, stands)
            }
            Policy::Hyperband { reduction_factor, .. } => {
                self.halve("hyperband", reduction_factor, rung, place, stands)
            }
            Policy::FoldRacing { confidence } => self.race(rung, n_folds, confidence, stands),
            _ => self.by_intervals(rung, stands),
        }
    }

    fn halve(
        &self,
        name: &str,
        factor: u32,
        rung: u8,
        place: usize,
        stands: &[Stand<'_>],
    ) -> Vec<Option<String>> {
        let loss = |stand: &Stand<'_>| {
            stand.rungs.get(place).copied().or(stand.whole).map(|value| self.goal.loss(value))
        };
        let here: Vec<usize> =
            (0..stands.len()).filter(|&own| loss(&stands[own]).is_some()).collect();
        let n_all = here.len();
        let n_on = match self.ladder.resource {
            Resource::Folds | Resource::Rows if name == "asha" => {
                self.n_on_of_began(factor, rung, stands)
            }
            _ => n_all / factor.max(2) as usize,
        };
        let n_on = n_on.max(1);
        let best = if n_on == 1 { String::new() } else { format!("{n_on} ") };
        let after = self.after(rung);
        let several: Option<Vec<Losses>> = here.iter().map(|&own| stands[own].losses).collect();
        let several = several.filter(|several| !several.is_empty());
        let has_several = several.iter().flatten().any(|own| own.all().len() > 1);
        let of_all = if has_several { ", in all objectives" } else { "" };
        let n_better = match several {
            // Whoever keeps all bounds is compared by its loss, and ties go on, as without bounds.
            Some(several) if !has_several => {
                let key = |own: &Losses| (own.violation.max(0.0), own.first());
                let is_better = |own: &Losses, other: &Losses| match own.is_feasible() {
                    true => key(other) < key(own),
                    false => other.violation < own.violation,
                };
                let n_better = several
                    .iter()
                    .map(|own| several.iter().filter(|other| is_better(own, other)).count());
                n_better.collect()
            }
            // As in R. Schmucker et al., "Multi-objective asynchronous successive halving" (2021), by
            // fronts and, on a front, by what a trial adds to it; bounds that are broken come last.
            Some(several) => {
                let mut n_better = vec![0; n_all];
                let places = front::order(&several).into_iter().enumerate();
                places.for_each(|(place, own)| n_better[own] = place);
                n_better
            }
            None => {
                let all: Vec<f64> = stands.iter().filter_map(loss).collect();
                all.iter().map(|own| all.iter().filter(|other| *other < own).count()).collect()
            }
        };
        let mut judged = vec![None; stands.len()];
        for (place, n_better) in here.into_iter().zip(n_better) {
            let Some(own) = loss(&stands[place]).filter(|_| n_better >= n_on) else { continue };
            let own = short(self.goal.loss(own));
            judged[place] = Some(format!(
                "{name}: {own} {after} is not among the best {best}of {n_all} trials{of_all}"
            ));
        }
        judged
    }

    /// Of the n that began, n / (factor × r) go on after r times as much as the first rung has. A
    /// fold costs the same on each rung and is not fitted again, so that all of them can be rungs:
    /// whoever is out of it goes soon, and those who may win are told apart by more folds.
    fn n_on_of_began(&self, factor: u32, rung: u8, stands: &[Stand<'_>]) -> usize {
        let began = stands.iter().filter(|own| !own.rungs.is_empty() || own.whole.is_some());
        let began = began.count() as u64;
        let factor = u64::from(factor.max(2));
        let n_on = match (self.ladder.amount(0), self.ladder.amount(rung)) {
            (Some(Amount::Count(first)), Some(Amount::Count(own))) => {
                let share = factor.saturating_mul(u64::from(own.max(1)));
                began.saturating_mul(u64::from(first.max(1))) / share
            }
            (Some(Amount::Share(first)), Some(Amount::Share(own))) => {
                // A share is hardly ever exact; a conversion to whole numbers saturates.
                const NEARLY: f64 = 1e-9;
                (began as f64 * first / (factor as f64 * own) + NEARLY) as u64
            }
            _ => began / factor,
        };
        usize::try_from(n_on).unwrap_or(usize::MAX)
    }

    fn race(
        &self,
        rung: u8,
        n_folds: u32,
        confidence: f64,
        stands: &[Stand<'_>],
    ) -> Vec<Option<String>> {
        let n = self.n_folds_at(rung);
        let losses: Vec<Option<Vec<f64>>> = stands
            .iter()
            .map(|stand| {
                let folds = stand.folds.get(..n)?;
                Some(folds.iter().map(|value| self.goal.loss(*value)).collect())
            })
            .collect();
        let means: Vec<f64> =
            losses.iter().map(|own| own.as_deref().map_or(f64::INFINITY, mean)).collect();
        let may_win = (0..means.len()).filter(|&own| stands[own].may_win());
        let leader = may_win.min_by(|&a, &b| means[a].total_cmp(&means[b]));
        let leading = leader.and_then(|leader| Some((means[leader], losses[leader].as_deref()?)));
        let Some((best, leading)) = leading else {
            return vec![None; stands.len()];
        };
        let judged = losses.iter().zip(&means).map(|(own, own_mean)| {
            let differences = own.as_ref()?.iter().zip(leading).map(|(own, best)| own - best);
            let sure = sureness(&differences.collect::<Vec<_>>(), n_folds);
            (sure > confidence).then(|| {
                let [own, best] = [*own_mean, best].map(|loss| short(self.goal.loss(loss)));
                let after = self.after(rung);
                let percent = short(100.0 * confidence);
                format!(
                    "fold_racing: {own} {after} is worse than {best}, the best there, with more \
                     than {percent} % confidence"
                )
            })
        });
        judged.collect()
    }

    /// Azure's policies: an interval is a fold, and what is reported there is the mean so far.
    fn by_intervals(&self, rung: u8, stands: &[Stand<'_>]) -> Vec<Option<String>> {
        let n = self.n_folds_at(rung);
        let schedule = Schedule {
            evaluation_interval: self.termination.evaluation_interval as usize,
            delay_evaluation: self.termination.delay_evaluation as usize,
        };
        let Some(rule) = for_policy(&self.termination.policy, schedule, self.goal).pop() else {
            return vec![None; stands.len()];
        };
        let curves: Vec<Curve> = stands
            .iter()
            .map(|stand| {
                let mut sum = 0.0;
                let means = stand.folds.iter().take(n).zip(1_u32..).map(|(value, n)| {
                    sum += value;
                    self.goal.loss(sum / f64::from(n))
                });
                means.collect()
            })
            .collect();
        let judged = curves.iter().enumerate().map(|(own, curve)| {
            let all = curves.iter().enumerate();
            let all = all.filter(|(other, _)| *other == own || stands[*other].may_win());
            let measure = rule.measure(&all.map(|(_, curve)| curve).collect::<Vec<_>>(), n);
            let reason = rule.judge(rule.stands(curve, n)?, &measure, n)?;
            // What a program reports is a fold here.
            Some(reason.replacen(" report", " fold", 1))
        });
        judged.collect()
    }

    fn n_folds_at(&self, rung: u8) -> usize {
        self.ladder.amount(rung).map_or(0, |amount| amount.of(usize::MAX))
    }

    /// Where a rung is, in words.
    pub fn after(&self, rung: u8) -> String {
        let Some(amount) = self.ladder.amount(rung) else { return String::new() };
        let word = if self.ladder.resource == Resource::Rows { "on" } else { "after" };
        format!("{word} {}", self.ladder.describe(&[amount]))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How sure it is that differences on some of the folds are above nothing on the whole.
fn sureness(differences: &[f64], n_folds: u32) -> f64 {
    let n = differences.len();
    let mean = mean(differences);
    if n < 2 || mean <= 0.0 {
        return 0.0;
    }
    let squares = differences.iter().map(|own| (own - mean).powi(2));
    let variance = squares.sum::<f64>() / (n - 1) as f64;
    // Of k folds, each validates on one row for every k - 1 that it learns from.
    let overlap = f64::from(n_folds.max(2) - 1).recip();
    let error = (variance * ((n as f64).recip() + overlap)).sqrt();
    if error <= ALIKE * mean {
        return 1.0 - 0.5_f64.powi(n as i32);
    }
    student::below(mean / error, n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(resource: Resource, rungs: &[u32]) -> Ladder {
        Ladder { resource, rungs: rungs.iter().map(|rung| Amount::Count(*rung)).collect() }
    }

    fn judge(policy: Policy, ladder: Ladder, goal: Goal) -> Judge {
        let termination = EarlyTermination {
            policy,
            evaluation_interval: 1,
            delay_evaluation: 0,
            ladder: Some(ladder.clone()),
        };
        Judge::new(&termination, &ladder, goal)
    }

    fn asha(reduction_factor: u32) -> Policy {
        Policy::Asha { min_resource: 1, reduction_factor }
    }

    #[test]
    fn brackets_follow_each_other() {
        let plan = Plan::new(&asha(3), &ladder(Resource::Estimators, &[11, 33]), false, 100);
        assert_eq!(plan.widest(), 9);
        assert_eq!(plan.bracket(20), Bracket { members: 18..27, first_rung: 0 });
        let policy = Policy::Hyperband { min_resource: 1, reduction_factor: 3, max_resource: 9 };
        let plan = Plan::new(&policy, &ladder(Resource::Folds, &[1, 3]), false, 100);
        // 9, 5 and 3, as in the paper for a ratio of 9.
        assert_eq!(plan.round, [(9, 0), (5, 1), (3, 2)]);
        assert_eq!(plan.bracket(17 + 9), Bracket { members: 26..31, first_rung: 1 });
        assert_eq!(plan.bracket(16), Bracket { members: 14..17, first_rung: 2 });
        // Each bracket has its share of fewer configurations than a round has.
        let few = |n| Plan::new(&policy, &ladder(Resource::Folds, &[1, 3]), false, n).round;
        assert_eq!(few(10), [(6, 0), (3, 1), (1, 2)]);
        assert_eq!(few(1), [(1, 0)]);
        let by_rows = Plan::new(&asha(4), &ladder(Resource::Rows, &[100, 400]), false, 48);
        assert_eq!(by_rows.widest(), 48);
        let by_folds = |learns, n| Plan::new(&asha(4), &ladder(Resource::Folds, &[1]), learns, n);
        assert_eq!(by_folds(false, 48).widest(), 48);
        assert_eq!(by_folds(false, 100).widest(), 50);
        assert_eq!(by_folds(true, 40).widest(), 14);
        for policy in [policy, asha(4), asha(u32::MAX), Policy::MedianStopping] {
            let plan = Plan::new(&policy, &ladder(Resource::Rows, &[1; 16]), true, u32::MAX);
            for number in [0, 1, 77, 12_345, u32::MAX] {
                assert!(plan.bracket(number).members.contains(&number) || number == u32::MAX);
            }
        }
    }

    #[test]
    fn one_in_so_many_goes_on_and_ties_do() {
        let judge = judge(asha(3), ladder(Resource::Estimators, &[11, 33]), Goal::Maximize);
        let values = [0.1, 0.9, 0.5, 0.7, 0.7, 0.2, 0.7, 0.3];
        let stands: Vec<Stand<'_>> = values
            .chunks(1)
            .map(|rungs| Stand { rungs, folds: &[], whole: None, losses: None })
            .collect();
        let judged = judge.judge(0, 0, 5, &stands);
        let on: Vec<usize> = (0..8).filter(|&index| judged[index].is_none()).collect();
        assert_eq!(on, [1, 3, 4, 6]);
        let reason = judged[0].as_deref().unwrap();
        assert_eq!(reason, "asha: 0.1 after 11 estimators is not among the best 2 of 8 trials");
    }

    #[test]
    fn by_folds_fewer_go_on_with_each() {
        let judge = judge(asha(2), ladder(Resource::Folds, &[1, 2, 3]), Goal::Minimize);
        let losses: Vec<[f64; 3]> = (0..12).map(|own| [f64::from(own); 3]).collect();
        let n_on = |rung: u8| {
            let n_here = [12, 6, 3][usize::from(rung)];
            let reached = |own| usize::from(rung) + usize::from(own < n_here);
            let stands: Vec<Stand<'_>> = losses
                .iter()
                .enumerate()
                .map(|(own, rungs)| {
                    let rungs = &rungs[..reached(own).max(1)];
                    Stand { rungs, folds: rungs, whole: None, losses: None }
                })
                .collect();
            let judged = judge.judge(rung, usize::from(rung), 5, &stands);
            judged.iter().take(n_here).filter(|reason| reason.is_none()).count()
        };
        // Of 12 a half, a quarter and a sixth.
        assert_eq!([n_on(0), n_on(1), n_on(2)], [6, 3, 2]);
    }

    #[test]
    fn by_shares_of_the_rows_fewer_go_on_with_each() {
        let rungs = [1.0 / 6.0, 1.0 / 3.0].map(Amount::Share).to_vec();
        let judge = judge(asha(4), Ladder { resource: Resource::Rows, rungs }, Goal::Minimize);
        let losses: Vec<[f64; 2]> = (0..24).map(|own| [f64::from(own); 2]).collect();
        for (rung, n_here, n_on) in [(0, 24, 6), (1, 6, 3)] {
            let stands: Vec<Stand<'_>> = losses
                .iter()
                .enumerate()
                .map(|(number, rungs)| Stand {
                    rungs: &rungs[..1 + usize::from(rung == 1 && number < n_here)],
                    folds: &[],
                    whole: None,
                    losses: None,
                })
                .collect();
            let judged = judge.judge(rung, usize::from(rung), 5, &stands);
            let on = judged.iter().take(n_here).filter(|reason| reason.is_none());
            assert_eq!(on.count(), n_on);
        }
    }

    #[test]
    fn of_several_objectives_the_front_goes_on() {
        let judge = judge(asha(2), ladder(Resource::Rows, &[100]), Goal::Minimize);
        let all = [[1.0, 9.0], [2.0, 9.5], [5.0, 5.0], [6.0, 6.0], [0.0, 0.0], [9.0, 1.0]];
        let stands: Vec<Stand<'_>> = all
            .iter()
            .map(|losses| {
                // The one that is best in both breaks a bound.
                let violation = losses[0] + losses[1];
                let violation = if violation == 0.0 { 1.0 } else { 0.0 };
                let losses_of = Some(Losses::new(*losses, violation));
                Stand { rungs: &losses[..1], folds: &[], whole: None, losses: losses_of }
            })
            .collect();
        let judged = judge.judge(0, 0, 5, &stands);
        let on: Vec<usize> = (0..6).filter(|&own| judged[own].is_none()).collect();
        assert_eq!(on, [0, 2, 5]);
        let reason = judged[4].as_deref().unwrap();
        assert!(reason.ends_with("is not among the best 3 of 6 trials, in all objectives"));
    }

    #[test]
    fn of_those_that_keep_all_bounds_ties_go_on() {
        let judge = judge(asha(2), ladder(Resource::Rows, &[100]), Goal::Minimize);
        let all = [(3.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.5, 0.2), (0.4, 0.1)];
        let values: Vec<[f64; 1]> = all.iter().map(|(loss, _)| [*loss]).collect();
        let stands = values.iter().zip(all).map(|(rungs, (loss, violation))| Stand {
            rungs,
            folds: &[],
            whole: None,
            losses: Some(Losses::new([loss], violation)),
        });
        let on = |stands: &[Stand<'_>]| -> Vec<usize> {
            let judged = judge.judge(0, 0, 5, stands);
            (0..stands.len()).filter(|&own| judged[own].is_none()).collect()
        };
        let stands: Vec<Stand<'_>> = stands.collect();
        assert_eq!(on(&stands), [1, 2, 3]);
        // The best two of four are one that keeps all bounds and the nearest to it.
        assert_eq!(on(&[stands[0], stands[4], stands[5], stands[4]]), [0, 2]);
        let tied = [stands[1], stands[2], stands[3], stands[0]];
        assert_eq!(on(&tied), [0, 1, 2]);
        let reason = judge.judge(0, 0, 5, &tied)[3].clone().unwrap();
        assert_eq!(reason, "asha: 3 on 100 rows is not among the best 2 of 4 trials");
    }

    #[test]
    fn who_has_completed_is_compared_as_well() {
        let judge = judge(asha(2), ladder(Resource::Rows, &[100]), Goal::Minimize);
        let stand = |rungs, whole| Stand { rungs, folds: &[], whole, losses: None };
        let failed = stand(&[], None);
        let stands = [stand(&[2.0], None), stand(&[], Some(1.0)), stand(&[3.0], None), failed];
        let judged = judge.judge(0, 0, 5, &stands);
        let reason = "asha: 2 on 100 rows is not among the best of 3 trials".to_owned();
        assert_eq!(judged[0], Some(reason));
        assert!(judged[1].is_none() && judged[2].is_some() && judged[3].is_none());
    }

    #[test]
    fn a_few_differences_that_are_alike_by_chance_end_no_race() {
        // One of thirty rows more is wrong in each fold.
        let (best, other) = ([0.9, 28.0 / 30.0], [26.0 / 30.0, 0.9]);
        let differences: Vec<f64> =
            best.iter().zip(other).map(|(best, other)| best - other).collect();
        assert_eq!(sureness(&differences, 5), 0.75);
        assert!(sureness(&[0.1; 5], 5) > 0.95);
        assert_eq!(sureness(&[0.0; 5], 5), 0.0);
    }

    #[test]
    fn a_race_stops_who_is_worse_on_every_fold_alike() {
        let folds = ladder(Resource::Folds, &[2, 4]);
        let judge = judge(Policy::FoldRacing { confidence: 0.95 }, folds, Goal::Minimize);
        let all = [
            [1.0, 2.0, 3.0, 2.0],
            // Worse by about as much everywhere; worse, but by chance; the same.
            [1.5, 2.52, 3.49, 2.51],
            [2.5, 1.2, 3.1, 2.6],
            [1.0, 2.0, 3.0, 2.0],
        ];
        let stands: Vec<Stand<'_>> = all
            .iter()
            .map(|folds| Stand { rungs: &[], folds, whole: None, losses: None })
            .collect();
        let judged = judge.judge(1, 1, 5, &stands);
        let stopped: Vec<bool> = judged.iter().map(Option::is_some).collect();
        assert_eq!(stopped, [false, true, false, false]);
        assert_eq!(
            judged[1].as_deref().unwrap(),
            "fold_racing: 2.505 after 4 folds is worse than 2, the best there, with more than 95 % \
             confidence"
        );
        let few: Vec<Stand<'_>> = all
            .iter()
            .map(|folds| Stand { rungs: &[], folds: &folds[..1], whole: None, losses: None })
            .collect();
        assert!(judge.judge(0, 0, 5, &few).iter().all(Option::is_none));
    }

    #[test]
    fn who_breaks_a_bound_is_no_measure_for_others() {
        let all = [[1.0, 1.1, 1.0, 1.1], [2.0, 2.1, 2.0, 2.1], [3.0, 3.1, 3.0, 3.1]];
        // The best of all is too slow.
        let violations = [1.0, 0.0, 0.0];
        let stands: Vec<Stand<'_>> = all
            .iter()
            .zip(violations)
            .map(|(folds, violation)| {
                let losses = Some(Losses::new([folds[0]], violation));
                Stand { rungs: &[], folds, whole: None, losses }
            })
            .collect();
        let truncation = Policy::TruncationSelection { percentage: 50 };
        let racing = Policy::FoldRacing { confidence: 0.9 };
        for policy in [racing, Policy::BanditFactor(0.2), Policy::MedianStopping, truncation] {
            let judge = judge(policy, ladder(Resource::Folds, &[1, 2, 3, 4]), Goal::Minimize);
            let judged = judge.judge(3, 3, 5, &stands);
            let stopped: Vec<bool> = judged.iter().map(Option::is_some).collect();
            assert_eq!(stopped, [false, false, true], "{judged:?}");
            let nobody: Vec<Stand<'_>> = stands.iter().take(1).cycle().take(2).copied().collect();
            assert!(judge.judge(3, 3, 5, &nobody).iter().all(Option::is_none));
        }
    }

    #[test]
    fn azures_rules_hold_on_means_of_folds() {
        let folds = ladder(Resource::Folds, &[1, 2, 3]);
        let judge = judge(Policy::BanditFactor(0.2), folds, Goal::Maximize);
        let all = [[0.9, 0.7], [0.76, 0.76], [0.7, 0.7]];
        let stands: Vec<Stand<'_>> = all
            .iter()
            .map(|folds| Stand { rungs: &[], folds, whole: None, losses: None })
            .collect();
        let judged = judge.judge(1, 1, 5, &stands);
        assert_eq!(judged[0], None);
        assert_eq!(judged[1], None, "0.76 is within 0.9 / 1.2, the slack around the best");
        assert!(judged[2].as_deref().unwrap().contains("fold"), "{judged:?}");
    }
}
