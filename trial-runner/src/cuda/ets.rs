//! Exponential smoothing for many series: every form searched from both sides, on a machine.
//!
//! One kernel, `ets/ets.cu`, launched once for each form and length of season: eight lanes a search,
//! the CPU's own Levenberg–Marquardt steps with derivatives in f64. Not a grid: the first season is
//! searched along with the weights, up to 29 numbers, and enters almost linearly, so a dozen steps
//! end where no grid does. An end's sum is at most 1.001 times the CPU's from the same start, but
//! beside a value that is thousands of times the others, where paths part by rounding. The choice
//! among forms is the CPU's own (`series/ets/batch.rs`), and it polishes the winner. Left to the CPU:
//! trends that scale, series without anything to search, seasons too long for a block.

mod plan;

#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;

use super::company::{Companies, Company, Family};
use super::machine::Limits;
use super::machine::{Buffer, Fault, Grid, Kernel, Machine, Word, pack, unpack};
use super::queue::Launch;
use super::turns::Begun;
use crate::series::ets::batch::{End, Prepared};
use crate::series::ets::{Component, ErrorForm, Form};
use plan::{Cost, Shape, chunks, cost};

pub(super) const ETS: Kernel = Kernel { name: "ets", source: include_str!("ets/ets.cu") };

/// Searches that a block makes at once.
const PER_BLOCK: usize = 4;
/// An end's sum, weights, level and trend, before its season.
const N_NUMBERS: usize = 7;

/// Why a device with these limits does not search a series; none where it does.
pub(crate) fn refusal(series: &Prepared, limits: &Limits) -> Option<&'static str> {
    (!plan::fits(series, limits))
        .then_some("a season is longer than its blocks have shared memory for")
}

/// Searches of each form of series, which have a block each.
pub(crate) enum Ets {}

impl Family for Ets {
    type Wish<'a> = &'a Prepared;
    type Need = Cost;
    type Batch = Batch;
    /// Where the searches of each form ended, both sides.
    type Found = Vec<[End; 2]>;

    fn need(series: &&Prepared, limits: &Limits) -> Option<Cost> {
        cost(series, limits)
    }

    fn plan(needs: &[Cost], (_, limits): (&Machine, &Limits)) -> Vec<Launch> {
        chunks(needs, limits).into_iter().map(Launch::plain).collect()
    }

    fn add(batch: &mut Batch, series: &&Prepared) {
        batch.add(series);
    }

    /// The longest of each who asks come first.
    fn rank(_: &mut Batch, _: &[usize]) {}

    fn begin<'a>(
        batch: Batch,
        machine: &'a Machine,
        _: &Launch,
    ) -> Result<Begun<'a, Vec<[End; 2]>>, Fault> {
        let laid = batch.put(machine)?;
        for form in &batch.forms {
            batch.launch(machine, *form, &laid)?;
        }
        Ok(Box::new(move || batch.take(machine, &laid)))
    }

    fn company(all: &Companies) -> &Company<Self> {
        &all.ets
    }
}

/// Every kernel that may be launched, and what it is specialised by.
#[cfg(test)]
pub(super) fn shipped() -> Vec<(Kernel, Vec<(&'static str, i64)>)> {
    [1, 2, 4].map(|widest| (ETS, vec![("WIDEST", widest)])).into()
}

/// A form and how many phases its season has: what a launch has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    form: Form,
    n_phases: usize,
}

/// One form of one series in a machine's memory.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: Kind,
    value: usize,
    n_values: usize,
    start: usize,
    end: usize,
}

/// Series of a launch.
#[derive(Default)]
pub(crate) struct Batch {
    values: Vec<f64>,
    /// Bytes of each series among them.
    pieces: Vec<Range<usize>>,
    starts: Vec<f64>,
    n_ends: usize,
    forms: Vec<Kind>,
    places: Vec<Place>,
    /// Forms of each series.
    n_forms: Vec<usize>,
}

/// The same in a machine's memory.
struct Laid {
    values: Buffer,
    starts: Buffer,
    ends: Buffer,
}

impl Batch {
    fn add(&mut self, series: &Prepared) {
        for begin in &series.begins {
            let kind = Kind { form: begin.form, n_phases: begin.seasons.len() };
            if !self.forms.contains(&kind) {
                self.forms.push(kind);
            }
            self.places.push(Place {
                kind,
                value: self.values.len(),
                n_values: series.values.len(),
                start: self.starts.len(),
                end: self.n_ends,
            });
            self.starts.extend([begin.level, begin.trend]);
            self.starts.extend(&begin.seasons);
            self.n_ends += 2 * (N_NUMBERS + kind.n_phases);
        }
        let first = 8 * self.values.len();
        self.values.extend(&series.values);
        self.pieces.push(first..8 * self.values.len());
        self.n_forms.push(series.begins.len());
    }

    fn put(&self, machine: &Machine) -> Result<Laid, Fault> {
        Ok(Laid {
            values: machine.put_shared(&pack(&self.values), &self.pieces)?,
            starts: machine.put(&pack(&self.starts))?,
            ends: machine.room(8 * self.n_ends)?,
        })
    }

    /// Searches one form of all series that have it, from both sides.
    fn launch(&self, machine: &Machine, kind: Kind, laid: &Laid) -> Result<(), Fault> {
        let Kind { form, n_phases } = kind;
        let mut searches: Vec<i64> = Vec::new();
        for place in self.places.iter().filter(|place| place.kind == kind) {
            for side in 0..2 {
                let beside = side * (N_NUMBERS + n_phases);
                let end = place.end + beside;
                let words = [place.value, place.n_values, side, place.start, end];
                searches.extend(words.map(|word| word as i64));
            }
        }
        let n_searches = searches.len() / 5;
        let searches = machine.put(&pack(&searches))?;
        let shape = Shape::of(form, n_phases);
        let grid = Grid {
            n_blocks: n_searches.div_ceil(PER_BLOCK),
            n_threads: 32,
            shared: shape.shared(),
        };
        let part = |component: Component| match component {
            Component::None => 0,
            Component::Add => 1,
            Component::Mul => 2,
        };
        let words = [
            Word::Buffer(&laid.values),
            Word::Buffer(&laid.starts),
            Word::Buffer(&searches),
            Word::Buffer(&laid.ends),
            Word::Int(n_searches as i64),
            Word::Int(n_phases as i64),
            Word::Int(part(form.trend)),
            Word::Int(part(form.season)),
            Word::Int(i64::from(form.error == ErrorForm::Mul)),
            Word::Int(i64::from(form.damped)),
            Word::Int(i64::from(shape.is_season_searched)),
            Word::Int(shape.room() as i64),
        ];
        machine.launch(&ETS, &[("WIDEST", shape.widest() as i64)], grid, &words)
    }

    fn take(&self, machine: &Machine, laid: &Laid) -> Result<Vec<Vec<[End; 2]>>, Fault> {
        let numbers: Vec<f64> = unpack(&machine.take(&laid.ends)?);
        let end = |at: usize, n_phases: usize| {
            let own = numbers.get(at..at + N_NUMBERS + n_phases).unwrap_or_default();
            let number = |index: usize| own.get(index).copied().unwrap_or(f64::NAN);
            let sum = number(0);
            End {
                sum: if sum.is_nan() { f64::INFINITY } else { sum },
                alpha: number(1),
                beta: number(2),
                gamma: number(3),
                phi: number(4),
                level: number(5),
                trend: number(6),
                seasons: own.get(N_NUMBERS..).unwrap_or_default().to_vec(),
            }
        };
        let mut places = self.places.iter();
        let of_series = self.n_forms.iter().map(|n_forms| {
            let own = places.by_ref().take(*n_forms);
            own.map(|place| {
                let n_phases = place.kind.n_phases;
                [place.end, place.end + N_NUMBERS + n_phases].map(|at| end(at, n_phases))
            })
            .collect()
        });
        Ok(of_series.collect())
    }
}
