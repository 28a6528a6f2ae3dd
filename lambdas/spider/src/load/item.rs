//! `[item.NAME]`: fields, key, scope.

use super::doc::{Complaint, Spot, did_you_mean};
use super::language;
use super::section::{Section, wrong_kind};
use super::{IDENTIFIER, Later, Loader, is_identifier};
use crate::compiled::{FieldRule, ItemRule, Pipeline, Plan, Scope, Source};
use crate::spider::Geocode;
use std::sync::Arc;
use toml::de::DeValue;
use weir_model::{Field, FieldKind, ItemSchema, KeyScope};

/// Fields of one item type at most: what Elasticsearch's default mapping and MySQL's row size bear.
const FIELDS_MAX: usize = 500;

impl Loader<'_, '_> {
    /// Reads one item type.
    pub fn load_item(&self, name: &str, index: usize, spot: &Spot<'_>, later: &mut Later) -> Option<ItemRule> {
        let section = Section::open(self.doc, spot, &language::ITEM)?;
        let scope = section.get("scope").and_then(|spot| self.scope(spot));
        let fields = self.fields(name, &section);
        let key = self.key(&section, &fields);
        let key_scope = match section.text("key_scope") {
            Some(text) if text.value == "global" => KeyScope::Global,
            Some(text) if text.value != "spider" => {
                let complaint = Complaint::new(format!("`key_scope` cannot be `{}`", text.value))
                    .expected("\"spider\" or \"global\"")
                    .maybe_hint(did_you_mean(text.value, ["spider", "global"].into_iter()));
                self.doc.complain(text.span, complaint);
                KeyScope::Spider
            }
            _ => KeyScope::Spider,
        };
        self.check_geocodes(index, &section, &fields, &mut later.geocodes);
        self.computations((name, index), &section, &fields, &mut later.computations);
        let schema = ItemSchema {
            spider: self.spider_name.clone(),
            name: name.to_owned(),
            fields: fields
                .iter()
                .map(|field| Field {
                    name: field.name.to_string(),
                    kind: field.kind,
                    many: matches!(field.gather, crate::compiled::Gather::Many),
                    volatile: field.volatile,
                })
                .collect(),
            key: key.iter().map(|at| fields[*at].name.to_string()).collect(),
            key_scope,
        };
        let from_json = fields
            .iter()
            .filter(|field| uses(field, &|source| matches!(source, Source::Json(json) if json.doc == 0)))
            .count();
        let from_html = fields.iter().any(|field| {
            uses(field, &|source| match source {
                Source::Selector(_) => true,
                Source::Json(json) => json.doc != 0,
                _ => false,
            })
        });
        let json_scope = matches!(&scope, Some(Scope::Json(json)) if json.doc == 0);
        let html_scope = matches!(&scope, Some(Scope::Selector(_)));
        Some(ItemRule {
            seed: crate::identity::seed(&schema),
            schema: Arc::new(schema),
            has_geocode: fields.iter().any(|field| matches!(field.plan, Plan::Geocode)),
            only_json: (from_json > 0 || json_scope) && !from_html && !html_scope,
            fields,
            key,
            scope,
        })
    }

    fn fields(&self, item: &str, section: &Section<'_, '_>) -> Vec<FieldRule> {
        let Some(spot) = section.get("fields") else {
            let complaint =
                Complaint::new(format!("the item `{item}` has no fields")).expected(format!("[item.{item}.fields]"));
            self.doc.complain(section.span.clone(), complaint);
            return Vec::new();
        };
        let DeValue::Table(table) = spot.get_ref() else {
            wrong_kind(self.doc, spot, "fields", "a table of fields", spot.get_ref());
            return Vec::new();
        };
        if table.is_empty() {
            self.doc.complain(spot.span(), Complaint::new(format!("the item `{item}` has no fields")));
        }
        if table.len() > FIELDS_MAX {
            self.doc.complain(spot.span(), Complaint::new(format!("an item has at most {FIELDS_MAX} fields")));
        }
        let mut fields: Vec<FieldRule> = Vec::new();
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            if !is_identifier(name) {
                let hint = name.starts_with('_').then(|| "names with a leading `_` are weir's own columns".to_owned());
                let complaint =
                    Complaint::new(format!("`{name}` cannot name a field")).expected(IDENTIFIER).maybe_hint(hint);
                self.doc.complain(key.span(), complaint);
                continue;
            }
            if let Some(other) = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)) {
                let complaint = Complaint::new(format!("the fields `{}` and `{name}` would be one column", other.name))
                    .hint("column names do not tell upper from lower case");
                self.doc.complain(key.span(), complaint);
                continue;
            }
            fields.extend(self.field(name, value, &language::FIELD));
        }
        fields
    }

    fn key(&self, section: &Section<'_, '_>, fields: &[FieldRule]) -> Vec<usize> {
        let mut key = Vec::new();
        for text in section.texts("key") {
            let Some(at) = fields.iter().position(|field| *field.name == *text.value) else {
                if !section.has("fields") {
                    continue;
                }
                // A field that is declared but wrong has its own complaint.
                if self.declared(section, text.value) {
                    continue;
                }
                let names = self.declared_names(section);
                let complaint = Complaint::new(format!("the key names no field: `{}`", text.value))
                    .expected(format!("one of {}", names.join(", ")))
                    .maybe_hint(did_you_mean(text.value, names.iter().copied()));
                self.doc.complain(text.span, complaint);
                continue;
            };
            if fields[at].volatile {
                let complaint = Complaint::new(format!("the key field `{}` is volatile", text.value))
                    .hint("what differs from fetch to fetch cannot identify an item");
                self.doc.complain(text.span, complaint);
            } else if matches!(fields[at].plan, Plan::Geocode) {
                self.doc.complain(text.span, Complaint::new("a `geocode` field cannot be a key: it is filled later"));
            } else if matches!(fields[at].plan, Plan::Compute) {
                self.doc.complain(text.span, Complaint::new("a `compute` field cannot be a key: it is filled later"));
            } else if key.contains(&at) {
                self.doc.complain(text.span, Complaint::new(format!("the key names `{}` twice", text.value)));
            } else {
                key.push(at);
            }
        }
        key
    }

    fn check_geocodes(
        &self,
        item: usize,
        section: &Section<'_, '_>,
        fields: &[FieldRule],
        geocodes: &mut Vec<Geocode>,
    ) {
        let Some(DeValue::Table(table)) = section.get("fields").map(toml::Spanned::get_ref) else { return };
        for (at, field) in fields.iter().enumerate().filter(|(_, field)| matches!(field.plan, Plan::Geocode)) {
            let Some(DeValue::Table(own)) = table.get(field.name.as_ref()).map(toml::Spanned::get_ref) else {
                continue;
            };
            let Some(spot) = own.get("geocode") else { continue };
            let DeValue::String(source) = spot.get_ref() else { continue };
            match fields.iter().position(|other| *other.name == **source) {
                Some(from) if fields[from].kind == FieldKind::Str => {
                    geocodes.push(Geocode { item, field: at, address: from })
                }
                Some(_) => {
                    self.doc.complain(
                        spot.span(),
                        Complaint::new(format!("`{source}` is no text to geocode")).expected("a field of type `str`"),
                    );
                }
                None if self.declared(section, source) => {}
                None => {
                    let mut names = self.declared_names(section);
                    names.retain(|name| *name != &*field.name);
                    let complaint = Complaint::new(format!("`geocode` names no field: `{source}`"))
                        .expected(format!("one of {}", names.join(", ")))
                        .maybe_hint(did_you_mean(source, names.iter().copied()));
                    self.doc.complain(spot.span(), complaint);
                }
            }
        }
    }

    pub(super) fn declared(&self, section: &Section<'_, '_>, name: &str) -> bool {
        self.declared_names(section).contains(&name)
    }

    pub(super) fn declared_names<'a>(&self, section: &Section<'a, '_>) -> Vec<&'a str> {
        match section.get("fields").map(toml::Spanned::get_ref) {
            Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().as_ref()).collect(),
            _ => Vec::new(),
        }
    }
}

fn uses(field: &FieldRule, test: &dyn Fn(&Source) -> bool) -> bool {
    fn any(pipeline: &Pipeline, test: &dyn Fn(&Source) -> bool) -> bool {
        test(&pipeline.source)
            || matches!(&pipeline.source, Source::First(list) if list.iter().any(|pipeline| any(pipeline, test)))
    }
    matches!(&field.plan, Plan::Pipeline(pipeline) if any(pipeline, test))
}
