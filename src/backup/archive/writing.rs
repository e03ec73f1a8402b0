//! Writes the form of a backup.

use std::io::{self, Read, Write};
use std::path::Path;

use fleetfit_scheduler::schedule::Timestamp;
use serde::Serialize;
use tar::{Builder, EntryType, Header};

use super::{CLOSING, Closing, FORMAT, MANIFEST, Manifest, Seal, What, part_name};

/// How much of the journal goes in one part.
const PART_BYTES: usize = 4 << 20;

/// A backup being written.
pub(in super::super) struct Writing<W: Write> {
    tar: Builder<W>,
    seal: Seal,
}

impl<W: Write> Writing<W> {
    /// Writes the beginning.
    pub(in super::super) fn begin(out: W) -> io::Result<Self> {
        let mut writing = Self { tar: Builder::new(out), seal: Seal::default() };
        let manifest = Manifest {
            format: FORMAT,
            fleetfit: env!("CARGO_PKG_VERSION").into(),
            created: Timestamp::now().to_string(),
        };
        writing.json(MANIFEST, &manifest)?;
        Ok(writing)
    }

    fn json(&mut self, name: &str, document: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(document)?;
        self.file(Path::new(name), 0o644, text.len() as u64, &mut text.as_slice())
    }

    /// Adds a file of so many bytes. One that has become shorter is filled up with zeros: only what
    /// nothing speaks of yet changes while it is copied.
    pub(in super::super) fn file(
        &mut self,
        path: &Path,
        mode: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let what = What::File { mode };
        self.seal.begin(path, &what, size);
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(mode);
        header.set_size(size);
        let filled = content.chain(io::repeat(0)).take(size);
        let mut content = Sealed { content: filled, seal: &mut self.seal };
        self.tar.append_data(&mut header, path, &mut content)
    }

    /// Adds a symbolic link.
    pub(in super::super) fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        self.seal.begin(path, &What::Link { target: target.to_owned() }, 0);
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        self.tar.append_link(&mut header, path, target)
    }

    /// Where the journal's copy is written, which becomes a few entries.
    pub(in super::super) fn journal(&mut self) -> Parts<'_, W> {
        Parts { writing: self, part: Vec::with_capacity(PART_BYTES), number: 0 }
    }

    /// Writes the end.
    pub(in super::super) fn close(mut self, closing: Closing) -> io::Result<Closing> {
        let (entries, digest) = (self.seal.entries, self.seal.digest());
        let closing = Closing { entries, digest, ..closing };
        self.json(CLOSING, &closing)?;
        self.tar.finish()?;
        self.tar.get_mut().flush()?;
        Ok(closing)
    }
}

/// Takes into the seal what is read.
struct Sealed<'a, R> {
    content: R,
    seal: &'a mut Seal,
}

impl<R: Read> Read for Sealed<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(bytes)?;
        self.seal.hasher.update(&bytes[..n]);
        Ok(n)
    }
}

/// The journal's copy. Its size is not known before its end, and no entry has to wait for that.
pub(in super::super) struct Parts<'a, W: Write> {
    writing: &'a mut Writing<W>,
    part: Vec<u8>,
    number: u64,
}

impl<W: Write> Parts<'_, W> {
    /// Writes the last part.
    pub(in super::super) fn finish(mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.put() }
    }

    fn put(&mut self) -> io::Result<()> {
        let (path, size) = (part_name(self.number), self.part.len() as u64);
        self.writing.file(&path, 0o644, size, &mut self.part.as_slice())?;
        self.number += 1;
        self.part.clear();
        Ok(())
    }
}

impl<W: Write> Write for Parts<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(PART_BYTES - self.part.len())];
        self.part.extend_from_slice(taken);
        if self.part.len() >= PART_BYTES {
            self.put()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
