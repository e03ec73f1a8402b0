//! One entity's rows, laid out once for everything that is tried on them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Amount, Measure};

use super::lock;
use crate::dataset::Dataset;
use crate::folds::{Fold, FoldError, FoldPlan, Marks, folds};
use crate::frame::{Frame, Target};
use crate::metrics::{Judged, MetricError, Yardstick, measure, of_squares};
use crate::trainer::{LaidOut, Predicted};

/// One entity's rows and folds.
pub(super) struct Bench {
    /// What the entity's seeds come of.
    pub(super) fingerprint: u64,
    pub(super) frame: Frame,
    pub(super) marks: Marks,
    pub(super) folds: Result<Vec<Fold>, FoldError>,
    /// What trainers made of the frame.
    pub(super) laid_out: LaidOut,
    /// The same with fewer rows to learn from, by rung.
    thinned: Mutex<BTreeMap<u8, Arc<Thinned>>>,
    /// What each fold's predictions are compared with.
    truths: Vec<Truth>,
}

/// Folds that learn from some of their rows.
pub(super) struct Thinned {
    pub(super) folds: Vec<Fold>,
    pub(super) laid_out: LaidOut,
    /// Whether nothing is left out.
    pub(super) is_whole: bool,
}

/// The rows that a fold validates on.
struct Truth {
    target: Target,
    weights: Option<Vec<f64>>,
    yardstick: Yardstick,
}

impl Bench {
    /// Folds depend on the study's seed and the entity alone, so all configurations are judged on
    /// the same ones.
    pub(super) fn of(
        dataset: &Dataset,
        entity: u32,
        plan: &FoldPlan,
        wanted: &[Measure],
        study_seed: u64,
    ) -> Self {
        let (frame, marks) = dataset.lay_out(entity);
        let fingerprint = dataset.fingerprint(entity);
        let folds = folds(plan, &frame, &marks, mix(&[study_seed, fingerprint]));
        let truth = |fold: &Fold| Truth {
            target: match &frame.target {
                Target::Number(values) => Target::Number(pick(values, &fold.validate)),
                Target::Class { codes, labels } => {
                    Target::Class { codes: pick(codes, &fold.validate), labels: Arc::clone(labels) }
                }
                Target::Unknown => Target::Unknown,
            },
            weights: frame.weights.as_deref().map(|weights| pick(weights, &fold.validate)),
            yardstick: match &frame.target {
                Target::Number(values) if wanted.iter().any(|&measure| is_relative(measure)) => {
                    yardstick(&frame, &marks, values, &fold.train)
                }
                _ => Yardstick::default(),
            },
        };
        let truths = folds.iter().flatten().map(truth).collect();
        let (laid_out, thinned) = Default::default();
        Self { fingerprint, frame, marks, folds, laid_out, thinned, truths }
    }

    /// Folds with so many of the rows that each learns from.
    pub(super) fn thinned(
        &self,
        folds: &[Fold],
        (rung, amount): (u8, Amount),
        study_seed: u64,
    ) -> Arc<Thinned> {
        let mut thinned = lock(&self.thinned);
        let made = thinned.entry(rung).or_insert_with(|| {
            let fewer = folds.iter().zip(0_u64..).map(|(fold, number)| {
                let seed = mix(&[study_seed, self.fingerprint, number]);
                let weights = self.frame.weights.as_deref();
                fold.thinned(&self.frame.target, weights, |n_rows| amount.of(n_rows), seed)
            });
            let fewer: Vec<Fold> = fewer.collect();
            let n_rows = |folds: &[Fold]| folds.iter().map(|fold| fold.train.len()).sum::<usize>();
            let is_whole = n_rows(&fewer) == n_rows(folds);
            Arc::new(Thinned { folds: fewer, laid_out: self.laid_out.refolded(), is_whole })
        });
        Arc::clone(made)
    }

    /// The same where only the sum of the squared errors is known; none where that is not enough.
    pub(super) fn judge_squares(&self, wanted: Measure, fold: usize, sum: f64) -> Option<f64> {
        let Truth { target: Target::Number(truth), weights: None, yardstick } =
            self.truths.get(fold)?
        else {
            return None;
        };
        of_squares(wanted, sum, truth.len(), *yardstick).filter(|value| value.is_finite())
    }

    /// The measure of a fold's predictions for the rows it validates on.
    pub(super) fn judge(
        &self,
        wanted: Measure,
        fold: usize,
        predicted: Predicted<'_>,
    ) -> Result<f64, MetricError> {
        let truth = self.truths.get(fold).ok_or(MetricError::Lengths)?;
        let weights = truth.weights.as_deref();
        let judged = match (&truth.target, predicted) {
            (Target::Number(truth), Predicted::Numbers(predicted)) => {
                Judged::Numbers { truth, predicted }
            }
            (Target::Class { codes, labels }, Predicted::Classes(probabilities)) => {
                Judged::Classes { truth: codes, probabilities, n_classes: labels.len() }
            }
            _ => {
                let found = "what this model predicts";
                return Err(MetricError::WrongKind { measure: wanted.name(), found });
            }
        };
        measure(wanted, judged, weights, truth.yardstick)
    }
}

/// The entities that were laid out last: assignments of one entity follow each other.
pub(super) struct Benches {
    latest: Mutex<VecDeque<(u32, Arc<OnceLock<Bench>>)>>,
    /// How many are kept: no more than threads can be at.
    most: usize,
}

impl Benches {
    pub(super) fn new(n_threads: usize) -> Self {
        Self { latest: Mutex::default(), most: n_threads.max(1) }
    }

    /// Where an entity's rows are laid out, by whoever asks first.
    pub(super) fn place(&self, entity: u32) -> Arc<OnceLock<Bench>> {
        let mut latest = lock(&self.latest);
        let known = latest.iter().position(|(known, _)| *known == entity);
        let (_, place) = known.and_then(|at| latest.remove(at)).unwrap_or_default();
        latest.push_back((entity, Arc::clone(&place)));
        if latest.len() > self.most {
            latest.pop_front();
        }
        place
    }
}

/// What errors on a fold are divided by. Rows of weight 0 are as none.
fn yardstick(frame: &Frame, marks: &Marks, values: &[f64], train: &[u32]) -> Yardstick {
    let weighs = |row: &u32| frame.weighs(*row as usize);
    let whole: Vec<u32> = (0_u32..).take(frame.n_rows).filter(weighs).collect();
    let whole = &pick(values, &whole);
    let train: Vec<u32> = train.iter().copied().filter(weighs).collect();
    let timeline = frame.timeline.as_ref();
    let planned = timeline.and_then(|timeline| Some((timeline, timeline.plan.as_ref()?)));
    let Some((timeline, plan)) = planned else {
        let series = marks.series.as_deref().map(|series| pick(series, &train));
        return Yardstick::new(whole, &pick(values, &train), series.as_deref(), 1);
    };
    let on_steps = train.iter().filter_map(|&row| {
        let row = row as usize;
        let series = timeline.series.get(row).copied().unwrap_or_default();
        Some((series, plan.step.index(*timeline.time.get(row)?)?, values[row]))
    });
    Yardstick::on_steps(whole, &on_steps.collect::<Vec<_>>(), plan.season)
}

/// Whether a measure divides errors by something of the entity's own.
fn is_relative(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::NormalizedRootMeanSquaredError
            | Measure::NormalizedMeanAbsoluteError
            | Measure::MeanAbsoluteScaledError
    )
}

fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&row| values[row as usize]).collect()
}
