//! What a crawl must find, one JSON line a listing: `cargo run -p weir-site --example truth -- PAGES BASE`.
//! `tests/bench/run.py` compares every crawler's output with it.

use std::io::{self, Write};
use weir_site::SiteOptions;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pages = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let base = arguments.next().unwrap_or_else(|| "http://localhost:9312".to_owned());
    let origin = base.match_indices('/').nth(2).map_or(base.as_str(), |(at, _)| &base[..at]);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for listing in (SiteOptions { pages, ..SiteOptions::default() }).portal().iter() {
        // Debug text of a Rust string without control characters is JSON: the generator's values have none.
        writeln!(
            out,
            "{{\"title\": {:?}, \"price\": {}, \"description\": {:?}, \"address\": {:?}, \"image_urls\": {:?}, \"url\": {:?}}}",
            listing.title,
            listing.price,
            listing.description,
            listing.address,
            listing.image_urls(origin),
            listing.url(&base)
        )?;
    }
    out.flush()
}
