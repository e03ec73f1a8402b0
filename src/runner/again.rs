//! A runner whose card was lost begins anew in its place: the driver answers a process no more in
//! which a kernel failed. What it had was handed back, so nothing is lost, and nothing is done twice.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetfit_trial_runner::devices::Device;

use crate::failure::Failure;

/// When the card was lost before: seconds since 1970, from one process to the next.
const LOSSES: &str = "FLEETFIT_DEVICE_LOSSES";

/// A card that is lost so often within so many seconds is left alone.
const MOST_LOSSES: usize = 3;
const WITHIN_S: u64 = 3_600;

/// Begins anew, and does not come back; or says why not.
pub(super) fn begin(own: &Path, device: &Device) -> Failure {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let losses = losses(&std::env::var(LOSSES).unwrap_or_default(), now_s);
    let reason = device.lost().unwrap_or_default();
    if losses.len() >= MOST_LOSSES {
        return Failure::Unavailable(format!(
            "{device} was lost {} times within an hour: {reason}",
            losses.len()
        ));
    }
    let told = losses.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    let error = Command::new(own).args(std::env::args_os().skip(1)).env(LOSSES, told).exec();
    Failure::Unavailable(format!(
        "{device} was lost ({reason}), and no new process begins: {error}"
    ))
}

/// The latest losses, this one included.
fn losses(before: &str, now_s: u64) -> Vec<u64> {
    let before = before.split(' ').filter_map(|second| second.parse().ok());
    let is_late = |second: &u64| now_s.saturating_sub(*second) < WITHIN_S;
    before.filter(is_late).chain([now_s]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_forgotten_after_an_hour() {
        assert_eq!(losses("", 9_000), [9_000]);
        assert_eq!(losses("1000 6000 nonsense 8000", 9_000), [6_000, 8_000, 9_000]);
        assert_eq!(losses("6000 8000", 20_000), [20_000]);
    }
}
