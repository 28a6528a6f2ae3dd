//! What makes a request more than a GET: `method`, `body`, `form`, `headers`. For rules and for start URLs.

use super::doc::{Complaint, Doc, Spot, did_you_mean};
use super::language::METHODS;
use super::section::{Section, as_text, wrong_kind};
use crate::compiled::{BodyTemplate, JsonTemplate};
use crate::template::{Allowed, Template};
use toml::de::DeValue;
use weir_model::Method;

/// Method, body and headers as they are written; `None` when there is nothing of it.
pub(crate) type Parts = (Method, Option<BodyTemplate>, Vec<(Box<str>, Template)>);

/// Reads the keys of a request.
pub(crate) fn load(section: &Section<'_, '_>, allowed: Allowed) -> Option<Parts> {
    let doc = section.doc;
    if section.has("body") && section.has("form") {
        doc.complain(section.key_span("form"), Complaint::new("a request has a `body` or a `form`, not both"));
    }
    let mut content_type = None;
    let body = match (section.get("body"), section.get("form")) {
        (Some(spot), _) => match spot.get_ref() {
            DeValue::String(text) => Some(BodyTemplate::Text(Template::parse(doc, text, &spot.span(), allowed))),
            DeValue::Table(_) | DeValue::Array(_) => {
                content_type = Some("application/json");
                Some(BodyTemplate::Json(json_template(doc, spot, allowed)))
            }
            other => {
                wrong_kind(doc, spot, "body", "a string, or a table that is sent as JSON", other);
                None
            }
        },
        (None, Some(spot)) => {
            content_type = Some("application/x-www-form-urlencoded");
            Some(BodyTemplate::Form(text_table(doc, spot, "form", allowed)))
        }
        (None, None) => None,
    };
    let mut headers = section.get("headers").map_or_else(Vec::new, |spot| headers(doc, spot, "headers", allowed));
    if let Some(content_type) = content_type
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        let value = Template { parts: vec![crate::template::Part::Text(content_type.into())] };
        headers.push(("Content-Type".into(), value));
    }
    let default = if body.is_some() { Method::Post } else { Method::Get };
    let method = section.text("method").map_or(default, |text| method(doc, text.value, text.span));
    (method != Method::Get || body.is_some() || !headers.is_empty()).then_some((method, body, headers))
}

fn method(doc: &Doc<'_>, name: &str, span: std::ops::Range<usize>) -> Method {
    const ALL: [Method; 7] =
        [Method::Get, Method::Post, Method::Put, Method::Head, Method::Delete, Method::Patch, Method::Options];
    ALL.into_iter().find(|method| method.as_str() == name).unwrap_or_else(|| {
        let complaint = Complaint::new(format!("there is no method `{name}`"))
            .expected(format!("one of {}", METHODS.join(", ")))
            .maybe_hint(did_you_mean(&name.to_uppercase(), METHODS.iter().copied()))
            .maybe_hint(
                METHODS.contains(&name.to_uppercase().as_str()).then(|| format!("write `{}`", name.to_uppercase())),
            );
        doc.complain(span, complaint);
        Method::Get
    })
}

/// A table of header templates.
pub(crate) fn headers(doc: &Doc<'_>, spot: &Spot<'_>, key: &str, allowed: Allowed) -> Vec<(Box<str>, Template)> {
    let headers = text_table(doc, spot, key, allowed);
    for (name, value) in &headers {
        let token =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token {
            let complaint = Complaint::new(format!("`{name}` cannot name a header"))
                .expected("letters, digits and `-` (RFC 9110, section 5.6.2)");
            doc.complain(spot.span(), complaint);
        }
        const OURS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "te"];
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            doc.complain(spot.span(), Complaint::new(format!("the header `{name}` is made by the fetcher")));
        }
        if value.literal().is_some_and(|text| text.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f)) {
            let complaint = Complaint::new(format!("the value of `{name}` has a control character"));
            doc.complain(spot.span(), complaint);
        }
    }
    headers
}

fn text_table(doc: &Doc<'_>, spot: &Spot<'_>, key: &str, allowed: Allowed) -> Vec<(Box<str>, Template)> {
    let DeValue::Table(table) = spot.get_ref() else {
        wrong_kind(doc, spot, key, "a table of strings", spot.get_ref());
        return Vec::new();
    };
    table
        .iter()
        .filter_map(|(name, value)| {
            let template = match value.get_ref() {
                DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                    Template { parts: vec![crate::template::Part::Text(json_of(value.get_ref()).to_string().into())] }
                }
                _ => {
                    let text = as_text(doc, value, name.get_ref())?;
                    Template::parse(doc, text.value, &text.span, allowed)
                }
            };
            Some((name.get_ref().as_ref().into(), template))
        })
        .collect()
}

fn json_template(doc: &Doc<'_>, spot: &Spot<'_>, allowed: Allowed) -> JsonTemplate {
    match spot.get_ref() {
        DeValue::String(text) => {
            let template = Template::parse(doc, text, &spot.span(), allowed);
            match template.literal() {
                Some(text) => JsonTemplate::Literal(text.into()),
                None => JsonTemplate::Text(template),
            }
        }
        DeValue::Array(list) => {
            JsonTemplate::List(list.iter().map(|entry| json_template(doc, entry, allowed)).collect())
        }
        DeValue::Table(table) => JsonTemplate::Object(
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json_template(doc, value, allowed))).collect(),
        ),
        other => JsonTemplate::Literal(json_of(other)),
    }
}

/// A TOML value as JSON.
pub(crate) fn json_of(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map_or(serde_json::Value::Null, Into::into),
        DeValue::Float(f) => f.as_str().parse::<f64>().map_or(serde_json::Value::Null, Into::into),
        DeValue::Boolean(b) => (*b).into(),
        DeValue::Datetime(d) => d.to_string().into(),
        DeValue::Array(list) => list.iter().map(|entry| json_of(entry.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
