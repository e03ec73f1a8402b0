//! A series without gaps, made of rows that come as they come.
//!
//! Rows of one step become their mean. A step without a row lies on the line between its
//! neighbours, or (for lags, which must not know what comes) repeats the last value before it.

/// A series with a value at every step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Regular {
    /// The index of the first value.
    pub(crate) first: i64,
    /// The values.
    pub(crate) values: Vec<f64>,
}

/// How steps without a row are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// On the line between the neighbours.
    Line,
    /// With the last value before.
    Last,
}

/// A series may be so many times as long as it has rows before its steps are taken to be wrong.
const MOST_STRETCH: usize = 50;
/// And so many steps on top.
const STRETCH_ROOM: usize = 20_000;

/// The rows lie too far apart for the steps they are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSparse {
    /// How many steps there would be.
    pub(crate) n_steps: u64,
    /// How many of them have a row.
    pub(crate) n_known: usize,
}

impl Regular {
    /// Makes a series of values at their steps, in any order; none of no values.
    pub(crate) fn of(
        rows: impl IntoIterator<Item = (i64, f64)>,
        fill: Fill,
    ) -> Result<Option<Self>, TooSparse> {
        let mut rows: Vec<(i64, f64)> = rows.into_iter().collect();
        if !rows.is_sorted_by_key(|(index, _)| *index) {
            rows.sort_by_key(|(index, _)| *index);
        }
        let mut known: Vec<(i64, f64, f64)> = Vec::with_capacity(rows.len());
        for (index, value) in rows {
            match known.last_mut() {
                Some((last, mean, n)) if *last == index => {
                    *n += 1.0;
                    // A running mean, so that no sum overflows.
                    *mean += value / *n - *mean / *n;
                }
                _ => known.push((index, value, 1.0)),
            }
        }
        let (Some(&(first, ..)), Some(&(last, ..))) = (known.first(), known.last()) else {
            return Ok(None);
        };
        let n_steps = last.abs_diff(first).saturating_add(1);
        let most = known.len().saturating_mul(MOST_STRETCH).saturating_add(STRETCH_ROOM);
        if n_steps > most as u64 {
            return Err(TooSparse { n_steps, n_known: known.len() });
        }
        let mut values: Vec<f64> = Vec::with_capacity(n_steps as usize);
        for (index, mean, _) in known {
            let n_before = index.abs_diff(first) as usize;
            let from = values.last().copied().unwrap_or(mean);
            let n_gap = n_before - values.len();
            for step in 1..=n_gap {
                let share = step as f64 / (n_gap + 1) as f64;
                values.push(match fill {
                    Fill::Line => from * (1.0 - share) + mean * share,
                    Fill::Last => from,
                });
            }
            values.push(mean);
        }
        Ok(Some(Self { first, values }))
    }

    /// The index of the last value.
    pub(crate) fn last(&self) -> i64 {
        self.first.saturating_add(self.values.len() as i64 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_rows_of_a_step_are_one() {
        let rows = [(9, 8.0), (5, 1.0), (5, 3.0), (6, 2.0)];
        let line = Regular::of(rows, Fill::Line).unwrap().unwrap();
        assert_eq!((line.first, line.last()), (5, 9));
        assert_eq!(line.values, [2.0, 2.0, 4.0, 6.0, 8.0]);
        let last = Regular::of(rows, Fill::Last).unwrap().unwrap();
        assert_eq!(last.values, [2.0, 2.0, 2.0, 2.0, 8.0]);
        assert_eq!(Regular::of([], Fill::Line), Ok(None));
    }

    #[test]
    fn huge_values_stay_finite_and_huge_gaps_are_refused() {
        let rows = [(0, f64::MAX), (0, f64::MAX), (0, f64::MAX), (3, f64::MIN)];
        let huge = Regular::of(rows, Fill::Line).unwrap().unwrap();
        assert!(huge.values.iter().all(|value| value.is_finite()), "{huge:?}");
        let sparse = Regular::of([(i64::MIN, 1.0), (i64::MAX, 1.0)], Fill::Line);
        assert_eq!(sparse, Err(TooSparse { n_steps: u64::MAX, n_known: 2 }));
        assert!(Regular::of([(0, 1.0), (20_000, 1.0)], Fill::Last).unwrap().is_some());
    }
}
