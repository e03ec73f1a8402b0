//! A schedule: when to run a job, again and again. The files are those of Azure ML's CLI v2.
//!
//! A [`ScheduleFile`] is a document with places, as a `Job` is; [`ScheduleFile::judge`] turns it
//! into a [`Schedule`] or says everything that is wrong. Its [`Trigger`] computes when the job is
//! due; which of those times are over is for whoever has a clock.

mod create;
mod cron;
mod recurrence;
mod trigger;
mod windows;
mod zone;

pub use self::create::{Change, CreateJob};
pub use self::cron::Cron;
pub use self::recurrence::{Frequency, Pattern, Recurrence};
pub use self::trigger::{Dues, Rule, Trigger};
pub use self::zone::Zone;

use jiff::Timestamp;

use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::ignored::{LABELS, RECORDED};
use crate::job::syntax_problem;
use crate::problem::{Notice, Place, Problem, Problems};
use crate::study::{check_labels, read_name_of};
use crate::yaml::{Content, Node, parse};

/// The longest name: the studies are called by it and the time at which they were due.
const MAX_NAME: usize = 100;

/// What Azure adds to a schedule that it has.
const OF_SCHEDULES: &[&str] = &["is_enabled", "provisioning_state"];

/// Azure's schedules of another kind, and what they do.
const OTHERS: &[(&str, &str)] = &[
    ("create_monitor", "watches data and models in an Azure workspace"),
    ("import_data", "imports data into an Azure workspace"),
];

/// Keys that jobs have and schedules do not.
const OF_JOBS: &[&str] = &[
    "trial",
    "search_space",
    "sampling_algorithm",
    "objective",
    "training_data",
    "task",
    "primary_metric",
];

/// A schedule as the user wrote it.
#[derive(Clone, Debug)]
pub struct ScheduleFile {
    /// The file's name, as the user gave it.
    pub file: String,
    /// The text.
    pub text: String,
    document: Node,
    mistakes: Vec<Problem>,
}

/// A schedule with everything that can be said about it.
#[derive(Debug)]
pub struct ScheduleJudgement {
    /// What it means, or every problem at once.
    pub schedule: Result<Schedule, Problems>,
    /// What it runs, as far as that can be told whatever else is wrong.
    pub create_job: Option<CreateJob>,
    /// What is worth saying about it.
    pub notices: Vec<Notice>,
}

/// A validated schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The name, unique in a service.
    pub name: String,
    /// A name for people.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// When.
    pub trigger: Trigger,
    /// What.
    pub create_job: CreateJob,
}

impl ScheduleFile {
    /// Parses the text. Mistakes in spite of which the document can be told become problems when it
    /// is judged.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        let (document, errors) = parse(text);
        let mistakes = errors.into_iter().map(|error| {
            syntax_problem(file, error.of("a schedule", "begin with name: weekly-demand"))
        });
        let mistakes: Vec<Problem> = mistakes.collect();
        let Some(document) = document else {
            return Err(Problems(mistakes));
        };
        Ok(Self { file: file.to_owned(), text: text.to_owned(), document, mistakes })
    }

    /// What it means, or every problem at once.
    pub fn schedule(&self) -> Result<Schedule, Problems> {
        self.judge().schedule
    }

    /// What it means, or every problem; and what is worth saying about it.
    pub fn judge(&self) -> ScheduleJudgement {
        let mut findings = Findings::new(&self.file, &[]);
        let mut create_job = None;
        let schedule = self.read_schedule(&mut create_job, &mut findings);
        let Findings { mut problems, mut notices, cannot_run, .. } = findings;
        problems.extend(cannot_run);
        problems.extend(self.mistakes.iter().cloned());
        let position = |place: &Place| (place.line, place.column);
        problems.sort_by_key(|problem| position(&problem.place));
        notices.sort_by_key(|notice| position(&notice.place));
        let schedule = match schedule {
            Some(schedule) if problems.is_empty() => Ok(schedule),
            _ => Err(Problems(problems)),
        };
        ScheduleJudgement { schedule, create_job, notices }
    }

    /// The schedule in one canonical form: two schedules are the same when these are equal. What only
    /// describes them is left out.
    pub fn canonical(&self) -> String {
        let mut json = self.document.to_json();
        if let Some(root) = json.as_object_mut() {
            let idle: [&[&str]; 4] =
                [&["$schema", "display_name", "description"], LABELS, RECORDED, OF_SCHEDULES];
            root.retain(|key, _| !idle.concat().contains(&key.as_str()));
        }
        json.to_string()
    }

    fn read_schedule(
        &self,
        job: &mut Option<CreateJob>,
        findings: &mut Findings,
    ) -> Option<Schedule> {
        let at = At::root(&self.document);
        let Content::Map(_) = &self.document.content else {
            let allowed = "a map with name, trigger and create_job";
            let says = format!("is {}, but must be {allowed}", self.document.brief());
            let mut problem = findings.describe(&at, Mistake::new(&says, allowed));
            problem.message = format!("the schedule {says}");
            findings.problems.push(problem);
            return None;
        };
        let mut root = at.map(findings)?;
        if OF_JOBS.iter().any(|key| root.has(key))
            && !["trigger", "create_job"].iter().any(|key| root.has(key))
        {
            findings.problems.push(self.is_a_job(&at, findings));
            return None;
        }
        let name = root.require("name", "name: weekly-demand", findings);
        let whose = ("a schedule's name", MAX_NAME);
        let name = name.and_then(|at| read_name_of(&at, whose, findings));
        let text = |root: &mut Fields<'_>, key, findings: &mut Findings| {
            root.take(key, findings).and_then(|at| at.text(findings))
        };
        text(&mut root, "$schema", findings);
        let display_name = text(&mut root, "display_name", findings);
        let description = text(&mut root, "description", findings);
        for key in LABELS {
            if let Some(at) = root.take(key, findings) {
                check_labels(&at, findings);
            }
        }
        root.ignore(RECORDED);
        root.ignore(OF_SCHEDULES);
        let trigger = root
            .require("trigger", "trigger: {type: cron, expression: \"0 6 * * *\"}", findings)
            .and_then(|at| Trigger::read(&at, findings));
        let is_other = refuse_others(&mut root, findings);
        let create_job = match is_other && !root.has("create_job") {
            true => None,
            false => root.require("create_job", "create_job: ./job.yaml", findings),
        };
        let create_job = create_job.and_then(|at| CreateJob::read(&at, &self.file, findings));
        job.clone_from(&create_job);
        root.finish(findings);
        Some(Schedule {
            name: name?,
            display_name,
            description,
            trigger: trigger?,
            create_job: create_job?,
        })
    }
}

impl ScheduleFile {
    /// Adds what is wrong with one that is never due when it is created now, unless its times are
    /// complained about already.
    pub fn judge_times(&self, now: Timestamp, problems: &mut Vec<Problem>) {
        let Some(trigger) = At::root(&self.document).get("trigger") else { return };
        if !Trigger::is_over(&trigger, now) {
            return;
        }
        // What has passed is most often its end.
        let at = trigger.get("end_time").unwrap_or(trigger);
        let what = match at.path.ends_with("end_time") {
            true => format!("is {}, and no time before it is", at.node.brief()),
            false => "has no time that is".to_owned(),
        };
        let says = format!("{what} still to come: the schedule is never due");
        let mistake = Mistake::new(says, "a trigger with a time that is still to come");
        let hint = "write a later end_time, leave it out, or write a rule that comes again";
        let problem = Findings::new(&self.file, &[]).describe(&at, mistake.hint(hint));
        if !problems.iter().any(|other| other.place == problem.place) {
            problems.push(problem);
        }
    }

    fn is_a_job(&self, at: &At<'_>, findings: &Findings) -> Problem {
        let says = "this is a job, not a schedule";
        let file = self.file.rsplit('/').next().unwrap_or_default();
        let mistake = Mistake::new(says, "a map with name, trigger and create_job");
        let mut problem = findings.describe(
            at,
            mistake.hint(format!(
                "write a file beside it: name: weekly, trigger: {{type: cron, expression: \
                 \"0 6 * * 1\"}}, create_job: ./{file}; and name that one"
            )),
        );
        problem.message = says.to_owned();
        problem
    }
}

/// Schedules that run no job.
fn refuse_others(root: &mut Fields<'_>, findings: &mut Findings) -> bool {
    let mut is_other = false;
    for (key, what) in OTHERS {
        for at in root.ignore(&[key]) {
            is_other = true;
            let mistake = Mistake::new(format!("{what}; schedules here run jobs"), "create_job");
            findings.key_problem(&at, mistake.hint("write create_job: ./job.yaml"));
        }
    }
    is_other
}
