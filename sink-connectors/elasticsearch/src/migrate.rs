//! Another mapping for an index that has documents: everything is copied into a new index, then the alias moves.
//!
//! Invariants: the old index takes no writes while it is copied, and is not changed otherwise; the alias moves in one step, after
//! the copies were counted; when anything fails, the new index is deleted and the old one is as it was. Fields and documents
//! that the items do not have are kept. An old index behind an alias stays, blocked, until its owner deletes it.

use crate::alias::{self, There, encoded};
use crate::bulk::{Action, Bulk, Done, Guard, Head, Id};
use crate::error::{self, Meaning};
use crate::index::{META, number_of, numbered};
use crate::link::{Body, Link, NoAnswer};
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use weir_connector::{ErrorClass, SinkError};
use weir_model::crash;

/// Documents read at once.
const PAGE: usize = 1_000;
/// How long the server keeps what is read from, from page to page.
const KEEP: &str = "5m";
/// Reasons that are shown when documents do not fit.
const SHOWN_MAX: usize = 3;
/// How often documents are sent again while the server is busy; pauses double from 100 ms.
const BUSY_MAX: u32 = 8;

/// Copies an index into a new one with the wanted mapping and moves the name there.
pub(crate) async fn run(link: &mut Link, name: &str, old: &There, wanted: &Map<String, Json>) -> Result<(), SinkError> {
    let mut properties = old.properties.clone();
    properties.extend(wanted.clone());
    let mut meta = old.meta.clone();
    let mut about = meta.get(META).cloned().unwrap_or_else(|| json!({}));
    let finished = about.clone();
    about["migrating"] = Json::String(old.index.clone());
    meta.insert(META.to_owned(), about);

    let new = make(link, name, old, &properties, &meta).await?;
    tracing::info!(from = %old.index, to = %new, "copying an index into one of another mapping");
    let copied = async {
        alias::block_writes(link, &old.index, true).await?;
        copy(link, &old.index, &new).await
    };
    let moved = match copied.await {
        Ok(count) => {
            crash::point("elasticsearch: move alias");
            let moved = move_name(link, name, old, &new).await;
            moved.map(|()| tracing::info!(count, from = %old.index, to = %new, "the name stands for the new index"))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = moved {
        // As it was before; when the server is gone, the next run with migrate=true begins anew.
        let path = format!("/{}", encoded(&new));
        let deleted = alias::told(link, "delete the copy", Method::DELETE, &path, &Body::None).await.map(drop);
        let allowed = alias::block_writes(link, &old.index, false).await;
        for left in [deleted, allowed].into_iter().filter_map(Result::err) {
            tracing::warn!(error = %left, "an interrupted migration is left behind; run it again with migrate=true");
        }
        return Err(error);
    }
    meta.insert(META.to_owned(), finished);
    alias::put_mapping(link, &new, &json!({"_meta": meta})).await
}

/// Makes the new index; one that an interrupted migration of the same index left behind is made anew.
async fn make(
    link: &mut Link,
    name: &str,
    old: &There,
    properties: &Map<String, Json>,
    meta: &Map<String, Json>,
) -> Result<String, SinkError> {
    let mut number = number_of(name, &old.index) + 1;
    loop {
        let new = numbered(name, number);
        crash::point("elasticsearch: copy");
        if alias::create(link, &new, None, properties, meta).await? {
            return Ok(new);
        }
        let left_behind = alias::look(link, &new).await?.is_some_and(|there| {
            let from = there.meta.get(META).and_then(|about| about.get("migrating"));
            there.aliases == 0 && from.and_then(Json::as_str) == Some(&old.index)
        });
        if left_behind {
            let path = format!("/{}", encoded(&new));
            alias::told(link, "delete the copy", Method::DELETE, &path, &Body::None).await?;
        } else {
            number += 1;
        }
    }
}

/// In one step. An index that stands in the alias's own place has to go for it: all of it was copied and counted.
async fn move_name(link: &mut Link, name: &str, old: &There, new: &str) -> Result<(), SinkError> {
    let leave = if old.is_alias {
        json!({"remove": {"index": old.index, "alias": name}})
    } else {
        json!({"remove_index": {"index": old.index}})
    };
    let body = json!({"actions": [leave, {"add": {"index": new, "alias": name, "is_write_index": true}}]});
    alias::told(link, "move the alias", Method::POST, "/_aliases", &Body::json(&body)).await.map(drop)
}

/// Copies every document and counts; gives the number.
async fn copy(link: &mut Link, old: &str, new: &str) -> Result<u64, SinkError> {
    alias::refresh(link, old).await?;
    let count = alias::count(link, old).await?;
    let mut cursor = Cursor::open(link, old).await?;
    let mut bulk = Bulk::new(link.place.bulk_bytes_max);
    let copied = async {
        while let Some(hits) = cursor.page(link).await? {
            write(link, &mut bulk, old, new, &hits).await?;
        }
        Ok::<(), SinkError>(())
    }
    .await;
    cursor.close(link).await;
    copied?;
    alias::refresh(link, new).await?;
    let arrived = alias::count(link, new).await?;
    if arrived != count {
        return Err(SinkError::new(
            ErrorClass::Transient,
            format!("{old} has {count} documents, {arrived} of them arrived in {new}"),
            link.place.shown.clone(),
            "an index that nobody changes while it is copied",
            "Nothing was changed: run the same command again",
        ));
    }
    Ok(count)
}

async fn write(link: &mut Link, bulk: &mut Bulk, old: &str, new: &str, hits: &[Hit]) -> Result<(), SinkError> {
    let mut open: Vec<&Hit> = hits.iter().collect();
    let mut refused = Vec::new();
    let mut pause = Duration::from_millis(100);
    for attempt in 0.. {
        let done = bulk.send(link, open.len(), |at, lines| {
            let guard = Guard::NewerOrSame(open[at].version);
            lines.put(&Action::Index(Head { index: new, id: Id::Name(&open[at].id), guard, require_alias: false }));
            lines.put_raw(open[at].source.get());
        });
        let mut busy = None;
        let mut left = Vec::new();
        for (hit, done) in open.iter().zip(done.await?) {
            match done {
                Done::Stored | Done::Conflict | Done::Missing => {}
                Done::Refused(why) => refused.push(format!("{}: {why}", hit.id)),
                Done::Later(why) => {
                    busy = Some(why);
                    left.push(*hit);
                }
            }
        }
        let Some(why) = busy else { break };
        if attempt == BUSY_MAX {
            return Err(error::by_meaning("copy the index", &link.place.shown, Meaning::Busy, &why));
        }
        open = left;
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    if refused.is_empty() {
        return Ok(());
    }
    let count = refused.len();
    refused.truncate(SHOWN_MAX);
    Err(SinkError::new(
        ErrorClass::Configuration,
        format!("{count} or more documents of {old} do not fit the items' mapping: {}", refused.join("; ")),
        link.place.shown.clone(),
        "values that the new types can hold",
        "Nothing was changed: correct or delete these documents, or name another index in -o elasticsearch://HOST:PORT/INDEX",
    ))
}

#[derive(Deserialize)]
pub(crate) struct Hit {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(rename = "_version")]
    version: u64,
    /// As it was written, to the last digit.
    #[serde(rename = "_source")]
    pub source: Box<RawValue>,
    #[serde(default)]
    sort: Json,
}

#[derive(Deserialize)]
struct Page {
    #[serde(alias = "_scroll_id")]
    pit_id: Option<String>,
    hits: Hits,
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

/// A view of an index that stays as it was: a point in time where the server knows it (Elasticsearch), else a scroll (OpenSearch).
pub(crate) enum Cursor {
    Pit { id: String, after: Option<Json>, size: usize },
    Scroll { id: Option<String>, index: String },
}

impl Cursor {
    pub async fn open(link: &mut Link, index: &str) -> Result<Cursor, SinkError> {
        let path = format!("/{}/_pit?keep_alive={KEEP}", encoded(index));
        let answer = alias::asked(link, "read the index", Method::POST, &path, &Body::None).await?;
        if let Some(id) = answer.json().get("id").and_then(Json::as_str).filter(|_| answer.is_ok()) {
            return Ok(Cursor::Pit { id: id.to_owned(), after: None, size: PAGE });
        }
        match error::meaning(answer.status, "") {
            Meaning::Bad | Meaning::Missing | Meaning::Foreign => {
                Ok(Cursor::Scroll { id: None, index: index.to_owned() })
            }
            _ => Err(error::refused("read the index", &link.place.shown, &answer)),
        }
    }

    /// The next documents; `None` at the end.
    pub async fn page(&mut self, link: &mut Link) -> Result<Option<Vec<Hit>>, SinkError> {
        loop {
            let (path, body) = self.request();
            let answer = link.ask(Method::POST, &path, &Body::json(&body)).await;
            let answer = match (answer, &mut *self) {
                (Err(NoAnswer::TooLong), Cursor::Pit { size, .. }) if *size > 1 => {
                    *size /= 2;
                    continue;
                }
                (answer, _) => answer.map_err(|why| error::no_answer("read the index", &link.place.shown, &why))?,
            };
            if !answer.is_ok() {
                return Err(error::refused("read the index", &link.place.shown, &answer));
            }
            let Ok(page) = serde_json::from_slice::<Page>(&answer.body) else {
                return Err(error::garbled("read the index", &link.place.shown, &answer));
            };
            if page.shards.failed > 0 {
                let said = format!("{} shards did not answer", page.shards.failed);
                return Err(error::by_meaning("read the index", &link.place.shown, Meaning::Busy, &said));
            }
            self.went_on(page.pit_id, page.hits.hits.last());
            return Ok(Some(page.hits.hits).filter(|hits| !hits.is_empty()));
        }
    }

    fn request(&self) -> (String, Json) {
        match self {
            Cursor::Pit { id, after, size } => {
                let mut body = json!({
                    "size": size, "version": true, "track_total_hits": false,
                    "pit": {"id": id, "keep_alive": KEEP}, "sort": ["_shard_doc"],
                });
                if let Some(after) = after {
                    body["search_after"] = after.clone();
                }
                ("/_search".to_owned(), body)
            }
            Cursor::Scroll { id: None, index } => (
                format!("/{}/_search?scroll={KEEP}", encoded(index)),
                json!({"size": PAGE, "version": true, "sort": ["_doc"]}),
            ),
            Cursor::Scroll { id: Some(id), .. } => {
                ("/_search/scroll".to_owned(), json!({"scroll": KEEP, "scroll_id": id}))
            }
        }
    }

    fn went_on(&mut self, new_id: Option<String>, last: Option<&Hit>) {
        match self {
            Cursor::Pit { id, after, .. } => {
                *id = new_id.unwrap_or_else(|| id.clone());
                *after = last.map(|hit| hit.sort.clone());
            }
            Cursor::Scroll { id, .. } => *id = new_id,
        }
    }

    /// Lets the server forget it; it would by itself in a few minutes.
    pub async fn close(self, link: &mut Link) {
        let (path, body) = match self {
            Cursor::Pit { id, .. } => ("/_pit", json!({"id": id})),
            Cursor::Scroll { id: Some(id), .. } => ("/_search/scroll", json!({"scroll_id": id})),
            Cursor::Scroll { id: None, .. } => return,
        };
        let _ = link.ask(Method::DELETE, path, &Body::json(&body)).await;
    }
}
