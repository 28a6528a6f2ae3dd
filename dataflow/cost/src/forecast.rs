//! What a crawl will use and how long it will take.
//!
//! Pages are taken to be spread evenly over the domains, and all of them to be known early. A stage releases at the pace of its
//! domains' laws; it gathers releases until the first slot of a message is near, or the message is full; a function waits for the
//! slots, and its waiting is paid like its work.

use crate::{Rates, Usage};
use serde::Serialize;

/// A domain's law: so many requests in a window, evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// Requests, at least 1.
    pub hits: u32,
    /// Milliseconds, at least 1.
    pub window_ms: f64,
}

/// The crawl.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// Pages.
    pub pages: u64,
    /// Domains that have something to fetch all the time, at least 1.
    pub domains: u64,
    /// The law of each; none on loopback.
    pub law: Option<Law>,
    /// From a request to the first byte of its answer, milliseconds.
    pub latency_ms: f64,
    /// Bytes of a page, decoded.
    pub page_bytes: f64,
}

/// The deployment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fleet {
    /// A function's memory, MB.
    pub memory_mb: f64,
    /// Functions at once, at most.
    pub functions_max: f64,
    /// Requests at once in one of them.
    pub fetch_concurrency: f64,
    /// Stages.
    pub stages: f64,
    /// Processors of a stage.
    pub stage_vcpu: f64,
    /// Memory of a stage, GB.
    pub stage_gb: f64,
    /// Requests under way at once, a stage.
    pub stage_concurrency: f64,
    /// Requests under way at once at one domain.
    pub domain_concurrency: f64,
    /// Releases in a fetch message, at most.
    pub message_releases_max: f64,
    /// How far ahead of its slot a request is released, milliseconds.
    pub lookahead_ms: f64,
    /// How long before its first slot a message leaves the stage, milliseconds.
    pub lead_ms: f64,
    /// How far clocks may differ, milliseconds.
    pub margin_ms: f64,
}

impl Default for Fleet {
    /// As `infra/` deploys it.
    fn default() -> Self {
        Fleet {
            memory_mb: 256.0,
            functions_max: 10.0,
            fetch_concurrency: 200.0,
            stages: 1.0,
            stage_vcpu: 0.5,
            stage_gb: 1.0,
            stage_concurrency: 4_000.0,
            domain_concurrency: 100.0,
            message_releases_max: 200.0,
            lookahead_ms: 1_000.0,
            lead_ms: 250.0,
            margin_ms: 50.0,
        }
    }
}

/// What holds the crawl back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The laws of its domains.
    Law,
    /// Functions at once.
    Functions,
    /// Requests under way at once.
    Concurrency,
    /// The stage's processor.
    Stage,
}

impl Bound {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Bound::Law => "the laws of its domains",
            Bound::Functions => "the functions at once (FunctionConcurrency)",
            Bound::Concurrency => "the requests under way at once (concurrency, concurrency_per_domain)",
            Bound::Stage => "the stage's processor (Cpu)",
        }
    }
}

/// What a crawl will come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// What will be billed.
    pub usage: Usage,
    /// How long it takes, in seconds.
    pub seconds: f64,
    /// Pages a second, all domains together.
    pub pages_a_second: f64,
    /// What holds it back.
    pub bound: Bound,
    /// Releases in a fetch message.
    pub message_releases: f64,
    /// How long a function works on one message, milliseconds.
    pub message_ms: f64,
    /// Of that, waiting for slots and sites.
    pub waiting_ms: f64,
    /// Functions busy at once.
    pub functions: f64,
    /// The share of requests that open a connection.
    pub new_connections: f64,
}

/// Enough for the share of new connections to come to rest.
const ROUNDS: usize = 20;

/// One message as a function works on it.
struct Message {
    releases: f64,
    ms: f64,
    waiting_ms: f64,
}

impl Fleet {
    /// Reckons a crawl.
    #[must_use]
    pub fn forecast(&self, work: &Workload, rates: &Rates) -> Forecast {
        let (domains, pages) = (work.domains.max(1) as f64, work.pages as f64);
        let (free, free_bound) = self.free_pace(work, rates);
        // Pages a millisecond that the stage would release.
        let wanted = match work.law {
            Some(law) => (domains * self.law_pace(law, work)).min(free),
            None => free,
        };
        let message = self.message(work, rates, wanted, 1.0);
        let fleet = self.functions_max * message.releases / message.ms;
        let (pace, bound) = match (wanted <= fleet, wanted < free) {
            (false, _) => (fleet, Bound::Functions),
            (true, true) => (wanted, Bound::Law),
            (true, false) => (wanted, free_bound),
        };
        // A connection is kept when the same function sees the same domain again soon enough. How many functions there are depends in
        // turn on how many connections are new: from the worst case down, until it comes to rest.
        let (mut new_connections, mut functions) = (1.0, 1.0);
        for _ in 0..ROUNDS {
            let message = self.message(work, rates, wanted, new_connections);
            functions = (pace / message.releases * message.ms).max(1.0);
            new_connections = (-rates.keep_alive_ms * pace / (functions * domains)).exp();
        }
        let message = self.message(work, rates, wanted, new_connections);

        let last_ms = self.lookahead_ms + 2.0 * rates.transit_ms + rates.invocation_ms + work.latency_ms;
        let seconds = (pages / pace + last_ms) / 1000.0;
        let messages = if pages > 0.0 { (pages / message.releases).max(1.0) } else { 0.0 };
        let memory_gb = self.memory_mb / 1024.0;
        let function_seconds = messages * message.ms / 1000.0 + functions * rates.start_ms / 1000.0;
        let hours = seconds / 3600.0;
        let report_messages = (message.releases * rates.report_bytes / crate::BILLED_UNIT_BYTES as f64).ceil();
        let fixed = self.while_open(self.stages * hours, rates);
        let groups = (2.0 * pages).min(seconds * rates.groups_a_second * self.stages);
        let usage = Usage {
            function_gb_seconds: function_seconds * memory_gb,
            invocations: messages,
            queue_requests: fixed.queue_requests
                + rates.queue_requests(messages, message.releases * rates.release_bytes)
                + rates.queue_requests(messages * report_messages, 0.0),
            claims: messages,
            objects_read: fixed.objects_read + functions,
            log_bytes: fixed.log_bytes + messages * rates.invocation_log_bytes,
            sent_bytes: pages * (rates.request_bytes + new_connections * rates.connection_bytes),
            state_bytes: (pages * rates.page_state_bytes).max(groups * rates.group_bytes),
            ..fixed
        };
        Forecast {
            usage,
            seconds,
            pages_a_second: pace * 1000.0,
            bound,
            message_releases: message.releases,
            message_ms: message.ms,
            waiting_ms: message.waiting_ms,
            functions: pace / message.releases * message.ms,
            new_connections,
        }
    }

    /// What `hours` of stages with an open job cost without a single page.
    #[must_use]
    pub fn while_open(&self, stage_hours: f64, rates: &Rates) -> Usage {
        let polls_an_hour = 3600.0 / 20.0;
        // Functions' pollers and metrics are those of the fleet, whatever the number of stages.
        let hours = stage_hours / self.stages.max(1.0);
        let pollers = rates.function_pollers * hours + rates.stage_pollers * stage_hours;
        Usage {
            queue_requests: pollers * polls_an_hour,
            objects_written: self.stages.max(1.0) * rates.objects(hours * 3600.0),
            log_bytes: stage_hours * rates.stage_log_bytes_hour,
            metric_hours: rates.function_metrics * hours + rates.stage_metrics * stage_hours,
            vcpu_hours: stage_hours * self.stage_vcpu,
            stage_gb_hours: stage_hours * self.stage_gb,
            address_hours: stage_hours,
            ..Usage::default()
        }
    }

    /// Requests a millisecond that a law allows: a hit counts from its answer on, and clocks may differ.
    fn law_pace(&self, law: Law, work: &Workload) -> f64 {
        f64::from(law.hits) / (law.window_ms + work.latency_ms + 2.0 * self.margin_ms)
    }

    /// Requests a millisecond without a law: as many as may be under way, and as the stage's processor can do.
    fn free_pace(&self, work: &Workload, rates: &Rates) -> (f64, Bound) {
        let domains = work.domains.max(1) as f64;
        let under_way = (self.stage_concurrency * self.stages).min(domains * self.domain_concurrency);
        let full = self.message_releases_max * self.page_ms(work, rates, 1.0);
        let ahead = if work.law.is_some() { self.lookahead_ms } else { 0.0 };
        let turn =
            ahead + self.opening_ms(work) + rates.invocation_ms + work.latency_ms + full + 2.0 * rates.transit_ms;
        // The measured processor time of a page is that of a whole crawl; a stage's part is smaller.
        let stage = self.stages * self.stage_vcpu / (rates.slower * (rates.page_cpu_us + rates.pack_cpu_us) / 1000.0);
        if under_way / turn <= stage { (under_way / turn, Bound::Concurrency) } else { (stage, Bound::Stage) }
    }

    /// Time on the wall of the processor's work for a page.
    fn page_ms(&self, work: &Workload, rates: &Rates, new: f64) -> f64 {
        rates.page_cpu_ms(work.page_bytes, new) / (self.memory_mb / rates.processor_mb).min(1.0)
    }

    /// Resolving, connecting and TLS: three ways to the site and back, none longer than an answer takes.
    fn opening_ms(&self, work: &Workload) -> f64 {
        3.0 * work.latency_ms
    }

    /// A message when `pace` requests a millisecond are released.
    fn message(&self, work: &Workload, rates: &Rates, pace: f64, new: f64) -> Message {
        let (releases, ahead, spread) = match work.law {
            Some(_) => {
                let gathered = (self.lookahead_ms - self.lead_ms).max(0.0);
                let releases = (pace * gathered).clamp(1.0, self.message_releases_max);
                // Connections are opened while the first slot is waited for.
                (releases, self.lead_ms + self.margin_ms, (releases - 1.0) / pace)
            }
            None => {
                let domains = work.domains.max(1) as f64;
                ((domains * self.domain_concurrency).min(self.message_releases_max).max(1.0), 0.0, 0.0)
            }
        };
        let waves = (releases / self.fetch_concurrency).max(1.0);
        let waiting_ms = ahead.max(new * self.opening_ms(work)) + spread + waves * work.latency_ms;
        Message {
            releases,
            ms: rates.invocation_ms + waiting_ms + releases * self.page_ms(work, rates, new),
            waiting_ms,
        }
    }
}
