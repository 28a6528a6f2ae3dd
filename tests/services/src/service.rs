//! One server: started by its script, killed and swept away with its value.
//!
//! Invariant: a *guard* process holds the read end of a pipe whose write end only this process has. However this process
//! ends (return, panic, abort, `kill -9`), the pipe closes, and the guard kills the server's processes and removes its
//! folder. `Drop` only closes the pipe and waits for the guard. The guard is in a process group of its own, so that an
//! interrupt from the keyboard does not take it along.

use crate::Kind;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use url::Url;

/// How often another process may take the free port between our look and the server's bind.
const PORT_ATTEMPTS: usize = 5;

/// How a script exits when somebody has the port.
const PORT_TAKEN: i32 = 98;

/// Another process took the port. Only a new server may take another one: a restarted one keeps its own.
#[derive(Debug)]
struct PortTaken(String);

impl std::error::Error for PortTaken {}

impl std::fmt::Display for PortTaken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

/// A server for a test: one started for it, or one that the environment names.
///
/// Dropped, a started one is killed and its folder removed.
#[derive(Debug)]
pub struct Service {
    kind: Kind,
    url: String,
    port: u16,
    own: Option<Own>,
}

/// What only a server has that we started.
#[derive(Debug)]
struct Own {
    folder: PathBuf,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    guard: Child,
}

/// A server with options of its own: [`Service::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    kind: Kind,
    options: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Builder {
    /// One more option for the server: `--max-allowed-packet=1M` for MariaDB, `--maxmemory 10mb` as two for Redis.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// A variable that the script reads: `ES_HEAP`, `ES_SETTINGS`, `AWS_REGION`.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it, also where the environment names a server: that one has no such options.
    ///
    /// # Errors
    /// The script's own words, with the end of the server's log.
    pub fn start(self) -> Result<Service> {
        install(self.kind)?;
        let mut attempt = 1;
        loop {
            match self.try_start() {
                Err(problem) if attempt < PORT_ATTEMPTS && problem.is::<PortTaken>() => attempt += 1,
                answer => return answer,
            }
        }
    }

    fn try_start(&self) -> Result<Service> {
        let port = free_port()?;
        let folder = tempfile::Builder::new().prefix(&format!("weir-{}-", self.kind.name())).tempdir()?.keep();
        let guard = Command::new(self.kind.script())
            .arg("guard")
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", self.kind.script().display()))?;
        let own = Own { folder, options: self.options.clone(), variables: self.variables.clone(), guard };
        let mut service = Service { kind: self.kind, url: String::new(), port, own: Some(own) };
        service.restart()?;
        Ok(service)
    }
}

impl Service {
    /// A Redis: `redis://127.0.0.1:PORT/0`.
    ///
    /// # Errors
    /// What could not be installed or started, with the end of the server's log. So for all kinds.
    pub fn redis() -> Result<Self> {
        Self::start(Kind::Redis)
    }

    /// A MariaDB: `mysql://weir:weir@127.0.0.1:PORT/weir`, an account that may do everything.
    ///
    /// # Errors
    /// As [`Service::redis`].
    pub fn mariadb() -> Result<Self> {
        Self::start(Kind::MariaDb)
    }

    /// An Elasticsearch node: `http://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// As [`Service::redis`].
    pub fn elasticsearch() -> Result<Self> {
        Self::start(Kind::Elasticsearch)
    }

    /// An FTP server: `ftp://weir:weir@127.0.0.1:PORT`; its files are in [`Service::folder`]`/files`.
    ///
    /// # Errors
    /// As [`Service::redis`].
    pub fn ftp() -> Result<Self> {
        Self::start(Kind::Ftp)
    }

    /// The AWS emulator: `http://127.0.0.1:PORT`; [`Service::settings`] has the variables for the SDK and the tools.
    ///
    /// # Errors
    /// As [`Service::redis`].
    pub fn aws() -> Result<Self> {
        Self::start(Kind::Aws)
    }

    /// The server that the environment names, or else a new one.
    ///
    /// # Errors
    /// As [`Service::redis`], or a variable that holds no URL.
    pub fn start(kind: Kind) -> Result<Self> {
        match std::env::var(kind.variable()) {
            Ok(url) if !url.is_empty() => Self::given(kind, url),
            _ => Self::builder(kind).start(),
        }
    }

    /// A new server with options.
    #[must_use]
    pub fn builder(kind: Kind) -> Builder {
        let options = kind.options().iter().map(|option| (*option).to_owned()).collect();
        Builder { kind, options, variables: Vec::new() }
    }

    pub(crate) fn given(kind: Kind, url: String) -> Result<Self> {
        let parsed = Url::parse(&url).with_context(|| format!("{}={url:?} is no URL", kind.variable()))?;
        ensure!(parsed.host_str().is_some(), "{}={url:?} names no host", kind.variable());
        let port = parsed.port_or_known_default().unwrap_or_else(|| kind.usual_port());
        Ok(Self { kind, url, port, own: None })
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it answers, with account and database where it has them.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of a started server: `log`, `data`, `files`, `env`. `None` for a given one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.folder.as_path())
    }

    /// The variables that the AWS SDK and tools need to find the emulator; for a given one made of its URL, where
    /// account and region of the environment win. Empty for other kinds.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        if self.kind != Kind::Aws {
            return Vec::new();
        }
        let region = self.variable("AWS_REGION").unwrap_or_else(|| "eu-central-1".to_owned());
        let secret = |name| if self.own.is_some() { None } else { std::env::var(name).ok() };
        vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ACCESS_KEY_ID", secret("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "test".to_owned())),
            ("AWS_SECRET_ACCESS_KEY", secret("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| "test".to_owned())),
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.own.iter().flat_map(|own| &own.variables).find(|(key, _)| key == name);
        own.map(|(_, value)| value.clone()).or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
    }

    /// The last lines of the server's log, for a test's own message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let Some(folder) = self.folder() else { return format!("{} is not ours: no log", self.url) };
        let log = std::fs::read(folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// SIGKILL for the server and all its processes. They are gone when this returns; the data lies as the crash left it.
    ///
    /// # Errors
    /// A server that the environment names is not ours to kill.
    pub fn kill9(&mut self) -> Result<()> {
        self.script("kill").map(drop)
    }

    /// Stops the server politely; the data stays.
    ///
    /// # Errors
    /// A server that the environment names is not ours to stop.
    pub fn stop(&mut self) -> Result<()> {
        self.script("stop").map(drop)
    }

    /// Other options, from the next [`Service::restart`] on. A given server has none.
    pub fn set_options(&mut self, options: &[&str]) {
        if let Some(own) = &mut self.own {
            own.options = options.iter().map(|option| (*option).to_owned()).collect();
        }
    }

    /// Starts the server again on the same port and data, after [`Service::kill9`] or [`Service::stop`]; a running one
    /// is stopped first.
    ///
    /// # Errors
    /// A server that the environment names is not ours to start; else the script's words, with the end of the log.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        let url = self.script("start")?;
        ensure!(url.contains("://"), "{} start printed no URL but {url:?}", self.kind.name());
        self.url = url;
        Ok(())
    }

    fn script(&self, command: &str) -> Result<String> {
        let Some(own) = &self.own else {
            bail!(
                "cannot {command} {}: {} names it, so it is not this test's own; unset {} to have one started",
                self.url,
                self.kind.variable(),
                self.kind.variable()
            );
        };
        let mut script = Command::new(self.kind.script());
        script.arg(command).arg(&own.folder).stdin(Stdio::null());
        if command == "start" {
            script.arg(self.port.to_string()).args(&own.options);
            script.envs(own.variables.iter().map(|(name, value)| (name, value)));
        }
        let output = script.output().with_context(|| format!("cannot run {}", self.kind.script().display()))?;
        let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        if output.status.code() == Some(PORT_TAKEN) {
            return Err(PortTaken(words).into());
        }
        ensure!(output.status.success(), "{words}");
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            drop(own.guard.stdin.take());
            let _ = own.guard.wait(); // nothing to be done about it in a destructor; the guard does its work all the same
        }
    }
}

/// A port of 127.0.0.1 that nobody has now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// Installs a kind once a process; the script sees to it that parallel processes do not do it twice, and says what it
/// installs on standard error, which is passed on since it may take a minute.
fn install(kind: Kind) -> Result<()> {
    static DONE: OnceLock<Mutex<HashMap<Kind, Result<(), String>>>> = OnceLock::new();
    let mut done = DONE.get_or_init(Mutex::default).lock().expect("no install panics");
    let outcome = done.entry(kind).or_insert_with(|| {
        let status = Command::new(kind.script()).arg("install").stdin(Stdio::null()).stdout(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                Err(format!("{} install failed ({status}): its own words are above", kind.script().display()))
            }
            Err(problem) => Err(format!("cannot run {}: {problem}", kind.script().display())),
        }
    });
    outcome.clone().map_err(|problem| anyhow::anyhow!("{problem}; or name a running server: {}=URL", kind.variable()))
}
