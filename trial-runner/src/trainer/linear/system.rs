//! What weights are found from: sums of products, or where those would be more than the rows hold,
//! the rows.

use crate::model::encoder::Design;
use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// Centred columns and target, each row times the root of its weight.
#[derive(Debug)]
pub(super) enum System {
    /// The sums of products of the columns with each other, with the target, and of the target with
    /// itself.
    Sums(Sums),
    /// The columns, because there are more of them than rows.
    Rows { columns: Vec<f64>, y: Vec<f64> },
}

/// Sums over the training rows.
#[derive(Debug)]
pub(super) struct Sums {
    /// Columns with each other: symmetric, all of it.
    pub(super) gram: Vec<f64>,
    /// Columns with the target.
    pub(super) moments: Vec<f64>,
    /// The target with itself.
    pub(super) y_squares: f64,
}

impl System {
    pub(super) fn of(design: Design, y: Vec<f64>, stop: &Stop) -> Result<Self, Stopped> {
        if design.n_columns > design.n_rows {
            return Ok(Self::Rows { columns: design.values, y });
        }
        Sums::of(&design, &y, stop).map(Self::Sums)
    }
}

impl Sums {
    /// Of columns that are all there.
    pub(super) fn of(design: &Design, y: &[f64], stop: &Stop) -> Result<Self, Stopped> {
        let n = design.n_columns;
        let mut gram = vec![0.0; n * n];
        for i in 0..n {
            stop.check()?;
            for j in 0..=i {
                let product = dot(design.column(i), design.column(j));
                gram[i * n + j] = product;
                gram[j * n + i] = product;
            }
        }
        let moments = (0..n).map(|index| dot(design.column(index), y)).collect();
        Ok(Self { gram, moments, y_squares: dot(y, y) })
    }
}

/// The sums of products of rows with each other: symmetric, all of it.
pub(super) fn gram_of_rows(
    columns: &[f64],
    n_rows: usize,
    stop: &Stop,
) -> Result<Vec<f64>, Stopped> {
    let mut gram = vec![0.0; n_rows * n_rows];
    for column in columns.chunks_exact(n_rows.max(1)) {
        stop.check()?;
        for (row, value) in gram.chunks_exact_mut(n_rows).zip(column) {
            row.iter_mut().zip(column).for_each(|(sum, other)| *sum += value * other);
        }
    }
    Ok(gram)
}
