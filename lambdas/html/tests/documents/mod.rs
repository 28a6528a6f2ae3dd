//! Documents by others (`others/`, see its NOTICE.md), read as the product reads them: bytes decoded by `weir_fetch`.

#![allow(dead_code)] // Each of those who share it takes what it needs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;

/// The folder of the documents.
pub struct Documents {
    /// Inputs of html5lib's tests by name.
    inputs: BTreeMap<String, String>,
}

impl Documents {
    /// Reads what is kept in one file.
    pub fn open() -> Documents {
        let lines = read("html5lib.jsonl");
        let lines = std::str::from_utf8(&lines).expect("JSON Lines are UTF-8");
        let inputs = lines.lines().map(|line| {
            let [name, text]: [String; 2] = serde_json::from_str(line).expect("a name and an input");
            (name, text)
        });
        Documents { inputs: inputs.collect() }
    }

    /// The text of the document that a line names by `file` and `content_type`, or by `input`.
    pub fn text(&self, line: &Json) -> String {
        if let Some(input) = line["input"].as_str() {
            return self.inputs.get(input).unwrap_or_else(|| panic!("html5lib.jsonl has no {input}")).clone();
        }
        let file = line["file"].as_str().expect("a file or an input");
        weir_fetch::decode_text(line["content_type"].as_str(), &read(file)).into_owned()
    }
}

fn read(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/others").join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
