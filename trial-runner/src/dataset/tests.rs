//! Data sets out of files, through the door that everybody uses.

mod forecasts;
mod mltables;
mod parquets;
mod predictions;
mod readings;
mod robustness;

use std::path::PathBuf;

use fleetfit_search_spaces::data::{Folds, Forecasting, Task};

use super::*;
use crate::frame::{FeatureValues, MISSING, TargetKind, readable};

/// A folder with files, gone when the test is over.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new().and(name, bytes)
    }

    fn and(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn load(&self, spec: &DataSpec) -> Result<Dataset, DataError> {
        Dataset::load(&self.path(), spec)
    }
}

fn source(path: &str) -> DataSource {
    DataSource { paths: vec![path.to_owned()], place: Default::default() }
}

fn regression(path: &str, target: &str) -> DataSpec {
    DataSpec {
        training: source(path),
        validation: None,
        test: None,
        target: target.to_owned(),
        task: Task::Regression,
        partition_columns: Vec::new(),
        weight_column: None,
        positive_label: None,
        folds: Folds::Auto,
        forecasting: None,
    }
}

fn classification(path: &str, target: &str) -> DataSpec {
    DataSpec { task: Task::Classification, ..regression(path, target) }
}

fn by(columns: &[&str], spec: DataSpec) -> DataSpec {
    DataSpec {
        partition_columns: columns.iter().map(|&column| column.to_owned()).collect(),
        ..spec
    }
}

/// Loads `t.csv` with the target `y` and shows the one frame, or the error.
fn shown(text: impl AsRef<[u8]>) -> String {
    let folder = Folder::with("t.csv", text);
    match folder.load(&regression("t.csv", "y")) {
        Ok(dataset) => show(&dataset.frame(0)),
        Err(error) => show_error(&error),
    }
}

fn show_error(error: &DataError) -> String {
    match &error.hint {
        Some(hint) => format!("{error}\n  hint: {hint}"),
        None => error.to_string(),
    }
}

/// A frame as text: a line a column, missing values as `_`.
fn show(frame: &Frame) -> String {
    let number = |value: &f64| match value.is_nan() {
        true => "_".to_owned(),
        false => value.to_string(),
    };
    let word = |levels: &[String], code: u32| match code {
        MISSING => "_".to_owned(),
        _ => levels[code as usize].clone(),
    };
    let mut lines: Vec<String> = frame
        .columns
        .iter()
        .map(|column| {
            let values: Vec<String> = match &column.values {
                FeatureValues::Number(values) => values.iter().map(number).collect(),
                FeatureValues::Category { codes, levels } => {
                    codes.iter().map(|&code| word(levels, code)).collect()
                }
            };
            format!("{}: {}", readable(&column.name), values.join(" "))
        })
        .collect();
    lines.push(match &frame.target {
        Target::Number(values) => {
            format!("-> {}", values.iter().map(number).collect::<Vec<_>>().join(" "))
        }
        Target::Class { codes, labels } => {
            let words: Vec<String> = codes.iter().map(|&code| word(labels, code)).collect();
            format!("-> {} of {}", words.join(" "), labels.join("|"))
        }
        Target::Unknown => "-> unknown".to_owned(),
    });
    if let Some(weights) = &frame.weights {
        lines.push(format!("* {}", weights.iter().map(number).collect::<Vec<_>>().join(" ")));
    }
    lines.join("\n")
}

#[test]
fn columns_find_their_types() {
    let text = "a,b,c,d,y\n1,red,true,2024-01-01,1\n,blue,False,2024-01-02,2.5\n-3e2,NA,,,3\n";
    insta::assert_snapshot!(shown(text), @r"
    a: 1 _ -300
    b: red blue _
    c: 1 0 _
    d.day: 1 2 _
    d.weekday: 1 2 _
    d.day_of_year: 1 2 _
    d.elapsed: 19723 19724 _
    -> 1 2.5 3
    ");
}

#[test]
fn delimiters_quotes_marks_and_line_ends() {
    let expected = shown("a,b,y\nx,1.5,1\n\"p, q\",2,2\n");
    assert_eq!(expected, "a: x p, q\nb: 1.5 2\n-> 1 2");
    for text in [
        "a;b;y\nx;1.5;1\n\"p, q\";2;2\n",
        "a\tb\ty\nx\t1.5\t1\np, q\t2\t2\n",
        "a|b|y\nx|1.5|1\np, q|2|2",
        "\u{feff}a,b,y\r\nx,1.5,1\r\n\"p, q\",2,2\r\n",
        " a , b ,y\n x ,1.5, 1\n\"p, q\", 2 ,2\n\n",
    ] {
        assert_eq!(shown(text), expected, "{text:?}");
    }
    assert_eq!(shown("a,y\n\"two\nlines\",1\nx,2\n"), "a: two\nlines x\n-> 1 2");
}

#[test]
fn gzip_is_found_by_content() {
    use std::io::Write;
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(b"a,y\n1,2\n").unwrap();
    let zipped = zipped.finish().unwrap();
    assert_eq!(shown(&zipped), "a: 1\n-> 2");
    let cut = shown(&zipped[..zipped.len() - 9]);
    assert!(cut.starts_with("t.csv"), "{cut}");
    assert!(cut.contains("cannot be read"), "{cut}");
}

#[test]
fn broken_files_name_file_and_line() {
    let cases = [
        "",
        "a,y\n",
        "a,y\n1,2\n3\n",
        "a,y\n1,2\n3,4,5\n",
        "a,a,y\n1,2,3\n",
        ",a,y\n0,1,2\n",
        "a,b\n1,2\n",
        "a,Y\n1,2\n",
        "a,y\n1,2\n2,many\n",
        "a,y\n1,\n2,NA\n",
        "a,y\n1,2024-01-01\n",
        "y\n1\n2\n",
        "PK\u{3}\u{4}rest",
    ];
    let all: Vec<String> = cases.iter().map(shown).collect();
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    t.csv: the file is empty

    t.csv: there is a header and no row

    t.csv:3: this row has 1 field, and the first row has 2 fields
      hint: put fields that hold the delimiter or a line break in double quotes

    t.csv:3: this row has 3 fields, and the first row has 2 fields
      hint: put fields that hold the delimiter or a line break in double quotes

    t.csv:1: two columns are called "a"

    t.csv:1: column 1 has no name
      hint: if pandas wrote the file, write it with index=False

    t.csv: there is no column "y"
      hint: its columns are a, b

    t.csv: there is no column "y"
      hint: did you mean "Y"?

    t.csv:3: the target "y" is not numeric: it holds "many"
      hint: for classes, write task: classification

    t.csv: every value of the target "y" is missing

    t.csv: the target "y" holds dates

    t.csv: no column is left to learn from

    t.csv: the file is a zip archive
      hint: export the table as csv or parquet
    "#);
    assert_eq!(
        shown(b"a,y\nx,1\ncaf\xe9,2\n"),
        "t.csv:3: this row is not valid UTF-8 text\n  hint: save the file as UTF-8, or name its \
         encoding in an MLTable file's read_delimited"
    );
    assert!(shown(b"\xff\xfea\0,\0y\0\n\0").contains("UTF-16"));
}

#[test]
fn paths_that_lead_nowhere() {
    let folder = Folder::with("data/a.csv", "x,y\n1,2\n").and("data/notes.md", "");
    for (path, fault, message) in [
        ("b.csv", Fault::Missing, "\"b.csv\" does not exist"),
        ("data/b.csv", Fault::Missing, "\"data/b.csv\" does not exist"),
        ("data/*.parquet", Fault::Missing, "no file matches \"data/*.parquet\""),
        ("https://x.org/a.csv", Fault::Remote, "\"https://x.org/a.csv\" is a remote address"),
        ("azureml:table:1", Fault::Remote, "\"azureml:table:1\" is a remote address"),
    ] {
        let error = folder.load(&regression(path, "y")).unwrap_err();
        assert_eq!((error.fault, error.to_string()), (fault, message.to_owned()));
        assert_eq!(error.key, "training_data");
    }
    let error = folder.load(&regression("data/b.csv", "y")).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("its folder holds a.csv"));
    assert!(folder.load(&regression("data", "y")).is_ok());
    let empty = Folder::with("x/notes.md", "");
    assert_eq!(empty.load(&regression("x", "y")).unwrap_err().fault, Fault::Missing);
}

#[test]
fn files_make_one_table_by_name() {
    let folder =
        Folder::with("a1.csv", "x,y\n1,2\n").and("a2.csv", "y;x\n4;3\n").and("b.csv", "x,z\n1,2\n");
    let dataset = folder.load(&regression("a*.csv", "y")).unwrap();
    assert_eq!(show(&dataset.frame(0)), "x: 1 3\n-> 2 4");
    let bytes = b"x,y\n1,2\ny;x\n4;3\n";
    assert_eq!(dataset.digest(), blake3::hash(bytes).to_hex().as_str());
    let error = folder.load(&regression("*.csv", "y")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "b.csv: its columns are not those of a1.csv: it lacks y and has z besides"
    );
    let mut two = regression("a2.csv", "y");
    two.training.paths.push("a1.csv".to_owned());
    assert_eq!(show(&folder.load(&two).unwrap().frame(0)), "x: 3 1\n-> 4 2");
    assert_eq!(header(&folder.path(), &two.training).unwrap(), ["y", "x"]);
}

#[test]
fn entities_lie_together_in_the_files_order() {
    let text = "store,brand,x,y\n10,b,1,1\n9,a,2,2\n10,a,3,3\n9,a,4,4\n,a,5,5\n10,b,6,\n9,c,7,\n";
    let folder = Folder::with("t.csv", text);
    let dataset = folder.load(&by(&["store", "brand"], regression("t.csv", "y"))).unwrap();
    let keys: Vec<String> = dataset.entities().iter().map(ToString::to_string).collect();
    assert_eq!(
        keys,
        ["store=9,brand=a", "store=9,brand=c", "store=10,brand=a", "store=10,brand=b"]
    );
    let frames: Vec<String> = (0..4).map(|entity| show(&dataset.frame(entity))).collect();
    assert_eq!(frames, ["x: 2 4\n-> 2 4", "x: \n-> ", "x: 3\n-> 3", "x: 1\n-> 1"]);
    assert_eq!(dataset.n_rows(), 4);
    assert_eq!(dataset.frame(99).n_rows, 0);
    insta::assert_snapshot!(dataset.notices().join("\n"), @r"
    1 row is not used: a partition column is empty there
    2 rows are not used: the target is missing there
    ");
}

#[test]
fn keys_with_leading_zeros_are_text() {
    use fleetfit_search_spaces::value::Value;
    for (text, expected) in [
        ("k,x,y\n007,1,1\n7,2,2\n", vec![Value::Text("007".into()), Value::Text("7".into())]),
        ("k,x,y\n2,1,1\n10.0,2,2\n", vec![Value::Int(2), Value::Int(10)]),
        (
            "k,x,y\n99999999999999999998,1,1\n99999999999999999999,2,2\n",
            vec![
                Value::Text("99999999999999999998".into()),
                Value::Text("99999999999999999999".into()),
            ],
        ),
        ("k,x,y\n2.5,1,1\n1,2,2\n", vec![Value::Int(1), Value::Float(2.5)]),
        ("k,x,y\nb,1,1\na,2,2\n", vec![Value::Text("a".into()), Value::Text("b".into())]),
    ] {
        let folder = Folder::with("t.csv", text);
        let dataset = folder.load(&by(&["k"], regression("t.csv", "y"))).unwrap();
        let keys: Vec<Value> = dataset.entities().iter().map(|key| key.0[0].1.clone()).collect();
        assert_eq!(keys, expected);
    }
}

#[test]
fn labels_are_sorted_and_shared() {
    let show_classes = |text: &str, positive: Option<&str>| {
        let folder = Folder::with("t.csv", text);
        let spec = DataSpec {
            positive_label: positive.map(str::to_owned),
            ..classification("t.csv", "y")
        };
        match folder.load(&spec) {
            Ok(dataset) => show(&dataset.frame(0)).replace("x: 1 2 3\n", ""),
            Err(error) => format!("{}: {error}", error.key),
        }
    };
    let text = "x,y\n1,10\n2,9\n3,10.0\n";
    assert_eq!(show_classes(text, None), "-> 10 9 10 of 9|10");
    assert_eq!(show_classes(text, Some("9")), "-> 10 9 10 of 10|9");
    assert_eq!(show_classes(text, Some("8")), "positive_label: no row has the class \"8\"");
    assert_eq!(show_classes("x,y\n1,yes\n2,no\n3,yes\n", None), "-> yes no yes of no|yes");
    assert_eq!(
        show_classes("x,y\n1,TRUE\n2,False\n3,\n", Some("true")),
        "x: 1 2\n-> TRUE False of False|TRUE"
    );
    assert_eq!(
        show_classes("x,y\n1,a\n2,a\n", None),
        "target_column_name: the target \"y\" has one class, \"a\""
    );
    let many: String = (0..1001).map(|row| format!("{row},c{row}\n")).collect();
    assert_eq!(
        show_classes(&format!("x,y\n{many}"), None),
        "target_column_name: the target \"y\" has 1001 classes"
    );
}

#[test]
fn columns_with_a_job_of_their_own_are_no_features() {
    let text = "k,w,s,x,y\n1,1,0,5,1\n1,0.5,1,6,2\n";
    let folder = Folder::with("t.csv", text);
    let spec = DataSpec {
        weight_column: Some("w".to_owned()),
        folds: Folds::Columns(vec!["s".to_owned()]),
        ..by(&["k"], regression("t.csv", "y"))
    };
    let dataset = folder.load(&spec).unwrap();
    assert_eq!(show(&dataset.frame(0)), "x: 5 6\n-> 1 2\n* 1 0.5");
    assert_eq!(dataset.marks(0).columns, [vec![0.0, 1.0]]);
    for (text, key, line) in [
        ("k,w,s,x,y\n1,1,0,5,1\n1,-1,1,6,2\n", "weight_column_name", "t.csv:3"),
        ("k,w,s,x,y\n1,1,0,5,1\n1,,1,6,2\n", "weight_column_name", "t.csv:3"),
        ("k,w,s,x,y\n1,1,2,5,1\n1,1,1,6,2\n", "cv_split_column_names", "t.csv:2"),
        ("k,s,x,y\n1,1,2,5\n", "weight_column_name", "t.csv"),
        ("w,s,x,y\n1,1,2,5\n", "partition_column_names", "t.csv"),
        ("k,w,x,y\n1,1,2,5\n", "cv_split_column_names", "t.csv"),
    ] {
        let error = Folder::with("t.csv", text).load(&spec).unwrap_err();
        assert_eq!(error.key, key);
        assert_eq!(error.place.as_ref().unwrap().to_string(), line, "{error}");
    }
}

#[test]
fn parts_of_dates_are_no_columns() {
    let text = "d,d.day,y\n2024-01-01,7,1\n2024-01-02,8,2\n";
    let folder = Folder::with("t.csv", text);
    let dataset = folder.load(&regression("t.csv", "y")).unwrap();
    let frame = dataset.frame(0);
    let names: std::collections::HashSet<&str> =
        frame.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names.len(), frame.columns.len());
    assert!(names.contains("d.day"));
    let error = shown("d\u{1f}day,y\n1,2\n");
    assert_eq!(error, "t.csv:1: the name of column 1 holds a control character");
}

#[test]
fn text_that_names_rows_is_left_out() {
    let rows: String =
        (0..300).map(|row| format!("id{row},g{},,2024-01-01,{row}\n", row % 3)).collect();
    let folder = Folder::with("t.csv", format!("id,group,nothing,day,y\n{rows}"));
    let dataset = folder.load(&regression("t.csv", "y")).unwrap();
    assert_eq!(dataset.schema().names(), ["group"]);
    insta::assert_snapshot!(dataset.notices().join("\n"), @r"
    columns without any value are not used: nothing
    text columns that name rows rather than describe them are not used: id
    dates that never change are not used: day
    ");
}

#[test]
fn validation_rows_follow_the_training_rows() {
    let folder = Folder::with("t.csv", "k,c,x,y\n2,a,1,1\n1,b,2,2\n2,a,3,3\n")
        .and("v.csv", "y,k,x,c\n9,1,8,b\n7,2,6,z\n5,3,4,a\n,1,1,a\n");
    let spec =
        DataSpec { validation: Some(source("v.csv")), ..by(&["k"], regression("t.csv", "y")) };
    let dataset = folder.load(&spec).unwrap();
    assert_eq!(show(&dataset.frame(0)), "c: b b\nx: 2 8\n-> 2 9");
    assert_eq!(show(&dataset.frame(1)), "c: a a _\nx: 1 3 6\n-> 1 3 7");
    assert_eq!(dataset.entities().len(), 2);
    assert_eq!(dataset.marks(0).n_training, Some(1));
    assert_eq!(dataset.marks(1).n_training, Some(2));
    assert_eq!(dataset.marks(1).refit_rows(3), [0, 1]);
    insta::assert_snapshot!(dataset.notices().join("\n"), @r"
    1 row of validation_data is not used: the training data has no such entity
    1 row of validation_data is not used: the target is missing there
    ");
    let folder = folder.and("v.csv", "y,k,x\n1,1,1\n");
    let error = folder.load(&spec).unwrap_err();
    assert_eq!(
        (error.key, error.to_string()),
        ("validation_data", "v.csv: there is no column \"c\"".to_owned())
    );
}

#[test]
fn a_schema_survives_its_stored_form() {
    let folder = Folder::with("t.csv", "k,c,d,x,y\n1,a,2024-01-01,1,no\n2,b,2024-02-02,2,yes\n");
    let dataset = folder.load(&by(&["k"], classification("t.csv", "y"))).unwrap();
    let json = serde_json::to_string(dataset.schema()).unwrap();
    assert_eq!(&serde_json::from_str::<FeatureSchema>(&json).unwrap(), dataset.schema());
    let bytes = postcard::to_stdvec(dataset.schema()).unwrap();
    assert_eq!(&postcard::from_bytes::<FeatureSchema>(&bytes).unwrap(), dataset.schema());
}
