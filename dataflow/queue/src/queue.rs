//! The queue trait: four verbs. At least once, in no order, a message hidden from others while somebody has it.
//!
//! Invariants of every implementation (see [`crate::contract`]): a message that was sent is received again and again until a
//! receipt of it is settled; one that is hidden comes back when its visibility runs out; outcomes are in the order of the
//! entries, and one entry's failure is no other's.

use crate::QueueError;
use std::pin::Pin;
use std::time::Duration;

/// A future that may be kept in a box and moved between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The right to settle or to keep one received message. Another reception gives another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub Box<str>);

/// A message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The queue's name for the message: the same at every reception.
    pub id: String,
    /// Its body, or why it cannot be had though the message is there (a claim ticket without its artifact).
    pub body: Result<String, QueueError>,
    /// For this reception.
    pub receipt: Receipt,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

/// A queue of texts.
pub trait MessageQueue: Send + Sync {
    /// What a person calls it: a name or an address without secrets.
    fn name(&self) -> &str;

    /// The largest body in bytes, as the queue counts them.
    fn body_bytes_max(&self) -> usize;

    /// Puts bodies on the queue. One outcome a body, in order.
    fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Vec<Result<(), QueueError>>>;

    /// Takes at most `max` messages (at most ten), and waits at most `wait` for the first of them. Nothing there is no error.
    fn receive(&self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>>;

    /// Keeps messages hidden for `visibility` from now on; zero gives them back at once. One outcome a receipt, in order.
    fn extend<'a>(
        &'a self,
        receipts: &'a [Receipt],
        visibility: Duration,
    ) -> BoxFuture<'a, Vec<Result<(), QueueError>>>;

    /// Deletes messages. One outcome a receipt, in order.
    fn settle<'a>(&'a self, receipts: &'a [Receipt]) -> BoxFuture<'a, Vec<Result<(), QueueError>>>;
}
