//! The handler: all requests of a message at once, each extracted as soon as its body is there.
//!
//! Decides what an answer is: a redirect, a robots.txt, a page, or nothing to read. Knows nothing of queues, domains and retry.
//! Invariants: one report a release; a body is used and dropped before anything else is awaited; no page ends the process.

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use url::Url;
use weir_fetch::{Answer, Deadline, Fetched, Fetcher, Response, decode_page, decode_text};
use weir_model::{
    FailureClass, FetchMessage, FetchOutcome, JobId, LinkBatch, Release, ReleaseId, Report, RequestKind, Tick,
};
use weir_spider::{ExtractLimits, Extraction, Extractor, Page, Spider};

/// Where spiders come from: jobs of this process, or an artifact store.
pub trait SpiderSource {
    /// The spider of a job; `None` when it is not known here.
    fn spider(&self, job: JobId) -> Option<Arc<Spider>>;
}

/// Where reports go, one by one as requests are done.
pub trait ReportSink {
    /// Takes a report.
    fn report(&self, report: Report);
}

/// Fetches and parses. One a thread, on a single-threaded runtime inside a `LocalSet`; kept from message to message with its
/// connections and its memory.
pub struct Handler {
    fetcher: Fetcher,
    spiders: Box<dyn SpiderSource>,
    server: String,
    limits: ExtractLimits,
    extraction: RefCell<(Extractor, Extraction)>,
}

impl Handler {
    /// A handler; `server` is this machine's name (`value = "server"`).
    #[must_use]
    pub fn new(fetcher: Fetcher, spiders: Box<dyn SpiderSource>, server: String) -> Handler {
        let limits = ExtractLimits::default();
        let extraction = RefCell::new((Extractor::new(limits), Extraction::default()));
        Handler { fetcher, spiders, server, limits, extraction }
    }

    /// Seeds the tables that pages fill with names of their own choice: drawn once a process, so that nobody can prepare a page whose
    /// names collide.
    #[must_use]
    pub fn with_hash_seed(mut self, seed: u64) -> Handler {
        self.limits.tree.hash_seed = seed;
        self.extraction = RefCell::new((Extractor::new(self.limits), Extraction::default()));
        self
    }

    /// Makes the requests of a message and reports each. Returns when all are reported.
    pub async fn handle(self: &Rc<Self>, message: FetchMessage, reports: &dyn ReportSink) {
        self.handle_until(message, Deadline::NEVER, reports).await;
    }

    /// The same within a function's time: what was not sent when the deadline nears is reported unfetched, what is under way at
    /// its end is given up.
    pub async fn handle_until(self: &Rc<Self>, message: FetchMessage, deadline: Deadline, reports: &dyn ReportSink) {
        let mut releases = message.releases;
        if releases.len() == 1 {
            if let Some(release) = releases.pop() {
                reports.report(self.one(release, deadline).await);
            }
            return;
        }
        let mut under_way: FuturesUnordered<_> =
            releases.into_iter().map(|release| self.one(release, deadline)).collect();
        while let Some(report) = under_way.next().await {
            reports.report(report);
        }
    }

    /// One report, whatever happens: a panic of ours costs its own request and no other.
    async fn one(&self, release: Release, deadline: Deadline) -> Report {
        let begun_at = self.fetcher.now();
        let done = AssertUnwindSafe(self.fetch_and_judge(&release, deadline)).catch_unwind().await;
        done.unwrap_or_else(|_| {
            // It may have been written, so the hit counts from the earliest moment on.
            let reason = "weir panicked on this request: please report it with the page".into();
            let outcome = FetchOutcome::Failed { class: FailureClass::Protocol, reason, written: true };
            Report { started_at: begun_at, ended_at: self.fetcher.now(), ..blank(release.id, outcome) }
        })
    }

    async fn fetch_and_judge(&self, release: &Release, deadline: Deadline) -> Report {
        let fetched = self.fetcher.fetch_within(release, deadline).await;
        let mut report = Report {
            started_at: fetched.started_at,
            answered_at: fetched.answered_at,
            ended_at: fetched.ended_at,
            wire_bytes: u32::try_from(fetched.wire_bytes).unwrap_or(u32::MAX),
            ..blank(release.id, FetchOutcome::Unfetched { reason: Box::default() })
        };
        self.judge(release, fetched, &mut report);
        report
    }

    /// What an answer is.
    fn judge(&self, release: &Release, fetched: Fetched, report: &mut Report) {
        let started_at = fetched.started_at;
        let response = match fetched.answer {
            Answer::Response(response) => response,
            Answer::Failed { class, reason, written } => {
                report.outcome = FetchOutcome::Failed { class, reason: reason.into(), written };
                return;
            }
            Answer::Unfetched { reason } => {
                report.outcome = FetchOutcome::Unfetched { reason: reason.into() };
                return;
            }
        };
        let status = response.status;
        report.body_bytes = u32::try_from(response.body.len()).unwrap_or(u32::MAX);
        report.outcome = match redirect(release, &response) {
            Some(location) => FetchOutcome::Redirect { status, location },
            None if release.request.kind == RequestKind::Robots => FetchOutcome::Robots {
                status,
                body: if (200..300).contains(&status) { response.body.into() } else { Box::default() },
            },
            None if (200..300).contains(&status) => self.page(release, &response, started_at, report),
            None => FetchOutcome::Response { status },
        };
    }

    fn page(&self, release: &Release, response: &Response, started_at: Tick, report: &mut Report) -> FetchOutcome {
        let status = response.status;
        let content_type = response.header(http::header::CONTENT_TYPE);
        // A picture or an archive is an answer that holds no items and no links.
        let binary = match content_type.map_or(Kind::Unsaid, kind) {
            Kind::Text => false,
            Kind::Binary => true,
            Kind::Unsaid => looks_binary(&response.body),
        };
        let nothing =
            status == 204 || (response.body.is_empty() && content_type.is_some_and(|said| said.contains("json")));
        if nothing || binary {
            return FetchOutcome::Response { status };
        }
        let unreadable = |reason: String| FetchOutcome::Unreadable { status, reason: reason.into() };
        let Some(spider) = self.spiders.spider(release.job) else {
            return unreadable(format!("job {} has no spider here", release.job.0));
        };
        let (text, charset) = decode_page(content_type, &response.body);
        let page = Page {
            url: &release.request.url,
            status,
            content_type,
            text: &text,
            charset,
            target: release.request.target,
            carry: release.request.extra.as_deref().and_then(|extra| extra.carry.as_deref()),
            job: release.job,
            started_at_us: started_at.0,
            server: &self.server,
        };
        let (extractor, extraction) = &mut *self.extraction.borrow_mut();
        match catch_unwind(AssertUnwindSafe(|| extractor.extract(&spider, &page, extraction))) {
            Ok(Ok(())) => {
                report.items = std::mem::take(&mut extraction.items);
                report.links = std::mem::take(&mut extraction.links);
                report.notes = std::mem::take(&mut extraction.notes);
                FetchOutcome::Response { status }
            }
            Ok(Err(error)) => unreadable(error.to_string()),
            Err(_) => {
                // Its memory may be half written: a fresh one takes its place.
                *extractor = Extractor::new(self.limits);
                *extraction = Extraction::default();
                unreadable("the parser panicked on this page: please report it with the page".to_owned())
            }
        }
    }
}

fn blank(release: ReleaseId, outcome: FetchOutcome) -> Report {
    Report {
        release,
        outcome,
        started_at: Tick(0),
        answered_at: Tick(0),
        ended_at: Tick(0),
        wire_bytes: 0,
        body_bytes: 0,
        items: Vec::new(),
        links: LinkBatch::default(),
        notes: Vec::new(),
    }
}

/// The target of a redirect, absolute, without its fragment.
fn redirect(release: &Release, response: &Response) -> Option<Box<str>> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let raw = response.headers.get(http::header::LOCATION)?;
    // Servers send UTF-8 and Latin-1 there; both come out percent-encoded.
    let location = decode_text(None, raw.as_bytes());
    let base = Url::parse(&release.request.url).ok()?;
    match base.join(location.trim()) {
        Ok(mut target) => {
            target.set_fragment(None);
            Some(String::from(target).into())
        }
        // What is no URL goes on as it is: the frontier rejects it by name.
        Err(_) => Some(location.trim().into()),
    }
}

/// What a Content-Type says of a body.
enum Kind {
    Text,
    Binary,
    /// What servers send when they do not know.
    Unsaid,
}

fn kind(content_type: &str) -> Kind {
    let kind = content_type.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase();
    match &*kind {
        ""
        | "text/plain"
        | "application/octet-stream"
        | "binary/octet-stream"
        | "unknown/unknown"
        | "application/unknown" => Kind::Unsaid,
        "application/x-www-form-urlencoded" | "application/x-httpd-php" => Kind::Text,
        kind if kind.starts_with("text/") => Kind::Text,
        kind if ["json", "xml", "javascript"].iter().any(|end| kind.ends_with(end)) => Kind::Text,
        // Without a slash it is no type at all.
        kind if !kind.contains('/') => Kind::Unsaid,
        _ => Kind::Binary,
    }
}

/// Bytes that are looked at to tell text from the rest.
const SNIFFED_BYTES: usize = 1445;

/// As browsers sniff (the MIME sniffing standard, section 7.2): control characters that no text has, unless a byte order mark says
/// that it is wide text; and the few formats that begin as text.
fn looks_binary(body: &[u8]) -> bool {
    let marked =
        [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf", b"\0\0\xfe\xff"].iter().any(|mark| body.starts_with(mark));
    let control = |byte: &u8| matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    let head = &body[..body.len().min(SNIFFED_BYTES)];
    !marked && (head.starts_with(b"%PDF-") || head.starts_with(b"%!PS-Adobe-") || head.iter().any(control))
}
