//! Knobs in the path: `/large`, `/date:2026-11-21`, `/gzip`, `/latency:50ms`, and those of the book's benchmark
//! (`/ti:5000/dp:20`). They stand before the page in any order, so that a spider's `base` turns them and relative links
//! keep them.

use crate::portal::Day;
use std::time::Duration;

/// What the knobs of a path say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Knobs {
    /// Listing pages of 31 kB.
    pub large: bool,
    /// The portal as it is on a day.
    pub day: Option<Day>,
    /// Compress when the client takes it.
    pub gzip: bool,
    /// Wait before the answer.
    pub latency: Duration,
    /// How many path segments the knobs are, which is how far the root is above a page's folder.
    pub depth: usize,
    pub bench: Bench,
}

/// The book's knobs; waits are in seconds there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bench {
    pub total_items: u64,
    pub details_per_index: u64,
    pub items_per_detail: u64,
    pub detail_extra_bytes: usize,
    pub index_ahead: u64,
    pub wait: Duration,
    pub api_wait: Option<Duration>,
    pub detail_wait: Option<Duration>,
    pub index_wait: Option<Duration>,
}

/// No knob makes the site wait longer.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// No page is made larger by a knob.
pub(crate) const EXTRA_BYTES_MAX: usize = 64 << 20;

impl Default for Knobs {
    fn default() -> Self {
        let bench = Bench {
            total_items: 1_000,
            details_per_index: 20,
            items_per_detail: 1,
            detail_extra_bytes: 0,
            index_ahead: 1,
            wait: Duration::ZERO,
            api_wait: None,
            detail_wait: None,
            index_wait: None,
        };
        Knobs { large: false, day: None, gzip: false, latency: Duration::ZERO, depth: 0, bench }
    }
}

impl Knobs {
    /// Takes the knobs off a path; the rest begins with `/`. A knob whose value makes no sense is none, and its path
    /// will not be found.
    pub fn parse(path: &str) -> (Knobs, &str) {
        let mut knobs = Knobs::default();
        let mut rest = path;
        while let Some(tail) = rest.strip_prefix('/') {
            let end = tail.find('/').unwrap_or(tail.len());
            if end == tail.len() || knobs.turn(&tail[..end]).is_none() {
                break;
            }
            knobs.depth += 1;
            rest = &tail[end..];
        }
        (knobs, rest)
    }

    /// Turns one knob; `None` when the segment is none.
    pub fn turn(&mut self, segment: &str) -> Option<()> {
        match segment {
            "large" => self.large = true,
            "gzip" => self.gzip = true,
            _ => {
                let (name, value) = segment.split_once(':')?;
                let count = || value.parse::<u64>().ok().map(|count| count.clamp(1, 1 << 32));
                let bench = &mut self.bench;
                match name {
                    "date" => self.day = Some(Day::parse(value)?),
                    "latency" => self.latency = duration(value)?,
                    "ti" => bench.total_items = value.parse().ok()?,
                    "dp" => bench.details_per_index = count()?,
                    "id" => bench.items_per_detail = count()?,
                    "ds" => bench.detail_extra_bytes = value.parse::<usize>().ok()?.min(EXTRA_BYTES_MAX),
                    "ip" => bench.index_ahead = value.parse::<u64>().ok()?.min(1_000),
                    "rr" => bench.wait = seconds(value)?,
                    "ar" => bench.api_wait = Some(seconds(value)?),
                    "dr" => bench.detail_wait = Some(seconds(value)?),
                    "ir" => bench.index_wait = Some(seconds(value)?),
                    _ => return None,
                }
            }
        }
        Some(())
    }
}

/// A duration with its unit: `50ms` or `2s`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let wait = match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().ok()?),
        None => Duration::from_secs(text.strip_suffix('s')?.parse().ok()?),
    };
    Some(wait.min(WAIT_MAX))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok().map(|wait| wait.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_stand_in_any_order_before_the_page() {
        let (knobs, rest) = Knobs::parse("/date:2026-11-21/large/latency:50ms/properties/index_00000.html");
        assert_eq!(rest, "/properties/index_00000.html");
        assert_eq!((knobs.large, knobs.depth, knobs.latency), (true, 3, Duration::from_millis(50)));
        assert_eq!(knobs.day, Day::parse("2026-11-21"));
    }

    #[test]
    fn what_is_no_knob_is_the_page() {
        for path in ["/", "/large", "/properties/large/x", "/date:tomorrow/x", "/latency:50/x", "/rr:-1/x", "/dp:x/y"] {
            let (knobs, rest) = Knobs::parse(path);
            assert_eq!((knobs, rest), (Knobs::default(), path));
        }
    }

    #[test]
    fn the_book_s_knobs_are_read() {
        let (knobs, rest) = Knobs::parse("/ti:5000/dp:20/id:1/ds:0/ip:1/rr:0.125/dr:0.25/benchmark/index");
        assert_eq!(rest, "/benchmark/index");
        assert_eq!(knobs.bench.total_items, 5_000);
        assert_eq!(knobs.bench.wait, Duration::from_millis(125));
        assert_eq!(knobs.bench.detail_wait, Some(Duration::from_millis(250)));
        assert_eq!(knobs.bench.index_wait, None);
    }
}
