//! The placeholders of a command line: `${{search_space.x}}`, `${{inputs.x}}`, `${{outputs.x}}`.

use std::ops::Range;

/// One placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placeholder<'a> {
    /// Where it stands, braces included.
    pub(super) range: Range<usize>,
    /// What it names, without the space around it: `search_space.x`.
    pub(super) name: &'a str,
}

/// Every placeholder of the text, in order. One that nothing closes is none.
pub(super) fn placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("${{").map(|offset| at + offset) {
        let Some(end) = text[start..].find("}}").map(|offset| start + offset) else {
            break;
        };
        found.push(Placeholder {
            range: start..end + 2,
            name: text[start + 3..end].trim(),
        });
        at = end + 2;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_them_in_order() {
        let text = "a ${{search_space.x}} ${{ inputs.y }} ${z} ${{open";
        let found: Vec<_> = placeholders(text)
            .into_iter()
            .map(|placeholder| (placeholder.range.start, placeholder.name))
            .collect();
        assert_eq!(found, [(2, "search_space.x"), (22, "inputs.y")]);
    }
}
