//! The runners: who is there, who may work, and how much all of them can take.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic;
use std::time::{Duration, Instant};

use async_nats::Subscriber;
use fleetfit_search_spaces::wire::join::{Hello, Welcome};
use fleetfit_search_spaces::wire::letter::VERSION;
use fleetfit_search_spaces::wire::{AssignmentKey, StudyId, ToRunner};
use futures_util::StreamExt;

use super::{Heard, Notes, Post, outbox};
use crate::engine::{Capacity, Note};

/// After so long without a word a runner is gone.
const GONE: Duration = Duration::from_secs(10);
/// For so long one that is gone or was refused is still shown.
const SHOWN: Duration = Duration::from_secs(600);
/// For so long a runner may be at something that nobody wants before it is told so again.
const UNWANTED: Duration = Duration::from_secs(8);
/// How often the capacity is looked at.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// How many assignments are out for each that a runner can do at once: one that it does, and what
/// is on the way to it and back.
const WINDOW: u32 = 3;
/// How many runners are remembered at most.
const MOST: usize = 10_000;

/// How a runner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerState {
    /// It works, or waits for work.
    Working,
    /// It finishes what it has and takes no more.
    Draining,
    /// It was not heard of for a while.
    Gone,
    /// It speaks another version of the wire.
    Refused,
}

/// A runner, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerView {
    /// What it says of itself.
    pub hello: Hello,
    /// How it is.
    pub state: RunnerState,
    /// For how long it has not been heard of.
    pub silent: Duration,
}

#[derive(Debug)]
struct Runner {
    hello: Hello,
    heard: Instant,
}

/// Everybody who was heard of.
#[derive(Debug, Default)]
pub(super) struct Census {
    runners: BTreeMap<String, Runner>,
}

impl Census {
    fn hear(&mut self, hello: Hello, now: Instant) {
        self.runners.retain(|_, runner| now.duration_since(runner.heard) < SHOWN);
        if self.runners.len() < MOST || self.runners.contains_key(&hello.runner) {
            self.runners.insert(hello.runner.clone(), Runner { hello, heard: now });
        }
    }

    fn working(&self, now: Instant) -> impl Iterator<Item = &Hello> {
        self.runners.values().filter(move |runner| runner.is_there(now)).map(|runner| &runner.hello)
    }

    fn capacity(&self, now: Instant) -> Capacity {
        let mut capacity = Capacity::default();
        for hello in self.working(now).filter(|hello| !hello.draining) {
            let window = hello.slots.saturating_mul(WINDOW);
            let fits = window.saturating_add(hello.asking);
            capacity.fits = capacity.fits.saturating_add(fits);
            // A runner without a card trains those, too.
            let asking = if hello.asking_most == 0 { window } else { hello.asking_most };
            capacity.asking = capacity.asking.saturating_add(asking);
            if hello.commands {
                capacity.commands = capacity.commands.saturating_add(window);
            }
        }
        capacity
    }

    /// The studies that ask their graphics cards for fits.
    fn asking(&self, now: Instant) -> BTreeSet<StudyId> {
        self.working(now).flat_map(|hello| hello.asking_for.iter().copied()).collect()
    }

    /// What runners that are there say that they hold, also those of other versions: they finish it.
    pub(super) fn held(&self) -> BTreeSet<AssignmentKey> {
        let now = Instant::now();
        let there = self.runners.values().filter(|runner| runner.is_heard(now));
        there.flat_map(|runner| runner.hello.holds.iter().copied()).collect()
    }

    /// All of them, as a service of this version sees them. What one lacks that is refused is said
    /// first.
    pub(super) fn views(&self, version: &str) -> Vec<RunnerView> {
        let now = Instant::now();
        let view = |runner: &Runner| {
            let mut hello = runner.hello.clone();
            hello.troubles.splice(..0, refusal(&runner.hello, version));
            RunnerView {
                state: match hello.wire {
                    _ if !runner.is_heard(now) => RunnerState::Gone,
                    VERSION if hello.draining => RunnerState::Draining,
                    VERSION => RunnerState::Working,
                    _ => RunnerState::Refused,
                },
                hello,
                silent: now.duration_since(runner.heard),
            }
        };
        self.runners.values().map(view).collect()
    }
}

impl Runner {
    fn is_heard(&self, now: Instant) -> bool {
        now.duration_since(self.heard) < GONE
    }

    fn is_there(&self, now: Instant) -> bool {
        self.hello.wire == VERSION && self.is_heard(now)
    }
}

/// What a runner is answered that introduces itself.
fn welcome(hello: &Hello, version: &str, lease: Duration) -> Welcome {
    match refusal(hello, version) {
        None => Welcome::Accepted { lease_s: lease.as_secs_f64() },
        Some(reason) => Welcome::Refused { reason },
    }
}

/// Why a service of this version has no work for a runner.
fn refusal(hello: &Hello, version: &str) -> Option<String> {
    let Hello { version: theirs, wire, .. } = hello;
    let (age, change) = match wire.cmp(&VERSION) {
        Ordering::Equal => return None,
        Ordering::Less => ("an older", "update the runner"),
        Ordering::Greater => ("a newer", "update the service"),
    };
    Some(format!(
        "runner fleetfit {theirs} speaks {age} version of the wire ({wire}) than service fleetfit \
         {version} ({VERSION}): {change}"
    ))
}

/// Answers runners that introduce themselves.
pub(super) async fn run_joins(post: Arc<Post>, mut joins: Subscriber) {
    while let Some(message) = joins.next().await {
        let (Ok(hello), Some(reply)) =
            (serde_json::from_slice::<Hello>(&message.payload), message.reply)
        else {
            continue;
        };
        let welcome = welcome(&hello, &post.options.version, post.options.lease);
        match &welcome {
            Welcome::Accepted { .. } => {
                post.say(&format!("runner {} on {} joined", hello.name, hello.host));
            }
            Welcome::Refused { reason } => {
                post.say_once(&format!(
                    "runner {} on {} gets no work: {reason}",
                    hello.name, hello.host
                ));
            }
        }
        post.census().hear(hello, Instant::now());
        if let Ok(bytes) = serde_json::to_vec(&welcome) {
            // A runner that hears nothing asks again.
            drop(post.client.publish(reply, bytes.into()).await);
        }
    }
}

/// Hears that runners are there.
pub(super) async fn run_beats(post: Arc<Post>, mut beats: Heard) {
    let mut unwanted = Unwanted::default();
    while let Some(message) = beats.next().await {
        let Ok(hello) = serde_json::from_slice::<Hello>(&message.payload) else { continue };
        for trouble in &hello.troubles {
            post.say_once(&format!("runner {} on {}: {trouble}", hello.name, hello.host));
        }
        let hints = {
            let mut out = post.out();
            hello.holds.iter().for_each(|key| out.hear(key));
            // Before that, what is out may not be known yet.
            let is_known = post.is_drained.load(atomic::Ordering::Relaxed) && !post.is_superseded();
            let is_wanted = |key: &AssignmentKey| !out.of_study(key.study, u64::MAX).is_empty();
            let stale = hello.holds.iter().filter(|key| is_known && !is_wanted(key));
            unwanted.hear(stale, Instant::now())
        };
        for hint in &hints {
            outbox::tell(&post, hint).await;
        }
        post.census().hear(hello, Instant::now());
    }
}

/// What runners are at although nothing of its study is out: whoever should have stopped it was not
/// heard.
#[derive(Default)]
struct Unwanted {
    /// When it was heard of first.
    since: BTreeMap<AssignmentKey, Instant>,
}

impl Unwanted {
    /// What runners have to be told again.
    fn hear<'a>(
        &mut self,
        stale: impl Iterator<Item = &'a AssignmentKey>,
        now: Instant,
    ) -> Vec<ToRunner> {
        self.since.retain(|_, since| now.duration_since(*since) < 2 * UNWANTED);
        let mut hints = Vec::new();
        for key in stale {
            // What has just ended may still be on a list.
            if now.duration_since(*self.since.entry(*key).or_insert(now)) >= UNWANTED {
                let (study, before) = (key.study, key.number + 1);
                let reason = "the study is over".to_owned();
                hints.push(ToRunner::StopStudy { study, before, reason });
            }
        }
        hints
    }
}

/// Tells the engine how much may be out, once what was told before this start is with it.
pub(super) async fn run_capacity(post: Arc<Post>, notes: Arc<Notes>) {
    let (mut told, mut told_asking) = (Capacity::default(), BTreeSet::new());
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        if !post.is_drained.load(atomic::Ordering::Relaxed) || post.is_superseded() {
            continue;
        }
        let (capacity, asking) = {
            let (census, now) = (post.census(), Instant::now());
            (census.capacity(now), census.asking(now))
        };
        if asking != told_asking {
            if !notes(Note::Asking(asking.clone())) {
                return;
            }
            told_asking = asking;
        }
        if capacity != told {
            if !notes(Note::Capacity(capacity)) {
                return;
            }
            told = capacity;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_unwanted_is_stopped_again() {
        let key = |number| AssignmentKey { study: StudyId(1), number, attempt: 1 };
        let start = Instant::now();
        let mut unwanted = Unwanted::default();
        let mut hear = |numbers: &[u64], after: Duration| {
            let keys: Vec<AssignmentKey> = numbers.iter().map(|number| key(*number)).collect();
            unwanted.hear(keys.iter(), start + after)
        };
        assert!(hear(&[5, 6], Duration::ZERO).is_empty(), "it may just have ended");
        assert!(hear(&[], UNWANTED / 2).is_empty());
        let hints = hear(&[6], UNWANTED);
        let [ToRunner::StopStudy { study: StudyId(1), before: 7, .. }] = hints[..] else {
            panic!("{hints:?}")
        };
        assert_eq!(hear(&[6], UNWANTED + UNWANTED / 2).len(), 1, "until it is heard");
        assert!(hear(&[6], 3 * UNWANTED).is_empty(), "that is another time");
    }

    fn hello(runner: &str, slots: u32) -> Hello {
        Hello { runner: runner.into(), slots, wire: VERSION, ..Hello::default() }
    }

    #[test]
    fn capacity_is_that_of_runners_that_are_there() {
        let now = Instant::now();
        let mut census = Census::default();
        census.hear(hello("a", 2), now);
        census.hear(Hello { commands: true, ..hello("b", 1) }, now);
        census.hear(Hello { draining: true, ..hello("c", 8) }, now);
        census.hear(Hello { wire: VERSION + 1, ..hello("d", 8) }, now);
        assert_eq!(census.capacity(now), Capacity { fits: 9, asking: 9, commands: 3 });
        // Two of at most eight assignments wait for its graphics card.
        let asking_for = vec![StudyId(4), StudyId(2)];
        let asking = Hello { asking: 2, asking_most: 8, asking_for, ..hello("a", 2) };
        census.hear(asking, now);
        assert_eq!(census.capacity(now), Capacity { fits: 11, asking: 11, commands: 3 });
        census.hear(Hello { asking_for: vec![StudyId(2)], ..hello("b", 1) }, now);
        assert_eq!(census.asking(now), BTreeSet::from([2, 4].map(StudyId)));
        assert!(census.asking(now + GONE).is_empty());
        census.hear(Hello { commands: true, ..hello("b", 1) }, now);
        census.hear(hello("a", 2), now);
        let later = now + GONE / 2;
        census.hear(hello("a", 2), later);
        assert_eq!(census.capacity(now + GONE), Capacity { fits: 6, asking: 6, commands: 0 });
    }

    #[test]
    fn what_a_runner_of_another_version_finishes_is_with_it() {
        let of = AssignmentKey { study: StudyId(1), number: 4, attempt: 1 };
        let mut census = Census::default();
        let older = Hello { wire: VERSION - 1, holds: vec![of], ..hello("a", 1) };
        census.hear(older, Instant::now());
        assert!(census.held().contains(&of));
        assert_eq!(census.capacity(Instant::now()), Capacity::default());
    }

    #[test]
    fn other_versions_are_told_what_to_do() {
        let lease = Duration::from_secs(30);
        let mut other = Hello { version: "0.0.9".into(), wire: VERSION - 1, ..hello("a", 1) };
        let Welcome::Refused { reason } = welcome(&other, "0.1.0", lease) else { panic!() };
        assert!(reason.contains("an older version") && reason.contains("update the runner"));
        other.wire = VERSION + 1;
        let Welcome::Refused { reason } = welcome(&other, "0.1.0", lease) else { panic!() };
        assert!(reason.contains("a newer version") && reason.contains("update the service"));
    }
}
