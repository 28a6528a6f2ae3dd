//! Waiting by polling, for tests: never a fixed time, always a deadline.

use std::time::{Duration, Instant};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks `what` every few milliseconds until it gives something; `None` when `limit` has passed without.
#[allow(clippy::disallowed_methods)] // a test's wait for an outside process: this is the adapter
pub fn within<T>(limit: Duration, mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = what() {
            return Some(found);
        }
        if began.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
