//! Sums over two rows of numbers, which neighbours, kernels and Gram matrices spend their time in.
//!
//! Four running sums let the compiler use wide registers; the order of additions is fixed, so the
//! result is the same to the bit wherever it is computed.

/// The sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// The sum of squared differences.
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

/// The sum of absolute differences.
pub(crate) fn absolute_distance(a: &[f64], b: &[f64]) -> f64 {
    sum(a, b, |a, b| (a - b).abs())
}

#[inline(always)]
fn sum(a: &[f64], b: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        for lane in 0..4 {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b));
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_summed_to_its_end() {
        for n in 0..11 {
            let a: Vec<f64> = (1..=n).map(f64::from).collect();
            let b = vec![3.0; a.len()];
            let sum = |term: fn(f64) -> f64| a.iter().map(|a| term(*a)).sum::<f64>();
            assert_eq!(dot(&a, &b), sum(|a| 3.0 * a));
            assert_eq!(squared_distance(&a, &b), sum(|a| (a - 3.0).powi(2)));
            assert_eq!(absolute_distance(&a, &b), sum(|a| (a - 3.0).abs()));
        }
    }
}
