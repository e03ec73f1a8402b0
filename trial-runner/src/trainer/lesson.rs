//! What a fit learns: the target and the weights of its rows, checked once for every trainer.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Fit, FitError};
use crate::figure::Figure;
use crate::frame::{MAX_WEIGHT, Target};
use crate::model::Answer;

/// Beyond this a squared error overflows.
const MAX_TARGET: f64 = 1e100;

/// The target and weights of the rows of a fit that weigh anything, in the rows' order.
pub(super) struct Lesson {
    pub(super) learnt: Learnt,
    /// None when all rows weigh the same.
    pub(super) weights: Option<Vec<f64>>,
}

/// What is predicted.
pub(super) enum Learnt {
    /// A number.
    Numbers(Vec<f64>),
    /// A class, as an index into `present`.
    Classes(Classes),
}

/// The classes of the training rows.
pub(crate) struct Classes {
    /// One index into `present` a row.
    pub(crate) codes: Vec<u32>,
    /// The codes of the labels that the rows have, in ascending order.
    pub(crate) present: Vec<u32>,
    /// The labels of the whole data set.
    pub(crate) labels: Arc<Vec<String>>,
}

impl<'a> Fit<'a> {
    /// The rows to learn from but those of weight 0, which are as none: nothing that is learnt may
    /// look at them.
    pub(super) fn weighing(&self) -> Cow<'a, [u32]> {
        let weighs = |row: &u32| self.frame.weighs(*row as usize);
        if self.frame.weights.is_none() || self.rows.iter().all(weighs) {
            return Cow::Borrowed(self.rows);
        }
        self.rows.iter().copied().filter(weighs).collect()
    }
}

impl Lesson {
    /// Reads the target of the rows and refuses what cannot be learnt.
    pub(super) fn read(job: &Fit<'_>) -> Result<Self, FitError> {
        if job.rows.is_empty() {
            return Err(FitError::because("there are no rows to learn from"));
        }
        if job.rows.iter().any(|&row| row as usize >= job.frame.n_rows) {
            return Err(FitError::because("a row to learn from is not in the data"));
        }
        let rows = &*job.weighing();
        if rows.is_empty() {
            return Err(FitError::because("the weights of all rows to learn from are 0"));
        }
        let job = &Fit { rows, ..*job };
        Ok(Self { learnt: learnt(job)?, weights: weights(job)? })
    }

    /// The target as numbers, for learners of numbers only.
    pub(super) fn numbers(self, learner: &str) -> Result<(Vec<f64>, Option<Vec<f64>>), FitError> {
        match self.learnt {
            Learnt::Numbers(y) => Ok((y, self.weights)),
            Learnt::Classes(_) => Err(FitError::because(format!(
                "{learner} predicts numbers, but the target is a class"
            ))),
        }
    }

    /// The target as classes, for learners of classes only.
    pub(super) fn classes(self, learner: &str) -> Result<(Classes, Option<Vec<f64>>), FitError> {
        match self.learnt {
            Learnt::Classes(classes) => Ok((classes, self.weights)),
            Learnt::Numbers(_) => Err(FitError::because(format!(
                "{learner} predicts classes, but the target is a number"
            ))),
        }
    }

    /// For learners that cannot weigh rows: ignoring weights would be a wrong answer.
    pub(super) fn refuse_weights(&self, learner: &str) -> Result<(), FitError> {
        match self.weights {
            None => Ok(()),
            Some(_) => Err(FitError::because(format!(
                "{learner} can't weigh rows, and the data has a weight column"
            ))),
        }
    }

    /// What the constant model says: the mean, or the shares of the classes.
    pub(super) fn answer(&self) -> Answer {
        let weights = self.weights.as_deref();
        match &self.learnt {
            Learnt::Numbers(y) => Answer::Number { fallback: mean(y, weights) },
            Learnt::Classes(classes) => classes.answer(weights),
        }
    }

    /// Whether every row has the same target, so that the constant model is the model.
    pub(super) fn is_constant(&self) -> bool {
        match &self.learnt {
            Learnt::Numbers(y) => y.iter().all(|value| *value == y[0]),
            Learnt::Classes(classes) => classes.present.len() == 1,
        }
    }
}

impl Classes {
    /// The shares of the classes.
    pub(super) fn answer(&self, weights: Option<&[f64]>) -> Answer {
        let mut shares = vec![0.0; self.present.len()];
        for (row, &code) in self.codes.iter().enumerate() {
            shares[code as usize] += weights.map_or(1.0, |weights| weights[row]);
        }
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        Answer::Classes { labels: Arc::clone(&self.labels), present: self.present.clone(), shares }
    }
}

/// The weighted mean; the same number for a constant target, to the bit.
pub(super) fn mean(y: &[f64], weights: Option<&[f64]>) -> f64 {
    let Some(&first) = y.first() else {
        return 0.0;
    };
    let (mut total, mut sum) = (0.0, 0.0);
    for (row, value) in y.iter().enumerate() {
        let weight = weights.map_or(1.0, |weights| weights[row]);
        total += weight;
        sum += weight * (value - first);
    }
    first + sum / total
}

fn learnt(job: &Fit<'_>) -> Result<Learnt, FitError> {
    match &job.frame.target {
        Target::Number(values) => {
            let y: Vec<f64> = job.rows.iter().map(|&row| values[row as usize]).collect();
            match y.iter().find(|value| value.is_nan() || value.abs() > MAX_TARGET) {
                Some(value) => Err(FitError::because(format!(
                    "the target has the value {value:e}; a model needs values within 1e100"
                ))),
                None => Ok(Learnt::Numbers(y)),
            }
        }
        Target::Class { codes, labels } => {
            let mut rank = vec![u32::MAX; labels.len()];
            for &row in job.rows {
                match rank.get_mut(codes[row as usize] as usize) {
                    Some(rank) => *rank = 0,
                    None => return Err(FitError::because("a row's class is missing")),
                }
            }
            let present: Vec<u32> =
                (0..labels.len() as u32).filter(|&code| rank[code as usize] == 0).collect();
            for (index, &code) in present.iter().enumerate() {
                rank[code as usize] = index as u32;
            }
            let rows = job.rows.iter();
            Ok(Learnt::Classes(Classes {
                codes: rows.map(|&row| rank[codes[row as usize] as usize]).collect(),
                present,
                labels: Arc::clone(labels),
            }))
        }
        Target::Unknown => Err(FitError::because("the data has no target to learn from")),
    }
}

fn weights(job: &Fit<'_>) -> Result<Option<Vec<f64>>, FitError> {
    let Some(weights) = &job.frame.weights else {
        return Ok(None);
    };
    let weights: Vec<f64> = job.rows.iter().map(|&row| weights[row as usize]).collect();
    // What data sets hold has been checked; frames may hold anything.
    match weights.iter().find(|weight| !(0.0..=MAX_WEIGHT).contains(*weight)) {
        None => Ok(Some(weights)),
        Some(weight) if weight.is_nan() => Err(FitError::because("a row's weight is missing")),
        Some(weight) => Err(FitError::because(format!(
            "a row has the weight {}; write a number from 0 to {}",
            Figure(*weight),
            Figure(MAX_WEIGHT)
        ))),
    }
}
