//! folds

/// What splits need to know about the rows of a frame, besides features and target.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// Each row's time, for forecasting: seconds since 1970, or a step's number.
    pub time: Option<Vec<f64>>,
    /// Each row's series inside the entity, where there are several.
    pub series: Option<Vec<u32>>,
    /// For each column of `cv_split_column_names` each row's mark: 1 validates, 0 trains.
    pub columns: Vec<Vec<f64>>,
    /// With a validation table: how many rows train. The rest validate.
    pub n_training: Option<u32>,
}
