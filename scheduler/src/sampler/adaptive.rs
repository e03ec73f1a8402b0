//! Samplers that learn: what they have in common.
//!
//! A method looks at the history and names points of the unit cube, the best first; the first one
//! whose configuration was not proposed before is next. Until enough is known, points come from a
//! scrambled Sobol' sequence, and a process begins in the middle. Each number has a generator of its
//! own, so that a proposal follows from the history and the number alone.

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Configuration, SearchSpace};
use rand::Rng;
use rand_pcg::Pcg64;

use super::Sampler;
use super::auto::Auto;
use super::axes::{Axes, Kind};
use super::cma_es::CmaEs;
use super::earlier::{Earlier, Taught};
use super::gp::Gp;
use super::history::{Fate, History};
use super::random::unit;
use super::seen::Seen;
use super::tpe::Tpe;

/// How a sampler makes use of the history.
pub(super) enum Method {
    /// Parzen estimators.
    Tpe(Tpe),
    /// A Gaussian process.
    Gp(Gp),
    /// Covariance matrix adaptation.
    CmaEs(CmaEs),
    /// A Gaussian process, and Parzen estimators besides.
    Auto(Box<Auto>),
}

impl Method {
    /// How many trials come from the sequence first.
    fn n_first(&self, axes: &Axes) -> usize {
        match self {
            Self::Tpe(tpe) => tpe.n_first(),
            Self::Gp(gp) => gp.n_first(axes),
            Self::CmaEs(cma_es) => cma_es.n_first(),
            Self::Auto(auto) => auto.n_first(axes),
        }
    }

    /// Whether a Gaussian process proposes.
    fn is_a_process(&self) -> bool {
        matches!(self, Self::Gp(_) | Self::Auto(_))
    }

    /// Points to try next, the best first; coordinates need not be settled.
    fn propose(&mut self, axes: &Axes, history: &History, draw: &mut Pcg64) -> Vec<Vec<f64>> {
        match self {
            Self::Tpe(tpe) => tpe.propose(axes, history, draw),
            Self::Gp(gp) => gp.propose(axes, history, &vec![f64::NAN; axes.kinds().len()], draw),
            Self::CmaEs(cma_es) => cma_es.propose(axes, history, draw),
            Self::Auto(auto) => auto.propose(axes, history, draw),
        }
    }
}

/// A sampler that learns.
pub(super) struct Adaptive {
    axes: Axes,
    seed: u64,
    /// Earlier trials come first in it, and shift the numbers of its own.
    history: History,
    taught: Taught,
    /// Its own trials alone, where there are earlier ones that may mislead.
    own: Option<History>,
    seen: Seen,
    /// How many were tried before its first.
    n_avoided: usize,
    method: Method,
}

impl Adaptive {
    pub(super) fn new(space: SearchSpace, seed: u64, method: Method) -> Self {
        Self {
            seen: Seen::new(&space),
            axes: Axes::new(space),
            seed,
            history: History::default(),
            taught: Taught::default(),
            own: None,
            n_avoided: 0,
            method,
        }
    }

    /// How many trials end before the method is asked. A distribution that moves begins where the
    /// first ones say: those that somebody else chose are not enough for that.
    fn n_first(&self) -> usize {
        let n_first = self.method.n_first(&self.axes);
        match self.method {
            Method::CmaEs(_) => n_first + self.n_avoided,
            _ => n_first,
        }
    }

    /// A point from before the method is asked.
    fn first(&self, number: u64) -> Vec<f64> {
        let mut units = self.axes.sequence().units(self.seed, number);
        // The middle is nearer to anything there may be than other points are, and a model of few points
        // gains most by that.
        if self.method.is_a_process() && self.history.trials().is_empty() {
            for (unit, kind) in units.iter_mut().zip(self.axes.kinds()) {
                if !matches!(kind, Kind::Category(_)) {
                    *unit = 0.5;
                }
            }
        }
        units
    }

    /// Whether the very configuration was begun. Its point may be another than the one that it was
    /// made of: beyond the ends of a normal distribution there are many for one value.
    fn holds(&self, configuration: &Configuration) -> bool {
        self.axes.units(configuration).is_some_and(|units| self.history.holds(&units))
    }
}

impl Sampler for Adaptive {
    fn propose(&mut self, number: u32) -> Option<Configuration> {
        if self.seen.is_exhausted() {
            return None;
        }
        for history in self.own.iter_mut().chain([&mut self.history]) {
            history.settle(&self.axes);
        }
        let n_earlier = self.taught.n_numbers();
        if n_earlier > 0
            && let Some(counted) = self.taught.account(&self.axes, self.history.from(n_earlier))
        {
            self.history.begin_with(counted, n_earlier);
            self.history.settle(&self.axes);
        }
        let history = match &self.own {
            Some(own) if self.taught.is_guarded(number, own.n_ended()) => own,
            _ => &self.history,
        };
        let number = u64::from(number);
        let state = [mix(&[self.seed, number, 2]), mix(&[self.seed, number, 3])];
        let state = u128::from(state[0]) << 64 | u128::from(state[1]);
        let mut draw = Pcg64::new(state, u128::from(number));
        let is_early = history.n_ever_ended() < self.n_first();
        // A process that has nothing to go by looks where it knows least, which is at the bounds.
        let is_blind = || self.method.is_a_process() && history.tells_nothing();
        let points = match is_early || is_blind() {
            true => vec![self.first(number)],
            false => self.method.propose(&self.axes, history, &mut draw),
        };
        let mut repeated = None;
        for mut units in points {
            self.axes.settle(&mut units);
            let configuration = self.axes.configuration(&units);
            let is_seen = self.seen.contains(self.axes.space(), &configuration);
            if !is_seen && !self.holds(&configuration) {
                return Some(configuration);
            }
            if !is_seen || self.seen.is_endless() {
                repeated = repeated.or(Some(configuration));
            }
        }
        // All of them came before: chance finds others, or a walk does.
        let n_axes = self.axes.kinds().len();
        for _ in 0..100 {
            let mut units: Vec<f64> = (0..n_axes).map(|_| unit(draw.next_u64())).collect();
            self.axes.settle(&mut units);
            let configuration = self.axes.configuration(&units);
            let is_seen = self.seen.contains(self.axes.space(), &configuration);
            if !is_seen && !self.holds(&configuration) {
                return Some(configuration);
            }
        }
        // Of an endless space where hardly anything else comes.
        if repeated.is_some() {
            return repeated;
        }
        self.seen.first_free(self.axes.space(), draw.next_u64())
    }

    fn seen(&mut self, number: u32, configuration: &Configuration) {
        self.seen.insert(self.axes.space(), configuration);
        let number = number.saturating_add(self.taught.n_numbers());
        for history in self.own.iter_mut().chain([&mut self.history]) {
            history.begin(&self.axes, number, configuration);
        }
    }

    fn passed(&mut self, number: u32, rung: u32, loss: f64) {
        let number = number.saturating_add(self.taught.n_numbers());
        for history in self.own.iter_mut().chain([&mut self.history]) {
            history.pass(number, rung, loss);
        }
    }

    fn told(&mut self, number: u32, fate: Fate) {
        let number = number.saturating_add(self.taught.n_numbers());
        for history in self.own.iter_mut().chain([&mut self.history]) {
            history.end(&self.axes, number, fate);
        }
    }

    fn earlier(&mut self, trials: &[Earlier]) {
        self.taught = Taught::new(&self.axes, trials);
        self.own = trials.iter().any(|trial| !trial.is_same).then(History::default);
    }

    fn learns(&self) -> bool {
        true
    }

    fn avoid(&mut self, configuration: &Configuration) {
        self.n_avoided += 1;
        self.seen.insert(self.axes.space(), configuration);
    }

    fn knows(&self, configuration: &Configuration) -> bool {
        self.seen.contains(self.axes.space(), configuration)
    }
}
