//! Pages beside the portal: log-ins, APIs, the benchmark, robots.txt, sitemaps, and the protocol itself.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use support::{Client, site};
use weir_site::{Site, SiteOptions};

#[test]
fn a_log_in_opens_the_gate_and_a_wrong_one_does_not() {
    let site = site(90);
    let mut client = Client::to(&site);
    assert!(client.get("/dynamic").text().contains("action=\"/dynamic/login\""));
    let refused = client.get("/dynamic/gated");
    assert_eq!((refused.status, refused.header("location")), (302, Some("/dynamic/error")));
    let wrong = client.post("/dynamic/login", "user=user&pass=word");
    assert_eq!((wrong.header("location"), wrong.header("set-cookie")), (Some("/dynamic/error"), None));
    let right = client.post("/dynamic/login", "user=user&pass=pass");
    assert_eq!((right.status, right.header("location")), (302, Some("/dynamic/gated")));
    let cookie = right.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let gated = client.get_with("/dynamic/gated", &format!("Host: localhost\r\nCookie: a=b; {cookie}\r\n"));
    assert_eq!((gated.status, gated.text().matches("itemprop=\"url\"").count()), (200, 3));
    let forged = client.get_with("/dynamic/gated", "Host: localhost\r\nCookie: session=1\r\n");
    assert_eq!(forged.status, 302);
}

#[test]
fn a_one_time_field_works_once() {
    let site = site(30);
    let mut client = Client::to(&site);
    let form = client.get("/dynamic/nonce");
    let nonce = form.text().split("name=\"nonce\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let login = format!("nonce={nonce}&user=user&pass=pass");
    assert_eq!(client.post("/dynamic/nonce-login", &login).header("location"), Some("/dynamic/gated"));
    assert_eq!(client.post("/dynamic/nonce-login", &login).header("location"), Some("/dynamic/error"));
    assert_eq!(client.post("/dynamic/nonce-login", "user=user&pass=pass").header("location"), Some("/dynamic/error"));
}

#[test]
fn a_session_ends_after_its_views() {
    let mut options = SiteOptions::with_listings(30);
    options.session_views_max = 2;
    let site = Site::spawn(options).unwrap();
    let mut client = Client::to(&site);
    let login = client.post("/dynamic/login", "user=user&pass=pass");
    let cookie =
        format!("Host: localhost\r\nCookie: {}\r\n", login.header("set-cookie").unwrap().split(';').next().unwrap());
    let statuses = [(); 3].map(|()| client.get_with("/dynamic/gated", &cookie).status);
    assert_eq!(statuses, [200, 200, 302]);
}

#[test]
fn the_geocoder_answers_as_the_generator_says() {
    let mut options = SiteOptions::with_listings(40);
    options.geocode_per_second = Some(1_000_000);
    let site = Site::spawn(options).unwrap();
    let mut client = Client::to(&site);
    for listing in site.portal().iter() {
        let query: String = listing.address.bytes().map(|b| format!("%{b:02X}")).collect();
        let answer = client.get(&format!("/maps/api/geocode/json?sensor=false&address={query}"));
        let location = format!("\"location\": {{\"lat\": {}, \"lng\": {}}}", listing.lat, listing.lon);
        assert!(answer.text().contains(&location) && answer.text().contains("\"status\": \"OK\""), "{}", answer.text());
    }
    assert!(client.get("/maps/api/geocode/json?address=Atlantis").text().contains("ZERO_RESULTS"));
    assert!(client.get("/maps/api/geocode/json?address=over+quota,+London").text().contains("OVER_QUERY_LIMIT"));
    assert_eq!(client.get("/maps/api/geocode/json").status, 400);
}

#[test]
fn the_geocoder_s_rate_is_kept() {
    let mut options = SiteOptions::with_listings(40);
    options.geocode_per_second = Some(0);
    let site = Site::spawn(options).unwrap();
    let answer = Client::to(&site).get("/maps/api/geocode/json?address=London");
    assert!(answer.text().contains("OVER_QUERY_LIMIT"));
}

#[test]
fn the_benchmark_s_knobs_say_how_much_there_is() {
    let site = site(30);
    let mut client = Client::to(&site);
    for base in ["/ti:50/dp:4/id:3/ip:2/ds:100/benchmark", "/benchmark/ti:50/dp:4/id:3/ip:2/ds:100"] {
        let first = client.get(&format!("{base}/index?p=1"));
        assert_eq!(first.text().matches("class=\"item\"").count(), 4);
        assert!(first.text().contains("href=\"detail?id0=4\">item 4-6<"));
        assert_eq!(first.text().matches("class=\"nav\"").count(), 2);
        let last = client.get(&format!("{base}/index?p=5"));
        assert_eq!(
            (last.text().matches("class=\"item\"").count(), last.text().matches("class=\"nav\"").count()),
            (1, 0)
        );
        assert!(client.get(&format!("{base}/index?p=6")).body.is_empty());
        let detail = client.get(&format!("{base}/detail?id0=49"));
        assert_eq!(detail.text().matches("<h3>").count(), 2);
        assert!(detail.text().contains(&"i".repeat(100)));
    }
    assert_eq!(client.post("/benchmark/api", "text=foo+bar").text(), "{\"translation\": \"api-t-foo bar\"}");
    assert_eq!(client.get("/benchmark/nonsense/index").status, 404);
}

#[test]
fn robots_txt_follows_the_host_s_name() {
    let site = site(30);
    let mut client = Client::to(&site);
    let mut robots = |host: &str| client.get_with("/robots.txt", &format!("Host: {host}\r\n"));
    assert!(robots("localhost:5").text().contains("Disallow: /private/"));
    assert!(robots("localhost:5").text().contains("Sitemap: http://localhost:5/sitemap.xml"));
    assert!(robots("robots-none.localhost").text().contains("Disallow: /\n"));
    assert!(robots("robots-delay-2.localhost").text().contains("Crawl-delay: 2\n"));
    assert_eq!(robots("robots-503.localhost").status, 503);
    assert_eq!(robots("robots-moved.localhost").status, 301);
}

#[test]
fn the_sitemap_lists_every_listing_once() {
    let site = site(10_050);
    let mut client = Client::to(&site);
    let index = client.get("/sitemap.xml");
    assert_eq!(index.text().matches("<loc>").count(), 2);
    let mut urls = std::collections::BTreeSet::new();
    for part in 0..2 {
        for line in client.get_with(&format!("/sitemap-{part}.xml"), "Host: a.localhost\r\n").text().lines() {
            if let Some(rest) = line.split("<loc>").nth(1) {
                urls.insert(rest.split("</loc>").next().unwrap().to_owned());
            }
        }
    }
    assert_eq!(urls.len(), 10_050);
    assert!(urls.contains("http://a.localhost/properties/property_010049.html"));
    assert_eq!(client.get("/sitemap-2.xml").status, 404);
    assert_eq!(client.get("/sitemap-1.xml.gz").body[..2], [0x1F, 0x8B]);
}

#[test]
fn the_api_has_thirty_titles_and_images_are_pictures() {
    let site = site(90);
    let mut client = Client::to(&site);
    let api = client.get("/properties/api.json");
    assert_eq!((api.text().matches("\"id\": ").count(), api.text().matches("\"title\": ").count()), (30, 30));
    let one = client.get("/images/i00.jpg");
    assert_eq!(one.header("content-type"), Some("image/jpeg"));
    assert!(one.body.starts_with(&[0xFF, 0xD8]) && one.body.ends_with(&[0xFF, 0xD9]));
    assert_ne!(client.get("/images/i49.jpg").body, one.body);
    assert_eq!(client.get("/images/i50.jpg").status, 404);
}

#[test]
fn pages_are_compressed_only_under_the_knob() {
    let site = site(30);
    let mut client = Client::to(&site);
    let headers = "Host: localhost\r\nAccept-Encoding: gzip\r\n";
    let plain = client.get_with("/properties/property_000001.html", headers);
    assert_eq!(plain.header("content-encoding"), None);
    let packed = client.get_with("/gzip/properties/property_000001.html", headers);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("accept-encoding"));
    assert!(packed.body.starts_with(&[0x1F, 0x8B]) && packed.body.len() < plain.body.len());
    assert_eq!(client.get("/gzip/properties/property_000001.html").header("content-encoding"), None);
}

#[test]
fn requests_sent_together_are_answered_in_order() {
    let site = site(30);
    let mut client = Client::to(&site);
    let paths = ["/static/a.html", "/properties/property_000000.html", "/nothing", "/static/b.html"];
    client.send(&paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).concat());
    let statuses = paths.map(|_| client.answer().status);
    assert_eq!(statuses, [200, 200, 404, 200]);
}

#[test]
fn a_request_in_pieces_is_one_request() {
    let site = site(30);
    let mut client = Client::to(&site);
    for piece in ["GET /static/a.h", "tml HTTP/1.1\r\nHo", "st: localhost\r", "\n\r", "\n"] {
        client.send(piece);
    }
    assert_eq!(client.answer().status, 200);
    assert_eq!(site.log().len(), 1);
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_ends() {
    let site = site(30);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    for (bytes, status) in [
        ("nonsense\r\n\r\n", "400"),
        (many.as_str(), "431"),
        ("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
        ("POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "413"),
        ("DELETE /properties/index_00000.html HTTP/1.1\r\nConnection: close\r\n\r\n", "405"),
        ("GET /static/a.html HTTP/1.0\r\n\r\n", "200"),
    ] {
        let mut client = Client::to(&site);
        client.send(bytes);
        let answer = String::from_utf8(client.rest().unwrap()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes}: {answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[test]
fn head_has_the_head_alone_and_echo_shows_the_request() {
    let site = site(30);
    let mut client = Client::to(&site);
    client.send("HEAD /static/a.html HTTP/1.1\r\nHost: localhost\r\n\r\nGET /echo?x=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-A: \"b\"\r\n\r\n");
    let all = String::from_utf8(client.rest().unwrap()).unwrap();
    assert!(all.contains("content-length: ") && !all.contains("teapot"));
    assert!(
        all.contains(r#""target": "/echo?x=1", "host": "h", "headers": [["host", "h"], ["connection", "close"], ["x-a", "\"b\""]]"#),
        "{all}"
    );
}

#[test]
fn the_log_has_every_request_by_arrival() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let options = SiteOptions { threads: 2, log: Some(file.clone()), ..SiteOptions::with_listings(300) };
    let site = Site::spawn(options).unwrap();
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let mut connection = Client::to(&site);
            std::thread::spawn(move || {
                for nth in 0..50 {
                    connection.get(&format!("/properties/property_{:06}.html", client * 50 + nth));
                }
                connection.stream.local_addr().unwrap().port()
            })
        })
        .collect();
    let ports: Vec<u16> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let log = site.log();
    assert_eq!((log.len(), site.log_forgotten()), (200, 0));
    assert!(log.is_sorted_by_key(|access| access.arrived));
    for (client, port) in ports.iter().enumerate() {
        // One connection waits for each answer: its requests arrive in the order in which it asked.
        let own: Vec<&str> = log.iter().filter(|a| a.port == *port).map(|a| a.path.as_str()).collect();
        let asked: Vec<String> =
            (0..50).map(|nth| format!("/properties/property_{:06}.html", client * 50 + nth)).collect();
        assert_eq!(own, asked);
    }
    assert!(log.iter().all(|a| a.status == 200 && a.method == "GET" && a.host == "localhost"));
    site.clear_log();
    assert!(site.log().is_empty());
    drop(site);
    let lines = std::fs::read_to_string(file).unwrap();
    assert_eq!(lines.lines().count(), 200);
    assert!(lines.lines().all(|line| line.split(' ').count() == 6));
}

#[test]
fn an_arrival_does_not_include_the_wait() {
    let options = SiteOptions { latency: std::time::Duration::from_millis(60), ..SiteOptions::with_listings(30) };
    let site = Site::spawn(options).unwrap();
    let mut clients = [(); 5].map(|()| Client::to(&site));
    for client in &mut clients {
        client.send("GET /static/a.html HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    let mut again = Client::to(&site);
    again.get("/static/b.html");
    let log = site.log();
    let between = log[5].arrived.0 - log[0].arrived.0;
    assert!(between >= 60_000, "the sixth was asked when the first was answered: {between}");
    assert_eq!(log.len(), 6);
}

#[test]
fn requests_sent_together_arrive_together_however_slow_the_first_is() {
    let options = SiteOptions { latency: std::time::Duration::from_millis(60), ..SiteOptions::with_listings(30) };
    let site = Site::spawn(options).unwrap();
    let mut client = Client::to(&site);
    client.send(&"GET /static/a.html HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2));
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
    let log = site.log();
    assert_eq!(log[0].arrived, log[1].arrived);
}

#[test]
fn two_sites_do_not_share_a_port_and_a_taken_port_is_said() {
    let one = site(30);
    let two = site(30);
    assert_ne!(one.port(), two.port());
    let error = Site::spawn(SiteOptions { port: one.port(), ..SiteOptions::default() }).unwrap_err();
    assert!(error.to_string().contains(&one.port().to_string()), "{error}");
}

#[test]
fn a_site_on_a_runtime_of_others_answers_and_stops() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let site = Site::start(SiteOptions::with_listings(30)).await.unwrap();
        let port = site.port();
        let ask = tokio::task::spawn_blocking(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        assert!(ask.await.unwrap().starts_with("HTTP/1.1 200 OK"));
        assert_eq!(site.log().len(), 1);
    });
}
