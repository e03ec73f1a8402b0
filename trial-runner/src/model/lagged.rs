//! A regressor on the past of a series: lags, rolling windows and differences become columns, and
//! its own forecasts are the past of the steps behind them.
//!
//! Step by step ahead in time, the columns of all series' rows are made, predicted by the model
//! inside, and remembered. A step without a row is remembered as what was one season before it. Rows
//! that are not in the future have the series' last value; of a series that training did not see
//! every lag is missing. Without columns of the past it is the model inside, which any row may ask.
//! What feeds on its own forecasts may run away, so it stays near what was seen: [`Band`].

mod band;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::band::Band;
use super::errors::Errors;
use super::{Answer, Model, PredictError, Predictions};
use crate::calendar::step::Step;
use crate::frame::{DERIVED, FeatureColumn, FeatureValues, Frame, Target, Timeline};
use crate::stop::Stop;

pub(crate) use self::band::KEPT;

/// Nobody looks further ahead.
const MOST_AHEAD: u64 = 100_000;

/// The variant of [`super::Body`] that this is, so that bytes cannot nest one in another.
const OWN_VARIANT: u32 = 8;

/// A regressor on lags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lagged {
    pub(crate) step: Step,
    pub(crate) recipe: Recipe,
    /// By name, in ascending order.
    pub(crate) series: Vec<Tail>,
    pub(crate) errors: Errors,
    #[serde(with = "inside")]
    pub(crate) inner: Box<Model>,
}

/// Which columns are made of the past; the default is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// How far back the nearest value is that a row may know of its target.
    pub(crate) offset: u32,
    /// Lags of the target, counted from the nearest value, which is 1.
    pub(crate) lags: Vec<u32>,
    /// Lengths of windows that end with the nearest value.
    pub(crate) windows: Vec<u32>,
    /// Lags of the columns that are known for the past alone, by name.
    pub(crate) past: Vec<(String, u32)>,
    /// How far back a step lies that stands for one without a row.
    pub(crate) season: u32,
}

/// How a series ended: as much of its past as the recipe needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tail {
    pub(crate) name: String,
    /// The target.
    pub(crate) target: History,
    /// The columns that are known for the past alone, in the recipe's order; behind them the least
    /// and the largest target of the whole series, which older models lack.
    pub(crate) past: Vec<History>,
}

/// Values at successive steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    /// The step of the first value.
    pub(crate) first: i64,
    pub(crate) values: Vec<f64>,
}

impl History {
    /// The step after the last value.
    fn end(&self) -> i64 {
        self.first.saturating_add(self.values.len() as i64)
    }

    fn at(&self, index: i64) -> f64 {
        let position = index.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        position.and_then(|at| self.values.get(at)).copied().unwrap_or(f64::NAN)
    }

    /// The values of `n` steps up to this one, as far as they are there.
    fn window(&self, last: i64, n: u32) -> &[f64] {
        let position = |index: i64| {
            let at = index.saturating_sub(self.first).max(0);
            usize::try_from(at).map_or(self.values.len(), |at| at.min(self.values.len()))
        };
        let begin = position(last.saturating_sub(i64::from(n)).saturating_add(1));
        let end = position(last.saturating_add(1));
        self.values.get(begin..end).unwrap_or_default()
    }

    /// The least and the largest value; none where there is no value.
    fn range(&self) -> Option<(f64, f64)> {
        let known = || self.values.iter().copied().filter(|value| !value.is_nan());
        Some((known().reduce(f64::min)?, known().reduce(f64::max)?))
    }

    /// The least and the largest value, as a tail keeps them.
    pub(crate) fn extremes(&self) -> Self {
        let values = self.range().map_or_else(Vec::new, |(low, high)| vec![low, high]);
        Self { first: self.first, values }
    }

    /// The same with no more than the last values.
    pub(crate) fn shorten(mut self, n_values: usize) -> Self {
        let n_gone = self.values.len().saturating_sub(n_values);
        self.values.drain(..n_gone);
        Self { first: self.first.saturating_add(n_gone as i64), values: self.values }
    }
}

impl Tail {
    /// The least and the largest target, of the whole series where that was kept.
    fn range(&self, recipe: &Recipe) -> Option<(f64, f64)> {
        let whole = self.past.get(recipe.past.len()).and_then(History::range);
        whole.or_else(|| self.target.range())
    }
}

impl Recipe {
    fn is_empty(&self) -> bool {
        self.lags.is_empty() && self.windows.is_empty() && self.past.is_empty()
    }

    /// The names of the columns, which no column of a file has.
    pub(crate) fn names(&self) -> Vec<String> {
        self.named(0)
    }

    /// The same for people, to whom a lag counts from the row.
    pub(crate) fn readable_names(&self) -> Vec<String> {
        self.named(self.offset.saturating_sub(1))
    }

    fn named(&self, n_before: u32) -> Vec<String> {
        let lags = self.lags.iter().map(|lag| lag.saturating_add(n_before));
        let mut names: Vec<String> = lags.map(|lag| format!("target{DERIVED}lag_{lag}")).collect();
        if !self.lags.is_empty() {
            names.push(format!("target{DERIVED}difference"));
        }
        for window in &self.windows {
            for what in ["mean", "min", "max", "deviation"] {
                names.push(format!("target{DERIVED}{what}_{window}"));
            }
        }
        names.extend(self.past.iter().map(|(name, lag)| format!("{name}{DERIVED}lag_{lag}")));
        names
    }

    /// How many values of the past it needs.
    pub(crate) fn reach(&self) -> usize {
        let furthest = self.lags.iter().chain(&self.windows).copied().max().unwrap_or(1);
        let own = u64::from(furthest) + u64::from(self.offset) + 1;
        let past = self.past.iter().map(|(_, lag)| u64::from(*lag) + 1).max().unwrap_or(0);
        own.max(past).max(u64::from(self.season) + 1) as usize
    }

    /// The columns' values at a step, in the order of the names.
    pub(crate) fn write(&self, target: &History, past: &[History], index: i64, out: &mut Vec<f64>) {
        out.clear();
        let nearest = index.saturating_sub(i64::from(self.offset));
        let lag = |lag: u32| target.at(nearest.saturating_sub(i64::from(lag) - 1));
        out.extend(self.lags.iter().map(|&each| lag(each)));
        if !self.lags.is_empty() {
            out.push(lag(1) - lag(2));
        }
        for &window in &self.windows {
            out.extend(summary(target.window(nearest, window)));
        }
        for (position, (_, lag)) in self.past.iter().enumerate() {
            let value =
                past.get(position).map(|past| past.at(index.saturating_sub(i64::from(*lag))));
            out.push(value.unwrap_or(f64::NAN));
        }
    }
}

/// Mean, least, most and standard deviation; missing where there is no value.
fn summary(values: &[f64]) -> [f64; 4] {
    if values.is_empty() {
        return [f64::NAN; 4];
    }
    let n = values.len() as f64;
    let mean = values.iter().map(|value| value / n).sum::<f64>();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let variance = values.iter().map(|value| (value - mean).powi(2) / n).sum::<f64>();
    [mean, least, most, variance.sqrt().min(f64::MAX)]
}

/// A series being forecast.
struct Going {
    target: History,
    past: Vec<History>,
    /// The step after training.
    future: i64,
    last_value: f64,
    /// The least and the largest value that were seen.
    range: Option<(f64, f64)>,
}

impl Lagged {
    /// Predicts some rows; what cannot be told is NaN.
    pub(crate) fn predict(
        &self,
        frame: &Frame,
        rows: &[u32],
        out: &mut [f64],
        stop: &Stop,
    ) -> Result<(), PredictError> {
        if self.recipe.is_empty() {
            if let Predictions::Numbers(found) = self.inner.predict_until(frame, rows, stop)? {
                out.copy_from_slice(&found);
            }
            return Ok(());
        }
        let timeline = frame.timeline.as_ref().ok_or(PredictError::NoTime)?;
        let mut going = self.going(frame, timeline, rows);
        let mut by_step: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for ((position, &row), out) in (0_u32..).zip(rows).zip(out.iter_mut()) {
            let time = timeline.time.get(row as usize);
            let index = time.and_then(|&time| self.step.index(time));
            let code = timeline.series.get(row as usize).copied().unwrap_or(u32::MAX);
            match (index, going.get(&code)) {
                (Some(index), Some(Some(own))) if index < own.future => *out = own.last_value,
                (Some(index), Some(Some(own))) if index.abs_diff(own.future) > MOST_AHEAD => {
                    *out = f64::NAN;
                }
                (Some(index), _) => by_step.entry(index).or_default().push(position),
                (None, _) => *out = f64::NAN,
            }
        }
        let band = Band::of(&self.recipe, &self.series, &self.inner.body);
        let first_own = frame.columns.len();
        let mut wide = self.widened(frame, rows);
        let mut cells = Vec::new();
        for (index, positions) in by_step {
            let codes = || {
                let rows = positions.iter().map(|&position| rows[position as usize]);
                rows.map(|row| timeline.series.get(row as usize).copied().unwrap_or(u32::MAX))
            };
            for (&position, code) in positions.iter().zip(codes()) {
                let Some(Some(own)) = going.get_mut(&code) else { continue };
                own.reach(index, self.recipe.season);
                self.recipe.write(&own.target, &own.past, index, &mut cells);
                for (column, &cell) in wide.columns[first_own..].iter_mut().zip(&cells) {
                    if let FeatureValues::Number(values) = &mut column.values {
                        values[position as usize] = cell;
                    }
                }
            }
            let found = self.inner.predict_until(&wide, &positions, stop)?;
            let Predictions::Numbers(mut found) = found else { continue };
            for (value, code) in found.iter_mut().zip(codes()) {
                let own = going.get(&code).and_then(Option::as_ref);
                if let (Some(band), Some(own)) = (band, own)
                    && let Some(range) = own.range
                {
                    let n_free = u64::from(self.recipe.offset.max(1)) - 1;
                    let n_before = index.abs_diff(own.future).saturating_sub(n_free);
                    *value = band.hold(*value, range, n_before);
                }
            }
            // Rows of one step are one, as they were in training.
            let mut means: HashMap<u32, (f64, f64)> = HashMap::new();
            for ((&position, code), value) in positions.iter().zip(codes()).zip(found) {
                out[position as usize] = value;
                let (mean, n) = means.entry(code).or_insert((0.0, 0.0));
                *n += 1.0;
                *mean += value / *n - *mean / *n;
            }
            for (code, (mean, _)) in means {
                if let Some(Some(own)) = going.get_mut(&code) {
                    own.target.values.push(mean);
                }
            }
        }
        Ok(())
    }

    /// The rows alone, with room for the columns of the past.
    fn widened(&self, frame: &Frame, rows: &[u32]) -> Frame {
        let own = frame.columns.iter().map(|column| FeatureColumn {
            name: Arc::clone(&column.name),
            values: match &column.values {
                FeatureValues::Number(values) => {
                    FeatureValues::Number(rows.iter().map(|&row| values[row as usize]).collect())
                }
                FeatureValues::Category { codes, levels } => FeatureValues::Category {
                    codes: rows.iter().map(|&row| codes[row as usize]).collect(),
                    levels: Arc::clone(levels),
                },
            },
        });
        let of_past = self.recipe.names().into_iter().map(|name| FeatureColumn {
            name: name.into(),
            values: FeatureValues::Number(vec![f64::NAN; rows.len()]),
        });
        Frame {
            columns: own.chain(of_past).collect(),
            target: Target::Unknown,
            weights: None,
            timeline: None,
            n_rows: rows.len(),
        }
    }

    /// Whether a row without a time has no prediction.
    pub(crate) fn needs_time(&self) -> bool {
        !self.recipe.is_empty()
    }

    /// How far ahead of its series' end each row lies.
    pub(crate) fn steps_ahead(&self, timeline: &Timeline, rows: &[u32]) -> Vec<Option<u32>> {
        let mut ends: HashMap<u32, Option<i64>> = HashMap::new();
        let ahead = rows.iter().map(|&row| {
            let code = *timeline.series.get(row as usize)?;
            let index = self.step.index(*timeline.time.get(row as usize)?)?;
            let end = ends
                .entry(code)
                .or_insert_with(|| self.tail(timeline, code).map(|tail| tail.target.end()));
            let end = (*end)?;
            (index >= end).then(|| u32::try_from(index.abs_diff(end) + 1).ok())?
        });
        ahead.collect()
    }

    fn tail(&self, timeline: &Timeline, code: u32) -> Option<&Tail> {
        let name = timeline.names.get(code as usize)?;
        let at = self.series.binary_search_by(|series| series.name.cmp(name)).ok()?;
        self.series.get(at)
    }

    fn going(
        &self,
        frame: &Frame,
        timeline: &Timeline,
        rows: &[u32],
    ) -> HashMap<u32, Option<Going>> {
        let mut all = HashMap::new();
        for &row in rows {
            let Some(&code) = timeline.series.get(row as usize) else { continue };
            // None where training did not see it.
            all.entry(code).or_insert_with(|| {
                let tail = self.tail(timeline, code)?;
                Some(Going {
                    target: tail.target.clone(),
                    past: self.with_later(tail, frame, timeline, code),
                    future: tail.target.end(),
                    last_value: tail.target.values.last().copied().unwrap_or(f64::NAN),
                    range: tail.range(&self.recipe),
                })
            });
        }
        all
    }

    /// The columns of the past, with what the rows themselves say of them.
    fn with_later(
        &self,
        tail: &Tail,
        frame: &Frame,
        timeline: &Timeline,
        code: u32,
    ) -> Vec<History> {
        let mut past = tail.past.clone();
        for ((name, _), history) in self.recipe.past.iter().zip(&mut past) {
            let Some(values) = numbers(frame, timeline, name) else { continue };
            let mut later: BTreeMap<i64, f64> = BTreeMap::new();
            for ((&series, &time), &value) in timeline.series.iter().zip(&timeline.time).zip(values)
            {
                let index = self.step.index(time);
                if let (true, false, Some(index)) = (series == code, value.is_nan(), index) {
                    later.insert(index, value);
                }
            }
            for (index, value) in later.range(history.end()..) {
                if index.abs_diff(history.end()) > MOST_AHEAD {
                    break;
                }
                while history.end() < *index {
                    history.values.push(f64::NAN);
                }
                history.values.push(*value);
            }
        }
        past
    }

    /// Whether stored numbers predict.
    pub(crate) fn is_sound(&self) -> bool {
        self.step.is_sound()
            && self.errors.is_sound()
            && matches!(self.inner.answer, Answer::Number { .. })
            && self.inner.is_sound()
    }
}

/// A column of numbers, known for the past alone or always.
pub(crate) fn numbers<'a>(
    frame: &'a Frame,
    timeline: &'a Timeline,
    name: &str,
) -> Option<&'a [f64]> {
    let mut columns = timeline.past.iter().chain(&frame.columns);
    match &columns.find(|column| *column.name == *name)?.values {
        FeatureValues::Number(values) => Some(values),
        FeatureValues::Category { .. } => None,
    }
}

impl Going {
    /// Goes on until the step before this one.
    fn reach(&mut self, index: i64, season: u32) {
        while self.target.end() < index {
            let ago = self.target.end().saturating_sub(i64::from(season.max(1)));
            let season_ago = self.target.at(ago);
            let last = self.target.values.last().copied().unwrap_or(f64::NAN);
            self.target.values.push(if season_ago.is_nan() { last } else { season_ago });
        }
    }
}

/// The model inside, which is none of this kind.
mod inside {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Answer, Model, OWN_VARIANT};

    pub(super) fn serialize<S: Serializer>(model: &Model, to: S) -> Result<S::Ok, S::Error> {
        // Plain numbers and words always serialise into memory.
        postcard::to_stdvec(model).unwrap_or_default().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Box<Model>, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        let damaged = |_| D::Error::custom("the model inside is damaged");
        let ((_, variant), _) =
            postcard::take_from_bytes::<(Answer, u32)>(&bytes).map_err(damaged)?;
        if variant == OWN_VARIANT {
            return Err(D::Error::custom("a model on lags is inside another"));
        }
        postcard::from_bytes(&bytes).map(Box::new).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Body;

    fn recipe() -> Recipe {
        Recipe { offset: 1, lags: vec![1, 3], windows: vec![2], past: Vec::new(), season: 1 }
    }

    #[test]
    fn columns_look_back_and_never_ahead() {
        let target = History { first: 10, values: vec![1.0, 2.0, 4.0, 8.0] };
        let mut cells = Vec::new();
        recipe().write(&target, &[], 13, &mut cells);
        // Lag 1, lag 3, the difference of the last two, and the window's four.
        assert_eq!(cells, [4.0, 1.0, 2.0, 3.0, 2.0, 4.0, 1.0]);
        assert_eq!(cells.len(), recipe().names().len());
        let direct = Recipe { offset: 3, ..recipe() };
        direct.write(&target, &[], 14, &mut cells);
        assert_eq!((cells[0], cells[3]), (2.0, 1.5));
        assert!(cells[1].is_nan());
        recipe().write(&History::default(), &[], i64::MIN, &mut cells);
        assert!(cells.iter().all(|cell| cell.is_nan()));
    }

    #[test]
    fn one_is_never_inside_another() {
        let constant = Model::constant(Answer::Number { fallback: 1.0 });
        let around = |inner: Model| Model {
            answer: Answer::Number { fallback: 1.0 },
            body: Body::Lagged(Lagged {
                step: Step::nearest(0.0, 1.0),
                recipe: recipe(),
                series: Vec::new(),
                errors: Errors::default(),
                inner: Box::new(inner),
            }),
        };
        let once = around(constant);
        assert_eq!(Model::from_bytes(&once.to_bytes()), Ok(once.clone()));
        assert!(Model::from_bytes(&around(once).to_bytes()).is_err());
    }
}
