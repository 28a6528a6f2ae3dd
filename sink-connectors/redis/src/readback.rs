//! Reading back: every item's hash under the sink's prefix, its fields as values again. Changes nothing.

use crate::link::Link;
use crate::schema::Keys;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use weir_connector::{SinkError, StoredItem, read};
use weir_model::{ItemId, ItemSchema};

/// Keys asked for at once.
const SCAN_COUNT: usize = 1_000;

/// Where a walk over the keys of an item type stands.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    cursor: u64,
    /// A walk may meet a key twice.
    seen: HashSet<u128>,
    is_over: bool,
}

impl Walk {
    /// The next items; `None` when there are no more.
    pub async fn next(
        &mut self,
        link: &mut Link,
        number: u16,
        schema: &Arc<ItemSchema>,
        keys: &Keys,
    ) -> Result<Option<Vec<StoredItem>>, SinkError> {
        if self.is_over {
            return Ok(None);
        }
        let mut command = redis::cmd("SCAN");
        command.arg(self.cursor).arg("MATCH").arg(keys.pattern()).arg("COUNT").arg(SCAN_COUNT);
        let (cursor, found): (u64, Vec<String>) = link.ask("read", command).await?;
        self.cursor = cursor;
        self.is_over = cursor == 0;
        let ids: Vec<ItemId> =
            found.iter().filter_map(|key| keys.id_of(key)).filter(|id| self.seen.insert(id.0)).collect();
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.cmd("HGETALL").arg(keys.item(*id));
        }
        let hashes: Vec<BTreeMap<String, String>> =
            if ids.is_empty() { Vec::new() } else { link.all("read", pipe).await? };
        let stored = ids.into_iter().zip(hashes).filter(|(_, hash)| !hash.is_empty()).map(|(id, hash)| StoredItem {
            schema: number,
            id: Some(id),
            version: hash.get("_version").and_then(|version| version.parse().ok()),
            hash: hash.get("_hash").and_then(|hash| u64::from_str_radix(hash, 16).ok()),
            values: schema
                .fields
                .iter()
                .map(|field| read::from_text(field, hash.get(&field.name).map(String::as_str)))
                .collect(),
        });
        Ok(Some(stored.collect()))
    }
}
