//! Trials as a table with one column a parameter: csv and parquet. The only owner of parquet here.
//!
//! Conditional parameters come and go, so the columns are known only when every row has been seen:
//! rows are read twice, never kept.

use std::fs::File;
use std::sync::Arc;

use fleetfit_scheduler::query::{StatusView, TrialRow};
use fleetfit_search_spaces::{EntityKey, Setting, Value};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::failure::Failure;
use crate::show::word;

/// The columns before the parameters.
const FIXED: [&str; 9] =
    ["trial", "entity", "state", "value", "configuration", "learner", "reason", "started", "ended"];

/// Rows that parquet compresses together.
const GROUP_ROWS: usize = 65_536;

/// The columns of a table of trials.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Those that trials have `values` of: a column each, before the parameters.
    metrics: Vec<String>,
    /// Whether there are constraints, and so a column that says whether they are kept.
    has_constraints: bool,
    parameters: Vec<(String, Kind)>,
}

/// What a parameter's column holds: the narrowest that all of its values fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Int,
    Number,
    Text,
}

impl Columns {
    /// The columns of a study, before any row has been seen.
    pub(crate) fn of(study: StatusView) -> Self {
        let parameters = study.parameters.into_iter().map(|path| (path, Kind::Int)).collect();
        let has_constraints = !study.constraints.is_empty();
        Self { metrics: study.metrics, has_constraints, parameters }
    }

    /// The columns between the fixed ones and the parameters.
    fn measured(&self) -> Vec<String> {
        let metrics = self.metrics.iter().map(|metric| format!("values.{metric}"));
        metrics.chain(self.has_constraints.then(|| "feasible".to_owned())).collect()
    }

    /// Makes room for this row's parameters.
    pub(crate) fn learn(&mut self, row: &TrialRow) {
        for (path, value) in row.configuration.leaves() {
            let kind = match value {
                Value::Int(_) => Kind::Int,
                Value::Float(_) => Kind::Number,
                Value::Bool(_) | Value::Text(_) => Kind::Text,
            };
            match self.parameters.iter_mut().find(|(known, _)| *known == path) {
                Some((_, known)) => *known = kind.max(*known),
                None => self.parameters.push((path, kind)),
            }
        }
    }

    /// The names of the parameters' columns: their paths, all of them behind a prefix where one is
    /// called as another column is.
    fn named(&self) -> Vec<String> {
        let measured = self.measured();
        let is_taken = |path: &String| FIXED.contains(&path.as_str()) || measured.contains(path);
        let paths = || self.parameters.iter().map(|(path, _)| path);
        let prefix = if paths().any(is_taken) { "configuration." } else { "" };
        paths().map(|path| format!("{prefix}{path}")).collect()
    }

    /// The header of a csv file.
    pub(crate) fn csv_header(&self) -> String {
        let fixed = FIXED.iter().map(|name| (*name).to_owned());
        let own = self.measured().into_iter().chain(self.named());
        fixed.chain(own.map(|name| csv_cell(&name))).collect::<Vec<_>>().join(",")
    }

    /// One row of a csv file.
    pub(crate) fn csv_line(&self, row: &TrialRow) -> String {
        let mut cells: Vec<String> =
            fixed_cells(row).into_iter().map(|cell| csv_cell(&cell.unwrap_or_default())).collect();
        for metric in &self.metrics {
            let value = value_of(row, metric);
            cells.push(value.map(|value| format!("{value:?}")).unwrap_or_default());
        }
        if self.has_constraints {
            cells.push(row.feasible.map(|is_kept| is_kept.to_string()).unwrap_or_default());
        }
        for (path, _) in &self.parameters {
            cells.push(
                leaf(row, path).map(|value| csv_cell(&value.to_string())).unwrap_or_default(),
            );
        }
        cells.join(",")
    }
}

/// The cells before the parameters, as text.
fn fixed_cells(row: &TrialRow) -> [Option<String>; 9] {
    [
        Some(row.trial.to_string()),
        row.entity.as_ref().map(EntityKey::to_string),
        Some(word(&row.state)),
        row.value.map(|value| format!("{value:?}")),
        Some(row.configuration.to_json()),
        row.learner.clone(),
        row.reason.clone(),
        row.started.clone(),
        row.ended.clone(),
    ]
}

fn value_of(row: &TrialRow, metric: &str) -> Option<f64> {
    row.values.as_ref().and_then(|values| values.get(metric))
}

fn leaf<'a>(row: &'a TrialRow, path: &str) -> Option<&'a Value> {
    match row.configuration.get(path) {
        Some(Setting::Value(value)) => Some(value),
        Some(Setting::Nested(_)) | None => None,
    }
}

/// Quoted where csv needs it.
pub(crate) fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// A parquet file being written.
pub(crate) struct ParquetTable<'a> {
    name: String,
    columns: &'a Columns,
    rows: Vec<TrialRow>,
    writer: SerializedFileWriter<File>,
}

impl<'a> ParquetTable<'a> {
    /// Begins to write to a file, which errors call by this name.
    pub(crate) fn begin(file: &File, name: &str, columns: &'a Columns) -> Result<Self, Failure> {
        let name = name.to_owned();
        let refuse = |why: String| Failure::Unavailable(format!("{name} cannot be written: {why}"));
        let file = file
            .try_clone()
            .map_err(|error| refuse(fleetfit_search_spaces::disk::plain(&error)))?;
        let schema = schema(columns).map_err(|error| refuse(error.to_string()))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self { columns, rows: Vec::new(), writer, name })
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: TrialRow) -> Result<(), Failure> {
        self.rows.push(row);
        if self.rows.len() >= GROUP_ROWS {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the footer.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.write_group()?;
        let closed = self.writer.close();
        closed.map(drop).map_err(|error| Failure::outside(&format!("{}: {error}", self.name)))
    }

    fn write_group(&mut self) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let group = self.writer.next_row_group();
        group
            .and_then(|group| write_rows(group, self.columns, &rows))
            .map_err(|error| Failure::outside(&format!("{}: {error}", self.name)))
    }
}

fn schema(columns: &Columns) -> Result<Type, ParquetError> {
    let field = |name: &str, kind: Kind| {
        let physical = match kind {
            Kind::Int => Physical::INT64,
            Kind::Number => Physical::DOUBLE,
            Kind::Text => Physical::BYTE_ARRAY,
        };
        let logical = (kind == Kind::Text).then_some(LogicalType::String);
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let mut fields = Vec::new();
    for name in FIXED {
        fields.push(field(name, fixed_kind(name))?);
    }
    for name in columns.measured() {
        let is_truth = columns.has_constraints && name == "feasible";
        fields.push(field(&name, if is_truth { Kind::Text } else { Kind::Number })?);
    }
    for (name, (_, kind)) in columns.named().iter().zip(&columns.parameters) {
        fields.push(field(name, *kind)?);
    }
    Type::group_type_builder("trials").with_fields(fields).build()
}

fn fixed_kind(name: &str) -> Kind {
    match name {
        "trial" => Kind::Int,
        "value" => Kind::Number,
        _ => Kind::Text,
    }
}

fn write_rows(
    mut group: SerializedRowGroupWriter<'_, File>,
    columns: &Columns,
    rows: &[TrialRow],
) -> Result<(), ParquetError> {
    let fixed: Vec<_> = rows.iter().map(fixed_cells).collect();
    for (index, name) in FIXED.iter().enumerate() {
        let text = || fixed.iter().map(|cells| cells[index].as_deref().map(ByteArray::from));
        match fixed_kind(name) {
            Kind::Int => {
                write::<Int64Type>(&mut group, rows.iter().map(|row| Some(i64::from(row.trial))))?
            }
            Kind::Number => write::<DoubleType>(&mut group, rows.iter().map(|row| row.value))?,
            Kind::Text => write::<ByteArrayType>(&mut group, text())?,
        }
    }
    for metric in &columns.metrics {
        write::<DoubleType>(&mut group, rows.iter().map(|row| value_of(row, metric)))?;
    }
    if columns.has_constraints {
        let kept =
            rows.iter().map(|row| row.feasible.map(|kept| if kept { "true" } else { "false" }));
        write::<ByteArrayType>(&mut group, kept.map(|kept| kept.map(ByteArray::from)))?;
    }
    for (path, kind) in &columns.parameters {
        let values = || rows.iter().map(|row| leaf(row, path));
        match kind {
            Kind::Int => write::<Int64Type>(
                &mut group,
                values().map(|value| match value {
                    Some(Value::Int(number)) => Some(*number),
                    _ => None,
                }),
            )?,
            Kind::Number => {
                write::<DoubleType>(&mut group, values().map(|value| value?.as_f64()))?;
            }
            Kind::Text => write::<ByteArrayType>(
                &mut group,
                values().map(|value| value.map(|value| value.to_string().as_str().into())),
            )?,
        }
    }
    group.close().map(drop)
}

/// One optional column: the values that are there, and which rows they belong to.
fn write<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut there, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the table has fewer columns than its rows".into()));
    };
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_have_the_same_name() {
        let columns = |paths: &[&str], metrics: &[&str]| Columns {
            metrics: metrics.iter().map(|&name| name.to_owned()).collect(),
            has_constraints: false,
            parameters: paths.iter().map(|&path| (path.to_owned(), Kind::Number)).collect(),
        };
        let fixed = FIXED.join(",");
        let plain = columns(&["depth", "model.rate"], &["loss"]);
        assert_eq!(plain.csv_header(), format!("{fixed},values.loss,depth,model.rate"));
        let taken = columns(&["depth", "value"], &[]);
        assert_eq!(taken.csv_header(), format!("{fixed},configuration.depth,configuration.value"));
        let schema = schema(&taken).unwrap();
        let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        assert_eq!(names.join(","), taken.csv_header());
        let taken = columns(&["values.loss"], &["loss"]);
        assert!(taken.csv_header().ends_with(",values.loss,configuration.values.loss"));
    }
}
