//! The forms that training data may have.

use crate::harness::{Place, panel};
use crate::learner::JOB;

fn values(place: &Place, name: &str, data: &str) -> Vec<serde_json::Value> {
    let job = JOB.replace("{path: sales.csv}", data);
    assert_ne!((job == JOB), (data != "{path: sales.csv}"), "{data}");
    place.write("job.yaml", &job);
    let ran = place.json(&["run", "job.yaml", "--name", name]);
    assert_eq!(ran["trials"]["completed"], 64, "{ran}");
    let bests = place.lines(&["best", name, "--all"]);
    bests.into_iter().map(|best| best["value"].clone()).collect()
}

#[test]
fn the_same_rows_in_another_form_give_the_same_models() {
    let place = Place::new();
    let csv = panel(8, 40);
    place.write("sales.csv", &csv);
    let expected = values(&place, "whole", "{path: sales.csv}");
    assert_eq!(expected.len(), 8);

    // A folder with an MLTable file, as Azure's examples have it.
    place.write("table/rows.txt", &csv.replace(',', ";"));
    place.write(
        "table/MLTable",
        "paths:\n  - file: ./rows.txt\ntransformations:\n  - read_delimited:\n      delimiter: \
         ';'\n      encoding: utf8\n      header: all_files_same_headers\n",
    );
    assert_eq!(values(&place, "mltable", "{type: mltable, path: ./table}"), expected);

    // Several files: by a glob, and by a list.
    let (head, rows) = csv.split_once('\n').expect("a head");
    let half = rows.lines().count() / 2;
    let part = |lines: Vec<&str>| format!("{head}\n{}\n", lines.join("\n"));
    place.write("parts/a.csv", &part(rows.lines().take(half).collect()));
    place.write("parts/b.csv", &part(rows.lines().skip(half).collect()));
    assert_eq!(values(&place, "glob", "{path: parts/*.csv}"), expected);
    assert_eq!(values(&place, "list", "[parts/a.csv, parts/b.csv]"), expected);
}
