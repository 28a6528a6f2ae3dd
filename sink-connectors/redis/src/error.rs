//! The server's errors in the words of a sink: class, what was expected, which setting to change.
//!
//! Invariant: a code decides, never a text. A server that cannot be reached is transient: whether a crawl goes on without it is not
//! decided here.

use redis::{ErrorKind, RedisError};
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

pub(crate) fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        ErrorKind::Io if weir_connector::is_of_tls(error) => Meaning::Tls,
        ErrorKind::Io | ErrorKind::Parse => Meaning::Lost,
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => Meaning::Setting,
        ErrorKind::Server(_) | ErrorKind::Extension => error.code().map_or(Meaning::Broken, code_meaning),
        _ => Meaning::Broken,
    }
}

/// An error of the server or the connection as the sink's.
pub(crate) fn sink_error(action: &str, place: &str, error: &RedisError) -> SinkError {
    // The server's words; it never repeats a password.
    by_meaning(action, place, meaning(error), error.code().unwrap_or_default(), &error.to_string())
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
        (Meaning::Setting, "NOPERM") => (
            Configuration,
            "an account that may use HSET, DEL, GEOADD, EVALSHA, SCRIPT and the keys of the prefix",
            "Widen its rights (ACL SETUSER), or name another user in the URL",
        ),
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
