//! A trial's output on disk, as a terminal would have shown it, and never more than 10 MB of it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How much of the beginning is kept, and as much of the end.
pub(super) const HALF: u64 = 5 << 20;

/// The log of one trial. What lies between the first and the last [`HALF`] bytes is cut out.
///
/// While a long trial runs, the file's second half is a ring; [`Log::finish`] puts it in order. A
/// disk that takes no more does not disturb the program; [`Log::finish`] tells of it. Where this
/// process may write no longer files, the log ends there.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    written: u64,
    failed: Option<std::io::Error>,
}

impl Log {
    /// Begins an empty log.
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self { file: Some(file), written: 0, failed: None })
    }

    /// Adds a piece of output.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (at, room) = if self.written < HALF {
                (self.written, HALF - self.written)
            } else {
                let in_ring = (self.written - HALF) % HALF;
                (HALF + in_ring, HALF - in_ring)
            };
            let n = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (piece, rest) = bytes.split_at(n);
            self.write_at(at, piece);
            self.written += n as u64;
            bytes = rest;
        }
    }

    /// Puts the end in order and says what was cut. An error where something could not be kept.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        let cut = self.written.saturating_sub(2 * HALF);
        if cut > 0 {
            self.put_in_order(cut);
        }
        match self.failed {
            Some(error) if error.kind() != ErrorKind::FileTooLarge => Err(error),
            _ => Ok(()),
        }
    }

    fn put_in_order(&mut self, cut: u64) {
        let mut ring = Vec::new();
        if let Some(file) = &mut self.file
            && file.seek(SeekFrom::Start(HALF)).is_ok()
            && file.take(HALF).read_to_end(&mut ring).is_ok()
        {
            let oldest = usize::try_from((self.written - HALF) % HALF).unwrap_or(0);
            let oldest = oldest.min(ring.len());
            ring.rotate_left(oldest);
            let note = format!("\n[fleetfit: {cut} bytes are left out here]\n");
            self.write_at(HALF, note.as_bytes());
            self.write_at(HALF + note.len() as u64, &ring);
        }
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes));
            if let Err(error) = written {
                self.file = None;
                self.failed = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_ends_of_a_long_output() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let mut log = Log::create(&path).unwrap();
        let mut all = Vec::new();
        for line in 0..2_000_000 {
            let line = format!("{line:09}\n");
            log.push(line.as_bytes());
            all.extend_from_slice(line.as_bytes());
        }
        log.finish().unwrap();
        let kept = std::fs::read(&path).unwrap();
        let half = HALF as usize;
        let note = format!("\n[fleetfit: {} bytes are left out here]\n", all.len() - 2 * half);
        assert_eq!(kept.len(), 2 * half + note.len());
        assert_eq!(kept[..half], all[..half]);
        assert_eq!(kept[half..half + note.len()], *note.as_bytes());
        assert_eq!(kept[half + note.len()..], all[all.len() - half..]);
    }

    #[test]
    fn keeps_a_short_output_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let mut log = Log::create(&path).unwrap();
        log.push(b"one\n");
        log.push(&[0, 255, 10]);
        log.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n\x00\xff\n");
    }
}
