//! A schedule as it is shown.

use fleetfit_search_spaces::schedule::CreateJob;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Live;

/// A schedule as it is shown. Times are in UTC, as RFC 3339 writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Its name.
    pub schedule: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When, in words.
    pub trigger: String,
    /// On whose clock.
    pub time_zone: String,
    /// The job file; nothing where the job stands in the schedule.
    pub job: Option<String>,
    /// When it was created.
    pub created: Option<String>,
    /// Whether it runs nothing.
    pub paused: bool,
    /// The next time; nothing where there is none, or it is paused.
    pub next_due: Option<String>,
    /// The time of the last run.
    pub last_fired: Option<String>,
    /// The last study that it made.
    pub last_study: Option<String>,
    /// Why the last run made none, or why the schedule cannot be used.
    pub last_error: Option<String>,
    /// How many runs were missed.
    pub missed: u64,
    /// The time of the last missed one.
    pub last_missed: Option<String>,
}

pub(super) fn of(live: &Live) -> ScheduleView {
    let text = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
    let (stored, schedule) = (&live.stored, &live.schedule);
    ScheduleView {
        schedule: stored.name.clone(),
        display_name: schedule.display_name.clone(),
        description: schedule.description.clone(),
        trigger: live.trigger.words(),
        time_zone: live.trigger.zone.name.clone(),
        job: match &schedule.create_job {
            CreateJob::File { path, .. } => Some(path.clone()),
            CreateJob::Inline(_) => None,
        },
        created: Some(stored.created.to_string()),
        paused: stored.paused,
        next_due: text(live.next.filter(|_| !stored.paused)),
        last_fired: text(stored.last_fired),
        last_study: stored.last_study.clone(),
        last_error: stored.last_error.clone(),
        missed: stored.missed,
        last_missed: text(stored.last_missed),
    }
}

pub(super) fn unreadable(name: &str, why: &str) -> ScheduleView {
    ScheduleView {
        schedule: name.to_owned(),
        trigger: "unknown".to_owned(),
        time_zone: "unknown".to_owned(),
        last_error: Some(why.to_owned()),
        ..ScheduleView::default()
    }
}
