//! All files of a folder, one line each.

use crate::case::{Case, Checked};
use crate::decisions::{self, Decision};
use crate::files::{self, Checker};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Folders in folders are read to this depth.
const DEPTH_MAX: usize = 3;

/// What a file came to.
#[derive(Default)]
struct Tally {
    same: usize,
    decided: usize,
    failed: Vec<Value>,
    counted: usize,
    read: usize,
}

/// Runs every known file; true when nothing fails that is not decided.
pub fn run(folder: &Path, decisions: &Path, failures: &Path) -> anyhow::Result<bool> {
    let decisions = decisions::read(decisions)?;
    let mut paths = Vec::new();
    collect(folder, 0, &mut paths)?;
    if paths.is_empty() {
        bail!("{} holds no .jsonl or .json file", folder.display());
    }
    paths.sort();
    let mut good = true;
    let mut out = std::io::stdout().lock();
    for path in &paths {
        let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let Some(checker) = files::checker(&name) else {
            writeln!(out, "{name}: not known, skipped")?;
            continue;
        };
        let own: Vec<&Decision> = decisions.iter().filter(|decision| decision.file == name).collect();
        let (tally, problems) = run_file(path, checker, &own).with_context(|| name.clone())?;
        writeln!(out, "{}", line(&name, &tally))?;
        for problem in &problems {
            writeln!(out, "{name}: {problem}")?;
        }
        write_failures(failures, &name, &tally.failed)?;
        good &= tally.failed.is_empty() && problems.is_empty();
    }
    Ok(good)
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && depth < DEPTH_MAX {
            collect(&path, depth + 1, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read_cases(path: &Path) -> anyhow::Result<Vec<Case>> {
    let text = fs::read_to_string(path)?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let value = serde_json::from_str(line).with_context(|| format!("line {} is no JSON", index + 1))?;
            Ok(Case { number: index + 1, value })
        })
        .collect()
}

fn run_file(
    path: &Path,
    mut checker: Box<dyn Checker>,
    decisions: &[&Decision],
) -> anyhow::Result<(Tally, Vec<String>)> {
    let cases = read_cases(path)?;
    let results: Vec<Checked> = cases.iter().map(|case| checker.check(case)).collect();
    let counted: Vec<&Case> = cases
        .iter()
        .zip(&results)
        .filter(|(case, result)| !case.is_not_counted() && !matches!(result, Checked::NotCounted))
        .map(|(case, _)| case)
        .collect();
    let (decided, problems) = decisions::apply(decisions, &counted);
    let is_decided = |case: &Case| counted.iter().zip(&decided).any(|(c, d)| *d && c.number == case.number);
    let compared: Vec<&Case> = counted.iter().zip(&decided).filter(|(_, d)| !**d).map(|(case, _)| *case).collect();
    let later = checker.finish(&compared);

    let mut tally = Tally { read: cases.len(), counted: counted.len(), ..Tally::default() };
    for (case, result) in cases.iter().zip(results) {
        if !counted.iter().any(|c| c.number == case.number) {
            continue;
        }
        let got = match result {
            Checked::Same | Checked::NotCounted => None,
            Checked::Differs(got) => Some(got),
            Checked::Later if is_decided(case) => Some(json!("decided")),
            Checked::Later => later.iter().find(|(number, _)| *number == case.number).map(|(_, got)| got.clone()),
        };
        match got {
            None => tally.same += 1,
            Some(_) if is_decided(case) => tally.decided += 1,
            Some(got) => tally.failed.push(json!({ "line": case.number, "case": case.value, "got": got })),
        }
    }
    Ok((tally, problems))
}

fn line(name: &str, tally: &Tally) -> String {
    let mut out = format!("{name}: {} of {}", tally.same, tally.counted);
    if tally.decided > 0 {
        let verb = if tally.decided == 1 { "differs" } else { "differ" };
        write!(out, ", {} {verb} by decision", tally.decided).expect("a String takes everything");
    }
    if !tally.failed.is_empty() {
        let verb = if tally.failed.len() == 1 { "fails" } else { "fail" };
        write!(out, ", {} {verb}", tally.failed.len()).expect("a String takes everything");
    }
    if tally.read > tally.counted {
        write!(out, " ({} read, not counted)", tally.read - tally.counted).expect("a String takes everything");
    }
    out
}

/// Failing lines with what was got; an earlier run's file goes when nothing fails.
fn write_failures(folder: &Path, name: &str, failed: &[Value]) -> anyhow::Result<()> {
    let path = folder.join(name.replace('/', "-"));
    if failed.is_empty() {
        if path.exists() {
            fs::remove_file(&path)?;
        }
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let text: String = failed.iter().map(|value| format!("{value}\n")).collect();
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(name: &str, lines: &str, decisions: &str) -> (bool, Option<String>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("data")).expect("a folder");
        fs::write(at("data").join(name), lines).expect("a file");
        fs::write(at("decisions.toml"), decisions).expect("a file");
        let good = run(&at("data"), &at("decisions.toml"), &at("out")).expect("a run");
        (good, fs::read_to_string(at("out").join(name)).ok())
    }

    const RIGHT: &str = r#"{"op": "is_url", "input": "http://a", "result": true, "source": "s1"}"#;
    const WRONG: &str = r#"{"op": "is_url", "input": "http://a", "result": false, "source": "s2"}"#;

    #[test]
    fn a_failing_line_is_written_with_what_was_got() {
        let (good, failures) = run_on("urls.jsonl", &format!("{RIGHT}\n{WRONG}\n"), "");
        assert!(!good);
        let failures = failures.expect("a file of failures");
        assert!(failures.contains("\"line\":2") && failures.contains("\"got\":true"), "{failures}");
        assert_eq!(run_on("urls.jsonl", RIGHT, ""), (true, None));
    }

    #[test]
    fn a_decision_explains_a_failing_line() {
        let lines = format!("{}{WRONG}\n", format!("{RIGHT}\n").repeat(60));
        let decision = "[[decision]]\nfile = \"urls.jsonl\"\nsource = \"s2\"\ndoes = \"x\"\nwhy = \"y\"\n";
        assert_eq!(run_on("urls.jsonl", &lines, decision), (true, None));
        assert!(!run_on("urls.jsonl", &format!("{RIGHT}\n"), decision).0, "a decision about nothing fails");
        assert!(run_on("robots.jsonl", "", decision).0, "a decision about another file does not count");
    }

    #[test]
    fn what_is_not_portable_is_read_and_not_counted() {
        let line = WRONG.replace("}", ", \"portable\": false}");
        assert_eq!(run_on("urls.jsonl", &line, ""), (true, None));
        assert_eq!(run_on("poems.jsonl", "{}", ""), (true, None));
    }

    #[test]
    fn fingerprints_are_equal_exactly_when_theirs_are() {
        let line = |url: &str, fingerprint: &str| {
            format!(
                r#"{{"op": "request_fingerprint", "request": {{"url": "{url}", "method": "GET"}}, "fingerprint": "{fingerprint}"}}"#
            )
        };
        let same = format!("{}\n{}\n", line("http://a/?b=1&a=2", "f"), line("http://a/?a=2&b=1", "f"));
        assert!(run_on("urls.jsonl", &same, "").0);
        let (good, failures) = run_on("urls.jsonl", &same.replacen("\"f\"", "\"g\"", 1), "");
        assert!(!good && failures.is_some_and(|text| text.lines().count() == 2));
    }
}
