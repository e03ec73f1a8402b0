//! Text into a tree of nodes that know where they stand. The only owner of the YAML library.

/// A node of a YAML document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line it begins on, from 1; 0 when it came from the command line.
    pub line: u32,
    /// The column it begins at, from 1.
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
    Float(f64),
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
