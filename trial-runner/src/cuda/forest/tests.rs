//! The kernel against the CPU engine, to the bit.

use std::ops::ControlFlow;

use super::*;
use crate::cuda::company::{fit_alone, order_changes_nothing};
use crate::cuda::shim::Shim;
use crate::forest::tests::{Field, field, grown, settings};
use crate::forest::{Settings, Watched};

const LIMITS: Limits = Limits {
    n_processors: 1,
    max_shared: 64 << 10,
    processor_shared: 228 << 10,
    memory: 1 << 30,
    launch_s: 1.0,
};

/// What the CPU engine's trees say.
fn oracle(wish: &Wish<'_>) -> Vec<Sums> {
    let (n_watched, width) = (wish.job.watched.rows.len(), width(wish.job.truth));
    let mut own = Sums { sums: vec![0.0; n_watched * width], n_trees: vec![0; n_watched] };
    let mut told = Vec::new();
    for (n_before, grown) in grown(&wish.job).iter().enumerate() {
        for (place, &leaf) in grown.leaf_of.iter().enumerate() {
            if leaf == u32::MAX {
                continue;
            }
            let leaf = &grown.tree.leaves[leaf as usize * width..][..width];
            let sums = &mut own.sums[place * width..][..width];
            sums.iter_mut().zip(leaf).for_each(|(sum, own)| *sum += own);
            own.n_trees[place] += 1;
        }
        told.extend(wish.marks.iter().filter(|mark| **mark == n_before + 1).map(|_| own.clone()));
    }
    told
}

fn run(shim: Shim, limits: &Limits, wishes: &[Wish<'_>]) -> Vec<Option<Result<Vec<Sums>, Fault>>> {
    let mut all = vec![None; wishes.len()];
    fit_alone::<Forest>(&Machine::Shim(shim), limits, wishes, &mut |fit, sums| {
        assert!(all[fit].replace(sums).is_none(), "told twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

/// The kernel says what the CPU engine says, to the bit.
#[track_caller]
fn agrees(shim: Shim, limits: &Limits, wishes: &[Wish<'_>]) {
    for (wish, told) in wishes.iter().zip(run(shim, limits, wishes)) {
        assert!(refusal(&wish.job).is_none(), "{:?}", wish.job.settings);
        let (told, expected) = (told.unwrap().unwrap(), oracle(wish));
        let bits = |sums: &Sums| sums.sums.iter().map(|sum| sum.to_bits()).collect::<Vec<_>>();
        for (told, expected) in told.iter().zip(&expected) {
            assert_eq!(told.n_trees, expected.n_trees);
            let n_apart = bits(told).iter().zip(bits(expected)).filter(|(a, b)| **a != *b).count();
            let what = (wish.job.settings, wish.job.weights.is_some(), width(wish.job.truth));
            assert_eq!(n_apart, 0, "of {}: {what:?}", told.sums.len());
        }
        assert_eq!(told.len(), expected.len());
    }
}

/// Everything that changes the course of a tree.
fn all_kinds() -> Vec<Settings> {
    let best = settings(3, Splitter::Best);
    let drawn = Some(60);
    vec![
        best,
        Settings { n_features: 2, n_drawn: drawn, ..best },
        Settings { n_features: 1, min_samples_leaf: 4, ..best },
        Settings { min_samples_leaf: 9, n_drawn: Some(200), ..best },
        Settings { max_depth: 3, min_samples_split: 20, ..best },
        Settings { min_impurity_decrease: 0.02, is_shuffled: false, ..best },
        Settings { max_depth: 0, ..best },
        settings(3, Splitter::Random),
        Settings { n_features: 2, n_drawn: drawn, ..settings(3, Splitter::Random) },
        Settings { min_samples_leaf: 5, ..settings(3, Splitter::Random) },
    ]
}

/// A field, and the same with two classes.
fn fields(n_rows: usize) -> [Field; 2] {
    let mut two = field(n_rows, 9);
    two.classes.iter_mut().for_each(|class| *class = u32::from(*class > 1));
    [field(n_rows, 7), two]
}

#[track_caller]
fn check(shim: Shim, limits: &Limits, n_rows: usize, kinds: &[Settings]) {
    let [field, two] = fields(n_rows);
    let weights: Vec<f64> = (0..n_rows).map(|row| 0.5 + (row % 4) as f64).collect();
    let everyone: Vec<u32> = (0..n_rows as u32).collect();
    let mut wishes = Vec::new();
    for settings in kinds {
        let [numbers, several, _, _] = field.truths();
        let halves = two.truths()[3];
        let out_of_bag = settings.n_drawn.is_some();
        let watched = Watched { rows: &everyone, out_of_bag };
        for (own, truth) in [(&field, numbers), (&field, several), (&two, halves)] {
            let job = Job { watched, ..own.job(truth, settings) };
            wishes.push(Wish { job, marks: &[1, 2, 2, 3] });
            if width(truth) < 3 {
                let job = Job { weights: Some(&weights), ..job };
                wishes.push(Wish { job, marks: &[3] });
            }
        }
    }
    agrees(shim, limits, &wishes);
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    check(shim, &LIMITS, 90, &all_kinds());
}

#[test]
fn without_room_in_shared_memory_the_device_s_serves() {
    let kinds = [settings(2, Splitter::Best), settings(2, Splitter::Random)];
    for max_shared in [0, 2_000, 5_000] {
        let shim = Shim { is_sanitized: true, ..Shim::default() };
        let limits = Limits { max_shared, ..LIMITS };
        let kinds = kinds.map(|own| Settings { n_trees: 3, ..own });
        check(shim, &limits, 120, &kinds);
    }
}

#[test]
fn company_order_and_memory_change_nothing() {
    let [field, two] = fields(100);
    let kinds = all_kinds();
    let of = |(own, truth)| {
        kinds
            .iter()
            .map(move |settings| Wish { job: Field::job(own, truth, settings), marks: &[3] })
    };
    let truths =
        [(&field, field.truths()[0]), (&field, field.truths()[1]), (&two, two.truths()[3])];
    let wishes: Vec<Wish<'_>> = truths.into_iter().flat_map(of).collect();
    agrees(Shim::default(), &LIMITS, &wishes);
    let machine = Machine::Shim(Shim::default());
    order_changes_nothing::<Forest>((&machine, &LIMITS), &wishes, |marks| {
        marks.iter().flat_map(|own| own.sums.iter().map(|sum| sum.to_bits())).collect()
    });
    let backwards: Vec<Wish<'_>> = wishes.iter().rev().copied().collect();
    let tight = Shim { max_bytes: Some(30_000), ..Shim::default() };
    agrees(tight, &Limits { n_processors: 1, ..LIMITS }, &backwards);
    let none = Shim { max_bytes: Some(1_000), ..Shim::default() };
    for own in run(none, &LIMITS, &wishes[..2]) {
        assert_eq!(own.unwrap(), Err(Fault::OutOfMemory), "it is told to whom there is no room");
    }
}

#[test]
fn what_depends_on_the_order_of_rows_is_left_to_the_cpu() {
    let field = field(50, 3);
    let settings = settings(2, Splitter::Best);
    let weights = vec![1.0; 50];
    let [numbers, gini, entropy, _] = field.truths();
    let job = |truth| field.job(truth, &settings);
    assert!(
        refusal(&job(numbers)).is_none()
            && refusal(&job(gini)).is_none()
            && refusal(&job(entropy)).is_some()
    );
    assert!(refusal(&Job { weights: Some(&weights), ..job(numbers) }).is_none());
    assert!(refusal(&Job { weights: Some(&weights), ..job(gini) }).is_some());
}
