//! Launches of `mlp/*.cu`: trainings of small networks, the CPU's own, the same sums to the bit.
//!
//! A training answers with the last layer's sums of the rows to predict for (what they mean, the
//! network's output says), after its last epoch or, where some rows say when it is enough, of its
//! best one. No weight leaves the device. Left to the CPU: more weights or rows than are small.

mod plan;
#[cfg(test)]
pub(super) mod tests;

use super::company::{Companies, Company, Family};
use super::machine::Limits;
use super::machine::{Fault, Kernel, Machine, pack};
use super::pool::{Place, Pool, alone};
use super::queue::{self, Launch, Need, Order, told};
use super::turns::Begun;
use crate::model::encoder::Design;
use crate::model::network::{Curve, single};
use crate::trainer::mlp::train::{Course, Ground, Targets};
use plan::{N_THREADS, Size};

pub(super) const MLP: Kernel = Kernel {
    name: "mlp",
    source: concat!(
        include_str!("mlp/kinds.cu"),
        include_str!("mlp/layers.cu"),
        include_str!("mlp/train.cu"),
    ),
};

/// More weights than this are no small network.
const MOST_WEIGHTS: usize = 1 << 20;
/// More rows than this fill a card with one training's steps.
const MOST_ROWS: usize = 1 << 20;

/// A training, and the rows to predict for.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) course: Course<'a>,
    pub(crate) ahead: &'a Design,
}

/// Why the kernel does not take a training; none where it does.
pub(crate) fn refusal(wish: &Wish<'_>) -> Option<&'static str> {
    let n_weights = size(wish).n_weights;
    let Ground { n_rows, n_features, .. } = *wish.course.ground;
    if n_rows == 0 || n_weights == 0 || n_features == 0 || wish.ahead.n_columns != n_features {
        return Some("there is nothing to learn");
    }
    if n_weights > MOST_WEIGHTS {
        return Some("there are more than 1,048,576 weights");
    }
    (n_rows > MOST_ROWS).then_some("there are more than 1,048,576 rows")
}

/// Trainings, which the kernel must take.
pub(crate) enum Mlp {}

impl Family for Mlp {
    type Wish<'a> = Wish<'a>;
    type Need = Need;
    type Batch = Batch;
    type Found = Vec<f32>;

    fn need(wish: &Wish<'_>, limits: &Limits) -> Option<Need> {
        Some(size(wish).need(limits))
    }

    fn plan(needs: &[Need], (machine, limits): (&Machine, &Limits)) -> Vec<Launch> {
        queue::plan(needs, limits, |_, shared| {
            queue::resident(machine, (&MLP, &[("THREADS", N_THREADS as i64)]), (N_THREADS, shared))
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
    ) -> Result<Begun<'a, Vec<f32>>, Fault> {
        batch.begin(machine, launch)
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.mlp
    }
}

fn size(wish: &Wish<'_>) -> Size {
    let Course { ground, settings, .. } = wish.course;
    let units = ground.units(settings);
    let pairs = units.windows(2).map(|pair| pair[1].saturating_mul(pair[0] + 1));
    let n_outputs = ground.targets.n_outputs();
    Size {
        n_weights: pairs.fold(0, usize::saturating_add),
        n_units: units.iter().sum(),
        widest: units.iter().copied().max().unwrap_or(0),
        n_rows: ground.n_rows,
        most_rows: settings.batch_size.min(ground.n_rows).next_multiple_of(8),
        n_epochs: settings.n_epochs,
        batch_size: settings.batch_size,
        keeps_best: settings.early_stopping.is_some(),
        n_bytes: 4 * (ground.n_rows * (ground.n_features + 4))
            + 4 * wish.ahead.n_rows * (ground.n_features + n_outputs)
            + 1_024,
    }
}

/// The data of a launch, each piece once, however many trainings use it.
#[derive(Default)]
pub(crate) struct Batch {
    tasks: Vec<u64>,
    units: Pool<i64>,
    reals: Pool<f32>,
    rows: Pool<i32>,
    /// How many sums each training tells.
    n_told: Vec<usize>,
}

impl Batch {
    /// Appends a training: the fields of the kernel's `Task`, in its order.
    fn add(&mut self, wish: &Wish<'_>) {
        let Wish { course, ahead } = wish;
        let Course { ground, settings, seed } = *course;
        let units = ground.units(settings);
        let size = size(wish);
        let (train, held_back) = course.parts();
        let whole = |n: usize| n as u64;
        let most = |n: usize| n.min(1 << 40) as u64;
        let place = |place: i64| place as u64;
        let kind = match ground.targets {
            Targets::Numbers(_) => 0,
            Targets::Classes { n_classes: 2, .. } => 1,
            Targets::Classes { .. } => 2,
        };
        let patience = if held_back.is_empty() { None } else { settings.early_stopping };
        let [values, targets, weights, ahead_at] = self.reals_of(ground, ahead);
        let start = course.start().into_iter().flat_map(|own| [own.weights, own.biases]).flatten();
        let start = self.reals.push(start);
        let [train_at, held_at] =
            [&train, &held_back].map(|rows| self.rows.push(rows.iter().map(|&row| row as i32)));
        let fields = [
            whole(ground.n_rows),
            whole(units.len() - 1),
            place(self.units.push(units.iter().map(|&n| n as i64))),
            place(values),
            place(targets),
            place(weights),
            place(train_at),
            whole(train.len()),
            place(held_at),
            whole(held_back.len()),
            place(ahead_at),
            whole(ahead.n_rows),
            place(start),
            whole(size.n_weights),
            kind,
            u64::from(settings.curve == Curve::Tanh),
            settings.learning_rate.to_bits(),
            settings.alpha.to_bits(),
            most(settings.batch_size),
            most(settings.n_epochs),
            patience.map_or(0, most),
            seed,
            whole(size.most_rows),
            whole(size.widest),
            whole(self.n_told.iter().sum()),
        ];
        self.tasks.extend(fields);
        self.n_told.push(ahead.n_rows * ground.targets.n_outputs());
    }

    /// Where values, targets, weights and the values of the rows to predict for stand.
    fn reals_of(&mut self, ground: &Ground, ahead: &Design) -> [i64; 4] {
        let reals = &mut self.reals;
        let targets = match &ground.targets {
            Targets::Numbers(y) => reals.share(alone(Place::of(y)), || y.iter().copied()),
            Targets::Classes { codes, .. } => {
                reals.share(alone(Place::of(codes)), || codes.iter().map(|&code| code as f32))
            }
        };
        [
            reals.share(alone(Place::of(&ground.values)), || ground.values.iter().copied()),
            targets,
            ground
                .weights
                .as_ref()
                .map_or(-1, |own| reals.share(alone(Place::of(own)), || own.iter().copied())),
            reals.share(alone(Place::of(&ahead.values)), || {
                ahead.values.iter().map(|value| single(*value))
            }),
        ]
    }

    /// Launches it.
    fn begin<'a>(
        self,
        machine: &'a Machine,
        launch: &Launch,
    ) -> Result<Begun<'a, Vec<f32>>, Fault> {
        let order = Order {
            kernel: &MLP,
            defines: &[("THREADS", N_THREADS as i64)],
            n_threads: N_THREADS,
            tasks: vec![machine.put(&pack(&self.tasks))?],
            n_tasks: self.n_told.len(),
            data: vec![self.units.put(machine)?, self.reals.put(machine)?, self.rows.put(machine)?],
            n_told: 4 * self.n_told.iter().sum::<usize>(),
        };
        Ok(told(machine, order.send(machine, launch)?, self.n_told))
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    vec![(MLP, vec![("THREADS", N_THREADS as i64)])]
}
