//! `fleetfit devices`: what this machine has to train on.

use fleetfit_trial_runner::devices::{Card, Devices};
use serde_json::json;

use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;

const GIB: f64 = (1_u64 << 30) as f64;

/// Looks for devices and tells of them.
pub(crate) fn devices(printer: &Printer) -> Result<i32, Failure> {
    let devices = Devices::find();
    if printer.is_json() {
        let mut document = json!(devices);
        document["trains_on"] = json!(trains_on(&devices));
        printer.json(&document)?;
    } else {
        lines(&devices).iter().try_for_each(|line| printer.line(line))?;
    }
    Ok(exit::DONE)
}

fn lines(devices: &Devices) -> Vec<String> {
    let cpu = &devices.cpu;
    let cores = if cpu.cores == 1 { "core" } else { "cores" };
    let memory = cpu.memory_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    let mut lines = vec![format!("cpu     {} {cores}{memory}", cpu.cores)];
    let card = |card: &Card| {
        let Card { device, name, memory_bytes, compute_capability, driver } = card;
        let memory = size(*memory_bytes);
        format!(
            "{device}  {name}, {memory}, compute capability {compute_capability}, driver for CUDA \
             {driver}"
        )
    };
    lines.extend(devices.cards.iter().map(card));
    match &devices.no_cards_because {
        Some(reason) => {
            lines.push(format!("No graphics card: {reason}. Everything trains on the processor."));
        }
        None if devices.usable().next().is_none() => lines.push(
            "CUDA's compiler (libnvrtc.so.13), which cards of a compute capability below 8.0 need, is \
             not found: everything trains on the processor."
                .into(),
        ),
        None => {}
    }
    lines
}

/// What --device takes here.
fn trains_on(devices: &Devices) -> Vec<&str> {
    std::iter::once("cpu").chain(devices.usable().map(|card| card.device.as_str())).collect()
}

fn size(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB)
}
