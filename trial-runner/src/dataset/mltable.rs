//! `MLTable` files: which files a table has and how they are read. The verbs of Azure's tabular
//! examples are known; any other one is an error that names it.

use std::path::Path;

use fleetfit_search_spaces::yaml::{self, Content, Node};

use super::column::Convert;
use super::delimited::{Delimited, Encoding};
use super::error::{At, DataError, DataPlace, Fault, list_names, shorten};
use super::source::{DataFile, Format, Part, find_files, folder_files, local_path};

/// Keys that describe a table and change nothing about its rows.
const SILENT: [&str; 9] = [
    "$schema",
    "type",
    "name",
    "version",
    "description",
    "tags",
    "properties",
    "metadata",
    "traits",
];

const VERBS: [&str; 7] = [
    "read_delimited",
    "read_parquet",
    "convert_column_types",
    "keep_columns",
    "drop_columns",
    "take",
    "skip",
];

/// Reads an `MLTable` file. Its paths start at its folder.
pub(crate) fn read(recipe: &Path, shown: &str) -> Result<Part, DataError> {
    let reader = Recipe {
        folder: recipe.parent().unwrap_or(recipe),
        shown_folder: shown.trim_end_matches("MLTable").trim_end_matches('/'),
        file: recipe.display().to_string(),
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        DataError::new(Fault::Unreadable, format!("cannot be read: {error}")).file(&reader.file)
    };
    let n_bytes = std::fs::metadata(recipe).map_err(|error| unreadable(&error))?.len();
    if n_bytes > yaml::MAX_BYTES as u64 {
        return Err(unreadable(&"it is too long"));
    }
    let text = std::fs::read_to_string(recipe).map_err(|error| unreadable(&error))?;
    let (document, mistakes) = yaml::parse(&text);
    if let Some(mistake) = mistakes.into_iter().next() {
        return Err(DataError::content(mistake.message)
            .at(reader.place(mistake.line))
            .found(mistake.found)
            .allowed(mistake.allowed));
    }
    let document = document.ok_or_else(|| unreadable(&"it is empty"))?;
    reader.part(&document, recipe)
}

/// An `MLTable` file being read.
struct Recipe<'a> {
    folder: &'a Path,
    shown_folder: &'a str,
    file: String,
}

impl Recipe<'_> {
    fn part(&self, document: &Node, recipe: &Path) -> Result<Part, DataError> {
        let mut part = Part::of_files(Vec::new());
        part.recipe = Some(recipe.to_owned());
        let mut verbs: &[Node] = &[];
        for (name, node) in self.map(document, "the file")? {
            match name {
                "paths" => {
                    for path in self.list(node, "paths")? {
                        part.rooted = part.rooted.or(self.rooted(path));
                        part.files.extend(self.files(path)?);
                    }
                }
                "transformations" => verbs = self.list(node, "transformations")?,
                silent if SILENT.contains(&silent) => {}
                other => {
                    let known = ["paths", "transformations"];
                    return Err(self.unknown(node, "key", other, &known));
                }
            }
        }
        if part.files.is_empty() {
            return Err(DataError::content("the MLTable names no file")
                .file(&self.file)
                .found("no paths")
                .allowed("paths: [{file: ./table.csv}]"));
        }
        for verb in verbs {
            match (&verb.content, self.map(verb, "a transformation")) {
                (Content::Text { text, .. }, _) => self.apply(&mut part, text, None, verb)?,
                (_, entries) => {
                    for (name, node) in entries? {
                        self.apply(&mut part, name, Some(node), verb)?;
                    }
                }
            }
        }
        Ok(part)
    }

    /// The files of one item of `paths`.
    fn files(&self, item: &Node) -> Result<Vec<DataFile>, DataError> {
        let entries = self.map(item, "an item of paths")?;
        let [(kind, node)] = entries.as_slice() else {
            return Err(self.wrong(item, "an item of paths", "one of file, pattern and folder"));
        };
        let written = self.text(node, kind)?;
        let local = local_path(written).map_err(|error| error.at(self.place(node.line)))?;
        let plain = local.trim_start_matches("./");
        let shown = self.shown(plain);
        let files = match *kind {
            "file" | "pattern" => find_files(self.folder, plain, &shown).map(|mut files| {
                // Files found by a pattern are named from the table's folder on.
                for file in files.iter_mut().filter(|file| file.shown != shown) {
                    file.shown = self.shown(&file.shown);
                }
                files
            }),
            "folder" => folder_files(&self.folder.join(plain), &shown),
            other => {
                return Err(self.unknown(
                    node,
                    "kind of path",
                    other,
                    &["file", "pattern", "folder"],
                ));
            }
        };
        files.map_err(|error| match error.place {
            Some(_) => error,
            None => error.at(self.place(node.line)),
        })
    }

    /// The path of an item, if it starts at this machine's root.
    fn rooted(&self, item: &Node) -> Option<String> {
        let entries = self.map(item, "an item of paths").ok()?;
        let [(kind, node)] = entries.as_slice() else { return None };
        let written = self.text(node, kind).ok()?;
        let local = local_path(written).ok()?;
        // `./` is taken off before a path is used.
        Path::new(local.trim_start_matches("./")).is_absolute().then(|| written.to_owned())
    }

    fn shown(&self, path: &str) -> String {
        if self.shown_folder.is_empty() || Path::new(path).is_absolute() {
            path.to_owned()
        } else {
            format!("{}/{path}", self.shown_folder)
        }
    }

    fn apply(
        &self,
        part: &mut Part,
        verb: &str,
        node: Option<&Node>,
        whole: &Node,
    ) -> Result<(), DataError> {
        let given = || node.ok_or_else(|| self.wrong(whole, verb, "settings"));
        match verb {
            "read_delimited" => {
                part.format = Format::Delimited(self.delimited(part, node)?);
            }
            "read_parquet" => {
                if let Some(node) = node {
                    for (name, node) in self.settings(node, verb)? {
                        let is_false = matches!(node.content, Content::Bool(false));
                        if name != "include_path_column" || !is_false {
                            return Err(self.unknown(node, "setting of read_parquet", name, &[]));
                        }
                    }
                }
                part.format = Format::Parquet;
            }
            "convert_column_types" => {
                for item in self.list(given()?, verb)? {
                    let (columns, convert) = self.convert(item)?;
                    for column in columns {
                        part.convert.insert(column, convert.clone());
                    }
                }
            }
            "keep_columns" => {
                let names = self.names(given()?, verb)?;
                part.keep = Some(match part.keep.take() {
                    None => names,
                    Some(kept) => kept.into_iter().filter(|name| names.contains(name)).collect(),
                });
            }
            "drop_columns" => part.drop.extend(self.names(given()?, verb)?),
            "take" => {
                let n_rows = self.count(given()?, verb)?;
                part.rows.end = part.rows.end.min(part.rows.start.saturating_add(n_rows));
            }
            "skip" => {
                let n_rows = self.count(given()?, verb)?;
                part.rows.start = part.rows.start.saturating_add(n_rows).min(part.rows.end);
            }
            other => return Err(self.unknown(whole, "transformation", other, &VERBS)),
        }
        Ok(())
    }

    fn delimited(&self, part: &mut Part, node: Option<&Node>) -> Result<Delimited, DataError> {
        // Azure's default is a comma, whatever the file looks like.
        let mut options = Delimited { delimiter: Some(b','), ..Delimited::default() };
        let Some(node) = node else {
            return Ok(options);
        };
        for (name, node) in self.settings(node, "read_delimited")? {
            match name {
                "delimiter" => options.delimiter = Some(self.delimiter(node)?),
                "encoding" => options.encoding = self.encoding(node)?,
                "empty_as_string" => options.empty_as_string = self.truth(node, name)?,
                "include_path_column" => options.path_column = self.truth(node, name)?,
                "infer_column_types" => {
                    part.convert_rest = match self.truth(node, name)? {
                        true => None,
                        false => Some(Convert::Text),
                    };
                }
                // Line breaks in quotes are always understood.
                "support_multi_line" => {
                    self.truth(node, name)?;
                }
                "header" => match self.text(node, name)? {
                    "no_header" => options.no_header = true,
                    "all_files_same_headers" | "all_files_different_headers" => {}
                    other => {
                        let known = ["all_files_same_headers", "no_header"];
                        return Err(self.unknown(node, "header", other, &known));
                    }
                },
                other => {
                    let known = [
                        "delimiter",
                        "encoding",
                        "empty_as_string",
                        "header",
                        "support_multi_line",
                        "include_path_column",
                        "infer_column_types",
                    ];
                    return Err(self.unknown(node, "setting of read_delimited", other, &known));
                }
            }
        }
        Ok(options)
    }

    fn delimiter(&self, node: &Node) -> Result<u8, DataError> {
        match self.text(node, "delimiter")? {
            "\\t" | "tab" => Ok(b'\t'),
            text => match text.as_bytes() {
                &[byte] if byte.is_ascii() && byte != b'"' && byte != b'\n' => Ok(byte),
                _ => Err(self.wrong(node, "delimiter", "one character, such as ',' or '\\t'")),
            },
        }
    }

    fn encoding(&self, node: &Node) -> Result<Encoding, DataError> {
        let name = self.text(node, "encoding")?;
        let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
        match plain.to_ascii_lowercase().as_str() {
            "utf8" | "utf8bom" | "ascii" => Ok(Encoding::Utf8),
            "latin1" | "iso88591" => Ok(Encoding::Latin1),
            "windows1252" | "cp1252" => Ok(Encoding::Windows1252),
            _ => {
                let known = ["utf8", "utf8bom", "ascii", "latin1", "iso88591", "windows1252"];
                Err(self.unknown(node, "encoding", name, &known))
            }
        }
    }

    /// One item of `convert_column_types`: the columns and what they become.
    fn convert(&self, item: &Node) -> Result<(Vec<String>, Convert), DataError> {
        let mut columns = None;
        let mut kind = None;
        let mut formats = Vec::new();
        for (name, node) in self.map(item, "an item of convert_column_types")? {
            match name {
                "columns" => columns = Some(self.names(node, name)?),
                "column_type" => kind = Some(node),
                "formats" => formats = self.names(node, name)?,
                other => {
                    let known = ["columns", "column_type"];
                    return Err(self.unknown(
                        node,
                        "setting of convert_column_types",
                        other,
                        &known,
                    ));
                }
            }
        }
        let (Some(columns), Some(kind)) = (columns, kind) else {
            let item_of = "an item of convert_column_types";
            return Err(self.wrong(item, item_of, "columns and column_type"));
        };
        let (name, settings) = match &kind.content {
            Content::Map(entries) if entries.len() == 1 => {
                (entries[0].0.name.as_str(), Some(&entries[0].1))
            }
            _ => (self.text(kind, "column_type")?, None),
        };
        let words = |key: &str| match settings.and_then(|settings| settings.get(key)) {
            Some(node) => self.names(node, key),
            None => Ok(Vec::new()),
        };
        let convert = match name {
            "int" | "float" => Convert::Number,
            "string" => Convert::Text,
            "boolean" => Convert::Bool {
                true_words: words("true_values")?,
                false_words: words("false_values")?,
            },
            "datetime" => {
                formats.extend(words("formats")?);
                Convert::Date(formats)
            }
            other => {
                let known = ["int", "float", "string", "boolean", "datetime"];
                return Err(self.unknown(kind, "column_type", other, &known));
            }
        };
        Ok((columns, convert))
    }

    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<Vec<(&'n str, &'n Node)>, DataError> {
        match &node.content {
            Content::Map(entries) => {
                Ok(entries.iter().map(|(key, node)| (key.name.as_str(), node)).collect())
            }
            _ => Err(self.wrong(node, what, "a map")),
        }
    }

    /// A verb's settings, of which there may be none.
    fn settings<'n>(
        &self,
        node: &'n Node,
        what: &str,
    ) -> Result<Vec<(&'n str, &'n Node)>, DataError> {
        match node.content {
            Content::Null => Ok(Vec::new()),
            _ => self.map(node, what),
        }
    }

    fn list<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], DataError> {
        match &node.content {
            Content::List(items) => Ok(items),
            Content::Map(_) => Ok(std::slice::from_ref(node)),
            _ => Err(self.wrong(node, what, "a list")),
        }
    }

    fn text<'n>(&self, node: &'n Node, what: &str) -> Result<&'n str, DataError> {
        match &node.content {
            Content::Text { text, .. } => Ok(text),
            _ => Err(self.wrong(node, what, "text")),
        }
    }

    /// One name or a list of names.
    fn names(&self, node: &Node, what: &str) -> Result<Vec<String>, DataError> {
        let name = |node: &Node| match &node.content {
            // A column may well be called 1.
            Content::Int(number) => Ok(number.to_string()),
            _ => self.text(node, what).map(str::to_owned),
        };
        match &node.content {
            Content::List(items) => items.iter().map(name).collect(),
            _ => Ok(vec![name(node)?]),
        }
    }

    fn truth(&self, node: &Node, what: &str) -> Result<bool, DataError> {
        match &node.content {
            Content::Bool(value) => Ok(*value),
            Content::Text { text, .. } => {
                super::cell::parse_bool(text).ok_or_else(|| self.wrong(node, what, "true or false"))
            }
            _ => Err(self.wrong(node, what, "true or false")),
        }
    }

    fn count(&self, node: &Node, what: &str) -> Result<u64, DataError> {
        let count = match node.content {
            Content::Int(count) => u64::try_from(count).ok(),
            _ => None,
        };
        count.ok_or_else(|| self.wrong(node, what, "a number of rows"))
    }

    fn place(&self, line: u32) -> DataPlace {
        DataPlace { file: self.file.clone(), at: (line > 0).then_some(At::Line(u64::from(line))) }
    }

    fn wrong(&self, node: &Node, what: &str, allowed: &str) -> DataError {
        DataError::content(format!("{what} needs {allowed}"))
            .at(self.place(node.line))
            .found(found(node))
            .allowed(allowed)
    }

    fn unknown(&self, node: &Node, what: &str, name: &str, known: &[&str]) -> DataError {
        let known = if known.is_empty() { "none".to_owned() } else { list_names(known) };
        DataError::content(format!("{what} {:?} is not known; known: {known}", shorten(name)))
            .at(self.place(node.line))
            .found(name)
            .allowed(known)
    }
}

fn found(node: &Node) -> String {
    match &node.content {
        Content::Null => "nothing".to_owned(),
        Content::Bool(value) => value.to_string(),
        Content::Int(number) => number.to_string(),
        Content::Float { written, .. } => written.clone(),
        Content::Text { text, .. } => text.clone(),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a map".to_owned(),
    }
}
