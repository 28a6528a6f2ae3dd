//! Where the keys lie: the sink's URL, its options and its password. Pure; nothing secret is ever shown.

use percent_encoding::percent_decode_str;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;
use weir_connector::units::duration;
use weir_connector::{ErrorClass, Secret, SecretSource, SinkError, redact};

const SHAPE: &str = "redis://HOST:PORT/NUMBER (rediss:// with TLS)";
const OPTIONS: &str =
    "ttl=30d, prefix=weir:, password_env=NAME, password_file=PATH, tls_ca=PATH, connect_timeout=5s, timeout=30s";

/// The variable that holds the password when the URL names no other.
pub const PASSWORD_ENV: &str = "WEIR_REDIS_PASSWORD";

/// A database of a server, and a prefix in it, by URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisPlace {
    /// The URL as it may be shown.
    pub shown: String,
    /// Account; empty: the default one.
    pub user: String,
    /// Server.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Number of the database.
    pub database: i64,
    /// TLS, with a certificate that the system's roots or those of `tls_ca` vouch for.
    pub tls: bool,
    /// A PEM file of roots instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// How long an item lives that no crawl has seen again; `None`: for ever.
    pub ttl: Option<Duration>,
    /// Before every key.
    pub prefix: String,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time for a batch.
    pub timeout: Duration,
    password: SecretSource,
}

impl RedisPlace {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<RedisPlace, SinkError> {
        let wrong = |what: String, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, format!("-o {}", redact(text)), SHAPE, todo)
        };
        let url = Url::parse(text).map_err(|error| wrong(format!("not a URL ({error})"), "Correct the URL"))?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err(wrong(format!("unknown scheme {:?}", url.scheme()), "Begin with redis:// or rediss://"));
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let host = url.host_str().filter(|host| !host.is_empty());
        let host =
            host.ok_or_else(|| wrong("no server named".to_owned(), "Name one, for example redis://localhost/0"))?;
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number.parse().ok().filter(|number| *number >= 0).ok_or_else(|| {
                wrong(format!("{number:?} is no number of a database"), "Write a number from 0 behind the server")
            })?,
        };
        let usual = SecretSource::Usual(PASSWORD_ENV);
        let mut place = RedisPlace {
            shown: redact(text),
            user: decoded(url.username()),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(6379),
            database,
            tls: url.scheme() == "rediss",
            tls_ca: None,
            ttl: None,
            prefix: "weir:".to_owned(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            password: url.password().map_or(usual, |given| SecretSource::Url(Secret(decoded(given)))),
        };
        for (name, value) in url.query_pairs() {
            let bad = |expected: &str| {
                wrong(format!("{name}={value} is no time"), &format!("Write for example {name}={expected}"))
            };
            match &*name {
                "ttl" => place.ttl = Some(duration(&value).ok_or_else(|| bad("30d"))?),
                "prefix" => place.prefix = value.into_owned(),
                "password_env" => place.password = SecretSource::Env(value.into_owned()),
                "password_file" => place.password = SecretSource::File((&*value).into()),
                "tls_ca" => place.tls_ca = Some((&*value).into()),
                "connect_timeout" => place.connect_timeout = duration(&value).ok_or_else(|| bad("5s"))?,
                "timeout" => place.timeout = duration(&value).ok_or_else(|| bad("30s"))?,
                _ => return Err(wrong(format!("unknown option {name:?}"), &format!("Use one of {OPTIONS}"))),
            }
        }
        if place.tls_ca.is_some() && !place.tls {
            return Err(wrong("tls_ca without TLS".to_owned(), "Begin with rediss://"));
        }
        Ok(place)
    }

    /// The password: from the URL, the variable or the file that it names, or the usual variable. Empty: none.
    pub fn password(&self, env: impl Fn(&str) -> Option<String>) -> Result<Secret, SinkError> {
        self.password.read("password", &self.shown, env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_database_and_options() {
        let place =
            RedisPlace::parse("rediss://me:p%40ss@[::1]:6380/3?ttl=30d&prefix=homes:&timeout=500ms&tls_ca=/ca.pem")
                .unwrap();
        assert_eq!((&*place.user, &*place.host, place.port, place.database), ("me", "::1", 6380, 3));
        assert_eq!((place.tls, &*place.prefix, place.timeout), (true, "homes:", Duration::from_millis(500)));
        assert_eq!(place.ttl, Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(place.password(|_| None), Ok(Secret("p@ss".to_owned())));
        let short = RedisPlace::parse("redis://localhost").unwrap();
        assert_eq!((short.port, short.database, short.ttl, &*short.prefix), (6379, 0, None, "weir:"));
    }

    #[test]
    fn a_password_never_shows_and_may_stand_elsewhere() {
        let place = RedisPlace::parse("redis://:hunter2@h/0").unwrap();
        assert!(!format!("{place:?}").contains("hunter2"), "{place:?}");
        let by = |query: &str| {
            let env = |name: &str| (name == "R_PW" || name == PASSWORD_ENV).then(|| name.to_lowercase());
            RedisPlace::parse(&format!("redis://h/0{query}")).unwrap().password(env)
        };
        assert_eq!(by(""), Ok(Secret("weir_redis_password".to_owned())));
        assert_eq!(by("?password_env=R_PW"), Ok(Secret("r_pw".to_owned())));
        assert!(by("?password_env=OTHER").unwrap_err().to_string().contains("OTHER"));
        assert!(by("?password_file=/nowhere").unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, word) in [
            ("redis:///0", "no server"),
            ("redis://:hunter2@h/first", "\"first\""),
            ("redis://:hunter2@h/0?ttl=30", "ttl=30"),
            ("redis://:hunter2@h/0?ttl=0s", "ttl=0s"),
            ("redis://:hunter2@h/0?cluster=yes", "unknown option \"cluster\""),
            ("redis://:hunter2@h/0?tls_ca=/ca.pem", "without TLS"),
            ("memcached://:hunter2@h/0", "unknown scheme"),
        ] {
            let text = RedisPlace::parse(url).unwrap_err().to_string();
            assert!(text.contains(word) && !text.contains("hunter2"), "{url}: {text}");
        }
    }
}
