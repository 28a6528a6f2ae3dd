//! The policy: how often each domain may be asked, and which never.
//!
//! It comes from one file (`--policy FILE`, TOML or Scrapy Cluster's YAML), from commands (`Changes`) and built-in defaults; it
//! decides, and must not know queues, clocks or files. A blacklisted name covers every name under it and wins over every law.
//! Loopback has no law unless the file gives `[default]` or names the domain. A policy never changes: another one takes its place.
//!
//! Place for later: laws by spider type and egress become further keys of `[domains]`.

mod changes;
mod duration;
mod read;
mod yaml;

#[cfg(test)]
mod tests;

pub use changes::{Change, ChangeError, Changes, Command, Stamp};
pub use duration::{DurationError, WithUnit, parse_duration};
pub use read::PolicyError;

use crate::config::{LawBook, Limits};
use crate::domain;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// How often a domain may be asked: at most `hits * scale` in any `window_us`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// At least 1.
    pub hits: u32,
    /// Microseconds, at least 1,000.
    pub window_us: u64,
    /// Even spacing (window / hits) instead of burst and pause.
    pub moderated: bool,
    /// Above 0, at most 1.
    pub scale: f64,
}

impl Law {
    /// 60 hits in 60 s, evenly.
    pub const DEFAULT: Law = Law { hits: 60, window_us: 60_000_000, moderated: true, scale: 1.0 };
    /// `profile = "broad"`: 10 hits in 60 s, evenly.
    pub const BROAD: Law = Law { hits: 10, ..Law::DEFAULT };

    /// What the law comes to in whole hits: never more than it allows. Under one hit in a window the window grows instead.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let hits = f64::from(self.hits) * self.scale;
        // The product of a decimal scale may lie a hair under the whole number that is meant.
        let whole = (hits + 1e-9).floor();
        if whole >= 1.0 {
            return Limits { hits: whole as u32, window_us: self.window_us, moderated: self.moderated };
        }
        Limits { hits: 1, window_us: (self.window_us as f64 / hits).ceil() as u64, moderated: self.moderated }
    }
}

/// Which built-in law stands where the file gives none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// `Law::DEFAULT`.
    #[default]
    Standard,
    /// `Law::BROAD`: many domains, each asked rarely.
    Broad,
}

impl Profile {
    /// Its law.
    #[must_use]
    pub fn law(self) -> Law {
        match self {
            Profile::Standard => Law::DEFAULT,
            Profile::Broad => Law::BROAD,
        }
    }
}

/// A policy file, read; without one, the defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    profile: Profile,
    /// `[default]`, complete.
    default: Option<Law>,
    domains: BTreeMap<Box<str>, Law>,
    blacklist: BTreeSet<Box<str>>,
}

impl Policy {
    /// Reads a policy from TOML text; `file` is for messages.
    ///
    /// # Errors
    /// The first mistake, with its place and a hint.
    pub fn parse(text: &str, file: &str) -> Result<Policy, PolicyError> {
        read::policy(text, file)
    }

    /// As `parse`, of the file's format: `.yaml` and `.yml` are Scrapy Cluster's, everything else is TOML.
    ///
    /// # Errors
    /// As `parse`.
    pub fn parse_file(text: &str, file: &str) -> Result<Policy, PolicyError> {
        let extension = file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("yaml" | "yml") => yaml::policy(text, file),
            _ => read::policy(text, file),
        }
    }

    /// Whether the file names this domain itself.
    #[must_use]
    pub fn names(&self, domain: &str) -> bool {
        self.domains.contains_key(domain)
    }

    /// Whether the file gives a law for all others.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The domains with a law of their own, and the blacklisted names.
    pub fn named(&self) -> (impl Iterator<Item = &str>, impl Iterator<Item = &str>) {
        (self.domains.keys().map(|name| &**name), self.blacklist.iter().map(|name| &**name))
    }

    /// The law of a registered domain in lower case; `None`: unlimited.
    #[must_use]
    pub fn law_for(&self, domain: &str, is_loopback: bool) -> Option<Law> {
        match (self.domains.get(domain), self.default) {
            (Some(law), _) => Some(*law),
            (None, Some(law)) => Some(law),
            (None, None) if is_loopback => None,
            (None, None) => Some(self.profile.law()),
        }
    }

    /// True for a blacklisted name and every name under one.
    #[must_use]
    pub fn is_blacklisted(&self, host: &str) -> bool {
        if self.blacklist.is_empty() {
            return false;
        }
        let mut rest = host.strip_suffix('.').unwrap_or(host);
        loop {
            if self.blacklist.contains(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) if !domain::is_ip(rest) => rest = parent,
                _ => return false,
            }
        }
    }

    /// The policy as a TOML file that reads as the same policy.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let add = |out: &mut String, text: std::fmt::Arguments<'_>| {
            out.write_fmt(text).expect("a String takes everything");
        };
        if self.profile == Profile::Broad {
            out.push_str("profile = \"broad\"\n");
        }
        if !self.blacklist.is_empty() {
            let names: Vec<String> = self.blacklist.iter().map(|name| format!("{name:?}")).collect();
            add(&mut out, format_args!("blacklist = [{}]\n", names.join(", ")));
        }
        let named = self.domains.iter().map(|(name, law)| (format!("domains.{name:?}"), law));
        for (table, law) in self.default.iter().map(|law| ("default".to_owned(), law)).chain(named) {
            let window = WithUnit(Duration::from_micros(law.window_us));
            add(&mut out, format_args!("\n[{table}]\nhits = {}\nwindow = \"{window}\"\n", law.hits));
            add(&mut out, format_args!("moderated = {}\nscale = {:?}\n", law.moderated, law.scale));
        }
        out
    }
}

impl LawBook for Policy {
    fn limits(&self, domain: &str) -> Option<Limits> {
        self.law_for(domain, domain::is_loopback(domain)).map(|law| law.limits())
    }

    fn blacklisted(&self, domain: &str) -> bool {
        self.is_blacklisted(domain)
    }
}
