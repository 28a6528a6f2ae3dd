//! One origin (scheme, host, port) of a domain and what its robots.txt says.
//!
//! Decides whether a URL may be fetched, not yet, or not at all. RFC 9309: 2xx are rules, 4xx and more than five redirects mean no
//! rules, everything else means that nothing may be fetched until it answers.

use crate::out::RobotsOutcome;
use crate::robots::{AgentRules, Robots};
use weir_model::{JobId, Reason, ReleaseId, Tick};
use xxhash_rust::xxh3::xxh3_64;

/// Redirects of a robots.txt that are followed (RFC 9309, 2.3.1.2).
pub(crate) const ROBOTS_REDIRECTS_MAX: u8 = 5;

/// An origin.
#[derive(Debug)]
pub(crate) struct Origin {
    pub key: u64,
    /// Its robots.txt.
    pub url: Box<str>,
    pub state: OriginState,
}

/// How far asking got.
#[derive(Debug)]
pub(crate) enum OriginState {
    /// Being asked.
    Asking(Asking),
    /// Answered; believed until `fresh_until`.
    Known { fetched_at: Tick, fresh_until: Tick, outcome: RobotsOutcome, rules: Vec<(Box<str>, AgentRules)> },
}

/// A robots.txt that is awaited.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// The job whose URL needs it.
    pub job: JobId,
    /// Where to ask: the origin's own, or where it redirects to.
    pub url: Box<str>,
    pub attempts: u8,
    pub redirects: u8,
    /// Whether a function died of it.
    pub lost: bool,
    /// Whether the server answered with an error: that is what it said, whatever became of later attempts.
    pub refused: bool,
    /// Not before.
    pub due: Tick,
    /// Under way as this release.
    pub release: Option<ReleaseId>,
}

/// What an origin says of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    Allowed,
    Forbidden(Reason),
    /// Its robots.txt is awaited.
    Awaited,
    /// Its robots.txt was never asked, or is no longer believed.
    Unknown,
}

impl Origin {
    pub fn fresh_until(&self) -> Tick {
        match &self.state {
            OriginState::Asking(_) => Tick::NEVER,
            OriginState::Known { fresh_until, .. } => *fresh_until,
        }
    }

    /// Makes the rules of an agent ready.
    pub fn compile(&mut self, agent: &str) {
        if let OriginState::Known { outcome: RobotsOutcome::Rules(body), rules, .. } = &mut self.state
            && rules.iter().all(|entry| *entry.0 != *agent)
        {
            rules.push((agent.into(), Robots::parse(body).rules_for(agent)));
        }
    }

    /// The delays that it asks of our agents.
    pub fn delays_us(&self) -> impl Iterator<Item = u64> {
        let rules = match &self.state {
            OriginState::Known { rules, .. } => rules.as_slice(),
            OriginState::Asking(_) => &[],
        };
        rules.iter().flat_map(|(_, rules)| {
            let rate = rules.request_rate().filter(|rate| rate.period.is_none() && rate.requests > 0);
            let pace = rate.map(|rate| u64::from(rate.seconds) * 1_000_000 / u64::from(rate.requests));
            rules.crawl_delay().map(|delay| delay.as_micros() as u64).into_iter().chain(pace)
        })
    }

    pub fn asking(&mut self) -> Option<&mut Asking> {
        match &mut self.state {
            OriginState::Asking(asking) => Some(asking),
            OriginState::Known { .. } => None,
        }
    }

    /// Bytes of its answer, about; nothing while it is asked.
    pub fn bytes(&self) -> usize {
        match &self.state {
            OriginState::Known { outcome: RobotsOutcome::Rules(body), rules, .. } => {
                256 + body.len() + rules.iter().map(|entry| entry.1.bytes()).sum::<usize>()
            }
            OriginState::Known { .. } => 256,
            OriginState::Asking(_) => 0,
        }
    }

    /// Whether its robots.txt is to be asked for now.
    pub fn is_due(&self, now: Tick) -> bool {
        matches!(&self.state, OriginState::Asking(asking) if asking.release.is_none() && asking.due <= now)
    }

    pub fn permission(&self, agent: &str, url: &str, now: Tick) -> Permission {
        match &self.state {
            OriginState::Asking(_) => Permission::Awaited,
            OriginState::Known { fresh_until, .. } if *fresh_until <= now => Permission::Unknown,
            OriginState::Known { outcome: RobotsOutcome::Missing, .. } => Permission::Allowed,
            OriginState::Known { outcome: RobotsOutcome::Rules(body), rules, .. } => {
                let allowed = match rules.iter().find(|entry| *entry.0 == *agent) {
                    Some((_, rules)) => rules.allowed(url),
                    None => Robots::parse(body).allowed(agent, url),
                };
                if allowed { Permission::Allowed } else { Permission::Forbidden(Reason::Robots) }
            }
            OriginState::Known { outcome: RobotsOutcome::Unreachable(class), .. } => {
                Permission::Forbidden(Reason::of_failure(*class))
            }
            OriginState::Known { outcome: RobotsOutcome::ServerError, .. } => Permission::Forbidden(Reason::Robots),
        }
    }
}

/// `https://host:port` of a URL in canonical form.
pub(crate) fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

/// The host of a URL in canonical form: no userinfo, an IPv6 address in brackets.
pub(crate) fn host_of(url: &str) -> &str {
    let origin = origin_of(url);
    let host = origin.find("://").map_or(origin, |at| &origin[at + 3..]);
    match host.rfind(':') {
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    }
}

pub(crate) fn origin_key(url: &str) -> u64 {
    xxh3_64(origin_of(url).as_bytes())
}

pub(crate) fn robots_url(url: &str) -> Box<str> {
    format!("{}/robots.txt", origin_of(url)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_into_origin_and_host() {
        for (url, origin, host) in [
            ("http://a.example/x?y", "http://a.example", "a.example"),
            ("https://a.example:8443/", "https://a.example:8443", "a.example"),
            ("http://[::1]/", "http://[::1]", "[::1]"),
            ("http://[::1]:81/x", "http://[::1]:81", "[::1]"),
        ] {
            assert_eq!((origin_of(url), host_of(url)), (origin, host));
        }
        assert_eq!(&*robots_url("http://a.example:81/x?y"), "http://a.example:81/robots.txt");
    }
}
