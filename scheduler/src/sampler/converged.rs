//! Whether a search has nothing left to gain that could be told from noise.
//!
//! After A. Makarova et al., "Automatic termination for hyperparameter optimization" (2022), with the
//! expected improvement in place of their bound on the regret, and the noise that the Gaussian
//! process fits in place of that between folds, which is not told here. An exact function that is
//! rough looks the same to the process: before noise is believed in, the best configuration is tried
//! again where that tells anything. With several objectives nothing may be left to gain of each of
//! some losses made of them (`front`). It works beside any sampler.
//! What it says follows from the trials that have ended and their order alone.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Configuration, SearchSpace};
use rand_pcg::Pcg64;

use super::axes::Axes;
use super::gp::Gp;
use super::history::{Fate, History};

/// Trials before the first look, and between two; with more trials the looks are rarer.
const FIRST: usize = 20;
const BETWEEN: usize = 5;

/// After this many trials nobody looks any more: the model does not grow beyond them.
const MOST: usize = 2_000;

/// Looks in a row that have to agree.
const IN_A_ROW: usize = 2;

/// So often the same configuration is tried before noise is believed in: with two, noise would too
/// often look like none.
const MEASURED: usize = 3;

/// Where trials that are repeated do not complete, no more than so many are: the search goes on.
const MOST_REPEATS: usize = 8;

/// With several objectives, losses that are made of them, each with weights of its own.
const WEIGHTINGS: usize = 6;

/// Looks at what a search still has to gain.
pub(crate) struct Converged {
    axes: Axes,
    /// Those that have ended, in the order of their ends.
    ended: Vec<(u32, Configuration, Fate)>,
    /// Whether trying a configuration again tells anything.
    may_repeat: bool,
    /// How often each has completed, whatever bounds it broke.
    tries: HashMap<String, usize>,
    /// How many ended that had been tried before.
    n_repeats: usize,
    /// How many had ended when one had completed often enough.
    measured_at: Option<usize>,
    /// How many had ended when the search was begun, or resumed.
    begun_at: usize,
    /// How many had ended at the last look, and what it said.
    looked: Option<(usize, bool)>,
}

impl Converged {
    pub(crate) fn new(space: SearchSpace, may_repeat: bool) -> Self {
        Self {
            axes: Axes::new(space),
            ended: Vec::new(),
            may_repeat,
            tries: HashMap::new(),
            n_repeats: 0,
            measured_at: None,
            begun_at: 0,
            looked: None,
        }
    }

    /// A configuration ended.
    pub(crate) fn end(&mut self, number: u32, configuration: &Configuration, fate: Fate) {
        if self.ended.len() > MOST {
            return;
        }
        self.ended.push((number, configuration.clone(), fate));
        if self.may_repeat && self.measured_at.is_none() {
            match self.tries.entry(configuration.to_json()) {
                Entry::Occupied(mut tries) => {
                    self.n_repeats += 1;
                    *tries.get_mut() += usize::from(has_completed(&fate));
                    if *tries.get() >= MEASURED {
                        self.measured_at = Some(self.ended.len());
                    }
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(usize::from(has_completed(&fate)));
                }
            }
        }
    }

    /// Somebody wants to go on all the same.
    pub(crate) fn restart(&mut self) {
        self.begun_at = self.ended.len();
        self.looked = None;
    }

    /// Looks, where it is time to; whether it was.
    pub(crate) fn look(&mut self) -> bool {
        let n = self.ended.len();
        let Some(due) = self.due(n).filter(|_| n <= MOST) else { return false };
        // What was tried again says whether those before it were right.
        let measured = self.measured_at.filter(|at| *at > due);
        let at = measured.unwrap_or(due);
        if self.looked.is_some_and(|(looked, _)| looked == at) {
            return false;
        }
        let is_confirmed = |converged: &Self| measured.is_none_or(|n| converged.is_below_noise(n));
        self.looked = Some((at, self.are_agreed(due) && is_confirmed(self)));
        true
    }

    /// Whether nothing is left to gain, as the last look said.
    pub(crate) fn is_over(&self) -> bool {
        let is_measured = !self.may_repeat || self.measured_at.is_some();
        is_measured && self.looked.is_some_and(|(_, said)| said)
    }

    /// What is to be tried again, and how often, before it is over; as long as that tells nothing yet.
    pub(crate) fn repeats(&self) -> Option<(&Configuration, usize)> {
        let is_wanted = self.may_repeat && self.measured_at.is_none();
        self.looked.filter(|(_, said)| *said && is_wanted)?;
        let loss = |fate: &Fate| match in_bounds(*fate) {
            Fate::Completed(loss) => Some(loss),
            Fate::Judged(losses) => Some(losses.first()),
            Fate::Stopped(_) | Fate::Failed => None,
        };
        let completed = self.ended.iter().filter_map(|(_, at, fate)| Some((at, loss(fate)?)));
        let (best, _) = completed.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let tries = self.tries.get(&best.to_json()).copied().unwrap_or_default();
        let n = MEASURED.saturating_sub(tries);
        (self.n_repeats + n <= MOST_REPEATS).then_some((best, n))
    }

    /// Whether it has ended once at least.
    pub(crate) fn knows(&self, configuration: &Configuration) -> bool {
        self.tries.contains_key(&configuration.to_json())
    }

    /// How many trials the last look that is due by now has before it.
    fn due(&self, n: usize) -> Option<usize> {
        let mut due = self.begun_at + FIRST;
        if n < due {
            return None;
        }
        while due + step(due) <= n {
            due += step(due);
        }
        Some(due)
    }

    fn are_agreed(&self, due: usize) -> bool {
        let mut looks = vec![self.begun_at + FIRST];
        while let Some(&last) = looks.last().filter(|&&last| last < due) {
            looks.push(last + step(last));
        }
        let latest = looks.iter().rev().take(IN_A_ROW);
        looks.len() >= IN_A_ROW && latest.copied().all(|n| self.is_below_noise(n))
    }

    /// What the first so many tell.
    fn is_below_noise(&self, n: usize) -> bool {
        let mut history = History::default();
        for (number, configuration, fate) in self.ended.iter().take(n) {
            history.begin(&self.axes, *number, configuration);
            history.end(&self.axes, *number, in_bounds(*fate));
        }
        let repeated = self.may_repeat.then(|| repeated(&self.ended[..n.min(self.ended.len())]));
        let mut draw = Pcg64::new(u128::from(mix(&[n as u64])), 1);
        let n_weightings = if history.has_several() { WEIGHTINGS } else { 1 };
        (0..n_weightings).all(|_| {
            let aimed = history.aimed(&mut draw);
            let history = aimed.as_ref().unwrap_or(&history);
            let gain = Gp::gain(&self.axes, history, repeated.as_deref(), &mut draw);
            gain.is_some_and(|gain| gain.expected < gain.noise)
        })
    }
}

fn has_completed(fate: &Fate) -> bool {
    matches!(fate, Fate::Completed(_) | Fate::Judged(_))
}

/// Who breaks a bound is nobody whom a search could end with.
fn in_bounds(fate: Fate) -> Fate {
    match fate {
        Fate::Judged(losses) if !losses.is_feasible() => Fate::Failed,
        Fate::Judged(losses) if losses.all().len() == 1 => Fate::Completed(losses.first()),
        fate => fate,
    }
}

/// The losses of each configuration that completed more than once, whatever bounds they broke. Of several
/// objectives one would not speak for the others, but where all are alike.
fn repeated(ended: &[(u32, Configuration, Fate)]) -> Vec<Vec<f64>> {
    let mut by_text: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for (_, configuration, fate) in ended {
        let losses = match fate {
            Fate::Completed(loss) => vec![*loss],
            Fate::Judged(losses) => losses.all().to_vec(),
            Fate::Stopped(_) | Fate::Failed => continue,
        };
        by_text.entry(configuration.to_json()).or_default().push(losses);
    }
    let groups: Vec<_> = by_text.into_values().filter(|losses| losses.len() > 1).collect();
    let tells = |group: &Vec<Vec<f64>>| {
        group.iter().all(|losses| losses.len() == 1 || Some(losses) == group.first())
    };
    match groups.iter().all(tells) {
        true => {
            groups.into_iter().map(|group| group.into_iter().map(|own| own[0]).collect()).collect()
        }
        false => Vec::new(),
    }
}

fn step(n: usize) -> usize {
    BETWEEN.max(n / 10)
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Domain, Parameter, Scale};

    use super::super::adaptive::{Adaptive, Method};
    use super::super::{Losses, Random, Sampler, Sobol};
    use super::*;

    fn cube(n: usize) -> SearchSpace {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, scale: Scale::Linear };
        let parameter = |i| Parameter { name: format!("x{i}"), domain: domain.clone() };
        SearchSpace { parameters: (0..n).map(parameter).collect() }
    }

    /// How many trials of 100 a search takes, how far its best is then above that of all 100, and how
    /// far the median of 20 evenly spread points is above that, however well it searches.
    fn search(n_axes: usize, noise: f64, seed: u64, loss: fn(&[f64]) -> f64) -> (usize, f64, f64) {
        search_of(true, n_axes, noise, seed, loss)
    }

    fn search_of(
        may_repeat: bool,
        n_axes: usize,
        noise: f64,
        seed: u64,
        loss: fn(&[f64]) -> f64,
    ) -> (usize, f64, f64) {
        let space = cube(n_axes);
        let axes = Axes::new(space.clone());
        let spread = Sobol::new(space.clone(), seed);
        let mut sampler = Adaptive::new(space.clone(), seed, Method::Auto(Box::default()));
        let mut converged = Converged::new(space, may_repeat);
        let mut losses = Vec::new();
        let mut ended_at = None;
        let mut again = Vec::new();
        for number in 0..100 {
            let configuration = again.pop().unwrap_or_else(|| sampler.propose(number).unwrap());
            sampler.seen(number, &configuration);
            let units = axes.units(&configuration).unwrap();
            let random =
                |i: u64| (mix(&[seed, u64::from(number), i]) >> 11) as f64 / (1u64 << 53) as f64;
            let normal = (0..12).map(random).sum::<f64>() - 6.0;
            let true_loss = loss(&units);
            let fate = Fate::Completed(true_loss + noise * normal);
            losses.push((true_loss + noise * normal, true_loss));
            sampler.told(number, fate);
            converged.end(number, &configuration, fate);
            if converged.look()
                && let Some((best, n)) = converged.repeats()
            {
                again = vec![best.clone(); n];
            }
            if ended_at.is_none() && converged.is_over() {
                ended_at = Some(losses.len());
            }
        }
        let n = ended_at.unwrap_or(100);
        let best = |n: usize| losses[..n].iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1;
        let mut sorted: Vec<f64> = (0..20).map(|index| loss(&spread.units(index))).collect();
        sorted.sort_by(f64::total_cmp);
        (n, best(n) - best(100), sorted[10] - best(100))
    }

    fn bowl(units: &[f64]) -> f64 {
        units.iter().map(|unit| (unit - 0.3).powi(2)).sum()
    }

    fn branin(units: &[f64]) -> f64 {
        let (x, y) = (15.0 * units[0] - 5.0, 15.0 * units[1]);
        let pi = std::f64::consts::PI;
        (y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0).powi(2)
            + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * x.cos()
            + 10.0
    }

    fn ripples(units: &[f64]) -> f64 {
        let wave = |unit: &f64| 1.0 - (12.0 * (unit - 0.37)).cos();
        bowl(units) + 0.1 * units.iter().map(wave).sum::<f64>()
    }

    fn valley(units: &[f64]) -> f64 {
        let (x, y) = (4.0 * units[0] - 2.0, 4.0 * units[1] - 1.0);
        (1.0 - x).powi(2) + 20.0 * (y - x * x).powi(2)
    }

    fn rastrigin(units: &[f64]) -> f64 {
        let one = |unit: &f64| {
            let x = 10.24 * unit - 6.42;
            x * x - 10.0 * (std::f64::consts::TAU * x).cos() + 10.0
        };
        units.iter().map(one).sum()
    }

    /// Two rates of a program whose scale nobody said.
    fn rates(units: &[f64]) -> f64 {
        let magnitude = |unit: f64| unit.max(1e-5).log10();
        (magnitude(units[0]) + 3.0).powi(2) + (magnitude(units[1]) + 2.0).powi(2)
    }

    #[test]
    fn exact_ground_that_looks_like_noise_goes_on() {
        for seed in 0..2 {
            assert_eq!(search(4, 0.0, seed, rastrigin).0, 100, "{seed}");
            assert_eq!(search(2, 0.0, seed, rates).0, 100, "{seed}");
            // Where nothing is left, it ends.
            let (n, worse, reach) = search(2, 0.0, seed, branin);
            assert!(n < 100 && worse < 1e-4 * reach, "{seed}: {n}, {worse}");
        }
    }

    #[test]
    fn what_cannot_be_measured_ends_where_nothing_is_left() {
        for (n_axes, loss) in [(2, branin as fn(&[f64]) -> f64), (3, bowl)] {
            for seed in 0..2 {
                let (n, worse, reach) = search_of(false, n_axes, 0.0, seed, loss);
                assert!(n < 80 && worse < 1e-3 * reach, "{n_axes}, {seed}: {n}, {worse}");
            }
        }
    }

    #[test]
    fn it_ends_when_noise_is_all_there_is() {
        const N_SEEDS: u64 = 8;
        type Function = fn(&[f64]) -> f64;
        let functions: [(&str, usize, f64, Function); 5] = [
            ("bowl", 3, 0.02, bowl),
            ("branin", 2, 3.0, branin),
            ("ripples", 2, 0.02, ripples),
            ("valley", 2, 1.0, valley),
            ("bowl", 6, 0.05, bowl),
        ];
        for (name, n_axes, noise, loss) in functions {
            let (mut n, mut worse, mut reach) = (0, 0.0, 0.0);
            for seed in 0..N_SEEDS {
                let found = search(n_axes, noise, seed, loss);
                n += found.0;
                worse += found.1;
                reach += found.2;
            }
            let (saved, regret) = (100 - n / N_SEEDS as usize, worse / reach);
            println!("{name} {n_axes}: {saved} %, regret {regret:.3}");
            assert!(saved >= 20 && regret < 0.06, "{name} {n_axes}: {saved} %, regret {regret}");
        }
    }

    /// After how many trials of 200 a search ends. `fate` gets a random number as well.
    fn ends_at(
        mut sampler: impl Sampler,
        n_axes: usize,
        seed: u64,
        fate: impl Fn(&[f64], f64) -> Fate,
    ) -> usize {
        let space = cube(n_axes);
        let axes = Axes::new(space.clone());
        let mut converged = Converged::new(space, true);
        let mut again = Vec::new();
        for number in 0..200 {
            let configuration = again.pop().unwrap_or_else(|| sampler.propose(number).unwrap());
            let random =
                |i: u64| (mix(&[seed, u64::from(number), i]) >> 11) as f64 / (1u64 << 53) as f64;
            let normal = (0..12).map(random).sum::<f64>() - 6.0;
            let fate = fate(&axes.units(&configuration).unwrap(), normal);
            converged.end(number, &configuration, fate);
            if converged.look()
                && let Some((best, n)) = converged.repeats()
            {
                again = vec![best.clone(); n];
            }
            if converged.is_over() {
                return number as usize + 1;
            }
        }
        200
    }

    fn by_chance(n_axes: usize, seed: u64, fate: impl Fn(&[f64], f64) -> Fate) -> usize {
        ends_at(Random::new(cube(n_axes), seed), n_axes, seed, fate)
    }

    #[test]
    fn noise_alone_ends_a_search_that_does_not_learn() {
        let noise = |_: &[f64], normal| Fate::Completed(1e6 + normal);
        for n_axes in [2, 4] {
            let random = (0..4).map(|seed| by_chance(n_axes, seed, noise));
            let even =
                (0..4).map(|seed| ends_at(Sobol::new(cube(n_axes), seed), n_axes, seed, noise));
            let at: Vec<usize> = random.chain(even).collect();
            assert!(at.iter().all(|&n| n <= 100), "{n_axes}: {at:?}");
        }
        // What is exact goes on, however rough, as long as it may just be that.
        let exact = by_chance(4, 0, |units, _| Fate::Completed(ripples(units)));
        assert!(exact > 40, "{exact}");
        assert_eq!(by_chance(3, 0, |units, _| Fate::Completed(bowl(units))), 200);
    }

    #[test]
    fn several_objectives_end_a_search_together() {
        let other = |units: &[f64]| units.iter().map(|unit| (unit - 0.7).powi(2)).sum::<f64>();
        let judged = |one, other| Fate::Judged(Losses::new([one, other], 0.0));
        let noisy = |units: &[f64], normal: f64| {
            judged(bowl(units) + 0.2 * normal, other(units) - 0.2 * normal)
        };
        let at: Vec<usize> = (0..3).map(|seed| by_chance(2, seed, noisy)).collect();
        assert!(at.iter().all(|&n| n < 200), "{at:?}");
        assert_eq!(by_chance(2, 0, |units, _| judged(bowl(units), other(units))), 200);
        // Bounds that nobody keeps leave nothing to look at.
        let broken = |_: &[f64], normal| Fate::Judged(Losses::new([normal, normal], 1.0));
        assert_eq!(by_chance(2, 0, broken), 200);
    }

    #[test]
    fn the_same_ends_in_the_same_order_say_the_same() {
        let space = cube(2);
        let random = |number: u32| Random::new(cube(2), 3).propose(number).unwrap();
        let axes = Axes::new(space.clone());
        let mut straight = Converged::new(space.clone(), false);
        for number in 0..60 {
            let configuration = random(number);
            let fate = Fate::Completed(bowl(&axes.units(&configuration).unwrap()));
            straight.end(number, &configuration, fate);
            straight.look();
            if number % 7 == 0 {
                let mut anew = Converged::new(space.clone(), false);
                straight.ended.iter().for_each(|(n, c, f)| anew.end(*n, c, *f));
                anew.look();
                assert_eq!(anew.is_over(), straight.is_over(), "{number}");
            }
        }
        straight.restart();
        straight.look();
        assert!(!straight.is_over());
    }

    #[test]
    fn nothing_to_look_at() {
        for n_axes in [0, 1] {
            let mut converged = Converged::new(cube(n_axes), true);
            let configuration = Axes::new(cube(n_axes)).configuration(&vec![0.5; n_axes]);
            for (number, fate) in
                (0..40).zip([Fate::Failed, Fate::Stopped(None)].into_iter().cycle())
            {
                converged.end(number, &configuration, fate);
                converged.look();
                assert!(!converged.is_over() && converged.repeats().is_none());
            }
        }
    }
}
