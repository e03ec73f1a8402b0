//! What is taken of tables that hold more than one value, or not all of it.

use fleetfit_scheduler::warm::{self, Sources};
use fleetfit_search_spaces::{Configuration, Job};

const SPACE: &str = "{x: {type: int, min: 0, max: 9}, y: {type: int, min: 0, max: 9}}";
const LOSS: &str = "objective: {goal: minimize, primary_metric: loss}";

/// What is tried first and what is said; or what is wrong, and what to do.
fn read(
    file: &str,
    text: &str,
    objective: &str,
) -> Result<(Vec<String>, String), (String, String)> {
    let job = crate::sources::job(SPACE, &format!("start_from: {file}")).replace(LOSS, objective);
    let study = Job::read("job.yaml", &job).unwrap().study().unwrap();
    let file = |_: &str| Ok(text.as_bytes().to_vec());
    let start = warm::gather(&study, 1, &Sources { journal: None, file: &file, digest: None });
    match start {
        Ok(start) => Ok((
            start.first.iter().map(Configuration::to_json).collect(),
            start.remarks[0].1.clone(),
        )),
        Err(faults) => Err((faults[0].1.says.clone(), faults[0].1.hint.clone())),
    }
}

/// The same of a table that is of use: what is tried first begins so, and this is said.
#[track_caller]
fn check(text: &str, objective: &str, first: &str, says: &[&str]) {
    let file = if text.starts_with(['[', '{']) { "trials.json" } else { "trials.csv" };
    let (found, said) = read(file, text, objective).unwrap();
    assert!(found[0].starts_with(first), "{found:?} {said}");
    for says in says {
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn a_column_with_gaps_is_drawn_where_they_are() {
    let says = ["y is open in 2 of the 3 trials that fit, and drawn there"];
    check("x,y,loss\n1,,3\n2,5,1\n3,,2\n", LOSS, r#"{"x":2,"y":5}"#, &says);
    // One that lies elsewhere is not drawn.
    let (_, said) = read("t.csv", "x,y,loss\n1,2,3\n44,,2\n", LOSS).unwrap();
    assert!(!said.contains("drawn"), "{said}");
    check("x,loss\n1,3\n", LOSS, r#"{"x":1"#, &["y is not among its parameters and is drawn"]);
}

#[test]
fn a_column_that_is_there_twice_is_refused_by_its_name() {
    let (says, hint) = read("t.csv", "x,y,x,loss\n1,2,3,4\n", LOSS).unwrap_err();
    assert_eq!(says, "has two columns called x");
    assert_eq!(hint, "leave one of the columns out");
    let (says, _) = read("t.csv", "x,loss,y,x,,,loss\n1,2,3,4,5,6,7\n", LOSS).unwrap_err();
    assert_eq!(says, "has two columns called x, and more: loss");
    let (_, hint) = read("t.csv", ",value,params,params\n,,x,y\n0,1,2,3\n", LOSS).unwrap_err();
    assert_eq!(hint, "write the table without multi_index");
}

/// As `pandas.DataFrame(search.cv_results_)` has them.
const SCORES: &str = "mean_fit_time,param_x,params,split0_test_r2,mean_test_r2,rank_test_r2,\
                      mean_test_neg_root_mean_squared_error,mean_test_lag\n\
                      0.1,1,\"{'x': 1}\",0.5,0.5,2,-3.5,7\n0.1,2,\"{'x': 2}\",0.8,0.8,1,-2.5,1\n\
                      0.1,3,\"{'x': 3}\",0.2,0.2,3,-9.5,4\n";

#[test]
fn of_several_scores_the_metric_s_own_counts() {
    let minimize =
        |metric: &str| format!("objective: {{goal: minimize, primary_metric: {metric}}}");
    let maximize =
        |metric: &str| format!("objective: {{goal: maximize, primary_metric: {metric}}}");
    let best = "of which the largest is the best";
    for metric in ["rmse", "root_mean_squared_error", "neg_root_mean_squared_error"] {
        let says = ["mean_test_neg_root_mean_squared_error is its value", best, "scikit-learn's"];
        check(SCORES, &minimize(metric), r#"{"x":2"#, &says);
    }
    for metric in ["r2", "r2_score"] {
        check(SCORES, &maximize(metric), r#"{"x":2"#, &["mean_test_r2 is its value", best]);
    }
    check(SCORES, &minimize("lag"), r#"{"x":1"#, &["mean_test_lag is its value"]);
    let (says, hint) = read("t.csv", SCORES, LOSS).unwrap_err();
    assert_eq!(
        says,
        "has the scores of several metrics (mean_test_lag, mean_test_neg_root_mean_squared_error, \
         mean_test_r2), and none of loss"
    );
    assert_eq!(hint, "call one of these columns mean_test_loss");
    // The only one there is, whatever it is called.
    let only = "param_x,mean_test_mine\n1,-3\n2,-1\n";
    check(only, LOSS, r#"{"x":2"#, &["mean_test_mine is its value", best]);
    // Bounds and further objectives are in the metric's own units.
    let two = "objective: [{goal: minimize, primary_metric: rmse}, {goal: minimize, primary_metric: lag}]";
    check(SCORES, two, r#"{"x":"#, &["that is all"]);
    let bounded = format!("{}\nconstraints: [\"rmse <= 3\"]", maximize("lag"));
    check(SCORES, &bounded, r#"{"x":2"#, &["mean_test_lag"]);
}

#[test]
fn columns_of_lists_and_tables_in_parts_are_read() {
    for text in [
        r#"{"param_x": [1, 2], "params": [{"x": 1}, {"x": 2}], "mean_test_loss": [-3, -1]}"#,
        r#"{"columns": ["params_x", "value"], "index": [0, 1], "data": [[1, 3], [2, 1]]}"#,
        r#"{"schema": {"fields": []}, "data": [{"x": 1, "value": 3}, {"x": 2, "value": 1}]}"#,
        r#"[{"params": {"x": 1}, "value": 3, "state": "TrialState.COMPLETE"},
            {"params": {"x": 2}, "value": 1, "state": 1},
            {"params": {"x": 3}, "value": 0, "state": "TrialState.PRUNED"}]"#,
    ] {
        check(text, LOSS, r#"{"x":2"#, &["2 completed trials"]);
    }
    // Rows by their labels, in the order of these.
    let rows =
        (0..12).map(|row| format!("\"{row}\": {{\"x\": {}, \"value\": {}}}", row % 10, 20 - row));
    let rows = format!("{{{}}}", rows.collect::<Vec<_>>().join(", "));
    check(&rows, LOSS, r#"{"x":1,"#, &["12 completed trials"]);
    let ragged = r#"{"x": [1, 2, 3], "value": [3, 1]}"#;
    check(ragged, LOSS, r#"{"x":2"#, &["1 row cannot be read and is left out"]);
}

#[test]
fn nothing_is_a_value_where_an_object_of_parameters_says_so() {
    let text = r#"[{"params": {"x": 1, "kind": null}, "value": 1}, {"params": {"x": 2, "kind": "a"}, "value": 2}]"#;
    for word in ["none", "None"] {
        let space = format!("{{x: {{type: int, min: 0, max: 9}}, kind: [a, {word}]}}");
        let job = crate::sources::job(&space, "start_from: trials.json");
        let study = Job::read("job.yaml", &job).unwrap().study().unwrap();
        let file = |_: &str| Ok(text.as_bytes().to_vec());
        let sources = Sources { journal: None, file: &file, digest: None };
        let start = warm::gather(&study, 1, &sources).unwrap();
        assert_eq!(start.first[0].to_json(), format!(r#"{{"x":1,"kind":"{word}"}}"#));
    }
}

#[test]
fn a_parameter_s_name_may_begin_like_another_form_s() {
    // A column beside the parameters, not the only one of them.
    check("x,y,param_count,loss\n1,2,1e6,3\n2,3,2e6,1\n", LOSS, r#"{"x":2,"y":3}"#, &["a table"]);
}

#[test]
fn what_counts_of_several_objectives_is_said() {
    let two = "objective: [{goal: minimize, primary_metric: loss}, {goal: maximize, primary_metric: gain}]";
    let csv = "values_0,values_1,params_x,state\n3,1,1,COMPLETE\n1,1,2,COMPLETE\n";
    check(csv, LOSS, r#"{"x":2"#, &["the first of its 2 objectives is what counts"]);
    let said = ["its 2 objectives are taken for this study's, in their order"];
    check(csv, two, r#"{"x":2"#, &said);
    let json =
        r#"[{"params": {"x": 1}, "values": [3, 1]}, {"params": {"x": 2}, "values": [1, 1]}]"#;
    check(json, LOSS, r#"{"x":2"#, &["the first of its 2 objectives is what counts"]);
    check(json, two, r#"{"x":2"#, &said);
    // With names that Optuna was told.
    let named = "values_gain,values_loss,params_x,state\n1,3,1,COMPLETE\n1,1,2,COMPLETE\n";
    check(named, LOSS, r#"{"x":2"#, &["of its 2 metrics loss is what counts"]);
    check(named, two, r#"{"x":2"#, &["its 2 metrics are taken for those called like them"]);
    let three = csv.replace("values_1,", "values_1,values_2,").replace(",1,COM", ",0,1,COM");
    let three = three.replace(",2,COM", ",0,2,COM");
    let says = ["the first 2 of its 3 objectives are taken for this study's"];
    check(&three, two, r#"{"x":2"#, &says);
}

#[test]
fn trials_that_broke_a_constraint_are_left_out() {
    let says = ["1 completed trial ", "1 more broke its constraints and is left out"];
    for name in ["system_attrs_constraints", "system_attrs_constraints:size"] {
        let [bad, good] =
            if name.ends_with('s') { ["\"[-1, 2.5]\"", "\"[0, -1]\""] } else { ["2.5", "-1"] };
        let csv = format!("value,params_x,{name},state\n1,1,{bad},COMPLETE\n3,2,{good},COMPLETE\n");
        check(&csv, LOSS, r#"{"x":2"#, &says);
    }
    let line = |rest: &str| format!("{{\"worker_id\": \"w\", {rest}}}\n");
    let mut journal = line(r#""op_code": 0, "study_name": "s", "directions": [1]"#);
    for (id, x, attribute) in
        [(0, 1, r#"{"constraints": [0.0, 3.0]}"#), (1, 2, r#"{"constraints:a": -1}"#)]
    {
        journal += &line(r#""op_code": 4, "study_id": 0, "datetime_start": "2026-11-20T06:00:00""#);
        journal += &line(&format!(
            r#""op_code": 5, "trial_id": {id}, "param_name": "x", "param_value_internal": {x}, "distribution": "{{\"name\": \"IntDistribution\", \"attributes\": {{\"low\": 0, \"high\": 9, \"log\": false, \"step\": 1}}}}""#
        ));
        journal += &line(&format!(r#""op_code": 9, "trial_id": {id}, "system_attr": {attribute}"#));
        journal +=
            &line(&format!(r#""op_code": 6, "trial_id": {id}, "state": 1, "values": [{id}]"#));
    }
    let (first, said) = read("s.journal", &journal, LOSS).unwrap();
    assert!(first[0].starts_with(r#"{"x":2"#), "{first:?}");
    assert!(said.contains("1 completed trial ") && said.contains("1 more broke"), "{said}");
}

#[test]
fn the_exact_configuration_counts_where_a_column_is_called_alike() {
    let text = concat!(
        "configuration,configuration.state,loss\n",
        "\"{\"\"state\"\":\"\" sp \"\"}\", sp ,1\n",
        "\"{\"\"state\"\":\"\"2.5\"\"}\",2.5,0\n",
    );
    let space = r#"{state: {type: choice, values: [" sp ", "2.5", 2.5]}}"#;
    let job = crate::sources::job(space, "start_from: trials.csv");
    let study = Job::read("job.yaml", &job).unwrap().study().unwrap();
    let file = |_: &str| Ok(text.as_bytes().to_vec());
    let start = warm::gather(&study, 1, &Sources { journal: None, file: &file, digest: None });
    let start = start.unwrap();
    let first: Vec<String> = start.first.iter().map(Configuration::to_json).collect();
    assert_eq!(first, [r#"{"state":"2.5"}"#, r#"{"state":" sp "}"#], "{:?}", start.remarks);
}

#[test]
fn a_parquet_file_is_told_as_such() {
    let (says, hint) = read("trials.parquet.csv", "PAR1\u{0}", LOSS).unwrap_err();
    assert_eq!(says, "is a Parquet file, which start_from does not read");
    assert!(hint.contains("--output csv"), "{hint}");
}
