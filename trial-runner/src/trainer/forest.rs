//! Decision trees, random forests and extra trees, for numbers and classes.
//!
//! One thread a model; trees are grown one after another, each from its own seed, so that a forest
//! of ten is the beginning of a forest of a hundred. See `grow.rs` for why not smartcore's.

use std::collections::HashMap;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use super::bins::Binned;
use super::grow::below;
use super::grow::{Entropy, Gini, Grower, Limits, Measure, Planter, Sample, Splitter, Variance};
use super::lesson::{Goal, Lesson, mean};
use super::parameters::{Parameters, Share};
use super::{Fit, FitError, Trainer};
use crate::model::forest::Forest;
use crate::model::{Body, Model};

/// More nodes than this would make a model of several hundred megabytes.
const MAX_NODES: usize = 30_000_000;

/// One tree.
pub(super) struct DecisionTree;
/// Bagged trees.
pub(super) struct RandomForest;
/// Trees with random thresholds.
pub(super) struct ExtraTrees;

/// What sets the three apart.
struct Recipe {
    n_trees: usize,
    splitter: Splitter,
    bootstrap: bool,
    features: Share,
}

impl Trainer for DecisionTree {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let recipe = |_: &Goal| {
            Ok(Recipe {
                n_trees: 1,
                splitter: Splitter::Best,
                bootstrap: false,
                features: Share::All,
            })
        };
        fit(job, recipe)
    }
}

impl Trainer for RandomForest {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        fit(job, |goal| many(job, goal, Splitter::Best))
    }
}

impl Trainer for ExtraTrees {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        fit(job, |goal| many(job, goal, Splitter::Random))
    }
}

fn many(job: &Fit<'_>, goal: &Goal, splitter: Splitter) -> Result<Recipe, FitError> {
    let parameters = Parameters(job.parameters);
    Ok(Recipe {
        n_trees: parameters.count("n_estimators", 1, 100)?,
        splitter,
        bootstrap: parameters.flag("bootstrap", splitter == Splitter::Best)?,
        features: match goal {
            Goal::Numbers(_) => Share::All,
            Goal::Classes(_) => Share::Root,
        },
    })
}

fn fit(
    job: &Fit<'_>,
    recipe: impl FnOnce(&Goal) -> Result<Recipe, FitError>,
) -> Result<Model, FitError> {
    let parameters = Parameters(job.parameters);
    let lesson = Lesson::read(job)?;
    let recipe = recipe(&lesson.goal)?;
    let criterion = match &lesson.goal {
        Goal::Numbers(_) => parameters.word("criterion", &["squared_error"])?,
        Goal::Classes(_) => parameters.word("criterion", &["gini", "entropy", "log_loss"])?,
    };
    let n_rows = job.rows.len();
    let share = parameters.share("max_features", recipe.features)?;
    let mut limits = Limits {
        max_depth: parameters
            .optional_count("max_depth", 1)?
            .unwrap_or(usize::MAX),
        min_samples_split: parameters.rows("min_samples_split", 2, n_rows)?,
        min_samples_leaf: parameters.rows("min_samples_leaf", 1, n_rows)?,
        n_features: 0,
        splitter: recipe.splitter,
    };
    let answer = lesson.answer();
    if lesson.is_constant() {
        return Ok(Model::constant(answer));
    }
    let data = Binned::read(job, &lesson)?;
    if data.columns.is_empty() {
        return Ok(Model::constant(answer));
    }
    limits.n_features = share.of(data.columns.len());
    let bed = Bed::lay(&lesson);
    let plot = Plot {
        job,
        recipe: &recipe,
    };
    let n_classes = bed.width;
    let forest = match (&lesson.goal, criterion) {
        (Goal::Classes(_), "entropy" | "log_loss") => {
            plot.plant(Grower::new(&data, Entropy { n_classes }, limits), bed)?
        }
        (Goal::Classes(classes), _) if classes.present.len() > 2 => {
            plot.plant(Grower::new(&data, Gini { n_classes }, limits), bed)?
        }
        _ => plot.plant(Grower::new(&data, Variance, limits), bed)?,
    };
    let forest = Forest {
        sources: data.sources,
        ..forest
    };
    Ok(Model {
        answer,
        body: Body::Forest(forest),
    })
}

/// What all trees of a forest share while they grow.
struct Plot<'a> {
    job: &'a Fit<'a>,
    recipe: &'a Recipe,
}

impl Plot<'_> {
    fn plant<M: Measure>(
        &self,
        mut grower: Grower<'_, M>,
        mut bed: Bed,
    ) -> Result<Forest, FitError> {
        let all = std::mem::take(&mut bed.samples);
        let mut samples = Vec::with_capacity(all.len());
        let mut draws = vec![0_u32; all.len()];
        for tree in 0..self.recipe.n_trees {
            self.job.stop.check()?;
            let mut rng = Pcg64Mcg::seed_from_u64(tree_seed(self.job.seed, tree as u64));
            samples.clear();
            if self.recipe.bootstrap {
                draws.fill(0);
                for _ in 0..all.len() {
                    draws[below(&mut rng, all.len())] += 1;
                }
                let drawn = all.iter().zip(&draws).filter(|(_, draws)| **draws > 0);
                samples.extend(drawn.map(|(sample, draws)| Sample {
                    weight: sample.weight * f64::from(*draws),
                    ..*sample
                }));
            } else {
                samples.extend_from_slice(&all);
            }
            let nodes = grower.grow(&mut samples, &mut rng, &mut bed, self.job.stop)?;
            bed.forest.sizes.push(nodes.len() as u32);
            bed.forest.nodes.extend(nodes);
            if bed.forest.nodes.len() > MAX_NODES {
                return Err(FitError::because(format!(
                    "the trees have more than {MAX_NODES} nodes together; lower n_estimators or \
                     max_depth, or raise min_samples_leaf"
                )));
            }
        }
        Ok(bed.forest)
    }
}

/// A seed of its own for each tree (the finaliser of splitmix64).
fn tree_seed(seed: u64, tree: u64) -> u64 {
    let mut z = seed ^ tree.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where trees are planted: the samples, and the thresholds and leaves by number.
struct Bed {
    forest: Forest,
    samples: Vec<Sample>,
    /// Numbers a leaf: one, or one a class.
    width: usize,
    is_number: bool,
    /// Taken off the target so that sums of squares keep their digits.
    offset: f64,
    thresholds: HashMap<u64, u32>,
    leaves: HashMap<Vec<u64>, u32>,
    leaf: Vec<f64>,
    key: Vec<u64>,
}

impl Bed {
    fn lay(lesson: &Lesson) -> Self {
        let weight = |row: usize| lesson.weights.as_ref().map_or(1.0, |weights| weights[row]);
        let (samples, width, offset): (Vec<Sample>, usize, f64) = match &lesson.goal {
            Goal::Numbers(y) => {
                let offset = mean(y, lesson.weights.as_deref());
                let samples = y.iter().enumerate().map(|(row, y)| Sample {
                    row: row as u32,
                    class: 0,
                    weight: weight(row),
                    value: y - offset,
                });
                (samples.collect(), 1, offset)
            }
            Goal::Classes(classes) => {
                let samples = classes
                    .codes
                    .iter()
                    .enumerate()
                    .map(|(row, &class)| Sample {
                        row: row as u32,
                        class,
                        weight: weight(row),
                        value: f64::from(class),
                    });
                (samples.collect(), classes.present.len(), 0.0)
            }
        };
        Self {
            forest: Forest::default(),
            samples: samples
                .into_iter()
                .filter(|sample| sample.weight > 0.0)
                .collect(),
            width,
            is_number: matches!(lesson.goal, Goal::Numbers(_)),
            offset,
            thresholds: HashMap::new(),
            leaves: HashMap::new(),
            leaf: vec![0.0; width],
            key: Vec::new(),
        }
    }
}

impl Planter for Bed {
    fn threshold(&mut self, threshold: f64) -> u32 {
        let thresholds = &mut self.forest.thresholds;
        *self
            .thresholds
            .entry(threshold.to_bits())
            .or_insert_with(|| {
                thresholds.push(threshold);
                thresholds.len() as u32 - 1
            })
    }

    fn leaf(&mut self, samples: &[Sample]) -> u32 {
        self.leaf.fill(0.0);
        let mut total = 0.0;
        for sample in samples {
            total += sample.weight;
            if self.is_number {
                self.leaf[0] += sample.weight * sample.value;
            } else {
                self.leaf[sample.class as usize] += sample.weight;
            }
        }
        for value in &mut self.leaf {
            *value = *value / total + self.offset;
        }
        self.key.clear();
        self.key
            .extend(self.leaf.iter().map(|value| value.to_bits()));
        if let Some(&number) = self.leaves.get(self.key.as_slice()) {
            return number;
        }
        let number = self.leaves.len() as u32;
        self.leaves.insert(self.key.clone(), number);
        self.forest.leaves.extend_from_slice(&self.leaf);
        number
    }
}
