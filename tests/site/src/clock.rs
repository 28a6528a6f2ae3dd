//! The one clock of the site: one wall reading at the start, the monotonic clock from then on, so that arrivals never go
//! backwards.

use std::time::{Duration, Instant, SystemTime};

/// Microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMicros(pub u64);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Duration,
    started: Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "the site is an adapter; this is its only clock")]
    pub fn start() -> Clock {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { wall, started: Instant::now() }
    }

    #[allow(clippy::disallowed_methods, reason = "as above")]
    pub fn now(&self) -> UnixMicros {
        let micros = (self.wall + Instant::now().duration_since(self.started)).as_micros();
        UnixMicros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
