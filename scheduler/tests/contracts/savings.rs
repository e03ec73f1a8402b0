//! What stopping early saves, and what it costs: learning curves in the manner of LCDB, the floor of a
//! power law and some noise, nine at a time.

use fleetfit_scheduler::stopper::{TrialKey, Watch};
use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{EarlyTermination, End, Goal, Outcome, Report};

const N_TRIALS: u32 = 270;
const N_STEPS: u64 = 81;
const N_AT_ONCE: usize = 9;

/// Between 0 and 1, from the study, the trial and what it is for.
fn draw(study: u64, trial: u32, what: u64) -> f64 {
    (mix(&[study, u64::from(trial), what]) >> 11) as f64 / (1u64 << 53) as f64
}

/// The error after so many steps: most of what a trial reaches shows early, but not all.
fn error(study: u64, trial: u32, step: u64) -> f64 {
    let floor = 0.05 + 0.45 * draw(study, trial, 0);
    let above = 0.2 + 0.4 * draw(study, trial, 1);
    let speed = 0.4 + 0.8 * draw(study, trial, 2);
    let noise = 0.02 * (draw(study, trial, 2 + step) - 0.5);
    floor + above * (step as f64).powf(-speed) + noise
}

/// The steps that were run, and the floor of the trial that looks best.
fn run(study: u64, policy: Option<&Policy>) -> (u64, f64) {
    let policy = policy.map(|policy| EarlyTermination {
        policy: policy.clone(),
        evaluation_interval: 1,
        delay_evaluation: 0,
        ladder: None,
    });
    let mut watch = policy.map(|policy| Watch::new(&policy, Goal::Minimize));
    let mut waiting = 0..N_TRIALS;
    let mut running: Vec<(u32, Vec<Report>)> = Vec::new();
    let (mut n_steps, mut best, mut best_floor) = (0, f64::INFINITY, f64::INFINITY);
    loop {
        running.extend(waiting.by_ref().take(N_AT_ONCE - running.len()).map(|n| (n, Vec::new())));
        if running.is_empty() {
            return (n_steps, best_floor);
        }
        let mut stopped = Vec::new();
        for (number, reports) in &mut running {
            let step = reports.len() as u64 + 1;
            let report = Report { step, value: error(study, *number, step) };
            reports.push(report);
            n_steps += 1;
            if report.value < best {
                best = report.value;
                best_floor = error(study, *number, N_STEPS);
            }
            let trial = TrialKey { configuration: *number, entity: 0 };
            let said = watch.as_mut().map_or_else(Vec::new, |watch| watch.report(trial, report));
            stopped.extend(said.into_iter().map(|(key, _)| key.configuration));
        }
        running.retain(|(number, reports)| {
            let goes_on = !stopped.contains(number) && (reports.len() as u64) < N_STEPS;
            if let Some(watch) = watch.as_mut().filter(|_| !goes_on) {
                watch.ended(&outcome(*number, reports));
            }
            goes_on
        });
    }
}

fn outcome(configuration: u32, reports: &[Report]) -> Outcome {
    let values = reports.iter().map(|report| report.value);
    let value = values.fold(f64::INFINITY, f64::min);
    let reports = reports.to_vec();
    let end = End::Completed { value };
    Outcome {
        configuration,
        entity: 0,
        end,
        fits: 1,
        started_ms: 0,
        ended_ms: 0,
        reports,
        further: Vec::new(),
    }
}

/// The share of the steps that a policy takes, and how much worse what it finds is, over 20 studies.
fn measured(policy: &Policy) -> (f64, f64) {
    let (mut steps, mut all_steps, mut worse) = (0, 0, 0.0);
    for study in 0..20 {
        let (n_all, all) = run(study, None);
        let (n, found) = run(study, Some(policy));
        steps += n;
        all_steps += n_all;
        worse += (found - all) / 20.0;
    }
    (steps as f64 / all_steps as f64, worse)
}

#[test]
fn halving_finds_the_same_with_a_third_of_the_steps() {
    let asha = Policy::Asha { min_resource: 1, reduction_factor: 4 };
    let (share, worse) = measured(&asha);
    assert!(share < 0.15 && worse < 0.01, "asha: {share:.3} of the steps, {worse:.4} worse");
    let later = Policy::Asha { min_resource: 9, reduction_factor: 3 };
    let (share, worse) = measured(&later);
    assert!(share < 1.0 / 3.0 && worse < 0.002, "from 9: {share:.3} of them, {worse:.4} worse");
    let hyperband =
        Policy::Hyperband { min_resource: 1, reduction_factor: 3, max_resource: N_STEPS as u32 };
    let (share, worse) = measured(&hyperband);
    assert!(share < 1.0 / 3.0 && worse < 0.005, "hyperband: {share:.3}, {worse:.4} worse");
}

#[test]
fn narrowing_finds_the_same_with_less_than_half_of_the_steps() {
    let narrowing = Policy::Narrowing { min_resource: 1, max_resource: N_STEPS as u32 };
    let (share, worse) = measured(&narrowing);
    assert!(share < 0.45 && worse < 0.001, "{share:.3} of the steps, {worse:.4} worse");
}
