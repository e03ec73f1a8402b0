//! Trees against splits found by trying them all, and against themselves grown otherwise.

use super::grid::Column;
use super::tree::Node;
use super::*;

/// Columns of distinct, repeated and missing codes, and a target that follows them with noise.
pub(crate) struct Field {
    pub(crate) grid: Grid<'static>,
    pub(crate) numbers: Vec<f64>,
    pub(crate) classes: Vec<u32>,
    pub(crate) rows: Vec<u32>,
}

pub(crate) fn field(n_rows: usize, seed: u64) -> Field {
    let mut state = seed;
    let mut draw = || {
        state = fleetfit_search_spaces::seed::mix(&[state]);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let n_codes = [200, 40, 3, 7, 120];
    let mut columns = Vec::new();
    for (index, &n) in n_codes.iter().enumerate() {
        // The last two have missing values, whose code comes after the others.
        let top = if index > 2 { n + 1 } else { n };
        let codes: Vec<u8> = (0..n_rows).map(|_| (draw() * f64::from(top)) as u8).collect();
        let values: Vec<f64> = (0..n).map(|code| f64::from(code) * f64::from(code)).collect();
        let cuts = values.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect::<Vec<_>>();
        columns.push(Column::new(codes, values.clone(), values, cuts));
    }
    let code = |column: usize, row: usize| f64::from(columns[column].codes[row]);
    let target = |row: usize| {
        let bonus = if code(3, row) == 7.0 { 2.0 } else { 0.0 };
        (code(0, row) / 30.0).sin() + code(2, row) * code(1, row) / 40.0 + bonus
    };
    let numbers: Vec<f64> = (0..n_rows).map(|row| target(row) + 0.5 * draw()).collect();
    let classes = numbers.iter().map(|number| (*number * 1.2).clamp(0.0, 3.9) as u32).collect();
    let rows = (0..n_rows as u32).filter(|row| row % 7 != 3).collect();
    Field { numbers, classes, rows, grid: Grid { columns, n_rows } }
}

pub(crate) fn settings(n_trees: usize, splitter: Splitter) -> Settings {
    Settings {
        n_trees,
        splitter,
        max_depth: usize::MAX,
        min_samples_split: 2,
        min_samples_leaf: 1,
        n_features: 5,
        min_impurity_decrease: 0.0,
        n_drawn: None,
        is_shuffled: true,
    }
}

impl Field {
    pub(crate) fn truths(&self) -> [Truth<'_>; 4] {
        let classes =
            |n_classes, by_entropy| Truth::Classes { codes: &self.classes, n_classes, by_entropy };
        [Truth::Numbers(&self.numbers), classes(4, false), classes(4, true), self.halves()]
    }

    /// Two classes only, where the field has been told so.
    fn halves(&self) -> Truth<'_> {
        let is_two = self.classes.iter().all(|class| *class < 2);
        let n_classes = if is_two { 2 } else { 4 };
        Truth::Classes { codes: &self.classes, n_classes, by_entropy: false }
    }

    pub(crate) fn job<'a>(&'a self, truth: Truth<'a>, settings: &'a Settings) -> Job<'a> {
        Job {
            grid: &self.grid,
            truth,
            weights: None,
            rows: &self.rows,
            watched: Watched { rows: &self.rows, out_of_bag: false },
            settings,
            seed: 3,
            stop: Box::leak(Box::default()),
            n_threads: 1,
        }
    }
}

pub(crate) fn grown(job: &Job<'_>) -> Vec<Grown> {
    let mut all = Vec::new();
    grow(job, &mut |grown| {
        all.push(grown);
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

/// What a split leaves of the disorder, weighted, in floating point.
fn disorder(truth: Truth<'_>, sides: [&[u32]; 2]) -> f64 {
    let of = |rows: &&[u32]| match truth {
        Truth::Numbers(numbers) => {
            let n = rows.len() as f64;
            let mean = rows.iter().map(|&row| numbers[row as usize]).sum::<f64>() / n;
            rows.iter().map(|&row| (numbers[row as usize] - mean).powi(2)).sum::<f64>()
        }
        Truth::Classes { codes, n_classes, by_entropy } => {
            let n = rows.len() as f64;
            let share = |class: usize| {
                rows.iter().filter(|row| codes[**row as usize] as usize == class).count() as f64 / n
            };
            let shares = (0..n_classes).map(share).filter(|share| *share > 0.0);
            let each = shares.map(|p| if by_entropy { -p * p.ln() } else { p * (1.0 - p) });
            n * each.sum::<f64>()
        }
    };
    sides.iter().map(of).sum()
}

fn sides(field: &Field, column: usize, last: u8, missing_left: bool) -> [Vec<u32>; 2] {
    let own = &field.grid.columns[column];
    let (left, right) = field.rows.iter().partition(|row| {
        let code = own.codes[**row as usize];
        code <= last || (missing_left && code == own.missing())
    });
    [left, right]
}

fn best_by_hand(field: &Field, truth: Truth<'_>, least: usize) -> f64 {
    let mut best = f64::INFINITY;
    for (index, column) in field.grid.columns.iter().enumerate() {
        for last in 0..column.missing() {
            for missing_left in [false, true] {
                let [left, right] = sides(field, index, last, missing_left);
                if left.len() >= least && right.len() >= least {
                    best = best.min(disorder(truth, [&left, &right]));
                }
            }
        }
    }
    best
}

/// Few rows are searched in order, many by histograms.
#[test]
fn the_root_is_split_where_it_helps_most() {
    for n_rows in [40, 250, 700] {
        let mut field = field(n_rows, n_rows as u64);
        for is_two in [false, true] {
            if is_two {
                field.classes.iter_mut().for_each(|class| *class /= 2);
            }
            for (truth, least) in field.truths().into_iter().zip([1, 9, 1, 9]) {
                let settings = Settings {
                    max_depth: 1,
                    min_samples_leaf: least,
                    ..settings(1, Splitter::Best)
                };
                let tree = &grown(&field.job(truth, &settings))[0].tree;
                let Node { column, value, right } = tree.nodes[0];
                let [left, right] = sides(&field, column as usize, value as u8, right & 1 == 1);
                let (found, best) =
                    (disorder(truth, [&left, &right]), best_by_hand(&field, truth, least));
                assert!(left.len() >= least && right.len() >= least);
                assert!(found <= best * (1.0 + 1e-9), "{n_rows} {truth:?}: {found}, not {best}");
            }
        }
    }
}

#[test]
fn threads_make_no_difference() {
    let field = field(500, 1);
    for splitter in [Splitter::Best, Splitter::Random] {
        for truth in field.truths() {
            let settings = Settings { n_drawn: Some(400), n_features: 3, ..settings(11, splitter) };
            let job = field.job(truth, &settings);
            let alone = grown(&job);
            for n_threads in [2, 3, 16] {
                assert!(grown(&Job { n_threads, ..job }) == alone, "{n_threads} threads");
            }
            let few = Settings { n_trees: 4, ..settings };
            assert!(grown(&field.job(truth, &few)) == alone[..4]);
        }
    }
}

#[test]
fn whole_trees_learn_their_rows_by_heart() {
    let field = field(600, 2);
    for splitter in [Splitter::Best, Splitter::Random] {
        let settings = settings(1, splitter);
        let grown = &grown(&field.job(Truth::Numbers(&field.numbers), &settings))[0];
        for (&row, &leaf) in field.rows.iter().zip(&grown.leaf_of) {
            let found = grown.tree.leaves[leaf as usize];
            assert!((found - field.numbers[row as usize]).abs() < 1e-12, "{splitter:?}");
        }
    }
}

#[test]
fn out_of_bag_are_the_rows_that_were_not_drawn() {
    let field = field(400, 3);
    let settings = Settings { n_drawn: Some(343), ..settings(40, Splitter::Best) };
    let job = field.job(Truth::Numbers(&field.numbers), &settings);
    let out = Watched { rows: &field.rows, out_of_bag: true };
    let all = grown(&Job { watched: out, ..job });
    let n_out: usize =
        all.iter().map(|own| own.leaf_of.iter().filter(|leaf| **leaf != u32::MAX).count()).sum();
    let share = n_out as f64 / (all.len() * field.rows.len()) as f64;
    assert!((share - 0.368).abs() < 0.02, "{share}");
    // A row that was drawn is learnt by heart; one that was not, seldom.
    let (mut n_hit, mut n_seen) = (0, 0);
    for own in &all {
        for (&row, &leaf) in field.rows.iter().zip(&own.leaf_of) {
            if let Some(found) = own.tree.leaves.get(leaf as usize) {
                n_seen += 1;
                n_hit += usize::from(*found == field.numbers[row as usize]);
            }
        }
    }
    assert!(n_hit * 50 < n_seen, "{n_hit} of {n_seen}");
}

#[test]
fn a_split_must_lower_the_impurity() {
    let field = field(600, 4);
    for truth in field.truths() {
        let n_nodes = |least: f64| {
            let settings = Settings { min_impurity_decrease: least, ..settings(1, Splitter::Best) };
            grown(&field.job(truth, &settings))[0].tree.nodes.len()
        };
        let counts = [n_nodes(0.0), n_nodes(0.002), n_nodes(0.02), n_nodes(10.0)];
        assert!(counts[0] > counts[1] && counts[1] > counts[2] && counts[2] > counts[3]);
        assert_eq!(counts[3], 1);
    }
}

#[test]
fn weights_are_repeated_rows() {
    let mut field = field(300, 5);
    field.rows = (0..200).collect();
    let weights: Vec<f64> = (0..300).map(|row| f64::from(row % 3 + 1)).collect();
    for truth in field.truths() {
        let settings = Settings { max_depth: 1, ..settings(1, Splitter::Best) };
        let job = field.job(truth, &settings);
        let weighed = &grown(&Job { weights: Some(&weights), ..job })[0].tree;
        let halved: Vec<f64> = weights.iter().map(|weight| weight / 2.0).collect();
        assert_eq!(&grown(&Job { weights: Some(&halved), ..job })[0].tree, weighed);
        assert_ne!(&grown(&job)[0].tree.leaves, &weighed.leaves);
    }
}
