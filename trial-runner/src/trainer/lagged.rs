//! Any regressor on series, with their past as columns where the job asks for it.
//!
//! Lags are filled with the last value before where a step has no row, so that no column knows what
//! comes. With the direct strategy every lag is known for the whole horizon, and all configurations
//! are tried at once on the wider frame; the recursive one predicts step by step.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fleetfit_search_spaces::Configuration;
use fleetfit_search_spaces::data::{Steps, Strategy};

use super::forecast::{regular, timeline};
use super::laid_out::LaidOut;
use super::lesson::Lesson;
use super::trials::{Hear, Heard, Trials};
use super::{Fit, FitError, Trainer};
use crate::folds::Fold;
use crate::frame::{DERIVED, FeatureColumn, FeatureValues, ForecastPlan, Frame, Target, Timeline};
use crate::model::errors::Errors;
use crate::model::lagged::{History, KEPT, Lagged as Body, Recipe, Tail, numbers};
use crate::model::{Answer, Body as Any, Model, PredictError};
use crate::series::regular::Fill;
use crate::stop::{Pace, Stop};

/// A regressor on series.
#[derive(Clone, Copy)]
pub struct Lagged {
    /// The regressor.
    pub(super) inner: &'static dyn Trainer,
}

/// Values that differ by a smaller share of their series' size are the same but for rounding.
const ROUNDING: f64 = 1e-12;

/// Lags where the job says `auto`, besides those of a season.
const NEAR: Range<u32> = 1..4;

/// A frame with the columns of the past.
struct Wide {
    frame: Frame,
    recipe: Recipe,
    plan: Arc<ForecastPlan>,
}

impl Trainer for Lagged {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let (timeline, plan) = timeline(job, "a regressor on lags")?;
        if plan.wants_past() {
            return self.fit_wide(job, &Wide::of(job)?);
        }
        let inner = self.inner.fit(job)?;
        let answer = inner.answer.clone();
        let series = ends(job, timeline, plan);
        Ok(around(inner, answer, series, plan, Recipe::default()))
    }

    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        let plan = trials.frame.timeline.as_ref().and_then(|timeline| timeline.plan.as_ref());
        if plan.is_some_and(|plan| !plan.wants_past()) {
            return self.inner.try_all(trials, hear);
        }
        let nothing = Configuration::default();
        let stop = trials.begin();
        let job = Fit { stop: &stop, ..frame_of(trials, &nothing) };
        let wide = match Wide::of(&job) {
            Ok(wide) => wide,
            Err(error) => {
                for candidate in 0..trials.candidates.len() {
                    hear(Heard { candidate, fold: trials.n_behind, answer: Err(error.clone()) });
                }
                return;
            }
        };
        if wide.knows_all(trials.folds) {
            return self.inner.try_all(&wide.on(trials.folds).trials(trials), hear);
        }
        for (index, candidate) in trials.candidates.iter().enumerate() {
            for (number, fold) in trials.folds.iter().enumerate().skip(trials.n_behind) {
                let stop = trials.begin();
                let job = Fit {
                    rows: &fold.train,
                    parameters: candidate.parameters,
                    seed: candidate.seed_of(number),
                    stop: &stop,
                    ..job
                };
                let predictions = self
                    .fit_wide(&job, &wide)
                    .and_then(|model| predict(&model, trials.frame, &fold.validate, &stop));
                let answer = match &predictions {
                    Ok(predictions) => Ok(predictions.lend()),
                    Err(error) => Err(error.clone()),
                };
                if !hear(Heard { candidate: index, fold: number, answer }) {
                    break;
                }
            }
        }
    }
}

/// A frame to be widened: no rows are learnt from yet.
fn frame_of<'a>(trials: &Trials<'a>, nothing: &'a Configuration) -> Fit<'a> {
    let Trials { frame, stop, spare, .. } = *trials;
    Fit { frame, rows: &[], parameters: nothing, seed: 0, stop, spare }
}

/// A wider frame of which every row knows all of its past, so that the regressor itself is tried.
pub(crate) struct Widened {
    frame: Frame,
    folds: Vec<Fold>,
    laid_out: LaidOut,
}

impl Widened {
    /// None where the regressor is tried on the rows as they are, or step by step.
    pub(super) fn of(trials: &Trials<'_>) -> Option<Self> {
        let plan = trials.frame.timeline.as_ref()?.plan.as_ref()?;
        let is_direct = plan.wants_past() && plan.settings.strategy == Strategy::Direct;
        let nothing = Configuration::default();
        let stop = trials.begin();
        let job = Fit { stop: &stop, ..frame_of(trials, &nothing) };
        let wide = is_direct.then(|| Wide::of(&job).ok())??;
        wide.knows_all(trials.folds).then(|| wide.on(trials.folds))
    }

    /// The same trials on it.
    pub(crate) fn trials<'a>(&'a self, trials: &Trials<'a>) -> Trials<'a> {
        let Self { frame, folds, laid_out } = self;
        Trials { frame, folds, laid_out, ..*trials }
    }
}

fn predict(
    model: &Model,
    frame: &Frame,
    rows: &[u32],
    stop: &Stop,
) -> Result<crate::model::Predictions, FitError> {
    model.predict_until(frame, rows, stop).map_err(|error| match error {
        PredictError::Stopped(stopped) => FitError::Stopped(stopped),
        other => FitError::because(other.to_string()),
    })
}

impl Lagged {
    fn fit_wide(&self, job: &Fit<'_>, wide: &Wide) -> Result<Model, FitError> {
        let rows = wide.with_a_past(job.rows);
        let inner = self.inner.fit(&Fit { frame: &wide.frame, rows: &rows, ..*job })?;
        let answer = Lesson::read(job)?.answer();
        let (timeline, _) = timeline(job, "a regressor on lags")?;
        let Target::Number(y) = &job.frame.target else {
            return Err(FitError::because("lags are of numbers, but the target is a class"));
        };
        let n_values = wide.recipe.reach();
        let mut series = Vec::new();
        for (code, rows) in of_series(timeline, job.rows) {
            let history = |values: &[f64]| history(timeline, &rows, values, &wide.plan);
            let mut past = Vec::new();
            for (name, _) in &wide.recipe.past {
                past.push(match numbers(job.frame, timeline, name) {
                    Some(values) => history(values)?.shorten(n_values),
                    None => History::default(),
                });
            }
            let target = history(y)?;
            past.push(target.extremes());
            series.push(Tail {
                name: timeline.names.get(code as usize).cloned().unwrap_or_default(),
                target: target.shorten(n_values.max(KEPT)),
                past,
            });
        }
        Ok(around(inner, answer, series, &wide.plan, wide.recipe.clone()))
    }
}

/// The model that is made of all parts.
fn around(
    inner: Model,
    answer: Answer,
    mut series: Vec<Tail>,
    plan: &ForecastPlan,
    recipe: Recipe,
) -> Model {
    series.sort_by(|a, b| a.name.cmp(&b.name));
    let (errors, inner) = (Errors::default(), Box::new(inner));
    Model { answer, body: Any::Lagged(Body { step: plan.step, recipe, series, errors, inner }) }
}

/// Where each series ends.
fn ends(job: &Fit<'_>, timeline: &Timeline, plan: &ForecastPlan) -> Vec<Tail> {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for &row in job.rows {
        let row = row as usize;
        let code = timeline.series.get(row).copied().unwrap_or_default();
        let index = timeline.time.get(row).and_then(|&time| plan.step.index(time));
        if let (Some(name), Some(index)) = (timeline.names.get(code as usize), index) {
            let end = last.entry(name).or_insert(index);
            *end = index.max(*end);
        }
    }
    let tail = |(name, index): (&str, i64)| Tail {
        name: name.to_owned(),
        // Nobody asks for the value.
        target: History { first: index, values: vec![0.0] },
        past: Vec::new(),
    };
    last.into_iter().map(tail).collect()
}

impl Wide {
    fn of(job: &Fit<'_>) -> Result<Self, FitError> {
        let (timeline, plan) = timeline(job, "a regressor on lags")?;
        let Target::Number(y) = &job.frame.target else {
            return Err(FitError::because("lags are of numbers, but the target is a class"));
        };
        let all: Vec<u32> = (0_u32..).take(job.frame.n_rows).collect();
        let of_series = of_series(timeline, &all);
        let mut histories = BTreeMap::new();
        for (&code, rows) in &of_series {
            histories.insert(code, history(timeline, rows, y, plan)?);
        }
        let n_steps = histories.values().map(|history| history.values.len()).max().unwrap_or(0);
        let recipe = recipe(job.frame, timeline, plan, n_steps);
        let names = recipe.names();
        let mut columns = vec![vec![f64::NAN; job.frame.n_rows]; names.len()];
        let mut cells = Vec::new();
        for (code, rows) in &of_series {
            job.stop.check()?;
            let mut past = Vec::new();
            for (name, _) in &recipe.past {
                past.push(match numbers(job.frame, timeline, name) {
                    Some(values) => history(timeline, rows, values, plan)?,
                    None => History::default(),
                });
            }
            let Some(target) = histories.get(code) else { continue };
            let mut pace = Pace::of(job.stop);
            let n_read: usize = recipe.windows.iter().map(|&window| 4 * window as usize).sum();
            for &row in rows {
                pace.go(n_read + 1)?;
                let Some(index) = plan.step.index(timeline.time[row as usize]) else { continue };
                recipe.write(target, &past, index, &mut cells);
                for (column, &cell) in columns.iter_mut().zip(&cells) {
                    column[row as usize] = cell;
                }
            }
        }
        columns.iter_mut().for_each(|column| level(column, y));
        let mut frame = job.frame.clone();
        frame.columns.extend(names.into_iter().zip(columns).map(|(name, values)| FeatureColumn {
            name: name.into(),
            values: FeatureValues::Number(values),
        }));
        Ok(Self { frame, recipe, plan: Arc::clone(plan) })
    }

    /// The rows whose whole past is known, where that is most of them.
    fn with_a_past(&self, rows: &[u32]) -> Vec<u32> {
        let n_own = self.recipe.lags.len();
        let first = self.frame.columns.len() - self.recipe.names().len();
        let lags = &self.frame.columns[first..first + n_own];
        let is_known = |row: &&u32| {
            lags.iter().all(|column| match &column.values {
                FeatureValues::Number(values) => {
                    values.get(**row as usize).is_some_and(|value| !value.is_nan())
                }
                FeatureValues::Category { .. } => true,
            })
        };
        let known: Vec<u32> = rows.iter().filter(is_known).copied().collect();
        if known.len() * 2 >= rows.len() { known } else { rows.to_vec() }
    }

    /// With the rows of these folds that have a past.
    fn on(self, folds: &[Fold]) -> Widened {
        let complete = |fold: &Fold| Fold {
            train: self.with_a_past(&fold.train),
            validate: fold.validate.clone(),
        };
        let folds = folds.iter().map(complete).collect();
        Widened { frame: self.frame, folds, laid_out: LaidOut::default() }
    }

    /// Whether every row that is validated on lies so near to what was learnt from that no column
    /// of it knows more than that.
    fn knows_all(&self, folds: &[Fold]) -> bool {
        let Some(timeline) = &self.frame.timeline else { return false };
        let steps = |rows: &[u32]| {
            let mut ends: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
            for &row in rows {
                let row = row as usize;
                let Some(index) = self.plan.step.index(timeline.time[row]) else { continue };
                let (least, most) = ends.entry(timeline.series[row]).or_insert((index, index));
                (*least, *most) = (index.min(*least), index.max(*most));
            }
            ends
        };
        self.plan.settings.strategy == Strategy::Direct
            && folds.iter().all(|fold| {
                let (train, validate) = (steps(&fold.train), steps(&fold.validate));
                validate.iter().all(|(series, (least, most))| {
                    train.get(series).is_some_and(|(_, end)| {
                        *least > *end && most.abs_diff(*end) <= u64::from(self.recipe.offset)
                    })
                })
            })
    }
}

/// The differences of a line are all the same, but for the rounding of the numbers they are taken of.
/// What is learnt from that rounding is let loose by the first forecast that is a little off.
fn level(column: &mut [f64], y: &[f64]) {
    let known = || column.iter().copied().filter(|value| !value.is_nan());
    let (least, most) =
        (known().fold(f64::INFINITY, f64::min), known().fold(-f64::INFINITY, f64::max));
    let size =
        y.iter().map(|value| value.abs()).filter(|size| size.is_finite()).fold(0.0, f64::max);
    if most - least <= ROUNDING * size {
        column.iter_mut().filter(|value| !value.is_nan()).for_each(|value| *value = least);
    }
}

/// The rows of each series.
fn of_series(timeline: &Timeline, rows: &[u32]) -> BTreeMap<u32, Vec<u32>> {
    let mut of_series: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for &row in rows {
        if let Some(&code) = timeline.series.get(row as usize) {
            of_series.entry(code).or_default().push(row);
        }
    }
    of_series
}

/// A column of some rows of one series, without gaps and without knowledge of what comes.
fn history(
    timeline: &Timeline,
    rows: &[u32],
    values: &[f64],
    plan: &ForecastPlan,
) -> Result<History, FitError> {
    let known = rows.iter().filter_map(|&row| {
        let index = plan.step.index(*timeline.time.get(row as usize)?)?;
        let value = *values.get(row as usize)?;
        (!value.is_nan()).then_some((index, value))
    });
    let found = regular(known.collect(), Fill::Last, plan)?;
    Ok(found.map_or_else(History::default, |regular| History {
        first: regular.first,
        values: regular.values,
    }))
}

/// What the job asks for, in an entity whose longest series has so many steps.
fn recipe(frame: &Frame, timeline: &Timeline, plan: &ForecastPlan, n_steps: usize) -> Recipe {
    let settings = &plan.settings;
    let season = u32::try_from(plan.season).unwrap_or(1);
    let ahead = settings.horizon.unwrap_or_else(|| (n_steps / 10).max(1) as u32);
    let ahead = ahead.saturating_add(settings.gap);
    let room = (n_steps / 3).max(1);
    let fits = |steps: &u32| *steps as usize <= room;
    let lags = match &settings.target_lags {
        None => Vec::new(),
        Some(Steps::These(lags)) => lags.clone(),
        Some(Steps::Auto) => {
            let seasonal = [season, season.saturating_mul(2)].into_iter().filter(|&s| s > 3);
            NEAR.chain(seasonal).filter(fits).collect()
        }
    };
    let windows = match &settings.rolling_window {
        None => Vec::new(),
        Some(Steps::These(windows)) => windows.clone(),
        Some(Steps::Auto) => vec![if season > 1 { season } else { 3 }],
    };
    let mut past = Vec::new();
    if settings.feature_lags {
        // What is known for the past alone is known as far ahead as the horizon.
        past.extend(timeline.past.iter().map(|column| (column.name.to_string(), ahead.max(1))));
        let known = frame.columns.iter().filter(|column| {
            matches!(column.values, FeatureValues::Number(_)) && !column.name.contains(DERIVED)
        });
        past.extend(known.map(|column| (column.name.to_string(), 1)));
    }
    let offset = match settings.strategy {
        Strategy::Recursive => 1,
        Strategy::Direct => ahead.max(1),
    };
    let known = |lag: u32| known_lag(lag, offset, season);
    Recipe {
        offset,
        // They count from the nearest value that is known.
        lags: distinct(
            lags.into_iter().map(|lag| known(lag).map_or(0, |lag| lag - offset + 1)).collect(),
        ),
        windows: distinct(windows),
        past,
        season,
    }
}

/// The lag that stands for one, where nothing nearer than `nearest` is known: itself where it is known,
/// one of whole seasons the same number of steps into a season, any other as far behind the nearest.
fn known_lag(lag: u32, nearest: u32, season: u32) -> Option<u32> {
    match lag {
        0 => None,
        _ if lag >= nearest => Some(lag),
        _ if season > 1 && lag.is_multiple_of(season) => {
            nearest.div_ceil(season).checked_mul(season)
        }
        _ => lag.checked_add(nearest - 1),
    }
}

fn distinct(mut steps: Vec<u32>) -> Vec<u32> {
    steps.retain(|&steps| steps > 0);
    steps.sort_unstable();
    steps.dedup();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_that_is_known_stays_itself() {
        // One step ahead all are known; five steps ahead of a week those of five steps and more.
        assert_eq!([1, 3, 7].map(|lag| known_lag(lag, 1, 7)), [Some(1), Some(3), Some(7)]);
        assert_eq!([1, 3, 5, 7].map(|lag| known_lag(lag, 5, 7)), [5, 7, 5, 7].map(Some));
        assert_eq!([1, 7, 14, 21].map(|lag| known_lag(lag, 15, 7)), [15, 21, 21, 21].map(Some));
        assert_eq!([0, u32::MAX].map(|lag| known_lag(lag, 5, 1)), [None, Some(u32::MAX)]);
        assert_eq!(known_lag(7, u32::MAX, 7), None);
    }
}
