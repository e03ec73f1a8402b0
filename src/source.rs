//! Where answers come from: the data directory itself, or whoever has it open, or a service.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fleetfit_scheduler::api;
use fleetfit_scheduler::engine::EngineError;
use fleetfit_scheduler::journal::{Journal, JournalError, StudyRecord};
use fleetfit_scheduler::query::{
    self, BestView, InsightOf, InsightView, ModelView, QueryError, StatusView, TrialFilter,
    TrialRow,
};

use crate::cli::ServerArgs;
use crate::client::{Address, Client, escape};
use crate::failure::Failure;
use crate::home;

/// How long to wait for a process that has the data directory and has not opened its door: another
/// question needs a moment, a run that is at its end a few seconds.
const DOOR_PATIENCE: Duration = Duration::from_secs(8);

/// Where answers come from.
pub(crate) enum Source {
    /// The data directory, open here.
    Directory(Journal, PathBuf),
    /// A process that answers the API.
    Service(Client),
}

/// Opens the data directory to write in it. A command that only looks has it open for a moment, and is
/// waited for; a process that runs studies in it is not.
pub(crate) fn open_journal(home: &Path) -> Result<Journal, Failure> {
    let begun = Instant::now();
    loop {
        match Journal::open(&home::journal_dir(home)) {
            Err(JournalError::InUse { .. }) if begun.elapsed() < DOOR_PATIENCE => {
                if Client::new(Address::Directory(home.to_owned()))?.is_there()? {
                    return Ok(Journal::open(&home::journal_dir(home))?);
                }
                sleep(Duration::from_millis(50));
            }
            opened => return Ok(opened?),
        }
    }
}

/// A study's record, or what it might have been called.
pub(crate) fn record(journal: &Journal, name: &str) -> Result<StudyRecord, Failure> {
    Ok(query::find(journal, name)?)
}

impl Source {
    /// The service where one is named, else whoever has the data directory open, else the data
    /// directory itself.
    pub(crate) fn open(home: &Path, server: &ServerArgs) -> Result<Self, Failure> {
        if let Some(url) = &server.server {
            return Client::named(url, server.token_file.as_deref()).map(Self::Service);
        }
        let begun = Instant::now();
        loop {
            let client = Client::new(Address::Directory(home.to_owned()))?;
            if client.is_there()? {
                return Ok(Self::Service(client));
            }
            if home::has_lost_journal(home) {
                return Err(Failure::Unavailable(format!(
                    "there are studies in {}, but their journal {} is gone; put it back, or restore \
                     a backup",
                    home.display(),
                    home::journal_dir(home).display()
                )));
            }
            if !home::has_studies(home) {
                let place = home.display();
                let hint =
                    "name the place with --data-dir, or run a job first: fleetfit run job.yaml";
                return Err(Failure::asked(format!("there are no studies in {place}"), hint));
            }
            match Journal::open(&home::journal_dir(home)) {
                Ok(journal) => return Ok(Self::Directory(journal, home.to_owned())),
                Err(JournalError::InUse { .. }) if begun.elapsed() < DOOR_PATIENCE => {
                    sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether nobody has run anything with the data directory yet.
    pub(crate) fn is_untouched(home: &Path, server: &ServerArgs) -> Result<bool, Failure> {
        if server.server.is_some() || home::has_studies(home) || home::has_lost_journal(home) {
            return Ok(false);
        }
        // Whoever has it open knows what it holds, whatever became of its files.
        Ok(!Client::new(Address::Directory(home.to_owned()))?.is_there()?)
    }

    /// The service where one is named, else whoever has the data directory open.
    pub(crate) fn service(home: &Path, server: &ServerArgs) -> Result<Option<Client>, Failure> {
        let client = match &server.server {
            Some(url) => {
                return Client::named(url, server.token_file.as_deref()).map(Some);
            }
            None => Client::new(Address::Directory(home.to_owned()))?,
        };
        let begun = Instant::now();
        // One that is only starting has the journal open before its door.
        while home::has_studies(home) && begun.elapsed() < DOOR_PATIENCE {
            if client.is_there()? {
                return Ok(Some(client));
            }
            match Journal::open(&home::journal_dir(home)) {
                Err(JournalError::InUse { .. }) => sleep(Duration::from_millis(50)),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Opens the source and asks it; and once more where the owner of the data directory has ended
    /// between the two.
    pub(crate) fn ask<T>(
        home: &Path,
        server: &ServerArgs,
        mut act: impl FnMut(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match act(&Self::open(home, server)?) {
            Err(Failure::Gone(_)) if server.server.is_none() => act(&Self::open(home, server)?),
            done => done,
        }
    }

    /// Every study, oldest first.
    pub(crate) fn studies(&self) -> Result<Vec<StatusView>, Failure> {
        match self {
            Self::Directory(journal, _) => Ok(query::studies(journal)?),
            Self::Service(client) => client.each_page("/studies?", Vec::new(), |mut all, page| {
                all.extend(page);
                Ok(all)
            }),
        }
    }

    /// How one study stands.
    pub(crate) fn status(&self, study: &str) -> Result<StatusView, Failure> {
        match self {
            Self::Directory(journal, _) => Ok(query::status(journal, study, &[])?),
            Self::Service(client) => client.get(&format!("/studies/{}", escape(study))),
        }
    }

    /// The best configurations of the study or of one entity.
    pub(crate) fn best(
        &self,
        study: &str,
        entity: Option<&str>,
        top: Option<u32>,
    ) -> Result<Vec<BestView>, Failure> {
        match self {
            Self::Directory(journal, _) => {
                Ok(query::best_or_front(journal, study, entity, top.map(|top| top as usize))?)
            }
            Self::Service(client) => {
                let entity = entity.map(|key| format!("entity={}", escape(key)));
                let top = top.map(|top| format!("top={top}"));
                let asked: Vec<String> = top.into_iter().chain(entity).collect();
                let asked = asked.join("&");
                client.get(&format!("/studies/{}/best?{asked}", escape(study)))
            }
        }
    }

    /// What a study's trials tell.
    pub(crate) fn insight(&self, study: &str, of: InsightOf<'_>) -> Result<InsightView, Failure> {
        match self {
            Self::Directory(journal, _) => Ok(query::insight(journal, study, of)?),
            Self::Service(client) => {
                let words = [("entity", of.entity), ("objective", of.objective)];
                let word =
                    |(name, word): (&str, Option<&str>)| Some(format!("{name}={}", escape(word?)));
                let asked: Vec<String> = words.into_iter().filter_map(word).collect();
                let asked = asked.join("&");
                client.get(&format!("/studies/{}/insight?{asked}", escape(study)))
            }
        }
    }

    /// Every entity's best, one after the other.
    pub(crate) fn each_best(
        &self,
        study: &str,
        mut act: impl FnMut(BestView) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, _) => {
                query::best_all(journal, study)?.try_for_each(|best| act(best?))
            }
            Self::Service(client) => {
                client.each_page(&format!("/studies/{}/bests?", escape(study)), (), |(), page| {
                    page.into_iter().try_for_each(&mut act)
                })
            }
        }
    }

    /// Where the model of the one entity, or of each, lies.
    pub(crate) fn each_model(
        &self,
        study: &str,
        entity: Option<&str>,
        mut act: impl FnMut(ModelView),
    ) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, _) => {
                let all = usize::MAX;
                let (models, _) = query::models_page(journal, study, entity, None, all)?;
                models.into_iter().for_each(act);
                Ok(())
            }
            Self::Service(client) => {
                let entity =
                    entity.map(|key| format!("entity={}&", escape(key))).unwrap_or_default();
                let path = format!("/studies/{}/models?{entity}", escape(study));
                client.each_page(&path, (), |(), page| {
                    page.into_iter().for_each(&mut act);
                    Ok(())
                })
            }
        }
    }

    /// Every trial that ended, one after the other; from the directory itself where its owner ends
    /// on the way. The order is that of their ends, so the first ones are the same.
    pub(crate) fn trials(
        home: &Path,
        server: &ServerArgs,
        study: &str,
        entity: Option<&str>,
        mut act: impl FnMut(TrialRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut n_told = 0_u64;
        Self::ask(home, server, |source| {
            let mut n_seen = 0_u64;
            source.each_trial(study, entity, |row| {
                n_seen += 1;
                if n_seen <= n_told {
                    return Ok(());
                }
                n_told = n_seen;
                act(row)
            })
        })
    }

    fn each_trial(
        &self,
        study: &str,
        entity: Option<&str>,
        mut act: impl FnMut(TrialRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, _) => {
                let filter = TrialFilter { entity: entity.map(str::to_owned), state: None };
                query::trials(journal, study, &filter)?.try_for_each(|row| act(row?))
            }
            Self::Service(client) => {
                let entity =
                    entity.map(|key| format!("entity={}&", escape(key))).unwrap_or_default();
                let path = format!("/studies/{}/trials?{entity}", escape(study));
                client.each_page(&path, (), |(), page| page.into_iter().try_for_each(&mut act))
            }
        }
    }

    /// Cancels a study.
    pub(crate) fn cancel(&self, study: &str) -> Result<StatusView, Failure> {
        match self {
            Self::Directory(journal, _) => {
                let record = record(journal, study)?;
                fleetfit_scheduler::engine::cancel_at_rest(journal, &record)?;
                self.status(study)
            }
            Self::Service(client) => client.post(&format!("/studies/{}/cancel", escape(study))),
        }
    }

    /// Removes a study and everything it has.
    pub(crate) fn delete(&self, study: &str) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, home) => {
                Ok(api::delete(journal, &home::studies_dir(home), study)?)
            }
            Self::Service(client) => {
                let path = format!("/studies/{}", escape(study));
                client.delete::<serde_json::Value>(&path).map(drop)
            }
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            // A name or a key of the user's own.
            JournalError::TooLong { .. } => Self::asked(error.to_string(), "write a shorter one"),
            _ => Self::outside(&error),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Journal(error) => error.into(),
            asked => Self::Asked { message: asked.to_string(), hint: None },
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::outside(&error)
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_scheduler::engine::{Engine, Outlets};
    use fleetfit_scheduler::journal::NewStudy;

    use super::*;
    use crate::exit;
    use crate::owner::Owner;

    const NO_SERVER: ServerArgs = ServerArgs { server: None, token_file: None };

    #[test]
    fn a_journal_that_was_taken_away_is_not_one_that_never_was() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let is_untouched = || Source::is_untouched(home, &NO_SERVER).unwrap();
        assert!(is_untouched());
        std::fs::create_dir(home::studies_dir(home)).unwrap();
        assert!(!is_untouched());
        let failure = Source::ask(home, &NO_SERVER, Source::studies).unwrap_err();
        assert_eq!(failure.exit_code(), exit::UNAVAILABLE, "{failure}");
        assert!(failure.to_string().contains("is gone; put it back"), "{failure}");
    }

    #[test]
    fn whoever_has_the_directory_open_is_asked_though_the_journal_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let journal = open_journal(home).unwrap();
        journal.create(&NewStudy { name: "kept".into(), ..NewStudy::default() }).unwrap();
        let outlets = Outlets {
            dispatch: Box::new(|_, _| {}),
            hint: Box::new(|_| {}),
            settled: Box::new(|_| {}),
            ends_runners: true,
        };
        let engine = Engine::start(journal.clone(), outlets).unwrap();
        let owner = Owner::open(home, journal, engine.handle()).unwrap();
        std::fs::remove_dir_all(home::journal_dir(home)).unwrap();
        assert!(!Source::is_untouched(home, &NO_SERVER).unwrap());
        assert!(matches!(Source::open(home, &NO_SERVER), Ok(Source::Service(_))));
        drop(owner);
        engine.interrupt().unwrap();
    }
}
