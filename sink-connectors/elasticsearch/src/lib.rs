//! Elasticsearch 7.17 and 8, and OpenSearch: an index for each item type behind an alias, one document an item, the newest version.
//!
//! Decides mappings, index names, how `_bulk` requests are sized and what each answer means. Knows no queue and no other sink.
//!
//! Invariants: an older version never overwrites a newer one, of the same version the greater hash stays; mappings are explicit
//! and strict; bodies are typed JSON; nothing waits longer than the time-outs of the URL; a document that the server refuses is
//! refused alone. The connection lives on a thread of its own, so the sink may be driven from any runtime, or from none.

mod alias;
mod alone;
mod bulk;
mod error;
mod gone;
mod index;
mod link;
mod lookup;
mod migrate;
mod near;
mod place;
mod readback;
mod row;
mod schema;
mod sink;
mod size;
mod tls;
mod write;

pub use near::ElasticsearchReader;
pub use place::{ElasticsearchPlace, Tls};
pub use sink::ElasticsearchSink;
