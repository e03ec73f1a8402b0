//! The engine from outside, on a journal of its own: trials that somebody else runs, and studies that
//! share the runners.

#![allow(clippy::unwrap_used, reason = "tests may")]

#[path = "contracts/studies.rs"]
#[allow(dead_code, reason = "each test binary has its own use for them")]
mod studies;

#[path = "engine/asking.rs"]
mod asking;
#[path = "engine/outside.rs"]
mod outside;
#[path = "engine/shares.rs"]
mod shares;

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use fleetfit_scheduler::engine::{Engine, EngineHandle, Note, OpenStudy, Outlets};
use fleetfit_scheduler::journal::{Journal, NewStudy};
use fleetfit_search_spaces::wire::Assignment;
use fleetfit_search_spaces::{EntityKey, Study};

/// An engine and what it hands out.
struct Fixture {
    engine: Engine,
    journal: Journal,
    work: Receiver<Assignment>,
}

impl Fixture {
    fn new(dir: &Path) -> Self {
        let journal = Journal::open(dir).unwrap();
        let (dispatch, work) = channel();
        let outlets = Outlets {
            dispatch: Box::new(move |_, assignment| drop(dispatch.send(assignment))),
            hint: Box::new(|_| {}),
            settled: Box::new(|_| {}),
            ends_runners: false,
        };
        let engine = Engine::start(journal.clone(), outlets).unwrap();
        Self { engine, journal, work }
    }

    fn handle(&self) -> EngineHandle {
        self.engine.handle()
    }

    /// Runs a study, which is stored if it is not yet.
    fn open(&self, study: &Study) {
        if self.journal.find(&study.name).unwrap().is_none() {
            let new = NewStudy {
                large: Vec::new(),
                name: study.name.clone(),
                seed: 1,
                entities: vec![EntityKey::default()],
                ..NewStudy::default()
            };
            self.journal.create(&new).unwrap();
        }
        self.open_known(study, false);
    }

    /// Goes on with a study that is over.
    fn reopen(&self, study: &Study) {
        self.open_known(study, true);
    }

    fn open_known(&self, study: &Study, reopen: bool) {
        let id = self.journal.find(&study.name).unwrap().unwrap().id;
        let open = OpenStudy {
            id,
            study: study.clone(),
            seed: 1,
            n_entities: 1,
            large: Vec::new(),
            warm: Vec::new(),
            reopen,
            adopted: Vec::new(),
            opened: None,
        };
        assert!(self.handle().tell(Note::Open(Box::new(open))));
    }
}

/// Asks until there is an answer; the time is for machines that are very busy.
fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing came");
        std::thread::sleep(Duration::from_millis(5));
    }
}
