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

/// Whether the disk, or this process, is in trouble, so that whatever is written next fails as well.
/// Any other error is of the one file or folder that was asked for.
pub fn is_of_all(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::StorageFull,
        ErrorKind::QuotaExceeded,
        ErrorKind::FileTooLarge,
        ErrorKind::ReadOnlyFilesystem,
    ];
    kinds.contains(&error.kind())
        || error.raw_os_error().is_some_and(|number| WITHOUT_KIND.contains(&number))
}

/// EIO, ENFILE and EMFILE, which have the same numbers on every system that fleetfit runs on.
const WITHOUT_KIND: [i32; 3] = [5, 23, 24];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_in_trouble_is_told_from_one_file() {
        let is_of_all = |number| is_of_all(&io::Error::from_raw_os_error(number));
        // EIO, ENFILE, EMFILE, EFBIG, ENOSPC, EROFS.
        assert!([5, 23, 24, 27, 28, 30].into_iter().all(is_of_all));
        // ENOENT, EACCES, EEXIST, ENOTDIR, and names that are too long.
        assert!(
            ![2, 13, 17, 20, if cfg!(target_os = "linux") { 36 } else { 63 }]
                .into_iter()
                .any(is_of_all)
        );
        assert!(!super::is_of_all(&io::Error::other("")));
    }

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
