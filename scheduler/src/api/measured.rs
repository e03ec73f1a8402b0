//! Values as they are told by name, in the order of the study's metrics.

use fleetfit_search_spaces::{Aims, End};

use super::Refused;
use super::body::unprocessable;
use crate::engine::TrialResult;

/// A result as it is told.
pub(super) struct Said {
    pub(super) trial: u32,
    pub(super) end: Ended,
}

/// How the trial ended.
pub(super) enum Ended {
    /// With this value, which says it all.
    Value(f64),
    /// With these, by metric.
    Values(Vec<(String, f64)>),
    /// Without.
    Otherwise(End),
}

impl Said {
    /// With the values in the order in which the study has them: each once, and no others.
    pub(super) fn measured(self, aims: &Aims) -> Result<TrialResult, Refused> {
        let Self { trial, end } = self;
        let metrics = &aims.metrics;
        let values = match end {
            Ended::Otherwise(end) => return Ok(TrialResult { trial, end, further: Vec::new() }),
            Ended::Value(value) if metrics.len() == 1 => vec![value],
            Ended::Value(_) => {
                let each: Vec<String> =
                    metrics.iter().map(|metric| format!("\"{metric}\": …")).collect();
                let message = format!(
                    "the result of trial {trial} is one value, but the study measures {}; write \
                     \"values\": {{{}}}",
                    metrics.join(", "),
                    each.join(", ")
                );
                return Err(unprocessable(message));
            }
            Ended::Values(told) => {
                let known = metrics.join(", ");
                if let Some((name, _)) = told.iter().find(|(name, _)| !metrics.contains(name)) {
                    return Err(unprocessable(format!(
                        "the values of trial {trial} have {name}, which the study does not measure; \
                         it measures {known}"
                    )));
                }
                let value = |metric: &String| {
                    let found = told.iter().find(|(name, _)| name == metric);
                    found.map(|(_, value)| *value).ok_or_else(|| {
                        unprocessable(format!(
                            "the values of trial {trial} lack {metric}; the study measures {known}"
                        ))
                    })
                };
                metrics.iter().map(value).collect::<Result<_, _>>()?
            }
        };
        let (&value, further) = values.split_first().ok_or_else(|| unprocessable("no value"))?;
        Ok(TrialResult { trial, end: End::Completed { value }, further: further.to_vec() })
    }
}
