//! `fleetfit backup` and `fleetfit restore`: everything that a data directory holds and that cannot be
//! made again, in one file.
//!
//! The form is in `backup/archive.rs`, how it is written in `backup/pack.rs`, and how it is read
//! without trusting it in `backup/unpack.rs`.

mod archive;
mod pack;
mod unpack;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetfit_scheduler::api::Backup;
use fleetfit_scheduler::journal::Journal;
use fleetfit_search_spaces::disk::plain;
use serde_json::json;

use self::archive::{Closing, Reading};
use crate::cli::{BackupArgs, RestoreArgs};
use crate::exit;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::output::Printer;
use crate::show::count;
use crate::source::Source;

/// What the process that has a data directory open answers with when it is asked for a copy.
pub(crate) fn of(home: &Path, journal: &Journal) -> Backup {
    let (home, journal) = (home.to_owned(), journal.clone());
    Arc::new(move |out| pack::write(&home, &journal, out).map(drop))
}

/// `fleetfit backup`.
pub(crate) fn backup(home: &Path, args: &BackupArgs, printer: &Printer) -> Result<i32, Failure> {
    let mut n_bytes = 0;
    let closing = if args.out == Path::new("-") {
        if printer.is_json() {
            let message = "standard output cannot hold a backup and JSON";
            return Err(Failure::asked(message, "name a file with --out, or leave --output out"));
        }
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            let message = "a backup is nothing to look at";
            return Err(Failure::asked(message, "name a file with --out, or pipe it somewhere"));
        }
        copy(&Source::open(home, &args.server)?, &mut out, "standard output", &mut n_bytes)?
    } else {
        let mut out = NewFile::create(&args.out)?;
        let name = args.out.display().to_string();
        // Whoever had the directory open may end on the way; then the copy is made here.
        let closing = Source::ask(home, &args.server, |source| {
            out.restart()?;
            copy(source, out.file(), &name, &mut n_bytes)
        })?;
        out.keep()?;
        closing
    };
    for damaged in &closing.damaged {
        let (study, why) = (&damaged.study, &damaged.reason);
        printer.complain(&format!("{study} is damaged, and not in the backup: {why}"));
    }
    let studies = closing.n_studies();
    if printer.is_json() {
        printer.json(&json!({
            "out": args.out,
            "bytes": n_bytes,
            "studies": studies,
            "documents": closing.documents,
            "files": closing.files,
            "damaged": closing.damaged,
        }))?;
    } else {
        let (files, plural) = (count(closing.files), plural(studies));
        let says = format!("{} stud{plural} and {files} files are in the backup", count(studies));
        printer.note(&says);
    }
    Ok(exit::DONE)
}

fn plural(studies: u64) -> &'static str {
    if studies == 1 { "y" } else { "ies" }
}

/// Copies everything. What a service sends is looked at on the way.
fn copy(
    source: &Source,
    out: &mut dyn Write,
    name: &str,
    n_bytes: &mut u64,
) -> Result<Closing, Failure> {
    *n_bytes = 0;
    let mut out = Counted { out, n_bytes, failed: None };
    let copied = match source {
        Source::Directory(journal, home) => pack::write(home, journal, &mut out)
            .and_then(|closing| out.flush().map(|()| closing))
            .map_err(|error| Failure::outside(&error)),
        Source::Service(client) => {
            let mut download = client.download("/backup")?;
            let mut tee = Tee { input: &mut download, out: &mut out };
            let looked_at = Reading::of(&mut tee, |reading| {
                while reading.next()?.is_some() {}
                reading.closing()
            });
            let rest = io::copy(&mut tee, &mut io::sink()).and_then(|_| out.flush());
            match download.failure() {
                Some(failure) => Err(failure),
                None => looked_at
                    .map_err(Failure::from)
                    .and_then(|closing| rest.map(|()| closing).map_err(|e| Failure::outside(&e))),
            }
        }
    };
    match out.failed {
        Some(why) => Err(Failure::outside(&format!("{name} cannot be written: {why}"))),
        None => copied,
    }
}

/// Counts what is written, and remembers why nothing more could be.
struct Counted<'a> {
    out: &'a mut dyn Write,
    n_bytes: &'a mut u64,
    failed: Option<String>,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written =
            self.out.write(bytes).inspect_err(|error| self.failed = Some(plain(error)))?;
        *self.n_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|error| self.failed = Some(plain(error)))
    }
}

/// Writes down what is read.
struct Tee<'a, R, W> {
    input: &'a mut R,
    out: &'a mut W,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(bytes)?;
        self.out.write_all(&bytes[..n])?;
        Ok(n)
    }
}

/// `fleetfit restore`.
pub(crate) fn restore(home: &Path, args: &RestoreArgs, printer: &Printer) -> Result<i32, Failure> {
    let mut input: Box<dyn Read> = match args.file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(open(&args.file)?),
    };
    let restored = unpack::restore(home, &mut input)?;
    for damaged in &restored.damaged {
        let (study, why) = (&damaged.name, &damaged.reason);
        printer.complain(&format!("{study} is damaged, and its job cannot be read: {why}"));
    }
    let studies = restored.studies;
    if printer.is_json() {
        let damaged = restored.damaged.iter();
        let damaged = damaged.map(|d| json!({"study": d.name, "reason": d.reason}));
        printer.json(&json!({
            "data_dir": home,
            "studies": studies,
            "documents": restored.documents,
            "files": restored.files,
            "damaged": damaged.collect::<Vec<_>>(),
        }))?;
    } else {
        let plural = plural(studies);
        let (studies, files) = (count(studies), count(restored.files));
        printer.line(&format!(
            "{}: {studies} stud{plural} and {files} files, as they were",
            home.display()
        ))?;
    }
    Ok(exit::DONE)
}

fn open(path: &PathBuf) -> Result<File, Failure> {
    let refuse = |why: String| {
        let message = format!("{} cannot be read: {why}", path.display());
        Failure::asked(message, "name a file that fleetfit backup wrote")
    };
    let file = File::open(path).map_err(|error| refuse(plain(&error)))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(refuse("it is a folder".into())),
        _ => Ok(file),
    }
}
