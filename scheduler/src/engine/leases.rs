//! Which trials somebody outside is at, kept beside the study: whoever asked for one still has it
//! after a restart, for as long again as he asked for it.
//!
//! Nothing hangs on them but double work, so those of the latest trials are kept and no more, and
//! what cannot be read counts as none. What was reported is not kept.

use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::{Assignment, AssignmentKey, Block, Numbered, Task};
use serde::{Deserialize, Serialize};

use super::live::Live;
use super::outside::Lent;
use crate::event::Event;
use crate::journal::{Journal, JournalError, StudyId};
use crate::state::Phase;

/// The kind of document that holds the leases of a study; its name is the study's number.
const KIND: &str = "leases";

/// How many are kept: each time that trials are asked for, all are written.
const MAX_KEPT: usize = 2_000;

/// The longest lease that is believed.
const MAX_LEASE_MS: u64 = 31 * 24 * 3_600_000;

/// The newest form of the document.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    leases: Vec<Lease>,
}

#[derive(Serialize, Deserialize)]
struct Lease {
    trial: u32,
    assignment: u64,
    attempt: u32,
    since_ms: u64,
    lease_ms: u64,
}

impl Live {
    /// Gives those their trials back who had them when the study was last open.
    pub(super) fn restore_leases(&mut self, journal: &Journal) -> Result<(), JournalError> {
        if !self.is_external() || self.state.phase() != Phase::Searching {
            return Ok(());
        }
        let found = journal.document(KIND, &self.id.0.to_string())?;
        let kept: Option<Kept> = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let leases = kept.filter(|kept| kept.version == VERSION).map(|kept| kept.leases);
        for lease in leases.unwrap_or_default() {
            let number = lease.trial;
            let Some(configuration) = journal.configuration(self.id, number)? else { continue };
            let key =
                AssignmentKey { study: self.id, number: lease.assignment, attempt: lease.attempt };
            let block =
                Block { tried: Numbered { number, configuration }, entities: vec![0..1; 1] };
            let assignment = Assignment { key, task: Task::Try(vec![block]) };
            self.handle(Event::Adopted { assignment });
            // One that has ended meanwhile is not out again.
            if self.state.is_out(lease.assignment) {
                let length = Duration::from_millis(lease.lease_ms.min(MAX_LEASE_MS));
                let until = Instant::now() + length;
                let lent = Lent::new(key, lease.since_ms, length, until).restored();
                self.outside.lend(number, lent);
            }
        }
        Ok(())
    }

    /// Writes down who is at which trial, where that has changed.
    pub(super) fn keep_leases(&mut self, journal: &Journal) -> Result<(), JournalError> {
        if !self.outside.take_change() {
            return Ok(());
        }
        let latest = self.outside.lent().rev().take(MAX_KEPT);
        let leases = latest.map(|(&trial, lent)| Lease {
            trial,
            assignment: lent.key.number,
            attempt: lent.key.attempt,
            since_ms: lent.since_ms,
            lease_ms: u64::try_from(lent.lease.as_millis()).unwrap_or(MAX_LEASE_MS),
        });
        let kept = Kept { version: VERSION, leases: leases.collect() };
        // Numbers in structs: nothing of it can fail.
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        journal.put_document(KIND, &self.id.0.to_string(), &bytes)
    }
}

/// Removes the leases of a study that is over or goes away.
pub(crate) fn forget_leases(journal: &Journal, id: StudyId) -> Result<(), JournalError> {
    journal.remove_document(KIND, &id.0.to_string()).map(drop)
}
