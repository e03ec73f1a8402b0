//! Every file of `wrong/` (jobs) and `wrong_schedules/` beside what is said about it in its
//! `.expected`: place, message, hint. `UPDATE_EXPECTED=1` writes the files anew; read the difference
//! before committing it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::schedule::ScheduleFile;
use fleetfit_search_spaces::{Job, Problem, Problems};

const JOBS: &str = "tests/wrong";
const SCHEDULES: &str = "tests/wrong_schedules";

fn wrong_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn problems(folder: &str, file: &str, text: &str) -> Problems {
    let read = match folder {
        JOBS => Job::read(file, text).and_then(|job| job.study()).map(drop),
        _ => ScheduleFile::read(file, text).and_then(|file| file.schedule()).map(drop),
    };
    read.expect_err(&format!("{file} was accepted"))
}

#[test]
fn every_wrong_job_gets_its_problems() {
    check_folder(JOBS, 60);
}

#[test]
fn every_wrong_schedule_gets_its_problems() {
    check_folder(SCHEDULES, 20);
}

fn check_folder(folder: &str, n_files: usize) {
    let files = wrong_files(folder);
    assert!(files.len() >= n_files, "{} wrong files", files.len());
    let mut differences = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = format!("{}\n", problems(folder, name, &fs::read_to_string(&path).unwrap()));
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if said != expected {
            differences.push(format!("{name}\nexpected:\n{expected}\nsaid:\n{said}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_problem_has_a_place_and_says_what_is_allowed() {
    let all = [JOBS, SCHEDULES]
        .map(|folder| wrong_files(folder).into_iter().map(move |path| (folder, path)));
    for (folder, path) in all.into_iter().flatten() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for problem in problems(folder, name, &text).0 {
            assert!(problem.place.line > 0 && problem.place.column > 0, "{problem}");
            assert!(!problem.found.is_empty(), "{problem}");
            assert!(problem.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{problem}");
            assert!(!problem.allowed.is_empty(), "{problem}");
            assert!(stands_there(&text, &problem), "{problem:?}");
            let begins_low = problem.message.chars().next().is_some_and(|c| !c.is_uppercase());
            assert!(begins_low && !problem.message.ends_with('.'), "{problem}");
        }
    }
}

/// Whether what a problem says was found stands at its line and column.
fn stands_there(text: &str, problem: &Problem) -> bool {
    let line = text.lines().nth(problem.place.line as usize - 1).unwrap_or_default();
    let rest: String = line.chars().skip(problem.place.column as usize - 1).collect();
    let found = problem.found.trim_matches('"').trim_end_matches('…');
    let begins = |marks: &[char]| rest.starts_with(marks);
    match problem.found.as_str() {
        "a map" => begins(&['{']) || rest.contains(':'),
        "a list" => begins(&['[', '-']),
        "nothing" => true,
        "invalid YAML" | "a tab" | "a second document" | "deeper nesting" | "too many values" => {
            true
        }
        _ if problem.found.starts_with("a second \"") => {
            rest.starts_with(&found["a second \"".len()..])
        }
        "an alias of itself" => begins(&['*']),
        _ => rest.trim_start_matches(['"', '\'', '!']).starts_with(found),
    }
}
