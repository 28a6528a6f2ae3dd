//! The examples at the root, and the JSON Schema: every example loads and is valid by the schema; what the schema says is
//! what the loader says.
#![allow(clippy::unwrap_used)] // helpers of tests fail the test

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use weir_spider::Spider;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

fn as_json(text: &str) -> serde_json::Value {
    fn json(value: toml::Value) -> serde_json::Value {
        match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(n) => n.into(),
            toml::Value::Float(f) => f.into(),
            toml::Value::Boolean(b) => b.into(),
            toml::Value::Datetime(d) => d.to_string().into(),
            toml::Value::Array(list) => list.into_iter().map(json).collect(),
            toml::Value::Table(table) => {
                table.into_iter().map(|(key, value)| (key, json(value))).collect::<serde_json::Map<_, _>>().into()
            }
        }
    }
    json(toml::Value::Table(toml::from_str(text).unwrap()))
}

fn validator() -> jsonschema::Validator {
    let schema = Spider::json_schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn every_example_loads_and_is_valid_by_the_schema() {
    let validator = validator();
    for path in examples() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        Spider::load(&name, &text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let instance = as_json(&text);
        let errors: Vec<_> = validator.iter_errors(&instance).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn annotated_example_of_the_crate_loads_and_is_valid_by_the_schema() {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let doc: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let text: Vec<&str> = doc
        .iter()
        .skip_while(|line| line.trim() != "```toml")
        .skip(1)
        .take_while(|line| line.trim() != "```")
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let text = text.join("\n");
    let given = [("area".to_owned(), "leeds".to_owned())];
    let spider = Spider::load("lib.rs", &text, &given).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(spider.start_urls().len(), 1669);
    assert_eq!(spider.depth_max(), Some(10));
    assert!(spider.settings().contains_key("user_agent"));
    let errors: Vec<_> =
        validator().iter_errors(&as_json(&text)).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn whole_spiders_in_the_reference_load() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spider-file.md")).unwrap();
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole: Vec<_> = blocks.filter(|block| block.contains("name = \"books\"")).collect();
    assert_eq!(whole.len(), 1);
    for block in whole {
        Spider::load("spider-file.md", block, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    }
}

#[test]
fn design_s_spider_is_an_example_word_for_word() {
    let Some(path) = examples().into_iter().find(|path| path.ends_with("properties.toml")) else { return };
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(
        text.trim(),
        include_str!("properties.toml").trim(),
        "examples/properties.toml is the spider of DESIGN.md"
    );
}

#[test]
fn schema_refuses_what_the_loader_refuses_about_keys_types_and_choices() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let validator = validator();
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let said = Spider::load("x", &text, &[]).unwrap_err().to_string();
        // Names that refer to each other, selectors and URLs are beyond a schema.
        let within = [
            "has no key",
            "is not supported yet",
            "there is no type",
            "there is no step",
            "out of range",
            "there is no method",
        ];
        if within.iter().any(|words| said.contains(words)) {
            checked += 1;
            assert!(!validator.is_valid(&as_json(&text)), "{}", path.display());
        }
    }
    assert!(checked >= 20, "{checked}");
}
