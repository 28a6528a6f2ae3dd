//! The function's clock: one wall reading an invocation, the monotonic clock within it.
//!
//! A frozen sandbox may not count the time it was frozen, so a reading of a former invocation means nothing. Within an invocation
//! a step of the wall clock changes nothing: slots are judged by one line of time.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use weir_model::{Clock, Tick};

/// A clock that is set at the beginning of every invocation.
#[derive(Debug)]
pub struct InvocationClock {
    anchor: Mutex<(u64, Instant)>,
}

#[allow(clippy::disallowed_methods, reason = "this is the adapter that others are told the time by")]
fn read() -> (u64, Instant) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (wall.as_micros() as u64, Instant::now())
}

impl InvocationClock {
    /// A clock set now.
    #[must_use]
    pub fn start() -> InvocationClock {
        InvocationClock { anchor: Mutex::new(read()) }
    }

    /// Sets it by the wall clock.
    pub fn set(&self) {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = read();
    }
}

impl Clock for InvocationClock {
    fn now(&self) -> Tick {
        let (wall_us, at) = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        Tick(wall_us).after(at.elapsed())
    }
}
