//! Lines for a whole fleet: what ridge, lasso and elastic net miss by on the folds of many entities.
//!
//! Four kernels: `linear/gram.cu` sums products over the rows of a class, `split.cu` makes a fold's
//! system of them, `ridge.cu` and `net.cu` solve it for all penalties and tell the summed squared
//! errors on the validating rows, all in f64. Whoever wants something of an entity, with whatever
//! penalties, shares its sums, and its systems where they are of one form. They are the CPU engine's
//! within 1e-9 of themselves; where digits would be lost, or the CPU would be content with less than
//! a minimum, nothing is told and the CPU has to do it: weights of rows, repeated rows, more features
//! than rows, systems that are nearly singular, errors near zero or far below the target. Which they
//! are does not depend on the company. Read `linear/plan.rs`, then `trainer/linear/`.

mod course;
mod plan;

#[cfg(test)]
pub(super) mod tests;

use std::collections::HashMap;
use std::ops::Range;

use super::company::{Companies, Company, Family};
use super::machine::{Buffer, Fault, Grid, Kernel, Limits, Machine, Word, pack, unpack};
use super::pool::{Key, Place};
use super::queue::Launch;
use super::turns::Begun;
use crate::folds::Fold;
use crate::frame::{FeatureValues, Frame};
use crate::stop::{Stop, Stopped};
use crate::trainer::linear::{Columns, Line, Settings, Source};
use course::{Course, Courses, Lists, Part, bits};
use plan::{Classes, Need, Shape, chunks, constant};

pub(super) const GRAM: Kernel = Kernel { name: "gram", source: include_str!("linear/gram.cu") };
pub(super) const SPLIT: Kernel = Kernel { name: "split", source: include_str!("linear/split.cu") };
pub(super) const RIDGE: Kernel = Kernel { name: "ridge", source: include_str!("linear/ridge.cu") };
pub(super) const NET: Kernel = Kernel { name: "net", source: include_str!("linear/net.cu") };

/// Threads of a block where its work is not a warp's.
const THREADS: usize = 128;
/// Numbers before a fold's moments, as `split.cu` writes them.
const HEAD: usize = 8;
/// Words of a feature, as `split.cu` reads them.
const N_FEATURE_WORDS: usize = 7;
/// Errors that are a smaller share of the target: the CPU's predictions have no digits for them,
/// where the kernels, which add up what the target is from its mean, do.
const LEAST_ERROR: f64 = 1e-6;

/// An entity, ready for a machine.
#[derive(Debug)]
pub(crate) struct Entity<'a> {
    frame: &'a Frame,
    folds: &'a [Fold],
    columns: Columns,
    classes: Classes,
    shape: Shape,
}

/// What is tried on every fold of an entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) entity: &'a Entity<'a>,
    pub(crate) line: Line,
    pub(crate) tried: &'a [Settings],
}

/// Fold after fold the summed squared errors of each that is tried; none where the CPU has to find
/// them.
pub(crate) type Answers = Vec<Option<f64>>;

impl<'a> Entity<'a> {
    /// None where the CPU has to do all of it.
    pub(crate) fn of(
        frame: &'a Frame,
        folds: &'a [Fold],
        stop: &Stop,
    ) -> Result<Option<Self>, Stopped> {
        if frame.weights.is_some() {
            return Ok(None);
        }
        let Some(classes) = Classes::of(folds, frame.n_rows) else { return Ok(None) };
        let Some(columns) = Columns::of(frame, stop)? else { return Ok(None) };
        let shape = Shape {
            n_rows: classes.rows.len(),
            width: columns.rows.width,
            n_features: columns.sources.iter().map(n_features).sum(),
            n_classes: classes.ends.len(),
            n_folds: folds.len(),
        };
        Ok(Some(Self { frame, folds, columns, classes, shape }))
    }

    /// Why a device with these limits does not take it; none where it does.
    pub(crate) fn refusal(&self, limits: &Limits) -> Option<&'static str> {
        (!self.shape.fits(limits.max_shared))
            .then_some("there are more columns than its blocks have shared memory for")
    }

    /// What tells it from all others.
    fn key(&self) -> Key {
        [Some(Place::one(self.frame)), Some(Place::of(self.folds)), None]
    }

    /// The features that columns may become, as `split.cu` reads them.
    fn features(&self) -> Vec<i64> {
        let mut features: Vec<[i64; N_FEATURE_WORDS]> = Vec::new();
        let hole_of = |hole: Option<usize>| hole.map_or(-1, |at| at as i64);
        let Columns { sources, origins, .. } = &self.columns;
        for (source, &origin) in sources.iter().zip(origins) {
            match *source {
                Source::Number { at, hole, shift, scale } => {
                    let zero = (-shift / scale).to_bits() as i64;
                    let scale = scale.to_bits() as i64;
                    let constant = match &self.frame.columns[origin].values {
                        FeatureValues::Number(values) => constant(values, &self.classes) as i64,
                        FeatureValues::Category { .. } => 0,
                    };
                    features.push([at as i64, hole_of(hole), -1, -1, zero, scale, constant]);
                }
                Source::Words { first, n_words, hole } => {
                    let (begin, end) = (features.len() as i64, (features.len() + n_words) as i64);
                    let one = 1.0_f64.to_bits() as i64;
                    let word = |at| [at as i64, hole_of(hole), begin, end, 0, one, 0];
                    features.extend((first..first + n_words).map(word));
                }
            }
        }
        features.concat()
    }
}

fn n_features(source: &Source) -> usize {
    match *source {
        Source::Number { .. } => 1,
        Source::Words { n_words, .. } => n_words,
    }
}

/// Lines on the folds of entities, whatever their penalties.
pub(crate) enum Lines {}

impl Family for Lines {
    type Wish<'a> = Wish<'a>;
    type Need = Need;
    type Batch = Batch;
    type Found = Answers;

    fn need(wish: &Wish<'_>, limits: &Limits) -> Option<Need> {
        let entity = wish.entity;
        let is_taken = entity.refusal(limits).is_none();
        is_taken.then(|| Need::of(entity.key(), &entity.shape, (wish.line, wish.tried)))
    }

    fn plan(needs: &[Need], (_, limits): (&Machine, &Limits)) -> Vec<Launch> {
        // How much a block may share is told along.
        let launch = |fits| Launch { shared: limits.max_shared, ..Launch::plain(fits) };
        chunks(needs, limits).into_iter().map(launch).collect()
    }

    fn add(batch: &mut Batch, wish: &Wish<'_>) {
        batch.add(wish);
    }

    fn rank(batch: &mut Batch, ranks: &[usize]) {
        for (wanted, &rank) in batch.wanted.iter().zip(ranks) {
            let own = &mut batch.entities[wanted.entity].rank;
            *own = rank.min(*own);
        }
    }

    fn begin<'a>(
        batch: Batch,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Answers>, Fault> {
        batch.begin(machine, launch.shared)
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.lines
    }
}

/// Entities of a launch, and what is wanted of them.
#[derive(Default)]
pub(crate) struct Batch {
    rows: Vec<u8>,
    /// Bytes of each entity among them.
    pieces: Vec<Range<usize>>,
    /// As `split.cu` reads them.
    heads: Vec<i64>,
    features: Vec<i64>,
    n_numbers: usize,
    n_sums: usize,
    entities: Vec<Laid>,
    known: HashMap<Key, usize>,
    lists: Lists,
    wanted: Vec<Wanted>,
}

/// An entity of a launch.
struct Laid {
    shape: Shape,
    /// Where its rows and sums begin.
    first_number: usize,
    first_sum: usize,
    /// Where each class ends among its rows.
    ends: Vec<usize>,
    /// The classes that train and validate in each fold, a bit each.
    folds: Vec<(u64, u64)>,
    /// What the summed squared errors of each fold have to be more than.
    least_losses: Vec<f64>,
    /// What is tried on it.
    lists: Vec<usize>,
    rank: usize,
}

/// What somebody wants of an entity: a list, by its place among the entity's.
struct Wanted {
    entity: usize,
    list: usize,
}

/// What the kernels do, block by block.
#[derive(Default)]
struct Blocks {
    classes: Vec<i64>,
    splits: Vec<i64>,
    ridges: Vec<i64>,
    nets: Vec<i64>,
    /// Numbers that all systems take.
    n_systems: usize,
    n_losses: usize,
}

impl Batch {
    fn add(&mut self, wish: &Wish<'_>) {
        let key = wish.entity.key();
        let entity = match self.known.get(&key) {
            Some(&entity) => entity,
            None => {
                self.lay_out(wish.entity);
                self.known.insert(key, self.entities.len() - 1);
                self.entities.len() - 1
            }
        };
        let list = self.lists.place(wish.line, wish.tried);
        let own = &mut self.entities[entity].lists;
        let known = own.iter().position(|&known| known == list);
        let list = known.unwrap_or_else(|| {
            own.push(list);
            own.len() - 1
        });
        self.wanted.push(Wanted { entity, list });
    }

    fn lay_out(&mut self, entity: &Entity<'_>) {
        let Entity { columns, classes, shape, .. } = entity;
        self.heads.extend([
            self.n_sums as i64,
            shape.width as i64,
            columns.y_at as i64,
            columns.y_shift.to_bits() as i64,
            (self.features.len() / N_FEATURE_WORDS) as i64,
            shape.n_features as i64,
        ]);
        self.features.extend(entity.features());
        let least = (LEAST_ERROR * columns.y_shift).powi(2);
        let first = self.rows.len();
        for &row in &classes.rows {
            self.rows.extend(pack(columns.rows.row(row as usize)));
        }
        self.pieces.push(first..self.rows.len());
        self.entities.push(Laid {
            shape: *shape,
            first_number: self.n_numbers,
            first_sum: self.n_sums,
            ends: classes.ends.clone(),
            folds: classes.train.iter().copied().zip(classes.validate.iter().copied()).collect(),
            least_losses: entity
                .folds
                .iter()
                .map(|fold| least * fold.validate.len() as f64)
                .collect(),
            lists: Vec::new(),
            rank: usize::MAX,
        });
        self.n_numbers += shape.n_rows * shape.width;
        self.n_sums += shape.n_classes * shape.width * shape.width;
    }

    fn begin(self, machine: &Machine, most_shared: usize) -> Result<Begun<'_, Answers>, Fault> {
        let (mut courses, mut blocks) = (Courses::default(), Blocks::default());
        let mut losses_at = vec![0; self.entities.len()];
        let mut order: Vec<usize> = (0..self.entities.len()).collect();
        order.sort_by_key(|&index| self.entities[index].rank);
        for index in order {
            let own = &self.entities[index];
            losses_at[index] = blocks.n_losses;
            courses.add(&self.lists, &own.lists);
            blocks.add((index, own), courses.of(&own.lists));
        }
        let losses = self.launch((machine, most_shared), &blocks, &courses)?;
        Ok(Box::new(move || {
            let found: Vec<f64> = unpack(&machine.take(&losses)?);
            let of_wish = |wanted: &Wanted| {
                let own = &self.entities[wanted.entity];
                let course = courses.of(&own.lists);
                let folds = (0..own.shape.n_folds).flat_map(|fold| {
                    let first = losses_at[wanted.entity] + fold * course.n_losses;
                    let least = own.least_losses[fold];
                    course.places[wanted.list].iter().map(move |place| (first + place, least))
                });
                let loss = |(at, least): (usize, f64)| {
                    found.get(at).copied().filter(|&loss| loss > least && loss.is_finite())
                };
                folds.map(loss).collect()
            };
            Ok(self.wanted.iter().map(of_wish).collect())
        }))
    }

    /// Launches all kernels; where the losses will be.
    fn launch(
        &self,
        (machine, most_shared): (&Machine, usize),
        blocks: &Blocks,
        courses: &Courses,
    ) -> Result<Buffer, Fault> {
        let shapes = self.entities.iter().map(|own| own.shape);
        let widest = shapes.fold(Shape::default(), |widest, own| widest.with(&own));
        let rows = machine.put_shared(&self.rows, &self.pieces)?;
        let classes = machine.put(&pack(&blocks.classes))?;
        let sums = machine.room(8 * self.n_sums)?;
        let n_blocks = blocks.classes.len() / 4;
        let grid = Grid { n_blocks, n_threads: THREADS, shared: widest.gram_shared() };
        machine.launch(&GRAM, &[], grid, &[&rows, &classes, &sums].map(Word::Buffer))?;

        let heads = machine.put(&pack(&self.heads))?;
        let features = machine.put(&pack(&self.features))?;
        let splits = machine.put(&pack(&blocks.splits))?;
        let systems = machine.room(8 * blocks.n_systems)?;
        let n_blocks = blocks.splits.len() / 6;
        let grid = Grid { n_blocks, n_threads: THREADS, shared: widest.split_shared() };
        let words = [&sums, &heads, &features, &splits, &systems].map(Word::Buffer);
        machine.launch(&SPLIT, &[], grid, &words)?;

        let losses = machine.room(8 * blocks.n_losses)?;
        if !blocks.ridges.is_empty() {
            let tasks = machine.put(&pack(&blocks.ridges))?;
            let alphas = machine.put(&pack(&courses.alphas))?;
            let (n_threads, n_lanes) = widest.ridge_threads(most_shared);
            let grid = Grid {
                n_blocks: blocks.ridges.len() / 5,
                n_threads,
                shared: widest.ridge_shared(n_lanes),
            };
            let buffers = [&tasks, &systems, &alphas, &losses].map(Word::Buffer);
            let words = [&buffers[..], &[Word::Int(n_lanes as i64)]].concat();
            machine.launch(&RIDGE, &[], grid, &words)?;
        }
        if !blocks.nets.is_empty() {
            let tasks = machine.put(&pack(&blocks.nets))?;
            let penalties = machine.put(&pack(&courses.penalties))?;
            let n_blocks = blocks.nets.len() / 6;
            let grid = Grid { n_blocks, n_threads: 32, shared: widest.net_shared() };
            let words = [&tasks, &systems, &penalties, &losses].map(Word::Buffer);
            machine.launch(&NET, &[("COLUMNS", widest.net_columns() as i64)], grid, &words)?;
        }
        Ok(losses)
    }
}

impl Blocks {
    /// Appends all that is done on an entity, of this place.
    fn add(&mut self, (index, entity): (usize, &Laid), course: &Course) {
        let Laid { shape, first_number, first_sum, .. } = entity;
        let mut begin = 0;
        for (class, &end) in entity.ends.iter().enumerate() {
            let first = first_number + begin * shape.width;
            let sums = first_sum + class * shape.width * shape.width;
            self.classes.extend([first, end - begin, shape.width, sums].map(|word| word as i64));
            begin = end;
        }
        for (fold, (train, validate)) in entity.folds.iter().enumerate() {
            let system = |form: usize| self.n_systems + form * shape.system_numbers();
            let head = |part: &Part| [system(part.form), shape.n_features, part.first];
            for part in &course.ridges {
                let words = [part.n, self.n_losses + part.place];
                self.ridges
                    .extend([&head(part)[..], &words].concat().iter().map(|&word| word as i64));
            }
            for (part, share) in &course.nets {
                let [system, n_features, first] = head(part).map(|word| word as i64);
                let (end, at) = (first + part.n as i64, (self.n_losses + part.place) as i64);
                self.nets.extend([system, n_features, first, end, share.to_bits() as i64, at]);
            }
            for form in &course.forms {
                self.splits.extend([
                    index as i64,
                    *train as i64,
                    *validate as i64,
                    self.n_systems as i64,
                    fold as i64,
                    bits(*form) as i64,
                ]);
                self.n_systems += shape.system_numbers();
            }
            self.n_losses += course.n_losses;
        }
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    let plain = [GRAM, SPLIT, RIDGE].map(|kernel| (kernel, Vec::new()));
    let nets = [1, 2, 4].map(|columns| (NET, vec![("COLUMNS", columns)]));
    plain.into_iter().chain(nets).collect()
}
