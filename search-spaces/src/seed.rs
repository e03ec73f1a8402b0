//! Seeds out of seeds: every random choice has its own, and the same one for ever.

/// A hash of numbers that never changes between versions: SplitMix64's finaliser over each in turn.
/// A model's seed is `mix(&[study seed, configuration, entity's key, fold])`, a tree's
/// `mix(&[model seed, tree])`, and so on.
pub fn mix(words: &[u64]) -> u64 {
    words.iter().fold(0x9e37_79b9_7f4a_7c15, |state, &word| {
        let mut z = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// The same of a text.
pub fn of_text(text: &str) -> u64 {
    let words = text.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(text.len() as u64, |hash, word| mix(&[hash, word]))
}
