//! Learners that forecast a series from its own past: each series of an entity is fitted by itself.
//!
//! The methods know nothing of rows: here rows become a series without gaps (`series/regular.rs`),
//! and a configuration becomes a method's settings. See `model/forecast.rs` for what is predicted.

mod ahead;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetfit_search_spaces::data::Stl;

use super::lesson::Lesson;
use super::parameters::{Parameters, wrong};
use super::{Fit, FitError, Trainer};
use crate::frame::{ForecastPlan, Timeline};
use crate::model::errors::Errors;
use crate::model::forecast::{Fitted, Forecast, SeriesForecast};
use crate::model::{Answer, Body, Model};
use crate::series::decompose::{Seasons, Weights, decompose};
use crate::series::ets::{Component, ErrorForm};
use crate::series::regular::{Fill, Regular};
use crate::series::{arima, croston, ets, naive, theta};
use crate::stop::Stop;

pub(super) use ahead::ask;

/// The last value.
pub(super) struct Naive;
/// The value one season ago.
pub(super) struct SeasonalNaive;
/// The line through the first and the last value.
pub(super) struct Drift;
/// The mean.
pub(super) struct Average;
/// Exponential smoothing.
pub(super) struct ExponentialSmoothing;
/// The theta method.
pub(super) struct Theta;
/// Seasonal ARIMA.
pub(super) struct Arima;
/// Intermittent demand.
pub(super) struct Croston;

/// A method with its settings.
enum Method {
    Naive(naive::Settings),
    Smoothing(ets::Settings),
    Theta(theta::Settings),
    Arima(arima::Settings),
    Croston(croston::Settings),
}

impl Method {
    fn fit(&self, y: &[f64], season: usize, stop: &Stop) -> Result<Fitted, FitError> {
        Ok(match self {
            Self::Naive(settings) => Fitted::Naive(naive::fit(y, season, settings, stop)?),
            Self::Smoothing(settings) => Fitted::Smoothing(ets::fit(y, season, settings, stop)?),
            Self::Theta(settings) => Fitted::Theta(theta::fit(y, season, settings, stop)?),
            Self::Arima(settings) => Fitted::Arima(arima::fit(y, season, settings, stop)?),
            Self::Croston(settings) => Fitted::Croston(croston::fit(y, season, settings, stop)?),
        })
    }
}

impl Trainer for Naive {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        each_series(job, "naive", None, &simple(naive::Method::Naive))
    }
}

impl Trainer for SeasonalNaive {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let season = season_length(job)?;
        each_series(job, "seasonal_naive", season, &simple(naive::Method::SeasonalNaive))
    }
}

impl Trainer for Drift {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        each_series(job, "drift", None, &simple(naive::Method::Drift))
    }
}

impl Trainer for Average {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        each_series(job, "average", None, &simple(naive::Method::Average))
    }
}

impl Trainer for ExponentialSmoothing {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let settings = smoothing(&Parameters(job.parameters))?;
        let season = season_length(job)?;
        each_series(job, "exponential_smoothing", season, &Method::Smoothing(settings))
    }
}

impl Trainer for Theta {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let settings = curves(&Parameters(job.parameters))?;
        each_series(job, "theta", season_length(job)?, &Method::Theta(settings))
    }
}

impl Trainer for Arima {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let parameters = Parameters(job.parameters);
        let order = |name| parameters.optional_count(name, 0);
        let settings = arima::Settings {
            ar: order("p")?,
            differences: order("d")?,
            ma: order("q")?,
            seasonal_ar: order("P")?,
            seasonal_differences: order("D")?,
            seasonal_ma: order("Q")?,
        };
        each_series(job, "arima", season_length(job)?, &Method::Arima(settings))
    }
}

impl Trainer for Croston {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let parameters = Parameters(job.parameters);
        let variant = match parameters.word("variant", &["sba", "classic", "tsb"])? {
            "classic" => croston::Variant::Classic,
            "tsb" => croston::Variant::Tsb,
            _ => croston::Variant::Sba,
        };
        let share = |name: &str, default: Option<f64>| match parameters.get(name)? {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(share) if share > 0.0 && share <= 1.0 => Ok(Some(share)),
                None if name == "alpha" && value.to_string() == "auto" => Ok(None),
                _ => Err(wrong(name, value, "a number above 0 and at most 1")),
            },
        };
        let settings = croston::Settings {
            variant,
            alpha: share("alpha", Some(0.1))?,
            beta: share("beta", None)?,
        };
        each_series(job, "croston", None, &Method::Croston(settings))
    }
}

/// What a configuration asks of exponential smoothing.
fn smoothing(parameters: &Parameters<'_>) -> Result<ets::Settings, FitError> {
    const FORMS: [&str; 4] = ["auto", "none", "add", "mul"];
    let component = |name: &str| -> Result<Option<Component>, FitError> {
        // The word none is a form here, not what was left out.
        Ok(match parameters.exact_word(name, &FORMS)? {
            "none" => Some(Component::None),
            "add" => Some(Component::Add),
            "mul" => Some(Component::Mul),
            _ => None,
        })
    };
    Ok(ets::Settings {
        error: match parameters.word("error", &["auto", "add", "mul"])? {
            "add" => Some(ErrorForm::Add),
            "mul" => Some(ErrorForm::Mul),
            _ => None,
        },
        trend: component("trend")?,
        seasonal: component("seasonal")?,
        damped: match parameters.get("damped")? {
            Some(_) => Some(parameters.flag("damped", false)?),
            None => None,
        },
    })
}

/// What a configuration asks of the theta method.
fn curves(parameters: &Parameters<'_>) -> Result<theta::Settings, FitError> {
    let curvature = match parameters.get("theta")? {
        None => theta::Theta::Fixed(2.0),
        Some(value) => match (value.as_f64(), value.to_string().as_str()) {
            (Some(curvature), _) if curvature.is_finite() && curvature >= 1.0 => {
                theta::Theta::Fixed(curvature)
            }
            (None, "optimized") => theta::Theta::Optimized,
            (None, "auto") => theta::Theta::Auto,
            _ => {
                let allowed = "a number of at least 1, optimized or auto";
                return Err(wrong("theta", value, allowed));
            }
        },
    };
    let dynamic = parameters.flag("dynamic", false)?;
    Ok(theta::Settings { theta: curvature, dynamic })
}

fn simple(method: naive::Method) -> Method {
    Method::Naive(naive::Settings { method })
}

fn season_length(job: &Fit<'_>) -> Result<Option<usize>, FitError> {
    Parameters(job.parameters).optional_count("season_length", 1)
}

/// The times of a job's frame, and how to forecast them.
pub(super) fn timeline<'a>(
    job: &Fit<'a>,
    learner: &str,
) -> Result<(&'a Timeline, &'a Arc<ForecastPlan>), FitError> {
    let timeline = job.frame.timeline.as_ref();
    timeline.and_then(|timeline| Some((timeline, timeline.plan.as_ref()?))).ok_or_else(|| {
        FitError::because(format!("{learner} forecasts, and the rows have no time to forecast by"))
    })
}

/// The series of a job, not looked at yet.
struct Field<'a> {
    answer: Answer,
    plan: &'a Arc<ForecastPlan>,
    season: usize,
    seasons: Vec<usize>,
    /// Rows by the name of their series, in its order.
    rows: Vec<(&'a str, Vec<(i64, f64)>)>,
}

/// A series as a method sees it.
struct Sown {
    name: String,
    last: i64,
    /// Its last value.
    value: f64,
    /// Without what repeats.
    values: Vec<f64>,
    season: usize,
    repeats: Option<Seasons>,
}

/// Fits every series.
fn each_series(
    job: &Fit<'_>,
    learner: &str,
    season: Option<usize>,
    method: &Method,
) -> Result<Model, FitError> {
    let mut field = Field::of(job, learner, season)?;
    let mut series = Vec::with_capacity(field.rows.len());
    for (name, rows) in std::mem::take(&mut field.rows) {
        job.stop.check()?;
        if let Some(sown) = field.sow(name, rows, job.stop)? {
            let fitted = method.fit(&sown.values, sown.season, job.stop)?;
            series.push(sown.reap(fitted));
        }
    }
    Ok(field.model(series))
}

impl<'a> Field<'a> {
    fn of(job: &Fit<'a>, learner: &str, season: Option<usize>) -> Result<Self, FitError> {
        let (timeline, plan) = timeline(job, learner)?;
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        let (y, weights) = lesson.numbers(learner)?;
        if weights.is_some() {
            return Err(FitError::because(format!(
                "{learner} can't weigh rows, and the data has a weight column"
            )));
        }
        let mut of_code: BTreeMap<u32, Vec<(i64, f64)>> = BTreeMap::new();
        for (&row, &value) in job.rows.iter().zip(&y) {
            let at = row as usize;
            let code = timeline.series.get(at).copied().unwrap_or_default();
            let index = timeline.time.get(at).and_then(|&time| plan.step.index(time));
            if let Some(index) = index {
                of_code.entry(code).or_default().push((index, value));
            }
        }
        let name = |code: u32| timeline.names.get(code as usize).map_or("", String::as_str);
        let mut rows: Vec<(&str, Vec<(i64, f64)>)> =
            of_code.into_iter().map(|(code, rows)| (name(code), rows)).collect();
        rows.sort_by_key(|(name, _)| *name);
        let seasons = season.map_or_else(|| plan.seasons.clone(), |season| vec![season]);
        let season = season.unwrap_or(plan.season);
        Ok(Self { answer, plan, season, seasons, rows })
    }

    /// None where nothing is known of it.
    fn sow(
        &self,
        name: &str,
        rows: Vec<(i64, f64)>,
        stop: &Stop,
    ) -> Result<Option<Sown>, FitError> {
        let Some(regular) = regular(rows, Fill::Line, self.plan)? else { return Ok(None) };
        let (name, last) = (name.to_owned(), regular.last());
        let value = regular.values.last().copied().unwrap_or_default();
        let (values, season, repeats) = match self.plan.settings.stl {
            None => (regular.values, self.season, None),
            // The season is out: the method sees none.
            Some(Stl::Season | Stl::SeasonTrend) => {
                let parts = decompose(&regular.values, &self.seasons, Weights::Equal, stop)?;
                (parts.adjusted(), 1, Some(parts.seasons()))
            }
        };
        Ok(Some(Sown { name, last, value, values, season, repeats }))
    }

    fn model(self, series: Vec<SeriesForecast>) -> Model {
        let forecast = Forecast { step: self.plan.step, series, errors: Errors::default() };
        Model { answer: self.answer, body: Body::Forecast(forecast) }
    }
}

impl Sown {
    fn reap(self, fitted: Fitted) -> SeriesForecast {
        let Self { name, last, value, repeats, .. } = self;
        SeriesForecast { name, last, value, fitted, seasons: repeats }
    }
}

/// Rows of a series as a series without gaps.
pub(super) fn regular(
    rows: Vec<(i64, f64)>,
    fill: Fill,
    plan: &ForecastPlan,
) -> Result<Option<Regular>, FitError> {
    Regular::of(rows, fill).map_err(|sparse| {
        FitError::because(format!(
            "a series has rows at {} of {} {}: write forecasting.frequency as far apart as the \
             rows are",
            sparse.n_known,
            sparse.n_steps,
            plan.step.name(plan.kind)
        ))
    })
}
