//! Everything that a study starts from: its own points, filled in, and what earlier trials tell.

use std::collections::BTreeSet;

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Aims, Algorithm, Configuration, Origin, SearchSpace, Study};

use super::table::{Fault, Found, Tried, Wanted, best_and_latest, counted, lies_in};
use super::{csv, fill, json, optuna, pick, study as stored};
use crate::journal::Journal;
use crate::query::{self, QueryError};
use crate::sampler::Earlier;

/// How many earlier trials a sampler learns from.
const MOST_TAUGHT: usize = 2_000;

/// How many of them are tried first: at most so many, and of the study's trials this share.
const MOST_FIRST: usize = 8;
const FIRST_SHARE: u32 = 8;

/// Two of these differ by more than this along some axis of the unit cube.
const APART: f64 = 0.02;

/// How many names a notice lists.
const LISTED: usize = 8;

/// Where studies are found.
const LOOK: &str =
    "fleetfit studies lists them; a file's name ends in .csv or .json, or has a / in it";

/// What every file of SQLite begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// What every file of Parquet begins with.
const PARQUET: &[u8] = b"PAR1";

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// What a study starts from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// What is tried first, in order.
    pub first: Vec<Configuration>,
    /// What the sampler is taught.
    pub earlier: Vec<Earlier>,
    /// What is to be said, each with the place of its origin.
    pub remarks: Vec<(usize, String)>,
}

/// Everything wrong with where a study starts from, each with the place of its origin.
pub type Faults = Vec<(usize, Fault)>;

/// Where earlier trials are looked for.
pub struct Sources<'a> {
    /// Studies; none where only files are to be read.
    pub journal: Option<&'a Journal>,
    /// Files, by their paths as the study names them.
    pub file: &'a dyn Fn(&str) -> Result<Vec<u8>, Fault>,
    /// The digest of the study's own data.
    pub digest: Option<&'a str>,
}

/// Reads everything that a study with this seed starts from.
pub fn gather(study: &Study, seed: u64, sources: &Sources<'_>) -> Result<Start, Faults> {
    let mut start = Start::default();
    let points = study.points_to_evaluate.iter().zip(0..);
    start.first.extend(points.filter_map(|(part, number)| fill(&study.space, part, seed, number)));
    let mut faults = Faults::new();
    let mut bests: Vec<Vec<Configuration>> = Vec::new();
    let most = MOST_TAUGHT / study.start_from.len().max(1);
    let deaf = deaf(study);
    for (index, origin) in study.start_from.iter().enumerate() {
        match read(study, seed, origin, sources) {
            Err(fault) => faults.push((index, fault)),
            Ok(None) => {}
            Ok(Some(read)) => {
                let salt = mix(&[seed, index as u64, 8]);
                let mapped = Mapped::new(&study.space, read, most, salt);
                match mapped.fault() {
                    Some(fault) => faults.push((index, fault)),
                    None => {
                        start.remarks.push((index, mapped.says(origin, deaf.as_deref())));
                        bests.push(mapped.bests(study, salt));
                        start.earlier.extend(mapped.teaches(index as u16));
                    }
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let n_first = n_first(study);
    take_in_turns(&study.space, bests, n_first, &mut start.first);
    if deaf.is_some() {
        start.earlier.clear();
    }
    Ok(start)
}

/// How many configurations are tried first because they were good earlier.
fn n_first(study: &Study) -> usize {
    MOST_FIRST.min((study.limits.max_total_trials / FIRST_SHARE) as usize).max(1)
}

/// Who does not learn, if nobody does: one earlier loss does not say how a trial stands where there
/// are several, or bounds.
fn deaf(study: &Study) -> Option<String> {
    if !study.further_objectives.is_empty() || !study.constraints.is_empty() {
        return Some("searches with several objectives or constraints do".to_owned());
    }
    match study.sampling.meant(&study.space) {
        algorithm @ (Algorithm::Random | Algorithm::Sobol | Algorithm::Grid) => {
            Some(format!("{} does", algorithm.name()))
        }
        _ => None,
    }
}

/// The best of each source in turn, those left out that are close to others.
fn take_in_turns(
    space: &SearchSpace,
    bests: Vec<Vec<Configuration>>,
    n: usize,
    first: &mut Vec<Configuration>,
) {
    let longest = bests.iter().map(Vec::len).max().unwrap_or_default();
    let mut points: Vec<Vec<Option<f64>>> = Vec::new();
    let n_own = first.len();
    for rank in 0..longest {
        for best in &bests {
            let Some(configuration) = best.get(rank) else { continue };
            let Some(units) = space.units(configuration) else { continue };
            let is_far = |other: &Vec<Option<f64>>| {
                other.iter().zip(&units).any(|pair| match pair {
                    (Some(one), Some(other)) => (one - other).abs() > APART,
                    (one, other) => one.is_some() != other.is_some(),
                })
            };
            if first.len() - n_own < n && points.iter().all(is_far) {
                points.push(units);
                first.push(configuration.clone());
            }
        }
    }
}

/// What a source holds, and what of it is of use in a space.
struct Read {
    found: Found,
    /// Whether its losses are those that the study would measure.
    is_same: bool,
    /// What is worth trying first, the best first; none where the losses tell.
    winners: Option<Vec<Configuration>>,
}

/// Reads one source; none where it cannot be looked for.
fn read(
    study: &Study,
    seed: u64,
    origin: &Origin,
    sources: &Sources<'_>,
) -> Result<Option<Read>, Fault> {
    match origin {
        Origin::Study { study: name } => read_study(study, seed, name, sources),
        Origin::File { path, study: inner } => {
            let bytes = (sources.file)(path)?;
            let mut found = read_file(study, path, inner.as_deref(), &bytes)?;
            found.settle();
            Ok(Some(Read { found, is_same: false, winners: None }))
        }
    }
}

fn read_study(
    study: &Study,
    seed: u64,
    name: &str,
    sources: &Sources<'_>,
) -> Result<Option<Read>, Fault> {
    let allowed = "the name of an earlier study, or a file";
    let asked = |error: &dyn std::fmt::Display| {
        Fault::new(format!("cannot be read: {error}"), allowed, LOOK)
    };
    if name == study.name {
        let hint = "name the other study, or call this one something else with --name";
        return Err(Fault::new("is the name of this very study", allowed, hint));
    }
    let Some(journal) = sources.journal else { return Ok(None) };
    let record = query::find(journal, name).map_err(|error| match error {
        QueryError::UnknownStudy { nearest, .. } if !nearest.is_empty() => {
            let hint = format!("did you mean {}?", nearest.join(" or "));
            Fault::new("is no study here", allowed, hint)
        }
        QueryError::UnknownStudy { .. } => Fault::new("is no study here", allowed, LOOK),
        error => asked(&error),
    })?;
    let earlier = record.study().map_err(|error| asked(&error))?;
    let (aims, theirs) = (Aims::of(study), Aims::of(&earlier));
    let judge = stored::Counted::of(&theirs, &aims);
    let found = stored::read(journal, &record, (judge, &theirs), &study.space, &aims);
    let mut found = found.map_err(|error| asked(&error))?;
    if !record.summary.status.is_over() {
        found.remarks.push("it has not ended; what it had found by now is what counts".to_owned());
    }
    let (n, metric) = (theirs.metrics.len(), &theirs.metrics[judge.place]);
    if (theirs.objectives.len() > 1 || judge.place > 0) && aims.metrics.len() == 1 {
        let says = match judge.is_ours {
            true => format!("of its {n} metrics {metric} is what counts"),
            false => format!("the first of its {n} metrics, {metric}, is what counts"),
        };
        found.remarks.push(says);
    }
    if judge.goal != study.objective.goal {
        found.remarks.push("what it counts as better is the other way round than here".to_owned());
    }
    // Its winners are those of its own objective and bounds.
    let winners = match found.settle() || judge.place > 0 || theirs.objectives.len() > 1 {
        true => None,
        false => Some(pick(journal, name).map_err(|error| asked(&error))?),
    };
    let is_same = stored::is_same(study, seed, sources.digest, &record, &earlier);
    Ok(Some(Read { found, is_same, winners }))
}

fn read_file(study: &Study, path: &str, inner: Option<&str>, bytes: &[u8]) -> Result<Found, Fault> {
    if bytes.starts_with(SQLITE) {
        let name = inner.unwrap_or("NAME");
        let says = "is a database of SQLite, which fleetfit does not read";
        let hint = format!(
            "have Optuna write its trials, and start from these: optuna trials --study-name {name} \
             --storage sqlite:///{path} -f json > {name}.json"
        );
        return Err(Fault::new(says, "a table of trials, JSON, or a journal of Optuna", hint));
    }
    if bytes.starts_with(PARQUET) {
        let hint = "write it as CSV: fleetfit trials STUDY --output csv";
        let says = "is a Parquet file, which start_from does not read";
        return Err(Fault::new(says, "a table of trials, JSON, or a journal of Optuna", hint));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let says = match before.contains(&0) || before.is_empty() {
            true => "is no text".to_owned(),
            false => {
                let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
                format!("is not in UTF-8: line {line} has a letter of another encoding")
            }
        };
        let hint = "write it as CSV or JSON, in UTF-8";
        Fault::new(says, "a table of trials, JSON, or a journal of Optuna", hint)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let goal = study.objective.goal;
    let aims = &Aims::of(study);
    let wanted = Wanted { metric: &study.objective.metric, goal, aims, space: &study.space };
    if optuna::is_journal(text) {
        return optuna::read(text, inner, aims, &study.space);
    }
    let mut found = match text.trim_start().starts_with(['[', '{']) {
        true => json::read(text, wanted)?,
        false => csv::read(text, wanted)?,
    };
    if let Some(inner) = inner {
        found.remarks.push(format!("all of its trials are taken for those of {inner}"));
    }
    Ok(found)
}

/// The trials of a source in the study's space.
struct Mapped {
    read: Read,
    /// What fits, with the losses, in the source's order.
    fitting: Vec<(Configuration, f64)>,
    n_outside: usize,
    /// How many lie in the space, of those that are held.
    n_fitting: usize,
    unknown: Vec<(String, usize)>,
    missing: Vec<(String, usize)>,
    outside: Vec<(String, usize)>,
    space_is_shared: bool,
    n_taught: usize,
}

impl Mapped {
    fn new(space: &SearchSpace, mut read: Read, most: usize, salt: u64) -> Self {
        let mut missing = Vec::new();
        let mut unknown: Vec<String> =
            std::mem::take(&mut read.found.unknown).into_iter().collect();
        let mut outside: Vec<String> =
            std::mem::take(&mut read.found.outside).into_iter().collect();
        let mut fitting: Vec<(Configuration, f64)> = Vec::new();
        let mut kept: Vec<Tried> = Vec::new();
        let mut space_is_shared = space.parameters.is_empty() || !outside.is_empty();
        for tried in std::mem::take(&mut read.found.tried) {
            let adopted = space.adopt(&tried.leaves);
            space_is_shared |= !adopted.part.0.is_empty() || !adopted.outside.is_empty();
            let is_inside = lies_in(space, &adopted);
            unknown.extend(adopted.unknown);
            outside.extend(adopted.outside);
            if is_inside {
                missing.extend(adopted.missing);
                kept.push(tried);
            }
        }
        let n_fitting = kept.len();
        best_and_latest(&mut kept, most);
        for (tried, number) in kept.iter().zip(0..) {
            let part = space.adopt(&tried.leaves).part;
            let configuration = fill(space, &part, salt, number);
            fitting.extend(configuration.map(|configuration| (configuration, tried.loss)));
        }
        let n_held = read.found.n_completed - read.found.n_let_go;
        Self {
            n_outside: n_held - n_fitting,
            n_fitting,
            n_taught: fitting.len(),
            fitting,
            unknown: counted(unknown.iter()),
            missing: counted(missing.iter()),
            outside: counted(outside.iter()),
            space_is_shared,
            read,
        }
    }

    /// Why nothing of it is of use.
    fn fault(&self) -> Option<Fault> {
        let found = &self.read.found;
        let (says, hint) = if found.n_completed == 0 {
            let says = match (found.n_without, found.n_barred) {
                (n, 0) => format!("holds no trial that completed with a value ({n} without)"),
                (n, barred) => format!(
                    "holds no completed trial that keeps its constraints ({barred} that break them, \
                     {n} without a value)"
                ),
            };
            (says, "leave it out, or name another source".to_owned())
        } else if !self.space_is_shared {
            let theirs = names(&self.unknown);
            let says = format!("has no parameter of this search space, but {theirs}");
            (says, "call the parameters alike in both".to_owned())
        } else if self.fitting.is_empty() {
            let says = format!(
                "holds {} completed {}, and none lies in this search space: see {}",
                found.n_completed,
                plural(found.n_completed),
                names(&self.outside)
            );
            (says, "widen the search space, or leave it out".to_owned())
        } else {
            return None;
        };
        Some(Fault::new(says, "completed trials in this search space", hint))
    }

    /// What was understood, in words.
    fn says(&self, origin: &Origin, deaf: Option<&str>) -> String {
        let found = &self.read.found;
        let name = match origin {
            Origin::File { path, .. } => format!("{path} holds"),
            Origin::Study { study } => format!("{study} holds"),
        };
        let n = found.n_completed;
        let mut parts = vec![format!("{name} {n} completed {} ({})", plural(n), found.kind)];
        if self.n_outside > 0 {
            let of = names(&self.outside);
            parts.push(match (self.n_outside, of.is_empty()) {
                (1, true) => "1 of them has no value for a parameter of this space".to_owned(),
                (n, true) => format!("{n} of them have no value for a parameter of this space"),
                (1, false) => format!("1 of them lies outside of this space ({of})"),
                (n, false) => format!("{n} of them lie outside of this space ({of})"),
            });
        }
        let n_fitting = n.saturating_sub(self.n_outside);
        if self.n_taught < n_fitting {
            let n_taught = self.n_taught;
            parts.push(format!("the best and the latest {n_taught} count"));
        }
        if found.n_without > 0 {
            parts.push(format!("{} more did not complete with a value", found.n_without));
        }
        if found.n_barred > 0 {
            let are = if found.n_barred == 1 { "is" } else { "are" };
            parts.push(format!("{} more broke its constraints and {are} left out", found.n_barred));
        }
        if found.broken.n > 0 {
            let (says, which) = match found.broken.n {
                1 => ("1 row cannot be read and is left out".to_owned(), ""),
                n => (format!("{n} rows cannot be read and are left out"), "the first in "),
            };
            let line = found.broken.line.map(|line| format!(" ({which}line {line})"));
            parts.push(says + &line.unwrap_or_default());
        }
        if !self.unknown.is_empty() {
            let list = names(&self.unknown);
            parts.push(match self.unknown.len() {
                1 => format!("{list} is no parameter here and is left out"),
                _ => format!("{list} are no parameters here and are left out"),
            });
        }
        parts.extend(self.says_missing());
        parts.extend(found.remarks.iter().cloned());
        parts.push(match (deaf, self.is_exact()) {
            (Some(name), _) => format!(
                "{name} not learn from earlier trials: the best of them are tried first, and that is \
                 all"
            ),
            (None, true) => "its losses count as this study's own".to_owned(),
            (None, false) => "its losses guide the search until its own trials tell more".to_owned(),
        });
        parts.join("; ")
    }

    /// What of the space its trials do not set, in words: none of them, or some.
    fn says_missing(&self) -> Vec<String> {
        let (never, partly): (Vec<_>, Vec<_>) =
            self.missing.iter().cloned().partition(|(_, n)| *n == self.n_fitting);
        let list = names(&never);
        let never = match never.len() {
            0 => None,
            1 => Some(format!("{list} is not among its parameters and is drawn")),
            _ => Some(format!("{list} are not among its parameters and are drawn")),
        };
        let mut says = Vec::from_iter(never);
        says.extend(partly.iter().take(LISTED).map(|(name, n)| {
            let of = self.n_fitting;
            format!("{name} is open in {n} of the {of} trials that fit, and drawn there")
        }));
        if partly.len() > LISTED {
            let more = partly.len() - LISTED;
            says.push(format!("{more} more parameters are open in some and drawn there"));
        }
        says
    }

    /// Whether its losses compare with those of the study one to one.
    fn is_exact(&self) -> bool {
        self.read.is_same && self.unknown.is_empty() && self.missing.is_empty()
    }

    /// What of it is worth trying first, the best first.
    fn bests(&self, study: &Study, salt: u64) -> Vec<Configuration> {
        let space = &study.space;
        let winners = self.read.winners.iter().flatten().zip(MOST_TAUGHT as u64..);
        let winners = winners.filter_map(|(winner, number)| {
            let leaves = winner.leaves().into_iter();
            let leaves: Vec<_> = leaves.map(|(path, value)| (path, value.clone())).collect();
            let adopted = space.adopt(&leaves);
            let is_point = adopted.outside.is_empty() && !adopted.part.0.is_empty();
            is_point.then(|| fill(space, &adopted.part, salt, number)).flatten()
        });
        let mut bests: Vec<Configuration> = winners.collect();
        let mut order: Vec<&(Configuration, f64)> = self.fitting.iter().collect();
        order.sort_by(|one, other| one.1.total_cmp(&other.1));
        let mut seen: BTreeSet<String> = bests.iter().map(Configuration::to_json).collect();
        let more = order.iter().filter(|(own, _)| seen.insert(own.to_json()));
        // Many that are close to each other are passed over.
        bests.extend(more.take(32 * MOST_FIRST).map(|(own, _)| own.clone()));
        bests
    }

    fn teaches(self, source: u16) -> impl Iterator<Item = Earlier> {
        let is_same = self.is_exact();
        let fitting = self.fitting.into_iter();
        fitting.map(move |(configuration, loss)| Earlier { configuration, loss, source, is_same })
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "trial" } else { "trials" }
}

/// `a, b and 3 more`.
fn names(counts: &[(String, usize)]) -> String {
    let listed: Vec<&str> = counts.iter().take(LISTED).map(|(name, _)| name.as_str()).collect();
    match counts.len() - listed.len() {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}
