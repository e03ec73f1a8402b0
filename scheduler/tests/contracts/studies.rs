//! Studies to test with, built by hand.

use std::collections::BTreeMap;

use fleetfit_search_spaces::{
    Algorithm, Alternative, Choice, CommandTrial, Domain, Goal, Learner, Limits, Objective,
    Parameter, Place, Priority, Sampling, Scale, SearchSpace, Selection, Study, Value, ValueRule,
    Work,
};

/// A study of a built-in learner without limits of time.
pub(crate) fn study(space: SearchSpace, algorithm: Algorithm, max_total_trials: u32) -> Study {
    Study {
        name: "test".into(),
        work: Work::Learner(Learner::Ridge),
        space,
        sampling: Sampling { algorithm, seed: None, logbase: None },
        objective: Objective {
            metric: "root_mean_squared_error".into(),
            goal: Goal::Minimize,
            value: ValueRule::Best,
        },
        further_objectives: Vec::new(),
        constraints: Vec::new(),
        limits: Limits {
            max_total_trials,
            max_concurrent_trials: max_total_trials,
            timeout_s: 5_184_000.0,
            trial_timeout_s: None,
            improvement: None,
            stop_when_converged: false,
        },
        early_termination: None,
        data: None,
        automl: None,
        selection: Selection::Raw,
        priority: Priority::Medium,
        points_to_evaluate: Vec::new(),
        start_from: Vec::new(),
        seed: None,
        notices: Vec::new(),
        cannot_run: Vec::new(),
    }
}

/// A program to run.
pub(crate) fn command() -> Work {
    Work::Command(CommandTrial {
        command: "true".into(),
        code: None,
        code_place: Place::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        environment_variables: BTreeMap::new(),
    })
}

pub(crate) fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.into(), domain }
}

pub(crate) fn space(parameters: Vec<Parameter>) -> SearchSpace {
    SearchSpace { parameters }
}

pub(crate) fn unit() -> Domain {
    Domain::Uniform { min: 0.0, max: 1.0, q: None }
}

pub(crate) fn choice(n: i64) -> Domain {
    let values = (0..n).map(|value| Alternative::Value(Value::Int(value)));
    Domain::Choice(values.collect())
}

/// Branches of very different sizes: 1 + 1 + `n` points under each of 3 seeds.
pub(crate) fn conditional(n: i64) -> SearchSpace {
    let branch = |name: &str, own: Vec<Parameter>| {
        let literal = Domain::Fixed(Value::Text(name.into()));
        let mut parameters = vec![parameter("name", literal)];
        parameters.extend(own);
        Alternative::Space(SearchSpace { parameters })
    };
    let depth = Domain::Int { min: 1, max: n, step: 1, scale: Scale::Linear };
    let model = Domain::Choice(Choice::new(vec![
        branch("constant", Vec::new()),
        Alternative::Value(Value::Text("none".into())),
        branch("tree", vec![parameter("depth", depth)]),
    ]));
    space(vec![parameter("model", model), parameter("seed", Domain::RandInt { upper: 3 })])
}
