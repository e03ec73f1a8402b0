//! A copy of a journal as one stream of bytes, taken while it is written, and a journal made of it.
//!
//! Facts are only ever added, so a study's copy is the study as it was when its turn came; indexes
//! are not copied but made again. A stream is magic and version, frames, and a closing frame that
//! counts them. Each frame is a tag, a length, the content, and a checksum of everything since the
//! beginning, so that one that was cut, changed or put together from two is refused.
//!
//! Files beside the journal are not its business: whoever copies those too does so afterwards, so
//! that everything that the copied facts speak of is there. Nothing is read past the closing frame.

mod frame;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::{EntityKey, StudyId};
use serde::{Deserialize, Serialize};

use self::frame::{Frames, Seal, Tag};
use crate::journal::{
    DamagedStudy, Journal, JournalError, Restoring, StudyHead, StudyRecord, Summary,
};

/// How many entities share a frame.
const ENTITIES: usize = 1_000;

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The names of its studies.
    pub studies: Vec<String>,
    /// How many documents it holds.
    pub documents: u64,
    /// Studies that are damaged. A backup leaves them out; a restored one has all its trials, but
    /// its job cannot be read.
    pub damaged: Vec<DamagedStudy>,
}

/// Why there is no backup, or nothing restored from it.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The journal fails.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The backup cannot be written.
    #[error("the backup cannot be written: {0}")]
    Write(std::io::Error),
    /// The backup cannot be read.
    #[error("the backup cannot be read: {0}")]
    Read(std::io::Error),
    /// It is something else.
    #[error("this is not a backup of fleetfit")]
    Foreign,
    /// A later fleetfit wrote it.
    #[error(
        "the backup was written by a newer fleetfit (form {found}; this one reads up to {known}); \
         use that version"
    )]
    Newer {
        /// Its form's version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// Its end is missing.
    #[error("the backup is not whole: it ends after {frames} parts; use another one")]
    Truncated {
        /// How many parts there are.
        frames: u64,
    },
    /// Its bytes are not what was written.
    #[error("the backup is damaged in part {frame}; use another one")]
    Damaged {
        /// Which part.
        frame: u64,
    },
    /// There is something where the journal should go.
    #[error("{} is not empty; restore into a new directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
}

/// A study's beginning.
#[derive(Serialize, Deserialize)]
struct Begun {
    number: u32,
    head: StudyHead,
    /// As it was at some moment: what is restored is what follows from the facts.
    summary: Summary,
}

/// A document, without its content.
#[derive(Serialize, Deserialize)]
struct Label {
    kind: String,
    name: String,
}

/// Writes a backup of everything that the journal holds. Others go on reading and writing.
pub fn write(journal: &Journal, out: &mut impl Write) -> Result<Contents, BackupError> {
    let mut seal = Seal::begin(out)?;
    let listing = journal.listing()?;
    let mut contents = Contents { damaged: listing.damaged, ..Contents::default() };
    for record in listing.records {
        let name = record.head.name.clone();
        match write_study(journal, record, &mut seal) {
            Ok(()) => {
                seal.frame(Tag::Whole, &[])?;
                contents.studies.push(name);
            }
            // It was deleted meanwhile, and what was read of it may be anything.
            Err(BackupError::Journal(JournalError::NoStudy { .. })) => {
                seal.frame(Tag::Dropped, &[])?;
            }
            Err(BackupError::Journal(
                reason @ (JournalError::Corrupt { .. } | JournalError::Newer { .. }),
            )) => {
                seal.frame(Tag::Dropped, &[])?;
                contents.damaged.push(DamagedStudy { name, reason: reason.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    for (kind, name) in journal.document_names()? {
        if let Some(bytes) = journal.document(&kind, &name)? {
            seal.json(Tag::Label, &Label { kind, name })?;
            seal.frame(Tag::Document, &[&bytes])?;
            contents.documents += 1;
        }
    }
    // Read last, so that no study above has this number or a later one.
    seal.frame(Tag::NextStudy, &[&journal.next_study()?.0.to_be_bytes()])?;
    seal.close()?;
    Ok(contents)
}

fn write_study(
    journal: &Journal,
    record: StudyRecord,
    seal: &mut Seal<'_, impl Write>,
) -> Result<(), BackupError> {
    let StudyRecord { id, head, summary } = record;
    seal.json(Tag::Study, &Begun { number: id.0, head, summary })?;
    let mut entities = journal.entities(id);
    loop {
        let keys: Vec<EntityKey> = entities.by_ref().take(ENTITIES).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            break;
        }
        seal.json(Tag::Entities, &keys)?;
    }
    for piece in journal.pieces(id) {
        let (sequence, payload) = piece?;
        seal.frame(Tag::Facts, &[&sequence.to_be_bytes(), &payload])?;
    }
    journal.record(id)?;
    Ok(())
}

/// Makes a journal of a backup, in a directory that is empty or not there yet. If that fails, the
/// directory is left empty.
pub fn read(dir: &Path, input: &mut impl Read) -> Result<Contents, BackupError> {
    if dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(BackupError::NotEmpty { dir: dir.to_owned() });
    }
    // Before anything is made: whatever else was handed in is refused without a trace.
    let frames = Frames::begin(input)?;
    let restored = restore(dir, frames);
    if restored.is_err() {
        // The journal in it says that it is not whole, if it cannot be removed.
        let _ = std::fs::remove_dir_all(dir);
        let _ = std::fs::create_dir(dir);
    }
    restored
}

fn restore(dir: &Path, mut frames: Frames<'_, impl Read>) -> Result<Contents, BackupError> {
    let journal = Journal::begin_restore(dir)?;
    let mut contents = Contents::default();
    loop {
        let (tag, content) = frames.next()?;
        match tag {
            Tag::Study => {
                let begun: Begun = frames.parsed(&content)?;
                restore_study(&journal, begun, &mut frames, &mut contents)?;
            }
            Tag::Label => {
                let Label { kind, name } = frames.parsed(&content)?;
                match frames.next()? {
                    (Tag::Document, bytes) => journal.put_document(&kind, &name, &bytes)?,
                    _ => return Err(frames.damaged()),
                }
                contents.documents += 1;
            }
            Tag::NextStudy => {
                let number = <[u8; 4]>::try_from(content).map_err(|_| frames.damaged())?;
                frames.end()?;
                journal.end_restore(StudyId(u32::from_be_bytes(number)))?;
                return Ok(contents);
            }
            _ => return Err(frames.damaged()),
        }
    }
}

fn restore_study(
    journal: &Journal,
    begun: Begun,
    frames: &mut Frames<'_, impl Read>,
    contents: &mut Contents,
) -> Result<(), BackupError> {
    let name = begun.head.name.clone();
    let mut study =
        Restoring::begin(journal.clone(), StudyId(begun.number), begun.head, begun.summary)?;
    loop {
        let (tag, content) = frames.next()?;
        match tag {
            Tag::Entities => {
                let keys: Vec<EntityKey> = frames.parsed(&content)?;
                study.add_entities(&keys)?;
            }
            Tag::Facts => {
                let (sequence, payload) =
                    content.split_first_chunk::<8>().ok_or_else(|| frames.damaged())?;
                study.add_piece(u64::from_be_bytes(*sequence), payload.to_vec())?;
            }
            Tag::Whole => {
                if let Some(reason) = study.finish()? {
                    contents.damaged.push(DamagedStudy { name: name.clone(), reason });
                }
                contents.studies.push(name);
                return Ok(());
            }
            Tag::Dropped => return Ok(study.drop_it()?),
            _ => return Err(frames.damaged()),
        }
    }
}
