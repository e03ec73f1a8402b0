//! The rules of the structure that a test can hold: who depends on whom, and who owns which library.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

/// The names in one section of a manifest.
fn section(manifest: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(repository(manifest)).expect("the manifest");
    let section = text.split(&format!("[{name}]\n")).nth(1).expect("the section");
    let section = section.split("\n[").next().expect("its end");
    let lines = section.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}

/// The sources of a folder, or the one file.
fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files that use a library, relative to the repository: of a folder, or the one file.
fn users(path: &str, library: &str) -> Vec<String> {
    let mut files = Vec::new();
    sources(&repository(path), &mut files);
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
        let all = section(manifest, "dependencies");
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
    let outside = [
        "std::fs",
        "std::env",
        "std::net",
        "std::time",
        "std::thread",
        "axum",
        "jiff",
        "rustix",
        "sled",
        "tokio",
    ];
    for part in ["event", "sampler", "state", "stopper"] {
        let file = format!("scheduler/src/{part}.rs");
        let folder = format!("scheduler/src/{part}");
        for path in [file, folder].iter().filter(|path| repository(path).exists()) {
            for library in outside {
                assert_eq!(users(path, library), Vec::<String>::new(), "{path}: {library}");
            }
        }
        assert!(repository(&format!("scheduler/src/{part}.rs")).is_file());
    }
}

/// Within a crate a library is used by the files whose paths begin so, and by no other.
#[test]
fn each_library_has_its_owners() {
    let owners: &[(&str, &str, &[&str])] = &[
        ("search-spaces/src", "saphyr_parser", &["yaml"]),
        ("search-spaces/src", "jiff", &["schedule"]),
        ("scheduler/src", "sled", &["journal/store.rs"]),
        ("scheduler/src", "rustix", &["journal/lock.rs", "journal/tests"]),
        ("scheduler/src", "crc32fast", &["backup/frame.rs", "journal/"]),
        ("scheduler/src", "jiff", &["query.rs", "schedule"]),
        ("scheduler/src", "rand_pcg", &["sampler/"]),
        ("scheduler/src", "argmin", &["sampler/gp/minimise.rs"]),
        ("scheduler/src", "pulp", &["sampler/gp/wide.rs"]),
        ("scheduler/src", "axum", &["api"]),
        ("scheduler/src", "async_nats", &["bus"]),
        ("scheduler/src", "futures_util", &["api/", "bus"]),
        ("scheduler/src", "bytes", &["bus/"]),
        ("scheduler/src", "tokio", &["api", "bus", "engine"]),
        ("trial-runner/src", "smartcore", &["trainer/smart"]),
        ("trial-runner/src", "csv", &["dataset"]),
        ("trial-runner/src", "fast_float2", &["dataset/"]),
        ("trial-runner/src", "flate2", &["cuda/shipped", "dataset"]),
        ("trial-runner/src", "jiff", &["dataset/"]),
        ("trial-runner/src", "parquet", &["dataset"]),
        ("trial-runner/src", "glob", &["command/code", "dataset/source.rs"]),
        ("trial-runner/src", "async_nats", &["bus"]),
        ("trial-runner/src", "futures_util", &["bus/"]),
        ("trial-runner/src", "tokio", &["bus"]),
        (
            "trial-runner/src",
            "blake3",
            &[
                "cache",
                "command/code",
                "cuda/hot",
                "cuda/kept",
                "cuda/shim",
                "cuda/shipped",
                "dataset",
                "material",
                "pack.rs",
            ],
        ),
        ("trial-runner/src", "postcard", &["model", "dataset/tests"]),
        ("trial-runner/src", "crc32fast", &["model.rs"]),
        ("trial-runner/src", "rustix", &["command", "cuda/far.rs", "cuda/worker.rs"]),
        ("trial-runner/src", "cudarc", &["cuda/"]),
        ("trial-runner/src", "libloading", &["cuda/card.rs"]),
        ("src", "blake3", &["backup/archive"]),
        ("src", "tar", &["backup/archive"]),
        ("src", "parquet", &["table.rs"]),
        ("src", "hyper", &["source", "client"]),
        ("src", "tokio", &["owner.rs", "signals.rs", "source", "client", "nats"]),
        // The log names it, as whose lines it leaves out.
        ("src", "async_nats", &["nats", "log.rs"]),
        (
            "src",
            "rustix",
            &["backup/unpack.rs", "nats/managed/process.rs", "nats/tests.rs", "signals.rs"],
        ),
        ("src", "clap", &["main.rs", "cli.rs", "nats/", "schedule.rs"]),
        ("src", "tracing_subscriber", &["log.rs"]),
        ("src", "indicatif", &["progress.rs"]),
    ];
    for &(folder, library, owners) in owners {
        let users = users(folder, library);
        assert!(!users.is_empty(), "nobody in {folder} uses {library}");
        let is_owned = |user: &&String| {
            let file = user[folder.len()..].trim_start_matches('/');
            owners.iter().any(|owner| file.starts_with(owner))
        };
        let strangers: Vec<_> = users.iter().filter(|user| !is_owned(user)).collect();
        assert!(strangers.is_empty(), "{library} belongs to {owners:?}, not {strangers:?}");
    }
}

#[test]
fn every_dependency_is_used() {
    let crates = ["", "search-spaces/", "scheduler/", "trial-runner/"];
    let mut named = Vec::new();
    for folder in crates {
        for kind in ["dependencies", "dev-dependencies"] {
            let sources = match kind {
                "dependencies" => &["src"][..],
                _ => &["src", "tests", "benches"][..],
            };
            for name in section(&format!("{folder}Cargo.toml"), kind) {
                let library = name.replace('-', "_");
                let paths = sources.iter().map(|path| format!("{folder}{path}"));
                let mut paths = paths.filter(|path| repository(path).exists());
                // argmin's own, named to have it work on vectors.
                let is_used =
                    name == "argmin-math" || paths.any(|path| !users(&path, &library).is_empty());
                assert!(is_used, "{folder}Cargo.toml names {name} in [{kind}], and nobody uses it");
                named.push(name);
            }
        }
    }
    for name in section("Cargo.toml", "workspace.dependencies") {
        assert!(named.contains(&name), "no crate depends on {name} of the workspace");
    }
}
