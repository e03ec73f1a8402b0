//! An entity's features as bins: laid out once, shared by every configuration and fold.
//!
//! Codes stand twice: column after column, one byte each, for parting rows at a split; and row after
//! row, as places in a histogram, so that one row's gradient is read once for all its features.
//! Columns with one value are left out; columns of words come last.

use super::bins::Bins;

/// A histogram's places that one block of columns can reach.
pub(super) const WINDOW: usize = 1 << 16;
/// The most values of a column that have a bin each; what is missing has one more.
const MAX_VALUES: usize = 255;
/// Bins are cut from at most so many rows, evenly spread.
const MAX_CUT_ROWS: usize = 200_000;

/// The binned features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) n_rows: usize,
    pub(crate) columns: Vec<Column>,
    /// Column after column.
    codes: Vec<u8>,
    /// Row after row, for some columns each.
    pub(super) blocks: Vec<Block>,
    /// All columns' bins.
    pub(super) n_bins: usize,
    /// Where the bins of words begin.
    pub(super) n_number_bins: usize,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its position among those that were given.
    pub(crate) source: usize,
    pub(crate) values: Values,
    /// The code of a missing value; none when no value is missing.
    pub(crate) missing: Option<u8>,
    /// Where its bins begin.
    pub(super) first_bin: usize,
    /// How many it has, that of missing values included.
    pub(super) n_bins: usize,
}

/// What the codes of a column mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// The bins of numbers, parted by these.
    Numbers { cuts: Vec<f64> },
    /// A level a code; those that are left share the code after the last.
    Words { levels: Vec<u32> },
}

/// Some columns, row after row.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Where its bins begin.
    pub(super) first_bin: usize,
    /// Its first column.
    pub(super) first_column: usize,
    /// How many columns it has.
    pub(super) width: usize,
    pub(super) places: Vec<u16>,
}

/// A column to be binned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    /// Numbers; what is not finite is missing.
    Numbers(&'a [f64]),
    /// Indices of levels; what is beyond `n_levels` is missing.
    Words { codes: &'a [u32], n_levels: usize },
}

impl Table {
    /// Bins columns of `n_rows` values into at most `max_bins` bins each, and one for what is
    /// missing.
    pub(crate) fn new(raw: &[Raw<'_>], n_rows: usize, max_bins: usize, n_threads: usize) -> Self {
        let max_bins = max_bins.clamp(2, MAX_VALUES);
        let n_threads = n_threads.clamp(1, raw.len().max(1));
        let share = raw.len().div_ceil(n_threads).max(1);
        let mut coded = Vec::with_capacity(raw.len());
        if n_threads == 1 {
            coded.extend(raw.iter().map(|raw| code(*raw, n_rows, max_bins)));
        } else {
            std::thread::scope(|scope| {
                let task = |raw: &[Raw<'_>]| -> Vec<Coded> {
                    raw.iter().map(|raw| code(*raw, n_rows, max_bins)).collect()
                };
                let parts = raw.chunks(share);
                let workers: Vec<_> = parts.map(|part| scope.spawn(move || task(part))).collect();
                for worker in workers {
                    match worker.join() {
                        Ok(part) => coded.extend(part),
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                }
            });
        }
        Self::lay(coded, n_rows)
    }

    fn lay(coded: Vec<Coded>, n_rows: usize) -> Self {
        let mut coded: Vec<(usize, Coded)> =
            coded.into_iter().enumerate().filter(|(_, coded)| coded.n_bins() > 1).collect();
        coded.sort_by_key(|(source, coded)| {
            (matches!(coded.values, Values::Words { .. }), coded.missing.is_some(), *source)
        });
        let mut table = Self { n_rows, ..Self::default() };
        table.codes.reserve_exact(coded.len() * n_rows);
        for (source, coded) in coded {
            let n_bins = coded.n_bins();
            table.columns.push(Column {
                source,
                missing: coded.missing,
                first_bin: table.n_bins,
                n_bins,
                values: coded.values,
            });
            table.codes.extend_from_slice(&coded.codes);
            table.n_bins += n_bins;
            if matches!(table.columns.last(), Some(Column { values: Values::Numbers { .. }, .. })) {
                table.n_number_bins = table.n_bins;
            }
        }
        let mut first = 0;
        while first < table.columns.len() {
            let block = table.block(first);
            first += block.width;
            table.blocks.push(block);
        }
        table
    }

    /// As many columns as reach no further than a window.
    fn block(&self, first_column: usize) -> Block {
        let first_bin = self.columns[first_column].first_bin;
        let columns = &self.columns[first_column..];
        let reach = |column: &&Column| column.first_bin + column.n_bins - first_bin <= WINDOW;
        let columns = &columns[..columns.iter().take_while(reach).count()];
        let width = columns.len();
        let mut places = vec![0_u16; width * self.n_rows];
        for (index, column) in columns.iter().enumerate() {
            let offset = column.first_bin - first_bin;
            let codes = self.codes(first_column + index);
            for (line, &code) in places.chunks_exact_mut(width).zip(codes) {
                line[index] = (offset + usize::from(code)) as u16;
            }
        }
        Block { first_bin, first_column, width, places }
    }

    /// One column's codes.
    pub(crate) fn codes(&self, column: usize) -> &[u8] {
        &self.codes[column * self.n_rows..(column + 1) * self.n_rows]
    }
}

impl Column {
    /// How many codes stand for values.
    pub(crate) fn n_values(&self) -> usize {
        self.n_bins - usize::from(self.missing.is_some())
    }

    /// Whether it holds words.
    pub(super) fn holds_words(&self) -> bool {
        matches!(self.values, Values::Words { .. })
    }
}

struct Coded {
    values: Values,
    missing: Option<u8>,
    codes: Vec<u8>,
    n_values: usize,
}

impl Coded {
    fn n_bins(&self) -> usize {
        self.n_values + usize::from(self.missing.is_some())
    }
}

fn code(raw: Raw<'_>, n_rows: usize, max_bins: usize) -> Coded {
    match raw {
        Raw::Numbers(values) => code_numbers(&values[..n_rows], max_bins),
        Raw::Words { codes, n_levels } => code_words(&codes[..n_rows], n_levels, max_bins),
    }
}

fn code_numbers(values: &[f64], max_bins: usize) -> Coded {
    let stride = values.len().div_ceil(MAX_CUT_ROWS).max(1);
    let seen = values.iter().copied().step_by(stride);
    let mut sorted: Vec<f64> = seen.filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let bins = Bins::cut(&sorted, max_bins);
    let cuts = bins.cuts();
    let n_values = bins.least.len();
    let is_missing = values.iter().any(|value| !value.is_finite());
    let codes = values.iter().map(|value| {
        if value.is_finite() {
            cuts.partition_point(|cut| cut < value) as u8
        } else {
            n_values as u8
        }
    });
    Coded {
        codes: codes.collect(),
        missing: is_missing.then_some(n_values as u8),
        n_values,
        values: Values::Numbers { cuts },
    }
}

/// The most frequent words have a code each.
fn code_words(words: &[u32], n_levels: usize, max_bins: usize) -> Coded {
    let mut counts = vec![0_u32; n_levels];
    let mut n_missing = 0;
    for &word in words {
        match counts.get_mut(word as usize) {
            Some(count) => *count += 1,
            None => n_missing += 1,
        }
    }
    let mut levels: Vec<u32> =
        (0..n_levels as u32).filter(|&level| counts[level as usize] > 0).collect();
    levels.sort_by_key(|&level| (std::cmp::Reverse(counts[level as usize]), level));
    let n_values = levels.len().min(max_bins);
    if levels.len() > max_bins {
        levels.truncate(max_bins - 1);
    }
    let rare = n_values.saturating_sub(1) as u8;
    let mut code_of = vec![rare; n_levels];
    for (code, &level) in levels.iter().enumerate() {
        code_of[level as usize] = code as u8;
    }
    let code = |word: &u32| code_of.get(*word as usize).copied().unwrap_or(n_values as u8);
    Coded {
        codes: words.iter().map(code).collect(),
        missing: (n_missing > 0).then_some(n_values as u8),
        n_values,
        values: Values::Words { levels },
    }
}
