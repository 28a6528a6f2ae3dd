//! One deployment on the emulator for all tests of this binary: the templates, the real function, two stages' queues. Tests take turns.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use weir_e2e::{Killed, root, weir};
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

    /// The address of a queue.
    pub fn queue(&self, name: &str) -> String {
        format!("{}/000000000000/{STACK}-{name}", self.emulator.url())
    }
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

    /// `weir stage` with short time-outs and a database of its own.
    pub fn stage(&self, index: usize, more: &[&str]) -> Command {
        let (number, of) = (index.to_string(), self.stages.to_string());
        let (state, sink) = (format!("state-{index}"), format!("sqlite:items-{index}.db"));
        let mut command = self.weir(&["stage", "--stage", &number, "--stages", &of, "--state", &state, "-o", &sink]);
        command
            .args(["-s", "fetch.timeout=3s", "--grace", "3", "--visibility", "4", "--policy", "law.toml"])
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
