//! Lines of many entities in fused launches: what each penalty misses by on each fold.
//!
//! The sums are the CPU's within 1e-9 of themselves (`cuda/linear.rs`). A candidate of which a fold
//! is not told is the CPU's as a whole.

use super::{Line, Settings};
use crate::cuda::linear::{Entity, Lines, Wish};
use crate::cuda::machine::Fault;
use crate::trainer::Trials;
use crate::trainer::ahead::{Ask, Missed};

/// An entity, and its candidates that mean something.
struct Laid<'a> {
    index: usize,
    entity: Entity<'a>,
    candidates: Vec<usize>,
    tried: Vec<Settings>,
}

/// Tries all entities' candidates.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    line: Line,
    all: &[Trials<'_>],
    missed: &mut [Missed],
) -> Result<(), Fault> {
    let mut laid = Vec::new();
    for (index, trials) in all.iter().enumerate() {
        // What has a reason to fail, the entity's own course tells.
        let candidates = trials.candidates.iter().enumerate();
        let read = candidates.filter_map(|(at, own)| Some((at, line.read(own.parameters).ok()?)));
        let (candidates, tried): (Vec<usize>, Vec<Settings>) = read.unzip();
        if tried.is_empty() {
            continue;
        }
        match Entity::of(trials.frame, trials.folds, ask.stop) {
            Ok(Some(entity)) => laid.push(Laid { index, entity, candidates, tried }),
            Ok(None) => {}
            // Whatever is not known by then is not wanted.
            Err(_) => return Ok(()),
        }
    }
    let refusal = laid.iter().find_map(|own| own.entity.refusal(ask.limits));
    let wishes: Vec<Wish<'_>> =
        laid.iter().map(|Laid { entity, tried, .. }| Wish { entity, line, tried }).collect();
    ask.gather::<Lines>(&wishes, |place, answers| {
        let Laid { index, candidates, tried, .. } = &laid[place];
        for (at, &candidate) in candidates.iter().enumerate() {
            let of_fold = |fold: usize| *answers.get(fold * tried.len() + at)?;
            if let Some(sums) = all[*index].ahead().map(of_fold).collect() {
                missed[*index].insert(candidate, sums);
            }
        }
    })?;
    refusal.map_or(Ok(()), |reason| Err(Fault::Refused(reason.into())))
}
