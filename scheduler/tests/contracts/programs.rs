//! Programs that report: who is stopped, and what becomes of those that run through a restart.

use fleetfit_scheduler::state::{Phase, StudyState};
use fleetfit_scheduler::{Command, Event};
use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{EarlyTermination, End, Goal, Outcome, Report};

use super::states::{learner, outcome, replayed, started, tell, trials, wanted};
use super::studies::command;

#[test]
fn a_command_is_one_trial_an_assignment_and_is_stopped_early() {
    let mut study = learner(4);
    study.work = command();
    study.objective.goal = Goal::Maximize;
    study.early_termination = Some(EarlyTermination {
        policy: Policy::BanditFactor(0.2),
        evaluation_interval: 1,
        delay_evaluation: 2,
        ladder: None,
    });
    let mut state = started(&study, 1);
    let (running, _) = wanted(&mut state, 4);
    assert!(running.iter().all(|assignment| trials(assignment).len() == 1));
    let mut report = |configuration, step, value| {
        let report = Report { step, value };
        let key = running.get(configuration as usize).map(|out| (out.key.number, out.key.attempt));
        let (assignment, attempt) = key.unwrap_or_default();
        let nth = step as u32;
        let entity = 0;
        let event = Event::Reported { assignment, attempt, nth, configuration, entity, report };
        state.handle(event).commands
    };
    assert_eq!(report(0, 1, 0.8), []);
    assert_eq!(report(0, 2, 0.7), []);
    assert_eq!(report(1, 1, 0.1), [], "too early to look");
    assert_eq!(report(2, 1, 0.7), []);
    assert_eq!(report(2, 2, 0.1), [], "its best is good enough");
    assert_eq!(report(9, 1, 0.1), [], "a stranger");
    let stop = Command::StopTrial {
        configuration: 1,
        entity: 0,
        reason: "bandit: 0.65 after 2 reports is beyond 0.6667, the slack around the best, 0.8"
            .into(),
    };
    assert_eq!(report(1, 2, 0.65), [stop]);
    for assignment in &running {
        tell(&mut state, assignment);
    }
    assert_eq!(state.phase(), Phase::Closed, "commands are not refitted");
}

#[test]
fn a_program_that_ran_through_a_restart_is_not_judged_a_second_time() {
    let mut study = learner(5);
    study.work = command();
    study.early_termination = Some(EarlyTermination {
        policy: Policy::Asha { min_resource: 4, reduction_factor: 2 },
        evaluation_interval: 1,
        delay_evaluation: 0,
        ladder: None,
    });
    let ends = |number: u32, values: &[f64]| {
        let reports = (1..).zip(values).map(|(step, &value)| Report { step, value });
        let value = values.iter().copied().fold(f64::INFINITY, f64::min);
        let end = End::Completed { value };
        Outcome { reports: reports.collect(), ..outcome((number, 0), end) }
    };
    let mut state = started(&study, 1);
    let (running, mut facts) = wanted(&mut state, 5);
    let tell = |state: &mut StudyState, number: usize, values: &[f64]| {
        let outcomes = vec![ends(number as u32, values)];
        let assignment = running[number].key.number;
        state.handle(Event::Ended { assignment, outcomes, launched: false }).facts
    };
    // Trial 0 came to the first rung before all others, and went on.
    for (number, value) in [(1, 0.3), (2, 0.2), (3, 0.1)] {
        facts.extend(tell(&mut state, number, &[value; 4]));
    }
    let mut again = replayed(&study, 1, &facts);
    again.number_assignments_from(1 << 20);
    again.handle(Event::Started);
    again.handle(Event::Adopted { assignment: running[0].clone() });
    let mut far = vec![0.5; 40];
    far[7] = 0.01;
    tell(&mut again, 0, &far);
    assert_eq!(again.shared_best().map(|best| best.value), Some(0.01));
    // Of another one an earlier hand-out reports on.
    let report = |attempt, nth, value| Event::Reported {
        assignment: running[4].key.number,
        attempt,
        nth,
        configuration: 4,
        entity: 0,
        report: Report { step: u64::from(nth), value },
    };
    again.handle(Event::Adopted { assignment: running[4].clone() });
    let assignment = running[4].key.number;
    again.handle(Event::Released { assignment, attempt: 1, is_blamed: true });
    assert_eq!(wanted(&mut again, 1).0[0].key.attempt, 2);
    for nth in 1..=4 {
        assert_eq!(again.handle(report(1, nth, 9.0)).commands, []);
    }
    for nth in 1..=3 {
        assert_eq!(again.handle(report(2, nth, 9.0)).commands, []);
    }
    assert!(matches!(again.handle(report(2, 4, 9.0)).commands[..], [Command::StopTrial { .. }]));
}
