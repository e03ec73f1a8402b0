//! A space and the unit cube: nested spaces flattened into axes, configurations into coordinates.
//!
//! Axes come in the order of the file, a choice before the axes of its branches. Every sampler works
//! on these coordinates and never sees a domain's own arithmetic.

use super::domain::same;
use super::{Alternative, Axis, Choice, Domain, Parameter, SearchSpace};
use crate::configuration::{Configuration, Setting};
use crate::value::Value;

impl SearchSpace {
    /// The space flattened: one axis for each parameter that can vary, at any depth.
    pub fn axes(&self) -> Vec<Axis> {
        let mut axes = Vec::new();
        self.collect_axes("", None, &mut axes);
        axes
    }

    fn collect_axes(&self, prefix: &str, parent: Option<(usize, usize)>, axes: &mut Vec<Axis>) {
        for parameter in self.varying() {
            let path = format!("{prefix}{}", parameter.name);
            let own = axes.len();
            axes.push(Axis { path: path.clone(), domain: parameter.domain.clone(), parent });
            for (index, space) in branches(&parameter.domain) {
                space.collect_axes(&format!("{path}."), Some((own, index)), axes);
            }
        }
    }

    fn varying(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|parameter| !matches!(parameter.domain, Domain::Fixed(_)))
    }

    fn n_axes(&self) -> usize {
        self.varying()
            .map(|parameter| {
                let nested = branches(&parameter.domain).map(|(_, space)| space.n_axes());
                1 + nested.sum::<usize>()
            })
            .sum()
    }

    /// The configuration at a point of the unit cube: one coordinate in [0, 1) for each axis. Those
    /// of inactive axes count for nothing; a missing one counts as 0.5.
    pub fn configuration(&self, units: &[f64]) -> Configuration {
        self.take_configuration(&mut units.iter())
    }

    fn take_configuration(&self, units: &mut std::slice::Iter<'_, f64>) -> Configuration {
        let settings = self.parameters.iter().map(|parameter| {
            let setting = match &parameter.domain {
                Domain::Fixed(value) => Setting::Value(value.clone()),
                domain => take_setting(domain, units),
            };
            (parameter.name.clone(), setting)
        });
        Configuration(settings.collect())
    }

    /// The point of the unit cube that yields this configuration: one coordinate for each axis, none
    /// where the axis is inactive. None at all if the space does not hold the configuration.
    pub fn units(&self, configuration: &Configuration) -> Option<Vec<Option<f64>>> {
        let mut units = Vec::new();
        self.push_units(configuration, &mut units)?;
        Some(units)
    }

    fn push_units(
        &self,
        configuration: &Configuration,
        units: &mut Vec<Option<f64>>,
    ) -> Option<()> {
        if configuration.0.len() != self.parameters.len() {
            return None;
        }
        for parameter in &self.parameters {
            let (_, setting) = configuration.0.iter().find(|(name, _)| *name == parameter.name)?;
            match (&parameter.domain, setting) {
                (Domain::Fixed(fixed), Setting::Value(value)) => same(fixed, value).then_some(())?,
                (Domain::Fixed(_), Setting::Nested(_)) => return None,
                (domain, Setting::Value(value)) => {
                    units.push(Some(domain.unit(value)?));
                    let inactive: usize = branches(domain).map(|(_, space)| space.n_axes()).sum();
                    units.extend(std::iter::repeat_n(None, inactive));
                }
                (domain, Setting::Nested(nested)) => push_branch(domain, nested, units)?,
            }
        }
        Some(())
    }

    /// Whether the configuration is a point of this space.
    pub fn contains(&self, configuration: &Configuration) -> bool {
        self.units(configuration).is_some()
    }

    /// How many configurations there are; none for infinitely many.
    pub fn cardinality(&self) -> Option<u128> {
        self.parameters.iter().try_fold(1u128, |product, parameter| {
            Some(product.saturating_mul(parameter.domain.cardinality()?))
        })
    }

    /// How many configurations a grid visits; none if a parameter is continuous.
    pub fn grid_size(&self) -> Option<u128> {
        self.cardinality()
    }

    /// The configuration with this number in a grid, the last parameter counting fastest. Numbers
    /// past the end start over.
    pub fn grid_point(&self, index: u128) -> Configuration {
        let mut rest = index;
        let mut settings: Vec<(String, Setting)> = self
            .parameters
            .iter()
            .rev()
            .map(|parameter| {
                let size = parameter.domain.cardinality().unwrap_or(1).max(1);
                let setting = nth_setting(&parameter.domain, rest % size);
                rest /= size;
                (parameter.name.clone(), setting)
            })
            .collect();
        settings.reverse();
        Configuration(settings)
    }

    /// The number of a configuration in a grid: the inverse of [`SearchSpace::grid_point`]. None if
    /// the space does not hold the configuration, or is infinite.
    pub fn grid_index(&self, configuration: &Configuration) -> Option<u128> {
        if configuration.0.len() != self.parameters.len() {
            return None;
        }
        self.parameters.iter().try_fold(0u128, |index, parameter| {
            let (_, setting) = configuration.0.iter().find(|(name, _)| *name == parameter.name)?;
            let own = index_of(&parameter.domain, setting)?;
            Some(index.saturating_mul(parameter.domain.cardinality()?).saturating_add(own))
        })
    }
}

impl Alternative {
    /// How many settings it stands for; none for infinitely many.
    pub(super) fn cardinality(&self) -> Option<u128> {
        match self {
            Self::Value(_) => Some(1),
            Self::Space(space) => space.cardinality(),
        }
    }
}

/// The nested spaces of a choice with their indices.
pub(crate) fn branches(domain: &Domain) -> impl Iterator<Item = (usize, &SearchSpace)> {
    let choice = match domain {
        Domain::Choice(choice) => Some(choice),
        _ => None,
    };
    choice.into_iter().flat_map(Choice::branches)
}

fn take_setting(domain: &Domain, units: &mut std::slice::Iter<'_, f64>) -> Setting {
    let unit = units.next().copied().unwrap_or(0.5);
    let chosen = domain.branch(unit);
    let mut setting = Setting::Value(domain.at(unit));
    for (index, space) in branches(domain) {
        // An inactive branch still has its coordinates, which are passed over.
        let nested = space.take_configuration(units);
        if chosen == Some(index) {
            setting = Setting::Nested(nested);
        }
    }
    setting
}

fn push_branch(
    domain: &Domain,
    nested: &Configuration,
    units: &mut Vec<Option<f64>>,
) -> Option<()> {
    let Domain::Choice(alternatives) = domain else {
        return None;
    };
    let (chosen, chosen_units) =
        branches(domain).find_map(|(index, space)| Some((index, space.units(nested)?)))?;
    units.push(Some((chosen as f64 + 0.5) / alternatives.len() as f64));
    for (index, space) in branches(domain) {
        if index == chosen {
            units.extend_from_slice(&chosen_units);
        } else {
            units.extend(std::iter::repeat_n(None, space.n_axes()));
        }
    }
    Some(())
}

fn nth_setting(domain: &Domain, index: u128) -> Setting {
    let Domain::Choice(choice) = domain else {
        return Setting::Value(domain.nth(index));
    };
    match choice.nth(index) {
        Some((Alternative::Value(value), _)) => Setting::Value(value.clone()),
        Some((Alternative::Space(space), rest)) => Setting::Nested(space.grid_point(rest)),
        None => Setting::Value(Value::Int(0)),
    }
}

/// The number of a setting, the inverse of `nth_setting`.
fn index_of(domain: &Domain, setting: &Setting) -> Option<u128> {
    match (domain, setting) {
        (domain, Setting::Value(value)) => domain.index_of(value),
        (Domain::Choice(choice), Setting::Nested(nested)) => choice
            .branches()
            .find_map(|(index, space)| Some(choice.start(index) + space.grid_index(nested)?)),
        (_, Setting::Nested(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::f64::consts::E;

    use proptest::prelude::*;

    use crate::space::{Alternative, Choice, Domain, Parameter, Scale, SearchSpace};
    use crate::value::Value;

    fn parameter(name: &str, domain: Domain) -> Parameter {
        Parameter { name: name.into(), domain }
    }

    fn conditional(continuous: Domain) -> SearchSpace {
        let branch = |name: &str, own: Domain| {
            let literal = Domain::Fixed(Value::Text(name.into()));
            Alternative::Space(SearchSpace {
                parameters: vec![parameter("name", literal), parameter("C", own)],
            })
        };
        let model = Domain::Choice(Choice::new(vec![
            branch("svm", continuous),
            Alternative::Value(Value::Text("none".into())),
            branch("knn", Domain::RandInt { upper: 5 }),
        ]));
        let seed = Domain::Int { min: 1, max: 3, step: 1, scale: Scale::Linear };
        SearchSpace { parameters: vec![parameter("model", model), parameter("seed", seed)] }
    }

    #[test]
    fn a_conditional_space_has_an_axis_for_each_branch() {
        let space = conditional(Domain::Uniform { min: 0.0, max: 1.0, q: None });
        let axes = space.axes();
        let paths: Vec<_> = axes.iter().map(|axis| (axis.path.as_str(), axis.parent)).collect();
        let expected =
            [("model", None), ("model.C", Some((0, 0))), ("model.C", Some((0, 2))), ("seed", None)];
        assert_eq!(paths, expected);
        let json = |units: &[f64]| space.configuration(units).to_json();
        assert_eq!(json(&[0.0, 0.25, 0.9, 0.0]), r#"{"model":{"name":"svm","C":0.25},"seed":1}"#);
        assert_eq!(json(&[0.5, 0.25, 0.9, 0.5]), r#"{"model":"none","seed":2}"#);
        assert_eq!(json(&[0.9, 0.25, 0.9, 0.9]), r#"{"model":{"name":"knn","C":4},"seed":3}"#);
        let units = space.units(&space.configuration(&[0.9, 0.25, 0.9, 0.9])).unwrap();
        assert_eq!(units[1], None);
        assert_eq!(units[2], Some(0.9));
    }

    #[test]
    fn a_grid_visits_every_point_once() {
        let space = conditional(Domain::Uniform { min: 0.0, max: 1.0, q: Some(0.25) });
        let size = space.grid_size().unwrap();
        assert_eq!(size, (5 + 1 + 5) * 3);
        let points: BTreeSet<String> = (0..size)
            .map(|index| {
                let point = space.grid_point(index);
                assert!(space.contains(&point), "{}", point.to_json());
                assert_eq!(space.grid_index(&point), Some(index));
                point.to_json()
            })
            .collect();
        assert_eq!(points.len() as u128, size);
    }

    #[test]
    fn a_continuous_space_has_no_grid() {
        let space = conditional(Domain::Normal { mu: 0.0, sigma: 1.0, q: None });
        assert_eq!(space.grid_size(), None);
        assert_eq!(SearchSpace::default().grid_size(), Some(1));
    }

    fn any_domain() -> impl Strategy<Value = Domain> {
        let bounds = (-1e6..1e6f64, 0.0..1e6f64).prop_map(|(min, width)| (min, min + width));
        let exponents = (-20.0..10.0f64, 0.0..10.0f64).prop_map(|(min, width)| (min, min + width));
        let q = prop_oneof![
            Just(None),
            (1..50i64).prop_map(|q| Some(q as f64)),
            prop_oneof![Just(0.1), Just(0.25), Just(0.005), Just(0.3)].prop_map(Some),
        ];
        let scale = prop_oneof![Just(Scale::Linear), Just(Scale::Log)];
        prop_oneof![
            (1..i64::MAX).prop_map(|upper| Domain::RandInt { upper: upper >> (upper % 62) | 1 }),
            (bounds, q.clone()).prop_map(|((min, max), q)| Domain::Uniform { min, max, q }),
            (exponents, q.clone(), prop_oneof![Just(E), Just(10.0)])
                .prop_map(|((min, max), q, base)| Domain::LogUniform { min, max, q, base }),
            (-100.0..100.0f64, 0.01..50.0f64, q.clone())
                .prop_map(|(mu, sigma, q)| Domain::Normal { mu, sigma, q }),
            (-5.0..5.0f64, 0.01..2.0f64, q).prop_map(|(mu, sigma, q)| Domain::LogNormal {
                mu,
                sigma,
                q,
                base: E
            }),
            (1..1000i64, 0..100_000i64, 1..100i64, scale.clone()).prop_map(
                |(min, width, step, scale)| Domain::Int { min, max: min + width, step, scale }
            ),
            (1e-6..10.0f64, 0.0..100.0f64, prop_oneof![Just(None), Just(Some(0.01))], scale)
                .prop_map(|(min, width, step, scale)| {
                    Domain::Float { min, max: min + width, step, scale }
                }),
            (1..9usize).prop_map(|n| {
                Domain::Choice((0..n).map(|i| Alternative::Value(Value::Int(i as i64))).collect())
            }),
        ]
    }

    proptest! {
        #[test]
        fn values_survive_the_way_to_the_cube_and_back(
            domain in any_domain(),
            unit in prop_oneof![0.0..1.0f64, Just(0.0), Just(1.0 - f64::EPSILON / 2.0)],
        ) {
            let value = domain.at(unit);
            let back = domain.unit(&value);
            prop_assert!(back.is_some(), "{value:?} is not in {domain:?}");
            let again = domain.at(back.unwrap());
            match (&value, &again) {
                (Value::Float(a), Value::Float(b)) => {
                    let (low, high) = domain.extent().unwrap_or((*a, *a));
                    let size = a.abs().max((high - low).abs()).max(1e-9);
                    prop_assert!((a - b).abs() <= 1e-5 * size, "{a} became {b} in {domain:?}");
                    prop_assert!(a.is_finite());
                }
                // The unit interval is coarser than the largest integers: at the edge of a domain
                // rounding takes the next multiple of `q`, here up to 99 at 1e14.
                (Value::Int(a), Value::Int(b)) => {
                    prop_assert!(a.abs_diff(*b) as f64 <= a.unsigned_abs() as f64 * 1e-12);
                }
                _ => prop_assert_eq!(&value, &again),
            }
            if let Some((low, high)) = domain.extent() {
                let number = value.as_f64().unwrap();
                let slack = 1e-12 * high.abs().max(low.abs());
                prop_assert!(number >= low - slack && number <= high + slack);
            }
        }

        #[test]
        fn integers_stay_integers(domain in any_domain(), unit in 0.0..1.0f64) {
            let whole = match &domain {
                Domain::RandInt { .. } | Domain::Int { .. } | Domain::Choice(_) => true,
                Domain::Uniform { q, .. } | Domain::LogUniform { q, .. }
                | Domain::Normal { q, .. } | Domain::LogNormal { q, .. } => {
                    q.is_some_and(|q| q.fract() == 0.0)
                }
                Domain::Fixed(_) | Domain::Float { .. } => false,
            };
            prop_assert_eq!(whole, matches!(domain.at(unit), Value::Int(_)));
        }

        #[test]
        fn any_point_of_the_cube_is_a_configuration_of_the_space(
            domain in any_domain(),
            units in prop::collection::vec(0.0..1.0f64, 4),
        ) {
            let space = conditional(domain);
            let configuration = space.configuration(&units);
            let index = space.grid_index(&configuration);
            prop_assert_eq!(index.is_some(), space.grid_size().is_some());
            if let Some(index) = index {
                prop_assert_eq!(space.grid_point(index), configuration.clone());
            }
            let back = space.units(&configuration);
            prop_assert!(back.is_some(), "{}", configuration.to_json());
            let back = back.unwrap();
            prop_assert_eq!(back.len(), space.axes().len());
            let filled: Vec<f64> = back.iter().map(|unit| unit.unwrap_or(0.1)).collect();
            prop_assert!(space.contains(&space.configuration(&filled)));
        }
    }
}
