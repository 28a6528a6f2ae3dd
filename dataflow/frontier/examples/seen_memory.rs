//! RAM of the dedup set: bytes a fingerprint, peak included, as the operating system counts them.
//!
//! `cargo run --release -p weir-frontier --example seen_memory -- [millions ...]` (default: 10 30 60)

use std::fs;
use weir_frontier::seen::Seen;

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells the memory of a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("KiB")
}

fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn main() {
    let mut marks: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    if marks.is_empty() {
        marks = vec![10, 30, 60];
    }
    let base = peak_kib();
    let slots = 64usize;
    let mut seen: Vec<Seen> = vec![Seen::default(); slots];
    let start = std::time::Instant::now();
    let mut worst = 0.0f64;
    for n in 0..marks.last().copied().unwrap_or(10) * 1_000_000 {
        let fingerprint = mix(n);
        // As in a crawl: most go to the slots of a few big domains, one slot holds a third.
        let slot = if n % 3 == 0 { 5 } else { (fingerprint >> 40) as usize % slots };
        assert!(seen[slot].insert(fingerprint), "{n} is new");
        let count = n + 1;
        if count >= 10_000_000 && count % 250_000 == 0 {
            worst = worst.max((peak_kib() - base) as f64 * 1024.0 / count as f64);
        }
        if count % 1_000_000 == 0 && marks.contains(&(count / 1_000_000)) {
            let seconds = start.elapsed().as_secs_f64();
            let peak = (peak_kib() - base) as f64 * 1024.0 / count as f64;
            let arrays = seen.iter().map(Seen::bytes).sum::<usize>() as f64 / count as f64;
            println!(
                "{:>4} M: peak {peak:.2} B a URL (arrays {arrays:.2}), worst so far {worst:.2}, {:.2} M inserts a second",
                count / 1_000_000,
                count as f64 / seconds / 1e6
            );
        }
    }
}
