//! One service that this runner works for. Numbers of studies are its own: two services may use the
//! same ones, so each (service, study) has a number of this process, which never leaves it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetfit_search_spaces::wire::subjects::Subjects;
use fleetfit_search_spaces::{AssignmentKey, FromRunner, StudyId};
use tokio::sync::mpsc;

use super::lock;
use super::post::Item;

/// A service.
pub(super) struct Link {
    pub(super) subjects: Subjects,
    pub(super) lease: Duration,
    post: mpsc::UnboundedSender<Item>,
    reports: mpsc::Sender<FromRunner>,
    /// The study that each number of this process means.
    studies: Mutex<BTreeMap<StudyId, StudyId>>,
    /// Grows each time the stream of assignments is made anew.
    pub(super) epoch: AtomicU64,
    /// Whether the stream is known to be the one that messages in hand came from.
    pub(super) is_sure: AtomicBool,
    /// The service speaks another version by now: it gives nothing more, and takes what is left.
    pub(super) is_ending: AtomicBool,
    /// Nothing of it is left here.
    pub(super) is_closed: AtomicBool,
}

/// How many reports wait at most; more are lost.
const REPORTS: usize = 4_096;

/// The other ends of a link's channels.
pub(super) struct Ends {
    pub(super) post: mpsc::UnboundedReceiver<Item>,
    pub(super) reports: mpsc::Receiver<FromRunner>,
}

impl Link {
    pub(super) fn new(service: &str, lease: Duration) -> (Self, Ends) {
        let (post, posted) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::channel(REPORTS);
        let link = Self {
            subjects: Subjects::of(service),
            lease,
            post,
            reports,
            studies: Mutex::default(),
            epoch: AtomicU64::new(0),
            is_sure: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        };
        (link, Ends { post: posted, reports: reported })
    }

    /// Queues something for the service.
    pub(super) fn post(&self, item: Item) {
        // It fails only while the whole bus ends.
        let _ = self.post.send(item);
    }

    /// Queues a report, which may be lost.
    pub(super) fn report(&self, report: FromRunner) {
        let _ = self.reports.try_send(report);
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(super) fn is_sure(&self) -> bool {
        self.is_sure.load(Ordering::SeqCst)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// The key as the service knows it.
    pub(super) fn outside(&self, key: AssignmentKey) -> AssignmentKey {
        let study = lock(&self.studies).get(&key.study).copied().unwrap_or(key.study);
        AssignmentKey { study, ..key }
    }
}

/// All services that this runner works for.
#[derive(Default)]
pub(super) struct Links {
    pub(super) all: Vec<Arc<Link>>,
    inside: BTreeMap<(String, StudyId), StudyId>,
    meaning: Vec<(Arc<Link>, StudyId)>,
}

impl Links {
    pub(super) fn find(&self, service: &str) -> Option<Arc<Link>> {
        let mut open = self.all.iter().filter(|link| !link.is_closed());
        open.find(|link| link.subjects.service() == service).cloned()
    }

    /// The number of this process for a service's study.
    pub(super) fn inside(&mut self, link: &Arc<Link>, study: StudyId) -> StudyId {
        let Self { inside, meaning, .. } = self;
        let number =
            *inside.entry((link.subjects.service().to_owned(), study)).or_insert_with(|| {
                meaning.push((Arc::clone(link), study));
                StudyId(meaning.len() as u32)
            });
        lock(&link.studies).insert(number, study);
        number
    }

    /// What a number of this process means.
    pub(super) fn outside(&self, number: StudyId) -> Option<(Arc<Link>, StudyId)> {
        self.meaning.get((number.0 as usize).checked_sub(1)?).cloned()
    }
}
