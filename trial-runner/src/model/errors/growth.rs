//! How the usual size of errors grows with the steps ahead, from a few errors of each step.
//!
//! A power of the distance, times what the method says of itself where it does: a random walk's
//! forecasts have √h, those of a mean 1. The exponent is the least-squares slope of log mean sizes,
//! drawn towards 0, or ¼ where the method says nothing, as by a normal prior; where steps have many
//! errors of their own, the means count more. It never falls (pool adjacent violators).

/// The likely exponent where the method says nothing, and how far from it others are likely.
const UNTOLD: (f64, f64) = (0.25, 0.5);
/// The same where it says something.
const TOLD: (f64, f64) = (0.0, 0.1);
/// Where exponents may be; sizes never fall all the same.
const LEAST_EXPONENT: f64 = -0.5;
const MOST_EXPONENT: f64 = 1.2;
/// The variance of a size of normal errors over their mean size, squared: π/2 − 1.
const SPREAD: f64 = std::f64::consts::FRAC_PI_2 - 1.0;
/// As many errors of a step's own count as much as the power.
const OWN: f64 = 40.0;

/// The usual size of errors, by steps ahead.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    /// Steps ahead and sizes, both ascending.
    steps: Vec<(u32, f64)>,
    likely: Likely,
}

/// The sizes that are likely before there is an error, but for their unit.
#[derive(Clone, Debug)]
struct Likely {
    told: Vec<f64>,
    exponent: f64,
}

impl Likely {
    fn at(&self, ahead: u32) -> f64 {
        self.told_of(ahead) * f64::from(ahead).powf(self.exponent)
    }

    /// What the method says; the last that it says goes on.
    fn told_of(&self, ahead: u32) -> f64 {
        let own = self.told.get((ahead as usize).saturating_sub(1)).or(self.told.last());
        own.copied().unwrap_or(1.0)
    }
}

/// What is known of one step.
struct Step {
    ahead: u32,
    n: f64,
    mean: f64,
}

impl Growth {
    /// Of steps ahead, from 1, and sizes of errors, by steps in ascending order. `told` is how sizes
    /// grow by what the method says, from one step on.
    pub(super) fn of(sizes: &[(u32, f64)], told: &[f64]) -> Self {
        // In units of the largest, so that no sum is infinite.
        let largest = sizes.iter().fold(0.0_f64, |most, (_, size)| most.max(*size));
        let known: Vec<Step> = sizes
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|_| largest > 0.0)
            .filter_map(|own| {
                let (ahead, n) = (own.first()?.0.max(1), own.len() as f64);
                let mean = own.iter().map(|(_, size)| size / largest).sum::<f64>() / n;
                Some(Step { ahead, n, mean })
            })
            .collect();
        let is_told = told.iter().all(|size| *size > 0.0 && size.is_finite());
        let told = if is_told { told.to_vec() } else { Vec::new() };
        let mut likely = Likely { told, exponent: 0.0 };
        likely.exponent = exponent(&known, &likely);
        let (mut own, mut of_likely) = (0.0, 0.0);
        for step in &known {
            own += step.n * step.mean;
            of_likely += step.n * likely.at(step.ahead);
        }
        let unit = if of_likely > 0.0 { own / of_likely } else { 0.0 };
        // Runs of steps: how many steps and errors each has, and the size.
        let mut runs: Vec<(usize, f64, f64)> = Vec::with_capacity(known.len());
        for step in &known {
            let size = (step.n * step.mean + OWN * unit * likely.at(step.ahead)) / (step.n + OWN);
            let mut run = (1, step.n, size);
            while let Some(&(n_steps, n, before)) = runs.last().filter(|last| last.2 > run.2) {
                runs.pop();
                run = (run.0 + n_steps, run.1 + n, (run.1 * run.2 + n * before) / (run.1 + n));
            }
            runs.push(run);
        }
        let levels = runs.iter().flat_map(|&(n_steps, _, size)| std::iter::repeat_n(size, n_steps));
        let steps = known.iter().zip(levels).map(|(step, size)| (step.ahead, size * largest));
        Self { steps: steps.collect(), likely }
    }

    /// The usual size of an error so many steps ahead; 0 where none was ever off.
    pub(super) fn usual(&self, ahead: u32) -> f64 {
        let ahead = ahead.max(1);
        let after = self.steps.partition_point(|(step, _)| *step < ahead);
        let before = after.checked_sub(1).and_then(|at| self.steps.get(at));
        let from =
            |&(step, size): &(u32, f64)| size * (self.likely.at(ahead) / self.likely.at(step));
        match (before, self.steps.get(after)) {
            (_, Some(&(step, size))) if step == ahead => size,
            (Some(low), Some(high)) => from(low).clamp(low.1, high.1),
            (Some(nearest), None) => from(nearest).max(nearest.1),
            (None, Some(nearest)) => from(nearest).min(nearest.1),
            (None, None) => 0.0,
        }
    }
}

/// The power of the distance that sizes grow with beside what is told.
fn exponent(known: &[Step], told: &Likely) -> f64 {
    let counted = || known.iter().filter(|step| step.mean > 0.0);
    let (likely, deviation) = if told.told.is_empty() { UNTOLD } else { TOLD };
    let n: f64 = counted().map(|step| step.n).sum();
    if n <= 0.0 {
        return likely;
    }
    let at = |step: &Step| f64::from(step.ahead).ln();
    let middle = counted().map(|step| step.n * at(step)).sum::<f64>() / n;
    let (mut across, mut up) = (0.0, 0.0);
    for step in counted() {
        across += step.n * (at(step) - middle).powi(2);
        up += step.n * (at(step) - middle) * (step.mean.ln() - told.told_of(step.ahead).ln());
    }
    let doubt = SPREAD / (deviation * deviation);
    ((up + doubt * likely) / (across + doubt)).clamp(LEAST_EXPONENT, MOST_EXPONENT)
}
