//! Answers in words and tables, for people.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use fleetfit_scheduler::query::{BestView, StatusView, TrialRow};
use fleetfit_search_spaces::EntityKey;
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
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How a study stands: a block of lines.
pub(crate) fn status(view: &StatusView) -> String {
    let state = word(&view.status);
    let mut lines = vec![format!(
        "{}: {state} after {}",
        view.study,
        duration(view.elapsed_s)
    )];
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
    if view.fits > 0 {
        say("fits", count(view.fits));
    }
    match &view.best {
        Some(best) => {
            let over = if view.entities > 1 {
                " (mean over entities)"
            } else {
                ""
            };
            say(
                "best",
                format!("{} {}{over}", view.metric.name, number(best.value)),
            );
            say(
                "with",
                format!("{} (trial {})", configuration(best), best.trial),
            );
        }
        None => say("best", "none yet".into()),
    }
    lines.join("\n")
}

/// A configuration on one line.
fn configuration(best: &BestView) -> String {
    let mut words: Vec<String> = best.learner.iter().cloned().collect();
    let leaves = best.configuration.leaves();
    words.extend(leaves.iter().map(|(path, value)| format!("{path}={value}")));
    words.join(" ")
}

/// The table of studies.
pub(crate) fn studies(views: &[StatusView]) -> String {
    let mut table = table(&[
        "study", "status", "trials", "failed", "metric", "best", "elapsed",
    ]);
    for view in views {
        table.add_row([
            view.study.clone(),
            word(&view.status),
            count(view.trials.completed),
            count(view.trials.failed),
            view.metric.name.clone(),
            view.best
                .as_ref()
                .map_or("–".into(), |best| number(best.value)),
            duration(view.elapsed_s),
        ]);
    }
    right(&mut table, &[2, 3, 5, 6]);
    table.to_string()
}

/// A table of bests, one row each.
pub(crate) fn bests(views: &[BestView], metric: &str) -> String {
    let mut table = table(&["entity", metric, "trial", "learner", "configuration"]);
    for best in views {
        let leaves = best.configuration.leaves();
        let settings: Vec<String> = leaves
            .iter()
            .map(|(path, value)| format!("{path}={value}"))
            .collect();
        table.add_row([
            entity(best.entity.as_ref()),
            number(best.value),
            best.trial.to_string(),
            best.learner.clone().unwrap_or_else(|| "command".into()),
            settings.join(" "),
        ]);
    }
    right(&mut table, &[1, 2]);
    table.to_string()
}

/// The head of the table of trials, and one row of it. Trials may be a million: no table is built.
pub(crate) fn trial_head() -> String {
    format!(
        "{:>7}  {:<16}  {:<9}  {:>12}  configuration",
        "trial", "entity", "state", "value"
    )
}

/// One trial on one line.
pub(crate) fn trial(row: &TrialRow) -> String {
    let value = row.value.map_or("–".into(), number);
    let leaves = row.configuration.leaves();
    let settings: Vec<String> = leaves
        .iter()
        .map(|(path, value)| format!("{path}={value}"))
        .collect();
    let reason = row
        .reason
        .as_ref()
        .map(|reason| format!("  ({reason})"))
        .unwrap_or_default();
    format!(
        "{:>7}  {:<16}  {:<9}  {value:>12}  {}{reason}",
        row.trial,
        entity(row.entity.as_ref()),
        word(&row.state),
        settings.join(" "),
    )
}

fn entity(key: Option<&EntityKey>) -> String {
    key.map_or("–".into(), EntityKey::to_string)
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(head);
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_matters() {
        let shown = [
            0.0,
            1.0,
            0.123_456_789,
            12_345.678_9,
            1e-7,
            -2.5,
            123_456_789.0,
        ]
        .map(number);
        assert_eq!(
            shown,
            [
                "0",
                "1",
                "0.123457",
                "12345.7",
                "1.0000e-7",
                "-2.5",
                "1.2346e8"
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn counts_and_durations_read_well() {
        assert_eq!(
            [999, 1_000, 1_234_567].map(count),
            ["999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [3.21, 59.0, 61.0, 3_700.0].map(duration),
            ["3.2 s", "59 s", "1 min 1 s", "1 h 1 min"]
        );
    }
}
