//! Queues and artifacts that do not take what is written to them, for as long as a test says so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_queue::{ArtifactStore, BoxFuture, MessageQueue, QueueError, QueueErrorClass, Receipt, Received};

/// What takes nothing.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    away: BTreeSet<&'static str>,
    /// What was to be written there meanwhile.
    kept_out: Vec<(String, String)>,
}

impl Faults {
    /// A queue, or objects whose keys begin like this, take nothing from now on.
    pub fn begin(&self, name: &'static str) {
        self.0.lock().expect("no panic").away.insert(name);
    }

    pub fn end(&self) {
        self.0.lock().expect("no panic").away.clear();
    }

    /// Whether something was to be written to this queue or key that says this.
    pub fn kept_out(&self, name: &str, text: &str) -> bool {
        self.0.lock().expect("no panic").kept_out.iter().any(|(to, body)| to == name && body.contains(text))
    }

    fn check(&self, name: &str, body: &str) -> Result<(), QueueError> {
        let mut book = self.0.lock().expect("no panic");
        if book.away.iter().all(|begin| !name.starts_with(begin)) {
            return Ok(());
        }
        book.kept_out.push((name.to_owned(), body.to_owned()));
        Err(QueueError::new(QueueErrorClass::Transient, format!("{name}: 503")))
    }
}

/// A queue or a store with faults.
pub struct Faulty<T: ?Sized>(pub Arc<T>, pub Faults);

impl<T: MessageQueue + ?Sized> MessageQueue for Faulty<T> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn body_bytes_max(&self) -> usize {
        self.0.body_bytes_max()
    }

    fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        let checked: Vec<_> = bodies.iter().map(|body| self.1.check(self.name(), body)).collect();
        if checked.iter().all(Result::is_ok) {
            return self.0.send(bodies);
        }
        Box::pin(async { checked })
    }

    fn receive(&self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>> {
        self.0.receive(max, wait)
    }

    fn extend<'a>(
        &'a self,
        receipts: &'a [Receipt],
        visibility: Duration,
    ) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        self.0.extend(receipts, visibility)
    }

    fn settle<'a>(&'a self, receipts: &'a [Receipt]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        self.0.settle(receipts)
    }
}

impl<T: ArtifactStore + ?Sized> ArtifactStore for Faulty<T> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>, QueueError>> {
        self.0.get(key)
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        match self.1.check(key, &String::from_utf8_lossy(&bytes)) {
            Ok(()) => self.0.put(key, bytes),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    fn put_new<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        self.0.put_new(key, bytes)
    }

    fn list<'a>(&'a self, prefix: &'a str, max: usize) -> BoxFuture<'a, Result<Vec<String>, QueueError>> {
        self.0.list(prefix, max)
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), QueueError>> {
        self.0.remove(key)
    }
}
