//! The generator: what every listing of the portal is, as a function of the seed, and how it is written on a page.
//!
//! Pure: no clock, no socket, no state. The server renders pages with it and tests compare a crawl's store with it, so
//! each field is written by one function in two forms: the value that a spider must extract, and the markup it stands in.

mod day;
mod dice;
mod facts;
mod geo;
mod listing;
mod words;

pub use day::Day;
pub(crate) use dice::{Dice, mix};
pub(crate) use facts::{Facts, Form, push_escaped};
pub use geo::Place;
pub(crate) use geo::locate;
pub use listing::Listing;
pub(crate) use listing::{push_image_path, push_page_name as listing_page_name};

/// Listings on an index page.
pub const PER_PAGE: usize = 30;
/// Images that the site has: `/images/i00.jpg` to `/images/i49.jpg`.
pub const IMAGE_COUNT: usize = 50;

/// A property portal: a seed and a number of listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portal {
    seed: u64,
    listings: usize,
}

impl Portal {
    /// The portal of a seed.
    pub fn new(seed: u64, listings: usize) -> Portal {
        Portal { seed, listings }
    }

    /// The portal that a virtual host shows: `localhost`, `127.0.0.1` and `[::1]` (with or without a port) the canonical
    /// one, every other host one of its own, so that a crawl which mixes hosts up is found out.
    pub fn for_host(self, host: &str) -> Portal {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        match name {
            "localhost" | "127.0.0.1" | "[::1]" | "" => self,
            other => {
                let name = other.to_ascii_lowercase();
                Portal { seed: mix(self.seed ^ xxhash_rust::xxh3::xxh3_64(name.as_bytes())), ..self }
            }
        }
    }

    /// Its seed.
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// How many listings there are.
    pub fn listings(self) -> usize {
        self.listings
    }

    /// How many index pages there are: 30 listings each, the last page holds the rest.
    pub fn pages(self) -> usize {
        self.listings.div_ceil(PER_PAGE)
    }

    /// A listing as a spider must extract it.
    ///
    /// # Panics
    /// When there is no listing with this number.
    pub fn listing(self, number: usize) -> Listing {
        assert!(number < self.listings, "listing {number} of {}", self.listings);
        Listing::of(&self.facts(number, None).expect("without a day every listing is there"))
    }

    /// A listing on a day of the date knob; `None` when it is not (or no longer) offered on that day.
    pub fn listing_on(self, number: usize, day: Day) -> Option<Listing> {
        (number < self.listings).then(|| self.facts(number, Some(day)))?.map(|facts| Listing::of(&facts))
    }

    /// All listings, in order.
    pub fn iter(self) -> impl Iterator<Item = Listing> {
        (0..self.listings).map(move |number| self.listing(number))
    }

    pub(crate) fn facts(self, number: usize, day: Option<Day>) -> Option<Facts> {
        Facts::of(Dice::new(self.seed, number as u64), number, day)
    }
}

/// Appends a number with at least `width` digits.
pub(crate) fn push_number(out: &mut String, number: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    for _ in digits.len()..width {
        out.push('0');
    }
    out.push_str(digits);
}
