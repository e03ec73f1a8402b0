//! Many lines on the folds of an entity: sums and factors are shared, and predictions for eight
//! configurations are one product of matrices.
//!
//! What a configuration is told does not depend, to the bit, on which others are tried with it.

use std::sync::OnceLock;

use super::basis::Basis;
use super::descent::{self, Centred};
use super::net::Ladder;
use super::panels::Panels;
use super::ridge::{solve_system, solve_well};
use super::split::{Open, Ready, Split};
use super::system::System;
use super::tridiagonal::{LANES, Scratch};
use super::{Form, Line, Settings, too_alike};
use crate::stop::Stopped;
use crate::trainer::FitError;
use crate::trainer::trials::{Hear, Heard, Predicted, Trials};

/// Numbers that are kept without asking: four megabytes.
const LITTLE: usize = 500_000;

/// What is kept of a fold for configurations to come.
#[derive(Debug)]
pub(in crate::trainer) struct Prepared {
    split: Split,
    ready: OnceLock<Ready>,
}

/// A candidate, read.
struct Wanted {
    index: usize,
    settings: Settings,
    is_wanted: bool,
}

/// One fold, and memory for eight lines.
struct Walk<'a> {
    line: Line,
    trials: &'a Trials<'a>,
    fold: usize,
    lanes: &'a mut Lanes,
}

#[derive(Default)]
struct Lanes {
    /// Column after column.
    weights: Vec<f64>,
    /// Lane after lane.
    out: Vec<f64>,
    scratch: Scratch,
    errors: [Option<FitError>; LANES],
    /// Whose columns are too alike for sums: each is fitted from the rows.
    alone: [bool; LANES],
}

/// Tries candidates of one learner on every fold.
pub(super) fn try_all(line: Line, trials: &Trials<'_>, hear: &mut Hear<'_>) {
    let mut wanted = Vec::with_capacity(trials.candidates.len());
    for (index, candidate) in trials.candidates.iter().enumerate() {
        match line.read(candidate.parameters) {
            Ok(settings) => wanted.push(Wanted { index, settings, is_wanted: true }),
            Err(error) => {
                for fold in trials.ahead() {
                    let answer = Err(error.clone());
                    if !hear(Heard { candidate: index, fold, answer }) {
                        break;
                    }
                }
            }
        }
    }
    wanted.sort_by(|a, b| {
        let (a, b) = (&a.settings.penalty, &b.settings.penalty);
        a.l1_ratio.total_cmp(&b.l1_ratio).then(b.alpha.total_cmp(&a.alpha))
    });
    let mut lanes = Lanes::default();
    let mut basis = None;
    while let Some(first) = wanted.first() {
        let form = first.settings.form;
        let (mut together, others): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|wanted| wanted.settings.form == form);
        wanted = others;
        for fold in trials.ahead() {
            let place = trials.laid_out.lines.place((form, fold));
            let own;
            let prepared = match place.get() {
                Some(prepared) => Ok(prepared),
                None => match prepare(line, trials, fold, form, &mut basis) {
                    Ok(prepared) if prepared.is_worth_its_room(trials) => {
                        Ok(place.get_or_init(|| prepared))
                    }
                    Ok(prepared) => {
                        own = prepared;
                        Ok(&own)
                    }
                    Err(error) => Err(error),
                },
            };
            let mut walk = Walk { line, trials, fold, lanes: &mut lanes };
            match prepared.and_then(|prepared| walk.walk(prepared, &mut together, hear)) {
                Ok(()) => {}
                Err(error) => {
                    for wanted in &mut together {
                        let answer = Err(error.clone());
                        wanted.is_wanted = hear(Heard { candidate: wanted.index, fold, answer });
                    }
                }
            }
            together.retain(|wanted| wanted.is_wanted);
            if together.is_empty() {
                break;
            }
        }
    }
}

/// Learns what a fold's lines have in common.
fn prepare(
    line: Line,
    trials: &Trials<'_>,
    fold: usize,
    form: Form,
    basis: &mut Option<Option<Basis>>,
) -> Result<Prepared, FitError> {
    let stop = trials.begin();
    let job = trials.fit((0, fold), &stop);
    let fold = &trials.folds[fold];
    if basis.is_none() {
        *basis = Some(Basis::of(trials.frame, &stop)?);
    }
    let split = match basis {
        Some(Some(basis)) => basis.split(&job, fold, form, line.name())?,
        _ => None,
    };
    let split = match split {
        Some(split) => split,
        None => Split::learn(&job, fold, form, line.name())?,
    };
    Ok(Prepared { split, ready: OnceLock::new() })
}

impl Prepared {
    /// Whether all folds of the kind may be kept: little, or about as much as the frame itself.
    fn is_worth_its_room(&self, trials: &Trials<'_>) -> bool {
        let n_numbers = match &self.split {
            Split::Constant(_) => 0,
            Split::Open(open) => open.n_numbers(),
        };
        let n_cells = trials.frame.n_rows.saturating_mul(trials.frame.columns.len());
        n_numbers.saturating_mul(trials.folds.len()) <= LITTLE.saturating_add(n_cells)
    }
}

impl Walk<'_> {
    fn walk(
        &mut self,
        prepared: &Prepared,
        wanted: &mut [Wanted],
        hear: &mut Hear<'_>,
    ) -> Result<(), FitError> {
        match &prepared.split {
            Split::Constant(value) => {
                let n_rows = self.trials.folds[self.fold].validate.len();
                let numbers = vec![*value; n_rows];
                for wanted in wanted {
                    let answer = Ok(Predicted::Numbers(&numbers));
                    let heard = Heard { candidate: wanted.index, fold: self.fold, answer };
                    wanted.is_wanted = hear(heard);
                }
            }
            Split::Open(open) if self.line == Line::Ridge => {
                let ready = match prepared.ready.get() {
                    Some(ready) => ready,
                    None => {
                        let ready = open.ready(&self.trials.begin())?;
                        prepared.ready.get_or_init(|| ready)
                    }
                };
                self.ridge(open, ready, wanted, hear);
            }
            Split::Open(open) => self.net(open, wanted, hear),
        }
        Ok(())
    }

    fn ridge(&mut self, open: &Open, ready: &Ready, wanted: &mut [Wanted], hear: &mut Hear<'_>) {
        let (rows, gram, moments) = match (&open.system, &ready.by_rows) {
            (System::Sums(sums), _) => (&open.validate, &sums.gram, &sums.moments),
            (System::Rows { y, .. }, Some((rows, gram))) => (rows, gram, y),
            (System::Rows { .. }, None) => return,
        };
        for wanted in wanted.chunks_mut(LANES) {
            let stop = self.trials.begin();
            let mut alphas = [1.0; LANES];
            for (alpha, wanted) in alphas.iter_mut().zip(&*wanted) {
                *alpha = wanted.settings.penalty.alpha;
            }
            let lanes = &mut *self.lanes;
            (lanes.errors, lanes.alone) = Default::default();
            ready.tridiagonal.solve(&alphas, &mut lanes.scratch, &mut lanes.weights);
            for (lane, &alpha) in alphas.iter().enumerate().take(wanted.len()) {
                if ready.tridiagonal.is_safe(alpha) {
                    continue;
                }
                let solved = match &open.system {
                    System::Sums(_) => solve_well(gram, alpha, moments, &stop),
                    System::Rows { .. } => solve_system(gram, alpha, moments, &stop),
                };
                match solved {
                    Ok(None) if matches!(open.system, System::Sums(_)) => lanes.alone[lane] = true,
                    solved => lanes.put(
                        lane,
                        solved
                            .map_err(FitError::from)
                            .and_then(|solved| solved.ok_or_else(too_alike)),
                    ),
                }
            }
            self.tell(open, rows, wanted, hear);
        }
    }

    fn net(&mut self, open: &Open, wanted: &mut [Wanted], hear: &mut Hear<'_>) {
        let mut ladder: Option<(f64, Ladder<'_>)> = None;
        for wanted in wanted.chunks_mut(LANES) {
            let lanes = &mut *self.lanes;
            (lanes.errors, lanes.alone) = Default::default();
            lanes.weights.clear();
            lanes.weights.resize(open.validate.n_columns() * LANES, 0.0);
            for (lane, wanted) in wanted.iter().enumerate() {
                let stop = self.trials.begin();
                let penalty = &wanted.settings.penalty;
                let weights: Result<&[f64], Stopped> = match &open.system {
                    System::Sums(sums) => {
                        let is_it = ladder.as_ref().is_some_and(|(of, _)| *of == penalty.l1_ratio);
                        if !is_it {
                            let fresh = Ladder::new(sums, open.total, penalty.l1_ratio);
                            ladder = Some((penalty.l1_ratio, fresh));
                        }
                        ladder.as_mut().map_or(Ok(&[]), |(_, ladder)| ladder.solve(penalty, &stop))
                    }
                    System::Rows { columns, y } => {
                        let data = Centred { columns, y, total: open.total };
                        let solved = descent::solve(&data, penalty, &stop);
                        lanes.put(lane, solved.map_err(FitError::from));
                        continue;
                    }
                };
                lanes.lay(lane, weights.map_err(FitError::from));
            }
            self.tell(open, &open.validate, wanted, hear);
        }
    }

    /// Tells what the weights of each lane predict.
    fn tell(&mut self, open: &Open, rows: &Panels, wanted: &mut [Wanted], hear: &mut Hear<'_>) {
        let Lanes { weights, out, errors, alone, .. } = &mut *self.lanes;
        rows.times(weights, open.start, out);
        let stride = rows.stride();
        for ((lane, wanted), error) in wanted.iter_mut().enumerate().zip(errors) {
            let (candidate, fold) = (wanted.index, self.fold);
            let numbers = &out[lane * stride..][..rows.n_rows()];
            let is_finite = numbers.iter().fold(true, |all, value| all & value.is_finite());
            wanted.is_wanted = match error.take() {
                Some(error) => hear(Heard { candidate, fold, answer: Err(error) }),
                None if is_finite && !alone[lane] => {
                    let answer = Ok(Predicted::Numbers(numbers));
                    hear(Heard { candidate, fold, answer })
                }
                // Some number overflowed, or columns are alike: what that means, a single fit says.
                None => self.trials.one_of(&self.line, (candidate, fold), hear),
            };
        }
    }
}

impl Lanes {
    fn lay(&mut self, lane: usize, weights: Result<&[f64], FitError>) {
        match weights {
            Ok(weights) => {
                let (rows, _) = self.weights.as_chunks_mut::<LANES>();
                rows.iter_mut().zip(weights).for_each(|(row, weight)| row[lane] = *weight);
            }
            Err(error) => self.errors[lane] = Some(error),
        }
    }

    fn put(&mut self, lane: usize, weights: Result<Vec<f64>, FitError>) {
        match weights {
            Ok(weights) => self.lay(lane, Ok(&weights)),
            Err(error) => self.errors[lane] = Some(error),
        }
    }
}
