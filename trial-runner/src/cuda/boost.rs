//! Launches of one kernel, `boost/*.cu`: fits of the CPU engine's own jobs, the same scores to the bit.
//!
//! Taken are tables of numbers (and missing ones), every loss, and trees of at most 256 leaves, by
//! their number or by their depth. Everything else is the CPU engine's. A fit answers with the scores
//! of its watched rows after each round that somebody asked for: any measure can be made of them, and
//! no tree leaves the device.

mod plan;
#[cfg(test)]
pub(super) mod tests;

use super::company::{Companies, Company, Family};
use super::machine::{Fault, Kernel, Limits, Machine, pack};
use super::pool::{Place, Pool, alone};
use super::queue::{self, Launch, Need, Order, told};
use super::turns::Begun;
use crate::boost::Job;
use crate::boost::loss::Loss;
use crate::boost::table::{Codes, Table, Values};
pub(super) use plan::Shape;
use plan::{N_THREADS, Size};

/// The kernel.
pub(super) const KERNEL: Kernel = Kernel {
    name: "boost",
    source: concat!(
        include_str!("boost/kinds.cu"),
        include_str!("boost/words.cu"),
        include_str!("boost/slopes.cu"),
        include_str!("boost/splits.cu"),
        include_str!("boost/leaves.cu"),
        include_str!("boost/fit.cu"),
    ),
};

/// Columns that a split can name.
const MAX_COLUMNS: usize = i16::MAX as usize;
/// Rows that a fit may count.
const MAX_ROWS: usize = 131_071;

/// A fit, and after how many rounds the scores of its watched rows are wanted: in ascending order,
/// none beyond its number of trees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) marks: &'a [usize],
}

/// The scores of a wish: mark after mark those of its watched rows, row after row.
pub(crate) type Scores = Vec<f64>;

/// Why the kernel does not take a fit; none where it does.
pub(crate) fn refusal(job: &Job<'_>) -> Option<&'static str> {
    let is_narrow = |column: usize| matches!(job.table.codes(column), Codes::Narrow(_));
    let n_columns = job.table.columns.len();
    let n_rows = job.counting().n_rows;
    if !(0..n_columns).all(|column| holds_numbers(job.table, column)) {
        Some("a column is not of numbers")
    } else if size(&Wish { job: *job, marks: &[] }).shape().is_none() {
        Some("trees may have more than 256 leaves")
    } else if !(0..n_columns).all(is_narrow) {
        Some("a column has more than 256 bins")
    } else if !(1..=MAX_COLUMNS).contains(&n_columns) {
        Some("there are no columns, or too many")
    } else if !(1..=MAX_ROWS).contains(&n_rows) {
        Some("there are no rows, or more than 131,071 of them")
    } else {
        None
    }
}

fn holds_numbers(table: &Table, column: usize) -> bool {
    matches!(table.columns[column].values, Values::Numbers { .. })
}

/// The kernel's number of a loss, and its parameter.
fn loss(loss: Loss) -> (u64, f64) {
    match loss {
        Loss::Squared => (0, 0.0),
        Loss::Huber { delta } => (1, delta),
        Loss::Poisson => (2, 0.0),
        Loss::Tweedie { power } => (3, power),
        Loss::Logistic => (4, 0.0),
        Loss::Softmax { .. } => (5, 0.0),
        Loss::Absolute => (6, 0.0),
        Loss::Quantile { level } => (7, level),
    }
}

/// Fits of gradient boosting.
pub(crate) enum Boost {}

impl Family for Boost {
    type Wish<'a> = Wish<'a>;
    type Need = Need;
    type Batch = Batch;
    type Found = Scores;

    fn need(wish: &Wish<'_>, limits: &Limits) -> Option<Need> {
        size(wish).need(limits)
    }

    fn plan(needs: &[Need], (machine, limits): (&Machine, &Limits)) -> Vec<Launch> {
        queue::plan(needs, limits, |kind, shared| {
            queue::resident(machine, (&KERNEL, &defines(Shape::of_kind(kind))), (N_THREADS, shared))
        })
    }

    fn add(batch: &mut Batch, wish: &Wish<'_>) {
        batch.add(wish);
    }

    fn rank(batch: &mut Batch, ranks: &[usize]) {
        queue::rank(&mut batch.tasks, ranks.len(), |fit, _| ranks[fit]);
    }

    fn begin<'a>(
        batch: Batch,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Scores>, Fault> {
        batch.begin(machine, launch)
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.boost
    }
}

fn size(wish: &Wish<'_>) -> Size {
    let Job { table, settings, watched, .. } = &wish.job;
    let n_scores = settings.loss.n_scores();
    let n_columns = table.columns.len();
    Size {
        n_rows: table.n_rows,
        n_columns,
        n_bins: (0..n_columns).map(|column| n_bins(table, column)).sum(),
        n_scores,
        n_rounds: settings.n_estimators,
        max_depth: settings.max_depth,
        num_leaves: settings.num_leaves,
        is_wide: wish.job.counting().is_wide,
        n_bytes: table.n_rows * (n_columns + 8 + 8 + 1)
            + watched.len() * (4 + 8 * n_scores * wish.marks.len())
            + 1_024,
    }
}

fn n_bins(table: &Table, column: usize) -> usize {
    let column = &table.columns[column];
    column.n_values() + usize::from(column.missing.is_some())
}

/// The data of a launch, each piece once, however many fits use it.
#[derive(Default)]
pub(crate) struct Batch {
    tasks: Vec<u64>,
    codes: Pool<u8>,
    columns: Pool<i64>,
    targets: Pool<f64>,
    weights: Pool<f64>,
    roles: Pool<u8>,
    watched: Pool<i32>,
    marks: Pool<i64>,
    initial: Pool<f64>,
    /// How many scores each fit tells.
    n_told: Vec<usize>,
}

impl Batch {
    /// Appends a fit: the fields of the kernel's `Task`, in its order.
    fn add(&mut self, wish: &Wish<'_>) {
        let job = &wish.job;
        let (table, settings) = (job.table, job.settings);
        let (loss, parameter) = loss(settings.loss);
        let size = size(wish);
        let counting = job.counting();
        let (n_columns, n_scores) = (table.columns.len(), settings.loss.n_scores());
        let out: usize = self.n_told.iter().sum();
        let drawn = |n: usize, share: f64| match share < 1.0 {
            true => ((n as f64 * share).ceil() as usize).clamp(n.min(1), n),
            false => n,
        };
        let has_all_columns = settings.colsample_bytree >= 1.0;
        let whole = |n: usize| n as u64;
        let [codes, columns, targets, weights, roles, watched, marks, initial] =
            self.places(wish).map(|place| place as u64);
        let real = f64::to_bits;
        let fields = [
            whole(table.n_rows),
            whole(n_columns),
            whole(size.n_bins),
            codes,
            columns,
            targets,
            weights,
            roles,
            watched,
            whole(job.watched.len()),
            marks,
            whole(wish.marks.len()),
            initial,
            whole(out),
            loss,
            whole(n_scores),
            real(parameter),
            whole(settings.n_estimators),
            real(settings.learning_rate),
            whole(size.depth()),
            whole(size.leaves()),
            whole(size.slots()),
            whole(settings.min_child_samples.max(1)),
            real(settings.min_child_weight),
            real(settings.min_split_gain),
            real(settings.reg_alpha),
            real(settings.reg_lambda),
            whole(counting.n_rows),
            whole(drawn(counting.n_rows, settings.subsample)),
            whole(drawn(n_columns, settings.colsample_bytree)),
            u64::from(settings.subsample < 1.0 || !has_all_columns),
            u64::from(has_all_columns),
            job.seed,
            u64::from(counting.is_flat),
            u64::from(counting.count_bits),
            u64::from(counting.curvature_bits),
        ];
        self.tasks.extend(fields);
        self.n_told.push(wish.marks.len() * job.watched.len() * n_scores);
    }

    /// Where codes, columns, targets, weights, roles and watched rows, marks and first scores of a
    /// fit stand.
    fn places(&mut self, wish: &Wish<'_>) -> [i64; 8] {
        let job = &wish.job;
        let own = job.weights.map(Place::of);
        let rows = [Some(Place::of(job.rows)), Some(Place::of(job.watched)), own];
        let [table, targets] = [Place::one(job.table), Place::of(job.targets)].map(alone);
        let weights = job.weights.map_or(-1, |weights| {
            self.weights.share(alone(Place::of(weights)), || weights.iter().copied())
        });
        [
            self.codes.share(table, || by_rows(job.table)),
            self.columns.share(table, || columns(job.table)) / 3,
            self.targets.share(targets, || job.targets.iter().copied()),
            weights,
            self.roles.share(rows, || roles(job)),
            self.watched.share([rows[1], None, None], || job.watched.iter().map(|&row| row as i32)),
            self.marks.push(wish.marks.iter().map(|&mark| mark as i64)),
            self.initial.push(job.initial()),
        ]
    }

    /// Launches it.
    fn begin<'a>(self, machine: &'a Machine, launch: &Launch) -> Result<Begun<'a, Scores>, Fault> {
        let order = Order {
            kernel: &KERNEL,
            defines: &defines(Shape::of_kind(launch.kind)),
            n_threads: N_THREADS,
            tasks: vec![machine.put(&pack(&self.tasks))?],
            n_tasks: self.n_told.len(),
            data: vec![
                self.codes.put(machine)?,
                self.columns.put(machine)?,
                self.targets.put(machine)?,
                self.weights.put(machine)?,
                self.roles.put(machine)?,
                self.watched.put(machine)?,
                self.marks.put(machine)?,
                self.initial.put(machine)?,
            ],
            n_told: 8 * self.n_told.iter().sum::<usize>(),
        };
        Ok(told(machine, order.send(machine, launch)?, self.n_told))
    }
}

/// What a shape's kernel is compiled with.
pub(super) fn defines(shape: Shape) -> [(&'static str, i64); 3] {
    let leaves = shape.leaves as i64;
    [("WIDE", i64::from(shape.is_wide)), ("LEAVES", leaves), ("THREADS", N_THREADS as i64)]
}

/// Every kernel that a fit may need.
#[cfg(test)]
pub(super) fn shapes() -> impl Iterator<Item = Shape> {
    let of = |leaves| [false, true].map(|is_wide| Shape { leaves, is_wide });
    plan::LEAVES.into_iter().flat_map(of)
}

/// The codes of a table, row after row.
fn by_rows(table: &Table) -> Vec<u8> {
    let n_columns = table.columns.len();
    let mut codes = vec![0; n_columns * table.n_rows];
    for column in 0..n_columns {
        if let Codes::Narrow(own) = table.codes(column) {
            let places = codes.iter_mut().skip(column).step_by(n_columns);
            places.zip(own).for_each(|(place, code)| *place = *code);
        }
    }
    codes
}

/// The first bin, the number of bins and the missing code of each column.
fn columns(table: &Table) -> Vec<i64> {
    let mut first = 0;
    let mut all = Vec::with_capacity(3 * table.columns.len());
    for (index, column) in table.columns.iter().enumerate() {
        let n_bins = n_bins(table, index) as i64;
        all.extend([first, n_bins, column.missing.map_or(-1, i64::from)]);
        first += n_bins;
    }
    all
}

/// What each row is for: 1 to learn from, 2 to be scored only.
fn roles(job: &Job<'_>) -> Vec<u8> {
    let mut roles = vec![0; job.table.n_rows];
    for &row in job.watched {
        roles[row as usize] = 2;
    }
    for &row in job.rows {
        if job.weights.is_none_or(|weights| weights[row as usize] > 0.0) {
            roles[row as usize] = 1;
        }
    }
    roles
}
