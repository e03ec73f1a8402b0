//! What is known of assignments that are out: where they lie in NATS, and when they were heard of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::{AssignmentKey, StudyId};

/// An assignment that is out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where it lies in the stream; none before the stream has it.
    pub(super) sequence: Option<u64>,
    /// When it was sent, or last heard of.
    pub(super) heard: Instant,
    /// Whether it is known to lie in the stream no more.
    pub(super) is_lost: bool,
    /// The last thing that runners had told once it was known to be lost; none before that is known.
    /// Its end may be among what they told.
    pub(super) told: Option<u64>,
}

impl Entry {
    fn of(sequence: Option<u64>) -> Self {
        Self { sequence, heard: Instant::now(), is_lost: false, told: None }
    }
}

/// What runners have told, by its numbers in their stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// How much of it the engine has not on disk.
    pub(super) n_waiting: u64,
    /// The first thing that it has not.
    pub(super) first_waiting: u64,
    /// The last thing that was told.
    pub(super) last: u64,
}

impl Told {
    fn is_with_the_engine(&self, upto: u64) -> bool {
        self.n_waiting == 0 || self.first_waiting > upto
    }
}

/// The assignments that are out.
#[derive(Debug, Default)]
pub(super) struct Out {
    entries: BTreeMap<AssignmentKey, Entry>,
}

impl Out {
    /// One that lies in NATS from an earlier life.
    pub(super) fn adopt(&mut self, key: AssignmentKey, sequence: u64) {
        self.entries.insert(key, Entry::of(Some(sequence)));
    }

    /// One that is about to be sent.
    pub(super) fn send(&mut self, key: AssignmentKey) {
        self.entries.insert(key, Entry::of(None));
    }

    pub(super) fn holds(&self, key: &AssignmentKey) -> bool {
        self.entries.contains_key(key)
    }

    /// The stream has it. False when nobody wants it any more.
    pub(super) fn land(&mut self, key: &AssignmentKey, sequence: u64) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        *entry = Entry::of(Some(sequence));
        true
    }

    /// Somebody is at it.
    pub(super) fn hear(&mut self, key: &AssignmentKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.heard = Instant::now();
        }
    }

    /// It came back, or nobody wants it any more.
    pub(super) fn remove(&mut self, key: &AssignmentKey) -> Option<Entry> {
        self.entries.remove(key)
    }

    /// Those of a study, with lower numbers than this.
    pub(super) fn of_study(&self, study: StudyId, before: u64) -> Vec<(AssignmentKey, Entry)> {
        let first = AssignmentKey { study, number: 0, attempt: 0 };
        let last = AssignmentKey { study, number: before, attempt: 0 };
        self.entries.range(first..last).map(|(key, entry)| (*key, *entry)).collect()
    }

    /// Those that lay in a stream that is gone.
    pub(super) fn lose_all(&mut self) {
        for entry in self.entries.values_mut().filter(|entry| entry.sequence.is_some()) {
            (entry.is_lost, entry.told) = (true, None);
            entry.heard = Instant::now();
        }
    }

    pub(super) fn lose(&mut self, key: &AssignmentKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_lost = true;
        }
    }

    /// Those that lie in the stream, as far as is known, and were not heard of for so long.
    pub(super) fn silent(&self, at_least: Duration) -> Vec<(AssignmentKey, u64)> {
        let silent = |entry: &&Entry| !entry.is_lost && entry.heard.elapsed() >= at_least;
        let entries = self.entries.iter().filter(|(_, entry)| silent(entry));
        entries.filter_map(|(key, entry)| Some((*key, entry.sequence?))).collect()
    }

    /// Those that lie nowhere any more, were not heard of for so long, and whose end is not among
    /// what runners told: that is with the engine up to this number, or as far as anybody has told.
    pub(super) fn lost(&mut self, at_least: Duration, told: &Told) -> Vec<AssignmentKey> {
        let mut lost = Vec::new();
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.is_lost) {
            let last = *entry.told.get_or_insert(told.last);
            if told.is_with_the_engine(last) && entry.heard.elapsed() >= at_least {
                lost.push(*key);
            }
        }
        lost
    }

    /// Whether any is known to lie nowhere any more.
    pub(super) fn any_is_lost(&self) -> bool {
        self.entries.values().any(|entry| entry.is_lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(study: u32, number: u64, attempt: u32) -> AssignmentKey {
        AssignmentKey { study: StudyId(study), number, attempt }
    }

    #[test]
    fn a_study_has_its_own() {
        let mut out = Out::default();
        for (study, number, attempt) in [(1, 5, 1), (2, 0, 1), (2, 3, 7), (2, 4, 1), (3, 0, 1)] {
            out.send(key(study, number, attempt));
        }
        let of = |before| -> Vec<_> {
            out.of_study(StudyId(2), before).into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(of(4), [key(2, 0, 1), key(2, 3, 7)]);
        assert_eq!(of(u64::MAX).len(), 3);
    }

    #[test]
    fn what_is_lost_is_told_from_what_is_silent() {
        let mut out = Out::default();
        let (one, two) = (key(1, 1, 1), key(1, 2, 1));
        out.send(one);
        out.send(two);
        assert!(out.silent(Duration::ZERO).is_empty(), "nothing has landed");
        assert!(out.land(&one, 7));
        assert_eq!(out.silent(Duration::ZERO), [(one, 7)]);
        out.lose_all();
        let none = Told { n_waiting: 0, first_waiting: 0, last: 0 };
        assert_eq!(out.lost(Duration::ZERO, &none), [one], "the other one has not landed");
        out.remove(&one);
        assert!(!out.land(&one, 8), "nobody wants it");
    }

    #[test]
    fn what_was_told_before_one_was_lost_comes_first() {
        let mut out = Out::default();
        let one = key(1, 1, 1);
        out.send(one);
        out.land(&one, 7);
        out.lose(&one);
        let mut lost = |n_waiting, first_waiting, last| {
            out.lost(Duration::ZERO, &Told { n_waiting, first_waiting, last })
        };
        assert!(lost(3, 18, 20).is_empty(), "its end may be any of them");
        assert!(lost(9, 20, 28).is_empty());
        assert_eq!(lost(9, 21, 29), [one], "what came since does not matter");
        out.lose_all();
        let mut lost = |n_waiting, first_waiting, last| {
            out.lost(Duration::ZERO, &Told { n_waiting, first_waiting, last })
        };
        assert!(lost(1, 1, 1).is_empty(), "both streams begin anew");
        assert_eq!(lost(0, 2, 1), [one]);
    }
}
