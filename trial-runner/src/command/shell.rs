//! Puts values into a command line so that the shell takes each for one piece of text.
//!
//! A value of plain characters goes in as it is. Any other is quoted for the place it stands in:
//! bare, inside '…' or "…", in `$(…)` and backticks, in a comment or a here-document. What a command
//! line hands to a second shell (`bash -c "… ${{…}}"`) is read twice and is the author's own care.

/// A piece of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// As its author wrote it.
    Text(&'a str),
    /// What a placeholder stands for.
    Value(String),
}

/// The command line, with each value quoted for its place.
pub(super) fn join(parts: &[Part<'_>]) -> String {
    let mut joined = String::new();
    let mut shell = Shell::default();
    for part in parts {
        match part {
            Part::Text(text) => {
                let mut rest = *text;
                while !rest.is_empty() {
                    let (token, after) = rest.split_at(shell.step(rest));
                    joined.push_str(token);
                    rest = after;
                }
            }
            Part::Value(value) => {
                if shell.dangling_backslash {
                    // It would take our quote for its own.
                    joined.pop();
                }
                joined.push_str(&shell.quote(value));
                shell.dangling_backslash = false;
                shell.after_blank = false;
                shell.at_line_start = false;
            }
        }
    }
    joined
}

/// What the shell is inside of.
#[derive(Clone, Debug, PartialEq)]
enum Context {
    Single,
    Double,
    Backtick,
    /// `$(…)`, or brackets within it.
    Bracket,
    /// `$((…))`.
    Arithmetic,
    /// Brackets within `$((…))`.
    ArithmeticBracket,
    Comment,
    Here(Here),
}

/// A here-document.
#[derive(Clone, Debug, PartialEq)]
struct Here {
    delimiter: String,
    /// Its delimiter was quoted, so nothing in it is expanded.
    literal: bool,
    /// `<<-`: tabs before the delimiter do not count.
    indented: bool,
}

/// Follows a command line as a POSIX shell reads it.
#[derive(Debug)]
struct Shell {
    inside: Vec<Context>,
    /// Here-documents that begin with the next line.
    announced: Vec<Here>,
    after_blank: bool,
    at_line_start: bool,
    /// The last token is a backslash that escapes whatever follows.
    dangling_backslash: bool,
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            inside: Vec::new(),
            announced: Vec::new(),
            after_blank: true,
            at_line_start: true,
            dangling_backslash: false,
        }
    }
}

impl Shell {
    /// Reads one token, and returns its length.
    fn step(&mut self, rest: &str) -> usize {
        let n = match self.inside.last().cloned() {
            Some(Context::Single) => self.close_at(rest, "'"),
            Some(Context::Double) => self.step_double(rest),
            Some(Context::Arithmetic) => self.step_arithmetic(rest, "))"),
            Some(Context::ArithmeticBracket) => self.step_arithmetic(rest, ")"),
            Some(Context::Comment) if rest.starts_with('\n') => {
                self.inside.pop();
                return self.step(rest);
            }
            Some(Context::Comment) => first_len(rest),
            Some(Context::Here(here)) => self.step_here(rest, &here),
            None | Some(Context::Backtick | Context::Bracket) => self.step_bare(rest),
        };
        let read = &rest[..n];
        self.after_blank = read.ends_with([' ', '\t', '\n', ';', '&', '|', '(']);
        self.at_line_start = read.ends_with('\n');
        n
    }

    fn step_bare(&mut self, rest: &str) -> usize {
        if rest.starts_with('\\') {
            return self.escape_next(rest);
        }
        if let Some(n) = self.open_expansion(rest) {
            return n;
        }
        if rest.starts_with("<<") && !rest.starts_with("<<<") {
            return self.announce(rest);
        }
        if rest.starts_with("<<<") {
            return 3;
        }
        match rest.as_bytes().first() {
            Some(b'\'') => self.inside.push(Context::Single),
            Some(b'"') => self.inside.push(Context::Double),
            Some(b'#') if self.after_blank => self.inside.push(Context::Comment),
            Some(b'(') => self.inside.push(Context::Bracket),
            Some(b')') if self.inside.last() == Some(&Context::Bracket) => {
                self.inside.pop();
            }
            Some(b'\n') => {
                let here = self.announced.drain(..).rev().map(Context::Here);
                self.inside.extend(here);
            }
            _ => {}
        }
        first_len(rest)
    }

    fn step_double(&mut self, rest: &str) -> usize {
        if rest.starts_with('\\') {
            return self.escape_next(rest);
        }
        match self.open_expansion(rest) {
            Some(n) => n,
            None => self.close_at(rest, "\""),
        }
    }

    fn step_arithmetic(&mut self, rest: &str, end: &str) -> usize {
        if rest.starts_with('(') {
            self.inside.push(Context::ArithmeticBracket);
            return 1;
        }
        self.close_at(rest, end)
    }

    fn step_here(&mut self, rest: &str, here: &Here) -> usize {
        if self.at_line_start {
            let line = rest.split('\n').next().unwrap_or(rest);
            let word = if here.indented { line.trim_start_matches('\t') } else { line };
            if word == here.delimiter {
                self.inside.pop();
                return line.len();
            }
        }
        if here.literal {
            return first_len(rest);
        }
        if rest.starts_with('\\') {
            return self.escape_next(rest);
        }
        self.open_expansion(rest).unwrap_or(first_len(rest))
    }

    fn escape_next(&mut self, rest: &str) -> usize {
        self.dangling_backslash = rest.len() == 1;
        1 + first_len(&rest[1..])
    }

    /// Goes into `$((`, `$(` or a backtick (or out of one).
    fn open_expansion(&mut self, rest: &str) -> Option<usize> {
        let (context, n) = if rest.starts_with("$((") {
            (Context::Arithmetic, 3)
        } else if rest.starts_with("$(") {
            (Context::Bracket, 2)
        } else if rest.starts_with('`') {
            if let Some(open) = self.inside.iter().rposition(|c| *c == Context::Backtick) {
                self.inside.truncate(open);
                return Some(1);
            }
            (Context::Backtick, 1)
        } else {
            return None;
        };
        self.inside.push(context);
        Some(n)
    }

    fn close_at(&mut self, rest: &str, end: &str) -> usize {
        if rest.starts_with(end) {
            self.inside.pop();
            return end.len();
        }
        first_len(rest)
    }

    /// Reads `<<` and the delimiter after it.
    fn announce(&mut self, rest: &str) -> usize {
        let after = &rest[2..];
        let indented = after.starts_with('-');
        let word = after.trim_start_matches('-').trim_start_matches([' ', '\t']);
        let end =
            word.find([' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')']).unwrap_or(word.len());
        let raw = &word[..end];
        let delimiter: String = raw.chars().filter(|c| !"'\"\\".contains(*c)).collect();
        self.announced.push(Here { literal: delimiter.len() != raw.len(), delimiter, indented });
        rest.len() - word.len() + end
    }

    /// The value as it must be written here.
    fn quote(&self, value: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,/:@%+".contains(c);
        if value.chars().all(plain) && !value.is_empty() {
            return value.to_owned();
        }
        let quoted = match self.inside.last() {
            Some(Context::Single) => value.replace('\'', r"'\''"),
            Some(Context::Double) => escape(value, "\\\"$`"),
            Some(Context::Here(here)) if here.literal => value.to_owned(),
            Some(Context::Here(_)) => escape(value, "\\$`"),
            Some(Context::Comment) => value.replace('\n', " "),
            None
            | Some(
                Context::Backtick
                | Context::Bracket
                | Context::Arithmetic
                | Context::ArithmeticBracket,
            ) => format!("'{}'", value.replace('\'', r"'\''")),
        };
        if self.inside.contains(&Context::Backtick) {
            // The shell takes one layer of backslashes off before it reads what is in backticks.
            escape(&quoted, "\\$`")
        } else {
            quoted
        }
    }
}

fn escape(value: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if special.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What `sh` prints for the command with each `@` replaced by the value.
    fn run(command: &str, value: &str) -> String {
        let mut parts = Vec::new();
        for text in command.split('@') {
            parts.extend([Part::Text(text), Part::Value(value.to_owned())]);
        }
        parts.pop();
        let filled = join(&parts);
        let output = Command::new("/bin/sh").arg("-c").arg(&filled).output().unwrap();
        assert!(output.status.success(), "{filled}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn hostile_values_stay_one_word_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let trap = folder.path().join("trap");
        let touch = format!("touch {}", trap.display());
        let hostile = [
            format!("'; {touch} #"),
            format!("\"; {touch} #"),
            format!("$({touch})"),
            format!("`{touch}`"),
            format!("a\n{touch}\n"),
            format!("\\'; {touch}; \\"),
            "it's 100% \"fine\" $HOME \\n * ? ~ !".to_owned(),
            "{\"a\":\"b c\",\"d\":'}".to_owned(),
            "".to_owned(),
            "~".to_owned(),
            "ünï \u{1f600}".to_owned(),
        ];
        for value in &hostile {
            let cases = [
                ("printf '[%s]' @", "[<value>]"),
                ("printf '[%s]' --x=@ @", "[--x=<value>][<value>]"),
                ("printf '[%s]' '@'", "[<value>]"),
                ("printf '[%s]' 'a @ b' c", "[a <value> b][c]"),
                ("printf '[%s]' \"a @ b\" c", "[a <value> b][c]"),
                ("# don't @\nprintf '[%s]' @", "[<value>]"),
                ("printf '[%s]' it\\'s @", "[it's][<value>]"),
                ("printf '[%s]' \\@ \"\\@\"", "[<value>][<value>]"),
                ("cat <<'END'\nit's @!\nEND\nprintf '[%s]' @", "it's <value>!\n[<value>]"),
                ("cat <<END; printf '[%s]' @\nit's @!\nEND", "it's <value>!\n[<value>]"),
                ("printf '[%s]' $((1<<2)) @", "[4][<value>]"),
            ];
            for (command, expected) in cases {
                assert_eq!(run(command, value), expected.replace("<value>", value), "{command}");
            }
            // The shell drops newlines at the end of a substitution.
            let kept = value.trim_end_matches('\n');
            let cases = [
                ("printf '[%s]' \"$(printf %s @)\" \"@\"", "[<kept>][<value>]"),
                ("printf '[%s]' \"$(printf %s '@')\" \"@\"", "[<kept>][<value>]"),
                ("printf '[%s]' \"$( (printf %s \"@\") )\" '@'", "[<kept>][<value>]"),
                ("printf '[%s]' \"`printf %s @`\" @", "[<kept>][<value>]"),
            ];
            for (command, expected) in cases {
                let expected = expected.replace("<kept>", kept).replace("<value>", value);
                assert_eq!(run(command, value), expected, "{command}");
            }
            assert!(!trap.exists(), "{value}");
        }
    }

    #[test]
    fn plain_values_go_in_as_they_are() {
        let filled = join(&[
            Part::Text("train --lr "),
            Part::Value("1e-5".to_owned()),
            Part::Text(" '"),
            Part::Value("adam".to_owned()),
            Part::Text("'"),
        ]);
        assert_eq!(filled, "train --lr 1e-5 'adam'");
    }
}
