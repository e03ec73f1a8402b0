//! `MLTable` folders.

use super::*;

const TABLE: &str = "y,a,when\n1,007,31/01/2024\n2,,01/02/2024\n3,x,02/02/2024\n";

/// Loads the folder `t`, which holds `TABLE` and this recipe.
fn shown(recipe: &str) -> String {
    let folder = Folder::with("t/t.csv", TABLE).and("t/MLTable", recipe);
    match folder.load(&regression("t", "y")) {
        Ok(dataset) => show(&dataset.frame(0)),
        Err(error) => show_error(&error).replace(&folder.path().display().to_string(), "…"),
    }
}

#[test]
fn verbs_shape_the_table() {
    let recipe = "
$schema: https://azuremlschemas.azureedge.net/latest/MLTable.schema.json
type: mltable
paths:
  - file: ./t.csv
transformations:
  - read_delimited:
      delimiter: ','
      encoding: ascii
      empty_as_string: true
      include_path_column: true
  - convert_column_types:
      - columns: [a]
        column_type: string
      - columns: when
        column_type: {datetime: {formats: ['%d/%m/%Y']}}
  - skip: 1
  - take: 1
";
    let one_row = recipe.replace("\n  - skip: 1", "");
    assert_eq!(shown(&one_row), "a: 007\nPath: t/t.csv\n-> 1");
    let rest = recipe.replace("\n  - take: 1", "");
    insta::assert_snapshot!(shown(&rest), @r"
    a:  x
    when.day: 1 2
    when.weekday: 4 5
    when.day_of_year: 32 33
    when.elapsed: 19754 19755
    Path: t/t.csv t/t.csv
    -> 2 3
    ");
    let dropped = rest.replace("take", "").replace("skip: 1", "drop_columns: [when, Path]");
    assert_eq!(shown(&dropped), "a: 007  x\n-> 1 2 3");
    let kept = rest.replace("skip: 1", "keep_columns: [a, y]");
    assert_eq!(shown(&kept), "a: 007  x\n-> 1 2 3");
}

#[test]
fn files_patterns_and_folders() {
    let folder = Folder::with("t/p1.csv", "a;y\n1;2\n")
        .and("t/p2.csv", "a;y\n3;4\n")
        .and("t/sub/q.csv", "a;y\n5;6\n")
        .and(
            "t/MLTable",
            "paths: [{pattern: ./p*.csv}, {folder: ./sub}]\ntransformations: [{read_delimited: {delimiter: ';'}}]",
        );
    let dataset = folder.load(&regression("t", "y")).unwrap();
    assert_eq!(show(&dataset.frame(0)), "a: 1 3 5\n-> 2 4 6");
    assert_eq!(header(&folder.path(), &source("t/MLTable")).unwrap(), ["a", "y"]);
    let folder = folder.and("t/p2.csv", "a;y\n3;4;5\n");
    let error = folder.load(&regression("t", "y")).unwrap_err();
    assert_eq!(error.place.unwrap().to_string(), "t/p2.csv:2");
}

#[test]
fn files_without_a_header_and_types() {
    let recipe = "paths: [{file: t.csv}]\ntransformations: [{read_delimited: {header: no_header}}]";
    let folder = Folder::with("t/t.csv", "1,2\n3,4\n").and("t/MLTable", recipe);
    let dataset = folder.load(&regression("t", "Column2")).unwrap();
    assert_eq!(show(&dataset.frame(0)), "Column1: 1 3\n-> 2 4");
}

#[test]
fn what_a_recipe_gets_wrong() {
    let cases = [
        "paths: [{file: t.csv}]\ntransformations:\n  - read_json_lines: {}\n",
        "paths: [{file: t.csv}]\ntransformations:\n  - read_delimited: {delimeter: ','}\n",
        "paths: [{file: t.csv}]\ntransformations:\n  - read_delimited: {encoding: utf16}\n",
        "paths: [{file: t.csv}]\ntransformations:\n  - take: many\n",
        "paths: [{file: t.csv}]\ntransformations:\n  - drop_columns: [b]\n",
        "paths: [{file: t.csv}]\ntransformations:\n  - convert_column_types: [{columns: a, column_type: float}]\n",
        "paths:\n  - file: u.csv\n",
        "paths:\n  - file: https://x.org/t.csv\n",
        "paths: [{file: t.csv}]\npath: x\n",
        "type: mltable\n",
        "paths: [",
        "",
    ];
    let all: Vec<String> = cases.iter().map(|recipe| shown(recipe)).collect();
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    …/t/MLTable:3: transformation "read_json_lines" is not known; known: read_delimited, read_parquet, convert_column_types, keep_columns, drop_columns, take, skip

    …/t/MLTable:3: setting of read_delimited "delimeter" is not known; known: delimiter, encoding, empty_as_string, header, support_multi_line, include_path_column, infer_column_types

    …/t/MLTable:3: encoding "utf16" is not known; known: utf8, utf8bom, ascii, latin1, iso88591, windows1252

    …/t/MLTable:3: take needs a number of rows

    t/t.csv: the MLTable names column "b", which isn't there

    t/t.csv:4: column "a" holds "x", and convert_column_types wants a number

    …/t/MLTable:2: "t/u.csv" does not exist
      hint: its folder holds t.csv

    …/t/MLTable:2: "https://x.org/t.csv" is a remote address
      hint: download the data and write its local path

    …/t/MLTable:2: key "path" is not known; known: paths, transformations

    …/t/MLTable: the MLTable names no file

    …/t/MLTable:2: this is not valid YAML: while parsing a node, did not find expected node content

    …/t/MLTable:1: the file is empty
    "#);
}
