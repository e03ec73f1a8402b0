//! Seeds out of seeds: every random choice has its own, and the same one for ever.

/// A hash of numbers that never changes between versions: SplitMix64's finaliser over each in turn.
/// A model's seed is `mix(&[study seed, configuration, entity, fold])`, a tree's
/// `mix(&[model seed, tree])`, and so on.
pub fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x9e37_79b9_7f4a_7c15, |state, &word| {
        let mut z = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
