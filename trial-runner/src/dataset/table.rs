//! A table: the rows of all files of a source, whose columns are matched by name.

use std::path::Path;

use fleetfit_search_spaces::data::DataSource;

use super::cell::Cell;
use super::column::{Column, ColumnBuilder, Convert, Storage, Survey};
use super::delimited::{Delimited, DelimitedReader, MAX_COLUMNS};
use super::error::{At, DataError, DataPlace, Fault, list_names, shorten};
use super::parquet::ParquetReader;
use super::source::{DataFile, Format, Part, resolve};
use crate::frame::DERIVED;

/// More rows than an index of a frame can name.
const MAX_ROWS: u64 = u32::MAX as u64 - 1;

/// A surveyed table: its columns' names and kinds are known, its values are still in the files.
pub(crate) struct Table {
    pub(crate) parts: Vec<Part>,
    pub(crate) names: Vec<String>,
    pub(crate) surveys: Vec<Survey>,
    pub(crate) n_rows: usize,
    pub(crate) notices: Vec<String>,
}

/// Is shown each cell of a table: the column in the table, the file, the place and the value.
type VisitTable<'v> = dyn FnMut(usize, &DataFile, At, Cell<'_>) -> Result<(), DataError> + 'v;

/// A column to be read, and how to keep it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) column: usize,
    pub(crate) storage: Storage,
}

/// The names of a source's columns. Reads no rows, but every file's header.
pub fn header(base: &Path, source: &DataSource) -> Result<Vec<String>, DataError> {
    let table = Table::open(resolve(base, source)?)?;
    Ok(table.names)
}

impl Table {
    /// Reads every file once to learn what its columns hold.
    pub(crate) fn survey(base: &Path, source: &DataSource) -> Result<Self, DataError> {
        let mut table = Self::open(resolve(base, source)?)?;
        let mut surveys = vec![Survey::default(); table.names.len()];
        for (survey, name) in surveys.iter_mut().zip(&table.names) {
            let is_text = |part: &Part| part.convert_of(name) == Some(&Convert::Text);
            survey.is_text = table.parts.iter().any(is_text);
        }
        let all = vec![true; table.names.len()];
        let n_rows = table.scan(&all, &mut |column, file, at, cell| {
            surveys[column].see(cell, || place(file, at));
            Ok(())
        })?;
        if n_rows == 0 {
            let file = &table.parts[0].files[0];
            return Err(DataError::content("there is a header and no row")
                .file(&file.shown)
                .found("a header only")
                .allowed("a header and rows"));
        }
        if n_rows > MAX_ROWS {
            return Err(DataError::content(format!("there are {n_rows} rows"))
                .found(n_rows.to_string())
                .allowed(format!("at most {MAX_ROWS} rows")));
        }
        table.surveys = surveys;
        table.n_rows = n_rows as usize;
        Ok(table)
    }

    /// Opens every file and matches the columns.
    fn open(parts: Vec<Part>) -> Result<Self, DataError> {
        let mut names: Vec<String> = Vec::new();
        let mut notices = Vec::new();
        let mut first_file: Option<String> = None;
        for part in &parts {
            for file in &part.files {
                let open = Open::new(part, file)?;
                check_names(open.names(), file)?;
                check_verbs(part, open.names(), file)?;
                let kept: Vec<String> =
                    open.names().iter().filter(|name| part.keeps(name)).cloned().collect();
                match &first_file {
                    None => {
                        if let Open::Parquet(reader) = &open
                            && !reader.nested.is_empty()
                        {
                            notices.push(format!(
                                "columns with lists or structures are not used: {}",
                                list_names(&reader.nested)
                            ));
                        }
                        names = kept;
                        first_file = Some(file.shown.clone());
                    }
                    Some(first) => check_same(&names, first, &kept, file)?,
                }
            }
        }
        if names.is_empty() {
            return Err(DataError::content("the table has no columns").found("no columns"));
        }
        Ok(Self { parts, names, surveys: Vec::new(), n_rows: 0, notices })
    }

    /// The position of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Reads these columns.
    pub(crate) fn read(&self, wanted: &[Wanted]) -> Result<Vec<Column>, DataError> {
        let mut builders: Vec<ColumnBuilder> = wanted
            .iter()
            .map(|want| ColumnBuilder::new(&self.names[want.column], want.storage, self.n_rows))
            .collect();
        let mut readers_of: Vec<Vec<usize>> = vec![Vec::new(); self.names.len()];
        for (index, want) in wanted.iter().enumerate() {
            readers_of[want.column].push(index);
        }
        let columns: Vec<bool> = readers_of.iter().map(|readers| !readers.is_empty()).collect();
        let n_rows = self.scan(&columns, &mut |column, file, at, cell| {
            for &reader in &readers_of[column] {
                builders[reader].push(cell, || place(file, at))?;
            }
            Ok(())
        })?;
        if n_rows != self.n_rows as u64 {
            return Err(DataError::new(Fault::Unreadable, "the data changed while it was read"));
        }
        Ok(builders.into_iter().map(ColumnBuilder::finish).collect())
    }

    /// Shows every cell of the wanted columns. Returns the number of rows.
    fn scan(&self, wanted: &[bool], visit: &mut VisitTable<'_>) -> Result<u64, DataError> {
        let mut n_rows = 0;
        for part in &self.parts {
            let mut n_passed = 0;
            for file in &part.files {
                let rows = part.rows.after(n_passed);
                if rows.end == 0 {
                    break;
                }
                let open = Open::new(part, file)?;
                let slots: Vec<Option<usize>> = open
                    .names()
                    .iter()
                    .map(|name| {
                        self.column(name).filter(|&column| wanted[column] && part.keeps(name))
                    })
                    .collect();
                let converts: Vec<_> =
                    open.names().iter().map(|name| part.convert_of(name)).collect();
                let mut show = |field: usize, at: At, cell: Cell<'_>| {
                    let Some(column) = slots[field] else {
                        return Ok(());
                    };
                    let cell = match converts[field] {
                        None => cell,
                        Some(convert) => convert.apply(cell).map_err(|allowed| {
                            wrong_type(&self.names[column], cell, allowed, place(file, at))
                        })?,
                    };
                    visit(column, file, at, cell)
                };
                n_passed += match open {
                    Open::Delimited(reader) => reader.scan(rows, &mut show)?,
                    Open::Parquet(reader) => {
                        let fields: Vec<bool> = slots.iter().map(Option::is_some).collect();
                        reader.scan(rows, &fields, &mut show)?
                    }
                };
            }
            n_rows += n_passed.min(part.rows.end).saturating_sub(part.rows.start);
        }
        Ok(n_rows)
    }
}

fn place(file: &DataFile, at: At) -> DataPlace {
    DataPlace { file: file.shown.clone(), at: Some(at) }
}

fn wrong_type(column: &str, cell: Cell<'_>, allowed: &str, place: DataPlace) -> DataError {
    let mut buffer = String::new();
    let found = cell.word(&mut buffer).unwrap_or("nothing").to_owned();
    DataError::content(format!(
        "column {:?} holds {:?}, and convert_column_types wants {allowed}",
        shorten(column),
        shorten(&found)
    ))
    .at(place)
    .found(found)
    .allowed(allowed)
}

/// A file that has been opened, and whose columns are known.
enum Open<'f> {
    Delimited(Box<DelimitedReader<'f>>),
    Parquet(Box<ParquetReader<'f>>),
}

impl<'f> Open<'f> {
    fn new(part: &'f Part, file: &'f DataFile) -> Result<Self, DataError> {
        static BY_CONTENT: Delimited = Delimited {
            delimiter: None,
            encoding: super::delimited::Encoding::Utf8,
            empty_as_string: false,
            no_header: false,
            path_column: false,
        };
        let options = match &part.format {
            Format::Delimited(options) => options,
            Format::Parquet => return Ok(Self::Parquet(Box::new(ParquetReader::open(file)?))),
            Format::ByContent if is_parquet(file)? => {
                return Ok(Self::Parquet(Box::new(ParquetReader::open(file)?)));
            }
            Format::ByContent => &BY_CONTENT,
        };
        Ok(Self::Delimited(Box::new(DelimitedReader::open(file, options)?)))
    }

    fn names(&self) -> &[String] {
        match self {
            Self::Delimited(reader) => &reader.names,
            Self::Parquet(reader) => &reader.names,
        }
    }
}

fn is_parquet(file: &DataFile) -> Result<bool, DataError> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| {
        DataError::new(Fault::Unreadable, format!("cannot be read: {error}"))
            .file(&file.shown)
            .found(error.to_string())
    };
    let mut magic = Vec::new();
    std::fs::File::open(&file.path)
        .and_then(|opened| opened.take(4).read_to_end(&mut magic))
        .map_err(unreadable)?;
    Ok(magic == b"PAR1")
}

/// Names must tell columns apart.
fn check_names(names: &[String], file: &DataFile) -> Result<(), DataError> {
    let header = || DataPlace { file: file.shown.clone(), at: Some(At::Line(1)) };
    if names.len() > MAX_COLUMNS {
        return Err(DataError::content(format!("there are {} columns", names.len()))
            .at(header())
            .found(names.len().to_string())
            .allowed(format!("at most {MAX_COLUMNS} columns")));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(DataError::content(format!("column {} has no name", index + 1))
                .at(header())
                .found("an empty name")
                .allowed("a name for every column")
                .hint("if pandas wrote the file, write it with index=False"));
        }
        if name.contains(DERIVED) {
            let message = format!("the name of column {} holds a control character", index + 1);
            return Err(DataError::content(message)
                .at(header())
                .found(name.as_str())
                .allowed("names without a unit separator (U+001F)"));
        }
        if !seen.insert(name.as_str()) {
            return Err(DataError::content(format!("two columns are called {:?}", shorten(name)))
                .at(header())
                .found(name.as_str())
                .allowed("a different name for every column"));
        }
    }
    Ok(())
}

/// The columns that an `MLTable` names must be there.
fn check_verbs(part: &Part, names: &[String], file: &DataFile) -> Result<(), DataError> {
    let named = part.keep.iter().flatten().chain(&part.drop).chain(part.convert.keys());
    for name in named {
        if !names.contains(name) {
            return Err(DataError::new(
                Fault::Missing,
                format!("the MLTable names column {:?}, which isn't there", shorten(name)),
            )
            .file(&file.shown)
            .found(name.as_str())
            .allowed(list_names(names)));
        }
    }
    Ok(())
}

fn check_same(
    names: &[String],
    first: &str,
    other: &[String],
    file: &DataFile,
) -> Result<(), DataError> {
    let lacks: Vec<&String> = names.iter().filter(|name| !other.contains(name)).collect();
    let extra: Vec<&String> = other.iter().filter(|name| !names.contains(name)).collect();
    if lacks.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    if !lacks.is_empty() {
        parts.push(format!("lacks {}", list_names(&lacks)));
    }
    if !extra.is_empty() {
        parts.push(format!("has {} besides", list_names(&extra)));
    }
    Err(DataError::content(format!(
        "its columns are not those of {first}: it {}",
        parts.join(" and ")
    ))
    .file(&file.shown)
    .found(list_names(other))
    .allowed(list_names(names))
    .hint("files that make one table need the same column names, in any order"))
}
