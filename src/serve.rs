//! `fleetfit serve`: takes jobs from whoever asks, and runs them here or on runners over NATS.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fleetfit_scheduler::api::{Component, Doors, Guard, RunnerView, Service as Api};
use fleetfit_scheduler::blobs::Blobs;
use fleetfit_scheduler::engine::{Capacity, Engine, Note};
use fleetfit_scheduler::journal::Journal;
use fleetfit_trial_runner::runner::{Lacking, Runner};

use crate::cli::ServeArgs;
use crate::exit;
use crate::failure::Failure;
use crate::home;
use crate::host;
use crate::inside;
use crate::interrupt::Interrupt;
use crate::output::Printer;
use crate::owner::{self, Owner};
use crate::service::{self, Service};
use crate::source;
use crate::submission::plain;

/// How long assignments may take to finish when the service is told to end.
const DRAIN: Duration = Duration::from_secs(20);

/// How often the service looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// Serves until it is told to end.
pub(crate) fn serve(args: &ServeArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let interrupt = Interrupt::watch()?;
    let token = token(args)?;
    let listener = listen(args.listen, token.is_some())?;
    let address = listener.local_addr().map_err(|error| Failure::outside(&error))?;
    let home = &host::absolute(home)?;
    let journal = source::open_journal(home)?;
    let blobs = Blobs::open(&home::blobs_dir(home)).map_err(|error| Failure::outside(&error))?;
    interrupt.begin();
    let ends = Ends::inside(args, &journal, address.ip().is_loopback())?;
    let handle = ends.engine.handle();
    let service = Arc::new(Service::new(home, journal.clone(), handle.clone(), blobs, true));
    // Nobody else has the other end.
    let _ = ends.service.set(Arc::clone(&service));
    for trouble in service.open_all(Default::default())? {
        printer.complain(&trouble);
    }
    let api = Api {
        journal,
        engine: handle.clone(),
        studies_dir: home::studies_dir(home),
        doors: Some(Arc::new(doors(&service, &ends))),
        guard: Guard::new(address, token, &args.allow_host),
        info: owner::info(),
    };
    let owner = Owner::serve(home, api, Some(listener))?;
    printer.note(&format!("fleetfit {} listens on http://{address}", env!("CARGO_PKG_VERSION")));
    while !interrupt.is_raised() && handle.ended().is_none() {
        std::thread::sleep(LOOK);
    }
    printer.note("ending: what runs may finish");
    drop(owner);
    handle.tell(Note::Capacity(Capacity::default()));
    ends.runner.drain(DRAIN);
    ends.engine.interrupt().map_err(|error| Failure::outside(&error))?;
    Ok(exit::DONE)
}

/// The scheduler's end and the runner's end of the bus.
struct Ends {
    engine: Engine,
    runner: Runner,
    service: Arc<OnceLock<Arc<Service>>>,
    view: RunnerView,
}

impl Ends {
    /// Both in this process.
    fn inside(args: &ServeArgs, journal: &Journal, is_loopback: bool) -> Result<Self, Failure> {
        let slots = inside::slots(args.slots);
        let commands = args.allow_commands || is_loopback;
        let service: Arc<OnceLock<Arc<Service>>> = Arc::default();
        let provider = Arc::clone(&service);
        let provide = move |id| match provider.get() {
            Some(service) => service.provide(id),
            None => Err(Lacking("the service is only starting".into())),
        };
        let (engine, runner) = inside::start(journal, slots, commands, Box::new(provide))?;
        let view = RunnerView {
            name: "in the service".into(),
            device: "cpu".into(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            busy: 0,
            version: env!("CARGO_PKG_VERSION").into(),
            commands,
            heard_s: 0.0,
        };
        Ok(Self { engine, runner, service, view })
    }
}

fn doors(service: &Arc<Service>, ends: &Ends) -> Doors {
    let [submitting, resuming, rerunning] = [(); 3].map(|()| Arc::clone(service));
    let view = ends.view.clone();
    let engine = ends.engine.handle();
    Doors {
        submit: Box::new(move |job| submitting.submit(job).map_err(service::refused)),
        resume: Box::new(move |study| resuming.resume(&study).map_err(service::refused)),
        rerun: Box::new(move |rerun| rerunning.rerun(rerun).map_err(service::refused)),
        runners: Box::new(move || {
            let busy = u32::try_from(engine.stats().out).unwrap_or(u32::MAX).min(view.slots);
            vec![RunnerView { busy, ..view.clone() }]
        }),
        health: Box::new(|| vec![Component { name: "runner", state: Ok(()) }]),
    }
}

fn listen(address: SocketAddr, has_token: bool) -> Result<TcpListener, Failure> {
    if !address.ip().is_loopback() && !has_token {
        return Err(Failure::asked(
            format!("--listen {address} can be reached by other machines, and there is no token"),
            "write a secret into a file of your own and name it with --token-file",
        ));
    }
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

/// What whoever asks over the network has to know.
fn token(args: &ServeArgs) -> Result<Option<String>, Failure> {
    let Some(file) = &args.token_file else {
        return Ok(std::env::var("FLEETFIT_TOKEN").ok().filter(|token| !token.is_empty()));
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("--token-file {}: {}", file.display(), plain(&error));
        Failure::asked(message, "name a file that holds the token on its only line")
    })?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Failure::asked(
            format!("--token-file {} holds no token", file.display()),
            "write one word into it, for instance from: openssl rand -hex 32",
        ));
    }
    Ok(Some(token.to_owned()))
}
