//! A process of its own, so that its peak of memory is that of this test.

mod common;

use common::*;
use std::sync::Arc;
use weir_fetch::{ByteBudget, Fetcher, Guard};

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_ascii_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kilobytes") / 1024
}

#[test]
fn a_hundred_answers_of_five_megabytes_at_once_stay_under_250_mb() {
    run_untimed(async {
        let body: Arc<[u8]> = vec![b'x'; 5_000_000].into();
        let server = Server::start(move |mut peer| {
            let body = Arc::clone(&body);
            async move {
                while peer.request().await.is_some() {
                    if !peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await
                        || !peer.send(&body).await
                    {
                        return;
                    }
                }
            }
        })
        .await;
        let mut guard = Guard::new();
        guard.allow_host("localhost");
        let budget = Arc::new(ByteBudget::new(64 << 20));
        let fetcher = Fetcher::new(Arc::new(settings()), Arc::new(guard), budget, RuntimeClock::start());
        let release = release(&server.url("/"));
        let fetches = (0..3 * 100).map(|_| async {
            let fetched = fetcher.fetch(&release).await;
            assert_eq!(page(&fetched).1.len(), 5_000_000);
        });
        use futures_util::StreamExt;
        futures_util::stream::iter(fetches).buffer_unordered(100).collect::<Vec<()>>().await;
        let peak = peak_mb();
        println!("peak {peak} MB");
        assert!(peak < 250, "{peak} MB");
    });
}
