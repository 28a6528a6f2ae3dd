//! The pages of the portal: a listing (small, or of 31 kB) and an index of thirty. Both show a listing with the same
//! markup, so that the same XPaths, absolute on one and relative on the other, extract the same values.

use super::chrome;
use crate::knobs::Knobs;
use crate::portal::{Facts, Form, PER_PAGE, Portal, listing_page_name, push_image_path, push_number};

/// The size to which large listing pages are filled.
pub(crate) const LARGE_BYTES: usize = 31_000;

/// Renders an index page; `false` when there is none with this number.
pub(crate) fn index(out: &mut String, portal: Portal, number: usize, knobs: &Knobs) -> bool {
    if number >= portal.pages() {
        return false;
    }
    out.push_str(chrome::HEAD);
    out.push_str("<title>Properties, page ");
    push_number(out, number as u64 + 1, 1);
    out.push_str("</title>\n</head>\n<body>\n<h1>Properties to let</h1>\n<ul class=\"listings\">\n");
    let first = number * PER_PAGE;
    for listing in first..(first + PER_PAGE).min(portal.listings()) {
        let Some(facts) = portal.facts(listing, knobs.day) else { continue };
        out.push_str("<li class=\"listing\" itemscope itemtype=\"http://schema.org/Product\">\n");
        out.push_str("  <a itemprop=\"url\" href=\"");
        listing_page_name(out, listing);
        out.push_str("\"><h2 itemprop=\"name\">");
        facts.push_title(out, Form::Markup);
        out.push_str("</h2></a>\n");
        fields(out, &facts, knobs.depth);
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n<ul class=\"pager\">\n");
    if number > 0 {
        out.push_str("  <li class=\"previous\"><a href=\"");
        index_name(out, number - 1);
        out.push_str("\">previous</a></li>\n");
    }
    if number + 1 < portal.pages() {
        out.push_str("  <li class=\"next\"><a href=\"");
        index_name(out, number + 1);
        out.push_str("\">next</a></li>\n");
    }
    out.push_str("</ul>\n</body>\n</html>\n");
    true
}

/// Renders a listing's page.
pub(crate) fn listing(out: &mut String, portal: Portal, facts: &Facts, knobs: &Knobs) {
    out.push_str(chrome::HEAD);
    out.push_str("<title>");
    facts.push_title(out, Form::Markup);
    out.push_str("</title>\n");
    if facts.has_json_ld() {
        json_ld(out, facts);
    }
    if knobs.large {
        out.push_str(chrome::LARGE_HEAD);
    }
    out.push_str("</head>\n<body>\n");
    if knobs.large {
        chrome::navigation(out);
    }
    out.push_str("<div class=\"crumbs\"><a href=\"");
    index_name(out, facts.number / PER_PAGE);
    out.push_str("\">Properties</a> &rsaquo; ");
    out.push_str(facts.town().name);
    out.push_str("</div>\n<article class=\"listing\" itemscope itemtype=\"http://schema.org/Product\">\n  <h1 itemprop=\"name\">");
    facts.push_title(out, Form::Markup);
    out.push_str("</h1>\n");
    fields(out, facts, knobs.depth);
    out.push_str("  <table class=\"facts\">\n    <tr><th>Reference</th><td>WR-");
    push_number(out, facts.number as u64, 6);
    out.push_str("</td></tr>\n    <tr><th>Floor area</th><td>");
    push_number(out, 18 + facts.extra(0) % 160, 1);
    out.push_str(" m&sup2;</td></tr>\n    <tr><th>Energy class</th><td>");
    out.push(char::from(b'A' + (facts.extra(1) % 7) as u8));
    out.push_str("</td></tr>\n  </table>\n</article>\n");
    if knobs.large {
        chrome::related(out, portal, facts.number);
        chrome::footer(out, facts, LARGE_BYTES);
    }
    out.push_str("</body>\n</html>\n");
}

/// The fields below the title.
fn fields(out: &mut String, facts: &Facts, depth: usize) {
    out.push_str("  <p class=\"price\"><span itemprop=\"price\">");
    facts.push_price(out);
    out.push_str("</span></p>\n");
    for (nth, image) in facts.images().enumerate() {
        out.push_str("  <figure><img itemprop=\"image\" src=\"");
        match (facts.number + nth) % 3 {
            0 => out.push('/'),
            _ => (0..=depth).for_each(|_| out.push_str("../")),
        }
        push_image_path(out, image);
        out.push_str("\" alt=\"\"></figure>\n");
    }
    out.push_str("  <p itemprop=\"description\">");
    facts.push_description(out, Form::Markup);
    out.push_str("</p>\n  ");
    facts.push_place(out);
    out.push('\n');
}

fn json_ld(out: &mut String, facts: &Facts) {
    out.push_str(
        "<script type=\"application/ld+json\">{\"@context\":\"https://schema.org\",\"@type\":\"Product\",\"sku\":\"WR-",
    );
    push_number(out, facts.number as u64, 6);
    out.push_str("\",\"name\":\"");
    // Titles and addresses hold nothing that JSON escapes.
    facts.push_title(out, Form::Value);
    out.push_str("\",\"offers\":{\"@type\":\"Offer\",\"priceCurrency\":\"GBP\",\"price\":");
    push_number(out, facts.pence() / 100, 1);
    out.push('.');
    push_number(out, facts.pence() % 100, 2);
    out.push_str("},\"address\":\"");
    facts.push_address(out);
    out.push_str("\"}</script>\n");
}

/// `index_00000.html`.
pub(crate) fn index_name(out: &mut String, number: usize) {
    out.push_str("index_");
    push_number(out, number as u64, 5);
    out.push_str(".html");
}
