//! The jobs of `examples/` mean something, and this version can run them.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;

use fleetfit_search_spaces::Job;

#[test]
fn every_example_is_a_job_that_runs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut names = Vec::new();
    for folder in std::fs::read_dir(examples).unwrap().flatten() {
        // What is deployed is no job.
        let is_of_jobs = folder.file_name() != "deploy";
        let files = std::fs::read_dir(folder.path()).unwrap().flatten();
        for file in files.filter(|_| is_of_jobs) {
            let path = file.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let study = match Job::read(&path.display().to_string(), &text).map(|job| job.study()) {
                Ok(Ok(study)) => study,
                Ok(Err(problems)) | Err(problems) => panic!("{problems}"),
            };
            assert_eq!(study.cannot_run, []);
            names.push((study.name, study.limits.max_total_trials));
        }
    }
    names.sort();
    let expected = [
        ("machine-breakdowns", 30),
        ("ring-network", 20),
        ("smooth-visitors", 100),
        ("store-demand", 16),
        ("store-forecast", 8),
    ];
    assert_eq!(names, expected.map(|(name, n)| (name.to_owned(), n)));
}
