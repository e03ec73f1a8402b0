//! Properties of the engine as a whole.

mod words;

use super::*;
use table::Raw;

/// Numbers that look random, for data.
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = mix(&[self.0]);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

struct Data {
    numbers: Vec<Vec<f64>>,
    words: Vec<(Vec<u32>, usize)>,
    targets: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Data {
    /// Waves, steps, a word column and missing values, and a target above 0 that depends on them.
    fn mixed(n_rows: usize, seed: u64) -> Self {
        let mut noise = Noise(seed);
        let mut column =
            |scale: f64| -> Vec<f64> { (0..n_rows).map(|_| noise.unit() * scale).collect() };
        let (x, mut gappy, idle) = (column(6.0), column(1.0), column(1.0));
        let steps: Vec<f64> = column(5.0).iter().map(|value| value.floor()).collect();
        let words: Vec<u32> = (0..n_rows).map(|_| noise.below(12) as u32).collect();
        let targets = (0..n_rows).map(|row| {
            let word = if [1, 4, 7].contains(&words[row]) { 2.0 } else { 0.0 };
            let gap = if noise.unit() < 0.3 {
                gappy[row] = f64::NAN;
                1.5
            } else {
                gappy[row]
            };
            3.0 + x[row].sin() + 0.5 * steps[row] + word + gap + 0.2 * noise.unit()
        });
        let targets = targets.collect();
        let numbers = vec![x, gappy, steps, idle];
        Self { numbers, words: vec![(words, 12)], targets, weights: None }
    }

    fn table(&self) -> Table {
        let numbers = self.numbers.iter().map(|values| Raw::Numbers(values));
        let words = self.words.iter();
        let words = words.map(|(codes, n_levels)| Raw::Words { codes, n_levels: *n_levels });
        let raw: Vec<Raw<'_>> = numbers.chain(words).collect();
        Table::new(&raw, (self.targets.len(), None), 63, 1)
    }

    fn all(&self) -> Vec<u32> {
        (0..self.targets.len() as u32).collect()
    }
}

fn settings(loss: Loss) -> Settings {
    Settings {
        loss,
        n_estimators: 20,
        learning_rate: 0.2,
        max_depth: None,
        num_leaves: 15,
        min_child_samples: 5,
        min_child_weight: 1e-3,
        min_split_gain: 0.0,
        subsample: 1.0,
        colsample_bytree: 1.0,
        reg_alpha: 0.0,
        reg_lambda: 0.0,
    }
}

const LOSSES: [Loss; 9] = [
    Loss::Squared,
    Loss::Absolute,
    Loss::Huber { delta: 0.9 },
    Loss::Quantile { level: 0.8 },
    Loss::Poisson,
    Loss::Tweedie { power: 1.5 },
    Loss::Logistic,
    Loss::Softmax { n_classes: 3 },
    Loss::Softmax { n_classes: 1 },
];

/// The target as a loss wants it.
fn suited(loss: Loss, targets: &[f64]) -> Vec<f64> {
    let mean = targets.iter().sum::<f64>() / targets.len() as f64;
    let suit = |target: &f64| match loss {
        Loss::Logistic => f64::from(*target > mean),
        Loss::Softmax { n_classes } => {
            f64::from(u8::from(*target > mean) + u8::from(*target > 1.3 * mean))
                .min(n_classes as f64 - 1.0)
        }
        Loss::Poisson | Loss::Tweedie { .. } => target.abs(),
        _ => *target,
    };
    targets.iter().map(suit).collect()
}

struct Run {
    boosted: Boosted,
    /// After every round.
    scores: Vec<Vec<f64>>,
}

fn run(data: &Data, settings: &Settings, rows: &[u32], watched: &[u32], n_threads: usize) -> Run {
    run_on(&data.table(), data, settings, rows, watched, n_threads)
}

fn run_on(
    table: &Table,
    data: &Data,
    settings: &Settings,
    rows: &[u32],
    watched: &[u32],
    n_threads: usize,
) -> Run {
    let stop = Stop::default();
    let weights = data.weights.as_deref();
    let targets = &data.targets;
    let job =
        Job { table, targets, weights, rows, watched, settings, seed: 5, stop: &stop, n_threads };
    let mut scores = Vec::new();
    let boosted = fit(&job, &mut Workspace::default(), &mut |round| {
        scores.push(round.scores.to_vec());
        ControlFlow::Continue(())
    });
    Run { boosted: boosted.unwrap(), scores }
}

/// A row's score by walking from root to leaf.
fn walk(table: &Table, boosted: &Boosted, row: usize) -> Vec<f64> {
    let mut scores = boosted.initial.clone();
    let n_scores = scores.len();
    let mut first = 0;
    for (index, &size) in boosted.trees.sizes.iter().enumerate() {
        let nodes = &boosted.trees.nodes[first..first + size as usize];
        let mut node = &nodes[0];
        loop {
            let goes_left = match node.split {
                Split::Leaf => break,
                Split::Cut { column, last, missing_left } => {
                    let code = table.codes(column as usize).of(row);
                    let missing = table.columns[column as usize].missing;
                    if Some(code) == missing { missing_left } else { code <= u16::from(last) }
                }
                Split::Set { column, first, n } => {
                    let set = &boosted.trees.sets[first as usize..][..n as usize];
                    set.binary_search(&table.codes(column as usize).of(row)).is_ok()
                }
            };
            node = &nodes[if goes_left { node.left } else { node.right } as usize];
        }
        scores[index % n_scores] += node.value;
        first += size as usize;
    }
    scores
}

/// The mean loss of scores.
fn mean_loss(loss: Loss, targets: &[f64], scores: &[f64]) -> f64 {
    let n_scores = loss.n_scores();
    let one = |(target, scores): (&f64, &[f64])| loss.of(*target, scores);
    targets.iter().zip(scores.chunks(n_scores)).map(one).sum::<f64>() / targets.len() as f64
}

fn fold(n_rows: usize) -> (Vec<u32>, Vec<u32>) {
    (0..n_rows as u32).partition(|row| row % 3 != 0)
}

#[test]
fn every_loss_falls_on_rows_that_were_not_learnt_from() {
    for loss in LOSSES {
        let mut data = Data::mixed(600, 1);
        data.targets = suited(loss, &data.targets);
        let (rows, watched) = fold(600);
        let found = run(&data, &settings(loss), &rows, &watched, 1);
        if loss == (Loss::Softmax { n_classes: 1 }) {
            assert!(found.scores.is_empty());
            continue;
        }
        let targets: Vec<f64> = watched.iter().map(|&row| data.targets[row as usize]).collect();
        let initial = found.boosted.initial.repeat(watched.len());
        let before = mean_loss(loss, &targets, &initial);
        let after = mean_loss(loss, &targets, &found.scores[19]);
        let least = match loss {
            Loss::Squared | Loss::Huber { .. } => 0.25,
            Loss::Poisson | Loss::Tweedie { .. } => 1.0,
            _ => 0.75,
        };
        assert!(after < before * least, "{loss:?}: {after} after {before}");
    }
}

#[test]
fn what_is_told_is_what_the_trees_say() {
    for loss in LOSSES {
        for share in [1.0, 0.6] {
            let mut data = Data::mixed(500, 2);
            data.targets = suited(loss, &data.targets);
            let (rows, watched) = fold(500);
            let table = data.table();
            let settings = Settings { subsample: share, colsample_bytree: share, ..settings(loss) };
            let found = run_on(&table, &data, &settings, &rows, &watched, 1);
            let Some(last) = found.scores.last() else {
                continue;
            };
            let n_scores = loss.n_scores();
            for (&row, told) in watched.iter().zip(last.chunks(n_scores)) {
                for (walked, told) in walk(&table, &found.boosted, row as usize).iter().zip(told) {
                    assert!((walked - told).abs() <= 1e-12 * told.abs().max(1.0), "{loss:?}");
                }
            }
        }
    }
}

#[test]
fn threads_and_order_change_nothing() {
    for loss in [Loss::Squared, Loss::Logistic, Loss::Quantile { level: 0.3 }] {
        let mut data = Data::mixed(40_000, 3);
        data.targets = suited(loss, &data.targets);
        let settings = Settings { n_estimators: 4, subsample: 0.9, ..settings(loss) };
        let (rows, watched) = fold(40_000);
        let one = run(&data, &settings, &rows, &watched, 1);
        for n_threads in [2, 4, 7] {
            let many = run(&data, &settings, &rows, &watched, n_threads);
            assert_eq!(one.boosted, many.boosted, "{loss:?}, {n_threads} threads");
            assert_eq!(one.scores, many.scores);
        }
    }
    for (n_rows, loss) in [(300, Loss::Squared), (6_000, Loss::Squared), (300, Loss::Logistic)] {
        let mut data = Data::mixed(n_rows, 4);
        data.targets = suited(loss, &data.targets);
        let here = run(&data, &settings(loss), &data.all(), &[], 1);
        data.numbers.iter_mut().for_each(|column| column.reverse());
        data.words.iter_mut().for_each(|(codes, _)| codes.reverse());
        data.targets.reverse();
        let there = run(&data, &settings(loss), &data.all(), &[], 1);
        assert_eq!(here.boosted, there.boosted, "{loss:?}, {n_rows} rows");
    }
}

#[test]
fn fewer_trees_are_the_beginning_of_more() {
    let data = Data::mixed(300, 5);
    let (rows, watched) = fold(300);
    let sampled = Settings { subsample: 0.7, colsample_bytree: 0.7, ..settings(Loss::Squared) };
    for settings in [settings(Loss::Squared), sampled] {
        let many = run(&data, &settings, &rows, &watched, 1);
        let few = run(&data, &Settings { n_estimators: 7, ..settings }, &rows, &watched, 1);
        assert_eq!(few.boosted.trees.sizes[..], many.boosted.trees.sizes[..7]);
        let n_nodes = few.boosted.trees.nodes.len();
        assert_eq!(few.boosted.trees.nodes[..], many.boosted.trees.nodes[..n_nodes]);
        assert_eq!(few.scores[..], many.scores[..7]);
    }
}

#[test]
fn a_row_of_no_weight_is_not_there() {
    for loss in LOSSES {
        let mut data = Data::mixed(400, 6);
        data.targets = suited(loss, &data.targets);
        let weigh = |row: usize| [0.0, 1.0, 2.5, 0.3][row % 4];
        data.weights = Some((0..400).map(weigh).collect());
        let without: Vec<u32> = (0..400).filter(|row| row % 4 != 0).collect();
        let all = data.all();
        let with = run(&data, &settings(loss), &all, &[], 1);
        assert_eq!(with.boosted, run(&data, &settings(loss), &without, &[], 1).boosted, "{loss:?}");
    }
}

#[test]
fn a_weight_counts_as_so_many_rows() {
    let mut data = Data::mixed(300, 7);
    let twice: Vec<usize> = (0..300).flat_map(|row| vec![row; row % 2 + 1]).collect();
    let mut doubled = Data {
        numbers: data.numbers.iter().map(|x| twice.iter().map(|&row| x[row]).collect()).collect(),
        words: Vec::new(),
        targets: twice.iter().map(|&row| data.targets[row]).collect(),
        weights: None,
    };
    data.words.clear();
    doubled.words.clear();
    data.weights = Some((0..300).map(|row| f64::from(row % 2 + 1)).collect());
    let settings = Settings { min_child_samples: 1, ..settings(Loss::Squared) };
    let weighted = run(&data, &settings, &data.all(), &data.all(), 1);
    let repeated = run(&doubled, &settings, &doubled.all(), &doubled.all(), 1);
    let loss =
        |found: &Run, data: &Data| mean_loss(Loss::Squared, &data.targets, &found.scores[19]);
    let (weighted, repeated) = (loss(&weighted, &data), loss(&repeated, &doubled));
    assert!((weighted / repeated - 1.0).abs() < 0.2, "{weighted} beside {repeated}");
}

#[test]
fn a_column_that_stands_twice_changes_nothing() {
    let data = Data::mixed(300, 8);
    let mut twice = Data::mixed(300, 8);
    // Bins of columns without gaps come first: the copy must come after all of them.
    twice.numbers.push(twice.numbers[2].clone());
    let here = run(&data, &settings(Loss::Squared), &data.all(), &data.all(), 1);
    let there = run(&twice, &settings(Loss::Squared), &data.all(), &data.all(), 1);
    assert_eq!(here.scores, there.scores);
    assert_eq!(here.boosted.trees.sizes, there.boosted.trees.sizes);
}

/// The first split of a tree by trying every threshold of every column in turn.
fn best_by_hand(data: &Data, settings: &Settings) -> f64 {
    let n_rows = data.targets.len();
    let mean = data.targets.iter().sum::<f64>() / n_rows as f64;
    let slopes: Vec<f64> = data.targets.iter().map(|target| mean - target).collect();
    let part = |rows: &[usize]| {
        let slope: f64 = rows.iter().map(|&row| slopes[row]).sum();
        let slope = soft(slope, settings.reg_alpha);
        slope * slope / (rows.len() as f64 + settings.reg_lambda)
    };
    let mut best = 0.0_f64;
    let all: Vec<usize> = (0..n_rows).collect();
    for x in &data.numbers {
        let mut cuts: Vec<f64> = x.iter().copied().filter(|value| !value.is_nan()).collect();
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        for cut in cuts {
            for missing_left in [false, true] {
                let goes_left =
                    |row: &usize| if x[*row].is_nan() { missing_left } else { x[*row] <= cut };
                let (left, right): (Vec<usize>, Vec<usize>) =
                    all.iter().partition(|row| goes_left(row));
                if left.len().min(right.len()) >= settings.min_child_samples {
                    best = best.max(part(&left) + part(&right) - part(&all));
                }
            }
        }
    }
    best
}

#[test]
fn the_first_split_is_the_best_one() {
    for seed in 0..20 {
        let mut data = Data::mixed(60, 100 + seed);
        data.words.clear();
        for (reg_lambda, reg_alpha) in [(0.0, 0.0), (5.0, 0.0), (0.0, 2.0), (1.0, 1.0)] {
            let mut limits = Settings { reg_lambda, reg_alpha, ..settings(Loss::Squared) };
            (limits.n_estimators, limits.num_leaves) = (1, 2);
            let found = run(&data, &limits, &data.all(), &[], 1);
            let gain: f64 = found.boosted.gains.iter().sum();
            let best = best_by_hand(&data, &limits);
            let is_best = (gain / best - 1.0).abs() < 1e-3;
            assert!(is_best, "seed {seed}, λ {reg_lambda}, α {reg_alpha}: {gain} is not {best}");
        }
    }
}

#[test]
fn the_order_of_growth_makes_no_difference_where_depth_limits() {
    let data = Data::mixed(500, 9);
    let deep = Settings { max_depth: Some(4), num_leaves: 16, ..settings(Loss::Squared) };
    let newest_first = run(&data, &deep, &data.all(), &data.all(), 1);
    // One leaf less is best first, and rarely reached with so few rows a leaf.
    let few = Settings { min_child_samples: 40, ..deep };
    let best_first = run(&data, &Settings { num_leaves: 15, ..few }, &data.all(), &data.all(), 1);
    let newest = run(&data, &few, &data.all(), &data.all(), 1);
    assert_eq!(newest.boosted.trees.sizes, best_first.boosted.trees.sizes);
    let close = newest.scores[19].iter().zip(&best_first.scores[19]);
    assert!(close.clone().all(|(a, b)| (a - b).abs() < 1e-12));
    assert!(newest_first.boosted.trees.sizes.iter().all(|&size| size <= 31));
}

#[test]
fn hostile_data_yields_finite_scores() {
    let n_rows = 90;
    let mut noise = Noise(12);
    let mut column = |of: &mut dyn FnMut(&mut Noise, usize) -> f64| -> Vec<f64> {
        (0..n_rows).map(|row| of(&mut noise, row)).collect()
    };
    let numbers = vec![
        column(&mut |_, _| 7.0),
        column(&mut |_, _| f64::NAN),
        column(&mut |_, row| [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0][row % 4]),
        column(&mut |noise, _| (noise.unit() - 0.5) * 1e308),
        column(&mut |noise, _| noise.unit() * 1e-308),
        column(&mut |_, row| if row == 0 { 1.0 } else { f64::NAN }),
    ];
    let wide: Vec<Vec<f64>> = (0..300).map(|_| column(&mut |noise, _| noise.unit())).collect();
    let many_words = vec![((0..n_rows as u32).map(|row| row * 111).collect(), 10_000)];
    let targets: Vec<Vec<f64>> = vec![
        vec![0.0; n_rows],
        column(&mut |_, row| if row == 3 { 1e100 } else { 0.0 }),
        column(&mut |noise, _| (noise.unit() - 0.5) * 1e100),
        column(&mut |noise, _| noise.unit() * 1e-300),
        column(&mut |noise, _| noise.unit()),
    ];
    for (index, target) in targets.iter().enumerate() {
        for loss in LOSSES {
            for rows in [vec![5], (0..n_rows as u32).collect()] {
                for numbers in [numbers.clone(), wide.clone(), Vec::new()] {
                    let targets = suited(loss, target);
                    let weights = (index == 2).then(|| vec![1e100; n_rows]);
                    let words = many_words.clone();
                    let data = Data { numbers, words, targets, weights };
                    let least = Settings { min_child_weight: 0.0, ..settings(loss) };
                    let least = Settings { min_child_samples: 1, n_estimators: 5, ..least };
                    let found = run(&data, &least, &rows, &data.all(), 1);
                    let all = found.scores.iter().flatten().chain(&found.boosted.initial);
                    assert!(all.clone().all(|score| score.is_finite()), "{loss:?}, target {index}");
                }
            }
        }
    }
}

#[test]
fn a_table_is_the_same_on_many_threads() {
    let data = Data::mixed(500, 13);
    let raw: Vec<Raw<'_>> = data.numbers.iter().map(|values| Raw::Numbers(values)).collect();
    let [one, many] = [1, 3].map(|n_threads| Table::new(&raw, (500, None), 63, n_threads));
    assert_eq!(one.n_bins, many.n_bins);
    for column in 0..one.columns.len() {
        assert_eq!(one.codes(column), many.codes(column));
        assert_eq!(one.columns[column].values, many.columns[column].values);
    }
}

#[test]
fn it_stops_when_told() {
    let data = Data::mixed(100, 14);
    let stop = Stop::default();
    stop.cancel();
    let (table, rows) = (data.table(), data.all());
    let job = Job {
        table: &table,
        targets: &data.targets,
        weights: None,
        rows: &rows,
        watched: &[],
        settings: &settings(Loss::Squared),
        seed: 1,
        stop: &stop,
        n_threads: 1,
    };
    let mut workspace = Workspace::default();
    let told = fit(&job, &mut workspace, &mut |_| ControlFlow::Continue(()));
    assert_eq!(told, Err(Stopped::Cancelled));
    let heard = Job { stop: &Stop::default(), ..job };
    let enough = fit(&heard, &mut workspace, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!(enough.trees.sizes.len(), 1);
}

#[test]
fn no_leaf_has_fewer_rows_than_it_must() {
    for loss in [Loss::Squared, Loss::Logistic, Loss::Softmax { n_classes: 3 }] {
        for n_rows in [300, 6_000] {
            let mut data = Data::mixed(n_rows, 15);
            data.targets = suited(loss, &data.targets);
            let table = data.table();
            let least = Settings { min_child_samples: 20, ..settings(loss) };
            let found = run_on(&table, &data, &least, &data.all(), &[], 1);
            let mut first = 0;
            for &size in &found.boosted.trees.sizes {
                let nodes = &found.boosted.trees.nodes[first..first + size as usize];
                let (mut rows, mut spare) = (data.all(), vec![0; n_rows]);
                let sets = &found.boosted.trees.sets;
                tree::scatter(nodes, &table, sets, &mut rows, &mut spare, &mut |rows, _| {
                    assert!(rows.len() >= 20, "{loss:?}: {} of {n_rows}", rows.len());
                });
                first += size as usize;
            }
        }
    }
}

#[test]
fn few_rows_of_large_means_are_told_apart() {
    // Rows are counted in words, and are too many for that.
    for n_rows in [900, 132_000] {
        let mut noise = Noise(16);
        // A fiftieth of the rows is worth a hundred times as much.
        let value = |row: usize| if row.is_multiple_of(50) { 10.0 } else { (row % 10) as f64 };
        let x: Vec<f64> = (0..n_rows).map(value).collect();
        let mean = |x: f64| if x > 9.0 { 50_000.0 } else { 500.0 };
        let targets = x.iter().map(|&x| mean(x) * (0.9 + 0.2 * noise.unit())).collect();
        let data = Data { numbers: vec![x.clone()], words: Vec::new(), targets, weights: None };
        let least = n_rows / 45;
        for loss in [Loss::Poisson, Loss::Tweedie { power: 1.2 }] {
            let settings =
                Settings { min_child_samples: least, learning_rate: 0.5, ..settings(loss) };
            let found = run(&data, &settings, &data.all(), &data.all(), 2);
            for (score, &x) in found.scores[19].iter().zip(&x) {
                let share = exp::exp(*score) / mean(x);
                assert!((0.8..1.25).contains(&share), "{loss:?}, {n_rows} rows, {x}: {share}");
            }
        }
    }
}

#[test]
fn means_have_no_floor_but_that_of_logarithms() {
    for loss in [Loss::Poisson, Loss::Tweedie { power: 1.5 }] {
        for (target, least, most) in
            [(1e-90, 0.999e-90, 1.001e-90), (0.0, 0.0, 1e-11), (1e90, 0.999e90, 1.001e90)]
        {
            let mut data = Data::mixed(100, 17);
            data.targets = vec![target; 100];
            let found = run(&data, &settings(loss), &data.all(), &data.all(), 1);
            let mean = exp::exp(found.boosted.initial[0]);
            assert!((least..=most).contains(&mean), "{loss:?}, {target:e}: {mean:e}");
        }
    }
}

/// As LightGBM, whose error on skewed targets a start at the median does not reach.
#[test]
fn huber_starts_at_the_mean() {
    let mut data = Data::mixed(100, 19);
    data.targets = (0..100).map(|row| f64::from(1_u32 << (row % 10))).collect();
    let found = run(&data, &settings(Loss::Huber { delta: 0.3 }), &data.all(), &data.all(), 1);
    assert!((found.boosted.initial[0] - 102.3).abs() < 1e-9, "{:?}", found.boosted.initial);
}
