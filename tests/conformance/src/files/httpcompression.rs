//! `httpcompression.jsonl`: what Scrapy's middleware makes of Content-Encoding, size limits included.

use super::Checker;
use crate::case::{Case, Checked, base64_decode, sha256_hex};
use serde_json::{Value, json};
use weir_fetch::{DecodeLimits, decode, split_encodings};

/// Scrapy's `DOWNLOAD_MAXSIZE`.
const BYTES_MAX_DEFAULT: u64 = 1 << 30;

/// The file.
pub struct HttpCompression;

impl Checker for HttpCompression {
    fn check(&mut self, case: &Case) -> Checked {
        let Some(body) = base64_decode(case.text("body_b64")) else {
            return Checked::Differs(json!({ "error": "body_b64 is no base64" }));
        };
        let got = decoded(case, body);
        let wants_error = !case.field("error").is_null();
        match got {
            Err(_) if wants_error => Checked::Same,
            Err(error) => Checked::Differs(json!({ "error": error })),
            Ok(got) => {
                let names = ["decoded_len", "decoded_sha256", "content_encoding_after"];
                let expected: Value = names.iter().map(|name| ((*name).to_owned(), case.field(name).clone())).collect();
                if wants_error { Checked::Differs(got) } else { Checked::compare(&expected, got) }
            }
        }
    }
}

fn decoded(case: &Case, body: Vec<u8>) -> Result<Value, String> {
    let headers: Vec<&str> =
        case.field("content_encoding").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // An answer to HEAD has headers about a body that is not there.
    let (left, undone) =
        if case.text("method") == "HEAD" { (Vec::new(), Vec::new()) } else { split_encodings(&headers) };
    let settings = [&case.field("meta")["download_maxsize"], &case.field("settings")["DOWNLOAD_MAXSIZE"]];
    let bytes_max = settings.into_iter().find_map(Value::as_u64).filter(|max| *max > 0).unwrap_or(BYTES_MAX_DEFAULT);
    // Scrapy bounds the size alone.
    let limits = DecodeLimits { bytes_max, ratio_max: u64::MAX };
    let after = match (undone.is_empty(), left.is_empty()) {
        (true, _) => case.field("content_encoding").clone(),
        (false, true) => Value::Null,
        (false, false) => json!(left),
    };
    let body = decode(&undone, body, limits).map_err(|error| error.to_string())?;
    Ok(json!({
        "decoded_len": body.len(),
        "decoded_sha256": sha256_hex(&body),
        "content_encoding_after": after,
    }))
}
