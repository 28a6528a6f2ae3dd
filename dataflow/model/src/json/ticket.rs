//! A claim ticket: stands in a queue for a message that is too large for it and lies in the artifact store.

use super::{MessageError, QueueMessage};
use crate::ContentHash;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Where the message lies, and what must be found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketMessage {
    /// Its key in the artifact store.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub hash: ContentHash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default, rename = "v", skip_serializing)]
    _v: IgnoredAny,
    #[serde(default, rename = "kind", skip_serializing)]
    _kind: IgnoredAny,
    key: String,
    bytes: u64,
    hash: ContentHash,
}

impl TicketMessage {
    /// Whether a body is a ticket, without reading all of it. Tickets are small and begin with their header.
    #[must_use]
    pub fn is_ticket(body: &str) -> bool {
        body.len() < 4096
            && body.starts_with("{\"v\":")
            && super::kind_of(body, Self::KIND).is_ok_and(|kind| kind == Self::KIND)
    }
}

impl QueueMessage for TicketMessage {
    const KIND: &'static str = "ticket";

    fn to_json(&self) -> String {
        let (key, bytes, hash) = (self.key.clone(), self.bytes, self.hash);
        super::write(Self::KIND, Wire { _v: IgnoredAny, _kind: IgnoredAny, key, bytes, hash })
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        let wire: Wire = super::read(Self::KIND, text)?;
        Ok(TicketMessage { key: wire.key, bytes: wire.bytes, hash: wire.hash })
    }
}
