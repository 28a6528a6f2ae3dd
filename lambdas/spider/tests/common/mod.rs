//! What the tests share: loading, a page, a field by name.
#![allow(dead_code)]

use weir_model::{Item, JobId, TargetId, Value};
use weir_spider::{Extraction, Extractor, Page, Spider};

pub fn load(text: &str) -> Spider {
    Spider::load("spider.toml", text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

pub fn page<'a>(url: &'a str, text: &'a str, target: u16) -> Page<'a> {
    Page {
        url,
        status: 200,
        content_type: Some("text/html; charset=utf-8"),
        text,
        charset: None,
        target: TargetId(target),
        carry: None,
        job: JobId(7),
        started_at_us: 1_700_000_000_123_456,
        server: "this-machine",
    }
}

pub fn json_page<'a>(url: &'a str, text: &'a str, target: u16) -> Page<'a> {
    Page { content_type: Some("application/json"), ..page(url, text, target) }
}

pub fn extract(spider: &Spider, page: &Page<'_>) -> Extraction {
    let mut out = Extraction::default();
    Extractor::new(Default::default()).extract(spider, page, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

pub fn field(spider: &Spider, item: &Item, name: &str) -> Value {
    let schema = &spider.schemas()[usize::from(item.schema)];
    item.values[schema.position(name).unwrap_or_else(|| panic!("no field {name}"))].clone()
}

/// A spider whose start pages yield one item with one field.
pub fn one_field(field: &str) -> Spider {
    load(&format!(
        "name = \"t\"\nstart = [\"http://h.test/\"]\nstart_parse = \"x\"\n[args]\ntown = \"Leeds\"\n[item.x.fields]\nf = {field}\n"
    ))
}

/// The value of that field on a page.
pub fn value_of(definition: &str, html: &str) -> Value {
    let spider = one_field(definition);
    let out = extract(&spider, &page("http://h.test/a/b.html?id=7", html, 0));
    out.items[0].values[0].clone()
}

/// The counters of a page's notes.
pub fn counters(out: &Extraction) -> Vec<(String, u32)> {
    out.notes.iter().map(|note| (note.counter.to_string(), note.count)).collect()
}
