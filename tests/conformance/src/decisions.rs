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
