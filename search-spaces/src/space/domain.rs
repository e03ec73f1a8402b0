//! One domain and the unit interval: `at` is its quantile function, `unit` the way back.
//!
//! A discrete value owns an interval of units and comes back as the middle of it, so that
//! `at(unit(value)) == value` always. Quantised domains round as Azure does: the values are those
//! multiples of `q` that `round(x / q) * q` can reach, which may lie up to half a `q` outside the
//! bounds.

use std::cmp::Ordering;
use std::f64::consts::E;

use super::choice::beside;
use super::normal;
use super::{Alternative, Domain, Scale};
use crate::value::Value;

/// Units nearer to 0 or 1 than this count as this for unbounded domains: 6.4 standard deviations.
const MARGIN: f64 = 1e-10;

/// Relative slack in comparisons that arithmetic may blur.
const SLACK: f64 = 1e-9;

impl Domain {
    /// The value at a point of the unit interval. A nested space of a choice is named by its index;
    /// [`Domain::branch`] tells the two apart.
    pub fn at(&self, unit: f64) -> Value {
        let unit = if unit.is_finite() { unit.clamp(0.0, 1.0) } else { 0.5 };
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Choice(alternatives) => {
                let index = self.branch(unit).unwrap_or_default();
                match alternatives.get(index) {
                    Some(Alternative::Value(value)) => value.clone(),
                    Some(Alternative::Space(_)) | None => Value::Int(index as i64),
                }
            }
            Self::RandInt { upper } => Value::Int(floor_index(unit, *upper as u128) as i64),
            Self::Uniform { q: None, .. } | Self::LogUniform { q: None, .. } => {
                Value::Float(self.bounded(self.quantile(unit)))
            }
            Self::Normal { q: None, .. } | Self::LogNormal { q: None, .. } => {
                Value::Float(self.quantile(unit))
            }
            Self::Uniform { q: Some(q), .. }
            | Self::LogUniform { q: Some(q), .. }
            | Self::Normal { q: Some(q), .. }
            | Self::LogNormal { q: Some(q), .. } => {
                let (first, last) = self.multiples().unwrap_or((f64::MIN, f64::MAX));
                multiple((self.quantile(unit) / q).round().clamp(first, last), *q)
            }
            Self::Int { min, step, .. } => {
                let index = self.step_at(unit) as i128;
                Value::Int((i128::from(*min) + index * i128::from(*step)) as i64)
            }
            Self::Float { min, step: Some(step), .. } => {
                Value::Float(decimal(min + self.step_at(unit) as f64 * step, &[*min, *step]))
            }
            Self::Float { step: None, .. } => Value::Float(self.bounded(self.quantile(unit))),
        }
    }

    /// Where a value lies in the unit interval; none if the domain does not hold it.
    pub fn unit(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Fixed(fixed) => same(fixed, value).then_some(0.5),
            Self::Choice(alternatives) => {
                let index = alternatives.index_of(value)?;
                Some((index as f64 + 0.5) / alternatives.len() as f64)
            }
            Self::RandInt { upper } => Some((self.index_of(value)? as f64 + 0.5) / *upper as f64),
            Self::Uniform { q: None, .. }
            | Self::LogUniform { q: None, .. }
            | Self::Float { step: None, .. } => {
                let number = value.as_f64()?;
                let (min, max) = self.extent()?;
                let slack = SLACK * (max - min).abs().min(min.abs().max(max.abs()));
                let inside = number >= min - slack && number <= max + slack;
                inside.then(|| self.share_below(number.clamp(min, max)))
            }
            Self::Normal { q: None, .. } => Some(self.share_below(finite(value)?)),
            Self::LogNormal { q: None, .. } => {
                let number = finite(value)?;
                // The lowest ones of a wide one are too small for a float to tell from 0.
                (number >= 0.0).then(|| self.share_below(number))
            }
            Self::Uniform { q: Some(q), .. }
            | Self::LogUniform { q: Some(q), .. }
            | Self::Normal { q: Some(q), .. }
            | Self::LogNormal { q: Some(q), .. } => self.unit_of_multiple(finite(value)?, *q),
            Self::Int { .. } | Self::Float { step: Some(_), .. } => {
                Some(self.unit_of_step(self.index_of(value)?))
            }
        }
    }

    /// The number of a value, the inverse of `nth`; none if the domain does not hold it, or is
    /// infinite.
    pub(super) fn index_of(&self, value: &Value) -> Option<u128> {
        match self {
            Self::Fixed(fixed) => same(fixed, value).then_some(0),
            Self::Choice(choice) => Some(choice.start(choice.index_of(value)?)),
            Self::RandInt { upper } => {
                let number = whole(value)?;
                (number >= 0 && number < *upper).then_some(number as u128)
            }
            Self::Int { min, max, step, .. } => {
                let number = whole(value)?;
                let distance = i128::from(number) - i128::from(*min);
                let inside = number >= *min && number <= *max && distance % i128::from(*step) == 0;
                inside.then_some(distance as u128 / *step as u128)
            }
            Self::Float { min, step: Some(step), .. } => {
                let index = (finite(value)? - min) / step;
                let nearest = index.round();
                let inside = nearest >= 0.0 && nearest < self.n_steps() as f64;
                let slack = (SLACK * nearest.abs().max(1.0)).max(self.blur());
                let is_near = (index - nearest).abs() <= slack;
                // Steps as short as floats are apart are off by up to half of one.
                let is_it = || same(&self.nth(nearest as u128), value);
                (inside && (is_near || is_it())).then_some(nearest as u128)
            }
            Self::Uniform { q: Some(q), .. } | Self::LogUniform { q: Some(q), .. } => {
                let (first, last) = self.multiples()?;
                let nearest = nearest_multiple(finite(value)?, *q)?;
                (nearest >= first && nearest <= last).then_some((nearest - first) as u128)
            }
            Self::Uniform { min, max, q: None }
            | Self::LogUniform { min, max, q: None, .. }
            | Self::Float { min, max, step: None, .. } => {
                (min == max && self.unit(value).is_some()).then_some(0)
            }
            Self::Normal { .. } | Self::LogNormal { .. } => None,
        }
    }

    /// The alternative that a choice takes at a point of the unit interval.
    pub fn branch(&self, unit: f64) -> Option<usize> {
        match self {
            Self::Choice(alternatives) if !alternatives.is_empty() => {
                Some(floor_index(unit, alternatives.len() as u128) as usize)
            }
            _ => None,
        }
    }

    /// The lowest and the highest number the domain can yield; none for words, choices and
    /// unbounded domains.
    pub fn extent(&self) -> Option<(f64, f64)> {
        match self {
            Self::Fixed(value) => value.as_f64().map(|number| (number, number)),
            Self::Choice(_) => None,
            Self::RandInt { upper } => Some((0.0, (*upper - 1) as f64)),
            Self::Uniform { min, max, q: None } => Some((*min, *max)),
            Self::LogUniform { min, max, q: None, base } => {
                Some((power(*base, *min), power(*base, *max)))
            }
            Self::Uniform { q: Some(q), .. } | Self::LogUniform { q: Some(q), .. } => {
                let (first, last) = self.multiples()?;
                Some((first * q, last * q))
            }
            Self::Normal { .. } | Self::LogNormal { .. } => None,
            Self::Int { min, step, .. } => {
                let last = (self.n_steps() - 1) as f64;
                Some((*min as f64, *min as f64 + last * *step as f64))
            }
            Self::Float { min, step: Some(step), .. } => {
                Some((*min, min + (self.n_steps() - 1) as f64 * step))
            }
            Self::Float { min, max, step: None, .. } => Some((*min, *max)),
        }
    }

    /// How many values there are; none for infinitely many.
    pub fn cardinality(&self) -> Option<u128> {
        match self {
            Self::Fixed(_) => Some(1),
            Self::Choice(choice) => choice.cardinality(),
            Self::RandInt { upper } => Some(*upper as u128),
            Self::Uniform { q: Some(_), .. } | Self::LogUniform { q: Some(_), .. } => {
                let (first, last) = self.multiples()?;
                Some(((last - first) as u128).saturating_add(1))
            }
            Self::Uniform { min, max, q: None }
            | Self::LogUniform { min, max, q: None, .. }
            | Self::Float { min, max, step: None, .. } => (min == max).then_some(1),
            Self::Normal { .. } | Self::LogNormal { .. } => None,
            Self::Int { .. } | Self::Float { step: Some(_), .. } => Some(self.n_steps()),
        }
    }

    /// The value with this number, counting from 0 in ascending order (in the order of the file for
    /// a choice). For domains of finitely many values; a choice counts its alternatives here.
    pub fn nth(&self, index: u128) -> Value {
        match self {
            Self::Uniform { q: Some(q), .. } | Self::LogUniform { q: Some(q), .. } => {
                let (first, _) = self.multiples().unwrap_or_default();
                multiple(first + index as f64, *q)
            }
            Self::Int { min, step, .. } => {
                Value::Int((i128::from(*min) + index as i128 * i128::from(*step)) as i64)
            }
            Self::Float { min, step: Some(step), .. } => {
                Value::Float(decimal(min + index as f64 * step, &[*min, *step]))
            }
            Self::RandInt { .. } => Value::Int(index as i64),
            _ => self.at(0.5),
        }
    }

    /// The unrounded number below which a share `unit` of the distribution lies.
    fn quantile(&self, unit: f64) -> f64 {
        let lerp = |min: f64, max: f64| min * (1.0 - unit) + max * unit;
        let z = || normal::quantile(unit.clamp(MARGIN, 1.0 - MARGIN));
        let number = match self {
            Self::Uniform { min, max, .. } => lerp(*min, *max),
            Self::LogUniform { min, max, base, .. } => power(*base, lerp(*min, *max)),
            Self::Normal { mu, sigma, .. } => mu + sigma * z(),
            Self::LogNormal { mu, sigma, base, .. } => power(*base, mu + sigma * z()),
            Self::Float { min, max, scale: Scale::Linear, .. } => lerp(*min, *max),
            Self::Float { min, max, scale: Scale::Log, .. } => lerp(min.ln(), max.ln()).exp(),
            Self::Fixed(_) | Self::Choice(_) | Self::RandInt { .. } | Self::Int { .. } => unit,
        };
        number.clamp(f64::MIN, f64::MAX)
    }

    /// The share of the distribution below an unrounded number: the inverse of `quantile`.
    fn share_below(&self, number: f64) -> f64 {
        let part = |min: f64, max: f64, number: f64| {
            // Halves keep the width of the widest range finite.
            let width = max / 2.0 - min / 2.0;
            if width > 0.0 { ((number / 2.0 - min / 2.0) / width).clamp(0.0, 1.0) } else { 0.5 }
        };
        let log = |base: f64| {
            if number > 0.0 { number.ln() / base.ln() } else { f64::MIN }
        };
        match self {
            Self::Uniform { min, max, .. } => part(*min, *max, number),
            Self::LogUniform { min, max, base, .. } => part(*min, *max, log(*base)),
            Self::Normal { mu, sigma, .. } => tail_safe(normal::cdf((number - mu) / sigma)),
            Self::LogNormal { mu, sigma, base, .. } => {
                tail_safe(normal::cdf((log(*base) - mu) / sigma))
            }
            Self::Float { min, max, scale: Scale::Linear, .. } => part(*min, *max, number),
            Self::Float { min, max, scale: Scale::Log, .. } => part(min.ln(), max.ln(), log(E)),
            Self::Fixed(_) | Self::Choice(_) | Self::RandInt { .. } | Self::Int { .. } => 0.5,
        }
    }

    /// Rounding may push a number past its bounds by a bit.
    fn bounded(&self, number: f64) -> f64 {
        match self.extent() {
            Some((min, max)) if min <= max => number.clamp(min, max),
            _ => number,
        }
    }

    /// The first and the last multiple of `q`, counted in `q`s, that rounding can reach.
    fn multiples(&self) -> Option<(f64, f64)> {
        let (min, max, q) = match self {
            Self::Uniform { min, max, q: Some(q) } => (*min, *max, *q),
            Self::LogUniform { min, max, q: Some(q), base } => {
                (power(*base, *min), power(*base, *max), *q)
            }
            Self::LogNormal { q: Some(_), .. } => return Some((0.0, f64::MAX)),
            _ => return None,
        };
        // A bound exactly between two multiples has no weight on its outer side.
        let first = (min / q + 0.5 + SLACK).floor();
        let last = (max / q - 0.5 - SLACK).ceil();
        Some((first + 0.0, last.max(first) + 0.0))
    }

    fn unit_of_multiple(&self, number: f64, q: f64) -> Option<f64> {
        let nearest = nearest_multiple(number, q)?;
        let (first, last) = self.multiples().unwrap_or((f64::MIN, f64::MAX));
        if nearest < first || nearest > last {
            return None;
        }
        let below = self.share_below((nearest - 0.5) * q);
        let above = self.share_below((nearest + 0.5) * q);
        Some((below + above) / 2.0)
    }

    /// How many values a stepped domain has.
    fn n_steps(&self) -> u128 {
        match self {
            Self::Int { min, max, step, .. } => {
                ((i128::from(*max) - i128::from(*min)) / i128::from(*step)) as u128 + 1
            }
            Self::Float { min, max, step: Some(step), .. } => {
                // Halves keep the width of the widest range finite.
                let n = (max / 2.0 - min / 2.0) / (step / 2.0);
                ((n + SLACK.max(self.blur())).floor() as u128).saturating_add(1)
            }
            _ => 1,
        }
    }

    /// By how much of a step the values of a stepped domain may be off, because floats of their size
    /// are no closer to each other.
    fn blur(&self) -> f64 {
        let Self::Float { min, max, step: Some(step), .. } = self else { return 0.0 };
        (2.0 * f64::EPSILON * (min.abs().max(max.abs()) / step)).min(0.25)
    }

    /// The bounds of a stepped log domain, widened by half a step so that the ends weigh as much as
    /// their neighbours, and its first value and step.
    fn log_steps(&self) -> Option<(f64, f64, f64, f64)> {
        let (min, step) = match self {
            Self::Int { min, step, scale: Scale::Log, .. } => (*min as f64, *step as f64),
            Self::Float { min, step: Some(step), scale: Scale::Log, .. } => (*min, *step),
            _ => return None,
        };
        let low = (min - step / 2.0).max(min / 2.0);
        let high = (min + (self.n_steps() as f64 - 0.5) * step).min(f64::MAX);
        Some((low.ln(), high.ln(), min, step))
    }

    fn step_at(&self, unit: f64) -> u128 {
        let n_steps = self.n_steps();
        let Some((low, high, min, step)) = self.log_steps() else {
            return floor_index(unit, n_steps);
        };
        let number = (low * (1.0 - unit) + high * unit).exp();
        (((number - min) / step).round().max(0.0) as u128).min(n_steps - 1)
    }

    fn unit_of_step(&self, index: u128) -> f64 {
        let Some((low, high, min, step)) = self.log_steps() else {
            return (index as f64 + 0.5) / self.n_steps() as f64;
        };
        let edge = |offset: f64| {
            let number = min + (index as f64 + offset) * step;
            if number > 0.0 { number.ln().clamp(low, high) } else { low }
        };
        ((edge(-0.5) + edge(0.5)) / 2.0 - low) / (high - low)
    }
}

/// Which of `n` equal parts of the unit interval a point lies in.
fn floor_index(unit: f64, n: u128) -> u128 {
    ((unit * n as f64) as u128).min(n.saturating_sub(1))
}

/// `exp` where the base is e, so that the common case has the bits everybody else gets.
fn power(base: f64, exponent: f64) -> f64 {
    if base == E { exponent.exp() } else { base.powf(exponent) }
}

fn tail_safe(share: f64) -> f64 {
    share.clamp(MARGIN, 1.0 - MARGIN)
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        // A program may send 5 back as 5.0; beyond 2^53 floats no longer name one integer.
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

/// Equal, where 5 and 5.0 count as equal.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(whole), Value::Float(number)) | (Value::Float(number), Value::Int(whole)) => {
            number.is_finite() && beside(*whole, *number) == Ordering::Equal
        }
        (Value::Float(left), Value::Float(right)) => left == right,
        _ => left == right,
    }
}

/// Which multiple of `q` a number is; none if it is none.
fn nearest_multiple(number: f64, q: f64) -> Option<f64> {
    let count = number / q;
    let nearest = count.round();
    let close = (count - nearest).abs() <= SLACK * nearest.abs().max(1.0);
    close.then_some(nearest)
}

/// `count` times `q`: an integer where `q` is whole, otherwise without the noise of binary
/// fractions (three times 0.1 is 0.3).
fn multiple(count: f64, q: f64) -> Value {
    let number = count * q;
    if q.fract() == 0.0 && number.abs() < 9.2e18 {
        return Value::Int(number as i64);
    }
    Value::Float(decimal(number, &[q]))
}

/// The number rounded to as many decimals as the numbers it was made of have.
fn decimal(number: f64, parts: &[f64]) -> f64 {
    let places = parts.iter().map(|part| decimals(*part)).max().unwrap_or(0);
    let power = 10f64.powi(places as i32);
    let scaled = (number * power).round();
    if places <= 15 && scaled.abs() < 9e15 { scaled / power + 0.0 } else { number }
}

/// How many decimals the shortest form of a number has.
fn decimals(number: f64) -> usize {
    let text = format!("{number}");
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::E;

    use super::same;
    use crate::space::{Alternative, Choice, Domain, Scale};
    use crate::value::Value;

    /// Every value of a finely walked unit interval, with neighbours that are equal taken once.
    fn walk(domain: &Domain) -> Vec<Value> {
        let mut values: Vec<Value> =
            (0..10_000).map(|step| domain.at(f64::from(step) / 10_000.0)).collect();
        values.dedup();
        values
    }

    fn ints(values: impl IntoIterator<Item = i64>) -> Vec<Value> {
        values.into_iter().map(Value::Int).collect()
    }

    #[test]
    fn randint_stops_before_its_upper_bound() {
        assert_eq!(walk(&Domain::RandInt { upper: 4 }), ints(0..4));
    }

    #[test]
    fn a_whole_q_yields_the_multiples_that_rounding_reaches() {
        let domain = Domain::Uniform { min: 1.0, max: 10.0, q: Some(4.0) };
        assert_eq!(walk(&domain), ints([0, 4, 8]));
        assert_eq!(domain.cardinality(), Some(3));
        let domain = Domain::Uniform { min: 2.0, max: 5.0, q: Some(1.0) };
        assert_eq!(walk(&domain), ints(2..=5));
    }

    #[test]
    fn a_fractional_q_has_no_binary_noise() {
        let domain = Domain::Uniform { min: 0.0, max: 0.5, q: Some(0.1) };
        let expected: Vec<Value> = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5].map(Value::Float).into();
        assert_eq!(walk(&domain), expected);
    }

    #[test]
    fn loguniform_bounds_are_exponents() {
        let domain = Domain::LogUniform { min: -3.0, max: 3.0, q: None, base: E };
        assert_eq!(domain.at(0.0), Value::Float((-3f64).exp()));
        assert_eq!(domain.at(0.5), Value::Float(1.0));
        let domain = Domain::LogUniform { min: 0.0, max: 3.0, q: Some(5.0), base: E };
        assert_eq!(walk(&domain), ints([0, 5, 10, 15, 20]));
    }

    #[test]
    fn normals_have_their_quantiles() {
        let domain = Domain::Normal { mu: 10.0, sigma: 2.0, q: None };
        let at = |domain: &Domain, unit| domain.at(unit).as_f64().unwrap();
        assert_eq!(at(&domain, 0.5), 10.0);
        assert!((at(&domain, 0.841_344_746_068_542_9) - 12.0).abs() < 1e-9);
        assert!(at(&domain, 0.0).is_finite() && at(&domain, 1.0).is_finite());
        let domain = Domain::LogNormal { mu: 1.0, sigma: 0.5, q: None, base: E };
        assert!((at(&domain, 0.5) - E).abs() < 1e-12);
        let domain = Domain::Normal { mu: 0.0, sigma: 1.0, q: Some(2.0) };
        assert_eq!(domain.at(0.5), Value::Int(0));
        assert_eq!(domain.at(0.999), Value::Int(4));
    }

    #[test]
    fn our_bounds_are_values() {
        let domain = Domain::Float { min: 0.01, max: 0.3, step: None, scale: Scale::Log };
        for (unit, bound) in [(0.0, 0.01), (1.0, 0.3)] {
            assert!((domain.at(unit).as_f64().unwrap() - bound).abs() < 1e-15);
        }
        let domain = Domain::Int { min: 3, max: 10, step: 3, scale: Scale::Linear };
        assert_eq!(walk(&domain), ints([3, 6, 9]));
        let domain = Domain::Int { min: 1, max: 8, step: 1, scale: Scale::Log };
        assert_eq!(walk(&domain), ints(1..=8));
        let full = Domain::Int { min: i64::MIN, max: i64::MAX, step: 1, scale: Scale::Linear };
        assert_eq!(full.cardinality(), Some(1 << 64));
        assert_eq!(full.at(0.0), Value::Int(i64::MIN));
    }

    #[test]
    fn fine_steps_far_from_0_know_their_values() {
        let starts = [(1e5, 1e-4), (1e6, 1e-3), (1e7, 0.1), (-1e9, 0.1), (1e10, 0.1), (1e15, 1.0)];
        for (min, step) in starts {
            for scale in [Scale::Linear, Scale::Log] {
                if scale == Scale::Log && !(0.0..1e12).contains(&min) {
                    continue;
                }
                let max = super::decimal(min + 10.0 * step, &[min, step]);
                let domain = Domain::Float { min, max, step: Some(step), scale };
                assert_eq!(domain.cardinality(), Some(11), "{min} {step}");
                for index in 0..11 {
                    let value = domain.nth(index);
                    assert_eq!(domain.index_of(&value), Some(index), "{value}");
                    assert_eq!(domain.at(domain.unit(&value).unwrap()), value);
                }
                assert_eq!(domain.index_of(&Value::Float(min + 0.5 * step)), None, "{min} {step}");
                assert_eq!(domain.index_of(&Value::Float(max + step)), None);
            }
        }
    }

    #[test]
    fn steps_as_short_as_floats_are_apart_know_their_values() {
        // Floats are 0.125, 1, 2, 16 and 2e-15 apart there.
        for (min, step) in [
            (1e15, 0.125),
            (1e15, 0.13),
            (1e15, 0.15),
            (1e15, 0.24),
            (9e15, 1.0),
            (1e16, 2.0),
            (1e16, 2.3),
            (-1e17, 16.0),
            (-1e17, 25.0),
            (10.0, 1.8e-15),
            (10.0, 2.5e-15),
        ] {
            let max = min + 64.0 * step;
            let domain = Domain::Float { min, max, step: Some(step), scale: Scale::Linear };
            let count = domain.cardinality().unwrap();
            let values: Vec<Value> = (0..count).map(|index| domain.nth(index)).collect();
            for (index, value) in values.iter().enumerate() {
                assert_eq!(domain.index_of(value), Some(index as u128), "{step} from {min}");
                assert_eq!(domain.at(domain.unit(value).unwrap()), *value, "{step} from {min}");
            }
            assert!((64..=65).contains(&count), "{step} from {min}: {count}");
        }
    }

    #[test]
    fn integers_that_floats_do_not_tell_apart_are_different() {
        let large = 9_007_199_254_740_992; // 2^53
        let values = [large, large + 1].map(|one| Alternative::Value(Value::Int(one)));
        let choice = Choice::new(values.to_vec());
        for index in 0..2 {
            let value = Value::Int(large + index as i64);
            assert_eq!(choice.index_of(&value), Some(index));
        }
        assert!(!same(&Value::Int(large + 1), &Value::Float(large as f64)));
        for (whole, number) in [(5, 5.0), (-5, -5.0), (0, -0.0), (i64::MIN, i64::MIN as f64)] {
            assert!(same(&Value::Int(whole), &Value::Float(number)), "{whole}");
            assert!(same(&Value::Float(number), &Value::Int(whole)), "{whole}");
        }
        for number in [5.5, 1e300, f64::NAN, f64::INFINITY] {
            assert!(!same(&Value::Int(5), &Value::Float(number)), "{number}");
        }
        assert!(!same(&Value::Int(i64::MAX), &Value::Float(i64::MAX as f64)));
    }

    #[test]
    fn a_lognormal_wider_than_floats_keeps_its_values() {
        let domain = Domain::LogNormal { mu: 0.0, sigma: 500.0, q: None, base: E };
        for unit in [0.0, 0.001, 0.5, 0.999, 1.0] {
            let value = domain.at(unit);
            let back = domain.unit(&value).unwrap();
            assert!((0.0..=1.0).contains(&back), "{value}");
        }
        assert_eq!(domain.at(0.0), Value::Float(0.0));
        assert_eq!(domain.unit(&Value::Float(-1.0)), None);
    }

    #[test]
    fn choices_find_their_words() {
        let words = ["a", "b"].map(|word| Alternative::Value(Value::Text(word.into())));
        let domain = Domain::Choice(words.into_iter().collect());
        assert_eq!(domain.at(0.49), Value::Text("a".into()));
        assert_eq!(domain.unit(&Value::Text("b".into())), Some(0.75));
        assert_eq!(domain.unit(&Value::Text("c".into())), None);
    }
}
