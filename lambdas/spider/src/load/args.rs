//! `[args]`: defaults, required ones, and what was given.

use super::doc::{Complaint, Doc, did_you_mean, kind_of};
use super::language;
use super::section::{Section, wrong_kind};
use super::{IDENTIFIER, is_identifier};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Stands for a required argument that was not given, so that one mistake does not bring others.
pub(crate) const MISSING: &str = "https://missing.invalid";

const RESERVED: [&str; 8] = ["value", "now", "spider", "job", "server", "response", "carry", "args"];

/// The values of all arguments.
pub(crate) fn load(doc: &Doc<'_>, root: &DeTable<'_>, given: &[(String, String)]) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut span = 0..0;
    let mut required = Vec::new();
    if let Some(spot) = root.get("args") {
        span = root.iter().find(|(key, _)| key.get_ref() == "args").map_or(spot.span(), |(key, _)| key.span());
        let DeValue::Table(table) = spot.get_ref() else {
            wrong_kind(doc, spot, "args", "a table of arguments: [args] NAME = \"default\"", spot.get_ref());
            return values;
        };
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            if !is_identifier(name) {
                doc.complain(
                    key.span(),
                    Complaint::new(format!("`{name}` cannot name an argument")).expected(IDENTIFIER),
                );
                continue;
            }
            if RESERVED.contains(&name) {
                let complaint =
                    Complaint::new(format!("`{name}` cannot name an argument: `${{{name}}}` means something else"));
                doc.complain(key.span(), complaint);
                continue;
            }
            let mut text = scalar(value.get_ref());
            if let DeValue::Table(_) = value.get_ref() {
                let Some(section) = Section::open(doc, value, &language::ARG) else { continue };
                if section.boolean("required") == Some(true) {
                    required.push((name.to_owned(), key.span()));
                }
                section.text("help");
                text = section.get("default").and_then(|spot| scalar(spot.get_ref())).or_else(|| Some(String::new()));
            } else if text.is_none() {
                let complaint = Complaint::new(format!("an argument cannot be {}", kind_of(value.get_ref())))
                    .expected("a string, a number, true or false, or { required = true }");
                doc.complain(value.span(), complaint);
            }
            values.insert(name.to_owned(), text.unwrap_or_default());
        }
    }
    for (name, value) in given {
        if values.contains_key(name) {
            values.insert(name.clone(), value.clone());
        } else {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            let complaint = Complaint::new(format!("the spider has no argument `{name}`"))
                .expected(if known.is_empty() { "none".to_owned() } else { known.join(", ") })
                .hint(format!("declare it: [args] {name} = \"...\""))
                .maybe_hint(did_you_mean(name, known.iter().copied()));
            doc.complain(span.clone(), complaint);
        }
    }
    for (name, span) in required {
        if !given.iter().any(|(given, _)| *given == name) {
            let complaint =
                Complaint::new(format!("the argument `{name}` is required")).hint(format!("give it: -a {name}=..."));
            doc.complain(span, complaint);
            values.insert(name, MISSING.to_owned());
        }
    }
    values
}

/// The text of a scalar.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok().map(|n| n.to_string()),
        DeValue::Float(f) => Some(f.as_str().to_owned()),
        DeValue::Boolean(b) => Some(b.to_string()),
        DeValue::Datetime(d) => Some(d.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
