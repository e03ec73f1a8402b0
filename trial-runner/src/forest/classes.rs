//! Splits of several classes: Gini impurity or entropy.
//!
//! A row that changes sides changes one class's count: the impurity of both sides follows from the
//! last one's, whatever the number of classes.

use super::measure::{Best, Left, Measure, Scan};
use super::{Job, Truth};

/// What unlike weights of a tree's rows may sum up to.
const MAX_WEIGHT: f64 = (1_u64 << 28) as f64;
/// Logarithms are looked up for weights up to so many.
const MAX_LOGS: usize = 1 << 20;
const BINS: usize = 256;

/// The rows' classes and weights.
#[derive(Debug, Default)]
pub(crate) struct Lots {
    /// A row's, for every row of the grid.
    lots: Vec<Lot>,
    /// x ln x for small whole numbers.
    logs: Vec<f64>,
}

/// The weight that a row adds to a class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lot {
    class: u32,
    weight: u32,
}

/// Weighs the rows in whole numbers.
pub(super) fn lots(job: &Job<'_>, codes: &[u32]) -> Lots {
    let n_drawn = job.settings.n_drawn.unwrap_or(job.rows.len()).max(1);
    let rows = || job.rows.iter().map(|&row| row as usize);
    let (weight_scale, whole) = match job.weights {
        None => (1.0, n_drawn),
        Some(weights) => {
            let top = rows().map(|row| weights[row]).fold(0.0, f64::max);
            ((MAX_WEIGHT / (n_drawn as f64 + 1.0) - 1.0).max(1.0) / top, usize::MAX)
        }
    };
    let mut lots = vec![Lot::default(); job.grid.n_rows];
    for row in rows() {
        let weight = job.weights.map_or(1.0, |weights| weights[row]);
        let weight = (weight * weight_scale).round().max(1.0) as u32;
        lots[row] = Lot { class: codes[row], weight };
    }
    let is_entropy = matches!(job.truth, Truth::Classes { by_entropy: true, .. });
    let n_logs = if is_entropy && whole <= MAX_LOGS { whole + 1 } else { 0 };
    let logs = (0..n_logs).map(|number| x_log_x(number as f64)).collect();
    Lots { lots, logs }
}

fn x_log_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

/// The impurity of classes.
#[derive(Clone)]
pub(super) struct Classes<'a, const ENTROPY: bool> {
    lots: &'a Lots,
    truth: Truth<'a>,
    n_classes: usize,
    total: Vec<f64>,
    left: Vec<f64>,
    weight: f64,
    /// The sum of the total's squares, or of x ln x.
    whole: f64,
    bins: Vec<f64>,
    counts: [u32; BINS],
}

/// The classes of one side, beside those of the node.
pub(super) struct Side<'m, const ENTROPY: bool> {
    logs: &'m [f64],
    total: &'m [f64],
    left: &'m mut [f64],
    weight: f64,
    left_weight: f64,
    /// The sums of squares, or of x ln x, of both sides.
    left_sum: f64,
    right_sum: f64,
}

impl<'a, const ENTROPY: bool> Classes<'a, ENTROPY> {
    pub(super) fn new(lots: &'a Lots, n_classes: usize, truth: Truth<'a>) -> Self {
        Self {
            lots,
            truth,
            n_classes,
            total: vec![0.0; n_classes],
            left: vec![0.0; n_classes],
            weight: 0.0,
            whole: 0.0,
            bins: Vec::new(),
            counts: [0; BINS],
        }
    }
}

#[inline(always)]
fn log(logs: &[f64], x: f64) -> f64 {
    match logs.get(x as usize) {
        Some(log) => *log,
        None => x_log_x(x),
    }
}

impl<const ENTROPY: bool> Side<'_, ENTROPY> {
    #[inline(always)]
    fn move_over(&mut self, class: usize, weight: f64) {
        let Some((left, total)) = self.left.get_mut(class).zip(self.total.get(class)) else {
            return;
        };
        let right = total - *left;
        if ENTROPY {
            self.left_sum += log(self.logs, *left + weight) - log(self.logs, *left);
            self.right_sum += log(self.logs, right - weight) - log(self.logs, right);
        } else {
            self.left_sum += weight * (2.0 * *left + weight);
            self.right_sum -= weight * (2.0 * right - weight);
        }
        *left += weight;
        self.left_weight += weight;
    }
}

impl<const ENTROPY: bool> Left for Side<'_, ENTROPY> {
    type Item = Lot;

    #[inline(always)]
    fn add(&mut self, item: Lot) {
        self.move_over(item.class as usize, f64::from(item.weight));
    }

    #[inline(always)]
    fn score(&self) -> f64 {
        let (left, right) = (self.left_weight, self.weight - self.left_weight);
        if ENTROPY {
            let parts = log(self.logs, left) + log(self.logs, right);
            // Never below zero: what is left of the whole's disorder is taken from it.
            log(self.logs, self.weight) + self.left_sum + self.right_sum - parts
        } else {
            self.left_sum / left + self.right_sum / right
        }
    }
}

impl<const ENTROPY: bool> Measure for Classes<'_, ENTROPY> {
    type Item = Lot;
    type Left<'m>
        = Side<'m, ENTROPY>
    where
        Self: 'm;

    #[inline(always)]
    fn item(&self, row: u32, n_draws: u32) -> Lot {
        let lot = self.lots.lots[row as usize];
        Lot { weight: lot.weight.saturating_mul(n_draws), ..lot }
    }

    fn is_pure(&self, rows: &[u32]) -> bool {
        match self.truth {
            Truth::Numbers(_) => false,
            Truth::Classes { codes, .. } => super::numbers::all_equal(rows, codes),
        }
    }

    fn open(&mut self, items: impl Iterator<Item = Lot>) {
        self.total.fill(0.0);
        self.weight = 0.0;
        for item in items {
            let weight = f64::from(item.weight);
            self.total[item.class as usize] += weight;
            self.weight += weight;
        }
        let logs = &self.lots.logs;
        let each = self.total.iter();
        self.whole = each.map(|&x| if ENTROPY { log(logs, x) } else { x * x }).sum();
    }

    fn left(&mut self) -> Side<'_, ENTROPY> {
        self.left.fill(0.0);
        Side {
            logs: &self.lots.logs,
            total: &self.total,
            left: &mut self.left,
            weight: self.weight,
            left_weight: 0.0,
            left_sum: 0.0,
            right_sum: self.whole,
        }
    }

    fn try_bins(
        &mut self,
        codes: &[u8],
        rows: &[u32],
        items: &[Lot],
        scan: Scan,
        best: &mut Best,
    ) -> bool {
        let n_classes = self.n_classes;
        let missing = usize::from(scan.missing);
        let mut bins = std::mem::take(&mut self.bins);
        bins.clear();
        bins.resize((missing + 1) * n_classes, 0.0);
        let mut counts = self.counts;
        counts.fill(0);
        for (&row, item) in rows.iter().zip(items) {
            let code = usize::from(codes[row as usize]);
            counts[code] += 1;
            bins[code * n_classes + item.class as usize] += f64::from(item.weight);
        }
        let is_varied = counts.iter().filter(|count| **count > 0).count() > 1;
        let n_missing = counts[missing] as usize;
        let mut try_from = |end: usize, n_moved: usize| {
            let mut left = self.left();
            let mut n_left = n_moved;
            let add = |left: &mut Side<'_, ENTROPY>, bin: usize| {
                for (class, &weight) in bins[bin * n_classes..][..n_classes].iter().enumerate() {
                    if weight > 0.0 {
                        left.move_over(class, weight);
                    }
                }
            };
            if n_moved > 0 {
                add(&mut left, missing);
            }
            let mut last = None;
            for bin in (0..end).filter(|bin| counts[*bin] > 0) {
                let is_large = (n_left >= scan.least) & (rows.len() - n_left >= scan.least);
                if let Some(last) = last
                    && is_large
                    && left.score() > best.score
                {
                    best.score = left.score();
                    (best.column, best.missing_left) = (scan.column, n_moved > 0);
                    (best.last, best.next) = (last, bin as u8);
                }
                add(&mut left, bin);
                n_left += counts[bin] as usize;
                last = Some(bin as u8);
            }
        };
        if is_varied {
            try_from(missing + 1, 0);
            if n_missing > 0 {
                try_from(missing, n_missing);
            }
        }
        self.bins = bins;
        is_varied
    }

    fn decrease(&self, best: &Best, whole: f64) -> f64 {
        if ENTROPY {
            // In bits, as scikit-learn's.
            (best.score - self.whole) / std::f64::consts::LN_2 / whole
        } else {
            (best.score - self.whole / self.weight) / whole
        }
    }

    fn weight(&self) -> f64 {
        self.weight
    }
}
