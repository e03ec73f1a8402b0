//! What a private nats-server is started with, and the files that it lives in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Who logs in.
pub(super) const USER: &str = "fleetfit";

/// What a server keeps across starts.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) port: u16,
    /// Tells this server from any other that may listen on the port.
    pub(super) server_name: String,
    pub(super) password: String,
}

/// Where everything lies.
pub(super) struct Files {
    dir: PathBuf,
}

impl Settings {
    fn draw() -> io::Result<Self> {
        let server_name = format!("fleetfit-{}", random_word(4)?);
        Ok(Self { port: free_port()?, server_name, password: random_word(24)? })
    }

    pub(super) fn on_another_port(&self) -> Result<Self, Failure> {
        let port = free_port().map_err(|error| Failure::outside(&error))?;
        Ok(Self { port, ..self.clone() })
    }

    fn url(&self) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{}", self.password, self.port)
    }
}

impl Files {
    /// In a data directory; the folder is made where it is missing, for this user alone.
    pub(super) fn at(home: &Path) -> Result<Self, Failure> {
        let dir = home.join("nats");
        let told = |error: io::Error| {
            let why = Failure::outside(&error);
            Failure::Unavailable(format!("{}: {why}", dir.display()))
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(told)?;
        Ok(Self { dir: dir.canonicalize().map_err(told)? })
    }

    /// Where the address of a data directory's server is written.
    pub(super) fn url_in(home: &Path) -> PathBuf {
        home.join("nats").join("url")
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.dir.join("nats.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    fn settings_file(&self) -> PathBuf {
        self.dir.join("server.json")
    }

    /// The settings that were kept, or fresh ones.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let kept = fs::read(self.settings_file()).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // Settings that cannot be read tell of no server that anybody could log in to.
        kept.map_or_else(Settings::draw, Ok).map_err(|error| self.told(&error))
    }

    /// Writes the settings, the configuration that they mean, and the address.
    pub(super) fn write(&self, settings: &Settings) -> Result<(), Failure> {
        let kept = serde_json::to_string(settings)
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        let files = [
            (self.settings_file(), kept),
            (self.configuration(), self.configured(settings)),
            (self.dir.join("url"), format!("{}\n", settings.url())),
        ];
        files.iter().try_for_each(|(path, text)| {
            write_private(path, text).map_err(|error| self.told(&error))
        })
    }

    fn configured(&self, settings: &Settings) -> String {
        let Settings { port, server_name, password } = settings;
        let [store, pid, log] = [self.dir.join("store"), self.pid_file(), self.log()]
            .map(|path| quoted(&path.to_string_lossy()));
        format!(
            "# Written by fleetfit at every start.\n\
             server_name: {server_name}\n\
             listen: \"127.0.0.1:{port}\"\n\
             authorization {{ user: {USER}, password: \"{password}\" }}\n\
             jetstream {{ store_dir: {store} }}\n\
             max_payload: 8MB\n\
             pid_file: {pid}\n\
             log_file: {log}\n\
             logfile_size_limit: 16MB\n\
             logfile_max_num: 2\n"
        )
    }

    /// The process that the server wrote down.
    pub(super) fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()
    }

    /// Where a server writes before it has read where its log is.
    pub(super) fn log_for_start(&self) -> Result<File, Failure> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(self.log());
        file.map_err(|error| self.told(&error))
    }

    pub(super) fn log_length(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |metadata| metadata.len())
    }

    /// The last complaint in the log after this many bytes.
    pub(super) fn complaint(&self, after: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(self.log()).and_then(|mut log| {
            log.seek(SeekFrom::Start(after))?;
            log.read_to_end(&mut text)
        });
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let is_complaint = |line: &&str| line.contains("[FTL]") || line.contains("[ERR]");
        let said = lines.clone().rfind(is_complaint).or_else(|| lines.clone().next_back());
        match (read, said) {
            (Ok(_), Some(line)) => {
                let plain = line.split_once("] ").filter(|_| line.starts_with('['));
                plain.map_or(line, |(_, after)| after).trim_start_matches("[FTL] ").to_owned()
            }
            _ => "it says nothing".into(),
        }
    }

    fn told(&self, error: &io::Error) -> Failure {
        let why = Failure::outside(error);
        Failure::Unavailable(format!("{}: {why}", self.dir.display()))
    }
}

/// For this user alone, and never half written.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let part = path.with_extension("part");
    drop(fs::remove_file(&part));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&part, path)
}

/// A path as a string of the configuration.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A port that nobody listens on.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Random bytes from the system, in hexadecimal.
fn random_word(n_bytes: usize) -> io::Result<String> {
    let mut bytes = vec![0; n_bytes];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
