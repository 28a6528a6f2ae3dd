//! Redis: a hash for each item, a geo set for each place field, and a cache of geocodes.
//!
//! Decides keys, the guarded write and how long what is written lives. Knows no queue and no other sink.
//!
//! Invariants: one script compares versions and writes, so an older version never overwrites a newer one, whoever else writes; a
//! member of a geo set whose hash has expired is never shown; a server that lost its data is noticed. What is called stored is as
//! durable as the server: `appendonly yes` and `appendfsync always` keep it over a crash. The connection lives on a thread of its
//! own, so the sink may be driven from any runtime, or from none.

mod cache;
mod error;
mod link;
mod near;
mod place;
mod readback;
mod row;
mod schema;
mod script;
mod sink;

pub use cache::RedisCache;
pub use near::RedisReader;
pub use place::RedisPlace;
pub use sink::RedisSink;
