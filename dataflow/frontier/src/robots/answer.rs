//! What asking for a robots.txt came to (RFC 9309, section 2.3.1).

use super::{AgentRules, Robots};
use std::time::Duration;

/// How long an answer is believed.
pub const TTL: Duration = Duration::from_secs(24 * 3600);
/// How long an unreachable robots.txt forbids everything before it is asked for again.
pub const FAILURE_TTL: Duration = Duration::from_secs(3600);

/// What a site's robots.txt means for a crawl.
#[derive(Clone, Debug)]
pub enum RobotsAnswer {
    /// It was read.
    Rules(Robots),
    /// There is none: everything is allowed.
    AllowAll,
    /// It could not be asked for: nothing is allowed until it can.
    DisallowAll,
}

impl RobotsAnswer {
    /// The meaning of an HTTP answer. Redirects are the caller's: a 3xx here was one too many, and counts as "there is none". 429
    /// asks to come later, so it is no "there is none".
    #[must_use]
    pub fn from_status(status: u16, body: &[u8]) -> RobotsAnswer {
        match status {
            200..=299 => RobotsAnswer::Rules(Robots::parse(body)),
            429 => RobotsAnswer::DisallowAll,
            300..=499 => RobotsAnswer::AllowAll,
            _ => RobotsAnswer::DisallowAll,
        }
    }

    /// The meaning of no answer at all (no address, no connection, a time-out).
    #[must_use]
    pub fn unreachable() -> RobotsAnswer {
        RobotsAnswer::DisallowAll
    }

    /// The rules for one agent; `None` when nothing is allowed.
    #[must_use]
    pub fn rules_for(&self, agent: &str) -> Option<AgentRules> {
        match self {
            RobotsAnswer::Rules(robots) => Some(robots.rules_for(agent)),
            RobotsAnswer::AllowAll => Some(AgentRules::allow_all()),
            RobotsAnswer::DisallowAll => None,
        }
    }

    /// Whether the agent may fetch a URL, or a path and query.
    #[must_use]
    pub fn allowed(&self, agent: &str, url: &str) -> bool {
        match self {
            RobotsAnswer::Rules(robots) => robots.allowed(agent, url),
            RobotsAnswer::AllowAll => true,
            RobotsAnswer::DisallowAll => false,
        }
    }

    /// How long it is believed.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        match self {
            RobotsAnswer::DisallowAll => FAILURE_TTL,
            _ => TTL,
        }
    }
}
