//! What is told to a service: letters, one after the other, each sent until it is stored.
//!
//! Order matters: what a runner tells of an assignment must be there before its end is. So there is
//! one letter under way at a time, and whatever is told meanwhile goes into the next one. An
//! assignment whose files are still on their way waits for them without holding up the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::wire::letter;
use fleetfit_search_spaces::{AssignmentKey, End, FromRunner, Outcome, Reached};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use super::link::Link;
use super::{Shared, hand, lock};
use crate::runner::ATTACHED;

/// How long a letter waits for more to say.
const LINGER: Duration = Duration::from_millis(3);

/// How much a letter holds, about, in bytes and in messages.
const LETTER_BYTES: usize = 384 << 10;
const LETTER_MESSAGES: usize = 4_096;

/// How long to wait before a letter that was not stored is sent again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is queued for a service. Keys are those with numbers of this process.
pub(super) enum Item {
    /// A message in the service's own terms, and bytes that it refers to.
    Told { of: AssignmentKey, message: FromRunner, bytes: Vec<u8> },
    /// Files of the assignment are on their way: what is told of it from here on waits.
    Uploading(AssignmentKey),
    /// They have arrived, or were refused.
    Uploaded(AssignmentKey),
    /// Nobody takes them: the assignment goes back, by the service's own key, and nothing that waited
    /// is told.
    Unsent(AssignmentKey, AssignmentKey),
}

/// What is to be said.
#[derive(Default)]
struct Queue {
    ready: VecDeque<Told>,
    waiting: BTreeMap<AssignmentKey, Waiting>,
}

/// What waits for files: how many are on their way before each.
#[derive(Default)]
struct Waiting {
    items: VecDeque<Option<Told>>,
    n_arrived: usize,
}

struct Told {
    of: AssignmentKey,
    message: FromRunner,
    bytes: Vec<u8>,
}

struct Letter {
    messages: Vec<FromRunner>,
    attachment: Vec<u8>,
    ended: Vec<AssignmentKey>,
}

/// Tells the service everything, until the bus ends.
pub(super) async fn run(shared: Arc<Shared>, link: Arc<Link>, mut items: UnboundedReceiver<Item>) {
    let mut queue = Queue::default();
    let mut n_letters = 0_u64;
    while let Some(item) = items.recv().await {
        queue.take(item);
        if queue.ready.is_empty() {
            continue;
        }
        tokio::time::sleep(LINGER).await;
        loop {
            while let Ok(item) = items.try_recv() {
                queue.take(item);
            }
            let Some(letter) = queue.letter() else { break };
            n_letters += 1;
            // Unique for ever: the runner's id is, and so is the service's.
            let id = format!("{}-{n_letters}", shared.hello.runner);
            send(&shared, &link, &letter, &id).await;
            for key in letter.ended {
                hand::settle(&shared, &link, key).await;
            }
        }
    }
}

/// Tells reports of running trials, which may be lost. While NATS is away they wait, as many as may.
pub(super) async fn run_reports(
    shared: Arc<Shared>,
    link: Arc<Link>,
    mut reports: Receiver<FromRunner>,
) {
    let mut together = Vec::new();
    while reports.recv_many(&mut together, 1_000).await > 0 {
        while !link.is_sure() && !link.is_closed() {
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        if let Ok(bytes) = letter::seal(&together, &[]) {
            let _ = shared.client.publish(link.subjects.reports(), bytes.into()).await;
        }
        together.clear();
    }
}

/// Sends a letter until the service's stream has it.
async fn send(shared: &Shared, link: &Link, letter: &Letter, id: &str) {
    let bytes = match letter::seal(&letter.messages, &letter.attachment) {
        Ok(bytes) => bytes,
        // Made of what serialises; and if it were not, the scheduler asks for it again.
        Err(error) => return shared.trouble(&error.to_string()),
    };
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
    let mut pause = FIRST_PAUSE;
    loop {
        let sent = shared.request(link.subjects.ends(), headers.clone(), bytes.clone()).await;
        // Where none comes NATS is away, or the stream: both come back.
        if let Some(answer) = sent
            && answer.status.is_none()
        {
            match refusal(&answer.payload) {
                None => return,
                Some(why) => {
                    shared.trouble(&format!("NATS does not store what this runner tells: {why}"))
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why JetStream has not stored a letter; none if it has.
fn refusal(answer: &[u8]) -> Option<String> {
    let told: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    match told.get("error") {
        None if told.get("stream").is_some() => None,
        None => Some("its answer makes no sense".to_owned()),
        Some(error) => {
            let why = error.get("description").and_then(|why| why.as_str());
            Some(why.unwrap_or("it gives no reason").to_owned())
        }
    }
}

impl Queue {
    fn take(&mut self, item: Item) {
        match item {
            Item::Uploading(of) => self.waiting.entry(of).or_default().items.push_back(None),
            Item::Uploaded(of) => {
                let Some(waiting) = self.waiting.get_mut(&of) else { return };
                waiting.n_arrived += 1;
                while let Some(first) = waiting.items.front() {
                    if first.is_none() {
                        if waiting.n_arrived == 0 {
                            break;
                        }
                        waiting.n_arrived -= 1;
                    }
                    self.ready.extend(waiting.items.pop_front().flatten());
                }
                if waiting.items.is_empty() {
                    self.waiting.remove(&of);
                }
            }
            Item::Unsent(of, known_as) => {
                if self.waiting.remove(&of).is_some() {
                    let message = FromRunner::Returned { of: known_as, reason: None };
                    self.ready.push_back(Told { of, message, bytes: Vec::new() });
                }
            }
            Item::Told { of, message, bytes } => {
                for message in split(message) {
                    let told = Told { of, message, bytes: bytes.clone() };
                    match self.waiting.get_mut(&of) {
                        Some(waiting) => waiting.items.push_back(Some(told)),
                        None => self.ready.push_back(told),
                    }
                }
            }
        }
    }

    /// The next letter; none if there is nothing to say.
    fn letter(&mut self) -> Option<Letter> {
        let mut letter = Letter { messages: Vec::new(), attachment: Vec::new(), ended: Vec::new() };
        let mut n_bytes = 0;
        while let Some(told) = self.ready.front() {
            n_bytes += weight(&told.message) + told.bytes.len();
            let is_full = n_bytes > LETTER_BYTES || letter.messages.len() >= LETTER_MESSAGES;
            if is_full && !letter.messages.is_empty() {
                break;
            }
            let Some(Told { of, mut message, bytes }) = self.ready.pop_front() else { break };
            match &mut message {
                FromRunner::Refitted { models, .. } => shift(models, letter.attachment.len()),
                FromRunner::Done { .. } | FromRunner::Returned { .. } => letter.ended.push(of),
                _ => {}
            }
            letter.attachment.extend_from_slice(&bytes);
            letter.messages.push(message);
        }
        (!letter.messages.is_empty()).then_some(letter)
    }
}

/// Where the models' bytes are in a letter that has others before them.
fn shift(models: &mut [Refit], by: usize) {
    for address in models.iter_mut().filter_map(|refit| refit.model.as_mut().ok()) {
        if address.pack == ATTACHED {
            address.offset += by as u64;
        }
    }
}

/// Outcomes by portions that fit into a letter.
fn split(message: FromRunner) -> Vec<FromRunner> {
    match message {
        FromRunner::Outcomes { of, outcomes, launched } => {
            let portions = portions(outcomes, weight_of).into_iter();
            portions.map(|outcomes| FromRunner::Outcomes { of, outcomes, launched }).collect()
        }
        FromRunner::Reached { of, trials, launched } => {
            let portions = portions(trials, weight_of_rung).into_iter();
            portions.map(|trials| FromRunner::Reached { of, trials, launched }).collect()
        }
        message => vec![message],
    }
}

fn portions<T>(all: Vec<T>, weight: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut portions = Vec::new();
    let mut portion = Vec::new();
    let mut n_bytes = 0;
    for one in all {
        let more = weight(&one);
        if n_bytes + more > LETTER_BYTES && !portion.is_empty() {
            portions.push(std::mem::take(&mut portion));
            n_bytes = 0;
        }
        n_bytes += more;
        portion.push(one);
    }
    portions.push(portion);
    portions
}

fn weight_of_rung(trial: &Reached) -> usize {
    const TRIAL: usize = 200;
    const VALUE: usize = 25;
    TRIAL + VALUE * trial.values.len()
}

/// About how many bytes a message has at most.
fn weight(message: &FromRunner) -> usize {
    const MODEL: usize = 200;
    100 + match message {
        FromRunner::Outcomes { outcomes, .. } => outcomes.iter().map(weight_of).sum(),
        FromRunner::Reached { trials, .. } => trials.iter().map(weight_of_rung).sum(),
        FromRunner::Refitted { models, .. } => {
            let reason = |refit: &Refit| refit.model.as_ref().err().map_or(0, |why| 6 * why.len());
            models.iter().map(|refit| MODEL + reason(refit)).sum()
        }
        FromRunner::Returned { reason, .. } => 6 * reason.as_ref().map_or(0, String::len),
        _ => 100,
    }
}

fn weight_of(outcome: &Outcome) -> usize {
    // A character that needs escaping takes six.
    let reason = match &outcome.end {
        End::Completed { .. } => 0,
        End::Stopped { reason, .. } | End::Failed { reason } => 6 * reason.len(),
    };
    220 + reason + 64 * outcome.reports.len()
}

/// Queues winners and the bytes of their models.
pub(super) fn models(shared: &Shared, of: AssignmentKey, models: Vec<Refit>, bytes: Vec<u8>) {
    let Some(link) = lock(&shared.hand).link(of) else { return };
    let message = FromRunner::Refitted { of: link.outside(of), models };
    link.post(Item::Told { of, message, bytes });
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::StudyId;
    use fleetfit_search_spaces::wire::ModelAddress;

    use super::*;

    fn key(number: u64) -> AssignmentKey {
        AssignmentKey { study: StudyId(1), number, attempt: 1 }
    }

    fn done(number: u64) -> Item {
        let of = key(number);
        Item::Told { of, message: FromRunner::Done { of }, bytes: Vec::new() }
    }

    fn ended(queue: &mut Queue) -> Vec<u64> {
        let letter = queue.letter();
        letter.map_or_else(Vec::new, |letter| letter.ended.iter().map(|key| key.number).collect())
    }

    #[test]
    fn what_waits_for_files_holds_up_nobody_else() {
        let mut queue = Queue::default();
        queue.take(Item::Uploading(key(1)));
        queue.take(done(1));
        queue.take(done(2));
        assert_eq!(ended(&mut queue), [2]);
        queue.take(Item::Uploaded(key(1)));
        assert_eq!(ended(&mut queue), [1]);
        assert!(queue.waiting.is_empty() && queue.letter().is_none());
    }

    #[test]
    fn what_cannot_be_brought_goes_back_without_a_word_of_its_end() {
        let mut queue = Queue::default();
        queue.take(Item::Uploading(key(1)));
        queue.take(done(1));
        queue.take(Item::Unsent(key(1), key(7)));
        let told = queue.letter().unwrap().messages;
        assert!(
            matches!(&told[..], [FromRunner::Returned { of, reason: None }] if *of == key(7)),
            "{told:?}"
        );
        queue.take(Item::Unsent(key(1), key(7)));
        assert!(queue.waiting.is_empty() && queue.letter().is_none());
    }

    #[test]
    fn files_of_several_trials_keep_the_order() {
        let mut queue = Queue::default();
        let outcome = |number| {
            let of = key(1);
            let message = FromRunner::Returned { of, reason: Some(format!("{number}")) };
            Item::Told { of, message, bytes: Vec::new() }
        };
        queue.take(Item::Uploading(key(1)));
        queue.take(outcome(1));
        queue.take(Item::Uploading(key(1)));
        queue.take(outcome(2));
        queue.take(Item::Uploaded(key(1)));
        assert_eq!(queue.letter().unwrap().messages.len(), 1);
        queue.take(Item::Uploaded(key(1)));
        assert_eq!(queue.letter().unwrap().messages.len(), 1);
        assert!(queue.waiting.is_empty());
    }

    #[test]
    fn attachments_are_found_behind_others() {
        let mut queue = Queue::default();
        for number in 1..=2 {
            let of = key(number);
            let length = 3;
            let address = ModelAddress { digest: "d".into(), pack: ATTACHED, offset: 0, length };
            let refit = Refit { entity: 0, configuration: 0, model: Ok(address) };
            let message = FromRunner::Refitted { of, models: vec![refit] };
            queue.take(Item::Told { of, message, bytes: vec![number as u8; 3] });
        }
        let letter = queue.letter().unwrap();
        let offsets: Vec<u64> = letter
            .messages
            .iter()
            .map(|message| match message {
                FromRunner::Refitted { models, .. } => models[0].model.as_ref().unwrap().offset,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((offsets, letter.attachment), (vec![0, 3], vec![1, 1, 1, 2, 2, 2]));
    }

    #[test]
    fn much_becomes_several_letters() {
        let outcome = |configuration| Outcome {
            configuration,
            entity: 0,
            end: End::Failed { reason: "\u{1}".repeat(1_000) },
            fits: 0,
            started_ms: 0,
            ended_ms: 0,
            reports: Vec::new(),
            further: Vec::new(),
        };
        let mut queue = Queue::default();
        let message = FromRunner::Outcomes {
            of: key(1),
            outcomes: (0..300).map(outcome).collect(),
            launched: false,
        };
        queue.take(Item::Told { of: key(1), message, bytes: Vec::new() });
        queue.take(done(1));
        let (mut n_outcomes, mut n_letters) = (0, 0);
        while let Some(letter) = queue.letter() {
            n_letters += 1;
            let bytes = letter::seal(&letter.messages, &letter.attachment).unwrap();
            assert!(bytes.len() < 512 << 10, "{}", bytes.len());
            for message in letter.messages {
                if let FromRunner::Outcomes { outcomes, .. } = message {
                    n_outcomes += outcomes.len();
                }
            }
        }
        assert!(n_letters > 2);
        assert_eq!(n_outcomes, 300);
    }

    #[test]
    fn only_what_is_stored_counts_as_sent() {
        assert_eq!(refusal(br#"{"stream":"S","seq":3,"duplicate":true}"#), None);
        let full = br#"{"error":{"code":503,"description":"maximum bytes exceeded"}}"#;
        assert_eq!(refusal(full).as_deref(), Some("maximum bytes exceeded"));
        assert!(refusal(b"").is_some());
    }
}
