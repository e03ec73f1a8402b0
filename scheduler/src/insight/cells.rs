//! The coordinates of a dimension gathered in cells.

use super::tried::{Kind, Tried};

/// The most cells of a dimension.
pub(super) const MOST: usize = 256;

/// The cell of a trial for which the dimension does not exist.
pub(super) const NONE: u16 = u16::MAX;

/// The cells of one dimension.
#[derive(Debug)]
pub(super) struct Cells {
    /// The cell of each trial.
    pub(super) codes: Vec<u16>,
    /// Where cells begin and the last one ends.
    pub(super) edges: Vec<f64>,
    /// Whether they have an order.
    pub(super) is_ordered: bool,
}

impl Cells {
    pub(super) fn new(tried: &Tried, dimension: usize) -> Self {
        let kind = tried.dimensions.get(dimension).map(|dimension| &dimension.kind);
        let (edges, is_ordered) = match kind {
            // What are too many to have a cell each have an order too: that of the file.
            Some(&Kind::Category(n)) => {
                let n_cells = n.clamp(1, MOST);
                let edges = (0..=n_cells).map(|i| i as f64 / n_cells as f64);
                (edges.collect(), n > MOST)
            }
            Some(Kind::Levels(levels)) => {
                let between = |low, high| between_levels(levels, low, high);
                (edges_of(tried.column(dimension), between), true)
            }
            _ => (edges_of(tried.column(dimension), half_way), true),
        };
        let mut cells = Self { codes: Vec::new(), edges, is_ordered };
        cells.codes = tried.column(dimension).map(|unit| cells.code(unit)).collect();
        cells
    }

    pub(super) fn n(&self) -> usize {
        self.edges.len() - 1
    }

    /// The cell at a coordinate.
    pub(super) fn code(&self, unit: f64) -> u16 {
        if unit.is_nan() {
            return NONE;
        }
        let above = self.edges.partition_point(|&edge| edge <= unit);
        above.saturating_sub(1).min(self.n() - 1) as u16
    }

    /// The cell that holds one alternative of a category of `n`, and no other one.
    pub(super) fn cell_of(&self, alternative: usize, n: usize) -> Option<u16> {
        let cell = |alternative: usize| self.code((alternative as f64 + 0.5) / n as f64);
        let own = cell(alternative);
        let is_other = |other: usize| other >= n || cell(other) != own;
        let is_alone = alternative.checked_sub(1).is_none_or(is_other) && is_other(alternative + 1);
        is_alone.then_some(own)
    }

    /// Where to cut between two cells that have no trial between them: half-way.
    pub(super) fn between(&self, left: u16, right: u16) -> u16 {
        if !self.is_ordered || right - left < 2 {
            return left + (right - left).div_ceil(2);
        }
        let (first, last) = (usize::from(left) + 1, usize::from(right));
        let middle = 0.5 * (self.edges[first] + self.edges[last]);
        let edges = &self.edges[first..=last];
        let above = edges.partition_point(|&edge| edge < middle).min(edges.len() - 1);
        let is_lower = above > 0 && middle - edges[above - 1] <= edges[above] - middle;
        (first + above - usize::from(is_lower)) as u16
    }
}

fn half_way(low: f64, high: f64) -> f64 {
    low + 0.5 * (high - low)
}

/// Where the lower of two levels ends, and half-way through those between them. Each level is the
/// middle of its interval, and the first interval begins at 0.
fn between_levels(levels: &[f64], low: f64, high: f64) -> f64 {
    let (mut end, mut first_end) = (0.0, 0.0);
    for &level in levels.iter().take_while(|&&level| level < high - 1e-12) {
        // Of the last one in between, its end is where the higher one begins.
        end = (2.0 * level - end).clamp(level, high);
        if level <= low + 1e-12 {
            first_end = end;
        }
    }
    match first_end > 0.0 {
        true => half_way(first_end.max(low), end.max(low)),
        // Below the first that is known.
        false => half_way(low, high),
    }
}

/// An edge between each two neighbours, or between some of them.
fn edges_of(units: impl Iterator<Item = f64>, between: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut units: Vec<f64> = units.filter(|unit| !unit.is_nan()).collect();
    units.sort_by(f64::total_cmp);
    let mut distinct = units.clone();
    distinct.dedup();
    // Each cell has as many trials as the others.
    let mut edges = vec![0.0];
    let mut add = |low: f64, high: f64| {
        let edge = between(low, high);
        if edges.last().is_some_and(|&last| edge > last) && edge < 1.0 {
            edges.push(edge);
        }
    };
    if distinct.len() <= MOST {
        distinct.windows(2).for_each(|pair| add(pair[0], pair[1]));
    } else {
        for cell in 1..MOST {
            let at = cell * units.len() / MOST;
            add(units[at - 1], units[at]);
        }
    }
    edges.push(1.0);
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_as_much_of_the_dimension_as_comes_to_it() {
        // 0, a half and 1 where halves are rounded to; and a normal distribution's.
        let levels = [0.125, 0.5, 0.875];
        let edges = |units: &[f64]| {
            edges_of(units.iter().copied(), |low, high| between_levels(&levels, low, high))
        };
        assert_eq!(edges(&[0.5, 0.125, 0.875, 0.5]), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(edges(&[0.5, 0.125]), [0.0, 0.25, 1.0]);
        assert_eq!(edges(&[0.125, 0.875]), [0.0, 0.5, 1.0]);
        // A trial from a space of before lies between levels.
        assert_eq!(edges(&[0.125, 0.6, 0.875]), [0.0, 0.425, 0.75, 1.0]);
        assert_eq!(edges(&[0.03125, 0.125, 0.5]), [0.0, 0.078125, 0.25, 1.0]);
    }
}
