use fleetfit_scheduler::stopper::{TrialKey, Watch};
use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{EarlyTermination, End, Goal, Outcome, Report, ValueRule};

const ALL: [Policy; 4] = [
    Policy::BanditFactor(0.2),
    Policy::BanditAmount(0.2),
    Policy::MedianStopping,
    Policy::TruncationSelection { percentage: 30 },
];

/// Those that look at rungs only.
const HALVING: [Policy; 3] = [
    Policy::Asha { min_resource: 1, reduction_factor: 2 },
    Policy::Asha { min_resource: 2, reduction_factor: 4 },
    Policy::Hyperband { min_resource: 1, reduction_factor: 3, max_resource: 20 },
];

fn watch(policy: &Policy, goal: Goal, evaluation_interval: u32, delay_evaluation: u32) -> Watch {
    let (policy, ladder) = (policy.clone(), None);
    let policy = EarlyTermination { policy, evaluation_interval, delay_evaluation, ladder };
    Watch::new(&policy, goal)
}

fn trial(configuration: u32) -> TrialKey {
    TrialKey { configuration, entity: 0 }
}

fn outcome(configuration: u32, end: End, values: &[f64]) -> Outcome {
    let reports = (1..).zip(values);
    Outcome {
        configuration,
        entity: 0,
        end,
        fits: 1,
        started_ms: 0,
        ended_ms: 0,
        reports: reports.map(|(step, &value)| Report { step, value }).collect(),
        further: Vec::new(),
    }
}

/// Ten trials that ended with their values at 1 to 10 all the way.
fn learned(mut watch: Watch) -> Watch {
    for value in 1..=10 {
        let end = End::Completed { value: 1.0 };
        watch.ended(&outcome(value, end, &[f64::from(value); 20]));
    }
    watch
}

/// The intervals at which a trial that reports this value 20 times should end.
fn stopped_at(mut watch: Watch, value: f64) -> Vec<u64> {
    let intervals = 1..=20;
    intervals.filter(|&step| !watch.report(trial(99), Report { step, value }).is_empty()).collect()
}

#[test]
fn every_policy_stops_the_hopeless_and_spares_the_best() {
    for policy in &ALL {
        for (goal, hopeless, best) in [(Goal::Minimize, 50.0, 0.5), (Goal::Maximize, 0.5, 50.0)] {
            let every = |value| stopped_at(learned(watch(policy, goal, 1, 0)), value);
            assert_eq!(every(hopeless).len(), 20, "{policy:?} {goal:?}");
            assert_eq!(every(best), [0u64; 0], "{policy:?} {goal:?}");
        }
    }
}

#[test]
fn every_policy_looks_when_it_is_told_to() {
    for policy in &ALL {
        let at = |interval, delay| {
            stopped_at(learned(watch(policy, Goal::Minimize, interval, delay)), 50.0)
        };
        assert_eq!(at(4, 0), [4, 8, 12, 16, 20], "{policy:?}");
        assert_eq!(at(5, 7), [10, 15, 20], "{policy:?}");
        assert_eq!(at(1, 19), [19, 20], "{policy:?}");
        assert_eq!(at(0, 19), [19, 20], "{policy:?}");
        assert_eq!(at(1, 30), [0u64; 0], "{policy:?}");
    }
}

#[test]
fn rungs_are_looked_at_and_nothing_else() {
    let stopped =
        |policy: &Policy, value| stopped_at(learned(watch(policy, Goal::Minimize, 1, 0)), value);
    assert_eq!(stopped(&HALVING[0], 50.0), [1, 2, 4, 8, 16]);
    assert_eq!(stopped(&HALVING[1], 50.0), [2, 8]);
    assert!(HALVING.iter().all(|policy| stopped(policy, 0.5).is_empty()));
    // Number 99 is dealt to the bracket that begins at 1, with six of the ten.
    assert_eq!(stopped(&HALVING[2], 50.0), [1, 3, 9]);
}

#[test]
fn halving_judges_a_trial_once_at_a_rung() {
    let policy = Policy::Asha { min_resource: 1, reduction_factor: 2 };
    let mut watch = watch(&policy, Goal::Minimize, 1, 0);
    let mut report = |number, step, value| {
        let stopped = watch.report(trial(number), Report { step, value });
        stopped.into_iter().map(|(key, _)| key.configuration).collect::<Vec<_>>()
    };
    assert_eq!(report(1, 1, 5.0), [0; 0]);
    assert_eq!(report(2, 1, 4.0), [0; 0], "the better one goes on, and the other one has passed");
    assert_eq!(report(3, 1, 4.5), [3], "of three trials one goes on");
    assert_eq!(report(2, 2, 3.0), [0; 0]);
    assert_eq!(report(1, 2, 3.5), [1]);
}

#[test]
fn every_policy_judges_the_same_after_a_replay() {
    for policy in ALL.iter().chain(&HALVING) {
        let fresh = || watch(policy, Goal::Minimize, 1, 0);
        let mut live = fresh();
        let mut replayed = fresh();
        for number in 0..200u32 {
            let values: Vec<f64> =
                (0..10).map(|step| f64::from((number * 37 + step * 11) % 101)).collect();
            for (step, &value) in (1..).zip(&values) {
                live.report(trial(number), Report { step, value });
            }
            let end = match number % 3 {
                0 => End::Completed { value: 1.0 },
                1 => End::Stopped { value: None, reason: String::new() },
                _ => End::Failed { reason: String::new() },
            };
            let outcome = outcome(number, end, &values);
            live.ended(&outcome);
            replayed.ended(&outcome);
        }
        for value in 0..101 {
            let report = |step| Report { step, value: f64::from(value) };
            for step in 1..=5 {
                let number = trial(1_000 + value);
                assert_eq!(
                    live.report(number, report(step)),
                    replayed.report(number, report(step))
                );
            }
            live.restart_all();
            replayed.restart_all();
        }
    }
}

#[test]
fn failed_trials_teach_nothing() {
    for policy in ALL.iter().chain(&HALVING) {
        let mut watch = watch(policy, Goal::Minimize, 1, 0);
        for number in 0..20 {
            let reason = String::new();
            watch.ended(&outcome(number, End::Failed { reason }, &[0.1; 20]));
        }
        assert_eq!(stopped_at(watch, 50.0), [0u64; 0], "{policy:?}");
    }
}

#[test]
fn repeats_late_reports_and_numbers_that_are_none_count_for_nothing() {
    for policy in &ALL {
        // It looks at the third report only.
        let mut watch = learned(watch(policy, Goal::Minimize, 3, 3));
        let mut said = Vec::new();
        for (step, value) in [(1, 50.0), (1, 50.0), (2, f64::NAN), (5, 50.0), (4, 0.1), (6, 50.0)] {
            said.push(!watch.report(trial(99), Report { step, value }).is_empty());
        }
        assert_eq!(said, [false, false, false, false, false, true], "{policy:?}");
    }
}

#[test]
fn a_restarted_trial_begins_anew() {
    for policy in &ALL {
        let mut watch = learned(watch(policy, Goal::Minimize, 2, 2));
        let report = |step| Report { step, value: 50.0 };
        assert_eq!(watch.report(trial(99), report(1)), []);
        watch.restarted(trial(99));
        assert_eq!(watch.report(trial(99), report(1)), []);
        assert!(!watch.report(trial(99), report(2)).is_empty());
    }
}

#[test]
fn running_trials_are_compared_with_each_other() {
    for policy in &ALL {
        let mut watch = watch(policy, Goal::Maximize, 1, 0);
        for number in 0..9 {
            watch.report(trial(number), Report { step: 1, value: 9.0 });
        }
        let value = 1.0;
        let stopped = watch.report(trial(9), Report { step: 1, value });
        assert_eq!(stopped.len(), 1, "{policy:?}");
        assert_eq!(stopped[0].0, trial(9), "{policy:?}");
    }
}

#[test]
fn azures_bandit_example() {
    // "The best metric at interval 10 is 0.8, to be maximised, slack_factor 0.2: any trial whose
    // best metric at interval 10 is less than 0.66 is ended."
    let mut watch = watch(&Policy::BanditFactor(0.2), Goal::Maximize, 10, 0);
    let end = End::Completed { value: 0.8 };
    watch.ended(&outcome(0, end, &[0.8; 10]));
    let mut last = |number, value| {
        let reports = (1..=10).map(|step| watch.report(trial(number), Report { step, value }));
        reports.last().unwrap().into_iter().find(|(key, _)| *key == trial(number))
    };
    assert_eq!(last(1, 0.67), None);
    assert_eq!(
        last(2, 0.65).unwrap().1,
        "bandit: 0.65 after 10 reports is beyond 0.6667, the slack around the best, 0.8"
    );
}

#[test]
fn it_does_not_matter_who_reports_first() {
    for policy in &ALL {
        for order in [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] {
            let mut watch = watch(policy, Goal::Minimize, 1, 0);
            let mut stopped = std::collections::BTreeSet::new();
            for step in 1..=3 {
                for number in order {
                    // Number 5 is ten times as bad as the others, which are equally good.
                    let value = if number == 5 { 10.0 } else { 1.0 };
                    for (key, _) in watch.report(trial(number), Report { step, value }) {
                        stopped.insert(key.configuration);
                    }
                }
            }
            assert_eq!(stopped.into_iter().collect::<Vec<_>>(), [5], "{policy:?} {order:?}");
        }
    }
}

#[test]
fn who_has_come_ahead_is_not_stopped_for_how_it_began() {
    for policy in &ALL {
        let mut watch = watch(policy, Goal::Maximize, 1, 0);
        let mut report = |number, step, value| {
            let stopped = watch.report_of_program(trial(number), Report { step, value });
            stopped.into_iter().map(|(key, _)| key.configuration).collect::<Vec<_>>()
        };
        for (step, tenths) in (1..).zip(5..=9) {
            assert_eq!(report(1, step, f64::from(tenths) / 10.0), [0; 0], "{policy:?}");
        }
        // These are better than the first one was, and worse than it is.
        for number in 2..12 {
            let stopped = report(number, 1, 0.7);
            assert!(!stopped.contains(&1), "{policy:?} {number}");
        }
    }
}

#[test]
fn who_is_ahead_in_time_alone_is_stopped_as_far_as_it_came() {
    let mut watch = watch(&Policy::BanditFactor(0.2), Goal::Maximize, 1, 0);
    for (step, value) in [(1, 0.1), (2, 0.2), (3, 0.3)] {
        assert_eq!(watch.report_of_program(trial(1), Report { step, value }), []);
    }
    let stopped = watch.report_of_program(trial(2), Report { step: 1, value: 0.7 });
    assert_eq!(stopped[0].0, trial(1));
    let end = End::Completed { value: 0.4 };
    let mut ended = outcome(1, end, &[0.1, 0.2, 0.3, 0.4]);
    assert!(watch.cut(&mut ended, ValueRule::Last).is_empty());
    assert_eq!(ended.reports.len(), 3);
    assert!(matches!(ended.end, End::Stopped { value: Some(0.3), .. }), "{ended:?}");
}

#[test]
fn what_a_program_reports_after_the_word_counts_for_nothing() {
    let report = |step, value| Report { step, value };
    for policy in ALL.iter().chain(&HALVING) {
        // However many reports came before it was heard, and whether it ended by itself.
        let result = |n_late: usize, end: End| {
            let mut watch = learned(watch(policy, Goal::Minimize, 1, 0));
            let values: Vec<f64> = (0..20).map(|step| 50.0 - f64::from(step)).collect();
            let stops: Vec<usize> = (0..20)
                .filter(|&place| {
                    let told = report(place as u64 + 1, values[place]);
                    !watch.report_of_program(trial(99), told).is_empty()
                })
                .collect();
            let [at] = stops[..] else { panic!("{policy:?}: {stops:?}") };
            let mut outcome = outcome(99, end, &values[..(at + 1 + n_late).min(20)]);
            assert!(watch.cut(&mut outcome, ValueRule::Best).is_empty());
            assert_eq!(outcome.reports.len(), at + 1);
            let End::Stopped { value, .. } = &outcome.end else { panic!("{outcome:?}") };
            assert_eq!(*value, Some(values[at]));
            watch.ended(&outcome);
            let later = stopped_at(watch, 5.5);
            (outcome, later)
        };
        let stopped = || End::Stopped { value: Some(1.0), reason: "it was told to".into() };
        let first = result(0, stopped());
        assert_eq!(result(3, stopped()), first);
        assert_eq!(result(9, End::Completed { value: 31.0 }), first);
    }
    // Where the end comes before the reports, they are judged all the same.
    let mut watch = learned(watch(&Policy::MedianStopping, Goal::Minimize, 1, 0));
    let mut unheard = outcome(99, End::Completed { value: 60.0 }, &[60.0; 3]);
    watch.cut(&mut unheard, ValueRule::Last);
    assert!(matches!(unheard.end, End::Stopped { value: Some(60.0), .. }), "{unheard:?}");
    assert_eq!(unheard.reports.len(), 1);
    let mut good = outcome(98, End::Completed { value: 0.5 }, &[0.5; 3]);
    let before = good.clone();
    watch.cut(&mut good, ValueRule::Last);
    assert_eq!(good, before);
}

#[test]
fn whose_reports_were_lost_is_not_judged_by_what_is_left_of_them() {
    for policy in ALL.iter().chain(&HALVING) {
        let mut watch = learned(watch(policy, Goal::Minimize, 1, 0));
        let (bad, good) = (trial(99), trial(98));
        assert!(watch.follows(bad, 1));
        // The second one never came. The fourth is not judged as if it were the second.
        assert!(!watch.follows(bad, 3) && !watch.follows(bad, 4), "{policy:?}");
        let mut unheard = outcome(99, End::Completed { value: 50.0 }, &[50.0; 20]);
        let before = unheard.clone();
        assert!(watch.cut(&mut unheard, ValueRule::Last).is_empty());
        assert_eq!(unheard, before, "{policy:?}");
        // One that was out before this life may have passed where others are by now.
        watch.adopted(good);
        let mut unheard = outcome(98, End::Completed { value: 50.0 }, &[50.0; 20]);
        assert!(watch.cut(&mut unheard, ValueRule::Last).is_empty());
        assert!(matches!(unheard.end, End::Completed { .. }), "{policy:?}");
        // A runner that does not say which report it is, is taken at its word, but for that.
        watch.adopted(good);
        assert!(!watch.follows(good, 0) && watch.follows(trial(97), 0), "{policy:?}");
        watch.restarted(trial(97));
        // What had not begun yet is heard from its first report on, and stopped as any other.
        watch.adopted(good);
        let told = |step| {
            let is_next = watch.follows(good, step as u32);
            assert!(is_next, "{policy:?}");
            !watch.report_of_program(good, Report { step, value: 50.0 }).is_empty()
        };
        let stops: Vec<bool> = (1..=20).map(told).collect();
        assert_eq!(stops.iter().filter(|stop| **stop).count(), 1, "{policy:?}");
        let mut heard = outcome(98, End::Completed { value: 50.0 }, &[50.0; 20]);
        watch.cut(&mut heard, ValueRule::Last);
        assert!(matches!(heard.end, End::Stopped { .. }), "{policy:?}");
    }
}
