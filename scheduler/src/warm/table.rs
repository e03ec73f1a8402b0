//! Earlier trials as rows of named cells, whichever file they came from: which cell is the value,
//! which ones are parameters, and what became of the trial.

use std::collections::{BTreeSet, HashMap};

use fleetfit_search_spaces::{Adopted, Aims, Goal, SearchSpace, Value};

use super::cell::{Cell, breaks_bound, in_its_words, is_good_end, number};
use super::share::Shares;
use super::value::{Column, Metric, SCORES};
use crate::sampler::{Losses, front};

/// More configurations than this are not held at once: then the best and the latest stay.
const MOST_HELD: usize = 16_384;

/// So many names of columns are kept for what is said about them.
const MOST_NAMES: usize = 64;

/// After so many rows it is known what the names mean.
const LEARNT_FROM: usize = 100;

/// Beginnings of the names of parameters: ours, those of Optuna, MLflow, Ray Tune and scikit-learn.
const PREFIXES: [(&str, &str); 7] = [
    ("configuration.", "fleetfit"),
    ("params_", "Optuna"),
    // Rows of scikit-learn's have `params` as well.
    ("param_", "scikit-learn"),
    ("params.", "Optuna or MLflow"),
    ("config/", "Ray Tune"),
    ("config.", "Ray Tune"),
    ("parameters.", "its own"),
];

/// Names of what became of a trial.
const STATES: [&str; 6] = ["state", "status", "trial_state", "Status", "State", "trial_status"];

/// What else a table has besides parameters and the value.
const OTHERS: [&str; 18] = [
    "",
    "Unnamed: 0",
    "index",
    "number",
    "trial",
    "trial_id",
    "id",
    "entity",
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
    /// Completed trials that broke a bound of the source's.
    pub(super) n_barred: usize,
    /// Rows that could not be read.
    pub(super) broken: Broken,
    /// What else is to be said.
    pub(super) remarks: Vec<String>,
    /// How many that lie in the space were let go.
    pub(super) n_let_go: usize,
    /// Of those that lie outside and are not held any more: what is outside, and what is unknown.
    pub(super) outside: BTreeSet<String>,
    pub(super) unknown: BTreeSet<String>,
}

/// Rows that could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Broken {
    pub(super) n: usize,
    /// The line of the first that is known to have one.
    pub(super) line: Option<usize>,
}

impl Broken {
    pub(super) fn push(&mut self, line: Option<usize>) {
        self.n += 1;
        self.line = self.line.or(line);
    }
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
    /// Where the values of the study's metrics stand, in their order.
    values: Vec<Option<Column>>,
    /// How many values a trial has, as Optuna and fleetfit write several.
    n_values: usize,
    /// The names of scikit-learn's scores.
    scores: BTreeSet<String>,
    /// Every name that was seen, up to some.
    names: Vec<String>,
    n_rows: usize,
    /// The first value whose decimals follow a comma.
    with_comma: Option<String>,
    shares: Option<Shares>,
    found: Found,
}

impl<'a> Rows<'a> {
    pub(super) fn new(wanted: Wanted<'a>) -> Self {
        Self {
            wanted,
            style: None,
            values: vec![None; wanted.aims.metrics.len()],
            n_values: 0,
            scores: BTreeSet::new(),
            names: Vec::new(),
            n_rows: 0,
            with_comma: None,
            shares: None,
            found: Found::default(),
        }
    }

    /// A row that could not be read.
    pub(super) fn broken(&mut self, line: Option<usize>) {
        self.found.broken.push(line);
    }

    /// Whether there was no row yet that could be read.
    pub(super) fn is_empty(&self) -> bool {
        self.n_rows == 0
    }

    /// A row, cells without anything left out; `names` are all that it could have.
    pub(super) fn push(&mut self, names: &[String], cells: &[Cell]) {
        self.n_rows += 1;
        self.learn(names);
        let of = |name: &str| cells.iter().find(|cell| cell.name == name).map(|cell| &cell.value);
        let state = STATES.iter().find_map(|name| of(name));
        let is_good = state.is_none_or(is_good_end);
        let value = |column: &Option<Column>| {
            let column = column.as_ref()?;
            of(&column.name).and_then(number).map(|number| column.value(number))
        };
        let first = self.values.first().and_then(value);
        let Some(first) = first.filter(|value| is_good && value.is_finite()) else {
            self.found.n_without += 1;
            let first = self.values.first().and_then(Option::as_ref);
            let with_comma = first.and_then(|column| of(&column.name)).and_then(has_comma);
            self.with_comma = self.with_comma.take().or(with_comma);
            return;
        };
        if cells.iter().any(|cell| breaks_bound(&cell.name, &cell.value)) {
            self.found.n_barred += 1;
            return;
        }
        let leaves = self.leaves(cells);
        let loss = self.wanted.goal.loss(first);
        match (of("entity"), of("trial")) {
            (Some(entity), Some(trial)) => {
                let shares = self.shares.get_or_insert_with(Shares::default);
                shares.push(&trial.to_string(), &entity.to_string(), loss, || leaves);
            }
            _ => {
                let further: Option<Vec<f64>> = self.values.iter().skip(1).map(value).collect();
                let losses = further.and_then(|further| judged(self.wanted.aims, first, &further));
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
        let has_value = matches!(self.values.first(), Some(Some(_)));
        if self.n_rows > LEARNT_FROM && self.style.is_some() && has_value {
            return;
        }
        if self.style.is_none() {
            self.style = self.style_of(names);
        }
        let is_value = |name: &&String| name.starts_with("values_") || name.starts_with("values.");
        let values: BTreeSet<&String> = names.iter().filter(is_value).collect();
        self.n_values = self.n_values.max(values.len());
        let scores = names.iter().filter(|name| name.starts_with(SCORES));
        self.scores.extend(scores.take(MOST_NAMES).cloned());
        let aims = self.wanted.aims;
        for (place, name) in aims.metrics.iter().enumerate() {
            if self.values.get(place) == Some(&None) {
                let goal = aims.objectives.get(place).map(|objective| objective.goal);
                // Where nothing tells parameters from the rest, a parameter's name means the parameter.
                let is_taken = |name: &str| self.style.is_none() && self.has_parameter(name);
                self.values[place] = Column::find(names, Metric { place, name, goal }, is_taken);
            }
        }
        if self.names.len() < MOST_NAMES {
            for name in names {
                if !self.names.contains(name) {
                    self.names.push(name.clone());
                }
            }
        }
    }

    /// How parameters are called among these names: as those of the space are, or where none is there,
    /// as others call theirs.
    fn style_of(&self, names: &[String]) -> Option<(&'static str, &'static str)> {
        let is_ours = |own: &str| {
            let first = own.replace('/', ".");
            self.has_parameter(&first)
                || first.split('.').next().is_some_and(|it| self.has_parameter(it))
        };
        let holds = |prefix: &str, is_one: &dyn Fn(&str) -> bool| {
            names.iter().any(|name| name.strip_prefix(prefix).is_some_and(is_one))
        };
        let of_space = PREFIXES.into_iter().find(|(prefix, _)| holds(prefix, &is_ours));
        of_space.or_else(|| match holds("", &is_ours) {
            true => None,
            false => PREFIXES.into_iter().find(|(prefix, _)| holds(prefix, &|_| true)),
        })
    }

    fn has_parameter(&self, name: &str) -> bool {
        self.wanted.space.parameters.iter().any(|own| own.name == name)
    }

    fn leaves(&self, cells: &[Cell]) -> Vec<(String, Value)> {
        let leaf = |cell: &Cell| {
            let path = self.path(&cell.name)?;
            let value = in_its_words(self.wanted.space, &path, cell.value.clone());
            Some((path, value))
        };
        cells.iter().filter_map(leaf).collect()
    }

    /// The dotted path of the parameter that a column is of, if of any.
    fn path(&self, name: &str) -> Option<String> {
        let own = match self.style {
            Some((prefix, _)) => name.strip_prefix(prefix)?,
            None => {
                let is_metric = self.wanted.aims.metrics.iter().any(|metric| metric == name);
                let is_other = is_metric || STATES.contains(&name) || OTHERS.contains(&name);
                let is_other = is_other && !self.has_parameter(name);
                let is_value = self.values.iter().flatten().any(|column| column.name == name);
                Some(name).filter(|_| !is_other && !is_value)?
            }
        };
        Some(own.replace('/', "."))
    }

    /// What is taken of several values of a trial: Optuna's objectives, or metrics by their names.
    fn objectives(&self) -> Option<String> {
        let taken: Vec<&str> =
            self.values.iter().flatten().map(|column| column.name.as_str()).collect();
        let (n, k) = (self.n_values, taken.len());
        let first = taken.first()?.strip_prefix("values")?.get(1..)?;
        let is_numbered = first.bytes().all(|byte| byte.is_ascii_digit());
        match (n, is_numbered) {
            (0 | 1, _) => None,
            (_, true) if k == n => {
                Some(format!("its {n} objectives are taken for this study's, in their order"))
            }
            (_, true) if k > 1 => {
                Some(format!("the first {k} of its {n} objectives are taken for this study's"))
            }
            (_, true) => Some(format!("the first of its {n} objectives is what counts")),
            (_, false) if k == n => {
                Some(format!("its {n} metrics are taken for those called like them"))
            }
            (_, false) => {
                let names = taken.iter().map(|name| name.get("values_".len()..).unwrap_or(name));
                let names: Vec<&str> = names.collect();
                let (list, are) = (names.join(" and "), if k == 1 { "is" } else { "are" });
                Some(format!("of its {n} metrics {list} {are} what counts"))
            }
        }
    }

    /// A table of scikit-learn's with the scores of several metrics, none of them the study's.
    fn several_scores(&self) -> Fault {
        let metric = self.wanted.metric;
        let shown: Vec<&str> = self.scores.iter().map(String::as_str).take(12).collect();
        let says = format!(
            "has the scores of several metrics ({}), and none of {metric}",
            shown.join(", ")
        );
        let hint = format!("call one of these columns mean_test_{metric}");
        Fault::new(says, "one column of values", hint)
    }

    /// What all rows come to.
    pub(super) fn end(mut self) -> Result<Found, Fault> {
        let names = || {
            let shown: Vec<&str> = self.names.iter().map(String::as_str).take(12).collect();
            let more = if self.names.len() > shown.len() { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        };
        if self.n_rows == 0 {
            let says = match (self.found.broken.n, self.found.broken.line) {
                (0, _) => "holds no trials".to_owned(),
                (n, None) => format!("holds no whole row, and {n} that cannot be read"),
                (1, Some(line)) => format!("holds one row (line {line}), which cannot be read"),
                (n, Some(line)) => {
                    format!("holds {n} rows, none of which can be read (the first in line {line})")
                }
            };
            return Err(Fault::new(
                says,
                "trials",
                "check that the file is whole and names its columns, or leave it out",
            ));
        }
        let Some(Some(value)) = self.values.first() else {
            if self.scores.len() > 1 {
                return Err(self.several_scores());
            }
            let says = format!("has no value of a trial among its columns ({})", names());
            let hint = format!("call the column value, or {} as the metric", self.wanted.metric);
            return Err(Fault::new(says, "a column of values", hint));
        };
        if let (0, Some(shown)) = (self.found.n_completed, &self.with_comma) {
            let says = format!("has the value {shown}, and a number has a point");
            let hint = format!(
                "write {}, there and in the columns of parameters",
                shown.replace(',', ".")
            );
            return Err(Fault::new(says, "numbers as 1.5", hint));
        }
        if value.is_score {
            let name = &value.name;
            self.found
                .remarks
                .push(format!("{name} is its value, of which the largest is the best"));
        }
        let objectives = self.objectives();
        self.found.remarks.extend(objectives);
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
            // Both have the parameters in an object of that name.
            "Optuna or MLflow" if self.names.iter().any(|name| name.starts_with("metrics.")) => {
                "MLflow's form".to_owned()
            }
            "Optuna or MLflow"
                if STATES.iter().any(|state| self.names.iter().any(|it| it == state)) =>
            {
                "Optuna's form".to_owned()
            }
            kind => format!("{kind}'s form"),
        };
        Ok(self.found)
    }
}

/// A number with a comma before its decimals, as it is written.
fn has_comma(value: &Value) -> Option<String> {
    let Value::Text(text) = value else { return None };
    let is_one = text.matches(',').count() == 1 && text.replace(',', ".").parse::<f64>().is_ok();
    is_one.then(|| text.clone())
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
