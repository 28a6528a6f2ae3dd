//! What is wrong with a spider file, said like a compiler: where, what, what was expected, what to do.
//!
//! Invariant: a list of errors is never empty and is in the order of the file.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiderError {
    /// The file's name, as given to `Spider::load`.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself; of a long one what is around the column.
    pub excerpt: String,
    /// Characters of the excerpt before the column.
    pub lead: u32,
    /// Characters of the line that are meant, at least 1.
    pub width: u32,
}

/// Characters of a line that are shown.
const EXCERPT_MAX: usize = 200;

impl SpiderError {
    /// A mistake at a line and a column (both from 1) of `text_of_line`.
    #[must_use]
    pub fn at(file: &str, line: usize, column: usize, message: String, text_of_line: &str) -> SpiderError {
        let before = column.saturating_sub(1);
        let text = text_of_line.trim_end();
        // Beyond what is shown the excerpt begins in the middle of the line, some words before the place.
        let skipped = if before < EXCERPT_MAX { 0 } else { before - EXCERPT_MAX / 2 };
        let shown =
            crate::load::doc::shorten(text.char_indices().nth(skipped).map_or("", |(at, _)| &text[at..]), EXCERPT_MAX);
        let (excerpt, lead) = match skipped {
            0 => (shown.into_owned(), before),
            _ => (format!("...{shown}"), before - skipped + 3),
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (line, column, lead) = (count(line), count(column), count(lead));
        SpiderError {
            file: file.to_owned(),
            line,
            column,
            message,
            expected: None,
            hint: None,
            excerpt,
            lead,
            width: 1,
        }
    }
}

impl fmt::Display for SpiderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if !self.excerpt.is_empty() {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            write!(f, "\n  {number} | {}", self.excerpt)?;
            let lead: String =
                self.excerpt.chars().take(self.lead as usize).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            // What goes on behind the excerpt is not marked.
            let width = (self.width as usize).min(self.excerpt.chars().count().saturating_sub(self.lead as usize));
            write!(f, "\n  {gutter} | {lead}{}", "^".repeat(width.max(1)))?;
        }
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected: {expected}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// All mistakes of a spider file that could be found at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SpiderErrors(pub Vec<SpiderError>);

impl fmt::Display for SpiderErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        match self.0.len() {
            0 | 1 => Ok(()),
            n => write!(f, "\n\n{n} mistakes"),
        }
    }
}

/// A page that could not be processed at all: becomes `FetchOutcome::Unreadable`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// Why, lowercase, without secrets.
    pub reason: Box<str>,
}

impl Unreadable {
    pub(crate) fn new(reason: impl Into<Box<str>>) -> Unreadable {
        Unreadable { reason: reason.into() }
    }
}
