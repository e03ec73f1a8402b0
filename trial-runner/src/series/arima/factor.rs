//! One factor of a lag polynomial, and the four factors of a seasonal model.
//!
//! Autoregressive factors are 1 − Σ cⱼ Bʲ and moving-average ones 1 + Σ cⱼ Bʲ, where B shifts by one
//! step or by one season. Partial autocorrelations inside (−1, 1) and factors with all roots outside
//! the unit circle correspond one to one (Barndorff-Nielsen & Schou 1973; Monahan 1984).

/// The most lags of one factor.
pub(super) const MOST_LAGS: usize = 10;

/// The coefficients of one factor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Factor {
    n_lags: usize,
    values: [f64; MOST_LAGS],
}

impl Factor {
    /// As many zeros.
    pub(super) fn zeros(n_lags: usize) -> Self {
        Self { n_lags: n_lags.min(MOST_LAGS), values: [0.0; MOST_LAGS] }
    }

    /// The coefficients, at most [`MOST_LAGS`] of them.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut factor = Self::zeros(values.len());
        for (place, value) in factor.as_mut().iter_mut().zip(values) {
            *place = *value;
        }
        factor
    }

    pub(super) fn as_slice(&self) -> &[f64] {
        &self.values[..self.n_lags]
    }

    pub(super) fn as_mut(&mut self) -> &mut [f64] {
        &mut self.values[..self.n_lags]
    }

    /// Number of lags.
    pub(super) fn len(&self) -> usize {
        self.n_lags
    }

    /// The same coefficients with zeros at the end, or without the last ones.
    pub(super) fn resized(&self, n_lags: usize) -> Self {
        let mut factor = Self::zeros(n_lags);
        let n = n_lags.min(self.n_lags);
        factor.values[..n].copy_from_slice(&self.values[..n]);
        factor
    }

    /// 1 + Σ cⱼ Bʲ as 1 − Σ (−cⱼ) Bʲ, and back.
    pub(super) fn negated(mut self) -> Self {
        for value in self.as_mut() {
            *value = -*value;
        }
        self
    }

    /// The partial autocorrelations of an autoregressive factor; none unless all of its roots are
    /// more than `margin` times outside the unit circle.
    pub(super) fn partials(&self, margin: f64) -> Option<Self> {
        let mut work = *self;
        let mut scale = 1.0;
        for value in work.as_mut() {
            scale *= margin;
            *value *= scale;
        }
        for last in (0..self.n_lags).rev() {
            let partial = work.values[last];
            if partial.is_nan() || partial.abs() >= 1.0 {
                return None;
            }
            let before = work.values;
            for lag in 0..last {
                let mirrored = before[last - 1 - lag];
                work.values[lag] = (before[lag] + partial * mirrored) / (1.0 - partial * partial);
            }
        }
        Some(work)
    }

    /// The autoregressive factor with these partial autocorrelations (Durbin and Levinson).
    pub(super) fn from_partials(partials: &[f64]) -> Self {
        let mut factor = Self::of(partials);
        for last in 1..factor.n_lags {
            let before = factor.values;
            for lag in 0..last {
                factor.values[lag] = before[lag] - before[last] * before[last - 1 - lag];
            }
        }
        factor
    }
}

/// The numbers of lags of a model of a series that is differenced already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) ar: usize,
    pub(super) ma: usize,
    pub(super) seasonal_ar: usize,
    pub(super) seasonal_ma: usize,
}

impl Shape {
    /// Number of coefficients.
    pub(super) fn n_coefficients(&self) -> usize {
        self.ar + self.ma + self.seasonal_ar + self.seasonal_ma
    }

    /// The longest autoregressive lag.
    pub(super) fn ar_span(&self, season: usize) -> usize {
        self.ar + season * self.seasonal_ar
    }

    /// The longest moving-average lag.
    pub(super) fn ma_span(&self, season: usize) -> usize {
        self.ma + season * self.seasonal_ma
    }
}

/// The four factors.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Factors {
    pub(super) ar: Factor,
    pub(super) ma: Factor,
    pub(super) seasonal_ar: Factor,
    pub(super) seasonal_ma: Factor,
}

impl Factors {
    pub(super) fn shape(&self) -> Shape {
        Shape {
            ar: self.ar.len(),
            ma: self.ma.len(),
            seasonal_ar: self.seasonal_ar.len(),
            seasonal_ma: self.seasonal_ma.len(),
        }
    }

    /// The coefficients that two shapes have in common, and zeros.
    pub(super) fn resized(&self, shape: Shape) -> Self {
        Self {
            ar: self.ar.resized(shape.ar),
            ma: self.ma.resized(shape.ma),
            seasonal_ar: self.seasonal_ar.resized(shape.seasonal_ar),
            seasonal_ma: self.seasonal_ma.resized(shape.seasonal_ma),
        }
    }

    /// The factors as one row of numbers: ar, ma, seasonal ar, seasonal ma.
    pub(super) fn row(&self) -> impl Iterator<Item = f64> + '_ {
        let parts = [&self.ar, &self.ma, &self.seasonal_ar, &self.seasonal_ma];
        parts.into_iter().flat_map(|factor| factor.as_slice().iter().copied())
    }

    /// The factors of a row of as many numbers as the shape has coefficients.
    pub(super) fn from_row(shape: Shape, row: &[f64]) -> Self {
        let mut rest = row.iter().copied();
        let mut take = |n_lags| {
            let mut factor = Factor::zeros(n_lags);
            for (value, given) in factor.as_mut().iter_mut().zip(&mut rest) {
                *value = given;
            }
            factor
        };
        Self {
            ar: take(shape.ar),
            ma: take(shape.ma),
            seasonal_ar: take(shape.seasonal_ar),
            seasonal_ma: take(shape.seasonal_ma),
        }
    }

    /// The same model in unbounded numbers: atanh of partial autocorrelations. None unless it is
    /// stationary and invertible.
    pub(super) fn unbounded(&self) -> Option<Self> {
        let map = |factor: Factor| {
            let mut partials = factor.partials(1.0)?;
            for value in partials.as_mut() {
                *value = value.atanh();
            }
            Some(partials)
        };
        Some(Self {
            ar: map(self.ar)?,
            ma: map(self.ma.negated())?,
            seasonal_ar: map(self.seasonal_ar)?,
            seasonal_ma: map(self.seasonal_ma.negated())?,
        })
    }

    /// The stationary and invertible model of unbounded numbers.
    pub(super) fn bounded(&self) -> Self {
        let map = |factor: Factor| {
            let mut partials = factor;
            for value in partials.as_mut() {
                *value = value.tanh();
            }
            Factor::from_partials(partials.as_slice())
        };
        Self {
            ar: map(self.ar),
            ma: map(self.ma).negated(),
            seasonal_ar: map(self.seasonal_ar),
            seasonal_ma: map(self.seasonal_ma).negated(),
        }
    }

    /// Whether every root of every factor is more than `margin` times outside the unit circle.
    pub(super) fn is_inside(&self, margin: f64) -> bool {
        self.ar.partials(margin).is_some()
            && self.ma.negated().partials(margin).is_some()
            && self.seasonal_ar.partials(margin).is_some()
            && self.seasonal_ma.negated().partials(margin).is_some()
    }
}

/// The coefficients of (1 − Σ aⱼ Bʲ)(1 − Σ sⱼ B^(season j)) as 1 − Σ cⱼ Bʲ, written to `product`, which has
/// one place for each lag from 1 on.
pub(super) fn expand(factor: &[f64], seasonal: &[f64], season: usize, product: &mut [f64]) {
    product.fill(0.0);
    product[..factor.len()].copy_from_slice(factor);
    for (index, &coefficient) in seasonal.iter().enumerate() {
        let shift = (index + 1) * season;
        product[shift - 1] += coefficient;
        for (lag, value) in factor.iter().enumerate() {
            product[shift + lag] -= coefficient * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_and_coefficients_correspond() {
        for partials in [&[0.5][..], &[0.9, -0.7], &[-0.3, 0.99, 0.2, -0.999, 0.4]] {
            let factor = Factor::from_partials(partials);
            let back = factor.partials(1.0).unwrap();
            for (back, partial) in back.as_slice().iter().zip(partials) {
                assert!((back - partial).abs() < 1e-9, "{partials:?}: {back}");
            }
        }
        assert_eq!(Factor::from_partials(&[0.5, 0.2]).as_slice(), [0.4, 0.2]);
    }

    #[test]
    fn roots_are_held_to_their_margin() {
        // The root of 1 − 0.8 B is 1.25; those of 1 − 1.2 B + 0.36 B² are both 1.6667.
        for (coefficients, root) in [(&[0.8][..], 1.25), (&[1.2, -0.36], 1.0 / 0.6)] {
            let factor = Factor::of(coefficients);
            assert!(factor.partials(root - 1e-3).is_some());
            assert!(factor.partials(root + 1e-3).is_none());
        }
        assert!(Factor::of(&[1.0]).partials(1.0).is_none());
        assert!(Factor::of(&[f64::NAN]).partials(1.0).is_none());
    }

    #[test]
    fn products_are_multiplied_out() {
        let mut product = [0.0; 5];
        expand(&[0.5], &[0.2], 4, &mut product);
        assert_eq!(product, [0.5, 0.0, 0.0, 0.2, -0.1]);
    }

    #[test]
    fn rows_and_shapes_go_round() {
        let shape = Shape { ar: 2, ma: 1, seasonal_ar: 0, seasonal_ma: 2 };
        let row = [0.3, -0.2, 0.5, 0.1, 0.4];
        let factors = Factors::from_row(shape, &row);
        assert_eq!(factors.shape(), shape);
        assert_eq!(factors.row().collect::<Vec<_>>(), row);
        assert_eq!((shape.ar_span(12), shape.ma_span(12)), (2, 25));
        let back = factors.unbounded().unwrap().bounded();
        assert!(back.row().zip(row).all(|(back, value)| (back - value).abs() < 1e-12));
    }
}
