//! What a configuration trains: a learner, and its parameters.

use super::Work;
use crate::configuration::{Configuration, Setting};
use crate::learner::Learner;
use crate::objective::Measure;
use crate::seed::mix;
use crate::space::{Alternative, Domain, SearchSpace};
use crate::value::Value;

/// A learner, and the parameters that a configuration gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The learner.
    pub learner: Learner,
    /// Its parameters by name; what is left out has the learner's default.
    pub parameters: Configuration,
}

impl Work {
    /// What a configuration trains; a reason in the user's words when that cannot be told.
    pub fn training(&self, configuration: &Configuration) -> Result<Training, String> {
        let parameter = match self {
            Self::Learner(learner) => {
                return Ok(Training::of(*learner, configuration.clone()));
            }
            Self::ChosenLearner { parameter } => parameter,
            Self::Command(_) | Self::External | Self::AutoMl => {
                return Err("this study trains no built-in learner".into());
            }
        };
        let (name, parameters) = match configuration.get(parameter) {
            Some(Setting::Value(Value::Text(name))) => (name.clone(), Configuration::default()),
            Some(Setting::Nested(nested)) => {
                let name = match nested.get("learner") {
                    Some(Setting::Value(Value::Text(name))) => name.clone(),
                    _ => return Err(format!("{parameter} chose no learner")),
                };
                let others = nested.0.iter().filter(|(key, _)| key != "learner").cloned();
                (name, Configuration(others.collect()))
            }
            _ => return Err(format!("{parameter} chose no learner")),
        };
        let learner = Learner::named(&name).ok_or_else(|| format!("there is no learner {name}"))?;
        Ok(Training::of(learner, parameters))
    }

    /// Every learner that a configuration may choose, with what is searched of it.
    pub fn learners<'a>(&self, space: &'a SearchSpace) -> Vec<(Learner, Option<&'a SearchSpace>)> {
        match self {
            Self::Learner(learner) => vec![(*learner, Some(space))],
            Self::ChosenLearner { parameter } => {
                let choice = space.parameters.iter().find(|own| own.name == *parameter);
                let Some(Domain::Choice(choice)) = choice.map(|own| &own.domain) else {
                    return Vec::new();
                };
                let chosen = choice.iter().filter_map(|alternative| match alternative {
                    Alternative::Value(Value::Text(name)) => Some((Learner::named(name)?, None)),
                    Alternative::Value(_) => None,
                    Alternative::Space(branch) => Some((learner_of(branch)?, Some(branch))),
                });
                chosen.collect()
            }
            Self::Command(_) | Self::External | Self::AutoMl => Vec::new(),
        }
    }

    /// Whether graphics cards know of any learner that a configuration may choose, judged by these
    /// metrics.
    pub fn is_of_cards(&self, space: &SearchSpace, metrics: &[String]) -> bool {
        let measures: Vec<Measure> =
            metrics.iter().filter_map(|name| Measure::named(name)).collect();
        let learners = self.learners(space);
        matches!(self, Self::AutoMl)
            || learners.iter().any(|(learner, _)| learner.is_of_cards_by(&measures))
    }

    /// How many groups of [kin](Training::kin) a space has: as many as its points where no path is
    /// searched, none where they are endless.
    pub fn families(&self, space: &SearchSpace) -> Option<u128> {
        match self {
            Self::Learner(learner) => product(space, |name| is_path(*learner, name)),
            Self::ChosenLearner { parameter } => {
                let choice = space.parameters.iter().find(|own| own.name == *parameter)?;
                let Domain::Choice(choice) = &choice.domain else { return Some(1) };
                let branches = choice.iter().map(|alternative| match alternative {
                    Alternative::Value(_) => Some(1),
                    Alternative::Space(branch) => {
                        let learner = learner_of(branch);
                        product(branch, |name| learner.is_some_and(|own| is_path(own, name)))
                    }
                });
                branches
                    .sum::<Option<u128>>()?
                    .checked_mul(product(space, |name| name == parameter)?)
            }
            Self::Command(_) | Self::External | Self::AutoMl => space.cardinality(),
        }
    }
}

/// How many points a space has beside one of its parameters.
fn product(space: &SearchSpace, is_beside: impl Fn(&str) -> bool) -> Option<u128> {
    let others = space.parameters.iter().filter(|own| !is_beside(&own.name));
    others.map(|own| own.domain.cardinality()).try_fold(1_u128, |n, own| n.checked_mul(own?))
}

/// Whether a parameter, by whatever name, is the learner's path.
fn is_path(learner: Learner, name: &str) -> bool {
    learner.path() == Some(learner.own_name(name).unwrap_or(name))
}

/// The learner that a branch names.
fn learner_of(branch: &SearchSpace) -> Option<Learner> {
    branch.parameters.iter().find(|own| own.name == "learner").and_then(|own| match &own.domain {
        Domain::Fixed(Value::Text(name)) => Learner::named(name),
        _ => None,
    })
}

impl Training {
    /// Gives parameters the names and the values that the learner has for them.
    fn of(learner: Learner, parameters: Configuration) -> Self {
        let own = parameters.0.into_iter().filter_map(|(name, setting)| match setting {
            Setting::Value(value) => {
                let (name, value) = learner.translated(&name, &value)?;
                Some((name, Setting::Value(value)))
            }
            nested => Some((name, nested)),
        });
        Self { learner, parameters: Configuration(own.collect()) }
    }

    /// A number that trainings have in common which differ in nothing but their learner's
    /// [path](Learner::path): one fit answers for all of them, so they travel together. A default that
    /// is written out changes nothing; where it depends on the task, neither does that of another one.
    pub fn kin(&self) -> u64 {
        self.mixed(|name, value| self.learner.is_usual(name, value))
    }

    /// What chance is drawn from: the same for all [kin](Self::kin), and for every share of the
    /// columns, for nothing here knows how many columns a share is. It never changes between versions.
    pub fn seed(&self) -> u64 {
        self.mixed(|name, value| self.learner.is_usual(name, value) || self.learner.is_share(name))
    }

    /// The learner and all that is not left out of its parameters, its path apart.
    fn mixed(&self, is_left_out: impl Fn(&str, &Value) -> bool) -> u64 {
        let path = self.learner.path();
        let others = self.parameters.0.iter().filter(|(name, setting)| {
            let is_left_out = match setting {
                Setting::Value(value) => is_left_out(name, value),
                Setting::Nested(_) => false,
            };
            Some(name.as_str()) != path && !is_left_out
        });
        let others = Configuration(others.cloned().collect()).to_json();
        let name = self.learner.name().bytes().chain([0]);
        let words: Vec<u64> = name.chain(others.bytes()).map(u64::from).collect();
        mix(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kin(learner: Learner, json: &str) -> u64 {
        Training { learner, parameters: serde_json::from_str(json).unwrap() }.kin()
    }

    #[test]
    fn kin_differ_in_nothing_but_the_path() {
        let boosting = |json| kin(Learner::GradientBoosting, json);
        let small = boosting(r#"{"n_estimators": 10, "max_depth": 3}"#);
        assert_eq!(small, boosting(r#"{"n_estimators": 500, "max_depth": 3}"#));
        assert_eq!(small, boosting(r#"{"max_depth": 3}"#));
        assert_ne!(small, boosting(r#"{"n_estimators": 10, "max_depth": 4}"#));
        assert_ne!(small, kin(Learner::RandomForest, r#"{"n_estimators": 10, "max_depth": 3}"#));
        assert_ne!(kin(Learner::Knn, r#"{"p": 1}"#), kin(Learner::Knn, r#"{"p": 2}"#));
        for usual in [
            r#""learning_rate": 0.1, "reg_alpha": 0, "max_bin": 255"#,
            r#""num_leaves": 31.0, "objective": "squared", "early_stopping_rounds": "none""#,
        ] {
            let written = format!(r#"{{"max_depth": 3, {usual}}}"#);
            assert_eq!(small, kin(Learner::GradientBoosting, &written), "{usual}");
        }
        assert_ne!(small, boosting(r#"{"max_depth": 3, "objective": "absolute"}"#));
        assert_ne!(small, boosting(r#"{"max_depth": 3, "reg_alpha": 0.5}"#));
        let forest = |json| kin(Learner::RandomForest, json);
        assert_eq!(forest(r#"{"criterion": "gini", "bootstrap": true}"#), forest("{}"));
        assert_eq!(forest(r#"{"max_features": "sqrt"}"#), forest(r#"{"max_features": "all"}"#));
        assert_eq!(forest(r#"{"max_features": "all"}"#), forest("{}"));
        assert_ne!(forest(r#"{"max_features": 0.5}"#), forest("{}"));
        assert_ne!(forest(r#"{"bootstrap": false}"#), forest("{}"));
        let seed = |json: &str| {
            let parameters = serde_json::from_str(json).unwrap();
            Training { learner: Learner::RandomForest, parameters }.seed()
        };
        assert_eq!(seed("{}"), forest("{}"));
        for share in ["0.5", "4", "4.0", "\"sqrt\"", "\"none\""] {
            let written = format!(r#"{{"max_features": {share}}}"#);
            assert_eq!(seed(&written), seed("{}"), "{share}");
        }
        assert_ne!(seed(r#"{"bootstrap": false}"#), seed("{}"));
        // As it is on people's disks: a winner's model is fitted with the seed that it was found by.
        assert_eq!(small, KNOWN);
    }

    const KNOWN: u64 = 3_996_858_339_610_177_876;

    #[test]
    fn a_choice_names_the_learner() {
        let work = Work::ChosenLearner { parameter: "model".into() };
        let training = |json: &str| work.training(&serde_json::from_str(json).unwrap());
        let svm = training(r#"{"model": {"learner": "svm", "C": 2}}"#).unwrap();
        assert_eq!((svm.learner, svm.parameters.to_json()), (Learner::Svm, r#"{"C":2}"#.into()));
        assert_eq!(training(r#"{"model": "ridge"}"#).unwrap().learner, Learner::Ridge);
        assert_eq!(training(r#"{"model": {"C": 2}}"#), Err("model chose no learner".into()));
        assert_eq!(training(r#"{"model": "none"}"#), Err("there is no learner none".into()));
        assert_eq!(training("{}"), Err("model chose no learner".into()));
    }

    #[test]
    fn other_tools_names_reach_the_trainer_as_ours() {
        let work = Work::Learner(Learner::GradientBoosting);
        let training = |json: &str| work.training(&serde_json::from_str(json).unwrap()).unwrap();
        let theirs = training(r#"{"num_boost_round": 10, "eta": 0.3, "lambda_l2": 1}"#);
        let ours = training(r#"{"n_estimators": 10, "learning_rate": 0.3, "reg_lambda": 1}"#);
        assert_eq!(theirs, ours);
        assert_eq!(theirs.kin(), training(r#"{"eta": 0.3, "lambda_l2": 1}"#).kin());
        let theirs =
            training(r#"{"max_depth": -1, "gamma": 0.5, "n_jobs": 4, "objective": "MAE"}"#);
        let ours = r#"{"max_depth": "none", "min_split_gain": 1.0, "objective": "absolute"}"#;
        assert_eq!(theirs, training(ours));
    }

    #[test]
    fn families_are_counted() {
        let families = |trial: &str, space: &str| {
            let job = format!(
                "type: sweep\ntraining_data: {{path: a.csv}}\ntarget_column_name: y\n\
                 task: regression\ntrial: {{learner: {trial}}}\nsearch_space: {space}\n\
                 objective: {{goal: minimize, primary_metric: mae}}\n\
                 limits: {{max_total_trials: 3}}\n"
            );
            let study = crate::Job::read("job.yaml", &job).unwrap().study().unwrap();
            study.work.families(&study.space)
        };
        let boosting = |space| families("gradient_boosting", space);
        assert_eq!(boosting("{n_estimators: [10, 20, 30], max_depth: [2, 3]}"), Some(2));
        assert_eq!(boosting("{num_trees: [10, 20, 30], max_depth: [2, 3]}"), Some(2));
        let rate = "learning_rate: {type: float, min: 0.1, max: 0.2}";
        assert_eq!(boosting(&format!("{{n_estimators: [10, 20], {rate}}}")), None);
        assert_eq!(families("knn", "{n_neighbors: [1, 2, 3]}"), Some(3));
        assert_eq!(families("ridge", "{alpha: {type: float, min: 0, max: 1}}"), Some(1));
        let chosen = "[{learner: ridge, alpha: {type: float, min: 0, max: 1}}, \
                      {learner: knn, p: [1, 2]}]";
        let space = format!("{{model: {chosen}}}");
        assert_eq!(families("\"${{search_space.model}}\"", &space), Some(3));
    }
}
