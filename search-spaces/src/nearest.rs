//! What was perhaps meant: the known words most like one that is not known.

use std::cmp::Reverse;

/// No longer word is compared letter by letter.
const MAX_LETTERS: usize = 64;

/// The known word most like the given one, if one is close enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_n(word, known, 1).pop()
}

/// The same, up to `n` of them, the most alike first.
pub fn nearest_n<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    n: usize,
) -> Vec<&'a str> {
    let word = plain(word);
    let known: Vec<(Vec<char>, &str)> =
        known.into_iter().map(|candidate| (plain(candidate), candidate)).collect();
    let by_distance = known.iter().filter_map(|(letters, candidate)| {
        let limit = (word.len().max(letters.len()) / 3).max(1).min(letters.len().max(1) - 1);
        Some((distance_up_to(&word, letters, limit)?, *candidate))
    });
    let mut near: Vec<(usize, &str)> = by_distance.collect();
    near.sort_by_key(|(distance, _)| *distance);
    if !near.is_empty() {
        return near.into_iter().map(|(_, candidate)| candidate).take(n).collect();
    }
    // `min` for `min_value`, `logarithmic` for `log`, `early_stopping` for `early_termination`.
    let by_start = known.iter().filter_map(|(letters, candidate)| {
        let common = common_start(&word, letters);
        let is_whole = common == letters.len() || common == word.len();
        let is_near = common > 1 && common >= 3.min(letters.len()) && (common >= 5 || is_whole);
        is_near.then_some((Reverse(common), letters.len(), *candidate))
    });
    let mut near: Vec<(Reverse<usize>, usize, &str)> = by_start.collect();
    near.sort_by_key(|(common, length, _)| (*common, *length));
    near.into_iter().map(|(_, _, candidate)| candidate).take(n).collect()
}

/// The letters that count.
fn plain(text: &str) -> Vec<char> {
    text.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

fn common_start(left: &[char], right: &[char]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// The edits (insert, delete, replace, swap neighbours) between two words, if there are no more than
/// `limit`.
fn distance_up_to(left: &[char], right: &[char], limit: usize) -> Option<usize> {
    // Long words are never near anything; this keeps hostile keys cheap.
    let is_long = left.len() > MAX_LETTERS || right.len() > MAX_LETTERS;
    if is_long || left.len().abs_diff(right.len()) > limit {
        return None;
    }
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    let mut is_beyond = false;
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            let swapped =
                i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
        // A row hangs on the two before it.
        let was_beyond = is_beyond;
        is_beyond = rows[i].iter().all(|distance| *distance > limit);
        if was_beyond && is_beyond {
            return None;
        }
    }
    Some(rows[left.len()][right.len()]).filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::{nearest, nearest_n};

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["random", "sobol", "grid", "bayesian"];
        assert_eq!(nearest("baysian", known), Some("bayesian"));
        assert_eq!(nearest("gird", known), Some("grid"));
        assert_eq!(nearest("Random", known), Some("random"));
        assert_eq!(nearest("halving", known), None);
        assert_eq!(nearest("min", ["type", "min_value", "max_value"]), Some("min_value"));
        assert_eq!(nearest("logarithmic", ["linear", "log"]), Some("log"));
        assert_eq!(nearest("lightgbm", ["light_gbm", "sgd"]), Some("light_gbm"));
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }

    #[test]
    fn several_words_come_in_order() {
        let known = ["store-demand", "store", "17", "18"];
        assert_eq!(nearest_n("stor-demnad", known, 3), ["store-demand"]);
        assert_eq!(nearest_n("Store", known, 3), ["store"]);
        assert_eq!(nearest_n("1", known, 3), ["17", "18"]);
        assert_eq!(nearest_n("1", known, 1), ["17"]);
        assert_eq!(nearest_n("19", ["1", "18", "19"], 3), ["19", "18"]);
        assert_eq!(nearest_n("zzz", known, 3), [""; 0]);
    }
}
