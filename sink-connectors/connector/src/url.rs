//! Sink URLs: what stands behind `-o`. Pure; secrets are redacted wherever a URL is shown (`shown`).

use crate::{ErrorClass, SinkError, redact};
use std::path::{Path, PathBuf};

/// What is written into a feed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFormat {
    /// One JSON object a line.
    JsonLines,
    /// One JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// `<items><item><field>`, as Scrapy writes it.
    Xml,
    /// Columns, compressed by themselves; complete only with its footer.
    Parquet,
}

impl FeedFormat {
    /// By a file's extension or Scrapy's name of the format.
    #[must_use]
    pub fn from_name(name: &str) -> Option<FeedFormat> {
        Some(match name.to_ascii_lowercase().as_str() {
            "jsonl" | "jl" | "jsonlines" | "ndjson" => FeedFormat::JsonLines,
            "json" => FeedFormat::Json,
            "csv" => FeedFormat::Csv,
            "xml" => FeedFormat::Xml,
            "parquet" => FeedFormat::Parquet,
            _ => return None,
        })
    }

    /// True when a file of this format can be gone on with behind its end.
    #[must_use]
    pub fn can_append(self) -> bool {
        matches!(self, FeedFormat::JsonLines | FeedFormat::Csv)
    }
}

/// How a feed's bytes are compressed: by the end of its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

impl Compression {
    /// The compression that a name ends with, and the name without it.
    #[must_use]
    pub fn of(name: &str) -> (Compression, &str) {
        for (suffix, compression) in [(".gz", Compression::Gzip), (".zst", Compression::Zstd)] {
            if let Some(at) = name.len().checked_sub(suffix.len())
                && name.is_char_boundary(at)
                && name[at..].eq_ignore_ascii_case(suffix)
            {
                return (compression, &name[..at]);
            }
        }
        (Compression::None, name)
    }
}

/// A feed as `-o` names it. Names may hold `%(name)s` and its like: who writes the feed fills them in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedUrl {
    /// Where.
    pub place: FeedPlace,
    /// By the extension, or as said.
    pub format: FeedFormat,
    /// By the end of the name.
    pub compression: Compression,
}

impl FeedUrl {
    /// Why a feed goes to no pipe; `place` as it was named.
    #[must_use]
    pub fn no_stream(place: &str) -> SinkError {
        SinkError::new(
            ErrorClass::Configuration,
            "a feed cannot go to standard output, a pipe or a device: after a crash it is cut back to what was confirmed, which only a file can be",
            place,
            "a file, or another sink that keeps items",
            "Write -o items.jsonl; or leave -o away (SQLite), and afterwards weir export --format jsonl -o - writes the items to standard output",
        )
    }
}

/// Where a feed's files become visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedPlace {
    /// On a disk of this machine.
    File(PathBuf),
    /// An object of a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// A file of an FTP server.
    Ftp {
        /// Server and account, `ftp://user@host:port?options`; secrets and all.
        server: String,
        /// The path on it.
        path: String,
    },
}

/// A sink by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkUrl {
    /// `PATH.jsonl` and other extensions, `file:PATH`, `PATH:FORMAT`, `s3://BUCKET/KEY`, `ftp://USER@HOST/PATH`.
    Feed(FeedUrl),
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

const KNOWN: &str = "PATH.jsonl (or .jl), PATH.json, PATH.csv, PATH.xml, PATH.parquet, each but the last with .gz or .zst behind it, PATH:FORMAT with FORMAT jsonlines, json, csv, xml or parquet, the same as s3://BUCKET/PATH or ftp://USER@HOST/PATH, sqlite:PATH.db, mysql://USER@HOST/DB/TABLE, elasticsearch://HOST:9200/INDEX or redis://HOST/0";

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
            Some(("file", rest)) => parse_file(rest.strip_prefix("//").unwrap_or(rest), &wrong),
            Some(("s3", rest)) => parse_feed(rest, &wrong, |rest| s3_place(rest, &wrong)),
            Some(("ftp", rest)) => {
                let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
                parse_feed(rest, &wrong, |rest| ftp_place(rest, query, &wrong))
            }
            Some((other, _)) => match ServerKind::from_scheme(other) {
                Some(kind) => Ok(SinkUrl::Server { kind, url: text.to_owned() }),
                None => Err(wrong(format!("unknown sink {other:?}"), KNOWN, "Choose one of these")),
            },
            None => parse_file(text, &wrong),
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

fn parse_file(text: &str, wrong: &Wrong<'_>) -> Result<SinkUrl, SinkError> {
    if text == "-" || text.starts_with("-:") {
        return Err(FeedUrl::no_stream(&format!("-o {text}")));
    }
    if text.starts_with('-') {
        let todo = format!("Name a sink behind -o; a file of this name is written -o ./{}", redact(text));
        return Err(wrong("a sink's name begins with a dash: was it left out?".to_owned(), KNOWN, &todo));
    }
    parse_feed(text, wrong, |path| Ok(FeedPlace::File(path.into())))
}

type PlaceOf<'a> = &'a dyn Fn(&str) -> Result<FeedPlace, SinkError>;

fn parse_feed(
    text: &str,
    wrong: &Wrong<'_>,
    place: impl Fn(&str) -> Result<FeedPlace, SinkError>,
) -> Result<SinkUrl, SinkError> {
    let place: PlaceOf<'_> = &place;
    if let Some((path, name)) = text.rsplit_once(':')
        && !path.is_empty()
        && let Some(format) = FeedFormat::from_name(name)
    {
        return feed(path, format, wrong, place);
    }
    let plain = Compression::of(text).1;
    let extension = Path::new(plain).extension().map(|extension| extension.to_string_lossy().into_owned());
    match extension.as_deref().and_then(FeedFormat::from_name) {
        Some(format) => feed(text, format, wrong, place),
        None if matches!(extension.as_deref(), Some("db" | "sqlite" | "sqlite3")) => {
            Err(wrong("a database file without its scheme".to_owned(), KNOWN, &format!("Write -o sqlite:{text}")))
        }
        None => {
            let found = extension.map_or("no format".to_owned(), |extension| format!("unknown format {extension:?}"));
            Err(wrong(found, KNOWN, &format!("Name the format, for example -o {}:jsonlines", redact(text))))
        }
    }
}

fn feed(name: &str, format: FeedFormat, wrong: &Wrong<'_>, place: PlaceOf<'_>) -> Result<SinkUrl, SinkError> {
    let (compression, plain) = Compression::of(name);
    if format == FeedFormat::Parquet && compression != Compression::None {
        let todo = format!("Write -o {}", redact(plain));
        return Err(wrong("Parquet compresses its columns itself".to_owned(), "a name without .gz or .zst", &todo));
    }
    Ok(SinkUrl::Feed(FeedUrl { place: place(name)?, format, compression }))
}

fn s3_place(rest: &str, wrong: &Wrong<'_>) -> Result<FeedPlace, SinkError> {
    match rest.strip_prefix("//").and_then(|rest| rest.split_once('/')) {
        Some((bucket, _)) if bucket.contains('@') => Err(wrong(
            "keys do not belong into a URL".to_owned(),
            "s3://BUCKET/PATH",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role, and leave them out of the URL",
        )),
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(FeedPlace::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
        }
        _ => Err(wrong(
            "no bucket and key".to_owned(),
            "s3://BUCKET/PATH",
            "Write for example -o s3://my-bucket/feeds/%(name)s/%(time)s.jsonl",
        )),
    }
}

fn ftp_place(rest: &str, query: &str, wrong: &Wrong<'_>) -> Result<FeedPlace, SinkError> {
    match rest.strip_prefix("//").and_then(|rest| rest.split_once('/')) {
        Some((authority, path)) if !authority.is_empty() && !path.is_empty() => {
            let query = if query.is_empty() { String::new() } else { format!("?{query}") };
            Ok(FeedPlace::Ftp { server: format!("ftp://{authority}{query}"), path: path.to_owned() })
        }
        _ => Err(wrong(
            "no host and path".to_owned(),
            "ftp://USER@HOST/PATH",
            "Write for example -o ftp://me@files.example.com/feeds/items.jsonl",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(path: &str, format: FeedFormat) -> Result<SinkUrl, SinkError> {
        compressed(path, format, Compression::None)
    }

    fn compressed(path: &str, format: FeedFormat, compression: Compression) -> Result<SinkUrl, SinkError> {
        Ok(SinkUrl::Feed(FeedUrl { place: FeedPlace::File(path.into()), format, compression }))
    }

    #[test]
    fn formats_and_compressions_are_read_from_names() {
        assert_eq!(
            SinkUrl::parse("items.jsonl.gz"),
            compressed("items.jsonl.gz", FeedFormat::JsonLines, Compression::Gzip)
        );
        assert_eq!(
            SinkUrl::parse("a/items.CSV.ZST"),
            compressed("a/items.CSV.ZST", FeedFormat::Csv, Compression::Zstd)
        );
        assert_eq!(SinkUrl::parse("dump.gz:xml"), compressed("dump.gz", FeedFormat::Xml, Compression::Gzip));
        assert_eq!(SinkUrl::parse("items.parquet"), feed("items.parquet", FeedFormat::Parquet));
        let error = SinkUrl::parse("items.parquet.gz").expect_err("refused").to_string();
        assert!(error.contains("-o items.parquet"), "{error}");
        assert!(SinkUrl::parse("items.gz").expect_err("no format").todo.contains("items.gz:jsonlines"));
    }

    #[test]
    fn buckets_and_servers_hold_feeds_too_and_keys_in_a_url_are_refused() {
        let place = |text: &str| match SinkUrl::parse(text).expect(text) {
            SinkUrl::Feed(feed) => feed.place,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            place("s3://bucket/p/%(name)s/%(time)s.jsonl"),
            FeedPlace::S3 { bucket: "bucket".into(), key: "p/%(name)s/%(time)s.jsonl".into() }
        );
        assert_eq!(
            place("ftp://me@host:2121/a/items.csv.gz?password_env=FTP"),
            FeedPlace::Ftp { server: "ftp://me@host:2121?password_env=FTP".into(), path: "a/items.csv.gz".into() }
        );
        for bad in ["s3://bucket", "s3://bucket/", "ftp://host.jsonl", "s3:items.jsonl"] {
            assert!(SinkUrl::parse(bad).is_err(), "{bad}");
        }
        let error = SinkUrl::parse("s3://AKIA:geheim@bucket/items.jsonl").expect_err("refused").to_string();
        assert!(error.contains("AWS_ACCESS_KEY_ID") && !error.contains("geheim"), "{error}");
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
    fn standard_output_is_refused_with_the_reason_and_a_dash_is_not_taken_for_a_file() {
        for text in ["-", "-:jsonlines", "-:csv", "file:-:json"] {
            let error = SinkUrl::parse(text).expect_err(text).to_string();
            assert!(error.contains("after a crash") && error.contains("weir export --format jsonl -o -"), "{error}");
        }
        for text in ["--append", "-q", "-x.jsonl"] {
            let error = SinkUrl::parse(text).expect_err(text).to_string();
            assert!(error.contains("begins with a dash") && error.contains(&format!("-o ./{text}")), "{error}");
        }
        assert_eq!(SinkUrl::parse("./-:csv"), feed("./-", FeedFormat::Csv));
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
}
