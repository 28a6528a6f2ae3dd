//! What an Elasticsearch server holds, asked by a client that shares nothing with what is tested: one request, one connection.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// One request; anything but 2xx is an error. `path` stands behind `/`; `Null` is no body.
pub fn ask(port: u16, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("no Elasticsearch")?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no end of the headers")?;
    let head = String::from_utf8_lossy(&answer[..at]).to_lowercase();
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body = &answer[at + 4..];
    let body = if head.contains("transfer-encoding: chunked") { joined(body)? } else { body.to_vec() };
    let shown = || String::from_utf8_lossy(&body).chars().take(300).collect::<String>();
    ensure!(status.starts_with('2'), "{method} {path}: status {status}: {}", shown());
    serde_json::from_slice(&body).with_context(|| format!("{method} {path}: no JSON: {}", shown()))
}

/// The chunks of a body in one piece.
fn joined(mut body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(at) = body.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&body[..at])?, 16)?;
        all.extend_from_slice(body.get(at + 2..at + 2 + length).context("a chunk is cut off")?);
        body = body.get(at + 4 + length..).unwrap_or_default();
    }
    Ok(all)
}

/// All documents behind a name, at most 10,000, by their `url`; two with one URL are an error.
pub fn documents(port: u16, name: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    ask(port, "POST", &format!("{name}/_refresh"), &Value::Null)?;
    let found = ask(port, "POST", &format!("{name}/_search"), &json!({"size": 10_000}))?;
    let mut documents = BTreeMap::new();
    for hit in found["hits"]["hits"].as_array().context("hits")? {
        let document = hit["_source"].clone();
        let url = document["url"].as_str().context("a url")?.to_owned();
        ensure!(documents.insert(url.clone(), document).is_none(), "{url} is in the index twice");
    }
    Ok(documents)
}

/// How often a document of an index was written since the server started.
pub fn writes(port: u16, name: &str) -> anyhow::Result<u64> {
    let stats = ask(port, "GET", &format!("{name}/_stats/indexing"), &Value::Null)?;
    stats["_all"]["primaries"]["indexing"]["index_total"].as_u64().context("a count of writes")
}
