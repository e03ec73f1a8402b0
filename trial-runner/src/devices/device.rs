//! What a runner trains on: its threads alone, or a graphics card beside them.
//!
//! The card is looked for when the runner begins; its context is made when the first fit is for it.
//! Each thread has a queue of its own, so that one's transfers lie beside another's kernels. A card
//! that was lost, as after a kernel that failed, stays lost for this process: the driver answers
//! nothing any more, and everything goes on on the processor.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;

use super::Card;
use crate::caught::caught;
use crate::cuda::boost::Limits;
use crate::cuda::machine::{Fault, Machine};
#[cfg(test)]
use crate::cuda::shim::Shim;
use crate::cuda::{cards, has_compiler, has_driver};

/// What somebody wants models to be trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// On a graphics card, where there is one.
    #[default]
    Auto,
    /// On the processor.
    Cpu,
    /// On this graphics card.
    Cuda(u32),
}

/// What a runner trains on.
#[derive(Clone, Debug, Default)]
pub struct Device(Option<Arc<Found>>);

/// A device, and why it is none where it might have been one.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// What was chosen.
    pub device: Device,
    /// Why there is no card.
    pub no_card_because: Option<String>,
    /// Whether there is a driver, so that whoever installed it may wonder.
    pub has_driver: bool,
}

/// A card that was found.
#[derive(Debug)]
struct Found {
    about: Card,
    /// Where compiled kernels are kept.
    kernels: PathBuf,
    open: fn(&Card, &Path) -> Result<Machine, Fault>,
    /// None where it cannot be opened.
    machine: OnceLock<Option<Machine>>,
    /// Queues that no thread uses.
    idle: Mutex<Vec<Machine>>,
    lost: OnceLock<String>,
    /// What nobody was told yet.
    news: Mutex<News>,
    done: Mutex<Busy>,
}

/// What a card has done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Done {
    /// What it is called here.
    pub device: String,
    /// Fits that it answered.
    pub fits: u64,
    /// Launches that this took.
    pub launches: u64,
    /// How long there was at least one under way.
    pub busy_s: f64,
}

/// Launches, of which several may be under way at once.
#[derive(Debug, Default)]
struct Busy {
    n_fits: u64,
    n_launches: u64,
    /// Those that are not in `until` and `seconds` yet.
    spans: Vec<(f64, f64)>,
    until: f64,
    seconds: f64,
}

/// So many launches are put together at once.
const MANY: usize = 4_096;

impl Busy {
    fn add(&mut self, spans: Vec<(f64, f64)>) {
        self.n_launches += spans.len() as u64;
        self.spans.extend(spans);
        if self.spans.len() >= MANY {
            self.sum_up();
        }
    }

    /// What began before the end of what is put together counts from there on.
    fn sum_up(&mut self) {
        self.spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (began, ended) in self.spans.drain(..) {
            self.seconds += (ended - began.max(self.until)).max(0.0);
            self.until = self.until.max(ended);
        }
    }
}

#[derive(Debug, Default)]
struct News {
    waiting: Vec<String>,
    told: Vec<String>,
}

/// A queue of a device, lent to one thread.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    found: &'a Found,
    /// There until it is dropped.
    machine: Option<Machine>,
    limits: Limits,
}

impl Asked {
    /// Looks for the device. Compiled kernels are kept in a folder.
    pub fn find(self, kernels: &Path) -> Result<Choice, String> {
        let number = match self {
            Self::Cpu => return Ok(Choice::default()),
            Self::Auto => None,
            Self::Cuda(number) => Some(number),
        };
        let cards = cards().and_then(|mut cards| {
            cards.retain(|card| card.has_code() || has_compiler());
            match cards.is_empty() {
                false => Ok(cards),
                true => {
                    Err("CUDA's compiler (libnvrtc.so.13), which cards of a compute capability \
                             below 8.0 need, is not found"
                        .to_owned())
                }
            }
        });
        let has_driver = has_driver();
        match (number, cards) {
            (None, Err(reason)) => {
                Ok(Choice { device: Device(None), no_card_because: Some(reason), has_driver })
            }
            (None, Ok(cards)) => {
                let device = Device(cards.into_iter().next().map(|card| Found::new(card, kernels)));
                Ok(Choice { device, no_card_because: None, has_driver })
            }
            (Some(number), Err(reason)) => Err(format!("cuda:{number} cannot be used: {reason}")),
            (Some(number), Ok(cards)) => {
                let name = Self::Cuda(number).to_string();
                match cards.iter().find(|card| card.device == name) {
                    Some(card) => {
                        let device = Device(Some(Found::new(card.clone(), kernels)));
                        Ok(Choice { device, no_card_because: None, has_driver })
                    }
                    None => Err(format!("there is no {name}: this machine has {}", listed(&cards))),
                }
            }
        }
    }
}

fn listed(cards: &[Card]) -> String {
    let all = cards.iter().map(|card| format!("{} ({})", card.device, card.name));
    all.collect::<Vec<_>>().join(", ")
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        number.map(Self::Cuda).ok_or_else(|| {
            match text.contains(',') {
                true => "one runner has one device: start a runner for each card",
                false => "write auto, cpu, or a card as cuda:0",
            }
            .to_owned()
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(number) => write!(formatter, "cuda:{number}"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.card() {
            None => formatter.write_str("cpu"),
            Some(card) => {
                let gib = card.memory_bytes as f64 / (1_u64 << 30) as f64;
                write!(formatter, "{} ({}, {gib:.1} GiB)", card.device, card.name)
            }
        }
    }
}

impl Device {
    /// The card, where there is one.
    pub fn card(&self) -> Option<&Card> {
        self.0.as_ref().map(|found| &found.about)
    }

    /// Why the card can be used no more by this process.
    pub fn lost(&self) -> Option<&str> {
        self.0.as_ref()?.lost.get().map(String::as_str)
    }

    /// What the card has done; none where there is no card.
    pub fn done(&self) -> Option<Done> {
        let found = self.0.as_ref()?;
        let mut busy = lock(&found.done);
        busy.sum_up();
        Some(Done {
            device: found.about.device.clone(),
            fits: busy.n_fits,
            launches: busy.n_launches,
            busy_s: busy.seconds,
        })
    }

    /// What the user should know and was not told yet.
    pub fn news(&self) -> Vec<String> {
        self.0.as_ref().map_or_else(Vec::new, |found| {
            let mut news = lock(&found.news);
            let waiting = std::mem::take(&mut news.waiting);
            news.told.extend(waiting.iter().cloned());
            waiting
        })
    }

    /// A queue for a thread, where there is a card that can be used. So many threads share it.
    pub(crate) fn seat(&self, n_threads: usize) -> Option<Seat<'_>> {
        let found = self.0.as_deref()?;
        if found.lost.get().is_some() {
            return None;
        }
        let idle = lock(&found.idle).pop();
        let machine = match idle {
            Some(machine) => machine,
            None => found.queue()?,
        };
        match machine.limits(n_threads) {
            Ok(limits) => Some(Seat { found, machine: Some(machine), limits }),
            Err(fault) => {
                found.hear(&fault);
                None
            }
        }
    }

    /// The shim, which tests may have fail.
    #[cfg(test)]
    pub(crate) fn on(shim: Shim) -> Self {
        let device = Self::opened_by(|_, _| Err(Fault::Lost("it is open".into())));
        if let Some(found) = &device.0 {
            found.machine.set(Some(Machine::Shim(shim))).unwrap();
        }
        device
    }

    #[cfg(test)]
    fn opened_by(open: fn(&Card, &Path) -> Result<Machine, Fault>) -> Self {
        let about = Card {
            device: "cuda:0".into(),
            name: "Shim".into(),
            memory_bytes: 1 << 30,
            multiprocessors: 1,
            compute_capability: "9.0".into(),
            driver: "13.0".into(),
        };
        Self(Some(Found::with(about, PathBuf::new(), open)))
    }
}

impl Found {
    fn new(about: Card, kernels: &Path) -> Arc<Self> {
        Self::with(about, kernels.to_owned(), |about, kernels| {
            let number = about.device.trim_start_matches("cuda:").parse().unwrap_or_default();
            Machine::open(number, kernels)
        })
    }

    fn with(
        about: Card,
        kernels: PathBuf,
        open: fn(&Card, &Path) -> Result<Machine, Fault>,
    ) -> Arc<Self> {
        let (machine, idle, lost, news, done) = Default::default();
        Arc::new(Self { about, kernels, open, machine, idle, lost, news, done })
    }

    /// Another queue; none where the card cannot be used.
    fn queue(&self) -> Option<Machine> {
        let machine = self.machine.get_or_init(|| {
            // A driver that lacks something makes cudarc panic.
            let opened =
                caught(|| (self.open)(&self.about, &self.kernels)).unwrap_or_else(|panic| {
                    Err(Fault::Lost(panic.message().unwrap_or("its driver fails").to_owned()))
                });
            opened.inspect_err(|fault| self.lose(&fault.to_string())).ok()
        });
        let queue = caught(|| machine.as_ref().map(Machine::beside)).ok().flatten()?;
        queue.inspect_err(|fault| self.hear(fault)).ok()
    }

    fn lose(&self, reason: &str) {
        let device = &self.about.device;
        if self.lost.set(reason.to_owned()).is_ok() {
            self.say(format!("{device} can be used no more, and the processor goes on: {reason}"));
        }
        lock(&self.idle).clear();
    }

    fn hear(&self, fault: &Fault) {
        match fault {
            // What finds no memory is the processor's; that is no news.
            Fault::OutOfMemory => {}
            Fault::Refused(reason) => {
                let first = reason.lines().next().unwrap_or_default();
                self.say(format!("{} leaves fits to the processor: {first}", self.about.device));
            }
            Fault::Lost(reason) => self.lose(reason),
        }
    }

    /// Keeps something to be told, once.
    fn say(&self, text: String) {
        let mut news = lock(&self.news);
        if !news.told.contains(&text) && !news.waiting.contains(&text) {
            news.waiting.push(text);
        }
    }
}

impl Seat<'_> {
    /// Has the device do something. None where it could not, or nothing: the processor does it then.
    pub(crate) fn ask(&self, act: impl FnOnce(&Machine, &Limits) -> Result<(), Fault>) {
        let Some(machine) = &self.machine else { return };
        let asked = caught(|| act(machine, &self.limits)).unwrap_or_else(|panic| {
            Err(Fault::Refused(panic.message().unwrap_or("it failed unexpectedly").to_owned()))
        });
        match asked.and_then(|()| machine.spans()) {
            Ok(spans) => lock(&self.found.done).add(spans),
            Err(fault) => self.found.hear(&fault),
        }
    }

    /// Counts fits that were answered.
    pub(crate) fn count(&self, n_fits: usize) {
        lock(&self.found.done).n_fits += n_fits as u64;
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(machine) = self.machine.take()
            && self.found.lost.get().is_none()
        {
            lock(&self.found.idle).push(machine);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_asked_for_by_their_names() {
        for (text, asked) in
            [("auto", Asked::Auto), ("cpu", Asked::Cpu), ("cuda:3", Asked::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(asked));
            assert_eq!(asked.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Asked::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:-1", "CUDA:0", ""] {
            assert!(text.parse::<Asked>().unwrap_err().contains("cuda:0"), "{text}");
        }
        let several = "cuda:0,cuda:1".parse::<Asked>().unwrap_err();
        assert!(several.contains("a runner for each card"), "{several}");
    }

    #[test]
    fn launches_beside_each_other_count_once() {
        let mut busy = Busy::default();
        busy.add(vec![(3.0, 4.0), (1.0, 2.0), (1.5, 2.5)]);
        busy.sum_up();
        assert_eq!((busy.seconds, busy.n_launches), (2.5, 3));
        busy.add(vec![(3.5, 4.5), (6.0, 7.0), (3.0, 3.5)]);
        busy.sum_up();
        assert_eq!((busy.seconds, busy.n_launches), (4.0, 6));
    }

    #[test]
    fn the_processor_is_always_there() {
        let choice = Asked::Cpu.find(Path::new("")).unwrap();
        assert_eq!(choice.device.to_string(), "cpu");
        assert_eq!(choice.no_card_because, None);
        assert!(choice.device.seat(4).is_none() && choice.device.lost().is_none());
    }

    #[test]
    fn a_card_that_does_not_open_is_told_of_once() {
        let device = Device::opened_by(|_, _| Err(Fault::Lost("no context".into())));
        assert_eq!(device.to_string(), "cuda:0 (Shim, 1.0 GiB)");
        assert!(device.seat(1).is_none() && device.seat(1).is_none());
        assert_eq!(device.lost(), Some("the device is lost: no context"));
        assert_eq!(device.news().len(), 1);
        assert!(device.news().is_empty());
        let broken = Device::opened_by(|_, _| panic!("a symbol is missing"));
        assert!(broken.seat(1).is_none());
        assert!(broken.lost().unwrap().contains("a symbol is missing"));
    }
}
