//! A nats-server of a test's own, and a service on it that does what its test says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap};
use fleetfit_search_spaces::wire::StudySpec;
use fleetfit_search_spaces::wire::join::{
    Announcement, Answer, BlobPiece, BlobRequest, Hello, SpecRequest, Upload, Welcome,
};
use fleetfit_search_spaces::wire::letter::{self, VERSION};
use fleetfit_search_spaces::wire::subjects::{Kind, SERVICES, Subjects};
use fleetfit_search_spaces::{Assignment, AssignmentKey, FromRunner, ToRunner};
use fleetfit_trial_runner::bus::{Bus, Setup};
use fleetfit_trial_runner::devices::Device;
use fleetfit_trial_runner::runner::ATTACHED;
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};

/// Longer than anything here takes on a machine that is busy with other things.
pub(crate) const LONG: Duration = Duration::from_secs(90);

pub(crate) const SUPERVISOR: &str = env!("CARGO_BIN_EXE_supervise-for-tests");

/// Waits until it is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "it did not come: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A nats-server that can be killed and started again in the same place.
pub(crate) struct Server {
    child: Option<Child>,
    pub(crate) dir: tempfile::TempDir,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut server = Self { child: None, dir: tempfile::tempdir().unwrap(), port: 0 };
        while server.child.is_none() {
            // One that the system gives to nobody who asks for any: it stays free between two servers.
            server.port = 12_000 + (rand_number() % 20_000) as u16;
            server.try_begin();
        }
        server
    }

    /// Starts it again, at the same port.
    pub(crate) fn begin(&mut self) {
        self.try_begin();
        assert!(self.child.is_some(), "its port is its own");
    }

    /// Starts it, unless somebody else has the port.
    fn try_begin(&mut self) {
        let program = std::env::var_os("FLEETFIT_NATS_SERVER").expect(
            "FLEETFIT_NATS_SERVER does not say where nats-server is; tests/run installs it and \
             says so",
        );
        let dir = self.dir.path();
        let mut child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(dir.join("js"))
            .arg("--ports_file_dir")
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It writes this file once it listens.
        let ports = dir.join(format!("nats-server_{}.ports", child.id()));
        let mut has_ended = false;
        wait_for("the server to listen", || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || ports.exists()
        });
        self.child = (!has_ended).then_some(child);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn forget_everything(&mut self) {
        std::fs::remove_dir_all(self.dir.path().join("js")).unwrap();
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a service has seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) ends: Vec<FromRunner>,
    /// By digest.
    pub(crate) models: BTreeMap<String, Vec<u8>>,
    pub(crate) reports: Vec<FromRunner>,
    pub(crate) beats: Vec<Hello>,
    /// By place.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// What a service answers.
pub(crate) struct Answers {
    pub(crate) welcome: Welcome,
    pub(crate) spec: StudySpec,
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// Why nothing of the study is told or taken any more.
    pub(crate) refusal: Option<&'static str>,
}

impl Answers {
    fn of<T>(&self, answer: T) -> Answer<T> {
        match self.refusal {
            Some(reason) => Answer::Refused { reason: reason.into() },
            None => Answer::Done(answer),
        }
    }
}

pub(crate) struct Service {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    js: Context,
    pub(crate) subjects: Subjects,
    lease: Duration,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) answers: Arc<Mutex<Answers>>,
    /// The version of the wire that it says it speaks.
    pub(crate) wire: Arc<AtomicU8>,
    url: String,
}

impl Service {
    pub(crate) fn start(server: &Server, spec: StudySpec, lease: Duration) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let url = server.url();
        let client = runtime.block_on(connect(&url));
        let mut js = runtime.block_on(async { jetstream::new(client.clone()) });
        js.set_timeout(LONG);
        let subjects = Subjects::of("abcdefghij23");
        let welcome = Welcome::Accepted { lease_s: lease.as_secs_f64() };
        let answers = Answers { welcome, spec, blobs: BTreeMap::new(), refusal: None };
        let (answers, seen) = (Arc::new(Mutex::new(answers)), Arc::default());
        let wire = Arc::new(AtomicU8::new(VERSION));
        let service = Self { runtime, client, js, subjects, lease, seen, answers, wire, url };
        service.make_streams();
        service.serve();
        service
    }

    /// Makes what has to be in NATS.
    pub(crate) fn make_streams(&self) {
        self.runtime.block_on(async {
            let config = |name: String, subject: String| Config {
                name,
                subjects: vec![subject],
                retention: RetentionPolicy::WorkQueue,
                ..Config::default()
            };
            let (name, subject) = (self.subjects.work_stream(), self.subjects.all_work());
            let work =
                retried(|| self.js.get_or_create_stream(config(name.clone(), subject.clone())))
                    .await;
            for kind in Kind::ALL {
                let config = pull::Config {
                    durable_name: Some(kind.word().into()),
                    filter_subject: self.subjects.work(kind),
                    ack_policy: AckPolicy::Explicit,
                    ack_wait: self.lease,
                    ..pull::Config::default()
                };
                work.create_consumer(config).await.unwrap();
            }
            let (name, subject) = (self.subjects.ends_stream(), self.subjects.all_ends());
            let ends =
                retried(|| self.js.get_or_create_stream(config(name.clone(), subject.clone())))
                    .await;
            let config =
                pull::Config { durable_name: Some("service".into()), ..Default::default() };
            ends.create_consumer(config).await.unwrap();
        });
    }

    fn serve(&self) {
        let (client, subjects) = (self.client.clone(), self.subjects.clone());
        let wire = Arc::clone(&self.wire);
        self.runtime.spawn(async move {
            let mut announcement = Announcement {
                service: subjects.service().into(),
                version: "0".into(),
                wire: VERSION,
                host: "here".into(),
                instance: String::new(),
                since_ms: 0,
            };
            loop {
                announcement.wire = wire.load(Ordering::Relaxed);
                let bytes = serde_json::to_vec(&announcement).unwrap();
                let _ = client.publish(SERVICES, bytes.into()).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let answers = Arc::clone(&self.answers);
        self.answer(self.subjects.join(), move |_| {
            serde_json::to_vec(&answers.lock().unwrap().welcome).unwrap()
        });
        let answers = Arc::clone(&self.answers);
        self.answer(self.subjects.study(), move |bytes| {
            letter::open::<SpecRequest>(bytes).unwrap();
            let answers = answers.lock().unwrap();
            letter::seal(&answers.of(answers.spec.clone()), &[]).unwrap()
        });
        let answers = Arc::clone(&self.answers);
        self.answer(self.subjects.blob(), move |bytes| {
            let (request, _) = letter::open::<BlobRequest>(bytes).unwrap();
            let answers = answers.lock().unwrap();
            let blob = &answers.blobs[&request.digest];
            let piece = &blob[request.offset as usize..];
            let piece = &piece[..piece.len().min(100_000)];
            let answer = Answer::Done(BlobPiece { total: blob.len() as u64 });
            letter::seal(&answer, piece).unwrap()
        });
        let (seen, answers) = (Arc::clone(&self.seen), Arc::clone(&self.answers));
        self.answer(self.subjects.upload(), move |bytes| {
            let answer = answers.lock().unwrap().of(());
            let (upload, piece) = letter::open::<Upload>(bytes).unwrap();
            let mut seen = seen.lock().unwrap();
            let file = seen.files.entry(upload.at).or_default();
            file.truncate(upload.offset as usize);
            file.extend_from_slice(piece);
            letter::seal(&answer, &[]).unwrap()
        });
        let seen = Arc::clone(&self.seen);
        self.hear(self.subjects.beats(), move |bytes| {
            seen.lock().unwrap().beats.push(serde_json::from_slice(bytes).unwrap());
        });
        let seen = Arc::clone(&self.seen);
        self.hear(self.subjects.reports(), move |bytes| {
            let (reports, _) = letter::open::<Vec<FromRunner>>(bytes).unwrap();
            seen.lock().unwrap().reports.extend(reports);
        });
        let (js, stream, seen) = (self.js.clone(), self.subjects.ends_stream(), self.seen.clone());
        self.runtime.spawn(async move {
            loop {
                let _ = take_ends(&js, &stream, &seen).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }

    fn answer(&self, subject: String, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
        let client = self.client.clone();
        let mut requests = self.runtime.block_on(client.subscribe(subject)).unwrap();
        self.runtime.spawn(async move {
            while let Some(request) = requests.next().await {
                let bytes = answer(&request.payload);
                client.publish(request.reply.unwrap(), bytes.into()).await.unwrap();
            }
        });
    }

    fn hear(&self, subject: String, hear: impl Fn(&[u8]) + Send + 'static) {
        let mut messages = self.runtime.block_on(self.client.subscribe(subject)).unwrap();
        self.runtime.spawn(async move {
            while let Some(message) = messages.next().await {
                hear(&message.payload);
            }
        });
    }

    pub(crate) fn hand_out(&self, kind: Kind, assignment: &Assignment) {
        self.hand_out_as(VERSION, kind, assignment);
    }

    /// The same in a letter of this version.
    pub(crate) fn hand_out_as(&self, version: u8, kind: Kind, assignment: &Assignment) {
        let bytes = letter::seal_as(version, assignment, &[]).unwrap();
        let subject = self.subjects.work_of(kind, assignment.key.study);
        let mut headers = HeaderMap::new();
        let AssignmentKey { study, number, attempt } = assignment.key;
        let id = format!("{}-{number}-{attempt}", study.0);
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        self.runtime.block_on(async {
            self.js
                .publish_with_headers(subject, headers, bytes.into())
                .await
                .unwrap()
                .await
                .unwrap()
        });
    }

    /// Takes an assignment as a runner would, and lets it lie.
    pub(crate) fn take_and_die(&self, kind: Kind) {
        self.runtime.block_on(async {
            let stream = self.subjects.work_stream();
            let consumer: Consumer<pull::Config> =
                self.js.get_consumer_from_stream(kind.word(), stream).await.unwrap();
            let mut batch = consumer.batch().max_messages(1).messages().await.unwrap();
            batch.next().await.unwrap().unwrap();
        });
    }

    /// How many assignments lie in NATS.
    pub(crate) fn n_work(&self) -> u64 {
        self.runtime.block_on(async {
            let stream = self.js.get_stream(self.subjects.work_stream()).await.unwrap();
            stream.cached_info().state.messages
        })
    }

    pub(crate) fn hint(&self, hint: &ToRunner) {
        let bytes = letter::seal(hint, &[]).unwrap();
        self.runtime.block_on(async {
            self.client.publish(self.subjects.hints(), bytes.into()).await.unwrap();
            self.client.flush().await.unwrap();
        });
    }

    /// Starts a runner that connects by itself.
    pub(crate) fn runner(&self, cache: &Path, slots: u32, commands: bool) -> RunnerProcess {
        self.runner_for(None, cache, slots, commands)
    }

    /// A runner that works for one service alone.
    pub(crate) fn runner_for(
        &self,
        service: Option<&str>,
        cache: &Path,
        slots: u32,
        commands: bool,
    ) -> RunnerProcess {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(connect(&self.url));
        let said = Arc::new(Mutex::new(Vec::new()));
        let hello = Hello {
            runner: format!("r{:x}", rand_number()),
            name: "one".into(),
            host: "here".into(),
            pid: std::process::id(),
            version: "0".into(),
            wire: VERSION,
            device: "cpu".into(),
            slots,
            commands,
            ..Hello::default()
        };
        let say = Arc::clone(&said);
        let bus = Bus::start(Setup {
            client,
            runtime: runtime.handle().clone(),
            hello,
            device: Device::default(),
            cache: cache.to_owned(),
            cache_bytes: 1 << 30,
            service: service.map(str::to_owned),
            supervisor: PathBuf::from(SUPERVISOR),
            say: Arc::new(move |text| say.lock().unwrap().push(text.to_owned())),
        })
        .unwrap();
        RunnerProcess { bus: Some(bus), said, _runtime: runtime }
    }

    /// Waits for the end of an assignment.
    pub(crate) fn await_end(&self, of: AssignmentKey) -> FromRunner {
        let mut found = None;
        wait_for(&format!("the end of {of:?}"), || {
            let seen = self.seen.lock().unwrap();
            found = seen.ends.iter().find(|message| is_end(message, of)).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// Everything told of trials' ends.
    pub(crate) fn outcomes(&self) -> Vec<fleetfit_search_spaces::Outcome> {
        let seen = self.seen.lock().unwrap();
        let outcomes = seen.ends.iter().filter_map(|message| match message {
            FromRunner::Outcomes { outcomes, .. } => Some(outcomes.clone()),
            _ => None,
        });
        outcomes.flatten().collect()
    }
}

/// A runner, as the process `fleetfit runner` has it.
pub(crate) struct RunnerProcess {
    pub(crate) bus: Option<Bus>,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

fn is_end(message: &FromRunner, key: AssignmentKey) -> bool {
    matches!(message, FromRunner::Done { of } | FromRunner::Returned { of, .. } if *of == key)
}

fn rand_number() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

async fn connect(url: &str) -> Client {
    let options = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_secs(3)));
    let options = options.reconnect_delay_callback(|_| Duration::from_millis(50));
    options.connect(url).await.unwrap()
}

async fn retried<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(
    act: impl Fn() -> F,
) -> T {
    let started = Instant::now();
    loop {
        match act().await {
            Ok(done) => return done,
            Err(error) => assert!(started.elapsed() < LONG, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn take_ends(
    js: &Context,
    stream: &str,
    seen: &Mutex<Seen>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let consumer: Consumer<pull::Config> = js.get_consumer_from_stream("service", stream).await?;
    let batch = consumer.batch().max_messages(100).expires(Duration::from_millis(200));
    let mut batch = batch.messages().await?;
    while let Some(message) = batch.next().await {
        let message = message?;
        let (messages, attachment) = letter::open::<Vec<FromRunner>>(&message.payload)?;
        {
            let mut seen = seen.lock().unwrap();
            for told in &messages {
                let FromRunner::Refitted { models, .. } = told else { continue };
                let addresses = models.iter().filter_map(|refit| refit.model.as_ref().ok());
                for address in addresses.filter(|address| address.pack == ATTACHED) {
                    let start = address.offset as usize;
                    let bytes = attachment[start..start + address.length as usize].to_vec();
                    seen.models.insert(address.digest.clone(), bytes);
                }
            }
            seen.ends.extend(messages);
        }
        message.ack().await?;
    }
    Ok(())
}
