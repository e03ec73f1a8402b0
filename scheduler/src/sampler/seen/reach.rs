//! How far a space with rounded normal distributions reaches.
//!
//! They are cut where the chance of what lies beyond is negligible, which leaves a finite number of
//! values. Most of them hardly ever come by chance; draws from here find them.

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Alternative, Configuration, Domain, Parameter, SearchSpace};

use crate::sampler::random::unit;

/// Draws for one point.
const N_DRAWS: u64 = 100;

/// Draws come from as far out as where this chance is left.
const LEAST_CHANCE: f64 = 1e-10;

/// A space and its points.
pub(super) struct Reach {
    /// The same with all values in place of their distributions.
    pub(super) space: SearchSpace,
    whole: SearchSpace,
    /// Which axes are rounded normals.
    are_normal: Vec<bool>,
}

impl Reach {
    /// None where no axis is a rounded normal.
    pub(super) fn of(space: &SearchSpace) -> Option<Self> {
        let are_normal: Vec<bool> =
            space.axes().iter().map(|axis| is_rounded_normal(&axis.domain)).collect();
        are_normal.contains(&true).then(|| Self {
            space: within_reach(space),
            whole: space.clone(),
            are_normal,
        })
    }

    /// Points whose normals are farther out than chance would have them.
    pub(super) fn draws(&self, seed: u64) -> impl Iterator<Item = Configuration> + '_ {
        (0..N_DRAWS).map(move |number| {
            let coordinate = |(axis, &is_normal): (usize, &bool)| {
                let drawn = unit(mix(&[seed, number, axis as u64]));
                if is_normal { far_out(drawn) } else { drawn }
            };
            let units: Vec<f64> = self.are_normal.iter().enumerate().map(coordinate).collect();
            self.whole.configuration(&units)
        })
    }
}

pub(super) fn is_rounded_normal(domain: &Domain) -> bool {
    match domain {
        Domain::Normal { q, .. } | Domain::LogNormal { q, .. } => q.is_some(),
        _ => false,
    }
}

fn within_reach(space: &SearchSpace) -> SearchSpace {
    let parameter = |own: &Parameter| {
        let domain = match &own.domain {
            Domain::Choice(choice) => Domain::Choice(choice.iter().map(alternative).collect()),
            domain @ (Domain::Normal { q: Some(q), .. } | Domain::LogNormal { q: Some(q), .. }) => {
                values(domain, *q)
            }
            domain => domain.clone(),
        };
        Parameter { name: own.name.clone(), domain }
    };
    SearchSpace { parameters: space.parameters.iter().map(parameter).collect() }
}

fn alternative(own: &Alternative) -> Alternative {
    match own {
        Alternative::Space(nested) => Alternative::Space(within_reach(nested)),
        Alternative::Value(_) => own.clone(),
    }
}

/// All values of a rounded normal.
fn values(domain: &Domain, q: f64) -> Domain {
    let at = |unit: f64| domain.at(unit).as_f64().unwrap_or_default();
    Domain::Uniform { min: at(0.0), max: at(1.0), q: Some(q) }
}

/// A coordinate about equally often in each deviation from the middle to the cut.
fn far_out(drawn: f64) -> f64 {
    // Chance falls with the exponential of the square.
    let chance = 0.5 * (2.0 * LEAST_CHANCE).powf((2.0 * drawn - 1.0).powi(2));
    if drawn < 0.5 { chance } else { 1.0 - chance }
}
