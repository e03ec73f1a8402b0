//! The file of Optuna's `JournalStorage`: one operation a line, replayed as Optuna does
//! (`optuna/storages/journal/_storage.py`, version 5; earlier ones write the same).
//!
//! Attributes other than constraints, intermediate values and times are passed over. A line that cannot
//! be read, as the last one of a file that is being written, is passed over and counted; if it created
//! a trial, that keeps its number. Numbers that JSON does not have are as good as none.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use fleetfit_search_spaces::{Aims, Goal, SearchSpace, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use super::cell::{NONE, in_its_words};
use super::json::without_words;
use super::table::{Broken, Fault, Found, Tried, judged};

/// One operation, as far as it matters here.
#[derive(Deserialize)]
struct Line<'a> {
    op_code: u8,
    study_id: Option<u64>,
    trial_id: Option<usize>,
    #[serde(borrow)]
    study_name: Option<Cow<'a, str>>,
    directions: Option<Vec<u8>>,
    #[serde(borrow)]
    param_name: Option<Cow<'a, str>>,
    param_value_internal: Option<f64>,
    #[serde(borrow)]
    distribution: Option<Cow<'a, str>>,
    state: Option<u8>,
    value: Option<f64>,
    values: Option<Vec<Option<f64>>>,
    system_attr: Option<Json>,
    system_attrs: Option<Json>,
    params: Option<BTreeMap<String, Option<f64>>>,
    distributions: Option<HashMap<String, String>>,
}

const CREATE_STUDY: u8 = 0;
const DELETE_STUDY: u8 = 1;
const SET_STUDY_SYSTEM_ATTR: u8 = 3;
const CREATE_TRIAL: u8 = 4;
const SET_PARAM: u8 = 5;
const SET_STATE: u8 = 6;
const SET_SYSTEM_ATTR: u8 = 9;
/// Every one that is known.
const LAST_OPERATION: u8 = 10;

const RUNNING: u8 = 0;
const COMPLETE: u8 = 1;
const FAIL: u8 = 3;
const WAITING: u8 = 4;

/// How a stored number becomes a parameter's value.
#[derive(Clone, Debug)]
enum Meaning {
    Number,
    Whole,
    OneOf(Vec<Option<Value>>),
}

#[derive(Default)]
struct Trial {
    study: u64,
    state: u8,
    /// One for each objective.
    values: Vec<f64>,
    /// Whether it broke a constraint.
    is_barred: bool,
    leaves: Vec<(String, Value)>,
}

struct Study {
    name: String,
    /// One for each objective.
    goals: Vec<Goal>,
    /// The names of its objectives, where it has any.
    metrics: Vec<String>,
}

#[derive(Default)]
struct Replay {
    studies: BTreeMap<u64, Study>,
    n_studies: u64,
    trials: Vec<Trial>,
    meanings: HashMap<String, Meaning>,
    broken: Broken,
}

/// Among so many lines one that can be read tells that a file is a journal.
const FIRST_LINES: usize = 4;

/// Whether this is such a file.
pub(super) fn is_journal(text: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.take(FIRST_LINES).any(|line| serde_json::from_str::<Line<'_>>(line).is_ok())
}

/// The trials of one study of a file; `study` names it where there are several.
pub(super) fn read(
    text: &str,
    study: Option<&str>,
    aims: &Aims,
    space: &SearchSpace,
) -> Result<Found, Fault> {
    let mut replay = Replay::default();
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    for (number, line) in lines {
        let plain = without_words(line);
        match serde_json::from_str::<Line<'_>>(plain.as_deref().unwrap_or(line)) {
            Ok(line) if line.op_code <= LAST_OPERATION => replay.apply(line),
            Ok(_) => replay.broken.push(Some(number)),
            Err(_) => {
                replay.broken.push(Some(number));
                replay.pass_over(line);
            }
        }
    }
    let (&id, chosen) = replay.choose(study)?;
    let mut found = Found {
        kind: format!("Optuna's journal of the study {}", chosen.name),
        broken: replay.broken,
        ..Found::default()
    };
    let n = chosen.goals.len();
    let place = |metric: &String| chosen.metrics.iter().position(|own| own == metric);
    // By their names where the first is found by its own, else in their order.
    let (places, is_named): (Vec<usize>, bool) = match place(&aims.metrics[0]) {
        Some(_) => (aims.metrics.iter().filter_map(place).collect(), true),
        None if n == aims.metrics.len() => ((0..n).collect(), false),
        None => (vec![0], false),
    };
    let is_alike = places.len() == aims.metrics.len();
    if n > 1 {
        let first = &aims.metrics[0];
        found.remarks.push(match (is_named, places.len() == n) {
            (false, true) => {
                format!("its {n} objectives are taken for this study's, in their order")
            }
            (false, false) => format!("the first of its {n} objectives is what counts"),
            (true, true) => format!("its {n} metrics are taken for those called like them"),
            (true, false) => format!("of its {n} metrics {first} is what counts"),
        });
    }
    let goal_at = |place: &usize| chosen.goals.get(*place).copied().unwrap_or(Goal::Minimize);
    let its_goal = goal_at(&places[0]);
    // Bounds have no direction.
    let n_judged = if is_alike { aims.objectives.len() } else { 1 };
    let its_goals = places.iter().take(n_judged).map(goal_at);
    if its_goals.zip(&aims.objectives).any(|(its, own)| its != own.goal) {
        found.remarks.push("what it counts as better is the other way round than here".to_owned());
    }
    for trial in replay.trials.into_iter().filter(|trial| trial.study == id) {
        let values = places.iter().map(|&place| trial.values.get(place).copied());
        let values: Option<Vec<f64>> = values.filter(|_| trial.state == COMPLETE).collect();
        let values = values.unwrap_or_default();
        match values.split_first().filter(|(value, _)| value.is_finite()) {
            Some(_) if trial.is_barred => found.n_barred += 1,
            Some((&value, further)) => {
                let losses = if is_alike { judged(aims, value, further) } else { None };
                let loss = its_goal.loss(value);
                let leaves = trial.leaves.into_iter().map(|(name, value)| {
                    let value = in_its_words(space, &name, value);
                    (name, value)
                });
                found.push(Tried { leaves: leaves.collect(), loss, losses }, space);
            }
            None => found.n_without += 1,
        }
    }
    if found.n_completed + found.n_barred + found.n_without == 0 {
        let says = format!("holds no trials of {}", found.kind.rsplit(' ').next().unwrap_or(""));
        return Err(Fault::new(says, "trials", "leave it out"));
    }
    Ok(found)
}

impl Replay {
    fn choose(&self, study: Option<&str>) -> Result<(&u64, &Study), Fault> {
        let names: Vec<&str> = self.studies.values().map(|own| own.name.as_str()).collect();
        let list = names.join(", ");
        match (study, names.as_slice()) {
            (_, []) => Err(self.no_study()),
            (None, [_]) => self.studies.iter().next().ok_or_else(|| self.no_study()),
            (None, [first, ..]) => {
                let says = format!("holds {} studies of Optuna: {list}", names.len());
                Err(Fault::new(says, "one of them", format!("write {{path: …, study: {first}}}")))
            }
            (Some(name), [first, ..]) => {
                let found = self.studies.iter().find(|(_, own)| own.name == name);
                found.ok_or_else(|| {
                    let near = fleetfit_search_spaces::nearest(name, names.iter().copied());
                    let says = format!("holds no study {name}; its studies are {list}");
                    let hint = format!("write study: {}", near.unwrap_or(first));
                    Fault::new(says, "one of its studies", hint)
                })
            }
        }
    }

    fn no_study(&self) -> Fault {
        let says = match self.broken.line {
            Some(line) => {
                format!("holds no study of Optuna that is whole: line {line} cannot be read")
            }
            None => "holds no study of Optuna".to_owned(),
        };
        Fault::new(says, "a study", "check that it is the file, from its beginning")
    }

    fn apply(&mut self, line: Line<'_>) {
        match line.op_code {
            CREATE_STUDY => self.create_study(line),
            DELETE_STUDY => {
                self.studies.remove(&line.study_id.unwrap_or(u64::MAX));
            }
            SET_STUDY_SYSTEM_ATTR => {
                let names = line.system_attr.as_ref().and_then(|own| own.get("study:metric_names"));
                let study = line.study_id.and_then(|id| self.studies.get_mut(&id));
                if let (Some(Json::Array(names)), Some(study)) = (names, study) {
                    let name = |name: &Json| name.as_str().unwrap_or_default().to_owned();
                    study.metrics = names.iter().map(name).collect();
                }
            }
            CREATE_TRIAL => self.create_trial(line),
            SET_PARAM => {
                let meaning = line.distribution.as_deref().and_then(|text| self.meaning(text));
                let value = meaning.zip(line.param_value_internal);
                let value = value.and_then(|(meaning, internal)| meaning.of(internal));
                if let (Some(name), Some(value)) = (line.param_name, value)
                    && let Some(trial) = open(&mut self.trials, line.trial_id)
                {
                    trial.leaves.retain(|(own, _)| *own != name);
                    trial.leaves.push((name.into_owned(), value));
                }
            }
            SET_STATE => {
                if let Some(trial) = open(&mut self.trials, line.trial_id) {
                    trial.state = line.state.unwrap_or(trial.state);
                    trial.values = all(line.values);
                }
            }
            SET_SYSTEM_ATTR => {
                if let Some(trial) = open(&mut self.trials, line.trial_id) {
                    trial.is_barred |= breaks_bound(line.system_attr.as_ref());
                }
            }
            _ => {}
        }
    }

    /// A line that cannot be read.
    fn pass_over(&mut self, line: &str) {
        if named_number(line, "op_code") == Some(u64::from(CREATE_STUDY)) {
            // It has a number all the same.
            self.n_studies += 1;
        }
        let study = named_number(line, "study_id");
        let is_refused = study.is_some_and(|id| !self.studies.contains_key(&id));
        if named_number(line, "op_code") == Some(u64::from(CREATE_TRIAL)) && !is_refused {
            // Of no study, so that it counts nowhere else; the trials after it have higher numbers.
            self.trials.push(Trial { study: u64::MAX, state: FAIL, ..Trial::default() });
        }
    }

    fn create_study(&mut self, line: Line<'_>) {
        let name = line.study_name.unwrap_or_default().into_owned();
        if self.studies.values().any(|own| own.name == name) {
            return;
        }
        let directions = line.directions.unwrap_or_default();
        let goal = |direction: &u8| match direction {
            2 => Goal::Maximize,
            _ => Goal::Minimize,
        };
        let goals = directions.iter().map(goal).collect();
        let study = Study { name, goals, metrics: Vec::new() };
        self.studies.insert(self.n_studies, study);
        self.n_studies += 1;
    }

    fn create_trial(&mut self, line: Line<'_>) {
        let Some(study) = line.study_id.filter(|id| self.studies.contains_key(id)) else { return };
        let mut leaves = Vec::new();
        let distributions = line.distributions.unwrap_or_default();
        for (name, internal) in line.params.unwrap_or_default() {
            let meaning = distributions.get(&name).and_then(|text| self.meaning(text));
            let value = meaning.zip(internal).and_then(|(meaning, internal)| meaning.of(internal));
            if let Some(value) = value {
                leaves.push((name, value));
            }
        }
        let values = match line.value {
            Some(value) => vec![value],
            None => all(line.values),
        };
        let state = line.state.unwrap_or(RUNNING);
        let is_barred = breaks_bound(line.system_attrs.as_ref());
        self.trials.push(Trial { study, state, values, is_barred, leaves });
    }

    /// What a distribution, which is JSON in a text, makes of the numbers that are stored.
    fn meaning(&mut self, text: &str) -> Option<Meaning> {
        if let Some(known) = self.meanings.get(text) {
            return Some(known.clone());
        }
        let json: Json = serde_json::from_str(text).ok()?;
        let name = json.get("name").or_else(|| json.get("type"))?.as_str()?;
        let meaning = match name {
            "CategoricalDistribution" | "categorical" => {
                let attributes = json.get("attributes").unwrap_or(&json);
                let choices = attributes.get("choices")?.as_array()?.iter();
                Meaning::OneOf(choices.map(choice).collect())
            }
            "IntDistribution" | "IntUniformDistribution" | "IntLogUniformDistribution" | "int" => {
                Meaning::Whole
            }
            _ => Meaning::Number,
        };
        self.meanings.insert(text.to_owned(), meaning.clone());
        Some(meaning)
    }
}

/// One for each objective; what is not there is no number.
fn all(values: Option<Vec<Option<f64>>>) -> Vec<f64> {
    values.unwrap_or_default().into_iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

/// Whether attributes tell of a constraint that is broken: `constraints`, a list, or
/// `constraints:name`, a number, above 0.
fn breaks_bound(attributes: Option<&Json>) -> bool {
    let attributes = attributes.and_then(Json::as_object);
    attributes.into_iter().flatten().any(|(name, value)| {
        let is_above = |value: &Json| value.as_f64().is_some_and(|value| value > 0.0);
        match value {
            Json::Array(values) => name == "constraints" && values.iter().any(is_above),
            value => name.starts_with("constraints:") && is_above(value),
        }
    })
}

/// A whole number of a line that need not be JSON.
fn named_number(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(&format!("\"{name}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A trial that has not ended: nothing changes those that have.
fn open(trials: &mut [Trial], id: Option<usize>) -> Option<&mut Trial> {
    trials.get_mut(id?).filter(|trial| matches!(trial.state, RUNNING | WAITING))
}

/// A category; what is no word, number or truth value has none.
fn choice(json: &Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Text(NONE.to_owned())),
        other => serde_json::from_value(other.clone()).ok(),
    }
}

impl Meaning {
    fn of(&self, internal: f64) -> Option<Value> {
        match self {
            Self::Number => Some(Value::Float(internal)),
            Self::Whole => Some(Value::Int(internal as i64)),
            Self::OneOf(choices) => choices.get(internal as usize).cloned().flatten(),
        }
    }
}
