//! Stored models: append-only packs in a study's directory, so that 10^5 models are a few files.
//!
//! A pack is a header and records of length, digest and bytes. Each writer owns the pack it made,
//! so any number of threads write at once. A model counts once [`PackWriter::sync`] has returned
//! and its address is journalled; what a kill leaves torn behind that is never addressed, and the
//! next writer begins a pack of its own. Reading checks the digest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::wire::ModelAddress;

const MAGIC: &[u8; 8] = b"ffpack\0\x01";
/// A pack that has reached this gets no more models.
const MAX_PACK_BYTES: u64 = 256 << 20;
/// Nothing that is read may be larger.
const MAX_MODEL_BYTES: u32 = 1 << 30;
/// Length and digest.
const RECORD_HEADER_BYTES: usize = 4 + blake3::OUT_LEN;

/// Appends models to a pack that nobody else writes.
#[derive(Debug)]
pub struct PackWriter {
    dir: PathBuf,
    max_bytes: u64,
    /// None until there is a model to write, so that a writer without models leaves no file.
    pack: Option<Pack>,
}

#[derive(Debug)]
struct Pack {
    file: File,
    number: u32,
    end: u64,
}

/// Why a model cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The pack is not there or cannot be read.
    #[error("the models in {path} can't be read: {source}")]
    Io {
        /// The pack.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What lies there is not what was stored.
    #[error("the model {digest} in {path} is damaged")]
    Damaged {
        /// The pack.
        path: PathBuf,
        /// The model.
        digest: String,
    },
}

impl PackWriter {
    /// A writer for the packs of a directory, which is made if it isn't there.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned(), max_bytes: MAX_PACK_BYTES, pack: None })
    }

    /// Appends a model. It is safe once [`Self::sync`] has returned; after an error, what was
    /// appended since the last one that did is to be written again.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<ModelAddress> {
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|length| *length <= MAX_MODEL_BYTES)
            .ok_or_else(|| io::Error::other("the model is larger than 1 GiB"))?;
        if self.pack.as_ref().is_some_and(|pack| pack.end >= self.max_bytes) {
            self.end_pack()?;
        }
        let pack = match &mut self.pack {
            Some(pack) => pack,
            none => none.insert(Pack::create(&self.dir)?),
        };
        let digest = blake3::hash(bytes);
        let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + bytes.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(digest.as_bytes());
        record.extend_from_slice(bytes);
        let address = ModelAddress {
            digest: digest.to_hex().to_string(),
            pack: pack.number,
            offset: pack.end,
            length,
        };
        match pack.file.write_all(&record) {
            Ok(()) => pack.end += record.len() as u64,
            Err(error) => {
                // Where the torn record ends is not known: whatever comes next has its own pack.
                self.end_pack().and(Err(error))?;
            }
        }
        Ok(address)
    }

    /// Waits until every appended model is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        match &self.pack {
            Some(pack) => pack.file.sync_data(),
            None => Ok(()),
        }
    }

    /// Ends the pack.
    fn end_pack(&mut self) -> io::Result<()> {
        let synced = self.sync();
        self.pack = None;
        synced
    }
}

impl Pack {
    /// Makes the pack with the lowest number that is free.
    fn create(dir: &Path) -> io::Result<Self> {
        let mut number = fs::read_dir(dir)?
            .filter_map(|entry| number_of(&entry.ok()?.path()))
            .max()
            .map_or(0, |highest| highest.saturating_add(1));
        loop {
            let path = path_of(dir, number);
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => {
                    file.write_all(MAGIC)?;
                    // The name, too, must survive a power cut.
                    File::open(dir)?.sync_all()?;
                    return Ok(Self { file, number, end: MAGIC.len() as u64 });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    number = number
                        .checked_add(1)
                        .ok_or_else(|| io::Error::other("no pack number is left"))?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads a model and checks that it is the one that was stored.
pub fn read(dir: &Path, address: &ModelAddress) -> Result<Vec<u8>, PackError> {
    let path = path_of(dir, address.pack);
    let damaged = || PackError::Damaged { path: path.clone(), digest: address.digest.clone() };
    if address.length > MAX_MODEL_BYTES {
        return Err(damaged());
    }
    match read_record(&path, address) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(damaged()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged()),
        Err(source) => Err(PackError::Io { path, source }),
    }
}

/// The model's bytes; none when they are not what the address says.
fn read_record(path: &Path, address: &ModelAddress) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)?;
    let n_bytes = u64::from(address.length) + RECORD_HEADER_BYTES as u64;
    let fits = address
        .offset
        .checked_add(n_bytes)
        .is_some_and(|end| file.metadata().is_ok_and(|metadata| end <= metadata.len()));
    if &magic != MAGIC || !fits {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(address.offset))?;
    let mut header = [0; RECORD_HEADER_BYTES];
    file.read_exact(&mut header)?;
    let mut bytes = vec![0; address.length as usize];
    file.read_exact(&mut bytes)?;
    let digest = blake3::hash(&bytes);
    let is_it = header[..4] == address.length.to_le_bytes()
        && header[4..] == *digest.as_bytes()
        && digest.to_hex().as_str() == address.digest;
    Ok(is_it.then_some(bytes))
}

fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:06}.pack"))
}

fn number_of(path: &Path) -> Option<u32> {
    if path.extension()? != "pack" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(seed: u8) -> Vec<u8> {
        (0..100 + usize::from(seed)).map(|index| index as u8 ^ seed).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::open(dir.path()).unwrap();
        let addresses: Vec<_> = (0..50).map(|seed| writer.append(&model(seed)).unwrap()).collect();
        writer.sync().unwrap();
        for (seed, address) in addresses.iter().enumerate() {
            assert_eq!(read(dir.path(), address).unwrap(), model(seed as u8));
        }
        assert_eq!(writer.append(b"").unwrap().length, 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_writer_without_models_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::open(&dir.path().join("deep/down")).unwrap();
        writer.sync().unwrap();
        assert_eq!(fs::read_dir(dir.path().join("deep/down")).unwrap().count(), 0);
    }

    #[test]
    fn threads_have_packs_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let addresses: Vec<ModelAddress> = std::thread::scope(|scope| {
            let write = |thread: u8| {
                let dir = dir.path();
                scope.spawn(move || {
                    let mut writer = PackWriter::open(dir).unwrap();
                    let models = (0..20).map(|index| model(thread * 20 + index));
                    models.map(|model| writer.append(&model).unwrap()).collect::<Vec<_>>()
                })
            };
            let threads: Vec<_> = (0..8).map(write).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        for (index, address) in addresses.iter().enumerate() {
            assert_eq!(read(dir.path(), address).unwrap(), model(index as u8));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 8);
    }

    #[test]
    fn a_full_pack_is_followed_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::open(dir.path()).unwrap();
        writer.max_bytes = 250;
        let addresses: Vec<_> = (0..6).map(|seed| writer.append(&model(seed)).unwrap()).collect();
        let packs: Vec<u32> = addresses.iter().map(|address| address.pack).collect();
        assert_eq!(packs, [0, 0, 1, 1, 2, 2]);
        for (seed, address) in addresses.iter().enumerate() {
            assert_eq!(read(dir.path(), address).unwrap(), model(seed as u8));
        }
    }

    #[test]
    fn a_torn_tail_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::open(dir.path()).unwrap();
        let (kept, torn) = (writer.append(&model(1)).unwrap(), writer.append(&model(2)).unwrap());
        drop(writer);
        let path = path_of(dir.path(), 0);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 10).unwrap();

        let mut writer = PackWriter::open(dir.path()).unwrap();
        let next = writer.append(&model(3)).unwrap();
        assert_eq!(next.pack, 1);
        assert_eq!(read(dir.path(), &kept).unwrap(), model(1));
        assert_eq!(read(dir.path(), &next).unwrap(), model(3));
        assert!(matches!(read(dir.path(), &torn), Err(PackError::Damaged { .. })));
    }

    #[test]
    fn damage_and_wrong_addresses_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackWriter::open(dir.path()).unwrap();
        let address = writer.append(&model(1)).unwrap();
        let other = writer.append(&model(2)).unwrap();
        let wrong = [
            ModelAddress { digest: other.digest.clone(), ..address.clone() },
            ModelAddress { offset: address.offset + 1, ..address.clone() },
            ModelAddress { offset: u64::MAX, ..address.clone() },
            ModelAddress { length: u32::MAX, ..address.clone() },
            ModelAddress { length: address.length - 1, ..address.clone() },
        ];
        for wrong in wrong {
            let found = read(dir.path(), &wrong);
            assert!(matches!(found, Err(PackError::Damaged { .. })), "{wrong:?}");
        }
        let nowhere = ModelAddress { pack: 7, ..address.clone() };
        assert!(matches!(read(dir.path(), &nowhere), Err(PackError::Io { .. })));

        let path = path_of(dir.path(), 0);
        let mut bytes = fs::read(&path).unwrap();
        bytes[MAGIC.len() + RECORD_HEADER_BYTES + 5] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(read(dir.path(), &address), Err(PackError::Damaged { .. })));
        assert_eq!(read(dir.path(), &other).unwrap(), model(2));
    }
}
