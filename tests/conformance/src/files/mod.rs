//! The formats that are known, one module each.

mod feeds;
mod httpcompression;
mod retry;
mod robots;
mod selectors;
mod urls;

use crate::case::{Case, Checked};
use serde_json::Value;

/// Checks the lines of one file.
pub trait Checker {
    /// One line.
    fn check(&mut self, case: &Case) -> Checked;

    /// What can only be said of all lines together: the numbers of failing ones among `compared` (counted, not decided), each with
    /// what was got.
    fn finish(&mut self, compared: &[&Case]) -> Vec<(usize, Value)> {
        let _ = compared;
        Vec::new()
    }
}

/// The checker for a file, by its name.
pub fn checker(name: &str) -> Option<Box<dyn Checker>> {
    Some(match name {
        "urls.jsonl" => Box::new(urls::Urls::default()),
        "robots.jsonl" | "robots_real.jsonl" => Box::new(robots::RobotsFile),
        "retry.jsonl" => Box::new(retry::Retry),
        "selectors.jsonl" => Box::new(selectors::Selectors::default()),
        "httpcompression.jsonl" => Box::new(httpcompression::HttpCompression),
        "feeds/exporters.jsonl" | "exporters.jsonl" => Box::new(feeds::Feeds),
        _ => return None,
    })
}
