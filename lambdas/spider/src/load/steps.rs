//! `map`: the steps as they are written, to the steps as they run.

use super::Loader;
use super::doc::{Complaint, Spot, did_you_mean, kind_of};
use super::section::{Text, as_integer, as_text, as_texts};
use crate::steps::{Step, Table};
use crate::template::{Allowed, Template};
use toml::de::{DeTable, DeValue};

/// Steps that are a name.
pub(crate) const NAMES: [(&str, &str); 12] = [
    ("trim", "Spaces at both ends taken off."),
    ("lower", "Lower case."),
    ("upper", "Upper case."),
    ("title_case", "Every word's first letter upper case, as Python's str.title()."),
    ("capitalize", "The first letter upper case, the others lower."),
    ("collapse_whitespace", "Runs of space become one space; none at the ends."),
    ("absolute_url", "Resolved against the page's base URL."),
    ("decode_entities", "HTML character references decoded."),
    ("strip_tags", "HTML tags taken out."),
    ("decimal_comma", "1.234,50 becomes 1234.50."),
    ("unique", "Repeated values dropped."),
    ("reverse", "The values in reverse order."),
];

/// Steps that are a table with this key.
pub(crate) const TABLES: [(&str, &str); 19] = [
    ("strip_chars", "These characters taken off both ends."),
    ("remove", "A text, or each of a list, taken out everywhere."),
    ("replace", "[from, to], or a list of such pairs."),
    ("regex", "Every match, its groups if any."),
    ("regex_replace", "[regex, replacement]; \\1 is a group."),
    ("prefix", "Put before."),
    ("suffix", "Put behind."),
    ("remove_prefix", "Taken off the front; of a list the first that fits."),
    ("remove_suffix", "Taken off the end; of a list the first that fits."),
    ("split", "Cut at this text into several values."),
    ("default", "Instead of nothing or an empty text."),
    ("lookup", "A table from value to value; with `default` for others."),
    ("slice", "[start, end] in characters, negative from the end."),
    ("truncate", "At most so many characters; counted when it cuts."),
    ("nth", "One of the values, from 0, negative from the end."),
    ("keep", "Only values in which the regex is found."),
    ("drop", "Only values in which the regex is not found."),
    ("template", "A text with ${value} in it."),
    ("query", "The value of this parameter of a URL."),
];

/// `json` is also a table step; it is listed apart since it is no plain text function.
pub(crate) const JSON_STEP: (&str, &str) = ("json", "A JSON path in a text that is JSON.");

const ALIASES: [(&str, &str); 9] = [
    ("strip", "trim"),
    ("title", "title_case"),
    ("str.title", "title_case"),
    ("urljoin", "absolute_url"),
    ("normalize_space", "collapse_whitespace"),
    ("remove_tags", "strip_tags"),
    ("unescape", "decode_entities"),
    ("lowercase", "lower"),
    ("uppercase", "upper"),
];

/// Reads a list of steps (or a single one).
pub(crate) fn load(loader: &Loader<'_, '_>, spot: &Spot<'_>) -> Vec<Step> {
    match spot.get_ref() {
        DeValue::Array(list) => list.iter().filter_map(|entry| step(loader, entry)).collect(),
        _ => step(loader, spot).into_iter().collect(),
    }
}

fn step(loader: &Loader<'_, '_>, spot: &Spot<'_>) -> Option<Step> {
    match spot.get_ref() {
        DeValue::String(name) => named(loader, name, spot),
        DeValue::Table(table) => tabled(loader, table, spot),
        other => {
            let complaint = Complaint::new(format!("a step of `map` cannot be {}", kind_of(other)))
                .expected("a name such as \"trim\", or a table such as { remove = \",\" }");
            loader.doc.complain(spot.span(), complaint);
            None
        }
    }
}

fn named(loader: &Loader<'_, '_>, name: &str, spot: &Spot<'_>) -> Option<Step> {
    Some(match name {
        "trim" => Step::Trim,
        "lower" => Step::Lower,
        "upper" => Step::Upper,
        "title_case" => Step::TitleCase,
        "capitalize" => Step::Capitalize,
        "collapse_whitespace" => Step::CollapseWhitespace,
        "absolute_url" => Step::AbsoluteUrl,
        "decode_entities" => Step::DecodeEntities,
        "strip_tags" => Step::StripTags,
        "decimal_comma" => Step::DecimalComma,
        "unique" => Step::Unique,
        "reverse" => Step::Reverse,
        _ => {
            let names = NAMES.iter().map(|(name, _)| *name);
            let tables = || TABLES.iter().map(|(name, _)| *name).chain([JSON_STEP.0]);
            let alias =
                ALIASES.iter().find(|(wrong, _)| *wrong == name).map(|(_, right)| format!("did you mean `{right}`?"));
            let hint = if let Some(table) = tables().find(|table| *table == name) {
                Some(format!("it needs a value: {{ {table} = ... }}"))
            } else if name == "float" || name == "int" || name == "str" {
                Some(format!("types are not steps: type = \"{name}\""))
            } else {
                alias.or_else(|| did_you_mean(name, names.clone().chain(tables())))
            };
            let complaint = Complaint::new(format!("there is no step `{name}`"))
                .expected(format!("one of {}", names.collect::<Vec<_>>().join(", ")))
                .maybe_hint(hint);
            loader.doc.complain(spot.span(), complaint);
            return None;
        }
    })
}

fn tabled(loader: &Loader<'_, '_>, table: &DeTable<'_>, spot: &Spot<'_>) -> Option<Step> {
    let doc = loader.doc;
    let has_lookup = table.contains_key("lookup");
    let mut entries = table.iter().filter(|(key, _)| !(has_lookup && key.get_ref() == "default"));
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        let complaint = Complaint::new("a step of `map` is a table with one key")
            .expected("for example { remove = \",\" }")
            .hint("several steps are several tables: [{ remove = \",\" }, { prefix = \"x\" }]");
        doc.complain(spot.span(), complaint);
        return None;
    };
    let name = key.get_ref().as_ref();
    let text = || as_text(doc, value, name);
    let boxed = || text().map(|text| Box::<str>::from(Template::fixed(doc, text.value, &text.span)));
    let regex = |text: &Text<'_>| loader.regex(text);
    let template = |text: &Text<'_>| Template::parse(doc, text.value, &text.span, Allowed::Page);
    Some(match name {
        "strip_chars" => Step::StripChars(boxed()?),
        "remove" => Step::Remove(list(loader, value, name)?),
        "replace" => Step::Replace(pairs(loader, value)?),
        "regex" => Step::Regex(regex(&text()?)?),
        "regex_replace" => {
            let (from, to) = pair(loader, value, name)?;
            let compiled = regex(&from)?;
            let with = replacement(loader, &to, compiled.captures_len())?;
            Step::RegexReplace(compiled, with)
        }
        "prefix" => Step::Prefix(boxed()?),
        "suffix" => Step::Suffix(boxed()?),
        "remove_prefix" => Step::RemovePrefix(list(loader, value, name)?),
        "remove_suffix" => Step::RemoveSuffix(list(loader, value, name)?),
        "split" => {
            let separator = boxed()?;
            if separator.is_empty() {
                doc.complain(value.span(), Complaint::new("`split` needs a text to cut at"));
                return None;
            }
            Step::Split(separator)
        }
        "default" => Step::Default(template(&text()?)),
        "lookup" => {
            let DeValue::Table(entries) = value.get_ref() else {
                let complaint =
                    Complaint::new("`lookup` is a table").expected("{ lookup = { a = \"b\" }, default = \"c\" }");
                doc.complain(value.span(), complaint);
                return None;
            };
            let mut lookup = Table::default();
            for (from, to) in entries.iter() {
                let to = match to.get_ref() {
                    DeValue::String(text) => text.to_string(),
                    other => super::request::json_of(other).to_string(),
                };
                lookup.insert(from.get_ref().as_ref().into(), to.into());
            }
            let default = table.get("default").and_then(|spot| as_text(doc, spot, "default"));
            Step::Lookup(lookup, default.map(|text| template(&text)))
        }
        "slice" => {
            let expected = "[start, end] in characters, or [start]";
            let DeValue::Array(ends) = value.get_ref() else {
                doc.complain(value.span(), Complaint::new("`slice` is a list").expected(expected));
                return None;
            };
            if ends.is_empty() || ends.len() > 2 {
                doc.complain(value.span(), Complaint::new("`slice` has one or two ends").expected(expected));
                return None;
            }
            let end =
                |at: usize| ends.get(at).and_then(|spot| as_integer(doc, spot, name, -1_000_000_000..=1_000_000_000));
            Step::Slice(end(0), end(1))
        }
        "truncate" => Step::Truncate(usize::try_from(as_integer(doc, value, name, 1..=10_000_000)?).ok()?),
        "nth" => Step::Nth(as_integer(doc, value, name, -1_000_000..=1_000_000)?),
        "keep" => Step::Keep(regex(&text()?)?),
        "drop" => Step::Drop(regex(&text()?)?),
        "template" => Step::Template(template(&text()?)),
        "query" => Step::Query(boxed()?),
        "json" => Step::Json(loader.path(&text()?)?),
        _ => {
            let tables = TABLES.iter().map(|(name, _)| *name).chain([JSON_STEP.0]);
            let hint = if NAMES.iter().any(|(known, _)| *known == name) {
                Some(format!("it takes no value: \"{name}\""))
            } else {
                did_you_mean(name, tables.clone())
            };
            let complaint = Complaint::new(format!("there is no step `{name}`"))
                .expected(format!("one of {}", tables.collect::<Vec<_>>().join(", ")))
                .maybe_hint(hint);
            doc.complain(key.span(), complaint);
            return None;
        }
    })
}

fn list(loader: &Loader<'_, '_>, spot: &Spot<'_>, name: &str) -> Option<Vec<Box<str>>> {
    let texts = as_texts(loader.doc, spot, name);
    if texts.iter().any(|text| text.value.is_empty()) {
        loader.doc.complain(spot.span(), Complaint::new(format!("`{name}` needs a text that is not empty")));
        return None;
    }
    let fixed = |text: &Text<'_>| Template::fixed(loader.doc, text.value, &text.span).into();
    Some(texts.iter().map(fixed).collect())
}

fn pair<'a>(loader: &Loader<'_, '_>, spot: &'a Spot<'_>, name: &str) -> Option<(Text<'a>, Text<'a>)> {
    if let DeValue::Array(list) = spot.get_ref()
        && list.len() == 2
    {
        let mut entries = list.iter();
        let (from, to) = (entries.next()?, entries.next()?);
        return Some((as_text(loader.doc, from, name)?, as_text(loader.doc, to, name)?));
    }
    let complaint =
        Complaint::new(format!("`{name}` is a pair")).expected(format!("{{ {name} = [\"from\", \"to\"] }}"));
    loader.doc.complain(spot.span(), complaint);
    None
}

fn pairs(loader: &Loader<'_, '_>, spot: &Spot<'_>) -> Option<Vec<(Box<str>, Box<str>)>> {
    let fixed = |text: &Text<'_>| Box::<str>::from(Template::fixed(loader.doc, text.value, &text.span));
    let one = |spot: &Spot<'_>| {
        let (from, to) = pair(loader, spot, "replace")?;
        if from.value.is_empty() {
            loader.doc.complain(from.span, Complaint::new("`replace` needs a text that is not empty"));
            return None;
        }
        Some((fixed(&from), fixed(&to)))
    };
    match spot.get_ref() {
        DeValue::Array(list) if list.iter().next().is_some_and(|first| first.get_ref().is_array()) => {
            list.iter().map(one).collect()
        }
        _ => one(spot).map(|pair| vec![pair]),
    }
}

/// Python's replacement syntax (`\1`, `\g<name>`) to the regex crate's.
fn replacement(loader: &Loader<'_, '_>, text: &Text<'_>, groups: usize) -> Option<Box<str>> {
    let mut out = String::with_capacity(text.value.len() + 8);
    let mut rest = text.value;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        match c {
            '$' => out.push_str("$$"),
            '\\' if tail.starts_with(|c: char| c.is_ascii_digit()) => {
                let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
                let group: usize = tail[..end].parse().unwrap_or(usize::MAX);
                if group >= groups {
                    let offset = text.value.len() - rest.len();
                    let complaint = Complaint::new(format!("the expression has no group {}", &tail[..end]))
                        .expected(format!("a group from 0 to {}", groups - 1));
                    loader.doc.complain(loader.doc.within(&text.span, text.value, offset), complaint);
                    return None;
                }
                out.push_str(&format!("${{{group}}}"));
                rest = &tail[end..];
                continue;
            }
            '\\' if tail.starts_with("g<") => {
                if let Some(end) = tail.find('>') {
                    out.push_str(&format!("${{{}}}", &tail[2..end]));
                    rest = &tail[end + 1..];
                    continue;
                }
                out.push('\\');
            }
            '\\' if tail.starts_with('n') => {
                out.push('\n');
                rest = &tail[1..];
                continue;
            }
            '\\' if tail.starts_with('\\') => {
                out.push('\\');
                rest = &tail[1..];
                continue;
            }
            c => out.push(c),
        }
        rest = tail;
    }
    Some(out.into())
}
