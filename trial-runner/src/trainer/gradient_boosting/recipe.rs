//! The parameters of gradient boosting, as its engine takes them.

use crate::boost::Settings;
use crate::boost::loss::Loss;
use crate::figure::Figure;
use crate::model::boosted::Link;
use crate::trainer::FitError;
use crate::trainer::kin::N_ESTIMATORS;
use crate::trainer::lesson::{Learnt, Lesson};
use crate::trainer::parameters::Parameters;

/// One configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recipe {
    pub(super) settings: Settings,
    pub(super) max_bin: usize,
    pub(super) early_stopping: Option<usize>,
    pub(super) link: Link,
}

impl Recipe {
    pub(super) fn read(parameters: &Parameters<'_>, lesson: &Lesson) -> Result<Self, FitError> {
        let share = |name| {
            let share = parameters.positive(name, 1.0)?;
            if share <= 1.0 {
                return Ok(share);
            }
            let share = Figure(share);
            Err(FitError::because(format!("{name} is {share}, but it can't be above 1")))
        };
        let (loss, link) = loss(parameters, lesson)?;
        let settings = Settings {
            loss,
            n_estimators: parameters.count(N_ESTIMATORS, 1, 100)?,
            learning_rate: parameters.positive("learning_rate", 0.1)?,
            max_depth: parameters.optional_count("max_depth", 1)?,
            num_leaves: parameters.count("num_leaves", 2, 31)?,
            min_child_samples: parameters.count("min_child_samples", 1, 20)?,
            min_child_weight: parameters.penalty("min_child_weight", 1e-3)?,
            min_split_gain: parameters.penalty("min_split_gain", 0.0)?,
            subsample: share("subsample")?,
            colsample_bytree: share("colsample_bytree")?,
            reg_alpha: parameters.penalty("reg_alpha", 0.0)?,
            reg_lambda: parameters.penalty("reg_lambda", 0.0)?,
        };
        Ok(Self {
            settings,
            max_bin: parameters.count("max_bin", 2, 255)?,
            early_stopping: parameters.optional_count("early_stopping_rounds", 1)?,
            link,
        })
    }
}

fn loss(parameters: &Parameters<'_>, lesson: &Lesson) -> Result<(Loss, Link), FitError> {
    let alpha = parameters.positive("alpha", 0.9)?;
    let power = parameters.float("tweedie_variance_power", 1.5)?;
    let numbers = match &lesson.learnt {
        Learnt::Numbers(numbers) => numbers,
        Learnt::Classes(classes) => {
            parameters.word("objective", &["log_loss"])?;
            return Ok(match classes.present.len() {
                0..=2 => (Loss::Logistic, Link::Logit),
                n_classes => (Loss::Softmax { n_classes }, Link::Softmax),
            });
        }
    };
    let words = ["squared", "absolute", "huber", "quantile", "poisson", "tweedie"];
    let word = parameters.word("objective", &words)?;
    let loss = match word {
        "absolute" => Loss::Absolute,
        "huber" => Loss::Huber { delta: alpha },
        "quantile" if alpha < 1.0 => Loss::Quantile { level: alpha },
        "quantile" => {
            let alpha = Figure(alpha);
            let reason = format!("alpha is {alpha}, but a quantile lies between 0 and 1");
            return Err(FitError::because(reason));
        }
        "poisson" => Loss::Poisson,
        "tweedie" if (1.0..=2.0).contains(&power) => Loss::Tweedie { power },
        "tweedie" => {
            let power = Figure(power);
            let reason = format!("tweedie_variance_power is {power}, but it lies between 1 and 2");
            return Err(FitError::because(reason));
        }
        _ => Loss::Squared,
    };
    let has_log = matches!(loss, Loss::Poisson | Loss::Tweedie { .. });
    match numbers.iter().find(|value| has_log && **value < 0.0) {
        Some(value) => Err(FitError::because(format!(
            "the target has the value {}, but {word} needs values of at least 0; write \
             objective: squared",
            Figure(*value)
        ))),
        None => Ok((loss, if has_log { Link::Log } else { Link::Identity })),
    }
}
