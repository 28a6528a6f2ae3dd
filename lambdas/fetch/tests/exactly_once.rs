//! One release, one HTTP request: whatever a server does, it sees a request once, and the report says whether it was written.

mod common;

use common::*;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use weir_fetch::{Answer, Deadline};
use weir_model::{Clock, FailureClass, LinkExtra, Method, Tick};

#[test]
fn a_request_that_dies_after_the_write_is_never_sent_again() {
    run(async {
        for how in ["reset", "end", "half a head", "half a body", "half a chunk", "no HTTP"] {
            let server = Server::start(move |mut peer| async move {
                peer.request().await;
                let answer = match how {
                    "reset" => return peer.reset(),
                    "end" => return,
                    "half a head" => "HTTP/1.1 200 OK\r\nContent-Le",
                    "half a body" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
                    "half a chunk" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
                    _ => "220 mail.example.com ESMTP\r\n",
                };
                peer.send(answer).await;
            })
            .await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::Protocol, true), "{how}");
            assert!(fetched.started_at > Tick(0), "{how}: a hit was used");
            settle().await;
            assert_eq!(server.seen().len(), 1, "{how}");
        }
    });
}

#[test]
fn a_kept_connection_that_dies_under_the_next_request_costs_that_request() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.answer("200 OK", "", "first").await;
            peer.request().await;
            peer.reset();
        })
        .await;
        let fetcher = fetcher();
        assert_eq!(page(&fetcher.fetch(&release(&server.url("/1"))).await), (200, &b"first"[..]));
        let fetched = fetcher.fetch(&release(&server.url("/2"))).await;
        assert_eq!(failure(&fetched), (FailureClass::Protocol, true));
        settle().await;
        assert_eq!((server.connections(), server.seen().len()), (1, 2));
    });
}

#[test]
fn a_kept_connection_that_was_closed_before_the_write_is_replaced() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.answer("200 OK", "", format!("connection {}", peer.number)).await;
        })
        .await;
        let fetcher = fetcher();
        for number in 0..3 {
            let fetched = fetcher.fetch(&release(&server.url("/"))).await;
            assert_eq!(page(&fetched), (200, format!("connection {number}").as_bytes()));
            settle().await;
        }
        assert_eq!((server.connections(), server.seen().len()), (3, 3));
    });
}

#[test]
fn a_connection_that_dies_while_its_slot_is_awaited_is_replaced() {
    run(async {
        let server = Server::start(|mut peer| async move {
            if peer.number > 0 && peer.request().await.is_some() {
                peer.answer("200 OK", "", "second").await;
            }
        })
        .await;
        let clock = RuntimeClock::start();
        let fetcher = fetcher_on(settings(), clock.clone());
        let mut release = release(&server.url("/"));
        release.not_before = clock.now().after(Duration::from_secs(1));
        assert_eq!(page(&fetcher.fetch(&release).await), (200, &b"second"[..]));
        assert_eq!((server.connections(), server.seen().len()), (2, 1));
    });
}

#[test]
fn connections_are_kept_and_used_last_in_first_out() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while peer.request().await.is_some() && peer.answer("200 OK", "", format!("{}", peer.number)).await {}
        })
        .await;
        let fetcher = fetcher();
        let releases: Vec<_> = (0..5).map(|number| release(&server.url(&format!("/{number}")))).collect();
        futures_util::future::join_all(releases.iter().map(|release| fetcher.fetch(release))).await;
        assert_eq!(server.connections(), 5);
        let mut used = Vec::new();
        for release in &releases {
            used.push(page(&fetcher.fetch(release).await).1.to_vec());
        }
        assert_eq!(server.connections(), 5, "no new one");
        assert!(used.windows(2).all(|two| two[0] == two[1]), "the same one again and again: {used:?}");
        tokio::time::sleep(Duration::from_secs(16)).await;
        fetcher.fetch(&releases[0]).await;
        assert_eq!(server.connections(), 6, "idle ones were closed before their server would do it");
    });
}

#[test]
fn bytes_behind_an_answer_are_never_taken_for_the_next_answer() {
    run(async {
        for late in [false, true] {
            let server = Server::start(move |mut peer| async move {
                peer.request().await;
                let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
                if late {
                    peer.answer("200 OK", "", "true 0").await;
                    tokio::task::yield_now().await;
                    peer.send(forged).await;
                } else {
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntrue {}{forged}", peer.number))
                        .await;
                }
                while peer.request().await.is_some() && peer.answer("200 OK", "", "true 0").await {}
            })
            .await;
            let fetcher = fetcher();
            for _ in 0..2 {
                let fetched = fetcher.fetch(&release(&server.url("/"))).await;
                assert!(page(&fetched).1.starts_with(b"true"), "{:?}", fetched.answer);
                settle().await;
            }
            assert_eq!(server.connections(), 2, "the connection that said too much was closed");
        }
    });
}

#[test]
fn redirects_are_reported_and_never_followed() {
    run(async {
        for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
            let server = Server::answering(status, "Location: /elsewhere\r\n", "moved").await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            let Answer::Response(response) = &fetched.answer else { panic!("{:?}", fetched.answer) };
            assert_eq!(response.header(http::header::LOCATION), Some("/elsewhere"));
            settle().await;
            assert_eq!(server.seen().len(), 1, "{status}");
        }
    });
}

#[test]
fn a_redirect_is_known_by_its_headers_whatever_its_body_does() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.send("HTTP/1.1 302 Found\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            while peer.send("10000\r\n").await && peer.send(vec![b'x'; 0x10000]).await && peer.send("\r\n").await {}
        })
        .await;
        let fetched = fetcher().fetch(&release(&server.url("/"))).await;
        assert_eq!(page(&fetched).0, 302);
        assert!(fetched.wire_bytes < 1 << 20, "the rest was not waited for");
    });
}

#[test]
fn a_slot_is_awaited_on_an_open_connection() {
    run(async {
        let clock = RuntimeClock::start();
        let accepted_at = Rc::new(Cell::new(Tick(0)));
        let (told, told_clock) = (Rc::clone(&accepted_at), clock.clone());
        let server = Server::start(move |mut peer| {
            told.set(told_clock.now());
            async move { while peer.request().await.is_some() && peer.answer("200 OK", "", "").await {} }
        })
        .await;
        let mut release = release(&server.url("/"));
        release.not_before = clock.now().after(Duration::from_secs(5));
        release.not_after = clock.now().after(Duration::from_secs(6));
        let fetched = fetcher_on(settings(), clock.clone()).fetch(&release).await;
        assert_eq!(page(&fetched).0, 200);
        assert!(accepted_at.get() < release.not_before, "connected first");
        assert!((release.not_before..=release.not_after).contains(&fetched.started_at));
        assert!(fetched.started_at <= fetched.answered_at && fetched.answered_at <= fetched.ended_at);
    });
}

#[test]
fn a_request_that_is_late_is_not_sent_and_leaves_its_connection_to_the_next() {
    run(async {
        let server = Server::answering("200 OK", "", "ok").await;
        let clock = RuntimeClock::start();
        let fetcher = fetcher_on(settings(), clock.clone());
        let mut late = release(&server.url("/"));
        late.not_after = Tick(clock.now().0 - 1);
        let fetched = fetcher.fetch(&late).await;
        assert!(
            matches!(&fetched.answer, Answer::Unfetched { reason } if reason.contains("late")),
            "{:?}",
            fetched.answer
        );
        assert_eq!(fetched.started_at, Tick(0));
        settle().await;
        assert_eq!(server.seen().len(), 0);
        fetcher.fetch(&release(&server.url("/"))).await;
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn wherever_the_slot_ends_no_byte_is_written_after_it() {
    run(async {
        let (mut sent, mut unsent) = (0, 0);
        for at in 0..16 {
            let server = Server::answering("200 OK", "", "ok").await;
            let fetcher = fetcher_on(settings(), Jumping::at(at));
            let mut release = release(&server.url("/"));
            release.not_after = Tick(2_000_000);
            let fetched = fetcher.fetch(&release).await;
            settle().await;
            match fetched.answer {
                Answer::Response(_) => {
                    sent += 1;
                    assert_eq!((server.seen().len(), fetched.started_at), (1, Tick(1_000_000)), "jump at reading {at}");
                }
                Answer::Unfetched { .. } => {
                    unsent += 1;
                    assert_eq!((server.seen().len(), fetched.started_at), (0, Tick(0)), "jump at reading {at}");
                }
                Answer::Failed { .. } => panic!("jump at reading {at}: {:?}", fetched.answer),
            }
        }
        assert!(sent > 3 && unsent > 3, "{sent} sent, {unsent} not");
    });
}

#[test]
fn nothing_is_begun_or_goes_on_after_the_deadline_of_a_function() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            std::future::pending().await
        })
        .await;
        let clock = RuntimeClock::start();
        let fetcher = fetcher_on(settings(), clock.clone());
        let after = |seconds| clock.now().after(Duration::from_secs(seconds));
        let deadline = Deadline { send_until: after(5), done_until: after(8) };
        let mut later = release(&server.url("/later"));
        later.not_before = after(6);
        let fetched = fetcher.fetch_within(&later, deadline).await;
        assert_eq!(reason(&fetched), "the function's deadline is near");
        assert!(fetched.ended_at < after(1), "not waited for");
        let ends_at = after(8);
        let fetched = fetcher.fetch_within(&release(&server.url("/now")), deadline).await;
        assert_eq!(
            (failure(&fetched), reason(&fetched)),
            ((FailureClass::Timeout, true), "cut off by the function's deadline")
        );
        assert!(fetched.ended_at.since(ends_at) < Duration::from_millis(50));
        assert_eq!(server.seen().len(), 1);
    });
}

#[test]
fn method_body_and_headers_are_sent_as_the_spider_says() {
    run(async {
        let server = Server::answering("200 OK", "", "ok").await;
        let extra = LinkExtra {
            method: Method::Post,
            body: Some(Box::from(*b"{\"page\":2}")),
            headers: vec![
                ("Content-Type".into(), "application/json".into()),
                ("Accept".into(), "application/json".into()),
            ],
            carry: None,
        };
        let mut release = with_extra(&server.url("/api?x=1#part"), extra);
        release.request.referer = Some(server.url("/before").into());
        assert_eq!(page(&fetcher().fetch(&release).await).0, 200);
        let seen = server.seen().remove(0);
        assert!(seen.starts_with("POST /api?x=1 HTTP/1.1\r\n"), "{seen}");
        assert!(seen.ends_with("\r\n\r\n{\"page\":2}"), "{seen}");
        for (name, value) in [
            ("host", format!("localhost:{}", server.port)),
            ("user-agent", "tests (+mailto:tests@example.com)".into()),
            ("accept", "application/json".into()),
            ("content-type", "application/json".into()),
            ("content-length", "10".into()),
            ("accept-encoding", "gzip, deflate, br, zstd".into()),
            ("referer", server.url("/before")),
        ] {
            assert_eq!(header(&seen, name), Some(&*value), "{name}");
        }
    });
}
