//! How an entity's rows are split into training and validation.
//!
//! The split depends on the study's seed and the entity and on nothing else, so that every
//! configuration of an entity is judged on the same rows. Where an entity has too few rows for what
//! is asked, it gets as many folds as it has room for:
//! - k folds of n rows are min(k, n) folds; a single row cannot be split.
//! - a hold-out keeps at least one row on either side.
//! - rolling origins need two different times; the horizon shrinks to leave one for training, and
//!   origins whose training part would be shorter than the horizon are left out, down to one.

mod rolling;
mod shuffled;
mod thinned;

use fleetfit_search_spaces::Extent;
use fleetfit_search_spaces::data::{DataSpec, Folds, Task};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng;

use crate::frame::{Frame, Target};

/// One split of an entity's rows, as indices into its frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// The rows to train on; in order of time for forecasting.
    pub train: Vec<u32>,
    /// The rows to validate on; in order of time for forecasting.
    pub validate: Vec<u32>,
}

/// What splits need to know about the rows of a frame, besides features and target.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Each row's time, for forecasting: seconds since 1970, or a step's number.
    pub time: Option<Vec<f64>>,
    /// Each row's series inside the entity, where there are several.
    pub series: Option<Vec<u32>>,
    /// For each column of `cv_split_column_names` each row's mark: 1 validates, 0 trains.
    pub columns: Vec<Vec<f64>>,
    /// With a validation table: how many rows train. The rest validate.
    pub n_training: Option<u32>,
    /// How many series were left out because they are short.
    pub n_short: usize,
}

impl Fold {
    /// Whether it validates on the rows it trains on, each by what was learnt without it.
    pub fn is_out_of_bag(&self) -> bool {
        self.train == self.validate
    }
}

impl Marks {
    /// The rows that a final model learns from, which are all but those of a validation table; in
    /// order of time for forecasting.
    pub fn refit_rows(&self, n_rows: usize) -> Vec<u32> {
        let n_training = self.n_training.map_or(n_rows, |n| n as usize);
        let mut rows: Vec<u32> = (0_u32..).take(n_training).collect();
        self.sort_by_time(&mut rows);
        rows
    }

    fn sort_by_time(&self, rows: &mut [u32]) {
        if let Some(time) = &self.time {
            rows.sort_by(|&a, &b| time[a as usize].total_cmp(&time[b as usize]));
        }
    }
}

/// How to split: the part of a data set's description that splits need.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldPlan {
    /// What is asked for.
    pub folds: Folds,
    /// What is predicted.
    pub task: Task,
    /// Steps ahead, for forecasting; none is a tenth of the entity's times.
    pub horizon: Option<u32>,
    /// Steps between origins, for forecasting; none is the horizon.
    pub cv_step: Option<u32>,
    /// Steps between what is learnt from and what is validated on, for forecasting.
    pub gap: u32,
}

impl FoldPlan {
    /// The plan of a data set. One with a validation table has [`Folds::Given`], whatever it says.
    pub fn of(spec: &DataSpec) -> Self {
        let forecasting = spec.forecasting.as_ref();
        Self {
            folds: match spec.validation {
                Some(_) => Folds::Given,
                None => spec.folds.clone(),
            },
            task: spec.task,
            horizon: forecasting.and_then(|f| f.horizon),
            cv_step: forecasting.and_then(|f| f.cv_step),
            gap: forecasting.map_or(0, |f| f.gap),
        }
    }

    /// What is asked for, where that depends on how many rows there are.
    fn of_rows(&self, n_rows: usize) -> Folds {
        match (&self.folds, n_rows) {
            (Folds::Auto, _) if self.task == Task::Forecasting => Folds::Auto,
            (Folds::Auto, 0..1_000) => Folds::Count(10),
            (Folds::Auto, 1_000..=20_000) => Folds::Count(3),
            (Folds::Auto, _) => Folds::HoldOut(0.1),
            (folds, _) => folds.clone(),
        }
    }

    /// The most folds that so many rows may be cut into, and the most of them that one learns from.
    pub(crate) fn extent(&self, n_rows: usize) -> Extent {
        let (n_folds, n_validate) = match self.of_rows(n_rows) {
            Folds::Count(n_folds) if self.task != Task::Forecasting => {
                let n_folds = (n_folds as usize).max(2).min(n_rows.max(1));
                (n_folds, n_rows / n_folds)
            }
            Folds::HoldOut(share) => (1, shuffled::n_held_out(n_rows, share)),
            Folds::Count(n_folds) => (n_folds as usize, 0),
            Folds::Auto => (rolling::DEFAULT_FOLDS, 0),
            Folds::Columns(columns) => (columns.len(), 0),
            Folds::Given | Folds::OutOfBag => (1, 0),
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Extent { folds: count(n_folds), rows: count(n_rows.saturating_sub(n_validate)) }
    }
}

/// Why an entity's rows cannot be split. Its trials fail with this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// Nothing to learn from.
    #[error("it has no row with a target")]
    NoRows,
    /// Nothing that is long enough.
    #[error(
        "its series are shorter than twice the horizon, and short_series_handling_config leaves \
         such series out"
    )]
    ShortSeries,
    /// Nothing to validate on.
    #[error("it has a single row, which cannot be split into training and validation")]
    OneRow,
    /// No order to split by.
    #[error("all of its rows have the same time, so there is no past to learn from")]
    OneTime,
    /// The rows' times are not known.
    #[error("its rows have no time to split by")]
    NoTime,
    /// No usable fold column.
    #[error("no fold column has both a row to train on and a row to validate on")]
    NoUsableColumn,
    /// The validation table lacks the entity.
    #[error("the validation data has no row of it")]
    NoValidationRows,
    /// The training table lacks the entity.
    #[error("the training data has no row of it with a target")]
    NoTrainingRows,
}

/// The folds of an entity's frame.
pub fn folds(
    plan: &FoldPlan,
    frame: &Frame,
    marks: &Marks,
    seed: u64,
) -> Result<Vec<Fold>, FoldError> {
    let n_rows = frame.n_rows;
    match (&plan.folds, n_rows) {
        (_, 0) if marks.n_short > 0 => return Err(FoldError::ShortSeries),
        (_, 0) => return Err(FoldError::NoRows),
        (Folds::Given, _) => return given(marks, n_rows).map(|fold| vec![fold]),
        (_, 1) => return Err(FoldError::OneRow),
        (Folds::Columns(_), _) => return by_columns(marks, n_rows),
        (Folds::OutOfBag, _) => {
            let rows: Vec<u32> = (0_u32..).take(n_rows).collect();
            return Ok(vec![Fold { train: rows.clone(), validate: rows }]);
        }
        (Folds::Auto | Folds::Count(_) | Folds::HoldOut(_), _) => {}
    }
    if plan.task == Task::Forecasting {
        return rolling::folds(plan, marks, n_rows);
    }
    let classes = match &frame.target {
        Target::Class { codes, .. } => Some(codes.as_slice()),
        Target::Number(_) | Target::Unknown => None,
    };
    let mut generator = generator(seed);
    Ok(match plan.of_rows(n_rows) {
        Folds::HoldOut(share) => {
            vec![shuffled::hold_out(n_rows, classes, share, &mut generator)]
        }
        Folds::Count(n_folds) => {
            shuffled::k_fold(n_rows, classes, n_folds as usize, &mut generator)
        }
        // They have returned.
        Folds::Auto | Folds::Columns(_) | Folds::Given | Folds::OutOfBag => Vec::new(),
    })
}

fn generator(seed: u64) -> Pcg64 {
    // "folds", so that no other use of the seed sees the same numbers.
    const STREAM: u128 = 0x66_6f6c_6473;
    Pcg64::new(u128::from(seed), STREAM)
}

/// Fisher and Yates, in a form that stays the same whatever library draws the numbers.
fn shuffle(rows: &mut [u32], generator: &mut Pcg64) {
    for last in (1..rows.len()).rev() {
        let drawn = u128::from(generator.next_u64()) * (last as u128 + 1);
        rows.swap(last, (drawn >> 64) as usize);
    }
}

fn given(marks: &Marks, n_rows: usize) -> Result<Fold, FoldError> {
    let n_training = marks.n_training.unwrap_or(0) as usize;
    if n_training == 0 {
        return Err(FoldError::NoTrainingRows);
    }
    if n_training >= n_rows {
        return Err(FoldError::NoValidationRows);
    }
    let mut validate: Vec<u32> = (0_u32..).take(n_rows).skip(n_training).collect();
    marks.sort_by_time(&mut validate);
    Ok(Fold { train: marks.refit_rows(n_rows), validate })
}

/// A row with a mark that is missing takes no part in that fold.
fn by_columns(marks: &Marks, n_rows: usize) -> Result<Vec<Fold>, FoldError> {
    let rows = || (0_u32..).take(n_rows);
    let folds: Vec<Fold> = marks
        .columns
        .iter()
        .map(|column| {
            let mut fold = Fold {
                train: rows().filter(|&row| column[row as usize] == 0.0).collect(),
                validate: rows().filter(|&row| column[row as usize] == 1.0).collect(),
            };
            marks.sort_by_time(&mut fold.train);
            marks.sort_by_time(&mut fold.validate);
            fold
        })
        .filter(|fold| !fold.train.is_empty() && !fold.validate.is_empty())
        .collect();
    if folds.is_empty() {
        return Err(FoldError::NoUsableColumn);
    }
    Ok(folds)
}

#[cfg(test)]
mod tests;
