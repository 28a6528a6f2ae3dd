//! Every line of `golden.jsonl` (self-made pages) and `golden_others.jsonl` (documents by others): what parsel over lxml answers
//! has to come out, and what it refuses has to be refused. `oracle/golden_make.py` makes both files anew.

#![allow(clippy::unwrap_used)] // A broken golden file is to fail the test, wherever it is broken.

mod documents;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use documents::Documents;
use serde_json::Value as Json;
use weir_html::Parser;
use weir_html::select::{Constant, Evaluator, Hit, Program};

/// What differs by decision: regular expressions run in linear time, so look-around and back-references are refused; and
/// they fold case as Unicode's simple folding does, to which a dotted capital I is no i.
const DECISIONS: [&str; 3] =
    ["re:test('ab', 'a(?=b)')", "re:replace('aa', '(a)\\1', '', 'x')", "re:test('İ', 'i', 'i')"];

const OURS: &str = include_str!("golden.jsonl");
const OTHERS: &str = include_str!("golden_others.jsonl");

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

/// The page that a line holds or names, if it is a page's line.
fn page(line: &Json, documents: &Documents) -> Option<Page> {
    if let Some(html) = line["html"].as_str() {
        return Some(Page::Html(html.to_string()));
    }
    if let Some(xml) = line["xml"].as_str() {
        return Some(Page::Xml(xml.to_string()));
    }
    let kind = line["kind"].as_str()?;
    let text = documents.text(line);
    // Else the two would be asked about different texts.
    assert_eq!(text.chars().count() as u64, line["chars"], "{}: decoded as w3lib decodes it", line["page"]);
    Some(if kind == "xml" { Page::Xml(text) } else { Page::Html(text) })
}

/// How many cases a golden file has; fails when one is answered otherwise.
fn check(golden: &str) -> usize {
    let documents = Documents::open();
    let mut pages: BTreeMap<String, Page> = BTreeMap::new();
    let mut evaluator = Evaluator::default();
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in golden.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let Some(name) = line["page"].as_str() else { continue };
        if let Some(page) = page(&line, &documents) {
            pages.insert(name.to_string(), page);
            continue;
        }
        cases += 1;
        let got = answer(&mut evaluator, &line, &pages[name]);
        let right = match (&line["results"], &got) {
            (Json::Array(wanted), Ok(got)) => {
                wanted.iter().map(|w| w.as_str().unwrap()).eq(got.iter().map(String::as_str))
            }
            (Json::Null, Err(_)) => line["error"] == true,
            _ => false,
        };
        let expr = line["expr"].as_str().unwrap();
        if !right && !DECISIONS.contains(&expr) {
            wrong.push(format!("{name} {expr}\n  wanted {}\n  got    {got:?}", line["results"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {cases} differ:\n{}", wrong.len(), wrong.join("\n"));
    cases
}

#[test]
fn every_line_of_the_golden_file_is_answered_as_parsel_answers_it() {
    let cases = check(OURS);
    assert!(cases >= 500, "only {cases} cases");
}

#[test]
fn documents_by_others_are_answered_as_parsel_answers_them_and_are_at_least_half_of_all() {
    let (others, ours) = (check(OTHERS), OURS.lines().filter(|line| line.contains("\"expr\":")).count());
    assert!(others >= ours, "{others} cases on documents by others, {ours} on our own");
}

/// Every axis, every function and several manners of CSS selectors.
fn assert_complete(golden: &str) {
    let asked: BTreeSet<String> = golden
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).unwrap()["expr"].as_str().map(str::to_string))
        .collect();
    let axes = "ancestor ancestor-or-self attribute child descendant descendant-or-self following following-sibling \
                namespace parent preceding preceding-sibling self";
    let functions = "last position count id local-name namespace-uri name string concat starts-with contains \
                     substring-before substring-after substring string-length normalize-space translate boolean not true \
                     false lang number sum floor ceiling round has-class re:test re:match re:replace set:difference \
                     set:intersection set:distinct set:has-same-node set:leading set:trailing";
    let css = "::text ::attr( :not( :has( :is( :nth-child( :nth-of-type( :first-child :empty :root :contains( [name] ^= $= *= ~= |=";
    let wanted = axes.split_whitespace().map(|axis| format!("{axis}::"));
    let wanted = wanted.chain(functions.split_whitespace().map(|function| format!("{function}(")));
    for part in wanted.chain(css.split_whitespace().map(str::to_string)) {
        assert!(asked.iter().any(|expr| expr.contains(&part)), "no case has {part}");
    }
}

#[test]
fn golden_file_has_every_axis_and_every_function() {
    assert_complete(OURS);
}

#[test]
fn documents_by_others_are_asked_for_every_axis_and_every_function() {
    assert_complete(OTHERS);
}
