//! The law of a running crawl or stage: the policy file as it is now, and over it what commands have changed.
//!
//! Decides which policy is in force and what is told of it. Knows no clock; files are read by `watch`, commands come by `socket` or a
//! control queue. Invariants: what is in force is a policy that was read without a mistake; a file that became bad leaves the law as it
//! was, and is told; a change by command is durable before anybody is told that it holds.

mod driving;
mod socket;
mod status;
mod watch;

pub use socket::{LawClientError, SOCKET_FILE, ask};
pub use status::{ChangeRow, DomainRow, FileStatus, LawAnswer, LawStatus, Limit};

pub(crate) use driving::{LawEvent, Refused};
pub(crate) use socket::ControlSocket;
pub(crate) use watch::PolicyWatch;

use crate::error::CrawlError;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use weir_frontier::policy::{Change, Changes, Command, Policy, Stamp};
use weir_frontier::{DomainLaw, LawBook};
use weir_model::json::{Control, ControlMessage};
use weir_model::{ContentHash, Tick};

/// The document in the state that keeps what commands have changed.
pub(crate) const DOCUMENT: &str = "law.json";
/// A command whose clock is ahead by more than this is refused: it would outlast every later one.
const AHEAD_US: u64 = 300_000_000;

/// The policy that a crawl or stage begins with.
#[derive(Clone, Debug, Default)]
pub struct LawOptions {
    /// As it was read.
    pub policy: Policy,
    /// Its file, which is watched.
    pub file: Option<PolicyFile>,
}

/// A policy file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Of its bytes.
    pub hash: ContentHash,
}

impl From<Policy> for LawOptions {
    fn from(policy: Policy) -> LawOptions {
        LawOptions { policy, file: None }
    }
}

/// What is told to a driver about the law.
pub(crate) enum LawNews {
    /// The file has another content: the policy, or what is wrong.
    File(Result<(Policy, ContentHash), String>),
    /// Somebody asks on the socket, and waits for the answer.
    Asked(Box<ControlMessage>, Sender<LawAnswer>),
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The law is another one: to be kept durably, then put in force.
    Changed,
    /// It was heard before, or something later was said.
    Known,
}

/// See the module.
pub(crate) struct Law {
    policy: Policy,
    file: Option<PolicyFile>,
    /// What is wrong with the file as it is now.
    refused: Option<String>,
    changes: Changes,
    in_force: Arc<Policy>,
    /// Of what is in force, written as a file.
    hash: ContentHash,
}

impl Law {
    /// The law with what the state keeps of commands.
    pub fn open(options: &LawOptions, kept: Option<Vec<u8>>) -> Result<Law, CrawlError> {
        let changes = match kept {
            None => Changes::default(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                CrawlError::State(format!(
                    "the state's document {DOCUMENT} (what weir throttle and weir blacklist have changed) cannot be read: {error}; restore it \
                     from a backup, or remove doc-{DOCUMENT}.weir from the state directory to begin with the policy file alone"
                ))
            })?,
        };
        let in_force = changes.over(&options.policy).map_err(|error| {
            CrawlError::State(format!("the state's document {DOCUMENT} holds a law that cannot be read: {error}"))
        })?;
        let (policy, file) = (options.policy.clone(), options.file.clone());
        let hash = hash_of(&in_force);
        Ok(Law { policy, file, refused: None, changes, in_force: Arc::new(in_force), hash })
    }

    /// What the state of another stage keeps, put together with what is kept here.
    pub fn merge(&mut self, other: Changes) -> Result<(), CrawlError> {
        self.changes.merge(other);
        let in_force = self.changes.over(&self.policy);
        self.enforce(in_force.map_err(|error| CrawlError::Usage(format!("its law cannot be read: {error}")))?);
        Ok(())
    }

    /// What commands have changed.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    fn enforce(&mut self, in_force: Policy) {
        self.hash = hash_of(&in_force);
        self.in_force = Arc::new(in_force);
    }

    /// The law in force.
    pub fn book(&self) -> Arc<dyn LawBook> {
        Arc::clone(&self.in_force) as Arc<dyn LawBook>
    }

    /// What the state is to keep.
    pub fn document(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.changes).expect("names, numbers and texts are JSON")
    }

    /// The file as it is now. An error: the law stays.
    pub fn take_file(&mut self, read: Result<(Policy, ContentHash), String>) -> Result<bool, String> {
        let (policy, hash) = match read {
            Ok(read) => read,
            Err(error) => {
                self.refused = Some(error.clone());
                return Err(error);
            }
        };
        let in_force = self.changes.over(&policy).map_err(|error| error.to_string())?;
        if let Some(file) = &mut self.file {
            file.hash = hash;
        }
        (self.policy, self.refused) = (policy, None);
        let changed = in_force != *self.in_force;
        self.enforce(in_force);
        Ok(changed)
    }

    /// A command about the law; `None`: it is about something else.
    pub fn obey(&mut self, message: &ControlMessage, now: Tick) -> Option<Result<Taken, String>> {
        Some(self.apply(&change_of(message)?, now))
    }

    fn apply(&mut self, change: &Change, now: Tick) -> Result<Taken, String> {
        if change.at.0 > now.0 + AHEAD_US {
            return Err(format!(
                "the command was given {} s in the future by the clock here: set the clock of the machine that gave it, and give it again",
                (change.at.0 - now.0) / 1_000_000
            ));
        }
        let mut changes = self.changes.clone();
        if !changes.apply(change).map_err(|error| error.to_string())? {
            return Ok(Taken::Known);
        }
        let in_force = changes.over(&self.policy).map_err(|error| error.to_string())?;
        self.changes = changes;
        self.enforce(in_force);
        Ok(Taken::Changed)
    }

    /// What is told of it; `domains` are those of the frontier, and how many there are. With `in_force_bytes_max` 0 the law itself is
    /// left out.
    pub fn status(&self, domains: (Vec<DomainLaw>, usize), in_force_bytes_max: usize) -> LawStatus {
        let in_force = if in_force_bytes_max > 0 { Some(self.in_force.to_toml()) } else { None };
        let file = self.file.as_ref().map(|file| FileStatus {
            path: file.path.display().to_string(),
            hash: file.hash.to_string(),
            refused: self.refused.clone(),
        });
        LawStatus {
            file,
            in_force: in_force.filter(|text| text.len() <= in_force_bytes_max),
            hash: self.hash.to_string(),
            ..LawStatus::of(&self.changes, domains)
        }
    }
}

fn hash_of(policy: &Policy) -> ContentHash {
    ContentHash::of(policy.to_toml().as_bytes())
}

/// The change that a command says.
pub(crate) fn change_of(ControlMessage { id, command }: &ControlMessage) -> Option<Change> {
    let (at, command) = match command.clone() {
        Control::Policy { at, file, toml: Some(toml) } => (at, Command::Push { file, toml }),
        Control::Policy { at, .. } => (at, Command::Reset),
        Control::Throttle { at, domain, law } => {
            (at, Command::Law { domain, law: Some(law).filter(|law| !law.trim().is_empty()) })
        }
        Control::Blacklist { at, add, remove, reset } => (at, Command::Blacklist { add, remove, reset }),
        _ => return None,
    };
    Some(Change { at: Stamp(at, id.clone()), command })
}

/// Whether a command is right in itself: for those who send it to many.
///
/// # Errors
/// What is wrong with it.
pub fn check(message: &ControlMessage) -> Result<(), String> {
    let Some(change) = change_of(message) else { return Ok(()) };
    Changes::default().apply(&change).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick(1_795_262_400_000_000);

    fn set(at: u64, hits: u32) -> ControlMessage {
        let law = format!("hits = {hits}\nwindow = \"60s\"");
        ControlMessage { id: format!("c-{at}"), command: Control::Throttle { at, domain: Some("a.com".into()), law } }
    }

    fn hits(law: &Law) -> Option<u32> {
        law.book().limits("a.com").map(|limits| limits.hits)
    }

    #[test]
    fn a_file_that_became_bad_leaves_the_law_and_is_told_until_it_is_good_again() {
        let policy =
            |hits: u32| Policy::parse(&format!("[domains.\"a.com\"]\nhits = {hits}"), "l.toml").expect("right");
        let file = PolicyFile { path: "l.toml".into(), hash: ContentHash::of(b"1") };
        let mut law = Law::open(&LawOptions { policy: policy(3), file: Some(file) }, None).expect("a law");
        assert_eq!(law.take_file(Err("l.toml:1:1: wrong".into())), Err("l.toml:1:1: wrong".into()));
        assert_eq!(hits(&law), Some(3));
        let told = law.status((Vec::new(), 0), 1_000).file.expect("a file");
        assert_eq!(told.refused.as_deref(), Some("l.toml:1:1: wrong"));
        assert_eq!(law.take_file(Ok((policy(4), ContentHash::of(b"2")))), Ok(true));
        assert_eq!(hits(&law), Some(4));
        assert_eq!(law.status((Vec::new(), 0), 1_000).file.expect("a file").refused, None);
        assert_eq!(law.take_file(Ok((policy(4), ContentHash::of(b"3")))), Ok(false), "a remark was added");
    }

    #[test]
    fn what_commands_changed_is_kept_and_lies_over_every_later_file() {
        let mut law = Law::open(&LawOptions::default(), None).expect("a law");
        assert_eq!(law.obey(&set(5, 7), NOW), Some(Ok(Taken::Changed)));
        assert_eq!(law.obey(&set(4, 8), NOW), Some(Ok(Taken::Known)), "given before, heard later");
        let kept = law.document();
        let policy = Policy::parse("[domains.\"a.com\"]\nhits = 3", "l.toml").expect("right");
        let mut law = Law::open(&LawOptions::from(policy), Some(kept)).expect("a law");
        assert_eq!(hits(&law), Some(7));
        let command = Control::Throttle { at: 9, domain: Some("a.com".into()), law: String::new() };
        assert_eq!(law.obey(&ControlMessage { id: "c".into(), command }, NOW), Some(Ok(Taken::Changed)));
        assert_eq!(hits(&law), Some(3));
        let ahead = law.obey(&set(NOW.0 + 400_000_000, 1), NOW).expect("of the law").expect_err("refused");
        assert!(ahead.contains("400 s in the future"), "{ahead}");
        assert!(Law::open(&LawOptions::default(), Some(b"{".to_vec())).is_err());
    }
}
