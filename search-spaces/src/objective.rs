//! What is measured, and which way is better. Inside fleetfit everything is a loss: lower is better.

use serde::{Deserialize, Serialize};

use crate::data::Task;
use crate::fields::{At, Fields, guess_hint};
use crate::findings::{Findings, Mistake};
use crate::nearest::nearest;
use crate::yaml::{Content, brief_text};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Lower is better.
    Minimize,
    /// Higher is better.
    Maximize,
}

impl Goal {
    /// The value turned so that lower is better.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// Which of a trial's reports is its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueRule {
    /// The best one in the goal's direction.
    #[default]
    Best,
    /// The last one.
    Last,
}

/// The objective of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// The metric's name: for a command, exactly the name it reports; for a built-in learner, the
    /// long name of a [`Measure`].
    pub metric: String,
    /// Which way is better.
    pub goal: Goal,
    /// Which report counts.
    pub value: ValueRule,
}

macro_rules! measures {
    ($($variant:ident $name:literal [$($alias:literal),*] $goal:ident $tasks:ident $doc:literal;)*) => {
        /// A metric that the built-in trainers compute.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Measure { $(#[doc = $doc] $variant,)* }

        impl Measure {
            /// Every measure.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The long name, which is the one that is stored and shown.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Short names that mean the same.
            pub fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($alias),*],)* }
            }

            /// Which way is better.
            pub fn goal(self) -> Goal {
                match self { $(Self::$variant => Goal::$goal,)* }
            }

            /// Whether the measure judges class probabilities or labels rather than numbers.
            pub fn is_classification(self) -> bool {
                match self { $(Self::$variant => measures!(@ $tasks),)* }
            }
        }
    };
    (@ Class) => { true };
    (@ Number) => { false };
}

measures! {
    RootMeanSquaredError "root_mean_squared_error" ["rmse"] Minimize Number "The square root of the mean squared error.";
    MeanSquaredError "mean_squared_error" ["mse"] Minimize Number "The mean squared error.";
    MeanAbsoluteError "mean_absolute_error" ["mae"] Minimize Number "The mean absolute error.";
    NormalizedRootMeanSquaredError "normalized_root_mean_squared_error" ["nrmse"] Minimize Number "RMSE divided by the range of the target.";
    NormalizedMeanAbsoluteError "normalized_mean_absolute_error" ["nmae"] Minimize Number "MAE divided by the range of the target.";
    MeanAbsolutePercentageError "mean_absolute_percentage_error" ["mape"] Minimize Number "Mean of |error| / |target|, rows with a target of 0 left out.";
    SymmetricMeanAbsolutePercentageError "symmetric_mean_absolute_percentage_error" ["smape"] Minimize Number "Mean of 2 |error| / (|target| + |prediction|).";
    MeanAbsoluteScaledError "mean_absolute_scaled_error" ["mase"] Minimize Number "MAE divided by the training MAE of the naive forecast.";
    R2Score "r2_score" ["r2"] Maximize Number "The share of the variance explained.";
    SpearmanCorrelation "spearman_correlation" ["spearman"] Maximize Number "Rank correlation.";
    AucWeighted "auc_weighted" ["auc", "roc_auc"] Maximize Class "Area under the ROC curve, classes weighted by their share.";
    Accuracy "accuracy" ["acc"] Maximize Class "The share of right labels.";
    NormMacroRecall "norm_macro_recall" [] Maximize Class "Mean recall of the classes, 0 for chance and 1 for perfect.";
    AveragePrecisionScoreWeighted "average_precision_score_weighted" ["average_precision"] Maximize Class "Area under the precision-recall curve, weighted.";
    PrecisionScoreWeighted "precision_score_weighted" ["precision"] Maximize Class "Precision, classes weighted by their share.";
    LogLoss "log_loss" ["logloss", "cross_entropy"] Minimize Class "The negative mean log-probability of the true class.";
    F1ScoreWeighted "f1_score_weighted" ["f1", "f1_score"] Maximize Class "Harmonic mean of precision and recall, classes weighted by their share.";
}

impl Measure {
    /// Whether it follows from the squares of errors alone.
    pub fn is_of_squares(self) -> bool {
        matches!(
            self,
            Self::RootMeanSquaredError
                | Self::MeanSquaredError
                | Self::NormalizedRootMeanSquaredError
        )
    }

    /// The measure with this long name or alias, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL
            .iter()
            .copied()
            .find(|measure| measure.name() == name || measure.aliases().contains(&name.as_str()))
    }
}

const GOALS: &[(&str, Goal)] = &[("minimize", Goal::Minimize), ("maximize", Goal::Maximize)];

const VALUES: &[(&str, ValueRule)] = &[("best", ValueRule::Best), ("last", ValueRule::Last)];

/// Who measures.
#[derive(Clone, Copy)]
pub(crate) enum Measurer {
    /// The user's program, under whatever name it likes.
    Command,
    /// The built-in trainers, by the metrics of a task, if it is known.
    Trainer(Option<Task>),
}

/// How many objectives a study may have.
pub const MAX_OBJECTIVES: usize = 8;

impl Objective {
    /// Reads `objective`: one, or a list of several. The first one's comes first.
    pub(crate) fn read_all(
        at: &At<'_>,
        measurer: Measurer,
        findings: &mut Findings,
    ) -> Option<Vec<Self>> {
        let Content::List(_) = &at.node.content else {
            return Some(vec![Self::read_one(at, measurer, findings)?.0]);
        };
        let items = at.one_or_more();
        if items.is_empty() || items.len() > MAX_OBJECTIVES {
            let says = format!("lists {} objectives", items.len());
            let mistake = Mistake::new(says, format!("1 to {MAX_OBJECTIVES}"));
            let hint = match items.is_empty() {
                true => "write - {goal: minimize, primary_metric: loss}".to_owned(),
                false => "keep those that are traded off, and bound others with constraints".into(),
            };
            findings.problem(at, mistake.hint(hint));
            return None;
        }
        let read: Vec<_> =
            items.iter().map(|item| Self::read_one(item, measurer, findings)).collect();
        let read: Option<Vec<_>> = read.into_iter().collect();
        let read = read?;
        let before = findings.problems.len();
        for (place, (objective, _)) in read.iter().enumerate() {
            if read[..place].iter().any(|(other, _)| other.metric == objective.metric) {
                let says = format!("names {} again", objective.metric);
                let mistake = Mistake::new(says, "each metric once");
                let metric = items[place].get("primary_metric");
                let at = metric.as_ref().unwrap_or(&items[place]);
                findings.problem(at, mistake.hint("remove one of the two"));
            }
        }
        // Values that belong together are of one step, and one objective says which.
        let rule = read[0].1.unwrap_or(match read.len() {
            1 => ValueRule::default(),
            _ => ValueRule::Last,
        });
        for (item, (_, own)) in items.iter().zip(&read).skip(1) {
            if let (Some(own), Some(at)) = (own, item.get("value"))
                && *own != rule
            {
                let wanted = if rule == ValueRule::Best { "best" } else { "last" };
                let says = format!(
                    "is {}, but the first objective says which report of a trial counts, for all",
                    at.node.brief()
                );
                findings.problem(&at, Mistake::new(says, wanted).hint("remove it"));
            }
        }
        let objectives = read.into_iter().map(|(objective, _)| Self { value: rule, ..objective });
        (findings.problems.len() == before).then(|| objectives.collect())
    }

    /// An objective, and the rule that it names.
    fn read_one(
        at: &At<'_>,
        measurer: Measurer,
        findings: &mut Findings,
    ) -> Option<(Self, Option<ValueRule>)> {
        let mut fields = at.map(findings)?;
        fields.also_called("metric", "primary_metric");
        let is_trainer = matches!(measurer, Measurer::Trainer(_));
        let goal_at = if is_trainer {
            fields.take("goal", findings)
        } else {
            fields.require("goal", "goal: minimize (or maximize)", findings)
        };
        let goal = goal_at.as_ref().and_then(|at| at.word(GOALS, findings));
        let metric = read_metric(&mut fields, "primary_metric", measurer, findings);
        let value = match fields.take("value", findings) {
            Some(at) => at.word(VALUES, findings).map(Some),
            None => Some(None),
        };
        fields.finish(findings);
        let (metric, value) = (metric?, value?);
        let goal = match (Measure::named(&metric).filter(|_| is_trainer), &goal_at) {
            (Some(measure), None) => Some(measure.goal()),
            (Some(measure), Some(at)) if goal.is_some_and(|goal| goal != measure.goal()) => {
                let wanted = word(measure.goal());
                let says = format!("is {}, but {metric} is to be {wanted}d", at.node.brief());
                let mistake = Mistake::new(says, wanted).hint(format!("write goal: {wanted}"));
                findings.problem(at, mistake);
                None
            }
            _ => goal,
        };
        Some((Self { metric, goal: goal?, value: value.unwrap_or_default() }, value))
    }
}

fn word(goal: Goal) -> &'static str {
    match goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    }
}

fn read_metric(
    fields: &mut Fields<'_>,
    key: &'static str,
    measurer: Measurer,
    findings: &mut Findings,
) -> Option<String> {
    let Measurer::Trainer(task) = measurer else {
        let at = fields.require(key, &format!("{key}: the name the command reports"), findings)?;
        return at.text(findings);
    };
    let example = default_measure(task.unwrap_or(Task::Regression)).name();
    let at = fields.require(key, &format!("{key}: {example}"), findings)?;
    Some(measure(&at, task, findings)?.name().to_owned())
}

/// The metric where a job names none, as in Azure.
pub(crate) fn default_measure(task: Task) -> Measure {
    match task {
        Task::Classification => Measure::AucWeighted,
        Task::Regression | Task::Forecasting => Measure::NormalizedRootMeanSquaredError,
    }
}

/// Reads the name of a metric that the built-in trainers compute for a task, or for any.
pub(crate) fn measure(at: &At<'_>, task: Option<Task>, findings: &mut Findings) -> Option<Measure> {
    measure_named(&at.text(findings)?, at, task, findings)
}

/// The metric of this name; where there is none, a problem at this place.
pub(crate) fn measure_named(
    text: &str,
    at: &At<'_>,
    task: Option<Task>,
    findings: &mut Findings,
) -> Option<Measure> {
    let fits = |measure: &Measure| {
        task.is_none_or(|task| measure.is_classification() == (task == Task::Classification))
    };
    let snake = snake_case(text);
    let known = Measure::ALL.iter().copied().filter(fits);
    let names: Vec<&str> = known.map(Measure::name).collect();
    let Some(measure) = Measure::named(text).or_else(|| Measure::named(&snake)) else {
        let aliases = Measure::ALL.iter().filter(|measure| fits(measure));
        let aliases = aliases.flat_map(|measure| measure.aliases().iter().copied());
        let guess = nearest(text, names.iter().copied().chain(aliases));
        let allowed = names.join(", ");
        let says = format!("{} is not known; known: {allowed}", brief_text(text));
        let mut mistake = Mistake::new(says, allowed);
        mistake.hint = guess_hint(guess, "write one of the known words");
        findings.problem(at, mistake);
        return None;
    };
    if let Some(task) = task
        && !fits(&measure)
    {
        let allowed = names.join(", ");
        let says = format!("{} does not judge {}; known: {allowed}", brief_text(text), task.noun());
        let hint = format!("write {}", default_measure(task).name());
        findings.problem(at, Mistake::new(says, allowed).hint(hint));
        return None;
    }
    Some(measure)
}

/// `AUCWeighted` as `auc_weighted`.
pub(crate) fn snake_case(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut snake = String::with_capacity(text.len() + 4);
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| letters.get(index));
        let after = letters.get(index + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
