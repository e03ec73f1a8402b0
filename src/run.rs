//! `fleetfit run` and `fleetfit resume`: scheduler and runners in this process, until done.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use fleetfit_scheduler::engine::{Engine, EngineHandle, Note, OpenStudy, Outlets};
use fleetfit_scheduler::journal::{Journal, NewStudy, Status, StudyRecord};
use fleetfit_scheduler::query::{self, StatusView};
use fleetfit_search_spaces::{CommandTrial, EntityKey, Notice, Problems, Work};
use fleetfit_trial_runner::command::{self, CodeSnapshot};
use fleetfit_trial_runner::dataset::Dataset;
use fleetfit_trial_runner::runner::{Runner, StudyWork};
use jiff::Timestamp;

use crate::cli::{ResumeArgs, RunArgs};
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::outside;
use crate::owner::Owner;
use crate::progress::Progress;
use crate::show;
use crate::source;
use crate::submission::{Submission, Verdict, plain};

/// How long a slot may take to notice that the study is over before the process ends without it.
const FAREWELL: Duration = Duration::from_secs(7);

/// Runs the job, or goes on with it, or prints its stored result.
pub(crate) fn run(args: &RunArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let verdict = Verdict::reach(&args.job)?;
    let Some(submission) = verdict.submission else {
        printer.notices(&verdict.notices);
        return Err(Failure::Problems(Problems(verdict.problems)));
    };
    printer.notices(&submission.study.notices);
    if !submission.study.cannot_run.is_empty() {
        return Err(Failure::Problems(Problems(submission.study.cannot_run)));
    }
    let journal = source::open_journal(home)?;
    let material = Material::gather(&submission, home)?;
    let name = &submission.study.name;
    let digest = material.digest();
    let record = match journal.find(name)? {
        Some(record) => {
            same(&record, &submission, digest.as_deref())?;
            record
        }
        None => create(&journal, &submission, &material)?,
    };
    let notices = data_notices(&submission, &material);
    printer.notices(&notices);
    let session = Session { home, printer, slots: args.slots, notices };
    if record.summary.status.is_over() {
        printer.note(&format!("{name}: this job has run; here is its stored result"));
        return session.conclude(&journal, name);
    }
    session.go(journal, &record, submission, material, false)
}

/// Goes on with a stored study.
pub(crate) fn resume(args: &ResumeArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let journal = source::open_journal(home)?;
    let record = source::record(&journal, &args.study)?;
    let verdict = Verdict::of(
        &record.head.job_file,
        record.head.job_text.clone(),
        record.head.sets.clone(),
        record.head.base_dir.clone(),
    );
    let Some(submission) = verdict.submission else {
        return Err(Failure::Problems(Problems(verdict.problems)));
    };
    let material = Material::gather(&submission, home)?;
    same(&record, &submission, material.digest().as_deref())?;
    let notices = data_notices(&submission, &material);
    let session = Session { home, printer, slots: args.slots, notices };
    if matches!(record.summary.status, Status::Completed | Status::Failed) {
        printer.note(&format!("{}: this study is over; here is its result", args.study));
        return session.conclude(&journal, &args.study);
    }
    session.go(journal, &record, submission, material, true)
}

/// What a study works with besides its job: a data set, or a copy of a code folder.
struct Material {
    dataset: Option<Dataset>,
    code: Option<CodeSnapshot>,
}

impl Material {
    fn gather(submission: &Submission, home: &Path) -> Result<Self, Failure> {
        let Submission { job, study, base_dir, .. } = submission;
        let dataset = match &study.data {
            Some(data) => Some(
                Dataset::load(base_dir, data)
                    .map_err(|error| Failure::problem(outside::data_problem(job, &error)))?,
            ),
            None => None,
        };
        let code = match &study.work {
            Work::Command(CommandTrial { code: Some(code), .. }) => {
                let dir = source::study_dir(home, &study.name);
                let copied = command::snapshot(&base_dir.join(code), &dir);
                Some(copied.map_err(|error| {
                    let hint = "name a folder that holds only what the program needs";
                    let allowed = "a folder that can be copied";
                    Failure::problem(job.problem_at(
                        "trial.code",
                        &error.to_string(),
                        allowed,
                        Some(hint),
                    ))
                })?)
            }
            _ => None,
        };
        Ok(Self { dataset, code })
    }

    /// What tells this material from other material.
    fn digest(&self) -> Option<String> {
        let data = self.dataset.as_ref().map(|dataset| dataset.digest().to_owned());
        data.or_else(|| self.code.as_ref().map(|code| code.digest.clone()))
    }
}

/// What is worth saying about the data, beside what is worth saying about the job.
fn data_notices(submission: &Submission, material: &Material) -> Vec<Notice> {
    let Some(dataset) = &material.dataset else { return Vec::new() };
    let place = submission.job.problem_at("training_data", "", "", None).place;
    let notice = |message: &String| Notice { place: place.clone(), message: message.clone() };
    dataset.notices().iter().map(notice).collect()
}

/// Refuses to go on with a study under a name that means something else by now.
fn same(
    record: &StudyRecord,
    submission: &Submission,
    digest: Option<&str>,
) -> Result<(), Failure> {
    let name = &record.head.name;
    let what = if record.head.canonical != submission.job.canonical() {
        "with another job"
    } else if record.head.data_digest.as_deref() != digest {
        "with other data or code"
    } else {
        return Ok(());
    };
    let found = format!("a study named {name} exists already, {what}");
    let hint =
        format!("run this one as --name {name}-2, or remove the other: fleetfit delete {name}");
    let problem =
        submission.job.problem_at("name", &found, "a name that no other study has", Some(&hint));
    Err(Failure::problem(problem))
}

fn create(
    journal: &Journal,
    submission: &Submission,
    material: &Material,
) -> Result<StudyRecord, Failure> {
    let entities = match &material.dataset {
        Some(dataset) => dataset.entities().to_vec(),
        None => vec![EntityKey::default()],
    };
    let name = submission.study.name.clone();
    journal.create(&NewStudy {
        name: name.clone(),
        job_file: submission.job.file.clone(),
        base_dir: submission.base_dir.clone(),
        job_text: submission.text.clone(),
        sets: submission.sets.clone(),
        canonical: submission.job.canonical(),
        data_digest: material.digest(),
        seed: submission.study.seed.unwrap_or_else(draw_seed),
        created_ms: Timestamp::now().as_millisecond().unsigned_abs(),
        entities,
    })?;
    source::record(journal, &name)
}

/// A seed for a job that names none: different each time, and small enough to be typed.
fn draw_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The standard library seeds each of these from the operating system.
    RandomState::new().hash_one(std::process::id()) % 1_000_000_000
}

/// One run of one study in this process.
struct Session<'a> {
    home: &'a Path,
    printer: &'a Printer,
    slots: Option<usize>,
    notices: Vec<Notice>,
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
        let Submission { study, base_dir, .. } = submission;
        let Material { dataset, code } = material;
        let name = study.name.clone();
        let dir = absolute(&source::study_dir(self.home, &name))?;
        std::fs::create_dir_all(&dir).map_err(|error| {
            Failure::Unavailable(format!("{} cannot be made: {}", dir.display(), plain(&error)))
        })?;
        if let Some(dataset) = &dataset {
            dataset.schema().save(&dir).map_err(|error| {
                Failure::Unavailable(format!("{} cannot be written: {error}", dir.display()))
            })?;
        }
        let open = OpenStudy {
            id: record.id,
            study: study.clone(),
            seed: record.head.seed,
            n_entities: record.head.entities,
            reopen,
        };
        let total = u64::from(study.limits.max_total_trials) * u64::from(record.head.entities);
        let metric = study.objective.metric.clone();
        let supervisor = std::env::current_exe().map_err(|error| {
            Failure::Unavailable(format!("fleetfit cannot find itself: {}", plain(&error)))
        })?;
        let work =
            StudyWork { study, seed: record.head.seed, base_dir, dir, supervisor, dataset, code };
        let (engine, runner) = self.start(&journal, work)?;
        let handle = engine.handle();
        let interrupted = watch_signals()?;
        let owner = Owner::open(self.home, journal.clone(), handle.clone())?;
        handle.tell(Note::Open(Box::new(open)));
        let progress = Progress::start(self.printer, &name, &metric, total);
        let was_interrupted = attend(&handle, &name, &interrupted, &progress)?;
        progress.finish();
        drop(owner);
        engine.interrupt().map_err(|error| Failure::Unavailable(error.to_string()))?;
        say_farewell(runner);
        if was_interrupted {
            return self.interrupted(&journal, &name);
        }
        self.conclude(&journal, &name)
    }

    /// Joins the scheduler's end and the runner's end over channels.
    fn start(&self, journal: &Journal, work: StudyWork) -> Result<(Engine, Runner), Failure> {
        let started = |error: std::io::Error| {
            Failure::Unavailable(format!("threads cannot be started: {}", plain(&error)))
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = self.slots.unwrap_or(cores).clamp(1, 4_096);
        let (assign, assignments) = mpsc::channel();
        let (to_engine, from_runner) = mpsc::channel();
        let runner = Runner::start(
            slots,
            assignments,
            // The engine has ended when this fails; then nothing counts any more.
            Box::new(move |message| drop(to_engine.send(message))),
        )
        .map_err(started)?;
        runner.add(work);
        let hints = runner.hints();
        let outlets = Outlets {
            // The runner has ended when this fails; the trials stay open.
            dispatch: Box::new(move |assignment| drop(assign.send(assignment))),
            hint: Box::new(hints),
        };
        let engine = Engine::start(journal.clone(), outlets).map_err(started)?;
        let handle = engine.handle();
        std::thread::Builder::new()
            .name("bus".into())
            .spawn(move || {
                for message in from_runner {
                    if !handle.tell(Note::Runner(message)) {
                        return;
                    }
                }
            })
            .map_err(started)?;
        Ok((engine, runner))
    }

    fn interrupted(&self, journal: &Journal, name: &str) -> Result<i32, Failure> {
        let view = self.view(journal, name)?;
        if self.printer.is_json() {
            self.printer.json(&view)?;
        }
        self.printer
            .note(&format!("{}\ninterrupted; the same command resumes", show::status(&view)));
        Ok(exit::INTERRUPTED)
    }

    /// Prints how the study ended.
    fn conclude(&self, journal: &Journal, name: &str) -> Result<i32, Failure> {
        let view = self.view(journal, name)?;
        if self.printer.is_json() {
            self.printer.json(&view)?;
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
        Ok(match view.status {
            Status::Failed => exit::NOTHING_COMPLETED,
            _ => exit::DONE,
        })
    }

    fn view(&self, journal: &Journal, name: &str) -> Result<StatusView, Failure> {
        Ok(query::status(journal, name, &self.notices)?)
    }
}

/// Trials run in folders of their own, so paths must not depend on where fleetfit was started.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::Unavailable(format!("{}: {}", path.display(), plain(&error))))
}

/// How many entities the summary table shows.
const SHOWN: usize = 10;

/// Waits for the study to end. True when somebody interrupted it.
fn attend(
    handle: &EngineHandle,
    name: &str,
    interrupted: &AtomicBool,
    progress: &Progress,
) -> Result<bool, Failure> {
    loop {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let summary = handle
            .wait(name, Duration::from_millis(100))
            .map_err(|error| Failure::Unavailable(error.to_string()))?;
        if let Some(summary) = summary {
            progress.show(&summary);
            if summary.status != Status::Running {
                return Ok(false);
            }
        }
    }
}

/// Ctrl-C, SIGTERM or a closed terminal raise the flag; a second one ends the process at once.
fn watch_signals() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    crate::signals::watch(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(exit::INTERRUPTED);
        }
    })
    .map_err(|error| Failure::Unavailable(format!("signals cannot be watched: {error}")))?;
    Ok(flag)
}

/// Waits for the training threads, but not for ever: what they still do counts for nothing.
fn say_farewell(runner: Runner) {
    let (done, wait) = mpsc::channel();
    let joined = std::thread::Builder::new().name("farewell".into()).spawn(move || {
        runner.join();
        // Nobody waits any more when this fails.
        let _ = done.send(());
    });
    if joined.is_ok() {
        // Threads that are still busy end with the process.
        let _ = wait.recv_timeout(FAREWELL);
    }
}
