//! What a machine is said to train on: with no driver, and with one that is only told to be there.

use serde_json::{Value, json};

use crate::card;
use crate::harness::{Place, Ran};

fn ask(place: &Place, driver: Option<&str>, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    match driver {
        Some(driver) => command.env("LD_LIBRARY_PATH", card::folder()).env("DRIVER", driver),
        None => command.env_remove("LD_LIBRARY_PATH"),
    };
    Ran::of(command.output().expect("fleetfit starts"))
}

#[test]
fn a_machine_tells_its_cards_or_why_there_are_none() {
    let place = Place::new();
    let text = ask(&place, None, &["devices"]).ok().stdout;
    assert!(text.starts_with("cpu "), "{text}");
    let told = ask(&place, None, &["devices", "--output", "json"]).ok().json();
    assert!(told["cpu"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{told}");
    assert_eq!(told["trains_on"][0], "cpu");
    // Machines with a card run this test, too.
    match told["no_cards_because"].as_str() {
        Some(reason) => {
            assert_eq!(told["cards"], json!([]));
            assert!(text.contains(&format!("No graphics card: {reason}.")), "{text}");
        }
        None => assert!(text.contains("cuda:0 "), "{text}"),
    }
}

#[test]
fn cards_are_told_of_as_the_driver_tells() {
    let place = Place::new();
    let told = ask(&place, Some(""), &["devices", "--output", "json"]).ok().json();
    let card = json!({
        "device": "cuda:0",
        "name": "Imagined Card",
        "memory_bytes": 3_u64 << 30,
        "multiprocessors": 2,
        "compute_capability": "12.0",
        "driver": "13.0",
        // Who has the compiler on the system's path uses it.
        "kernels": match told["has_cuda_compiler"].as_bool() {
            Some(true) => "compiled by CUDA's compiler",
            _ => "compiled by its driver",
        },
    });
    assert_eq!((&told["cards"], &told["no_cards_because"]), (&json!([card]), &Value::Null));
    assert_eq!(told["trains_on"], json!(["cpu", "cuda:0"]));
    let text = ask(&place, Some(""), &["devices"]).ok().stdout;
    assert!(text.contains("cuda:0  Imagined Card, 3.0 GiB, 2 multiprocessors of"), "{text}");
    assert!(text.contains("driver for CUDA 13.0; kernels: compiled by "), "{text}");
    for (driver, reason) in [
        ("old", "the driver is for CUDA 12.8, but 13.0 or later is needed"),
        ("bare", "the driver finds no card"),
        ("broken", "the driver refuses: an imagined error"),
        // Not with the process that asks for it.
        ("dies", "its driver ends the process that asks it (signal: 6 (SIGABRT))"),
        ("stands", "its driver does not answer within 30 s"),
    ] {
        let told = ask(&place, Some(driver), &["devices", "--output", "json"]).ok().json();
        let told = told["no_cards_because"].as_str().unwrap_or_default();
        // Whether it leaves a core is the machine's.
        assert_eq!(told.replace(" (core dumped)", ""), reason);
    }
}

#[test]
fn a_card_is_measured() {
    let place = Place::new();
    let command = place.command(&["devices", "--measure", "--output", "json"]);
    let output = card::with_card(command, &place, "").output();
    let told = Ran::of(output.expect("fleetfit starts")).ok().json();
    let all = told["measured"]["cuda:0"].as_array().expect("a list");
    assert_eq!(all.len(), 9, "{told}");
    for own in all {
        assert!(own["per_second"].as_f64().is_some_and(|value| value > 0.0), "{own}");
    }
}
