//! Launches one after another, by halves where memory ends.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::machine::Fault;

/// The items of a launch.
type Items<L> = fn(&L) -> &[usize];
/// Two launches of half of them.
type Halves<L> = fn(&L) -> [L; 2];
/// What a launch finds of some series.
type Search<'a, S, E> = dyn Fn(&[&S]) -> Result<Vec<E>, Fault> + 'a;

/// Runs launches and tells what came of each of their items, until `hear` says enough. A launch that
/// finds no memory is tried by halves; a single item that finds none is told so.
pub(super) fn run_all<L, T>(
    mut waiting: Vec<L>,
    (items, halves): (Items<L>, Halves<L>),
    run: &mut dyn FnMut(&L) -> Result<Vec<T>, Fault>,
    hear: &mut dyn FnMut(usize, Result<T, Fault>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    waiting.reverse();
    while let Some(launch) = waiting.pop() {
        let own = items(&launch);
        match run(&launch) {
            Ok(all) => {
                for (&item, found) in own.iter().zip(all) {
                    if hear(item, Ok(found)).is_break() {
                        return Ok(());
                    }
                }
            }
            Err(Fault::OutOfMemory) if own.len() > 1 => {
                let [first, second] = halves(&launch);
                waiting.extend([second, first]);
            }
            Err(fault @ Fault::Lost(_)) => return Err(fault),
            Err(fault) => {
                for &item in own {
                    if hear(item, Err(fault.clone())).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Searches series, those of a chunk in one launch. None for whoever is in no chunk, or whom the
/// machine refuses: the CPU has to search. `hear` is told after every launch how many are done, and
/// says whether to go on.
pub(super) fn search_all<S, E: Clone>(
    series: &[Option<S>],
    chunks: Vec<Vec<usize>>,
    search: &Search<'_, S, E>,
    hear: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<Option<E>>, Fault> {
    let mut ends = vec![None; series.len()];
    let (mut n_done, n_begun) = (0, Cell::new(0));
    let run = &mut |chunk: &Vec<usize>| {
        n_begun.set(chunk.len());
        let batch: Vec<&S> =
            chunk.iter().filter_map(|&index| series.get(index)?.as_ref()).collect();
        search(&batch)
    };
    let halves = |chunk: &Vec<usize>| {
        let (first, second) = chunk.split_at(chunk.len().div_ceil(2));
        [first.to_vec(), second.to_vec()]
    };
    run_all(chunks, (Vec::as_slice, halves), run, &mut |index, found| {
        ends[index] = found.ok();
        n_done += 1;
        n_begun.set(n_begun.get() - 1);
        let goes_on = n_begun.get() > 0 || hear(n_done);
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_memory_is_tried_by_halves_and_told_in_order() {
        let series: Vec<Option<usize>> =
            (0..9).map(|index| (index != 4).then_some(index)).collect();
        let chunks = vec![vec![0, 1, 2, 3], vec![5, 6, 7], vec![8]];
        let search = |batch: &[&usize]| match batch {
            [8] => Err(Fault::OutOfMemory),
            [5, 6] => Err(Fault::Refused("odd".into())),
            batch if batch.len() > 2 => Err(Fault::OutOfMemory),
            batch => Ok(batch.iter().map(|index| **index * 10).collect()),
        };
        let mut heard = Vec::new();
        let found = search_all(&series, chunks.clone(), &search, &mut |n_done| {
            heard.push(n_done);
            true
        });
        let some = |index: usize| Some(index * 10);
        let expected = vec![some(0), some(1), some(2), some(3), None, None, None, some(7), None];
        assert_eq!(found, Ok(expected));
        assert_eq!(heard, [2, 4, 6, 7, 8]);
        let found = search_all(&series, chunks.clone(), &search, &mut |n_done| n_done < 4).unwrap();
        assert_eq!(found.iter().flatten().count(), 4);
        let lost = |_: &[&usize]| Err::<Vec<usize>, _>(Fault::Lost("gone".into()));
        let found = search_all(&series, chunks, &lost, &mut |_| true);
        assert_eq!(found, Err(Fault::Lost("gone".into())));
    }
}
