//! Exponential smoothing for many series: every form searched from both sides, on a machine.
//!
//! One kernel, `ets/ets.cu`, launched once for each form and length of season: eight lanes a search,
//! the CPU's own Levenberg–Marquardt steps with derivatives in f64. Not a grid: the first season is
//! searched along with the weights, up to 29 numbers, and enters almost linearly, so a dozen steps
//! end where no grid does. An end's sum is at most 1.001 times the CPU's from the same start; the
//! choice among forms is the CPU's own (`series/ets/batch.rs`), and it polishes the winner. Left to
//! the CPU: trends that scale, series without anything to search, seasons too long for a block.

mod plan;

#[cfg(test)]
pub(super) mod tests;

use super::machine::Limits;
use super::machine::{Buffer, Fault, Grid, Kernel, Machine, Word, pack, unpack};
use super::turns::{Begun, search_all};
use crate::series::ets::batch::{End, Prepared};
use crate::series::ets::{Component, ErrorForm, Form};
use plan::{Shape, chunks};

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

/// Where the searches of each form of each series ended, both sides; none where the CPU has to
/// search. `hear` is told how many series are done, and says whether to go on.
pub(crate) fn search(
    machine: &Machine,
    limits: &Limits,
    series: &[Option<Prepared>],
    hear: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Option<Vec<[End; 2]>>>, Fault> {
    let search = |batch: &[&Prepared]| {
        let laid = Laid::out(machine, batch)?;
        for form in &laid.forms {
            laid.launch(machine, *form)?;
        }
        let n_begins: Vec<usize> = batch.iter().map(|series| series.begins.len()).collect();
        Ok(Box::new(move || laid.take(machine, &n_begins)) as Begun<'_, _>)
    };
    search_all(series, chunks(series, limits), &search, hear)
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

/// Series in a machine's memory.
struct Laid {
    values: Buffer,
    starts: Buffer,
    ends: Buffer,
    forms: Vec<Kind>,
    places: Vec<Place>,
}

impl Laid {
    fn out(machine: &Machine, batch: &[&Prepared]) -> Result<Self, Fault> {
        let (mut values, mut starts): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let (mut forms, mut places): (Vec<Kind>, Vec<Place>) = (Vec::new(), Vec::new());
        let (mut n_ends, mut pieces) = (0, Vec::new());
        for series in batch {
            for begin in &series.begins {
                let kind = Kind { form: begin.form, n_phases: begin.seasons.len() };
                if !forms.contains(&kind) {
                    forms.push(kind);
                }
                places.push(Place {
                    kind,
                    value: values.len(),
                    n_values: series.values.len(),
                    start: starts.len(),
                    end: n_ends,
                });
                starts.extend([begin.level, begin.trend]);
                starts.extend(&begin.seasons);
                n_ends += 2 * (N_NUMBERS + kind.n_phases);
            }
            let first = 8 * values.len();
            values.extend(&series.values);
            pieces.push(first..8 * values.len());
        }
        Ok(Self {
            values: machine.put_shared(&pack(&values), &pieces)?,
            starts: machine.put(&pack(&starts))?,
            ends: machine.room(8 * n_ends)?,
            forms,
            places,
        })
    }

    /// Searches one form of all series that have it, from both sides.
    fn launch(&self, machine: &Machine, kind: Kind) -> Result<(), Fault> {
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
            Word::Buffer(&self.values),
            Word::Buffer(&self.starts),
            Word::Buffer(&searches),
            Word::Buffer(&self.ends),
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

    fn take(&self, machine: &Machine, n_begins: &[usize]) -> Result<Vec<Vec<[End; 2]>>, Fault> {
        let numbers: Vec<f64> = unpack(&machine.take(&self.ends)?);
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
        let of_series = n_begins.iter().map(|n_begins| {
            let own = places.by_ref().take(*n_begins);
            own.map(|place| {
                let n_phases = place.kind.n_phases;
                [place.end, place.end + N_NUMBERS + n_phases].map(|at| end(at, n_phases))
            })
            .collect()
        });
        Ok(of_series.collect())
    }
}
