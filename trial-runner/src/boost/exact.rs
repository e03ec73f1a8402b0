//! Sums of numbers as whole numbers: the same in any order, and on any number of threads.

/// Adding it rounds to a whole number, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// The unit that numbers are counted in, a power of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exact {
    scale: f64,
}

impl Exact {
    /// A unit so small that `n` numbers of at most `largest` lose nothing that matters, and so large
    /// that their sum fits.
    pub(super) fn of(largest: f64, n: usize) -> Self {
        if !(largest > 0.0 && largest.is_finite()) {
            return Self { scale: 0.0 };
        }
        let n_bits = (usize::BITS - n.leading_zeros()) as i32;
        let bits = 50.min(61 - n_bits);
        // Largest is below 2^(exponent + 1).
        let exponent = ((largest.to_bits() >> 52) & 0x7ff) as i32 - 1_023;
        Self { scale: 2.0_f64.powi((bits - 1 - exponent).clamp(-1_000, 1_000)) }
    }

    /// A number in this unit.
    #[inline(always)]
    pub(super) fn whole(self, number: f64) -> i64 {
        (number * self.scale + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i64
    }

    /// A sum of them.
    pub(super) fn number(self, sum: i64) -> f64 {
        if self.scale == 0.0 { 0.0 } else { sum as f64 / self.scale }
    }
}
