//! Sink URLs: what stands behind `-o`. Pure; secrets are redacted wherever a URL is shown.

use crate::{ErrorClass, SinkError};
use std::path::PathBuf;

/// What is written into a feed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFormat {
    /// One JSON object a line.
    JsonLines,
    /// One JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

impl FeedFormat {
    /// By a file's extension or Scrapy's name of the format.
    #[must_use]
    pub fn from_name(name: &str) -> Option<FeedFormat> {
        Some(match name.to_ascii_lowercase().as_str() {
            "jsonl" | "jl" | "jsonlines" | "ndjson" => FeedFormat::JsonLines,
            "json" => FeedFormat::Json,
            "csv" => FeedFormat::Csv,
            _ => return None,
        })
    }
}

/// A sink by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkUrl {
    /// `PATH.jsonl`, `PATH.json`, `PATH.csv`, `file:PATH`, or `PATH:FORMAT`.
    Feed {
        /// The file.
        path: PathBuf,
        /// By the extension, or as said.
        format: FeedFormat,
    },
    /// `sqlite:PATH`.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// `?new_columns=add`: fields that a table lacks become columns.
        add_columns: bool,
    },
    /// A server, `mysql://...`: its connector reads the rest.
    Server {
        /// Which connector.
        kind: ServerKind,
        /// As written, secrets and all.
        url: String,
    },
}

/// A server that items can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// MySQL 8 or MariaDB.
    Mysql,
    /// Redis.
    Redis,
    /// Elasticsearch or OpenSearch.
    Elasticsearch,
}

impl ServerKind {
    /// By a URL's scheme.
    #[must_use]
    pub fn from_scheme(scheme: &str) -> Option<ServerKind> {
        Some(match scheme {
            "mysql" | "mariadb" => ServerKind::Mysql,
            "redis" | "rediss" => ServerKind::Redis,
            "elasticsearch"
            | "elasticsearch+http"
            | "elasticsearch+https"
            | "opensearch"
            | "opensearch+http"
            | "opensearch+https" => ServerKind::Elasticsearch,
            _ => return None,
        })
    }
}

const KNOWN: &str = "PATH.jsonl (or .jl), PATH.json, PATH.csv, PATH:FORMAT with FORMAT jsonlines, json or csv, sqlite:PATH.db, mysql://USER@HOST/DB/TABLE, elasticsearch://HOST:9200/INDEX or redis://HOST/0";

impl SinkUrl {
    /// Reads what stands behind `-o`.
    pub fn parse(text: &str) -> Result<SinkUrl, SinkError> {
        let wrong = |what: String, expected: &str, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, format!("-o {}", redact(text)), expected, todo)
        };
        if text.trim().is_empty() {
            return Err(wrong("no sink named".to_owned(), KNOWN, "Write for example -o items.jsonl"));
        }
        match scheme(text) {
            Some(("sqlite", rest)) => parse_sqlite(rest, &wrong),
            Some(("file", rest)) => parse_feed(rest.strip_prefix("//").unwrap_or(rest), &wrong),
            Some((other, _)) => match ServerKind::from_scheme(other) {
                Some(kind) => Ok(SinkUrl::Server { kind, url: text.to_owned() }),
                None => Err(wrong(format!("unknown sink {other:?}"), KNOWN, "Choose one of these")),
            },
            None => parse_feed(text, &wrong),
        }
    }
}

type Wrong<'a> = dyn Fn(String, &str, &str) -> SinkError + 'a;

/// A scheme is letters before a colon, two at least; `items.txt:csv` has none, since a file name comes first.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let plain = scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-".contains(&b));
    // `items:csv` is a file named `items`; `mysql://...` and `redis:` are schemes.
    (plain && FeedFormat::from_name(rest).is_none()).then_some((scheme, rest))
}

fn parse_sqlite(rest: &str, wrong: &Wrong<'_>) -> Result<SinkUrl, SinkError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(wrong("no database file named".to_owned(), "sqlite:PATH", "Write for example -o sqlite:items.db"));
    }
    let mut add_columns = false;
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option {
            "new_columns=add" => add_columns = true,
            "new_columns=refuse" => add_columns = false,
            _ => {
                return Err(wrong(
                    format!("unknown option {option:?}"),
                    "new_columns=add or new_columns=refuse",
                    "Correct or remove the option",
                ));
            }
        }
    }
    Ok(SinkUrl::Sqlite { path: path.into(), add_columns })
}

fn parse_feed(text: &str, wrong: &Wrong<'_>) -> Result<SinkUrl, SinkError> {
    if let Some((path, name)) = text.rsplit_once(':')
        && !path.is_empty()
        && let Some(format) = FeedFormat::from_name(name)
    {
        return Ok(SinkUrl::Feed { path: path.into(), format });
    }
    let path = PathBuf::from(text);
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
    match extension.as_deref().and_then(FeedFormat::from_name) {
        Some(format) => Ok(SinkUrl::Feed { path, format }),
        None if matches!(extension.as_deref(), Some("db" | "sqlite" | "sqlite3")) => {
            Err(wrong("a database file without its scheme".to_owned(), KNOWN, &format!("Write -o sqlite:{text}")))
        }
        None => {
            let found = extension.map_or("no format".to_owned(), |extension| format!("unknown format {extension:?}"));
            Err(wrong(found, KNOWN, &format!("Name the format, for example -o {text}:jsonlines")))
        }
    }
}

/// A URL as it may be shown: user, password and parameters that sound secret are starred.
#[must_use]
pub fn redact(url: &str) -> String {
    let (head, query) = url.split_once('?').map_or((url, None), |(head, query)| (head, Some(query)));
    let mut out = match head.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}{path}"),
                None => head.to_owned(),
            }
        }
        None => head.to_owned(),
    };
    if let Some(query) = query {
        let secret = |name: &str| {
            ["pass", "secret", "token", "key", "auth", "credential", "signature"]
                .iter()
                .any(|word| name.to_ascii_lowercase().contains(word))
        };
        let shown = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if secret(name) => format!("{name}=***"),
            _ => pair.to_owned(),
        });
        out.push('?');
        out.push_str(&shown.collect::<Vec<_>>().join("&"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(path: &str, format: FeedFormat) -> Result<SinkUrl, SinkError> {
        Ok(SinkUrl::Feed { path: path.into(), format })
    }

    #[test]
    fn sinks_are_read_as_scrapy_users_write_them() {
        assert_eq!(SinkUrl::parse("items.jsonl"), feed("items.jsonl", FeedFormat::JsonLines));
        assert_eq!(SinkUrl::parse("out/items.jl"), feed("out/items.jl", FeedFormat::JsonLines));
        assert_eq!(SinkUrl::parse("/tmp/a b.JSON"), feed("/tmp/a b.JSON", FeedFormat::Json));
        assert_eq!(SinkUrl::parse("items.txt:csv"), feed("items.txt", FeedFormat::Csv));
        assert_eq!(SinkUrl::parse("items:csv"), feed("items", FeedFormat::Csv));
        assert_eq!(SinkUrl::parse("file:///tmp/x.csv"), feed("/tmp/x.csv", FeedFormat::Csv));
        assert_eq!(
            SinkUrl::parse("sqlite:items.db"),
            Ok(SinkUrl::Sqlite { path: "items.db".into(), add_columns: false })
        );
        assert_eq!(
            SinkUrl::parse("sqlite:///var/x?new_columns=add"),
            Ok(SinkUrl::Sqlite { path: "/var/x".into(), add_columns: true })
        );
    }

    #[test]
    fn a_server_is_known_by_its_scheme_and_its_connector_reads_the_rest() {
        for (url, kind) in [
            ("mysql://me@h/db/t", ServerKind::Mysql),
            ("rediss://h/0", ServerKind::Redis),
            ("elasticsearch://h:9200/homes", ServerKind::Elasticsearch),
            ("elasticsearch+https://me@h/homes?tls_ca=/ca.pem", ServerKind::Elasticsearch),
            ("opensearch://h/homes", ServerKind::Elasticsearch),
        ] {
            assert_eq!(SinkUrl::parse(url), Ok(SinkUrl::Server { kind, url: url.to_owned() }));
        }
    }

    #[test]
    fn an_unknown_sink_is_refused_with_the_known_ones_and_without_its_password() {
        let error = SinkUrl::parse("mongodb://me:hunter2@host/items").expect_err("unknown").to_string();
        assert!(
            error.contains("\"mongodb\"") && error.contains("sqlite:PATH.db") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(SinkUrl::parse("items.db").expect_err("no scheme").todo.contains("sqlite:items.db"));
        assert!(SinkUrl::parse("items").expect_err("no format").todo.contains("items:jsonlines"));
        assert!(
            SinkUrl::parse("").is_err()
                && SinkUrl::parse("sqlite:").is_err()
                && SinkUrl::parse("sqlite:x.db?wal=no").is_err()
        );
    }

    #[test]
    fn secrets_never_show() {
        assert_eq!(redact("mysql://u:p@w@h:3306/db?password=x&a=b"), "mysql://***@h:3306/db?password=***&a=b");
        assert_eq!(redact("items.jsonl"), "items.jsonl");
    }
}
