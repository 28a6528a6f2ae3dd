//! The hostile section does what it says: each kind, as bytes on the wire.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use support::{Client, site};

fn ask(client: &mut Client, path: &str) {
    client.send(&format!("GET /hostile/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
}

#[test]
fn loops_never_end_and_chains_do() {
    let site = site(30);
    let mut client = Client::to(&site);
    for (start, length) in [("/hostile/loop/1", 1), ("/hostile/loop/3", 3)] {
        let mut path = start.to_owned();
        let mut seen = Vec::new();
        for _ in 0..3 * length {
            let answer = client.get(&path);
            assert_eq!(answer.status, 302);
            path = answer.header("location").unwrap().to_owned();
            seen.push(path.clone());
        }
        assert_eq!(seen[..length], seen[length..2 * length]);
    }
    let mut path = "/hostile/chain/7".to_owned();
    for _ in 0..7 {
        let answer = client.get(&path);
        assert!((301..=308).contains(&answer.status));
        path = answer.header("location").unwrap().to_owned();
    }
    assert_eq!(client.get(&path).status, 200);
}

#[test]
fn redirects_lead_to_private_addresses_and_other_schemes() {
    let site = site(30);
    let mut client = Client::to(&site);
    let mut target = |name: &str| client.get(&format!("/hostile/to/{name}")).header("location").unwrap().to_owned();
    assert!(target("metadata").starts_with("http://169.254.169.254/"));
    assert!(target("mapped").starts_with("http://[::ffff:10.0.0.1]"));
    assert!(target("file").starts_with("file:///"));
    assert_eq!(target("empty"), "");
}

#[test]
fn statuses_and_failures_are_as_asked() {
    let site = site(30);
    let mut client = Client::to(&site);
    assert_eq!(client.get("/hostile/status/404").status, 404);
    assert_eq!(client.get("/hostile/status/599").status, 599);
    let busy = client.get("/hostile/429/7");
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("7")));
    assert_eq!(client.get("/hostile/status/503?retry-after=2").header("retry-after"), Some("2"));
    let flaky = [(); 4].map(|()| client.get("/hostile/flaky/2/500?a").status);
    assert_eq!(flaky, [500, 500, 200, 200]);
    assert_eq!(client.get("/hostile/flaky/2?b").status, 503, "each address is counted by itself");
    assert_eq!(client.get("/hostile/status/9").status, 404);
}

#[test]
fn dropped_and_reset_connections_carry_no_byte() {
    let site = site(30);
    let mut client = Client::to(&site);
    ask(&mut client, "drop");
    assert_eq!(client.rest(), Some(Vec::new()));
    let mut client = Client::to(&site);
    ask(&mut client, "reset");
    assert_eq!(client.rest(), None);
    assert_eq!(site.log().iter().map(|access| access.status).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn endless_answers_go_on_until_the_client_goes_away() {
    let site = site(30);
    for kind in ["endless", "endless-length", "head-endless"] {
        let mut client = Client::to(&site);
        ask(&mut client, kind);
        let bytes = client.take(5_000_000);
        let ended = bytes.windows(4).any(|four| four == b"\r\n\r\n");
        assert_eq!(ended, kind != "head-endless", "{kind}");
    }
    assert_eq!(Client::to(&site).get("/static/a.html").status, 200, "the site survives its own hostility");
}

#[test]
fn broken_answers_are_broken_on_the_wire() {
    let site = site(30);
    let got = |kind: &str| {
        let mut client = Client::to(&site);
        ask(&mut client, kind);
        let bytes = client.rest().unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned())).unwrap_or_default()
    };
    let (head, body) = got("body-short");
    assert!(head.contains("content-length: 1000") && body.len() == 256);
    let (head, body) = got("body-long");
    assert!(head.contains("content-length: 100") && body.len() == 256);
    assert!(got("chunks-cut").1.len() < 4 + 16 + 2);
    assert!(got("chunks-wrong").1.starts_with("zz\r\n"));
    assert_eq!(got("two-lengths").0.matches("content-length").count(), 2);
    assert_eq!(got("until-close").1.len(), 256);
    assert!(!got("until-close").0.contains("content-length"));
    assert!(got("not-http").0.starts_with("SSH-"));
}

#[test]
fn slow_bodies_come_a_byte_at_a_time() {
    let site = site(30);
    let mut client = Client::to(&site);
    ask(&mut client, "drip/5/1ms");
    let answer = client.answer();
    assert_eq!(answer.text(), "<p>an");
}

#[test]
fn stalling_answers_stay_open() {
    let site = site(30);
    for (kind, first) in [("head-stalls", "HTTP/1.1 200 OK\r\ncontent-type: text/ht"), ("silent", "")] {
        let mut client = Client::to(&site);
        ask(&mut client, kind);
        let bytes = client.take(first.len());
        assert!(bytes.starts_with(first.as_bytes()));
        client.stream.set_nonblocking(true).unwrap();
        // Nothing more, and no end: a read would have to wait.
        let more = std::io::Read::read(&mut client.stream, &mut [0; 1_000]).map_err(|error| error.kind());
        assert!(more == Err(std::io::ErrorKind::WouldBlock), "{kind}: {more:?}");
    }
}

#[test]
fn sizes_noise_and_depth_are_exact() {
    let site = site(30);
    let mut client = Client::to(&site);
    assert_eq!(client.get("/hostile/size/5000000").body.len(), 5_000_000);
    let noise = client.get("/hostile/noise/10000").body;
    assert!(noise.len() == 10_000 && std::str::from_utf8(&noise).is_err() && noise.contains(&0));
    assert!(client.get("/hostile/deep/110000").text().matches("<div>").count() == 10_000);
    assert_eq!(client.get("/hostile/links/100").text().matches("<a ").count(), 100);
}

#[test]
fn calendars_and_permutations_lead_ever_further() {
    let site = site(30);
    let mut client = Client::to(&site);
    let day = client.get("/hostile/calendar/2026-12-31");
    assert!(day.text().contains("href=\"2027-01-01\"") && day.text().contains("href=\"2026-12-30\""));
    let page = client.get("/hostile/permutations?a=1&b=2");
    assert!(page.text().contains("?b=2&amp;a=1\"") && page.text().contains("&amp;p2="));
    assert!(client.get("/hostile/grow/grow/grow/").text().contains("href=\"grow/\""));
}

#[test]
fn bombs_are_small_and_unpack_to_much() {
    let site = site(30);
    let mut client = Client::to(&site);
    let gzip = client.get("/hostile/bomb/gzip/50000000");
    assert!(gzip.header("content-encoding") == Some("gzip") && gzip.body.len() < 300_000);
    let mut unpacked = 0;
    let mut decoder = flate2::read::GzDecoder::new(gzip.body.as_slice());
    let mut block = vec![0; 1 << 20];
    loop {
        let read = std::io::Read::read(&mut decoder, &mut block).unwrap();
        if read == 0 {
            break;
        }
        unpacked += read;
    }
    assert_eq!(unpacked, 50_000_000);
    assert!(client.get("/hostile/bomb/deflate/50000000").body.len() < 300_000);
    let zstd = client.get("/hostile/bomb/zstd/50000000").body;
    assert_eq!(zstd.len(), 6 + 4 * 50_000_000_usize.div_ceil(128 << 10));
}

#[test]
fn every_address_of_the_list_is_there() {
    let site = site(30);
    let mut client = Client::to(&site);
    let list = client.get("/hostile/").text().to_owned();
    let paths: Vec<&str> = list.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(paths.len() > 40);
    for path in paths {
        let mut client = Client::to(&site);
        client.send(&format!("HEAD {} HTTP/1.1\r\nHost: localhost\r\n\r\n", path.replace("&amp;", "&")));
    }
    let list_again = client.get("/hostile/").text().len();
    assert_eq!(list_again, list.len());
    let unknown: Vec<String> =
        site.log().into_iter().filter(|a| a.status == 404 && a.path != "/hostile/status/404").map(|a| a.path).collect();
    assert_eq!(unknown, Vec::<String>::new());
}
