//! What a program's standard output says about metrics: lines of JSON, or the two lines that the old
//! Azure SDK prints when it is offline.
//!
//! Reports of the primary metric count one by one. A report that is NaN or infinite is no value: a
//! trial that never reported a finite one has none, nor has one whose last report that was, where that
//! counts. A report without a step follows the one before. Of the study's other metrics one value each
//! is kept (`metric/others.rs`).

mod others;

use fleetfit_search_spaces::trial::MAX_REPORTS;
use fleetfit_search_spaces::{Objective, Report, ValueRule};
use serde_json::Value as Json;

use self::others::Others;

/// Longer lines are no reports, and only their beginning is ever held.
const MAX_LINE: usize = 64 << 10;

/// How many other metrics are remembered by name.
const MAX_OTHERS: usize = 20;

/// What the old SDK prints before a metric's name and a colon; the value is the next line.
const TWO_LINE_FORM: &str = "Attempted to log scalar metric ";

/// Output cut into lines. A carriage return ends one too, because progress bars end theirs so.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    overlong: bool,
}

impl Lines {
    /// Adds a piece of output, and hands on each line that it ends, unless it is blank.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(&Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.hold(&bytes[..end]);
            self.finish(&mut on_line);
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes);
    }

    /// Hands on the last line, which nothing ended.
    pub(super) fn finish(&mut self, mut on_line: impl FnMut(&Line<'_>)) {
        let text = String::from_utf8_lossy(&self.line);
        if !text.trim().is_empty() {
            on_line(&Line { text: text.trim(), whole: !self.overlong });
        }
        self.line.clear();
        self.overlong = false;
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.overlong |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// One line, without the space around it.
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) whole: bool,
}

/// The reports of one trial.
#[derive(Debug)]
pub(super) struct Metrics<'a> {
    /// What counts.
    pub(super) objective: &'a Objective,
    /// The reports that are kept, in order.
    pub(super) reports: Vec<Report>,
    /// What the trial has reached.
    pub(super) value: Option<f64>,
    /// Other metrics that count.
    pub(super) further: Others<'a>,
    /// Metrics that nobody asks for, in the order of their first appearance.
    pub(super) others: Vec<String>,
    /// How many reports were no finite number.
    pub(super) n_not_finite: u64,
    last_step: u64,
    announced: Option<String>,
}

impl<'a> Metrics<'a> {
    /// Nothing reported yet. What counts besides the objective's metric has these names.
    pub(super) fn new(objective: &'a Objective, further: &'a [String]) -> Self {
        Self {
            objective,
            further: Others::new(further, objective.value),
            reports: Vec::new(),
            value: None,
            others: Vec::new(),
            n_not_finite: 0,
            last_step: 0,
            announced: None,
        }
    }

    /// Reads a line of standard output; a report, if it is one of the primary metric that is kept.
    pub(super) fn read(&mut self, line: &Line<'_>) -> Option<Report> {
        let announced = self.announced.take();
        if !line.whole {
            return None;
        }
        if let Some(metric) = announced
            && let Some(value) = number(line.text)
        {
            return self.note(&metric, None, value);
        }
        if let Some(rest) = line.text.strip_prefix(TWO_LINE_FORM) {
            self.announced = rest.strip_suffix(':').map(str::to_owned);
            return None;
        }
        let (metric, step, value) = json_report(line.text)?;
        self.note(&metric, step, value)
    }

    fn note(&mut self, metric: &str, step: Option<u64>, value: f64) -> Option<Report> {
        if self.further.take(metric, step, value) {
            return None;
        }
        if metric != self.objective.metric {
            if self.others.len() < MAX_OTHERS && !self.others.iter().any(|other| other == metric) {
                self.others.push(metric.chars().take(100).collect());
            }
            return None;
        }
        self.last_step = step.unwrap_or_else(|| self.last_step.saturating_add(1));
        if !value.is_finite() {
            self.n_not_finite += 1;
            if self.objective.value == ValueRule::Last {
                self.value = None;
            }
            return None;
        }
        let loss = |value| self.objective.goal.loss(value);
        match (self.objective.value, self.value) {
            (ValueRule::Best, Some(best)) if loss(best) <= loss(value) => {}
            (rule, _) => {
                self.value = Some(value);
                self.further.settle((rule == ValueRule::Best).then_some(self.last_step));
            }
        }
        let report = Report { step: self.last_step, value };
        (self.reports.len() < MAX_REPORTS).then(|| {
            self.reports.push(report);
            report
        })
    }
}

/// `{"metric": "loss", "value": 0.1, "step": 3}`, other keys allowed.
fn json_report(text: &str) -> Option<(String, Option<u64>, f64)> {
    if !text.starts_with('{') || !text.ends_with('}') || !text.contains("\"metric\"") {
        return None;
    }
    let json =
        serde_json::from_str(text).or_else(|_| serde_json::from_str(&quote_odd_numbers(text))).ok();
    let Some(Json::Object(report)) = json else {
        return None;
    };
    let metric = report.get("metric")?.as_str()?.to_owned();
    let value = match report.get("value")? {
        Json::Number(value) => value.as_f64()?,
        Json::String(word) => number(word)?,
        _ => return None,
    };
    let step = report.get("step").and_then(|step| match step.as_u64() {
        Some(step) => Some(step),
        // 3.0 is a step too; the cast is exact below 2^53.
        None => step
            .as_f64()
            .filter(|step| (0.0..9e15).contains(step) && step.fract() == 0.0)
            .map(|step| step as u64),
    });
    Some((metric, step, value))
}

/// Puts numbers that the JSON library does not read into quotes: Python writes NaN and Infinity bare,
/// which is no JSON, and 1e999 is beyond every float.
fn quote_odd_numbers(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    let mut in_string = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let odd = if in_string { None } else { odd_number(rest) };
        let taken = match odd {
            Some(number) => {
                quoted.push('"');
                quoted.push_str(number);
                quoted.push('"');
                number.len()
            }
            // A whole number, so that its last digits are not taken for another one.
            None if !in_string && is_of_number(first) => {
                let n = rest.find(|c| !is_of_number(c)).unwrap_or(rest.len());
                quoted.push_str(&rest[..n]);
                n
            }
            None if in_string && first == '\\' => {
                let n = rest.chars().take(2).map(char::len_utf8).sum();
                quoted.push_str(&rest[..n]);
                n
            }
            None => {
                in_string ^= first == '"';
                quoted.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    quoted
}

/// The word or number at the beginning of a text that is no finite number.
fn odd_number(text: &str) -> Option<&str> {
    let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| text.starts_with(word));
    word.or_else(|| {
        let end = text.find(|c| !is_of_number(c)).unwrap_or(text.len());
        number(&text[..end]).is_some_and(f64::is_infinite).then_some(&text[..end])
    })
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | 'e' | 'E')
}

/// A number, or one of the words for what is none.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetfit_search_spaces::Goal;

    /// The reports, the value and the other metrics after this output.
    fn read(output: &str, goal: Goal, value: ValueRule) -> (Vec<(u64, f64)>, Option<f64>, String) {
        let objective = Objective { metric: "loss".to_owned(), goal, value };
        let mut metrics = Metrics::new(&objective, &[]);
        let mut lines = Lines::default();
        // One byte at a time: nothing may depend on how the pipe cuts the output.
        for byte in output.as_bytes() {
            lines.push(&[*byte], |line| {
                metrics.read(line);
            });
        }
        lines.finish(|line| {
            metrics.read(line);
        });
        let reports = metrics.reports.iter().map(|report| (report.step, report.value)).collect();
        (reports, metrics.value, metrics.others.join(","))
    }

    #[test]
    fn reads_lines_of_json() {
        let output = "starting\n\
            {\"metric\": \"loss\", \"value\": 0.5}\n\
            {\"metric\": \"acc\", \"value\": 0.9}\n\
            \r 50%|##   |\r{\"value\": 0.25, \"metric\": \"loss\", \"epoch\": 7, \"step\": 10.0}\n\
            {\"loss\": 0.1}\n{\"metric\": \"loss\"}\n{\"metric\": \"loss\", \"value\": [1]}\n\
            {\"metric\": \"loss\", \"value\": 1e0";
        let last = "\n  {\"metric\": \"loss\", \"value\": \"0.3\"}  ";
        assert_eq!(
            read(&format!("{output}{last}"), Goal::Minimize, ValueRule::Best),
            (vec![(1, 0.5), (10, 0.25), (11, 0.3)], Some(0.25), "acc".to_owned())
        );
    }

    #[test]
    fn reads_the_old_sdk_s_two_lines() {
        let output = "Attempted to log scalar metric loss:\n0.5\n\
            Attempted to log scalar metric acc:\n0.9\n\
            Attempted to log scalar metric loss:\nnothing\n0.1\n\
            Attempted to log scalar metric loss:\r\n0.75\r\n";
        assert_eq!(
            read(output, Goal::Maximize, ValueRule::Best),
            (vec![(1, 0.5), (2, 0.75)], Some(0.75), "acc".to_owned())
        );
    }

    #[test]
    fn keeps_what_is_not_finite_out_of_the_value() {
        let output = "{\"metric\": \"loss\", \"value\": NaN}\n\
            {\"metric\": \"loss\", \"value\": \"-Infinity\"}\n\
            {\"metric\": \"loss\", \"value\": 2, \"note\": \"NaN \\\" Infinity\"}\n\
            {\"metric\": \"loss\", \"value\": -Infinity, \"note\": \"a\"}\n";
        assert_eq!(
            read(output, Goal::Minimize, ValueRule::Last),
            (vec![(3, 2.0)], None, String::new())
        );
        let (first, _) = output.rsplit_once("{\"metric\": \"loss\", \"value\": -Inf").unwrap();
        assert_eq!(read(first, Goal::Minimize, ValueRule::Last).1, Some(2.0));
        assert_eq!(read(output, Goal::Minimize, ValueRule::Best).1, Some(2.0));
    }

    #[test]
    fn a_number_beyond_every_float_is_infinite() {
        let objective =
            Objective { metric: "loss".to_owned(), goal: Goal::Minimize, value: ValueRule::Best };
        for (value, n_not_finite, expected) in [
            ("1e999", 1, None),
            ("-1e999", 1, None),
            ("\"1e999\"", 1, None),
            ("1e99", 0, Some(1e99)),
            ("2, \"note\": \"1e999\", \"time\": 1E+400", 0, Some(2.0)),
            ("[1e999]", 0, None),
        ] {
            let text = format!("{{\"metric\":\"loss\",\"value\":{value}}}");
            let mut metrics = Metrics::new(&objective, &[]);
            metrics.read(&Line { text: &text, whole: true });
            assert_eq!((metrics.n_not_finite, metrics.value), (n_not_finite, expected), "{text}");
        }
        assert_eq!(
            read("{\"metric\":\"loss\",\"value\":1e999}", Goal::Minimize, ValueRule::Best).1,
            None
        );
    }

    #[test]
    fn the_last_report_counts_where_the_job_says_so() {
        let output = "{\"metric\":\"loss\",\"value\":1}\n{\"metric\":\"loss\",\"value\":3}\n";
        assert_eq!(read(output, Goal::Minimize, ValueRule::Last).1, Some(3.0));
        assert_eq!(read(output, Goal::Minimize, ValueRule::Best).1, Some(1.0));
        assert_eq!(read(output, Goal::Maximize, ValueRule::Best).1, Some(3.0));
    }

    #[test]
    fn an_endless_line_is_no_report_and_takes_no_memory() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for _ in 0..1000 {
            lines.push(&[b'x'; 4096], |_| seen.push(0));
            assert!(lines.line.capacity() <= 2 * MAX_LINE);
        }
        lines.push(b"\nshort\n", |line| {
            seen.push(if line.whole { line.text.len() } else { 1 });
        });
        assert_eq!(seen, [1, 5]);
    }
}
