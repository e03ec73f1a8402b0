//! Small things that other parts of the service keep beside the studies: schedules, and what a
//! repeated request was answered. The journal does not look into them.

use super::record::{MORE, pieces};
use super::store::{Table, Write, damaged};
use super::{Journal, JournalError, bounded};

/// The longest kind or name that is kept.
const MAX_WORD_BYTES: usize = 1024;
/// The longest document that is kept.
const MAX_DOCUMENT_BYTES: usize = 256 << 20;

impl Journal {
    /// Stores a document, in the place of the one of this kind and name if there is one. It is on
    /// disk when this returns.
    pub fn put_document(&self, kind: &str, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        let key = key(kind, name)?;
        bounded(&format!("the {kind} {name}"), bytes.len(), MAX_DOCUMENT_BYTES)?;
        let _writer = self.writer();
        let mut writes = pieces(Table::Documents, &key, bytes);
        let kept = writes.len();
        let old = self.store.keys(Table::Documents, &key, usize::MAX)?;
        writes.extend(old.into_iter().skip(kept).map(|at| Write::remove(Table::Documents, at)));
        self.store.commit(&writes)
    }

    /// The document of this kind and name.
    pub fn document(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let key = key(kind, name)?;
        let first = [key.as_slice(), &[0, 0]].concat();
        match self.store.get(Table::Documents, &first)? {
            None => Ok(None),
            Some(piece) => self.rest_of_document(&key, piece),
        }
    }

    /// All documents of a kind, by name.
    pub fn documents(&self, kind: &str) -> Result<Vec<(String, Vec<u8>)>, JournalError> {
        let prefix = prefix(kind)?;
        let mut documents = Vec::new();
        for entry in self.store.scan(Table::Documents, &prefix, &[]) {
            let (at, piece) = entry?;
            let Some(key) = at.strip_suffix(&[0, 0]) else { continue };
            let (_, name) = words(key).ok_or_else(|| damaged(Table::Documents, &at))?;
            documents.extend(self.rest_of_document(key, piece)?.map(|document| (name, document)));
        }
        documents.sort_unstable();
        Ok(documents)
    }

    /// The kinds and names of all documents.
    pub(crate) fn document_names(&self) -> Result<Vec<(String, String)>, JournalError> {
        let mut names = Vec::new();
        for at in self.store.keys(Table::Documents, &[], usize::MAX)? {
            let Some(key) = at.strip_suffix(&[0, 0]) else { continue };
            names.push(words(key).ok_or_else(|| damaged(Table::Documents, &at))?);
        }
        Ok(names)
    }

    /// Removes a document. False if there was none.
    pub fn remove_document(&self, kind: &str, name: &str) -> Result<bool, JournalError> {
        let key = key(kind, name)?;
        let _writer = self.writer();
        let old = self.store.keys(Table::Documents, &key, usize::MAX)?;
        if old.is_empty() {
            return Ok(false);
        }
        let writes: Vec<Write> =
            old.into_iter().map(|at| Write::remove(Table::Documents, at)).collect();
        self.store.commit(&writes)?;
        Ok(true)
    }

    /// A document of which the first piece was found. One of several pieces is read while nobody
    /// writes, so that they belong together; it may be gone by then.
    fn rest_of_document(
        &self,
        key: &[u8],
        piece: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        match piece.split_first() {
            None => Err(damaged(Table::Documents, key)),
            Some((&MORE, _)) => {
                let _writer = self.writer();
                self.whole(Table::Documents, key)
            }
            Some((_, piece)) => Ok(Some(piece.to_vec())),
        }
    }
}

/// What the keys of all documents of a kind begin with.
fn prefix(kind: &str) -> Result<Vec<u8>, JournalError> {
    bounded("the kind of a document", kind.len(), MAX_WORD_BYTES)?;
    Ok([&(kind.len() as u16).to_be_bytes(), kind.as_bytes()].concat())
}

/// The key of a document without the number of its piece. Lengths stand before words, so that no
/// key is the beginning of another one's.
fn key(kind: &str, name: &str) -> Result<Vec<u8>, JournalError> {
    bounded("the name of a document", name.len(), MAX_WORD_BYTES)?;
    Ok([&prefix(kind)?, &(name.len() as u16).to_be_bytes()[..], name.as_bytes()].concat())
}

/// The kind and the name that make a key, the number of the piece left out.
fn words(key: &[u8]) -> Option<(String, String)> {
    let word = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let (length, rest) = key.split_first_chunk::<2>()?;
    let (kind, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (length, name) = rest.split_first_chunk::<2>()?;
    let is_all = name.len() == usize::from(u16::from_be_bytes(*length));
    Some((word(kind)?, word(name)?)).filter(|_| is_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_replaced_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let long: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        journal.put_document("schedule", "nightly", &long).unwrap();
        journal.put_document("schedule", "a", b"{}").unwrap();
        journal.put_document("schedule", "a\0\0", b"[]").unwrap();
        journal.put_document("schedules", "other kind", b"1").unwrap();
        journal.put_document("schedule", "", b"").unwrap();
        drop(journal);
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.document("schedule", "nightly").unwrap().as_ref(), Some(&long));
        assert_eq!(journal.document("schedule", "weekly").unwrap(), None);
        journal.put_document("schedule", "nightly", b"short").unwrap();
        let expected = [("", ""), ("a", "{}"), ("a\0\0", "[]"), ("nightly", "short")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        assert_eq!(journal.documents("schedule").unwrap(), expected);
        assert_eq!(journal.documents("schedules").unwrap().len(), 1);
        assert_eq!(journal.documents("s").unwrap(), []);
        assert!(journal.remove_document("schedule", "nightly").unwrap());
        assert!(!journal.remove_document("schedule", "nightly").unwrap());
        assert_eq!(journal.documents("schedule").unwrap(), expected[..3]);
        let error = journal.put_document("k", &"n".repeat(2_000), b"").unwrap_err();
        assert!(matches!(error, JournalError::TooLong { .. }), "{error}");
    }

    /// A reader sees one version or another, never pieces of both.
    #[test]
    fn a_long_document_is_never_seen_torn() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let version = |n: u8| vec![n; 100_000 + usize::from(n) * 5_000];
        journal.put_document("file", "long", &version(0)).unwrap();
        let writer = journal.clone();
        let writing = std::thread::spawn(move || {
            for n in 1..40 {
                writer.put_document("file", "long", &version(n)).unwrap();
            }
        });
        let mut seen = 0;
        while seen < 39 {
            let found = journal.document("file", "long").unwrap().unwrap();
            assert_eq!(found, version(found[0]));
            assert!(found[0] >= seen);
            seen = found[0];
            let listed = journal.documents("file").unwrap();
            assert_eq!(listed[0].1, version(listed[0].1[0]));
        }
        writing.join().unwrap();
    }
}
