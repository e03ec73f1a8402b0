//! Rows to predict: the same features, in an order that leads back to the file's own.

use std::path::Path;
use std::sync::Arc;

use fleetfit_search_spaces::data::DataSource;
use fleetfit_search_spaces::entity::EntityKey;

use super::TargetRows;
use super::bins::named;
use super::column::{Column, Storage};
use super::error::DataError;
use super::keys::RowKeys;
use super::raw::{Sorted, sort_by_group};
use super::roles::{ReadColumns, Reading, Ticket, feature_storage, missing_column};
use super::sorting::{target_rows, to_levels};
use super::table::Table;
use crate::frame::{
    Feature, FeatureColumn, FeatureKind, FeatureSchema, FeatureValues, Frame, Layout, MISSING,
    Target, TargetKind, TimeKind, TimeSchema, Timeline,
};

/// Rows to predict, by entity. Rows are named by their position in the input.
#[derive(Debug)]
pub struct Prediction {
    n_rows: usize,
    partition: Vec<(String, Column)>,
    /// The columns that tell series of an entity apart.
    series: Vec<(String, Column)>,
    time: Option<(String, Column)>,
    /// The times and the series of the rows, for forecasts, in the entities' order.
    moments: Option<Moments>,
    order: Vec<u32>,
    offsets: Vec<u32>,
    unknown: Vec<u32>,
    layout: Layout,
    features: Vec<Column>,
    /// Features that the input lacks, and what is to be said to whoever needs them.
    absent: Vec<(Feature, DataError)>,
    target: Option<TargetRows>,
}

#[derive(Debug)]
struct Moments {
    time: Vec<f64>,
    series: Vec<u32>,
    names: Arc<Vec<String>>,
    past: Vec<(Arc<str>, Vec<f64>)>,
    /// The features that are made of times.
    holidays: Vec<FeatureColumn>,
}

impl Prediction {
    /// Reads rows to predict for the entities that have models. The target may be absent, and so may
    /// features: see [`Self::absent`].
    pub fn load(
        base: &Path,
        source: &DataSource,
        schema: &FeatureSchema,
        entities: &[EntityKey],
    ) -> Result<Self, DataError> {
        Self::read(base, source, schema, entities).map_err(|error| error.key("data"))
    }

    fn read(
        base: &Path,
        source: &DataSource,
        schema: &FeatureSchema,
        entities: &[EntityKey],
    ) -> Result<Self, DataError> {
        let table = Table::survey(base, source)?;
        let find =
            |name: &str| table.column(name).ok_or_else(|| missing_column(&table, name, "data"));
        let mut reading = Reading::default();
        let mut partition = Vec::new();
        for key in &schema.partition {
            partition.push(reading.want(find(&key.name)?, key.kind.storage()));
        }
        let mut series = Vec::new();
        for key in schema.time.iter().flat_map(|time| &time.series) {
            series.push((key.name.clone(), reading.want(find(&key.name)?, key.kind.storage())));
        }
        let time = match &schema.time_column {
            Some(name) => Some((name.clone(), reading.want(find(name)?, Storage::Word))),
            None => None,
        };
        let moments = match (&schema.time_column, &schema.time) {
            (Some(name), Some(own)) => Some(MomentTickets::want(find, name, own, &mut reading)?),
            _ => None,
        };
        let (mut features, mut present, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for feature in &schema.features {
            let column = match find(&feature.column) {
                Ok(column) => column,
                // Not every model reads every feature.
                Err(error) => {
                    absent.push((feature.clone(), error.key("data")));
                    continue;
                }
            };
            present.push(feature.clone());
            let storage = match feature.kind {
                FeatureKind::Number => Storage::Number,
                FeatureKind::Category(_) => Storage::Text,
                FeatureKind::Date(_) => Storage::Date,
            };
            features.push(reading.want(column, storage));
        }
        let target = find_target(&table, schema);
        let target = target.map(|column| match schema.target_kind {
            TargetKind::Number => reading.want(column, Storage::Number),
            TargetKind::Class(_) => reading.want(column, Storage::Text),
        });
        let mut columns = reading.read(&table)?;
        let partition: Vec<Column> =
            partition.into_iter().map(|ticket| columns.take(ticket)).collect();
        let keys = RowKeys::of(&schema.partition, &partition, table.n_rows).among(entities);
        let unknown = (0_u32..)
            .zip(&keys.rows)
            .filter(|(_, entity)| **entity == MISSING)
            .map(|(row, _)| row)
            .collect();
        let Sorted { order, offsets } = sort_by_group(&keys.rows, entities.len());
        let features = present
            .iter()
            .zip(features)
            .map(|(feature, ticket)| to_levels(columns.take(ticket).gather(&order), &feature.kind))
            .collect();
        let target = target.map(|ticket| target_rows(schema, columns.take(ticket)).gather(&order));
        let moments = moments.zip(schema.time.as_ref());
        let moments = moments.map(|(tickets, own)| {
            let mut moments = tickets.take(own, &mut columns, &order);
            moments.holidays = schema.holidays(&moments.time);
            moments
        });
        let names = schema.partition.iter().map(|key| key.name.clone());
        Ok(Self {
            n_rows: table.n_rows,
            partition: names.zip(partition).collect(),
            series: series.into_iter().map(|(name, own)| (name, columns.take(own))).collect(),
            time: time.map(|(name, ticket)| (name, columns.take(ticket))),
            moments,
            order,
            offsets,
            unknown,
            layout: Layout::of(&FeatureSchema { features: present, ..schema.clone() }),
            features,
            absent,
            target,
        })
    }

    /// How many rows the input has.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The entities that have rows, by their position among those given to [`Self::load`].
    pub fn entities(&self) -> Vec<u32> {
        (0_u32..)
            .zip(self.offsets.windows(2))
            .filter(|(_, pair)| pair[0] < pair[1])
            .map(|(entity, _)| entity)
            .collect()
    }

    /// The input rows of an entity, in the order of its frame.
    pub fn rows(&self, entity: u32) -> &[u32] {
        &self.order[self.range(entity)]
    }

    /// The input rows whose entity has no model.
    pub fn unknown_rows(&self) -> &[u32] {
        &self.unknown
    }

    /// What is wrong with the input where a model needs this feature, by the name that
    /// [`PredictError::MissingColumn`](crate::model::PredictError::MissingColumn) gives it; none where
    /// the input has it.
    pub fn absent(&self, name: &str) -> Option<&DataError> {
        let is_it = |feature: &Feature| feature.names().iter().any(|own| own == name);
        self.absent.iter().find(|(feature, _)| is_it(feature)).map(|(_, error)| error)
    }

    /// The rows of an entity. The target is known where the input has it for all of them.
    pub fn frame(&self, entity: u32) -> Frame {
        let rows = self.range(entity);
        let target = match &self.target {
            Some(target) if rows.clone().all(|row| target.is_known(row)) => match target {
                TargetRows::Number(values) => Target::Number(values[rows.clone()].to_vec()),
                TargetRows::Class(codes, labels) => Target::Class {
                    codes: codes[rows.clone()].to_vec(),
                    labels: Arc::clone(labels),
                },
            },
            _ => Target::Unknown,
        };
        let mut columns = self.layout.columns(&self.features, rows.clone());
        for column in self.moments.iter().flat_map(|moments| &moments.holidays) {
            if let FeatureValues::Number(values) = &column.values {
                columns.push(FeatureColumn {
                    name: Arc::clone(&column.name),
                    values: FeatureValues::Number(values[rows.clone()].to_vec()),
                });
            }
        }
        Frame {
            columns,
            target,
            weights: None,
            timeline: self.moments.as_ref().map(|moments| moments.timeline(rows.clone())),
            n_rows: rows.len(),
        }
    }

    /// The names of the columns that go with each prediction: the partition columns, those of series
    /// inside an entity, then the time.
    pub fn passed_columns(&self) -> Vec<&str> {
        self.passed().map(|(name, _)| name.as_str()).collect()
    }

    /// What these columns hold in an input row, as text; empty where it is missing.
    pub fn passed_values(&self, row: u32) -> Vec<&str> {
        self.passed()
            .map(|(_, column)| {
                let (codes, words) = column.words();
                let code = codes.get(row as usize).copied().unwrap_or(MISSING);
                words.get(code as usize).map_or("", String::as_str)
            })
            .collect()
    }

    fn passed(&self) -> impl Iterator<Item = &(String, Column)> {
        self.partition.iter().chain(&self.series).chain(&self.time)
    }

    fn range(&self, entity: u32) -> std::ops::Range<usize> {
        let at = |position: usize| self.offsets.get(position).map_or(0, |&offset| offset as usize);
        match self.offsets.get(entity as usize + 1) {
            Some(_) => at(entity as usize)..at(entity as usize + 1),
            None => 0..0,
        }
    }
}

/// Where the times, the series and the columns of the past will be.
struct MomentTickets {
    time: Ticket,
    series: Vec<Ticket>,
    past: Vec<Option<Ticket>>,
}

impl MomentTickets {
    fn want(
        find: impl Fn(&str) -> Result<usize, DataError>,
        time_column: &str,
        schema: &TimeSchema,
        reading: &mut Reading,
    ) -> Result<Self, DataError> {
        let storage = match schema.kind {
            TimeKind::Date => Storage::Date,
            TimeKind::Number => Storage::Number,
        };
        let time = reading.want(find(time_column)?, storage);
        let mut series = Vec::new();
        for key in &schema.series {
            series.push(reading.want(find(&key.name)?, key.kind.storage()));
        }
        // What is known for the past alone need not be there.
        let past = schema
            .past
            .iter()
            .map(|name| find(name).ok().map(|column| reading.want(column, Storage::Number)));
        Ok(Self { time, series, past: past.collect() })
    }

    fn take(self, schema: &TimeSchema, columns: &mut ReadColumns, order: &[u32]) -> Moments {
        let time = columns.take(self.time).gather(order).into_numbers();
        let series: Vec<Column> =
            self.series.into_iter().map(|ticket| columns.take(ticket).gather(order)).collect();
        let (series, names) = if series.is_empty() {
            (vec![0; time.len()], vec![String::new()])
        } else {
            let keys = RowKeys::of(&schema.series, &series, time.len());
            let mut names = keys.entities.iter().map(EntityKey::text).collect();
            (named(keys.rows, &mut names), names)
        };
        let past = schema.past.iter().zip(self.past).filter_map(|(name, ticket)| {
            let values = columns.take(ticket?).gather(order).into_numbers();
            Some((Arc::from(name.as_str()), values))
        });
        let (past, names) = (past.collect(), Arc::new(names));
        Moments { time, series, names, past, holidays: Vec::new() }
    }
}

impl Moments {
    fn timeline(&self, rows: std::ops::Range<usize>) -> Timeline {
        let past = self.past.iter().map(|(name, values)| FeatureColumn {
            name: Arc::clone(name),
            values: FeatureValues::Number(values[rows.clone()].to_vec()),
        });
        Timeline {
            past: past.collect(),
            time: self.time[rows.clone()].to_vec(),
            series: self.series[rows].to_vec(),
            names: Arc::clone(&self.names),
            plan: None,
        }
    }
}

/// The target's column. One that does not hold targets (a placeholder, say) is as good as none.
fn find_target(table: &Table, schema: &FeatureSchema) -> Option<usize> {
    let column = table.column(&schema.target)?;
    let is_usable = match schema.target_kind {
        TargetKind::Class(_) => true,
        TargetKind::Number => feature_storage(table.surveys[column].kind()) == Storage::Number,
    };
    is_usable.then_some(column)
}
