//! What the forest expects along one dimension or two, over all others: curves and a plane of so many
//! points that one can read them.

use super::cells::Cells;
use super::tried::{Dimension, Kind, Scaled};
use super::{Expected, Share};

/// Points of a curve at most, and of a plane on each side.
const MOST_POINTS: usize = 24;
const MOST_ON_A_SIDE: usize = 12;

/// What is expected along one dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The dimension.
    pub dimension: usize,
    /// Coordinates, ascending, and what is expected there.
    pub points: Vec<(f64, Expected)>,
}

/// What is expected along two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// The dimensions.
    pub dimensions: [usize; 2],
    /// The coordinates along each, ascending.
    pub units: [Vec<f64>; 2],
    /// What is expected, the points along the second dimension side by side.
    pub expected: Vec<Expected>,
}

impl Curve {
    pub(super) fn new(
        number: usize,
        dimension: &Dimension,
        cells: &Cells,
        shares: &[Share],
        scaled: &Scaled,
    ) -> Self {
        let spots = spots(dimension, cells, MOST_POINTS);
        let points = spots.iter().map(|spot| {
            let shares = spot.cells.iter().map(|&(cell, weight)| (shares[cell], weight));
            (spot.unit, scaled.loss(mean(shares)))
        });
        Self { dimension: number, points: points.collect() }
    }
}

impl Plane {
    pub(super) fn new(
        numbers: [usize; 2],
        dimensions: [&Dimension; 2],
        cells: [&Cells; 2],
        shares: &[Share],
        scaled: &Scaled,
    ) -> Self {
        let [rows, columns] = [0, 1].map(|i| spots(dimensions[i], cells[i], MOST_ON_A_SIDE));
        let n = cells[1].n();
        let mut expected = Vec::with_capacity(rows.len() * columns.len());
        for row in &rows {
            for column in &columns {
                let pairs = row.cells.iter().flat_map(|&(i, height)| {
                    let cells = column.cells.iter();
                    cells.map(move |&(j, width)| (shares[i * n + j], height * width))
                });
                expected.push(scaled.loss(mean(pairs)));
            }
        }
        let units = [rows, columns].map(|spots| spots.iter().map(|spot| spot.unit).collect());
        Self { dimensions: numbers, units, expected }
    }
}

/// A coordinate, and the cells around it with the share of each.
struct Spot {
    unit: f64,
    cells: Vec<(usize, f64)>,
}

/// Where to look along a dimension: at every value, or at stretches of the same size.
fn spots(dimension: &Dimension, cells: &Cells, most: usize) -> Vec<Spot> {
    let at = |unit: f64| Spot { unit, cells: vec![(usize::from(cells.code(unit)), 1.0)] };
    match &dimension.kind {
        // The first of too many have to do: they have no order in which to pass some over. Of those
        // that no trial has nothing is known.
        Kind::Category(n) => {
            let spots = (0..*n).map(|i| at((i as f64 + 0.5) / *n as f64));
            let is_known = |spot: &Spot| {
                spot.cells.iter().all(|&(cell, _)| cells.codes.contains(&(cell as u16)))
            };
            spots.filter(|spot| cells.is_ordered || is_known(spot)).take(most).collect()
        }
        Kind::Levels(levels) if levels.len() <= most => {
            levels.iter().map(|&unit| at(unit)).collect()
        }
        Kind::Levels(_) | Kind::Number => (0..most).map(|i| stretch(i, most, cells)).collect(),
    }
}

fn stretch(i: usize, n: usize, cells: &Cells) -> Spot {
    let (from, to) = (i as f64 / n as f64, (i as f64 + 1.0) / n as f64);
    let (first, last) = (usize::from(cells.code(from)), usize::from(cells.code(to)));
    let overlap = |cell: usize| cells.edges[cell + 1].min(to) - cells.edges[cell].max(from);
    let cells = (first..=last).map(|cell| (cell, overlap(cell))).filter(|&(_, share)| share > 0.0);
    Spot { unit: 0.5 * (from + to), cells: cells.collect() }
}

fn mean(shares: impl Iterator<Item = (Share, f64)>) -> Share {
    let (mut sum, mut weights) = (Share::default(), 0.0);
    for (share, weight) in shares {
        sum.mean += weight * share.mean;
        sum.deviation += weight * share.deviation;
        weights += weight;
    }
    if weights > 0.0 {
        sum.mean /= weights;
        sum.deviation /= weights;
    }
    sum
}
