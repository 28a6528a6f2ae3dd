//! The fetch-and-parse function: a fetch message in, one report a release out. `weir crawl` calls it in its own threads; the
//! Lambda function calls it the same way.
//!
//! Decides what an answer is (page, redirect, robots.txt, nothing to read) and hands pages to the spider. Follows nothing and
//! retries nothing: the frontier decides. Invariant: every release gets exactly one report, whatever happens to it.

pub mod function;
mod handler;

pub use handler::{Handler, ReportSink, SpiderSource};
pub use weir_fetch::Deadline;
