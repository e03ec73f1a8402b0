use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fleetfit_search_spaces::material::Entry;

use super::*;

/// A service with blobs that hands them out in small pieces.
#[derive(Default)]
struct Service {
    blobs: BTreeMap<String, Vec<u8>>,
    n_asked: AtomicUsize,
    /// Answers so many times before the line breaks.
    n_answers: Option<usize>,
    is_lying: AtomicBool,
}

const PIECE: usize = 5;

impl Service {
    fn put(&mut self, bytes: &[u8]) -> String {
        let name = digest(bytes);
        self.blobs.insert(name.clone(), bytes.to_vec());
        name
    }

    /// A manifest with these files, and its digest.
    fn manifest(&mut self, files: &[(&str, &[u8])]) -> String {
        let entry = |(at, bytes): &(&str, &[u8])| Entry {
            at: (*at).to_owned(),
            digest: self.put(bytes),
            bytes: bytes.len() as u64,
            executable: false,
            origin: None,
        };
        let entries = files.iter().map(entry).collect();
        let manifest = Manifest::of(entries, BTreeMap::new());
        self.put(&manifest.bytes())
    }

    fn fetch(&self) -> impl Fn(&str, u64) -> io::Result<(Vec<u8>, u64)> {
        |digest: &str, offset: u64| {
            let n_asked = self.n_asked.fetch_add(1, Ordering::Relaxed);
            if self.n_answers.is_some_and(|n_answers| n_asked >= n_answers) {
                return Err(io::Error::other("the line is cut"));
            }
            let bytes = &self.blobs[digest];
            let offset = usize::try_from(offset).unwrap();
            let end = bytes.len().min(offset + PIECE);
            let mut piece = bytes[offset..end].to_vec();
            if self.is_lying.swap(false, Ordering::Relaxed) {
                piece[0] ^= 1;
            }
            Ok((piece, bytes.len() as u64))
        }
    }

    fn n_asked(&self) -> usize {
        self.n_asked.swap(0, Ordering::Relaxed)
    }
}

fn open(dir: &tempfile::TempDir, max_bytes: u64) -> Cache {
    Cache::open(dir.path(), max_bytes).unwrap()
}

#[test]
fn a_blob_is_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::default();
    let name = service.put(b"twelve bytes");
    let empty = service.put(b"");
    let cache = open(&dir, DEFAULT_BYTES);
    let path = cache.blob(&name, &service.fetch()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"twelve bytes");
    assert_eq!(service.n_asked(), 3);
    assert_eq!(open(&dir, 1).blob(&name, &service.fetch()).unwrap(), path);
    assert_eq!(service.n_asked(), 0);
    assert_eq!(fs::read(cache.blob(&empty, &service.fetch()).unwrap()).unwrap(), b"");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o444);
    assert!(fs::read_dir(cache.partial()).unwrap().next().is_none());
    assert!(cache.blob("../../etc/passwd", &service.fetch()).is_err());
}

#[test]
fn a_fetch_goes_on_where_it_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service { n_answers: Some(2), ..Service::default() };
    let name = service.put(b"more than three pieces");
    let error = open(&dir, DEFAULT_BYTES).blob(&name, &service.fetch()).unwrap_err();
    assert!(error.to_string().ends_with("could not be fetched: the line is cut"), "{error}");
    service.n_answers = None;
    service.n_asked();
    let path = open(&dir, DEFAULT_BYTES).blob(&name, &service.fetch()).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"more than three pieces");
    assert_eq!(service.n_asked(), 3);
}

#[test]
fn what_comes_damaged_is_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service { is_lying: AtomicBool::new(true), ..Service::default() };
    let name = service.put(b"twelve bytes");
    let cache = open(&dir, DEFAULT_BYTES);
    let path = cache.blob(&name, &service.fetch()).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"twelve bytes");
    assert_eq!(service.n_asked(), 6);

    let other = digest(b"other");
    service.blobs.insert(other.clone(), b"wrong".to_vec());
    let error = cache.blob(&other, &service.fetch()).unwrap_err().to_string();
    assert!(error.ends_with("came damaged, 3 times in a row"), "{error}");
}

#[test]
fn many_who_want_one_blob_fetch_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::default();
    let bytes: Vec<u8> = (0..200).collect();
    let name = service.put(&bytes);
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Locks hold between descriptors: processes are no different.
                let cache = open(&dir, DEFAULT_BYTES);
                start.wait();
                let path = cache.blob(&name, &service.fetch()).unwrap();
                assert_eq!(fs::read(path).unwrap(), bytes);
            });
        }
    });
    assert_eq!(service.n_asked(), bytes.len() / PIECE);
}

#[test]
fn a_tree_is_built_from_what_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::default();
    let manifest = service.manifest(&[("src/a.py", b"print(1)"), ("src/b.py", b"print(2)")]);
    let cache = open(&dir, DEFAULT_BYTES);
    let tree = cache.tree(&manifest, &service.fetch()).unwrap();
    assert_eq!(fs::read(tree.path.join("src/b.py")).unwrap(), b"print(2)");
    service.n_asked();
    let again = cache.tree(&manifest, &service.fetch()).unwrap();
    assert_eq!((again.path, service.n_asked()), (tree.path, 0));

    let missing = service.manifest(&[("c", b"gone")]);
    service.n_answers = Some(0);
    let error = cache.tree(&missing, &service.fetch()).unwrap_err();
    assert!(matches!(error, CacheError::Fetch { .. }), "{error}");
    service.n_answers = None;
    let hostile = service.put(br#"{"version":1,"files":[],"places":{"a":"../b"}}"#);
    let error = cache.tree(&hostile, &service.fetch()).unwrap_err().to_string();
    assert!(error.contains("cannot be a file's place"), "{error}");
}

#[test]
fn what_the_disk_has_lost_is_fetched_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::default();
    let manifest = service.manifest(&[("a.csv", b"rows"), ("b.csv", b"more")]);
    let cache = open(&dir, DEFAULT_BYTES);
    let lose = |digest: &str| {
        let path = cache.blob(digest, &service.fetch()).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "lost").unwrap();
    };
    lose(&digest(b"rows"));
    lose(&manifest);
    let tree = cache.tree(&manifest, &service.fetch()).unwrap();
    assert_eq!(fs::read(tree.path.join("a.csv")).unwrap(), b"rows");
}

#[test]
fn room_is_made_of_what_was_used_longest_ago() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::default();
    let trees: Vec<String> =
        (0..4_u8).map(|index| service.manifest(&[("data.bin", &[index; 10_000])])).collect();
    let cache = open(&dir, 25_000);
    let built = |tree: &String| cache.trees().join(tree).is_dir();
    let used = |tree: &String, ago_s: u64| {
        let at = SystemTime::now() - Duration::from_secs(ago_s);
        File::open(cache.lock_path(tree)).unwrap().set_modified(at).unwrap();
    };
    let held = cache.tree(&trees[0], &service.fetch()).unwrap();
    drop(cache.tree(&trees[1], &service.fetch()).unwrap());
    used(&trees[0], 300);
    used(&trees[1], 100);
    drop(cache.tree(&trees[2], &service.fetch()).unwrap());
    // The oldest is in use; the next one had to go.
    assert_eq!([0, 1, 2].map(|index| built(&trees[index])), [true, false, true]);
    let total: u64 = fs::read_dir(cache.blobs())
        .unwrap()
        .map(|folder| {
            let blobs = fs::read_dir(folder.unwrap().path()).unwrap();
            blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).sum::<u64>()
        })
        .sum();
    assert!(total <= 25_000, "{total}");
    // What is gone is fetched anew.
    service.n_asked();
    drop(cache.tree(&trees[1], &service.fetch()).unwrap());
    assert!(service.n_asked() > 10_000 / PIECE);

    // More in use than there should be is no error.
    let tight = open(&dir, 1);
    let more = tight.tree(&trees[3], &service.fetch()).unwrap();
    assert_eq!([0, 1, 2, 3].map(|index| built(&trees[index])), [true, false, false, true]);
    assert_eq!(fs::read(more.path.join("data.bin")).unwrap(), [3; 10_000]);
    drop((held, more));
}
