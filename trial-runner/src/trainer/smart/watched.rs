//! A matrix that smartcore reads from and that looks at the stop flag now and then, because nothing
//! else inside smartcore's optimiser can end a fit.

use std::cell::Cell;
use std::ops::Range;

use smartcore::linalg::basic::arrays::{
    Array, Array2, ArrayView1, ArrayView2, MutArray, MutArrayView2,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::stop::Stop;

/// Reads between two looks at the flag: about a millisecond's worth.
const READS_BETWEEN_CHECKS: u32 = 1 << 18;

/// A matrix whose reads unwind with [`crate::stop::Stopped`] once it is time to give up.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) inner: DenseMatrix<f64>,
    pub(super) stop: Stop,
    reads: Cell<u32>,
}

impl Watched {
    pub(super) fn new(inner: DenseMatrix<f64>, stop: Stop) -> Self {
        Self {
            inner,
            stop,
            reads: Cell::new(0),
        }
    }

    /// A matrix that smartcore makes for its own results.
    fn unwatched(inner: DenseMatrix<f64>) -> Self {
        Self::new(inner, Stop::default())
    }

    #[cold]
    fn check(&self) {
        self.reads.set(0);
        if let Err(stopped) = self.stop.check() {
            // Not a panic: no hook runs, nothing is printed, and `guard` catches it.
            std::panic::resume_unwind(Box::new(stopped));
        }
    }
}

impl Array<f64, (usize, usize)> for Watched {
    fn get(&self, at: (usize, usize)) -> &f64 {
        self.reads.set(self.reads.get() + 1);
        if self.reads.get() >= READS_BETWEEN_CHECKS {
            self.check();
        }
        self.inner.get(at)
    }

    fn shape(&self) -> (usize, usize) {
        self.inner.shape()
    }

    fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    fn iterator<'b>(&'b self, axis: u8) -> Box<dyn Iterator<Item = &'b f64> + 'b> {
        self.inner.iterator(axis)
    }
}

impl MutArray<f64, (usize, usize)> for Watched {
    fn set(&mut self, at: (usize, usize), value: f64) {
        self.inner.set(at, value);
    }

    fn iterator_mut<'b>(&'b mut self, axis: u8) -> Box<dyn Iterator<Item = &'b mut f64> + 'b> {
        self.inner.iterator_mut(axis)
    }
}

impl ArrayView2<f64> for Watched {}
impl MutArrayView2<f64> for Watched {}

impl Array2<f64> for Watched {
    fn fill(n_rows: usize, n_columns: usize, value: f64) -> Self {
        Self::unwatched(DenseMatrix::fill(n_rows, n_columns, value))
    }

    fn slice<'a>(
        &'a self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Box<dyn ArrayView2<f64> + 'a> {
        self.inner.slice(rows, columns)
    }

    fn slice_mut<'a>(
        &'a mut self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Box<dyn MutArrayView2<f64> + 'a> {
        self.inner.slice_mut(rows, columns)
    }

    fn from_iterator<I: Iterator<Item = f64>>(
        values: I,
        n_rows: usize,
        n_columns: usize,
        axis: u8,
    ) -> Self {
        Self::unwatched(DenseMatrix::from_iterator(values, n_rows, n_columns, axis))
    }

    fn get_row<'a>(&'a self, row: usize) -> Box<dyn ArrayView1<f64> + 'a> {
        self.inner.get_row(row)
    }

    fn get_col<'a>(&'a self, column: usize) -> Box<dyn ArrayView1<f64> + 'a> {
        self.inner.get_col(column)
    }

    fn transpose(&self) -> Self {
        Self::new(self.inner.transpose(), self.stop.clone())
    }
}
