//! Rows in an order that looks random, each place on its own: a keyed permutation.
//!
//! A Feistel network over the next power of four, walked until it lands inside (Black and Rogaway,
//! "Ciphers with Arbitrary Finite Domains", 2002). Nobody keeps a secret here, so four rounds of a
//! quick hash are enough; no place depends on another, so that a graphics card shuffles at once.

const ROUNDS: u32 = 4;

/// An order of `n` things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle {
    n: u32,
    /// Bits of half a number.
    bits: u32,
    key: u64,
}

impl Shuffle {
    pub(crate) fn new(n: usize, key: u64) -> Self {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let all = u32::BITS - n.saturating_sub(1).leading_zeros();
        Self { n, bits: all.div_ceil(2), key }
    }

    /// What stands at a place.
    pub(crate) fn at(self, place: usize) -> usize {
        let mut own = place as u32;
        // The walk comes back to where it began, which is inside.
        loop {
            own = self.pass(own);
            if own < self.n || self.n == 0 {
                return own as usize;
            }
        }
    }

    fn pass(self, own: u32) -> u32 {
        let mask = ((1_u64 << self.bits) - 1) as u32;
        let (mut high, mut low) = ((u64::from(own) >> self.bits) as u32, own & mask);
        for round in 0..ROUNDS {
            let key = (self.key >> (16 * round)) as u32;
            let mut mixed = (low ^ key).wrapping_mul(0x9e37_79b1).wrapping_add(round);
            mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
            mixed ^= mixed >> 13;
            (high, low) = (low, high ^ (mixed & mask));
        }
        ((u64::from(high) << self.bits) | u64::from(low)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_one_and_no_two_the_same() {
        for n in [0, 1, 2, 3, 4, 5, 16, 17, 100, 1_000, 65_537] {
            for key in [0, 1, 0xdead_beef_1234_5678] {
                let shuffle = Shuffle::new(n, key);
                let mut all: Vec<usize> = (0..n).map(|place| shuffle.at(place)).collect();
                let is_moved = !all.is_sorted();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..n), "{n}");
                assert!(is_moved || n < 100, "{n} {key}");
            }
        }
    }

    #[test]
    fn no_place_is_favoured() {
        let mut counts = [[0; 10]; 10];
        for key in 0..2_000_u64 {
            let shuffle = Shuffle::new(10, fleetfit_search_spaces::seed::mix(&[key]));
            (0..10).for_each(|place| counts[place][shuffle.at(place)] += 1);
        }
        let all = counts.as_flattened();
        assert!(all.iter().all(|count| (140..260).contains(count)), "{counts:?}");
    }
}
