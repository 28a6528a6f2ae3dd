//! The driver's own journal records (types 128 and up; below are the frontier's and the stage's).
//!
//! Invariant: what is read back is what was written, or an error; never a panic.

use crate::exchange::{Peer, Runs};
use std::ops::Range;
use weir_model::wire::{Reader, WireError, put_bytes, put_u64};
use weir_model::{JobId, Outcome, SinkId};

/// The first type byte of the driver's records.
pub(crate) const FIRST: u8 = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Start URLs before `next` were offered.
    StartProgress { job: JobId, next: u64 },
    /// A sink's confirmed position.
    SinkMark { job: JobId, sink: SinkId, mark: Vec<u8> },
    /// A job ended for good.
    JobEnd { job: JobId, outcome: Outcome },
    /// A counted remark of extraction.
    Note { job: JobId, counter: String, count: u64, example: String },
    /// A shard was admitted; its start URLs by number, if it names them so.
    ShardTaken { job: JobId, shard: u32, shards: u32, range: Range<u64> },
    /// URLs are handed on.
    ParcelOut { job: JobId, to: u32, id: u64, urls: u64, body: String },
    /// They lie on their owner's queue.
    ParcelSent { job: JobId, to: u32, id: u64 },
    /// URLs were taken in.
    ParcelTaken { job: JobId, from: u32, id: u64, urls: u64 },
    /// All counts with another stage, in a snapshot.
    Peer { job: JobId, stage: u32, peer: Peer },
    /// A job is being stopped for good.
    JobStop { job: JobId, outcome: Outcome },
    /// So many parts of another stage's export are here.
    Imported { export: u128, parts: u64 },
    /// A dead letter.
    Letter { job: JobId, id: u64, body: Vec<u8> },
    /// A dead letter entered again.
    LetterGone { job: JobId, id: u64 },
    /// So many dead letters found no room, of all jobs.
    LettersBeyond { job: JobId, count: u64 },
    /// In snapshots: a dead letter that is there.
    LetterKept { job: JobId, id: u64, bytes: u64 },
    /// In snapshots: the last number that was given.
    LetterLast { job: JobId, id: u64 },
    /// A sink was found new or emptied when this job opened it: what it confirmed before it holds no more.
    SinkReset { job: JobId, sink: SinkId },
}

fn body(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::StartProgress { job, next } => {
            out.push(FIRST);
            put_u64(out, job.0);
            put_u64(out, *next);
        }
        Record::SinkMark { job, sink, mark } => {
            out.push(FIRST + 1);
            put_u64(out, job.0);
            out.push(sink.0);
            put_bytes(out, mark);
        }
        Record::SinkReset { job, sink } => {
            out.push(FIRST + 9);
            put_u64(out, job.0);
            out.push(sink.0);
        }
        Record::JobEnd { job, outcome } => {
            out.push(FIRST + 2);
            put_u64(out, job.0);
            out.push(*outcome as u8);
        }
        Record::Note { job, counter, count, example } => {
            out.push(FIRST + 3);
            put_u64(out, job.0);
            put_bytes(out, counter.as_bytes());
            put_u64(out, *count);
            put_bytes(out, example.as_bytes());
        }
        Record::ShardTaken { job, shard, shards, range } => {
            let fields = [u64::from(*shard), u64::from(*shards), range.start, range.end];
            numbers(out, 20, *job, &fields);
        }
        Record::ParcelOut { job, to, id, urls, body } => {
            numbers(out, 21, *job, &[u64::from(*to), *id, *urls]);
            put_bytes(out, body.as_bytes());
        }
        Record::ParcelSent { job, to, id } => numbers(out, 22, *job, &[u64::from(*to), *id]),
        Record::ParcelTaken { job, from, id, urls } => numbers(out, 23, *job, &[u64::from(*from), *id, *urls]),
        Record::Peer { job, stage, peer } => {
            let counts = [u64::from(*stage), peer.sent, peer.parcels, peer.received, peer.ids.0.len() as u64];
            numbers(out, 24, *job, &counts);
            for (first, last) in &peer.ids.0 {
                put_u64(out, *first);
                put_u64(out, *last);
            }
        }
        Record::JobStop { job, outcome } => numbers(out, 25, *job, &[*outcome as u64]),
        Record::Imported { export, parts } => {
            numbers(out, 26, JobId::default(), &[(*export >> 64) as u64, *export as u64, *parts]);
        }
        Record::Letter { job, id, body } => {
            out.push(FIRST + 4);
            put_u64(out, job.0);
            put_u64(out, *id);
            put_bytes(out, body);
        }
        Record::LetterGone { job, id } => {
            out.push(FIRST + 5);
            put_u64(out, job.0);
            put_u64(out, *id);
        }
        Record::LettersBeyond { job, count } => {
            out.push(FIRST + 6);
            put_u64(out, job.0);
            put_u64(out, *count);
        }
        Record::LetterKept { job, id, bytes } => {
            out.push(FIRST + 7);
            put_u64(out, job.0);
            put_u64(out, *id);
            put_u64(out, *bytes);
        }
        Record::LetterLast { job, id } => {
            out.push(FIRST + 8);
            put_u64(out, job.0);
            put_u64(out, *id);
        }
    }
}

fn numbers(out: &mut Vec<u8>, kind: u8, job: JobId, fields: &[u64]) {
    out.push(FIRST + kind);
    put_u64(out, job.0);
    fields.iter().for_each(|field| put_u64(out, *field));
}

/// Appends a record with its length in front, as the journal wants it.
pub(crate) fn framed(out: &mut Vec<u8>, record: &Record) {
    let mut bytes = Vec::with_capacity(32);
    body(&mut bytes, record);
    put_bytes(out, &bytes);
}

/// The same layout inside a snapshot section.
pub(crate) fn nested(out: &mut Vec<u8>, record: &Record) {
    framed(out, record);
}

/// Reads a record's body.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Record, WireError> {
    let kind = reader.u8()?;
    let job = JobId(reader.u64()?);
    match kind - FIRST.min(kind) {
        0 => Ok(Record::StartProgress { job, next: reader.u64()? }),
        1 => Ok(Record::SinkMark { job, sink: SinkId(reader.u8()?), mark: reader.bytes()?.to_vec() }),
        2 => {
            let outcome = Outcome::from_code(reader.u8()?).ok_or(WireError { expected: "an outcome" })?;
            Ok(Record::JobEnd { job, outcome })
        }
        3 => Ok(Record::Note {
            job,
            counter: reader.str()?.to_owned(),
            count: reader.u64()?,
            example: reader.str()?.to_owned(),
        }),
        20 => {
            let (shard, shards) = (stage(reader)?, stage(reader)?);
            let (start, end) = (reader.u64()?, reader.u64()?);
            if start > end {
                return Err(WireError { expected: "a range that ends where it begins or behind" });
            }
            Ok(Record::ShardTaken { job, shard, shards, range: start..end })
        }
        21 => {
            let (to, id, urls) = (stage(reader)?, reader.u64()?, reader.u64()?);
            Ok(Record::ParcelOut { job, to, id, urls, body: reader.str()?.to_owned() })
        }
        22 => Ok(Record::ParcelSent { job, to: stage(reader)?, id: reader.u64()? }),
        23 => Ok(Record::ParcelTaken { job, from: stage(reader)?, id: reader.u64()?, urls: reader.u64()? }),
        24 => {
            let number = stage(reader)?;
            let (sent, parcels, received) = (reader.u64()?, reader.u64()?, reader.u64()?);
            let mut ids = Runs::default();
            for _ in 0..reader.u64()? {
                ids.0.insert(reader.u64()?, reader.u64()?);
            }
            Ok(Record::Peer { job, stage: number, peer: Peer { sent, parcels, received, ids } })
        }
        25 => {
            let code = u8::try_from(reader.u64()?).ok().and_then(Outcome::from_code);
            Ok(Record::JobStop { job, outcome: code.ok_or(WireError { expected: "an outcome" })? })
        }
        26 => {
            let export = u128::from(reader.u64()?) << 64 | u128::from(reader.u64()?);
            Ok(Record::Imported { export, parts: reader.u64()? })
        }
        4 => Ok(Record::Letter { job, id: reader.u64()?, body: reader.bytes()?.to_vec() }),
        5 => Ok(Record::LetterGone { job, id: reader.u64()? }),
        6 => Ok(Record::LettersBeyond { job, count: reader.u64()? }),
        7 => Ok(Record::LetterKept { job, id: reader.u64()?, bytes: reader.u64()? }),
        8 => Ok(Record::LetterLast { job, id: reader.u64()? }),
        9 => Ok(Record::SinkReset { job, sink: SinkId(reader.u8()?) }),
        _ => Err(WireError { expected: "a record of the driver" }),
    }
}

fn stage(reader: &mut Reader<'_>) -> Result<u32, WireError> {
    u32::try_from(reader.u64()?).map_err(|_| WireError { expected: "a number of 32 bits" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let records = [
            Record::StartProgress { job: JobId(3), next: 1 << 40 },
            Record::SinkMark { job: JobId(3), sink: SinkId(1), mark: b"123".to_vec() },
            Record::JobEnd { job: JobId(9), outcome: Outcome::ClosespiderTimeout },
            Record::Note { job: JobId(1), counter: "a/b".into(), count: 7, example: "£".into() },
            Record::ShardTaken { job: JobId(4), shard: 3, shards: 20, range: 250..333 },
            Record::ParcelOut { job: JobId(4), to: 1, id: 9, urls: 300, body: "{}".into() },
            Record::ParcelSent { job: JobId(4), to: 1, id: 9 },
            Record::ParcelTaken { job: JobId(4), from: 1, id: 9, urls: 300 },
            Record::Peer {
                job: JobId(4),
                stage: 1,
                peer: Peer { sent: 5, parcels: 2, received: 7, ids: Runs([(0, 3), (5, 5)].into()) },
            },
            Record::JobStop { job: JobId(4), outcome: Outcome::Cancelled },
            Record::Imported { export: u128::MAX - 7, parts: 4 },
            Record::Letter { job: JobId(1), id: 300, body: b"{}".to_vec() },
            Record::LetterGone { job: JobId(2), id: 1 << 50 },
            Record::LettersBeyond { job: JobId(2), count: 7 },
            Record::LetterKept { job: JobId(0), id: 9, bytes: 1 << 20 },
            Record::LetterLast { job: JobId(0), id: 9 },
            Record::SinkReset { job: JobId(5), sink: SinkId(31) },
        ];
        for record in records {
            let mut bytes = Vec::new();
            framed(&mut bytes, &record);
            let mut reader = Reader::new(&bytes);
            let body = reader.bytes().expect("a whole record");
            assert!(reader.is_empty());
            assert_eq!(read(&mut Reader::new(body)), Ok(record));
            for cut in 0..body.len() {
                assert!(read(&mut Reader::new(&body[..cut])).is_err(), "cut at {cut}");
            }
        }
    }
}
