//! What a person reads when a selector is wrong: where, what, what was expected, what to do.

use std::fmt;

/// A selector that does not compile. `offset` is a byte offset into the expression as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    /// Byte offset of the mistake in the expression.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What would have been right there, if that can be said.
    pub expected: Option<String>,
    /// What to write instead, if a likely intention is known.
    pub hint: Option<String>,
}

impl SelectorError {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), expected: None, hint: None }
    }

    pub(crate) fn expected(mut self, what: impl Into<String>) -> Self {
        self.expected = Some(what.into());
        self
    }

    pub(crate) fn hint(mut self, what: impl Into<String>) -> Self {
        self.hint = Some(what.into());
        self
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.message, self.offset)?;
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for SelectorError {}

/// The candidate nearest to `word`, when it is near enough to be a misspelling.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|&(distance, candidate)| distance <= 1 + word.len().min(candidate.len()) / 5)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_where_what_and_what_to_do() {
        let error = SelectorError::new(3, "unexpected `]`").expected("an expression").hint("close it");
        assert_eq!(error.to_string(), "unexpected `]` at offset 3, expected an expression (hint: close it)");
    }

    #[test]
    fn nearest_finds_a_misspelling_and_nothing_far_away() {
        assert_eq!(nearest("contians", ["contains", "count"]), Some("contains"));
        assert_eq!(nearest("frobnicate", ["contains", "count"]), None);
    }
}
