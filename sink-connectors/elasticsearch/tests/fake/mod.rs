//! A server on a loopback port that keeps indices and documents as the real one does, as far as the sink asks for it, and whose
//! answers to `_bulk` are scripted. What it does right is checked against the real one by `server.rs`; it is here to do wrong.
#![allow(clippy::unwrap_used, dead_code)] // helpers of tests; not every file uses all

use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// What happens to one `_bulk` request.
#[derive(Clone, Debug)]
pub enum Script {
    /// As the real one would.
    Pass,
    /// Nothing is done, and this is the answer.
    Answer(u16, String),
    /// Documents by their position in the request get this status and error type, and are not stored; the others are.
    Items(Vec<(usize, u16, &'static str)>),
    /// All is done, and the answer ends after so many bytes.
    CutAfter(usize),
    /// All is done, and nothing is said.
    Silence,
    /// Requests of more bytes get 413, others pass; this stays.
    Limit(usize),
    /// Requests of more bytes get 429, with size and limit in the reason or without, others pass; this stays.
    Room { bytes: usize, named: bool },
    /// A request with this text in it gets 400 as a whole, others pass; this stays.
    Dislike(&'static str),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub body: String,
}

#[derive(Debug, Default)]
pub struct State {
    /// What the sink's question gets whether it may write: as a whole answer or as an item's, a status and an error type.
    pub may_write: Option<(bool, u16, &'static str)>,
    /// Index to what it was made of.
    indices: BTreeMap<String, Json>,
    /// Identity to `_version` and document.
    pub docs: BTreeMap<String, (u64, Json)>,
    pub script: VecDeque<Script>,
    pub asked: Vec<Asked>,
    /// Answers everything with this, before anything else.
    pub always: Option<(u16, &'static str)>,
    /// Knows no point in time.
    pub opensearch: bool,
    closing: bool,
}

pub struct Fake {
    pub port: u16,
    state: Arc<Mutex<State>>,
    door: Option<JoinHandle<()>>,
}

impl Fake {
    pub fn start() -> Fake {
        Fake::with_tls(None)
    }

    pub fn with_tls(tls: Option<Arc<rustls::ServerConfig>>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let door = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().closing {
                    return;
                }
                let (shared, tls, stream) = (Arc::clone(&shared), tls.clone(), stream.unwrap());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &shared),
                    Some(tls) => {
                        let conn = rustls::ServerConnection::new(tls).unwrap();
                        serve(rustls::StreamOwned::new(conn, stream), &shared);
                    }
                });
            }
        });
        Fake { port, state, door: Some(door) }
    }

    pub fn url(&self, options: &str) -> String {
        format!("elasticsearch://127.0.0.1:{}/t{options}", self.port)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn script(&self, script: impl IntoIterator<Item = Script>) {
        self.state().script = script.into_iter().collect();
    }

    /// Bytes of each `_bulk` request since the last look.
    pub fn bulks(&self) -> Vec<usize> {
        let asked = std::mem::take(&mut self.state().asked);
        asked.iter().filter(|asked| asked.path.starts_with("/_bulk")).map(|asked| asked.body.len()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).closing = true;
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.door.take().map(JoinHandle::join);
    }
}

enum Reply {
    Say(u16, String),
    Half(String, usize),
    Nothing,
}

fn serve(stream: impl Read + Write, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream) {
        let reply = {
            let mut state = state.lock().unwrap();
            state.asked.push(asked.clone());
            state.reply(&asked)
        };
        let full = |status: u16, body: &str| {
            format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let stream = stream.get_mut();
        let written = match reply {
            Reply::Say(status, body) => stream.write_all(full(status, &body).as_bytes()).and_then(|()| stream.flush()),
            Reply::Half(body, bytes) => {
                let text = full(200, &body);
                let _ = stream.write_all(&text.as_bytes()[..bytes.min(text.len())]);
                return;
            }
            // Until the client gives up.
            Reply::Nothing => stream.read(&mut [0]).map(drop),
        };
        if written.is_err() {
            return;
        }
    }
}

fn read(stream: &mut BufReader<impl Read>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked { method, path, authorization, body: String::from_utf8(body).ok()? })
}

impl State {
    fn reply(&mut self, asked: &Asked) -> Reply {
        if let Some((status, body)) = self.always {
            return Reply::Say(status, body.to_owned());
        }
        let path = asked.path.split('?').next().unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let say = |json: Json| Reply::Say(200, json.to_string());
        match (asked.method.as_str(), parts.as_slice()) {
            ("POST", ["_bulk"]) => self.bulk(&asked.body),
            ("POST", ["_mget"]) => say(self.mget(&asked.body)),
            ("GET", [_, "_count"]) => say(json!({"count": self.docs.len()})),
            ("POST", [_, "_pit"]) if self.opensearch => {
                Reply::Say(400, json!({"error": "no handler found for uri", "status": 400}).to_string())
            }
            ("POST", [_, "_search"]) => say(self.hits(true)),
            ("POST", ["_search", "scroll"]) => say(self.hits(false)),
            ("POST", ["_aliases"]) => {
                self.indices.retain(|name, _| name != "t-000001" && name != "t");
                say(json!({"acknowledged": true}))
            }
            ("PUT", [index]) => {
                self.indices.insert((*index).to_owned(), serde_json::from_str(&asked.body).unwrap());
                say(json!({"acknowledged": true}))
            }
            ("GET", [name]) => self.index(name),
            _ => say(json!({"acknowledged": true})),
        }
    }

    /// An index made by a test.
    pub fn make(&mut self, name: &str, properties: &Json) {
        self.indices.insert(name.to_owned(), json!({"mappings": {"properties": properties}}));
    }

    fn index(&self, name: &str) -> Reply {
        let behind = |(index, _): &(&String, &Json)| *index == name || index.starts_with(&format!("{name}-"));
        let Some((index, made)) = self.indices.iter().find(behind) else {
            let error =
                json!({"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404});
            return Reply::Say(404, error.to_string());
        };
        let about =
            json!({"mappings": made["mappings"], "aliases": made["aliases"], "settings": {"index": {"uuid": "u"}}});
        Reply::Say(200, json!({index.as_str(): about}).to_string())
    }

    fn bulk(&mut self, body: &str) -> Reply {
        if body.contains("weir-may-write") {
            let (whole, status, kind) = self.may_write.unwrap_or((false, 404, "document_missing_exception"));
            let error = json!({"type": kind, "reason": "scripted"});
            return match whole {
                true => Reply::Say(status, json!({"error": error, "status": status}).to_string()),
                false => {
                    Reply::Say(200, json!({"items": [{"update": {"status": status, "error": error}}]}).to_string())
                }
            };
        }
        let stays = matches!(self.script.front(), Some(Script::Limit(_) | Script::Room { .. } | Script::Dislike(_)));
        let script = if stays { self.script.front().cloned() } else { self.script.pop_front() }.unwrap_or(Script::Pass);
        let error = |status: u16, kind: &str| {
            Reply::Say(status, json!({"error": {"type": kind, "reason": "scripted"}, "status": status}).to_string())
        };
        match script {
            Script::Answer(status, body) => Reply::Say(status, body),
            Script::Limit(bytes) if body.len() > bytes => Reply::Say(413, String::new()),
            Script::Room { bytes, named } if body.len() > bytes => {
                let numbers = format!(
                    "[coordinating_and_primary_bytes=0, replica_bytes=0, all_bytes=0, coordinating_operation_bytes={}, \
                     max_coordinating_and_primary_bytes={bytes}]",
                    body.len()
                );
                let reason =
                    format!("rejected execution of coordinating operation {}", if named { &numbers } else { "" });
                let error = json!({"type": "es_rejected_execution_exception", "reason": reason});
                Reply::Say(429, json!({"error": error, "status": 429}).to_string())
            }
            Script::Dislike(text) if body.contains(text) => error(400, "illegal_argument_exception"),
            Script::Items(chosen) => Reply::Say(200, self.apply(body, &chosen)),
            Script::CutAfter(bytes) => Reply::Half(self.apply(body, &[]), bytes),
            Script::Silence => {
                self.apply(body, &[]);
                Reply::Nothing
            }
            Script::Pass | Script::Limit(_) | Script::Room { .. } | Script::Dislike(_) => {
                Reply::Say(200, self.apply(body, &[]))
            }
        }
    }

    fn apply(&mut self, body: &str, chosen: &[(usize, u16, &'static str)]) -> String {
        assert!(body.ends_with('\n'), "the last line ends, too");
        let lines: Vec<Json> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut items = Vec::new();
        for (at, pair) in lines.chunks(2).enumerate() {
            let head = &pair[0]["index"];
            let id = head["_id"].as_str().unwrap().to_owned();
            let there = self.docs.get(&id).map(|(version, _)| *version);
            let scripted = chosen.iter().find(|(number, ..)| *number == at);
            let (status, kind) = match (scripted, head["version"].as_u64(), head["version_type"].as_str()) {
                (Some((_, status, kind)), ..) => (*status, *kind),
                (None, Some(version), Some("external")) if there.is_some_and(|there| there >= version) => {
                    (409, "version_conflict_engine_exception")
                }
                (None, version, _) => {
                    self.docs.insert(id, (version.unwrap_or_else(|| there.unwrap_or(0) + 1), pair[1].clone()));
                    (201, "")
                }
            };
            let error = (status != 201).then(|| json!({"type": kind, "reason": "scripted"}));
            items.push(json!({"index": {"status": status, "error": error}}));
        }
        json!({"items": items}).to_string()
    }

    fn mget(&self, body: &str) -> Json {
        let asked: Json = serde_json::from_str(body).unwrap();
        let one = |doc: &Json| match self.docs.get(doc["_id"].as_str().unwrap()) {
            Some((version, source)) => {
                json!({"found": true, "_seq_no": 1, "_primary_term": 1, "_version": version, "_source": source})
            }
            None => json!({"found": false}),
        };
        json!({"docs": asked["docs"].as_array().unwrap().iter().map(one).collect::<Vec<_>>()})
    }

    fn hits(&self, first: bool) -> Json {
        let hit = |(id, (version, source)): (&String, &(u64, Json))| json!({"_id": id, "_version": version, "_source": source, "sort": [0]});
        let hits: Vec<Json> = self.docs.iter().filter(|_| first).map(hit).collect();
        json!({"_scroll_id": "s", "_shards": {"failed": 0}, "hits": {"hits": hits}})
    }
}
