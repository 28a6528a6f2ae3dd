//! The law as people and scripts read it: a row a domain, with where its law comes from.

use super::Answer;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;
use weir_driver::law::{ChangeRow, DomainRow, LawStatus, Limit};
use weir_frontier::LawBook;
use weir_frontier::policy::{Policy, WithUnit};

/// Domains in a list that nobody asked for by name.
const ROWS_MAX: usize = 1_000;

/// A domain and its law.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    domain: String,
    blacklisted: bool,
    limit: Option<Limit>,
    /// What its robots.txt asks for between two requests, in milliseconds.
    crawl_delay_ms: u64,
    /// `command`, `file FILE`, `default ...`, `built in`, `robots.txt`.
    from: String,
    /// URLs that wait, all stages together.
    queued: u64,
}

/// A name that is not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    pub name: String,
    pub from: String,
}

/// The law of one part, readable.
struct Reading<'a> {
    law: &'a LawStatus,
    policy: Policy,
}

impl<'a> Reading<'a> {
    fn of(law: &'a LawStatus) -> Reading<'a> {
        // It was written by `Policy::to_toml`; what another version wrote is read as far as it goes: not at all.
        let text = law.in_force.as_deref().unwrap_or_default();
        Reading { law, policy: Policy::parse(text, "the law in force").unwrap_or_default() }
    }

    /// What the file, or the pushed policy, is called.
    fn base(&self) -> String {
        match (&self.law.pushed, &self.law.file) {
            (Some(pushed), _) => format!("pushed {pushed}"),
            (None, Some(file)) => format!("file {}", file.path),
            (None, None) => "built in".to_owned(),
        }
    }

    fn from(&self, domain: &str) -> String {
        let named = |row: &ChangeRow| matches!(row, ChangeRow::Domain(name, _) if name == domain);
        let default = |row: &ChangeRow| matches!(row, ChangeRow::Default(_));
        if self.law.changes.iter().any(named) {
            "command".to_owned()
        } else if self.policy.names(domain) {
            self.base()
        } else if self.law.changes.iter().any(default) {
            "default by command".to_owned()
        } else if self.policy.has_default() {
            format!("default of {}", self.base())
        } else if self.policy.limits(domain).is_none() {
            "loopback has no law".to_owned()
        } else {
            "built in".to_owned()
        }
    }

    fn barred_by(&self, name: &str) -> String {
        let covers = |listed: &str| name == listed || name.strip_suffix(listed).is_some_and(|rest| rest.ends_with('.'));
        let listed = |row: &ChangeRow| matches!(row, ChangeRow::Blacklisted(listed) if covers(listed));
        if self.law.changes.iter().any(listed) { "command".to_owned() } else { self.base() }
    }

    fn row(&self, domain: &str, known: Option<&DomainRow>) -> Row {
        let limit = match known {
            Some(known) => known.limit,
            None => self.policy.limits(domain).map(Limit::from),
        };
        let blacklisted = known.map_or_else(|| self.policy.is_blacklisted(domain), |known| known.blacklisted);
        let crawl_delay_ms = known.map_or(0, |known| known.crawl_delay_ms);
        let pace = limit.map_or(0, |limit| limit.window_ms / u64::from(limit.hits.max(1)));
        let from = if blacklisted {
            self.barred_by(domain)
        } else if crawl_delay_ms > pace {
            "robots.txt".to_owned()
        } else {
            self.from(domain)
        };
        let queued = known.map_or(0, |known| known.queued);
        Row { domain: domain.to_owned(), blacklisted, limit, crawl_delay_ms, from, queued }
    }
}

/// The rows of some domains, or of all that a law or the crawl names.
fn rows(answer: &Answer, domains: &[String]) -> Vec<Row> {
    let mut found: BTreeMap<String, Row> = BTreeMap::new();
    for (_, law) in &answer.parts {
        let reading = Reading::of(law);
        let known: BTreeMap<&str, &DomainRow> = law.domains.iter().map(|row| (row.name.as_str(), row)).collect();
        let names: BTreeSet<&str> = if domains.is_empty() {
            let (laws, barred) = reading.policy.named();
            laws.chain(barred).chain(known.keys().copied()).take(ROWS_MAX).collect()
        } else {
            domains.iter().map(String::as_str).collect()
        };
        for name in names {
            let row = reading.row(name, known.get(name).copied());
            // Of several stages one owns the domain and knows it; the others know the law alone.
            match found.get_mut(name) {
                Some(old) if known.contains_key(name) => {
                    let queued = old.queued + row.queued;
                    *old = Row { queued, ..row };
                }
                Some(_) => {}
                None => {
                    found.insert(name.to_owned(), row);
                }
            }
        }
    }
    found.into_values().collect()
}

/// A domain's law in a few words, with where it comes from.
pub fn law_of(answer: &Answer, domain: &str) -> String {
    match rows(answer, &[domain.to_lowercase()]).first() {
        Some(row) => format!("{} ({})", law_text(row.limit, row.blacklisted), row.from),
        None => "the law of all domains".to_owned(),
    }
}

/// For a script.
pub fn json(answer: &Answer, domains: &[String]) -> serde_json::Value {
    let parts: Vec<_> = answer.parts.iter().map(|(name, law)| serde_json::json!({ "of": name, "law": law })).collect();
    serde_json::json!({ "domains": rows(answer, domains), "parts": parts, "silent_stages": answer.silent })
}

/// For a person.
pub fn text(answer: &Answer, domains: &[String]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let hashes: BTreeSet<&str> = answer.parts.iter().map(|(_, law)| law.hash.as_str()).collect();
    for (name, law) in &answer.parts {
        let base = Reading::of(law).base();
        let _ =
            writeln!(out, "{name}: {base}, {} changes by command, {} domains", law.changes.len(), law.domains_known);
        if let Some(refused) = law.file.as_ref().and_then(|file| file.refused.as_ref()) {
            let _ = writeln!(out, "  the file as it is now is not used: {refused}");
        }
    }
    if hashes.len() > 1 {
        let _ = writeln!(
            out,
            "the stages have different laws: give them the same policy file, and push or reset once more"
        );
    }
    if !answer.silent.is_empty() {
        let silent: Vec<String> = answer.silent.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            out,
            "stages {} have not answered: what is shown of them is what they said last",
            silent.join(", ")
        );
    }
    if let (true, Some((_, law))) = (domains.is_empty(), answer.parts.first()) {
        let reading = Reading::of(law);
        // A name that no law can name.
        let default = reading.row("default.invalid", None);
        let _ = writeln!(out, "{:<32} {:<26} {:<28} {:<12} {:>9}", "domain", "law", "from", "robots.txt", "queued");
        let from = if default.blacklisted { reading.base() } else { default.from };
        let _ = writeln!(out, "{:<32} {:<26} {from}", "(all others)", law_text(default.limit, false));
    } else {
        let _ = writeln!(out, "{:<32} {:<26} {:<28} {:<12} {:>9}", "domain", "law", "from", "robots.txt", "queued");
    }
    for row in rows(answer, domains) {
        let delay = match row.crawl_delay_ms {
            0 => "-".to_owned(),
            ms => format!("1 in {}", WithUnit(Duration::from_millis(ms))),
        };
        let law = law_text(row.limit, row.blacklisted);
        let _ = writeln!(out, "{:<32} {law:<26} {:<28} {delay:<12} {:>9}", row.domain, row.from, row.queued);
    }
    out
}

fn law_text(limit: Option<Limit>, blacklisted: bool) -> String {
    match limit {
        _ if blacklisted => "blacklisted".to_owned(),
        None => "none".to_owned(),
        Some(Limit { hits, window_ms, moderated }) => {
            let window = WithUnit(Duration::from_millis(window_ms));
            format!("{hits} in {window}{}", if moderated { ", evenly" } else { ", in bursts" })
        }
    }
}

/// The blacklist of all parts.
pub fn blacklist(answer: &Answer) -> Vec<Name> {
    let mut names = BTreeMap::new();
    for (_, law) in &answer.parts {
        let reading = Reading::of(law);
        let (_, barred) = reading.policy.named();
        for name in barred {
            names.insert(name.to_owned(), reading.barred_by(name));
        }
    }
    names.into_iter().map(|(name, from)| Name { name, from }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_driver::law::FileStatus;

    fn limit(hits: u32, window_ms: u64) -> Option<Limit> {
        Some(Limit { hits, window_ms, moderated: true })
    }

    fn domain(name: &str, limit: Option<Limit>, crawl_delay_ms: u64) -> DomainRow {
        DomainRow { name: name.into(), limit, crawl_delay_ms, blacklisted: false, queued: 3 }
    }

    fn part(domains: Vec<DomainRow>) -> LawStatus {
        LawStatus {
            file: Some(FileStatus { path: "law.toml".into(), hash: "0".into(), refused: None }),
            changes: vec![
                ChangeRow::Domain("set.com".into(), "hits = 3\nwindow = \"1s\"".into()),
                ChangeRow::Blacklisted("bad.com".into()),
            ],
            in_force: Some(
                "blacklist = [\"bad.com\", \"worse.com\"]\n[domains.\"set.com\"]\nhits = 3\nwindow = \"1s\"\n[domains.\"own.com\"]\nhits = 5\n"
                    .into(),
            ),
            domains,
            ..LawStatus::default()
        }
    }

    #[test]
    fn each_domain_is_shown_with_where_its_law_comes_from() {
        let known = vec![domain("slow.com", limit(60, 60_000), 10_000), domain("own.com", limit(5, 60_000), 0)];
        let parts = vec![("stage 0".to_owned(), part(known)), ("stage 1".to_owned(), part(Vec::new()))];
        let answer = Answer { parts, changed: None, silent: Vec::new(), stages: 2 };
        let found: BTreeMap<String, (String, u64)> =
            rows(&answer, &[]).into_iter().map(|row| (row.domain, (row.from, row.queued))).collect();
        let row = |from: &str, queued| (from.to_owned(), queued);
        let wanted = BTreeMap::from([
            ("set.com".to_owned(), row("command", 0)),
            ("own.com".to_owned(), row("file law.toml", 3)),
            ("bad.com".to_owned(), row("command", 0)),
            ("worse.com".to_owned(), row("file law.toml", 0)),
            ("slow.com".to_owned(), row("robots.txt", 3)),
        ]);
        assert_eq!(found, wanted);
        let asked = rows(&answer, &["www.bad.com".into(), "other.org".into()]);
        assert_eq!((asked[0].from.as_str(), asked[0].limit), ("built in", limit(60, 60_000)));
        assert!(asked[1].blacklisted && asked[1].from == "command");
        let names: Vec<_> = blacklist(&answer).into_iter().map(|name| (name.name, name.from)).collect();
        assert_eq!(names, [("bad.com".into(), "command".into()), ("worse.com".into(), "file law.toml".into())]);
    }
}
