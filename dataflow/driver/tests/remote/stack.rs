//! A deployment in this process: queues and artifacts in memory, stages and functions on threads, a site to crawl.

use crate::faults::{Faults, Faulty};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use weir_connector::{
    BatchPolicy, ErrorClass, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind, SinkMark,
};
use weir_driver::remote::client::{Client, JobView, NewJob, Opened as OpenedJob};
use weir_driver::remote::moving::MoveOptions;
use weir_driver::remote::{JobPart, Pace, StageOptions, StageQueues, part_key, run_stage};
use weir_driver::{ComputeOptions, DeadLetters, GeocodeOptions, Output, Settings, SystemClock};
use weir_fetch_parse::function::{Delivery, Function, FunctionParts, FunctionSettings, Queues};
use weir_frontier::policy::Policy;
use weir_frontier::{Limits, Slice};
use weir_geo::{Provider, ProviderConfig, ProviderKind};
use weir_model::json::{FetchEnvelope, JobHeader, QueueMessage};
use weir_model::{Clock, Item, ItemId, JobId, Outcome, Tick, UnixMs, Value};
use weir_queue::{ArtifactStore, BoxFuture, Claims, MemoryArtifacts, MemoryClaims, MemoryQueue, MessageQueue, Receipt};
use weir_site::{Site, SiteHandle, SiteOptions};
use weir_spider::Spider;
use weir_stage::Geocoding;

type Rows = Arc<Mutex<BTreeMap<ItemId, (u64, Arc<Item>)>>>;
type Gone = Arc<Mutex<BTreeSet<ItemId>>>;
/// Makes the sinks of a job, on whichever thread the stage is.
pub type Sinks = Arc<dyn Fn(&JobHeader) -> Result<Vec<Output>, SinkError> + Send + Sync>;

pub struct Stack {
    stages: u32,
    pages: usize,
    queues: BTreeMap<String, Arc<MemoryQueue>>,
    artifacts: Arc<MemoryArtifacts>,
    claims: Arc<MemoryClaims>,
    clock: Arc<dyn Clock>,
    site: SiteHandle,
    folder: tempfile::TempDir,
    rows: Rows,
    gone: Gone,
    running: BTreeMap<u32, (Arc<AtomicBool>, JoinHandle<()>)>,
    functions: Vec<(Arc<AtomicBool>, JoinHandle<()>)>,
    /// Every fetch message is handed to the function twice.
    pub duplicates: bool,
    /// The sink refuses every item that says this.
    refused: Arc<Mutex<Option<&'static str>>>,
    /// Stages begin with an empty state whatever was before.
    pub begin_anew: bool,
    /// A function dies of every message that names this.
    pub poison: Option<&'static str>,
    pub pace: Pace,
    /// Who may compute.
    pub compute: ComputeOptions,
    pub laws: Policy,
    /// Stages ask the site for locations.
    pub geocodes: bool,
    /// A stage that has no sink for any job.
    pub sinkless: Option<u32>,
    /// What cannot be written to.
    pub faults: Faults,
    /// Other sinks than the one that keeps all.
    pub sinks: Option<Sinks>,
    spider: &'static Spider,
    text: &'static str,
}

/// Tests are short: what they compile may stay.
fn kept(text: String, args: &[(String, String)]) -> (&'static Spider, &'static str) {
    let spider = Spider::load("test.toml", &text, args).expect("the spider compiles");
    (Box::leak(Box::new(spider)), Box::leak(text.into_boxed_str()))
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::start())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Waits with a bound for what another thread brings about.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = SystemClock::start();
    let began = clock.now();
    while !holds() {
        assert!(clock.now().since(began) < Duration::from_secs(60), "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

impl Stack {
    pub fn new(stages: u32, pages: usize) -> Stack {
        let clock = clock();
        let mut names = vec!["fetch".to_owned()];
        // Room for a deployment that grows.
        for stage in 0..stages.max(3) {
            names.extend(["requests", "reports", "control", "dead"].map(|kind| format!("{kind}-{stage}")));
        }
        let queue = |name: String| {
            let queue = MemoryQueue::new(&name, Arc::clone(&clock), Duration::from_secs(60));
            // No order, as on SQS.
            let seed = name.bytes().map(u64::from).sum();
            (name, Arc::new(queue.simulated(seed)))
        };
        let queues = names.into_iter().map(queue).collect();
        let site = Site::spawn(SiteOptions { pages, port: 0, ..SiteOptions::default() }).expect("the site starts");
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/properties.toml"));
        let text = text.expect("the example").replace("{00000..01666}", &format!("{{00000..{:05}}}", pages - 1));
        let base = ("base".to_owned(), format!("http://localhost:{}", site.port()));
        let (spider, text) = kept(text, &[base]);
        Stack {
            stages,
            pages,
            queues,
            artifacts: Arc::default(),
            claims: Arc::default(),
            clock,
            site,
            folder: tempfile::tempdir().expect("a folder"),
            rows: Rows::default(),
            gone: Gone::default(),
            running: BTreeMap::new(),
            functions: Vec::new(),
            duplicates: false,
            refused: Arc::default(),
            begin_anew: false,
            poison: None,
            pace: Pace { timeout: Duration::from_secs(5), grace: Duration::from_secs(5), ..Pace::default() },
            compute: ComputeOptions::default(),
            laws: Policy::default(),
            geocodes: false,
            sinkless: None,
            faults: Faults::default(),
            sinks: None,
            spider,
            text,
        }
    }

    /// From here on listings have another field, and a computation that fills it.
    pub fn compute_field(&mut self, field: &str, computation: &str) {
        let text = self.text.replace("[[contract]]", &format!("{computation}\n[[contract]]"));
        let text = text.replace("[item.property.fields]\n", &format!("[item.property.fields]\n{field}\n"));
        let base = ("base".to_owned(), format!("http://localhost:{}", self.site.port()));
        (self.spider, self.text) = kept(text, &[base]);
    }

    /// A field of every listing that arrived, by title.
    pub fn values(&self, field: &str) -> BTreeMap<String, Value> {
        let schema = &self.spider.schemas()[0];
        let (title, field) = (schema.position("title").expect("titles"), schema.position(field).expect("a field"));
        let rows = self.rows.lock().expect("no panic");
        rows.values().map(|(_, item)| (text(&item.values[title]), item.values[field].clone())).collect()
    }

    fn queue(&self, name: &str) -> Arc<dyn MessageQueue> {
        Arc::new(Faulty(Arc::clone(&self.queues[name]), self.faults.clone()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state(&self, stage: u32) -> PathBuf {
        self.path(&format!("stage-{stage}"))
    }

    /// How the state of a stage is moved.
    pub fn moving(&self, stage: u32) -> MoveOptions {
        let (pace, laws) = (self.pace, self.laws.clone().into());
        MoveOptions { state: self.state(stage), stack: Some("memory".into()), laws, pace }
    }

    /// From now on there are so many stages; none runs.
    pub fn resize(&mut self, stages: u32) {
        assert!(self.running.is_empty(), "stages are stopped before their number changes");
        self.stages = stages;
    }

    fn queues_of(&self, stage: u32) -> StageQueues {
        StageQueues {
            requests: self.queue(&format!("requests-{stage}")),
            reports: self.queue(&format!("reports-{stage}")),
            control: self.queue(&format!("control-{stage}")),
            fetch: self.queue("fetch"),
            dead_letters: self.queue(&format!("dead-{stage}")),
            peers: (0..self.stages).map(|stage| self.queue(&format!("requests-{stage}"))).collect(),
            artifacts: Arc::new(Faulty(Arc::clone(&self.artifacts), self.faults.clone())),
            claims: Arc::clone(&self.claims) as Arc<dyn Claims>,
        }
    }

    pub fn start(&mut self, stage: u32) {
        let stop = Arc::new(AtomicBool::new(false));
        let options = self.options(stage, Arc::clone(&stop));
        let thread = std::thread::spawn(move || run_stage(options()).expect("the stage runs"));
        self.running.insert(stage, (stop, thread));
    }

    /// Arrivals at a host, in microseconds, in order.
    pub fn arrivals(&self, host: &str) -> Vec<u64> {
        let log = self.site.log();
        let mut times: Vec<u64> = log
            .iter()
            .filter(|entry| entry.host.split(':').next() == Some(host))
            .map(|entry| entry.arrived.0)
            .collect();
        times.sort_unstable();
        times
    }

    pub fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Why a stage does not start.
    pub fn refused(&self, stage: u32) -> String {
        run_stage(self.options(stage, Arc::default())()).expect_err("refused").to_string()
    }

    fn geocoding(&self) -> Geocoding {
        let url = Some(format!("http://localhost:{}/maps/api/geocode/json", self.site.port()));
        let law = Some(Limits { hits: 10_000, window_us: 1_000_000, moderated: false });
        let site = ProviderConfig { url, law, ..ProviderConfig::new("site", ProviderKind::Google) };
        let providers = vec![Arc::new(Provider::new(site).expect("right"))];
        Geocoding { config: Arc::default(), gazetteer: Arc::default(), providers }
    }

    /// Calls for locations that the site has answered.
    pub fn geocode_calls(&self) -> usize {
        self.site.log().iter().filter(|entry| entry.path.starts_with("/maps/api/geocode")).count()
    }

    /// Makes a stage's options, on whichever thread it is to run.
    fn options(&self, stage: u32, flag: Arc<AtomicBool>) -> impl FnOnce() -> StageOptions + Send + use<> {
        let queues = self.queues_of(stage);
        let kept = Kept(Arc::clone(&self.rows), Arc::clone(&self.refused), Arc::clone(&self.gone));
        let (begins_anew, sinks) = (self.begin_anew, self.sinks.clone());
        let (pace, laws, compute) = (self.pace, self.laws.clone().into(), self.compute.clone());
        let (state, of) = (self.state(stage), self.stages);
        let geocoding = self.geocodes.then(|| self.geocoding());
        let has_sink = self.sinkless != Some(stage);
        move || StageOptions {
            stack: "memory".into(),
            tariff: weir_driver::remote::StageTariff {
                prices: weir_cost::PriceTable::built_in().region("us-east-1").expect("built in").clone(),
                architecture: weir_cost::Architecture::Arm64,
            },
            slice: Slice { index: stage, of },
            state,
            begins_anew,
            settings: Settings { concurrency: 500, ..Settings::default() },
            laws,
            sinks: Box::new(move |_, header| match (&sinks, has_sink) {
                (Some(sinks), _) => sinks(header),
                (None, true) => Ok(vec![Output::new(Box::new(kept.clone()), true)]),
                (None, false) => {
                    Err(SinkError::new(ErrorClass::Permanent, "a file is there already", "kept:", "none", "move it"))
                }
            }),
            geocoding: geocoding.map(|geocoding| GeocodeOptions {
                geocoding,
                keys: BTreeMap::new(),
                cache: None,
                user_agent: "weir".into(),
            }),
            compute,
            workers: 1,
            pace,
            queues,
            runtime: runtime(),
            health_port: None,
            heartbeat: Box::new(|_| {}),
            stop: flag,
        }
    }

    pub fn stop(&mut self, stage: u32) {
        let (stop, thread) = self.running.remove(&stage).expect("it runs");
        stop.store(true, Ordering::Relaxed);
        thread.join().expect("the stage ends without a panic");
    }

    pub fn start_function(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, queues, clock) = (Arc::clone(&stop), self.queues.clone(), Arc::clone(&self.clock));
        let artifacts = Arc::clone(&self.artifacts) as Arc<dyn ArtifactStore>;
        let (duplicates, poison) = (self.duplicates, self.poison);
        let claims = Arc::clone(&self.claims);
        let thread = std::thread::spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime(), function(queues, (artifacts, claims), clock, flag, duplicates, poison));
        });
        self.functions.push((stop, thread));
    }

    // ---- jobs -----------------------------------------------------------------------------------------------------

    pub fn client(&self) -> Client {
        let all = |kind: &str| (0..self.stages).map(|stage| self.queue(&format!("{kind}-{stage}"))).collect();
        Client { requests: all("requests"), control: all("control"), artifacts: Arc::clone(&self.artifacts) as _ }
    }

    pub fn spider_text(&self) -> String {
        self.text.to_owned()
    }

    pub fn new_job(&self, shards: u32) -> NewJob<'static> {
        let (spider, text) = (self.spider, self.text);
        let base = format!("http://localhost:{}", self.site.port());
        let args = BTreeMap::from([("base".to_owned(), base)]);
        NewJob {
            spider,
            text,
            args,
            settings: BTreeMap::new(),
            urls: None,
            shards,
            opened_at: self.clock.now().unix_ms(),
        }
    }

    /// A start page at each of so many domains, each with a link to another domain.
    pub fn new_job_over_domains(&self, domains: usize) -> NewJob<'static> {
        let port = chain_server();
        let hosts: Vec<String> =
            (0..domains).map(|at| format!("\"http://d{at}.localhost:{port}/start/{at}\"")).collect();
        let text = format!(
            "name = \"chain\"\nstart = [{}]\n[[follow]]\nxpath = '//a/@href'\nparse = \"page\"\n[item.page]\nkey = \"url\"\n\
             fields = {{ url = {{ value = \"response.url\" }} }}\n",
            hosts.join(", ")
        );
        let (spider, text) = kept(text, &[]);
        let settings = BTreeMap::from([("robots".to_owned(), "false".to_owned())]);
        NewJob {
            spider,
            text,
            args: BTreeMap::new(),
            settings,
            urls: None,
            shards: 2,
            opened_at: self.clock.now().unix_ms(),
        }
    }

    /// The listings of several hosts, each a domain of its own; their key is the `url`, or the `number` in it that all hosts share.
    pub fn new_job_over_hosts(&self, hosts: &[&str], key: &str) -> NewJob<'static> {
        let (port, last) = (self.site.port(), self.pages - 1);
        let starts: Vec<String> = hosts
            .iter()
            .map(|host| format!("\"http://{host}:{port}/properties/index_{{00000..{last:05}}}.html\""))
            .collect();
        let text = format!(
            "name = \"hosts\"\nallowed_domains = [\"localhost\"]\nstart = [{}]\n[[follow]]\nxpath = '//*[@itemprop=\"url\"]/@href'\n\
             parse = \"page\"\n[item.page]\nkey = \"{key}\"\n[item.page.fields]\nurl = {{ value = \"response.url\" }}\n\
             number = {{ value = \"response.url\", regex = 'property_\\d+' }}\n",
            starts.join(", ")
        );
        let (spider, text) = kept(text, &[]);
        NewJob {
            spider,
            text,
            args: BTreeMap::new(),
            settings: BTreeMap::new(),
            urls: None,
            shards: 6,
            opened_at: self.clock.now().unix_ms(),
        }
    }

    /// The listings of several hosts as they are on a day; the spider is the same every day.
    pub fn new_job_on_day(&self, hosts: &[&str], day: &str) -> NewJob<'static> {
        let (port, last) = (self.site.port(), self.pages - 1);
        let start =
            |host: &&str| format!("\"http://{host}:{port}/date:{day}/properties/index_{{00000..{last:05}}}.html\"");
        let text = format!(
            "name = \"days\"\nallowed_domains = [\"localhost\"]\nstart = [{}]\n[[follow]]\nxpath = '//*[@itemprop=\"url\"]/@href'\n\
             parse = \"page\"\n[item.page]\nkey = [\"host\", \"number\"]\n[item.page.fields]\nhost = {{ url = '//([a-z]+)' }}\n\
             number = {{ url = 'property_(\\d+)' }}\nday = {{ url = 'date:([0-9-]+)' }}\n",
            hosts.iter().map(start).collect::<Vec<_>>().join(", ")
        );
        let (spider, text) = kept(text, &[]);
        let (args, settings, opened_at) = (BTreeMap::new(), BTreeMap::new(), self.clock.now().unix_ms());
        NewJob { spider, text, args, settings, urls: None, shards: 6, opened_at }
    }

    /// Listings by the day on which they were stored last.
    pub fn on_day(&self, day: &str) -> BTreeSet<ItemId> {
        let rows = self.rows.lock().expect("no panic");
        let is_of = |item: &Item| item.values.iter().any(|value| matches!(value, Value::Str(text) if **text == *day));
        rows.iter().filter(|(_, (_, item))| is_of(item)).map(|(id, _)| *id).collect()
    }

    /// Listings that are marked as gone.
    pub fn gone(&self) -> BTreeSet<ItemId> {
        self.gone.lock().expect("no panic").clone()
    }

    /// Bytes of the objects under a prefix.
    pub fn artifact_bytes(&self, prefix: &str) -> Vec<usize> {
        runtime().block_on(async {
            let mut sizes = Vec::new();
            for key in self.artifacts.list(prefix, 100).await.expect("in memory") {
                sizes.push(self.artifacts.get(&key).await.expect("listed").len());
            }
            sizes
        })
    }

    /// Keys that are stored.
    pub fn rows(&self) -> usize {
        self.rows.lock().expect("no panic").len()
    }

    /// Every listing of these hosts is there once, no page was asked for twice, and no more than `hits` came within a window.
    pub fn judge_hosts(&self, hosts: &[&str], hits: usize, window_ms: u64) {
        assert_eq!(self.rows.lock().expect("no panic").len(), hosts.len() * self.pages * 30);
        let mut asked: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut arrivals: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for entry in self.site.log() {
            arrivals.entry(entry.host.clone()).or_default().push(entry.arrived.0);
            *asked.entry((entry.host, entry.path)).or_default() += 1;
        }
        asked.retain(|(_, path), times| *times > 1 && path != "/robots.txt");
        assert!(asked.is_empty(), "asked for more than once: {asked:?}");
        for (host, mut times) in arrivals {
            times.sort_unstable();
            for window in times.windows(hits + 1) {
                let took = window[hits] - window[0];
                assert!(took >= window_ms * 1_000, "{host}: {} arrivals within {took} us", hits + 1);
            }
        }
    }

    pub fn enqueue(&self, job: &NewJob<'_>) -> OpenedJob {
        let job = NewJob {
            spider: job.spider,
            text: job.text,
            args: job.args.clone(),
            settings: job.settings.clone(),
            urls: job.urls.clone(),
            shards: job.shards,
            opened_at: job.opened_at,
        };
        runtime().block_on(self.client().open(job)).expect("the job is opened")
    }

    pub fn cancel(&self, job: JobId) {
        runtime().block_on(self.client().cancel(job, "c-1")).expect("told");
    }

    pub fn refuse(&self, text: Option<&'static str>) {
        *self.refused.lock().expect("no panic") = text;
    }

    pub fn put_artifact(&self, key: &str, bytes: &[u8]) {
        runtime().block_on(self.artifacts.put(key, bytes.to_vec())).expect("put");
    }

    /// What a stage says of a job.
    pub fn part(&self, job: JobId, stage: u32) -> Option<JobPart> {
        let bytes = runtime().block_on(self.artifacts.get(&part_key(job, stage))).ok()?;
        Some(serde_json::from_slice(&bytes).expect("a part"))
    }

    pub fn remove_artifacts(&self, prefix: &str) {
        runtime().block_on(async {
            for key in self.artifacts.list(prefix, 1_000).await.expect("in memory") {
                self.artifacts.remove(&key).await.expect("in memory");
            }
        });
    }

    pub fn until_gone(&self, key: &str) {
        until(key, || runtime().block_on(self.artifacts.get(key)).is_err());
    }

    /// Dead letters by stage, once there are so many.
    pub fn until_letters(&self, count: usize) -> BTreeMap<u32, DeadLetters> {
        let mut found = BTreeMap::new();
        until("dead letters", || {
            found = runtime().block_on(self.client().letters()).expect("letters");
            found.values().map(|all| all.letters.len()).sum::<usize>() == count
        });
        found
    }

    /// Numbers of as many dead letters as these, none of which is one of them.
    pub fn until_letters_other_than(&self, ids: &BTreeMap<u32, Vec<u64>>) -> BTreeMap<u32, Vec<u64>> {
        let count = |ids: &BTreeMap<u32, Vec<u64>>| ids.values().map(Vec::len).sum::<usize>();
        let mut found: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        until("other dead letters", || {
            let letters = runtime().block_on(self.client().letters()).expect("letters");
            found = letters.into_iter().map(|(stage, all)| (stage, all.letters.into_keys().collect())).collect();
            let is_old = |stage: &u32, id: &u64| ids.get(stage).is_some_and(|ids| ids.contains(id));
            count(&found) == count(ids) && found.iter().all(|(stage, ids)| ids.iter().all(|id| !is_old(stage, id)))
        });
        found
    }

    /// Lets letters of a job enter again; links are not followed.
    pub fn replay(&self, job: JobId, ids: &BTreeMap<u32, Vec<u64>>) -> OpenedJob {
        runtime().block_on(async {
            let mut header = self.client().header(job).await.expect("a job");
            header.settings.insert("follow".into(), "false".into());
            self.client().replay(header, ids.clone(), self.clock.now().unix_ms()).await.expect("the job is opened")
        })
    }

    pub fn stop_functions(&mut self) {
        for (stop, thread) in std::mem::take(&mut self.functions) {
            stop.store(true, Ordering::Relaxed);
            thread.join().expect("the function ends without a panic");
        }
    }

    /// A job as it is told now.
    pub fn look(&self, job: JobId) -> JobView {
        runtime().block_on(self.client().job(job)).expect("a job")
    }

    /// Until the job has ended everywhere.
    pub fn wait(&self, job: JobId) -> JobView {
        let mut view = None;
        until("the end of a job", || {
            let now = runtime().block_on(self.client().job(job)).expect("a job");
            let ended = now.outcome().is_some();
            view = Some(now);
            ended
        });
        view.expect("looked at")
    }

    pub fn send(&self, queue: &str, bodies: &[&str]) {
        let bodies: Vec<String> = bodies.iter().map(|body| (*body).to_owned()).collect();
        assert!(runtime().block_on(self.queues[queue].send(&bodies)).iter().all(Result::is_ok));
    }

    pub fn until_messages(&self, queue: &str, count: usize) {
        until(queue, || self.queues[queue].len() >= count);
    }

    pub fn until_received(&self, queue: &str) {
        until(queue, || !self.queues[queue].is_empty());
    }

    pub fn until_empty(&self, queue: &str) {
        until(queue, || self.queues[queue].is_empty());
    }

    pub fn until_requests(&self, count: usize) {
        until("requests", || self.requests() >= count);
    }

    pub fn requests(&self) -> usize {
        self.site.log().len()
    }

    /// Waits for so many dead letters of stage 0.
    pub fn dead_letters(&self, count: usize) -> Vec<String> {
        until("dead letters", || self.queues["dead-0"].len() >= count);
        let got = runtime().block_on(self.queues["dead-0"].receive(10, Duration::ZERO)).expect("received");
        got.into_iter().map(|message| message.body.expect("a body")).collect()
    }

    /// Nothing is left on any queue but the dead letters.
    pub fn assert_settled(&self) {
        for (name, queue) in &self.queues {
            assert!(name.starts_with("dead") || queue.is_empty(), "{} messages on {name}", queue.len());
        }
    }

    /// Every listing is there once, each field as the generator says.
    pub fn judge(&self) {
        let rows = self.rows.lock().expect("no panic");
        assert_eq!(rows.len(), self.pages * 30);
        let schema = &self.spider.schemas()[0];
        let at = |name: &str| schema.fields.iter().position(|field| &*field.name == name).expect("a field");
        let found: BTreeMap<String, &Arc<Item>> =
            rows.values().map(|(_, item)| (text(&item.values[at("url")]), item)).collect();
        let base = format!("http://localhost:{}", self.site.port());
        for listing in self.site.portal().iter() {
            let item = found.get(&listing.url(&base)).unwrap_or_else(|| panic!("{} is missing", listing.url(&base)));
            assert_eq!(text(&item.values[at("title")]), listing.title);
            assert_eq!(text(&item.values[at("address")]), listing.address);
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let all = std::mem::take(&mut self.running).into_values().chain(std::mem::take(&mut self.functions));
        for (stop, thread) in all {
            stop.store(true, Ordering::Relaxed);
            // A panic of a thread has been printed, and the test has failed by it.
            let _ = thread.join();
        }
    }
}

struct Opening(BTreeMap<String, Arc<MemoryQueue>>);

impl Queues for Opening {
    fn open(&self, address: &str) -> Arc<dyn MessageQueue> {
        Arc::clone(&self.0[address]) as Arc<dyn MessageQueue>
    }
}

/// What Lambda does with the fetch queue.
async fn function(
    queues: BTreeMap<String, Arc<MemoryQueue>>,
    (artifacts, claims): (Arc<dyn ArtifactStore>, Arc<MemoryClaims>),
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    duplicates: bool,
    poison: Option<&'static str>,
) {
    let mut settings = FunctionSettings::new("bucket", "claims");
    settings.allowed.loopback = true;
    let fetch = Arc::clone(&queues["fetch"]);
    let function = Function::new(FunctionParts {
        queues: Box::new(Opening(queues)),
        artifacts,
        claims: Arc::clone(&claims) as Arc<dyn Claims>,
        clock: Arc::clone(&clock),
        settings,
        server: "function".into(),
    });
    let invocations = AtomicUsize::new(0);
    while !stop.load(Ordering::Relaxed) {
        let Ok(received) = fetch.receive(10, Duration::from_millis(50)).await else { continue };
        let mut receipts: BTreeMap<String, Receipt> = BTreeMap::new();
        let mut deliveries = Vec::new();
        for message in received {
            let body = message.body.expect("a body");
            if poison.is_some_and(|poison| body.contains(poison)) {
                // Dead after its claim and before its first report. Its message comes again, finds the claim taken, and goes.
                let envelope = FetchEnvelope::from_json(&body).expect("an envelope");
                let claim = claims.claim(&envelope.claim_key(), &message.id, UnixMs(u64::MAX)).await;
                assert!(claim.is_ok(), "{claim:?}");
                assert!(fetch.settle(&[message.receipt]).await.iter().all(Result::is_ok));
                continue;
            }
            for _ in 0..=usize::from(duplicates) {
                deliveries.push(Delivery { id: message.id.clone(), body: body.clone() });
            }
            receipts.insert(message.id, message.receipt);
        }
        if deliveries.is_empty() {
            continue;
        }
        let request = format!("r-{}", invocations.fetch_add(1, Ordering::Relaxed));
        let invoked = function.invoke(&request, deliveries, clock.now().after(Duration::from_secs(30))).await;
        assert!(invoked.failed.is_empty(), "{}", invoked.figures.log_line());
        let receipts: Vec<Receipt> = receipts.into_values().collect();
        assert!(fetch.settle(&receipts).await.iter().all(Result::is_ok));
    }
}

/// Items by id, the newest version; nothing doubled, nothing of an older version. Which of them are gone.
#[derive(Clone)]
struct Kept(Rows, Arc<Mutex<Option<&'static str>>>, Gone);

impl Sink for Kept {
    fn describe(&self) -> SinkInfo {
        let batch = BatchPolicy { items_max: 1_000, bytes_max: 1 << 20, ..BatchPolicy::default() };
        SinkInfo { name: "kept", url: "kept:".into(), kind: SinkKind::Keyed, batch }
    }

    fn open(&mut self, _: &JobInfo) -> Result<Opened, SinkError> {
        Ok(Opened { generation: 1 })
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        outcomes.clear();
        let mut rows = self.0.lock().expect("no panic");
        let refused = *self.1.lock().expect("no panic");
        for item in items {
            let says =
                |text: &str| item.values.iter().any(|value| matches!(value, Value::Str(value) if value.contains(text)));
            if let Some(text) = refused.filter(|text| says(text)) {
                outcomes.push(ItemOutcome::Refused { reason: format!("{text} is not wanted") });
                continue;
            }
            let row = rows.entry(item.id).or_insert_with(|| (item.version, Arc::clone(item)));
            if row.0 <= item.version {
                *row = (item.version, Arc::clone(item));
                self.2.lock().expect("no panic").remove(&item.id);
                outcomes.push(ItemOutcome::Stored);
            } else {
                outcomes.push(ItemOutcome::Stale);
            }
        }
        Box::pin(async { Ok(SinkMark::default()) })
    }

    fn can_delist(&self) -> bool {
        true
    }

    fn delist<'a>(
        &'a mut self,
        _: u16,
        ids: &'a [ItemId],
        at: u64,
    ) -> BoxFuture<'a, Result<Vec<ItemOutcome>, SinkError>> {
        let (rows, mut gone) = (self.0.lock().expect("no panic"), self.2.lock().expect("no panic"));
        let mark = |id: &ItemId| match rows.get(id) {
            Some((version, _)) if *version >= at => ItemOutcome::Stale,
            _ => {
                gone.insert(*id);
                ItemOutcome::Stored
            }
        };
        let outcomes = ids.iter().map(mark).collect();
        Box::pin(async { Ok(outcomes) })
    }

    fn finish(&mut self, _: Outcome, _: bool) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async { Ok(()) })
    }
}

/// `/start/N` links to `/end/N` at the domain after the next, on the same port.
fn chain_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
                let mut path = String::new();
                while let Some(Ok(line)) = lines.next() {
                    if let Some(asked) = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) {
                        path = asked.to_owned();
                    }
                    if !line.is_empty() {
                        continue;
                    }
                    let number: usize = path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
                    let next = (number + 2) % 8;
                    let page = format!("<a href=\"http://d{next}.localhost:{port}/end/{number}\">on</a>");
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length";
                    if write!(stream, "{head}: {}\r\n\r\n{page}", page.len()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}
