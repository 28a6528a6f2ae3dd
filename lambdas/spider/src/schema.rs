//! The JSON Schema of the spider file, made of the same tables that the loader reads by.

use crate::load::language::{self, Language, Shape};
use crate::load::steps::{JSON_STEP, NAMES, TABLES};
use serde_json::{Map, Value, json};

/// The schema, for editors (JSON Schema 2020-12).
pub(crate) fn json_schema() -> Value {
    let mut schema = table(&language::SPIDER);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("weir spider file");
    schema["required"] = json!(["name", "start"]);
    schema["$defs"] = json!({
        "arg": table(&language::ARG),
        "start": required(table(&language::START), &["url"]),
        "follow": table(&language::FOLLOW),
        "item": required(table(&language::ITEM), &["fields"]),
        "field": table(&language::FIELD),
        "source": table(&language::SOURCE),
        "carried": table(&language::CARRIED),
        "computation": table(&language::COMPUTATION),
        "selector": table(&language::SELECTOR),
        "inside": table(&language::INSIDE),
        "hook": required(table(&language::HOOK), &["on"]),
        "contract": required(table(&language::CONTRACT), &["url"]),
        "bounds": table(&language::BOUNDS),
        "step": step(),
    });
    schema
}

fn required(mut schema: Value, keys: &[&str]) -> Value {
    schema["required"] = json!(keys);
    schema
}

fn table(language: &Language) -> Value {
    let properties: Map<String, Value> = language
        .keys
        .iter()
        .map(|key| {
            let mut schema = shape(key.shape);
            schema["description"] = json!(key.doc);
            (key.name.to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn shape(shape: Shape) -> Value {
    let text = || json!({ "type": "string" });
    let texts = || json!({ "anyOf": [text(), { "type": "array", "items": text() }] });
    let named = |of: Value| json!({ "type": "object", "propertyNames": { "pattern": "^[A-Za-z][A-Za-z0-9_]{0,59}$" }, "additionalProperties": of });
    let reference = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    let scalars = json!({ "type": ["string", "number", "boolean"] });
    match shape {
        Shape::Text => text(),
        Shape::Texts => texts(),
        Shape::Integer(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Any => json!({}),
        Shape::Choice(names) => json!({ "enum": names }),
        Shape::TextTable => json!({ "type": "object", "additionalProperties": scalars }),
        Shape::Args => named(json!({ "anyOf": [scalars, reference("arg")] })),
        Shape::Table => json!({ "type": "object" }),
        Shape::Starts => {
            let one = json!([text(), reference("start")]);
            json!({ "anyOf": [text(), reference("start"), { "type": "array", "minItems": 1, "items": { "anyOf": one } }] })
        }
        Shape::Follows => json!({ "type": "array", "items": reference("follow") }),
        Shape::Items => named(reference("item")),
        Shape::Fields => named(reference("field")),
        Shape::Computations => named(reference("computation")),
        Shape::Hooks => json!({ "type": "array", "items": reference("hook") }),
        Shape::Contracts => json!({ "type": "array", "items": reference("contract") }),
        Shape::Scope => json!({ "anyOf": [text(), reference("selector")] }),
        Shape::Inside => reference("inside"),
        Shape::Map => json!({ "anyOf": [reference("step"), { "type": "array", "items": reference("step") }] }),
        Shape::Sources => json!({ "type": "array", "minItems": 1, "items": reference("source") }),
        Shape::Carry => {
            json!({ "type": "object", "additionalProperties": { "anyOf": [text(), reference("carried")] } })
        }
        Shape::Body => json!({ "type": ["string", "object", "array"] }),
        Shape::Bounds => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, reference("bounds")] }),
    }
}

fn step() -> Value {
    let names: Vec<Value> = NAMES.iter().map(|(name, doc)| json!({ "const": name, "description": doc })).collect();
    let tables = TABLES.iter().chain([&JSON_STEP]).map(|(name, doc)| {
        let mut value = argument(name);
        value["description"] = json!(doc);
        let mut properties = json!({ *name: value });
        if *name == "lookup" {
            properties["default"] = json!({ "type": "string" });
        }
        json!({ "type": "object", "additionalProperties": false, "required": [name], "properties": properties })
    });
    json!({ "anyOf": names.into_iter().chain(tables).collect::<Vec<_>>() })
}

/// What stands behind the name of a step that is a table.
fn argument(step: &str) -> Value {
    let text = || json!({ "type": "string" });
    let pair = || json!({ "type": "array", "minItems": 2, "maxItems": 2, "items": text() });
    match step {
        "remove" | "remove_prefix" | "remove_suffix" => {
            json!({ "anyOf": [text(), { "type": "array", "items": text() }] })
        }
        "replace" => json!({ "anyOf": [pair(), { "type": "array", "items": pair() }] }),
        "regex_replace" => pair(),
        "lookup" => json!({ "type": "object" }),
        "slice" => json!({ "type": "array", "minItems": 1, "maxItems": 2, "items": { "type": "integer" } }),
        "truncate" => json!({ "type": "integer", "minimum": 1 }),
        "nth" => json!({ "type": "integer" }),
        _ => text(),
    }
}
