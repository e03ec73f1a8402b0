//! What a question has worked out and the next one would work out again. All of it follows from what
//! is stored, and may be forgotten at any time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetfit_search_spaces::{Problems, Study};

use super::{Journal, StudyId, StudyRecord};
use crate::query::front::{Fronts, Known};
use crate::state::Ranked;

/// What questions have worked out.
#[derive(Default)]
pub(super) struct Memory {
    /// What the stored jobs mean, which never change.
    studies: HashMap<StudyId, Arc<Study>>,
    /// The column that was asked for last.
    column: Option<Column>,
    fronts: Fronts,
}

/// The values of a configuration for all entities; not a number where there is none.
struct Column {
    study: StudyId,
    configuration: u32,
    /// For how many entities it has completed: with more of them, there are more values.
    completed: u32,
    values: Arc<Vec<f64>>,
}

impl Memory {
    pub(super) fn forget(&mut self, id: StudyId) {
        self.studies.remove(&id);
        self.fronts.forget(id);
        self.column.take_if(|column| column.study == id);
    }
}

impl Journal {
    /// What a stored job means, read once.
    pub(crate) fn study(&self, record: &StudyRecord) -> Result<Arc<Study>, Problems> {
        if let Some(study) = self.memory().studies.get(&record.id) {
            return Ok(Arc::clone(study));
        }
        // Reading takes a while, and others need not wait for it.
        let study = Arc::new(record.study()?);
        self.memory().studies.insert(record.id, Arc::clone(&study));
        Ok(study)
    }

    /// What is known of a study's front.
    pub(crate) fn front(&self, id: StudyId) -> Arc<Mutex<Known>> {
        self.memory().fronts.of(id)
    }

    /// The values of a configuration, if they are what was asked for last.
    pub(crate) fn column(&self, id: StudyId, of: &Ranked) -> Option<Arc<Vec<f64>>> {
        let memory = self.memory();
        let column = memory.column.as_ref()?;
        let is_it = (column.study, column.configuration, column.completed)
            == (id, of.configuration, of.completed);
        is_it.then(|| Arc::clone(&column.values))
    }

    /// Keeps the values of a configuration for the next question.
    pub(crate) fn keep_column(&self, id: StudyId, of: &Ranked, values: &Arc<Vec<f64>>) {
        self.memory().column = Some(Column {
            study: id,
            configuration: of.configuration,
            completed: of.completed,
            values: Arc::clone(values),
        });
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
