//! Reading back: every document of the job's item types, its fields as values again. Changes nothing.

use crate::alias;
use crate::index::name_of;
use crate::link::Link;
use crate::migrate::{Cursor, Hit};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use weir_connector::{Read, SinkError, StoredItem, read};
use weir_model::{ItemId, ItemSchema, Value};

/// The documents of one item type, as they were when the reading began.
pub(crate) struct Reading {
    link: Link,
    number: usize,
    schema: Arc<ItemSchema>,
    /// `None`: there is no such index, or all of it was read.
    cursor: Option<Cursor>,
}

impl Reading {
    pub async fn begin(mut link: Link, number: usize, schema: Arc<ItemSchema>) -> Result<Reading, SinkError> {
        let name = name_of(&link, number, &schema);
        let cursor = match alias::look(&mut link, &name).await? {
            Some(there) => {
                // A crawl that was killed may have written what searches do not see yet.
                alias::refresh(&mut link, &there.index).await?;
                Some(Cursor::open(&mut link, &there.index).await?)
            }
            // As good as empty: whoever compares names what it lacks.
            None => None,
        };
        Ok(Reading { link, number, schema, cursor })
    }

    /// The next documents; `None` at the end.
    pub async fn page(&mut self) -> Result<Option<Vec<StoredItem>>, SinkError> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        let page = match cursor.page(&mut self.link).await {
            Ok(Some(hits)) => {
                return Ok(Some(hits.iter().map(|hit| stored(self.number as u16, &self.schema, hit)).collect()));
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if let Some(cursor) = self.cursor.take() {
            cursor.close(&mut self.link).await;
        }
        page
    }
}

fn stored(number: u16, schema: &ItemSchema, hit: &Hit) -> StoredItem {
    let source: Map<String, Json> = serde_json::from_str(hit.source.get()).unwrap_or_default();
    let value = |name: &str| source.get(name).unwrap_or(&Json::Null);
    StoredItem {
        schema: number,
        id: u128::from_str_radix(&hit.id, 16).ok().map(ItemId),
        version: value("weir_version").as_u64(),
        hash: value("weir_hash").as_str().and_then(|text| u64::from_str_radix(text, 16).ok()),
        values: schema
            .fields
            .iter()
            // A null is left out when it is written.
            .map(|field| match source.get(&field.name) {
                None => Read::Value(Value::Null),
                Some(json) => read::from_json(field, json),
            })
            .collect(),
    }
}
