//! Where the documents lie: the sink's URL, its options and its secrets. Pure but for the secret's file; nothing secret is shown.

use base64::Engine;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;
use weir_connector::units::{bytes, duration};
use weir_connector::{ErrorClass, Secret, SecretSource, SinkError, redact};

const SHAPE: &str = "elasticsearch://HOST:9200/INDEX (elasticsearch+https:// with TLS)";
const OPTIONS: &str = "new_fields=add|refuse, migrate=true|false, bulk_bytes=4MB, connect_timeout=10s, timeout=60s, tls_ca=PATH, \
                       password_env=NAME, password_file=PATH, api_key_env=NAME, api_key_file=PATH";

/// The variable that holds the password when the URL names no other.
pub const PASSWORD_ENV: &str = "WEIR_ELASTICSEARCH_PASSWORD";
/// The variable that holds an API key when the URL names no user and no other.
pub const API_KEY_ENV: &str = "WEIR_ELASTICSEARCH_API_KEY";

/// Encryption of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// None.
    #[default]
    Off,
    /// TLS with a certificate that the system's roots, or the given ones in their place, vouch for.
    On {
        /// A PEM file of roots.
        roots: Option<PathBuf>,
    },
}

/// A cluster, and an index in it, by URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticsearchPlace {
    /// The URL as it may be shown.
    pub shown: String,
    /// See there.
    pub tls: Tls,
    /// Server.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What stands before every path: empty, or `/prefix`.
    pub prefix: String,
    /// Alias of the first item type; others get its name and theirs. `None`: aliases are named like the item types.
    pub index: Option<String>,
    /// Account.
    pub user: Option<String>,
    /// Fields that an index lacks are added to its mapping.
    pub new_fields: bool,
    /// An index of another mapping is copied into a new one.
    pub migrate: bool,
    /// Most bytes of a `_bulk` request; a single larger item makes a request of its own.
    pub bulk_bytes_max: usize,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time for a request and its answer.
    pub timeout: Duration,
    password: SecretSource,
    api_key: Option<SecretSource>,
}

impl ElasticsearchPlace {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<ElasticsearchPlace, SinkError> {
        let wrong = |what: String, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, format!("-o {}", redact(text)), SHAPE, todo)
        };
        let url = Url::parse(text).map_err(|error| wrong(format!("not a URL ({error})"), "Correct the URL"))?;
        let tls = match url.scheme() {
            "elasticsearch" | "elasticsearch+http" | "opensearch" | "opensearch+http" => Tls::Off,
            "elasticsearch+https" | "opensearch+https" => Tls::On { roots: None },
            other => return Err(wrong(format!("unknown scheme {other:?}"), "Begin with elasticsearch://")),
        };
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| {
            wrong("no server named".to_owned(), "Name one, for example elasticsearch://localhost:9200/properties")
        })?;
        let (prefix, index) = url.path().rsplit_once('/').unwrap_or(("", ""));
        let mut place = ElasticsearchPlace {
            shown: redact(text),
            tls,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(9200),
            prefix: prefix.trim_end_matches('/').to_owned(),
            index: Some(decoded(index)).filter(|index| !index.is_empty()),
            user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
            new_fields: false,
            migrate: false,
            bulk_bytes_max: 4 << 20,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            password: url
                .password()
                .map_or(SecretSource::Usual(PASSWORD_ENV), |given| SecretSource::Url(Secret(decoded(given)))),
            api_key: None,
        };
        for (name, value) in url.query_pairs() {
            let bad =
                |expected: &str| wrong(format!("{name}={value} is no setting"), &format!("Write {name}={expected}"));
            match (&*name, &*value) {
                ("new_fields" | "new_columns", "add") => place.new_fields = true,
                ("new_fields" | "new_columns", "refuse") => place.new_fields = false,
                ("new_fields" | "new_columns", _) => return Err(bad(&format!("add or {name}=refuse"))),
                ("migrate", "true") => place.migrate = true,
                ("migrate", "false") => place.migrate = false,
                ("migrate", _) => return Err(bad("true or migrate=false")),
                ("bulk_bytes", value) => place.bulk_bytes_max = bytes(value).ok_or_else(|| bad("4MB"))?,
                ("connect_timeout", value) => place.connect_timeout = duration(value).ok_or_else(|| bad("10s"))?,
                ("timeout", value) => place.timeout = duration(value).ok_or_else(|| bad("60s"))?,
                ("tls_ca", path) => place.tls = Tls::On { roots: Some(path.into()) },
                ("password_env", variable) => place.password = SecretSource::Env(variable.to_owned()),
                ("password_file", path) => place.password = SecretSource::File(path.into()),
                ("api_key_env", variable) => place.api_key = Some(SecretSource::Env(variable.to_owned())),
                ("api_key_file", path) => place.api_key = Some(SecretSource::File(path.into())),
                _ => return Err(wrong(format!("unknown option {name:?}"), &format!("Use one of {OPTIONS}"))),
            }
        }
        Ok(place)
    }

    /// The header that says who asks: an API key if one is named, else user and password, else a key in the usual variable.
    pub fn authorization(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<HeaderValue>, SinkError> {
        let key = match (&self.api_key, &self.user) {
            (Some(source), _) => Some(source.read("api_key", &self.shown, &env)?),
            (None, None) => Some(SecretSource::Usual(API_KEY_ENV).read("api_key", &self.shown, &env)?),
            (None, Some(_)) => None,
        };
        let text = match (key.filter(|key| !key.0.is_empty()), &self.user) {
            (Some(key), _) => format!("ApiKey {}", key.0),
            (None, None) => return Ok(None),
            (None, Some(user)) => {
                let password = self.password.read("password", &self.shown, &env)?;
                let both = format!("{user}:{}", password.0);
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
            }
        };
        let mut header = HeaderValue::try_from(text).map_err(|_| {
            SinkError::new(
                ErrorClass::Configuration,
                "the secret holds characters that no header can",
                self.shown.clone(),
                "a password or an API key",
                "Correct the variable or the file",
            )
        })?;
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_index_and_options() {
        let place = ElasticsearchPlace::parse(
            "elasticsearch+https://me:p%40ss@[::1]:9243/search/properties?migrate=true&new_fields=add&timeout=500ms&bulk_bytes=512KB&tls_ca=/ca.pem",
        )
        .unwrap();
        assert_eq!((place.user.as_deref(), &*place.host, place.port), (Some("me"), "::1", 9243));
        assert_eq!((&*place.prefix, place.index.as_deref()), ("/search", Some("properties")));
        assert_eq!((place.migrate, place.new_fields, place.bulk_bytes_max), (true, true, 512 << 10));
        assert_eq!(place.timeout, Duration::from_millis(500));
        assert_eq!(place.tls, Tls::On { roots: Some("/ca.pem".into()) });
        assert_eq!(place.authorization(|_| None).unwrap().unwrap(), "Basic bWU6cEBzcw==");
        let short = ElasticsearchPlace::parse("opensearch://localhost").unwrap();
        assert_eq!((short.port, short.index, &*short.prefix, &short.tls), (9200, None, "", &Tls::Off));
        assert_eq!(
            ElasticsearchPlace::parse("elasticsearch://localhost/homes").unwrap().authorization(|_| None),
            Ok(None)
        );
    }

    #[test]
    fn a_secret_never_shows_and_may_stand_elsewhere() {
        let place = ElasticsearchPlace::parse("elasticsearch://me:hunter2@h/t").unwrap();
        assert!(!format!("{place:?}").contains("hunter2"), "{place:?}");
        assert!(!format!("{:?}", place.authorization(|_| None)).contains("aHVudGVy"));
        let env = |name: &str| ["PW", "KEY", PASSWORD_ENV, API_KEY_ENV].contains(&name).then(|| name.to_lowercase());
        let by = |url: &str| ElasticsearchPlace::parse(url).unwrap().authorization(env);
        let basic = |secret: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(secret));
        assert_eq!(by("elasticsearch://me@h/t").unwrap().unwrap(), basic("me:weir_elasticsearch_password"));
        assert_eq!(by("elasticsearch://me@h/t?password_env=PW").unwrap().unwrap(), basic("me:pw"));
        assert_eq!(by("elasticsearch://h/t").unwrap().unwrap(), "ApiKey weir_elasticsearch_api_key");
        assert_eq!(by("elasticsearch://me@h/t?api_key_env=KEY").unwrap().unwrap(), "ApiKey key");
        assert!(by("elasticsearch://h/t?api_key_env=OTHER").unwrap_err().to_string().contains("OTHER"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from file\n").unwrap();
        let url = format!("elasticsearch://me@h/t?password_file={}", file.path().display());
        assert_eq!(by(&url).unwrap().unwrap(), basic("me:from file"));
        assert!(by("elasticsearch://me@h/t?password_file=/nowhere").unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, word) in [
            ("elasticsearch:///t", "no server"),
            ("elasticsearch://u:hunter2@h/t?migrate=yes", "migrate=yes"),
            ("elasticsearch://u:hunter2@h/t?shards=1", "unknown option \"shards\""),
            ("elasticsearch://u:hunter2@h/t?timeout=5", "timeout=5"),
            ("elasticsearch://u:hunter2@h/t?bulk_bytes=0MB", "bulk_bytes=0MB"),
            ("elasticsearch://u:hunter2@h:99999/t", "not a URL"),
            ("elastic://u:hunter2@h/t", "unknown scheme"),
        ] {
            let text = ElasticsearchPlace::parse(url).unwrap_err().to_string();
            assert!(text.contains(word) && !text.contains("hunter2"), "{url}: {text}");
        }
    }
}
