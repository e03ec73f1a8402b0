//! Compiled kernels on disk, so that a process that begins need not wait for the compiler.
//!
//! A file is named after all that its code was made of, and begins with the digest of the code. One
//! that is damaged is not there, and what cannot be written is compiled again.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder of compiled kernels, where there is one.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    folder: PathBuf,
}

/// Bytes of a digest.
const DIGEST: usize = 32;

impl Kept {
    pub(super) fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The code that was made of these texts.
    pub(super) fn find(&self, made_of: &[&str]) -> Option<Vec<u8>> {
        let path = self.path(made_of);
        // Whatever else has its name may never end.
        let is_file = fs::metadata(&path).is_ok_and(|about| about.is_file());
        let bytes = is_file.then(|| fs::read(path).ok())??;
        let (digest, code) = bytes.split_at_checked(DIGEST)?;
        (blake3::hash(code).as_bytes().as_slice() == digest).then(|| code.to_vec())
    }

    /// Keeps the code that was made of these texts.
    pub(super) fn keep(&self, made_of: &[&str], code: &[u8]) {
        let path = self.path(made_of);
        // Other processes and threads may keep the same: each moves a whole file to its place.
        let own = std::thread::current().id();
        let new = path.with_extension(format!("{}-{own:?}", std::process::id()));
        let bytes = [blake3::hash(code).as_bytes().as_slice(), code].concat();
        let kept = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&new, bytes))
            .and_then(|()| fs::rename(&new, &path));
        if kept.is_err() {
            // Whatever is left of it is in nobody's way.
            let _ = fs::remove_file(&new);
        }
    }

    fn path(&self, made_of: &[&str]) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        for text in made_of {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        self.folder.join(format!("{}.cubin", hasher.finalize().to_hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_by_what_it_was_made_of_unless_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(&dir.path().join("kernels"));
        assert_eq!(kept.find(&["a", "b"]), None);
        kept.keep(&["a", "b"], b"code");
        assert_eq!(kept.find(&["a", "b"]), Some(b"code".to_vec()));
        assert_eq!(kept.find(&["ab", ""]), None);
        let files: Vec<_> = fs::read_dir(dir.path().join("kernels")).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        fs::write(files[0].path(), "damaged").unwrap();
        assert_eq!(kept.find(&["a", "b"]), None);
        let nowhere = Kept::of(Path::new("/dev/null/kernels"));
        nowhere.keep(&["a"], b"code");
        assert_eq!(nowhere.find(&["a"]), None);
    }
}
