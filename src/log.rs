//! The log of a process that serves: lines on standard error, for people or for programs.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::cli::LogFormat;

/// Begins to log. `FLEETFIT_LOG` (error, warn, info, debug, trace) says how much.
pub(crate) fn begin(format: LogFormat, quiet: bool) {
    let asked = std::env::var("FLEETFIT_LOG").ok().and_then(|level| level.parse().ok());
    let usual = if quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let level: LevelFilter = asked.unwrap_or(usual);
    let has_colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let level = targets(level);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(has_colours).with_target(false);
    // A log that was begun before stays.
    let _ = match format {
        LogFormat::Text => registry().with(lines).with(level).try_init(),
        LogFormat::Json => registry().with(lines.json().flatten_event(true)).with(level).try_init(),
    };
}

/// The library of NATS tells what we tell ourselves, in our words; who looks for a mistake may hear it.
fn targets(level: LevelFilter) -> Targets {
    let library = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    Targets::new().with_default(level).with_target("async_nats", library)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_library_speaks_only_when_it_is_asked() {
        let usual = targets(LevelFilter::INFO);
        assert!(!usual.would_enable("async_nats::connector", &Level::ERROR));
        assert!(usual.would_enable("fleetfit::serve", &Level::INFO));
        assert!(targets(LevelFilter::DEBUG).would_enable("async_nats::connector", &Level::DEBUG));
    }
}
