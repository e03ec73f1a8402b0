use fleetfit_search_spaces::wire::{AssignmentKey, StudyId};
use proptest::prelude::*;

use super::*;

struct Sender<'a> {
    uploads: &'a Uploads,
    study: &'a Path,
    number: u64,
}

fn upload(number: u64, at: &str, bytes: &[u8]) -> Upload {
    Upload {
        of: AssignmentKey { study: StudyId(1), number, attempt: 1 },
        configuration: 7,
        entity: 0,
        at: at.to_owned(),
        offset: 0,
        total: bytes.len() as u64,
        digest: blake3::hash(bytes).to_hex().to_string(),
        executable: false,
    }
}

impl Sender<'_> {
    /// Sends a file in pieces of three bytes.
    fn send(&self, at: &str, bytes: &[u8]) -> Result<Received, UploadError> {
        let mut upload = upload(self.number, at, bytes);
        let mut pieces: Vec<&[u8]> = bytes.chunks(3).collect();
        if pieces.is_empty() {
            pieces.push(b"");
        }
        let mut received = Received::Piece;
        for piece in pieces {
            received = self.uploads.receive(self.study, &upload, piece)?;
            // Every message may come twice.
            assert_eq!(self.uploads.receive(self.study, &upload, piece)?, received);
            upload.offset += piece.len() as u64;
        }
        Ok(received)
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() && !entry.is_symlink() {
                true => open.push(entry),
                false => found.push(entry.strip_prefix(dir).unwrap().display().to_string()),
            }
        }
    }
    found.retain(|name| !name.ends_with(".claim"));
    found.sort();
    found
}

#[test]
fn what_a_trial_left_takes_its_place() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    let sender = Sender { uploads: &uploads, study: &study, number: 4 };
    assert_eq!(sender.send("log.txt", b"epoch 1\nepoch 2\n").unwrap(), Received::Whole);
    assert_eq!(sender.send("outputs/model/ü w.bin", b"weights").unwrap(), Received::Whole);
    assert_eq!(sender.send("outputs/empty", b"").unwrap(), Received::Whole);
    let mut program = upload(4, "outputs/run.sh", b"x");
    program.executable = true;
    assert_eq!(uploads.receive(&study, &program, b"x").unwrap(), Received::Whole);
    let all = [
        "trials/7/log.txt",
        "trials/7/outputs/empty",
        "trials/7/outputs/model/ü w.bin",
        "trials/7/outputs/run.sh",
    ];
    assert_eq!(files(&study), all);
    assert_eq!(fs::read(study.join(all[2])).unwrap(), b"weights");
    use std::os::unix::fs::PermissionsExt;
    let mode = |at: &str| study.join(at).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(all[0]), mode(all[3])), (0o644, 0o755));
    // Sent again from the first byte, as a runner does that got no answer.
    sender.send("log.txt", b"epoch 1\nepoch 2\n").unwrap();
    assert_eq!(files(&study), all);
}

#[test]
fn a_later_attempt_begins_with_nothing() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    let first = Sender { uploads: &uploads, study: &study, number: 4 };
    let second = Sender { number: 9, ..first };
    // What a run in this process left is not the runner's either.
    fs::create_dir_all(study.join("trials/7/work")).unwrap();
    std::os::unix::fs::symlink("/etc", study.join("trials/7/outputs")).unwrap();
    first.send("outputs/a", b"old").unwrap();
    assert_eq!(files(&study), ["trials/7/outputs/a"]);
    let mut late = upload(4, "outputs/late", b"late");
    uploads.receive(&study, &late, b"la").unwrap();
    second.send("outputs/b", b"new").unwrap();
    assert!(matches!(first.send("outputs/a", b"old"), Err(UploadError::Superseded)));
    late.offset = 2;
    assert!(matches!(uploads.receive(&study, &late, b"te"), Err(UploadError::Superseded)));
    assert_eq!(files(&study), ["trials/7/outputs/b"]);
}

#[test]
fn what_is_damaged_or_missing_is_sent_again() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    let mut upload = upload(1, "outputs/a", b"abcdef");
    let answer = |upload: &Upload, piece: &[u8]| uploads.answer(&study, upload, piece);
    assert_eq!(answer(&upload, b"abc"), Answer::Done(()));
    upload.offset = 3;
    let refusal = |piece: &[u8]| match answer(&upload, piece) {
        Answer::Refused { reason } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(b"xxx"), format!("outputs/a arrived damaged; {ANEW}"));
    assert_eq!(refusal(b"def"), format!("outputs/a is known up to byte 0; {ANEW}"));
    upload.offset = 0;
    assert_eq!(answer(&upload, b"abcdef"), Answer::Done(()));
    // A late repeat of the last piece.
    upload.offset = 3;
    assert_eq!(answer(&upload, b"def"), Answer::Done(()));
    assert_eq!(files(&study), ["trials/7/outputs/a"]);
}

#[test]
fn half_an_upload_is_removed_at_the_next_open() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    uploads.receive(&study, &upload(1, "log.txt", b"abcdef"), b"abc").unwrap();
    assert_eq!(files(&study).len(), 1);
    Uploads::open(home.path()).unwrap();
    assert_eq!(files(&study), Vec::<String>::new());
    Uploads::open(&home.path().join("none")).unwrap();
}

#[test]
fn there_is_a_limit_to_everything() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    let refusal = |upload: &Upload, piece: &[u8]| match uploads.answer(&study, upload, piece) {
        Answer::Refused { reason } => reason,
        other => panic!("{other:?}"),
    };
    let mut large = upload(1, "log.txt", b"");
    large.total = MAX_LOG_BYTES + 1;
    assert!(refusal(&large, b"").contains("a trial's log may have at most 10 MB"));
    large.at = "outputs/x".to_owned();
    large.total = MAX_OUTPUT_BYTES + 1;
    assert!(refusal(&large, b"").contains("the outputs of a trial may have at most 10240 MB"));
    large.total = 2;
    assert!(refusal(&large, b"abc").contains("goes beyond that"));
    large.offset = u64::MAX;
    assert!(refusal(&large, b"abc").contains("goes beyond that"));
    // Many files together.
    uploads.receive(&study, &upload(1, "outputs/a", b"a"), b"a").unwrap();
    let mut claim = Claim::read(&study.join("trials/7")).unwrap();
    let mut more = upload(1, "outputs/b", b"");
    more.total = MAX_OUTPUT_BYTES;
    assert!(claim.has_room(&more).is_err());
    more.total = 0;
    claim.has_room(&more).unwrap();
    (0..MAX_OUTPUT_FILES).for_each(|_| claim.add(&more));
    assert!(claim.has_room(&more).is_err());
}

#[test]
fn folders_and_links_come_too() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    let sender = Sender { uploads: &uploads, study: &study, number: 4 };
    sender.send("outputs/m/steps/3/w.bin", b"weights").unwrap();
    assert_eq!(sender.send("folders/outputs/m/none/here", b"").unwrap(), Received::Whole);
    assert_eq!(sender.send("links/outputs/m/steps/last", b"3").unwrap(), Received::Whole);
    sender.send("links/outputs/m/best", b"steps/last/w.bin").unwrap();
    sender.send("links/outputs/m/all", b"..").unwrap();
    let outputs = study.join("trials/7/outputs");
    assert!(outputs.join("m/none/here").is_dir());
    assert_eq!(fs::read_link(outputs.join("m/steps/last")).unwrap(), Path::new("3"));
    assert_eq!(fs::read(outputs.join("m/best")).unwrap(), b"weights");
    assert!(outputs.join("m/all/m/steps").is_dir());
    // A link may be sent anew, and be another one.
    sender.send("links/outputs/m/best", b"steps/3").unwrap();
    assert_eq!(fs::read_link(outputs.join("m/best")).unwrap(), Path::new("steps/3"));
    assert_eq!(fs::read_dir(study.join(".incoming")).unwrap().count(), 0, "nothing is left over");
}

#[test]
fn nothing_is_put_below_a_link_or_leads_away() {
    let home = tempfile::tempdir().unwrap();
    let study = home.path().join("s");
    let uploads = Uploads::open(home.path()).unwrap();
    let sender = Sender { uploads: &uploads, study: &study, number: 4 };
    sender.send("outputs/real/file", b"x").unwrap();
    sender.send("links/outputs/link", b"real").unwrap();
    for (at, bytes) in [
        ("outputs/link/below", &b"x"[..]),
        ("outputs/link/file", b"x"),
        ("folders/outputs/link/below", b""),
        ("links/outputs/link/below", b"../real"),
        ("links/outputs/real", b"link"),
        ("folders/outputs/link", b""),
        ("links/outputs/away", b"/etc/passwd"),
        ("links/outputs/away", b"../log.txt"),
        ("links/outputs/away", b"link/../../.."),
        ("links/outputs/away", b"\xff"),
        ("links/log.txt", b"outputs"),
        ("links/outputs/", b"real"),
        ("links/outputs/../log.txt", b"real"),
        ("folders/outputs", b""),
        ("folders/work", b""),
        ("links/links/outputs/a", b"real"),
    ] {
        let refused = sender.send(at, bytes);
        assert!(matches!(refused, Err(UploadError::Place(_))), "{at}: {refused:?}");
    }
    assert!(matches!(sender.send("folders/outputs/a", b"x"), Err(UploadError::TooMuch { .. })));
    let long = [b'a'; 5000];
    assert!(matches!(sender.send("links/outputs/a", &long), Err(UploadError::TooMuch { .. })));
    assert_eq!(files(&study.join("trials")), ["7/outputs/link", "7/outputs/real/file"]);
    assert_eq!(fs::read_dir(study.join("trials/7/outputs")).unwrap().count(), 2);
    // What a link hides, a file may take.
    sender.send("outputs/link", b"y").unwrap();
    assert!(fs::symlink_metadata(study.join("trials/7/outputs/link")).unwrap().is_file());
}

proptest! {
    /// Wherever a runner says that a file lies, it lies in the trial's folder or nowhere.
    #[test]
    fn nothing_is_written_elsewhere(
        names in prop::collection::vec(r"(\.{0,3}|/|outputs|links|folders|log\.txt|[a-z]{0,2}|\x00)", 0..5),
    ) {
        let home = tempfile::tempdir().unwrap();
        let study = home.path().join("studies/s");
        let uploads = Uploads::open(&home.path().join("studies")).unwrap();
        let at = names.join("/");
        let received = uploads.receive(&study, &upload(1, &at, b"x"), b"x");
        let written = files(home.path());
        match received {
            Ok(_) => {
                let at = at.strip_prefix("links/").unwrap_or(&at);
                prop_assert_eq!(written, [format!("studies/s/trials/7/{at}")]);
            }
            Err(_) => prop_assert!(written.is_empty(), "{:?}", written),
        }
    }
}
