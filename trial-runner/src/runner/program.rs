//! An assignment of command trials: one program after the other, with reports on the way.
//!
//! The first program is made ready before there is a slot for it, so that nothing but the program
//! takes a slot's time.

use std::time::Duration;

use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::{
    Assignment, AssignmentKey, AssignmentTask, CommandTrial, End, FromRunner, Outcome,
};

use crate::command::{self, CommandJob, Halt, Unstartable};

use super::flight::{Flight, HANDED_BACK, Landing};
use super::{Desk, Keeping, Left, Running, now_ms};
use crate::slots::Slot;

/// Runs every trial of the assignment.
pub(super) fn run(
    desk: &Desk,
    running: &Running,
    flight: &Flight,
    trial: &CommandTrial,
    assignment: &Assignment,
) -> Landing {
    // A command leaves no model behind, so there is never anything to refit.
    let AssignmentTask::Try(blocks) = &assignment.task else {
        return Landing::Done;
    };
    let trials = blocks.iter().flat_map(|block| {
        block.entities.iter().cloned().flatten().map(|entity| (&block.tried, entity))
    });
    let mut trials = trials.peekable();
    let mut slot = None;
    while let Some((tried, entity)) = trials.next() {
        let halt = flight.enter(tried.number, entity);
        let one = One { desk, running, trial, of: assignment.key, tried, entity };
        let is_last = trials.peek().is_none();
        let outcome = one.run(&halt, &mut slot, is_last);
        flight.leave(tried.number, entity);
        match outcome {
            Ok(Some(outcome)) => {
                let outcomes = vec![outcome];
                (desk.tell)(FromRunner::Outcomes { of: assignment.key, outcomes, launched: false });
            }
            // Whether this one or all that are left, they stay open.
            Ok(None) if flight.is_handed_back() || halt.reason().is_none() => {
                return Landing::HandedBack;
            }
            Ok(None) => {}
            Err(error) => return Landing::Unable(error.to_string()),
        }
    }
    Landing::Done
}

/// One trial.
struct One<'a> {
    desk: &'a Desk,
    running: &'a Running,
    trial: &'a CommandTrial,
    of: AssignmentKey,
    tried: &'a Numbered,
    entity: u32,
}

impl One<'_> {
    /// How it ended; none where it never began, or was cut short by the end of the runner. The last
    /// one gives its slot to others as soon as its program has ended.
    fn run(
        &self,
        halt: &Halt,
        slot: &mut Option<Slot>,
        is_last: bool,
    ) -> Result<Option<Outcome>, Unstartable> {
        if halt.reason().is_some() {
            return Ok(None);
        }
        let Self { desk, of, entity, .. } = *self;
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
            further: self.running.aims.metrics.get(1..).unwrap_or_default(),
            timeout: work.study.limits.trial_timeout_s.map(Duration::from_secs_f64),
            supervisors: &self.running.supervisors,
        };
        let prepared = command::prepare(&job)?;
        if slot.is_none() {
            *slot = desk.slots.take(|| halt.reason().is_none() && !desk.is_leaving());
        }
        if slot.is_none() {
            drop(prepared);
            // Nothing of it has run, so there is nothing in it.
            let _ = std::fs::remove_dir_all(&trial_dir);
            return Ok(None);
        }
        let started_ms = now_ms();
        let mut nth = 0;
        let ended = prepared.run(halt, &mut |report| {
            nth += 1;
            (desk.tell)(FromRunner::Report { of, configuration: number, entity, report, nth });
        });
        if is_last {
            *slot = None;
        }
        let (ended, ended_ms) = (ended?, now_ms());
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
            further: ended.further,
        }))
    }
}
