//! Tables as text: csv and its relatives, plain or gzipped. The only owner of the csv library.
//!
//! Fields may be quoted and may hold line breaks. A byte-order mark and CRLF are fine. A ragged
//! row, or text that isn't in the encoding, is an error that names its line.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};

use super::cell::Cell;
use super::error::{At, DataError, DataPlace, Fault, shorten};
use super::source::{DataFile, Rows, Visit};

/// How a delimited file is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delimited {
    /// The delimiter; none is found out from the file.
    pub(crate) delimiter: Option<u8>,
    /// The encoding.
    pub(crate) encoding: Encoding,
    /// Whether an empty cell is the empty text rather than missing.
    pub(crate) empty_as_string: bool,
    /// Whether the first row is data too; columns are then called `Column1`, `Column2`, ….
    pub(crate) no_header: bool,
    /// Whether the file's path is a column, `Path`.
    pub(crate) path_column: bool,
}

/// A text encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8, of which ASCII is a part.
    #[default]
    Utf8,
    /// ISO 8859-1.
    Latin1,
    /// Windows-1252.
    Windows1252,
}

/// Enough of a file to find its delimiter.
const PREFIX_BYTES: usize = 64 * 1024;
/// No record is this long; an unclosed quote, or a file that is no table, is.
const MAX_RECORD_BYTES: u64 = 64 << 20;
/// More columns than any table has.
pub(crate) const MAX_COLUMNS: usize = 20_000;

/// What the text of every file is followed by: where a quote is never closed, it is in the last field.
const END: &[u8] = b"\n\0the end of the file\0";

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A delimited file whose names have been read.
pub(crate) struct DelimitedReader<'f> {
    file: &'f DataFile,
    options: &'f Delimited,
    reader: csv::Reader<Gate>,
    first: Option<csv::ByteRecord>,
    n_fields: usize,
    /// The columns' names.
    pub(crate) names: Vec<String>,
}

impl<'f> DelimitedReader<'f> {
    /// Opens the file and reads its names.
    pub(crate) fn open(file: &'f DataFile, options: &'f Delimited) -> Result<Self, DataError> {
        let (prefix, rest) = open_text(file)?;
        if prefix.is_empty() {
            return Err(DataError::content("the file is empty")
                .file(&file.shown)
                .found("an empty file")
                .allowed("a header and rows"));
        }
        let delimiter = options.delimiter.unwrap_or_else(|| sniff(&prefix));
        let whole = Cursor::new(prefix).chain(rest).chain(END);
        let gate = Gate { inner: Box::new(whole), since_record: 0 };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(gate);
        let mut first = csv::ByteRecord::new();
        read_record(&mut reader, &mut first, file)?;
        let n_fields = first.len();
        let mut names = Vec::with_capacity(n_fields);
        if options.no_header {
            names.extend((1..=n_fields).map(|index| format!("Column{index}")));
        } else {
            let mut buffer = String::new();
            for field in &first {
                let name = decode(field, options.encoding, &mut buffer)
                    .ok_or_else(|| not_text(file, 1, field))?;
                names.push(name.trim().to_owned());
            }
        }
        if options.path_column {
            names.push("Path".to_owned());
        }
        Ok(Self {
            file,
            options,
            reader,
            first: options.no_header.then_some(first),
            n_fields,
            names,
        })
    }

    /// Shows every cell of these rows to `visit`, which learns the column, the place and the value.
    /// Returns how many rows were passed, up to the last one wanted.
    pub(crate) fn scan(mut self, rows: Rows, visit: &mut Visit<'_>) -> Result<u64, DataError> {
        let mut record = csv::ByteRecord::new();
        let mut buffer = String::new();
        let mut n_passed = 0;
        let mut first = self.first.take();
        while n_passed < rows.end {
            match first.take() {
                Some(kept) => record = kept,
                None => {
                    if !read_record(&mut self.reader, &mut record, self.file)? {
                        break;
                    }
                }
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != self.n_fields {
                return Err(self.ragged(line, record.len()));
            }
            n_passed += 1;
            if n_passed > rows.start {
                self.show(&record, line, &mut buffer, visit)?;
            }
        }
        Ok(n_passed)
    }

    fn show(
        &self,
        record: &csv::ByteRecord,
        line: u64,
        buffer: &mut String,
        visit: &mut Visit<'_>,
    ) -> Result<(), DataError> {
        for (column, field) in record.iter().enumerate() {
            let text = decode(field, self.options.encoding, buffer)
                .ok_or_else(|| not_text(self.file, line, field))?;
            let cell = if text.is_empty() && self.options.empty_as_string {
                Cell::Empty
            } else {
                Cell::from_text(text)
            };
            visit(column, At::Line(line), cell)?;
        }
        if self.options.path_column {
            visit(self.n_fields, At::Line(line), Cell::Word(&self.file.shown))?;
        }
        Ok(())
    }

    fn ragged(&self, line: u64, found: usize) -> DataError {
        let fields = |n: usize| format!("{n} field{}", if n == 1 { "" } else { "s" });
        DataError::content(format!(
            "this row has {}, and the first row has {}",
            fields(found),
            fields(self.n_fields)
        ))
        .at(line_place(self.file, line))
        .found(fields(found))
        .allowed(fields(self.n_fields))
        .hint("put fields that hold the delimiter or a line break in double quotes")
    }
}

fn line_place(file: &DataFile, line: u64) -> DataPlace {
    DataPlace { file: file.shown.clone(), at: Some(At::Line(line)) }
}

fn not_text(file: &DataFile, line: u64, field: &[u8]) -> DataError {
    DataError::content("this row is not valid UTF-8 text")
        .at(line_place(file, line))
        .found(shorten(&String::from_utf8_lossy(field)))
        .allowed("text in UTF-8")
        .hint("save the file as UTF-8, or name its encoding in an MLTable file's read_delimited")
}

fn read_record(
    reader: &mut csv::Reader<Gate>,
    record: &mut csv::ByteRecord,
    file: &DataFile,
) -> Result<bool, DataError> {
    reader.get_mut().since_record = 0;
    let line = reader.position().line();
    let is_there = reader.read_byte_record(record).map_err(|error| {
        DataError::new(Fault::Unreadable, format!("cannot be read: {error}"))
            .at(line_place(file, line))
            .found(error.to_string())
    })?;
    let n_fields = record.len();
    match n_fields.checked_sub(1).and_then(|last| record.get(last)) {
        Some(last) if n_fields == 1 && last == &END[1..] => {
            record.clear();
            Ok(false)
        }
        Some(last) if last.ends_with(END) => {
            let line = record.position().map_or(line, csv::Position::line);
            Err(DataError::content("a double quote is opened in this row and never closed")
                .at(line_place(file, line))
                .found("the rest of the file in one field")
                .allowed("a closing double quote")
                .hint("close the quote, or write it twice where it belongs to the text"))
        }
        _ => Ok(is_there),
    }
}

/// A reader that gives up on records without end.
struct Gate {
    inner: Box<dyn Read>,
    since_record: u64,
}

impl Read for Gate {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record > MAX_RECORD_BYTES {
            return Err(io::Error::other(
                "a row is longer than 64 MiB; a double quote may be open that is never closed",
            ));
        }
        let n_read = self.inner.read(buffer)?;
        self.since_record += n_read as u64;
        Ok(n_read)
    }
}

/// The beginning of the file's text, and a reader for the rest.
fn open_text(file: &DataFile) -> Result<(Vec<u8>, Box<dyn Read>), DataError> {
    let unreadable = |error: io::Error| {
        DataError::new(Fault::Unreadable, format!("cannot be read: {error}"))
            .file(&file.shown)
            .found(error.to_string())
    };
    let mut raw = File::open(&file.path).map_err(unreadable)?;
    let magic = read_prefix(&mut raw, 4).map_err(unreadable)?;
    let zipped = magic.starts_with(&[0x1f, 0x8b]);
    let whole = BufReader::with_capacity(PREFIX_BYTES, Cursor::new(magic).chain(raw));
    let mut text: Box<dyn Read> = if zipped {
        Box::new(flate2::bufread::MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    };
    let mut prefix = read_prefix(&mut text, PREFIX_BYTES).map_err(unreadable)?;
    if prefix.starts_with(&[0xff, 0xfe]) || prefix.starts_with(&[0xfe, 0xff]) {
        return Err(DataError::content("the file is UTF-16 text")
            .file(&file.shown)
            .found("UTF-16 text")
            .allowed("text in UTF-8")
            .hint("save the file as UTF-8"));
    }
    if prefix.starts_with(b"PK\x03\x04") {
        return Err(DataError::content("the file is a zip archive")
            .file(&file.shown)
            .found("a zip archive (a spreadsheet is one too)")
            .allowed("csv, csv.gz or parquet")
            .hint("export the table as csv or parquet"));
    }
    if prefix.starts_with(&[0xef, 0xbb, 0xbf]) {
        prefix.drain(..3);
    }
    Ok((prefix, text))
}

fn read_prefix(reader: &mut dyn Read, n_bytes: usize) -> io::Result<Vec<u8>> {
    let mut prefix = Vec::new();
    reader.take(n_bytes as u64).read_to_end(&mut prefix)?;
    Ok(prefix)
}

/// The delimiter under which the first rows agree best on their number of fields.
fn sniff(prefix: &[u8]) -> u8 {
    const ROWS: usize = 100;
    // The last line of a long file's beginning is cut off somewhere.
    let whole = match prefix.iter().rposition(|&byte| byte == b'\n') {
        Some(end) if prefix.len() >= PREFIX_BYTES - 3 => &prefix[..=end],
        _ => prefix,
    };
    let mut best = (0.0, 0, b',');
    for delimiter in DELIMITERS {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(whole);
        let mut widths = reader
            .byte_records()
            .take(ROWS)
            .map_while(|record| record.ok().map(|record| record.len()));
        let Some(n_fields) = widths.next().filter(|&width| width > 1) else {
            continue;
        };
        let widths: Vec<usize> = widths.collect();
        let n_equal = widths.iter().filter(|&&width| width == n_fields).count();
        let agreement = (n_equal + 1) as f64 / (widths.len() + 1) as f64;
        if (agreement, n_fields) > (best.0, best.1) {
            best = (agreement, n_fields, delimiter);
        }
    }
    best.2
}

/// The bytes as text; none where they aren't in the encoding.
fn decode<'a>(bytes: &'a [u8], encoding: Encoding, buffer: &'a mut String) -> Option<&'a str> {
    if encoding == Encoding::Utf8 || bytes.is_ascii() {
        return std::str::from_utf8(bytes).ok();
    }
    buffer.clear();
    buffer.extend(bytes.iter().map(|&byte| match (encoding, byte) {
        (Encoding::Windows1252, 0x80..=0x9f) => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }));
    Some(buffer)
}

/// What Windows-1252 has where ISO 8859-1 has control characters.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_found_out() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("a|b|c\n1|2|3\n", b'|'),
            ("\"a,x\";b\n\"1,2,3\";2\n", b';'),
            ("only\n1\n2\n", b','),
            ("a b\n1 2\n", b','),
            ("text, with a comma;n\n\"x\";1\ny;2\n", b';'),
        ] {
            assert_eq!(sniff(text.as_bytes()), delimiter, "{text:?}");
        }
    }

    #[test]
    fn other_encodings() {
        let mut buffer = String::new();
        assert_eq!(decode(b"caf\xe9", Encoding::Latin1, &mut buffer), Some("café"));
        assert_eq!(decode(b"\x80 5", Encoding::Windows1252, &mut buffer), Some("€ 5"));
        assert_eq!(decode(b"caf\xe9", Encoding::Utf8, &mut buffer), None);
    }
}
