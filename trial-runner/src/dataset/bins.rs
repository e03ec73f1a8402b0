//! Rows of one entity, brought to the steps that a forecast counts: rows of one step become one
//! where the job says how (`target_aggregate_function`), and short series are left out where it says
//! so (`short_series_handling_config`).
//!
//! Of the features of one step, numbers become their mean; words and the parts of dates are those
//! of its first row.

use std::collections::{BTreeSet, HashMap};

use fleetfit_search_spaces::data::{Aggregate, ShortSeries};

use crate::folds::Marks;
use crate::frame::{
    DERIVED, FeatureColumn, FeatureValues, ForecastPlan, Frame, MISSING, Target, Timeline,
};

/// Brings an entity's rows to its steps.
pub(super) fn condense(frame: &mut Frame, marks: &mut Marks) {
    let Some(timeline) = &frame.timeline else { return };
    let Some(plan) = timeline.plan.clone() else { return };
    if let Some(aggregate) = plan.settings.aggregate {
        let (groups, firsts) = groups(timeline, marks, &plan);
        pool(frame, marks, &plan, aggregate, &groups, &firsts);
    }
    let short = match (plan.settings.short_series, plan.settings.horizon) {
        (Some(handling @ (ShortSeries::Drop | ShortSeries::Auto)), Some(horizon)) => {
            short_series(frame, marks, &plan, handling, horizon)
        }
        _ => BTreeSet::new(),
    };
    if !short.is_empty() {
        leave_out(frame, marks, &short);
    }
}

/// The group of each row, and the first row of each group, in order of appearance.
fn groups(timeline: &Timeline, marks: &Marks, plan: &ForecastPlan) -> (Vec<u32>, Vec<u32>) {
    let n_training = marks.n_training.unwrap_or(u32::MAX);
    let mut known: HashMap<(u32, Option<i64>, bool), u32> = HashMap::new();
    let mut firsts = Vec::new();
    let rows = (0_u32..).zip(timeline.series.iter().zip(&timeline.time));
    let groups = rows.map(|(row, (&series, &time))| {
        let key = (series, plan.step.index(time), row >= n_training);
        *known.entry(key).or_insert_with(|| {
            firsts.push(row);
            firsts.len() as u32 - 1
        })
    });
    (groups.collect(), firsts)
}

/// Makes one row of each group.
fn pool(
    frame: &mut Frame,
    marks: &mut Marks,
    plan: &ForecastPlan,
    aggregate: Aggregate,
    groups: &[u32],
    firsts: &[u32],
) {
    let n_groups = firsts.len();
    let mean = |values: &[f64]| pooled(values, groups, n_groups, Aggregate::Mean);
    let pool_column = |column: &mut FeatureColumn| match &mut column.values {
        FeatureValues::Number(values) if !column.name.contains(DERIVED) => *values = mean(values),
        FeatureValues::Number(values) => *values = pick(values, firsts),
        FeatureValues::Category { codes, .. } => *codes = pick(codes, firsts),
    };
    frame.columns.iter_mut().for_each(pool_column);
    if let Target::Number(values) = &mut frame.target {
        *values = pooled(values, groups, n_groups, aggregate);
    }
    frame.weights = frame.weights.as_deref().map(mean);
    if let Some(timeline) = &mut frame.timeline {
        timeline.past.iter_mut().for_each(pool_column);
        timeline.series = pick(&timeline.series, firsts);
        let stamps = pick(&timeline.time, firsts).into_iter();
        let binned = stamps.map(|time| plan.step.index(time).map_or(time, |i| plan.step.time(i)));
        timeline.time = binned.collect();
        marks.time = Some(timeline.time.clone());
    }
    frame.n_rows = n_groups;
    marks.series = marks.series.as_deref().map(|series| pick(series, firsts));
    for column in &mut marks.columns {
        *column = pick(column, firsts);
    }
    // Rows to train on come first, and so do their groups.
    marks.n_training =
        marks.n_training.map(|n| firsts.iter().filter(|&&row| row < n).count() as u32);
}

/// One number a group, of those that are not missing.
fn pooled(values: &[f64], groups: &[u32], n_groups: usize, aggregate: Aggregate) -> Vec<f64> {
    let mut pooled = vec![f64::NAN; n_groups];
    let mut counts = vec![0.0_f64; n_groups];
    for (&value, &group) in values.iter().zip(groups).filter(|(value, _)| !value.is_nan()) {
        let group = group as usize;
        counts[group] += 1.0;
        let (so_far, n) = (pooled[group], counts[group]);
        pooled[group] = match aggregate {
            _ if n == 1.0 => value,
            Aggregate::Sum => (so_far + value).clamp(f64::MIN, f64::MAX),
            Aggregate::Max => so_far.max(value),
            Aggregate::Min => so_far.min(value),
            Aggregate::Mean => so_far + (value / n - so_far / n),
        };
    }
    pooled
}

/// The series with fewer different times to learn from than twice the horizon. With `auto` none of
/// them where no series is longer.
fn short_series(
    frame: &Frame,
    marks: &Marks,
    plan: &ForecastPlan,
    handling: ShortSeries,
    horizon: u32,
) -> BTreeSet<u32> {
    let Some(timeline) = &frame.timeline else { return BTreeSet::new() };
    let n_training = marks.n_training.map_or(frame.n_rows, |n| n as usize);
    let mut steps: HashMap<u32, BTreeSet<Option<i64>>> = HashMap::new();
    for (&series, &time) in timeline.series.iter().zip(&timeline.time).take(n_training) {
        steps.entry(series).or_default().insert(plan.step.index(time));
    }
    let least = 2 * horizon as usize;
    let is_short = |steps: &BTreeSet<Option<i64>>| steps.len() < least;
    if handling == ShortSeries::Auto && steps.values().all(is_short) {
        return BTreeSet::new();
    }
    steps.iter().filter(|(_, steps)| is_short(steps)).map(|(series, _)| *series).collect()
}

fn leave_out(frame: &mut Frame, marks: &mut Marks, short: &BTreeSet<u32>) {
    let Some(timeline) = &mut frame.timeline else { return };
    let rows = (0_u32..).zip(&timeline.series);
    let kept: Vec<u32> =
        rows.filter(|(_, series)| !short.contains(series)).map(|(row, _)| row).collect();
    for column in frame.columns.iter_mut().chain(&mut timeline.past) {
        match &mut column.values {
            FeatureValues::Number(values) => *values = pick(values, &kept),
            FeatureValues::Category { codes, .. } => *codes = pick(codes, &kept),
        }
    }
    timeline.time = pick(&timeline.time, &kept);
    timeline.series = pick(&timeline.series, &kept);
    match &mut frame.target {
        Target::Number(values) => *values = pick(values, &kept),
        Target::Class { codes, .. } => *codes = pick(codes, &kept),
        Target::Unknown => {}
    }
    frame.weights = frame.weights.as_deref().map(|weights| pick(weights, &kept));
    frame.n_rows = kept.len();
    marks.time = Some(timeline.time.clone());
    marks.series = marks.series.as_deref().map(|series| pick(series, &kept));
    for column in &mut marks.columns {
        *column = pick(column, &kept);
    }
    marks.n_training = marks.n_training.map(|n| kept.iter().filter(|&&row| row < n).count() as u32);
    marks.n_short = short.len();
}

fn pick<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().filter_map(|&row| values.get(row as usize)).copied().collect()
}

/// Series by name: those of a row whose name is missing have an empty one.
pub(super) fn named(codes: Vec<u32>, names: &mut Vec<String>) -> Vec<u32> {
    if codes.contains(&MISSING) {
        let nameless = names.len() as u32;
        names.push(String::new());
        return codes.into_iter().map(|code| code.min(nameless)).collect();
    }
    codes
}
