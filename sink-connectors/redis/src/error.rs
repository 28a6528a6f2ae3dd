//! The server's errors in the words of a sink: class, what was expected, which setting to change.
//!
//! Invariant: a code decides, never a text, but for a right that a script lacks: the server gives it no code of its own. A server that cannot be reached is transient: whether a crawl goes on without it is not
//! decided here.

use redis::{ErrorKind, RedisError, ServerError};
use weir_connector::{ErrorClass, SinkError};

/// What an error's code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The connection is gone or silent.
    Lost,
    /// The script is not there: the server was restarted, or told to forget it.
    NoScript,
    /// The server cannot now.
    Busy,
    /// Memory is used up.
    Full,
    /// Account or kind of server are wrong.
    Setting,
    /// Certificate, name or protocol.
    Tls,
    /// This key or value.
    Row,
    /// The client's own.
    Broken,
}

/// By the server's code.
pub(crate) fn code_meaning(code: &str) -> Meaning {
    match code {
        "NOSCRIPT" => Meaning::NoScript,
        "OOM" => Meaning::Full,
        "LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" | "MISCONF" | "READONLY" | "NOREPLICAS" => {
            Meaning::Busy
        }
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "MOVED" | "ASK" | "CROSSSLOT" => Meaning::Setting,
        _ => Meaning::Row,
    }
}

/// The server's code; `NOPERM` also for a command in a script that the account may not use.
pub(crate) fn code_of(error: &ServerError) -> &str {
    code_by(error.code(), error.details().unwrap_or_default())
}

fn code_by<'a>(code: &'a str, details: &str) -> &'a str {
    // As Redis 6 and 7.0 say it, and later ones.
    let of_rights = ["The user executing the script can't", "ACL failure in script"];
    if code == "ERR" && of_rights.iter().any(|words| details.contains(words)) { "NOPERM" } else { code }
}

/// As `code_of`; empty when the server gave none.
fn code(error: &RedisError) -> &str {
    code_by(error.code().unwrap_or_default(), error.detail().unwrap_or_default())
}

pub(crate) fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        ErrorKind::Io if weir_connector::is_of_tls(error) => Meaning::Tls,
        ErrorKind::Io | ErrorKind::Parse => Meaning::Lost,
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => Meaning::Setting,
        ErrorKind::Server(_) | ErrorKind::Extension if !code(error).is_empty() => code_meaning(code(error)),
        _ => Meaning::Broken,
    }
}

/// An error of the server or the connection as the sink's.
pub(crate) fn sink_error(action: &str, place: &str, error: &RedisError) -> SinkError {
    // The server's words; it never repeats a password.
    by_meaning(action, place, meaning(error), code(error), &error.to_string())
}

/// What an account must be allowed to, commands of the scripts included; a test takes every one of them away in turn.
const RIGHTS: &str = "Run on the server: ACL SETUSER USER ~PREFIX* +select +eval +evalsha +script|load +time +get +set +mget +exists +del \
                      +pexpire +scan +hset +hget +hmget +hgetall +sadd +srem +smembers +sismember +geoadd +geosearch +zscore +zrem \
                      (PREFIX is weir: where the URL has no prefix=), or name another user in the URL";

/// The server has no database of this number.
pub(crate) fn no_database(number: i64, place: &str, error: &RedisError) -> SinkError {
    SinkError::new(
        ErrorClass::Configuration,
        format!("cannot use database {number}: {error}"),
        place.to_owned(),
        "the number of a database that the server has: 0 to 15, where its configuration says nothing else, 0 alone in a cluster",
        "Correct the number behind the server in redis://HOST:PORT/NUMBER, or raise `databases` in the server's configuration",
    )
}

pub(crate) fn by_meaning(action: &str, place: &str, meaning: Meaning, code: &str, said: &str) -> SinkError {
    use ErrorClass::{Configuration, Permanent, Transient};
    let (class, expected, todo) = match (meaning, code) {
        (Meaning::Lost, _) => (
            Transient,
            "a server that answers",
            "Check host and port in -o redis://HOST:PORT/..., and that the server runs; it is tried again",
        ),
        (Meaning::Tls, _) => (
            Configuration,
            "a server with TLS and a certificate that is trusted here",
            "Name its authority by tls_ca=PATH, correct the host's name, or begin with redis:// for a server without TLS",
        ),
        (Meaning::Full, _) => (
            Transient,
            "free memory",
            "Raise maxmemory on the server, or give items a life (?ttl=30d); it is tried again",
        ),
        (Meaning::Busy, "MISCONF") => {
            (Transient, "a server that can save", "Make room on the server's disk; it is tried again")
        }
        (Meaning::Busy, "READONLY") => (
            Transient,
            "a server that takes writes",
            "Name the primary server in -o redis://HOST:PORT/...; it is tried again",
        ),
        (Meaning::Busy | Meaning::NoScript, _) => (Transient, "a server that is ready", "It is tried again"),
        (Meaning::Setting, "NOPERM") => (Configuration, "an account with all the rights that weir needs", RIGHTS),
        (Meaning::Setting, "MOVED" | "ASK" | "CROSSSLOT") => {
            (Configuration, "a single server", "A cluster is not supported: name a server that is none")
        }
        (Meaning::Setting, _) => (
            Configuration,
            "the server's password",
            "Set WEIR_REDIS_PASSWORD, or name it with ?password_env=NAME or ?password_file=PATH; correct the user in the URL",
        ),
        (Meaning::Row, "WRONGTYPE") => {
            (Configuration, "keys of weir's own", "Another program uses these names: choose another with ?prefix=")
        }
        (Meaning::Row | Meaning::Broken, _) => {
            (Permanent, "a working server", "Read the server's log, then run the same command again")
        }
    };
    SinkError::new(class, format!("cannot {action}: {said}"), place.to_owned(), expected, todo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_to_change() {
        for (code, class, word) in [
            ("OOM", ErrorClass::Transient, "maxmemory"),
            ("MISCONF", ErrorClass::Transient, "disk"),
            ("READONLY", ErrorClass::Transient, "primary"),
            ("NOAUTH", ErrorClass::Configuration, "WEIR_REDIS_PASSWORD"),
            ("NOPERM", ErrorClass::Configuration, "ACL"),
            ("MOVED", ErrorClass::Configuration, "cluster"),
            ("WRONGTYPE", ErrorClass::Configuration, "prefix"),
        ] {
            let error = by_meaning("write", "redis://h/0", code_meaning(code), code, "said");
            assert!(error.class == class && error.todo.contains(word), "{code}: {error}");
        }
    }
}
