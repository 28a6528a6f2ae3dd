//! Connections of one thread: opened through guard and TLS, kept while idle, never shared between threads.
//!
//! Invariants: an idle connection is used last in, first out, so that surplus ones age and close; a connection is handed to
//! one request at a time (HTTP/1) or to many up to the server's limit (HTTP/2); nothing is retried here.

use crate::guard::Guard;
use crate::resolve::Resolver;
use crate::settings::FetchSettings;
use crate::tls::Tls;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use weir_model::{FailureClass, Tick};

/// A request's body.
pub(crate) type Body = Full<Bytes>;

/// A connection that can take a request now.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Waits until it can take a request; false when it was closed.
    pub async fn ready(&mut self) -> bool {
        match self {
            Connection::Http1(sender) => sender.ready().await.is_ok(),
            Connection::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

/// Why no connection could be had. Nothing was written.
#[derive(Debug)]
pub(crate) struct ConnectError {
    pub class: FailureClass,
    pub reason: String,
}

impl ConnectError {
    fn new(class: FailureClass, reason: impl Into<String>) -> ConnectError {
        ConnectError { class, reason: reason.into() }
    }
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub tls: bool,
    pub host: Box<str>,
    pub port: u16,
}

struct Idle {
    connection: http1::SendRequest<Body>,
    since: Tick,
}

#[derive(Default)]
struct Kept {
    idle: Vec<Idle>,
    shared: Option<http2::SendRequest<Body>>,
}

/// One thread's connections.
pub(crate) struct Pool {
    settings: Arc<FetchSettings>,
    guard: Arc<Guard>,
    resolver: Resolver,
    tls: Tls,
    kept: RefCell<HashMap<Origin, Kept, BuildHasherDefault<DefaultHasher>>>,
    idle: RefCell<usize>,
}

impl Pool {
    pub fn new(settings: Arc<FetchSettings>, guard: Arc<Guard>, tls: Tls) -> Pool {
        let resolver = Resolver::new(settings.dns_ttl);
        Pool { settings, guard, resolver, tls, kept: RefCell::default(), idle: RefCell::new(0) }
    }

    /// A kept connection that is still open.
    pub fn take(&self, origin: &Origin, now: Tick) -> Option<Connection> {
        let mut kept = self.kept.borrow_mut();
        let kept = kept.get_mut(origin)?;
        if let Some(shared) = &kept.shared {
            if !shared.is_closed() {
                return Some(Connection::Http2(shared.clone()));
            }
            kept.shared = None;
        }
        while let Some(idle) = kept.idle.pop() {
            *self.idle.borrow_mut() -= 1;
            let fresh = now.since(idle.since) < self.settings.idle_timeout;
            if fresh && !idle.connection.is_closed() {
                return Some(Connection::Http1(idle.connection));
            }
        }
        None
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn give(&self, origin: &Origin, connection: http1::SendRequest<Body>, now: Tick) {
        if connection.is_closed() || *self.idle.borrow() >= self.settings.idle_max {
            return;
        }
        let mut all = self.kept.borrow_mut();
        if !all.contains_key(origin) {
            self.forget_stale(&mut all, now);
            all.insert(origin.clone(), Kept::default());
        }
        let Some(kept) = all.get_mut(origin) else { return };
        if kept.idle.len() < self.settings.idle_per_origin_max {
            kept.idle.push(Idle { connection, since: now });
            *self.idle.borrow_mut() += 1;
        }
    }

    /// Origins whose connections are all too old or closed: looked for when a new origin comes, so a broad crawl stays bounded.
    fn forget_stale(&self, all: &mut HashMap<Origin, Kept, BuildHasherDefault<DefaultHasher>>, now: Tick) {
        let timeout = self.settings.idle_timeout;
        let mut dropped = 0;
        all.retain(|_, kept| {
            let before = kept.idle.len();
            kept.idle.retain(|idle| now.since(idle.since) < timeout && !idle.connection.is_closed());
            dropped += before - kept.idle.len();
            !kept.idle.is_empty() || kept.shared.as_ref().is_some_and(|shared| !shared.is_closed())
        });
        *self.idle.borrow_mut() -= dropped;
    }

    /// Opens a connection: resolves, asks the guard for every address, connects to the first permitted one that answers.
    pub async fn open(&self, origin: &Origin, now: Tick) -> Result<Connection, ConnectError> {
        let limit = self.settings.connect_timeout;
        match tokio::time::timeout(limit, self.open_unbounded(origin, now)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::new(FailureClass::Timeout, format!("no connection within {limit:?}"))),
        }
    }

    async fn open_unbounded(&self, origin: &Origin, now: Tick) -> Result<Connection, ConnectError> {
        let stream = self.connect(origin, now).await?;
        // A socket option that cannot be set costs latency, not correctness.
        let _ = stream.set_nodelay(true);
        if !origin.tls {
            return self.http1(TokioIo::new(stream)).await;
        }
        let (stream, h2) = self.tls.wrap(&origin.host, stream).await.map_err(|error| ConnectError::new(FailureClass::Tls, error))?;
        if h2 { self.http2(origin, TokioIo::new(stream)).await } else { self.http1(TokioIo::new(stream)).await }
    }

    async fn connect(&self, origin: &Origin, now: Tick) -> Result<TcpStream, ConnectError> {
        let addresses = self
            .resolver
            .resolve(&origin.host, now)
            .await
            .map_err(|error| ConnectError::new(FailureClass::Dns, format!("cannot resolve {}: {error}", origin.host)))?;
        let mut last = ConnectError::new(FailureClass::Dns, format!("{} has no address", origin.host));
        for address in addresses.iter() {
            if !self.guard.permits(&origin.host, *address) {
                last = ConnectError::new(
                    FailureClass::ForbiddenAddress,
                    format!("{} is at {address}, a special-purpose address that no start URL names", origin.host),
                );
                continue;
            }
            match TcpStream::connect(SocketAddr::new(*address, origin.port)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    last = ConnectError::new(FailureClass::Connect, format!("cannot connect to {address}:{}: {error}", origin.port));
                }
            }
        }
        Err(last)
    }

    async fn http1<S>(&self, io: TokioIo<S>) -> Result<Connection, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_headers(self.settings.header_count_max)
            .max_buf_size(self.settings.header_bytes_max.max(8192))
            .handshake(io)
            .await
            .map_err(|error| ConnectError::new(FailureClass::Connect, error.to_string()))?;
        // Its end and its errors reach the request that is on it.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Connection::Http1(sender))
    }

    async fn http2<S>(&self, origin: &Origin, io: TokioIo<S>) -> Result<Connection, ConnectError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .max_header_list_size(self.settings.header_bytes_max as u32)
            .handshake(io)
            .await
            .map_err(|error| ConnectError::new(FailureClass::Connect, error.to_string()))?;
        tokio::task::spawn_local(async move { drop(connection.await) });
        self.kept.borrow_mut().entry(origin.clone()).or_default().shared = Some(sender.clone());
        Ok(Connection::Http2(sender))
    }
}

/// Spawns HTTP/2's tasks on this thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

