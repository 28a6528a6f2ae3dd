//! The table of all settings: every name, its Scrapy aliases, its type with its bounds, its meaning and the field it lies in.
//!
//! What is read, refused, shown as a default and listed by `--help-settings` comes from here alone. Invariant: a name or alias
//! occurs once.

use super::kind::{BODY_BYTES_MAX, HOUR, Kind};
use super::slot::Slot;
use super::{Settings, elsewhere};
use std::time::Duration;

/// One setting.
pub(super) struct Entry {
    pub name: &'static str,
    /// Scrapy's names for it.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    /// A line of help.
    pub help: &'static str,
    /// What holds when nothing was chosen, where that has no value of its own.
    pub unset: &'static str,
    pub slot: fn(&Settings) -> &dyn Slot,
    pub slot_mut: fn(&mut Settings) -> &mut dyn Slot,
}

macro_rules! entry {
    ($name:literal, [$($alias:literal),*], $kind:expr, $($field:ident).+, $help:literal $(, unset $unset:literal)?) => {
        Entry {
            name: $name,
            aliases: &[$($alias),*],
            kind: $kind,
            help: $help,
            unset: concat!($($unset)?),
            slot: |settings| &settings.$($field).+,
            slot_mut: |settings| &mut settings.$($field).+,
        }
    };
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

const fn bytes_from(min: u64) -> Kind {
    Kind::Bytes { min, max: u64::MAX }
}

/// Of a request: none has all the time there is, and none has none.
const PATIENCE: Kind = Kind::Time { min: Duration::from_millis(1), max: HOUR };
/// Every body has a limit (DESIGN.md, section 9).
const BODY: Kind = Kind::Bytes { min: 1, max: BODY_BYTES_MAX };
/// What waits for a group is let go when the group closes: a second is a thousand times what a sync takes.
const GROUP: Kind = Kind::Time { min: Duration::ZERO, max: Duration::from_secs(1) };
const ORDER: Kind = Kind::OneOf(&[&["lifo"], &["fifo"]]);
const PROFILE: Kind = Kind::OneOf(&[&["standard", "default"], &["broad"]]);
const LEVEL: Kind = Kind::OneOf(&[&["error", "critical"], &["warn", "warning"], &["info"], &["debug"]]);

/// Every setting there is.
#[rustfmt::skip]
pub(super) static TABLE: &[Entry] = &[
    entry!("user_agent", ["USER_AGENT"], Kind::Header, user_agent,
        "sent as User-Agent; needed with a contact outside loopback", unset "weir/VERSION"),
    entry!("concurrency", ["CONCURRENT_REQUESTS"], count(1, 100_000), concurrency,
        "requests under way, all domains together"),
    entry!("concurrency_per_domain", ["CONCURRENT_REQUESTS_PER_DOMAIN"], count(1, 100_000), concurrency_per_domain,
        "requests under way at one domain"),
    entry!("robots", ["ROBOTSTXT_OBEY"], Kind::Truth, robots, "ask and keep robots.txt"),
    entry!("follow", [], Kind::Truth, follow,
        "follow links on pages; false: only the start URLs, or what dead-letters replay lets enter"),
    entry!("order", [], ORDER, order, "lifo: depth first; fifo: breadth first"),
    entry!("depth_priority", ["DEPTH_PRIORITY"], Kind::COUNT, order, "1: breadth first, as Scrapy's recipe has it"),
    entry!("depth_max", ["DEPTH_LIMIT"], count(0, 65_535), depth_max,
        "links followed from a start page, at most (0: no limit)"),
    entry!("pages_per_domain_max", [], Kind::COUNT, pages_per_domain_max,
        "pages of one domain, at most (0: no limit)"),
    entry!("profile", [], PROFILE, profile, "law without a policy file: standard (60 a minute) or broad (10 a minute)"),
    entry!("retry.enabled", ["RETRY_ENABLED"], Kind::Truth, retry_enabled, "try failures again"),
    entry!("retry.times", ["RETRY_TIMES"], count(0, 100), retry_times, "how often a request is tried again"),
    entry!("redirect.enabled", ["REDIRECT_ENABLED"], Kind::Truth, redirect_enabled,
        "follow redirects; they stay within allowed_domains"),
    entry!("redirect.max", ["REDIRECT_MAX_TIMES"], count(0, 100), redirect_max,
        "redirects in a chain, at most; Scrapy allows 20"),
    entry!("stop.items", ["CLOSESPIDER_ITEMCOUNT"], Kind::COUNT, stop_items, "stop after this many items (0: never)"),
    entry!("stop.pages", ["CLOSESPIDER_PAGECOUNT"], Kind::COUNT, stop_pages, "stop after this many answers (0: never)"),
    entry!("stop.errors", ["CLOSESPIDER_ERRORCOUNT"], Kind::COUNT, stop_errors,
        "stop after this many errors (0: never)"),
    entry!("budget", [], Kind::Dollars, budget_micros,
        "of a deployment: stop when the job has cost so many dollars (0: never)"),
    entry!("stop.seconds", ["CLOSESPIDER_TIMEOUT"], Kind::TIME, stop_seconds,
        "stop after this long, such as 90s (0s: never)"),
    entry!("fetch.timeout", ["DOWNLOAD_TIMEOUT"], PATIENCE, fetch_timeout,
        "the whole of a request; a deployment's function has at most 60s for one"),
    entry!("fetch.connect_timeout", [], PATIENCE, fetch_connect_timeout, "resolving and connecting, TLS included"),
    entry!("fetch.headers_timeout", [], PATIENCE, fetch_headers_timeout, "until the end of the answer's headers"),
    entry!("fetch.body_bytes_max", ["DOWNLOAD_MAXSIZE"], BODY, fetch_body_bytes_max,
        "body, decoded; raises fetch.wire_bytes_max with it. Larger ones are too_large"),
    entry!("fetch.wire_bytes_max", [], BODY, fetch_wire_bytes_max, "body on the wire"),
    entry!("fetch.memory_bytes_max", [], bytes_from(1 << 20), fetch_memory_bytes_max,
        "large bodies in memory, all requests together"),
    entry!("fetch.threads", [], count(1, 256), fetch_threads, "threads that fetch and parse", unset "one a core"),
    entry!("dead_letters.bytes_max", [], Kind::BYTES, dead_letters_bytes_max,
        "dead letters that are kept; what is beyond is counted"),
    entry!("outbox_bytes_max", [], bytes_from(1 << 20), outbox_bytes_max, "items that may wait for sinks"),
    entry!("compute.waiting_max", [], count(1, 10_000_000), compute_waiting_max,
        "items that may wait for computations before fetching pauses"),
    entry!("sink_batch_items", ["CONCURRENT_ITEMS"], count(1, 100_000), sink_batch_items,
        "items in one write to a sink, at most"),
    entry!("delist", [], Kind::Truth, delist, "mark listings as gone that a complete crawl has not seen"),
    entry!("journal.snapshot_bytes", [], bytes_from(4096), journal_snapshot_bytes,
        "journal after which a snapshot is taken"),
    entry!("journal.group_time", [], GROUP, journal_group_time, "age at which a group of the journal is synced"),
    entry!("feed.part_rows", ["FEED_EXPORT_BATCH_ITEM_COUNT"], Kind::COUNT, feed.part_rows,
        "rows of a feed's part, for feeds with %(batch_id)d in their name (0: no limit)"),
    entry!("feed.part_bytes", [], Kind::BYTES, feed.part_bytes, "a feed's part before compression (0: no limit)"),
    entry!("feed.part_time", [], Kind::TIME, feed.part_time,
        "time from the first to the last fetch of a feed's part (0s: no limit)"),
    entry!("geocode.gazetteer", [], Kind::Text, geocode.gazetteer, "CSV file of known places: name, lat, lon",
        unset "none"),
    entry!("geocode.cache", [], Kind::Cache, geocode.cache, "cache of geocodes; embedded: the state"),
    entry!("geocode.wait_max", [], Kind::TIME, geocode.wait_max, "how long an item waits for its location"),
    entry!("geocode.memory_bytes_max", [], bytes_from(1 << 20), geocode.memory_bytes_max, "remembered addresses"),
    entry!("geocode.waiters_max", [], count(64, 10_000_000), geocode.waiters_max,
        "items that wait for a location at once"),
    entry!("geocode.negative_keep", [], Kind::TIME, geocode.negative_keep,
        "how long an unknown address is not asked again"),
    entry!("geocode.failed_keep", [], Kind::TIME, geocode.failed_keep,
        "how long an address is not asked again when its providers failed"),
    entry!("geocode.attempts_max", [], count(1, 100), geocode.attempts_max, "calls for one address at one provider"),
    entry!("geocode.backoff", [], Kind::TIME, geocode.backoff,
        "pause after a provider's failure, doubled with each further one"),
    entry!("log_level", ["LOG_LEVEL"], LEVEL, log_level, "what is logged; debug: a line a page"),
];

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name || entry.aliases.contains(&name))
}

/// What to say of a name that is none: what it is called here, or the nearest one.
pub(super) fn unknown(name: &str) -> String {
    if let Some(inner) = name.strip_prefix("settings.").filter(|inner| find(inner).is_some()) {
        return format!("there is no setting {name:?}; weir.toml has no table [settings]: write {inner} at its top");
    }
    let near = |candidate: &str| strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase());
    let names = TABLE.iter().flat_map(|entry| std::iter::once(entry.name).chain(entry.aliases.iter().copied()));
    let nearest = names.max_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or_default();
    let meant = || format!("there is no setting {name:?}; did you mean {nearest:?}?");
    match elsewhere::instead_of(name) {
        // A letter is wrong: CLOSESPIDER_ITEMCUNT.
        _ if near(nearest) > 0.97 => meant(),
        Some(instead) => format!("there is no setting {name:?}; {instead}"),
        // Two of Scrapy's names with one ending are 0.85 alike.
        None if near(nearest) > 0.9 => meant(),
        None => format!("there is no setting {name:?}; `weir crawl --help-settings` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Raw;
    use crate::settings::kind::Value;

    #[test]
    fn names_and_aliases_occur_once() {
        let mut seen = std::collections::BTreeSet::new();
        for name in TABLE.iter().flat_map(|entry| std::iter::once(&entry.name).chain(entry.aliases)) {
            assert!(seen.insert(*name), "{name} occurs twice");
        }
    }

    #[test]
    fn every_default_that_is_shown_is_accepted_and_is_the_default() {
        for entry in TABLE {
            let default = entry.kind.shown(&(entry.slot)(&Settings::default()).get());
            assert_eq!(default.is_none(), !entry.unset.is_empty(), "{}: a default, or what is instead", entry.name);
            let Some(default) = default else { continue };
            for name in std::iter::once(&entry.name).chain(entry.aliases) {
                let mut settings = Settings::default();
                settings.set(&format!("{name}={default}")).expect("the default is a value");
                assert_eq!(settings, Settings::default(), "{name}={default}");
            }
        }
    }

    #[test]
    fn every_setting_takes_another_value_shows_it_and_fits_its_bounds() {
        let samples = ["false", "7", "100", "2MiB", "64KiB", "7s", "7ms", "fifo", "broad", "warn", "redis://h/0", "x"];
        for entry in TABLE {
            let default = (entry.slot)(&Settings::default()).get();
            let other = samples.iter().find_map(|sample| {
                let mut settings = Settings::default();
                settings.set(&format!("{}={sample}", entry.name)).ok()?;
                Some(settings).filter(|settings| (entry.slot)(settings).get() != default)
            });
            let changed = other.unwrap_or_else(|| panic!("{}: no sample is another value", entry.name));
            let shown = entry.kind.shown(&(entry.slot)(&changed).get()).expect("a value");
            // What it raises with it (a limit its outer limit) is raised again.
            let mut again = Settings::default();
            again.set(&format!("{}={shown}", entry.name)).expect("what is shown is a value");
            assert_eq!(again, changed, "{}={shown}", entry.name);
            if let Kind::Count { min, max } | Kind::Bytes { min, max } = entry.kind {
                for bound in [min, max] {
                    (entry.slot_mut)(&mut Settings::default()).put(Value::Number(bound));
                }
                if min > 0 {
                    assert!(entry.kind.read(&Raw::Text(&(min - 1).to_string()), false).is_err(), "{}", entry.name);
                }
            }
        }
    }

    #[test]
    fn a_name_of_scrapys_leads_to_what_is_here_and_never_to_another_meaning() {
        for (name, said) in [
            ("DOWNLOAD_DELAY", "--policy"),
            ("AUTOTHROTTLE_TARGET_CONCURRENCY", "--policy"),
            ("COOKIES_ENABLED", "not in this version"),
            ("FEED_EXPORT_FIELDS", "[item.NAME.fields]"),
            ("HTTPCACHE_ENABLED", "not in this version"),
            ("JOBDIR", "--state"),
            ("FEEDS", "-o "),
            ("ITEM_PIPELINES", "[[hook]]"),
            ("RETRY_HTTP_CODES", "408"),
            ("CLOSESPIDER_ITEMCUNT", "did you mean \"CLOSESPIDER_ITEMCOUNT\""),
            ("CLOSESPIDER_TIMEOUT_NO_ITEM", "stop.seconds"),
            ("CONCURRENT_REQUESTS_PER_IP", "by domain"),
            ("settings.concurrency", "write concurrency at its top"),
            ("download_timeuot", "did you mean \"DOWNLOAD_TIMEOUT\""),
            ("TOTALLY_DIFFERENT", "--help-settings"),
        ] {
            let told = unknown(name);
            assert!(told.contains(said), "{told}");
        }
    }
}
