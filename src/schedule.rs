//! `fleetfit schedule`: jobs that a service runs again and again.

use std::path::{Path, PathBuf};

use fleetfit_scheduler::schedule::{NewSchedule, ScheduleView, StoredJob, Timestamp};
use fleetfit_search_spaces::schedule::{Change, CreateJob, Schedule, ScheduleFile};
use fleetfit_search_spaces::{Job, Place, Problem, Problems};
use serde_json::Value as Json;

use crate::cli::{ScheduleArgs, ScheduleCommand, ServerArgs};
use crate::client::escape;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::show::table;
use crate::start;
use crate::submission::{self, Ground, Submission, Verdict};
use crate::submit;

/// The key under which a job stands in its schedule.
const IN_PLACE: &str = "create_job";

/// Does what was asked for.
pub(crate) fn schedule(
    command: &ScheduleCommand,
    home: &Path,
    printer: &Printer,
) -> Result<i32, Failure> {
    match command {
        ScheduleCommand::Create { file, server } => create(file, server, home, printer),
        ScheduleCommand::List(server) => list(server, home, printer),
        ScheduleCommand::Show(args) => {
            let client = submit::service(home, &args.server)?;
            told(&client.get(&path(args))?, printer)
        }
        ScheduleCommand::Pause(args) => change(args, "pause", home, printer),
        ScheduleCommand::Resume(args) => change(args, "resume", home, printer),
        ScheduleCommand::Trigger(args) => change(args, "trigger", home, printer),
        ScheduleCommand::Delete(args) => {
            let answered: Json = submit::service(home, &args.server)?.delete(&path(args))?;
            match printer.is_json() {
                true => printer.json(&answered)?,
                false => printer.line(&format!("{}: deleted", args.schedule))?,
            }
            Ok(exit::DONE)
        }
    }
}

fn path(args: &ScheduleArgs) -> String {
    format!("/schedules/{}", escape(&args.schedule))
}

/// Sends a schedule and its job. What the job names is read anew at each run by a service of this
/// machine, and sent to any other.
fn create(
    file: &Path,
    server: &ServerArgs,
    home: &Path,
    printer: &Printer,
) -> Result<i32, Failure> {
    let (name, text, folder) = submission::read(file, "schedule")?;
    let schedule = ScheduleFile::read(&name, &text).map_err(Failure::Problems)?;
    let judgement = schedule.judge();
    printer.notices(&judgement.notices);
    let submission = judgement.create_job.map(|job| match job {
        CreateJob::File { path, changes, place } => {
            let beside = file.parent().unwrap_or(Path::new("")).join(&path);
            let job = submission::read(&beside, "job file")
                .map_err(|failure| not_there(failure, &path, &place));
            of_file(job?, &changes, printer)
        }
        CreateJob::Inline(job) => {
            let ground = Ground::Folder(folder);
            let verdict = Verdict::of(&job.file, job.text.clone(), Vec::new(), ground);
            taken(verdict, printer, |place, says| in_place(place, says, &job))
        }
    });
    let submission = together(&schedule, judgement.schedule, submission)?;
    let client = submit::service(home, server)?;
    let base_dir = submission.base_dir.to_str().filter(|_| server.server.is_none());
    let material = match base_dir {
        Some(_) => None,
        None => submit::send(&client, &submission, home, printer)?,
    };
    if material.is_some() {
        printer.note(
            "notice: the files are sent now; each run uses these copies. On the service's own \
             machine, create it with --data-dir to have them read anew",
        );
    }
    let job = StoredJob {
        file: submission.job.file.clone(),
        base_dir: base_dir.map(str::to_owned),
        text: submission.text,
        sets: submission.sets,
        material,
    };
    let new = NewSchedule { file: name, text, job: Some(job) };
    told(&client.post_json("/schedules", &new)?, printer)
}

/// The job that a schedule runs; or the problems of both at once, those of the schedule's file first,
/// in their order there.
fn together(
    file: &ScheduleFile,
    schedule: Result<Schedule, Problems>,
    job: Option<Result<Submission, Failure>>,
) -> Result<Submission, Failure> {
    let mut problems = schedule.err().map_or_else(Vec::new, |problems| problems.0);
    match job {
        Some(Ok(submission)) if problems.is_empty() => return Ok(submission),
        Some(Err(Failure::Problems(Problems(of_job)))) => {
            // A job that stands in the schedule was judged with it: only its files are news.
            let is_told = |own: &Problem, told: &Problem| {
                (&own.place.file, &own.place.path, &own.message)
                    == (&told.place.file, &told.place.path, &told.message)
            };
            let fresh =
                of_job.into_iter().filter(|own| !problems.iter().any(|it| is_told(own, it)));
            let fresh: Vec<_> = fresh.collect();
            problems.extend(fresh);
        }
        Some(Err(failure)) if problems.is_empty() => return Err(failure),
        _ => {}
    }
    // Where nothing else is wrong the service says it, which may have this very schedule.
    file.judge_times(Timestamp::now(), &mut problems);
    problems.sort_by_key(|problem| match problem.place.file == file.file {
        true => (false, problem.place.line, problem.place.column),
        false => (true, 0, 0),
    });
    Err(Failure::Problems(Problems(problems)))
}

/// A job's file that cannot be read, where the schedule names it.
fn not_there(failure: Failure, path: &str, place: &Place) -> Failure {
    let Failure::Problems(Problems(mut problems)) = failure else { return failure };
    for problem in &mut problems {
        problem.message = format!("{} names {path}: {}", place.path, problem.message);
        problem.place = place.clone();
        if problem.hint.as_ref().is_some_and(|hint| hint.starts_with("check the path")) {
            problem.hint = Some("check the path; it starts from the schedule's folder".to_owned());
        }
    }
    Failure::Problems(Problems(problems))
}

/// The job of a file, with what the schedule changes in it.
fn of_file(
    (file, text, folder): (String, String, PathBuf),
    changes: &[Change],
    printer: &Printer,
) -> Result<Submission, Failure> {
    let sets = changes.iter().map(|change| (change.path.clone(), change.value.clone())).collect();
    let verdict = Verdict::of(&file, text, sets, Ground::Folder(folder));
    printer.notices(&verdict.notices);
    taken(verdict, printer, |place, _| {
        // A change stands in the schedule, not on the command line.
        let made =
            |change: &&Change| place.file == format!("--set {}={}", change.path, change.value);
        if let Some(change) = changes.iter().find(made) {
            *place = change.place.clone();
        }
    })
}

/// What may be submitted, or its problems. Places and what is said of them are brought to where they
/// stand.
fn taken(
    verdict: Verdict,
    printer: &Printer,
    bring: impl Fn(&mut Place, &mut String),
) -> Result<Submission, Failure> {
    let mut problems = verdict.problems;
    problems.extend(verdict.unreadable);
    problems.extend(verdict.submission.iter().flat_map(|it| it.study.cannot_run.clone()));
    if let Some(submission) = verdict.submission.filter(|_| problems.is_empty()) {
        match start::judge(&submission) {
            Ok(mut notices) => {
                notices.iter_mut().for_each(|it| bring(&mut it.place, &mut it.message));
                printer.notices(&notices);
                return Ok(submission);
            }
            Err(Failure::Problems(Problems(of_start))) => problems = of_start,
            Err(failure) => return Err(failure),
        }
    }
    problems.iter_mut().for_each(|it| bring(&mut it.place, &mut it.message));
    Err(Failure::Problems(Problems(problems)))
}

/// What is said of a job that stands in its schedule: its place is the one there.
fn in_place(place: &mut Place, says: &mut String, job: &Job) {
    let mut node = &job.document;
    for step in place.path.split('.') {
        match node.at_path(step) {
            Some(child) => node = child,
            None => break,
        }
    }
    (place.line, place.column) = (node.line, node.column);
    let (own, path) = match std::mem::take(&mut place.path) {
        root if root.is_empty() => ("the job".to_owned(), IN_PLACE.to_owned()),
        own => (own.clone(), format!("{IN_PLACE}.{own}")),
    };
    if let Some(rest) = says.strip_prefix(&own) {
        *says = format!("{path}{rest}");
    }
    place.path = path;
}

fn list(server: &ServerArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let client = submit::service(home, server)?;
    let views = client.each_page("/schedules?", Vec::new(), |views, more: Vec<ScheduleView>| {
        Ok([views, more].concat())
    })?;
    if printer.is_json() {
        views.iter().try_for_each(|view| printer.json(view))?;
    } else if views.is_empty() {
        printer.note("no schedules yet; keep one with fleetfit schedule create FILE");
    } else {
        let head = ["schedule", "status", "next", "last study", ">missed", "trigger"];
        let rows = views.iter().map(|view| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
            vec![
                view.schedule.clone(),
                status(view).to_owned(),
                or_none(&view.next_due),
                or_none(&view.last_study),
                view.missed.to_string(),
                view.trigger.clone(),
            ]
        });
        printer.line(&table(&head, &rows.collect::<Vec<_>>()))?;
    }
    Ok(exit::DONE)
}

fn change(args: &ScheduleArgs, what: &str, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let client = submit::service(home, &args.server)?;
    told(&client.post(&format!("{}/{what}", path(args)))?, printer)
}

fn status(view: &ScheduleView) -> &'static str {
    match (&view.last_error, view.paused, &view.next_due) {
        (_, true, _) => "paused",
        (Some(_), false, _) => "failing",
        (None, false, Some(_)) => "waiting",
        (None, false, None) => "over",
    }
}

fn told(view: &ScheduleView, printer: &Printer) -> Result<i32, Failure> {
    match printer.is_json() {
        true => printer.json(view)?,
        false => printer.line(&block(view))?,
    }
    Ok(exit::DONE)
}

/// How a schedule stands: a block of lines.
fn block(view: &ScheduleView) -> String {
    let mut lines = vec![format!("{}: {}", view.schedule, status(view))];
    let mut say = |what: &str, how: &Option<String>| {
        if let Some(how) = how {
            lines.push(format!("  {what:<9} {how}"));
        }
    };
    say("", &view.description);
    say("trigger", &Some(view.trigger.clone()));
    say("job", &view.job);
    say("next", &view.next_due);
    say("last", &view.last_fired);
    say("study", &view.last_study);
    say("error", &view.last_error.as_ref().map(|error| error.replace('\n', "\n            ")));
    if view.missed > 0 {
        let latest = view.last_missed.as_deref().unwrap_or("unknown");
        say("missed", &Some(format!("{}, the latest {latest}", view.missed)));
    }
    lines.join("\n")
}
