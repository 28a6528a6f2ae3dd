//! How long one link takes: `cargo run --release -p weir-frontier --example url_speed`.
//!
//! Prints nanoseconds per URL for `admit_form` and the fingerprint together, by kind of URL, then for a robots.txt of 200 rules.

use std::hint::black_box;
use std::time::Instant;
use weir_frontier::robots::Robots;
use weir_frontier::url::{FingerprintSeed, Scratch, admit_form};
use weir_model::JobId;

const ROUNDS: usize = 200;
const URLS: usize = 5_000;

/// A name, and the URL with a number.
type Kind = (&'static str, fn(usize) -> String);

fn main() {
    let kinds: [Kind; 7] = [
        ("listing on loopback", |n| format!("http://localhost:9312/properties/property_{n:06}.html")),
        ("ordinary https", |n| format!("https://www.example.co.uk/en/houses/{n}/three-bedrooms-in-town")),
        ("another host each time", |n| format!("https://shop{n}.example{}.com/item/{n}", n % 977)),
        ("sorted query", |n| format!("https://www.example.com/search?page={n}&sort=price")),
        ("unsorted query", |n| format!("https://www.example.com/search?sort=price&page={n}")),
        ("escapes and a fragment", |n| format!("https://www.example.com/caf%C3%A9/{n}#top")),
        ("needs everything", |n| format!("HTTP://Www.Bücher.de:80/a/../b c/{n}?ü=1&a=é")),
    ];
    let seed = FingerprintSeed::new(JobId(7), "property");
    for (name, make) in kinds {
        let urls: Vec<String> = (0..URLS).map(make).collect();
        let mut scratch = Scratch::new();
        let mut sum = 0u64;
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS / 10 {
            // An example is an adapter: it measures.
            #[allow(clippy::disallowed_methods)]
            let start = Instant::now();
            for _ in 0..10 {
                for url in &urls {
                    let admitted = admit_form(black_box(url), &mut scratch).expect("the URLs are made to be good");
                    sum = sum.wrapping_add(seed.of_get(admitted.canonical()).0 ^ admitted.domain_key().0);
                }
            }
            best = best.min(start.elapsed().as_nanos() as f64 / (10 * URLS) as f64);
        }
        println!("{name:24} {best:7.1} ns   ({}, checksum {:04x})", urls[1], black_box(sum) & 0xffff);
    }
    robots();
}

fn robots() {
    let lines: String =
        (0..200).map(|n| format!("Disallow: /{}{n}/*private\n", char::from(b'a' + (n % 26) as u8))).collect();
    let rules = Robots::parse(format!("User-agent: *\n{lines}").as_bytes()).rules_for("weir");
    let urls: Vec<String> =
        (0..URLS).map(|n| format!("http://localhost:9312/properties/property_{n:06}.html")).collect();
    // An example is an adapter: it measures.
    #[allow(clippy::disallowed_methods)]
    let start = Instant::now();
    let mut allowed = 0;
    for _ in 0..ROUNDS {
        allowed += urls.iter().filter(|url| rules.allowed(black_box(url))).count();
    }
    let nanos = start.elapsed().as_nanos() as f64 / (ROUNDS * URLS) as f64;
    println!(
        "{:24} {nanos:7.1} ns   ({} rules in {} bytes, {allowed} allowed)",
        "robots.txt",
        rules.len(),
        rules.bytes()
    );
}
