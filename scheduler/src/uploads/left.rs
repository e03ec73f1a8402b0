//! What an upload is, and how it takes its place once it is whole: the log, a file, a folder or a link
//! of a trial, or a model.
//!
//! Links lead to outputs of the same trial, and nothing is put below a link: whatever a runner sends
//! lies in the trial's folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use fleetfit_search_spaces::material::{check_place, is_digest};
use fleetfit_search_spaces::wire::join::{FOLDERS, LINKS, Upload};

use super::{
    LOG, MAX_LOG_BYTES, MAX_MODEL_BYTES, MAX_OUTPUT_BYTES, MODELS, OUTPUTS, UploadError, digest,
    disk,
};

/// How long the way may be that a link tells.
const MAX_LINK_BYTES: u64 = 4096;

/// What an upload is, with its place in the trial's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left<'u> {
    /// The log or an output.
    File(&'u str),
    /// A folder with nothing in it.
    Folder(&'u str),
    /// A link.
    Link(&'u str),
    /// A model, which no trial's folder holds.
    Model,
}

impl<'u> Left<'u> {
    /// What this is. Refuses what no trial of ours sends.
    pub(super) fn of(upload: &'u Upload, piece: &[u8]) -> Result<Self, UploadError> {
        let at = upload.at.as_str();
        let left = if at.strip_prefix(MODELS) == Some(upload.digest.as_str()) {
            Self::Model
        } else if let Some(folder) = at.strip_prefix(FOLDERS) {
            Self::Folder(folder)
        } else if let Some(link) = at.strip_prefix(LINKS) {
            Self::Link(link)
        } else {
            Self::File(at)
        };
        let is_output =
            |at: &str| at.strip_prefix(OUTPUTS).is_some_and(|inside| !inside.is_empty());
        let is_known = match left {
            Self::Model => true,
            Self::File(at) => at == LOG || is_output(at),
            Self::Folder(at) | Self::Link(at) => is_output(at) && check_place(at).is_ok(),
        };
        if check_place(at).is_err() || !is_known {
            return Err(no_place(at));
        }
        if !is_digest(&upload.digest) {
            return Err(UploadError::NotADigest(at.to_owned()));
        }
        let (what, most) = match left {
            Self::Model => ("a model", MAX_MODEL_BYTES),
            Self::File(LOG) => ("a trial's log", MAX_LOG_BYTES),
            Self::File(_) => ("the outputs of a trial", MAX_OUTPUT_BYTES),
            Self::Link(_) => ("the way of a link", MAX_LINK_BYTES),
            Self::Folder(_) => ("an empty folder", 0),
        };
        let end = upload.offset.checked_add(piece.len() as u64);
        if upload.total > most || end.is_none_or(|end| end > upload.total) {
            let most = match most >> 20 {
                0 => format!("{most} bytes"),
                mb => format!("{mb} MB"),
            };
            return Err(UploadError::TooMuch { what, most, at: at.to_owned() });
        }
        Ok(left)
    }

    /// Whether it lies in its place already.
    pub(super) fn is_there(self, trial_dir: &Path, path: &Path, upload: &Upload) -> bool {
        let Ok(found) = fs::symlink_metadata(path) else { return false };
        if self != Self::Model && below_a_link(trial_dir, path) {
            return false;
        }
        match self {
            Self::Folder(_) => found.is_dir(),
            Self::Link(_) => fs::read_link(path).is_ok_and(|to| {
                blake3::hash(to.as_os_str().as_encoded_bytes()).to_hex().as_str() == upload.digest
            }),
            Self::File(_) | Self::Model => {
                found.is_file()
                    && found.len() == upload.total
                    && File::open(path)
                        .and_then(|mut file| digest(&mut file))
                        .is_ok_and(|found| found == upload.digest)
            }
        }
    }

    /// Gives it its place. Its bytes are in `part`, all of them.
    pub(super) fn settle(
        self,
        part: &Path,
        trial_dir: &Path,
        path: &Path,
    ) -> Result<(), UploadError> {
        let folder = path.parent().unwrap_or(trial_dir);
        match self {
            Self::Model => {}
            Self::File(at) | Self::Folder(at) | Self::Link(at) => {
                if below_a_link(trial_dir, path) {
                    return Err(refused(part, at));
                }
            }
        }
        fs::create_dir_all(folder).map_err(disk(folder))?;
        match self {
            Self::File(_) | Self::Model => fs::rename(part, path).map_err(disk(path)),
            Self::Folder(at) => {
                fs::remove_file(part).map_err(disk(part))?;
                match fs::create_dir(path) {
                    Err(_) if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) => {
                        Ok(())
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(no_place(at)),
                    made => made.map_err(disk(path)),
                }
            }
            Self::Link(at) => {
                let to = fs::read_to_string(part).ok().filter(|to| leads_inside(at, to));
                let Some(to) = to else { return Err(refused(part, at)) };
                if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
                    return Err(refused(part, at));
                }
                let made = part.with_extension("link");
                let _ = fs::remove_file(&made);
                symlink(to, &made).map_err(disk(&made))?;
                fs::rename(&made, path).map_err(disk(path))?;
                fs::remove_file(part).map_err(disk(part))
            }
        }
    }
}

fn no_place(at: &str) -> UploadError {
    UploadError::Place(at.chars().take(120).collect())
}

fn refused(part: &Path, at: &str) -> UploadError {
    let _ = fs::remove_file(part);
    no_place(at)
}

/// Whether any folder on the way from the trial's own to this place is a link.
fn below_a_link(trial_dir: &Path, path: &Path) -> bool {
    let folders = path.ancestors().skip(1).take_while(|folder| *folder != trial_dir);
    folders
        .into_iter()
        .any(|folder| fs::symlink_metadata(folder).is_ok_and(|there| there.is_symlink()))
}

/// Whether a link at this place leads to an output: so many steps up and then names, or to its own
/// folder. Whatever is a link among the names leads to an output itself.
fn leads_inside(at: &str, to: &str) -> bool {
    let n_above = at.split('/').count() - 1;
    let n_up = to.split('/').take_while(|name| *name == "..").count();
    let names = to.splitn(n_up + 1, '/').nth(n_up);
    to == "." || n_up < n_above && names.is_none_or(|names| check_place(names).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_outputs() {
        let check = |at: &str, to: &str, expected: bool| {
            assert_eq!(leads_inside(at, to), expected, "{at} -> {to}");
        };
        check("outputs/a", "b", true);
        check("outputs/a", ".", true);
        check("outputs/a", "..", false);
        check("outputs/a", "../log.txt", false);
        check("outputs/m/a", "..", true);
        check("outputs/m/a", "../n/b", true);
        check("outputs/m/a", "../..", false);
        check("outputs/m/a", "../../log.txt", false);
        check("outputs/m/n/a", "../..", true);
        for to in ["", "/etc", "b/..", "b/../../..", "../", "./b", "b//c", "..b/../..", "b\0c"] {
            check("outputs/m/a", to, false);
        }
    }
}
