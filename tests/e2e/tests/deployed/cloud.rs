//! One deployment on the emulator for all tests of this binary: the templates, the real function, two stages' queues. Tests take turns.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use weir_aws::{Aws, SqsQueue};
use weir_e2e::{Killed, root, weir};
use weir_queue::{ArtifactStore, MessageQueue};
use weir_services::Service;
use weir_site::{Site, SiteHandle, SiteOptions};

pub const STACK: &str = "e2e";

/// The emulator with the deployment on it.
pub struct Cloud {
    pub emulator: Service,
    folder: PathBuf,
}

/// The deployment, for one test at a time.
pub fn cloud() -> MutexGuard<'static, Cloud> {
    static CLOUD: OnceLock<Mutex<Cloud>> = OnceLock::new();
    CLOUD.get_or_init(|| Mutex::new(Cloud::deploy())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The function's binary; `WEIR_FUNCTION` names one that is built already.
fn function() -> PathBuf {
    if let Some(path) = std::env::var_os("WEIR_FUNCTION") {
        return path.into();
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["build", "--quiet", "-p", "weir-fetch-parse", "--features", "lambda", "--bin", "weir-fetch-parse"];
    let status = Command::new(cargo).args(arguments).current_dir(root()).status().expect("cargo starts");
    assert!(status.success(), "the function is built");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug/weir-fetch-parse")
}

impl Cloud {
    fn deploy() -> Cloud {
        let emulator = Service::aws().expect("the emulator starts");
        // The emulator's own folder goes with it, also when the tests are killed.
        let folder = emulator.folder().map_or_else(std::env::temp_dir, Path::to_path_buf).join("deployed");
        std::fs::create_dir_all(&folder).expect("a folder");
        let stripped = folder.join("function");
        let built = function();
        let strip = Command::new("strip").arg("-o").arg(&stripped).arg(&built).status();
        let function = if strip.is_ok_and(|status| status.success()) { stripped } else { built };
        let mut deploy = Command::new(root().join("infra/deploy"));
        deploy
            .args([
                "--stack",
                STACK,
                "--stages",
                "2",
                "--fleet",
                "AllowHosts=loopback",
                "--fleet",
                "FunctionConcurrency=0",
            ])
            .envs(emulator.settings())
            .env("WEIR_FUNCTION", function)
            .env("WEIR_DEPLOYMENT", folder.join("deployment.toml"));
        let output = deploy.output().expect("infra/deploy runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Cloud { emulator, folder }
    }

    /// The deployment's file, as if it had so many stages.
    pub fn deployment(&self, stages: usize) -> String {
        let text = std::fs::read_to_string(self.folder.join("deployment.toml")).expect("infra/deploy wrote it");
        let mut parts = text.split("[[stage]]");
        let mut kept = parts.next().expect("a head").to_owned();
        for part in parts.take(stages) {
            let _ = write!(kept, "[[stage]]{part}");
        }
        kept
    }

    fn aws(&self) -> Aws {
        Aws::at(self.emulator.url(), "eu-central-1")
    }

    /// The deployment's bucket.
    pub fn bucket(&self) -> String {
        let table: toml::Table = self.deployment(1).parse().expect("TOML");
        table["bucket"].as_str().expect("a name").to_owned()
    }

    /// Objects of the bucket below a prefix.
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, String> {
        let store = self.aws().bucket(&self.bucket());
        wait(async {
            let mut objects = BTreeMap::new();
            for key in store.list(prefix, 10_000).await.expect("listed") {
                // One that goes meanwhile is none.
                if let Ok(bytes) = store.get(&key).await {
                    objects.insert(key, String::from_utf8(bytes).expect("text"));
                }
            }
            objects
        })
    }

    /// Writes an object into the bucket.
    pub fn put(&self, key: &str, text: &str) {
        let store = self.aws().bucket(&self.bucket());
        wait(async { store.put(key, text.as_bytes().to_vec()).await }).expect("put");
    }

    /// Removes the bucket's objects below a prefix.
    pub fn forget(&self, prefix: &str) {
        let store = self.aws().bucket(&self.bucket());
        wait(async {
            for key in store.list(prefix, 10_000).await.expect("listed") {
                store.remove(&key).await.expect("removed");
            }
        });
    }

    /// Puts a message on a queue.
    pub fn send(&self, queue: &str, body: &str) {
        let queue: SqsQueue = self.aws().queue(&self.queue(queue));
        let sent = wait(async { queue.send(&[body.to_owned()]).await });
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    }

    /// From now on every Nth message of each queue is there twice, until the guard is dropped.
    pub fn twice(&self, every: usize) -> Twice {
        let folder = self.emulator.folder().expect("our own emulator");
        // What was counted before is another test's.
        let _ = std::fs::remove_file(folder.join("doubled"));
        std::fs::write(folder.join("twice"), every.to_string()).expect("written");
        Twice { folder: folder.to_path_buf() }
    }

    /// The address of a queue.
    pub fn queue(&self, name: &str) -> String {
        format!("{}/000000000000/{STACK}-{name}", self.emulator.url())
    }
}

/// Messages come twice while this is there.
pub struct Twice {
    folder: PathBuf,
}

impl Twice {
    /// How many came twice, by queue.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for queue in std::fs::read_to_string(self.folder.join("doubled")).unwrap_or_default().lines() {
            *counts.entry(queue.to_owned()).or_default() += 1;
        }
        counts
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        // The emulator's folder goes with it.
        let _ = std::fs::remove_file(self.folder.join("twice"));
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// A site, a folder, and stages of a deployment.
pub struct Scene {
    pub site: SiteHandle,
    pub dir: tempfile::TempDir,
    settings: Vec<(&'static str, String)>,
    stages: usize,
}

impl Scene {
    pub fn new(cloud: &Cloud, stages: usize, pages: usize) -> Scene {
        let site = Site::spawn(SiteOptions { pages, port: 0, ..SiteOptions::default() }).expect("the site starts");
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("deployment.toml"), cloud.deployment(stages)).expect("written");
        Scene { site, dir, settings: cloud.emulator.settings(), stages }
    }

    /// From now on the deployment has so many stages.
    pub fn resize(&mut self, cloud: &Cloud, stages: usize) {
        self.stages = stages;
        self.write("deployment.toml", &cloud.deployment(stages));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// `weir` in the folder, in this deployment.
    pub fn weir(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(weir());
        command.current_dir(self.dir.path()).args(arguments).stdin(Stdio::null());
        command.env("WEIR_DEPLOYMENT", "deployment.toml").envs(self.settings.iter().cloned());
        command
    }

    /// A variable for every command from here on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.push((name, value.to_owned()));
    }

    /// `weir stage` with short time-outs, a database of its own and a new state, whatever the stages of other tests were.
    pub fn stage(&self, index: usize, more: &[&str]) -> Command {
        let (number, of) = (index.to_string(), self.stages.to_string());
        let (state, sink) = (format!("state-{index}"), format!("sqlite:items-{index}.db"));
        let mut command = self.weir(&["stage", "--stage", &number, "--stages", &of, "--state", &state, "-o", &sink]);
        command
            .args([
                "-s",
                "fetch.timeout=3s",
                "--grace",
                "3",
                "--visibility",
                "4",
                "--policy",
                "law.toml",
                "--begin-anew",
            ])
            .args(more);
        command
    }

    /// Starts it in the background; what it says is in `stage-N.log`.
    pub fn start(&self, index: usize, more: &[&str]) -> Killed {
        let log = std::fs::File::options().create(true).append(true).open(self.path(&format!("stage-{index}.log")));
        let log = log.expect("a log");
        let mut command = self.stage(index, more);
        command.stdout(Stdio::null()).stderr(log);
        Killed(command.spawn().expect("weir starts"))
    }

    /// What a stage said, for a test's own message.
    pub fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.path(&format!("stage-{index}.log"))).unwrap_or_default()
    }

    /// The bucket's feed of each stage, parts of at most so many items: whole, none twice; by URL.
    pub fn feed(&self, cloud: &Cloud, folder: &str, part_rows: usize) -> BTreeMap<String, Value> {
        let mut items = BTreeMap::new();
        let mut sizes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (key, text) in cloud.objects(&format!("feeds/{folder}/")) {
            assert!(text.ends_with('\n'), "{key} is whole");
            let (of, _) = key.rsplit_once("-p").expect("a part has its number");
            sizes.entry(of.to_owned()).or_default().push(text.lines().count());
            for line in text.lines() {
                let item: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{key}: {error}: {line}"));
                let url = item["url"].as_str().expect("a url").to_owned();
                assert!(items.insert(url.clone(), item).is_none(), "{url} is in the feed twice");
            }
        }
        for (feed, mut sizes) in sizes {
            sizes.sort_unstable();
            assert!(sizes.iter().skip(1).all(|size| *size == part_rows), "{feed}: parts of {sizes:?}");
        }
        items
    }

    /// No more than `hits` requests of any host arrived within a window.
    pub fn judge(&self, hits: usize, window_us: u64) {
        let mut hosts: std::collections::BTreeMap<String, Vec<u64>> = std::collections::BTreeMap::new();
        for entry in self.site.log() {
            hosts.entry(entry.host).or_default().push(entry.arrived.0);
        }
        for (host, mut times) in hosts {
            times.sort_unstable();
            for window in times.windows(hits + 1) {
                let took = window[hits] - window[0];
                assert!(took >= window_us, "{host}: {} arrivals within {took} us", hits + 1);
            }
        }
    }
}

/// Ends a stage in order.
pub fn stop(mut stage: Killed) {
    stage.signal("-TERM").expect("a signal");
    assert_eq!(stage.0.wait().expect("it ends").code(), Some(0), "a stage ends in order");
}

/// One answer of a small HTTP server on loopback.
pub fn get(port: u16, path: &str) -> String {
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    let mut answer = String::new();
    let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let _ = asked.and_then(|()| stream.read_to_string(&mut answer).map(drop));
    answer
}
