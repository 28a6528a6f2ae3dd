//! Where the tables lie: the sink's URL, its options and its password. Pure; nothing secret is ever shown.

use percent_encoding::percent_decode_str;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;
use weir_connector::units::duration;
use weir_connector::{ErrorClass, Secret, SecretSource, SinkError, redact};

const SHAPE: &str = "mysql://USER@HOST:PORT/DATABASE/TABLE";
const OPTIONS: &str = "write=replace|update, add_columns=true|false, history=FIELD,..., tls=off|on, tls_ca=PATH, \
                       password_env=NAME, password_file=PATH, connect_timeout=10s, timeout=60s";

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// Versions are locked and compared, then the newer rows are written by a multi-row `REPLACE INTO`.
    #[default]
    Replace,
    /// `INSERT ... ON DUPLICATE KEY UPDATE` that compares versions: rows and columns of your own are kept.
    Update,
}

/// Encryption of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// None.
    #[default]
    Off,
    /// TLS with a certificate that the usual roots, or the given ones (a PEM file), vouch for.
    On {
        /// A PEM file of further roots.
        roots: Option<PathBuf>,
    },
}

/// A database, and a table in it, by URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlPlace {
    /// The URL as it may be shown.
    pub shown: String,
    /// Account.
    pub user: String,
    /// Server.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Table of the first item type; others get its name and theirs. `None`: tables are named like the item types.
    pub table: Option<String>,
    /// See there.
    pub write: WriteMode,
    /// Fields that a table lacks become columns.
    pub add_columns: bool,
    /// Fields whose changes are kept.
    pub history: Vec<String>,
    /// See there.
    pub tls: Tls,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time for a batch.
    pub timeout: Duration,
    password: SecretSource,
}

/// The variable that holds the password when the URL names no other.
pub const PASSWORD_ENV: &str = "WEIR_MYSQL_PASSWORD";

impl MysqlPlace {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<MysqlPlace, SinkError> {
        let wrong = |what: String, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, format!("-o {}", redact(text)), SHAPE, todo)
        };
        let url = Url::parse(text).map_err(|error| wrong(format!("not a URL ({error})"), "Correct the URL"))?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(wrong(format!("unknown scheme {:?}", url.scheme()), "Begin with mysql://"));
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| {
            wrong("no server named".to_owned(), "Name one, for example mysql://me@localhost/db/table")
        })?;
        let parts: Vec<String> = url.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let (database, table) = match parts.as_slice() {
            [database] => (database.clone(), None),
            [database, table] => (database.clone(), Some(table.clone())),
            [] => return Err(wrong("no database named".to_owned(), "Add it behind the server: /DATABASE/TABLE")),
            _ => return Err(wrong("more than a database and a table".to_owned(), "Remove the rest of the path")),
        };
        let usual = SecretSource::Usual(PASSWORD_ENV);
        let mut place = MysqlPlace {
            shown: redact(text),
            user: if url.username().is_empty() { "root".to_owned() } else { decoded(url.username()) },
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(3306),
            database,
            table,
            write: WriteMode::default(),
            add_columns: false,
            history: Vec::new(),
            tls: Tls::Off,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            password: url.password().map_or(usual, |given| SecretSource::Url(Secret(decoded(given)))),
        };
        for (name, value) in url.query_pairs() {
            let bad =
                |expected: &str| wrong(format!("{name}={value} is no setting"), &format!("Write {name}={expected}"));
            match (&*name, &*value) {
                ("write", "replace") => place.write = WriteMode::Replace,
                ("write", "update") => place.write = WriteMode::Update,
                ("write", _) => return Err(bad("replace or write=update")),
                ("add_columns", "true") | ("new_columns", "add") => place.add_columns = true,
                ("add_columns", "false") | ("new_columns", "refuse") => place.add_columns = false,
                ("add_columns" | "new_columns", _) => return Err(bad("true or add_columns=false")),
                ("history", fields) => {
                    place.history = fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
                }
                ("tls", "off") => place.tls = Tls::Off,
                ("tls", "on") => place.tls = Tls::On { roots: None },
                ("tls", _) => return Err(bad("off or tls=on")),
                ("tls_ca", path) => place.tls = Tls::On { roots: Some(path.into()) },
                ("password_env", variable) => place.password = SecretSource::Env(variable.to_owned()),
                ("password_file", path) => place.password = SecretSource::File(path.into()),
                ("connect_timeout", value) => place.connect_timeout = duration(value).ok_or_else(|| bad("10s"))?,
                ("timeout", value) => place.timeout = duration(value).ok_or_else(|| bad("60s"))?,
                _ => return Err(wrong(format!("unknown option {name:?}"), &format!("Use one of {OPTIONS}"))),
            }
        }
        Ok(place)
    }

    /// The password: from the URL, the variable or the file that it names, or the usual variable.
    pub fn password(&self, env: impl Fn(&str) -> Option<String>) -> Result<Secret, SinkError> {
        self.password.read("password", &self.shown, env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_server_database_table_and_options() {
        let place = MysqlPlace::parse(
            "mysql://me:p%40ss@[::1]:3307/db/properties?write=update&add_columns=true&history=price,title&timeout=500ms&tls_ca=/ca.pem",
        )
        .unwrap();
        assert_eq!((&*place.user, &*place.host, place.port), ("me", "::1", 3307));
        assert_eq!((&*place.database, place.table.as_deref()), ("db", Some("properties")));
        assert_eq!((place.write, place.add_columns), (WriteMode::Update, true));
        assert_eq!(place.history, ["price", "title"]);
        assert_eq!(place.timeout, Duration::from_millis(500));
        assert_eq!(place.tls, Tls::On { roots: Some("/ca.pem".into()) });
        assert_eq!(place.password(|_| None), Ok(Secret("p@ss".to_owned())));
        let short = MysqlPlace::parse("mysql://localhost/db").unwrap();
        assert_eq!((short.port, short.table), (3306, None));
    }

    #[test]
    fn a_password_never_shows_and_may_stand_elsewhere() {
        let place = MysqlPlace::parse("mysql://me:hunter2@h/db/t").unwrap();
        assert!(!format!("{place:?}").contains("hunter2"), "{place:?}");
        let env = |name: &str| (name == "DB_PW" || name == PASSWORD_ENV).then(|| name.to_lowercase());
        let by = |query: &str| MysqlPlace::parse(&format!("mysql://me@h/db/t{query}")).unwrap().password(env);
        assert_eq!(by(""), Ok(Secret("weir_mysql_password".to_owned())));
        assert_eq!(by("?password_env=DB_PW"), Ok(Secret("db_pw".to_owned())));
        assert!(by("?password_env=OTHER").unwrap_err().to_string().contains("OTHER"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from file\n").unwrap();
        assert_eq!(by(&format!("?password_file={}", file.path().display())), Ok(Secret("from file".to_owned())));
        assert!(by("?password_file=/nowhere").unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, word) in [
            ("mysql://u:hunter2@h", "no database"),
            ("mysql:///db/t", "no server"),
            ("mysql://u:hunter2@h/db/t/x", "more than"),
            ("mysql://u:hunter2@h/db/t?write=append", "write=append"),
            ("mysql://u:hunter2@h/db/t?charset=latin1", "unknown option \"charset\""),
            ("mysql://u:hunter2@h/db/t?timeout=5", "timeout=5"),
            ("mysql://u:hunter2@h:99999/db", "not a URL"),
            ("postgres://u:hunter2@h/db", "unknown scheme"),
        ] {
            let text = MysqlPlace::parse(url).unwrap_err().to_string();
            assert!(text.contains(word) && !text.contains("hunter2"), "{url}: {text}");
        }
    }
}
