//! What goes into one launch: which rows are summed together, what a block shares, how much is about
//! a second.
//!
//! Rows that train and validate in the same folds are a class; a fold is the sum of its classes, so
//! no row is summed twice and nothing is ever subtracted. The rates below were chosen from the
//! instructions of the kernels, not measured: they decide the size of a launch, nothing else.

use std::collections::{HashMap, HashSet};

use super::HEAD;
use super::course::bits;
use crate::cuda::fill::fill;
use crate::cuda::machine::Limits;
use crate::cuda::pool::Key;
use crate::folds::Fold;
use crate::trainer::linear::{Line, Settings};

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

    /// What an entity of it costs, whatever is tried.
    fn cost(&self) -> Cost {
        let numbers = self.n_rows * self.width + self.n_classes * self.width * self.width;
        let sums = self.n_rows as f64 * (self.width * self.width) as f64;
        Cost { n_bytes: 8 * numbers, seconds: sums / RATE }
    }

    /// What is added by all that somebody tries on it.
    fn cost_of(&self, (line, tried): (Line, &[Settings])) -> Cost {
        let (n, n_folds) = (self.n_features as f64, self.n_folds as f64);
        let forms: HashSet<u64> = tried.iter().map(|own| bits(own.form)).collect();
        let n_forms = forms.len();
        let squares = (self.width * self.width) as f64;
        let split = 2.0 * self.n_classes as f64 * squares + 8.0 * n * n;
        let mut sums = n_forms as f64 * split;
        let mut moves = 0.0;
        match line {
            Line::Ridge => {
                let each = n * n + 40.0 * n;
                sums += n_forms as f64 * 8.0 * n * n * n + tried.len() as f64 * each;
            }
            Line::Lasso | Line::ElasticNet => {
                let walk = |own: &Settings| (bits(own.form), own.penalty.l1_ratio.to_bits());
                let walks: HashSet<(u64, u64)> = tried.iter().map(walk).collect();
                let n_rests = RUNGS * walks.len() as f64 + tried.len() as f64;
                moves = n_rests * SWEEPS * n;
            }
        }
        let numbers = self.n_folds * (n_forms * self.system_numbers() + tried.len());
        Cost { n_bytes: 8 * numbers, seconds: n_folds * (sums / RATE + moves / MOVES) }
    }
}

/// The folds, a bit each, of which the training rows have no two numbers: no feature is made of them.
pub(super) fn constant(values: &[f64], classes: &Classes) -> u64 {
    let mut begin = 0;
    let of_class = classes.ends.iter().map(|&end| {
        let rows = &classes.rows[begin..end];
        begin = end;
        Said::by(rows.iter().map(|&row| values[row as usize]))
    });
    let of_class: Vec<Said> = of_class.collect();
    let is_constant = |train: &u64| {
        let own = of_class.iter().enumerate().filter(|(class, _)| train >> class & 1 != 0);
        own.fold(Said::Nothing, |all, (_, said)| all.and(*said)) != Said::More
    };
    let folds = classes.train.iter().enumerate();
    folds.fold(0, |bits, (fold, train)| bits | u64::from(is_constant(train)) << fold)
}

/// What rows say that may have a number.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Nothing,
    One(f64),
    /// Two that are not equal.
    More,
}

impl Said {
    fn by(values: impl Iterator<Item = f64>) -> Self {
        let mut all = Self::Nothing;
        for value in values.filter(|value| value.is_finite()) {
            all = all.and(Self::One(value));
            if all == Self::More {
                break;
            }
        }
        all
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, own) | (own, Self::Nothing) => own,
            (Self::One(one), Self::One(another)) if one == another => self,
            _ => Self::More,
        }
    }
}

/// What plans need to know of a wish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// What tells its entity from others.
    entity: Key,
    shared: Cost,
    own: Cost,
}

/// Bytes of a machine's memory, and seconds of all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    n_bytes: usize,
    seconds: f64,
}

impl Need {
    pub(super) fn of(entity: Key, shape: &Shape, tried: (Line, &[Settings])) -> Self {
        Self { entity, shared: shape.cost(), own: shape.cost_of(tried) }
    }
}

/// The wishes of each launch, those of the entities that take longest first. Those of one entity
/// stay together.
pub(super) fn chunks(needs: &[Need], limits: &Limits) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Cost, Vec<usize>)> = Vec::new();
    let mut known = HashMap::new();
    for (index, need) in needs.iter().enumerate() {
        let at = *known.entry(need.entity).or_insert_with(|| {
            groups.push((need.shared, Vec::new()));
            groups.len() - 1
        });
        let (cost, own) = &mut groups[at];
        cost.n_bytes += need.own.n_bytes;
        cost.seconds += need.own.seconds;
        own.push(index);
    }
    groups.sort_by(|(a, first), (b, second)| {
        b.seconds.total_cmp(&a.seconds).then(first[0].cmp(&second[0]))
    });
    let weighed = groups.iter().enumerate();
    let weighed = weighed.map(|(group, (cost, _))| (group, cost.n_bytes, cost.seconds));
    let launches = fill(weighed, (limits.memory, limits.launch_s));
    let all = |launch: Vec<usize>| launch.iter().flat_map(|&at| groups[at].1.clone()).collect();
    launches.into_iter().map(all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::pool::Place;
    use crate::trainer::linear::{Form, Penalty, Scaling};

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

    fn alphas(n: usize) -> Vec<Settings> {
        let form = Form { scaling: Scaling::Standard, has_intercept: true };
        let penalty = |alpha| Penalty { alpha, l1_ratio: 0.0, tolerance: 0.0, max_rounds: 0 };
        (0..n).map(|alpha| Settings { penalty: penalty(alpha as f64), form }).collect()
    }

    fn key<T>(entity: &T) -> Key {
        [Some(Place::one(entity)), None, None]
    }

    #[test]
    fn launches_are_about_a_second_and_the_longest_come_first() {
        let tried = alphas(100);
        let entities: Vec<(u8, Shape)> =
            (0..50_000).map(|at| (0, shape(20 + 20 * (at % 2)))).collect();
        let need = |own: &(u8, Shape)| Need::of(key(own), &own.1, (Line::Ridge, &tried));
        let needs: Vec<Need> = entities.iter().map(need).collect();
        let whole = |need: &Need| need.shared.seconds + need.own.seconds;
        let n_bytes = needs[1].shared.n_bytes + needs[1].own.n_bytes;
        assert!((500_000..600_000).contains(&n_bytes), "{n_bytes}");
        let share = Limits { launch_s: 0.02, ..LIMITS };
        let all = chunks(&needs, &share);
        let time = |chunk: &Vec<usize>| chunk.iter().map(|&at| whole(&needs[at])).sum::<f64>();
        assert!(whole(&needs[1]) < 1e-4 && all.len() > 1);
        assert!(all.iter().all(|chunk| time(chunk) <= 0.02 + 1e-9));
        assert!(all[..all.len() - 1].iter().all(|chunk| time(chunk) > 0.0199));
        assert_eq!(all[0][0], 1);
        let mut each = all.concat();
        each.sort_unstable();
        assert!(each.into_iter().eq(0..50_000));
        assert_eq!(chunks(&[], &LIMITS), Vec::<Vec<usize>>::new());
        let tight = Limits { memory: 2 * n_bytes, ..LIMITS };
        let five: Vec<Need> = needs.iter().skip(1).step_by(2).take(5).copied().collect();
        assert_eq!(chunks(&five, &tight), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn what_is_wanted_of_one_entity_stays_together() {
        let (one, other) = ((0_u8, shape(40)), (1_u8, shape(30)));
        let (many, few) = (alphas(100), alphas(10));
        let of = |own: &(u8, Shape), tried| Need::of(key(own), &own.1, (Line::Ridge, tried));
        let needs = [of(&other, &many), of(&one, &few), of(&other, &few), of(&one, &many)];
        assert_eq!(chunks(&needs, &LIMITS), [[1, 3, 0, 2]]);
        let alone = needs[1].shared.n_bytes + needs[1].own.n_bytes + needs[3].own.n_bytes;
        let tight = Limits { memory: alone, ..LIMITS };
        assert_eq!(chunks(&needs, &tight), [[1, 3], [0, 2]]);
    }

    #[test]
    fn folds_of_which_all_training_rows_have_one_number_are_known() {
        let folds = [
            fold(&[0, 1, 2, 3], &[4, 5]),
            fold(&[2, 3, 4, 5], &[0, 1]),
            fold(&[0, 1, 4, 5], &[2, 3]),
        ];
        let classes = Classes::of(&folds, 6).unwrap();
        let nan = f64::NAN;
        assert_eq!(constant(&[7.5, 7.5, 7.5, 7.5, 7.5, 8.0], &classes), 0b001);
        assert_eq!(constant(&[0.0, -0.0, 0.0, 0.0, 1.0, 1.0], &classes), 0b001);
        let next = 7.5_f64.next_up();
        assert_eq!(constant(&[7.5, 7.5, 7.5, next, 7.5, 7.5], &classes), 0b100);
        assert_eq!(constant(&[nan, 7.5, nan, nan, nan, 8.0], &classes), 0b011);
        assert_eq!(constant(&[nan, nan, nan, nan, f64::INFINITY, 2.0], &classes), 0b111);
        assert_eq!(constant(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0], &classes), 0);
    }
}
