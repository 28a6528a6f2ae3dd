//! `[item.NAME.compute.NAME]`: who fills `compute` fields, with what.

use super::doc::{Complaint, did_you_mean};
use super::language;
use super::section::{Section, Text, wrong_kind};
use super::{IDENTIFIER, Loader, is_identifier};
use crate::compiled::{FieldRule, Gather, Plan};
use crate::computation::{Computation, LineFormat, Performer};
use crate::template::Template;
use std::time::Duration;
use toml::de::{DeTable, DeValue};
use weir_model::FieldKind;

const TIMEOUT: Duration = Duration::from_secs(5);
const STARTUP: Duration = Duration::from_secs(30);
/// Longer than anybody waits for a line.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

impl Loader<'_, '_> {
    /// Reads the computations of an item type; every `compute` field has one, and every one a field.
    pub(super) fn computations(
        &self,
        (item_name, item): (&str, usize),
        section: &Section<'_, '_>,
        fields: &[FieldRule],
        all: &mut Vec<Computation>,
    ) {
        let table = section.get("compute").and_then(|spot| match spot.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                wrong_kind(self.doc, spot, "compute", &format!("[item.{item_name}.compute.NAME] tables"), other);
                None
            }
        });
        self.check_named(item_name, section, fields, table);
        if section.texts("key").is_empty() && fields.iter().any(|field| matches!(field.plan, Plan::Compute)) {
            let complaint = Complaint::new(format!("the item `{item_name}` has `compute` fields and no `key`"))
                .expected("key = the fields that identify it")
                .hint("without a key its content identifies it, and that changes with what is computed");
            self.doc.complain(section.span.clone(), complaint);
        }
        // Fields that are not known yet when the turn of a computation comes.
        let mut unknown: Vec<usize> = self.filled(section, fields, None);
        for (key, spot) in table.into_iter().flat_map(DeTable::iter) {
            let name = key.get_ref().as_ref();
            if !is_identifier(name) {
                let complaint = Complaint::new(format!("`{name}` cannot name a computation")).expected(IDENTIFIER);
                self.doc.complain(key.span(), complaint);
                continue;
            }
            let Some(own) = Section::open(self.doc, spot, &language::COMPUTATION) else { continue };
            let filled = self.filled(section, fields, Some(name));
            if filled.is_empty() {
                let complaint = Complaint::new(format!("no field is filled by the computation `{name}`"))
                    .expected(format!("a field {{ compute = \"{name}\" }} of the item `{item_name}`"));
                self.doc.complain(key.span(), complaint);
            }
            let send = self.sent(section, &own, fields, &unknown);
            let format = self.line_format(&own, fields, &send, &filled);
            let pool = own.integer("pool", 1..=64).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
            if let Some(performer) = self.performer(&own) {
                all.push(Computation {
                    name: name.to_owned(),
                    item,
                    item_name: item_name.to_owned(),
                    performer,
                    pool,
                    send,
                    fields: filled.clone(),
                    format,
                });
            }
            unknown.retain(|at| !filled.contains(at));
        }
    }

    /// A `compute` field that names no computation.
    fn check_named(
        &self,
        item_name: &str,
        section: &Section<'_, '_>,
        fields: &[FieldRule],
        table: Option<&DeTable<'_>>,
    ) {
        let known: Vec<&str> =
            table.into_iter().flat_map(|table| table.keys()).map(|key| key.get_ref().as_ref()).collect();
        for field in fields.iter().filter(|field| matches!(field.plan, Plan::Compute)) {
            let Some(text) = self.compute_of(section, field) else { continue };
            if !known.contains(&text.value) {
                let complaint = Complaint::new(format!("`compute` names no computation: `{}`", text.value))
                    .expected(if known.is_empty() {
                        format!("a table [item.{item_name}.compute.{}]", text.value)
                    } else {
                        format!("one of {}", known.join(", "))
                    })
                    .maybe_hint(did_you_mean(text.value, known.iter().copied()));
                self.doc.complain(text.span, complaint);
            }
        }
    }

    fn compute_of<'a>(&self, section: &Section<'a, '_>, field: &FieldRule) -> Option<Text<'a>> {
        let DeValue::Table(table) = section.get("fields")?.get_ref() else { return None };
        let DeValue::Table(own) = table.get(field.name.as_ref())?.get_ref() else { return None };
        let spot = own.get("compute")?;
        let DeValue::String(value) = spot.get_ref() else { return None };
        Some(Text { value, span: spot.span() })
    }

    /// Indices of the fields that a computation fills; of none: those that are filled after the page, by anybody.
    fn filled(&self, section: &Section<'_, '_>, fields: &[FieldRule], name: Option<&str>) -> Vec<usize> {
        let fits = |field: &FieldRule| match (&field.plan, name) {
            (Plan::Compute, None) | (Plan::Geocode, None) => true,
            (Plan::Compute, Some(name)) => self.compute_of(section, field).is_some_and(|text| text.value == name),
            _ => false,
        };
        fields.iter().enumerate().filter(|(_, field)| fits(field)).map(|(at, _)| at).collect()
    }

    /// Indices of the fields that a computation gets.
    fn sent(
        &self,
        section: &Section<'_, '_>,
        own: &Section<'_, '_>,
        fields: &[FieldRule],
        unknown: &[usize],
    ) -> Vec<usize> {
        if !own.has("send") {
            return (0..fields.len()).filter(|at| !unknown.contains(at)).collect();
        }
        let mut send = Vec::new();
        for text in own.texts("send") {
            match fields.iter().position(|field| *field.name == *text.value) {
                Some(at) if unknown.contains(&at) => {
                    let complaint =
                        Complaint::new(format!("`{}` is filled later than this computation runs", text.value))
                            .expected("fields of the page, and those that a computation above fills");
                    self.doc.complain(text.span, complaint);
                }
                Some(at) if send.contains(&at) => {
                    self.doc.complain(text.span, Complaint::new(format!("`send` names `{}` twice", text.value)));
                }
                Some(at) => send.push(at),
                None if self.declared(section, text.value) => {}
                None => {
                    let names = self.declared_names(section);
                    let complaint = Complaint::new(format!("`send` names no field: `{}`", text.value))
                        .expected(format!("one of {}", names.join(", ")))
                        .maybe_hint(did_you_mean(text.value, names.iter().copied()));
                    self.doc.complain(text.span, complaint);
                }
            }
        }
        send
    }

    fn line_format(&self, own: &Section<'_, '_>, fields: &[FieldRule], send: &[usize], filled: &[usize]) -> LineFormat {
        let Some(text) = own.text("format") else { return LineFormat::Json };
        match text.value {
            "json" => return LineFormat::Json,
            "text" => {
                let is_text =
                    |at: &usize| fields[*at].kind == FieldKind::Str && !matches!(fields[*at].gather, Gather::Many);
                if !own.has("send") || send.len() > 1 || !send.iter().all(is_text) || filled.len() > 1 {
                    let complaint =
                        Complaint::new("`format = \"text\"` is for one text that is sent and one field that is filled")
                            .expected("send = \"FIELD\", of type `str`")
                            .hint("leave `format` out for lines of JSON, which hold any number of fields");
                    self.doc.complain(text.span, complaint);
                }
                return LineFormat::Text;
            }
            _ => {}
        }
        let complaint = Complaint::new(format!("`format` cannot be `{}`", text.value))
            .expected(format!("one of {}", language::FORMATS.join(", ")))
            .maybe_hint(did_you_mean(text.value, language::FORMATS.iter().copied()));
        self.doc.complain(text.span, complaint);
        LineFormat::Json
    }

    fn performer(&self, own: &Section<'_, '_>) -> Option<Performer> {
        match (own.has("command"), own.has("function")) {
            (true, true) => {
                let complaint = Complaint::new("a computation has either a `command` or a `function`");
                self.doc.complain(own.key_span("function"), complaint);
                None
            }
            (false, false) => {
                if !own.has_unknown() {
                    let complaint = Complaint::new("a computation needs a `command` or a `function`")
                        .expected("command = [\"python3\", \"score.py\"]");
                    self.doc.complain(own.span.clone(), complaint);
                }
                None
            }
            (false, true) => {
                for key in ["timeout", "startup", "ahead", "format"] {
                    if own.has(key) {
                        let complaint = Complaint::new(format!("`{key}` is for a `command`")).hint(
                            "a function runs on a thread, which nobody can end, and gets values instead of lines",
                        );
                        self.doc.complain(own.key_span(key), complaint);
                    }
                }
                Some(Performer::Function(own.text("function")?.value.to_owned()))
            }
            (true, false) => self.command(own),
        }
    }

    fn command(&self, own: &Section<'_, '_>) -> Option<Performer> {
        let spot = own.get("command")?;
        if let DeValue::String(text) = spot.get_ref()
            && text.contains(char::is_whitespace)
        {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{word}\"")).collect();
            let complaint = Complaint::new("`command` is a list: no shell reads it")
                .expected("the program and each of its arguments")
                .hint(format!("write command = [{}]", words.join(", ")));
            self.doc.complain(spot.span(), complaint);
            return None;
        }
        let texts = own.texts("command");
        let command: Vec<String> = texts.iter().map(|text| Template::fixed(self.doc, text.value, &text.span)).collect();
        if command.first().is_none_or(|program| program.trim().is_empty()) {
            let complaint =
                Complaint::new("`command` names no program").expected("command = [\"python3\", \"score.py\"]");
            self.doc.complain(spot.span(), complaint);
            return None;
        }
        let ahead = own.integer("ahead", 1..=1_000).and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        Some(Performer::Command {
            command,
            timeout: self.duration(own, "timeout", TIMEOUT),
            startup: self.duration(own, "startup", STARTUP),
            ahead,
        })
    }

    fn duration(&self, own: &Section<'_, '_>, key: &str, default: Duration) -> Duration {
        let Some(text) = own.text(key) else { return default };
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        let read = units.iter().find_map(|(unit, ms)| {
            let number = text.value.strip_suffix(unit)?.trim().parse::<u64>().ok()?;
            number.checked_mul(*ms).map(Duration::from_millis)
        });
        match read {
            Some(duration) if duration <= TIMEOUT_MAX && (!duration.is_zero() || key == "startup") => duration,
            _ => {
                let complaint = Complaint::new(format!("`{key}` cannot be `{}`", text.value))
                    .expected("a whole number with its unit: \"500ms\", \"5s\", \"2m\", \"1h\"; at most 24h");
                self.doc.complain(text.span, complaint);
                default
            }
        }
    }
}
