//! How a search came to its best: every improvement, and what they add up to.

/// More improvements than this are thinned out; the first and the last ones stay.
const MOST_STEPS: usize = 1_000;

/// One configuration that has ended, in the order of their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// The configuration's number.
    pub number: u32,
    /// Its loss; none where it did not complete.
    pub loss: Option<f64>,
    /// Seconds since the first trial began, where somebody saw it end.
    pub elapsed_s: Option<f64>,
}

/// A configuration that was better than all before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// How many configurations had ended, this one included.
    pub nth: usize,
    /// The configuration.
    pub ended: Ended,
    /// Its loss.
    pub loss: f64,
}

/// How a search came to its best.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Convergence {
    /// The configurations that were better than all before.
    pub steps: Vec<Step>,
    /// How many configurations have ended.
    pub n: usize,
    /// The mean distance of the best so far from the best, as a share of that of the median: 0 where
    /// the first configuration was the best, 1 where nothing better than the median came before the
    /// last. None without two different losses.
    pub area: Option<f64>,
}

impl Convergence {
    /// Out of the configurations in the order of their ends.
    pub fn new(ended: &[Ended]) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for (nth, ended) in (1..).zip(ended) {
            if let Some(loss) = ended.loss
                && steps.last().is_none_or(|best| loss < best.loss)
            {
                steps.push(Step { nth, ended: *ended, loss });
            }
        }
        let area = area(ended, &steps);
        if steps.len() > MOST_STEPS {
            let n = steps.len();
            let is_kept = |i: usize| i == 0 || i * MOST_STEPS / n != (i + 1) * MOST_STEPS / n;
            let mut i = 0;
            steps.retain(|_| {
                i += 1;
                is_kept(i - 1)
            });
        }
        Self { steps, n: ended.len(), area }
    }
}

fn area(ended: &[Ended], steps: &[Step]) -> Option<f64> {
    let best = steps.last()?.loss;
    let mut losses: Vec<f64> = ended.iter().filter_map(|ended| ended.loss).collect();
    losses.sort_by(f64::total_cmp);
    // The losses may lie farther from each other than the largest number.
    let median = 0.5 * losses[losses.len() / 2] - 0.5 * best;
    let whole = match median > 0.0 {
        true => median,
        false => {
            losses.last().map(|worst| 0.5 * worst - 0.5 * best).filter(|&whole| whole > 0.0)?
        }
    };
    let first = steps.first().map_or(0, |step| step.nth - 1) as f64;
    let lasts = steps.iter().skip(1).map(|step| step.nth).chain([ended.len() + 1]);
    let stretches = steps.iter().zip(lasts).map(|(step, next)| {
        let distance = (0.5 * step.loss - 0.5 * best) / whole;
        distance.min(1.0) * (next - step.nth) as f64
    });
    Some((first + stretches.sum::<f64>()) / ended.len() as f64)
}
