//! A member of the exponential smoothing family: how error, trend and season enter.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::trainer::FitError;

/// Longest season whose first indices are searched along with the rest.
///
/// Longer ones keep the indices of the classical decomposition as their first season; the
/// smoothing still moves them. R's `ets` drops such seasons altogether.
pub(crate) const LONGEST_SEARCHED_SEASON: usize = 24;

/// How the error enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ErrorForm {
    /// It is added to the forecast.
    Add,
    /// It scales the forecast.
    Mul,
}

/// How the trend or the season enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Component {
    /// Not at all.
    None,
    /// It is added.
    Add,
    /// It scales.
    Mul,
}

/// A member of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    /// How the error enters.
    pub error: ErrorForm,
    /// How the trend enters.
    pub trend: Component,
    /// Whether the trend fades; never without a trend.
    pub damped: bool,
    /// How the season enters.
    pub season: Component,
}

impl Form {
    /// A level and nothing else.
    pub(super) const LEVEL: Self = Self {
        error: ErrorForm::Add,
        trend: Component::None,
        damped: false,
        season: Component::None,
    };

    pub(crate) fn has_trend(self) -> bool {
        self.trend != Component::None
    }

    pub(crate) fn has_season(self) -> bool {
        self.season != Component::None
    }

    /// Numbers estimated from the series, the variance included, as R's `ets` counts them.
    pub(super) fn n_parameters(self, season: usize) -> usize {
        let own = 2 + 2 * usize::from(self.has_trend()) + usize::from(self.damped);
        let seasonal = if self.has_season() { season } else { 0 };
        own + seasonal + 1
    }

    /// Whether R's `ets` would try it unasked: it leaves out multiplicative trends, and additive
    /// errors on multiplicative parts, whose variance has no bound.
    fn is_tried_unasked(self) -> bool {
        let unstable = self.error == ErrorForm::Add && self.season == Component::Mul;
        self.trend != Component::Mul && !unstable
    }
}

/// Every form that the settings allow for this series.
pub(super) fn candidates(y: &[f64], season: usize, settings: &Settings) -> Vec<Form> {
    let positive = y.iter().all(|&value| value > 0.0);
    let seasonal = season > 1 && y.len() >= 2 * season;
    let wanted_season = if seasonal { settings.seasonal } else { Some(Component::None) };
    let mut forms = Vec::new();
    for season in [Component::None, Component::Add, Component::Mul] {
        for trend in [Component::None, Component::Add, Component::Mul] {
            for damped in [false, true] {
                for error in [ErrorForm::Add, ErrorForm::Mul] {
                    let form = Form { error, trend, damped, season };
                    let asked = settings.error.is_none_or(|wanted| wanted == error)
                        && settings.trend.is_none_or(|wanted| wanted == trend)
                        && wanted_season.is_none_or(|wanted| wanted == season)
                        && settings.damped.is_none_or(|wanted| wanted == damped);
                    if asked && form.is_possible(positive) && form.suits(settings) {
                        forms.push(form);
                    }
                }
            }
        }
    }
    forms
}

impl Form {
    fn is_possible(self, positive: bool) -> bool {
        let scales = self.error == ErrorForm::Mul
            || self.trend == Component::Mul
            || self.season == Component::Mul;
        (self.has_trend() || !self.damped) && (positive || !scales)
    }

    /// A form that would not be tried unasked is tried when each of its odd parts was asked for.
    fn suits(self, settings: &Settings) -> bool {
        let trend = self.trend != Component::Mul || settings.trend.is_some();
        let season = self.error != ErrorForm::Add
            || self.season != Component::Mul
            || (settings.error.is_some() && settings.seasonal.is_some());
        self.is_tried_unasked() || (trend && season)
    }
}

/// What no form can meet, in the user's words.
pub(super) fn refuse(y: &[f64], settings: &Settings) -> Result<(), FitError> {
    if settings.damped == Some(true) && settings.trend == Some(Component::None) {
        let reason = "damped: true needs a trend; write trend: add, or leave damped out";
        return Err(FitError::Failed(reason.to_owned()));
    }
    if y.iter().all(|&value| value > 0.0) {
        return Ok(());
    }
    let (key, instead) = if settings.error == Some(ErrorForm::Mul) {
        ("error", "error: add")
    } else if settings.trend == Some(Component::Mul) {
        ("trend", "trend: add")
    } else if settings.seasonal == Some(Component::Mul) {
        ("seasonal", "seasonal: add")
    } else {
        return Ok(());
    };
    let reason = format!(
        "{key}: mul needs values above 0, and this series has some at or below 0; write {instead}"
    );
    Err(FitError::Failed(reason))
}
