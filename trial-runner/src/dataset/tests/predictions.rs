//! Rows to predict.

use super::*;
use crate::dataset::Prediction;

fn train() -> Dataset {
    let text = "store,c,day,x,y\n1,a,2024-01-01,1,1\n2,b,2024-02-02,2,2\n1,a,2024-03-03,3,3\n";
    let folder = Folder::with("t.csv", text);
    folder.load(&by(&["store"], regression("t.csv", "y"))).unwrap()
}

fn predict(text: &str) -> Result<Prediction, DataError> {
    let trained = train();
    let folder = Folder::with("p.csv", text);
    Prediction::load(&folder.path(), &source("p.csv"), trained.schema(), trained.entities())
}

#[test]
fn the_same_rows_give_the_same_frames() {
    let trained = train();
    let text = "x,store,day,y,c\n1,1,2024-01-01,1,a\n2,2,2024-02-02,2,b\n3,1,2024-03-03,3,a\n";
    let rows = predict(text).unwrap();
    for entity in 0..2 {
        assert_eq!(show(&rows.frame(entity)), show(&trained.frame(entity)));
    }
    assert_eq!(rows.rows(0), [0, 2]);
    assert_eq!(rows.rows(1), [1]);
    assert_eq!(rows.entities(), [0, 1]);
}

#[test]
fn unknown_entities_levels_and_targets() {
    let text = "store,c,day,x\n3,a,2024-01-01,1\n1.0,z,2024-01-01,\n,a,2024-01-01,1\n1,b,,5\n";
    let rows = predict(text).unwrap();
    assert_eq!(rows.n_rows(), 4);
    assert_eq!(rows.unknown_rows(), [0, 2]);
    assert_eq!(rows.entities(), [0]);
    assert_eq!(rows.rows(0), [1, 3]);
    insta::assert_snapshot!(show(&rows.frame(0)), @r"
    c: _ b
    day.month: 1 _
    day.day: 1 _
    day.weekday: 1 _
    day.day_of_year: 1 _
    day.elapsed: 19723 _
    x: _ 5
    -> unknown
    ");
    assert_eq!(rows.passed_columns(), ["store"]);
    let passed: Vec<Vec<&str>> = (0..4).map(|row| rows.passed_values(row)).collect();
    assert_eq!(passed, [["3"], ["1.0"], [""], ["1"]]);
    assert_eq!(rows.frame(1).n_rows, 0);
    assert_eq!(rows.frame(7).n_rows, 0);
}

#[test]
fn what_a_model_cannot_take() {
    let error = predict("store,c,day\n1,a,2024-01-01\n").unwrap_err();
    assert_eq!(error.to_string(), "p.csv: there is no column \"x\"");
    let error = predict("store,c,day,x\n1,a,2024-01-01,much\n").unwrap_err();
    assert_eq!(error.to_string(), "p.csv:2: column \"x\" holds \"much\", which is not a number");
    let error = predict("store,c,day,x\n1,a,yesterday,1\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "p.csv:2: column \"day\" holds \"yesterday\", which is not an ISO date"
    );
}
