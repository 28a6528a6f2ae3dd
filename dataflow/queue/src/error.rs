//! What goes wrong with a queue, a store or a claim, by what to do about it.

/// What retry looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueErrorClass {
    /// Trying again may help: throttling, a time-out, a server's error.
    Transient,
    /// Trying again does not help until somebody changes something: no such queue, no permission, no credentials.
    Permanent,
    /// A message beyond a limit.
    TooLarge,
    /// There is no such thing: an artifact, a receipt.
    NotFound,
    /// It is there already (`put_new`).
    Exists,
}

/// An error with its class and what a person reads: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueueError {
    /// What retry looks at.
    pub class: QueueErrorClass,
    /// Lowercase, no secrets.
    pub message: String,
}

impl QueueError {
    /// An error of a class.
    #[must_use]
    pub fn new(class: QueueErrorClass, message: impl Into<String>) -> QueueError {
        QueueError { class, message: message.into() }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.class == QueueErrorClass::Transient
    }
}
