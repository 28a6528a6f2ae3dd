//! Scrapy's settings that are none here: what to use instead, or that there is nothing in this version.
//!
//! `docs/coming-from-scrapy.md` has the same names in its table of settings; a test compares them.

/// A name of Scrapy's, or the beginning of several when it ends in `*`, with what to do. The first that fits counts.
const INSTEAD: &[(&str, &str)] = &[
    (
        "DOWNLOAD_DELAY",
        "a domain's pace is its law: --policy FILE with [default] hits = 1, window = \"2s\" is a delay of 2 seconds; without one a domain gets 60 requests a minute (docs/throttling.md)",
    ),
    (
        "RANDOMIZE_DOWNLOAD_DELAY",
        "a domain's pace is its law: --policy FILE, evenly spaced or with moderated = false in bursts (docs/throttling.md)",
    ),
    (
        "AUTOTHROTTLE_*",
        "nothing adapts a domain's pace in this version; it is its law: --policy FILE, and weir throttle set while a crawl runs (docs/throttling.md)",
    ),
    ("CONCURRENT_REQUESTS_PER_IP", "requests are counted by domain: concurrency_per_domain"),
    ("COOKIES_*", "cookies are not in this version: none is kept, none is sent"),
    ("HTTPCACHE_*", "a cache of pages is not in this version"),
    ("JOBDIR", "a crawl always keeps its state: weir crawl --state DIR, and the same command goes on where it stopped"),
    ("FEED_EXPORT_FIELDS", "a feed's columns are the fields of [item.NAME.fields], in the order of the spider file"),
    ("FEED_EXPORT_ENCODING", "feeds are UTF-8"),
    ("FEEDS", "name feeds with -o FILE.jsonl (json, csv, xml, parquet), once for each (docs/sinks.md)"),
    (
        "FEED_*",
        "feeds are described by their -o, parts by feed.part_rows, feed.part_bytes, feed.part_time (docs/sinks.md)",
    ),
    (
        "ITEM_PIPELINES",
        "clean values with map in their fields, drop and change items with [[hook]], compute fields with programs, store items with -o (docs/spider-file.md)",
    ),
    (
        "SPIDER_MIDDLEWARES*",
        "drop and change requests and items with [[hook]] in the spider file (docs/spider-file.md)",
    ),
    ("DOWNLOADER_MIDDLEWARES*", "headers stand in the spider file; other code around a request is not in this version"),
    ("EXTENSIONS*", "--events FILE tells everything that happens as lines of JSON (docs/events.md)"),
    (
        "RETRY_HTTP_CODES",
        "the statuses that are tried again are fixed: 408, 429, 500, 502, 503, 504, 522, 524; how often is retry.times",
    ),
    ("RETRY_*", "how often a request is tried again is retry.times; the rest is fixed"),
    ("REDIRECT_PRIORITY_ADJUST", "a redirect's target keeps the priority of its request"),
    ("METAREFRESH_*", "<meta http-equiv=refresh> is not followed in this version; a [[follow]] rule can take its URL"),
    ("DEFAULT_REQUEST_HEADERS", "headers stand in the spider file: start_headers, and headers of a [[follow]] rule"),
    ("HTTPPROXY_*", "proxies are not in this version"),
    ("IMAGES_*", "images are not downloaded in this version; their URLs are fields with map = [\"absolute_url\"]"),
    ("FILES_*", "files are not downloaded in this version; their URLs are fields with map = [\"absolute_url\"]"),
    ("HTTPERROR_*", "only answers with a status of 2xx are pages in this version; others are counted by their status"),
    ("BOT_NAME", "the spider's name is name in the spider file; towards sites it is user_agent"),
    ("ROBOTSTXT_USER_AGENT", "robots.txt is kept under the first word of user_agent"),
    (
        "SCHEDULER_*",
        "the order of requests is order = \"lifo\" or \"fifo\", with priority in rules; they wait in the state",
    ),
    ("DUPEFILTER_*", "a request is made once a job, whatever leads to it; the next job makes it again"),
    ("LOG_FILE", "the log goes to standard error: 2> FILE"),
    ("LOG_*", "how much is logged is log_level, or -L"),
    ("DNS_TIMEOUT", "fetch.connect_timeout is for resolving and connecting together"),
    ("DNSCACHE_*", "names are remembered for a minute, always"),
    ("CLOSESPIDER_*", "a crawl stops by stop.items, stop.pages, stop.errors, stop.seconds"),
    ("URLLENGTH_LIMIT", "a URL has at most 8192 bytes, always"),
    ("MEMUSAGE_*", "memory is bounded by fetch.memory_bytes_max and outbox_bytes_max"),
    ("TELNETCONSOLE_*", "the progress line shows queues and rates, --events FILE the rest"),
    ("PLAYWRIGHT_*", "a browser is not in this version"),
    ("SPLASH_*", "a browser is not in this version"),
];

/// What is here instead of a setting of Scrapy's.
pub(super) fn instead_of(name: &str) -> Option<&'static str> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    };
    INSTEAD.iter().find(|(pattern, _)| fits(pattern)).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_name_every_one_of_them_and_every_alias() {
        let docs = include_str!("../../../../docs/coming-from-scrapy.md");
        let aliases = super::super::table::TABLE.iter().flat_map(|entry| entry.aliases);
        for name in INSTEAD.iter().map(|(name, _)| name).chain(aliases) {
            assert!(docs.contains(&format!("`{name}`")), "docs/coming-from-scrapy.md has no {name}");
        }
    }
}
