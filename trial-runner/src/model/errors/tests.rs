use super::*;
use crate::model::forecast::Fitted;
use crate::series::{arima, naive};
use crate::stop::Stop;

const HORIZON: usize = 7;
const SEASON: usize = 7;
const N_FOLDS: usize = 3;

/// Normal noise that is the same on every machine: the sum of twelve uniform draws.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        let mut draw = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(|_| draw()).sum::<f64>() - 6.0
    }
}

/// Series of a kind, and the method that suits it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    RandomWalk,
    Noise,
    Autoregressive,
    Seasonal,
}

impl Kind {
    fn series(self, n: usize, noise: &mut Noise) -> Vec<f64> {
        let mut last = 0.0;
        (0..n)
            .map(|t| {
                let error = noise.next();
                last = match self {
                    Self::RandomWalk => last + error,
                    Self::Noise | Self::Seasonal => error,
                    Self::Autoregressive => 0.7 * last + error,
                };
                let season = if matches!(self, Self::Seasonal) { 9.0 } else { 0.0 };
                last + season * (t % SEASON) as f64
            })
            .collect()
    }

    fn fit(self, y: &[f64]) -> Fitted {
        let stop = Stop::default();
        let naive = |method| {
            Fitted::Naive(naive::fit(y, SEASON, &naive::Settings { method }, &stop).unwrap())
        };
        match self {
            Self::RandomWalk => naive(naive::Method::Naive),
            Self::Noise => naive(naive::Method::Average),
            Self::Seasonal => naive(naive::Method::SeasonalNaive),
            Self::Autoregressive => {
                let settings = arima::Settings {
                    ar: Some(1),
                    differences: Some(0),
                    ma: Some(0),
                    ..arima::Settings::default()
                };
                Fitted::Arima(arima::fit(y, 1, &settings, &stop).unwrap())
            }
        }
    }
}

/// By step, the share of truths within intervals that the back-tests of their own series give, with
/// or without what the method says of itself.
fn coverage(kind: Kind, n_folds: usize, level: f64, tells: bool) -> [f64; HORIZON] {
    const N_SERIES: u32 = 1_000;
    let mut noise = Noise(7);
    let mut within = [0_u32; HORIZON];
    for _ in 0..N_SERIES {
        let n = 60 + n_folds * HORIZON;
        let y = kind.series(n + HORIZON, &mut noise);
        let mut errors = Vec::new();
        for fold in 1..=n_folds {
            let (learnt, later) = y.split_at(n - fold * HORIZON);
            let steps = (1..).zip(kind.fit(learnt).forecast(HORIZON).into_iter().zip(later));
            errors.extend(steps.map(|(ahead, (forecast, truth))| (ahead, truth - forecast)));
        }
        let (learnt, later) = y.split_at(n);
        let fitted = kind.fit(learnt);
        let told = if tells { fitted.growth(HORIZON) } else { Vec::new() };
        let widths = Errors::of(errors).widths(level, &told);
        let forecast = fitted.forecast(HORIZON).into_iter();
        for (step, (forecast, truth)) in forecast.zip(later).enumerate() {
            let width = widths.at(step as u32 + 1).unwrap();
            within[step] += u32::from((truth - forecast).abs() <= width);
        }
    }
    within.map(|n| f64::from(n) / f64::from(N_SERIES))
}

#[test]
fn intervals_hold_what_they_say_at_every_step() {
    let mut all = Vec::new();
    for kind in [Kind::RandomWalk, Kind::Noise, Kind::Autoregressive, Kind::Seasonal] {
        for (n_folds, level, tells, off) in [
            (N_FOLDS, 0.8, true, 0.06),
            (N_FOLDS, 0.95, true, 0.045),
            (N_FOLDS, 0.8, false, 0.1),
            (10, 0.8, false, 0.08),
            (10, 0.8, true, 0.05),
        ] {
            let found = coverage(kind, n_folds, level, tells);
            let said = format!("{kind:?}, {n_folds} folds, {level}, {tells}: {found:?}");
            println!("{said}");
            all.push((found.iter().all(|share| (share - level).abs() < off), said));
        }
    }
    assert!(all.iter().all(|(is_near, _)| *is_near), "{all:#?}");
}

#[test]
fn widths_never_shrink_with_the_distance() {
    let one = Errors::of((1..=9).map(|size| (1, f64::from(size))));
    assert_eq!(one.widths(0.8, &[]).at(1), Some(8.0));
    assert_eq!(one.widths(0.5, &[]).at(1), Some(5.0));
    assert_eq!(Errors::default().widths(0.5, &[]).at(1), None);
    assert_eq!(Errors::of([(1, 0.0), (2, 0.0)]).widths(0.9, &[]).at(5), Some(0.0));
    let falling = Errors::of((1..=6_u32).map(|step| (step, f64::from(7 - step))));
    for errors in [&one, &falling] {
        for level in [1e-9, 0.5, 0.95, 1.0 - 1e-12] {
            let widths = errors.widths(level, &[]);
            let all: Vec<f64> = (0..500).filter_map(|ahead| widths.at(ahead)).collect();
            assert!(all.len() == 500 && all.is_sorted(), "{level}: {all:?}");
            assert!(all[1] > 0.0 && all.iter().all(|width| width.is_finite()), "{all:?}");
        }
    }
    // More is never less.
    let sizes: Vec<f64> =
        [0.5, 0.8, 0.9, 0.95, 0.99].iter().filter_map(|&l| falling.widths(l, &[]).at(3)).collect();
    assert!(sizes.is_sorted(), "{sizes:?}");
}

/// Steps with many errors of their own have their own sizes.
#[test]
fn many_errors_of_a_step_are_its_own() {
    let many = (1..=3_u32).flat_map(|step| (1..=400).map(move |size| (step, step * step * size)));
    let widths = Errors::of(many.map(|(step, size)| (step, -f64::from(size)))).widths(0.5, &[]);
    for (ahead, expected) in [(1, 200.0), (2, 800.0), (3, 1_800.0)] {
        let width = widths.at(ahead).unwrap();
        assert!((width / expected - 1.0).abs() < 0.1, "{ahead}: {width}");
    }
}

#[test]
fn hostile_sizes_have_finite_widths() {
    for sizes in [
        vec![(1, f64::MAX), (2, f64::MAX), (2, 0.0)],
        vec![(u32::MAX, 5e-324), (0, 1e300)],
        vec![(3, f64::NAN), (7, f64::INFINITY), (9, 1.0)],
    ] {
        let errors = Errors::of(sizes);
        assert!(errors.is_sound());
        for level in [0.01, 0.8, 0.999] {
            for ahead in [0, 1, 9, u32::MAX] {
                let width = errors.widths(level, &[]).at(ahead).unwrap();
                assert!(width >= 0.0 && width.is_finite(), "{errors:?} {level} {ahead}: {width}");
            }
        }
    }
}

#[test]
fn no_model_keeps_too_many() {
    let all = Errors::of((0..100_000).map(|at| (at % 10 + 1, f64::from(at))));
    assert_eq!(all.sizes.len(), MOST);
    assert!(all.widths(0.9, &[]).at(10) > Some(80_000.0));
}
