//! What trials left on other machines: logs and outputs, which come back in pieces.
//!
//! A file takes its place in the trial's folder once it is whole and on the disk; until then it lies
//! in the study's folder `.incoming`. Repeats change nothing. The first piece of a later attempt clears what
//! an earlier one left, as a trial's folder begins empty on the machine that runs it.

mod claim;
mod left;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::wire::join::{ANEW, Answer, Upload};

use claim::Claim;
use left::Left;

/// The largest log: as much as is kept of it where it is written, with room for what is said about
/// the rest.
pub const MAX_LOG_BYTES: u64 = (10 << 20) + (64 << 10);

/// What the outputs of one trial may have in all, in bytes.
pub const MAX_OUTPUT_BYTES: u64 = 10 << 30;

/// How many files the outputs of one trial may have.
pub const MAX_OUTPUT_FILES: u64 = 20_000;

/// Where a log lies in a trial's folder.
pub const LOG: &str = "log.txt";

/// Where outputs lie in a trial's folder.
pub const OUTPUTS: &str = "outputs/";

/// Where models come that are too large for a letter; their digest follows.
pub const MODELS: &str = "models/";

/// The folder of a study for models that have arrived, until their refit is told.
const ARRIVED: &str = ".models";

/// The largest model.
const MAX_MODEL_BYTES: u64 = 1 << 30;

/// The folder of a study for files that are arriving.
const INCOMING: &str = ".incoming";

/// Takes what runners send, for all studies of a service.
#[derive(Debug)]
pub struct Uploads {
    /// One at a time claims a trial's folder.
    claims: Mutex<()>,
}

/// What has become of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is kept; the file is not whole.
    Piece,
    /// The file is in its place.
    Whole,
}

/// Why a piece is not kept.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It would lie where nothing of a trial lies.
    #[error("{0:?} is no place for a file of a trial; there are log.txt and outputs/…")]
    Place(String),
    /// It has no digest.
    #[error("{0:?} has no blake3 digest")]
    NotADigest(String),
    /// The trial was given to somebody else since.
    #[error("this trial runs elsewhere by now")]
    Superseded,
    /// There is more than is kept.
    #[error("{what} may have at most {most}; {at} goes beyond that and is not kept")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there may be.
        most: String,
        /// The file.
        at: String,
    },
    /// What comes before this piece is not here.
    #[error("{at} is known up to byte {have}; {ANEW}")]
    Gap {
        /// The file.
        at: String,
        /// How much of it is here.
        have: u64,
    },
    /// The whole is not what it was said to be.
    #[error("{0} arrived damaged; {ANEW}")]
    Damaged(String),
    /// The disk.
    #[error("{path}: {}", plain(source))]
    Disk {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Uploads {
    /// Takes uploads for the studies of this folder. What runners left half sent that are gone is
    /// removed; they send it again if they are not.
    pub fn open(studies_dir: &Path) -> Result<Self, UploadError> {
        let studies = match fs::read_dir(studies_dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            studies => Some(studies.map_err(disk(studies_dir))?),
        };
        for study in studies.into_iter().flatten().flatten() {
            let incoming = study.path().join(INCOMING);
            match fs::remove_dir_all(&incoming) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(disk(&incoming)(error));
                }
                _ => {}
            }
        }
        Ok(Self { claims: Mutex::new(()) })
    }

    /// [`Self::receive`], in the form in which runners are answered.
    pub fn answer(&self, study_dir: &Path, upload: &Upload, piece: &[u8]) -> Answer<()> {
        match self.receive(study_dir, upload, piece) {
            Ok(Received::Piece | Received::Whole) => Answer::Done(()),
            Err(error @ UploadError::Disk { .. }) => Answer::Later { reason: error.to_string() },
            Err(error) => Answer::Refused { reason: error.to_string() },
        }
    }

    /// Keeps a piece of a file that a trial left.
    pub fn receive(
        &self,
        study_dir: &Path,
        upload: &Upload,
        piece: &[u8],
    ) -> Result<Received, UploadError> {
        let left = Left::of(upload, piece)?;
        let trial_dir = study_dir.join("trials").join(upload.configuration.to_string());
        let path = match left {
            Left::Model => arrived(study_dir, &upload.digest),
            Left::File(at) | Left::Folder(at) | Left::Link(at) => trial_dir.join(at),
        };
        let incoming = study_dir.join(INCOMING);
        let part = incoming.join(part_name(upload));
        if upload.offset == 0 {
            if left != Left::Model {
                self.claim(study_dir, &trial_dir, upload)?;
            }
            if left.is_there(&trial_dir, &path, upload) {
                return Ok(Received::Whole);
            }
        }
        fs::create_dir_all(&incoming).map_err(disk(&incoming))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(disk(&part))?;
        let have = file.metadata().map_err(disk(&part))?.len();
        let end = upload.offset + piece.len() as u64;
        if upload.offset > have {
            // The whole may be in its place: this is a repeat that comes late.
            if have == 0 {
                let _ = fs::remove_file(&part);
                if left.is_there(&trial_dir, &path, upload) {
                    return Ok(Received::Whole);
                }
            }
            return Err(UploadError::Gap { at: upload.at.clone(), have });
        }
        if end > have {
            file.seek(SeekFrom::Start(upload.offset)).map_err(disk(&part))?;
            file.write_all(piece).map_err(disk(&part))?;
        }
        if end.max(have) < upload.total {
            return Ok(Received::Piece);
        }
        self.finish(&mut file, &part, (left, &path), &trial_dir, upload)
    }

    /// Makes the trial's folder that of this attempt, with room for this file.
    fn claim(
        &self,
        study_dir: &Path,
        trial_dir: &Path,
        upload: &Upload,
    ) -> Result<(), UploadError> {
        let _one = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Claim::of(upload.of);
        let claim = match Claim::read(trial_dir) {
            Some(claim) if claim.is_later_than(&own) => return Err(UploadError::Superseded),
            Some(claim) if claim.is_same(&own) => claim,
            _ => {
                clear(study_dir, trial_dir)?;
                own.write(trial_dir)?;
                own
            }
        };
        claim.has_room(upload)
    }

    /// The file is here: gives it its place, if it is what it should be.
    fn finish(
        &self,
        file: &mut File,
        part: &Path,
        (left, path): (Left<'_>, &Path),
        trial_dir: &Path,
        upload: &Upload,
    ) -> Result<Received, UploadError> {
        use std::os::unix::fs::PermissionsExt;
        file.seek(SeekFrom::Start(0)).map_err(disk(part))?;
        if digest(file).map_err(disk(part))? != upload.digest {
            fs::remove_file(part).map_err(disk(part))?;
            return Err(UploadError::Damaged(upload.at.clone()));
        }
        let mode = if upload.executable { 0o755 } else { 0o644 };
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(disk(part))?;
        file.sync_all().map_err(disk(part))?;
        let _one = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if left != Left::Model {
            let mut claim = match Claim::read(trial_dir) {
                Some(claim) if claim.is_same(&Claim::of(upload.of)) => claim,
                _ => {
                    let _ = fs::remove_file(part);
                    return Err(UploadError::Superseded);
                }
            };
            claim.add(upload);
            claim.write(trial_dir)?;
        }
        left.settle(part, trial_dir, path)?;
        let folder = path.parent().unwrap_or(trial_dir);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk(folder))?;
        Ok(Received::Whole)
    }
}

/// Where a model lies that has arrived, until it is packed with the others.
pub fn arrived(study_dir: &Path, digest: &str) -> PathBuf {
    study_dir.join(ARRIVED).join(digest)
}

/// One flat name for each file of each attempt.
fn part_name(upload: &Upload) -> String {
    let of = upload.of;
    let place = blake3::hash(format!("{}\n{}", upload.at, upload.digest).as_bytes()).to_hex();
    format!("{}-{}-{}-{}.part", upload.configuration, of.number, of.attempt, &place[..32])
}

/// Moves a trial's folder away in one step, then removes it.
fn clear(study_dir: &Path, trial_dir: &Path) -> Result<(), UploadError> {
    let incoming = study_dir.join(INCOMING);
    fs::create_dir_all(&incoming).map_err(disk(&incoming))?;
    let trial = trial_dir.file_name().unwrap_or_default().to_string_lossy();
    let gone = incoming.join(format!("{trial}.gone"));
    let _ = fs::remove_dir_all(&gone);
    match fs::rename(trial_dir, &gone) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(disk(trial_dir)(error));
        }
        _ => {}
    }
    let _ = fs::remove_dir_all(&gone);
    fs::create_dir_all(trial_dir).map_err(disk(trial_dir))
}

fn digest(file: &mut impl Read) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> UploadError {
    let path: PathBuf = path.to_owned();
    move |source| UploadError::Disk { path: path.display().to_string(), source }
}
