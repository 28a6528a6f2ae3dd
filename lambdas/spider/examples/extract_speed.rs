//! How fast pages become items and links: `cargo run --release -p weir-spider --example extract_speed`. Prints, for a small
//! listing page and an index page of 30 links, the time of the tree, of the bare selectors over it, and of the whole extraction;
//! what lies between is the spider's own.

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};
use weir_html::select::{Evaluator, Hit, Program};
use weir_html::{Limits, Parser};
use weir_model::{JobId, TargetId};
use weir_spider::{Extraction, Extractor, Page, Spider};

const SPIDER: &str = include_str!("../tests/properties.toml");
const FIELDS: [&str; 5] = [
    "//*[@itemprop=\"name\"][1]/text()",
    "//*[@itemprop=\"price\"][1]/text()",
    "//*[@itemprop=\"description\"][1]/text()",
    "//*[@itemtype=\"http://schema.org/Place\"][1]/text()",
    "//*[@itemprop=\"image\"][1]/@src",
];
const RULES: [&str; 2] = ["//*[contains(@class,\"next\")]//@href", "//*[@itemprop=\"url\"]/@href"];

fn listing() -> String {
    let mut page = String::from(
        "<!DOCTYPE html><html><head><title>Scrapy Book - Property</title><link rel=\"stylesheet\" href=\"/static/site.css\"></head><body><div class=\"nav\">",
    );
    for at in 0..8 {
        page.push_str(&format!("<a class=\"nav-item\" href=\"/section/{at}.html\">Section {at}</a>\n"));
    }
    page.push_str(
        "</div><div itemscope itemtype=\"http://schema.org/Product\"><h1 itemprop=\"name\" class=\"space-mb-xs\">set unique family well</h1>\n\
         <strong itemprop=\"price\" class=\"ad-price\">&#163;1,334.39pw</strong><img itemprop=\"image\" src=\"../images/i01.jpg\">\n\
         <p itemprop=\"description\" class=\"ad-description\">website court warehouse r&amp;b attic warehouse convent reading garage 2009 skin hey street upstairs rooms</p>\n\
         <span class=\"truncate-line\" itemtype=\"http://schema.org/Place\"> Angel, London </span></div><div class=\"footer\">",
    );
    for at in 0..8 {
        page.push_str(&format!("<li><a href=\"/help/{at}.html\">Help {at}</a></li>\n"));
    }
    page.push_str("</div></body></html>");
    page
}

fn index() -> String {
    let mut page = String::from("<!DOCTYPE html><html><head><title>Index</title></head><body><ul>");
    for at in 0..30 {
        page.push_str(&format!(
            "<li itemscope itemtype=\"http://schema.org/Product\"><a itemprop=\"url\" href=\"property_{at:06}.html\"><h2 itemprop=\"name\">listing {at}</h2></a><span itemprop=\"price\">£{at}.00pw</span></li>\n"
        ));
    }
    page.push_str("</ul><ul class=\"pagination\"><li class=\"next\"><a href=\"index_00001.html\">next</a></li></ul></body></html>");
    page
}

/// The best mean of several rounds.
fn time(mut work: impl FnMut()) -> Duration {
    const ROUNDS: u32 = 9;
    const TURNS: u32 = 20_000;
    (0..ROUNDS)
        .map(|_| {
            #[allow(clippy::disallowed_methods)] // Measuring time is what this program is for.
            let start = Instant::now();
            for _ in 0..TURNS {
                work();
            }
            start.elapsed() / TURNS
        })
        .min()
        .unwrap_or_default()
}

fn main() {
    let spider = Spider::load("properties.toml", SPIDER, &[]).expect("the example loads");
    for (name, text, target, selectors) in [("listing", listing(), 1, &FIELDS[..]), ("index", index(), 0, &RULES[..])] {
        let programs: Vec<Program> = selectors.iter().map(|text| Program::xpath(text).expect("it compiles")).collect();
        let mut parser = Parser::new(Limits::default());
        let mut evaluator = Evaluator::default();
        let tree = time(|| {
            black_box(parser.parse(black_box(&text)).expect("it parses").len());
        });
        let selected = time(|| {
            let tree = parser.parse(black_box(&text)).expect("it parses");
            let mut found: Vec<Cow<'_, str>> = Vec::new();
            for program in &programs {
                evaluator.strings(program, tree, Hit::root(tree), &mut found).expect("within limits");
            }
            black_box(found.len());
        });
        let mut extractor = Extractor::new(Default::default());
        let mut out = Extraction::default();
        let page = Page {
            url: "http://localhost:9312/properties/property_000000.html",
            status: 200,
            content_type: Some("text/html"),
            text: &text,
            charset: None,
            target: TargetId(target),
            carry: None,
            job: JobId(1),
            started_at_us: 1_700_000_000_000_000,
            server: "here",
        };
        let whole = time(|| {
            extractor.extract(&spider, black_box(&page), &mut out).expect("it is readable");
            black_box((out.items.len(), out.links.len()));
        });
        println!(
            "{name}: {} bytes; tree {:.2} us, with selectors {:.2} us, whole {:.2} us, of it the spider {:.2} us ({} items, {} links)",
            text.len(),
            tree.as_secs_f64() * 1e6,
            selected.as_secs_f64() * 1e6,
            whole.as_secs_f64() * 1e6,
            whole.saturating_sub(selected).as_secs_f64() * 1e6,
            out.items.len(),
            out.links.len()
        );
    }
}
