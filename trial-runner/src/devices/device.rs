//! What a runner trains on: its threads alone, or graphics cards beside them.
//!
//! Cards are looked for when the runner begins, and each is used by a process of its own (`found.rs`).
//! Each thread has a queue of its own, of the card that fewest others use, so that one's transfers
//! lie beside another's kernels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Card;
use super::found::{Found, Queue};
use crate::caught::caught;
use crate::cuda::company::Companies;
use crate::cuda::machine::Limits;
use crate::cuda::machine::{Fault, Machine};
#[cfg(test)]
use crate::cuda::shim::Shim;
use crate::slots::Slot;
use crate::stop::Stop;

/// What a runner trains on.
#[derive(Clone, Debug, Default)]
pub struct Device(Arc<[Arc<Found>]>);

/// What cards have done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Done {
    /// What they are called here.
    pub device: String,
    /// Fits that they answered.
    pub fits: u64,
    /// Launches that this took.
    pub launches: u64,
    /// How long there was at least one under way; of several cards, on the busiest.
    pub busy_s: f64,
}

/// A queue of a device, lent to one thread.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    found: &'a Found,
    /// Ends every wait for the card.
    stop: &'a Stop,
    /// Given away while the card is waited for.
    slot: Arc<Slot>,
    /// How many threads share the card.
    n_threads: usize,
    /// There until it is dropped, or the card is lost.
    queue: Option<(Queue, Limits)>,
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("cpu");
        }
        for (place, card) in self.cards().enumerate() {
            let gib = card.memory_bytes as f64 / (1_u64 << 30) as f64;
            let before = if place == 0 { "" } else { ", " };
            write!(formatter, "{before}{} ({}, {gib:.1} GiB)", card.device, card.name)?;
        }
        Ok(())
    }
}

impl Device {
    pub(super) fn of(cards: Vec<Arc<Found>>) -> Self {
        Self(cards.into())
    }

    /// The cards.
    pub fn cards(&self) -> impl Iterator<Item = &Card> {
        self.0.iter().map(|found| &found.about)
    }

    /// What the cards have done; none where there are none.
    pub fn done(&self) -> Option<Done> {
        self.0.iter().map(|found| found.done()).reduce(|all, own| Done {
            device: format!("{}, {}", all.device, own.device),
            fits: all.fits + own.fits,
            launches: all.launches + own.launches,
            busy_s: all.busy_s.max(own.busy_s),
        })
    }

    /// What the user should know and was not told yet.
    pub fn news(&self) -> Vec<String> {
        self.0.iter().flat_map(|found| found.news()).collect()
    }

    /// A queue for a thread, where there is a card that can be used. So many threads share them. Nobody
    /// waits for the card once the stop is raised, and others may have the slot as long as somebody does.
    pub(crate) fn seat<'a>(
        &'a self,
        n_threads: usize,
        stop: &'a Stop,
        slot: &Arc<Slot>,
    ) -> Option<Seat<'a>> {
        let usable = || self.0.iter().filter(|found| found.lost().is_none());
        let n_threads = n_threads.div_ceil(usable().count().max(1));
        while let Some(found) = usable().min_by_key(|found| found.n_seated()) {
            let mut seat = Seat::of(found, n_threads, (stop, slot));
            if seat.sit_down() {
                return Some(seat);
            }
            // What is not lost has no memory for another queue.
            found.lost()?;
        }
        None
    }

    /// How many threads wait until launches of others are through.
    #[cfg(test)]
    pub(crate) fn n_waiting(&self) -> usize {
        self.0.iter().map(|found| found.companies.n_waiting()).sum()
    }

    /// The shim, which tests may have fail, beyond the border of another process.
    #[cfg(test)]
    pub(crate) fn on(shim: Shim) -> Self {
        Self::opened_by(1, move |_| Ok(Machine::across_the_border(shim)))
    }

    /// So many cards, which tests open.
    #[cfg(test)]
    pub(crate) fn opened_by(
        n_cards: usize,
        open: impl Fn(&Card) -> Result<Machine, Fault> + Copy + Send + Sync + 'static,
    ) -> Self {
        let found = |number| Found::opened_by(Card::of_shim(number), Box::new(open));
        Self::of((0..n_cards).map(found).collect())
    }
}

impl<'a> Seat<'a> {
    fn of(found: &'a Found, n_threads: usize, (stop, slot): (&'a Stop, &Arc<Slot>)) -> Self {
        found.n_seated.fetch_add(1, Ordering::Relaxed);
        Self { found, stop, slot: Arc::clone(slot), n_threads, queue: None }
    }

    /// Takes a queue; whether there is one.
    fn sit_down(&mut self) -> bool {
        if !self.found.is_open() {
            self.slot.rest();
        }
        while !self.is_stopped()
            && let Some(queue) = self.found.queue()
        {
            queue.machine.heed(self.stop, &self.slot);
            match queue.machine.limits(self.n_threads) {
                Ok(limits) => {
                    self.queue = Some((queue, limits));
                    return true;
                }
                Err(Fault::Lost(_)) if self.is_stopped() => return false,
                Err(fault) => {
                    self.found.fail(&queue, &fault);
                    if !matches!(fault, Fault::Lost(_)) {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// Whoever asks works again, as soon as there is a slot.
    pub(crate) fn work(&self) {
        self.slot.work(self.stop);
    }

    /// Nobody asks for now.
    pub(crate) fn rest(&self) {
        self.slot.rest();
    }

    fn is_stopped(&self) -> bool {
        self.stop.check().is_err()
    }

    /// Has the device do something of a learner's, again where its process ended meanwhile. Where it
    /// could not, or not all of it, the processor does it.
    pub(crate) fn ask(
        &mut self,
        learner: &'static str,
        mut act: impl FnMut(&Machine, &Limits) -> Result<(), Fault>,
    ) {
        while self.queue.is_some() || self.sit_down() {
            let Some((queue, limits)) = self.queue.take() else { return };
            let planned =
                Limits { launch_s: limits.launch_s * self.found.pace.of(learner), ..limits };
            let asked = caught(|| act(&queue.machine, &planned)).unwrap_or_else(|panic| {
                Err(Fault::Refused(panic.message().unwrap_or("it failed unexpectedly").to_owned()))
            });
            // What was refused, or found no memory, leaves what was done.
            let outcome = match asked {
                Err(fault @ Fault::Lost(_)) => Err(fault),
                asked => {
                    if let Err(fault) = &asked {
                        self.found.fail(&queue, fault);
                    }
                    queue.machine.spans()
                }
            };
            if matches!(outcome, Err(Fault::Lost(_))) && self.is_stopped() {
                // It was not waited for: the card may still be at it, and is not to blame.
                return;
            }
            if let Err(fault) = &outcome {
                self.found.fail(&queue, fault);
            }
            match outcome {
                Ok(spans) => {
                    self.found.pace.hear(learner, &spans);
                    self.found.add(spans);
                }
                Err(Fault::Lost(_)) => continue,
                Err(_) => {}
            }
            self.queue = Some((queue, limits));
            return;
        }
    }

    /// Those who want fits of the same card.
    pub(crate) fn companies(&self) -> &'a Companies {
        &self.found.companies
    }

    /// Counts fits that were answered.
    pub(crate) fn count(&self, n_fits: usize) {
        self.found.count(n_fits);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.found.n_seated.fetch_sub(1, Ordering::Relaxed);
        if let Some((queue, _)) = self.queue.take() {
            self.found.give_back(queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::time::Duration;

    use super::*;
    use crate::cuda::machine::{Grid, Kernel, Word};
    use crate::cuda::shim::{Fate, Fates};
    use crate::slots::Slots;
    use crate::trainer::Spare;

    #[test]
    fn a_card_that_does_not_open_is_tried_again_and_then_left_alone() {
        static N_OPENED: AtomicUsize = AtomicUsize::new(0);
        let stop = Stop::default();
        let device = Device::opened_by(1, |_| {
            N_OPENED.fetch_add(1, Ordering::SeqCst);
            Err(Fault::Lost("no context".into()))
        });
        assert_eq!(device.to_string(), "cuda:0 (Shim, 1.0 GiB)");
        assert!(
            device.seat(1, &stop, &Slot::only()).is_none()
                && device.seat(1, &stop, &Slot::only()).is_none()
        );
        assert_eq!(N_OPENED.load(Ordering::SeqCst), 3);
        let news = device.news();
        assert_eq!(news.len(), 2, "{news:?}");
        assert!(news[0].contains("is used anew: no context"), "{news:?}");
        assert!(news[1].contains("lost 3 times within an hour and is used no more"), "{news:?}");
        assert!(device.news().is_empty());
        let broken = Device::opened_by(1, |_| panic!("a symbol is missing"));
        assert!(broken.seat(1, &stop, &Slot::only()).is_none());
        assert!(broken.news()[1].contains("a symbol is missing"));
    }

    #[test]
    fn who_waits_until_a_card_is_open_gives_its_slot_away() {
        static IS_OPEN: AtomicBool = AtomicBool::new(false);
        let device = Device::opened_by(1, |_| {
            while !IS_OPEN.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(Machine::Shim(Shim::default()))
        });
        let (slots, stop) = (Slots::of(1, 0, Spare::default()), Stop::default());
        let slot = Arc::new(slots.take(|| true).unwrap());
        std::thread::scope(|scope| {
            let sits = scope.spawn(|| device.seat(1, &stop, &slot).is_some());
            while slots.take(|| true).is_none() {}
            IS_OPEN.store(true, Ordering::SeqCst);
            assert!(sits.join().unwrap());
        });
        // Once it is open nobody waits.
        slot.work(&stop);
        assert!(device.seat(1, &stop, &slot).is_some() && slots.take(|| false).is_none());
    }

    #[test]
    fn threads_share_cards_evenly_and_those_that_are_left_take_all() {
        let device = Device::opened_by(3, |card| match card.device.as_str() {
            "cuda:1" => Err(Fault::Lost("it is broken".into())),
            _ => Ok(Machine::Shim(Shim::default())),
        });
        let stop = Stop::default();
        let seats: Vec<Seat<'_>> =
            (0..4).filter_map(|_| device.seat(4, &stop, &Slot::only())).collect();
        let names: Vec<&str> = seats.iter().map(|seat| seat.found.about.device.as_str()).collect();
        assert_eq!(names, ["cuda:0", "cuda:2", "cuda:0", "cuda:2"]);
        assert_eq!(device.done().unwrap().device, "cuda:0, cuda:1, cuda:2");
        drop(seats);
        assert!(device.0.iter().all(|found| found.n_seated() == 0));
    }

    #[test]
    fn what_was_asked_of_a_process_that_ended_is_asked_again() {
        let (device, stop) = (Device::on(Shim::default()), Stop::default());
        let mut seat = device.seat(1, &stop, &Slot::only()).unwrap();
        let mut n_asked = 0;
        seat.ask("ridge", |_, _| {
            n_asked += 1;
            if n_asked == 2 { Ok(()) } else { Err(Fault::Lost("it ended".into())) }
        });
        assert_eq!(n_asked, 2);
        drop(seat);
        assert_eq!(device.news(), ["cuda:0 was lost, and is used anew: it ended"]);
        let mut seat = device.seat(1, &stop, &Slot::only()).unwrap();
        seat.ask("ridge", |_, _| Err(Fault::Lost("it ended".into())));
        assert!(device.0[0].lost().is_some());
        seat.ask("ridge", |_, _| panic!("nobody asks it again"));
    }
    #[test]
    fn nobody_waits_for_a_launch_once_its_study_is_over() {
        let stands = Fates::of([Fate::Stands(Duration::from_secs(3_600))]);
        let device = Device::on(Shim { fates: Some(stands), ..Shim::default() });
        let stop = Stop::default();
        let mut seat = device.seat(1, &stop, &Slot::only()).unwrap();
        let mut n_asked = 0;
        seat.ask("theta", |machine, _| {
            n_asked += 1;
            let own = machine.room(8)?;
            let kernel = Kernel { name: "theta", source: "" };
            let grid = Grid { n_blocks: 1, n_threads: 32, shared: 1024 };
            machine.launch(&kernel, &[], grid, &[Word::Buffer(&own)])?;
            // Once it stands.
            while stands.n_launches() == 0 {
                std::thread::yield_now();
            }
            stop.cancel();
            machine.take(&own).map(drop)
        });
        assert_eq!(n_asked, 1, "nobody asks again");
        assert!(device.seat(1, &stop, &Slot::only()).is_none());
        assert!(device.news().is_empty(), "the card is not to blame");
        // What else is asked of it is another queue's.
        let other = Stop::default();
        let mut seat = device.seat(1, &other, &Slot::only()).unwrap();
        let mut told = None;
        seat.ask("theta", |machine, _| {
            told = Some(machine.take(&machine.room(8)?)?);
            Ok(())
        });
        assert_eq!((told, device.news().len()), (Some(vec![0; 8]), 0));
    }
}
