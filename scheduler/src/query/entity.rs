//! From an entity as a user writes it to its index, and what he may have meant.

use fleetfit_search_spaces::{EntityKey, nearest_n};

use super::QueryError;
use crate::journal::{Journal, StudyRecord};

/// How many keys a message shows.
const SHOWN: usize = 3;

/// The index of an entity written as `17` or `store=17,brand=3`, the columns in any order.
pub(super) fn index(
    journal: &Journal,
    record: &StudyRecord,
    text: &str,
) -> Result<u32, QueryError> {
    let study = record.head.name.clone();
    let columns = record.head.partition_columns.as_slice();
    let written: Vec<String> = match columns {
        [] => return Err(QueryError::NoPartitions { study }),
        [column] => {
            let named = text.strip_prefix(column.as_str()).and_then(|rest| rest.strip_prefix('='));
            [Some(text), named].into_iter().flatten().map(str::to_owned).collect()
        }
        columns => match values(columns, text) {
            Some(values) => vec![values.join("\u{1f}")],
            None => return Err(form(&study, columns, text)),
        },
    };
    match kept(journal, record, &written)? {
        Some(index) => Ok(index),
        None => Err(unknown(journal, record, text)?),
    }
}

/// How the entities of a study are written, to whoever wrote this.
pub(super) fn form(study: &str, columns: &[String], text: &str) -> QueryError {
    let parts: Vec<String> = columns.iter().map(|column| format!("{column}=…")).collect();
    QueryError::EntityForm { study: study.into(), text: text.into(), form: parts.join(",") }
}

/// The index of an entity whose key names each column once, in any order.
pub(super) fn index_of(
    journal: &Journal,
    record: &StudyRecord,
    key: &EntityKey,
) -> Result<u32, QueryError> {
    let columns = record.head.partition_columns.as_slice();
    let of = |column: &String| key.0.iter().find(|(named, _)| named == column);
    let values: Option<Vec<String>> =
        columns.iter().map(|column| of(column).map(|(_, value)| value.to_string())).collect();
    let values = values.filter(|values| values.len() == key.0.len());
    match values {
        Some(values) if values.is_empty() => Ok(0),
        Some(values) => match kept(journal, record, &[values.join("\u{1f}")])? {
            Some(index) => Ok(index),
            None => Err(unknown(journal, record, &key.to_string())?),
        },
        None if columns.is_empty() => {
            Err(QueryError::NoPartitions { study: record.head.name.clone() })
        }
        None => {
            let names: Vec<&str> = key.0.iter().map(|(column, _)| column.as_str()).collect();
            Err(QueryError::EntityColumns {
                study: record.head.name.clone(),
                columns: columns.join(", "),
                named: names.join(", "),
            })
        }
    }
}

/// The index of the first of these texts that is kept, as it stands or as numbers are kept.
fn kept(
    journal: &Journal,
    record: &StudyRecord,
    written: &[String],
) -> Result<Option<u32>, QueryError> {
    let kept = written.iter().map(|candidate| as_kept(candidate));
    for candidate in written.iter().cloned().chain(kept) {
        if let Some(index) = journal.entity_index(record.id, &candidate)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// That there is no such entity, and which there are.
fn unknown(journal: &Journal, record: &StudyRecord, text: &str) -> Result<QueryError, QueryError> {
    let mut keys = Vec::new();
    for key in journal.entities(record.id) {
        keys.push(key?.to_string());
    }
    Ok(QueryError::UnknownEntity {
        study: record.head.name.clone(),
        text: text.to_owned(),
        entities: record.head.entities,
        first: keys.iter().take(SHOWN).cloned().collect(),
        nearest: nearest(text, &keys),
    })
}

/// Values as keys of numbers and truths are kept, however they are written: `17.0`, `True`.
fn as_kept(candidate: &str) -> String {
    let values = candidate.split('\u{1f}').map(|value| match value.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        _ if value.eq_ignore_ascii_case("true") => "true".to_owned(),
        _ if value.eq_ignore_ascii_case("false") => "false".to_owned(),
        _ => value.to_owned(),
    });
    values.collect::<Vec<_>>().join("\u{1f}")
}

/// The values of `a=1,b=2` in the order of the columns, each exactly once. A comma that no column
/// follows belongs to the value before it.
fn values(columns: &[String], text: &str) -> Option<Vec<String>> {
    let mut values: Vec<Option<String>> = vec![None; columns.len()];
    let mut current = None;
    for part in text.split(',') {
        let named = columns.iter().enumerate().find_map(|(at, column)| {
            Some((at, part.trim_start().strip_prefix(column.as_str())?.strip_prefix('=')?))
        });
        match (named, current) {
            (Some((at, value)), _) if values[at].is_none() => {
                values[at] = Some(value.to_owned());
                current = Some(at);
            }
            (Some(_), _) | (None, None) => return None,
            (None, Some(at)) => {
                let value = values[at].get_or_insert_default();
                value.push(',');
                value.push_str(part);
            }
        }
    }
    values.into_iter().collect()
}

/// The few words that look most like this one.
pub(super) fn nearest(word: &str, known: &[String]) -> Vec<String> {
    let near = nearest_n(word, known.iter().map(String::as_str), SHOWN);
    near.into_iter().map(str::to_owned).collect()
}

/// The key that users see, or none where there are no partitions.
pub(super) fn shown(key: EntityKey) -> Option<EntityKey> {
    (!key.0.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_values_may_have_commas() {
        let columns = ["store".to_owned(), "brand".to_owned()];
        let check = |text: &str, expected: Option<[&str; 2]>| {
            let expected = expected.map(|values| values.map(str::to_owned).to_vec());
            assert_eq!(values(&columns, text), expected, "{text}");
        };
        check("store=17,brand=3", Some(["17", "3"]));
        check("brand=3, store=17", Some(["17", "3"]));
        check("store=a,b,brand=c=d", Some(["a,b", "c=d"]));
        check("store=,brand=", Some(["", ""]));
        check("store=17", None);
        check("17,3", None);
        check("store=1,store=2,brand=3", None);
    }
}
