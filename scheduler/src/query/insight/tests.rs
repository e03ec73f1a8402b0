use fleetfit_search_spaces::{
    Configuration, End, EntityKey, Job, Outcome, Reached, Setting, Value,
};

use super::*;
use crate::event::Fact;
use crate::journal::{Index, NewStudy};

const JOB: &str = "\
type: sweep
name: told
trial: external
search_space:
  x: {type: uniform, min_value: 0, max_value: 1}
  n: [1, 2, 3, 4]
  model:
    - {kind: svm, c: {type: uniform, min_value: 0, max_value: 1}}
    - {kind: tree, c: {type: uniform, min_value: 0, max_value: 1}}
sampling_algorithm: random
objective: {goal: maximize, primary_metric: score}
limits: {max_total_trials: 200}
";

/// The same with seconds, which `n` costs most of.
fn several() -> String {
    let one = "objective: {goal: maximize, primary_metric: score}";
    let two = "objective: [{goal: maximize, primary_metric: score}, {goal: minimize, \
               primary_metric: seconds}]";
    JOB.replace(one, two)
}

fn unit(i: u32, step: f64) -> f64 {
    (f64::from(i + 1) * step).fract()
}

fn setting(value: impl Into<f64>) -> Setting {
    Setting::Value(Value::Float(value.into()))
}

fn configuration(i: u32) -> Configuration {
    let kind = if unit(i, 0.5698) < 0.5 { "svm" } else { "tree" };
    let model = Configuration(vec![
        ("kind".into(), Setting::Value(Value::Text(kind.into()))),
        ("c".into(), setting(unit(i, 0.8192))),
    ]);
    Configuration(vec![
        ("x".into(), setting(unit(i, 0.618_034))),
        ("n".into(), Setting::Value(Value::Int(1 + (4.0 * unit(i, 0.754_878)) as i64))),
        ("model".into(), Setting::Nested(model)),
    ])
}

/// A study whose score is `x`, a little of `n`, and of `c` under svm; for an entity times its index
/// and one.
fn study(journal: &Journal, text: &str, n: u32, entities: u32) {
    let job = Job::read("job.yaml", text).unwrap();
    let has_seconds = text.contains("seconds");
    let key = |i| EntityKey(vec![("store".into(), Value::Int(i64::from(i)))]);
    let keys: Vec<EntityKey> = match entities {
        1 => vec![EntityKey::default()],
        n => (0..n).map(key).collect(),
    };
    let new = NewStudy {
        name: "told".into(),
        job_file: "job.yaml".into(),
        job_text: text.into(),
        canonical: job.canonical(),
        entities: keys,
        ..NewStudy::default()
    };
    let id = journal.create(&new).unwrap();
    let mut facts = Vec::new();
    for number in 0..n {
        let configuration = configuration(number);
        facts.push(Fact::Proposed { number, configuration });
        let is_svm = unit(number, 0.5698) < 0.5;
        let c = if is_svm { unit(number, 0.8192) } else { 0.0 };
        let value = 1.0 + unit(number, 0.618_034) + 0.1 * unit(number, 0.754_878) + 0.5 * c;
        let seconds = 5.0 + (4.0 * unit(number, 0.754_878)).floor() + 0.1 * value;
        let outcomes = (0..entities).map(|entity| Outcome {
            configuration: number,
            entity,
            end: match number % 10 {
                3 => End::Failed { reason: "no luck".into() },
                4 => End::Stopped { value: Some(99.0), reason: "bandit".into() },
                _ => End::Completed { value: value * f64::from(entity + 1) },
            },
            fits: 1,
            started_ms: 1_000_000 + u64::from(number) * 1_000,
            ended_ms: 1_000_500 + u64::from(number) * 1_000,
            reports: Vec::new(),
            further: has_seconds.then_some(seconds).into_iter().collect(),
        });
        facts.push(Fact::Ended { outcomes: outcomes.collect() });
    }
    // One that still runs, and is the first again.
    facts.push(Fact::Proposed { number: n, configuration: configuration(0) });
    let mut index = Index::default();
    index.summary.proposed = n + 1;
    journal.append(id, &facts, &index).unwrap();
}

fn asked(n: u32, entities: u32, entity: Option<&str>) -> InsightView {
    let of = InsightOf { entity, objective: None };
    asked_of(JOB, n, entities, of).unwrap()
}

fn asked_of(
    text: &str,
    n: u32,
    entities: u32,
    of: InsightOf<'_>,
) -> Result<InsightView, QueryError> {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    study(&journal, text, n, entities);
    insight(&journal, "told", of)
}

#[test]
fn a_study_tells_what_matters() {
    let view = asked(150, 1, None);
    let counts = view.configurations;
    assert_eq!((counts.used, counts.failed, counts.stopped, counts.open), (120, 15, 15, 1));
    assert_eq!((view.scale, counts.entities, counts.in_forest), (InsightScale::Metric, 1, 120));
    let first = &view.parameters[0];
    assert!(first.parameter == "x" && first.fanova.unwrap() > 0.5, "{first:?}");
    let kinds: Vec<_> = view.parameters.iter().filter(|row| row.parameter == "model.c").collect();
    let is = |row: &ParameterView| row.when.as_ref().unwrap().is.to_string();
    assert_eq!((kinds.len(), is(kinds[0])), (2, "svm".to_owned()));
    assert!(kinds[0].fanova > kinds[1].fanova, "{kinds:?}");
    // Expected values are scores, so they rise with x.
    let points = &view.dependence[0].points;
    assert!(points[points.len() - 1].value - points[0].value > 0.6, "{points:?}");
    let n = view.dependence.iter().find(|curve| curve.parameter == "n").unwrap();
    let values: Vec<&Value> = n.points.iter().map(|point| &point.at).collect();
    assert_eq!(values, [1, 2, 3, 4].map(Value::Int).each_ref());
    // What c does depends on the model.
    let plane = view.plane.unwrap();
    assert_eq!(plane.parameters, ["model", "model.c (model=svm)"]);
    assert_eq!((plane.values.len(), plane.values[0].len(), plane.at[1].len()), (2, 12, 12));
    // Failed and stopped ones are no improvement, and a maximum rises.
    let steps = &view.convergence.improvements;
    assert!(steps.is_sorted_by(|one, other| one.value < other.value && one.nth < other.nth));
    assert_eq!(steps[0].elapsed_s, Some(0.5));
    assert_eq!(view.convergence.ended, 150);
    let last = steps[steps.len() - 1].nth;
    assert_eq!(view.convergence.since_last, 150 - last);
    assert_eq!((view.duplicates.proposed, view.duplicates.repeated), (151, 1));
    assert_eq!((view.duplicates.space, view.notices.len()), (None, 0));
}

#[test]
fn a_rounded_distribution_has_each_of_its_values_once() {
    let text = JOB.replace("n: [1, 2, 3, 4]", "n: {type: qnormal, mu: 2.5, sigma: 1, q: 1}");
    let of = InsightOf { entity: None, objective: None };
    let view = asked_of(&text, 150, 1, of).unwrap();
    let n = view.dependence.iter().find(|curve| curve.parameter == "n").unwrap();
    let at: Vec<f64> = n.points.iter().map(|point| point.at.as_f64().unwrap()).collect();
    assert!(at.len() >= 6 && at.windows(2).all(|pair| pair[1] - pair[0] == 1.0), "{at:?}");
}

#[test]
fn several_entities_count_by_their_own_measure() {
    let all = asked(60, 3, None);
    assert_eq!((all.scale, all.configurations.entities), (InsightScale::Relative, 3));
    // Losses are shares of the first one: less is better.
    let points = &all.dependence[0].points;
    assert!(all.dependence[0].parameter == "x" && points[0].value > points[20].value);
    assert_eq!(all.convergence.improvements[0].value, 0.0);
    let one = asked(60, 3, Some("2"));
    assert_eq!((one.scale, one.configurations.entities), (InsightScale::Metric, 1));
    assert!(one.convergence.improvements[0].value > 3.0);
    assert_eq!(one.entity.unwrap().0[0].1, Value::Int(2));
}

#[test]
fn each_of_several_objectives_tells_its_own() {
    let told =
        |text: &str, objective| asked_of(text, 150, 1, InsightOf { entity: None, objective });
    let first = told(&several(), None).unwrap();
    assert_eq!(
        (first.metric.name.as_str(), first.parameters[0].parameter.as_str()),
        ("score", "x")
    );
    assert_eq!(
        first.notices,
        ["the study has several objectives; what follows is of score, unless the objective \
          seconds is asked for"]
    );
    let named = told(&several(), Some("score")).unwrap();
    assert_eq!((&named.parameters, &named.dependence), (&first.parameters, &first.dependence));
    assert!(named.notices.is_empty());
    let other = told(&several(), Some("seconds")).unwrap();
    assert_eq!((other.metric.name.as_str(), other.metric.goal), ("seconds", Goal::Minimize));
    assert_eq!(other.parameters[0].parameter, "n");
    assert!(other.parameters[0].fanova.unwrap() > 0.9, "{:?}", other.parameters[0]);
    let most = |view: &InsightView, name: &str| {
        let row = view.parameters.iter().find(|row| row.parameter == name).unwrap();
        row.ped_anova.unwrap()
    };
    assert!(most(&other, "n") > 0.5 && most(&first, "x") > 0.5);
    // Seconds are as the trials told them, and fewer are better.
    let points = &other.dependence[0].points;
    assert!(points[0].value > 5.0 && points[3].value - points[0].value > 2.5, "{points:?}");
    let steps = &other.convergence.improvements;
    assert!(steps.is_sorted_by(|one, next| one.value > next.value), "{steps:?}");
    let error = told(&several(), Some("second")).unwrap_err();
    assert_eq!(error.to_string(), "told has no objective second; its objectives: score, seconds");
    assert_eq!(told(JOB, Some("score")).unwrap(), told(JOB, None).unwrap());
    assert!(told(JOB, Some("seconds")).is_err());
    // Over entities each objective has a mean of its own.
    let of = InsightOf { entity: None, objective: Some("seconds") };
    let all = asked_of(&several(), 60, 3, of).unwrap();
    assert_eq!((all.scale, all.parameters[0].parameter.as_str()), (InsightScale::Relative, "n"));
}

#[test]
fn little_is_told_of_little() {
    let view = asked(3, 1, None);
    assert_eq!(view.notices, ["3 configurations have a value; importances need at least 5"]);
    assert!(view.parameters.iter().all(|row| row.fanova.is_none() && row.ped_anova.is_none()));
    assert_eq!((view.dependence.len(), view.plane), (0, None));
    let view = asked(0, 1, None);
    assert_eq!((view.convergence.ended, view.convergence.area), (0, None));
}

/// A study of facts that are given as they are, with so many entities.
fn insight_of(text: &str, facts: &[Fact], proposed: u32, entities: u32) -> InsightView {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let job = Job::read("job.yaml", text).unwrap();
    let key = |i| EntityKey(vec![("store".into(), Value::Int(i64::from(i)))]);
    let new = NewStudy {
        name: "told".into(),
        job_file: "job.yaml".into(),
        job_text: text.into(),
        canonical: job.canonical(),
        entities: (0..entities).map(key).collect(),
        ..NewStudy::default()
    };
    let id = journal.create(&new).unwrap();
    let mut index = Index::default();
    index.summary.proposed = proposed;
    journal.append(id, facts, &index).unwrap();
    insight(&journal, "told", InsightOf { entity: None, objective: None }).unwrap()
}

fn ended(configuration: u32, entity: u32, end: End) -> Fact {
    let (started_ms, ended_ms) = (1_000_000, 1_000_500);
    let (reports, further) = (Vec::new(), Vec::new());
    let outcome =
        Outcome { configuration, entity, end, fits: 1, started_ms, ended_ms, reports, further };
    Fact::Ended { outcomes: vec![outcome] }
}

#[test]
fn who_ends_first_is_no_measure() {
    let proposed = |number| Fact::Proposed { number, configuration: configuration(number) };
    let told = |numbers: &mut dyn Iterator<Item = u32>| {
        let mut facts: Vec<Fact> = (0..40).map(proposed).collect();
        for number in numbers {
            let x = unit(number, 0.618_034);
            let n = unit(number, 0.754_878);
            let values = [1.0 + x, (1.0 + n) * 100.0];
            let values = (0..).zip(values);
            facts.extend(
                values.map(|(entity, value)| ended(number, entity, End::Completed { value })),
            );
        }
        insight_of(JOB, &facts, 40, 2)
    };
    let (forward, back) = (told(&mut (0..40)), told(&mut (0..40).rev()));
    assert!(forward.parameters[0].fanova.is_some());
    assert_eq!(forward.parameters, back.parameters);
    assert_eq!(forward.dependence, back.dependence);
}

#[test]
fn who_was_stopped_for_some_entities_is_nobodys_best() {
    let text = "\
type: sweep
training_data: {path: data.csv}
target_column_name: y
task: regression
partition_column_names: [store]
trial: {learner: ridge}
search_space: {alpha: {type: uniform, min_value: 0, max_value: 1}}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 3
early_termination: {type: asha, resource: folds}
limits: {max_total_trials: 200}
";
    let mut facts = Vec::new();
    let stopped = |value| End::Stopped { value: Some(value), reason: "asha".into() };
    for number in 0..8 {
        let alpha = f64::from(number) / 8.0;
        let configuration = Configuration(vec![("alpha".into(), setting(alpha))]);
        facts.push(Fact::Proposed { number, configuration });
        // On its first fold each is a tenth of what it comes to; later ones are worse.
        let whole = 1.0 + alpha;
        for entity in 0..2 {
            let reached = Reached {
                configuration: number,
                entity,
                rung: 0,
                values: vec![0.1 * whole],
                n_folds: 3,
                fits: 1,
                started_ms: 1_000_000,
                ended_ms: 1_000_100,
            };
            facts.push(Fact::Reached { trials: vec![reached] });
            let is_stopped = number > 5 || number > 1 && entity == 0;
            let end =
                if is_stopped { stopped(0.1 * whole) } else { End::Completed { value: whole } };
            facts.push(ended(number, entity, end));
        }
    }
    let view = insight_of(text, &facts, 8, 2);
    assert_eq!((view.configurations.used, view.configurations.stopped), (6, 2));
    let best: Vec<u32> = view.convergence.improvements.iter().map(|step| step.trial).collect();
    assert_eq!(best, [0]);
    let points = &view.dependence[0].points;
    // As measured on the same rung, a larger one is worse.
    assert!(points[0].value < points[points.len() - 1].value, "{points:?}");
}
