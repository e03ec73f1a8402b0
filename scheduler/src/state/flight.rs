//! What is handed out: assignments in flight, pieces of them that came back undone, and how often a
//! runner died on one.
//!
//! An assignment that comes back without a single end is split; one trial that comes back so three
//! times is given up. So a trial that kills its runner is found without failing its neighbours.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::tally::{self, Bitmap};

/// After so many hand-outs that ended nothing, a trial is given up.
pub(super) const MAX_DEATHS: u32 = 3;

/// What a piece of work asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Try(Stage),
    Refit,
}

/// How much of a trial is asked for: all of it, where trials are not given out by rungs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stage {
    /// The rung that it was at.
    pub(super) after: Option<u8>,
    /// The rung that it is tried up to.
    pub(super) rung: u8,
}

/// The entities of one configuration.
pub(super) type Part = (u32, Vec<Range<u32>>);

/// An assignment without the configurations' settings.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) number: u64,
    pub(super) attempt: u32,
    /// Hand-outs in a row that ended nothing.
    pub(super) deaths: u32,
    pub(super) purpose: Purpose,
    pub(super) parts: Vec<Part>,
}

/// How many trials parts hold.
pub(super) fn n_trials(parts: &[Part]) -> u64 {
    let ranges = parts.iter().flat_map(|(_, ranges)| ranges);
    ranges.map(|range| u64::from(range.end - range.start)).sum()
}

/// Every (configuration, entity) of parts, in order.
pub(super) fn trials(parts: &[Part]) -> impl Iterator<Item = (u32, u32)> {
    parts.iter().flat_map(|(configuration, ranges)| {
        let entities = ranges.iter().cloned().flatten();
        entities.map(move |entity| (*configuration, entity))
    })
}

/// The work that is out, or came back.
#[derive(Debug, Default)]
pub(super) struct Flight {
    out: BTreeMap<u64, Piece>,
    back: VecDeque<Piece>,
    next_number: u64,
    /// The most assignments that were out at once: the runners can do as much.
    most_out: usize,
    /// Entities by configuration that assignments of an earlier life brought: they are out, or came
    /// back, or have ended, and so nobody who looks for something to do may take them.
    adopted: BTreeMap<(Purpose, u32), Bitmap>,
}

impl Flight {
    /// Forgets everything that is out. Numbers go on.
    pub(super) fn clear(&mut self) {
        self.out.clear();
        self.back.clear();
        self.adopted.clear();
    }

    /// Takes in an assignment that was handed out before this life. Trials that another one brought
    /// stay with that one.
    pub(super) fn adopt(&mut self, piece: Piece) {
        if let Some(known) = self.out.get_mut(&piece.number) {
            // Two hand-outs of one assignment: the later one replaced the earlier.
            known.attempt = known.attempt.max(piece.attempt);
            return;
        }
        let mut parts = Vec::new();
        for (configuration, ranges) in piece.parts {
            let adopted = self.adopted.entry((piece.purpose, configuration)).or_default();
            let entities = ranges.into_iter().flatten();
            let ranges = tally::ranges(entities.filter(|&entity| adopted.insert(entity as usize)));
            if !ranges.is_empty() {
                parts.push((configuration, ranges));
            }
        }
        if !parts.is_empty() {
            self.send(Piece { parts, ..piece });
        }
    }

    /// Whether an assignment of an earlier life brought this trial.
    pub(super) fn is_adopted(&self, purpose: Purpose, configuration: u32, entity: u32) -> bool {
        let adopted = self.adopted.get(&(purpose, configuration));
        adopted.is_some_and(|entities| entities.contains(entity as usize))
    }

    /// Every trial of a configuration has ended.
    pub(super) fn close(&mut self, configuration: u32) {
        self.adopted.retain(|(purpose, number), _| {
            *number != configuration || !matches!(purpose, Purpose::Try(_))
        });
    }

    /// Drops what came back and waits to be handed out again.
    pub(super) fn drop_back(&mut self) {
        self.back.clear();
    }

    pub(super) fn piece_out(&self, number: u64) -> Option<&Piece> {
        self.out.get(&number)
    }

    /// Forgets an assignment.
    pub(super) fn forget(&mut self, number: u64) {
        self.out.remove(&number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.back.is_empty()
    }

    pub(super) fn pieces_out(&self) -> impl Iterator<Item = &Piece> {
        self.out.values()
    }

    /// Numbers go on from here, unless they are there already.
    pub(super) fn number_from(&mut self, first: u64) {
        self.next_number = self.next_number.max(first);
    }

    /// The number that the next assignment gets; all before it are older.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// A piece that came back. Of those that are given up or split when a runner dies on them once
    /// more, one is out at a time: whoever was only near when a runner died ends, and whoever kills
    /// runners dies alone.
    pub(super) fn take_back(&mut self) -> Option<Piece> {
        let is_suspect = |piece: &Piece| piece.deaths + 1 >= MAX_DEATHS;
        let is_one_out = self.out.values().any(is_suspect);
        let place = self.back.iter().position(|piece| !(is_one_out && is_suspect(piece)))?;
        self.back.remove(place)
    }

    /// A number that no assignment had.
    pub(super) fn fresh_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// A piece that was never out.
    pub(super) fn fresh(&mut self, purpose: Purpose, parts: Vec<Part>) -> Piece {
        let number = self.fresh_number();
        Piece { number, attempt: 1, deaths: 0, purpose, parts }
    }

    pub(super) fn send(&mut self, piece: Piece) {
        self.out.insert(piece.number, piece);
        self.most_out = self.most_out.max(self.out.len());
    }

    /// The most assignments that were out at once.
    pub(super) fn most_out(&self) -> usize {
        self.most_out
    }

    /// Takes an assignment in, if this is the hand-out of it that is out.
    pub(super) fn release(&mut self, number: u64, attempt: u32) -> Option<Piece> {
        match self.out.get(&number) {
            Some(piece) if piece.attempt == attempt => self.out.remove(&number),
            _ => None,
        }
    }

    /// What a released piece has left to do waits to be handed out again. Returns the piece if it
    /// is one trial that has to be given up.
    pub(super) fn put_back(
        &mut self,
        piece: Piece,
        left: Vec<Part>,
        is_blamed: bool,
    ) -> Option<Piece> {
        let (before, after) = (n_trials(&piece.parts), n_trials(&left));
        if after == 0 {
            return None;
        }
        let deaths = match is_blamed {
            _ if after < before => 0,
            true => piece.deaths + 1,
            false => piece.deaths,
        };
        let left = Piece { attempt: piece.attempt.saturating_add(1), deaths, parts: left, ..piece };
        if deaths < MAX_DEATHS {
            self.back.push_back(left);
        } else if after == 1 {
            return Some(left);
        } else {
            // Each half gets one more chance before it is split in its turn.
            for half in split(left.parts) {
                let fresh = self.fresh(left.purpose, half);
                self.back.push_back(Piece { deaths: MAX_DEATHS - 1, ..fresh });
            }
        }
        None
    }
}

/// Two halves: by configurations while there are several, then by entities.
fn split(mut parts: Vec<Part>) -> [Vec<Part>; 2] {
    if parts.len() > 1 {
        let second = parts.split_off(parts.len() / 2);
        return [parts, second];
    }
    let middle = n_trials(&parts) / 2;
    let mut halves = [Vec::new(), Vec::new()];
    for (configuration, ranges) in parts {
        let mut passed = 0;
        let mut cut: [Vec<Range<u32>>; 2] = [Vec::new(), Vec::new()];
        for range in ranges {
            let length = u64::from(range.end - range.start);
            // A number of entities fits: it is at most this range's length.
            let first = middle.saturating_sub(passed).min(length) as u32;
            let at = range.start + first;
            if first > 0 {
                cut[0].push(range.start..at);
            }
            if at < range.end {
                cut[1].push(at..range.end);
            }
            passed += length;
        }
        for (half, ranges) in halves.iter_mut().zip(cut) {
            half.push((configuration, ranges));
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_hold_the_same_trials() {
        let parts = vec![(3, vec![0..4, 6..7, 9..20])];
        let [first, second] = split(parts.clone());
        assert_eq!((n_trials(&first), n_trials(&second)), (8, 8));
        let both: Vec<_> = trials(&first).chain(trials(&second)).collect();
        assert_eq!(both, trials(&parts).collect::<Vec<_>>());
    }

    #[test]
    fn a_stale_release_is_ignored() {
        let mut flight = Flight::default();
        let piece = flight.fresh(Purpose::Try(Stage::default()), vec![(0, vec![0..1; 1])]);
        flight.send(piece.clone());
        assert!(flight.release(piece.number, 2).is_none());
        assert!(flight.release(piece.number, 1).is_some());
        assert!(flight.release(piece.number, 1).is_none());
    }

    #[test]
    fn those_that_were_near_a_bad_trial_are_not_given_up() {
        let mut flight = Flight::default();
        let mut given_up = Vec::new();
        let mut n_ended = 0;
        for entity in 0..4 {
            let piece = flight
                .fresh(Purpose::Try(Stage::default()), vec![(0, vec![entity..entity + 1; 1])]);
            flight.send(piece);
        }
        // One runner has all that is out, and trial 2 kills it.
        while given_up.is_empty() || n_ended < 3 {
            while let Some(piece) = flight.take_back() {
                flight.send(piece);
            }
            let out: Vec<Piece> = flight.pieces_out().cloned().collect();
            assert!(!out.is_empty(), "nothing is out");
            let dies = out.iter().any(|piece| piece.parts[0].1[0].start == 2);
            for piece in out {
                let released = flight.release(piece.number, piece.attempt).unwrap();
                let left = if dies { released.parts.clone() } else { Vec::new() };
                n_ended += u32::from(!dies);
                given_up.extend(flight.put_back(released, left, true));
            }
        }
        assert_eq!((given_up.len(), n_ended), (1, 3));
        assert_eq!(given_up[0].parts[0].1[0].start, 2);
    }

    #[test]
    fn one_bad_trial_is_found_by_splitting() {
        let mut flight = Flight::default();
        let all = vec![(0, vec![0..1_000; 1])];
        let piece = flight.fresh(Purpose::Try(Stage::default()), all);
        flight.send(piece.clone());
        let mut deaths = 0;
        let mut current = piece;
        let given_up = loop {
            let released = flight.release(current.number, current.attempt).unwrap();
            let has_bad = trials(&released.parts).any(|trial| trial == (0, 617));
            deaths += u32::from(has_bad);
            let left = if has_bad { released.parts.clone() } else { Vec::new() };
            if let Some(piece) = flight.put_back(released, left, true) {
                break piece;
            }
            current = flight.take_back().unwrap();
            flight.send(current.clone());
        };
        assert_eq!(trials(&given_up.parts).collect::<Vec<_>>(), [(0, 617)]);
        assert!(deaths <= 14, "{deaths} runners died");
    }
}
