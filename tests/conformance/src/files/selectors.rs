//! `selectors.jsonl`: what parsel answers, over lxml's tree and over an HTML5 tree.

use super::Checker;
use crate::case::{Case, Checked, sha256_hex};
use serde_json::{Value, json};
use weir_html::select::{Constant, Evaluator, Hit, Program};
use weir_html::{Limits, Parser};

/// The file.
pub struct Selectors {
    parser: Parser,
    evaluator: Evaluator,
}

impl Default for Selectors {
    fn default() -> Self {
        Selectors { parser: Parser::new(Limits::default()), evaluator: Evaluator::default() }
    }
}

impl Checker for Selectors {
    fn check(&mut self, case: &Case) -> Checked {
        if !case.field("error").is_null() {
            return match self.answer(case, false) {
                Err(_) => Checked::Same,
                Ok(got) => Checked::Differs(json!({ "lxml": got })),
            };
        }
        let mut wrong = serde_json::Map::new();
        for (name, html5) in [("lxml", false), ("html5", true)] {
            let expected = case.field(name);
            if expected.is_null() || (html5 && case.field("html5_tree") == &Value::Bool(false)) {
                continue;
            }
            match self.answer(case, html5) {
                Ok(got) if is_answer(expected, &got) => {}
                Ok(got) => drop(wrong.insert(name.to_owned(), json!(got))),
                Err(error) => drop(wrong.insert(name.to_owned(), json!({ "error": error }))),
            }
        }
        if wrong.is_empty() { Checked::Same } else { Checked::Differs(wrong.into()) }
    }
}

impl Selectors {
    fn answer(&mut self, case: &Case, html5: bool) -> Result<Vec<String>, String> {
        let program = compile(case)?;
        let page = case.text("doc");
        let tree = match case.text("type") {
            "xml" => self.parser.parse_xml(page),
            _ if html5 => self.parser.parse_html5(page),
            _ => self.parser.parse(page),
        };
        let tree = tree.map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        self.evaluator.strings(&program, tree, Hit::root(tree), &mut out).map_err(|error| error.to_string())?;
        Ok(out.into_iter().map(std::borrow::Cow::into_owned).collect())
    }
}

fn compile(case: &Case) -> Result<Program, String> {
    let expr = case.text("expr");
    if case.text("lang") == "css" {
        return Program::css(expr).map_err(|error| error.to_string());
    }
    let variables: Vec<(&str, Constant)> = case
        .field("vars")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), constant(value)))
        .collect();
    let namespaces: Vec<(&str, &str)> = case
        .field("namespaces")
        .as_object()
        .into_iter()
        .flatten()
        .map(|(prefix, uri)| (prefix.as_str(), uri.as_str().unwrap_or("")))
        .collect();
    Program::xpath_in(expr, &variables, &namespaces).map_err(|error| error.to_string())
}

fn constant(value: &Value) -> Constant {
    match value {
        Value::Bool(truth) => Constant::Boolean(*truth),
        Value::Number(number) => Constant::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Constant::Text(text.clone()),
        other => Constant::Text(other.to_string()),
    }
}

/// A list, or its length, digest, head and tail.
fn is_answer(expected: &Value, got: &[String]) -> bool {
    let Some(summary) = expected.as_object() else { return *expected == json!(got) };
    let mut joined = Vec::new();
    for item in got {
        joined.extend_from_slice(item.as_bytes());
        joined.push(0x1e);
    }
    let matches = |name: &str, got: Value| summary.get(name).is_none_or(|value| *value == got);
    let part = |name: &str| summary.get(name).and_then(Value::as_array).map_or(0, Vec::len).min(got.len());
    matches("n", json!(got.len()))
        && matches("sha256", json!(sha256_hex(&joined)[..32]))
        && matches("head", json!(got[..part("head")]))
        && matches("tail", json!(got[got.len() - part("tail")..]))
}
