//! A CloudFormation template as JSON: `!Ref x` is `{"Ref": "x"}`, `!GetAtt a.B` is `{"Fn::GetAtt": "a.B"}`, and so on.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A template with its name, for messages.
pub struct Template {
    pub name: &'static str,
    pub value: Value,
}

impl Template {
    pub fn load(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        let documents = Yaml::load_from_str(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        Self { name, value: json(&documents[0]) }
    }

    pub fn all() -> [Self; 3] {
        [Self::load("bootstrap.yaml"), Self::load("fleet.yaml"), Self::load("stage.yaml")]
    }

    /// Resources of a type, with their properties resolved as far as defaults and mappings say.
    pub fn resources(&self, kind: &str) -> Vec<(String, Value)> {
        let all = self.value["Resources"].as_object().expect("a template has resources");
        let found = all.iter().filter(|(_, resource)| resource["Type"] == kind);
        found.map(|(name, resource)| (name.clone(), self.resolved(&resource["Properties"]))).collect()
    }

    pub fn resource(&self, name: &str) -> Value {
        let resource = &self.value["Resources"][name];
        assert!(resource.is_object(), "{} has no resource {name}", self.name);
        self.resolved(&resource["Properties"])
    }

    /// Parameters by their defaults and mappings by their values; everything else stays as written.
    fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Array(entries) => entries.iter().map(|entry| self.resolved(entry)).collect(),
            Value::Object(entries) => {
                if let Some([map, first, second]) = value["Fn::FindInMap"].as_array().map(Vec::as_slice) {
                    let keys = [map, first, second].map(|key| key.as_str().expect("keys of mappings are plain here"));
                    let found = &self.value["Mappings"][keys[0]][keys[1]][keys[2]];
                    assert!(!found.is_null(), "{}: no mapping {keys:?}", self.name);
                    return found.clone();
                }
                if let Some(name) = value["Ref"].as_str()
                    && let Some(default) = self.value["Parameters"][name].get("Default")
                {
                    return default.clone();
                }
                entries.iter().map(|(key, entry)| (key.clone(), self.resolved(entry))).collect::<Map<_, _>>().into()
            }
            plain => plain.clone(),
        }
    }
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(entries) => entries.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(key, value): (&Yaml, &Yaml)| (key.as_str().expect("keys are text").to_owned(), json(value));
            entries.iter().map(entry).collect::<Map<_, _>>().into()
        }
        Yaml::Tagged(tag, inner) => {
            let name = match tag.suffix.as_str() {
                "Ref" | "Condition" => tag.suffix.clone(),
                function => format!("Fn::{function}"),
            };
            json!({ name: json(inner) })
        }
        other => panic!("unexpected in a template: {other:?}"),
    }
}
