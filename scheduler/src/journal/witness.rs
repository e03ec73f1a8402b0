//! How many commits are on disk, said outside the database.
//!
//! sled takes a damaged stretch of its log for the torn end of an unfinished write and goes on
//! without everything behind it. The count in this file is written after each sync, so it is never
//! ahead of what the disk holds; a database that counts less has lost something.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file's name in the journal's directory.
pub(super) const NAME: &str = "committed";

/// The file with the count.
pub(super) struct Witness(File);

impl Witness {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self(file))
    }

    /// The count that was written last; nothing in a new file or in one that makes no sense, which
    /// then bears no witness.
    pub(super) fn commits(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; 12];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (count, checksum) = bytes.split_at(8);
        let commits = <[u8; 8]>::try_from(count).map(u64::from_le_bytes).ok();
        Ok(commits.filter(|_| checksum == crc32fast::hash(count).to_le_bytes()))
    }

    /// Not synced: an old count only sees less.
    pub(super) fn write(&self, commits: u64) -> io::Result<()> {
        let count = commits.to_le_bytes();
        let checksum = crc32fast::hash(&count).to_le_bytes();
        self.0.write_all_at(&[&count[..], &checksum].concat(), 0)
    }
}
