//! Studies that are run once more: each rerun is a study of its own, under a name that nobody else
//! has, however many come at once.

use std::collections::HashSet;
use std::sync::Mutex;

use fleetfit_scheduler::api::{Accepted, Rerun};
use fleetfit_scheduler::journal::StudyRecord;
use fleetfit_scheduler::{query, warm};

use super::{Service, lock};
use crate::failure::Failure;
use crate::host::Descent;
use crate::submission::{self, Ground, Verdict};

/// Which study a job may be that is there already.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arrival {
    /// Any that means the same.
    Any,
    /// None: it is new.
    New,
    /// One that was made since, in milliseconds since 1970: nobody knows how far the same request
    /// came when it was sent before.
    Since(u64),
}

impl Arrival {
    pub(super) fn may_be(self, record: &StudyRecord) -> bool {
        match self {
            Self::Any => true,
            Self::New => false,
            Self::Since(begun_ms) => record.head.created_ms >= begun_ms,
        }
    }
}

/// What a rerun is made of.
struct Again {
    file: String,
    text: String,
    sets: Vec<(String, String)>,
    ground: Ground,
    /// Whether whoever asks gives it a name.
    is_named: bool,
    /// The name that numbers are added to where nobody does.
    root: String,
    descent: Descent,
    arrival: Arrival,
}

impl Again {
    fn verdict(&self, name: Option<&str>) -> Verdict {
        let sets = self.sets.iter().cloned().chain(name.map(submission::named)).collect();
        Verdict::of(&self.file, self.text.clone(), sets, self.ground.clone())
    }
}

/// A name that is kept for a rerun on its way in, until this is dropped.
struct Reserved<'a> {
    names: &'a Mutex<HashSet<String>>,
    name: String,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        lock(self.names).remove(&self.name);
    }
}

impl Service {
    /// Runs a study again, on the data as they are now, from what it has found.
    pub(crate) fn rerun(&self, rerun: Rerun) -> Result<Accepted, Failure> {
        let again = self.again(rerun)?;
        if again.is_named {
            let verdict = again.verdict(None);
            if let Some(submission) = &verdict.submission {
                // Known before the data are read; what is taken is looked up once more.
                self.refuse_taken(&submission.study.name, again.arrival)?;
            }
            return self.accept(verdict, again.descent, again.arrival);
        }
        // `root-2`, `root-3`, …
        let mut number = 2_u64;
        loop {
            let name = format!("{}-{number}", again.root);
            number += 1;
            let Some(reserved) = self.reserve(name, again.arrival)? else { continue };
            let verdict = again.verdict(Some(&reserved.name));
            match self.accept(verdict, again.descent.clone(), again.arrival) {
                // Somebody else's, after all.
                Err(Failure::NameTaken { .. } | Failure::Taken(_)) => {}
                done => return done,
            }
        }
    }

    fn again(&self, rerun: Rerun) -> Result<Again, Failure> {
        let head = query::find(&self.journal, &rerun.study)?.head;
        let warm = warm::pick(&self.journal, &rerun.study)?;
        let ground = match rerun.material.or(head.material) {
            Some(digest) => Ground::Tree(self.tree(&digest)?),
            None => Ground::Folder(head.base_dir),
        };
        let mut sets: Vec<_> = head.sets.into_iter().filter(|(path, _)| path != "name").collect();
        sets.extend(rerun.sets);
        sets.extend(rerun.name.as_deref().map(submission::named));
        // Repeats of repeats count on from the first one.
        let root = head.parent.unwrap_or(head.name);
        Ok(Again {
            file: head.job_file,
            text: head.job_text,
            is_named: sets.iter().any(|(path, _)| path == "name"),
            sets,
            ground,
            descent: Descent { parent: Some(root.clone()), warm },
            root,
            arrival: rerun.begun_ms.map_or(Arrival::New, Arrival::Since),
        })
    }

    fn refuse_taken(&self, name: &str, arrival: Arrival) -> Result<(), Failure> {
        match self.journal.find(name)? {
            Some(record) if !arrival.may_be(&record) => {
                Err(Failure::NameTaken { name: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Keeps a name for a rerun on its way in. None where another one has it.
    fn reserve(&self, name: String, arrival: Arrival) -> Result<Option<Reserved<'_>>, Failure> {
        let mut names = lock(&self.names);
        let is_taken = self.journal.find(&name)?.is_some_and(|record| !arrival.may_be(&record));
        if is_taken || !names.insert(name.clone()) {
            return Ok(None);
        }
        Ok(Some(Reserved { names: &self.names, name }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fleetfit_scheduler::api::Submitted;
    use fleetfit_scheduler::blobs::Blobs;
    use fleetfit_scheduler::engine::{Engine, Outlets};
    use fleetfit_scheduler::journal::Journal;

    use super::*;
    use crate::home;

    const JOB: &str = "type: sweep\nname: weekly\ntrial: external\nsearch_space: {x: [1, 2, 3]}\n\
                       sampling_algorithm: grid\n\
                       objective: {goal: minimize, primary_metric: loss}\n\
                       limits: {max_total_trials: 3}\n";

    /// A service whose trials nobody runs, with a study named weekly.
    struct Bench {
        service: Service,
        journal: Journal,
        _engine: Engine,
        _home: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let journal = Journal::open(&home::journal_dir(home.path())).unwrap();
            let outlets = Outlets {
                dispatch: Box::new(|_, _| {}),
                hint: Box::new(|_| {}),
                settled: Box::new(|_| {}),
                ends_runners: true,
            };
            let engine = Engine::start(journal.clone(), outlets).unwrap();
            let blobs = Blobs::open(&home::blobs_dir(home.path())).unwrap();
            let service = Service::new(home.path(), journal.clone(), engine.handle(), blobs, false);
            let submitted = Submitted {
                text: JOB.into(),
                file: None,
                sets: Vec::new(),
                name: None,
                material: None,
                idempotency_key: None,
            };
            assert!(service.submit(submitted).unwrap().created);
            Self { service, journal, _engine: engine, _home: home }
        }

        fn made_ms(&self, study: &str) -> u64 {
            self.journal.find(study).unwrap().unwrap().head.created_ms
        }

        /// So many at the same time, each with its own number.
        fn at_once(
            &self,
            n: usize,
            rerun: impl Fn(usize) -> Rerun + Sync,
        ) -> Vec<Result<Accepted, Failure>> {
            let gate = std::sync::Barrier::new(n);
            std::thread::scope(|scope| {
                let run = |number| {
                    let (gate, rerun) = (&gate, &rerun);
                    scope.spawn(move || {
                        gate.wait();
                        self.service.rerun(rerun(number))
                    })
                };
                let threads: Vec<_> = (0..n).map(run).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            })
        }
    }

    fn like(sets: &[(&str, &str)]) -> Rerun {
        let sets = sets.iter().map(|(path, value)| ((*path).into(), (*value).into())).collect();
        let (study, name, material) = ("weekly".into(), None, None);
        Rerun { study, name, sets, material, begun_ms: None }
    }

    #[test]
    fn reruns_that_come_at_once_are_studies_of_their_own() {
        let bench = Bench::new();
        for _ in 0..4 {
            // Some of them mean the same, some do not.
            let reruns = bench.at_once(8, |number| {
                let seed = (number / 2).to_string();
                like(&[("seed", seed.as_str())])
            });
            for rerun in reruns {
                assert!(rerun.unwrap().created);
            }
        }
        let names: BTreeSet<String> =
            bench.journal.list().unwrap().into_iter().map(|record| record.head.name).collect();
        let expected = (2..34).map(|number| format!("weekly-{number}"));
        assert_eq!(names, expected.chain(["weekly".to_owned()]).collect());
        // A repeat of a repeat counts on.
        let of_repeat = Rerun { study: "weekly-7".into(), ..like(&[]) };
        assert_eq!(bench.service.rerun(of_repeat).unwrap().study, "weekly-34");
    }

    #[test]
    fn of_reruns_of_one_name_one_is_taken() {
        let bench = Bench::new();
        let reruns = bench.at_once(8, |_| Rerun { name: Some("june".into()), ..like(&[]) });
        let (taken, refused): (Vec<_>, Vec<_>) = reruns.into_iter().partition(Result::is_ok);
        let accepted = Accepted { study: "june".into(), created: true };
        assert_eq!(taken.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [accepted]);
        for refusal in refused {
            let refusal = refusal.unwrap_err();
            assert!(matches!(&refusal, Failure::NameTaken { name } if name == "june"), "{refusal}");
        }
    }

    #[test]
    fn a_name_may_be_set_like_anything_else() {
        let bench = Bench::new();
        let set = like(&[("name", "june"), ("seed", "3")]);
        assert_eq!(bench.service.rerun(set.clone()).unwrap().study, "june");
        let taken = bench.service.rerun(set.clone()).unwrap_err();
        assert!(matches!(taken, Failure::NameTaken { .. }), "{taken}");
        // As on the command line, --name goes before --set.
        let both = Rerun { name: Some("july".into()), ..set };
        assert_eq!(bench.service.rerun(both).unwrap().study, "july");
        let wrong = bench.service.rerun(like(&[("name", "a/b")])).unwrap_err();
        assert!(matches!(wrong, Failure::Problems(_)), "{wrong}");
    }

    #[test]
    fn a_rerun_that_was_begun_before_is_found_again() {
        let bench = Bench::new();
        let seed = like(&[("seed", "3")]);
        for name in [None, Some("june".to_owned())] {
            let rerun = Rerun { name, ..seed.clone() };
            // It had not got as far as a study.
            let begun_ms = Some(bench.made_ms("weekly") + 1_000_000);
            let first = bench.service.rerun(Rerun { begun_ms, ..rerun.clone() }).unwrap();
            assert!(first.created);
            // It had.
            let begun_ms = Some(bench.made_ms(&first.study));
            let again = bench.service.rerun(Rerun { begun_ms, ..rerun.clone() }).unwrap();
            assert_eq!(again, Accepted { created: false, ..first });
            // Another one is not taken for it.
            let other = Rerun { begun_ms, ..rerun.clone() };
            let other = Rerun { sets: vec![("seed".into(), "4".into())], ..other };
            match rerun.name {
                None => assert!(bench.service.rerun(other).unwrap().created),
                Some(_) => assert!(matches!(bench.service.rerun(other), Err(Failure::Taken(_)))),
            }
        }
    }
}
