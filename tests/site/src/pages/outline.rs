//! What tells a crawler about the site: the home page, robots.txt, the sitemap. Host names turn robots.txt:
//! `robots-none.localhost` forbids all, `robots-delay-2.localhost` asks for two seconds between requests,
//! `robots-503.localhost` answers with that status, `robots-moved.localhost` redirects.

use super::Visit;
use super::listing::index_name;
use crate::portal::{listing_page_name, push_number};
use crate::reply::{HTML, PLAIN, Reply, XML};
use std::io::Write;

/// URLs in one part of the sitemap.
const PART: usize = 10_000;

pub(super) fn home(visit: &Visit<'_>, page: &mut String) -> Reply {
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>The practice site</title></head>\n<body>\n<h1>The practice site</h1>\n<ul>\n");
    page.push_str("  <li><a href=\"properties/");
    index_name(page, 0);
    page.push_str("\">properties</a>, ");
    push_number(page, visit.portal.listings() as u64, 1);
    page.push_str(" listings on ");
    push_number(page, visit.portal.pages() as u64, 1);
    page.push_str(" pages; <a href=\"large/properties/");
    index_name(page, 0);
    page.push_str("\">the same with large pages</a></li>\n");
    for (href, what) in [
        ("properties/api.json", "the JSON API"),
        ("static/a.html", "three layouts"),
        ("dynamic", "log-in"),
        ("dynamic/nonce", "log-in with a hidden one-time field"),
        ("benchmark/index?p=1", "the benchmark"),
        ("sitemap.xml", "sitemap"),
        ("robots.txt", "robots.txt"),
        ("hostile/", "hostile pages"),
    ] {
        page.push_str("  <li><a href=\"");
        page.push_str(href);
        page.push_str("\">");
        page.push_str(what);
        page.push_str("</a></li>\n");
    }
    page.push_str("</ul>\n</body></html>\n");
    Reply::page(HTML)
}

pub(super) fn robots(visit: &Visit<'_>, page: &mut String) -> Reply {
    let label = visit.request.host.split('.').next().unwrap_or("").strip_prefix("robots-");
    if let Some(status) = label.and_then(|label| label.parse::<u16>().ok()).filter(|status| (200..600).contains(status))
    {
        return Reply::status(page, status);
    }
    if label == Some("moved") && visit.prefix.is_empty() {
        return Reply::redirect(page, 301, "/large/robots.txt");
    }
    page.push_str("User-agent: *\n");
    match label {
        Some("none") => page.push_str("Disallow: /\n"),
        other => {
            page.push_str("Disallow: /private/\nAllow: /\n");
            if let Some(seconds) = other.and_then(|label| label.strip_prefix("delay-")) {
                page.push_str("Crawl-delay: ");
                page.push_str(seconds);
                page.push('\n');
            }
        }
    }
    page.push_str("\nSitemap: ");
    origin(visit, page);
    page.push_str("/sitemap.xml\n");
    Reply::page(PLAIN)
}

/// `/sitemap.xml` lists the parts; `/sitemap-N.xml` and `/sitemap-N.xml.gz` list listings.
pub(super) fn sitemap(visit: &Visit<'_>, name: &str, page: &mut String) -> Reply {
    let parts = visit.portal.listings().div_ceil(PART);
    page.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    if name == "sitemap.xml" {
        page.push_str("<sitemapindex xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n");
        for part in 0..parts {
            page.push_str("  <sitemap><loc>");
            origin(visit, page);
            page.push_str("/sitemap-");
            push_number(page, part as u64, 1);
            page.push_str(".xml</loc></sitemap>\n");
        }
        page.push_str("</sitemapindex>\n");
        return Reply::page(XML);
    }
    let middle = name.strip_prefix("sitemap-").and_then(|rest| {
        rest.strip_suffix(".xml")
            .map(|digits| (digits, false))
            .or(rest.strip_suffix(".xml.gz").map(|digits| (digits, true)))
    });
    let part = middle.and_then(|(digits, packed)| Some((digits.parse::<usize>().ok()?, packed)));
    let Some((part, packed)) = part.filter(|(part, _)| *part < parts) else { return Reply::status(page, 404) };
    page.push_str("<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n");
    for number in part * PART..((part + 1) * PART).min(visit.portal.listings()) {
        let Some(facts) = visit.portal.facts(number, visit.knobs.day) else { continue };
        page.push_str("  <url><loc>");
        origin(visit, page);
        page.push_str("/properties/");
        listing_page_name(page, number);
        page.push_str("</loc><lastmod>");
        page.push_str(&facts.modified().to_string());
        page.push_str("</lastmod></url>\n");
    }
    page.push_str("</urlset>\n");
    if !packed {
        return Reply::page(XML);
    }
    Reply::bytes("application/gzip", gzip(page.as_bytes()))
}

/// Scheme, host and knobs: what a spider's `base` is.
fn origin(visit: &Visit<'_>, page: &mut String) {
    page.push_str("http://");
    page.push_str(visit.request.host);
    page.push_str(visit.prefix);
}

/// Bytes, compressed as fast as it goes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 3), flate2::Compression::fast());
    encoder.write_all(bytes).expect("a Vec takes every byte");
    encoder.finish().expect("a Vec takes every byte")
}
