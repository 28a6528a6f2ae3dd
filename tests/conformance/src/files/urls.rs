//! `urls.jsonl`: w3lib's operations on URLs, and which requests Scrapy takes for one.

use super::Checker;
use crate::case::{Case, Checked, bytes_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_frontier::url::{self, CanonicalOptions, Charset, QueryCleaner, SafeOptions, Scratch, UrlError};
use weir_model::JobId;

/// Keeps the fingerprints until all lines are known.
#[derive(Default)]
pub struct Urls {
    /// Line number to theirs and ours.
    fingerprints: BTreeMap<usize, (String, u64)>,
}

impl Checker for Urls {
    fn check(&mut self, case: &Case) -> Checked {
        if case.text("op") == "request_fingerprint" {
            return match fingerprint(case) {
                Ok(ours) => {
                    self.fingerprints.insert(case.number, (case.text("fingerprint").to_owned(), ours));
                    Checked::Later
                }
                Err(problem) => Checked::Differs(json!({ "error": problem })),
            };
        }
        let expected = ["canonical", "result", "error"].into_iter().find(|name| !case.field(name).is_null());
        let wants_error = expected == Some("error");
        match operate(case) {
            // Weir's operations take text or bytes: anything else cannot even be asked.
            Ok(Some(got)) if wants_error => Checked::Differs(got),
            Ok(None) | Err(_) if wants_error => Checked::Same,
            Ok(Some(got)) => Checked::compare(expected.map_or(&Value::Null, |name| case.field(name)), got),
            Ok(None) => Checked::Differs(json!({ "error": "the runner does not know this operation or input" })),
            Err(error) => Checked::Differs(json!({ "error": error.to_string() })),
        }
    }

    /// Hashes need not match: two requests are equal exactly when their fingerprints are.
    fn finish(&mut self, compared: &[&Case]) -> Vec<(usize, Value)> {
        let rows: Vec<_> = compared.iter().filter_map(|case| self.fingerprints.get_key_value(&case.number)).collect();
        let mut failed = Vec::new();
        for (number, (theirs, ours)) in &rows {
            let wrong: Vec<usize> = rows
                .iter()
                .filter(|(_, (other_theirs, other_ours))| (theirs == other_theirs) != (ours == other_ours))
                .map(|(other, _)| **other)
                .collect();
            if !wrong.is_empty() {
                failed.push((
                    **number,
                    json!({ "fingerprint": format!("{ours:016x}"), "equality_differs_with_lines": wrong }),
                ));
            }
        }
        failed
    }
}

fn charset(case: &Case, name: &str) -> Charset {
    case.option(name).as_str().and_then(Charset::for_label).unwrap_or_default()
}

fn flag(case: &Case, name: &str, default: bool) -> bool {
    match case.option(name) {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => default,
    }
}

/// The input as text; bytes in the charset of the options.
fn input(case: &Case) -> Option<String> {
    // A `ParseResult`: the six parts that `urlparse` makes.
    if let Some(parts) = case.field("input").as_array() {
        let part = |at: usize| parts.get(at).and_then(Value::as_str).unwrap_or_default();
        return Some(url::unparse(part(0), part(1), part(2), part(3), part(4), part(5)));
    }
    let (bytes, is_bytes) = bytes_of(case.field("input"))?;
    let charset = if is_bytes { charset(case, "encoding") } else { Charset::Utf8 };
    Some(url::decode_url_bytes(&bytes, charset))
}

fn operate(case: &Case) -> Result<Option<Value>, UrlError> {
    let Some(input) = input(case) else { return Ok(None) };
    let separator = case.option("separator").as_str().unwrap_or("&");
    let text = |name| case.option(name).as_str().unwrap_or_default();
    Ok(Some(match case.text("op") {
        "safe_url_string" => json!(url::safe_url_string(&input, &safe_options(case))?),
        "safe_download_url" => {
            json!(url::safe_download_url(&input, charset(case, "encoding"), charset(case, "path_encoding"))?)
        }
        "canonicalize_url" => json!(url::canonicalize_url(&input, &canonical_options(case))?),
        "is_url" => json!(url::is_url(&input)),
        "url_query_cleaner" => json!(query_cleaner(case, &input)),
        "url_query_parameter" => {
            let found =
                url::url_query_parameter(&input, text("parameter"), flag(case, "keep_blank_values", false), separator)?;
            found.map_or_else(|| case.option("default").clone(), |value| json!(value))
        }
        "add_or_replace_parameter" => {
            json!(url::add_or_replace_parameter(&input, text("name"), text("new_value"), separator)?)
        }
        "add_or_replace_parameters" => {
            let new = case.option("new_parameters").as_object();
            let new: Vec<(&str, &str)> =
                new.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default())).collect();
            json!(url::add_or_replace_parameters(&input, &new, separator)?)
        }
        _ => return Ok(None),
    }))
}

fn safe_options(case: &Case) -> SafeOptions {
    SafeOptions {
        encoding: charset(case, "encoding"),
        path_encoding: charset(case, "path_encoding"),
        quote_path: flag(case, "quote_path", true),
    }
}

fn canonical_options(case: &Case) -> CanonicalOptions<'_> {
    CanonicalOptions {
        keep_blank_values: flag(case, "keep_blank_values", true),
        keep_fragments: flag(case, "keep_fragments", false),
        encoding: charset(case, "encoding"),
        query_separator: case.option("query_separator").as_str().unwrap_or("&"),
    }
}

fn query_cleaner(case: &Case, input: &str) -> String {
    let parameters: Vec<&str> = match case.option("parameterlist") {
        Value::String(one) => vec![one.as_str()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let cleaner = QueryCleaner {
        parameters: &parameters,
        separator: case.option("sep").as_str().unwrap_or("&"),
        key_value_separator: case.option("kvsep").as_str().unwrap_or("="),
        remove: flag(case, "remove", false),
        unique: flag(case, "unique", true),
        keep_fragments: flag(case, "keep_fragments", false),
    };
    url::url_query_cleaner(input, &cleaner)
}

/// As the frontier does it: from the admitted form; with `keep_fragments` from `canonicalize_url`. Headers that count are part of
/// what the request is for.
fn fingerprint(case: &Case) -> Result<u64, String> {
    let request = case.field("request");
    let raw = request["url"].as_str().ok_or("no URL")?;
    let mut scratch = Scratch::new();
    let canonical = match url::admit_form(raw, &mut scratch) {
        Ok(admitted) if !flag(case, "keep_fragments", false) => admitted.canonical().to_vec(),
        _ => url::canonicalize_url(raw, &canonical_options(case)).map_err(|error| error.to_string())?.into_bytes(),
    };
    let body = bytes_of(&request["body"]).map(|(bytes, _)| bytes).unwrap_or_default();
    let mut headers: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for wanted in case.option("include_headers").as_array().into_iter().flatten().filter_map(Value::as_str) {
        for (name, values) in request["headers"].as_object().into_iter().flatten() {
            if name.eq_ignore_ascii_case(wanted) {
                headers.entry(name.to_ascii_lowercase()).or_default().push(values);
            }
        }
    }
    let target = if headers.is_empty() { String::new() } else { json!(headers).to_string() };
    let method = request["method"].as_str().unwrap_or_default();
    Ok(url::fingerprint(JobId(1), method, &canonical, &body, &target).0)
}
