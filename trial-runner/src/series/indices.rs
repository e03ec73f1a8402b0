//! Seasonal indices by classical decomposition: a centred moving average takes the trend out, the
//! mean of what is left in each phase is that phase's index (Kendall & Stuart; R's `decompose`).

/// How a season enters a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Season {
    /// Added; the indices sum to 0.
    Add,
    /// Scales; the indices average 1. The values must be above 0.
    Mul,
}

/// The index of each phase, phase 0 first; none with fewer than two whole seasons.
pub(crate) fn classical(y: &[f64], season: usize, kind: Season) -> Option<Vec<f64>> {
    let n = y.len();
    if season < 2 || n < 2 * season {
        return None;
    }
    let half = season / 2;
    let mut means = Means { season, sum: 0.0, n_slid: 0 };
    let mut sums = vec![0.0; season];
    let mut counts = vec![0_u32; season];
    for t in half..n - half {
        let trend = means.next(y, t);
        let left = match kind {
            Season::Add => y[t] - trend,
            Season::Mul => y[t] / trend,
        };
        sums[t % season] += left;
        counts[t % season] += 1;
    }
    let mut indices: Vec<f64> =
        sums.iter().zip(&counts).map(|(sum, &count)| sum / f64::from(count.max(1))).collect();
    let mean = indices.iter().sum::<f64>() / season as f64;
    for index in &mut indices {
        match kind {
            Season::Add => *index -= mean,
            Season::Mul => *index /= mean,
        }
    }
    indices.iter().all(|index| index.is_finite()).then_some(indices)
}

/// Seasons beyond this are summed up as they slide.
const LONG: usize = 512;

/// The means of windows of one season around ever later steps; an even season weighs both ends by
/// half.
struct Means {
    season: usize,
    sum: f64,
    /// How often the sum has slid since it was last taken anew.
    n_slid: usize,
}

impl Means {
    fn next(&mut self, y: &[f64], t: usize) -> f64 {
        let half = self.season / 2;
        let window = &y[t - half..=t + half];
        // So many steps of rounding are all that adds up.
        let slides = self.season > LONG && self.n_slid > 0 && self.n_slid < self.season;
        if slides {
            self.sum += y[t + half] - y[t - half - 1];
            self.n_slid += 1;
        } else {
            self.sum = window.iter().sum();
            self.n_slid = 1;
        }
        let sum = match (self.season % 2, window.first(), window.last()) {
            (0, Some(first), Some(last)) => self.sum - (first + last) / 2.0,
            _ => self.sum,
        };
        sum / self.season as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_season_gives_the_season_back() {
        let season = [3.0, -1.0, 0.5, -2.5];
        let y: Vec<f64> = (0..17).map(|t| 10.0 + 2.0 * t as f64 + season[t % 4]).collect();
        let indices = classical(&y, 4, Season::Add).unwrap();
        for (index, truth) in indices.iter().zip(season) {
            assert!((index - truth).abs() < 1e-12);
        }
        let y: Vec<f64> = (0..15).map(|t| 7.0 * [0.5, 1.0, 1.5][t % 3]).collect();
        let indices = classical(&y, 3, Season::Mul).unwrap();
        for (index, truth) in indices.iter().zip([0.5, 1.0, 1.5]) {
            assert!((index - truth).abs() < 1e-12);
        }
    }

    #[test]
    fn long_seasons_slide_to_the_same_means() {
        for season in [LONG + 1, LONG + 2] {
            let y: Vec<f64> = (0..5 * season).map(|t| 1e6 + ((t * t) % 1_009) as f64).collect();
            let mut means = Means { season, sum: 0.0, n_slid: 0 };
            let half = season / 2;
            for t in half..y.len() - half {
                let mean = means.next(&y, t);
                let anew = Means { season, sum: 0.0, n_slid: 0 }.next(&y, t);
                assert!((mean - anew).abs() <= 1e-12 * anew, "{t}: {mean} {anew}");
            }
        }
    }

    #[test]
    fn fewer_than_two_seasons_have_no_indices() {
        assert_eq!(classical(&[1.0; 7], 4, Season::Add), None);
        assert_eq!(classical(&[1.0; 7], 1, Season::Add), None);
        assert_eq!(classical(&[0.0; 8], 4, Season::Mul), None);
    }
}
