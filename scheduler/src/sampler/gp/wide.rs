//! Arithmetic with wider vectors, where the processor has them.
//!
//! Products and sums are rounded one by one, as they are without: the numbers stay the same.
#![allow(unsafe_code)] // the processor is asked first

/// What is worth it: all that `run` calls on the way has to be inlined.
pub(super) trait Arithmetic {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs it with as wide vectors as there are.
pub(super) fn wide<A: Arithmetic>(arithmetic: A) -> A::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, and that is all that the function asks for.
        return unsafe { with_avx2(arithmetic) };
    }
    arithmetic.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<A: Arithmetic>(arithmetic: A) -> A::Output {
    arithmetic.run()
}
