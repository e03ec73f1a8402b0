//! A scrambled Sobol' sequence: points that spread evenly over all axes at once.
//!
//! I. M. Sobol', "On the distribution of points in a cube" (1967); the scrambling is Owen's by
//! hashing: B. Burley, "Practical hash-based Owen scrambling" (JCGT 9(4), 2020), with the constants
//! of N. Vegdahl (2021). Deviations: axes past the table are independent draws, inactive axes of a
//! conditional space are passed over, and points that came before are left out: of a finite space,
//! and of a finite branch as long as others come.

mod directions;

use fleetfit_search_spaces::{Configuration, SearchSpace};

use self::directions::{MAX_DIMENSIONS, directions};
use super::Sampler;
use super::random::unit;
use super::seen::Seen;
use fleetfit_search_spaces::seed::mix;

/// Points of the sequence that hit known points before what remains is walked instead.
const MAX_SKIPS: u64 = 200;

/// The points of the unit cube.
#[derive(Debug)]
pub(super) struct Sequence {
    n_axes: usize,
    directions: Vec<[u32; 32]>,
}

impl Sequence {
    pub(super) fn new(n_axes: usize) -> Self {
        Self { n_axes, directions: directions(n_axes.min(MAX_DIMENSIONS)) }
    }

    /// The point with this index, scrambled by a seed.
    pub(super) fn units(&self, seed: u64, index: u64) -> Vec<f64> {
        let units = (0..self.n_axes).map(|axis| {
            let seed = mix(&[seed, axis as u64]);
            match self.directions.get(axis) {
                // The sequence repeats after 2^32 points; numbers of configurations end there too.
                Some(directions) => scrambled(coordinate(directions, index as u32), seed),
                None => unit(mix(&[seed, index])),
            }
        });
        units.collect()
    }
}

/// A scrambled Sobol' sequence.
pub struct Sobol {
    space: SearchSpace,
    seed: u64,
    sequence: Sequence,
    seen: Seen,
    /// Where the sequence stands.
    cursor: u64,
    /// Where it will stand once the next proposal is seen: a proposal works that out anyway.
    next_cursor: Option<u64>,
}

impl Sobol {
    /// Walks a space by a seed.
    pub fn new(space: SearchSpace, seed: u64) -> Self {
        Self {
            seed,
            sequence: Sequence::new(space.axes().len()),
            seen: Seen::new(&space),
            space,
            cursor: 0,
            next_cursor: None,
        }
    }

    /// The next point that was not proposed, and where the sequence stands after it.
    fn next(&self) -> (Option<Configuration>, u64) {
        for index in self.cursor..self.cursor + MAX_SKIPS {
            let configuration = self.space.configuration(&self.units(index));
            if !self.seen.contains(&self.space, &configuration) {
                return (Some(configuration), index + 1);
            }
        }
        if self.seen.is_endless() {
            let repeated = self.space.configuration(&self.units(self.cursor));
            return (Some(repeated), self.cursor + 1);
        }
        let draw = mix(&[self.seed, self.cursor]);
        let walked = self.seen.first_free(&self.space, draw);
        (walked, self.cursor + MAX_SKIPS)
    }

    /// The point of the sequence with this index.
    pub(super) fn units(&self, index: u64) -> Vec<f64> {
        self.sequence.units(self.seed, index)
    }
}

impl Sampler for Sobol {
    fn propose(&mut self, _: u32) -> Option<Configuration> {
        if self.seen.is_exhausted() {
            return None;
        }
        let (configuration, next_cursor) = self.next();
        self.next_cursor = Some(next_cursor);
        configuration
    }

    fn seen(&mut self, _: u32, configuration: &Configuration) {
        let next_cursor = match self.next_cursor.take() {
            Some(next_cursor) => next_cursor,
            None if self.seen.can_repeat() => self.next().1,
            None => self.cursor + 1,
        };
        self.cursor = next_cursor;
        self.seen.insert(&self.space, configuration);
    }

    fn avoid(&mut self, configuration: &Configuration) {
        // It is no point of the sequence, which stays where it is.
        self.next_cursor = None;
        self.seen.insert(&self.space, configuration);
    }

    fn knows(&self, configuration: &Configuration) -> bool {
        self.seen.contains(&self.space, configuration)
    }
}

/// The coordinate of the point with this index, as 32 binary digits.
fn coordinate(directions: &[u32; 32], index: u32) -> u32 {
    let digits = directions.iter().enumerate();
    digits
        .filter(|(digit, _)| index >> digit & 1 == 1)
        .fold(0, |point, (_, direction)| point ^ direction)
}

/// A nested uniform scramble, and the middle of the resulting cell of width 2^-32.
fn scrambled(digits: u32, seed: u64) -> f64 {
    let (add, multiply) = (seed as u32, (seed >> 32) as u32 | 1);
    // On reversed digits, a bit may depend only on the bits below it, which these steps respect.
    let mut x = digits.reverse_bits();
    x ^= x.wrapping_mul(0x3d20_adea);
    x = x.wrapping_add(add);
    x = x.wrapping_mul(multiply);
    x ^= x.wrapping_mul(0x0552_6c56);
    x ^= x.wrapping_mul(0x53a2_2864);
    (f64::from(x.reverse_bits()) + 0.5) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Domain, Parameter};

    use super::*;

    fn cube(n_axes: usize) -> Sobol {
        let parameters = (0..n_axes).map(|axis| Parameter {
            name: format!("x{axis}"),
            domain: Domain::Uniform { min: 0.0, max: 1.0, q: None },
        });
        let space = SearchSpace { parameters: parameters.collect() };
        Sobol::new(space, 5)
    }

    #[test]
    fn every_axis_is_stratified_in_every_block() {
        let sobol = cube(300);
        for block in [0, 3] {
            let points: Vec<_> =
                (block * 256..(block + 1) * 256).map(|index| sobol.units(index)).collect();
            for axis in 0..300 {
                let mut hit = [false; 256];
                for point in &points {
                    let cell = (point[axis] * 256.0) as usize;
                    assert!(!std::mem::replace(&mut hit[cell], true), "axis {axis}");
                }
            }
        }
    }

    #[test]
    fn pairs_of_early_axes_fill_the_square() {
        let sobol = cube(12);
        let points: Vec<_> = (0..1024).map(|index| sobol.units(index)).collect();
        for first in 0..12 {
            for second in 0..first {
                let mut counts = [0u32; 64];
                for point in &points {
                    let (x, y) = ((point[first] * 8.0) as usize, (point[second] * 8.0) as usize);
                    counts[8 * x + y] += 1;
                }
                assert_eq!(counts, [16; 64], "axes {second} and {first}");
            }
        }
    }

    #[test]
    fn another_seed_is_another_scramble() {
        let (first, mut second) = (cube(2), cube(2));
        second.seed = 6;
        assert_ne!(first.units(0), second.units(0));
    }
}
