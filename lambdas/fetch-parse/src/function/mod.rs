//! The function: a batch of queue messages in, reports into the queues that they name, and which messages failed.
//!
//! Decides what an invocation does, in this order: read the messages, load their spiders, claim each, make the requests, send
//! the reports. Knows neither Lambda nor SQS: it is told what arrived and until when, and it sees queues, artifacts and claims
//! by their traits. Everything that is kept from one invocation to the next (connections, spiders, names) lives here.
//!
//! Invariants: no request before its message is claimed; every release of a claimed message has one report, sent or said to be
//! lost; a message fails only when it cannot be read, when its spiders cannot be asked for, or when its reports could not be
//! sent; every fetch has ended when `invoke` returns.

mod clock;
mod figures;
mod meter;
mod outgoing;
mod settings;
mod spiders;

pub use clock::InvocationClock;
pub use figures::Figures;
pub use settings::{AllowedHosts, FunctionSettings};

use crate::{Deadline, Handler, ReportSink, SpiderSource};
use futures_util::stream::{self, StreamExt};
use meter::Meter;
use outgoing::Outgoing;
use spiders::Spiders;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use weir_fetch::{ByteBudget, Fetcher, Resolver};
use weir_model::json::{FetchEnvelope, FetchRules, QueueMessage};
use weir_model::{Clock, FetchMessage, FetchOutcome, JobId, LinkBatch, Release, Report, RequestKind, Tick};
use weir_queue::{ArtifactStore, Claim, Claims, MessageQueue, QueueError, Tickets};
use weir_spider::Spider;

/// Sets of fetch rules that are kept with their connections; beyond it all are dropped, and made again when needed.
const HANDLERS_MAX: usize = 8;

/// Opens the queues that messages name.
pub trait Queues {
    /// The queue at an address.
    fn open(&self, address: &str) -> Arc<dyn MessageQueue>;
}

/// What a function is made of.
pub struct FunctionParts {
    /// The queues of reports.
    pub queues: Box<dyn Queues>,
    /// Spiders and large messages.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Where messages are claimed.
    pub claims: Arc<dyn Claims>,
    /// What slots and deadlines are measured by: set anew at every invocation.
    pub clock: Arc<dyn Clock>,
    /// As deployed.
    pub settings: FunctionSettings,
    /// This function's name (`value = "server"`).
    pub server: String,
}

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's name for it.
    pub id: String,
    /// Its body.
    pub body: String,
}

/// What came of an invocation.
#[derive(Clone, Debug)]
pub struct Invoked {
    /// Names of the messages that are to come again.
    pub failed: Vec<String>,
    /// What it did.
    pub figures: Figures,
}

/// A function, on a single-threaded runtime inside a `LocalSet`; kept from invocation to invocation.
pub struct Function {
    parts: FunctionParts,
    tickets: Tickets,
    budget: Arc<ByteBudget>,
    /// One memory of names for all jobs.
    resolver: Resolver,
    spiders: Spiders,
    jobs: Rc<Jobs>,
    handlers: RefCell<BTreeMap<FetchRules, Rc<Handler>>>,
    /// Hosts on this machine that the deployment allows, as far as messages named them.
    local_hosts: RefCell<BTreeSet<String>>,
    /// What the invocation before took after its last message.
    untold_us: Cell<u64>,
}

/// The spiders of the invocation's jobs.
#[derive(Default)]
struct Jobs {
    spiders: RefCell<BTreeMap<JobId, Arc<Spider>>>,
}

struct SharedJobs(Rc<Jobs>);

impl SpiderSource for SharedJobs {
    fn spider(&self, job: JobId) -> Option<Arc<Spider>> {
        self.0.spiders.borrow().get(&job).cloned()
    }
}

/// A message that is to be worked on.
struct Taken {
    delivery: usize,
    envelope: FetchEnvelope,
    /// Jobs whose spiders are not there, and why.
    without: BTreeMap<JobId, String>,
}

impl Function {
    /// A function that has done nothing yet.
    #[must_use]
    pub fn new(parts: FunctionParts) -> Function {
        Function {
            tickets: Tickets::new(Arc::clone(&parts.artifacts)),
            budget: Arc::new(ByteBudget::new(parts.settings.body_memory_bytes)),
            resolver: Resolver::new(&parts.settings.fetch, Arc::clone(&parts.clock)),
            spiders: Spiders::new(Arc::clone(&parts.artifacts)),
            jobs: Rc::default(),
            handlers: RefCell::default(),
            local_hosts: RefCell::default(),
            untold_us: Cell::default(),
            parts,
        }
    }

    /// Works on the messages of an invocation, which must be over at `ends_at`; `request` is a name that no other invocation has.
    pub async fn invoke(&self, request: &str, deliveries: Vec<Delivery>, ends_at: Tick) -> Invoked {
        let begun_at = self.parts.clock.now();
        let mut figures =
            Figures { request: request.to_owned(), messages: deliveries.len() as u64, ..Figures::default() };
        let mut failed = BTreeSet::new();
        self.jobs.spiders.borrow_mut().clear();
        let mut taken = Vec::with_capacity(deliveries.len());
        for (at, delivery) in deliveries.iter().enumerate() {
            match self.take(at, &delivery.body, &mut figures).await {
                Ok(message) => taken.push(message),
                Err(why) => {
                    figures.unreadable += 1;
                    figures.trouble(format!("message {}: {why}", delivery.id));
                    failed.insert(at);
                }
            }
        }
        let owners: Vec<String> = taken
            .iter()
            .map(|message| format!("{request}/{}/{}", message.delivery, deliveries[message.delivery].id))
            .collect();
        let claims = taken.iter().zip(&owners).map(|(message, owner)| self.claim(&message.envelope, owner));
        let claims = futures_util::future::join_all(claims).await;
        let mut claimed = Vec::with_capacity(taken.len());
        for (message, claim) in taken.into_iter().zip(claims) {
            match claim {
                Ok(Claim::Won) => claimed.push(message),
                Ok(Claim::Lost) => figures.claims_lost += 1,
                // Somebody may have it, so nothing is fetched; the stage's lease brings the requests back.
                Err(error) => {
                    figures.claims_failed += 1;
                    figures.trouble(format!("claim {}: {error}", message.envelope.claim_key()));
                }
            }
        }
        let figures = RefCell::new(figures);
        let meter = Meter::start(&self.parts.clock, begun_at, self.untold_us.take(), self.parts.settings.memory_mb);
        let lost = self.work(claimed, self.deadline(begun_at, ends_at), &meter, &figures).await;
        self.untold_us.set(meter.untold());
        failed.extend(lost);
        let mut figures = figures.into_inner();
        figures.failed = failed.len() as u64;
        figures.duration_us = self.parts.clock.now().since(begun_at).as_micros() as u64;
        let failed = failed.into_iter().map(|at| deliveries[at].id.clone()).collect();
        Invoked { failed, figures }
    }

    /// Time is kept back for the reports, and before that for answers to what was sent last.
    fn deadline(&self, now: Tick, ends_at: Tick) -> Deadline {
        let left = ends_at.since(now);
        let done_until = now.after(left - self.parts.settings.report_reserve.min(left / 4));
        let send_until = now.after(done_until.since(now) - self.parts.settings.answer_reserve.min(left / 4));
        Deadline { send_until, done_until }
    }

    /// Reads a message and loads its spiders.
    async fn take(&self, delivery: usize, body: &str, figures: &mut Figures) -> Result<Taken, String> {
        let body = self.tickets.resolve(body.to_owned()).await.map_err(|error| error.to_string())?;
        let envelope = FetchEnvelope::from_json(&body).map_err(|error| error.to_string())?;
        let mut without = BTreeMap::new();
        for job in &envelope.jobs {
            settings::check_rules(&job.fetch).map_err(|why| format!("job {}: {why}", job.job.0))?;
            let loaded = self.spiders.load(job, figures).await?;
            let mut known = self.jobs.spiders.borrow_mut();
            match loaded {
                Ok(spider) => match known.get(&job.job) {
                    Some(other) if !Arc::ptr_eq(other, &spider) => {
                        return Err(format!("job {} has another spider in a message beside it", job.job.0));
                    }
                    _ => {
                        known.insert(job.job, spider);
                    }
                },
                Err(why) => {
                    figures.trouble(format!("job {}: {why}", job.job.0));
                    without.insert(job.job, why);
                }
            }
        }
        Ok(Taken { delivery, envelope, without })
    }

    /// Claims a message: whether its requests may be made here.
    async fn claim(&self, envelope: &FetchEnvelope, owner: &str) -> Result<Claim, QueueError> {
        let until = self.parts.clock.now().after(self.parts.settings.claim_ttl).unix_ms();
        self.parts.claims.claim(&envelope.claim_key(), owner, until).await
    }

    /// Makes all requests and sends all reports. Gives the deliveries whose reports could not all be sent.
    async fn work(
        &self,
        messages: Vec<Taken>,
        deadline: Deadline,
        meter: &Meter,
        figures: &RefCell<Figures>,
    ) -> BTreeSet<usize> {
        let bytes_max = self.parts.settings.report_bytes;
        let outgoing = Outgoing::new(&*self.parts.queues, meter, self.tickets.clone(), bytes_max);
        let mut releases = Vec::new();
        let idle_until = self.parts.clock.now().after(self.parts.settings.idle_max);
        for message in messages {
            let Taken { delivery, envelope, without } = message;
            let place = outgoing.place(&envelope.stage, &envelope.reports_queue);
            let rules: BTreeMap<JobId, FetchRules> =
                envelope.jobs.into_iter().map(|job| (job.job, job.fetch)).collect();
            self.allow_local(&envelope.message.releases);
            for release in envelope.message.releases {
                figures.borrow_mut().releases += 1;
                let to = Destination { outgoing: &outgoing, figures, place, delivery, job: release.job };
                if let Some(outcome) = self.without_request(&release, &without, idle_until) {
                    to.report(self.unsent(&release, outcome));
                    continue;
                }
                let rules = rules.get(&release.job).cloned().unwrap_or_default();
                releases.push((release, rules, to));
            }
        }
        // The nearest slot first: what waits for a late one must not hold up what is due.
        releases.sort_by_key(|(release, ..)| release.not_before);
        let under_way = stream::iter(releases).map(|(release, rules, to)| async move {
            let id = weir_model::MessageId(0);
            let message = FetchMessage { id, releases: vec![release] };
            self.handler(&rules).handle_until(message, deadline, &to).await;
        });
        let mut under_way = under_way.buffer_unordered(self.parts.settings.concurrency);
        while under_way.next().await.is_some() {}
        drop(under_way);
        outgoing.finish(figures).await
    }

    /// What a release's report says without a request having been made.
    fn without_request(
        &self,
        release: &Release,
        without: &BTreeMap<JobId, String>,
        idle_until: Tick,
    ) -> Option<FetchOutcome> {
        if release.request.kind != RequestKind::Robots
            && let Some(why) = without.get(&release.job)
        {
            return Some(FetchOutcome::Unreadable { status: 0, reason: why.as_str().into() });
        }
        let beyond = release.not_before.since(idle_until);
        (!beyond.is_zero()).then(|| FetchOutcome::Unfetched {
            reason: format!("its slot opens {} ms after a function may wait", beyond.as_millis()).into(),
        })
    }

    fn unsent(&self, release: &Release, outcome: FetchOutcome) -> Report {
        Report {
            release: release.id,
            outcome,
            started_at: Tick(0),
            answered_at: Tick(0),
            ended_at: self.parts.clock.now(),
            wire_bytes: 0,
            body_bytes: 0,
            items: Vec::new(),
            links: LinkBatch::default(),
            notes: Vec::new(),
        }
    }

    /// The handler for these rules, with its connections.
    fn handler(&self, rules: &FetchRules) -> Rc<Handler> {
        let mut handlers = self.handlers.borrow_mut();
        if let Some(handler) = handlers.get(rules) {
            return Rc::clone(handler);
        }
        if handlers.len() >= HANDLERS_MAX {
            handlers.clear();
        }
        let settings = &self.parts.settings;
        let guard = settings.guard(self.local_hosts.borrow().iter());
        let fetch = Arc::new(settings.fetch_for(rules));
        let (budget, clock) = (Arc::clone(&self.budget), Arc::clone(&self.parts.clock));
        let fetcher = Fetcher::sharing(fetch, Arc::new(guard), budget, clock, self.resolver.clone());
        let jobs = Box::new(SharedJobs(Rc::clone(&self.jobs)));
        let handler = Rc::new(Handler::new(fetcher, jobs, self.parts.server.clone()));
        handlers.insert(rules.clone(), Rc::clone(&handler));
        handler
    }

    /// Takes note of hosts that the deployment allows to be on this machine; a new one needs a new guard.
    fn allow_local(&self, releases: &[Release]) {
        let mut hosts = self.local_hosts.borrow_mut();
        let known = hosts.len();
        for release in releases {
            if let Some(host) = self.parts.settings.allowed.local_host(&release.request.url) {
                hosts.insert(host);
            }
        }
        if hosts.len() > known {
            self.handlers.borrow_mut().clear();
        }
    }
}

/// Where the reports of a message go.
struct Destination<'a, 'q> {
    outgoing: &'a Outgoing<'q>,
    figures: &'a RefCell<Figures>,
    place: usize,
    delivery: usize,
    job: JobId,
}

impl ReportSink for Destination<'_, '_> {
    fn report(&self, report: Report) {
        self.figures.borrow_mut().count(&report);
        self.outgoing.push(self.place, self.delivery, self.job, &report);
    }
}
