//! Typed reading of one table: each getter complains about a value of the wrong kind, and opening a table complains about
//! every key that the language does not have.

use super::doc::{Complaint, Doc, Spot, did_you_mean, kind_of};
use super::language::Language;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A string with its place.
#[derive(Clone)]
pub(crate) struct Text<'a> {
    pub value: &'a str,
    pub span: Range<usize>,
}

/// One table of the file, opened with the keys that it may have.
pub(crate) struct Section<'a, 't> {
    pub doc: &'a Doc<'t>,
    pub table: &'a DeTable<'t>,
    pub span: Range<usize>,
    pub language: &'static Language,
}

impl<'a, 't> Section<'a, 't> {
    /// Opens a table; `None`, with a complaint, when it is none.
    pub fn open(doc: &'a Doc<'t>, spot: &'a Spot<'t>, language: &'static Language) -> Option<Section<'a, 't>> {
        match spot.get_ref() {
            DeValue::Table(table) => Some(Section::of(doc, table, spot.span(), language)),
            other => {
                let complaint = Complaint::new(format!("{} is a table, found {}", language.what, kind_of(other)))
                    .expected(format!("a table with {}", language.key_list()));
                doc.complain(spot.span(), complaint);
                None
            }
        }
    }

    /// Opens a table that is known to be one.
    pub fn of(doc: &'a Doc<'t>, table: &'a DeTable<'t>, span: Range<usize>, language: &'static Language) -> Self {
        let section = Section { doc, table, span, language };
        for (key, _) in table.iter() {
            section.check_key(key.get_ref(), key.span());
        }
        section
    }

    fn check_key(&self, key: &str, span: Range<usize>) {
        if self.language.keys.iter().any(|known| known.name == key) {
            return;
        }
        let what = self.language.what;
        let complaint = match self.language.later.iter().find(|later| later.name == key) {
            Some(later) => Complaint::new(format!("`{key}` in {what} is not supported yet"))
                .hint(format!("it comes with {}", later.comes_with)),
            None => {
                let alias = self.language.aliases.iter().find(|(wrong, _)| *wrong == key);
                let hint = match alias {
                    Some((_, right)) => Some(format!("write {right}")),
                    None => did_you_mean(key, self.language.keys.iter().map(|known| known.name)),
                };
                Complaint::new(format!("{what} has no key `{key}`")).expected(self.language.key_list()).maybe_hint(hint)
            }
        };
        self.doc.complain(span, complaint);
    }

    pub fn get(&self, key: &str) -> Option<&'a Spot<'t>> {
        debug_assert!(self.language.keys.iter().any(|known| known.name == key), "{key} is in the language");
        self.table.get(key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether some key was complained about: then a missing one may be that one, misspelt.
    pub fn has_unknown(&self) -> bool {
        self.table.keys().any(|key| !self.language.keys.iter().any(|known| known.name == key.get_ref()))
    }

    /// The place of a key's name, or of the table when it is not there.
    pub fn key_span(&self, key: &str) -> Range<usize> {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map_or(self.span.clone(), |(k, _)| k.span())
    }

    pub fn text(&self, key: &str) -> Option<Text<'a>> {
        let spot = self.get(key)?;
        as_text(self.doc, spot, key)
    }

    /// A string or a list of strings.
    pub fn texts(&self, key: &str) -> Vec<Text<'a>> {
        self.get(key).map_or_else(Vec::new, |spot| as_texts(self.doc, spot, key))
    }

    pub fn boolean(&self, key: &str) -> Option<bool> {
        let spot = self.get(key)?;
        match spot.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                wrong_kind(self.doc, spot, key, "true or false", other);
                None
            }
        }
    }

    pub fn integer(&self, key: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let spot = self.get(key)?;
        as_integer(self.doc, spot, key, range)
    }

    pub fn complain(&self, key: &str, complaint: Complaint) {
        let span = self.table.get(key).map_or_else(|| self.span.clone(), toml::Spanned::span);
        self.doc.complain(span, complaint);
    }
}

pub(crate) fn wrong_kind(doc: &Doc<'_>, spot: &Spot<'_>, key: &str, expected: &str, found: &DeValue<'_>) {
    doc.complain(
        spot.span(),
        Complaint::new(format!("`{key}` cannot be {}", kind_of(found))).expected(expected.to_owned()),
    );
}

pub(crate) fn as_text<'a>(doc: &Doc<'_>, spot: &'a Spot<'_>, key: &str) -> Option<Text<'a>> {
    match spot.get_ref() {
        DeValue::String(value) => Some(Text { value, span: spot.span() }),
        other => {
            wrong_kind(doc, spot, key, "a string", other);
            None
        }
    }
}

pub(crate) fn as_texts<'a>(doc: &Doc<'_>, spot: &'a Spot<'_>, key: &str) -> Vec<Text<'a>> {
    match spot.get_ref() {
        DeValue::String(value) => vec![Text { value, span: spot.span() }],
        DeValue::Array(list) => list.iter().filter_map(|entry| as_text(doc, entry, key)).collect(),
        other => {
            wrong_kind(doc, spot, key, "a string or a list of strings", other);
            Vec::new()
        }
    }
}

pub(crate) fn as_integer(
    doc: &Doc<'_>,
    spot: &Spot<'_>,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Option<i64> {
    let expected = format!("an integer from {} to {}", range.start(), range.end());
    match spot.get_ref() {
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(value) if range.contains(&value) => Some(value),
            _ => {
                let complaint = Complaint::new(format!("`{key}` is out of range")).expected(expected);
                doc.complain(spot.span(), complaint);
                None
            }
        },
        other => {
            wrong_kind(doc, spot, key, &expected, other);
            None
        }
    }
}
