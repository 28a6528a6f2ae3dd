//! The portal as a spider sees it: DESIGN.md's XPaths, on every kind of page, give what the generator says.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::borrow::Cow;
use support::{Client, site};
use weir_html::Parser;
use weir_html::select::{Evaluator, Hit, Program};
use weir_site::{Day, Listing, PER_PAGE, Portal};

/// The fields of DESIGN.md's spider; with `relative` each begins in an element, not at the root.
struct Spider {
    programs: [Program; 6],
    evaluator: Evaluator,
}

impl Spider {
    fn new(relative: bool) -> Spider {
        let dot = if relative { "." } else { "" };
        let program = |path: &str| Program::xpath(&format!("{dot}{path}")).unwrap();
        Spider {
            programs: [
                program(r#"//*[@itemprop="name"][1]/text()"#),
                program(r#"//*[@itemprop="price"][1]/text()"#),
                program(r#"//*[@itemprop="description"][1]/text()"#),
                program(r#"//*[@itemtype="http://schema.org/Place"][1]/text()"#),
                program(r#"//*[@itemprop="image"][1]/@src"#),
                program(r#"//*[@itemprop="url"]/@href"#),
            ],
            evaluator: Evaluator::default(),
        }
    }

    fn values(&mut self, field: usize, tree: weir_html::Tree<'_>, at: Hit) -> Vec<String> {
        let mut out: Vec<Cow<'_, str>> = Vec::new();
        self.evaluator.strings(&self.programs[field], tree, at, &mut out).unwrap();
        out.into_iter().map(|text| text.trim().to_owned()).collect()
    }

    /// Checks the fields found below `at` against a listing; `folder` is the page's folder.
    fn check(&mut self, tree: weir_html::Tree<'_>, at: Hit, expected: &Listing, folder: &str) {
        let first = |values: Vec<String>| values.into_iter().find(|value| !value.is_empty()).unwrap();
        assert_eq!(title_case(&first(self.values(0, tree, at))), expected.title, "listing {}", expected.number);
        let price: String =
            first(self.values(1, tree, at)).chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
        assert_eq!(price.parse::<f64>().unwrap(), expected.price, "listing {}", expected.number);
        assert_eq!(self.values(2, tree, at).join(" "), expected.description, "listing {}", expected.number);
        assert_eq!(first(self.values(3, tree, at)), expected.address);
        let images: Vec<String> = self.values(4, tree, at).iter().map(|src| resolved(folder, src)).collect();
        assert_eq!(images, expected.image_paths);
    }
}

/// `str.title()` of Python, for the letters that titles have.
fn title_case(text: &str) -> String {
    let mut after_letter = false;
    let mut out = String::new();
    for c in text.chars() {
        if after_letter {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        after_letter = c.is_alphabetic();
    }
    out
}

fn resolved(folder: &str, src: &str) -> String {
    if src.starts_with('/') {
        return src.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in src.split('/') {
        match part {
            ".." => parts.truncate(parts.len().saturating_sub(1)),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[test]
fn listing_pages_give_the_generator_s_values_small_and_large() {
    let site = site(600);
    let (mut client, mut spider, mut parser) = (Client::to(&site), Spider::new(false), Parser::new(Default::default()));
    for base in ["", "/large", "/large/date:2026-05-05", "/gzip"] {
        let mut seen = 0;
        for number in 0..600 {
            let listing = match base.contains("date") {
                true => site.portal().listing_on(number, Day::parse("2026-05-05").unwrap()),
                false => Some(site.portal().listing(number)),
            };
            let answer = client.get(&format!("{base}/properties/property_{number:06}.html"));
            let Some(listing) = listing else {
                assert_eq!(answer.status, 404);
                continue;
            };
            seen += 1;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
            let tree = parser.parse(answer.text()).unwrap();
            spider.check(tree, Hit::root(tree), &listing, &format!("{base}/properties"));
            if base.starts_with("/large") {
                assert!((30_000..=32_000).contains(&answer.body.len()), "{} bytes", answer.body.len());
            }
        }
        assert!(seen > 400, "{seen} under {base}");
    }
}

#[test]
fn index_pages_give_thirty_whole_listings_each_to_relative_paths() {
    let site = site(95);
    let (mut client, mut spider, mut parser) = (Client::to(&site), Spider::new(true), Parser::new(Default::default()));
    let scope = Program::xpath(r#"//*[@itemtype="http://schema.org/Product"]"#).unwrap();
    let mut number = 0;
    for page in 0..4 {
        let answer = client.get(&format!("/properties/index_{page:05}.html"));
        let tree = parser.parse(answer.text()).unwrap();
        let mut products = Vec::new();
        Evaluator::default().nodes(&scope, tree, Hit::root(tree), &mut products).unwrap();
        assert_eq!(products.len(), if page == 3 { 5 } else { PER_PAGE });
        for product in products {
            let listing = site.portal().listing(number);
            spider.check(tree, product, &listing, "/properties");
            let url = spider.values(5, tree, product);
            assert_eq!(resolved("/properties", &url[0]), listing.path);
            assert_eq!(url.len(), 1);
            number += 1;
        }
    }
    assert_eq!(number, 95);
    assert_eq!(client.get("/properties/index_00004.html").status, 404);
    assert_eq!(client.get("/properties/property_000095.html").status, 404);
    assert_eq!(client.get("/properties/property_0000.html").status, 404);
    assert_eq!(client.get("/properties/property_0000001.html").status, 404);
}

#[test]
fn the_chain_of_next_links_reaches_every_page_once() {
    let site = site(30 * 40 + 7);
    let (mut client, mut parser) = (Client::to(&site), Parser::new(Default::default()));
    let next = Program::xpath(r#"//*[contains(@class,"next")]//@href"#).unwrap();
    for base in ["", "/large"] {
        let mut path = "index_00000.html".to_owned();
        for page in 0.. {
            assert_eq!(path, format!("index_{page:05}.html"));
            let answer = client.get(&format!("{base}/properties/{path}"));
            let tree = parser.parse(answer.text()).unwrap();
            let mut links = Vec::new();
            Evaluator::default().strings(&next, tree, Hit::root(tree), &mut links).unwrap();
            if links.is_empty() {
                assert_eq!(page, 40);
                break;
            }
            assert_eq!(links.len(), 1);
            path = links[0].clone().into_owned();
        }
    }
}

#[test]
fn same_seed_same_site_other_seed_another() {
    let pages = |seed: u64| {
        let mut options = weir_site::SiteOptions::with_listings(60);
        options.seed = seed;
        let site = weir_site::Site::spawn(options).unwrap();
        let mut client = Client::to(&site);
        ["/properties/index_00001.html", "/large/properties/property_000007.html", "/properties/api.json"]
            .map(|path| client.get(path).body)
    };
    assert_eq!(pages(5), pages(5));
    for (one, other) in pages(5).iter().zip(pages(6)) {
        assert_ne!(*one, other);
    }
}

#[test]
fn the_default_portal_has_the_book_s_size() {
    let portal = weir_site::SiteOptions::default().portal();
    assert_eq!((portal.listings(), portal.pages()), (50_000, 1_667));
    let hundred = weir_site::SiteOptions { pages: 100, ..Default::default() }.portal();
    assert_eq!((hundred.listings(), hundred.pages()), (3_000, 100));
}

#[test]
fn listings_vary_as_real_ones_do() {
    let portal = Portal::new(1, 20_000);
    let addresses: std::collections::BTreeSet<String> = portal.iter().map(|listing| listing.address).collect();
    assert!((5_000..15_000).contains(&addresses.len()), "{} addresses", addresses.len());
    assert!(portal.iter().all(|listing| listing.address.matches(',').count() == 1));
    assert!(portal.iter().filter(|listing| listing.price >= 1_000.0).count() > 500);
    assert!(portal.iter().all(|listing| listing.price >= 50.0 && listing.price < 10_000.0));
    assert!(portal.iter().any(|listing| !listing.title.is_ascii()));
    let mean = |town: &str| {
        let prices: Vec<f64> =
            portal.iter().filter(|listing| listing.town == town).map(|listing| listing.price).collect();
        prices.iter().sum::<f64>() / prices.len() as f64
    };
    assert!(mean("London") > 2.0 * mean("Aberdâr"));
}

#[test]
fn every_host_is_a_portal_of_its_own() {
    let site = site(30);
    let mut client = Client::to(&site);
    let path = "/properties/property_000003.html";
    let canonical = client.get(path).body;
    for same in ["127.0.0.1:80", "[::1]:7", "localhost:9312"] {
        assert_eq!(client.get_with(path, &format!("Host: {same}\r\n")).body, canonical);
    }
    let one = client.get_with(path, "Host: shop1.localhost\r\n").body;
    let two = client.get_with(path, "Host: shop2.localhost:9312\r\n").body;
    assert!(one != two && one != canonical);
    assert_eq!(client.get_with(path, "Host: SHOP1.localhost:5\r\n").body, one);
    let title = site.portal().for_host("shop1.localhost").listing(3).title.to_lowercase();
    let title = title.replace('&', "&amp;");
    assert!(String::from_utf8(one).unwrap().to_lowercase().contains(&title));
}

#[test]
fn listings_appear_change_price_and_vanish_by_day() {
    let portal = Portal::new(1, 1_000);
    let days: Vec<Day> = (0..60).map(|n| Day::parse("2026-01-01").unwrap().plus(n).unwrap()).collect();
    let (mut vanished, mut relisted, mut changed, mut constant) = (0, 0, 0, 0);
    for number in 0..1_000 {
        let prices: Vec<Option<f64>> =
            days.iter().map(|day| portal.listing_on(number, *day).map(|listing| listing.price)).collect();
        let gone = prices.windows(2).any(|two| two[0].is_some() && two[1].is_none());
        vanished += u32::from(gone);
        relisted += u32::from(prices.windows(2).any(|two| two[0].is_none() && two[1].is_some()));
        changed += u32::from(prices.windows(2).any(|two| matches!(two, [Some(a), Some(b)] if a != b)));
        constant += u32::from(prices.iter().all(|price| *price == Some(portal.listing(number).price)));
    }
    assert!(vanished > 100 && relisted > 100 && changed > 100, "{vanished} {relisted} {changed}");
    assert!((650..750).contains(&constant), "{constant}");
    let site = site(30);
    let mut client = Client::to(&site);
    for day in &days {
        let index = client.get(&format!("/date:{day}/properties/index_00000.html"));
        let there = (0..30).filter(|number| site.portal().listing_on(*number, *day).is_some()).count();
        assert_eq!(index.text().matches("itemprop=\"url\"").count(), there);
    }
}

#[test]
fn unchanged_pages_are_answered_with_304() {
    let site = site(30);
    let mut client = Client::to(&site);
    for path in
        ["/properties/property_000003.html", "/large/properties/property_000003.html", "/properties/index_00000.html"]
    {
        let tag = client.get(path).header("etag").unwrap().to_owned();
        let again = client.get_with(path, &format!("Host: localhost\r\nIf-None-Match: \"x\", W/{tag}\r\n"));
        assert_eq!((again.status, again.body.len(), again.header("content-length")), (304, 0, None));
        assert_eq!(again.header("etag"), Some(tag.as_str()));
        assert_eq!(client.get_with(path, "Host: localhost\r\nIf-None-Match: \"x\"\r\n").status, 200);
    }
    let modified = client.get("/properties/property_000003.html").header("last-modified").unwrap().to_owned();
    let since = |date: &str| format!("Host: localhost\r\nIf-Modified-Since: {date}\r\n");
    assert_eq!(client.get_with("/properties/property_000003.html", &since(&modified)).status, 304);
    assert_eq!(
        client.get_with("/properties/property_000003.html", &since("Thu, 01 Jan 1970 00:00:00 GMT")).status,
        200
    );
    // A validator of one page is none of another, and a new price is a new page.
    let tag = client.get("/properties/property_000003.html").header("etag").unwrap().to_owned();
    assert_ne!(client.get("/properties/property_000004.html").header("etag").unwrap(), tag);
}
