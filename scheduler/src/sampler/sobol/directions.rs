//! Direction numbers of the Sobol' sequence.
//!
//! The primitive polynomials are found here, in order of degree. The initial numbers of the first
//! axes are those of S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better
//! two-dimensional projections" (SIAM J. Sci. Comput. 30, 2008); further ones are drawn until
//! Sobol's property A holds, as in their "Remark on algorithm 659" (ACM TOMS 29, 2003). Any odd
//! numbers make each axis a (0, 1)-sequence; property A says that a block of 2^d points has one in
//! each orthant of d axes.

use fleetfit_search_spaces::seed::mix;

/// Axes with direction numbers.
pub(super) const MAX_DIMENSIONS: usize = 1_024;

/// Initial numbers from the second axis on.
const INITIAL: &[&[u32]] = &[
    &[1],
    &[1, 3],
    &[1, 3, 1],
    &[1, 1, 1],
    &[1, 1, 3, 3],
    &[1, 3, 5, 13],
    &[1, 1, 5, 5, 17],
    &[1, 1, 5, 5, 5],
    &[1, 1, 7, 11, 19],
    &[1, 1, 5, 1, 1],
    &[1, 1, 1, 3, 11],
    &[1, 3, 5, 5, 31],
    &[1, 3, 3, 9, 7, 49],
    &[1, 1, 1, 15, 21, 21],
    &[1, 3, 1, 13, 27, 49],
    &[1, 1, 1, 15, 7, 5],
    &[1, 3, 1, 15, 13, 25],
    &[1, 1, 5, 5, 19, 61],
    &[1, 3, 7, 11, 23, 15, 103],
    &[1, 3, 7, 13, 13, 15, 69],
];

/// Draws of initial numbers before property A is let go for an axis.
const MAX_DRAWS: u64 = 64;

/// The directions of so many axes: what bit k of a point's index adds to its coordinate.
pub(super) fn directions(n_axes: usize) -> Vec<[u32; 32]> {
    let n_axes = n_axes.min(MAX_DIMENSIONS);
    let mut property = PropertyA::default();
    // The first axis is van der Corput's: the index with its digits reversed.
    let mut all = vec![std::array::from_fn(|k| 1 << (31 - k))];
    property.admit(&[1], 0);
    let polynomials = primitive_polynomials().take(n_axes.saturating_sub(1));
    for (axis, polynomial) in polynomials.enumerate() {
        let initial = match INITIAL.get(axis) {
            Some(initial) => {
                property.admit(initial, polynomial);
                initial.to_vec()
            }
            None => drawn(axis as u64, polynomial, &mut property),
        };
        all.push(grown(&initial, polynomial));
    }
    all.truncate(n_axes);
    all
}

fn drawn(axis: u64, polynomial: u32, property: &mut PropertyA) -> Vec<u32> {
    let degree = degree(polynomial);
    let mut initial = Vec::new();
    for draw in 0..MAX_DRAWS {
        let number = |k: u32| (mix(&[axis, draw, u64::from(k)]) as u32 & ((2 << k) - 1)) | 1;
        initial = (0..degree).map(number).collect();
        if property.admit(&initial, polynomial) {
            break;
        }
    }
    initial
}

/// All 32 directions out of the initial numbers, by the recurrence of the polynomial.
fn grown(initial: &[u32], polynomial: u32) -> [u32; 32] {
    let degree = initial.len();
    let mut directions = [0u32; 32];
    for k in 0..32 {
        directions[k] = match initial.get(k) {
            Some(number) => number << (31 - k),
            None => {
                let oldest = directions[k - degree];
                let terms = (1..=degree).filter(|&j| polynomial >> (degree - j) & 1 == 1);
                terms.fold(oldest >> degree, |sum, j| sum ^ directions[k - j])
            }
        };
    }
    directions
}

fn degree(polynomial: u32) -> u32 {
    31 - polynomial.leading_zeros()
}

/// Primitive polynomials over two elements; bit k is the coefficient of x^k.
fn primitive_polynomials() -> impl Iterator<Item = u32> {
    // Degree 13 is where the thousandth is found.
    (1..=13u32).flat_map(|degree| {
        let all = (0..1u32 << (degree - 1)).map(move |inner| 1 << degree | inner << 1 | 1);
        all.filter(|&polynomial| is_primitive(polynomial))
    })
}

/// Whether the powers of x run through every remainder but 0.
fn is_primitive(polynomial: u32) -> bool {
    let degree = degree(polynomial);
    let mut power = 1u32;
    for exponent in 1..1u32 << degree {
        power <<= 1;
        if power >> degree & 1 == 1 {
            power ^= polynomial;
        }
        if power == 1 {
            return exponent == (1 << degree) - 1;
        }
    }
    false
}

/// The first digits of the directions of all axes so far, as a triangular matrix over two elements.
/// Property A holds as long as none of its leading minors is 0.
#[derive(Default)]
struct PropertyA {
    /// With the column that each was reduced to.
    rows: Vec<Row>,
}

type Row = [u64; MAX_DIMENSIONS / 64];

impl PropertyA {
    /// Takes an axis in if the property then holds; the first digits follow the recurrence alone.
    fn admit(&mut self, initial: &[u32], polynomial: u32) -> bool {
        let own = self.rows.len();
        if own >= MAX_DIMENSIONS {
            return false;
        }
        let degree = initial.len();
        let mut digits = [false; MAX_DIMENSIONS];
        for k in 0..MAX_DIMENSIONS {
            digits[k] = match initial.get(k) {
                Some(number) => number >> k & 1 == 1,
                None => (1..=degree)
                    .filter(|&j| polynomial >> (degree - j) & 1 == 1)
                    .fold(false, |sum, j| sum ^ digits[k - j]),
            };
        }
        let mut row: Row = [0; MAX_DIMENSIONS / 64];
        for (k, _) in digits.iter().enumerate().filter(|(_, digit)| **digit) {
            row[k / 64] |= 1 << (k % 64);
        }
        for (column, earlier) in self.rows.iter().enumerate() {
            if has(&row, column) {
                for (word, other) in row.iter_mut().zip(earlier) {
                    *word ^= other;
                }
            }
        }
        let holds = has(&row, own);
        if holds {
            self.rows.push(row);
        }
        holds
    }
}

fn has(row: &Row, column: usize) -> bool {
    row[column / 64] >> (column % 64) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_as_many_as_known() {
        let mut counts = [0; 14];
        for polynomial in primitive_polynomials() {
            counts[degree(polynomial) as usize] += 1;
        }
        assert_eq!(counts[1..12], [1, 1, 2, 2, 6, 6, 18, 16, 48, 60, 176]);
        assert!(primitive_polynomials().count() + 1 >= MAX_DIMENSIONS);
    }

    #[test]
    fn property_a_holds_for_the_first_axes() {
        let mut property = PropertyA::default();
        assert!(property.admit(&[1], 0));
        for (axis, polynomial) in primitive_polynomials().take(INITIAL.len()).enumerate() {
            assert_eq!(INITIAL[axis].len(), degree(polynomial) as usize);
            assert!(property.admit(INITIAL[axis], polynomial), "axis {axis}");
        }
    }

    #[test]
    fn directions_are_upper_triangular_with_ones_on_the_diagonal() {
        let all = directions(MAX_DIMENSIONS);
        assert_eq!(all.len(), MAX_DIMENSIONS);
        for axis in &all {
            for (k, direction) in axis.iter().enumerate() {
                assert_eq!(direction.trailing_zeros(), 31 - k as u32);
            }
        }
    }
}
