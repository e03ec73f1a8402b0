//! What each column is for: found by name, checked once, then read in one go.

use fleetfit_search_spaces::data::{DataSpec, Folds, Task};

use super::column::{Column, Kind, Storage};
use super::error::{DataError, Fault, list_names, shorten};
use super::keys::{KeyColumn, KeyKind};
use super::table::{Table, Wanted};

/// The columns of a data set by purpose, as positions in its table.
pub(crate) struct Roles {
    pub(crate) target: usize,
    pub(crate) keys: Vec<usize>,
    pub(crate) weight: Option<usize>,
    pub(crate) time: Option<usize>,
    pub(crate) series: Vec<usize>,
    /// Numbers that are known for the past alone, of which lags are asked for.
    pub(crate) past: Vec<usize>,
    pub(crate) marks: Vec<usize>,
    pub(crate) features: Vec<usize>,
    /// Sentences about columns that are not used.
    pub(crate) notices: Vec<String>,
}

impl Roles {
    /// Finds every column that the job names in the table.
    pub(crate) fn find(table: &Table, spec: &DataSpec) -> Result<Self, DataError> {
        let forecasting = spec.forecasting.as_ref();
        let find =
            |name: &str, key| table.column(name).ok_or_else(|| missing_column(table, name, key));
        let find_all = |names: &[String], key| {
            names.iter().map(|name| find(name, key)).collect::<Result<Vec<_>, _>>()
        };
        let target = find(&spec.target, "target_column_name")?;
        let keys = find_all(&spec.partition_columns, "partition_column_names")?;
        if keys.contains(&target) {
            return Err(DataError::content(format!(
                "column {:?} is the target and a partition column",
                shorten(&spec.target)
            ))
            .key("partition_column_names")
            .found(spec.target.as_str())
            .allowed("columns other than the target"));
        }
        let weight = match &spec.weight_column {
            Some(name) => Some(find(name, "weight_column_name")?),
            None => None,
        };
        let time = match forecasting {
            Some(forecasting) => {
                Some(find(&forecasting.time_column, "forecasting.time_column_name")?)
            }
            None => None,
        };
        let series = find_all(
            forecasting.map_or(&[][..], |f| &f.series_columns),
            "forecasting.time_series_id_column_names",
        )?;
        let unknown = find_all(
            forecasting.map_or(&[][..], |f| &f.unknown_columns),
            "forecasting.features_unknown_at_forecast_time",
        )?;
        let marks = match &spec.folds {
            Folds::Columns(names) => find_all(names, "cv_split_column_names")?,
            _ => Vec::new(),
        };
        let mut roles = Self {
            target,
            keys,
            weight,
            time,
            series,
            past: match forecasting {
                Some(settings) if settings.feature_lags => {
                    let kind = |column: usize| feature_storage(table.surveys[column].kind());
                    unknown.iter().copied().filter(|&c| kind(c) == Storage::Number).collect()
                }
                _ => Vec::new(),
            },
            marks,
            features: Vec::new(),
            notices: Vec::new(),
        };
        roles.check_target(table, spec)?;
        roles.check_time(table)?;
        roles.choose_features(table, &unknown);
        Ok(roles)
    }

    fn choose_features(&mut self, table: &Table, unknown: &[usize]) {
        let mut empty = Vec::new();
        for column in 0..table.names.len() {
            let taken = column == self.target
                || self.weight == Some(column)
                || self.keys.contains(&column)
                || self.marks.contains(&column)
                || unknown.contains(&column);
            if taken {
                continue;
            }
            if table.surveys[column].kind() == Kind::Empty {
                empty.push(table.names[column].as_str());
            } else {
                self.features.push(column);
            }
        }
        if !empty.is_empty() {
            self.notices
                .push(format!("columns without any value are not used: {}", list_names(&empty)));
        }
    }

    fn check_target(&self, table: &Table, spec: &DataSpec) -> Result<(), DataError> {
        let survey = &table.surveys[self.target];
        let name = shorten(&spec.target);
        let error = match (survey.kind(), spec.task) {
            (Kind::Empty, _) => {
                DataError::content(format!("every value of the target {name:?} is missing"))
                    .found("no value")
                    .allowed("values to learn from")
            }
            (_, Task::Classification) | (Kind::Int | Kind::Float | Kind::Bool, _) => return Ok(()),
            (Kind::Date, _) => DataError::content(format!("the target {name:?} holds dates"))
                .found("dates")
                .allowed("numbers"),
            (Kind::Text, _) => {
                let mut error = DataError::content(format!("the target {name:?} is not numeric"))
                    .allowed("numbers");
                if let Some((word, place)) = &survey.first_word {
                    error.message =
                        format!("the target {name:?} is not numeric: it holds {:?}", shorten(word));
                    error = error.found(word.as_str()).at(place.clone());
                }
                error.hint("for classes, write task: classification")
            }
        };
        let error = match error.place {
            Some(_) => error,
            None => error.file(&table.parts[0].files[0].shown),
        };
        Err(error.key("target_column_name"))
    }

    fn check_time(&self, table: &Table) -> Result<(), DataError> {
        let Some(time) = self.time else {
            return Ok(());
        };
        let survey = &table.surveys[time];
        if matches!(survey.kind(), Kind::Date | Kind::Int | Kind::Float) {
            return Ok(());
        }
        let name = shorten(&table.names[time]);
        let mut error = DataError::content(format!(
            "the time column {name:?} holds neither numbers nor dates in a form that is read"
        ))
        .allowed("dates like 2024-01-31 or 2024-01-31T18:00, or numbers")
        .key("forecasting.time_column_name");
        if let Some((word, place)) = &survey.first_word {
            error = error
                .found(word.as_str())
                .at(place.clone())
                .hint("an MLTable file's convert_column_types reads other dates");
        }
        Err(error)
    }

    /// Some columns of keys with what their values are.
    pub(crate) fn key_columns(table: &Table, keys: &[usize]) -> Vec<KeyColumn> {
        keys.iter()
            .map(|&column| KeyColumn {
                name: table.names[column].clone(),
                kind: KeyKind::of(&table.surveys[column]),
            })
            .collect()
    }
}

/// How a feature's column is kept.
pub(crate) fn feature_storage(kind: Kind) -> Storage {
    match kind {
        Kind::Empty | Kind::Bool | Kind::Int | Kind::Float => Storage::Number,
        Kind::Date => Storage::Date,
        Kind::Text => Storage::Text,
    }
}

pub(crate) fn missing_column(table: &Table, name: &str, key: &'static str) -> DataError {
    let error = DataError::new(Fault::Missing, format!("there is no column {:?}", shorten(name)))
        .key(key)
        .file(&table.parts[0].files[0].shown)
        .found(name)
        .allowed(list_names(&table.names));
    let similar = table.names.iter().find(|known| known.trim().eq_ignore_ascii_case(name.trim()));
    match similar {
        Some(known) => error.hint(format!("did you mean {known:?}?")),
        None => error.hint(format!("its columns are {}", list_names(&table.names))),
    }
}

/// A list of columns to read, from which each asker later takes its own.
#[derive(Default)]
pub(crate) struct Reading {
    wanted: Vec<Wanted>,
}

/// Where a column that was asked for will be.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(usize);

impl Reading {
    pub(crate) fn want(&mut self, column: usize, storage: Storage) -> Ticket {
        self.wanted.push(Wanted { column, storage });
        Ticket(self.wanted.len() - 1)
    }

    pub(crate) fn read(self, table: &Table) -> Result<ReadColumns, DataError> {
        let columns = table.read(&self.wanted)?;
        Ok(ReadColumns(columns))
    }
}

/// The columns that were read. Each can be taken once.
pub(crate) struct ReadColumns(Vec<Column>);

impl ReadColumns {
    pub(crate) fn take(&mut self, ticket: Ticket) -> Column {
        std::mem::replace(&mut self.0[ticket.0], Column::Number(Vec::new()))
    }
}
