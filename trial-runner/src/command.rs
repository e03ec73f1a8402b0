//! Command trials: any program, with the configuration on its command line, in its environment, or
//! both, and its metrics on its standard output.
//!
//! [`prepare`] makes a trial's program ready, and [`Prepared::run`] blocks the calling thread until the
//! program and everything it started are gone. Who ends a trial early gives its [`Halt`] a reason. Read on in `supervisor` (how nothing is left behind),
//! `metric` (what counts as a report), `shell` (how values get into a command line), `folder` (what
//! the program sees) and `code` (how the code folder is kept for the study).

mod code;
mod folder;
mod halt;
mod log;
mod metric;
mod shell;
mod supervisor;

use std::path::Path;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::data::local_path;
use fleetfit_search_spaces::disk::{self, plain};
use fleetfit_search_spaces::work::placeholder::{Piece, Root, pieces};
use fleetfit_search_spaces::{CommandTrial, Configuration, End, Input, Objective, Report, Setting};
use rustix::process::Signal;

pub use code::{CodeError, CodeSnapshot, digest_code, digest_input, snapshot};
pub(crate) use code::{Listing, list_code, list_input};
pub use halt::Halt;
pub use supervisor::{GRACE, SUBCOMMAND, Supervisors, supervise};

use folder::{FolderError, TrialFolder};
use log::Log;
use metric::{Line, Lines, Metrics};
use shell::Part;
use supervisor::{Exit, Program, Stream, Supervisor};

/// One trial of a command.
#[derive(Clone, Copy, Debug)]
pub struct CommandJob<'a> {
    /// What to run.
    pub trial: &'a CommandTrial,
    /// The folder of the job file, which local inputs are relative to.
    pub base_dir: &'a Path,
    /// The folder of the study's [`CodeSnapshot`], when the job names code.
    pub code: Option<&'a Path>,
    /// The trial's own folder, which is emptied first.
    pub trial_dir: &'a Path,
    /// The study's name.
    pub study: &'a str,
    /// The configuration's number.
    pub number: u32,
    /// The configuration.
    pub configuration: &'a Configuration,
    /// What it shall report.
    pub objective: &'a Objective,
    /// The other metrics that it shall report.
    pub further: &'a [String],
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// Who runs it.
    pub supervisors: &'a Supervisors,
}

/// How a command trial ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandOutcome {
    /// Its end.
    pub end: End,
    /// The first of its finite reports of the primary metric.
    pub reports: Vec<Report>,
    /// Where it completed, its values of the other metrics.
    pub further: Vec<f64>,
}

/// The trial could not begin, or not be kept, for a reason that is not its own: a disk that is full,
/// for one. It is no trial's fate, and nobody should go on before it is mended.
#[derive(Debug, thiserror::Error)]
#[error("trials cannot be run: {0}")]
pub struct Unstartable(String);

/// Why a trial's program could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("the command names ${{{{{0}}}}}, which is not defined")]
    Undefined(String),
    #[error("input {0} is not on this machine")]
    Remote(String),
    #[error("the path of {0} is not valid UTF-8")]
    Path(String),
    #[error("its folder {} could not be made: {}", .0, plain(.1))]
    Folder(String, std::io::Error),
    #[error("the study's copy of its code, {}, could not be read: {}", .0, plain(.1))]
    Code(String, std::io::Error),
    #[error("its program could not be started: {}", plain(.0))]
    Program(std::io::Error),
}

/// How often a trial looks whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(20);

/// How long a supervisor may take beyond [`GRACE`] before it is killed itself.
const OVERTIME: Duration = Duration::from_secs(5);

/// How much is read of a stream after the end, in pieces of 64 KiB: more than any pipe holds. Where a
/// process can escape, it may go on writing.
const MAX_PIECES: usize = 256;

/// The longest last line that a reason quotes, in characters.
const MAX_QUOTE: usize = 300;

/// Who wanted a trial to end before its program did.
#[derive(Clone, Debug)]
enum Asked {
    Halted(String),
    TimedOut(Duration),
}

/// A trial whose program waits for the word to begin; dropping it ends the program, of which nothing
/// has run.
#[derive(Debug)]
pub struct Prepared<'a> {
    job: CommandJob<'a>,
    /// The program, or why there is none.
    program: Result<(Supervisor, Log), StartError>,
}

/// Makes the trial's program ready: its folder, its log, and a shell that has read the command.
pub fn prepare<'a>(job: &CommandJob<'a>) -> Result<Prepared<'a>, Unstartable> {
    match start(job) {
        Err(error) if error.is_of_all() => Err(Unstartable(error.to_string())),
        program => Ok(Prepared { job: *job, program }),
    }
}

impl StartError {
    /// Whether every other trial would fail for it as well.
    fn is_of_all(&self) -> bool {
        match self {
            Self::Folder(_, error) | Self::Code(_, error) => disk::is_of_all(error),
            Self::Program(_) => true,
            Self::Undefined(_) | Self::Remote(_) | Self::Path(_) => false,
        }
    }
}

impl Prepared<'_> {
    /// Runs the trial to its end. `on_report` hears each finite report of the primary metric as it
    /// arrives, however many there are.
    ///
    /// A trial that was halted is stopped, whatever its program then does; one that ran out of time
    /// has failed, even with reports. Otherwise the exit code outranks the reports.
    pub fn run(
        self,
        halt: &Halt,
        on_report: &mut dyn FnMut(Report),
    ) -> Result<CommandOutcome, Unstartable> {
        let Self { job, program } = self;
        let mut following = Following {
            metrics: Metrics::new(job.objective, job.further),
            lines: Lines::default(),
            error_lines: Lines::default(),
            last_line: String::new(),
        };
        let end = match (halt.reason(), program) {
            (Some(reason), _) => End::Stopped { value: None, reason: reason.to_owned() },
            (None, Ok((supervisor, log))) => {
                let (exit, asked, logged) =
                    following.follow(&job, halt, supervisor, log, on_report);
                match logged {
                    Ok(()) => following.judge(&exit, asked),
                    Err(error) => {
                        let reason = format!("its log could not be written: {}", plain(&error));
                        if disk::is_of_all(&error) {
                            return Err(Unstartable(reason));
                        }
                        End::Failed { reason }
                    }
                }
            }
            (None, Err(error)) => End::Failed { reason: error.to_string() },
        };
        let further = match end {
            End::Completed { .. } => following.metrics.further.values().unwrap_or_default(),
            End::Stopped { .. } | End::Failed { .. } => Vec::new(),
        };
        Ok(CommandOutcome { end, reports: following.metrics.reports, further })
    }
}

fn start(job: &CommandJob<'_>) -> Result<(Supervisor, Log), StartError> {
    let folder_error = |error| StartError::Folder(job.trial_dir.display().to_string(), error);
    let folder = TrialFolder::create(job.trial_dir, job.code, &job.trial.outputs);
    let folder = folder.map_err(|error| match (error, job.code) {
        (FolderError::Code(error), Some(code)) => {
            StartError::Code(code.display().to_string(), error)
        }
        (FolderError::Own(error) | FolderError::Code(error), _) => folder_error(error),
    })?;
    let log = Log::create(&folder.log).map_err(folder_error)?;
    let program = Program {
        command: command_line(job, &folder)?,
        folder: path_text(&folder.work, "its folder")?,
        environment: environment(job, &folder)?,
    };
    let supervisor = job.supervisors.prepare(&program).map_err(StartError::Program)?;
    Ok((supervisor, log))
}

/// The command with its placeholders filled in.
fn command_line(job: &CommandJob<'_>, folder: &TrialFolder) -> Result<String, StartError> {
    let mut parts = Vec::new();
    for piece in pieces(&job.trial.command) {
        let value = match piece {
            Piece::Text(text) | Piece::Open(text) => {
                parts.push(Part::Text(text));
                continue;
            }
            Piece::Named(Root::SearchSpace, path) => match job.configuration.get(path) {
                Some(Setting::Value(value)) => value.to_string(),
                Some(Setting::Nested(nested)) => nested.to_json(),
                // A parameter of a branch that was not chosen: an empty word.
                None => String::new(),
            },
            Piece::Named(Root::Inputs, name) => input_value(job, name)?,
            Piece::Named(Root::Outputs, name) => output_value(job, folder, name)?,
            Piece::Unknown(name) => return Err(StartError::Undefined(name.to_owned())),
        };
        parts.push(Part::Value(value));
    }
    Ok(shell::join(&parts))
}

fn output_value(
    job: &CommandJob<'_>,
    folder: &TrialFolder,
    name: &str,
) -> Result<String, StartError> {
    if job.trial.outputs.iter().any(|(known, _)| known == name) {
        return path_text(&folder.output(name), name);
    }
    Err(StartError::Undefined(format!("outputs.{name}")))
}

fn input_value(job: &CommandJob<'_>, name: &str) -> Result<String, StartError> {
    let input = job.trial.inputs.iter().find(|(known, _)| known == name);
    match input {
        Some((_, Input::Value(value))) => Ok(value.to_string()),
        Some((_, Input::Path { path, .. })) => {
            let path = job.base_dir.join(local_path(path));
            path_text(&std::path::absolute(&path).unwrap_or(path), name)
        }
        Some((_, Input::Remote { .. })) => Err(StartError::Remote(name.to_owned())),
        None => Err(StartError::Undefined(format!("inputs.{name}"))),
    }
}

fn path_text(path: &Path, of: &str) -> Result<String, StartError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| StartError::Path(of.to_owned()))
}

/// What the program finds in its environment beyond our own: the job's variables, then ours.
fn environment(
    job: &CommandJob<'_>,
    folder: &TrialFolder,
) -> Result<Vec<(String, String)>, StartError> {
    // Python holds back what it prints to a pipe; reports must arrive while they matter.
    let mut environment = vec![("PYTHONUNBUFFERED".to_owned(), "1".to_owned())];
    for (name, value) in &job.trial.environment_variables {
        environment.push((name.clone(), value.clone()));
    }
    add_parameters("", job.configuration, &mut environment);
    if !job.trial.outputs.is_empty() {
        let outputs = path_text(&folder.outputs, "its folder")?;
        environment.push(("FLEETFIT_OUTPUT_DIR".to_owned(), outputs));
    }
    let ours = [
        ("FLEETFIT_STUDY", job.study.to_owned()),
        ("FLEETFIT_TRIAL", job.number.to_string()),
        ("FLEETFIT_METRIC", job.objective.metric.clone()),
    ];
    environment.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    Ok(environment)
}

/// `AZUREML_SWEEP_model_C` for `model.C`, and `AZUREML_SWEEP_model` with the branch as JSON.
fn add_parameters(
    prefix: &str,
    configuration: &Configuration,
    environment: &mut Vec<(String, String)>,
) {
    for (name, setting) in &configuration.0 {
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let name = format!("{prefix}{name}");
        let value = match setting {
            Setting::Value(value) => value.to_string(),
            Setting::Nested(nested) => {
                add_parameters(&format!("{name}_"), nested, environment);
                nested.to_json()
            }
        };
        environment.push((format!("AZUREML_SWEEP_{name}"), value));
    }
}

/// What is known of a running trial.
struct Following<'a> {
    metrics: Metrics<'a>,
    lines: Lines,
    error_lines: Lines,
    last_line: String,
}

impl Following<'_> {
    /// Follows the program until it and everything it started have ended.
    fn follow(
        &mut self,
        job: &CommandJob<'_>,
        halt: &Halt,
        mut supervisor: Supervisor,
        mut log: Log,
        on_report: &mut dyn FnMut(Report),
    ) -> (Exit, Option<Asked>, std::io::Result<()>) {
        supervisor.begin();
        let started = Instant::now();
        let mut asked: Option<(Asked, Instant)> = None;
        let exit = loop {
            let exit = supervisor.wait(LOOK);
            self.read(&supervisor, &mut log, exit.is_some(), on_report);
            if let Some(exit) = exit {
                break exit;
            }
            match &asked {
                None => {
                    asked = wish(halt, job.timeout, started).map(|wish| (wish, Instant::now()));
                    if asked.is_some() {
                        supervisor.stop();
                    }
                }
                Some((_, at)) if at.elapsed() > GRACE + OVERTIME => {
                    break supervisor.kill();
                }
                Some(_) => {}
            }
        };
        job.supervisors.give_back(supervisor);
        (exit, asked.map(|(wish, _)| wish), log.finish())
    }

    /// Reads what has arrived: a little of each stream, or all there is.
    fn read(
        &mut self,
        supervisor: &Supervisor,
        log: &mut Log,
        to_the_end: bool,
        on_report: &mut dyn FnMut(Report),
    ) {
        let n_pieces = if to_the_end { MAX_PIECES } else { 1 };
        let Self { metrics, lines, error_lines, last_line } = self;
        let mut on_line = |line: &Line<'_>| {
            quote(line, last_line);
            if let Some(report) = metrics.read(line) {
                on_report(report);
            }
        };
        read_stream(supervisor, Stream::Out, n_pieces, |piece| {
            log.push(piece);
            lines.push(piece, &mut on_line);
        });
        if to_the_end {
            lines.finish(&mut on_line);
        }
        // Errors come second: a program's last words are usually there.
        let mut on_line = |line: &Line<'_>| quote(line, last_line);
        read_stream(supervisor, Stream::Err, n_pieces, |piece| {
            log.push(piece);
            error_lines.push(piece, &mut on_line);
        });
        if to_the_end {
            error_lines.finish(&mut on_line);
        }
    }

    /// What the end of the program means for the trial.
    fn judge(&self, exit: &Exit, asked: Option<Asked>) -> End {
        let value = self.metrics.value;
        let failed = |reason| End::Failed { reason };
        match (asked, exit) {
            (Some(Asked::Halted(reason)), _) => End::Stopped { value, reason },
            (Some(Asked::TimedOut(limit)), _) => {
                failed(format!("ran longer than trial_timeout ({} s)", limit.as_secs_f64()))
            }
            (None, Exit::Code(0)) => match (value, self.metrics.further.values()) {
                (Some(value), Ok(_)) => End::Completed { value },
                (Some(_), Err((metric, true))) => {
                    failed(format!("the last {metric} it reported was NaN or infinite"))
                }
                (Some(_), Err((metric, false))) => failed(self.never_reported(metric)),
                (None, _) => failed(self.no_report()),
            },
            (None, Exit::Code(code)) => failed(self.with_last_line(match code - 128 {
                signal @ 1..=64 => format!("exit code {code} (killed by {})", signal_name(signal)),
                _ => format!("exit code {code}"),
            })),
            (None, Exit::Signal(signal)) => {
                failed(self.with_last_line(format!("killed by {}", signal_name(*signal))))
            }
            (None, Exit::NotStarted(error)) => {
                failed(format!("its program could not be started: {error}"))
            }
            (None, Exit::Lost) => failed("the process that supervised it was killed".to_owned()),
        }
    }

    fn no_report(&self) -> String {
        let metric = &self.metrics.objective.metric;
        if self.metrics.n_not_finite > 0 {
            let which = if self.metrics.reports.is_empty() { "every" } else { "the last" };
            return format!("{which} {metric} it reported was NaN or infinite");
        }
        self.never_reported(metric)
    }

    fn never_reported(&self, metric: &str) -> String {
        match self.metrics.others.as_slice() {
            [] if *metric != self.metrics.objective.metric => {
                format!("the program ended without reporting {metric}")
            }
            [] => format!("the program ended without reporting {metric}, or any other metric"),
            others => format!(
                "the program ended without reporting {metric}; it reported: {}",
                others.join(", ")
            ),
        }
    }

    fn with_last_line(&self, reason: String) -> String {
        if self.last_line.is_empty() {
            return reason;
        }
        format!("{reason}; last line of its output: {}", self.last_line)
    }
}

/// Hands on what a stream holds, in at most so many pieces.
fn read_stream(
    supervisor: &Supervisor,
    stream: Stream,
    n_pieces: usize,
    mut on_piece: impl FnMut(&[u8]),
) {
    let mut buffer = [0; 64 << 10];
    for _ in 0..n_pieces {
        match supervisor.read(stream, &mut buffer) {
            0 => return,
            n => on_piece(&buffer[..n]),
        }
    }
}

/// Keeps the line for the reason of a failure.
fn quote(line: &Line<'_>, last_line: &mut String) {
    let visible = line.text.chars().filter(|c| !c.is_control());
    *last_line = visible.take(MAX_QUOTE).collect();
}

/// Whether somebody wants the trial to end.
fn wish(halt: &Halt, timeout: Option<Duration>, started: Instant) -> Option<Asked> {
    if let Some(reason) = halt.reason() {
        return Some(Asked::Halted(reason.to_owned()));
    }
    let limit = timeout.filter(|limit| started.elapsed() >= *limit)?;
    Some(Asked::TimedOut(limit))
}

/// `signal 9 (SIGKILL)`.
fn signal_name(number: i32) -> String {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    match names.iter().find(|(signal, _)| signal.as_raw() == number) {
        Some((_, name)) => format!("signal {number} ({name})"),
        None => format!("signal {number}"),
    }
}
