//! Which sampler proposes configurations, and its settings.

use serde::{Deserialize, Serialize};

use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::space::SearchSpace;
use crate::yaml::Content;

/// Which sampler proposes configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Independent draws.
    Random,
    /// A scrambled low-discrepancy sequence.
    Sobol,
    /// Every combination, in seeded order.
    Grid,
    /// Whatever Bayesian method suits the space.
    Bayesian,
    /// Multivariate tree-structured Parzen estimators.
    Tpe,
    /// A Gaussian process.
    Gp,
    /// Covariance matrix adaptation.
    CmaEs,
    /// The best for the space, budget and parallelism.
    Auto,
}

/// The sampling settings of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Which sampler.
    pub algorithm: Algorithm,
    /// The sampler's own seed; the study's seed where none is given. A negative one counts by its
    /// bits.
    pub seed: Option<u64>,
    /// The base of Azure's `logbase` (10, or e when absent): the bounds of `loguniform` and
    /// friends are exponents of it.
    pub logbase: Option<f64>,
}

/// A Gaussian process takes too long over more axes than this, and learns little.
const MOST_AXES: usize = 50;

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("random", Algorithm::Random),
    ("sobol", Algorithm::Sobol),
    ("grid", Algorithm::Grid),
    ("bayesian", Algorithm::Bayesian),
    ("tpe", Algorithm::Tpe),
    ("gp", Algorithm::Gp),
    ("cma_es", Algorithm::CmaEs),
    ("auto", Algorithm::Auto),
];

const RULES: &[(&str, Algorithm)] = &[("random", Algorithm::Random), ("sobol", Algorithm::Sobol)];

impl Algorithm {
    /// Its name in job files.
    pub fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self { algorithm: Algorithm::Random, seed: None, logbase: None }
    }
}

impl Sampling {
    /// What is meant in a space: `auto` and `bayesian` choose by its size.
    pub fn meant(&self, space: &SearchSpace) -> Algorithm {
        match self.algorithm {
            Algorithm::Auto | Algorithm::Bayesian if space.axes().len() > MOST_AXES => {
                Algorithm::Tpe
            }
            Algorithm::Bayesian => Algorithm::Auto,
            algorithm => algorithm,
        }
    }

    /// What was chosen and why, where there was a choice.
    pub(crate) fn says(&self, space: &SearchSpace) -> Option<String> {
        let (Algorithm::Auto | Algorithm::Bayesian) = self.algorithm else { return None };
        let n = space.axes().len();
        let plural = if n == 1 { "parameter" } else { "parameters" };
        Some(match self.meant(space) {
            Algorithm::Tpe => format!(
                "{n} {plural} are many for a Gaussian process, so Parzen estimators propose, as with \
                 tpe"
            ),
            _ => format!(
                "for {n} {plural} a Gaussian process proposes, and from 60 configurations on Parzen \
                 estimators each third one"
            ),
        })
    }

    /// The base that the exponents of a space are taken of.
    pub(crate) fn base(&self) -> f64 {
        self.logbase.unwrap_or(std::f64::consts::E)
    }

    /// Reads `sampling_algorithm`, a word or a map.
    pub(crate) fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let Content::Map(_) = &at.node.content else {
            let algorithm = at.word(ALGORITHMS, findings)?;
            return Some(Self { algorithm, ..Self::default() });
        };
        let mut fields = at.map(findings)?;
        let algorithm = fields
            .require("type", "type: random", findings)
            .and_then(|at| at.word(ALGORITHMS, findings));
        let seed = fields.take("seed", findings).map(|at| at.int(findings));
        let logbase = fields.take("logbase", findings).map(|at| read_logbase(&at, findings));
        let rule = fields.take("rule", findings).map(|at| (at.word(RULES, findings), at));
        fields.finish(findings);
        let mut algorithm = algorithm?;
        if let Some((rule, rule_at)) = rule {
            if algorithm != Algorithm::Random {
                let says = "belongs to random sampling only";
                let mistake =
                    Mistake::new(says, "no rule").hint("remove rule, or write type: random");
                findings.problem(&rule_at, mistake);
            }
            algorithm = rule?;
        }
        Some(Self {
            algorithm,
            seed: seed.map_or(Some(None), |seed| seed.map(|seed| Some(seed.cast_unsigned())))?,
            logbase: logbase.map_or(Some(None), |base| base.map(Some))?,
        })
    }
}

fn read_logbase(at: &At<'_>, findings: &mut Findings) -> Option<f64> {
    if at.plain_text().as_deref() == Some("e") {
        return Some(std::f64::consts::E);
    }
    let base = at.float(findings)?;
    if base > 1.0 {
        return Some(base);
    }
    at.wrong(findings, "above 1, or e", Some("write logbase: 10".to_owned()))
}
