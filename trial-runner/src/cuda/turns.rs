//! Launches one after another, by halves where memory ends.

use std::ops::ControlFlow;

use super::machine::Fault;

/// The items of a launch.
type Items<L> = fn(&L) -> &[usize];
/// Two launches of half of them.
type Halves<L> = fn(&L) -> [L; 2];

/// What a launch that was begun will tell, once somebody waits for it.
pub(crate) type Begun<'a, T> = Box<dyn FnOnce() -> Result<Vec<T>, Fault> + 'a>;

/// Runs launches and tells what came of each of their items, until `hear` says enough. While one
/// computes, the next one is laid out and sent. A launch that finds no memory is tried alone, then by
/// halves; a single item that finds none is told so.
pub(super) fn run_all<'a, L, T>(
    mut waiting: Vec<L>,
    (items, halves): (Items<L>, Halves<L>),
    begin: &mut dyn FnMut(&L) -> Result<Begun<'a, T>, Fault>,
    hear: &mut dyn FnMut(usize, Result<T, Fault>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    waiting.reverse();
    let mut is_alone = false;
    let mut under_way = None;
    loop {
        let next = match (&under_way, is_alone) {
            (Some(_), true) => None,
            _ => waiting.pop().map(|launch| (begin(&launch), launch)),
        };
        let present = std::mem::replace(&mut under_way, next);
        let Some((begun, launch)) = present else {
            if under_way.is_none() {
                return Ok(());
            }
            continue;
        };
        let own = items(&launch);
        match begun.and_then(|land| land()) {
            Ok(all) => {
                for (&item, found) in own.iter().zip(all) {
                    if hear(item, Ok(found)).is_break() {
                        return Ok(());
                    }
                }
            }
            Err(Fault::OutOfMemory) if !is_alone => {
                is_alone = true;
                waiting.push(launch);
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
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Begins a launch of tests.
    type Begins<'a> = dyn FnMut(&Vec<usize>) -> Result<Begun<'static, usize>, Fault> + 'a;

    fn ready<'a, T: 'a>(found: Vec<T>) -> Begun<'a, T> {
        Box::new(move || Ok(found))
    }

    /// What was begun and waited for, in its order.
    fn turns(fault_of: Option<usize>) -> (Vec<String>, Vec<usize>) {
        let (seen, mut heard) = (RefCell::new(Vec::new()), Vec::new());
        let chunks = vec![vec![0, 1], vec![2], vec![3]];
        let begin = &mut |chunk: &Vec<usize>| {
            let (first, seen, chunk) = (chunk[0], &seen, chunk.clone());
            let n_before = seen.borrow().len();
            seen.borrow_mut().push(format!("begin {first}"));
            let land = move || {
                seen.borrow_mut().push(format!("wait {first}"));
                let is_short = fault_of == Some(first) && n_before < 3;
                if is_short { Err(Fault::OutOfMemory) } else { Ok(chunk) }
            };
            Ok(Box::new(land) as Begun<'_, usize>)
        };
        let halves = |_: &Vec<usize>| panic!("nothing is halved");
        run_all(chunks, (Vec::as_slice, halves), begin, &mut |item, found| {
            assert_eq!(found, Ok(item));
            heard.push(item);
            ControlFlow::Continue(())
        })
        .unwrap();
        (seen.into_inner(), heard)
    }

    #[test]
    fn the_next_launch_is_begun_before_anybody_waits_for_the_present_one() {
        let (seen, heard) = turns(None);
        let expected = ["begin 0", "begin 2", "wait 0", "begin 3", "wait 2", "wait 3"];
        assert_eq!(
            (seen.as_slice(), heard.as_slice()),
            (&expected.map(String::from)[..], &[0, 1, 2, 3][..])
        );
        // What finds no memory beside another is tried by itself.
        let (seen, heard) = turns(Some(2));
        let expected =
            ["begin 0", "begin 2", "wait 0", "begin 3", "wait 2", "wait 3", "begin 2", "wait 2"];
        assert_eq!(
            (seen.as_slice(), heard.as_slice()),
            (&expected.map(String::from)[..], &[0, 1, 3, 2][..])
        );
    }

    #[test]
    fn what_finds_no_memory_is_tried_by_halves() {
        let chunks = vec![vec![0, 1, 2, 3], vec![5, 6, 7], vec![8]];
        let halves = |chunk: &Vec<usize>| {
            let (first, second) = chunk.split_at(chunk.len().div_ceil(2));
            [first, second].map(<[usize]>::to_vec)
        };
        let mut begin = |chunk: &Vec<usize>| match chunk.as_slice() {
            [8] => Err(Fault::OutOfMemory),
            [5, 6] => Err(Fault::Refused("odd".into())),
            all if all.len() > 2 => Err(Fault::OutOfMemory),
            all => Ok(ready(all.iter().map(|item| item * 10).collect())),
        };
        let run = |begin: &mut Begins<'_>, most: usize| {
            let mut heard = Vec::new();
            let ran =
                run_all(chunks.clone(), (Vec::as_slice, halves), begin, &mut |item, found| {
                    heard.push((item, found));
                    if heard.len() < most {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                });
            heard.sort_by_key(|(item, _)| *item);
            (ran, heard)
        };
        let some = |item: usize| (item, Ok(item * 10));
        let odd = |item: usize| (item, Err(Fault::Refused("odd".into())));
        let none = (8, Err(Fault::OutOfMemory));
        let (ran, heard) = run(&mut begin, 100);
        assert_eq!(ran, Ok(()));
        assert_eq!(heard, [some(0), some(1), some(2), some(3), odd(5), odd(6), some(7), none]);
        assert_eq!(run(&mut begin, 6).1.len(), 6);
        let (ran, heard) = run(&mut |_| Err(Fault::Lost("gone".into())), 100);
        assert_eq!((ran, heard), (Err(Fault::Lost("gone".into())), vec![]));
    }
}
