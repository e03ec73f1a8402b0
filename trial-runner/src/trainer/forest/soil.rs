//! A table's columns in the order in which trees cut them.
//!
//! Numbers are as they are. Words are put in order for each fit by what the rows to learn from have
//! beside them: by the mean target, which for numbers and two classes some best split of the root
//! respects (Fisher, "On Grouping for Maximum Homogeneity", 1958), or, for more classes, along the
//! first principal component of their shares (Coppersmith, Hong and Hosking, "Partitioning Nominal
//! Attributes in Decision Trees", 1999). Ordering once instead of at every node is Wright and König's
//! ("Splitting on categorical predictors in random forests", 2019). A word that no row to learn from
//! has is missing.

use super::lessons::{Lessons, Target};
use crate::boost::table::{Codes, Table, Values};
use crate::forest::grid::{Column, Grid};
use crate::frame::Frame;

/// The most groups of words that are told apart.
const MAX_GROUPS: usize = 255;
/// Steps towards the principal component: it need not be exact.
const N_STEPS: usize = 20;

/// The columns of a fit, and where they come from.
pub(super) struct Soil<'a> {
    pub(super) grid: Grid<'a>,
    /// For each column of words, the group of each of the table's codes; none for numbers.
    pub(super) groups: Vec<Option<Vec<u8>>>,
    /// Which of the table's columns each is: they stand as in the frame, so that of equal splits the
    /// first one's is taken, whatever the table's order.
    pub(super) indices: Vec<usize>,
}

impl<'a> Soil<'a> {
    /// Puts words in the order that some of the rows to learn from give them.
    pub(super) fn lay(frame: &Frame, table: &'a Table, lessons: &Lessons, rows: &[u32]) -> Self {
        let mut grid = Grid { columns: Vec::new(), n_rows: frame.n_rows };
        let mut groups = Vec::new();
        let mut indices: Vec<usize> = (0..table.columns.len()).collect();
        indices.sort_by_key(|&index| table.columns[index].source);
        for &index in &indices {
            let column = &table.columns[index];
            let codes = table.codes(index);
            match (&column.values, codes) {
                (Values::Numbers { cuts, bins }, Codes::Narrow(codes)) => {
                    let (least, most) = (bins.least.as_slice(), bins.most.as_slice());
                    grid.columns.push(Column::new(codes, least, most, cuts.as_slice()));
                    groups.push(None);
                }
                (_, Codes::Narrow(codes)) => {
                    let codes = codes.iter().map(|code| u16::from(*code));
                    let (column, own) = words(codes, column.n_values(), lessons, rows);
                    grid.columns.push(column);
                    groups.push(Some(own));
                }
                (_, Codes::Wide(codes)) => {
                    let (column, own) =
                        words(codes.iter().copied(), column.n_values(), lessons, rows);
                    grid.columns.push(column);
                    groups.push(Some(own));
                }
            }
        }
        Self { grid, groups, indices }
    }
}

/// A column of words in order, and the group of each code.
fn words(
    codes: impl ExactSizeIterator<Item = u16> + Clone,
    n_values: usize,
    lessons: &Lessons,
    rows: &[u32],
) -> (Column<'static>, Vec<u8>) {
    let of_row: Vec<u16> = codes.collect();
    let width = lessons.width();
    let mut weights = vec![0.0; n_values];
    let mut counts = vec![0_usize; n_values];
    let mut sums = vec![0.0; n_values * width];
    for &row in rows {
        let code = usize::from(of_row[row as usize]);
        let Some(count) = counts.get_mut(code) else {
            continue;
        };
        *count += 1;
        let weight = lessons.weights.as_ref().map_or(1.0, |weights| weights[row as usize]);
        weights[code] += weight;
        match &lessons.target {
            Target::Numbers(numbers) => sums[code] += weight * numbers[row as usize],
            Target::Classes { codes, .. } => {
                sums[code * width + codes[row as usize] as usize] += weight;
            }
        }
    }
    let mut order: Vec<usize> = (0..n_values).filter(|&code| counts[code] > 0).collect();
    let keys = match width {
        1 => sums.iter().zip(&weights).map(|(sum, weight)| sum / weight).collect(),
        _ => principal(&sums, &weights, width),
    };
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]).then(a.cmp(&b)));
    let missing = grouped(&order, &counts);
    let n_groups = missing.iter().copied().filter(|group| *group != u8::MAX).max();
    let n_groups = n_groups.map_or(0, |last| usize::from(last) + 1);
    let group = |code: &u16| match missing.get(usize::from(*code)) {
        Some(&group) if usize::from(group) < n_groups => group,
        _ => n_groups as u8,
    };
    let values: Vec<f64> = (0..n_groups).map(|group| group as f64).collect();
    let cuts: Vec<f64> = (1..n_groups).map(|group| group as f64 - 0.5).collect();
    let own: Vec<u8> = of_row.iter().map(group).collect();
    let groups = (0..n_values as u32).map(|code| group(&(code as u16))).collect();
    (Column::new(own, values.clone(), values, cuts), groups)
}

/// Groups of ordered words of about as many rows each, where there are too many; the words that are
/// not among them are in the last one.
fn grouped(order: &[usize], counts: &[usize]) -> Vec<u8> {
    let mut groups = vec![u8::MAX; counts.len()];
    let n_rows: usize = order.iter().map(|&code| counts[code]).sum();
    let mut n_before = 0;
    for (place, &code) in order.iter().enumerate() {
        let group = if order.len() <= MAX_GROUPS {
            place
        } else {
            (n_before * MAX_GROUPS / n_rows.max(1)).min(MAX_GROUPS - 1)
        };
        n_before += counts[code];
        groups[code] = group as u8;
    }
    groups
}

/// Where each word's shares of the classes lie along the direction in which they differ most.
fn principal(sums: &[f64], weights: &[f64], width: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; width];
    for own in sums.chunks(width) {
        mean.iter_mut().zip(own).for_each(|(mean, sum)| *mean += sum / total);
    }
    let along = |direction: &[f64], word: usize| -> f64 {
        let shares = sums[word * width..][..width].iter().map(|sum| sum / weights[word]);
        shares.zip(&mean).zip(direction).map(|((share, mean), own)| (share - mean) * own).sum()
    };
    // For two classes this is the direction, whatever the data.
    let mut direction: Vec<f64> = (0..width).map(|class| class as f64 + 1.0).collect();
    for _ in 0..if width == 2 { 0 } else { N_STEPS } {
        let mut next = vec![0.0; width];
        for word in (0..weights.len()).filter(|&word| weights[word] > 0.0) {
            let place = along(&direction, word) * weights[word];
            let shares = sums[word * width..][..width].iter().map(|sum| sum / weights[word]);
            for ((next, share), mean) in next.iter_mut().zip(shares).zip(&mean) {
                *next += place * (share - mean);
            }
        }
        let length = next.iter().map(|own| own * own).sum::<f64>().sqrt();
        if length <= 0.0 {
            break;
        }
        direction = next.iter().map(|own| own / length).collect();
    }
    (0..weights.len()).map(|word| along(&direction, word)).collect()
}
