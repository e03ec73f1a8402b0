//! What a machine is said to train on: with no driver, and with one that is only told to be there.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Place, Ran};

/// A driver as far as somebody looks for cards.
const DRIVER: &str = r#"
#include <cstdlib>
#include <cstring>
static bool is(const char* what) { const char* own = getenv("DRIVER"); return own && !strcmp(own, what); }
extern "C" {
int cuDriverGetVersion(int* version) { *version = is("old") ? 12080 : 13000; return 0; }
int cuInit(unsigned) { return is("bare") ? 100 : is("broken") ? 999 : 0; }
int cuDeviceGetCount(int* n) { *n = 1; return 0; }
int cuDeviceGet(int* device, int) { *device = 7; return 0; }
int cuDeviceGetName(char* name, int n, int) { strncpy(name, "Imagined Card", n); return 0; }
int cuDeviceTotalMem_v2(size_t* n, int) { *n = 3ull << 30; return 0; }
int cuDeviceGetAttribute(int* value, int which, int) { *value = which == 75 ? 9 : 0; return 0; }
int cuGetErrorString(int, const char** says) { *says = "an imagined error"; return 0; }
}
"#;

fn ask(place: &Place, driver: &str, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    command.env("LD_LIBRARY_PATH", place.path("")).env("DRIVER", driver);
    Ran::of(command.output().expect("fleetfit starts"))
}

#[test]
fn a_machine_tells_its_cards_or_why_there_are_none() {
    let place = Place::new();
    let text = ask(&place, "", &["devices"]).ok().stdout;
    assert!(text.starts_with("cpu "), "{text}");
    let told = ask(&place, "", &["devices", "--output", "json"]).ok().json();
    assert!(told["cpu"]["cores"].as_u64().is_some_and(|cores| cores > 0), "{told}");
    assert_eq!(told["trains_on"], json!(["cpu"]));
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
    let source = place.write("driver.cc", DRIVER);
    let compiled = Command::new("g++")
        .args(["-shared", "-fPIC", "-o"])
        .arg(place.path("libcuda.so.1"))
        .arg(source)
        .status()
        .expect("g++, which tests/run installs on Debian");
    assert!(compiled.success());
    let told = ask(&place, "one", &["devices", "--output", "json"]).ok().json();
    let card = json!({
        "device": "cuda:0",
        "name": "Imagined Card",
        "memory_bytes": 3_u64 << 30,
        "compute_capability": "9.0",
        "driver": "13.0",
    });
    assert_eq!((&told["cards"], &told["no_cards_because"]), (&json!([card]), &Value::Null));
    let text = ask(&place, "one", &["devices"]).ok().stdout;
    assert!(text.contains("cuda:0  Imagined Card, 3.0 GiB, compute capability 9.0"), "{text}");
    for (driver, reason) in [
        ("old", "the driver is for CUDA 12.8, but 13.0 or later is needed"),
        ("bare", "the driver finds no card"),
        ("broken", "the driver refuses: an imagined error"),
    ] {
        let told = ask(&place, driver, &["devices", "--output", "json"]).ok().json();
        assert_eq!(told["no_cards_because"], reason);
    }
}
