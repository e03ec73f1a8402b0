//! Numbers drawn by chance.

use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// A whole number below `n`.
pub(crate) fn below(rng: &mut Pcg64Mcg, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A number in [0, 1).
pub(super) fn unit(rng: &mut Pcg64Mcg) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
