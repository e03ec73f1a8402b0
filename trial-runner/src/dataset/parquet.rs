//! Parquet files, column by column. The only owner of the parquet library, which is used without
//! arrow.
//!
//! The library may panic on damaged files, so every call into it goes through [`guarded`].

use std::fs::File;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::cell::Cell;
use super::error::{At, DataError, DataPlace, Fault};
use super::source::{DataFile, Rows, Visit};
use crate::caught::caught;

/// How many values are decoded at a time.
const BATCH: usize = 8192;

/// A parquet file whose schema has been read.
pub(crate) struct ParquetReader<'f> {
    file: &'f DataFile,
    reader: SerializedFileReader<File>,
    leaves: Vec<usize>,
    /// The columns' names.
    pub(crate) names: Vec<String>,
    /// The columns that hold lists, maps or structures, which no trainer reads.
    pub(crate) nested: Vec<String>,
}

impl<'f> ParquetReader<'f> {
    /// Opens the file and reads its schema.
    pub(crate) fn open(file: &'f DataFile) -> Result<Self, DataError> {
        let source = File::open(&file.path).map_err(|error| damaged(file, &error.to_string()))?;
        let reader = guarded(file, || SerializedFileReader::new(source))?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let mut leaves = Vec::new();
        let mut names = Vec::new();
        let mut nested: Vec<String> = Vec::new();
        for (leaf, column) in schema.columns().iter().enumerate() {
            let parts = column.path().parts();
            let name = parts.first().cloned().unwrap_or_default();
            if parts.len() == 1 && column.max_rep_level() == 0 && column.max_def_level() <= 1 {
                leaves.push(leaf);
                names.push(name);
            } else if !nested.contains(&name) {
                nested.push(name);
            }
        }
        Ok(Self { file, reader, leaves, names, nested })
    }

    /// Shows every cell of these rows in the columns that `wanted` names to `visit`: column after
    /// column within a row group, and each column's rows in order. Returns how many rows were
    /// passed.
    pub(crate) fn scan(
        self,
        rows: Rows,
        wanted: &[bool],
        visit: &mut Visit<'_>,
    ) -> Result<u64, DataError> {
        let mut first_row = 0_u64;
        for group in 0..self.reader.num_row_groups() {
            if first_row >= rows.end {
                break;
            }
            let metadata = self.reader.metadata().row_group(group);
            let n_rows = u64::try_from(metadata.num_rows())
                .map_err(|_| damaged(self.file, "a row group has a negative number of rows"))?;
            for (column, &leaf) in self.leaves.iter().enumerate() {
                if wanted.get(column).copied().unwrap_or(false) {
                    let chunk = Chunk { file: self.file, column, first_row, n_rows, rows };
                    self.scan_chunk(group, leaf, &chunk, visit)?;
                }
            }
            first_row += n_rows;
        }
        Ok(first_row.min(rows.end))
    }

    fn scan_chunk(
        &self,
        group: usize,
        leaf: usize,
        chunk: &Chunk<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), DataError> {
        // The library asserts this, and would print a panic.
        let stored = self.reader.metadata().row_group(group).column(leaf);
        let offset = stored.dictionary_page_offset();
        let numbers = [stored.data_page_offset(), stored.compressed_size(), offset.unwrap_or(0)];
        if numbers.iter().any(|&number| number < 0) {
            return Err(damaged(self.file, "a column has a negative size or place"));
        }
        let column =
            guarded(self.file, || self.reader.get_row_group(group)?.get_column_reader(leaf))?;
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let descriptor = schema.column(leaf);
        let form = Form {
            meaning: Meaning::of(&descriptor),
            nullable: descriptor.max_def_level() > 0,
            name: descriptor.name(),
        };
        match column {
            ColumnReader::BoolColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::Int32ColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::Int64ColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::Int96ColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::FloatColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::DoubleColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::ByteArrayColumnReader(reader) => chunk.read(reader, &form, visit),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => chunk.read(reader, &form, visit),
        }
    }
}

/// One column of one row group.
struct Chunk<'f> {
    file: &'f DataFile,
    column: usize,
    first_row: u64,
    n_rows: u64,
    rows: Rows,
}

/// What a column's values are.
struct Form<'s> {
    meaning: Meaning,
    nullable: bool,
    name: &'s str,
}

impl Chunk<'_> {
    fn read<T>(
        &self,
        mut reader: ColumnReaderImpl<T>,
        form: &Form<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), DataError>
    where
        T: DataType,
        T::T: AsCell,
    {
        let mut values: Vec<T::T> = Vec::new();
        let mut levels: Vec<i16> = Vec::new();
        let mut row = self.first_row;
        let end = self.first_row + self.n_rows;
        while row < end.min(self.rows.end) {
            values.clear();
            levels.clear();
            let (n_records, _, _) = guarded(self.file, || {
                reader.read_records(BATCH, Some(&mut levels), None, &mut values)
            })?;
            if n_records == 0 {
                let message = format!("column {:?} ends before the rows do", form.name);
                return Err(damaged(self.file, &message));
            }
            let mut next = values.iter();
            for record in 0..n_records {
                let present = !form.nullable || levels.get(record).is_some_and(|&level| level > 0);
                let cell = match (present, present.then(|| next.next()).flatten()) {
                    (false, _) => Cell::Missing,
                    (true, Some(value)) => match value.cell(form.meaning) {
                        Some(cell) => cell,
                        None => return Err(self.unreadable_value(row, form)),
                    },
                    (true, None) => {
                        let message = format!("column {:?} has fewer values than rows", form.name);
                        return Err(damaged(self.file, &message));
                    }
                };
                row += 1;
                if row > self.rows.start && row <= self.rows.end {
                    visit(self.column, At::Row(row), cell)?;
                }
            }
        }
        Ok(())
    }

    fn unreadable_value(&self, row: u64, form: &Form<'_>) -> DataError {
        DataError::content(format!("column {:?} holds bytes that are not text", form.name))
            .at(DataPlace { file: self.file.shown.clone(), at: Some(At::Row(row + 1)) })
            .found("bytes")
            .allowed("numbers, text, dates or true and false")
            .hint("leave the column out, or write it as text")
    }
}

/// What the stored integers or bytes of a column stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    /// Themselves; bytes are text.
    Plain,
    /// Integers without a sign.
    Unsigned,
    /// Days since 1970.
    Days,
    /// Points in time; so many make a second.
    Moments(f64),
    /// Times of day; so many make a second.
    TimeOfDay(f64),
    /// Numbers to be divided by this.
    Decimal(f64),
    /// Two bytes of a short float.
    Float16,
    /// Something that no trainer reads.
    Opaque,
}

impl Meaning {
    fn of(column: &ColumnDescriptor) -> Self {
        let per_second = |unit: &TimeUnit| match unit {
            TimeUnit::MILLIS => 1e3,
            TimeUnit::MICROS => 1e6,
            TimeUnit::NANOS => 1e9,
        };
        match column.logical_type_ref() {
            Some(LogicalType::Timestamp(moment)) => Self::Moments(per_second(&moment.unit)),
            Some(LogicalType::Time(time)) => Self::TimeOfDay(per_second(&time.unit)),
            Some(LogicalType::Decimal(decimal)) => Self::Decimal(10_f64.powi(decimal.scale)),
            Some(LogicalType::Float16) => Self::Float16,
            Some(LogicalType::Uuid | LogicalType::Bson) => Self::Opaque,
            _ => match column.converted_type() {
                ConvertedType::DATE => Self::Days,
                ConvertedType::TIMESTAMP_MILLIS => Self::Moments(1e3),
                ConvertedType::TIMESTAMP_MICROS => Self::Moments(1e6),
                ConvertedType::TIME_MILLIS => Self::TimeOfDay(1e3),
                ConvertedType::TIME_MICROS => Self::TimeOfDay(1e6),
                ConvertedType::DECIMAL => Self::Decimal(10_f64.powi(column.type_scale())),
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64 => Self::Unsigned,
                ConvertedType::INTERVAL | ConvertedType::BSON => Self::Opaque,
                _ => Self::Plain,
            },
        }
    }
}

/// A stored value as a cell; none where it is nothing that a trainer reads.
trait AsCell {
    fn cell(&self, meaning: Meaning) -> Option<Cell<'_>>;
}

impl AsCell for bool {
    fn cell(&self, _: Meaning) -> Option<Cell<'_>> {
        Some(Cell::Bool(*self))
    }
}

impl AsCell for i32 {
    fn cell(&self, meaning: Meaning) -> Option<Cell<'_>> {
        match meaning {
            Meaning::Unsigned => Some(Cell::Int(i64::from(*self as u32))),
            _ => integer(i64::from(*self), meaning),
        }
    }
}

impl AsCell for i64 {
    fn cell(&self, meaning: Meaning) -> Option<Cell<'_>> {
        match meaning {
            Meaning::Unsigned if *self < 0 => Some(Cell::Number(*self as u64 as f64)),
            _ => integer(*self, meaning),
        }
    }
}

fn integer(value: i64, meaning: Meaning) -> Option<Cell<'static>> {
    match meaning {
        Meaning::Days => Some(Cell::Seconds(value as f64 * 86_400.0)),
        Meaning::Moments(per_second) => Some(Cell::Seconds(value as f64 / per_second)),
        Meaning::TimeOfDay(per_second) => Some(Cell::Number(value as f64 / per_second)),
        Meaning::Decimal(divisor) => Some(Cell::Number(value as f64 / divisor)),
        Meaning::Plain | Meaning::Unsigned => Some(Cell::Int(value)),
        Meaning::Float16 | Meaning::Opaque => None,
    }
}

impl AsCell for Int96 {
    /// The old timestamps of Hive and Spark: nanoseconds of a day, and the Julian day.
    fn cell(&self, _: Meaning) -> Option<Cell<'_>> {
        const JULIAN_1970: f64 = 2_440_588.0;
        let &[low, high, day] = self.data() else {
            return None;
        };
        let nanoseconds = (u64::from(high) << 32) | u64::from(low);
        let seconds = nanoseconds as f64 / 1e9;
        Some(Cell::Seconds((f64::from(day) - JULIAN_1970) * 86_400.0 + seconds))
    }
}

impl AsCell for f32 {
    fn cell(&self, _: Meaning) -> Option<Cell<'_>> {
        Some(Cell::from_float(f64::from(*self)))
    }
}

impl AsCell for f64 {
    fn cell(&self, _: Meaning) -> Option<Cell<'_>> {
        Some(Cell::from_float(*self))
    }
}

impl AsCell for ByteArray {
    fn cell(&self, meaning: Meaning) -> Option<Cell<'_>> {
        bytes(self.data(), meaning)
    }
}

impl AsCell for FixedLenByteArray {
    fn cell(&self, meaning: Meaning) -> Option<Cell<'_>> {
        bytes(self.data(), meaning)
    }
}

fn bytes(bytes: &[u8], meaning: Meaning) -> Option<Cell<'_>> {
    match (meaning, bytes) {
        (Meaning::Decimal(divisor), _) => {
            // Big-endian two's complement of any length.
            let sign = if bytes.first().is_some_and(|&byte| byte >= 0x80) { -1.0 } else { 0.0 };
            let unscaled =
                bytes.iter().fold(sign, |number, &byte| number * 256.0 + f64::from(byte));
            Some(Cell::from_float(unscaled / divisor))
        }
        (Meaning::Float16, &[low, high]) => {
            Some(Cell::from_float(float16(u16::from_le_bytes([low, high]))))
        }
        (Meaning::Plain, _) => Some(Cell::from_word(std::str::from_utf8(bytes).ok()?)),
        _ => None,
    }
}

fn float16(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2_f64.powi(-14),
        31 if fraction > 0.0 => f64::NAN,
        31 => sign * f64::INFINITY,
        exponent => sign * (1.0 + fraction) * 2_f64.powi(i32::from(exponent) - 15),
    }
}

/// Calls into the library, and turns its errors and its panics into ours.
fn guarded<T>(
    file: &DataFile,
    call: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, DataError> {
    match caught(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(refused(file, &error)),
        Err(_) => Err(damaged(file, "its contents contradict each other")),
    }
}

/// What the library cannot read is said in the user's words where that can be told.
fn refused(file: &DataFile, error: &ParquetError) -> DataError {
    let reason = error.to_string();
    let codec = ["brotli", "lzo"].into_iter().find(|codec| reason.to_lowercase().contains(codec));
    match codec {
        Some(codec) => DataError::new(
            Fault::Unreadable,
            format!("is compressed with {codec}, which is not read"),
        )
        .file(&file.shown)
        .found(codec)
        .allowed("parquet compressed with snappy, gzip, zstd or lz4, or not at all")
        .hint("write the file with compression zstd"),
        None => damaged(file, &reason),
    }
}

fn damaged(file: &DataFile, reason: &str) -> DataError {
    DataError::new(Fault::Unreadable, format!("cannot be read as parquet: {reason}"))
        .file(&file.shown)
        .found(reason)
        .allowed("a whole parquet file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_that_are_not_read_are_named() {
        let file = DataFile { path: "t.parquet".into(), shown: "t.parquet".to_owned() };
        let message = "Disabled feature at compile time: brotli".to_owned();
        let error = refused(&file, &ParquetError::General(message));
        assert_eq!(error.to_string(), "t.parquet: is compressed with brotli, which is not read");
        assert_eq!(error.hint.as_deref(), Some("write the file with compression zstd"));
    }

    #[test]
    fn decimals_and_short_floats() {
        let decimal = |raw: &'static [u8]| bytes(raw, Meaning::Decimal(100.0));
        assert_eq!(decimal(&[0x04, 0xd2]), Some(Cell::Number(12.34)));
        assert_eq!(decimal(&[0xff, 0xff, 0xff, 0x9c]), Some(Cell::Number(-1.0)));
        assert_eq!(float16(0x3c00), 1.0);
        assert_eq!(float16(0xc000), -2.0);
        assert_eq!(float16(0x0001), 2_f64.powi(-24));
        assert!(float16(0x7e00).is_nan());
    }
}
