//! How large reports are on the wire: `cargo run --release --example report_bytes -- examples/properties.toml http://localhost:9312`
//! against `weir site`. Prints bytes a report as plain JSON and packed, and what packing and reading cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_fetch_parse::function::{
    AllowedHosts, Delivery, Function, FunctionParts, FunctionSettings, InvocationClock, Queues,
};
use weir_model::json::{FetchEnvelope, FetchRules, JobRef, QueueMessage, ReportBatch, pack_reports, report_json};
use weir_model::{
    Clock, ContentHash, FetchMessage, JobId, MessageId, Release, ReleaseId, Report, Request, TargetId, Tick,
};
use weir_queue::{ArtifactStore, MemoryArtifacts, MemoryClaims, MemoryQueue, MessageQueue};

struct One(Arc<MemoryQueue>);

impl Queues for One {
    fn open(&self, _: &str) -> Arc<dyn MessageQueue> {
        self.0.clone()
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(file), Some(base)) = (args.next(), args.next()) else {
        eprintln!("usage: report_bytes SPIDER.toml BASE_URL");
        return;
    };
    let text = std::fs::read_to_string(&file).expect("the spider file can be read");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        for (what, path, target) in
            [("listing", "/properties/property_", TargetId(1)), ("index", "/properties/index_", TargetId(0))]
        {
            let urls: Vec<String> = (0..1_000)
                .map(|n| {
                    if target.0 == 1 { format!("{base}{path}{n:06}.html") } else { format!("{base}{path}{n:05}.html") }
                })
                .collect();
            let (fetch_bytes, reports) = crawl(&text, &urls, target).await;
            println!("{what}: {} reports; fetch message {:.0} B a release", reports.len(), fetch_bytes);
            measure(&reports);
        }
    });
}

/// Fetches in messages of 32, as the engine packs them.
async fn crawl(text: &str, urls: &[String], target: TargetId) -> (f64, Vec<Report>) {
    let clock: Arc<dyn Clock> = Arc::new(InvocationClock::start());
    let queue = Arc::new(MemoryQueue::new("reports", clock.clone(), Duration::from_secs(3600)));
    let artifacts = Arc::new(MemoryArtifacts::default());
    let spider = ContentHash::of(text.as_bytes());
    artifacts.put(&spider.spider_key(), text.into()).await.expect("stored");
    let settings = FunctionSettings {
        allowed: AllowedHosts { loopback: true, exact: Vec::new() },
        ..FunctionSettings::new("bucket", "claims")
    };
    let function = Function::new(FunctionParts {
        queues: Box::new(One(queue.clone())),
        artifacts,
        claims: Arc::new(MemoryClaims::default()),
        clock: clock.clone(),
        settings,
        server: "here".into(),
    });
    let (mut bytes, mut reports) = (0, Vec::new());
    for (at, urls) in urls.chunks(32).enumerate() {
        let release = |(n, url): (usize, &String)| Release {
            id: ReleaseId(((at * 32 + n) as u64) << 20),
            job: JobId(7),
            not_before: clock.now(),
            not_after: clock.now().after(Duration::from_secs(5)),
            request: Request { url: url.as_str().into(), target, depth: 1, ..Request::default() },
        };
        let job = JobRef { job: JobId(7), spider, args: BTreeMap::new(), fetch: FetchRules::default() };
        let message =
            FetchMessage { id: MessageId(at as u64), releases: urls.iter().enumerate().map(release).collect() };
        let (stage, reports_queue) = (
            "stage-0.0123456789abcdef".into(),
            "https://sqs.eu-central-1.amazonaws.com/123456789012/weir-reports-0".into(),
        );
        let body = FetchEnvelope { stage, reports_queue, jobs: vec![job], message }.to_json();
        bytes += body.len();
        let ends_at = Tick(clock.now().0 + 60_000_000);
        let invoked = function.invoke(&at.to_string(), vec![Delivery { id: at.to_string(), body }], ends_at).await;
        assert!(invoked.failed.is_empty(), "{}", invoked.figures.log_line());
        let received = queue.receive(10, Duration::ZERO).await.expect("received");
        for message in &received {
            reports.extend(ReportBatch::from_json(message.body.as_ref().expect("a body")).expect("reports").reports);
        }
        let receipts: Vec<_> = received.into_iter().map(|message| message.receipt).collect();
        queue.settle(&receipts).await;
    }
    (bytes as f64 / urls.len() as f64, reports)
}

#[allow(clippy::disallowed_methods, reason = "a stopwatch")]
fn measure(reports: &[Report]) {
    let count = reports.len() as f64;
    let began = Instant::now();
    let json: Vec<String> = reports.iter().map(report_json).collect();
    let written = began.elapsed();
    let plain: usize = json.iter().map(|text| text.len() + 1).sum();
    println!(
        "  plain: {:.0} B a report, written in {:.1} us",
        plain as f64 / count,
        written.as_secs_f64() * 1e6 / count
    );
    for together in [8, 32, 100, 320] {
        let began = Instant::now();
        let bodies: Vec<String> = json.chunks(together).map(|some| pack_reports("stage-0", some, &[])).collect();
        let packed = began.elapsed();
        let bytes: usize = bodies.iter().map(String::len).sum();
        let began = Instant::now();
        for body in &bodies {
            ReportBatch::from_json(body).expect("what was written is read");
        }
        let read = began.elapsed();
        println!(
            "  {together} together: {:.0} B a report, {:.0} B a message; packed in {:.1} us, read in {:.1} us a report",
            bytes as f64 / count,
            bytes as f64 / bodies.len() as f64,
            packed.as_secs_f64() * 1e6 / count,
            read.as_secs_f64() * 1e6 / count
        );
    }
}
