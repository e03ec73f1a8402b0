//! A card that was found, and the process that uses it.
//!
//! The process begins when the first fit is for the card. A kernel that fails, or a driver that takes
//! the process with it, is its end: another one begins, and what was asked of it is asked again. A
//! card that is lost again and again is left alone, and everything goes on on the processor.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::busy::Busy;
use super::pace::Pace;
use super::{Card, Done, lock};
use crate::caught::caught;
use crate::cuda::company::Companies;
use crate::cuda::failed;
use crate::cuda::machine::{Fault, Machine};

/// A card that is lost so often within so long is left alone.
const MOST_LOSSES: usize = 3;
const WITHIN: Duration = Duration::from_secs(3_600);
/// How long nobody asks after the first loss; after each further one four times as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Begins to use a card.
pub(super) type Open = Box<dyn Fn(&Card) -> Result<Machine, Fault> + Send + Sync>;

/// A card that was found.
pub(super) struct Found {
    pub(super) about: Card,
    open: Open,
    life: Mutex<Life>,
    /// Queues that no thread uses.
    idle: Mutex<Vec<Queue>>,
    /// How many are used.
    pub(super) n_seated: AtomicUsize,
    lost: OnceLock<String>,
    /// What nobody was told yet.
    news: Mutex<News>,
    done: Mutex<Busy>,
    pub(super) pace: Pace,
    /// Threads whose fits go into common launches.
    pub(super) companies: Companies,
}

/// A queue of the card's process, by the number of that.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) machine: Machine,
    life: usize,
}

/// The process, or what stands for it.
#[derive(Default)]
struct Life {
    machine: Option<Machine>,
    /// How many there were before it.
    number: usize,
    /// When they ended, as far as it counts.
    losses: Vec<Instant>,
}

#[derive(Debug, Default)]
struct News {
    waiting: Vec<String>,
    told: Vec<String>,
}

impl Found {
    pub(super) fn new(about: Card, program: &Path, kernels: &Path) -> Arc<Self> {
        let (program, kernels) = (program.to_owned(), kernels.to_owned());
        Self::opened_by(
            about,
            Box::new(move |about| {
                let number = about.device.trim_start_matches("cuda:").parse().unwrap_or_default();
                Machine::start(&program, number, &kernels)
            }),
        )
    }

    pub(super) fn opened_by(about: Card, open: Open) -> Arc<Self> {
        let (life, idle, n_seated, lost) = Default::default();
        let (news, done, pace, companies) = Default::default();
        Arc::new(Self { about, open, life, idle, n_seated, lost, news, done, pace, companies })
    }

    /// Why the card is used no more.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Whether its process is there, which may have to begin first, or is about to.
    pub(super) fn is_open(&self) -> bool {
        self.life.try_lock().is_ok_and(|life| life.machine.is_some())
    }

    /// A queue for a thread; none where the card cannot be used.
    pub(super) fn queue(&self) -> Option<Queue> {
        loop {
            if let Some(idle) = lock(&self.idle).pop() {
                return Some(idle);
            }
            let mut life = lock(&self.life);
            // It may have been lost for good while this waited.
            if self.lost.get().is_some() {
                return None;
            }
            let number = life.number;
            match self.begin(&mut life) {
                Ok(machine) => return Some(Queue { machine, life: number }),
                Err(fault @ Fault::Lost(_)) => {
                    drop(life);
                    self.hear(number, &fault);
                }
                Err(fault) => {
                    drop(life);
                    self.hear(number, &fault);
                    return None;
                }
            }
        }
    }

    /// A queue of the process, which begins where there is none.
    fn begin(&self, life: &mut Life) -> Result<Machine, Fault> {
        // A driver that lacks something makes cudarc panic.
        let begun = caught(|| {
            if life.machine.is_none() {
                life.machine = Some((self.open)(&self.about)?);
            }
            life.machine
                .as_ref()
                .map_or_else(|| Err(Fault::Lost("its process ended".into())), Machine::beside)
        });
        begun.unwrap_or_else(|panic| Err(Fault::Lost(failed(&panic))))
    }

    pub(super) fn give_back(&self, queue: Queue) {
        let life = lock(&self.life);
        if life.number == queue.life && self.lost.get().is_none() {
            lock(&self.idle).push(queue);
        }
    }

    /// Takes in what went wrong with a queue.
    pub(super) fn fail(&self, queue: &Queue, fault: &Fault) {
        self.hear(queue.life, fault);
    }

    fn hear(&self, number: usize, fault: &Fault) {
        match fault {
            Fault::OutOfMemory => {
                let device = &self.about.device;
                self.say(format!(
                    "{device} leaves fits to the processor: it has no memory for them"
                ));
            }
            Fault::Refused(reason) => {
                let first = reason.lines().next().unwrap_or_default();
                self.say(format!("{} leaves fits to the processor: {first}", self.about.device));
            }
            Fault::Lost(reason) => self.lose(number, reason),
        }
    }

    /// The process of this number is of no use any more.
    fn lose(&self, number: usize, reason: &str) {
        let mut life = lock(&self.life);
        // Of all threads that lost it, one ends it.
        if life.number != number {
            return;
        }
        life.number += 1;
        life.machine = None;
        lock(&self.idle).clear();
        lock(&self.done).begin_anew();
        let now = Instant::now();
        life.losses.retain(|loss| now.duration_since(*loss) < WITHIN);
        life.losses.push(now);
        let (device, n_losses) = (&self.about.device, life.losses.len());
        if n_losses < MOST_LOSSES {
            let text = format!("{device} was lost, and is used anew: {reason}");
            // The first one for an hour is news, whatever was said before.
            match n_losses {
                1 => lock(&self.news).waiting.push(text),
                _ => self.say(text),
            }
            // Others wait for it as well: whoever asks has to begin the process.
            std::thread::sleep(PAUSE * 4_u32.pow(n_losses as u32 - 1));
        } else if self.lost.set(reason.to_owned()).is_ok() {
            self.say(format!(
                "{device} was lost {n_losses} times within an hour and is used no more; the \
                 processor goes on: {reason}"
            ));
        }
    }

    /// Keeps something to be told, once.
    fn say(&self, text: String) {
        let mut news = lock(&self.news);
        if !news.told.contains(&text) && !news.waiting.contains(&text) {
            news.waiting.push(text);
        }
    }

    /// What nobody was told yet.
    pub(super) fn news(&self) -> Vec<String> {
        let mut news = lock(&self.news);
        let waiting = std::mem::take(&mut news.waiting);
        news.told.extend(waiting.iter().cloned());
        waiting
    }

    pub(super) fn add(&self, spans: Vec<(f64, f64)>) {
        lock(&self.done).add(spans);
    }

    pub(super) fn count(&self, n_fits: usize) {
        lock(&self.done).n_fits += n_fits as u64;
    }

    pub(super) fn done(&self) -> Done {
        let mut busy = lock(&self.done);
        busy.sum_up();
        Done {
            device: self.about.device.clone(),
            fits: busy.n_fits,
            launches: busy.n_launches,
            busy_s: busy.seconds,
        }
    }

    pub(super) fn n_seated(&self) -> usize {
        self.n_seated.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Found").field(&self.about.device).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn whoever_waited_for_a_card_that_was_lost_for_good_does_not_open_it() {
        static IS_OPENED: AtomicBool = AtomicBool::new(false);
        let open = |_: &Card| {
            IS_OPENED.store(true, Ordering::SeqCst);
            Err(Fault::Lost("it is gone".into()))
        };
        let found = Found::opened_by(Card::of_shim(0), Box::new(open));
        let life = lock(&found.life);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| found.queue().is_none());
            std::thread::sleep(Duration::from_millis(100));
            found.lost.set("it is gone".into()).unwrap();
            drop(life);
            assert!(waits.join().unwrap());
        });
        assert!(!IS_OPENED.load(Ordering::SeqCst));
    }
}
