//! What happens to a study, as it happens, as server-sent events.
//!
//! The journal is the source: an event's id is the study's number and a position in it, the same that
//! pages the list of trials, so whoever comes back with the last id misses nothing. A stream waits until the engine
//! has written something, then reads everything since; it never makes the engine wait.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::metrics::OpenStream;
use super::question::{Question, StudyName, ask};
use super::{App, Refused};
use crate::journal::StudyId;
use crate::query::{self, Ended, StatusView};

/// How often something is said when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How much time passes between two looks at least: what ends in between is told together.
const PAUSE: Duration = Duration::from_millis(250);

/// The same while more ends in that time than an event lists: nobody reads that fast, and each look
/// takes from the time in which more could end.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// How much time passes at most: not everything that happens to a study is written by the engine.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many trials one event lists.
const SHOWN: usize = 100;

/// The header with which a stream goes on where it broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What the id of the last event of all ends with.
const END: char = '!';

/// The last event of all.
const ENDED: &str = "ended";

/// Streams what happens until the study is over; 204 where the asker knows its end already.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let question = Question::read(query, &["cursor"])?;
    let (position, knows_the_end) = broken_off(&app, &study, &question, &headers).await?;
    let mut feed = Feed {
        _counted: OpenStream::count(&app),
        changes: app.service.engine.changes(),
        closing: app.closing.subscribe(),
        shared: shared(&app.looks, &study),
        app,
        study,
        id: None,
        position,
        told: None,
        queue: VecDeque::new(),
        is_over: false,
        pause: PAUSE,
    };
    let has_news = feed.look().await?;
    if knows_the_end && feed.is_over && !has_news {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let alive = KeepAlive::new().interval(HEARTBEAT).text("still there");
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

/// Where the asker's last stream broke off, and whether he has heard the end. A browser that connects
/// again says so in the header and asks for the same address as before.
async fn broken_off(
    app: &Arc<App>,
    study: &str,
    question: &Question,
    headers: &HeaderMap,
) -> Result<(Option<String>, bool), Refused> {
    let header = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty());
    let header = header.map(|last| last.to_str()).transpose();
    let header = header.map_err(|_| Refused::bad("Last-Event-ID is not one of ours"))?;
    let Some(last) = header.map(str::to_owned).or(question.cursor()?) else {
        return Ok((None, false));
    };
    let knows_the_end = last.ends_with(END);
    let position = last.trim_end_matches(END).to_owned();
    let (app, study, claimed) = (Arc::clone(app), study.to_owned(), position.clone());
    let is_within = ask(move || {
        let record = query::find(&app.service.journal, &study)?;
        Ok(query::is_within(&app.service.journal, record.id, &claimed)?)
    });
    // Of another study, or of what a restore has taken back: all of this one is news.
    Ok(match is_within.await? {
        true => (Some(position), knows_the_end),
        false => (None, false),
    })
}

/// The latest look at each study that is streamed: streams that stand at the same place share one, and
/// stand at the same place from then on.
pub(super) type Looks = Mutex<HashMap<String, Weak<Shared>>>;

pub(super) type Shared = tokio::sync::Mutex<Option<Arc<Look>>>;

/// What was new to whoever stood at a place.
pub(super) struct Look {
    id: StudyId,
    from: Option<String>,
    at: Instant,
    status: StatusView,
    ended: Ended,
}

impl Look {
    /// How much time passes before the next one.
    fn pause(&self) -> Duration {
        let is_busy = self.ended.trials.len() >= SHOWN && !self.ended.has_more;
        if is_busy { BUSY_PAUSE } else { PAUSE }
    }

    /// Whether it answers whoever stands there, too.
    fn serves(&self, position: Option<&str>) -> bool {
        let is_news = !self.ended.trials.is_empty();
        is_news && self.from.as_deref() == position && self.at.elapsed() < self.pause()
    }
}

/// Where the looks at a study are.
fn shared(looks: &Looks, study: &str) -> Arc<Shared> {
    // What lies behind a poisoned lock is a map, none of it half made.
    let mut looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
    looks.retain(|_, look| look.strong_count() > 0);
    let known = looks.get(study).and_then(Weak::upgrade);
    known.unwrap_or_else(|| {
        let fresh = Arc::default();
        looks.insert(study.to_owned(), Arc::downgrade(&fresh));
        fresh
    })
}

/// One stream.
struct Feed {
    app: Arc<App>,
    study: String,
    /// The study that the name meant at first.
    id: Option<StudyId>,
    /// Up to where trials have been told.
    position: Option<String>,
    /// What was told last.
    told: Option<StatusView>,
    queue: VecDeque<Event>,
    shared: Arc<Shared>,
    is_over: bool,
    pause: Duration,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    _counted: OpenStream,
}

impl Feed {
    /// The next event; nothing at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return None,
                () = news(&mut self.changes, self.pause) => {}
            }
            // A study that is gone has no more events.
            self.look().await.ok()?;
        }
    }

    /// Queues what is new. Whether any trial is.
    async fn look(&mut self) -> Result<bool, Refused> {
        let shared = Arc::clone(&self.shared);
        // Whoever looks from the same place meanwhile waits for this one's answer.
        let mut latest = shared.lock().await;
        let look = match latest.as_ref().filter(|look| look.serves(self.position.as_deref())) {
            Some(look) => {
                // What came after it is looked at next time.
                self.changes.mark_changed();
                Arc::clone(look)
            }
            None => {
                let look = Arc::new(self.look_anew().await?);
                Arc::clone(latest.insert(look))
            }
        };
        drop(latest);
        if self.id.is_some_and(|known| known != look.id) {
            return Err(Refused::bad("the study was deleted"));
        }
        self.id = Some(look.id);
        Ok(self.hear(&look))
    }

    async fn look_anew(&self) -> Result<Look, Refused> {
        let (app, study, from) = (Arc::clone(&self.app), self.study.clone(), self.position.clone());
        let at = Instant::now();
        ask(move || {
            let journal = &app.service.journal;
            // The record first: what its summary counts is then in the journal.
            let record = query::find(journal, &study)?;
            let id = record.id;
            let (status, ended) = query::news(journal, record, from.as_deref(), SHOWN)?;
            Ok(Look { id, from, at, status: app.complete(status), ended })
        })
        .await
    }

    fn hear(&mut self, look: &Look) -> bool {
        let Look { status, ended, .. } = look;
        let has_news = !ended.trials.is_empty();
        if has_news {
            self.position.clone_from(&ended.next);
            self.push("trials", ended);
        }
        let best = |status: &StatusView| {
            status.best.as_ref().map(|best| (best.trial, best.value.to_bits()))
        };
        let told = self.told.as_ref();
        if told.and_then(best) != best(status)
            && let Some(best) = &status.best
        {
            let best = best.clone();
            self.push("best", &best);
        }
        let is_changed = self.told.as_ref().is_none_or(|told| {
            let elapsed_s = told.elapsed_s;
            *told != StatusView { elapsed_s, ..status.clone() }
        });
        if is_changed {
            self.push("status", status);
        }
        if status.status.is_over() && !ended.has_more {
            self.push(ENDED, status);
            self.is_over = true;
        }
        self.told = Some(status.clone());
        self.pause = look.pause();
        if ended.has_more {
            self.changes.mark_changed();
        }
        has_news
    }

    fn push(&mut self, name: &str, data: &impl serde::Serialize) {
        let event = Event::default().event(name);
        let beginning = || self.id.map(query::beginning).unwrap_or_default();
        let position = self.position.clone().unwrap_or_else(beginning);
        let event = match name {
            // Who has heard of the end need not be told again; who was cut off just before must be.
            ENDED => event.id(format!("{position}{END}")),
            _ => event.id(position),
        };
        // Our forms are JSON, whatever they hold.
        self.queue.extend(event.json_data(data));
    }
}

/// Waits for something to happen, but neither too briefly nor for ever.
async fn news(changes: &mut watch::Receiver<u64>, pause: Duration) {
    sleep(pause).await;
    tokio::select! {
        changed = changes.changed() => if changed.is_err() { sleep(PATIENCE).await },
        () = sleep(PATIENCE) => {}
    }
}
