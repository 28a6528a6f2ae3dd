//! Real servers for tests, and a proxy that breaks connections to them on command.
//!
//! Decides how long a server lives: as long as its [`Service`], or as this process for the shared ones, and never longer,
//! however the process ends. Must not know what the tests do with a server. The servers themselves are the scripts of
//! `infra/services`; docs/services.md tells a person the same.

mod certificate;
mod kind;
mod proxy;
mod service;
mod shared;
mod wait;

pub use certificate::Certificate;
pub use kind::Kind;
pub use proxy::{Fault, FaultProxy, Seen};
pub use service::{Builder, Service};
pub use wait::within;
