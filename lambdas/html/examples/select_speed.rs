//! Pages per second, parse and extract, on one core: a listing page of 31 kB (25 rows of 6 fields, 126 links) and an item
//! page of 2 kB (the fields of DESIGN.md's spider). scraper does the same beside it, in interleaved rounds.
//!
//! `cargo run --release -p weir-html --example select_speed [ROUNDS]`; the word `weir` as second argument leaves scraper out (for a profiler).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_html::select::{Evaluator, Hit, Program};
use weir_html::{Limits, Parser};

fn listing() -> String {
    let mut page = String::from(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Homes</title>\
         <script>window.state = {\"filters\": [\"<price>\", \"beds\"], \"open\": false};</script></head><body><nav><ul>",
    );
    for n in 0..50 {
        let _ =
            writeln!(page, "<li class=\"nav-item\"><a class=\"nav-link\" href=\"/area/{n}\">Area number {n}</a></li>");
    }
    page.push_str("</ul></nav><div id=\"results\">\n");
    for n in 0..25 {
        let _ = write!(
            page,
            "<div class=\"result card\" data-id=\"{n}\">\n  <a class=\"photo\" href=\"/property/{n}/photos\"><img class=\"thumb\" \
             src=\"/img/{n}.jpg\" alt=\"Photo of house {n}\"></a>\n  <h2 class=\"title\"><a itemprop=\"url\" href=\"/property/{n}.html\">\
             House {n} &amp; garden</a></h2>\n  <p class=\"address\"><span class=\"street\">{n} Mill Lane</span>, <span \
             class=\"town\">York</span></p>\n  <div class=\"facts\"><span class=\"price\">&pound;{n}50,000</span><span \
             class=\"beds\">{}</span><span class=\"baths\">1</span></div>\n  <p class=\"description\">A spacious family home close to \
             the station, with parking for two cars, a garden that faces south and a kitchen that was renewed two years ago. \
             <b>Chain free.</b> Viewing is recommended; call the office to make an appointment on any weekday.</p>\n  \
             <ul class=\"tags\"><li>parking</li><li>garden</li><li>gas heating</li><li>double glazing</li></ul>\n  \
             <div class=\"agent\"><span class=\"name\">Agent {n}</span> <a class=\"call\" href=\"tel:0113{n:04}\">Call</a></div>\n</div>\n",
            n % 5
        );
    }
    page.push_str("</div><div class=\"pager\"><a class=\"next\" href=\"?page=2\">Next</a></div><footer>");
    page.push_str(
        &"<p class=\"small\">All particulars are given in good faith and without any warranty whatsoever.</p>\n"
            .repeat(30),
    );
    page.push_str("</footer></body></html>");
    page
}

fn item() -> String {
    let mut page = String::from(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Mill House</title></head><body><nav><a href=\"/\">Home</a> \
         <a class=\"next\" href=\"/properties/property_000002.html\">Next</a></nav>\n<div itemscope itemtype=\"http://schema.org/Offer\">\
         <h1 itemprop=\"name\">mill house, york</h1>\n<span itemprop=\"price\">&pound;325,000</span>\n\
         <img itemprop=\"image\" src=\"images/000001.jpg\" alt=\"front\">\n<p itemprop=\"description\">A stone house with a garden.</p>\n\
         <span itemtype=\"http://schema.org/Place\">1 Mill Lane, York YO1 1AA</span></div>\n<a itemprop=\"url\" href=\"#self\">link</a>\n",
    );
    page.push_str(
        &"<p class=\"note\">Measurements are approximate &amp; for guidance only; please ask before you travel.</p>\n"
            .repeat(12),
    );
    page.push_str("</body></html>");
    page
}

struct Weir {
    parser: Parser,
    evaluator: Evaluator,
    rows: Program,
    row_fields: Vec<Program>,
    links: Program,
    item_fields: Vec<Program>,
}

impl Weir {
    fn new() -> Self {
        let compile = |all: &[&str]| all.iter().map(|expr| Program::xpath(expr).expect("a right expression")).collect();
        Weir {
            parser: Parser::new(Limits::default()),
            evaluator: Evaluator::default(),
            rows: Program::xpath("//div[contains(@class,'result')]").expect("a right expression"),
            row_fields: compile(&[
                ".//h2/a/text()",
                ".//h2/a/@href",
                ".//span[@class='price']/text()",
                ".//span[@class='beds']/text()",
                "./p[@class='address']/span/text()",
                ".//img/@src",
            ]),
            links: Program::xpath("//a/@href").expect("a right expression"),
            item_fields: compile(&[
                "//*[@itemprop=\"name\"][1]/text()",
                "//*[@itemprop=\"price\"][1]/text()",
                "//*[@itemprop=\"description\"][1]/text()",
                "//*[@itemtype=\"http://schema.org/Place\"][1]/text()",
                "//*[@itemprop=\"image\"][1]/@src",
                "//*[contains(@class,\"next\")]//@href",
                "//*[@itemprop=\"url\"]/@href",
            ]),
        }
    }

    fn parse(&mut self, page: &str) -> usize {
        self.parser.parse(page).expect("a page within the limits").len() as usize
    }

    fn listing(&mut self, page: &str) -> usize {
        let tree = self.parser.parse(page).expect("a page within the limits");
        let (mut rows, mut out) = (Vec::new(), Vec::<Cow<'_, str>>::new());
        let root = Hit::root(tree);
        self.evaluator.nodes(&self.rows, tree, root, &mut rows).expect("within the budget");
        for &row in &rows {
            for field in &self.row_fields {
                self.evaluator.strings(field, tree, row, &mut out).expect("within the budget");
            }
        }
        self.evaluator.strings(&self.links, tree, root, &mut out).expect("within the budget");
        black_box(out).len()
    }

    fn item(&mut self, page: &str) -> usize {
        let tree = self.parser.parse(page).expect("a page within the limits");
        let mut out = Vec::<Cow<'_, str>>::new();
        for field in &self.item_fields {
            self.evaluator.strings(field, tree, Hit::root(tree), &mut out).expect("within the budget");
        }
        black_box(out).len()
    }
}

struct Peer {
    rows: scraper::Selector,
    row_fields: Vec<(scraper::Selector, Option<&'static str>)>,
    links: scraper::Selector,
    item_fields: Vec<(scraper::Selector, Option<&'static str>)>,
}

impl Peer {
    fn new() -> Self {
        let one = |css: &str| scraper::Selector::parse(css).expect("a right selector");
        let many = |all: &[(&str, Option<&'static str>)]| all.iter().map(|(css, attr)| (one(css), *attr)).collect();
        Peer {
            rows: one("div[class*=result]"),
            row_fields: many(&[
                ("h2 > a", None),
                ("h2 > a", Some("href")),
                ("span[class=price]", None),
                ("span[class=beds]", None),
                ("p[class=address] > span", None),
                ("img", Some("src")),
            ]),
            links: one("a"),
            item_fields: many(&[
                ("[itemprop=name]", None),
                ("[itemprop=price]", None),
                ("[itemprop=description]", None),
                ("[itemtype='http://schema.org/Place']", None),
                ("[itemprop=image]", Some("src")),
                ("[class*=next]", Some("href")),
                ("[itemprop=url]", Some("href")),
            ]),
        }
    }

    fn take(element: scraper::ElementRef<'_>, attribute: Option<&str>, out: &mut Vec<String>) {
        match attribute {
            Some(name) => out.extend(element.value().attr(name).map(str::to_string)),
            None => {
                out.extend(element.children().filter_map(|child| child.value().as_text().map(|text| text.to_string())))
            }
        }
    }

    fn listing(&self, page: &str) -> usize {
        let document = scraper::Html::parse_document(page);
        let mut out = Vec::new();
        for row in document.select(&self.rows) {
            for (field, attribute) in &self.row_fields {
                row.select(field).for_each(|element| Self::take(element, *attribute, &mut out));
            }
        }
        document.select(&self.links).for_each(|element| Self::take(element, Some("href"), &mut out));
        black_box(out).len()
    }

    fn item(&self, page: &str) -> usize {
        let document = scraper::Html::parse_document(page);
        let mut out = Vec::new();
        for (field, attribute) in &self.item_fields {
            document.select(field).for_each(|element| Self::take(element, *attribute, &mut out));
        }
        black_box(out).len()
    }
}

/// Pages per second over about 40 ms.
fn rate(mut one: impl FnMut() -> usize) -> f64 {
    let mut pages = 0;
    // A benchmark is the one place outside adapters that may read a clock.
    #[allow(clippy::disallowed_methods)]
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(40) {
        for _ in 0..16 {
            black_box(one());
        }
        pages += 16;
    }
    f64::from(pages) / start.elapsed().as_secs_f64()
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(15);
    let alone = std::env::args().nth(2).is_some_and(|word| word == "weir");
    let (listing, item) = (listing(), item());
    let (mut weir, peer) = (Weir::new(), Peer::new());
    println!(
        "listing {} bytes, {} strings; item {} bytes, {} strings",
        listing.len(),
        weir.listing(&listing),
        item.len(),
        weir.item(&item)
    );
    assert_eq!(weir.listing(&listing), peer.listing(&listing), "both find the same");
    assert_eq!(weir.item(&item), peer.item(&item), "both find the same");
    let mut best = [0f64; 6];
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let weir_rates = [
            rate(|| weir.parse(&listing)),
            rate(|| weir.listing(&listing)),
            rate(|| weir.parse(&item)),
            rate(|| weir.item(&item)),
        ];
        let peer_rates = if alone { [0.0; 2] } else { [rate(|| peer.listing(&listing)), rate(|| peer.item(&item))] };
        ratios[0].push(weir_rates[1] / peer_rates[0]);
        ratios[1].push(weir_rates[3] / peer_rates[1]);
        for (best, rate) in best.iter_mut().zip(weir_rates.into_iter().chain(peer_rates)) {
            *best = best.max(rate);
        }
    }
    let [listing_ratios, item_ratios] = &mut ratios;
    for (page, parse, extract, peer, ratios) in
        [("listing", best[0], best[1], best[4], listing_ratios), ("item", best[2], best[3], best[5], item_ratios)]
    {
        ratios.sort_by(f64::total_cmp);
        println!(
            "{page}: parse {parse:.0}/s, parse+extract {extract:.0}/s (extract {:.1} us), scraper {peer:.0}/s, ratio {:.1} ({:.1}-{:.1})",
            1e6 / extract - 1e6 / parse,
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
}
