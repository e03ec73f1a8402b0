//! The normal distribution's CDF and its inverse, to about 15 digits.
//!
//! The inverse is algorithm AS 241 (PPND16; Wichura 1988, Applied Statistics 37, 477–484). The CDF
//! is the alternating-free series of Marsaglia (2004) near the middle and Laplace's continued
//! fraction in the tails.

use std::f64::consts::PI;

/// The probability that a standard normal number is below `z`.
pub fn cdf(z: f64) -> f64 {
    if z > 0.0 { 1.0 - lower_tail(-z) } else { lower_tail(z) }
}

fn lower_tail(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    if z > -4.0 {
        let (mut term, mut sum, mut divisor) = (z, z, 1.0);
        while sum + term != sum {
            divisor += 2.0;
            term *= z * z / divisor;
            sum += term;
        }
        return 0.5 + density * sum;
    }
    let x = -z;
    let fraction = (1..=60).rev().fold(x, |tail, k| x + f64::from(k) / tail);
    density / fraction
}

/// The standard normal number below which a share `p` lies, for `p` strictly between 0 and 1.
pub fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&A, r) / polynomial(&B, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let z = if r <= 5.0 {
        polynomial(&C, r - 1.6) / polynomial(&D, r - 1.6)
    } else {
        polynomial(&E, r - 5.0) / polynomial(&F, r - 5.0)
    };
    if q < 0.0 { -z } else { z }
}

fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

const A: [f64; 8] = [
    3.3871328727963665,
    133.14166789178438,
    1971.5909503065513,
    13731.69376550946,
    45921.95393154987,
    67265.7709270087,
    33430.57558358813,
    2509.0809287301227,
];

const B: [f64; 8] = [
    1.0,
    42.31333070160091,
    687.1870074920579,
    5394.196021424751,
    21213.794301586597,
    39307.89580009271,
    28729.085735721943,
    5226.495278852854,
];

const C: [f64; 8] = [
    1.4234371107496835,
    4.630337846156546,
    5.769497221460691,
    3.6478483247632045,
    1.2704582524523684,
    0.2417807251774506,
    0.022723844989269184,
    0.0007745450142783414,
];

const D: [f64; 8] = [
    1.0,
    2.053191626637759,
    1.6763848301838038,
    0.6897673349851,
    0.14810397642748008,
    0.015198666563616457,
    0.0005475938084995345,
    1.0507500716444169e-09,
];

const E: [f64; 8] = [
    6.657904643501103,
    5.463784911164114,
    1.7848265399172913,
    0.29656057182850487,
    0.026532189526576124,
    0.0012426609473880784,
    2.7115555687434876e-05,
    2.0103343992922881e-07,
];

const F: [f64; 8] = [
    1.0,
    0.599832206555888,
    0.1369298809227358,
    0.014875361290850615,
    0.0007868691311456133,
    1.8463183175100548e-05,
    1.421511758316446e-07,
    2.0442631033899397e-15,
];

#[cfg(test)]
mod tests {
    use super::{cdf, quantile};

    #[test]
    fn known_quantiles() {
        assert!((quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-14);
        assert!((quantile(1e-10) + 6.361_340_902_404_056).abs() < 1e-12);
        assert_eq!(quantile(0.5), 0.0);
    }

    #[test]
    fn the_cdf_undoes_the_quantile() {
        for step in 1..10_000 {
            let p = f64::from(step) / 10_000.0;
            assert!((cdf(quantile(p)) - p).abs() < 1e-14, "{p}");
        }
        for power in 1..300 {
            let p = 10f64.powi(-power);
            assert!((cdf(quantile(p)) / p - 1.0).abs() < 1e-10, "{p}");
        }
    }
}
