//! Invocations: what is fetched, what is reported, and which messages come again. Queues, artifacts and claims are in process.

#[path = "../../fetch/tests/common/mod.rs"]
mod common;

use common::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_fetch_parse::function::{AllowedHosts, Delivery, Function, FunctionParts, FunctionSettings, Invoked, Queues};
use weir_model::json::{FetchEnvelope, FetchRules, JobRef, QueueMessage, ReportBatch};
use weir_model::{
    Clock, ContentHash, FailureClass, FetchMessage, FetchOutcome, JobId, MessageId, Release, ReleaseId, Report,
    TargetId, Tick, UnixMs, Value,
};
use weir_queue::{
    ArtifactStore, BoxFuture, Claim, Claims, MemoryArtifacts, MemoryClaims, MemoryQueue, MessageQueue, QueueError,
    QueueErrorClass, Receipt, Received, Tickets,
};

const SPIDER: &str = r#"
name = "t"
allowed_domains = ["*"]
start = ["http://localhost/"]
start_parse = "page"
[args]
note = "default"
[[follow]]
css = "a"
[item.page.fields]
title = { css = "title::text" }
note = { value = "args.note" }
"#;

const REPORTS: &str = "reports";

struct OneQueue(Arc<dyn MessageQueue>);

impl Queues for OneQueue {
    fn open(&self, address: &str) -> Arc<dyn MessageQueue> {
        assert_eq!(address, REPORTS);
        Arc::clone(&self.0)
    }
}

/// A world around a function.
struct World {
    clock: Arc<RuntimeClock>,
    reports: Arc<MemoryQueue>,
    artifacts: Arc<MemoryArtifacts>,
    function: Function,
    invocations: Cell<u32>,
}

type Adjust = Box<dyn Fn(&mut FunctionSettings)>;

#[derive(Default)]
struct Change {
    settings: Option<Adjust>,
    claims: Option<Arc<dyn Claims>>,
    queue: Option<Arc<dyn MessageQueue>>,
}

async fn world_with(change: Change) -> World {
    let clock = RuntimeClock::start();
    let reports = Arc::new(MemoryQueue::new(REPORTS, clock.clone(), Duration::from_secs(3600)));
    let artifacts = Arc::new(MemoryArtifacts::default());
    artifacts.put(&hash().spider_key(), SPIDER.into()).await.expect("stored");
    let mut settings = FunctionSettings::new("bucket", "claims");
    settings.allowed = AllowedHosts { loopback: true, exact: Vec::new() };
    if let Some(change) = change.settings {
        change(&mut settings);
    }
    let function = Function::new(FunctionParts {
        queues: Box::new(OneQueue(change.queue.unwrap_or_else(|| reports.clone()))),
        artifacts: artifacts.clone(),
        claims: change.claims.unwrap_or_else(|| Arc::new(MemoryClaims::default())),
        clock: clock.clone(),
        settings,
        server: "here".into(),
    });
    World { clock, reports, artifacts, function, invocations: Cell::new(0) }
}

async fn world() -> World {
    world_with(Change::default()).await
}

impl World {
    async fn invoke_for(&self, time: Duration, bodies: &[String]) -> Invoked {
        self.invocations.set(self.invocations.get() + 1);
        let number = self.invocations.get();
        let delivery = |(at, body): (usize, &String)| Delivery { id: format!("m-{number}-{at}"), body: body.clone() };
        let deliveries = bodies.iter().enumerate().map(delivery).collect();
        self.function.invoke(&format!("request-{number}"), deliveries, self.clock.now().after(time)).await
    }

    async fn invoke(&self, bodies: &[String]) -> Invoked {
        self.invoke_for(Duration::from_secs(60), bodies).await
    }

    /// The bodies on the reports queue, each once.
    async fn bodies(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let received = self.reports.receive(10, Duration::ZERO).await.expect("received");
            if received.is_empty() {
                return bodies;
            }
            bodies.extend(received.into_iter().map(|message| message.body.expect("a body")));
        }
    }

    async fn reports(&self) -> Vec<Report> {
        let mut reports = Vec::new();
        for body in self.bodies().await {
            let body = Tickets::new(self.artifacts.clone()).resolve(body).await.expect("resolved");
            let batch = ReportBatch::from_json(&body).expect("reports");
            assert_eq!(batch.stage, "stage-0.test");
            reports.extend(batch.reports);
        }
        reports.sort_by_key(|report| report.release);
        reports
    }
}

fn hash() -> ContentHash {
    ContentHash::of(SPIDER.as_bytes())
}

fn envelope(id: u64, urls: &[String]) -> FetchEnvelope {
    let release = |(at, url): (usize, &String)| {
        let mut release = release(url);
        (release.id, release.job) = (ReleaseId(id * 1000 + at as u64), JobId(1));
        release.request.target = TargetId::START;
        release
    };
    let job = JobRef { job: JobId(1), spider: hash(), args: BTreeMap::new(), fetch: FetchRules::default() };
    let releases: Vec<Release> = urls.iter().enumerate().map(release).collect();
    let message = FetchMessage { id: MessageId(id), releases };
    FetchEnvelope { stage: "stage-0.test".into(), reports_queue: REPORTS.into(), jobs: vec![job], message }
}

async fn server() -> Server {
    Server::answering("200 OK", "Content-Type: text/html\r\n", "<title>A flat</title><a href='/next'>next</a>").await
}

#[test]
fn requests_are_made_and_their_reports_go_to_the_queue_that_the_message_names() {
    run(async {
        let (world, server) = (world().await, server().await);
        let mut envelope = envelope(7, &[server.url("/a"), server.url("/b")]);
        envelope.jobs[0].args.insert("note".into(), "given".into());
        envelope.jobs[0].fetch.user_agent = Some("agent of the job".into());
        let invoked = world.invoke(&[envelope.to_json()]).await;
        assert_eq!((invoked.failed, invoked.figures.answered), (vec![], 2));
        let reports = world.reports().await;
        assert_eq!(reports.iter().map(|report| report.release.0).collect::<Vec<_>>(), [7000, 7001]);
        for report in &reports {
            assert_eq!(report.outcome, FetchOutcome::Response { status: 200 });
            assert_eq!(report.items[0].values, [Value::Str("A flat".into()), Value::Str("given".into())]);
            assert_eq!(report.links.urls, server.url("/next"));
        }
        assert!(server.seen().iter().all(|request| header(request, "user-agent") == Some("agent of the job")));
    });
}

#[test]
fn of_copies_of_a_message_one_is_fetched_and_none_fails() {
    run(async {
        let (world, server) = (world().await, server().await);
        let body = envelope(7, &[server.url("/a")]).to_json();
        let invoked = world.invoke(&[body.clone(), body.clone()]).await;
        assert_eq!((invoked.failed, invoked.figures.claims_lost), (vec![], 1));
        let invoked = world.invoke(&[body]).await;
        assert_eq!((invoked.failed, invoked.figures.claims_lost, invoked.figures.releases), (vec![], 1, 0));
        assert_eq!((server.seen().len(), world.reports().await.len()), (1, 1));
    });
}

struct NoClaims;

impl Claims for NoClaims {
    fn claim<'a>(&'a self, _: &'a str, _: &'a str, _: UnixMs) -> BoxFuture<'a, Result<Claim, QueueError>> {
        Box::pin(async { Err(QueueError::new(QueueErrorClass::Transient, "the table is throttled")) })
    }
}

#[test]
fn what_cannot_be_claimed_is_not_fetched_not_reported_and_does_not_fail() {
    run(async {
        let world = world_with(Change { claims: Some(Arc::new(NoClaims)), ..Change::default() }).await;
        let server = server().await;
        let invoked = world.invoke(&[envelope(7, &[server.url("/a")]).to_json()]).await;
        assert_eq!((invoked.failed, invoked.figures.claims_failed), (vec![], 1));
        assert!(invoked.figures.log_line().contains("the table is throttled"));
        assert_eq!((server.seen().len(), world.reports().await.len()), (0, 0));
    });
}

#[test]
fn a_message_that_cannot_be_read_fails_alone() {
    run(async {
        let (world, server) = (world().await, server().await);
        let good = envelope(7, &[server.url("/a")]).to_json();
        let other_version = good.replacen("\"v\":1", "\"v\":9", 1);
        let mut agent = envelope(8, &[server.url("/b")]);
        agent.jobs[0].fetch.user_agent = Some("two\nlines".into());
        let invoked = world.invoke(&["no JSON".into(), good, other_version, String::new(), agent.to_json()]).await;
        assert_eq!(invoked.failed, ["m-1-0", "m-1-2", "m-1-3", "m-1-4"]);
        assert!(invoked.figures.log_line().contains("version 9"), "{}", invoked.figures.log_line());
        assert_eq!(world.reports().await.len(), 1);
    });
}

/// Takes this many messages, then no more.
struct Refusing(AtomicUsize);

impl MessageQueue for Refusing {
    fn name(&self) -> &str {
        REPORTS
    }
    fn body_bytes_max(&self) -> usize {
        1 << 20
    }
    fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        let outcome = |_: &String| {
            let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            taken.map(|_| ()).map_err(|_| QueueError::new(QueueErrorClass::Transient, "the queue is throttled"))
        };
        let outcomes = bodies.iter().map(outcome).collect();
        Box::pin(async { outcomes })
    }
    fn receive(&self, _: usize, _: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>> {
        unreachable!("a function receives nothing")
    }
    fn extend<'a>(&'a self, _: &'a [Receipt], _: Duration) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        unreachable!("a function extends nothing")
    }
    fn settle<'a>(&'a self, _: &'a [Receipt]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        unreachable!("a function settles nothing")
    }
}

#[test]
fn a_message_whose_reports_could_not_be_sent_fails_and_is_not_fetched_again() {
    run(async {
        let world =
            world_with(Change { queue: Some(Arc::new(Refusing(AtomicUsize::new(0)))), ..Change::default() }).await;
        let server = server().await;
        let body = envelope(7, &[server.url("/a")]).to_json();
        let invoked = world.invoke(std::slice::from_ref(&body)).await;
        assert_eq!(invoked.failed, ["m-1-0"]);
        assert!(invoked.figures.log_line().contains("the queue is throttled"));
        let again = world.invoke(&[body]).await;
        assert_eq!((again.failed, again.figures.claims_lost, server.seen().len()), (vec![], 1, 1));
    });
}

#[test]
fn a_spider_that_is_not_there_costs_its_pages_without_a_request_and_robots_txt_is_fetched() {
    run(async {
        let (world, server) = (world().await, server().await);
        let mut envelope = envelope(7, &[server.url("/a"), server.url("/robots.txt")]);
        envelope.jobs[0].spider = ContentHash(5);
        envelope.message.releases[1].request.kind = weir_model::RequestKind::Robots;
        let invoked = world.invoke(&[envelope.to_json()]).await;
        assert_eq!(invoked.failed, Vec::<String>::new());
        let reports = world.reports().await;
        let FetchOutcome::Unreadable { status: 0, reason } = &reports[0].outcome else { panic!("{:?}", reports[0]) };
        assert!(reason.contains("spiders/00000000000000000000000000000005.toml is not in memory"), "{reason}");
        assert!(matches!(reports[1].outcome, FetchOutcome::Robots { status: 200, .. }));
        assert_eq!(server.seen().len(), 1);
    });
}

#[test]
fn spiders_and_connections_are_kept_from_one_invocation_to_the_next() {
    run(async {
        let (world, server) = (world().await, server().await);
        let first = world.invoke(&[envelope(1, &[server.url("/a")]).to_json()]).await;
        let second = world.invoke(&[envelope(2, &[server.url("/a")]).to_json()]).await;
        assert_eq!((first.figures.spiders_loaded, second.figures.spiders_loaded), (1, 0));
        assert_eq!((server.seen().len(), server.connections()), (2, 1));
    });
}

#[test]
fn slots_are_honoured_and_a_late_one_is_not_waited_for() {
    run(async {
        let (world, server) = (world().await, server().await);
        let begun_at = world.clock.now();
        let mut envelope =
            envelope(7, &[server.url("/now"), server.url("/soon"), server.url("/late"), server.url("/over")]);
        let slot = |from: u64, to: u64| (begun_at.after_us(from * 1_000_000), begun_at.after_us(to * 1_000_000));
        for (release, (from, to)) in
            envelope.message.releases.iter_mut().zip([slot(0, 9), slot(3, 9), slot(20, 30), (Tick(1), Tick(2))])
        {
            (release.not_before, release.not_after) = (from, to);
        }
        world.invoke(&[envelope.to_json()]).await;
        assert!(world.clock.now().since(begun_at) < Duration::from_secs(6), "an idle function costs money");
        let reports = world.reports().await;
        assert_eq!(reports[0].outcome, FetchOutcome::Response { status: 200 });
        assert!(reports[1].started_at >= begun_at.after_us(3_050_000), "not before its slot and the margin");
        for late in &reports[2..] {
            assert!(matches!(late.outcome, FetchOutcome::Unfetched { .. }), "{late:?}");
            assert_eq!(late.started_at, Tick(0), "no hit was used");
        }
        assert_eq!(server.seen().len(), 2);
    });
}

#[test]
fn when_the_time_is_up_everything_is_reported_and_every_fetch_has_ended() {
    run(async {
        let change = |settings: &mut FunctionSettings| settings.concurrency = 100;
        let world = world_with(Change { settings: Some(Box::new(change)), ..Change::default() }).await;
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            std::future::pending::<()>().await;
        })
        .await;
        let begun_at = world.clock.now();
        let urls: Vec<String> = (0..150).map(|number| server.url(&format!("/{number}"))).collect();
        let invoked = world.invoke_for(Duration::from_secs(30), &[envelope(7, &urls).to_json()]).await;
        assert!(world.clock.now().since(begun_at) < Duration::from_secs(27), "time is left to send reports");
        assert_eq!(invoked.failed, Vec::<String>::new());
        let reports = world.reports().await;
        let timed_out = reports.iter().filter(|report| {
            matches!(report.outcome, FetchOutcome::Failed { class: FailureClass::Timeout, written: true, .. })
        });
        let unfetched = reports.iter().filter(|report| matches!(report.outcome, FetchOutcome::Unfetched { .. }));
        assert_eq!((timed_out.count(), unfetched.count()), (100, 50), "100 at once, and the rest was not begun");
        assert_eq!(server.seen().len(), 100);
    });
}

#[test]
fn no_more_requests_are_under_way_than_allowed() {
    run(async {
        let under_way = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let (now, peak) = (Rc::clone(&under_way), Rc::clone(&most));
        let server = Server::start(move |mut peer| {
            let (now, peak) = (Rc::clone(&now), Rc::clone(&peak));
            async move {
                while peer.request().await.is_some() {
                    now.set(now.get() + 1);
                    peak.set(peak.get().max(now.get()));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    now.set(now.get() - 1);
                    peer.answer("404 Not Found", "", "").await;
                }
            }
        })
        .await;
        let change = |settings: &mut FunctionSettings| settings.concurrency = 7;
        let world = world_with(Change { settings: Some(Box::new(change)), ..Change::default() }).await;
        let urls: Vec<String> = (0..20).map(|number| server.url(&format!("/{number}"))).collect();
        world.invoke(&[envelope(1, &urls).to_json(), envelope(2, &urls).to_json()]).await;
        assert_eq!((most.get(), world.reports().await.len()), (7, 40));
    });
}

#[test]
fn this_machine_is_closed_unless_the_deployment_opens_it() {
    run(async {
        let change = |settings: &mut FunctionSettings| settings.allowed = AllowedHosts::default();
        let world = world_with(Change { settings: Some(Box::new(change)), ..Change::default() }).await;
        let server = server().await;
        world.invoke(&[envelope(7, &[server.url("/a")]).to_json()]).await;
        let reports = world.reports().await;
        assert!(
            matches!(
                reports[0].outcome,
                FetchOutcome::Failed { class: FailureClass::ForbiddenAddress, written: false, .. }
            ),
            "{:?}",
            reports[0]
        );
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn reports_are_packed_to_a_billed_unit_and_one_beyond_the_limit_travels_as_a_ticket() {
    run(async {
        let world = world().await;
        // Titles that do not compress, one of them beyond what a queue takes.
        let noise = |bytes: usize| {
            let mut state = 1u64;
            let next = move || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b'a' + ((state >> 33) % 26) as u8)
            };
            std::iter::repeat_with(next).take(bytes).collect::<String>()
        };
        let pages = Rc::new(RefCell::new(BTreeMap::from([("/large", noise(2 << 20)), ("/page", noise(5_000))])));
        let server = Server::start(move |mut peer| {
            let pages = Rc::clone(&pages);
            async move {
                while let Some(request) = peer.request().await {
                    let which = if request.starts_with("GET /large") { "/large" } else { "/page" };
                    let html = format!("<title>{}</title>", pages.borrow()[which]);
                    peer.answer("200 OK", "Content-Type: text/html\r\n", html).await;
                }
            }
        })
        .await;
        let mut urls: Vec<String> = (0..99).map(|number| server.url(&format!("/page/{number}"))).collect();
        urls.push(server.url("/large"));
        let invoked = world.invoke(&[envelope(1, &urls).to_json()]).await;
        assert_eq!((invoked.failed, invoked.figures.items), (vec![], 100));
        assert_eq!(world.artifacts.list("tickets/", 10).await.expect("listed").len(), 1);
        let sizes: Vec<usize> = world.bodies().await.iter().map(String::len).collect();
        assert!(sizes.iter().all(|size| *size <= 64 << 10), "{sizes:?}");
        assert!(sizes.len() < 20, "some ten reports a message: {sizes:?}");
        world.invoke(&[envelope(2, &urls[98..]).to_json()]).await;
        assert_eq!(world.reports().await.len(), 2);
    });
}

/// Answers its first call with an error.
struct Flaky(Mutex<bool>, Arc<MemoryArtifacts>);

impl ArtifactStore for Flaky {
    fn name(&self) -> &str {
        "flaky"
    }
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>, QueueError>> {
        if std::mem::replace(&mut *self.0.lock().expect("no panic"), false) {
            return Box::pin(async { Err(QueueError::new(QueueErrorClass::Transient, "slow down")) });
        }
        self.1.get(key)
    }
    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        self.1.put(key, bytes)
    }
    fn put_new<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        self.1.put_new(key, bytes)
    }
    fn list<'a>(&'a self, prefix: &'a str, max: usize) -> BoxFuture<'a, Result<Vec<String>, QueueError>> {
        self.1.list(prefix, max)
    }
    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), QueueError>> {
        self.1.remove(key)
    }
}

#[test]
fn a_store_that_is_down_for_a_moment_costs_no_claim() {
    run(async {
        let (mut world, server) = (world().await, server().await);
        world.function = Function::new(FunctionParts {
            queues: Box::new(OneQueue(world.reports.clone())),
            artifacts: Arc::new(Flaky(Mutex::new(true), world.artifacts.clone())),
            claims: Arc::new(MemoryClaims::default()),
            clock: world.clock.clone(),
            settings: FunctionSettings {
                allowed: AllowedHosts { loopback: true, exact: Vec::new() },
                ..FunctionSettings::new("b", "c")
            },
            server: "here".into(),
        });
        let body = envelope(7, &[server.url("/a")]).to_json();
        assert_eq!(world.invoke(std::slice::from_ref(&body)).await.failed, ["m-1-0"]);
        assert_eq!(server.seen().len(), 0);
        assert_eq!(world.invoke(&[body]).await.failed, Vec::<String>::new());
        assert_eq!(world.reports().await.len(), 1);
    });
}
