//! Where spiders, large messages and status objects lie: bytes by key.

use crate::queue::BoxFuture;
use crate::{QueueError, QueueErrorClass};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A store of bytes by key.
pub trait ArtifactStore: Send + Sync {
    /// What a person calls it.
    fn name(&self) -> &str;

    /// The bytes; `NotFound` when there are none.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>, QueueError>>;

    /// Writes, whether something is there or not.
    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>>;

    /// Writes only where nothing is; else `Exists`, and nothing changes.
    fn put_new<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>>;

    /// Keys that begin with `prefix`, in order, at most `max`.
    fn list<'a>(&'a self, prefix: &'a str, max: usize) -> BoxFuture<'a, Result<Vec<String>, QueueError>>;

    /// Removes; nothing there is no error.
    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), QueueError>>;
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryArtifacts {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryArtifacts {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        act(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ArtifactStore for MemoryArtifacts {
    fn name(&self) -> &str {
        "memory"
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Vec<u8>, QueueError>> {
        let found = self.with(|objects| objects.get(key).cloned());
        let missing = move || QueueError::new(QueueErrorClass::NotFound, format!("no artifact {key}"));
        Box::pin(async move { found.ok_or_else(missing) })
    }

    fn put<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        self.with(|objects| objects.insert(key.to_owned(), bytes));
        Box::pin(async { Ok(()) })
    }

    fn put_new<'a>(&'a self, key: &'a str, bytes: Vec<u8>) -> BoxFuture<'a, Result<(), QueueError>> {
        let put = self.with(|objects| {
            if objects.contains_key(key) {
                return Err(QueueError::new(QueueErrorClass::Exists, format!("artifact {key} is there already")));
            }
            objects.insert(key.to_owned(), bytes);
            Ok(())
        });
        Box::pin(async { put })
    }

    fn list<'a>(&'a self, prefix: &'a str, max: usize) -> BoxFuture<'a, Result<Vec<String>, QueueError>> {
        let keys = self.with(|objects| {
            let from = objects.range(prefix.to_owned()..).map(|(key, _)| key);
            from.take_while(|key| key.starts_with(prefix)).take(max).cloned().collect()
        });
        Box::pin(async { Ok(keys) })
    }

    fn remove<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), QueueError>> {
        self.with(|objects| objects.remove(key));
        Box::pin(async { Ok(()) })
    }
}
