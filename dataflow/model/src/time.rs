//! Time as an argument. Invariant: a `Tick` and a `UnixMs` are never mixed up, since they are types.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Microseconds on the stage's clock: one wall reading at the start of the process plus the monotonic clock since then. It
/// therefore never goes back within a process, and comparing it across restarts is as good as the machine's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// The end of time: never due.
    pub const NEVER: Tick = Tick(u64::MAX);

    /// This tick plus `duration`, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Tick {
        self.after_us(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    /// This tick plus `us` microseconds, saturating.
    #[must_use]
    pub fn after_us(self, us: u64) -> Tick {
        Tick(self.0.saturating_add(us))
    }

    /// How long from `earlier` to this one; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The same instant in milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> UnixMs {
        UnixMs(self.0 / 1000)
    }
}

/// Milliseconds since the Unix epoch, UTC. What people and sinks see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

/// The one way in which adapters give the time to others. Logic never holds one: it is told a `Tick`.
pub trait Clock: Send + Sync {
    /// The stage's time.
    fn now(&self) -> Tick;
}
