//! The models of one assignment, on their way to where the study keeps them.

use fleetfit_search_spaces::disk;
use fleetfit_search_spaces::wire::{ModelAddress, Refit};
use fleetfit_search_spaces::{AssignmentKey, FromRunner};

use super::flight::Landing;
use super::{ATTACHED, Keeping, Lacking, Running, Tell, lock};
use crate::material::digest;
use crate::pack::PackWriter;

/// Carried models are told once there are so many bytes of them.
const CARRY_BYTES: usize = 256 << 10;

/// Winners that were refitted and not told yet.
pub(super) struct Models<'a> {
    running: &'a Running,
    of: AssignmentKey,
    tell: &'a Tell,
    refits: Vec<Refit>,
    pack: Option<PackWriter>,
    carried: Vec<u8>,
}

impl<'a> Models<'a> {
    pub(super) fn new(running: &'a Running, of: AssignmentKey, tell: &'a Tell) -> Self {
        Self { running, of, tell, refits: Vec::new(), pack: None, carried: Vec::new() }
    }

    /// Takes a model's bytes.
    pub(super) fn store(&mut self, bytes: &[u8]) -> std::io::Result<ModelAddress> {
        let work = &self.running.work;
        if let Keeping::Carried(_) = work.keeping {
            let digest = digest(bytes);
            let length = u32::try_from(bytes.len())
                .map_err(|_| std::io::Error::other("the model is larger than 4 GiB"))?;
            let offset = self.carried.len() as u64;
            self.carried.extend_from_slice(bytes);
            return Ok(ModelAddress { digest, pack: ATTACHED, offset, length });
        }
        let pack = match &mut self.pack {
            Some(pack) => pack,
            None => {
                let spare = lock(&self.running.packs).pop();
                let opened = spare.map_or_else(|| PackWriter::open(&work.dir.join("models")), Ok);
                self.pack.insert(opened?)
            }
        };
        pack.append(bytes)
    }

    pub(super) fn push(&mut self, refit: Refit) -> Result<(), Lacking> {
        self.refits.push(refit);
        if self.carried.len() >= CARRY_BYTES { self.carry() } else { Ok(()) }
    }

    /// Tells what has not been told. Models count once their bytes are on disk.
    pub(super) fn tell(mut self, landing: Landing) -> Landing {
        if let Keeping::Carried(_) = self.running.work.keeping {
            return match self.carry() {
                Ok(()) => landing,
                Err(Lacking(reason)) => Landing::Lacking(reason),
            };
        }
        if let Some(mut pack) = self.pack.take() {
            if let Err(error) = pack.sync() {
                return not_stored(&error);
            }
            lock(&self.running.packs).push(pack);
        }
        if !self.refits.is_empty() {
            (self.tell)(FromRunner::Refitted { of: self.of, models: self.refits });
        }
        landing
    }

    fn carry(&mut self) -> Result<(), Lacking> {
        match &self.running.work.keeping {
            Keeping::Carried(carrier) if !self.refits.is_empty() => {
                let (refits, bytes) =
                    (std::mem::take(&mut self.refits), std::mem::take(&mut self.carried));
                (carrier.models)(self.of, refits, bytes)
            }
            Keeping::Carried(_) | Keeping::Here => Ok(()),
        }
    }
}

/// What it means for an assignment that its models could not be stored.
pub(super) fn not_stored(error: &std::io::Error) -> Landing {
    let reason = format!("models cannot be stored: {}", disk::plain(error));
    match disk::is_of_all(error) {
        true => Landing::Unable(reason),
        false => Landing::Lacking(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_in_trouble_keeps_a_runner_from_everything() {
        let of = |number| not_stored(&std::io::Error::from_raw_os_error(number));
        // ENOSPC, and ENOENT.
        assert!(matches!(of(28), Landing::Unable(reason) if reason.contains("make space")));
        let lacking = "models cannot be stored: no such file or directory";
        assert!(matches!(of(2), Landing::Lacking(reason) if reason == lacking));
    }
}
