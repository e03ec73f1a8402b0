//! Wrong input: a clear answer, exit code 2, and nothing started.

use crate::harness::{Place, panel};

const JOB: &str = "\
type: sweep
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: ridge}
search_space:
  alpha: {type: float, min: 0.001, max: 1000, scale: log}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: rmse}
limits: {max_total_trials: 2}
";

/// Runs and checks the changed job; both must say all of these, and start nothing.
fn refused(from: &str, to: &str, says: &[&str]) {
    let place = Place::new();
    place.write("sales.csv", &panel(2, 20));
    assert!(JOB.contains(from), "{from} is not in the job");
    place.write("job.yaml", &JOB.replace(from, to));
    for command in ["check", "run"] {
        let ran = place.fleetfit(&[command, "job.yaml"]);
        assert_eq!(ran.code, 2, "{command}: {}", ran.stderr);
        for what in says {
            assert!(ran.stderr.contains(what), "{command} does not say {what}: {}", ran.stderr);
        }
    }
    assert!(!place.path("home/studies").exists());
}

#[test]
fn a_file_that_is_too_long() {
    let place = Place::new();
    // The end of what is read falls into a letter.
    place.write("job.yaml", &format!("{JOB}#{}", "é".repeat(3 << 20)));
    for command in ["check", "run"] {
        let ran = place.fleetfit(&[command, "job.yaml"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("the file has more than 4194304 bytes (4 MiB)"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_job_is_not_taken_for_a_schedule() {
    let place = Place::new();
    place.write("job.yaml", JOB);
    let ran = place.fleetfit(&["schedule", "create", "job.yaml"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for says in ["this is a job, not a schedule", "create_job: ./job.yaml"] {
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn a_schedule_and_its_job_are_judged_together() {
    let place = Place::new();
    place.write(
        "nightly.yaml",
        "name: nightly\ncreate_job:\n  job: ./jobs/train.yaml\n  limits: {max_total_trials: 0}\n\
         trigger: {type: cron, expression: 0 25 * * *}\n",
    );
    let said = || {
        let ran = place.fleetfit(&["schedule", "create", "nightly.yaml"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let lines = ran.stderr.lines().map(str::to_owned);
        lines.filter(|line| line.contains(".yaml:")).collect::<Vec<_>>()
    };
    let missing = said();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(
        missing[0].contains(
            "nightly.yaml:3:8: create_job.job names ./jobs/train.yaml: the job file cannot be read"
        ),
        "{missing:?}"
    );
    assert!(missing[1].contains("nightly.yaml:5:"), "{missing:?}");
    // What the schedule changes stands in the schedule, in its place there.
    place.write("jobs/train.yaml", &JOB.replace("minimize", "min"));
    let wrong = said();
    let places = ["nightly.yaml:4:", "nightly.yaml:5:"];
    assert!(wrong.iter().zip(places).all(|(line, place)| line.contains(place)), "{wrong:?}");
    assert!(wrong[2].contains("train.yaml:") && wrong[2].contains("min"), "{wrong:?}");
}

#[test]
fn a_job_that_stands_in_its_schedule_is_judged_once() {
    let place = Place::new();
    let job: String = JOB.lines().map(|line| format!("  {line}\n")).collect();
    let schedule = |cron: &str| {
        format!("name: nightly\ntrigger: {{type: cron, expression: {cron}}}\ncreate_job:\n{job}")
    };
    let said = |text: &str| {
        place.write("nightly.yaml", text);
        let ran = place.fleetfit(&["schedule", "create", "nightly.yaml"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let lines = ran.stderr.lines().map(str::to_owned);
        lines.filter(|line| line.contains("nightly.yaml:")).collect::<Vec<_>>()
    };
    let wrong = schedule("0 25 * * *")
        .replace("goal: minimize", "goal: min")
        .replace("min: 0.001", "min: 0");
    let told = said(&wrong);
    assert_eq!(told.len(), 4, "{told:?}");
    // The last one is of a file, which the schedule's own reader does not look for.
    let places = ["2:35: trigger", "5:25: create_job.training_data.path", "11:", "13:"];
    let is_there = |(line, place): (&String, &str)| line.contains(&format!("nightly.yaml:{place}"));
    assert!(told.iter().zip(places).all(is_there), "{told:?}");
    let told = said(&schedule("0 6 * * *, end_time: '2020-01-01'"));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("trigger.end_time is \"2020-01-01\""), "{told:?}");
}

#[test]
fn a_column_that_is_not_there() {
    refused(
        "name: sales\n",
        "name: sale\n",
        &["job.yaml:3:21: target_column_name", "did you mean sales?"],
    );
    refused("[store]", "[stores]", &["job.yaml:5:", "did you mean store?"]);
}

#[test]
fn a_file_that_is_not_there() {
    refused("sales.csv", "sale.csv", &["job.yaml:2:23: training_data.path", "sale.csv"]);
}

#[test]
fn an_output_whose_name_is_no_file_s() {
    let place = Place::new();
    let job = |name: &str| {
        format!(
            "type: sweep\ntrial:\n  command: train ${{{{search_space.x}}}} ${{{{outputs.{name}}}}}\n\
             outputs:\n  {name}: {{type: uri_folder}}\nsearch_space: {{x: [1, 2]}}\n\
             objective: {{goal: minimize, primary_metric: loss}}\nlimits: {{max_total_trials: 2}}\n"
        )
    };
    place.write("job.yaml", &job(&"m".repeat(255)));
    place.fleetfit(&["check", "job.yaml"]).ok();
    place.write("job.yaml", &job(&"m".repeat(256)));
    for command in ["check", "run"] {
        let ran = place.fleetfit(&[command, "job.yaml"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        for says in ["job.yaml:5:", "has a name of 256 characters; names have at most 255"] {
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
    }
    assert!(!place.path("home/studies").exists());
}

#[test]
fn several_problems_at_once() {
    refused(
        "min: 0.001, max: 1000",
        "min: 0, max: 1000, stepp: 1",
        &["job.yaml:8:", "scale: log", "stepp", "2 problems; nothing was started"],
    );
}

#[test]
fn a_job_that_is_not_there() {
    let place = Place::new();
    let ran = place.fleetfit(&["run", "nowhere.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("nowhere.yaml"), "{}", ran.stderr);
}

#[test]
fn a_study_that_is_not_there() {
    let place = Place::new();
    assert_eq!(place.fleetfit(&["status", "nothing"]).code, 2);
    place.write("sales.csv", &panel(2, 20));
    place.write("job.yaml", JOB);
    place.json(&["run", "job.yaml", "--name", "demand"]);
    let ran = place.fleetfit(&["status", "demnd"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("did you mean demand?"), "{}", ran.stderr);
    let ran = place.fleetfit(&["best", "demand", "--entity", "99"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("99"), "{}", ran.stderr);
}

#[test]
fn words_that_the_command_line_does_not_know() {
    let place = Place::new();
    assert_eq!(place.fleetfit(&["runn"]).code, 2);
    assert_eq!(place.fleetfit(&["run"]).code, 2);
    assert_eq!(place.fleetfit(&["best", "a", "--entity", "1", "--all"]).code, 2);
    assert_eq!(place.fleetfit(&["--help"]).code, 0);
}

#[test]
fn check_prints_problems_for_programs() {
    let place = Place::new();
    place.write("job.yaml", "type: sweep\nlimits: {max_total_trials: 0}\n");
    let ran = place.fleetfit(&["check", "job.yaml", "--output", "json"]);
    assert_eq!(ran.code, 2);
    let document = ran.json();
    assert!(document["study"].is_null());
    let problem = &document["problems"][0];
    for key in ["file", "line", "column", "path", "found", "allowed", "hint"] {
        assert!(problem.get(key).is_some(), "{key}: {problem}");
    }
}
