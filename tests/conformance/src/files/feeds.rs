//! `feeds/exporters.jsonl`: the bytes that Scrapy's exporters write.

use super::Checker;
use crate::case::{Case, Checked};
use serde_json::{Map, json};
use weir_connector::FeedFormat;
use weir_feed::{Cell, ExportOptions, Exporter};
use weir_frontier::url::{Charset, decode_url_bytes};

/// The file.
pub struct Feeds;

impl Checker for Feeds {
    fn check(&mut self, case: &Case) -> Checked {
        let Some(format) = FeedFormat::from_name(case.text("format")) else { return Checked::NotCounted };
        let none = Map::new();
        let options = match ExportOptions::from_scrapy(case.field("options").as_object().unwrap_or(&none)) {
            Ok(options) => options,
            Err(error) => return Checked::Differs(json!({ "error": error })),
        };
        let mut exporter = Exporter::new(format, options);
        let mut out = Vec::new();
        let mut refused = Vec::new();
        exporter.begin(&mut out);
        for item in case.field("items").as_array().into_iter().flatten() {
            let cells: Vec<(&str, Cell<'_>)> = item
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), Cell::Json(value)))
                .collect();
            // As Scrapy: an item that cannot be written is left out, the feed goes on.
            if let Err(error) = exporter.export(&cells, &mut out) {
                refused.push(error);
            }
        }
        exporter.finish(&mut out);
        let charset = case.option("encoding").as_str().and_then(charset_of).unwrap_or_default();
        match Checked::compare(case.field("output"), json!(decode_url_bytes(&out, charset))) {
            Checked::Differs(got) if !refused.is_empty() => {
                Checked::Differs(json!({ "output": got, "refused": refused }))
            }
            checked => checked,
        }
    }
}

/// Python also says `latin`.
fn charset_of(name: &str) -> Option<Charset> {
    if name == "latin" { Some(Charset::Latin1) } else { Charset::for_label(name) }
}
