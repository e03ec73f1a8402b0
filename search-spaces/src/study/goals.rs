//! What a sweep aims at: `objective` and `constraints`, and what does not go together with several.

use crate::constraint::Constraint;
use crate::data::Task;
use crate::fields::{At, Fields};
use crate::findings::Findings;
use crate::objective::{Measurer, Objective};

/// What was read. Where there are no objectives there is a problem.
pub(super) struct Goals {
    pub(super) objectives: Option<Vec<Objective>>,
    pub(super) constraints: Vec<Constraint>,
}

pub(super) fn read_goals(
    root: &mut Fields<'_>,
    has_learner: bool,
    task: Option<Task>,
    findings: &mut Findings,
) -> Goals {
    let example = match (has_learner, task) {
        (false, _) => "objective: {goal: minimize, primary_metric: loss}",
        (true, Some(Task::Classification)) => {
            "objective: {goal: maximize, primary_metric: auc_weighted}"
        }
        (true, _) => "objective: {goal: minimize, primary_metric: root_mean_squared_error}",
    };
    let measurer = if has_learner { Measurer::Trainer(task) } else { Measurer::Command };
    let at = root.require("objective", example, findings);
    let objectives = at.and_then(|at| Objective::read_all(&at, measurer, findings));
    let at = root.take("constraints", findings);
    let constraints = at.and_then(|at| Constraint::read_all(&at, measurer, findings));
    Goals { objectives, constraints: constraints.unwrap_or_default() }
}

impl Goals {
    /// Says which of several metrics the parts of a job go by that know one only.
    pub(super) fn say_what_counts(
        &self,
        root: &At<'_>,
        has_learner: bool,
        findings: &mut Findings,
    ) {
        let Some([first, further @ ..]) = self.objectives.as_deref() else { return };
        let metric = &first.metric;
        let others = match (further.is_empty(), self.constraints.is_empty()) {
            (true, true) => return,
            (false, true) => "the other objectives play no part",
            (true, false) => "what breaks a constraint is no measure for others",
            (false, false) => {
                "the other objectives play no part, and what breaks a constraint is no measure for \
                 others"
            }
        };
        // Halving goes by all of them, where the runner tells of all of them on the way.
        let halves = |at: &At<'_>| {
            let kind = at.get("type").and_then(|kind| kind.plain_text());
            has_learner && matches!(kind.as_deref(), Some("asha" | "hyperband"))
        };
        if let Some(at) = root.get("early_termination").filter(|at| !halves(at)) {
            let by = if has_learner { "on the way by" } else { "by their reports of" };
            let says = format!("judges trials {by} {metric} alone; {others}");
            findings.notice(&at, &says);
        }
        if let Some(at) = root.get("start_from") {
            let says = "says what to try first; of what came of earlier trials nothing is learnt, \
                        because one value does not say how a trial stands by several metrics";
            findings.notice(&at, says);
        }
        if let Some(at) = root.get("selection")
            && !further.is_empty()
            && at.plain_text().as_deref() == Some("shared")
        {
            let says =
                format!("takes, of the front over all entities, the one with the best {metric}");
            findings.notice(&at, &says);
        }
    }
}
