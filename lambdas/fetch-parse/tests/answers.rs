//! What becomes of an answer: page, redirect, robots.txt, picture, nonsense. Each release has one report, whatever its server does.

#[path = "../../fetch/tests/common/mod.rs"]
mod common;

use common::*;
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use weir_fetch::FetchSettings;
use weir_fetch_parse::{Handler, ReportSink, SpiderSource};
use weir_model::{
    FailureClass, FetchMessage, FetchOutcome, JobId, MessageId, Release, ReleaseId, Report, TargetId, Tick, Value,
};
use weir_spider::Spider;

const SPIDER: &str = r#"
name = "t"
allowed_domains = ["*"]
start = ["http://localhost/"]
start_parse = "page"
[[follow]]
css = "a"
parse = "listing"
[item.page.fields]
title = { css = "title::text" }
[item.listing]
scope = "$.results"
[item.listing.fields]
name = { json = "$.name" }
"#;

/// The target of start pages.
const PAGE: TargetId = TargetId(0);

/// One spider, for job 1 alone.
struct Job1(Arc<Spider>);

impl SpiderSource for Job1 {
    fn spider(&self, job: JobId) -> Option<Arc<Spider>> {
        (job == JobId(1)).then(|| Arc::clone(&self.0))
    }
}

#[derive(Default)]
struct Collected(RefCell<Vec<Report>>);

impl ReportSink for Collected {
    fn report(&self, report: Report) {
        self.0.borrow_mut().push(report);
    }
}

fn spider() -> Arc<Spider> {
    Arc::new(Spider::load("t.toml", SPIDER, &[]).unwrap_or_else(|errors| panic!("{errors}")))
}

fn handler_with(settings: FetchSettings) -> Rc<Handler> {
    Rc::new(Handler::new(fetcher_with(settings), Box::new(Job1(spider())), "this-machine".into()))
}

fn handler() -> Rc<Handler> {
    handler_with(settings())
}

async fn handle(handler: &Rc<Handler>, releases: Vec<Release>) -> Vec<Report> {
    let collected = Collected::default();
    handler.handle(FetchMessage { id: MessageId(1), releases }, &collected).await;
    collected.0.into_inner()
}

async fn one(handler: &Rc<Handler>, release: Release) -> Report {
    let mut reports = handle(handler, vec![release]).await;
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

fn start_page(url: &str) -> Release {
    let mut release = release(url);
    release.request.target = PAGE;
    release
}

fn titles(report: &Report) -> Vec<&Value> {
    report.items.iter().map(|item| &item.values[0]).collect()
}

fn title(text: &str) -> Value {
    Value::Str(text.into())
}

#[test]
fn a_page_gives_its_items_and_its_links() {
    run(async {
        let html = "<title>A flat</title><a href='/p/1'>one</a><a href='http://elsewhere.test/2#x'>two</a>";
        let server = Server::answering("200 OK", "Content-Type: text/html\r\n", html).await;
        let report = one(&handler(), start_page(&server.url("/"))).await;
        assert_eq!(report.outcome, FetchOutcome::Response { status: 200 });
        assert_eq!(titles(&report), [&title("A flat")]);
        assert_eq!(report.links.urls, format!("{}http://elsewhere.test/2", server.url("/p/1")));
        assert_eq!((report.wire_bytes, report.body_bytes), (html.len() as u32, html.len() as u32));
        assert_eq!(report.items[0].version, report.started_at.0);
        assert!(report.started_at <= report.answered_at && report.answered_at <= report.ended_at);
    });
}

#[test]
fn other_statuses_than_2xx_are_answers_without_items() {
    run(async {
        for status in
            ["404 Not Found", "403 Forbidden", "429 Too Many Requests", "500 Oops", "503 Later", "304 Not Modified"]
        {
            let server =
                Server::answering(status, "Content-Type: text/html\r\n", "<title>Sorry</title><a href=/>home</a>")
                    .await;
            let report = one(&handler(), start_page(&server.url("/"))).await;
            let number = status[..3].parse().expect("a number");
            assert_eq!(report.outcome, FetchOutcome::Response { status: number });
            assert!(report.items.is_empty() && report.links.links.is_empty(), "{status}");
        }
    });
}

#[test]
fn redirects_are_absolute_and_without_fragment() {
    run(async {
        for (location, expected) in [
            ("/there", "http://localhost:PORT/there"),
            ("next?page=2", "http://localhost:PORT/dir/next?page=2"),
            ("?page=2", "http://localhost:PORT/dir/page?page=2"),
            ("../up#part", "http://localhost:PORT/up"),
            ("http://shop.test/a b", "http://shop.test/a%20b"),
            ("//shop.test/x", "http://shop.test/x"),
            ("HTTPS://Shop.test:443/x", "https://shop.test/x"),
            ("  /trimmed  ", "http://localhost:PORT/trimmed"),
            // Other schemes and what is no URL: the frontier rejects them by name.
            ("ftp://shop.test/x", "ftp://shop.test/x"),
            ("javascript:alert(1)", "javascript:alert(1)"),
            ("http://[broken", "http://[broken"),
        ] {
            let headers: &'static str = Box::leak(format!("Location: {location}\r\n").into_boxed_str());
            let server = Server::answering("302 Found", headers, "moved").await;
            let report = one(&handler(), start_page(&server.url("/dir/page"))).await;
            let expected = expected.replace("PORT", &server.port.to_string()).into();
            assert_eq!(report.outcome, FetchOutcome::Redirect { status: 302, location: expected });
            assert_eq!(server.seen().len(), 1, "not followed");
        }
    });
}

#[test]
fn locations_in_any_bytes_come_out_percent_encoded() {
    run(async {
        for bytes in [&b"/caf\xc3\xa9"[..], b"/caf\xe9"] {
            let server = Server::start(move |mut peer| async move {
                while peer.request().await.is_some() {
                    let head = [b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: ", bytes, b"\r\n\r\n"].concat();
                    peer.send(head).await;
                }
            })
            .await;
            let report = one(&handler(), start_page(&server.url("/"))).await;
            let location = server.url("/caf%C3%A9").into();
            assert_eq!(report.outcome, FetchOutcome::Redirect { status: 301, location });
        }
    });
}

#[test]
fn a_redirect_without_a_place_to_go_is_an_answer() {
    run(async {
        let server = Server::answering("302 Found", "", "<title>x</title>").await;
        let report = one(&handler(), start_page(&server.url("/"))).await;
        assert_eq!(report.outcome, FetchOutcome::Response { status: 302 });
        let server = Server::answering("300 Multiple Choices", "Location: /x\r\n", "").await;
        let report = one(&handler(), start_page(&server.url("/"))).await;
        assert_eq!(report.outcome, FetchOutcome::Response { status: 300 });
    });
}

#[test]
fn robots_are_handed_over_as_they_are() {
    run(async {
        let rules = "User-agent: *\nDisallow: /private\n";
        let server = Server::answering("200 OK", "Content-Type: image/png\r\n", rules).await;
        let report = one(&handler(), robots(&server.url("/robots.txt"))).await;
        assert_eq!(report.outcome, FetchOutcome::Robots { status: 200, body: rules.as_bytes().into() });
        for status in ["404 Not Found", "401 Unauthorized", "500 Oops"] {
            let server = Server::answering(status, "", "<html>an error page</html>").await;
            let report = one(&handler(), robots(&server.url("/robots.txt"))).await;
            let status = status[..3].parse().expect("a number");
            assert_eq!(report.outcome, FetchOutcome::Robots { status, body: Box::default() });
        }
        let server = Server::answering("301 Moved", "Location: /r.txt\r\n", "").await;
        let report = one(&handler(), robots(&server.url("/robots.txt"))).await;
        assert_eq!(report.outcome, FetchOutcome::Redirect { status: 301, location: server.url("/r.txt").into() });
    });
}

#[test]
fn robots_are_cut_at_500_kib_however_they_come() {
    run(async {
        let long = "Disallow: /private\n".repeat(60_000);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(long.as_bytes()).expect("into memory");
        let packed = encoder.finish().expect("into memory");
        let generous = FetchSettings { ratio_max: 1000, ..settings() };
        for (headers, body) in [("", long.clone().into_bytes()), ("Content-Encoding: gzip\r\n", packed)] {
            let server = Server::answering("200 OK", headers, body).await;
            let report = one(&handler_with(generous.clone()), robots(&server.url("/robots.txt"))).await;
            let FetchOutcome::Robots { status: 200, body } = &report.outcome else { panic!("{:?}", report.outcome) };
            assert!(body.len() == 500 << 10 && long.as_bytes().starts_with(body), "{headers}");
        }
    });
}

#[test]
fn what_is_no_text_holds_nothing() {
    run(async {
        let html = b"<title>A flat</title><a href='/p/1'>one</a>";
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR<a href='/p/1'>";
        let pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n<a href='/p/1'>";
        for (kind, body, items) in [
            ("Content-Type: image/jpeg", &html[..], 0),
            ("Content-Type: application/pdf", html, 0),
            ("Content-Type: application/zip; x=text/html", html, 0),
            ("Content-Type: font/woff2", html, 0),
            ("Content-Type: application/octet-stream", png, 0),
            ("Content-Type: binary/octet-stream", pdf, 0),
            ("Content-Type: text/plain", png, 0),
            ("X-No-Type: 1", png, 0),
            ("X-No-Type: 1", pdf, 0),
            ("Content-Type: application/octet-stream", html, 1),
            ("Content-Type: binary/octet-stream", html, 1),
            ("X-No-Type: 1", html, 1),
            ("Content-Type: ", html, 1),
            ("Content-Type: html", html, 1),
            ("Content-Type: TEXT/HTML", html, 1),
            ("Content-Type: application/xhtml+xml", html, 1),
            ("Content-Type: text/html, text/html", html, 1),
        ] {
            let headers: &'static str = Box::leak(format!("{kind}\r\n").into_boxed_str());
            let server = Server::answering("200 OK", headers, body).await;
            let report = one(&handler(), start_page(&server.url("/"))).await;
            assert_eq!(report.outcome, FetchOutcome::Response { status: 200 }, "{kind}");
            assert_eq!((report.items.len(), report.links.links.len()), (items, items), "{kind} {body:?}");
        }
        let server = Server::answering("200 OK", "Content-Type: text/html\r\n", "").await;
        let report = one(&handler(), start_page(&server.url("/"))).await;
        assert_eq!(
            (report.outcome, report.items.len()),
            (FetchOutcome::Response { status: 200 }, 1),
            "an empty page is a page: its item holds what needs no element"
        );
    });
}

#[test]
fn pages_are_read_in_their_charset() {
    run(async {
        let wide: Vec<u8> = "\u{feff}<title>Škoda £</title>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (kind, body, expected) in [
            ("text/html; charset=utf-8", "<title>Škoda £</title>".as_bytes(), "Škoda £"),
            ("text/html; charset=iso-8859-1", b"<title>caf\xe9 \xa3</title>", "café £"),
            ("text/html", b"<meta charset=windows-1251><title>\xca\xe2\xe0\xf0\xf2\xe8\xf0\xe0</title>", "Квартира"),
            ("text/html", "<title>Škoda £</title>".as_bytes(), "Škoda £"),
            ("text/html; charset=utf-8", b"<title>\xff\xfe?</title>", "\u{fffd}\u{fffd}?"),
            ("application/octet-stream", &wide, "Škoda £"),
        ] {
            let headers: &'static str = Box::leak(format!("Content-Type: {kind}\r\n").into_boxed_str());
            let server = Server::answering("200 OK", headers, body.to_vec()).await;
            let report = one(&handler(), start_page(&server.url("/"))).await;
            assert_eq!(titles(&report), [&title(expected)], "{kind}");
        }
    });
}

#[test]
fn what_cannot_be_processed_says_why() {
    run(async {
        let server = Server::answering("200 OK", "Content-Type: application/json\r\n", "{\"results\": [").await;
        let spider = spider();
        let listing = (1..).map(TargetId).find(|id| spider.target(*id).is_some_and(|target| target.parse == Some(1)));
        let mut broken = start_page(&server.url("/"));
        broken.request.target = listing.expect("the target of the rule");
        let mut jobless = start_page(&server.url("/"));
        jobless.job = JobId(2);
        let mut lost = start_page(&server.url("/"));
        lost.request.target = TargetId(999);
        for (release, why) in
            [(broken, "JSON"), (jobless, "job 2 has no spider here"), (lost, "the spider has no target 999")]
        {
            let report = one(&handler(), release).await;
            let FetchOutcome::Unreadable { status: 200, reason } = &report.outcome else {
                panic!("{:?}", report.outcome)
            };
            assert!(reason.contains(why), "{reason}");
            assert!(report.items.is_empty() && report.links.links.is_empty());
        }
    });
}

#[test]
fn a_page_after_an_unreadable_one_is_read_as_ever() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while let Some(request) = peer.request().await {
                let html = if request.starts_with("GET /deep") {
                    "<div>".repeat(100_000)
                } else {
                    "<title>fine</title>".into()
                };
                peer.answer("200 OK", "Content-Type: text/html\r\n", html).await;
            }
        })
        .await;
        let handler = handler();
        one(&handler, start_page(&server.url("/deep"))).await;
        let report = one(&handler, start_page(&server.url("/"))).await;
        assert_eq!(titles(&report), [&title("fine")]);
    });
}

#[test]
fn every_release_of_a_message_has_one_report_whatever_its_server_does() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while let Some(request) = peer.request().await {
                match request.split(' ').nth(1).unwrap_or_default() {
                    "/reset" => return peer.reset(),
                    "/end" => return,
                    "/silent" => return std::future::pending().await,
                    "/moved" => drop(peer.answer("301 Moved", "Location: /\r\n", "").await),
                    "/robots.txt" => drop(peer.answer("404 Not Found", "", "").await),
                    _ => drop(peer.answer("200 OK", "Content-Type: text/html\r\n", "<title>x</title>").await),
                }
            }
        })
        .await;
        let mut late = start_page(&server.url("/late"));
        late.not_after = Tick(1);
        let mut releases = vec![
            start_page(&server.url("/")),
            start_page(&server.url("/reset")),
            start_page(&server.url("/end")),
            start_page(&server.url("/silent")),
            start_page(&server.url("/moved")),
            robots(&server.url("/robots.txt")),
            start_page("http://169.254.169.254/latest"),
            start_page("no URL"),
            late,
        ];
        for (number, release) in releases.iter_mut().enumerate() {
            release.id = ReleaseId(number as u64);
        }
        let mut reports = handle(&handler(), releases).await;
        reports.sort_by_key(|report| report.release);
        let said: Vec<String> = reports
            .iter()
            .map(|report| match &report.outcome {
                FetchOutcome::Response { status } => format!("{status}"),
                FetchOutcome::Redirect { status, .. } => format!("redirect {status}"),
                FetchOutcome::Robots { status, .. } => format!("robots {status}"),
                FetchOutcome::Failed { class, written, .. } => format!("{class:?} {written}"),
                FetchOutcome::Unreadable { .. } => "unreadable".into(),
                FetchOutcome::Unfetched { .. } => "unfetched".into(),
            })
            .collect();
        let failed = |class: FailureClass, written| format!("{class:?} {written}");
        assert_eq!(
            said,
            [
                "200".into(),
                failed(FailureClass::Protocol, true),
                failed(FailureClass::Protocol, true),
                failed(FailureClass::Timeout, true),
                "redirect 301".into(),
                "robots 404".into(),
                failed(FailureClass::ForbiddenAddress, false),
                failed(FailureClass::BadRequest, false),
                "unfetched".to_owned(),
            ]
        );
        for report in &reports {
            let written =
                !matches!(report.outcome, FetchOutcome::Failed { written: false, .. } | FetchOutcome::Unfetched { .. });
            assert_eq!(report.started_at > Tick(0), written, "{:?}", report.outcome);
        }
        assert_eq!(server.seen().len(), 6, "one request each, and none for the late one");
    });
}
