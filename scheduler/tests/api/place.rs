//! A service in a folder of its own, whose trials nobody runs but the test, and a client that sends
//! what it is told, right or wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetfit_scheduler::api::{
    Accepted, Api, Component, Doors, Guard, Models, Refused, Rerun, RunnerView, Service,
    ServiceInfo, Submitted, Why,
};
use fleetfit_scheduler::blobs::Blobs;
use fleetfit_scheduler::engine::{Engine, Note, OpenStudy, Outlets};
use fleetfit_scheduler::journal::{Journal, NewStudy};
use fleetfit_scheduler::schedule::{Clock, Fire, Schedules, StoredSchedule, Ticker};
use fleetfit_scheduler::{EndedBy, Fact};
use fleetfit_search_spaces::{
    Configuration, End, EntityKey, Job, Outcome, Setting, Value as Scalar,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A job whose trials are run by the test.
pub(crate) const JOB: &str = "\
type: sweep
name: demo
trial: external
search_space:
  x: {type: uniform, min_value: 0, max_value: 1}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 6, max_concurrent_trials: 4}
seed: 1
";

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) journal: Journal,
    pub(crate) address: SocketAddr,
    /// What the bus says of itself.
    pub(crate) bus: Arc<Mutex<Result<(), String>>>,
    /// What was submitted.
    pub(crate) submitted: Arc<Mutex<Vec<Submitted>>>,
    /// What was to be run again.
    pub(crate) reruns: Arc<Mutex<Vec<Rerun>>>,
    /// Who runs trials.
    pub(crate) runners: Arc<Mutex<Vec<RunnerView>>>,
    engine: Option<Engine>,
    close: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success.
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self.json()
    }

    /// The status and the code of a refusal, whose form is checked.
    pub(crate) fn refused(&self) -> (u16, String) {
        let refusal = self.json();
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(refusal["message"].as_str().is_some_and(|text| !text.is_empty()), "{refusal}");
        assert_eq!(refusal["request_id"].as_str(), self.header("x-request-id"), "{refusal}");
        (self.status, refusal["code"].as_str().unwrap().to_owned())
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::start(|address| Guard::new(address, None, &[]), true)
    }

    /// A service with this token.
    pub(crate) fn with_token(token: &str) -> Self {
        Self::start(|address| Guard::new(address, Some(token.to_owned()), &[]), true)
    }

    /// A process that runs one study.
    pub(crate) fn no_service() -> Self {
        Self::start(|address| Guard::new(address, None, &[]), false)
    }

    /// The service after a restart.
    pub(crate) fn restarted(mut self) -> Self {
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        drop(self);
        Self::start_in(dir, |address| Guard::new(address, None, &[]), true)
    }

    fn start(guard: impl FnOnce(SocketAddr) -> Guard, is_service: bool) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), guard, is_service)
    }

    fn start_in(
        dir: tempfile::TempDir,
        guard: impl FnOnce(SocketAddr) -> Guard,
        is_service: bool,
    ) -> Self {
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        let outlets = Outlets {
            dispatch: Box::new(|_, _| {}),
            hint: Box::new(|_| {}),
            settled: Box::new(|_| {}),
            ends_runners: false,
        };
        let engine = Engine::start(journal.clone(), outlets).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let bus = Arc::new(Mutex::new(Ok(())));
        let submitted = Arc::new(Mutex::new(Vec::new()));
        let reruns = Arc::new(Mutex::new(Vec::new()));
        let runners = Arc::new(Mutex::new(vec![runner()]));
        let staff = Arc::clone(&runners);
        let doors = Doors {
            runners: Box::new(move || staff.lock().unwrap().clone()),
            ..doors(&journal, &engine, &bus, (&submitted, &reruns))
        };
        let service = Service {
            journal: journal.clone(),
            engine: engine.handle(),
            studies_dir: dir.path().join("studies"),
            doors: is_service.then(|| Arc::new(doors)),
            backup: Arc::new(|out| out.write_all(b"everything")),
            models: models(),
            guard: guard(address),
            info: ServiceInfo { version: "1.2.3".into() },
        };
        let blobs = is_service.then(|| Blobs::open(&dir.path().join("blobs")).unwrap());
        let (close, closed) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let api = match blobs {
                Some(blobs) => Api::with_blobs(service, blobs),
                None => Api::new(service),
            };
            runtime.block_on(api.serve_network(listener, async {
                drop(closed.await);
            }));
        });
        Self {
            dir,
            journal,
            address,
            bus,
            submitted,
            reruns,
            runners,
            engine: Some(engine),
            close: Some(close),
            thread: Some(thread),
        }
    }

    /// Sends these bytes and reads the answer up to its end.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // Who refuses a long body may close before he has heard all of it.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        read(&answer)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        self.raw(&[request.as_bytes(), body].concat())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("Content-Type", "application/json")];
        self.send("POST", path, &json, body.to_string().as_bytes())
    }

    pub(crate) fn submit(&self, job: &str) -> Answer {
        self.send(
            "POST",
            "/api/v1/studies",
            &[("Content-Type", "application/yaml")],
            job.as_bytes(),
        )
    }

    /// A study of one model for each of so many stores, each with two ended trials: the first one
    /// better, but for store 0, which failed in both.
    pub(crate) fn with_stores(&self, name: &str, stores: u32) {
        let store = |at| EntityKey(vec![("store".into(), Scalar::Int(i64::from(at)))]);
        let job_text = format!(
            "type: sweep\nname: {name}\ntraining_data: {{path: sales.csv}}\n\
             target_column_name: sales\ntask: regression\npartition_column_names: [store]\n\
             trial: {{learner: ridge}}\nsearch_space:\n  alpha: {{type: uniform, min_value: 0, \
             max_value: 1}}\nsampling_algorithm: random\n\
             objective: {{goal: minimize, primary_metric: root_mean_squared_error}}\n\
             limits: {{max_total_trials: 2}}\n"
        );
        let job = Job::read("job.yaml", &job_text).unwrap();
        let id = self.journal.create(&NewStudy {
            large: Vec::new(),
            name: name.into(),
            job_file: "job.yaml".into(),
            canonical: job.canonical(),
            job_text,
            entities: (0..stores).map(store).collect(),
            ..NewStudy::default()
        });
        let id = id.unwrap();
        let mut facts = Vec::new();
        let mut index = fleetfit_scheduler::journal::Index::default();
        for number in 0..2 {
            let alpha = Setting::Value(Scalar::Float(0.5 + f64::from(number)));
            let configuration = Configuration(vec![("alpha".into(), alpha)]);
            facts.push(Fact::Proposed { number, configuration });
            let outcomes = (0..stores).map(|entity| Outcome {
                configuration: number,
                entity,
                end: match entity {
                    0 => End::Failed { reason: "no rows".into() },
                    _ => End::Completed { value: f64::from(stores - entity + number) },
                },
                fits: 1,
                started_ms: 1_700_000_000_000,
                ended_ms: 1_700_000_000_500,
                reports: Vec::new(),
                further: Vec::new(),
            });
            facts.push(Fact::Ended { outcomes: outcomes.collect() });
        }
        facts.extend([Fact::SearchEnded { by: EndedBy::Trials }, Fact::Closed]);
        index.best = (1..stores).map(|entity| (entity, f64::from(stores - entity), 0)).collect();
        index.summary.status = fleetfit_scheduler::journal::Status::Completed;
        index.summary.ended_by = Some(EndedBy::Trials);
        index.summary.completed = 2 * u64::from(stores - 1);
        index.summary.failed = 2;
        index.summary.proposed = 2;
        self.journal.append(id, &facts, &index).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        if let Some(engine) = self.engine.take() {
            drop(engine.interrupt());
        }
    }
}

/// Models that lie in their study's folder under their digests.
fn models() -> Models {
    Models {
        read: Arc::new(|dir, address| {
            let path = dir.join("models").join(&address.digest);
            std::fs::read(path).map_err(|_| format!("the model {} is damaged", address.digest))
        }),
        schema: Arc::new(|dir| Ok(std::fs::read(dir.join("schema.json")).ok())),
    }
}

fn runner() -> RunnerView {
    RunnerView {
        name: "one".into(),
        host: "here".into(),
        state: "working".into(),
        load: None,
        troubles: Vec::new(),
        device: "cpu".into(),
        slots: 4,
        busy: 1,
        version: "1.2.3".into(),
        commands: true,
        heard_s: 0.5,
    }
}

/// What a door was told.
type Heard<T> = Arc<Mutex<Vec<T>>>;

/// What the process around the API does, in a few lines.
fn doors(
    journal: &Journal,
    engine: &Engine,
    bus: &Arc<Mutex<Result<(), String>>>,
    (submitted, reruns): (&Heard<Submitted>, &Heard<Rerun>),
) -> Doors {
    let (journal, engine) = (journal.clone(), engine.handle());
    let (bus, submitted, reruns) = (Arc::clone(bus), Arc::clone(submitted), Arc::clone(reruns));
    let open = {
        let (journal, engine) = (journal.clone(), engine.clone());
        move |name: &str, reopen: bool| {
            let record = journal.find(name).unwrap().unwrap();
            let open = OpenStudy {
                id: record.id,
                study: record.study().unwrap(),
                seed: record.head.seed,
                n_entities: record.head.entities,
                large: Vec::new(),
                warm: Vec::new(),
                reopen,
                adopted: Vec::new(),
                opened: None,
            };
            engine.tell(Note::Open(Box::new(open)));
        }
    };
    let create = {
        let (journal, open) = (journal.clone(), open.clone());
        move |job: Job, parent: Option<String>| {
            let study = job.study().map_err(|problems| Refused::problems(problems.0))?;
            if let Some(record) = journal.find(&study.name)? {
                return match record.head.canonical == job.canonical() {
                    true => Ok(Accepted { study: study.name, created: false }),
                    false => Err(Refused::new(Why::Conflict, "another job has this name")),
                };
            }
            journal.create(&NewStudy {
                large: Vec::new(),
                name: study.name.clone(),
                job_file: job.file.clone(),
                base_dir: PathBuf::from("/nowhere"),
                job_text: job.text.clone(),
                sets: job.overrides.clone(),
                canonical: job.canonical(),
                seed: 1,
                created_ms: 1_700_000_000_000,
                parent,
                ..NewStudy::default()
            })?;
            open(&study.name, false);
            Ok(Accepted { study: study.name, created: true })
        }
    };
    let again = create.clone();
    let (scheduled, schedules) = (create.clone(), Schedules::open(&journal).unwrap());
    let fire: Fire = Box::new(move |schedule: &StoredSchedule, due| {
        let mut job = schedule.job.read().map_err(|problems| problems.to_string())?;
        let name = schedule.study_name(due);
        job.set("name", &name).map_err(|problem| problem.to_string())?;
        let accepted = scheduled(job, None).map_err(|refused| refused.message)?;
        Ok(accepted.study)
    });
    // A clock that stands still.
    let clock: Clock = Box::new(|| jiff::Timestamp::from_second(1_795_154_340).unwrap());
    let ticker = Ticker::start(schedules, fire, clock).unwrap();
    Doors {
        schedules: Some(Arc::new(ticker)),
        submit: Box::new(move |job: Submitted| {
            submitted.lock().unwrap().push(job.clone());
            let file = job.file.unwrap_or_else(|| "job.yaml".into());
            let mut read =
                Job::read(&file, &job.text).map_err(|problems| Refused::problems(problems.0))?;
            let name = job.name.map(|name| ("name".to_owned(), name));
            for (path, value) in job.sets.into_iter().chain(name) {
                read.set(&path, &value).map_err(|problem| Refused::problems(vec![problem]))?;
            }
            create(read, None)
        }),
        resume: Box::new(move |study: String| {
            open(&study, true);
            Ok(())
        }),
        rerun: Box::new(move |rerun: Rerun| {
            reruns.lock().unwrap().push(rerun.clone());
            let record = journal.find(&rerun.study)?.unwrap();
            let mut job = Job::read(&record.head.job_file, &record.head.job_text).unwrap();
            let name = rerun.name.unwrap_or_else(|| format!("{}-2", rerun.study));
            for (path, value) in rerun.sets.into_iter().chain([("name".to_owned(), name)]) {
                job.set(&path, &value).map_err(|problem| Refused::problems(vec![problem]))?;
            }
            again(job, Some(rerun.study))
        }),
        runners: Box::new(Vec::new),
        health: Box::new(move || {
            vec![Component { name: "runner", state: bus.lock().unwrap().clone() }]
        }),
    }
}

/// Waits until something holds.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "nothing came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An answer out of its bytes.
fn read(bytes: &[u8]) -> Answer {
    let mut reader = BufReader::new(bytes);
    let (status, headers) = head(&mut reader);
    let mut body = Vec::new();
    let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    match is_chunked {
        true => {
            while let Some(piece) = chunk(&mut reader) {
                body.extend(piece);
            }
        }
        false => drop(reader.read_to_end(&mut body)),
    }
    Answer { status, headers, body }
}

/// The first lines of an answer.
pub(crate) fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer: {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return (status, headers),
        }
    }
}

/// The next piece of a body that comes in pieces.
pub(crate) fn chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let length = usize::from_str_radix(line.trim_end(), 16).ok().filter(|length| *length > 0)?;
    let mut piece = vec![0; length + 2];
    reader.read_exact(&mut piece).ok()?;
    piece.truncate(length);
    Some(piece)
}
