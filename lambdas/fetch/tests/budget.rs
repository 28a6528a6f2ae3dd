//! Large bodies in the common memory: they take turns, hold their room while they live, and nobody waits for ever.

mod common;

use common::*;
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_fetch::{Answer, ByteBudget, FetchSettings, Fetcher, Guard, Response};

const MIB: u64 = 1 << 20;

fn fetcher_with_budget(settings: FetchSettings, budget: &Arc<ByteBudget>) -> Fetcher {
    let mut guard = Guard::new();
    guard.allow_host("localhost");
    Fetcher::new(Arc::new(settings), Arc::new(guard), Arc::clone(budget), RuntimeClock::start())
}

/// Text that compresses about tenfold.
fn listings(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 100);
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        writeln!(text, "<li><a href=\"/properties/property_{n:06}.html\">flat {}</a></li>", n * 7919 % 100_003)
            .expect("into memory");
    }
    text.truncate(bytes);
    text
}

/// Answers `/declared`, `/close` and `/gzip` with the same body, each in its way.
async fn server(body: Vec<u8>) -> Server {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&body).expect("into memory");
    let (plain, packed) = (Rc::new(body), Rc::new(encoder.finish().expect("into memory")));
    Server::start(move |mut peer| {
        let (plain, packed) = (Rc::clone(&plain), Rc::clone(&packed));
        async move {
            while let Some(request) = peer.request().await {
                if request.starts_with("GET /close") {
                    peer.answer_until_close("", &*plain).await;
                    return;
                }
                let packed_is_wanted = request.starts_with("GET /gzip");
                let (headers, body) =
                    if packed_is_wanted { ("Content-Encoding: gzip\r\n", &packed) } else { ("", &plain) };
                if !peer.answer("200 OK", headers, &**body).await {
                    return;
                }
            }
        }
    })
    .await
}

fn response(answer: Answer) -> Response {
    match answer {
        Answer::Response(response) => response,
        other => panic!("expected an answer, got {other:?}"),
    }
}

#[test]
fn a_hundred_large_answers_take_turns_and_all_of_them_end() {
    run_untimed(async {
        const BYTES: usize = 5_000_000;
        let server = server(listings(BYTES)).await;
        let budget = Arc::new(ByteBudget::new(16 * MIB));
        let fetcher = fetcher_with_budget(settings(), &budget);
        let (held, held_max) = (Cell::new(0), Cell::new(0));
        let all = (0..100).map(|number| {
            // What does not tell its length asks for the most that a body may have.
            let release = release(&server.url(if number % 10 == 0 { "/close" } else { "/declared" }));
            let (fetcher, held, held_max) = (&fetcher, &held, &held_max);
            async move {
                let response = response(fetcher.fetch(&release).await.answer);
                assert_eq!(response.body.len(), BYTES);
                held.set(held.get() + BYTES);
                held_max.set(held_max.get().max(held.get()));
                // A slow extraction, while others want to read on.
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                held.set(held.get() - BYTES);
                drop(response);
            }
        });
        futures_util::future::join_all(all).await;
        assert!(held_max.get() as u64 <= 16 * MIB, "{} bytes in hand at once", held_max.get());
        assert!(held_max.get() > BYTES, "and more than one at a time");
        assert_eq!(budget.free_bytes(), 16 * MIB, "everything was given back");
    });
}

#[test]
fn a_body_holds_what_it_is_until_it_is_dropped() {
    run_untimed(async {
        let server = server(listings(3 << 20)).await;
        let budget = Arc::new(ByteBudget::new(64 * MIB));
        let fetcher = fetcher_with_budget(settings(), &budget);
        for path in ["/declared", "/close", "/gzip"] {
            let response = response(fetcher.fetch(&release(&server.url(path))).await.answer);
            assert_eq!(response.body.len(), 3 << 20);
            let held = 64 * MIB - budget.free_bytes();
            assert!(
                (3 * MIB..6 * MIB).contains(&held),
                "{path}: holds {held} bytes, not the 10 MiB it might have become"
            );
            drop(response);
            assert_eq!(budget.free_bytes(), 64 * MIB, "{path}");
        }
        let small = common::release(&server.url("/declared"));
        let robots = FetchSettings { free_bytes: 4 * MIB, ..settings() };
        let _held = response(fetcher_with_budget(robots, &budget).fetch(&small).await.answer);
        assert_eq!(budget.free_bytes(), 64 * MIB, "small ones ask for nothing");
    });
}

#[test]
fn who_waits_for_memory_is_not_taken_for_a_slow_server_and_ends_with_its_time() {
    run(async {
        let server = server(listings(300 << 10)).await;
        let budget = Arc::new(ByteBudget::new(400 << 10));
        let settings = FetchSettings { total_timeout: Duration::from_secs(60), ..settings() };
        let fetcher = fetcher_with_budget(settings, &budget);
        let url = server.url("/declared");
        let held = response(fetcher.fetch(&release(&url)).await.answer);
        let (patient, hopeless) = (release(&url), release(&url));
        let free_it = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(held);
        };
        let (fetched, ()) = tokio::join!(fetcher.fetch(&patient), free_it);
        assert_eq!(page(&fetched).1.len(), 300 << 10, "longer than the grace of slow servers, and yet whole");
        let fetched = fetcher.fetch(&hopeless).await;
        assert_eq!(reason(&fetched), "not done within 60s: it waited for memory for its body");
    });
}

#[test]
fn a_failure_gives_its_room_back() {
    run_untimed(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n").await;
            peer.send(vec![b'x'; 1_000_000]).await;
        })
        .await;
        let budget = Arc::new(ByteBudget::new(8 * MIB));
        let fetcher = fetcher_with_budget(settings(), &budget);
        for _ in 0..5 {
            assert!(matches!(
                fetcher.fetch(&release(&server.url("/"))).await.answer,
                Answer::Failed { written: true, .. }
            ));
            assert_eq!(budget.free_bytes(), 8 * MIB);
        }
    });
}
