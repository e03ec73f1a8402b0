//! Networks against slopes found by small changes, and against what they must learn.

use std::ops::ControlFlow;

use super::*;
use crate::frame::{FeatureColumn, FeatureValues, Frame, Target};
use crate::model::Predictions;
use crate::model::encoder::Design;
use crate::model::network::Layer;
use crate::stop::Stop;
use crate::trainer::Spare;
use crate::trainer::searched::configuration;

/// Two columns of which the target is the product, as numbers or as the sign of it.
fn frame(n_rows: usize, is_class: bool) -> Frame {
    let place = |row: usize, step: f64| (row as f64 * step).fract() * 4.0 - 2.0;
    let a: Vec<f64> = (0..n_rows).map(|row| place(row, 0.618_034)).collect();
    let b: Vec<f64> = (0..n_rows).map(|row| place(row, 0.754_877)).collect();
    let products = a.iter().zip(&b).map(|(a, b)| a * b);
    let target = if is_class {
        let labels = ["minus", "plus"].map(str::to_owned).to_vec();
        let codes = products.map(|product| u32::from(product > 0.0)).collect();
        Target::Class { codes, labels: std::sync::Arc::new(labels) }
    } else {
        Target::Number(products.map(|product| 1e3 + 50.0 * product).collect())
    };
    let column = |name: &str, values| FeatureColumn {
        name: name.into(),
        values: FeatureValues::Number(values),
    };
    Frame {
        columns: vec![column("a", a), column("b", b)],
        target,
        weights: None,
        timeline: None,
        n_rows,
    }
}

fn fit(frame: &Frame, rows: &[u32], json: &str) -> Result<Model, FitError> {
    Mlp.fit(&Fit {
        frame,
        rows,
        parameters: &configuration(json),
        seed: 5,
        stop: &Stop::default(),
        spare: &Spare::default(),
    })
}

#[test]
fn what_no_line_can_tell_is_learnt() {
    let rows: Vec<u32> = (0..400).collect();
    let ahead: Vec<u32> = (400..500).collect();
    for activation in ["relu", "tanh"] {
        for n_layers in [1, 3] {
            let json = format!(
                r#"{{"activation": "{activation}", "n_layers": {n_layers}, "hidden_units": 24,
                "learning_rate": 0.01, "batch_size": 50, "max_iter": 120}}"#
            );
            let numbers = frame(500, false);
            let model = fit(&numbers, &rows, &json).unwrap();
            let Predictions::Numbers(found) = model.predict(&numbers, &ahead).unwrap() else {
                panic!("numbers");
            };
            let Target::Number(y) = &numbers.target else { panic!("numbers") };
            let error = found.iter().zip(&y[400..]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            let deviation = (error / 100.0).sqrt();
            assert!(deviation < 10.0, "{activation} {n_layers}: {deviation} of 67");
            let classes = frame(500, true);
            let model = fit(&classes, &rows, &json).unwrap();
            let Predictions::Classes { probabilities, .. } =
                model.predict(&classes, &ahead).unwrap()
            else {
                panic!("classes");
            };
            let Target::Class { codes, .. } = &classes.target else { panic!("classes") };
            let is_right = |(shares, code): (&[f64], &u32)| (shares[1] > 0.5) == (*code == 1);
            let n_right = probabilities.chunks(2).zip(&codes[400..]).filter(|own| is_right(*own));
            assert!(n_right.count() >= 92, "{activation} {n_layers}");
        }
    }
}

#[test]
fn early_stopping_keeps_the_best_weights() {
    // Nothing can be learnt: what is held back gets worse soon.
    let mut noise = frame(60, false);
    if let Target::Number(y) = &mut noise.target {
        let drawn = |row: usize| (fleetfit_search_spaces::seed::mix(&[row as u64]) >> 40) as f64;
        y.iter_mut().enumerate().for_each(|(row, y)| *y = drawn(row));
    }
    let rows: Vec<u32> = (0..60).collect();
    let common = r#""learning_rate": 0.05, "hidden_units": 32, "batch_size": 10"#;
    let squares = |json: &str| {
        let model = fit(&noise, &rows, json).unwrap();
        let Predictions::Numbers(found) = model.predict(&noise, &rows).unwrap() else {
            panic!("numbers");
        };
        let mean = found.iter().sum::<f64>() / 60.0;
        found.iter().map(|own| (own - mean).powi(2)).sum::<f64>()
    };
    let learnt = squares(&format!("{{{common}, \"max_iter\": 300}}"));
    let stopped =
        squares(&format!("{{{common}, \"max_iter\": 300, \"early_stopping_rounds\": 3}}"));
    assert!(stopped < 0.5 * learnt, "{stopped} {learnt}");
    // Too few rows to hold any back: as if nobody had asked.
    let few: Vec<u32> = (0..9).collect();
    let with = fit(&noise, &few, r#"{"early_stopping_rounds": 1, "max_iter": 5}"#);
    assert_eq!(with, fit(&noise, &few, r#"{"max_iter": 5}"#));
}

#[test]
fn rows_of_weight_0_are_as_if_they_were_not_there() {
    for is_class in [false, true] {
        let mut wild = frame(80, is_class);
        for column in &mut wild.columns {
            if let FeatureValues::Number(values) = &mut column.values {
                values[60..].fill(1e35);
            }
        }
        if let Target::Number(y) = &mut wild.target {
            y[60..].fill(-1e90);
        }
        wild.weights = Some((0..80).map(|row| f64::from(u8::from(row < 60))).collect());
        let json = r#"{"max_iter": 4, "early_stopping_rounds": 2, "batch_size": 16}"#;
        let [all, weighing] = [80, 60].map(|n| fit(&wild, &(0..n).collect::<Vec<u32>>(), json));
        assert_eq!(all, weighing);
        assert!(all.is_ok());
    }
}

#[test]
fn tiny_and_huge_numbers_are_learnt_like_others() {
    let rows: Vec<u32> = (0..60).collect();
    let told = |factor: f64, shift: f64| {
        let mut own = frame(60, false);
        if let Target::Number(y) = &mut own.target {
            y.iter_mut().for_each(|y| *y = (*y - shift) * factor);
        }
        let model = fit(&own, &rows, r#"{"max_iter": 20}"#).unwrap();
        let Predictions::Numbers(found) = model.predict(&own, &rows).unwrap() else {
            panic!("numbers");
        };
        found.into_iter().map(|own| own / factor).collect::<Vec<f64>>()
    };
    let plain = told(1.0, 1e3);
    assert!(plain.iter().any(|own| (own - plain[0]).abs() > 1.0));
    for exponent in [-900, -600, 300] {
        assert_eq!(told(2.0_f64.powi(exponent), 1e3), plain, "{exponent}");
    }
}

#[test]
fn a_feature_beyond_single_precision_is_a_large_one() {
    let learnt = frame(60, false);
    let model = fit(&learnt, &(0..60).collect::<Vec<u32>>(), r#"{"max_iter": 20}"#).unwrap();
    let mut ahead = frame(2, false);
    if let FeatureValues::Number(values) = &mut ahead.columns[0].values {
        values.copy_from_slice(&[1e31, 1e60]);
    }
    let Predictions::Numbers(found) = model.predict(&ahead, &[0, 1]).unwrap() else {
        panic!("numbers");
    };
    // Far from the mean, which is what a number beyond all bounds would be.
    assert!(found.iter().all(|own| own.abs() > 1e9), "{found:?}");
}

/// The loss that steps go down, in double precision.
fn loss(layers: &[Layer], ground: &Ground, alpha: f64) -> f64 {
    let n = ground.n_rows;
    let mut penalty = 0.0;
    let mut total = 0.0;
    for row in 0..n {
        let mut values: Vec<f64> =
            (0..ground.n_features).map(|f| f64::from(ground.values[f * n + row])).collect();
        for (index, layer) in layers.iter().enumerate() {
            let units = layer.n_units as usize;
            let sum = |unit: usize| {
                let pairs = values.iter().enumerate();
                let sum = pairs.map(|(i, v)| v * f64::from(layer.weights[i * units + unit]));
                sum.sum::<f64>() + f64::from(layer.biases[unit])
            };
            let sums: Vec<f64> = (0..units).map(sum).collect();
            let is_last = index + 1 == layers.len();
            values = sums.into_iter().map(|sum| if is_last { sum } else { sum.tanh() }).collect();
        }
        let weight = ground.weights.as_ref().map_or(1.0, |own| f64::from(own[row]));
        total += weight
            * match &ground.targets {
                Targets::Numbers(y) => (values[0] - f64::from(y[row])).powi(2) / 2.0,
                Targets::Classes { codes, n_classes: 2 } => {
                    (1.0 + values[0].exp()).ln() - f64::from(codes[row]) * values[0]
                }
                Targets::Classes { codes, .. } => {
                    let all: f64 = values.iter().map(|value| value.exp()).sum();
                    all.ln() - values[codes[row] as usize]
                }
            };
    }
    for weight in layers.iter().flat_map(|layer| &layer.weights) {
        penalty += f64::from(*weight).powi(2);
    }
    (total + alpha / 2.0 * penalty) / n as f64
}

/// Adam's first step has the size of the learning rate, against the sign of the slope.
#[test]
fn a_step_goes_against_the_slope_of_the_loss() {
    let n = 11;
    let wave = |step: f64| (0..n).map(move |row| (row as f64 * step).sin());
    let design = Design { n_rows: n, n_columns: 2, values: wave(0.7).chain(wave(1.9)).collect() };
    let weights: Vec<f64> = (0..n).map(|row| 1.0 + (row % 3) as f64).collect();
    let numbers = Targets::Numbers(wave(1.3).map(|y| y as f32).collect());
    let classes = |n_classes: u32| Targets::Classes {
        codes: (0..n as u32).map(|row| row * 7 % n_classes).collect(),
        n_classes: n_classes as usize,
    };
    let rate = 1e-3;
    let settings = Settings {
        hidden: vec![4, 3],
        curve: Curve::Tanh,
        learning_rate: rate,
        alpha: 0.3,
        batch_size: n,
        n_epochs: 1,
        early_stopping: None,
    };
    let mut n_told = 0;
    for targets in [numbers, classes(2), classes(3)] {
        let ground = Ground::new(&design, targets, Some(&weights));
        let course = Course { ground: &ground, settings: &settings, seed: 3 };
        let before = course.start();
        let mut after = Vec::new();
        course
            .run(&Stop::default(), &mut |layers| {
                after = layers.to_vec();
                ControlFlow::Continue(())
            })
            .unwrap();
        for (index, layer) in before.iter().enumerate() {
            for at in 0..layer.weights.len() {
                let shifted = |by: f32| {
                    let mut layers = before.clone();
                    layers[index].weights[at] += by;
                    loss(&layers, &ground, settings.alpha)
                };
                let slope = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
                let step = f64::from(after[index].weights[at] - layer.weights[at]);
                if slope.abs() > 1e-3 {
                    let expected = -rate * slope.signum();
                    assert!((step - expected).abs() < 1e-2 * rate, "{index} {at}: {step} {slope}");
                    n_told += 1;
                }
            }
        }
    }
    assert!(n_told > 60, "{n_told}");
}

#[test]
fn what_cannot_be_trained_has_a_reason() {
    let frame = frame(30, false);
    let rows: Vec<u32> = (0..30).collect();
    let reason = |json: &str| fit(&frame, &rows, json).unwrap_err().to_string();
    assert_eq!(reason(r#"{"n_layers": 17}"#), "n_layers is 17, but it can't be above 16");
    let huge = reason(r#"{"hidden_units": 4096, "n_layers": 16}"#);
    assert!(huge.starts_with("the network has 251670528 weights; it may have up to"), "{huge}");
    assert_eq!(
        reason(r#"{"activation": "logistic"}"#),
        "activation is logistic; allowed: relu, tanh"
    );
    let wild = reason(r#"{"learning_rate": 1e30, "max_iter": 5, "n_layers": 8}"#);
    assert_eq!(wild, "the weights grew beyond all bounds; lower learning_rate");
}
