//! Grows one tree on binned features: CART (Breiman et al., 1984), with random thresholds for extra
//! trees (Geurts, Ernst and Wehenkel, 2006).
//!
//! Ours rather than smartcore's: its classification forests give no probabilities, it has no extra
//! trees for classes, nodes are private, missing values are silently misread, and a fit cannot be
//! stopped. Deviations from scikit-learn: thresholds of features with more than 255 distinct values
//! lie between bins, and missing values go where they help most.

mod impurity;

use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::bins::{Binned, MISSING_BIN};
use crate::model::forest::Node;
use crate::stop::{Stop, Stopped};

use impurity::{Counts, Sides, add};
pub(super) use impurity::{Entropy, Gini, Impurity, Variance};

/// Visits of a row between two looks at the stop flag: well under a millisecond's worth.
const VISITS_BETWEEN_CHECKS: usize = 1 << 18;

/// When a tree stops growing and where it looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_depth: usize,
    pub(super) min_samples_split: usize,
    pub(super) min_samples_leaf: usize,
    /// Features looked at for each split.
    pub(super) n_features: usize,
    pub(super) splitter: Splitter,
}

/// Which thresholds are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splitter {
    /// All of them.
    Best,
    /// One at random for each feature.
    Random,
}

/// A training row in a tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) row: u32,
    pub(super) class: u32,
    pub(super) weight: f64,
    pub(super) value: f64,
}

/// Receives the tree as it grows.
pub(super) trait Planter {
    /// The number of a threshold.
    fn threshold(&mut self, threshold: f64) -> u32;
    /// The number of a leaf with these samples.
    fn leaf(&mut self, samples: &[Sample]) -> u32;
}

/// Memory that one tree after another grows in.
pub(super) struct Grower<'a, M: Impurity> {
    data: &'a Binned,
    impurity: M,
    limits: Limits,
    /// Sums and counts of each bin; zero between two features.
    sums: Vec<f64>,
    counts: Vec<u32>,
    sides: Sides<M::Sums>,
    features: Vec<u32>,
    /// The codes of the samples of a node.
    gathered: Vec<u8>,
    apart: Vec<Sample>,
    visits: usize,
}

/// A split of a node.
#[derive(Clone, Copy, Debug)]
struct Split {
    feature: usize,
    /// The last bin that goes left.
    bin: u8,
    threshold: f64,
    missing_left: bool,
    score: f64,
}

/// A node that is yet to be split.
struct Pending {
    start: usize,
    end: usize,
    depth: usize,
    /// The split whose right child this is.
    parent: Option<usize>,
}

impl<'a, M: Impurity> Grower<'a, M> {
    pub(super) fn new(data: &'a Binned, impurity: M, limits: Limits) -> Self {
        let width = impurity.zeros().as_ref().len();
        Self {
            data,
            limits,
            sums: vec![0.0; 256 * width],
            counts: vec![0; 256],
            sides: Sides::new(&impurity),
            gathered: Vec::new(),
            features: (0..data.columns.len() as u32).collect(),
            apart: Vec::new(),
            visits: 0,
            impurity,
        }
    }

    /// Grows a tree on the samples, which it reorders.
    pub(super) fn grow(
        &mut self,
        samples: &mut [Sample],
        rng: &mut Pcg64Mcg,
        planter: &mut impl Planter,
        stop: &Stop,
    ) -> Result<Vec<Node>, Stopped> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut pending = vec![Pending { start: 0, end: samples.len(), depth: 0, parent: None }];
        while let Some(Pending { start, end, depth, parent }) = pending.pop() {
            let here = nodes.len();
            if let Some(parent) = parent {
                nodes[parent].right |= ((here - parent) as u32) << 1;
            }
            let samples = &mut samples[start..end];
            let split = self.split(samples, depth, rng, stop)?;
            let Some(split) = split else {
                nodes.push(Node { feature: 0, value: planter.leaf(samples), right: 0 });
                continue;
            };
            nodes.push(Node {
                feature: split.feature as u32 + 1,
                value: planter.threshold(split.threshold),
                right: u32::from(split.missing_left),
            });
            let middle = start + self.part(samples, &split);
            let depth = depth + 1;
            pending.push(Pending { start: middle, end, depth, parent: Some(here) });
            pending.push(Pending { start, end: middle, depth, parent: None });
        }
        Ok(nodes)
    }

    /// The best split of a node; none when it is to be a leaf.
    fn split(
        &mut self,
        samples: &[Sample],
        depth: usize,
        rng: &mut Pcg64Mcg,
        stop: &Stop,
    ) -> Result<Option<Split>, Stopped> {
        let Limits { max_depth, min_samples_split, min_samples_leaf, .. } = self.limits;
        let is_leaf = depth >= max_depth
            || samples.len() < min_samples_split.max(2)
            || samples.len() < 2 * min_samples_leaf
            || self.impurity.is_pure(samples);
        if is_leaf {
            return Ok(None);
        }
        let total = self.sides.total.as_mut();
        total.fill(0.0);
        for sample in samples {
            self.impurity.add(total, sample, 1.0);
        }
        let n_all = self.features.len();
        let is_sampled = self.limits.n_features < n_all;
        let mut best: Option<Split> = None;
        let mut n_seen = 0;
        for index in 0..n_all {
            // Constant features do not count, as in scikit-learn.
            if n_seen == self.limits.n_features {
                break;
            }
            if is_sampled {
                let other = index + below(rng, n_all - index);
                self.features.swap(index, other);
            }
            self.visits += samples.len();
            if self.visits >= VISITS_BETWEEN_CHECKS {
                self.visits = 0;
                stop.check()?;
            }
            let feature = self.features[index] as usize;
            let varies = match self.limits.splitter {
                Splitter::Best => self.search(feature, samples, &mut best),
                Splitter::Random => self.draw(feature, samples, rng, &mut best),
            };
            n_seen += usize::from(varies);
        }
        Ok(best)
    }

    /// Tries every threshold of a feature; says whether the feature varies in the node.
    fn search(&mut self, feature: usize, samples: &[Sample], best: &mut Option<Split>) -> bool {
        let width = self.sides.total.as_ref().len();
        let occupied = self.fill_bins(feature, samples);
        // Local, so that sums of a known number stay in registers.
        let mut sides = std::mem::take(&mut self.sides);
        let at = MISSING_BIN as usize * width;
        let missing = sides.missing.as_mut();
        missing.copy_from_slice(&self.sums[at..at + width]);
        sides.left.as_mut().fill(0.0);
        let mut counts = Counts {
            n: samples.len(),
            n_left: 0,
            n_missing: self.counts[MISSING_BIN as usize] as usize,
            least: self.limits.min_samples_leaf.max(1),
        };
        let mut top = best.map_or(f64::NEG_INFINITY, |best| best.score);
        let mut found = None;
        let (mut last, mut n_bins) = (0, 0);
        for (word, bits) in occupied.into_iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let bin = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if n_bins > 0
                    && let Some((score, missing_left)) = sides.judge(&self.impurity, counts)
                    && score > top
                {
                    top = score;
                    found = Some((last, bin, missing_left));
                }
                let sums = &mut self.sums[bin * width..(bin + 1) * width];
                add(sides.left.as_mut(), sums, 1.0);
                sums.fill(0.0);
                counts.n_left += self.counts[bin] as usize;
                self.counts[bin] = 0;
                last = bin;
                n_bins += 1;
            }
        }
        self.sides = sides;
        if let Some((bin, next, missing_left)) = found {
            *best = Some(Split {
                feature,
                bin: bin as u8,
                threshold: if next == MISSING_BIN as usize {
                    f64::INFINITY
                } else {
                    self.data.columns[feature].between(bin, next)
                },
                missing_left,
                score: top,
            });
        }
        n_bins > 1
    }

    /// Adds the samples to their bins, and says by one bit each which bins that are.
    fn fill_bins(&mut self, feature: usize, samples: &[Sample]) -> [u64; 4] {
        let width = self.sides.total.as_ref().len();
        let codes = self.data.codes(feature);
        let mut occupied = [0_u64; 4];
        for sample in samples {
            let code = codes[sample.row as usize] as usize;
            occupied[code >> 6] |= 1 << (code & 63);
            self.counts[code] += 1;
            let sums = &mut self.sums[code * width..(code + 1) * width];
            self.impurity.add(sums, sample, 1.0);
        }
        occupied
    }

    /// Tries one random threshold of a feature; says whether the feature varies in the node.
    fn draw(
        &mut self,
        feature: usize,
        samples: &[Sample],
        rng: &mut Pcg64Mcg,
        best: &mut Option<Split>,
    ) -> bool {
        let codes = self.data.codes(feature);
        self.gathered.clear();
        self.gathered.extend(samples.iter().map(|sample| codes[sample.row as usize]));
        let (mut lowest, mut highest, mut n_missing) = (MISSING_BIN, 0, 0);
        for &code in &self.gathered {
            let is_missing = code == MISSING_BIN;
            n_missing += usize::from(is_missing);
            lowest = lowest.min(code);
            highest = highest.max(if is_missing { 0 } else { code });
        }
        if n_missing == samples.len() || (lowest == highest && n_missing == 0) {
            return false;
        }
        let bins = &self.data.columns[feature];
        let (bin, threshold) = if lowest == highest {
            (lowest as usize, f64::INFINITY)
        } else {
            bins.cut_at(lowest as usize, highest as usize, unit(rng))
        };
        let Sides { left, missing, .. } = &mut self.sides;
        let (left, missing) = (left.as_mut(), missing.as_mut());
        left.fill(0.0);
        missing.fill(0.0);
        let codes = &self.gathered;
        let n_left = self.impurity.add_up_to(bin as u8, left, samples, codes);
        if n_missing > 0 {
            for (sample, &code) in samples.iter().zip(codes) {
                let share = f64::from(u8::from(code == MISSING_BIN));
                self.impurity.add(missing, sample, share);
            }
        }
        let counts = Counts {
            n: samples.len(),
            n_left,
            n_missing,
            least: self.limits.min_samples_leaf.max(1),
        };
        if let Some((score, missing_left)) = self.sides.judge(&self.impurity, counts)
            && best.is_none_or(|best| score > best.score)
        {
            *best = Some(Split { feature, bin: bin as u8, threshold, missing_left, score });
        }
        true
    }

    /// Puts the samples that go left first and says how many they are.
    fn part(&mut self, samples: &mut [Sample], split: &Split) -> usize {
        let codes = self.data.codes(split.feature);
        self.apart.clear();
        let mut n_left = 0;
        for index in 0..samples.len() {
            let sample = samples[index];
            let code = codes[sample.row as usize];
            let goes_left =
                if code == MISSING_BIN { split.missing_left } else { code <= split.bin };
            if goes_left {
                samples[n_left] = sample;
                n_left += 1;
            } else {
                self.apart.push(sample);
            }
        }
        samples[n_left..].copy_from_slice(&self.apart);
        n_left
    }
}

/// A whole number below `n`.
pub(super) fn below(rng: &mut Pcg64Mcg, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A number in [0, 1).
fn unit(rng: &mut Pcg64Mcg) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
