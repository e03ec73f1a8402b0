//! A number in a sentence: in full where that is short, with an exponent where it is not.

use std::fmt;

/// A number as people write it: `-3`, `0.25`, `-1e-300`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure(pub(crate) f64);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = self;
        let is_short = *number == 0.0 || (1e-5..1e16).contains(&number.abs());
        if is_short { write!(f, "{number}") } else { write!(f, "{number:e}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_no_longer_than_it_needs_to_be() {
        let numbers = [0.0, -3.0, 0.25, 1e-5, -2.5e-300, 1e15, 1e16, -1.5e308, f64::INFINITY];
        let written = numbers.map(|number| Figure(number).to_string()).join(" ");
        assert_eq!(written, "0 -3 0.25 0.00001 -2.5e-300 1000000000000000 1e16 -1.5e308 inf");
    }
}
