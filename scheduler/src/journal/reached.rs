//! Trials that came to a rung, as columns: what neighbours share is stored once.
//!
//! Columns, in this order: configurations as runs, entities as differences, rungs, folds, fits and
//! numbers of values as runs, starts as differences, durations, values.

use fleetfit_search_spaces::Reached;

use super::bytes::{Malformed, Reader, Writer};

pub(super) fn write(trials: &[Reached], out: &mut Writer) {
    out.unsigned(trials.len() as u64);
    out.runs(trials.iter().map(|trial| u64::from(trial.configuration)));
    let mut expected = 0i64;
    for trial in trials {
        out.signed(i64::from(trial.entity) - expected);
        expected = i64::from(trial.entity);
    }
    out.runs(trials.iter().map(|trial| u64::from(trial.rung)));
    out.runs(trials.iter().map(|trial| u64::from(trial.n_folds)));
    out.runs(trials.iter().map(|trial| u64::from(trial.fits)));
    out.runs(trials.iter().map(|trial| trial.values.len() as u64));
    let mut previous_ms = 0;
    for trial in trials {
        out.signed(trial.started_ms.wrapping_sub(previous_ms) as i64);
        out.signed(trial.ended_ms.wrapping_sub(trial.started_ms) as i64);
        previous_ms = trial.started_ms;
    }
    for value in trials.iter().flat_map(|trial| &trial.values) {
        out.float(*value);
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Vec<Reached>, Malformed> {
    let n = reader.count()?;
    let configurations = reader.runs(n)?;
    let mut expected = 0i64;
    let entities = (0..n).map(|_| {
        expected = expected.checked_add(reader.signed()?).ok_or(Malformed)?;
        u32::try_from(expected).map_err(|_| Malformed)
    });
    let entities: Vec<u32> = entities.collect::<Result<_, _>>()?;
    let [rungs, n_folds, fits, n_values] =
        [reader.runs(n)?, reader.runs(n)?, reader.runs(n)?, reader.runs(n)?];
    let mut previous_ms = 0u64;
    let mut trials = Vec::with_capacity(n);
    for index in 0..n {
        let started_ms = previous_ms.wrapping_add(reader.signed()? as u64);
        let ended_ms = started_ms.wrapping_add(reader.signed()? as u64);
        previous_ms = started_ms;
        trials.push(Reached {
            configuration: short(configurations[index])?,
            entity: entities[index],
            rung: u8::try_from(rungs[index]).map_err(|_| Malformed)?,
            values: Vec::new(),
            n_folds: short(n_folds[index])?,
            fits: short(fits[index])?,
            started_ms,
            ended_ms,
        });
    }
    for (trial, n_values) in trials.iter_mut().zip(n_values) {
        let values = (0..n_values).map(|_| reader.float());
        trial.values = values.collect::<Result<_, _>>()?;
    }
    Ok(trials)
}

fn short(number: u64) -> Result<u32, Malformed> {
    u32::try_from(number).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(configuration: u32, entity: u32, values: &[f64]) -> Reached {
        Reached {
            configuration,
            entity,
            rung: 1,
            values: values.to_vec(),
            n_folds: 5,
            fits: values.len() as u32,
            started_ms: 1_700_000_000_000 + u64::from(entity),
            ended_ms: 1_700_000_000_009,
        }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_told() {
        let trials = [
            trial(3, 7, &[0.5, 1e-300]),
            trial(3, 0, &[]),
            trial(0, u32::MAX, &[f64::MAX]),
            trial(u32::MAX, 8, &[-0.25]),
        ];
        let mut out = Writer::default();
        write(&trials, &mut out);
        let mut reader = Reader(&out.0);
        assert_eq!(read(&mut reader), Ok(trials.to_vec()));
        assert!(reader.end().is_ok());
        for cut in 0..out.0.len() {
            assert_eq!(read(&mut Reader(&out.0[..cut])), Err(Malformed));
        }
    }

    #[test]
    fn a_trial_takes_little_more_than_its_value() {
        let trials: Vec<Reached> = (0..1_000).map(|entity| trial(3, entity, &[0.5])).collect();
        let mut out = Writer::default();
        write(&trials, &mut out);
        assert!(out.0.len() < 14 * trials.len(), "{} bytes", out.0.len());
    }
}
