//! The bins of a column of numbers.
//!
//! As many distinct values as there may be bins have a bin each, so splits are exact; more are cut
//! at quantiles, with frequent values alone in theirs.

/// The least and the greatest known value in each bin, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bins {
    pub(crate) least: Vec<f64>,
    pub(crate) most: Vec<f64>,
}

impl Bins {
    /// Cuts ascending values into at most `max_bins` bins.
    pub(crate) fn cut(sorted: &[f64], max_bins: usize) -> Self {
        // Zero has two signs, which are equal to every comparison but `total_cmp`.
        let runs = || sorted.chunk_by(|a, b| a == b);
        let n_distinct = runs().count();
        let mut bins = Self {
            least: Vec::with_capacity(n_distinct.min(max_bins)),
            most: Vec::with_capacity(n_distinct.min(max_bins)),
        };
        let (mut n_left, mut n_in_bin, mut n_distinct_left) = (sorted.len(), 0, n_distinct);
        for run in runs() {
            let value = run[0];
            if n_in_bin == 0 {
                bins.least.push(value);
                bins.most.push(value);
            } else if let Some(most) = bins.most.last_mut() {
                *most = value;
            }
            n_in_bin += run.len();
            n_distinct_left -= 1;
            let n_bins_left = max_bins - bins.least.len();
            let is_full = n_in_bin * (n_bins_left + 1) >= n_left;
            if n_distinct_left <= n_bins_left || is_full {
                n_left -= n_in_bin;
                n_in_bin = 0;
            }
        }
        bins
    }

    /// A number between two bins.
    pub(crate) fn between(&self, lower: usize, upper: usize) -> f64 {
        let (most, least) = (self.most[lower], self.least[upper]);
        let middle = most / 2.0 + least / 2.0;
        if middle >= most && middle < least { middle } else { most }
    }

    /// What parts each bin from the next: a value belongs to the first bin whose cut it does not
    /// exceed, also one that was not among those that were cut.
    pub(crate) fn cuts(&self) -> Vec<f64> {
        (1..self.least.len()).map(|upper| self.between(upper - 1, upper)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BINS: usize = 255;

    /// The bin of a value.
    fn code(bins: &Bins, value: f64) -> usize {
        bins.most.partition_point(|most| *most < value)
    }

    #[test]
    fn few_values_have_a_bin_each() {
        let bins = Bins::cut(&[-0.0, 0.0, 1.0, 1.0, 1e300], MAX_BINS);
        assert_eq!(bins.least, bins.most);
        assert_eq!(bins.least.len(), 3);
        assert_eq!(code(&bins, 1.0), 1);
        assert!(bins.between(1, 2) < 1e300);
    }

    #[test]
    fn many_values_are_cut_into_even_bins() {
        let sorted: Vec<f64> = (0..10_000).map(f64::from).collect();
        let bins = Bins::cut(&sorted, MAX_BINS);
        assert_eq!(bins.least.len(), MAX_BINS);
        let mut counts = [0; MAX_BINS];
        for value in &sorted {
            let code = code(&bins, *value);
            assert!(bins.least[code] <= *value && *value <= bins.most[code]);
            counts[code] += 1;
        }
        assert!(counts.iter().all(|count| (30..=50).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_frequent_value_does_not_cost_the_others_their_bins() {
        let mut sorted = vec![0.0; 9_000];
        sorted.extend((1..=1_000).map(f64::from));
        let bins = Bins::cut(&sorted, MAX_BINS);
        assert_eq!((bins.least[0], bins.most[0]), (0.0, 0.0));
        assert!(bins.least.len() > 200, "{}", bins.least.len());
    }

    #[test]
    fn cuts_part_the_values_as_bins_do() {
        let sorted: Vec<f64> = (0..1_000).map(|n| f64::from(n * n)).collect();
        let bins = Bins::cut(&sorted, 63);
        let cuts = bins.cuts();
        for value in &sorted {
            assert_eq!(cuts.partition_point(|cut| cut < value), code(&bins, *value));
        }
    }
}
