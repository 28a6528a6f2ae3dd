//! The rules for one agent, as compact as they can be: what a crawl keeps of a robots.txt.

use super::pattern::{compare_spelling, is_compare_spelling, matches, path_and_query};
use super::{RequestRate, Rule};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// End of its text in `AgentRules::text` (it begins where the one before ends).
    end: u32,
    allow: bool,
    anchored: bool,
}

/// What a robots.txt says to one agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentRules {
    /// All patterns in comparison spelling, the most specific first: the first that matches decides.
    text: Box<[u8]>,
    rules: Box<[Span]>,
    crawl_delay: Option<Duration>,
    request_rate: Option<RequestRate>,
}

impl AgentRules {
    /// Nothing is forbidden.
    #[must_use]
    pub fn allow_all() -> AgentRules {
        AgentRules::default()
    }

    pub(super) fn compile<'r>(
        rules: impl Iterator<Item = &'r Rule>,
        crawl_delay: Option<Duration>,
        request_rate: Option<RequestRate>,
    ) -> AgentRules {
        let mut ordered: Vec<&Rule> = rules.collect();
        let rank = |rule: &Rule| (u32::MAX - rule.pattern.length, !rule.allow);
        ordered.sort_by(|a, b| (rank(a), &a.pattern.text).cmp(&(rank(b), &b.pattern.text)));
        ordered.dedup_by(|a, b| a.pattern == b.pattern && a.allow == b.allow);
        // Without a Disallow nothing can be forbidden.
        if ordered.iter().all(|rule| rule.allow) {
            ordered.clear();
        }
        let mut text = Vec::with_capacity(ordered.iter().map(|rule| rule.pattern.text.len()).sum());
        let mut spans = Vec::with_capacity(ordered.len());
        for rule in ordered {
            text.extend_from_slice(&rule.pattern.text);
            spans.push(Span { end: text.len() as u32, allow: rule.allow, anchored: rule.pattern.anchored });
        }
        AgentRules { text: text.into(), rules: spans.into(), crawl_delay, request_rate }
    }

    /// Whether the agent may fetch a URL, or a path and query. robots.txt itself may always be fetched.
    #[must_use]
    pub fn allowed(&self, url: &str) -> bool {
        if self.rules.is_empty() {
            return true;
        }
        let (needs_slash, path) = path_and_query(url);
        if path == "/robots.txt" {
            return true;
        }
        if !needs_slash && is_compare_spelling(path.as_bytes()) {
            return self.decide(path.as_bytes());
        }
        let mut spelled = Vec::with_capacity(path.len() + 1);
        if needs_slash {
            spelled.push(b'/');
        }
        compare_spelling(path.as_bytes(), false, &mut spelled);
        self.decide(&spelled)
    }

    fn decide(&self, path: &[u8]) -> bool {
        let mut start = 0;
        for rule in &self.rules {
            let end = rule.end as usize;
            let text = &self.text[start..end];
            start = end;
            // Most rules fail in the letter after the slash: the cheapest question first.
            if let ([_, wanted, ..], [_, found, ..]) = (text, path)
                && wanted != found
                && *wanted != b'*'
                && text[0] != b'*'
            {
                continue;
            }
            if matches(text, rule.anchored, path) {
                return rule.allow;
            }
        }
        true
    }

    /// Number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// True when nothing is forbidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The delay between two requests that is asked for.
    #[must_use]
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// The request rate that is asked for.
    #[must_use]
    pub fn request_rate(&self) -> Option<RequestRate> {
        self.request_rate
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<AgentRules>() + self.text.len() + self.rules.len() * size_of::<Span>()
    }
}
