//! Columns of words.

use super::*;

#[test]
fn words_are_parted_by_what_they_mean() {
    let n_rows = 20_000;
    let mut noise = Noise(11);
    let codes: Vec<u32> = (0..n_rows).map(|_| noise.below(40) as u32).collect();
    let high = |code: u32| code.is_multiple_of(3);
    let targets: Vec<f64> = codes.iter().map(|&code| if high(code) { 5.0 } else { 1.0 }).collect();
    let data = Data { numbers: Vec::new(), words: vec![(codes, 40)], targets, weights: None };
    let limits = Settings { num_leaves: 2, learning_rate: 1.0, ..settings(Loss::Squared) };
    let limits = Settings { n_estimators: 1, ..limits };
    let found = run(&data, &limits, &data.all(), &data.all(), 1);
    for (score, target) in found.scores[0].iter().zip(&data.targets) {
        // Words that were searched for say a little less.
        assert!((score - target).abs() < 0.005, "{score} is not {target}");
    }
}

#[test]
fn rare_words_share_the_last_code() {
    let column = |codes: &[u32], n_levels: usize| {
        let table = Table::new(&[Raw::Words { codes, n_levels }], (codes.len(), None), 255, 1);
        let last = (0..codes.len()).map(|row| table.codes(0).of(row)).max();
        (table.columns[0].n_bins, table.columns[0].missing, last)
    };
    let repeated = |n: u32, times: u32| (0..n * times).map(|row| row % n).collect::<Vec<u32>>();
    // Few words have a code each, whatever their rows; of many those that are not rare.
    assert_eq!(column(&repeated(255, 1), 255), (255, None, Some(254)));
    assert_eq!(column(&repeated(10_000, 3), 10_000), (10_000, None, Some(9_999)));
    let mut codes = repeated(10_000, 3);
    codes.extend([10_000, 10_001, 10_001, u32::MAX]);
    assert_eq!(column(&codes, 10_002), (10_002, Some(10_001), Some(10_001)));
    assert_eq!(column(&repeated(70_000, 3), 70_000), (65_535, None, Some(65_534)));
    // None is frequent enough to be told from the others.
    assert!(
        Table::new(&[Raw::Words { codes: &repeated(300, 1), n_levels: 300 }], (300, None), 255, 1)
            .columns
            .is_empty()
    );
}

#[test]
fn a_thousand_words_are_told_apart() {
    let n_rows = 12_000;
    let mut noise = Noise(16);
    let codes: Vec<u32> = (0..n_rows).map(|_| noise.below(1_000) as u32).collect();
    let own: Vec<f64> = (0..1_000).map(|_| noise.unit() * 10.0).collect();
    let targets: Vec<f64> = codes.iter().map(|&code| own[code as usize] + noise.unit()).collect();
    let data = Data { numbers: Vec::new(), words: vec![(codes, 1_000)], targets, weights: None };
    let (rows, watched) = fold(n_rows);
    let long = Settings { n_estimators: 100, ..settings(Loss::Squared) };
    let one = run(&data, &long, &rows, &watched, 1);
    let said = one.scores.last().unwrap();
    let targets: Vec<f64> = watched.iter().map(|&row| data.targets[row as usize]).collect();
    let before = mean_loss(Loss::Squared, &targets, &one.boosted.initial.repeat(targets.len()));
    let after = mean_loss(Loss::Squared, &targets, said);
    // The noise alone is 1/100 of it.
    assert!(after < 0.03 * before, "{after} after {before}");
    assert_eq!(one.boosted, run(&data, &long, &rows, &watched, 3).boosted);
}

#[test]
fn words_that_say_nothing_are_left_alone() {
    let n_rows = 750;
    let (rows, watched) = fold(n_rows);
    let settings = Settings {
        n_estimators: 100,
        learning_rate: 0.1,
        num_leaves: 31,
        min_child_samples: 20,
        ..settings(Loss::Squared)
    };
    for n_levels in [30, 90, 200] {
        let [mut alone, mut beside] = [0.0; 2];
        for seed in 0..5 {
            let mut noise = Noise(seed);
            let number: Vec<f64> = (0..n_rows).map(|_| noise.unit()).collect();
            let targets = number.iter().map(|x| (6.0 * x).sin() + 2.0 * noise.unit()).collect();
            let codes: Vec<u32> = (0..n_rows).map(|_| noise.below(n_levels) as u32).collect();
            let mut data =
                Data { numbers: vec![number], words: Vec::new(), targets, weights: None };
            let truth: Vec<f64> = watched.iter().map(|&row| data.targets[row as usize]).collect();
            let error = |data: &Data| {
                let found = run(data, &settings, &rows, &watched, 1);
                mean_loss(Loss::Squared, &truth, found.scores.last().unwrap())
            };
            alone += error(&data);
            data.words.push((codes, n_levels));
            beside += error(&data);
        }
        assert!(beside < 1.1 * alone, "{n_levels}: {beside} beside {alone}");
    }
}
