//! The `forecasting` settings of a job.

use super::frequency;
use super::read::columns;
use super::{Aggregate, Country, Forecasting, Frequency, ShortSeries, Steps, Stl, Strategy, Task};
use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::yaml::{Content, brief_text};

const STL: &[(&str, Option<Stl>)] =
    &[("none", None), ("season", Some(Stl::Season)), ("seasontrend", Some(Stl::SeasonTrend))];

const SHORT_SERIES: &[(&str, Option<ShortSeries>)] = &[
    ("auto", Some(ShortSeries::Auto)),
    ("pad", Some(ShortSeries::Pad)),
    ("drop", Some(ShortSeries::Drop)),
    ("none", None),
];

const AGGREGATES: &[(&str, Option<Aggregate>)] = &[
    ("none", None),
    ("sum", Some(Aggregate::Sum)),
    ("max", Some(Aggregate::Max)),
    ("min", Some(Aggregate::Min)),
    ("mean", Some(Aggregate::Mean)),
];

const STRATEGIES: &[(&str, Strategy)] =
    &[("recursive", Strategy::Recursive), ("direct", Strategy::Direct)];

const FEATURE_LAGS: &[(&str, bool)] = &[("none", false), ("auto", true)];

/// The longest horizon, lag, window or season.
const MAX_STEPS: i64 = u32::MAX as i64;

impl Forecasting {
    /// Reads `forecasting`, which the forecasting task must have and no other may.
    pub(super) fn read_for(
        root: &mut Fields<'_>,
        task: Option<Task>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let example = "forecasting: {time_column_name: date, forecast_horizon: 7}";
        let at = match task {
            Some(Task::Forecasting) => root.require("forecasting", example, findings)?,
            _ => root.take("forecasting", findings)?,
        };
        if let Some(task) = task
            && task != Task::Forecasting
        {
            let says = format!("is for the forecasting task, and the task is {}", task.name());
            let mistake = Mistake::new(says, "nothing");
            findings.problem(&at, mistake.hint("remove it, or write task: forecasting"));
            return None;
        }
        Self::read(&at, findings)
    }

    fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let mut fields = at.map(findings)?;
        let time = fields.require("time_column_name", "time_column_name: date", findings);
        let time_column = time.and_then(|at| at.text(findings));
        let mut names = |key: &'static str, findings: &mut Findings| {
            fields.take(key, findings).map_or_else(Vec::new, |at| columns(&at, findings))
        };
        let series_columns = names("time_series_id_column_names", findings);
        let unknown_columns = names("features_unknown_at_forecast_time", findings);
        let mut steps = |key: &'static str, findings: &mut Findings| {
            fields.take(key, findings).and_then(|at| read_steps(&at, findings))
        };
        let target_lags = steps("target_lags", findings);
        let rolling_window = steps("target_rolling_window_size", findings);
        let seasonality = steps("seasonality", findings);
        let horizon = match fields.take("forecast_horizon", findings) {
            Some(at) => small(at.int_or_auto(1, MAX_STEPS, findings).flatten()),
            None => Some(1),
        };
        let frequency =
            fields.take("frequency", findings).and_then(|at| read_frequency(&at, findings));
        let holidays = fields
            .take("country_or_region_for_holidays", findings)
            .and_then(|at| read_country(&at, findings));
        let cv_step = fields.take("cv_step_size", findings).and_then(|at| at.count(1, findings));
        let mut settings = Self {
            time_column: String::new(),
            series_columns,
            horizon,
            frequency,
            target_lags,
            rolling_window,
            feature_lags: word(&mut fields, "feature_lags", FEATURE_LAGS, findings)
                .unwrap_or_default(),
            seasonality,
            stl: word(&mut fields, "use_stl", STL, findings).flatten(),
            short_series: word(&mut fields, "short_series_handling_config", SHORT_SERIES, findings)
                .flatten(),
            aggregate: word(&mut fields, "target_aggregate_function", AGGREGATES, findings)
                .flatten(),
            holidays,
            cv_step,
            unknown_columns,
            gap: fields
                .take("gap", findings)
                .and_then(|at| at.count(0, findings))
                .unwrap_or_default(),
            strategy: word(&mut fields, "strategy", STRATEGIES, findings).unwrap_or_default(),
        };
        fields.finish(findings);
        // Empty where it could not be read, which is a problem.
        settings.time_column = time_column.unwrap_or_default();
        Some(settings)
    }
}

fn read_frequency(at: &At<'_>, findings: &mut Findings) -> Option<Frequency> {
    let text = at.text(findings)?;
    match text.parse::<Frequency>() {
        Ok(frequency) => Some(frequency),
        Err(error) => {
            let mut mistake =
                Mistake::new(format!("{} {error}", brief_text(&text)), frequency::known());
            mistake.hint = Some(match &error.guess {
                Some(guess) => format!("did you mean {guess}?"),
                None => "write D for days, or leave it out to have it found in the data".into(),
            });
            findings.problem(at, mistake);
            None
        }
    }
}

/// A country that is not known is known to others.
fn read_country(at: &At<'_>, findings: &mut Findings) -> Option<Country> {
    let text = at.text(findings)?;
    match text.parse::<Country>() {
        Ok(country) => Some(country),
        Err(error) => {
            let mistake = Mistake::new(format!("{} {error}", brief_text(&text)), Country::known());
            let hint = "remove it, and give the holidays in a column of the data";
            findings.cannot_run(at, mistake.hint(hint));
            None
        }
    }
}

fn word<T: Copy>(
    fields: &mut Fields<'_>,
    key: &'static str,
    known: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    // `use_stl: season_trend` stands in Azure's own documents and its tool refuses it; we read it.
    fields.take(key, findings)?.word(known, findings)
}

/// `auto`, a number of steps, or several; also as Azure's `{mode: auto}` or `{mode: custom, value: 3}`.
fn read_steps(at: &At<'_>, findings: &mut Findings) -> Option<Steps> {
    const MODES: &[(&str, bool)] = &[("auto", true), ("custom", false)];
    if let Content::Map(_) = at.node.content {
        let mut fields = at.map(findings)?;
        let mode = fields.require("mode", "mode: auto", findings);
        let is_auto = mode.and_then(|at| at.word(MODES, findings));
        let one = fields.take("value", findings);
        let value = fields.take("values", findings).or(one);
        let steps = match (is_auto?, value) {
            (true, Some(at)) => {
                let mistake = Mistake::new("is not needed with mode: auto", "nothing");
                findings.problem(&at, mistake.hint("remove it, or write mode: custom"));
                None
            }
            (true, None) => Some(Steps::Auto),
            (false, Some(at)) => read_steps(&at, findings),
            (false, None) => {
                let mistake = Mistake::new("has mode custom and no values", "values: [1, 7]");
                findings.problem(at, mistake);
                None
            }
        };
        fields.finish(findings);
        return steps;
    }
    if !matches!(at.node.content, Content::List(_)) {
        return Some(match at.int_or_auto(1, MAX_STEPS, findings)? {
            None => Steps::Auto,
            count => Steps::These(small(count).into_iter().collect()),
        });
    }
    let items = at.one_or_more();
    if items.is_empty() {
        findings.notice(at, "is an empty list; there are none");
        return None;
    }
    let counts: Vec<u32> = items.iter().filter_map(|item| item.count(1, findings)).collect();
    (counts.len() == items.len()).then_some(Steps::These(counts))
}

fn small(count: Option<i64>) -> Option<u32> {
    u32::try_from(count?).ok()
}
