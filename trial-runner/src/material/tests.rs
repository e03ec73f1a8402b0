use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::{Job, Manifest, Study, Work};

use super::*;
use crate::command::{digest_code, digest_input, snapshot};
use crate::dataset::Dataset;

/// A folder with a job and what it names, gone when the test is over.
struct Base {
    dir: tempfile::TempDir,
}

impl Base {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn with(self, name: &str, bytes: &str) -> Self {
        self.write(name, bytes);
        self
    }

    fn write(&self, name: &str, bytes: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn job(&self) -> PathBuf {
        self.at("job")
    }

    fn gather(&self, study: &Study) -> Result<Gathered, MaterialError> {
        gather(study, &self.job(), &self.at("home"), Origins::Untold)
    }

    /// Gathers, sends and rebuilds; returns the tree and the study that means it.
    fn travel(&self, study: &Study) -> (PathBuf, Study) {
        let gathered = self.gather(study).unwrap();
        let manifest = Manifest::read(&gathered.manifest.bytes()).unwrap();
        let tree = self.at("elsewhere/tree");
        // The blobs of a service: files that nobody writes.
        let blobs = self.at("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let source = |digest: &str| {
            let blob = blobs.join(digest);
            if !blob.exists() {
                fs::copy(&gathered.sources[digest], &blob)?;
                fs::set_permissions(&blob, fs::Permissions::from_mode(0o444))?;
            }
            Ok(blob)
        };
        rebuild(&manifest, &source, &tree).unwrap();
        (tree, study.relocate(&manifest).unwrap())
    }
}

fn study(body: &str) -> Study {
    let job = format!("type: sweep\nlimits: {{max_total_trials: 2}}\n{body}");
    Job::read("job.yaml", &job).unwrap().judge().study.unwrap()
}

fn command(lines: &str) -> Study {
    study(&format!(
        "{lines}\nsearch_space: {{x: [1, 2]}}\nobjective: {{goal: minimize, primary_metric: loss}}\n"
    ))
}

fn learner(data: &str) -> Study {
    study(&format!(
        "trial: {{learner: ridge}}\n{data}\ntarget_column_name: y\ntask: regression\n\
         search_space: {{alpha: [0.1, 1.0]}}\nobjective: {{goal: minimize, primary_metric: rmse}}\n"
    ))
}

fn ats(gathered: &Gathered) -> Vec<&str> {
    gathered.manifest.files.iter().map(|file| file.at.as_str()).collect()
}

fn code_of(study: &Study) -> &str {
    let Work::Command(trial) = &study.work else { panic!("a command") };
    trial.code.as_deref().unwrap()
}

/// A tree with everything that trees have.
fn odd_tree(base: &Base, folder: &str) {
    for (name, bytes) in [
        ("train.py", "print(1)"),
        ("a name with spaces.txt", "spaces"),
        ("ünïcode/Ω.txt", "unicode"),
        ("empty.txt", ""),
        ("lib/__init__.py", ""),
        ("lib/__pycache__/x.pyc", "compiled"),
        ("lib/deep/cache/big.bin", "ignored"),
        ("lib/deep/keep.bin", "kept"),
        (".hidden", "hidden"),
        (".git/HEAD", "ref"),
        (".fleetfit/journal", "ours"),
        (".amlignore", "cache/\n*.log\n"),
        ("out.log", "ignored"),
        ("bin/run.sh", "#!/bin/sh\necho run\n"),
        ("bin/same.sh", "print(1)"),
    ] {
        base.write(&format!("{folder}/{name}"), bytes);
    }
    fs::create_dir_all(base.at(folder).join("nothing/in/here")).unwrap();
    for program in ["bin/run.sh", "bin/same.sh"] {
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(base.at(folder).join(program), mode).unwrap();
    }
    for (at, to) in [
        ("bin/train", "../train.py"),
        ("lib/again", "deep"),
        ("dangling", "lib/none"),
        (".#lock", "me@host.1:2"),
    ] {
        symlink(to, base.at(folder).join(at)).unwrap();
    }
}

#[test]
fn code_is_the_same_elsewhere() {
    for code in [".", "src", "../shared/src", "file://./src"] {
        let base = Base::new();
        let folder = if code == "." {
            "job".to_owned()
        } else {
            format!("job/{}", &code.replace("file://", ""))
        };
        fs::create_dir_all(base.job()).unwrap();
        odd_tree(&base, &folder);
        base.write("job/job.yaml", "the job");
        base.write("inputs/a.csv", "outside");
        let inputs = format!("inputs: {{a: {{path: {}}}}}", base.at("inputs/a.csv").display());
        let study = command(&format!(
            "trial: {{command: 'python ${{{{inputs.a}}}} ${{{{search_space.x}}}}', code: '{code}'}}\n{inputs}"
        ));
        let (tree, moved) = base.travel(&study);
        let local = fleetfit_search_spaces::data::local_path;
        let before = snapshot(&base.job().join(local(code)), &base.at("one")).unwrap();
        let after = snapshot(&tree.join(local(code_of(&moved))), &base.at("other")).unwrap();
        assert_eq!(before.digest, after.digest, "{code}");
        let digest = |base_dir: &Path, code: &str, home: &str| {
            let (code, job) = (base_dir.join(local(code)), base_dir.join("job.yaml"));
            digest_code(&code, &job, &base.at(home)).unwrap()
        };
        assert_eq!(digest(&base.job(), code, "home"), digest(&tree, code_of(&moved), "home"));
        let program = after.folder.join("bin/same.sh").metadata().unwrap().permissions().mode();
        assert_eq!(program & 0o777, 0o555);
        assert!(after.folder.join("nothing/in/here").is_dir());
        assert!(!after.folder.join("lib/deep/cache").exists());
        assert_eq!(fs::read_to_string(after.folder.join("lib/again/keep.bin")).unwrap(), "kept");
    }
}

#[test]
fn inputs_are_the_same_elsewhere() {
    let base = Base::new().with("job/train.py", "").with("data/v2.csv", "rows");
    odd_tree(&base, "job/images");
    symlink("../data/v2.csv", base.at("job/latest.csv")).unwrap();
    fs::create_dir_all(base.at("job/void")).unwrap();
    let study = command(&format!(
        "trial: {{command: 'run ${{{{inputs.a}}}} ${{{{inputs.b}}}} ${{{{inputs.c}}}} \
         ${{{{inputs.d}}}} ${{{{search_space.x}}}}'}}\n\
         inputs: {{a: {{path: images}}, b: {{path: latest.csv}}, c: {{path: void}}, d: {{path: {}}}}}",
        base.at("data").display()
    ));
    let (tree, moved) = base.travel(&study);
    let (before, after) = (study.local_paths(), moved.local_paths());
    assert_eq!(before.len(), 4);
    for (before, after) in before.into_iter().zip(after) {
        let (before, after) = (base.job().join(before), tree.join(after));
        assert_eq!(digest_input(&before).unwrap(), digest_input(&after).unwrap(), "{after:?}");
        assert_eq!(before.is_dir(), after.is_dir());
    }
}

#[test]
fn what_links_lead_to_outside_comes_along() {
    let base = Base::new()
        .with("job/src/train.py", "")
        .with("elsewhere/weights/w.bin", "weights")
        .with("elsewhere/one.py", "one");
    symlink(base.at("elsewhere/weights"), base.at("job/src/weights")).unwrap();
    symlink("../../elsewhere/one.py", base.at("job/src/one.py")).unwrap();
    symlink("/nonexistent/x", base.at("job/src/none")).unwrap();
    symlink("../src/./train.py", base.at("job/src/round")).unwrap();
    let study = command("trial: {command: 'run ${{search_space.x}}', code: src}");
    let (tree, _) = base.travel(&study);
    assert_eq!(fs::read_to_string(tree.join("src/weights/w.bin")).unwrap(), "weights");
    assert_eq!(fs::read_to_string(tree.join("src/one.py")).unwrap(), "one");
    assert!(tree.join("src/round").is_file());
    assert!(tree.join("src/none").symlink_metadata().is_err());

    symlink(base.at("job"), base.at("job/src/loop")).unwrap();
    let error = base.gather(&study).unwrap_err().to_string();
    assert!(error.starts_with("trial.code: ") && error.contains("lies in"), "{error}");
}

#[test]
fn data_is_the_same_elsewhere() {
    let rows = |from: u32| {
        let lines: Vec<String> =
            (from..from + 8).map(|n| format!("{n},{},k{}", n * 2, n % 2)).collect();
        format!("x,y,k\n{}\n", lines.join("\n"))
    };
    let recipe = "paths: [{file: ./part.csv}, {pattern: ../more/*.csv}]\n";
    let named = "transformations: [{read_delimited: {include_path_column: true}}]\n";
    let base = Base::new()
        .with("job/a.csv", &rows(0))
        .with("job/b/b1.csv", &rows(10))
        .with("job/b/b2.csv", &rows(20))
        .with("job/table/MLTable", recipe)
        .with("job/table/part.csv", &rows(30))
        .with("job/more/m.csv", &rows(40))
        .with("data/c.csv", &rows(50))
        .with("data/d [1].csv", &rows(60))
        .with("data/set/MLTable", recipe)
        .with("data/set/part.csv", &rows(70))
        .with("data/more/m.csv", &rows(80));
    let outside = base.at("data").display().to_string();
    for paths in [
        "a.csv".to_owned(),
        "[./a.csv, 'b/*.csv']".to_owned(),
        "['**/*.csv']".to_owned(),
        "b/".to_owned(),
        "table".to_owned(),
        "table/MLTable".to_owned(),
        "../data/c.csv".to_owned(),
        format!("['{outside}/*.csv', b/b1.csv]"),
        format!("'file://{outside}/d [1].csv'"),
        "['*/*.csv', ../data/c.csv]".to_owned(),
        "'../d*/c.csv'".to_owned(),
        format!("{outside}/set"),
    ] {
        let partition = if paths.contains("set") { "k" } else { "[k]" };
        let study = learner(&format!(
            "training_data: {{path: {paths}}}\npartition_column_names: {partition}\n\
             validation_data: {{path: {outside}/c.csv}}"
        ));
        let (tree, moved) = base.travel(&study);
        let before = Dataset::load(&base.job(), study.data.as_ref().unwrap()).unwrap();
        let after = Dataset::load(&tree, moved.data.as_ref().unwrap()).unwrap();
        assert_eq!(before.digest(), after.digest(), "{paths}");
        assert_eq!(before.entities(), after.entities(), "{paths}");
        assert_eq!(before.n_rows(), after.n_rows());
        confined(&moved, &tree).unwrap();
        fs::remove_dir_all(base.at("elsewhere")).unwrap();
    }
    // What the user sees of a table below the job's folder stays: its paths are values here.
    base.write("job/table/MLTable", &format!("{recipe}{named}"));
    let study = learner("training_data: {path: ./table}\npartition_column_names: Path");
    let (tree, moved) = base.travel(&study);
    let before = Dataset::load(&base.job(), study.data.as_ref().unwrap()).unwrap();
    let after = Dataset::load(&tree, moved.data.as_ref().unwrap()).unwrap();
    assert_eq!(before.entities(), after.entities());
}

#[test]
fn a_file_that_lies_too_deep_is_told_with_the_key_that_names_it() {
    let deep = format!("{}/in.csv", vec!["d".repeat(200); 11].join("/"));
    let base = Base::new().with(&format!("job/{deep}"), "1\n");
    let study = command(&format!(
        "trial: {{command: 'run ${{{{search_space.x}}}}'}}\ninputs: {{a: {{path: {deep}}}}}"
    ));
    let error = base.gather(&study).unwrap_err();
    let MaterialError::Place { at, source } = &error else { panic!("{error}") };
    assert_eq!(at, "inputs.a.path");
    assert!(source.to_string().ends_with("cannot be a file's place: it is too long"), "{source}");
}

#[test]
fn equal_material_has_an_equal_digest() {
    let study = learner("training_data: {path: [a.csv, 'b/*.csv']}");
    let base = || Base::new().with("job/a.csv", "y,x\n1,2\n").with("job/b/b.csv", "y,x\n3,4\n");
    let (one, other) = (base(), base());
    let gathered = one.gather(&study).unwrap();
    assert_eq!(ats(&gathered), ["a.csv", "b/b.csv"]);
    assert_eq!(gathered.digest(), other.gather(&study).unwrap().digest());
    assert_eq!(gathered.digest(), digest(&gathered.manifest.bytes()));
    other.write("job/b/b.csv", "y,x\n3,5\n");
    assert_ne!(gathered.digest(), other.gather(&study).unwrap().digest());
}

#[test]
fn tables_name_only_what_comes_with_them() {
    let base = Base::new()
        .with("job/data/t.csv", "x,y\n1,2\n")
        .with("job/data/MLTable", "paths: [{file: /etc/passwd}]\n");
    let study = learner("training_data: {path: data}");
    let error = base.gather(&study).unwrap_err().to_string();
    assert!(
        error.contains("MLTable names /etc/passwd, which is a place on one machine"),
        "{error}"
    );
    assert!(confined(&study, &base.job()).is_err());

    base.write("job/data/MLTable", "paths: [{file: ../../secret.csv}]\n");
    base.write("secret.csv", "x,y\n1,2\n");
    let error = confined(&study, &base.job()).unwrap_err().to_string();
    assert!(error.contains("leads out of what was submitted"), "{error}");
    // Where it is gathered, it comes along.
    let gathered = base.gather(&study).unwrap();
    assert_eq!(ats(&gathered), [".fleetfit/0/job/data/MLTable", ".fleetfit/0/secret.csv"]);

    let missing = learner("training_data: {path: none.csv}");
    assert!(base.gather(&missing).unwrap_err().to_string().contains("\"none.csv\" does not exist"));
}

#[test]
fn a_tree_is_built_once_and_whole() {
    let base = Base::new().with("job/src/a.py", "one").with("job/src/b.py", "two");
    let study = command("trial: {command: 'run ${{search_space.x}}', code: src}");
    let gathered = base.gather(&study).unwrap();
    let tree = base.at("trees/t");
    let sound = |digest: &str| Ok(gathered.sources[digest].clone());
    let none = |_: &str| Err(io::Error::other("nobody has it"));
    let error = rebuild(&gathered.manifest, &none, &tree).unwrap_err().to_string();
    assert!(error.ends_with("nobody has it"), "{error}");
    let wrong = |_: &str| Ok(base.at("job/src/a.py"));
    let error = rebuild(&gathered.manifest, &wrong, &tree).unwrap_err().to_string();
    assert_eq!(error, "src/b.py is not the file that was submitted; submit the job again");
    let names = || -> Vec<String> {
        let names = fs::read_dir(base.at("trees")).unwrap();
        names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(), Vec::<String>::new());

    // A process that was killed.
    fs::create_dir_all(base.at("trees/.t.building-4194305-0/src")).unwrap();
    rebuild(&gathered.manifest, &sound, &tree).unwrap();
    assert_eq!(names(), ["t"]);
    rebuild(&gathered.manifest, &none, &tree).unwrap();
    fs::remove_file(tree.join("src/a.py")).unwrap();
    rebuild(&gathered.manifest, &sound, &tree).unwrap();
    assert_eq!(fs::read_to_string(tree.join("src/a.py")).unwrap(), "one");
    assert_eq!(names(), ["t"]);
    assert_eq!(tree.join("src/a.py").metadata().unwrap().permissions().mode() & 0o777, 0o444);
    // The user's own file keeps its mode.
    assert_ne!(base.at("job/src/a.py").metadata().unwrap().permissions().mode() & 0o200, 0);
}

#[test]
fn an_origin_that_is_the_same_file_is_used() {
    let base = Base::new().with("data/a.csv", "x,y\n1,2\n").with("job/job.yaml", "");
    let data = base.at("data/a.csv");
    let study = learner(&format!("training_data: {{path: {}}}", data.display()));
    let told = gather(&study, &base.job(), &base.at("home"), Origins::Told).unwrap();
    assert_eq!(told.manifest.files[0].origin.as_deref(), data.canonicalize().unwrap().to_str());
    let none = |_: &str| Err(io::Error::other("nobody has it"));
    let tree = base.at("tree");
    rebuild(&told.manifest, &none, &tree).unwrap();
    assert_eq!(fs::read_to_string(tree.join(".fleetfit/0/a.csv")).unwrap(), "x,y\n1,2\n");
    // Another file under the same name is not the same file.
    base.write("data/a.csv", "x,y\n1,3\n");
    assert!(rebuild(&told.manifest, &none, &base.at("other")).is_err());
}
