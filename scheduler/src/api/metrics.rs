//! What the service measures of itself, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::question::{Question, ask};
use super::{App, Refused};
use crate::journal::Status;

/// The form in which Prometheus takes it.
const FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the buckets of durations, in seconds.
const BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 10.0, 100.0];

/// What was answered so far.
#[derive(Debug, Default)]
pub(super) struct Answered {
    routes: Mutex<BTreeMap<(String, String, u16), Durations>>,
    streams: AtomicU64,
}

#[derive(Debug, Default)]
struct Durations {
    count: u64,
    sum_s: f64,
    /// How many took at most as long as each bucket.
    within: [u64; BUCKETS_S.len()],
}

/// Counts as an open stream of events while it lives.
pub(super) struct OpenStream(Arc<App>);

impl OpenStream {
    pub(super) fn count(app: &Arc<App>) -> Self {
        app.answered.streams.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(app))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.answered.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Answered {
    pub(super) fn count(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (route.to_owned(), method.to_owned(), status);
        let durations = routes.entry(key).or_default();
        durations.count += 1;
        durations.sum_s += took.as_secs_f64();
        for (within, bucket_s) in durations.within.iter_mut().zip(BUCKETS_S) {
            *within += u64::from(took.as_secs_f64() <= bucket_s);
        }
    }

    fn write(&self, page: &mut Page) {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "fleetfit_http_request_seconds";
        page.head(name, "histogram", "How long requests took, by what they asked for.");
        for ((route, method, status), durations) in routes.iter() {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            for (within, bucket_s) in durations.within.iter().zip(BUCKETS_S) {
                page.line(&format!("{name}_bucket{{{labels},le=\"{bucket_s}\"}} {within}"));
            }
            page.line(&format!("{name}_bucket{{{labels},le=\"+Inf\"}} {}", durations.count));
            page.line(&format!("{name}_sum{{{labels}}} {}", durations.sum_s));
            page.line(&format!("{name}_count{{{labels}}} {}", durations.count));
        }
        page.head("fleetfit_event_streams", "gauge", "Streams of events that are open.");
        page.value("fleetfit_event_streams", self.streams.load(Ordering::Relaxed) as f64);
    }
}

/// The page that Prometheus reads.
pub(super) async fn page(
    State(app): State<Arc<App>>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let page = ask(move || {
        let mut page = Page(String::new());
        studies(&app, &mut page)?;
        engine(&app, &mut page);
        runners(&app, &mut page);
        app.answered.write(&mut page);
        process(&mut page);
        Ok(page.0)
    });
    Ok(([(header::CONTENT_TYPE, FORM)], page.await?).into_response())
}

/// A page of numbers.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(&format!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn value(&mut self, name: &str, value: f64) {
        self.line(&format!("{name} {value}"));
    }

    /// One number by itself.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.value(name, value);
    }

    fn line(&mut self, line: &str) {
        // Writing to a text never fails.
        let _ = writeln!(self.0, "{line}");
    }
}

fn studies(app: &App, page: &mut Page) -> Result<(), Refused> {
    let statuses = [
        (Status::Queued, "queued"),
        (Status::Running, "running"),
        (Status::Completed, "completed"),
        (Status::Stopped, "stopped"),
        (Status::Failed, "failed"),
        (Status::Interrupted, "interrupted"),
    ];
    let summaries: Vec<_> =
        app.service.journal.list()?.into_iter().map(|record| record.summary).collect();
    page.head("fleetfit_studies", "gauge", "Studies by status.");
    for (status, word) in statuses {
        let n = summaries.iter().filter(|summary| summary.status == status).count();
        page.value(&format!("fleetfit_studies{{status=\"{word}\"}}"), n as f64);
    }
    page.head("fleetfit_trials_ended", "gauge", "Ended trials of all studies by state.");
    let sums = summaries.iter().fold([0, 0, 0, 0], |sums, summary| {
        let more = [summary.completed, summary.stopped, summary.failed, summary.fits];
        std::array::from_fn(|at| sums[at] + more[at])
    });
    for (state, n) in ["completed", "stopped", "failed"].into_iter().zip(sums) {
        page.value(&format!("fleetfit_trials_ended{{state=\"{state}\"}}"), n as f64);
    }
    page.single("fleetfit_fits", "gauge", "Models fitted for trials.", sums[3] as f64);
    Ok(())
}

fn engine(app: &App, page: &mut Page) {
    let stats = app.service.engine.stats();
    let up = if app.service.engine.ended().is_none() { 1.0 } else { 0.0 };
    page.single("fleetfit_engine_up", "gauge", "Whether studies can run.", up);
    page.single("fleetfit_studies_live", "gauge", "Studies that run here.", stats.live as f64);
    let out = stats.out as f64;
    page.single("fleetfit_assignments_out", "gauge", "Assignments that runners have.", out);
    let lent = stats.lent as f64;
    page.single("fleetfit_trials_lent", "gauge", "Trials that were asked for and not told.", lent);
    page.head("fleetfit_assignments_capacity", "gauge", "How many assignments may be out.");
    let capacity = stats.capacity;
    for (kind, n) in [("fit", capacity.fits), ("command", capacity.commands)] {
        page.value(&format!("fleetfit_assignments_capacity{{kind=\"{kind}\"}}"), f64::from(n));
    }
    let heard = stats.heard as f64;
    page.single("fleetfit_runner_messages_total", "counter", "Messages of runners.", heard);
    let name = "fleetfit_journal_commit_seconds";
    page.head(name, "summary", "Groups of facts put on disk, and how long that took.");
    page.value(&format!("{name}_sum"), stats.commit_us as f64 / 1e6);
    page.value(&format!("{name}_count"), stats.commits as f64);
}

fn runners(app: &App, page: &mut Page) {
    let Some(doors) = &app.service.doors else {
        return;
    };
    let mut runners = (doors.runners)();
    runners.retain(|runner| runner.state != "gone" && runner.state != "refused");
    let slots: u32 = runners.iter().map(|runner| runner.slots).sum();
    let busy: u32 = runners.iter().map(|runner| runner.busy).sum();
    page.single("fleetfit_runners", "gauge", "Runners that work or drain.", runners.len() as f64);
    page.single("fleetfit_slots", "gauge", "Their slots.", f64::from(slots));
    page.single("fleetfit_slots_busy", "gauge", "Slots with a trial in them.", f64::from(busy));
}

/// What the system says of this process; nothing where it says nothing.
fn process(page: &mut Page) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| {
        let rest = line.strip_prefix("VmRSS:")?;
        rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()
    });
    if let Some(kibibytes) = kibibytes {
        let help = "Memory of this process.";
        page.single("process_resident_memory_bytes", "gauge", help, kibibytes * 1024.0);
    }
}
