//! A small HTTP server that tests script: it remembers every request as it arrived and answers what a closure says.
//!
//! The practice site is the judge of what was found; this one is for what only the wire shows: headers that were sent, how many
//! requests were under way at once, bodies of many megabytes that cost nothing to make. A thread a connection; loopback only.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case, and values, in their order.
    pub headers: Vec<(String, String)>,
}

impl Heard {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
pub struct Answer {
    /// Such as `200 OK`.
    pub status: &'static str,
    /// Whole lines, each with its end.
    pub headers: String,
    /// The body.
    pub body: Arc<[u8]>,
}

impl Answer {
    /// A page of HTML.
    #[must_use]
    pub fn page(body: impl AsRef<[u8]>) -> Answer {
        let headers = "Content-Type: text/html; charset=utf-8\r\n".to_owned();
        Answer { status: "200 OK", headers, body: body.as_ref().into() }
    }

    /// Nothing there.
    #[must_use]
    pub fn missing() -> Answer {
        Answer { status: "404 Not Found", headers: String::new(), body: Arc::default() }
    }
}

struct Shared {
    heard: Mutex<Vec<Heard>>,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
    connections: AtomicUsize,
    closed: AtomicBool,
}

/// A running server; it stops taking connections when it is dropped.
pub struct Server {
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    /// Starts on a free port. `answer` may wait: that is how a test holds requests back.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(answer: impl Fn(&Heard) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            heard: Mutex::default(),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let (state, answer) = (Arc::clone(&shared), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.closed.load(Ordering::SeqCst) {
                    return;
                }
                state.connections.fetch_add(1, Ordering::SeqCst);
                let (state, answer) = (Arc::clone(&state), Arc::clone(&answer));
                // A connection that breaks is the client's matter.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &state, &*answer)));
            }
        });
        Server { port, shared }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Requests so far, robots.txt left out.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        let heard = self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|heard| heard.path != "/robots.txt").cloned().collect()
    }

    /// Connections that were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at once: read, and not yet answered by the closure.
    #[must_use]
    pub fn under_way_max(&self) -> usize {
        self.shared.under_way_max.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; it may be gone already.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(stream: TcpStream, shared: &Shared, answer: &dyn Fn(&Heard) -> Answer) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(heard) = read(&mut reader)? {
        shared.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard.clone());
        let now = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        shared.under_way_max.fetch_max(now, Ordering::SeqCst);
        let answer = answer(&heard);
        // Over before the client can know it: what it sends next is not counted beside this one.
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        let length = answer.body.len();
        write!(writer, "HTTP/1.1 {}\r\n{}Content-Length: {length}\r\n\r\n", answer.status, answer.headers)?;
        writer.write_all(&answer.body)?;
    }
    Ok(())
}

/// The next request of a connection; nothing at its end.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Heard>> {
    let mut heard = Heard::default();
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    heard.method = words.next().unwrap_or_default();
    heard.path = words.next().unwrap_or_default();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        heard.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = heard.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(Some(heard))
}
