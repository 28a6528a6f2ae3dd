//! What an answer means, whoever gave it.

use super::Precision;
use crate::location::Location;

/// Bytes of a body that are read. Answers have some kilobytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Characters of a provider's own words that are shown.
const WORDS_MAX: usize = 200;
/// Letters and digits in a row that may be a key.
const KEY_CHARS: usize = 16;

/// An HTTP answer of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// `Retry-After`, microseconds from now on.
    pub retry_after_us: Option<u64>,
    /// The decoded body, at most about a megabyte.
    pub body: Vec<u8>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// The place.
    Found {
        /// Where it is.
        location: Location,
        /// How exactly.
        precision: Precision,
    },
    /// The provider knows no such place.
    NotFound,
    /// The provider does not take this address, whatever is done.
    Refused,
    /// Too many calls: later.
    OverLimit,
    /// A failure that may pass: the server's, the network's, or bytes that are no answer.
    Failed(String),
    /// The provider does not serve us: a key, a right, a URL is wrong. No address will do better.
    Denied(String),
}

/// What a status code says when the body says nothing. `None`: the body ought to have said something.
pub(super) fn by_status(answer: &HttpAnswer, words: &str) -> Option<Reading> {
    let said = |what: &str| {
        let words = shown(words);
        let between = if words.is_empty() { "" } else { ": " };
        format!("HTTP {}, {what}{between}{words}", answer.status)
    };
    match answer.status {
        200..=299 => None,
        429 => Some(Reading::OverLimit),
        400 | 413 | 414 | 422 => Some(Reading::Refused),
        408 | 425 | 500..=599 => Some(Reading::Failed(said("the provider fails"))),
        401 | 403 | 407 => Some(Reading::Denied(said("the provider refuses this user or key"))),
        _ => Some(Reading::Denied(said("there is no geocoder at this URL"))),
    }
}

/// A provider's own words, short, on one line, and without anything that may be a key.
pub(super) fn shown(words: &str) -> String {
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut out = String::new();
    for word in words.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let mut rest = word;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_key(c)).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            let has_digit = run.bytes().any(|byte| byte.is_ascii_digit());
            out.push_str(if run.len() >= KEY_CHARS && has_digit { "***" } else { run });
            let next = after.find(is_key).unwrap_or(after.len());
            out.extend(after[..next].chars().filter(|c| !c.is_control()));
            rest = &after[next..];
        }
    }
    if out.chars().count() > WORDS_MAX {
        out = out.chars().take(WORDS_MAX).chain(['…']).collect();
    }
    out
}

/// The bytes that are read of a body.
pub(super) fn body(answer: &HttpAnswer) -> Result<&[u8], Reading> {
    if answer.body.len() > BODY_BYTES_MAX {
        return Err(Reading::Failed(format!("an answer of {} bytes is no geocoder's", answer.body.len())));
    }
    Ok(&answer.body)
}
