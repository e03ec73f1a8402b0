//! `fleetfit run` and `fleetfit resume`: scheduler and runners in this process, until done.

use std::path::Path;
use std::time::Duration;

use fleetfit_scheduler::engine::{EngineHandle, Note, OpenStudy};
use fleetfit_scheduler::journal::{Journal, Status, StudyRecord, Summary};
use fleetfit_scheduler::query::{self, StatusView};
use fleetfit_search_spaces::{Algorithm, Notice, Problems, Study, Work};
use fleetfit_trial_runner::devices::{Asked, Choice, Done};
use fleetfit_trial_runner::runner::Lacking;
use serde::Serialize;

use crate::cli::{PowerArgs, ResumeArgs, RunArgs};
use crate::client::{Client, escape};
use crate::exit;
use crate::failure::Failure;
use crate::host::{self, Descent};
use crate::inside;
use crate::interrupt::Interrupt;
use crate::material::Material;
use crate::output::Printer;
use crate::owner::Owner;
use crate::progress::Progress;
use crate::show;
use crate::source::{self, Source};
use crate::submission::{Ground, Submission, Verdict};

/// Runs the job, or goes on with it, or prints its stored result.
pub(crate) fn run(args: &RunArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let interrupt = Interrupt::watch()?;
    let verdict = Verdict::reach(&args.job)?;
    let Some(mut submission) = verdict.submission else {
        printer.notices(&verdict.notices);
        return Err(Failure::Problems(Problems(verdict.problems)));
    };
    let refused = &submission.study.cannot_run;
    // What is refused is told once, as a problem.
    let is_told = |notice: &&Notice| {
        refused.iter().any(|own| own.place == notice.place && own.message == notice.message)
    };
    let notices = submission.study.notices.iter().filter(|notice| !is_told(notice));
    printer.notices(&notices.cloned().collect::<Vec<_>>());
    if !refused.is_empty() {
        return Err(Failure::Problems(Problems(submission.study.cannot_run)));
    }
    refuse_external(&submission)?;
    // Everything that takes long or can be refused comes first: while the journal is open here, it
    // is closed to everybody else.
    let material = Material::gather(&submission, home)?;
    let choice = device(args.power, &submission.study)?;
    let journal = source::open_journal(home)?;
    let name = &submission.study.name.clone();
    let record = match journal.find(name)? {
        Some(record) => {
            host::same(&record, &submission, &material)?;
            // The same job may be written in another order, and samplers go by the order.
            submission.study = host::stored_study(&record)?;
            record
        }
        None => {
            let descent = Descent::default();
            let record = host::create(&journal, home, &submission, &material, descent)?;
            printer.notices(&record.head.notices);
            record
        }
    };
    let notices = material.notices(&submission);
    printer.notices(&notices);
    let slots = inside::slots(args.power.slots);
    let session = Session { home, printer, slots, choice, notices, interrupt };
    if record.summary.status.is_over() {
        let what = match record.summary.status {
            Status::Stopped => {
                format!(
                    "was cancelled; to go on, write fleetfit resume {name}. This is what it found"
                )
            }
            _ => "has run; here is its stored result".to_owned(),
        };
        printer.note(&format!("{name}: this job {what}"));
        return session.conclude(&journal, name);
    }
    session.go(journal, &record, submission, material, false)
}

/// Trials that are run outside are asked for over the API of a service.
fn refuse_external(submission: &Submission) -> Result<(), Failure> {
    if !matches!(submission.study.work, Work::External) {
        return Ok(());
    }
    let found = "external, whose trials your own program asks a service for";
    let allowed = "a map with command or learner for fleetfit run";
    let hint = "start a service (fleetfit serve) and submit the job to it (fleetfit submit)";
    Err(Failure::problem(submission.job.problem_at("trial", found, allowed, Some(hint))))
}

/// Goes on with a stored study.
pub(crate) fn resume(args: &ResumeArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    if let Some(service) = Source::service(home, &args.server)? {
        return resume_there(&service, &args.study, printer);
    }
    let interrupt = Interrupt::watch()?;
    let record = source::record(&source::open_journal(home)?, &args.study)?;
    let verdict = Verdict::of(
        &record.head.job_file,
        record.head.job_text.clone(),
        record.head.sets.clone(),
        Ground::Folder(record.head.base_dir.clone()),
    );
    let Some(submission) = verdict.submission else {
        return Err(Failure::Problems(Problems(verdict.problems)));
    };
    let material = Material::gather(&submission, home)?;
    let choice = device(args.power, &submission.study)?;
    let journal = source::open_journal(home)?;
    let record = source::record(&journal, &args.study)?;
    host::same(&record, &submission, &material)?;
    let notices = material.notices(&submission);
    let slots = inside::slots(args.power.slots);
    let session = Session { home, printer, slots, choice, notices, interrupt };
    let is_over = matches!(record.summary.status, Status::Completed | Status::Failed);
    if is_over && !record.may_improve(&submission.study) {
        printer.note(&format!("{}: this study is over; here is its result", args.study));
        return session.conclude(&journal, &args.study);
    }
    refuse_external(&submission)?;
    session.go(journal, &record, submission, material, true)
}

/// Has a service go on with a study.
fn resume_there(service: &Client, study: &str, printer: &Printer) -> Result<i32, Failure> {
    let view: StatusView = service.post(&format!("/studies/{}/resume", escape(study)))?;
    match printer.is_json() {
        true => printer.json(&view)?,
        false => printer.line(&show::status(&view))?,
    }
    Ok(exit::DONE)
}

/// What a study is trained on. Nobody looks for a card that nothing is trained on, or hears of one.
fn device(power: PowerArgs, study: &Study) -> Result<Choice, Failure> {
    match power.device {
        Asked::Auto if !study.is_of_cards() => Ok(Choice::default()),
        asked => inside::device(asked),
    }
}

/// One run of one study in this process.
struct Session<'a> {
    home: &'a Path,
    printer: &'a Printer,
    slots: usize,
    choice: Choice,
    notices: Vec<Notice>,
    interrupt: Interrupt,
}

/// What `run` and `resume` tell programs.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    view: &'a StatusView,
    /// What a card did; not there without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Done>,
}

impl Session<'_> {
    fn go(
        self,
        journal: Journal,
        record: &StudyRecord,
        submission: Submission,
        material: Material,
        reopen: bool,
    ) -> Result<i32, Failure> {
        let name = submission.study.name.clone();
        let study = &submission.study;
        if let Some(notice) = host::mixed(record, study) {
            self.printer.note(&notice);
        }
        let (seed, n_entities) = (record.head.seed, record.head.entities);
        let total = n_configurations(study) * u64::from(n_entities);
        let metric = study.objective.metric.clone();
        let open = OpenStudy {
            id: record.id,
            study: study.clone().within(record.head.extent),
            seed,
            n_entities,
            large: record.head.large.clone(),
            warm: record.head.warm.clone(),
            reopen,
            adopted: Vec::new(),
            opened: None,
        };
        let work = host::work(self.home, record, submission, material)?;
        inside::introduce(&self.choice, |text| self.printer.note(text));
        let device = self.choice.device.clone();
        let power = (self.slots, device.clone());
        let nothing = |_| Err(Lacking("this process runs one study only".into()));
        let (engine, runner) = inside::start(&journal, power, true, Box::new(nothing), |_| {})?;
        runner.add(record.id, work);
        let handle = engine.handle();
        self.interrupt.begin();
        // The study is opened before the door is: whoever comes in finds it running.
        handle.tell(Note::Open(Box::new(open)));
        let owner = Owner::open(self.home, journal.clone(), handle.clone())?;
        let progress = Progress::start(self.printer, &name, &metric, total);
        let attended = attend(&handle, &name, &self.interrupt, &mut |summary| {
            if let Some(summary) = summary {
                progress.show(summary);
            }
            device.news().iter().for_each(|news| self.printer.note(news));
        });
        progress.finish();
        let ended = engine.interrupt();
        inside::say_farewell(runner);
        drop(owner);
        let was_interrupted = attended?;
        ended.map_err(|error| Failure::outside(&error))?;
        if was_interrupted {
            return self.interrupted(&journal, &name);
        }
        self.conclude(&journal, &name)
    }

    fn interrupted(&self, journal: &Journal, name: &str) -> Result<i32, Failure> {
        let view = self.view(journal, name)?;
        if self.printer.is_json() {
            self.printer.json(&self.document(&view))?;
        }
        self.printer
            .note(&format!("{}\ninterrupted; the same command resumes", show::status(&view)));
        Ok(exit::INTERRUPTED)
    }

    /// Prints how the study ended.
    fn conclude(&self, journal: &Journal, name: &str) -> Result<i32, Failure> {
        let view = self.view(journal, name)?;
        if self.printer.is_json() {
            self.printer.json(&self.document(&view))?;
        } else {
            self.printer.line(&show::status(&view))?;
            if view.entities > 1 {
                let bests: Vec<_> =
                    query::best_all(journal, name)?.take(SHOWN + 1).collect::<Result<_, _>>()?;
                let shown = &bests[..bests.len().min(SHOWN)];
                self.printer.line(&format!("\n{}", show::bests(shown, &view.metric.name)))?;
                if bests.len() > SHOWN {
                    let rest = u64::from(view.entities) - SHOWN as u64;
                    self.printer.line(&format!("and {} more entities", show::count(rest)))?;
                }
                self.printer.note(&format!("every entity: fleetfit best {name} --all"));
            }
        }
        if let Some(done) = self.choice.device.done() {
            let Done { device, fits, launches, busy_s } = done;
            let of =
                |n, one, more| format!("{} {}", show::count(n), if n == 1 { one } else { more });
            let (fits, launches) = (of(fits, "fit", "fits"), of(launches, "launch", "launches"));
            self.printer.note(&format!("{device}: {fits}, {launches}, {busy_s:.1} s"));
        }
        show::of_the_service(&view).for_each(|message| self.printer.note(message));
        Ok(match view.status {
            Status::Failed => exit::NOTHING_COMPLETED,
            _ => exit::DONE,
        })
    }

    /// How the study stands, and what a card did for it.
    fn document<'b>(&self, view: &'b StatusView) -> Document<'b> {
        Document { view, device: self.choice.device.done() }
    }

    fn view(&self, journal: &Journal, name: &str) -> Result<StatusView, Failure> {
        Ok(query::status(journal, name, &self.notices)?)
    }
}

/// How many configurations the study will try at most.
fn n_configurations(study: &Study) -> u64 {
    let points = match study.sampling.algorithm {
        Algorithm::Grid => study.space.grid_size(),
        _ => study.space.cardinality(),
    };
    let limit = u64::from(study.limits.max_total_trials);
    points.map_or(limit, |points| limit.min(u64::try_from(points).unwrap_or(u64::MAX)))
}

/// How many entities the summary table shows.
const SHOWN: usize = 10;

/// Waits for the study to end. True when somebody interrupted it.
fn attend(
    handle: &EngineHandle,
    name: &str,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(Option<&Summary>),
) -> Result<bool, Failure> {
    loop {
        if interrupt.is_raised() {
            return Ok(true);
        }
        let summary = handle
            .wait(name, Duration::from_millis(100))
            .map_err(|error| Failure::outside(&error))?;
        show(summary.as_ref());
        if summary.is_some_and(|summary| summary.status != Status::Running) {
            return Ok(false);
        }
    }
}
