//! Who is missing for a study to go on: a runner, or one that runs programs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::subjects::Kind;

use super::App;
use crate::engine::kind;
use crate::query;

/// How long it counts what runners could do: many ask, and few runners come and go.
const FRESH: Duration = Duration::from_secs(1);

/// What runners could do a moment ago.
#[derive(Default)]
pub(super) struct Staff(Mutex<Option<(Instant, Able)>>);

#[derive(Clone, Copy)]
struct Able {
    /// Whether any works at all.
    anything: bool,
    /// Whether any runs programs.
    programs: bool,
}

impl App {
    /// What to start for a study that nobody there can run.
    pub(super) fn lacking(&self, study: &str) -> Option<&'static str> {
        let able = self.able()?;
        if able.programs {
            return None;
        }
        // One that cannot be read has other troubles.
        let record = query::find(&self.service.journal, study).ok()?;
        match kind(&record.study().ok()?)? {
            _ if !able.anything => {
                Some("no runner is there yet; start one: fleetfit runner --nats URL")
            }
            Kind::Command => Some(
                "no runner that is there runs programs; start one with fleetfit runner \
                 --allow-commands, or the service with --allow-commands if trials run in it",
            ),
            Kind::Fit => None,
        }
    }

    fn able(&self) -> Option<Able> {
        let doors = self.service.doors.as_ref()?;
        let mut known = self.staff.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, able)) = *known
            && at.elapsed() < FRESH
        {
            return Some(able);
        }
        let mut able = Able { anything: false, programs: false };
        for runner in (doors.runners)().iter().filter(|runner| runner.state == "working") {
            able.anything = true;
            able.programs |= runner.commands;
        }
        *known = Some((Instant::now(), able));
        Some(able)
    }
}
