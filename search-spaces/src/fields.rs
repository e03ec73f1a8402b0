//! A cursor over a mapping: takes keys as the types that are wanted, and at the end complains about
//! those that nobody took.

use crate::findings::{Findings, Mistake, nearest};
use crate::value::Value;
use crate::yaml::{Content, Key, Node, scalar_number};

/// A node with its path.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    /// The node.
    pub node: &'a Node,
    /// The path that leads to it.
    pub path: String,
}

/// A mapping whose keys are being taken.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// The mapping itself.
    pub at: At<'a>,
    entries: &'a [(Key, Node)],
    taken: Vec<bool>,
    known: Vec<&'static str>,
}

impl<'a> At<'a> {
    /// The document's root.
    pub(crate) fn root(node: &'a Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// A child with its step of the path.
    pub(crate) fn child(&self, step: &str, node: &'a Node) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            node,
            path: format!("{}{dot}{step}", self.path),
        }
    }

    /// A child list's or map's last step.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// Text, and some of it. A bare number or truth value must be quoted.
    pub(crate) fn text(&self, findings: &mut Findings) -> Option<String> {
        match &self.node.content {
            Content::Text { text, .. } if text.trim().is_empty() => {
                self.wrong(findings, "some text", None)
            }
            Content::Text { text, .. } => Some(text.clone()),
            _ => {
                let quoted = self
                    .plain_text()
                    .map(|text| format!("write \"{text}\" in quotes"));
                self.wrong(findings, "text", quoted)
            }
        }
    }

    /// A finite number. Numbers in quotes count.
    pub(crate) fn float(&self, findings: &mut Findings) -> Option<f64> {
        match self.as_number() {
            Some(Content::Int(number)) => Some(number as f64),
            Some(Content::Float { number, .. }) if number.is_finite() => Some(number),
            Some(_) => self.wrong(findings, "a finite number", None),
            None => self.wrong(findings, "a number", self.number_hint()),
        }
    }

    /// A whole number. Whole floats and numbers in quotes count.
    pub(crate) fn int(&self, findings: &mut Findings) -> Option<i64> {
        match self.as_number() {
            Some(Content::Int(number)) => Some(number),
            Some(Content::Float { number, .. }) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some(number as i64)
            }
            Some(Content::Float { number, .. }) if number.is_finite() && number.fract() == 0.0 => {
                self.wrong(findings, "a whole number of at most 64 bits", None)
            }
            _ => self.wrong(findings, "a whole number", self.number_hint()),
        }
    }

    /// A whole number between two bounds.
    pub(crate) fn int_in(&self, low: i64, high: i64, findings: &mut Findings) -> Option<i64> {
        let number = self.int(findings)?;
        if number < low {
            self.wrong(findings, &format!("at least {low}"), None)
        } else if number > high {
            self.wrong(findings, &format!("at most {high}"), None)
        } else {
            Some(number)
        }
    }

    /// A whole number from `low` that fits 32 bits.
    pub(crate) fn count(&self, low: u32, findings: &mut Findings) -> Option<u32> {
        let number = self.int_in(i64::from(low), i64::from(u32::MAX), findings)?;
        u32::try_from(number).ok()
    }

    /// `true` or `false`, also as the words that YAML 1.1 took for them.
    pub(crate) fn bool(&self, findings: &mut Findings) -> Option<bool> {
        match &self.node.content {
            Content::Bool(value) => Some(*value),
            Content::Text { text, .. } => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some(true),
                "false" | "no" | "off" | "n" => Some(false),
                _ => self.wrong(findings, "true or false", None),
            },
            _ => self.wrong(findings, "true or false", None),
        }
    }

    /// The elements of a list.
    pub(crate) fn list(&self, findings: &mut Findings) -> Option<Vec<Self>> {
        match &self.node.content {
            Content::List(_) => Some(self.items()),
            _ => self.wrong(findings, "a list", None),
        }
    }

    /// The elements of a list; any other node counts as a list of one.
    pub(crate) fn one_or_more(&self) -> Vec<Self> {
        match &self.node.content {
            Content::List(_) => self.items(),
            _ => vec![self.clone()],
        }
    }

    fn items(&self) -> Vec<Self> {
        let Content::List(items) = &self.node.content else {
            return Vec::new();
        };
        let numbered = items.iter().enumerate();
        numbered
            .map(|(index, item)| self.child(&index.to_string(), item))
            .collect()
    }

    /// A mapping's fields.
    pub(crate) fn map(&self, findings: &mut Findings) -> Option<Fields<'a>> {
        match &self.node.content {
            Content::Map(entries) => Some(Fields {
                at: self.clone(),
                entries,
                taken: vec![false; entries.len()],
                known: Vec::new(),
            }),
            _ => self.wrong(findings, "a map", None),
        }
    }

    /// A list of texts, or one text.
    pub(crate) fn texts(&self, findings: &mut Findings) -> Vec<String> {
        self.one_or_more()
            .iter()
            .filter_map(|item| item.text(findings))
            .collect()
    }

    /// One of the known words, in any letter case and with or without underscores.
    pub(crate) fn word<T: Copy>(
        &self,
        known: &[(&'static str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let Some(text) = self.plain_text() else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return self.wrong(findings, &one_of(&names), None);
        };
        if let Some((_, meaning)) = known.iter().find(|(name, _)| same_word(name, &text)) {
            return Some(*meaning);
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        self.unknown_word(&text, &names, findings);
        None
    }

    /// A problem: the word here is none of the known ones.
    pub(crate) fn unknown_word(&self, text: &str, known: &[&str], findings: &mut Findings) {
        let allowed = known.join(", ");
        let mut mistake = Mistake::new(
            format!(
                "{} is not known; known: {allowed}",
                crate::yaml::brief_text(text)
            ),
            allowed,
        );
        mistake.hint =
            nearest(text, known.iter().copied()).map(|word| format!("did you mean {word}?"));
        findings.problem(self, mistake);
    }

    /// The text of a scalar, without judging it.
    pub(crate) fn plain_text(&self) -> Option<String> {
        match &self.node.content {
            Content::Text { text, .. } => Some(text.clone()),
            Content::Bool(value) => Some(value.to_string()),
            Content::Int(number) => Some(number.to_string()),
            Content::Float { written, .. } => Some(written.clone()),
            Content::Null | Content::List(_) | Content::Map(_) => None,
        }
    }

    /// The node as a value of a parameter or an input.
    pub(crate) fn value(&self, findings: &mut Findings) -> Option<Value> {
        match &self.node.content {
            Content::Bool(value) => Some(Value::Bool(*value)),
            Content::Int(number) => Some(Value::Int(*number)),
            Content::Float { number, written } => {
                let is_integer = written
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-'));
                if is_integer {
                    let hint = format!("write \"{written}\" in quotes for text");
                    self.wrong(findings, "a whole number of at most 64 bits", Some(hint))
                } else if number.is_finite() {
                    Some(Value::Float(*number))
                } else {
                    self.wrong(findings, "a finite number", None)
                }
            }
            Content::Text { text, .. } => Some(Value::Text(text.clone())),
            Content::Null => {
                let hint = "write \"null\" in quotes for the word, or leave it out".to_owned();
                self.wrong(findings, "a number, text, true or false", Some(hint))
            }
            Content::List(_) | Content::Map(_) => {
                self.wrong(findings, "a number, text, true or false", None)
            }
        }
    }

    /// Reports `PATH is FOUND, but must be WANTED`.
    pub(crate) fn wrong<T>(
        &self,
        findings: &mut Findings,
        wanted: &str,
        hint: Option<String>,
    ) -> Option<T> {
        let says = format!("is {}, but must be {wanted}", self.node.brief());
        let mut mistake = Mistake::new(says, wanted);
        mistake.hint = hint;
        findings.problem(self, mistake);
        None
    }

    fn as_number(&self) -> Option<Content> {
        match &self.node.content {
            content @ (Content::Int(_) | Content::Float { .. }) => Some(content.clone()),
            Content::Text { text, .. } => scalar_number(text.trim()),
            _ => None,
        }
    }

    /// What the text was probably meant to be.
    fn number_hint(&self) -> Option<String> {
        let Content::Text { text, .. } = &self.node.content else {
            return None;
        };
        let lower = text.trim().to_ascii_lowercase();
        let plain: String = lower
            .chars()
            .filter(|c| !matches!(c, '_' | ',' | ' '))
            .collect();
        if scalar_number(&plain).is_some() {
            return Some(format!("write {plain}"));
        }
        let digits = lower
            .trim_end_matches(|c: char| c.is_ascii_alphabetic())
            .trim_end();
        let unit = lower[digits.len()..].trim();
        let seconds = match unit {
            "s" | "sec" | "seconds" => 1,
            "m" | "min" | "minutes" => 60,
            "h" | "hours" | "hour" => 3600,
            "d" | "days" | "day" => 86_400,
            _ => return None,
        };
        let count: u64 = digits.parse().ok()?;
        Some(format!("write {} (seconds)", count.checked_mul(seconds)?))
    }
}

impl<'a> Fields<'a> {
    /// The value of a key, if it is set; setting it to nothing is a problem.
    pub(crate) fn take(&mut self, name: &'static str, findings: &mut Findings) -> Option<At<'a>> {
        let at = self.take_any(name)?;
        if at.node.content == Content::Null {
            let says = "is set to nothing";
            let hint = format!("give {} a value, or remove the line", at.name());
            findings.problem(&at, Mistake::new(says, "a value").hint(hint));
            return None;
        }
        Some(at)
    }

    /// The value of a key, if it is set, even to nothing.
    pub(crate) fn take_any(&mut self, name: &'static str) -> Option<At<'a>> {
        self.known.push(name);
        let index = self.entries.iter().position(|(key, _)| key.name == name)?;
        self.taken[index] = true;
        Some(self.child(index))
    }

    /// The value of a key that must be set.
    pub(crate) fn require(
        &mut self,
        name: &'static str,
        example: &str,
        findings: &mut Findings,
    ) -> Option<At<'a>> {
        if self.has(name) {
            return self.take(name, findings);
        }
        self.known.push(name);
        self.missing(name, example, findings);
        None
    }

    /// Reports that a key is not there.
    pub(crate) fn missing(&self, name: &str, example: &str, findings: &mut Findings) {
        let dot = if self.at.path.is_empty() { "" } else { "." };
        let at = At {
            node: self.at.node,
            path: format!("{}{dot}{name}", self.at.path),
        };
        let mistake = Mistake::new("is missing", name).hint(format!("add {example}"));
        findings.problem(&at, mistake);
        if let Some(problem) = findings.problems.last_mut() {
            "nothing".clone_into(&mut problem.found);
        }
    }

    /// Whether a key is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.name == name)
    }

    /// Every key with its value, whatever it is named; all count as taken.
    pub(crate) fn take_all(&mut self) -> Vec<(&'a Key, At<'a>)> {
        self.taken.fill(true);
        let keys = self.entries.iter().enumerate();
        keys.map(|(index, (key, _))| (key, self.child(index)))
            .collect()
    }

    /// Takes the keys that mean nothing here, and returns those that are set.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) -> Vec<At<'a>> {
        names
            .iter()
            .filter_map(|name| self.take_any(name))
            .collect()
    }

    /// Every key that nobody took is a problem.
    pub(crate) fn finish(self, findings: &mut Findings) {
        for (index, (key, _)) in self.entries.iter().enumerate() {
            if self.taken[index] {
                continue;
            }
            let path = self.child(index).path;
            let known: Vec<&str> = self.known.clone();
            let guess = nearest(&key.name, known.iter().copied());
            let list = known.join(", ");
            // A long list helps nobody who mistyped one letter.
            let says = if known.len() <= 12 || guess.is_none() {
                format!("is not known; known: {list}")
            } else {
                "is not known".to_owned()
            };
            findings.problems.push(crate::problem::Problem {
                place: findings.place_of((key.line, key.column), &path),
                message: format!("{path} {says}"),
                found: key.name.clone(),
                allowed: list,
                hint: guess.map(|word| format!("did you mean {word}?")),
            });
        }
    }

    fn child(&self, index: usize) -> At<'a> {
        let (key, node) = &self.entries[index];
        self.at.child(&key.name, node)
    }
}

/// `a, b or c`.
pub(crate) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The same word, letter case, underscores and dashes aside (`LightGBM`, `light_gbm`).
pub(crate) fn same_word(left: &str, right: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|c| *c != '_' && *c != '-')
            .flat_map(char::to_lowercase)
            .collect()
    };
    plain(left) == plain(right)
}
