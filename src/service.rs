//! What a service does with jobs: takes them, has the engine run them, and provides runners with what
//! they need of a study. `again.rs` is for studies that are run once more, `remote.rs` for runners on
//! other machines.

mod again;
pub(crate) mod remote;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use fleetfit_scheduler::api::{Accepted, Refused, Submitted, Why};
use fleetfit_scheduler::blobs::{Blobs, MIN_AGE};
use fleetfit_scheduler::engine::{EngineHandle, Note, OpenStudy};
use fleetfit_scheduler::journal::{Journal, Status, StudyId, StudyRecord};
use fleetfit_scheduler::query;
use fleetfit_scheduler::schedule::{StoredJob, StoredSchedule, Timestamp};
use fleetfit_search_spaces::disk;
use fleetfit_search_spaces::material::MAX_BYTES;
use fleetfit_search_spaces::wire::Assignment;
use fleetfit_search_spaces::{Manifest, Problem, Problems};
use fleetfit_trial_runner::material::{self, MaterialError, Origins};
use fleetfit_trial_runner::runner::{Lacking, StudyWork};

use crate::failure::Failure;
use crate::home;
use crate::host::{self, Descent};
use crate::material::Material;
use crate::submission::{self, Ground, Submission, Tree, Verdict};

use self::again::Arrival;

/// How long a study may take to be read back before whoever resumes it is answered.
const OPENING: Duration = Duration::from_secs(10);

/// What a service does with jobs. Shared by everybody who asks it.
pub(crate) struct Service {
    home: PathBuf,
    journal: Journal,
    engine: EngineHandle,
    blobs: Blobs,
    /// Whether runners are threads of this process, which then need what was read of a study.
    runs_here: bool,
    /// What was read of a study when it was submitted, for the first runner that asks.
    read: Mutex<HashMap<StudyId, (Submission, Material)>>,
    /// Held while a name is looked up and taken; those that reruns on their way in have chosen.
    names: Mutex<HashSet<String>>,
}

impl Service {
    pub(crate) fn new(
        home: &Path,
        journal: Journal,
        engine: EngineHandle,
        blobs: Blobs,
        runs_here: bool,
    ) -> Self {
        Self {
            home: home.to_owned(),
            journal,
            engine,
            blobs,
            runs_here,
            read: Mutex::default(),
            names: Mutex::default(),
        }
    }

    /// Has the engine go on with what was under way when the last process ended. What runners are
    /// still at is not handed out again.
    pub(crate) fn open_all(
        &self,
        mut adopt: impl FnMut(StudyId) -> Vec<Assignment>,
    ) -> Result<Vec<String>, Failure> {
        let mut troubles = Vec::new();
        for record in self.journal.list()? {
            if record.summary.status.is_over() {
                continue;
            }
            if let Err(failure) = self.open(&record, false, adopt(record.id)) {
                troubles.push(format!("{} cannot go on: {failure}", record.head.name));
            }
        }
        Ok(troubles)
    }

    fn open(
        &self,
        record: &StudyRecord,
        reopen: bool,
        adopted: Vec<Assignment>,
    ) -> Result<(), Failure> {
        let study = host::stored_study(record)?;
        if let Some(notice) = host::mixed(record, &study) {
            tracing::warn!("{notice}");
        }
        let (seed, n_entities) = (record.head.seed, record.head.entities);
        let (warm, large) = (record.head.warm.clone(), record.head.large.clone());
        let (opened, is_open) = mpsc::sync_channel(1);
        let opened = reopen.then_some(opened);
        let open = OpenStudy {
            id: record.id,
            study,
            seed,
            n_entities,
            large,
            warm,
            reopen,
            adopted,
            opened,
        };
        self.engine.tell(Note::Open(Box::new(open)));
        if reopen {
            // Whoever asked sees it run; a study in trouble is not waited for.
            let _ = is_open.recv_timeout(OPENING);
        }
        Ok(())
    }

    /// Takes a job.
    pub(crate) fn submit(&self, submitted: Submitted) -> Result<Accepted, Failure> {
        let ground = match submitted.material {
            Some(digest) => Ground::Tree(self.tree(&digest)?),
            None => Ground::Nowhere,
        };
        let mut sets = submitted.sets;
        sets.extend(submitted.name.as_deref().map(submission::named));
        let is_named_by_file = submitted.file.is_some();
        let file = submitted.file.unwrap_or_else(|| "job.yaml".to_owned());
        let mut verdict = Verdict::of(&file, submitted.text.clone(), sets.clone(), ground.clone());
        let is_nameless = |submission: &Submission| !submission.is_named() && !is_named_by_file;
        if verdict.submission.as_ref().is_some_and(is_nameless) {
            // Made from the sender's mark, the name is the same however often the job is sent.
            let mark = submitted.idempotency_key.unwrap_or_else(|| host::draw().to_string());
            let name = format!("study-{}", &material::digest(mark.as_bytes())[..8]);
            sets.push(submission::named(&name));
            verdict = Verdict::of(&file, submitted.text, sets, ground);
        }
        self.accept(verdict, Descent::default(), Arrival::Any)
    }

    /// Removes what was sent and belongs to no study and no schedule any more.
    pub(crate) fn sweep(&self, scheduled: &[String]) -> Result<(), Failure> {
        let records = self.journal.list()?;
        let named = records.iter().filter_map(|record| record.head.material.as_ref());
        let mut keep: HashSet<String> = named.chain(scheduled).cloned().collect();
        let manifests: Vec<String> = keep.iter().cloned().collect();
        for digest in &manifests {
            // One that cannot be read keeps nothing: its study cannot be run again either.
            if let Ok(manifest) = self.manifest(digest) {
                keep.extend(manifest.digests().into_iter().map(str::to_owned));
            }
        }
        self.blobs.sweep(&keep, MIN_AGE).map_err(|error| Failure::outside(&error))?;
        let trees = std::fs::read_dir(home::trees_dir(&self.home)).into_iter().flatten();
        for tree in trees.flatten() {
            let name = tree.file_name().to_string_lossy().into_owned();
            let modified = tree.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            if !keep.contains(&name) && age >= MIN_AGE {
                std::fs::remove_dir_all(tree.path()).map_err(|error| Failure::outside(&error))?;
            }
        }
        Ok(())
    }

    /// The list of what a job names.
    fn manifest(&self, digest: &str) -> Result<Manifest, Failure> {
        let lost = |why: &dyn std::fmt::Display| {
            let hint = "send it first, as fleetfit submit does: PUT /api/v1/blobs/DIGEST";
            Failure::asked(format!("material {digest}: {why}"), hint)
        };
        let Some((file, _)) = self.blobs.get(digest).map_err(|error| lost(&error))? else {
            return Err(lost(&"the service does not have it"));
        };
        let mut bytes = Vec::new();
        // Any blob may be named, however large.
        let mut file = file.take(MAX_BYTES as u64 + 1);
        file.read_to_end(&mut bytes).map_err(|error| Failure::outside(&error))?;
        Manifest::read(&bytes).map_err(|error| lost(&error))
    }

    /// What a job names, laid out from what was sent.
    fn tree(&self, digest: &str) -> Result<Tree, Failure> {
        let manifest = self.manifest(digest)?;
        let dir = home::tree_dir(&self.home, digest);
        let source = |digest: &str| match self.blobs.path(digest) {
            Ok(Some(path)) => Ok(path),
            Ok(None) => Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("blob {digest} was not sent"),
            )),
            Err(error) => Err(std::io::Error::other(error)),
        };
        material::rebuild(&manifest, &source, &dir).map_err(|error| match &error {
            MaterialError::Disk { source, .. } if !disk::remedy(source).is_empty() => {
                Failure::outside(&error)
            }
            _ => {
                let hint =
                    "send all of it first, as fleetfit submit does: PUT /api/v1/blobs/DIGEST";
                Failure::asked(format!("material {digest}: {error}"), hint)
            }
        })?;
        Ok(Tree { dir, manifest: Arc::new(manifest), digest: digest.to_owned() })
    }

    /// Lists what a job names on this machine, so that runners elsewhere can have it.
    fn list_own(&self, submission: &mut Submission) -> Result<(), Failure> {
        if submission.material.is_some() || submission.study.local_paths().is_empty() {
            return Ok(());
        }
        let outside = |error: &dyn std::fmt::Display| Failure::outside(&error.to_string());
        let (study, base_dir) = (&submission.study, &submission.base_dir);
        let gathered = material::gather(study, base_dir, &self.home, Origins::Told)
            .map_err(|error| outside(&error))?;
        for path in gathered.sources.values() {
            self.blobs.link(path).map_err(|error| outside(&error))?;
        }
        let bytes = gathered.manifest.bytes();
        submission.material = Some(self.blobs.put_bytes(&bytes).map_err(|error| outside(&error))?);
        Ok(())
    }

    /// Runs the job of a schedule, for the time that is due.
    pub(crate) fn fire(
        &self,
        schedule: &StoredSchedule,
        due: Timestamp,
    ) -> Result<String, Failure> {
        let name = schedule.study_name(due);
        // It tells the schedule and the time: whatever the files have become since, this is it.
        if self.journal.find(&name)?.is_some() {
            return Ok(name);
        }
        let StoredJob { file, text, sets, base_dir, material } = schedule.job.clone();
        let ground = match (material, base_dir) {
            (Some(digest), _) => Ground::Tree(self.tree(&digest)?),
            (None, Some(folder)) => Ground::Folder(folder.into()),
            (None, None) => Ground::Nowhere,
        };
        let name = submission::named(&name);
        let sets = sets.into_iter().filter(|(path, _)| path != "name").chain([name]).collect();
        let verdict = Verdict::of(&file, text, sets, ground);
        self.accept(verdict, Descent::default(), Arrival::Any).map(|accepted| accepted.study)
    }

    fn accept(
        &self,
        verdict: Verdict,
        descent: Descent,
        arrival: Arrival,
    ) -> Result<Accepted, Failure> {
        let Some(mut submission) = verdict.submission else {
            return Err(Failure::Problems(Problems(verdict.problems)));
        };
        let cannot_run: Vec<Problem> = submission.study.cannot_run.clone();
        if !cannot_run.is_empty() {
            return Err(Failure::Problems(Problems(cannot_run)));
        }
        let material = Material::gather(&submission, &self.home)?;
        if !self.runs_here {
            self.list_own(&mut submission)?;
        }
        let names = lock(&self.names);
        let study = submission.study.name.clone();
        if let Some(record) = self.journal.find(&study)? {
            if !arrival.may_be(&record) {
                return Err(Failure::NameTaken { name: study });
            }
            host::same(&record, &submission, &material)?;
            return Ok(Accepted { study, created: false });
        }
        let record = host::create(&self.journal, &self.home, &submission, &material, descent)?;
        drop(names);
        // Models come here, wherever they are fitted.
        host::lay_out(&self.home, &study, &material)?;
        if self.runs_here {
            lock(&self.read).insert(record.id, (submission, material));
        }
        self.open(&record, false, Vec::new())?;
        Ok(Accepted { study, created: true })
    }

    /// Goes on with a study that was cancelled or that nobody runs.
    pub(crate) fn resume(&self, study: &str) -> Result<(), Failure> {
        let record = query::find(&self.journal, study)?;
        match record.summary.status {
            Status::Completed | Status::Failed
                if record.study().is_ok_and(|study| record.may_improve(&study)) =>
            {
                self.open(&record, true, Vec::new())
            }
            Status::Completed | Status::Failed | Status::Running => Ok(()),
            Status::Stopped => self.open(&record, true, Vec::new()),
            Status::Queued | Status::Interrupted => self.open(&record, false, Vec::new()),
        }
    }

    /// What a runner in this process needs of a study.
    pub(crate) fn provide(&self, id: StudyId) -> Result<StudyWork, Lacking> {
        let provided = || -> Result<StudyWork, Failure> {
            let record = self.journal.record(id)?;
            if let Some((submission, material)) = lock(&self.read).remove(&id) {
                return host::work(&self.home, &record, submission, material);
            }
            let ground = match &record.head.material {
                Some(digest) => Ground::Tree(self.tree(digest)?),
                None => Ground::Folder(record.head.base_dir.clone()),
            };
            let (file, text) = (&record.head.job_file, record.head.job_text.clone());
            let verdict = Verdict::of(file, text, record.head.sets.clone(), ground);
            let Some(submission) = verdict.submission else {
                return Err(Failure::Problems(Problems(verdict.problems)));
            };
            let material = Material::gather(&submission, &self.home)?;
            host::same(&record, &submission, &material)?;
            host::work(&self.home, &record, submission, material)
        };
        provided().map_err(|failure| Lacking(failure.to_string()))
    }
}

/// Failures as the API tells them.
pub(crate) fn refused(failure: Failure) -> Refused {
    match failure {
        Failure::Problems(Problems(problems)) | Failure::NotTaken(Problems(problems)) => {
            Refused::problems(problems)
        }
        Failure::Taken(problem) => {
            let message = problem.message.clone();
            Refused { problems: vec![*problem], ..Refused::new(Why::Conflict, message) }
        }
        Failure::NameTaken { name } => Refused::new(
            Why::Conflict,
            format!(
                "there is a study named {name} already; give this one another name, or leave the \
                 name out for the next free one"
            ),
        ),
        Failure::Asked { message, .. } => Refused::new(Why::Unprocessable, message),
        Failure::Gone(message) | Failure::Unavailable(message) => {
            Refused::new(Why::Unavailable, message)
        }
        Failure::Unexpected(message) => Refused::new(Why::Unexpected, message),
    }
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
