//! Settings: typed, lower-case, with units; default < `weir.toml` < the spider's `[settings]` < the command line.
//!
//! One table says every name, its Scrapy alias and its meaning. Unknown names and wrong types are refused with the nearest
//! right one; nothing is silently ignored.

use std::fmt::Write as _;
use std::time::Duration;
use weir_frontier::policy::parse_duration;

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
    /// Items in one write to a sink.
    pub sink_batch_items: usize,
    /// Bytes of the journal after which a snapshot is taken, at least.
    pub journal_snapshot_bytes: u64,
    /// A group of the journal closes at this age: longer saves syncs, shorter lets go of paced releases and items sooner.
    pub journal_group_time: Duration,
    /// Threads that fetch and parse.
    pub fetch_threads: Option<usize>,
    /// Log level.
    pub log_level: LogLevel,
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
            stop_seconds: None,
            fetch_timeout: Duration::from_secs(180),
            fetch_connect_timeout: Duration::from_secs(10),
            fetch_headers_timeout: Duration::from_secs(60),
            fetch_body_bytes_max: 10 << 20,
            fetch_wire_bytes_max: 10 << 20,
            fetch_memory_bytes_max: 64 << 20,
            outbox_bytes_max: 64 << 20,
            sink_batch_items: 1_000,
            journal_snapshot_bytes: 128 << 20,
            journal_group_time: Duration::from_millis(20),
            fetch_threads: None,
            log_level: LogLevel::Info,
        }
    }
}

/// A value before its type is known: from TOML, or as typed on the command line.
#[derive(Clone, Debug)]
enum Raw<'a> {
    Toml(&'a toml::Value),
    Text(&'a str),
}

impl Raw<'_> {
    fn shown(&self) -> String {
        match self {
            Raw::Toml(value) => value.to_string(),
            Raw::Text(text) => (*text).to_owned(),
        }
    }

    fn integer(&self) -> Result<u64, &'static str> {
        let number = match self {
            Raw::Toml(toml::Value::Integer(number)) => u64::try_from(*number).ok(),
            Raw::Toml(_) => None,
            Raw::Text(text) => text.replace('_', "").parse().ok(),
        };
        number.ok_or("a whole number, 0 or greater")
    }

    fn truth(&self) -> Result<bool, &'static str> {
        match self {
            Raw::Toml(toml::Value::Boolean(truth)) => Ok(*truth),
            Raw::Text("true" | "True" | "1") => Ok(true),
            Raw::Text("false" | "False" | "0") => Ok(false),
            _ => Err("true or false"),
        }
    }

    fn text(&self) -> Result<String, &'static str> {
        match self {
            Raw::Toml(toml::Value::String(text)) => Ok(text.clone()),
            Raw::Toml(_) => Err("a text"),
            Raw::Text(text) => Ok((*text).to_owned()),
        }
    }

    /// A duration with its unit; under a Scrapy name a bare number means seconds, as it does there.
    fn duration(&self, scrapy: bool) -> Result<Duration, &'static str> {
        let expected = "a duration with its unit, such as \"15s\" or \"2m\"";
        if scrapy && let Ok(seconds) = self.shown().parse::<f64>() {
            return Duration::try_from_secs_f64(seconds).map_err(|_| expected);
        }
        parse_duration(&self.text().map_err(|_| expected)?).map_err(|_| expected)
    }

    fn bytes(&self) -> Result<u64, &'static str> {
        let expected = "a number of bytes, such as 1048576 or \"10MiB\"";
        if let Ok(number) = self.integer() {
            return Ok(number);
        }
        let text = self.text().map_err(|_| expected)?;
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
        for (unit, factor) in units {
            if let Some(number) = text.strip_suffix(unit) {
                let number = number.trim().parse::<u64>().map_err(|_| expected)?;
                return number.checked_mul(factor).ok_or(expected);
            }
        }
        Err(expected)
    }
}

struct Entry {
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
    set: fn(&mut Settings, &Raw<'_>, bool) -> Result<(), &'static str>,
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

static TABLE: &[Entry] = &[
    entry!("user_agent", ["USER_AGENT"], "sent as User-Agent; with a contact outside loopback", |s, v, _| {
        s.user_agent = Some(v.text()?);
        Ok(())
    }),
    entry!("concurrency", ["CONCURRENT_REQUESTS"], "requests under way, all domains together", |s, v, _| {
        s.concurrency = v.integer()?.clamp(1, 100_000) as usize;
        Ok(())
    }),
    entry!(
        "concurrency_per_domain",
        ["CONCURRENT_REQUESTS_PER_DOMAIN"],
        "requests under way at one domain",
        |s, v, _| {
            s.concurrency_per_domain = v.integer()?.clamp(1, 100_000) as u32;
            Ok(())
        }
    ),
    entry!("robots", ["ROBOTSTXT_OBEY"], "ask and keep robots.txt", |s, v, _| {
        s.robots = v.truth()?;
        Ok(())
    }),
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
        s.depth_max = limit(v.integer()?).map(|depth| depth.min(u64::from(u16::MAX)) as u16);
        Ok(())
    }),
    entry!("pages_per_domain_max", [], "pages of one domain, at most (0: no limit)", |s, v, _| {
        s.pages_per_domain_max = limit(v.integer()?);
        Ok(())
    }),
    entry!("profile", [], "default law: default (60 a minute) or broad (10 a minute)", |s, v, _| {
        s.profile = match v.text()?.as_str() {
            "default" => Profile::Default,
            "broad" => Profile::Broad,
            _ => return Err("\"default\" or \"broad\""),
        };
        Ok(())
    }),
    entry!("retry.enabled", ["RETRY_ENABLED"], "try failures again", |s, v, _| {
        s.retry_enabled = v.truth()?;
        Ok(())
    }),
    entry!("retry.times", ["RETRY_TIMES"], "how often a request is tried again", |s, v, _| {
        s.retry_times = v.integer()?.min(100) as u8;
        Ok(())
    }),
    entry!("redirect.enabled", ["REDIRECT_ENABLED"], "follow redirects", |s, v, _| {
        s.redirect_enabled = v.truth()?;
        Ok(())
    }),
    entry!("redirect.max", ["REDIRECT_MAX_TIMES"], "redirects in a chain, at most", |s, v, _| {
        s.redirect_max = v.integer()?.min(100) as u8;
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
        s.fetch_memory_bytes_max = v.bytes()?.max(1 << 20);
        Ok(())
    }),
    entry!("fetch.threads", [], "threads that fetch and parse", |s, v, _| {
        s.fetch_threads = Some(v.integer()?.clamp(1, 256) as usize);
        Ok(())
    }),
    entry!("outbox_bytes_max", [], "items that may wait for sinks, in bytes", |s, v, _| {
        s.outbox_bytes_max = v.bytes()?.max(1 << 20);
        Ok(())
    }),
    entry!("sink_batch_items", ["CONCURRENT_ITEMS"], "items in one write to a sink, at most", |s, v, _| {
        s.sink_batch_items = v.integer()?.clamp(1, 100_000) as usize;
        Ok(())
    }),
    entry!("journal.snapshot_bytes", [], "journal bytes after which a snapshot is taken", |s, v, _| {
        s.journal_snapshot_bytes = v.bytes()?.max(4096);
        Ok(())
    }),
    entry!("journal.group_time", [], "age at which a group of the journal is synced", |s, v, scrapy| {
        s.journal_group_time = v.duration(scrapy)?;
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
        out
    }
}

fn unknown(name: &str) -> String {
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
    fn names_and_aliases_occur_once() {
        let mut seen = std::collections::BTreeSet::new();
        for name in TABLE.iter().flat_map(|entry| std::iter::once(&entry.name).chain(entry.aliases)) {
            assert!(seen.insert(*name), "{name} occurs twice");
        }
    }
}
