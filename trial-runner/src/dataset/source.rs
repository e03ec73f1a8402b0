//! Where a table's rows come from: the files that paths, globs and folders stand for, in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::data::{self, DataSource, is_remote};

use super::cell::Cell;
use super::column::Convert;
use super::delimited::Delimited;
use super::error::{At, DataError, Fault, list_names, shorten};
use super::mltable;

/// A file with rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What the user calls it.
    pub(crate) shown: String,
}

/// Is shown each cell that a file has: the column in the file, the place and the value.
pub(crate) type Visit<'v> = dyn FnMut(usize, At, Cell<'_>) -> Result<(), DataError> + 'v;

/// A range of rows of a part, in the order of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Rows {
    pub(crate) const ALL: Self = Self { start: 0, end: u64::MAX };

    /// The range for the files that follow `n_passed` rows.
    pub(crate) fn after(self, n_passed: u64) -> Self {
        Self { start: self.start.saturating_sub(n_passed), end: self.end.saturating_sub(n_passed) }
    }
}

/// What kind of files a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Each file tells by its first bytes.
    ByContent,
    /// Delimited text, read like this.
    Delimited(Delimited),
    /// Parquet.
    Parquet,
}

/// Files that are read alike: what one of the job's paths stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The `MLTable` file that says how to read them.
    pub(crate) recipe: Option<PathBuf>,
    /// A path in that file that starts at this machine's root, and means nothing elsewhere.
    pub(crate) rooted: Option<String>,
    pub(crate) files: Vec<DataFile>,
    pub(crate) format: Format,
    pub(crate) rows: Rows,
    /// Only these columns are kept, where it is given.
    pub(crate) keep: Option<Vec<String>>,
    /// These columns are dropped.
    pub(crate) drop: Vec<String>,
    pub(crate) convert: BTreeMap<String, Convert>,
    /// What happens to the columns that `convert` does not name.
    pub(crate) convert_rest: Option<Convert>,
}

impl Part {
    pub(crate) fn of_files(files: Vec<DataFile>) -> Self {
        Self {
            recipe: None,
            rooted: None,
            files,
            format: Format::ByContent,
            rows: Rows::ALL,
            keep: None,
            drop: Vec::new(),
            convert: BTreeMap::new(),
            convert_rest: None,
        }
    }

    /// What a column is converted to.
    pub(crate) fn convert_of(&self, name: &str) -> Option<&Convert> {
        self.convert.get(name).or(self.convert_rest.as_ref())
    }

    /// Whether a column of the files is a column of the table.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        let is_name = |kept: &String| kept == name;
        self.keep.as_ref().is_none_or(|keep| keep.iter().any(is_name))
            && !self.drop.iter().any(is_name)
    }
}

/// The endings of files that a folder without an `MLTable` file may hold.
const ENDINGS: [&str; 7] = [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".parquet", ".pq"];

/// The parts that a data source stands for.
pub(crate) fn resolve(base: &Path, source: &DataSource) -> Result<Vec<Part>, DataError> {
    let mut parts = Vec::with_capacity(source.paths.len());
    for path in &source.paths {
        parts.push(resolve_path(base, path)?);
    }
    if parts.is_empty() {
        return Err(DataError::new(Fault::Missing, "no path is given").allowed("a path"));
    }
    Ok(parts)
}

fn resolve_path(base: &Path, shown: &str) -> Result<Part, DataError> {
    let local = local_path(shown)?;
    let path = base.join(local);
    if path.is_dir() {
        let recipe = path.join("MLTable");
        if recipe.is_file() {
            return mltable::read(&recipe, shown);
        }
        return folder_files(&path, shown).map(Part::of_files);
    }
    if path.file_name().is_some_and(|name| name == "MLTable") && path.is_file() {
        return mltable::read(&path, shown);
    }
    find_files(base, local, shown).map(Part::of_files)
}

/// The file with this path, or the files that match it as a pattern, sorted.
pub(crate) fn find_files(
    base: &Path,
    local: &str,
    shown: &str,
) -> Result<Vec<DataFile>, DataError> {
    let path = base.join(local);
    if path.is_file() {
        return Ok(vec![DataFile { path, shown: shown.to_owned() }]);
    }
    let is_pattern = local.contains(['*', '?', '[']);
    if path.exists() || !is_pattern {
        return Err(missing(&path, shown));
    }
    let pattern = format!("{}/{local}", glob::Pattern::escape(&base.to_string_lossy()));
    let pattern = if Path::new(local).is_absolute() { local } else { pattern.as_str() };
    let found = glob::glob(pattern).map_err(|error| {
        DataError::new(Fault::Missing, format!("the pattern {shown:?} is wrong: {error}"))
            .found(shown)
            .allowed("a path, in which * and ? match anything")
    })?;
    let mut files: Vec<DataFile> = found
        .flatten()
        .filter(|path| path.is_file())
        .map(|path| DataFile { shown: show(base, &path), path })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() {
        return Err(DataError::new(Fault::Missing, format!("no file matches {shown:?}"))
            .found(shown)
            .allowed("a pattern that matches at least one file"));
    }
    Ok(files)
}

/// A path without `file:`; an address of another machine is an error.
pub(crate) fn local_path(shown: &str) -> Result<&str, DataError> {
    if is_remote(shown) {
        return Err(DataError::new(Fault::Remote, format!("{shown:?} is a remote address"))
            .found(shown)
            .allowed("a path on this machine")
            .hint("download the data and write its local path"));
    }
    Ok(data::local_path(shown))
}

fn missing(path: &Path, shown: &str) -> DataError {
    let message = if path.exists() {
        format!("{shown:?} is neither a file nor a folder")
    } else {
        format!("{shown:?} does not exist")
    };
    let error = DataError::new(Fault::Missing, message)
        .found(shorten(shown))
        .allowed("csv, csv.gz, parquet or an MLTable folder; the path starts at the job file");
    let folder = path.parent().unwrap_or(path);
    if folder.is_dir() {
        let names = data_files(folder);
        if names.is_empty() {
            return error;
        }
        let names: Vec<_> = names
            .iter()
            .filter_map(|path| path.file_name())
            .map(|name| name.to_string_lossy())
            .collect();
        error.hint(format!("its folder holds {}", list_names(&names)))
    } else {
        error.hint("its folder does not exist either")
    }
}

pub(crate) fn folder_files(folder: &Path, shown: &str) -> Result<Vec<DataFile>, DataError> {
    let paths = data_files(folder);
    if paths.is_empty() {
        return Err(DataError::new(
            Fault::Missing,
            format!("the folder {shown:?} holds no MLTable file and no data"),
        )
        .found(shown)
        .allowed("a folder with an MLTable file, or with csv or parquet files"));
    }
    Ok(paths
        .into_iter()
        .map(|path| DataFile {
            shown: format!(
                "{}/{}",
                shown.trim_end_matches('/'),
                path.file_name().unwrap_or_default().to_string_lossy()
            ),
            path,
        })
        .collect())
}

/// The data files right in a folder, sorted by name. Hidden ones and markers are none.
fn data_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = name.to_ascii_lowercase();
            !name.starts_with(['.', '_'])
                && ENDINGS.iter().any(|ending| name.ends_with(ending))
                && path.is_file()
        })
        .collect();
    paths.sort();
    paths
}

fn show(base: &Path, path: &Path) -> String {
    path.strip_prefix(base).unwrap_or(path).display().to_string()
}
