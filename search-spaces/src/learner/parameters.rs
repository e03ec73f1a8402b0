//! The parameters of each learner, by the names that scikit-learn (trees, linear models, neighbours,
//! support vectors) and LightGBM (gradient boosting) gave them.

use super::{Learner, LearnerParameter, ParameterKind};
use crate::value::Value;
use ParameterKind::{Bool, Float, FloatOrWord, Int, IntOrNone, Share, Word, WordByTask};

/// Above 0.
const POSITIVE: f64 = f64::MIN_POSITIVE;

fn parameter(
    name: &'static str,
    kind: ParameterKind,
    default: Option<Value>,
    meaning: &'static str,
) -> LearnerParameter {
    LearnerParameter { name, kind, default, meaning }
}

fn int(number: i64) -> Option<Value> {
    Some(Value::Int(number))
}

fn float(number: f64) -> Option<Value> {
    Some(Value::Float(number))
}

fn truth(value: bool) -> Option<Value> {
    Some(Value::Bool(value))
}

fn word(word: &str) -> Option<Value> {
    Some(Value::Text(word.to_owned()))
}

/// The parameters of a learner, the most important first.
pub(super) fn of(learner: Learner) -> Vec<LearnerParameter> {
    match learner {
        Learner::Ridge => linear(None),
        Learner::Lasso => linear(Some(false)),
        Learner::ElasticNet => linear(Some(true)),
        Learner::LogisticRegression => logistic_regression(),
        Learner::DecisionTree => tree(),
        Learner::RandomForest => forest(true),
        Learner::ExtraTrees => forest(false),
        Learner::Knn => knn(),
        Learner::Svm => svm(),
        Learner::NaiveBayes => naive_bayes(),
        Learner::GradientBoosting => gradient_boosting(),
        Learner::Mlp => mlp(),
        Learner::Naive | Learner::Drift | Learner::Average => Vec::new(),
        Learner::SeasonalNaive => vec![season_length()],
        Learner::ExponentialSmoothing => exponential_smoothing(),
        Learner::Theta => theta(),
        Learner::Arima => arima(),
        Learner::Croston => croston(),
    }
}

/// Linear regression; with iterations where the penalty is absolute, and with both penalties.
fn linear(iterated: Option<bool>) -> Vec<LearnerParameter> {
    let mut own =
        vec![parameter("alpha", Float(0.0, f64::MAX), float(1.0), "strength of the penalty")];
    if iterated == Some(true) {
        let meaning = "share of the absolute penalty; the rest is squared";
        own.push(parameter("l1_ratio", Float(0.0, 1.0), float(0.5), meaning));
    }
    if iterated.is_some() {
        own.push(max_iter(1_000));
        own.push(tol(1e-4));
    }
    let meaning = "whether a constant is fitted too; it is not penalised";
    own.push(parameter("fit_intercept", Bool, truth(true), meaning));
    own.push(standardize());
    own
}

fn logistic_regression() -> Vec<LearnerParameter> {
    vec![
        parameter("C", Float(POSITIVE, f64::MAX), float(1.0), "inverse strength of the penalty"),
        max_iter(100),
        standardize(),
    ]
}

fn tree() -> Vec<LearnerParameter> {
    vec![
        parameter(
            "max_depth",
            IntOrNone(1, i64::MAX),
            None,
            "deepest split; no limit when left out",
        ),
        parameter("min_samples_split", Int(2, i64::MAX), int(2), "rows a node needs to be split"),
        parameter("min_samples_leaf", Int(1, i64::MAX), int(1), "rows a leaf needs"),
        parameter(
            "max_features",
            Share(&["sqrt", "log2", "all"]),
            word("all"),
            "columns tried at each split",
        ),
        parameter(
            "criterion",
            WordByTask { classes: &["gini", "entropy", "log_loss"], numbers: &["squared_error"] },
            None,
            "what a split lowers; when left out, gini for classes and squared_error for numbers",
        ),
        parameter(
            "min_impurity_decrease",
            Float(0.0, f64::MAX),
            float(0.0),
            "what a split must lower it by, times the share of the rows in the node",
        ),
        parameter("max_bin", Int(2, 255), int(255), "bins of a column"),
    ]
}

fn forest(bootstrap: bool) -> Vec<LearnerParameter> {
    let mut own = vec![parameter("n_estimators", Int(1, 100_000), int(100), "trees")];
    own.extend(tree());
    if let Some(features) = own.iter_mut().find(|parameter| parameter.name == "max_features") {
        features.default = None;
        features.meaning =
            "columns tried at each split; when left out, sqrt for classes and all for numbers";
    }
    let meaning = "whether each tree sees a draw of the rows with replacement";
    own.push(parameter("bootstrap", Bool, truth(bootstrap), meaning));
    let meaning = "share of the rows that bootstrap draws for each tree";
    own.push(parameter("max_samples", Float(POSITIVE, 1.0), float(1.0), meaning));
    own
}

fn knn() -> Vec<LearnerParameter> {
    vec![
        parameter("n_neighbors", Int(1, i64::MAX), int(5), "neighbours that vote"),
        parameter("weights", Word(&["uniform", "distance"]), word("uniform"), "weight of a vote"),
        parameter("p", Int(1, 2), int(2), "1 for the Manhattan distance, 2 for the Euclidean"),
        standardize(),
    ]
}

fn svm() -> Vec<LearnerParameter> {
    const KERNELS: &[&str] = &["linear", "rbf", "poly", "sigmoid"];
    vec![
        parameter("C", Float(POSITIVE, f64::MAX), float(1.0), "inverse strength of the penalty"),
        parameter("kernel", Word(KERNELS), word("rbf"), "kernel"),
        parameter(
            "gamma",
            FloatOrWord(POSITIVE, f64::MAX, &["scale", "auto"]),
            word("scale"),
            "width of the kernel: scale is 1 / (columns × variance), auto is 1 / columns",
        ),
        parameter("degree", Int(1, 20), int(3), "degree of the poly kernel"),
        parameter("coef0", Float(f64::MIN, f64::MAX), float(0.0), "constant of poly and sigmoid"),
        parameter(
            "epsilon",
            Float(0.0, f64::MAX),
            float(0.1),
            "width of the free tube; regression",
        ),
        tol(1e-3),
        standardize(),
    ]
}

fn naive_bayes() -> Vec<LearnerParameter> {
    let meaning = "share of the largest variance that is added to all";
    vec![parameter("var_smoothing", Float(0.0, f64::MAX), float(1e-9), meaning)]
}

fn gradient_boosting() -> Vec<LearnerParameter> {
    const OBJECTIVES: ParameterKind = WordByTask {
        classes: &["log_loss"],
        numbers: &["squared", "absolute", "huber", "quantile", "poisson", "tweedie"],
    };
    vec![
        parameter("n_estimators", Int(1, 100_000), int(100), "trees"),
        parameter("learning_rate", Float(POSITIVE, 1.0), float(0.1), "weight of each tree"),
        parameter("max_depth", IntOrNone(1, 64), None, "deepest split; no limit when left out"),
        parameter("num_leaves", Int(2, 131_072), int(31), "leaves of a tree"),
        parameter("min_child_samples", Int(1, i64::MAX), int(20), "rows a leaf needs"),
        parameter("min_child_weight", Float(0.0, f64::MAX), float(1e-3), "curvature a leaf needs"),
        parameter("min_split_gain", Float(0.0, f64::MAX), float(0.0), "gain a split needs"),
        parameter("subsample", Float(POSITIVE, 1.0), float(1.0), "share of the rows of a tree"),
        parameter(
            "colsample_bytree",
            Float(POSITIVE, 1.0),
            float(1.0),
            "share of the columns of a tree",
        ),
        parameter("reg_alpha", Float(0.0, f64::MAX), float(0.0), "absolute penalty on leaves"),
        parameter("reg_lambda", Float(0.0, f64::MAX), float(0.0), "squared penalty on leaves"),
        parameter("max_bin", Int(2, 255), int(255), "bins of a column"),
        parameter(
            "early_stopping_rounds",
            IntOrNone(1, i64::MAX),
            None,
            "trees without gain before it stops",
        ),
        parameter(
            "objective",
            OBJECTIVES,
            None,
            "loss; squared, or log_loss for classes, when left out",
        ),
        parameter(
            "alpha",
            Float(POSITIVE, f64::MAX),
            float(0.9),
            "quantile, or where huber turns linear",
        ),
        parameter("tweedie_variance_power", Float(1.0, 2.0), float(1.5), "power of tweedie"),
    ]
}

fn mlp() -> Vec<LearnerParameter> {
    vec![
        parameter("hidden_units", Int(1, 4_096), int(64), "units of a hidden layer"),
        parameter("n_layers", Int(1, 16), int(2), "hidden layers"),
        parameter("activation", Word(&["relu", "tanh"]), word("relu"), "curve of a unit"),
        parameter("learning_rate", Float(POSITIVE, 1.0), float(1e-3), "step of the optimiser"),
        parameter("alpha", Float(0.0, f64::MAX), float(1e-4), "squared penalty on weights"),
        parameter("batch_size", Int(1, i64::MAX), int(256), "rows of a step"),
        parameter("max_iter", Int(1, i64::MAX), int(200), "times that every row is seen"),
        parameter(
            "early_stopping_rounds",
            IntOrNone(1, i64::MAX),
            None,
            "the same without gain before it stops",
        ),
    ]
}

fn exponential_smoothing() -> Vec<LearnerParameter> {
    const FORMS: &[&str] = &["none", "add", "mul", "auto"];
    vec![
        parameter("error", Word(&["add", "mul", "auto"]), word("auto"), "form of the error"),
        parameter("trend", Word(FORMS), word("auto"), "form of the trend"),
        parameter("seasonal", Word(FORMS), word("auto"), "form of the season"),
        parameter(
            "damped",
            Bool,
            None,
            "whether the trend fades; chosen from the data when left out",
        ),
        season_length(),
    ]
}

fn theta() -> Vec<LearnerParameter> {
    vec![
        parameter(
            "theta",
            FloatOrWord(1.0, f64::MAX, &["optimized", "auto"]),
            float(2.0),
            "curvature of the second line; optimized takes what fits best, auto tries dynamic too",
        ),
        parameter("dynamic", Bool, truth(false), "whether the line is drawn anew at each step"),
        season_length(),
    ]
}

fn arima() -> Vec<LearnerParameter> {
    let order = |name, high, meaning| parameter(name, Int(0, high), None, meaning);
    vec![
        order("p", 10, "autoregressive order; chosen from the data when left out"),
        order("d", 3, "differences; chosen from the data when left out"),
        order("q", 10, "moving-average order; chosen from the data when left out"),
        order("P", 4, "seasonal autoregressive order; chosen from the data when left out"),
        order("D", 2, "seasonal differences; chosen from the data when left out"),
        order("Q", 4, "seasonal moving-average order; chosen from the data when left out"),
        season_length(),
    ]
}

fn croston() -> Vec<LearnerParameter> {
    const VARIANTS: &[&str] = &["classic", "sba", "tsb"];
    vec![
        parameter("variant", Word(VARIANTS), word("sba"), "how the rate is corrected"),
        parameter(
            "alpha",
            FloatOrWord(POSITIVE, 1.0, &["auto"]),
            float(0.1),
            "smoothing of sizes; auto chooses it from the data",
        ),
        parameter(
            "beta",
            Float(POSITIVE, 1.0),
            None,
            "smoothing of intervals, for tsb of the chance of a demand; alpha when left out",
        ),
    ]
}

fn season_length() -> LearnerParameter {
    let meaning = "steps of a season; from the frequency when left out";
    parameter("season_length", Int(1, i64::MAX), None, meaning)
}

fn max_iter(default: i64) -> LearnerParameter {
    parameter("max_iter", Int(1, i64::MAX), int(default), "most iterations")
}

fn tol(default: f64) -> LearnerParameter {
    parameter("tol", Float(POSITIVE, f64::MAX), float(default), "change below which it stops")
}

fn standardize() -> LearnerParameter {
    let meaning = "whether columns are centred and scaled to unit variance first";
    parameter("standardize", Bool, truth(true), meaning)
}
