//! The straight line of the theta method, and the search for what goes with it.

/// Values whose errors are not counted: the level is still finding its feet.
const BURN_IN: usize = 3;
/// Where alpha may be.
const ALPHA: (f64, f64) = (0.1, 0.99);
/// Bound of the first level, for values within ±1: for the arithmetic's sake. With a large alpha it
/// has a say in the first counted error only, and goes as far as it takes to remove it, as forecTheta's
/// and statsforecast's may. Kept among the values it makes small alphas look better than they are
/// (M3 yearly: sMAPE 16.8 there, 16.7 without).
const FARTHEST_FIRST: f64 = 1e6;
/// How many alphas are tried abreast.
const LANES: usize = 8;
/// Narrowings of the bracket around alpha after the first look.
const ROUNDS: usize = 5;
/// Largest share of the line that is chosen: theta 10. Beyond, the line's whole slope is drawn on
/// into the future (M3: sMAPE 13.4 without a bound, 13.2 with it).
const LARGEST_SHARE: f64 = 0.9;
/// A straight line through values seen, and their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Line {
    pub intercept: f64,
    pub slope: f64,
    pub mean: f64,
}

impl Line {
    /// The least-squares line through all values.
    fn through(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n.max(1.0);
        let middle = (n + 1.0) / 2.0;
        let (mut up, mut across) = (0.0, 0.0);
        for (t, value) in values.iter().enumerate() {
            let from_middle = t as f64 + 1.0 - middle;
            up += from_middle * (value - mean);
            across += from_middle * from_middle;
        }
        let slope = if across > 0.0 { up / across } else { 0.0 };
        Self { intercept: mean - slope * middle, slope, mean }
    }

    /// The line that the next forecast starts from.
    pub(super) fn after(values: &[f64], dynamic: bool) -> Self {
        if !dynamic {
            return Self::through(values);
        }
        let mut lines = Self::drawn_anew(values);
        lines.pop().unwrap_or_default()
    }

    /// The line before each value but the first, and the one after the last.
    fn drawn_anew(values: &[f64]) -> Vec<Self> {
        let Some(&first) = values.first() else { return Vec::new() };
        let mut line = Self { intercept: first, slope: 0.0, mean: first };
        let mut lines = Vec::with_capacity(values.len());
        lines.push(line);
        for (t, &value) in values.iter().enumerate().skip(1) {
            line = line.with(value, t as f64);
            lines.push(line);
        }
        lines
    }

    /// The line with one more value, `n_before` having been seen.
    pub(super) fn with(self, value: f64, n_before: f64) -> Self {
        let mean = (n_before * self.mean + value) / (n_before + 1.0);
        let slope = ((n_before - 1.0) * self.slope + 6.0 * (value - self.mean) / (n_before + 1.0))
            / (n_before + 2.0);
        Self { intercept: mean - slope * (n_before + 2.0) / 2.0, slope, mean }
    }

    /// What a whole share of the line adds to the level for the next value.
    pub(super) fn pull(self, alpha: f64, n_before: f64) -> f64 {
        let decayed = (1.0 - alpha).powf(n_before);
        self.intercept * decayed + self.slope * (1.0 - decayed * (1.0 - alpha)) / alpha
    }
}

/// The line before each value from the second on.
#[derive(Clone, Debug)]
pub(super) enum Lines {
    /// The same throughout.
    Same(Line),
    /// One for each.
    Each(Vec<Line>),
}

impl Lines {
    pub(super) fn of(values: &[f64], dynamic: bool) -> Self {
        if dynamic {
            Self::Each(Line::drawn_anew(values))
        } else {
            Self::Same(Line::through(values))
        }
    }
}

/// What the search found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solved {
    pub alpha: f64,
    /// 1 − 1/θ.
    pub share: f64,
    /// The level before the first value.
    pub first: f64,
    /// Sum of squared one-step errors.
    pub squares: f64,
    /// The same with the favour that alpha is given: what is lowered.
    pub cost: f64,
}

impl Default for Solved {
    fn default() -> Self {
        let none = f64::INFINITY;
        Self { alpha: 0.5, share: 0.5, first: 0.0, squares: none, cost: none }
    }
}

/// The search for alpha; the share is solved for when it is not given.
pub(super) struct Search {
    pub lines: Lines,
    pub share: Option<f64>,
    /// A sum counts as larger by this times 1 − alpha over the number of values.
    pub favour: f64,
}

/// Sums of products over the steps that count, for each alpha: of the weight of the first level,
/// the pull of the line, and what the smoothing from 0 leaves of the value.
#[derive(Clone, Copy, Debug)]
struct Products {
    weight_weight: [f64; LANES],
    weight_pull: [f64; LANES],
    pull_pull: [f64; LANES],
    weight_rest: [f64; LANES],
    pull_rest: [f64; LANES],
    rest_rest: [f64; LANES],
}

impl Search {
    pub(super) fn new(values: &[f64], dynamic: bool, (share, favour): (Option<f64>, f64)) -> Self {
        Self { lines: Lines::of(values, dynamic), share, favour }
    }

    /// No search: for a few values.
    pub(super) fn plain(&self, values: &[f64]) -> Solved {
        let share = self.share.unwrap_or(0.5);
        let first = values.first().copied().unwrap_or(0.0) * (1.0 - share);
        Solved { share, first, squares: 0.0, cost: 0.0, ..Solved::default() }
    }

    /// Narrows a bracket around the best alpha.
    pub(super) fn run(&self, values: &[f64]) -> Solved {
        let (mut low, mut high) = ALPHA;
        let mut best = Solved::default();
        // The first look is twice as fine: the sum may have two valleys.
        let middle = f64::midpoint(low, high);
        for (low, high) in [(low, middle), (middle, high)] {
            self.look(values, low, high, &mut best);
        }
        let mut width = (high - low) / (2 * LANES - 1) as f64;
        for _ in 0..ROUNDS {
            low = (best.alpha - width).max(ALPHA.0);
            high = (best.alpha + width).min(ALPHA.1);
            self.look(values, low, high, &mut best);
            width = (high - low) / (LANES - 1) as f64;
        }
        if best.cost.is_finite() { best } else { self.plain(values) }
    }

    /// Tries evenly spaced alphas.
    fn look(&self, values: &[f64], low: f64, high: f64, best: &mut Solved) {
        let alphas: [f64; LANES] =
            std::array::from_fn(|lane| low + (high - low) * lane as f64 / (LANES - 1) as f64);
        let products = match &self.lines {
            Lines::Same(line) => products(values, &alphas, std::iter::repeat(line)),
            Lines::Each(lines) => products(values, &alphas, lines.iter()),
        };
        let favour = self.favour / values.len().max(1) as f64;
        for (lane, &alpha) in alphas.iter().enumerate() {
            let mut solved = self.solve(&products, lane, alpha);
            solved.cost = solved.squares * (1.0 + favour * (1.0 - alpha));
            if solved.cost < best.cost {
                *best = solved;
            }
        }
    }

    /// First level and share by least squares, the first level within its bounds.
    fn solve(&self, products: &Products, lane: usize, alpha: f64) -> Solved {
        let weight_weight = products.weight_weight[lane].max(f64::MIN_POSITIVE);
        let weight_pull = products.weight_pull[lane];
        let weight_rest = products.weight_rest[lane];
        let pull_pull = products.pull_pull[lane];
        let pull_rest = products.pull_rest[lane];
        // What is left of pull and rest when the first level has taken its part.
        let left_pull = pull_pull - weight_pull * weight_pull / weight_weight;
        let left_rest = pull_rest - weight_pull * weight_rest / weight_weight;
        let mut share = self.share_of(left_rest, left_pull, pull_pull);
        let mut first = (weight_rest - share * weight_pull) / weight_weight;
        if first.abs() > FARTHEST_FIRST {
            first = first.clamp(-FARTHEST_FIRST, FARTHEST_FIRST);
            share = self.share_of(pull_rest - first * weight_pull, pull_pull, pull_pull);
        }
        let squares = products.rest_rest[lane]
            + first * (first * weight_weight + 2.0 * (share * weight_pull - weight_rest))
            + share * (share * pull_pull - 2.0 * pull_rest);
        let is_finite = squares.is_finite() && first.is_finite();
        let squares = if is_finite { squares.max(0.0) } else { f64::INFINITY };
        Solved { alpha, share, first, squares, cost: squares }
    }

    /// The share that was given, or the best one; the classic one where the line has no say.
    fn share_of(&self, rest: f64, pull: f64, whole_pull: f64) -> f64 {
        match self.share {
            Some(share) => share,
            None if pull > whole_pull * 1e-12 => (rest / pull).clamp(0.0, LARGEST_SHARE),
            None => 0.5,
        }
    }
}

fn products<'a>(
    values: &[f64],
    alphas: &[f64; LANES],
    lines: impl Iterator<Item = &'a Line>,
) -> Products {
    const ZEROS: [f64; LANES] = [0.0; LANES];
    let mut sums = Products {
        weight_weight: ZEROS,
        weight_pull: ZEROS,
        pull_pull: ZEROS,
        weight_rest: ZEROS,
        pull_rest: ZEROS,
        rest_rest: ZEROS,
    };
    let kept = alphas.map(|alpha| 1.0 - alpha);
    let per_alpha = alphas.map(|alpha| 1.0 / alpha);
    let first = values.first().copied().unwrap_or(0.0);
    let mut level = alphas.map(|alpha| alpha * first);
    let mut weight = kept;
    for ((t, &value), line) in values.iter().enumerate().skip(1).zip(lines) {
        let counts = if t < BURN_IN { 0.0 } else { 1.0 };
        for lane in 0..LANES {
            let pull = line.intercept * weight[lane]
                + line.slope * (1.0 - weight[lane] * kept[lane]) * per_alpha[lane];
            let rest = value - level[lane];
            let counted = counts * weight[lane];
            sums.weight_weight[lane] += counted * weight[lane];
            sums.weight_pull[lane] += counted * pull;
            sums.weight_rest[lane] += counted * rest;
            sums.pull_pull[lane] += counts * pull * pull;
            sums.pull_rest[lane] += counts * pull * rest;
            sums.rest_rest[lane] += counts * rest * rest;
            level[lane] += alphas[lane] * rest;
            weight[lane] *= kept[lane];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of squares must be the one that statsforecast 2.1.1 (`_lib.theta.pegels_resid`)
    /// finds at the same first level, alpha and theta.
    #[test]
    fn sums_agree_with_statsforecast() {
        let values: Vec<f64> = (0..30)
            .map(|t| (5.0 + 0.7 * f64::from(t) + f64::from((t * t) % 11) * 0.5) / 30.0)
            .collect();
        for (dynamic, share, squares) in [
            (false, Some(0.5), 0.069_901_479_194_587_4),
            (false, None, 0.062_921_608_470_665_7),
            (true, Some(0.5), 0.074_862_824_528_649_3),
            (true, None, 0.074_713_878_553_743_7),
        ] {
            let solved =
                Search { lines: Lines::of(&values, dynamic), share, favour: 0.0 }.run(&values);
            assert!((solved.squares - squares).abs() < 1e-11, "{dynamic} {share:?} {solved:?}");
        }
    }

    #[test]
    fn a_line_drawn_step_by_step_ends_as_the_line_through_all() {
        let values: Vec<f64> = (0..9).map(|t| f64::from((t * t) % 7) + f64::from(t)).collect();
        let (whole, stepwise) = (Line::after(&values, false), Line::after(&values, true));
        assert!((whole.slope - stepwise.slope).abs() < 1e-12);
        assert!((whole.intercept - stepwise.intercept).abs() < 1e-12);
    }
}
