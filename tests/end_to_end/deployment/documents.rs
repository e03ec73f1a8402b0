//! The commands that the documents about the service show.

use super::assert_known;
use crate::harness::{Place, repository};

const DOCUMENTS: [&str; 3] = ["docs/service.md", "docs/operations.md", "examples/deploy/README.md"];

/// The arguments of every command that begins with fleetfit in a block of shell.
fn commands(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let joined: Vec<String> = blocks.map(|block| block.replace("\\\n", " ")).collect();
    let lines = joined.iter().flat_map(|block| block.lines());
    let starts = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("sudo ").unwrap_or(line);
        line.strip_prefix("fleetfit ").map(str::to_owned)
    };
    let words = |line: String| -> Vec<String> {
        // Up to a comment, a pipe or a redirection.
        let words = line.split_whitespace();
        let own = words.take_while(|word| !matches!(*word, "#" | "|" | ">" | "&" | "&&"));
        own.map(|word| word.trim_matches('"').to_owned()).collect()
    };
    lines.filter_map(starts).map(words).collect()
}

#[test]
fn every_command_is_known() {
    let place = Place::new();
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(repository(document)).expect(document);
        let commands = commands(&text);
        assert!(!commands.is_empty(), "{document} shows no command");
        for command in commands {
            let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            assert_known(&place, document, &arguments);
        }
    }
}

/// What a document's headings are called in links.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let named = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    named.map(|name| name.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for document in DOCUMENTS {
        let text = std::fs::read_to_string(repository(document)).expect(document);
        let folder = repository(document).parent().expect("a folder").to_owned();
        for link in super::all_between(&text, "](", ")") {
            if link.contains("://") {
                continue;
            }
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = match target {
                "" => repository(document),
                target => folder.join(target),
            };
            assert!(path.exists(), "{document}: {link}");
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(path).expect(target));
                assert!(there.iter().any(|name| name == anchor), "{document}: {link}: {there:?}");
            }
        }
    }
}
