//! Where NATS is and who we are there: as typed, and as used.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use async_nats::ServerAddr;
use clap::Args;

use crate::failure::Failure;

/// The word that stands for a private server instead of an address.
const MANAGED: &str = "managed";

/// Where NATS is and who we are there.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NatsArgs {
    /// Where NATS is: nats://HOST:PORT or tls://HOST:PORT, several separated by commas; `managed` is
    /// a private server in the data directory.
    #[arg(long, env = "FLEETFIT_NATS", hide_env_values = true, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// The user's name at NATS.
    #[arg(long, value_name = "NAME", requires = "nats_password_file")]
    pub(crate) nats_user: Option<String>,
    /// The file that holds the user's password.
    #[arg(long, value_name = "FILE", group = "nats_login", requires = "nats_user")]
    pub(crate) nats_password_file: Option<PathBuf>,
    /// The file that holds a token.
    #[arg(long, value_name = "FILE", group = "nats_login")]
    pub(crate) nats_token_file: Option<PathBuf>,
    /// The file that holds the seed of an nkey.
    #[arg(long, value_name = "FILE", group = "nats_login")]
    pub(crate) nats_nkey: Option<PathBuf>,
    /// The credentials file of a user (a JWT and its seed).
    #[arg(long, value_name = "FILE", group = "nats_login")]
    pub(crate) nats_credentials: Option<PathBuf>,
    /// The certificates of the authorities that NATS's own is signed by (PEM) [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,
    /// Our certificate, where NATS asks for one (PEM).
    #[arg(long, value_name = "FILE", requires = "nats_key")]
    pub(crate) nats_cert: Option<PathBuf>,
    /// The key of our certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "nats_cert")]
    pub(crate) nats_key: Option<PathBuf>,
}

/// Where NATS is and who we are there, checked.
#[derive(Debug)]
pub(super) struct Servers {
    /// Without logins.
    pub(super) addresses: Vec<ServerAddr>,
    pub(super) login: Login,
    /// The certificates to trust instead of the system's.
    pub(super) authority: Option<PathBuf>,
    /// Our certificate and its key.
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
}

/// Who we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Nobody,
    User { name: String, password: String },
    Token(String),
    Nkey(String),
    Credentials { text: String, file: PathBuf },
}

/// Secrets are not for logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::User { .. } => "a user and a password",
            Self::Token(_) => "a token",
            Self::Nkey(_) => "an nkey",
            Self::Credentials { .. } => "a credentials file",
        })
    }
}

impl NatsArgs {
    /// Whether a private server is asked for.
    pub(crate) fn is_managed(&self) -> bool {
        self.nats.as_deref() == Some(MANAGED)
    }

    /// Where `--nats` says.
    pub(super) fn servers(&self) -> Result<Servers, Failure> {
        self.servers_at(self.nats.as_deref().unwrap_or_default())
    }

    /// At these addresses, with everything else as typed.
    pub(super) fn servers_at(&self, addresses: &str) -> Result<Servers, Failure> {
        let mut login = self.login()?;
        let mut servers = Vec::new();
        for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            let (server, named) = read_address(address)?;
            servers.push(server);
            if named == Login::Nobody || named == login {
                continue;
            }
            if login != Login::Nobody {
                return Err(Failure::asked(
                    "--nats names somebody else than the other options or addresses do",
                    "log in one way, either in the address or with --nats-user and the like",
                ));
            }
            login = named;
        }
        if servers.is_empty() {
            return Err(Failure::asked(
                "--nats is empty",
                "write an address like nats://localhost:4222, or managed",
            ));
        }
        for (file, what) in [
            (&self.nats_ca, "certificate"),
            (&self.nats_cert, "certificate"),
            (&self.nats_key, "private key"),
        ] {
            if let Some(file) = file {
                check_pem(file, what)?;
            }
        }
        Ok(Servers {
            addresses: servers,
            login,
            authority: self.nats_ca.clone(),
            certificate: self.nats_cert.clone().zip(self.nats_key.clone()),
        })
    }

    fn login(&self) -> Result<Login, Failure> {
        if let (Some(name), Some(file)) = (&self.nats_user, &self.nats_password_file) {
            return Ok(Login::User { name: name.clone(), password: read_secret(file)? });
        }
        if let Some(file) = &self.nats_token_file {
            return Ok(Login::Token(read_secret(file)?));
        }
        if let Some(file) = &self.nats_nkey {
            let text = read_file(file)?;
            let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
            let seed = seed.ok_or_else(|| {
                Failure::asked(
                    format!("{} holds no seed of a user's nkey", file.display()),
                    "it is one line that begins with SU, as nk -gen user prints it",
                )
            })?;
            return Ok(Login::Nkey(seed.to_owned()));
        }
        Ok(match &self.nats_credentials {
            Some(file) => Login::Credentials { text: read_file(file)?, file: file.clone() },
            None => Login::Nobody,
        })
    }
}

impl Servers {
    /// The addresses, for people.
    pub(super) fn shown(&self) -> String {
        let shown = self
            .addresses
            .iter()
            .map(|address| format!("{}://{}:{}", address.scheme(), address.host(), address.port()));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Whether every address is one of this machine's own.
    pub(super) fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| {
            let host = address.host().trim_matches(['[', ']']);
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
        })
    }
}

/// An address, and who it says that we are.
fn read_address(text: &str) -> Result<(ServerAddr, Login), Failure> {
    let wrong = || {
        // What stands before the host may be a password.
        let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
        Failure::asked(
            format!("{shown:?} is not an address of NATS"),
            "write nats://HOST:PORT, tls://HOST:PORT, or managed",
        )
    };
    let address: ServerAddr = text.parse().map_err(|_| wrong())?;
    if !matches!(address.scheme(), "nats" | "tls") || address.host().is_empty() {
        return Err(wrong());
    }
    let login = match (address.username(), address.password()) {
        (Some(name), Some(password)) => {
            Login::User { name: decoded(name), password: decoded(password) }
        }
        (Some(token), None) => Login::Token(decoded(token)),
        (None, _) => Login::Nobody,
    };
    let mut url = address.into_inner();
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| wrong())?;
    Ok((ServerAddr::from_url(url).map_err(|_| wrong())?, login))
}

/// Percent escapes undone, as they stand in the part of an address before the host.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_file(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let why = Failure::outside(&error);
        Failure::asked(
            format!("{} cannot be read: {why}", file.display()),
            "name a file that this user may read",
        )
    })
}

/// Refuses a file that holds no such thing: whoever makes the connection says only that it failed.
fn check_pem(file: &Path, what: &str) -> Result<(), Failure> {
    let (text, word) = (read_file(file)?, what.to_uppercase());
    if text.lines().any(|line| line.starts_with("-----BEGIN ") && line.contains(&word)) {
        return Ok(());
    }
    let message = format!("{} holds no {what}", file.display());
    Err(Failure::asked(message, "it is a PEM file, with a line that begins with -----BEGIN"))
}

/// What a file holds, without the line's end that editors add.
fn read_secret(file: &Path) -> Result<String, Failure> {
    let secret = read_file(file)?.trim_end_matches(['\n', '\r']).to_owned();
    match secret.is_empty() {
        true => Err(Failure::asked(
            format!("{} is empty", file.display()),
            "write the secret into it, and nothing else",
        )),
        false => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(addresses: &str) -> Result<Servers, Failure> {
        let args = NatsArgs { nats: Some(addresses.to_owned()), ..NatsArgs::default() };
        args.servers()
    }

    #[test]
    fn addresses_are_read_with_their_logins() {
        let check = |text: &str, shown: &str, login: Login| {
            let servers = at(text).unwrap();
            assert_eq!((servers.shown().as_str(), &servers.login), (shown, &login), "{text}");
        };
        let user = |name: &str, password: &str| Login::User {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        check("nats://localhost", "nats://localhost:4222", Login::Nobody);
        check("10.0.0.7:4300", "nats://10.0.0.7:4300", Login::Nobody);
        check("tls://a:1,tls://b:2", "tls://a:1, tls://b:2", Login::Nobody);
        check("nats://me:p%40ss@a:1, nats://b:2", "nats://a:1, nats://b:2", user("me", "p@ss"));
        check("nats://s3cr3t@a:1", "nats://a:1", Login::Token("s3cr3t".into()));
    }

    #[test]
    fn loopback_is_known() {
        for text in ["nats://localhost:1", "nats://127.0.0.1:1", "nats://[::1]:4222"] {
            assert!(at(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["nats://10.0.0.7", "nats://localhost,nats://example.org"] {
            assert!(!at(text).unwrap().is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_without_the_password() {
        for text in ["http://a", "ws://a:1", "nats://", ",", "nats://me:s3cr3t@a:99999999"] {
            let message = at(text).unwrap_err().to_string();
            assert!(!message.contains("s3cr3t"), "{message}");
            assert!(message.contains("managed"), "{message}");
        }
        let two = at("nats://a:b@one,nats://c:d@two").unwrap_err().to_string();
        assert!(two.contains("somebody else"), "{two}");
    }

    #[test]
    fn certificates_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let args = |ca: Option<&Path>, key: Option<&Path>| NatsArgs {
            nats: Some("tls://a:1".into()),
            nats_ca: ca.map(Path::to_owned),
            nats_key: key.map(Path::to_owned),
            ..NatsArgs::default()
        };
        std::fs::write(&path, "password").unwrap();
        let none = args(Some(&path), None).servers().unwrap_err().to_string();
        assert!(none.contains("ca.pem holds no certificate"), "{none}");
        std::fs::write(&path, "text\n-----BEGIN CERTIFICATE-----\nAA==\n").unwrap();
        args(Some(&path), None).servers().unwrap();
        let no_key = args(None, Some(&path)).servers().unwrap_err().to_string();
        assert!(no_key.contains("holds no private key"), "{no_key}");
    }

    #[test]
    fn secrets_do_not_show() {
        let servers = at("nats://me:s3cr3t@a:1").unwrap();
        assert!(!format!("{servers:?}").contains("s3cr3t"));
    }
}
