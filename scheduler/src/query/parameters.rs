//! The names of everything that a configuration of a space may set.

use fleetfit_search_spaces::{Alternative, Domain, SearchSpace};

/// Dotted paths in the order of the job file, each once, literals inside branches included.
pub(super) fn parameters(space: &SearchSpace) -> Vec<String> {
    let mut found = Vec::new();
    collect(space, "", &mut found);
    found
}

fn collect(space: &SearchSpace, prefix: &str, found: &mut Vec<String>) {
    for parameter in &space.parameters {
        let path = format!("{prefix}{}", parameter.name);
        let Domain::Choice(alternatives) = &parameter.domain else {
            add(path, found);
            continue;
        };
        for alternative in alternatives.iter() {
            match alternative {
                Alternative::Value(_) => add(path.clone(), found),
                Alternative::Space(nested) => collect(nested, &format!("{path}."), found),
            }
        }
    }
}

fn add(path: String, found: &mut Vec<String>) {
    // A choice has as many plain values as it likes, one after the other: the last one is looked at
    // first.
    if !found.iter().rev().any(|known| *known == path) {
        found.push(path);
    }
}
