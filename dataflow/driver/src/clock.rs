//! The one place where the driver reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use weir_model::{Clock, Tick};

/// One wall reading at the start, the monotonic clock since: a step of the wall clock changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    wall_us: u64,
    started: Instant,
}

impl SystemClock {
    /// Reads the wall clock, once.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the adapter that others are told the time by")]
    pub fn start() -> SystemClock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SystemClock { wall_us: wall.as_micros() as u64, started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Tick {
        Tick(self.wall_us).after(self.started.elapsed())
    }
}
