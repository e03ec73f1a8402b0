//! One entity's rows, laid out once for everything that is tried on them.

use fleetfit_search_spaces::Measure;
use fleetfit_search_spaces::seed::mix;

use crate::dataset::Dataset;
use crate::folds::{Fold, FoldError, FoldPlan, Marks, folds};
use crate::frame::{Frame, Target};
use crate::metrics::{Judged, MetricError, Yardstick, measure};
use crate::model::Predictions;

/// Naive errors are those of the last value.
const NO_SEASON: usize = 1;

/// One entity's rows and folds.
pub(super) struct Bench {
    pub(super) frame: Frame,
    pub(super) marks: Marks,
    pub(super) folds: Result<Vec<Fold>, FoldError>,
    /// One a fold, where the measure compares errors with anything.
    yardsticks: Vec<Yardstick>,
}

impl Bench {
    /// Folds depend on the study's seed and the entity alone, so all configurations are judged on
    /// the same ones.
    pub(super) fn of(
        dataset: &Dataset,
        entity: u32,
        plan: &FoldPlan,
        wanted: Measure,
        study_seed: u64,
    ) -> Self {
        let (frame, marks) = (dataset.frame(entity), dataset.marks(entity));
        let folds = folds(plan, &frame, &marks, mix(&[study_seed, u64::from(entity)]));
        let yardsticks = match (&frame.target, &folds) {
            (Target::Number(values), Ok(folds)) if is_relative(wanted) => {
                let yardstick = |fold: &Fold| {
                    let series = marks.series.as_deref().map(|series| pick(series, &fold.train));
                    let train = pick(values, &fold.train);
                    Yardstick::new(values, &train, series.as_deref(), NO_SEASON)
                };
                folds.iter().map(yardstick).collect()
            }
            _ => Vec::new(),
        };
        Self { frame, marks, folds, yardsticks }
    }

    /// The measure of a fold's predictions for the rows it validates on.
    pub(super) fn judge(
        &self,
        wanted: Measure,
        index: usize,
        fold: &Fold,
        predictions: &Predictions,
    ) -> Result<f64, MetricError> {
        let weights = self.frame.weights.as_deref().map(|weights| pick(weights, &fold.validate));
        let yardstick = self.yardsticks.get(index).copied().unwrap_or_default();
        match (&self.frame.target, predictions) {
            (Target::Number(values), Predictions::Numbers(predicted)) => {
                let truth = pick(values, &fold.validate);
                let judged = Judged::Numbers { truth: &truth, predicted };
                measure(wanted, judged, weights.as_deref(), yardstick)
            }
            (Target::Class { codes, .. }, Predictions::Classes { probabilities, labels }) => {
                let truth = pick(codes, &fold.validate);
                let n_classes = labels.len();
                let judged = Judged::Classes { truth: &truth, probabilities, n_classes };
                measure(wanted, judged, weights.as_deref(), yardstick)
            }
            _ => Err(MetricError::WrongKind {
                measure: wanted.name(),
                found: "what this model predicts",
            }),
        }
    }
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
