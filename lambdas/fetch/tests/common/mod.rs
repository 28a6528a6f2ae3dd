//! A server that does as a test says, on the test's own runtime, in virtual time; and a fetcher that may reach it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use weir_fetch::{Answer, ByteBudget, FetchSettings, Fetched, Fetcher, Guard};
use weir_model::{Clock, FailureClass, JobId, LinkExtra, Release, ReleaseId, Request, RequestKind, Tick};

/// The runtime's clock, which tests move.
pub struct RuntimeClock(Instant);

impl RuntimeClock {
    #[allow(clippy::disallowed_methods, reason = "the adapter of these tests")]
    pub fn start() -> Arc<RuntimeClock> {
        Arc::new(RuntimeClock(Instant::now()))
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Tick {
        Tick(1_000_000).after(self.0.elapsed())
    }
}

/// Jumps behind every slot at one of its readings.
pub struct Jumping {
    readings: AtomicU64,
    at: u64,
}

impl Jumping {
    pub fn at(at: u64) -> Arc<Jumping> {
        Arc::new(Jumping { readings: AtomicU64::new(0), at })
    }
}

impl Clock for Jumping {
    fn now(&self) -> Tick {
        let number = self.readings.fetch_add(1, Ordering::Relaxed);
        if number >= self.at { Tick(5_000_000) } else { Tick(1_000_000) }
    }
}

/// Runs a test on one thread, in time that passes in steps: each when all has happened on the sockets that could.
///
/// tokio's own automatic advance would jump to the next timer as soon as all tasks wait, also when a peer is about to answer.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(async {
            loop {
                // Each of these asks the sockets once, when nothing else is to be done.
                for _ in 0..TURNS_A_STEP {
                    tokio::task::yield_now().await;
                }
                tokio::time::advance(STEP).await;
            }
        });
        test.await
    })
}

/// Runs a test about amounts, not about time: kernel buffers that fill up wait by the wall clock.
pub fn run_untimed<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

const STEP: Duration = Duration::from_millis(20);
const TURNS_A_STEP: usize = 20;

/// One connection, from the server's side.
pub struct Peer {
    pub stream: TcpStream,
    /// 0 for the first connection of the server.
    pub number: usize,
    seen: Rc<RefCell<Vec<String>>>,
    rest: Vec<u8>,
}

impl Peer {
    /// The next request, head and body; `None` when the client closed.
    pub async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.rest[..end + 4]).into_owned();
                let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
                while self.rest.len() < end + 4 + length {
                    self.more().await?;
                }
                let whole = self.rest.drain(..end + 4 + length).collect();
                let whole = String::from_utf8(whole).expect("requests of these tests are text");
                self.seen.borrow_mut().push(whole.clone());
                return Some(whole);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.rest).await.ok()?;
        (count > 0).then_some(())
    }

    /// Sends bytes; false when nobody takes them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends a whole answer.
    pub async fn answer(&mut self, status: &str, headers: &str, body: impl AsRef<[u8]>) -> bool {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        self.send([head.as_bytes(), body].concat()).await
    }

    /// Sends an answer whose length is not told: it ends with the connection.
    pub async fn answer_until_close(&mut self, headers: &str, body: impl AsRef<[u8]>) -> bool {
        self.send([format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes(), body.as_ref()].concat()).await
    }

    /// Closes with a reset instead of an end.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
    }
}

/// A header of a request.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A server.
pub struct Server {
    pub port: u16,
    seen: Rc<RefCell<Vec<String>>>,
    connections: Rc<Cell<usize>>,
    accepted: Rc<tokio::sync::Notify>,
}

impl Server {
    /// Does this with every connection.
    pub async fn start<F: Future<Output = ()> + 'static>(each: impl Fn(Peer) -> F + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Server {
            port: listener.local_addr().expect("an address").port(),
            seen: Rc::default(),
            connections: Rc::default(),
            accepted: Rc::default(),
        };
        let (seen, connections, accepted) =
            (Rc::clone(&server.seen), Rc::clone(&server.connections), Rc::clone(&server.accepted));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Waiting for an acknowledgement is wall-clock time, in which the tests' own time would run away.
                stream.set_nodelay(true).expect("a socket option");
                let number = connections.get();
                connections.set(number + 1);
                accepted.notify_waiters();
                let peer = Peer { stream, number, seen: Rc::clone(&seen), rest: Vec::new() };
                tokio::task::spawn_local(each(peer));
            }
        });
        server
    }

    /// Answers every request of every connection with the same.
    pub async fn answering(status: &'static str, headers: &'static str, body: impl AsRef<[u8]> + 'static) -> Server {
        let body = Rc::new(body);
        Server::start(move |mut peer| {
            let body = Rc::clone(&body);
            async move { while peer.request().await.is_some() && peer.answer(status, headers, (*body).as_ref()).await {} }
        })
        .await
    }

    /// Requests seen so far, over all connections.
    pub fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }
}

pub fn settings() -> FetchSettings {
    FetchSettings { user_agent: "tests (+mailto:tests@example.com)".into(), ..FetchSettings::default() }
}

pub fn fetcher_with(settings: FetchSettings) -> Fetcher {
    fetcher_on(settings, RuntimeClock::start())
}

pub fn fetcher_on(settings: FetchSettings, clock: Arc<dyn Clock>) -> Fetcher {
    let mut guard = Guard::new();
    guard.allow_host("localhost");
    Fetcher::new(Arc::new(settings), Arc::new(guard), Arc::new(ByteBudget::new(64 << 20)), clock)
}

pub fn fetcher() -> Fetcher {
    fetcher_with(settings())
}

pub fn release(url: &str) -> Release {
    let request = Request { url: url.into(), ..Request::default() };
    Release { id: ReleaseId(1), job: JobId(1), not_before: Tick(0), not_after: Tick::NEVER, request }
}

pub fn robots(url: &str) -> Release {
    let mut release = release(url);
    release.request.kind = RequestKind::Robots;
    release
}

pub fn with_extra(url: &str, extra: LinkExtra) -> Release {
    let mut release = release(url);
    release.request.extra = Some(Box::new(extra));
    release
}

/// Status and body of an answer.
pub fn page(fetched: &Fetched) -> (u16, &[u8]) {
    match &fetched.answer {
        Answer::Response(response) => (response.status, &response.body),
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// Class of a failure, and whether it was written.
pub fn failure(fetched: &Fetched) -> (FailureClass, bool) {
    match &fetched.answer {
        Answer::Failed { class, written, .. } => (*class, *written),
        other => panic!("expected a failure, got {other:?}"),
    }
}

pub fn reason(fetched: &Fetched) -> &str {
    match &fetched.answer {
        Answer::Failed { reason, .. } | Answer::Unfetched { reason } => reason,
        Answer::Response(response) => panic!("expected a failure, got status {}", response.status),
    }
}

/// Lets everything happen that can without time.
pub async fn settle() {
    tokio::time::sleep(STEP).await;
}

pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
