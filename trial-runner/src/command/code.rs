//! A job's code folder, copied once for a study: a later edit of a script changes no running study.
//!
//! Left out is what `.amlignore` lists (or `.gitignore`, where there is none), and always version
//! control, byte code and fleetfit's own data. The copies are read-only, because all trials share
//! them; links are kept as links.

mod ignore;
mod listing;

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fleetfit_search_spaces::disk::plain;
use ignore::Ignore;
pub(crate) use listing::{Listing, list_code, list_input};

use crate::program;

/// The most that a code folder may hold, in bytes.
const MAX_BYTES: u64 = 300 << 20;

/// The most files that a code folder may hold.
const MAX_FILES: usize = 20_000;

/// The deepest folder of a code folder.
const MAX_DEPTH: usize = 64;

/// What the name of a copy in the making begins with.
const UNFINISHED: &str = ".copy-";

/// A copy of a code folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeSnapshot {
    /// Where it lies: `<study's folder>/code/<digest>`.
    pub folder: PathBuf,
    /// The digest of its names and contents, in hexadecimal.
    pub digest: String,
}

/// Why a code folder could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It holds more than is meant to be copied.
    #[error(
        "the code folder {folder} holds more than {limit} (at {at}); list what the program does \
         not need in {folder}/.amlignore"
    )]
    TooLarge {
        /// The folder.
        folder: String,
        /// What it holds more of.
        limit: String,
        /// The file that was too much.
        at: String,
    },
    /// Something in it could not be read.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The copy could not be written.
    #[error("{path} cannot be written: {}", plain(.source))]
    Write {
        /// What.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It has a name that cannot be sent to another machine.
    #[error(
        "{path} has a name that is not UTF-8, and cannot be sent to another machine; rename it"
    )]
    Name {
        /// What.
        path: String,
    },
}

/// The digest of code that is about to be copied. `data_dir` is fleetfit's own, which may lie inside
/// the code folder and is no part of it; nor is the job file, which is compared as a job.
pub fn digest_code(code: &Path, job_file: &Path, data_dir: &Path) -> Result<String, CodeError> {
    let code = std::fs::canonicalize(code).map_err(at(code))?;
    let own = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let mut reading = Reading::of(&code, &own, Ignore::of(&code), LIMITS);
    reading.job_file = std::fs::canonicalize(job_file).ok();
    reading.digest(None)
}

/// The digest of an input: a file, or everything in a folder.
pub fn digest_input(input: &Path) -> Result<String, CodeError> {
    let input = std::fs::canonicalize(input).map_err(at(input))?;
    let nothing = Path::new("");
    Reading::of(&input, nothing, Ignore::nothing(), NO_LIMITS).digest(None)
}

/// Copies the code folder (or file) for a study, or finds the copy that was made of the same files
/// before.
pub fn snapshot(code: &Path, study_dir: &Path) -> Result<CodeSnapshot, CodeError> {
    // One at a time, so that any other copy in the making is one that nobody goes on with.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static COPYING: Mutex<()> = Mutex::new(());
    let _copying = COPYING.lock().unwrap_or_else(PoisonError::into_inner);
    let code = std::fs::canonicalize(code).map_err(at(code))?;
    let copies = study_dir.join("code");
    std::fs::create_dir_all(&copies).map_err(writing(&copies))?;
    let copies = std::fs::canonicalize(&copies).map_err(writing(&copies))?;
    remove_unfinished(&copies);
    let own =
        format!("{UNFINISHED}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let copy = copies.join(own);
    let reading = Reading::of(&code, &copies, Ignore::of(&code), LIMITS);
    let copied = reading.digest(Some(&copy)).and_then(|digest| {
        let folder = copies.join(&digest);
        if !folder.is_dir() {
            std::fs::rename(&copy, &folder).map_err(writing(&folder))?;
        }
        Ok(CodeSnapshot { folder, digest })
    });
    // Left only when it failed or was not needed.
    let _ = std::fs::remove_dir_all(&copy);
    copied.map_err(|error| match error {
        // Its own name is another one each time, and the reason the same.
        CodeError::Write { path, source } if Path::new(&path).starts_with(&copy) => {
            writing(&copies)(source)
        }
        error => error,
    })
}

/// Removes what a process that was killed left of a copy. Processes do not share a study's folder.
fn remove_unfinished(copies: &Path) {
    for entry in std::fs::read_dir(copies).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            // What stays takes room, and is in nobody's way.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Copies what a file holds. Unlike the library's own, it tells reading from writing.
fn copy_file(source: &Path, copy: &Path) -> Result<File, CodeError> {
    let mut from = File::open(source).map_err(at(source))?;
    let mut to = File::create(copy).map_err(writing(copy))?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(to),
            Ok(n) => to.write_all(&buffer[..n]).map_err(writing(copy))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(at(source)(error)),
        }
    }
}

fn writing(path: &Path) -> impl FnOnce(std::io::Error) -> CodeError {
    let path = path.display().to_string();
    |source| CodeError::Write { path, source }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CodeError {
    let path = path.display().to_string();
    |source| CodeError::Io { path, source }
}

/// How much may be read.
#[derive(Clone, Copy)]
struct Limits {
    bytes: u64,
    files: usize,
}

const LIMITS: Limits = Limits { bytes: MAX_BYTES, files: MAX_FILES };
const NO_LIMITS: Limits = Limits { bytes: u64::MAX, files: usize::MAX };

/// A folder (or file) that is being read, and copied where a copy is wanted.
struct Reading<'a> {
    code: &'a Path,
    /// Never read: it holds the copies, or fleetfit's own data.
    own: &'a Path,
    /// Never read either.
    job_file: Option<PathBuf>,
    ignore: Ignore,
    limits: Limits,
    n_files: usize,
    n_bytes: u64,
    digest: blake3::Hasher,
    /// What is found, where it is wanted.
    listing: Option<Listing>,
}

impl<'a> Reading<'a> {
    fn of(code: &'a Path, own: &'a Path, ignore: Ignore, limits: Limits) -> Self {
        let digest = blake3::Hasher::new();
        let listing = None;
        Self { code, own, job_file: None, ignore, limits, n_files: 0, n_bytes: 0, digest, listing }
    }

    /// Reads everything, copies it where asked, and returns its digest.
    fn digest(mut self, copy: Option<&Path>) -> Result<String, CodeError> {
        self.read(copy)?;
        Ok(self.digest.finalize().to_hex()[..32].to_owned())
    }

    fn read(&mut self, copy: Option<&Path>) -> Result<(), CodeError> {
        if self.code.is_dir() {
            self.folder(Path::new(""), copy, 0)?;
        } else {
            // One file is a folder that holds nothing else.
            let name = self.code.file_name().unwrap_or_default().to_owned();
            let metadata = std::fs::metadata(self.code).map_err(at(self.code))?;
            self.code = self.code.parent().unwrap_or(Path::new("/"));
            if let Some(copy) = copy {
                std::fs::create_dir_all(copy).map_err(writing(copy))?;
            }
            let copy = copy.map(|copy| copy.join(&name));
            self.file(Path::new(&name), copy.as_deref(), &metadata)?;
        }
        Ok(())
    }

    fn folder(
        &mut self,
        inside: &Path,
        copy: Option<&Path>,
        depth: usize,
    ) -> Result<(), CodeError> {
        let source = self.code.join(inside);
        if depth > MAX_DEPTH {
            return Err(self.too_large(format!("{MAX_DEPTH} folders inside each other"), inside));
        }
        if let Some(copy) = copy {
            std::fs::create_dir_all(copy).map_err(writing(copy))?;
        }
        let entries = std::fs::read_dir(&source).map_err(at(&source))?;
        let mut names: Vec<OsString> = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .map_err(at(&source))?;
        names.sort();
        let before = self.listing.as_ref().map(Listing::len);
        for name in names {
            let inside = inside.join(&name);
            let source = self.code.join(&inside);
            let metadata = std::fs::symlink_metadata(&source).map_err(at(&source))?;
            // A data directory inside the code folder must not be copied into itself.
            let is_own = self.own.starts_with(&source)
                || self.job_file.as_ref().is_some_and(|job_file| *job_file == source)
                || source.join("journal").join("db").is_file();
            if is_own || self.ignore.covers(&inside, metadata.is_dir()) {
                continue;
            }
            let copy = copy.map(|copy| copy.join(&name));
            if metadata.is_dir() {
                self.folder(&inside, copy.as_deref(), depth + 1)?;
            } else if metadata.is_symlink() {
                self.link(&inside, copy.as_deref(), depth)?;
            } else if metadata.is_file() {
                self.file(&inside, copy.as_deref(), &metadata)?;
            }
        }
        match &mut self.listing {
            Some(listing) if before == Some(listing.len()) => listing.folder(inside),
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        inside: &Path,
        copy: Option<&Path>,
        metadata: &Metadata,
    ) -> Result<(), CodeError> {
        use std::os::unix::fs::PermissionsExt;
        self.n_files += 1;
        self.n_bytes += metadata.len();
        if self.n_files > self.limits.files {
            return Err(self.too_large(format!("{} files", self.limits.files), inside));
        }
        if self.n_bytes > self.limits.bytes {
            return Err(self.too_large(format!("{} MB", self.limits.bytes >> 20), inside));
        }
        let source = self.code.join(inside);
        let executable = metadata.permissions().mode() & 0o111;
        if let Some(copy) = copy {
            let written = copy_file(&source, copy)?;
            let mode = std::fs::Permissions::from_mode(0o444 | executable);
            written.set_permissions(mode).map_err(writing(copy))?;
            if executable != 0 {
                program::close(written, copy).map_err(writing(copy))?;
            }
        }
        let kind = if executable == 0 { "file" } else { "program" };
        // A copy's own bytes count, in case the file changes meanwhile.
        let read = copy.unwrap_or(&source);
        let mut contents = blake3::Hasher::new();
        let file = File::open(read).map_err(at(read))?;
        contents.update_reader(file).map_err(at(read))?;
        let digest = contents.finalize();
        self.note(kind, inside, digest.as_bytes());
        match &mut self.listing {
            Some(listing) => {
                listing.file(inside, &source, &digest, contents.count(), executable != 0)
            }
            None => Ok(()),
        }
    }

    /// A link within the folder stays as it is; any other leads to the same place as before.
    fn link(&mut self, inside: &Path, copy: Option<&Path>, depth: usize) -> Result<(), CodeError> {
        if self.listing.is_some() {
            return self.list_link(inside, depth);
        }
        let source = self.code.join(inside);
        let target = std::fs::read_link(&source).map_err(at(&source))?;
        let target = match std::fs::canonicalize(&source) {
            Ok(real) if target.is_relative() && real.starts_with(self.code) => target,
            Ok(real) => real,
            Err(_) => target,
        };
        if let Some(copy) = copy {
            std::os::unix::fs::symlink(&target, copy).map_err(writing(copy))?;
        }
        self.note("link", inside, target.as_os_str().as_encoded_bytes());
        Ok(())
    }

    fn note(&mut self, kind: &str, inside: &Path, contents: &[u8]) {
        for part in [kind.as_bytes(), inside.as_os_str().as_encoded_bytes(), contents] {
            self.digest.update(&(part.len() as u64).to_le_bytes());
            self.digest.update(part);
        }
    }

    fn too_large(&self, limit: String, inside: &Path) -> CodeError {
        CodeError::TooLarge {
            folder: self.code.display().to_string(),
            limit,
            at: inside.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The files below a folder, sorted.
    fn files(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_path_buf()];
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(folder).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn copies_what_is_not_ignored() {
        let base = tempfile::tempdir().unwrap();
        let code = base.path().join("code");
        for file in [
            "train.py",
            "lib/model.py",
            "lib/__pycache__/model.pyc",
            ".git/HEAD",
            "data/big.bin",
            "data/keep.csv",
            "notes.log",
            "state/studies/s/old",
        ] {
            write(&code.join(file), file);
        }
        write(&code.join(".gitignore"), "train.py\n");
        write(&code.join(".amlignore"), "# big\n*.log\n/data/*\n!keep.csv\n");
        std::os::unix::fs::symlink("train.py", code.join("run.py")).unwrap();
        let study = code.join("state/studies/s");
        let first = snapshot(&code, &study).unwrap();
        assert_eq!(
            files(&first.folder),
            [".amlignore", ".gitignore", "data/keep.csv", "lib/model.py", "run.py", "train.py"]
        );
        assert_eq!(std::fs::read_to_string(first.folder.join("run.py")).unwrap(), "train.py");
        assert_eq!(snapshot(&code, &study).unwrap(), first);
        assert_eq!(std::fs::read_dir(study.join("code")).unwrap().count(), 1);

        write(&code.join("train.py"), "edited");
        let second = snapshot(&code, &study).unwrap();
        assert_ne!(second.digest, first.digest);
        assert_eq!(std::fs::read_to_string(first.folder.join("train.py")).unwrap(), "train.py");
    }

    #[test]
    fn what_an_earlier_life_left_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let (code, study) = (base.path().join("code"), base.path().join("study"));
        write(&code.join("a.py"), "a");
        write(&study.join("code/.copy-1-0/b.py"), "b");
        let copied = snapshot(&code, &study).unwrap();
        assert_eq!(files(&study), [format!("code/{}/a.py", copied.digest)]);
    }

    #[test]
    fn a_copy_that_cannot_be_written_is_told_from_code_that_cannot_be_read() {
        let base = tempfile::tempdir().unwrap();
        let (code, study) = (base.path().join("code"), base.path().join("study"));
        write(&study, "a file in the place of the folder");
        write(&code.join("a.py"), "a");
        let error = snapshot(&code, &study).unwrap_err();
        assert!(matches!(&error, CodeError::Write { .. }), "{error}");
        let said = format!("{} cannot be written: not a directory", study.join("code").display());
        assert_eq!(error.to_string(), said);
        let error = snapshot(&base.path().join("gone"), &base.path().join("other")).unwrap_err();
        assert!(matches!(&error, CodeError::Io { .. }), "{error}");
        // A disk that takes nothing.
        if cfg!(target_os = "linux") {
            let full = Path::new("/dev/full");
            let error = copy_file(&code.join("a.py"), full).unwrap_err();
            assert!(matches!(&error, CodeError::Write { .. }), "{error}");
            assert!(error.to_string().contains("no space left on device; make space"), "{error}");
        }
    }

    #[test]
    fn a_copy_that_fails_again_fails_for_the_same_reason() {
        let base = tempfile::tempdir().unwrap();
        let code = base.path().join("code");
        write(&code.join("a".repeat(250)), "");
        // So deep that the copy's folder can be made, and the file in it cannot.
        let mut study = std::fs::canonicalize(base.path()).unwrap();
        while study.as_os_str().len() < 3_900 {
            let n_left = 3_900 - study.as_os_str().len();
            study.push("d".repeat(n_left.clamp(1, 200)));
        }
        let reasons = [(); 2].map(|()| snapshot(&code, &study).unwrap_err().to_string());
        let said = format!("{} cannot be written: ", study.join("code").display());
        assert!(reasons[0].starts_with(&said) && !reasons[0].contains(UNFINISHED), "{reasons:?}");
        assert_eq!(reasons[0], reasons[1]);
    }

    #[test]
    fn refuses_what_is_too_large() {
        let base = tempfile::tempdir().unwrap();
        let code = base.path().join("code");
        write(&code.join("a.py"), "");
        let big = std::fs::File::create(code.join("weights.bin")).unwrap();
        big.set_len(MAX_BYTES + 1).unwrap();
        let error = snapshot(&code, &base.path().join("study")).unwrap_err().to_string();
        assert!(error.contains("more than 300 MB (at weights.bin)"), "{error}");
        assert!(error.contains(".amlignore"), "{error}");
        assert_eq!(files(&base.path().join("study")), Vec::<String>::new());
    }
}
