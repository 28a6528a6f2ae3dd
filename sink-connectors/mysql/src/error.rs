//! The server's errors in the words of a sink: what a failure means for a batch, what was expected, which setting to change.
//!
//! Invariant: a code decides, never a text. What is not known to be the server's or the account's is taken to be the row's.

use mysql_async::{DriverError, Error};
use weir_connector::{ErrorClass, SinkError};

/// What a failure means for the statement that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The transaction was rolled back for another's sake: at once again.
    Deadlock,
    /// The connection is gone; what was under way may or may not have happened.
    Lost,
    /// The server cannot now.
    Busy,
    /// Account, database, table or server settings are wrong.
    Setting,
    /// Certificate, name or protocol.
    Tls,
    /// A value does not fit, or a rule of the table refuses it.
    Row,
    /// Anything else.
    Broken,
}

/// Reads the meaning off the code.
pub(crate) fn meaning(error: &Error) -> Meaning {
    match error {
        Error::Server(error) => code_meaning(error.code, &error.state),
        Error::Io(mysql_async::IoError::Tls(_)) => Meaning::Tls,
        Error::Io(_) if weir_connector::is_of_tls(error) => Meaning::Tls,
        Error::Io(_) => Meaning::Lost,
        Error::Driver(DriverError::PacketTooLarge) => Meaning::Row,
        Error::Driver(DriverError::NoClientSslFlagFromServer) => Meaning::Tls,
        Error::Driver(
            DriverError::ConnectionClosed | DriverError::PacketOutOfOrder | DriverError::UnexpectedPacket { .. },
        ) => Meaning::Lost,
        Error::Driver(
            DriverError::UnknownAuthPlugin { .. }
            | DriverError::CleartextPluginDisabled
            | DriverError::MysqlOldPasswordDisabled,
        ) => Meaning::Setting,
        _ => Meaning::Broken,
    }
}

fn code_meaning(code: u16, state: &str) -> Meaning {
    match code {
        // Deadlock; MariaDB's "record has changed since last read" of snapshot isolation.
        1213 | 1020 => Meaning::Deadlock,
        // Connections that the server ended: shutdown, kill, network.
        1053 | 1077 | 1158..=1161 | 1184 | 1927 | 2006 | 2013 | 4031 => Meaning::Lost,
        // Lock wait, too many connections, interrupted, out of time, out of room, read-only for now.
        1205 | 1040 | 1203 | 1226 | 1317 | 1969 | 3024 | 1021 | 1114 | 1030 | 1026 | 3 | 28 | 1037 | 1038 | 1290
        | 1836 | 1792 => Meaning::Busy,
        // Rights, accounts, things that are not there.
        1044 | 1045 | 1049 | 1142 | 1143 | 1146 | 1054 | 1227 | 1370 | 1698 | 1130 | 1129 | 1251 | 1275 | 1820
        | 3118 | 3159 | 4151 => Meaning::Setting,
        _ if state.starts_with("42") || state.starts_with("08") => match code {
            1118 | 1153 => Meaning::Row, // too large for a page, too large for a packet
            _ => Meaning::Broken,
        },
        _ => Meaning::Row,
    }
}

/// What the server said, without the client's own words around it.
pub(crate) fn said(error: &Error) -> String {
    match error {
        Error::Server(error) => format!("{} (error {})", error.message, error.code),
        Error::Io(error) => error.to_string(),
        Error::Driver(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// An error of the server or the connection as the sink's.
pub(crate) fn sink_error(action: &str, place: &str, error: &Error) -> SinkError {
    use ErrorClass::{Configuration, Permanent, Transient};
    let code = if let Error::Server(error) = error { error.code } else { 0 };
    let (class, expected, todo) = match (code, meaning(error)) {
        (1045 | 1698 | 1251, _) => (
            Configuration,
            "an account with its password",
            "Correct the user in -o mysql://USER@..., and the password in WEIR_MYSQL_PASSWORD, password_env= or password_file=",
        ),
        (1049, _) => (
            Configuration,
            "an existing database",
            "Make it (CREATE DATABASE ... CHARACTER SET utf8mb4), or correct the database in -o mysql://HOST/DATABASE/TABLE",
        ),
        (1130 | 1129, _) => (
            Configuration,
            "a server that lets this machine in",
            "Make the account for this host (CREATE USER 'name'@'host'), or connect from another",
        ),
        (1044 | 1142 | 1143 | 1227 | 1370, _) => (
            Configuration,
            "an account that may read and write the tables, and make them when they are not there",
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX on the database, or use another user in -o mysql://USER@...",
        ),
        (1146 | 1054, _) => (
            Permanent,
            "the tables as they were at the start",
            "Run the same command again: the tables are made anew or compared, and every item is written",
        ),
        (1290 | 1836 | 1792, _) => (
            Transient,
            "a server that takes writes",
            "Switch read_only off, or name the primary server in -o mysql://...; it is tried again",
        ),
        (1021 | 1114 | 1030 | 1026 | 3 | 28, _) => {
            (Transient, "free space", "Make room on the server's disk; the crawl goes on by itself")
        }
        (1040 | 1203 | 1226, _) => {
            (Transient, "a free connection", "Raise max_connections, or end other programs; it is tried again")
        }
        (_, Meaning::Deadlock | Meaning::Busy) => (
            Transient,
            "a table that others lock only for moments",
            "End the other program's transaction; it is tried again",
        ),
        (_, Meaning::Lost) => (
            Transient,
            "a server that answers",
            "Check host and port in -o mysql://HOST:PORT/..., and that the server runs; it is tried again",
        ),
        (_, Meaning::Tls) => (
            Configuration,
            "a server with TLS and a certificate that is trusted here",
            "Name its authority by tls_ca=PATH, correct the host's name, or leave out tls= for a server without TLS",
        ),
        (_, Meaning::Setting) => {
            (Configuration, "a server set up for this", "Correct the server's settings or the URL")
        }
        (_, Meaning::Row | Meaning::Broken) => {
            (Permanent, "a working database", "Read the server's log, then run the same command again")
        }
    };
    SinkError::new(class, format!("cannot {action}: {}", said(error)), place.to_owned(), expected, todo)
}

/// The batch took longer than the setting allows.
pub(crate) fn timed_out(action: &str, place: &str, setting: &str) -> SinkError {
    SinkError::new(
        ErrorClass::Transient,
        format!("cannot {action}: no answer in time"),
        place.to_owned(),
        "a server that answers",
        format!("Check host, port and network, or raise {setting}= in the sink's URL; it is tried again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, state: &str) -> Error {
        Error::Server(mysql_async::ServerError { code, message: "said".to_owned(), state: state.to_owned() })
    }

    #[test]
    fn a_code_decides_what_is_done() {
        for (code, state, expected) in [
            (1213, "40001", Meaning::Deadlock),
            (1205, "HY000", Meaning::Busy),
            (1114, "HY000", Meaning::Busy),
            (2013, "HY000", Meaning::Lost),
            (1406, "22001", Meaning::Row),
            (4025, "23000", Meaning::Row),
            (3819, "HY000", Meaning::Row),
            (1366, "HY000", Meaning::Row),
            (1644, "45000", Meaning::Row),
            (1153, "08S01", Meaning::Row),
            (1064, "42000", Meaning::Broken),
            (1142, "42000", Meaning::Setting),
        ] {
            assert_eq!(meaning(&server(code, state)), expected, "{code}");
        }
    }

    #[test]
    fn an_error_names_the_setting_to_change() {
        for (code, class, word) in [
            (1045, ErrorClass::Configuration, "password_env"),
            (1049, ErrorClass::Configuration, "CREATE DATABASE"),
            (1142, ErrorClass::Configuration, "GRANT"),
            (1290, ErrorClass::Transient, "read_only"),
            (1114, ErrorClass::Transient, "room"),
            (1146, ErrorClass::Permanent, "again"),
        ] {
            let error = sink_error("write", "mysql://***@h/db/t", &server(code, "HY000"));
            assert!(error.class == class && error.todo.contains(word), "{code}: {error}");
        }
    }
}
