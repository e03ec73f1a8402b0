//! Rows out of the files' order into the entities' order.

use std::sync::Arc;

use fleetfit_search_spaces::entity::EntityKey;

use super::bins::named;
use super::column::Column;
use super::describe::MAX_CLASSES;
use super::error::{DataError, list_names, shorten};
use super::keys::RowKeys;
use super::labels::Classes;
use super::raw::{RawRows, Sorted, sort_by_group};
use super::{Dataset, TargetRows};
use crate::frame::{FeatureKind, FeatureSchema, Layout, MISSING, TargetKind};

/// Rows in the files' order, and what has been decided about them.
pub(super) struct Unsorted {
    pub(super) schema: FeatureSchema,
    pub(super) keep: Vec<bool>,
    pub(super) n_training: usize,
    pub(super) raw: RawRows,
}

impl Unsorted {
    pub(super) fn sort(
        self,
        digest: String,
        mut notices: Vec<String>,
        has_validation: bool,
    ) -> Result<Dataset, DataError> {
        let raw = self.raw;
        let (target, unseen) = with_unseen(&self.schema, raw.target, self.n_training)?;
        let keys = RowKeys::of(&self.schema.partition, &raw.keys, raw.n_rows);
        let unused = |row: usize| {
            let is_timeless = |time: &Column| time.numbers()[row].is_nan();
            if raw.time.as_ref().is_some_and(is_timeless) {
                Some(Unused::NoTime)
            } else if target.is_known(row) {
                None
            } else {
                Some(Unused::NoTarget)
            }
        };
        let (entities, groups) = group_rows(keys, self.n_training, unused, &mut notices);
        notices.extend(unseen);
        let is_unused = |group: &u32| *group == MISSING;
        if groups[..self.n_training].iter().all(is_unused) {
            let message = "no row has a target and all of its keys";
            return Err(DataError::content(message)
                .key("target_column_name")
                .found("no usable row")
                .allowed("rows with a target, a time and all partition columns"));
        }
        let mut sorted = sort_by_group(&groups, 2 * entities.len());
        let mut series_names = vec![String::new()];
        let series_keys = self.schema.time.as_ref().map_or(&[][..], |time| &time.series);
        let series = (!series_keys.is_empty()).then(|| {
            let keys = RowKeys::of(series_keys, &raw.series, raw.n_rows);
            series_names = keys.entities.iter().map(EntityKey::text).collect();
            named(keys.rows, &mut series_names)
        });
        if let (Some(_), Some(time)) = (&self.schema.time, &raw.time) {
            sort_by_time(&mut sorted, series.as_deref(), time.numbers(), &target);
        }
        let order = &sorted.order;
        let series = series.map(|rows| order.iter().map(|&row| rows[row as usize]).collect());
        let numbers = |column: Column| column.gather(order).into_numbers();
        let past_names = self.schema.time.as_ref().map_or(&[][..], |time| &time.past);
        let past_names = past_names.iter().map(|name| Arc::from(name.as_str()));
        let past = past_names.zip(raw.past.into_iter().map(numbers)).collect();
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
            series_names: Arc::new(series_names),
            past,
            forecasting: None,
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

/// Sorts the rows of each group by series, time and target, so that what is drawn of them, and what
/// a sum of them rounds to, does not hang on the order of the file.
fn sort_by_time(sorted: &mut Sorted, series: Option<&[u32]>, time: &[f64], target: &TargetRows) {
    let of_series = |row: u32| series.map_or(0, |series| series[row as usize]);
    let compare = |&a: &u32, &b: &u32| {
        let (at, other) = (a as usize, b as usize);
        let by_time = of_series(a).cmp(&of_series(b)).then(time[at].total_cmp(&time[other]));
        by_time.then_with(|| match target {
            TargetRows::Number(values) => values[at].total_cmp(&values[other]),
            TargetRows::Class(codes, _) => codes[at].cmp(&codes[other]),
        })
    };
    for group in sorted.offsets.windows(2) {
        let rows = &mut sorted.order[group[0] as usize..group[1] as usize];
        if !rows.is_sorted_by(|a, b| compare(a, b).is_le()) {
            rows.sort_by(compare);
        }
    }
}

/// Why a row is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unused {
    NoKey,
    UnknownEntity,
    NoTarget,
    NoTime,
}

impl Unused {
    const ALL: [Self; 4] = [Self::NoKey, Self::UnknownEntity, Self::NoTarget, Self::NoTime];

    fn reason(self) -> &'static str {
        match self {
            Self::NoKey => "a partition column is empty there",
            Self::UnknownEntity => "the training data has no such entity",
            Self::NoTarget => "the target is missing there",
            Self::NoTime => "the time is missing there",
        }
    }
}

/// The entities that can be trained, and the group of each row: twice its entity, and one more for
/// a row of the validation table.
fn group_rows(
    keys: RowKeys,
    n_training: usize,
    unused: impl Fn(usize) -> Option<Unused>,
    notices: &mut Vec<String>,
) -> (Vec<EntityKey>, Vec<u32>) {
    let mut is_trained = vec![false; keys.entities.len()];
    for &entity in &keys.rows[..n_training] {
        if entity != MISSING {
            is_trained[entity as usize] = true;
        }
    }
    let mut entities = Vec::new();
    let mut number = vec![None; keys.entities.len()];
    for (position, key) in keys.entities.into_iter().enumerate() {
        if is_trained[position] {
            number[position] = Some(entities.len() as u32);
            entities.push(key);
        }
    }
    let mut counts = [[0_usize; Unused::ALL.len()]; 2];
    let mut groups = keys.rows;
    for (row, group) in groups.iter_mut().enumerate() {
        let entity = match *group {
            MISSING => Err(Unused::NoKey),
            entity => number[entity as usize].ok_or(Unused::UnknownEntity),
        };
        *group = match entity.and_then(|entity| unused(row).map_or(Ok(entity), Err)) {
            Ok(entity) => 2 * entity + u32::from(row >= n_training),
            Err(why) => {
                counts[usize::from(row >= n_training)][why as usize] += 1;
                MISSING
            }
        };
    }
    for (table, counts) in ["", " of validation_data"].into_iter().zip(counts) {
        for (why, n_rows) in Unused::ALL.into_iter().zip(counts) {
            if n_rows > 0 {
                let (rows, are) = if n_rows == 1 { ("row", "is") } else { ("rows", "are") };
                notices.push(format!("{n_rows} {rows}{table} {are} not used: {}", why.reason()));
            }
        }
    }
    (entities, groups)
}

/// The target of rows to predict. A class that training did not see is as good as missing.
pub(super) fn target_rows(schema: &FeatureSchema, column: Column) -> TargetRows {
    match (&schema.target_kind, column) {
        (TargetKind::Class(names), Column::Word { mut codes, words }) => {
            let classes = Classes::of(names);
            let of_word: Vec<u32> =
                words.iter().map(|word| classes.position(word).unwrap_or(MISSING)).collect();
            translate(&mut codes, &of_word);
            TargetRows::Class(codes, Arc::new(names.clone()))
        }
        (_, column) => TargetRows::Number(column.into_numbers()),
    }
}

/// The target of all rows, the validation table's last. Classes that only those have come after the
/// others: no model predicts them, so they count as wrong. Also returns a notice of them.
fn with_unseen(
    schema: &FeatureSchema,
    column: Column,
    n_training: usize,
) -> Result<(TargetRows, Option<String>), DataError> {
    let (names, mut codes, words) = match (&schema.target_kind, column) {
        (TargetKind::Class(names), Column::Word { codes, words }) => (names, codes, words),
        (_, column) => return Ok((target_rows(schema, column), None)),
    };
    let classes = Classes::of(names);
    let mut all = names.clone();
    let of_word: Vec<u32> = words
        .into_iter()
        .map(|word| {
            classes.position(&word).unwrap_or_else(|| {
                all.push(word);
                all.len() as u32 - 1
            })
        })
        .collect();
    if all.len() > MAX_CLASSES {
        return Err(DataError::content(format!(
            "with the validation data the target {:?} has {} classes",
            shorten(&schema.target),
            all.len()
        ))
        .key("validation_data")
        .found(all.len().to_string())
        .allowed(format!("at most {MAX_CLASSES} classes")));
    }
    translate(&mut codes, &of_word);
    let is_unseen = |code: &&u32| **code != MISSING && **code as usize >= names.len();
    let n_unseen = codes[n_training..].iter().filter(is_unseen).count();
    let notice = (n_unseen > 0).then(|| {
        let (rows, count) =
            if n_unseen == 1 { ("row has", "counts") } else { ("rows have", "count") };
        format!(
            "{n_unseen} {rows} a class in validation_data that training_data lacks, and {count} as \
             wrong: {}",
            list_names(&all[names.len()..])
        )
    });
    Ok((TargetRows::Class(codes, Arc::new(all)), notice))
}

fn translate(codes: &mut [u32], of_code: &[u32]) {
    for code in codes.iter_mut().filter(|code| **code != MISSING) {
        *code = of_code[*code as usize];
    }
}

impl TargetRows {
    pub(super) fn is_known(&self, row: usize) -> bool {
        match self {
            Self::Number(values) => !values[row].is_nan(),
            Self::Class(codes, _) => codes[row] != MISSING,
        }
    }

    pub(super) fn gather(self, order: &[u32]) -> Self {
        match self {
            Self::Number(values) => {
                Self::Number(order.iter().map(|&row| values[row as usize]).collect())
            }
            Self::Class(codes, labels) => {
                Self::Class(order.iter().map(|&row| codes[row as usize]).collect(), labels)
            }
        }
    }
}

/// Words as indices into a feature's sorted levels; others become missing.
pub(super) fn to_levels(column: Column, kind: &FeatureKind) -> Column {
    match (kind, column) {
        (FeatureKind::Category(levels), Column::Word { mut codes, words }) => {
            let translation: Vec<u32> = words
                .iter()
                .map(|word| match levels.binary_search(word) {
                    Ok(level) => level as u32,
                    Err(_) => MISSING,
                })
                .collect();
            translate(&mut codes, &translation);
            Column::Word { codes, words: Vec::new() }
        }
        (_, column) => column,
    }
}
