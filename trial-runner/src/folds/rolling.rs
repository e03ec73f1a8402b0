//! Folds of rows in time: each fold learns from the past of an origin and validates on the steps
//! after it.
//!
//! Times are counted, not measured: a horizon of 4 is the next four different times that the entity
//! has, so holes in a series do no harm. All series of an entity share its times. Between the past
//! and the steps to validate on there may be a gap, as there is where data comes late.

use fleetfit_search_spaces::data::Folds;

use super::{Fold, FoldError, FoldPlan, Marks};

/// Folds where `n_cross_validations` says `auto` or nothing.
pub(super) const DEFAULT_FOLDS: usize = 3;

pub(super) fn folds(plan: &FoldPlan, marks: &Marks, n_rows: usize) -> Result<Vec<Fold>, FoldError> {
    let time = marks.time.as_deref().ok_or(FoldError::NoTime)?;
    let mut times = time[..n_rows].to_vec();
    times.sort_by(f64::total_cmp);
    times.dedup();
    if times.len() < 2 {
        return Err(FoldError::OneTime);
    }
    let rows = marks.refit_rows(n_rows);
    let fold = |origin: usize, horizon: usize, gap: usize| {
        let first = times[origin];
        let last = times[(origin + horizon - 1).min(times.len() - 1)];
        let end = times[origin - gap];
        let is_past = |row: &&u32| time[**row as usize] < end;
        let is_ahead = |row: &&u32| {
            let moment = time[**row as usize];
            moment >= first && moment <= last
        };
        Fold {
            train: rows.iter().filter(is_past).copied().collect(),
            validate: rows.iter().filter(is_ahead).copied().collect(),
        }
    };
    let n_times = times.len();
    if let Folds::HoldOut(share) = plan.folds {
        let n_ahead = ((n_times as f64 * share).round() as usize).clamp(1, n_times - 1);
        let gap = (plan.gap as usize).min(n_times - 1 - n_ahead);
        return Ok(vec![fold(n_times - n_ahead, n_ahead, gap)]);
    }
    let asked = match plan.folds {
        Folds::Count(n_folds) => (n_folds as usize).max(1),
        _ => DEFAULT_FOLDS,
    };
    let horizon = match plan.horizon {
        Some(horizon) => horizon as usize,
        None => n_times / 10,
    };
    let horizon = horizon.clamp(1, n_times - 1);
    let gap = (plan.gap as usize).min(n_times - 1 - horizon);
    let step = plan.cv_step.map_or(horizon, |step| step as usize).max(1);
    let last_origin = n_times - horizon;
    // The first origin keeps a past at least as long as the horizon.
    let room = last_origin.saturating_sub(horizon + gap) / step + 1;
    let n_folds = asked.min(room);
    Ok((0..n_folds)
        .map(|number| fold(last_origin - (n_folds - 1 - number) * step, horizon, gap))
        .collect())
}
