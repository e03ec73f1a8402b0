//! Launches of `forest/*.cu`: random forests and extra trees of the CPU engine's own jobs, the same
//! sums of leaves to the bit.
//!
//! A launch is trees of many fits, each grown by a warp; a second kernel, `tally.cu`, adds up what
//! they say of the watched rows, and no tree leaves the device. Left to the CPU: entropy, and several
//! classes whose rows weigh unlike, because sums of those depend on the order of rows; and tables of
//! more than 65,535 rows or columns.

mod plan;
#[cfg(test)]
pub(super) mod tests;

use super::company::{Companies, Company, Family};
use super::machine::Limits;
use super::machine::{Fault, Grid, Kernel, Machine, Word, pack};
use super::pool::{Place, Pool, alone};
use super::queue::{self, Launch, Need, Order, told};
use super::turns::Begun;
use crate::forest::grid::Column;
use crate::forest::{Brought, Job, Splitter, Truth, stream};
use plan::Size;

/// Grows trees.
pub(super) const FOREST: Kernel = Kernel {
    name: "forest",
    source: concat!(
        include_str!("forest/kinds.cu"),
        include_str!("forest/splits.cu"),
        include_str!("forest/grow.cu"),
    ),
};
/// Adds up their leaves.
pub(super) const TALLY: Kernel = Kernel { name: "tally", source: include_str!("forest/tally.cu") };

/// Rows and columns that the kernel's numbers hold.
const MOST: usize = u16::MAX as usize;
/// Classes of a fit: counts of each stand in every bin.
const MOST_CLASSES: usize = 64;
/// Threads of a block.
const N_THREADS: usize = 32;
/// Threads of a block that adds up.
const TALLY_THREADS: usize = 128;

/// A fit, and after how many trees their sums are wanted: in ascending order, none beyond its number
/// of trees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) marks: &'a [usize],
}

/// What the trees up to a mark say of the watched rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sums {
    /// Of their leaves, row after row: a number, or one a class.
    pub(crate) sums: Vec<f64>,
    /// How many trees had a say of each row.
    pub(crate) n_trees: Vec<u32>,
}

/// Why the kernel does not take a fit; none where it does.
pub(crate) fn refusal(job: &Job<'_>) -> Option<&'static str> {
    match job.truth {
        Truth::Classes { by_entropy: true, .. } => return Some("splits are by entropy"),
        Truth::Classes { n_classes, .. } if n_classes > MOST_CLASSES => {
            return Some("there are more than 64 classes");
        }
        Truth::Classes { n_classes, .. } if n_classes > 2 && job.weights.is_some() => {
            return Some("rows of several classes are weighted");
        }
        Truth::Classes { .. } | Truth::Numbers(_) => {}
    }
    if job.rows.is_empty() || job.grid.columns.is_empty() {
        return Some("there is nothing to learn");
    }
    let n_drawn = job.settings.n_drawn.unwrap_or_default();
    if job.grid.n_rows > MOST {
        return Some("there are more than 65,535 rows");
    }
    (job.grid.columns.len().max(n_drawn) > MOST).then_some("there are more than 65,535 columns")
}

/// Fits of forests, which the kernel must take.
pub(crate) enum Forest {}

impl Family for Forest {
    type Wish<'a> = Wish<'a>;
    type Need = Need;
    type Batch = Batch;
    type Found = Vec<Sums>;

    fn need(wish: &Wish<'_>, limits: &Limits) -> Option<Need> {
        Some(size(wish).need(limits))
    }

    fn plan(needs: &[Need], (machine, limits): (&Machine, &Limits)) -> Vec<Launch> {
        queue::plan(needs, limits, |kind, shared| {
            queue::resident(machine, (&FOREST, &[("CLASSES", kind as i64)]), (N_THREADS, shared))
        })
    }

    fn add(batch: &mut Batch, wish: &Wish<'_>) {
        batch.add(wish);
    }

    fn rank(batch: &mut Batch, ranks: &[usize]) {
        // One of each tree, which names its fit first.
        let n_trees = batch.sprouts.len() / 4;
        queue::rank(&mut batch.sprouts, n_trees, |_, sprout| ranks[sprout[0] as usize]);
    }

    fn begin<'a>(
        batch: Batch,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Vec<Sums>>, Fault> {
        batch.begin(machine, launch)
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.forest
    }
}

/// Numbers of a leaf.
fn width(truth: Truth<'_>) -> usize {
    match truth {
        Truth::Numbers(_) => 1,
        Truth::Classes { n_classes, .. } => n_classes,
    }
}

fn size(wish: &Wish<'_>) -> Size {
    let Job { grid, truth, rows, watched, settings, .. } = &wish.job;
    let n_trees = wish.marks.last().copied().unwrap_or(0);
    let (n_columns, width) = (grid.columns.len(), width(*truth));
    let n_told = watched.rows.len() * width;
    Size {
        n_rows: grid.n_rows,
        n_learnt: rows.len(),
        n_columns,
        n_tried: settings.n_features.clamp(1, n_columns.max(1)),
        width,
        n_trees,
        max_depth: settings.max_depth,
        has_classes: width > 2,
        n_bytes: grid.n_rows * (n_columns + 24)
            + 4 * (rows.len() + watched.rows.len())
            + n_columns * 8 * 256
            + n_trees * (32 + 8 * n_told)
            + 8 * wish.marks.len() * (n_told + watched.rows.len()),
    }
}

/// The data of a launch, each piece once, however many fits use it.
#[derive(Default)]
pub(crate) struct Batch {
    tasks: Vec<u64>,
    sprouts: Vec<u64>,
    /// What `tally.cu` reads: six words a fit.
    fits: Vec<i64>,
    codes: Pool<u8>,
    columns: Pool<i64>,
    reals: Pool<f64>,
    guides: Pool<u8>,
    targets: Pool<f64>,
    weights: Pool<f64>,
    words: Pool<i64>,
    rows: Pool<i32>,
    marks: Pool<i64>,
    n_leaves: usize,
    n_out: usize,
    /// Watched rows, numbers of each, and marks of each fit.
    told: Vec<(usize, usize, usize)>,
}

impl Batch {
    /// Appends a fit: the fields of the kernel's `Task`, in its order, and its trees.
    fn add(&mut self, wish: &Wish<'_>) {
        let job = &wish.job;
        let settings = job.settings;
        let (n_columns, width) = (job.grid.columns.len(), width(job.truth));
        let n_trees = wish.marks.last().copied().unwrap_or(0);
        let number = self.told.len() as u64;
        for tree in 0..n_trees {
            let state = stream(job.seed, tree).state();
            self.sprouts.extend([number, tree as u64, state as u64, (state >> 64) as u64]);
        }
        let whole = |n: usize| n as u64;
        let place = |place: i64| place as u64;
        // No count of rows is beyond this, so that twice as many are a whole number too.
        let most = |n: usize| n.min(1 << 40) as u64;
        let (words, [weight_scale, scale], weight_bits) = self.words_of(job);
        let disorder = if matches!(job.truth, Truth::Numbers(_)) { 1.0 } else { 2.0_f64 };
        let n_watched = job.watched.rows.len();
        let weights = job.weights.map_or(-1, |weights| {
            self.weights.share(alone(Place::of(weights)), || weights.iter().copied())
        });
        let fields = [
            whole(job.grid.n_rows),
            whole(n_columns),
            place(self.columns_of(job) / 7),
            place(words),
            place(self.targets_of(job)),
            place(weights),
            place(self.rows_of(job.rows)),
            whole(job.rows.len()),
            place(self.rows_of(job.watched.rows)),
            whole(n_watched),
            u64::from(job.watched.out_of_bag),
            whole(width),
            whole(self.n_leaves),
            u64::from(settings.splitter == Splitter::Random),
            most(settings.max_depth),
            most(settings.min_samples_split.max(2)),
            most(settings.min_samples_leaf.max(1)),
            whole(settings.n_features),
            settings.n_drawn.map_or(-1_i64 as u64, whole),
            u64::from(settings.is_shuffled),
            settings.min_impurity_decrease.to_bits(),
            weight_scale.to_bits(),
            scale.to_bits(),
            disorder.to_bits(),
            u64::from(weight_bits),
        ];
        self.tasks.extend(fields);
        let marks = self.marks.push(wish.marks.iter().map(|&mark| mark as i64));
        let own = [self.n_leaves, n_watched, width].map(|n| n as i64);
        self.fits.extend(own);
        self.fits.extend([marks, wish.marks.len() as i64, self.n_out as i64]);
        self.n_leaves += n_trees * n_watched * width;
        self.n_out += wish.marks.len() * n_watched * (width + 1);
        self.told.push((n_watched, width, wish.marks.len()));
    }

    /// Where a fit's words stand, the units of them, and the bits of their weights.
    fn words_of(&mut self, job: &Job<'_>) -> (i64, [f64; 2], u32) {
        match job.brought() {
            Brought::Words(own) => {
                let place = self.words.push(own.words);
                (place, [own.weight_scale, own.scale], own.weight_bits)
            }
            Brought::Lots { .. } => (0, [1.0, 1.0], 0),
        }
    }

    fn targets_of(&mut self, job: &Job<'_>) -> i64 {
        match job.truth {
            Truth::Numbers(numbers) => {
                self.targets.share(alone(Place::of(numbers)), || numbers.iter().copied())
            }
            Truth::Classes { codes, .. } => self
                .targets
                .share(alone(Place::of(codes)), || codes.iter().map(|&code| f64::from(code))),
        }
    }

    fn rows_of(&mut self, rows: &[u32]) -> i64 {
        self.rows.share(alone(Place::of(rows)), || rows.iter().map(|&row| row as i32))
    }

    /// Where the columns of a fit's grid stand, each of seven words.
    fn columns_of(&mut self, job: &Job<'_>) -> i64 {
        let Self { codes, reals, guides, columns, .. } = self;
        let mut column = |own: &Column<'_>| {
            let bytes = |bytes: &[u8], pool: &mut Pool<u8>| {
                pool.share(alone(Place::of(bytes)), || bytes.iter().copied())
            };
            let mut numbers = |numbers: &[f64]| {
                reals.share(alone(Place::of(numbers)), || numbers.iter().copied())
            };
            [
                bytes(&own.codes, codes),
                own.n_values() as i64,
                numbers(&own.least),
                numbers(&own.most),
                numbers(&own.cuts),
                bytes(&own.guide, guides),
                own.scale.to_bits() as i64,
            ]
        };
        let all: Vec<i64> = job.grid.columns.iter().flat_map(&mut column).collect();
        columns.share(alone(Place::one(job.grid)), || all)
    }

    /// Launches it, and what adds up its leaves.
    fn begin<'a>(
        self,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Vec<Sums>>, Fault> {
        let order = Order {
            kernel: &FOREST,
            defines: &[("CLASSES", launch.kind as i64)],
            n_threads: N_THREADS,
            tasks: vec![machine.put(&pack(&self.tasks))?, machine.put(&pack(&self.sprouts))?],
            n_tasks: self.sprouts.len() / 4,
            data: vec![
                self.codes.put(machine)?,
                self.columns.put(machine)?,
                self.reals.put(machine)?,
                self.guides.put(machine)?,
                self.targets.put(machine)?,
                self.weights.put(machine)?,
                self.words.put(machine)?,
                self.rows.put(machine)?,
            ],
            n_told: 8 * self.n_leaves,
        };
        let leaves = order.send(machine, launch)?;
        let fits = machine.put(&pack(&self.fits))?;
        let marks = self.marks.put(machine)?;
        let out = machine.room(8 * self.n_out)?;
        let fields = [&fits, &leaves, &marks, &out].map(Word::Buffer);
        let grid = Grid { n_blocks: self.told.len(), n_threads: TALLY_THREADS, shared: 0 };
        machine.launch(&TALLY, &[], grid, &fields)?;
        // For each mark the sums, and of each row its trees.
        let pieces = self.told.iter().flat_map(|&(n_watched, width, n_marks)| {
            (0..n_marks).flat_map(move |_| [n_watched * width, n_watched])
        });
        let told = told::<f64>(machine, out, pieces.collect());
        Ok(Box::new(move || {
            let mut pairs = told()?.into_iter();
            let mut mark = || {
                let (sums, n_trees) = (pairs.next()?, pairs.next()?);
                Some(Sums { sums, n_trees: n_trees.into_iter().map(|n| n as u32).collect() })
            };
            let of_fit = |own: &(usize, usize, usize)| (0..own.2).filter_map(|_| mark()).collect();
            Ok(self.told.iter().map(of_fit).collect())
        }))
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    let forests = [0, 1].map(|classes| (FOREST, vec![("CLASSES", classes)]));
    forests.into_iter().chain([(TALLY, Vec::new())]).collect()
}
