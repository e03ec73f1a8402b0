//! A data set: read once from its files, typed, and sorted so that each entity's rows lie together.
//!
//! Files are read twice, to learn what their columns hold and then to store them; nothing but the
//! typed columns stays in memory. Everything that depends on all rows (levels, labels, the parts of
//! dates that vary) is decided here and kept in the [`FeatureSchema`]. Read `table` next for
//! files, [`crate::frame`] for what trainers see.

mod bins;
pub(crate) mod cell;
pub(crate) mod column;
pub(crate) mod date;
mod delimited;
mod describe;
mod error;
mod keys;
mod labels;
mod mltable;
mod parquet;
mod prediction;
mod raw;
mod roles;
mod sorting;
pub(crate) mod source;
mod table;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use fleetfit_search_spaces::data::{DataSource, DataSpec, Forecasting};
use fleetfit_search_spaces::entity::EntityKey;

pub use cell::MISSING_WORDS;
pub use error::{At, DataError, DataPlace, Fault};
pub use keys::{KeyColumn, KeyKind};
pub use prediction::Prediction;
pub use table::header;

use crate::folds::Marks;
use crate::frame::{
    FeatureColumn, FeatureSchema, FeatureValues, ForecastPlan, Frame, Holidays, Layout, Target,
    TimeKind, Timeline,
};
use column::Column;
use describe::describe;
use raw::RawRows;
use roles::Roles;
use sorting::Unsorted;
use table::Table;

/// So many times the mean of all entities' rows are many.
const MANY_TIMES_THE_MEAN: usize = 4;

/// How many entities are called large at most.
const MOST_LARGE: usize = 64;

/// The rows to learn from, by entity.
#[derive(Debug)]
pub struct Dataset {
    entities: Vec<EntityKey>,
    /// Entity `e` has the rows `offsets[2e]..offsets[2e + 2]`; the validation table's rows begin
    /// at `offsets[2e + 1]`.
    offsets: Vec<u32>,
    schema: FeatureSchema,
    layout: Layout,
    features: Vec<Column>,
    target: TargetRows,
    weights: Option<Vec<f64>>,
    time: Option<Vec<f64>>,
    series: Option<Vec<u32>>,
    series_names: Arc<Vec<String>>,
    /// Columns known for the past alone, in the schema's order.
    past: Vec<(Arc<str>, Vec<f64>)>,
    forecasting: Option<Forecasting>,
    marks: Vec<Vec<f64>>,
    has_validation: bool,
    digest: String,
    notices: Vec<String>,
}

#[derive(Debug)]
enum TargetRows {
    Number(Vec<f64>),
    Class(Vec<u32>, Arc<Vec<String>>),
}

impl Dataset {
    /// Reads the training table, and the validation table where there is one. Paths start at
    /// `base`.
    pub fn load(base: &Path, spec: &DataSpec) -> Result<Self, DataError> {
        let digest = digest(base, spec)?;
        let table = Table::survey(base, &spec.training)?;
        let roles = Roles::find(&table, spec)?;
        let mut raw = RawRows::training(&table, &roles, spec.task)?;
        let n_training = raw.n_rows;
        let mut notices = table.notices.clone();
        notices.extend(roles.notices.iter().cloned());
        let (schema, keep) = describe(&table, &roles, spec, &raw, &mut notices)?;
        if let Some(validation) = &spec.validation {
            let as_validation = |error: DataError| error.key("validation_data");
            let other = Table::survey(base, validation).map_err(as_validation)?;
            raw.append(RawRows::validation(&other, &table, &roles, spec.task)?);
        }
        let unsorted = Unsorted { schema, keep, n_training, raw };
        let dataset = unsorted.sort(digest, notices, spec.validation.is_some())?;
        let mut dataset = Self { forecasting: spec.forecasting.clone(), ..dataset };
        dataset.find_holidays();
        Ok(dataset)
    }

    /// Whose holidays are features, by the steps of the first entity. Numbers have no calendar.
    fn find_holidays(&mut self) {
        let Some(settings) = &self.forecasting else { return };
        let is_dates = self.schema.time.as_ref().is_some_and(|time| time.kind == TimeKind::Date);
        if !is_dates {
            let named = [
                ("frequency", settings.frequency.is_some()),
                ("country_or_region_for_holidays", settings.holidays.is_some()),
            ];
            for (key, _) in named.into_iter().filter(|(_, is_set)| *is_set) {
                self.notices.push(format!(
                    "{key} is not used: the time column holds numbers, which count steps"
                ));
            }
            return;
        }
        let Some(country) = settings.holidays else { return };
        let plan = self.timeline(self.rows(0)).and_then(|timeline| timeline.plan);
        if let (Some(plan), Some(time)) = (plan, &mut self.schema.time) {
            time.holidays = Some(Holidays { country, step: plan.step });
        }
    }

    /// The entities, numbers by size and text by bytes. Without partition columns there is one.
    pub fn entities(&self) -> &[EntityKey] {
        &self.entities
    }

    /// What an entity's folds and seeds come of.
    pub fn fingerprint(&self, entity: u32) -> u64 {
        self.entities.get(entity as usize).map_or(0, EntityKey::fingerprint)
    }

    /// The entities with many more rows than others, the largest first: whoever trains all of them
    /// should begin with these.
    pub fn large(&self) -> Vec<u32> {
        let n_entities = self.entities.len().max(1);
        let least = MANY_TIMES_THE_MEAN * self.n_rows() / n_entities;
        let mut large: Vec<(usize, u32)> = (0..n_entities as u32)
            .map(|entity| (self.rows(entity).len(), entity))
            .filter(|(n_rows, _)| *n_rows > least)
            .collect();
        large.sort_by_key(|&(n_rows, entity)| (std::cmp::Reverse(n_rows), entity));
        large.into_iter().take(MOST_LARGE).map(|(_, entity)| entity).collect()
    }

    /// The digest of the files' bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many rows are used for training and validation.
    pub fn n_rows(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0) as usize
    }

    /// About how much memory it takes.
    pub fn n_bytes(&self) -> u64 {
        // The target, the weight, the time and the series at most, besides features and marks.
        let n_columns = self.features.len() + self.marks.len() + 4;
        let n_values = self.n_rows() as u64 * n_columns as u64;
        8 * n_values + 96 * self.entities.len() as u64
    }

    /// About how much memory an entity's rows take.
    pub(crate) fn n_bytes_of(&self, entity: u32) -> u64 {
        let n_rows = self.rows(entity).len() as u64;
        self.n_bytes() / (self.n_rows() as u64).max(1) * n_rows
    }

    /// What the features are.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// Sentences worth saying: columns and rows that are not used.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The rows of an entity: those to train on, then those of the validation table. An entity
    /// that does not exist has none.
    pub fn frame(&self, entity: u32) -> Frame {
        self.lay_out(entity).0
    }

    /// What splits need to know about the rows of an entity's frame.
    pub fn marks(&self, entity: u32) -> Marks {
        self.lay_out(entity).1
    }

    /// The rows of an entity, and what splits need to know about them.
    pub fn lay_out(&self, entity: u32) -> (Frame, Marks) {
        let rows = self.rows(entity);
        let timeline = self.timeline(rows.clone());
        let mut columns = self.layout.columns(&self.features, rows.clone());
        if let Some(timeline) = &timeline {
            columns.extend(self.schema.holidays(&timeline.time));
        }
        let mut frame = Frame {
            columns,
            target: match &self.target {
                TargetRows::Number(values) => Target::Number(values[rows.clone()].to_vec()),
                TargetRows::Class(codes, labels) => Target::Class {
                    codes: codes[rows.clone()].to_vec(),
                    labels: Arc::clone(labels),
                },
            },
            weights: self.weights.as_ref().map(|weights| weights[rows.clone()].to_vec()),
            timeline,
            n_rows: rows.len(),
        };
        let mut marks = Marks {
            time: self.time.as_ref().map(|time| time[rows.clone()].to_vec()),
            series: self.series.as_ref().map(|series| series[rows.clone()].to_vec()),
            columns: self.marks.iter().map(|mark| mark[rows.clone()].to_vec()).collect(),
            n_training: self.has_validation.then(|| {
                let end = self.offset(2 * entity as usize + 1);
                (end - rows.start) as u32
            }),
            n_short: 0,
        };
        bins::condense(&mut frame, &mut marks);
        (frame, marks)
    }

    fn timeline(&self, rows: std::ops::Range<usize>) -> Option<Timeline> {
        let settings = self.forecasting.as_ref()?;
        let kind = self.schema.time.as_ref()?.kind;
        let time = self.time.as_ref()?[rows.clone()].to_vec();
        let series = match &self.series {
            Some(series) => series[rows.clone()].to_vec(),
            None => vec![0; rows.len()],
        };
        let plan = ForecastPlan::of(settings, kind, &time, &series);
        let past = self.past.iter().map(|(name, values)| FeatureColumn {
            name: Arc::clone(name),
            values: FeatureValues::Number(values[rows.clone()].to_vec()),
        });
        Some(Timeline {
            past: past.collect(),
            names: Arc::clone(&self.series_names),
            plan: Some(Arc::new(plan)),
            time,
            series,
        })
    }

    fn rows(&self, entity: u32) -> std::ops::Range<usize> {
        self.offset(2 * entity as usize)..self.offset(2 * entity as usize + 2)
    }

    fn offset(&self, position: usize) -> usize {
        self.offsets.get(position).or(self.offsets.last()).copied().unwrap_or(0) as usize
    }
}

/// The digest of the bytes of a data set's files, in order, in hexadecimal: for one file its own.
pub fn digest(base: &Path, spec: &DataSpec) -> Result<String, DataError> {
    let mut hasher = blake3::Hasher::new();
    digest_source(base, &spec.training, &mut hasher)?;
    if let Some(validation) = &spec.validation {
        digest_source(base, validation, &mut hasher)
            .map_err(|error| error.key("validation_data"))?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn digest_source(
    base: &Path,
    source: &DataSource,
    hasher: &mut blake3::Hasher,
) -> Result<(), DataError> {
    let mut buffer = vec![0_u8; 1 << 18];
    for part in source::resolve(base, source)? {
        let files = part.files.iter().map(|file| file.path.as_path());
        for path in part.recipe.as_deref().into_iter().chain(files) {
            let unreadable = |error: std::io::Error| {
                DataError::new(Fault::Unreadable, format!("cannot be read: {error}"))
                    .file(&path.display().to_string())
            };
            let mut file = std::fs::File::open(path).map_err(unreadable)?;
            loop {
                let n_read = file.read(&mut buffer).map_err(unreadable)?;
                if n_read == 0 {
                    break;
                }
                hasher.update(&buffer[..n_read]);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
