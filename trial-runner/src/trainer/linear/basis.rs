//! An entity's columns as lines add them up: once, whatever the folds, the configurations and what
//! they make of features.
//!
//! The sums over the training rows are those over all rows less those over the others, and what
//! one fold makes of a column (the fill of a missing number, the word that stands for a missing
//! one, centring, scaling) is arithmetic on sums. Nothing is learnt from a row that validates:
//! columns are shifted and scaled by all rows beforehand so that a difference of sums keeps its
//! digits, and every fold takes that back. Where digits would be lost all the same there is no
//! basis, or no split, and the rows speak for themselves. Rows of weight 0 are only predicted for.

use std::cmp::Reverse;

use super::Form;
use super::gram::{Rows, TILE};
use super::panels::Panels;
use super::split::{Open, Split};
use super::system::{Sums, System};
use crate::folds::Fold;
use crate::frame::{FeatureValues, Frame, Target};
use crate::model::encoder;
use crate::stop::{Stop, Stopped};
use crate::trainer::encode::{MAX_WORDS, Scaling, rank};
use crate::trainer::lesson::{Lesson, mean};
use crate::trainer::{Fit, FitError};

/// More columns than this are rarely worth their sums.
const MAX_COLUMNS: usize = 512;
/// Squares of what is larger may not be summed.
const MAX_VALUE: f64 = 1e50;
/// What must be left of the sum of a column's squares: three digits may go, of sixteen.
const LEAST_LEFT: f64 = 1e-3;
/// A deviation that is a smaller share of the mean has lost too many digits.
const LEAST_DEVIATION: f64 = 1e-9;

/// The columns of an entity, and the sums of their products, each row's times its weight.
#[derive(Debug)]
pub(super) struct Basis {
    columns: Columns,
    all: Vec<f64>,
}

/// The columns of an entity, shifted and scaled by all rows.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) sources: Vec<Source>,
    /// Which column of the frame each source is.
    pub(crate) origins: Vec<usize>,
    /// The columns of the sources, the target less `y_shift`, and a column of ones.
    pub(crate) rows: Rows,
    pub(crate) y_at: usize,
    pub(crate) y_shift: f64,
    ones_at: usize,
}

/// What a column of the frame became.
#[derive(Debug)]
pub(crate) enum Source {
    /// The number less `shift` over `scale`, zero where it is missing, and whether it is.
    Number { at: usize, hole: Option<usize>, shift: f64, scale: f64 },
    /// Whether it is this word, for every word in the order of the levels; and whether it is none.
    Words { first: usize, n_words: usize, hole: Option<usize> },
}

/// What a fold makes of a column.
struct Feature {
    at: usize,
    /// What a missing value adds, and where that is known.
    hole: Option<(usize, f64)>,
    /// Where the feature is zero, and by what it is multiplied.
    zero: f64,
    factor: f64,
}

/// A matrix of sums, and what it was subtracted from.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    sums: &'a [f64],
    before: &'a [f64],
    width: usize,
    ones_at: usize,
}

impl Columns {
    /// None where sums would lose digits or not pay.
    pub(crate) fn of(frame: &Frame, stop: &Stop) -> Result<Option<Self>, Stopped> {
        let Target::Number(y) = &frame.target else { return Ok(None) };
        let weights = frame.weights.as_deref();
        let is_weight = |weight: &f64| (0.0..=MAX_VALUE).contains(weight);
        if y.is_empty() || !weights.is_none_or(|weights| weights.iter().all(is_weight)) {
            return Ok(None);
        }
        let weighs = |&row: &usize| frame.weighs(row);
        let rows: Vec<usize> = (0..frame.n_rows).filter(weighs).collect();
        let own = rows.iter().map(|&row| y[row]);
        let Some((y_shift, _)) = moments(own) else { return Ok(None) };
        let mut n_columns = 0;
        let (mut sources, mut origins) = (Vec::new(), Vec::new());
        for (origin, column) in frame.columns.iter().enumerate() {
            match Source::of(&column.values, &rows, n_columns) {
                Sourced::Constant => continue,
                Sourced::Unfit => return Ok(None),
                Sourced::Source(source) => {
                    n_columns += source.n_columns();
                    sources.push((source, &column.values));
                    origins.push(origin);
                }
            }
            if n_columns > MAX_COLUMNS {
                return Ok(None);
            }
            stop.check()?;
        }
        let (y_at, ones_at) = (n_columns, n_columns + 1);
        let width = (n_columns + 2).next_multiple_of(TILE);
        let mut rows = Rows { width, values: vec![0.0; width * frame.n_rows] };
        for (source, values) in &sources {
            source.write(values, &mut rows);
        }
        for (row, value) in rows.values.chunks_exact_mut(width).zip(y) {
            row[y_at] = value - y_shift;
            row[ones_at] = 1.0;
        }
        let sources = sources.into_iter().map(|(source, _)| source).collect();
        Ok(Some(Self { sources, origins, rows, y_at, y_shift, ones_at }))
    }
}

impl Basis {
    /// None where sums would lose digits or not pay.
    pub(super) fn of(frame: &Frame, stop: &Stop) -> Result<Option<Self>, Stopped> {
        let Some(columns) = Columns::of(frame, stop)? else { return Ok(None) };
        let everyone: Vec<u32> = (0_u32..).take(frame.n_rows).collect();
        let all = columns.rows.gram(&everyone, frame.weights.as_deref(), stop)?;
        Ok(Some(Self { columns, all }))
    }

    /// What lines need of a fold; none where the training rows must be read themselves. `job` is a
    /// fit on the fold's training rows.
    pub(super) fn split(
        &self,
        job: &Fit<'_>,
        fold: &Fold,
        form: Form,
        learner: &str,
    ) -> Result<Option<Split>, FitError> {
        let lesson = Lesson::read(job)?;
        let is_constant = lesson.is_constant();
        let (y, weights) = lesson.numbers(learner)?;
        let fallback = mean(&y, weights.as_deref());
        if is_constant && form.has_intercept {
            return Ok(Some(Split::Constant(fallback)));
        }
        let train = &*job.weighing();
        let Some(others) = others(train, job.frame) else { return Ok(None) };
        if fold.validate.iter().any(|&row| row as usize >= job.frame.n_rows) {
            return Ok(None);
        }
        let all_weights = job.frame.weights.as_deref();
        let is_left = others.len() < train.len();
        let own = if is_left { &others } else { train };
        let mut totals = self.columns.rows.gram(own, all_weights, job.stop)?;
        if is_left {
            totals.iter_mut().zip(&self.all).for_each(|(part, all)| *part = all - *part);
        }
        let before = if is_left { &self.all } else { &totals };
        let matrix = self.matrix(&totals, before);
        let Some(features) = self.features(matrix, form) else { return Ok(None) };
        if features.len() > train.len() {
            return Ok(None);
        }
        let Some(sums) = self.sums(matrix, &features, form) else { return Ok(None) };
        Ok(Some(Split::Open(Open {
            start: if form.has_intercept { fallback } else { 0.0 },
            validate: self.panels(&features, &fold.validate),
            total: matrix.total(),
            system: System::Sums(sums),
        })))
    }

    fn matrix<'a>(&self, sums: &'a [f64], before: &'a [f64]) -> Matrix<'a> {
        Matrix { sums, before, width: self.columns.rows.width, ones_at: self.columns.ones_at }
    }

    /// The features of a fold in the order in which a fit has them; none when digits are lost.
    fn features(&self, matrix: Matrix<'_>, form: Form) -> Option<Vec<Feature>> {
        let total = matrix.total();
        let ones = self.columns.ones_at * (matrix.width + 1);
        if matrix.is_lost(total, matrix.before[ones]) {
            return None;
        }
        let mut features = Vec::with_capacity(self.columns.rows.width);
        let mut raw_zeros = Vec::with_capacity(self.columns.rows.width);
        for source in &self.columns.sources {
            source.features(matrix, &mut features, &mut raw_zeros);
        }
        for (feature, (raw_zero, raw_scale)) in features.iter_mut().zip(raw_zeros) {
            let mean = matrix.sum(feature) / total;
            let squares = matrix.between(feature, feature) - total * mean * mean;
            if matrix.is_lost(squares, matrix.squares_before(feature)) {
                return None;
            }
            let is_standard = form.scaling == Scaling::Standard;
            feature.zero = if is_standard || form.has_intercept { mean } else { raw_zero };
            feature.factor = if is_standard { 1.0 / (squares / total).sqrt() } else { raw_scale };
        }
        Some(features)
    }

    /// The sums of the features of a fold; none when the target loses its digits.
    fn sums(&self, matrix: Matrix<'_>, features: &[Feature], form: Form) -> Option<Sums> {
        let total = matrix.total();
        let mut y =
            Feature { at: self.columns.y_at, hole: None, zero: -self.columns.y_shift, factor: 1.0 };
        if form.has_intercept {
            y.zero = matrix.sum(&y) / total;
        }
        let y_squares = matrix.centred(&y, &y);
        let y_before = matrix.squares_before(&y) + total * y.zero * y.zero;
        if matrix.is_lost(y_squares, y_before) {
            return None;
        }
        let n = features.len();
        let mut gram = vec![0.0; n * n];
        for (i, feature) in features.iter().enumerate() {
            for (j, other) in features[..=i].iter().enumerate() {
                let product = matrix.centred(feature, other);
                gram[i * n + j] = product;
                gram[j * n + i] = product;
            }
        }
        let moments = features.iter().map(|feature| matrix.centred(feature, &y)).collect();
        Some(Sums { gram, moments, y_squares })
    }

    fn panels(&self, features: &[Feature], rows: &[u32]) -> Panels {
        let mut panels = Panels::new(rows.len(), features.len());
        for (index, &row) in rows.iter().enumerate() {
            let values = self.columns.rows.row(row as usize);
            for (cell, feature) in panels.row_mut(index).zip(features) {
                let hole = feature.hole.map_or(0.0, |(at, fill)| fill * values[at]);
                *cell = (values[feature.at] + hole - feature.zero) * feature.factor;
            }
        }
        panels
    }
}

impl Matrix<'_> {
    /// The weight of all rows.
    fn total(&self) -> f64 {
        self.cell(self.ones_at, self.ones_at)
    }

    fn cell(&self, i: usize, j: usize) -> f64 {
        self.sums[i * self.width + j]
    }

    /// The sum of a feature's values.
    fn sum(&self, feature: &Feature) -> f64 {
        self.with(feature, self.ones_at)
    }

    /// The sum of products of a feature and a column.
    fn with(&self, feature: &Feature, column: usize) -> f64 {
        let hole = feature.hole.map_or(0.0, |(at, fill)| fill * self.cell(at, column));
        self.cell(feature.at, column) + hole
    }

    /// The sum of products of two features, before anything is taken off them.
    fn between(&self, feature: &Feature, other: &Feature) -> f64 {
        let hole = other.hole.map_or(0.0, |(at, fill)| fill * self.with(feature, at));
        self.with(feature, other.at) + hole
    }

    /// The sum of products of two features.
    fn centred(&self, feature: &Feature, other: &Feature) -> f64 {
        let shifted = self.between(feature, other)
            - feature.zero * self.sum(other)
            - other.zero * (self.sum(feature) - self.total() * feature.zero);
        shifted * feature.factor * other.factor
    }

    /// What a feature's sum of squares was left from.
    fn squares_before(&self, feature: &Feature) -> f64 {
        let square = |at: usize| self.before[at * self.width + at];
        square(feature.at) + feature.hole.map_or(0.0, |(at, fill)| fill * fill * square(at))
    }

    /// Whether so little is left that it is mostly rounding. Nonsense is lost, too.
    fn is_lost(&self, left: f64, before: f64) -> bool {
        left.is_nan() || left <= LEAST_LEFT * before
    }
}

enum Sourced {
    /// No fold learns from it.
    Constant,
    /// Its sums would lose digits or are too many.
    Unfit,
    Source(Source),
}

impl Source {
    /// Numbers are shifted and scaled by `rows`, those that weigh anything.
    fn of(values: &FeatureValues, rows: &[usize], first: usize) -> Sourced {
        match values {
            FeatureValues::Number(values) => {
                let own = || rows.iter().map(|&row| values[row]);
                let present = || own().filter(|value| value.is_finite());
                let mut rest = present();
                let Some(one) = rest.next() else { return Sourced::Constant };
                if rest.all(|value| value == one) {
                    return Sourced::Constant;
                }
                let Some((shift, scale)) = moments(present()) else { return Sourced::Unfit };
                let is_whole = values.iter().all(|value| value.is_finite());
                let hole = (!is_whole).then_some(first + 1);
                Sourced::Source(Self::Number { at: first, hole, shift, scale })
            }
            FeatureValues::Category { codes, levels } => {
                let mut is_used = vec![false; levels.len()];
                let mut has_holes = false;
                for &code in codes {
                    match is_used.get_mut(code as usize) {
                        Some(is_used) => *is_used = true,
                        None => has_holes = true,
                    }
                }
                let n_words = is_used.iter().filter(|is_used| **is_used).count();
                match n_words {
                    0 | 1 => Sourced::Constant,
                    _ if n_words > MAX_WORDS => Sourced::Unfit,
                    _ => {
                        let hole = has_holes.then_some(first + n_words);
                        Sourced::Source(Self::Words { first, n_words, hole })
                    }
                }
            }
        }
    }

    fn n_columns(&self) -> usize {
        match self {
            Self::Number { hole, .. } => 1 + usize::from(hole.is_some()),
            Self::Words { n_words, hole, .. } => n_words + usize::from(hole.is_some()),
        }
    }

    fn write(&self, values: &FeatureValues, rows: &mut Rows) {
        let width = rows.width;
        let rows = rows.values.chunks_exact_mut(width);
        match (self, values) {
            (Self::Number { at, hole, shift, scale }, FeatureValues::Number(values)) => {
                for (row, value) in rows.zip(values) {
                    if value.is_finite() {
                        // Those that weigh anything are far below it.
                        let scaled = (value - shift) / scale;
                        row[*at] = scaled.clamp(-encoder::MAX_VALUE, encoder::MAX_VALUE);
                    } else if let Some(hole) = hole {
                        row[*hole] = 1.0;
                    }
                }
            }
            (Self::Words { first, hole, .. }, FeatureValues::Category { codes, levels }) => {
                let mut places = vec![usize::MAX; levels.len()];
                for &code in codes {
                    if let Some(place) = places.get_mut(code as usize) {
                        *place = 0;
                    }
                }
                let used = places.iter_mut().filter(|place| **place == 0);
                used.enumerate().for_each(|(index, place)| *place = first + index);
                for (row, &code) in rows.zip(codes) {
                    match (places.get(code as usize), hole) {
                        (Some(&place), _) => row[place] = 1.0,
                        (None, Some(hole)) => row[*hole] = 1.0,
                        (None, None) => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// What a fold makes of it, and where each feature's raw value is zero and what it is worth.
    fn features(
        &self,
        matrix: Matrix<'_>,
        features: &mut Vec<Feature>,
        raw_zeros: &mut Vec<(f64, f64)>,
    ) {
        let ones_at = matrix.ones_at;
        let feature = |at, hole| Feature { at, hole, zero: 0.0, factor: 1.0 };
        match *self {
            Self::Number { at, hole, shift, scale } => {
                let hole = hole.map(|hole| {
                    // Without any, digits are lost.
                    let present = matrix.total() - matrix.cell(hole, ones_at);
                    (hole, matrix.cell(at, ones_at) / present)
                });
                features.push(feature(at, hole));
                raw_zeros.push((-shift / scale, scale));
            }
            Self::Words { first, n_words, hole } => {
                let rank = |at: usize| rank(matrix.cell(at, at), matrix.total());
                let mut order: Vec<usize> =
                    (first..first + n_words).filter(|&at| rank(at) > 0).collect();
                order.sort_by_key(|&at| Reverse(rank(at)));
                if order.len() < 2 {
                    return;
                }
                for (rank, at) in order.into_iter().enumerate() {
                    let hole = hole.filter(|_| rank == 0).map(|hole| (hole, 1.0));
                    features.push(feature(at, hole));
                    raw_zeros.push((0.0, 1.0));
                }
            }
        }
    }
}

/// The rows that weigh anything and do not train; none where a row trains twice.
fn others(train: &[u32], frame: &Frame) -> Option<Vec<u32>> {
    let mut trains = vec![false; frame.n_rows];
    for &row in train {
        if std::mem::replace(trains.get_mut(row as usize)?, true) {
            return None;
        }
    }
    let rows = (0_u32..).zip(trains).filter(|(_, trains)| !trains).map(|(row, _)| row);
    Some(rows.filter(|&row| frame.weighs(row as usize)).collect())
}

/// Mean and deviation; none where numbers are too large, or so alike that their differences have
/// lost digits.
fn moments(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let (mut n, mut sum, mut largest) = (0.0, 0.0, 0.0_f64);
    for value in values.clone() {
        n += 1.0;
        sum += value;
        largest = largest.max(value.abs());
    }
    if !(1.0 / MAX_VALUE..=MAX_VALUE).contains(&largest) {
        return None;
    }
    let mean = sum / n;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    let deviation = (squares / n).sqrt();
    (deviation > LEAST_DEVIATION * largest).then_some((mean, deviation))
}
