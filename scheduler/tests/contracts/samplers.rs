use std::collections::BTreeSet;

use fleetfit_scheduler::sampler::{self, Fate, Sampler};
use fleetfit_search_spaces::{
    Algorithm, Alternative, Choice, Configuration, Domain, Parameter, Scale, SearchSpace, Value,
};

use rustix::time::{ClockId, clock_gettime};

use super::studies::{choice, conditional, parameter, space, study, unit};

const ALL: [Algorithm; 7] = [
    Algorithm::Random,
    Algorithm::Sobol,
    Algorithm::Grid,
    Algorithm::Tpe,
    Algorithm::Gp,
    Algorithm::CmaEs,
    Algorithm::Auto,
];
const ENDLESS: [Algorithm; 6] = [
    Algorithm::Random,
    Algorithm::Sobol,
    Algorithm::Tpe,
    Algorithm::Gp,
    Algorithm::CmaEs,
    Algorithm::Auto,
];
pub(crate) const LEARNING: [Algorithm; 4] =
    [Algorithm::Tpe, Algorithm::Gp, Algorithm::CmaEs, Algorithm::Auto];

pub(crate) fn sampler(space: &SearchSpace, algorithm: Algorithm, seed: u64) -> Box<dyn Sampler> {
    let study = study(space.clone(), algorithm, 1);
    sampler::for_study(&study, seed).expect("the algorithm can run")
}

/// The proposals from `number` on, as the state of a study asks for them.
fn proposals(sampler: &mut dyn Sampler, from: u32, n: u32) -> Vec<Configuration> {
    let mut proposed = Vec::new();
    for number in from..from + n {
        let Some(configuration) = sampler.propose(number) else {
            break;
        };
        sampler.seen(number, &configuration);
        proposed.push(configuration);
    }
    proposed
}

/// In space, repeatable by seed, the same after a restart at any point, and no point of a finite
/// space twice.
fn check(space: &SearchSpace, algorithm: Algorithm, n: u32) {
    let proposed = proposals(&mut *sampler(space, algorithm, 7), 0, n);
    let size = space.cardinality().unwrap_or(u128::MAX);
    assert_eq!(proposed.len() as u128, size.min(u128::from(n)), "{algorithm:?}");
    for configuration in &proposed {
        assert!(space.contains(configuration), "{}", configuration.to_json());
    }
    let again = proposals(&mut *sampler(space, algorithm, 7), 0, n);
    assert_eq!(proposed, again, "{algorithm:?} is not repeatable");
    for at in [0, 1, proposed.len() / 2, proposed.len()] {
        let mut rebuilt = sampler(space, algorithm, 7);
        for (number, configuration) in (0..).zip(&proposed[..at.min(proposed.len())]) {
            rebuilt.seen(number, configuration);
        }
        let rest = proposals(&mut *rebuilt, at as u32, n - at as u32);
        let expected = proposed.get(at..).unwrap_or_default();
        assert_eq!(rest, expected, "{algorithm:?} rebuilt at {at}");
    }
    if space.cardinality().is_some() {
        distinct(&proposed, algorithm);
    }
}

/// How many points these are, none of them twice.
fn distinct(proposed: &[Configuration], algorithm: Algorithm) -> usize {
    let distinct: BTreeSet<String> = proposed.iter().map(Configuration::to_json).collect();
    assert_eq!(distinct.len(), proposed.len(), "{algorithm:?} repeats a point");
    distinct.len()
}

/// Every point of a finite space was proposed, and none twice.
pub(crate) fn uses_up(space: &SearchSpace, proposed: &[Configuration], algorithm: Algorithm) {
    let n = distinct(proposed, algorithm) as u128;
    assert_eq!(Some(n), space.cardinality(), "{algorithm:?}");
}

#[test]
fn finite_spaces_are_used_up_without_a_repeat() {
    let quantised =
        Domain::LogUniform { min: 0.0, max: 5.0, q: Some(1.0), base: std::f64::consts::E };
    let logarithmic = Domain::Int { min: 1, max: 1_000, step: 1, scale: Scale::Log };
    let spaces = [
        space(Vec::new()),
        space(vec![parameter("only", choice(1))]),
        space(vec![parameter("a", choice(3)), parameter("b", choice(7))]),
        conditional(1),
        conditional(200),
        space(vec![parameter("quantised", quantised)]),
        space(vec![parameter("log", logarithmic)]),
    ];
    for space in &spaces {
        for algorithm in ALL {
            check(space, algorithm, 5_000);
        }
    }
}

#[test]
fn an_exhausted_space_stays_exhausted() {
    let space = conditional(5);
    for algorithm in ALL {
        let mut sampler = sampler(&space, algorithm, 1);
        let n = proposals(&mut *sampler, 0, 1_000).len() as u32;
        assert_eq!(n, 21);
        assert_eq!(sampler.propose(n), None);
        assert_eq!(sampler.propose(n + 1), None);
    }
}

#[test]
fn proposing_twice_gives_the_same() {
    for space in [conditional(5), space(vec![parameter("x", unit())])] {
        for algorithm in ENDLESS {
            let mut sampler = sampler(&space, algorithm, 1);
            assert_eq!(sampler.propose(0), sampler.propose(0));
        }
    }
}

#[test]
fn endless_and_huge_spaces() {
    let model = vec![parameter("model", choice(3)), parameter("x", unit())];
    let wide: Vec<_> = (0..1_100).map(|axis| parameter(&format!("x{axis}"), unit())).collect();
    let huge: Vec<_> = (0..1_000).map(|axis| parameter(&format!("x{axis}"), choice(3))).collect();
    for algorithm in ENDLESS {
        check(&space(model.clone()), algorithm, 500);
        check(&space(wide.clone()), algorithm, 20);
    }
    for algorithm in ALL {
        check(&space(huge.clone()), algorithm, 20);
    }
}

#[test]
fn seeds_matter_and_the_samplers_own_goes_first() {
    let space = space(vec![parameter("x", choice(1_000))]);
    for algorithm in ALL {
        let first = proposals(&mut *sampler(&space, algorithm, 1), 0, 20);
        let second = proposals(&mut *sampler(&space, algorithm, 2), 0, 20);
        assert_ne!(first, second, "{algorithm:?}");
        let mut own = study(space.clone(), algorithm, 1);
        own.sampling.seed = Some(1);
        let mut own = sampler::for_study(&own, 2).unwrap();
        assert_eq!(proposals(&mut *own, 0, 20), first, "{algorithm:?}");
    }
}

#[test]
fn a_process_begins_in_the_middle_unless_something_was_tried() {
    let rate = Domain::Float { min: 1e-4, max: 1.0, step: None, scale: Scale::Log };
    let normal = Domain::Normal { mu: 7.0, sigma: 2.0, q: None };
    let count = Domain::Int { min: 1, max: 9, step: 1, scale: Scale::Linear };
    let space = space(vec![
        parameter("rate", rate),
        parameter("normal", normal),
        parameter("count", count),
        parameter("word", choice(3)),
    ]);
    let is_middle = |configuration: &Configuration| {
        let numbers = configuration.leaves().into_iter().filter_map(|(_, value)| value.as_f64());
        let places = numbers.zip([0.01, 7.0, 5.0]);
        places.map(|(number, middle)| (number - middle).abs()).all(|off| off < 1e-9)
    };
    for algorithm in [Algorithm::Gp, Algorithm::Auto] {
        for seed in 0..3 {
            let proposed = proposals(&mut *sampler(&space, algorithm, seed), 0, 6);
            assert!(is_middle(&proposed[0]), "{algorithm:?}: {}", proposed[0].to_json());
            assert!(!proposed[1..].iter().any(is_middle), "{algorithm:?}");
            // Somebody wanted another one first.
            let mut later = sampler(&space, algorithm, seed);
            later.seen(0, &proposed[1]);
            assert!(!is_middle(&later.propose(1).unwrap()), "{algorithm:?}");
        }
    }
    for algorithm in [Algorithm::Tpe, Algorithm::CmaEs, Algorithm::Sobol] {
        assert!(!is_middle(&sampler(&space, algorithm, 1).propose(0).unwrap()), "{algorithm:?}");
    }
}

#[test]
fn sobol_spreads_more_evenly_than_chance() {
    let space = space(vec![parameter("x", unit()), parameter("y", unit())]);
    let empty_cells = |algorithm| {
        let mut hit = [false; 256];
        for configuration in proposals(&mut *sampler(&space, algorithm, 3), 0, 256) {
            let units = space.units(&configuration).unwrap();
            let cell = |axis: usize| (units[axis].unwrap() * 16.0) as usize;
            hit[16 * cell(0) + cell(1)] = true;
        }
        hit.iter().filter(|hit| !**hit).count()
    };
    // The first two axes are a (0, 2)-sequence: one point in each cell.
    assert_eq!(empty_cells(Algorithm::Sobol), 0);
    assert!(empty_cells(Algorithm::Random) > 50);
}

#[test]
fn sobol_takes_all_values_of_discrete_axes_alike() {
    let ints = |max| Domain::Int { min: 1, max, step: 1, scale: Scale::Linear };
    let sizes = [2, 3, 5, 7, 12, 30];
    let named = |size: &i64| parameter(&format!("n{size}"), ints(*size));
    // With a number the space is endless; without it, nothing comes twice.
    for continuous in [true, false] {
        let mut parameters: Vec<Parameter> = sizes.iter().map(named).collect();
        parameters.extend(continuous.then(|| parameter("x", unit())));
        let space = space(parameters);
        for (n, most_off) in [(60, 3), (420, 4)] {
            let proposed = proposals(&mut *sampler(&space, Algorithm::Sobol, 3), 0, n);
            for (size, axis) in sizes.into_iter().zip(0..) {
                let mut counts = vec![0i64; size as usize];
                for configuration in &proposed {
                    let unit = space.units(configuration).unwrap()[axis].unwrap();
                    counts[(unit * size as f64) as usize] += 1;
                }
                let off = |count: &i64| (count - i64::from(n) / size).abs();
                assert!(counts.iter().all(|count| off(count) <= most_off), "{size}: {counts:?}");
            }
        }
    }
}

#[test]
fn rounded_normal_numbers_come_once_each_and_end_with_their_tails() {
    let normal = Domain::Normal { mu: 0.0, sigma: 1.0, q: Some(1.0) };
    let log = Domain::LogNormal { mu: 0.0, sigma: 0.5, q: Some(1.0), base: std::f64::consts::E };
    // All whole numbers up to 6.36 deviations, which is where both are cut.
    for (domain, n_values) in [(normal, 13), (log, 25)] {
        let space = space(vec![parameter("x", domain), parameter("c", choice(2))]);
        for algorithm in ENDLESS {
            let search = Search::new(&space, algorithm, completed).run(500, 3);
            let distinct: BTreeSet<String> =
                search.proposed.iter().map(Configuration::to_json).collect();
            assert_eq!(distinct.len(), search.proposed.len(), "{algorithm:?} repeats a point");
            assert_eq!(distinct.len(), 2 * n_values, "{algorithm:?}");
        }
    }
}

#[test]
fn what_cannot_run_is_an_error() {
    let endless = space(vec![parameter("x", unit())]);
    let error = |algorithm| {
        let study = study(endless.clone(), algorithm, 1);
        sampler::for_study(&study, 1).err().map(|error| error.to_string())
    };
    assert_eq!(
        error(Algorithm::Grid).unwrap(),
        "a grid needs every parameter to have a finite number of values"
    );
}

/// The loss at a point: its squared distance from one off the centre.
fn loss(space: &SearchSpace, configuration: &Configuration) -> f64 {
    let units = space.units(configuration).expect("the space holds it");
    units.iter().flatten().map(|unit| (unit - 0.8).powi(2)).sum()
}

/// What is tried and told in turn, with so many trials under way. Who ends next is drawn.
struct Search<'a> {
    space: &'a SearchSpace,
    sampler: Box<dyn Sampler>,
    fate: fn(u32, f64) -> Fate,
    running: Vec<u32>,
    proposed: Vec<Configuration>,
    /// Numbers of those that ended, in order.
    ended: Vec<u32>,
}

impl<'a> Search<'a> {
    fn new(space: &'a SearchSpace, algorithm: Algorithm, fate: fn(u32, f64) -> Fate) -> Self {
        let sampler = sampler(space, algorithm, 7);
        Self { space, sampler, fate, running: Vec::new(), proposed: Vec::new(), ended: Vec::new() }
    }

    /// False when the space is used up.
    fn begin(&mut self) -> bool {
        let number = self.proposed.len() as u32;
        let Some(configuration) = self.sampler.propose(number) else {
            return false;
        };
        assert!(self.space.contains(&configuration), "{}", configuration.to_json());
        self.sampler.seen(number, &configuration);
        self.proposed.push(configuration);
        self.running.push(number);
        true
    }

    fn fate_of(&self, number: u32) -> Fate {
        let loss = loss(self.space, &self.proposed[number as usize]);
        (self.fate)(number, loss)
    }

    fn end(&mut self) {
        let at = fleetfit_search_spaces::seed::mix(&[self.ended.len() as u64]) as usize;
        let number = self.running.swap_remove(at % self.running.len());
        self.sampler.told(number, self.fate_of(number));
        self.ended.push(number);
    }

    fn run(mut self, n: usize, n_parallel: usize) -> Self {
        while self.proposed.len() < n && self.begin() {
            if self.running.len() >= n_parallel {
                self.end();
            }
        }
        self
    }

    fn best(&self, numbers: std::ops::Range<usize>) -> f64 {
        let losses = self.proposed[numbers].iter().map(|tried| loss(self.space, tried));
        losses.fold(f64::INFINITY, f64::min)
    }
}

fn completed(_: u32, loss: f64) -> Fate {
    Fate::Completed(loss)
}

/// Every kind of axis, some of them under a condition.
pub(crate) fn mixed() -> SearchSpace {
    let branch = |own| Alternative::Space(space(own));
    let rate = Domain::Float { min: 1e-5, max: 1.0, step: None, scale: Scale::Log };
    let steps = Domain::Float { min: 0.0, max: 1.0, step: Some(0.1), scale: Scale::Linear };
    let normal = Domain::LogNormal { mu: 0.0, sigma: 1.0, q: None, base: std::f64::consts::E };
    let quantised = Domain::Normal { mu: 0.0, sigma: 3.0, q: Some(1.0) };
    let inner = Domain::Choice(Choice::new(vec![
        branch(vec![parameter("steps", steps)]),
        Alternative::Value(Value::Bool(true)),
    ]));
    let outer = Domain::Choice(Choice::new(vec![
        branch(vec![parameter("rate", rate), parameter("inner", inner)]),
        branch(vec![parameter("normal", normal), parameter("word", choice(3))]),
        Alternative::Value(Value::Text("none".into())),
    ]));
    let wide = Domain::Int { min: 1, max: 1_000_000, step: 1, scale: Scale::Log };
    space(vec![
        parameter("outer", outer),
        parameter("quantised", quantised),
        parameter("wide", wide),
        parameter("flag", choice(2)),
    ])
}

#[test]
fn whoever_learns_finds_more_than_chance_does() {
    let four: Vec<_> = (0..4).map(|axis| parameter(&format!("x{axis}"), unit())).collect();
    for space in [space(four), mixed()] {
        let by_chance = Search::new(&space, Algorithm::Random, completed).run(150, 1).best(0..150);
        for algorithm in LEARNING {
            for (n_parallel, share) in [(1, 0.5), (8, 0.7)] {
                let best =
                    Search::new(&space, algorithm, completed).run(150, n_parallel).best(0..150);
                assert!(best < share * by_chance, "{algorithm:?}: {best}, by chance {by_chance}");
            }
        }
    }
}

#[test]
fn proposals_follow_from_what_was_seen_and_told() {
    let fate = |number: u32, loss| match number % 7 {
        2 => Fate::Failed,
        4 => Fate::Stopped(Some(loss)),
        5 => Fate::Stopped(None),
        _ => Fate::Completed(loss),
    };
    let space = mixed();
    for algorithm in LEARNING {
        for n_parallel in [1, 5] {
            let mut search = Search::new(&space, algorithm, fate).run(60, n_parallel);
            let rebuild = |told: &[u32]| {
                let mut rebuilt = sampler(&space, algorithm, 7);
                for (number, configuration) in (0..).zip(&search.proposed) {
                    rebuilt.seen(number, configuration);
                }
                for &number in told {
                    rebuilt.told(number, search.fate_of(number));
                }
                rebuilt.propose(60)
            };
            let (in_order, mut backwards) = (rebuild(&search.ended), search.ended.clone());
            backwards.reverse();
            assert_eq!(rebuild(&backwards), in_order, "{algorithm:?}: the order of ends matters");
            assert_eq!(search.sampler.propose(60), in_order, "{algorithm:?}");
            assert_eq!(search.sampler.propose(60), in_order, "{algorithm:?} proposed twice");
        }
    }
}

#[test]
fn nobody_who_learns_repeats_a_point_of_a_finite_space() {
    let ints = |n| Domain::Int { min: 1, max: n, step: 1, scale: Scale::Linear };
    let small = space(vec![parameter("a", ints(9)), parameter("b", choice(5))]);
    for (space, n_parallel) in [(small, 1), (conditional(40), 6), (conditional(1), 2)] {
        for algorithm in LEARNING {
            let search = Search::new(&space, algorithm, completed).run(1_000, n_parallel);
            uses_up(&space, &search.proposed, algorithm);
        }
    }
}

#[test]
fn a_branch_that_is_used_up_is_left_for_what_has_not_been_tried() {
    let branch = |name: &str, own: Vec<Parameter>| {
        let literal = Domain::Fixed(Value::Text(name.into()));
        let parameters = std::iter::once(parameter("name", literal)).chain(own).collect();
        Alternative::Space(SearchSpace { parameters })
    };
    let model = Domain::Choice(Choice::new(vec![
        branch("naive", Vec::new()),
        branch("ets", vec![parameter("damped", choice(2))]),
        branch("ridge", vec![parameter("alpha", unit())]),
    ]));
    let space = space(vec![parameter("model", model)]);
    for algorithm in ENDLESS {
        // What has no end is the worst of all.
        let mut sampler = sampler(&space, algorithm, 5);
        let mut distinct = BTreeSet::new();
        for number in 0..40 {
            let configuration = sampler.propose(number).expect("there is no end");
            sampler.seen(number, &configuration);
            let json = configuration.to_json();
            let loss = if json.contains("ridge") { 2.0 } else { 1.0 };
            sampler.told(number, Fate::Completed(loss));
            distinct.insert(json);
        }
        assert_eq!(distinct.len(), 40, "{algorithm:?} repeats a point");
    }
}

#[test]
fn trials_that_run_are_kept_away_from() {
    let two = space(vec![parameter("x", unit()), parameter("y", unit())]);
    for algorithm in LEARNING {
        // Before anybody can be sure where the best point is.
        let mut search = Search::new(&two, algorithm, completed).run(20, 1);
        let first = search.proposed.len();
        for _ in 0..16 {
            assert!(search.begin());
        }
        let points: Vec<Vec<f64>> = search.proposed[first..]
            .iter()
            .map(|tried| two.units(tried).unwrap().into_iter().flatten().collect())
            .collect();
        for (i, one) in points.iter().enumerate() {
            for other in &points[..i] {
                let distance = (one[0] - other[0]).hypot(one[1] - other[1]);
                assert!(distance > 1e-3, "{algorithm:?}: {one:?} and {other:?}");
            }
        }
    }
}

#[test]
fn losses_that_tell_nothing_do_no_harm() {
    let fates: [fn(u32, f64) -> Fate; 7] = [
        |_, _| Fate::Failed,
        |_, _| Fate::Stopped(None),
        |_, loss| Fate::Stopped(Some(loss)),
        |_, _| Fate::Completed(3.0),
        |_, _| Fate::Completed(f64::INFINITY),
        |_, _| Fate::Completed(f64::NEG_INFINITY),
        |number, loss| match number % 3 {
            0 => Fate::Completed(f64::NAN),
            1 => Fate::Stopped(Some(f64::NAN)),
            _ => Fate::Completed(loss * 1e300 * 1e8),
        },
    ];
    let only = space(vec![parameter("x", unit())]);
    for space in [mixed(), only, conditional(30)] {
        for algorithm in LEARNING {
            for fate in fates {
                let search = Search::new(&space, algorithm, fate).run(60, 3);
                assert!(search.proposed.len() == 60, "{algorithm:?}");
            }
        }
    }
}

#[test]
fn where_nothing_tells_trials_apart_the_space_is_filled_evenly() {
    let box_of_five = space((0..5).map(|axis| parameter(&format!("x{axis}"), unit())).collect());
    for algorithm in [Algorithm::Gp, Algorithm::Auto] {
        let search = Search::new(&box_of_five, algorithm, |_, _| Fate::Completed(1.0)).run(100, 1);
        let units: Vec<f64> = search
            .proposed
            .iter()
            .flat_map(|it| box_of_five.units(it).unwrap())
            .flatten()
            .collect();
        let at_bounds = units.iter().filter(|unit| !(0.05..=0.95).contains(*unit)).count();
        assert!(at_bounds < units.len() / 5, "{algorithm:?}: {at_bounds} of {}", units.len());
    }
}

#[test]
fn failed_trials_do_not_hide_the_good_ones() {
    let two = space(vec![parameter("x", unit()), parameter("y", unit())]);
    let fate = |number: u32, loss: f64| match number % 3 {
        0 => Fate::Completed(f64::NAN),
        1 => Fate::Failed,
        _ => Fate::Completed(loss),
    };
    for algorithm in LEARNING {
        let search = Search::new(&two, algorithm, fate).run(200, 4);
        assert!(search.best(0..200) < 1e-3, "{algorithm:?}: {}", search.best(0..200));
    }
}

#[test]
fn a_thousand_parameters_are_no_trouble_to_whoever_learns() {
    let axes = (0..1_000).map(|axis| {
        let domain = if axis % 3 == 0 { choice(4) } else { unit() };
        parameter(&format!("x{axis}"), domain)
    });
    let wide = space(axes.collect());
    for algorithm in LEARNING {
        assert_eq!(Search::new(&wide, algorithm, completed).run(30, 2).proposed.len(), 30);
    }
}

/// What this thread has spent, in seconds: others use the machine, too.
pub(super) fn spent_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[test]
fn a_suggestion_costs_no_more_after_a_hundred_thousand_trials() {
    let eight: Vec<_> = (0..8).map(|axis| parameter(&format!("x{axis}"), unit())).collect();
    let eight = space(eight);
    for algorithm in LEARNING {
        let mut learner = sampler(&eight, algorithm, 7);
        let mut chance = sampler(&eight, Algorithm::Random, 1);
        // The least of many, as others use the machine, too.
        let time = |learner: &mut dyn Sampler, at: u32| {
            let times = (at..at + 20).map(|number| {
                let before_s = spent_s();
                assert!(learner.propose(number).is_some());
                spent_s() - before_s
            });
            times.fold(f64::INFINITY, f64::min)
        };
        let mut early = None;
        for number in 0..100_000 {
            if number == 1_500 {
                early = Some(time(&mut *learner, number));
            }
            let configuration = chance.propose(number).unwrap();
            learner.seen(number, &configuration);
            learner.told(number, Fate::Completed(loss(&eight, &configuration)));
        }
        let (early, late) = (early.unwrap(), time(&mut *learner, 100_000));
        assert!(late < 3.0 * early, "{algorithm:?}: {early} s became {late} s");
    }
}

#[test]
fn however_many_were_tried_before_cma_es_begins() {
    let space = space(vec![parameter("x", unit()), parameter("y", unit())]);
    let mut sampler = sampler(&space, Algorithm::CmaEs, 3);
    let asked = proposals(&mut *self::sampler(&space, Algorithm::Random, 5), 0, 4_200);
    let at = |configuration: &Configuration| {
        let of = |place: usize| configuration.leaves()[place].1.as_f64().unwrap();
        (of(0) - 0.3).powi(2) + (of(1) - 0.6).powi(2)
    };
    for (number, configuration) in (0..).zip(&asked) {
        sampler.avoid(configuration);
        sampler.seen(number, configuration);
        sampler.told(number, Fate::Completed(at(configuration)));
    }
    let mut last = f64::INFINITY;
    for number in 4_200..4_400 {
        let configuration = sampler.propose(number).unwrap();
        sampler.seen(number, &configuration);
        last = at(&configuration);
        sampler.told(number, Fate::Completed(last));
    }
    assert!(last < 1e-3, "{last}");
}
