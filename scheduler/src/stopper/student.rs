//! Student's distribution with a whole number of degrees of freedom.

/// How much of it lies below `t`: the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4.
pub(super) fn below(t: f64, degrees: usize) -> f64 {
    let degrees = degrees.max(1);
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    // cos θ + 2/3 cos³ θ + …, or 1 + 1/2 cos² θ + …
    let (mut term, mut n) = if is_odd { (cosine, 3) } else { (1.0, 2) };
    let mut sum = 0.0;
    while n <= degrees {
        sum += term;
        term *= cosine * cosine * (n - 1) as f64 / n as f64;
        n += 2;
    }
    let within = match is_odd {
        true => (angle + sine * sum) * std::f64::consts::FRAC_2_PI,
        false => sine * sum,
    };
    0.5 + 0.5 * within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_agree() {
        // One-sided 95 % and 99 % points.
        for (degrees, at_95, at_99) in [
            (1, 6.3138, 31.8205),
            (2, 2.9200, 6.9646),
            (3, 2.3534, 4.5407),
            (4, 2.1318, 3.7469),
            (9, 1.8331, 2.8214),
            (30, 1.6973, 2.4573),
        ] {
            assert!((below(at_95, degrees) - 0.95).abs() < 1e-5, "{degrees}");
            assert!((below(at_99, degrees) - 0.99).abs() < 1e-5, "{degrees}");
            assert!((below(-at_95, degrees) - 0.05).abs() < 1e-5, "{degrees}");
        }
        assert_eq!(below(0.0, 7), 0.5);
        assert_eq!(below(f64::INFINITY, 4), 1.0);
    }
}
