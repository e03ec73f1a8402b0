//! `${{search_space.x}}`, `${{inputs.x}}` and `${{outputs.x}}` in a command: found here, and nowhere
//! else.

/// What a placeholder names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A parameter.
    SearchSpace,
    /// An input.
    Inputs,
    /// An output.
    Outputs,
}

/// A piece of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text that stays as it is.
    Text(&'a str),
    /// A placeholder with its name after the root.
    Named(Root, &'a str),
    /// Something between `${{` and `}}` that is none of the three.
    Unknown(&'a str),
    /// A `${{` without `}}`.
    Open(&'a str),
}

const ROOTS: [(&str, Root); 3] =
    [("search_space", Root::SearchSpace), ("inputs", Root::Inputs), ("outputs", Root::Outputs)];

impl Root {
    /// The word before the dot.
    pub fn word(self) -> &'static str {
        match self {
            Self::SearchSpace => "search_space",
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
        }
    }
}

/// A command in pieces.
pub fn pieces(command: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = command;
    while let Some(start) = rest.find("${{") {
        pieces.push(Piece::Text(&rest[..start]));
        let inner = &rest[start + 3..];
        let Some(end) = inner.find("}}") else {
            pieces.push(Piece::Open(&rest[start..]));
            return pieces;
        };
        let body = inner[..end].trim();
        let named = body.split_once('.').and_then(|(root, name)| {
            let (_, root) = ROOTS.iter().find(|(word, _)| *word == root)?;
            Some(Piece::Named(*root, name))
        });
        pieces.push(named.unwrap_or(Piece::Unknown(body)));
        rest = &inner[end + 2..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// The command with the old `{search_space.x}` form written as `${{search_space.x}}`, and whether
/// there was any.
pub(super) fn modernize(command: &str) -> (String, bool) {
    let mut modern = String::with_capacity(command.len());
    let mut rest = command;
    let mut found = false;
    while let Some(start) = rest.find('{') {
        let before = rest[..start].chars().next_back().or_else(|| modern.chars().next_back());
        let Some(body) = old_form(&rest[start..]).filter(|_| before != Some('{')) else {
            modern.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        };
        modern.push_str(rest[..start].trim_end_matches('$'));
        modern.push_str("${{");
        modern.push_str(body);
        modern.push_str("}}");
        rest = &rest[start + body.len() + 2..];
        found = true;
    }
    modern.push_str(rest);
    (modern, found)
}

/// The text between `{` and `}`, if it is a placeholder in single braces.
fn old_form(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let end = inner.find('}')?;
    let body = &inner[..end];
    let (root, _) = body.split_once('.')?;
    let is_root = ROOTS.iter().any(|(word, _)| *word == root);
    (is_root && !inner[end + 1..].starts_with('}')).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::{Piece, Root, modernize, pieces};

    #[test]
    fn a_command_falls_into_pieces() {
        let expected = vec![
            Piece::Text("train --lr "),
            Piece::Named(Root::SearchSpace, "model.C"),
            Piece::Text(" "),
            Piece::Unknown("parent.x"),
            Piece::Text(" "),
            Piece::Open("${{inputs.a"),
        ];
        let command = "train --lr ${{ search_space.model.C }} ${{parent.x}} ${{inputs.a";
        assert_eq!(pieces(command), expected);
    }

    #[test]
    fn old_braces_become_new_ones() {
        let check = |old: &str, new: &str| assert_eq!(modernize(old).0, new);
        check("a {search_space.x} {inputs.y}", "a ${{search_space.x}} ${{inputs.y}}");
        check("a ${{search_space.x}}", "a ${{search_space.x}}");
        check("awk '{print $1}' {other.x}", "awk '{print $1}' {other.x}");
        check("{{search_space.x}}", "{{search_space.x}}");
        check("é{search_space.x}é", "é${{search_space.x}}é");
    }
}
