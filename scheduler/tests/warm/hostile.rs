//! Files that are broken, empty, huge, or something else altogether.

use std::fmt::Write;

use fleetfit_scheduler::sampler;
use fleetfit_scheduler::warm::{self, Fault, Sources, Start};
use fleetfit_search_spaces::Configuration;

use crate::sources::study;

const SPACE: &str = "{x: {type: float, min: -5, max: 10}, n: {type: int, min: 1, max: 8}}";

fn gather(path: &str, bytes: &[u8]) -> Result<Start, Fault> {
    let study = study(SPACE, &format!("start_from: {path}"));
    let file = |_: &str| Ok(bytes.to_vec());
    let sources = Sources { journal: None, file: &file, digest: None };
    warm::gather(&study, 1, &sources).map_err(|mut faults| faults.remove(0).1)
}

fn says(path: &str, text: &str) -> String {
    match gather(path, text.as_bytes()) {
        Ok(start) => format!("{} trials; {}", start.earlier.len(), start.remarks[0].1),
        Err(fault) => fault.says,
    }
}

#[test]
fn what_is_no_table_of_trials_is_refused_in_words() {
    for (text, expected) in [
        ("", "holds no trials"),
        ("x,n,value\n", "holds no trials"),
        ("a,b\n1,2\n", "has no value of a trial among its columns (a, b)"),
        ("a,value\n1,2\n", "has no parameter of this search space, but a"),
        ("value\n1\n", "has no parameters among its columns (value)"),
        ("x,n,value\n1,2,nan\n1,3,\n", "holds no trial that completed with a value (2 without)"),
        ("x,n,value\n1,2,inf\n", "holds no trial that completed with a value (1 without)"),
        ("x;n;value\n1;2;1,5\n", "has the value 1,5, and a number has a point"),
        (
            "x,n,value\n1,2,3\n1,2,\"1,5\"\n",
            "1 trials; trials.csv holds 1 completed trial (a table); 1 more did not complete with a value; its losses guide the search until its own trials tell more",
        ),
        (
            "x,n,value\n99,2,1\n",
            "holds 1 completed trial, and none lies in this search space: see x",
        ),
        ("x,n,value\n1,2,3,4\n", "holds one row (line 2), which cannot be read"),
        ("x,n,value\n\"1,2,3\n", "holds one row (line 2), which cannot be read"),
        (
            "x,n,value\n\n1,2,3,4\n1,2\n",
            "holds 2 rows, none of which can be read (the first in line 3)",
        ),
        ("[]", "holds no trials"),
        ("{}", "has no value of a trial among its columns ()"),
        ("[1, 2]", "holds no whole row, and 2 that cannot be read"),
        ("{\"op_code\": 0, \"study_name\": \"s\", \"directions\": [1]}", "holds no trials of s"),
        (
            "[{\"x\": 1, \"value\": 2},\n {\"x\": 1, \"value\": NaN},\n {\"x\": 1, \"val",
            "is no JSON from line 3 on: EOF while parsing a string",
        ),
        ("{\"op_code\": 4, \"study_id\": 0}", "holds no study of Optuna"),
        (
            "{\"op_code\": 0, \"study\n{\"op_code\": 4, \"study_id\": 0}",
            "holds no study of Optuna that is whole: line 1 cannot be read",
        ),
    ] {
        assert_eq!(says("trials.csv", text), expected, "{text}");
    }
    assert_eq!(gather("a.csv", b"\xff\xfe\x00x").unwrap_err().says, "is no text");
    let latin = gather("a.csv", b"x,n,value\n1,2,3\nf\xfcnf,2,3\n").unwrap_err().says;
    assert_eq!(latin, "is not in UTF-8: line 3 has a letter of another encoding");
}

#[test]
fn a_database_is_answered_with_the_command_that_turns_it_into_what_is_read() {
    let fault = gather("runs/old.db", b"SQLite format 3\0rest").unwrap_err();
    assert_eq!(fault.says, "is a database of SQLite, which fleetfit does not read");
    assert!(
        fault.hint.ends_with(
            "optuna trials --study-name NAME --storage sqlite:///runs/old.db -f json > NAME.json"
        ),
        "{}",
        fault.hint
    );
}

#[test]
fn broken_rows_are_left_out_and_the_rest_counts() {
    let truncated = "x,n,value\n1,2,3\n4,5,6\n7,\"8";
    let said = says("trials.csv", truncated);
    assert!(said.starts_with("2 trials; "), "{said}");
    assert!(said.contains("1 row cannot be read and is left out (line 4)"), "{said}");
    let spread = "\u{feff}x;n;loss\r\n1,5;2;3\r\n4;5;\"1\"\r\n\r\n";
    assert!(says("trials.csv", spread).starts_with("1 trials; "), "{}", says("trials.csv", spread));
    let of_old = "x,n,loss\r1,2,3\r4,5,\"6\r7\"\r4,5,6";
    assert!(says("trials.csv", of_old).starts_with("2 trials; "), "{}", says("t.csv", of_old));
    let lines = "{\"x\": 1, \"n\": 2, \"value\": 3}\n{\"x\": 1, \"n\": 2, \"val";
    assert!(says("trials.jsonl", lines).starts_with("1 trials; "), "{}", says("t.jsonl", lines));
}

fn bests(space: &str, goal: &str, text: &str) -> Vec<String> {
    let job = crate::sources::job(space, "start_from: trials.csv");
    let goal = format!("goal: {goal}, primary_metric: rmse");
    let job = job.replace("goal: minimize, primary_metric: loss", &goal);
    let study = fleetfit_search_spaces::Job::read("job.yaml", &job).unwrap().study().unwrap();
    let file = |_: &str| Ok(text.as_bytes().to_vec());
    let start = warm::gather(&study, 1, &Sources { journal: None, file: &file, digest: None });
    match start {
        Ok(start) => start.first.iter().map(Configuration::to_json).collect(),
        Err(faults) => vec![faults[0].1.says.clone()],
    }
}

#[test]
fn a_score_is_turned_and_a_parameter_is_no_value() {
    let scores = "param_x,mean_test_score\n1,-187\n2,-12\n";
    let space = "{x: {type: int, min: 0, max: 9}}";
    for goal in ["minimize", "maximize"] {
        assert_eq!(bests(space, goal, scores)[0], r#"{"x":2}"#, "{goal}");
    }
    let losses = "x,loss\n1,187\n2,12\n";
    assert_eq!(bests(space, "minimize", losses)[0], r#"{"x":2}"#);
    let says = "has no value of a trial among its columns (x, loss)";
    assert_eq!(bests(space, "maximize", losses), [says]);
    let space = "{x: {type: int, min: 0, max: 9}, loss: [squared, absolute]}";
    let own = "x,loss,score\n1,squared,187\n2,absolute,12\n";
    assert_eq!(bests(space, "minimize", own)[0], r#"{"x":2,"loss":"absolute"}"#);
    let own = "params_x,params_loss,loss\n1,squared,187\n2,absolute,12\n";
    assert_eq!(bests(space, "minimize", own)[0], r#"{"x":2,"loss":"absolute"}"#);
}

#[test]
fn shares_keep_the_order_however_much_worse_a_trial_is() {
    let space = "{x: {type: int, min: 0, max: 9}}";
    for entities in [&["a"][..], &["a", "b"]] {
        let mut text = "trial,entity,value,configuration.x\n".to_owned();
        for (trial, value) in [10, 50, 40, 30].into_iter().enumerate() {
            for entity in entities {
                writeln!(text, "{trial},{entity},{value},{}", trial * 3).unwrap();
            }
        }
        let found = bests(space, "minimize", &text);
        assert_eq!(found, [r#"{"x":0}"#, r#"{"x":9}"#, r#"{"x":6}"#, r#"{"x":3}"#]);
    }
}

#[test]
fn numbers_that_json_does_not_have_are_none_and_shift_no_trial() {
    let lines = [
        r#"{"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [1]}"#,
        r#"{"op_code": 4, "study_id": 0, "state": 1, "values": [NaN], "params": {"x": -Infinity}}"#,
        r#"{"op_code": 4, "study_id": 0, "system_attrs": {"note\" NaN": Infinity}}"#,
        r#"{"op_code": 4, "study_id": 0, "datetime"#,
        r#"{"op_code": 4, "study_id": 7, "datetime"#,
        r#"{"op_code": 4, "study_id": 0}"#,
        r#"{"op_code": 5, "trial_id": 3, "param_name": "n", "param_value_internal": 4.0,
            "distribution": "{\"name\": \"IntDistribution\", \"attributes\": {}}"}"#,
        r#"{"op_code": 6, "trial_id": 3, "state": 1, "values": [0.5]}"#,
        r#"{"op_code": 6, "trial_id": 1, "state": 1, "values": [Infinity]}"#,
    ];
    let text = lines.map(|line| line.replace('\n', "")).join("\n");
    let start = gather("optuna.journal", text.as_bytes()).unwrap();
    let said = &start.remarks[0].1;
    assert!(said.contains("1 completed trial ") && said.contains("2 more did not"), "{said}");
    assert!(said.contains("2 rows cannot be read"), "{said}");
    assert!(start.first[0].to_json().ends_with(r#""n":4}"#), "{}", start.first[0].to_json());

    let said = says("t.json", r#"[{"x": 1, "n": 2, "value": NaN}, {"x": 3, "n": 2, "value": 1}]"#);
    assert!(said.starts_with("1 trials; ") && said.contains("1 more did not"), "{said}");
    let said = says("t.jsonl", "{\"x\": 1, \"value\": 1}\n{\"x\": NaN, \"value\": 2}");
    let expected = "1 of them has no value for a parameter of this space";
    assert!(said.starts_with("1 trials; ") && said.contains(expected), "{said}");
    let said = says("t.jsonl", "{\"x\": 1, \"n\": 2, \"value\": 1, \"a\": -Infinity}\n{\"x\"");
    assert!(said.starts_with("1 trials; "), "{said}");
}

#[test]
fn of_many_rows_those_outside_of_the_space_push_none_out() {
    let mut text = "x,n,value\n1,2,5\n".to_owned();
    for i in 0..40_000_u32 {
        writeln!(text, "{},3,{}", if i % 2 == 0 { 11 } else { -7 }, i % 5).unwrap();
    }
    let start = gather("trials.csv", text.as_bytes()).unwrap();
    assert_eq!(start.earlier.len(), 1);
    let said = &start.remarks[0].1;
    assert!(said.contains("40000 of them lie outside of this space (x)"), "{said}");
    assert!(!said.contains("the best and the latest"), "{said}");
}

#[test]
fn a_table_of_configurations_is_whole_or_says_where_it_is_not() {
    let told = |text: &str| match warm::configurations(text) {
        Ok(table) => {
            let rows = table.configurations.iter().enumerate();
            rows.map(|(at, row)| format!("{} {row}", table.spot(at, "").line)).collect::<Vec<_>>()
        }
        Err(faults) => {
            let told = |(at, fault): &(warm::Spot, warm::Fault)| {
                format!("{}:{}: {}", at.line, at.column, fault.says)
            };
            faults.iter().map(told).collect()
        }
    };
    let text = "x,m.k,word\n1,2,\"a\nb\"\n\n,,\n3,,None\n";
    let rows = [r#"2 {"m":{"k":2},"word":"a\nb","x":1}"#, r#"6 {"word":"None","x":3}"#];
    let mut found = told(text);
    // The order of names is the map's affair.
    found[0] = found[0].replace(r#"{"x":1,"m":{"k":2},"word":"a\nb"}"#, &rows[0][2..]);
    found[1] = found[1].replace(r#"{"x":3,"word":"None"}"#, &rows[1][2..]);
    assert_eq!(found, rows);
    let wrong = "x,n,x\n1,2,3\n1,2\n1,2,3,4\n\"1,2,3\n";
    assert_eq!(
        told(wrong),
        [
            "1:5: two columns called x",
            "3:1: 2 cells under 3 names",
            "4:1: 4 cells under 3 names",
            "5:1: a quote that is not closed",
        ]
    );
    for text in ["", "\n", "x,n\n", "x,n\n\n"] {
        assert_eq!(told(text), ["1:1: no configuration"]);
    }
}

#[test]
fn words_for_nothing_are_words_where_a_choice_has_them() {
    let space = "{x: {type: int, min: 0, max: 9}, penalty: [None, l1]}";
    let text = "x,penalty,value\n1,None,1\n2,l1,2\n3,nan,0\nnan,l1,0\n,l1,3\n";
    let found = bests(space, "minimize", text);
    assert_eq!(found[0], r#"{"x":1,"penalty":"None"}"#);
    assert_eq!(found[1], r#"{"x":2,"penalty":"l1"}"#);
    // An empty cell leaves the parameter open; what fits no value leaves the trial out.
    assert!(
        found.len() <= 3 && found.iter().all(|own| !own.starts_with(r#"{"x":3,"#)),
        "{found:?}"
    );
    // A branch is without the parameters of the others.
    let space = "{model: [{kind: svm, c: {type: int, min: 0, max: 9}}, {kind: knn, k: [1, 2]}]}";
    let text = "model.kind,model.c,model.k,value\nsvm,4,nan,1\nknn,nan,1,2\n";
    let found = bests(space, "minimize", text);
    assert_eq!(found, [r#"{"model":{"kind":"svm","c":4}}"#, r#"{"model":{"kind":"knn","k":1}}"#]);
}

#[test]
fn losses_out_of_all_proportion_leave_the_search_sane() {
    let mut text = "x,n,value\n".to_owned();
    for i in 0..60_usize {
        let value = ["1e308", "-1e308", "0", "1", "1e-300"][i % 5];
        writeln!(text, "{},{},{value}", i % 10, i % 8 + 1).unwrap();
    }
    let start = gather("trials.csv", text.as_bytes()).unwrap();
    for algorithm in ["tpe", "gp", "cma_es", "auto"] {
        let job = crate::sources::job(SPACE, "").replace("tpe", algorithm);
        let study = fleetfit_search_spaces::Job::read("job.yaml", &job).unwrap().study().unwrap();
        let mut sampler = sampler::for_study(&study, 1).unwrap();
        sampler.earlier(&start.earlier);
        for number in 0..20 {
            let configuration = sampler.propose(number).unwrap();
            assert!(study.space.contains(&configuration), "{algorithm}");
            sampler.seen(number, &configuration);
            sampler.told(number, sampler::Fate::Completed(f64::from(number)));
        }
    }
}

#[test]
fn a_hundred_thousand_rows_are_cut_to_the_best_and_the_latest() {
    let mut text = "number,value,params_x,params_n,state\n".to_owned();
    for i in 0..100_000_u64 {
        let x = (i * 7_919 % 15_000) as f64 / 1_000.0 - 5.0;
        let value = (i * 104_729 % 99_991) as f64;
        writeln!(text, "{i},{value},{x},{},COMPLETE", i % 8 + 1).unwrap();
    }
    let start = gather("trials.csv", text.as_bytes()).unwrap();
    assert_eq!(start.earlier.len(), 2_000);
    let least = start.earlier.iter().map(|trial| trial.loss).fold(f64::INFINITY, f64::min);
    assert_eq!(least, 0.0);
    let last = start.earlier.last().unwrap();
    assert_eq!(last.loss, (99_999_u64 * 104_729 % 99_991) as f64);
    assert!(start.remarks[0].1.contains("100000 completed trials"), "{}", start.remarks[0].1);
    assert!(start.remarks[0].1.contains("the best and the latest 2000 count"));
}
