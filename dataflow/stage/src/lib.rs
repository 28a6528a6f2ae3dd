//! The stage: frontier, geocoding, items and page ledger as one timely dataflow over 1 to N workers.
//!
//! Decides who owns what (domains and items by slot, slots by worker) and when a step is over. Sees no clock, no socket and
//! no disk: it is told the time with every step, and what it wants done comes back as the step's commands. The only crate
//! that names timely.

mod compute;
mod event;
mod geocode;
mod graph;
mod hash;
mod items;
mod ledger;
mod moved;
mod path;
mod record;
mod remote;
mod stage;
mod worker;

pub use compute::{ComputeId, Computed, Computing, Made, Uncomputed};
pub use event::{Again, Event, JobLive, LaneBytes, LeftOver, Poison, Step};
pub use geocode::Geocoding;
pub use items::{
    Absent, Census, Counted, Delisted, ItemCounts, KnownItem, OutboxId, OutboxItem, SeenElsewhere, SinkMasks,
    SinkVerdict, item_slot,
};
pub use ledger::page_slot;
pub use path::{ITEM_PATH, ItemStage, Passage, item_path_table};
pub use record::{item_of_record, put_known, put_known_item, read_known_item};
pub use stage::{Stage, StageConfig};
