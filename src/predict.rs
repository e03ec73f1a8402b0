//! `fleetfit predict`: the models of a study on new rows, answered in the rows' own order.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use fleetfit_scheduler::query::ModelView;
use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{DataSource, EntityKey, Place, Problem, Value};
use fleetfit_trial_runner::dataset::{DataError, KeyKind, Prediction};
use fleetfit_trial_runner::frame::FeatureSchema;
use fleetfit_trial_runner::model::{PredictError, Predictions};
use serde_json::Value as Json;

use crate::cli::{Output, PredictArgs};
use crate::exit;
use crate::failure::Failure;
use crate::models::{Models, Wanted};
use crate::output::{Printer, write_line};
use crate::show;
use crate::source::Source;
use crate::table::csv_cell;

/// Predicts each row of the file with its entity's model.
pub(crate) fn predict(home: &Path, args: &PredictArgs, printer: &Printer) -> Result<i32, Failure> {
    check_out(args)?;
    let repeats = |(at, level): (usize, &f64)| args.interval[..at].contains(level);
    if args.interval.iter().enumerate().any(repeats) {
        return Err(Failure::asked("--interval names a level twice", "write each level once"));
    }
    let winners = Source::ask(home, &args.server, |source| winners(source, args))?;
    let models = Models::open(home, &args.server, &args.study)?;
    let schema = models.schema()?;
    if !args.interval.is_empty() && schema.time.is_none() {
        return Err(Failure::asked(
            format!("{} does not forecast, so that it has no intervals to predict", args.study),
            "leave --interval out: widths come of the back-tests of task: forecasting alone",
        ));
    }
    let (fixed, entities): (bool, Vec<EntityKey>) = match &args.entity {
        Some(_) => (true, vec![EntityKey::default()]),
        None => (false, winners.iter().map(|(key, _)| key.clone()).collect()),
    };
    // With one entity's model for every row, the rows need no partition columns.
    let schema = match fixed {
        true => FeatureSchema { partition: Vec::new(), ..schema },
        false => schema,
    };
    let here = std::env::current_dir().map_err(|error| Failure::Unavailable(plain(&error)))?;
    let shown = args.data.display().to_string();
    let place = Place { file: shown.clone(), ..Place::default() };
    let data = DataSource { paths: vec![shown.clone()], place: place.clone() };
    let rows = Prediction::load(&here, &data, &schema, &entities)
        .map_err(|error| Failure::problem(file_problem(&place, &error)))?;
    let mut answers = vec![Answer::Unknown; rows.n_rows()];
    let mut widths: Vec<Vec<Option<f64>>> = vec![vec![None; rows.n_rows()]; args.interval.len()];
    let mut without_time = 0_usize;
    let mut without_model: Vec<WithoutModel<'_>> = Vec::new();
    let mut wanted = Vec::new();
    for entity in rows.entities() {
        match &winners[entity as usize] {
            (key, Ok(address)) => wanted.push(Wanted { entity, key, address }),
            (key, Err(reason)) => {
                without_model.push((key, rows.rows(entity).len(), reason.as_deref()));
            }
        }
    }
    models.each(&wanted, |Wanted { entity, key, .. }, model| {
        let (entity, key) = (*entity, *key);
        let frame = rows.frame(entity);
        let all: Vec<u32> = (0..frame.n_rows as u32).collect();
        let predictions = model
            .predict(&frame, &all)
            .map_err(|error| cannot_predict(&error, &rows, &place, key))?;
        for (&level, widths) in args.interval.iter().zip(&mut widths) {
            let found = model.widths(&frame, &all, level);
            for (&row, width) in rows.rows(entity).iter().zip(found) {
                widths[row as usize] = width;
            }
        }
        let each = each_row(&predictions).into_iter().zip(model.without_time(&frame, &all));
        for (&row, (answer, has_no_time)) in rows.rows(entity).iter().zip(each) {
            without_time += usize::from(has_no_time);
            answers[row as usize] = if has_no_time { Answer::Unknown } else { answer };
        }
        Ok(())
    })?;
    // One entity's model for every row: every row is that entity's.
    let keys = match fixed {
        true => Keys::All(&winners[0].0),
        false => {
            Keys::Each(schema.partition.iter().map(|key| key.kind == KeyKind::Number).collect())
        }
    };
    let found = Answers { answers: &answers, levels: &args.interval, widths: &widths };
    write(args, printer, &keys, &rows, &found)?;
    if rows.n_rows() > 0
        && let Some(widths) = widths.first()
        && widths.iter().all(Option::is_none)
    {
        printer.complain(
            "no row has an interval: there are some for what lies ahead of the series that a \
             forecasting study learnt from",
        );
    }
    if without_time > 0 {
        let rows = rows_are(without_time);
        printer.complain(&format!("{rows} left empty, having no time to forecast"));
    }
    let unknown = rows.unknown_rows().len();
    if unknown > 0 {
        let rows = rows_are(unknown);
        printer.complain(&format!("{rows} of entities that the study does not know"));
    }
    say_without_model(&without_model, printer);
    Ok(exit::DONE)
}

/// An entity without a model: its key, its rows, and why if that is known.
type WithoutModel<'a> = (&'a EntityKey, usize, Option<&'a str>);

/// How many entities without a model are named.
const NAMED: usize = 10;

/// Says which rows stay without a prediction, and why.
fn say_without_model(all: &[WithoutModel<'_>], printer: &Printer) {
    let n_rows: usize = all.iter().map(|(_, n_rows, _)| n_rows).sum();
    if n_rows == 0 {
        return;
    }
    printer.complain(&format!("{} of entities without a model", rows_are(n_rows)));
    for (key, n_rows, reason) in all.iter().take(NAMED) {
        let reason = reason.unwrap_or("none of its trials completed");
        let plural = if *n_rows == 1 { "row" } else { "rows" };
        printer.complain(&format!("  {key} ({n_rows} {plural}): {reason}"));
    }
    if all.len() > NAMED {
        printer.complain(&format!("  and {} more", show::count((all.len() - NAMED) as u64)));
    }
}

fn rows_are(n_rows: usize) -> String {
    match n_rows {
        1 => "1 row is".into(),
        n_rows => format!("{} rows are", show::count(n_rows as u64)),
    }
}

/// Why an entity's model cannot say anything about the file.
fn cannot_predict(
    error: &PredictError,
    rows: &Prediction,
    place: &Place,
    key: &EntityKey,
) -> Failure {
    if let PredictError::MissingColumn { name } = error
        && let Some(absent) = rows.absent(name)
    {
        return Failure::problem(file_problem(place, absent));
    }
    Failure::asked(format!("{}: {key}: {error}", place.file), HINT)
}

/// Refuses files that would be lost, or would not be what their name says.
fn check_out(args: &PredictArgs) -> Result<(), Failure> {
    let Some(out) = &args.out else { return Ok(()) };
    let real = |path: &Path| path.canonicalize().ok();
    if real(out).is_some() && real(out) == real(&args.data) {
        let message = format!("--out {} is the file with the rows to predict", out.display());
        return Err(Failure::asked(message, "name another file"));
    }
    match out.extension().and_then(|extension| extension.to_str()) {
        Some(extension @ ("parquet" | "gz")) => Err(Failure::asked(
            format!("predictions are written as csv or JSON lines, not as {extension}"),
            "name a file that ends with .csv",
        )),
        _ => Ok(()),
    }
}

const HINT: &str = "the file needs the columns that the study was trained on";

/// An entity, and where its model lies; where it has none, why if that is known.
type Winner = (EntityKey, Result<ModelAddress, Option<String>>);

/// Each entity that may be predicted, with where its model lies.
fn winners(source: &Source, args: &PredictArgs) -> Result<Vec<Winner>, Failure> {
    let mut winners: Vec<Winner> = Vec::new();
    let entity = args.entity.as_deref();
    source.each_model(&args.study, entity, |ModelView { entity, model, model_reason }| {
        winners.push((entity.unwrap_or_default(), model.ok_or(model_reason)));
    })?;
    if winners.iter().all(|(_, model)| model.is_err()) {
        let whose = entity.map(|key| format!(" of {key}")).unwrap_or_default();
        let reason = winners.iter().find_map(|(_, model)| model.as_ref().err()?.as_deref());
        let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        return Err(Failure::asked(
            format!("{} has no model{whose} to predict with{why}", args.study),
            "a study with a built-in learner keeps models when it ends; fleetfit status says more",
        ));
    }
    Ok(winners)
}

/// What is predicted for a row.
#[derive(Clone, Debug)]
enum Answer {
    /// Its entity has no model.
    Unknown,
    Number(f64),
    Label(String),
}

impl Answer {
    fn text(&self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::Number(number) => format!("{number:?}"),
            Self::Label(label) => label.clone(),
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Unknown => Json::Null,
            Self::Number(number) => Json::from(*number),
            Self::Label(label) => Json::from(label.as_str()),
        }
    }
}

/// The number, or the most likely label; of equally likely ones the first.
fn each_row(predictions: &Predictions) -> Vec<Answer> {
    match predictions {
        Predictions::Numbers(numbers) => numbers.iter().copied().map(Answer::Number).collect(),
        Predictions::Classes { probabilities, labels } => probabilities
            .chunks(labels.len().max(1))
            .map(|row| {
                let likeliest = row.iter().enumerate().fold(0, |best, (label, probability)| {
                    if *probability > row[best] { label } else { best }
                });
                labels.get(likeliest).map_or(Answer::Unknown, |label| Answer::Label(label.clone()))
            })
            .collect(),
    }
}

/// What is predicted for all rows.
struct Answers<'a> {
    answers: &'a [Answer],
    /// The levels of the intervals.
    levels: &'a [f64],
    /// At each level, how far each row may be off.
    widths: &'a [Vec<Option<f64>>],
}

impl Answers<'_> {
    fn columns(&self) -> Vec<String> {
        let mut columns = vec!["prediction".to_owned()];
        for level in self.levels {
            columns.extend(["lower", "upper"].map(|bound| match self.levels.len() {
                1 => bound.to_owned(),
                _ => format!("{bound}_{level}"),
            }));
        }
        columns
    }

    /// The cells of each row.
    fn rows(&self) -> impl Iterator<Item = (u32, Vec<Answer>)> {
        (0u32..).zip(self.answers).map(|(row, answer)| {
            let mut cells = vec![answer.clone()];
            for widths in self.widths {
                let bound = |sign: f64| match (answer, widths.get(row as usize)) {
                    (Answer::Number(middle), Some(Some(width))) => {
                        Answer::Number((middle + sign * width).clamp(f64::MIN, f64::MAX))
                    }
                    _ => Answer::Unknown,
                };
                cells.extend([bound(-1.0), bound(1.0)]);
            }
            (row, cells)
        })
    }
}

/// The partition columns of the answer.
enum Keys<'a> {
    /// Every row is this entity's.
    All(&'a EntityKey),
    /// As the input has them; whether each column holds numbers.
    Each(Vec<bool>),
}

impl Keys<'_> {
    /// The columns that the input does not pass on itself.
    fn columns(&self) -> Vec<String> {
        match self {
            Self::All(key) => key.0.iter().map(|(column, _)| column.clone()).collect(),
            Self::Each(_) => Vec::new(),
        }
    }

    /// What stands before a row's prediction.
    fn cells(&self, rows: &Prediction, row: u32) -> Vec<Json> {
        let passed = rows.passed_values(row).into_iter();
        match self {
            Self::All(key) => {
                let own = key.0.iter().map(|(_, value)| match value {
                    Value::Bool(value) => Json::from(*value),
                    Value::Int(value) => Json::from(*value),
                    Value::Float(value) => Json::from(*value),
                    Value::Text(value) => Json::from(value.as_str()),
                });
                own.chain(passed.map(Json::from)).collect()
            }
            Self::Each(numeric) => passed
                .enumerate()
                .map(|(column, text)| match (numeric.get(column), text.parse::<i64>()) {
                    // As the best of the entity shows it.
                    (Some(true), Ok(number)) => Json::from(number),
                    _ => Json::from(text),
                })
                .collect(),
        }
    }
}

fn write(
    args: &PredictArgs,
    printer: &Printer,
    keys: &Keys<'_>,
    rows: &Prediction,
    found: &Answers<'_>,
) -> Result<(), Failure> {
    let out: Box<dyn Write> = match &args.out {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => Box::new(File::create(path).map_err(|error| {
            let why = plain(&error);
            Failure::Unavailable(format!("{} cannot be written: {why}", path.display()))
        })?),
    };
    let mut out = BufWriter::new(out);
    let mut columns = keys.columns();
    columns.extend(rows.passed_columns().into_iter().map(str::to_owned));
    columns.extend(found.columns());
    if printer.output == Output::Json {
        for (row, answers) in found.rows() {
            let answers = answers.iter().map(Answer::json);
            let cells = keys.cells(rows, row).into_iter().chain(answers);
            // By hand, because a map of JSON would sort its keys.
            let pairs = columns.iter().zip(cells);
            let pairs = pairs.map(|(column, cell)| format!("{}:{cell}", Json::from(&**column)));
            write_line(&mut out, &format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")))?;
        }
    } else {
        let head: Vec<String> = columns.iter().map(|column| csv_cell(column)).collect();
        write_line(&mut out, &head.join(","))?;
        for (row, answers) in found.rows() {
            let passed = keys.cells(rows, row).into_iter().map(|cell| match cell {
                Json::String(text) => csv_cell(&text),
                other => other.to_string(),
            });
            let answers = answers.iter().map(|answer| csv_cell(&answer.text()));
            let cells: Vec<String> = passed.chain(answers).collect();
            write_line(&mut out, &cells.join(","))?;
        }
    }
    out.flush().map_err(|error| Failure::Unavailable(plain(&error)))
}

fn file_problem(place: &Place, error: &DataError) -> Problem {
    Problem {
        place: match &error.place {
            Some(at) => Place { file: at.to_string(), ..place.clone() },
            None => place.clone(),
        },
        message: error.message.to_string(),
        found: error.found.to_string(),
        allowed: error.allowed.to_string(),
        hint: error.hint.as_deref().map(str::to_owned),
    }
}
