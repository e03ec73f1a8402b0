//! Rungs of built-in learners: where they lie, and what is wrong with some.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{Amount, Extent, Job, Ladder, Resource, Study};

const JOB: &str = "\
type: sweep
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: gradient_boosting}
search_space:
  learning_rate: {type: float, min: 0.01, max: 0.3, scale: log}
n_cross_validations: 5
objective: {goal: minimize, primary_metric: rmse}
limits: {max_total_trials: 100}
";

fn with(early: &str, changes: &[(&str, &str)]) -> String {
    let job = changes.iter().fold(JOB.to_owned(), |job, (from, to)| {
        assert!(job.contains(from), "{from}");
        job.replace(from, to)
    });
    format!("{job}early_termination: {early}\n")
}

fn study(text: &str) -> Study {
    let study = Job::read("job.yaml", text).and_then(|job| job.study());
    study.unwrap_or_else(|problems| panic!("{problems}"))
}

fn ladder(early: &str, changes: &[(&str, &str)]) -> Ladder {
    let study = study(&with(early, changes));
    assert!(study.cannot_run.is_empty());
    study.early_termination.unwrap().ladder.unwrap()
}

fn counts(early: &str, changes: &[(&str, &str)]) -> (Resource, Vec<u32>) {
    let ladder = ladder(early, changes);
    let counts = ladder.rungs.iter().map(|amount| match amount {
        Amount::Count(count) => *count,
        Amount::Share(share) => panic!("a share, {share}"),
    });
    (ladder.resource, counts.collect())
}

fn problem(early: &str, changes: &[(&str, &str)]) -> String {
    let text = with(early, changes);
    match Job::read("job.yaml", &text).and_then(|job| job.study()) {
        Ok(study) => panic!("no problem: {:?}", study.early_termination),
        Err(problems) => problems.to_string(),
    }
}

const RIDGE: (&str, &str) =
    ("gradient_boosting}\nsearch_space:\n  learning_rate", "ridge}\nsearch_space:\n  alpha");

#[test]
fn what_is_cut_follows_from_the_learners_and_the_data() {
    use Resource::{Estimators, Folds};
    assert_eq!(counts("{type: asha, resource: estimators}", &[]), (Estimators, vec![13, 52]));
    assert_eq!(counts("{type: hyperband, resource: estimators}", &[]), (Estimators, vec![17, 51]));
    let searched = [(
        "  learning_rate: {type: float, min: 0.01, max: 0.3, scale: log}",
        "  num_trees: [50, 900]",
    )];
    assert_eq!(
        counts("{type: hyperband, resource: estimators}", &searched),
        (Estimators, vec![150, 450])
    );
    assert_eq!(counts("{type: asha}", &[]), (Folds, vec![1, 2, 3, 4]));
    assert_eq!(counts("{type: asha}", &[RIDGE]), (Folds, vec![1, 2, 3, 4]));
    let two = [("n_cross_validations: 5", "n_cross_validations: 2")];
    assert_eq!(counts("{type: asha}", &two), (Estimators, vec![13, 52]));
    assert!(problem("{type: fold_racing}", &two).contains("looks after 2 folds, of 2"));
    let once = [RIDGE, ("n_cross_validations: 5", "validation_data_size: 0.2")];
    let shares = ladder("{type: asha, reduction_factor: 2}", &once);
    assert_eq!(shares.resource, Resource::Rows);
    assert_eq!(shares.describe(&shares.rungs), "41.667 % of the rows");
    let shares = ladder("{type: hyperband, reduction_factor: 2}", &once);
    assert_eq!(shares.rungs, [Amount::Share(0.25), Amount::Share(0.5)]);
    let chosen = [(
        "gradient_boosting}\nsearch_space:\n  learning_rate: {type: float, min: 0.01, max: 0.3, \
         scale: log}",
        "\"${{search_space.m}}\"}\nsearch_space:\n  m: [random_forest, {learner: \
         gradient_boosting, n_estimators: [10, 800]}]",
    )];
    assert_eq!(counts("{type: asha, resource: estimators}", &chosen), (Estimators, vec![100, 400]));
    let mixed = [chosen[0], ("random_forest, {", "ridge, {")];
    assert_eq!(counts("{type: asha}", &mixed), (Folds, vec![1, 2, 3, 4]));
}

#[test]
fn what_the_job_names_holds() {
    use Resource::{Estimators, Folds, Rows};
    let asha = "{type: asha, resource: rows, min_resource: 100, max_resource: 2000}";
    assert_eq!(counts(asha, &[]), (Rows, vec![100, 500]));
    let asha = "{type: asha, grace_period: 3}";
    assert!(problem(asha, &[]).contains("did you mean min_resource?"));
    let asha = "{type: asha, resource: estimators, min_resource: 10, max_resource: 40, \
                reduction_factor: 2}";
    assert_eq!(counts(asha, &[]), (Estimators, vec![10, 20]));
    let late = "{type: asha, min_resource: 2, max_resource: 4}";
    assert_eq!(counts(late, &[]), (Folds, vec![2, 3]));
    // The whole of the rows is not known; where the job names it, rungs are counted from it.
    assert_eq!(counts("{type: asha, resource: rows, max_resource: 160}", &[]), (Rows, vec![7, 35]));
    let more = "{type: asha, resource: estimators, max_resource: 500}";
    assert_eq!(counts(more, &[]), (Estimators, vec![13, 52]));
    let folds = "{type: hyperband, resource: folds, reduction_factor: 2}";
    assert_eq!(counts(folds, &[]), (Folds, vec![1, 2, 4]));
    let auto = [("n_cross_validations: 5\n", "")];
    assert_eq!(counts(folds, &auto), (Folds, vec![1, 2, 4, 8]));
}

#[test]
fn races_and_azures_policies_look_after_folds() {
    use Resource::Folds;
    let racing = study(&with("{type: fold_racing, confidence: 0.9}", &[]));
    let racing = racing.early_termination.unwrap();
    assert_eq!(racing.policy, Policy::FoldRacing { confidence: 0.9 });
    assert_eq!(counts("{type: fold_racing}", &[]), (Folds, vec![2, 4]));
    assert_eq!(counts("{type: fold_racing, min_folds: 3}", &[]), (Folds, vec![3]));
    let bandit = "{type: bandit, slack_factor: 0.1";
    assert_eq!(counts(&format!("{bandit}}}"), &[]), (Folds, vec![1, 2, 3, 4]));
    let late = format!("{bandit}, evaluation_interval: 2, delay_evaluation: 3}}");
    assert_eq!(counts(&late, &[]), (Folds, vec![4]));
    let says = problem(&format!("{bandit}, delay_evaluation: 5}}"), &[]);
    assert!(says.contains("stops nobody"), "{says}");
    assert!(says.contains("write delay_evaluation: 4 or less"), "{says}");
    let says = problem(&format!("{bandit}, evaluation_interval: 2, delay_evaluation: 5}}"), &[]);
    assert!(says.contains("write delay_evaluation: 4 or less"), "{says}");
    let says = problem(&format!("{bandit}, evaluation_interval: 7}}"), &[]);
    assert!(says.contains("write evaluation_interval: 1"), "{says}");
}

#[test]
fn rungs_end_where_the_data_does() {
    let within = |early: &str, changes: &[(&str, &str)], folds, rows| {
        let study = study(&with(early, changes)).within(Some(Extent { folds, rows }));
        let ladder = study.early_termination.unwrap().ladder;
        ladder.map(|ladder| ladder.describe(&ladder.rungs))
    };
    let rows = "{type: hyperband, resource: rows, min_resource: 500}";
    assert_eq!(within(rows, &[], 5, 4_800).unwrap(), "500, 1500, 4500 rows");
    assert_eq!(within(rows, &[], 5, 4_500).unwrap(), "500, 1500 rows");
    assert_eq!(within(rows, &[], 5, 500), None);
    let auto = [("n_cross_validations: 5\n", "")];
    let folds = "{type: hyperband, resource: folds}";
    assert_eq!(within(folds, &auto, 10, 900).unwrap(), "1, 3, 9 folds");
    assert_eq!(within(folds, &auto, 3, 9_000).unwrap(), "1 fold");
    assert_eq!(within(folds, &auto, 1, 90_000), None);
    let trees = "{type: asha, resource: estimators}";
    assert_eq!(within(trees, &[], 1, 9).unwrap(), "13, 52 estimators");
    let shares = "{type: asha, resource: rows}";
    assert_eq!(within(shares, &[], 5, 100).unwrap(), "16.667 % of the rows");
}

#[test]
fn check_says_where_the_rungs_are() {
    let said = |early| {
        let notices = study(&with(early, &[])).notices;
        notices.iter().map(|notice| notice.to_string()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        said("{type: asha, resource: estimators}"),
        "job.yaml:12:20: early_termination looks at trials after 13, 52 estimators of 100"
    );
    assert!(
        said("{type: asha, resource: estimators, max_resource: 500}").contains(
            "job.yaml:12:69: early_termination.max_resource is 500, but there are 100 estimators"
        ),
        "{}",
        said("{type: asha, resource: estimators, max_resource: 500}")
    );
    let rows = said("{type: asha, resource: rows, min_resource: 200}");
    assert!(
        rows.ends_with("looks at trials on 200, 1000 rows and so on, as far as a fold has more"),
        "{rows}"
    );
    let one = "{type: fold_racing, min_folds: 3}";
    assert!(said(one).ends_with("after 3 folds of 5"), "{}", said(one));
}

#[test]
fn what_cannot_be_is_a_problem_with_a_way_out() {
    let check = |early: &str, changes: &[(&str, &str)], says: &str, hint: &str| {
        let problem = problem(early, changes);
        assert!(problem.contains(says) && problem.contains(hint), "{problem}\n{says}\n{hint}");
    };
    check(
        "{type: asha, resource: estimators, min_resource: 200}",
        &[],
        "early_termination.min_resource is 200, but must be below 100 estimators",
        "write min_resource: 50",
    );
    check(
        "{type: asha, resource: estimators, min_resource: 20, max_resource: 20}",
        &[],
        "must be below max_resource, 20 estimators",
        "write min_resource: 10",
    );
    for (max, says) in [(0, "at least 1"), (1, "must be above 1")] {
        let early = format!("{{type: asha, resource: estimators, max_resource: {max}}}");
        check(
            &early,
            &[],
            &format!("job.yaml:12:69: early_termination.max_resource is {max}"),
            says,
        );
    }
    check(
        "{type: hyperband, min_resource: 3, max_resource: 2}",
        &[],
        "early_termination.min_resource is 3, but must be below max_resource, 2 folds",
        "write min_resource: 1",
    );
    let ridge = &[RIDGE][..];
    check(
        "{type: asha, resource: epochs}",
        ridge,
        "resource is \"epochs\", which built-in learners do not have",
        "write resource: folds, rows or estimators",
    );
    check(
        "{type: asha, resource: estimators}",
        ridge,
        "resource is estimators, which ridge does not have",
        "write resource: folds or resource: rows",
    );
    check("{type: asha, reduction_factor: 1}", &[], "reduction_factor", "at least 2");
    let once = &[("n_cross_validations: 5", "validation_data_size: 0.2")][..];
    let folds = "{type: hyperband, resource: folds}";
    check(folds, once, "needs several folds", "write resource: estimators or resource: rows");
    for early in ["{type: fold_racing}", "{type: median_stopping}"] {
        check(early, once, "needs several folds", "write type: asha");
    }
    check("{type: fold_racing, confidence: 1}", &[], "confidence is 1", "confidence: 0.95");
    check("{type: fold_racing, min_folds: 5}", &[], "below 5 folds", "write min_folds: 2");
    check("{type: fold_racing, min_folds: 1}", &[], "min_folds", "at least 2");
    let folds = |n: &'static str| [("n_cross_validations: 5", n)];
    let racing = "{type: fold_racing, min_folds: 3}";
    check(racing, &folds("n_cross_validations: 3"), "below 3 folds", "write min_folds: 2");
    let two = folds("n_cross_validations: 2");
    let racing = "{type: fold_racing, min_folds: 2}";
    check(racing, &two, "after 2 folds, of 2", "write n_cross_validations: 5");
    check("{type: asha, evaluation: 2}", &[], "known: type, ", "remove");
    check("{type: narrowing, max_resource: 9}", &[], "have to report", "type: asha");
    check("{type: asha, evaluation_interval: 2}", &[], "whose rungs say when", "remove");
    check("{type: asha, resource: trees}", &[], "resource", "estimators");
    let forecasting = &[(
        "task: regression",
        "task: forecasting\nforecasting: {time_column_name: week, forecast_horizon: 4}",
    )][..];
    check("{type: asha, resource: rows}", forecasting, "a series without", "resource: estimators");
}

#[test]
fn trials_that_report_have_steps() {
    let command = |early: &str| {
        format!(
            "type: sweep\ntrial: {{command: \"run ${{{{search_space.x}}}}\"}}\n\
             search_space: {{x: [1, 2]}}\nobjective: {{goal: minimize, primary_metric: loss}}\n\
             limits: {{max_total_trials: 2}}\nearly_termination: {early}\n"
        )
    };
    for early in ["{type: asha, resource: steps}", "{type: hyperband, resource: epochs}"] {
        assert_eq!(study(&command(early)).early_termination.unwrap().ladder, None);
    }
    let problem = |early: &str| {
        let read = Job::read("job.yaml", &command(early)).and_then(|job| job.study());
        read.map(|_| String::new()).unwrap_or_else(|problems| problems.to_string())
    };
    let folds = problem("{type: asha, resource: folds}");
    assert!(folds.contains("only built-in learners have"), "{folds}");
    let racing = problem("{type: fold_racing}");
    assert!(racing.contains("only built-in learners can do"), "{racing}");
    assert!(problem("{type: asha, max_resource: 9}").contains("is not known"));
    let same = problem("{type: hyperband, min_resource: 9, max_resource: 9}");
    assert!(same.contains("max_resource is 9, but must be at least 10"), "{same}");
    assert!(problem("{type: hyperband, min_resource: 81}").contains("max_resource"));
    assert!(problem("{type: narrowing}").contains("max_resource: 40"));
    let after = problem("{type: narrowing, max_resource: 4}");
    assert!(after.contains("max_resource is 4, but must be at least 5"), "{after}");
    let every = problem("{type: narrowing, max_resource: 9, evaluation_interval: 2}");
    assert!(every.contains("looks after every report"), "{every}");
}
