//! Threads that ask together, with a kernel that is none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};

use super::*;
use crate::cuda::shim::Shim;

/// Tells of each number ten times it, and how many its launch had.
pub(super) enum Toy {}

#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    Number(u64),
    /// Its launch stands until this is so.
    Gate(&'static AtomicBool),
    /// It breaks whoever lays it out.
    Broken,
}

impl Family for Toy {
    type Wish<'a> = Wish;
    type Need = ();
    type Batch = Vec<Wish>;
    type Found = (u64, usize);

    fn need(_: &Wish, _: &Limits) -> Option<()> {
        Some(())
    }

    /// Launches of as many as there are bytes.
    fn plan(needs: &[()], (_, limits): (&Machine, &Limits)) -> Vec<Launch> {
        let all: Vec<usize> = (0..needs.len()).rev().collect();
        all.chunks(limits.memory).map(|fits| Launch::plain(fits.to_vec())).collect()
    }

    fn add(batch: &mut Vec<Wish>, wish: &Wish) {
        assert!(!matches!(wish, Wish::Broken), "it is broken");
        batch.push(*wish);
    }

    fn rank(batch: &mut Vec<Wish>, ranks: &[usize]) {
        assert_eq!(batch.len(), ranks.len());
    }

    fn begin<'a>(
        batch: Vec<Wish>,
        _: &'a Machine,
        _: &Launch,
    ) -> Result<Begun<'a, (u64, usize)>, Fault> {
        Ok(Box::new(move || {
            let number = |wish: &Wish| match wish {
                Wish::Number(number) => *number,
                Wish::Gate(gate) => {
                    while !gate.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    0
                }
                Wish::Broken => unreachable!(),
            };
            Ok(batch.iter().map(|wish| (10 * number(wish), batch.len())).collect())
        }))
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.toy
    }
}

const LIMITS: Limits =
    Limits { n_processors: 1, max_shared: 0, processor_shared: 0, memory: 2, launch_s: 0.25 };

/// What was heard of each wish.
type Heard = Vec<Option<(u64, usize)>>;

fn ask(companies: &Companies, key: &str, stop: &Stop, wishes: &[Wish]) -> Heard {
    let machine = Machine::Shim(Shim::default());
    let company = Some((companies, key));
    let place = Place { machine: &machine, limits: &LIMITS, stop, company };
    let mut heard = vec![None; wishes.len()];
    fit_all::<Toy>(&place, wishes, &mut |fit, found| {
        assert_eq!(heard[fit].replace(found.unwrap()), None, "told twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    heard
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// As many runs as there may be, which last until the gate is open.
fn hold<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    companies: &'env Companies,
    gate: &'static AtomicBool,
) -> Vec<ScopedJoinHandle<'scope, Heard>> {
    let run = |_| scope.spawn(move || ask(companies, "one", &Stop::default(), &[Wish::Gate(gate)]));
    let runs = (0..MOST_RUNS).map(run).collect();
    until(|| {
        let all = lock(&companies.toy.0);
        all.get("one").is_some_and(|table| table.n_runs == MOST_RUNS)
    });
    runs
}

fn gate() -> &'static AtomicBool {
    Box::leak(Box::new(AtomicBool::new(false)))
}

#[test]
fn those_who_wait_go_together_and_what_each_may_take_adds_up() {
    let (companies, gate, stop) = (Companies::default(), gate(), Stop::default());
    let (companies, stop) = (&companies, &stop);
    std::thread::scope(|scope| {
        let runs = hold(scope, companies, gate);
        let asks: Vec<_> = (0..3)
            .map(|thread| {
                let wishes = [1, 2, 3].map(|number| Wish::Number(10 * thread + number));
                let own = scope.spawn(move || ask(companies, "one", stop, &wishes));
                until(|| companies.n_waiting() == thread as usize + 1);
                own
            })
            .collect();
        // Who has something else in common waits for nobody.
        let other = ask(companies, "another", stop, &[Wish::Number(7)]);
        assert_eq!(other, [Some((70, 1))]);
        gate.store(true, Ordering::SeqCst);
        for (thread, own) in asks.into_iter().enumerate() {
            let heard = own.join().unwrap();
            for (number, heard) in (1..).zip(heard) {
                let (told, n_together) = heard.unwrap();
                assert_eq!(told, 10 * (10 * thread as u64 + number));
                // Nine fits, where each of the three may have launches of two.
                assert!([3, 6].contains(&n_together), "{n_together}");
            }
        }
        assert!(runs.into_iter().all(|run| run.join().unwrap() == [Some((0, 1))]));
    });
    assert!(lock(&companies.toy.0).is_empty(), "nothing is kept");
}

#[test]
fn one_alone_waits_for_nobody() {
    let companies = Companies::default();
    let wishes = [1, 2, 3].map(Wish::Number);
    let heard = ask(&companies, "one", &Stop::default(), &wishes);
    assert_eq!(heard, [Some((10, 1)), Some((20, 2)), Some((30, 2))]);
}

#[test]
fn who_is_stopped_leaves_and_the_others_go_on() {
    let (companies, gate) = (Companies::default(), gate());
    let companies = &companies;
    // Who would lead is stopped, or one of those who would be led.
    for stopped in 0..3 {
        gate.store(false, Ordering::SeqCst);
        let stops = [0; 3].map(|_| Stop::default());
        let stops = &stops;
        std::thread::scope(|scope| {
            let runs = hold(scope, companies, gate);
            let asks: Vec<_> = (0..3)
                .map(|thread| {
                    let own = scope.spawn(move || {
                        let wishes = [Wish::Number(thread as u64)];
                        ask(companies, "one", &stops[thread], &wishes)
                    });
                    until(|| companies.n_waiting() == thread + 1);
                    own
                })
                .collect();
            stops[stopped].cancel();
            until(|| asks[stopped].is_finished());
            gate.store(true, Ordering::SeqCst);
            for (thread, own) in asks.into_iter().enumerate() {
                let heard = own.join().unwrap()[0].map(|(told, _)| told);
                let expected = (thread != stopped).then_some(10 * thread as u64);
                assert_eq!(heard, expected, "{thread} beside {stopped}");
            }
            runs.into_iter().for_each(|run| drop(run.join()));
        });
    }
    assert!(lock(&companies.toy.0).is_empty());
}

#[test]
fn who_breaks_takes_nobody_with_it() {
    let (companies, gate, stop) = (Companies::default(), gate(), Stop::default());
    let (companies, stop) = (&companies, &stop);
    // The one that leads, or one that is led.
    for broken in 0..3 {
        gate.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let runs = hold(scope, companies, gate);
            let asks: Vec<_> = (0..3)
                .map(|thread| {
                    let own = scope.spawn(move || {
                        let last = if thread == broken { Wish::Broken } else { Wish::Number(9) };
                        let wishes = [Wish::Number(thread as u64), last];
                        crate::caught::caught(|| ask(companies, "one", stop, &wishes)).ok()
                    });
                    until(|| companies.n_waiting() == thread + 1);
                    own
                })
                .collect();
            gate.store(true, Ordering::SeqCst);
            for (thread, own) in asks.into_iter().enumerate() {
                let heard = own.join().unwrap();
                assert_eq!(heard.is_none(), thread == broken);
                for (found, expected) in heard.into_iter().flatten().zip([thread as u64, 9]) {
                    assert_eq!(found.unwrap().0, 10 * expected, "{thread} beside {broken}");
                }
            }
            runs.into_iter().for_each(|run| drop(run.join()));
        });
    }
    assert!(lock(&companies.toy.0).is_empty());
}
