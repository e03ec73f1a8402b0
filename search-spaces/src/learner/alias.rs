//! What other tools call a parameter: accepted, with a notice, where the value means the same.
//!
//! Left out are names whose values mean something else: XGBoost's `gamma` counts half of a
//! `min_split_gain`, and its `alpha` is a penalty where LightGBM's and ours is a quantile.

use super::Learner;

/// Our name, then those that LightGBM, XGBoost and scikit-learn's histogram trees have for it.
const GRADIENT_BOOSTING: &[(&str, &[&str])] = &[
    (
        "n_estimators",
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
        ],
    ),
    ("learning_rate", &["eta", "shrinkage_rate"]),
    ("num_leaves", &["num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"]),
    (
        "min_child_samples",
        &["min_data_in_leaf", "min_data_per_leaf", "min_data", "min_samples_leaf"],
    ),
    (
        "min_child_weight",
        &["min_sum_hessian_in_leaf", "min_sum_hessian_per_leaf", "min_sum_hessian", "min_hessian"],
    ),
    ("min_split_gain", &["min_gain_to_split"]),
    ("subsample", &["bagging_fraction", "bagging", "sub_row"]),
    ("colsample_bytree", &["feature_fraction", "sub_feature"]),
    ("reg_alpha", &["lambda_l1", "l1_regularization"]),
    ("reg_lambda", &["lambda_l2", "lambda", "l2_regularization"]),
    ("max_bin", &["max_bins"]),
    ("early_stopping_rounds", &["early_stopping_round", "n_iter_no_change"]),
    ("objective", &["loss", "application"]),
];

/// Our name of what another tool calls so.
pub(super) fn own_name(learner: Learner, name: &str) -> Option<&'static str> {
    let names = match learner {
        Learner::GradientBoosting => GRADIENT_BOOSTING,
        _ => &[],
    };
    names.iter().find(|(_, others)| others.contains(&name)).map(|(own, _)| *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_means_one_parameter_and_hides_none() {
        let mut seen = Vec::new();
        for (own, others) in GRADIENT_BOOSTING {
            assert!(Learner::GradientBoosting.parameter(own).is_some(), "{own}");
            for other in *others {
                assert!(Learner::GradientBoosting.parameter(other).is_none(), "{other}");
                assert!(!seen.contains(other), "{other}");
                seen.push(*other);
            }
        }
        assert_eq!(own_name(Learner::GradientBoosting, "eta"), Some("learning_rate"));
        assert_eq!(own_name(Learner::Ridge, "lambda"), None);
    }
}
