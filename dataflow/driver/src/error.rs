//! Why a crawl could not start or go on. Each says what, where and what to do.

use weir_store::StoreError;

/// A crawl's error.
#[derive(Debug, thiserror::Error)]
pub enum CrawlError {
    /// The command line or a setting.
    #[error("{0}")]
    Usage(String),
    /// The state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state directory's documents.
    #[error("{0}")]
    State(String),
    /// A sink could not be opened, or cannot go on.
    #[error("sink {name}: {error}")]
    Sink {
        /// Which.
        name: String,
        /// Why.
        error: String,
    },
    /// A program that computes does not work.
    #[error("{0}")]
    Computation(String),
    /// A part of weir itself has died.
    #[error("{0}")]
    Died(String),
    /// A thread or runtime could not be started.
    #[error("cannot start {what}: {error}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
}
