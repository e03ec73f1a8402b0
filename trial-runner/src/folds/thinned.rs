//! Fewer rows to learn from, for a first look at a configuration.

use super::{Fold, generator, shuffle};
use crate::frame::Target;

impl Fold {
    /// The same fold with some of the rows it learns from, of each class its share: as many as are
    /// asked for of so many; rows without weight are none. Whoever gets more of them by the same seed
    /// gets these, too.
    pub fn thinned(
        &self,
        target: &Target,
        weights: Option<&[f64]>,
        n_rows: impl FnOnce(usize) -> usize,
        seed: u64,
    ) -> Self {
        let weighs = |row: &u32| {
            weights.and_then(|all| all.get(*row as usize)).is_none_or(|weight| *weight > 0.0)
        };
        let places = (0..).zip(&self.train).filter(|(_, row)| weighs(row));
        let mut places: Vec<u32> = places.map(|(place, _)| place).collect();
        let n_rows = n_rows(places.len());
        if n_rows >= places.len() {
            return self.clone();
        }
        shuffle(&mut places, &mut generator(seed));
        if let Target::Class { codes, labels } = target {
            let code = |place: u32| {
                let row = self.train.get(place as usize).copied().unwrap_or_default();
                codes.get(row as usize).map_or(0, |code| *code as usize).min(labels.len())
            };
            let mut counts = vec![0_u32; labels.len() + 1];
            places.iter().for_each(|&place| counts[code(place)] += 1);
            let mut dealt = vec![0_u32; labels.len() + 1];
            // Laid at equal distances, each class by itself, between 0 and 1.
            let mut keyed: Vec<(f64, u32)> = Vec::with_capacity(places.len());
            for &place in &places {
                let code = code(place);
                let at = (f64::from(dealt[code]) + 0.5) / f64::from(counts[code]);
                dealt[code] += 1;
                keyed.push((at, place));
            }
            // Stable, so that ties stay in the order of the draw.
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            places = keyed.into_iter().map(|(_, place)| place).collect();
        }
        places.truncate(n_rows.max(1));
        places.sort_unstable();
        let train = places.iter().filter_map(|&place| self.train.get(place as usize).copied());
        Self { train: train.collect(), validate: self.validate.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn fold() -> Fold {
        Fold { train: (0..90).collect(), validate: (90..100).collect() }
    }

    fn thinned(target: &Target, n_rows: usize, seed: u64) -> Fold {
        fold().thinned(target, None, |_| n_rows, seed)
    }

    #[test]
    fn fewer_rows_are_among_more_and_stay_in_order() {
        let target = Target::Unknown;
        let few = thinned(&target, 10, 7);
        let many = thinned(&target, 30, 7);
        assert_eq!((few.train.len(), many.train.len()), (10, 30));
        assert!(few.train.iter().all(|row| many.train.contains(row)));
        assert!(few.train.is_sorted() && few.validate == fold().validate);
        assert_ne!(few, thinned(&target, 10, 8));
        assert_eq!(thinned(&target, 90, 7), fold());
        assert_eq!(thinned(&target, 0, 7).train.len(), 1);
    }

    #[test]
    fn each_class_keeps_its_share() {
        let codes = (0..100).map(|row| u32::from(row % 3 == 0)).collect();
        let labels = Arc::new(vec!["no".to_owned(), "yes".to_owned()]);
        let target = Target::Class { codes, labels };
        let train = thinned(&target, 30, 1).train;
        assert_eq!(train.iter().filter(|row| *row % 3 == 0).count(), 10);
    }

    #[test]
    fn rows_without_weight_are_not_drawn_and_not_counted() {
        let weights: Vec<f64> = (0..100).map(|row| f64::from(row % 10 == 0)).collect();
        let drawn = |share: usize| {
            fold().thinned(&Target::Unknown, Some(&weights), |n_rows| n_rows / share, 7)
        };
        let train = drawn(3).train;
        assert!(train.len() == 3 && train.iter().all(|row| *row % 10 == 0), "{train:?}");
        assert_eq!(drawn(1), fold());
    }
}
