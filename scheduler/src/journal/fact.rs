//! A fact as bytes: a tag, then what the kind needs. Long ones are cut into records that the store
//! keeps small; what a reader gets back is the same facts, blocks of outcomes joined or cut.

use fleetfit_search_spaces::trial::{MAX_FURTHER, MAX_REPORTS};
use fleetfit_search_spaces::wire::{ModelAddress, Refit};
use fleetfit_search_spaces::{Configuration, End, Outcome, Reached};

use super::bytes::{Malformed, Reader, Writer};
use super::outcomes::{self, Ends};
use super::reached;
use crate::event::{EndedBy, Fact, Mark};

/// The longest stored record. A leaf of the store's tree holds up to seventeen, and must stay below
/// the size at which sled writes a page to a file that it never syncs.
pub(super) const MAX_RECORD_BYTES: usize = 12 << 10;
/// A record of this size takes no more facts, and longer blocks of rows become several facts. The
/// store keeps a leaf or two of each of its 256 shards in memory, so that long records would have
/// memory grow with trials for very long; with shorter ones, what it remembers of every leaf would
/// count. The last record is written again with each group that adds to it, so that twice the size
/// would also write twice as much where trials end one by one.
pub(super) const FULL_BYTES: usize = 1536;
/// The longest reason that is kept.
const MAX_REASON_BYTES: usize = 4 << 10;

const PROPOSED: u8 = 0;
const ENDED: u8 = 1;
const SEARCH_ENDED: u8 = 2;
const REFITTED: u8 = 3;
const CLOSED: u8 = 4;
const REOPENED: u8 = 5;
const ELAPSED: u8 = 6;
/// A block of outcomes some of which have further values.
const ENDED_FURTHER: u8 = 7;
const REACHED: u8 = 8;
const QUEUED: u8 = 9;
/// What is written in the place of `REOPENED`.
const REOPENED_FROM: u8 = 10;
/// Tags above this one are those of later versions.
pub(super) const LAST_TAG: u8 = REOPENED_FROM;

/// One fact, ready to be stored.
pub(super) struct Encoded {
    /// Its bytes. A proposed configuration or an outcome with many reports can be longer than a
    /// record.
    pub(super) bytes: Vec<u8>,
    /// The entities that it holds outcomes of, in no order; empty for other kinds.
    pub(super) entities: Vec<u32>,
    /// The number of the configuration that it proposes.
    pub(super) proposes: Option<u32>,
}

impl Encoded {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, entities: Vec::new(), proposes: None }
    }
}

/// The facts as bytes, in order. Neighbouring blocks of outcomes are joined, long ones are cut.
pub(super) fn encode(facts: &[Fact]) -> Vec<Encoded> {
    let mut encoded = Vec::new();
    let mut ended: Vec<Kept<'_>> = Vec::new();
    for fact in facts {
        if let Fact::Ended { outcomes } = fact {
            ended.extend(outcomes.iter().map(Kept::of));
            continue;
        }
        encode_ended(&mut ended, &mut encoded);
        match fact {
            Fact::Refitted { models } => encode_refitted(models, &mut encoded),
            Fact::Reached { trials } => encode_reached(trials, &mut encoded),
            other => {
                let proposes = match other {
                    Fact::Proposed { number, .. } => Some(*number),
                    _ => None,
                };
                encoded.push(Encoded { proposes, ..Encoded::of(encode_other(other)) });
            }
        }
    }
    encode_ended(&mut ended, &mut encoded);
    encoded
}

pub(super) fn decode(bytes: &[u8]) -> Result<Fact, Malformed> {
    let mut reader = Reader(bytes);
    let fact = match reader.byte()? {
        PROPOSED => {
            Fact::Proposed { number: reader.u32()?, configuration: configuration(&mut reader)? }
        }
        ENDED => Fact::Ended { outcomes: outcomes::read(&mut reader)? },
        ENDED_FURTHER => {
            let mut outcomes = outcomes::read(&mut reader)?;
            outcomes::read_further(&mut reader, &mut outcomes)?;
            Fact::Ended { outcomes }
        }
        SEARCH_ENDED => Fact::SearchEnded { by: ended_by(reader.byte()?)? },
        REFITTED => Fact::Refitted { models: read_models(&mut reader)? },
        CLOSED => Fact::Closed,
        REOPENED => Fact::Reopened { from: u64::MAX },
        REOPENED_FROM => Fact::Reopened { from: reader.unsigned()? },
        REACHED => Fact::Reached { trials: reached::read(&mut reader)? },
        QUEUED => read_queued(&mut reader)?,
        ELAPSED => Fact::Elapsed { elapsed_ms: reader.unsigned()? },
        _ => return Err(Malformed),
    };
    reader.end()?;
    Ok(fact)
}

/// How many trials a fact's bytes end, and how.
pub(super) fn ends(bytes: &[u8]) -> Result<Ends, Malformed> {
    let mut reader = Reader(bytes);
    match reader.byte()? {
        ENDED | ENDED_FURTHER => outcomes::read_ends(&mut reader),
        _ => Ok(Ends::default()),
    }
}

/// Whether a fact's bytes are a block of outcomes.
pub(super) fn holds_outcomes(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(ENDED | ENDED_FURTHER)))
}

/// The number of the configuration that a fact's bytes propose.
pub(super) fn proposes(bytes: &[u8]) -> Option<u32> {
    let mut reader = Reader(bytes);
    (reader.byte() == Ok(PROPOSED)).then(|| reader.u32().ok()).flatten()
}

fn encode_other(fact: &Fact) -> Vec<u8> {
    let mut out = Writer::default();
    match fact {
        Fact::Proposed { number, configuration } => {
            out.byte(PROPOSED);
            out.unsigned(u64::from(*number));
            out.text(&configuration.to_json());
        }
        Fact::SearchEnded { by } => {
            out.byte(SEARCH_ENDED);
            out.byte(match by {
                EndedBy::Trials => 0,
                EndedBy::Timeout => 1,
                EndedBy::Space => 2,
                EndedBy::Cancel => 3,
                EndedBy::ExitScore => 4,
                EndedBy::Improvement => 5,
            });
        }
        Fact::Closed => out.byte(CLOSED),
        Fact::Reopened { from } => {
            out.byte(REOPENED_FROM);
            out.unsigned(*from);
        }
        Fact::Elapsed { elapsed_ms } => {
            out.byte(ELAPSED);
            out.unsigned(*elapsed_ms);
        }
        Fact::Queued { configurations, mark } => {
            out.byte(QUEUED);
            out.unsigned(configurations.len() as u64);
            configurations.iter().for_each(|queued| out.text(&queued.to_json()));
            out.byte(u8::from(mark.is_some()));
            if let Some(Mark { key, request, numbers }) = mark {
                out.unsigned(*key);
                out.unsigned(*request);
                out.unsigned(numbers.len() as u64);
                numbers.iter().for_each(|number| out.unsigned(u64::from(*number)));
            }
        }
        // Blocks have their own functions, because they may become several records.
        Fact::Ended { .. } | Fact::Refitted { .. } | Fact::Reached { .. } => {}
    }
    out.0
}

fn ended_by(byte: u8) -> Result<EndedBy, Malformed> {
    Ok(match byte {
        0 => EndedBy::Trials,
        1 => EndedBy::Timeout,
        2 => EndedBy::Space,
        3 => EndedBy::Cancel,
        4 => EndedBy::ExitScore,
        5 => EndedBy::Improvement,
        _ => return Err(Malformed),
    })
}

fn configuration(reader: &mut Reader<'_>) -> Result<Configuration, Malformed> {
    serde_json::from_slice(reader.bytes()?).map_err(|_| Malformed)
}

fn read_queued(reader: &mut Reader<'_>) -> Result<Fact, Malformed> {
    let n = reader.unsigned()?;
    let configurations = (0..n).map(|_| configuration(reader)).collect::<Result<_, _>>()?;
    let mark = match reader.byte()? {
        0 => None,
        1 => {
            let (key, request, n) = (reader.unsigned()?, reader.unsigned()?, reader.unsigned()?);
            let numbers = (0..n).map(|_| reader.u32()).collect::<Result<_, _>>()?;
            Some(Mark { key, request, numbers })
        }
        _ => return Err(Malformed),
    };
    Ok(Fact::Queued { configurations, mark })
}

fn encode_ended(ended: &mut Vec<Kept<'_>>, encoded: &mut Vec<Encoded>) {
    let outcomes: Vec<&Outcome> = ended.iter().map(Kept::outcome).collect();
    if !outcomes.is_empty() {
        cut(&outcomes, &mut |piece| {
            let mut out = Writer::default();
            let has_further = piece.iter().any(|outcome| !outcome.further.is_empty());
            out.byte(if has_further { ENDED_FURTHER } else { ENDED });
            outcomes::write(piece, &mut out);
            if has_further {
                outcomes::write_further(piece, &mut out);
            }
            out.0
        })
        .into_iter()
        .for_each(|(piece, bytes)| {
            let entities = piece.iter().map(|outcome| outcome.entity).collect();
            encoded.push(Encoded { entities, ..Encoded::of(bytes) });
        });
    }
    ended.clear();
}

fn encode_refitted(models: &[Refit], encoded: &mut Vec<Encoded>) {
    let models: Vec<Refit> = models.iter().map(bounded_refit).collect();
    let pieces = cut(&models, &mut |piece| {
        let mut out = Writer::default();
        out.byte(REFITTED);
        write_models(piece, &mut out);
        out.0
    });
    encoded.extend(pieces.into_iter().map(|(_, bytes)| Encoded::of(bytes)));
}

fn encode_reached(trials: &[Reached], encoded: &mut Vec<Encoded>) {
    let pieces = cut(trials, &mut |piece| {
        let mut out = Writer::default();
        out.byte(REACHED);
        reached::write(piece, &mut out);
        out.0
    });
    encoded.extend(pieces.into_iter().map(|(_, bytes)| Encoded::of(bytes)));
}

/// The rows in pieces about as long as a record should be. Only a row that is longer alone makes a
/// longer one.
fn cut<'a, T>(rows: &'a [T], write: &mut impl FnMut(&[T]) -> Vec<u8>) -> Vec<(&'a [T], Vec<u8>)> {
    // No row takes less than this, so that far too many rows are not written to learn it.
    const MIN_ROW_BYTES: usize = 2;
    let n_pieces = if rows.len() > FULL_BYTES / MIN_ROW_BYTES {
        rows.len().div_ceil(FULL_BYTES / MIN_ROW_BYTES)
    } else {
        let bytes = write(rows);
        if bytes.len() <= FULL_BYTES || rows.len() <= 1 {
            return vec![(rows, bytes)];
        }
        bytes.len().div_ceil(FULL_BYTES)
    };
    let pieces = rows.chunks(rows.len().div_ceil(n_pieces));
    pieces.flat_map(|piece| cut(piece, write)).collect()
}

/// An outcome as it is kept. Of thousands, hardly any differs from what was told.
enum Kept<'a> {
    AsTold(&'a Outcome),
    Shortened(Box<Outcome>),
}

impl<'a> Kept<'a> {
    /// The outcome without more text, reports and values than are kept.
    fn of(outcome: &'a Outcome) -> Self {
        let long_reason = match &outcome.end {
            End::Completed { .. } => false,
            End::Stopped { reason, .. } | End::Failed { reason } => reason.len() > MAX_REASON_BYTES,
        };
        let fits = outcome.reports.len() <= MAX_REPORTS && outcome.further.len() <= MAX_FURTHER;
        if !long_reason && fits {
            return Self::AsTold(outcome);
        }
        let mut outcome = outcome.clone();
        outcome.further.truncate(MAX_FURTHER);
        outcome.reports.truncate(MAX_REPORTS);
        if let End::Stopped { reason, .. } | End::Failed { reason } = &mut outcome.end {
            *reason = shortened(reason);
        }
        Self::Shortened(Box::new(outcome))
    }

    fn outcome(&self) -> &Outcome {
        match self {
            Self::AsTold(outcome) => outcome,
            Self::Shortened(outcome) => outcome,
        }
    }
}

pub(super) fn bounded_refit(refit: &Refit) -> Refit {
    let mut refit = refit.clone();
    if let Err(reason) = &mut refit.model {
        *reason = shortened(reason);
    }
    refit
}

/// The first bytes of a long text, with a sign that more followed.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_REASON_BYTES {
        return text.to_owned();
    }
    let mut length = MAX_REASON_BYTES - '…'.len_utf8();
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    format!("{}…", &text[..length])
}

fn write_models(models: &[Refit], out: &mut Writer) {
    out.unsigned(models.len() as u64);
    let mut expected = 0i64;
    for refit in models {
        out.signed(i64::from(refit.entity) - expected);
        out.unsigned(u64::from(refit.configuration));
        write_model(&refit.model, out);
        expected = i64::from(refit.entity) + 1;
    }
}

fn read_models(reader: &mut Reader<'_>) -> Result<Vec<Refit>, Malformed> {
    let mut expected = 0i64;
    (0..reader.count()?)
        .map(|_| {
            let entity = expected.checked_add(reader.signed()?).ok_or(Malformed)?;
            expected = entity.checked_add(1).ok_or(Malformed)?;
            Ok(Refit {
                entity: u32::try_from(entity).map_err(|_| Malformed)?,
                configuration: reader.u32()?,
                model: read_model(reader)?,
            })
        })
        .collect()
}

/// Where a model lies, or why there is none. A digest in lower-case hexadecimal takes half its
/// length.
pub(super) fn write_model(model: &Result<ModelAddress, String>, out: &mut Writer) {
    match model {
        Err(reason) => {
            out.byte(0);
            out.text(reason);
        }
        Ok(address) => {
            match from_hexadecimal(&address.digest) {
                Some(digest) => {
                    out.byte(1);
                    out.bytes(&digest);
                }
                None => {
                    out.byte(2);
                    out.text(&address.digest);
                }
            }
            out.unsigned(u64::from(address.pack));
            out.unsigned(address.offset);
            out.unsigned(u64::from(address.length));
        }
    }
}

pub(super) fn read_model(
    reader: &mut Reader<'_>,
) -> Result<Result<ModelAddress, String>, Malformed> {
    let digest = match reader.byte()? {
        0 => return Ok(Err(reader.text()?)),
        1 => to_hexadecimal(reader.bytes()?),
        2 => reader.text()?,
        _ => return Err(Malformed),
    };
    Ok(Ok(ModelAddress {
        digest,
        pack: reader.u32()?,
        offset: reader.unsigned()?,
        length: reader.u32()?,
    }))
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() % 2 == 1 {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

fn to_hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}
