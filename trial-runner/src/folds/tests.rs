use super::*;
use std::sync::Arc;

fn plan(folds: Folds, task: Task) -> FoldPlan {
    FoldPlan { folds, task, horizon: None, cv_step: None, gap: 0 }
}

fn numbers(n_rows: usize) -> Frame {
    Frame {
        columns: Vec::new(),
        target: Target::Number(vec![1.0; n_rows]),
        weights: None,
        timeline: None,
        n_rows,
    }
}

fn classes(codes: Vec<u32>) -> Frame {
    Frame {
        columns: Vec::new(),
        n_rows: codes.len(),
        target: Target::Class {
            codes,
            labels: Arc::new(vec!["no".to_owned(), "yes".to_owned(), "maybe".to_owned()]),
        },
        weights: None,
        timeline: None,
    }
}

fn at_times(time: Vec<f64>) -> Marks {
    Marks { time: Some(time), ..Marks::default() }
}

/// Every row validates exactly once, and trains whenever it does not validate.
fn check_k_fold(folds: &[Fold], n_rows: usize) {
    let mut validated: Vec<u32> = folds.iter().flat_map(|fold| fold.validate.clone()).collect();
    validated.sort_unstable();
    assert_eq!(validated, (0..n_rows as u32).collect::<Vec<_>>());
    for fold in folds {
        assert!(!fold.train.is_empty() && !fold.validate.is_empty());
        let mut all = [fold.train.clone(), fold.validate.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..n_rows as u32).collect::<Vec<_>>());
    }
}

#[test]
fn k_folds_cover_every_row_once_however_few_there_are() {
    for n_rows in [2, 3, 5, 10, 101] {
        for n_folds in [1, 2, 3, 10] {
            let plan = plan(Folds::Count(n_folds), Task::Regression);
            let folds = folds(&plan, &numbers(n_rows), &Marks::default(), 7).unwrap();
            assert_eq!(folds.len(), (n_folds.max(2) as usize).min(n_rows));
            check_k_fold(&folds, n_rows);
            let sizes: Vec<usize> = folds.iter().map(|fold| fold.validate.len()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let plan = plan(Folds::Count(3), Task::Regression);
    let split = |seed| folds(&plan, &numbers(20), &Marks::default(), seed).unwrap();
    assert_eq!(split(1), split(1));
    assert_ne!(split(1), split(2));
    // Stored results depend on these numbers staying what they are.
    assert_eq!(split(1)[0].validate, [0, 3, 4, 12, 13, 14, 17]);
}

#[test]
fn classes_keep_their_share_in_every_fold() {
    let codes: Vec<u32> = (0..100).map(|row| u32::from(row % 5 == 0)).collect();
    let plan_k = plan(Folds::Count(4), Task::Classification);
    let found = folds(&plan_k, &classes(codes.clone()), &Marks::default(), 3).unwrap();
    check_k_fold(&found, 100);
    let n_yes = |rows: &[u32]| rows.iter().filter(|&&row| codes[row as usize] == 1).count();
    for fold in &found {
        assert_eq!((fold.validate.len(), n_yes(&fold.validate)), (25, 5));
    }
    let plan = plan(Folds::HoldOut(0.2), Task::Classification);
    let found = folds(&plan, &classes(codes.clone()), &Marks::default(), 3).unwrap();
    assert_eq!(found[0].validate.len(), 20);
    assert_eq!(n_yes(&found[0].validate), 4);
    assert_eq!(found[0].train.len(), 80);
}

#[test]
fn hold_outs_keep_a_row_on_either_side() {
    for (n_rows, share, n_validate) in [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 3), (1000, 0.1, 100)]
    {
        let plan = plan(Folds::HoldOut(share), Task::Regression);
        let found = folds(&plan, &numbers(n_rows), &Marks::default(), 1).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].validate.len(), n_validate);
        assert_eq!(found[0].train.len(), n_rows - n_validate);
    }
}

#[test]
fn auto_goes_by_the_number_of_rows() {
    for (n_rows, n_folds, n_validate) in
        [(5, 5, 1), (999, 10, 100), (1_000, 3, 334), (20_000, 3, 6_667), (20_001, 1, 2_000)]
    {
        let plan = plan(Folds::Auto, Task::Regression);
        let found = folds(&plan, &numbers(n_rows), &Marks::default(), 1).unwrap();
        assert_eq!((found.len(), found[0].validate.len()), (n_folds, n_validate));
    }
}

#[test]
fn origins_roll_to_the_end() {
    let plan = FoldPlan { horizon: Some(2), ..plan(Folds::Count(3), Task::Forecasting) };
    // Rows stand in no order, and there is a gap after time 5.
    let marks = at_times(vec![9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0]);
    let found = folds(&plan, &numbers(8), &marks, 1).unwrap();
    let expected = [
        (vec![1, 2], vec![3, 4]),
        (vec![1, 2, 3, 4], vec![5, 6]),
        (vec![1, 2, 3, 4, 5, 6], vec![0, 7]),
    ];
    for (fold, (train, validate)) in found.iter().zip(&expected) {
        assert_eq!((&fold.train, &fold.validate), (train, validate));
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn a_gap_lies_between_past_and_future() {
    let plan = |gap| FoldPlan { horizon: Some(2), gap, ..plan(Folds::Count(2), Task::Forecasting) };
    let marks = at_times((0..9).map(f64::from).collect());
    let found = folds(&plan(1), &numbers(9), &marks, 1).unwrap();
    let expected = [(vec![0, 1, 2, 3], vec![5, 6]), (vec![0, 1, 2, 3, 4, 5], vec![7, 8])];
    for (fold, (train, validate)) in found.iter().zip(&expected) {
        assert_eq!((&fold.train, &fold.validate), (train, validate));
    }
    // It shrinks to leave one time to learn from.
    let found = folds(&plan(50), &numbers(9), &marks, 1).unwrap();
    assert_eq!(
        (found.len(), &found[0].train[..], &found[0].validate[..]),
        (1, &[0][..], &[7, 8][..])
    );
}

#[test]
fn series_of_one_entity_share_its_times() {
    let plan =
        FoldPlan { horizon: Some(1), cv_step: Some(1), ..plan(Folds::Count(2), Task::Forecasting) };
    let marks = at_times(vec![1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    let found = folds(&plan, &numbers(6), &marks, 1).unwrap();
    assert_eq!(found[0].train, [0, 3]);
    assert_eq!(found[0].validate, [1, 4]);
    assert_eq!(found[1].train, [0, 3, 1, 4]);
    assert_eq!(found[1].validate, [2, 5]);
}

#[test]
fn short_series_get_as_many_origins_as_they_have_room_for() {
    for (n_times, n_folds, n_validate) in [(2, 1, 1), (4, 1, 3), (8, 1, 4), (12, 2, 4), (40, 5, 4)]
    {
        let plan = FoldPlan { horizon: Some(4), ..plan(Folds::Count(5), Task::Forecasting) };
        let marks = at_times((0..n_times).map(f64::from).collect());
        let found = folds(&plan, &numbers(n_times as usize), &marks, 1).unwrap();
        assert_eq!(found.len(), n_folds, "{n_times} times");
        for fold in &found {
            assert_eq!(fold.validate.len(), n_validate, "{n_times} times");
            assert!(!fold.train.is_empty());
        }
    }
}

#[test]
fn the_last_times_are_held_out() {
    let plan = plan(Folds::HoldOut(0.25), Task::Forecasting);
    let marks = at_times(vec![4.0, 3.0, 2.0, 1.0]);
    let found = folds(&plan, &numbers(4), &marks, 1).unwrap();
    assert_eq!(found[0].train, [3, 2, 1]);
    assert_eq!(found[0].validate, [0]);
}

#[test]
fn columns_say_which_rows_validate() {
    let marks = Marks {
        columns: vec![
            vec![1.0, 0.0, 0.0, f64::NAN],
            vec![0.0, 0.0, 0.0, 0.0],
            vec![0.0, 1.0, 1.0, 0.0],
        ],
        ..Marks::default()
    };
    let plan = plan(Folds::Columns(Vec::new()), Task::Regression);
    let found = folds(&plan, &numbers(4), &marks, 1).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0].train[..], &found[0].validate[..]), (&[1, 2][..], &[0][..]));
    assert_eq!((&found[1].train[..], &found[1].validate[..]), (&[0, 3][..], &[1, 2][..]));
}

#[test]
fn a_validation_table_is_the_only_fold() {
    let plan = plan(Folds::Given, Task::Regression);
    let split = |n_training, n_rows| {
        let marks = Marks { n_training: Some(n_training), ..Marks::default() };
        folds(&plan, &numbers(n_rows), &marks, 1)
    };
    let found = split(3, 5).unwrap();
    assert_eq!((&found[0].train[..], &found[0].validate[..]), (&[0, 1, 2][..], &[3, 4][..]));
    assert_eq!(split(5, 5), Err(FoldError::NoValidationRows));
    assert_eq!(split(0, 5), Err(FoldError::NoTrainingRows));
    assert_eq!(split(1, 1), Err(FoldError::NoValidationRows));
}

#[test]
fn what_cannot_be_split_says_why() {
    let regression = plan(Folds::Count(3), Task::Regression);
    let forecasting = plan(Folds::Auto, Task::Forecasting);
    let nothing = Marks::default();
    let split = |plan, n_rows, marks| folds(plan, &numbers(n_rows), marks, 1);
    assert_eq!(split(&regression, 0, &nothing), Err(FoldError::NoRows));
    assert_eq!(split(&regression, 1, &nothing), Err(FoldError::OneRow));
    assert_eq!(split(&forecasting, 3, &nothing), Err(FoldError::NoTime));
    let same = at_times(vec![1.0; 3]);
    assert_eq!(split(&forecasting, 3, &same), Err(FoldError::OneTime));
    let columns = plan(Folds::Columns(Vec::new()), Task::Regression);
    assert_eq!(split(&columns, 3, &nothing), Err(FoldError::NoUsableColumn));
}

#[test]
fn what_there_is_to_give_out_is_what_the_folds_have() {
    let wanted = [
        Folds::Count(1),
        Folds::Count(3),
        Folds::Count(10),
        Folds::HoldOut(0.2),
        Folds::HoldOut(0.999),
        Folds::Auto,
    ];
    for n_rows in [2, 5, 11, 999, 1_000, 20_001] {
        for asked in &wanted {
            let plan = plan(asked.clone(), Task::Regression);
            let folds = folds(&plan, &numbers(n_rows), &Marks::default(), 7).unwrap();
            let n_learnt = folds.iter().map(|fold| fold.train.len()).max().unwrap();
            let Extent { folds: n_folds, rows } = plan.extent(n_rows);
            assert_eq!((n_folds as usize, rows as usize), (folds.len(), n_learnt), "{asked:?}");
        }
    }
    assert_eq!(plan(Folds::Auto, Task::Regression).extent(0).rows, 0);
    assert_eq!(plan(Folds::Auto, Task::Forecasting).extent(40), Extent { folds: 3, rows: 40 });
}
