//! An alias of its own for each test, on the shared server.
#![allow(clippy::unwrap_used, dead_code)] // helpers of tests; not every file uses all

use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_connector::contract::{Place, item, job, schema, wait};
use weir_connector::{ItemOutcome, JobInfo, Sink, SinkError};
use weir_elasticsearch::ElasticsearchSink;
use weir_model::{Item, ItemSchema, Value};
use weir_services::Service;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An alias and all indices of its name, deleted with the value.
pub struct Alias {
    /// `127.0.0.1:9200`.
    server: String,
    pub name: String,
    options: &'static str,
}

impl Alias {
    pub fn fresh(options: &'static str) -> Alias {
        Alias::on(Service::shared_elasticsearch().unwrap().url(), options)
    }

    /// On a server by its URL.
    pub fn on(url: &str, options: &'static str) -> Alias {
        let server = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Alias { server, name: format!("weir-t{}-{number}", std::process::id()), options }
    }

    pub fn url(&self, options: &str) -> String {
        format!("elasticsearch://{}/{}{options}", self.server, self.name)
    }

    /// The same through a proxy.
    pub fn url_at(&self, port: u16, options: &str) -> String {
        format!("elasticsearch://127.0.0.1:{port}/{}{options}", self.name)
    }

    pub fn port(&self) -> u16 {
        self.server.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// A new sink, not yet opened.
    pub fn sink(&self) -> ElasticsearchSink {
        ElasticsearchSink::from_url(&self.url(self.options)).unwrap()
    }

    /// A new sink, opened.
    pub fn open(&self) -> ElasticsearchSink {
        let mut sink = self.sink();
        sink.open(&job(None)).unwrap();
        sink
    }

    /// Asks the server; `path` stands behind `/`.
    pub fn ask(&self, method: &str, path: &str, body: &Json) -> Json {
        let (status, json) = ask(&self.server, method, path, body).unwrap();
        assert!((200..300).contains(&status), "{method} {path}: {status} {json}");
        json
    }

    pub fn status(&self, method: &str, path: &str, body: &Json) -> u16 {
        ask(&self.server, method, path, body).unwrap().0
    }

    pub fn refresh(&self) {
        self.ask("POST", &format!("{}/_refresh", self.name), &Json::Null);
    }

    /// All documents, by `url`.
    pub fn docs(&self) -> Vec<Json> {
        self.refresh();
        let query = json!({"size": 10_000, "sort": ["url"]});
        let found = self.ask("POST", &format!("{}/_search", self.name), &query);
        let hits = found.pointer("/hits/hits").and_then(Json::as_array).unwrap();
        hits.iter().map(|hit| hit["_source"].clone()).collect()
    }

    /// The index behind the alias.
    pub fn index(&self) -> String {
        let answer = self.ask("GET", &self.name, &Json::Null);
        answer.as_object().unwrap().keys().next().unwrap().clone()
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        // A server that a test has stopped takes its data along.
        for index in [format!("{}-*", self.name), self.name.clone()] {
            let _ = ask(&self.server, "DELETE", &index, &Json::Null);
        }
    }
}

impl Place for Alias {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(Alias::sink(self))
    }

    fn read(&mut self) -> Vec<(String, Json)> {
        let pair = |doc: Json| (doc["url"].as_str().unwrap().to_owned(), doc["price"].clone());
        self.docs().into_iter().map(pair).collect()
    }
}

/// One request, one connection: what a test asks shares nothing with what it tests.
fn ask(server: &str, method: &str, path: &str, body: &Json) -> std::io::Result<(u16, Json)> {
    let mut stream = TcpStream::connect(server)?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..at]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &answer[at + 4..];
    let body = if head.contains("chunked") { joined(body) } else { body.to_vec() };
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// The chunks of a body in one piece.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(at) = body.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&body[..at]).unwrap(), 16).unwrap();
        all.extend_from_slice(&body[at + 2..at + 2 + length]);
        body = &body[at + 4 + length..];
    }
    all
}

pub fn try_write(sink: &mut impl Sink, items: &[Arc<Item>]) -> Result<Vec<ItemOutcome>, SinkError> {
    let mut outcomes = Vec::new();
    wait(sink.write(items, &mut outcomes)).map(|_| outcomes)
}

pub fn batch(ids: std::ops::Range<u32>) -> Vec<Arc<Item>> {
    ids.map(|id| item(id, 1, f64::from(id))).collect()
}

/// The suite's job with another schema.
pub fn job_with(change: impl FnOnce(&mut ItemSchema)) -> JobInfo {
    let mut changed = schema();
    change(&mut changed);
    JobInfo { schemas: vec![Arc::new(changed)], ..job(None) }
}

/// The suite's item with one value changed.
pub fn with_value(id: u32, at: usize, value: Value) -> Arc<Item> {
    let mut values = item(id, 1, 1.0).values.clone();
    values[at] = value;
    Arc::new(Item { values, ..(*item(id, 1, 1.0)).clone() })
}
