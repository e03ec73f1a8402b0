//! An assignment of command trials: one program after the other, with reports on the way.

use std::time::Duration;

use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::{
    Assignment, AssignmentKey, AssignmentTask, CommandTrial, End, FromRunner, Outcome,
};

use crate::command::{self, CommandJob, Halt, Unstartable};

use super::flight::{Flight, HANDED_BACK, Landing};
use super::{Keeping, Left, Running, Tell, now_ms};

/// Runs every trial of the assignment.
pub(super) fn run(
    running: &Running,
    flight: &Flight,
    trial: &CommandTrial,
    assignment: &Assignment,
    tell: &Tell,
) -> Landing {
    // A command leaves no model behind, so there is never anything to refit.
    let AssignmentTask::Try(blocks) = &assignment.task else {
        return Landing::Done;
    };
    for block in blocks {
        for entity in block.entities.iter().cloned().flatten() {
            let halt = flight.enter(block.tried.number, entity);
            let one = One { running, trial, of: assignment.key, tried: &block.tried, entity };
            let outcome = one.run(&halt, tell);
            flight.leave(block.tried.number, entity);
            match outcome {
                Ok(Some(outcome)) => {
                    tell(FromRunner::Outcomes { of: assignment.key, outcomes: vec![outcome] });
                }
                // Whether this one or all that are left, they stay open.
                Ok(None) if flight.is_handed_back() => return Landing::HandedBack,
                Ok(None) => {}
                Err(error) => return Landing::Unable(error.to_string()),
            }
        }
    }
    Landing::Done
}

/// One trial.
struct One<'a> {
    running: &'a Running,
    trial: &'a CommandTrial,
    of: AssignmentKey,
    tried: &'a Numbered,
    entity: u32,
}

impl One<'_> {
    /// How it ended; none where it never began, or was cut short by the end of the runner.
    fn run(&self, halt: &Halt, tell: &Tell) -> Result<Option<Outcome>, Unstartable> {
        if halt.reason().is_some() {
            return Ok(None);
        }
        let Self { of, entity, .. } = *self;
        let work = &self.running.work;
        let number = self.tried.number;
        let trial_dir = work.dir.join("trials").join(match work.keeping {
            Keeping::Here => number.to_string(),
            // An earlier attempt may still be at it here.
            Keeping::Carried(_) => format!("{number}-{}-{}", of.number, of.attempt),
        });
        let job = CommandJob {
            trial: self.trial,
            base_dir: &work.base_dir,
            code: work.code.as_ref().map(|code| code.folder.as_path()),
            trial_dir: &trial_dir,
            study: &work.study.name,
            number,
            configuration: &self.tried.configuration,
            objective: &work.study.objective,
            timeout: work.study.limits.trial_timeout_s.map(Duration::from_secs_f64),
            supervisors: &self.running.supervisors,
        };
        let started_ms = now_ms();
        let ended = command::run(&job, halt, &mut |report| {
            tell(FromRunner::Report { of, configuration: number, entity, report });
        })?;
        let ended_ms = now_ms();
        if matches!(&ended.end, End::Stopped { reason, .. } if reason == HANDED_BACK) {
            return Ok(None);
        }
        if let Keeping::Carried(carrier) = &work.keeping {
            let folder = trial_dir.as_path();
            (carrier.files)(&Left { of, configuration: number, entity, folder });
        }
        Ok(Some(Outcome {
            configuration: number,
            entity,
            end: ended.end,
            fits: 0,
            started_ms,
            ended_ms,
            reports: ended.reports,
        }))
    }
}
