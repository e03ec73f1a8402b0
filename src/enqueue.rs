//! `fleetfit enqueue`: configurations for a study to try next.

use std::collections::BTreeSet;
use std::mem;
use std::path::Path;

use fleetfit_scheduler::api::Queued;
use fleetfit_scheduler::engine::{QueueError, Wish, enqueue_at_rest};
use fleetfit_scheduler::warm::{self, Spot};
use fleetfit_search_spaces::{Job, Place, Problem, Problems, points};
use serde_json::{Value as Json, json};

use crate::cli::EnqueueArgs;
use crate::client::escape;
use crate::exit;
use crate::failure::Failure;
use crate::host;
use crate::output::Printer;
use crate::source::{self, Source};
use crate::submission::{read, sets};

/// The keys under which a file may have the list.
const KEYS: [&str; 2] = ["configurations", "points_to_evaluate"];

/// Configurations, and where they came from.
struct Given {
    list: Vec<Json>,
    origin: Origin,
}

enum Origin {
    /// A document, and the path of the list in it.
    Document(Box<Job>, String),
    /// A table, and the file it came from.
    Table(String, warm::Table),
    /// The command line.
    Sets(Vec<(String, String)>),
}

/// Sends configurations to whoever runs the study, or leaves them for the next one who does.
pub(crate) fn enqueue(args: &EnqueueArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    queue(args, home, printer).map_err(|failure| match failure {
        Failure::Problems(problems) => Failure::NotTaken(problems),
        other => other,
    })
}

fn queue(args: &EnqueueArgs, home: &Path, printer: &Printer) -> Result<i32, Failure> {
    let given = match (&args.file, args.set.is_empty()) {
        (Some(file), true) => from_file(file)?,
        (None, false) => from_sets(sets(&args.set)?)?,
        _ => {
            let message = "name either a file of configurations or the values of one";
            return Err(Failure::asked(message, "for example --set learning_rate=0.1"));
        }
    };
    let body = json!({"configurations": given.list});
    let key = format!("{:016x}{:016x}", host::draw(), host::draw());
    let queued = Source::ask(home, &args.server, |source| match source {
        Source::Service(client) => {
            client.post_marked(&format!("/studies/{}/enqueue", escape(&args.study)), &body, &key)
        }
        Source::Directory(journal, _) => {
            let record = source::record(journal, &args.study)?;
            let space = host::stored_study(&record)?.space;
            let points = points::read_document("", &body.to_string(), KEYS[0], &space)
                .map_err(Failure::Problems)?;
            let wish = Wish { configurations: points.configurations.clone(), mark: None };
            let trials = enqueue_at_rest(journal, &record, wish).map_err(refused)?;
            let trials = points.numbers(&trials);
            Ok(Queued { study: args.study.clone(), trials, notices: points.notices })
        }
    });
    let mut queued = queued.map_err(|failure| given.place_all(failure))?;
    for notice in &mut queued.notices {
        notice.place = given.place(&notice.place);
        if let Origin::Document(_, at) = &given.origin {
            notice.message = notice.message.replace("configurations.", at);
        }
    }
    printer.notices(&queued.notices);
    if printer.is_json() {
        printer.json(&queued)?;
    } else {
        printer.line(&format!("{}: {}", args.study, told(&queued.trials)))?;
    }
    Ok(exit::DONE)
}

fn told(trials: &[u32]) -> String {
    let trials: BTreeSet<u32> = trials.iter().copied().collect();
    let words: Vec<String> = trials.iter().map(u32::to_string).collect();
    match (trials.first(), trials.last()) {
        (Some(first), Some(last)) if first == last => format!("trial {first} is tried next"),
        (Some(first), Some(last)) if (last - first) as usize + 1 == trials.len() => {
            format!("trials {first} to {last} are tried next")
        }
        (Some(_), Some(_)) => format!("trials {} are tried next", words.join(", ")),
        _ => "nothing to try".to_owned(),
    }
}

fn refused(error: QueueError) -> Failure {
    match error {
        QueueError::Gone | QueueError::Failed(_) => Failure::outside(&error),
        asked => Failure::Asked { message: asked.to_string(), hint: None },
    }
}

fn from_sets(sets: Vec<(String, String)>) -> Result<Given, Failure> {
    let mut job = Job::read("--set", "{}").map_err(Failure::Problems)?;
    let mut problems = Vec::new();
    for (path, value) in &sets {
        problems.extend(job.set(path, value).err());
    }
    if !problems.is_empty() {
        return Err(Failure::Problems(Problems(problems)));
    }
    Ok(Given { list: vec![job.document.to_json()], origin: Origin::Sets(sets) })
}

fn from_file(path: &Path) -> Result<Given, Failure> {
    let (file, text, _) = read(path, "file of configurations")?;
    let is_table = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    if is_table {
        return from_table(file, &text);
    }
    // A file of nothing but comments holds no configurations; it is no job without anything in it.
    let is_void = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let text = if text.lines().all(is_void) { "[]" } else { text.as_str() };
    let job = Job::read(&file, text).map_err(Failure::Problems)?;
    if !job.mistakes.is_empty() {
        return Err(Failure::Problems(Problems(job.mistakes)));
    }
    let (at, list) = match job.document.to_json() {
        Json::Array(list) => (String::new(), list),
        Json::Object(map) => {
            let given: Vec<&str> = KEYS.into_iter().filter(|key| map.contains_key(*key)).collect();
            if let [first, second, ..] = given[..] {
                let allowed = "one list of configurations";
                let hint = format!("put those of {second} into {first}");
                let mut problem = job.problem_at(second, "a second list", allowed, Some(&hint));
                problem.message = format!("{second} is a second list beside {first}");
                return Err(Failure::problem(problem));
            }
            match given.first().and_then(|key| Some((key, map.get(*key)?))) {
                Some((key, Json::Array(list))) => {
                    if let Some(other) = map.keys().find(|other| other != key) {
                        let hint = format!("remove it, or put what it holds into {key}");
                        let says = format!("{other} is not known beside {key}");
                        let mut problem = job.problem_at(other, &says, key, Some(&hint));
                        problem.message = says;
                        return Err(Failure::problem(problem));
                    }
                    (format!("{key}."), list.clone())
                }
                _ => (String::new(), vec![Json::Object(map)]),
            }
        }
        _ => (String::new(), Vec::new()),
    };
    if list.is_empty() {
        let allowed = "a list of configurations";
        let hint = "write one a line, as in - {learning_rate: 0.1, max_depth: 5}";
        let mut problem = job.problem_at("", "no list of configurations", allowed, Some(hint));
        problem.message = "there is no list of configurations here".to_owned();
        return Err(Failure::problem(problem));
    }
    Ok(Given { list, origin: Origin::Document(Box::new(job), at) })
}

fn from_table(file: String, text: &str) -> Result<Given, Failure> {
    let mut table = warm::configurations(text).map_err(|faults| {
        let problems = faults.into_iter().map(|(Spot { line, column }, fault)| Problem {
            place: Place { file: file.clone(), line, column, path: String::new() },
            message: fault.says.clone(),
            found: fault.says,
            allowed: fault.allowed,
            hint: Some(fault.hint),
        });
        Failure::Problems(Problems(problems.collect()))
    })?;
    let list = mem::take(&mut table.configurations);
    Ok(Given { list, origin: Origin::Table(file, table) })
}

impl Given {
    /// Problems where they stand in what was given.
    fn place_all(&self, failure: Failure) -> Failure {
        let Failure::Problems(Problems(problems)) = failure else { return failure };
        let placed = problems.into_iter().map(|problem| {
            let place = self.place(&problem.place);
            let message = problem.message.replacen(&problem.place.path, &place.path, 1);
            Problem { place, message, ..problem }
        });
        Failure::Problems(Problems(placed.collect()))
    }

    /// `configurations.2.x` where it stands in what was given.
    fn place(&self, place: &Place) -> Place {
        let Some(rest) = place.path.strip_prefix("configurations.") else { return place.clone() };
        let (index, inner) = rest.split_once('.').unwrap_or((rest, ""));
        match &self.origin {
            Origin::Document(job, at) => {
                let is_one = at.is_empty() && matches!(job.document.to_json(), Json::Object(_));
                let path = match is_one {
                    true => inner.to_owned(),
                    false => format!("{at}{rest}"),
                };
                job.problem_at(&path, "", "", None).place
            }
            Origin::Table(file, table) => {
                let spot = index.parse().ok().map(|index| table.spot(index, inner));
                let Spot { line, column } = spot.unwrap_or_default();
                Place { file: file.clone(), line, column, path: inner.to_owned() }
            }
            Origin::Sets(sets) => {
                let set = sets.iter().find(|(path, _)| path == inner);
                let file =
                    set.map_or("--set".to_owned(), |(path, value)| format!("--set {path}={value}"));
                Place { file, path: inner.to_owned(), ..Place::default() }
            }
        }
    }
}
