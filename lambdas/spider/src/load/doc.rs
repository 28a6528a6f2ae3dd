//! The TOML text with its spans, and the list of complaints about it.
//!
//! Decides how a place in the text becomes line and column. Knows nothing of what the keys mean.

use crate::error::SpiderError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its place.
pub(crate) type Spot<'t> = Spanned<DeValue<'t>>;

/// At most this many mistakes are told at once: more are noise.
const ERRORS_MAX: usize = 50;

/// One complaint, before it has a place.
pub(crate) struct Complaint {
    message: String,
    expected: Option<String>,
    hint: Option<String>,
}

impl Complaint {
    pub fn new(message: impl Into<String>) -> Complaint {
        Complaint { message: message.into(), expected: None, hint: None }
    }

    pub fn expected(mut self, text: impl Into<String>) -> Complaint {
        self.expected = Some(text.into());
        self
    }

    pub fn hint(mut self, text: impl Into<String>) -> Complaint {
        self.hint = Some(text.into());
        self
    }

    pub fn maybe_hint(mut self, text: Option<String>) -> Complaint {
        self.hint = text.or(self.hint);
        self
    }
}

/// The file while it is loaded.
pub(crate) struct Doc<'t> {
    file: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
    errors: RefCell<Vec<(usize, SpiderError)>>,
    untold: Cell<usize>,
    /// Values of the arguments; filled before anything else is read.
    pub args: BTreeMap<String, String>,
}

impl<'t> Doc<'t> {
    pub fn new(file: &'t str, text: &'t str) -> Doc<'t> {
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        Doc { file, text, line_starts, errors: RefCell::default(), untold: Cell::new(0), args: BTreeMap::new() }
    }

    /// Parses the text; mistakes of syntax are complained about and what can be read is returned.
    pub fn parse(&self) -> DeTable<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        // The first is the mistake; what follows it is mostly its echo.
        if let Some(error) = errors.first() {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().trim_end();
            let (message, expected) = match message.split_once(", expected ") {
                Some((message, expected)) => (message, Some(expected)),
                None => (message, None),
            };
            let mut complaint = Complaint::new(format!("not TOML: {message}"));
            complaint.expected = expected.map(str::to_owned);
            self.complain(span, complaint);
        }
        table.into_inner()
    }

    /// Notes a mistake.
    pub fn complain(&self, span: Range<usize>, complaint: Complaint) {
        let mut errors = self.errors.borrow_mut();
        if errors.len() >= ERRORS_MAX {
            self.untold.set(self.untold.get() + 1);
            return;
        }
        let start = floor(self.text, span.start);
        let end = floor(self.text, span.end).max(start);
        let index = self.line_starts.partition_point(|at| *at <= start) - 1;
        let line_start = self.line_starts[index];
        let line_end = self.line_starts.get(index + 1).map_or(self.text.len(), |next| next - 1);
        let column = self.text[line_start..start].chars().count() + 1;
        let line = &self.text[line_start..line_end.max(line_start)];
        let on_line = end.min(line_end).max(start);
        let error = SpiderError {
            expected: complaint.expected,
            hint: complaint.hint,
            width: clamp(self.text[start..on_line].chars().count().clamp(1, 200)),
            ..SpiderError::at(self.file, index + 1, column, complaint.message, line)
        };
        errors.push((start, error));
    }

    /// The place of the byte `offset` of a string value, inside its quotes where that can be told.
    pub fn within(&self, span: &Range<usize>, value: &str, offset: usize) -> Range<usize> {
        let raw = self.text.get(span.clone()).unwrap_or("");
        match raw.find(value) {
            Some(at) if !value.is_empty() => {
                let start = span.start + at + offset.min(value.len());
                start..(start + 1).min(span.end)
            }
            _ => span.clone(),
        }
    }

    /// How many mistakes were noted so far.
    pub fn count(&self) -> usize {
        self.errors.borrow().len() + self.untold.get()
    }

    /// True when something was complained about.
    pub fn failed(&self) -> bool {
        !self.errors.borrow().is_empty()
    }

    /// The complaints in the order of the file.
    pub fn into_errors(self) -> Vec<SpiderError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|(at, _)| *at);
        let mut errors: Vec<_> = errors.into_iter().map(|(_, error)| error).collect();
        errors.dedup();
        if let (Some(last), more @ 1..) = (errors.last_mut(), self.untold.get()) {
            let said = last.hint.take().map_or(String::new(), |hint| format!("{hint}; "));
            last.hint = Some(format!("{said}{more} more mistakes are not shown"));
        }
        errors
    }

    pub fn text(&self) -> &'t str {
        self.text
    }
}

/// The nearest of `known` to `word`, when it is near enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 60 {
        return None;
    }
    let folded = word.to_lowercase().replace('-', "_");
    known
        .map(|name| (strsim::damerau_levenshtein(&folded, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1.max(name.len() / 3))
        .map(|(_, name)| name)
}

/// The hint that names the nearest key.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean `{name}`?"))
}

/// What a TOML value is, for messages.
pub(crate) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// At most `max` characters, with `...` for the rest.
pub(crate) fn shorten(text: &str, max: usize) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]).into(),
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
