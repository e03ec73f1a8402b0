//! Who is missing for a study to go on: a runner, or one that runs programs.

use std::borrow::Cow;
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

#[derive(Clone, Default)]
struct Able {
    /// Whether any works at all.
    anything: bool,
    /// Whether any runs programs.
    programs: bool,
    /// How many are refused, and why the first of them is.
    refused: Option<(usize, String)>,
}

impl App {
    /// What to start for a study that nobody there can run.
    pub(super) fn lacking(&self, study: &str) -> Option<Cow<'static, str>> {
        let able = self.able()?;
        if able.programs {
            return None;
        }
        // One that cannot be read has other troubles.
        let record = query::find(&self.service.journal, study).ok()?;
        match (kind(&record.study().ok()?)?, able.refused) {
            (_, Some((n, why))) if !able.anything => {
                let whose = match n {
                    1 => "the only runner is refused and gets no work".to_owned(),
                    n => format!("all {n} runners are refused and get no work"),
                };
                Some(format!("{whose}: {why}").into())
            }
            _ if !able.anything => {
                Some("no runner is there yet; start one: fleetfit runner --nats URL".into())
            }
            (Kind::Command, _) => Some(
                "no runner that is there runs programs; start one with fleetfit runner \
                 --allow-commands, or the service with --allow-commands if trials run in it"
                    .into(),
            ),
            (Kind::Fit, _) => None,
        }
    }

    fn able(&self) -> Option<Able> {
        let doors = self.service.doors.as_ref()?;
        let mut known = self.staff.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, able)) = &*known
            && at.elapsed() < FRESH
        {
            return Some(able.clone());
        }
        let mut able = Able::default();
        for runner in (doors.runners)() {
            match runner.state.as_str() {
                "working" => {
                    able.anything = true;
                    able.programs |= runner.commands;
                }
                "refused" => {
                    let why = runner.troubles.into_iter().next().unwrap_or_default();
                    able.refused.get_or_insert((0, why)).0 += 1;
                }
                _ => {}
            }
        }
        *known = Some((Instant::now(), able.clone()));
        Some(able)
    }
}
