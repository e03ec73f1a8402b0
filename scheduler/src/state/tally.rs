//! Which trials of an open configuration have ended, and with what.
//!
//! Entities are cut into blocks; each block of a configuration has a buffer only while some but not
//! all of its trials have ended. Sums run over entities and blocks in order, so that the mean of a
//! configuration does not depend on the order in which its trials ended.

use std::ops::Range;

/// A growing set of small numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    pub(super) fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Puts the number in; false if it was there.
    pub(super) fn insert(&mut self, index: usize) -> bool {
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        let word = &mut self.words[index / 64];
        let bit = 1 << (index % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes the number out.
    pub(super) fn remove(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }
}

/// How a study's entities are cut into blocks of equal width; the last one may be narrower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) n_entities: u32,
    pub(super) width: u32,
}

impl Cut {
    /// Some 128 blocks, so that even a few entities spread over all threads, and none wider than
    /// what one launch takes.
    pub(super) fn new(n_entities: u32) -> Self {
        Self { n_entities, width: n_entities.div_ceil(128).clamp(1, 1024) }
    }

    pub(super) fn n_blocks(self) -> u32 {
        self.n_entities.div_ceil(self.width)
    }

    /// The entities of a block.
    pub(super) fn entities(self, block: u32) -> Range<u32> {
        let start = block.saturating_mul(self.width).min(self.n_entities);
        start..start.saturating_add(self.width).min(self.n_entities)
    }
}

/// How a configuration does over the entities it completed for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Mean {
    pub(super) sum: f64,
    pub(super) completed: u32,
}

impl Mean {
    /// Over the values of all entities, not a number where none was completed: the same, to the
    /// last bit, as that of a tally with these values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let cut = Cut::new(values.len() as u32);
        values.chunks(cut.width as usize).map(Self::of_block).fold(Self::default(), Self::and)
    }

    fn of_block(values: &[f64]) -> Self {
        let completed = values.iter().filter(|value| !value.is_nan());
        completed.fold(Self::default(), |mean, value| mean.and(Self { sum: *value, completed: 1 }))
    }

    fn and(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, completed: self.completed + other.completed }
    }

    pub(super) fn value(self) -> f64 {
        self.sum / f64::from(self.completed)
    }
}

/// The ended trials of one open configuration.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    cut: Cut,
    blocks: Vec<BlockTally>,
    n_ended: u32,
}

#[derive(Clone, Debug)]
enum BlockTally {
    Untouched,
    Partial(Box<Partial>),
    Complete(Mean),
}

/// A block some of whose trials have ended.
#[derive(Clone, Debug)]
struct Partial {
    ended: Bitmap,
    /// By entity; not a number where none was completed.
    values: Vec<f64>,
    n_ended: u32,
}

impl Partial {
    fn new(width: u32) -> Self {
        Self { ended: Bitmap::default(), values: vec![f64::NAN; width as usize], n_ended: 0 }
    }
}

impl Tally {
    pub(super) fn new(cut: Cut) -> Self {
        Self { cut, blocks: vec![BlockTally::Untouched; cut.n_blocks() as usize], n_ended: 0 }
    }

    /// Whether the trial for this entity has ended. True for strangers, who have nothing to tell.
    pub(super) fn has_ended(&self, entity: u32) -> bool {
        let (block, slot) = (entity / self.cut.width, entity % self.cut.width);
        match self.blocks.get(block as usize) {
            _ if entity >= self.cut.n_entities => true,
            Some(BlockTally::Untouched) => false,
            Some(BlockTally::Partial(partial)) => partial.ended.contains(slot as usize),
            Some(BlockTally::Complete(_)) | None => true,
        }
    }

    /// Ends the trial for this entity, with its value if it completed; false if it had ended.
    pub(super) fn end(&mut self, entity: u32, value: Option<f64>) -> bool {
        if self.has_ended(entity) {
            return false;
        }
        let block = entity / self.cut.width;
        let range = self.cut.entities(block);
        let n_block = range.end - range.start;
        let tally = &mut self.blocks[block as usize];
        if let BlockTally::Untouched = tally {
            *tally = BlockTally::Partial(Box::new(Partial::new(n_block)));
        }
        if let BlockTally::Partial(partial) = tally {
            let slot = (entity - range.start) as usize;
            partial.ended.insert(slot);
            partial.values[slot] = value.unwrap_or(f64::NAN);
            partial.n_ended += 1;
            if partial.n_ended == n_block {
                *tally = BlockTally::Complete(Mean::of_block(&partial.values));
            }
        }
        self.n_ended += 1;
        true
    }

    /// Whether every trial has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.n_ended == self.cut.n_entities
    }

    /// What has been completed so far.
    pub(super) fn mean(&self) -> Mean {
        let means = self.blocks.iter().map(|block| match block {
            BlockTally::Untouched => Mean::default(),
            BlockTally::Partial(partial) => Mean::of_block(&partial.values),
            BlockTally::Complete(mean) => *mean,
        });
        means.fold(Mean::default(), Mean::and)
    }
}

/// Ascending numbers as ranges that do not touch.
pub(super) fn ranges(numbers: impl Iterator<Item = u32>) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_entity_once() {
        for n_entities in [1, 2, 127, 128, 129, 913, 100_000, 1_000_000] {
            let cut = Cut::new(n_entities);
            let mut next = 0;
            for block in 0..cut.n_blocks() {
                let range = cut.entities(block);
                assert_eq!(range.start, next);
                assert!(range.end > range.start && range.end - range.start <= 1024);
                next = range.end;
            }
            assert_eq!(next, n_entities);
        }
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order() {
        let cut = Cut::new(1_000);
        let value = |entity: u32| (entity != 7).then(|| 0.1 * f64::from(entity) + 1e9);
        let mut forwards = Tally::new(cut);
        let mut backwards = Tally::new(cut);
        for entity in 0..1_000 {
            assert!(forwards.end(entity, value(entity)));
            assert!(!forwards.end(entity, value(entity)));
            assert!(backwards.end(999 - entity, value(999 - entity)));
        }
        assert!(forwards.is_complete() && backwards.is_complete());
        assert_eq!(forwards.mean(), backwards.mean());
        assert_eq!(forwards.mean().completed, 999);
        assert!(!forwards.end(1_000, Some(1.0)), "a stranger ended");
        let values: Vec<f64> = (0..1_000).map(|entity| value(entity).unwrap_or(f64::NAN)).collect();
        assert_eq!(forwards.mean(), Mean::of(&values));
    }

    #[test]
    fn numbers_become_ranges_that_do_not_touch() {
        assert_eq!(ranges([1, 2, 3, 6, 7, 9].into_iter()), vec![1..4, 6..8, 9..10]);
        assert_eq!(ranges([].into_iter()), Vec::<Range<u32>>::new());
    }
}
