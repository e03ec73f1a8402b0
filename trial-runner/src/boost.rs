//! Gradient boosting on histograms: trees on binned features, one after another.
//!
//! Friedman, "Greedy Function Approximation" (2001), with the histograms and best-first growth of Ke
//! et al., "LightGBM" (2017). Gradients are whole numbers in histograms and in leaves, so a model is
//! the same to the bit for any number of threads and any order of rows. Nothing here knows frames or
//! jobs: features come as a [`Table`], folds as lists of its rows. The CUDA kernels must find the
//! same trees.

pub(crate) mod bins;
mod draw;
mod exact;
pub(crate) mod exp;
mod grow;
mod histogram;
pub(crate) mod loss;
mod shard;
mod split;
pub(crate) mod table;
pub(crate) mod tree;
mod word;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use fleetfit_search_spaces::seed::mix;

use crate::stop::{Stop, Stopped};
use draw::Draw;
use exact::Exact;
use grow::Grower;
use loss::{Loss, quantile};
use shard::{Reach, Sums, each};
use split::{MORE_LAMBDA, Terms, soft};
use table::Table;
use tree::{Node, Split, Trees};
use word::{Fields, MAX_NARROW_ROWS, Word};

/// From this many rows on a step is shared between threads.
pub(crate) const MIN_SHARED_ROWS: usize = 16_384;

/// The parameters of a fit, by LightGBM's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) loss: Loss,
    pub(crate) n_estimators: usize,
    pub(crate) learning_rate: f64,
    pub(crate) max_depth: Option<usize>,
    pub(crate) num_leaves: usize,
    pub(crate) min_child_samples: usize,
    pub(crate) min_child_weight: f64,
    pub(crate) min_split_gain: f64,
    pub(crate) subsample: f64,
    pub(crate) colsample_bytree: f64,
    pub(crate) reg_alpha: f64,
    pub(crate) reg_lambda: f64,
}

/// One fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) table: &'a Table,
    /// One number a row of the table; a class is its number.
    pub(crate) targets: &'a [f64],
    pub(crate) weights: Option<&'a [f64]>,
    /// The rows to learn from, each once.
    pub(crate) rows: &'a [u32],
    /// The rows whose scores are told after every round.
    pub(crate) watched: &'a [u32],
    pub(crate) settings: &'a Settings,
    pub(crate) seed: u64,
    pub(crate) stop: &'a Stop,
    pub(crate) n_threads: usize,
}

/// How a fit counts, for whoever must count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counting {
    /// Rows that weigh something.
    pub(crate) n_rows: usize,
    /// Whether every row curves alike.
    pub(crate) is_flat: bool,
    /// Whether words are of 64 bits.
    pub(crate) is_wide: bool,
    pub(crate) count_bits: u32,
    pub(crate) curvature_bits: u32,
}

/// What is told after every round of trees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round<'a> {
    /// How many rounds there were.
    pub(crate) n_rounds: usize,
    /// The scores of the watched rows, row after row.
    pub(crate) scores: &'a [f64],
}

/// The fitted trees.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Boosted {
    /// The scores before the first tree.
    pub(crate) initial: Vec<f64>,
    pub(crate) trees: Trees,
    /// What the splits of each of the table's columns gained.
    pub(crate) gains: Vec<f64>,
}

/// Memory that fits use one after another.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    narrow: Grower<i32>,
    wide: Grower<i64>,
}

/// Fits, and calls `hear` after every round until it says enough. When a round finds no split, and
/// the next would see the same rows and columns, there are no more rounds: they would add nothing.
pub(crate) fn fit(
    job: &Job<'_>,
    workspace: &mut Workspace,
    hear: &mut dyn FnMut(Round<'_>) -> ControlFlow<()>,
) -> Result<Boosted, Stopped> {
    let (Counting { n_rows, is_flat, is_wide, .. }, fields) = job.count();
    let course = Course { job, fields, is_flat, n_rows };
    if is_wide {
        course.run(&mut workspace.wide, hear)
    } else {
        course.run(&mut workspace.narrow, hear)
    }
}

impl Job<'_> {
    fn count(&self) -> (Counting, Fields) {
        let is_flat = self.settings.loss.is_flat() && self.weights.is_none();
        // A row of no weight is as if it were not there.
        let n_rows = self.rows.iter().filter(|row| self.weight(**row) > 0.0).count();
        let is_wide = !is_flat || n_rows > MAX_NARROW_ROWS;
        let fields = if is_wide { Fields::wide(n_rows, is_flat) } else { Fields::narrow(n_rows) };
        let Fields { count_bits, curvature_bits } = fields;
        (Counting { n_rows, is_flat, is_wide, count_bits, curvature_bits }, fields)
    }

    /// How it counts.
    pub(crate) fn counting(&self) -> Counting {
        self.count().0
    }

    /// The scores before the first tree.
    pub(crate) fn initial(&self) -> Vec<f64> {
        let weighed = self.rows.iter().map(|&row| (self.targets[row as usize], self.weight(row)));
        let mut rows: Vec<(f64, f64)> = weighed.filter(|(_, weight)| *weight > 0.0).collect();
        self.settings.loss.initial(&mut rows)
    }

    fn weight(&self, row: u32) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row as usize])
    }
}

/// A fit with words of one width.
struct Course<'a> {
    job: &'a Job<'a>,
    fields: Fields,
    /// Whether every row curves alike.
    is_flat: bool,
    n_rows: usize,
}

/// The units in which leaves are summed up.
#[derive(Clone, Copy)]
struct Units {
    slopes: Exact,
    curves: Exact,
}

impl Course<'_> {
    fn run<W: Word>(
        &self,
        grower: &mut Grower<W>,
        hear: &mut dyn FnMut(Round<'_>) -> ControlFlow<()>,
    ) -> Result<Boosted, Stopped> {
        let job = self.job;
        let settings = job.settings;
        let n_scores = settings.loss.n_scores();
        let initial = self.start(grower);
        let mut boosted = Boosted { initial, trees: Trees::default(), gains: Vec::new() };
        let mut scores = Vec::with_capacity(job.watched.len() * n_scores);
        let is_sampled = settings.subsample < 1.0 || settings.colsample_bytree < 1.0;
        for round in 0..settings.n_estimators {
            self.draw_rows(grower, round);
            if matches!(settings.loss, Loss::Softmax { .. }) {
                each(&mut grower.shards, self.n_rows, |shard| shard.share_out(n_scores), |()| ());
            }
            let mut has_grown = false;
            for class in 0..n_scores {
                job.stop.check()?;
                self.draw_columns(grower, round * n_scores + class);
                self.tree(grower, class)?;
                has_grown |= grower.nodes.len() > 1;
                boosted.trees.nodes.extend_from_slice(&grower.nodes);
                boosted.trees.sizes.push(grower.nodes.len() as u32);
            }
            if !has_grown && !is_sampled {
                let n_trees = boosted.trees.sizes.len() - n_scores;
                boosted.trees.sizes.truncate(n_trees);
                boosted.trees.nodes.truncate(boosted.trees.nodes.len() - n_scores);
                break;
            }
            watch(grower, job.watched, n_scores, &mut scores);
            if hear(Round { n_rounds: round + 1, scores: &scores }).is_break() {
                break;
            }
        }
        boosted.gains.clone_from(&grower.gains);
        boosted.trees.sets.clone_from(&grower.sets.codes);
        Ok(boosted)
    }

    /// Hands the rows to the shards and gives them their first score.
    fn start<W: Word>(&self, grower: &mut Grower<W>) -> Vec<f64> {
        let job = self.job;
        grower.fit_to(job.table);
        let initial = job.initial();
        let n_threads = if self.n_rows < MIN_SHARED_ROWS { 1 } else { job.n_threads.max(1) };
        grower.shards.resize_with(n_threads, Default::default);
        let n_rows = job.table.n_rows;
        let share = n_rows.div_ceil(n_threads);
        for (index, shard) in grower.shards.iter_mut().enumerate() {
            let first = (index * share).min(n_rows);
            shard.start(job, first, (first + share).min(n_rows), &initial);
        }
        initial
    }

    fn draw_rows<W: Word>(&self, grower: &mut Grower<W>, round: usize) {
        let share = self.job.settings.subsample;
        if share < 1.0 {
            let n_rows = grower.shards.iter().map(shard::Shard::n_rows).sum();
            let draw = Draw::new(mix(&[self.job.seed, round as u64, 0]));
            let mut drawn = draw.share(n_rows, share);
            for shard in &mut grower.shards {
                let n_own = shard.n_rows();
                shard.draw(&mut drawn.by_ref().take(n_own));
            }
        }
    }

    fn draw_columns<W: Word>(&self, grower: &mut Grower<W>, tree: usize) {
        let n_columns = self.job.table.columns.len();
        let share = self.job.settings.colsample_bytree;
        let chosen = &mut grower.chosen;
        chosen.columns.clear();
        chosen.is_all = share >= 1.0;
        if chosen.is_all {
            chosen.columns.extend(0..n_columns as u32);
        } else {
            let draw = Draw::new(mix(&[self.job.seed, tree as u64, 1]));
            let drawn = draw.share(n_columns, share).enumerate();
            chosen.columns.extend(drawn.filter(|(_, drawn)| *drawn).map(|(at, _)| at as u32));
        }
    }

    /// Grows one tree and adds it to the scores.
    fn tree<W: Word>(&self, grower: &mut Grower<W>, class: usize) -> Result<(), Stopped> {
        let job = self.job;
        let n_rows = self.n_rows;
        let shards = &mut grower.shards;
        let mut reach = Reach::default();
        each(
            shards,
            n_rows,
            |shard| shard.slope(job, class),
            |own| {
                reach.slope = reach.slope.max(own.slope);
                reach.curve = reach.curve.max(own.curve);
            },
        );
        let units = Units {
            slopes: Exact::of(reach.slope, n_rows),
            curves: Exact::of(reach.curve, n_rows),
        };
        let mut sums = Sums::default();
        each(
            shards,
            n_rows,
            |shard| shard.sizes(units.slopes, units.curves, self.is_flat),
            |own| {
                sums.slope += own.slope;
                sums.curve += own.curve;
            },
        );
        let n_drawn = shards.iter().map(|shard| shard.rows_of(0).len()).sum();
        let terms = self.terms::<W>(units, sums, n_drawn);
        if !(terms.gradient_scale.is_finite() && terms.curvature_scale.is_finite()) {
            grower.nodes.clear();
            grower.nodes.push(Node::leaf());
            return Ok(());
        }
        let mut total = W::default();
        each(
            shards,
            n_rows,
            |shard| shard.pack(&terms, self.is_flat),
            |own| total = total.plus(own),
        );
        grower.grow(job, &terms, total)?;
        if grower.nodes.len() > 1 {
            self.say(grower, units);
            let (shards, nodes, sets) = (&mut grower.shards, &grower.nodes, &grower.sets.codes);
            each(shards, n_rows, |shard| shard.add(job.table, sets, nodes, class), |()| ());
        }
        Ok(())
    }

    /// The units of the words: as fine as the sums allow.
    fn terms<W: Word>(&self, units: Units, sums: Sums, n_rows: usize) -> Terms {
        let rounding = n_rows as f64 / 2.0 + 1.0;
        let most = f64::from((1_u64 << W::gradient_bits(self.fields)) as u32) - rounding;
        let gradient_scale = most / units.slopes.number(sums.slope);
        let (curvature_scale, rows_per_curvature) = if self.is_flat {
            (1.0, 1.0)
        } else {
            let most = self.fields.most_curvature() - rounding;
            let scale = most / units.curves.number(sums.curve);
            (scale, n_rows as f64 / most)
        };
        Terms {
            fields: self.fields,
            gradient_scale,
            curvature_scale,
            rows_per_curvature,
            curving: self.job.settings.loss.curving(),
            n_rows,
            ..Terms::default()
        }
        .limited(self.job.settings)
    }

    /// Gives the leaves their values.
    fn say<W: Word>(&self, grower: &mut Grower<W>, units: Units) {
        let settings = self.job.settings;
        let leaf = |node: &Node| node.split == Split::Leaf;
        let leaves: Vec<usize> =
            (0..grower.nodes.len()).filter(|&node| leaf(&grower.nodes[node])).collect();
        if let Some(level) = settings.loss.renewal() {
            let mut residuals = Vec::new();
            for &node in &leaves {
                residuals.clear();
                for shard in &grower.shards {
                    shard.residuals(self.job, node, &mut residuals);
                }
                let value = settings.learning_rate * quantile(&mut residuals, level);
                grower.nodes[node].value = finite(value);
            }
            return;
        }
        let mut all = vec![(0_usize, Sums::default()); leaves.len()];
        let own = |shard: &mut shard::Shard<W>| {
            let sums = |&node: &usize| {
                let sums = shard.sums(node, units.slopes, units.curves, self.is_flat);
                (shard.rows_of(node).len(), sums)
            };
            leaves.iter().map(sums).collect::<Vec<_>>()
        };
        each(&mut grower.shards, self.n_rows, own, |own| {
            for (all, own) in all.iter_mut().zip(own) {
                all.0 += own.0;
                all.1.slope += own.1.slope;
                all.1.curve += own.1.curve;
            }
        });
        let more = self.more_lambda(grower);
        for (&node, (n_rows, sums)) in leaves.iter().zip(&all) {
            let slope = soft(units.slopes.number(sums.slope), settings.reg_alpha);
            let curve = if self.is_flat { *n_rows as f64 } else { units.curves.number(sums.curve) };
            let lambda = settings.reg_lambda + more.get(node).copied().unwrap_or(0.0);
            let value = -slope / (curve + lambda) * settings.learning_rate;
            grower.nodes[node].value = finite(value);
        }
    }

    /// What is added to each node's λ, because the words that lead there were searched for; nothing
    /// where there are none.
    fn more_lambda<W: Word>(&self, grower: &Grower<W>) -> Vec<f64> {
        if grower.sets.codes.is_empty() {
            return Vec::new();
        }
        let mut more = vec![0.0; grower.nodes.len()];
        for node in &grower.nodes {
            if let Split::Set { column, .. } = node.split
                && self.job.table.columns[column as usize].is_searched()
            {
                more[node.left as usize] = MORE_LAMBDA;
                more[node.right as usize] = MORE_LAMBDA;
            }
        }
        more
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// The scores of the watched rows.
fn watch<W: Word>(grower: &Grower<W>, rows: &[u32], n_scores: usize, into: &mut Vec<f64>) {
    into.clear();
    for &row in rows {
        if let Some(shard) = grower.shards.iter().find(|shard| shard.holds(row)) {
            into.extend((0..n_scores).map(|class| shard.score(row, class)));
        }
    }
}
