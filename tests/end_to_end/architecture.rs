//! The rules of the structure that a test can hold: who depends on whom, and who owns which library.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(repository(manifest)).expect("the manifest");
    let section = text.split("[dependencies]").nth(1).expect("a section of dependencies");
    let section = section.split("\n[").next().expect("its end");
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files of a folder that use a library, relative to the repository.
fn users(folder: &str, library: &str) -> Vec<String> {
    let mut files = Vec::new();
    sources(&repository(folder), &mut files);
    let uses = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a source");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let (path, used) = (format!("{library}::"), format!("use {library}"));
        code.into_iter().any(|line| {
            let at = line.find(&path);
            let whole = at.is_some_and(|at| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|before| {
                    before.is_alphanumeric() || before == '_' || before == ':'
                })
            });
            whole || line.trim_start().starts_with(&used)
        })
    };
    let name =
        |file: PathBuf| file.strip_prefix(repository("")).expect("inside").display().to_string();
    files.into_iter().filter(uses).map(name).collect()
}

#[test]
fn the_two_sides_do_not_know_each_other() {
    let ours = |manifest: &str| -> Vec<String> {
        let all = dependencies(manifest);
        all.into_iter().filter(|name| name.starts_with("fleetfit-")).collect()
    };
    assert!(ours("search-spaces/Cargo.toml").is_empty());
    assert_eq!(ours("scheduler/Cargo.toml"), ["fleetfit-search-spaces"]);
    assert_eq!(ours("trial-runner/Cargo.toml"), ["fleetfit-search-spaces"]);
}

#[test]
fn the_vocabulary_does_nothing() {
    for library in ["std::fs", "std::net", "std::time", "std::thread", "tokio", "rand"] {
        assert_eq!(users("search-spaces/src", library), Vec::<String>::new(), "{library}");
    }
}

#[test]
fn the_core_touches_nothing_outside() {
    for folder in ["scheduler/src/sampler", "scheduler/src/stopper", "scheduler/src/state"] {
        for library in ["std::fs", "std::net", "std::time", "std::thread", "tokio", "sled"] {
            assert_eq!(users(folder, library), Vec::<String>::new(), "{folder}: {library}");
        }
    }
}

#[test]
fn each_library_has_one_owner() {
    let owners = [
        ("search-spaces/src", "saphyr_parser", "search-spaces/src/yaml"),
        ("scheduler/src", "sled", "scheduler/src/journal/store.rs"),
        ("scheduler/src", "axum", "scheduler/src/api"),
        ("trial-runner/src", "smartcore", "trial-runner/src/trainer/smart"),
        ("trial-runner/src", "csv", "trial-runner/src/dataset"),
        ("trial-runner/src", "parquet", "trial-runner/src/dataset"),
        ("src", "parquet", "src/table.rs"),
        ("src", "hyper", "src/source"),
        ("src", "indicatif", "src/progress.rs"),
    ];
    for (folder, library, owner) in owners {
        let users = users(folder, library);
        assert!(!users.is_empty(), "nobody in {folder} uses {library}");
        let strangers: Vec<_> = users.iter().filter(|user| !user.starts_with(owner)).collect();
        assert!(strangers.is_empty(), "{library} belongs to {owner}, not {strangers:?}");
    }
}
