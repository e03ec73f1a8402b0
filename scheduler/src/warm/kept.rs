//! What a study was taught before it began, as it is kept beside it: every later life of the study
//! learns the same, whatever became of the files it came from.

use serde::{Deserialize, Serialize};

use crate::journal::{Journal, JournalError};
use crate::sampler::Earlier;

/// The journal's kind of document for it.
const KIND: &str = "earlier-trials";

#[derive(Serialize, Deserialize)]
struct Document {
    trials: Vec<Earlier>,
}

/// What the sampler of a study learns before it proposes.
pub fn kept(journal: &Journal, study: &str) -> Result<Vec<Earlier>, JournalError> {
    let Some(bytes) = journal.document(KIND, study)? else { return Ok(Vec::new()) };
    let document: Document = serde_json::from_slice(&bytes).map_err(|error| {
        JournalError::Disk { doing: "reading the earlier trials of a study", source: error.into() }
    })?;
    Ok(document.trials)
}

/// Keeps it, in the place of what a study of this name had before. The study is created after this.
pub fn keep(journal: &Journal, study: &str, trials: Vec<Earlier>) -> Result<(), JournalError> {
    if trials.is_empty() {
        return forget(journal, study);
    }
    let bytes = serde_json::to_vec(&Document { trials }).map_err(|error| JournalError::Disk {
        doing: "encoding the earlier trials of a study",
        source: error.into(),
    })?;
    journal.put_document(KIND, study, &bytes)
}

/// Lets it go with its study.
pub(crate) fn forget(journal: &Journal, study: &str) -> Result<(), JournalError> {
    journal.remove_document(KIND, study).map(drop)
}
