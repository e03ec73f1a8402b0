//! A message as bytes: magic, version, the length of the JSON, the JSON, and an attachment.
//!
//! The version stands outside of the JSON, so that a message of any version is told from damage.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The version that this fleetfit writes.
pub const VERSION: u8 = 2;

/// The oldest one that it reads: a queue may hold letters of the release before an update. What later
/// versions say besides has defaults.
pub const OLDEST: u8 = 1;

const MAGIC: &[u8; 3] = b"ffw";
const HEAD: usize = MAGIC.len() + 1 + 4;

/// Why bytes are not a message for us.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LetterError {
    /// An older fleetfit wrote it.
    #[error(
        "the message is of an older fleetfit (wire version {found}; this one speaks {VERSION})"
    )]
    Older {
        /// Its version.
        found: u8,
    },
    /// A newer fleetfit wrote it.
    #[error("the message is of a newer fleetfit (wire version {found}; this one speaks {VERSION})")]
    Newer {
        /// Its version.
        found: u8,
    },
    /// Nobody's.
    #[error("the message is not one of fleetfit's: {0}")]
    Malformed(String),
}

/// The message as bytes. Numbers in it must be finite: JSON has no others.
pub fn seal(message: &impl Serialize, attachment: &[u8]) -> Result<Vec<u8>, LetterError> {
    seal_as(VERSION, message, attachment)
}

/// The same in an earlier version, for a message that has its form since then: whoever speaks that
/// version finishes what it was at.
pub fn seal_as(
    version: u8,
    message: &impl Serialize,
    attachment: &[u8],
) -> Result<Vec<u8>, LetterError> {
    let malformed = |why: &dyn ToString| LetterError::Malformed(why.to_string());
    let mut bytes = Vec::with_capacity(256 + attachment.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(version);
    bytes.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut bytes, message).map_err(|error| malformed(&error))?;
    let length = u32::try_from(bytes.len() - HEAD).map_err(|_| malformed(&"it is too long"))?;
    bytes[MAGIC.len() + 1..HEAD].copy_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(attachment);
    Ok(bytes)
}

/// The version that bytes are of which can be opened.
pub fn version_of(bytes: &[u8]) -> Option<u8> {
    let version = *bytes.strip_prefix(MAGIC)?.first()?;
    (OLDEST..=VERSION).contains(&version).then_some(version)
}

/// What the bytes say, and what is attached.
pub fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), LetterError> {
    let malformed = |why: &str| LetterError::Malformed(why.to_owned());
    let (head, rest) =
        bytes.split_first_chunk::<HEAD>().ok_or_else(|| malformed("it is too short"))?;
    let [m0, m1, m2, version, l0, l1, l2, l3] = *head;
    if [m0, m1, m2] != *MAGIC {
        return Err(malformed("it begins with something else"));
    }
    match version {
        OLDEST..=VERSION => {}
        found if found < OLDEST => return Err(LetterError::Older { found }),
        found => return Err(LetterError::Newer { found }),
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (body, attachment) =
        rest.split_at_checked(length).ok_or_else(|| malformed("it was cut off"))?;
    let message = serde_json::from_slice(body).map_err(|error| malformed(&error.to_string()))?;
    Ok((message, attachment))
}

#[cfg(test)]
mod tests {
    use super::super::{AssignmentKey, FromRunner, StudyId};
    use super::*;

    fn done() -> FromRunner {
        FromRunner::Done { of: AssignmentKey { study: StudyId(3), number: 1 << 60, attempt: 2 } }
    }

    #[test]
    fn what_is_sealed_is_opened() {
        let bytes = seal(&done(), b"model").unwrap();
        let (message, attachment) = open::<FromRunner>(&bytes).unwrap();
        assert_eq!((message, attachment), (done(), &b"model"[..]));
    }

    #[test]
    fn other_versions_are_told_from_damage() {
        let mut bytes = seal(&done(), &[]).unwrap();
        bytes[3] = VERSION + 1;
        let found = VERSION + 1;
        assert_eq!(open::<FromRunner>(&bytes), Err(LetterError::Newer { found }));
        bytes[3] = 0;
        assert_eq!(open::<FromRunner>(&bytes), Err(LetterError::Older { found: 0 }));
    }

    #[test]
    fn who_speaks_an_earlier_version_is_answered_in_it() {
        let question = seal_as(OLDEST, &done(), &[]).unwrap();
        assert_eq!((question[3], version_of(&question)), (OLDEST, Some(OLDEST)));
        assert_eq!(version_of(&seal(&done(), &[]).unwrap()), Some(VERSION));
        for strange in [&b""[..], b"ffw", b"ffw\x00", b"fft\x01", &[b'f', b'f', b'w', VERSION + 1]]
        {
            assert_eq!(version_of(strange), None);
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let bytes = seal(&done(), b"x").unwrap();
        for cut in 0..bytes.len() - 1 {
            assert!(matches!(open::<FromRunner>(&bytes[..cut]), Err(LetterError::Malformed(_))));
        }
        let mut long = bytes.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(open::<FromRunner>(&long).is_err());
        assert!(open::<FromRunner>(b"").is_err());
        assert!(open::<FromRunner>(b"not one of ours").is_err());
    }

    #[test]
    fn every_version_since_the_first_release_is_understood() {
        let mut stored = b"ffw\x01\x3c\x00\x00\x00{\"done\":{\"of\":{\"study\":3,\"number\":7,\"attempt\":2,\"later\":0}}}".to_vec();
        let key = AssignmentKey { study: StudyId(3), number: 7, attempt: 2 };
        for version in OLDEST..=VERSION {
            stored[3] = version;
            assert_eq!(open::<FromRunner>(&stored).unwrap().0, FromRunner::Done { of: key });
        }
    }
}
