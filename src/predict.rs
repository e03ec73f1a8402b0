//! `fleetfit predict`: the models of a study on new rows, answered in the rows' own order.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{DataSource, EntityKey, Place, Problem};
use fleetfit_trial_runner::dataset::{DataError, KeyKind, Prediction};
use fleetfit_trial_runner::frame::FeatureSchema;
use fleetfit_trial_runner::model::{Model, Predictions};
use fleetfit_trial_runner::pack;
use serde_json::Value as Json;

use crate::cli::{Output, PredictArgs};
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, write_line};
use crate::source::{self, Source};
use crate::submission::plain;
use crate::table::csv_cell;

/// Predicts each row of the file with its entity's model.
pub(crate) fn predict(home: &Path, args: &PredictArgs, printer: &Printer) -> Result<i32, Failure> {
    Source::here(&args.server, "predictions")?;
    let source = Source::open(home, &args.server)?;
    let dir = source::study_dir(home, &args.study);
    let winners = winners(&source, args)?;
    let schema = FeatureSchema::load(&dir).map_err(|error| {
        Failure::Unavailable(format!("the models of {} cannot be read: {error}", args.study))
    })?;
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
    let mut without_model = 0_usize;
    for entity in rows.entities() {
        let (key, model) = &winners[entity as usize];
        let Some(model) = model else {
            without_model += rows.rows(entity).len();
            continue;
        };
        let frame = rows.frame(entity);
        let all: Vec<u32> = (0..frame.n_rows as u32).collect();
        let predictions = load(&dir, model)?
            .predict(&frame, &all)
            .map_err(|error| Failure::asked(format!("{shown}: {key}: {error}"), HINT))?;
        for (&row, answer) in rows.rows(entity).iter().zip(each_row(&predictions)) {
            answers[row as usize] = answer;
        }
    }
    let numeric: Vec<bool> =
        schema.partition.iter().map(|key| key.kind == KeyKind::Number).collect();
    write(args, printer, &rows, &numeric, &answers)?;
    let unknown = rows.unknown_rows().len();
    if unknown > 0 {
        printer.note(&format!("{unknown} rows are of entities that the study does not know"));
    }
    if without_model > 0 {
        printer.note(&format!("{without_model} rows are of entities without a model"));
    }
    Ok(exit::DONE)
}

const HINT: &str = "the file needs the columns that the study was trained on";

type Winner = (EntityKey, Option<ModelAddress>);

/// Each entity that may be predicted, with where its model lies.
fn winners(source: &Source, args: &PredictArgs) -> Result<Vec<Winner>, Failure> {
    let mut winners = Vec::new();
    let mut add = |best: fleetfit_scheduler::query::BestView| {
        let address = match &best.model {
            Some(model) => Some(model.parse().map_err(Failure::Unexpected)?),
            None => None,
        };
        winners.push((best.entity.unwrap_or_default(), address));
        Ok(())
    };
    match &args.entity {
        Some(entity) => {
            source.best(&args.study, Some(entity), 1)?.into_iter().try_for_each(&mut add)?;
        }
        None => source.each_best(&args.study, &mut add)?,
    }
    if winners.iter().all(|(_, model)| model.is_none()) {
        return Err(Failure::asked(
            format!("{} has no model to predict with", args.study),
            "models are kept when a study with a built-in learner ends; see fleetfit status",
        ));
    }
    Ok(winners)
}

fn load(dir: &Path, address: &ModelAddress) -> Result<Model, Failure> {
    let bytes = pack::read(&dir.join("models"), address)
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    Model::from_bytes(&bytes).map_err(|error| Failure::Unavailable(error.to_string()))
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

fn write(
    args: &PredictArgs,
    printer: &Printer,
    rows: &Prediction,
    numeric: &[bool],
    answers: &[Answer],
) -> Result<(), Failure> {
    let out: Box<dyn Write> = match &args.out {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => Box::new(File::create(path).map_err(|error| {
            let why = plain(&error);
            Failure::Unavailable(format!("{} cannot be written: {why}", path.display()))
        })?),
    };
    let mut out = BufWriter::new(out);
    let mut columns = rows.passed_columns();
    columns.push("prediction");
    if printer.output == Output::Json {
        for (row, answer) in (0u32..).zip(answers) {
            let passed = rows.passed_values(row).into_iter().enumerate();
            let passed = passed.map(|(column, text)| match numeric.get(column) {
                // A key that is a number, as the best of its entity shows it.
                Some(true) => text.parse::<i64>().map_or(Json::from(text), Json::from),
                _ => Json::from(text),
            });
            let cells = passed.chain([answer.json()]);
            let object: serde_json::Map<String, Json> =
                columns.iter().map(|column| (*column).to_owned()).zip(cells).collect();
            write_line(&mut out, &Json::Object(object).to_string())?;
        }
    } else {
        let head: Vec<String> = columns.into_iter().map(csv_cell).collect();
        write_line(&mut out, &head.join(","))?;
        for (row, answer) in (0u32..).zip(answers) {
            let passed = rows.passed_values(row).into_iter().map(csv_cell);
            let cells: Vec<String> = passed.chain([csv_cell(&answer.text())]).collect();
            write_line(&mut out, &cells.join(","))?;
        }
    }
    out.flush().map_err(|error| Failure::Unavailable(plain(&error)))
}

fn file_problem(place: &Place, error: &DataError) -> Problem {
    Problem {
        place: place.clone(),
        message: error.to_string(),
        found: error.found.to_string(),
        allowed: error.allowed.to_string(),
        hint: error.hint.as_deref().map(str::to_owned),
    }
}
