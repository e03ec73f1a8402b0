//! Our models against scikit-learn 1.x, and gradient boosting against LightGBM, on a small fixed data
//! set. Every list was printed by the Python line above it, after these:
//!
//! ```python
//! n = 24; i = np.arange(n)
//! X = np.column_stack([np.sin(i*1.3)*2+1, (i*7%11)/2.0, np.cos(i*0.7+0.5)*5, ((i*5)%8)*1.0])
//! y = 3*X[:,0]-1.5*X[:,1]+0.2*X[:,2]+((i*13)%5)/4.0+10; w = 1.0+(i%3)
//! c2 = (X[:,0]+X[:,1]*0.5+((i*13)%5)/4.0>2.6).astype(int)
//! c3 = np.where(X[:,2]>2,2,np.where(X[:,1]>2,1,0)); c3[[3,9,14]] = [2,0,1]
//! ```

use std::sync::Arc;

use fleetfit_search_spaces::{Configuration, Learner, Setting, Value};

use super::{Fit, Spare, trainer};
use crate::frame::{FeatureColumn, FeatureValues, Frame, Target};
use crate::model::{Body, Model, Predictions};
use crate::stop::Stop;

const N: usize = 24;

fn columns() -> Vec<Vec<f64>> {
    let rows = || (0..N).map(|i| i as f64);
    vec![
        rows().map(|i| (i * 1.3).sin() * 2.0 + 1.0).collect(),
        (0..N).map(|i| (i * 7 % 11) as f64 / 2.0).collect(),
        rows().map(|i| (i * 0.7 + 0.5).cos() * 5.0).collect(),
        (0..N).map(|i| (i * 5 % 8) as f64).collect(),
    ]
}

fn noise(i: usize) -> f64 {
    (i * 13 % 5) as f64 / 4.0
}

fn numbers() -> Target {
    let x = columns();
    let y = (0..N).map(|i| 3.0 * x[0][i] - 1.5 * x[1][i] + 0.2 * x[2][i] + noise(i) + 10.0);
    Target::Number(y.collect())
}

fn classes(n_classes: usize) -> Target {
    let x = columns();
    let mut codes: Vec<u32> = (0..N)
        .map(|i| match n_classes {
            2 => u32::from(x[0][i] + x[1][i] * 0.5 + noise(i) > 2.6),
            _ if x[2][i] > 2.0 => 2,
            _ => u32::from(x[1][i] > 2.0),
        })
        .collect();
    if n_classes == 3 {
        (codes[3], codes[9], codes[14]) = (2, 0, 1);
    }
    let labels = ["a", "b", "c"][..n_classes].iter().map(|label| (*label).to_owned());
    Target::Class { codes, labels: Arc::new(labels.collect()) }
}

fn frame_of(columns: Vec<Vec<f64>>, target: Target) -> Frame {
    let columns = columns.into_iter().enumerate();
    Frame {
        columns: columns
            .map(|(index, values)| FeatureColumn {
                name: format!("x{index}").into(),
                values: FeatureValues::Number(values),
            })
            .collect(),
        target,
        weights: None,
        timeline: None,
        n_rows: N,
    }
}

/// `name=value` pairs; a value is a whole number, a number, true or false, or a word.
fn configuration(pairs: &str) -> Configuration {
    let value = |text: &str| {
        if let Ok(number) = text.parse() {
            Value::Int(number)
        } else if let Ok(number) = text.parse() {
            Value::Float(number)
        } else if let Ok(flag) = text.parse() {
            Value::Bool(flag)
        } else {
            Value::Text(text.to_owned())
        }
    };
    let pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
    Configuration(
        pairs.map(|(name, text)| (name.to_owned(), Setting::Value(value(text)))).collect(),
    )
}

fn fit_rows(learner: Learner, pairs: &str, frame: &Frame, n_rows: u32) -> Model {
    let rows: Vec<u32> = (0..n_rows).collect();
    let job = Fit {
        frame,
        rows: &rows,
        parameters: &configuration(pairs),
        seed: 1,
        stop: &Stop::default(),
        spare: &Spare::default(),
    };
    trainer(learner).unwrap().fit(&job).unwrap()
}

fn fit(learner: Learner, pairs: &str, frame: &Frame) -> Model {
    fit_rows(learner, pairs, frame, N as u32)
}

fn predict(model: &Model, frame: &Frame, rows: std::ops::Range<u32>) -> Vec<f64> {
    let rows: Vec<u32> = rows.collect();
    match model.predict(frame, &rows).unwrap() {
        Predictions::Numbers(numbers) => numbers,
        Predictions::Classes { probabilities, .. } => probabilities,
    }
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.0),
            "at {index}: {found} is not {expected}"
        );
    }
}

/// Coefficients, then the intercept.
fn line(model: &Model) -> Vec<f64> {
    match &model.body {
        Body::Linear(_, linear) => {
            let mut line = linear.weights.clone();
            line.extend(&linear.intercepts);
            line
        }
        body => panic!("not a line: {body:?}"),
    }
}

#[test]
fn ridge() {
    let mut frame = frame_of(columns(), numbers());
    let raw = "alpha=0.7 standardize=false";
    // Ridge(alpha=0.7).fit(X, y)
    let expected =
        [2.870830311921, -1.474979888582, 0.1981453849244, 0.0007906501866935, 10.566115996144];
    assert_close(&line(&fit(Learner::Ridge, raw, &frame)), &expected, 1e-9);
    // make_pipeline(StandardScaler(), Ridge(alpha=0.7)).fit(X, y).predict(X[:4])
    let expected = [14.252831317766, 14.103052190313, 13.821941837479, 1.375492715224];
    let model = fit(Learner::Ridge, "alpha=0.7", &frame);
    assert_close(&predict(&model, &frame, 0..4), &expected, 1e-9);
    // Ridge(alpha=0.7).fit(X, y, sample_weight=w)
    let expected =
        [2.870444417899, -1.520944273927, 0.207200478683, 0.010161514856, 10.63623465142];
    frame.weights = Some((0..N).map(|i| 1.0 + (i % 3) as f64).collect());
    assert_close(&line(&fit(Learner::Ridge, raw, &frame)), &expected, 1e-9);
}

#[test]
fn ridge_with_fewer_rows_than_columns() {
    let mut wide = columns();
    for power in [2, 3] {
        let powers =
            columns().into_iter().map(|column| column.iter().map(|x| x.powi(power)).collect());
        wide.extend(powers);
    }
    let frame = frame_of(wide, numbers());
    let model = fit_rows(Learner::Ridge, "alpha=0.7 standardize=false", &frame, 6);
    // Z = np.hstack([X, X**2, X**3]); Ridge(alpha=0.7).fit(Z[:6], y[:6]).predict(Z[6:10])
    let expected = [10.611819791874, 9.73569970269, 13.669619214889, 2.491806710228];
    assert_close(&predict(&model, &frame, 6..10), &expected, 1e-8);
}

#[test]
fn lasso_and_elastic_net() {
    let mut frame = frame_of(columns(), numbers());
    let raw = "alpha=0.5 standardize=false tol=1e-12 max_iter=100000";
    // Lasso(alpha=0.5, tol=1e-12, max_iter=100000).fit(X, y)
    let expected = [2.683751489787, -1.319882639999, 0.169852012585, 0.0, 10.370401582313];
    let found = line(&fit(Learner::Lasso, raw, &frame));
    assert_close(&found, &expected, 1e-9);
    assert_eq!(found[3], 0.0);
    // ElasticNet(alpha=0.3, l1_ratio=0.4, tol=1e-12, max_iter=100000).fit(X, y)
    let expected = [2.628400564624, -1.364413681814, 0.19507430944, -0.011247375, 10.582624084026];
    let net = "alpha=0.3 l1_ratio=0.4 standardize=false tol=1e-12 max_iter=100000";
    assert_close(&line(&fit(Learner::ElasticNet, net, &frame)), &expected, 1e-9);
    // Lasso(alpha=0.5, tol=1e-12, max_iter=100000).fit(X, y, sample_weight=w)
    let expected = [2.673110325374, -1.366526721772, 0.176112213958, 0.0, 10.494391723924];
    frame.weights = Some((0..N).map(|i| 1.0 + (i % 3) as f64).collect());
    assert_close(&line(&fit(Learner::Lasso, raw, &frame)), &expected, 1e-9);
}

#[test]
fn logistic_regression() {
    let frame = frame_of(columns(), classes(2));
    let raw = "C=0.8 standardize=false";
    let found = line(&fit(Learner::LogisticRegression, raw, &frame));
    // LogisticRegression(C=0.8, tol=1e-10, max_iter=10000).fit(X, c2)
    let expected = [1.659287953188, 0.887228878318, -0.027774316828, 0.1953128858, -3.886338823849];
    assert_eq!(found[..4], [0.0; 4]);
    assert_close(&found[4..8], &expected[..4], 1e-6);
    assert_close(&found[8..], &[0.0, expected[4]], 1e-6);

    let frame = frame_of(columns(), classes(3));
    let model = fit(Learner::LogisticRegression, raw, &frame);
    // LogisticRegression(C=0.8, tol=1e-10, max_iter=10000).fit(X, c3).predict_proba(X[:4])
    let expected = [
        0.324695946934,
        0.006637564251,
        0.668666488815,
        0.211018883913,
        0.575474871352,
        0.213506244735,
        0.666990328465,
        0.198221361552,
        0.134788309983,
        0.080790170603,
        0.896419950876,
        0.022789878521,
    ];
    assert_close(&predict(&model, &frame, 0..4), &expected, 1e-6);
}

#[test]
fn knn() {
    let frame = frame_of(columns(), numbers());
    // KNeighborsRegressor(4, weights=weights, p=p).fit(X[:18], y[:18]).predict(X[18:])
    let cases = [
        (
            "uniform p=2",
            [
                9.747667805673,
                12.45549070713,
                11.666835423428,
                9.719612436021,
                7.835217554129,
                4.353405929023,
            ],
        ),
        (
            "distance p=2",
            [
                9.696859335705,
                12.681303597876,
                11.666948699078,
                10.28860008601,
                7.955018794191,
                4.343739680557,
            ],
        ),
        (
            "distance p=1",
            [
                9.397779566397,
                13.206367648216,
                11.566805112493,
                9.990964295427,
                7.843518261108,
                4.312875984972,
            ],
        ),
        (
            "distance p=3",
            [
                9.790039612947,
                12.596480825661,
                11.707433315818,
                10.390389769696,
                10.475352143079,
                4.379976931206,
            ],
        ),
    ];
    for (case, expected) in cases {
        let pairs = format!("n_neighbors=4 standardize=false weights={case}");
        let model = fit_rows(Learner::Knn, &pairs, &frame, 18);
        assert_close(&predict(&model, &frame, 18..24), &expected, 1e-9);
    }
    let frame = frame_of(columns(), classes(3));
    let pairs = "n_neighbors=3 standardize=false weights=distance";
    let model = fit_rows(Learner::Knn, pairs, &frame, 18);
    // KNeighborsClassifier(3, weights='distance').fit(X[:18], c3[:18]).predict_proba(X[18:])
    let expected = [
        0.304479861024,
        0.0,
        0.695520138976,
        0.662339171154,
        0.337660828846,
        0.0,
        0.0,
        1.0,
        0.0,
        1.0,
        0.0,
        0.0,
        0.317320670571,
        0.682679329429,
        0.0,
        0.262488228561,
        0.737511771439,
        0.0,
    ];
    assert_close(&predict(&model, &frame, 18..24), &expected, 1e-9);
}

#[test]
fn naive_bayes() {
    let frame = frame_of(columns(), classes(3));
    // GaussianNB().fit(X[:18], c3[:18]).predict_proba(X[18:])
    let expected = [
        2.653865991187e-01,
        3.619703473414e-03,
        7.309936974079e-01,
        4.702564880675e-01,
        6.320388808797e-05,
        5.296803080445e-01,
        3.523603317393e-02,
        9.450629552808e-01,
        1.970101154525e-02,
        9.301317561583e-01,
        2.029160692295e-03,
        6.783908314936e-02,
        8.922041723950e-01,
        3.767461240946e-05,
        1.077581529925e-01,
        2.039656868381e-01,
        7.272987008937e-01,
        6.873561226815e-02,
    ];
    let model = fit_rows(Learner::NaiveBayes, "", &frame, 18);
    assert_close(&predict(&model, &frame, 18..24), &expected, 1e-9);
    // GaussianNB(var_smoothing=0.05).fit(X[:18], c3[:18]).predict_proba(X[18:])
    let expected = [
        0.261554331372,
        0.015624826657,
        0.722820841971,
        0.490150294634,
        0.01103907992,
        0.498810625446,
        0.079214154581,
        0.883949551918,
        0.0368362935,
        0.877492282544,
        0.032867848348,
        0.089639869107,
        0.881039573344,
        0.017271097194,
        0.101689329462,
        0.2477981528,
        0.673920424808,
        0.078281422392,
    ];
    let model = fit_rows(Learner::NaiveBayes, "var_smoothing=0.05", &frame, 18);
    assert_close(&predict(&model, &frame, 18..24), &expected, 1e-9);
}

#[test]
fn svm() {
    let frame = frame_of(columns(), numbers());
    // SVR(kernel=kernel, C=2.0, epsilon=0.2, tol=1e-8, gamma=0.05, coef0=0.5).fit(X, y)
    //     .predict(X[:4])
    let cases = [
        ("rbf", [11.362712170217, 12.313528019144, 13.019439729039, 5.366606545637]),
        ("linear", [14.374050229067, 14.071353920328, 13.850051306679, 1.167857512123]),
        ("poly", [13.677582853261, 14.443702473172, 12.801084192998, 1.316521177211]),
        ("sigmoid", [14.778202677524, 8.586358396089, 10.088154406711, 10.899344040519]),
    ];
    for (kernel, expected) in cases {
        let pairs = format!(
            "kernel={kernel} C=2 epsilon=0.2 tol=1e-8 gamma=0.05 coef0=0.5 standardize=false"
        );
        let model = fit(Learner::Svm, &pairs, &frame);
        // LIBSVM keeps kernels in single precision.
        assert_close(&predict(&model, &frame, 0..4), &expected, 1e-4);
    }
    // make_pipeline(StandardScaler(), SVR(tol=1e-8)).fit(X, y).predict(X[:4])
    let expected = [11.391885158307, 12.03788750649, 13.010138803336, 6.828200690459];
    let model = fit(Learner::Svm, "tol=1e-8", &frame);
    assert_close(&predict(&model, &frame, 0..4), &expected, 1e-5);

    let frame = frame_of(columns(), classes(2));
    let mut model = fit(Learner::Svm, "C=2 tol=1e-8 standardize=false", &frame);
    let Body::Kernel(_, kernel) = &mut model.body else {
        panic!("not a kernel machine");
    };
    kernel.machines[0].sigmoid = None;
    let decisions: Vec<f64> = predict(&model, &frame, 0..4).chunks(2).map(|row| row[1]).collect();
    // SVC(C=2.0, tol=1e-8).fit(X, c2).decision_function(X[:4])
    let expected = [-0.354640524008, 1.687982330179, 1.000000047823, 0.99999996761];
    assert_close(&decisions, &expected, 1e-5);
}

#[test]
fn decision_tree() {
    let frame = frame_of(columns(), numbers());
    let model = fit(Learner::DecisionTree, "max_depth=3", &frame);
    // DecisionTreeRegressor(max_depth=3, random_state=0).fit(X, y).predict(X[:8])
    let expected = [
        12.806493839793,
        14.154269565442,
        12.806493839793,
        2.022421254009,
        2.022421254009,
        12.806493839793,
        14.154269565442,
        12.806493839793,
    ];
    assert_close(&predict(&model, &frame, 0..8), &expected, 1e-9);
    // DecisionTreeRegressor(min_samples_leaf=3, random_state=0).fit(X[:18], y[:18]).predict(X[18:])
    let expected = [
        6.6327261135,
        6.6327261135,
        10.656011556967,
        16.356105735886,
        2.787262825766,
        2.787262825766,
    ];
    let model = fit_rows(Learner::DecisionTree, "min_samples_leaf=3", &frame, 18);
    assert_close(&predict(&model, &frame, 18..24), &expected, 1e-9);

    let frame = frame_of(columns(), classes(3));
    // DecisionTreeClassifier(max_depth=2, criterion=criterion, random_state=0).fit(X, c3)
    let expected = [
        0.0,
        0.0,
        1.0,
        0.0,
        0.888888888889,
        0.111111111111,
        1.0,
        0.0,
        0.0,
        0.0,
        0.888888888889,
        0.111111111111,
        0.0,
        0.888888888889,
        0.111111111111,
        1.0,
        0.0,
        0.0,
    ];
    for criterion in ["gini", "entropy"] {
        let pairs = format!("max_depth=2 criterion={criterion}");
        let model = fit(Learner::DecisionTree, &pairs, &frame);
        assert_close(&predict(&model, &frame, 0..6), &expected, 1e-9);
    }
}

/// LightGBM 4.7.0 keeps gradients and scores in single precision, and ours are packed integers:
/// the same trees, and leaves that differ from the sixth digit on.
///
/// ```python
/// base = dict(num_threads=1, deterministic=True, max_depth=3, num_leaves=8, learning_rate=0.3,
///             min_data_in_leaf=3, min_sum_hessian_in_leaf=1e-3)
/// every = dict(min_data_in_bin=1, feature_pre_filter=False)
/// def fit(X, t, weight=None, **more):
///     return lgb.train(base | more, lgb.Dataset(X, t, weight=weight, params=every), 10)
/// ```
#[test]
fn gradient_boosting() {
    const CLOSE: f64 = 1e-4;
    const BASE: &str =
        "n_estimators=10 max_depth=3 num_leaves=8 learning_rate=0.3 min_child_samples=3";
    let check = |more: &str, frame: &Frame, expected: &[f64]| {
        let model = fit(Learner::GradientBoosting, &format!("{BASE} {more}"), frame);
        assert_close(&predict(&model, frame, 0..8), expected, CLOSE);
    };
    let mut frame = frame_of(columns(), numbers());
    // fit(X, y, objective="regression").predict(X[:8])
    let expected = [
        13.3521381, 14.5536402, 13.9646565, 2.11844022, 2.84919593, 12.4378285, 13.6196197,
        12.0971883,
    ];
    check("", &frame, &expected);
    // LightGBM rounds a leaf's rows bin by bin, which shows where a bin is one row. These are of ten
    // greedy trees over all thresholds, in numpy with np.round(y), where each side has the curvature
    // of 2.5 rows of the node; LightGBM says 4.1356 instead of 4.1046.
    let expected = [
        12.4866773, 13.4483378, 13.2733703, 4.10461343, 4.10461343, 11.6792533, 13.4483378,
        11.4596470,
    ];
    let Target::Number(y) = numbers() else { panic!("classes") };
    let counts = Target::Number(y.iter().map(|value| value.round()).collect());
    check("objective=poisson", &frame_of(columns(), counts), &expected);
    // fit(X, np.exp(y / 4), objective="huber", alpha=0.9).predict(X[:8])
    let expected = [
        23.0912264, 25.409382, 24.6016013, 20.8648851, 20.8648851, 21.6523159, 25.409382,
        20.8758309,
    ];
    let skewed = Target::Number(y.iter().map(|value| (value / 4.0).exp()).collect());
    check("objective=huber alpha=0.9", &frame_of(columns(), skewed), &expected);
    // fit(X, y, objective="regression", lambda_l1=0.5, lambda_l2=2.0).predict(X[:8])
    let expected = [
        12.9074986, 13.9718304, 13.4708429, 3.10848852, 3.10848852, 12.8304583, 13.7008069,
        11.8049153,
    ];
    check("reg_alpha=0.5 reg_lambda=2.0", &frame, &expected);
    // With weights, and for classes, LightGBM guesses the rows of a leaf from its curvature, and ours
    // counts them. These are of ten greedy trees over all thresholds, in numpy with weights w.
    let expected = [
        13.6443271, 14.5564164, 13.9516826, 2.12220376, 2.91013082, 12.3693771, 14.5564164,
        11.8508178,
    ];
    frame.weights = Some((0..N).map(|i| 1.0 + (i % 3) as f64).collect());
    check("", &frame, &expected);

    // X[::5,0] = np.nan; fit(X, y, objective="regression").predict(X[:8])
    let mut holes = columns();
    holes[0].iter_mut().step_by(5).for_each(|value| *value = f64::NAN);
    let expected = [
        13.8846478, 14.4144817, 13.6420715, 1.80876604, 2.96101848, 12.5117456, 13.5914722,
        12.0499628,
    ];
    check("", &frame_of(holes, numbers()), &expected);
}
