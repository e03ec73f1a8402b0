//! Answers in words and tables, for people.

use fleetfit_scheduler::EndedBy;
use fleetfit_scheduler::query::{BestView, StatusView, TrialRow, Values};
use fleetfit_search_spaces::{Configuration, EntityKey, Notice, Place, Setting, Value};
use serde::Serialize;

/// The word that one of a closed set is written with.
pub(crate) fn word(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().map(str::to_owned).unwrap_or_default()
}

/// A duration as people say it.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A metric's value in at most six digits that matter.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e6).contains(&magnitude) {
        let digits = 5 - magnitude.max(1e-3).log10().floor() as i32;
        let text = format!("{value:.*}", digits.clamp(0, 8) as usize);
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    } else {
        format!("{value:.4e}")
    }
}

/// A whole number with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How a study stands: a block of lines.
pub(crate) fn status(view: &StatusView) -> String {
    let state = word(&view.status);
    let mut lines = vec![format!("{}: {state} after {}", view.study, duration(view.elapsed_s))];
    let mut say = |what: &str, how: String| lines.push(format!("  {what:<9} {how}"));
    let trials = &view.trials;
    let mut ended = format!("{} completed", count(trials.completed));
    for (number, word) in [(trials.stopped, "stopped"), (trials.failed, "failed")] {
        if number > 0 {
            ended.push_str(&format!(", {} {word}", count(number)));
        }
    }
    if view.entities > 1 {
        ended.push_str(&format!(" ({} entities)", count(u64::from(view.entities))));
    }
    say("trials", ended);
    if trials.failed > 0 {
        say("", format!("why some failed: fleetfit trials {}", view.study));
    }
    if let Some(why) = view.ended_by.and_then(why_it_ended) {
        say("search", format!("ended: {why}"));
    }
    if view.fits > 0 {
        say("fits", count(view.fits));
    }
    match &view.best {
        Some(best) => {
            let over = if view.entities > 1 { " (mean over entities)" } else { "" };
            let reached = match &best.values {
                Some(values) if !values.0.is_empty() => of_each(values),
                _ => format!("{} {}", view.metric.name, number(best.value)),
            };
            say("best", format!("{reached}{over}"));
            let learner = best.learner.as_ref().map(|learner| format!("{learner} "));
            let settings = configuration(&best.configuration);
            let with = format!("{}{settings} (trial {})", learner.unwrap_or_default(), best.trial);
            say("with", with);
        }
        None if view.status.is_over() => say("best", "none".into()),
        None => say("best", "none yet".into()),
    }
    if let Some(n) = view.front {
        let plural = if n == 1 { "" } else { "s" };
        say("front", format!("{} trial{plural}: fleetfit best {}", count(n), view.study));
    }
    if let Some(volume) = &view.hypervolume {
        let reference = of_each(&volume.reference);
        say("beats", format!("a hypervolume of {} up to {reference}", number(volume.value)));
    }
    if !view.constraints.is_empty() {
        say("keeps", view.constraints.join(", "));
    }
    lines.join("\n")
}

/// Why a search ended before all that it was allowed was tried.
fn why_it_ended(by: EndedBy) -> Option<&'static str> {
    match by {
        EndedBy::Trials => None,
        EndedBy::Timeout => Some("its time was over"),
        EndedBy::Space => Some("every point of the space was tried"),
        EndedBy::Cancel => Some("it was cancelled"),
        EndedBy::ExitScore => Some("a model reached the exit score"),
        EndedBy::Improvement => Some("no more improvement came, or was to be expected"),
    }
}

/// `loss 0.1, latency_ms 12`.
fn of_each(values: &Values) -> String {
    let each = values.0.iter().map(|(metric, value)| format!("{metric} {}", number(*value)));
    each.collect::<Vec<_>>().join(", ")
}

/// What is to be said of a study besides what its job has been told: why it does not go on.
pub(crate) fn of_the_service(view: &StatusView) -> impl Iterator<Item = &str> {
    let of_the_service = |notice: &&Notice| notice.place == Place::default();
    view.notices.iter().filter(of_the_service).map(|notice| notice.message.as_str())
}

/// A configuration on one line. The branch that a conditional parameter chose is shown without the
/// parameter's name before every setting, and without the learner, which is shown beside it.
fn configuration(configuration: &Configuration) -> String {
    let prefix = match configuration.0.as_slice() {
        [(name, Setting::Nested(_))] => format!("{name}."),
        _ => String::new(),
    };
    let leaves = configuration.leaves();
    let words = leaves.iter().filter_map(|(path, value)| {
        let path = path.strip_prefix(&prefix).unwrap_or(path);
        let value = match value {
            Value::Float(value) => number(*value),
            other => other.to_string(),
        };
        (path != "learner").then(|| format!("{path}={value}"))
    });
    plain_text(&words.collect::<Vec<_>>().join(" "))
}

/// The table of studies.
pub(crate) fn studies(views: &[StatusView]) -> String {
    let head = ["study", "status", ">completed", ">failed", "metric", ">best", ">elapsed"];
    let rows = views.iter().map(|view| {
        vec![
            view.study.clone(),
            word(&view.status),
            count(view.trials.completed),
            count(view.trials.failed),
            view.metric.name.clone(),
            view.best.as_ref().map_or("–".into(), |best| number(best.value)),
            duration(view.elapsed_s),
        ]
    });
    table(&head, &rows.collect::<Vec<_>>())
}

/// A table of bests, one row each.
pub(crate) fn bests(views: &[BestView], metric: &str) -> String {
    // Who did not complete has a value of the first objective alone.
    let values = views.iter().filter_map(|best| best.values.as_ref());
    let values = values.max_by_key(|values| values.0.len()).filter(|values| !values.0.is_empty());
    let metrics: Vec<String> = match values {
        Some(values) => values.0.iter().map(|(name, _)| format!(">{name}")).collect(),
        None => vec![format!(">{metric}")],
    };
    let mut head = vec!["entity"];
    head.extend(metrics.iter().map(String::as_str));
    head.extend([">trial", "learner", "configuration"]);
    let some_lack_one = views.iter().any(|best| best.model_reason.is_some());
    if some_lack_one {
        head.push("has no model because");
    }
    let rows = views.iter().map(|best| {
        let mut cells = vec![entity(best.entity.as_ref())];
        match best.values.as_ref().filter(|values| !values.0.is_empty()) {
            None => {
                cells.push(number(best.value));
                cells.resize(1 + metrics.len(), "–".into());
            }
            Some(values) => cells.extend(metrics.iter().map(|metric| {
                let value = values.get(metric.trim_start_matches('>'));
                value.map_or("–".into(), number)
            })),
        }
        cells.extend([
            best.trial.to_string(),
            best.learner.clone().unwrap_or_else(|| "–".into()),
            configuration(&best.configuration),
        ]);
        if some_lack_one {
            cells.push(best.model_reason.as_deref().map(plain_text).unwrap_or_default());
        }
        cells
    });
    table(&head, &rows.collect::<Vec<_>>())
}

/// Columns side by side, as wide as they need to be. A column whose head begins with `>` is aligned
/// to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let names: Vec<&str> = head.iter().map(|name| name.trim_start_matches('>')).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([names[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            match head[column].starts_with('>') {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let rule = widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  ");
    let rows = rows.iter().map(|row| line(row));
    [line(&names), rule].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// The head of the table of trials, and one row of it. Trials may be a million: no table is built.
pub(crate) fn trial_head() -> String {
    format!(
        "{:>7}  {:<16}  {:<9}  {:>12}  {:<19}  configuration",
        "trial", "entity", "state", "value", "learner"
    )
}

/// One trial on one line.
pub(crate) fn trial(row: &TrialRow) -> String {
    let value = row.value.map_or("–".into(), number);
    let values = row.values.as_ref().map(|values| format!("  [{}]", of_each(values)));
    let broken = if row.feasible == Some(false) { "  (breaks a constraint)" } else { "" };
    let values = format!("{}{broken}", values.unwrap_or_default());
    let reason = row.reason.as_deref().map(plain_text);
    let reason = reason.map(|reason| format!("  ({reason})")).unwrap_or_default();
    format!(
        "{:>7}  {:<16}  {:<9}  {value:>12}  {:<19}  {}{values}{reason}",
        row.trial,
        entity(row.entity.as_ref()),
        word(&row.state),
        row.learner.as_deref().unwrap_or("–"),
        configuration(&row.configuration),
    )
}

/// A text from outside, without what would move the cursor of whoever reads it.
fn plain_text(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn entity(key: Option<&EntityKey>) -> String {
    key.map_or("–".into(), EntityKey::to_string)
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::Selection;

    use super::*;

    #[test]
    fn numbers_keep_what_matters() {
        let shown = [0.0, 1.0, 0.123_456_789, 12_345.678_9, 1e-7, -2.5, 123_456_789.0].map(number);
        assert_eq!(
            shown,
            ["0", "1", "0.123457", "12345.7", "1.0000e-7", "-2.5", "1.2346e8"].map(str::to_owned)
        );
    }

    #[test]
    fn who_did_not_complete_has_a_value_too() {
        let best = |values: &[(&str, f64)], value| BestView {
            entity: None,
            value,
            values: Some(Values(values.iter().map(|(name, of)| ((*name).into(), *of)).collect())),
            configuration: Configuration(Vec::new()),
            learner: None,
            command: None,
            trial: 7,
            model: None,
            model_reason: None,
            selection: Selection::default(),
        };
        let unfinished = best(&[], 0.25);
        let alone = bests(std::slice::from_ref(&unfinished), "rmse");
        assert!(alone.contains("rmse") && alone.contains("0.25"), "{alone}");
        let completed = best(&[("rmse", 0.5), ("mae", 0.125)], 0.5);
        let both = bests(&[unfinished, completed], "rmse");
        let rows: Vec<Vec<&str>> =
            both.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows[0].contains(&"mae"), "{both}");
        assert!(rows[2].contains(&"0.25") && rows[2].contains(&"–"), "{both}");
        assert!(rows[3].contains(&"0.5") && rows[3].contains(&"0.125"), "{both}");
    }

    #[test]
    fn counts_and_durations_read_well() {
        assert_eq!([999, 1_000, 1_234_567].map(count), ["999", "1,000", "1,234,567"]);
        assert_eq!(
            [3.21, 59.0, 61.0, 3_700.0].map(duration),
            ["3.2 s", "59 s", "1 min 1 s", "1 h 1 min"]
        );
    }
}
