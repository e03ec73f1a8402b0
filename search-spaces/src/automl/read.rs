//! `training`, `featurization` and `limits` of an AutoML job.

use super::words::{META_LEARNERS, PARAMETERIZED, TRANSFORMERS, algorithms};
use super::{AutoMl, Featurization, TransformerParams};
use crate::data::Task;
use crate::fields::{At, Fields, same_word};
use crate::findings::{Findings, Mistake};
use crate::ignored::OF_AUTOML_LIMITS;
use crate::limits::{Improvement, Limits, MAX_SECONDS};

/// How many trials a job has where it does not say, as in Azure.
const DEFAULT_TRIALS: u32 = 1_000;

/// How long a job runs where it does not say, in minutes, as in Azure.
const DEFAULT_TIMEOUT_MINUTES: f64 = 8_640.0;

/// How long a trial runs where the job does not say, in minutes, as in Azure.
const DEFAULT_TRIAL_TIMEOUT_MINUTES: f64 = 43_200.0;

/// What an AutoML job may spend: limits that every study has, and some of its own.
pub(crate) struct Budget {
    /// The limits.
    pub limits: Limits,
    /// Stops the study at this score.
    pub exit_score: Option<f64>,
    /// Stops the study when it no longer improves.
    pub enable_early_termination: Option<bool>,
    /// Threads a trial may use.
    pub max_cores_per_trial: Option<i64>,
}

impl Budget {
    /// Reads `limits`; keys that mean nothing here are added to `ignored`.
    pub(crate) fn read<'a>(
        root: &mut Fields<'a>,
        ignored: &mut Vec<At<'a>>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut budget = Self {
            limits: Limits {
                max_total_trials: DEFAULT_TRIALS,
                max_concurrent_trials: 1,
                timeout_s: DEFAULT_TIMEOUT_MINUTES * 60.0,
                trial_timeout_s: Some(DEFAULT_TRIAL_TIMEOUT_MINUTES * 60.0),
                improvement: Some(Improvement::OF_AUTOML),
                stop_when_converged: false,
            },
            exit_score: None,
            enable_early_termination: None,
            max_cores_per_trial: None,
        };
        let Some(at) = root.take("limits", findings) else {
            return Some(budget);
        };
        let mut fields = at.map(findings)?;
        fields.also_called("max_total_trials", "max_trials");
        fields.also_called("timeout", "timeout_minutes");
        fields.also_called("trial_timeout", "trial_timeout_minutes");
        if let Some(at) = fields.take("max_trials", findings) {
            budget.limits.max_total_trials = at.count(1, findings).unwrap_or(DEFAULT_TRIALS);
        }
        if let Some(at) = fields.take("max_concurrent_trials", findings) {
            budget.limits.max_concurrent_trials = at.count(1, findings).unwrap_or(1);
            budget.limits.notice_idle(&at, "max_trials", findings);
        }
        if let Some(at) = fields.take("timeout_minutes", findings) {
            let minutes = positive(&at, findings).unwrap_or(DEFAULT_TIMEOUT_MINUTES);
            budget.limits.timeout_s = minutes * 60.0;
        }
        if let Some(at) = fields.take("trial_timeout_minutes", findings) {
            budget.limits.trial_timeout_s = positive(&at, findings).map(|minutes| minutes * 60.0);
        }
        let exit_at = fields.take("exit_score", findings);
        budget.exit_score = exit_at.and_then(|at| at.float(findings));
        let early_at = fields.take("enable_early_termination", findings);
        budget.enable_early_termination = early_at.and_then(|at| at.bool(findings));
        if budget.enable_early_termination == Some(false) {
            budget.limits.improvement = None;
        }
        if let Some(at) = fields.take("max_cores_per_trial", findings) {
            let cores = at.int_in(-1, 65_536, findings);
            if cores == Some(0) {
                at.wrong::<()>(findings, "at least 1, or -1 for all", None);
            }
            budget.max_cores_per_trial = cores;
        }
        ignored.extend(fields.ignore(OF_AUTOML_LIMITS));
        fields.finish(findings);
        Some(budget)
    }
}

fn positive(at: &At<'_>, findings: &mut Findings) -> Option<f64> {
    let minutes = at.float_of("a number of minutes", findings)?;
    let wanted = if minutes <= 0.0 {
        "above 0 minutes"
    } else if minutes * 60.0 > MAX_SECONDS {
        "at most 1.6e7 minutes"
    } else {
        return Some(minutes);
    };
    at.wrong(findings, wanted, Some("remove the line for no limit of your own".into()))
}

impl AutoMl {
    /// Reads `training`.
    pub(crate) fn read_training(
        &mut self,
        at: &At<'_>,
        task: Option<Task>,
        findings: &mut Findings,
    ) {
        let Some(mut fields) = at.map(findings) else {
            return;
        };
        let known = algorithms(task);
        let allowed_at = fields.take("allowed_training_algorithms", findings);
        let blocked_at = fields.take("blocked_training_algorithms", findings);
        if let Some(at) = &allowed_at {
            self.allowed_algorithms = words(at, &known, findings);
            if at.one_or_more().is_empty() {
                findings.notice(at, "is an empty list; all algorithms are allowed");
            }
        }
        if let Some(at) = &blocked_at {
            self.blocked_algorithms = words(at, &known, findings);
            self.refuse_contradictions(at, findings);
        }
        let mut flag = |key: &'static str, findings: &mut Findings| {
            fields.take(key, findings).and_then(|at| at.bool(findings))
        };
        self.stack_ensemble = flag("enable_stack_ensemble", findings);
        self.vote_ensemble = flag("enable_vote_ensemble", findings);
        self.explain = flag("enable_model_explainability", findings);
        self.onnx_compatible = flag("enable_onnx_compatible_models", findings);
        self.dnn = flag("enable_dnn_training", findings);
        if let Some(at) = fields.take("ensemble_model_download_timeout_minutes", findings) {
            self.ensemble_model_download_timeout_minutes = at.count(1, findings);
        }
        if let Some(at) = fields.take("training_mode", findings) {
            let modes = &["auto", "distributed", "non_distributed"];
            self.training_mode = word(&at, modes, findings);
        }
        if let Some(at) = fields.take("stack_ensemble_settings", findings) {
            self.read_stack(&at, findings);
        }
        fields.finish(findings);
    }

    fn refuse_contradictions(&self, blocked: &At<'_>, findings: &mut Findings) {
        for item in blocked.one_or_more() {
            let text = item.plain_text().unwrap_or_default();
            if self.allowed_algorithms.iter().any(|allowed| same_word(allowed, &text)) {
                let says = format!("is {}, which is allowed too", item.node.brief());
                let mistake = Mistake::new(says, "another algorithm");
                findings.problem(&item, mistake.hint("remove it from one of the two lists"));
            }
        }
    }

    fn read_stack(&mut self, at: &At<'_>, findings: &mut Findings) {
        let Some(mut fields) = at.map(findings) else {
            return;
        };
        if let Some(at) = fields.take("stack_meta_learner_type", findings) {
            self.stack_meta_learner = word(&at, META_LEARNERS, findings);
        }
        if let Some(at) = fields.take("stack_meta_learner_train_percentage", findings) {
            self.stack_meta_learner_train_percentage = at.float(findings).and_then(|share| {
                if share > 0.0 && share <= 1.0 {
                    Some(share)
                } else {
                    at.wrong(findings, "a share above 0 and at most 1", None)
                }
            });
        }
        if let Some(at) = fields.take("stack_meta_learner_kwargs", findings) {
            self.stack_meta_learner_kwargs = Some(at.node.to_json().to_string());
        }
        fields.finish(findings);
    }

    /// Reads `featurization`.
    pub(crate) fn read_featurization(&mut self, at: &At<'_>, findings: &mut Findings) {
        const MODES: &[&str] = &["auto", "off", "custom"];
        let Some(mut fields) = at.map(findings) else {
            return;
        };
        let mode_at = fields.take("mode", findings);
        let mode = mode_at.as_ref().and_then(|at| match at.node.content {
            // YAML 1.1 reads a bare off as false.
            crate::yaml::Content::Bool(false) => Some("off".to_owned()),
            _ => word(at, MODES, findings),
        });
        let blocked_at = fields.take("blocked_transformers", findings);
        let blocked_transformers =
            blocked_at.as_ref().map_or_else(Vec::new, |at| words(at, TRANSFORMERS, findings));
        let types_at = fields.take("column_name_and_types", findings);
        let column_types =
            types_at.as_ref().map_or_else(Vec::new, |at| read_column_types(at, findings));
        let params_at = fields.take("transformer_params", findings);
        let transformer_params =
            params_at.as_ref().map_or_else(Vec::new, |at| read_params(at, findings));
        if let Some(at) = fields.take("enable_dnn_featurization", findings) {
            self.dnn_featurization = at.bool(findings);
        }
        if let Some(at) = fields.take("dataset_language", findings) {
            self.dataset_language = at.text(findings);
        }
        fields.finish(findings);
        let custom = [&blocked_at, &types_at, &params_at];
        if mode.as_deref() == Some("off") {
            for at in custom.into_iter().flatten() {
                findings.notice(at, "is not used: featurization.mode is off");
            }
            self.featurization = Featurization::Off;
        } else if mode.as_deref() == Some("custom") || custom.iter().any(|at| at.is_some()) {
            self.featurization =
                Featurization::Custom { blocked_transformers, column_types, transformer_params };
        }
    }
}

fn read_column_types(at: &At<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let Some(mut fields) = at.map(findings) else {
        return Vec::new();
    };
    let columns = fields.take_all().into_iter();
    columns.filter_map(|(key, value)| Some((key.name.clone(), value.text(findings)?))).collect()
}

fn read_params(at: &At<'_>, findings: &mut Findings) -> Vec<TransformerParams> {
    let Some(mut fields) = at.map(findings) else {
        return Vec::new();
    };
    let mut params = Vec::new();
    for (key, list) in fields.take_all() {
        let Some(transformer) = PARAMETERIZED.iter().find(|known| same_word(known, &key.name))
        else {
            list.unknown_key(&key.name, PARAMETERIZED, findings);
            continue;
        };
        for item in list.list(findings).unwrap_or_default() {
            let Some(mut fields) = item.map(findings) else {
                continue;
            };
            let columns = fields.take("fields", findings);
            let columns = columns.map_or_else(Vec::new, |at| at.texts(findings));
            let parameters = fields.take_any("parameters");
            let parameters =
                parameters.map_or_else(String::new, |at| at.node.to_json().to_string());
            fields.finish(findings);
            params.push(TransformerParams {
                transformer: (*transformer).to_owned(),
                columns,
                parameters,
            });
        }
    }
    params
}

/// A known word in its snake-case spelling.
fn word(at: &At<'_>, known: &[&'static str], findings: &mut Findings) -> Option<String> {
    let pairs: Vec<(&'static str, &'static str)> =
        known.iter().map(|word| (*word, *word)).collect();
    at.word(&pairs, findings).map(str::to_owned)
}

fn words(at: &At<'_>, known: &[&'static str], findings: &mut Findings) -> Vec<String> {
    at.one_or_more().iter().filter_map(|item| word(item, known, findings)).collect()
}
