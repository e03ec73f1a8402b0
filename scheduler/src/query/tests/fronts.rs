//! Fronts that grow with the journal, beside those found by force.

use fleetfit_search_spaces::{End, Outcome};

use super::super::front::places;
use super::*;

const CONFIGURATIONS: u32 = 40;

fn job(partitioned: bool, goals: &str) -> String {
    let partitions = if partitioned { "partition_column_names: [store]\n" } else { "" };
    format!(
        "type: sweep\nname: fronts\ntraining_data: {{path: sales.csv}}\ntask: regression\n\
         target_column_name: sales\n{partitions}trial: {{learner: ridge}}\n\
         search_space: {{alpha: [1, 2, 3]}}\n{goals}\nlimits: {{max_total_trials: 99}}\n"
    )
}

const SEVERAL: &str = "objective: [{primary_metric: mae}, {primary_metric: r2}]\n\
                       constraints: [\"smape <= 1.5\"]";

struct Grown {
    _dir: tempfile::TempDir,
    journal: Journal,
    id: crate::journal::StudyId,
    n_entities: u32,
    told: Vec<Outcome>,
}

impl Grown {
    fn new(n_entities: u32, goals: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let is_partitioned = n_entities > 1;
        let key = |entity: u32| EntityKey(vec![("store".into(), Value::Int(i64::from(entity)))]);
        let entities = if is_partitioned { (0..n_entities).map(key).collect() } else { Vec::new() };
        let new = NewStudy {
            name: "fronts".into(),
            job_file: "job.yaml".into(),
            job_text: job(is_partitioned, goals),
            entities,
            ..NewStudy::default()
        };
        let id = journal.create(&new).unwrap();
        let setting = |number: u32| {
            let alpha = Setting::Value(Value::Int(i64::from(number)));
            Configuration(vec![("alpha".into(), alpha)])
        };
        let proposed: Vec<Fact> = (0..CONFIGURATIONS)
            .map(|number| Fact::Proposed { number, configuration: setting(number) })
            .collect();
        journal.append(id, &proposed, &Index::default()).unwrap();
        Self { _dir: dir, journal, id, n_entities, told: Vec::new() }
    }

    /// Tells of some trials in one go.
    fn tell(&mut self, outcomes: &[Outcome]) {
        self.told.extend_from_slice(outcomes);
        let n_completed =
            self.told.iter().filter(|outcome| matches!(outcome.end, End::Completed { .. })).count();
        let summary = Summary { completed: n_completed as u64, ..Summary::default() };
        let index = Index { summary, ..Index::default() };
        let fact = Fact::Ended { outcomes: outcomes.to_vec() };
        self.journal.append(self.id, &[fact], &index).unwrap();
    }

    /// The means of a configuration over the entities for which it counts, and how many those are.
    fn means(&self, configuration: u32) -> Option<(usize, Vec<f64>)> {
        let mut own: Vec<&Outcome> =
            self.told.iter().filter(|outcome| outcome.configuration == configuration).collect();
        own.sort_by_key(|outcome| outcome.entity);
        let values: Vec<Vec<f64>> = own
            .into_iter()
            .filter_map(|outcome| match outcome.end {
                End::Completed { value } if outcome.further.last() <= Some(&1.5) => {
                    Some([&[value], outcome.further.as_slice()].concat())
                }
                _ => None,
            })
            .collect();
        let n = values.len();
        let mean = |at: usize| values.iter().map(|own| own[at]).sum::<f64>() / n as f64;
        (n > 0).then(|| (n, (0..values[0].len()).map(mean).collect()))
    }

    /// The front by force: numbers, the best in the first objective first.
    fn expected(&self) -> Vec<u32> {
        let all: Vec<(u32, usize, Vec<f64>)> = (0..CONFIGURATIONS)
            .filter_map(|number| self.means(number).map(|(n, means)| (number, n, means)))
            .collect();
        let most = all.iter().map(|(_, n, _)| *n).max().unwrap_or(0);
        let all: Vec<_> = all.into_iter().filter(|(_, n, _)| *n == most).collect();
        let losses: Vec<Vec<f64>> =
            all.iter().map(|(_, _, means)| vec![means[0], -means[1]]).collect();
        let mut on = places(&losses);
        on.sort_by(|&one, &other| {
            let by_first = losses[one][0].total_cmp(&losses[other][0]);
            by_first.then(losses[one][1].total_cmp(&losses[other][1])).then(one.cmp(&other))
        });
        on.into_iter().map(|at| all[at].0).collect()
    }
}

fn outcomes(n_entities: u32) -> Vec<Outcome> {
    let n = n_entities * CONFIGURATIONS;
    // No order of numbers or entities: 7,919 is a prime.
    let trials = (0..n).map(|i| i * 7_919 % n).map(|i| (i / n_entities, i % n_entities));
    let outcome = |(configuration, entity): (u32, u32)| {
        let at = |salt: u32| f64::from((configuration * 31 + entity * 17 + salt * 13) % 29) / 8.0;
        let failed = (configuration + entity) % 11 == 5;
        Outcome {
            configuration,
            entity,
            end: match failed {
                true => End::Failed { reason: "no rows".into() },
                false => End::Completed { value: at(1) },
            },
            fits: 3,
            started_ms: 0,
            ended_ms: 0,
            reports: Vec::new(),
            further: if failed { Vec::new() } else { vec![at(5), at(9) / 1.5] },
        }
    };
    trials.map(outcome).collect()
}

#[test]
fn a_front_grows_with_the_journal() {
    for n_entities in [1, 3] {
        let mut grown = Grown::new(n_entities, SEVERAL);
        for group in outcomes(n_entities).chunks(7) {
            grown.tell(group);
            let found = best(&grown.journal, "fronts", None, 4_096).unwrap();
            let numbers: Vec<u32> = found.iter().map(|view| view.trial).collect();
            assert_eq!(numbers, grown.expected(), "{} ended", grown.told.len());
            let view = status(&grown.journal, "fronts", &[]).unwrap();
            assert_eq!(view.front, Some(found.len() as u64));
            assert_eq!(view.best.as_ref(), found.first());
            assert_eq!(view.hypervolume.is_some(), !found.is_empty());
        }
        assert!(grown.expected().len() > 2);
        let one = best(&grown.journal, "fronts", None, 1).unwrap();
        let (_, means) = grown.means(one[0].trial).unwrap();
        let names = ["mean_absolute_error", "r2_score", "symmetric_mean_absolute_percentage_error"];
        let values = one[0].values.clone().unwrap();
        for (name, mean) in names.into_iter().zip(means) {
            assert!((values.get(name).unwrap() - mean).abs() < 1e-12);
        }
        assert_eq!(grown.n_entities, n_entities);
    }
}

#[test]
fn an_entity_has_a_front_of_its_own() {
    let mut grown = Grown::new(3, SEVERAL);
    grown.tell(&outcomes(3));
    for entity in 0..3 {
        let own: Vec<Outcome> =
            grown.told.iter().filter(|outcome| outcome.entity == entity).cloned().collect();
        let of_one = Grown { told: own, ..Grown::new(1, SEVERAL) };
        let key = format!("store={entity}");
        let found = best_or_front(&grown.journal, "fronts", Some(&key), None).unwrap();
        let numbers: Vec<u32> = found.iter().map(|view| view.trial).collect();
        assert_eq!(numbers, of_one.expected());
    }
}

#[test]
fn nobody_wins_who_breaks_a_bound() {
    let goals = "objective: {primary_metric: mae}\nconstraints: [\"smape <= 1.5\"]";
    let mut grown = Grown::new(1, goals);
    let with = |configuration: u32, value: f64, smape: f64| Outcome {
        configuration,
        entity: 0,
        end: End::Completed { value },
        fits: 1,
        started_ms: 0,
        ended_ms: 0,
        reports: Vec::new(),
        further: vec![smape],
    };
    grown.tell(&[with(0, 1.0, 1.75), with(1, 2.0, 9.0)]);
    let view = status(&grown.journal, "fronts", &[]).unwrap();
    assert_eq!((view.best, view.front), (None, None));
    let says = "none of the 2 completed trials keeps symmetric_mean_absolute_percentage_error <= \
                1.5, so there is no winner yet";
    assert!(view.notices.iter().any(|notice| notice.message == says), "{:?}", view.notices);
    assert!(best(&grown.journal, "fronts", None, 5).unwrap().is_empty());
    grown.tell(&[with(2, 7.0, 1.5), with(3, 5.0, 0.5), with(4, 5.0, 0.25)]);
    let found = best(&grown.journal, "fronts", None, 5).unwrap();
    assert_eq!(pairs(&found), [(5.0, 3), (5.0, 4), (7.0, 2)]);
    let view = status(&grown.journal, "fronts", &[]).unwrap();
    assert_eq!(view.best.as_ref(), found.first());
    assert_eq!((view.front, view.objectives.len(), view.constraints.len()), (None, 0, 1));
    let rows: Vec<TrialRow> = trials(&grown.journal, "fronts", &TrialFilter::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let kept: Vec<Option<bool>> = rows.iter().map(|row| row.feasible).collect();
    assert_eq!(kept, [false, false, true, true, true].map(Some));
}
