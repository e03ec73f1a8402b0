//! Which points of a space have been proposed, where they can come twice, and a way to the others.
//!
//! Normal distributions are cut far out, so that rounded ones have a last value, too: where all axes
//! are rounded, or finite, a space is used up when each of its points has come (`reach`). Where only
//! some branches of an endless space are finite, points of these are told apart, and the others are
//! never used up.

mod reach;

use std::collections::BTreeSet;

use fleetfit_search_spaces::seed::{mix, of_text};
use fleetfit_search_spaces::{Alternative, Configuration, Domain, SearchSpace, Setting, Value};

use self::reach::Reach;

/// Spaces of up to this many points have a bit for each: 32 MiB, which the system lends only as they
/// are touched.
const MAX_BITS: u128 = 1 << 28;

/// Of a larger space no more points than this are remembered: in it, chance rarely repeats itself.
const MAX_REMEMBERED: usize = 1_000_000;

/// Looks for a free point in a grid walk are given up after so many points of a larger space, long
/// after one has come.
const MAX_WALK: u128 = 4 * MAX_REMEMBERED as u128;

/// The proposed points of a space.
pub(super) struct Seen {
    size: Option<u128>,
    /// Where some axes are rounded normals.
    reach: Option<Reach>,
    points: Points,
}

enum Points {
    /// Of a space whose points all have a continuous coordinate, where none comes twice.
    Endless,
    /// Hashes of the first ones without a continuous coordinate, in a space that has others, too.
    Short { are_endless: Vec<bool>, seen: BTreeSet<u64> },
    /// By their number in the grid.
    Bits { words: Vec<u64>, n: u128 },
    /// Hashes of the first ones.
    Fingerprints(BTreeSet<u64>),
}

impl Seen {
    pub(super) fn new(space: &SearchSpace) -> Self {
        let (mut size, mut reach) = (space.cardinality(), None);
        if size.is_none() {
            reach = Reach::of(space);
            size = reach.as_ref().and_then(|reach| reach.space.cardinality());
        }
        let points = match size {
            None if has_short(space) => {
                let axes = space.axes();
                let are_endless = axes.iter().map(|axis| is_endless(&axis.domain)).collect();
                Points::Short { are_endless, seen: BTreeSet::new() }
            }
            None => Points::Endless,
            Some(size) if size <= MAX_BITS => {
                Points::Bits { words: vec![0; size.div_ceil(64) as usize], n: 0 }
            }
            Some(_) => Points::Fingerprints(BTreeSet::new()),
        };
        Self { size, reach: reach.filter(|_| size.is_some()), points }
    }

    /// The space as its points are counted.
    fn counted<'a>(&'a self, space: &'a SearchSpace) -> &'a SearchSpace {
        self.reach.as_ref().map_or(space, |reach| &reach.space)
    }

    /// Whether points have to be told apart at all.
    pub(super) fn can_repeat(&self) -> bool {
        !matches!(self.points, Points::Endless)
    }

    /// Whether some points are always left.
    pub(super) fn is_endless(&self) -> bool {
        self.size.is_none()
    }

    /// Whether no point is left.
    pub(super) fn is_exhausted(&self) -> bool {
        let n = match &self.points {
            Points::Endless | Points::Short { .. } => return false,
            Points::Bits { n, .. } => *n,
            Points::Fingerprints(seen) => seen.len() as u128,
        };
        self.size.is_some_and(|size| n >= size)
    }

    pub(super) fn insert(&mut self, space: &SearchSpace, configuration: &Configuration) {
        let space = self.reach.as_ref().map_or(space, |reach| &reach.space);
        // What somebody else proposed may lie beyond reach, and does not count.
        let is_beyond = self.reach.is_some() && space.grid_index(configuration).is_none();
        match &mut self.points {
            Points::Endless => {}
            Points::Short { are_endless, seen } => {
                if seen.len() < MAX_REMEMBERED && is_short(space, configuration, are_endless) {
                    seen.insert(fingerprint(configuration));
                }
            }
            Points::Bits { words, n } => {
                if let Some((word, bit)) = bit(space, configuration)
                    && let Some(word) = words.get_mut(word)
                {
                    *n += u128::from(*word & bit == 0);
                    *word |= bit;
                }
            }
            Points::Fingerprints(seen) => {
                if seen.len() < MAX_REMEMBERED && !is_beyond {
                    seen.insert(fingerprint(configuration));
                }
            }
        }
    }

    pub(super) fn contains(&self, space: &SearchSpace, configuration: &Configuration) -> bool {
        match &self.points {
            Points::Endless => false,
            Points::Short { are_endless, seen } => {
                is_short(space, configuration, are_endless)
                    && seen.contains(&fingerprint(configuration))
            }
            Points::Bits { words, .. } => bit(self.counted(space), configuration)
                .is_some_and(|(word, bit)| words.get(word).is_some_and(|word| word & bit != 0)),
            Points::Fingerprints(seen) => seen.contains(&fingerprint(configuration)),
        }
    }

    /// The first free point of a grid walk that starts at a drawn place; one nearer to the middle of
    /// rounded normals where a few draws find it. None of an endless space.
    pub(super) fn first_free(&self, space: &SearchSpace, draw: u64) -> Option<Configuration> {
        let size = self.size.filter(|&size| size > 0)?;
        let mut draws = self.reach.iter().flat_map(|reach| reach.draws(draw));
        if let Some(free) = draws.find(|drawn| !self.contains(space, drawn)) {
            return Some(free);
        }
        let space = self.counted(space);
        let start = u128::from(draw) % size;
        let n_looked_at = match self.points {
            Points::Fingerprints(_) => size.min(MAX_WALK),
            Points::Endless | Points::Short { .. } | Points::Bits { .. } => size,
        };
        let mut step = 0;
        while step < n_looked_at {
            // Both are below the size, which may be close to the largest number there is.
            let room = size - start;
            let index = if step < room { start + step } else { step - room };
            if let Points::Bits { words, .. } = &self.points {
                // Bits come before configurations, and whole words of them before bits.
                let word = words.get((index / 64) as usize).copied().unwrap_or_default();
                let n_seen = (word >> (index % 64)).trailing_ones();
                if n_seen > 0 {
                    step += u128::from(n_seen);
                    continue;
                }
            }
            let point = space.grid_point(index);
            // Branches that overlap give a point two numbers.
            if !self.contains(space, &point) {
                return Some(point);
            }
            step += 1;
        }
        None
    }
}

/// Whether a domain has values without number.
fn is_endless(domain: &Domain) -> bool {
    !matches!(domain, Domain::Choice(_))
        && domain.cardinality().is_none()
        && !reach::is_rounded_normal(domain)
}

/// Whether a space has points without a continuous coordinate.
fn has_short(space: &SearchSpace) -> bool {
    space.parameters.iter().all(|parameter| match &parameter.domain {
        Domain::Choice(choice) => choice.iter().any(|alternative| match alternative {
            Alternative::Space(nested) => has_short(nested),
            Alternative::Value(_) => true,
        }),
        domain => !is_endless(domain),
    })
}

/// Whether a point has no continuous coordinate.
fn is_short(space: &SearchSpace, configuration: &Configuration, are_endless: &[bool]) -> bool {
    space.units(configuration).is_some_and(|units| {
        units.iter().zip(are_endless).all(|(unit, is_endless)| unit.is_none() || !is_endless)
    })
}

/// Where the bit of a point is: its word, and itself.
fn bit(space: &SearchSpace, configuration: &Configuration) -> Option<(usize, u64)> {
    let index = space.grid_index(configuration)?;
    Some((usize::try_from(index / 64).ok()?, 1 << (index % 64)))
}

/// The same for equal configurations; different for others but for one chance in 2^64.
pub(super) fn fingerprint(configuration: &Configuration) -> u64 {
    let settings = configuration.0.iter();
    settings.fold(configuration.0.len() as u64, |hash, (name, setting)| {
        let setting = match setting {
            Setting::Nested(nested) => mix(&[1, fingerprint(nested)]),
            Setting::Value(Value::Bool(value)) => mix(&[2, u64::from(*value)]),
            Setting::Value(Value::Int(value)) => mix(&[3, *value as u64]),
            Setting::Value(Value::Float(value)) => mix(&[4, value.to_bits()]),
            Setting::Value(Value::Text(value)) => mix(&[5, of_text(value)]),
        };
        mix(&[hash, of_text(name), setting])
    })
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Choice, Parameter};

    use super::*;

    fn space(sizes: &[i64]) -> SearchSpace {
        let parameters = sizes.iter().enumerate().map(|(axis, &upper)| Parameter {
            name: format!("x{axis}"),
            domain: Domain::RandInt { upper },
        });
        SearchSpace { parameters: parameters.collect() }
    }

    #[test]
    fn every_free_point_is_found_once() {
        let space = space(&[7, 11, 3]);
        let mut seen = Seen::new(&space);
        for n in 0..7 * 11 * 3 {
            assert!(!seen.is_exhausted(), "after {n}");
            let point = seen.first_free(&space, mix(&[n])).unwrap();
            assert!(!seen.contains(&space, &point));
            seen.insert(&space, &point);
            seen.insert(&space, &point);
        }
        assert!(seen.is_exhausted());
        assert_eq!(seen.first_free(&space, 5), None);
    }

    #[test]
    fn more_than_a_million_points_are_remembered() {
        let space = space(&[1_200, 1_000]);
        let mut seen = Seen::new(&space);
        for index in 0..1_199_999 {
            seen.insert(&space, &space.grid_point(index));
        }
        assert!(!seen.is_exhausted());
        let last = seen.first_free(&space, 3);
        assert_eq!(last, Some(space.grid_point(1_199_999)));
    }

    #[test]
    fn points_without_a_continuous_coordinate_are_told_apart_in_endless_spaces() {
        let float = Domain::Uniform { min: 0.0, max: 1.0, q: None };
        let nested = |name: &str, domain| {
            let parameters = vec![Parameter { name: name.into(), domain }];
            Alternative::Space(SearchSpace { parameters })
        };
        let branches = vec![
            nested("n", Domain::RandInt { upper: 3 }),
            nested("x", float.clone()),
            Alternative::Value(Value::Text("none".into())),
        ];
        let model = Parameter { name: "m".into(), domain: Domain::Choice(Choice::new(branches)) };
        let space = SearchSpace { parameters: vec![model.clone()] };
        let mut seen = Seen::new(&space);
        assert!(seen.can_repeat() && seen.is_endless());
        let points: Vec<Configuration> = [0.1, 0.5, 0.9]
            .map(|model| space.configuration(&[model, 0.5, 0.5]))
            .into_iter()
            .collect();
        points.iter().for_each(|point| seen.insert(&space, point));
        let are_known: Vec<bool> =
            points.iter().map(|point| seen.contains(&space, point)).collect();
        assert_eq!(are_known, [true, false, true]);
        assert!(!seen.contains(&space, &space.configuration(&[0.1, 0.9, 0.5])));
        assert!(!seen.is_exhausted());
        assert_eq!(seen.first_free(&space, 5), None);
        // With one more that each point has, none comes twice.
        let other = Parameter { name: "y".into(), domain: float };
        assert!(!Seen::new(&SearchSpace { parameters: vec![model, other] }).can_repeat());
    }

    #[test]
    fn tails_are_used_up_before_the_space_is() {
        let normal = Domain::Normal { mu: 0.0, sigma: 2.0, q: Some(0.5) };
        let log = Domain::LogNormal { mu: 0.0, sigma: 1.0, q: Some(1.0), base: 2.0 };
        let nested = SearchSpace { parameters: vec![Parameter { name: "n".into(), domain: log }] };
        let word = Alternative::Value(Value::Text("none".into()));
        let choice = Domain::Choice(Choice::new(vec![Alternative::Space(nested), word]));
        let parameters = [("x", normal), ("c", choice)];
        let parameters =
            parameters.map(|(name, domain)| Parameter { name: name.into(), domain }).to_vec();
        let space = SearchSpace { parameters };
        let mut seen = Seen::new(&space);
        // Halves up to 6.36 deviations of 2, and whole numbers up to 2 to the power of 6.36.
        let n_points = 51 * (83 + 1);
        let far = Configuration(vec![
            ("x".into(), Setting::Value(Value::Float(100.0))),
            ("c".into(), Setting::Value(Value::Text("none".into()))),
        ]);
        assert!(space.contains(&far));
        seen.insert(&space, &far);
        let mut numbers = Vec::new();
        for n in 0..n_points {
            assert!(!seen.is_exhausted(), "after {n}");
            let point = seen.first_free(&space, mix(&[n])).unwrap();
            assert!(space.contains(&point) && !seen.contains(&space, &point));
            seen.insert(&space, &point);
            if let Some((_, Setting::Nested(nested))) = point.0.last()
                && let Some((_, Setting::Value(value))) = nested.0.first()
            {
                numbers.push(value.as_f64().unwrap());
            }
        }
        assert!(seen.is_exhausted());
        assert_eq!(seen.first_free(&space, 5), None);
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        assert!(mean(&numbers[..200]) < 0.7 * mean(&numbers));
    }
}
