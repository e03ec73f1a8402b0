//! The parser's events into a tree, on an explicit stack.
//!
//! Aliases are copied where they stand, within a budget of nodes and bytes, so that a few lines
//! cannot grow into gigabytes. Merge keys (`<<`) add what the mapping does not set itself.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::complaint::{
    NOTHING, Step, UNNAMED, check_characters, error, scan_error, too_deep, too_large,
};
use super::scalar;
use super::{Content, Key, Node, SyntaxError, brief_text};

/// The largest file that is read.
pub const MAX_BYTES: usize = 4 << 20;

/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;

/// The most nodes a document has once its aliases are expanded.
pub const MAX_NODES: usize = 100_000;

/// The most bytes its text has once its aliases are expanded.
const MAX_TEXT_BYTES: usize = 2 * MAX_BYTES;

/// The key that merges other maps in.
const MERGE: &str = "<<";

/// The document's tree, with the mistakes after which it still has one. Without a tree, the last
/// mistake is why.
pub fn parse(text: &str) -> (Option<Node>, Vec<SyntaxError>) {
    let (root, errors) = build(text);
    if root.is_none()
        && let Some(joined) = join_surrogates(text)
    {
        return build(&joined);
    }
    (root, errors)
}

fn build(text: &str) -> (Option<Node>, Vec<SyntaxError>) {
    let mut builder = Builder::default();
    let outcome = builder.build(text);
    let mut errors = builder.errors;
    let root = match outcome {
        Ok(()) => builder.root,
        Err(error) => {
            errors.push(*error);
            None
        }
    };
    (root, errors)
}

/// The text with JSON's pairs of escapes (`\ud83d\ude00`) as the one escape that YAML has for them,
/// if there are any.
fn join_surrogates(text: &str) -> Option<String> {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut joined = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("\\u") {
        let tail = &rest[start..];
        let pair = unit(tail).zip(tail.get(6..).and_then(unit));
        match pair {
            Some((high @ 0xd800..=0xdbff, low @ 0xdc00..=0xdfff)) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                joined.push_str(&rest[..start]);
                joined.push_str(&format!("\\U{code:08x}"));
                rest = &tail[12..];
            }
            _ => {
                joined.push_str(&rest[..start + 2]);
                rest = &tail[2..];
            }
        }
    }
    joined.push_str(rest);
    (joined != text).then_some(joined)
}

/// A collection that is still open.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next, in a mapping.
    key: Option<Key>,
    /// The line of each key so far.
    lines: HashMap<String, u32>,
    /// Whether that key was set before: then its value is dropped.
    is_repeat: bool,
    /// What merge keys bring, earlier ones first.
    merged: Vec<(Key, Node)>,
    /// How deep it is below itself, so far.
    height: usize,
}

struct Anchor {
    node: Node,
    /// Nodes and bytes of text.
    size: (usize, usize),
    height: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    root: Option<Node>,
    n_documents: usize,
    n_nodes: usize,
    n_bytes: usize,
    /// The budget's state when each open collection began, to size its anchor.
    marks: Vec<(usize, usize)>,
    errors: Vec<SyntaxError>,
}

impl Builder {
    fn build(&mut self, text: &str) -> Step {
        if text.len() > MAX_BYTES {
            let message =
                format!("the file has more than {MAX_BYTES} bytes ({} MiB)", MAX_BYTES >> 20);
            return Err(error((0, 0), message, "too many bytes", "a smaller file"));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        check_characters(text)?;
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => self.event(event, place(&span))?,
                Err(scan) => return Err(scan_error(&scan, text)),
            }
        }
        if self.root.is_none() {
            return Err(error((1, 1), "the file is empty".into(), NOTHING, "a document"));
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, at: (u32, u32)) -> Step {
        match event {
            Event::DocumentStart(_) => {
                self.n_documents += 1;
                if self.n_documents > 1 {
                    let message = "a second document begins here; a file holds one".into();
                    let mut second = error(at, message, "a second document", "one document");
                    second.hint = Some("put each of them in a file of its own".into());
                    return Err(second);
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, tag.as_deref(), anchor, at)
            }
            Event::SequenceStart(anchor, _) => self.begin(Content::List(Vec::new()), anchor, at),
            Event::MappingStart(anchor, _) => self.begin(Content::Map(Vec::new()), anchor, at),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, at),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        anchor: usize,
        at: (u32, u32),
    ) -> Step {
        let quoted = style != ScalarStyle::Plain;
        if self.wants_key() {
            return self.key(text, at);
        }
        let core_tag = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
        let content = match (core_tag, tag) {
            (Some("str"), _) => Content::Text { text: text.to_owned(), quoted: true },
            (Some("int" | "float" | "bool" | "null"), _) => scalar::resolve(text),
            (_, Some(tag)) => {
                let message = format!("the tag !{} is not known here", tag.suffix);
                let mut unknown = error(at, message, &tag.suffix, "plain values");
                unknown.hint = Some("remove the tag".into());
                return Err(unknown);
            }
            (_, None) if quoted => Content::Text { text: text.to_owned(), quoted },
            (_, None) => scalar::resolve(text),
        };
        if !quoted && tag.is_none() && scalar::has_leading_zero(text) {
            self.leading_zero(text, at);
        }
        self.spend(1, text.len(), at)?;
        let node = Node { line: at.0, column: at.1, content };
        self.remember(anchor, &node, (1, text.len()), 0)?;
        self.place_value(node, 0, at)
    }

    fn leading_zero(&mut self, text: &str, at: (u32, u32)) {
        let path = self.path();
        let digits = text.trim_start_matches(['-', '+']).trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        let sign = if text.starts_with('-') { "-" } else { "" };
        let name = if path.is_empty() { UNNAMED } else { &path };
        let mut zero = error(
            at,
            format!(
                "{name} is {text}; a leading zero means octal to some readers and not to others"
            ),
            text,
            "a number without leading zeros",
        );
        zero.path = path;
        zero.hint = Some(format!("write {sign}{digits}, or \"{text}\" in quotes for text"));
        self.errors.push(*zero);
    }

    /// Whether the next scalar is a mapping's key.
    fn wants_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| matches!(open.node.content, Content::Map(_)) && open.key.is_none())
    }

    fn key(&mut self, text: &str, at: (u32, u32)) -> Step {
        self.spend(1, text.len(), at)?;
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        let first = open.lines.get(text).copied();
        open.is_repeat = first.is_some() && text != MERGE;
        open.key = Some(Key { name: text.to_owned(), line: at.0, column: at.1 });
        let Some(line) = first.filter(|_| open.is_repeat) else {
            open.lines.insert(text.to_owned(), at.0);
            return Ok(());
        };
        let path = self.path();
        let (says, hint) = match line == at.0 {
            true => (" on this line".to_owned(), "keep one of them".to_owned()),
            false => (
                format!("; the first is on line {line}"),
                format!("keep line {line} or line {}, not both", at.0),
            ),
        };
        let mut twice = error(
            at,
            format!("{path} is set twice{says}"),
            &format!("a second {}", brief_text(text)),
            "each key once",
        );
        twice.path = path;
        twice.hint = Some(hint);
        self.errors.push(*twice);
        Ok(())
    }

    fn begin(&mut self, content: Content, anchor: usize, at: (u32, u32)) -> Step {
        if self.wants_key() {
            let mut complex = error(
                at,
                "a key must be a word, not a list or a map".into(),
                "a list or a map as a key",
                "a word",
            );
            complex.hint = Some("write key: value".into());
            return Err(complex);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.marks.push((self.n_nodes, self.n_bytes));
        self.spend(1, 0, at)?;
        self.open.push(Open {
            node: Node { line: at.0, column: at.1, content },
            anchor,
            key: None,
            lines: HashMap::new(),
            is_repeat: false,
            merged: Vec::new(),
            height: 0,
        });
        Ok(())
    }

    fn end(&mut self) -> Step {
        let (Some(mut closed), Some((nodes, bytes))) = (self.open.pop(), self.marks.pop()) else {
            return Ok(());
        };
        if let Content::Map(entries) = &mut closed.node.content {
            for (key, node) in closed.merged {
                if !closed.lines.contains_key(&key.name) {
                    closed.lines.insert(key.name.clone(), key.line);
                    entries.push((key, node));
                }
            }
        }
        let at = (closed.node.line, closed.node.column);
        let size = (self.n_nodes - nodes, self.n_bytes - bytes);
        self.remember(closed.anchor, &closed.node, size, closed.height)?;
        self.place_value(closed.node, closed.height, at)
    }

    fn alias(&mut self, id: usize, at: (u32, u32)) -> Step {
        if self.wants_key() {
            return Err(error(at, "an alias cannot be a key".into(), "an alias", "a word"));
        }
        let Some(anchor) = self.anchors.get(&id) else {
            let message = "an alias inside the node it names would never end".into();
            let mut endless = error(at, message, "an alias of itself", "another alias");
            endless.hint = Some("write the value out".into());
            return Err(endless);
        };
        let ((n_nodes, n_bytes), height) = (anchor.size, anchor.height);
        if self.open.len() + height >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        // The budget is charged before the copy is made.
        self.spend(n_nodes, n_bytes, at)?;
        match self.anchors.get(&id).map(|anchor| anchor.node.clone()) {
            Some(node) => self.place_value(node, height, at),
            None => Ok(()),
        }
    }

    /// Keeps a copy of an anchored node, which counts against the budget too.
    fn remember(&mut self, id: usize, node: &Node, size: (usize, usize), height: usize) -> Step {
        if id > 0 {
            self.spend(size.0, size.1, (node.line, node.column))?;
            self.anchors.insert(id, Anchor { node: node.clone(), size, height });
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: into the open collection, or at the root.
    fn place_value(&mut self, node: Node, height: usize, at: (u32, u32)) -> Step {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(height + 1);
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => {
                let Some(key) = open.key.take() else {
                    return Ok(());
                };
                if key.name == MERGE {
                    return merge(&mut open.merged, node, at);
                }
                // Of a key set twice, which is a mistake already, the first stays.
                if !open.is_repeat {
                    entries.push((key, node));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn spend(&mut self, n_nodes: usize, n_bytes: usize, at: (u32, u32)) -> Step {
        self.n_nodes += n_nodes;
        self.n_bytes += n_bytes;
        if self.n_nodes > MAX_NODES || self.n_bytes > MAX_TEXT_BYTES {
            return Err(too_large(at));
        }
        Ok(())
    }

    /// The path of the value that comes next.
    fn path(&self) -> String {
        let steps = self.open.iter().filter_map(|open| match (&open.node.content, &open.key) {
            (Content::List(items), _) => Some(items.len().to_string()),
            (_, Some(key)) => Some(key.name.clone()),
            _ => None,
        });
        steps.collect::<Vec<_>>().join(".")
    }
}

fn merge(merged: &mut Vec<(Key, Node)>, node: Node, at: (u32, u32)) -> Step {
    let sources = match node.content {
        Content::List(items) => items,
        _ => vec![node],
    };
    for source in sources {
        let found = source.brief();
        let Content::Map(entries) = source.content else {
            let message = format!("<< is {found}, but must be a map, or a list of maps");
            let mut wrong = error(at, message, &found, "a map");
            wrong.hint = Some("write <<: *name of a map that has an anchor".into());
            return Err(wrong);
        };
        // Earlier sources win; `end` leaves later repeats out.
        merged.extend(entries);
    }
    Ok(())
}

fn place(span: &Span) -> (u32, u32) {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (small(span.start.line()), small(span.start.col()).saturating_add(1))
}
