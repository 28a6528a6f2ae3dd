//! What surrounds the fields on large pages: navigation, related listings, scripts, a footer. None of it carries the
//! microdata attributes that the fields carry, so that one set of XPaths gives one set of values on both sizes.

use super::listing::index_name;
use crate::portal::{Facts, Form, PER_PAGE, Portal, listing_page_name, push_image_path, push_number};

/// The beginning of every page of the portal.
pub(crate) const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";

/// Links of the large pages' head and their inline style.
pub(crate) const LARGE_HEAD: &str = r#"<meta name="viewport" content="width=device-width, initial-scale=1">
<meta property="og:site_name" content="Weir Homes">
<meta property="og:type" content="product">
<style>
:root { --ink: #1d2a2f; --line: #d5dde0; --deep: #145a6b; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); }
.bar { display: flex; gap: 1rem; padding: .5rem 1rem; border-bottom: 1px solid var(--line); }
.bar ul { list-style: none; display: flex; margin: 0; padding: 0; }
.card { border: 1px solid var(--line); border-radius: 4px; padding: .75rem; }
.card > .card-price::after { content: " a week"; }
@media (max-width: 40em) { .bar { flex-wrap: wrap; } .facts td > span { display: none } }
</style>
"#;

const MENUS: &[(&str, &[&str])] = &[
    ("To let", &["Flats", "Houses", "Studios", "Rooms", "Garages", "Short lets", "Student homes", "New builds"]),
    ("Areas", &["City centres", "By the sea", "Villages", "Commuter towns", "Islands", "Near universities"]),
    ("Tenants", &["Your rights", "Deposits", "Moving in", "Moving out", "Repairs & damp", "Insurance"]),
    ("Landlords", &["List a home", "Fees", "Gas & electricity checks", "References", "Empty periods"]),
    ("About", &["The team", "Offices", "Press", "Work with us", "Complaints"]),
];

/// Recent questions of the footer.
const QUESTIONS: &[&str] = &[
    "How much may a landlord ask as a deposit?",
    "Who pays for a broken boiler in winter?",
    "What does “moderate wear” mean in practice?",
    "Can the rent rise within the first year?",
    "Is a verbal notice < 4 weeks valid?",
    "How do I read a meter that has three dials?",
    "May I paint the walls of a furnished flat?",
    "Which papers does a viewing need?",
];

/// The bar at the top: 30 links.
pub(crate) fn navigation(out: &mut String) {
    out.push_str("<nav class=\"bar\" aria-label=\"Main\">\n  <a class=\"logo\" href=\"index_00000.html\"><b>Weir</b> Homes</a>\n");
    let mut page = 0;
    for (menu, entries) in MENUS {
        out.push_str("  <div class=\"menu\">\n    <button type=\"button\" aria-expanded=\"false\">");
        out.push_str(menu);
        out.push_str("</button>\n    <ul>\n");
        for entry in *entries {
            out.push_str("      <li><a class=\"menu-link\" href=\"");
            index_name(out, page);
            out.push_str("\" data-track=\"menu\">");
            crate::portal::push_escaped(out, entry, false);
            out.push_str("</a></li>\n");
            page += 1;
        }
        out.push_str("    </ul>\n  </div>\n");
    }
    out.push_str("  <form class=\"search\" action=\"index_00000.html\"><input type=\"search\" name=\"q\" placeholder=\"Town or quarter\"><button>Search</button></form>\n</nav>\n");
}

/// What a related listing says of itself beside title, price and place: name, unit, least, one more than most.
const CARD_FACTS: [(&str, &str, u64, u64); 5] = [
    ("Area", " m&sup2;", 18, 178),
    ("Rooms", "", 1, 5),
    ("Floor", "", 0, 9),
    ("Baths", "", 1, 3),
    ("Rank", "", 1, 999),
];

/// How many related listings a large page shows.
const RELATED: usize = 25;

/// The related listings: title, price, address, picture, facts, and links.
pub(crate) fn related(out: &mut String, portal: Portal, number: usize) {
    out.push_str("<section class=\"related\">\n<h2>Others also looked at</h2>\n<div class=\"cards\">\n");
    for nth in 1..=RELATED {
        let other = (number + nth * 613) % portal.listings();
        let facts = portal.facts(other, None).expect("without a day every listing is there");
        out.push_str("<div class=\"card\" data-ref=\"");
        push_number(out, other as u64, 6);
        out.push_str("\">\n  <a class=\"card-picture\" href=\"");
        listing_page_name(out, other);
        out.push_str("\"><img loading=\"lazy\" src=\"/");
        push_image_path(out, facts.images().next().expect("at least one"));
        out.push_str("\" width=\"160\" height=\"120\" alt=\"\"></a>\n  <h3 class=\"card-title\"><a href=\"");
        listing_page_name(out, other);
        out.push_str("\">");
        facts.push_title(out, Form::Markup);
        out.push_str("</a></h3>\n  <p class=\"card-price\"><span>");
        facts.push_price(out);
        out.push_str("</span> <small>pw</small></p>\n  <p class=\"card-where\"><i class=\"pin\"></i><a href=\"");
        index_name(out, other / PER_PAGE);
        out.push_str("\">");
        facts.push_address(out);
        out.push_str("</a></p>\n  <ul class=\"card-facts\">");
        for (question, (name, unit, least, most)) in (0..).zip(CARD_FACTS) {
            out.push_str("<li><b>");
            out.push_str(name);
            out.push_str("</b> <span>");
            push_number(out, least + facts.extra(question) % (most - least), 1);
            out.push_str("</span>");
            out.push_str(unit);
            out.push_str("</li>");
        }
        out.push_str("</ul>\n  <p class=\"card-links\"><a href=\"");
        listing_page_name(out, other);
        out.push_str("#map\">Map</a> <a href=\"/dynamic\" rel=\"nofollow\">Save</a></p>\n</div>\n");
    }
    out.push_str("</div>\n</section>\n");
}

/// What follows the footer on every page.
const END_BYTES: usize = "</script>\n</body>\n</html>\n".len();

/// The footer and the scripts, the last of which fills the page up to `bytes`.
pub(crate) fn footer(out: &mut String, facts: &Facts, bytes: usize) {
    out.push_str("<footer>\n<div class=\"asked\"><h4>Recently asked</h4><ol>\n");
    for (nth, question) in QUESTIONS.iter().enumerate() {
        out.push_str("  <li><a href=\"/static/");
        out.push_str(["a", "b", "c"][nth % 3]);
        out.push_str(".html\">");
        crate::portal::push_escaped(out, question, false);
        out.push_str("</a></li>\n");
    }
    out.push_str("</ol></div>\n<p>&copy; 2026 Weir Homes &middot; every listing here is invented.</p>\n</footer>\n");
    out.push_str(
        "<script>\n(function (w, d) {\n  var cards = d.querySelectorAll('.card');\n  for (var i = 0; i < cards.length; i++) {\n    \
         if (cards[i].dataset.ref > '' && i < 25) { cards[i].innerHTML += '<i class=\"dot\"></i>'; }\n  }\n  \
         w.addEventListener('scroll', function () { d.body.classList.toggle('away', w.scrollY > 80); });\n})(window, document);\n</script>\n",
    );
    out.push_str("<script>window.__seen = [");
    // Pairs of figures, as trackers leave them, up to the size; the last is cut to the byte.
    let end = bytes.saturating_sub(END_BYTES + "0];\n".len());
    let mut nth = 100;
    while out.len() < end {
        push_number(out, facts.extra(nth), 1);
        out.push(',');
        nth += 1;
    }
    out.truncate(end.max(out.rfind('[').map_or(0, |at| at + 1)));
    out.push_str("0];\n</script>\n");
}
