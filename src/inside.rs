//! The bus within one process: the scheduler's end and the runner's end, joined by channels.

mod troubles;

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use fleetfit_scheduler::engine::{Capacity, Engine, Note, Outlets};
use fleetfit_scheduler::journal::Journal;
use fleetfit_search_spaces::FromRunner;
use fleetfit_search_spaces::disk::plain;
use fleetfit_trial_runner::devices::{Asked, Choice, Device};
use fleetfit_trial_runner::runner::{Allowance, Asking, Provide, Runner};

use crate::failure::Failure;
use crate::{cli, home};

pub(crate) use troubles::Troubles;

/// How long a slot may take to notice that the study is over before the process ends without it.
const FAREWELL: Duration = Duration::from_secs(7);

/// How many trials train at once: as many as asked for, or one a core.
pub(crate) fn slots(asked: Option<u16>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    asked.map_or(cores, usize::from)
}

/// The very program that runs, also where another version was put in its place meanwhile.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe().map_err(|error| Failure::outside(&error)),
    }
}

/// What models are trained on.
pub(crate) fn device(asked: Asked) -> Result<Choice, Failure> {
    let hint = match cli::is_typed("--device") {
        true => "write --device auto or --device cpu; fleetfit devices tells what is here",
        false => {
            "FLEETFIT_DEVICE asks for it: set it to auto or cpu; fleetfit devices tells what is here"
        }
    };
    asked.find(&program()?, &home::kernels()).map_err(|message| Failure::asked(message, hint))
}

/// Says which cards models are trained on, and why not on others.
pub(crate) fn introduce(choice: &Choice, say: impl Fn(&str)) {
    match choice {
        Choice { no_card_because: Some(reason), .. } => {
            say(&format!("no graphics card is used: {reason}"));
        }
        Choice { device, .. } if device.cards().next().is_some() => {
            say(&format!("trains on {device}"))
        }
        Choice { .. } => {}
    }
    for reason in &choice.without {
        say(&format!("a graphics card is not used: {reason}"));
    }
}

/// Starts both ends. `hear` hears what the runner tells, before the engine does.
pub(crate) fn start(
    journal: &Journal,
    (slots, device): (usize, Device),
    commands: bool,
    provide: Provide,
    hear: impl Fn(&FromRunner) + Send + 'static,
) -> Result<(Engine, Runner), Failure> {
    let started = |error: std::io::Error| {
        Failure::Unavailable(format!("threads cannot be started: {}", plain(&error)))
    };
    let (assign, assignments) = mpsc::channel();
    let (to_engine, from_runner) = mpsc::channel();
    let allowance = Allowance { commands, device, ..Allowance::of(slots) };
    // The engine has ended when this fails; then nothing counts any more.
    let tell = Box::new(move |message| drop(to_engine.send(message)));
    let runner = Runner::start(allowance, assignments, tell, provide).map_err(started)?;
    let hints = runner.hints();
    let outlets = Outlets {
        // The runner has ended when this fails; the trials stay open.
        dispatch: Box::new(move |_, assignment| drop(assign.send(assignment))),
        hint: Box::new(hints),
        settled: Box::new(drop),
        ends_runners: true,
    };
    let engine = Engine::start(journal.clone(), outlets).map_err(started)?;
    let handle = engine.handle();
    // One to do and one to go on with, for every slot; one more for each that waits for a card.
    let each = u32::try_from(2 * slots).unwrap_or(u32::MAX);
    let (commands, asker) = (if commands { each } else { 0 }, handle.clone());
    runner.hear_of_asking(move |Asking { n, most, studies, .. }| {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let asking = if most == 0 { each } else { count(most) };
        let capacity = Capacity { fits: each.saturating_add(count(n)), asking, commands };
        // The engine has ended when these fail.
        let _ = asker.tell(Note::Asking(studies)) && asker.tell(Note::Capacity(capacity));
    });
    std::thread::Builder::new()
        .name("bus".into())
        .spawn(move || {
            for message in from_runner {
                hear(&message);
                let note = Note::Heard { messages: vec![message], receipt: None };
                if !handle.tell(note) {
                    return;
                }
            }
        })
        .map_err(started)?;
    Ok((engine, runner))
}

/// Waits for the training threads, but not for ever: what they still do counts for nothing.
pub(crate) fn say_farewell(runner: Runner) {
    let (done, wait) = mpsc::channel();
    let joined = std::thread::Builder::new().name("farewell".into()).spawn(move || {
        runner.join();
        // Nobody waits any more when this fails.
        let _ = done.send(());
    });
    if joined.is_ok() {
        // Threads that are still busy end with the process.
        let _ = wait.recv_timeout(FAREWELL);
    }
}
