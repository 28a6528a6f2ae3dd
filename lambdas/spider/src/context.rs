//! What a page knows beside its body, and the notes that its extraction leaves.

use crate::compiled::ContextValue;
use crate::json::text_of;
use crate::load::doc::shorten;
use crate::template::Variable;
use std::borrow::Cow;
use std::fmt::Write;
use weir_model::{Carry, ExtractionNote, JobId, Value};

/// Longest example in a note, in characters.
const EXAMPLE_CHARS_MAX: usize = 80;
/// Different counters of one page at most; what comes after is counted under `notes/more`.
const NOTES_MAX: usize = 200;

/// The context values of one page.
#[derive(Clone, Copy)]
pub(crate) struct Context<'p> {
    pub url: &'p str,
    pub status: u16,
    pub spider: &'p str,
    pub job: JobId,
    pub started_at_us: u64,
    pub server: &'p str,
    pub carry: Option<&'p Carry>,
    pub args: &'p std::collections::BTreeMap<String, String>,
}

impl<'p> Context<'p> {
    /// Milliseconds since the epoch at which the fetch began.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.started_at_us / 1000).unwrap_or(i64::MAX)
    }

    /// A context value as a typed one.
    pub fn value(&self, which: &ContextValue) -> Value {
        match which {
            ContextValue::Status => Value::Int(i64::from(self.status)),
            ContextValue::Now => Value::Datetime(self.now_ms()),
            ContextValue::Carry(name) => match self.carry.and_then(|carry| carry.get(name.as_ref())) {
                None | Some(serde_json::Value::Null) => Value::Null,
                Some(serde_json::Value::String(text)) => Value::Str(text.as_str().into()),
                Some(other) => Value::Json(Box::new(other.clone())),
            },
            other => self.text(other).map_or(Value::Null, |text| Value::Str(text.into())),
        }
    }

    /// A context value as text; `None` when there is none.
    pub fn text(&self, which: &ContextValue) -> Option<Cow<'p, str>> {
        Some(match which {
            ContextValue::Url => Cow::Borrowed(self.url),
            ContextValue::Status => Cow::Owned(self.status.to_string()),
            ContextValue::Now => Cow::Owned(crate::convert::rfc3339(self.now_ms())),
            ContextValue::Spider => Cow::Borrowed(self.spider),
            ContextValue::Job => Cow::Owned(self.job.0.to_string()),
            ContextValue::Server => Cow::Borrowed(self.server),
            ContextValue::Arg(name) => Cow::Borrowed(self.args.get(name.as_ref())?),
            ContextValue::Carry(name) => return self.carry?.get(name.as_ref()).and_then(text_of),
            ContextValue::Found => return None,
        })
    }

    /// A template's variable; `value` is what the rule found. Nothing is an empty text.
    pub fn variable<'v>(&self, variable: &Variable, value: &'v str) -> Cow<'v, str>
    where
        'p: 'v,
    {
        match variable {
            Variable::Value => Cow::Borrowed(value),
            Variable::Url => Cow::Borrowed(self.url),
            Variable::Carry(name) => {
                self.carry.and_then(|carry| carry.get(name.as_ref())).and_then(text_of).unwrap_or_default()
            }
            Variable::Status => self.text(&ContextValue::Status).unwrap_or_default(),
            Variable::Now => self.text(&ContextValue::Now).unwrap_or_default(),
            Variable::Spider => Cow::Borrowed(self.spider),
            Variable::Job => self.text(&ContextValue::Job).unwrap_or_default(),
            Variable::Server => Cow::Borrowed(self.server),
        }
    }
}

/// The notes of one page. A counter occurs once.
pub(crate) struct Notes<'o> {
    pub list: &'o mut Vec<ExtractionNote>,
}

impl Notes<'_> {
    /// Counts one under `a/b/c` (empty parts are left out) with an example, of which the first is kept.
    pub fn count(&mut self, parts: [&str; 3], example: &str) {
        let same = |counter: &str| {
            let mut rest = counter;
            let mut first = true;
            for part in parts.iter().filter(|part| !part.is_empty()) {
                if !first {
                    match rest.strip_prefix('/') {
                        Some(tail) => rest = tail,
                        None => return false,
                    }
                }
                first = false;
                match rest.strip_prefix(part) {
                    Some(tail) => rest = tail,
                    None => return false,
                }
            }
            rest.is_empty()
        };
        if let Some(note) = self.list.iter_mut().find(|note| same(&note.counter)) {
            note.count = note.count.saturating_add(1);
            return;
        }
        if self.list.len() >= NOTES_MAX && parts != ["notes", "more", ""] {
            return self.count(["notes", "more", ""], "");
        }
        let mut counter = String::new();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let slash = if counter.is_empty() { "" } else { "/" };
            write!(counter, "{slash}{part}").expect("writing to a string");
        }
        let example = shorten(example.trim(), EXAMPLE_CHARS_MAX).into_owned().into();
        self.list.push(ExtractionNote { counter: counter.into(), count: 1, example });
    }
}
