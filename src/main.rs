//! The `fleetfit` binary: wires the vocabulary, the scheduler and the runners together.
//!
//! One file a subcommand. Data goes to standard output; everything else goes to standard error.

mod ask;
mod backup;
mod check;
mod cli;
mod client;
mod devices;
mod enqueue;
mod exit;
mod export;
mod failure;
mod home;
mod host;
mod importance;
mod inside;
mod insight;
mod interrupt;
mod log;
mod material;
mod models;
mod nats;
mod new_file;
mod output;
mod outside;
mod owner;
mod predict;
mod progress;
mod run;
mod runner;
mod schedule;
mod serve;
mod service;
mod show;
mod signals;
mod source;
mod standstill;
mod start;
mod submission;
mod submit;
mod table;
mod token;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::{Cli, Command, Output};
use crate::failure::Failure;
use crate::output::Printer;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are answers; everything else is a problem in the input.
            let code = if error.use_stderr() { exit::PROBLEMS } else { exit::DONE };
            // Nobody can be told when the terminal itself is gone.
            drop(error.print());
            return exit_code(code);
        }
    };
    let printer = Printer { output: cli.output, quiet: cli.quiet };
    let acted = catch_unwind(AssertUnwindSafe(|| act(cli, &printer))).unwrap_or_else(|_| {
        Err(Failure::Unexpected("fleetfit failed unexpectedly, which is our mistake".into()))
    });
    match acted {
        Ok(code) => exit_code(code),
        Err(failure) => {
            printer.failure(&failure);
            exit_code(failure.exit_code())
        }
    }
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn act(cli: Cli, printer: &Printer) -> Result<i32, Failure> {
    if !matches!(cli.command, Command::Supervise { .. }) {
        signals::survive_long_files().map_err(|error| Failure::outside(&error))?;
    }
    let cache = home::cache(cli.data_dir.clone());
    let home = home::find(cli.data_dir);
    let has_form = match cli.output {
        Output::Text | Output::Json => true,
        Output::Csv => matches!(cli.command, Command::Trials(_) | Command::Importance(_)),
        Output::Parquet => matches!(cli.command, Command::Trials(_)),
    };
    if !has_form {
        return Err(Failure::asked(
            "only trials and importance come as csv, and only trials as parquet",
            "write --output json, or leave it out",
        ));
    }
    match cli.command {
        Command::Check(job) => check::check(&job, printer),
        Command::Run(args) => run::run(&args, &home, printer),
        Command::Resume(args) => run::resume(&args, &home, printer),
        Command::Serve(args) => serve::serve(&args, &home, printer),
        Command::Runner(args) => runner::runner(&args, &home::find(None), &cache, printer),
        Command::Submit(args) => submit::submit(&args, &home, printer),
        Command::Enqueue(args) => enqueue::enqueue(&args, &home, printer),
        Command::Rerun(args) => submit::rerun(&args, &home, printer),
        Command::Schedule { command } => schedule::schedule(&command, &home, printer),
        Command::Studies(server) => ask::studies(&home, &server, printer),
        Command::Status(args) => ask::status(&home, &args, printer),
        Command::Best(args) => ask::best(&home, &args, printer),
        Command::Trials(args) => ask::trials(&home, &args, printer),
        Command::Cancel(args) => ask::cancel(&home, &args, printer),
        Command::Delete(args) => ask::delete(&home, &args, printer),
        Command::Importance(args) => importance::importance(&home, &args, printer),
        Command::Insight(args) => insight::insight(&home, &args, printer),
        Command::Predict(args) => predict::predict(&home, &args, printer),
        Command::Export(args) => export::export(&home, &args, printer),
        Command::Backup(args) => backup::backup(&home, &args, printer),
        Command::Restore(args) => backup::restore(&home, &args, printer),
        Command::Devices { measure } => devices::devices(measure, printer),
        Command::Completions { shell } => {
            let mut out = std::io::stdout().lock();
            clap_complete::generate(shell, &mut Cli::command(), "fleetfit", &mut out);
            Ok(exit::DONE)
        }
        Command::Card { arguments } => Ok(fleetfit_trial_runner::devices::work(arguments)),
        Command::Supervise { arguments } => {
            Ok(fleetfit_trial_runner::command::supervise(arguments))
        }
    }
}
