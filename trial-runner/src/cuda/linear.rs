//! Lines for a whole fleet: what ridge, lasso and elastic net miss by on the folds of many entities.
//!
//! Four kernels: `linear/gram.cu` sums products over the rows of a class, `split.cu` makes a fold's
//! system of them, `ridge.cu` and `net.cu` solve it for all penalties and tell the summed squared
//! errors on the validating rows, all in f64. They are the CPU engine's within 1e-9 of themselves;
//! where digits would be lost, or the CPU would be content with less than a minimum, nothing is told
//! and the CPU has to do it: weights of rows, repeated rows, more features than rows, systems that
//! are nearly singular, errors near zero. Which they are does not depend on the company. Read
//! `linear/plan.rs`, then `trainer/linear/`.

mod plan;

#[cfg(test)]
pub(super) mod tests;

use std::ops::{ControlFlow, Range};

use super::machine::{Buffer, Fault, Grid, Kernel, Limits, Machine, Word, pack, unpack};
use super::turns::{Begun, run_all};
use crate::folds::Fold;
use crate::frame::Frame;
use crate::stop::{Stop, Stopped};
use crate::trainer::linear::{Columns, Form, Penalty, Scaling, Source};
use plan::{Classes, Shape, chunks};

pub(super) const GRAM: Kernel = Kernel { name: "gram", source: include_str!("linear/gram.cu") };
pub(super) const SPLIT: Kernel = Kernel { name: "split", source: include_str!("linear/split.cu") };
pub(super) const RIDGE: Kernel = Kernel { name: "ridge", source: include_str!("linear/ridge.cu") };
pub(super) const NET: Kernel = Kernel { name: "net", source: include_str!("linear/net.cu") };

/// Threads of a block where its work is not a warp's.
const THREADS: usize = 128;
/// Numbers before a fold's moments, as `split.cu` writes them.
const HEAD: usize = 8;

/// An entity, ready for a machine.
#[derive(Debug)]
pub(crate) struct Entity {
    columns: Columns,
    classes: Classes,
    shape: Shape,
}

/// Penalties to try on every fold of every entity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Penalties<'a> {
    /// Alphas.
    Ridge(&'a [f64]),
    /// Of lasso and elastic net.
    Net(&'a [Penalty]),
}

/// What to try, and on what form of the features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) form: Form,
    pub(crate) penalties: Penalties<'a>,
}

/// For each entity and fold, fold after fold, the summed squared errors of each penalty; none where
/// the CPU has to find them.
pub(crate) type Answers = Vec<Vec<Option<f64>>>;

impl Entity {
    /// None where the CPU has to do all of it.
    pub(crate) fn of(frame: &Frame, folds: &[Fold], stop: &Stop) -> Result<Option<Self>, Stopped> {
        if frame.weights.is_some() {
            return Ok(None);
        }
        let Some(classes) = Classes::of(folds, frame.n_rows) else { return Ok(None) };
        let Some(columns) = Columns::of(frame, stop)? else { return Ok(None) };
        let n_features = features(&columns).len();
        let shape = Shape {
            n_rows: classes.rows.len(),
            width: columns.rows.width,
            n_features,
            n_classes: classes.ends.len(),
            n_folds: folds.len(),
        };
        Ok(Some(Self { columns, classes, shape }))
    }

    /// Why a device with these limits does not take it; none where it does.
    pub(crate) fn refusal(&self, limits: &Limits) -> Option<&'static str> {
        (!self.shape.fits(limits.max_shared))
            .then_some("there are more columns than its blocks have shared memory for")
    }
}

impl Penalties<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ridge(alphas) => alphas.len(),
            Self::Net(penalties) => penalties.len(),
        }
    }
}

/// What each penalty of each ask misses by, and why some were refused. `hear` is told how many
/// entities are done, and says whether to go on.
pub(crate) fn squared_errors(
    (machine, limits): (&Machine, &Limits),
    entities: &[Option<Entity>],
    asks: &[Ask<'_>],
    hear: &mut dyn FnMut(usize) -> bool,
) -> Result<(Vec<Answers>, Result<(), Fault>), Fault> {
    let n_folds = |entity: &Option<Entity>| entity.as_ref().map_or(0, |own| own.shape.n_folds);
    let empty = |ask: &Ask<'_>| -> Answers {
        let n = ask.penalties.len();
        entities.iter().map(|entity| vec![None; n_folds(entity) * n]).collect()
    };
    let mut answers: Vec<Answers> = asks.iter().map(empty).collect();
    let taken = |entity: &Option<Entity>| {
        entity.as_ref().filter(|own| own.refusal(limits).is_none()).map(|own| own.shape)
    };
    let shapes: Vec<Option<Shape>> = entities.iter().map(taken).collect();
    let begin = &mut |chunk: &Vec<usize>| {
        let batch: Vec<&Entity> =
            chunk.iter().filter_map(|&index| entities.get(index)?.as_ref()).collect();
        let laid = Laid::out(machine, &batch)?;
        let begun = asks.iter().map(|ask| laid.begin((machine, limits), ask));
        let begun = begun.collect::<Result<Vec<_>, _>>()?;
        let n_folds: Vec<usize> = batch.iter().map(|entity| entity.shape.n_folds).collect();
        Ok(Box::new(move || {
            let found = begun.into_iter().map(|solving| solving.land(machine));
            Ok(by_entity(&found.collect::<Result<Vec<_>, _>>()?, &n_folds))
        }) as Begun<'_, _>)
    };
    let halves = |chunk: &Vec<usize>| {
        let (first, second) = chunk.split_at(chunk.len().div_ceil(2));
        [first.to_vec(), second.to_vec()]
    };
    let (mut n_done, mut refused) = (0, Ok(()));
    let hear = &mut |index: usize, found: Result<Vec<Vec<f64>>, Fault>| {
        match found {
            Ok(of_asks) => {
                for (answers, found) in answers.iter_mut().zip(of_asks) {
                    for (own, found) in answers[index].iter_mut().zip(found) {
                        *own = found.is_finite().then_some(found);
                    }
                }
            }
            Err(fault) => refused = Err(fault),
        }
        n_done += 1;
        if hear(n_done) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    run_all(chunks(&shapes, asks, limits), (Vec::as_slice, halves), begin, hear)?;
    Ok((answers, refused))
}

/// What was found of each ask, fold after fold of all entities, entity by entity.
fn by_entity(of_asks: &[Vec<f64>], n_folds: &[usize]) -> Vec<Vec<Vec<f64>>> {
    let n_all: usize = n_folds.iter().sum();
    let mut first = 0;
    let of_entity = n_folds.iter().map(|n_folds| {
        let folds = first..first + n_folds;
        first = folds.end;
        let own = of_asks.iter().map(|found| {
            let n = found.len() / n_all.max(1);
            found.get(n * folds.start..n * folds.end).unwrap_or_default().to_vec()
        });
        own.collect()
    });
    of_entity.collect()
}

/// An ask that is being solved.
struct Solving {
    losses: Option<Buffer>,
    /// Where each penalty of the kernel stands among those that were asked for; none: as they are.
    order: Option<Vec<usize>>,
}

impl Solving {
    /// For each fold of each entity the summed squared errors of each penalty; NaN for none.
    fn land(self, machine: &Machine) -> Result<Vec<f64>, Fault> {
        let Some(losses) = self.losses else { return Ok(Vec::new()) };
        let found: Vec<f64> = unpack(&machine.take(&losses)?);
        let Some(order) = self.order else { return Ok(found) };
        let mut losses = found.clone();
        let rows = losses.chunks_exact_mut(order.len());
        for (row, found) in rows.zip(found.chunks_exact(order.len())) {
            order.iter().zip(found).for_each(|(&place, loss)| row[place] = *loss);
        }
        Ok(losses)
    }
}

/// Entities in a machine's memory, with the sums of their classes.
struct Laid {
    sums: Buffer,
    entities: Buffer,
    features: Buffer,
    splits: Buffer,
    /// Numbers that all systems take.
    n_systems: usize,
    n_splits: usize,
    /// The widest of all.
    shape: Shape,
}

impl Laid {
    fn out(machine: &Machine, batch: &[&Entity]) -> Result<Self, Fault> {
        let (mut rows, mut pieces): (Vec<u8>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        let (mut classes, mut entities) = (Vec::new(), Vec::new());
        let (mut features_of_all, mut splits) = (Vec::new(), Vec::new());
        let (mut n_numbers, mut n_sums, mut n_systems) = (0, 0, 0);
        let mut widest = Shape::default();
        for (index, entity) in batch.iter().enumerate() {
            let Entity { columns, classes: own, shape } = entity;
            widest = widest.with(shape);
            let words = features(columns);
            entities.extend([
                n_sums as i64,
                shape.width as i64,
                columns.y_at as i64,
                columns.y_shift.to_bits() as i64,
                (features_of_all.len() / 6) as i64,
                words.len() as i64,
            ]);
            features_of_all.extend(words.iter().flatten().copied());
            let first = rows.len();
            for &row in &own.rows {
                rows.extend(pack(columns.rows.row(row as usize)));
            }
            pieces.push(first..rows.len());
            let mut begin = 0;
            for &end in &own.ends {
                let first = n_numbers + begin * shape.width;
                let n_rows = end - begin;
                classes.extend([first, n_rows, shape.width, n_sums].map(|word| word as i64));
                n_sums += shape.width * shape.width;
                begin = end;
            }
            n_numbers += begin * shape.width;
            for (train, validate) in own.train.iter().zip(&own.validate) {
                splits.extend([index as i64, *train as i64, *validate as i64, n_systems as i64]);
                n_systems += shape.system_numbers();
            }
        }
        let n_classes = classes.len() / 4;
        let rows = machine.put_shared(&rows, &pieces)?;
        let classes = machine.put(&pack(&classes))?;
        let sums = machine.room(8 * n_sums)?;
        let grid = Grid { n_blocks: n_classes, n_threads: THREADS, shared: widest.gram_shared() };
        let words = [&rows, &classes, &sums].map(Word::Buffer);
        machine.launch(&GRAM, &[], grid, &words)?;
        Ok(Self {
            sums,
            entities: machine.put(&pack(&entities))?,
            features: machine.put(&pack(&features_of_all))?,
            n_splits: splits.len() / 4,
            splits: machine.put(&pack(&splits))?,
            n_systems,
            shape: widest,
        })
    }

    /// Begins to solve all folds of all entities for each penalty.
    fn begin(
        &self,
        (machine, limits): (&Machine, &Limits),
        ask: &Ask<'_>,
    ) -> Result<Solving, Fault> {
        let n_penalties = ask.penalties.len();
        if n_penalties == 0 || self.n_splits == 0 {
            return Ok(Solving { losses: None, order: None });
        }
        let systems = machine.room(8 * self.n_systems)?;
        let is_standard = ask.form.scaling == Scaling::Standard;
        let grid =
            Grid { n_blocks: self.n_splits, n_threads: THREADS, shared: self.shape.split_shared() };
        let words = [
            Word::Buffer(&self.sums),
            Word::Buffer(&self.entities),
            Word::Buffer(&self.features),
            Word::Buffer(&self.splits),
            Word::Buffer(&systems),
            Word::Int(i64::from(is_standard)),
            Word::Int(i64::from(ask.form.has_intercept)),
        ];
        machine.launch(&SPLIT, &[], grid, &words)?;
        let losses = machine.room(8 * self.n_splits * n_penalties)?;
        let order = match ask.penalties {
            Penalties::Ridge(alphas) => {
                self.ridge((machine, limits), alphas, (&systems, &losses))?;
                None
            }
            Penalties::Net(penalties) => Some(self.net(machine, penalties, (&systems, &losses))?),
        };
        Ok(Solving { losses: Some(losses), order })
    }

    fn ridge(
        &self,
        (machine, limits): (&Machine, &Limits),
        alphas: &[f64],
        (systems, losses): (&Buffer, &Buffer),
    ) -> Result<(), Fault> {
        let alphas_there = machine.put(&pack(alphas))?;
        let (n_threads, n_lanes) = self.shape.ridge_threads(limits.max_shared);
        let grid =
            Grid { n_blocks: self.n_splits, n_threads, shared: self.shape.ridge_shared(n_lanes) };
        let words = [
            Word::Buffer(&self.splits),
            Word::Buffer(&self.entities),
            Word::Buffer(systems),
            Word::Buffer(&alphas_there),
            Word::Buffer(losses),
            Word::Int(alphas.len() as i64),
            Word::Int(n_lanes as i64),
        ];
        machine.launch(&RIDGE, &[], grid, &words)
    }

    /// Where each of the penalties, as the kernel has them, stands among those that were asked for.
    fn net(
        &self,
        machine: &Machine,
        penalties: &[Penalty],
        (systems, losses): (&Buffer, &Buffer),
    ) -> Result<Vec<usize>, Fault> {
        let (order, shares) = shares(penalties);
        let sorted = order.iter().filter_map(|&index| penalties.get(index));
        let numbers: Vec<f64> = sorted
            .flat_map(|own| [own.alpha, own.tolerance, own.max_rounds.min(1 << 52) as f64])
            .collect();
        let words: Vec<i64> = shares
            .iter()
            .flat_map(|(range, share)| {
                [range.start as i64, range.end as i64, share.to_bits() as i64]
            })
            .collect();
        let (shares_there, numbers) = (machine.put(&pack(&words))?, machine.put(&pack(&numbers))?);
        let grid = Grid {
            n_blocks: self.n_splits * shares.len(),
            n_threads: 32,
            shared: self.shape.net_shared(),
        };
        let words = [
            Word::Buffer(&self.splits),
            Word::Buffer(&self.entities),
            Word::Buffer(systems),
            Word::Buffer(&shares_there),
            Word::Buffer(&numbers),
            Word::Buffer(losses),
            Word::Int(shares.len() as i64),
            Word::Int(penalties.len() as i64),
        ];
        machine.launch(&NET, &[("COLUMNS", self.shape.net_columns() as i64)], grid, &words)?;
        Ok(order)
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    let plain = [GRAM, SPLIT, RIDGE].map(|kernel| (kernel, Vec::new()));
    let nets = [1, 2, 4].map(|columns| (NET, vec![("COLUMNS", columns)]));
    plain.into_iter().chain(nets).collect()
}

/// Penalties by their share of the absolute part, alphas falling: their order, and the range and the
/// share of each.
fn shares(penalties: &[Penalty]) -> (Vec<usize>, Vec<(Range<usize>, f64)>) {
    let mut order: Vec<usize> = (0..penalties.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&penalties[a], &penalties[b]);
        a.l1_ratio.total_cmp(&b.l1_ratio).then(b.alpha.total_cmp(&a.alpha))
    });
    let mut shares: Vec<(Range<usize>, f64)> = Vec::new();
    for (place, &index) in order.iter().enumerate() {
        let share = penalties[index].l1_ratio;
        match shares.last_mut() {
            Some((range, last)) if *last == share => range.end = place + 1,
            _ => shares.push((place..place + 1, share)),
        }
    }
    (order, shares)
}

/// The features that columns may become, as `split.cu` reads them.
fn features(columns: &Columns) -> Vec<[i64; 6]> {
    let mut features = Vec::new();
    let hole_of = |hole: Option<usize>| hole.map_or(-1, |at| at as i64);
    for source in &columns.sources {
        match *source {
            Source::Number { at, hole, shift, scale } => {
                let zero = (-shift / scale).to_bits() as i64;
                features.push([at as i64, hole_of(hole), -1, -1, zero, scale.to_bits() as i64]);
            }
            Source::Words { first, n_words, hole } => {
                let (begin, end) = (features.len() as i64, (features.len() + n_words) as i64);
                let one = 1.0_f64.to_bits() as i64;
                let word = |at| [at as i64, hole_of(hole), begin, end, 0, one];
                features.extend((first..first + n_words).map(word));
            }
        }
    }
    features
}
