//! One HTTP/2 connection, shared by the requests of its thread; h2 speaks, who polls is decided here.
//!
//! A task drives the connection; a request that was handed over is written at once, in the same poll, by moving the connection
//! with that task's waker. Invariants: never more streams than the server allows, and none while the kernel takes no bytes, so
//! nothing waits inside h2 for its turn while its slot passes; the connection and its task end with the last `Rc`.

use crate::http1::Broken;
use crate::wire::{Gate, Wire};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Connection, ResponseFuture, SendRequest};
use http::Request;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::sync::Notify;

/// Bytes of a body that h2 holds for us before the server has to wait.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same over all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// A connection.
pub(crate) struct Http2 {
    sender: RefCell<SendRequest<Bytes>>,
    connection: RefCell<Connection<Wire, Bytes>>,
    driver: RefCell<Waker>,
    gate: Rc<Gate>,
    closed: Cell<bool>,
    active: Cell<usize>,
    streams_max: usize,
    allowed: Cell<usize>,
    /// Room for a stream.
    freed: Notify,
    /// Nothing is in the way of the next request.
    cleared: Notify,
}

/// Room for one stream; gives it back when dropped.
pub(crate) struct Stream {
    on: Rc<Http2>,
}

impl Http2 {
    /// Shakes hands and starts the connection's task.
    pub async fn handshake(wire: Wire, streams_max: usize, header_bytes_max: usize) -> Result<Rc<Http2>, h2::Error> {
        let gate = Rc::clone(&wire.gate);
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX))
            .enable_push(false)
            // One until the server has said how many: a second might be refused, and a refused request is lost.
            .initial_max_send_streams(1)
            .handshake::<_, Bytes>(wire)
            .await?;
        let made = Rc::new(Http2 {
            sender: RefCell::new(sender),
            connection: RefCell::new(connection),
            driver: RefCell::new(Waker::noop().clone()),
            gate,
            closed: Cell::new(false),
            active: Cell::new(0),
            streams_max,
            allowed: Cell::new(1),
            freed: Notify::new(),
            cleared: Notify::new(),
        });
        tokio::task::spawn_local(drive(Rc::downgrade(&made)));
        Ok(made)
    }

    /// False when it takes no more requests.
    pub fn is_usable(&self) -> bool {
        !self.closed.get()
    }

    /// True when no request is on it.
    pub fn is_idle(&self) -> bool {
        self.active.get() == 0
    }

    /// Waits for room for one more stream; `None` when the connection closed meanwhile.
    pub async fn stream(self: &Rc<Http2>) -> Option<Stream> {
        loop {
            if self.closed.get() {
                return None;
            }
            if self.active.get() < self.allowed.get().min(self.streams_max) {
                self.active.set(self.active.get() + 1);
                return Some(Stream { on: Rc::clone(self) });
            }
            self.freed.notified().await;
        }
    }

    /// True while a request that is handed over would leave later: the kernel takes no bytes, or the server has come to allow
    /// fewer streams than there are.
    pub fn is_blocked(&self) -> bool {
        !self.closed.get() && (self.gate.is_blocked() || self.active.get() > self.allowed.get())
    }

    /// Waits until it is not.
    pub async fn unblocked(&self) {
        while self.is_blocked() {
            self.cleared.notified().await;
        }
    }

    /// Takes no more requests; those on it go on.
    pub fn close(&self) {
        self.closed.set(true);
        self.tell();
    }

    fn tell(&self) {
        self.freed.notify_waiters();
        self.cleared.notify_waiters();
    }

    fn advance(&self, cx: &mut Context<'_>) -> Poll<()> {
        let was_blocked = self.gate.is_blocked();
        let ended = Pin::new(&mut *self.connection.borrow_mut()).poll(cx).is_ready();
        let allowed = self.sender.borrow().current_max_send_streams();
        if ended {
            self.closed.set(true);
        }
        if ended || allowed != self.allowed.get() || was_blocked && !self.gate.is_blocked() {
            self.allowed.set(allowed);
            self.tell();
        }
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // The task finds nobody left and ends.
        self.driver.borrow().wake_by_ref();
    }
}

async fn drive(of: Weak<Http2>) {
    poll_fn(|cx| {
        let Some(http2) = of.upgrade() else { return Poll::Ready(()) };
        http2.driver.borrow_mut().clone_from(cx.waker());
        http2.advance(cx)
    })
    .await;
}

impl Stream {
    /// Looks whether the connection still takes requests, just before one is sent.
    pub fn is_usable(&self) -> bool {
        let quiet = &mut Context::from_waker(Waker::noop());
        self.on.is_usable() && !matches!(self.on.sender.borrow_mut().poll_ready(quiet), Poll::Ready(Err(_)))
    }

    /// Hands over a request and writes it, now.
    pub fn send(&self, request: Request<Bytes>) -> Result<ResponseFuture, Broken> {
        let (parts, body) = request.into_parts();
        let (answer, mut rest) =
            self.on.sender.borrow_mut().send_request(Request::from_parts(parts, ()), body.is_empty())?;
        if !body.is_empty() {
            // What went wrong with it, the answer says; the request is on its way.
            let _ = rest.send_data(body, true);
        }
        let waker = self.on.driver.borrow().clone();
        // What it says, the task hears again.
        let _ = self.on.advance(&mut Context::from_waker(&waker));
        Ok(answer)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.on.active.set(self.on.active.get() - 1);
        self.on.freed.notify_one();
        self.on.cleared.notify_waiters();
    }
}

/// The next piece of an answer's body; its room is given back to the server.
pub(crate) fn poll_data(body: &mut RecvStream, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
    let Some(data) = ready!(body.poll_data(cx)) else { return Poll::Ready(None) };
    let data = data.and_then(|data| body.flow_control().release_capacity(data.len()).map(|()| data));
    Poll::Ready(Some(data.map_err(Broken::from)))
}
