//! Commands that ask about studies, or end them.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use fleetfit_scheduler::query::{self, StatusView};
use fleetfit_search_spaces::disk::plain;
use serde_json::{Value as Json, json};

use crate::cli::{BestArgs, Format, Output, ServerArgs, StudyArgs, TrialsArgs};
use crate::client::escape;
use crate::exit;
use crate::export::{Trials, finish};
use crate::failure::Failure;
use crate::home;
use crate::new_file::NewFile;
use crate::output::{Printer, write_line};
use crate::show;
use crate::source::{self, Source};

/// `fleetfit studies`.
pub(crate) fn studies(home: &Path, server: &ServerArgs, printer: &Printer) -> Result<i32, Failure> {
    if server.server.is_none() && home.is_file() {
        let message = format!("{} is a file, not a data directory", home.display());
        return Err(Failure::asked(message, "name a folder with --data-dir"));
    }
    let views = match Source::is_untouched(home, server)? {
        true => Vec::new(),
        false => Source::ask(home, server, Source::studies)?,
    };
    if printer.is_json() {
        views.iter().try_for_each(|view| printer.json(view))?;
    } else if views.is_empty() {
        printer.note("no studies yet; start one with fleetfit run job.yaml");
    } else {
        printer.line(&show::studies(&views))?;
    }
    Ok(exit::DONE)
}

/// `fleetfit status`.
pub(crate) fn status(home: &Path, args: &StudyArgs, printer: &Printer) -> Result<i32, Failure> {
    let view = Source::ask(home, &args.server, |source| source.status(&args.study))?;
    if printer.is_json() {
        printer.json(&view)?;
    } else {
        printer.line(&show::status(&view))?;
    }
    show::of_the_service(&view).for_each(|message| printer.note(message));
    Ok(exit::DONE)
}

/// `fleetfit best`.
pub(crate) fn best(home: &Path, args: &BestArgs, printer: &Printer) -> Result<i32, Failure> {
    let status = Source::ask(home, &args.server, |source| source.status(&args.study))?;
    let metric = status.metric.name.as_str();
    if args.all {
        let source = Source::open(home, &args.server)?;
        let mut n_bests = 0_u64;
        let mut shown = Vec::new();
        source.each_best(&args.study, |best| {
            n_bests += 1;
            let bests = match (&best.entity, args.top) {
                (Some(key), Some(top)) if top > 1 => {
                    source.best(&args.study, Some(&key.to_string()), Some(top))?
                }
                _ => vec![best],
            };
            if printer.is_json() {
                return bests.iter().try_for_each(|best| printer.json(best));
            }
            shown.extend(bests);
            Ok(())
        })?;
        if n_bests == 0 {
            return nothing(printer, &status, "");
        }
        if !printer.is_json() {
            printer.line(&show::bests(&shown, metric))?;
        }
        let without = u64::from(status.entities).saturating_sub(n_bests);
        if without > 0 {
            let plural = if without == 1 { "entity has" } else { "entities have" };
            let what = lacking(&status);
            printer.note(&format!("{} {plural} no {what}", show::count(without)));
        }
        return Ok(exit::DONE);
    }
    let bests = Source::ask(home, &args.server, |source| {
        source.best(&args.study, args.entity.as_deref(), args.top)
    })?;
    if bests.is_empty() {
        let whose = args.entity.as_ref().map(|key| format!(" for {key}")).unwrap_or_default();
        return nothing(printer, &status, &whose);
    }
    if printer.is_json() {
        bests.iter().try_for_each(|best| printer.json(best))?;
    } else {
        printer.line(&show::bests(&bests, metric))?;
    }
    Ok(exit::DONE)
}

fn nothing(printer: &Printer, status: &StatusView, whose: &str) -> Result<i32, Failure> {
    printer.complain(&format!("{} has no {}{whose}", status.study, lacking(status)));
    Ok(exit::NOTHING_COMPLETED)
}

/// What a study has not that has no winner.
fn lacking(status: &StatusView) -> String {
    match status.constraints.is_empty() || status.trials.completed == 0 {
        true => "completed trial".to_owned(),
        false => format!("completed trial that keeps {}", status.constraints.join(" and ")),
    }
}

/// `fleetfit trials`.
pub(crate) fn trials(home: &Path, args: &TrialsArgs, printer: &Printer) -> Result<i32, Failure> {
    if let Some(trial) = args.logs {
        return logs(home, args, trial);
    }
    let server = &args.server;
    let trials = Trials { home, server, study: &args.study, entity: args.entity.as_deref() };
    let format = match printer.output {
        Output::Parquet if args.out.is_none() => {
            return Err(Failure::asked("parquet cannot go to standard output", "add --out FILE"));
        }
        Output::Parquet => Some(Format::Parquet),
        Output::Csv => Some(Format::Csv),
        Output::Json => Some(Format::Jsonl),
        Output::Text => None,
    };
    match (&args.out, format) {
        (Some(path), Some(format)) => trials.write_file(path, format).map(drop)?,
        (Some(path), None) => {
            let mut out = NewFile::create(path)?;
            told(&trials, out.file())?;
            out.keep()?;
        }
        (None, Some(format)) => {
            trials.write_lines(&mut std::io::stdout().lock(), format)?;
        }
        (None, None) => told(&trials, &mut std::io::stdout().lock())?,
    }
    Ok(exit::DONE)
}

/// Trials for people.
fn told(trials: &Trials, out: &mut dyn Write) -> Result<(), Failure> {
    let mut out = BufWriter::new(out);
    // The head waits for the first row, so that a question without an answer prints none.
    let mut head = Some(show::trial_head());
    trials.each(|row| {
        head.take().map_or(Ok(()), |head| write_line(&mut out, &head))?;
        write_line(&mut out, &show::trial(&row))
    })?;
    finish(out)
}

fn logs(home: &Path, args: &TrialsArgs, trial: u32) -> Result<i32, Failure> {
    let (name, copied) = match Source::open(home, &args.server)? {
        Source::Service(client) => {
            let path = format!("/studies/{}/trials/{trial}/logs", escape(&args.study));
            let log = client.get_bytes(&path)?;
            ("the log".to_owned(), std::io::stdout().lock().write_all(&log))
        }
        Source::Directory(journal, _) => {
            let record = source::record(&journal, &args.study)?;
            let path = home::study_dir(home, &args.study).join("trials").join(trial.to_string());
            let log = path.join("log.txt");
            let mut file = File::open(&log).map_err(|error| match error.kind() {
                ErrorKind::NotFound => Failure::asked(
                    query::no_log(&record, trial),
                    "the numbers of trials that ended are in fleetfit trials",
                ),
                _ => Failure::Unavailable(format!("{}: {}", log.display(), plain(&error))),
            })?;
            let copied = std::io::copy(&mut file, &mut std::io::stdout().lock());
            (log.display().to_string(), copied.map(drop))
        }
    };
    match copied {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Unavailable(format!("{name}: {}", plain(&error))))
        }
        _ => Ok(exit::DONE),
    }
}

/// `fleetfit cancel`.
pub(crate) fn cancel(home: &Path, args: &StudyArgs, printer: &Printer) -> Result<i32, Failure> {
    let view = Source::ask(home, &args.server, |source| source.cancel(&args.study))?;
    answer(printer, &view, &show::status(&view))
}

/// `fleetfit delete`.
pub(crate) fn delete(home: &Path, args: &StudyArgs, printer: &Printer) -> Result<i32, Failure> {
    Source::ask(home, &args.server, |source| source.delete(&args.study))?;
    let answered: Json = json!({"study": args.study, "deleted": true});
    answer(printer, &answered, &format!("{}: deleted", args.study))
}

fn answer(printer: &Printer, view: &impl serde::Serialize, text: &str) -> Result<i32, Failure> {
    if printer.is_json() {
        printer.json(view)?;
    } else {
        printer.line(text)?;
    }
    Ok(exit::DONE)
}
