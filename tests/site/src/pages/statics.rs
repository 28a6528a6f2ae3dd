//! `/static/a.html` to `c.html`: the same three facts in three layouts, for a spider that is driven by a CSV of URLs and
//! selectors; and pages that robots.txt forbids.

use crate::reply::{HTML, Reply};

const A: &str = "<!DOCTYPE html>\n<html><head><title>A</title></head><body>\n<h1 id=\"itemTitle\">Nordic teapot</h1>\n\
<span id=\"prcIsum\">US $14.50</span>\n<div class=\"more\"><a href=\"b.html\">b</a></div>\n</body></html>\n";

const B: &str = "<!DOCTYPE html>\n<html><head><title>B</title></head><body>\n<h1>Oak stool</h1>\n\
<p>now <span><strong>GBP 75.00</strong></span></p>\n<a href=\"c.html\">c</a>\n</body></html>\n";

const C: &str = "<!DOCTYPE html>\n<html><head><title>C</title></head><body>\n\
<div id=\"product-desc\"><span>Enamel lamp, 1,250.00 EUR</span></div>\n<a href=\"a.html\">a</a>\n</body></html>\n";

pub(super) fn answer(name: &str, page: &mut String) -> Reply {
    page.push_str(match name {
        "a.html" => A,
        "b.html" => B,
        "c.html" => C,
        _ => return Reply::status(page, 404),
    });
    Reply::page(HTML)
}

/// A page that is there, but not for crawlers.
pub(super) fn private(page: &mut String) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html><body><p>Crawlers that obey robots.txt never see this.</p>");
    page.push_str("<a href=\"/private/more.html\">more</a></body></html>\n");
    Reply::page(HTML)
}
