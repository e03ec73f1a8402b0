//! A trial's own folder: what its program sees, where its outputs and its log go.
//!
//! `work/` is the program's working directory, with a link to each entry of the code folder's
//! snapshot, so that what it writes next to them stays its own; `outputs/`, where the job has any,
//! holds what `${{outputs.x}}` names; `log.txt` is its output. A second attempt begins with nothing of the first.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fleetfit_search_spaces::Output;

/// Why there is no folder.
#[derive(Debug)]
pub(super) enum FolderError {
    /// It could not be made.
    Own(std::io::Error),
    /// The study's copy of its code could not be read.
    Code(std::io::Error),
}

impl From<std::io::Error> for FolderError {
    fn from(error: std::io::Error) -> Self {
        Self::Own(error)
    }
}

/// The folder of one attempt at a trial.
#[derive(Clone, Debug)]
pub(super) struct TrialFolder {
    pub(super) work: PathBuf,
    pub(super) outputs: PathBuf,
    pub(super) log: PathBuf,
}

impl TrialFolder {
    /// A fresh folder. What an earlier attempt left is moved away first, in one step, because an
    /// earlier program may be writing its last words into it.
    pub(super) fn create(
        trial_dir: &Path,
        code: Option<&Path>,
        outputs: &[(String, Output)],
    ) -> Result<Self, FolderError> {
        let trial_dir = std::path::absolute(trial_dir)?;
        remove(&trial_dir)?;
        let folder = Self {
            work: trial_dir.join("work"),
            outputs: trial_dir.join("outputs"),
            log: trial_dir.join("log.txt"),
        };
        // One call where the study's folder is there already.
        if std::fs::create_dir(&trial_dir).is_err() {
            std::fs::create_dir_all(&trial_dir)?;
        }
        std::fs::create_dir(&folder.work)?;
        if !outputs.is_empty() {
            std::fs::create_dir(&folder.outputs)?;
        }
        for (name, output) in outputs {
            if *output == Output::Folder {
                std::fs::create_dir(folder.output(name))?;
            }
        }
        if let Some(code) = code {
            let entries = std::fs::read_dir(std::path::absolute(code)?);
            for entry in entries.map_err(FolderError::Code)? {
                let entry = entry.map_err(FolderError::Code)?;
                let link = folder.work.join(entry.file_name());
                std::os::unix::fs::symlink(entry.path(), link)?;
            }
        }
        Ok(folder)
    }

    /// The path that `${{outputs.NAME}}` becomes.
    pub(super) fn output(&self, name: &str) -> PathBuf {
        self.outputs.join(name)
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".gone-");
    name.push(folder.file_name().unwrap_or_default());
    name.push(format!("-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let gone = folder.with_file_name(name);
    match std::fs::rename(folder, &gone) {
        Ok(()) => {
            // A program that still writes there loses nothing that counts, and may keep the folder.
            let _ = std::fs::remove_dir_all(&gone);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_attempt_starts_afresh() {
        let base = tempfile::tempdir().unwrap();
        let code = base.path().join("code");
        std::fs::create_dir_all(code.join("lib")).unwrap();
        std::fs::write(code.join("train.py"), "print(1)").unwrap();
        let trial = base.path().join("trials/3");
        let outputs = [("model".to_owned(), Output::Folder), ("scores".to_owned(), Output::File)];
        for _ in 0..2 {
            let folder = TrialFolder::create(&trial, Some(&code), &outputs).unwrap();
            let text = std::fs::read_to_string(folder.work.join("train.py")).unwrap();
            assert_eq!(text, "print(1)");
            assert!(folder.work.join("lib").is_dir());
            assert!(folder.output("model").is_dir());
            assert!(!folder.output("scores").exists());
            assert!(!folder.work.join("left").exists());
            std::fs::write(folder.work.join("left"), "").unwrap();
        }
        assert!(!code.join("left").exists());
        assert_eq!(std::fs::read_dir(base.path().join("trials")).unwrap().count(), 1);
    }
}
