//! What cells are read as, and what is said where people may expect something else.

use super::*;

fn notices(text: &str, spec: &DataSpec) -> (Dataset, String) {
    let dataset = Folder::with("t.csv", text).load(spec).unwrap();
    let notices = dataset.notices().join("\n");
    (dataset, notices)
}

/// A table of 150 rows with a column `a`, made by a function of the row, and one more.
fn table(a: impl Fn(usize) -> String) -> String {
    let rows: String = (0..150).map(|row| format!("{},{},{row}\n", a(row), row % 3)).collect();
    format!("a,b,y\n{rows}")
}

#[test]
fn one_odd_word_among_numbers_is_named() {
    let odd = |row: usize, n: usize| match row {
        77 => "abc".to_owned(),
        _ => (row % n).to_string(),
    };
    let (dataset, notices) = notices(&table(|row| odd(row, 150)), &regression("t.csv", "y"));
    assert_eq!(dataset.schema().names(), ["b"]);
    insta::assert_snapshot!(notices, @r#"column "a" is text because of "abc" at t.csv:79, though 149 of its 150 values are numbers (leave such cells empty to have numbers); it is not used: nearly every row has a text of its own there"#);
    let (dataset, notices) = self::notices(&table(|row| odd(row, 9)), &regression("t.csv", "y"));
    assert_eq!(dataset.schema().names(), ["a", "b"]);
    insta::assert_snapshot!(notices, @r#"column "a" is text because of "abc" at t.csv:79, though 149 of its 150 values are numbers (leave such cells empty to have numbers); each of its texts is a category"#);
    // Alone, it says why nothing is left.
    let alone = table(|row| odd(row, 150)).replace(",0,", ",,").replace(",1,", ",,");
    let error = shown(alone.replace(",2,", ",,"));
    assert!(
        error.contains("no column is left") && error.contains("\"abc\" at t.csv:79"),
        "{error}"
    );
}

#[test]
fn a_dash_is_missing_among_numbers_and_a_word_among_words() {
    assert_eq!(shown("a,s,y\n1,+,1\n-,-,2\n<NA>,+,3\n"), "a: 1 _ _\ns: + - +\n-> 1 2 3");
    let spec = classification("t.csv", "y");
    let (dataset, _) = notices("x,y\n1,+\n2,-\n3,NA\n", &spec);
    assert_eq!(show(&dataset.frame(0)), "x: 1 2\n-> + - of +|-");
    let (dataset, _) = notices("x,y\n1,0\n2,-\n3,1\n", &spec);
    assert_eq!(show(&dataset.frame(0)), "x: 1 3\n-> 0 1 of 0|1");
}

#[test]
fn classes_keep_their_spelling() {
    let spec = DataSpec { positive_label: Some("1".to_owned()), ..classification("t.csv", "y") };
    let (dataset, _) = notices("x,y\n1,2.50\n2,1.0\n3,2.5\n", &spec);
    assert_eq!(show(&dataset.frame(0)), "x: 1 2 3\n-> 2.50 1.0 2.50 of 2.50|1.0");
    let (dataset, _) = notices("x,y\n1,True\n2,False\n3,true\n", &classification("t.csv", "y"));
    assert_eq!(show(&dataset.frame(0)), "x: 1 2 3\n-> True False True of False|True");
}

#[test]
fn dates_of_zeros_and_of_the_end_of_time() {
    let text = "d,y\n2024-01-01,1\n9999-12-31,2\n0000-00-00,3\n";
    assert!(shown(text).starts_with("d.year: 2024 9999 _\nd.month: 1 12 _\n"), "{}", shown(text));
}

#[test]
fn dates_in_other_forms() {
    for (first, second) in [
        ("2024/01/31", "2024/02/29"),
        ("31.01.2024", "29.02.2024"),
        ("2024-1-31", "2024-2-29"),
        ("31-Jan-2024", "29-Feb-2024"),
        ("20240131", "20240229"),
    ] {
        let shown = shown(format!("d,y\n{first},1\n{second},2\n"));
        assert!(shown.starts_with("d.month: 1 2\nd.day: 31 29\n"), "{shown}");
    }
    assert!(shown("d,y\n20240131,1\n20240229,2\n20241301,3\n").starts_with("d: 20240131 2"));
    let (_, compact) = notices("d,y\n20240131,1\n20240229,2\n", &regression("t.csv", "y"));
    assert!(compact.starts_with("column \"d\" is read as dates like 20240131"), "{compact}");
    // A target and a key stay the numbers that they are.
    let spec = by(&["k"], regression("t.csv", "y"));
    let (dataset, _) = notices("k,x,y\n20240131,1,20240131\n", &spec);
    assert_eq!(dataset.entities()[0].to_string(), "20240131");
    assert_eq!(show(&dataset.frame(0)), "x: 1\n-> 20240131");
}

#[test]
fn what_only_looks_like_dates_is_named() {
    let text = table(|row| format!("{:02}/{:02}/2024", row % 28 + 1, row % 12 + 1));
    let (_, notices) = notices(&text, &regression("t.csv", "y"));
    insta::assert_snapshot!(notices, @r#"column "a" is text because "01/01/2024" at t.csv:2 is a date in a form that is not read (an MLTable file's convert_column_types says how); each of its texts is a category"#);
}

#[test]
fn keys_may_look_missing() {
    let spec = by(&["c"], regression("t.csv", "y"));
    let keys = |text: &str| {
        let (dataset, notices) = notices(text, &spec);
        let keys: Vec<String> = dataset.entities().iter().map(ToString::to_string).collect();
        (keys.join(" "), notices)
    };
    let (found, notices) = keys("c,x,y\nNA,1,1\nDE,2,2\nnull,2,2\n,3,3\n");
    assert_eq!(found, "DE NA null");
    assert_eq!(notices, "1 row is not used: a partition column is empty there");
    assert_eq!(keys("c,x,y\nNA,1,1\n7,2,2\n").0, "7");
}

#[test]
fn classes_that_training_never_saw_count_as_wrong() {
    let folder = Folder::with("t.csv", "x,y\n1,p\n2,q\n").and("v.csv", "x,y\n1,p\n2,zz\n3,\n");
    let spec = DataSpec { validation: Some(source("v.csv")), ..classification("t.csv", "y") };
    let dataset = folder.load(&spec).unwrap();
    assert_eq!(show(&dataset.frame(0)), "x: 1 2 1 2\n-> p q p zz of p|q|zz");
    assert_eq!(dataset.schema().target_kind, TargetKind::Class(vec!["p".into(), "q".into()]));
    insta::assert_snapshot!(dataset.notices().join("\n"), @r"
    1 row of validation_data is not used: the target is missing there
    1 row has a class in validation_data that training_data lacks, and counts as wrong: zz
    ");
    // A model that knows p and q is right about one of the two rows.
    let probabilities = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let judged = crate::metrics::Judged::Classes {
        truth: &[0, 2],
        probabilities: &probabilities,
        n_classes: 3,
    };
    let accuracy = fleetfit_search_spaces::Measure::Accuracy;
    let value = crate::metrics::measure(accuracy, judged, None, Default::default());
    assert_eq!(value, Ok(0.5));
}
