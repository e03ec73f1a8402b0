//! The studies that a runner holds: provided when the first thread needs one, dropped when their
//! data would take too much memory.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::StudyId;

use super::flight::Flights;
use super::{Lacking, Provide, Running, StudyWork, lock};
use crate::devices::memory_bytes;

/// How long a study that could not be provided is not asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// Studies by their ids.
pub(super) struct Shelf {
    provide: Provide,
    n_threads: usize,
    /// How much memory data may take.
    data_bytes: u64,
    places: Mutex<BTreeMap<StudyId, Arc<Place>>>,
}

/// One study's place. Its lock is held while the study is provided, so that whoever else needs the
/// study waits, and nobody else does.
#[derive(Default)]
struct Place(Mutex<Content>);

#[derive(Default)]
enum Content {
    #[default]
    Nothing,
    Here {
        running: Arc<Running>,
        used: Instant,
        /// Whether it can be had again.
        is_provided: bool,
    },
    Lacking {
        lacking: Lacking,
        until: Instant,
    },
}

impl Shelf {
    pub(super) fn new(provide: Provide, n_threads: usize, data_bytes: u64) -> Self {
        Self { provide, n_threads, data_bytes, places: Mutex::default() }
    }

    /// Puts a study there that cannot be provided again.
    pub(super) fn put(&self, id: StudyId, work: StudyWork) {
        let running = Arc::new(Running::new(work, self.n_threads));
        let content = Content::Here { running, used: Instant::now(), is_provided: false };
        lock(&self.places).insert(id, Arc::new(Place(Mutex::new(content))));
    }

    /// The study, provided if it is not there.
    pub(super) fn get(&self, id: StudyId, flights: &Flights) -> Result<Arc<Running>, Lacking> {
        let place = Arc::clone(lock(&self.places).entry(id).or_default());
        let running = {
            let mut content = lock(&place.0);
            match &mut *content {
                Content::Here { running, used, .. } => {
                    *used = Instant::now();
                    return Ok(Arc::clone(running));
                }
                Content::Lacking { lacking, until } if Instant::now() < *until => {
                    return Err(lacking.clone());
                }
                Content::Lacking { .. } | Content::Nothing => {}
            }
            let provided = catch_unwind(AssertUnwindSafe(|| (self.provide)(id)));
            let provided = provided.unwrap_or_else(|_| {
                Err(Lacking("its job or its data made this runner fail unexpectedly".into()))
            });
            match provided {
                Ok(work) => {
                    let running = Arc::new(Running::new(work, self.n_threads));
                    let used = Instant::now();
                    *content =
                        Content::Here { running: Arc::clone(&running), used, is_provided: true };
                    running
                }
                Err(lacking) => {
                    let until = Instant::now() + PAUSE;
                    *content = Content::Lacking { lacking: lacking.clone(), until };
                    return Err(lacking);
                }
            }
        };
        self.make_room(id, flights);
        Ok(running)
    }

    pub(super) fn remove(&self, id: StudyId) {
        lock(&self.places).remove(&id);
    }

    /// Drops the studies that were not used for the longest time, until the data of the others fits.
    fn make_room(&self, newest: StudyId, flights: &Flights) {
        let places: Vec<_> =
            lock(&self.places).iter().map(|(id, place)| (*id, Arc::clone(place))).collect();
        let mut held = 0;
        let mut idle = Vec::new();
        for (id, place) in places {
            // A place that is locked is being filled, and its turn comes then.
            let Ok(content) = place.0.try_lock() else { continue };
            let Content::Here { running, used, is_provided } = &*content else { continue };
            let n_bytes = running.work.dataset.as_ref().map_or(0, |data| data.n_bytes());
            held += n_bytes;
            if *is_provided && id != newest && n_bytes > 0 && !flights.has(id) {
                let used = *used;
                drop(content);
                idle.push((used, n_bytes, place));
            }
        }
        idle.sort_by_key(|(used, ..)| *used);
        for (_, n_bytes, place) in idle {
            if held <= self.data_bytes {
                return;
            }
            *lock(&place.0) = Content::Nothing;
            held -= n_bytes;
        }
    }
}

/// A quarter of the machine's memory; 2 GiB where that is not known.
pub(super) fn a_quarter_of_memory() -> u64 {
    memory_bytes().map_or(2 << 30, |bytes| bytes / 4)
}
