//! A kernel that fails: what it takes with it has to be done again, as `gpu-check` makes sure on a real
//! card.

use std::ffi::OsString;
use std::path::PathBuf;

use super::machine::{Fault, Grid, Kernel, Machine, Word};

pub(super) const FAULTY: Kernel = Kernel { name: "faulty", source: include_str!("faulty.cu") };

/// Names a file. Where it is there, the next launch of a card's process is of this kernel, and the file
/// is gone. It is for `gpu-check`, stands in no manual, and may change; only a card's process heeds it.
const VARIABLE: &str = "FLEETFIT_FAULTY_LAUNCH";

/// When the kernel is launched.
#[derive(Clone, Debug, Default)]
pub(super) struct Trap(Option<PathBuf>);

impl Trap {
    /// What the environment says.
    pub(super) fn of_process() -> Self {
        Self::at(std::env::var_os(VARIABLE))
    }

    fn at(file: Option<OsString>) -> Self {
        Self(file.map(PathBuf::from))
    }

    /// Launches the kernel if it is time for it. Nobody waits for what comes of it: all that follows
    /// fails.
    pub(super) fn spring(&self, machine: &Machine) -> Result<(), Fault> {
        // Of all processes and queues that see it one takes it away.
        match &self.0 {
            Some(file) if std::fs::remove_file(file).is_ok() => fail(machine),
            _ => Ok(()),
        }
    }
}

fn fail(machine: &Machine) -> Result<(), Fault> {
    let grid = Grid { n_blocks: 1, n_threads: 32, shared: 0 };
    machine.launch(&FAULTY, &[], grid, &[Word::Int(1)])
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    vec![(FAULTY, Vec::new())]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cuda::shim::Shim;
    use crate::cuda::shipped::ptx;

    /// What the table of schedules (`cuda/tests.rs`) runs: it fails by what it says itself.
    pub(in crate::cuda) fn under(shim: Shim) {
        let fault = fail(&Machine::Shim(shim)).unwrap_err().to_string();
        assert!(fault.contains("faulty: a trap"), "{fault}");
    }

    #[test]
    fn cards_are_told_to_stop() {
        assert!(ptx(&FAULTY, &[]).is_some_and(|code| code.contains("\ttrap;\n")));
    }

    #[test]
    fn one_launch_fails_for_each_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, machine) = (dir.path().join("next"), Machine::Shim(Shim::default()));
        let trap = Trap::at(Some(file.clone().into()));
        assert_eq!((trap.spring(&machine), Trap::at(None).spring(&machine)), (Ok(()), Ok(())));
        std::fs::write(&file, "").unwrap();
        assert_eq!(Trap::default().spring(&machine), Ok(()));
        assert!(trap.clone().spring(&machine).is_err());
        assert_eq!((trap.spring(&machine), file.exists()), (Ok(()), false));
    }
}
