//! Who ends trials early. One interval is one report of a trial; a policy looks at every multiple
//! of `evaluation_interval` reports that is not below `delay_evaluation`.
//!
//! A trial is compared with others at the same interval: with running ones that got as far, and
//! with ended ones, failures left out. Everything below is a loss, so lower is better. Curves are
//! as long as what an outcome keeps of them; a trial that reports on is not looked at any more, nor
//! is one of whose reports some were lost, because nobody knows how it stood at which interval.

mod bandit;
mod bracket;
mod curve;
mod halving;
mod heat;
mod median;
mod narrowing;
mod student;
mod truncation;
mod window;

use std::collections::BTreeMap;

use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::trial::MAX_REPORTS;
use fleetfit_search_spaces::{EarlyTermination, End, Goal, Outcome, Report, ValueRule};

pub use bandit::{Bandit, Slack};
pub use bracket::Brackets;
pub use curve::Curve;
pub use halving::{Halving, Rungs};
pub use heat::{Bracket, Judge, Plan, Stand};
pub use median::MedianStopping;
pub use narrowing::Narrowing;
pub use truncation::TruncationSelection;

/// One configuration for one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrialKey {
    /// The configuration's number.
    pub configuration: u32,
    /// The entity's index.
    pub entity: u32,
}

/// When a policy looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// It looks at every multiple of this many reports.
    pub evaluation_interval: usize,
    /// It does not look before this many reports.
    pub delay_evaluation: usize,
}

impl Schedule {
    /// Whether it looks at a trial that has just reported for the `interval`th time.
    pub fn looks_at(self, interval: usize) -> bool {
        interval >= self.delay_evaluation
            && interval.is_multiple_of(self.evaluation_interval.max(1))
            && (1..=MAX_REPORTS).contains(&interval)
    }
}

/// A rule for ending trials early.
pub trait Stopper: Send {
    /// Whether it looks at this interval.
    fn looks_at(&self, _interval: usize) -> bool {
        true
    }

    /// Whether it looks again at how a trial stood at an interval when another one comes there.
    fn looks_back(&self) -> bool {
        true
    }

    /// What a trial stands with at an interval that it has come to: a loss.
    fn stands(&self, curve: &Curve, interval: usize) -> Option<f64>;

    /// What trials are measured by at an interval, ascending: it is of those that have ended, and of
    /// these that run, the judged ones and shorter ones included.
    fn measure(&self, running: &[&Curve], interval: usize) -> Vec<f64>;

    /// Why a trial that stands there with this loss should end; none if it may go on.
    fn judge(&self, own: f64, measure: &[f64], interval: usize) -> Option<String>;

    /// A trial ended after this curve.
    fn learn(&mut self, curve: &Curve);
}

/// The rules of a policy, one for each of its brackets.
pub fn for_policy(policy: &Policy, schedule: Schedule, goal: Goal) -> Vec<Box<dyn Stopper>> {
    let halving = |name| {
        let brackets = Brackets::new(policy).rungs.into_iter();
        let rule =
            |rungs| -> Box<dyn Stopper> { Box::new(Halving::new(name, rungs, schedule, goal)) };
        brackets.map(rule).collect()
    };
    match policy {
        Policy::BanditFactor(factor) => vec![Box::new(Bandit::new(Slack::Factor(*factor), goal))],
        Policy::BanditAmount(amount) => vec![Box::new(Bandit::new(Slack::Amount(*amount), goal))],
        Policy::MedianStopping => vec![Box::new(MedianStopping::new(schedule, goal))],
        Policy::TruncationSelection { percentage } => {
            vec![Box::new(TruncationSelection::new(*percentage, schedule, goal))]
        }
        Policy::Asha { .. } => halving("asha"),
        Policy::Hyperband { .. } => halving("hyperband"),
        Policy::Narrowing { min_resource, max_resource } => {
            vec![Box::new(Narrowing::new(*min_resource, *max_resource, goal))]
        }
        // Nobody who reports races.
        Policy::FoldRacing { .. } => Vec::new(),
    }
}

/// What a running trial has reported.
#[derive(Clone, Debug, Default)]
struct Running {
    last_step: Option<u64>,
    curve: Curve,
    /// How many reports came, those that do not count included.
    n_received: u32,
    /// It began before this life: what came of it may never have been heard.
    is_adopted: bool,
    /// Some of its reports were lost.
    is_torn: bool,
}

/// Follows the reports of running trials and asks the rule when it is time to look.
pub struct Watch {
    goal: Goal,
    schedule: Schedule,
    brackets: Brackets,
    /// One for each bracket.
    rules: Vec<Box<dyn Stopper>>,
    running: BTreeMap<TrialKey, Running>,
    /// Programs that were told to end: after how many reports, and why.
    stopped: BTreeMap<TrialKey, (usize, String)>,
}

impl Watch {
    /// Watches for a policy.
    pub fn new(policy: &EarlyTermination, goal: Goal) -> Self {
        let schedule = Schedule {
            evaluation_interval: policy.evaluation_interval as usize,
            delay_evaluation: policy.delay_evaluation as usize,
        };
        Self {
            goal,
            schedule,
            brackets: Brackets::new(&policy.policy),
            rules: for_policy(&policy.policy, schedule, goal),
            running: BTreeMap::new(),
            stopped: BTreeMap::new(),
        }
    }

    /// The losses of an ended trial where its rule looked, by how many reports; where that is often,
    /// at some of these places, ever farther apart, the same for all trials.
    pub fn passed(&self, outcome: &Outcome) -> Vec<(u32, f64)> {
        let Some(rule) = self.rules.get(self.brackets.of(outcome.configuration)) else {
            return Vec::new();
        };
        let mut passed: Vec<(u32, f64)> = Vec::new();
        for (interval, loss) in (1_u32..).zip(self.losses(outcome)) {
            let is_looked_at =
                self.schedule.looks_at(interval as usize) && rule.looks_at(interval as usize);
            let is_apart = passed.last().is_none_or(|(last, _)| interval - last > last / 4);
            if is_looked_at && is_apart {
                passed.push((interval, loss));
            }
        }
        passed
    }

    /// A trial of an earlier life goes on.
    pub fn adopted(&mut self, trial: TrialKey) {
        self.running.insert(trial, Running { is_adopted: true, ..Running::default() });
    }

    /// Whether the report that has come is the one that follows, the `nth` of its trial, where that is
    /// said. Where some before it were lost, nobody is measured by the trial until it has ended and
    /// tells all.
    pub fn follows(&mut self, trial: TrialKey, nth: u32) -> bool {
        let own = self.running.entry(trial).or_default();
        own.n_received = own.n_received.saturating_add(1);
        if nth != own.n_received && (nth != 0 || own.is_adopted) {
            own.is_torn = true;
            own.curve = Curve::default();
        }
        !own.is_torn
    }

    /// A running trial reported: which trials should end, and why. A trial is judged at an interval
    /// against what all others had reached there; so that it does not matter who reports first, a
    /// trial that is ahead is judged again at the interval that this one has reached, where the rule
    /// looks back. It has had more time: it goes on where what it has come to since would.
    ///
    /// A report whose step is not above the last one's is a repeat, or came too late to be put in its
    /// place; it counts for nothing, nor does one that is not a finite number.
    pub fn report(&mut self, trial: TrialKey, report: Report) -> Vec<(TrialKey, String)> {
        let own = self.running.entry(trial).or_default();
        let is_late = own.last_step.is_some_and(|last| report.step <= last);
        if is_late || !report.value.is_finite() || own.curve.len() >= MAX_REPORTS {
            return Vec::new();
        }
        own.last_step = Some(report.step);
        own.curve.push(self.goal.loss(report.value));
        let interval = own.curve.len();
        if !self.schedule.looks_at(interval) {
            return Vec::new();
        }
        let bracket = self.brackets.of(trial.configuration);
        let Some(rule) = self.rules.get(bracket).filter(|rule| rule.looks_at(interval)) else {
            return Vec::new();
        };
        let in_bracket = |key: &TrialKey| self.brackets.of(key.configuration) == bracket;
        let running = self.running.iter().filter(|(key, _)| in_bracket(key));
        let running: Vec<(TrialKey, &Curve)> =
            running.map(|(key, running)| (*key, &running.curve)).collect();
        let curves: Vec<&Curve> = running.iter().map(|(_, curve)| *curve).collect();
        let measure = rule.measure(&curves, interval);
        let is_looked_at = |key: TrialKey| key == trial || rule.looks_back();
        let judged = running.into_iter().filter(|(key, _)| is_looked_at(*key));
        let judged = judged.filter_map(|(key, curve)| {
            let reason = rule.judge(rule.stands(curve, interval)?, &measure, interval)?;
            if curve.len() > interval {
                rule.judge(curve.lowest_at(curve.len())?, &measure, interval)?;
            }
            Some((key, reason))
        });
        judged.collect()
    }

    /// The same of a program: one that is told to end has ended there. What it reports until it hears
    /// of it counts for nothing.
    pub fn report_of_program(
        &mut self,
        trial: TrialKey,
        report: Report,
    ) -> Vec<(TrialKey, String)> {
        if self.stopped.contains_key(&trial) {
            return Vec::new();
        }
        let mut judged = self.report(trial, report);
        judged.retain(|(key, _)| !self.stopped.contains_key(key));
        for (key, reason) in &judged {
            let n_heard = self.running.get(key).map_or(0, |running| running.curve.len());
            self.stopped.insert(*key, (n_heard, reason.clone()));
        }
        judged
    }

    /// Makes the end of a program what it would have been at the report after which it was told to
    /// end. What it did until the word came is chance: whoever runs the same study again, one trial
    /// at a time, would learn something else of it. Reports that are still on their way are heard
    /// before; those of a trial that was not heard as it ran come too late to judge it by: others
    /// have been at its intervals since. Returns who else should end, and why.
    pub fn cut(&mut self, outcome: &mut Outcome, rule: ValueRule) -> Vec<(TrialKey, String)> {
        let trial = TrialKey { configuration: outcome.configuration, entity: outcome.entity };
        let own = self.running.get(&trial);
        let n_heard = own.map_or(0, |own| own.curve.len());
        let is_unheard = own.is_some_and(|own| own.is_torn || own.is_adopted && n_heard == 0);
        let places = counted(&outcome.reports);
        let coming = if is_unheard { &[] } else { places.get(n_heard..).unwrap_or_default() };
        let coming = coming.iter().filter_map(|place| outcome.reports.get(*place));
        let mut others: Vec<(TrialKey, String)> =
            coming.flat_map(|report| self.report_of_program(trial, *report)).collect();
        others.retain(|(other, _)| *other != trial);
        let Some((interval, reason)) = self.stopped.get(&trial) else { return others };
        if let Some(last) = interval.checked_sub(1).and_then(|last| places.get(last)) {
            outcome.reports.truncate(last + 1);
        }
        let mut values = outcome.reports.iter().map(|report| report.value);
        let loss = |value: &f64| self.goal.loss(*value);
        let value = match rule {
            ValueRule::Last => values.next_back(),
            ValueRule::Best => values.min_by(|one, other| loss(one).total_cmp(&loss(other))),
        };
        outcome.end = End::Stopped { value, reason: reason.clone() };
        outcome.further.clear();
        others
    }

    /// The reports of an ended trial that count.
    fn losses(&self, outcome: &Outcome) -> impl Iterator<Item = f64> {
        let places = counted(&outcome.reports).into_iter();
        places.filter_map(|place| Some(self.goal.loss(outcome.reports.get(place)?.value)))
    }

    /// A trial ended: what its outcome says it reported takes the place of what was heard of it, so
    /// that a replay learns the same.
    pub fn ended(&mut self, outcome: &Outcome) {
        self.restarted(TrialKey { configuration: outcome.configuration, entity: outcome.entity });
        if matches!(outcome.end, End::Failed { .. }) {
            return;
        }
        let curve: Curve = self.losses(outcome).collect();
        let bracket = self.brackets.of(outcome.configuration);
        if let Some(rule) = self.rules.get_mut(bracket).filter(|_| !curve.is_empty()) {
            rule.learn(&curve);
        }
    }

    /// A trial begins anew, or is nothing that others are measured by: what was heard of it is
    /// forgotten.
    pub fn restarted(&mut self, trial: TrialKey) {
        self.running.remove(&trial);
        self.stopped.remove(&trial);
    }

    /// Every running trial begins anew.
    pub fn restart_all(&mut self) {
        self.running.clear();
        self.stopped.clear();
    }
}

/// Where, among a trial's reports, those are that count.
fn counted(reports: &[Report]) -> Vec<usize> {
    let mut last_step = None;
    let finite = reports.iter().enumerate().filter(|(_, report)| report.value.is_finite());
    let counted = finite.filter_map(|(place, report)| {
        let is_next = last_step.is_none_or(|last| report.step > last);
        last_step = if is_next { Some(report.step) } else { last_step };
        is_next.then_some(place)
    });
    counted.take(MAX_REPORTS).collect()
}

/// So many reports, in words.
fn reports(n: usize) -> String {
    if n == 1 { "1 report".to_owned() } else { format!("{n} reports") }
}

/// A number as it stands in a reason.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e6).contains(&magnitude) {
        let text = format!("{value:.4}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return text.to_owned();
    }
    format!("{value:.3e}")
}

/// Whether a trial with this curve ends where it stands, beside others that run.
#[cfg(test)]
fn judged(rule: &dyn Stopper, curve: &[f64], others: &[&[f64]]) -> Option<String> {
    let curve: Curve = curve.iter().copied().collect();
    let others: Vec<Curve> = others.iter().map(|other| other.iter().copied().collect()).collect();
    let running: Vec<&Curve> = others.iter().chain([&curve]).collect();
    let measure = rule.measure(&running, curve.len());
    rule.judge(rule.stands(&curve, curve.len())?, &measure, curve.len())
}

/// A trial ended after these losses.
#[cfg(test)]
fn learn(rule: &mut dyn Stopper, losses: &[f64]) {
    rule.learn(&losses.iter().copied().collect());
}
