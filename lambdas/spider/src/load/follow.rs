//! `[[follow]]`: where links are, which are taken, what they lead to.

use super::doc::{Complaint, Spot};
use super::language;
use super::section::{Section, wrong_kind};
use super::{Loader, request, steps};
use crate::compiled::{FieldRule, FollowRule, Gather, LinkSource, Pipeline, Plan, RequestTemplate, Source};
use crate::selector::Language;
use crate::template::{Allowed, Part, Template, Variable};
use regex::Regex;
use toml::de::DeValue;
use weir_model::{FieldKind, Method};

/// Rules of one spider at most: each costs a selector on every searched page.
const RULES_MAX: usize = 1_000;

impl Loader<'_, '_> {
    /// Reads all rules.
    pub fn rules(&self, spot: &Spot<'_>) -> Vec<FollowRule> {
        let DeValue::Array(list) = spot.get_ref() else {
            self.misled.set(true);
            wrong_kind(self.doc, spot, "follow", "[[follow]] tables (with two brackets)", spot.get_ref());
            return Vec::new();
        };
        if list.len() > RULES_MAX {
            self.doc.complain(spot.span(), Complaint::new(format!("a spider has at most {RULES_MAX} rules")));
        }
        list.iter().filter_map(|entry| self.rule(entry)).collect()
    }

    fn rule(&self, spot: &Spot<'_>) -> Option<FollowRule> {
        let section = Section::open(self.doc, spot, &language::FOLLOW)?;
        let source = self.link_source(&section);
        let parse = section.text("parse").and_then(|text| self.item(&text));
        let follow = section.boolean("follow");
        if follow == Some(false) && !section.has("parse") {
            let complaint = Complaint::new("a page that is neither parsed nor searched would be fetched for nothing")
                .expected("parse = \"ITEM\", or no `follow = false`");
            section.complain("follow", complaint);
        }
        let url = section.text("url").map(|text| Template::parse(self.doc, text.value, &text.span, Allowed::Page));
        let source = match source {
            Some(LinkSource::All) if url.as_ref().is_some_and(|url| !uses_value(url)) => Some(LinkSource::Once),
            source => source,
        };
        let regexes = |key: &str| section.texts(key).iter().filter_map(|text| self.regex(text)).collect::<Vec<Regex>>();
        Some(FollowRule {
            scope: section.get("scope").and_then(|spot| self.scope(spot)),
            regex: section.text("regex").and_then(|text| self.regex(&text)),
            steps: section.get("map").map_or_else(Vec::new, |spot| steps::load(self, spot)),
            allow: regexes("allow"),
            deny: regexes("deny"),
            deny_extensions: section.has("deny_extensions").then(|| self.extensions(&section)),
            target: self.target(parse, follow.unwrap_or(parse.is_none())),
            priority: section.integer("priority", -32_768..=32_767).and_then(|n| i16::try_from(n).ok()).unwrap_or(0),
            request: self.request(&section),
            url,
            source: source?,
        })
    }

    fn link_source(&self, section: &Section<'_, '_>) -> Option<LinkSource> {
        let keys = ["xpath", "css", "json"];
        if !keys.iter().any(|key| section.has(key)) {
            if section.has("inside") {
                section.complain("inside", Complaint::new("`inside` goes with `json`").expected("json = '$.path'"));
            }
            return Some(LinkSource::All);
        }
        let key = self.one_of(section, &keys, true)?;
        if key != "json" && section.has("inside") {
            section.complain("inside", Complaint::new("`inside` goes with `json` only"));
        }
        Some(match key {
            "xpath" => LinkSource::Selector(self.selector(Language::XPath, &section.text("xpath")?)?),
            "css" => LinkSource::Selector(self.selector(Language::Css, &section.text("css")?)?),
            _ => LinkSource::Json(self.json(section)?),
        })
    }

    fn extensions(&self, section: &Section<'_, '_>) -> Vec<Box<str>> {
        section
            .texts("deny_extensions")
            .iter()
            .map(|text| format!(".{}", text.value.trim_start_matches('.').to_lowercase()).into())
            .collect()
    }

    fn request(&self, section: &Section<'_, '_>) -> Option<Box<RequestTemplate>> {
        let parts = request::load(section, Allowed::Page);
        let carry = section.get("carry").map_or_else(Vec::new, |spot| self.carried(spot));
        if parts.is_none() && carry.is_empty() {
            return None;
        }
        let (method, body, headers) = parts.unwrap_or((Method::Get, None, Vec::new()));
        Some(Box::new(RequestTemplate { method, body, headers, carry }))
    }

    /// `carry` of a rule: sources, or names of context values.
    fn carried(&self, spot: &Spot<'_>) -> Vec<FieldRule> {
        let DeValue::Table(table) = spot.get_ref() else {
            wrong_kind(self.doc, spot, "carry", "a table: carry = { title = { xpath = '...' } }", spot.get_ref());
            return Vec::new();
        };
        let mut rules = Vec::new();
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            self.given.borrow_mut().push(name.to_owned());
            if let DeValue::String(text) = value.get_ref() {
                let text = super::section::Text { value: text, span: value.span() };
                let Some(which) = self.context(&text, true) else { continue };
                rules.push(FieldRule {
                    name: name.into(),
                    plan: Plan::Pipeline(Pipeline { source: Source::Context(which), regex: None, steps: Vec::new() }),
                    gather: Gather::First,
                    kind: FieldKind::Str,
                    format: None,
                    required: false,
                    volatile: false,
                    name_hash: 0,
                });
            } else {
                rules.extend(self.field(name, value, &language::CARRIED));
            }
        }
        rules
    }
}

/// Whether a template needs what a selector found.
fn uses_value(template: &Template) -> bool {
    template.parts.iter().any(|part| matches!(part, Part::Variable(Variable::Value, _)))
}
