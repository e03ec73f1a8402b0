//! What trials leave, brought to their service: logs, outputs, and models too large for a letter.
//!
//! Files go on threads of their own, so that no training thread waits for a network; the trial's end
//! is told once they are there, however long the service is away. What it refuses is named in the
//! log, and the end counts. A runner that ends before its service is back hands the trial back.

mod outputs;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use fleetfit_search_spaces::AssignmentKey;
use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::wire::join::{ANEW, FOLDERS, LINKS, Upload};

use self::outputs::Outputs;
use super::link::Link;
use super::post::{self, Item};
use super::{Shared, ask, lock};
use crate::material::{digest, digest_file};
use crate::runner::{Carrier, Lacking, Left, UPLOADED};

/// How many files are brought at once.
const THREADS: usize = 4;

/// How often a file is sent from its beginning: a service that starts again has forgotten what it had
/// of it.
const MOST_BEGINNINGS: usize = 100;

/// How much goes in one piece.
const PIECE_BYTES: usize = 384 << 10;

/// Models that are larger do not go into letters.
const MAX_ATTACHED: u32 = 256 << 10;

/// How long to try to bring a piece when the runner is about to end.
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
    /// Where the folder was while the program ran.
    written_at: PathBuf,
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
                let brought = next.bring(&shared);
                let _ = fs::remove_dir_all(&next.folder);
                next.link.post(match brought {
                    Ok(()) => Item::Uploaded(next.of),
                    Err(Silence) => Item::Unsent(next.of, next.link.outside(next.of)),
                });
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
    let files =
        Files { link, of, configuration, entity, folder, written_at: left.folder.to_owned() };
    if let Err(unsent) = shared.uploads.send(files) {
        unsent.link.post(Item::Uploaded(of));
    }
}

/// The service is away, and the runner about to end.
struct Silence;

impl Files {
    fn bring(&self, shared: &Shared) -> Result<(), Silence> {
        let log = self.folder.join("log.txt");
        let Outputs { files, folders, links, mut notes } =
            Outputs::of(&self.folder, &self.written_at);
        let files = files.into_iter().map(|(at, path)| (at.clone(), at, Some(path), String::new()));
        let folders =
            folders.into_iter().map(|at| (format!("{FOLDERS}{at}"), at, None, String::new()));
        let links = links.into_iter().map(|(at, to)| (format!("{LINKS}{at}"), at, None, to));
        // Links come last: what they lead to is there by then.
        for (place, at, path, text) in files.chain(folders).chain(links) {
            let brought = match path {
                Some(path) => self.bring_one(shared, &place, &path),
                None => self.bring_text(shared, place, &text),
            };
            match brought {
                Err(why) if ask::is_over(&why) => return Ok(()),
                Err(why) if ask::is_silence(&why) => return Err(Silence),
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
        match self.bring_one(shared, "log.txt", &log) {
            Err(why) if ask::is_silence(&why) => return Err(Silence),
            Err(why) if !ask::is_over(&why) && log.exists() => {
                shared.trouble(&format!("the log of a trial was not kept: {why}"));
            }
            _ => {}
        }
        Ok(())
    }

    fn bring_one(&self, shared: &Shared, at: &str, path: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        let (digest, total) = digest_file(path).map_err(failed)?;
        let metadata = fs::metadata(path).map_err(failed)?;
        let executable = metadata.permissions().mode() & 0o111 != 0;
        let head = Upload { executable, ..self.head(at.to_owned(), total, digest) };
        bring(shared, &self.link, &head, || Ok(File::open(path).map_err(failed)?.take(total)))
    }

    fn bring_text(&self, shared: &Shared, at: String, text: &str) -> Result<(), String> {
        let head = self.head(at, text.len() as u64, digest(text.as_bytes()));
        bring(shared, &self.link, &head, || Ok(text.as_bytes()))
    }

    fn head(&self, at: String, total: u64, digest: String) -> Upload {
        Upload {
            of: self.link.outside(self.of),
            configuration: self.configuration,
            entity: self.entity,
            at,
            offset: 0,
            total,
            digest,
            executable: false,
        }
    }
}

/// Brings a file, from its beginning as often as that is asked for.
fn bring<R: Read>(
    shared: &Shared,
    link: &Link,
    head: &Upload,
    open: impl Fn() -> Result<R, String>,
) -> Result<(), String> {
    for _ in 1..MOST_BEGINNINGS {
        match bring_pieces(shared, link, head.clone(), &mut open()?) {
            Err(why) if why.ends_with(ANEW) => {}
            brought => return brought,
        }
    }
    Err("it never arrived whole".to_owned())
}

/// Brings a file piece by piece; an empty one in one that is empty.
fn bring_pieces(
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
        let go_on = |waited| !shared.is_leaving() || waited < PATIENCE_ON_LEAVING;
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
        bring(shared, &link, &head, || Ok(model))
            .map_err(|why| format!("a model cannot be brought to its service: {why}"))?;
        (address.pack, address.offset) = (UPLOADED, 0);
    }
    post::models(shared, of, refits, attached);
    Ok(())
}
