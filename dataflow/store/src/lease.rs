//! One owner of a state directory, without file locks, so that it holds on network file systems too.
//!
//! The owner is the file `owner-N.weir` with the highest N. A claim creates N+1 exclusively, so of two claims one wins; it is made
//! only when the owner before has given the directory back, is known to be dead (same boot, same process namespace, no such
//! process), or has not renewed for its whole time to live by the claimant's own clock. An owner that could not renew in time, or
//! finds a higher N, stops. Time and the knowledge about processes are arguments.

use crate::document;
use crate::error::At;
use crate::{Disk, OpenMode, StoreError, layout};
use std::sync::Arc;
use std::time::Duration;
use weir_model::{Tick, UnixMs};

/// The body of an owner file is always this long: renewing overwrites it in place.
const OWNER_BODY: usize = 960;
/// Waited for an owner whose file cannot be read (just created, or torn).
const UNKNOWN_TTL: Duration = Duration::from_secs(30);

/// Who holds a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Process.
    pub pid: u32,
    /// When it started, in the kernel's units: a process number is used again, the pair is not.
    pub pid_start: u64,
    /// Which process numbers these are (containers have their own).
    pub pid_namespace: String,
    /// Which boot of which machine; empty when unknown.
    pub boot: String,
    /// Machine, for people.
    pub host: String,
    /// Since when, for people.
    pub since: UnixMs,
    /// How long it holds without renewing.
    pub ttl: Duration,
    /// Rises with each renewal.
    pub counter: u64,
    /// Given back.
    pub released: bool,
}

/// What is known about the process of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It runs.
    Alive,
    /// It does not run, and never will again.
    Gone,
    /// Nothing: another machine, another container.
    Unknown,
}

impl Owner {
    /// This process, as Linux knows it.
    #[must_use]
    pub fn this_process(since: UnixMs, ttl: Duration) -> Owner {
        let line = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let pid = std::process::id();
        Owner {
            pid,
            pid_start: process_start(pid).unwrap_or_default(),
            pid_namespace: this_namespace(),
            boot: line("/proc/sys/kernel/random/boot_id"),
            host: line("/proc/sys/kernel/hostname"),
            since,
            ttl,
            counter: 0,
            released: false,
        }
    }

    /// What this machine knows about the owner: only of the same boot and process namespace.
    #[must_use]
    pub fn known_here(&self) -> Known {
        let here = Owner::this_process(UnixMs(0), Duration::ZERO);
        if self.boot.is_empty()
            || self.boot != here.boot
            || self.pid_namespace != here.pid_namespace
            || here.pid_namespace.is_empty()
        {
            return Known::Unknown;
        }
        if process_start(self.pid) == Some(self.pid_start) { Known::Alive } else { Known::Gone }
    }

    fn encode(&self) -> Vec<u8> {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(50).collect::<String>();
        let mut body = format!(
            "pid={}\npid_start={}\npid_namespace={}\nboot={}\nhost={}\nsince_ms={}\nttl_ms={}\ncounter={}\nreleased={}\n",
            self.pid,
            self.pid_start,
            plain(&self.pid_namespace),
            plain(&self.boot),
            plain(&self.host),
            self.since.0,
            self.ttl.as_millis(),
            self.counter,
            u8::from(self.released)
        )
        .into_bytes();
        assert!(body.len() <= OWNER_BODY, "three names of at most 50 characters and six numbers fit");
        body.resize(OWNER_BODY, b' ');
        document::encode("owner", &body)
    }

    fn decode(disk: &dyn Disk, name: &str, content: &[u8]) -> Option<Owner> {
        let body = document::decode(disk, name, "owner", content).ok()?;
        let text = std::str::from_utf8(body).ok()?;
        let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        Some(Owner {
            pid: field("pid")?.parse().ok()?,
            pid_start: field("pid_start")?.parse().ok()?,
            pid_namespace: field("pid_namespace")?.to_owned(),
            boot: field("boot")?.to_owned(),
            host: field("host")?.to_owned(),
            since: UnixMs(field("since_ms")?.parse().ok()?),
            ttl: Duration::from_millis(field("ttl_ms")?.parse().ok()?),
            counter: field("counter")?.parse().ok()?,
            released: field("released")? == "1",
        })
    }
}

/// The kernel's start time of a process (field 22 of its stat line); `None` when there is no such process.
fn process_start(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A zombie holds nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn this_namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default()
}

/// A way to ownership: `step` it until it is owned or refused.
pub struct Claim {
    disk: Arc<dyn Disk>,
    me: Owner,
    known: Box<dyn Fn(&Owner) -> Known + Send>,
    allowed: Vec<String>,
    /// Owner watched for a sign of life: its generation, its bytes, since when.
    watched: Option<(u64, Vec<u8>, Tick)>,
}

/// Where a claim stands.
#[derive(Debug)]
pub enum Claimed {
    /// The directory is ours.
    Owned(Lease),
    /// The owner before may still be alive: step again then.
    Wait {
        /// When.
        until: Tick,
        /// Who it was, for people.
        owner: String,
    },
}

impl Claim {
    /// A claim by this process.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, me: Owner) -> Claim {
        Claim::with_knowledge(disk, me, Box::new(Owner::known_here))
    }

    /// A claim with another way of knowing who is alive.
    #[must_use]
    pub fn with_knowledge(disk: Arc<dyn Disk>, me: Owner, known: Box<dyn Fn(&Owner) -> Known + Send>) -> Claim {
        Claim { disk, me, known, allowed: Vec::new(), watched: None }
    }

    /// Names of files and folders that may lie in a fresh directory although they are not ours (see `Options::allowed`).
    #[must_use]
    pub fn allowing(mut self, names: Vec<String>) -> Claim {
        self.allowed = names;
        self
    }

    /// Tries. `Err(Owned)` when the owner lives; a foreign directory is refused and nothing written into it.
    pub fn step(&mut self, now: Tick) -> Result<Claimed, StoreError> {
        layout::survey(&*self.disk, &self.allowed)?;
        loop {
            let newest = generations(&*self.disk)?.last().copied();
            if let Some(generation) = newest
                && let Some(waiting) = self.may_take(generation, now)?
            {
                return Ok(waiting);
            }
            if let Some(lease) = self.take(newest.unwrap_or(0) + 1, now)? {
                return Ok(Claimed::Owned(lease));
            }
        }
    }

    /// `None` when the directory may be taken from this owner now.
    fn may_take(&mut self, generation: u64, now: Tick) -> Result<Option<Claimed>, StoreError> {
        let name = layout::owner(generation);
        let Some(content) = document::read_whole(&*self.disk, &name)? else { return Ok(None) };
        let owner = Owner::decode(&*self.disk, &name, &content);
        if let Some(owner) = &owner {
            let known = if owner.released { Known::Gone } else { (self.known)(owner) };
            match known {
                Known::Gone => return Ok(None),
                Known::Alive => return Err(owned(&*self.disk, owner)),
                Known::Unknown => {}
            }
        }
        // A quarter more than its own time, for clocks that run apart.
        let ttl = owner.as_ref().map_or(UNKNOWN_TTL, |owner| owner.ttl);
        let patience = ttl + ttl / 4;
        let since = match &self.watched {
            Some((watched, bytes, since)) if *watched == generation && *bytes == content => *since,
            Some((watched, _, _)) if *watched == generation => match &owner {
                Some(owner) => return Err(owned(&*self.disk, owner)),
                None => now,
            },
            _ => now,
        };
        self.watched = Some((generation, content, since));
        let until = since.after(patience);
        if now >= until {
            return Ok(None);
        }
        let owner = owner.map_or("unknown".to_owned(), |owner| format!("process {} on {}", owner.pid, owner.host));
        Ok(Some(Claimed::Wait { until, owner }))
    }

    /// Creates the next generation; `None` when another claim was faster.
    fn take(&mut self, generation: u64, now: Tick) -> Result<Option<Lease>, StoreError> {
        let name = layout::owner(generation);
        let part = format!("{name}.{}{}.part", self.me.since.0, self.me.pid);
        match self.disk.create_exclusively(&part, &name, &self.me.encode()) {
            // Another claim was faster, and may have tidied up our part.
            Err(error) if matches!(error.kind(), std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotFound) => {
                return Ok(None);
            }
            result => result.at(&*self.disk, &name, "create")?,
        }
        let all = generations(&*self.disk)?;
        if all.last() != Some(&generation) {
            let removed = self.disk.remove(&name);
            removed.at(&*self.disk, &name, "remove")?;
            return Ok(None);
        }
        for old in all.into_iter().filter(|&old| old < generation) {
            let name = layout::owner(old);
            match self.disk.remove(&name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result.at(&*self.disk, &name, "remove")?,
            }
        }
        Ok(Some(Lease { disk: self.disk.clone(), me: self.me.clone(), generation, renewed: now }))
    }
}

/// Owner files, ascending.
fn generations(disk: &dyn Disk) -> Result<Vec<u64>, StoreError> {
    let names = disk.names().at(disk, "", "list")?;
    let mut all: Vec<u64> = names
        .iter()
        .filter_map(
            |name| if let layout::Kind::Owner(generation) = layout::kind(name) { Some(generation) } else { None },
        )
        .collect();
    all.sort_unstable();
    Ok(all)
}

fn owned(disk: &dyn Disk, owner: &Owner) -> StoreError {
    let since = jiff::Timestamp::from_millisecond(owner.since.0 as i64)
        .map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"));
    StoreError::Owned { path: disk.path(""), pid: owner.pid, host: owner.host.clone(), since }
}

/// The right to write to a state directory, for as long as it is renewed.
#[derive(Debug)]
pub struct Lease {
    disk: Arc<dyn Disk>,
    me: Owner,
    generation: u64,
    renewed: Tick,
}

impl Lease {
    /// Says that this process still lives. `now` is read before the call. `Err(LeaseLost)`: stop at once, write nothing more.
    pub fn renew(&mut self, now: Tick) -> Result<(), StoreError> {
        self.check(now)?;
        let newest = generations(&*self.disk)?.last().copied();
        if newest != Some(self.generation) {
            return Err(self.lost("another process took the directory over".to_owned()));
        }
        self.me.counter += 1;
        self.overwrite()?;
        self.renewed = now;
        Ok(())
    }

    /// `Err(LeaseLost)` when the last renewal is too long ago. Costs no I/O: ask before every group.
    pub fn check(&self, now: Tick) -> Result<(), StoreError> {
        if now.since(self.renewed) < self.me.ttl {
            return Ok(());
        }
        Err(self.lost(format!(
            "not renewed for {:.1} s, allowed are {:.1} s",
            now.since(self.renewed).as_secs_f64(),
            self.me.ttl.as_secs_f64()
        )))
    }

    /// When to renew next: after a third of the time to live.
    #[must_use]
    pub fn next_renewal(&self) -> Tick {
        self.renewed.after(self.me.ttl / 3)
    }

    /// Gives the directory back: the next owner need not wait.
    pub fn release(mut self) -> Result<(), StoreError> {
        self.me.released = true;
        self.overwrite()
    }

    fn overwrite(&self) -> Result<(), StoreError> {
        let name = layout::owner(self.generation);
        let mut file = self.disk.open(&name, OpenMode::ReadWrite).at(&*self.disk, &name, "open")?;
        file.write_at(0, &self.me.encode()).at(&*self.disk, &name, "write")?;
        file.sync().at(&*self.disk, &name, "sync")
    }

    fn lost(&self, why: String) -> StoreError {
        StoreError::LeaseLost { path: self.disk.path(""), why }
    }
}
