//! Every YAML block of `docs/job-file.md` is a job without problems, or a readable fragment.

use std::path::Path;

use fleetfit_search_spaces::{Job, Learner};

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/job-file.md");
    std::fs::read_to_string(path).expect("docs/job-file.md is there")
}

#[test]
fn every_block_of_the_reference_is_read() {
    let text = reference();
    let mut n_jobs = 0;
    for block in text.split("```yaml").skip(1) {
        let (head, rest) = block.split_once('\n').expect("a block has lines");
        let (yaml, _) = rest.split_once("```").expect("a block ends");
        let job = Job::read("job-file.md", yaml);
        let job = job.unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
        if head.trim() == "fragment" {
            continue;
        }
        n_jobs += 1;
        job.study().unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
    }
    assert!(n_jobs >= 5, "{n_jobs} jobs");
}

#[test]
fn the_reference_names_every_learner_and_its_parameters() {
    let text = reference();
    for learner in Learner::ALL {
        assert!(text.contains(&format!("`{}`", learner.name())), "{}", learner.name());
        for parameter in &learner.parameters() {
            let name = parameter.name;
            assert!(text.contains(&format!("`{name}`")), "{}: {name}", learner.name());
        }
    }
}
