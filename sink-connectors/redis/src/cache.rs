//! The geocode cache: address to whatever the geocoder wrote, for a time. Many at once, one round trip.

use crate::link::Link;
use crate::place::RedisPlace;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use weir_connector::{Bridge, ErrorClass, SinkError};

/// A cache of geocodes in Redis, under the prefix of a sink's URL.
#[derive(Debug)]
pub struct RedisCache {
    link: Arc<Mutex<Link>>,
    prefix: String,
    bridge: Bridge,
}

impl RedisCache {
    /// By the sink's URL; connects at the first use. The URL's `ttl` is of items, not of geocodes.
    pub fn from_url(url: &str) -> Result<RedisCache, SinkError> {
        let place = RedisPlace::parse(url)?;
        let password = place.password(|name| std::env::var(name).ok())?;
        let prefix = format!("{}geocode:", place.prefix);
        Ok(RedisCache {
            link: Arc::new(Mutex::new(Link::new(place, &password)?)),
            prefix,
            bridge: Bridge::start("redis")?,
        })
    }

    /// As `from_url`, and asks the server whether this account may read and write there. A server that does not answer, or cannot now,
    /// is no mistake: the cache is best effort.
    pub fn checked(url: &str) -> Result<RedisCache, SinkError> {
        let cache = RedisCache::from_url(url)?;
        let (link, key) = (Arc::clone(&cache.link), cache.key(""));
        let asked = cache.bridge.wait(async move {
            let mut link = link.lock().await;
            let mut pipe = redis::pipe();
            // No address is empty, so nothing of anybody's is overwritten.
            pipe.cmd("MGET").arg(&key).cmd("SET").arg(&key).arg("").arg("PX").arg(1);
            let patience = link.place.connect_timeout;
            tokio::time::timeout(patience, link.all::<redis::Value>("read and write", pipe)).await
        });
        match asked {
            Ok(Err(error)) if error.class != ErrorClass::Transient => Err(of_cache(error)),
            Ok(Ok(_) | Err(_)) | Err(_) => Ok(cache),
        }
    }

    /// What is there for each address, in order; `None` for what is not, or no longer.
    pub async fn get_many<A: AsRef<str>>(&self, addresses: &[A]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = addresses.iter().map(|address| self.key(address.as_ref())).collect();
        let link = Arc::clone(&self.link);
        let read = self.bridge.run(async move {
            let mut command = redis::cmd("MGET");
            command.arg(&keys);
            link.lock().await.ask("read", command).await
        });
        read.await.map_err(of_cache)
    }

    /// Puts values, each for its time (at least a millisecond).
    pub async fn set_many<A: AsRef<str>>(&self, entries: &[(A, Vec<u8>, Duration)]) -> Result<(), SinkError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for (address, value, life) in entries {
            let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX).clamp(1, 3_155_760_000_000);
            pipe.cmd("SET").arg(self.key(address.as_ref())).arg(value).arg("PX").arg(life_ms);
        }
        let link = Arc::clone(&self.link);
        let written = self.bridge.run(async move { link.lock().await.all::<()>("write", pipe).await.map(drop) });
        written.await.map_err(of_cache)
    }

    fn key(&self, address: &str) -> String {
        format!("{}{address}", self.prefix)
    }
}

/// An error in the words of the cache, which is no sink: it needs less of a server, and a crawl goes on without it.
fn of_cache(error: SinkError) -> SinkError {
    let (expected, todo) = match error.class {
        ErrorClass::Transient => (
            "a server that answers and takes writes",
            "Check its host and port, and that the server runs; it is asked again",
        ),
        ErrorClass::Permanent => ("a database of the server", "Correct the number behind the server, or see its log"),
        ErrorClass::Configuration if error.what.contains("NOPERM") => (
            "an account that may use MGET and SET on the keys of the prefix",
            "Widen its rights (ACL SETUSER), or name another user in the URL",
        ),
        ErrorClass::Configuration => return error,
    };
    SinkError { expected: expected.to_owned(), todo: todo.to_owned(), ..error }
}
