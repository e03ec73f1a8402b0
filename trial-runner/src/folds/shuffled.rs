//! Folds of rows without an order: shuffled, and for classes stratified.

use rand_pcg::Pcg64;

use super::{Fold, shuffle};

/// Every row validates in one fold and trains in the others. Stratified, each class is dealt out
/// like cards, and the next class goes on where the last one stopped: folds differ by at most one
/// row in size and by at most one row in each class.
pub(super) fn k_fold(
    n_rows: usize,
    classes: Option<&[u32]>,
    n_folds: usize,
    generator: &mut Pcg64,
) -> Vec<Fold> {
    let n_folds = n_folds.max(2).min(n_rows);
    let mut fold_of = vec![0; n_rows];
    for (position, row) in dealt(n_rows, classes, generator).into_iter().enumerate() {
        fold_of[row as usize] = position % n_folds;
    }
    (0..n_folds)
        .map(|number| {
            let (validate, train) =
                (0_u32..).take(n_rows).partition(|&row| fold_of[row as usize] == number);
            Fold { train, validate }
        })
        .collect()
}

/// This share of the rows validates; of each class the same share, rounded so that the whole is
/// right. At least one row trains and one validates.
pub(super) fn hold_out(
    n_rows: usize,
    classes: Option<&[u32]>,
    share: f64,
    generator: &mut Pcg64,
) -> Fold {
    let n_validate = n_held_out(n_rows, share);
    // Rows taken at equal distances out of the classes laid end to end hold each class's share.
    let mut validates = vec![false; n_rows];
    for (position, row) in dealt(n_rows, classes, generator).into_iter().enumerate() {
        let before = position * n_validate / n_rows;
        let after = (position + 1) * n_validate / n_rows;
        validates[row as usize] = after > before;
    }
    let (validate, train) = (0_u32..).take(n_rows).partition(|&row| validates[row as usize]);
    Fold { train, validate }
}

/// How many rows a hold-out validates on.
pub(super) fn n_held_out(n_rows: usize, share: f64) -> usize {
    let n_validate = (n_rows as f64 * share).round() as usize;
    n_validate.min(n_rows.saturating_sub(1)).max(1)
}

/// All rows, shuffled; with classes, one class after the other.
fn dealt(n_rows: usize, classes: Option<&[u32]>, generator: &mut Pcg64) -> Vec<u32> {
    let mut rows: Vec<u32> = (0_u32..).take(n_rows).collect();
    shuffle(&mut rows, generator);
    if let Some(codes) = classes {
        rows.sort_by_key(|&row| codes[row as usize]);
    }
    rows
}
