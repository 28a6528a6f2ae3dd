//! What is told of the law in force: to `weir throttle list`, by the socket or a stage's status. Only shapes.

use serde::{Deserialize, Serialize};
use weir_frontier::policy::Changes;
use weir_frontier::{DomainLaw, Limits};

/// The law in force and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LawStatus {
    /// The policy file that is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileStatus>,
    /// The policy that was pushed in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
    /// What commands have changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeRow>,
    /// All of it as a policy file; left out when it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<String>,
    /// Of that text: two stages with the same hash have the same law.
    pub hash: String,
    /// Domains of the crawl, those with the longest queues first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainRow>,
    /// How many domains are known.
    #[serde(default)]
    pub domains_known: u64,
}

/// A policy file that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileStatus {
    /// Where it lies.
    pub path: String,
    /// Of the content in force.
    pub hash: String,
    /// What is wrong with the content that came later; the one before is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Something that a command has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeRow {
    /// The law of all domains without one of their own, as the policy file writes it.
    Default(String),
    /// The law of a domain.
    Domain(String, String),
    /// On the blacklist.
    Blacklisted(String),
    /// Off the blacklist, whatever the file says.
    Lifted(String),
}

/// A domain of the crawl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRow {
    /// Its name.
    pub name: String,
    /// Its law; none: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// What its robots.txt asks for between two requests; 0: nothing.
    pub crawl_delay_ms: u64,
    /// Never asked.
    pub blacklisted: bool,
    /// URLs that wait.
    pub queued: u64,
}

/// At most `hits` in any window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// At least 1; `scale` is in it.
    pub hits: u32,
    /// In milliseconds.
    pub window_ms: u64,
    /// Evenly spaced.
    pub moderated: bool,
}

impl From<Limits> for Limit {
    fn from(limits: Limits) -> Limit {
        let Limits { hits, window_us, moderated } = limits;
        Limit { hits, window_ms: window_us.div_ceil(1_000), moderated }
    }
}

/// What the socket answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LawAnswer {
    /// The protocol's version.
    pub v: u32,
    /// Why nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The law is another one now. False: the command was heard before, or something later was said.
    #[serde(default)]
    pub changed: bool,
    /// The law now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<LawStatus>,
}

/// The protocol's version.
pub(super) const VERSION: u32 = 1;

impl LawAnswer {
    /// Nothing was done.
    pub(crate) fn error(error: String) -> LawAnswer {
        LawAnswer { v: VERSION, error: Some(error), ..LawAnswer::default() }
    }

    /// What holds now.
    pub(crate) fn law(law: LawStatus, changed: bool) -> LawAnswer {
        LawAnswer { v: VERSION, error: None, changed, law: Some(law) }
    }
}

impl LawStatus {
    /// What commands have changed, and how the domains stand.
    pub(super) fn of(changes: &Changes, (domains, domains_known): (Vec<DomainLaw>, usize)) -> LawStatus {
        let default = changes.default_law().map(|law| ChangeRow::Default(law.to_owned()));
        let named = changes.domains().map(|(name, law)| ChangeRow::Domain(name.to_owned(), law.to_owned()));
        let blacklist = changes.blacklist().map(|(name, listed)| match listed {
            true => ChangeRow::Blacklisted(name.to_owned()),
            false => ChangeRow::Lifted(name.to_owned()),
        });
        let row = |domain: DomainLaw| DomainRow {
            name: domain.name.into(),
            limit: domain.limits.map(Limit::from),
            crawl_delay_ms: domain.crawl_delay_us.div_ceil(1_000),
            blacklisted: domain.blacklisted,
            queued: domain.queued,
        };
        LawStatus {
            pushed: changes.pushed().map(str::to_owned),
            changes: default.into_iter().chain(named).chain(blacklist).collect(),
            domains: domains.into_iter().map(row).collect(),
            domains_known: domains_known as u64,
            ..LawStatus::default()
        }
    }
}
