//! `decisions.toml`: where weir does something else on purpose, and why.
//!
//! A decision names cases by a pattern over their `source` or their input. All decisions together match at most 2 % of a file's
//! counted lines; a pattern that matches no counted line is an error, so that nothing here outlives its reason.

use crate::case::Case;
use anyhow::{Context, bail};
use regex::Regex;
use serde::Deserialize;
use std::path::Path;

/// The share of a file's counted lines that decisions may match.
const SHARE_MAX: f64 = 0.02;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    decision: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    source: Option<String>,
    input: Option<String>,
    does: String,
    why: String,
}

/// One decision.
pub struct Decision {
    /// The file's name.
    pub file: String,
    source: Option<Regex>,
    input: Option<Regex>,
    /// For messages.
    pub pattern: String,
}

/// Reads and checks the decisions.
pub fn read(path: &Path) -> anyhow::Result<Vec<Decision>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let document: Document =
        toml::from_str(&text).with_context(|| format!("{} is no list of decisions", path.display()))?;
    document
        .decision
        .into_iter()
        .map(compile)
        .collect::<anyhow::Result<_>>()
        .with_context(|| path.display().to_string())
}

fn compile(entry: Entry) -> anyhow::Result<Decision> {
    let pattern = entry.source.iter().chain(&entry.input).cloned().collect::<Vec<_>>().join(", ");
    if pattern.is_empty() {
        bail!("a decision about {} needs `source` or `input`: a pattern that names its cases", entry.file);
    }
    for (name, text) in [("does", &entry.does), ("why", &entry.why)] {
        if text.trim().is_empty() {
            bail!("decision {pattern:?}: `{name}` is empty; say what weir does and why");
        }
    }
    let regex =
        |text: Option<String>| text.map(|t| Regex::new(&t).with_context(|| format!("pattern {t:?}"))).transpose();
    Ok(Decision { file: entry.file, source: regex(entry.source)?, input: regex(entry.input)?, pattern })
}

impl Decision {
    /// Whether it is about this case.
    pub fn matches(&self, case: &Case) -> bool {
        self.source.as_ref().is_none_or(|regex| regex.is_match(case.text("source")))
            && self.input.as_ref().is_none_or(|regex| regex.is_match(&case.input_text()))
    }
}

/// Which counted cases are decided, or why the decisions do not hold for this file.
pub fn apply(decisions: &[&Decision], counted: &[&Case]) -> (Vec<bool>, Vec<String>) {
    let mut decided = vec![false; counted.len()];
    let mut problems = Vec::new();
    for decision in decisions {
        let mut any = false;
        for (flag, case) in decided.iter_mut().zip(counted) {
            if decision.matches(case) {
                *flag = true;
                any = true;
            }
        }
        if !any {
            problems.push(format!("decision {:?} matches no counted line: remove it", decision.pattern));
        }
    }
    let matched = decided.iter().filter(|flag| **flag).count();
    if matched as f64 > SHARE_MAX * counted.len() as f64 {
        problems.push(format!(
            "decisions match {matched} of {} counted lines; at most {:.0} % may be decided",
            counted.len(),
            SHARE_MAX * 100.0
        ));
    }
    (decided, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cases(count: usize) -> Vec<Case> {
        (0..count)
            .map(|at| Case {
                number: at + 1,
                value: json!({ "source": format!("test_{at}"), "input": format!("in {at}") }),
            })
            .collect()
    }

    fn decision(source: Option<&str>, input: Option<&str>) -> Decision {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let entry = Entry {
            file: "urls.jsonl".into(),
            source: text(source),
            input: text(input),
            does: "x".into(),
            why: "y".into(),
        };
        compile(entry).expect("a good decision")
    }

    #[test]
    fn a_decision_covers_what_its_patterns_name() {
        let cases = cases(100);
        let cases: Vec<&Case> = cases.iter().collect();
        let both = decision(Some("_1"), Some("^in 10$"));
        let (decided, problems) = apply(&[&both], &cases);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(decided.iter().filter(|d| **d).count(), 1);
        assert!(decided[10]);
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_a_problem() {
        let cases = cases(100);
        let cases: Vec<&Case> = cases.iter().collect();
        let (_, problems) = apply(&[&decision(Some("gone"), None)], &cases);
        assert!(problems[0].contains("matches no counted line"), "{problems:?}");
    }

    #[test]
    fn decisions_cover_at_most_two_percent_of_a_file() {
        let cases = cases(100);
        let cases: Vec<&Case> = cases.iter().collect();
        let two = decision(Some("_9[01]$"), None);
        assert!(apply(&[&two], &cases).1.is_empty());
        let (_, problems) = apply(&[&two, &decision(Some("_92$"), None)], &cases);
        assert!(problems[0].contains("match 3 of 100"), "{problems:?}");
        assert!(!apply(&[&decision(Some("."), None)], &cases[..1]).1.is_empty(), "never a whole file");
    }

    #[test]
    fn a_decision_without_pattern_or_reason_is_refused() {
        let entry = |source: Option<&str>, why: &str| Entry {
            file: "f".into(),
            source: source.map(str::to_owned),
            input: None,
            does: "x".into(),
            why: why.into(),
        };
        assert!(compile(entry(None, "y")).is_err());
        assert!(compile(entry(Some("a"), " ")).is_err());
        assert!(compile(entry(Some("("), "y")).is_err());
    }

    #[test]
    fn the_decisions_of_this_repository_are_well_formed() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/decisions.toml"));
        assert!(!read(path).expect("a readable file").is_empty());
    }
}
