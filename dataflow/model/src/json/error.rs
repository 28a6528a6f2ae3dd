//! What can be wrong with a message: said once, for logs, dead letters and people.

use super::VERSION;

/// Bytes of a message that an error shows.
const SHOWN_BYTES: usize = 60;

/// A message that cannot be read. Trying again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or not an object.
    #[error("not a weir message: expected JSON of kind {expected}, but {why}; it begins with {begin:?}")]
    NotJson {
        /// The kind that was to be read.
        expected: &'static str,
        /// The parser's words, with line and column.
        why: String,
        /// Its first characters.
        begin: String,
    },
    /// `"v"` or `"kind"` is missing.
    #[error("not a weir message: the field {field:?} is missing (expected a message of kind {expected})")]
    Header {
        /// Which.
        field: &'static str,
        /// The kind that was to be read.
        expected: &'static str,
    },
    /// Written by another version of weir.
    #[error(
        "message of version {found}, but this weir reads version {VERSION} (expected kind {expected}): deploy the function and \
         the stages from one release, and let the queues run empty before changing it"
    )]
    Version {
        /// Its version.
        found: u64,
        /// The kind that was to be read.
        expected: &'static str,
    },
    /// A message of weir, in the wrong queue.
    #[error("message of kind {found:?} where {expected} was expected: it was sent to the wrong queue")]
    Kind {
        /// Its kind.
        found: String,
        /// The kind that was to be read.
        expected: &'static str,
    },
    /// A field is missing, unknown or of another type.
    #[error("{kind} message: at {path}: {why}")]
    Field {
        /// Kind of the message.
        kind: &'static str,
        /// Where, for example `reports[3].items[0].id`; `.` is the message itself.
        path: String,
        /// What was expected, with line and column.
        why: String,
    },
}

impl MessageError {
    /// The parser's complaint about a text.
    pub(super) fn not_json(error: &serde_json::Error, text: &str, expected: &'static str) -> MessageError {
        MessageError::NotJson { expected, why: error.to_string(), begin: begin(text) }
    }

    /// JSON, but a list, a number or a text.
    pub(super) fn not_object(text: &str, expected: &'static str) -> MessageError {
        MessageError::NotJson { expected, why: "it is no object".into(), begin: begin(text) }
    }
}

fn begin(text: &str) -> String {
    let mut end = text.len().min(SHOWN_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
