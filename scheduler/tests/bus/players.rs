//! Both ends of the bus as the tests play them: an engine that is a channel, a runner that does what
//! it is told.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, AckKind, Context, Message};
use async_nats::{Client, Request, Subscriber};
use fleetfit_scheduler::bus::{Answers, Bus, BusError, BusHandle, BusOptions};
use fleetfit_scheduler::engine::{Capacity, Note, Outlets, Receipt};
use fleetfit_search_spaces::wire::join::{Answer, BlobPiece, Hello, Welcome};
use fleetfit_search_spaces::wire::letter;
use fleetfit_search_spaces::wire::subjects::{Kind, Subjects};
use fleetfit_search_spaces::wire::{AssignmentKey, StudyId, StudySpec, Task};
use fleetfit_search_spaces::{Assignment, FromRunner};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::server::{PATIENCE, Server};

pub(crate) const SERVICE: &str = "abcdefghijkl";

pub(crate) fn key(study: u32, number: u64) -> AssignmentKey {
    AssignmentKey { study: StudyId(study), number, attempt: 1 }
}

pub(crate) fn assignment(of: AssignmentKey) -> Assignment {
    Assignment { key: of, task: Task::Try(Vec::new()) }
}

/// What the bus said to the operator.
pub(crate) type Said = Arc<Mutex<Vec<String>>>;

pub(crate) fn answers(said: &Said) -> Answers {
    let said = Arc::clone(said);
    Answers {
        study: Box::new(|study| {
            Answer::Done(StudySpec {
                study,
                name: "s".into(),
                job_file: "job.yaml".into(),
                job_text: "type: sweep".into(),
                sets: Vec::new(),
                folder: None,
                seed: 7,
                entities: 1,
                material: None,
            })
        }),
        blob: Box::new(|request| match request.digest.as_str() {
            "there" => Answer::Done((BlobPiece { total: 9 }, b"blob".to_vec())),
            _ => Answer::Refused { reason: "no such blob".into() },
        }),
        upload: Box::new(|upload, bytes| match bytes.len() as u64 == upload.total {
            true => Answer::Done(()),
            false => Answer::Later { reason: "the disk is full".into() },
        }),
        models: Box::new(|_, mut models, attachment| {
            for address in models.iter_mut().filter_map(|refit| refit.model.as_mut().ok()) {
                let at = address.offset as usize;
                assert_eq!(&attachment[at..at + address.length as usize], b"model");
                (address.pack, address.offset) = (3, 1_000);
            }
            Ok(models)
        }),
        say: Box::new(move |text| said.lock().unwrap().push(text.to_owned())),
    }
}

pub(crate) fn options(service: &str, lease: Duration) -> BusOptions {
    let (service, version, host) = (service.into(), "0.1.0".into(), "here".into());
    BusOptions { service, version, host, lease }
}

/// The scheduler's end, with a channel in the engine's place.
pub(crate) struct Scheduler {
    pub(crate) bus: BusHandle,
    pub(crate) outlets: Outlets,
    pub(crate) said: Said,
    notes: Receiver<Note>,
}

impl Scheduler {
    pub(crate) fn open(server: &Server, runtime: &Handle, lease: Duration) -> (Bus, Said) {
        let said = Said::default();
        let client = server.connect(runtime);
        let bus = Bus::open(client, runtime.clone(), options(SERVICE, lease), answers(&said));
        (bus.unwrap_or_else(|error: BusError| panic!("{error}")), said)
    }

    pub(crate) fn begin(bus: Bus, said: Said) -> Self {
        let (notes, inbox) = channel();
        let outlets = bus.outlets();
        let bus = bus.start(move |note| notes.send(note).is_ok());
        Self { bus, outlets, said, notes: inbox }
    }

    pub(crate) fn start(server: &Server, runtime: &Handle, lease: Duration) -> Self {
        let (bus, said) = Self::open(server, runtime, lease);
        Self::begin(bus, said)
    }

    pub(crate) fn hand_out(&mut self, of: AssignmentKey) {
        (self.outlets.dispatch)(Kind::Fit, assignment(of));
    }

    /// The next thing that is told, with its receipt.
    pub(crate) fn heard(&self) -> (Vec<FromRunner>, Option<Receipt>) {
        self.heard_within(PATIENCE).expect("something is told")
    }

    /// The same, if it is told within this time.
    pub(crate) fn heard_within(
        &self,
        time: Duration,
    ) -> Option<(Vec<FromRunner>, Option<Receipt>)> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.notes.recv_timeout(left).ok()? {
                Note::Heard { messages, receipt } => return Some((messages, receipt)),
                _ => continue,
            }
        }
    }

    /// Waits until so much may be out.
    pub(crate) fn capacity(&self, wanted: Capacity) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Note::Capacity(found) = self.notes.recv_timeout(left).expect("a capacity")
                && found == wanted
            {
                return;
            }
        }
    }

    /// Collects the assignments that come back until so many have; does something in between.
    pub(crate) fn returned(&self, n: usize, mut meanwhile: impl FnMut()) -> Vec<AssignmentKey> {
        let (mut keys, until) = (Vec::new(), Instant::now() + PATIENCE);
        while keys.len() < n {
            assert!(Instant::now() < until, "only {keys:?} came back");
            meanwhile();
            let Ok(Note::Heard { messages, .. }) =
                self.notes.recv_timeout(Duration::from_millis(200))
            else {
                continue;
            };
            for message in messages {
                match message {
                    FromRunner::Returned { of, reason: None } => keys.push(of),
                    other => panic!("{other:?}"),
                }
            }
        }
        keys.sort();
        keys
    }
}

/// What a runner hears of hints.
pub(crate) struct Hints {
    hints: Subscriber,
    runtime: Handle,
}

impl Hints {
    /// The next one's bytes.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let next = async { tokio::time::timeout(PATIENCE, self.hints.next()).await };
        let hint = self.runtime.block_on(next).expect("a hint in time");
        hint.expect("a connection").payload.to_vec()
    }
}

/// A runner that does what the test tells it.
pub(crate) struct Runner {
    client: Client,
    runtime: Handle,
    pub(crate) subjects: Subjects,
}

impl Runner {
    pub(crate) fn start(server: &Server, runtime: &Handle) -> Self {
        let client = server.connect(runtime);
        Self { client, runtime: runtime.clone(), subjects: Subjects::of(SERVICE) }
    }

    /// For questions that are answered however busy the machine is.
    fn jetstream(&self) -> Context {
        let _on = self.runtime.enter();
        let mut jetstream = jetstream::new(self.client.clone());
        jetstream.set_timeout(PATIENCE);
        jetstream
    }

    pub(crate) fn join(&self, hello: &Hello) -> Welcome {
        let asked = self.ask(self.subjects.join(), serde_json::to_vec(hello).unwrap());
        serde_json::from_slice(&asked).unwrap()
    }

    pub(crate) fn beat(&self, hello: &Hello) {
        let bytes = serde_json::to_vec(hello).unwrap();
        self.runtime.block_on(async {
            self.client.publish(self.subjects.beats(), bytes.into()).await.unwrap();
            self.client.flush().await.unwrap();
        });
    }

    /// What is hinted at from here on.
    pub(crate) fn hints(&self) -> Hints {
        let hints = self.runtime.block_on(self.client.subscribe(self.subjects.hints())).unwrap();
        // NATS knows of it once it has answered what came after it.
        self.runtime.block_on(self.jetstream().query_account()).unwrap();
        Hints { hints, runtime: self.runtime.clone() }
    }

    pub(crate) fn ask(&self, subject: String, bytes: Vec<u8>) -> Vec<u8> {
        let request = Request::new().payload(bytes.into()).timeout(Some(PATIENCE));
        let asked = self.runtime.block_on(self.client.send_request(subject, request));
        asked.unwrap().payload.to_vec()
    }

    pub(crate) fn ask_letter<T: DeserializeOwned>(
        &self,
        subject: String,
        request: &impl Serialize,
        attachment: &[u8],
    ) -> (Answer<T>, Vec<u8>) {
        let answer = self.ask(subject, letter::seal(request, attachment).unwrap());
        let (answer, attachment) = letter::open(&answer).unwrap();
        (answer, attachment.to_vec())
    }

    /// Takes the next assignment, within this time.
    pub(crate) fn take_within(&self, time: Duration) -> Option<(Assignment, Message)> {
        let until = Instant::now() + time;
        let message = self.runtime.block_on(async {
            let jetstream = jetstream::new(self.client.clone());
            while Instant::now() < until {
                let stream = self.subjects.work_stream();
                // While NATS is away or makes its streams again there is nothing to take.
                let consumer: Result<PullConsumer, _> =
                    jetstream.get_consumer_from_stream(Kind::Fit.word(), stream).await;
                let Ok(consumer) = consumer else { continue };
                let batch = consumer.batch().max_messages(1).expires(Duration::from_millis(300));
                let Ok(mut batch) = batch.messages().await else { continue };
                if let Some(Ok(message)) = batch.next().await {
                    return Some(message);
                }
            }
            None
        })?;
        let assignment = letter::open(&message.payload).unwrap().0;
        Some((assignment, message))
    }

    pub(crate) fn take(&self) -> (Assignment, Message) {
        self.take_within(PATIENCE).expect("an assignment")
    }

    /// Tells two things, one of which does not reach the scheduler: it went elsewhere, and nobody says
    /// that he has it.
    pub(crate) fn snatch(&self, told: [FromRunner; 2]) -> (Message, FromRunner) {
        let snatched = self.runtime.block_on(async {
            let jetstream = self.jetstream();
            let mut consumer: PullConsumer =
                jetstream.get_consumer_from_stream("service", self.subjects.ends_stream()).await?;
            let batch = consumer.batch().max_messages(1).expires(PATIENCE);
            let mut batch = batch.messages().await?;
            // NATS serves in turn those that wait, so both have to: the scheduler and this runner.
            while consumer.info().await?.num_waiting < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for message in &told {
                let bytes = letter::seal(message, &[])?;
                let message = PublishMessage::build().payload(bytes.into());
                jetstream.send_publish(self.subjects.ends(), message).await?.await?;
            }
            batch.next().await.ok_or("nothing came")?
        });
        let snatched: Message = snatched.unwrap();
        let told = letter::open(&snatched.payload).unwrap().0;
        (snatched, told)
    }

    /// Has a message told again, to whoever is there.
    pub(crate) fn refuse(&self, message: &Message) {
        self.runtime.block_on(message.ack_with(AckKind::Nak(None))).unwrap();
    }

    pub(crate) fn acknowledge(&self, message: &Message) {
        self.runtime.block_on(message.double_ack()).unwrap();
    }

    pub(crate) fn tell_bytes(&self, bytes: Vec<u8>) {
        self.publish(self.subjects.ends(), PublishMessage::build().payload(bytes.into()));
    }

    /// Puts something into a stream under this id, as a service would.
    pub(crate) fn put(&self, subject: String, id: &str, bytes: Vec<u8>) {
        self.publish(subject, PublishMessage::build().message_id(id).payload(bytes.into()));
    }

    fn publish(&self, subject: String, message: PublishMessage) {
        self.runtime.block_on(async {
            let jetstream = self.jetstream();
            jetstream.send_publish(subject, message).await.unwrap().await.unwrap();
        });
    }

    /// Has the consumer of fits ask for something else.
    pub(crate) fn asks_for(&self, subject: &str) {
        self.runtime.block_on(async {
            let jetstream = self.jetstream();
            let stream = jetstream.get_stream(self.subjects.work_stream()).await.unwrap();
            let name = Kind::Fit.word();
            let mut consumer: PullConsumer = stream.get_consumer(name).await.unwrap();
            let config = consumer.info().await.unwrap().config.clone();
            let config = jetstream::consumer::Config { filter_subject: subject.into(), ..config };
            stream.update_consumer(config).await.unwrap();
        });
    }

    pub(crate) fn tell(&self, messages: &[FromRunner]) {
        self.tell_bytes(letter::seal(&messages, &[]).unwrap());
    }

    /// How many messages lie in a stream.
    pub(crate) fn lies_in(&self, stream: String) -> u64 {
        self.runtime.block_on(async {
            let jetstream = self.jetstream();
            jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
        })
    }
}
