//! What an invocation did: one log line, and one document of metrics in CloudWatch's embedded format.

use weir_model::{FetchOutcome, Report, UnixMs};

/// Troubles that a log line tells in full; the rest is counted.
const TROUBLES_MAX: usize = 3;

/// Counters of one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The invocation's name.
    pub request: String,
    /// Messages received.
    pub messages: u64,
    /// Messages that are to come again.
    pub failed: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Copies of messages that somebody else works on.
    pub claims_lost: u64,
    /// Messages that could not be claimed.
    pub claims_failed: u64,
    /// Spiders asked for.
    pub spiders_loaded: u64,
    /// Releases in claimed messages.
    pub releases: u64,
    /// Answers: pages, redirects, robots.txt.
    pub answered: u64,
    /// Requests without a usable answer, or pages that could not be processed.
    pub gone_wrong: u64,
    /// Not sent.
    pub unfetched: u64,
    /// Items found.
    pub items: u64,
    /// Links found.
    pub links: u64,
    /// Bytes of bodies on the wire.
    pub wire_bytes: u64,
    /// Messages of reports.
    pub report_messages: u64,
    /// Their bytes.
    pub report_bytes: u64,
    /// How long it took.
    pub duration_us: u64,
    /// What went wrong, the first few.
    pub troubles: Vec<String>,
    /// How much went wrong in all.
    pub trouble_count: u64,
}

impl Figures {
    pub(super) fn trouble(&mut self, what: String) {
        self.trouble_count += 1;
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(what);
        }
    }

    pub(super) fn count(&mut self, report: &Report) {
        match &report.outcome {
            FetchOutcome::Response { .. } | FetchOutcome::Redirect { .. } | FetchOutcome::Robots { .. } => {
                self.answered += 1;
            }
            FetchOutcome::Failed { .. } | FetchOutcome::Unreadable { .. } => self.gone_wrong += 1,
            FetchOutcome::Unfetched { .. } => self.unfetched += 1,
        }
        self.items += report.items.len() as u64;
        self.links += report.links.len() as u64;
        self.wire_bytes += u64::from(report.wire_bytes);
    }

    /// Counters with the names that logs and metrics give them, and their units.
    fn named(&self) -> [(&'static str, &'static str, u64); 15] {
        [
            ("Messages", "Count", self.messages),
            ("MessagesFailed", "Count", self.failed),
            ("ClaimsLost", "Count", self.claims_lost),
            ("ClaimsFailed", "Count", self.claims_failed),
            ("SpidersLoaded", "Count", self.spiders_loaded),
            ("Releases", "Count", self.releases),
            ("Answered", "Count", self.answered),
            ("GoneWrong", "Count", self.gone_wrong),
            ("Unfetched", "Count", self.unfetched),
            ("Items", "Count", self.items),
            ("Links", "Count", self.links),
            ("WireBytes", "Bytes", self.wire_bytes),
            ("ReportMessages", "Count", self.report_messages),
            ("ReportBytes", "Bytes", self.report_bytes),
            ("Duration", "Microseconds", self.duration_us),
        ]
    }

    /// One line for people and their searches.
    #[must_use]
    pub fn log_line(&self) -> String {
        use std::fmt::Write;
        let level = if self.trouble_count > 0 { "warn" } else { "info" };
        let mut line = format!("level={level} request={}", self.request);
        for (name, _, value) in self.named() {
            write!(line, " {}={value}", snake(name)).expect("writing to a string");
        }
        if self.trouble_count > 0 {
            let troubles = self.troubles.join("; ").replace('\n', " ");
            write!(line, " troubles={} trouble={troubles:?}", self.trouble_count).expect("writing to a string");
        }
        line
    }

    /// One document for CloudWatch: namespace `weir`, dimension `Function`.
    #[must_use]
    pub fn metrics(&self, at: UnixMs, function: &str) -> String {
        let named = self.named();
        let metrics: Vec<_> =
            named.iter().map(|(name, unit, _)| serde_json::json!({ "Name": name, "Unit": unit })).collect();
        let directive = serde_json::json!({ "Namespace": "weir", "Dimensions": [["Function"]], "Metrics": metrics });
        let mut document = serde_json::json!({
            "_aws": { "Timestamp": at.0, "CloudWatchMetrics": [directive] },
            "Function": function,
            "request": self.request,
        });
        for (name, _, value) in named {
            document[name] = value.into();
        }
        document.to_string()
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_one_line_and_one_document() {
        let mut figures = Figures { request: "r-1".into(), messages: 2, report_bytes: 700, ..Figures::default() };
        assert!(figures.log_line().starts_with("level=info request=r-1 messages=2 messages_failed=0 "));
        for number in 0..5 {
            figures.trouble(format!("trouble {number}\nsecond line"));
        }
        let line = figures.log_line();
        assert!(!line.contains('\n') && line.contains("troubles=5") && line.contains("trouble 2"), "{line}");
        assert!(!line.contains("trouble 3"), "only the first few: {line}");
        let document: serde_json::Value =
            serde_json::from_str(&figures.metrics(UnixMs(1_795_000_000_000), "weir-fetch")).expect("JSON");
        assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0][0], "Function");
        for metric in document["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list") {
            assert!(document[metric["Name"].as_str().expect("a name")].is_u64(), "{metric} has a value");
        }
        assert_eq!(document["ReportBytes"], 700);
    }
}
