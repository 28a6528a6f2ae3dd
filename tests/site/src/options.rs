//! How the site is started.

use crate::portal::{PER_PAGE, Portal};
use std::path::PathBuf;
use std::time::Duration;

/// Options of the site; `SiteOptions::default()` is the site of the documentation, on a free port.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Everything on the site follows from this number.
    pub seed: u64,
    /// Index pages, 30 listings each.
    pub pages: usize,
    /// Listings; `None`: what the index pages hold, except that 1,667 pages hold 50,000, the last one 20.
    pub listings: Option<usize>,
    /// Threads that serve (`Site::spawn` only).
    pub threads: usize,
    /// Wait before every answer.
    pub latency: Duration,
    /// Where to write the access log.
    pub log: Option<PathBuf>,
    /// Requests that the log remembers in memory, at least.
    pub log_entries_max: usize,
    /// Geocoding calls that are answered a second; `None`: all.
    pub geocode_per_second: Option<u32>,
    /// Gated pages that a log-in opens.
    pub session_views_max: u32,
}

/// The book's portal.
const PAGES: usize = 1_667;
const LISTINGS: usize = 50_000;

impl Default for SiteOptions {
    fn default() -> Self {
        SiteOptions {
            port: 0,
            seed: 1,
            pages: PAGES,
            listings: None,
            threads: 1,
            latency: Duration::ZERO,
            log: None,
            // A whole crawl of the portal many times over; about 100 bytes each.
            log_entries_max: 1_000_000,
            geocode_per_second: None,
            session_views_max: u32::MAX,
        }
    }
}

impl SiteOptions {
    /// A small site for tests: so many listings on a free port.
    pub fn with_listings(listings: usize) -> SiteOptions {
        SiteOptions { pages: listings.div_ceil(PER_PAGE), listings: Some(listings), ..SiteOptions::default() }
    }

    /// The generator of the canonical host's portal.
    pub fn portal(&self) -> Portal {
        let whole = if self.pages == PAGES { LISTINGS } else { self.pages * PER_PAGE };
        Portal::new(self.seed, self.listings.unwrap_or(whole))
    }
}
