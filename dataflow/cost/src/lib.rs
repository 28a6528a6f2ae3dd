//! What a crawl costs on AWS, before it and during it, by the same arithmetic. Pure: no clock, no I/O, no queue.
//!
//! ```text
//!  Workload + Fleet ──forecast──> Usage ──┐
//!                                         ├── Bill::of(usage, prices) ──> dollars by line
//!  what a stage counted ────measured──> Usage ──┘
//! ```
//! Decides what is billed and how often; must not know where figures come from. Invariants: a bill's lines add up to its total; more
//! of anything never costs less; more domains are never slower.

mod bill;
mod forecast;
mod measured;
mod prices;
mod rates;

pub use bill::{Bill, Line, Usage};
pub use forecast::{Bound, Fleet, Forecast, Law, Workload};
pub use measured::Measured;
pub use prices::{Architecture, PriceError, PriceTable, Prices};
pub use rates::{BILLED_UNIT_BYTES, Rates};
