//! `fleetfit export`: trials in files for other tools. `trials` writes its files here too.
//!
//! Rows are never kept: a table's columns are known once every row was seen, so rows are read twice,
//! and those that came between the two are left out.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use fleetfit_scheduler::query::TrialRow;
use fleetfit_search_spaces::disk::plain;
use serde_json::json;

use crate::cli::{ExportArgs, Format, ServerArgs};
use crate::exit;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::output::{Printer, write_line};
use crate::show::count;
use crate::source::Source;
use crate::table::{Columns, ParquetTable};

/// `fleetfit export`.
pub(crate) fn export(home: &Path, args: &ExportArgs, printer: &Printer) -> Result<i32, Failure> {
    let ending = args.out.extension().and_then(|ending| ending.to_str());
    let named = ending.and_then(of_ending).filter(|_| !args.out.is_dir());
    let files: Vec<(String, PathBuf)> = match (named, args.studies.as_slice()) {
        (Some(_), [study]) => vec![(study.clone(), args.out.clone())],
        (Some(_), _) => {
            let message = format!("{} is a file, which holds one study", args.out.display());
            return Err(Failure::asked(message, "name the study, or a folder with --out"));
        }
        (None, []) => {
            let all = Source::ask(home, &args.server, Source::studies)?;
            in_folder(args, all.into_iter().map(|view| view.study))?
        }
        (None, studies) => in_folder(args, studies.iter().cloned())?,
    };
    let format = match (named, args.format) {
        (Some(named), Some(asked)) if named != asked => {
            let message = format!("{} ends as {} do not", args.out.display(), ending_of(asked));
            return Err(Failure::asked(message, "leave --format out; the name says it"));
        }
        (Some(format), _) | (None, Some(format)) => format,
        (None, None) => Format::Parquet,
    };
    if named.is_none() {
        make_folder(args, ending)?;
    }
    for (study, path) in files {
        let entity = args.entity.as_deref();
        let trials = Trials { home, server: &args.server, study: &study, entity };
        let n_trials = trials.write_file(&path, format)?;
        if printer.is_json() {
            printer.json(&json!({"study": study, "file": path, "trials": n_trials}))?;
        } else {
            let plural = if n_trials == 1 { "" } else { "s" };
            let n_trials = count(n_trials);
            printer.line(&format!("{}: {n_trials} trial{plural}", path.display()))?;
        }
    }
    Ok(exit::DONE)
}

fn make_folder(args: &ExportArgs, ending: Option<&str>) -> Result<(), Failure> {
    let out = args.out.display();
    // A misspelled file, or one in a form that is not written here.
    if let (Some(ending), false) = (ending, args.out.is_dir()) {
        let message = format!("trials are not written as {ending}");
        let hint = "name a file that ends with .parquet, .csv or .jsonl, or a folder";
        return Err(Failure::asked(message, hint));
    }
    std::fs::create_dir_all(&args.out)
        .map_err(|error| Failure::Unavailable(format!("{out} cannot be made: {}", plain(&error))))
}

fn of_ending(ending: &str) -> Option<Format> {
    match ending {
        "parquet" => Some(Format::Parquet),
        "csv" => Some(Format::Csv),
        "jsonl" => Some(Format::Jsonl),
        _ => None,
    }
}

fn ending_of(format: Format) -> &'static str {
    match format {
        Format::Parquet => "parquet",
        Format::Csv => "csv",
        Format::Jsonl => "jsonl",
    }
}

/// Each study with its file in the folder.
fn in_folder(
    args: &ExportArgs,
    studies: impl Iterator<Item = String>,
) -> Result<Vec<(String, PathBuf)>, Failure> {
    studies.map(|study| place(args, &study).map(|path| (study, path))).collect()
}

/// A study's file in the folder. Names of a service elsewhere lead nowhere else.
fn place(args: &ExportArgs, study: &str) -> Result<PathBuf, Failure> {
    let parts: Vec<_> = Path::new(study).components().collect();
    if !matches!(parts.as_slice(), [Component::Normal(name)] if *name == study) {
        let message = format!("{study:?} cannot be the name of a file");
        return Err(Failure::asked(message, "export it alone, with a file as --out"));
    }
    let ending = ending_of(args.format.unwrap_or(Format::Parquet));
    Ok(args.out.join(format!("{study}.{ending}")))
}

/// Trials of a study, asked for as often as they are needed.
pub(crate) struct Trials<'a> {
    pub(crate) home: &'a Path,
    pub(crate) server: &'a ServerArgs,
    pub(crate) study: &'a str,
    pub(crate) entity: Option<&'a str>,
}

impl Trials<'_> {
    /// Every one that ended.
    pub(crate) fn each(
        &self,
        act: impl FnMut(TrialRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        Source::trials(self.home, self.server, self.study, self.entity, act)
    }

    /// Writes them to a file, and says how many.
    pub(crate) fn write_file(&self, path: &Path, format: Format) -> Result<u64, Failure> {
        let mut out = NewFile::create(path)?;
        let n_trials = match format {
            Format::Parquet => {
                let (columns, n_trials) = self.columns()?;
                let name = path.display().to_string();
                let mut table = ParquetTable::begin(out.file(), &name, &columns)?;
                self.first(n_trials, |row| table.push(row))?;
                table.finish()?;
                n_trials
            }
            Format::Csv | Format::Jsonl => self.write_lines(out.file(), format)?,
        };
        out.keep()?;
        Ok(n_trials)
    }

    /// Writes them as lines: csv, or JSON for every other format.
    pub(crate) fn write_lines(&self, out: &mut dyn Write, format: Format) -> Result<u64, Failure> {
        let mut out = BufWriter::new(out);
        let mut n_trials = 0;
        if format == Format::Csv {
            let (columns, n_rows) = self.columns()?;
            write_line(&mut out, &columns.csv_header())?;
            self.first(n_rows, |row| write_line(&mut out, &columns.csv_line(&row)))?;
            n_trials = n_rows;
        } else {
            self.each(|row| {
                n_trials += 1;
                let line = serde_json::to_string(&row)
                    .map_err(|error| Failure::Unexpected(error.to_string()))?;
                write_line(&mut out, &line)
            })?;
        }
        finish(out)?;
        Ok(n_trials)
    }

    /// The columns of a table of them, and how many rows it has.
    fn columns(&self) -> Result<(Columns, u64), Failure> {
        let status = Source::ask(self.home, self.server, |source| source.status(self.study))?;
        let (mut columns, mut n_rows) = (Columns::of(status), 0);
        self.each(|row| {
            columns.learn(&row);
            n_rows += 1;
            Ok(())
        })?;
        Ok((columns, n_rows))
    }

    /// The first so many; others have ended since these were counted.
    fn first(
        &self,
        n_rows: u64,
        mut act: impl FnMut(TrialRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = n_rows;
        self.each(|row| {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
            act(row)
        })
    }
}

/// Writes what is left. A reader that went away has what it wanted.
pub(crate) fn finish(mut out: impl Write) -> Result<(), Failure> {
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::outside(&format!("the trials cannot be written: {}", plain(&error))))
        }
        _ => Ok(()),
    }
}
