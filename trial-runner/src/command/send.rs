//! What a command trial left, on its way back to the service: its log, then its outputs, file by file
//! and piece by piece.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::material::check_place;
use fleetfit_search_spaces::wire::AssignmentKey;
use fleetfit_search_spaces::wire::join::{Answer, Upload};

use crate::material::digest_file;

/// The most bytes that one message carries.
const PIECE_BYTES: usize = 512 << 10;

/// How often a file is begun anew that did not arrive.
const MAX_TRIES: usize = 5;

/// The deepest folder of outputs.
const MAX_DEPTH: usize = 64;

/// A trial that has ended on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// Its own folder.
    pub trial_dir: &'a Path,
    /// The assignment that it was part of.
    pub of: AssignmentKey,
    /// The configuration's number.
    pub configuration: u32,
    /// The entity's index.
    pub entity: u32,
}

/// What a trial left could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("{at} could not be sent back: {reason}")]
pub struct SendError {
    /// The file's place in the trial's folder.
    at: String,
    /// Why.
    reason: String,
}

/// Sends everything that the trial left. `ask` sends a piece and waits for the answer; where it is
/// told to ask later, it is for `ask` to pause. Returns what the service did not take, in words.
pub fn send_folder(
    left: &Left<'_>,
    ask: &mut dyn FnMut(&Upload, &[u8]) -> io::Result<Answer<()>>,
) -> Result<Vec<String>, SendError> {
    let mut refused = Vec::new();
    let mut found = Vec::new();
    let log = left.trial_dir.join("log.txt");
    if log.is_file() {
        found.push(("log.txt".to_owned(), log));
    }
    let outputs = left.trial_dir.join("outputs");
    if let Ok(real) = fs::canonicalize(&outputs) {
        walk(&outputs, "outputs", &real, 0, &mut found, &mut refused);
    }
    for (at, path) in found {
        if let Some(reason) = send_file(left, &at, &path, ask)? {
            refused.push(format!("{at}: {reason}"));
        }
    }
    Ok(refused)
}

/// Finds the files of a folder, in the order of their names. A link within the outputs stands for what
/// it leads to.
fn walk(
    folder: &Path,
    at: &str,
    outputs: &Path,
    depth: usize,
    found: &mut Vec<(String, PathBuf)>,
    refused: &mut Vec<String>,
) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return refused.push(format!("{at}: {error}")),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            refused.push(format!("{}: its name is not UTF-8", path.display()));
            continue;
        };
        let at = format!("{at}/{name}");
        let is_link = path.is_symlink();
        let is_own = !is_link || fs::canonicalize(&path).is_ok_and(|to| to.starts_with(outputs));
        if path.is_dir() && !is_link {
            match depth < MAX_DEPTH {
                true => walk(&path, &at, outputs, depth + 1, found, refused),
                false => refused.push(format!("{at}: {MAX_DEPTH} folders inside each other")),
            }
        } else if !path.is_file() || !is_own {
            refused.push(format!("{at}: it is no file of the outputs"));
        } else if let Err(error) = check_place(&at) {
            refused.push(error.to_string());
        } else {
            found.push((at, path));
        }
    }
}

/// Sends a file. Tells why the service does not take it, where it does not.
fn send_file(
    left: &Left<'_>,
    at: &str,
    path: &Path,
    ask: &mut dyn FnMut(&Upload, &[u8]) -> io::Result<Answer<()>>,
) -> Result<Option<String>, SendError> {
    let lost = |reason: String| SendError { at: at.to_owned(), reason };
    let mut later = String::new();
    for _ in 0..MAX_TRIES {
        let begun = digest_file(path).and_then(|digest| {
            let file = File::open(path)?;
            let mode = file.metadata()?.permissions().mode();
            Ok((digest, file, mode & 0o111 != 0))
        });
        let ((digest, total), mut file, executable) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut upload = Upload {
            of: left.of,
            configuration: left.configuration,
            entity: left.entity,
            at: at.to_owned(),
            offset: 0,
            total,
            digest,
            executable,
        };
        loop {
            let mut piece = Vec::new();
            let room = (total - upload.offset).min(PIECE_BYTES as u64);
            let read = (&mut file).take(room).read_to_end(&mut piece);
            read.map_err(|error| lost(error.to_string()))?;
            if piece.len() as u64 != room {
                later = "it was changed meanwhile".to_owned();
                break;
            }
            match ask(&upload, &piece).map_err(|error| lost(error.to_string()))? {
                Answer::Done(()) => {}
                Answer::Refused { reason } => return Ok(Some(reason)),
                Answer::Later { reason } => {
                    later = reason;
                    break;
                }
            }
            upload.offset += room;
            if upload.offset == total {
                return Ok(None);
            }
        }
    }
    Err(lost(later))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fleetfit_search_spaces::wire::StudyId;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn left(trial_dir: &Path) -> Left<'_> {
        let of = AssignmentKey { study: StudyId(1), number: 2, attempt: 1 };
        Left { trial_dir, of, configuration: 3, entity: 0 }
    }

    #[test]
    fn everything_that_is_left_is_sent_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let big: Vec<u8> = (0..PIECE_BYTES * 2 + 5).map(|index| (index % 251) as u8).collect();
        write(&dir.path().join("log.txt"), b"epoch 1\n");
        write(&dir.path().join("work/scratch"), b"stays here");
        write(&dir.path().join("outputs/model/w ü.bin"), &big);
        write(&dir.path().join("outputs/empty"), b"");
        symlink("model/w ü.bin", dir.path().join("outputs/latest")).unwrap();
        symlink("/etc/passwd", dir.path().join("outputs/passwd")).unwrap();
        let mut arrived: Vec<(String, Vec<u8>)> = Vec::new();
        let refused = send_folder(&left(dir.path()), &mut |upload, piece| {
            match upload.offset {
                0 => arrived.push((upload.at.clone(), piece.to_vec())),
                offset => {
                    let (at, bytes) = arrived.last_mut().unwrap();
                    assert_eq!((&*at, bytes.len() as u64), (&upload.at, offset));
                    bytes.extend_from_slice(piece);
                }
            }
            let (_, bytes) = arrived.last().unwrap();
            if bytes.len() as u64 == upload.total {
                assert_eq!(crate::material::digest(bytes), upload.digest);
            }
            Ok(Answer::Done(()))
        });
        assert_eq!(refused.unwrap(), ["outputs/passwd: it is no file of the outputs"]);
        let names: Vec<&str> = arrived.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(names, ["log.txt", "outputs/empty", "outputs/latest", "outputs/model/w ü.bin"]);
        assert_eq!(arrived[2].1, big);
    }

    #[test]
    fn a_file_is_begun_anew_and_given_up_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("log.txt"), b"epoch 1\n");
        write(&dir.path().join("outputs/a"), b"a");
        let later = || Answer::Later { reason: "the disk is full".to_owned() };
        let mut n_asked = 0;
        let sent = send_folder(&left(dir.path()), &mut |upload, _| {
            assert_eq!(upload.offset, 0);
            n_asked += 1;
            Ok(if n_asked < MAX_TRIES { later() } else { Answer::Done(()) })
        });
        assert!(sent.unwrap().is_empty());
        let error = send_folder(&left(dir.path()), &mut |_, _| Ok(later())).unwrap_err();
        assert_eq!(error.to_string(), "log.txt could not be sent back: the disk is full");
        let refused = send_folder(&left(dir.path()), &mut |upload, _| {
            Ok(match upload.at.as_str() {
                "log.txt" => Answer::Refused { reason: "it is too long".to_owned() },
                _ => Answer::Done(()),
            })
        });
        assert_eq!(refused.unwrap(), ["log.txt: it is too long"]);
        let none = tempfile::tempdir().unwrap();
        assert!(send_folder(&left(none.path()), &mut |_, _| panic!("nothing")).unwrap().is_empty());
    }
}
