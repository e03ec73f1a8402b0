//! Services: heard of, joined, told every few seconds that this runner is there, and watched.
//!
//! A service that was updated to another version of the wire gives this runner nothing more. What the
//! runner has of it by then is finished and told as ever: later versions read what earlier ones tell.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use fleetfit_search_spaces::wire::join::{Announcement, Hello, Welcome};
use fleetfit_search_spaces::wire::letter::{self, VERSION};
use fleetfit_search_spaces::wire::subjects::{Kind, SERVICES, Subjects};
use fleetfit_search_spaces::{StudyId, ToRunner};
use futures_util::StreamExt;

use super::link::Link;
use super::{Shared, lock, post, pull};
use crate::runner::Runner;

/// How often a service hears that this runner is there, and one that was named is asked.
const BEAT: Duration = Duration::from_secs(2);

/// How long to look for a service that takes this runner after one has refused it.
const LOOK_ON: Duration = Duration::from_secs(5);

/// How many services are remembered that are not the one that was named.
const MOST_OTHERS: usize = 20;

/// How often the connection is looked at, and how often the stream while the connection stays.
const WATCH: Duration = Duration::from_millis(50);
const VERIFY: Duration = Duration::from_secs(3);

/// After a connection was lost: how long others have to prolong their leases before anybody pulls.
const HEAD_START: Duration = Duration::from_millis(500);

/// Listens for services and joins them.
pub(super) async fn run(shared: Arc<Shared>, runner: Arc<Runner>) {
    let Ok(mut heard) = shared.client.subscribe(SERVICES).await else { return };
    let mut refused: Option<Instant> = None;
    if let Some(service) = shared.service.clone() {
        join(&shared, &runner, &service, &mut refused).await;
    }
    let begun = Instant::now();
    let mut others = BTreeSet::new();
    let mut is_said = false;
    loop {
        let announced = tokio::time::timeout(BEAT, heard.next()).await;
        let service = match announced {
            Ok(Some(message)) => match serde_json::from_slice::<Announcement>(&message.payload) {
                Ok(announcement) => {
                    check_version(&shared, &announcement);
                    if others.len() < MOST_OTHERS {
                        others.insert(announcement.service.clone());
                    }
                    Some(announcement.service)
                }
                Err(_) => None,
            },
            Ok(None) => return,
            Err(_) => shared.service.clone(),
        };
        let is_wanted = |service: &String| shared.service.as_ref().is_none_or(|it| it == service);
        if let Some(service) = service.filter(is_wanted)
            && lock(&shared.links).find(&service).is_none()
            && !shared.is_leaving()
        {
            join(&shared, &runner, &service, &mut refused).await;
        }
        if let Some(wanted) = &shared.service
            && begun.elapsed() >= LOOK_ON
            && lock(&shared.links).find(wanted).is_none()
            && refused.is_none()
            && !is_said
        {
            is_said = true;
            (shared.say)(&absent(wanted, &others));
        }
        close_ended(&shared);
        let is_alone = lock(&shared.links).all.iter().all(|link| link.is_closed());
        let is_final = |at: Instant| shared.service.is_some() || at.elapsed() > LOOK_ON;
        if is_alone && refused.is_some_and(is_final) {
            let mut why = lock(&shared.refused);
            why.get_or_insert_with(|| "no service takes this runner".to_owned());
        }
    }
}

/// What is said of a service that nobody hears of.
fn absent(wanted: &str, others: &BTreeSet<String>) -> String {
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let there = match others.as_slice() {
        [] => "no other is, either".to_owned(),
        others => format!("there is {}", others.join(", ")),
    };
    format!(
        "service {wanted} is not there: {there}. Waiting for it; a service tells its id when it \
         starts, and keeps it in the file service-id of its data directory"
    )
}

/// A service that was replaced by one that speaks otherwise has nothing for us any more.
fn check_version(shared: &Shared, announcement: &Announcement) {
    let Announcement { service, version, wire, .. } = announcement;
    let link = lock(&shared.links).find(service);
    let Some(link) = link.filter(|_| *wire != VERSION) else { return };
    if !link.is_ending.swap(true, Ordering::SeqCst) {
        let own = &shared.hello.version;
        let older = if *wire < VERSION { "service" } else { "runner" };
        (shared.say)(&format!(
            "service {service} is fleetfit {version} with wire version {wire} by now, and this \
             runner is fleetfit {own} with wire version {VERSION}: it gets no more work of it, and \
             finishes and tells what it has; update the {older}"
        ));
        shared.tick();
    }
}

/// Takes leave of services of other versions of which nothing is left here.
fn close_ended(shared: &Shared) {
    for link in &lock(&shared.links).all {
        if link.is_ending() && !lock(&shared.hand).has_any(link) {
            link.is_closed.store(true, Ordering::SeqCst);
        }
    }
}

async fn join(
    shared: &Arc<Shared>,
    runner: &Arc<Runner>,
    service: &str,
    refused: &mut Option<Instant>,
) {
    // The name of a subject: nothing else may be made of it.
    if service.is_empty() || !service.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    let Ok(hello) = serde_json::to_vec(&hello(shared, None)) else { return };
    let answer = shared.client.request(Subjects::of(service).join(), hello.into()).await;
    // Whoever does not answer is asked again.
    let Ok(answer) = answer else { return };
    match serde_json::from_slice(&answer.payload) {
        Ok(Welcome::Accepted { lease_s }) => {
            let lease = Duration::try_from_secs_f64(lease_s).unwrap_or(Duration::from_secs(30));
            begin(shared, runner, service, lease.max(Duration::from_millis(100)));
            *refused = None;
        }
        Ok(Welcome::Refused { reason }) => {
            let reason = format!("service {service} does not take this runner: {reason}");
            shared.say_once(&reason);
            refused.get_or_insert_with(Instant::now);
            if shared.service.is_some() {
                *lock(&shared.refused) = Some(reason);
            }
        }
        Err(_) => shared.say_once(&format!("service {service} does not speak as services do")),
    }
}

/// Begins to work for a service.
fn begin(shared: &Arc<Shared>, runner: &Arc<Runner>, service: &str, lease: Duration) {
    let (link, ends) = Link::new(service, lease);
    let link = Arc::new(link);
    lock(&shared.links).all.push(Arc::clone(&link));
    let new = || (Arc::clone(shared), Arc::clone(&link));
    let (this, of) = new();
    shared.spawn(post::run(this, of, ends.post));
    let (this, of) = new();
    shared.spawn(post::run_reports(this, of, ends.reports));
    let (this, of) = new();
    shared.spawn(hints(this, of, Arc::clone(runner)));
    let (this, of) = new();
    shared.spawn(beats(this, of));
    let (this, of) = new();
    shared.spawn(watch(this, of));
    for kind in Kind::ALL {
        if kind == Kind::Fit || shared.hello.commands {
            let (this, of) = new();
            shared.spawn(pull::run(this, of, kind));
        }
    }
    (shared.say)(&format!("working for service {service}"));
}

/// How this runner is, for one service.
fn hello(shared: &Shared, link: Option<&Arc<Link>>) -> Hello {
    let studies = |link| asking_for(shared, link);
    let asking_for = link.map(studies).unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let hand = lock(&shared.hand);
    Hello {
        busy: count(hand.n_running()),
        asking: count(hand.asking().n),
        asking_most: count(hand.asking().most),
        asking_for,
        holds: link.map(|link| hand.keys(link)).unwrap_or_default(),
        load: load(),
        draining: shared.is_leaving(),
        troubles: shared.troubles(),
        ..shared.hello.clone()
    }
}

/// The service's studies that ask a graphics card for fits, as it knows them.
fn asking_for(shared: &Shared, link: &Arc<Link>) -> Vec<StudyId> {
    let studies = lock(&shared.hand).asking().studies.clone();
    let links = lock(&shared.links);
    let outside = |study| links.outside(study).filter(|(of, _)| Arc::ptr_eq(of, link));
    studies.into_iter().filter_map(outside).map(|(_, study)| study).collect()
}

/// Whether a service was told that so much waits for graphics cards.
fn knows(told: &Hello, shared: &Shared, link: &Arc<Link>) -> bool {
    let n_asking = lock(&shared.hand).asking().n;
    n_asking <= told.asking as usize
        && asking_for(shared, link).iter().all(|study| told.asking_for.contains(study))
}

/// The machine's load over the last minute.
fn load() -> Option<f64> {
    let told = std::fs::read_to_string("/proc/loadavg").ok()?;
    told.split(' ').next()?.parse().ok().filter(|load: &f64| load.is_finite())
}

async fn beats(shared: Arc<Shared>, link: Arc<Link>) {
    let mut left = shared.is_leaving();
    while !link.is_closed() {
        let told = hello(&shared, Some(&link));
        if let Ok(hello) = serde_json::to_vec(&told)
            && shared.connection().is_some()
        {
            // The next one says the same.
            let _ = shared.client.publish(link.subjects.beats(), hello.into()).await;
        }
        let until = Instant::now() + BEAT;
        // That this runner ends is told at once, and that it can do more.
        let is_told = || left == shared.is_leaving() && knows(&told, &shared, &link);
        while Instant::now() < until && is_told() {
            tokio::time::sleep(WATCH).await;
        }
        left = shared.is_leaving();
    }
}

async fn hints(shared: Arc<Shared>, link: Arc<Link>, runner: Arc<Runner>) {
    let Ok(mut hints) = shared.client.subscribe(link.subjects.hints()).await else { return };
    let hear = runner.hints();
    while let Some(message) = hints.next().await {
        // What cannot be read is of another version, and not for us.
        let Ok((mut hint, _)) = letter::open::<ToRunner>(&message.payload) else { continue };
        let (ToRunner::StopTrial { study, .. }
        | ToRunner::StopStudy { study, .. }
        | ToRunner::Forget { study }) = &mut hint;
        *study = lock(&shared.links).inside(&link, *study);
        hear(hint);
    }
}

/// Looks whether the stream of assignments is the one that it was: an acknowledgement by number
/// would meet another assignment in a stream that was made anew.
async fn watch(shared: Arc<Shared>, link: Arc<Link>) {
    let mut created: Option<String> = None;
    let mut connection = None;
    let mut verified: Option<Instant> = None;
    while !link.is_closed() {
        let now = shared.connection();
        if now.is_none() || now != connection {
            link.is_sure.store(false, Ordering::SeqCst);
        }
        let is_due = verified.is_none_or(|at| at.elapsed() >= VERIFY);
        if now.is_some()
            && (is_due || !link.is_sure())
            && let Some(found) = created_at(&shared, &link).await
        {
            if created.as_ref().is_some_and(|known| *known != found) {
                link.epoch.fetch_add(1, Ordering::SeqCst);
            }
            if created.is_some() && now != connection {
                lock(&shared.hand).hurry(&link);
                *lock(&shared.rest_until) = Some(Instant::now() + HEAD_START);
            }
            created = Some(found);
            connection = now;
            verified = Some(Instant::now());
            link.is_sure.store(true, Ordering::SeqCst);
            shared.tick();
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// When the stream of assignments was made, as NATS says it.
async fn created_at(shared: &Shared, link: &Link) -> Option<String> {
    let subject = format!("$JS.API.STREAM.INFO.{}", link.subjects.work_stream());
    let answer = shared.request(subject, HeaderMap::new(), Vec::new()).await?;
    let told: serde_json::Value = serde_json::from_slice(&answer.payload).ok()?;
    Some(told.get("created")?.as_str()?.to_owned())
}
