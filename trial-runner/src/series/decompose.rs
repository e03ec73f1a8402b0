//! Seasons taken out of a series: STL, and MSTL where it has several.
//!
//! Cleveland, Cleveland, McRae & Terpenning (1990); Bandara, Hyndman & Bergmeir (2021). The windows are
//! those of R's `forecast::mstl`: 11, 15, … seasons of local constants, and those for trend and low
//! pass that follow from them. The adjusted series may be forecast by any method without a season;
//! [`Seasons`] goes on with the last season of each kind. Deviation: see `decompose/loess.rs`.

mod loess;

use serde::{Deserialize, Serialize};

use super::naive::mean;
use crate::stop::{Stop, Stopped};
use loess::{Degree, Loess};

/// A series as the sum of its parts, each as long as the series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decomposition {
    pub(crate) trend: Vec<f64>,
    /// One for each season, the shortest first.
    pub(crate) seasonal: Vec<Seasonal>,
    pub(crate) remainder: Vec<f64>,
}

/// What repeats with one season.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seasonal {
    pub(crate) season: usize,
    pub(crate) values: Vec<f64>,
}

/// How seasons go on after the series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seasons {
    /// The last season of each kind.
    last: Vec<Vec<f64>>,
}

/// Whether values far from the rest are given less weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    /// All values count alike.
    Equal,
    /// Values with large remainders count less.
    #[cfg_attr(not(test), allow(dead_code, reason = "no learner asks for it; tests do"))]
    Robust,
}

/// Takes the seasons out. A season that does not come twice is left in.
pub(crate) fn decompose(
    y: &[f64],
    seasons: &[usize],
    weights: Weights,
    stop: &Stop,
) -> Result<Decomposition, Stopped> {
    let scale = y.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let mut seasons: Vec<usize> =
        seasons.iter().copied().filter(|season| *season > 1 && *season <= y.len() / 2).collect();
    seasons.sort_unstable();
    seasons.dedup();
    let mut rest: Vec<f64> = y.iter().map(|value| value / scale).collect();
    let mut trend = vec![0.0; y.len()];
    let mut parts = vec![vec![0.0; y.len()]; seasons.len()];
    let n_rounds = if seasons.len() > 1 { 2 } else { 1 };
    for _ in 0..n_rounds {
        for (index, (&season, part)) in seasons.iter().zip(&mut parts).enumerate() {
            add(&mut rest, part, 1.0);
            let window = 11 + 4 * index;
            Stl::new(y.len(), season, window).run(&rest, weights, &mut trend, part, stop)?;
            add(&mut rest, part, -1.0);
        }
    }
    if seasons.is_empty() {
        trend.fill(mean(&rest));
    }
    add(&mut rest, &trend, -1.0);
    for part in parts.iter_mut().chain([&mut trend, &mut rest]) {
        for value in part.iter_mut() {
            *value = (*value * scale).clamp(f64::MIN, f64::MAX);
        }
    }
    let seasonal = seasons.into_iter().zip(parts);
    let seasonal = seasonal.map(|(season, values)| Seasonal { season, values }).collect();
    Ok(Decomposition { trend, seasonal, remainder: rest })
}

/// How much of what is not trend is season, from 0 to 1 (Wang, Smith & Hyndman 2006).
pub(crate) fn strength(y: &[f64], season: usize, stop: &Stop) -> Result<f64, Stopped> {
    let scale = y.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let scaled: Vec<f64> = y.iter().map(|value| value / scale).collect();
    let parts = decompose(&scaled, &[season], Weights::Equal, stop)?;
    let Some(seasonal) = parts.seasonal.first() else { return Ok(0.0) };
    let both: Vec<f64> = seasonal.values.iter().zip(&parts.remainder).map(|(a, b)| a + b).collect();
    let whole = variance(&both);
    // Less is the rounding of a series that is all trend.
    if whole < 1e-28 {
        return Ok(0.0);
    }
    Ok((1.0 - variance(&parts.remainder) / whole).clamp(0.0, 1.0))
}

fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / values.len() as f64
}

/// sum ← sum + sign · values.
fn add(sum: &mut [f64], values: &[f64], sign: f64) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += sign * value;
    }
}

/// The windows of one season and the buffers of its decomposition.
struct Stl {
    season: usize,
    /// Of the values of one phase; phases differ in length by at most 1.
    phases: [Loess; 2],
    low_pass: Loess,
    trend: Loess,
}

impl Stl {
    fn new(n: usize, season: usize, window: usize) -> Self {
        let odd = |width: usize| width + usize::from(width.is_multiple_of(2));
        let ratio = 1.5 * season as f64 / (1.0 - 1.5 / window as f64);
        let shorter = n / season;
        let phase = |n| Loess::new(n, window, Degree::Constant);
        Self {
            season,
            phases: [phase(shorter), phase(shorter + 1)],
            low_pass: Loess::new(n, odd(season + 1), Degree::Line),
            trend: Loess::new(n, odd(ratio.ceil() as usize), Degree::Line),
        }
    }

    fn run(
        &self,
        y: &[f64],
        weights: Weights,
        trend: &mut [f64],
        seasonal: &mut [f64],
        stop: &Stop,
    ) -> Result<(), Stopped> {
        let (n_inner, n_outer) = match weights {
            Weights::Equal => (5, 1),
            Weights::Robust => (2, 15),
        };
        let mut own = None;
        trend.fill(0.0);
        for outer in 0..n_outer {
            for _ in 0..n_inner {
                stop.check()?;
                self.improve(y, own.as_deref(), trend, seasonal);
            }
            if outer + 1 < n_outer {
                let parts = trend.iter().zip(seasonal.iter());
                own = Some(robust(y.iter().zip(parts).map(|(y, (t, s))| (y - t - s).abs())));
            }
        }
        Ok(())
    }

    /// One round of the inner loop.
    fn improve(&self, y: &[f64], own: Option<&[f64]>, trend: &mut [f64], seasonal: &mut [f64]) {
        let (n, season) = (y.len(), self.season);
        let mut cycle = vec![0.0; n + 2 * season];
        let (mut phase, mut phase_weights) = (Vec::new(), Vec::new());
        let mut smoothed = Vec::new();
        for first in 0..season {
            let places = || (first..n).step_by(season);
            phase.clear();
            phase.extend(places().map(|t| y[t] - trend[t]));
            let weights = own.map(|own| {
                phase_weights.clear();
                phase_weights.extend(places().map(|t| own[t]));
                phase_weights.as_slice()
            });
            let loess = &self.phases[phase.len() - n / season];
            smoothed.resize(phase.len(), 0.0);
            loess.smooth(&phase, weights, &mut smoothed);
            cycle[first + (phase.len() + 1) * season] = loess.beyond(&phase, weights, true);
            cycle[first] = loess.beyond(&phase, weights, false);
            for (turn, value) in smoothed.iter().enumerate() {
                cycle[first + (turn + 1) * season] = *value;
            }
        }
        let averaged = moving_mean(&moving_mean(&moving_mean(&cycle, season), season), 3);
        let mut low = vec![0.0; n];
        self.low_pass.smooth(&averaged, None, &mut low);
        for t in 0..n {
            seasonal[t] = cycle[season + t] - low[t];
        }
        let adjusted: Vec<f64> = y.iter().zip(seasonal.iter()).map(|(y, s)| y - s).collect();
        self.trend.smooth(&adjusted, own, trend);
    }
}

/// The means of every `width` values in a row.
fn moving_mean(values: &[f64], width: usize) -> Vec<f64> {
    let mut sum: f64 = values[..width].iter().sum();
    let mut means = Vec::with_capacity(values.len() - width + 1);
    means.push(sum / width as f64);
    for (new, old) in values[width..].iter().zip(values) {
        sum += new - old;
        means.push(sum / width as f64);
    }
    means
}

/// The bisquare weights of remainders.
fn robust(remainders: impl Iterator<Item = f64>) -> Vec<f64> {
    let remainders: Vec<f64> = remainders.collect();
    let mut sorted = remainders.clone();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let middle = f64::midpoint(sorted[n / 2], sorted[(n - 1) / 2]);
    let reach = 6.0 * middle;
    let weight = |remainder: f64| {
        if remainder <= 0.001 * reach {
            1.0
        } else if remainder <= 0.999 * reach {
            (1.0 - (remainder / reach).powi(2)).powi(2)
        } else {
            0.0
        }
    };
    remainders.into_iter().map(weight).collect()
}

impl Decomposition {
    /// The series without its seasons.
    pub(crate) fn adjusted(&self) -> Vec<f64> {
        let both = self.trend.iter().zip(&self.remainder);
        both.map(|(trend, rest)| (trend + rest).clamp(f64::MIN, f64::MAX)).collect()
    }

    /// How the seasons go on.
    pub(crate) fn seasons(&self) -> Seasons {
        let last = self.seasonal.iter().map(|Seasonal { season, values }| {
            values[values.len() - season.min(&values.len())..].to_vec()
        });
        Seasons { last: last.collect() }
    }
}

impl Seasons {
    /// What the seasons add to each step after the series.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        let mut sums = vec![0.0_f64; n_ahead];
        for season in &self.last {
            for (sum, value) in sums.iter_mut().zip(season.iter().cycle()) {
                *sum = (*sum + value).clamp(f64::MIN, f64::MAX);
            }
        }
        sums
    }

    /// Whether stored numbers make a forecast.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sound =
            |season: &Vec<f64>| !season.is_empty() && season.iter().all(|value| value.is_finite());
        self.last.iter().all(is_sound)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn series(n: usize) -> Vec<f64> {
        let value = |t: usize| {
            let own = [5.0, -2.0, 1.0, 0.0][t % 4];
            3.0 * (t as f64 / 3.0).sin() + ((t * 7) % 11) as f64 / 4.0 + own + t as f64 * 0.1
        };
        (0..n).map(value).collect()
    }

    fn check(n: usize, seasons: &[usize], weights: Weights, tolerance: f64, expected: &[[f64; 3]]) {
        let y = series(n);
        let parts = decompose(&y, seasons, weights, &Stop::default()).unwrap();
        let seasonal = parts.seasonal.iter().map(|seasonal| &seasonal.values);
        let all: Vec<&Vec<f64>> =
            std::iter::once(&parts.trend).chain(seasonal).chain([&parts.remainder]).collect();
        assert_eq!(all.len(), expected.len());
        for (part, expected) in all.iter().zip(expected) {
            for (value, expected) in [part[0], part[7], part[n - 1]].iter().zip(expected) {
                assert!((value - expected).abs() < tolerance, "{n}: {value}, not {expected}");
            }
        }
        for (t, value) in y.iter().enumerate() {
            let sum: f64 = all.iter().map(|part| part[t]).sum();
            assert!((sum - value).abs() < 1e-9);
        }
    }

    #[test]
    fn parts_are_those_of_statsforecast() {
        // statsforecast 2.1.1: mstl(x, season), which is statsmodels' STL of local constants.
        let one = [
            [1.735_851_441_531_825, 4.977_319_945_898_215, 5.241_285_483_131_565],
            [3.794_727_610_516_642, -1.104_209_112_050_974, -3.178_942_552_170_245],
            [-0.530_579_052_048_466, 0.246_146_811_367_733, -0.418_534_957_705_543],
        ];
        check(50, &[4], Weights::Equal, 1e-11, &one);
        let twelve = [
            [4.963_588_230_389_152, 3.700_314_113_190_943, 8.780_460_457_432_59],
            [3.344_296_316_405_1, -0.986_347_151_280_696, 4.259_771_536_643],
            [-3.307_884_546_794_252, 1.405_290_683_304_728, 1.198_603_758_107_275],
        ];
        check(61, &[12], Weights::Equal, 1e-11, &twelve);
        let two = [
            [3.420_137_931_615_548, 3.663_801_333_089_398, 26.087_472_505_716_57],
            [-0.203_951_322_253_936, -0.068_913_304_346_019, 0.138_680_275_986_648],
            [3.889_872_045_347_064, -1.141_356_639_603_311, -1.195_916_678_618_687],
            [-2.106_058_654_708_677, 1.665_726_256_074_906, -3.589_427_702_915_188],
        ];
        check(240, &[24, 5, 5], Weights::Equal, 1e-11, &two);
        // The weights come of a median, so the two differ a little more.
        let robust = [
            [1.717_752_456_771_907, 4.971_049_863_564_593, 5.220_316_101_501_584],
            [3.803_423_770_179_024, -1.121_393_349_230_329, -3.172_338_915_506_169],
            [-0.521_176_226_950_934, 0.269_601_130_880_81, -0.404_169_212_739_639],
        ];
        check(50, &[4], Weights::Robust, 1e-9, &robust);
        // Windows above 101 steps are not evaluated at every step.
        let wide = [
            [2.591_333_132_019_116, 3.259_896_628_316_84, 62.076_531_677_434_3],
            [0.195_927_112_529_731, -1.440_116_039_996_795, -2.582_547_331_485_986],
            [2.212_739_755_451_152, 2.299_477_056_894_929, -2.047_885_058_369_282],
        ];
        check(600, &[110], Weights::Equal, 2e-3, &wide);
    }

    #[test]
    fn strengths_are_those_of_statsforecast() {
        for (n, season, expected) in
            [(50, 4, 0.920_503_875_979_588), (61, 12, 0.734_650_032_403_363)]
        {
            let strength = strength(&series(n), season, &Stop::default()).unwrap();
            assert!((strength - expected).abs() < 1e-10, "{strength}");
        }
        for (y, season) in [(vec![2.0; 30], 4), (series(7), 4), (series(30), 1)] {
            assert_eq!(strength(&y, season, &Stop::default()), Ok(0.0));
        }
    }

    #[test]
    fn seasons_go_on_after_the_series() {
        let y: Vec<f64> =
            (0..96).map(|t| [4.0, 0.0, -4.0][t % 3] + [1.0, -1.0][t / 4 % 2]).collect();
        let parts = decompose(&y, &[3, 8], Weights::Equal, &Stop::default()).unwrap();
        let seasons = parts.seasons();
        assert!(seasons.is_sound());
        let flat = mean(&parts.adjusted());
        for (step, value) in seasons.forecast(20).iter().enumerate() {
            let t = 96 + step;
            let expected = [4.0, 0.0, -4.0][t % 3] + [1.0, -1.0][t / 4 % 2];
            assert!((value + flat - expected).abs() < 0.2, "{step}: {value}");
        }
    }

    #[test]
    fn any_series_has_finite_parts() {
        let turns: Vec<f64> =
            (0..50).map(|t| if t % 2 == 0 { f64::MAX } else { f64::MIN }).collect();
        let jump: Vec<f64> = (0..60).map(|t| if t < 30 { 0.0 } else { 1e300 }).collect();
        for y in [&[][..], &[7.0], &[0.0; 30], &[1e300; 40], &turns, &jump, &series(9)] {
            for seasons in [&[][..], &[4], &[2, 12], &[0, 1, usize::MAX]] {
                for weights in [Weights::Equal, Weights::Robust] {
                    let parts = decompose(y, seasons, weights, &Stop::default()).unwrap();
                    let ahead = parts.seasons().forecast(9);
                    let all = parts.trend.iter().chain(&parts.remainder).chain(&ahead);
                    assert!(all.into_iter().all(|value| value.is_finite()), "{seasons:?} {y:?}");
                    assert_eq!(parts.adjusted().len(), y.len());
                }
            }
        }
    }

    #[test]
    fn forged_seasons_are_not_sound_and_do_no_harm() {
        for last in [vec![vec![]], vec![vec![1.0], vec![f64::NAN]]] {
            let forged = Seasons { last };
            assert!(!forged.is_sound());
            assert_eq!(forged.forecast(3).len(), 3);
        }
    }
}
