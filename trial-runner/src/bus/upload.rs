//! What trials leave, brought to their service: logs, outputs, and models too large for a letter.
//!
//! Files go on threads of their own, so that no training thread waits for a network; the trial's end
//! is told once they are there. What cannot be brought is named in the log, and the end counts.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use fleetfit_search_spaces::AssignmentKey;
use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::wire::join::Upload;

use super::link::Link;
use super::post::{self, Item};
use super::{Shared, ask, lock};
use crate::material::digest_file;
use crate::runner::{Carrier, Lacking, Left, UPLOADED};

/// How many files are brought at once.
const THREADS: usize = 4;

/// How much goes in one piece.
const PIECE_BYTES: usize = 384 << 10;

/// Models that are larger do not go into letters.
const MAX_ATTACHED: u32 = 256 << 10;

/// How much one trial may leave in its outputs.
const MAX_OUTPUT_BYTES: u64 = 1 << 30;

/// How many files one trial may leave.
const MAX_FILES: usize = 10_000;

/// How long to try to bring one piece; and when the runner is about to end.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_ON_LEAVING: Duration = Duration::from_secs(3);

/// Files on their way.
pub(super) struct Uploads(Mutex<Option<mpsc::Sender<Files>>>);

/// What one trial left.
pub(super) struct Files {
    link: Arc<Link>,
    /// The assignment, with a number of this process.
    of: AssignmentKey,
    configuration: u32,
    entity: u32,
    folder: PathBuf,
}

impl Uploads {
    pub(super) fn new() -> (Self, mpsc::Receiver<Files>) {
        let (sender, receiver) = mpsc::channel();
        (Self(Mutex::new(Some(sender))), receiver)
    }

    fn send(&self, files: Files) -> Result<(), Files> {
        match &*lock(&self.0) {
            Some(sender) => sender.send(files).map_err(|unsent| unsent.0),
            None => Err(files),
        }
    }

    /// No more will come.
    pub(super) fn close(&self) {
        lock(&self.0).take();
    }
}

/// Starts the threads.
pub(super) fn start(shared: &Arc<Shared>, files: mpsc::Receiver<Files>) -> std::io::Result<()> {
    let files = Arc::new(Mutex::new(files));
    for number in 0..THREADS {
        let (shared, files) = (Arc::clone(shared), Arc::clone(&files));
        let name = format!("upload-{number}");
        std::thread::Builder::new().name(name).spawn(move || {
            loop {
                let next = lock(&files).recv();
                let Ok(next) = next else { return };
                next.bring(&shared);
                let _ = fs::remove_dir_all(&next.folder);
                next.link.post(Item::Uploaded(next.of));
            }
        })?;
    }
    Ok(())
}

/// Takes what a study's trials leave. What is held with it lives as long as the study does here.
pub(super) fn carrier(shared: &Arc<Shared>, held: impl Send + Sync + 'static) -> Carrier {
    let (models, files) = (Arc::clone(shared), Arc::clone(shared));
    Carrier {
        models: Box::new(move |of, refits, bytes| {
            let _ = &held;
            carry_models(&models, of, refits, &bytes).map_err(Lacking)
        }),
        files: Box::new(move |left| carry_files(&files, left)),
    }
}

/// Puts a trial's folder aside and queues it.
fn carry_files(shared: &Shared, left: &Left<'_>) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(link) = lock(&shared.hand).link(left.of) else { return };
    let name = format!(".left-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = left.folder.with_file_name(name);
    match fs::rename(left.folder, &folder) {
        // It went with the study.
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(_) => return shared.trouble("the folder of a trial cannot be moved; its log is lost"),
        Ok(()) => {}
    }
    link.post(Item::Uploading(left.of));
    let Left { of, configuration, entity, .. } = *left;
    let files = Files { link, of, configuration, entity, folder };
    if let Err(unsent) = shared.uploads.send(files) {
        unsent.link.post(Item::Uploaded(of));
    }
}

impl Files {
    fn bring(&self, shared: &Shared) {
        let log = self.folder.join("log.txt");
        let mut notes = Vec::new();
        for (at, path) in self.outputs(&mut notes) {
            match self.bring_one(shared, &at, &path) {
                Err(why) if ask::is_over(&why) => return,
                Err(why) => notes.push(format!("{at} was not kept: {why}")),
                Ok(()) => {}
            }
        }
        if !notes.is_empty()
            && let Ok(mut log) = File::options().append(true).open(&log)
        {
            for note in &notes {
                // The log is not to be had on a disk that is full.
                let _ = writeln!(log, "[fleetfit: {note}]");
            }
        }
        // A program that was stopped before it began has none.
        if let Err(why) = self.bring_one(shared, "log.txt", &log)
            && !ask::is_over(&why)
            && log.exists()
        {
            shared.trouble(&format!("the log of a trial was not kept: {why}"));
        }
    }

    /// The files of the outputs, by their places in the trial's folder.
    fn outputs(&self, notes: &mut Vec<String>) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        let mut n_bytes = 0;
        let mut folders = vec![("outputs".to_owned(), self.folder.join("outputs"))];
        while let Some((at, folder)) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    notes.push(format!("a file in {at} was not kept: its name is not UTF-8"));
                    continue;
                };
                let (at, path) = (format!("{at}/{name}"), entry.path());
                let Ok(mut metadata) = entry.metadata() else { continue };
                if metadata.is_symlink() {
                    match self.linked(&path) {
                        Some(linked) => metadata = linked,
                        None => {
                            notes.push(format!(
                                "{at} was not kept: it is a link, and leads to no file in outputs"
                            ));
                            continue;
                        }
                    }
                }
                if metadata.is_dir() {
                    folders.push((at, path));
                } else if metadata.is_file() {
                    n_bytes += metadata.len();
                    if n_bytes > MAX_OUTPUT_BYTES || found.len() >= MAX_FILES {
                        notes.push(format!(
                            "{at} and what comes after it were not kept: a trial may leave {} MiB \
                             in {MAX_FILES} files",
                            MAX_OUTPUT_BYTES >> 20
                        ));
                        return found;
                    }
                    found.push((at, path));
                }
            }
        }
        found
    }

    /// The file among the outputs that a link leads to, which is kept in the link's place too. What
    /// lies elsewhere is not the trial's own, and a folder could hold the link itself.
    fn linked(&self, link: &Path) -> Option<fs::Metadata> {
        let outputs = self.folder.join("outputs").canonicalize().ok()?;
        let target = link.canonicalize().ok().filter(|target| target.starts_with(&outputs))?;
        fs::metadata(target).ok().filter(fs::Metadata::is_file)
    }

    fn bring_one(&self, shared: &Shared, at: &str, path: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        let (digest, total) = digest_file(path).map_err(failed)?;
        let metadata = fs::metadata(path).map_err(failed)?;
        let head = Upload {
            of: self.link.outside(self.of),
            configuration: self.configuration,
            entity: self.entity,
            at: at.to_owned(),
            offset: 0,
            total,
            digest,
            executable: metadata.permissions().mode() & 0o111 != 0,
        };
        let file = File::open(path).map_err(failed)?;
        bring(shared, &self.link, head, &mut file.take(total))
    }
}

/// Brings a file piece by piece; an empty one in one that is empty.
fn bring(
    shared: &Shared,
    link: &Link,
    mut piece: Upload,
    file: &mut impl Read,
) -> Result<(), String> {
    loop {
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        let read = file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut bytes);
        let n = read.map_err(|error| error.to_string())? as u64;
        if n == 0 && piece.offset < piece.total {
            return Err("it changed while it was read".to_owned());
        }
        let go_on =
            |waited| waited < if shared.is_leaving() { PATIENCE_ON_LEAVING } else { PATIENCE };
        shared.ask::<()>(&link.subjects.upload(), &piece, &bytes, &go_on)?;
        piece.offset += n;
        if piece.offset >= piece.total {
            return Ok(());
        }
    }
}

/// Tells winners: small models in the letter, large ones beforehand.
fn carry_models(
    shared: &Shared,
    of: AssignmentKey,
    mut refits: Vec<Refit>,
    bytes: &[u8],
) -> Result<(), String> {
    let Some(link) = lock(&shared.hand).link(of) else { return Ok(()) };
    let mut attached = Vec::new();
    for refit in &mut refits {
        let Ok(address) = &mut refit.model else { continue };
        let start = usize::try_from(address.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(address.length as usize);
        let model = bytes.get(start..end).unwrap_or_default();
        if address.length <= MAX_ATTACHED {
            address.offset = attached.len() as u64;
            attached.extend_from_slice(model);
            continue;
        }
        let head = Upload {
            of: link.outside(of),
            configuration: refit.configuration,
            entity: refit.entity,
            at: format!("models/{}", address.digest),
            offset: 0,
            total: u64::from(address.length),
            digest: address.digest.clone(),
            executable: false,
        };
        bring(shared, &link, head, &mut &*model)
            .map_err(|why| format!("a model cannot be brought to its service: {why}"))?;
        (address.pack, address.offset) = (UPLOADED, 0);
    }
    post::models(shared, of, refits, attached);
    Ok(())
}
