//! The table of all settings: every name, its Scrapy aliases, its meaning and where its value goes.
//!
//! Invariant: a name or alias occurs once. Bounds of single values (at least one, at most 100) are kept here.

use super::raw::Raw;
use super::{LogLevel, Order, Profile, Settings};

/// One setting: its name, Scrapy's names for it, a line of help, and how it is taken over.
pub(super) struct Entry {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub help: &'static str,
    /// `scrapy`: the value came under one of Scrapy's names and is in its units.
    pub set: fn(&mut Settings, &Raw<'_>, bool) -> Result<(), &'static str>,
}

macro_rules! entry {
    ($name:literal, [$($alias:literal),*], $help:literal, $set:expr) => {
        Entry { name: $name, aliases: &[$($alias),*], help: $help, set: $set }
    };
}

/// Zero means "no limit" under Scrapy's names and ours alike.
fn limit(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

/// Every setting there is.
pub(super) static TABLE: &[Entry] = &[
    entry!("user_agent", ["USER_AGENT"], "sent as User-Agent; with a contact outside loopback", |s, v, _| {
        s.user_agent = Some(v.header()?);
        Ok(())
    }),
    entry!("concurrency", ["CONCURRENT_REQUESTS"], "requests under way, all domains together", |s, v, _| {
        s.concurrency = v.within(1, 100_000, "a whole number from 1 to 100000")? as usize;
        Ok(())
    }),
    entry!(
        "concurrency_per_domain",
        ["CONCURRENT_REQUESTS_PER_DOMAIN"],
        "requests under way at one domain",
        |s, v, _| {
            s.concurrency_per_domain = v.within(1, 100_000, "a whole number from 1 to 100000")? as u32;
            Ok(())
        }
    ),
    entry!("robots", ["ROBOTSTXT_OBEY"], "ask and keep robots.txt", |s, v, _| {
        s.robots = v.truth()?;
        Ok(())
    }),
    entry!(
        "follow",
        [],
        "follow links on pages; false: only the start URLs, or what dead-letters replay lets enter",
        |s, v, _| {
            s.follow = v.truth()?;
            Ok(())
        }
    ),
    entry!("order", [], "lifo (depth first) or fifo (breadth first)", |s, v, _| {
        s.order = match v.text()?.as_str() {
            "lifo" => Order::Lifo,
            "fifo" => Order::Fifo,
            _ => return Err("\"lifo\" or \"fifo\""),
        };
        Ok(())
    }),
    entry!("depth_priority", ["DEPTH_PRIORITY"], "1: breadth first, as Scrapy's recipe has it", |s, v, _| {
        s.order = if v.integer()? > 0 { Order::Fifo } else { Order::Lifo };
        Ok(())
    }),
    entry!("depth_max", ["DEPTH_LIMIT"], "links followed from a start page, at most (0: no limit)", |s, v, _| {
        s.depth_max = limit(v.within(0, 65_535, "a whole number from 0 to 65535")?).map(|depth| depth as u16);
        Ok(())
    }),
    entry!("pages_per_domain_max", [], "pages of one domain, at most (0: no limit)", |s, v, _| {
        s.pages_per_domain_max = limit(v.integer()?);
        Ok(())
    }),
    entry!("profile", [], "default law: standard (60 a minute) or broad (10 a minute)", |s, v, _| {
        s.profile = match v.text()?.as_str() {
            "standard" | "default" => Profile::Default,
            "broad" => Profile::Broad,
            _ => return Err("\"standard\" or \"broad\""),
        };
        Ok(())
    }),
    entry!("retry.enabled", ["RETRY_ENABLED"], "try failures again", |s, v, _| {
        s.retry_enabled = v.truth()?;
        Ok(())
    }),
    entry!("retry.times", ["RETRY_TIMES"], "how often a request is tried again", |s, v, _| {
        s.retry_times = v.within(0, 100, "a whole number from 0 to 100")? as u8;
        Ok(())
    }),
    entry!("redirect.enabled", ["REDIRECT_ENABLED"], "follow redirects", |s, v, _| {
        s.redirect_enabled = v.truth()?;
        Ok(())
    }),
    entry!("redirect.max", ["REDIRECT_MAX_TIMES"], "redirects in a chain, at most", |s, v, _| {
        s.redirect_max = v.within(0, 100, "a whole number from 0 to 100")? as u8;
        Ok(())
    }),
    entry!("stop.items", ["CLOSESPIDER_ITEMCOUNT"], "stop after this many items (0: never)", |s, v, _| {
        s.stop_items = limit(v.integer()?);
        Ok(())
    }),
    entry!("stop.pages", ["CLOSESPIDER_PAGECOUNT"], "stop after this many answers (0: never)", |s, v, _| {
        s.stop_pages = limit(v.integer()?);
        Ok(())
    }),
    entry!("stop.errors", ["CLOSESPIDER_ERRORCOUNT"], "stop after this many errors (0: never)", |s, v, _| {
        s.stop_errors = limit(v.integer()?);
        Ok(())
    }),
    entry!("budget", [], "of a deployment: stop when the job has cost so many dollars (0: never)", |s, v, _| {
        s.budget_micros = limit(v.dollars()?);
        Ok(())
    }),
    entry!("stop.seconds", ["CLOSESPIDER_TIMEOUT"], "stop after this long, such as \"90s\"", |s, v, scrapy| {
        let duration = v.duration(scrapy)?;
        s.stop_seconds = (!duration.is_zero()).then_some(duration);
        Ok(())
    }),
    entry!("fetch.timeout", ["DOWNLOAD_TIMEOUT"], "the whole of a request", |s, v, scrapy| {
        s.fetch_timeout = v.duration(scrapy)?;
        Ok(())
    }),
    entry!("fetch.connect_timeout", [], "connecting, TLS included", |s, v, scrapy| {
        s.fetch_connect_timeout = v.duration(scrapy)?;
        Ok(())
    }),
    entry!("fetch.headers_timeout", [], "until the end of the answer's headers", |s, v, scrapy| {
        s.fetch_headers_timeout = v.duration(scrapy)?;
        Ok(())
    }),
    entry!("fetch.body_bytes_max", ["DOWNLOAD_MAXSIZE"], "body, decoded", |s, v, _| {
        s.fetch_body_bytes_max = v.bytes()?;
        s.fetch_wire_bytes_max = s.fetch_wire_bytes_max.max(s.fetch_body_bytes_max);
        Ok(())
    }),
    entry!("fetch.wire_bytes_max", [], "body on the wire", |s, v, _| {
        s.fetch_wire_bytes_max = v.bytes()?;
        Ok(())
    }),
    entry!("fetch.memory_bytes_max", [], "large bodies in memory, all requests together", |s, v, _| {
        s.fetch_memory_bytes_max = v.bytes_from(1 << 20, "a number of bytes, at least 1MiB")?;
        Ok(())
    }),
    entry!("fetch.threads", [], "threads that fetch and parse", |s, v, _| {
        s.fetch_threads = Some(v.within(1, 256, "a whole number from 1 to 256")? as usize);
        Ok(())
    }),
    entry!(
        "dead_letters.bytes_max",
        [],
        "dead letters that are kept, in bytes; what is beyond is counted",
        |s, v, _| {
            s.dead_letters_bytes_max = v.bytes()?;
            Ok(())
        }
    ),
    entry!("outbox_bytes_max", [], "items that may wait for sinks, in bytes", |s, v, _| {
        s.outbox_bytes_max = v.bytes_from(1 << 20, "a number of bytes, at least 1MiB")?;
        Ok(())
    }),
    entry!("compute.waiting_max", [], "items that may wait for computations before fetching pauses", |s, v, _| {
        s.compute_waiting_max = v.within(1, 10_000_000, "a whole number from 1 to 10000000")? as usize;
        Ok(())
    }),
    entry!("sink_batch_items", ["CONCURRENT_ITEMS"], "items in one write to a sink, at most", |s, v, _| {
        s.sink_batch_items = v.within(1, 100_000, "a whole number from 1 to 100000")? as usize;
        Ok(())
    }),
    entry!("delist", [], "mark listings as gone that a complete crawl has not seen", |s, v, _| {
        s.delist = v.truth()?;
        Ok(())
    }),
    entry!("journal.snapshot_bytes", [], "journal bytes after which a snapshot is taken", |s, v, _| {
        s.journal_snapshot_bytes = v.bytes_from(4096, "a number of bytes, at least 4KiB")?;
        Ok(())
    }),
    entry!("journal.group_time", [], "age at which a group of the journal is synced", |s, v, scrapy| {
        s.journal_group_time = v.duration(scrapy)?;
        Ok(())
    }),
    entry!(
        "feed.part_rows",
        ["FEED_EXPORT_BATCH_ITEM_COUNT"],
        "rows of a feed's part, for feeds with %(batch_id)d in their name (0: no limit)",
        |s, v, _| {
            s.feed.part_rows = limit(v.integer()?);
            Ok(())
        }
    ),
    entry!("feed.part_bytes", [], "bytes of a feed's part before compression (0: no limit)", |s, v, _| {
        s.feed.part_bytes = limit(v.bytes()?);
        Ok(())
    }),
    entry!("feed.part_time", [], "time from the first to the last fetch of a feed's part", |s, v, _| {
        s.feed.part_time = Some(v.long_duration()?).filter(|time| !time.is_zero());
        Ok(())
    }),
    entry!("geocode.gazetteer", [], "CSV file of known places: name, lat, lon", |s, v, _| {
        s.geocode.gazetteer = Some(v.text()?.into());
        Ok(())
    }),
    entry!("geocode.cache", [], "cache of geocodes: a redis:// URL, or embedded (the state)", |s, v, _| {
        s.geocode.cache = match v.text()? {
            text if text == "embedded" => None,
            text if text.starts_with("redis://") || text.starts_with("rediss://") => Some(text),
            _ => return Err("a redis:// or rediss:// URL, or \"embedded\""),
        };
        Ok(())
    }),
    entry!("geocode.wait_max", [], "how long an item waits for its location", |s, v, _| {
        s.geocode.wait_max = v.long_duration()?;
        Ok(())
    }),
    entry!("geocode.memory_bytes_max", [], "remembered addresses, in bytes", |s, v, _| {
        s.geocode.memory_bytes_max = v.bytes_from(1 << 20, "a number of bytes, at least 1MiB")? as usize;
        Ok(())
    }),
    entry!("geocode.waiters_max", [], "items that wait for a location at once", |s, v, _| {
        s.geocode.waiters_max = v.within(64, 10_000_000, "a whole number from 64 to 10000000")? as usize;
        Ok(())
    }),
    entry!("geocode.negative_keep", [], "how long an unknown address is not asked again", |s, v, _| {
        s.geocode.negative_keep = v.long_duration()?;
        Ok(())
    }),
    entry!("geocode.failed_keep", [], "how long an address is not asked again when its providers failed", |s, v, _| {
        s.geocode.failed_keep = v.long_duration()?;
        Ok(())
    }),
    entry!("geocode.attempts_max", [], "calls for one address at one provider", |s, v, _| {
        s.geocode.attempts_max = v.within(1, 100, "a whole number from 1 to 100")? as u32;
        Ok(())
    }),
    entry!("geocode.backoff", [], "pause after a provider's failure, doubled with each further one", |s, v, _| {
        s.geocode.backoff = v.long_duration()?;
        Ok(())
    }),
    entry!("log_level", ["LOG_LEVEL"], "error, warn, info or debug", |s, v, _| {
        s.log_level = match v.text()?.to_lowercase().as_str() {
            "error" | "critical" => LogLevel::Error,
            "warn" | "warning" => LogLevel::Warn,
            "info" => LogLevel::Info,
            "debug" => LogLevel::Debug,
            _ => return Err("error, warn, info or debug"),
        };
        Ok(())
    }),
];

/// What to say of a name that is none: the nearest one.
pub(super) fn unknown(name: &str) -> String {
    let names = TABLE.iter().flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()));
    let nearest = names.max_by(|a, b| {
        let near = |candidate: &str| strsim::jaro_winkler(name, candidate);
        near(a).total_cmp(&near(b))
    });
    match nearest {
        Some(nearest) if strsim::jaro_winkler(name, nearest) > 0.75 => {
            format!("there is no setting {name:?}; did you mean {nearest:?}?")
        }
        _ => format!("there is no setting {name:?}; `weir crawl --help-settings` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn names_and_aliases_occur_once() {
        let mut seen = std::collections::BTreeSet::new();
        for name in TABLE.iter().flat_map(|entry| std::iter::once(&entry.name).chain(entry.aliases)) {
            assert!(seen.insert(*name), "{name} occurs twice");
        }
    }
}
