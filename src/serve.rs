//! `fleetfit serve`: takes jobs from whoever asks, and runs them here or on runners over NATS.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetfit_scheduler::api::{self, Api, Component, Doors, Guard, RunnerView};
use fleetfit_scheduler::blobs::Blobs;
use fleetfit_scheduler::bus::{self, Bus, BusHandle, BusOptions};
use fleetfit_scheduler::engine::{Capacity, Engine, EngineHandle, Note};
use fleetfit_scheduler::journal::Journal;
use fleetfit_scheduler::schedule::{Schedules, StoredSchedule, Ticker, Timestamp};
use fleetfit_search_spaces::FromRunner;
use fleetfit_search_spaces::disk::plain;
use fleetfit_trial_runner::devices::Device;
use fleetfit_trial_runner::runner::{Lacking, Runner};

use crate::backup;
use crate::cli::ServeArgs;
use crate::exit;
use crate::failure::Failure;
use crate::home;
use crate::host;
use crate::inside::{self, Troubles};
use crate::interrupt::Interrupt;
use crate::log;
use crate::models;
use crate::nats::{Nats, Say, Side};
use crate::output::Printer;
use crate::owner::{self, Owner};
use crate::service::remote::{self, Later, Remote};
use crate::service::{self, Service};
use crate::source;
use crate::standstill::Standstill;
use crate::token;

/// How long assignments may take to finish when the service is told to end.
const DRAIN: Duration = Duration::from_secs(20);

/// How often what no study needs any more is removed.
const SWEEP: Duration = Duration::from_secs(3_600);

/// How often the service looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// Serves until it is told to end.
pub(crate) fn serve(args: &ServeArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let interrupt = Interrupt::watch()?;
    log::begin(args.log_format, printer.quiet);
    let token = token::find(args.token_file.as_deref())?;
    check(args.listen, token.is_some())?;
    let home = &host::absolute(home)?;
    let journal = source::open_journal(home)?;
    let blobs = Blobs::open(&home::blobs_dir(home)).map_err(|error| Failure::outside(&error))?;
    interrupt.begin();
    let nats = match nats(args, home, &interrupt) {
        // It was told to end while it waited for NATS, and had begun nothing.
        Err(Failure::Gone(_)) if interrupt.is_raised() => return Ok(exit::DONE),
        nats => nats?,
    };
    // Whoever connects is answered: nobody listens before that is sure.
    let listener = listen(args.listen)?;
    let address = listener.local_addr().map_err(|error| Failure::outside(&error))?;
    let place = Place { args, home, journal: &journal, blobs: &blobs };
    let (engine, service, end) = match nats {
        None => place.run_here(address.ip().is_loopback())?,
        Some(nats) => place.run_elsewhere(nats)?,
    };
    let handle = engine.handle();
    let ticker = ticker(&journal, &service)?;
    let answers = api::Service {
        journal: journal.clone(),
        engine: handle.clone(),
        studies_dir: home::studies_dir(home),
        doors: Some(Arc::new(doors(&service, &end, &ticker))),
        backup: backup::of(home, &journal),
        models: models::reader(),
        guard: Guard::new(address, token, &args.allow_host),
        info: owner::info(),
    };
    let owner = Owner::serve(home, Api::with_blobs(answers, blobs.clone()), Some(listener))?;
    tracing::info!("fleetfit {} listens on http://{address}", env!("CARGO_PKG_VERSION"));
    let mut swept: Option<Instant> = None;
    let mut standstill = Standstill::of(home);
    let mut why = None;
    while !interrupt.is_raised() {
        why = end.superseded().or_else(|| standstill.is_to_end(&handle, &journal));
        if why.is_some() {
            break;
        }
        std::thread::sleep(LOOK);
        end.tell();
        if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            swept = Some(Instant::now());
            if let Err(failure) = service.sweep(&ticker.schedules().materials()) {
                tracing::warn!("what no study needs could not be removed: {failure}");
            }
        }
    }
    tracing::info!("ending; what runs here may finish");
    drop(owner);
    drop(ticker);
    let ended = end.close(engine);
    tracing::info!("ended");
    match why {
        Some(why) => Err(Failure::Unavailable(why)),
        None => ended,
    }
}

/// NATS, if it is asked for.
fn nats(args: &ServeArgs, home: &Path, interrupt: &Interrupt) -> Result<Option<Nats>, Failure> {
    let say: Say = Arc::new(|text: &str| tracing::info!("{text}"));
    let go_on = || !interrupt.is_raised();
    Nats::open(&args.nats, Side::Service, home, &say, &go_on)
}

/// What the service is made from.
struct Place<'a> {
    args: &'a ServeArgs,
    home: &'a Path,
    journal: &'a Journal,
    blobs: &'a Blobs,
}

/// Who runs the trials.
enum End {
    /// Threads of this process.
    Here {
        runner: Runner,
        view: RunnerView,
        engine: EngineHandle,
        device: Device,
        troubles: Arc<Troubles>,
    },
    /// Runners that meet at NATS.
    Elsewhere { bus: Arc<BusHandle>, nats: Nats },
}

impl Place<'_> {
    fn service(&self, engine: &Engine, runs_here: bool) -> Arc<Service> {
        let (journal, blobs) = (self.journal.clone(), self.blobs.clone());
        Arc::new(Service::new(self.home, journal, engine.handle(), blobs, runs_here))
    }

    /// Trials run on threads of this process.
    fn run_here(&self, is_loopback: bool) -> Result<(Engine, Arc<Service>, End), Failure> {
        let slots = inside::slots(self.args.power.slots);
        let choice = inside::device(self.args.power.device)?;
        inside::introduce(&choice, |text| tracing::info!("{text}"));
        let device = choice.device;
        let commands = self.args.allow_commands || is_loopback;
        let provider: Later<Service> = Arc::default();
        let provided = Arc::clone(&provider);
        let provide = move |id| match provided.get() {
            Some(service) => service.provide(id),
            None => Err(Lacking("the service is only starting".into())),
        };
        let power = (slots, device.clone());
        let troubles = Arc::new(Troubles::default());
        let (heard, journal) = (Arc::clone(&troubles), self.journal.clone());
        let hear = move |message: &FromRunner| {
            heard.hear(message, |study| Some(journal.record(study).ok()?.head.name));
        };
        let (engine, runner) =
            inside::start(self.journal, power, commands, Box::new(provide), hear)?;
        let service = self.service(&engine, true);
        // Nobody else fills it.
        let _ = provider.set(Arc::clone(&service));
        report(service.open_all(|_| Vec::new())?);
        let view = RunnerView {
            name: "in the service".into(),
            host: host::machine(),
            device: device.to_string(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            busy: 0,
            version: env!("CARGO_PKG_VERSION").into(),
            commands,
            state: "working".into(),
            load: None,
            troubles: Vec::new(),
            heard_s: 0.0,
        };
        let handle = engine.handle();
        Ok((engine, service, End::Here { runner, view, engine: handle, device, troubles }))
    }

    /// Trials run on other machines, or in other processes.
    fn run_elsewhere(&self, nats: Nats) -> Result<(Engine, Arc<Service>, End), Failure> {
        let id = remote::id(self.home)?;
        let options = BusOptions {
            service: id.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            host: host::machine(),
            lease: Duration::from_secs_f64(self.args.lease),
        };
        let remote = Remote::new(self.home, self.journal.clone(), self.blobs.clone())?;
        let answers = Arc::new(remote).answers();
        let runtime = nats.handle().clone();
        let mut bus = Bus::open(nats.client.clone(), runtime, options, answers)
            .map_err(|error| Failure::outside(&error))?;
        let started = |error: std::io::Error| Failure::outside(&error);
        let engine = Engine::start(self.journal.clone(), bus.outlets()).map_err(started)?;
        let service = self.service(&engine, false);
        report(service.open_all(|study| bus.adopt(study))?);
        let notes = engine.handle();
        let bus = Arc::new(bus.start(move |note| notes.tell(note)));
        tracing::info!(
            "service {id} hands trials to runners; they join with fleetfit runner --nats URL"
        );
        Ok((engine, service, End::Elsewhere { bus, nats }))
    }
}

fn report(troubles: Vec<String>) {
    for trouble in troubles {
        tracing::error!("{trouble}");
    }
}

impl End {
    /// What runs here may finish; what runs elsewhere goes on, and tells when a service is there again.
    fn close(self, engine: Engine) -> Result<i32, Failure> {
        let ended = match self {
            Self::Here { runner, engine: handle, .. } => {
                // Nobody raises it again.
                runner.hear_of_asking(drop);
                handle.tell(Note::Capacity(Capacity::default()));
                runner.drain(DRAIN);
                engine.interrupt()
            }
            Self::Elsewhere { bus, nats } => {
                let ended = engine.interrupt();
                stop(bus);
                nats.close();
                ended
            }
        };
        ended.map_err(|error| Failure::outside(&error))?;
        Ok(exit::DONE)
    }

    /// Why another service has to be given way to.
    fn superseded(&self) -> Option<String> {
        match self {
            Self::Here { .. } => None,
            Self::Elsewhere { bus, .. } => bus.superseded(),
        }
    }

    /// Says what there is to say of the device that trials run on.
    fn tell(&self) {
        if let Self::Here { device, .. } = self {
            device.news().iter().for_each(|news| tracing::warn!("{news}"));
        }
    }

    fn runners(&self) -> Box<dyn Fn() -> Vec<RunnerView> + Send + Sync> {
        match self {
            Self::Here { view, engine, troubles, .. } => {
                let (view, engine) = (view.clone(), engine.clone());
                let troubles = Arc::clone(troubles);
                Box::new(move || {
                    let out = u32::try_from(engine.stats().out).unwrap_or(u32::MAX);
                    let (busy, troubles) = (out.min(view.slots), troubles.told());
                    vec![RunnerView { busy, troubles, ..view.clone() }]
                })
            }
            Self::Elsewhere { bus, .. } => {
                let bus = Arc::downgrade(bus);
                Box::new(move || {
                    let runners = bus.upgrade().map(|bus| bus.runners()).unwrap_or_default();
                    runners.into_iter().map(view).collect()
                })
            }
        }
    }

    fn health(&self) -> Box<dyn Fn() -> Vec<Component> + Send + Sync> {
        match self {
            Self::Here { .. } => Box::new(|| vec![Component { name: "runner", state: Ok(()) }]),
            Self::Elsewhere { bus, .. } => {
                let bus = Arc::downgrade(bus);
                Box::new(move || {
                    let Some(bus) = bus.upgrade() else { return Vec::new() };
                    let health = bus.health();
                    let state = match (health.is_connected, health.trouble) {
                        (true, None) => Ok(()),
                        (_, Some(trouble)) => Err(trouble),
                        (false, None) => {
                            let seconds = health.since.elapsed().as_secs();
                            Err(format!("NATS has been away for {seconds} s"))
                        }
                    };
                    vec![Component { name: "nats", state }]
                })
            }
        }
    }
}

/// Ends the bus, once the last request has let go of it.
fn stop(mut bus: Arc<BusHandle>) {
    for _ in 0..200 {
        match Arc::try_unwrap(bus) {
            Ok(bus) => return bus.stop(),
            Err(held) => bus = held,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A runner elsewhere as the API shows it.
fn view(runner: bus::RunnerView) -> RunnerView {
    let bus::RunnerView { hello, state, silent } = runner;
    RunnerView {
        name: hello.name,
        host: hello.host,
        device: hello.device,
        slots: hello.slots,
        busy: hello.busy,
        version: hello.version,
        commands: hello.commands,
        state: match state {
            bus::RunnerState::Working => "working".into(),
            bus::RunnerState::Draining => "draining".into(),
            bus::RunnerState::Gone => "gone".into(),
            bus::RunnerState::Refused => "refused".into(),
        },
        load: hello.load,
        troubles: hello.troubles,
        heard_s: silent.as_secs_f64(),
    }
}

/// The thread that runs schedules.
fn ticker(journal: &Journal, service: &Arc<Service>) -> Result<Arc<Ticker>, Failure> {
    let schedules = Schedules::open(journal)?;
    let service = Arc::clone(service);
    let fire = move |schedule: &StoredSchedule, due| {
        service.fire(schedule, due).map_err(|failure| failure.to_string())
    };
    let ticker = Ticker::start(schedules, Box::new(fire), Box::new(Timestamp::now));
    Ok(Arc::new(ticker.map_err(|error| Failure::outside(&error))?))
}

fn doors(service: &Arc<Service>, end: &End, ticker: &Arc<Ticker>) -> Doors {
    let [submitting, resuming, rerunning] = [(); 3].map(|()| Arc::clone(service));
    Doors {
        submit: Box::new(move |job| submitting.submit(job).map_err(service::refused)),
        resume: Box::new(move |study| resuming.resume(&study).map_err(service::refused)),
        rerun: Box::new(move |rerun| rerunning.rerun(rerun).map_err(service::refused)),
        schedules: Some(Arc::clone(ticker)),
        runners: end.runners(),
        health: end.health(),
    }
}

/// Refuses an address that is open to everybody.
fn check(address: SocketAddr, has_token: bool) -> Result<(), Failure> {
    if !address.ip().is_loopback() && !has_token {
        return Err(Failure::asked(
            format!("--listen {address} can be reached by other machines, and there is no token"),
            "write a secret into a file of your own and name it with --token-file",
        ));
    }
    Ok(())
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "; is another service there? name another --listen",
            _ => "",
        };
        Failure::Unavailable(format!("{address} cannot be listened on: {}{hint}", plain(&error)))
    })?;
    listener.set_nonblocking(true).map_err(|error| Failure::outside(&error))?;
    Ok(listener)
}
