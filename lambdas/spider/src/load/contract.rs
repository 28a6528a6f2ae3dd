//! `[[contract]]`: what a page must give.

use super::Loader;
use super::doc::{Complaint, Spot, did_you_mean};
use super::language;
use super::section::{Section, as_integer, wrong_kind};
use crate::compiled::ItemRule;
use crate::spider::{Bounds, Contract};
use crate::template::Template;
use toml::de::DeValue;
use weir_model::TargetId;

const COUNT_MAX: i64 = 1_000_000;

impl Loader<'_, '_> {
    /// Reads all contracts.
    pub fn contracts(&self, spot: &Spot<'_>, items: &[ItemRule]) -> Vec<Contract> {
        let DeValue::Array(list) = spot.get_ref() else {
            wrong_kind(self.doc, spot, "contract", "[[contract]] tables (with two brackets)", spot.get_ref());
            return Vec::new();
        };
        list.iter().filter_map(|entry| self.contract(entry, items)).collect()
    }

    fn contract(&self, spot: &Spot<'_>, items: &[ItemRule]) -> Option<Contract> {
        let section = Section::open(self.doc, spot, &language::CONTRACT)?;
        let url = section.text("url").map(|text| {
            let url = Template::fixed(self.doc, text.value, &text.span);
            crate::start::check(self.doc, &url, &text.span);
            url
        });
        if url.is_none() && !section.has("url") && !section.has_unknown() {
            self.doc.complain(section.span.clone(), Complaint::new("a contract needs a `url`"));
        }
        let about_items = section.has("items") || section.has("scrapes");
        let item = match section.text("parse") {
            Some(text) => self.item(&text),
            None if about_items && self.items.len() == 1 => Some(0),
            None if about_items => {
                let complaint = match self.item_list() {
                    Some(list) => Complaint::new("a contract about items names their type when there are several")
                        .expected(format!("parse = one of {list}")),
                    None => Complaint::new("a contract about items of a spider that has none")
                        .expected("an [item.NAME] table"),
                };
                self.doc.complain(section.span.clone(), complaint);
                None
            }
            None => None,
        };
        if !about_items && !section.has("requests") && !section.has_unknown() {
            let complaint =
                Complaint::new("a contract that asks for nothing").expected("`items`, `requests` or `scrapes`");
            self.doc.complain(section.span.clone(), complaint);
        }
        let scrapes = self.scrapes(&section, item, items);
        // A page that yields items is searched too when the contract asks for links.
        let target = match item {
            Some(_) => self.target(item, section.has("requests")),
            None => TargetId::START,
        };
        Some(Contract {
            url: url?,
            parse: item.map(|at| self.items[at].clone()),
            target,
            items: self.bounds(&section, "items"),
            requests: self.bounds(&section, "requests"),
            scrapes,
        })
    }

    fn scrapes(&self, section: &Section<'_, '_>, item: Option<usize>, items: &[ItemRule]) -> Vec<String> {
        let texts = section.texts("scrapes");
        // Without all item types (one is wrong) nothing can be said about their fields.
        if let (Some(at), true) = (item, items.len() == self.items.len()) {
            let schema = &items[at].schema;
            for text in &texts {
                if schema.position(text.value).is_none() {
                    let names = || schema.fields.iter().map(|field| field.name.as_str());
                    let complaint = Complaint::new(format!("the item `{}` has no field `{}`", schema.name, text.value))
                        .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")))
                        .maybe_hint(did_you_mean(text.value, names()));
                    self.doc.complain(text.span.clone(), complaint);
                }
            }
        }
        texts.iter().map(|text| text.value.to_owned()).collect()
    }

    fn bounds(&self, section: &Section<'_, '_>, key: &str) -> Option<Bounds> {
        let spot = section.get(key)?;
        let unsigned = |n: i64| u32::try_from(n).unwrap_or(0);
        if let DeValue::Table(_) = spot.get_ref() {
            let table = Section::open(self.doc, spot, &language::BOUNDS)?;
            let min = table.integer("min", 0..=COUNT_MAX);
            let max = table.integer("max", 0..=COUNT_MAX);
            if let (Some(min), Some(max)) = (min, max)
                && min > max
            {
                self.doc
                    .complain(spot.span(), Complaint::new(format!("at least {min} and at most {max} is impossible")));
            }
            return Some(Bounds { min: min.map_or(0, unsigned), max: max.map(unsigned) });
        }
        let exactly = unsigned(as_integer(self.doc, spot, key, 0..=COUNT_MAX)?);
        Some(Bounds { min: exactly, max: Some(exactly) })
    }
}
