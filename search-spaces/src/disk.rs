//! An error of the operating system in the words of whoever reads it: what failed, without the
//! system's number, and what to do where that is known.

use std::io::{self, ErrorKind};

/// What failed, and what to do about it where no more can be written.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(char::to_lowercase).into_iter().flatten();
    let words: String = first.chain(letters).collect();
    format!("{words}{}", remedy(error))
}

/// What to do where no more can be written; nothing where something else is wrong.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make space and give the same command again"
        }
        ErrorKind::FileTooLarge => {
            "; this process may write no longer files: raise ulimit -f, or LimitFSIZE= of its unit, \
             and start it again"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_remedy() {
        let told = |number| plain(&io::Error::from_raw_os_error(number));
        // ENOENT, ENOSPC, EFBIG.
        assert_eq!(told(2), "no such file or directory");
        assert_eq!(told(28), "no space left on device; make space and give the same command again");
        assert!(told(27).starts_with("file too large; this process may write no longer files"));
        assert!(told(27).contains("raise ulimit -f, or LimitFSIZE="));
        assert_eq!(plain(&io::Error::other("")), "");
        assert_eq!(plain(&io::Error::other("Über")), "über");
    }
}
