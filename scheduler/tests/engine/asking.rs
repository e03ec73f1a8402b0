//! Studies whose trials wait for graphics cards leave places for others.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetfit_scheduler::engine::{Capacity, Note};
use fleetfit_search_spaces::{
    Algorithm, Assignment, AssignmentTask, End, FromRunner, Learner, Measure, Outcome, Priority,
    Study, StudyId, Work,
};

use super::Fixture;
use super::studies::{parameter, space, study, unit};

/// Longer than anything here takes on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(60);

fn open(fixture: &Fixture, name: &str) -> StudyId {
    let space = space(vec![parameter("x", unit())]);
    let study = study(space, Algorithm::Random, 1_000_000);
    open_with(fixture, name, study)
}

fn open_with(fixture: &Fixture, name: &str, study: Study) -> StudyId {
    let study = Study { name: name.to_owned(), ..study };
    fixture.open(&study);
    fixture.journal.find(&study.name).unwrap().unwrap().id
}

/// All of its trials have ended, after a second each.
fn end(fixture: &Fixture, assignment: &Assignment) {
    let AssignmentTask::Try(blocks) = &assignment.task else { panic!("a refit") };
    let ended = blocks.iter().map(|block| Outcome {
        configuration: block.tried.number,
        entity: 0,
        end: End::Completed { value: 1.0 },
        fits: 1,
        started_ms: 1_000,
        ended_ms: 2_000,
        reports: Vec::new(),
        further: Vec::new(),
    });
    let (of, outcomes) = (assignment.key, ended.collect());
    let told = FromRunner::Outcomes { of, outcomes, launched: false };
    let messages = vec![told, FromRunner::Done { of }];
    fixture.handle().tell(Note::Heard { messages, receipt: None });
}

#[test]
fn whatever_waits_for_graphics_cards_leaves_places_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let of_cards = ["boosted", "lines"].map(|name| open(&fixture, name));
    // Runners said so before: it holds whenever the study is opened.
    fixture.handle().tell(Note::Asking(BTreeSet::from(of_cards)));
    fixture.handle().tell(Note::Capacity(Capacity { fits: 14, asking: 8, commands: 0 }));
    let next = || fixture.work.recv_timeout(LONG).unwrap();
    let mut waiting: Vec<Assignment> = (0..8).map(|_| next()).collect();
    for study in of_cards {
        assert!(waiting.iter().any(|own| own.key.study == study), "both have places");
    }
    // Alone they take no more: what comes next is the other's, again and again.
    let other = open_with(&fixture, "neighbours", of(Learner::Knn));
    let mut others: Vec<Assignment> = (0..6).map(|_| next()).collect();
    for _ in 0..50 {
        assert!(others.iter().all(|own| own.key.study == other));
        end(&fixture, &others.remove(0));
        others.push(next());
    }
    // What the card has told makes room for more of it, as fair as ever: all take as long.
    let mut n_more = 0;
    for turn in 0..60 {
        let ended = if turn % 2 == 0 { waiting.remove(0) } else { others.remove(0) };
        end(&fixture, &ended);
        let more = next();
        if of_cards.contains(&more.key.study) {
            n_more += 1;
            waiting.push(more);
        } else {
            others.push(more);
        }
        assert!(waiting.len() <= 8);
    }
    assert!((20..=45).contains(&n_more), "{n_more}");
    // Who had to wait has no arrears.
    let late = open_with(&fixture, "late", of(Learner::Knn));
    let mut n_late = 0;
    for _ in 0..40 {
        end(&fixture, &others.remove(0));
        others.push(next());
        n_late += usize::from(others.last().unwrap().key.study == late);
    }
    assert!((10..=30).contains(&n_late), "{n_late}");
    fixture.engine.interrupt().unwrap();
}

#[test]
fn who_may_ask_a_card_is_held_to_its_places_before_runners_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let of_cards = [Learner::GradientBoosting, Learner::Ridge, Learner::Theta];
    for learner in of_cards {
        open_with(&fixture, learner.name(), of(learner));
    }
    fixture.handle().tell(Note::Capacity(Capacity { fits: 14, asking: 8, commands: 0 }));
    let next = || fixture.work.recv_timeout(LONG).unwrap();
    let waiting: Vec<Assignment> = (0..8).map(|_| next()).collect();
    let other = open_with(&fixture, "neighbours", of(Learner::Knn));
    for _ in 0..6 {
        assert_eq!(next().key.study, other);
    }
    // Where the processor tried it all the same, it does not wait.
    let own = waiting[0].key.study;
    end(&fixture, &waiting[0]);
    let mut more = Vec::new();
    for _ in 0..20 {
        more.push(next());
        end(&fixture, &more[more.len() - 1]);
    }
    assert!(more.iter().any(|given| given.key.study == own));
    fixture.engine.interrupt().unwrap();
}

#[test]
fn who_waits_for_cards_waits_by_priority() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let of_priority = |name: &str, priority| {
        let study = Study { priority, ..of(Learner::GradientBoosting) };
        open_with(&fixture, name, study)
    };
    let low = of_priority("low", Priority::Low);
    let high = of_priority("high", Priority::High);
    let other = open_with(&fixture, "neighbours", of(Learner::Knn));
    fixture.handle().tell(Note::Asking(BTreeSet::from([low, high])));
    fixture.handle().tell(Note::Capacity(Capacity { fits: 14, asking: 8, commands: 0 }));
    let next = || fixture.work.recv_timeout(LONG).unwrap();
    let mut out: Vec<Assignment> = (0..14).map(|_| next()).collect();
    let (mut n_low, mut n_high) = (0, 0);
    for turn in 0..1_200 {
        // The processor's end more often than what waits for a card.
        let ends_other = turn % 4 > 0;
        let place = out.iter().position(|own| (own.key.study == other) == ends_other);
        end(&fixture, &out.remove(place.unwrap()));
        let more = next();
        n_low += u32::from(more.key.study == low);
        n_high += u32::from(more.key.study == high);
        out.push(more);
    }
    assert!(n_low > 0 && (12 * n_low..=20 * n_low).contains(&n_high), "{n_high} and {n_low}");
    fixture.engine.interrupt().unwrap();
}

fn of(learner: Learner) -> Study {
    judged_by(learner, Measure::RootMeanSquaredError)
}

fn judged_by(learner: Learner, measure: Measure) -> Study {
    let space = space(vec![parameter("x", unit())]);
    let mut study = study(space, Algorithm::Random, 1_000_000);
    study.objective.metric = measure.name().to_owned();
    Study { work: Work::Learner(learner), ..study }
}

#[test]
fn lines_that_no_card_takes_are_others() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let of_cards = open_with(&fixture, "boosted", of(Learner::GradientBoosting));
    fixture.handle().tell(Note::Capacity(Capacity { fits: 14, asking: 8, commands: 0 }));
    let next = || fixture.work.recv_timeout(LONG).unwrap().key.study;
    for _ in 0..8 {
        assert_eq!(next(), of_cards);
    }
    let lines = judged_by(Learner::Ridge, Measure::MeanAbsoluteError);
    let other = open_with(&fixture, "lines", lines);
    for _ in 0..6 {
        assert_eq!(next(), other);
    }
    fixture.engine.interrupt().unwrap();
}

#[test]
fn who_chooses_learners_leaves_places_where_somebody_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let name = "model";
    let space = space(vec![parameter(name, unit())]);
    let work = Work::ChosenLearner { parameter: name.to_owned() };
    let chosen = Study { work, ..study(space, Algorithm::Random, 1_000_000) };
    let mixed = open_with(&fixture, "mixed", chosen);
    fixture.handle().tell(Note::Asking(BTreeSet::from([mixed])));
    fixture.handle().tell(Note::Capacity(Capacity { fits: 14, asking: 8, commands: 0 }));
    let next = || fixture.work.recv_timeout(LONG).unwrap();
    let mut out: Vec<Assignment> = (0..14).map(|_| next()).collect();
    assert!(out.iter().all(|own| own.key.study == mixed), "nobody else is there");
    // Whoever is there has its places at once, though none of them has ended.
    let other = open_with(&fixture, "neighbours", of(Learner::Knn));
    let others: Vec<Assignment> = (0..6).map(|_| next()).collect();
    assert!(others.iter().all(|own| own.key.study == other));
    out.extend(others);
    let n_mixed = |out: &[Assignment]| out.iter().filter(|own| own.key.study == mixed).count();
    // It has no more than these, and keeps them.
    for _ in 0..20 {
        let place = out.iter().position(|own| own.key.study == other).unwrap();
        end(&fixture, &out.remove(place));
        let more = next();
        assert_eq!(more.key.study, other);
        out.push(more);
    }
    // What those who took its places end is nobody's, until there are as few as may wait.
    while n_mixed(&out) > 8 {
        let place = out.iter().position(|own| own.key.study == mixed).unwrap();
        end(&fixture, &out.remove(place));
    }
    for _ in 0..20 {
        let ended = out.remove(0);
        end(&fixture, &ended);
        out.push(next());
        assert!((1..=8).contains(&n_mixed(&out)) && out.len() == 14);
    }
    assert!(fixture.work.try_recv().is_err(), "no more than there are places");
    fixture.engine.interrupt().unwrap();
}
