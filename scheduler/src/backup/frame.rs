//! The parts of a backup as bytes, and back without trusting one of them.

use std::io::{ErrorKind, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::BackupError;
use crate::journal::FORMAT;

const MAGIC: &[u8; 8] = b"ffbackup";
/// The version of the form: that of the journal whose records the frames hold, so that a backup is
/// refused where its journal would be. The frames have been the same since version 1.
const VERSION: u32 = FORMAT;
/// The longest content that is read: a document with room to spare.
const MAX_CONTENT_BYTES: u32 = 1 << 30;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// How many frames came before: the end.
    Closing = 0,
    /// A study's number, head and summary; its entities and facts follow.
    Study = 1,
    /// The keys of its next entities.
    Entities = 2,
    /// A record of its facts.
    Facts = 3,
    /// The end of a study.
    Whole = 4,
    /// The end of a study that was deleted while it was copied, or is damaged.
    Dropped = 5,
    /// Which document the next frame is.
    Label = 6,
    /// A document.
    Document = 7,
    /// The number that the next new study gets.
    NextStudy = 8,
}

impl Tag {
    fn read(byte: u8) -> Option<Self> {
        const ALL: [Tag; 9] = [
            Tag::Closing,
            Tag::Study,
            Tag::Entities,
            Tag::Facts,
            Tag::Whole,
            Tag::Dropped,
            Tag::Label,
            Tag::Document,
            Tag::NextStudy,
        ];
        ALL.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// Writes frames.
pub(super) struct Seal<'a, W> {
    out: &'a mut W,
    checksum: crc32fast::Hasher,
    frames: u64,
}

impl<'a, W: Write> Seal<'a, W> {
    pub(super) fn begin(out: &'a mut W) -> Result<Self, BackupError> {
        let mut seal = Self { out, checksum: crc32fast::Hasher::new(), frames: 0 };
        seal.put(MAGIC)?;
        seal.put(&VERSION.to_le_bytes())?;
        Ok(seal)
    }

    pub(super) fn json(&mut self, tag: Tag, content: &impl Serialize) -> Result<(), BackupError> {
        let json = serde_json::to_vec(content).map_err(|error| BackupError::Write(error.into()))?;
        self.frame(tag, &[&json])
    }

    pub(super) fn frame(&mut self, tag: Tag, content: &[&[u8]]) -> Result<(), BackupError> {
        let length: usize = content.iter().map(|part| part.len()).sum();
        let length = u32::try_from(length).ok().filter(|length| *length <= MAX_CONTENT_BYTES);
        let length = length.ok_or_else(|| BackupError::Write(ErrorKind::FileTooLarge.into()))?;
        self.put(&[tag as u8])?;
        self.put(&length.to_le_bytes())?;
        for part in content {
            self.put(part)?;
        }
        let checksum = self.checksum.clone().finalize();
        self.put(&checksum.to_le_bytes())?;
        self.frames += 1;
        Ok(())
    }

    pub(super) fn close(mut self) -> Result<(), BackupError> {
        let frames = self.frames.to_le_bytes();
        self.frame(Tag::Closing, &[&frames])?;
        self.out.flush().map_err(BackupError::Write)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.checksum.update(bytes);
        self.out.write_all(bytes).map_err(BackupError::Write)
    }
}

/// Reads frames.
pub(super) struct Frames<'a, R> {
    input: &'a mut R,
    checksum: crc32fast::Hasher,
    frames: u64,
}

impl<'a, R: Read> Frames<'a, R> {
    pub(super) fn begin(input: &'a mut R) -> Result<Self, BackupError> {
        let mut frames = Self { input, checksum: crc32fast::Hasher::new(), frames: 0 };
        match frames.take::<8>() {
            Ok(magic) if magic == *MAGIC => {}
            Ok(_) | Err(BackupError::Truncated { .. }) => return Err(BackupError::Foreign),
            Err(error) => return Err(error),
        }
        match u32::from_le_bytes(frames.take()?) {
            1..=VERSION => Ok(frames),
            found if found > VERSION => Err(BackupError::Newer { found, known: VERSION }),
            _ => Err(BackupError::Foreign),
        }
    }

    /// The next frame; there has to be one.
    pub(super) fn next(&mut self) -> Result<(Tag, Vec<u8>), BackupError> {
        let [tag] = self.take()?;
        let length = u32::from_le_bytes(self.take()?);
        if length > MAX_CONTENT_BYTES {
            return Err(self.damaged());
        }
        // It grows with what is there, whatever the length promises.
        let mut content = Vec::new();
        let read = self.input.by_ref().take(u64::from(length)).read_to_end(&mut content);
        if read.map_err(BackupError::Read)? < length as usize {
            return Err(BackupError::Truncated { frames: self.frames });
        }
        self.checksum.update(&content);
        let expected = self.checksum.clone().finalize();
        if u32::from_le_bytes(self.take()?) != expected {
            return Err(self.damaged());
        }
        let tag = Tag::read(tag).ok_or_else(|| self.damaged())?;
        self.frames += 1;
        Ok((tag, content))
    }

    /// The closing frame, which has to be next.
    pub(super) fn end(&mut self) -> Result<(), BackupError> {
        let frames = self.frames;
        match self.next()? {
            (Tag::Closing, count) if count == frames.to_le_bytes() => Ok(()),
            _ => Err(self.damaged()),
        }
    }

    pub(super) fn parsed<T: DeserializeOwned>(&self, content: &[u8]) -> Result<T, BackupError> {
        serde_json::from_slice(content).map_err(|_| self.damaged())
    }

    pub(super) fn damaged(&self) -> BackupError {
        BackupError::Damaged { frame: self.frames }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => BackupError::Truncated { frames: self.frames },
            _ => BackupError::Read(error),
        })?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of this version with one frame.
    fn stream(version: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut seal = Seal { out: &mut bytes, checksum: crc32fast::Hasher::new(), frames: 0 };
        seal.put(MAGIC).unwrap();
        seal.put(&version.to_le_bytes()).unwrap();
        seal.frame(Tag::Document, &[b"text"]).unwrap();
        seal.close().unwrap();
        bytes
    }

    #[test]
    fn those_of_every_version_since_the_first_are_read() {
        for version in 1..=VERSION {
            let bytes = stream(version);
            let mut input = bytes.as_slice();
            let mut frames = Frames::begin(&mut input).unwrap();
            assert_eq!(frames.next().unwrap(), (Tag::Document, b"text".to_vec()));
            frames.end().unwrap();
        }
        for version in [0, VERSION + 1] {
            assert!(Frames::begin(&mut stream(version).as_slice()).is_err(), "{version}");
        }
    }
}
