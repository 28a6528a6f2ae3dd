//! A socket, plain or TLS, behind a gate that looks at the clock immediately before a request's first byte.
//!
//! Invariants: after `not_after` an armed gate lets no byte through; whether a request was written, and when, is what the gate
//! saw, not what anybody assumed.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use weir_model::{Clock, Tick};

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// No request under way: bytes pass.
    Open,
    /// A request is about to be written.
    Armed,
    /// It came too late: nothing was written and nothing will be.
    Late,
    /// Its first byte was written.
    Written,
    /// The first byte of the answer was read.
    Answered,
}

/// The gate of one connection.
pub(crate) struct Gate {
    clock: Arc<dyn Clock>,
    passage: Cell<Passage>,
    not_after: Cell<Tick>,
    written_at: Cell<Tick>,
    answered_at: Cell<Tick>,
    blocked: Cell<bool>,
}

impl Gate {
    pub fn new(clock: Arc<dyn Clock>) -> Rc<Gate> {
        let zero = || Cell::new(Tick(0));
        Rc::new(Gate {
            clock,
            passage: Cell::new(Passage::Open),
            not_after: zero(),
            written_at: zero(),
            answered_at: zero(),
            blocked: Cell::new(false),
        })
    }

    /// A request is about to be written, not a byte after `not_after`.
    pub fn arm(&self, not_after: Tick) {
        self.not_after.set(not_after);
        self.written_at.set(Tick(0));
        self.answered_at.set(Tick(0));
        self.passage.set(Passage::Armed);
    }

    pub fn passage(&self) -> Passage {
        self.passage.get()
    }

    /// When the first byte of the request was about to be written; zero when it was not.
    pub fn written_at(&self) -> Tick {
        self.written_at.get()
    }

    /// When the first byte of the answer arrived; zero when it did not.
    pub fn answered_at(&self) -> Tick {
        self.answered_at.get()
    }

    /// True while the kernel takes no more bytes: what is written now, leaves later.
    pub fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Runs a write, unless an armed request comes too late for it.
    fn pass(&self, write: impl FnOnce() -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match self.passage.get() {
            Passage::Armed => {}
            Passage::Late => return Poll::Ready(Err(late())),
            _ => return write(),
        }
        let now = self.clock.now();
        if now > self.not_after.get() {
            self.passage.set(Passage::Late);
            return Poll::Ready(Err(late()));
        }
        let written = ready!(write())?;
        self.written_at.set(now);
        self.passage.set(Passage::Written);
        Poll::Ready(Ok(written))
    }

    fn note_read(&self, count: usize) {
        if count > 0 && self.passage.get() == Passage::Written {
            self.answered_at.set(self.clock.now());
            self.passage.set(Passage::Answered);
        }
    }
}

fn late() -> io::Error {
    io::Error::other("too late for its slot")
}

/// A connection's bytes.
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A socket behind its gate.
pub(crate) struct Wire {
    pub socket: Socket,
    pub gate: Rc<Gate>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        self.gate.note_read(buf.filled().len() - before);
        done
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Wire { socket, gate } = &mut *self;
        let done = gate.pass(|| match socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        });
        gate.blocked.set(gate.blocked.get() || done.is_pending());
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Wire { socket, gate } = &mut *self;
        let done = gate.pass(|| match socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        });
        gate.blocked.set(gate.blocked.get() || done.is_pending());
        done
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.gate.blocked.set(done.is_pending());
        done
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Manual(AtomicU64);

    impl Clock for Manual {
        fn now(&self) -> Tick {
            Tick(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn nothing_passes_after_the_slot_and_all_passes_once_begun() {
        let clock = Arc::new(Manual(AtomicU64::new(10)));
        let gate = Gate::new(clock.clone());
        let count = Cell::new(0);
        let write = || {
            count.set(count.get() + 1);
            Poll::Ready(Ok(1))
        };
        gate.arm(Tick(10));
        assert!(gate.pass(|| Poll::Pending).is_pending());
        assert_eq!(gate.passage(), Passage::Armed, "a write that did not happen is no write");
        assert!(matches!(gate.pass(write), Poll::Ready(Ok(1))), "the end of the slot is inside it");
        assert_eq!((gate.passage(), gate.written_at()), (Passage::Written, Tick(10)));
        clock.0.store(11, Ordering::Relaxed);
        assert!(matches!(gate.pass(write), Poll::Ready(Ok(1))), "the rest of a request that was begun");
        gate.note_read(3);
        assert_eq!((gate.passage(), gate.answered_at()), (Passage::Answered, Tick(11)));
        gate.arm(Tick(10));
        assert!(matches!(gate.pass(write), Poll::Ready(Err(_))));
        clock.0.store(9, Ordering::Relaxed);
        assert!(matches!(gate.pass(write), Poll::Ready(Err(_))), "late stays late");
        assert_eq!((gate.passage(), gate.written_at(), count.get()), (Passage::Late, Tick(0), 2));
    }
}
