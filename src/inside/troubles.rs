//! Why the runner in the service hands work back: logged once, and told for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{FromRunner, StudyId};

/// How long a reason is told after it was last heard.
const TOLD: Duration = Duration::from_secs(60);

/// How many reasons are told at once.
const MOST_TOLD: usize = 8;

/// How many reasons are remembered, so that none is logged twice.
const MOST: usize = 1_000;

/// The reasons that were heard.
#[derive(Default)]
pub(crate) struct Troubles(Mutex<HashMap<(StudyId, String), Trouble>>);

/// One study's reason.
struct Trouble {
    text: String,
    heard: Instant,
}

impl Troubles {
    /// Takes note of what the runner lacks. What is new is logged, under the study's name.
    pub(crate) fn hear(&self, message: &FromRunner, name: impl FnOnce(StudyId) -> Option<String>) {
        let FromRunner::Returned { of, reason: Some(reason) } = message else { return };
        let heard = Instant::now();
        let mut known = self.lock();
        let key = (of.study, reason.clone());
        if let Some(trouble) = known.get_mut(&key) {
            trouble.heard = heard;
            return;
        }
        let Some(name) = name(of.study) else { return };
        if known.len() >= MOST {
            known.retain(|_, trouble| trouble.heard.elapsed() < TOLD);
        }
        let text = format!("{name}: {reason}");
        tracing::warn!("trials cannot be run, and are tried again: {text}");
        if known.len() < MOST {
            known.insert(key, Trouble { text, heard });
        }
    }

    /// What is lacking now.
    pub(crate) fn told(&self) -> Vec<String> {
        let known = self.lock();
        let now = known.values().filter(|trouble| trouble.heard.elapsed() < TOLD);
        let mut told: Vec<String> = now.map(|trouble| trouble.text.clone()).collect();
        told.sort();
        told.truncate(MOST_TOLD);
        told
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(StudyId, String), Trouble>> {
        // Another thread that panicked left plain data, which is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::wire::AssignmentKey;

    use super::*;

    #[test]
    fn a_reason_is_remembered_once_for_each_study() {
        let troubles = Troubles::default();
        let of = |study| AssignmentKey { study: StudyId(study), number: 1, attempt: 1 };
        let mut named = Vec::new();
        for (study, reason) in
            [(1, Some("no data")), (1, Some("no data")), (2, Some("no data")), (1, None)]
        {
            let reason = reason.map(str::to_owned);
            troubles.hear(&FromRunner::Returned { of: of(study), reason }, |id| {
                named.push(id.0);
                Some(format!("s{}", id.0))
            });
        }
        troubles.hear(&FromRunner::Done { of: of(3) }, |_| None);
        // A study that was deleted lacks nothing.
        let reason = Some("there is no study".to_owned());
        troubles.hear(&FromRunner::Returned { of: of(4), reason }, |_| None);
        assert_eq!(named, [1, 2]);
        assert_eq!(troubles.told(), ["s1: no data", "s2: no data"]);
    }
}
