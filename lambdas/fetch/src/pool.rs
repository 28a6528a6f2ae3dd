//! Connections of one thread: opened through resolver, guard and TLS, kept while idle, never shared between threads.
//!
//! Invariants: an idle connection is used last in, first out, so that surplus ones age and close; a connection is handed to
//! one request at a time (HTTP/1) or to as many as the server allows (HTTP/2); nothing is retried here.

use crate::guard::Guard;
use crate::http1::Http1;
use crate::http2::Http2;
use crate::resolve::Resolver;
use crate::settings::{FetchSettings, HEADER_COUNT_INLINE};
use crate::target::{Place, Target};
use crate::tls::Tls;
use crate::wire::{Gate, Socket, Wire};
use hyper::client::conn::http1;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use weir_model::{Clock, FailureClass, Tick};

/// A connection that can take a request.
pub(crate) enum Link {
    Http1(Box<Http1>),
    Http2(Rc<Http2>),
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

/// One origin and its connections.
pub(crate) struct Site {
    pub tls: bool,
    pub place: Place,
    idle: RefCell<Vec<(Box<Http1>, Tick)>>,
    shared: RefCell<Option<(Rc<Http2>, Tick)>>,
    /// Held while the first connection shows whether the server speaks HTTP/2: then all share that one.
    opening: Mutex<()>,
    speaks_http1: Cell<bool>,
}

type Sites = HashMap<Box<str>, Rc<Site>, BuildHasherDefault<DefaultHasher>>;

/// One thread's connections.
pub(crate) struct Pool {
    settings: Arc<FetchSettings>,
    guard: Arc<Guard>,
    clock: Arc<dyn Clock>,
    resolver: Resolver,
    tls: Tls,
    http1: http1::Builder,
    sites: RefCell<Sites>,
    idle: Cell<usize>,
    swept_at: Cell<Tick>,
}

impl Pool {
    pub fn new(
        settings: Arc<FetchSettings>,
        guard: Arc<Guard>,
        clock: Arc<dyn Clock>,
        tls: Tls,
        resolver: Option<Resolver>,
    ) -> Pool {
        let mut http1 = http1::Builder::new();
        // Pages come from servers as they are; what browsers read, is read.
        http1
            .max_header_size(settings.header_bytes_max)
            .max_buf_size(settings.header_bytes_max.max(64 << 10))
            .title_case_headers(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true);
        if settings.header_count_max != HEADER_COUNT_INLINE {
            http1.max_headers(settings.header_count_max);
        }
        let resolver = resolver.unwrap_or_else(|| Resolver::new(&settings, Arc::clone(&clock)));
        let swept_at = Cell::new(clock.now());
        let (sites, idle) = (RefCell::default(), Cell::new(0));
        Pool { settings, guard, clock, resolver, tls, http1, sites, idle, swept_at }
    }

    /// The site of a URL.
    pub fn site(&self, target: &Target<'_>) -> Result<Rc<Site>, String> {
        if let Some(site) = self.sites.borrow().get(target.origin) {
            return Ok(Rc::clone(site));
        }
        let site = Rc::new(Site {
            tls: target.tls,
            place: target.place()?,
            idle: RefCell::default(),
            shared: RefCell::default(),
            opening: Mutex::default(),
            speaks_http1: Cell::new(!target.tls),
        });
        self.sites.borrow_mut().insert(target.origin.into(), Rc::clone(&site));
        Ok(site)
    }

    /// A kept connection that is still open.
    pub fn take(&self, site: &Site) -> Option<Link> {
        let now = self.clock.now();
        self.sweep(now);
        if let Some(shared) = self.shared(site, now) {
            return Some(shared);
        }
        loop {
            let (mut connection, since) = site.idle.borrow_mut().pop()?;
            self.idle.set(self.idle.get() - 1);
            if now.since(since) < self.settings.idle_timeout && connection.is_usable() {
                return Some(Link::Http1(connection));
            }
        }
    }

    fn shared(&self, site: &Site, now: Tick) -> Option<Link> {
        let mut shared = site.shared.borrow_mut();
        let (connection, used_at) = shared.as_mut()?;
        if connection.is_usable() {
            *used_at = now;
            return Some(Link::Http2(Rc::clone(connection)));
        }
        *shared = None;
        None
    }

    /// Keeps a connection whose answer was read to its end.
    pub fn give(&self, site: &Site, mut connection: Box<Http1>) {
        let mut idle = site.idle.borrow_mut();
        let full = self.idle.get() >= self.settings.idle_max || idle.len() >= self.settings.idle_per_origin_max;
        if !full && connection.is_done() {
            idle.push((connection, self.clock.now()));
            self.idle.set(self.idle.get() + 1);
        }
    }

    /// Closes what is too old or was closed by its server, now and then, and forgets origins that nobody uses: a broad crawl
    /// stays bounded.
    fn sweep(&self, now: Tick) {
        let timeout = self.settings.idle_timeout;
        if now.since(self.swept_at.get()) < timeout / 2 {
            return;
        }
        self.swept_at.set(now);
        let mut count = 0;
        self.sites.borrow_mut().retain(|_, site| {
            let mut idle = site.idle.borrow_mut();
            idle.retain_mut(|(connection, since)| now.since(*since) < timeout && connection.is_usable());
            count += idle.len();
            let mut shared = site.shared.borrow_mut();
            shared.take_if(|(connection, used_at)| {
                !connection.is_usable() || connection.is_idle() && now.since(*used_at) >= timeout
            });
            !idle.is_empty() || shared.is_some() || Rc::strong_count(site) > 1
        });
        self.idle.set(count);
    }

    /// Opens a connection: resolves, asks the guard for every address, connects to the first permitted one that answers.
    pub async fn open(&self, site: &Site) -> Result<Link, ConnectError> {
        let limit = self.settings.connect_timeout;
        match tokio::time::timeout(limit, Box::pin(self.open_unbounded(site))).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::new(FailureClass::Timeout, format!("no connection within {limit:?}"))),
        }
    }

    async fn open_unbounded(&self, site: &Site) -> Result<Link, ConnectError> {
        let _first = if site.speaks_http1.get() { None } else { Some(site.opening.lock().await) };
        // Whoever was before may have found that all share one.
        if let Some(shared) = self.shared(site, self.clock.now()) {
            return Ok(shared);
        }
        let stream = self.connect(&site.place).await?;
        // A socket option that cannot be set costs latency, not correctness.
        let _ = stream.set_nodelay(true);
        let gate = Gate::new(Arc::clone(&self.clock));
        if !site.tls {
            return self.http1(Wire { socket: Socket::Plain(stream), gate }).await;
        }
        let (stream, http2) = self
            .tls
            .wrap(&site.place.host, stream)
            .await
            .map_err(|error| ConnectError::new(FailureClass::Tls, error))?;
        let wire = Wire { socket: Socket::Tls(Box::new(stream)), gate };
        if !http2 {
            site.speaks_http1.set(true);
            return self.http1(wire).await;
        }
        site.speaks_http1.set(false);
        let made = Http2::handshake(wire, self.settings.streams_max, self.settings.header_bytes_max)
            .await
            .map_err(|error| ConnectError::new(FailureClass::Connect, error.to_string()))?;
        *site.shared.borrow_mut() = Some((Rc::clone(&made), self.clock.now()));
        Ok(Link::Http2(made))
    }

    async fn http1(&self, wire: Wire) -> Result<Link, ConnectError> {
        let made = Http1::handshake(&self.http1, wire).await;
        let made = made.map_err(|error| ConnectError::new(FailureClass::Connect, error.to_string()))?;
        Ok(Link::Http1(Box::new(made)))
    }

    async fn connect(&self, place: &Place) -> Result<TcpStream, ConnectError> {
        let found = self.resolver.resolve(&place.host).await;
        let found = found
            .map_err(|error| ConnectError::new(FailureClass::Dns, format!("cannot resolve {}: {error}", place.host)))?;
        let sockets = || found.iter().map(|address| SocketAddr::new(*address, place.port));
        let permitted: Vec<SocketAddr> = sockets().filter(|socket| self.guard.permits(&place.host, *socket)).collect();
        let mut last = match sockets().next() {
            None => ConnectError::new(FailureClass::Dns, format!("{} has no address", place.host)),
            Some(first) => ConnectError::new(
                FailureClass::ForbiddenAddress,
                format!("{} is at {}, a special-purpose address that no start URL names", place.host, first.ip()),
            ),
        };
        for (at, socket) in permitted.iter().enumerate() {
            // An address that swallows packets must not use up the time of the next one.
            let all = self.settings.connect_timeout;
            let limit = if at + 1 < permitted.len() { all / 4 } else { all };
            match tokio::time::timeout(limit, TcpStream::connect(socket)).await {
                Ok(Ok(stream)) => {
                    self.guard.note_connected(&place.host, socket.ip());
                    return Ok(stream);
                }
                Ok(Err(error)) => {
                    last = ConnectError::new(FailureClass::Connect, format!("cannot connect to {socket}: {error}"))
                }
                Err(_) => {
                    last =
                        ConnectError::new(FailureClass::Timeout, format!("no connection to {socket} within {limit:?}"))
                }
            }
        }
        Err(last)
    }
}
