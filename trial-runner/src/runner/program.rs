//! An assignment of command trials: one program after the other, with reports on the way.

use std::time::Duration;

use fleetfit_search_spaces::{Assignment, AssignmentTask, CommandTrial, FromRunner, Outcome};

use crate::command::{self, CommandJob, Halt};

use super::{Flight, Running, Tell, lock, now_ms};

/// Runs every trial of the assignment.
pub(super) fn run(
    running: &Running,
    flight: &Flight,
    trial: &CommandTrial,
    assignment: &Assignment,
    tell: &Tell,
) {
    // A command leaves no model behind, so there is never anything to refit.
    let AssignmentTask::Try(blocks) = &assignment.task else {
        return;
    };
    let work = &running.work;
    for block in blocks {
        for entity in block.entities.iter().cloned().flatten() {
            let number = block.tried.number;
            let halt = Halt::default();
            lock(&flight.halts).insert((number, entity), halt.clone());
            // Asked after the halt can be found: whoever ends the study from here on finds it.
            if let Some(reason) = flight.over.get() {
                halt.ask(reason);
            }
            let trial_dir = work.dir.join("trials").join(number.to_string());
            let job = CommandJob {
                trial,
                base_dir: &work.base_dir,
                code: work.code.as_ref().map(|code| code.folder.as_path()),
                trial_dir: &trial_dir,
                study: &work.study.name,
                number,
                configuration: &block.tried.configuration,
                objective: &work.study.objective,
                timeout: work.study.limits.trial_timeout_s.map(Duration::from_secs_f64),
                supervisors: &running.supervisors,
            };
            let started_ms = now_ms();
            let ended = match halt.reason() {
                // Never started: it stays open rather than count as a trial.
                Some(_) => None,
                None => Some(command::run(&job, &halt, &mut |report| {
                    let of = assignment.key;
                    tell(FromRunner::Report { of, configuration: number, entity, report });
                })),
            };
            lock(&flight.halts).remove(&(number, entity));
            let ended = match ended {
                None => continue,
                Some(Ok(ended)) => ended,
                Some(Err(error)) => return tell(FromRunner::Unable { reason: error.to_string() }),
            };
            tell(FromRunner::Outcomes {
                of: assignment.key,
                outcomes: vec![Outcome {
                    configuration: number,
                    entity,
                    end: ended.end,
                    fits: 0,
                    started_ms,
                    ended_ms: now_ms(),
                    reports: ended.reports,
                }],
            });
        }
    }
}
