//! Rules: where links are found, which are taken, what requests they make, what travels with them.

mod common;

use common::{counters, extract, field, json_page, load, page};
use serde_json::json;
use weir_model::{Method, TargetId, Value};
use weir_spider::{Extraction, Extractor, Spider};

fn spider(rules: &str) -> Spider {
    load(&format!("name = 't'\nstart = ['http://h.test/']\n[args]\nbase = 'http://h.test'\n{rules}\n"))
}

fn urls(rules: &str, html: &str) -> Vec<String> {
    let out = extract(&spider(rules), &page("http://h.test/a/b.html", html, 0));
    out.links.iter().map(|(url, _)| url.to_owned()).collect()
}

const LINKS: &str = r##"<div id=menu><a href="/x.html">x</a><area href=y.html></div>
<a href="z.PDF">z</a><a href="mailto:a@b">m</a><a href="#top">t</a><a href="">self</a><a href="http://[bad">b</a>
<a href=" http://other.test/p?q=1#f ">o</a><a href="/x.html#again">x</a><link rel=next href="/n.html"><a name=none>n</a>"##;

#[test]
fn rule_without_a_selector_finds_links_as_link_extractors_do() {
    assert_eq!(
        urls("[[follow]]", LINKS),
        ["http://h.test/x.html", "http://h.test/a/y.html", "http://other.test/p?q=1"]
    );
    assert_eq!(
        urls("[[follow]]\ndeny_extensions = []", LINKS),
        ["http://h.test/x.html", "http://h.test/a/y.html", "http://h.test/a/z.PDF", "http://other.test/p?q=1"]
    );
}

#[test]
fn selector_of_elements_takes_the_links_in_them() {
    assert_eq!(urls("[[follow]]\ncss = '#menu'", LINKS), ["http://h.test/x.html", "http://h.test/a/y.html"]);
    assert_eq!(urls("[[follow]]\nxpath = '//link[@rel=\"next\"]'", LINKS), ["http://h.test/n.html"]);
}

#[test]
fn selector_of_an_attribute_takes_its_value_whatever_its_extension() {
    assert_eq!(urls("[[follow]]\nxpath = '//body/a[1]/@href'", LINKS), ["http://h.test/a/z.PDF"]);
    assert_eq!(urls("[[follow]]\ncss = 'a::text'\nallow = '/m$'", LINKS), ["http://h.test/a/m"]);
    assert_eq!(urls("[[follow]]\nxpath = 'string(//a[1]/@href)'", LINKS), ["http://h.test/x.html"]);
}

#[test]
fn allow_and_deny_look_at_the_absolute_url() {
    assert_eq!(
        urls("[[follow]]\nallow = ['^http://h\\.test/a', 'other']\ndeny = 'q='", LINKS),
        ["http://h.test/a/y.html"]
    );
}

#[test]
fn links_that_cannot_be_followed_are_counted() {
    let out = extract(&spider("[[follow]]"), &page("http://h.test/a/b.html", LINKS, 0));
    assert_eq!(counters(&out), [("links/other_scheme".to_owned(), 1), ("links/bad_url".to_owned(), 1)]);
}

#[test]
fn base_href_decides_what_links_are_relative_to() {
    let html = "<base target=x><base href='http://cdn.test/d/'><a href='e'>e</a><a href='#x'>f</a>";
    assert_eq!(urls("[[follow]]", html), ["http://cdn.test/d/e", "http://cdn.test/d/"]);
}

#[test]
fn denied_link_of_a_rule_is_left_for_the_next() {
    let rules = "[[follow]]\nallow = 'x'\npriority = 5\n[[follow]]\nallow = 'html'\npriority = -1";
    let out = extract(&spider(rules), &page("http://h.test/a/b.html", LINKS, 0));
    let links: Vec<_> = out.links.iter().map(|(url, link)| (url, link.priority)).collect();
    assert_eq!(links, [("http://h.test/x.html", 5), ("http://h.test/a/y.html", -1)]);
}

#[test]
fn regex_and_map_clean_the_value_before_it_is_a_link() {
    let html = r#"<a onclick="goToPage('../other/page.html','photo'); return false">t</a>"#;
    assert_eq!(
        urls(
            r#"[[follow]]
xpath = '//a/@onclick'
regex = "goToPage\\('(.*?)'"
"#,
            html
        ),
        ["http://h.test/other/page.html"]
    );
    assert_eq!(
        urls(
            "[[follow]]\nxpath = '//a/@onclick'\nregex = \"'(.*?)'\"\nmap = [{ drop = 'page' }, { prefix = '/' }]",
            html
        ),
        ["http://h.test/photo"]
    );
}

#[test]
fn json_answer_leads_to_pages_and_titles_travel_with_the_links() {
    let spider = load(
        r#"
name = "t"
start = ["${base}/properties/api.json"]
[args]
base = "http://h.test"
[[follow]]
scope = "$[*]"
json = "$.id"
url = "${base}/properties/property_${value:06}.html"
carry = { title = { json = "$.title", map = ["title_case"] }, id = "value", at = "response.url", n = { json = "$.id", type = "int" } }
parse = "property"
[item.property.fields]
title = { carry = "title" }
n = { carry = "n", type = "int" }
id = { carry = "id" }
body = { css = "p::text" }
"#,
    );
    let api = r#"[{"id": 0, "title": "better set"}, {"id": 12, "title": null}]"#;
    let out = extract(&spider, &json_page("http://h.test/properties/api.json", api, 0));
    let links: Vec<_> = out.links.iter().collect();
    assert_eq!(links.len(), 2);
    assert_eq!(links[0].0, "http://h.test/properties/property_000000.html");
    assert_eq!(links[1].0, "http://h.test/properties/property_000012.html");
    let carry = links[0].1.extra.as_ref().unwrap().carry.as_ref().unwrap();
    assert_eq!(
        json!(**carry),
        json!({"title": "Better Set", "at": "http://h.test/properties/api.json", "n": 0, "id": "0"})
    );
    assert_eq!(links[1].1.extra.as_ref().unwrap().carry.as_ref().unwrap().get("title"), None);
    let mut listing = page(links[0].0, "<p>text</p>", links[0].1.target.0);
    listing.carry = Some(carry);
    let item = extract(&spider, &listing).items.remove(0);
    assert_eq!(field(&spider, &item, "title"), Value::Str("Better Set".into()));
    assert_eq!(field(&spider, &item, "n"), Value::Int(0));
    assert_eq!(field(&spider, &item, "body"), Value::Str("text".into()));
}

#[test]
fn requests_have_method_body_headers_made_of_values() {
    let rules = r#"[[follow]]
json = "$.next"
url = "/api?tok=${value:encode}"
body = { page = "${value}", label = "p${value}", fixed = [1, true, "${response.status}"] }
headers = { "X-Page" = "${value}", "X-Evil" = "${carry.evil}" }
[[follow]]
json = "$.words[*]"
url = "/search"
form = { q = "${value}", town = "${base}" }
[[follow]]
json = "$.words[0]"
url = "/raw"
method = "PUT"
body = "<${value}>""#;
    let spider = load(&format!(
        "name = 't'\nstart = [{{ url = 'http://h.test/', carry = {{ evil = 'x' }} }}]\n[args]\nbase = 'Y'\n{rules}\n"
    ));
    let carry = json!({"evil": "a\r\nSet-Cookie: b"});
    let mut page = json_page("http://h.test/api", r#"{"next": 3, "words": ["a b", "ä", "a b"]}"#, 0);
    page.carry = carry.as_object();
    let out = extract(&spider, &page);
    let links: Vec<_> = out.links.iter().map(|(url, link)| (url, link.extra.as_deref().unwrap())).collect();
    let body = |at: usize| String::from_utf8(links[at].1.body.clone().unwrap().into_vec()).unwrap();
    assert_eq!(links.len(), 4, "the same form twice is one request");
    assert_eq!((links[0].0, links[0].1.method), ("http://h.test/api?tok=3", Method::Post));
    assert_eq!(body(0), r#"{"page":3,"label":"p3","fixed":[1,true,200]}"#);
    let headers: Vec<_> = links[0].1.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(headers, [("X-Page", "3"), ("X-Evil", "a  Set-Cookie: b"), ("Content-Type", "application/json")]);
    assert_eq!((links[1].0, body(1)), ("http://h.test/search", "q=a%20b&town=Y".to_owned()));
    assert_eq!(body(2), "q=%C3%A4&town=Y");
    assert_eq!((links[3].1.method, body(3)), (Method::Put, "<a b>".to_owned()));
}

#[test]
fn rule_with_only_a_template_makes_one_request_a_page() {
    assert_eq!(urls("[[follow]]\nurl = '${response.url}?all=1'", "<a href=x>"), ["http://h.test/a/b.html?all=1"]);
}

#[test]
fn many_items_come_from_one_page_by_scope() {
    let of = |scope: &str, fields: &str| {
        load(&format!(
            "name = 't'\nstart = ['http://h.test/']\nstart_parse = 'x'\n[item.x]\nscope = {scope}\n[item.x.fields]\n{fields}\n"
        ))
    };
    let html = "<ul><li><h2>a</h2><i>1</i></li><li><h2>b</h2></li></ul><h2>c</h2>";
    for spider in [
        of("'//li'", "t = { xpath = './/h2/text()' }\nn = { css = 'i::text', type = 'int' }"),
        of("{ css = 'li' }", "t = { css = 'h2::text' }\nn = { xpath = 'i/text()', type = 'int' }"),
    ] {
        let out = extract(&spider, &page("http://h.test/", html, 0));
        let rows: Vec<_> = out.items.iter().map(|item| item.values.clone()).collect();
        assert_eq!(rows, [[Value::Str("a".into()), Value::Int(1)], [Value::Str("b".into()), Value::Null]]);
    }
    for scope in ["'$.results'", "'$.results[*]'", "{ json = '$.results' }"] {
        let spider = of(scope, "t = { json = '$.t' }\nu = { value = 'response.url' }");
        let out = extract(&spider, &json_page("http://h.test/", r#"{"results": [{"t": "a"}, {"t": "b"}, 5]}"#, 0));
        let rows: Vec<_> = out.items.iter().map(|item| item.values[0].clone()).collect();
        assert_eq!(rows, [Value::Str("a".into()), Value::Str("b".into()), Value::Null], "{scope}");
    }
}

#[test]
fn behaviours_share_targets_with_start_pages() {
    let spider = load(
        "name = 't'\nstart = ['http://h.test/']\nstart_parse = 'x'\n[[follow]]\nparse = 'x'\nfollow = true\n[[follow]]\nparse = 'x'\n\
         [[follow]]\n[item.x.fields]\nf = { css = 'p' }\n",
    );
    let names: Vec<_> = spider.targets().iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["x+search", "x", "search"]);
    let out = extract(&spider, &page("http://h.test/", "<a href=/y>y</a><p>z</p>", 0));
    assert_eq!((out.items.len(), out.links.len()), (1, 1));
    assert_eq!(out.links.links[0].target, TargetId::START);
}

#[test]
fn page_that_is_no_json_where_json_is_expected_is_unreadable() {
    let spider = load(
        "name = 't'\nstart = ['http://h.test/']\n[[follow]]\njson = '$.u'\nparse = 'x'\n[item.x.fields]\nf = { json = '$.f' }\n",
    );
    let mut out = Extraction::default();
    let mut extractor = Extractor::new(Default::default());
    let error = extractor.extract(&spider, &page("http://h.test/", "<p>oops", 1), &mut out).unwrap_err();
    assert!(error.reason.starts_with("no JSON where JSON was expected"), "{error}");
    let error = extractor.extract(&spider, &json_page("http://h.test/", "{", 0), &mut out).unwrap_err();
    assert!(error.reason.contains("line 1 column 1"), "{error}");
    extractor.extract(&spider, &page("http://h.test/", "<p>a page to search may be HTML", 0), &mut out).unwrap();
    extractor.extract(&spider, &page("http://h.test/", "{\"u\": \"/a\"}", 0), &mut out).unwrap();
    assert_eq!(out.links.urls, "http://h.test/a");
    assert!(extractor.extract(&spider, &page("http://h.test/", "", 9), &mut out).is_err());
}

#[test]
fn links_of_one_page_are_bounded_and_the_rest_is_counted() {
    let limits = weir_spider::ExtractLimits { links_max: 2, ..Default::default() };
    let mut out = Extraction::default();
    let html = "<a href=1></a><a href=2></a><a href=3></a><a href=4></a>";
    Extractor::new(limits).extract(&spider("[[follow]]"), &page("http://h.test/", html, 0), &mut out).unwrap();
    assert_eq!(out.links.len(), 2);
    assert_eq!(counters(&out), [("links/too_many".to_owned(), 2)]);
}

#[test]
fn hooks_drop_and_change_start_requests_links_and_items_in_the_order_of_the_file() {
    let spider = load(
        r#"
name = "t"
start = ["http://h.test/list/{0..9}", { url = "http://h.test/old/list", carry = { k = 1 } }]
start_parse = "x"
args = { town = "leeds" }
[[follow]]
parse = "y"
[[hook]]
on = "start"
when = 'index in [3, 5] || url.contains("/old/")'
drop = true
[[hook]]
on = "start"
when = 'url.endsWith("9")'
priority = 4
carry = { last = true }
[[hook]]
on = "link"
name = "down"
when = 'url.matches(r"/b$") && parse == "y" && response.status == 200'
priority = -5
[[hook]]
on = "link"
when = 'priority == -5'
carry = { seen = "first" }
[[hook]]
on = "link"
name = "none"
when = 'url.endsWith("/c")'
drop = true
[[hook]]
on = "link"
when = 'url.endsWith("/c")'
priority = 9
[[hook]]
on = "item"
item = "x"
when = '!has(price)'
set = { price = 7.5, tags = ["new"] }
[[hook]]
on = "item"
name = "dear"
item = "x"
when = 'price > 7 && args.town == "leeds"'
drop = true
[[hook]]
on = "item"
name = "odd"
item = "x"
when = 'title > 3'
drop = true
[item.x]
scope = "//p"
fields = { title = { xpath = "text()" }, price = { xpath = "@price", type = "float" }, tags = { xpath = "@tag", many = true } }
[item.y.fields]
z = { const = 1 }
"#,
    );
    let mut starts = weir_model::LinkBatch::default();
    spider.start_urls().fill(0..11, &mut starts);
    let kept: Vec<_> = starts.iter().map(|(url, link)| (url, link.priority)).collect();
    assert_eq!(kept.len(), 8, "{kept:?}");
    assert!(!kept.iter().any(|(url, _)| url.ends_with("/3") || url.ends_with("/5") || url.contains("old")), "{kept:?}");
    assert_eq!(kept.last(), Some(&("http://h.test/list/9", 4)));
    let (_, last) = starts.iter().last().unwrap();
    assert_eq!(last.extra.as_ref().unwrap().carry.as_ref().unwrap()["last"], true);

    let html = "<a href=/a>a</a><a href=/b>b</a><a href=/c>c</a><a href=/c>c</a><p price=3>one</p><p price=8>two</p><p>three</p>";
    let out = extract(&spider, &page("http://h.test/list/0", html, 0));
    let links: Vec<_> = out.links.iter().map(|(url, link)| (url, link.priority)).collect();
    assert_eq!(links, [("http://h.test/a", 0), ("http://h.test/b", -5)]);
    let carried = out.links.iter().map(|(_, link)| link.extra.as_ref().and_then(|extra| extra.carry.clone()));
    assert_eq!(carried.map(|carry| carry.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(out.items.len(), 1, "the second is dear, and so is the third since its price was set");
    assert_eq!(field(&spider, &out.items[0], "price"), Value::Float(3.0));
    let counted = counters(&out);
    for counter in [("hook/none/dropped", 1), ("hook/dear/dropped", 2), ("hook/odd/error", 1)] {
        assert!(counted.contains(&(counter.0.to_owned(), counter.1)), "{counter:?} in {counted:?}");
    }
}
