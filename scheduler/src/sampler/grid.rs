//! Every combination once, in seeded order.
//!
//! The order is a permutation that is computed, not stored: a Feistel network over the next even
//! power of two, walked until it falls inside the grid (Black and Rogaway, "Ciphers with arbitrary
//! finite domains", 2002). That takes fewer than four steps on average.
//!
//! Where nested spaces overlap, a combination has several places in the grid: it comes at the first
//! one of its own.

use std::collections::BTreeSet;

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Configuration, SearchSpace};

use super::Sampler;

const N_ROUNDS: u64 = 6;

/// Every combination once.
pub struct Grid {
    space: SearchSpace,
    seed: u64,
    size: u128,
    /// Whether a combination may have several places.
    may_overlap: bool,
    /// Points that are tried whatever the walk comes to, and how many of them it has passed.
    avoided: Vec<Configuration>,
    n_passed: u128,
    n_seen: u128,
}

impl Grid {
    /// The grid of a finite space; none for an infinite one.
    pub fn new(space: SearchSpace, seed: u64) -> Option<Self> {
        let size = space.grid_size()?;
        // No grid of the largest size is ever walked to its end.
        let may_overlap = size < u128::MAX && may_overlap(&space);
        Some(Self { space, seed, size, may_overlap, avoided: Vec::new(), n_passed: 0, n_seen: 0 })
    }

    /// Whether a point has not come yet when the walk comes to this place of the grid.
    fn is_new(&self, at: u128, point: &Configuration) -> bool {
        let is_first = !self.may_overlap || self.space.grid_index(point) == Some(at);
        is_first && !self.avoided.contains(point)
    }

    /// The next point from an index on that is not avoided, and its index.
    fn next_from(&self, mut index: u128) -> Option<(u128, Configuration)> {
        while index < self.size {
            let at = permuted(index, self.size, self.seed);
            let point = self.space.grid_point(at);
            if self.is_new(at, &point) {
                return Some((index, point));
            }
            index += 1;
        }
        None
    }
}

impl Sampler for Grid {
    fn propose(&mut self, number: u32) -> Option<Configuration> {
        let n_own = u128::from(number).saturating_sub(self.avoided.len() as u128);
        self.next_from(n_own + self.n_passed).map(|(_, point)| point)
    }

    fn seen(&mut self, _: u32, _: &Configuration) {
        if self.may_overlap || !self.avoided.is_empty() {
            let first = self.n_seen + self.n_passed;
            if let Some((index, _)) = self.next_from(first) {
                self.n_passed += index - first;
            }
        }
        self.n_seen += 1;
    }

    fn avoid(&mut self, configuration: &Configuration) {
        self.avoided.push(configuration.clone());
    }

    fn knows(&self, configuration: &Configuration) -> bool {
        let at = self.space.grid_index(configuration).filter(|&at| at < self.size);
        let is_past =
            at.is_some_and(|at| place_of(at, self.size, self.seed) < self.n_seen + self.n_passed);
        is_past || self.avoided.contains(configuration)
    }
}

/// Whether a choice of a space has several nested ones.
fn may_overlap(space: &SearchSpace) -> bool {
    let parents: BTreeSet<_> = space.axes().iter().filter_map(|axis| axis.parent).collect();
    let mut pairs = parents.iter().zip(parents.iter().skip(1));
    pairs.any(|((one, _), (other, _))| one == other)
}

/// Where `index`, below `size`, goes in the permutation of this seed.
fn permuted(index: u128, size: u128, seed: u64) -> u128 {
    walk(index, size, |left, right, mask| {
        for round in 0..N_ROUNDS {
            (*left, *right) = (*right, *left ^ (mix(&[seed, round, *right]) & mask));
        }
    })
}

/// The index that goes to this place.
fn place_of(at: u128, size: u128, seed: u64) -> u128 {
    walk(at, size, |left, right, mask| {
        for round in (0..N_ROUNDS).rev() {
            (*left, *right) = (*right ^ (mix(&[seed, round, *left]) & mask), *left);
        }
    })
}

/// Goes on with a step on both halves of a number until it is below a size.
fn walk(from: u128, size: u128, step: impl Fn(&mut u64, &mut u64, u64)) -> u128 {
    // Both halves have the same width, so the domain is less than four times the size.
    let n_bits = 128 - (size - 1).leading_zeros();
    let half = n_bits.div_ceil(2);
    if half == 0 {
        return 0;
    }
    let mask = u64::MAX >> (64 - half);
    let mut at = from;
    loop {
        let (mut left, mut right) = ((at >> half) as u64 & mask, at as u64 & mask);
        step(&mut left, &mut right, mask);
        at = u128::from(left) << half | u128::from(right);
        if at < size {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Alternative, Domain, Parameter, Value};

    use super::*;

    #[test]
    fn every_index_is_hit_once() {
        for size in [1, 2, 3, 7, 64, 65, 1_000, 4_097] {
            let mut hit = vec![false; size as usize];
            for index in 0..size {
                let at = permuted(index, size, 9) as usize;
                assert!(!std::mem::replace(&mut hit[at], true), "{at} of {size} twice");
                assert_eq!(place_of(at as u128, size, 9), index);
            }
        }
    }

    #[test]
    fn the_order_is_neither_that_of_the_file_nor_that_of_another_seed() {
        let order = |seed| -> Vec<u128> { (0..100).map(|i| permuted(i, 100, seed)).collect() };
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), (0..100).collect::<Vec<_>>());
        assert_eq!(order(1), order(1));
    }

    #[test]
    fn what_has_several_places_comes_once() {
        let choice = |values: &[i64]| -> Domain {
            let values = values.iter().map(|&value| Alternative::Value(Value::Int(value)));
            Domain::Choice(values.collect())
        };
        let parameter = |name: &str, domain| Parameter { name: name.to_owned(), domain };
        let nested = [[1, 2], [2, 3], [1, 3]].map(|values| {
            let parameters = vec![parameter("a", choice(&values))];
            Alternative::Space(SearchSpace { parameters })
        });
        let model = parameter("model", Domain::Choice(nested.into_iter().collect()));
        let space = SearchSpace { parameters: vec![model, parameter("b", choice(&[1, 2]))] };
        for seed in 0..9 {
            let mut grid = Grid::new(space.clone(), seed).unwrap();
            let mut came: Vec<Configuration> = Vec::new();
            while let Some(point) = grid.propose(came.len() as u32) {
                assert!(!came.contains(&point) && !grid.knows(&point), "{point:?}");
                grid.seen(came.len() as u32, &point);
                assert!(grid.knows(&point));
                came.push(point);
            }
            assert_eq!(came.len(), 6);
        }
    }

    #[test]
    fn huge_grids_need_no_memory() {
        for size in [u128::MAX, 1 << 127, (1 << 64) + 1] {
            let points: std::collections::BTreeSet<u128> =
                (0..1_000).map(|index| permuted(index, size, 3)).collect();
            assert_eq!(points.len(), 1_000);
            assert!(points.iter().all(|&point| point < size));
        }
    }
}
