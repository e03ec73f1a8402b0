//! A block of outcomes as columns: what neighbours share is stored once, so that a trial costs
//! little more than its value.
//!
//! The order of the outcomes is kept. Columns, in this order: configurations as runs, entities as
//! ranges that count up, ends as runs of a tag, values, reasons through a dictionary, fits as runs,
//! starts as differences, durations, and the reports of those that have any; then, under a tag of its
//! own, further values.

use std::borrow::Borrow;

use fleetfit_search_spaces::trial::MAX_FURTHER;
use fleetfit_search_spaces::{End, Outcome, Report};

use super::bytes::{Malformed, Reader, Writer};

const COMPLETED: u64 = 0;
const STOPPED_AT: u64 = 1;
const STOPPED: u64 = 2;
const FAILED: u64 = 3;

/// How many trials ended in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) completed: u64,
    pub(crate) stopped: u64,
    pub(crate) failed: u64,
}

impl Ends {
    pub(crate) fn of<T: Borrow<Outcome>>(outcomes: impl IntoIterator<Item = T>) -> Self {
        let mut ends = Self::default();
        outcomes.into_iter().for_each(|outcome| *ends.slot(tag(&outcome.borrow().end)) += 1);
        ends
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.completed += other.completed;
        self.stopped += other.stopped;
        self.failed += other.failed;
    }

    /// All of them together.
    pub(crate) fn n(self) -> u64 {
        self.completed + self.stopped + self.failed
    }

    fn slot(&mut self, tag: u64) -> &mut u64 {
        match tag {
            COMPLETED => &mut self.completed,
            STOPPED_AT | STOPPED => &mut self.stopped,
            _ => &mut self.failed,
        }
    }
}

pub(super) fn write(outcomes: &[&Outcome], out: &mut Writer) {
    out.unsigned(outcomes.len() as u64);
    out.runs(outcomes.iter().map(|outcome| u64::from(outcome.configuration)));
    write_entities(outcomes, out);
    out.runs(outcomes.iter().map(|outcome| tag(&outcome.end)));
    for value in outcomes.iter().filter_map(|outcome| value(&outcome.end)) {
        out.float(value);
    }
    write_reasons(outcomes, out);
    out.runs(outcomes.iter().map(|outcome| u64::from(outcome.fits)));
    let mut previous_ms = 0;
    for outcome in outcomes {
        out.signed(outcome.started_ms.wrapping_sub(previous_ms) as i64);
        out.signed(outcome.ended_ms.wrapping_sub(outcome.started_ms) as i64);
        previous_ms = outcome.started_ms;
    }
    write_reports(outcomes, out);
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Vec<Outcome>, Malformed> {
    let n = reader.count()?;
    let configurations = reader.runs(n)?;
    let entities = read_entities(reader, n)?;
    let tags = reader.runs(n)?;
    let values = read_values(reader, &tags)?;
    let mut reasons = read_reasons(reader, &tags)?.into_iter();
    let fits = reader.runs(n)?;
    let mut outcomes = Vec::with_capacity(n);
    let mut values = values.into_iter();
    let mut previous_ms = 0u64;
    for i in 0..n {
        let started_ms = previous_ms.wrapping_add(reader.signed()? as u64);
        let ended_ms = started_ms.wrapping_add(reader.signed()? as u64);
        previous_ms = started_ms;
        outcomes.push(Outcome {
            configuration: u32::try_from(configurations[i]).map_err(|_| Malformed)?,
            entity: entities[i],
            end: end(tags[i], &mut values, &mut reasons)?,
            fits: u32::try_from(fits[i]).map_err(|_| Malformed)?,
            started_ms,
            ended_ms,
            reports: Vec::new(),
            further: Vec::new(),
        });
    }
    read_reports(reader, &mut outcomes)?;
    Ok(outcomes)
}

/// How the outcomes of a block ended, without a look at what follows in it.
pub(super) fn read_ends(reader: &mut Reader<'_>) -> Result<Ends, Malformed> {
    let n = reader.count()?;
    reader.runs(n)?;
    read_entities(reader, n)?;
    let mut ends = Ends::default();
    for tag in reader.runs(n)? {
        *ends.slot(tag) += 1;
    }
    Ok(ends)
}

fn tag(end: &End) -> u64 {
    match end {
        End::Completed { .. } => COMPLETED,
        End::Stopped { value: Some(_), .. } => STOPPED_AT,
        End::Stopped { value: None, .. } => STOPPED,
        End::Failed { .. } => FAILED,
    }
}

fn value(end: &End) -> Option<f64> {
    match end {
        End::Completed { value } => Some(*value),
        End::Stopped { value, .. } => *value,
        End::Failed { .. } => None,
    }
}

fn reason(end: &End) -> Option<&str> {
    match end {
        End::Completed { .. } => None,
        End::Stopped { reason, .. } | End::Failed { reason } => Some(reason),
    }
}

fn end(
    tag: u64,
    values: &mut impl Iterator<Item = f64>,
    reasons: &mut impl Iterator<Item = String>,
) -> Result<End, Malformed> {
    Ok(match tag {
        COMPLETED => End::Completed { value: values.next().ok_or(Malformed)? },
        STOPPED_AT | STOPPED => End::Stopped {
            value: if tag == STOPPED_AT { Some(values.next().ok_or(Malformed)?) } else { None },
            reason: reasons.next().ok_or(Malformed)?,
        },
        FAILED => End::Failed { reason: reasons.next().ok_or(Malformed)? },
        _ => return Err(Malformed),
    })
}

/// Entities that count up by one are a range: the jump to its first, and its length.
fn write_entities(outcomes: &[&Outcome], out: &mut Writer) {
    let mut expected = 0i64;
    let mut rest = outcomes;
    while let [first, ..] = rest {
        let start = i64::from(first.entity);
        let length = rest
            .iter()
            .zip(start..)
            .take_while(|(outcome, entity)| i64::from(outcome.entity) == *entity)
            .count();
        out.signed(start - expected);
        out.unsigned(length as u64);
        expected = start + length as i64;
        rest = &rest[length..];
    }
}

fn read_entities(reader: &mut Reader<'_>, n: usize) -> Result<Vec<u32>, Malformed> {
    let mut entities = Vec::with_capacity(n);
    let mut expected = 0i64;
    while entities.len() < n {
        let start = expected.checked_add(reader.signed()?).ok_or(Malformed)?;
        let length = usize::try_from(reader.unsigned()?).map_err(|_| Malformed)?;
        let first = u32::try_from(start).map_err(|_| Malformed)?;
        if length == 0 || length > n - entities.len() {
            return Err(Malformed);
        }
        let last = first.checked_add(length as u32 - 1).ok_or(Malformed)?;
        entities.extend(first..=last);
        expected = i64::from(last) + 1;
    }
    Ok(entities)
}

fn read_values(reader: &mut Reader<'_>, tags: &[u64]) -> Result<Vec<f64>, Malformed> {
    let n = tags.iter().filter(|tag| matches!(**tag, COMPLETED | STOPPED_AT)).count();
    (0..n).map(|_| reader.float()).collect()
}

fn write_reasons(outcomes: &[&Outcome], out: &mut Writer) {
    let mut words: Vec<&str> = outcomes.iter().filter_map(|outcome| reason(&outcome.end)).collect();
    words.sort_unstable();
    words.dedup();
    out.unsigned(words.len() as u64);
    for word in &words {
        out.text(word);
    }
    for reason in outcomes.iter().filter_map(|outcome| reason(&outcome.end)) {
        let (Ok(place) | Err(place)) = words.binary_search(&reason);
        out.unsigned(place as u64);
    }
}

fn read_reasons(reader: &mut Reader<'_>, tags: &[u64]) -> Result<Vec<String>, Malformed> {
    let n_words = reader.count()?;
    let words: Vec<String> = (0..n_words).map(|_| reader.text()).collect::<Result<_, _>>()?;
    let n = tags.iter().filter(|tag| **tag != COMPLETED).count();
    (0..n)
        .map(|_| {
            let place = usize::try_from(reader.unsigned()?).map_err(|_| Malformed)?;
            words.get(place).cloned().ok_or(Malformed)
        })
        .collect()
}

fn write_reports(outcomes: &[&Outcome], out: &mut Writer) {
    let reporting = outcomes.iter().filter(|outcome| !outcome.reports.is_empty()).count();
    out.unsigned(reporting as u64);
    for (i, outcome) in outcomes.iter().enumerate() {
        if outcome.reports.is_empty() {
            continue;
        }
        out.unsigned(i as u64);
        out.unsigned(outcome.reports.len() as u64);
        let mut expected = 1u64;
        for report in &outcome.reports {
            out.signed(report.step.wrapping_sub(expected) as i64);
            out.float(report.value);
            expected = report.step.wrapping_add(1);
        }
    }
}

fn read_reports(reader: &mut Reader<'_>, outcomes: &mut [Outcome]) -> Result<(), Malformed> {
    for _ in 0..reader.count()? {
        let i = usize::try_from(reader.unsigned()?).map_err(|_| Malformed)?;
        let n = reader.count()?;
        let outcome = outcomes.get_mut(i).ok_or(Malformed)?;
        let mut expected = 1u64;
        for _ in 0..n {
            let step = expected.wrapping_add(reader.signed()? as u64);
            outcome.reports.push(Report { step, value: reader.float()? });
            expected = step.wrapping_add(1);
        }
    }
    Ok(())
}

/// How many further values each outcome has, as runs; then these values, metric by metric.
pub(super) fn write_further(outcomes: &[&Outcome], out: &mut Writer) {
    out.runs(outcomes.iter().map(|outcome| outcome.further.len() as u64));
    let width = outcomes.iter().map(|outcome| outcome.further.len()).max().unwrap_or(0);
    for metric in 0..width {
        for value in outcomes.iter().filter_map(|outcome| outcome.further.get(metric)) {
            out.float(*value);
        }
    }
}

/// Gives outcomes the further values that stand behind them.
pub(super) fn read_further(
    reader: &mut Reader<'_>,
    outcomes: &mut [Outcome],
) -> Result<(), Malformed> {
    let widths = reader.runs(outcomes.len())?;
    let width = widths.iter().copied().max().unwrap_or(0);
    if width > MAX_FURTHER as u64 {
        return Err(Malformed);
    }
    for metric in 0..width {
        for (outcome, _) in outcomes.iter_mut().zip(&widths).filter(|(_, own)| **own > metric) {
            outcome.further.push(reader.float()?);
        }
    }
    Ok(())
}
