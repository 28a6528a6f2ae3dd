//! `_bulk`: lines written into one reused buffer, sent in requests of a fitting size, one answer a line in order.
//!
//! Decides what a whole request's failure means for its documents: too large or malformed ones are split until the guilty one is
//! alone; a busy server gets no more requests of this batch, unless it was a single document that it had no room for. Must not know
//! items.

use crate::alone::{Alone, REJECTIONS_MAX, Room, Verdict};
use crate::error::{self, Meaning, Said};
use crate::index::Index;
use crate::link::{Answer, Body, Link};
use crate::size::Size;
use bytes::{BufMut, BytesMut};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::ops::Range;
use weir_connector::SinkError;
use weir_model::ItemId;

/// Only what is read: answers are a tenth as long.
const FILTER: &str = "filter_path=error,status,items.*.status,items.*.error";

/// What happens to a document, in the server's words.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action<'a> {
    /// Written as a whole.
    Index(Head<'a>),
    /// Some fields of it.
    Update(Head<'a>),
}

/// Which document, and what it must be like.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Head<'a> {
    #[serde(rename = "_index")]
    pub index: &'a str,
    #[serde(rename = "_id")]
    pub id: Id<'a>,
    #[serde(flatten)]
    pub guard: Guard,
    /// Never makes an index.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require_alias: bool,
}

/// An item's identity, or the name of a document that is copied.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Id<'a> {
    Item(ItemId),
    Name(&'a str),
}

impl Default for Id<'_> {
    fn default() -> Self {
        Id::Name("")
    }
}

/// What the document must be like for the write to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Guard {
    #[default]
    None,
    /// Of a lower version, or not there.
    Newer(u64),
    /// Of no higher version, or not there.
    NewerOrSame(u64),
    /// Exactly as it was looked at.
    Seen(Seen),
}

/// A document's state at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub seq_no: u64,
    pub primary_term: u64,
}

impl Serialize for Guard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        match self {
            Guard::None => {}
            Guard::Newer(version) => {
                map.serialize_entry("version", version)?;
                map.serialize_entry("version_type", "external")?;
            }
            Guard::NewerOrSame(version) => {
                map.serialize_entry("version", version)?;
                map.serialize_entry("version_type", "external_gte")?;
            }
            Guard::Seen(Seen { seq_no, primary_term }) => {
                map.serialize_entry("if_seq_no", seq_no)?;
                map.serialize_entry("if_primary_term", primary_term)?;
            }
        }
        map.end()
    }
}

impl Index {
    /// The head of an action on a document of this index.
    pub fn head(&self, id: ItemId, guard: Guard) -> Head<'_> {
        Head { index: &self.name, id: Id::Item(id), guard, require_alias: self.is_alias }
    }
}

/// What became of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Durable.
    Stored,
    /// The guard did not hold.
    Conflict,
    /// There is no such document to update.
    Missing,
    /// May work later.
    Later(String),
    /// Never will.
    Refused(String),
}

#[derive(Deserialize)]
struct BulkAnswer {
    #[serde(default)]
    items: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "update", alias = "create", alias = "delete")]
    index: Fate,
}

#[derive(Deserialize)]
struct Fate {
    status: u16,
    error: Option<Json>,
}

/// Sends lines.
#[derive(Debug)]
pub(crate) struct Bulk {
    pub size: Size,
    buffer: BytesMut,
    alone: Alone,
}

impl Bulk {
    pub fn new(bytes_max: usize) -> Bulk {
        Bulk { size: Size::new(bytes_max), buffer: BytesMut::new(), alone: Alone::default() }
    }

    /// Writes `count` documents as `put` serialises them, and gives what became of each, in order. After an error any number of
    /// them may have been written.
    pub async fn send(
        &mut self,
        link: &mut Link,
        count: usize,
        mut put: impl FnMut(usize, &mut Lines<'_>),
    ) -> Result<Vec<Done>, SinkError> {
        let mut done: Vec<Done> = Vec::with_capacity(count);
        let mut room = Room::default();
        // Where each document of the current request ends.
        let mut ends: Vec<usize> = Vec::new();
        self.buffer.clear();
        while done.len() < count {
            ends.clear();
            // A document that the request before had no room for.
            ends.extend((!self.buffer.is_empty()).then_some(self.buffer.len()));
            let mut left_over = BytesMut::new();
            while done.len() + ends.len() < count && (ends.is_empty() || self.buffer.len() < self.size.bytes()) {
                put(done.len() + ends.len(), &mut Lines { out: &mut self.buffer });
                match ends.last() {
                    // A large one must not take small ones down with it.
                    Some(end) if self.buffer.len() > self.size.bytes() => {
                        left_over = self.buffer.split_off(*end);
                        break;
                    }
                    _ => ends.push(self.buffer.len()),
                }
            }
            self.request(link, &ends, &mut done, &mut room).await?;
            if let Some(reason) = &room.busy {
                done.resize(count, Done::Later(reason.clone()));
            }
            self.buffer = left_over;
        }
        self.buffer.clear();
        self.judge(link, room, &mut done).await?;
        Ok(done)
    }

    /// Whether those that were rejected alone may ever fit: only they are in doubt when the server takes others.
    async fn judge(&mut self, link: &mut Link, room: Room, done: &mut [Done]) -> Result<(), SinkError> {
        let mut takes = room.takes;
        for suspect in room.suspects {
            takes = takes || probe(link, &suspect.index).await?;
            if takes && self.alone.rejected(suspect.name) == Verdict::Never {
                let times = format!("{} ({REJECTIONS_MAX} times, while it took others)", suspect.reason);
                done[suspect.at] = Done::Refused(times);
            }
        }
        Ok(())
    }

    /// Sends what is in the buffer, in halves where it must be.
    async fn request(
        &mut self,
        link: &mut Link,
        ends: &[usize],
        done: &mut Vec<Done>,
        room: &mut Room,
    ) -> Result<(), SinkError> {
        let all = self.buffer.split().freeze();
        let mut left: Vec<Range<usize>> = std::iter::once(0..ends.len()).collect();
        let mut alone_and_refused = 0;
        while let Some(part) = left.pop() {
            let from = if part.start == 0 { 0 } else { ends[part.start - 1] };
            let body = all.slice(from..ends[part.end - 1]);
            let bytes = body.len();
            let answer = link.ask(Method::POST, &format!("/_bulk?{FILTER}"), &Body::Lines(body.clone())).await;
            let answer = answer.map_err(|why| {
                // A server that is overloaded, or that slams the door on a large request, may say nothing at all.
                self.size.halve();
                error::no_answer("write", &link.place.shown, &why)
            })?;
            if answer.is_ok() {
                self.size.went_well(bytes);
                let (fates, rejected) = self.read(link, &answer, part.len())?;
                match rejected {
                    Some(said) if part.len() == 1 => done.push(room.alone(done.len(), &body, &said)),
                    _ => {
                        room.takes |= fates.iter().any(|done| !matches!(done, Done::Later(_)));
                        done.extend(fates);
                    }
                }
                continue;
            }
            let said = error::said_by(&answer);
            match error::meaning(answer.status, &said.kind) {
                Meaning::TooLarge | Meaning::Bad if part.len() > 1 => {
                    if answer.status == 413 {
                        self.size.too_large(bytes);
                    }
                    let middle = part.start + part.len() / 2;
                    left.push(middle..part.end);
                    left.push(part.start..middle);
                }
                Meaning::TooLarge => {
                    self.size.too_large(bytes);
                    done.push(Done::Refused(format!(
                        "the server takes no request of {bytes} bytes, and this item alone has them (http.max_content_length, or the limit of a proxy): {}",
                        said.text
                    )));
                }
                Meaning::Bad => {
                    alone_and_refused += 1;
                    if alone_and_refused == ends.len() && ends.len() > 1 {
                        // Not the documents: nothing that we send is understood.
                        return Err(error::refused("write", &link.place.shown, &answer));
                    }
                    done.push(Done::Refused(format!("the server refuses it: {}", said.text)));
                }
                Meaning::Busy if answer.status == 429 && part.len() == 1 => {
                    // Smaller requests are no remedy for a document that is larger than they are.
                    if bytes <= self.size.bytes() {
                        self.size.halve();
                    }
                    done.push(room.alone(done.len(), &body, &said));
                }
                Meaning::Busy if answer.status == 429 => {
                    self.size.halve();
                    room.busy = Some(format!("the server is busy: {}", said.text));
                    return Ok(());
                }
                _ => {
                    self.size.halve();
                    return Err(error::refused("write", &link.place.shown, &answer));
                }
            }
        }
        Ok(())
    }

    /// What became of each document, and what the server said when it had no room for one.
    fn read(&mut self, link: &Link, answer: &Answer, count: usize) -> Result<(Vec<Done>, Option<Said>), SinkError> {
        let shown = &link.place.shown;
        let Ok(BulkAnswer { items }) = serde_json::from_slice(&answer.body) else {
            return Err(error::garbled("write", shown, answer));
        };
        if items.len() != count {
            return Err(error::garbled("write", shown, answer));
        }
        let mut done = Vec::with_capacity(count);
        let (mut busy, mut blocked) = (None::<Said>, None::<String>);
        for Entry { index: Fate { status, error } } in items {
            let said: Said = error.as_ref().map(error::said).unwrap_or_default();
            done.push(match (status, error::meaning(status, &said.kind)) {
                (200..=299, _) => Done::Stored,
                (_, Meaning::Conflict) => Done::Conflict,
                (_, meaning @ (Meaning::Busy | Meaning::Blocked)) => {
                    // A full disk says 429, too, and smaller requests are no remedy.
                    let text = format!("{} (status {status})", said.text);
                    if meaning == Meaning::Blocked {
                        blocked = Some(text.clone());
                    } else if status == 429 {
                        busy = Some(said);
                    }
                    Done::Later(format!("the server cannot now: {text}"))
                }
                (_, Meaning::Missing) if said.kind == "document_missing_exception" => Done::Missing,
                (_, meaning @ (Meaning::Missing | Meaning::Account | Meaning::Foreign)) => {
                    return Err(error::by_meaning(
                        "write",
                        shown,
                        meaning,
                        &format!("{} (status {status})", said.text),
                    ));
                }
                (_, Meaning::Bad | Meaning::TooLarge) => Done::Refused(format!("the server refuses it: {}", said.text)),
            });
        }
        if busy.is_some() {
            self.size.halve();
        }
        match blocked {
            // Nothing at all was taken: it is the index, and the remedy is another one than for a busy server.
            Some(said) if done.iter().all(|done| matches!(done, Done::Later(_))) => {
                Err(error::by_meaning("write", shown, Meaning::Blocked, &said))
            }
            _ => Ok((done, busy)),
        }
    }
}

/// Whether the server takes a small request: an update of a document that is not there.
async fn probe(link: &mut Link, index: &str) -> Result<bool, SinkError> {
    let line = serde_json::json!({"update": {"_index": index, "_id": "weir-may-write"}});
    let lines = Body::Lines(format!("{line}\n{{\"doc\":{{}}}}\n").into());
    let answer = link.ask(Method::POST, &format!("/_bulk?{FILTER}"), &lines).await;
    let answer = answer.map_err(|why| error::no_answer("write", &link.place.shown, &why))?;
    let status = answer.json().pointer("/items/0/update/status").and_then(Json::as_u64);
    Ok(answer.is_ok() && status.is_some_and(|status| status < 429))
}

/// Takes the lines of one document.
pub(crate) struct Lines<'a> {
    out: &'a mut BytesMut,
}

impl Lines<'_> {
    /// One line.
    pub fn put(&mut self, line: &impl Serialize) {
        serde_json::to_writer((&mut *self.out).writer(), line)
            .expect("a buffer takes everything, and keys are strings");
        self.out.put_u8(b'\n');
    }

    /// One line of JSON as it is: line ends can only stand between its tokens, where a space does as well.
    pub fn put_raw(&mut self, json: &str) {
        for part in json.split(['\n', '\r']) {
            self.out.put_slice(part.as_bytes());
            self.out.put_u8(b' ');
        }
        self.out.put_u8(b'\n');
    }
}
