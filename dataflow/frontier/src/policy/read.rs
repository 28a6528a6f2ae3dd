//! The policy file, read value by value so that every mistake is told with its place, what was expected, and a hint.

use super::{Law, Policy, Profile, parse_duration};
use crate::domain::registered_domain;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest window.
const WINDOW_US_MAX: u64 = 31 * 24 * 3_600_000_000;
/// The shortest window: below it a clock's resolution would decide.
const WINDOW_US_MIN: u64 = 1_000;
/// Names in a blacklist, and named domains.
const NAMES_MAX: usize = 1_000_000;

/// A mistake in a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The key, with its tables; empty when the file is no TOML.
    pub key: String,
    /// What is wrong: what was expected and what was found.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
}

type Read<T> = Result<T, PolicyError>;

pub(super) fn policy(text: &str, file: &str) -> Read<Policy> {
    let reader = Reader { text, file };
    let document = DeTable::parse(text)
        .map_err(|error| reader.error(error.span().unwrap_or(0..0), "", error.message().trim().to_owned(), None))?;
    reader.document(document.get_ref())
}

/// A law written on its own, as it stands in a table of the file; what is not given comes from `base`.
pub(super) fn law(text: &str, name: &str, base: Law) -> Read<Law> {
    let reader = Reader { text, file: name };
    let table = DeTable::parse(text)
        .map_err(|error| reader.error(error.span().unwrap_or(0..0), "", error.message().trim().to_owned(), None))?;
    reader.law(table.get_ref(), name, base)
}

/// A name as the file's blacklist has it.
pub(super) fn name(text: &str) -> Read<Box<str>> {
    Reader { text, file: "blacklist" }.host_name(text, 0..0, "")
}

/// A registered domain as the file's `[domains]` has it.
pub(super) fn domain(text: &str) -> Read<Box<str>> {
    Reader { text, file: "domains" }.registered(text, 0..0, "")
}

impl Reader<'_> {
    fn error(&self, span: Range<usize>, key: &str, message: String, hint: Option<String>) -> PolicyError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        PolicyError {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.to_owned(),
            message,
            hint,
        }
    }

    fn expected(&self, value: &Spanned<DeValue<'_>>, key: &str, expected: &str, hint: Option<String>) -> PolicyError {
        let found = self.text.get(value.span()).unwrap_or_default();
        let short: String = found.chars().take(60).collect();
        self.error(value.span(), key, format!("expected {expected}, found {short}"), hint)
    }

    fn unknown(&self, name: &Spanned<impl AsRef<str>>, key: &str, known: &[&str]) -> PolicyError {
        let list = known.join(", ");
        let hint = nearest(name.get_ref().as_ref(), known).map(|near| format!("did you mean {near:?}?"));
        self.error(name.span(), key, format!("unknown key; expected one of {list}"), hint)
    }

    fn document(&self, table: &DeTable<'_>) -> Read<Policy> {
        let mut policy = Policy::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "profile" => policy.profile = self.profile(value)?,
                "blacklist" => {
                    for entry in self.list(value, "blacklist")? {
                        policy.blacklist.insert(self.name_of(entry, "blacklist")?);
                    }
                }
                // They need the profile, which may stand anywhere.
                "default" | "domains" => {}
                _ => return Err(self.unknown(key, key.get_ref(), &["profile", "blacklist", "default", "domains"])),
            }
        }
        let base = policy.profile.law();
        if let Some(value) = table.get("default") {
            policy.default = Some(self.law(self.table(value, "default")?, "default", base)?);
        }
        let base = policy.default.unwrap_or(base);
        if let Some(value) = table.get("domains") {
            for (name, value) in self.table(value, "domains")? {
                let path = format!("domains.{:?}", name.get_ref());
                let domain = self.registered(name.get_ref(), name.span(), &path)?;
                let law = self.law(self.table(value, &path)?, &path, base)?;
                if policy.domains.len() == NAMES_MAX {
                    return Err(self.error(name.span(), &path, format!("more than {NAMES_MAX} domains"), None));
                }
                if policy.domains.insert(domain, law).is_some() {
                    return Err(self.error(name.span(), &path, "the domain has a law already".to_owned(), None));
                }
            }
        }
        Ok(policy)
    }

    fn table<'v, 'd>(&self, value: &'v Spanned<DeValue<'d>>, key: &str) -> Read<&'v DeTable<'d>> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.expected(value, key, "a table with hits and window", None)),
        }
    }

    fn list<'v, 'd>(&self, value: &'v Spanned<DeValue<'d>>, key: &str) -> Read<&'v [Spanned<DeValue<'d>>]> {
        match value.get_ref() {
            DeValue::Array(list) if list.len() <= NAMES_MAX => Ok(list),
            DeValue::Array(_) => Err(self.error(value.span(), key, format!("more than {NAMES_MAX} names"), None)),
            DeValue::String(text) => {
                Err(self.expected(value, key, "a list of names", Some(format!("write [{:?}]", text.as_ref()))))
            }
            _ => Err(self.expected(value, key, "a list of names", None)),
        }
    }

    fn name_of(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Read<Box<str>> {
        match value.get_ref() {
            DeValue::String(text) => self.host_name(text, value.span(), key),
            _ => Err(self.expected(value, key, "a name such as \"example.com\"", None)),
        }
    }

    fn registered(&self, text: &str, span: Range<usize>, path: &str) -> Read<Box<str>> {
        let domain = self.host_name(text, span.clone(), path)?;
        let registered = registered_domain(&domain);
        if registered == &*domain {
            return Ok(domain);
        }
        let message = format!("expected a registered domain, found {domain:?}");
        let written = if path.is_empty() { registered.to_owned() } else { format!("[domains.{registered:?}]") };
        let hint = format!("laws belong to registered domains: write {written}");
        Err(self.error(span, path, message, Some(hint)))
    }

    /// A host name in lower case, or an address (IPv6 in brackets).
    fn host_name(&self, text: &str, span: Range<usize>, key: &str) -> Read<Box<str>> {
        let hint = |name: &str, why: &str| Some(format!("write {:?}: {why}", name.to_lowercase()));
        let hint = if let Some((_, rest)) = text.split_once("://") {
            hint(rest.split(['/', ':', '?']).next().unwrap_or_default(), "a name, not a URL")
        } else if let Some(rest) = text.strip_prefix("*.") {
            hint(rest, "names under it are covered anyway")
        } else if let Some((name, _)) = text.split_once('/') {
            hint(name, "a name, not a path")
        } else {
            let bracketed = text.parse::<std::net::Ipv6Addr>().map(|address| format!("[{address}]"));
            match url::Host::parse(bracketed.as_deref().unwrap_or(text.trim_end_matches('.'))) {
                Ok(host) if !host.to_string().is_empty() => return Ok(host.to_string().into()),
                _ => text.split_once(':').and_then(|(name, _)| hint(name, "ports do not count")),
            }
        };
        Err(self.error(span, key, format!("expected a name such as \"example.com\", found {text:?}"), hint))
    }

    fn profile(&self, value: &Spanned<DeValue<'_>>) -> Read<Profile> {
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.expected(value, "profile", "\"standard\" or \"broad\"", None));
        };
        match text.as_ref() {
            "standard" | "default" => Ok(Profile::Standard),
            "broad" => Ok(Profile::Broad),
            other => {
                let hint = nearest(other, &["standard", "broad"]).map(|near| format!("did you mean {near:?}?"));
                Err(self.expected(value, "profile", "\"standard\" or \"broad\"", hint))
            }
        }
    }

    /// A law; what is not given comes from `base`.
    fn law(&self, table: &DeTable<'_>, path: &str, base: Law) -> Read<Law> {
        let mut law = base;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let key_path = format!("{path}.{name}");
            match name {
                "hits" => law.hits = self.hits(value, &key_path)?,
                "window" => law.window_us = self.window(value, &key_path)?,
                "moderated" => match value.get_ref() {
                    DeValue::Boolean(moderated) => law.moderated = *moderated,
                    _ => return Err(self.expected(value, &key_path, "true or false", None)),
                },
                "scale" => law.scale = self.scale(value, &key_path)?,
                _ => return Err(self.unknown(key, &key_path, &["hits", "window", "moderated", "scale"])),
            }
        }
        Ok(law)
    }

    fn hits(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Read<u32> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let hint = || Some("to stop a domain, put it on the blacklist".to_owned());
        match number {
            Some(0) => Err(self.expected(value, key, "a whole number of at least 1", hint())),
            Some(hits) => Ok(hits),
            None => Err(self.expected(value, key, "a whole number of at least 1", None)),
        }
    }

    fn window(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Read<u64> {
        const EXPECTED: &str = "a duration from \"1ms\" to \"744h\" with its unit";
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                let hint = format!("a unit is missing: write \"{number}s\" for seconds");
                return Err(self.expected(value, key, EXPECTED, Some(hint)));
            }
            _ => return Err(self.expected(value, key, EXPECTED, None)),
        };
        let duration = parse_duration(text).map_err(|error| self.expected(value, key, EXPECTED, error.hint))?;
        match u64::try_from(duration.as_micros()) {
            Ok(micros @ WINDOW_US_MIN..=WINDOW_US_MAX) => Ok(micros),
            _ => Err(self.expected(value, key, EXPECTED, None)),
        }
    }

    fn scale(&self, value: &Spanned<DeValue<'_>>, key: &str) -> Read<f64> {
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        };
        match number {
            Some(scale) if scale > 0.0 && scale <= 1.0 => Ok(scale),
            Some(0.0) => {
                let hint = "to stop a domain, put it on the blacklist".to_owned();
                Err(self.expected(value, key, "a number above 0, at most 1", Some(hint)))
            }
            _ => Err(self.expected(value, key, "a number above 0, at most 1", None)),
        }
    }
}

/// The candidate that a misspelt word most probably means.
fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let folded = word.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 2).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}
