//! A short look at who listens on a port of this machine: our private nats-server, somebody else, or
//! nobody.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// The server of this name, which takes the login.
    Ours,
    /// Something else.
    Stranger,
    /// Nothing, or something that does not answer.
    Nobody,
}

#[derive(Deserialize)]
struct Greeting {
    server_name: String,
}

/// Who listens on a port: the server of this name takes this login, a stranger does not.
pub(super) fn look(port: u16, server: &str, user: &str, password: &str) -> Listener {
    match ask(port, server, user, password) {
        Ok(true) => Listener::Ours,
        Ok(false) => Listener::Stranger,
        Err(_) => Listener::Nobody,
    }
}

fn ask(port: u16, server: &str, user: &str, password: &str) -> io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(&stream).lines();
    let mut line = || lines.next().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()));
    let greeting = line()?;
    let greeting = greeting.strip_prefix("INFO ").map(serde_json::from_str::<Greeting>);
    // The password is for nobody but the server that we know by name.
    if !matches!(greeting, Some(Ok(greeting)) if greeting.server_name == server) {
        return Ok(false);
    }
    let login = json!({
        "user": user, "pass": password, "verbose": false, "pedantic": false,
        "name": "fleetfit", "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
    });
    (&stream).write_all(format!("CONNECT {login}\r\nPING\r\n").as_bytes())?;
    loop {
        let answer = line()?;
        if answer == "PONG" {
            return Ok(true);
        }
        if answer.starts_with("-ERR") {
            return Ok(false);
        }
    }
}
