//! What the fleetfit binary is to command trials: their supervisor, and a parent that can be killed.

use std::path::Path;

use fleetfit_search_spaces::{CommandTrial, Configuration, Goal, Objective, ValueRule};
use fleetfit_trial_runner::command::{
    CommandJob, Halt, SUBCOMMAND, Supervisors, prepare, supervise,
};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == SUBCOMMAND => std::process::exit(supervise(arguments)),
        _ => parent(),
    }
}

/// `parent TRIAL_DIR COMMAND`: runs the command as a trial.
fn parent() {
    let mut arguments = std::env::args().skip(2);
    let (Some(trial_dir), Some(command)) = (arguments.next(), arguments.next()) else {
        std::process::exit(2);
    };
    let trial: CommandTrial = CommandTrial {
        command,
        code: None,
        code_place: Default::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        environment_variables: Default::default(),
    };
    let objective =
        Objective { metric: "loss".to_owned(), goal: Goal::Minimize, value: ValueRule::Best };
    let Ok(supervisor) = std::env::current_exe() else {
        std::process::exit(2);
    };
    let job = CommandJob {
        trial: &trial,
        base_dir: Path::new("."),
        code: None,
        trial_dir: Path::new(&trial_dir),
        study: "study",
        number: 0,
        configuration: &Configuration::default(),
        objective: &objective,
        further: &[],
        timeout: None,
        supervisors: &Supervisors::new(&supervisor),
    };
    drop(prepare(&job).map(|program| program.run(&Halt::default(), &mut |_| {})));
}
