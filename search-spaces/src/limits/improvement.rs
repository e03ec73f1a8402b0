//! When a search ends because it no longer improves.

use serde::{Deserialize, Serialize};

use crate::fields::{At, Fields};
use crate::findings::Findings;

/// How `min_improvement` is written.
const WANTED: &str = "a number from 0, or a share such as 1%";

/// When a search ends because it no longer improves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Improvement {
    /// So many configurations in a row without an improvement end it.
    pub patience: u32,
    /// By how much a configuration has to be better than the last improvement to be one.
    pub least: Least,
    /// So many configurations end before the counting begins.
    pub after: u32,
}

/// A difference that counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Least {
    /// More than this.
    By(f64),
    /// More than this share of the value it is compared with.
    Share(f64),
}

impl Improvement {
    /// What Azure's AutoML does unless `enable_early_termination` is false: after 20 trials, 10
    /// without a better score end the search, at the 31st at the earliest.
    pub const OF_AUTOML: Self = Self { patience: 10, least: Least::By(0.0), after: 21 };

    /// Reads `patience` and `min_improvement` out of `limits`; `total` is how many configurations
    /// there are at most.
    pub(super) fn read(
        fields: &mut Fields<'_>,
        total: Option<u32>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let patience_at = fields.take("patience", findings);
        let least_at = fields.take("min_improvement", findings);
        let least = match &least_at {
            Some(at) => Least::read(at, findings),
            None => Some(Least::By(0.0)),
        };
        let Some(at) = patience_at else {
            if least_at.is_some() {
                fields.missing("patience", "patience: 20", findings);
            }
            return None;
        };
        let patience = at.count(1, findings)?;
        if let Some(total) = total.filter(|&total| patience >= total) {
            let says =
                format!("is {patience}, but there are {total} configurations: it ends nothing");
            findings.notice(&at, &says);
        }
        Some(Self { patience, least: least?, after: 0 })
    }
}

impl Least {
    fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let text = at.plain_text().unwrap_or_default();
        let Some(percent) = text.trim().strip_suffix('%') else {
            let number = at.float_of(WANTED, findings)?;
            return match number >= 0.0 {
                true => Some(Self::By(number)),
                false => at.wrong(findings, WANTED, None),
            };
        };
        match percent.trim_end().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Some(Self::Share(percent / 100.0)),
            _ => at.wrong(findings, "a share from 0% to 100%", None),
        }
    }
}
