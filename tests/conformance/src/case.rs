//! One line of a file, and what came of it.

use serde_json::Value;

/// One call of a passing test of a reference project.
pub struct Case {
    /// Line number, from 1.
    pub number: usize,
    /// All its fields.
    pub value: Value,
}

/// What checking a case came to.
#[derive(Debug)]
pub enum Checked {
    /// Weir gives the same.
    Same,
    /// Weir gives something else: this.
    Differs(Value),
    /// Nothing in it is comparable: read, not counted.
    NotCounted,
    /// Known when all lines were read.
    Later,
}

impl Checked {
    /// Compares, keeping what was got.
    pub fn compare(expected: &Value, got: Value) -> Checked {
        if *expected == got { Checked::Same } else { Checked::Differs(got) }
    }
}

impl Case {
    /// A field; `null` when it is missing.
    pub fn field(&self, name: &str) -> &Value {
        &self.value[name]
    }

    /// A text field; empty when it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap_or_default()
    }

    /// A field of the options.
    pub fn option(&self, name: &str) -> &Value {
        &self.value["options"][name]
    }

    /// Read, not counted.
    pub fn is_not_counted(&self) -> bool {
        self.value["portable"] == Value::Bool(false) || self.value["disputed"] == Value::Bool(true)
    }

    /// The input as text, for patterns: whichever of the formats' input fields there is.
    pub fn input_text(&self) -> String {
        let fields = ["input", "robots", "document", "html", "body", "items"];
        match fields.into_iter().map(|name| &self.value[name]).find(|value| !value.is_null()) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}

/// Text or bytes: a string, `{"bytes_utf8": ...}`, `{"bytes_hex": ...}` or `{"bytes_b64": ...}`. The flag says whether it is bytes.
pub fn bytes_of(value: &Value) -> Option<(Vec<u8>, bool)> {
    if let Some(text) = value.as_str() {
        return Some((text.as_bytes().to_vec(), false));
    }
    if let Some(text) = value["bytes_utf8"].as_str() {
        return Some((text.as_bytes().to_vec(), true));
    }
    if let Some(hex) = value["bytes_hex"].as_str() {
        return hex_decode(hex).map(|bytes| (bytes, true));
    }
    value["bytes_b64"].as_str().and_then(base64_decode).map(|bytes| (bytes, true))
}

fn hex_decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().map(|b| char::from(b).to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Standard base64, padding optional.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
