//! A prefix of its own for each test, on one server.
#![allow(clippy::unwrap_used, dead_code)] // helpers of tests; not every file uses all

use redis::FromRedisValue;
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_connector::contract::{Place, item, job, schema};
use weir_connector::{ItemOutcome, JobInfo, Sink, SinkError};
use weir_model::{Item, ItemSchema, Value};
use weir_redis::RedisSink;
use weir_services::Service;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A prefix; its keys go with it.
pub struct Keys {
    /// `redis://host:port/0`.
    pub server: String,
    pub prefix: String,
    options: &'static str,
}

impl Keys {
    pub fn fresh(options: &'static str) -> Keys {
        Keys::on(Service::shared_redis().unwrap().url(), options)
    }

    /// On a server by its URL.
    pub fn on(url: &str, options: &'static str) -> Keys {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("weir_t{}_{number}:", std::process::id());
        Keys { server: url.to_owned(), prefix, options }
    }

    pub fn url(&self) -> String {
        self.url_at(&self.server)
    }

    /// The same on another address.
    pub fn url_at(&self, server: &str) -> String {
        format!("{server}?prefix={}{}", self.prefix, self.options)
    }

    /// A new sink, not yet opened.
    pub fn sink(&self) -> RedisSink {
        RedisSink::from_url(&self.url()).unwrap()
    }

    /// A new sink, opened.
    pub fn open(&self) -> RedisSink {
        let mut sink = self.sink();
        sink.open(&job(None)).unwrap();
        sink
    }

    /// A command's answer; `~` in a part stands for the prefix.
    pub fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        self.try_ask(command).unwrap()
    }

    pub fn try_ask<T: FromRedisValue>(&self, command: &str) -> redis::RedisResult<T> {
        let mut connection = redis::Client::open(&*self.server)?.get_connection()?;
        let mut parts = command.split(' ').map(|part| part.replace('~', &self.prefix));
        let mut command = redis::cmd(&parts.next().unwrap());
        for part in parts {
            command.arg(part);
        }
        command.query(&mut connection)
    }

    pub fn names(&self, pattern: &str) -> Vec<String> {
        let mut names: Vec<String> = self.ask(&format!("KEYS {pattern}"));
        names.sort();
        names
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A server that a test has stopped takes its data along.
        for name in self.try_ask::<Vec<String>>("KEYS ~*").unwrap_or_default() {
            let _ = self.try_ask::<i64>(&format!("DEL {name}"));
        }
    }
}

impl Place for Keys {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(Keys::sink(self))
    }

    fn read(&mut self) -> Vec<(String, Json)> {
        let hash = |name: &String| {
            let cells: (String, f64) = self.ask(&format!("HMGET {name} url price"));
            (cells.0, cells.1.into())
        };
        self.names("~listing:????????????????????????????????").iter().map(hash).collect()
    }
}

pub fn try_write(sink: &mut RedisSink, items: &[Arc<Item>]) -> Result<Vec<ItemOutcome>, SinkError> {
    let mut outcomes = Vec::new();
    weir_connector::contract::wait(sink.write(items, &mut outcomes)).map(|_| outcomes)
}

/// The suite's job with another schema.
pub fn job_with(change: impl FnOnce(&mut ItemSchema)) -> JobInfo {
    let mut changed = schema();
    change(&mut changed);
    JobInfo { schemas: vec![Arc::new(changed)], ..job(None) }
}

/// The suite's item with one value changed.
pub fn with_value(id: u32, version: u64, at: usize, value: Value) -> Arc<Item> {
    let mut values = item(id, version, 1.0).values.clone();
    values[at] = value;
    Arc::new(Item { values, ..(*item(id, version, 1.0)).clone() })
}
