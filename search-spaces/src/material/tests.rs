use proptest::prelude::*;

use super::*;
use crate::job::Job;
use crate::study::Study;
use crate::work::{Input, Work};

fn digest(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn file(at: &str) -> Entry {
    Entry { at: at.to_owned(), digest: digest('a'), bytes: 3, executable: false, origin: None }
}

fn manifest(files: &[&str]) -> Manifest {
    Manifest::of(files.iter().map(|at| file(at)).collect(), BTreeMap::new())
}

/// What is said about a manifest, which travels first.
fn verdict(manifest: &Manifest) -> String {
    match Manifest::read(&manifest.bytes()) {
        Ok(read) => {
            assert_eq!(read, *manifest);
            "fine".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn equal_material_has_equal_bytes() {
    let one = manifest(&["b", "a/ü b", "a/c"]);
    let other = manifest(&["a/c", "b", "a/ü b"]);
    assert_eq!(one.bytes(), other.bytes());
    assert_eq!(verdict(&one), "fine");
    assert_eq!(verdict(&manifest(&[])), "fine");
    let text = String::from_utf8(manifest(&["a"]).bytes()).unwrap();
    let entry = format!(r#"{{"at":"a","digest":"{}","bytes":3}}"#, digest('a'));
    assert_eq!(text, format!(r#"{{"version":1,"files":[{entry}],"places":{{}}}}"#));
}

#[test]
fn places_stay_in_the_tree() {
    let check = |files: &[&str], says: &str| {
        let verdict = verdict(&manifest(files));
        assert!(verdict.contains(says), "{files:?}: {verdict}");
    };
    check(&["a", ".amlignore", "...", "a b/ü", "a\\b", "x:y", "-rf"], "fine");
    check(&["/etc/passwd"], "\"/etc/passwd\" cannot be a file's place: it is absolute");
    check(&[".."], ". or .. in it");
    check(&["a/../../b"], ". or .. in it");
    check(&["./a"], ". or .. in it");
    check(&[""], "it is empty");
    check(&["a//b"], "an empty name");
    check(&["a/"], "an empty name");
    check(&["a\0b"], "a zero byte");
    check(&["a", "a"], "named twice");
    check(&["a", "a!b", "a/b"], "what it lies in is not a folder");
    check(&[&"x".repeat(256)], "a name in it is too long");
    check(&[&"x/".repeat(1500)], "too long");
}

#[test]
fn links_stay_in_the_tree() {
    let check = |at: &str, to: &str, says: &str| {
        let mut manifest = manifest(&["code/lib/a.py"]);
        manifest.links.push(Link { at: at.to_owned(), to: to.to_owned() });
        let verdict = verdict(&manifest);
        assert!(verdict.contains(says), "{at} -> {to}: {verdict}");
    };
    check("code/run.py", "lib/a.py", "fine");
    check("code/bin/run.py", "../lib/a.py", "fine");
    check("code/bin/run.py", "../../x", "fine");
    check("code/bin/run.py", "../../../x", "leads out of the tree");
    check("code/run.py", "/etc/passwd", "leads out of the tree");
    check("code/run.py", "", "leads out of the tree");
    check("code/run.py", "lib/../../../x", ". or .. in it");
    check("code/run.py", "lib/\0", "a zero byte");
    check("code/lib", "../x", "what it lies in is not a folder");
    check("code/lib/a.py", "x", "named twice");
}

#[test]
fn what_is_no_manifest_is_refused() {
    let check = |bytes: &[u8], says: &str| {
        let error = Manifest::read(bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check(b"", "no list of a study's files");
    check(b"{}", "missing field `version`");
    check(br#"{"version": 2, "trees": []}"#, "format 2; this version of fleetfit reads up to");
    check(br#"{"version": 1, "files": [], "places": {}, "more": 1}"#, "unknown field");
    let mut wrong = manifest(&["a"]);
    wrong.files[0].digest = "A".repeat(64);
    check(&wrong.bytes(), "has no blake3 digest");
    wrong.files[0].digest = digest('a');
    wrong.files[0].origin = Some("etc/passwd".to_owned());
    check(&wrong.bytes(), "an origin is an absolute path");
    let mut unsorted = manifest(&["a", "b"]);
    unsorted.files.reverse();
    check(&unsorted.bytes(), "not in order");
    let mut places = manifest(&["a"]);
    places.places.insert("/data/a".to_owned(), "../a".to_owned());
    check(&places.bytes(), ". or .. in it");
    let many = (0..=MAX_FILES).map(|index| file(&format!("{index:09}"))).collect();
    assert_eq!(
        Manifest::of(many, BTreeMap::new()).check().unwrap_err().to_string(),
        "a study may name at most 200000 files; this one has 200001"
    );
}

#[test]
fn tidy_paths() {
    for (path, tidied) in [
        ("a", Some("a")),
        ("./a//b/", Some("a/b")),
        ("a/../b", Some("b")),
        (".", Some("")),
        ("", Some("")),
        ("..", None),
        ("a/../../a", None),
        ("/a", None),
    ] {
        assert_eq!(tidy(path).as_deref(), tidied, "{path}");
    }
}

fn study(job: &str) -> Study {
    Job::read("job.yaml", job).unwrap().judge().study.unwrap()
}

const JOB: &str = "
type: sweep
trial:
  command: python train.py --x ${{search_space.x}} ${{inputs.data}} ${{inputs.n}}
  code: ./src/
inputs:
  data: {type: uri_folder, path: file:///data/images}
  n: 3
search_space: {x: [1, 2]}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 2}
";

#[test]
fn a_study_means_the_tree() {
    let study = study(JOB);
    assert_eq!(study.local_paths(), ["./src/", "file:///data/images"]);
    let mut manifest = manifest(&["src/train.py", ".fleetfit/0/images/a.png"]);
    manifest.places.insert("./src/".to_owned(), "src".to_owned());
    let error = study.relocate(&manifest).unwrap_err().to_string();
    assert!(error.contains("file:///data/images"), "{error}");
    let place = ".fleetfit/0/images";
    manifest.places.insert("file:///data/images".to_owned(), place.to_owned());
    let moved = study.relocate(&manifest).unwrap();
    let Work::Command(trial) = &moved.work else { panic!("a command") };
    assert_eq!(trial.code.as_deref(), Some("./src/"));
    let Input::Path { path, .. } = &trial.inputs[0].1 else { panic!("a path") };
    assert_eq!(path, place);
    assert_eq!(trial.inputs[1].1, Input::Value(crate::value::Value::Int(3)));
    assert_eq!(moved.relocate(&manifest).unwrap(), moved);
}

#[test]
fn data_of_every_kind_is_moved() {
    let study = study(
        "
type: sweep
trial: {learner: ridge}
training_data: {path: [/data/a.csv, b/*.csv]}
validation_data: ../v.csv
test_data: /data/t.csv
target_column_name: y
task: regression
search_space: {alpha: [0.1, 1.0]}
objective: {goal: minimize, primary_metric: rmse}
limits: {max_total_trials: 2}
",
    );
    let mut manifest = manifest(&[]);
    for (path, place) in [
        ("/data/a.csv", ".fleetfit/0/a.csv"),
        ("b/*.csv", "b/*.csv"),
        ("../v.csv", ".fleetfit/1/v.csv"),
        ("/data/t.csv", ".fleetfit/2/t.csv"),
    ] {
        manifest.places.insert(path.to_owned(), place.to_owned());
    }
    assert_eq!(
        study.relocate(&manifest).unwrap().local_paths(),
        [".fleetfit/0/a.csv", "b/*.csv", ".fleetfit/1/v.csv", ".fleetfit/2/t.csv"]
    );
}

proptest! {
    /// Whatever passes stays below the folder that it is joined to, whoever joins it.
    #[test]
    fn no_place_escapes(names in prop::collection::vec(r"(\.{0,3}|/|[a-z]{0,2}|\x00|\\)", 0..6)) {
        let at = names.join("/");
        let Ok(read) = Manifest::read(&manifest(&[&at]).bytes()) else { return Ok(()) };
        let at = &read.files[0].at;
        let tidied = tidy(at);
        prop_assert_eq!(tidied.as_ref(), Some(at));
        let joined = std::path::Path::new("/tree").join(at);
        prop_assert!(joined.starts_with("/tree") && joined != std::path::Path::new("/tree"));
        let plain = |part: std::path::Component<'_>| {
            matches!(part, std::path::Component::Normal(_) | std::path::Component::RootDir)
        };
        prop_assert!(joined.components().all(plain));
        prop_assert!(!at.contains('\0'));
    }

    /// No link that passes leads above the tree, whatever it goes through.
    #[test]
    fn no_link_escapes(
        at in prop::collection::vec("[ab]", 1..4),
        to in prop::collection::vec(r"(\.{1,2}|[ab]|)", 0..6),
    ) {
        let mut manifest = manifest(&[]);
        manifest.links.push(Link { at: at.join("/"), to: to.join("/") });
        if manifest.check().is_ok() {
            let folder = &at[..at.len() - 1];
            let whole = [folder, &to[..]].concat().join("/");
            prop_assert!(tidy(&whole).is_some());
        }
    }

    /// Bytes from elsewhere are refused or understood, and never anything else.
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::read(&bytes);
    }

    #[test]
    fn what_is_tidy_is_a_place(path in r"[a-c./]{0,12}") {
        if let Some(place) = tidy(&path).filter(|place| !place.is_empty()) {
            prop_assert!(check_place(&place).is_ok());
        }
    }
}
