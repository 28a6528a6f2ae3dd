//! The practice site without the `weir` binary: `cargo run -p weir-site --example serve -- PORT PAGES`.

use std::io::Read;
use weir_site::{Site, SiteOptions};

fn main() -> std::io::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let mut options = SiteOptions::default();
    options.port = numbers.next().and_then(|port| u16::try_from(port).ok()).unwrap_or(9_312);
    options.pages = numbers.next().unwrap_or(options.pages);
    let site = Site::spawn(options)?;
    println!("{}", site.url("/"));
    // Until the other end of standard input is closed.
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
