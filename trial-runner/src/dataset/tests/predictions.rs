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
    let error = predict("store,c,day,x\n1,a,2024-01-01,much\n").unwrap_err();
    assert_eq!(error.to_string(), "p.csv:2: column \"x\" holds \"much\", which is not a number");
    let error = predict("store,c,day,x\n1,a,yesterday,1\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "p.csv:2: column \"day\" holds \"yesterday\", which is not a date like 2024-01-31"
    );
}

/// A parquet file with a key of true and false, and a moment called `x`.
fn typed() -> Vec<u8> {
    use ::parquet::data_type::{BoolType, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    let schema = "message t { required boolean open; required int64 x (TIMESTAMP_MILLIS); }";
    let schema = Arc::new(::parquet::schema::parser::parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let mut open = rows.next_column().unwrap().unwrap();
    open.typed::<BoolType>().write_batch(&[true, false], None, None).unwrap();
    open.close().unwrap();
    let mut x = rows.next_column().unwrap().unwrap();
    x.typed::<Int64Type>().write_batch(&[0, 86_400_000], None, None).unwrap();
    x.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn true_is_one_key_in_every_spelling() {
    let folder = Folder::with("t.csv", "open,x,y\nTrue,2024-01-01,1\nFalse,2024-01-02,2\n");
    let trained = folder.load(&by(&["open"], regression("t.csv", "y"))).unwrap();
    let keys: Vec<String> = trained.entities().iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["false", "true"]);
    let folder = folder.and("p.parquet", typed()).and("p.csv", "open,x\nTRUE,\n1,\nfalse,\n");
    let rows = |file: &str| {
        let (schema, entities) = (trained.schema(), trained.entities());
        Prediction::load(&folder.path(), &source(file), schema, entities).unwrap()
    };
    let typed = rows("p.parquet");
    assert_eq!((typed.rows(0), typed.rows(1)), (&[1_u32][..], &[0_u32][..]));
    let text = rows("p.csv");
    assert_eq!((text.rows(0), text.rows(1)), (&[2_u32][..], &[0_u32][..]));
    assert_eq!(text.unknown_rows(), [1]);
}

#[test]
fn a_moment_is_no_number() {
    let folder = Folder::with("t.csv", "x,y\n1,1\n2,2\n").and("p.parquet", typed());
    let trained = folder.load(&regression("t.csv", "y")).unwrap();
    let (schema, entities) = (trained.schema(), trained.entities());
    let error = Prediction::load(&folder.path(), &source("p.parquet"), schema, entities);
    assert_eq!(
        error.unwrap_err().to_string(),
        "p.parquet, row 1: column \"x\" holds \"1970-01-01\", which is not a number"
    );
}

#[test]
fn keys_that_look_missing_are_predicted() {
    let folder = Folder::with("t.csv", "c,x,y\nNA,1,1\nDE,2,2\n").and("p.csv", "c,x\nNA,1\n,1\n");
    let trained = folder.load(&by(&["c"], regression("t.csv", "y"))).unwrap();
    let (schema, entities) = (trained.schema(), trained.entities());
    let rows = Prediction::load(&folder.path(), &source("p.csv"), schema, entities).unwrap();
    assert_eq!((rows.rows(1), rows.unknown_rows()), (&[0_u32][..], &[1_u32][..]));
    assert_eq!(rows.passed_values(0), ["NA"]);
}

#[test]
fn features_that_are_not_there_are_missed_by_whoever_needs_them() {
    let folder = Folder::with("t.csv", "a,d,b,y\n1,2024-01-01,1,1\n2,2024-02-03,3,2\n")
        .and("p.csv", "b,A\n7,1\n8,2\n");
    let trained = folder.load(&regression("t.csv", "y")).unwrap();
    let (schema, entities) = (trained.schema(), trained.entities());
    let rows = Prediction::load(&folder.path(), &source("p.csv"), schema, entities).unwrap();
    let frame = rows.frame(0);
    let names: Vec<&str> = frame.columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["b"]);
    assert!(rows.absent("b").is_none());
    let absent = |name: &str| rows.absent(name).map(ToString::to_string);
    let says = absent("a").unwrap();
    assert!(says.contains("there is no column \"a\""), "{says}");
    assert!(rows.absent("a").unwrap().hint.as_deref() == Some("did you mean \"A\"?"));
    let part = schema.names().into_iter().find(|name| name.starts_with("d.")).unwrap();
    assert!(absent(&part).unwrap().contains("there is no column \"d\""));
}
