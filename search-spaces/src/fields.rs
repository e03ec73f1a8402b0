//! A cursor over a mapping: takes keys as the types that are wanted, and at the end complains about
//! those that nobody took.

use crate::findings::{Findings, MISSING, Mistake};
use crate::nearest::nearest;
use crate::value::Value;
use crate::yaml::{Content, Key, Node, scalar_number};

/// Lists up to this length are shown whole.
const SHORT_LIST: usize = 12;

/// How many unknown keys of one map are judged one by one.
const MAX_UNKNOWN_KEYS: usize = 100;

/// A node with its path.
#[derive(Clone, Debug)]
pub(crate) struct At<'a> {
    /// The node.
    pub node: &'a Node,
    /// The path that leads to it.
    pub path: String,
    /// The key it is the value of.
    pub key: Option<&'a Key>,
}

/// A mapping whose keys are being taken.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// The mapping itself.
    pub at: At<'a>,
    entries: &'a [(Key, Node)],
    taken: Vec<bool>,
    known: Vec<&'static str>,
    /// Wrong names that are likely, with the right ones.
    aliases: Vec<(&'static str, &'static str)>,
}

impl<'a> At<'a> {
    /// The document's root.
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new(), key: None }
    }

    /// A child with its step of the path.
    pub(crate) fn child(&self, step: &str, node: &'a Node) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { node, path: format!("{}{dot}{step}", self.path), key: None }
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let Content::Map(entries) = &self.node.content else {
            return None;
        };
        let (key, node) = entries.iter().find(|(key, _)| key.name == name)?;
        Some(self.entry(key, node))
    }

    /// The values of a mapping.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Self> {
        let entries: &'a [(Key, Node)] = match &self.node.content {
            Content::Map(entries) => entries,
            _ => &[],
        };
        entries.iter().map(|(key, node)| self.entry(key, node))
    }

    /// The names of a mapping's keys.
    pub(crate) fn keys(&self) -> Option<Vec<String>> {
        match &self.node.content {
            Content::Map(entries) => {
                Some(entries.iter().map(|(key, _)| key.name.clone()).collect())
            }
            _ => None,
        }
    }

    fn entry(&self, key: &'a Key, node: &'a Node) -> Self {
        Self { key: Some(key), ..self.child(&key.name, node) }
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
                let quoted = self.plain_text().map(|text| format!("write \"{text}\" in quotes"));
                self.wrong(findings, "text", quoted)
            }
        }
    }

    /// A finite number. Numbers in quotes count.
    pub(crate) fn float(&self, findings: &mut Findings) -> Option<f64> {
        self.float_of("a number", findings)
    }

    /// A finite number of something: `a number of seconds`.
    pub(crate) fn float_of(&self, wanted: &str, findings: &mut Findings) -> Option<f64> {
        match self.as_number() {
            Some(Content::Int(number)) => {
                self.notice_underscores(findings);
                Some(number as f64)
            }
            Some(Content::Float { number, .. }) if number.is_finite() => {
                self.notice_underscores(findings);
                Some(number)
            }
            Some(_) => self.wrong(findings, "a finite number", None),
            None => self.wrong(findings, wanted, self.number_hint()),
        }
    }

    /// A whole number. Whole floats and numbers in quotes count.
    pub(crate) fn int(&self, findings: &mut Findings) -> Option<i64> {
        match self.as_number() {
            Some(Content::Int(number)) => {
                self.notice_underscores(findings);
                Some(number)
            }
            Some(Content::Float { number, .. }) if number.fract() == 0.0 && number.abs() < 9e15 => {
                self.notice_underscores(findings);
                Some(number as i64)
            }
            Some(Content::Float { number, .. }) if number.is_finite() && number.fract() == 0.0 => {
                let hint = || "write all of its digits, without an exponent".into();
                let hint = (number.abs() < i64::MAX as f64).then(hint);
                self.wrong(findings, "a whole number of at most 64 bits", hint)
            }
            _ => self.wrong(findings, "a whole number", self.number_hint()),
        }
    }

    /// A whole number between two bounds.
    pub(crate) fn int_in(&self, low: i64, high: i64, findings: &mut Findings) -> Option<i64> {
        let number = self.int(findings)?;
        if number < low {
            self.wrong(findings, &format!("at least {low}"), Some(format!("write {low} or more")))
        } else if number > high {
            self.wrong(findings, &format!("at most {high}"), Some(format!("write {high} or less")))
        } else {
            Some(number)
        }
    }

    /// A whole number between two bounds, or `auto`, which is none.
    pub(crate) fn int_or_auto(
        &self,
        low: i64,
        high: i64,
        findings: &mut Findings,
    ) -> Option<Option<i64>> {
        match (&self.node.content, self.as_number()) {
            (Content::Text { text, .. }, None) if text.eq_ignore_ascii_case("auto") => Some(None),
            (Content::Text { text, .. }, None) => {
                let wanted = format!("a whole number from {low}, or auto");
                let guess = nearest(text, ["auto"]);
                self.wrong(findings, &wanted, guess_hint(guess, &format!("write {wanted}")))
            }
            _ => self.int_in(low, high, findings).map(Some),
        }
    }

    /// Whether this is the number 0.
    pub(crate) fn is_zero(&self) -> bool {
        match self.as_number() {
            Some(Content::Int(number)) => number == 0,
            Some(Content::Float { number, .. }) => number == 0.0,
            _ => false,
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
            Content::Int(1) => Some(true),
            Content::Int(0) => Some(false),
            Content::Text { text, .. } => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
                "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
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
        numbered.map(|(index, item)| self.child(&index.to_string(), item)).collect()
    }

    /// A mapping's fields.
    pub(crate) fn map(&self, findings: &mut Findings) -> Option<Fields<'a>> {
        match &self.node.content {
            Content::Map(entries) => Some(Fields {
                at: self.clone(),
                entries,
                taken: vec![false; entries.len()],
                known: Vec::new(),
                aliases: Vec::new(),
            }),
            _ => self.wrong(findings, "a map", None),
        }
    }

    /// A list of texts, or one text.
    pub(crate) fn texts(&self, findings: &mut Findings) -> Vec<String> {
        self.one_or_more().iter().filter_map(|item| item.text(findings)).collect()
    }

    /// One of the known words, in any letter case and with or without underscores.
    pub(crate) fn word<T: Copy>(
        &self,
        known: &[(&'static str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let Some(text) = self.plain_text() else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return self.not_a_word(&names, findings);
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
        let mistake = unknown(text, known, nearest(text, known.iter().copied()));
        findings.problem(self, mistake);
    }

    /// A problem: a word must stand here, and a list, a map or nothing does.
    pub(crate) fn not_a_word<T>(&self, known: &[&str], findings: &mut Findings) -> Option<T> {
        let first = match &self.node.content {
            Content::List(items) => match items.as_slice() {
                [Node { content: Content::Text { text, .. }, .. }] => text.as_str(),
                _ => known.first().copied().unwrap_or_default(),
            },
            _ => known.first().copied().unwrap_or_default(),
        };
        self.wrong(findings, &one_of(known), Some(format!("write {}: {first}", self.name())))
    }

    /// The same for the key of this node.
    pub(crate) fn unknown_key(&self, text: &str, known: &[&str], findings: &mut Findings) {
        let guess = nearest(text, known.iter().copied());
        let list = known.join(", ");
        let mut mistake = Mistake::new(format!("is not known; known: {list}"), list);
        mistake.hint = guess_hint(guess, "remove it");
        findings.key_problem(self, mistake);
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
                let is_integer =
                    written.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-'));
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
        mistake.hint = hint.or_else(|| Some(format!("write {wanted}")));
        findings.problem(self, mistake);
        None
    }

    fn as_number(&self) -> Option<Content> {
        match &self.node.content {
            content @ (Content::Int(_) | Content::Float { .. }) => Some(content.clone()),
            Content::Text { text, .. } => {
                let text = text.trim();
                scalar_number(text).or_else(|| scalar_number(&without_underscores(text)?))
            }
            _ => None,
        }
    }

    fn notice_underscores(&self, findings: &mut Findings) {
        if let Content::Text { text, .. } = &self.node.content
            && let Some(plain) = without_underscores(text.trim())
        {
            findings.notice(self, &format!("is {}, read as {plain}", text.trim()));
        }
    }

    /// What the text was probably meant to be.
    fn number_hint(&self) -> Option<String> {
        let Content::Text { text, .. } = &self.node.content else {
            return None;
        };
        let lower = text.trim().to_ascii_lowercase();
        let plain: String = lower.chars().filter(|c| !matches!(c, '_' | ',' | ' ')).collect();
        if scalar_number(&plain).is_some() {
            return Some(format!("write {plain}"));
        }
        let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
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

    /// The value of a key, if it is set to something.
    pub(crate) fn take_set(&mut self, name: &'static str) -> Option<At<'a>> {
        self.take_any(name).filter(|at| at.node.content != Content::Null)
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
        let at = self.at.child(name, self.at.node);
        let mut problem =
            findings.describe(&at, Mistake::new(MISSING, name).hint(format!("add {example}")));
        "nothing".clone_into(&mut problem.found);
        findings.problems.push(problem);
    }

    /// Whoever writes `wrong` means `right`.
    pub(crate) fn also_called(&mut self, wrong: &'static str, right: &'static str) {
        self.aliases.push((wrong, right));
    }

    /// A key that is read only to say that it has no place here: nobody is told to write it.
    pub(crate) fn forget(&mut self, name: &str) {
        self.known.retain(|known| *known != name);
    }

    /// The known key that was perhaps meant by this one.
    fn guess(&self, key: &str) -> Option<&'static str> {
        let may_stand = |right: &&'static str| self.known.contains(right);
        let alias = self.aliases.iter().find(|(wrong, right)| *wrong == key && may_stand(right));
        alias.map(|(_, right)| *right).or_else(|| nearest(key, self.known.iter().copied()))
    }

    /// Whether a key is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key.name == name)
    }

    /// Every key with its value, whatever it is named; all count as taken.
    pub(crate) fn take_all(&mut self) -> Vec<(&'a Key, At<'a>)> {
        self.taken.fill(true);
        self.entries.iter().map(|(key, node)| (key, self.at.entry(key, node))).collect()
    }

    /// Takes the keys that mean nothing here, and returns those that are set.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) -> Vec<At<'a>> {
        names.iter().filter_map(|name| self.take_any(name)).collect()
    }

    /// Complains about keys that belong into the map of another key.
    pub(crate) fn misplaced(&mut self, names: &[&str], home: &str, findings: &mut Findings) {
        for (index, (key, node)) in self.entries.iter().enumerate() {
            if names.contains(&key.name.as_str()) {
                self.taken[index] = true;
                let mistake = Mistake::new(format!("belongs under {home}"), home);
                let hint = format!("move it to {home}.{}", key.name);
                findings.key_problem(&self.at.entry(key, node), mistake.hint(hint));
            }
        }
    }

    /// Every key that nobody took is a problem.
    pub(crate) fn finish(self, findings: &mut Findings) {
        let list = self.known.join(", ");
        let unknown = self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken);
        let unknown: Vec<_> = unknown.map(|((key, node), _)| self.at.entry(key, node)).collect();
        for at in unknown.iter().take(MAX_UNKNOWN_KEYS) {
            let key = at.key.map_or("", |key| key.name.as_str());
            let guess = self.guess(key);
            let mut mistake = Mistake::new("is not known", list.as_str());
            if self.known.len() <= SHORT_LIST {
                mistake.says = format!("is not known; known: {list}");
            }
            mistake.hint = guess_hint(guess, "remove it");
            findings.key_problem(at, mistake);
            // The mistyped key is why the one that was meant is missing.
            if let Some(word) = guess {
                findings.forget_missing(&self.at.child(word, self.at.node).path);
            }
        }
        if let Some(at) = unknown.get(MAX_UNKNOWN_KEYS) {
            let more = unknown.len() - MAX_UNKNOWN_KEYS;
            let says = format!("is not known, like {} more keys", more - 1);
            findings.key_problem(at, Mistake::new(says, list).hint("remove them"));
        }
    }

    fn child(&self, index: usize) -> At<'a> {
        let (key, node) = &self.entries[index];
        self.at.entry(key, node)
    }
}

/// `1_000` as `1000`: YAML 1.1 lets underscores part the digits of a number.
pub(crate) fn without_underscores(text: &str) -> Option<String> {
    let plain = text.replace('_', "");
    let begins = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit());
    (begins && text.contains('_') && scalar_number(&plain).is_some()).then_some(plain)
}

/// A word that is none of the known ones, with the one that was perhaps meant.
pub(crate) fn unknown(text: &str, known: &[&str], guess: Option<&str>) -> Mistake {
    let list = known.join(", ");
    let text = crate::yaml::brief_text(text);
    let says = match guess {
        Some(_) if known.len() > SHORT_LIST => format!("{text} is not known"),
        _ => format!("{text} is not known; known: {list}"),
    };
    let mut mistake = Mistake::new(says, list);
    mistake.hint = guess_hint(guess, "write one of the known words");
    mistake
}

/// The word that was perhaps meant, or other advice.
pub(crate) fn guess_hint(guess: Option<&str>, otherwise: &str) -> Option<String> {
    Some(guess.map_or_else(|| otherwise.to_owned(), |word| format!("did you mean {word}?")))
}

/// The nearest name of letters, digits and `_`, a digit not first: the same where it is one.
pub(crate) fn valid_name(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let plain: String = name.chars().map(fits).collect();
    let begins = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins { plain } else { format!("_{plain}") }
}

/// How many names of the user's own a message lists, and how many are compared.
const MAX_LISTED: usize = 20;
const MAX_COMPARED: usize = 1_000;

/// `a, b, c`, cut where it is long.
pub(crate) fn listed(known: &[&str]) -> String {
    let more = if known.len() > MAX_LISTED { ", …" } else { "" };
    let first: Vec<&str> = known.iter().take(MAX_LISTED).copied().collect();
    format!("{}{more}", first.join(", "))
}

/// The advice for a name that is none of the user's own in a map: the one that was perhaps meant, or
/// to define it there.
pub(crate) fn define_hint(name: &str, known: &[&str], home: &str) -> String {
    let guess = nearest(name, known.iter().take(MAX_COMPARED).copied());
    guess.map_or_else(
        || format!("define {name} under {home}"),
        |word| format!("did you mean {word}?"),
    )
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
        text.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
    };
    plain(left) == plain(right)
}
