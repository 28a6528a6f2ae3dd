//! Crash points: where a test build can be killed. In an ordinary build they are nothing at all.
//!
//! Every write, sync, rename and receipt deletion of the product passes one. With the feature `crash-points` and
//! `WEIR_CRASH_AT=N` in the environment, the process ends at once at the N-th, as `kill -9` would end it; with `WEIR_CRASH_AT=NAME`
//! at the first of that name;
//! with `WEIR_CRASH_COUNT=FILE` the number of points passed is written there at exit by whoever asks `passed()`.

/// One write, sync, rename or receipt deletion is about to happen.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_what: &'static str) {}

#[cfg(feature = "crash-points")]
pub use counted::{passed, point};

#[cfg(feature = "crash-points")]
mod counted {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static AT: OnceLock<Option<String>> = OnceLock::new();

    /// Counts the point and ends the process when it is the chosen one.
    pub fn point(what: &'static str) {
        let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        let at = AT.get_or_init(|| std::env::var("WEIR_CRASH_AT").ok());
        if at.as_ref().is_some_and(|at| at == what || at.parse() == Ok(number)) {
            eprintln!("crash point {number}: {what}");
            std::process::abort();
        }
    }

    /// How many points were passed so far.
    #[must_use]
    pub fn passed() -> u64 {
        PASSED.load(Ordering::SeqCst)
    }
}
