use super::*;

/// A whole backup without a journal, which holds one program and a link to it.
fn whole() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writing = Writing::begin(&mut bytes).unwrap();
    let long = format!("studies/a/{}/run.sh", ["long"; 60].join("/"));
    for path in ["studies/a/code/run.sh", &long] {
        writing.file(Path::new(path), 0o755, 5, &mut &b"echo 1"[..]).unwrap();
    }
    writing
        .link(Path::new("studies/a/trials/1/work/run.sh"), Path::new("../../../code/run.sh"))
        .unwrap();
    writing.file(Path::new("service-id"), 0o644, 4, &mut &b"ab"[..]).unwrap();
    writing.close(Closing { studies: 3, deleted: vec!["b".into()], ..Closing::default() }).unwrap();
    bytes
}

/// What is in a backup, if it is one.
fn read(bytes: &[u8]) -> Result<Vec<(PathBuf, What, Vec<u8>)>, ArchiveError> {
    Reading::of(bytes, |reading| {
        let mut found = Vec::new();
        while let Some(member) = reading.next()? {
            let (path, what) = (member.path.clone(), member.what.clone());
            let (mut content, mut piece) = (Vec::new(), [0; 7]);
            loop {
                match reading.fill(&mut piece)? {
                    0 => break,
                    n => content.extend_from_slice(&piece[..n]),
                }
            }
            found.push((path, what, content));
        }
        assert_eq!(reading.closing()?.n_studies(), 2);
        Ok(found)
    })
}

#[test]
fn what_is_written_is_read() {
    let found = read(&whole()).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].1, What::File { mode: 0o755 });
    assert_eq!(found[0].2, b"echo ");
    assert!(found[1].0.as_os_str().len() > 290);
    assert_eq!(found[2].1, What::Link { target: "../../../code/run.sh".into() });
    // Filled up to the length that it had.
    assert_eq!(found[3].2, b"ab\0\0");
    assert_eq!(
        Reading::of(&whole()[..], |reading| {
            while reading.next()?.is_some() {}
            reading.closing()
        })
        .unwrap()
        .deleted,
        ["b"]
    );
}

#[test]
fn every_cut_is_noticed() {
    let whole = whole();
    // Behind the closing entry there are only zeros.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for length in (0..=end).step_by(37).chain([511, 512, 513, end]) {
        match read(&whole[..length]) {
            Err(ArchiveError::Cut) => {}
            Err(ArchiveError::Foreign) if length < 1024 => {}
            other => panic!("{length} of {}: {other:?}", whole.len()),
        }
    }
}

#[test]
fn every_change_is_noticed() {
    let whole = whole();
    let expected = read(&whole).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x11;
        // What stands between entries means nothing.
        if let Ok(found) = read(&changed) {
            assert_eq!(found, expected, "at {at}");
        }
    }
}

/// The beginning of a backup, and then whatever somebody thinks of.
fn forged(forge: impl FnOnce(&mut tar::Builder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut tar = tar::Builder::new(&mut bytes);
    let manifest = br#"{"format": 1, "fleetfit": "0.1.0", "created": "2026-01-01T00:00:00Z"}"#;
    tar.append(&header("manifest.json", EntryType::Regular, manifest.len() as u64), &manifest[..])
        .unwrap();
    forge(&mut tar);
    tar.finish().unwrap();
    drop(tar);
    bytes
}

/// A header that says anything.
fn header(name: &str, kind: EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

#[test]
fn strange_entries_are_refused() {
    let one = |name: &str, kind: EntryType| {
        read(&forged(|tar| tar.append(&header(name, kind, 0), io::empty()).unwrap()))
    };
    for name in [
        "/etc/passwd",
        "../outside",
        "studies/../../outside",
        "studies/a/../../../outside",
        "studies//a/file",
        "studies/./a",
        "studies/a/file/",
        "journal/00000000/deep",
        "trees/a/b",
        "api.sock",
        "studies/a",
        "x/y/z",
        "",
    ] {
        let refused = one(name, EntryType::Regular);
        assert!(matches!(refused, Err(ArchiveError::Strange { .. })), "{name}: {refused:?}");
    }
    for kind in [
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::Block,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::new(b'?'),
    ] {
        let refused = one("studies/a/file", kind);
        assert!(matches!(refused, Err(ArchiveError::Strange { .. })), "{kind:?}: {refused:?}");
    }
    for (path, target) in [
        ("studies/a/x", "/etc"),
        ("studies/a/x", "../b"),
        ("studies/a/d/x", "../../b"),
        ("studies/a/d/x", "y/../../../b"),
        ("studies/a/x", "./y"),
        ("studies/a/x", ""),
        ("blobs/aa/x", "y"),
        ("service-id", "y"),
    ] {
        let mut header = header(path, EntryType::Symlink, 0);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        let refused = read(&forged(|tar| tar.append(&header, io::empty()).unwrap()));
        assert!(matches!(refused, Err(ArchiveError::Strange { .. })), "{path} -> {target}");
    }
}

#[test]
fn promises_are_not_believed() {
    for (name, kind) in [
        ("studies/a/file", EntryType::Regular),
        ("journal/00000000", EntryType::Regular),
        ("closing.json", EntryType::Regular),
        ("././@LongLink", EntryType::GNULongName),
        ("././@LongLink", EntryType::GNULongLink),
    ] {
        for size in [1 << 20, 1 << 40, u64::MAX - 511, u64::MAX] {
            let refused = read(&forged(|tar| {
                tar.append(&header(name, kind, size), &b"short"[..]).unwrap();
            }));
            assert!(
                matches!(refused, Err(ArchiveError::Cut | ArchiveError::Damaged)),
                "{name} {size}: {refused:?}"
            );
        }
    }
}

#[test]
fn others_and_newer_ones_are_named() {
    assert!(matches!(read(b""), Err(ArchiveError::Foreign)));
    assert!(matches!(read(&[b'x'; 4096]), Err(ArchiveError::Foreign)));
    assert!(matches!(read(&[0; 4096]), Err(ArchiveError::Foreign)));
    let first = |text: &str| {
        let mut bytes = Vec::new();
        let mut tar = tar::Builder::new(&mut bytes);
        let header = header("manifest.json", EntryType::Regular, text.len() as u64);
        tar.append(&header, text.as_bytes()).unwrap();
        tar.finish().unwrap();
        drop(tar);
        read(&bytes).unwrap_err().to_string()
    };
    let newer = first(r#"{"format": 2, "fleetfit": "9.1.0", "created": "?", "more": 1}"#);
    assert!(newer.contains("newer fleetfit (9.1.0, form 2"), "{newer}");
    assert!(first(r#"{"format": 0}"#).contains("not a backup"));
    assert!(first("{").contains("not a backup"));
    assert!(first(r#"{"format": 1}"#).contains("cut off"));
}

#[test]
fn links_stay_where_they_are() {
    let holds = |path: &str, target: &str| stays(Path::new(path), Path::new(target));
    assert!(holds("studies/a/x", "y"));
    assert!(holds("studies/a/d/e/x", "../../y"));
    assert!(holds("studies/a/d/x", ".."));
    assert!(!holds("studies/a/d/x", "../.."));
    assert!(!holds("studies/a/d/e/x", "f/../../y"));
}
