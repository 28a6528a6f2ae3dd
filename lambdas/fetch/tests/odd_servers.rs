//! Servers that speak HTTP in their own way: what can be read is read, what cannot is named, and none is asked twice.

mod common;

use common::*;
use std::time::Duration;
use weir_fetch::{Answer, FetchSettings};
use weir_model::{Clock, FailureClass, LinkExtra, Method};

/// A server that answers every request with these bytes, and then closes or waits for the next.
async fn raw(answer: &'static [u8], closes: bool) -> Server {
    Server::start(move |mut peer| async move {
        while peer.request().await.is_some() && peer.send(answer).await && !closes {}
    })
    .await
}

#[test]
fn informational_answers_are_not_the_answer() {
    run(async {
        let answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
            HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let server = raw(answer, false).await;
        let fetcher = fetcher();
        for _ in 0..2 {
            assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await), (200, &b"ok"[..]));
        }
        assert_eq!((server.connections(), server.seen().len()), (1, 2));
    });
}

#[test]
fn informational_answers_without_end_are_ended_with_the_headers_time() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            while peer.send("HTTP/1.1 100 Continue\r\n\r\n").await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        let fetched = fetcher().fetch(&release(&server.url("/"))).await;
        assert_eq!((failure(&fetched), reason(&fetched)), ((FailureClass::Timeout, true), "no headers within 60s"));
    });
}

#[test]
fn http_1_0_without_a_length_ends_with_its_connection() {
    run(async {
        let server = raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nold but whole", true).await;
        let fetcher = fetcher();
        for number in 1..=2 {
            assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await), (200, &b"old but whole"[..]));
            assert_eq!((server.connections(), server.seen().len()), (number, number));
        }
        let server = raw(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", false).await;
        for _ in 0..3 {
            assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await).0, 200);
        }
        assert_eq!((server.connections(), server.seen().len()), (1, 3), "kept when both sides say so");
    });
}

#[test]
fn a_server_that_says_close_is_believed() {
    run(async {
        // It says so and does not do it: a request on that connection would be lost.
        let server = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false).await;
        let fetcher = fetcher();
        for number in 1..=3 {
            assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await).0, 200);
            assert_eq!((server.connections(), server.seen().len()), (number, number));
        }
    });
}

#[test]
fn a_server_that_closes_every_connection_at_once_is_not_asked_for_ever() {
    run(async {
        let server = Server::start(|peer| async move { drop(peer) }).await;
        let clock = RuntimeClock::start();
        let fetcher = fetcher_on(settings(), clock.clone());
        let mut release = release(&server.url("/"));
        // The first closing is seen while the slot is awaited; the second connection is written to as soon as it is there.
        release.not_before = clock.now().after(Duration::from_secs(1));
        let fetched = fetcher.fetch(&release).await;
        assert_eq!(failure(&fetched), (FailureClass::Protocol, true), "{}", reason(&fetched));
        assert!(fetched.started_at >= release.not_before, "it counts as a hit");
        settle().await;
        assert_eq!((server.connections(), server.seen().len()), (2, 0));
    });
}

#[test]
fn messages_whose_end_is_in_doubt_are_refused() {
    run(async {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\nok\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nok\r\n",
            b"ICY 200 OK\r\n\r\nradio",
            b"HTTP/3.0 200 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"\0\0\0\0",
        ] {
            let server = raw(answer, true).await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            let said = String::from_utf8_lossy(answer);
            assert_eq!(failure(&fetched), (FailureClass::Protocol, true), "{said}");
            settle().await;
            assert_eq!((server.connections(), server.seen().len()), (1, 1), "{said}");
        }
    });
}

#[test]
fn what_browsers_read_is_read() {
    run(async {
        for answer in [
            &b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"[..],
            b"HTTP/1.1 200 \r\ncontent-length:2\r\n\r\nok",
            b"HTTP/1.1 200 D\xe9j\xe0 vu\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nno header at all\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX-Latin: \xe9\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;name=value\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 77\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ] {
            let server = raw(answer, true).await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(page(&fetched), (200, &b"ok"[..]), "{}", String::from_utf8_lossy(answer));
        }
    });
}

#[test]
fn answers_without_a_body_end_with_their_headers() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while let Some(request) = peer.request().await {
                let status = if request.starts_with("HEAD") { "200 OK" } else { "204 No Content" };
                // A length without a body: of the body that a GET would bring.
                peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n")).await;
            }
        })
        .await;
        let fetcher = fetcher();
        let head = with_extra(&server.url("/"), LinkExtra { method: Method::Head, ..LinkExtra::default() });
        assert_eq!(page(&fetcher.fetch(&head).await), (200, &b""[..]));
        assert_eq!(page(&fetcher.fetch(&release(&server.url("/"))).await), (204, &b""[..]));
        assert_eq!(page(&fetcher.fetch(&head).await), (200, &b""[..]));
        assert_eq!((server.connections(), server.seen().len()), (1, 3));
    });
}

#[test]
fn endless_chunk_extensions_and_trailers_are_bounded() {
    run(async {
        for endless in ["2;", "2\r\nok\r\n0\r\n"] {
            let server = Server::start(move |mut peer| async move {
                peer.request().await;
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                peer.send(endless).await;
                let more = if endless == "2;" { "x".repeat(1000) } else { "X: yyyyyyyyyyyyyyyyyyyy\r\n".repeat(50) };
                while peer.send(&more).await {}
            })
            .await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::Protocol, true), "{endless:?}: {}", reason(&fetched));
            assert!(fetched.ended_at.since(fetched.started_at) < Duration::from_secs(30), "by size, not by time");
        }
    });
}

#[test]
fn an_answer_before_the_whole_request_was_read_is_an_answer() {
    run(async {
        let server = Server::start(|mut peer| async move {
            // Looks at the head alone and does not wait for the rest.
            let mut head = vec![0; 1000];
            let _ = tokio::io::AsyncReadExt::read(&mut peer.stream, &mut head).await;
            peer.answer("413 Content Too Large", "", "").await;
            std::future::pending().await
        })
        .await;
        let extra = LinkExtra { method: Method::Post, body: Some(vec![b'x'; 8 << 20].into()), ..LinkExtra::default() };
        let fetched = fetcher().fetch(&with_extra(&server.url("/"), extra)).await;
        assert_eq!(page(&fetched).0, 413);
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_protocol_that_nobody_asked_for_is_not_switched_to() {
    run(async {
        let server = raw(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02ok",
            false,
        )
        .await;
        let fetcher = fetcher();
        for number in 1..=2 {
            let fetched = fetcher.fetch(&release(&server.url("/"))).await;
            match &fetched.answer {
                Answer::Response(response) => assert_eq!((response.status, response.body.len()), (101, 0)),
                Answer::Failed { class, written, .. } => assert_eq!((*class, *written), (FailureClass::Protocol, true)),
                Answer::Unfetched { reason } => panic!("{reason}"),
            }
            settle().await;
            assert_eq!((server.connections(), server.seen().len()), (number, number), "the connection was given up");
        }
    });
}

#[test]
fn a_body_that_is_not_wanted_does_not_hold_its_request() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 100000000\r\n\r\n").await;
            while peer.send(vec![b'x'; 1 << 16]).await {}
        })
        .await;
        let fetched = fetcher_with(FetchSettings::default()).fetch(&release(&server.url("/"))).await;
        assert_eq!(page(&fetched).0, 404);
        assert!(fetched.wire_bytes < 1 << 20, "{}", fetched.wire_bytes);
    });
}
