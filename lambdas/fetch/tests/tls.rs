//! TLS and HTTP/2: certificates are verified, one connection is shared within the server's limits, and a stream that the server
//! throws away is never sent again.

mod common;
#[path = "common/http2.rs"]
mod http2;

use bytes::Bytes;
use common::*;
use http::Response;
use http2::*;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_fetch::{Answer, ByteBudget, FetchSettings, Fetcher, Guard};
use weir_model::{Clock, FailureClass, LinkExtra, Method, Tick};

#[test]
fn many_requests_share_one_connection_within_the_servers_limit() {
    run(async {
        let server = Http2Server::start(7, |request, to| {
            (Then::GoOn, async move {
                // Longer than all the requests need to be there, if they may.
                tokio::time::sleep(Duration::from_millis(100)).await;
                answer(to, request.uri().path().to_owned()).await;
            })
        })
        .await;
        let fetcher = server.fetcher(settings(), RuntimeClock::start());
        let releases: Vec<_> = (0..50).map(|number| release(&server.url(&format!("/{number}")))).collect();
        let all = futures_util::future::join_all(releases.iter().map(|release| fetcher.fetch(release))).await;
        for (number, fetched) in all.iter().enumerate() {
            assert_eq!(page(fetched), (200, format!("/{number}").as_bytes()));
        }
        assert_eq!((server.counts.connections.get(), server.seen()), (1, 50));
        assert_eq!(server.counts.open_max.get(), 7, "as many at once as the server allows");
    });
}

#[test]
fn a_refused_stream_is_reported_and_not_sent_again() {
    run(async {
        for code in [
            h2::Reason::REFUSED_STREAM,
            h2::Reason::INTERNAL_ERROR,
            h2::Reason::ENHANCE_YOUR_CALM,
            h2::Reason::HTTP_1_1_REQUIRED,
        ] {
            let server = Http2Server::start(100, move |_, mut to| {
                to.send_reset(code);
                (Then::GoOn, std::future::ready(()))
            })
            .await;
            let fetcher = server.fetcher(settings(), RuntimeClock::start());
            let fetched = fetcher.fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::Protocol, true), "{code:?}");
            settle().await;
            assert_eq!((server.seen(), server.counts.connections.get()), (1, 1), "{code:?}");
        }
    });
}

#[test]
fn a_connection_that_goes_away_ends_what_is_on_it_and_is_replaced_for_the_next() {
    run(async {
        let server = Http2Server::start(100, |request, to| {
            let then = if request.uri().path() == "/last" { Then::GoAway } else { Then::GoOn };
            (then, async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                answer(to, "ok").await;
            })
        })
        .await;
        let fetcher = server.fetcher(settings(), RuntimeClock::start());
        for path in ["/", "/last", "/", "/"] {
            assert_eq!(page(&fetcher.fetch(&release(&server.url(path))).await), (200, &b"ok"[..]), "{path}");
            settle().await;
        }
        assert_eq!((server.seen(), server.counts.connections.get()), (4, 2));
    });
}

#[test]
fn a_connection_that_breaks_fails_all_that_is_on_it_once() {
    run(async {
        let server = Http2Server::start(100, |request, to| {
            let then = if request.uri().path() == "/9" { Then::Break } else { Then::GoOn };
            (then, async move {
                let _open = to;
                std::future::pending().await
            })
        })
        .await;
        let fetcher = server.fetcher(settings(), RuntimeClock::start());
        let releases: Vec<_> = (0..10).map(|number| release(&server.url(&format!("/{number}")))).collect();
        let all = futures_util::future::join_all(releases.iter().map(|release| fetcher.fetch(release))).await;
        assert!(all.iter().all(|fetched| failure(fetched) == (FailureClass::Protocol, true)), "{all:?}");
        settle().await;
        assert_eq!((server.seen(), server.counts.connections.get()), (10, 1));
    });
}

#[test]
fn a_stream_that_is_given_up_makes_room_for_the_next() {
    run(async {
        let server = Http2Server::start(1, |request, to| {
            (Then::GoOn, async move {
                if request.uri().path() == "/slow" {
                    let mut to = to;
                    let mut stream = to.send_response(Response::new(()), false).expect("an open stream");
                    let _ = stream.send_data(Bytes::from_static(b"x"), false);
                    return std::future::pending().await;
                }
                answer(to, "ok").await;
            })
        })
        .await;
        let fetcher = server.fetcher(settings(), RuntimeClock::start());
        let (slow, next) = (release(&server.url("/slow")), release(&server.url("/next")));
        let (slow, next) = tokio::join!(fetcher.fetch(&slow), fetcher.fetch(&next));
        assert_eq!(failure(&slow), (FailureClass::Timeout, true));
        assert_eq!(page(&next), (200, &b"ok"[..]));
        assert_eq!((server.seen(), server.counts.connections.get()), (2, 1));
    });
}

#[test]
fn a_late_stream_is_not_opened() {
    run(async {
        let server = Http2Server::start(100, |_, to| (Then::GoOn, answer(to, "ok"))).await;
        let clock = RuntimeClock::start();
        let fetcher = server.fetcher(settings(), clock.clone());
        let mut late = release(&server.url("/"));
        late.not_after = Tick(clock.now().0 - 1);
        let fetched = fetcher.fetch(&late).await;
        assert!(matches!(fetched.answer, Answer::Unfetched { .. }), "{:?}", fetched.answer);
        let mut waiting = release(&server.url("/"));
        waiting.not_before = clock.now().after(Duration::from_secs(3));
        let fetched = fetcher.fetch(&waiting).await;
        assert_eq!(page(&fetched).0, 200);
        assert!(fetched.started_at >= waiting.not_before && fetched.answered_at >= fetched.started_at);
        assert_eq!((server.seen(), server.counts.connections.get()), (1, 1));
    });
}

#[test]
fn wherever_the_slot_ends_no_stream_is_opened_after_it() {
    run(async {
        let (mut sent, mut unsent) = (0, 0);
        for at in 0..16 {
            let server = Http2Server::start(100, |_, to| (Then::GoOn, answer(to, "ok"))).await;
            let fetcher = server.fetcher(settings(), Jumping::at(at));
            let mut release = release(&server.url("/"));
            release.not_after = Tick(2_000_000);
            let fetched = fetcher.fetch(&release).await;
            settle().await;
            match fetched.answer {
                Answer::Response(_) => {
                    sent += 1;
                    assert_eq!((server.seen(), fetched.started_at), (1, Tick(1_000_000)), "jump at reading {at}");
                }
                Answer::Unfetched { .. } => {
                    unsent += 1;
                    assert_eq!((server.seen(), fetched.started_at), (0, Tick(0)), "jump at reading {at}");
                }
                Answer::Failed { .. } => panic!("jump at reading {at}: {:?}", fetched.answer),
            }
        }
        assert!(sent > 3 && unsent > 3, "{sent} sent, {unsent} not");
    });
}

#[test]
fn bodies_of_both_directions_pass_and_large_ones_end_at_the_limit() {
    run(async {
        let server = Http2Server::start(100, |mut request, to| {
            (Then::GoOn, async move {
                let mut got = Vec::new();
                while let Some(data) = request.body_mut().data().await {
                    got.extend_from_slice(&data.expect("data"));
                }
                let body = if got.is_empty() { vec![b'x'; 3 << 20] } else { got };
                answer(to, body).await;
            })
        })
        .await;
        let fetcher = server.fetcher(FetchSettings { wire_bytes_max: 4 << 20, ..settings() }, RuntimeClock::start());
        let extra = LinkExtra { method: Method::Post, body: Some(Box::from(*b"echo")), ..LinkExtra::default() };
        assert_eq!(page(&fetcher.fetch(&with_extra(&server.url("/"), extra)).await), (200, &b"echo"[..]));
        assert_eq!(
            page(&fetcher.fetch(&release(&server.url("/"))).await).1.len(),
            3 << 20,
            "more than the windows hold"
        );
        let small = server.fetcher(FetchSettings { wire_bytes_max: 1 << 20, ..settings() }, RuntimeClock::start());
        assert_eq!(failure(&small.fetch(&release(&server.url("/"))).await), (FailureClass::TooLarge, true));
    });
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    run(async {
        let server = Http2Server::start(100, |_, to| (Then::GoOn, answer(to, "ok"))).await;
        let fetcher = server.fetcher(settings(), RuntimeClock::start());
        for wait in [1, 1, 20] {
            assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await).0, 200);
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        fetcher.fetch(&release(&server.url("/"))).await;
        assert_eq!(server.counts.connections.get(), 2);
    });
}

#[test]
fn certificates_are_verified() {
    run(async {
        let server = Http2Server::start(100, |_, to| (Then::GoOn, answer(to, "secret"))).await;
        // The platform's roots do not know this certificate.
        let fetched = fetcher().fetch(&release(&server.url("/"))).await;
        assert_eq!(failure(&fetched), (FailureClass::Tls, false), "{}", reason(&fetched));
        assert_eq!(server.seen(), 0);
    });
}

#[test]
fn a_certificate_for_another_name_is_none() {
    run(async {
        let (client, acceptor) = pair("example.com", &[]);
        let server = Server::start(move |peer| {
            let acceptor = acceptor.clone();
            async move {
                let _refused = acceptor.accept(peer.stream).await;
            }
        })
        .await;
        let mut guard = Guard::new();
        guard.allow_host("localhost");
        let budget = Arc::new(ByteBudget::new(1 << 20));
        let fetcher =
            Fetcher::with_tls(Arc::new(settings()), Arc::new(guard), budget, RuntimeClock::start(), Some(client));
        let fetched = fetcher.fetch(&release(&format!("https://localhost:{}/", server.port))).await;
        assert_eq!(failure(&fetched), (FailureClass::Tls, false), "{}", reason(&fetched));
    });
}

#[test]
fn http_1_over_tls_is_kept_alive_like_any_other() {
    run(async {
        let (client, acceptor) = pair("localhost", &[b"http/1.1"]);
        let server = Server::start(move |peer| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(peer.stream).await.expect("a handshake");
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("written");
                        stream.flush().await.expect("written");
                    }
                }
            }
        })
        .await;
        let mut guard = Guard::new();
        guard.allow_host("localhost");
        let budget = Arc::new(ByteBudget::new(1 << 20));
        let fetcher =
            Fetcher::with_tls(Arc::new(settings()), Arc::new(guard), budget, RuntimeClock::start(), Some(client));
        for _ in 0..3 {
            let fetched = fetcher.fetch(&release(&format!("https://localhost:{}/", server.port))).await;
            assert_eq!(page(&fetched), (200, &b"ok"[..]));
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_stream_never_waits_for_its_slot_to_pass_on_a_connection_that_does_not_take_it() {
    run(async {
        let hears_again = Rc::new(tokio::sync::Notify::new());
        let deaf_until = Rc::clone(&hears_again);
        let server = Http2Server::start(100, move |request, to| {
            let then = if request.uri().path() == "/upload" { Then::Deaf(Rc::clone(&deaf_until)) } else { Then::GoOn };
            (then, answer(to, "ok"))
        })
        .await;
        let clock = RuntimeClock::start();
        let fetcher = server.fetcher(settings(), clock.clone());
        assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await).0, 200);
        let body = vec![b'x'; 32 << 20].into_boxed_slice();
        let extra = LinkExtra { method: Method::Post, body: Some(body), ..LinkExtra::default() };
        let upload = with_extra(&server.url("/upload"), extra);
        let mut short = release(&server.url("/short"));
        short.not_after = clock.now().after(Duration::from_secs(5));
        let others = async {
            // The upload has filled what the kernel holds.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let fetched = fetcher.fetch(&short).await;
            assert!(matches!(fetched.answer, Answer::Unfetched { .. }), "{:?}", fetched.answer);
            assert!(
                fetched.ended_at <= short.not_after.after(Duration::from_millis(100)),
                "not awaited longer than its slot"
            );
            let hear = async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                hears_again.notify_one();
            };
            let long = release(&server.url("/long"));
            let (fetched, ()) = tokio::join!(fetcher.fetch(&long), hear);
            assert_eq!(page(&fetched).0, 200, "who may wait, waits");
        };
        let (uploaded, ()) = tokio::join!(fetcher.fetch(&upload), others);
        assert_eq!(page(&uploaded).0, 200);
        let seen: Vec<_> =
            server.counts.seen.borrow().iter().map(|url| url.rsplit('/').next().map(str::to_owned)).collect();
        assert_eq!(seen, ["", "upload", "long"].map(|path| Some(path.to_owned())), "the short one was never sent");
        assert_eq!(server.counts.connections.get(), 1);
    });
}
