//! The losses of a trial, and what they had come to by each of them.
//!
//! Trials are measured by others at every report, and many run: what is asked for is kept, so that a
//! look at one of them is a look at one number.

/// One loss an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    losses: Vec<f64>,
    lowest: Vec<f64>,
    averages: Vec<f64>,
}

impl Curve {
    /// How many intervals it has come to.
    pub fn len(&self) -> usize {
        self.losses.len()
    }

    /// Whether it has come to none.
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty()
    }

    /// Adds the loss of the next interval.
    pub fn push(&mut self, loss: f64) {
        let lowest = self.lowest.last().map_or(loss, |lowest| lowest.min(loss));
        let average = self.averages.last().map_or(loss, |&mean| {
            // By differences: what stays the same has itself as its average, to the last bit, and no
            // sum leaves the range.
            let n = (self.len() + 1) as f64;
            let toward = mean + (loss / n - mean / n);
            // Rounding takes no average beyond what it is of.
            toward.clamp(mean.min(loss), mean.max(loss))
        });
        self.losses.push(loss);
        self.lowest.push(lowest);
        self.averages.push(average);
    }

    /// The losses, one an interval.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The lowest loss within each interval and all before.
    pub fn lowest(&self) -> &[f64] {
        &self.lowest
    }

    /// The average of the losses up to each interval.
    pub fn averages(&self) -> &[f64] {
        &self.averages
    }

    /// The loss at an interval; the first one is 1.
    pub fn loss_at(&self, interval: usize) -> Option<f64> {
        at(&self.losses, interval)
    }

    /// The lowest loss up to an interval.
    pub fn lowest_at(&self, interval: usize) -> Option<f64> {
        at(&self.lowest, interval)
    }

    /// The average of the losses up to an interval.
    pub fn average_at(&self, interval: usize) -> Option<f64> {
        at(&self.averages, interval)
    }
}

fn at(numbers: &[f64], interval: usize) -> Option<f64> {
    numbers.get(interval.checked_sub(1)?).copied()
}

impl FromIterator<f64> for Curve {
    fn from_iter<I: IntoIterator<Item = f64>>(losses: I) -> Self {
        let mut curve = Self::default();
        losses.into_iter().for_each(|loss| curve.push(loss));
        curve
    }
}

/// The numbers in order.
pub(super) fn ascending(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers
}
