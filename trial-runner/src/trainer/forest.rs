//! Decision trees, random forests and extra trees, for numbers and classes.
//!
//! One thread a model; trees are grown one after another, each from its own seed, so that a forest
//! of ten is the beginning of a forest of a hundred. See `grow.rs` for why not smartcore's.

use std::collections::HashMap;

use fleetfit_search_spaces::seed::mix;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use super::bins::Binned;
use super::grow::below;
use super::grow::{Entropy, Gini, Grower, Impurity, Limits, Planter, Sample, Splitter, Variance};
use super::lesson::{Learnt, Lesson, mean};
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
        let recipe = |_: &Learnt| {
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
        fit(job, |learnt| many(job, learnt, Splitter::Best))
    }
}

impl Trainer for ExtraTrees {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        fit(job, |learnt| many(job, learnt, Splitter::Random))
    }
}

fn many(job: &Fit<'_>, learnt: &Learnt, splitter: Splitter) -> Result<Recipe, FitError> {
    let parameters = Parameters(job.parameters);
    Ok(Recipe {
        n_trees: parameters.count("n_estimators", 1, 100)?,
        splitter,
        bootstrap: parameters.flag("bootstrap", splitter == Splitter::Best)?,
        features: match learnt {
            Learnt::Numbers(_) => Share::All,
            Learnt::Classes(_) => Share::Root,
        },
    })
}

fn fit(
    job: &Fit<'_>,
    recipe: impl FnOnce(&Learnt) -> Result<Recipe, FitError>,
) -> Result<Model, FitError> {
    let parameters = Parameters(job.parameters);
    let lesson = Lesson::read(job)?;
    let recipe = recipe(&lesson.learnt)?;
    let criterion = match &lesson.learnt {
        Learnt::Numbers(_) => parameters.word("criterion", &["squared_error"])?,
        Learnt::Classes(_) => parameters.word("criterion", &["gini", "entropy", "log_loss"])?,
    };
    let n_rows = job.rows.len();
    let share = parameters.share("max_features", recipe.features)?;
    let mut limits = Limits {
        max_depth: parameters.optional_count("max_depth", 1)?.unwrap_or(usize::MAX),
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
    let plot = Plot { job, recipe: &recipe };
    let n_classes = bed.width;
    let forest = match (&lesson.learnt, criterion) {
        (Learnt::Classes(_), "entropy" | "log_loss") => {
            plot.plant(Grower::new(&data, Entropy { n_classes }, limits), bed)?
        }
        (Learnt::Classes(classes), _) if classes.present.len() > 2 => {
            plot.plant(Grower::new(&data, Gini { n_classes }, limits), bed)?
        }
        _ => plot.plant(Grower::new(&data, Variance, limits), bed)?,
    };
    let forest = Forest { sources: data.sources, ..forest };
    Ok(Model { answer, body: Body::Forest(forest) })
}

/// What all trees of a forest share while they grow.
struct Plot<'a> {
    job: &'a Fit<'a>,
    recipe: &'a Recipe,
}

impl Plot<'_> {
    fn plant<M: Impurity>(
        &self,
        mut grower: Grower<'_, M>,
        mut bed: Bed,
    ) -> Result<Forest, FitError> {
        let all = std::mem::take(&mut bed.samples);
        let mut samples = Vec::with_capacity(all.len());
        let mut draws = vec![0_u32; all.len()];
        for tree in 0..self.recipe.n_trees {
            self.job.stop.check()?;
            let mut rng = Pcg64Mcg::seed_from_u64(mix(&[self.job.seed, tree as u64]));
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

/// Where trees are planted: the samples, and the thresholds and leaves by number.
struct Bed {
    forest: Forest,
    samples: Vec<Sample>,
    /// Numbers a leaf: one, or one a class.
    width: usize,
    /// The numbers to be predicted; empty for classes.
    numbers: Vec<f64>,
    thresholds: HashMap<u64, u32>,
    leaves: HashMap<Vec<u64>, u32>,
    leaf: Vec<f64>,
    key: Vec<u64>,
}

impl Bed {
    fn lay(lesson: &Lesson) -> Self {
        let weight = |row: usize| lesson.weights.as_ref().map_or(1.0, |weights| weights[row]);
        let (samples, width): (Vec<Sample>, usize) = match &lesson.learnt {
            Learnt::Numbers(y) => {
                // Taken off so that sums of squares keep their digits.
                let offset = mean(y, lesson.weights.as_deref());
                let samples = y.iter().enumerate().map(|(row, y)| Sample {
                    row: row as u32,
                    class: 0,
                    weight: weight(row),
                    value: y - offset,
                });
                (samples.collect(), 1)
            }
            Learnt::Classes(classes) => {
                let samples = classes.codes.iter().enumerate().map(|(row, &class)| Sample {
                    row: row as u32,
                    class,
                    weight: weight(row),
                    value: f64::from(class),
                });
                (samples.collect(), classes.present.len())
            }
        };
        Self {
            forest: Forest::default(),
            samples: samples.into_iter().filter(|sample| sample.weight > 0.0).collect(),
            width,
            numbers: match &lesson.learnt {
                Learnt::Numbers(y) => y.clone(),
                Learnt::Classes(_) => Vec::new(),
            },
            thresholds: HashMap::new(),
            leaves: HashMap::new(),
            leaf: vec![0.0; width],
            key: Vec::new(),
        }
    }
}

impl Bed {
    /// The weighted mean; equal numbers have exactly that one.
    fn mean(&self, samples: &[Sample]) -> f64 {
        let number = |sample: &Sample| self.numbers[sample.row as usize];
        let first = samples.first().map_or(0.0, number);
        let (mut sum, mut total) = (0.0, 0.0);
        for sample in samples {
            sum += sample.weight * (number(sample) - first);
            total += sample.weight;
        }
        first + sum / total
    }
}

impl Planter for Bed {
    fn threshold(&mut self, threshold: f64) -> u32 {
        let thresholds = &mut self.forest.thresholds;
        *self.thresholds.entry(threshold.to_bits()).or_insert_with(|| {
            thresholds.push(threshold);
            thresholds.len() as u32 - 1
        })
    }

    fn leaf(&mut self, samples: &[Sample]) -> u32 {
        self.leaf.fill(0.0);
        if self.numbers.is_empty() {
            for sample in samples {
                self.leaf[sample.class as usize] += sample.weight;
            }
            let total: f64 = self.leaf.iter().sum();
            self.leaf.iter_mut().for_each(|share| *share /= total);
        } else {
            self.leaf[0] = self.mean(samples);
        }
        self.key.clear();
        self.key.extend(self.leaf.iter().map(|value| value.to_bits()));
        if let Some(&number) = self.leaves.get(self.key.as_slice()) {
            return number;
        }
        let number = self.leaves.len() as u32;
        self.leaves.insert(self.key.clone(), number);
        self.forest.leaves.extend_from_slice(&self.leaf);
        number
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetfit_search_spaces::{Configuration, Learner, Setting, Value};

    use super::super::Spare;
    use super::*;
    use crate::frame::{FeatureColumn, FeatureValues, Frame, MISSING, Target};
    use crate::model::Predictions;
    use crate::stop::Stop;

    fn frame(values: FeatureValues, y: Vec<f64>) -> Frame {
        Frame {
            columns: vec![FeatureColumn { name: "x".into(), values }],
            n_rows: y.len(),
            target: Target::Number(y),
            weights: None,
            timeline: None,
        }
    }

    fn grow(learner: Learner, frame: &Frame, pairs: &[(&str, i64)]) -> (Forest, Vec<f64>) {
        let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
        let pairs = pairs.iter().map(|(name, value)| {
            let value = Setting::Value(Value::Int(*value));
            ((*name).to_owned(), value)
        });
        let job = Fit {
            frame,
            rows: &rows,
            parameters: &Configuration(pairs.collect()),
            seed: 3,
            stop: &Stop::default(),
            spare: &Spare::default(),
        };
        let model = crate::trainer::trainer(learner).unwrap().fit(&job).unwrap();
        let Ok(Predictions::Numbers(found)) = model.predict(frame, &rows) else {
            panic!("no numbers");
        };
        match model.body {
            Body::Forest(forest) => (forest, found),
            body => panic!("not a forest: {body:?}"),
        }
    }

    #[test]
    fn missing_values_go_where_they_help() {
        for y in [[1.0, 2.0, 3.0, 1.0], [1.0, 2.0, 3.0, 3.0], [1.0, 2.0, 3.0, 9.0]] {
            let y: Vec<f64> = y.iter().cycle().take(40).copied().collect();
            let x = [0.0, 1.0, 2.0, f64::NAN];
            let x = x.iter().cycle().take(40).copied().collect();
            let frame = frame(FeatureValues::Number(x), y.clone());
            for learner in [Learner::DecisionTree, Learner::ExtraTrees] {
                let (_, found) = grow(learner, &frame, &[]);
                for (found, y) in found.iter().zip(&y) {
                    assert!((found - y).abs() < 1e-12, "{learner:?}: {found} is not {y}");
                }
            }
        }
    }

    #[test]
    fn one_split_parts_words_by_their_mean_target() {
        let codes = [0, 1, 2, 3, MISSING];
        let y = [5.0, 1.0, 5.0, 1.0, 5.0];
        let values = FeatureValues::Category {
            codes: codes.iter().cycle().take(40).copied().collect(),
            levels: Arc::new(["a", "b", "c", "d"].map(str::to_owned).to_vec()),
        };
        let frame = frame(values, y.iter().cycle().take(40).copied().collect());
        let (forest, found) = grow(Learner::DecisionTree, &frame, &[]);
        assert_eq!((forest.nodes.len(), &found[..5]), (3, &y[..]));
    }

    #[test]
    fn limits_are_kept() {
        let x: Vec<f64> = (0..500).map(f64::from).collect();
        let y: Vec<f64> = x.iter().map(|x| (x * 0.7).sin()).collect();
        let frame = frame(FeatureValues::Number(x), y);
        for learner in [Learner::DecisionTree, Learner::ExtraTrees] {
            let n_nodes = |name| {
                let (forest, _) = grow(learner, &frame, &[(name, 4), ("n_estimators", 1)]);
                forest.nodes.len()
            };
            assert!(n_nodes("max_depth") < 32);
            assert!(n_nodes("min_samples_leaf") <= 249);
            assert!(n_nodes("min_samples_split") > 249);
        }
    }

    #[test]
    fn a_small_forest_is_the_beginning_of_a_large_one() {
        let x: Vec<f64> = (0..100).map(|row| f64::from(row * 37 % 100)).collect();
        let y = x.iter().map(|x| (x * 0.2).sin()).collect();
        let frame = frame(FeatureValues::Number(x), y);
        for learner in [Learner::RandomForest, Learner::ExtraTrees] {
            let (few, _) = grow(learner, &frame, &[("n_estimators", 3)]);
            let (many, _) = grow(learner, &frame, &[("n_estimators", 9)]);
            assert_eq!(few.nodes[..], many.nodes[..few.nodes.len()]);
            assert_eq!(few.sizes[..], many.sizes[..3]);
            let (first, rest) = many.nodes.split_at(many.sizes[0] as usize);
            assert_ne!(first, &rest[..first.len().min(rest.len())], "{learner:?}");
        }
    }
}
