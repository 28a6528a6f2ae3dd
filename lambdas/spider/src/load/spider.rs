//! The top of the spider file.

use super::doc::{Complaint, Doc, did_you_mean};
use super::language;
use super::section::{Section, as_text, wrong_kind};
use super::{IDENTIFIER, Later, Loader, args, is_identifier, request};
use crate::compiled::{Engine, ItemRule};
use crate::error::{SpiderError, SpiderErrors};
use crate::hook::StartHooks;
use crate::run::request::render_body;
use crate::spider::{Order, Spider};
use crate::start::StartBuilder;
use crate::target::Target;
use crate::template::{Allowed, Template};
use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::Hasher;
use toml::de::{DeTable, DeValue};
use weir_model::{LinkExtra, Method};

/// A spider file at most: it travels in messages and artifact stores.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Loads a spider, or says all that is wrong with it.
pub(crate) fn load(file: &str, text: &str, given: &[(String, String)]) -> Result<Spider, SpiderErrors> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("a spider file has at most {TEXT_BYTES_MAX} bytes");
        return Err(SpiderErrors(vec![SpiderError::at(file, 1, 1, message, "")]));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut doc = Doc::new(file, text);
    let root = doc.parse();
    if doc.failed() {
        // Half a document would bring complaints about what is only cut off.
        return Err(SpiderErrors(doc.into_errors()));
    }
    doc.args = args::load(&doc, &root, given);
    let spider = read(&doc, &root);
    match spider {
        Some(spider) if !doc.failed() => Ok(spider),
        _ => {
            if !doc.failed() {
                doc.complain(0..0, Complaint::new("the spider cannot be loaded"));
            }
            Err(SpiderErrors(doc.into_errors()))
        }
    }
}

fn read(doc: &Doc<'_>, root: &DeTable<'_>) -> Option<Spider> {
    let section = Section::of(doc, root, 0..0, &language::SPIDER);
    let name = name(&section);
    let item_table = match section.get("item") {
        Some(spot) => match spot.get_ref() {
            DeValue::Table(table) => Some(table),
            other => {
                wrong_kind(doc, spot, "item", "[item.NAME] tables", other);
                None
            }
        },
        None => None,
    };
    let loader = Loader {
        doc,
        spider_name: name.clone().unwrap_or_default(),
        items: item_table.map_or_else(Vec::new, |table| table.keys().map(|key| key.get_ref().to_string()).collect()),
        targets: RefCell::default(),
        misled: std::cell::Cell::new(false),
        uses_json: std::cell::Cell::new(false),
        insides: RefCell::default(),
        wanted: RefCell::default(),
        given: RefCell::default(),
    };
    let start_parse = section.text("start_parse").and_then(|text| loader.item(&text));
    loader.targets.borrow_mut().push(Target::new(start_parse, true, &loader.items));
    let mut later = Later::default();
    let items = items(&loader, item_table, &mut later);
    let rules = section.get("follow").map_or_else(Vec::new, |spot| loader.rules(spot));
    check_reached(&loader, item_table);
    let starts = starts(&loader, &section);
    let (hooks, start_hooks) = section.get("hook").map_or_else(Default::default, |spot| loader.hooks(spot, &items));
    let contracts = section.get("contract").map_or_else(Vec::new, |spot| loader.contracts(spot, &items));
    check_carried(&loader);
    let allowed_domains = allowed_domains(&section, &starts);
    if loader.targets.borrow().len() > usize::from(u16::MAX) {
        doc.complain(0..0, Complaint::new("more kinds of pages than can be numbered"));
    }
    Some(Spider {
        name: name?,
        description: section.text("description").map(|text| text.value.to_owned()),
        allowed_domains,
        args: doc.args.clone(),
        content_hash: content_hash(doc),
        schemas: items.iter().map(|item| item.schema.clone()).collect(),
        items,
        rules,
        uses_json: loader.uses_json.get(),
        insides: loader.insides.take().into_iter().map(|(_, inside)| inside).collect(),
        targets: loader.targets.take(),
        start_urls: starts.build(StartHooks {
            hooks: start_hooks,
            args: doc.args.clone(),
            spider: loader.spider_name.clone(),
        }),
        hooks,
        settings: settings(&section),
        contracts,
        geocodes: later.geocodes,
        computations: later.computations,
        order: match choice(&section, "order", &["lifo", "fifo"]) {
            Some("fifo") => Order::Fifo,
            _ => Order::Lifo,
        },
        depth_max: section.integer("depth_max", 0..=65_535).and_then(|n| u16::try_from(n).ok()),
        engine: engine(&section),
    })
}

fn name(section: &Section<'_, '_>) -> Option<String> {
    let expected = "letters, digits, `_` and `-`, at most 60, beginning with a letter";
    if !section.has("name") {
        section.doc.complain(0..0, Complaint::new("the spider has no `name`").expected("name = \"properties\""));
        return None;
    }
    let text = section.text("name")?;
    let fine = text.value.len() <= 60
        && text.value.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !fine {
        let complaint = Complaint::new(format!("`{}` cannot name a spider", text.value)).expected(expected);
        section.doc.complain(text.span, complaint);
        return None;
    }
    Some(text.value.to_owned())
}

fn items(loader: &Loader<'_, '_>, table: Option<&DeTable<'_>>, later: &mut Later) -> Vec<ItemRule> {
    let mut rules = Vec::new();
    for (index, (key, spot)) in table.into_iter().flat_map(DeTable::iter).enumerate() {
        let name = key.get_ref().as_ref();
        if is_identifier(name) {
            rules.extend(loader.load_item(name, index, spot, later));
        } else {
            let complaint = Complaint::new(format!("`{name}` cannot name an item")).expected(IDENTIFIER);
            loader.doc.complain(key.span(), complaint);
        }
    }
    rules
}

/// An item that no page yields is a mistake: most often `parse` or `start_parse` was forgotten.
fn check_reached(loader: &Loader<'_, '_>, table: Option<&DeTable<'_>>) {
    let targets = loader.targets.borrow();
    for (index, (key, _)) in table.into_iter().flat_map(DeTable::iter).enumerate() {
        let name = key.get_ref();
        if !targets.iter().any(|target| target.parse == Some(index)) && !loader.misled.get() {
            let complaint = Complaint::new(format!("no page yields the item `{name}`"))
                .expected(format!("a [[follow]] rule with parse = \"{name}\", or start_parse = \"{name}\""));
            loader.doc.complain(key.span(), complaint);
        }
    }
}

/// A carried value that nothing carries is a misspelling.
fn check_carried(loader: &Loader<'_, '_>) {
    let given = loader.given.borrow();
    for (name, span) in loader.wanted.borrow().iter() {
        if !given.contains(name) {
            let list = if given.is_empty() { "none".to_owned() } else { given.join(", ") };
            let complaint = Complaint::new(format!("no rule carries `{name}`"))
                .expected(list)
                .hint(format!("in the [[follow]] rule that leads here: carry = {{ {name} = {{ ... }} }}"))
                .maybe_hint(did_you_mean(name, given.iter().map(String::as_str)));
            loader.doc.complain(span.clone(), complaint);
        }
    }
}

fn starts(loader: &Loader<'_, '_>, section: &Section<'_, '_>) -> StartBuilder {
    let doc = loader.doc;
    let mut starts = StartBuilder::default();
    let headers = section
        .get("start_headers")
        .map_or_else(Vec::new, |spot| request::headers(doc, spot, "start_headers", Allowed::Arguments));
    let headers: Vec<(Box<str>, Box<str>)> =
        headers.into_iter().map(|(name, value)| (name, value.literal().unwrap_or("").into())).collect();
    let plain = (!headers.is_empty())
        .then(|| Box::new(LinkExtra { method: Method::Get, body: None, headers: headers.clone(), carry: None }));
    let Some(spot) = section.get("start") else {
        if !section.has_unknown() {
            let complaint = Complaint::new("the spider has no start URLs").expected("start = [\"https://...\"]");
            doc.complain(section.key_span("name"), complaint);
        }
        return starts;
    };
    let one;
    let list: Vec<_> = match spot.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => {
            one = spot;
            vec![one]
        }
    };
    if list.is_empty() {
        doc.complain(spot.span(), Complaint::new("the spider has no start URLs").expected("start = [\"https://...\"]"));
    }
    for entry in list {
        match entry.get_ref() {
            DeValue::String(text) => starts.add(doc, text, &entry.span(), 0, plain.clone()),
            DeValue::Table(_) => {
                let Some(start) = Section::open(doc, entry, &language::START) else { continue };
                let (method, body, own) = request::load(&start, Allowed::Arguments).unwrap_or_default();
                let mut all = headers.clone();
                for (name, value) in own {
                    all.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
                    all.push((name, value.literal().unwrap_or("").into()));
                }
                let nothing = |_: &_| Cow::Borrowed("");
                let body = body.map(|body| render_body(&body, &nothing, &|_| None).into_boxed_slice());
                let carry = start.get("carry").and_then(|spot| match request::json_of(spot.get_ref()) {
                    serde_json::Value::Object(map) => {
                        loader.given.borrow_mut().extend(map.keys().cloned());
                        Some(Box::new(map))
                    }
                    _ => {
                        wrong_kind(doc, spot, "carry", "a table of constant values", spot.get_ref());
                        None
                    }
                });
                let extra = LinkExtra { method, body, headers: all, carry };
                let extra = (extra != LinkExtra::default()).then(|| Box::new(extra));
                let priority = start.integer("priority", -32_768..=32_767).and_then(|n| i16::try_from(n).ok());
                match start.text("url") {
                    Some(url) => starts.add(doc, url.value, &url.span, priority.unwrap_or(0), extra),
                    None if start.has("url") => {}
                    None => doc.complain(entry.span(), Complaint::new("a start URL needs a `url`")),
                }
            }
            _ => {
                as_text(doc, entry, "start");
            }
        }
    }
    starts
}

fn allowed_domains(section: &Section<'_, '_>, starts: &StartBuilder) -> Vec<String> {
    if !section.has("allowed_domains") {
        return starts.hosts();
    }
    let doc = section.doc;
    let mut domains = Vec::new();
    for text in section.texts("allowed_domains") {
        let domain = Template::fixed(doc, text.value, &text.span).trim_end_matches('.').to_lowercase();
        if domain == "*" {
            return Vec::new();
        }
        let host = url::Host::parse(&domain);
        let hint = if domain.contains("://") || domain.contains('/') {
            url::Url::parse(&domain)
                .ok()
                .and_then(|url| url.host_str().map(str::to_owned))
                .or_else(|| domain.split('/').next().map(str::to_owned))
                .filter(|host| !host.is_empty())
                .map(|host| format!("write `{host}`: a domain without scheme and path"))
        } else if let Some((host, _)) = domain.split_once(':').filter(|_| host.is_err()) {
            Some(format!("write `{host}`: a domain without port"))
        } else {
            domain.strip_prefix("*.").map(|rest| format!("write `{rest}`: subdomains are included"))
        };
        match host {
            Ok(host) if hint.is_none() => domains.push(host.to_string()),
            _ => {
                let complaint = Complaint::new(format!("`{domain}` is no domain"))
                    .expected("a host name such as example.com, or \"*\"")
                    .maybe_hint(hint);
                doc.complain(text.span, complaint);
            }
        }
    }
    if domains.is_empty() && !doc.failed() {
        let complaint = Complaint::new("`allowed_domains` allows nothing")
            .expected("at least one domain, or [\"*\"] for any")
            .hint("leave the key out to allow the hosts of the start URLs");
        section.complain("allowed_domains", complaint);
    }
    domains
}

fn choice<'a>(section: &Section<'a, '_>, key: &str, known: &[&'static str]) -> Option<&'a str> {
    let text = section.text(key)?;
    if !known.contains(&text.value) {
        let complaint = Complaint::new(format!("`{key}` cannot be `{}`", text.value))
            .expected(format!("one of {}", known.join(", ")))
            .maybe_hint(did_you_mean(text.value, known.iter().copied()));
        section.doc.complain(text.span, complaint);
    }
    Some(text.value)
}

fn engine(section: &Section<'_, '_>) -> Engine {
    match choice(section, "engine", &["lxml", "html5"]) {
        Some("html5") => Engine::Html5,
        _ => Engine::Lxml,
    }
}

fn settings(section: &Section<'_, '_>) -> toml::Table {
    let Some(spot) = section.get("settings") else { return toml::Table::new() };
    if !spot.get_ref().is_table() {
        wrong_kind(section.doc, spot, "settings", "a table", spot.get_ref());
        return toml::Table::new();
    }
    // The text is TOML (it was parsed), so reading it again cannot fail.
    match toml::from_str::<toml::Table>(section.doc.text()).ok().and_then(|mut root| root.remove("settings")) {
        Some(toml::Value::Table(table)) => table,
        _ => toml::Table::new(),
    }
}

fn content_hash(doc: &Doc<'_>) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
    let mut add = |text: &str| {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    };
    add(doc.text());
    for (name, value) in &doc.args {
        add(name);
        add(value);
    }
    hasher.finish()
}
