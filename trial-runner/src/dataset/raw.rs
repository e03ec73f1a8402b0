//! The rows of a data set in the files' order, before they are sorted by entity.

use std::collections::HashMap;

use fleetfit_search_spaces::data::Task;

use super::column::{Column, Storage};
use super::error::DataError;
use super::keys::KeyKind;
use super::roles::{Reading, Roles, feature_storage, missing_column};
use super::table::Table;
use crate::frame::MISSING;

/// Columns by purpose, all of one length.
pub(crate) struct RawRows {
    pub(crate) n_rows: usize,
    pub(crate) keys: Vec<Column>,
    pub(crate) target: Column,
    pub(crate) weight: Option<Column>,
    pub(crate) time: Option<Column>,
    pub(crate) series: Vec<Column>,
    /// Columns of numbers that are known for the past alone.
    pub(crate) past: Vec<Column>,
    pub(crate) marks: Vec<Column>,
    pub(crate) features: Vec<Column>,
}

impl RawRows {
    /// Reads the training table.
    pub(crate) fn training(table: &Table, roles: &Roles, task: Task) -> Result<Self, DataError> {
        Self::read(table, roles, &Forms::of(table, roles, task))
    }

    /// Reads the validation table, whose columns have the same names in any order, and keeps them
    /// in the forms that those of the training table have.
    pub(crate) fn validation(
        table: &Table,
        training: &Table,
        roles: &Roles,
        task: Task,
    ) -> Result<Self, DataError> {
        let find = |&column: &usize| {
            let name = &training.names[column];
            table.column(name).ok_or_else(|| missing_column(table, name, "validation_data"))
        };
        let find_all = |columns: &[usize]| columns.iter().map(find).collect::<Result<Vec<_>, _>>();
        let here = Roles {
            target: find(&roles.target)?,
            keys: find_all(&roles.keys)?,
            weight: roles.weight.as_ref().map(find).transpose()?,
            time: roles.time.as_ref().map(find).transpose()?,
            series: find_all(&roles.series)?,
            past: find_all(&roles.past)?,
            marks: find_all(&roles.marks)?,
            features: find_all(&roles.features)?,
            notices: Vec::new(),
        };
        Self::read(table, &here, &Forms::of(training, roles, task)).map_err(|error| {
            match error.key {
                "training_data" => error.key("validation_data"),
                _ => error,
            }
        })
    }

    fn read(table: &Table, roles: &Roles, forms: &Forms) -> Result<Self, DataError> {
        let mut reading = Reading::default();
        let mut want_all = |columns: &[usize], storage| {
            columns.iter().map(|&column| reading.want(column, storage)).collect::<Vec<_>>()
        };
        let marks = want_all(&roles.marks, Storage::Mark);
        let past = want_all(&roles.past, Storage::Number);
        let mut want_each = |columns: &[usize], forms: &[Storage]| {
            let columns = columns.iter().zip(forms);
            columns.map(|(&column, &storage)| reading.want(column, storage)).collect::<Vec<_>>()
        };
        let keys = want_each(&roles.keys, &forms.keys);
        let series = want_each(&roles.series, &forms.series);
        let features = want_each(&roles.features, &forms.features);
        let target = reading.want(roles.target, forms.target);
        let weight = roles.weight.map(|column| reading.want(column, Storage::Weight));
        let time = roles.time.map(|column| reading.want(column, forms.time));
        let mut columns = reading.read(table)?;
        let mut take_all = |tickets: Vec<_>| {
            tickets.into_iter().map(|ticket| columns.take(ticket)).collect::<Vec<_>>()
        };
        Ok(Self {
            n_rows: table.n_rows,
            keys: take_all(keys),
            series: take_all(series),
            past: take_all(past),
            marks: take_all(marks),
            features: take_all(features),
            target: columns.take(target),
            weight: weight.map(|ticket| columns.take(ticket)),
            time: time.map(|ticket| columns.take(ticket)),
        })
    }

    /// Puts the other rows behind these. Words that only they have come after the known ones.
    pub(crate) fn append(&mut self, other: Self) {
        self.n_rows += other.n_rows;
        append_all(&mut self.keys, other.keys);
        append_all(&mut self.series, other.series);
        append_all(&mut self.past, other.past);
        append_all(&mut self.marks, other.marks);
        append_all(&mut self.features, other.features);
        append(&mut self.target, other.target);
        if let (Some(column), Some(other)) = (&mut self.weight, other.weight) {
            append(column, other);
        }
        if let (Some(column), Some(other)) = (&mut self.time, other.time) {
            append(column, other);
        }
    }
}

fn append_all(columns: &mut [Column], others: Vec<Column>) {
    for (column, other) in columns.iter_mut().zip(others) {
        append(column, other);
    }
}

fn append(column: &mut Column, other: Column) {
    match (column, other) {
        (Column::Number(values), Column::Number(more)) => values.extend(more),
        (Column::Word { codes, words }, Column::Word { codes: more, words: other_words }) => {
            let mut lookup: HashMap<String, u32> = words.iter().cloned().zip(0_u32..).collect();
            let translation: Vec<u32> = other_words
                .into_iter()
                .map(|word| match lookup.get(&word) {
                    Some(&code) => code,
                    None => {
                        let code = words.len() as u32;
                        lookup.insert(word.clone(), code);
                        words.push(word);
                        code
                    }
                })
                .collect();
            codes.extend(more.into_iter().map(|code| match code {
                MISSING => MISSING,
                _ => translation[code as usize],
            }));
        }
        // Both tables were read by one list of storages, so the forms agree.
        (Column::Number(_), Column::Word { .. }) | (Column::Word { .. }, Column::Number(_)) => {}
    }
}

/// How the columns are kept whose form depends on what they hold.
struct Forms {
    keys: Vec<Storage>,
    series: Vec<Storage>,
    target: Storage,
    time: Storage,
    features: Vec<Storage>,
}

impl Forms {
    fn of(table: &Table, roles: &Roles, task: Task) -> Self {
        let form = |column: usize| feature_storage(table.surveys[column].feature_kind());
        let key_form = |column: &usize| KeyKind::of(&table.surveys[*column]).storage();
        Self {
            keys: roles.keys.iter().map(key_form).collect(),
            series: roles.series.iter().map(key_form).collect(),
            target: match task {
                Task::Classification => match form(roles.target) {
                    Storage::Text => Storage::Text,
                    _ => Storage::Word,
                },
                Task::Regression | Task::Forecasting => Storage::Number,
            },
            time: roles
                .time
                .map_or(Storage::Number, |time| feature_storage(table.surveys[time].time_kind())),
            features: roles.features.iter().map(|&column| form(column)).collect(),
        }
    }
}

/// Where the rows of each group are after sorting.
pub(crate) struct Sorted {
    /// The rows in their new order.
    pub(crate) order: Vec<u32>,
    /// Group `g` is `offsets[g]..offsets[g + 1]` of the order.
    pub(crate) offsets: Vec<u32>,
}

/// Sorts rows by group and keeps their order inside a group; rows of no group are left out.
pub(crate) fn sort_by_group(groups: &[u32], n_groups: usize) -> Sorted {
    let mut offsets = vec![0_u32; n_groups + 1];
    for &group in groups.iter().filter(|&&group| group != MISSING) {
        offsets[group as usize + 1] += 1;
    }
    for group in 0..n_groups {
        offsets[group + 1] += offsets[group];
    }
    let mut next = offsets.clone();
    let mut order = vec![0_u32; offsets[n_groups] as usize];
    for (row, &group) in (0_u32..).zip(groups) {
        if group != MISSING {
            let slot = &mut next[group as usize];
            order[*slot as usize] = row;
            *slot += 1;
        }
    }
    Sorted { order, offsets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_by_group_is_stable_and_leaves_out_rows() {
        let sorted = sort_by_group(&[2, 0, MISSING, 2, 0, 3], 4);
        assert_eq!(sorted.order, [1, 4, 0, 3, 5]);
        assert_eq!(sorted.offsets, [0, 2, 2, 4, 5]);
        assert_eq!(sort_by_group(&[], 1).offsets, [0, 0]);
    }

    #[test]
    fn appended_words_keep_the_known_codes() {
        let word = |words: &[&str], codes: &[u32]| Column::Word {
            codes: codes.to_vec(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
        };
        let mut column = word(&["a", "b"], &[0, 1]);
        append(&mut column, word(&["c", "b"], &[0, MISSING, 1]));
        assert_eq!(column.words().0, [0, 1, 2, MISSING, 1]);
        assert_eq!(column.words().1, ["a", "b", "c"]);
    }
}
