//! Arithmetic with wider vectors, where the processor has them: the one door to `pulp`.
//!
//! Products and sums are rounded one by one, as they are without: the numbers stay the same.

use pulp::{Arch, Simd, WithSimd};

/// What is worth it: all that `run` calls on the way has to be inlined.
pub(super) trait Arithmetic {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs it with as wide vectors as there are.
pub(super) fn wide<A: Arithmetic>(arithmetic: A) -> A::Output {
    Arch::new().dispatch(Wide(arithmetic))
}

struct Wide<A>(A);

impl<A: Arithmetic> WithSimd for Wide<A> {
    type Output = A::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        self.0.run()
    }
}
