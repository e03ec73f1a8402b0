//! Loops over slices that compilers turn into vector instructions, in a fixed order of summation:
//! the same numbers on every machine, and none of them from the system's own mathematics.

/// How many sums run side by side.
const LANES: usize = 8;

/// The sum of products.
#[inline(always)]
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest
}

/// The sums of products of four slices with another, which may be shorter than they are.
#[inline(always)]
pub(super) fn dot_4(left: [&[f64]; 4], right: &[f64]) -> [f64; 4] {
    const LANES: usize = 4;
    let n = right.len();
    let [a, b, c, d] = left.map(|left| left[..n].as_chunks::<LANES>());
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [[0.0; LANES]; 4];
    for ((((a, b), c), d), right) in a.0.iter().zip(b.0).zip(c.0).zip(d.0).zip(right) {
        for lane in 0..LANES {
            sums[0][lane] += a[lane] * right[lane];
            sums[1][lane] += b[lane] * right[lane];
            sums[2][lane] += c[lane] * right[lane];
            sums[3][lane] += d[lane] * right[lane];
        }
    }
    let mut totals = sums.map(|[a, b, c, d]| (a + c) + (b + d));
    for (total, rest) in totals.iter_mut().zip([a.1, b.1, c.1, d.1]) {
        *total += rest.iter().zip(right_rest).map(|(left, right)| left * right).sum::<f64>();
    }
    totals
}

/// Adds a multiple of one slice to another.
#[inline(always)]
pub(super) fn add_scaled(sum: &mut [f64], factor: f64, addend: &[f64]) {
    for (sum, addend) in sum.iter_mut().zip(addend) {
        *sum += factor * addend;
    }
}

/// Adds multiples of four slices to another.
#[inline(always)]
pub(super) fn add_scaled_4(sum: &mut [f64], factors: [f64; 4], addends: [&[f64]; 4]) {
    let n = sum.len();
    let [a, b, c, d] = addends.map(|addend| &addend[..n]);
    for i in 0..n {
        sum[i] += (factors[0] * a[i] + factors[1] * b[i]) + (factors[2] * c[i] + factors[3] * d[i]);
    }
}

/// `e` to a power that is not positive, to about one unit in the last place; 0 below -700.
#[inline(always)]
pub(super) fn exp_of_negative(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it leaves an integer
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = x.max(-700.0);
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut sum = 1.0 / 479_001_600.0;
    for coefficient in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * rest + coefficient;
    }
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()));
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_agree_with_the_system() {
        for step in 0..70_000 {
            let x = -f64::from(step) * 0.01;
            let (own, exact) = (exp_of_negative(x), x.exp());
            assert!((own - exact).abs() <= 4e-16 * exact, "{x}: {own} {exact}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert!(exp_of_negative(-1e9) < 1e-300);
    }

    #[test]
    fn sums_of_any_length() {
        for n in 0..40 {
            let left: Vec<f64> = (0..n).map(f64::from).collect();
            let exact: f64 = left.iter().map(|x| x * x).sum();
            assert_eq!(dot(&left, &left), exact);
            assert_eq!(dot_4([&left; 4], &left), [exact; 4]);
            let mut sum = left.clone();
            add_scaled_4(&mut sum, [1.0, 2.0, 3.0, 4.0], [&left; 4]);
            add_scaled(&mut sum, -1.0, &left);
            let expected: Vec<f64> = left.iter().map(|x| 10.0 * x).collect();
            assert_eq!(sum, expected);
        }
    }
}
