//! The secret that a service and those who ask it over the network share.

use std::path::Path;

use fleetfit_search_spaces::disk::plain;

use crate::failure::Failure;

/// The word in the file, else that of `$FLEETFIT_TOKEN`, else none.
pub(crate) fn find(file: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(file) = file else {
        return Ok(std::env::var("FLEETFIT_TOKEN").ok().filter(|token| !token.is_empty()));
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("--token-file {}: {}", file.display(), plain(&error));
        Failure::asked(message, "name a file that holds the token on its only line")
    })?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Failure::asked(
            format!("--token-file {} holds no token", file.display()),
            "write one word into it, for instance from: openssl rand -hex 32",
        ));
    }
    Ok(Some(token.to_owned()))
}
