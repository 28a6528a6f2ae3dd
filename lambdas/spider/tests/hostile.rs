//! No text of a spider and no page panics, and what one page does leaves no trace in the next.

mod common;

use common::{json_page, load, page};
use proptest::prelude::*;
use weir_spider::{Extraction, Extractor, Spider};

const RICH: &str = r##"
name = "rich"
start = ["http://h.test/{1..3}"]
start_parse = "a"
[args]
base = "http://h.test"
[[follow]]
css = "a"
map = ["trim", { split = " " }]
carry = { t = { css = "title::text" }, v = "value", u = "response.url" }
parse = "b"
[[follow]]
scope = "$..x"
json = "$..id"
url = "${base}/${value:06}?q=${value:encode}#${carry.t}"
body = { q = ["${value}", { r = "x${value}" }] }
headers = { X = "${value}" }
[[follow]]
scope = "//*"
follow = true
parse = "a"
[item.a]
scope = "//*[@*]"
[item.a.fields]
h = { css = "*", map = ["strip_tags", "decode_entities", "collapse_whitespace", "title_case", "capitalize", { truncate = 5 }], many = true }
i = { xpath = ".//@*", regex = '(\w)(\W)?', type = "int", many = true }
u = { xpath = ".//text()", map = ["absolute_url", { query = "a" }, { slice = [-3, 2] }, { json = "$..*" }] }
j = { json = "$.a", inside = { css = "script::text", regex = '=(.*)' }, type = "json" }
d = { xpath = "string(.)", type = "datetime" }
[item.b]
key = ["t", "p"]
[item.b.fields]
t = { from = [{ carry = "t" }, { json = "$..t" }], type = "date" }
p = { json = "$..p", type = "geo_point", many = true }
n = { xpath = "count(//*)", type = "float" }
l = { css = ":not(p)::text", map = ["decimal_comma", { lookup = { a = "b" }, default = "${value}" }, { nth = -1 }], join = "" }
"##;

fn run(spider: &Spider, text: &str) {
    let mut extractor = Extractor::new(Default::default());
    let mut out = Extraction::default();
    for target in 0..4 {
        for page in [page("http://h.test/a/b?c", text, target), json_page("http://h.test/", text, target)] {
            let _ = extractor.extract(spider, &page, &mut out);
            for item in &out.items {
                assert_eq!(item.values.len(), spider.schemas()[usize::from(item.schema)].fields.len());
            }
            for (url, link) in out.links.iter() {
                assert!(url.starts_with("http://") || url.starts_with("https://"), "{url}");
                assert!(spider.target(link.target).is_some());
                assert!(!url.contains('#'), "{url}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_page_panics(text in "(<(a|p|li|script|base|/a|/p)( (href|id|class)=(\"[^\"]{0,8}\"|[a-z/:#?%&;.]{0,8}))?>|&[a-z#0-9]{1,5};?|[ -~äß\u{1F600}\r\n]{0,6}|[{}\\[\\]\":,0-9]{0,5}){0,20}") {
        thread_local!(static RICH_SPIDER: Spider = load(RICH));
        RICH_SPIDER.with(|spider| run(spider, &text));
    }

    #[test]
    fn no_json_page_panics(json in json()) {
        thread_local!(static RICH_SPIDER: Spider = load(RICH));
        RICH_SPIDER.with(|spider| run(spider, &json.to_string()));
    }

    #[test]
    fn no_spider_text_panics(text in "\\PC{0,300}") {
        let _ = Spider::load("x", &text, &[]);
    }

    #[test]
    fn no_mutated_spider_panics(cuts in prop::collection::vec((0usize..3000, 0usize..40, "[\\[\\]{}\"'=$.,a-z0-9 \n]{0,6}"), 1..4)) {
        let mut text: Vec<char> = RICH.chars().collect();
        for (at, len, with) in cuts {
            let start = at % text.len();
            let end = (start + len).min(text.len());
            text.splice(start..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        match Spider::load("x", &text, &[]) {
            Ok(spider) => run(&spider, "<a href=x title='y'>z</a>"),
            Err(errors) => prop_assert!(!errors.0.is_empty() && !errors.to_string().is_empty()),
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|f| serde_json::json!(f)),
        "\\PC{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec(("(x|id|t|p|a)", inner), 0..5)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

#[test]
fn deeply_nested_files_and_pages_are_survived() {
    for text in ["[".repeat(100_000), "a = ".to_owned() + &"{ a = ".repeat(50_000), "a.".repeat(50_000) + "a = 1"] {
        assert!(Spider::load("x", &text, &[]).is_err());
    }
    let spider = load(RICH);
    run(&spider, &"[".repeat(100_000));
    run(&spider, &"<a href=x>".repeat(3_000));
    run(&spider, &("{\"a\":".repeat(100) + "1" + &"}".repeat(100)));
}

#[test]
fn steps_that_multiply_a_text_are_bounded_and_counted() {
    let doubled = vec!["{ template = '${value}${value}' }"; 60].join(", ");
    for steps in [
        doubled.as_str(),
        "{ replace = ['a', 'aaaaaaaaaa'] }, { replace = ['a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'] }",
        "{ regex_replace = ['a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'] }, { regex_replace = ['a', 'aaaaaaaaaa'] }",
    ] {
        let spider = common::one_field(&format!("{{ css = 'p::text', map = [{steps}] }}"));
        let out = common::extract(&spider, &page("http://h.test/", &format!("<p>{}", "a".repeat(60_000)), 0));
        assert_eq!(common::counters(&out), [("x/f/too_large".to_owned(), 1)], "{steps}");
    }
    let spider = load("name = 't'\nstart = ['http://h.test/']\n[[follow]]\ncss = 'a::text'\n");
    let out = common::extract(&spider, &page("http://h.test/", &format!("<a>{}", "a".repeat(70_000)), 0));
    assert_eq!((common::counters(&out), out.links.len()), (vec![("links/too_long".to_owned(), 1)], 0));
}

#[test]
fn one_page_leaves_no_trace_in_the_next() {
    let spider = load(RICH);
    let first = "<p a=1>x</p><a href=/y>y z</a>";
    let fresh = common::extract(&spider, &page("http://h.test/", first, 0));
    let mut extractor = Extractor::new(Default::default());
    let mut out = Extraction::default();
    for other in ["<p>other", "<base href=http://b.test/><i b=2>", "{\"x\": 1}", ""] {
        let _ = extractor.extract(&spider, &page("http://h.test/q", other, 0), &mut out);
    }
    extractor.extract(&spider, &page("http://h.test/", first, 0), &mut out).unwrap();
    assert_eq!((&out.items, &out.links, &out.notes), (&fresh.items, &fresh.links, &fresh.notes));
}
