//! What goes into one launch: which rows are summed together, what a block shares, how much is about
//! a second.
//!
//! Rows that train and validate in the same folds are a class; a fold is the sum of its classes, so
//! no row is summed twice and nothing is ever subtracted. The rates below were chosen from the
//! instructions of the kernels, not measured: they decide the size of a launch, nothing else.

use std::collections::HashMap;

use super::{Ask, HEAD, Penalties};
use crate::cuda::fill::fill;
use crate::cuda::machine::Limits;
use crate::folds::Fold;

/// Threads of a block, and so features, are no more.
const MOST_THREADS: usize = 128;
/// Bits of a word.
const MOST_CLASSES: usize = 64;
/// Sums of two products a second, on one card, that these kernels come to.
const RATE: f64 = 1e12;
/// Moves of one coordinate a second, all warps of a card together.
const MOVES: f64 = 2e10;
/// Moves of every coordinate until a penalty rests, the work to solve its equations among them.
const SWEEPS: f64 = 8.0;
/// The rungs of `net.cu`.
const RUNGS: f64 = 40.0;

/// Rows by the folds that they train and validate in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// Class after class.
    pub(super) rows: Vec<u32>,
    /// Where each class ends among them.
    pub(super) ends: Vec<usize>,
    /// For each fold the classes that train, a bit each.
    pub(super) train: Vec<u64>,
    pub(super) validate: Vec<u64>,
}

/// What decides how much room and time an entity takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) n_rows: usize,
    pub(super) width: usize,
    pub(super) n_features: usize,
    pub(super) n_classes: usize,
    pub(super) n_folds: usize,
}

impl Classes {
    /// None where a row is not there, or comes twice in a fold, or there are too many classes.
    pub(super) fn of(folds: &[Fold], n_rows: usize) -> Option<Self> {
        if folds.len() > MOST_CLASSES {
            return None;
        }
        let mut marks = vec![(0_u64, 0_u64); n_rows];
        for (index, fold) in folds.iter().enumerate() {
            let bit = 1 << index;
            for &row in &fold.train {
                let (train, _) = marks.get_mut(row as usize)?;
                if *train & bit != 0 {
                    return None;
                }
                *train |= bit;
            }
            for &row in &fold.validate {
                let (train, validate) = marks.get_mut(row as usize)?;
                if (*train | *validate) & bit != 0 {
                    return None;
                }
                *validate |= bit;
            }
        }
        let mut members: Vec<Vec<u32>> = Vec::new();
        let mut known = HashMap::new();
        let (mut train, mut validate) = (vec![0; folds.len()], vec![0; folds.len()]);
        for (row, mark) in (0_u32..).zip(&marks) {
            if *mark == (0, 0) {
                continue;
            }
            let class = *known.entry(*mark).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            if class >= MOST_CLASSES {
                return None;
            }
            members[class].push(row);
            for fold in 0..folds.len() {
                train[fold] |= ((mark.0 >> fold) & 1) << class;
                validate[fold] |= ((mark.1 >> fold) & 1) << class;
            }
        }
        let mut end = 0;
        let ends = members.iter().map(|rows| {
            end += rows.len();
            end
        });
        let ends = ends.collect();
        Some(Self { rows: members.concat(), ends, train, validate })
    }
}

impl Shape {
    /// The largest of both.
    pub(super) fn with(&self, other: &Self) -> Self {
        Self {
            n_rows: self.n_rows.max(other.n_rows),
            width: self.width.max(other.width),
            n_features: self.n_features.max(other.n_features),
            n_classes: self.n_classes.max(other.n_classes),
            n_folds: self.n_folds.max(other.n_folds),
        }
    }

    /// Whether each kernel has a block for it, of so many shared bytes at most.
    pub(super) fn fits(&self, most_shared: usize) -> bool {
        let (n_threads, n_lanes) = self.ridge_threads(most_shared);
        let shared = [
            self.gram_shared(),
            self.split_shared(),
            self.ridge_shared(n_lanes),
            self.net_shared(),
        ];
        n_threads <= MOST_THREADS && shared.iter().all(|&bytes| bytes <= most_shared)
    }

    /// Numbers of a fold's system.
    pub(super) fn system_numbers(&self) -> usize {
        let n = self.n_features;
        HEAD + 2 * n + 2 * n * n
    }

    pub(super) fn gram_shared(&self) -> usize {
        8 * 32 * self.width
    }

    pub(super) fn split_shared(&self) -> usize {
        8 * (self.width * self.width + 5 * self.n_features)
    }

    /// Threads of a block of `ridge.cu`, and how many of them take alphas.
    pub(super) fn ridge_threads(&self, most_shared: usize) -> (usize, usize) {
        let n_threads = self.n_features.next_multiple_of(32).max(32);
        let n_lanes = if self.ridge_shared(n_threads) > most_shared { 32 } else { n_threads };
        (n_threads, n_lanes)
    }

    pub(super) fn ridge_shared(&self, n_lanes: usize) -> usize {
        let n = self.n_features;
        8 * (7 * n + n * n + (n * n).max(2 * n * n_lanes))
    }

    pub(super) fn net_shared(&self) -> usize {
        let n = self.n_features;
        8 * (2 * n * (n + 1) + 4 * n)
    }

    /// Columns of a lane of `net.cu`: 1, 2 or 4, so that few kernels are compiled.
    pub(super) fn net_columns(&self) -> usize {
        self.n_features.div_ceil(32).next_power_of_two()
    }

    /// Bytes that it takes in a machine's memory, and about how long all asks take.
    fn weigh(&self, asks: &[Ask<'_>]) -> (usize, f64) {
        let (n, width) = (self.n_features as f64, self.width as f64);
        let (n_folds, n_classes) = (self.n_folds as f64, self.n_classes as f64);
        let mut sums = self.n_rows as f64 * width * width;
        let mut moves = 0.0;
        let mut n_losses = 0;
        for ask in asks {
            sums += n_folds * (2.0 * n_classes * width * width + 8.0 * n * n);
            match ask.penalties {
                Penalties::Ridge(alphas) => {
                    let each = n * n + 40.0 * n;
                    sums += n_folds * (8.0 * n * n * n + alphas.len() as f64 * each);
                }
                Penalties::Net(penalties) => {
                    let n_rests = RUNGS + penalties.len() as f64;
                    moves += n_folds * n_rests * SWEEPS * n;
                }
            }
            n_losses = n_losses.max(ask.penalties.len());
        }
        let numbers = self.n_rows * self.width
            + self.n_classes * self.width * self.width
            + self.n_folds * (self.system_numbers() + n_losses);
        (8 * numbers, sums / RATE + moves / MOVES)
    }
}

/// The entities of each launch, those that take longest first.
pub(super) fn chunks(
    shapes: &[Option<Shape>],
    asks: &[Ask<'_>],
    limits: &Limits,
) -> Vec<Vec<usize>> {
    let weighed = shapes.iter().enumerate().filter_map(|(index, shape)| {
        let (bytes, seconds) = shape.as_ref()?.weigh(asks);
        Some((index, bytes, seconds))
    });
    let mut weighed: Vec<(usize, usize, f64)> = weighed.collect();
    weighed.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    fill(weighed, (limits.memory, limits.launch_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::linear::{Form, Scaling};

    fn fold(train: &[u32], validate: &[u32]) -> Fold {
        Fold { train: train.to_vec(), validate: validate.to_vec() }
    }

    #[test]
    fn rows_of_the_same_folds_are_a_class() {
        let folds = [fold(&[0, 1, 4], &[2, 3]), fold(&[2, 3, 4], &[0, 1])];
        let classes = Classes::of(&folds, 6).unwrap();
        assert_eq!(classes.rows, [0, 1, 2, 3, 4]);
        assert_eq!(classes.ends, [2, 4, 5]);
        assert_eq!((classes.train, classes.validate), (vec![0b101, 0b110], vec![0b010, 0b001]));
    }

    #[test]
    fn what_sums_cannot_say_is_left_to_the_cpu() {
        assert_eq!(Classes::of(&[fold(&[0, 0], &[1])], 2), None);
        assert_eq!(Classes::of(&[fold(&[0], &[1, 1])], 2), None);
        assert_eq!(Classes::of(&[fold(&[0, 1], &[1])], 2), None);
        assert_eq!(Classes::of(&[fold(&[0], &[2])], 2), None);
        let folds: Vec<Fold> = (0..65).map(|row| fold(&[row], &[row + 1])).collect();
        assert_eq!(Classes::of(&folds, 70), None);
        // One class a row and one that no fold knows.
        assert_eq!(Classes::of(&folds[..60], 70).map(|classes| classes.ends.len()), Some(61));
    }

    fn shape(n_features: usize) -> Shape {
        let width = (n_features + 2).next_multiple_of(4);
        Shape { n_rows: 1_000, width, n_features, n_classes: 5, n_folds: 5 }
    }

    const LIMITS: Limits = Limits {
        n_processors: 108,
        max_shared: 160 << 10,
        processor_shared: 164 << 10,
        memory: 8 << 30,
        launch_s: 1.0,
    };

    #[test]
    fn blocks_share_no_more_than_a_card_has() {
        let most = LIMITS.max_shared;
        let shape_40 = shape(40);
        assert_eq!(shape_40.ridge_threads(most), (64, 64));
        assert_eq!(shape_40.ridge_shared(64), 8 * (280 + 1_600 + 5_120));
        assert_eq!(
            (shape_40.net_columns(), shape(33).net_columns(), shape(3).net_columns()),
            (2, 2, 1)
        );
        assert_eq!(shape(96).ridge_threads(most), (96, 32));
        assert_eq!(shape(97).net_columns(), 4);
        assert!(shape(99).fits(most) && !shape(100).fits(most) && shape(0).fits(most));
        // A card of compute capability 8.6 or 12.0 has less, one of 9.0 has more.
        let (less, more) = (98 << 10, 226 << 10);
        assert_eq!(shape(70).ridge_threads(less), (96, 32));
        assert!(shape(77).fits(less) && !shape(78).fits(less));
        assert!(shape(118).fits(more) && !shape(119).fits(more));
    }

    #[test]
    fn launches_are_about_a_second_and_the_longest_come_first() {
        let alphas = vec![1.0; 100];
        let form = Form { scaling: Scaling::Standard, has_intercept: true };
        let asks = [Ask { form, penalties: Penalties::Ridge(&alphas) }];
        let (bytes, seconds) = shape(40).weigh(&asks);
        assert!(bytes > 500_000 && bytes < 600_000, "{bytes}");
        let shapes: Vec<Option<Shape>> =
            (0..50_000).map(|at| [Some(shape(20)), None, Some(shape(40))][at % 3]).collect();
        let chunks = chunks(&shapes, &asks, &LIMITS);
        let time = |chunk: &Vec<usize>| {
            let each = chunk.iter().filter_map(|&at| shapes[at]);
            each.map(|shape| shape.weigh(&asks).1).sum::<f64>()
        };
        assert!(seconds < 1e-4 && chunks.len() > 1);
        assert!(chunks.iter().all(|chunk| time(chunk) <= 1.0 + 1e-9));
        assert_eq!(shapes[chunks[0][0]], Some(shape(40)));
        let mut all = chunks.concat();
        all.sort_unstable();
        assert_eq!(all, (0..50_000).filter(|at| at % 3 != 1).collect::<Vec<_>>());
        assert_eq!(super::chunks(&[None, None], &asks, &LIMITS), Vec::<Vec<usize>>::new());
        let tight = Limits { memory: 2 * bytes, ..LIMITS };
        let two = super::chunks(&[Some(shape(40)); 5], &asks, &tight);
        assert_eq!(two, [vec![0, 1], vec![2, 3], vec![4]]);
    }
}
