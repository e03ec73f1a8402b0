//! Earlier trials as rows of named cells, whichever file they came from: which cell is the value,
//! which ones are parameters, and what became of the trial.

use std::collections::{BTreeSet, HashMap};

use fleetfit_search_spaces::{Adopted, Aims, Goal, SearchSpace, Value};

use super::share::Shares;
use crate::sampler::{Losses, front};

/// More configurations than this are not held at once: then the best and the latest stay.
const MOST_HELD: usize = 16_384;

/// After so many rows it is known what the names mean.
const LEARNT_FROM: usize = 100;

/// Beginnings of the names of parameters: ours, those of Optuna, MLflow, Ray Tune and scikit-learn.
const PREFIXES: [(&str, &str); 7] = [
    ("configuration.", "fleetfit"),
    ("params_", "Optuna"),
    ("params.", "Optuna or MLflow"),
    ("config/", "Ray Tune"),
    ("config.", "Ray Tune"),
    ("parameters.", "its own"),
    ("param_", "scikit-learn"),
];

/// Names of the value, after that of the metric.
const VALUES: [&str; 10] = [
    "value",
    "values_0",
    "values.0",
    "mean_test_score",
    "loss",
    "objective",
    "objective_value",
    "target",
    "score",
    "metric",
];

/// The one among them whose larger values are better, whatever they are of: scikit-learn negates
/// losses.
const SCORE: &str = "mean_test_score";

/// The one among them whose smaller values are better.
const LOSS: &str = "loss";

/// Names of what became of a trial, and words for a good end.
const STATES: [&str; 4] = ["state", "status", "trial_state", "Status"];
const GOOD_ENDS: [&str; 9] =
    ["complete", "completed", "finished", "terminated", "success", "succeeded", "ok", "done", "1"];

/// What a table has besides parameters and the value.
const OTHERS: [&str; 22] = [
    "",
    "Unnamed: 0",
    "index",
    "number",
    "trial",
    "trial_id",
    "id",
    "entity",
    "state",
    "status",
    "trial_state",
    "Status",
    "learner",
    "reason",
    "started",
    "ended",
    "datetime_start",
    "datetime_complete",
    "duration",
    "configuration",
    "time",
    "seed",
];

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) value: Value,
}

/// One configuration that was tried, and its loss.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tried {
    /// What its parameters were set to, under dotted paths.
    pub(super) leaves: Vec<(String, Value)>,
    pub(super) loss: f64,
    /// All of its losses, where the study has several or bounds, and the source tells them.
    pub(super) losses: Option<Losses>,
}

impl Tried {
    pub(super) fn new(leaves: Vec<(String, Value)>, loss: f64) -> Self {
        Self { leaves, loss, losses: None }
    }
}

/// What a trial has lost by its values, in the order of the study's metrics; none where one loss says
/// it all.
pub(super) fn judged(aims: &Aims, value: f64, further: &[f64]) -> Option<Losses> {
    let is_whole = !aims.are_plain() && further.len() == aims.n_further();
    let losses = Losses::of(aims, value, further);
    (is_whole && further.iter().all(|value| value.is_finite())).then_some(losses)
}

/// What a source holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In words, as in `Optuna`.
    pub(super) kind: String,
    /// In the order of the source.
    pub(super) tried: Vec<Tried>,
    /// How many trials completed with a value, those that are not held any more included.
    pub(super) n_completed: usize,
    /// Trials that did not complete, or have no finite value.
    pub(super) n_without: usize,
    /// Rows that could not be read.
    pub(super) n_broken: usize,
    /// What else is to be said.
    pub(super) remarks: Vec<String>,
    /// How many that lie in the space were let go.
    pub(super) n_let_go: usize,
    /// Of those that lie outside and are not held any more: what is outside, and what is unknown.
    pub(super) outside: BTreeSet<String>,
    pub(super) unknown: BTreeSet<String>,
}

/// Why a source is of no use: what it is, what would be, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The sentence after the source's name.
    pub says: String,
    /// What is wanted.
    pub allowed: String,
    /// What to do.
    pub hint: String,
}

impl Fault {
    pub(super) fn new(says: impl Into<String>, allowed: &str, hint: impl Into<String>) -> Self {
        Self { says: says.into(), allowed: allowed.to_owned(), hint: hint.into() }
    }
}

impl Found {
    /// Puts trials with several losses in the order that the study's own stand in: each has its place
    /// as its loss, those of which only the first loss is known after all others. False where there
    /// are none.
    pub(super) fn settle(&mut self) -> bool {
        let with = self.tried.iter().enumerate().filter(|(_, tried)| tried.losses.is_some());
        let with: Vec<usize> = with.map(|(at, _)| at).collect();
        if with.is_empty() {
            return false;
        }
        let losses: Vec<Losses> = with.iter().filter_map(|&at| self.tried[at].losses).collect();
        let mut rest: Vec<usize> =
            (0..self.tried.len()).filter(|&at| self.tried[at].losses.is_none()).collect();
        rest.sort_by(|&one, &other| self.tried[one].loss.total_cmp(&self.tried[other].loss));
        let order = front::order(&losses).into_iter().map(|place| with[place]).chain(rest);
        for (place, at) in order.enumerate() {
            self.tried[at].loss = place as f64;
        }
        true
    }

    /// Takes a trial; of many those are held that are the best and the latest in this space.
    pub(super) fn push(&mut self, tried: Tried, space: &SearchSpace) {
        self.n_completed += 1;
        self.tried.push(tried);
        if self.tried.len() <= MOST_HELD {
            return;
        }
        let (outside, unknown) = (&mut self.outside, &mut self.unknown);
        self.tried.retain(|tried| {
            let adopted = space.adopt(&tried.leaves);
            let is_inside = lies_in(space, &adopted);
            if !is_inside {
                outside.extend(adopted.outside);
                unknown.extend(adopted.unknown);
            }
            is_inside
        });
        let n_inside = self.tried.len();
        best_and_latest(&mut self.tried, MOST_HELD / 2);
        self.n_let_go += n_inside - self.tried.len();
    }
}

/// Whether what a space took of a trial is one that can be tried there.
pub(super) fn lies_in(space: &SearchSpace, adopted: &Adopted) -> bool {
    adopted.outside.is_empty() && (!adopted.part.0.is_empty() || space.parameters.is_empty())
}

/// Keeps so many at most: the best half and the latest half, in their order.
pub(super) fn best_and_latest(tried: &mut Vec<Tried>, most: usize) {
    if tried.len() <= most {
        return;
    }
    let n_latest = most / 2;
    let first_late = tried.len() - n_latest;
    let mut order: Vec<usize> = (0..first_late).collect();
    order.sort_by(|&one, &other| {
        tried[one].loss.total_cmp(&tried[other].loss).then(one.cmp(&other))
    });
    let mut is_kept = vec![false; tried.len()];
    order.iter().take(most - n_latest).for_each(|&place| is_kept[place] = true);
    is_kept[first_late..].fill(true);
    let mut kept = is_kept.into_iter();
    tried.retain(|_| kept.next().unwrap_or(true));
}

/// What is wanted of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) metric: &'a str,
    pub(super) goal: Goal,
    pub(super) aims: &'a Aims,
    pub(super) space: &'a SearchSpace,
}

/// Takes a table's rows, one after the other.
pub(super) struct Rows<'a> {
    wanted: Wanted<'a>,
    /// How parameters are called; none while no row has any.
    style: Option<(&'static str, &'static str)>,
    value: Option<String>,
    /// Every name that was seen, up to some.
    names: Vec<String>,
    n_rows: usize,
    shares: Option<Shares>,
    found: Found,
}

impl<'a> Rows<'a> {
    pub(super) fn new(wanted: Wanted<'a>) -> Self {
        Self {
            wanted,
            style: None,
            value: None,
            names: Vec::new(),
            n_rows: 0,
            shares: None,
            found: Found::default(),
        }
    }

    /// A row that could not be read.
    pub(super) fn broken(&mut self) {
        self.found.n_broken += 1;
    }

    /// A row, cells without anything left out; `names` are all that it could have.
    pub(super) fn push(&mut self, names: &[String], cells: &[Cell]) {
        self.n_rows += 1;
        self.learn(names);
        let of = |name: &str| cells.iter().find(|cell| cell.name == name).map(|cell| &cell.value);
        let state = STATES.iter().find_map(|name| of(name));
        let is_good = state.is_none_or(|state| {
            GOOD_ENDS.iter().any(|word| state.to_string().eq_ignore_ascii_case(word))
        });
        let value = self.value.as_deref().and_then(of).and_then(number);
        let Some(value) = value.filter(|value| is_good && value.is_finite()) else {
            self.found.n_without += 1;
            return;
        };
        let leaves = self.leaves(cells);
        let is_score = self.value.as_deref() == Some(SCORE) && self.wanted.metric != SCORE;
        let goal = if is_score { Goal::Maximize } else { self.wanted.goal };
        let loss = goal.loss(value);
        match (of("entity"), of("trial")) {
            (Some(entity), Some(trial)) => {
                let shares = self.shares.get_or_insert_with(Shares::default);
                shares.push(&trial.to_string(), &entity.to_string(), loss, || leaves);
            }
            _ => {
                let aims = self.wanted.aims;
                let further = (1..=aims.n_further()).map(|place| {
                    let metric = aims.metrics.get(place)?;
                    further_names(place, metric).iter().find_map(|name| of(name)).and_then(number)
                });
                let further: Option<Vec<f64>> = further.collect();
                let losses = further.and_then(|further| judged(aims, value, &further));
                self.found.push(Tried { leaves, loss, losses }, self.wanted.space);
            }
        }
    }

    /// Whether a word that may stand for nothing is to be held against the parameter of its column:
    /// one of the branches of a choice may be without it, any other parameter was set to it.
    pub(super) fn holds(&self, name: &str, word: &str) -> bool {
        let Some(path) = self.path(name) else { return false };
        let own = self.wanted.space.parameters.iter().find(|own| own.name == path);
        own.is_some_and(|own| !own.domain.has_branches()) || self.wanted.space.has_word(&path, word)
    }

    /// What its rows are called, before the first of them.
    pub(super) fn learn(&mut self, names: &[String]) {
        if self.n_rows > LEARNT_FROM && self.style.is_some() && self.value.is_some() {
            return;
        }
        if self.style.is_none() {
            let has = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
            self.style = PREFIXES.into_iter().find(|(prefix, _)| has(prefix));
        }
        if self.value.is_none() {
            let metric = self.wanted.metric;
            let own = [format!("metrics.{metric}"), format!("metrics/{metric}"), metric.to_owned()];
            let is_loss = self.wanted.goal == Goal::Minimize;
            let usual = VALUES.into_iter().filter(|name| is_loss || *name != LOSS);
            let mut candidates = own.into_iter().chain(usual.map(str::to_owned));
            // Where nothing tells parameters from the rest, a parameter's name means the parameter.
            let is_bare = self.style.is_none();
            let is_taken = |name: &String| is_bare && self.has_parameter(name);
            self.value = candidates.find(|name| names.contains(name) && !is_taken(name));
        }
        if self.names.len() < 64 {
            let fresh: Vec<String> =
                names.iter().filter(|name| !self.names.contains(name)).cloned().collect();
            self.names.extend(fresh);
        }
    }

    fn has_parameter(&self, name: &str) -> bool {
        self.wanted.space.parameters.iter().any(|own| own.name == name)
    }

    fn leaves(&self, cells: &[Cell]) -> Vec<(String, Value)> {
        let leaf = |cell: &Cell| Some((self.path(&cell.name)?, cell.value.clone()));
        cells.iter().filter_map(leaf).collect()
    }

    /// The dotted path of the parameter that a column is of, if of any.
    fn path(&self, name: &str) -> Option<String> {
        let own = match self.style {
            Some((prefix, _)) => name.strip_prefix(prefix)?,
            None => {
                let is_metric = self.wanted.aims.metrics.iter().any(|metric| metric == name);
                let is_other = (is_metric || OTHERS.contains(&name)) && !self.has_parameter(name);
                Some(name).filter(|name| !is_other && Some(*name) != self.value.as_deref())?
            }
        };
        Some(own.replace('/', "."))
    }

    /// What all rows come to.
    pub(super) fn end(mut self) -> Result<Found, Fault> {
        let names = || {
            let shown: Vec<&str> = self.names.iter().map(String::as_str).take(12).collect();
            let more = if self.names.len() > shown.len() { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        if self.n_rows == 0 {
            let says = match self.found.n_broken {
                0 => "holds no trials".to_owned(),
                n => format!("holds no whole row, and {n} that cannot be read"),
            };
            return Err(Fault::new(
                says,
                "trials",
                "check that the file is whole, or leave it out",
            ));
        }
        if self.value.is_none() {
            let says = format!("has no value of a trial among its columns ({})", names());
            let hint = format!("call the column value, or {} as the metric", self.wanted.metric);
            return Err(Fault::new(says, "a column of values", hint));
        }
        if let Some(shares) = self.shares.take() {
            shares.into_tried().for_each(|tried| self.found.push(tried, self.wanted.space));
        }
        let has_parameters = !self.found.outside.is_empty()
            || self.found.tried.iter().any(|tried| !tried.leaves.is_empty());
        if !has_parameters && !self.found.tried.is_empty() {
            let says = format!("has no parameters among its columns ({})", names());
            let hint = "name its columns as the parameters, or params_x, params.x or config/x";
            return Err(Fault::new(says, "columns of parameters", hint));
        }
        let kind = self.style.map_or("a table", |(_, kind)| kind);
        self.found.kind = match kind {
            "a table" | "its own" => "a table".to_owned(),
            kind => format!("{kind}'s form"),
        };
        Ok(self.found)
    }
}

/// What the value of a metric may be called, where it is not the first one.
fn further_names(place: usize, metric: &str) -> [String; 6] {
    [
        format!("metrics.{metric}"),
        format!("metrics/{metric}"),
        format!("values.{metric}"),
        metric.to_owned(),
        format!("values_{place}"),
        format!("values.{place}"),
    ]
}

/// A cell as a number.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Text(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// A text as the value that it was probably written from.
pub(super) fn typed(text: &str) -> Value {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    if is_number {
        if let Ok(number) = text.parse::<i64>() {
            return Value::Int(number);
        }
        if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Value::Float(number);
        }
    }
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        text => Value::Text(text.to_owned()),
    }
}

/// How often each name is among these.
pub(super) fn counted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<(String, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let mut counts: Vec<(String, usize)> =
        counts.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
    counts.sort();
    counts
}
