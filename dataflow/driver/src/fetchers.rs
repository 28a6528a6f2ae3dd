//! Threads that fetch and parse: each its own single-threaded runtime, its own connections, its own extractor; the handler is
//! the one that the Lambda function calls.
//!
//! Invariant: every release that goes in comes back as exactly one report. Reports leave a thread in batches: what became
//! ready in one turn of its event loop travels together.

use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use weir_fetch::{ByteBudget, FetchSettings, Fetcher, Guard};
use weir_fetch_parse::{Handler, ReportSink, SpiderSource};
use weir_model::{Clock, FetchMessage, JobId, Report};
use weir_spider::Spider;

/// Names that a thread asks the system for at once: each look-up that waits is a thread of its own.
const LOOK_UPS_MAX: usize = 64;

/// What the threads need.
#[derive(Clone)]
pub(crate) struct FetchParts {
    pub settings: Arc<FetchSettings>,
    pub guard: Arc<Guard>,
    pub budget: Arc<ByteBudget>,
    pub clock: Arc<dyn Clock>,
    pub spider: Arc<Spider>,
    pub job: JobId,
    pub server: String,
}

/// The one spider of this job.
struct OneSpider {
    job: JobId,
    spider: Arc<Spider>,
}

impl SpiderSource for OneSpider {
    fn spider(&self, job: JobId) -> Option<Arc<Spider>> {
        (job == self.job).then(|| Arc::clone(&self.spider))
    }
}

/// All fetch threads.
pub(crate) struct Fetchers {
    threads: Vec<(UnboundedSender<FetchMessage>, Option<JoinHandle<()>>)>,
    next: usize,
}

impl Fetchers {
    pub fn start(count: usize, parts: &FetchParts, driver: &Sender<ToDriver>) -> Result<Fetchers, CrawlError> {
        let mut threads = Vec::with_capacity(count);
        for at in 0..count {
            let (messages, inbox) = unbounded_channel();
            let (parts, driver) = (parts.clone(), driver.clone());
            let thread = std::thread::Builder::new()
                .name(format!("fetch-{at}"))
                .spawn(move || serve(parts, inbox, driver))
                .map_err(|error| CrawlError::System { what: "a fetch thread", error })?;
            threads.push((messages, Some(thread)));
        }
        Ok(Fetchers { threads, next: 0 })
    }

    /// No threads: what stands in after the end.
    pub fn none() -> Fetchers {
        Fetchers { threads: Vec::new(), next: 0 }
    }

    /// Hands a message to the next thread that lives.
    ///
    /// # Errors
    /// All have died. What one of them had under way comes back by its leases.
    pub fn send(&mut self, mut message: FetchMessage) -> Result<(), CrawlError> {
        for _ in 0..self.threads.len() {
            self.next = (self.next + 1) % self.threads.len();
            match self.threads[self.next].0.send(message) {
                Ok(()) => return Ok(()),
                Err(SendError(unsent)) => message = unsent,
            }
        }
        if self.threads.is_empty() {
            return Ok(());
        }
        let why = "every fetch thread has died of a mistake in weir, told above: please report it. Nothing is lost; the same command goes on";
        Err(CrawlError::Died(why.to_owned()))
    }

    /// Waits until the threads have ended; what they were doing is dropped.
    pub fn end(mut self) {
        for (messages, _) in &mut self.threads {
            let (closed, _) = unbounded_channel();
            *messages = closed;
        }
        for (_, thread) in &mut self.threads {
            if let Some(thread) = thread.take() {
                // A panic has been printed by the thread.
                let _ = thread.join();
            }
        }
    }
}

struct Outbox {
    reports: RefCell<Vec<Report>>,
    ready: Notify,
}

impl ReportSink for Outbox {
    fn report(&self, report: Report) {
        self.reports.borrow_mut().push(report);
        self.ready.notify_one();
    }
}

fn serve(parts: FetchParts, mut inbox: UnboundedReceiver<FetchMessage>, driver: Sender<ToDriver>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LOOK_UPS_MAX).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            // The driver may be gone; there is nobody else to tell.
            let _ = driver.send(ToDriver::Failed(CrawlError::System { what: "a fetch runtime", error }));
            return;
        }
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let fetcher = Fetcher::new(parts.settings, parts.guard, parts.budget, parts.clock);
        let source = OneSpider { job: parts.job, spider: parts.spider };
        let handler = Handler::new(fetcher, Box::new(source), parts.server).with_hash_seed(hash_seed());
        let handler = Rc::new(handler);
        let outbox = Rc::new(Outbox { reports: RefCell::default(), ready: Notify::new() });
        tokio::task::spawn_local(send_reports(Rc::clone(&outbox), driver));
        while let Some(message) = inbox.recv().await {
            let (handler, outbox) = (Rc::clone(&handler), Rc::clone(&outbox));
            tokio::task::spawn_local(async move { handler.handle(message, &*outbox).await });
        }
    });
}

async fn send_reports(outbox: Rc<Outbox>, driver: Sender<ToDriver>) {
    loop {
        outbox.ready.notified().await;
        // Let everything that is ready in this turn report first.
        tokio::task::yield_now().await;
        let reports = std::mem::take(&mut *outbox.reports.borrow_mut());
        if !reports.is_empty() && driver.send(ToDriver::Reports(reports)).is_err() {
            return;
        }
    }
}

/// Chance from the operating system, as the standard library draws it for its own tables.
#[allow(clippy::disallowed_methods, reason = "a seed that nobody outside can know is the purpose")]
pub(crate) fn hash_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
