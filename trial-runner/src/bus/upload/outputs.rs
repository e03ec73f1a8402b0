//! What a trial left in its outputs: files, folders with nothing in them, and links among these.
//!
//! A link leads to another output or is left out: what lies elsewhere is not the trial's own, and is
//! not there where the outputs go. It is told as the way from its own folder to what it leads to.

use std::collections::BTreeSet;
use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// How much one trial may leave in its outputs.
const MAX_OUTPUT_BYTES: u64 = 1 << 30;

/// How many files, folders and links one trial may leave.
const MAX_ENTRIES: usize = 10_000;

/// Where outputs lie in a trial's folder.
const OUTPUTS: &str = "outputs";

/// What a trial left, by its places in the trial's folder.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    /// Files, and where they lie.
    pub(super) files: Vec<(String, PathBuf)>,
    /// Folders with no file in them.
    pub(super) folders: Vec<String>,
    /// Links, and where they lead from their own folders.
    pub(super) links: Vec<(String, String)>,
    /// What is not kept, and why.
    pub(super) notes: Vec<String>,
}

impl Outputs {
    /// Those in a trial's folder, which was at another place while the program ran.
    pub(super) fn of(trial: &Path, written_at: &Path) -> Self {
        let mut found = Self::default();
        let (mut links, mut all_folders, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let (mut n_entries, mut n_bytes) = (0, 0);
        let mut open = vec![(OUTPUTS.to_owned(), trial.join(OUTPUTS))];
        'all: while let Some((at, folder)) = open.pop() {
            for (name, path) in entries(&at, &folder, &mut found.notes) {
                let at = format!("{at}/{name}");
                let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                n_entries += 1;
                n_bytes += if metadata.is_file() { metadata.len() } else { 0 };
                if n_bytes > MAX_OUTPUT_BYTES || n_entries > MAX_ENTRIES {
                    found.notes.push(format!(
                        "{at} and what comes after it were not kept: a trial may leave {} MiB in \
                         {MAX_ENTRIES} files",
                        MAX_OUTPUT_BYTES >> 20
                    ));
                    break 'all;
                }
                if metadata.is_symlink() {
                    links.push((at, path));
                } else if metadata.is_dir() {
                    all_folders.push(at.clone());
                    open.push((at, path));
                } else if metadata.is_file() {
                    found.files.push((at, path));
                } else {
                    others.push(format!("{at} is {}", kind(metadata.file_type())));
                }
            }
        }
        found.notes.extend(not_kept(&others));
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for (at, _) in &found.files {
            kept.extend(at.match_indices('/').map(|(end, _)| at[..end].to_owned()));
            kept.insert(at.clone());
        }
        found.folders = all_folders.into_iter().filter(|at| !kept.contains(at)).collect();
        kept.extend(found.folders.iter().cloned());
        for (at, path) in links {
            match leads_to(&path, trial, written_at).filter(|to| kept.contains(to)) {
                Some(to) => found.links.push((at.clone(), way(&at, &to))),
                None => found.notes.push(format!(
                    "{at} was not kept: it is a link, and leads to nothing that is kept of outputs"
                )),
            }
        }
        found
    }
}

/// What is neither a file nor a folder nor a link, in a word.
fn kind(of: FileType) -> &'static str {
    match of {
        of if of.is_fifo() => "a named pipe",
        of if of.is_socket() => "a socket",
        _ => "a device",
    }
}

/// That such things are not kept. Said once, however many there are.
fn not_kept(others: &[String]) -> Option<String> {
    let first = others.first()?;
    let more = match others.len() - 1 {
        0 => String::new(),
        more => format!(", nor were {more} more like it"),
    };
    Some(format!("{first} and was not kept{more}: outputs are files, folders and links"))
}

/// What lies in a folder, in the order of names.
fn entries(at: &str, folder: &Path, notes: &mut Vec<String>) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        match entry.file_name().into_string() {
            Ok(name) => found.push((name, entry.path())),
            Err(_) => {
                notes.push(format!("a file in {at} was not kept: its name is not UTF-8"));
            }
        }
    }
    found.sort_unstable();
    found
}

/// The place of what a link leads to, where that is among the outputs.
fn leads_to(link: &Path, trial: &Path, written_at: &Path) -> Option<String> {
    let to = fs::read_link(link).ok()?;
    // The program named its folder by the place that it had then.
    let real = written_at.parent().and_then(|parent| parent.canonicalize().ok());
    let real = real.zip(written_at.file_name()).map(|(parent, name)| parent.join(name));
    let absolute = std::path::absolute(written_at).ok();
    let inside = [absolute, real]
        .into_iter()
        .flatten()
        .find_map(|place| to.strip_prefix(place).ok().map(|inside| trial.join(inside)));
    let found = inside.unwrap_or_else(|| link.to_owned()).canonicalize().ok()?;
    let inside = found.strip_prefix(trial.canonicalize().ok()?).ok()?;
    inside.to_str().map(str::to_owned)
}

/// The way to a place from the folder of another.
fn way(at: &str, to: &str) -> String {
    let folder: Vec<&str> = at.split('/').collect();
    let folder = &folder[..folder.len() - 1];
    let to: Vec<&str> = to.split('/').collect();
    let n_common = folder.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut way = vec![".."; folder.len() - n_common];
    way.extend(&to[n_common..]);
    if way.is_empty() { ".".to_owned() } else { way.join("/") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn ways_go_up_and_down() {
        let check = |at: &str, to: &str, expected: &str| assert_eq!(way(at, to), expected);
        check("outputs/last", "outputs/step-3", "step-3");
        check("outputs/m/last", "outputs/m/a/w.bin", "a/w.bin");
        check("outputs/m/a/last", "outputs/n/w.bin", "../../n/w.bin");
        check("outputs/m/up", "outputs/m", ".");
        check("outputs/m/a/up", "outputs/m", "..");
    }

    #[test]
    fn files_empty_folders_and_links_among_them_are_found() {
        let home = tempfile::tempdir().unwrap();
        let (trial, written_at) = (home.path().join(".left-0"), home.path().join("7"));
        let out = trial.join("outputs");
        fs::create_dir_all(out.join("m/steps/3")).unwrap();
        fs::create_dir_all(out.join("m/empty/er")).unwrap();
        fs::write(out.join("m/steps/3/w.bin"), "w").unwrap();
        fs::write(trial.join("log.txt"), "log").unwrap();
        fs::write(home.path().join("secret"), "s").unwrap();
        let link = |to: &str, at: &str| symlink(to, out.join(at)).unwrap();
        link("3", "m/steps/last");
        link("steps/last/w.bin", "m/through");
        link("empty", "m/nothing");
        link(".", "m/round");
        link(written_at.join("outputs/m/steps/3/w.bin").to_str().unwrap(), "m/named");
        for (to, at) in [
            ("/etc/hostname", "far"),
            ("../log.txt", "log"),
            ("../../secret", "up"),
            ("nowhere", "broken"),
            ("itself", "itself"),
        ] {
            link(to, at);
        }
        let found = Outputs::of(&trial, &written_at);
        let files: Vec<&str> = found.files.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(files, ["outputs/m/steps/3/w.bin"]);
        let mut folders = found.folders;
        folders.sort();
        assert_eq!(folders, ["outputs/m/empty", "outputs/m/empty/er"]);
        let mut links = found.links;
        links.sort();
        let links: Vec<_> = links.iter().map(|(at, to)| (at.as_str(), to.as_str())).collect();
        assert_eq!(
            links,
            [
                ("outputs/m/named", "steps/3/w.bin"),
                ("outputs/m/nothing", "empty"),
                ("outputs/m/round", "."),
                ("outputs/m/steps/last", "3"),
                ("outputs/m/through", "steps/3/w.bin"),
            ]
        );
        assert_eq!(found.notes.len(), 5, "{:?}", found.notes);
        UnixListener::bind(out.join("m/ear")).unwrap();
        let notes = Outputs::of(&trial, &written_at).notes;
        let said =
            "outputs/m/ear is a socket and was not kept: outputs are files, folders and links";
        assert!(notes.iter().any(|note| note == said), "{notes:?}");
        let made = Command::new("mkfifo").arg(out.join("m/aaa")).arg(out.join("m/zzz")).status();
        assert!(made.unwrap().success());
        let notes = Outputs::of(&trial, &written_at).notes;
        assert_eq!(notes.len(), 6, "{notes:?}");
        let said =
            "outputs/m/aaa is a named pipe and was not kept, nor were 2 more like it: outputs are";
        assert!(notes.iter().any(|note| note.starts_with(said)), "{notes:?}");
        assert!(Outputs::of(&home.path().join("none"), &written_at).files.is_empty());
    }
}
