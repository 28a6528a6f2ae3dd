//! The server's answers in the words of a sink: what a status means for a request or a document, and which setting to change.
//!
//! Invariant: status and error type decide, never a reason's words. Of a request that was rejected for want of memory two numbers are read
//! out of them, its size and the limit: Elasticsearch gives them nowhere else.

use crate::link::{Answer, NoAnswer};
use serde_json::Value as Json;
use weir_connector::{ErrorClass, SinkError};

/// Longest reason that is passed on.
const REASON_CHARS_MAX: usize = 600;

/// What a status other than 2xx means for the request or the document that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The document changed since it was looked at, or a newer one is there.
    Conflict,
    /// The server cannot now: too busy, starting, a shard without its primary.
    Busy,
    /// Writing is blocked: disk full, or a migration.
    Blocked,
    /// Too many bytes at once.
    TooLarge,
    /// Account or rights.
    Account,
    /// The index or the document is not there.
    Missing,
    /// What was sent is wrong.
    Bad,
    /// Not Elasticsearch: a proxy, another server, another path.
    Foreign,
}

/// Reads the meaning off status and error type.
pub(crate) fn meaning(status: u16, kind: &str) -> Meaning {
    match status {
        _ if kind == "cluster_block_exception" => Meaning::Blocked,
        409 => Meaning::Conflict,
        408 | 429 | 500..=599 => Meaning::Busy,
        413 => Meaning::TooLarge,
        401 | 403 | 407 => Meaning::Account,
        404 => Meaning::Missing,
        400 | 422 => Meaning::Bad,
        _ => Meaning::Foreign,
    }
}

/// The type of an error and everything said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub kind: String,
    pub text: String,
    /// The limit of a circuit breaker.
    limit_bytes: Option<u64>,
}

impl Said {
    /// Whether a request of so many bytes was rejected for a limit that it passes all by itself.
    pub fn never_fits(&self, bytes: usize) -> bool {
        let passes = |limit: u64| bytes as u64 > limit;
        match self.kind.as_str() {
            "circuit_breaking_exception" => self.limit_bytes.is_some_and(passes),
            // `rejected_execution_exception` is OpenSearch's.
            "es_rejected_execution_exception" | "rejected_execution_exception" => never_fits(&self.text),
            _ => false,
        }
    }
}

/// `coordinating_operation_bytes=60000993, max_coordinating_and_primary_bytes=51897958`: the operation is larger than the limit of all.
fn never_fits(text: &str) -> bool {
    let numbers = || {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '='));
        words
            .filter_map(|word| word.split_once('='))
            .filter_map(|(name, value)| Some((name, value.parse::<u64>().ok()?)))
    };
    let size = numbers().find(|(name, _)| name.ends_with("_operation_bytes"));
    let limit = numbers().find(|(name, _)| name.starts_with("max_") && name.ends_with("_bytes"));
    size.zip(limit).is_some_and(|((_, size), (_, limit))| size > limit)
}

/// Reads an `error` member: `type`, `reason` and what caused it.
pub(crate) fn said(error: &Json) -> Said {
    let text = |json: &Json, key: &str| json.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let kind = text(error, "type");
    let mut parts: Vec<String> = Vec::new();
    if let Some(plain) = error.as_str() {
        parts.push(plain.to_owned());
    }
    // A search that fails on a shard says why only here.
    if let Some(root) = error.pointer("/root_cause/0/reason").and_then(Json::as_str) {
        parts.push(root.to_owned());
    }
    let mut cause = Some(error);
    for _ in 0..4 {
        let Some(json) = cause.filter(|json| json.is_object()) else { break };
        let reason = text(json, "reason");
        if !reason.is_empty() && !parts.contains(&reason) {
            parts.push(reason);
        }
        cause = json.get("caused_by");
    }
    let joined = parts.join(": ");
    let text = if kind.is_empty() { joined } else { format!("{kind}: {joined}") };
    Said { kind, text: cut(&text), limit_bytes: error.get("bytes_limit").and_then(Json::as_u64) }
}

/// What a whole answer says.
pub(crate) fn said_by(answer: &Answer) -> Said {
    let json = answer.json();
    match json.get("error") {
        Some(error) => said(error),
        None => {
            let text = String::from_utf8_lossy(&answer.body);
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            Said { text: if line.is_empty() { "no reason given".to_owned() } else { cut(&line) }, ..Said::default() }
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A request that was answered with anything but 2xx.
pub(crate) fn refused(action: &str, place: &str, answer: &Answer) -> SinkError {
    let said = said_by(answer);
    by_meaning(action, place, meaning(answer.status, &said.kind), &format!("{} (status {})", said.text, answer.status))
}

/// The sink's error for a meaning.
pub(crate) fn by_meaning(action: &str, place: &str, meaning: Meaning, said: &str) -> SinkError {
    use ErrorClass::{Configuration, Permanent, Transient};
    let (class, expected, todo) = match meaning {
        Meaning::Busy | Meaning::Conflict => (
            Transient,
            "a server with room for more",
            "Give the cluster more room, or lower bulk_bytes=; it is tried again",
        ),
        Meaning::Blocked => (
            Transient,
            "an index that takes writes",
            "Make room on the server's disks. If a migration was interrupted, run it again with migrate=true or set index.blocks.write to null; it is tried again",
        ),
        Meaning::TooLarge => (
            Configuration,
            "requests as small as the server takes",
            "Lower bulk_bytes= in the sink's URL, or raise http.max_content_length and the limit of the proxy before it",
        ),
        Meaning::Account => (
            Configuration,
            "an account that may create, read and write the indices and their aliases",
            "Correct the user in -o elasticsearch://USER@..., and the password in WEIR_ELASTICSEARCH_PASSWORD, password_env= or password_file= (or api_key_env=), or give the account these rights",
        ),
        Meaning::Missing => (
            Permanent,
            "the indices as they were at the start",
            "Run the same command again: they are made anew or compared, and every item is written",
        ),
        Meaning::Bad => (
            Permanent,
            "a request that the server understands (Elasticsearch 7.17 or 8, OpenSearch 1 or later)",
            "Read the reason and the server's log, then run the same command again",
        ),
        Meaning::Foreign => (
            Configuration,
            "an Elasticsearch or OpenSearch server",
            "Correct host, port, scheme (elasticsearch+https:// with TLS) and path in -o elasticsearch://HOST:PORT/INDEX",
        ),
    };
    SinkError::new(class, format!("cannot {action}: {said}"), place.to_owned(), expected, todo)
}

/// An answer that cannot be read: tried again, since a proxy may speak for a server that restarts.
pub(crate) fn garbled(action: &str, place: &str, answer: &Answer) -> SinkError {
    let shown: String = String::from_utf8_lossy(&answer.body).chars().take(80).collect();
    SinkError::new(
        ErrorClass::Transient,
        format!("cannot {action}: the answer (status {}) makes no sense: {shown:?}", answer.status),
        place.to_owned(),
        "the answer of an Elasticsearch or OpenSearch server",
        "Correct host, port and path in -o elasticsearch://HOST:PORT/INDEX, or look at the proxy before it; it is tried again",
    )
}

/// A request that was not answered.
pub(crate) fn no_answer(action: &str, place: &str, why: &NoAnswer) -> SinkError {
    use ErrorClass::{Configuration, Transient};
    let (class, what, expected, todo) = match why {
        NoAnswer::Unreachable(why) | NoAnswer::Lost(why) => (
            Transient,
            why.clone(),
            "a server that answers",
            "Check host and port in -o elasticsearch://HOST:PORT/..., and that the server runs; it is tried again".to_owned(),
        ),
        NoAnswer::Tls(why) => (
            Configuration,
            why.clone(),
            "a server with TLS and a certificate that is trusted here",
            "Name its authority by tls_ca=PATH, correct the host's name, or begin with elasticsearch:// for a server without TLS"
                .to_owned(),
        ),
        NoAnswer::TimedOut(setting) => (
            Transient,
            "no answer in time".to_owned(),
            "a server that answers",
            format!("Check host, port and network, or raise {setting}= in the sink's URL; it is tried again"),
        ),
        NoAnswer::TooLong => (
            Transient,
            "the answer is too long".to_owned(),
            "an answer of at most 128 MiB",
            "Lower bulk_bytes= in the sink's URL; it is tried again".to_owned(),
        ),
    };
    SinkError::new(class, format!("cannot {action}: {what}"), place.to_owned(), expected, todo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn status_and_type_decide_what_is_done() {
        for (status, kind, expected) in [
            (409, "version_conflict_engine_exception", Meaning::Conflict),
            (429, "es_rejected_execution_exception", Meaning::Busy),
            (429, "cluster_block_exception", Meaning::Blocked),
            (403, "cluster_block_exception", Meaning::Blocked),
            (403, "security_exception", Meaning::Account),
            (503, "unavailable_shards_exception", Meaning::Busy),
            (400, "document_parsing_exception", Meaning::Bad),
            (404, "index_not_found_exception", Meaning::Missing),
            (301, "", Meaning::Foreign),
        ] {
            assert_eq!(meaning(status, kind), expected, "{status} {kind}");
        }
    }

    #[test]
    fn a_request_that_is_larger_than_the_servers_limit_never_fits() {
        let rejected = |kind: &str, reason: &str| said(&json!({"type": kind, "reason": reason})).never_fits(60_000_993);
        let reason = |size: u64| {
            format!(
                "rejected execution of coordinating operation [coordinating_and_primary_bytes=900, replica_bytes=0, all_bytes=900, \
                 coordinating_operation_bytes={size}, max_coordinating_and_primary_bytes=51897958]"
            )
        };
        for kind in ["es_rejected_execution_exception", "rejected_execution_exception"] {
            assert!(rejected(kind, &reason(60_000_993)) && !rejected(kind, &reason(51_897_958)), "{kind}");
            assert!(!rejected(kind, "rejected execution of a task on a full queue [capacity = 10000]"));
        }
        assert!(!rejected("some_exception", &reason(60_000_993)));
        let breaker = |limit: u64| said(&json!({"type": "circuit_breaking_exception", "bytes_limit": limit}));
        assert!(breaker(1_000).never_fits(1_001) && !breaker(1_000).never_fits(1_000));
    }

    #[test]
    fn a_reason_is_given_with_its_cause_and_not_without_end() {
        let error = json!({"type": "t", "reason": "outer", "caused_by": {"type": "x", "reason": "inner"}});
        assert_eq!(said(&error).text, "t: outer: inner");
        assert_eq!(said(&json!("plain words")).text, "plain words");
        assert!(said(&json!({"type": "t", "reason": "é".repeat(5000)})).text.chars().count() < 620);
    }

    #[test]
    fn an_error_names_the_setting_to_change() {
        let answer = |status, body: &str| Answer { status, body: body.to_owned().into() };
        for (answer, class, word) in [
            (answer(401, ""), ErrorClass::Configuration, "WEIR_ELASTICSEARCH_PASSWORD"),
            (answer(302, "<html>"), ErrorClass::Configuration, "https"),
            (answer(503, "{}"), ErrorClass::Transient, "again"),
            (answer(413, ""), ErrorClass::Configuration, "bulk_bytes"),
            (answer(403, r#"{"error":{"type":"cluster_block_exception"}}"#), ErrorClass::Transient, "room"),
        ] {
            let error = refused("write", "elasticsearch://h/t", &answer);
            assert!(error.class == class && error.todo.contains(word), "{answer:?}: {error}");
        }
    }
}
