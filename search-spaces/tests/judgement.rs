//! What is wrong with one part of a job hides nothing of the others, and is told once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use fleetfit_search_spaces::{Alternative, Domain, Folds, Input, Job, Judgement, Task, Value};

fn judge(text: &str) -> Judgement {
    Job::read("job.yaml", text).unwrap_or_else(|problems| panic!("{problems}")).judge()
}

/// The problems' places and the words after them, hints left out.
fn messages(text: &str) -> Vec<String> {
    let problems = judge(text).study.expect_err("the job was accepted");
    problems.0.into_iter().map(|problem| problem.message).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(messages(text), expected, "{text}");
}

const COMMAND: &str = "\
type: sweep
trial: {command: \"train ${{search_space.x}}\", code: src}
inputs: {data: {path: data.csv}}
search_space: {x: [1, 2]}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 4}
";

const LEARNER: &str = "\
type: sweep
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: ridge}
objective: {primary_metric: rmse}
limits: {max_total_trials: 4}
";

const AUTOML: &str = "\
type: automl
task: regression
training_data: {path: train}
target_column_name: y
primary_metric: r2_score
";

#[test]
fn a_broken_job_still_names_its_files() {
    let text = COMMAND.replace("max_total_trials: 4", "max_total_trials: 0");
    let judgement = judge(&text);
    assert_eq!(judgement.study.unwrap_err().0.len(), 1);
    let command = judgement.command.unwrap();
    assert_eq!(command.code.as_deref(), Some("src"));
    assert!(matches!(&command.inputs[0].1, Input::Path { path, .. } if path == "data.csv"));

    let text = LEARNER.replace("sales\ntask: regression", "7\ntask: regresion") + "sed: 1\n";
    let judgement = judge(&text);
    assert_eq!(judgement.study.unwrap_err().0.len(), 3);
    let data = judgement.data.unwrap();
    assert_eq!(data.training.paths, ["sales.csv"]);
    assert_eq!((data.target.as_str(), data.task), ("", Task::Regression));
    assert_eq!(data.partition_columns, ["store"]);

    let text = AUTOML.replace("task: regression\n", "") + "n_cross_validations: 1\n";
    let data = judge(&text).data.unwrap();
    assert_eq!((data.target.as_str(), data.folds), ("y", Folds::Auto));
}

#[test]
fn a_sound_job_is_judged_like_a_study() {
    let judgement = judge(LEARNER);
    let study = judgement.study.unwrap();
    assert_eq!(study.data, judgement.data);
    assert_eq!(study.notices, judgement.notices);
    assert_eq!(judgement.command, None);
    assert!(judge(COMMAND).command.is_some());
}

#[test]
fn a_repeated_key_leaves_the_rest_to_be_judged() {
    let judgement = judge(&format!("{COMMAND}limits: {{max_total_trials: 5}}\n"));
    assert!(judgement.command.is_some());
    assert_eq!(judgement.study.unwrap_err().0.len(), 1);
}

#[test]
fn a_wrong_task_hides_nothing() {
    let rest = "training: {blocked_training_algorithms: [knm]}\nlimits: {max_trials: 0}\n";
    for (task, says) in [
        ("", "task is missing"),
        ("task: 3\n", "task is 3, but must be text"),
        (
            "task: regresion\n",
            "task \"regresion\" is not known; known: classification, regression, forecasting, \
             image_classification, image_classification_multilabel, image_object_detection, \
             image_instance_segmentation, text_classification, text_classification_multilabel, \
             text_ner",
        ),
    ] {
        let text = AUTOML.replace("task: regression\n", task) + rest;
        let said = messages(&text);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[0], says);
        let wrong = "training.blocked_training_algorithms.0 \"knm\" is not known";
        assert!(said[1].starts_with(wrong), "{said:?}");
        assert_eq!(said[2], "limits.max_trials is 0, but must be at least 1");
    }
    let text = LEARNER.replace("task: regression", "task: regresion").replace("rmse", "rmsee");
    let said = messages(&text);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("objective.primary_metric \"rmsee\" is not known"));
    // A metric of whatever task may be meant.
    let text = LEARNER.replace("task: regression", "task: regresion").replace("rmse", "auc");
    assert_eq!(messages(&text).len(), 1);
    let images = "type: automl\ntask: image_clasification\ntraining_parameters: {epochs: 3}\n";
    assert_eq!(messages(images).len(), 1);
}

#[test]
fn an_unknown_learner_is_one_mistake() {
    let text = LEARNER.replace("task: regression\n", "").replace("ridge", "rige");
    let said = messages(&text);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("trial.learner \"rige\" is not known; known: ridge, lasso"));
}

#[test]
fn keys_of_an_unclear_trial_are_judged() {
    let known = "known: command, code, environment_variables, learner, environment, distribution, \
                 resources, queue_settings, $schema";
    let comand = COMMAND.replace("{command:", "{comand:");
    let problems = judge(&comand).study.unwrap_err().0;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, format!("trial.comand is not known; {known}"));
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean command?"));
    assert_eq!(judge(&comand).command.unwrap().code.as_deref(), Some("src"));
    let lerner = LEARNER.replace("{learner:", "{lerner:");
    check(&lerner, &[&format!("trial.lerner is not known; {known}")]);
    let neither =
        COMMAND.replace("{command: \"train ${{search_space.x}}\", code: src}", "{cod: 3}");
    check(
        &neither,
        &["trial names no command and no learner", &format!("trial.cod is not known; {known}")],
    );
    let variables = "trial: {code: 3, environment_variables: {A: [1]}}";
    let text = COMMAND.lines().map(|line| match line.starts_with("trial") {
        true => format!("{variables}\n"),
        false => format!("{line}\n"),
    });
    check(
        &text.collect::<String>(),
        &[
            "trial names no command and no learner",
            "trial.code is 3, but must be text",
            "trial.environment_variables.A is a list, but must be text",
        ],
    );
}

#[test]
fn the_data_of_a_missing_trial_is_judged() {
    let text = LEARNER.replace("trial: {learner: ridge}\n", "").replace("[store]", "[3]");
    check(&text, &["trial is missing", "partition_column_names.0 is 3, but must be text"]);
    assert!(judge(&text).data.is_some());
}

#[test]
fn what_cannot_be_read_is_defined_all_the_same() {
    let broken_input = COMMAND
        .replace("search_space.x}}", "search_space.x}} ${{inputs.data}}")
        .replace("{path: data.csv}", "{pth: data.csv}");
    check(
        &broken_input,
        &["inputs.data.pth is not known; known: type, mode, datastore, \
                            path_on_compute, path"],
    );
    let list = COMMAND
        .replace("search_space.x}}", "search_space.x}} ${{inputs.data}}")
        .replace("{data: {path: data.csv}}", "[data]");
    check(&list, &["inputs is a list, but must be a map"]);
    let nested = COMMAND
        .replace("search_space.x}}", "search_space.x}} ${{search_space.m.c}}")
        .replace("{x: [1, 2]}", "{x: [1, 2], m: [{c: {type: randint, upper: 0}}, 3]}");
    check(
        &nested,
        &["search_space.m.0.c.upper is 0, but must be at least 1; randint yields 0 to \
                      upper - 1"],
    );
    let space = COMMAND.replace("{x: [1, 2]}", "[1, 2]");
    check(&space, &["search_space is a list, but must be a map"]);
    let chooser = LEARNER.replace("ridge", "\"${{search_space.m}}\"");
    check(&chooser, &["trial.learner names search_space.m, but the job has no search_space"]);
    check(
        &format!("{chooser}search_space: {{m: 3}}\n"),
        &["search_space.m is 3, but must be a map with a type, or a list of values"],
    );
    check(&format!("{chooser}search_space:\n"), &["search_space is set to nothing"]);
}

#[test]
fn the_folder_names_a_job_that_is_called_job() {
    let named = |file: &str, folder: Option<&str>| {
        let mut job = Job::read(file, COMMAND).unwrap();
        job.folder = folder.map(str::to_owned);
        job.study().unwrap().name
    };
    assert_eq!(named("job.yaml", Some("P")), "P");
    assert_eq!(named("P/job.yaml", Some("P")), "P");
    assert_eq!(named("demand.yaml", Some("P")), "demand");
    assert_eq!(named("P/job.yaml", None), "P");
}

#[test]
fn no_limit_is_a_value_that_can_be_searched() {
    let text = format!("{LEARNER}test_data: {{path: test.csv}}\n")
        .replace("learner: ridge", "learner: random_forest")
        + "search_space: {max_depth: [none, 5]}\n";
    let study = judge(&text).study.unwrap();
    let Domain::Choice(values) = &study.space.parameters[0].domain else {
        panic!("not a choice: {:?}", study.space);
    };
    assert_eq!(values[0], Alternative::Value(Value::Text("none".to_owned())));
    let said: Vec<&str> = study.notices.iter().map(|notice| notice.message.as_str()).collect();
    assert_eq!(said, ["test_data is not used by this version: no model is tested on it"]);
    let automl = judge(&format!("{AUTOML}test_data: test.csv\n")).study.unwrap();
    let is_told = |notice: &fleetfit_search_spaces::Notice| notice.message.starts_with("test_data");
    assert!(automl.notices.iter().any(is_told), "{:?}", automl.notices);
}

#[test]
fn learners_that_weigh_rows_take_weights_and_every_task_has_its_criteria() {
    for (task, metric, criterion) in [
        ("regression", "rmse", "squared_error"),
        ("classification", "accuracy", "gini, entropy, log_loss"),
    ] {
        let text = LEARNER
            .replace("learner: ridge", "learner: decision_tree")
            .replace("task: regression", &format!("task: {task}"))
            .replace("rmse", metric);
        let text =
            format!("{text}weight_column_name: w\nsearch_space: {{criterion: [{criterion}]}}\n");
        let study = judge(&text).study;
        assert!(study.is_ok(), "{study:?}");
    }
}

#[test]
fn out_of_bag_is_for_forests() {
    let bag = |learner: &str, more: &str| {
        LEARNER.replace("learner: ridge", &format!("learner: {learner}"))
            + &format!("n_cross_validations: out_of_bag\n{more}")
    };
    let bags = "search_space: {bootstrap: [true]}\n";
    for (learner, more) in [("random_forest", ""), ("extra_trees", bags)] {
        assert_eq!(judge(&bag(learner, more)).study.unwrap().data.unwrap().folds, Folds::OutOfBag);
    }
    let says = "trial.learner lets extra_trees see all rows, which leaves none out of a bag for \
                n_cross_validations: out_of_bag";
    check(&bag("extra_trees", ""), &[says]);
    let data = judge(&bag("random_forest", "validation_data_size: 0.2\n")).study.unwrap().data;
    assert_eq!(data.unwrap().folds, Folds::OutOfBag);
    let ridge = "trial.learner is ridge, which has no trees that leave rows out, as n_cross_validations: \
                 out_of_bag needs";
    check(&bag("ridge", ""), &[ridge]);
    let forecasting = bag("random_forest", "forecasting: {time_column_name: day}\n")
        .replace("task: regression", "task: forecasting");
    let says = "n_cross_validations is out_of_bag, which judges rows by later ones; forecasts are \
                judged by the past";
    check(&forecasting, &[says]);
    let says = "n_cross_validations is out_of_bag, which is for a trial whose learner is a forest";
    check(&(AUTOML.to_owned() + "n_cross_validations: out_of_bag\n"), &[says]);
}

#[test]
fn a_step_is_no_shorter_than_floats_are_apart() {
    let text = COMMAND.replace("[1, 2]", "{type: float, min: 0, max: 1, step: 1}");
    let read = |min: &str, max: &str, step: &str| {
        let mut job = Job::read("job.yaml", &text).unwrap();
        for (key, value) in [("min", min), ("max", max), ("step", step)] {
            job.set(&format!("search_space.x.{key}"), value).unwrap();
        }
        job.study()
    };
    for (min, max, short, least) in [
        ("1e17", "100000000000000064", "15", "16"),
        ("-100000000000000064", "-1e17", "15", "16"),
        ("1", "2", "2.2e-16", "2.220446049250313e-16"),
        ("-1e308", "1e308", "1e292", "1.99584030953472e292"),
        // The last float that every whole number below has beside it.
        ("9007199254740928", "9007199254740992", "0.5", "1"),
    ] {
        let problems = read(min, max, short).unwrap_err().0;
        let says = "so that floats can tell its values apart";
        let message =
            format!("search_space.x.step is {short}, but must be at least {least}, {says}");
        assert_eq!(problems.iter().map(|one| &one.message).collect::<Vec<_>>(), [&message]);
        assert_eq!(problems[0].hint, Some(format!("write step: {least}, or more")));
        let space = read(min, max, least).unwrap().space;
        let (first, second) =
            (&space.parameters[0].domain.nth(0), &space.parameters[0].domain.nth(1));
        assert_ne!(first, second);
    }
    // What was taken before it was refused is read on.
    let mut job = Job::read("job.yaml", &text).unwrap();
    job.set("search_space.x.step", "1e-17").unwrap();
    assert!(job.study().is_err());
    job.is_stored = true;
    assert!(job.study().is_ok());
    // Nobody takes a step where there is one value.
    assert_eq!(read("1e17", "1e17", "1").unwrap().space.cardinality(), Some(1));
}
