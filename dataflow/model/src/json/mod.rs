//! Messages that cross a queue, as versioned JSON.
//!
//! Decides what stands in a queue and how a reader tells what is wrong with it. Knows nothing of queues and their limits.
//! Every message is one object that begins with `"v"` (the version of this whole module) and `"kind"`. Fields with their
//! default value are left out; a field that is not known is an error, because a reader that drops what it does not
//! understand loses a crawl's data silently: whoever changes a shape raises [`VERSION`].
//!
//! Invariants: `from_json(to_json(x)) == x`, floats to the last bit included; what `to_json` writes holds no character that
//! SQS refuses; reading never panics and never recurses deeper than serde_json allows. Each kind has a file in `golden/`.

mod control;
mod error;
mod fetch;
mod link;
mod packed;
mod report;
mod shard;
mod ticket;
mod value;

pub use control::{Control, ControlMessage};
pub use error::MessageError;
pub use fetch::{FetchEnvelope, FetchRules, JobRef};
pub use packed::UNPACKED_BYTES_MAX;
pub use report::{ReportBatch, Spent, pack_reports, report_json};
pub use shard::{
    ForwardMessage, ForwardOffer, ForwardSource, JobHeader, ShardMessage, ShardStart, TallyMessage, shard_range,
};
pub use ticket::TicketMessage;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The version that this program writes, and the only one it reads.
pub const VERSION: u64 = 1;

/// A message that crosses a queue.
pub trait QueueMessage: Sized {
    /// Its `"kind"`.
    const KIND: &'static str;

    /// The message as one line of JSON.
    fn to_json(&self) -> String;

    /// Reads a message of this kind.
    ///
    /// # Errors
    /// What is wrong with it and where: no JSON, another version, another kind, a field.
    fn from_json(text: &str) -> Result<Self, MessageError>;
}

/// Any message that a stage receives on its requests queue.
#[derive(Clone, Debug, PartialEq)]
pub enum StageMessage {
    /// Start URLs of a job.
    Shard(ShardMessage),
    /// Requests that another stage found and this one owns.
    Forward(ForwardMessage),
    /// What another stage counted, for the end of a job.
    Tally(TallyMessage),
}

impl StageMessage {
    /// Reads whatever stands on a requests queue.
    ///
    /// # Errors
    /// As [`QueueMessage::from_json`].
    pub fn from_json(text: &str) -> Result<StageMessage, MessageError> {
        let expected = "shard, forward or tally";
        match &*kind_of(text, expected)? {
            ShardMessage::KIND => ShardMessage::from_json(text).map(StageMessage::Shard),
            ForwardMessage::KIND => ForwardMessage::from_json(text).map(StageMessage::Forward),
            TallyMessage::KIND => TallyMessage::from_json(text).map(StageMessage::Tally),
            found => Err(MessageError::Kind { found: found.into(), expected }),
        }
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(default)]
    v: Option<u64>,
    #[serde(default, borrow)]
    kind: Option<Cow<'a, str>>,
}

/// The kind of a message of this version.
fn kind_of<'a>(text: &'a str, expected: &'static str) -> Result<Cow<'a, str>, MessageError> {
    let header: Header<'a> =
        serde_json::from_str(text).map_err(|error| MessageError::not_json(&error, text, expected))?;
    if !text.trim_start().starts_with('{') {
        return Err(MessageError::not_object(text, expected));
    }
    match header.v {
        None => return Err(MessageError::Header { field: "v", expected }),
        Some(VERSION) => {}
        Some(found) => return Err(MessageError::Version { found, expected }),
    }
    header.kind.ok_or(MessageError::Header { field: "kind", expected })
}

/// What is written: the header, then the fields of the body.
#[derive(Serialize)]
struct Written<'a, W> {
    v: u64,
    kind: &'a str,
    #[serde(flatten)]
    body: W,
}

/// Writes a message of which `body` has the fields.
fn write<W: Serialize>(kind: &'static str, body: W) -> String {
    let text =
        serde_json::to_string(&Written { v: VERSION, kind, body }).expect("messages are plain data with text keys");
    escaped(text)
}

/// SQS takes the characters of XML 1.0, and JSON leaves two others as they are.
fn escaped(text: String) -> String {
    if !text.contains(['\u{fffe}', '\u{ffff}']) {
        return text;
    }
    text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// Reads a message of a kind; `W` has the header's fields too (see [`header_fields`]).
fn read<'a, W: Deserialize<'a>>(kind: &'static str, text: &'a str) -> Result<W, MessageError> {
    let found = kind_of(text, kind)?;
    if found != kind {
        return Err(MessageError::Kind { found: found.into(), expected: kind });
    }
    read_body(kind, text)
}

/// Reads a body, and says where it is wrong.
fn read_body<'a, W: Deserialize<'a>>(kind: &'static str, text: &'a str) -> Result<W, MessageError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        MessageError::Field { kind, path, why: error.into_inner().to_string() }
    })?;
    reader.end().map_err(|error| MessageError::not_json(&error, text, kind))?;
    Ok(body)
}

/// True for what is left out of a message.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
