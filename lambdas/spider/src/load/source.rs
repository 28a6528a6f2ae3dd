//! Sources with their clean-up: `xpath`, `css`, `json`, `url`, `carry`, `value`, `const`, `from`, `regex`, `map`; and scopes.

use super::doc::{Complaint, Spot, did_you_mean};
use super::language;
use super::section::{Section, Text, as_text};
use super::{Loader, steps};
use crate::compiled::{ContextValue, DocIndex, InsideDoc, JsonSource, Pipeline, Scope, Source};
use crate::json::Path;
use crate::selector::{Language, Selector};
use crate::template::Template;
use regex::Regex;
use toml::de::DeValue;

const SOURCES: [&str; 8] = ["xpath", "css", "json", "url", "carry", "value", "const", "from"];

impl Loader<'_, '_> {
    /// Reads a source, its `regex` and its `map`.
    pub fn pipeline(&self, section: &Section<'_, '_>) -> Option<Pipeline> {
        let source = self.source(section);
        let regex = section.text("regex").and_then(|text| self.regex(&text));
        let steps = section.get("map").map_or_else(Vec::new, |spot| steps::load(self, spot));
        Some(Pipeline { source: source?, regex, steps })
    }

    /// The one of `keys` that a table has; complains about none (unless `optional`) and about several.
    pub fn one_of<'k>(&self, section: &Section<'_, '_>, keys: &[&'k str], optional: bool) -> Option<&'k str> {
        let present: Vec<&str> = keys.iter().copied().filter(|key| section.has(key)).collect();
        let what = section.language.what;
        match present.as_slice() {
            [one] => Some(one),
            [] => {
                if !optional && !section.has_unknown() {
                    // A field may also be filled later; one place in the page is no field.
                    let later = ["geocode", "compute"].into_iter().filter(|later| {
                        keys.contains(&"from") && section.language.keys.iter().any(|key| key.name == *later)
                    });
                    let known: Vec<&str> = keys.iter().copied().chain(later).collect();
                    let complaint = Complaint::new(format!("{what} needs a source"))
                        .expected(format!("one of {}", known.join(", ")));
                    self.doc.complain(section.span.clone(), complaint);
                }
                None
            }
            [first, second, ..] => {
                let complaint = Complaint::new(format!("{what} has two sources: `{first}` and `{second}`"))
                    .expected("one source")
                    .hint("to try several: from = [{ ... }, { ... }]");
                self.doc.complain(section.key_span(second), complaint);
                None
            }
        }
    }

    fn source(&self, section: &Section<'_, '_>) -> Option<Source> {
        let key = self.one_of(section, &SOURCES, false)?;
        if key != "json" && section.has("inside") {
            let complaint =
                Complaint::new("`inside` goes with `json` only").expected("json = '$.path', inside = { ... }");
            section.complain("inside", complaint);
        }
        Some(match key {
            "xpath" => Source::Selector(self.selector(Language::XPath, &section.text("xpath")?)?),
            "css" => Source::Selector(self.selector(Language::Css, &section.text("css")?)?),
            "json" => Source::Json(self.json(section)?),
            "url" => Source::Url(self.regex(&section.text("url")?)?),
            "carry" => {
                let text = section.text("carry")?;
                self.wanted.borrow_mut().push((text.value.to_owned(), text.span.clone()));
                Source::Carry(text.value.into())
            }
            "value" => Source::Context(self.context(&section.text("value")?, false)?),
            "const" => Source::Const(self.literals(section.get("const")?)),
            _ => Source::First(self.alternatives(section.get("from")?)?),
        })
    }

    fn alternatives(&self, spot: &Spot<'_>) -> Option<Vec<Pipeline>> {
        let DeValue::Array(list) = spot.get_ref() else {
            let complaint = Complaint::new("`from` is a list of sources").expected("[{ css = ... }, { xpath = ... }]");
            self.doc.complain(spot.span(), complaint);
            return None;
        };
        let pipelines: Vec<Pipeline> = list
            .iter()
            .filter_map(|entry| Section::open(self.doc, entry, &language::SOURCE))
            .filter_map(|section| self.pipeline(&section))
            .collect();
        if list.is_empty() {
            self.doc.complain(spot.span(), Complaint::new("`from` needs at least one source"));
        }
        Some(pipelines)
    }

    /// The texts of a literal: one, or those of a list.
    fn literals(&self, spot: &Spot<'_>) -> Vec<Box<str>> {
        let one = |spot: &Spot<'_>| match spot.get_ref() {
            DeValue::String(text) => Template::fixed(self.doc, text, &spot.span()).into(),
            other => super::request::json_of(other)
                .as_str()
                .map_or_else(|| super::request::json_of(other).to_string().into(), Box::<str>::from),
        };
        match spot.get_ref() {
            DeValue::Array(list) => list.iter().map(one).collect(),
            _ => vec![one(spot)],
        }
    }

    /// A selector, compiled.
    pub fn selector(&self, language: Language, text: &Text<'_>) -> Option<Selector> {
        Selector::compile(self.doc, language, text.value, &text.span)
    }

    /// A regex, compiled; Python's spelling is hinted at where it differs.
    pub fn regex(&self, text: &Text<'_>) -> Option<Regex> {
        // 1 MiB of automaton: far above any sensible expression, far below what would hurt a small function.
        match regex::RegexBuilder::new(text.value).size_limit(1 << 20).build() {
            Ok(regex) => Some(regex),
            Err(error) => {
                let said = error.to_string();
                let last = said.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                let hint = if said.contains("look-around") || said.contains("backreferences") {
                    Some(
                        "expressions run in linear time: without look-ahead, look-behind and back-references"
                            .to_owned(),
                    )
                } else if text.value.contains("\\Z") {
                    Some("the end of the text is `\\z`".to_owned())
                } else {
                    literal_hint(&said).map(str::to_owned)
                };
                let offset = regex_offset(&said);
                let complaint = Complaint::new(format!("not a regular expression: {last}")).maybe_hint(hint);
                self.doc.complain(self.doc.within(&text.span, text.value, offset), complaint);
                None
            }
        }
    }

    /// `json` and, when there is one, `inside`.
    pub fn json(&self, section: &Section<'_, '_>) -> Option<JsonSource> {
        let text = section.text("json")?;
        let doc = section.get("inside").map_or(Some(0), |spot| self.inside(spot));
        let doc = doc?;
        self.uses_json.set(self.uses_json.get() || doc == 0);
        Some(JsonSource { path: self.path(&text)?, doc })
    }

    /// A JSON path, compiled.
    pub fn path(&self, text: &Text<'_>) -> Option<Path> {
        match Path::parse(text.value) {
            Ok(path) => Some(path),
            Err((offset, message)) => {
                let complaint = Complaint::new(format!("not a JSON path: {message}"))
                    .expected("a path as in RFC 9535: $.a.b[0], $.list[*], $..name")
                    .maybe_hint((!text.value.starts_with('$')).then(|| format!("write `$.{}`", text.value)));
                self.doc.complain(self.doc.within(&text.span, text.value, offset), complaint);
                None
            }
        }
    }

    fn inside(&self, spot: &Spot<'_>) -> Option<DocIndex> {
        let section = Section::open(self.doc, spot, &language::INSIDE)?;
        let key = self.one_of(&section, &["xpath", "css"], false)?;
        let language = if key == "xpath" { Language::XPath } else { Language::Css };
        let text = section.text(key)?;
        let selector = self.selector(language, &text);
        let regex_text = section.text("regex");
        let regex = regex_text.as_ref().and_then(|text| self.regex(text));
        let id = format!("{key}\0{}\0{}", text.value, regex_text.map_or("", |text| text.value));
        let mut insides = self.insides.borrow_mut();
        let at = match insides.iter().position(|(known, _)| *known == id) {
            Some(at) => at,
            None => {
                insides.push((id, InsideDoc { selector: selector?, regex }));
                insides.len() - 1
            }
        };
        DocIndex::try_from(at + 1).ok()
    }

    /// A context value by its name; `found` allows `value`, what a rule found.
    pub fn context(&self, text: &Text<'_>, found: bool) -> Option<ContextValue> {
        const NAMES: [&str; 6] = ["response.url", "response.status", "now", "spider", "job", "server"];
        let value = match text.value {
            "response.url" => ContextValue::Url,
            "response.status" => ContextValue::Status,
            "now" => ContextValue::Now,
            "spider" => ContextValue::Spider,
            "job" => ContextValue::Job,
            "server" => ContextValue::Server,
            "value" if found => ContextValue::Found,
            other => match (other.strip_prefix("args."), other.strip_prefix("carry.")) {
                (Some(arg), _) if self.doc.args.contains_key(arg) => ContextValue::Arg(arg.into()),
                (_, Some(name)) if !name.is_empty() => {
                    self.wanted.borrow_mut().push((name.to_owned(), text.span.clone()));
                    ContextValue::Carry(name.into())
                }
                (arg, _) => {
                    let known: Vec<String> = NAMES
                        .iter()
                        .map(|name| (*name).to_owned())
                        .chain(self.doc.args.keys().map(|name| format!("args.{name}")))
                        .chain(found.then(|| "value".to_owned()))
                        .collect();
                    // Arguments that there are stand in the list by name.
                    let args = if self.doc.args.is_empty() { ", args.NAME" } else { "" };
                    let hint = arg
                        .map(|arg| format!("declare it: [args] {arg} = \"...\""))
                        .or_else(|| (!found).then(|| format!("for a literal text: const = \"{other}\"")));
                    let complaint = Complaint::new(format!("there is no context value `{other}`"))
                        .expected(format!("one of {}, carry.NAME{args}", known.join(", ")))
                        .maybe_hint(hint)
                        .maybe_hint(did_you_mean(other, known.iter().map(String::as_str)));
                    self.doc.complain(text.span.clone(), complaint);
                    return None;
                }
            },
        };
        Some(value)
    }

    /// A scope: a string (a JSON path when it begins with `$`, else an XPath) or a table with one selector.
    pub fn scope(&self, spot: &Spot<'_>) -> Option<Scope> {
        if let DeValue::String(_) = spot.get_ref() {
            let text = as_text(self.doc, spot, "scope")?;
            return if text.value.starts_with('$') {
                self.uses_json.set(true);
                Some(Scope::Json(JsonSource { path: self.path(&text)?, doc: 0 }))
            } else {
                self.selector(Language::XPath, &text).map(Scope::Selector)
            };
        }
        let section = Section::open(self.doc, spot, &language::SELECTOR)?;
        Some(match self.one_of(&section, &["xpath", "css", "json"], false)? {
            "xpath" => Scope::Selector(self.selector(Language::XPath, &section.text("xpath")?)?),
            "css" => Scope::Selector(self.selector(Language::Css, &section.text("css")?)?),
            _ => Scope::Json(self.json(&section)?),
        })
    }
}

/// Most broken expressions are characters that were meant literally.
fn literal_hint(said: &str) -> Option<&'static str> {
    let hints = [
        ("unclosed group", "close the group; the character itself is `\\(`"),
        ("unopened group", "there is no `(` for this; the character itself is `\\)`"),
        ("unclosed character class", "close the class with `]`; the character itself is `\\[`"),
        (
            "repetition operator missing",
            "there is nothing to repeat; the characters themselves are `\\*`, `\\+`, `\\?`",
        ),
        ("unclosed counted repetition", "close it with `}`; the character itself is `\\{`"),
        ("unrecognized escape", "this letter has no meaning behind a backslash; a backslash itself is `\\\\`"),
        ("size limit", "it is too large when compiled: repeat fewer times, or use smaller classes"),
    ];
    hints.iter().find(|(kind, _)| said.contains(kind)).map(|(_, hint)| *hint)
}

/// Where in the expression the regex parser points, from the line of carets in its message.
fn regex_offset(said: &str) -> usize {
    said.lines()
        .find(|line| line.contains('^') && line.trim_start().trim_end().bytes().all(|b| b == b'^' || b == b' '))
        .and_then(|line| line.find('^'))
        .map_or(0, |at| at.saturating_sub(4))
}
