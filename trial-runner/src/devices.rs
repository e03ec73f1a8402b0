//! What this machine can train on: looked for when somebody asks, and never in the way.

mod apart;
mod asked;
mod busy;
mod device;
mod found;
mod pace;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use crate::cuda::SUBCOMMAND;
pub use apart::work;
pub use asked::{Asked, Choice, Numbers};
pub(crate) use device::Seat;
pub use device::{Device, Done};

/// The processor and the graphics cards of this machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Devices {
    /// The processor.
    pub cpu: Cpu,
    /// Graphics cards that CUDA's driver tells of.
    pub cards: Vec<Card>,
    /// Cards beside them of which it tells nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken_cards: Vec<Broken>,
    /// Why there are none; none where there are.
    pub no_cards_because: Option<String>,
    /// Whether CUDA's compiler is here, which cards of a compute capability below 8.0 need.
    pub has_cuda_compiler: bool,
}

/// The processor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cpu {
    /// Cores that this process may use.
    pub cores: usize,
    /// Bytes of memory; none where that is not known.
    pub memory_bytes: Option<u64>,
}

/// A graphics card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// What it is called here: `cuda:0` is the first.
    pub device: String,
    /// What its maker calls it.
    pub name: String,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// How many processors of many threads it has.
    pub multiprocessors: u32,
    /// What they can do, as `9.0`.
    pub compute_capability: String,
    /// The CUDA version that its driver knows, as `13.0`.
    pub driver: String,
}

/// A card of which its driver tells nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// What it is called here.
    pub device: String,
    /// Why nothing is told.
    pub because: String,
}

/// What a process of its own found of cards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Looked {
    pub(crate) cards: Vec<Card>,
    pub(crate) broken: Vec<Broken>,
    /// Why there are no cards; none where there are.
    pub(crate) none_because: Option<String>,
}

impl Looked {
    pub(crate) fn nothing(reason: String) -> Self {
        Self { cards: Vec::new(), broken: Vec::new(), none_because: Some(reason) }
    }
}

/// What a card was measured to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What was done.
    pub what: String,
    /// How much of it in a second.
    pub per_second: f64,
    /// Of what `per_second` is: `B/s` or `/s`.
    pub unit: String,
}

impl Card {
    /// One that the shim stands for.
    #[cfg(test)]
    fn of_shim(number: usize) -> Self {
        Self {
            device: format!("cuda:{number}"),
            name: "Shim".into(),
            memory_bytes: 1 << 30,
            multiprocessors: 1,
            compute_capability: "9.0".into(),
            driver: "13.0".into(),
        }
    }

    /// Measures what the card does in a second, in a process of `program`, which is fleetfit itself.
    /// `kernels` keeps compiled ones.
    pub fn measure(&self, program: &Path, kernels: &Path) -> Result<Vec<Measured>, String> {
        apart::measured(self, program, kernels)
    }

    /// Where its kernels come from, and whether CUDA's compiler is here where that matters; none where
    /// there are none for it.
    pub(crate) fn kernels(&self, has_compiler: impl FnOnce() -> bool) -> Option<&'static str> {
        let major = self.compute_capability.split('.').next()?;
        match major.parse::<u32>().ok()? {
            8 | 9 => Some("come with fleetfit"),
            _ if has_compiler() => Some("compiled by CUDA's compiler"),
            10.. => Some("compiled by its driver"),
            _ => None,
        }
    }
}

impl Devices {
    /// The cards that models can be trained on.
    pub fn usable(&self) -> impl Iterator<Item = &Card> {
        self.cards.iter().filter(|card| self.kernels(card).is_some())
    }

    /// Where a card's kernels come from; none where there are none for it.
    pub fn kernels(&self, card: &Card) -> Option<&'static str> {
        card.kernels(|| self.has_cuda_compiler)
    }

    /// Looks for them, for cards in processes of `program`, which is fleetfit itself.
    pub fn find(program: &Path) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cpu = Cpu { cores, memory_bytes: memory_bytes() };
        let Looked { cards, broken, none_because } = apart::look(program);
        let has_cuda_compiler = apart::has_compiler(program);
        let (broken_cards, no_cards_because) = (broken, none_because);
        Self { cpu, cards, broken_cards, no_cards_because, has_cuda_compiler }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine's memory; none where that is not known.
pub(crate) fn memory_bytes() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().ok()?;
    Some(kib.saturating_mul(1024))
}
