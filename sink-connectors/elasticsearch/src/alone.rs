//! Documents that a server rejects for want of room though each was a request of its own: which of them can never fit. Pure.
//!
//! A busy server takes them later, and nothing says that this one does not; so a document is given up only when it is large, and was
//! rejected again and again while the server took other requests. Where the server names its limit, nobody has to guess: see
//! `Said::never_fits`.

use crate::bulk::Done;
use crate::error::Said;
use serde_json::Value as Json;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Rejections after which a large document is given up: with the driver's pauses (100 ms, doubling up to 30 s) these are two minutes.
pub(crate) const REJECTIONS_MAX: u32 = 12;
/// A smaller document has room on any server that works at all, and is waited for.
const SUSPECT_BYTES_MIN: usize = 1 << 20;
/// Documents that are remembered; a batch has fewer large ones.
const REMEMBERED_MAX: usize = 10_000;

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may fit later.
    Later,
    /// It does not fit.
    Never,
}

/// What is known of the server's room while a batch is sent.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// It has none for a request of several documents: no more of them.
    pub busy: Option<String>,
    /// It took something.
    pub takes: bool,
    /// Large documents that it rejected though they were alone.
    pub suspects: Vec<Suspect>,
}

/// A document that may itself be the reason why it is rejected.
#[derive(Debug)]
pub(crate) struct Suspect {
    /// Its position in the batch.
    pub at: usize,
    /// Its request, as a hash: the same when it comes again.
    pub name: u64,
    /// Where it goes.
    pub index: String,
    /// What is said when it is given up.
    pub reason: String,
}

impl Room {
    /// A document was rejected though it was alone: refused when the server's own numbers say that it can never fit.
    pub fn alone(&mut self, at: usize, body: &[u8], said: &Said) -> Done {
        let bytes = body.len();
        let reason = format!(
            "the server has no room for a request of {bytes} bytes, and this item alone has them ({}): {}",
            setting(&said.kind),
            said.text
        );
        if said.never_fits(bytes) {
            return Done::Refused(reason);
        }
        if bytes >= SUSPECT_BYTES_MIN {
            self.suspects.push(Suspect { at, name: xxh3_64(body), index: index_of(body), reason });
        }
        Done::Later(format!("the server is busy: {}", said.text))
    }
}

/// The index that a request's first line names.
fn index_of(body: &[u8]) -> String {
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line: Json = serde_json::from_slice(line).unwrap_or_default();
    let head = line.as_object().and_then(|action| action.values().next());
    head.and_then(|head| head.get("_index")).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// How often each large document was rejected.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    rejections: HashMap<u64, u32>,
}

impl Alone {
    /// A suspect was rejected while the server took another request.
    pub fn rejected(&mut self, name: u64) -> Verdict {
        if self.rejections.len() >= REMEMBERED_MAX && !self.rejections.contains_key(&name) {
            // Those that count on lose their counts, and nothing else.
            self.rejections.clear();
        }
        let count = self.rejections.entry(name).or_default();
        *count += 1;
        if *count < REJECTIONS_MAX {
            return Verdict::Later;
        }
        self.rejections.remove(&name);
        Verdict::Never
    }
}

/// What of the server would let a document in that it rejects with an error of this type.
fn setting(kind: &str) -> &'static str {
    if kind == "circuit_breaking_exception" {
        "raise the server's heap, or indices.breaker.total.limit and network.breaker.inflight_requests.limit"
    } else {
        "raise the server's heap, or indexing_pressure.memory.limit, which is 10% of it by default"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_given_up_after_a_time_and_a_small_one_is_never_suspected() {
        let mut alone = Alone::default();
        for _ in 1..REJECTIONS_MAX {
            assert_eq!((alone.rejected(1), alone.rejected(2)), (Verdict::Later, Verdict::Later));
        }
        assert_eq!(alone.rejected(1), Verdict::Never);
        assert_eq!(alone.rejected(1), Verdict::Later, "and nothing of it is kept");
        let mut room = Room::default();
        let mut body = b"{\"index\":{\"_index\":\"homes\",\"_id\":\"7\"}}\n".to_vec();
        body.resize(SUSPECT_BYTES_MIN - 1, b' ');
        assert!(matches!(room.alone(0, &body, &Said::default()), Done::Later(_)) && room.suspects.is_empty());
        body.push(b'\n');
        assert!(matches!(room.alone(4, &body, &Said::default()), Done::Later(_)));
        assert_eq!((room.suspects[0].at, &*room.suspects[0].index), (4, "homes"));
    }
}
