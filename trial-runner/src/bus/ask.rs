//! What a study needs, asked of its service: the job, and the material that is not here yet.
//!
//! Called on training threads, which may wait.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use fleetfit_search_spaces::data::local_path;
use fleetfit_search_spaces::wire::StudySpec;
use fleetfit_search_spaces::wire::join::{
    Answer, BlobPiece, BlobRequest, DELETED, OVER, SpecRequest,
};
use fleetfit_search_spaces::wire::letter;
use fleetfit_search_spaces::{CommandTrial, Job, Problem, Problems, Study, StudyId, Work};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::Link;
use super::{Shared, lock, upload};
use crate::cache::Tree;
use crate::command::snapshot;
use crate::dataset::Dataset;
use crate::runner::{Keeping, Lacking, StudyWork};

/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer where nobody gives one.
const SILENCE: &str = "the service does not answer";

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(300);

impl Shared {
    /// Asks a service until it answers, or for as long as wanted, told how long it has been. The
    /// answer comes with its attachment.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        question: &impl Serialize,
        attachment: &[u8],
        go_on: &dyn Fn(Duration) -> bool,
    ) -> Result<(T, Vec<u8>), String> {
        let letter = letter::seal(question, attachment).map_err(|error| error.to_string())?;
        let started = Instant::now();
        loop {
            let asked = self.request(subject.to_owned(), HeaderMap::new(), letter.clone());
            let why = match self.runtime.block_on(asked) {
                Some(message) => match letter::open::<Answer<T>>(&message.payload) {
                    Ok((Answer::Done(answer), attachment)) => {
                        return Ok((answer, attachment.to_vec()));
                    }
                    Ok((Answer::Refused { reason }, _)) => return Err(reason),
                    Ok((Answer::Later { reason }, _)) => reason,
                    Err(error) => return Err(error.to_string()),
                },
                None => SILENCE.to_owned(),
            };
            if !go_on(started.elapsed()) {
                return Err(why);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether to go on asking for what a study needs.
    fn waits_for_answers(&self, waited: Duration) -> bool {
        waited < PATIENCE && !self.is_leaving()
    }
}

/// Whether something cannot be had because the study is over or was deleted.
pub(super) fn is_over(reason: &str) -> bool {
    reason.ends_with(OVER) || reason.ends_with(DELETED)
}

/// Whether something cannot be had because nobody answers.
pub(super) fn is_silence(reason: &str) -> bool {
    reason == SILENCE
}

/// Everything that a study needs.
pub(super) fn provide(shared: &Arc<Shared>, study: StudyId) -> Result<StudyWork, Lacking> {
    let found = lock(&shared.links).outside(study);
    let (link, known_as) = found.ok_or_else(|| Lacking("the study is not known here".into()))?;
    let spec = spec(shared, &link, known_as).map_err(|reason| {
        Lacking(format!("what study {} is cannot be had: {reason}", known_as.0))
    })?;
    let lacking = |why: String| Lacking(format!("{}: {why}", spec.name));
    let study = read(&spec).map_err(|problems| lacking(problems.to_string()))?;
    if matches!(study.work, Work::Command(_)) && !shared.hello.commands {
        return Err(lacking("this runner runs no programs; start it with --allow-commands".into()));
    }
    let tree = match &spec.material {
        Some(manifest) => Some(material(shared, &link, manifest).map_err(lacking)?),
        None => None,
    };
    let name = format!("{}-{}", link.subjects.service(), known_as.0);
    let (dir, keep) = shared
        .workplace
        .room(&name)
        .map_err(|error| lacking(format!("its folder cannot be made: {error}")))?;
    let study = match &tree {
        Some(tree) => study.relocate(&tree.manifest).map_err(|error| lacking(error.to_string()))?,
        None => study,
    };
    let base_dir = tree.as_ref().map_or_else(|| dir.clone(), |tree| tree.path.clone());
    let dataset = match &study.data {
        Some(data) => {
            Some(Dataset::load(&base_dir, data).map_err(|error| lacking(error.to_string()))?)
        }
        None => None,
    };
    let code = match &study.work {
        Work::Command(CommandTrial { code: Some(code), .. }) => {
            let copied = snapshot(&base_dir.join(local_path(code)), &dir);
            Some(copied.map_err(|error| lacking(error.to_string()))?)
        }
        _ => None,
    };
    // The tree and the folder stay for as long as the study is held here.
    let keeping = Keeping::Carried(upload::carrier(shared, (tree, keep)));
    let supervisor = shared.supervisor.clone();
    Ok(StudyWork { study, seed: spec.seed, base_dir, dir, supervisor, dataset, code, keeping })
}

fn spec(shared: &Shared, link: &Link, study: StudyId) -> Result<StudySpec, String> {
    let go_on = |waited| shared.waits_for_answers(waited);
    let asked = shared.ask(&link.subjects.study(), &SpecRequest { study }, &[], &go_on);
    asked.map(|(spec, _)| spec)
}

/// The study that the job means.
fn read(spec: &StudySpec) -> Result<Study, Problems> {
    let mut job = Job::read(&spec.job_file, &spec.job_text)?;
    job.folder.clone_from(&spec.folder);
    for (path, value) in &spec.sets {
        job.set(path, value).map_err(|problem: Problem| Problems(vec![problem]))?;
    }
    job.study()
}

fn material(shared: &Shared, link: &Link, manifest: &str) -> Result<Tree, String> {
    let fetch = |digest: &str, offset: u64| {
        if shared.is_leaving() {
            return Err(io::Error::other("the runner ends"));
        }
        let question = BlobRequest { digest: digest.to_owned(), offset };
        let go_on = |waited| shared.waits_for_answers(waited);
        let asked = shared.ask::<BlobPiece>(&link.subjects.blob(), &question, &[], &go_on);
        asked.map(|(piece, bytes)| (bytes, piece.total)).map_err(io::Error::other)
    };
    shared.cache.tree(manifest, &fetch).map_err(|error| error.to_string())
}
