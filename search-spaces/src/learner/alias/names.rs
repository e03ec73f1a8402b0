//! The tables of other tools' names and words: LightGBM, XGBoost, CatBoost, scikit-learn, and R's.

use super::Foreign::{self, Idle, Only, Ours, Plus, Times};
use super::Learner;

/// Names of other tools, and what they mean here.
pub(super) type Names = &'static [(&'static [&'static str], Foreign)];

const CORES: &str = "the cores are shared among all fits";
const SEEDS: &str = "the study's seed gives every fit its own";
const MEASURED: &str = "objective.primary_metric is what is measured";
const OURS: &str = "it steers another tool's code";
const WEIGHTS: &str = "remove it; weight_column_name names a column of weights";

/// What steers other tools' code.
const EVERYWHERE: Names = &[
    (
        &["verbose", "verbosity", "silent", "verbose_eval", "logging_level"],
        Idle("fits print nothing"),
    ),
    (&["n_jobs", "nthread", "nthreads", "num_thread", "num_threads", "thread_count"], Idle(CORES)),
    (&["random_state", "seed", "random_seed"], Idle(SEEDS)),
    (&["warm_start", "copy_X", "copy_x", "cache_size", "precompute"], Idle(OURS)),
    (&["class_weight"], Only(&["none"], WEIGHTS)),
];

/// Our names for the least number of rows in a leaf.
pub(super) const ROWS_OF_A_LEAF: &[&str] = &["min_child_samples", "min_samples_leaf"];

const BOOSTING: Names = &[
    (
        &[
            "num_iterations",
            "num_iteration",
            "n_iter",
            "max_iter",
            "num_tree",
            "num_trees",
            "n_trees",
            "num_round",
            "num_rounds",
            "num_boost_round",
            "nrounds",
            "iterations",
            "ntrees",
        ],
        Ours("n_estimators"),
    ),
    (&["eta", "shrinkage_rate", "shrinkage", "learn_rate"], Ours("learning_rate")),
    (&["depth"], Ours("max_depth")),
    (&["num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"], Ours("num_leaves")),
    (
        &["min_data_in_leaf", "min_data_per_leaf", "min_data", "min_samples_leaf"],
        Ours("min_child_samples"),
    ),
    (
        &["min_sum_hessian_in_leaf", "min_sum_hessian_per_leaf", "min_sum_hessian", "min_hessian"],
        Ours("min_child_weight"),
    ),
    (&["min_gain_to_split"], Ours("min_split_gain")),
    // XGBoost's gain is half of LightGBM's and ours.
    (&["gamma", "min_split_loss"], Times("min_split_gain", 2.0)),
    (&["bagging_fraction", "bagging", "sub_row", "sample_rate"], Ours("subsample")),
    (&["feature_fraction", "sub_feature"], Ours("colsample_bytree")),
    (&["lambda_l1", "l1_regularization"], Ours("reg_alpha")),
    (&["lambda_l2", "lambda", "l2_regularization", "l2_leaf_reg"], Ours("reg_lambda")),
    (&["max_bins"], Ours("max_bin")),
    // CatBoost counts what lies between bins.
    (&["border_count"], Plus("max_bin", 1.0)),
    (&["early_stopping_round", "n_iter_no_change", "od_wait"], Ours("early_stopping_rounds")),
    (&["loss", "application", "app", "objective_type", "loss_function"], Ours("objective")),
    (&["quantile", "quantile_alpha", "huber_slope"], Ours("alpha")),
    (
        &["bagging_freq", "subsample_freq"],
        Idle("every tree draws its own rows, where subsample is below 1"),
    ),
    (&["num_class", "classes_count"], Idle("classes are counted in the data")),
    (&["metric", "eval_metric", "metrics", "custom_metric", "scoring"], Idle(MEASURED)),
    (
        &[
            "bagging_seed",
            "feature_fraction_seed",
            "data_random_seed",
            "drop_seed",
            "extra_seed",
            "objective_seed",
        ],
        Idle(SEEDS),
    ),
    (
        &["tree_method", "predictor", "single_precision_histogram", "sampling_method"],
        Idle("trees are always grown on histograms"),
    ),
    (
        &["device", "device_type", "gpu_id", "task_type", "devices", "gpu_platform_id"],
        Idle("fleetfit decides where fits run"),
    ),
    (
        &["force_col_wise", "force_row_wise", "deterministic", "histogram_pool_size"],
        Idle("the same seed always gives the same model"),
    ),
    (
        &[
            "use_label_encoder",
            "enable_categorical",
            "importance_type",
            "subsample_for_bin",
            "bin_construct_sample_cnt",
            "allow_writing_files",
            "train_dir",
            "used_ram_limit",
        ],
        Idle(OURS),
    ),
    (
        &["boosting_type", "boosting", "booster"],
        Only(&["gbdt", "gbtree", "plain"], "remove it; random_forest and ridge are learners"),
    ),
    (
        &["colsample_bylevel", "colsample_bynode", "feature_fraction_bynode", "rsm"],
        Only(&["1"], "remove it, or write colsample_bytree"),
    ),
    (
        &["grow_policy"],
        Only(&["depthwise", "lossguide"], "remove it; max_depth and num_leaves say it"),
    ),
    (&["scale_pos_weight"], Only(&["1"], WEIGHTS)),
    (&["is_unbalance", "unbalance", "unbalanced_sets"], Only(&["false"], WEIGHTS)),
    (&["max_delta_step", "path_smooth", "base_score"], Only(&["0"], "remove it")),
    (&["boost_from_average"], Only(&["true"], "remove it")),
    (&["extra_trees", "linear_tree", "extra_tree"], Only(&["false"], "remove it")),
    (
        &["categorical_feature", "cat_features", "categorical_features"],
        Only(&["auto", "from_dtype"], "remove it; columns of text are categories"),
    ),
    (&["monotone_constraints", "monotonic_cst"], Only(&["none"], "remove it")),
];

const TREES: Names = &[
    (&["depth"], Ours("max_depth")),
    (
        &["min_data_in_leaf", "min_child_samples", "min_node_size", "nodesize"],
        Ours("min_samples_leaf"),
    ),
    (&["mtry"], Ours("max_features")),
    (
        &["ccp_alpha", "min_weight_fraction_leaf", "min_impurity_decrease"],
        Only(&["0"], "remove it, or write min_samples_leaf"),
    ),
    (&["max_leaf_nodes", "monotonic_cst"], Only(&["none"], "remove it")),
    (&["splitter"], Only(&["best"], "remove it; extra_trees draws its thresholds")),
];

const FORESTS: Names = &[
    (
        &["num_trees", "n_trees", "num_tree", "ntree", "ntrees", "num_iterations", "iterations"],
        Ours("n_estimators"),
    ),
    (&["oob_score"], Idle("n_cross_validations: out_of_bag scores by the rows that no tree saw")),
];

const LINEAR: Names = &[
    (
        &["solver", "selection", "dual", "max_fun"],
        Idle("every fit is solved as exactly as it can be"),
    ),
    (&["positive"], Only(&["false"], "remove it")),
    (&["normalize"], Only(&["true"], "write standardize")),
    (&["penalty"], Only(&["l2"], "remove it; lasso and elastic_net are learners of regression")),
    (&["multi_class"], Only(&["auto", "multinomial"], "remove it")),
    (&["intercept_scaling"], Only(&["1"], "remove it")),
];

const EXACT: Names = &[(&["max_iter", "tol"], Idle("it is solved exactly, in one step"))];

const LOGISTIC: Names = &[
    (&["tol"], Idle("it is solved to the last digits")),
    (&["fit_intercept"], Only(&["true"], "remove it; there always is one")),
    (&["l1_ratio"], Only(&["0"], "remove it; the penalty is squared")),
];

const NEIGHBOURS: Names = &[
    (&["k", "n_neighbours"], Ours("n_neighbors")),
    (&["algorithm", "leaf_size"], Idle("the search for neighbours is always exact")),
    (&["metric"], Only(&["minkowski"], "write p: 2 for euclidean, p: 1 for manhattan")),
    (&["metric_params"], Only(&["none"], "remove it")),
];

const VECTORS: Names = &[
    (&["cost"], Ours("C")),
    (&["shrinking", "probability", "decision_function_shape", "break_ties"], Idle(OURS)),
    (&["max_iter"], Only(&["-1"], "remove it; trial_timeout limits how long a fit takes")),
];

const NETWORKS: Names = &[
    (&["hidden_size", "hidden_layer_size", "units", "n_units"], Ours("hidden_units")),
    (&["num_layers", "n_hidden_layers", "depth"], Ours("n_layers")),
    (&["learning_rate_init", "lr"], Ours("learning_rate")),
    (&["weight_decay", "l2"], Ours("alpha")),
    (&["epochs", "n_epochs", "num_epochs", "max_epochs"], Ours("max_iter")),
    (&["n_iter_no_change", "patience"], Ours("early_stopping_rounds")),
    (&["hidden_layer_sizes"], Only(&["none"], "write hidden_units and n_layers")),
    (&["early_stopping"], Only(&["false"], "write early_stopping_rounds")),
    (&["validation_fraction"], Only(&["0.1"], "remove it; a tenth of the rows is held back")),
    (&["solver", "optimizer"], Only(&["adam"], "remove it")),
    (&["shuffle"], Only(&["true"], "remove it")),
    (&["beta_1"], Only(&["0.9"], "remove it")),
    (&["beta_2"], Only(&["0.999"], "remove it")),
    (&["epsilon"], Only(&["1e-8"], "remove it")),
    (&["momentum", "nesterovs_momentum", "power_t", "max_fun"], Idle("every step is Adam's")),
    (&["tol"], Idle("early_stopping_rounds says when it is enough")),
];

const BAYES: Names = &[(&["priors"], Only(&["none"], "remove it; they are the classes' shares"))];

/// The tables of a learner.
pub(super) fn of(learner: Learner) -> Vec<Names> {
    match learner {
        Learner::GradientBoosting => vec![BOOSTING, EVERYWHERE],
        Learner::DecisionTree => vec![TREES, EVERYWHERE],
        Learner::RandomForest | Learner::ExtraTrees => vec![TREES, FORESTS, EVERYWHERE],
        Learner::Ridge => vec![EXACT, LINEAR, EVERYWHERE],
        Learner::Lasso | Learner::ElasticNet => vec![LINEAR, EVERYWHERE],
        Learner::LogisticRegression => vec![LOGISTIC, LINEAR, EVERYWHERE],
        Learner::Knn => vec![NEIGHBOURS, EVERYWHERE],
        Learner::Svm => vec![VECTORS, EVERYWHERE],
        Learner::NaiveBayes => vec![BAYES, EVERYWHERE],
        Learner::Mlp => vec![NETWORKS, EVERYWHERE],
        Learner::Naive
        | Learner::SeasonalNaive
        | Learner::Drift
        | Learner::Average
        | Learner::ExponentialSmoothing
        | Learner::Theta
        | Learner::Arima
        | Learner::Croston => vec![EVERYWHERE],
    }
}

/// Other tools' words for ours, in lower case.
const OBJECTIVES: &[(&str, &[&str])] = &[
    (
        "squared",
        &[
            "regression",
            "regression_l2",
            "l2",
            "mse",
            "rmse",
            "l2_root",
            "mean_squared_error",
            "root_mean_squared_error",
            "squared_error",
            "squared_loss",
            "reg:squarederror",
            "reg:linear",
        ],
    ),
    (
        "absolute",
        &[
            "regression_l1",
            "l1",
            "mae",
            "mean_absolute_error",
            "absolute_error",
            "reg:absoluteerror",
        ],
    ),
    ("quantile", &["reg:quantileerror"]),
    ("poisson", &["count:poisson"]),
    ("tweedie", &["reg:tweedie"]),
    (
        "log_loss",
        &[
            "binary",
            "binary:logistic",
            "logloss",
            "binary_crossentropy",
            "multiclass",
            "softmax",
            "multi:softmax",
            "multi:softprob",
            "categorical_crossentropy",
            "deviance",
            "logistic",
        ],
    ),
];

const CRITERIA: &[(&str, &[&str])] =
    &[("squared_error", &["mse", "variance"]), ("entropy", &["information"])];

/// Our word for another tool's, in lower case, of this parameter.
pub(super) fn word(parameter: &str, theirs: &str) -> Option<&'static str> {
    let table = match parameter {
        "objective" => OBJECTIVES,
        "criterion" => CRITERIA,
        _ => return None,
    };
    table.iter().find(|(_, others)| others.contains(&theirs)).map(|(own, _)| *own)
}

/// What to write instead of words that mean nothing here, in lower case.
const OTHER_OBJECTIVES: &[(&[&str], &str)] = &[
    (&["gamma", "reg:gamma"], "write tweedie, and tweedie_variance_power: 2"),
    (&["fair", "logcosh"], "write huber"),
    (&["reg:pseudohubererror"], "write huber, and alpha for what huber_slope was"),
    (&["mape", "reg:squaredlogerror"], "write absolute, or poisson for counts"),
    (&["multiclassova", "ova", "multiclassonevsall"], "write log_loss"),
];

const OTHER_CRITERIA: &[(&[&str], &str)] =
    &[(&["absolute_error", "mae", "poisson"], "write squared_error")];

const OTHER_SHARES: &[(&[&str], &str)] =
    &[(&["auto"], "write sqrt for classes, or all for numbers")];

const OTHER_BATCHES: &[(&[&str], &str)] =
    &[(&["auto"], "write 200, or leave it out, which is 256")];

/// What to write instead of another tool's word, in lower case, of this parameter.
pub(super) fn instead(parameter: &str, theirs: &str) -> Option<&'static str> {
    let of_it = match parameter {
        "objective" => OTHER_OBJECTIVES,
        "criterion" => OTHER_CRITERIA,
        "max_features" => OTHER_SHARES,
        "batch_size" => OTHER_BATCHES,
        _ => return None,
    };
    of_it.iter().find(|(words, _)| words.contains(&theirs)).map(|(_, hint)| *hint)
}
