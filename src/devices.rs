//! `fleetfit devices`: what this machine has to train on.

use fleetfit_trial_runner::devices::{Card, Devices, Measured};
use serde_json::json;

use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::{home, inside};

const GIB: f64 = (1_u64 << 30) as f64;

/// Looks for devices and tells of them, and of what they do in a second if that is asked.
pub(crate) fn devices(measure: bool, printer: &Printer) -> Result<i32, Failure> {
    let own = inside::program()?;
    let devices = Devices::find(&own);
    let mut document = json!(devices);
    document["trains_on"] = json!(trains_on(&devices));
    for (index, card) in devices.cards.iter().enumerate() {
        document["cards"][index]["kernels"] = json!(devices.kernels(card));
    }
    if !printer.is_json() {
        lines(&devices).iter().try_for_each(|line| printer.line(line))?;
    }
    for card in devices.cards.iter().filter(|_| measure) {
        let device = &card.device;
        let all = card.measure(&own, &home::kernels()).map_err(|reason| {
            Failure::outside(&format!("{device} cannot be measured: {reason}"))
        })?;
        if printer.is_json() {
            document["measured"][device] = json!(all);
            continue;
        }
        printer.line(&format!("\n{device}, in a second:"))?;
        all.iter().try_for_each(|own| printer.line(&line(own)))?;
    }
    if printer.is_json() {
        printer.json(&document)?;
    }
    Ok(exit::DONE)
}

fn line(Measured { what, per_second, unit }: &Measured) -> String {
    let (size, prefix) = match *per_second {
        huge if huge >= 1e12 => (1e12, "T"),
        large if large >= 1e9 => (1e9, "G"),
        many if many >= 1e6 => (1e6, "M"),
        _ => (1e3, "k"),
    };
    let unit = unit.trim_end_matches("/s");
    format!("  {:>8.1} {prefix}{unit:<1}  {what}", per_second / size)
}

fn lines(devices: &Devices) -> Vec<String> {
    let cpu = &devices.cpu;
    let cores = if cpu.cores == 1 { "core" } else { "cores" };
    let memory = cpu.memory_bytes.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
    let mut lines = vec![format!("cpu     {} {cores}{memory}", cpu.cores)];
    let card = |card: &Card| {
        let Card { device, name, memory_bytes, multiprocessors, compute_capability, driver } = card;
        let memory = size(*memory_bytes);
        format!(
            "{device}  {name}, {memory}, {multiprocessors} multiprocessors of compute capability \
             {compute_capability}, driver for CUDA {driver}; kernels: {}",
            devices.kernels(card).unwrap_or("none")
        )
    };
    lines.extend(devices.cards.iter().map(card));
    let broken = devices.broken_cards.iter();
    lines.extend(broken.map(|own| format!("{}  cannot be used: {}", own.device, own.because)));
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
