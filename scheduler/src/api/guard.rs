//! Who may ask over the network: whoever knows the token, under a name that is ours, and no website.
//!
//! A browser lets any site send requests to any address. Such a request either carries an `Origin`
//! that is not ours or, when the site's name was bent to point here, a `Host` that is not ours.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};

use super::{Refused, Why};

/// Who may ask over the network.
#[derive(Clone, Default)]
pub struct Guard {
    /// What `Authorization: Bearer` has to say; nothing has to be said without.
    token: Option<String>,
    /// Names under which we are asked, besides those of loopback.
    hosts: Vec<String>,
    /// Whether every address of this machine is ours.
    is_everywhere: bool,
}

impl Guard {
    /// For a service that listens there, and is known by these names too.
    pub fn new(listen: SocketAddr, token: Option<String>, hosts: &[String]) -> Self {
        let listen = listen.ip();
        let named = hosts.iter().map(|host| bare(host).to_ascii_lowercase());
        Self {
            token,
            hosts: named.chain([listen.to_string()]).collect(),
            is_everywhere: listen.is_unspecified(),
        }
    }

    /// Refuses a request whose sender cannot be trusted.
    pub(super) fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Refused> {
        let host = self.host(headers)?;
        same_origin(headers, host)?;
        // Whoever watches the service needs no secret; what it says there is none.
        if path == "/healthz" { Ok(()) } else { self.token(headers) }
    }

    fn host<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Refused> {
        let refuse = |host: &str| {
            let message = format!(
                "this service is not called {host}; ask it as localhost or by its address, or start \
                 it with --allow-host"
            );
            Refused::new(Why::Forbidden, message)
        };
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
            (Some(Ok(host)), None) => host,
            (None, _) => return Err(Refused::bad("the request names no host")),
            _ => return Err(refuse("by several names")),
        };
        let name = bare(host).to_ascii_lowercase();
        let address = name.parse::<IpAddr>().ok();
        // Names can be bent to point anywhere, addresses cannot.
        let is_ours = name == "localhost"
            || address.is_some_and(|address| address.is_loopback() || self.is_everywhere)
            || self.hosts.contains(&name);
        if is_ours { Ok(host) } else { Err(refuse(host)) }
    }

    fn token(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let given = headers.get(header::AUTHORIZATION).map(|given| given.as_bytes());
        let said = given.and_then(|given| {
            let (scheme, said) = given.split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(said)
        });
        match said {
            Some(said) if is_same(said, token.as_bytes()) => Ok(()),
            Some(_) => Err(Refused::new(Why::Unauthorized, "the token is not the service's")),
            None => Err(Refused::new(
                Why::Unauthorized,
                "this service asks for its token: Authorization: Bearer TOKEN",
            )),
        }
    }
}

/// Tokens never reach a log by way of a debug print.
impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let has_token = self.token.is_some();
        f.debug_struct("Guard").field("hosts", &self.hosts).field("has_token", &has_token).finish()
    }
}

/// A host without its port and its brackets.
fn bare(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    // An address of many colons has brackets where a port may follow.
    let name = if name.contains(':') && !name.starts_with('[') { host } else { name };
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

fn same_origin(headers: &HeaderMap, host: &str) -> Result<(), Refused> {
    for origin in headers.get_all(header::ORIGIN) {
        let authority = origin.to_str().ok().and_then(|origin| {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
        });
        if !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
            let message = "requests that other websites send are not taken";
            return Err(Refused::new(Why::Forbidden, message));
        }
    }
    Ok(())
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differ = one
        .iter()
        .zip(other)
        .fold(0, |differ, (one, other)| std::hint::black_box(differ | (one ^ other)));
    one.len() == other.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(guard: &Guard, path: &str, lines: &[(&'static str, &str)]) -> Option<Why> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        guard.check(path, &headers).err().map(|refused| refused.why)
    }

    #[test]
    fn names_that_are_not_ours_are_refused() {
        let hosts = ["fleet.example:8080".to_owned()];
        let guard = Guard::new("10.0.0.5:8080".parse().unwrap(), None, &hosts);
        let check = |host: &str, expected: Option<Why>| {
            assert_eq!(asked(&guard, "/api/v1/studies", &[("host", host)]), expected, "{host}");
        };
        for ours in [
            "localhost",
            "LOCALHOST:99",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:80",
            "10.0.0.5",
            "Fleet.Example:8080",
            "fleet.example",
        ] {
            check(ours, None);
        }
        for strange in ["evil.example", "localhost.evil.example", "10.0.0.6:8080", "", "[::2]"] {
            check(strange, Some(Why::Forbidden));
        }
        assert_eq!(asked(&guard, "/healthz", &[]), Some(Why::BadRequest));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(asked(&guard, "/healthz", &twice), Some(Why::Forbidden));
        let everywhere = Guard::new("0.0.0.0:80".parse().unwrap(), None, &[]);
        let asked = |host| asked(&everywhere, "/healthz", &[("host", host)]);
        assert_eq!(asked("192.168.3.4:80"), None);
        assert_eq!(asked("evil.example"), Some(Why::Forbidden));
    }

    #[test]
    fn websites_of_others_are_refused() {
        let guard = Guard::default();
        let check = |origin: &str, expected: Option<Why>| {
            let lines = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(asked(&guard, "/api/v1/studies", &lines), expected, "{origin}");
        };
        check("http://localhost:8080", None);
        check("https://localhost:8080", None);
        check("http://localhost:9090", Some(Why::Forbidden));
        check("http://evil.example", Some(Why::Forbidden));
        check("null", Some(Why::Forbidden));
        check("", Some(Why::Forbidden));
    }

    #[test]
    fn only_the_token_opens() {
        let guard = Guard::new("127.0.0.1:0".parse().unwrap(), Some("s3cret".into()), &[]);
        let check = |said: &str, expected: Option<Why>| {
            let lines = [("host", "localhost"), ("authorization", said)];
            for path in ["/api/v1/studies", "/metrics"] {
                assert_eq!(asked(&guard, path, &lines), expected, "{said}");
            }
        };
        check("Bearer s3cret", None);
        check("bearer s3cret", None);
        for wrong in ["Bearer s3cre", "Bearer s3crett", "Bearer ", "Bearer", "Basic s3cret", ""] {
            check(wrong, Some(Why::Unauthorized));
        }
        assert_eq!(asked(&guard, "/healthz", &[("host", "localhost")]), None);
        assert_eq!(asked(&guard, "/x", &[("host", "localhost")]), Some(Why::Unauthorized));
        assert!(!format!("{guard:?}").contains("s3cret"));
    }
}
