//! Who competes with whom: the brackets of hyperband.
//!
//! L. Li et al., "Hyperband" (JMLR 2018): bracket s of 0 to S = floor(log(max / min) / log(factor))
//! has its first rung at min × factor^(S - s) reports, and takes ceil((S + 1) / (s + 1) × factor^s)
//! configurations for those of the others. Trials are compared within their bracket only. Deviations:
//! no rung lies at or behind `max`, where a trial is done; and brackets do not follow each other:
//! configurations are dealt out in these shares by their numbers, so that every bracket has begun
//! after a few of them (the fractional parts of multiples of the golden ratio, which are spread
//! evenly from the first on).

use fleetfit_search_spaces::early_termination::Policy;

use super::halving::Rungs;

/// Shares of configurations are counted to this many, so that sums hold.
const MOST: u64 = 1 << 40;

/// The brackets of a policy, the one that stops most first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brackets {
    /// The rungs of each; none for policies that have none.
    pub rungs: Vec<Rungs>,
    /// Each bracket's share of the configurations and those before it.
    shares: Vec<u64>,
}

impl Brackets {
    /// The brackets of a policy: one for all but hyperband.
    pub fn new(policy: &Policy) -> Self {
        match *policy {
            Policy::Asha { min_resource, reduction_factor } => {
                let (first, factor) = (u64::from(min_resource), u64::from(reduction_factor));
                Self { rungs: vec![Rungs { first, factor, end: u64::MAX }], shares: vec![1] }
            }
            Policy::Hyperband { min_resource, reduction_factor, max_resource } => {
                let end = u64::from(max_resource);
                Self::hyperband(u64::from(min_resource), u64::from(reduction_factor).max(2), end)
            }
            _ => Self { rungs: Vec::new(), shares: vec![1] },
        }
    }

    fn hyperband(min: u64, factor: u64, end: u64) -> Self {
        let firsts = std::iter::successors(Some(min.max(1)), |first| first.checked_mul(factor));
        let mut rungs: Vec<Rungs> = firsts
            .take_while(|first| *first <= end)
            .map(|first| Rungs { first, factor, end })
            .collect();
        if rungs.is_empty() {
            rungs.push(Rungs { first: min, factor, end });
        }
        let n = rungs.len() as u64;
        let mut total = 0;
        let shares = (1..=n).rev().map(|left| {
            let power = factor.saturating_pow(u32::try_from(left - 1).unwrap_or(u32::MAX));
            total += (n * power.min(MOST)).div_ceil(left);
            total
        });
        Self { shares: shares.collect(), rungs }
    }

    /// The bracket of a configuration.
    pub fn of(&self, configuration: u32) -> usize {
        const GOLDEN: u32 = 0x9E37_79B9;
        let spread = configuration.wrapping_mul(GOLDEN);
        let total = self.shares.last().copied().unwrap_or(1);
        let place = (u128::from(spread) * u128::from(total)) >> 32;
        self.shares.partition_point(|&share| u128::from(share) <= place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brackets_of_the_paper() {
        let policy = Policy::Hyperband { min_resource: 1, reduction_factor: 3, max_resource: 81 };
        let brackets = Brackets::new(&policy);
        let firsts: Vec<u64> = brackets.rungs.iter().map(|rungs| rungs.first).collect();
        assert_eq!(firsts, [1, 3, 9, 27, 81]);
        // 81, 34, 15, 8 and 5 configurations, as in table 1 of the paper.
        assert_eq!(brackets.shares, [81, 115, 130, 138, 143]);
    }

    #[test]
    fn configurations_are_dealt_out_in_shares_from_the_first_on() {
        let policy = Policy::Hyperband { min_resource: 1, reduction_factor: 3, max_resource: 81 };
        let brackets = Brackets::new(&policy);
        let mut dealt = [0; 5];
        (0..1_430).for_each(|number| dealt[brackets.of(number)] += 1);
        for (dealt, wanted) in dealt.into_iter().zip([810, 340, 150, 80, 50]) {
            assert!(i32::abs(dealt - wanted) <= 3, "{dealt} for {wanted}");
        }
        let first: Vec<usize> = (0..12).map(|number| brackets.of(number)).collect();
        assert_eq!(first, [0, 1, 0, 2, 0, 0, 1, 0, 3, 0, 0, 1]);
    }

    #[test]
    fn other_policies_have_one_bracket_and_odd_bounds_are_harmless() {
        assert_eq!(Brackets::new(&Policy::MedianStopping).of(7), 0);
        for (min_resource, reduction_factor, max_resource) in
            [(1, 2, u32::MAX), (u32::MAX, u32::MAX, 1), (0, 0, 0), (5, 3, 5)]
        {
            let brackets =
                Brackets::new(&Policy::Hyperband { min_resource, reduction_factor, max_resource });
            let n = brackets.rungs.len();
            assert!((1..=33).contains(&n));
            assert!([0, 1, 2, 77, u32::MAX].into_iter().all(|number| brackets.of(number) < n));
        }
    }
}
