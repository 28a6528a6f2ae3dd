//! robots.txt by RFC 9309, with the tolerance of Google's parser and the extensions that sites use.
//!
//! It decides what an agent may fetch, how slowly, and where the sitemaps are. It must not know how the file was fetched, nor the
//! time. Invariants: any bytes are a robots.txt; parsing is linear in the file, a check linear in the rules plus the path for each
//! rule, whatever the number of `*`; lines that the RFC does not define (Crawl-delay, Sitemap ...) never end a group.
//!
//! Where RFC 9309 leaves room: a group is an agent's when its product token equals the agent's, letter case aside, digits included
//! (`MJ12bot`); all groups of an agent are one; without one, those of `*` are. The longest pattern wins, counted as it is written
//! in the file with non-ASCII escaped; at equal length, allow. `Allow: /dir/index.html` allows `/dir/` too, as Google does it.

mod answer;
mod line;
mod pattern;
mod rules;

#[cfg(test)]
mod tests;

pub use answer::{FAILURE_TTL, RobotsAnswer, TTL};
pub use rules::AgentRules;

use line::{Key, key_and_value, lines};
use pattern::Pattern;
use std::time::Duration;

/// Bytes of a robots.txt that are read; RFC 9309 asks for at least this many.
pub const ROBOTS_BYTES_MAX: usize = 500 * 1024;
/// Sitemaps kept of one file.
const SITEMAPS_MAX: usize = 10_000;
/// The longest Crawl-delay that is believed to be meant.
const CRAWL_DELAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// A time of day, as Request-rate and Visit-time give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

/// `Request-rate: 1/10s 1820-1940`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRate {
    /// At most so many requests ...
    pub requests: u32,
    /// ... in so many seconds.
    pub seconds: u32,
    /// Only between these times of day (UTC).
    pub period: Option<(TimeOfDay, TimeOfDay)>,
}

/// Who an agent line names, and what its own extension lines say.
#[derive(Clone, Debug)]
struct AgentEntry {
    /// The whole value in lower case.
    name: Box<str>,
    /// Its product token is so long.
    token_bytes: u32,
    group: u32,
    crawl_delay: Option<Duration>,
    request_rate: Option<RequestRate>,
    visit_time: Option<(TimeOfDay, TimeOfDay)>,
}

#[derive(Clone, Debug)]
struct Rule {
    group: u32,
    allow: bool,
    pattern: Pattern,
}

/// A parsed robots.txt, all agents.
#[derive(Clone, Debug, Default)]
pub struct Robots {
    agents: Vec<AgentEntry>,
    /// In the order of the file, so also of their groups.
    rules: Vec<Rule>,
    sitemaps: Vec<Box<str>>,
    host: Option<Box<str>>,
}

impl Robots {
    /// Parses the body of a robots.txt; what cannot be read is ignored line by line.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Robots {
        let mut robots = Robots::default();
        let mut group = 0;
        // Agents of the current group, and those that the next extension line is about.
        let (mut group_start, mut extension_start) = (0, 0);
        let mut group_has_rules = false;
        let mut after_extension = false;
        for text in lines(bytes) {
            let Some((key, value)) = key_and_value(text) else { continue };
            match key {
                Key::UserAgent => {
                    if group_has_rules {
                        group += 1;
                        group_start = robots.agents.len();
                        group_has_rules = false;
                    }
                    if group_start == robots.agents.len() || after_extension {
                        extension_start = robots.agents.len();
                    }
                    after_extension = false;
                    robots.agents.push(AgentEntry::new(value, group));
                }
                Key::Allow | Key::Disallow => {
                    after_extension = true;
                    if group_start < robots.agents.len() {
                        group_has_rules = true;
                        robots.add_rule(group, key == Key::Allow, value);
                    }
                }
                Key::Sitemap if robots.sitemaps.len() < SITEMAPS_MAX && !value.is_empty() => {
                    robots.sitemaps.push(String::from_utf8_lossy(value).into());
                }
                Key::Sitemap => {}
                Key::Host => robots.host = Some(String::from_utf8_lossy(value).into()),
                Key::CrawlDelay | Key::RequestRate | Key::VisitTime => {
                    after_extension = true;
                    let text = String::from_utf8_lossy(value);
                    for agent in &mut robots.agents[extension_start..] {
                        agent.extend(key, &text);
                    }
                }
            }
        }
        robots
    }

    fn add_rule(&mut self, group: u32, allow: bool, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.rules.push(Rule { group, allow, pattern: Pattern::new(value) });
        let last_segment = memchr::memrchr(b'/', value).unwrap_or(0);
        if allow && value[last_segment..].starts_with(b"/index.htm") {
            let mut directory = value[..=last_segment].to_vec();
            directory.push(b'$');
            self.rules.push(Rule { group, allow, pattern: Pattern::new(&directory) });
        }
    }

    /// The entries that apply to an agent: its own, else those of `*`.
    fn entries<'s>(&'s self, agent: &str) -> impl Iterator<Item = &'s AgentEntry> + Clone {
        let agent = agent.trim().to_lowercase();
        let token_bytes = token_bytes(&agent);
        let own = move |entry: &AgentEntry| entry.is(&agent, token_bytes);
        let specific = self.agents.iter().any(&own);
        self.agents.iter().filter(move |entry| if specific { own(entry) } else { entry.is_any() })
    }

    /// The rules for one agent, compiled: what a crawl keeps.
    #[must_use]
    pub fn rules_for(&self, agent: &str) -> AgentRules {
        let mut groups: Vec<u32> = self.entries(agent).map(|entry| entry.group).collect();
        groups.dedup();
        let applies = |rule: &&Rule| groups.binary_search(&rule.group).is_ok();
        AgentRules::compile(self.rules.iter().filter(applies), self.crawl_delay(agent), self.request_rate(agent))
    }

    /// Whether the agent may fetch a URL, or a path and query.
    ///
    /// For many URLs of one agent keep `rules_for`.
    #[must_use]
    pub fn allowed(&self, agent: &str, url: &str) -> bool {
        self.rules_for(agent).allowed(url)
    }

    /// The longest delay between two requests that the file asks of the agent.
    #[must_use]
    pub fn crawl_delay(&self, agent: &str) -> Option<Duration> {
        self.entries(agent).filter_map(|entry| entry.crawl_delay).max()
    }

    /// The slowest request rate that the file asks of the agent.
    #[must_use]
    pub fn request_rate(&self, agent: &str) -> Option<RequestRate> {
        let pace = |rate: &RequestRate| u64::from(rate.seconds) * 1_000_000 / u64::from(rate.requests);
        self.entries(agent).filter_map(|entry| entry.request_rate).max_by_key(pace)
    }

    /// The times of day between which the agent may come.
    #[must_use]
    pub fn visit_time(&self, agent: &str) -> Option<(TimeOfDay, TimeOfDay)> {
        self.entries(agent).filter_map(|entry| entry.visit_time).last()
    }

    /// The sitemaps, in order.
    pub fn sitemaps(&self) -> impl Iterator<Item = &str> {
        self.sitemaps.iter().map(AsRef::as_ref)
    }

    /// The preferred host.
    #[must_use]
    pub fn preferred_host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

impl AgentEntry {
    fn new(value: &[u8], group: u32) -> AgentEntry {
        let name = String::from_utf8_lossy(value).to_lowercase().into_boxed_str();
        let token_bytes = token_bytes(&name) as u32;
        AgentEntry { name, token_bytes, group, crawl_delay: None, request_rate: None, visit_time: None }
    }

    fn is_any(&self) -> bool {
        let mut bytes = self.name.bytes();
        bytes.next() == Some(b'*') && bytes.next().is_none_or(|b| b.is_ascii_whitespace())
    }

    fn is(&self, agent: &str, agent_token_bytes: usize) -> bool {
        let token = &self.name.as_bytes()[..self.token_bytes as usize];
        !agent.is_empty()
            && (*self.name == *agent || (!token.is_empty() && *token == agent.as_bytes()[..agent_token_bytes]))
    }

    fn extend(&mut self, key: Key, value: &str) {
        match key {
            Key::CrawlDelay => {
                self.crawl_delay = line::seconds(value).map(|d| d.min(CRAWL_DELAY_MAX)).or(self.crawl_delay)
            }
            Key::RequestRate => self.request_rate = line::request_rate(value).or(self.request_rate),
            Key::VisitTime => self.visit_time = line::visit_time(value).or(self.visit_time),
            _ => {}
        }
    }
}

/// The length of the product token at the start of an agent's name. Letters and digits of any script count, so that what the RFC
/// does not allow is at least not taken for something else.
fn token_bytes(name: &str) -> usize {
    name.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_'))).unwrap_or(name.len())
}

/// True when the text is a product token as RFC 9309 defines it (letters, `-`, `_`), and so fit for `User-agent` lines.
#[must_use]
pub fn valid_agent_token(agent: &str) -> bool {
    !agent.is_empty() && agent.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_'))
}
