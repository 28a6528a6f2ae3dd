//! the SQLite sink.
