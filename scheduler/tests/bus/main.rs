//! The scheduler's end of the bus against a real nats-server and a runner that the tests play.

#![allow(missing_docs, clippy::unwrap_used)]

mod players;
mod server;
mod told;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleetfit_scheduler::bus::{Bus, BusError, RunnerState};
use fleetfit_scheduler::engine::Capacity;
use fleetfit_search_spaces::wire::join::{
    Answer, BlobPiece, BlobRequest, Hello, SpecRequest, Upload, Welcome,
};
use fleetfit_search_spaces::wire::letter::{self, OLDEST, VERSION};
use fleetfit_search_spaces::wire::subjects::{Kind, Subjects};
use fleetfit_search_spaces::wire::{ModelAddress, Refit, StudyId, StudySpec};
use fleetfit_search_spaces::{End, FromRunner, Outcome, ToRunner};
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};

use self::players::{Runner, SERVICE, Said, Scheduler, answers, assignment, key, options};
use self::server::{Server, eventually};

const LEASE: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn hello(slots: u32) -> Hello {
    let (runner, name) = ("r1".to_owned(), "one".to_owned());
    Hello { runner, name, slots, wire: VERSION, ..Hello::default() }
}

fn outcome(configuration: u32) -> Outcome {
    Outcome {
        configuration,
        entity: 0,
        end: End::Completed { value: 1.0 },
        fits: 1,
        started_ms: 0,
        ended_ms: 0,
        reports: Vec::new(),
        further: Vec::new(),
    }
}

#[test]
fn every_assignment_comes_once_and_receipts_wait_for_the_disk() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    assert!(matches!(runner.join(&hello(2)), Welcome::Accepted { lease_s } if lease_s == 30.0));
    scheduler.capacity(Capacity { fits: 6, asking: 6, commands: 0 });

    let keys: BTreeSet<_> = (0..50).map(|number| key(1, number)).collect();
    keys.iter().for_each(|key| scheduler.hand_out(*key));
    let mut receipts = Vec::new();
    let mut taken = BTreeSet::new();
    for _ in &keys {
        let (assignment, message) = runner.take();
        assert_eq!(message.info().unwrap().delivered, 1);
        let of = assignment.key;
        assert!(taken.insert(of), "{of:?} came twice");
        let outcomes = vec![outcome(of.number as u32)];
        let told =
            [FromRunner::Outcomes { of, outcomes, launched: false }, FromRunner::Done { of }];
        runner.tell(&told);
        runner.acknowledge(&message);
        let (heard, receipt) = scheduler.heard();
        assert_eq!(heard, told);
        receipts.push(receipt.expect("what must not be lost has a receipt"));
    }
    assert_eq!(taken, keys);
    assert_eq!(runner.lies_in(runner.subjects.work_stream()), 0);

    // Nothing goes before the engine has it on disk.
    let ends = || runner.lies_in(runner.subjects.ends_stream());
    assert_eq!(ends(), 50);
    (scheduler.outlets.settled)(receipts.split_off(1));
    eventually("what is on disk goes", || (ends() == 1).then_some(()));
    (scheduler.outlets.settled)(receipts);
    eventually("the last goes", || (ends() == 0).then_some(()));
    scheduler.bus.stop();
}

#[test]
fn an_assignment_whose_runner_is_silent_goes_to_another() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, Duration::from_secs(1));
    let (dead, other) = (Runner::start(&server, on), Runner::start(&server, on));
    scheduler.hand_out(key(1, 4));
    let (first, _) = dead.take();
    let (second, message) = other.take();
    assert_eq!(first, second);
    assert_eq!(message.info().unwrap().delivered, 2, "so that it knows that somebody died of it");
    other.tell(&[FromRunner::Done { of: second.key }]);
    other.acknowledge(&message);
    assert_eq!(scheduler.heard().0, [FromRunner::Done { of: key(1, 4) }]);
    // A result that comes late all the same is told as well: the core knows what it is worth.
    let late =
        [FromRunner::Outcomes { of: key(1, 4), outcomes: vec![outcome(0)], launched: false }];
    dead.tell(&late);
    assert_eq!(scheduler.heard().0, late);
    dead.tell(&late);
    assert_eq!(scheduler.heard().0, late);
    scheduler.bus.stop();
}

#[test]
fn a_restart_adopts_what_is_out_and_hears_what_was_told() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    for number in [1, 2, 3] {
        scheduler.hand_out(key(1, number));
    }
    scheduler.hand_out(key(2, 1));
    let work = || runner.lies_in(runner.subjects.work_stream());
    eventually("all lie there", || (work() == 4).then_some(()));
    let (taken, message) = runner.take();
    let done = [FromRunner::Done { of: taken.key }];
    runner.tell(&done);
    runner.acknowledge(&message);
    assert_eq!(scheduler.heard().0, done, "and it never gets to the disk");
    scheduler.bus.stop();

    let (mut bus, said) = Scheduler::open(&server, on, LEASE);
    let adopted = bus.adopt(StudyId(1));
    assert_eq!(adopted, [assignment(key(1, 2)), assignment(key(1, 3))]);
    let scheduler = Scheduler::begin(bus, said);
    assert_eq!(scheduler.heard().0, done, "it is told again at once");
    // Nobody wanted the other study's.
    eventually("it is taken back", || (work() == 2).then_some(()));
    // Work is handed out only after that.
    runner.beat(&hello(1));
    scheduler.capacity(Capacity { fits: 3, asking: 3, commands: 0 });
    // What was adopted is done once.
    for number in [2, 3] {
        let (taken, message) = runner.take();
        assert_eq!(taken.key, key(1, number));
        runner.acknowledge(&message);
    }
    assert!(runner.take_within(Duration::from_millis(500)).is_none());
    scheduler.bus.stop();
}

#[test]
fn what_is_sent_while_nats_is_away_arrives_when_it_is_back() {
    let (runtime, mut server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    scheduler.hand_out(key(1, 1));
    let (first, message) = runner.take();
    server.kill();
    eventually("it is noticed", || (!scheduler.bus.health().is_connected).then_some(()));
    scheduler.hand_out(key(1, 2));
    server.start_again();
    // A server that is killed may forget that it gave out the first one.
    eventually("the second one comes", || (runner.take().0.key == key(1, 2)).then_some(()));
    eventually("it is noticed", || scheduler.bus.health().is_connected.then_some(()));
    runner.tell(&[FromRunner::Done { of: first.key }]);
    runner.acknowledge(&message);
    assert_eq!(scheduler.heard().0, [FromRunner::Done { of: first.key }]);
    scheduler.bus.stop();
}

#[test]
fn everything_comes_again_when_the_store_is_deleted() {
    let (runtime, mut server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let keys = [key(1, 1), key(1, 2), key(7, 1)];
    for key in keys {
        scheduler.hand_out(key);
    }
    let work = || runner.lies_in(runner.subjects.work_stream());
    eventually("all lie there", || (work() == 3).then_some(()));
    let (held, _) = runner.take();
    assert_eq!(held.key, key(1, 1));
    let holding = Hello { holds: vec![held.key], ..hello(1) };
    server.kill();
    server.lose_store();
    server.start_again();
    // What a runner is at goes on; what lay in the stream comes back.
    let back = scheduler.returned(2, || runner.beat(&holding));
    assert_eq!(back, [key(1, 2), key(7, 1)]);
    scheduler.hand_out(key(9, 1));
    let (fresh, message) = runner.take();
    assert_eq!(fresh.key, key(9, 1));
    runner.acknowledge(&message);
    runner.tell(&[FromRunner::Done { of: held.key }]);
    assert_eq!(scheduler.heard().0, [FromRunner::Done { of: held.key }]);
    let said = scheduler.said.lock().unwrap().join("\n");
    assert!(said.contains("what lay in NATS is gone"), "{said}");
    scheduler.bus.stop();
}

#[test]
fn a_second_scheduler_is_refused() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    // One that has begun answers.
    runner.join(&hello(1));
    let open = |service: &str| {
        let client = server.connect(on);
        Bus::open(client, on.clone(), options(service, LEASE), answers(&Said::default()))
    };
    let rival = eventually("the first one listens", || open(SERVICE).err());
    assert!(matches!(&rival, BusError::Rival { host, .. } if host == "here"), "{rival}");
    assert!(open("zzzzzzzzzzzz").is_ok(), "one with another id is welcome");
    scheduler.bus.stop();
    eventually("the id is free again", || open(SERVICE).ok());
}

#[test]
fn one_that_was_there_before_is_given_way_to() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    // It was frozen while the other one looked for it.
    let (client, subjects) = (server.connect(on), Subjects::of(SERVICE));
    on.spawn(async move {
        let mut asked = client.subscribe(subjects.scheduler()).await.unwrap();
        while let Some(message) = asked.next().await {
            let elder =
                r#"{"service": "", "version": "1", "wire": 1, "host": "attic", "since_ms": 1}"#;
            if let Some(reply) = message.reply {
                client.publish(reply, elder.into()).await.unwrap();
            }
        }
    });
    let why = eventually("it notices", || scheduler.bus.superseded());
    assert!(why.contains("another scheduler serves") && why.contains("attic"), "{why}");
    scheduler.bus.stop();
}

#[test]
fn a_study_that_stops_takes_back_what_no_runner_has() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let work = || runner.lies_in(runner.subjects.work_stream());
    scheduler.hand_out(key(1, 1));
    let (taken, _message) = runner.take();
    assert_eq!(taken.key, key(1, 1));
    for key in [key(1, 2), key(1, 3), key(1, 8), key(2, 1)] {
        scheduler.hand_out(key);
    }
    eventually("all lie there", || (work() == 5).then_some(()));
    let (study, reason) = (StudyId(1), "enough".to_owned());
    (scheduler.outlets.hint)(ToRunner::StopStudy { study, before: 8, reason });
    assert_eq!(scheduler.returned(2, || ()), [key(1, 2), key(1, 3)]);
    eventually("they go", || (work() == 3).then_some(()));
    (scheduler.outlets.hint)(ToRunner::Forget { study });
    eventually("all of it goes", || (work() == 1).then_some(()));
    assert_eq!(runner.take().0.key, key(2, 1));
    scheduler.bus.stop();
}

#[test]
fn runners_of_other_versions_are_told_and_get_no_work() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let old = Hello { wire: VERSION - 1, runner: "r0".into(), ..hello(4) };
    let Welcome::Refused { reason } = runner.join(&old) else { panic!("it was accepted") };
    assert!(reason.contains("update the runner"), "{reason}");
    runner.beat(&Hello { commands: true, ..hello(1) });
    scheduler.capacity(Capacity { fits: 3, asking: 3, commands: 3 });
    runner.beat(&Hello { draining: true, ..hello(1) });
    scheduler.capacity(Capacity::default());
    let views = scheduler.bus.runners();
    let states: Vec<_> = views.iter().map(|view| view.state).collect();
    assert_eq!(states, [RunnerState::Refused, RunnerState::Draining]);
    assert_eq!(views[0].hello.troubles, [reason], "and why");
    assert!(views[1].hello.troubles.is_empty());
    scheduler.bus.stop();
}

#[test]
fn runners_of_the_version_before_finish_what_they_have() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let lease = Duration::from_secs(1);
    let mut scheduler = Scheduler::start(&server, on, lease);
    let mut runner = Runner::start(&server, on);
    scheduler.hand_out(key(1, 1));
    let (taken, message) = runner.take();
    runner.subjects = runner.subjects.understood().next().unwrap();
    let old = Hello { wire: OLDEST, holds: vec![taken.key], ..hello(1) };
    assert!(matches!(runner.join(&old), Welcome::Refused { .. }));

    // What it asks for is answered in a form that it reads.
    let ask = |subject, question: Vec<u8>| runner.ask(subject, question)[3];
    let spec = letter::seal_as(OLDEST, &SpecRequest { study: StudyId(5) }, &[]).unwrap();
    assert_eq!(ask(runner.subjects.study(), spec), OLDEST);
    let blob = BlobRequest { digest: "there".into(), offset: 0 };
    let blob = letter::seal_as(OLDEST, &blob, &[]).unwrap();
    assert_eq!(ask(runner.subjects.blob(), blob), OLDEST);
    let mut hints = runner.hints();
    let reason = "enough".to_owned();
    (scheduler.outlets.hint)(ToRunner::StopStudy { study: StudyId(9), before: 1, reason });
    assert_eq!(hints.next()[3], OLDEST);

    // It is at it for longer than a lease, and prolongs that: nothing is handed out a second time,
    // not even where the message has gone.
    runner.acknowledge(&message);
    let until = Instant::now() + lease + Duration::from_secs(9);
    while Instant::now() < until {
        runner.beat(&old);
        assert_eq!(scheduler.heard_within(Duration::from_millis(500)), None);
    }
    let told = [FromRunner::Done { of: taken.key }];
    runner.tell_bytes(letter::seal_as(OLDEST, &told, &[]).unwrap());
    assert_eq!(scheduler.heard().0, told);
    scheduler.bus.stop();
}

#[test]
fn work_from_before_an_update_is_not_passed_over() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let before = runner.subjects.understood().next().unwrap();
    let letter = letter::seal_as(OLDEST, &assignment(key(1, 1)), &[]).unwrap();
    runner.put(before.work_of(Kind::Fit, StudyId(1)), "1-1-1", letter);
    assert_eq!(runner.take().0.key, key(1, 1));
    scheduler.bus.stop();
}

#[test]
fn what_nats_has_passed_over_is_handed_out_again() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, Duration::from_secs(1));
    let runner = Runner::start(&server, on);
    // As releases did whose queue had the name of one version: what lay there before is not asked for,
    // and when it is, NATS is past it.
    let others = format!("fleetfit.{SERVICE}.v0.work.fit.*");
    runner.asks_for(&others);
    scheduler.hand_out(key(1, 1));
    let work = || runner.lies_in(runner.subjects.work_stream());
    eventually("it lies there", || (work() == 1).then_some(()));
    runner.put(
        others.replace('*', "2"),
        "2-1-1",
        letter::seal(&assignment(key(2, 1)), &[]).unwrap(),
    );
    let (taken, message) = runner.take();
    assert_eq!(taken.key, key(2, 1));
    runner.acknowledge(&message);
    runner.asks_for(&runner.subjects.work(Kind::Fit));
    assert!(runner.take_within(Duration::from_secs(1)).is_none(), "NATS never gives it out");
    assert_eq!(scheduler.returned(1, || ()), [key(1, 1)]);
    assert_eq!(work(), 0);
    scheduler.bus.stop();
}

#[test]
fn letters_that_cannot_be_read_are_set_aside() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let done = FromRunner::Done { of: key(1, 1) };
    let mut newer = letter::seal(&done, &[]).unwrap();
    newer[3] = VERSION + 1;
    for bytes in [Vec::new(), b"nonsense".to_vec(), newer] {
        runner.tell_bytes(bytes);
    }
    runner.tell_bytes(letter::seal(&done, &[]).unwrap());
    assert_eq!(scheduler.heard().0, [done]);
    let said = scheduler.said.lock().unwrap().join("\n");
    assert!(said.contains("of a newer fleetfit"), "{said}");
    eventually("they are gone", || {
        (runner.lies_in(runner.subjects.ends_stream()) == 1).then_some(())
    });
    scheduler.bus.stop();
}

#[test]
fn work_that_a_runner_cannot_do_rests_before_it_is_handed_out_again() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let mut scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let lacking = FromRunner::Returned { of: key(1, 1), reason: Some("no such file".into()) };
    let outcomes =
        FromRunner::Outcomes { of: key(1, 1), outcomes: vec![outcome(0)], launched: false };
    let told = Instant::now();
    runner.tell(&[outcomes.clone(), lacking.clone()]);
    assert_eq!(scheduler.heard(), (vec![outcomes], None));
    let (heard, receipt) = scheduler.heard();
    assert_eq!(heard, [lacking]);
    assert!(told.elapsed() >= Duration::from_secs(2));
    (scheduler.outlets.settled)(receipt.into_iter().collect());
    eventually("the letter goes", || {
        (runner.lies_in(runner.subjects.ends_stream()) == 0).then_some(())
    });
    scheduler.bus.stop();
}

#[test]
fn models_are_stored_before_they_are_told() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let refit = |pack, offset| {
        let model = Ok(ModelAddress { digest: "d".into(), pack, offset, length: 5 });
        let models = vec![Refit { entity: 0, configuration: 1, model }];
        FromRunner::Refitted { of: key(1, 1), models }
    };
    runner.tell_bytes(letter::seal(&refit(0, 2), b"__model").unwrap());
    assert_eq!(scheduler.heard().0, [refit(3, 1_000)]);
    scheduler.bus.stop();
}

#[test]
fn runners_are_answered() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    // The service listens from its first answer on.
    runner.join(&hello(1));
    let at = &runner.subjects;
    let (spec, _) =
        runner.ask_letter::<StudySpec>(at.study(), &SpecRequest { study: StudyId(5) }, &[]);
    assert!(matches!(spec, Answer::Done(spec) if spec.study == StudyId(5) && spec.seed == 7));

    let blob = |digest: &str| {
        let request = BlobRequest { digest: digest.into(), offset: 0 };
        runner.ask_letter::<BlobPiece>(at.blob(), &request, &[])
    };
    assert_eq!(blob("there"), (Answer::Done(BlobPiece { total: 9 }), b"blob".to_vec()));
    let refused = Answer::Refused { reason: "no such blob".into() };
    assert_eq!(blob("elsewhere"), (refused, Vec::new()));

    let upload = |total| {
        let upload = Upload {
            of: key(1, 1),
            configuration: 0,
            entity: 0,
            at: "log.txt".into(),
            offset: 0,
            total,
            digest: "d".into(),
            executable: false,
        };
        runner.ask_letter::<()>(at.upload(), &upload, b"text").0
    };
    assert_eq!(upload(4), Answer::Done(()));
    assert_eq!(upload(5), Answer::Later { reason: "the disk is full".into() });

    let (answer, _) = runner.ask_letter::<()>(at.blob(), &"nonsense", &[]);
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    scheduler.bus.stop();
}
