//! A data set: read once from its files, typed, and sorted so that each entity's rows lie together.
//!
//! Files are read twice, to learn what their columns hold and then to store them; nothing but the
//! typed columns stays in memory. Everything that depends on all rows (levels, labels, the parts of
//! dates that vary) is decided here and kept in the [`FeatureSchema`]. Read [`table`] next for
//! files, [`crate::frame`] for what trainers see.

pub(crate) mod cell;
pub(crate) mod column;
mod delimited;
mod error;
mod keys;
mod mltable;
mod parquet;
mod prediction;
mod raw;
mod roles;
mod source;
mod table;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use fleetfit_search_spaces::data::{DataSource, DataSpec, Task};
use fleetfit_search_spaces::entity::EntityKey;

pub use cell::MISSING_WORDS;
pub use error::{At, DataError, DataPlace, Fault};
pub use keys::{KeyColumn, KeyKind};
pub use prediction::Prediction;
pub use table::header;

use crate::folds::Marks;
use crate::frame::{
    DatePart, Feature, FeatureKind, FeatureSchema, Frame, Layout, MISSING, Target, TargetKind,
};
use column::{Column, Survey};
use error::{list_names, shorten};
use keys::{Combinations, RowKeys, labels};
use raw::{RawRows, sort_by_group};
use roles::Roles;
use table::Table;

/// More classes than a classifier is asked to tell apart.
const MAX_CLASSES: usize = 1_000;
/// A text column with more levels than this, and more than half as many as rows, names rows.
const IDENTIFIER_LEVELS: usize = 100;

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
            raw.append(RawRows::like(&other, &table, &roles, spec.task)?);
        }
        let unsorted = Unsorted {
            schema,
            keep,
            n_training,
            raw,
            survey: &table.surveys[roles.target],
        };
        unsorted.sort(digest, notices, spec.validation.is_some())
    }

    /// The entities, numbers by size and text by bytes. Without partition columns there is one.
    pub fn entities(&self) -> &[EntityKey] {
        &self.entities
    }

    /// The digest of the files' bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many rows are used for training and validation.
    pub fn n_rows(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0) as usize
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
        let rows = self.rows(entity);
        Frame {
            columns: self.layout.columns(&self.features, rows.clone()),
            target: match &self.target {
                TargetRows::Number(values) => Target::Number(values[rows.clone()].to_vec()),
                TargetRows::Class(codes, labels) => Target::Class {
                    codes: codes[rows.clone()].to_vec(),
                    labels: Arc::clone(labels),
                },
            },
            weights: self
                .weights
                .as_ref()
                .map(|weights| weights[rows.clone()].to_vec()),
            n_rows: rows.len(),
        }
    }

    /// What splits need to know about the rows of an entity's frame.
    pub fn marks(&self, entity: u32) -> Marks {
        let rows = self.rows(entity);
        Marks {
            time: self.time.as_ref().map(|time| time[rows.clone()].to_vec()),
            series: self
                .series
                .as_ref()
                .map(|series| series[rows.clone()].to_vec()),
            columns: self
                .marks
                .iter()
                .map(|mark| mark[rows.clone()].to_vec())
                .collect(),
            n_training: self.has_validation.then(|| {
                let end = self.offset(2 * entity as usize + 1);
                (end - rows.start) as u32
            }),
        }
    }

    fn rows(&self, entity: u32) -> std::ops::Range<usize> {
        self.offset(2 * entity as usize)..self.offset(2 * entity as usize + 2)
    }

    fn offset(&self, position: usize) -> usize {
        self.offsets
            .get(position)
            .or(self.offsets.last())
            .copied()
            .unwrap_or(0) as usize
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

/// Decides on the features and the target from the training rows. Also returns which of the roles'
/// features are kept.
fn describe(
    table: &Table,
    roles: &Roles,
    spec: &DataSpec,
    raw: &RawRows,
    notices: &mut Vec<String>,
) -> Result<(FeatureSchema, Vec<bool>), DataError> {
    let mut features = Vec::new();
    let mut keep = Vec::with_capacity(roles.features.len());
    let (mut identifiers, mut constant) = (Vec::new(), Vec::new());
    for (&position, column) in roles.features.iter().zip(&raw.features) {
        let name = &table.names[position];
        let kind = match column {
            Column::Word { words, .. } => {
                if words.len() > IDENTIFIER_LEVELS && words.len() * 2 > raw.n_rows {
                    identifiers.push(name.as_str());
                    None
                } else {
                    let mut levels = words.clone();
                    levels.sort_unstable();
                    Some(FeatureKind::Category(levels))
                }
            }
            Column::Number(seconds) if table.surveys[position].kind() == column::Kind::Date => {
                let parts = DatePart::that_vary(seconds);
                if parts.is_empty() {
                    constant.push(name.as_str());
                }
                (!parts.is_empty()).then_some(FeatureKind::Date(parts))
            }
            Column::Number(_) => Some(FeatureKind::Number),
        };
        keep.push(kind.is_some());
        features.extend(kind.map(|kind| Feature {
            column: name.clone(),
            kind,
        }));
    }
    if !identifiers.is_empty() {
        notices.push(format!(
            "text columns that name rows rather than describe them are not used: {}",
            list_names(&identifiers)
        ));
    }
    if !constant.is_empty() {
        notices.push(format!(
            "dates that never change are not used: {}",
            list_names(&constant)
        ));
    }
    if features.is_empty() && spec.task != Task::Forecasting {
        return Err(DataError::content("no column is left to learn from")
            .file(&table.parts[0].files[0].shown)
            .found(list_names(&table.names))
            .allowed("at least one column besides the target, partition and weight columns"));
    }
    let schema = FeatureSchema {
        features,
        target: spec.target.clone(),
        target_kind: target_kind(&table.surveys[roles.target], raw, spec)?,
        partition: roles.key_columns(table),
        time_column: spec.forecasting.as_ref().map(|f| f.time_column.clone()),
    };
    Ok((schema, keep))
}

fn target_kind(survey: &Survey, raw: &RawRows, spec: &DataSpec) -> Result<TargetKind, DataError> {
    let Column::Word { words, .. } = &raw.target else {
        return Ok(TargetKind::Number);
    };
    let (mut names, _) = labels(survey, words);
    if let [only] = names.as_slice() {
        return Err(DataError::content(format!(
            "the target {:?} has one class, {:?}",
            shorten(&spec.target),
            shorten(only)
        ))
        .key("target_column_name")
        .found(only.as_str())
        .allowed("at least two classes"));
    }
    if names.len() > MAX_CLASSES {
        return Err(DataError::content(format!(
            "the target {:?} has {} classes",
            shorten(&spec.target),
            names.len()
        ))
        .key("target_column_name")
        .found(names.len().to_string())
        .allowed(format!("at most {MAX_CLASSES} classes"))
        .hint("for numbers, write task: regression"));
    }
    if let Some(positive) = &spec.positive_label {
        let position = names.iter().position(|name| name == positive).or_else(|| {
            names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(positive))
        });
        let Some(position) = position else {
            return Err(DataError::content(format!(
                "no row has the class {:?}",
                shorten(positive)
            ))
            .key("positive_label")
            .found(positive.as_str())
            .allowed(list_names(&names)));
        };
        if names.len() == 2 && position == 0 {
            names.swap(0, 1);
        }
    }
    Ok(TargetKind::Class(names))
}

/// Rows in the files' order, and what has been decided about them.
struct Unsorted<'t> {
    schema: FeatureSchema,
    keep: Vec<bool>,
    n_training: usize,
    raw: RawRows,
    survey: &'t Survey,
}

impl Unsorted<'_> {
    fn sort(
        self,
        digest: String,
        mut notices: Vec<String>,
        has_validation: bool,
    ) -> Result<Dataset, DataError> {
        let raw = self.raw;
        let target = target_rows(&self.schema, self.survey, raw.target);
        let keys = RowKeys::of(&self.schema.partition, &raw.keys, raw.n_rows);
        let (entities, groups) = group_rows(
            keys,
            self.n_training,
            |row| {
                let has_time = raw
                    .time
                    .as_ref()
                    .is_none_or(|time| !time.numbers()[row].is_nan());
                has_time && target.is_known(row)
            },
            &mut notices,
        );
        if groups[..self.n_training]
            .iter()
            .all(|&group| group == MISSING)
        {
            return Err(
                DataError::content("no row has a target and all of its keys")
                    .key("target_column_name")
                    .found("no usable row"),
            );
        }
        let sorted = sort_by_group(&groups, 2 * entities.len());
        let order = &sorted.order;
        let series = (!raw.series.is_empty()).then(|| {
            let codes: Vec<&[u32]> = raw.series.iter().map(|column| column.words().0).collect();
            let rows = Combinations::of(&codes, raw.n_rows).rows;
            order.iter().map(|&row| rows[row as usize]).collect()
        });
        let numbers = |column: Column| column.gather(order).numbers().to_vec();
        let features: Vec<Column> = raw
            .features
            .into_iter()
            .zip(self.keep)
            .filter_map(|(column, keep)| keep.then_some(column))
            .zip(&self.schema.features)
            .map(|(column, feature)| to_levels(column.gather(order), &feature.kind))
            .collect();
        Ok(Dataset {
            target: target.gather(order),
            weights: raw.weight.map(numbers),
            time: raw.time.map(numbers),
            series,
            marks: raw.marks.into_iter().map(numbers).collect(),
            features,
            layout: Layout::of(&self.schema),
            schema: self.schema,
            offsets: sorted.offsets,
            entities,
            has_validation,
            digest,
            notices,
        })
    }
}

/// The group of each row: twice its entity, and one more for a row of the validation table.
fn group_rows(
    keys: RowKeys,
    n_training: usize,
    is_usable: impl Fn(usize) -> bool,
    notices: &mut Vec<String>,
) -> (Vec<EntityKey>, Vec<u32>) {
    // Entities that only the validation table has cannot be trained.
    let mut number = vec![MISSING; keys.entities.len()];
    for &entity in keys.rows[..n_training]
        .iter()
        .filter(|&&entity| entity != MISSING)
    {
        number[entity as usize] = 0;
    }
    let mut entities = Vec::new();
    for (number, key) in number.iter_mut().zip(keys.entities) {
        if *number != MISSING {
            *number = entities.len() as u32;
            entities.push(key);
        }
    }
    let (mut no_key, mut unknown, mut no_target) = (0_usize, 0_usize, 0_usize);
    let mut groups = keys.rows;
    for (row, group) in groups.iter_mut().enumerate() {
        let entity = if *group == MISSING {
            MISSING
        } else {
            number[*group as usize]
        };
        let counter = match (*group, entity) {
            (MISSING, _) => Some(&mut no_key),
            (_, MISSING) => Some(&mut unknown),
            _ if !is_usable(row) => Some(&mut no_target),
            _ => None,
        };
        *group = match counter {
            Some(counter) => {
                *counter += 1;
                MISSING
            }
            None => 2 * entity + u32::from(row >= n_training),
        };
    }
    for (n_rows, reason) in [
        (no_key, "a partition column is empty there"),
        (unknown, "the training data has no such entity"),
        (
            no_target,
            "the target or the time is missing there, or is no class of the training data",
        ),
    ] {
        if n_rows > 0 {
            let plural = if n_rows == 1 { " is" } else { "s are" };
            notices.push(format!("{n_rows} row{plural} not used: {reason}"));
        }
    }
    (entities, groups)
}

fn target_rows(schema: &FeatureSchema, survey: &Survey, column: Column) -> TargetRows {
    match (&schema.target_kind, column) {
        (TargetKind::Class(names), Column::Word { codes, words }) => {
            let (texts, of_word) = labels(survey, &words);
            let of_text: Vec<u32> = texts
                .iter()
                .map(|text| match names.iter().position(|name| name == text) {
                    Some(position) => position as u32,
                    None => MISSING,
                })
                .collect();
            let codes = codes
                .into_iter()
                .map(|code| match code {
                    MISSING => MISSING,
                    _ => of_text[of_word[code as usize] as usize],
                })
                .collect();
            TargetRows::Class(codes, Arc::new(names.clone()))
        }
        (_, column) => TargetRows::Number(column.numbers().to_vec()),
    }
}

impl TargetRows {
    fn is_known(&self, row: usize) -> bool {
        match self {
            Self::Number(values) => !values[row].is_nan(),
            Self::Class(codes, _) => codes[row] != MISSING,
        }
    }

    fn gather(self, order: &[u32]) -> Self {
        match self {
            Self::Number(values) => {
                Self::Number(order.iter().map(|&row| values[row as usize]).collect())
            }
            Self::Class(codes, labels) => Self::Class(
                order.iter().map(|&row| codes[row as usize]).collect(),
                labels,
            ),
        }
    }
}

/// Words as indices into a feature's sorted levels; others become missing.
fn to_levels(column: Column, kind: &FeatureKind) -> Column {
    match (kind, column) {
        (FeatureKind::Category(levels), Column::Word { mut codes, words }) => {
            let translation: Vec<u32> = words
                .iter()
                .map(|word| match levels.binary_search(word) {
                    Ok(level) => level as u32,
                    Err(_) => MISSING,
                })
                .collect();
            for code in codes.iter_mut().filter(|code| **code != MISSING) {
                *code = translation[*code as usize];
            }
            Column::Word {
                codes,
                words: Vec::new(),
            }
        }
        (_, column) => column,
    }
}

#[cfg(test)]
mod tests;
