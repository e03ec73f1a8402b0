//! What becomes of each column: decided from the training rows alone.

use fleetfit_search_spaces::data::{DataSpec, Task};

use super::column::{Column, Kind, Survey};
use super::error::{DataError, list_names, shorten};
use super::labels::{self, Classes};
use super::raw::RawRows;
use super::roles::Roles;
use super::table::Table;
use crate::frame::{
    DatePart, Feature, FeatureKind, FeatureSchema, TargetKind, TimeKind, TimeSchema,
};

/// More classes than a classifier is asked to tell apart.
pub(super) const MAX_CLASSES: usize = 1_000;
/// A text column with more levels than this, and more than half as many as rows, names rows.
const IDENTIFIER_LEVELS: usize = 100;

/// Decides on the features and the target from the training rows. Also returns which of the roles'
/// features are kept.
pub(super) fn describe(
    table: &Table,
    roles: &Roles,
    spec: &DataSpec,
    raw: &RawRows,
    notices: &mut Vec<String>,
) -> Result<(FeatureSchema, Vec<bool>), DataError> {
    let mut features = Vec::new();
    let mut keep = Vec::with_capacity(roles.features.len());
    let (mut identifiers, mut constant, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (&position, column) in roles.features.iter().zip(&raw.features) {
        let name = &table.names[position];
        let kind = match column {
            Column::Word { words, .. } => {
                let names_rows = words.len() > IDENTIFIER_LEVELS && words.len() * 2 > raw.n_rows;
                match table.surveys[position].surprise() {
                    Some(why) if names_rows => {
                        let few = "nearly every row has a text of its own there";
                        let name = shorten(name);
                        left_out.push(format!("column {name:?} {why}; it is not used: {few}"));
                    }
                    Some(why) => {
                        let name = shorten(name);
                        notices.push(format!(
                            "column {name:?} {why}; each of its texts is a category"
                        ));
                    }
                    None if names_rows => identifiers.push(name.as_str()),
                    None => {}
                }
                if names_rows {
                    None
                } else {
                    let mut levels = words.clone();
                    levels.sort_unstable();
                    Some(FeatureKind::Category(levels))
                }
            }
            Column::Number(seconds) if table.surveys[position].feature_kind() == Kind::Date => {
                if table.surveys[position].kind() != Kind::Date {
                    notices.push(format!(
                        "column {:?} is read as dates like 20240131, since all of its values are \
                         some; an MLTable file's convert_column_types to int keeps it as numbers",
                        shorten(name)
                    ));
                }
                let parts = DatePart::that_vary(seconds);
                if parts.is_empty() {
                    constant.push(name.as_str());
                }
                (!parts.is_empty()).then_some(FeatureKind::Date(parts))
            }
            Column::Number(_) => Some(FeatureKind::Number),
        };
        keep.push(kind.is_some());
        features.extend(kind.map(|kind| Feature { column: name.clone(), kind }));
    }
    if !identifiers.is_empty() {
        left_out.push(format!(
            "text columns that name rows rather than describe them are not used: {}",
            list_names(&identifiers)
        ));
    }
    if !constant.is_empty() {
        left_out.push(format!("dates that never change are not used: {}", list_names(&constant)));
    }
    if features.is_empty() && spec.task != Task::Forecasting {
        let error = DataError::content("no column is left to learn from")
            .file(&table.parts[0].files[0].shown)
            .found(list_names(&table.names))
            .allowed("at least one column besides the target, partition and weight columns");
        left_out.extend(roles.notices.iter().cloned());
        return Err(match left_out.is_empty() {
            true => error,
            false => error.hint(left_out.join("; ")),
        });
    }
    notices.append(&mut left_out);
    let schema = FeatureSchema {
        features,
        target: spec.target.clone(),
        target_kind: target_kind(&table.surveys[roles.target], raw, spec)?,
        partition: Roles::key_columns(table, &roles.keys),
        time_column: spec.forecasting.as_ref().map(|f| f.time_column.clone()),
        time: roles.time.map(|time| TimeSchema {
            kind: match table.surveys[time].time_kind() {
                Kind::Date => TimeKind::Date,
                _ => TimeKind::Number,
            },
            series: Roles::key_columns(table, &roles.series),
            past: roles.past.iter().map(|&column| table.names[column].clone()).collect(),
            // Once the rows are sorted: it takes their steps.
            holidays: None,
        }),
    };
    Ok((schema, keep))
}

fn target_kind(survey: &Survey, raw: &RawRows, spec: &DataSpec) -> Result<TargetKind, DataError> {
    let Column::Word { words, .. } = &raw.target else {
        return Ok(TargetKind::Number);
    };
    let mut names = labels::names(survey, words);
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
        let position = names
            .iter()
            .position(|name| name == positive)
            .or_else(|| names.iter().position(|name| name.eq_ignore_ascii_case(positive)))
            .or_else(|| Classes::of(&names).position(positive).map(|code| code as usize));
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
