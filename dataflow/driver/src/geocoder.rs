//! The thread that asks geocode providers and the cache of geocodes.
//!
//! Performs the stage's commands and reports what came of each; when and how often somebody is asked is decided in `weir-geo`.
//! Invariants: a call is exactly one HTTP request, sent within its slot or not at all, without redirect and retry; every command
//! is answered with exactly one event while the driver lives; a key is added here and shown nowhere.

use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use weir_fetch::{Answer, ByteBudget, FetchSettings, Fetcher, Guard};
use weir_geo::provider::BODY_BYTES_MAX;
use weir_geo::{CacheDown, Call, CallResult, Command, Event, HttpAnswer, NormalisedAddress};
use weir_model::{Clock, JobId, LinkExtra, Release, ReleaseId, Request, Tick};
use weir_stage::Geocoding;

/// Addresses in one request to the cache.
const CACHE_BATCH: usize = 500;
/// How long the end of a crawl waits for entries on their way to the cache; what is lost is offered again by the next run.
const END_MAX: Duration = Duration::from_secs(2);
/// How long trouble with the cache is not said again: one that is away fails with every request.
const QUIET: Duration = Duration::from_secs(60);
/// Bytes of answers in memory at once: some hundred calls, each far below a megabyte.
const MEMORY_BYTES: u64 = 16 << 20;

/// A request to a cache of geocodes, under way.
pub type CacheFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// A cache of geocodes that outlives the state, or is shared. `Err` says why it did not answer.
pub trait GeocodeCache: Send {
    /// What is there for each address, in order.
    fn get_many<'a>(&'a self, addresses: &'a [String]) -> CacheFuture<'a, Vec<Option<Vec<u8>>>>;
    /// Puts values, each for its time.
    fn set_many<'a>(&'a self, entries: &'a [(String, Vec<u8>, Duration)]) -> CacheFuture<'a, ()>;
}

/// How a crawl finds locations.
pub struct GeocodeOptions {
    /// For the stage. Its `margin_us` and `hash_seed` are set by the crawl.
    pub geocoding: Geocoding,
    /// Values of the secrets that providers name.
    pub keys: BTreeMap<String, String>,
    /// A cache outside the state.
    pub cache: Option<Box<dyn GeocodeCache>>,
    /// Sent when a provider has no user agent of its own.
    pub user_agent: String,
}

/// The driver's end of the thread.
pub(crate) struct GeocodeThread {
    orders: Option<UnboundedSender<Vec<Command>>>,
    thread: Option<JoinHandle<()>>,
}

impl GeocodeThread {
    pub fn start(
        options: GeocodeOptions,
        clock: Arc<dyn Clock>,
        driver: Sender<ToDriver>,
    ) -> Result<GeocodeThread, CrawlError> {
        let (orders, inbox) = unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("geocode".to_owned())
            .spawn(move || serve(options, clock, inbox, driver))
            .map_err(|error| CrawlError::System { what: "the geocoder's thread", error })?;
        Ok(GeocodeThread { orders: Some(orders), thread: Some(thread) })
    }

    /// What stands in where nothing is geocoded.
    pub fn none() -> GeocodeThread {
        GeocodeThread { orders: None, thread: None }
    }

    pub fn send(&self, commands: Vec<Command>) {
        if let Some(orders) = &self.orders {
            // A dead thread has said so on the driver's channel.
            let _ = orders.send(commands);
        }
    }

    /// Gives up the calls under way and waits a little for what is on its way to the cache.
    pub fn end(mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by the thread.
            let _ = thread.join();
        }
    }
}

/// What the thread's tasks share.
struct Desk {
    fetcher: Fetcher,
    keys: BTreeMap<String, String>,
    cache: Option<Box<dyn GeocodeCache>>,
    cache_trouble: Trouble,
    driver: Sender<ToDriver>,
}

/// Something that goes on being wrong, said once in a while.
#[derive(Default)]
struct Trouble {
    quiet_until: Cell<Tick>,
    unsaid: Cell<u64>,
}

impl Trouble {
    /// It happened again. Gives how often since it was last said, when it is time to say it.
    fn again(&self, now: Tick) -> Option<u64> {
        self.unsaid.set(self.unsaid.get() + 1);
        if now < self.quiet_until.get() {
            return None;
        }
        self.quiet_until.set(now.after(QUIET));
        Some(self.unsaid.take())
    }
}

fn serve(
    options: GeocodeOptions,
    clock: Arc<dyn Clock>,
    mut inbox: UnboundedReceiver<Vec<Command>>,
    driver: Sender<ToDriver>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // The driver may be gone; there is nobody else to tell.
            let _ = driver.send(ToDriver::Failed(CrawlError::System { what: "the geocoder's runtime", error }));
            return;
        }
    };
    let fetcher = fetcher(&options, clock);
    let cache_trouble = Trouble::default();
    let desk = Rc::new(Desk { fetcher, keys: options.keys, cache: options.cache, cache_trouble, driver });
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let mut puts = JoinSet::new();
        while let Some(commands) = inbox.recv().await {
            desk.take(commands, &mut puts);
            while puts.try_join_next().is_some() {}
        }
        let _ = tokio::time::timeout(END_MAX, async { while puts.join_next().await.is_some() {} }).await;
    });
}

/// A fetcher for providers alone: their hosts were named by the operator, so they may be on this machine.
fn fetcher(options: &GeocodeOptions, clock: Arc<dyn Clock>) -> Fetcher {
    let timeout = Duration::from_micros(options.geocoding.config.call_timeout_us);
    let settings = FetchSettings {
        user_agent: options.user_agent.clone(),
        total_timeout: timeout,
        headers_timeout: timeout,
        body_bytes_max: BODY_BYTES_MAX as u64,
        wire_bytes_max: BODY_BYTES_MAX as u64,
        ..FetchSettings::default()
    };
    let mut guard = Guard::new();
    for provider in &options.geocoding.providers {
        guard.allow_host(provider.host());
    }
    Fetcher::new(Arc::new(settings), Arc::new(guard), Arc::new(ByteBudget::new(MEMORY_BYTES)), clock)
}

type Entry = (NormalisedAddress, Vec<u8>, Duration);

impl Desk {
    /// Begins everything that is wanted.
    fn take(self: &Rc<Self>, commands: Vec<Command>, puts: &mut JoinSet<()>) {
        let mut wanted: Vec<NormalisedAddress> = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        for command in commands {
            match command {
                Command::CacheGet { address } => wanted.push(address),
                Command::CachePut { address, value, keep_us } => {
                    entries.push((address, value, keep_us.map_or(Duration::MAX, Duration::from_micros)));
                }
                Command::Call(call) => {
                    let desk = Rc::clone(self);
                    tokio::task::spawn_local(async move {
                        let result = desk.call(&call).await;
                        desk.tell(vec![Event::Returned { call: call.id, result }]);
                    });
                }
            }
        }
        for batch in wanted.chunks(CACHE_BATCH) {
            let (desk, batch) = (Rc::clone(self), batch.to_vec());
            tokio::task::spawn_local(async move { desk.get(batch).await });
        }
        for batch in entries.chunks(CACHE_BATCH) {
            let (desk, batch) = (Rc::clone(self), batch.to_vec());
            puts.spawn_local(async move { desk.put(batch).await });
        }
    }

    fn tell(&self, events: Vec<Event>) {
        // After the driver's end nobody waits for it.
        let _ = self.driver.send(ToDriver::Geocoded(events));
    }

    async fn get(&self, addresses: Vec<NormalisedAddress>) {
        let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let found = match &self.cache {
            Some(cache) => cache.get_many(&names).await,
            None => Err("there is no cache".to_owned()),
        };
        let values = match found {
            Ok(values) => values.into_iter().map(Ok).collect(),
            Err(error) => {
                self.cache_failed(&error);
                vec![Err(CacheDown); names.len()]
            }
        };
        let got = |(address, value)| Event::CacheGot { address, value };
        self.tell(addresses.into_iter().zip(values).map(got).collect());
    }

    async fn put(&self, entries: Vec<Entry>) {
        let rows: Vec<(String, Vec<u8>, Duration)> =
            entries.iter().map(|(address, value, keep)| (address.to_string(), value.clone(), *keep)).collect();
        let stored = match &self.cache {
            Some(cache) => cache.set_many(&rows).await,
            None => Err("there is no cache".to_owned()),
        };
        if let Err(error) = &stored {
            self.cache_failed(error);
        }
        let stored = stored.is_ok();
        self.tell(entries.into_iter().map(|(address, ..)| Event::CachePut { address, stored }).collect());
    }

    fn cache_failed(&self, error: &str) {
        if let Some(failures) = self.cache_trouble.again(self.fetcher.now()) {
            // What to do is part of the error.
            tracing::warn!(%error, failures, "the cache of geocodes (geocode.cache) fails; the crawl goes on without it");
        }
    }

    /// One request, within its slot.
    async fn call(&self, call: &Call) -> CallResult {
        let key = call.request.key.as_ref().and_then(|(_, secret)| self.keys.get(&secret.0));
        let url = call.request.with_key(key.map_or("", String::as_str));
        let mut headers: Vec<(Box<str>, Box<str>)> = vec![("Accept".into(), "application/json".into())];
        if let Some(agent) = &call.request.user_agent {
            headers.push(("User-Agent".into(), (**agent).into()));
        }
        let extra = LinkExtra { headers, ..LinkExtra::default() };
        let release = Release {
            id: ReleaseId(call.id.0),
            job: JobId(0),
            not_before: call.not_before,
            not_after: call.not_after,
            request: Request { url: url.expose().into(), extra: Some(Box::new(extra)), ..Request::default() },
        };
        let fetched = self.fetcher.fetch(&release).await;
        match fetched.answer {
            Answer::Response(response) => {
                let retry_after = response.headers.get("retry-after").and_then(|value| value.to_str().ok());
                let answer = HttpAnswer {
                    status: response.status,
                    retry_after_us: retry_after.and_then(retry_after_us),
                    body: response.body,
                };
                CallResult::Answered { at: fetched.answered_at, answer }
            }
            Answer::Failed { written: true, reason, .. } => {
                tracing::debug!(provider = %call.provider, %url, reason, "no answer of a geocode provider");
                CallResult::GaveUp { at: fetched.ended_at, reason }
            }
            Answer::Failed { reason, .. } => {
                tracing::debug!(provider = %call.provider, %url, reason, "a geocode provider cannot be reached");
                CallResult::Unreached { reason }
            }
            Answer::Unfetched { reason } => {
                tracing::debug!(provider = %call.provider, %url, reason, "a geocode provider was not asked");
                CallResult::Unsent
            }
        }
    }
}

/// `Retry-After` in seconds; a date is left to the geocoder's own pauses.
fn retry_after_us(value: &str) -> Option<u64> {
    value.trim().parse::<u64>().ok().map(|seconds| seconds.saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_at_once_and_then_once_a_minute() {
        let trouble = Trouble::default();
        let said: Vec<(u64, u64)> = (1_000..1_150)
            .filter_map(|second| trouble.again(Tick(second * 1_000_000)).map(|failures| (second, failures)))
            .collect();
        assert_eq!(said, [(1_000, 1), (1_060, 60), (1_120, 60)]);
    }
}
