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
        document["trains_on"] = json!(["cpu"]);
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
    lines.push(match &devices.no_cards_because {
        Some(reason) => format!("No graphics card: {reason}. Everything trains on the processor."),
        None => "This version trains everything on the processor.".into(),
    });
    lines
}

fn size(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB)
}
