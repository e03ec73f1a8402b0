//! How each entity's winner is chosen.

use std::collections::HashMap;

use crate::harness::{Place, panel};
use crate::learner::JOB;

#[test]
fn shared_gives_every_entity_the_same_configuration() {
    let place = Place::new();
    place.write("sales.csv", &panel(12, 40));
    place.write("job.yaml", JOB);
    let raw = place.json(&["run", "job.yaml"]);
    let shared = place.json(&["run", "job.yaml", "--name", "shared", "--set", "selection=shared"]);
    assert_eq!(
        (&raw["best"]["selection"], &shared["best"]["selection"]),
        (&"raw".into(), &"shared".into())
    );
    assert_eq!(raw["best"]["value"], shared["best"]["value"]);
    let winner = &shared["best"]["trial"];
    let own: HashMap<String, f64> = place
        .lines(&["trials", "shared"])
        .into_iter()
        .filter(|trial| trial["trial"] == *winner)
        .map(|trial| (trial["entity"].to_string(), trial["value"].as_f64().expect("a value")))
        .collect();
    let bests = place.lines(&["best", "shared", "--all"]);
    let lowest = place.lines(&["best", "demand", "--all"]);
    assert_eq!((bests.len(), lowest.len(), own.len()), (12, 12, 12));
    let mut sum = 0.0;
    for (best, lowest) in bests.iter().zip(&lowest) {
        assert_eq!(best["trial"], *winner);
        assert_eq!(best["configuration"], shared["best"]["configuration"]);
        assert_eq!(best["selection"], "shared");
        assert!(best["model"].is_string());
        let value = best["value"].as_f64().expect("a value");
        assert_eq!(own[&best["entity"].to_string()], value);
        assert!(value >= lowest["value"].as_f64().expect("a value"));
        sum += value;
    }
    assert!(lowest.iter().any(|best| best["trial"] != *winner), "the two differ somewhere");
    let mean = shared["best"]["value"].as_f64().expect("a value");
    assert!((mean - sum / 12.0).abs() < 1e-9, "{mean} is not {}", sum / 12.0);
    let one = place.json(&["best", "shared", "--entity", "7"]);
    assert_eq!(one, bests[6]);
}
