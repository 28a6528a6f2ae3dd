//! Settings: typed, lower-case, with units; default < `weir.toml` < the spider's `[settings]` < the command line.
//!
//! One table (`table`) says every name, its Scrapy alias and its meaning. Unknown names and wrong types are refused with the nearest
//! right one; nothing is silently ignored.

mod geocode;
mod raw;
mod table;

pub use geocode::{GeocodeSettings, ProviderSettings};
use raw::Raw;
use std::fmt::Write as _;
use std::time::Duration;
use table::{TABLE, unknown};

/// All settings of a crawl.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Sent as `User-Agent`; its product token is the robots agent. Required outside loopback, with a contact.
    pub user_agent: Option<String>,
    /// Requests under way, all domains together.
    pub concurrency: usize,
    /// Requests under way at one domain.
    pub concurrency_per_domain: u32,
    /// Whether robots.txt is asked and kept.
    pub robots: bool,
    /// Whether links on pages are followed.
    pub follow: bool,
    /// `lifo` (depth first) or `fifo` (breadth first).
    pub order: Order,
    /// Links followed from a start page, at most.
    pub depth_max: Option<u16>,
    /// Pages of one domain, at most.
    pub pages_per_domain_max: Option<u64>,
    /// Default law: `default` (60 a minute) or `broad` (10 a minute).
    pub profile: Profile,
    /// Whether failures are tried again.
    pub retry_enabled: bool,
    /// How often a request is tried again.
    pub retry_times: u8,
    /// Whether redirects are followed.
    pub redirect_enabled: bool,
    /// Redirects in a chain, at most.
    pub redirect_max: u8,
    /// Stop after this many items.
    pub stop_items: Option<u64>,
    /// Stop after this many answers.
    pub stop_pages: Option<u64>,
    /// Stop after this many errors.
    pub stop_errors: Option<u64>,
    /// Of a deployment: stop when the job has cost so many millionths of a dollar.
    pub budget_micros: Option<u64>,
    /// Stop after this long.
    pub stop_seconds: Option<Duration>,
    /// The whole of a request, from connecting to the last byte.
    pub fetch_timeout: Duration,
    /// Connecting, TLS included.
    pub fetch_connect_timeout: Duration,
    /// From the request's last byte to the end of the answer's headers.
    pub fetch_headers_timeout: Duration,
    /// Body, decoded.
    pub fetch_body_bytes_max: u64,
    /// Body on the wire.
    pub fetch_wire_bytes_max: u64,
    /// Bytes of large bodies in memory, all requests together.
    pub fetch_memory_bytes_max: u64,
    /// Bytes of items that may wait for sinks.
    pub outbox_bytes_max: u64,
    /// Items that may wait for computations.
    pub compute_waiting_max: usize,
    /// Dead letters that are kept, in bytes.
    pub dead_letters_bytes_max: u64,
    /// Items in one write to a sink.
    pub sink_batch_items: usize,
    /// Whether a complete crawl marks what it has not seen as gone.
    pub delist: bool,
    /// Bytes of the journal after which a snapshot is taken, at least.
    pub journal_snapshot_bytes: u64,
    /// A group of the journal closes at this age: longer saves syncs, shorter lets go of paced releases and items sooner.
    pub journal_group_time: Duration,
    /// When a feed in parts begins the next one.
    pub feed: FeedSettings,
    /// Threads that fetch and parse.
    pub fetch_threads: Option<usize>,
    /// How addresses become locations.
    pub geocode: GeocodeSettings,
    /// Log level.
    pub log_level: LogLevel,
}

/// When a feed in parts begins the next one: with the item that reaches a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedSettings {
    /// Rows of a part.
    pub part_rows: Option<u64>,
    /// Bytes of a part, before compression.
    pub part_bytes: Option<u64>,
    /// Time between the fetches of a part's first and last item.
    pub part_time: Option<Duration>,
}

/// Order of a domain's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    Lifo,
    /// Oldest first.
    Fifo,
}

/// The default law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// 60 hits in 60 s, moderated.
    Default,
    /// 10 hits in 60 s, moderated.
    Broad,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only errors.
    Error,
    /// And warnings.
    Warn,
    /// And what a person following along wants to know.
    Info,
    /// And a line a page.
    Debug,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            user_agent: None,
            concurrency: 100,
            concurrency_per_domain: 100,
            robots: true,
            follow: true,
            order: Order::Lifo,
            depth_max: None,
            pages_per_domain_max: None,
            profile: Profile::Default,
            retry_enabled: true,
            retry_times: 2,
            redirect_enabled: true,
            redirect_max: 5,
            stop_items: None,
            stop_pages: None,
            stop_errors: None,
            budget_micros: None,
            stop_seconds: None,
            fetch_timeout: Duration::from_secs(180),
            fetch_connect_timeout: Duration::from_secs(10),
            fetch_headers_timeout: Duration::from_secs(60),
            fetch_body_bytes_max: 10 << 20,
            fetch_wire_bytes_max: 10 << 20,
            fetch_memory_bytes_max: 64 << 20,
            outbox_bytes_max: 64 << 20,
            compute_waiting_max: 10_000,
            dead_letters_bytes_max: 64 << 20,
            sink_batch_items: 1_000,
            delist: true,
            journal_snapshot_bytes: 128 << 20,
            journal_group_time: Duration::from_millis(20),
            feed: FeedSettings::default(),
            fetch_threads: None,
            geocode: GeocodeSettings::default(),
            log_level: LogLevel::Info,
        }
    }
}

/// A setting that is unknown or has the wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SettingError {
    /// File and key, or the option.
    pub place: String,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

impl Settings {
    /// Sets one setting as typed: `name=value`, ours or Scrapy's name.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingError> {
        let place = format!("-s {assignment}");
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(SettingError { place, message: "expected NAME=VALUE, for example -s stop.items=100".into() });
        };
        self.apply(name.trim(), &Raw::Text(value.trim()), &place)
    }

    /// Applies a table of settings: `weir.toml`, or a spider's `[settings]`. Dotted names may be nested tables.
    pub fn apply_table(&mut self, table: &toml::Table, place: &str) -> Result<(), SettingError> {
        self.apply_nested(table, "", place)
    }

    fn apply_nested(&mut self, table: &toml::Table, prefix: &str, place: &str) -> Result<(), SettingError> {
        for (key, value) in table {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => self.apply_nested(inner, &name, place)?,
                value => self.apply(&name, &Raw::Toml(value), &format!("{place}: {name}"))?,
            }
        }
        Ok(())
    }

    fn apply(&mut self, name: &str, value: &Raw<'_>, place: &str) -> Result<(), SettingError> {
        if let Some(provider) = name.strip_prefix("geocode.providers.") {
            let set = self.geocode.set_provider(provider, value);
            return set.map_err(|message| SettingError { place: place.into(), message });
        }
        let found = TABLE.iter().find(|entry| entry.name == name || entry.aliases.contains(&name));
        let Some(entry) = found else {
            return Err(SettingError { place: place.into(), message: unknown(name) });
        };
        (entry.set)(self, value, entry.name != name).map_err(|expected| SettingError {
            place: place.into(),
            message: format!("{} is {}, expected {expected}", entry.name, value.shown()),
        })
    }

    /// A line a setting: name, alias, meaning.
    #[must_use]
    pub fn help() -> String {
        let mut out = String::new();
        for entry in TABLE {
            let aliases = entry.aliases.join(", ");
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "  {:<26} {}{}",
                entry.name,
                entry.help,
                if aliases.is_empty() { String::new() } else { format!(" [{aliases}]") }
            );
        }
        let _ = writeln!(
            out,
            "  {:<26} whom to ask for locations, in this order: {}",
            "geocode.providers.NAME.KEY",
            geocode::PROVIDER_KEYS
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_spider_over_the_file_over_the_default() {
        let file: toml::Table = "concurrency = 5\nuser_agent = \"file\"\n[stop]\nitems = 7".parse().expect("toml");
        let spider: toml::Table = "user_agent = \"spider\"\n\"retry.times\" = 9".parse().expect("toml");
        let mut settings = Settings::default();
        settings.apply_table(&file, "weir.toml").expect("file");
        settings.apply_table(&spider, "spider.toml").expect("spider");
        settings.set("USER_AGENT=line").expect("command line");
        assert_eq!(settings.user_agent.as_deref(), Some("line"));
        assert_eq!((settings.concurrency, settings.retry_times, settings.stop_items), (5, 9, Some(7)));
        assert_eq!(settings.fetch_timeout, Duration::from_secs(180), "untouched: the default");
    }

    #[test]
    fn scrapys_names_are_aliases_with_scrapys_units() {
        let mut settings = Settings::default();
        for text in [
            "CLOSESPIDER_TIMEOUT=90",
            "DOWNLOAD_TIMEOUT=15",
            "DEPTH_LIMIT=0",
            "LOG_LEVEL=WARNING",
            "RETRY_ENABLED=False",
        ] {
            settings.set(text).expect(text);
        }
        assert_eq!(settings.stop_seconds, Some(Duration::from_secs(90)));
        assert_eq!(settings.fetch_timeout, Duration::from_secs(15));
        assert_eq!((settings.depth_max, settings.log_level, settings.retry_enabled), (None, LogLevel::Warn, false));
    }

    #[test]
    fn a_value_out_of_bounds_is_refused_with_the_bounds_never_bent() {
        let mut settings = Settings::default();
        for (text, bounds) in [
            ("concurrency=0", "from 1 to 100000"),
            ("RETRY_TIMES=300", "from 0 to 100"),
            ("depth_max=70000", "from 0 to 65535"),
            ("outbox_bytes_max=10", "at least 1MiB"),
        ] {
            let error = settings.set(text).expect_err(text).to_string();
            assert!(error.contains(bounds), "{error}");
        }
        assert_eq!((settings.concurrency, settings.retry_times), (Settings::default().concurrency, 2));
    }

    #[test]
    fn a_misspelt_setting_names_the_nearest_and_a_duration_wants_its_unit() {
        let mut settings = Settings::default();
        let error = settings.set("concurency=5").expect_err("misspelt");
        assert!(error.to_string().contains("did you mean \"concurrency\""), "{error}");
        let error = settings.set("fetch.timeout=15").expect_err("no unit");
        assert!(error.to_string().contains("with its unit"), "{error}");
        let error = settings.set("concurrency=many").expect_err("no number");
        assert!(error.to_string().contains("whole number"), "{error}");
    }
}
