//! Series that go on: each with what its method fitted, and the step after which its future begins.
//!
//! A row is predicted by its distance from the end of its series. Rows that are not in the future
//! have the series' last value; those of a series that training did not see, or without a time, the
//! constant model's answer.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::errors::Errors;
use crate::calendar::step::Step;
use crate::frame::Timeline;
use crate::series::decompose::Seasons;
use crate::series::{arima, croston, ets, naive, theta};
use crate::stop::{Stop, Stopped};

/// Nobody looks further ahead: rows behind this have its value.
const MOST_AHEAD: u64 = 100_000;

/// The series of an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forecast {
    pub(crate) step: Step,
    /// By name, in ascending order.
    pub(crate) series: Vec<SeriesForecast>,
    pub(crate) errors: Errors,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeriesForecast {
    pub(crate) name: String,
    /// The step of the last value.
    pub(crate) last: i64,
    /// The last value.
    pub(crate) value: f64,
    pub(crate) fitted: Fitted,
    /// What repeats, where it was taken out before.
    pub(crate) seasons: Option<Seasons>,
}

/// What a method fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Fitted {
    Naive(naive::Fitted),
    Smoothing(ets::Fitted),
    Arima(arima::Fitted),
    Croston(croston::Fitted),
    Theta(theta::Fitted),
}

impl Fitted {
    /// The steps after the series.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        match self {
            Self::Naive(fitted) => fitted.forecast(n_ahead),
            Self::Smoothing(fitted) => fitted.forecast(n_ahead),
            Self::Arima(fitted) => fitted.forecast(n_ahead),
            Self::Croston(fitted) => fitted.forecast(n_ahead),
            Self::Theta(fitted) => fitted.forecast(n_ahead),
        }
    }

    /// The sizes of errors so many steps ahead, in units of one step's, as far as they are finite.
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        match self {
            Self::Naive(fitted) => fitted.growth(n_ahead),
            Self::Smoothing(fitted) => fitted.growth(n_ahead),
            Self::Arima(fitted) => fitted.growth(n_ahead),
            Self::Croston(fitted) => fitted.growth(n_ahead),
            Self::Theta(fitted) => fitted.growth(n_ahead),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Naive(fitted) => fitted.is_sound(),
            Self::Smoothing(fitted) => fitted.is_sound(),
            Self::Arima(fitted) => fitted.is_sound(),
            Self::Croston(fitted) => fitted.is_sound(),
            Self::Theta(fitted) => fitted.is_sound(),
        }
    }
}

impl SeriesForecast {
    fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        if n_ahead == 0 {
            return Vec::new();
        }
        let mut path = self.fitted.forecast(n_ahead);
        if let Some(seasons) = &self.seasons {
            for (value, season) in path.iter_mut().zip(seasons.forecast(n_ahead)) {
                *value = (*value + season).clamp(f64::MIN, f64::MAX);
            }
        }
        path
    }

    fn is_sound(&self) -> bool {
        self.fitted.is_sound() && self.seasons.as_ref().is_none_or(Seasons::is_sound)
    }
}

/// Where a row lies as seen from its series.
#[derive(Clone, Copy)]
enum Place {
    Unknown,
    Past(usize),
    Ahead(usize, usize),
}

impl Forecast {
    /// Predicts some rows; what cannot be told is NaN.
    pub(crate) fn predict(
        &self,
        timeline: &Timeline,
        rows: &[u32],
        out: &mut [f64],
        stop: &Stop,
    ) -> Result<(), Stopped> {
        stop.check()?;
        let places = self.places(timeline, rows);
        let mut furthest = vec![0; self.series.len()];
        for place in &places {
            if let Place::Ahead(series, n_ahead) = *place {
                furthest[series] = n_ahead.max(furthest[series]);
            }
        }
        let mut paths: Vec<Vec<f64>> = Vec::with_capacity(furthest.len());
        for (series, n_ahead) in self.series.iter().zip(furthest) {
            stop.check()?;
            paths.push(series.forecast(n_ahead));
        }
        for (place, out) in places.iter().zip(out) {
            *out = match *place {
                Place::Unknown => f64::NAN,
                Place::Past(series) => self.series[series].value,
                Place::Ahead(series, n_ahead) => {
                    paths[series].get(n_ahead - 1).copied().unwrap_or(f64::NAN)
                }
            };
        }
        Ok(())
    }

    /// How far ahead of its series' end each row lies.
    pub(crate) fn steps_ahead(&self, timeline: &Timeline, rows: &[u32]) -> Vec<Option<u32>> {
        let places = self.places(timeline, rows).into_iter();
        let ahead = places.map(|place| match place {
            Place::Ahead(_, n_ahead) => u32::try_from(n_ahead).ok(),
            Place::Past(_) | Place::Unknown => None,
        });
        ahead.collect()
    }

    /// The mean sizes of errors so many steps ahead, in units of one step's, by what the methods say.
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        let mut mean: Option<Vec<f64>> = None;
        for (before, series) in self.series.iter().enumerate() {
            let sizes = series.fitted.growth(n_ahead);
            let mean = mean.get_or_insert_with(|| sizes.clone());
            mean.truncate(sizes.len());
            for (mean, size) in mean.iter_mut().zip(sizes) {
                *mean += (size - *mean) / (before as f64 + 1.0);
            }
        }
        mean.unwrap_or_default()
    }

    fn places(&self, timeline: &Timeline, rows: &[u32]) -> Vec<Place> {
        let mut known: HashMap<u32, Option<usize>> = HashMap::new();
        rows.iter()
            .map(|&row| {
                let row = row as usize;
                let code = timeline.series.get(row).copied().unwrap_or(u32::MAX);
                let series = *known.entry(code).or_insert_with(|| self.position(timeline, code));
                let index = timeline.time.get(row).and_then(|&time| self.step.index(time));
                match (series, index) {
                    (Some(series), Some(index)) => self.place(series, index),
                    _ => Place::Unknown,
                }
            })
            .collect()
    }

    fn position(&self, timeline: &Timeline, code: u32) -> Option<usize> {
        let name = timeline.names.get(code as usize)?;
        self.series.binary_search_by(|series| series.name.cmp(name)).ok()
    }

    fn place(&self, series: usize, index: i64) -> Place {
        let last = self.series[series].last;
        match index.abs_diff(last) {
            n_ahead if index > last => Place::Ahead(series, n_ahead.min(MOST_AHEAD) as usize),
            _ => Place::Past(series),
        }
    }

    /// Whether stored numbers make forecasts.
    pub(crate) fn is_sound(&self) -> bool {
        self.step.is_sound()
            && self.errors.is_sound()
            && self.series.iter().all(SeriesForecast::is_sound)
    }
}
