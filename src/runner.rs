//! `fleetfit runner`: runs trials for services that share a NATS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fleetfit_search_spaces::wire::join::Hello;
use fleetfit_search_spaces::wire::letter;
use fleetfit_trial_runner::bus::{Bus, Setup};
use fleetfit_trial_runner::devices::Device;

use crate::cli::RunnerArgs;
use crate::exit;
use crate::failure::Failure;
use crate::home;
use crate::host;
use crate::inside::{self, program};
use crate::interrupt::Interrupt;
use crate::log;
use crate::nats::{Nats, Say, Side};
use crate::output::Printer;

/// How often the runner looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// Runs trials until it is told to end. `home` is the data directory of a private NATS, `cache` the
/// folder for what is fetched.
pub(crate) fn runner(
    args: &RunnerArgs,
    home: &Path,
    cache: &Path,
    printer: &Printer,
) -> Result<i32, Failure> {
    let interrupt = Interrupt::watch()?;
    interrupt.begin();
    log::begin(args.log_format, printer.quiet);
    let cache = host::absolute(cache)?;
    // A cache removes what it has no room for: it must not be where somebody keeps things.
    if home::has_studies(&cache) {
        return Err(Failure::asked(
            format!("{} is the data directory of a service", cache.display()),
            "name another folder with --data-dir: a runner keeps what it fetches there, for a while",
        ));
    }
    if args.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Failure::asked("--name is empty", "write a name, or leave it out"));
    }
    let choice = inside::device(args.power.device)?;
    inside::introduce(&choice, |text| tracing::info!("{text}"));
    let device = choice.device;
    let say: Say = Arc::new(|text: &str| tracing::info!("{text}"));
    let go_on = || !interrupt.is_raised();
    let nats = match Nats::open(&args.nats, Side::Runner, home, &say, &go_on) {
        Ok(Some(nats)) => nats,
        Ok(None) => {
            return Err(Failure::asked(
                "a runner needs to know where NATS is",
                "write --nats nats://HOST:PORT, as fleetfit serve has it",
            ));
        }
        // Nothing was begun, so nothing is lost.
        Err(Failure::Gone(_)) if interrupt.is_raised() => return Ok(exit::DONE),
        Err(failure) => return Err(failure),
    };
    let setup = Setup {
        client: nats.client.clone(),
        runtime: nats.handle().clone(),
        hello: hello(args, &device, nats.is_loopback),
        device: device.clone(),
        cache: cache.clone(),
        cache_bytes: args.cache_gb << 30,
        service: args.service.clone(),
        supervisor: program()?,
        say: Arc::new(|text: &str| tracing::info!("{text}")),
    };
    let (name, slots, commands) =
        (setup.hello.name.clone(), setup.hello.slots, setup.hello.commands);
    let bus = Bus::start(setup).map_err(|error| {
        let why = fleetfit_search_spaces::disk::plain(&error);
        Failure::Unavailable(format!("{} cannot be used: {why}", cache.display()))
    })?;
    let programs = if commands { "programs too" } else { "no programs" };
    tracing::info!("runner {name} takes work: {slots} at once, {programs}");
    let end = attend(&bus, &device, &interrupt);
    bus.drain(end.grace(args.drain));
    nats.close();
    match end {
        End::Refused(reason) => Err(Failure::Unavailable(reason)),
        End::Told => {
            tracing::info!("ended");
            Ok(exit::DONE)
        }
    }
}

/// Waits until the runner ends.
fn attend(bus: &Bus, device: &Device, interrupt: &Interrupt) -> End {
    loop {
        device.news().iter().for_each(|news| tracing::warn!("{news}"));
        if let Some(reason) = bus.refused() {
            return End::Refused(reason);
        }
        if interrupt.is_raised() {
            return End::Told;
        }
        std::thread::sleep(LOOK);
    }
}

/// Why the runner ends.
enum End {
    /// Somebody wants it to.
    Told,
    /// Nobody has work for it.
    Refused(String),
}

impl End {
    /// How long what runs may take to finish, which is said.
    fn grace(&self, drain_s: u32) -> Duration {
        match self {
            Self::Told => tracing::info!("ending; what runs may finish for {drain_s} s"),
            Self::Refused(_) => {}
        }
        Duration::from_secs(u64::from(drain_s))
    }
}

/// How the runner introduces itself.
fn hello(args: &RunnerArgs, device: &Device, is_loopback: bool) -> Hello {
    let (host, pid) = (host::machine(), std::process::id());
    Hello {
        runner: format!("{:016x}", host::draw()),
        name: args.name.clone().unwrap_or_else(|| format!("{host}-{pid}")),
        host,
        pid,
        version: env!("CARGO_PKG_VERSION").into(),
        wire: letter::VERSION,
        device: device.to_string(),
        slots: u32::try_from(inside::slots(args.power.slots)).unwrap_or(u32::MAX),
        commands: args.allow_commands || is_loopback,
        ..Hello::default()
    }
}
