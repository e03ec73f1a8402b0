//! What the features of a data set are: decided once when it is loaded, kept with every model, and
//! enough to make the same features of other rows.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::FeatureColumn;
use super::date_part::{DatePart, readable};
use super::timeline::TimeKind;
use crate::calendar::holidays::Holidays;
use crate::dataset::KeyColumn;

/// The features, the target and the other columns that matter when a model predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSchema {
    /// The columns that become features, in the table's order.
    pub features: Vec<Feature>,
    /// The target's column.
    pub target: String,
    /// What the target is.
    pub target_kind: TargetKind,
    /// The columns whose values are the entities.
    pub partition: Vec<KeyColumn>,
    /// The column of time, where there is one.
    pub time_column: Option<String>,
    /// What the times are, for forecasting.
    #[serde(default)]
    pub time: Option<TimeSchema>,
}

/// What the times of rows to forecast are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeSchema {
    /// What the time column holds.
    pub kind: TimeKind,
    /// The columns that tell series of an entity apart.
    pub series: Vec<KeyColumn>,
    /// Columns of numbers that are known for the past alone, of which there are lags.
    pub past: Vec<String>,
    /// The holidays that are features.
    pub holidays: Option<Holidays>,
}

/// A column that becomes one or more features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// The column's name.
    pub column: String,
    /// What it becomes.
    pub kind: FeatureKind,
}

/// What a column becomes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// A number; true and false are 1 and 0.
    Number,
    /// One of these levels, sorted. A word that isn't among them is missing.
    Category(Vec<String>),
    /// These parts of a date, each a number.
    Date(Vec<DatePart>),
}

/// What the target is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A number.
    Number,
    /// One of these labels. Of two, the positive one comes last.
    Class(Vec<String>),
}

/// The file of a study's folder that holds the schema.
const FILE: &str = "schema.json";

/// The newest form of that file.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored<S> {
    version: u32,
    schema: S,
}

#[derive(Deserialize)]
struct Stamp {
    version: u32,
}

impl Feature {
    /// The names of its columns in a frame, for people.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.kind {
            FeatureKind::Date(parts) => {
                parts.iter().map(|part| readable(&part.feature_name(&self.column))).collect()
            }
            FeatureKind::Number | FeatureKind::Category(_) => vec![self.column.clone()],
        }
    }
}

impl FeatureSchema {
    /// Keeps the schema in a study's folder, whole or not at all.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        let draft = dir.join(format!("{FILE}.new"));
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(&Stored { version: VERSION, schema: self })?)?;
        file.sync_all()?;
        fs::rename(&draft, dir.join(FILE))?;
        File::open(dir)?.sync_all()
    }

    /// The schema that a study's folder keeps.
    pub fn load(dir: &Path) -> io::Result<Self> {
        Self::from_bytes(&Self::stored(dir)?)
    }

    /// The schema that a study's folder keeps, as it is stored.
    pub fn stored(dir: &Path) -> io::Result<Vec<u8>> {
        fs::read(dir.join(FILE))
    }

    /// The schema out of its stored form.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let Stamp { version } = serde_json::from_slice(bytes)?;
        if version > VERSION {
            return Err(io::Error::other(format!(
                "{FILE} has form {version}, and this version reads up to {VERSION}: update fleetfit"
            )));
        }
        Ok(serde_json::from_slice::<Stored<Self>>(bytes)?.schema)
    }

    /// The names of a frame's columns for people: `date.month` for the parts of a date.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for feature in &self.features {
            names.extend(feature.names());
        }
        if let (Some(column), Some(time)) = (&self.time_column, &self.time)
            && time.holidays.is_some()
        {
            names.extend(Holidays::names(column).iter().map(|name| readable(name)));
        }
        names
    }

    /// The features that are made of times, beside those that are columns.
    pub(crate) fn holidays(&self, time: &[f64]) -> Vec<FeatureColumn> {
        let own = self.time.as_ref().and_then(|time| time.holidays);
        match (&self.time_column, own) {
            (Some(column), Some(holidays)) => holidays.columns(column, time),
            _ => Vec::new(),
        }
    }
}
