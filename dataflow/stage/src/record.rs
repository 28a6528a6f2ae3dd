//! The stage's own journal records (types 64 to 127; below are the frontier's, above the driver's).
//!
//! Layout of every record: varint length of what follows, type byte, slot byte, fields. Invariant: a reader refuses bytes
//! that a writer did not make, and never panics.

use crate::compute::ComputeId;
use crate::items::{Delisted, KnownItem, OutboxId, SeenElsewhere, SinkVerdict};
use weir_geo::Waiter;
use weir_model::wire::{Reader, WireError, put_fixed, put_item, put_u64, read_item};
use weir_model::{Item, ItemId, JobId, ReleaseId, SinkId};

/// An item entered the outbox.
pub(crate) const OUTBOX: u8 = 64;
/// A sink settled an item.
pub(crate) const CONFIRMED: u8 = 65;
/// All sinks of an item have settled.
pub(crate) const ITEM_DONE: u8 = 66;
/// What a geocoder must not forget. Its slot says nothing: every worker reads all of them.
pub(crate) const GEO: u8 = 67;
/// An item waits for a location.
pub(crate) const WAITS: u8 = 68;
/// It goes on: its `OUTBOX` record is of the same step. Fields as those of `ITEM_DONE`.
pub(crate) const WAIT_ENDED: u8 = 69;
/// A sink has marked listings as gone.
pub(crate) const DELISTED: u8 = 70;

/// An item waits for a computation. Fields as those of `WAITS`.
pub(crate) const COMPUTES: u8 = 71;
/// It goes on: what it is then is in another record of the same group. Fields as those of `ITEM_DONE`.
pub(crate) const COMPUTE_ENDED: u8 = 72;
/// A computation failed on it: it ends here. Fields as those of `ITEM_DONE`.
pub(crate) const COMPUTE_REFUSED: u8 = 73;
/// What another stage knew of items, exported.
pub(crate) const KNOWN: u8 = 74;
/// Another stage has seen listings that this one knew.
pub(crate) const SEEN_ELSEWHERE: u8 = 75;

/// Appends one record, its length in front.
pub(crate) fn framed(journal: &mut Vec<u8>, kind: u8, slot: u8, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = journal.len();
    // Room for a length of up to 2^21; longer records shift their body once.
    journal.extend_from_slice(&[0, 0, 0, kind, slot]);
    fields(journal);
    let length = journal.len() - start - 3;
    if length < 1 << 21 {
        journal[start] = (length as u8 & 0x7f) | 0x80;
        journal[start + 1] = ((length >> 7) as u8 & 0x7f) | 0x80;
        journal[start + 2] = (length >> 14) as u8;
    } else {
        let body = journal.split_off(start + 3);
        journal.truncate(start);
        put_u64(journal, body.len() as u64);
        journal.extend_from_slice(&body);
    }
}

pub(crate) fn outbox(journal: &mut Vec<u8>, slot: u8, id: OutboxId, page: ReleaseId, waiting: u32, item: &Item) {
    framed(journal, OUTBOX, slot, |out| put_outbox_fields(out, id, page, waiting, item));
}

pub(crate) fn put_outbox_fields(out: &mut Vec<u8>, id: OutboxId, page: ReleaseId, waiting: u32, item: &Item) {
    put_fixed(out, id.0);
    put_fixed(out, page.0);
    put_u64(out, u64::from(waiting));
    put_item(out, item);
}

pub(crate) struct OutboxRecord {
    pub id: OutboxId,
    pub page: ReleaseId,
    pub waiting: u32,
    pub item: Item,
}

/// The item of a journal record that puts one into the outbox; `None`: another record.
#[must_use]
pub fn item_of_record(record: &[u8]) -> Option<Item> {
    let mut fields = Reader::new(record);
    if fields.u8().ok()? != OUTBOX {
        return None;
    }
    fields.u8().ok()?;
    read_outbox(&mut fields).ok().map(|outbox| outbox.item)
}

pub(crate) fn read_outbox(reader: &mut Reader<'_>) -> Result<OutboxRecord, WireError> {
    Ok(OutboxRecord {
        id: OutboxId(reader.fixed()?),
        page: ReleaseId(reader.fixed()?),
        waiting: reader.u64()? as u32,
        item: read_item(reader)?,
    })
}

pub(crate) fn confirmed(journal: &mut Vec<u8>, slot: u8, id: OutboxId, sink: SinkId, verdict: SinkVerdict) {
    framed(journal, CONFIRMED, slot, |out| {
        put_fixed(out, id.0);
        out.push(sink.0);
        out.push(match verdict {
            SinkVerdict::Stored => 0,
            SinkVerdict::Stale => 1,
            SinkVerdict::Refused => 2,
            SinkVerdict::Missed => 3,
        });
    });
}

pub(crate) fn read_confirmed(reader: &mut Reader<'_>) -> Result<(OutboxId, SinkId, SinkVerdict), WireError> {
    let id = OutboxId(reader.fixed()?);
    let sink = SinkId(reader.u8()?);
    if sink.0 >= 32 {
        return Err(WireError { expected: "a sink, 0 to 31" });
    }
    let verdict = match reader.u8()? {
        0 => SinkVerdict::Stored,
        1 => SinkVerdict::Stale,
        2 => SinkVerdict::Refused,
        3 => SinkVerdict::Missed,
        _ => return Err(WireError { expected: "a sink's verdict" }),
    };
    Ok((id, sink, verdict))
}

pub(crate) fn item_done(journal: &mut Vec<u8>, slot: u8, id: OutboxId, page: ReleaseId, job: JobId) {
    framed(journal, ITEM_DONE, slot, |out| {
        put_fixed(out, id.0);
        put_fixed(out, page.0);
        put_u64(out, job.0);
    });
}

pub(crate) fn waits(journal: &mut Vec<u8>, slot: u8, waiter: Waiter, page: ReleaseId, item: &Item) {
    framed(journal, WAITS, slot, |out| put_waits_fields(out, waiter, page, item));
}

pub(crate) fn put_waits_fields(out: &mut Vec<u8>, waiter: Waiter, page: ReleaseId, item: &Item) {
    put_fixed(out, waiter.0);
    put_fixed(out, page.0);
    put_item(out, item);
}

pub(crate) fn read_waits(reader: &mut Reader<'_>) -> Result<(Waiter, ReleaseId, Item), WireError> {
    Ok((Waiter(reader.fixed()?), ReleaseId(reader.fixed()?), read_item(reader)?))
}

pub(crate) fn wait_ended(journal: &mut Vec<u8>, slot: u8, waiter: Waiter, page: ReleaseId, job: JobId) {
    framed(journal, WAIT_ENDED, slot, |out| {
        put_fixed(out, waiter.0);
        put_fixed(out, page.0);
        put_u64(out, job.0);
    });
}

pub(crate) fn computes(journal: &mut Vec<u8>, id: ComputeId, page: ReleaseId, item: &Item) {
    framed(journal, COMPUTES, id.slot(), |out| put_waits_fields(out, Waiter(id.0), page, item));
}

/// `kind`: `COMPUTE_ENDED` or `COMPUTE_REFUSED`.
pub(crate) fn compute_ended(journal: &mut Vec<u8>, kind: u8, id: ComputeId, page: ReleaseId, job: JobId) {
    framed(journal, kind, id.slot(), |out| {
        put_fixed(out, id.0);
        put_fixed(out, page.0);
        put_u64(out, job.0);
    });
}

pub(crate) fn delisted(journal: &mut Vec<u8>, delisted: &Delisted) {
    framed(journal, DELISTED, delisted.slot, |out| {
        out.push(delisted.sink.0);
        put_ids(out, &delisted.ids);
    });
}

pub(crate) fn read_delisted(slot: u8, reader: &mut Reader<'_>) -> Result<Delisted, WireError> {
    let sink = SinkId(reader.u8()?);
    if sink.0 >= 32 {
        return Err(WireError { expected: "a sink, 0 to 31" });
    }
    Ok(Delisted { slot, sink, ids: read_ids(reader)? })
}

pub(crate) fn seen_elsewhere(journal: &mut Vec<u8>, seen: &SeenElsewhere) {
    framed(journal, SEEN_ELSEWHERE, seen.slot, |out| put_ids(out, &seen.ids));
}

pub(crate) fn read_seen_elsewhere(slot: u8, reader: &mut Reader<'_>) -> Result<SeenElsewhere, WireError> {
    Ok(SeenElsewhere { slot, ids: read_ids(reader)? })
}

fn put_ids(out: &mut Vec<u8>, ids: &[ItemId]) {
    put_u64(out, ids.len() as u64);
    ids.iter().for_each(|id| out.extend_from_slice(&id.0.to_le_bytes()));
}

fn read_ids(reader: &mut Reader<'_>) -> Result<Vec<ItemId>, WireError> {
    (0..reader.u64()?)
        .map(|_| {
            let id: [u8; 16] = reader.take(16)?.try_into().expect("take gives exactly sixteen");
            Ok(ItemId(u128::from_le_bytes(id)))
        })
        .collect()
}

/// Appends a record of items that another stage knew, all of one slot.
pub fn put_known(journal: &mut Vec<u8>, slot: u8, items: &[KnownItem]) {
    framed(journal, KNOWN, slot, |out| {
        put_u64(out, items.len() as u64);
        for item in items {
            put_known_item(out, item);
        }
    });
}

/// Appends what is known of one item.
pub fn put_known_item(out: &mut Vec<u8>, item: &KnownItem) {
    out.extend_from_slice(&item.id.0.to_le_bytes());
    put_u64(out, item.version);
    put_fixed(out, item.hash);
    for number in [item.job.0, u64::from(item.confirmed), u64::from(item.delisted), u64::from(item.schema)] {
        put_u64(out, number);
    }
}

/// Reads what `put_known_item` wrote.
///
/// # Errors
/// When it is something else.
pub fn read_known_item(reader: &mut Reader<'_>) -> Result<KnownItem, WireError> {
    let id: [u8; 16] = reader.take(16)?.try_into().expect("take gives exactly sixteen");
    let (version, hash, job) = (reader.u64()?, reader.fixed()?, JobId(reader.u64()?));
    let mask = |bits: u64| u32::try_from(bits).map_err(|_| WireError { expected: "a mask of 32 sinks" });
    let (confirmed, delisted) = (mask(reader.u64()?)?, mask(reader.u64()?)?);
    let schema = u16::try_from(reader.u64()?).map_err(|_| WireError { expected: "the number of an item type" })?;
    Ok(KnownItem { id: ItemId(u128::from_le_bytes(id)), job, version, hash, confirmed, delisted, schema })
}

pub(crate) fn read_known(reader: &mut Reader<'_>) -> Result<Vec<KnownItem>, WireError> {
    (0..reader.u64()?).map(|_| read_known_item(reader)).collect()
}
