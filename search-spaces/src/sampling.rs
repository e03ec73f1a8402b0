//! Which sampler proposes configurations, and its settings.

use serde::{Deserialize, Serialize};

use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::limits::Limits;
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
    /// The sampler's own seed; the study's seed where none is given. Azure's may be negative.
    pub seed: Option<i64>,
    /// The base of Azure's `logbase` (10, or e when absent): the bounds of `loguniform` and
    /// friends are exponents of it.
    pub logbase: Option<f64>,
}

/// A Gaussian process takes too long over more axes than this, and learns little.
const MOST_AXES: usize = 200;

/// Of more axes than this perhaps few matter; and where some exist under one choice only, few trials tell
/// of each.
const MANY_AXES: usize = 50;

/// From so many configurations on the choice has Parzen estimators besides, with so many axes: where few
/// of many matter, they find these sooner.
pub fn estimators_from(n_axes: usize) -> usize {
    if n_axes > MANY_AXES { 10 } else { 60 }
}

/// How many configurations a Gaussian process waits for, with so many axes.
pub fn n_before_process(n_axes: usize) -> usize {
    (n_axes + 2).clamp(5, 6)
}

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

/// Whether a space has more axes than a Gaussian process is good at.
fn has_many_axes(space: &SearchSpace) -> bool {
    let axes = space.axes();
    let is_branched = axes.iter().any(|axis| axis.parent.is_some());
    axes.len() > if is_branched { MANY_AXES } else { MOST_AXES }
}

impl Default for Sampling {
    fn default() -> Self {
        Self { algorithm: Algorithm::Random, seed: None, logbase: None }
    }
}

impl Sampling {
    /// What is meant in a space: `auto` and `bayesian` choose by its size. Within the choice budget and
    /// parallelism matter, too (`says`), but no other method is better for many trials or many at once.
    pub fn meant(&self, space: &SearchSpace) -> Algorithm {
        match self.algorithm {
            Algorithm::Auto | Algorithm::Bayesian if has_many_axes(space) => Algorithm::Tpe,
            Algorithm::Bayesian => Algorithm::Auto,
            algorithm => algorithm,
        }
    }

    /// What was chosen and why, where there was a choice.
    pub(crate) fn says(
        &self,
        space: &SearchSpace,
        limits: &Limits,
        n_objectives: usize,
    ) -> Option<String> {
        let (Algorithm::Auto | Algorithm::Bayesian) = self.algorithm else { return None };
        let counted = |n: usize, noun: &str| match n {
            1 => format!("1 {noun}"),
            n => format!("{n} {noun}s"),
        };
        let n_axes = space.axes().len();
        let n = limits.max_total_trials as usize;
        let parameters = counted(n_axes, "parameter");
        if self.meant(space) == Algorithm::Tpe {
            let says = "are many for a Gaussian process, so Parzen estimators propose, as with tpe";
            return Some(format!("{parameters} {says}"));
        }
        let configurations = counted(n, "configuration");
        let first = n_before_process(n_axes);
        if n <= first {
            let are = if n == 1 { "is" } else { "are" };
            return Some(format!(
                "{configurations} {are} few to learn from, so they fill the space evenly, as with sobol, \
                 but for its middle, which comes first where nothing else does, and for what \
                 start_from tells; a Gaussian process would propose from the {}th on",
                first + 1
            ));
        }
        let from = estimators_from(n_axes);
        let besides = "Parzen estimators have each third one";
        // With several objectives nobody tells whether anything is gained.
        let estimators = match (n > from, n_objectives == 1) {
            (true, true) => {
                format!("; once it gains nothing, {besides}, and from the {from}th on in any case")
            }
            (true, false) => format!("; from the {from}th on {besides}"),
            (false, true) => format!("; once it gains nothing, {besides}"),
            (false, false) => String::new(),
        };
        let at_once = match limits.max_concurrent_trials {
            1 => "one at a time".to_owned(),
            k => format!("up to {k} at once"),
        };
        Some(format!(
            "for {parameters} and {configurations}, {at_once}, a Gaussian process proposes, which needs \
             the fewest, once {first} have ended{estimators}"
        ))
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
            seed: seed.map_or(Some(None), |seed| seed.map(Some))?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alternative, Choice, Domain, Parameter, Scale};

    fn says(n_axes: usize, total: u32, at_once: u32) -> String {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, scale: Scale::Linear };
        let parameter = |i| Parameter { name: format!("x{i}"), domain: domain.clone() };
        let space = SearchSpace { parameters: (0..n_axes).map(parameter).collect() };
        let sampling = Sampling { algorithm: Algorithm::Auto, ..Sampling::default() };
        let limits = Limits { max_concurrent_trials: at_once, ..Limits::of_trials(total) };
        sampling.says(&space, &limits, 1).unwrap()
    }

    #[test]
    fn a_choice_names_space_budget_and_parallelism() {
        assert_eq!(
            says(1, 60, 1),
            "for 1 parameter and 60 configurations, one at a time, a Gaussian process proposes, which \
             needs the fewest, once 5 have ended; once it gains nothing, Parzen estimators have each \
             third one"
        );
        assert_eq!(
            says(12, 200, 32),
            "for 12 parameters and 200 configurations, up to 32 at once, a Gaussian process proposes, \
             which needs the fewest, once 6 have ended; once it gains nothing, Parzen estimators have \
             each third one, and from the 60th on in any case"
        );
        assert!(says(3, 5, 5).starts_with("5 configurations are few to learn from, "));
        assert!(says(201, 5, 5).starts_with("201 parameters are many for a Gaussian process, "));
        assert!(says(51, 20, 5).ends_with("and from the 10th on in any case"));
    }

    #[test]
    fn of_parameters_that_do_not_always_exist_fewer_are_many() {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, scale: Scale::Linear };
        let parameter = |i| Parameter { name: format!("x{i}"), domain: domain.clone() };
        let parameters: Vec<Parameter> = (0..3).map(parameter).collect();
        let branch = || Alternative::Space(SearchSpace { parameters: parameters.clone() });
        let meant = |n: usize| {
            let model = Domain::Choice(Choice::new((0..n).map(|_| branch()).collect()));
            let parameters = vec![Parameter { name: "model".to_owned(), domain: model }];
            let sampling = Sampling { algorithm: Algorithm::Auto, ..Sampling::default() };
            sampling.meant(&SearchSpace { parameters })
        };
        assert_eq!((meant(16), meant(17)), (Algorithm::Auto, Algorithm::Tpe));
    }
}
