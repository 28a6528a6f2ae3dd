//! `[[hook]]`: what is dropped and changed on its way, in the order of the file.

use super::doc::{Complaint, Spot, did_you_mean};
use super::section::{Section, wrong_kind};
use super::{Loader, language, request};
use crate::compiled::{ItemRule, Plan};
use crate::condition::{self, Condition, Variable};
use crate::hook::{Hook, Hooks};
use toml::de::DeValue;
use weir_model::{Carry, Value};

/// What a hook is for.
#[derive(Clone, Copy)]
enum On<'i> {
    Start,
    Link,
    /// The item type; `None`: its definition is wrong and has its own complaint.
    Item(usize, Option<&'i ItemRule>),
}

impl Loader<'_, '_> {
    /// Reads all hooks; those of start requests come apart.
    pub fn hooks(&self, spot: &Spot<'_>, items: &[ItemRule]) -> (Hooks, Vec<Hook>) {
        let mut hooks = Hooks { link: Vec::new(), item: self.items.iter().map(|_| Vec::new()).collect() };
        let mut start = Vec::new();
        let DeValue::Array(list) = spot.get_ref() else {
            wrong_kind(self.doc, spot, "hook", "[[hook]] tables (with two brackets)", spot.get_ref());
            return (hooks, start);
        };
        for (at, entry) in list.iter().enumerate() {
            let Some(section) = Section::open(self.doc, entry, &language::HOOK) else { continue };
            let Some(on) = self.on(&section, items) else { continue };
            let Some(hook) = self.hook(&section, on, at + 1) else { continue };
            match on {
                On::Start => start.push(hook),
                On::Link => hooks.link.push(hook),
                On::Item(at, _) => hooks.item[at].push(hook),
            }
        }
        (hooks, start)
    }

    fn on<'i>(&self, section: &Section<'_, '_>, items: &'i [ItemRule]) -> Option<On<'i>> {
        const KNOWN: [&str; 3] = ["start", "link", "item"];
        let expected = "on = \"start\", \"link\" or \"item\"";
        let Some(text) = section.text("on") else {
            if !section.has("on") && !section.has_unknown() {
                self.doc.complain(section.span.clone(), Complaint::new("a hook needs `on`").expected(expected));
            }
            return None;
        };
        if text.value != "item"
            && let Some(item) = section.get("item")
        {
            let complaint = Complaint::new("`item` is for hooks on items").expected("on = \"item\"");
            self.doc.complain(item.span(), complaint);
        }
        match text.value {
            "start" => Some(On::Start),
            "link" => Some(On::Link),
            "item" => {
                let at = match section.text("item") {
                    Some(name) => self.item(&name)?,
                    None if self.items.len() == 1 => 0,
                    None => {
                        let complaint = match self.item_list() {
                            Some(list) => Complaint::new("a hook on items names their type when there are several")
                                .expected(format!("item = one of {list}")),
                            None => Complaint::new("a hook on items of a spider that has none")
                                .expected("an [item.NAME] table"),
                        };
                        self.doc.complain(section.span.clone(), complaint);
                        return None;
                    }
                };
                Some(On::Item(at, items.iter().find(|rule| rule.schema.name == self.items[at])))
            }
            other => {
                let complaint = Complaint::new(format!("`on` cannot be `{other}`"))
                    .expected(expected)
                    .maybe_hint(did_you_mean(other, KNOWN.into_iter()));
                self.doc.complain(text.span, complaint);
                None
            }
        }
    }

    fn hook(&self, section: &Section<'_, '_>, on: On<'_>, number: usize) -> Option<Hook> {
        let name = match section.text("name") {
            Some(text) if super::is_identifier(text.value) => text.value.to_owned(),
            Some(text) => {
                let complaint =
                    Complaint::new(format!("`{}` cannot name a hook", text.value)).expected(super::IDENTIFIER);
                self.doc.complain(text.span, complaint);
                return None;
            }
            None => number.to_string(),
        };
        let when = section.has("when").then(|| self.condition(section, on));
        let is_item = matches!(on, On::Item(..));
        let keys = if is_item { ["drop", "set"].as_slice() } else { &["drop", "priority", "carry"] };
        let foreign = || ["priority", "carry", "set"].into_iter().filter(|key| section.has(key) && !keys.contains(key));
        for key in foreign() {
            let what = if is_item { "on items" } else { "on requests" };
            let complaint = Complaint::new(format!("a hook {what} has no `{key}`")).expected(keys.join(", "));
            section.complain(key, complaint);
        }
        let drop = section.boolean("drop").unwrap_or(false);
        let does = keys.iter().filter(|key| section.has(key)).count();
        if does == 0 && !section.has_unknown() && foreign().next().is_none() {
            let complaint = Complaint::new("a hook that does nothing").expected(format!("one of {}", keys.join(", ")));
            self.doc.complain(section.span.clone(), complaint);
        } else if drop && does > 1 {
            section.complain("drop", Complaint::new("what is dropped cannot be changed as well").expected("two hooks"));
        }
        let priority = section.integer("priority", -32_768..=32_767).and_then(|number| i16::try_from(number).ok());
        let carry = self.table(section, "carry");
        self.given.borrow_mut().extend(carry.keys().cloned());
        let set = match on {
            On::Item(_, Some(rule)) => self.set(section, rule),
            _ => Vec::new(),
        };
        // A condition with mistakes is no condition.
        let when = match when {
            Some(condition) => Some(condition?),
            None => None,
        };
        Some(Hook { name: name.into(), when, drop, priority, carry, set })
    }

    fn table(&self, section: &Section<'_, '_>, key: &str) -> Carry {
        let Some(spot) = section.get(key) else { return Carry::new() };
        match request::json_of(spot.get_ref()) {
            serde_json::Value::Object(map) => map,
            _ => {
                wrong_kind(self.doc, spot, key, "a table of constant values", spot.get_ref());
                Carry::new()
            }
        }
    }

    fn set(&self, section: &Section<'_, '_>, rule: &ItemRule) -> Vec<(usize, Value)> {
        let mut set = Vec::new();
        for (name, json) in self.table(section, "set") {
            let names = || rule.fields.iter().map(|field| field.name.as_ref());
            let complaint = match rule.fields.iter().position(|field| *field.name == *name) {
                None => Complaint::new(format!("the item `{}` has no field `{name}`", rule.schema.name))
                    .expected(format!("one of {}", names().collect::<Vec<_>>().join(", ")))
                    .maybe_hint(did_you_mean(&name, names())),
                Some(at) if is_late(&rule.fields[at].plan) => {
                    Complaint::new(format!("the field `{name}` is filled later")).expected("a field of the page")
                }
                Some(at) => match rule.fields[at].of_json(&json) {
                    Ok(value) => {
                        set.push((at, value));
                        continue;
                    }
                    Err(_) => Complaint::new(format!("`{json}` is no value for `{name}`"))
                        .expected(format!("a value of its type, {:?}", rule.fields[at].kind).to_lowercase()),
                },
            };
            section.complain("set", complaint);
        }
        set
    }

    fn condition(&self, section: &Section<'_, '_>, on: On<'_>) -> Option<Condition> {
        let text = section.text("when")?;
        // Fields of an item that is wrong are not known: its own complaint says enough.
        let fields = match on {
            On::Item(_, rule) => Some(rule?),
            _ => None,
        };
        let known = |name: &str| self.variable(name, on, fields);
        let names = || {
            let own: Vec<&str> = match on {
                On::Start => vec!["url", "priority", "index", "spider", "args.NAME"],
                On::Link => {
                    vec![
                        "url",
                        "parse",
                        "priority",
                        "response.url",
                        "response.status",
                        "spider",
                        "carry.NAME",
                        "args.NAME",
                    ]
                }
                On::Item(..) => {
                    let fields = fields.into_iter().flat_map(|rule| &rule.fields);
                    let fields = fields.filter(|field| !is_late(&field.plan)).map(|field| field.name.as_ref());
                    fields.chain(["response.url", "response.status", "spider", "carry.NAME", "args.NAME"]).collect()
                }
            };
            own.join(", ")
        };
        match condition::read(text.value, &known, &names) {
            Ok(condition) => Some(condition),
            Err(wrong) => {
                let place = self.doc.within(&text.span, text.value, wrong.at);
                self.doc.complain(place, Complaint::new(wrong.what).expected(wrong.expected));
                None
            }
        }
    }

    fn variable(&self, name: &str, on: On<'_>, item: Option<&ItemRule>) -> Option<Variable> {
        if let Some(name) = name.strip_prefix("args.") {
            return self.doc.args.contains_key(name).then(|| Variable::Arg(name.into()));
        }
        if let Some(rule) = item
            && let Some(at) = rule.fields.iter().position(|field| *field.name == *name && !is_late(&field.plan))
        {
            return Some(Variable::Field(at));
        }
        match (name, on) {
            ("spider", _) => Some(Variable::Spider),
            ("url", On::Start | On::Link) => Some(Variable::Url),
            ("priority", On::Start | On::Link) => Some(Variable::Priority),
            ("index", On::Start) => Some(Variable::Index),
            ("parse", On::Link) => Some(Variable::Parse),
            ("response.url", On::Link | On::Item(..)) => Some(Variable::ResponseUrl),
            ("response.status", On::Link | On::Item(..)) => Some(Variable::ResponseStatus),
            (name, On::Link | On::Item(..)) => {
                name.strip_prefix("carry.").filter(|name| !name.contains('.')).map(|name| Variable::Carry(name.into()))
            }
            _ => None,
        }
    }
}

/// Null until something behind the page fills it.
fn is_late(plan: &Plan) -> bool {
    matches!(plan, Plan::Geocode | Plan::Compute)
}
