//! Text into a tree of nodes that know where they stand. The only owner of the YAML library.
//!
//! JSON is YAML, so both are read here. Size, depth and the number of nodes that aliases expand to
//! are bounded, and nothing recurses deeper than the depth limit.

mod complaint;
mod scalar;
mod tree;

pub use complaint::SyntaxError;
pub(crate) use complaint::UNNAMED;
pub(crate) use scalar::number as scalar_number;

pub use tree::{MAX_BYTES, MAX_DEPTH, MAX_NODES, parse};

/// A node of a YAML document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line it begins on, from 1; 0 when it came from the command line.
    pub line: u32,
    /// The column it begins at, in characters from 1.
    pub column: u32,
    /// What it is.
    pub content: Content,
}

/// What a node is. Scalars are resolved by YAML 1.2's core schema, with the exceptions of the job
/// file reference (`yes`/`no`/`on`/`off` are text, `1e-3` is a number).
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float {
        /// The number; not finite for `.inf`, `.nan` and what is too large.
        number: f64,
        /// As it was written, for places where text is wanted (`1.10`).
        written: String,
    },
    /// Text; `quoted` tells whether it stood in quotes or a block.
    Text {
        /// The text.
        text: String,
        /// Whether it stood in quotes or a block.
        quoted: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in order. Keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// The line it stands on, from 1.
    pub line: u32,
    /// The column it begins at, from 1.
    pub column: u32,
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.content {
            Content::Map(entries) => {
                entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The node at a dotted path, list elements by their index.
    pub fn at_path(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, step| match &node.content {
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => node.get(step),
        })
    }

    /// What stands here, short enough for a message.
    pub(crate) fn brief(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => value.to_string(),
            Content::Int(number) => number.to_string(),
            Content::Float { written, .. } => written.clone(),
            Content::Text { text, .. } => brief_text(text),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }

    /// The document as JSON, keys in their order; numbers that JSON cannot hold become text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.content {
            Content::Null => Json::Null,
            Content::Bool(value) => Json::Bool(*value),
            Content::Int(number) => Json::from(*number),
            Content::Float { number, written } => serde_json::Number::from_f64(*number)
                .map_or_else(|| Json::String(written.clone()), Json::Number),
            Content::Text { text, .. } => Json::String(text.clone()),
            Content::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            // serde_json's map sorts its keys, which makes the form canonical.
            Content::Map(entries) => Json::Object(
                entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect(),
            ),
        }
    }
}

/// Text in quotes, cut where it is long.
pub(crate) fn brief_text(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(LONGEST).collect();
    let cut = if short.len() < text.trim_end().len() { "…" } else { "" };
    format!("\"{short}{cut}\"")
}
