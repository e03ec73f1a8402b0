//! How much a study may spend.

mod improvement;

use serde::{Deserialize, Serialize};

use crate::fields::{At, Fields};
use crate::findings::Findings;

pub use self::improvement::{Improvement, Least};

/// How long a sweep runs where the job does not say, as in Azure: 60 days.
const DEFAULT_TIMEOUT_S: f64 = 5_184_000.0;

/// The longest limit of time, some 31 years: clocks can add it to any time of ours.
pub(crate) const MAX_SECONDS: f64 = 1e9;

/// How much a study may spend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How many configurations are tried, each for every entity.
    pub max_total_trials: u32,
    /// How many configurations may be in flight at once.
    pub max_concurrent_trials: u32,
    /// How long the study may run, in seconds, interruptions not counted.
    pub timeout_s: f64,
    /// How long one command trial, or one fit of a built-in trainer, may take.
    pub trial_timeout_s: Option<f64>,
    /// When the search ends because it no longer improves.
    #[serde(default)]
    pub improvement: Option<Improvement>,
    /// Whether the search ends when what it is expected to gain is below the noise.
    #[serde(default)]
    pub stop_when_converged: bool,
}

/// A job that samples a grid.
pub(crate) struct Grid {
    /// How many configurations it has, if they can be counted.
    pub size: Option<u128>,
}

impl Grid {
    /// Where nothing limits it, there may be more configurations than a study can have.
    pub(crate) fn notice_cut(&self, at: &At<'_>, limits: &Limits, findings: &mut Findings) {
        let total = limits.max_total_trials;
        if let Some(size) = self.size.filter(|size| total == u32::MAX && *size > u128::from(total))
        {
            findings.notice(at, &format!("is grid, and {}", cut(size, total)));
        }
    }
}

/// What becomes of a grid with more configurations than are tried.
fn cut(size: u128, total: u32) -> String {
    format!("the grid has {size} configurations; the first {total} in seeded order are tried")
}

impl Limits {
    /// Reads the `limits` of a sweep, which stand at `root`. A grid need not name
    /// `max_total_trials`: it has a size.
    pub(crate) fn read(
        root: &mut Fields<'_>,
        grid: Option<&Grid>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let grid_size = grid.and_then(|grid| grid.size);
        let whole_grid = grid_size.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        let Some(at) = (match grid {
            Some(_) => root.take("limits", findings),
            None => root.require("limits", "limits: {max_total_trials: 20}", findings),
        }) else {
            return whole_grid.map(Self::of_trials);
        };
        let mut fields = at.map(findings)?;
        fields.also_called("max_trials", "max_total_trials");
        fields.also_called("max_configurations", "max_total_trials");
        let total_at = match grid {
            Some(_) => fields.take("max_total_trials", findings),
            None => fields.require("max_total_trials", "max_total_trials: 20", findings),
        };
        let total = match &total_at {
            Some(at) => at.count(1, findings),
            None => whole_grid,
        };
        let concurrent_at = fields.take("max_concurrent_trials", findings);
        let concurrent = concurrent_at.as_ref().map(|at| at.count(1, findings));
        let improvement = Improvement::read(&mut fields, total, findings);
        let converged = fields.take("stop_when_converged", findings);
        let converged = converged.map(|at| at.bool(findings));
        let timeout = fields.take("timeout", findings).map(|at| seconds(&at, findings));
        let trial_timeout = fields.take("trial_timeout", findings).map(|at| seconds(&at, findings));
        fields.finish(findings);
        let total = total?;
        let concurrent = concurrent.unwrap_or(Some(total))?;
        if let (Some(at), Some(size)) = (&total_at, grid_size)
            && size > u128::from(total)
        {
            let says = format!("is {total}, but {}", cut(size, total));
            findings.notice(at, &says);
        }
        let mut limits = Self {
            max_total_trials: total,
            max_concurrent_trials: concurrent,
            timeout_s: timeout.unwrap_or(Some(DEFAULT_TIMEOUT_S))?,
            trial_timeout_s: trial_timeout.map_or(Some(None), |timeout| timeout.map(Some))?,
            improvement,
            stop_when_converged: converged.unwrap_or(Some(false))?,
        };
        if let Some(at) = &concurrent_at {
            limits.notice_idle(at, "max_total_trials", findings);
        }
        limits.max_concurrent_trials = concurrent.min(total);
        Some(limits)
    }

    /// More trials at once than there are in all is worth a notice.
    pub(crate) fn notice_idle(&self, at: &At<'_>, total_key: &str, findings: &mut Findings) {
        let (total, concurrent) = (self.max_total_trials, self.max_concurrent_trials);
        if concurrent > total {
            let says =
                format!("is {concurrent}, more than {total_key} {total}; at most {total} run");
            findings.notice(at, &says);
        }
    }

    pub(crate) fn of_trials(total: u32) -> Self {
        Self {
            max_total_trials: total,
            max_concurrent_trials: total,
            timeout_s: DEFAULT_TIMEOUT_S,
            trial_timeout_s: None,
            improvement: None,
            stop_when_converged: false,
        }
    }
}

fn seconds(at: &At<'_>, findings: &mut Findings) -> Option<f64> {
    let number = at.float_of("a number of seconds", findings)?;
    let (wanted, hint) = if number <= 0.0 {
        ("above 0 seconds", "write a number of seconds, or remove the line")
    } else if number > MAX_SECONDS {
        ("at most 1e9 seconds", "remove the line for no limit of your own")
    } else {
        return Some(number);
    };
    at.wrong(findings, wanted, Some(hint.to_owned()))
}
