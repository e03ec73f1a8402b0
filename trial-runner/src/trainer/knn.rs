//! Nearest neighbours: nothing is fitted, the training rows are kept.
//!
//! smartcore's search takes forty times as long as scikit-learn's (its cover tree is made of small
//! allocations), so the search is ours too: see `model/neighbours.rs`.

use super::encode::{Scaling, encode};
use super::lesson::{Learnt, Lesson};
use super::parameters::Parameters;
use super::{Fit, FitError, Trainer};
use crate::model::neighbours::{Neighbours, Voting};
use crate::model::{Body, Model};

/// More numbers than this would make a model of 400 MB.
const MAX_VALUES: usize = 50_000_000;

/// Nearest neighbours.
pub(super) struct Knn;

impl Trainer for Knn {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let parameters = Parameters(job.parameters);
        let k = parameters.count("n_neighbors", 1, 5)?;
        let p = parameters.float("p", 2.0)?;
        if p < 1.0 {
            return Err(FitError::because(format!("p is {p}, but a distance needs at least 1")));
        }
        let voting = match parameters.word("weights", &["uniform", "distance"])? {
            "distance" => Voting::Distance,
            _ => Voting::Uniform,
        };
        let scaling = Scaling::from(parameters.flag("standardize", true)?);
        let lesson = Lesson::read(job)?;
        lesson.refuse_weights("knn")?;
        let answer = lesson.answer();
        if lesson.is_constant() {
            return Ok(Model::constant(answer));
        }
        let (encoder, design) = encode(job, scaling)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        if design.values.len() > MAX_VALUES {
            return Err(FitError::because(format!(
                "knn keeps every training row, and these have {} values together; it takes up to \
                 {MAX_VALUES}",
                design.values.len()
            )));
        }
        let (targets, is_class) = match lesson.learnt {
            Learnt::Numbers(y) => (y, false),
            Learnt::Classes(classes) => {
                (classes.codes.iter().map(|&code| code.into()).collect(), true)
            }
        };
        let neighbours = Neighbours {
            k: k.min(job.rows.len()) as u32,
            p,
            voting,
            rows: design.row_major(),
            targets,
            is_class,
        };
        Ok(Model { answer, body: Body::Neighbours(encoder, neighbours) })
    }
}
