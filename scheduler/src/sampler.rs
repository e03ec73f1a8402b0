//! Who proposes configurations. A sampler sees the history and its seed, nothing else: told the
//! same in the same order, it proposes the same next one.
//!
//! Some of them learn: they work in the unit cube (`axes`) on what was tried so far (`history`).

mod adaptive;
mod auto;
mod axes;
mod cma_es;
mod converged;
mod earlier;
pub(crate) mod front;
mod gp;
mod grid;
mod history;
mod random;
mod seen;
mod sobol;
mod tpe;

use fleetfit_search_spaces::{Algorithm, Configuration, Study};

use self::adaptive::{Adaptive, Method};
use self::cma_es::CmaEs;
use self::gp::Gp;
use self::tpe::Tpe;

pub(crate) use axes::{Kind, kind};
pub(crate) use converged::Converged;
pub use earlier::Earlier;
pub use front::Losses;
pub use grid::Grid;
pub use history::Fate;
pub use random::Random;
pub(crate) use random::draws;
pub use sobol::Sobol;

/// Proposes configurations.
pub trait Sampler: Send {
    /// The configuration with this number; none when every point of the space has been proposed.
    /// Proposing changes nothing that a later proposal depends on: only `seen` does.
    fn propose(&mut self, number: u32) -> Option<Configuration>;

    /// A configuration was proposed, by this sampler or before a restart: it runs now.
    fn seen(&mut self, number: u32, configuration: &Configuration);

    /// A configuration that was seen passed a rung with this loss, or was stopped there; rungs count
    /// up. Told before what became of it.
    fn passed(&mut self, _number: u32, _rung: u32, _loss: f64) {}

    /// What became of a configuration that was seen. Those that nothing is told of still run.
    fn told(&mut self, _number: u32, _fate: Fate) {}

    /// What came of trials of earlier studies. Told before anything is proposed or seen.
    fn earlier(&mut self, _trials: &[Earlier]) {}

    /// Whether it makes use of what it is told: then it is asked for few at a time.
    fn learns(&self) -> bool {
        false
    }

    /// A configuration is tried whatever this sampler proposes: it does not propose it, where the
    /// points of the space can be told apart. `seen` follows only where the sampler learns.
    fn avoid(&mut self, configuration: &Configuration);

    /// Whether this very point was seen or is avoided, where the points of the space can be told apart.
    fn knows(&self, configuration: &Configuration) -> bool;
}

/// Why there is no sampler for a study.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    /// A grid needs a finite space.
    #[error("a grid needs every parameter to have a finite number of values")]
    EndlessGrid,
}

/// The sampler that a study asks for. `seed` is the study's; the sampler's own seed goes before it.
pub fn for_study(study: &Study, seed: u64) -> Result<Box<dyn Sampler>, SamplerError> {
    let seed = study.sampling.seed.map_or(seed, i64::cast_unsigned);
    let space = study.space.clone();
    let method = match study.sampling.meant(&space) {
        Algorithm::Random => return Ok(Box::new(Random::new(space, seed))),
        Algorithm::Sobol => return Ok(Box::new(Sobol::new(space, seed))),
        Algorithm::Grid => {
            return match Grid::new(space, seed) {
                Some(grid) => Ok(Box::new(grid)),
                None => Err(SamplerError::EndlessGrid),
            };
        }
        Algorithm::Tpe => Method::Tpe(Tpe::default()),
        Algorithm::Gp => Method::Gp(Gp::default()),
        Algorithm::CmaEs => Method::CmaEs(CmaEs::new(seed)),
        Algorithm::Auto | Algorithm::Bayesian => Method::Auto(Box::default()),
    };
    Ok(Box::new(Adaptive::new(space, seed, method)))
}
