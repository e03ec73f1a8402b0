//! Azure's names of algorithms, transformers and meta learners. Every spelling that differs by
//! letter case and underscores alone is the same word.

use crate::data::Task;

/// The algorithms of a task, or those of any.
pub(super) fn algorithms(task: Option<Task>) -> Vec<&'static str> {
    if let Some(task) = task {
        return of(task).to_vec();
    }
    let mut all = of(Task::Classification).to_vec();
    let others = of(Task::Forecasting).iter().filter(|word| !all.contains(word)).copied();
    let others: Vec<&str> = others.collect();
    all.extend(others);
    all
}

fn of(task: Task) -> &'static [&'static str] {
    match task {
        Task::Classification => &[
            "logistic_regression",
            "sgd",
            "multinomial_naive_bayes",
            "bernoulli_naive_bayes",
            "svm",
            "linear_svm",
            "knn",
            "decision_tree",
            "random_forest",
            "extreme_random_trees",
            "light_gbm",
            "gradient_boosting",
            "xg_boost_classifier",
        ],
        Task::Regression => &[
            "elastic_net",
            "gradient_boosting",
            "decision_tree",
            "knn",
            "lasso_lars",
            "sgd",
            "random_forest",
            "extreme_random_trees",
            "light_gbm",
            "xg_boost_regressor",
        ],
        Task::Forecasting => &[
            "elastic_net",
            "gradient_boosting",
            "decision_tree",
            "knn",
            "lasso_lars",
            "sgd",
            "random_forest",
            "extreme_random_trees",
            "light_gbm",
            "xg_boost_regressor",
            "auto_arima",
            "prophet",
            "naive",
            "seasonal_naive",
            "average",
            "seasonal_average",
            "exponential_smoothing",
            "arimax",
            "tcn_forecaster",
        ],
    }
}

/// Transformers that can be blocked.
pub(super) const TRANSFORMERS: &[&str] = &[
    "text_target_encoder",
    "one_hot_encoder",
    "cat_target_encoder",
    "tf_idf",
    "wo_e_target_encoder",
    "label_encoder",
    "word_embedding",
    "naive_bayes",
    "count_vectorizer",
    "hash_one_hot_encoder",
];

/// Transformers that take parameters.
pub(super) const PARAMETERIZED: &[&str] = &["imputer", "tf_idf", "hash_one_hot_encoder"];

/// Meta learners of a stacked ensemble.
pub(super) const META_LEARNERS: &[&str] = &[
    "none",
    "logistic_regression",
    "logistic_regression_cv",
    "light_gbm_classifier",
    "elastic_net",
    "elastic_net_cv",
    "light_gbm_regressor",
    "linear_regression",
];

/// Tasks on images and text, which are known and not read in depth.
pub(crate) const OTHER_TASKS: &[&str] = &[
    "image_classification",
    "image_classification_multilabel",
    "image_object_detection",
    "image_instance_segmentation",
    "text_classification",
    "text_classification_multilabel",
    "text_ner",
];
