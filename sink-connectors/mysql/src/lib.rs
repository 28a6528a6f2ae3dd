//! MySQL 8 and MariaDB: a typed table for each item type, one row an item, the newest version; price history beside it.
//!
//! Decides tables, columns, the guarded write and how a batch with a bad row is split. Knows no queue and no other sink.
//!
//! Invariants: an older version never overwrites a newer one; identifiers come from an allow-list and are quoted, values are
//! bound; text is cut between characters, counted and said; a batch is one transaction; a row that the server refuses is refused
//! alone. The connection lives on a thread of its own, so the sink may be driven from any runtime, or from none.

mod error;
mod history;
mod link;
mod near;
mod place;
mod readback;
mod row;
mod schema;
mod sink;
mod split;
mod table;
mod write;

pub use near::MysqlReader;
pub use place::{MysqlPlace, Tls, WriteMode};
pub use sink::MysqlSink;
