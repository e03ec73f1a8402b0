//! The command line as typed.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, value_parser};
use fleetfit_trial_runner::devices::{Asked, SUBCOMMAND};

use crate::nats::NatsArgs;

/// Hyperparameter and AutoML search for one model or a hundred thousand.
#[derive(Debug, Parser)]
#[command(name = "fleetfit", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What goes to standard output: text for people, json for programs; trials and importance also
    /// as csv, trials as parquet.
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) output: Output,
    /// Where studies are kept [default: $FLEETFIT_HOME, else ./.fleetfit].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Say less: no progress, no notices.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

impl Cli {
    /// What was typed, with what the environment says. A variable that is empty counts as not set.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = without_empty_variables(Self::command());
        let typed = command.try_get_matches_from_mut(std::env::args_os());
        let mut typed = typed.map_err(|error| blame_variable(&command, error))?;
        if let Some(("serve", typed)) = typed.subcommand() {
            let is_typed = |name: &&str| typed.value_source(name) == Some(ValueSource::CommandLine);
            if typed.contains_id("nats")
                && let Some(name) = ["slots", "device"].into_iter().find(is_typed)
            {
                let says = format!(
                    "--{name} says what trains in this process, and with --nats runners train; \
                     give it to fleetfit runner"
                );
                return Err(command.error(ErrorKind::ArgumentConflict, says));
            }
        }
        Self::from_arg_matches_mut(&mut typed)
    }
}

/// Whether an option was typed, and is not the environment's.
pub(crate) fn is_typed(option: &str) -> bool {
    std::env::args_os().any(|argument| {
        let text = argument.to_string_lossy();
        text == option || text.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
    })
}

/// Names the variable where what is wrong with an option was not typed.
fn blame_variable(command: &clap::Command, mut error: clap::Error) -> clap::Error {
    // As `--device <DEVICE>`.
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && let Some(option) = option.split(' ').next()
        && !is_typed(option)
        && let Some(variable) = variable(command, option)
    {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// The variable that is set for an option.
fn variable(command: &clap::Command, option: &str) -> Option<String> {
    let is_it = |own: &&clap::Arg| own.get_long().is_some_and(|long| option == format!("--{long}"));
    let own = command.get_arguments().find(is_it).and_then(clap::Arg::get_env);
    own.filter(|name| std::env::var_os(name).is_some())
        .map(|name| name.to_string_lossy().into_owned())
        .or_else(|| command.get_subcommands().find_map(|own| variable(own, option)))
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
    };
    let settled = |arg: clap::Arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg };
    command.mut_args(settled).mut_subcommands(without_empty_variables)
}

const EXAMPLES: &str = "\
Examples:
  fleetfit check job.yaml                  what the job means, and everything that is wrong with it
  fleetfit run job.yaml                    search until done; the same command resumes
  fleetfit best store-demand --entity 17   the best model of one store
  fleetfit best store-demand --all --output json > best.jsonl
  fleetfit predict store-demand --data next-week.csv --out forecast.csv";

/// What goes to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// One JSON document, or one a line for lists.
    Json,
    /// Comma-separated values (`trials` and `importance` only).
    Csv,
    /// Parquet (`trials` only, with --out).
    Parquet,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report every problem of a job file, or the study as understood.
    #[command(after_help = "\
Examples:
  fleetfit check job.yaml
  fleetfit check job.yaml --set limits.max_total_trials=500
  fleetfit check job.yaml --output json | jq .problems")]
    Check(JobArgs),
    /// Search until done, in this process; Ctrl-C stops cleanly and the same command resumes.
    #[command(after_help = "\
Examples:
  fleetfit run job.yaml
  fleetfit run job.yaml --set seed=7 --name store-demand-seed-7
  fleetfit run job.yaml --output json --quiet > result.json")]
    Run(RunArgs),
    /// Take jobs from whoever asks, and run them here or on runners elsewhere.
    #[command(after_help = "\
Examples:
  fleetfit serve                                          everything in this process
  fleetfit serve --nats managed                           with a private nats-server, for runners
  fleetfit serve --nats nats://nats:4222 --listen 0.0.0.0:7766 --token-file token")]
    Serve(Box<ServeArgs>),
    /// Run trials for services that share a NATS.
    #[command(after_help = "\
Examples:
  fleetfit runner --nats nats://nats:4222
  fleetfit runner --nats nats://nats:4222 --slots 8 --allow-commands
  fleetfit runner --nats nats://nats:4222 --device cuda:0,1    two of its graphics cards")]
    Runner(Box<RunnerArgs>),
    /// Send a job to a service, with the code and the data that it names.
    #[command(after_help = "\
Examples:
  fleetfit submit job.yaml
  fleetfit submit job.yaml --server http://fleet:7766 --wait --output json")]
    Submit(SubmitArgs),
    /// Run a job again and again.
    Schedule {
        /// What to do.
        #[command(subcommand)]
        command: ScheduleCommand,
    },
    /// List the studies.
    #[command(after_help = "Example:\n  fleetfit studies --output json | jq -r .study")]
    Studies(ServerArgs),
    /// How a study stands.
    #[command(after_help = "Example:\n  fleetfit status store-demand --output json")]
    Status(StudyArgs),
    /// The best configuration and model: of the study, of one entity, or of every entity.
    #[command(after_help = "\
Examples:
  fleetfit best store-demand                      the best shared configuration
  fleetfit best store-demand --entity 17          one store's own best
  fleetfit best store-demand --entity store=17,brand=3 --top 5
  fleetfit best store-demand --all --output json")]
    Best(BestArgs),
    /// Every trial that ended.
    #[command(after_help = "\
Examples:
  fleetfit trials store-demand --entity 17
  fleetfit trials store-demand --output csv > trials.csv
  fleetfit trials store-demand --output parquet --out trials.parquet
  fleetfit trials tune-script --logs 12")]
    Trials(TrialsArgs),
    /// Which columns the models of a study owe their predictions to.
    #[command(after_help = "\
Examples:
  fleetfit importance store-demand                 mean shares over all entities
  fleetfit importance store-demand --entity 17 --top 5
  fleetfit importance store-demand --all --output csv > importance.csv")]
    Importance(ImportanceArgs),
    /// What the trials of a study tell: which parameters matter, what to expect along them, how the
    /// search came to its best.
    #[command(after_help = "\
Examples:
  fleetfit insight store-demand                    over all entities
  fleetfit insight store-demand --entity 17
  fleetfit insight store-demand --objective seconds    of several objectives
  fleetfit insight store-demand --output json | jq .parameters")]
    Insight(InsightArgs),
    /// Predict with the models of a study, one row for each row of the file, in its order.
    #[command(after_help = "\
Examples:
  fleetfit predict store-demand --data next-week.csv
  fleetfit predict store-demand --data next-week.parquet --entity 17 --out forecast.csv")]
    Predict(PredictArgs),
    /// Stop a study for good; what it found is kept.
    #[command(after_help = "\
Example:
  fleetfit cancel store-demand     while it runs in another terminal, or after an interrupt")]
    Cancel(StudyArgs),
    /// Go on with a study that was interrupted or cancelled.
    #[command(after_help = "Example:\n  fleetfit resume store-demand")]
    Resume(ResumeArgs),
    /// Run a study again on the data as they are now, from what it has found.
    #[command(after_help = "\
Examples:
  fleetfit rerun store-demand
  fleetfit rerun store-demand --name store-demand-june --set limits.max_total_trials=20")]
    Rerun(RerunArgs),
    /// Try configurations before whatever the sampler proposes next.
    #[command(after_help = "\
Examples:
  fleetfit enqueue store-demand --set learning_rate=0.1 --set max_depth=5
  fleetfit enqueue store-demand known-good.yaml
  fleetfit enqueue store-demand known-good.csv --server http://fleet:7766")]
    Enqueue(EnqueueArgs),
    /// Remove a study with its trials, logs and models.
    #[command(after_help = "Example:\n  fleetfit delete store-demand")]
    Delete(StudyArgs),
    /// Write the trials of studies to files.
    #[command(after_help = "\
Examples:
  fleetfit export store-demand --out trials.parquet
  fleetfit export --out trials --format csv          every study, one file each")]
    Export(ExportArgs),
    /// Copy everything that is kept into one file, while it is used or not.
    #[command(after_help = "\
Examples:
  fleetfit backup --out monday.backup
  fleetfit backup --out - --server http://fleet:7766 | zstd > monday.backup.zst")]
    Backup(BackupArgs),
    /// Make a data directory of a backup.
    #[command(after_help = "Example:\n  fleetfit restore monday.backup --data-dir restored")]
    Restore(RestoreArgs),
    /// What this machine has to train on, and why not on a graphics card.
    #[command(after_help = "\
Examples:
  fleetfit devices --output json
  fleetfit devices --measure                         what each card does in a second")]
    Devices {
        /// Measure what each graphics card does in a second: memory, additions, multiplications.
        #[arg(long)]
        measure: bool,
    },
    /// Print a shell's completion script.
    #[command(
        after_help = "Example:\n  fleetfit completions bash > ~/.local/share/bash-completion/completions/fleetfit"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Uses a graphics card for a runner.
    #[command(name = SUBCOMMAND, hide = true)]
    Card {
        /// The card's number, and the folder of compiled kernels.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Runs one command trial and ends its processes when fleetfit ends.
    #[command(name = "__supervise", hide = true)]
    Supervise {
        /// What to run.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

/// A job file and what to change in it.
#[derive(Clone, Debug, Args)]
pub(crate) struct JobArgs {
    /// The job file (YAML or JSON); `-` reads standard input.
    pub(crate) job: PathBuf,
    /// Change a value of the job, e.g. --set limits.timeout=60 (repeatable).
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Call the study something else.
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// How to run a job.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The job.
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// What trains in this process.
    #[command(flatten)]
    pub(crate) power: PowerArgs,
}

/// What trains.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PowerArgs {
    /// How many trials train at once in this process [default: the number of cores].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=4096))]
    pub(crate) slots: Option<u16>,
    /// What models are trained on: auto (graphics cards where there are any), cpu, cuda (every card),
    /// or some, as cuda:0,1.
    #[arg(long, env = "FLEETFIT_DEVICE", value_name = "DEVICE", default_value_t)]
    pub(crate) device: Asked,
}

/// How to serve.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen for requests. Addresses that other machines can reach need a token.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7766", value_parser = address)]
    pub(crate) listen: SocketAddr,
    /// NATS, for runners elsewhere. Without it, trials run in this process.
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// The file that holds what requests must say as their bearer token [default: $FLEETFIT_TOKEN,
    /// else none].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Another name under which the service is asked (repeatable).
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,
    /// What trains in this process.
    #[command(flatten)]
    pub(crate) power: PowerArgs,
    /// Run programs too, although other machines can send jobs.
    #[arg(long)]
    pub(crate) allow_commands: bool,
    /// How long a runner may stay silent about what it is at, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = lease)]
    pub(crate) lease: f64,
    /// How the log on standard error is written.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

/// An address to listen on: a host or its address, and a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| "write HOST:PORT, as in 127.0.0.1:7766 or 0.0.0.0:7766".into())
}

/// A time that a runner's heart can beat in.
fn lease(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.5..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("write a number of seconds from 0.5 to 3600".into()),
    }
}

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How to run trials for a service.
#[derive(Debug, Args)]
pub(crate) struct RunnerArgs {
    /// NATS, where services and runners meet.
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// What trains here.
    #[command(flatten)]
    pub(crate) power: PowerArgs,
    /// Run programs too, although other machines can send jobs.
    #[arg(long)]
    pub(crate) allow_commands: bool,
    /// Work for this service only [default: for every one at this NATS].
    #[arg(long, value_name = "ID")]
    pub(crate) service: Option<String>,
    /// What to call this runner [default: the machine's name and the process].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How long what runs may take to finish when the runner is told to end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain: u32,
    /// How the log on standard error is written.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
    /// How much disk fetched code and data may take, in GB.
    #[arg(long, value_name = "GB", default_value_t = 10, value_parser = value_parser!(u64).range(1..))]
    pub(crate) cache_gb: u64,
}

/// What to send.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The job.
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Wait until the study is over, and print how it ended.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Whom to send it to.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Keep a schedule, and run its job whenever it is due.
    #[command(after_help = "\
Examples:
  fleetfit schedule create weekly.yaml
  fleetfit schedule create weekly.yaml --server http://fleet:7766")]
    Create {
        /// The schedule file (YAML or JSON); `-` reads standard input.
        file: PathBuf,
        /// Whom to send it to.
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List the schedules.
    #[command(after_help = "Example:\n  fleetfit schedule list --output json | jq -r .next_due")]
    List(ServerArgs),
    /// How a schedule stands, and what became of its last run.
    #[command(after_help = "Example:\n  fleetfit schedule show weekly-demand")]
    Show(ScheduleArgs),
    /// Run nothing until it is resumed.
    #[command(after_help = "Example:\n  fleetfit schedule pause weekly-demand")]
    Pause(ScheduleArgs),
    /// Go on with a schedule that was paused.
    #[command(after_help = "Example:\n  fleetfit schedule resume weekly-demand")]
    Resume(ScheduleArgs),
    /// Run its job now; its own times stay as they are.
    #[command(after_help = "Example:\n  fleetfit schedule trigger weekly-demand")]
    Trigger(ScheduleArgs),
    /// Remove a schedule; the studies that it made stay.
    #[command(after_help = "Example:\n  fleetfit schedule delete weekly-demand")]
    Delete(ScheduleArgs),
}

/// A schedule.
#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    /// The schedule's name.
    pub(crate) schedule: String,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to run again.
#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The study's name.
    pub(crate) study: String,
    /// The job file, if the data and the code that it names are to be sent anew.
    pub(crate) job: Option<PathBuf>,
    /// What to call the one that follows [default: the study's name and a number].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Change a value of the job, e.g. --set limits.timeout=60 (repeatable).
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Wait until the study is over, and print how it ended.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to try next.
#[derive(Debug, Args)]
pub(crate) struct EnqueueArgs {
    /// The study's name.
    pub(crate) study: String,
    /// A file of configurations: a list in YAML or JSON, or CSV with a column for each parameter.
    #[arg(conflicts_with = "set")]
    pub(crate) file: Option<PathBuf>,
    /// A value of the one configuration, e.g. --set learning_rate=0.1 (repeatable); what is left out
    /// is drawn.
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Whom to ask.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// Ask the service at this address instead of the data directory.
    #[arg(long, env = "FLEETFIT_SERVER", value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The file that holds the token of a service elsewhere [default: $FLEETFIT_TOKEN, else none].
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(crate) token_file: Option<PathBuf>,
}

/// A study.
#[derive(Debug, Args)]
pub(crate) struct StudyArgs {
    /// The study's name.
    pub(crate) study: String,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to go on with.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The study's name.
    pub(crate) study: String,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// What trains in this process.
    #[command(flatten)]
    pub(crate) power: PowerArgs,
}

/// Which best.
#[derive(Debug, Args)]
pub(crate) struct BestArgs {
    /// The study's name.
    pub(crate) study: String,
    /// One entity: 17, or store=17,brand=3.
    #[arg(long, value_name = "KEY", conflicts_with = "all", allow_hyphen_values = true)]
    pub(crate) entity: Option<String>,
    /// Every entity, one after the other.
    #[arg(long)]
    pub(crate) all: bool,
    /// The K best instead of the best; with several objectives the first K of the front.
    #[arg(long, value_name = "K", value_parser = value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Which trials.
#[derive(Debug, Args)]
pub(crate) struct TrialsArgs {
    /// The study's name.
    pub(crate) study: String,
    /// Only this entity's: 17, or store=17,brand=3.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) entity: Option<String>,
    /// Print what this command trial wrote.
    #[arg(long, value_name = "TRIAL")]
    pub(crate) logs: Option<u32>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Whose columns.
#[derive(Debug, Args)]
pub(crate) struct ImportanceArgs {
    /// The study's name.
    pub(crate) study: String,
    /// One entity's model: 17, or store=17,brand=3.
    #[arg(long, value_name = "KEY", conflicts_with = "all", allow_hyphen_values = true)]
    pub(crate) entity: Option<String>,
    /// Every entity's model, one after the other, instead of the mean over them.
    #[arg(long)]
    pub(crate) all: bool,
    /// The K columns that matter most, of each.
    #[arg(long, value_name = "K", value_parser = value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Which trials to look at.
#[derive(Debug, Args)]
pub(crate) struct InsightArgs {
    /// The study's name.
    pub(crate) study: String,
    /// One entity's trials: 17, or store=17,brand=3.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) entity: Option<String>,
    /// Of several objectives, the one with this metric [default: the first].
    #[arg(long, value_name = "METRIC")]
    pub(crate) objective: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to predict.
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// The study's name.
    pub(crate) study: String,
    /// The rows to predict: csv, csv.gz or parquet.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Use this entity's model for every row.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) entity: Option<String>,
    /// Add columns lower and upper, between which so large a share of forecasts lay: 0.8, or 0.8,0.95.
    #[arg(long, value_name = "LEVEL", value_parser = level, value_delimiter = ',')]
    pub(crate) interval: Vec<f64>,
    /// Write to this file (csv) instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// A share between 0 and 1.
fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        Ok(percent) if percent > 1.0 && percent < 100.0 => {
            Err(format!("write a share between 0 and 1: {} for {text} %", percent / 100.0))
        }
        _ => Err("write a share between 0 and 1, such as 0.8".into()),
    }
}

/// What to export.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The studies' names [default: all].
    #[arg(value_name = "STUDY")]
    pub(crate) studies: Vec<String>,
    /// A file (.parquet, .csv or .jsonl) for one study, or a folder for a file of each.
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// What the files in a folder are: parquet, csv or jsonl [default: parquet].
    #[arg(long, value_enum, hide_possible_values = true)]
    pub(crate) format: Option<Format>,
    /// Only this entity's trials: 17, or store=17,brand=3.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) entity: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// The form of a file of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// Where to back up to.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Whom to ask.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What to restore.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup; `-` reads standard input.
    pub(crate) file: PathBuf,
}
