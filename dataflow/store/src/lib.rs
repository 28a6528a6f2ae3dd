//! The state directory: one journal of checksummed groups, snapshots, a lease file, a few small documents.
//!
//! Decides how bytes become durable, how they are found again by address, and when a directory is refused. It does not
//! know what a record means (the frontier and the stage do), has no clock (time is an argument) and no threads.
//!
//! Invariants: a group is there wholly or not at all; what `sync` confirmed is found by the next `open`; groups come back in the
//! order of `append_group`; damage is refused by file name and offset and never overwritten; every write, sync, rename and
//! removal passes a crash point.
//!
//! ```no_run
//! use std::sync::Arc;
//! use weir_store::{LanePart, Options, RealDisk, Replayed, Store};
//! let disk = Arc::new(RealDisk::create(".weir/properties")?);
//! let (mut store, mut recovery) = Store::open(disk, Options::new(0x77e1))?;
//! recovery.for_each(&mut |event| {
//!     if let Replayed::Record { addr, bytes } = event {
//!         println!("{addr:?}: {} bytes", bytes.len());
//!     }
//!     Ok(())
//! })?;
//! let lane = store.allocate_lanes(1)[0];
//! store.append_group(&[LanePart { lane, offset: 0, bytes: b"\x05hello" }])?;
//! store.sync()?;
//! # Ok::<(), weir_store::StoreError>(())
//! ```

mod addr;
pub mod disk;
mod document;
mod error;
mod group;
mod index;
mod journal;
mod layout;
pub mod lease;
mod read;
mod recovery;
mod scan;
pub mod sim;
mod snapshot;
mod store;

pub use addr::{Addr, GroupSeq};
pub use disk::{Disk, DiskFile, OpenMode, RealDisk};
pub use error::StoreError;
pub use group::{BLOCK_BYTES, GROUP_BYTES_MAX, LanePart};
pub use lease::{Claim, Claimed, Known, Lease, Owner};
pub use recovery::{Recovery, Replayed, Report, TornTail};
pub use snapshot::{SnapshotInfo, SnapshotWriter};
pub use store::{Options, Retained, Store};
