//! Every form that trials are read from. `files/write.py` wrote those of Optuna.

use std::path::Path;

use fleetfit_scheduler::journal::{Index, Journal, NewStudy, Status, Summary};
use fleetfit_scheduler::warm::{self, Fault, Sources, Start};
use fleetfit_scheduler::{Fact, sampler};
use fleetfit_search_spaces::{End, Job, Outcome, Study};

const SPACE: &str = "{x: {type: float, min: -5, max: 10}, n: {type: int, min: 1, max: 8}, \
                     rate: {type: float, min: 1e-4, max: 1, scale: log}, kind: [a, b]}";

pub(crate) fn job(space: &str, start: &str) -> String {
    format!(
        "type: sweep\nname: new\ntrial: external\nsearch_space: {space}\n\
         sampling_algorithm: tpe\nobjective: {{goal: minimize, primary_metric: loss}}\n\
         limits: {{max_total_trials: 40}}\nseed: 3\n{start}\n"
    )
}

pub(crate) fn study(space: &str, start: &str) -> Study {
    Job::read("job.yaml", &job(space, start)).unwrap().study().unwrap()
}

fn file(path: &str) -> Result<Vec<u8>, Fault> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/warm/files");
    Ok(std::fs::read(files.join(path)).unwrap())
}

fn gather(study: &Study) -> Result<Start, Vec<(usize, Fault)>> {
    warm::gather(study, 3, &Sources { journal: None, file: &file, digest: None })
}

fn first(start: &Start) -> Vec<String> {
    start.first.iter().map(|point| point.to_json()).collect()
}

fn remarks(start: &Start) -> String {
    start.remarks.iter().map(|(_, remark)| remark.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn trials_of_optuna_are_read_in_every_form_it_writes() {
    for origin in [
        "optuna.csv",
        "optuna-cli.json",
        "optuna-columns.json",
        "optuna-records.json",
        "{path: optuna.journal, study: tune}",
    ] {
        let start = gather(&study(SPACE, &format!("start_from: {origin}"))).unwrap();
        assert_eq!(start.earlier.len(), 9, "{origin}: {}", remarks(&start));
        assert_eq!(first(&start)[0], r#"{"x":2.5,"n":3,"rate":0.01,"kind":"a"}"#, "{origin}");
        assert_eq!(start.first.len(), 5, "an eighth of 40: {origin}");
        let best = start.earlier.iter().map(|trial| trial.loss).fold(f64::INFINITY, f64::min);
        assert_eq!(best, 0.25, "{origin}");
        let said = remarks(&start);
        assert!(said.contains("9 completed trials"), "{said}");
        assert!(said.contains("2 more did not complete"), "{said}");
        assert!(said.contains("Optuna"), "{said}");
        // The first of them, whichever way it was written.
        let oldest = start.earlier[0].configuration.to_json();
        assert!(oldest.contains(r#""n":6"#) && oldest.contains(r#""kind":"a""#), "{oldest}");
    }
}

#[test]
fn tables_of_others_are_understood_by_their_columns() {
    for path in ["fleetfit.csv", "fleetfit.jsonl", "ray.csv", "mlflow.csv"] {
        let start = gather(&study(SPACE, &format!("start_from: {path}"))).unwrap();
        assert_eq!(start.earlier.len(), 2, "{path}: {}", remarks(&start));
        let best = r#"{"x":1.0,"n":3,"rate":0.01,"kind":"a"}"#;
        assert_eq!(first(&start)[0], best, "{path}");
        let leaves_out = remarks(&start).contains("momentum is no parameter here");
        assert_eq!(leaves_out, path == "mlflow.csv", "{}", remarks(&start));
        let is_mlflow = remarks(&start).contains("(MLflow's form)");
        assert_eq!(is_mlflow, path == "mlflow.csv", "{}", remarks(&start));
    }
}

#[test]
fn a_journal_of_several_studies_wants_a_name() {
    let fault = |start: &str| {
        let faults = gather(&study("{x: {type: float, min: -5, max: 10}}", start)).unwrap_err();
        (faults[0].1.says.clone(), faults[0].1.hint.clone())
    };
    let (says, hint) = fault("start_from: optuna.journal");
    assert_eq!(says, "holds 2 studies of Optuna: tune, other");
    assert_eq!(hint, "write {path: …, study: tune}");
    let (says, hint) = fault("start_from: {path: optuna.journal, study: tone}");
    assert_eq!(says, "holds no study tone; its studies are tune, other");
    assert_eq!(hint, "write study: tune");
    // Its own direction is what counts.
    let start = "start_from: {path: optuna.journal, study: other}";
    let start = gather(&study("{x: {type: float, min: -5, max: 10}}", start)).unwrap();
    assert!(start.earlier.iter().all(|trial| trial.loss >= 0.0));
    assert!(remarks(&start).contains("the other way round"), "{}", remarks(&start));
}

#[test]
fn other_spaces_are_taken_as_far_as_they_overlap() {
    // x is narrower, n is new bounds, w is unknown to them, kind is gone.
    let space = "{x: {type: float, min: 0, max: 5}, n: {type: int, min: 1, max: 9}, w: [1, 2]}";
    let start = gather(&study(space, "start_from: optuna.csv")).unwrap();
    let said = remarks(&start);
    assert!(said.contains("of them lie outside of this space (x)"), "{said}");
    assert!(said.contains("kind, rate are no parameters here and are left out"), "{said}");
    assert!(said.contains("w is not among its parameters and is drawn"), "{said}");
    assert!(start.earlier.len() < 9 && !start.earlier.is_empty());
    let again = gather(&study(space, "start_from: optuna.csv")).unwrap();
    assert_eq!(start, again, "what is drawn follows from the seed");
    assert!(first(&start)[0].starts_with(r#"{"x":2.5,"n":3,"w":"#), "{:?}", first(&start));
}

#[test]
fn points_come_before_the_best_of_several_sources_in_turn() {
    let start = "points_to_evaluate: [{x: 1}, {x: 2, kind: b}]\nstart_from: [optuna.csv, ray.csv]";
    let study = study(SPACE, start);
    let start = gather(&study).unwrap();
    let first = first(&start);
    assert!(first[0].starts_with(r#"{"x":1.0,"#) && first[1].starts_with(r#"{"x":2.0,"#));
    assert!(first[1].ends_with(r#""kind":"b"}"#), "{first:?}");
    assert_eq!(first[2], r#"{"x":2.5,"n":3,"rate":0.01,"kind":"a"}"#);
    assert_eq!(first[3], r#"{"x":1.0,"n":3,"rate":0.01,"kind":"a"}"#);
    let sources: Vec<u16> = start.earlier.iter().map(|trial| trial.source).collect();
    assert_eq!(sources, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn samplers_that_do_not_learn_try_the_best_first_and_say_so() {
    for algorithm in ["random", "sobol"] {
        let mut study = study(SPACE, "start_from: optuna.csv");
        study.sampling.algorithm = match algorithm {
            "random" => fleetfit_search_spaces::Algorithm::Random,
            _ => fleetfit_search_spaces::Algorithm::Sobol,
        };
        let start = gather(&study).unwrap();
        assert_eq!((start.earlier.len(), start.first.len()), (0, 5));
        assert!(remarks(&start).contains(&format!("{algorithm} does not learn")));
    }
}

fn outcome(configuration: u32, entity: u32, value: f64) -> Outcome {
    Outcome {
        configuration,
        entity,
        end: End::Completed { value },
        fits: 1,
        started_ms: 1,
        ended_ms: 2,
        reports: Vec::new(),
        further: Vec::new(),
    }
}

#[test]
fn an_earlier_study_is_found_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let text = job(SPACE, "").replace("name: new", "name: old");
    let head = NewStudy {
        name: "old".into(),
        job_file: "job.yaml".into(),
        job_text: text,
        data_digest: Some("data 1".into()),
        seed: 3,
        ..NewStudy::default()
    };
    let id = journal.create(&head).unwrap();
    let old = study(SPACE, "");
    let mut sampler = sampler::for_study(&old, 1).unwrap();
    let mut facts = Vec::new();
    let mut best: Option<(f64, String)> = None;
    for number in 0..20 {
        let configuration = sampler.propose(number).unwrap();
        sampler.seen(number, &configuration);
        let value = f64::from((number * 7) % 20);
        if best.as_ref().is_none_or(|(least, _)| value < *least) {
            best = Some((value, configuration.to_json()));
        }
        facts.push(Fact::Proposed { number, configuration });
        facts.push(Fact::Ended { outcomes: vec![outcome(number, 0, value)] });
    }
    let summary =
        Summary { status: Status::Completed, completed: 20, proposed: 20, ..Summary::default() };
    journal
        .append(id, &facts, &Index { summary, best: vec![(0, 0.0, 0)], ..Index::default() })
        .unwrap();
    let read = |name: &str, digest: Option<&str>| {
        let study = study(SPACE, &format!("start_from: {name}"));
        warm::gather(&study, 3, &Sources { journal: Some(&journal), file: &file, digest })
    };
    let start = read("old", Some("data 1")).unwrap();
    assert_eq!(first(&start)[0], best.unwrap().1);
    assert_eq!(start.earlier.len(), 20);
    assert!(start.earlier.iter().all(|trial| trial.is_same), "{}", remarks(&start));
    assert!(remarks(&start).contains("count as this study's own"), "{}", remarks(&start));
    let start = read("old", Some("data 2")).unwrap();
    assert!(start.earlier.iter().all(|trial| !trial.is_same));
    assert!(remarks(&start).contains("guide the search"), "{}", remarks(&start));
    // Other folds: the same configuration would have another loss.
    let other = study(SPACE, "start_from: old");
    let sources = Sources { journal: Some(&journal), file: &file, digest: Some("data 1") };
    let reseeded = warm::gather(&other, 4, &sources).unwrap();
    assert!(reseeded.earlier.iter().all(|trial| !trial.is_same), "{}", remarks(&reseeded));
    let faults = read("odl", None).unwrap_err();
    assert_eq!(faults[0].1.says, "is no study here");
    assert_eq!(faults[0].1.hint, "did you mean old?");
    assert_eq!(read("new", None).unwrap_err()[0].1.says, "is the name of this very study");
    // What is kept is read back as it was, and goes with the study.
    warm::keep(&journal, "old", start.earlier.clone()).unwrap();
    assert_eq!(warm::kept(&journal, "old").unwrap(), start.earlier);
    fleetfit_scheduler::api::delete(&journal, dir.path(), "old").unwrap();
    assert_eq!(warm::kept(&journal, "old").unwrap(), []);
}

#[test]
fn an_earlier_study_counts_by_the_metric_that_is_searched_here() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let space = "{x: {type: float, min: 0, max: 1}}";
    let aim = "objective: {goal: minimize, primary_metric: loss}";
    let both = "objective: [{goal: minimize, primary_metric: loss}, {goal: maximize, primary_metric: acc}]";
    let text = job(space, "").replace("name: new", "name: old").replace(aim, both);
    let head = NewStudy {
        name: "old".into(),
        job_file: "job.yaml".into(),
        job_text: text.clone(),
        seed: 3,
        ..NewStudy::default()
    };
    let id = journal.create(&head).unwrap();
    let old = Job::read("job.yaml", &text).unwrap().study().unwrap();
    let mut sampler = sampler::for_study(&old, 1).unwrap();
    let mut facts = Vec::new();
    let mut xs = Vec::new();
    for number in 0..20 {
        let configuration = sampler.propose(number).unwrap();
        sampler.seen(number, &configuration);
        let Some(x) = configuration.leaves()[0].1.as_f64() else { panic!("a number") };
        xs.push(x);
        facts.push(Fact::Proposed { number, configuration });
        let further = vec![-(x - 0.7).powi(2)];
        facts.push(Fact::Ended { outcomes: vec![Outcome { further, ..outcome(number, 0, x) }] });
    }
    let summary =
        Summary { status: Status::Completed, completed: 20, proposed: 20, ..Summary::default() };
    let index = Index { summary, best: vec![(0, 0.0, 0)], ..Index::default() };
    journal.append(id, &facts, &index).unwrap();
    let gathered = |objective: &str| {
        let text = job(space, "start_from: old").replace(aim, objective);
        let study = Job::read("job.yaml", &text).unwrap().study().unwrap();
        let sources = Sources { journal: Some(&journal), file: &file, digest: None };
        warm::gather(&study, 3, &sources).unwrap()
    };
    let nearest = |to: f64| {
        let nearest = xs.iter().copied().min_by(|a, b| (a - to).abs().total_cmp(&(b - to).abs()));
        format!("{{\"x\":{}}}", nearest.unwrap())
    };
    let by_acc = gathered("objective: {goal: maximize, primary_metric: acc}");
    assert_eq!(first(&by_acc)[0], nearest(0.7));
    let said = remarks(&by_acc);
    assert!(said.contains("of its 2 metrics acc is what counts"), "{said}");
    assert!(!said.contains("the other way round"), "{said}");
    let least = by_acc.earlier.iter().map(|trial| trial.loss).fold(f64::INFINITY, f64::min);
    assert!((0.0..0.01).contains(&least), "{least}");
    let by_loss = gathered(aim);
    assert_eq!(first(&by_loss)[0], nearest(0.0));
    let by_other = gathered("objective: {goal: minimize, primary_metric: ms}");
    assert_eq!(first(&by_other)[0], nearest(0.0));
    let said = remarks(&by_other);
    assert!(said.contains("the first of its 2 metrics, loss, is what counts"), "{said}");
}

#[test]
fn objectives_of_optuna_that_have_names_count_by_them() {
    let distribution = r#"{\"name\": \"FloatDistribution\", \"attributes\": {}}"#;
    let trial = |x: f64| {
        format!(
            "{{\"op_code\": 4, \"worker_id\": \"w\", \"study_id\": 0, \"state\": 1, \
             \"values\": [{x}, {}], \"params\": {{\"x\": {x}}}, \
             \"distributions\": {{\"x\": \"{distribution}\"}}}}\n",
            -(x - 0.75).powi(2)
        )
    };
    let mut text = [
        r#"{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1, 2]}"#,
        r#"{"op_code": 3, "worker_id": "w", "study_id": 0, "system_attr": {"study:metric_names": ["ms", "acc"]}}"#,
        "",
    ]
    .join("\n");
    (0..5).for_each(|at| text.push_str(&trial(f64::from(at) * 0.25)));
    let gathered = |objective: &str| {
        let aim = "objective: {goal: minimize, primary_metric: loss}";
        let job = job("{x: {type: float, min: 0, max: 1}}", "start_from: s.journal");
        let study = Job::read("job.yaml", &job.replace(aim, objective)).unwrap().study().unwrap();
        let file = |_: &str| Ok(text.clone().into_bytes());
        let sources = Sources { journal: None, file: &file, digest: None };
        warm::gather(&study, 3, &sources).unwrap()
    };
    let by_acc = gathered("objective: {goal: maximize, primary_metric: acc}");
    assert_eq!(first(&by_acc)[0], r#"{"x":0.75}"#);
    let said = remarks(&by_acc);
    assert!(said.contains("of its 2 metrics acc is what counts"), "{said}");
    assert!(!said.contains("the other way round"), "{said}");
    let by_other = gathered("objective: {goal: minimize, primary_metric: loss}");
    assert_eq!(first(&by_other)[0], r#"{"x":0.0}"#);
    let said = remarks(&by_other);
    assert!(said.contains("the first of its 2 objectives is what counts"), "{said}");
    let both = gathered(
        "objective: [{goal: maximize, primary_metric: acc}, {goal: minimize, primary_metric: ms}]",
    );
    let said = remarks(&both);
    assert!(said.contains("its 2 metrics are taken for those called like them"), "{said}");
    // Worse in both than another.
    assert_eq!(first(&both)[4], r#"{"x":1.0}"#);
}

#[test]
fn several_objectives_and_bounds_say_which_are_tried_first() {
    let journal = |line: &str| line.to_owned();
    let table = |path: &str| -> Result<Vec<u8>, Fault> {
        let text = match path {
            // The least first loss breaks the bound, and the next one is beaten by nobody.
            "bounded.csv" => "x,loss,ms\n-1,0.1,90\n1,0.5,10\n2,0.7,10\n-2,0.2,70\n".to_owned(),
            "two.json" => concat!(
                "\u{feff}[{\"params_x\": 0, \"values_0\": 5, \"values_1\": 6},",
                "{\"params_x\": 1, \"values_0\": 4, \"values_1\": 4},",
                "{\"params_x\": 2, \"values_0\": 1, \"values_1\": 9}]"
            )
            .to_owned(),
            _ => [
                r#"{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1, 1]}"#,
                r#"{"op_code": 4, "worker_id": "w", "study_id": 0, "state": 1, "values": [5.0, 6.0], "params": {"x": 0.0}, "distributions": {"x": "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": -5.0, \"high\": 10.0, \"log\": false, \"step\": null}}"}}"#,
                r#"{"op_code": 4, "worker_id": "w", "study_id": 0, "state": 1, "values": [4.0, 4.0], "params": {"x": 1.0}, "distributions": {"x": "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": -5.0, \"high\": 10.0, \"log\": false, \"step\": null}}"}}"#,
            ]
            .map(journal)
            .join("\n"),
        };
        Ok(text.into_bytes())
    };
    let space = "{x: {type: float, min: -5, max: 10}}";
    let bounds = "objective: {goal: minimize, primary_metric: loss}";
    let two = "objective: [{goal: minimize, primary_metric: loss}, \
               {goal: minimize, primary_metric: ms}]";
    let cases = [
        ("bounded.csv", format!("{bounds}\nconstraints: [\"ms <= 50\"]"), "1.0"),
        ("two.json", two.to_owned(), "1.0"),
        ("two.journal", two.to_owned(), "1.0"),
    ];
    for (path, objective, best) in cases {
        let text = job(space, &format!("start_from: {path}"));
        let text = text.replace(bounds, &objective);
        let study = Job::read("job.yaml", &text).unwrap().study().unwrap();
        let sources = Sources { journal: None, file: &table, digest: None };
        let start = warm::gather(&study, 3, &sources).unwrap();
        let said = remarks(&start);
        // Of the front of two, the one that adds most of the hypervolume comes first.
        let wanted = format!(r#"{{"x":{best}}}"#);
        assert!(first(&start).contains(&wanted), "{path}: {:?} {said}", first(&start));
        let worst = if path == "bounded.csv" { r#"{"x":-1.0}"# } else { r#"{"x":0.0}"# };
        assert_eq!(first(&start).last().unwrap(), worst, "{path}: {said}");
        assert!(start.earlier.is_empty() && said.contains("that is all"), "{path}: {said}");
        assert!(!said.contains("guide the search"), "{said}");
    }
}
