//! The values of a study's other metrics, so that they belong together with the objective's value.
//!
//! Where the last report counts, the last one of each does. Where the best does, they are those that
//! had been reported by the end of its step: a program may report them before it or after it. One that
//! comes later than that still counts where there is no other.

use fleetfit_search_spaces::ValueRule;

/// One value for each metric.
#[derive(Debug)]
pub(in crate::command) struct Others<'a> {
    names: &'a [String],
    values: Vec<Value>,
    rule: ValueRule,
    /// The step of the best value so far; none where the last one counts, or nothing is known yet.
    best_step: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Value {
    last: Option<f64>,
    last_step: u64,
    /// What it was when the step of the best value ended.
    counts: Option<f64>,
    /// Whether a report was no finite number.
    is_odd: bool,
}

impl<'a> Others<'a> {
    pub(super) fn new(names: &'a [String], rule: ValueRule) -> Self {
        Self { names, values: vec![Value::default(); names.len()], rule, best_step: None }
    }

    /// Takes a report in; false if it is of no metric of these.
    pub(super) fn take(&mut self, metric: &str, step: Option<u64>, reported: f64) -> bool {
        let Some(place) = self.names.iter().position(|name| name == metric) else {
            return false;
        };
        let value = &mut self.values[place];
        value.last_step = step.unwrap_or_else(|| value.last_step.saturating_add(1));
        if !reported.is_finite() {
            value.is_odd = true;
            if self.rule == ValueRule::Last {
                (value.last, value.counts) = (None, None);
            }
            return true;
        }
        value.last = Some(reported);
        let is_late = self.best_step.is_some_and(|best| value.last_step > best);
        if !is_late || value.counts.is_none() {
            value.counts = Some(reported);
        }
        true
    }

    /// The objective has a value that counts from now on, at this step where it is the best.
    pub(super) fn settle(&mut self, step: Option<u64>) {
        self.best_step = step;
        self.values.iter_mut().for_each(|value| value.counts = value.last);
    }

    /// What counts; or the first metric that lacks a value, and whether it was reported.
    pub(in crate::command) fn values(&self) -> Result<Vec<f64>, (&'a str, bool)> {
        let pairs = self.names.iter().zip(&self.values);
        pairs.map(|(name, value)| value.counts.ok_or((name.as_str(), value.is_odd))).collect()
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Goal, Objective, ValueRule};

    use super::super::{Line, Metrics};

    /// What counts after these reports: a metric's letter, a step if any, and a value.
    fn check(rule: ValueRule, output: &str, expected: Result<(f64, &[f64]), (&str, bool)>) {
        let objective = Objective { metric: "l".to_owned(), goal: Goal::Minimize, value: rule };
        let names = ["a".to_owned(), "b".to_owned()];
        let mut metrics = Metrics::new(&objective, &names);
        for report in output.split_whitespace() {
            let (metric, rest) = report.split_at(1);
            let (step, value) = match rest.split_once('@') {
                Some((value, step)) => (format!(", \"step\": {step}"), value),
                None => (String::new(), rest),
            };
            let text = format!("{{\"metric\": \"{metric}\", \"value\": {value}{step}}}");
            metrics.read(&Line { text: &text, whole: true });
        }
        let found = metrics.further.values();
        let expected = expected.map(|(value, others)| (value, others.to_vec()));
        assert_eq!(found.map(|others| (metrics.value.unwrap(), others)), expected, "{output}");
    }

    #[test]
    fn the_last_of_each_counts() {
        check(ValueRule::Last, "l1 a5 b7 l3 a6", Ok((3.0, &[6.0, 7.0])));
        check(ValueRule::Last, "a5 b7 l3 l2", Ok((2.0, &[5.0, 7.0])));
    }

    #[test]
    fn values_of_the_best_step_belong_together() {
        // Before the objective, after it, and once at the end.
        check(ValueRule::Best, "a5 b7 l1 a6 b8 l3", Ok((1.0, &[5.0, 7.0])));
        check(ValueRule::Best, "l3 a5 b7 l1 a6 b8 l2 a9 b9", Ok((1.0, &[6.0, 8.0])));
        check(ValueRule::Best, "l3@10 a5@10 l1@20 a6@20 l2@30 a9@30 b4@30", Ok((1.0, &[6.0, 4.0])));
        check(ValueRule::Best, "l3 l1 l2 a4 b2", Ok((1.0, &[4.0, 2.0])));
    }

    #[test]
    fn one_that_never_came_is_told() {
        check(ValueRule::Last, "l1 b7", Err(("a", false)));
        check(ValueRule::Last, "l1 a4 bNaN", Err(("b", true)));
        check(ValueRule::Last, "l1 a4 b1 bNaN", Err(("b", true)));
        check(ValueRule::Last, "l1 a4 bNaN b1", Ok((1.0, &[4.0, 1.0])));
        check(ValueRule::Best, "l1 aNaN a3 b1", Ok((1.0, &[3.0, 1.0])));
        check(ValueRule::Best, "a5@1 aNaN@2 b1@1 l1@1", Ok((1.0, &[5.0, 1.0])));
    }
}
