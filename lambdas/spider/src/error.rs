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
    /// The line itself.
    pub excerpt: String,
    /// Characters of the line that are meant, at least 1.
    pub width: u32,
}

impl fmt::Display for SpiderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if !self.excerpt.is_empty() {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            write!(f, "\n  {number} | {}", self.excerpt)?;
            let lead: String = self
                .excerpt
                .chars()
                .take(self.column.saturating_sub(1) as usize)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            write!(f, "\n  {gutter} | {lead}{}", "^".repeat(self.width.max(1) as usize))?;
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
