//! Commands to a running stage: what `weir cancel`, `weir throttle` and `weir blacklist` put on its control queue.

use super::{MessageError, QueueMessage};
use crate::JobId;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// A command with a name, so that whoever gave it can find it in the stage's status.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlMessage {
    /// Given by the sender; a stage obeys one of them once.
    pub id: String,
    /// What to do.
    pub command: Control,
}

/// What a stage can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// End a job: its URLs are abandoned.
    Cancel {
        /// Which.
        job: JobId,
    },
    /// A policy in the place of the policy file and of every change before, or, without one, the file again.
    Policy {
        /// When the command was given, in microseconds since 1970: what was said last holds, whatever comes last.
        at: u64,
        /// What it is called.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        file: String,
        /// Its text, in TOML.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        toml: Option<String>,
    },
    /// The law of a domain, or of all that have none of their own, as the policy file writes it.
    Throttle {
        /// As there.
        at: u64,
        /// Left out: the default law.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        domain: Option<String>,
        /// Keys of the law (`hits`, `window`, `moderated`, `scale`) as TOML; empty: as the file says.
        law: String,
    },
    /// Domains that are never requested from now on, and those that may be again.
    Blacklist {
        /// As there.
        at: u64,
        /// To be added.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<String>,
        /// To be taken off.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
        /// To be as the file says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reset: Vec<String>,
    },
    /// Write the status objects now.
    Status {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "v")]
    _v: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    id: String,
    command: Control,
}

impl QueueMessage for ControlMessage {
    const KIND: &'static str = "control";

    fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            id: &'a str,
            command: &'a Control,
        }
        super::write(Self::KIND, Body { id: &self.id, command: &self.command })
    }

    fn from_json(text: &str) -> Result<Self, MessageError> {
        let wire: Wire = super::read(Self::KIND, text)?;
        Ok(ControlMessage { id: wire.id, command: wire.command })
    }
}
