//! SQLite: a typed table for each item type, one row an item, the newest version; an R*Tree for each place.
//!
//! Decides tables, columns and the upsert. Knows no queue and no other sink.
//!
//! Invariants: a row keeps its rowid for life; an R*Tree has exactly the rows whose place is known (triggers keep it, whoever
//! writes); identifiers come from an allow-list, values are bound; a batch is one transaction, synced before it is called stored.

mod error;
mod near;
mod place;
mod readback;
mod schema;
mod sink;
mod table;

pub use near::SqliteReader;
pub use sink::SqliteSink;
