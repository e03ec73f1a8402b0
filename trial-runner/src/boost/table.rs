//! An entity's features as bins: laid out once, shared by every configuration and fold.
//!
//! Codes stand twice: column after column, a byte each, or two where there are many words, for
//! parting rows at a split; and row after row, as places in a histogram, so that one row's gradient
//! is read once for all its features. Columns with one value are left out; columns of words come
//! last.

use std::borrow::Cow;

use super::bins::Bins;

/// A histogram's places that one block of columns can reach.
pub(super) const WINDOW: usize = 1 << 16;
/// The most bins of numbers; what is missing has one more.
const MAX_NUMBER_BINS: usize = 255;
/// The most words that have a code each, or share the last; what is missing has one more.
pub(crate) const MAX_WORDS: usize = WINDOW - 1;
/// Codes that a byte can tell apart.
const MAX_NARROW: usize = 256;
/// Up to so many words are tried one by one; sets of more are searched for.
const MAX_SINGLE: usize = 4;
/// Where a byte would not do, a word of fewer rows is a rare one.
const MIN_WORD_ROWS: u32 = 3;
/// Bins are cut from at most so many rows, evenly spread.
const MAX_CUT_ROWS: usize = 200_000;

/// The binned features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) n_rows: usize,
    pub(crate) columns: Vec<Column>,
    /// Column after column, of those that a byte is enough for.
    narrow: Vec<u8>,
    /// The other columns.
    wide: Vec<u16>,
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
    pub(crate) missing: Option<u16>,
    /// Where its bins begin.
    pub(super) first_bin: usize,
    /// How many it has, that of missing values included.
    pub(super) n_bins: usize,
    /// Where its codes begin.
    first_code: usize,
}

/// A column's codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Codes<'a> {
    /// All numbers', and those of few words.
    Narrow(&'a [u8]),
    /// Those of many words.
    Wide(&'a [u16]),
}

/// What the codes of a column mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// The bins of numbers, parted by these, and the values that each reaches from and to.
    Numbers { cuts: Vec<f64>, bins: Bins },
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
    /// Bins columns of so many rows, of these weights, into at most `max_bins` bins each, and one for
    /// what is missing. Rows of weight 0 get the bins that the others make.
    pub(crate) fn new(
        raw: &[Raw<'_>],
        rows: (usize, Option<&[f64]>),
        max_bins: usize,
        n_threads: usize,
    ) -> Self {
        let max_bins = max_bins.clamp(2, MAX_NUMBER_BINS);
        let n_threads = n_threads.clamp(1, raw.len().max(1));
        let share = raw.len().div_ceil(n_threads).max(1);
        let mut coded = Vec::with_capacity(raw.len());
        if n_threads == 1 {
            coded.extend(raw.iter().map(|raw| code(*raw, rows, max_bins)));
        } else {
            std::thread::scope(|scope| {
                let task = |raw: &[Raw<'_>]| -> Vec<Coded> {
                    raw.iter().map(|raw| code(*raw, rows, max_bins)).collect()
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
        Self::lay(coded, rows.0)
    }

    fn lay(coded: Vec<Coded>, n_rows: usize) -> Self {
        let mut coded: Vec<(usize, Coded)> =
            coded.into_iter().enumerate().filter(|(_, coded)| coded.n_bins() > 1).collect();
        coded.sort_by_key(|(source, coded)| {
            (matches!(coded.values, Values::Words { .. }), coded.missing.is_some(), *source)
        });
        let mut table = Self { n_rows, ..Self::default() };
        for (source, coded) in coded {
            let n_bins = coded.n_bins();
            let first_code = match coded.codes {
                Coding::Narrow(codes) => append(&mut table.narrow, &codes),
                Coding::Wide(codes) => append(&mut table.wide, &codes),
            };
            table.columns.push(Column {
                source,
                missing: coded.missing,
                first_bin: table.n_bins,
                n_bins,
                first_code,
                values: coded.values,
            });
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
            let lines = places.chunks_exact_mut(width);
            match self.codes(first_column + index) {
                Codes::Narrow(codes) => lines.zip(codes).for_each(|(line, &code)| {
                    line[index] = (offset + usize::from(code)) as u16;
                }),
                Codes::Wide(codes) => lines.zip(codes).for_each(|(line, &code)| {
                    line[index] = (offset + usize::from(code)) as u16;
                }),
            }
        }
        Block { first_bin, first_column, width, places }
    }

    /// Whether sets of any column's words are searched for.
    pub(super) fn is_searched(&self) -> bool {
        self.columns.iter().rev().take_while(|column| column.holds_words()).any(Column::is_searched)
    }

    /// One column's codes.
    pub(crate) fn codes(&self, column: usize) -> Codes<'_> {
        let own = &self.columns[column];
        let range = own.first_code..own.first_code + self.n_rows;
        if own.n_bins <= MAX_NARROW {
            Codes::Narrow(&self.narrow[range])
        } else {
            Codes::Wide(&self.wide[range])
        }
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

    /// Whether sets of its words are searched for.
    pub(super) fn is_searched(&self) -> bool {
        self.holds_words() && self.n_bins > MAX_SINGLE
    }
}

impl Codes<'_> {
    /// A row's.
    #[cfg(test)]
    pub(crate) fn of(self, row: usize) -> u16 {
        match self {
            Self::Narrow(codes) => u16::from(codes[row]),
            Self::Wide(codes) => codes[row],
        }
    }
}

struct Coded {
    values: Values,
    missing: Option<u16>,
    codes: Coding,
    n_values: usize,
}

enum Coding {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
}

/// Where they stand.
fn append<C: Copy>(all: &mut Vec<C>, own: &[C]) -> usize {
    all.extend_from_slice(own);
    all.len() - own.len()
}

impl Coded {
    fn n_bins(&self) -> usize {
        self.n_values + usize::from(self.missing.is_some())
    }
}

fn code(raw: Raw<'_>, (n_rows, weights): (usize, Option<&[f64]>), max_bins: usize) -> Coded {
    let weights = weights.map(|weights| &weights[..n_rows]);
    match raw {
        Raw::Numbers(values) => code_numbers(&values[..n_rows], weights, max_bins),
        Raw::Words { codes, n_levels } => code_words(&codes[..n_rows], weights, n_levels),
    }
}

/// The values of the rows that weigh anything.
fn weighing<'a, T: Copy>(values: &'a [T], weights: Option<&[f64]>) -> Cow<'a, [T]> {
    let Some(weights) = weights else { return Cow::Borrowed(values) };
    let pairs = values.iter().zip(weights);
    pairs.filter(|(_, weight)| **weight != 0.0).map(|(value, _)| *value).collect()
}

fn code_numbers(values: &[f64], weights: Option<&[f64]>, max_bins: usize) -> Coded {
    let own = weighing(values, weights);
    let stride = own.len().div_ceil(MAX_CUT_ROWS).max(1);
    let seen = own.iter().copied().step_by(stride);
    let mut sorted: Vec<f64> = seen.filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let bins = Bins::cut(&sorted, max_bins);
    let cuts = bins.cuts();
    let n_values = bins.least.len();
    let is_missing = own.iter().any(|value| !value.is_finite());
    // Where no row that weighs anything is missing, a missing one is in the last bin.
    let missing = if is_missing { n_values } else { cuts.len() };
    let codes = values.iter().map(|value| {
        if value.is_finite() {
            cuts.partition_point(|cut| cut < value) as u8
        } else {
            missing as u8
        }
    });
    Coded {
        codes: Coding::Narrow(codes.collect()),
        missing: is_missing.then_some(n_values as u16),
        n_values,
        values: Values::Numbers { cuts, bins },
    }
}

/// A code each, for the most frequent words first.
fn code_words(words: &[u32], weights: Option<&[f64]>, n_levels: usize) -> Coded {
    let mut counts = vec![0_u32; n_levels];
    let mut n_missing = 0;
    for &word in &*weighing(words, weights) {
        match counts.get_mut(word as usize) {
            Some(count) => *count += 1,
            None => n_missing += 1,
        }
    }
    let mut levels: Vec<u32> =
        (0..n_levels as u32).filter(|&level| counts[level as usize] > 0).collect();
    levels.sort_by_key(|&level| (std::cmp::Reverse(counts[level as usize]), level));
    let n_seen = levels.len();
    if n_seen >= MAX_NARROW {
        let n_frequent = levels.partition_point(|&level| counts[level as usize] >= MIN_WORD_ROWS);
        levels.truncate(n_frequent.min(MAX_WORDS - 1));
    }
    let n_values = levels.len() + usize::from(levels.len() < n_seen);
    let missing = (n_missing > 0).then_some(n_values as u16);
    let rare = n_values.saturating_sub(1) as u16;
    let mut code_of = vec![rare; n_levels];
    for (code, &level) in levels.iter().enumerate() {
        code_of[level as usize] = code as u16;
    }
    let of_missing = missing.unwrap_or(rare);
    let codes = words.iter().map(|word| code_of.get(*word as usize).copied().unwrap_or(of_missing));
    let codes = if n_values + usize::from(missing.is_some()) <= MAX_NARROW {
        Coding::Narrow(codes.map(|code| code as u8).collect())
    } else {
        Coding::Wide(codes.collect())
    };
    Coded { codes, missing, n_values, values: Values::Words { levels } }
}
