//! A process of its own, so that its peak of memory is that of this test.

mod common;

use common::*;
use futures_util::StreamExt;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use weir_fetch::{ByteBudget, Fetcher, Guard};

const BODY_BYTES: usize = 5_000_000;
const AT_ONCE: usize = 100;
const BUDGET_BYTES: u64 = 64 << 20;
/// Beside the budget: what a request may hold without asking, and hyper's and the server's own buffers.
const BESIDE_BYTES: u64 = AT_ONCE as u64 * (256 << 10) + (24 << 20);

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_ascii_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kilobytes") * 1024
}

/// Fetches the same body three hundred times, a hundred at once, and uses each as the handler does: before anything is awaited.
async fn fetch_all(headers: String, body: Vec<u8>) -> u64 {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    let answer: Rc<[u8]> = [answer.as_bytes(), &body].concat().into();
    drop(body);
    let server = Server::start(move |mut peer| {
        let answer = Rc::clone(&answer);
        async move { while peer.request().await.is_some() && peer.send(&answer).await {} }
    })
    .await;
    let mut guard = Guard::new();
    guard.allow_host("localhost");
    let budget = Arc::new(ByteBudget::new(BUDGET_BYTES));
    let fetcher = Fetcher::new(Arc::new(settings()), Arc::new(guard), budget, RuntimeClock::start());
    let release = release(&server.url("/"));
    let before = peak_bytes();
    let fetches = (0..3 * AT_ONCE).map(|_| async {
        let fetched = fetcher.fetch(&release).await;
        assert_eq!(page(&fetched).1.len(), BODY_BYTES);
    });
    futures_util::stream::iter(fetches).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    peak_bytes() - before
}

#[test]
fn a_hundred_large_answers_at_once_stay_within_the_budget() {
    run_untimed(async {
        let text = b"<li><a href=\"/properties/property_000000.html\">a flat in Leeds</a></li>\n";
        let mut page: Vec<u8> = text.iter().copied().cycle().take(BODY_BYTES).collect();
        // Compresses to less than a request may hold without asking, and just within the allowed ratio.
        for at in (0..page.len()).step_by(1000) {
            page[at] = b'0' + (at * 7919 % 43) as u8;
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&page).expect("into memory");
        let packed = encoder.finish().expect("into memory");
        assert!(packed.len() < 200 << 10 && page.len() / packed.len() < 200, "{} bytes", packed.len());
        // The encoded ones first: a peak never falls.
        let encoded = fetch_all("Content-Encoding: gzip\r\n".into(), packed).await;
        let plain = fetch_all(String::new(), page).await;
        println!("peak above the start: {} MB encoded, {} MB plain", encoded >> 20, plain >> 20);
        // Decoded one at a time: room for its output beside what the requests hold.
        assert!(encoded < BESIDE_BYTES + 2 * BODY_BYTES as u64, "{} MB", encoded >> 20);
        assert!(plain < BUDGET_BYTES + BESIDE_BYTES, "{} MB", plain >> 20);
    });
}
