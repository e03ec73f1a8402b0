//! Smooth minima by L-BFGS with Moré-Thuente line searches: the one door to `argmin`.
//!
//! Whatever ends a search, an error of the line search too, the best point that it saw counts.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;

/// Steps that the curvature is learnt from.
const MEMORY: usize = 8;

/// How a search goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// How long the first step is.
    pub(super) first_step: f64,
    pub(super) max_steps: u64,
    /// Less progress than this in one step ends it.
    pub(super) tolerance: f64,
}

/// The best point that a search saw.
#[derive(Clone, Debug)]
pub(super) struct Minimum {
    pub(super) x: Vec<f64>,
    pub(super) cost: f64,
}

impl Minimum {
    /// The other one where it is less.
    pub(super) fn or(self, other: Self) -> Self {
        if other.cost < self.cost { other } else { self }
    }
}

/// Looks for a minimum of a function with a gradient, from a start.
pub(super) fn minimise<F>(start: Vec<f64>, effort: Effort, function: F) -> Minimum
where
    F: Fn(&[f64]) -> (f64, Vec<f64>),
{
    let (cost, gradient) = function(&start);
    let mut best = Minimum { x: start.clone(), cost };
    let length = gradient.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
    if start.is_empty() || !cost.is_finite() || !length.is_finite() || length < 1e-12 {
        return best;
    }
    let scale = effort.first_step / length;
    let last = Evaluated { x: start.clone(), cost, gradient };
    let seen = RefCell::new(Seen { best: best.clone(), last });
    let problem = Scaled { function: &function, scale, seen: &seen };
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), MEMORY)
        .with_tolerance_cost(effort.tolerance * scale)
        .and_then(|solver| solver.with_tolerance_grad(1e-9 * scale));
    if let Ok(solver) = solver {
        // An error of a line search ends the search; what it saw is kept.
        let _ended = Executor::new(problem, solver)
            .configure(|state| state.param(start).max_iters(effort.max_steps))
            .timer(false)
            .run();
    }
    best = seen.into_inner().best;
    best
}

/// A function on a scale on which the first step is as long as it should be.
struct Scaled<'a, F> {
    function: &'a F,
    scale: f64,
    seen: &'a RefCell<Seen>,
}

/// What was evaluated: costs and gradients are asked for one after the other.
struct Seen {
    best: Minimum,
    last: Evaluated,
}

struct Evaluated {
    x: Vec<f64>,
    cost: f64,
    gradient: Vec<f64>,
}

impl<F> Scaled<'_, F>
where
    F: Fn(&[f64]) -> (f64, Vec<f64>),
{
    fn evaluate<T>(&self, x: &[f64], pick: impl Fn(&Evaluated) -> T) -> T {
        let mut seen = self.seen.borrow_mut();
        if seen.last.x != x {
            let (cost, gradient) = (self.function)(x);
            let is_finite = cost.is_finite() && gradient.iter().all(|slope| slope.is_finite());
            seen.last = if is_finite {
                Evaluated { x: x.to_vec(), cost, gradient }
            } else {
                Evaluated { x: x.to_vec(), cost: 1e30, gradient: vec![0.0; x.len()] }
            };
            if is_finite && cost < seen.best.cost {
                seen.best = Minimum { x: x.to_vec(), cost };
            }
        }
        pick(&seen.last)
    }
}

impl<F> CostFunction for Scaled<'_, F>
where
    F: Fn(&[f64]) -> (f64, Vec<f64>),
{
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.evaluate(x, |seen| seen.cost) * self.scale)
    }
}

impl<F> Gradient for Scaled<'_, F>
where
    F: Fn(&[f64]) -> (f64, Vec<f64>),
{
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let scale = self.scale;
        let scaled = |seen: &Evaluated| seen.gradient.iter().map(|slope| slope * scale).collect();
        Ok(self.evaluate(x, scaled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: Effort = Effort { first_step: 0.1, max_steps: 200, tolerance: 1e-12 };

    #[test]
    fn it_finds_the_end_of_a_curved_valley() {
        let rosenbrock = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * b * x[0], 200.0 * b])
        };
        let minimum = minimise(vec![-1.2, 1.0], EFFORT, rosenbrock);
        assert!(minimum.cost < 1e-8, "{minimum:?}");
    }

    #[test]
    fn hostile_functions_end_at_the_best_point_seen() {
        let flat = minimise(vec![1.0], EFFORT, |_| (3.0, vec![0.0]));
        assert_eq!(flat.x, [1.0]);
        let unknown = minimise(vec![1.0], EFFORT, |_| (f64::NAN, vec![f64::NAN]));
        assert_eq!(unknown.x, [1.0]);
        let edge = minimise(vec![1.0], EFFORT, |x| match x[0] > 0.5 {
            true => (x[0], vec![1.0]),
            false => (f64::NAN, vec![f64::NAN]),
        });
        assert!(edge.cost <= 1.0 && edge.cost > 0.5);
        let endless = minimise(vec![1.0], EFFORT, |x| (-x[0], vec![-1.0]));
        assert!(endless.cost < -1.0);
        let wrong = minimise(vec![1.0], EFFORT, |x| (x[0] * x[0], vec![-2.0 * x[0]]));
        assert!(wrong.cost <= 1.0);
    }
}
