//! One bin's sums in one integer, so that adding a row to a bin is one addition.
//!
//! The gradient stands in the high bits, what cannot be negative in the low ones; sums of words are
//! words of sums, exactly, in any order. Few rows that all curve alike fit 32 bits: gradient and
//! count. Else 64: the gradient's half, and the other for the curvature (hessian); or, where rows
//! curve differently and are not too many, the count, and the rest shared by gradient and curvature.
//! Shi et al., "Quantized Training of Gradient Boosting Decision Trees" (2022) need 3 bits a
//! gradient; here are never fewer than 7 for the mean gradient of a row, and 3 for its curvature.

/// More rows than this need 64 bits.
pub(super) const MAX_NARROW_ROWS: usize = 4_095;
/// More rows than this have their count estimated from their curvature.
const MAX_COUNTED_ROWS: usize = 131_071;

/// Sums of gradients, curvatures and rows.
pub(super) trait Word: Copy + Default + Send + Sync + PartialEq + std::fmt::Debug {
    /// Whether the curvature is the count.
    const COUNTS_CURVATURE: bool;
    /// The bits of the gradient's sum, without its sign.
    fn gradient_bits(fields: Fields) -> u32;
    /// One row's word.
    fn pack(gradient: i32, curvature: i32, fields: Fields) -> Self;
    /// The sum of two words.
    fn plus(self, other: Self) -> Self;
    /// The difference of two words.
    fn minus(self, other: Self) -> Self;
    /// The sum of gradients.
    fn gradient(self, fields: Fields) -> i32;
    /// The sum of curvatures.
    fn curvature(self, fields: Fields) -> i32;
    /// Gradient and curvature, where rows are not counted beside them.
    fn halves(self, fields: Fields) -> (i32, i32);
    /// The number of rows, where it is counted beside the curvature.
    fn count(self, fields: Fields) -> i32;
}

/// How the low bits of a word are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// The bits of the count; none when it is the curvature, or estimated from it.
    pub(super) count_bits: u32,
    /// The bits of the curvature, which stands above the count.
    pub(super) curvature_bits: u32,
}

impl Fields {
    /// The narrow word's: the count, which is the curvature.
    pub(super) fn narrow(n_rows: usize) -> Self {
        Self { count_bits: bits(n_rows), curvature_bits: 0 }
    }

    /// The wide word's.
    pub(super) fn wide(n_rows: usize, is_flat: bool) -> Self {
        if is_flat || n_rows > MAX_COUNTED_ROWS {
            return Self { count_bits: 0, curvature_bits: 32 };
        }
        let count_bits = bits(n_rows);
        Self { count_bits, curvature_bits: ((60 - count_bits) / 2).max(32 - count_bits) }
    }

    /// The greatest sum of curvatures in a wide word.
    pub(super) fn most_curvature(self) -> f64 {
        f64::from((1_u32 << self.curvature_bits.min(31)) - 1)
    }

    fn mask(self) -> i32 {
        ((1_u32 << self.count_bits) - 1) as i32
    }

    /// Where the gradient begins in a wide word: at least in its middle.
    fn gradient_shift(self) -> u32 {
        self.count_bits + self.curvature_bits
    }
}

fn bits(n_rows: usize) -> u32 {
    usize::BITS - n_rows.leading_zeros()
}

impl Word for i32 {
    const COUNTS_CURVATURE: bool = true;

    fn gradient_bits(fields: Fields) -> u32 {
        31 - fields.count_bits
    }

    #[inline(always)]
    fn pack(gradient: i32, _: i32, fields: Fields) -> Self {
        gradient.wrapping_shl(fields.count_bits).wrapping_add(1)
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn gradient(self, fields: Fields) -> i32 {
        self.wrapping_shr(fields.count_bits)
    }

    #[inline(always)]
    fn curvature(self, fields: Fields) -> i32 {
        self & fields.mask()
    }

    #[inline(always)]
    fn halves(self, fields: Fields) -> (i32, i32) {
        (self.gradient(fields), self.curvature(fields))
    }

    #[inline(always)]
    fn count(self, fields: Fields) -> i32 {
        self & fields.mask()
    }
}

impl Word for i64 {
    const COUNTS_CURVATURE: bool = false;

    fn gradient_bits(fields: Fields) -> u32 {
        63 - fields.gradient_shift()
    }

    #[inline(always)]
    fn pack(gradient: i32, curvature: i32, fields: Fields) -> Self {
        let count = i64::from(fields.count_bits > 0);
        (i64::from(gradient) << fields.gradient_shift())
            + (i64::from(curvature) << fields.count_bits)
            + count
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn gradient(self, fields: Fields) -> i32 {
        ((self >> 32) as i32).wrapping_shr(fields.gradient_shift() - 32)
    }

    #[inline(always)]
    fn curvature(self, fields: Fields) -> i32 {
        let mask = ((1_u64 << fields.curvature_bits) - 1) as u32;
        ((self as u64).wrapping_shr(fields.count_bits) as u32 & mask) as i32
    }

    #[inline(always)]
    fn halves(self, _: Fields) -> (i32, i32) {
        ((self >> 32) as i32, self as i32)
    }

    #[inline(always)]
    fn count(self, fields: Fields) -> i32 {
        (self as i32) & fields.mask()
    }
}
