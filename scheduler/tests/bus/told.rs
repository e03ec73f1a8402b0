//! What runners told and nobody heard: it is on its way, and nothing is done again because of that.

use std::time::{Duration, Instant};

use fleetfit_search_spaces::FromRunner;

use crate::players::{Runner, Scheduler, key};
use crate::server::Server;
use crate::{LEASE, runtime};

/// How long NATS gives the engine to have something on disk.
const SETTLE: Duration = Duration::from_secs(60);

fn done(number: u64) -> FromRunner {
    FromRunner::Done { of: key(1, number) }
}

#[test]
fn what_went_to_a_connection_that_broke_is_told_again_at_once() {
    let (runtime, mut server) = (runtime(), Server::start());
    let on = runtime.handle();
    let scheduler = Scheduler::start(&server, on, LEASE);
    let runner = Runner::start(&server, on);
    let (_lost, told) = runner.snatch([done(1), done(2)]);
    server.stop();
    server.start_again();
    let back = Instant::now();
    while scheduler.heard().0 != [told.clone()] {}
    assert!(back.elapsed() < SETTLE / 2, "it waited until NATS told it again by itself");
    scheduler.bus.stop();
}

#[test]
fn nothing_is_handed_back_whose_end_is_on_its_way() {
    let (runtime, server) = (runtime(), Server::start());
    let on = runtime.handle();
    let lease = Duration::from_secs(1);
    let mut scheduler = Scheduler::start(&server, on, lease);
    let runner = Runner::start(&server, on);
    for number in [1, 2] {
        scheduler.hand_out(key(1, number));
        let (taken, message) = runner.take();
        assert_eq!(taken.key, key(1, number));
        runner.acknowledge(&message);
    }
    let (late, told) = runner.snatch([done(1), done(2)]);
    let (heard, receipt) = scheduler.heard();
    assert_ne!(heard, std::slice::from_ref(&told));
    (scheduler.outlets.settled)(receipt.into_iter().collect());
    // It lies in the stream of work no more, and nobody says that he is at it. That is looked at
    // several times.
    let quiet = scheduler.heard_within(lease + Duration::from_secs(9));
    assert!(quiet.is_none(), "{quiet:?}");
    runner.refuse(&late);
    assert_eq!(scheduler.heard().0, [told]);
    scheduler.bus.stop();
}
