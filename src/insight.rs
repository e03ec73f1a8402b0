//! `fleetfit insight`: what a study's trials tell of its parameters and of the search.

use std::path::Path;

use fleetfit_scheduler::query::{
    ConvergenceView, DependenceView, DuplicatesView, InsightOf, InsightScale, InsightView,
    ParameterView, When,
};
use fleetfit_search_spaces::Value;

use crate::cli::InsightArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::show;
use crate::source::Source;

/// The steps of a curve drawn with letters.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Parameters whose curves are drawn.
const MOST_CURVES: usize = 8;

/// Improvements that are listed: the latest ones.
const MOST_IMPROVEMENTS: usize = 8;

/// Prints what a study's trials tell.
pub(crate) fn insight(home: &Path, args: &InsightArgs, printer: &Printer) -> Result<i32, Failure> {
    let of = InsightOf { entity: args.entity.as_deref(), objective: args.objective.as_deref() };
    let view = Source::ask(home, &args.server, |source| source.insight(&args.study, of))?;
    if printer.is_json() {
        printer.json(&view)?;
        return Ok(exit::DONE);
    }
    printer.line(&text(&view))?;
    for notice in &view.notices {
        printer.note(&format!("notice: {notice}"));
    }
    Ok(exit::DONE)
}

fn text(view: &InsightView) -> String {
    let mut parts = vec![head(view)];
    if view.parameters.iter().any(|row| row.fanova.is_some() || row.ped_anova.is_some()) {
        parts.push(importances(&view.parameters));
    }
    if let Some(first) = view.interactions.first() {
        let [one, other] = &first.parameters;
        parts.push(format!(
            "together  {one} and {other} have {} that neither has alone",
            share(first.fanova)
        ));
    }
    if !view.dependence.is_empty() {
        parts.push(curves(&view.dependence));
    }
    parts.push(convergence(&view.convergence, view.configurations.used));
    parts.push(duplicates(&view.duplicates));
    parts.join("\n\n")
}

fn head(view: &InsightView) -> String {
    let whose = view.entity.as_ref().map(|key| format!(" of {key}")).unwrap_or_default();
    let counts = &view.configurations;
    let mut said = format!("{} configurations", show::count(counts.used));
    let left_out = [(counts.stopped, "stopped"), (counts.failed, "failed"), (counts.open, "open")];
    for (n, word) in left_out.into_iter().filter(|(n, _)| *n > 0) {
        said.push_str(&format!(", {} {word} left out", show::count(n)));
    }
    let scale = match view.scale {
        InsightScale::Metric => String::new(),
        InsightScale::Relative => {
            let n = show::count(counts.entities.into());
            format!(
                "\nvalues are shares by which the loss is above or below the first one's, the mean of \
                 {n} entities"
            )
        }
    };
    format!("{}{whose}: {} of {said}{scale}", view.study, view.metric.name)
}

fn name(path: &str, when: Option<&When>) -> String {
    match when {
        Some(When { parameter, is }) => format!("{path} ({parameter}={is})"),
        None => path.to_owned(),
    }
}

fn share(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn importances(parameters: &[ParameterView]) -> String {
    let or_none = |share_of: Option<f64>| share_of.map_or("–".into(), share);
    let rows = parameters.iter().map(|row| {
        let deviation = row
            .fanova_deviation
            .map_or("–".into(), |deviation| format!("± {}", share(deviation)));
        let name = name(&row.parameter, row.when.as_ref());
        vec![name, or_none(row.fanova), deviation, or_none(row.ped_anova)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    show::table(&["parameter", ">fANOVA", ">", ">PED-ANOVA"], &rows)
}

fn curves(dependence: &[DependenceView]) -> String {
    let shown = dependence.get(..MOST_CURVES).unwrap_or(dependence);
    let values = shown.iter().flat_map(|curve| curve.points.iter().map(|point| point.value));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let rows = shown.iter().map(|curve| {
        let steps = curve.points.iter().map(|point| {
            let height = (point.value - low) / (high - low);
            let step = if height.is_finite() { (height * 7.99) as usize } else { 0 };
            STEPS[step.min(7)]
        });
        let at = |value: &Value| match value {
            Value::Float(number) => show::number(*number),
            other => other.to_string(),
        };
        let of = |find: fn(&[f64]) -> usize| {
            let values: Vec<f64> = curve.points.iter().map(|point| point.value).collect();
            let point = curve.points.get(find(&values));
            point.map_or(String::new(), |point| {
                format!("{} at {}", show::number(point.value), at(&point.at))
            })
        };
        let name = name(&curve.parameter, curve.when.as_ref());
        vec![name, steps.collect(), of(lowest), of(highest)]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    show::table(&["expected along", "", "lowest", "highest"], &rows)
}

fn lowest(values: &[f64]) -> usize {
    let lowest = (0..values.len()).min_by(|&a, &b| values[a].total_cmp(&values[b]));
    lowest.unwrap_or_default()
}

fn highest(values: &[f64]) -> usize {
    let highest = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]));
    highest.unwrap_or_default()
}

fn convergence(view: &ConvergenceView, n_used: u64) -> String {
    let n = view.improvements.len();
    if n == 0 && n_used > 0 {
        return "no configuration keeps all bounds for every entity".into();
    }
    if n == 0 {
        return "no configuration has completed".into();
    }
    let rows = view.improvements.iter().skip(n.saturating_sub(MOST_IMPROVEMENTS)).map(|step| {
        let elapsed = step.elapsed_s.map_or("–".into(), show::duration);
        let number = |number: u64| show::count(number);
        vec![number(step.nth), show::number(step.value), elapsed, step.trial.to_string()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let table = show::table(&[">ended", ">best", ">after", ">trial"], &rows);
    let earlier = match n.saturating_sub(MOST_IMPROVEMENTS) {
        0 => String::new(),
        1 => "1 improvement before these; ".into(),
        earlier => format!("{} improvements before these; ", show::count(earlier as u64)),
    };
    let since = show::count(view.since_last);
    let area = view.area.map(|area| format!("; area {area:.3}")).unwrap_or_default();
    format!("{table}\n{earlier}{since} since the last improvement{area}")
}

fn duplicates(view: &DuplicatesView) -> String {
    let (proposed, repeated) = (show::count(view.proposed), show::count(view.repeated));
    let avoided = match view.avoided {
        Some(avoided) => {
            format!("; {} more would be expected of even draws", show::number(avoided.round()))
        }
        None => String::new(),
    };
    format!("{repeated} of {proposed} proposals had come before{avoided}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_nothing_is_the_best_is_said() {
        let nothing =
            ConvergenceView { ended: 25, improvements: Vec::new(), since_last: 25, area: None };
        assert_eq!(convergence(&nothing, 0), "no configuration has completed");
        let broken = "no configuration keeps all bounds for every entity";
        assert_eq!(convergence(&nothing, 25), broken);
    }
}
