//! Settings: typed, lower-case, with units; default < `weir.toml` < the spider's `[settings]` < the command line.
//!
//! One table (`table`) says every name, its Scrapy alias, its type and its meaning. Unknown names and wrong types are refused with the
//! nearest right one, all of a table at once; nothing is silently ignored.

mod elsewhere;
mod geocode;
mod kind;
mod raw;
mod slot;
mod table;

pub use geocode::{GeocodeSettings, ProviderSettings};
use raw::Raw;
use std::fmt::Write as _;
use std::time::Duration;
use table::{TABLE, find, unknown};

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

/// All mistakes of a table of settings, in its order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SettingErrors(pub Vec<SettingError>);

impl Settings {
    /// Sets one setting as typed: `name=value`, ours or Scrapy's name.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingError> {
        let place = format!("-s {assignment}");
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(SettingError { place, message: "expected NAME=VALUE, for example -s stop.items=100".into() });
        };
        self.apply(name.trim(), &Raw::Text(value.trim()), &place)
    }

    /// Applies a table of settings: `weir.toml`, or a spider's `[settings]`. Dotted names may be nested tables. What is wrong is left
    /// out and told, the rest is applied.
    pub fn apply_table(&mut self, table: &toml::Table, place: &str) -> Result<(), SettingErrors> {
        let mut errors = Vec::new();
        self.apply_nested(table, "", place, &mut errors);
        if errors.is_empty() { Ok(()) } else { Err(SettingErrors(errors)) }
    }

    fn apply_nested(&mut self, table: &toml::Table, prefix: &str, place: &str, errors: &mut Vec<SettingError>) {
        for (key, value) in table {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(inner) => self.apply_nested(inner, &name, place, errors),
                value => errors.extend(self.apply(&name, &Raw::Toml(value), &format!("{place}: {name}")).err()),
            }
        }
    }

    fn apply(&mut self, name: &str, value: &Raw<'_>, place: &str) -> Result<(), SettingError> {
        let wrong = |message| SettingError { place: place.into(), message };
        if let Some(provider) = name.strip_prefix("geocode.providers.") {
            return self.geocode.set_provider(provider, value).map_err(wrong);
        }
        let entry = find(name).ok_or_else(|| wrong(unknown(name)))?;
        let read = entry.kind.read(value, entry.name != name).map_err(|expected| {
            // Scrapy's zero means no limit there.
            let zero = entry.name.starts_with("fetch.") && value.is_zero();
            let told = if zero { ": without a limit nothing is fetched, write a large one" } else { "" };
            wrong(format!("{} is {}, expected {expected}{told}", entry.name, value.shown()))
        })?;
        (entry.slot_mut)(self).put(read);
        if entry.name == "fetch.body_bytes_max" {
            self.fetch_wire_bytes_max = self.fetch_wire_bytes_max.max(self.fetch_body_bytes_max);
        }
        Ok(())
    }

    /// A line a setting: name, type, default, meaning, Scrapy's name.
    #[must_use]
    pub fn help() -> String {
        let default = Settings::default();
        let mut out = String::new();
        let mut line = |name: &str, kind: &str, default: &str, help: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {name:<26} {kind:<24} {default:<12} {help}");
        };
        line("setting", "type", "default", "meaning [Scrapy's name]");
        for entry in TABLE {
            let shown = entry.kind.shown(&(entry.slot)(&default).get()).unwrap_or_else(|| entry.unset.to_owned());
            let alias = entry.aliases.iter().map(|alias| format!(" [{alias}]")).collect::<String>();
            line(entry.name, &entry.kind.name(), &shown, &format!("{}{alias}", entry.help));
        }
        line(
            "geocode.providers.NAME.KEY",
            "as KEY",
            "none",
            &format!("whom to ask for locations, in this order: {}", geocode::PROVIDER_KEYS),
        );
        out.push_str(
            "\nA time has its unit: 500ms, 15s, 2m, 1h, 30d; under Scrapy's names a bare number is seconds. Bytes: 1048576, 64KiB, 10MiB.\n\
             They stand in weir.toml beside the spider file, in its [settings], or behind -s NAME=VALUE; the latter wins.\n",
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
            // Zero is no limit in Scrapy; here it would refuse every page, or wait for none.
            ("DOWNLOAD_MAXSIZE=0", "from 1 to 1GiB, such as \"10MiB\": without a limit nothing is fetched"),
            ("DOWNLOAD_TIMEOUT=0", "from 1ms to 1h"),
            ("fetch.timeout=0s", "from 1ms to 1h"),
            ("fetch.timeout=2h", "from 1ms to 1h"),
            ("fetch.connect_timeout=0s", "from 1ms to 1h"),
            ("fetch.wire_bytes_max=2GiB", "from 1 to 1GiB"),
            // A group is waited for by everything in it: an hour's group never ended a crawl of one page.
            ("journal.group_time=1h", "from 0s to 1s"),
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

    #[test]
    fn all_mistakes_of_a_table_are_told_at_once() {
        let table: toml::Table =
            "concurency = 5\nrobots = \"maybe\"\nretry.times = 1\n[stop]\nitems = -1".parse().expect("toml");
        let mut settings = Settings::default();
        let errors = settings.apply_table(&table, "weir.toml").expect_err("three mistakes");
        let places: Vec<&str> = errors.0.iter().map(|error| error.place.as_str()).collect();
        assert_eq!(places, ["weir.toml: concurency", "weir.toml: robots", "weir.toml: stop.items"]);
        assert_eq!(errors.to_string().lines().count(), 3, "{errors}");
        assert_eq!(settings.retry_times, 1, "what is right is taken");
    }

    #[test]
    fn a_truth_is_written_as_people_write_it() {
        for (text, robots) in [("no", false), ("off", false), ("OFF", false), ("yes", true), ("True", true)] {
            let mut settings = Settings::default();
            settings.set(&format!("ROBOTSTXT_OBEY={text}")).expect(text);
            assert_eq!(settings.robots, robots, "{text}");
        }
    }

    #[test]
    fn the_list_of_settings_shows_types_and_defaults() {
        let help = Settings::help();
        for (name, told) in [
            ("fetch.body_bytes_max", ["bytes, 1 to 1GiB", " 10MiB ", "[DOWNLOAD_MAXSIZE]"]),
            ("fetch.timeout", ["time, 1ms to 1h", " 3m ", "[DOWNLOAD_TIMEOUT]"]),
            ("redirect.max", ["0 to 100", " 5 ", "[REDIRECT_MAX_TIMES]"]),
            ("robots", ["true or false", " true ", "[ROBOTSTXT_OBEY]"]),
            ("fetch.threads", ["1 to 256", " one a core ", "parse"]),
        ] {
            let line = help.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).unwrap_or_default();
            assert!(told.iter().all(|part| line.contains(part)), "{name}: {line}");
        }
    }
}
