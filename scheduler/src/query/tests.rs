//! Every answer is compared with one computed the slow way from what was appended.

use std::sync::Arc;

use fleetfit_search_spaces::problem::Place;
use fleetfit_search_spaces::wire::{ModelAddress, Refit};
use fleetfit_search_spaces::{
    Algorithm, CommandTrial, End, Learner, Limits, Objective, Outcome, Sampling, SearchSpace,
    Setting, Study, Value, ValueRule, Work,
};

mod fronts;

use super::trials::{Rows, page_of, seen};
use super::*;
use crate::event::Fact;
use crate::journal::{Index, NewStudy, Summary};
use crate::state::Ranked;

const ENTITIES: u32 = 600;
const CONFIGURATIONS: u32 = 9;
const JOB: &str = "
type: sweep
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store, brand]
trial: {learner: '${{search_space.model}}'}
search_space:
  model:
    type: choice
    values:
      - {learner: ridge, alpha: [1, 2, 3]}
      - {learner: lasso, alpha: [1, 2, 3]}
sampling_algorithm: random
objective: {goal: maximize, primary_metric: r2}
limits: {max_total_trials: 100, max_concurrent_trials: 8, timeout: 600}
";

fn study(work: Work, selection: Selection) -> Study {
    Study {
        name: "asked".into(),
        work,
        space: SearchSpace::default(),
        sampling: Sampling { algorithm: Algorithm::Random, seed: None, logbase: None },
        objective: Objective {
            metric: "r2_score".into(),
            goal: Goal::Maximize,
            value: ValueRule::Best,
        },
        further_objectives: Vec::new(),
        constraints: Vec::new(),
        limits: Limits {
            max_total_trials: 100,
            max_concurrent_trials: 4,
            timeout_s: 60.0,
            trial_timeout_s: None,
            improvement: None,
            stop_when_converged: false,
        },
        early_termination: None,
        data: None,
        automl: None,
        selection,
        priority: fleetfit_search_spaces::Priority::Medium,
        points_to_evaluate: Vec::new(),
        start_from: Vec::new(),
        seed: None,
        notices: vec![Notice { place: Place::default(), message: "from the job".into() }],
        cannot_run: Vec::new(),
    }
}

fn configuration(number: u32) -> Configuration {
    let nested = Configuration(vec![
        ("learner".into(), Setting::Value(Value::Text("ridge".into()))),
        ("alpha".into(), Setting::Value(Value::Int(i64::from(number)))),
    ]);
    Configuration(vec![("model".into(), Setting::Nested(nested))])
}

/// Trials in an order that has nothing to do with their numbers. Configuration 0 is the best where
/// it completes, but every seventh entity fails it; number 8 is still open.
fn outcomes() -> Vec<Outcome> {
    let n = ENTITIES * CONFIGURATIONS;
    let shuffled = (0..n).map(|i| (u64::from(i) * 2_654_435_761 % u64::from(n)) as u32);
    shuffled
        .map(|i| (i / ENTITIES, i % ENTITIES))
        .filter(|(configuration, entity)| *configuration != 8 || *entity > 20)
        .map(|(configuration, entity)| {
            let noise = f64::from((entity * 31 + configuration * 17) % 101) / 10.0;
            let end = match (configuration, entity % 7) {
                (0, 0) => End::Failed { reason: "one row".into() },
                (3, 1) => End::Stopped { value: Some(99.0), reason: "bandit".into() },
                (0, _) => End::Completed { value: 50.0 + noise },
                _ => End::Completed { value: noise + f64::from(configuration) / 8.0 },
            };
            Outcome {
                configuration,
                entity,
                end,
                fits: 3,
                started_ms: 1_700_000_000_000 + u64::from(entity),
                ended_ms: 1_700_000_001_234 + u64::from(entity),
                reports: Vec::new(),
                further: Vec::new(),
            }
        })
        .collect()
}

/// The completed trials of an entity, the best first.
fn ranked(entity: u32) -> Vec<(f64, u32)> {
    let mut ranked: Vec<(f64, u32)> = outcomes()
        .iter()
        .filter(|outcome| outcome.entity == entity)
        .filter_map(|outcome| match outcome.end {
            End::Completed { value } => Some((value, outcome.configuration)),
            _ => None,
        })
        .collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    ranked
}

/// The mean of a configuration over the entities that completed it, and how many did.
fn mean(configuration: u32) -> (f64, u32) {
    let mut values: Vec<(u32, f64)> = outcomes()
        .iter()
        .filter(|outcome| outcome.configuration == configuration)
        .filter_map(|outcome| match outcome.end {
            End::Completed { value } => Some((outcome.entity, value)),
            _ => None,
        })
        .collect();
    values.sort_by_key(|(entity, _)| *entity);
    let sum: f64 = values.iter().map(|(_, value)| value).sum();
    (sum / values.len() as f64, values.len() as u32)
}

struct Fixture {
    _dir: tempfile::TempDir,
    journal: Journal,
}

impl Fixture {
    fn new(partitioned: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let key = |entity: u32| {
            EntityKey(vec![
                ("store".into(), Value::Int(i64::from(entity / 10))),
                ("brand".into(), Value::Text(format!("b{}", entity % 10))),
            ])
        };
        let entities = if partitioned { (0..ENTITIES).map(key).collect() } else { Vec::new() };
        let id = journal
            .create(&NewStudy {
                large: Vec::new(),
                name: "asked".into(),
                job_file: "job.yaml".into(),
                base_dir: "/".into(),
                job_text: JOB.into(),
                sets: vec![("limits.max_total_trials".into(), "12".into())],
                canonical: String::new(),
                data_digest: None,
                seed: 1,
                created_ms: 1_700_000_000_000,
                entities,
                ..NewStudy::default()
            })
            .unwrap();
        let n_entities = if partitioned { ENTITIES } else { 1 };
        let proposed: Vec<Fact> = (0..CONFIGURATIONS)
            .map(|number| Fact::Proposed { number, configuration: configuration(number) })
            .collect();
        journal.append(id, &proposed, &Index::default()).unwrap();
        let outcomes: Vec<Outcome> =
            outcomes().into_iter().filter(|outcome| outcome.entity < n_entities).collect();
        for group in outcomes.chunks(700) {
            let fact = Fact::Ended { outcomes: group.to_vec() };
            journal
                .append(id, &[fact, Fact::Elapsed { elapsed_ms: 1 }], &Index::default())
                .unwrap();
        }
        let model = ModelAddress { digest: "ab".repeat(32), pack: 0, offset: 0, length: 1 };
        let refit = Refit { entity: 0, configuration: ranked(0)[0].1, model: Ok(model) };
        let best = (0..n_entities).map(|entity| {
            let (value, configuration) = ranked(entity)[0];
            (entity, value, configuration)
        });
        let (value, completed) = mean(7);
        let summary = Summary {
            status: Status::Running,
            ended_by: Some(EndedBy::Cancel),
            elapsed_ms: 2_500,
            completed: 7,
            fits: 21,
            proposed: CONFIGURATIONS,
            shared_best: Some(Ranked { configuration: 7, value, completed }),
            ..Summary::default()
        };
        let index = Index { summary, best: best.collect(), ..Index::default() };
        journal.append(id, &[Fact::Refitted { models: vec![refit] }], &index).unwrap();
        Self { _dir: dir, journal }
    }

    fn asked(&self, study: Study) -> Asked {
        let record = find(&self.journal, "asked").unwrap();
        let aims = fleetfit_search_spaces::Aims::of(&study);
        Asked { journal: self.journal.clone(), record, study: Arc::new(study), aims }
    }

    fn chosen(&self, selection: Selection) -> Asked {
        self.asked(study(Work::ChosenLearner { parameter: "model".into() }, selection))
    }
}

fn pairs(views: &[BestView]) -> Vec<(f64, u32)> {
    views.iter().map(|view| (view.value, view.trial)).collect()
}

#[test]
fn the_best_of_an_entity_is_what_a_full_sort_finds() {
    let fixture = Fixture::new(true);
    let asked = fixture.chosen(Selection::Raw);
    for entity in [0u32, 1, 255, 256, 417, 599] {
        let text = format!("brand=b{},store={}", entity % 10, entity / 10);
        let ranked = ranked(entity);
        assert_eq!(pairs(&asked.best(Some(&text), 1).unwrap()), ranked[..1]);
        assert_eq!(pairs(&asked.best(Some(&text), 3).unwrap()), ranked[..3]);
        assert_eq!(pairs(&asked.best(Some(&text), 1_000).unwrap()), ranked);
    }
    let first = asked.best(Some("store=0,brand=b0"), 1).unwrap().remove(0);
    assert_eq!(first.model, Some("ab".repeat(32)));
    assert_eq!(first.learner.as_deref(), Some("ridge"));
    assert_eq!(first.configuration, configuration(first.trial));
    let json = serde_json::to_string(&first).unwrap();
    assert!(json.starts_with(r#"{"entity":{"store":0,"brand":"b0"},"value":"#), "{json}");
    assert!(!json.contains("command"), "{json}");
    assert_eq!(serde_json::from_str::<BestView>(&json).unwrap(), first);
    let second = asked.best(Some("store=0,brand=b1"), 1).unwrap().remove(0);
    assert_eq!(second.model, None);
}

#[test]
fn the_shared_ranking_counts_entities_first_then_the_mean() {
    let fixture = Fixture::new(true);
    let asked = fixture.chosen(Selection::Raw);
    let mut expected: Vec<(u32, f64, u32)> = (0..CONFIGURATIONS)
        .map(|number| {
            let (mean, completed) = mean(number);
            (completed, mean, number)
        })
        .collect();
    expected.sort_by(|one, other| {
        other.0.cmp(&one.0).then(other.1.total_cmp(&one.1)).then(one.2.cmp(&other.2))
    });
    let found = asked.best(None, 100).unwrap();
    let numbers: Vec<u32> = expected.iter().map(|(_, _, number)| *number).collect();
    assert_eq!(found.iter().map(|view| view.trial).collect::<Vec<_>>(), numbers);
    for (view, (_, mean, _)) in found.iter().zip(&expected) {
        assert!((view.value - mean).abs() < 1e-9);
        assert_eq!((&view.entity, &view.model), (&None, &None));
    }
    assert_eq!(numbers[0], 7);
    assert_eq!(asked.best(None, 1).unwrap()[0].trial, found[0].trial);
    assert_eq!(pairs(&asked.best(None, 2).unwrap()), pairs(&found[..2]));
    assert!(asked.best(None, 0).unwrap().is_empty());
}

#[test]
fn every_entity_has_its_own_best_or_its_value_of_the_shared_one() {
    let fixture = Fixture::new(true);
    let all: Vec<BestView> =
        fixture.chosen(Selection::Raw).best_from(0).unwrap().map(|best| best.unwrap().1).collect();
    assert_eq!(all.len(), ENTITIES as usize);
    for (view, entity) in all.iter().zip(0..) {
        assert_eq!((view.value, view.trial), ranked(entity)[0]);
    }
    let value = |configuration: u32, entity: u32| {
        ranked(entity).into_iter().find(|(_, number)| *number == configuration)
    };
    let shared: Vec<BestView> = fixture
        .chosen(Selection::Shared)
        .best_from(0)
        .unwrap()
        .map(|best| best.unwrap().1)
        .collect();
    let expected: Vec<(f64, u32)> = (0..ENTITIES).filter_map(|entity| value(7, entity)).collect();
    assert_eq!(pairs(&shared), expected);
    let asked = fixture.chosen(Selection::Shared);
    let one = asked.best(Some("store=30,brand=b5"), 1).unwrap();
    assert_eq!(pairs(&one), [value(7, 305).unwrap()]);
    assert_eq!(one[0].selection, Selection::Shared);
    let order = asked.best(None, 100).unwrap();
    let expected: Vec<(f64, u32)> =
        order.iter().filter_map(|view| value(view.trial, 305)).collect();
    assert_eq!(pairs(&asked.best(Some("store=30,brand=b5"), 100).unwrap()), expected);
}

#[test]
fn without_partitions_the_only_entity_is_not_named() {
    let fixture = Fixture::new(false);
    let command = CommandTrial {
        command: "train ${{search_space.model.alpha}} ${{inputs.data}}".into(),
        code: None,
        code_place: Place::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        environment_variables: Default::default(),
    };
    let asked = fixture.asked(study(Work::Command(command), Selection::Shared));
    let best = asked.best(None, 1).unwrap().remove(0);
    assert_eq!((best.value, best.trial), ranked(0)[0]);
    assert_eq!((&best.entity, &best.learner), (&None, &None));
    let command = format!("train {} ${{{{inputs.data}}}}", best.trial);
    assert_eq!(best.command, Some(command));
    assert_eq!(pairs(&asked.best(None, 99).unwrap()), ranked(0));
    let error = asked.best(Some("17"), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "asked has no partition columns, so there is no entity to ask for"
    );
    assert_eq!(asked.best_from(0).unwrap().count(), 1);
}

#[test]
fn a_status_has_every_field() {
    let fixture = Fixture::new(true);
    let extra = Notice { place: Place::default(), message: "from the command line".into() };
    let work = Work::Learner(Learner::ExtraTrees);
    let status = fixture.asked(study(work, Selection::Raw)).status(&[extra]).unwrap();
    let mut json = serde_json::to_value(&status).unwrap();
    let best = json["best"].take();
    assert_eq!(best["entity"], serde_json::Value::Null);
    assert_eq!((&best["trial"], &best["learner"]), (&7.into(), &"extra_trees".into()));
    json["notices"] = json["notices"].as_array().unwrap().len().into();
    let expected = serde_json::json!({
        "study": "asked", "status": "running", "ended_by": "cancel", "elapsed_s": 2.5,
        "entities": 600, "trials": {"completed": 7, "stopped": 0, "failed": 0}, "fits": 21,
        "metric": {"name": "r2_score", "goal": "maximize"}, "best": null, "notices": 2,
        "max_total_trials": 100, "proposed": 9, "parameters": [], "created": "2023-11-14T22:13:20.000Z",
    });
    assert_eq!(json, expected);
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<StatusView>(&text).unwrap(), status);
}

#[test]
fn rows_are_the_outcomes_in_order() {
    let fixture = Fixture::new(true);
    let check = |filter: TrialFilter, keep: &dyn Fn(&Outcome) -> bool| {
        let rows: Vec<TrialRow> = Rows::all_of(fixture.chosen(Selection::Raw), &filter)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected: Vec<Outcome> = outcomes().into_iter().filter(|o| keep(o)).collect();
        assert_eq!(rows.len(), expected.len(), "{filter:?}");
        for (row, outcome) in rows.iter().zip(&expected) {
            assert_eq!(row.trial, outcome.configuration);
            assert_eq!(row.state, outcome.end.state());
            assert_eq!(row.configuration, configuration(outcome.configuration));
            let store = row.entity.as_ref().unwrap().0[0].1.clone();
            assert_eq!(store, Value::Int(i64::from(outcome.entity / 10)));
        }
        rows
    };
    let all = check(TrialFilter::default(), &|_| true);
    let row = all.iter().find(|row| row.state == TrialState::Stopped).unwrap();
    assert_eq!((row.value, row.reason.as_deref()), (Some(99.0), Some("bandit")));
    let (started, ended) = (row.started.clone().unwrap(), row.ended.clone().unwrap());
    assert!(started.starts_with("2023-11-14T22:13:20."), "{started}");
    assert!(ended.ends_with('Z') && ended.len() == 24, "{ended}");
    assert_eq!(seen(0), None, "nobody saw a trial whose runners died");
    let failed = TrialFilter { state: Some(TrialState::Failed), ..Default::default() };
    check(failed, &|outcome| outcome.end.state() == TrialState::Failed);
    let one = TrialFilter { entity: Some("store=41,brand=b7".into()), state: None };
    check(one, &|outcome| outcome.entity == 417);
    let running = TrialFilter { state: Some(TrialState::Running), ..Default::default() };
    check(running, &|_| false);
}

#[test]
fn pages_joined_are_the_whole_list() {
    let fixture = Fixture::new(true);
    for filter in [
        TrialFilter::default(),
        TrialFilter { entity: Some("store=41,brand=b7".into()), state: None },
        TrialFilter { entity: None, state: Some(TrialState::Stopped) },
    ] {
        let whole: Vec<TrialRow> = Rows::all_of(fixture.chosen(Selection::Raw), &filter)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for limit in [1, 7, 1_000, usize::MAX] {
            let mut joined = Vec::new();
            let mut cursor: Option<String> = None;
            loop {
                let asked = fixture.chosen(Selection::Raw);
                let page = page_of(asked, &filter, cursor.as_deref(), limit).unwrap();
                assert!(page.items.len() <= limit);
                joined.extend(page.items);
                cursor = page.next;
                if cursor.is_none() || (limit == 1 && joined.len() > 50) {
                    break;
                }
            }
            assert_eq!(joined[..], whole[..joined.len()]);
            assert!(limit == 1 || joined.len() == whole.len());
        }
    }
    for cursor in ["", "7", "a-b", "1-2-3"] {
        let asked = fixture.chosen(Selection::Raw);
        let error = page_of(asked, &TrialFilter::default(), Some(cursor), 1).unwrap_err();
        assert!(matches!(error, QueryError::UnknownCursor { .. }), "{cursor}: {error}");
    }
}

#[test]
fn what_is_not_there_is_named_with_what_is_like_it() {
    let fixture = Fixture::new(true);
    let asked = fixture.chosen(Selection::Raw);
    let message = |text: &str| asked.best(Some(text), 1).unwrap_err().to_string();
    assert_eq!(message("17"), "an entity of asked is written store=…,brand=…, not 17");
    assert_eq!(
        message("store=17,brand=c3"),
        "asked has no entity store=17,brand=c3 among its 600 (store=0,brand=b0, \
         store=0,brand=b1, store=0,brand=b2, …); did you mean store=17,brand=b3 or \
         store=1,brand=b3 or store=7,brand=b3?"
    );
    let message = find(&fixture.journal, "aksed").unwrap_err().to_string();
    assert_eq!(message, "there is no study named aksed; did you mean asked?");
    let message = find(&fixture.journal, "zebra").unwrap_err().to_string();
    assert_eq!(message, "there is no study named zebra");
}

/// The way that the command line and the API go: by name, the study read from the stored job.
#[test]
fn a_stored_job_is_read_once_for_every_question() {
    let fixture = Fixture::new(true);
    let journal = &fixture.journal;
    let record = find(journal, "asked").unwrap();
    let (once, again) = (journal.study(&record).unwrap(), journal.study(&record).unwrap());
    assert!(Arc::ptr_eq(&once, &again));
    let status = status(journal, "asked", &[]).unwrap();
    assert_eq!(studies(journal).unwrap(), std::slice::from_ref(&status));
    assert_eq!((status.max_total_trials, status.metric.name.as_str()), (12, "r2_score"));
    assert_eq!(status.metric.goal, Goal::Maximize);
    let best = best(journal, "asked", Some("brand=b7,store=41"), 2).unwrap();
    assert_eq!(pairs(&best), ranked(417)[..2]);
    assert_eq!(best[0].learner.as_deref(), Some("ridge"));
    assert_eq!(best_all(journal, "asked").unwrap().count(), ENTITIES as usize);
    let filter = TrialFilter { entity: None, state: Some(TrialState::Failed) };
    let rows = trials(journal, "asked", &filter).unwrap().count() as u32;
    assert_eq!(rows, ENTITIES.div_ceil(7));
    let page = trials_page(journal, "asked", &filter, None, 10).unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (10, true));
    assert!(matches!(
        trials(journal, "other", &filter).err(),
        Some(QueryError::UnknownStudy { .. })
    ));
}

#[test]
fn the_values_of_the_shared_best_are_read_once() {
    let fixture = Fixture::new(true);
    let values = || fixture.chosen(Selection::Shared).values_of_shared().unwrap().unwrap();
    let ((_, once), (ranked, again)) = (values(), values());
    assert!(Arc::ptr_eq(&once, &again));
    let id = find(&fixture.journal, "asked").unwrap().id;
    let more = Ranked { completed: ranked.completed + 1, ..ranked };
    assert!(fixture.journal.column(id, &more).is_none());
    fixture.journal.delete(id).unwrap();
    assert!(fixture.journal.column(id, &ranked).is_none());
}

#[test]
fn a_warm_start_is_the_best_over_all_and_then_who_wins_most() {
    let fixture = Fixture::new(true);
    let picked = crate::warm::pick(&fixture.journal, "asked").unwrap();
    let shared = fixture.chosen(Selection::Raw).best(None, 8).unwrap();
    let shared: Vec<Configuration> = shared.into_iter().map(|best| best.configuration).collect();
    assert_eq!(picked[..shared.len()], shared);
    assert!(picked.len() <= crate::warm::MAX_WARM);
    let mut wins = vec![0; CONFIGURATIONS as usize];
    (0..ENTITIES).for_each(|entity| wins[ranked(entity)[0].1 as usize] += 1);
    let most = (0..CONFIGURATIONS).max_by_key(|&number| (wins[number as usize], u32::MAX - number));
    assert!(picked.contains(&configuration(most.unwrap())));
    for (index, one) in picked.iter().enumerate() {
        assert!(!picked[..index].contains(one), "twice: {one:?}");
    }
}
