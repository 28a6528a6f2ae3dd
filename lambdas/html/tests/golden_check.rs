//! Every line of `golden.jsonl`: what parsel over lxml answers has to come out, and what it refuses has to be refused.
//! `oracle/golden_make.py` makes the file anew.

#![allow(clippy::unwrap_used)] // A broken golden file is to fail the test, wherever it is broken.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use weir_html::Parser;
use weir_html::select::{Constant, Evaluator, Hit, Program};

/// What differs by decision: regular expressions run in linear time, so look-around and back-references are refused; and
/// they fold case as Unicode's simple folding does, to which a dotted capital I is no i.
const DECISIONS: [&str; 3] =
    ["re:test('ab', 'a(?=b)')", "re:replace('aa', '(a)\\1', '', 'x')", "re:test('İ', 'i', 'i')"];

enum Page {
    Html(String),
    Xml(String),
}

fn compile(case: &Json) -> Result<Program, String> {
    let expr = case["expr"].as_str().unwrap();
    if case["lang"] == "css" {
        return Program::css(expr).map_err(|error| error.to_string());
    }
    let variables: Vec<(&str, Constant)> = case["vars"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let constant = match value {
                Json::Bool(value) => Constant::Boolean(*value),
                Json::Number(value) => Constant::Number(value.as_f64().unwrap()),
                other => Constant::Text(other.as_str().unwrap().to_string()),
            };
            (name.as_str(), constant)
        })
        .collect();
    let namespaces: Vec<(&str, &str)> = case["namespaces"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(prefix, uri)| (prefix.as_str(), uri.as_str().unwrap()))
        .collect();
    Program::xpath_in(expr, &variables, &namespaces).map_err(|error| error.to_string())
}

fn answer(evaluator: &mut Evaluator, case: &Json, page: &Page) -> Result<Vec<String>, String> {
    let program = compile(case)?;
    let mut html = Parser::new(weir_html::Limits::default());
    let mut xml = Parser::new(weir_html::Limits::default());
    let tree = match page {
        Page::Html(text) => html.parse(text),
        Page::Xml(text) => xml.parse_xml(text),
    }
    .map_err(|error| error.to_string())?;
    let mut scopes = vec![Hit::root(tree)];
    if let Some(scope) = case["scope"].as_str() {
        let scope = Program::xpath(scope).unwrap();
        scopes.clear();
        evaluator.nodes(&scope, tree, Hit::root(tree), &mut scopes).map_err(|error| error.to_string())?;
    }
    let mut out: Vec<Cow<'_, str>> = Vec::new();
    for scope in scopes {
        evaluator.strings(&program, tree, scope, &mut out).map_err(|error| error.to_string())?;
    }
    Ok(out.into_iter().map(Cow::into_owned).collect())
}

#[test]
fn every_line_of_the_golden_file_is_answered_as_parsel_answers_it() {
    let golden = include_str!("golden.jsonl");
    let mut pages: BTreeMap<String, Page> = BTreeMap::new();
    let mut evaluator = Evaluator::default();
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in golden.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let Some(page) = line["page"].as_str() else { continue };
        if let Some(html) = line["html"].as_str() {
            pages.insert(page.to_string(), Page::Html(html.to_string()));
            continue;
        }
        if let Some(xml) = line["xml"].as_str() {
            pages.insert(page.to_string(), Page::Xml(xml.to_string()));
            continue;
        }
        cases += 1;
        let got = answer(&mut evaluator, &line, &pages[page]);
        let right = match (&line["results"], &got) {
            (Json::Array(wanted), Ok(got)) => {
                wanted.iter().map(|w| w.as_str().unwrap()).eq(got.iter().map(String::as_str))
            }
            (Json::Null, Err(_)) => line["error"] == true,
            _ => false,
        };
        let expr = line["expr"].as_str().unwrap();
        if !right && !DECISIONS.contains(&expr) {
            wrong.push(format!("{page} {expr}\n  wanted {}\n  got    {got:?}", line["results"]));
        }
    }
    assert!(cases >= 500, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn golden_file_has_every_axis_and_every_function() {
    let asked: BTreeSet<String> = include_str!("golden.jsonl")
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).unwrap()["expr"].as_str().map(str::to_string))
        .collect();
    let axes = "ancestor ancestor-or-self attribute child descendant descendant-or-self following following-sibling \
                namespace parent preceding preceding-sibling self";
    let functions = "last position count id local-name namespace-uri name string concat starts-with contains \
                     substring-before substring-after substring string-length normalize-space translate boolean not true \
                     false lang number sum floor ceiling round has-class re:test re:match re:replace set:difference \
                     set:intersection set:distinct set:has-same-node set:leading set:trailing";
    let wanted = axes.split_whitespace().map(|axis| format!("{axis}::"));
    for part in wanted.chain(functions.split_whitespace().map(|function| format!("{function}("))) {
        assert!(asked.iter().any(|expr| expr.contains(&part)), "no case has {part}");
    }
}
