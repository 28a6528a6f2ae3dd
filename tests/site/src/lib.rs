//! The practice site: a deterministic property portal on loopback that spiders can be tried on, with knobs, log-ins, an
//! API, and a section that misbehaves.
//!
//! The generator (`Portal`) is pure and public: a test compares what a crawl stored with what the generator says. The
//! server keeps an access log by arrival, which tests use as the judge of politeness. It binds loopback only.
//!
//! ```
//! let site = weir_site::Site::spawn(weir_site::SiteOptions::with_listings(90)).unwrap();
//! assert_eq!(site.portal().pages(), 3);
//! assert!(site.url("/properties/index_00000.html").starts_with("http://localhost:"));
//! assert!(site.log().is_empty());
//! ```

mod clock;
mod knobs;
mod log;
mod options;
mod pages;
mod portal;
mod reply;
mod request;
mod serve;

pub use clock::UnixMicros;
pub use log::Access;
pub use options::SiteOptions;
pub use portal::{Day, IMAGE_COUNT, Listing, PER_PAGE, Place, Portal};
pub use serve::{Site, SiteHandle};
