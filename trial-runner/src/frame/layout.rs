//! The part of every frame of a data set that is the same: names and levels, shared, not copied.

use std::ops::Range;
use std::sync::Arc;

use super::schema::{FeatureKind, FeatureSchema};
use super::{FeatureColumn, FeatureValues};
use crate::dataset::column::Column;

/// Names and levels, shared by the frames of all entities.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    features: Vec<FeatureLayout>,
}

#[derive(Clone, Debug)]
enum FeatureLayout {
    Number(Arc<str>),
    Category(Arc<str>, Arc<Vec<String>>),
    Date(Vec<(Arc<str>, super::date_part::DatePart)>),
}

impl Layout {
    pub(crate) fn of(schema: &FeatureSchema) -> Self {
        let features = schema
            .features
            .iter()
            .map(|feature| {
                let name: Arc<str> = Arc::from(feature.column.as_str());
                match &feature.kind {
                    FeatureKind::Number => FeatureLayout::Number(name),
                    FeatureKind::Category(levels) => {
                        FeatureLayout::Category(name, Arc::new(levels.clone()))
                    }
                    FeatureKind::Date(parts) => FeatureLayout::Date(
                        parts
                            .iter()
                            .map(|&part| (Arc::from(part.feature_name(&name)), part))
                            .collect(),
                    ),
                }
            })
            .collect();
        Self { features }
    }

    /// The features of these rows. `columns` stand in the schema's order; the codes of a category
    /// are indices into its levels.
    pub(crate) fn columns(&self, columns: &[Column], rows: Range<usize>) -> Vec<FeatureColumn> {
        let mut features = Vec::with_capacity(self.features.len());
        for (layout, column) in self.features.iter().zip(columns) {
            match layout {
                FeatureLayout::Number(name) => features.push(FeatureColumn {
                    name: Arc::clone(name),
                    values: FeatureValues::Number(column.numbers()[rows.clone()].to_vec()),
                }),
                FeatureLayout::Category(name, levels) => features.push(FeatureColumn {
                    name: Arc::clone(name),
                    values: FeatureValues::Category {
                        codes: column.words().0[rows.clone()].to_vec(),
                        levels: Arc::clone(levels),
                    },
                }),
                FeatureLayout::Date(parts) => {
                    let seconds = &column.numbers()[rows.clone()];
                    features.extend(parts.iter().map(|(name, part)| FeatureColumn {
                        name: Arc::clone(name),
                        values: FeatureValues::Number(
                            seconds.iter().map(|&seconds| part.of(seconds)).collect(),
                        ),
                    }));
                }
            }
        }
        features
    }
}
