//! DESIGN.md's spider over made pages: what it loads to, what a listing and an index page give.

mod common;

use common::{extract, field, load, page};
use weir_model::{FieldKind, TargetId, Value};
use weir_spider::Extractor;

const SPIDER: &str = include_str!("properties.toml");

const LISTING: &str = r#"<!DOCTYPE html><html><head><title>x</title></head><body>
<div itemscope itemtype="http://schema.org/Product">
<h1 itemprop="name">  set unique family well </h1>
<span itemprop="price">£1,334.39pw</span>
<p itemprop="description">
 website court warehouse </p>
<img itemprop="image" src="../images/i01.jpg">
<span itemtype="http://schema.org/Place"> Angel, London</span>
<a href="index_00000.html">back</a>
</div></body></html>"#;

const INDEX: &str = r#"<html><body><ul>
<li><a itemprop="url" href="property_000000.html">a</a></li>
<li><a itemprop="url" href="/properties/property_000001.html#top">b</a></li>
<li><a itemprop="url" href="property_000000.html">again</a></li>
<li class="next"><a href="index_00001.html">next</a></li>
<li class="next"><a itemprop="url" href="index_00001.html">also a listing, but the first rule owns it</a></li>
</ul></body></html>"#;

#[test]
fn the_design_s_spider_loads_with_names_types_and_targets() {
    let spider = load(SPIDER);
    assert_eq!(spider.name(), "properties");
    assert_eq!(spider.allowed_domains(), ["localhost"]);
    let names: Vec<_> =
        spider.targets().iter().map(|target| (target.name.as_str(), target.parse, target.follow)).collect();
    assert_eq!(names, [("search", None, true), ("property", Some(0), false)]);
    let schema = &spider.schemas()[0];
    let fields: Vec<_> = schema.fields.iter().map(|f| (f.name.as_str(), f.kind, f.many, f.volatile)).collect();
    assert_eq!(
        fields,
        [
            ("title", FieldKind::Str, false, false),
            ("price", FieldKind::Float, false, false),
            ("description", FieldKind::Str, false, false),
            ("address", FieldKind::Str, false, false),
            ("image_urls", FieldKind::Str, true, false),
            ("location", FieldKind::GeoPoint, false, false),
            ("url", FieldKind::Str, false, false),
            ("date", FieldKind::Datetime, false, true),
        ]
    );
    assert_eq!(schema.key, ["url"]);
    let geocode = spider.geocodes()[0];
    assert_eq!((geocode.item, geocode.field, geocode.address), (0, 5, 3));
    let contract = &spider.contracts()[0];
    assert_eq!(contract.url, "http://localhost:9312/properties/property_000000.html");
    assert_eq!(contract.target, TargetId(1));
    assert!(contract.items.is_some_and(|bounds| bounds.hold(1) && !bounds.hold(2)));
}

#[test]
fn start_urls_are_counted_and_reached_by_index() {
    let starts = load(SPIDER).start_urls();
    assert_eq!(starts.len(), 1667);
    assert_eq!(starts.get(0).unwrap().url, "http://localhost:9312/properties/index_00000.html");
    assert_eq!(starts.get(1666).unwrap().url, "http://localhost:9312/properties/index_01666.html");
    assert_eq!(starts.get(1667), None);
    assert_eq!(starts.iter().count(), 1667);
}

#[test]
fn arguments_override_and_change_the_content_hash() {
    let given = [("base".to_owned(), "http://a.localhost:1/large".to_owned())];
    let spider = weir_spider::Spider::load("x.toml", SPIDER, &given).unwrap();
    assert_eq!(spider.start_urls().get(3).unwrap().url, "http://a.localhost:1/large/properties/index_00003.html");
    assert_ne!(spider.content_hash(), load(SPIDER).content_hash());
    assert_eq!(load(SPIDER).content_hash(), load(SPIDER).content_hash());
}

#[test]
fn listing_yields_one_item_with_every_field_and_no_links() {
    let spider = load(SPIDER);
    let out = extract(&spider, &page("http://localhost:9312/properties/property_000000.html", LISTING, 1));
    assert_eq!(out.links.len(), 0);
    let [item] = out.items.as_slice() else { panic!("{:?}", out.items) };
    let value = |name: &str| field(&spider, item, name);
    assert_eq!(value("title"), Value::Str("Set Unique Family Well".into()));
    assert_eq!(value("price"), Value::Float(1334.39));
    assert_eq!(value("description"), Value::Str("website court warehouse".into()));
    assert_eq!(value("address"), Value::Str("Angel, London".into()));
    assert_eq!(value("image_urls"), Value::List(vec![Value::Str("http://localhost:9312/images/i01.jpg".into())]));
    assert_eq!(value("location"), Value::Null);
    assert_eq!(value("url"), Value::Str("http://localhost:9312/properties/property_000000.html".into()));
    assert_eq!(value("date"), Value::Datetime(1_700_000_000_123));
    assert_eq!(item.version, 1_700_000_000_123_456);
    let notes: Vec<_> = out.notes.iter().map(|note| (&*note.counter, note.count)).collect();
    assert_eq!(notes, [("geocode/not_configured", 1)]);
}

#[test]
fn index_yields_links_each_once_and_the_first_rule_owns_what_it_found() {
    let spider = load(SPIDER);
    let out = extract(&spider, &page("http://localhost:9312/properties/index_00000.html", INDEX, 0));
    assert!(out.items.is_empty());
    let links: Vec<_> = out.links.iter().map(|(url, link)| (url, link.target)).collect();
    assert_eq!(
        links,
        [
            ("http://localhost:9312/properties/index_00001.html", TargetId::START),
            ("http://localhost:9312/properties/property_000000.html", TargetId(1)),
            ("http://localhost:9312/properties/property_000001.html", TargetId(1)),
        ]
    );
}

#[test]
fn content_hash_ignores_the_time_and_sees_everything_else() {
    let spider = load(SPIDER);
    let mut extractor = Extractor::new(Default::default());
    let mut run = |text: &str, us: u64| {
        let mut page = page("http://localhost:9312/properties/property_000000.html", text, 1);
        page.started_at_us = us;
        let mut out = weir_spider::Extraction::default();
        extractor.extract(&spider, &page, &mut out).unwrap();
        (out.items[0].id, out.items[0].hash)
    };
    let first = run(LISTING, 1_000_000);
    assert_eq!(run(LISTING, 9_000_000), first);
    let changed = run(&LISTING.replace("1,334", "1,335"), 1_000_000);
    assert_eq!(changed.0, first.0);
    assert_ne!(changed.1, first.1);
}

#[test]
fn page_without_anything_gives_nulls_not_errors() {
    let spider = load(SPIDER);
    let out = extract(&spider, &page("http://localhost:9312/properties/property_000009.html", "", 1));
    let item = &out.items[0];
    for name in ["title", "price", "description", "address", "image_urls"] {
        assert_eq!(field(&spider, item, name), Value::Null, "{name}");
    }
}

#[test]
fn price_that_is_no_number_is_null_and_counted_with_its_example() {
    let spider = load(SPIDER);
    let text = LISTING.replace("£1,334.39pw", "1.2.3 or so");
    let out = extract(&spider, &page("http://localhost:9312/properties/property_000000.html", &text, 1));
    assert_eq!(field(&spider, &out.items[0], "price"), Value::Null);
    let note = out.notes.iter().find(|note| &*note.counter == "property/price/not_a_float").unwrap();
    assert_eq!((note.count, &*note.example), (1, "1.2.3"));
}
