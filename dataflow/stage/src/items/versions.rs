//! What is known of every key: its newest version, and which upserting sinks hold exactly that.
//!
//! Decides which sinks still need an item. Knows nothing of what is on its way (`outbox`). Invariants: a version never goes back; of two
//! contents with the same version the greater hash wins; a sink counts as holding a content only after it has said so.

use super::{Absent, Census, Counted, ItemCounts};
use crate::hash::KeyMap;
use weir_model::wire::{Reader, WireError, put_fixed, put_u64};
use weir_model::{Item, ItemId, JobId, SinkId};

/// What a state knows of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownItem {
    /// Its identity.
    pub id: ItemId,
    /// The last job that saw it.
    pub job: JobId,
    /// The newest version.
    pub version: u64,
    /// Its content.
    pub hash: u64,
    /// The sinks that have said they hold exactly that.
    pub confirmed: u32,
    /// The sinks that have marked it as gone since.
    pub delisted: u32,
    /// Its type, as that job numbers types.
    pub schema: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    version: u64,
    hash: u64,
    /// Sinks that hold exactly this hash. An appending sink's bit means nothing: it gets every item.
    confirmed: u32,
    /// The last job that saw it; jobs are few.
    job: u32,
    /// Sinks that have marked it as gone since they stored it.
    delisted: u32,
    /// Its type, as that job numbers types.
    schema: u16,
}

/// The newest versions of one slot.
#[derive(Debug, Default)]
pub(super) struct Versions(KeyMap<ItemId, Known>);

impl Versions {
    /// Which of the `upsert` sinks need this item; counts those that do not. `doubted` ones may not hold what they said.
    pub fn needed(&self, item: &Item, upsert: u32, doubted: u32, delta: &mut ItemCounts) -> u32 {
        let Some(known) = self.0.get(&item.id) else { return upsert };
        if known.hash == item.hash {
            let unchanged = upsert & known.confirmed & !known.delisted & !doubted;
            delta.unchanged += u64::from(unchanged.count_ones());
            return upsert & !unchanged;
        }
        if (item.version, item.hash) < (known.version, known.hash) {
            delta.stale += u64::from(upsert.count_ones());
            return 0;
        }
        upsert
    }

    /// Newest version wins; two with the same version: the greater content hash.
    pub fn learn(&mut self, item: &Item) {
        let known = self.0.entry(item.id).or_default();
        if (item.version, item.hash) > (known.version, known.hash) || known.version == 0 {
            if known.hash != item.hash {
                known.confirmed = 0;
            }
            known.version = item.version;
            known.hash = item.hash;
        }
        let job = u32::try_from(item.job.0).unwrap_or(u32::MAX);
        if job >= known.job {
            known.job = job;
            known.schema = item.schema;
        }
    }

    /// A sink says that it has stored this item: it holds this content, and no other.
    pub fn confirm(&mut self, item: &Item, sink: SinkId) {
        let bit = 1 << sink.0;
        if let Some(known) = self.0.get_mut(&item.id) {
            known.delisted &= !bit;
            if known.hash == item.hash {
                known.confirmed |= bit;
            } else {
                known.confirmed &= !bit;
            }
        }
    }

    /// A sink holds nothing any more.
    pub fn forget_sink(&mut self, sink: SinkId) {
        for known in self.0.values_mut() {
            known.confirmed &= !(1 << sink.0);
            known.delisted &= !(1 << sink.0);
        }
    }

    /// A sink has marked this listing as gone, or does not hold it. It is written again when it comes back, whatever is in it.
    pub fn delisted(&mut self, id: ItemId, sink: SinkId) {
        if let Some(known) = self.0.get_mut(&id) {
            known.delisted |= 1 << sink.0;
        }
    }

    /// Another stage keeps what is known of this listing. Should it come here again, every sink is asked again.
    pub fn forget(&mut self, id: ItemId) {
        self.0.remove(&id);
    }

    /// What a crawl saw, and what it did not see of what its forerunners saw last.
    pub fn count(&self, census: &Census, counted: &mut Counted) {
        for (id, known) in &self.0 {
            let job = JobId(u64::from(known.job));
            let sinks = census.sinks & !known.delisted;
            if job >= census.job && census.asked.contains(id) {
                counted.found.push(*id);
            }
            if job == census.job {
                counted.seen += 1;
            } else if sinks != 0 && census.earlier.contains(&job) {
                counted.absent.push(Absent { id: *id, job, schema: known.schema, sinks });
            }
        }
    }

    /// What another stage knew: the newer of two versions wins; of one that both know, a sink holds what either has seen it confirm.
    pub fn take_over(&mut self, other: &KnownItem) {
        let known = self.0.entry(other.id).or_default();
        let same = (other.version, other.hash) == (known.version, known.hash);
        if same {
            known.confirmed |= other.confirmed;
            known.delisted |= other.delisted;
        } else if (other.version, other.hash) > (known.version, known.hash) {
            let (version, hash, confirmed, delisted) = (other.version, other.hash, other.confirmed, other.delisted);
            *known = Known { version, hash, confirmed, delisted, ..*known };
        }
        let job = u32::try_from(other.job.0).unwrap_or(u32::MAX);
        if job >= known.job {
            known.job = job;
            known.schema = other.schema;
        }
    }

    /// Everything that is known.
    pub fn each(&self, visit: &mut dyn FnMut(KnownItem)) {
        for (id, known) in &self.0 {
            let Known { version, hash, confirmed, job, delisted, schema } = *known;
            let job = JobId(u64::from(job));
            visit(KnownItem { id: *id, job, version, hash, confirmed, delisted, schema });
        }
    }

    /// Streams all of it.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        put_u64(out, self.0.len() as u64);
        for (id, known) in &self.0 {
            out.extend_from_slice(&id.0.to_le_bytes());
            put_u64(out, known.version);
            put_fixed(out, known.hash);
            put_u64(out, u64::from(known.confirmed) | u64::from(known.job) << 32);
        }
    }

    /// Streams what only few have: types other than the first, and marks.
    pub fn snapshot_marks(&self, out: &mut Vec<u8>) {
        let has = |known: &Known| known.schema != 0 || known.delisted != 0;
        put_u64(out, self.0.values().filter(|known| has(known)).count() as u64);
        for (id, known) in self.0.iter().filter(|(_, known)| has(known)) {
            out.extend_from_slice(&id.0.to_le_bytes());
            put_u64(out, u64::from(known.delisted) | u64::from(known.schema) << 32);
        }
    }

    /// Restores what `snapshot` streamed.
    pub fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        for _ in 0..reader.u64()? {
            let id: [u8; 16] = reader.take(16)?.try_into().expect("take gives exactly sixteen");
            let (version, hash) = (reader.u64()?, reader.fixed()?);
            let both = reader.u64()?;
            let (confirmed, job) = (both as u32, (both >> 32) as u32);
            let known = Known { version, hash, confirmed, job, ..Known::default() };
            self.0.insert(ItemId(u128::from_le_bytes(id)), known);
        }
        Ok(())
    }

    /// Restores what `snapshot_marks` streamed; snapshots of earlier versions end before it.
    pub fn restore_marks(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        if reader.is_empty() {
            return Ok(());
        }
        for _ in 0..reader.u64()? {
            let id: [u8; 16] = reader.take(16)?.try_into().expect("take gives exactly sixteen");
            let both = reader.u64()?;
            if let Some(known) = self.0.get_mut(&ItemId(u128::from_le_bytes(id))) {
                known.delisted = both as u32;
                known.schema = (both >> 32) as u16;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn item(version: u64, hash: u64) -> Item {
        Item { job: JobId(1), schema: 0, id: ItemId(7), hash, version, values: Vec::new() }
    }

    fn needed(versions: &Versions, item: &Item) -> (u32, ItemCounts) {
        let mut delta = ItemCounts::default();
        (versions.needed(item, 0b11, 0, &mut delta), delta)
    }

    #[test]
    fn of_one_version_the_greater_hash_is_the_newest_in_either_order() {
        for order in [[5, 9], [9, 5]] {
            let mut versions = Versions::default();
            order.iter().for_each(|hash| versions.learn(&item(3, *hash)));
            assert_eq!(needed(&versions, &item(3, 5)).1.stale, 2, "{order:?}");
            assert_eq!(needed(&versions, &item(3, 9)).0, 0b11, "{order:?}: nobody has said that he holds it");
        }
    }

    #[test]
    fn a_content_that_a_sink_has_replaced_is_not_taken_for_held() {
        let mut versions = Versions::default();
        // Three are on their way, first and last with one content.
        [item(1, 5), item(2, 9), item(3, 5)].iter().for_each(|item| versions.learn(item));
        versions.confirm(&item(1, 5), SinkId(0));
        assert_eq!(needed(&versions, &item(4, 5)).0, 0b10);
        versions.confirm(&item(2, 9), SinkId(0));
        assert_eq!(needed(&versions, &item(4, 5)).0, 0b11, "it holds the second now");
        versions.confirm(&item(3, 5), SinkId(0));
        assert_eq!(needed(&versions, &item(4, 5)).0, 0b10);
    }

    #[test]
    fn a_newer_version_of_an_unchanged_content_moves_the_version_and_keeps_who_holds_it() {
        let mut versions = Versions::default();
        versions.learn(&item(1, 5));
        versions.confirm(&item(1, 5), SinkId(1));
        versions.learn(&item(8, 5));
        assert_eq!(needed(&versions, &item(9, 5)), (0b01, ItemCounts { unchanged: 1, ..ItemCounts::default() }));
        assert_eq!(needed(&versions, &item(4, 6)).1.stale, 2, "older than the eighth");
        let mut delta = ItemCounts::default();
        assert_eq!(versions.needed(&item(9, 5), 0b11, 0b10, &mut delta), 0b11, "it may have been emptied");
        assert_eq!(delta, ItemCounts::default());
    }

    #[test]
    fn a_listing_that_comes_back_unchanged_is_written_to_those_that_marked_it_as_gone() {
        let mut versions = Versions::default();
        versions.learn(&item(1, 5));
        (0..2).for_each(|sink| versions.confirm(&item(1, 5), SinkId(sink)));
        versions.delisted(ItemId(7), SinkId(1));
        let back = Item { job: JobId(2), ..item(9, 5) };
        assert_eq!(needed(&versions, &back).0, 0b10);
        versions.learn(&back);
        assert_eq!(needed(&versions, &back).0, 0b10, "it has not stored it yet");
        versions.confirm(&back, SinkId(1));
        assert_eq!(needed(&versions, &back).0, 0);
    }

    #[test]
    fn of_what_two_stages_knew_the_newer_is_kept_whichever_comes_first() {
        let of = |version, hash, confirmed, job| KnownItem {
            id: ItemId(7),
            job: JobId(job),
            version,
            hash,
            confirmed,
            delisted: 0,
            schema: 2,
        };
        let (older, newer) = (of(3, 5, 0b11, 1), of(8, 9, 0b10, 4));
        for order in [[older, newer], [newer, older]] {
            let mut versions = Versions::default();
            order.iter().for_each(|known| versions.take_over(known));
            let mut seen = Vec::new();
            versions.each(&mut |known| seen.push(known));
            assert_eq!(seen, [newer]);
            versions.take_over(&of(8, 9, 0b01, 4));
            assert_eq!(needed(&versions, &item(9, 9)).0, 0, "both sinks have said so, each to another stage");
        }
    }

    #[test]
    fn absent_is_what_a_forerunner_saw_last_and_this_crawl_did_not() {
        let mut versions = Versions::default();
        let seen = |job, id| Item { job: JobId(job), id: ItemId(id), schema: 3, ..item(1, 5) };
        for (job, id) in [(1, 1), (1, 2), (2, 2), (1, 3), (4, 3), (1, 4)] {
            versions.learn(&seen(job, id));
        }
        let counted = |versions: &Versions, sinks| {
            let mut counted = Counted::default();
            let asked = Arc::new([1, 2, 3, 9].map(ItemId).into());
            versions.count(&Census { job: JobId(4), earlier: vec![JobId(1)], sinks, asked }, &mut counted);
            counted.absent.sort_by_key(|absent| absent.id.0);
            counted
        };
        versions.delisted(ItemId(4), SinkId(0));
        // The second was seen by another's job since.
        let absent = |id, sinks| Absent { id: ItemId(id), job: JobId(1), schema: 3, sinks };
        let all = Counted { seen: 1, absent: vec![absent(1, 0b11), absent(4, 0b10)], found: vec![ItemId(3)] };
        assert_eq!(counted(&versions, 0b11), all);
        let mut bytes = Vec::new();
        versions.snapshot(&mut bytes);
        versions.snapshot_marks(&mut bytes);
        let mut restored = Versions::default();
        let mut reader = Reader::new(&bytes);
        restored.restore(&mut reader).and_then(|()| restored.restore_marks(&mut reader)).expect("what was written");
        assert_eq!(counted(&restored, 0b11), all);
        versions.forget_sink(SinkId(0));
        assert_eq!(counted(&versions, 0b01).absent.len(), 2, "an emptied sink is asked again");
        versions.forget(ItemId(1));
        assert_eq!(counted(&versions, 0b01).absent, [absent(4, 0b01)], "another stage keeps it now");
    }
}
