//! Configurations that somebody asks for while a study runs: filled in, taken by the core, and
//! answered once they are on disk.

use std::collections::BTreeSet;
use std::sync::mpsc::SyncSender;

use fleetfit_search_spaces::Configuration;
use fleetfit_search_spaces::seed::mix;
use thiserror::Error;

use super::EngineError;
use super::live::{Live, index, replay};
use crate::event::{Fact, Step};
use crate::journal::{Journal, StudyRecord};
use crate::state::{NotQueued, StudyState};
use crate::warm;

/// What is left open is drawn anew so often at most, and given up after so many draws alike.
const MAX_REDRAWS: u64 = 256;
const MAX_ALIKE: u64 = 16;

/// Configurations to try next.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Each in whole or in part, of the study's space.
    pub configurations: Vec<Configuration>,
    /// Hashes of what the request was marked with and of what it asks for: it counts once.
    pub mark: Option<(u64, u64)>,
}

/// Why they are not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueueError {
    /// It does not run here.
    #[error("the study does not run here; resume it first")]
    NotRunning,
    /// Its search is over.
    #[error("the study's search is over, so nothing more is tried")]
    Over,
    /// There is no room for them.
    #[error(
        "the study tries {limit} configurations in all, and {left} more can be asked for, not {asked}"
    )]
    Full {
        /// How many it tries.
        limit: u32,
        /// How many are left.
        left: u32,
        /// How many were asked for.
        asked: usize,
    },
    /// The mark was used before.
    #[error("this Idempotency-Key came with another request before; draw a new one")]
    OtherMark,
    /// One of them is no point of the space.
    #[error("configuration {0} is no point of the study's space")]
    Stranger(usize),
    /// The engine has ended, as the service is about to.
    #[error("the service is about to end")]
    Gone,
    /// The engine has failed.
    #[error("{0}")]
    Failed(EngineError),
}

pub(super) type QueueDone = SyncSender<Result<Vec<u32>, QueueError>>;

impl Live {
    /// Takes configurations; whoever asks hears of their numbers once they are on disk.
    pub(super) fn enqueue(&mut self, wish: Wish, done: QueueDone) {
        match take(&mut self.state, self.seed, wish) {
            Ok((numbers, step)) => {
                self.pending.facts.extend(step.facts);
                self.pending.commands.extend(step.commands);
                self.queued.push((numbers, done));
            }
            // Whoever asked may have gone; then nobody needs the answer.
            Err(error) => drop(done.send(Err(error))),
        }
    }

    /// Everything decided is on disk: whoever waits may go on.
    pub(super) fn answer_queued(&mut self) {
        for (numbers, done) in self.queued.drain(..) {
            let _ = done.send(Ok(numbers));
        }
    }
}

/// Takes configurations for a study that no engine runs.
pub fn enqueue_at_rest(
    journal: &Journal,
    record: &StudyRecord,
    wish: Wish,
) -> Result<Vec<u32>, QueueError> {
    let failed = |error: EngineError| QueueError::Failed(error);
    let study = record.study().map_err(|problems| failed(EngineError(problems.to_string())))?;
    let head = &record.head;
    let mut state = replay(journal, record.id, study, head.seed, head.entities, head.warm.clone())
        .map_err(|error| failed(error.into()))?;
    let (numbers, step) = take(&mut state, head.seed, wish)?;
    if !step.facts.is_empty() {
        let mut index = index(&mut state);
        // Nobody runs it, which is how it stood before.
        index.summary.status = record.summary.status;
        journal.append(record.id, &step.facts, &index).map_err(|error| failed(error.into()))?;
    }
    Ok(numbers)
}

/// What a request was answered that came before with this mark, to a study that no engine runs any
/// more.
pub(crate) fn enqueued_before(
    journal: &Journal,
    record: &StudyRecord,
    (key, request): (u64, u64),
) -> Result<Option<Vec<u32>>, QueueError> {
    for fact in journal.facts(record.id) {
        match fact.map_err(|error| QueueError::Failed(error.into()))? {
            Fact::Queued { mark: Some(mark), .. } if mark.key == key => {
                let is_same = mark.request == request;
                return is_same.then_some(Some(mark.numbers)).ok_or(QueueError::OtherMark);
            }
            _ => {}
        }
    }
    Ok(None)
}

fn take(state: &mut StudyState, seed: u64, wish: Wish) -> Result<(Vec<u32>, Step), QueueError> {
    let first = u64::from(state.next_asked());
    let n_asked = wish.configurations.len();
    let mut filled: Vec<Configuration> = Vec::with_capacity(n_asked);
    let mut drawn = BTreeSet::new();
    for (index, (part, number)) in wish.configurations.iter().zip(first..).enumerate() {
        let is_fresh =
            |whole: &Configuration| !state.knows(whole) && !drawn.contains(&whole.to_json());
        let fill = |seed| warm::fill(&state.study().space, part, seed, number);
        let mut whole = fill(seed).ok_or(QueueError::Stranger(index))?;
        if !is_fresh(&whole)
            && let Some(other) = redrawn(&whole, |salt| fill(mix(&[seed, salt])), is_fresh)
        {
            whole = other;
        }
        drawn.insert(whole.to_json());
        filled.push(whole);
    }
    state.enqueue(filled, wish.mark).map_err(|why| match why {
        NotQueued::Over => QueueError::Over,
        NotQueued::Full { limit, left } => QueueError::Full { limit, left, asked: n_asked },
        NotQueued::OtherMark => QueueError::OtherMark,
    })
}

/// The same with what is left open drawn anew until it is fresh; none where draws do not find that, or
/// nothing is open.
fn redrawn(
    whole: &Configuration,
    draw: impl Fn(u64) -> Option<Configuration>,
    is_fresh: impl Fn(&Configuration) -> bool,
) -> Option<Configuration> {
    let mut is_open = false;
    for salt in 1..=MAX_REDRAWS {
        let other = draw(salt)?;
        is_open |= other != *whole;
        if !is_open && salt == MAX_ALIKE {
            return None;
        }
        if is_fresh(&other) {
            return Some(other);
        }
    }
    None
}
