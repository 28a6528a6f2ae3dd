//! Whole crawls on loopback: the `weir` binary on the practice site, judged by the site's generator.
//!
//! Every test has its own temporary folder and its own site on a free port, and stops what it starts.

pub mod elastic;
pub mod server;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use weir_site::{Site, SiteHandle, SiteOptions};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary that whole crawls run: what `WEIR_BIN` names (`make test` names the one that it built with the tests), else one that is built now.
///
/// # Panics
/// When it cannot be built.
pub fn weir() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("WEIR_BIN").map_or_else(|| build(&[]), PathBuf::from))
}

/// A binary with crash points, for tests that kill it at a chosen write; `WEIR_CRASH_BIN` names one that is built already.
///
/// # Panics
/// When it cannot be built.
pub fn weir_with_crash_points() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("WEIR_CRASH_BIN") {
            return named.into();
        }
        // Built beside everything else, then moved out of the way of an ordinary build.
        let built = build(&["--features", "crash-points"]);
        let kept = built.with_file_name("weir-crash-points");
        std::fs::copy(&built, &kept).expect("the binary is copied");
        kept
    })
}

fn build(options: &[&str]) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    // What cargo tells a test about its package would make build scripts that read it run again, and all that stands on them.
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
            command.env_remove(name);
        }
    }
    let status = command
        .args(["build", "--quiet", "-p", "weir"])
        .args(options)
        .current_dir(root())
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the weir binary is built");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("debug/weir")
}

/// A site with so many index pages, on a free port.
///
/// # Panics
/// When it cannot start.
#[must_use]
pub fn site(pages: usize) -> SiteHandle {
    Site::spawn(SiteOptions { pages, port: 0, ..SiteOptions::default() }).expect("the practice site starts")
}

/// A folder and a site of its own.
pub struct Stand {
    /// Everything that a run writes lies here.
    pub dir: tempfile::TempDir,
    /// The site.
    pub site: SiteHandle,
}

impl Stand {
    /// A stand over a site with so many index pages.
    ///
    /// # Panics
    /// When folder or site cannot be made.
    #[must_use]
    pub fn new(pages: usize) -> Stand {
        Stand { dir: tempfile::tempdir().expect("a temporary folder"), site: site(pages) }
    }

    /// A stand over a site that takes two milliseconds for every answer, so that a crawl can be met in the middle.
    ///
    /// # Panics
    /// When folder or site cannot be made.
    #[must_use]
    pub fn slow(pages: usize) -> Stand {
        let latency = std::time::Duration::from_millis(2);
        let options = SiteOptions { pages, port: 0, latency, ..SiteOptions::default() };
        let site = Site::spawn(options).expect("the practice site starts");
        Stand { dir: tempfile::tempdir().expect("a temporary folder"), site }
    }

    /// `http://localhost:PORT`.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://localhost:{}", self.site.port())
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        path
    }

    /// `weir crawl SPIDER` with feed `items.jsonl`, database `items.db` and state `state` in the folder.
    #[must_use]
    pub fn crawl(&self, spider: impl AsRef<Path>) -> Command {
        let mut command = self.command(weir());
        self.crawl_arguments(&mut command, spider);
        command
    }

    /// Appends the arguments of `crawl`.
    pub fn crawl_arguments(&self, command: &mut Command, spider: impl AsRef<Path>) {
        command.arg("crawl").arg(spider.as_ref()).args(["-q", "-a", &format!("base={}", self.base())]);
        command.args(["-o", "items.jsonl", "-o", "sqlite:items.db", "--state", "state"]);
    }

    /// A command in the folder.
    #[must_use]
    pub fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// The feed's items by URL.
    pub fn feed(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        read_feed(&self.path("items.jsonl"))
    }

    /// The database's rows by URL, housekeeping left out.
    pub fn rows(&self) -> anyhow::Result<BTreeMap<String, BTreeMap<String, Value>>> {
        read_rows(&self.path("items.db"))
    }
}

/// A spider of `examples/`.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    root().join("examples").join(name)
}

/// Runs to the end; fails with everything that was printed when the exit code is another.
pub fn run(command: &mut Command, code: i32) -> anyhow::Result<Output> {
    let output = command.output().context("the command starts")?;
    if output.status.code() != Some(code) {
        bail!(
            "exit {:?}, expected {code}\n--- stdout\n{}\n--- stderr\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}

/// Waits for a condition of the outside, with a bound; the condition is looked at, not slept for.
///
/// # Panics
/// When it does not come true within a minute.
#[allow(clippy::disallowed_methods, reason = "a test that watches another process needs a clock")]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "waited too long for {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}

/// What a command printed, standard output and standard error, as text.
#[must_use]
pub fn printed(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Starts in the background.
///
/// # Panics
/// When it cannot start.
#[must_use]
pub fn start(command: &mut Command) -> Killed {
    Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts"))
}

/// A child that is killed when it is dropped.
pub struct Killed(pub Child);

impl Killed {
    /// Sends a signal.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status()?;
        ensure!(status.success(), "kill {signal}");
        Ok(())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a JSON Lines feed of items with a `url`; two items with one URL are an error.
pub fn read_feed(path: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut items = BTreeMap::new();
    for line in text.lines() {
        let item: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let url = item["url"].as_str().with_context(|| format!("no url: {line}"))?.to_owned();
        ensure!(items.insert(url.clone(), item).is_none(), "{url} is in the feed twice");
    }
    Ok(items)
}

/// Reads the `property` table by URL, without housekeeping.
pub fn read_rows(path: &Path) -> anyhow::Result<BTreeMap<String, BTreeMap<String, Value>>> {
    let database = rusqlite::Connection::open(path)?;
    let mut statement = database.prepare("SELECT * FROM property")?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let mut found = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let mut values = BTreeMap::new();
        for (at, name) in names.iter().enumerate().filter(|(_, name)| !name.starts_with('_')) {
            let value = match row.get_ref(at)? {
                rusqlite::types::ValueRef::Null => Value::Null,
                rusqlite::types::ValueRef::Integer(number) => number.into(),
                rusqlite::types::ValueRef::Real(number) => number.into(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
                rusqlite::types::ValueRef::Blob(_) => bail!("no column of ours is a blob"),
            };
            values.insert(name.clone(), value);
        }
        let url = values["url"].as_str().context("a url")?.to_owned();
        ensure!(found.insert(url.clone(), values).is_none(), "{url} is in the table twice");
    }
    Ok(found)
}

/// What the generator says of every listing, as the feed of `properties.toml` has it; `date` and `location` aside.
#[must_use]
pub fn expected(site: &SiteHandle, base: &str) -> BTreeMap<String, Value> {
    let origin = format!("http://localhost:{}", site.port());
    site.portal()
        .iter()
        .map(|listing| {
            let url = listing.url(base);
            let item = serde_json::json!({
                "title": listing.title,
                "price": listing.price,
                "description": listing.description,
                "address": listing.address,
                "image_urls": listing.image_urls(&origin),
                "url": url,
            });
            (url, item)
        })
        .collect()
}

/// Compares a feed with what was meant, field by field; names the first difference.
pub fn compare(feed: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    for (url, wanted) in expected {
        let got = feed.get(url).with_context(|| format!("{url} is missing"))?;
        for (field, value) in wanted.as_object().context("an object")? {
            ensure!(&got[field] == value, "{url}: {field} is {}, meant was {value}", got[field]);
        }
    }
    ensure!(feed.len() == expected.len(), "{} items, meant were {}", feed.len(), expected.len());
    Ok(())
}

/// Compares the database with what was meant.
pub fn compare_rows(
    rows: &BTreeMap<String, BTreeMap<String, Value>>,
    expected: &BTreeMap<String, Value>,
) -> anyhow::Result<()> {
    let feed = rows
        .iter()
        .map(|(url, row)| {
            let mut row = row.clone();
            // Lists are JSON text in SQLite.
            let images = row.get("image_urls").and_then(Value::as_str).context("images")?;
            let images: Value = serde_json::from_str(images)?;
            row.insert("image_urls".into(), images);
            Ok((url.clone(), Value::Object(row.into_iter().collect())))
        })
        .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    compare(&feed, expected)
}
