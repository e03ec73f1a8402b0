//! The training rows themselves, searched one by one: exact, and for the sizes of an entity faster
//! than a tree of them. Most rows are passed over by a rough distance: see `neighbours/sieve.rs`.

mod sieve;

use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use super::encoder::Design;
use super::products::{absolute_distance, squared_distance};
use sieve::{LANES, Sieve};

/// The nearest training rows answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    /// How many answer.
    pub(crate) k: u32,
    /// The power of Minkowski's distance.
    pub(crate) p: f64,
    pub(crate) voting: Voting,
    /// Encoded training rows, row after row.
    pub(crate) rows: Vec<f64>,
    /// A number a row, or the index of its class.
    pub(crate) targets: Vec<f64>,
    /// Whether the targets are classes.
    pub(crate) is_class: bool,
}

/// How much a neighbour's answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Voting {
    /// All the same.
    Uniform,
    /// By one over the distance; a neighbour at distance zero decides.
    Distance,
}

/// The neighbours, made ready for many queries.
pub(crate) struct Search<'a> {
    neighbours: &'a Neighbours,
    /// None for other distances than the usual one, and for numbers beyond what it can hold.
    sieve: Option<Sieve>,
}

/// The nearest rows so far: the bits of their distances, and their numbers. Bits of numbers that
/// are not negative sort as the numbers do; ties go to the earlier row.
type Nearest = BinaryHeap<(u64, u32)>;

impl Search<'_> {
    pub(crate) fn predict(&self, design: &Design, out: &mut [f64], width: usize) {
        let n_columns = design.n_columns;
        let queries = design.row_major();
        let each = |index: usize| &queries[index * n_columns..(index + 1) * n_columns];
        let mut nearest = vec![Nearest::new(); design.n_rows];
        let n_rows = self.neighbours.targets.len();
        let sieved = self.sieve.as_ref().and_then(|sieve| Some((sieve, sieve.sift(&queries)?)));
        match sieved {
            None => {
                for (index, nearest) in nearest.iter_mut().enumerate() {
                    (0..n_rows).for_each(|row| self.neighbours.meet(each(index), row, nearest));
                }
            }
            Some((sieve, sifted)) => {
                for panel in 0..n_rows.div_ceil(LANES) {
                    sieve.rough(panel, &sifted, |index, least| {
                        let nearest = &mut nearest[index];
                        let worst = self.neighbours.worst(nearest);
                        for (row, least) in (panel * LANES..n_rows).zip(least) {
                            if *least <= worst {
                                self.neighbours.meet(each(index), row, nearest);
                            }
                        }
                    });
                }
            }
        }
        for (nearest, out) in nearest.iter().zip(out.chunks_mut(width)) {
            self.neighbours.vote(nearest, out);
        }
    }
}

impl Neighbours {
    /// Makes the rows ready to be searched. Worth it from a few queries on.
    pub(crate) fn search(&self, n_queries: usize) -> Search<'_> {
        const FEW: usize = 4;
        let n_columns = self.rows.len() / self.targets.len().max(1);
        let is_usual = self.p == 2.0 && n_queries >= FEW && n_columns > 0;
        let sieve = if is_usual { Sieve::new(&self.rows, n_columns) } else { None };
        Search { neighbours: self, sieve }
    }

    /// The distance beyond which a row is no neighbour.
    fn worst(&self, nearest: &Nearest) -> f64 {
        match nearest.peek() {
            Some((bits, _)) if nearest.len() >= self.k as usize => f64::from_bits(*bits),
            _ => f64::INFINITY,
        }
    }

    /// Takes a row in where it is among the nearest.
    fn meet(&self, query: &[f64], row: usize, nearest: &mut Nearest) {
        let distance = self.distance(query, &self.rows[row * query.len()..][..query.len()]);
        let entry = (distance.to_bits(), row as u32);
        if nearest.len() < self.k as usize {
            nearest.push(entry);
        } else if nearest.peek().is_some_and(|worst| entry < *worst) {
            nearest.pop();
            nearest.push(entry);
        }
    }

    /// The distance to the power of `p`.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        if self.p == 2.0 {
            squared_distance(a, b)
        } else if self.p == 1.0 {
            absolute_distance(a, b)
        } else {
            let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            apart.map(|apart| apart.powf(self.p)).sum()
        }
    }

    fn vote(&self, nearest: &Nearest, out: &mut [f64]) {
        let any_at_zero = nearest.iter().any(|(bits, _)| *bits == 0);
        let mut total = 0.0;
        // The heap's order depends on what was pushed when; sums must not.
        let mut nearest: Vec<(u64, u32)> = nearest.iter().copied().collect();
        nearest.sort_unstable();
        for (bits, row) in nearest {
            let vote = match self.voting {
                Voting::Uniform => 1.0,
                Voting::Distance if any_at_zero => f64::from(u8::from(bits == 0)),
                Voting::Distance => 1.0 / f64::from_bits(bits).powf(1.0 / self.p),
            };
            let target = self.targets[row as usize];
            total += vote;
            if self.is_class {
                out[target as usize] += vote;
            } else {
                out[0] += vote * target;
            }
        }
        out.iter_mut().for_each(|out| *out /= total);
    }

    pub(crate) fn is_sound(&self, n_features: usize, width: usize) -> bool {
        let is_class = |target: &f64| *target >= 0.0 && (*target as usize) < width;
        self.rows.len() == self.targets.len() * n_features
            && self.k > 0
            && self.k as usize <= self.targets.len()
            && (!self.is_class || self.targets.iter().all(is_class))
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_sieve_loses_nobody() {
        let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(5);
        // Numbers from a few values, so that there are ties and neighbours at distance zero.
        let mut draw =
            |n: usize| -> Vec<f64> { (0..n).map(|_| (rng.next_u32() % 4) as f64 * 0.1).collect() };
        for (n_rows, n_columns, k) in [(1, 1, 1), (100, 2, 7), (333, 9, 20), (40, 5, 40)] {
            let neighbours = Neighbours {
                k,
                p: 2.0,
                voting: Voting::Distance,
                rows: draw(n_rows * n_columns),
                targets: (0..n_rows).map(|row| (row * row) as f64).collect(),
                is_class: false,
            };
            let values = draw(13 * n_columns);
            let design = Design { n_rows: 13, n_columns, values };
            let found = |search: Search<'_>| {
                let mut out = vec![0.0; 13];
                search.predict(&design, &mut out, 1);
                out
            };
            let sieved = found(neighbours.search(13));
            assert_eq!(sieved, found(Search { neighbours: &neighbours, sieve: None }));
        }
    }
}
