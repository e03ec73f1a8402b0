//! Whose a trial's folder is: the hand-out of the assignment that its files come from.

use std::fs;
use std::path::Path;

use fleetfit_search_spaces::wire::AssignmentKey;
use fleetfit_search_spaces::wire::join::Upload;
use serde::{Deserialize, Serialize};

use super::{LOG, MAX_OUTPUT_BYTES, MAX_OUTPUT_FILES, UploadError, disk};

/// Where it is noted, in the trial's folder.
const NAME: &str = ".claim";

/// Whose a trial's folder is, and how much lies in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    number: u64,
    attempt: u32,
    files: u64,
    bytes: u64,
}

impl Claim {
    /// That of a hand-out that has sent nothing.
    pub(super) fn of(key: AssignmentKey) -> Self {
        Self { number: key.number, attempt: key.attempt, files: 0, bytes: 0 }
    }

    /// The one of a folder. One that cannot be read is nobody's.
    pub(super) fn read(trial_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(trial_dir.join(NAME)).ok()?).ok()
    }

    pub(super) fn write(&self, trial_dir: &Path) -> Result<(), UploadError> {
        let path = trial_dir.join(NAME);
        let temp = trial_dir.join(format!("{NAME}.part"));
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        fs::write(&temp, bytes).map_err(disk(&temp))?;
        fs::rename(&temp, &path).map_err(disk(&path))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.number, self.attempt) == (other.number, other.attempt)
    }

    /// Whether it was handed out after the other: numbers and attempts only grow.
    pub(super) fn is_later_than(&self, other: &Self) -> bool {
        (self.number, self.attempt) > (other.number, other.attempt)
    }

    /// Refuses a file that would be too much.
    pub(super) fn has_room(&self, upload: &Upload) -> Result<(), UploadError> {
        let too_much = |most: String| {
            let at = upload.at.clone();
            Err(UploadError::TooMuch { what: "the outputs of a trial", most, at })
        };
        if upload.at == LOG {
            return Ok(());
        }
        if self.files >= MAX_OUTPUT_FILES {
            return too_much(format!("{MAX_OUTPUT_FILES} files"));
        }
        match self.bytes.saturating_add(upload.total) > MAX_OUTPUT_BYTES {
            true => too_much(format!("{} MB", MAX_OUTPUT_BYTES >> 20)),
            false => Ok(()),
        }
    }

    /// Counts a file that is whole.
    pub(super) fn add(&mut self, upload: &Upload) {
        if upload.at != LOG {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(upload.total);
        }
    }
}
