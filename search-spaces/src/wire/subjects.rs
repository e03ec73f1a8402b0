//! Where messages go: the names of streams and subjects of one service.

use super::StudyId;
use super::letter::{OLDEST, VERSION};

/// Where services say that they are there.
pub const SERVICES: &str = "fleetfit.services";

/// The names of one service. Its id is part of each, so that two share a server without meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    service: String,
    version: u8,
}

/// What a runner has to be able to do for an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Train a built-in learner.
    Fit,
    /// Run a program.
    Command,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fit, Self::Command];

    /// As subjects and consumers name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Command => "command",
        }
    }
}

impl Subjects {
    /// Those of the service with this id.
    pub fn of(service: &str) -> Self {
        Self { service: service.to_owned(), version: VERSION }
    }

    /// The same in every version of the wire that is understood, the present one last: runners of the
    /// versions before finish what they have.
    pub fn understood(&self) -> impl Iterator<Item = Self> + use<> {
        let service = self.service.clone();
        (OLDEST..=VERSION).map(move |version| Self { service: service.clone(), version })
    }

    /// The version of the wire whose names they are.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The service's id.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The stream of assignments.
    pub fn work_stream(&self) -> String {
        format!("FLEETFIT_{}_WORK", self.service.to_uppercase())
    }

    /// The stream of what runners tell.
    pub fn ends_stream(&self) -> String {
        format!("FLEETFIT_{}_ENDS", self.service.to_uppercase())
    }

    /// All assignments, of this and other versions of the wire.
    pub fn all_work(&self) -> String {
        format!("fleetfit.{}.*.work.>", self.service)
    }

    /// The assignments of one kind, of any version: those that lay there before an update are not to
    /// be passed over.
    pub fn work(&self, kind: Kind) -> String {
        format!("fleetfit.{}.*.work.{}.*", self.service, kind.word())
    }

    /// The assignments of one study.
    pub fn work_of(&self, kind: Kind, study: StudyId) -> String {
        format!("{}.work.{}.{}", self.root(), kind.word(), study.0)
    }

    /// All that runners tell, of this and other versions of the wire.
    pub fn all_ends(&self) -> String {
        format!("fleetfit.{}.*.ends", self.service)
    }

    /// What runners tell, and must not be lost.
    pub fn ends(&self) -> String {
        format!("{}.ends", self.root())
    }

    /// Metric values of running trials.
    pub fn reports(&self) -> String {
        format!("{}.report", self.root())
    }

    /// Hints to runners.
    pub fn hints(&self) -> String {
        format!("{}.hint", self.root())
    }

    /// That a runner is there.
    pub fn beats(&self) -> String {
        format!("{}.beat", self.root())
    }

    /// Asks for a study's [`super::StudySpec`].
    pub fn study(&self) -> String {
        format!("{}.study", self.root())
    }

    /// Asks for a piece of a blob.
    pub fn blob(&self) -> String {
        format!("{}.blob", self.root())
    }

    /// Brings a piece of a file that a trial left.
    pub fn upload(&self) -> String {
        format!("{}.upload", self.root())
    }

    /// A runner introduces itself. Without a version, so that any two versions can talk here.
    pub fn join(&self) -> String {
        format!("fleetfit.{}.join", self.service)
    }

    /// A scheduler asks whether another one is there.
    pub fn scheduler(&self) -> String {
        format!("fleetfit.{}.scheduler", self.service)
    }

    fn root(&self) -> String {
        format!("fleetfit.{}.v{}", self.service, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_that_is_understood_has_its_names() {
        let own = Subjects::of("abc");
        let beats: Vec<String> = own.understood().map(|of| of.beats()).collect();
        assert_eq!(beats.len(), usize::from(VERSION - OLDEST) + 1);
        assert_eq!(beats[0], format!("fleetfit.abc.v{OLDEST}.beat"));
        assert_eq!(beats.last(), Some(&own.beats()));
        // Work of all of them lies in one queue.
        assert!(own.understood().all(|of| of.work(Kind::Fit) == own.work(Kind::Fit)));
    }
}
