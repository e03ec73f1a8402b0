//! What runners elsewhere ask a service for, and what they bring.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use fleetfit_scheduler::blobs::Blobs;
use fleetfit_scheduler::bus::Answers;
use fleetfit_scheduler::journal::{Journal, JournalError, StudyId};
use fleetfit_scheduler::uploads::{self, Uploads};
use fleetfit_search_spaces::wire::join::{Answer, BlobPiece, BlobRequest, DELETED, OVER, Upload};
use fleetfit_search_spaces::wire::{AssignmentKey, ModelAddress, Refit, StudySpec};
use fleetfit_trial_runner::pack::PackWriter;
use fleetfit_trial_runner::runner::{ATTACHED, UPLOADED};

use crate::failure::Failure;
use crate::home;

use super::lock;

/// How much of a blob goes in one piece.
const PIECE_BYTES: u64 = 512 << 10;

/// How many packs are kept open. A study whose pack is closed gets another one.
const MOST_PACKS: usize = 64;

/// Answers runners elsewhere.
pub(crate) struct Remote {
    home: PathBuf,
    journal: Journal,
    blobs: Blobs,
    uploads: Uploads,
    /// The packs that models of a study go to, and whose turn it is to write.
    packs: Mutex<HashMap<StudyId, Arc<Mutex<Option<PackWriter>>>>>,
}

impl Remote {
    pub(crate) fn new(home: &Path, journal: Journal, blobs: Blobs) -> Result<Self, Failure> {
        let uploads =
            Uploads::open(&home::studies_dir(home)).map_err(|error| Failure::outside(&error))?;
        let home = home.to_owned();
        Ok(Self { home, journal, blobs, uploads, packs: Mutex::default() })
    }

    /// The answers, for the bus.
    pub(crate) fn answers(self: Arc<Self>) -> Answers {
        let [study, blob, upload, models] = [(); 4].map(|()| Arc::clone(&self));
        Answers {
            study: Box::new(move |id| study.spec(id)),
            blob: Box::new(move |request| blob.piece(request)),
            upload: Box::new(move |piece, bytes| upload.take(piece, bytes)),
            models: Box::new(move |of, refits, bytes| models.store(of, refits, bytes)),
            say: Box::new(|text| tracing::info!("{text}")),
        }
    }

    /// What a runner has to know of a study.
    fn spec(&self, id: StudyId) -> Answer<StudySpec> {
        let head = match self.journal.record(id) {
            Ok(record) if record.summary.status.is_over() => {
                return Answer::Refused { reason: OVER.into() };
            }
            Ok(record) => record.head,
            Err(JournalError::NoStudy { .. }) => {
                return Answer::Refused { reason: DELETED.into() };
            }
            Err(error) => return Answer::Later { reason: error.to_string() },
        };
        let folder = head.base_dir.file_name();
        Answer::Done(StudySpec {
            study: id,
            name: head.name,
            job_file: head.job_file,
            job_text: head.job_text,
            sets: head.sets,
            folder: folder.map(|name| name.to_string_lossy().into_owned()),
            seed: head.seed,
            entities: head.entities,
            material: head.material,
        })
    }

    fn piece(&self, request: &BlobRequest) -> Answer<(BlobPiece, Vec<u8>)> {
        let later = |error: &dyn std::fmt::Display| Answer::Later { reason: error.to_string() };
        let (mut file, total) = match self.blobs.get(&request.digest) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let reason = format!("the service does not have {}", request.digest);
                return Answer::Refused { reason };
            }
            Err(error) => return later(&error),
        };
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(request.offset))
            .and_then(|_| file.take(PIECE_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Answer::Done((BlobPiece { total }, bytes)),
            Err(error) => later(&error),
        }
    }

    fn take(&self, upload: &Upload, bytes: &[u8]) -> Answer<()> {
        match self.dir(upload.of.study) {
            Ok(dir) => self.uploads.answer(&dir, upload, bytes),
            Err(JournalError::NoStudy { .. }) => Answer::Refused { reason: DELETED.into() },
            Err(error) => Answer::Later { reason: error.to_string() },
        }
    }

    fn dir(&self, study: StudyId) -> Result<PathBuf, JournalError> {
        let record = self.journal.record(study)?;
        Ok(home::study_dir(&self.home, &record.head.name))
    }

    /// Puts models into the study's packs. They are on disk when this returns.
    fn store(
        &self,
        of: AssignmentKey,
        mut refits: Vec<Refit>,
        bytes: &[u8],
    ) -> Result<Vec<Refit>, String> {
        let told = |error: &dyn std::fmt::Display| format!("models cannot be stored: {error}");
        let dir = self.dir(of.study).map_err(|error| told(&error))?;
        let writer = {
            let mut packs = lock(&self.packs);
            if packs.len() >= MOST_PACKS {
                packs.clear();
            }
            Arc::clone(packs.entry(of.study).or_default())
        };
        let mut writer = lock(&writer);
        let pack = match &mut *writer {
            Some(pack) => pack,
            None => {
                let opened = PackWriter::open(&dir.join("models")).map_err(|error| told(&error))?;
                writer.insert(opened)
            }
        };
        let mut packed = Vec::new();
        for refit in &mut refits {
            let Ok(address) = &refit.model else { continue };
            refit.model = match bytes_of(address, bytes, &dir) {
                Some(model) => {
                    let stored = pack.append(&model).map_err(|error| told(&error))?;
                    packed.push(uploads::arrived(&dir, &address.digest));
                    // What arrived otherwise than it left is a model that does not count.
                    match stored.digest == address.digest {
                        true => Ok(stored),
                        false => Err("the model was damaged on its way".into()),
                    }
                }
                None => Err("the model did not arrive".into()),
            };
        }
        pack.sync().map_err(|error| told(&error))?;
        for path in packed {
            // Most were attached and have none.
            let _ = std::fs::remove_file(path);
        }
        Ok(refits)
    }
}

/// A model's bytes: from the letter, or from where they were brought before.
fn bytes_of(address: &ModelAddress, attached: &[u8], dir: &Path) -> Option<Vec<u8>> {
    match address.pack {
        ATTACHED => {
            let start = usize::try_from(address.offset).ok()?;
            let end = start.checked_add(address.length as usize)?;
            attached.get(start..end).map(<[u8]>::to_vec)
        }
        UPLOADED => std::fs::read(uploads::arrived(dir, &address.digest)).ok(),
        _ => None,
    }
}

/// The service's id: drawn once, then kept.
pub(crate) fn id(home: &Path) -> Result<String, Failure> {
    let path = home.join("service-id");
    let outside = |error: std::io::Error| {
        Failure::Unavailable(format!(
            "{}: {}",
            path.display(),
            fleetfit_search_spaces::disk::plain(&error)
        ))
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if is_id(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => {
            return Err(Failure::Unavailable(format!(
                "{} holds no id of a service; restore it, or remove it for a new one, which \
                 forgets what runners are at",
                path.display()
            )));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(outside(error)),
    }
    let mut bits = crate::host::draw();
    let letters = b"abcdefghijklmnopqrstuvwxyz234567";
    let id: String = (0..12)
        .map(|_| {
            let letter = letters[(bits & 31) as usize];
            bits >>= 5;
            char::from(letter)
        })
        .collect();
    std::fs::write(&path, format!("{id}\n")).map_err(outside)?;
    Ok(id)
}

fn is_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A place for what answers runners, filled once the service is there.
pub(crate) type Later<T> = Arc<OnceLock<Arc<T>>>;
