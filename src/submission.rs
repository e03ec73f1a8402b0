//! A job file on its way to a study: read, changed by `--set`, validated, held against the files it
//! names.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::material::Manifest;
use fleetfit_search_spaces::{Job, Judgement, Notice, Place, Problem, Problems, Study, Work, yaml};
use fleetfit_trial_runner::material::{self, MaterialError};

use crate::cli::JobArgs;
use crate::failure::Failure;
use crate::{outside, start};

/// What is read of a job file: one byte more, and `Job::read` refuses it.
const READ_BYTES: u64 = yaml::MAX_BYTES as u64 + 1;

/// A job that is valid, with what it means.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The job, with `--set` applied.
    pub(crate) job: Job,
    /// What it means.
    pub(crate) study: Study,
    /// The folder that its relative paths start from.
    pub(crate) base_dir: PathBuf,
    /// The text as it stands in the file.
    pub(crate) text: String,
    /// What `--set` and `--name` changed.
    pub(crate) sets: Vec<(String, String)>,
    /// The digest of the manifest that `base_dir` was built from, if it was.
    pub(crate) material: Option<String>,
}

/// Where a job's paths lead.
#[derive(Clone, Debug)]
pub(crate) enum Ground {
    /// They start from this folder.
    Folder(PathBuf),
    /// What they name was sent, and lies in this tree.
    Tree(Tree),
    /// The job came alone: only paths from the root lead anywhere.
    Nowhere,
}

/// What a job names, sent and laid out.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Where it lies.
    pub(crate) dir: PathBuf,
    /// What it was built from.
    pub(crate) manifest: Arc<Manifest>,
    /// The manifest's digest.
    pub(crate) digest: String,
}

impl Submission {
    /// Whether the job or whoever sent it gives the study a name.
    pub(crate) fn is_named(&self) -> bool {
        self.job.document.at_path("name").is_some()
    }
}

/// A job's fate before anything runs.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The study, when there is no problem.
    pub(crate) submission: Option<Submission>,
    /// Everything that is wrong.
    pub(crate) problems: Vec<Problem>,
    /// What else is wrong where the study is not stored yet: one that is has read what it starts from.
    pub(crate) unreadable: Vec<Problem>,
    /// Everything else worth saying.
    pub(crate) notices: Vec<Notice>,
}

impl Verdict {
    /// Judges the job file and the files that it names.
    pub(crate) fn reach(args: &JobArgs) -> Result<Self, Failure> {
        let (file, text, base_dir) = read(&args.job, "job file")?;
        let mut sets = sets(&args.set)?;
        if let Some(name) = &args.name {
            sets.push(named(name));
        }
        let mut verdict = Self::of(&file, text, sets, Ground::Folder(base_dir));
        verdict.problems.append(&mut verdict.unreadable);
        Ok(verdict)
    }

    /// Judges a job whose text is at hand.
    pub(crate) fn of(
        file: &str,
        text: String,
        sets: Vec<(String, String)>,
        ground: Ground,
    ) -> Self {
        let mut job = match Job::read(file, &text) {
            Ok(job) => job,
            Err(Problems(problems)) => {
                return Self { problems, ..Self::default() };
            }
        };
        if let Ground::Folder(folder) = &ground {
            job.folder = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        }
        let mut problems = Vec::new();
        for (path, value) in &sets {
            problems.extend(job.set(path, value).err());
        }
        let Judgement { study, mut data, mut command, mut origins, notices } = job.judge();
        let mut submitted = None;
        match study {
            Ok(study) => submitted = Some(study),
            Err(Problems(more)) => problems.extend(more),
        }
        let (base_dir, material) = match ground {
            Ground::Folder(folder) => (folder, None),
            Ground::Tree(tree) => {
                let relocated = submitted.map(|study| study.relocate(&tree.manifest));
                submitted = match relocated.transpose() {
                    Ok(relocated) => relocated,
                    Err(error) => {
                        problems.push(outside::not_sent(&job, &error.to_string()));
                        None
                    }
                };
                // A table that came from elsewhere may name any file of this machine.
                let confined = submitted.as_ref().map(|study| material::confined(study, &tree.dir));
                match confined.transpose() {
                    // What is not there is found below.
                    Ok(_) | Err(MaterialError::Data(_)) => {}
                    Err(error) => problems.push(outside::material_problem(&job, &error)),
                }
                // Without a study the job has problems enough; what it names is looked for then.
                origins.clear();
                data = submitted.as_ref().and_then(|study| study.data.clone());
                command = submitted.as_ref().and_then(|study| match &study.work {
                    Work::Command(command) => Some(command.clone()),
                    _ => None,
                });
                (tree.dir, Some(tree.digest))
            }
            Ground::Nowhere => {
                let lost: Vec<_> =
                    submitted.iter().flat_map(|study| job.left_behind(study)).collect();
                origins.clear();
                if !lost.is_empty() {
                    // What was not sent need not be looked for.
                    (data, command) = (None, None);
                }
                problems.extend(lost);
                (PathBuf::from("/"), None)
            }
        };
        if problems.is_empty() || material.is_none() {
            // Files are looked for even where something else is wrong: all problems at once.
            let named =
                command.iter().flat_map(|it| outside::command_problems(&job, it, &base_dir));
            problems.extend(named);
            let named = data.iter().flat_map(|data| outside::data_problems(&job, data, &base_dir));
            problems.extend(named);
        }
        // What is in them is told once the job is right, whose space says how they are read.
        let named = origins.iter().filter(|_| !problems.is_empty());
        let named = named.map(|(at, origin)| start::unreadable(&job, at, origin, &base_dir));
        let unreadable = named.flatten().collect();
        let submission = submitted.filter(|_| problems.is_empty()).map(|study| Submission {
            job,
            study,
            base_dir,
            text,
            sets,
            material,
        });
        Self { submission, problems, unreadable, notices }
    }
}

/// The name that a study gets instead of the job's own; a text, whatever it looks like.
pub(crate) fn named(name: &str) -> (String, String) {
    ("name".to_owned(), serde_json::Value::from(name).to_string())
}

/// `PATH=VALUE`, each taken apart.
pub(crate) fn sets(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut sets = Vec::new();
    for set in given {
        match set.split_once('=') {
            Some((path, value)) => sets.push((path.trim().to_owned(), value.to_owned())),
            None => {
                let message = "this has no \"=\" between a path and a value".to_owned();
                return Err(Failure::problem(Problem {
                    place: Place { file: format!("--set {set}"), ..Place::default() },
                    found: set.clone(),
                    message,
                    allowed: "PATH=VALUE".into(),
                    hint: Some(format!("write --set {set}=VALUE")),
                }));
            }
        }
    }
    Ok(sets)
}

/// A file's name, its text, and the folder that its paths start from. What it should be, in words.
pub(crate) fn read(path: &Path, what: &str) -> Result<(String, String, PathBuf), Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .take(READ_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::Unavailable(format!("standard input: {error}")))?;
        return Ok(("standard input".into(), text(path, bytes)?, current_dir()?));
    }
    let file = path.display().to_string();
    let refuse = |found: String, hint: &str| {
        Failure::problem(Problem {
            place: Place { file: file.clone(), ..Place::default() },
            message: found.clone(),
            found,
            allowed: format!("a {what}"),
            hint: Some(hint.into()),
        })
    };
    if path.is_dir() {
        return Err(refuse(format!("this is a folder, not a {what}"), "name the file inside it"));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(READ_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| {
        refuse(
            format!("the {what} cannot be read: {}", plain(&error)),
            "check the path; it starts from the current folder",
        )
    })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = current_dir()?.join(parent.unwrap_or(Path::new("")));
    let base_dir = folder.canonicalize().unwrap_or(folder);
    Ok((file, text(path, bytes)?, base_dir))
}

fn text(path: &Path, mut bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() as u64 == READ_BYTES {
        // It is refused for its length; the letter that the end fell into is none of its mistakes.
        let whole = std::str::from_utf8(&bytes).map_err(|error| (error.error_len(), error));
        if let Err((None, error)) = whole {
            let upto = error.valid_up_to();
            bytes.truncate(upto);
            bytes.resize(READ_BYTES as usize, b' ');
        }
    }
    String::from_utf8(bytes).map_err(|error| {
        let upto = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + upto.iter().filter(|byte| **byte == b'\n').count() as u32;
        let message = "this is not UTF-8 text".to_owned();
        Failure::problem(Problem {
            place: Place { file: path.display().to_string(), line, column: 1, path: String::new() },
            found: message.clone(),
            message,
            allowed: "UTF-8 text".into(),
            hint: Some("save the file as UTF-8".into()),
        })
    })
}

fn current_dir() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .map_err(|error| Failure::Unavailable(format!("the current folder is gone: {error}")))
}
