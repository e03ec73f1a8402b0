//! Trials that have ended, and which of them the model is made of.

use super::super::axes::Axes;
use super::super::history::{Fate, History, Past};
use super::kernel::{Points, features};

/// A trial that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) number: u32,
    pub(super) loss: Option<f64>,
    /// Whether the loss is its own and its last.
    pub(super) has_completed: bool,
    pub(super) has_failed: bool,
    /// Whether it keeps all bounds, where there are any, or several losses.
    pub(super) keeps: Option<bool>,
}

impl Known {
    pub(super) fn new(past: &Past, history: &History) -> Option<Self> {
        let number = past.number;
        let keeps = history.losses(number).map(|losses| losses.is_feasible());
        let (loss, has_completed) = match past.fate? {
            Fate::Completed(loss) => (Some(loss), true),
            Fate::Judged(losses) => (Some(losses.first()), true),
            Fate::Stopped(loss) => (loss, false),
            Fate::Failed => (None, false),
        };
        let has_failed = past.fate == Some(Fate::Failed);
        Some(Self { number, loss, has_completed, has_failed, keeps })
    }

    /// All of a history that have ended.
    pub(super) fn all(history: &History) -> Vec<Self> {
        history.trials().iter().filter_map(|past| Self::new(past, history)).collect()
    }

    /// Where it was.
    pub(super) fn units<'a>(&self, history: &'a History) -> Option<&'a [f64]> {
        let trials = history.trials();
        let place = trials.binary_search_by_key(&self.number, |past| past.number).ok()?;
        trials.get(place).map(|past| past.units.as_slice())
    }
}

/// The same trials with how far they are beyond bounds in place of their losses, where that is known.
/// To have failed is to be as far beyond as any is from them: where only some places fail, or bounds
/// are kept there alone, it is these that a process of its own tells apart, and a failure that came by
/// chance is noise to it.
pub(super) fn bounded(known: &[Known], history: &History) -> Vec<Known> {
    let is_bounded = history.is_bounded();
    let excess = |known: &Known| {
        let own = history.losses(known.number).filter(|_| is_bounded);
        let excess = if is_bounded { own?.excess } else { -1.0 };
        // Sizes may be out of all proportion; 0 stays what it is.
        known.has_completed.then(|| excess.signum() * excess.abs().ln_1p())
    };
    let farthest = known.iter().filter_map(excess).fold(0.0, |far: f64, own| far.max(own.abs()));
    let failed = if farthest > 0.0 { farthest } else { 1.0 };
    let of = |known: &Known| {
        let loss = Some(if known.has_failed { failed } else { excess(known)? });
        Some(Known { loss, has_completed: true, has_failed: false, ..*known })
    };
    known.iter().filter_map(of).collect()
}

/// Where trials were, as the kernel sees it.
pub(super) fn points(axes: &Axes, history: &History, known: &[Known]) -> Points {
    let mut points = Points::new(axes.kinds().len());
    for known in known {
        if let Some(units) = known.units(history) {
            points.push(&features(axes, units));
        }
    }
    points
}

/// Which of the trials have no loss that is their own.
pub(super) fn are_weak(known: &[Known]) -> Vec<bool> {
    known.iter().map(|known| !known.has_completed).collect()
}

/// The losses of those that have completed, sorted.
pub(super) fn sorted_losses(known: &[Known]) -> Vec<f64> {
    let completed = known.iter().filter(|known| known.has_completed);
    let mut losses: Vec<f64> = completed.filter_map(|known| known.loss).collect();
    losses.sort_by(f64::total_cmp);
    losses
}

/// A loss for each trial: those that were stopped are thought to be no better than most, those of which
/// nothing is known to be among the worse ones, and those that failed as bad as the worst, or worse than
/// all where all are alike. Where there are bounds, most may be worth nothing, and no model of bounds
/// knows of those that have not completed: they are no better than the worst that keeps all.
pub(super) fn losses(known: &[Known], sorted: &[f64]) -> Vec<f64> {
    let at = |share: f64| {
        let place = (share * sorted.len().saturating_sub(1) as f64) as usize;
        sorted.get(place).copied().unwrap_or(0.0)
    };
    let worst = |is_meant: fn(bool) -> bool| {
        let meant =
            known.iter().filter(|known| known.has_completed && known.keeps.is_some_and(is_meant));
        meant.filter_map(|known| known.loss).reduce(f64::max)
    };
    let worst = worst(|keeps| keeps).or_else(|| worst(|_| true)).unwrap_or(f64::NEG_INFINITY);
    let (median, poor) = (at(0.5).max(worst), at(0.75).max(worst));
    let (best, last) = (at(0.0), at(1.0));
    let failed = match last > best {
        true => last,
        false if best == 0.0 => 1.0,
        false => last + best.abs(),
    };
    let loss = |known: &Known| match known.loss {
        _ if known.has_failed => failed.max(worst),
        Some(loss) if known.has_completed => loss,
        Some(loss) => loss.max(median),
        None => poor,
    };
    known.iter().map(loss).collect()
}

/// The best ones, first those that keep all bounds, the latest ones, and as many of the others to keep
/// the whole in view; by number.
pub(super) fn chosen(known: &[Known], losses: &[f64], n: usize) -> Vec<Known> {
    if known.len() <= n || n == 0 {
        return known.to_vec();
    }
    let (n_late, n_best) = (n / 3, n / 3);
    let n_early = known.len() - n_late;
    let mut order: Vec<usize> = (0..n_early).collect();
    // Of equal ones, those that a loss of their own speaks for.
    let rank = |i: usize| (!known[i].has_completed, i);
    let breaks = |i: usize| known[i].keeps == Some(false);
    order.sort_by(|&a, &b| {
        let by_loss = losses[a].total_cmp(&losses[b]);
        breaks(a).cmp(&breaks(b)).then(by_loss).then(rank(a).cmp(&rank(b)))
    });
    let (best, rest) = order.split_at(n_best);
    let n_others = n - n_late - n_best;
    let others = (0..n_others).map(|i| rest[i * rest.len() / n_others]);
    let mut places: Vec<usize> =
        best.iter().copied().chain(others).chain(n_early..known.len()).collect();
    places.sort_unstable();
    places.into_iter().map(|place| known[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_the_latest_and_some_others_stay() {
        let known: Vec<Known> = (0..100)
            .map(|number| Known {
                number,
                loss: Some(f64::from(number * 37 % 100)),
                has_completed: true,
                has_failed: false,
                keeps: None,
            })
            .collect();
        let losses = losses(&known, &sorted_losses(&known));
        let chosen = chosen(&known, &losses, 30);
        let numbers: Vec<u32> = chosen.iter().map(|known| known.number).collect();
        assert_eq!(numbers.len(), 30);
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        assert!((90..100).all(|late| numbers.contains(&late)));
        let best = known.iter().find(|known| known.loss == Some(0.0)).unwrap();
        assert!(numbers.contains(&best.number));
    }

    #[test]
    fn the_best_that_keeps_all_bounds_stays_though_many_are_better_that_do_not() {
        let known = |number: u32| Known {
            number,
            loss: Some(f64::from((number * 37) % 100)),
            has_completed: true,
            has_failed: false,
            keeps: Some(number * 37 % 100 >= 60),
        };
        let known: Vec<Known> = (0..100).map(known).collect();
        let losses = losses(&known, &sorted_losses(&known));
        let chosen = chosen(&known, &losses, 30);
        let best = known.iter().find(|known| known.loss == Some(60.0)).unwrap();
        assert!(best.number < 90 && chosen.contains(best));
    }

    #[test]
    fn trials_without_a_loss_of_their_own_are_poor() {
        let keeps = None;
        let has_failed = false;
        let with =
            |number, loss, has_completed| Known { number, loss, has_completed, has_failed, keeps };
        let known = [
            with(0, Some(1.0), true),
            with(1, Some(2.0), true),
            with(2, Some(9.0), true),
            with(3, None, false),
            with(4, Some(-5.0), false),
            with(5, Some(7.0), false),
        ];
        let sorted = sorted_losses(&known);
        assert_eq!(sorted, [1.0, 2.0, 9.0]);
        assert_eq!(losses(&known, &sorted), [1.0, 2.0, 9.0, 2.0, 2.0, 7.0]);
        let failed = Known { has_failed: true, ..with(6, None, false) };
        assert_eq!(losses(&[known[0], known[2], failed], &[1.0, 9.0]), [1.0, 9.0, 9.0]);
        assert_eq!(losses(&[known[1], failed], &[2.0]), [2.0, 4.0]);
    }

    #[test]
    fn trials_without_a_loss_of_their_own_are_as_poor_as_the_worst_that_keeps_all_bounds() {
        let with = |number, loss, keeps: Option<bool>| Known {
            number,
            loss,
            has_completed: keeps.is_some(),
            has_failed: false,
            keeps,
        };
        let mut known = [
            with(0, Some(1.0), Some(false)),
            with(1, Some(2.0), Some(false)),
            with(2, Some(3.0), Some(false)),
            with(3, Some(5.0), Some(true)),
            with(4, Some(6.0), Some(true)),
            with(5, None, None),
            with(6, Some(2.5), None),
            with(7, Some(8.0), None),
        ];
        let sorted = sorted_losses(&known);
        assert_eq!(losses(&known, &sorted)[5..], [6.0, 6.0, 8.0]);
        known[3].keeps = Some(false);
        known[4].keeps = Some(false);
        known[4].loss = Some(4.0);
        assert_eq!(losses(&known, &sorted_losses(&known))[5..], [5.0, 5.0, 8.0]);
    }
}
