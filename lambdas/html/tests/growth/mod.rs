//! Whether time grows with the page and no faster. Shared by the hostile tests.
//!
//! Eight readings of a page are timed against one reading of a page eight times as long: equal work for a linear reader,
//! and a busy machine disturbs both alike; a quadratic one takes eight times as long for the second.

use std::time::{Duration, Instant};

/// How much longer the second may take; caches and page faults make up to two.
const FACTOR_MAX: f64 = 3.5;
/// Least times become true ones the more rounds there are. Most pages need three.
const ROUNDS_MAX: usize = 25;

/// The page of `lead`, many times `unit`, and `tail`.
pub fn page_of(lead: &str, unit: &str, tail: &str, bytes: usize) -> String {
    format!("{lead}{}{tail}", unit.repeat(bytes / unit.len()))
}

/// Panics if reading `large` takes much longer than reading `small` eight times.
pub fn assert_linear(label: &str, small: &str, large: &str, mut read: impl FnMut(&str)) {
    let mut time = |page: &str, times: usize| {
        let start = Instant::now();
        for _ in 0..times {
            read(page);
        }
        start.elapsed()
    };
    // Below half a millisecond a ratio says nothing.
    let (mut short, mut long) = (Duration::MAX, Duration::MAX);
    for round in 1..=ROUNDS_MAX {
        short = short.min(time(small, 8)).max(Duration::from_micros(500));
        long = long.min(time(large, 1));
        if round >= 3 && long < short.mul_f64(FACTOR_MAX) {
            return;
        }
    }
    panic!("{label}: {short:?} for eight small pages, {long:?} for one that is eight times as long");
}
