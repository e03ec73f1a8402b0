//! Rows and columns drawn for a tree.

/// Numbers that look random (Steele, Lea and Flood's SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A share of `n` things, in order: whether each is drawn (Knuth's selection sampling).
    pub(super) fn share(mut self, n: usize, share: f64) -> impl Iterator<Item = bool> {
        let mut n_wanted = ((n as f64 * share).ceil() as usize).clamp(n.min(1), n);
        (0..n).rev().map(move |n_after| {
            let below = (u128::from(self.next()) * (n_after as u128 + 1)) >> 64;
            let is_drawn = (below as usize) < n_wanted;
            n_wanted -= usize::from(is_drawn);
            is_drawn
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_share_and_even() {
        let mut counts = [0; 20];
        for seed in 0..1_000 {
            let drawn: Vec<bool> = Draw::new(seed).share(20, 0.3).collect();
            assert_eq!(drawn.iter().filter(|drawn| **drawn).count(), 6);
            for (count, drawn) in counts.iter_mut().zip(drawn) {
                *count += usize::from(drawn);
            }
        }
        assert!(counts.iter().all(|count| (240..360).contains(count)), "{counts:?}");
        assert_eq!(Draw::new(1).share(3, 1e-9).filter(|drawn| *drawn).count(), 1);
        assert_eq!(Draw::new(1).share(0, 0.5).count(), 0);
    }
}
