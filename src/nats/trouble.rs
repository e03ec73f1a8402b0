//! What a failed attempt to use a NATS means, in the user's words, and whether trying again can help.

use std::error::Error as _;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{AccountError, AccountErrorKind};
use async_nats::rustls;
use async_nats::{ConnectError, ConnectErrorKind, ServerInfo};

use super::args::{Login, Servers};
use crate::failure::Failure;

/// The largest message that has to be taken, in bytes: what nats-server takes if nothing else is said.
const LEAST_PAYLOAD: usize = 1 << 20;

/// The oldest nats-server that has what we use.
const OLDEST: (u64, u64) = (2, 11);

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may go by itself.
    Passing(String),
    /// Somebody has to do something.
    Lasting(String),
}

/// Why no connection was made.
pub(super) fn of_connecting(servers: &Servers, error: &ConnectError) -> Trouble {
    let at = servers.shown();
    match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            refused(servers)
        }
        ConnectErrorKind::Dns => {
            Trouble::Passing(format!("NATS at {at}: no machine of that name is known"))
        }
        ConnectErrorKind::TimedOut => Trouble::Passing(format!("NATS at {at} does not answer")),
        ConnectErrorKind::Tls => {
            Trouble::Lasting(format!("no TLS connection to NATS at {at}: {}", innermost(error)))
        }
        ConnectErrorKind::ServerParse | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            match tls_error(error) {
                Some(tls) => Trouble::Lasting(format!(
                    "no TLS connection to NATS at {at}: {}",
                    told_by_tls(tls)
                )),
                None => of_io(servers, error),
            }
        }
    }
}

fn of_io(servers: &Servers, error: &ConnectError) -> Trouble {
    let at = servers.shown();
    let why = innermost(error);
    let lower = why.to_lowercase();
    if lower.contains("authentication") || lower.contains("authorization") {
        return refused(servers);
    }
    if lower.contains("connection refused") {
        return Trouble::Passing(format!("nobody listens at {at}"));
    }
    if lower.contains("expected info") {
        return Trouble::Passing(format!("what listens at {at} does not speak like NATS"));
    }
    Trouble::Passing(format!("NATS at {at}: {why}"))
}

fn refused(servers: &Servers) -> Trouble {
    let at = servers.shown();
    Trouble::Lasting(match servers.login {
        Login::Nobody => format!(
            "NATS at {at} wants to know who we are\n  hint: give --nats-user and \
             --nats-password-file, --nats-token-file, --nats-nkey or --nats-credentials"
        ),
        _ => format!("NATS at {at} refused {:?}", servers.login),
    })
}

/// Whether a server of this version has what we use.
pub(super) fn of_version(servers: &Servers, version: &str) -> Result<(), Trouble> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u64>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= OLDEST {
        return Ok(());
    }
    Err(Trouble::Lasting(format!(
        "nats-server {version} at {} is too old: fleetfit needs {}.{} or later",
        servers.shown(),
        OLDEST.0,
        OLDEST.1,
    )))
}

/// Letters and pieces of files must fit into one message.
pub(super) fn of_payload(servers: &Servers, most: usize) -> Result<(), Trouble> {
    if most >= LEAST_PAYLOAD {
        return Ok(());
    }
    Err(Trouble::Lasting(format!(
        "the nats-server at {} takes messages of {most} bytes at most: fleetfit needs {LEAST_PAYLOAD}; \
         set max_payload: 1MB in its configuration",
        servers.shown(),
    )))
}

/// Why JetStream did not tell about our account. Where it is there and we may not ask, whoever uses
/// it finds out whether we may do that.
pub(super) fn of_jetstream(
    servers: &Servers,
    info: &ServerInfo,
    error: &AccountError,
) -> Result<(), Trouble> {
    let at = servers.shown();
    let not_enabled =
        [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
    let is_missing = match error.kind() {
        AccountErrorKind::JetStreamUnavailable => true,
        AccountErrorKind::JetStream(told) => not_enabled.contains(&told.error_code()),
        AccountErrorKind::TimedOut if info.jetstream => return Ok(()),
        AccountErrorKind::TimedOut | AccountErrorKind::Other => false,
    };
    Err(match is_missing {
        true => Trouble::Lasting(format!(
            "NATS at {at} has no JetStream\n  hint: start it with nats-server -js, or with \
             jetstream in its configuration, for the account that fleetfit uses"
        )),
        false => Trouble::Passing(format!("JetStream of NATS at {at}: {}", innermost(error))),
    })
}

/// What TLS says against a connection, if it was TLS.
fn tls_error(error: &ConnectError) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An error of the system carries the one inside as its own, not as its source.
        let carried = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = carried.and_then(|carried| carried.downcast_ref::<rustls::Error>()) {
            return Some(tls);
        }
        source = inner.source();
    }
    None
}

fn told_by_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(
            Certificate::UnknownIssuer | Certificate::BadSignature,
        ) => "its certificate is signed by nobody that we trust\n  hint: name the authority's \
              certificate with --nats-ca"
            .into(),
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another host name".into(),
        rustls::Error::InvalidCertificate(
            Certificate::Expired | Certificate::ExpiredContext { .. },
        ) => "its certificate has expired".into(),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS\n  hint: write nats:// instead of tls://".into()
        }
        rustls::Error::AlertReceived(_) => {
            format!("it refused our certificate ({error})\n  hint: give --nats-cert and --nats-key")
        }
        _ => error.to_string(),
    }
}

/// The last of an error's causes, without the operating system's number.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    let told = Failure::outside(&last).to_string();
    told.strip_prefix("nats: ").map_or(told.clone(), str::to_owned)
}
