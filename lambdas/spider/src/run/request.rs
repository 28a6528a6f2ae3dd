//! From a rule's templates to what a request says: body, headers, carried values.

use crate::compiled::{BodyTemplate, JsonTemplate};
use crate::template::{Template, Variable, encode};
use serde_json::Value as Json;
use std::borrow::Cow;

/// The text of a variable.
pub(crate) type Lookup<'l, 'v> = dyn Fn(&Variable) -> Cow<'v, str> + 'l;
/// The JSON value of a variable, where it has a type of its own.
pub(crate) type JsonLookup<'l> = dyn Fn(&Variable) -> Option<Json> + 'l;

/// The bytes of a body.
pub(crate) fn render_body(body: &BodyTemplate, text: &Lookup<'_, '_>, json: &JsonLookup<'_>) -> Vec<u8> {
    match body {
        BodyTemplate::Text(template) => render(template, text).into_bytes(),
        BodyTemplate::Json(template) => render_json(template, text, json).to_string().into_bytes(),
        BodyTemplate::Form(pairs) => {
            let mut out = String::new();
            for (name, template) in pairs {
                if !out.is_empty() {
                    out.push('&');
                }
                encode(&mut out, name);
                out.push('=');
                encode(&mut out, &render(template, text));
            }
            out.into_bytes()
        }
    }
}

/// The text of a template.
pub(crate) fn render(template: &Template, text: &Lookup<'_, '_>) -> String {
    let mut out = String::new();
    template.render(&mut out, text);
    out
}

/// A header's value: control characters, which would end the header, become spaces.
pub(crate) fn render_header(template: &Template, text: &Lookup<'_, '_>) -> Box<str> {
    let value = render(template, text);
    if value.bytes().any(|b| b < b' ' || b == 0x7f) {
        return value.replace(|c: char| c < ' ' || c == '\u{7f}', " ").into();
    }
    value.into()
}

fn render_json(template: &JsonTemplate, text: &Lookup<'_, '_>, json: &JsonLookup<'_>) -> Json {
    match template {
        JsonTemplate::Literal(value) => value.clone(),
        JsonTemplate::Text(template) => {
            template.sole_variable().and_then(json).unwrap_or_else(|| Json::String(render(template, text)))
        }
        JsonTemplate::List(list) => list.iter().map(|entry| render_json(entry, text, json)).collect(),
        JsonTemplate::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), render_json(value, text, json)));
            members.collect::<serde_json::Map<_, _>>().into()
        }
    }
}
