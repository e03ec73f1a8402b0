use super::*;

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn read(blobs: &Blobs, digest: &str) -> Vec<u8> {
    let (mut file, n_bytes) = blobs.get(digest).unwrap().expect("a blob");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, n_bytes);
    bytes
}

/// Everything below a folder that is a file.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(dir).unwrap() {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn what_is_put_is_got() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let big: Vec<u8> = (0..3 * PIECE_BYTES + 7).map(|index| (index % 251) as u8).collect();
    for bytes in [&b""[..], b"one", &big] {
        let digest = digest(bytes);
        assert!(!blobs.has(&digest).unwrap());
        assert_eq!(blobs.get(&digest).unwrap().map(|(_, n_bytes)| n_bytes), None);
        assert_eq!(blobs.put(&digest, &mut &*bytes).unwrap(), bytes.len() as u64);
        assert_eq!(blobs.put(&digest, &mut &*bytes).unwrap(), bytes.len() as u64);
        assert_eq!(read(&blobs, &digest), bytes);
    }
    let reopened = Blobs::open(dir.path()).unwrap();
    let (one, other) = (digest(b"one"), digest(b"other"));
    assert_eq!(reopened.missing(&[&one, &other]).unwrap(), [other.as_str()]);
    assert_eq!(reopened.put_bytes(b"one").unwrap(), one);
    assert_eq!(files(dir.path()).len(), 3);
    let path = reopened.path(&one).unwrap().unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o444);
}

#[test]
fn what_is_wrong_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap().with_max_bytes(4);
    let says = |result: Result<u64, BlobError>| result.unwrap_err().to_string();
    let wrong = says(blobs.put(&digest(b"a"), &mut &b"b"[..]));
    assert!(wrong.contains(&format!("have the digest {}, not", digest(b"b"))), "{wrong}");
    let large = says(blobs.put(&digest(b"12345"), &mut &b"12345"[..]));
    assert_eq!(large, "a file may have at most 4 bytes; this one has more");
    for name in ["", "..", "../../etc/passwd", &"A".repeat(64), &"g".repeat(64)] {
        let refused = says(blobs.put(name, &mut &b""[..]));
        assert!(refused.contains("is not a blake3 digest"), "{refused}");
        assert!(blobs.get(name).is_err() && blobs.has(name).is_err());
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    assert!(says(blobs.put(&digest(b"a"), &mut Broken)).ends_with(": gone"));
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn half_a_blob_is_removed_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let mut killed = blobs.begin(&digest(b"whole")).unwrap();
    killed.write(b"who").unwrap();
    std::mem::forget(killed);
    assert_eq!(files(dir.path()).len(), 1);
    let reopened = Blobs::open(dir.path()).unwrap();
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    assert!(!reopened.has(&digest(b"whole")).unwrap());
}

#[test]
fn a_linked_file_is_a_blob_while_it_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data.csv");
    fs::write(&data, "a,b\n").unwrap();
    let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
    let name = blobs.link(&data).unwrap();
    assert_eq!(name, digest(b"a,b\n"));
    assert_eq!(read(&blobs, &name), b"a,b\n");
    assert!(blobs.has(&name).unwrap());
    fs::write(&data, "a,b,c\n").unwrap();
    assert!(!blobs.has(&name).unwrap());
    let error = blobs.get(&name).unwrap_err().to_string();
    assert!(error.contains("data.csv has changed since"), "{error}");
    // The bytes may still come over the wire.
    blobs.put(&name, &mut &b"a,b\n"[..]).unwrap();
    assert_eq!(read(&blobs, &name), b"a,b\n");
    assert!(blobs.link(dir.path()).is_err());
    assert!(blobs.link(&dir.path().join("none")).is_err());
}

#[test]
fn what_no_study_names_is_swept_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data.csv");
    fs::write(&data, "linked").unwrap();
    let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
    let kept = blobs.put_bytes(b"kept").unwrap();
    let old = blobs.put_bytes(b"old").unwrap();
    let asked = blobs.put_bytes(b"asked").unwrap();
    let linked = blobs.link(&data).unwrap();
    let long_ago = SystemTime::now() - MIN_AGE - Duration::from_secs(1);
    for path in files(&dir.path().join("blobs")) {
        File::open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let young = blobs.put_bytes(b"young").unwrap();
    assert_eq!(blobs.missing(&[&asked]).unwrap(), Vec::<&str>::new());
    let keep = HashSet::from([kept.clone()]);
    assert_eq!(blobs.sweep(&keep, MIN_AGE).unwrap(), 2);
    assert_eq!(blobs.missing(&[&kept, &old, &asked, &young, &linked]).unwrap(), [&old, &linked]);
    assert!(data.is_file());
    assert_eq!(blobs.sweep(&keep, Duration::ZERO).unwrap(), 2);
    assert!(blobs.has(&kept).unwrap());
}

#[test]
fn runners_get_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let bytes: Vec<u8> = (0..MAX_PIECE_BYTES + 3).map(|index| (index % 255) as u8).collect();
    let digest = blobs.put_bytes(&bytes).unwrap();
    let ask =
        |digest: &str, offset: u64| blobs.piece(&BlobRequest { digest: digest.to_owned(), offset });
    let total = bytes.len() as u64;
    let (first, rest) = bytes.split_at(MAX_PIECE_BYTES as usize);
    assert_eq!(ask(&digest, 0), Answer::Done((BlobPiece { total }, first.to_vec())));
    assert_eq!(ask(&digest, MAX_PIECE_BYTES), Answer::Done((BlobPiece { total }, rest.to_vec())));
    assert_eq!(ask(&digest, total + 9), Answer::Done((BlobPiece { total }, Vec::new())));
    assert!(matches!(ask(&"0".repeat(64), 0), Answer::Refused { .. }));
    assert!(matches!(ask("../x", 0), Answer::Refused { .. }));
}
