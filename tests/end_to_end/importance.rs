//! Which columns matter: to one entity's model, to each, and on average.

use serde_json::{Value, json};

use crate::harness::Place;

/// Three stores. Sales fall with the price in all of them; the weather matters in `c` alone, and
/// noise in none.
pub(crate) fn sales() -> String {
    let mut text = String::from("store,price,weather,noise,sales\n");
    for store in ["a", "b", "c"] {
        for row in 0..120_u32 {
            let (price, noise) = (row * 7 % 40, row * 13 % 31);
            let weather = if row % 3 == 0 { "rain" } else { "sun" };
            let wet = if store == "c" && row % 3 == 0 { 200 } else { 0 };
            text.push_str(&format!(
                "{store},{price},{weather},{noise},{}\n",
                900 - 5 * price + wet
            ));
        }
    }
    text
}

pub(crate) fn job(name: &str, partition: &str, learner: &str, space: &str) -> String {
    format!(
        "\
type: sweep
name: {name}
training_data: {{path: sales.csv}}
target_column_name: sales
task: regression
{partition}trial: {{learner: {learner}}}
search_space: {space}
sampling_algorithm: grid
objective: {{goal: minimize, primary_metric: rmse}}
n_cross_validations: 2
seed: 1
"
    )
}

pub(crate) const STORES: &str = "partition_column_names: [store]\n";

/// A study of this learner, ended.
fn study(place: &Place, partition: &str, learner: &str, space: &str) {
    place.write("sales.csv", &sales());
    place.write("job.yaml", &job("why", partition, learner, space));
    place.fleetfit(&["run", "job.yaml"]).ok();
}

fn share(row: &Value) -> f64 {
    row["share"].as_f64().expect("a share")
}

#[test]
fn the_columns_that_matter_are_named_for_each_store_and_on_average() {
    let place = Place::new();
    study(&place, STORES, "gradient_boosting", "{n_estimators: [20]}");
    let mean = place.lines(&["importance", "why"]);
    let names: Vec<_> = mean.iter().map(|row| row["feature"].as_str().expect("a name")).collect();
    assert_eq!(names[..2], ["price", "weather"], "{mean:?}");
    assert!((mean.iter().map(share).sum::<f64>() - 1.0).abs() < 1e-9, "{mean:?}");
    for (key, value) in [("entity", Value::Null), ("by", json!("gain")), ("models", json!(3))] {
        assert_eq!(mean[0][key], value, "{key}");
    }
    assert_eq!(mean[0]["used_by"], 3);

    let one = place.lines(&["importance", "why", "--entity", "c"]);
    assert_eq!(one[0]["entity"], json!({"store": "c"}));
    let weather = one.iter().find(|row| row["feature"] == "weather").expect("the weather");
    assert!(share(weather) > 0.2, "{one:?}");
    let each = place.lines(&["importance", "why", "--all", "--top", "1"]);
    let stores: Vec<_> = each.iter().map(|row| &row["entity"]["store"]).collect();
    assert_eq!(stores, ["a", "b", "c"]);
    assert!(each[..2].iter().all(|row| row["feature"] == "price"), "{each:?}");
    let all = place.lines(&["importance", "why", "--all"]);
    let prices = all.iter().filter(|row| row["feature"] == "price");
    assert!((prices.map(share).sum::<f64>() / 3.0 - share(&mean[0])).abs() < 1e-12);

    let csv = place.fleetfit(&["importance", "why", "--output", "csv"]).ok().stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "entity,feature,share,by,models,used_by");
    assert_eq!(lines.len(), 1 + mean.len());
    assert!(lines[1].starts_with(",price,") && lines[1].ends_with(",gain,3,3"), "{csv}");
    let told = place.fleetfit(&["importance", "why"]).ok().stdout;
    assert!(told.contains(" %") && told.contains("3 of 3"), "{told}");
    assert_eq!(place.fleetfit(&["importance", "why", "--entity", "d"]).code, 2);
}

#[test]
fn every_learner_tells_in_its_own_way_or_that_it_does_not() {
    for (learner, by) in [
        ("ridge", "coefficients"),
        ("lasso", "coefficients"),
        ("random_forest", "splits"),
        ("decision_tree", "splits"),
    ] {
        let place = Place::new();
        study(&place, "", learner, "{}");
        let rows = place.lines(&["importance", "why"]);
        assert_eq!(
            (&rows[0]["feature"], &rows[0]["by"]),
            (&json!("price"), &json!(by)),
            "{rows:?}"
        );
        assert!(rows[0]["entity"].is_null());
        let total: f64 = rows.iter().map(share).sum();
        assert!((total - 1.0).abs() < 1e-9, "{learner}: {total}");
    }
    let place = Place::new();
    study(&place, "", "knn", "{}");
    let said = place.fleetfit(&["importance", "why"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("do not tell which columns matter"), "{}", said.stderr);
}
