//! What the fetch threads are started with, from settings and spider.

use crate::settings::Settings;
use std::sync::Arc;
use weir_fetch::{ByteBudget, FetchSettings, Guard};
use weir_spider::Spider;

/// Sent when no `user_agent` is set: enough on loopback.
pub const USER_AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// Fetch settings, address guard and byte budget.
#[must_use]
pub fn parts(settings: &Settings, spider: &Spider) -> (Arc<FetchSettings>, Arc<Guard>, Arc<ByteBudget>) {
    let fetch = FetchSettings {
        user_agent: settings.user_agent.clone().unwrap_or_else(|| USER_AGENT.to_owned()),
        total_timeout: settings.fetch_timeout,
        connect_timeout: settings.fetch_connect_timeout,
        headers_timeout: settings.fetch_headers_timeout,
        body_bytes_max: settings.fetch_body_bytes_max,
        wire_bytes_max: settings.fetch_wire_bytes_max,
        ..FetchSettings::default()
    };
    let mut guard = Guard::new();
    for host in start_hosts(spider) {
        guard.allow_host(&host);
    }
    (Arc::new(fetch), Arc::new(guard), Arc::new(ByteBudget::new(settings.fetch_memory_bytes_max)))
}

/// Hosts that the operator's own start URLs name: only these may be on loopback or private addresses.
#[must_use]
pub fn start_hosts(spider: &Spider) -> Vec<String> {
    let mut hosts = std::collections::BTreeSet::new();
    for start in spider.start_urls().iter() {
        let host = host_of(&start.url);
        if !hosts.contains(host) {
            hosts.insert(host.to_owned());
        }
    }
    hosts.into_iter().collect()
}

/// The host of a URL, as it stands there.
#[must_use]
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // A port is behind the last colon, unless that is inside the brackets of an IPv6 address.
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

/// This machine's name, for `value = "server"`.
#[must_use]
pub fn server_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

/// What became of a page asked for by hand.
pub enum Fetched {
    /// Fetched and processed.
    Page(Box<weir_model::Report>),
    /// Not, and why.
    Nothing(String),
}

/// Fetches pages one by one through the function's handler, following redirects, without frontier and state: for `weir check`. Gives
/// what came and how many seconds it took.
pub fn fetch_pages(
    spider: &Arc<Spider>,
    settings: &Settings,
    pages: Vec<(String, weir_model::TargetId)>,
) -> Result<(Vec<Fetched>, f64), crate::CrawlError> {
    use weir_model::Clock;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| crate::CrawlError::System { what: "a runtime", error })?;
    let clock: Arc<dyn Clock> = Arc::new(crate::SystemClock::start());
    let started_at = clock.now();
    let (fetch, mut guard, budget) = parts(settings, spider);
    // The operator named these, too.
    for (url, _) in &pages {
        Arc::make_mut(&mut guard).allow_host(host_of(url));
    }
    let local = tokio::task::LocalSet::new();
    let found = local.block_on(&runtime, async {
        let fetcher = weir_fetch::Fetcher::new(fetch, guard, budget, Arc::clone(&clock));
        let source = Box::new(OneSpider(Arc::clone(spider)));
        let handler = std::rc::Rc::new(weir_fetch_parse::Handler::new(fetcher, source, server_name()));
        let mut found = Vec::with_capacity(pages.len());
        for (url, target) in pages {
            found.push(fetch_page(&handler, url, target, settings.redirect_max).await);
        }
        found
    });
    Ok((found, clock.now().since(started_at).as_secs_f64()))
}

struct OneSpider(Arc<Spider>);

impl weir_fetch_parse::SpiderSource for OneSpider {
    fn spider(&self, _job: weir_model::JobId) -> Option<Arc<Spider>> {
        Some(Arc::clone(&self.0))
    }
}

#[derive(Default)]
struct Collected(std::cell::RefCell<Vec<weir_model::Report>>);

impl weir_fetch_parse::ReportSink for Collected {
    fn report(&self, report: weir_model::Report) {
        self.0.borrow_mut().push(report);
    }
}

async fn fetch_page(
    handler: &std::rc::Rc<weir_fetch_parse::Handler>,
    mut url: String,
    target: weir_model::TargetId,
    redirects_max: u8,
) -> Fetched {
    use weir_model::{FetchMessage, FetchOutcome, Release, Request, Tick};
    for _ in 0..=redirects_max {
        let request = Request { url: url.clone().into(), target, ..Request::default() };
        let release = Release {
            id: weir_model::ReleaseId(1),
            job: weir_model::JobId(1),
            not_before: Tick(0),
            not_after: Tick::NEVER,
            request,
        };
        let collected = Collected::default();
        let message = FetchMessage { id: weir_model::MessageId(1), releases: vec![release] };
        handler.handle(message, &collected).await;
        let Some(report) = collected.0.into_inner().pop() else {
            return Fetched::Nothing("the handler gave no report".into());
        };
        match &report.outcome {
            FetchOutcome::Response { status } if (200..300).contains(status) => return Fetched::Page(Box::new(report)),
            FetchOutcome::Redirect { location, .. } => url = location.to_string(),
            FetchOutcome::Response { status } => return Fetched::Nothing(format!("HTTP status {status}")),
            FetchOutcome::Failed { class, reason, .. } => {
                return Fetched::Nothing(format!("{}: {reason}", class.as_str()));
            }
            FetchOutcome::Unreadable { reason, .. } | FetchOutcome::Unfetched { reason } => {
                return Fetched::Nothing(reason.to_string());
            }
            FetchOutcome::Robots { .. } => return Fetched::Nothing("an answer of another kind".into()),
        }
    }
    Fetched::Nothing(format!("more than {redirects_max} redirects"))
}
