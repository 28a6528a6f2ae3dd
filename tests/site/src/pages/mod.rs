//! Which page a path names. Every answer is decided here and below, without waiting and without a socket: a function of
//! the request, the time of its arrival, and the little state of `World` (sessions, counters).

mod benchmark;
mod chrome;
mod dynamic;
mod geocode;
mod hostile;
mod image;
mod json;
mod listing;
mod outline;
mod statics;

pub(crate) use hostile::Hostile;
pub(crate) use outline::gzip;

use crate::clock::UnixMicros;
use crate::knobs::Knobs;
use crate::options::SiteOptions;
use crate::portal::{PER_PAGE, Portal, push_number};
use crate::reply::{HTML, JSON, Reply};
use crate::request::Request;
use std::time::Duration;

/// What the pages need beside the request.
#[derive(Debug)]
pub(crate) struct World {
    portal: Portal,
    latency: Duration,
    gate: dynamic::Gate,
    geocoder: geocode::Geocoder,
    counters: hostile::Counters,
}

/// A request with its path taken apart.
pub(crate) struct Visit<'a> {
    pub request: &'a Request<'a>,
    pub arrived: UnixMicros,
    pub portal: Portal,
    pub knobs: Knobs,
    /// The knobs as they stand in the path.
    pub prefix: &'a str,
    /// The path behind them.
    pub path: &'a str,
    pub query: &'a str,
}

impl World {
    pub fn new(options: &SiteOptions) -> World {
        World {
            portal: options.portal(),
            latency: options.latency,
            gate: dynamic::Gate::new(options.seed, options.session_views_max),
            geocoder: geocode::Geocoder::new(options.geocode_per_second),
            counters: hostile::Counters::default(),
        }
    }

    /// Answers a request; the text of a page is left in `page`.
    pub fn answer(&self, request: &Request<'_>, arrived: UnixMicros, page: &mut String) -> Reply {
        page.clear();
        let (whole, query) = request.split();
        let (knobs, path) = Knobs::parse(whole);
        let prefix = &whole[..whole.len() - path.len()];
        let visit = Visit { request, arrived, portal: self.portal.for_host(request.host), knobs, prefix, path, query };
        let mut reply = self.route(&visit, page);
        reply.wait += self.latency + visit.knobs.latency;
        reply.gzip = visit.knobs.gzip && request.takes_gzip();
        reply
    }

    fn route(&self, visit: &Visit<'_>, page: &mut String) -> Reply {
        let (first, rest) = visit.path[1.min(visit.path.len())..].split_once('/').unwrap_or((&visit.path[1..], ""));
        if !matches!(visit.request.method, "GET" | "HEAD")
            && !matches!(first, "dynamic" | "echo" | "benchmark" | "hostile")
        {
            return Reply::status(page, 405).with("allow", "GET, HEAD");
        }
        match first {
            "properties" => properties(visit, rest, page),
            "images" => image::answer(rest, page),
            "" => outline::home(visit, page),
            "robots.txt" => outline::robots(visit, page),
            "dynamic" => self.gate.answer(visit, rest, page),
            "maps" => self.geocoder.answer(visit, rest, page),
            "benchmark" => benchmark::answer(visit, rest, page),
            "static" => statics::answer(rest, page),
            "hostile" => hostile::answer(&self.counters, visit, rest, page),
            "private" => statics::private(page),
            "echo" => json::echo(visit, page),
            name if name.starts_with("sitemap") => outline::sitemap(visit, name, page),
            _ => Reply::status(page, 404),
        }
    }
}

/// The portal: index pages, listings, the JSON API.
fn properties(visit: &Visit<'_>, name: &str, page: &mut String) -> Reply {
    if name == "api.json" {
        return api(visit, page);
    }
    let number = |prefix: &str, digits_min: usize| {
        let digits = name.strip_prefix(prefix)?.strip_suffix(".html")?;
        // Leading zeros beyond the width would give a page two addresses.
        let exact = digits.len() == digits_min || (digits.len() > digits_min && !digits.starts_with('0'));
        (exact && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse::<usize>().ok())?
    };
    if let Some(number) = number("property_", 6) {
        let facts = (number < visit.portal.listings()).then(|| visit.portal.facts(number, visit.knobs.day)).flatten();
        let Some(facts) = facts else { return Reply::status(page, 404) };
        listing::listing(page, visit.portal, &facts, &visit.knobs);
        let mut modified = String::with_capacity(32);
        facts.modified().push_http(&mut modified);
        return conditional(visit.request, page, Some(&modified));
    }
    match number("index_", 5) {
        Some(number) if listing::index(page, visit.portal, number, &visit.knobs) => {
            conditional(visit.request, page, None)
        }
        _ => Reply::status(page, 404),
    }
}

/// Thirty objects with `id` and `title`, the title as the site's database has it.
fn api(visit: &Visit<'_>, page: &mut String) -> Reply {
    page.push('[');
    let mut raw = String::new();
    for number in 0..PER_PAGE.min(visit.portal.listings()) {
        let Some(facts) = visit.portal.facts(number, visit.knobs.day) else { continue };
        page.push_str(if page.len() > 1 { ",\n{\"id\": " } else { "{\"id\": " });
        push_number(page, number as u64, 1);
        page.push_str(", \"title\": ");
        raw.clear();
        facts.push_raw_title(&mut raw);
        json::push_string(page, &raw);
        page.push('}');
    }
    page.push_str("]\n");
    Reply::page(JSON)
}

/// A page with its validators; 304 without it when the client holds it already (RFC 9110, 13.1). `If-Modified-Since` is
/// compared as text: clients send back what they were sent.
fn conditional(request: &Request<'_>, page: &mut String, modified: Option<&str>) -> Reply {
    let hash = xxhash_rust::xxh3::xxh3_64(page.as_bytes());
    let tag = tag_of(hash);
    let tag = std::str::from_utf8(&tag).expect("hexadecimal digits and quotes");
    let unchanged = match request.header("if-none-match") {
        Some(list) => {
            list.split(',').any(|one| matches!(one.trim().trim_start_matches("W/"), t if t == tag || t == "*"))
        }
        None => modified.is_some() && request.header("if-modified-since") == modified,
    };
    let mut reply = Reply::page(HTML);
    reply.headers.reserve(96);
    reply = reply.with("etag", tag);
    if let Some(modified) = modified {
        reply = reply.with("last-modified", modified);
    }
    if unchanged {
        page.clear();
        reply.status = 304;
    }
    reply
}

fn tag_of(hash: u64) -> [u8; 18] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut tag = [b'"'; 18];
    for (at, digit) in tag[1..17].iter_mut().enumerate() {
        *digit = DIGITS[(hash >> (60 - 4 * at)) as usize & 15];
    }
    tag
}
