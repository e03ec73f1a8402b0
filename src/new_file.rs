//! A file that is there whole or not at all: written under another name, put on the disk, renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::disk::plain;

use crate::failure::Failure;

/// A file that is being written. If it is not kept, nothing of it stays.
pub(crate) struct NewFile {
    /// The name that it was asked for under.
    name: PathBuf,
    file: File,
    /// Where it is and where it goes; nothing for what is no file, such as a pipe.
    renaming: Option<(PathBuf, PathBuf)>,
}

impl NewFile {
    /// Begins a file that takes the place of any other of this name.
    pub(crate) fn create(name: &Path) -> Result<Self, Failure> {
        let refuse = |error: io::Error| refused(name, &error);
        let path = match fs::metadata(name) {
            Ok(there) if there.is_dir() => {
                let message = format!("{} is a folder", name.display());
                return Err(Failure::asked(message, "name a file"));
            }
            Ok(there) if !there.is_file() => {
                let file = OpenOptions::new().write(true).open(name).map_err(refuse)?;
                return Ok(Self { name: name.to_owned(), file, renaming: None });
            }
            // Behind a link, it is what the link leads to that is replaced.
            Ok(_) => name.canonicalize().map_err(refuse)?,
            Err(_) => name.to_owned(),
        };
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o666);
        let file = options.open(&part).map_err(refuse)?;
        Ok(Self { name: name.to_owned(), file, renaming: Some((part, path)) })
    }

    /// Where to write.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Begins again. What has left through a pipe cannot be taken back.
    pub(crate) fn restart(&mut self) -> Result<(), Failure> {
        if self.renaming.is_none() {
            return Ok(());
        }
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|error| refused(&self.name, &error))
    }

    /// Gives the file its name.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        let Some((part, path)) = self.renaming.take() else { return Ok(()) };
        let kept = self.file.sync_all().and_then(|()| fs::rename(&part, &path)).and_then(|()| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        kept.map_err(|error| {
            drop(fs::remove_file(&part));
            refused(&self.name, &error)
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.renaming {
            // It may be gone already.
            drop(fs::remove_file(part));
        }
    }
}

fn refused(name: &Path, error: &io::Error) -> Failure {
    Failure::outside(&format!("{} cannot be written: {}", name.display(), plain(error)))
}
