//! What is known of every key: its newest version, and which upserting sinks hold exactly that.
//!
//! Decides which sinks still need an item. Knows nothing of what is on its way (`outbox`). Invariants: a version never goes back; of two
//! contents with the same version the greater hash wins; a sink counts as holding a content only after it has said so.

use super::ItemCounts;
use crate::hash::KeyMap;
use weir_model::wire::{Reader, WireError, put_fixed, put_u64};
use weir_model::{Item, ItemId, JobId, SinkId};

/// What a state knows of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownItem {
    /// Its identity.
    pub id: ItemId,
    /// The job of its newest version.
    pub job: JobId,
    /// The newest version.
    pub version: u64,
    /// Its content.
    pub hash: u64,
    /// The sinks that have said they hold exactly that.
    pub confirmed: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    version: u64,
    hash: u64,
    /// Sinks that hold exactly this hash. An appending sink's bit means nothing: it gets every item.
    confirmed: u32,
    /// The job of the newest version; in the room that alignment leaves.
    job: u32,
}

/// The newest versions of one slot.
#[derive(Debug, Default)]
pub(super) struct Versions(KeyMap<ItemId, Known>);

impl Versions {
    /// Which of the `upsert` sinks need this item; counts those that do not.
    pub fn needed(&self, item: &Item, upsert: u32, delta: &mut ItemCounts) -> u32 {
        let Some(known) = self.0.get(&item.id) else { return upsert };
        if known.hash == item.hash {
            let unchanged = upsert & known.confirmed;
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
            known.job = u32::try_from(item.job.0).unwrap_or(u32::MAX);
            known.hash = item.hash;
        }
    }

    /// A sink says that it has stored this item: it holds this content, and no other.
    pub fn confirm(&mut self, item: &Item, sink: SinkId) {
        let bit = 1 << sink.0;
        if let Some(known) = self.0.get_mut(&item.id) {
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
        }
    }

    /// Everything that is known.
    pub fn each(&self, visit: &mut dyn FnMut(KnownItem)) {
        for (id, known) in &self.0 {
            let Known { version, hash, confirmed, job } = *known;
            visit(KnownItem { id: *id, job: JobId(u64::from(job)), version, hash, confirmed });
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

    /// Restores what `snapshot` streamed.
    pub fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        for _ in 0..reader.u64()? {
            let id: [u8; 16] = reader.take(16)?.try_into().expect("take gives exactly sixteen");
            let (version, hash) = (reader.u64()?, reader.fixed()?);
            let both = reader.u64()?;
            let (confirmed, job) = (both as u32, (both >> 32) as u32);
            self.0.insert(ItemId(u128::from_le_bytes(id)), Known { version, hash, confirmed, job });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(version: u64, hash: u64) -> Item {
        Item { job: JobId(1), schema: 0, id: ItemId(7), hash, version, values: Vec::new() }
    }

    fn needed(versions: &Versions, item: &Item) -> (u32, ItemCounts) {
        let mut delta = ItemCounts::default();
        (versions.needed(item, 0b11, &mut delta), delta)
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
    }
}
