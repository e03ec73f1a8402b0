//! A small journal with everything in it that a journal holds, written by whichever version runs
//! this. The folders `format-1` and `format-2` hold what earlier formats made of it.

use std::path::Path;

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::journal::{Index, Journal, NewStudy, Status, StudyId, Summary};
use fleetfit_scheduler::state::StudyState;
use fleetfit_search_spaces::wire::{ModelAddress, Refit};
use fleetfit_search_spaces::{Configuration, End, Outcome, Report, Setting, Value};

use super::{completed, study};

/// A command study of one entity whose trials end one by one; it is left in the middle.
pub(crate) const SINGLE: &str = "single";
/// A study of so many entities that its blocks are indexed, with models, at its end.
pub(crate) const PANEL: &str = "panel";
/// How many configurations each has.
pub(crate) const SINGLE_CONFIGURATIONS: u32 = 90;
pub(crate) const PANEL_CONFIGURATIONS: u32 = 4;
pub(crate) const PANEL_ENTITIES: u32 = 300;

/// A job whose trials are commands.
pub(crate) const COMMAND_JOB: &str = "
type: sweep
trial: {command: 'train ${{search_space.rate}} ${{search_space.prompt}}'}
search_space:
  rate: {type: uniform, min_value: 0, max_value: 1}
  prompt: [short, long]
sampling_algorithm: random
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 1000, max_concurrent_trials: 4, timeout: 600}
";

const PANEL_JOB: &str = "
type: sweep
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: ridge}
search_space:
  alpha: {type: uniform, min_value: 0, max_value: 10}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: rmse}
limits: {max_total_trials: 4, max_concurrent_trials: 4, timeout: 600}
";

/// Writes the journal.
pub(crate) fn write(dir: &Path) {
    let journal = Journal::open(dir).unwrap();
    let gone = journal.create(&study("gone", 3)).unwrap();
    let single = NewStudy { job_text: COMMAND_JOB.into(), ..study(SINGLE, 0) };
    let mut writer = Writer::new(&journal, &single);
    for number in 0..SINGLE_CONFIGURATIONS {
        writer.append(&single_group(number));
    }
    let panel = NewStudy { job_text: PANEL_JOB.into(), ..study(PANEL, PANEL_ENTITIES) };
    let mut writer = Writer::new(&journal, &panel);
    for number in 0..PANEL_CONFIGURATIONS {
        writer.append(&panel_group(number));
    }
    writer.append(&panel_end());
    journal.delete(gone).unwrap();
}

/// What one trial after another leaves: now a report, now a failure, once a very long text.
pub(crate) fn single_group(number: u32) -> Vec<Fact> {
    let prompt = if number == 7 { "é".repeat(60_000) } else { "short".to_owned() };
    let configuration = Configuration(vec![
        ("rate".into(), Setting::Value(Value::Float(f64::from(number) / 1e3))),
        ("prompt".into(), Setting::Value(Value::Text(prompt))),
    ]);
    let mut outcome = completed(number, 0, f64::from((number * 37 + 11) % 101));
    match number % 10 {
        3 => outcome.end = End::Failed { reason: format!("exit code {number}") },
        6 => outcome.end = End::Stopped { value: Some(0.5), reason: "bandit".into() },
        8 => outcome.reports = (1..5).map(|step| Report { step, value: 0.25 }).collect(),
        _ => {}
    }
    let elapsed_ms = u64::from(number) * 1_000;
    let ended = Fact::Ended { outcomes: vec![outcome] };
    vec![Fact::Proposed { number, configuration }, ended, Fact::Elapsed { elapsed_ms }]
}

fn panel_group(number: u32) -> Vec<Fact> {
    let alpha = Setting::Value(Value::Float(f64::from(number)));
    let configuration = Configuration(vec![("alpha".into(), alpha)]);
    let outcomes = (0..PANEL_ENTITIES).map(|entity| match (entity + number) % 50 {
        0 => Outcome {
            end: End::Failed { reason: "one row".into() },
            ..completed(number, entity, 0.0)
        },
        _ => completed(number, entity, f64::from((entity * 31 + number * 17) % 23)),
    });
    vec![Fact::Proposed { number, configuration }, Fact::Ended { outcomes: outcomes.collect() }]
}

fn panel_end() -> Vec<Fact> {
    let models = (0..PANEL_ENTITIES).map(|entity| {
        let model = match entity % 50 {
            9 => Err("too few rows".to_owned()),
            _ => Ok(ModelAddress {
                digest: format!("{entity:064x}"),
                pack: 0,
                offset: u64::from(entity) * 100,
                length: 100,
            }),
        };
        Refit { entity, configuration: best_of_panel(entity), model }
    });
    let by = fleetfit_scheduler::EndedBy::Trials;
    vec![Fact::SearchEnded { by }, Fact::Refitted { models: models.collect() }, Fact::Closed]
}

fn best_of_panel(entity: u32) -> u32 {
    let value = |number: u32| (entity * 31 + number * 17) % 23;
    let tried = (0..PANEL_CONFIGURATIONS).filter(|number| !(entity + number).is_multiple_of(50));
    tried.min_by_key(|number| (value(*number), *number)).unwrap()
}

/// Keeps the index as the engine does.
pub(crate) struct Writer<'a> {
    journal: &'a Journal,
    id: StudyId,
    state: StudyState,
}

impl<'a> Writer<'a> {
    fn new(journal: &'a Journal, study: &NewStudy) -> Self {
        journal.create(study).unwrap();
        Self::resumed(journal, &study.name)
    }

    /// Goes on with a study that is there.
    pub(crate) fn resumed(journal: &'a Journal, name: &str) -> Self {
        let record = journal.find(name).unwrap().unwrap();
        let head = &record.head;
        let mut state = StudyState::new(record.study().unwrap(), head.seed, head.entities);
        for fact in journal.facts(record.id) {
            state.apply(&fact.unwrap());
        }
        state.touched();
        Self { journal, id: record.id, state }
    }

    pub(crate) fn append(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.state.apply(fact);
        }
        let state = &mut self.state;
        let touched = state.touched().into_iter();
        let best = touched.map(|entity| {
            let (value, configuration) = state.best(entity).unwrap();
            (entity, value, configuration)
        });
        let best = best.collect();
        let counts = state.counts();
        let summary = Summary {
            status: match facts.last() {
                Some(Fact::Closed) => Status::Completed,
                _ => Status::Interrupted,
            },
            ended_by: state.ended_by(),
            elapsed_ms: state.elapsed_ms(),
            completed: counts.completed,
            stopped: counts.stopped,
            failed: counts.failed,
            fits: counts.fits,
            proposed: counts.proposed,
            shared_best: state.shared_best(),
            unfitted: state.unfitted(),
        };
        self.journal.append(self.id, facts, &Index { summary, best, ..Index::default() }).unwrap();
    }
}
