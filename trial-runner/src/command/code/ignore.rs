//! The ignore file of a code folder, in the form of `.gitignore`.

use std::path::Path;

use glob::{MatchOptions, Pattern};

/// What is never copied.
const ALWAYS: &str = ".git/\n__pycache__/\n.fleetfit/\n.venv/\n.ipynb_checkpoints/\n.DS_Store\n";

/// The rules, of which the last one that matches decides.
#[derive(Debug)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    /// `!pattern`: takes the file back in.
    takes_back: bool,
    /// `pattern/`: folders only.
    folders_only: bool,
}

impl Ignore {
    /// The rules of a folder: its `.amlignore`, else its `.gitignore`, as Azure has it.
    pub(super) fn of(folder: &Path) -> Self {
        let rules = std::fs::read(folder.join(".amlignore"))
            .or_else(|_| std::fs::read(folder.join(".gitignore")))
            .unwrap_or_default();
        Self::read(&String::from_utf8_lossy(&rules))
    }

    /// Rules that leave nothing out.
    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }

    fn read(text: &str) -> Self {
        Self(ALWAYS.lines().chain(text.lines()).filter_map(rule).collect())
    }

    /// Whether a path, relative to the folder, is left out. Whoever leaves out a folder leaves out
    /// everything below it without asking.
    pub(super) fn covers(&self, inside: &Path, is_folder: bool) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::default() };
        let mut covered = false;
        for rule in &self.0 {
            if (is_folder || !rule.folders_only) && rule.pattern.matches_path_with(inside, options)
            {
                covered = !rule.takes_back;
            }
        }
        covered
    }
}

/// One line of the file. A pattern that makes no sense matches nothing, as git has it.
fn rule(line: &str) -> Option<Rule> {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (line, takes_back) = match line.strip_prefix('!') {
        Some(line) => (line, true),
        None => (line, false),
    };
    let (line, folders_only) = match line.strip_suffix('/') {
        Some(line) => (line, true),
        None => (line, false),
    };
    // A slash at the start or within ties the pattern to the folder itself.
    let pattern = match line.strip_prefix('/') {
        Some(line) => line.to_owned(),
        None if line.contains('/') => line.to_owned(),
        None => format!("**/{line}"),
    };
    Some(Rule { pattern: Pattern::new(&pattern).ok()?, takes_back, folders_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_matches_decides() {
        let ignore = Ignore::read(
            "*.ckpt\n/data\nlogs/\nsrc/gen/*.py\n!src/gen/keep.py\n**/cache/**\n\n# x\n[bad\n",
        );
        let covered = |path: &str| ignore.covers(Path::new(path), false);
        let covered_folder = |path: &str| ignore.covers(Path::new(path), true);
        assert!(covered("a.ckpt") && covered("deep/in/a.ckpt"));
        assert!(covered("data") && !covered("deep/data"));
        assert!(covered_folder("deep/logs") && !covered("deep/logs"));
        assert!(covered("src/gen/a.py") && !covered("src/gen/keep.py"));
        assert!(!covered("src/gen/deep/a.py"));
        assert!(covered("x/cache/y/z") && !covered("cached"));
        assert!(covered_folder(".git") && covered_folder("lib/__pycache__"));
        assert!(!covered("train.py") && !covered("# x"));
    }
}
