//! Every phase of a request has a limit: addresses, time, rate, bytes of headers and bodies, decoded bytes, memory.

mod common;

use common::*;
use std::io::Write;
use std::net::Ipv6Addr;
use std::time::Duration;
use weir_fetch::FetchSettings;
use weir_model::FailureClass;

#[test]
fn a_page_cannot_lead_into_the_private_network() {
    run(async {
        let server = Server::answering("200 OK", "", "secret").await;
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1).into();
        let hosts = vec![("rebound.example".to_owned(), vec![LOOPBACK]), ("mapped.example".to_owned(), vec![mapped])];
        let fetcher = fetcher_with(FetchSettings { hosts, ..settings() });
        for host in [
            "rebound.example",
            "mapped.example",
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "evil.localhost",
            "0.0.0.0",
        ] {
            let fetched = fetcher.fetch(&release(&format!("http://{host}:{}/", server.port))).await;
            assert_eq!(failure(&fetched), (FailureClass::ForbiddenAddress, false), "{host}");
        }
        let fetched = fetcher.fetch(&release("http://169.254.169.254/latest/meta-data/")).await;
        assert_eq!(failure(&fetched), (FailureClass::ForbiddenAddress, false));
        settle().await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn a_name_with_private_and_public_addresses_is_connected_to_neither_private_one() {
    run(async {
        let server = Server::answering("200 OK", "", "secret").await;
        // 192.0.2.0/24 is for documentation: refused as well, so nothing leaves this machine.
        let hosts = vec![("mixed.example".to_owned(), vec!["192.0.2.1".parse().expect("v4"), LOOPBACK])];
        let fetcher = fetcher_with(FetchSettings { hosts, ..settings() });
        let fetched = fetcher.fetch(&release(&format!("http://mixed.example:{}/", server.port))).await;
        assert_eq!(failure(&fetched), (FailureClass::ForbiddenAddress, false));
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn what_cannot_be_connected_to_is_said_by_its_class() {
    run(async {
        let hosts = vec![("nowhere.example".to_owned(), vec![])];
        let fetcher = fetcher_with(FetchSettings { hosts, ..settings() });
        assert_eq!(failure(&fetcher.fetch(&release("http://nowhere.example/")).await), (FailureClass::Dns, false));
        for url in ["ftp://localhost/", "http://", "mailto:a@example.com", "http://local\u{7f}host/"] {
            assert_eq!(failure(&fetcher.fetch(&release(url)).await), (FailureClass::BadRequest, false), "{url}");
        }
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port")
            .local_addr()
            .expect("an address")
            .port();
        let fetched = fetcher.fetch(&release(&format!("http://localhost:{closed}/"))).await;
        assert_eq!(failure(&fetched), (FailureClass::Connect, false), "{}", reason(&fetched));
    });
}

#[test]
fn headers_end_by_time_size_and_number() {
    run(async {
        for (how, class) in [
            ("never", FailureClass::Timeout),
            ("drips", FailureClass::Timeout),
            ("long", FailureClass::TooLarge),
            ("endless line", FailureClass::TooLarge),
            ("many", FailureClass::TooLarge),
        ] {
            let server = Server::start(move |mut peer| async move {
                peer.request().await;
                peer.send("HTTP/1.1 200 OK\r\n").await;
                let line = match how {
                    "never" => return std::future::pending().await,
                    "drips" | "many" => "X: y\r\n".to_owned(),
                    "long" => format!("X: {}\r\n", "y".repeat(8000)),
                    _ => "y".repeat(8000),
                };
                while peer.send(&line).await {
                    if how == "drips" {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            })
            .await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (class, true), "{how}: {}", reason(&fetched));
            if class == FailureClass::Timeout {
                assert_eq!(reason(&fetched), "no headers within 60s", "{how}");
            }
            assert_eq!(server.seen().len(), 1, "{how}");
        }
    });
}

#[test]
fn bodies_end_by_size_whatever_their_headers_say() {
    run(async {
        let body = vec![b'x'; 3000];
        let small = FetchSettings { wire_bytes_max: 2000, ..settings() };
        for how in ["declared", "chunked", "until close"] {
            let body = body.clone();
            let server = Server::start(move |mut peer| {
                let body = body.clone();
                async move {
                    peer.request().await;
                    match how {
                        "declared" => peer.answer("200 OK", "", &body).await,
                        "until close" => peer.answer_until_close("", &body).await,
                        _ => {
                            let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n";
                            peer.send([chunked.as_bytes(), &body[..], b"\r\n0\r\n\r\n"].concat()).await
                        }
                    };
                }
            })
            .await;
            let fetched = fetcher_with(small.clone()).fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::TooLarge, true), "{how}");
            assert!(reason(&fetched).contains("2000"), "{how}: {}", reason(&fetched));
            let fits = FetchSettings { wire_bytes_max: 3000, ..settings() };
            let fetched = fetcher_with(fits).fetch(&release(&server.url("/"))).await;
            assert_eq!(page(&fetched), (200, &[b'x'; 3000][..]), "{how}");
        }
    });
}

#[test]
fn a_body_that_drips_or_stops_is_given_up_long_before_its_time() {
    run(async {
        for (how, seconds) in [("stops", 10), ("drips", 10), ("stops later", 30)] {
            let server = Server::start(move |mut peer| async move {
                peer.request().await;
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
                if how == "stops later" {
                    for _ in 0..15 {
                        peer.send(vec![b'x'; 1000]).await;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                while how == "drips" && peer.send("x").await {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                std::future::pending().await
            })
            .await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::Timeout, true), "{how}");
            assert!(reason(&fetched).contains("expected at least 128 a second"), "{how}: {}", reason(&fetched));
            let took = fetched.ended_at.since(fetched.started_at);
            assert!(took <= Duration::from_secs(seconds + 1), "{how}: {took:?}");
        }
    });
}

#[test]
fn a_slow_body_that_keeps_its_rate_ends_with_the_total_time() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
            while peer.send(vec![b'x'; 1000]).await {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await;
        let fetched = fetcher().fetch(&release(&server.url("/"))).await;
        assert_eq!((failure(&fetched), reason(&fetched)), ((FailureClass::Timeout, true), "not done within 180s"));
    });
}

#[test]
fn a_server_that_never_ends_its_handshake_is_no_connection() {
    run(async {
        let server = Server::start(|peer| async move {
            let _open = peer;
            std::future::pending().await
        })
        .await;
        let fetched = fetcher().fetch(&release(&format!("https://localhost:{}/", server.port))).await;
        assert_eq!((failure(&fetched), reason(&fetched)), ((FailureClass::Timeout, false), "no connection within 10s"));
    });
}

/// 64 MiB of zeros by brotli's reference encoder, quality 11: there is no encoder among our crates.
const BROTLI_BOMB: &[u8] = &[
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f, 0xf0, 0x4f,
    0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x9f, 0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd,
    0xfb, 0x3f, 0xfe, 0xff, 0xff, 0xc1, 0x3f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba, 0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83,
    0x7f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74, 0xef, 0xff, 0xf8, 0xff, 0xff, 0x07, 0xff, 0x04, 0x40, 0x1c, 0x16, 0x00,
    0xe8, 0xde, 0xff, 0xf1, 0xff, 0xff, 0x0f, 0xfe, 0x09, 0x80, 0x38, 0x2c, 0x00, 0xd0, 0xbd, 0xff, 0xe3, 0xff, 0xff,
    0x1f, 0xfc, 0x13, 0x00, 0x71, 0x58, 0x00, 0xa0, 0x7b, 0xff, 0x37,
];

fn bombs(zeros: usize) -> Vec<(&'static str, Vec<u8>)> {
    let plain = vec![0u8; zeros];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&plain).expect("into memory");
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&plain).expect("into memory");
    let zstd = zstd::bulk::compress(&plain, 3).expect("into memory");
    vec![
        ("gzip", gzip.finish().expect("into memory")),
        ("deflate", zlib.finish().expect("into memory")),
        ("zstd", zstd),
        ("br", BROTLI_BOMB.to_vec()),
    ]
}

#[test]
fn a_bomb_is_defused_in_every_encoding() {
    run(async {
        for (encoding, bomb) in bombs(64 << 20) {
            assert!(bomb.len() < 100_000, "{encoding}");
            let headers: &'static str = Box::leak(format!("Content-Encoding: {encoding}\r\n").into_boxed_str());
            let server = Server::answering("200 OK", headers, bomb).await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::TooLarge, true), "{encoding}: {}", reason(&fetched));
        }
    });
}

#[test]
fn what_is_not_as_encoded_as_it_says_is_named() {
    run(async {
        for encoding in ["gzip", "br", "zstd"] {
            let headers: &'static str = Box::leak(format!("Content-Encoding: {encoding}\r\n").into_boxed_str());
            let server = Server::answering("200 OK", headers, "plain text, not what it says").await;
            let fetched = fetcher().fetch(&release(&server.url("/"))).await;
            assert_eq!(failure(&fetched), (FailureClass::Decode, true), "{encoding}: {:?}", fetched.answer);
        }
    });
}

#[test]
fn robots_are_read_to_their_limit_and_no_further() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
            while peer.send("Disallow: /private\n".repeat(1000)).await {}
        })
        .await;
        let fetched = fetcher().fetch(&robots(&server.url("/robots.txt"))).await;
        assert_eq!((page(&fetched).0, page(&fetched).1.len()), (200, 500 << 10));
        assert!(fetched.wire_bytes < 1 << 20);
    });
}
