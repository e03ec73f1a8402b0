//! Measures of predicted classes. A row's label is its most probable class, the first one of
//! equals.

use fleetfit_search_spaces::objective::Measure;

use super::{MetricError, undefined};

pub(super) fn measure(
    measure: Measure,
    truth: &[u32],
    probabilities: &[f64],
    n_classes: usize,
    weights: Option<&[f64]>,
) -> Result<f64, MetricError> {
    let rows = Rows { truth, probabilities, n_classes, weights };
    match measure {
        Measure::AucWeighted => auc_weighted(&rows),
        Measure::AveragePrecisionScoreWeighted => Ok(average_precision(&rows)),
        Measure::LogLoss => Ok(log_loss(&rows)),
        Measure::Accuracy => {
            let counts = Counts::of(&rows);
            Ok(counts.right.iter().sum::<f64>() / counts.truth.iter().sum::<f64>())
        }
        Measure::NormMacroRecall => norm_macro_recall(&Counts::of(&rows)),
        Measure::PrecisionScoreWeighted => Ok(Counts::of(&rows).weighted(Counts::precision)),
        Measure::F1ScoreWeighted => Ok(Counts::of(&rows).weighted(Counts::f1)),
        Measure::RootMeanSquaredError
        | Measure::MeanSquaredError
        | Measure::MeanAbsoluteError
        | Measure::NormalizedRootMeanSquaredError
        | Measure::NormalizedMeanAbsoluteError
        | Measure::MeanAbsolutePercentageError
        | Measure::SymmetricMeanAbsolutePercentageError
        | Measure::MeanAbsoluteScaledError
        | Measure::R2Score
        | Measure::SpearmanCorrelation => {
            Err(MetricError::WrongKind { measure: measure.name(), found: "classes" })
        }
    }
}

struct Rows<'a> {
    truth: &'a [u32],
    probabilities: &'a [f64],
    n_classes: usize,
    weights: Option<&'a [f64]>,
}

impl Rows<'_> {
    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    fn probability(&self, row: usize, class: usize) -> f64 {
        self.probabilities[row * self.n_classes + class]
    }

    fn predicted(&self, row: usize) -> usize {
        (1..self.n_classes).fold(0, |best, class| {
            if self.probability(row, class) > self.probability(row, best) { class } else { best }
        })
    }

    /// The weight of the rows of each class.
    fn support(&self) -> Vec<f64> {
        let mut support = vec![0.0; self.n_classes];
        for (row, &class) in self.truth.iter().enumerate() {
            support[class as usize] += self.weight(row);
        }
        support
    }

    /// For each different score of a class, from the highest down: the weight of the class's own
    /// rows with this score, and that of others.
    fn steps(&self, class: usize) -> Vec<(f64, f64)> {
        let mut order: Vec<usize> = (0..self.truth.len()).collect();
        let score = |row: usize| self.probability(row, class);
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        order
            .chunk_by(|&a, &b| score(a) == score(b))
            .map(|equal| {
                equal.iter().fold((0.0, 0.0), |(own, others), &row| {
                    if self.truth[row] as usize == class {
                        (own + self.weight(row), others)
                    } else {
                        (own, others + self.weight(row))
                    }
                })
            })
            .collect()
    }
}

/// One class against the rest, classes weighted by their share; two classes give the usual AUC.
fn auc_weighted(rows: &Rows<'_>) -> Result<f64, MetricError> {
    let support = rows.support();
    let total: f64 = support.iter().sum();
    if support.iter().filter(|&&own| own > 0.0).count() < 2 {
        return Err(undefined(
            Measure::AucWeighted,
            "the rows to judge the model on are of one class",
        ));
    }
    let mut sum = 0.0;
    for (class, &own) in support.iter().enumerate().filter(|(_, own)| **own > 0.0) {
        let (mut area, mut above) = (0.0, 0.0);
        for (own_here, others_here) in rows.steps(class) {
            area += others_here * (above + own_here / 2.0);
            above += own_here;
        }
        sum += own * area / (own * (total - own));
    }
    Ok(sum / total)
}

/// The sum of precision times gain in recall for one class against the rest, classes weighted by
/// their share. Of two classes both count, as Azure does it.
fn average_precision(rows: &Rows<'_>) -> f64 {
    let support = rows.support();
    let total: f64 = support.iter().sum();
    let mut sum = 0.0;
    for (class, &own) in support.iter().enumerate().filter(|(_, own)| **own > 0.0) {
        let (mut score, mut right, mut named) = (0.0, 0.0, 0.0);
        for (own_here, others_here) in rows.steps(class) {
            right += own_here;
            named += own_here + others_here;
            if own_here > 0.0 {
                score += right / named * own_here / own;
            }
        }
        sum += own * score;
    }
    sum / total
}

/// Probabilities are brought to a sum of 1 and kept a machine epsilon away from 0 and 1.
fn log_loss(rows: &Rows<'_>) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for (row, &class) in rows.truth.iter().enumerate() {
        let all: f64 = (0..rows.n_classes).map(|class| rows.probability(row, class)).sum();
        let share = rows.probability(row, class as usize) / if all > 0.0 { all } else { 1.0 };
        sum -= rows.weight(row) * share.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
        total += rows.weight(row);
    }
    sum / total
}

/// The weights of rows by class: in truth, as predicted, and where both agree.
struct Counts {
    truth: Vec<f64>,
    predicted: Vec<f64>,
    right: Vec<f64>,
}

impl Counts {
    fn of(rows: &Rows<'_>) -> Self {
        let mut counts = Self {
            truth: rows.support(),
            predicted: vec![0.0; rows.n_classes],
            right: vec![0.0; rows.n_classes],
        };
        for (row, &class) in rows.truth.iter().enumerate() {
            let predicted = rows.predicted(row);
            counts.predicted[predicted] += rows.weight(row);
            if predicted == class as usize {
                counts.right[predicted] += rows.weight(row);
            }
        }
        counts
    }

    /// A class that is never predicted has precision 0.
    fn precision(&self, class: usize) -> f64 {
        if self.predicted[class] > 0.0 { self.right[class] / self.predicted[class] } else { 0.0 }
    }

    fn f1(&self, class: usize) -> f64 {
        2.0 * self.right[class] / (self.truth[class] + self.predicted[class])
    }

    /// The mean over the classes that occur, weighted by their share.
    fn weighted(&self, score: impl Fn(&Self, usize) -> f64) -> f64 {
        let occur = || self.truth.iter().enumerate().filter(|(_, own)| **own > 0.0);
        let sum: f64 = occur().map(|(class, own)| own * score(self, class)).sum();
        sum / self.truth.iter().sum::<f64>()
    }
}

/// `sklearn.metrics.balanced_accuracy_score(…, adjusted=True)`: 0 for chance, 1 for perfect.
fn norm_macro_recall(counts: &Counts) -> Result<f64, MetricError> {
    let recalls: Vec<f64> = counts
        .right
        .iter()
        .zip(&counts.truth)
        .filter(|(_, own)| **own > 0.0)
        .map(|(right, own)| right / own)
        .collect();
    if recalls.len() < 2 {
        return Err(undefined(
            Measure::NormMacroRecall,
            "the rows to judge the model on are of one class",
        ));
    }
    let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
    let chance = 1.0 / recalls.len() as f64;
    Ok((mean - chance) / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Judged, Yardstick, measure};

    const THREE: [u32; 8] = [0, 1, 2, 2, 1, 0, 2, 1];
    #[rustfmt::skip]
    const THREE_PROBABILITIES: [f64; 24] = [
        0.7, 0.2, 0.1,  0.1, 0.6, 0.3,  0.2, 0.2, 0.6,  0.5, 0.3, 0.2,
        0.3, 0.3, 0.4,  0.4, 0.35, 0.25,  0.05, 0.05, 0.9,  0.3, 0.5, 0.2,
    ];
    const THREE_WEIGHTS: [f64; 8] = [1.0, 2.0, 1.0, 0.5, 1.0, 3.0, 1.0, 0.25];
    const TWO: [u32; 6] = [0, 1, 1, 0, 1, 0];
    #[rustfmt::skip]
    const TWO_PROBABILITIES: [f64; 12] = [
        0.9, 0.1,  0.2, 0.8,  0.65, 0.35,  0.6, 0.4,  0.6, 0.4,  1.0, 0.0,
    ];
    const TWO_WEIGHTS: [f64; 6] = [1.0, 2.0, 1.0, 0.5, 1.0, 3.0];

    /// In the order auc, accuracy, norm_macro_recall, average precision, precision, log loss, f1.
    fn check(judged: Judged<'_>, weights: Option<&[f64]>, expected: [f64; 7]) {
        let measures = [
            Measure::AucWeighted,
            Measure::Accuracy,
            Measure::NormMacroRecall,
            Measure::AveragePrecisionScoreWeighted,
            Measure::PrecisionScoreWeighted,
            Measure::LogLoss,
            Measure::F1ScoreWeighted,
        ];
        for (which, expected) in measures.into_iter().zip(expected) {
            let value = measure(which, judged, weights, Yardstick::default()).unwrap();
            assert!((value - expected).abs() < 1e-12, "{which:?}: {value}, not {expected}");
        }
    }

    // The numbers are those of sklearn.metrics 1.9.1: roc_auc_score(…, multi_class="ovr",
    // average="weighted"), accuracy_score, balanced_accuracy_score(…, adjusted=True),
    // average_precision_score(one-hot, …, average="weighted"), precision_score and f1_score(…,
    // average="weighted", zero_division=0), log_loss.

    #[test]
    fn three_classes() {
        let judged =
            Judged::Classes { truth: &THREE, probabilities: &THREE_PROBABILITIES, n_classes: 3 };
        check(
            judged,
            None,
            [
                0.854_166_666_666_666_6,
                0.75,
                0.666_666_666_666_666_5,
                0.836_904_761_904_761_9,
                0.791_666_666_666_666_6,
                0.738_316_917_040_334_5,
                0.75,
            ],
        );
        check(
            judged,
            Some(&THREE_WEIGHTS),
            [
                0.878_637_604_274_785_8,
                0.846_153_846_153_846_1,
                0.746_153_846_153_846_2,
                0.876_000_542_667_209_4,
                0.868_945_868_945_868_9,
                0.710_293_649_456_407,
                0.845_331_139_448_786_6,
            ],
        );
    }

    #[test]
    fn two_classes() {
        let judged =
            Judged::Classes { truth: &TWO, probabilities: &TWO_PROBABILITIES, n_classes: 2 };
        check(
            judged,
            None,
            [
                0.833_333_333_333_333_4,
                0.666_666_666_666_666_6,
                0.333_333_333_333_333_26,
                0.836_111_111_111_111_2,
                0.8,
                0.467_573_757_851_81,
                0.625,
            ],
        );
        check(
            judged,
            Some(&TWO_WEIGHTS),
            [
                0.958_333_333_333_333_4,
                0.764_705_882_352_941_1,
                0.5,
                0.952_021_834_374_775_5,
                0.837_104_072_398_19,
                0.326_255_680_769_655_83,
                0.746_880_570_409_982_2,
            ],
        );
    }

    #[test]
    fn a_class_that_does_not_occur() {
        let judged = Judged::Classes {
            truth: &[0, 0, 2, 2, 0],
            probabilities: &THREE_PROBABILITIES[..15],
            n_classes: 3,
        };
        check(
            judged,
            None,
            [
                0.566_666_666_666_666_7,
                0.4,
                -0.166_666_666_666_666_74,
                0.753_333_333_333_333_3,
                0.5,
                1.196_699_275_491_761_1,
                0.44,
            ],
        );
    }

    #[test]
    fn certain_and_wrong() {
        let judged = Judged::Classes {
            truth: &[0, 1, 0, 1],
            probabilities: &[1.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.2, 0.8],
            n_classes: 2,
        };
        check(
            judged,
            None,
            [
                0.625,
                0.75,
                0.5,
                0.666_666_666_666_666_6,
                0.833_333_333_333_333_3,
                9.239_986_030_247_827,
                0.733_333_333_333_333_3,
            ],
        );
    }

    #[test]
    fn one_class_has_no_auc() {
        let judge = |which| {
            let judged = Judged::Classes {
                truth: &[1, 1],
                probabilities: &[0.4, 0.6, 0.6, 0.4],
                n_classes: 2,
            };
            measure(which, judged, None, Yardstick::default()).map_err(|error| error.to_string())
        };
        for which in [Measure::AucWeighted, Measure::NormMacroRecall] {
            assert!(judge(which).unwrap_err().ends_with("of one class"));
        }
        assert_eq!(judge(Measure::Accuracy), Ok(0.5));
        assert_eq!(judge(Measure::AveragePrecisionScoreWeighted), Ok(1.0));
        assert_eq!(judge(Measure::R2Score).unwrap_err(), "r2_score does not judge classes");
    }
}
