//! One HTTP/1 connection, driven by the request that is on it: no task of its own, no hop between tasks.
//!
//! hyper parses and writes; who polls is decided here. A request is written in the very poll that hands it over, so the gate's
//! look at the clock is the last thing before the write. Invariant: while idle, nothing is read but the end: bytes that nobody
//! asked for close the connection, so they are never taken for the next answer.

use crate::wire::{Gate, Passage, Wire};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use weir_model::Tick;

/// A request's body.
pub(crate) type Body = Full<Bytes>;

/// A connection that broke under a request.
#[derive(Debug)]
pub(crate) struct Broken {
    pub reason: String,
    /// The answer's headers were over their limit.
    pub head_too_large: bool,
}

impl Broken {
    fn closed() -> Broken {
        Broken { reason: "connection closed before the answer was complete".into(), head_too_large: false }
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Broken {
        let reason = whole(&error);
        // hyper tells clients this by its text alone; a test holds it to that.
        let head_too_large = error.is_parse() && reason.contains("head is too large");
        Broken { reason, head_too_large }
    }
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Broken {
        Broken { reason: whole(&error), head_too_large: false }
    }
}

/// An error with its causes, as one line.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A connection.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Body>,
    connection: http1::Connection<TokioIo<Wire>, Body>,
    gate: Rc<Gate>,
    ended: bool,
}

impl Http1 {
    /// Makes a connection of an open socket; nothing is sent yet.
    pub async fn handshake(builder: &http1::Builder, wire: Wire) -> Result<Http1, hyper::Error> {
        let gate = Rc::clone(&wire.gate);
        let (sender, connection) = builder.handshake(TokioIo::new(wire)).await?;
        Ok(Http1 { sender, connection, gate, ended: false })
    }

    /// How far the request on it has come.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Looks whether it is still open, idle and clean. Costs no system call when the reactor knows of nothing to read.
    pub fn is_usable(&mut self) -> bool {
        if !self.ended {
            let mut idle = Context::from_waker(Waker::noop());
            self.ended = Pin::new(&mut self.connection).poll(&mut idle).is_ready();
        }
        !self.ended && self.sender.is_ready()
    }

    /// Looks whether an answer was read to its end and the connection stays open. Cheaper than `is_usable`, which is asked before
    /// the next use.
    pub fn is_done(&mut self) -> bool {
        !self.ended && (self.sender.is_ready() || self.is_usable())
    }

    /// Sends a request, not a byte after `not_after`, and waits for the answer's headers.
    pub async fn send(&mut self, request: Request<Body>, not_after: Tick) -> Result<Response<Incoming>, Broken> {
        self.gate.arm(not_after);
        let mut answer = pin!(self.sender.try_send_request(request));
        // Only this task moves the connection, so the answer needs no waker of its own.
        let mut quiet = Context::from_waker(Waker::noop());
        poll_fn(|cx| {
            if !self.ended {
                self.ended = Pin::new(&mut self.connection).poll(cx).is_ready();
            }
            match answer.as_mut().poll(&mut quiet) {
                Poll::Ready(done) => Poll::Ready(done.map_err(|error| Broken::from(error.into_error()))),
                Poll::Pending if self.ended => Poll::Ready(Err(Broken::closed())),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// The next piece of an answer's body.
    pub fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut quiet = Context::from_waker(Waker::noop());
        // Asking first tells the connection that somebody wants more; then it moves; then there may be more.
        let mut frame = Pin::new(&mut *body).poll_frame(&mut quiet);
        if frame.is_pending() {
            if !self.ended {
                self.ended = Pin::new(&mut self.connection).poll(cx).is_ready();
            }
            frame = Pin::new(body).poll_frame(&mut quiet);
        }
        match frame {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Broken::from))),
            Poll::Pending if self.ended => Poll::Ready(Some(Err(Broken::closed()))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// True when the request on it was refused by the gate.
    pub fn was_late(&self) -> bool {
        self.gate.passage() == Passage::Late
    }

    /// True when a byte of the request on it may have reached the server.
    pub fn was_written(&self) -> bool {
        matches!(self.gate.passage(), Passage::Written | Passage::Answered)
    }
}
