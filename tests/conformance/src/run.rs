//! All files of a folder, one line each.

use crate::case::{Case, Checked};
use crate::decisions::{self, Decision};
use crate::files::{self, Checker};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
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
    for path in &paths {
        let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let Some(checker) = files::checker(&name) else {
            println!("{name}: not known, skipped");
            continue;
        };
        let own: Vec<&Decision> = decisions.iter().filter(|decision| decision.file == name).collect();
        let (tally, problems) = run_file(path, checker, &own).with_context(|| name.clone())?;
        println!("{}", line(&name, &tally));
        for problem in &problems {
            println!("{name}: {problem}");
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
